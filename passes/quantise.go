package passes

import (
	"math"
	"math/bits"
	"slices"

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

// quantise turns reals into ring elements and integers and bits into ring elements without fraction bits. Reals have FracBits
// fraction bits, or what a format asks for; a real that is a bit has none. A product has as many as the finer of its factors,
// by a truncation behind it; ops that combine values raise the coarser ones first.
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
		constant := func(d *ir.Tensor, scale int) (*ir.Value, error) {
			e, err := ir.Encode(d, scale)
			if err != nil {
				return nil, err
			}
			return emit(ir.OpConst, ir.Attrs{ir.T("data", e), ir.I("scale", int64(scale))})
		}
		// raise gives x at least the wanted number of fraction bits.
		raise := func(x *ir.Value, scale int) (*ir.Value, error) {
			by := scale - x.Type.Scale
			if x.Type.Elem != ir.Ring || by <= 0 {
				return x, nil
			}
			s, err := nf.Emit(v.Pos, ir.OpShl, ir.Attrs{ir.I("by", int64(by))}, x)
			if s != nil {
				s.Range = x.Range
			}
			return s, err
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
			return constant(d, exactBits(d, scale))
		case ir.OpFormat:
			want := v.Attrs.Int("frac", args[0].Type.Scale)
			if v.Args[0].Op == ir.OpConst {
				return constant(v.Args[0].Attrs.Tensor("data"), want)
			}
			x := args[0]
			if x.Op == ir.OpTrunc && narrower(v.Range, x.Range) { // a bound of the quotient bounds the product
				x.Range, x.Args[0].Range = v.Range, v.Range
			}
			firm := v.Attrs.Int("firm", 0) != 0
			if by := x.Type.Scale - want; by > 0 || by == 0 && firm {
				attrs := ir.Attrs{ir.I("drop", int64(by))}
				if firm {
					attrs = append(attrs, ir.I("firm", 1))
				}
				return emit(ir.OpTrunc, attrs, x)
			}
			return raise(x, want)
		case ir.OpMul, ir.OpMatMul, ir.OpConv:
			args = slices.Clone(args)
			want := max(args[0].Type.Scale, args[1].Type.Scale)
			for i, a := range v.Args { // a public factor has fraction bits as its size asks for
				if a.Op != ir.OpConst || a.Type.Elem != ir.Real {
					continue
				}
				d := a.Attrs.Tensor("data")
				more := f + smallness(d)
				if 1+signedBits(v.Range.Abs(), args[1-i].Type.Scale+more, 1) > maxProductBits {
					more = f // the ring has no room for more
				}
				c, err := constant(d, exactBits(d, more))
				if err != nil {
					return nil, err
				}
				c.Range = a.Range
				args[i] = c
				want = max(args[1-i].Type.Scale, min(c.Type.Scale, f))
			}
			p, err := emit(v.Op, v.Attrs, args...)
			drop := args[0].Type.Scale + args[1].Type.Scale - want
			if err != nil || drop == 0 {
				return p, err
			}
			return emit(ir.OpTrunc, ir.Attrs{ir.I("drop", int64(drop))}, p)
		case ir.OpWave, ir.OpExpo:
			w, err := emit(v.Op, v.Attrs, args...)
			if err != nil {
				return nil, err
			}
			return emit(ir.OpTrunc, ir.Attrs{ir.I("drop", int64(w.Type.Scale-v.Attrs.Int("frac", 0)))}, w)
		case ir.OpCast:
			x := args[0]
			if v.Args[0].Type.Elem == ir.Bool && v.Type.Elem != ir.Bool {
				return emit(ir.OpCast, ir.Attrs{ir.S("to", "ring")}, x)
			}
			if rounds(v) && x.Type.Scale != 0 {
				return nil, diag.Errorf(v.Pos, "a real with %d fraction bits was not rounded before it becomes an integer", x.Type.Scale).
					WithHint("do not skip the pass approximate")
			}
			return x, nil
		case ir.OpAdd, ir.OpSub, ir.OpMax, ir.OpSelect, ir.OpConcat:
			finest := 0
			for _, a := range args {
				finest = max(finest, a.Type.Scale)
			}
			args = slices.Clone(args)
			for i, a := range args {
				if a.Op == ir.OpConst && v.Args[i].Type.Elem == ir.Real && a.Type.Scale < finest {
					c, err := constant(known(m, v.Args[i]), finest)
					if err != nil {
						return nil, err
					}
					c.Range = a.Range
					args[i] = c
					continue
				}
				if v.Args[i].Type.Elem == ir.Bool {
					continue
				}
				var err error
				if args[i], err = raise(a, finest); err != nil {
					return nil, err
				}
			}
		}
		return emit(v.Op, v.Attrs, args...)
	})
}

// exactBits returns the least number of fraction bits, of at most the given one, that hold t as well: a product with 1/8 need
// not be truncated by more than 3 bits.
func exactBits(t *ir.Tensor, most int) int {
	if t.Elem != ir.Real {
		return most
	}
	var or int64
	for _, x := range t.F {
		y := math.Round(math.Ldexp(x, most))
		if !(math.Abs(y) < 1<<62) {
			return most
		}
		or |= int64(y)
	}
	if or == 0 {
		return 0
	}
	return max(0, most-bits.TrailingZeros64(uint64(or)))
}

// smallness returns how many bits all elements of t are below 1, at most 12: a factor of 1/768 with 16 fraction bits would be wrong
// by half a percent.
func smallness(t *ir.Tensor) int {
	most := 0.0
	for _, x := range t.F {
		most = max(most, math.Abs(x))
	}
	if most == 0 || most >= 1 {
		return 0
	}
	_, e := math.Frexp(most) // most < 2^e
	return min(-e, 12)
}

// narrower reports whether a lies within b and is smaller.
func narrower(a, b ir.Range) bool {
	return b.Origin == ir.NoRange || a.Lo >= b.Lo && a.Hi <= b.Hi && a.Hi-a.Lo < b.Hi-b.Lo
}
