package server

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
)

// Requests and replies that carry data have a head in JSON, with its length before it in four bytes, and the data behind it as it is: packed words, in
// the order of the manifest.

// headBytes is the room for a head that names nothing.
const headBytes = 4 << 10

// seal puts a head before data.
func seal(head any, data []byte) ([]byte, error) {
	h, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(h)+len(data)), uint32(len(h)))
	return append(append(out, h...), data...), nil
}

// unseal reads a head and returns the data behind it.
func unseal[T any](msg []byte) (head T, data []byte, err error) {
	if len(msg) < 4 {
		return head, nil, errors.New("malformed request")
	}
	n := binary.LittleEndian.Uint32(msg)
	if int64(n) > int64(len(msg)-4) {
		return head, nil, errors.New("malformed request")
	}
	head, err = decode[T](msg[4 : 4+n])
	return head, msg[4+n:], err
}

// inputBytes returns the bytes of a party's inputs.
func inputBytes(p *plan.Plan, party string) (n int) {
	for _, t := range p.Manifest.Inputs {
		if t.Owner == party {
			n += plan.PackedBytes(t.Len(), t.Bits)
		}
	}
	return n
}

// sessionMemory returns the memory that a session takes at a role: what the plan computes in, its inputs as they are sent and as words, and its outputs until they are
// given.
func sessionMemory(p *plan.Plan, role int) int64 {
	name := p.Roles()[role]
	n := p.SessionBytes(role) + int64(inputBytes(p, name))
	for _, t := range p.Manifest.Inputs {
		if t.Owner == name {
			n += 8 * int64(t.Len())
		}
	}
	for _, t := range p.Manifest.Outputs {
		if slices.Contains(t.To, name) {
			n += 8 * int64(t.Len())
		}
	}
	return n
}

// tooSmall returns why a role cannot serve a plan within its memory, nil if it can, and what to set.
func (c *Config) tooSmall(p *plan.Plan, role int) error {
	need := sessionMemory(p, role)
	if need <= c.memory {
		return nil
	}
	name, computing := p.Roles()[role], p.SessionBytes(role)
	return fmt.Errorf("limits.memory is %s, but one session of this plan takes %s at %s, %s to compute in and %s for its inputs and outputs; set limits.memory to %dMiB or more, or compile the plan for fewer rows",
		sizeText(c.memory), sizeText(need), name, sizeText(computing), sizeText(need-computing), (need+1<<20-1)>>20)
}

// outputBytes returns the bytes of all outputs, as results carry them.
func outputBytes(p *plan.Plan) (n int) {
	for _, t := range p.Manifest.Outputs {
		n += plan.PackedBytes(t.Len(), 64)
	}
	return n
}

// longRequests returns the lengths of requests to a role that are not short.
func longRequests(p *plan.Plan, role string) map[string]int {
	return map[string]int{"Input": headBytes + inputBytes(p, role)}
}

// longReplies returns the lengths of replies that are not short.
func longReplies(p *plan.Plan) map[string]int {
	key := len(`"",`) + (keyBytes+2)/3*4
	return map[string]int{"Result": headBytes + 12*len(p.Manifest.Outputs) + outputBytes(p), "Key": headBytes + maxBatch*key}
}

// A resultHead says which outputs follow, and what the role measured.
type resultHead struct {
	Outputs []int             `json:"outputs"` // by their places in the manifest
	Setup   engine.PhaseStats `json:"setup"`
	Offline engine.PhaseStats `json:"offline"`
	Online  engine.PhaseStats `json:"online"`
}
