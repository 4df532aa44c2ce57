package server

import (
	"fmt"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
)

// sessionMemory returns the memory that a session takes at a role: what the plan computes in, its inputs as they are sent and as words, and its outputs until they are
// given.
func sessionMemory(p *plan.Plan, role int) int64 {
	name := p.Roles()[role]
	n := p.SessionBytes(role) + int64(control.InputBytes(p, name))
	for _, t := range p.Manifest.Inputs {
		if t.Owner == name || t.Shares && role < p.NumParties() {
			n += 8 * int64(t.Len())
		}
	}
	for _, t := range p.Manifest.Outputs {
		if slices.Contains(t.To, name) || slices.ContainsFunc(t.To, p.Manifest.Invited) {
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
