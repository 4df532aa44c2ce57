package passes

import (
	"smpcc/ir"
	"smpcc/ir/diag"
)

// withoutLowering says what to do about composite ops that have no lowering of their own, so that a pass must have removed
// them before; smooth functions are left to approximate.
var withoutLowering = map[ir.Op]string{
	ir.OpBatchNorm: "its parameters must be weights or constants that the compiler can read",
}

// decompose replaces composite ops by core ops, again and again until none with a lowering is left.
func decompose(m *ir.Module, opt *Options) error {
	old := m.Main()
	nf := ir.NewFunc(old.Name)
	nf.Holds = old.Holds &^ ir.Folded
	to := map[*ir.Value]*ir.Value{}
	var errs diag.List
	var put func(v *ir.Value) *ir.Value // emits v, whose arguments are values of nf, lowered
	put = func(v *ir.Value) *ir.Value {
		row := ir.Rows[v.Op]
		if row.Lower == nil || row.Level != ir.Composite && v.Type.Elem != ir.Bool { // of core ops, select has a lowering for bits
			if hint := withoutLowering[v.Op]; hint != "" {
				errs.Add(v.Pos, diag.Errorf(v.Pos, "%s is not supported here", v.Op).WithHint("%s", hint))
			}
			nf.Adopt(v)
			return v
		}
		made := map[*ir.Value]*ir.Value{} // what the lowering emitted -> what stands for it
		b := &ir.Builder{F: nf, At: v, Put: func(n *ir.Value) {
			for i, a := range n.Args {
				if r := made[a]; r != nil {
					n.Args[i] = r
				}
			}
			retype(n)
			made[n] = put(n)
		}}
		lower := row.Lower
		if pairwise(v, len(m.Parties), opt.Net) {
			lower = pairArgMax
		}
		r := lower(b, v)
		if x := made[r]; x != nil {
			return x
		}
		return r
	}
	for _, v := range old.Body {
		n := *v
		n.Args = make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			n.Args[i] = to[a]
		}
		retype(&n)
		to[v] = put(&n)
	}
	m.Funcs[0] = nf
	return errs.Err()
}

// retype computes the type of a value again, whose arguments have been replaced: a replacement may be public where the value
// was not, such as the arg-max of one element.
func retype(v *ir.Value) {
	t, err := ir.Rows[v.Op].TypeOf(v)
	if err != nil {
		ir.Bug("%v: %s after its arguments were lowered: %v", v.Pos, v.Op, err)
	}
	v.Type = t
}
