package passes

import (
	"smpcc/ir"
	"smpcc/ir/diag"
)

// rebuild copies the main function value by value through step, which emits the replacement and may look up the
// replacements of arguments. Ranges carry over to replacements that have none.
func rebuild(m *ir.Module, step func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error)) error {
	old := m.Main()
	nf := ir.NewFunc(old.Name)
	nf.Holds = old.Holds
	to := map[*ir.Value]*ir.Value{}
	var errs diag.List
	for _, v := range old.Body {
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			if args[i] = to[a]; args[i] == nil {
				return errs.Err() // an argument failed before
			}
		}
		n, err := step(nf, v, args)
		if err != nil {
			errs.Add(v.Pos, err)
			return errs.Err()
		}
		if n.Range.Origin == ir.NoRange {
			n.Range = v.Range
		}
		to[v] = n
	}
	m.Funcs[0] = nf
	return errs.Err()
}

// quantise turns reals into ring elements with FracBits fraction bits and integers into ring elements with none, and
// puts a truncation behind every product of reals.
func quantise(m *ir.Module, opt *Options) error {
	f := opt.FracBits
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		scale := 0
		if v.Type.Elem == ir.Real {
			scale = f
		}
		emit := func(op ir.Op, attrs ir.Attrs, args ...*ir.Value) (*ir.Value, error) {
			n, err := nf.Emit(v.Pos, op, attrs, args...)
			if n != nil {
				n.Range = v.Range
			}
			return n, err
		}
		switch v.Op {
		case ir.OpInput, ir.OpWeight:
			if v.Type.Elem == ir.Bool {
				return emit(v.Op, v.Attrs)
			}
			return emit(v.Op, v.Attrs.With(ir.I("scale", int64(scale))))
		case ir.OpConst:
			d := v.Attrs.Tensor("data")
			if d.Elem == ir.Bool {
				return emit(v.Op, v.Attrs)
			}
			e, err := ir.Encode(d, scale)
			if err != nil {
				return nil, err
			}
			return emit(v.Op, ir.Attrs{ir.T("data", e), ir.I("scale", int64(scale))})
		case ir.OpMul, ir.OpMatMul, ir.OpConv:
			p, err := emit(v.Op, v.Attrs, args...)
			if err != nil || scale == 0 {
				return p, err
			}
			return emit(ir.OpTrunc, ir.Attrs{ir.I("drop", int64(f))}, p)
		case ir.OpCast:
			x := args[0]
			if v.Args[0].Type.Elem == ir.Bool && v.Type.Elem != ir.Bool {
				var err error
				if x, err = emit(ir.OpCast, ir.Attrs{ir.S("to", "ring")}, x); err != nil {
					return nil, err
				}
			}
			if by := scale - x.Type.Scale; x.Type.Elem == ir.Ring && by > 0 {
				return emit(ir.OpShl, ir.Attrs{ir.I("by", int64(by))}, x)
			}
			return x, nil
		}
		return emit(v.Op, v.Attrs, args...)
	})
}
