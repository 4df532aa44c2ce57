package passes

import (
	"math"

	"smpcc/ir"
)

// signed extends a function of positive arguments to an odd one.
func (a *approximation) signed(x *ir.Value, f func(x *ir.Value) *ir.Value) *ir.Value {
	if a.known(x).lo >= 0 {
		return f(x)
	}
	negative := a.E(ir.OpLtz, nil, x)
	y := f(a.E(ir.OpMax, nil, x, a.E(ir.OpNeg, nil, x)))
	return a.E(ir.OpSelect, nil, negative, a.E(ir.OpNeg, nil, y), y)
}

// quotient computes x / y as (x / 2^j) * (1 / m) with y = m * 2^j: x is scaled before it meets the reciprocal, so that the error
// is relative to the quotient and not to x.
func (a *approximation) quotient(x, y *ir.Value) *ir.Value {
	w := methods[ir.OpRecip].scale
	sign := (*ir.Value)(nil)
	if a.known(y).lo < 0 {
		sign = a.E(ir.OpLtz, nil, y)
		y = a.E(ir.OpMax, nil, y, a.E(ir.OpNeg, nil, y))
	}
	y = a.positive(y, w.hi)
	y, lo, hi := a.fine(y, w, 0)
	m, _, scale := a.mantissa(y, lo, hi)
	r := a.onMantissa(ir.Smooth[ir.OpRecip], m, 0.1*a.eps)
	iv := a.known(x)
	most := max(-iv.lo, iv.hi) * math.Exp2(float64(-lo))
	frac := fractionBits(a.frac, most)
	q := a.within(a.mul(a.within(a.mul(x, scale), frac, -most, most), r), frac, -most, most)
	if sign != nil {
		q = a.E(ir.OpSelect, nil, sign, a.E(ir.OpNeg, nil, q), q)
	}
	return q
}
