package passes

import (
	"math"

	"smpcc/ir"
)

// Quotients x / y and x / sqrt(v). A reciprocal alone has digits before and behind the point that no format holds together where its argument has a
// wide range; a quotient needs only those that its own magnitude asks for.

// signed extends a function of positive arguments to an odd one.
func (a *approximation) signed(x *ir.Value, f func(x *ir.Value) *ir.Value) *ir.Value {
	if a.known(x).lo >= 0 {
		return f(x)
	}
	negative := a.E(ir.OpLtz, nil, x)
	y := f(a.E(ir.OpMax, nil, x, a.E(ir.OpNeg, nil, x)))
	return a.E(ir.OpSelect, nil, negative, a.E(ir.OpNeg, nil, y), y)
}

// quotient computes x / y as x * (1/m) * 2^-j with y = m * 2^j.
func (a *approximation) quotient(x, y *ir.Value) *ir.Value {
	sign := (*ir.Value)(nil)
	fact := a.quotientFact(x, y)
	if a.known(y).lo < 0 {
		sign = a.E(ir.OpLtz, nil, y)
		y = a.E(ir.OpMax, nil, y, a.E(ir.OpNeg, nil, y))
		fact = nil
	}
	o := a.octave(y, ir.OpRecip, 0)
	r := a.onMantissa(ir.Smooth[ir.OpRecip], o)
	q := a.times(x, r, o, methods[ir.OpRecip].scale.factor, fact)
	a.state(fact)
	if sign != nil {
		q = a.E(ir.OpSelect, nil, sign, a.E(ir.OpNeg, nil, q), q)
	}
	return q
}

// state notes a bound of the result for proofs.
func (a *approximation) state(fact *interval) {
	if a.sure {
		a.fact = fact
	}
}

// A root holds what a reciprocal root was made from: its argument, the octaves of that, and m^-1/2.
type root struct {
	*octave
	of *ir.Value
	y  *ir.Value
}

// overRoot computes x * 1/sqrt(v), in either order, without the reciprocal root itself; nil if neither factor is one. args are x and v.
func (a *approximation) overRoot(x, r *ir.Value) (y *ir.Value, args []*ir.Value) {
	for range 2 {
		var views []*ir.Value // from the root to the factor
		v := r
		for ; ir.Rows[v.Op].View && len(v.Args) == 1; v = v.Args[0] {
			views = append(views, v)
		}
		if root := a.roots[v]; root != nil {
			view := func(y *ir.Value) *ir.Value {
				if len(y.Type.Shape) == 0 { // one number for all
					return y
				}
				for i := len(views) - 1; i >= 0; i-- {
					y = a.E(views[i].Op, views[i].Attrs, y)
				}
				return y
			}
			o := *root.octave
			o.view = view
			wide := a.loosen([]*ir.Value{x})[0]
			fact := a.rootFact(x, r, o.x)
			a.state(fact)
			return a.times(wide, view(root.y), &o, methods[ir.OpRsqrt].scale.factor, fact), []*ir.Value{wide, root.of}
		}
		x, r = r, x
	}
	return nil, nil
}

// bytesOfScaled is what an element of x costs where it is scaled before it is multiplied: one more opening.
const bytesOfScaled = 5.0

// times returns x * y * factor(j), where y lies in [0, 1] but for rounding, factors are powers of two, and j is the octave of what y is computed from.
// fact, if there is one, bounds the result; else it is what x and the least octave make of it. A few elements are scaled first, while y is computed:
// one more opening of each, and a round less. Of many the factor goes into y, with as many digits as the largest argument asks for.
func (a *approximation) times(x, y *ir.Value, o *octave, factor func(j float64) float64, fact *interval) *ir.Value {
	iv := a.known(x)
	first := factor(float64(o.lo))
	size := max(-iv.lo, iv.hi)
	most := interval{-size * first, size * first, iv.from}
	if iv.lo >= 0 {
		most.lo = 0
	}
	if fact != nil {
		most.lo, most.hi = max(most.lo, fact.lo), min(most.hi, fact.hi)
	}
	bound := max(-most.lo, most.hi)
	if digits := significantBits + int(math.Ceil(math.Log2(first))); a.fine && a.known(o.x).lo > 0 && digits > fractionBits(a.frac, size) {
		x = a.within(x, min(digits, mostFraction), math.Inf(-1), math.Inf(1))
	}
	frac := fractionBits(a.frac, bound)
	exact := o.exact(factor)
	digits := min(exact+significantBits, mostFraction)
	fits := exact <= mostFraction && fractionBits(a.frac, size)+digits+binade(bound) <= ringRoom-3
	if n := x.Type.Shape.Size(); fits && n > y.Type.Shape.Size() && float64(n)*bytesOfScaled >= a.net.roundsWorth(1) {
		r := a.within(a.mul(y, o.table(factor, exact)), digits, 0, 1.01*first)
		return a.within(a.mul(x, r), frac, most.lo, most.hi)
	}
	// x * factor is at most |result| / y
	swell := math.Ldexp(1.01, o.step)
	part := interval{max(-size*first, most.lo*swell), min(size*first, most.hi*swell), iv.from}
	t := a.within(o.scale(x, factor), fractionBits(a.frac, max(-part.lo, part.hi)), part.lo, part.hi)
	return a.within(a.mul(t, y), frac, most.lo, most.hi)
}
