package verify

import (
	"fmt"
	"slices"

	"smpcc/backend/plan"
)

// layout checks what was projected without following values: plan.Validate says whether programs fit each other, the manifest and their material, and
// beside it each role's memory must fit its steps.
func (c *checker) layout() {
	if err := c.p.Validate(); err != nil {
		c.find(Malformed, nil, "%v", err)
		return
	}
	for role := range c.p.Programs {
		c.memory(role)
	}
	c.fact(factItems, int64(len(c.p.Items)))
	c.fact(factIsolate, 0)
}

// memory checks that each slot of a role holds what was written to it last whenever it is read, though slots share words.
func (c *checker) memory(role int) {
	g := &c.p.Programs[role]
	mem := [2]*memory{newMemory(g.Slots, plan.Session), newMemory(g.Slots, plan.Model)}
	written := make([]bool, len(g.Slots)) // those without words
	write := func(slot int) {
		written[slot] = true
		if s := g.Slots[slot]; s.Len > 0 {
			mem[s.Scope].write(s, slot+1)
		}
	}
	read := func(slot int, at func() *place) {
		if s := g.Slots[slot]; s.Len == 0 && !written[slot] || s.Len > 0 && mem[s.Scope].read(s) != slot+1 {
			c.find(ReadBeforeWrite, at(), "slot %d is read and does not hold a value", slot)
		}
	}
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for r, round := range g.Rounds(ph) {
			for i := range round.Steps {
				s := &round.Steps[i]
				for _, src := range s.Src {
					read(src, func() *place { return c.stepPlace(role, ph, r, s) })
				}
				switch s.Op {
				case plan.StepDrop:
					c.facts[factRounded]++
				case plan.StepCopy: // other elements of its slot stay
					if n := 1; len(s.Args) > 0 {
						for _, d := range s.Args[1 : 1+s.Args[0]] {
							n *= int(d)
						}
						if n < g.Slots[s.Dst].Len {
							read(s.Dst, func() *place { return c.stepPlace(role, ph, r, s) })
						}
					}
				}
				write(s.Dst)
				c.fact(factSteps, 1)
			}
			for i := range round.Opens {
				if o := &round.Opens[i]; slices.Contains(o.From, role) {
					read(o.Src, func() *place { return c.openPlace(role, ph, r, o) })
				}
			}
			for i := range round.Opens {
				if o := &round.Opens[i]; slices.Contains(o.To, role) {
					write(o.Dst)
				}
			}
		}
	}
}

func (c *checker) stepPlace(role int, ph plan.Phase, r int, s *plan.Step) *place {
	return &place{role, ph, r, c.p.StepText(s)}
}

func (c *checker) openPlace(role int, ph plan.Phase, r int, o *plan.Open) *place {
	return &place{role, ph, r, fmt.Sprintf("open %v, %d x %d bits, masked by item %d  @ %s", o.Kind, o.Len, o.Bits, o.Item-1, c.p.Nodes[o.Node])}
}
