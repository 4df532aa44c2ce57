package passes

import (
	"slices"

	"smpcc/ir"
)

// A pending value is u / 2^drop whose truncation has not been emitted yet.
type pending struct {
	u    *ir.Value
	drop int
}

// sink moves truncations down: one per linear block, fused into the comparison that follows where there is one. What is revealed is truncated to
// its format: the bits below would tell of what it was computed from. A truncation never moves below a view that repeats or picks elements, so that
// one opening serves all of them.
func sink(m *ir.Module, opt *Options) error {
	pend := map[*ir.Value]pending{} // by placeholder value returned from step
	real := map[*ir.Value]*ir.Value{}
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		emit := func(op ir.Op, attrs ir.Attrs, args ...*ir.Value) (*ir.Value, error) {
			n, err := nf.Emit(v.Pos, op, attrs, args...)
			if n != nil {
				n.Range = v.Range
			}
			return n, err
		}
		// settle emits the truncation of an argument once.
		settle := func(a *ir.Value) (*ir.Value, error) {
			p, ok := pend[a]
			if !ok {
				return a, nil
			}
			if t := real[a]; t != nil {
				return t, nil
			}
			t, err := nf.Emit(a.Pos, ir.OpTrunc, ir.Attrs{ir.I("drop", int64(p.drop))}, p.u)
			if err != nil {
				return nil, err
			}
			t.Range = a.Range
			real[a] = t
			return t, nil
		}
		// hold returns a placeholder for u / 2^drop; it is not part of the function.
		hold := func(u *ir.Value, drop int) *ir.Value {
			ph := &ir.Value{Op: ir.OpTrunc, Type: u.Type, Args: []*ir.Value{u}, Pos: v.Pos, Range: v.Range}
			pend[ph] = pending{u, drop}
			return ph
		}
		raw := func(a *ir.Value) (*ir.Value, int) {
			if p, ok := pend[a]; ok {
				return p.u, p.drop
			}
			return a, 0
		}
		// raise multiplies a by 2^by: weights are encoded again with more fraction bits, others are shifted.
		raise := func(a *ir.Value, by int) (*ir.Value, error) {
			if by == 0 {
				return a, nil
			}
			if a.Op == ir.OpWeight {
				w, err := nf.Emit(a.Pos, ir.OpWeight, a.Attrs.With(ir.I("scale", int64(a.Type.Scale+by))))
				if w != nil {
					w.Range = a.Range
				}
				return w, err
			}
			if a.Op == ir.OpConst {
				d := ir.NewTensor(ir.Ring, a.Type.Shape)
				for i, x := range a.Attrs.Tensor("data").I {
					d.I[i] = x << by
				}
				opt.encoded.same(a.Attrs.Tensor("data"), d)
				c, err := nf.Emit(a.Pos, ir.OpConst, ir.Attrs{ir.T("data", d), ir.I("scale", int64(a.Type.Scale+by))})
				if c != nil {
					c.Range = a.Range
				}
				return c, err
			}
			s, err := nf.Emit(a.Pos, ir.OpShl, ir.Attrs{ir.I("by", int64(by))}, a)
			if s != nil {
				s.Range = a.Range
			}
			return s, err
		}
		switch v.Op {
		case ir.OpTrunc:
			u, d := raw(args[0])
			if by := v.Attrs.Int("drop", 0); d+by <= ringRoom {
				d += by
			} else { // more than a ring has: the two cannot be one
				var err error
				if u, err = settle(args[0]); err != nil {
					return nil, err
				}
				d = by
			}
			if d == 0 {
				return u, nil
			}
			if v.Attrs.Int("firm", 0) != 0 { // its rounding is wanted, here and now
				return emit(v.Op, ir.Attrs{ir.I("drop", int64(d))}, u)
			}
			return hold(u, d), nil
		case ir.OpNeg, ir.OpReshape, ir.OpTranspose, ir.OpReduceSum:
			u, d := raw(args[0])
			if d > 0 && (v.Op != ir.OpReduceSum || 1+ir.SignedBits(v.Range.Abs(), u.Type.Scale, 1) <= ringRoom) { // a sum must still fit
				n, err := emit(v.Op, v.Attrs, u)
				if err != nil {
					return nil, err
				}
				return hold(n, d), nil
			}
		case ir.OpShl:
			u, d := raw(args[0])
			if by := v.Attrs.Int("by", 0); d > 0 {
				if by < d {
					return hold(u, d-by), nil
				} else if by == d {
					return u, nil
				}
				return emit(v.Op, ir.Attrs{ir.I("by", int64(by-d))}, u)
			}
		case ir.OpMul: // a public factor of a value that waits for its truncation joins it, if the product still fits
			i := 0
			if args[0].Op == ir.OpConst {
				i = 1
			}
			u, d := raw(args[i])
			c := args[1-i]
			// behind a sum it would widen the ring of everything that is summed
			sum := u.Op == ir.OpMatMul || u.Op == ir.OpConv || u.Op == ir.OpReduceSum
			if d > 0 && c.Op == ir.OpConst && (!sum || c.Type.Scale <= 4) && v.Type.Shape.Size() == u.Type.Shape.Size() &&
				1+ir.SignedBits(v.Range.Abs(), u.Type.Scale+c.Type.Scale, 1) <= 62 {
				n, err := emit(v.Op, v.Attrs, u, c)
				if err != nil {
					return nil, err
				}
				return hold(n, d), nil
			}
		case ir.OpAdd, ir.OpSub, ir.OpSelect:
			x := slices.Clone(args[len(args)-2:])
			for i := range x { // what is truncated for another already meets a value that waits for nothing
				if _, d := raw(x[1-i]); d == 0 && real[x[i]] != nil {
					x[i] = real[x[i]]
				}
			}
			a, da := raw(x[0])
			b, db := raw(x[1])
			d := max(da, db)
			// raising the one that waits for less must fit the ring, or else the other is truncated first
			fits := func(x *ir.Value, by int) bool {
				return by == 0 || 1+ir.SignedBits(x.Range.Abs(), x.Type.Scale+by, 1) <= 63
			}
			fit := da == db || fits(a, d-da) && fits(b, d-db)
			if d > 0 && fit && (v.Op != ir.OpSelect || da == db) {
				a, err := raise(a, d-da)
				if err != nil {
					return nil, err
				}
				if b, err = raise(b, d-db); err != nil {
					return nil, err
				}
				n, err := emit(v.Op, v.Attrs, append(append([]*ir.Value{}, args[:len(args)-2]...), a, b)...)
				if err != nil {
					return nil, err
				}
				return hold(n, d), nil
			}
		case ir.OpRelu, ir.OpLtz, ir.OpWave, ir.OpExpo:
			if u, d := raw(args[0]); d > 0 {
				return emit(v.Op, v.Attrs.With(ir.I("drop", int64(d))), u)
			}
		case ir.OpReveal:
			if u, d := raw(args[0]); d > 0 && u.Type.Scale <= opt.revealBits(v.Attrs.Str("name"), v.Range) {
				return emit(v.Op, v.Attrs, u)
			}
		}
		settled := make([]*ir.Value, len(args))
		for i, a := range args {
			t, err := settle(a)
			if err != nil {
				return nil, err
			}
			settled[i] = t
		}
		return emit(v.Op, v.Attrs, settled...)
	})
}
