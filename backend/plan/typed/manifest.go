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
	if err := c.validities(); err != nil {
		return err
	}
	for _, a := range m.Allowed {
		if !slices.ContainsFunc(m.Outputs, func(o plan.Port) bool { return o.Name == a.Output }) {
			return fmt.Errorf("permission is recorded for %q, which is no output", a.Output)
		}
	}
	return nil
}

// validities checks what the manifest says of outputs that are withheld: that such an output is zero unless the bit that it names is set, and that this bit
// goes to the same receivers and says of as many elements as it claims whether they were in their range.
func (c *Checked) validities() error {
	m := c.Manifest
	reveals := make([]int, len(m.Outputs)) // what each output reveals
	for _, s := range c.Program.Steps {
		if s.Op == OpReveal {
			reveals[s.Args[0]] = s.Src[0]
		}
	}
	named := make([]bool, len(m.Outputs))
	for i := range m.Outputs {
		o := &m.Outputs[i]
		if o.Valid == 0 {
			continue
		}
		k := o.Valid - 1
		if k < 0 || k >= len(m.Outputs) || k == i || !m.Outputs[k].IsValidity() {
			return fmt.Errorf("output %q is there if output %d says so, which does not", o.Name, k)
		}
		named[k] = true
		v, bit := &m.Outputs[k], reveals[k]
		if !slices.Equal(v.To, o.To) {
			return fmt.Errorf("output %q goes to %v, and %q, which says whether it is there, to %v", o.Name, o.To, v.Name, v.To)
		}
		s := &c.Program.Steps[reveals[i]]
		if s.Op != OpMulBit && s.Op != OpAnd || len(s.Src) != 2 || c.openedBit(s.Src[1]) != bit {
			return fmt.Errorf("output %q is not the product of a value and the bit that %q reveals", o.Name, v.Name)
		}
	}
	for i := range m.Outputs {
		if o := &m.Outputs[i]; o.Checked < 0 || o.IsValidity() != named[i] {
			return fmt.Errorf("output %q says of no other whether it is there", o.Name)
		} else if n := int64(0); named[i] {
			if n = c.checkedElements(reveals[i]); o.Elem != "bool" || o.Len() != 1 || n != o.Checked {
				return fmt.Errorf("output %q is %s, %d x %d bits, and says to check %d elements, where %d are", o.Name, o.Elem, o.Len(), o.Bits, o.Checked, n)
			}
		}
	}
	return nil
}

// openedBit returns the shared value that v is the opening of, seen through views; -1 if it is none.
func (c *Checked) openedBit(v int) int {
	for {
		s := &c.Program.Steps[v]
		switch s.Op {
		case OpView, OpReshape:
			v = s.Src[0]
		case OpOpen:
			return s.Src[0]
		default:
			return -1
		}
	}
}

// checkedElements returns how many elements are checked by what a bit joins: the AND of complements of parities of checks, and of nothing else.
func (c *Checked) checkedElements(bit int) int64 {
	n, seen := int64(0), map[int]bool{}
	for todo := []int{bit}; len(todo) > 0; {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[v] {
			continue
		}
		seen[v] = true
		s := &c.Program.Steps[v]
		switch s.Op {
		case OpAll, OpOpen, OpXor:
			todo = append(todo, s.Src...)
		case OpConst:
		case OpValid:
			n += int64(c.Types[s.Src[0]].Len)
		default:
			return 0
		}
	}
	return n
}
