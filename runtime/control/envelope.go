package control

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"smpcc/backend/plan"
)

// Requests and replies that carry data have a head in JSON, with its length before it in four bytes, and the data behind it as it is: packed words, in
// the order of the manifest.

// HeadBytes is the room for a head that names nothing.
const HeadBytes = 4 << 10

// Slowest is the speed, in bytes a second, at which inputs are expected to be sent.
const Slowest = 64 << 10

// Seal puts a head before data.
func Seal(head any, data []byte) ([]byte, error) {
	h, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(h)+len(data)), uint32(len(h)))
	return append(append(out, h...), data...), nil
}

// Unseal reads a head and returns the data behind it.
func Unseal[T any](msg []byte) (head T, data []byte, err error) {
	if len(msg) < 4 {
		return head, nil, errors.New("malformed request")
	}
	n := binary.LittleEndian.Uint32(msg)
	if int64(n) > int64(len(msg)-4) {
		return head, nil, errors.New("malformed request")
	}
	head, err = Decode[T](msg[4 : 4+n])
	return head, msg[4+n:], err
}

// InputBytes returns the bytes of a party's inputs.
func InputBytes(p *plan.Plan, party string) (n int) {
	for _, t := range p.Manifest.Inputs {
		if t.Owner == party {
			n += plan.PackedBytes(t.Len(), t.Bits)
		}
	}
	return n
}

// OutputBytes returns the bytes of all outputs, as results carry them.
func OutputBytes(p *plan.Plan) (n int) {
	for _, t := range p.Manifest.Outputs {
		n += plan.PackedBytes(t.Len(), 64)
	}
	return n
}

// LongReplies returns the lengths of replies that are not short.
func LongReplies(p *plan.Plan) map[string]int {
	return map[string]int{"Result": HeadBytes + 12*len(p.Manifest.Outputs) + OutputBytes(p)}
}
