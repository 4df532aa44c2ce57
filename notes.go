package smpcc

import (
	"fmt"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/passes"
)

// notes says which ranges are not proved, and what would make them so. columns has names of inputs' columns.
func (c *Compilation) notes(m *ir.Module, opt *passes.Options, columns map[string][]string) {
	if c.Lowered() {
		c.Notes = append(c.Notes, "the source is fixed point itself: its ranges are what it states, proved by nobody, and nothing is compared with reals")
		return
	}
	count := map[ir.Origin]int{}
	var first *ir.Value // assumed, though nothing that it is computed from is
	for _, v := range m.Main().Body {
		if v.Type.Elem == ir.Bool || v.Type.Vis.IsPublic() {
			continue
		}
		count[v.Range.Origin]++
		inherited := slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return a.Range.Origin == ir.Assumed && !a.Type.Vis.IsPublic() })
		if first == nil && v.Range.Origin == ir.Assumed && v.Op != ir.OpInput && !inherited {
			first = v
		}
	}
	c.assumedInputs(m, opt)
	switch {
	case first == nil:
	case first.Op == ir.OpWeight:
		c.Notes = append(c.Notes, fmt.Sprintf("the policy of %s keeps ranges of its weights back, so that magnitudes up to %g are assumed of them, from %q on", first.Attrs.Str("owner"), first.Range.Abs(), first.Attrs.Str("name")))
	default:
		c.Notes = append(c.Notes, fmt.Sprintf("%d ranges are assumed, not proved, from %s on, whose bound fits no ring: magnitudes up to %g do; give sample inputs (--calibrate FILE), or refuse with --strict-range", count[ir.Assumed], placeOf(first), first.Range.Abs()))
	}
	if n := count[ir.Calibrated]; n > 0 {
		samples := "one sample input"
		if k := len(opt.Samples); k != 1 {
			samples = fmt.Sprintf("%d sample inputs", k)
		}
		c.Notes = append(c.Notes, fmt.Sprintf("%d ranges come from %s with a margin, not from a proof", n, samples))
	}
	for _, v := range m.Main().Reveals() {
		if owner := v.Attrs.Str("unchecked"); owner != "" && opt.Guard > 0 && narrowed(v) {
			c.Notes = append(c.Notes, fmt.Sprintf("output %q is not checked for values that leave their range, and is wrong then: the policy of %s keeps back whether it is valid (validity: allow lets it be told)", v.Attrs.Str("name"), owner))
		}
	}
	for _, o := range c.Numbers.Outputs {
		if opt.RevealBits > o.Frac && o.Of == 0 && o.State != passes.Exact {
			c.Notes = append(c.Notes, fmt.Sprintf("output %q has %d fraction bits, fewer than the %d of --reveal-bits: it is computed in no more; --frac-bits asks for more", o.Name, o.Frac, opt.RevealBits))
		}
	}
	if c.Numbers.Undefined != "" {
		c.Notes = append(c.Notes, c.Numbers.Undefined)
	}
	for _, t := range passes.Tails(m.Main(), opt) {
		c.Notes = append(c.Notes, tailNote(t, columns[t.Name]))
	}
}

// tailNote warns of a range that is calibrated from few samples though its magnitudes scatter.
func tailNote(t passes.Tail, names []string) string {
	what, flag := fmt.Sprintf("input %q", t.Name), t.Name
	switch {
	case t.Column < 0:
	case t.Column < len(names):
		what, flag = fmt.Sprintf("column %q of %s", names[t.Column], what), fmt.Sprintf("%s[:,%s]", t.Name, names[t.Column])
	default:
		what, flag = fmt.Sprintf("column %d of %s", t.Column, what), fmt.Sprintf("%s[:,%d]", t.Name, t.Column)
	}
	return fmt.Sprintf("calibrated from n=%d samples: %s, max/median %.3g, so that others may well lie beyond; give 32 samples or more, or declare its range (--range %s=LO..HI)", t.Samples, what, t.Ratio, flag)
}

// assumedInputs names the inputs of which nothing was said, and what to say.
func (c *Compilation) assumedInputs(m *ir.Module, opt *passes.Options) {
	assume := opt.Assume
	if assume <= 0 {
		assume = passes.DefaultAssume
	}
	var list []string
	flag := ""
	for _, v := range m.Main().Inputs() {
		if v.Range.Origin != ir.Assumed || v.Attrs.Str("elem") != "real" {
			continue
		}
		name := v.Attrs.Str("name")
		what, of := fmt.Sprintf("input %q", name), name
		if b := v.Attrs.Tensor("bounds"); b != nil {
			var columns []string
			for k := range b.Shape[0] {
				if b.At(2*k) == -assume && b.At(2*k+1) == assume {
					columns = append(columns, fmt.Sprint(k))
				}
			}
			if len(columns) == 0 {
				continue
			}
			what, of = fmt.Sprintf("columns %s of input %q", strings.Join(columns, ", "), name), fmt.Sprintf("%s[:,%s]", name, columns[0])
			if len(columns) == 1 {
				what = what[:len("column")] + what[len("columns"):]
			}
		}
		list = append(list, what)
		if flag == "" {
			flag = of
		}
	}
	if len(list) == 0 {
		return
	}
	if n := len(list); n > 6 {
		list = append(list[:5], fmt.Sprintf("%d more", n-5))
	}
	c.Notes = append(c.Notes, fmt.Sprintf("no range is declared for %s: |x| <= %g is assumed, and larger values are refused; declare it (--range %s=LO..HI), give sample inputs (--calibrate FILE), or assume another bound (--assume N)", strings.Join(list, ", "), assume, flag))
}

// placeOf names a value by its node.
func placeOf(v *ir.Value) string {
	if v.Pos.Node != "" {
		return v.Pos.Node
	}
	return v.Pos.String()
}

// narrowed reports whether v rests on a range that a run may leave.
func narrowed(v *ir.Value) bool {
	for x := range v.Behind() {
		if x.Range.Narrow {
			return true
		}
	}
	return false
}
