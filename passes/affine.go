package passes

import "smpcc/ir"

// An affine is x = z*a + o, or z*a - o, with z an input and a and o known numbers or weights, either of which may be missing.
type affine struct {
	z, a, o *ir.Value
	minus   bool
}

// affineOf reads x as an affine of an input with one factor and one offset for each column, nil if it is none.
func affineOf(r *rewriter, x *ir.Value) *affine {
	if x.Type.Elem != ir.Real {
		return nil
	}
	if x.Op == ir.OpInput {
		return &affine{z: x}
	}
	if x.Op != ir.OpMul && x.Op != ir.OpAdd && x.Op != ir.OpSub {
		return nil
	}
	y, c := x.Args[0], x.Args[1]
	if known(r.m, c) == nil && x.Op != ir.OpSub {
		y, c = c, y
	}
	if known(r.m, c) == nil || known(r.m, y) != nil || !y.Type.Shape.Equal(x.Type.Shape) || !alongLast(c.Type.Shape, x.Type.Shape) {
		return nil
	}
	f := affineOf(r, y)
	switch {
	case f == nil || f.o != nil || x.Op == ir.OpMul && f.a != nil:
		return nil
	case x.Op == ir.OpMul:
		f.a = c
	default:
		f.o, f.minus = c, x.Op == ir.OpSub
	}
	return f
}

// oneOwner reports whether all weights among the values have one owner, who can compute with them alone.
func oneOwner(values ...*ir.Value) bool {
	owner := ""
	for _, v := range values {
		if v == nil || weightOf(v) == nil {
			continue
		}
		o := weightOf(v).Attrs.Str("owner")
		if owner != "" && o != owner {
			return false
		}
		owner = o
	}
	return true
}

// row returns w, one number or one for each of k columns, as a vector of k.
func (r *rewriter) row(w *ir.Value, k int) *ir.Value {
	if w.Type.Shape.Size() == k {
		return r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", ir.Shape{k})}, w)
	}
	return r.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", ir.Shape{k})}, r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", ir.Shape{1})}, w))
}

// offset returns the offset with its sign.
func (f *affine) offset(r *rewriter) *ir.Value {
	if f.minus {
		return r.e(ir.OpNeg, nil, f.o)
	}
	return f.o
}

// scaleInput turns (z*a + o)*s into z*(a s) + o s, and a quotient by s into the same with 1/s.
func scaleInput(r *rewriter, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
	x, s := args[0], args[1]
	if v.Op == ir.OpMul && known(r.m, s) == nil {
		x, s = s, x
	}
	if known(r.m, s) == nil || known(r.m, x) != nil || v.Type.Elem != ir.Real || !x.Type.Shape.Equal(v.Type.Shape) || !alongLast(s.Type.Shape, x.Type.Shape) {
		return nil, nil
	}
	f := affineOf(r, x)
	if f == nil || v.Op == ir.OpMul && f.a == nil && f.o == nil || v.Op == ir.OpDiv && !r.notes.invertible(known(r.m, s)) || !oneOwner(f.a, f.o, s) {
		return nil, nil
	}
	if v.Op == ir.OpDiv {
		s = r.e(ir.OpDiv, nil, r.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, 1))}), s)
	}
	a := s
	if f.a != nil {
		a = r.e(ir.OpMul, nil, f.a, s)
	}
	y := r.e(ir.OpMul, nil, f.z, a)
	if f.o != nil {
		y = r.e(ir.OpAdd, nil, y, r.e(ir.OpMul, nil, f.offset(r), s))
	}
	return y, nil
}

// affineInput turns (z*a + o) W into z (a W) + o W, with a scaling the rows of W.
func affineInput(r *rewriter, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
	x, w := args[0], args[1]
	if known(r.m, w) == nil || len(w.Type.Shape) != 2 || len(x.Type.Shape) < 2 {
		return nil, nil
	}
	f := affineOf(r, x)
	if f == nil || f.a == nil && f.o == nil || !oneOwner(f.a, f.o, w) {
		return nil, nil
	}
	k, n := w.Type.Shape[0], w.Type.Shape[1]
	scaled := w
	if f.a != nil {
		scaled = r.e(ir.OpMul, nil, w, r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", ir.Shape{k, 1})}, r.row(f.a, k)))
	}
	y := r.e(ir.OpMatMul, v.Attrs, f.z, scaled)
	if f.o != nil {
		o := r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", ir.Shape{1, k})}, r.row(f.offset(r), k))
		y = r.e(ir.OpAdd, nil, y, r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", ir.Shape{n})}, r.e(ir.OpMatMul, nil, o, w)))
	}
	return y, nil
}
