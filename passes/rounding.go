package passes

import (
	"math"

	"smpcc/ir"
)

// floor returns the largest integer at or below x: exact, on x as it is held.
func (a *approximation) floor(x *ir.Value) *ir.Value { return a.chop(x, 0) }

// rounds reports whether v turns reals into integers.
func rounds(v *ir.Value) bool {
	return v.Op == ir.OpCast && v.Args[0].Type.Elem == ir.Real && v.Type.Elem == ir.Int
}

// maxWhole bounds how many values whole looks at.
const maxWhole = 64

// whole reports whether a real value has integers as its elements by construction, and will be held without fraction bits.
func whole(v *ir.Value) bool {
	seen := map[*ir.Value]bool{v: true}
	for todo := []*ir.Value{v}; len(todo) > 0; {
		v, todo = todo[len(todo)-1], todo[:len(todo)-1]
		args := v.Args
		switch v.Op {
		case ir.OpConst:
			if d := v.Attrs.Tensor("data"); d.Elem == ir.Real && exactBits(d, 1) != 0 {
				return false
			}
			continue
		case ir.OpFloor, ir.OpCast: // a cast to real is of an integer or a bit
			continue
		case ir.OpSelect:
			args = args[1:]
		case ir.OpAdd, ir.OpSub, ir.OpNeg, ir.OpMul, ir.OpMax, ir.OpRelu, ir.OpConcat, ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpGather, ir.OpExpand:
		default:
			return false
		}
		for _, a := range args {
			if !seen[a] {
				seen[a] = true
				todo = append(todo, a)
			}
		}
		if len(seen) > maxWhole {
			return false
		}
	}
	return true
}

// towardsZero rounds x to the next integer in the direction of zero: exact, on x as it is held. Below zero that is the floor, and
// one more where x is not whole.
func (a *approximation) towardsZero(x *ir.Value) *ir.Value {
	iv := a.known(x)
	switch {
	case iv.lo >= 0:
		return a.floor(x)
	case iv.hi <= 0:
		return a.E(ir.OpNeg, nil, a.floor(a.E(ir.OpNeg, nil, x)))
	}
	y := a.floor(x)
	part := a.E(ir.OpAnd, nil, a.E(ir.OpLtz, nil, x), a.E(ir.OpLtz, nil, a.sub(y, x)))
	return a.add(y, a.E(ir.OpCast, ir.Attrs{ir.S("to", "real")}, part))
}

// truncated returns x rounded down to frac fraction bits, exactly: what a product has below them is compared, not dropped by
// chance, so that the result says nothing else of the low bits.
func (a *approximation) truncated(x *ir.Value, frac int) *ir.Value {
	return a.chop(a.E(ir.OpFormat, ir.Attrs{ir.I("frac", int64(2*a.frac))}, x), frac)
}

// finer returns the fraction bits that x is stated to be held with, if they are more than frac: what is rounded decides by all of them. Else it returns keep.
func finer(x *ir.Value, frac int) int {
	for x.Op == ir.OpFormat || x.Op == ir.OpAdd && x.Args[1].Op == ir.OpConst {
		if f := int(x.Attrs.Int("frac", 0)); x.Op == ir.OpFormat && f > frac {
			return f
		}
		x = x.Args[0]
	}
	return keep
}

// chop rounds x down to frac fraction bits. Truncation with n parties gives 0 to n-1 units too much, which are subtracted where a
// comparison shows them.
func (a *approximation) chop(x *ir.Value, frac int) *ir.Value {
	iv := a.known(x)
	unit := math.Ldexp(1, -frac)
	y := a.E(ir.OpFormat, ir.Attrs{ir.I("frac", int64(frac)), ir.F("lo", iv.lo-2*unit), ir.F("hi", iv.hi+float64(a.parties)*unit), ir.I("firm", 1)}, x)
	k, one := make([]float64, a.parties-1), make([]float64, a.parties-1)
	for i := range k {
		k[i], one[i] = float64(i)*unit, unit
	}
	rest := a.within(a.sub(x, y), finer(x, a.frac), -float64(a.parties)*unit, 2*unit)
	over := a.E(ir.OpLtz, nil, a.add(a.column(rest, len(k)), a.exact(frac, ir.Shape{1, len(k)}, k...)))
	down := a.sub(y, a.weigh(x, a.E(ir.OpCast, ir.Attrs{ir.S("to", "real")}, over), one, frac))
	if math.IsInf(iv.lo, 0) || math.IsInf(iv.hi, 0) {
		return down
	}
	return a.inside(down, math.Floor(iv.lo/unit)*unit, math.Floor(iv.hi/unit)*unit)
}
