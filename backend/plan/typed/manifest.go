package typed

import (
	"fmt"
	"slices"

	"smpcc/backend/plan"
)

// claims checks what the manifest says of a program that has types: the widest ring, the places that rounds wait for, that
// permission is recorded for outputs that there are, and that no two have one name, since permission is by name. What it says of each output is the business of the row that reveals.
func (c *Checked) claims() error {
	m := c.Manifest
	for i, t := range c.Types {
		if t.Kind != Const && t.Kind != Done && t.Mode == plan.Add && t.Bits > m.RingBits {
			return fmt.Errorf("step %d makes %v, the widest ring of the manifest is %d", i, t, m.RingBits)
		}
	}
	for _, n := range m.Critical {
		if !slices.Contains(c.Program.Nodes, n) {
			return fmt.Errorf("the rounds are said to wait for %q, which is not in the plan", n)
		}
	}
	for i, o := range m.Outputs {
		if slices.ContainsFunc(m.Outputs[:i], func(other plan.Port) bool { return other.Name == o.Name }) {
			return fmt.Errorf("output %q appears twice", o.Name)
		}
	}
	for _, a := range m.Allowed {
		if !slices.ContainsFunc(m.Outputs, func(o plan.Port) bool { return o.Name == a.Output }) {
			return fmt.Errorf("permission is recorded for %q, which is no output", a.Output)
		}
	}
	return nil
}
