package passes

import (
	"fmt"

	"smpcc/ir"
)

// fold evaluates values all of whose arguments are constants, and values all of whose arguments are constants or
// weights of one owner with known data: the latter become new weights, computed by the owner before any session. A selection
// by a public condition has no protocol and becomes arithmetic.
func fold(m *ir.Module, _ *Options) error {
	names := map[string]bool{}
	for n := range m.Weights {
		names[n] = true
	}
	for _, v := range m.Main().Body {
		if v.Op == ir.OpWeight {
			names[v.Attrs.Str("name")] = true
		}
	}
	f := &folder{m: m, names: names}
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		f.nf = nf
		return f.put(v, v.Op, v.Attrs, args...)
	})
}

// A folder emits values that have been folded as far as they can be.
type folder struct {
	m     *ir.Module
	nf    *ir.Func
	names map[string]bool // of weights
}

// put emits op applied to args in place of at, or what it folds to.
func (f *folder) put(at *ir.Value, op ir.Op, attrs ir.Attrs, args ...*ir.Value) (*ir.Value, error) {
	emit := func() (*ir.Value, error) { // what does not fold
		if op == ir.OpSelect && args[0].Op == ir.OpConst && at.Type.Elem != ir.Ring {
			return f.publicSelect(at, args)
		}
		return f.nf.Emit(at.Pos, op, attrs, args...)
	}
	row := ir.Rows[op]
	if len(args) == 0 || op == ir.OpReveal || op == ir.OpFormat || at.Type.Elem == ir.Ring || row.Eval == nil {
		return emit()
	}
	var weight *ir.Value
	data := make([]*ir.Tensor, len(args))
	for i, a := range args {
		if data[i] = known(f.m, a); data[i] == nil {
			return emit()
		}
		if w := weightOf(a); w != nil {
			if weight != nil && weight.Attrs.Str("owner") != w.Attrs.Str("owner") {
				return emit()
			}
			weight = w
		}
	}
	v := &ir.Value{Op: op, Attrs: attrs, Args: args, Pos: at.Pos}
	var err error
	if v.Type, err = row.TypeOf(v); err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	t, err := row.Eval(v, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op, err)
	}
	if weight == nil {
		return f.nf.Emit(at.Pos, ir.OpConst, ir.Attrs{ir.T("data", t)})
	}
	name := unusedName(f.names, weight.Attrs.Str("name")+"."+string(op))
	return newWeight(f.m, f.nf, at, name, weight.Attrs.Str("owner"), t)
}

// weightOf returns the weight that v is, in whatever format; nil if it is none. What is computed from it is its owner's, never a constant.
func weightOf(v *ir.Value) *ir.Value {
	for v.Op == ir.OpFormat {
		v = v.Args[0]
	}
	if v.Op == ir.OpWeight {
		return v
	}
	return nil
}

// unusedName returns name, with a number behind it if it is taken, and takes it.
func unusedName(names map[string]bool, name string) string {
	n := name
	for i := 2; names[n]; i++ {
		n = fmt.Sprintf("%s%d", name, i)
	}
	names[n] = true
	return n
}

// newWeight emits a weight that a pass has computed from others of the owner.
func newWeight(m *ir.Module, nf *ir.Func, at *ir.Value, name, owner string, t *ir.Tensor) (*ir.Value, error) {
	m.Weights[name] = t
	return nf.Emit(at.Pos, ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", owner), ir.S("elem", t.Elem.String()), ir.Dims("shape", t.Shape)})
}

// publicSelect replaces select(c, x, y) with constant c by x, y, or y + c*(x - y).
func (f *folder) publicSelect(v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	c, x, y := a[0], a[1], a[2]
	if k, ok := uniform(c); ok {
		if k == 0 {
			x = y
		}
		if x.Type.Shape.Equal(v.Type.Shape) {
			return x, nil
		}
		return f.put(v, ir.OpExpand, ir.Attrs{ir.Dims("shape", v.Type.Shape)}, x)
	}
	times, plus, minus := ir.OpMul, ir.OpAdd, ir.OpSub
	if v.Type.Elem == ir.Bool {
		times, plus, minus = ir.OpAnd, ir.OpXor, ir.OpXor
	} else {
		var err error
		if c, err = f.put(v, ir.OpCast, ir.Attrs{ir.S("to", v.Type.Elem.String())}, c); err != nil {
			return nil, err
		}
	}
	d, err := f.put(v, minus, nil, x, y)
	if err == nil {
		d, err = f.put(v, times, nil, c, d)
	}
	if err != nil {
		return nil, err
	}
	return f.put(v, plus, nil, d, y)
}
