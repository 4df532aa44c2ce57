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
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		emit := func() (*ir.Value, error) { // what does not fold
			if v.Op == ir.OpSelect && args[0].Op == ir.OpConst && v.Type.Elem != ir.Ring {
				return publicSelect(&ir.Builder{F: nf, At: v}, v, args), nil
			}
			return nf.Emit(v.Pos, v.Op, v.Attrs, args...)
		}
		if len(args) == 0 || v.Op == ir.OpReveal || v.Op == ir.OpFormat || v.Type.Elem == ir.Ring {
			return emit()
		}
		row := ir.Rows[v.Op]
		var weight *ir.Value
		data := make([]*ir.Tensor, len(args))
		for i, a := range args {
			if data[i] = known(m, a); data[i] == nil {
				return emit()
			}
			if a.Op == ir.OpWeight {
				if weight != nil && weight.Attrs.Str("owner") != a.Attrs.Str("owner") {
					return emit()
				}
				weight = a
			}
		}
		if row.Eval == nil {
			return emit()
		}
		t, err := row.Eval(v, data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", v.Op, err)
		}
		if weight == nil {
			return nf.Emit(v.Pos, ir.OpConst, ir.Attrs{ir.T("data", t)})
		}
		name := unusedName(names, weight.Attrs.Str("name")+"."+string(v.Op))
		return newWeight(m, nf, v, name, weight.Attrs.Str("owner"), t)
	})
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
func publicSelect(b *ir.Builder, v *ir.Value, a []*ir.Value) *ir.Value {
	c, x, y := a[0], a[1], a[2]
	if k, ok := uniform(c); ok {
		if k == 0 {
			x = y
		}
		if x.Type.Shape.Equal(v.Type.Shape) {
			return x
		}
		return b.E(ir.OpExpand, ir.Attrs{ir.Dims("shape", v.Type.Shape)}, x)
	}
	if v.Type.Elem == ir.Bool {
		return b.E(ir.OpXor, nil, b.E(ir.OpAnd, nil, c, b.E(ir.OpXor, nil, x, y)), y)
	}
	number := ir.NewTensor(v.Type.Elem, c.Type.Shape)
	for i, bit := range c.Attrs.Tensor("data").I {
		if v.Type.Elem == ir.Real {
			number.F[i] = float64(bit)
		} else {
			number.I[i] = bit
		}
	}
	return b.E(ir.OpAdd, nil, b.E(ir.OpMul, nil, b.Const(number), b.E(ir.OpSub, nil, x, y)), y)
}
