package passes

import (
	"math"

	"smpcc/ir"
)

// A scaled function has f(m * 2^j) = f(m) * factor(j), or f(m) + term(j). Its argument is scaled into [1, 2) or [1, 4) by its octave, where f is a
// sum of waves.
type scaled struct {
	factor func(j float64) float64 // nil if it has a term; a power of two for even j
	term   func(j float64) float64
	odd    bool // f(-x) = -f(x); otherwise negative arguments count as 0
}

// An octave says in which octave each element of a value x lies: x = m * 2^j for j of lo, lo+step, .. last, and m in [1, 2^step), or below 1 where x is
// below 2^lo.
type octave struct {
	a        *approximation
	x        *ir.Value
	lo, last int
	step     int
	zero     bool                      // the first octave is that of zero
	view     func(*ir.Value) *ir.Value // what stands between a table and what it is multiplied with; nil if nothing
	bits     *ir.Value                 // comparisons of x with each 2^j but the first; nil if there is one octave
}

// scaled computes a function through the octave of its argument.
func (a *approximation) scaled(x *ir.Value, op ir.Op, w *scaled) *ir.Value {
	if w.odd {
		return a.signed(x, func(x *ir.Value) *ir.Value { return a.scaledPositive(x, op, w) })
	}
	return a.scaledPositive(x, op, w)
}

func (a *approximation) scaledPositive(x *ir.Value, op ir.Op, w *scaled) *ir.Value {
	iv := a.known(x)
	if w.term != nil && iv.lo > 0 && iv.hi-iv.lo <= nearOne*iv.lo {
		return a.near(x, ir.Smooth[op])
	}
	least := 0
	if op == ir.OpSqrt && iv.lo <= 0 { // near zero an error of x is one of sqrt(x)
		least = 2 - 2*int(math.Floor(math.Log2(a.eps)))
	}
	o := a.octave(x, op, least)
	y := a.onMantissa(ir.Smooth[op], o)
	if w.term != nil {
		end := 1 + math.Ln2*float64(max(-o.lo, o.last+o.step))
		lo, hi := -end, end
		if f := ir.Smooth[op]; iv.lo > 0 { // it rises; a mantissa has significantBits
			lo, hi = max(lo, f(iv.lo)-2*max(a.eps, lastMantissa)), min(hi, f(iv.hi)+2*max(a.eps, lastMantissa))
		}
		return a.within(a.add(y, o.table(w.term, a.mantissaBits())), keep, lo, hi)
	}
	factor := w.factor
	if o.zero {
		factor = func(j float64) float64 {
			if j == float64(o.lo) {
				return 0
			}
			return w.factor(j)
		}
	}
	f := ir.Smooth[op]
	first, last := factor(float64(o.lo)), factor(float64(o.last))
	most := 1.005 * max(first, last) * max(f(1), f(math.Ldexp(1, o.step)))
	frac := fractionBits(a.frac, most)
	exact := o.exact(factor)
	if op != ir.OpSqrt { // whatever it is multiplied with, its leading digits count
		frac = max(frac, min(exact+significantBits, mostFraction, ringRoom/2-binade(most)))
	}
	z := a.within(a.mul(y, o.table(factor, min(max(exact, frac+3), mostFraction))), frac, 0, most)
	switch op {
	case ir.OpRsqrt:
		a.roots[z] = &root{o, x, y}
	case ir.OpSqrt:
		a.rooted[plain(z)] = o.x
	}
	return z
}

// nearOne is how far an argument of a function with a term may reach above its least value, in parts of that, for a polynomial to take the place of octaves.
const nearOne = 0.125

// lastMantissa is the unit of a mantissa that has no more than significantBits.
const lastMantissa = 1.0 / (1 << significantBits)

// near computes a function of arguments that differ little from one another by a polynomial in their distance t from the middle of the range, which has as many
// fraction bits as a relative error of eps of the least result asks for: log(1.0001) has none of its digits in a mantissa. Error: 0.2 eps by the fit, rounding
// of t times the slope, and that of the terms.
func (a *approximation) near(x *ir.Value, f func(float64) float64) *ir.Value {
	iv := a.known(x)
	bits := min(max(int(math.Ceil(-math.Log2(a.eps)))+4, a.frac), mostNearBits)
	mid := roundTo((iv.lo+iv.hi)/2, 10)
	unit := math.Ldexp(4, -bits)
	lo, hi := iv.lo-mid-unit, iv.hi-mid+unit
	at := func(t float64) float64 { return f(mid + t) }
	c := fitPolyTo(at, lo, hi, 0.2*a.eps, bits+2)
	t := a.within(a.sub(x, a.num(mid)), bits, lo, hi)
	slack := a.eps + unit
	return a.within(a.polynomial(t, c, bits+2), bits, f(iv.lo)-slack, f(iv.hi)+slack)
}

// mostNearBits is how many fraction bits the polynomial of near has at most: products of two have room in a ring.
const mostNearBits = 28

// octave compares x, an argument of op, with the powers of two in its range. For a square root what is less than a unit has an octave of its own.
func (a *approximation) octave(x *ir.Value, op ir.Op, least int) *octave {
	x, lo := a.finely(a.positive(x), least)
	iv := a.known(x)
	zero, root := op == ir.OpSqrt, op == ir.OpSqrt || op == ir.OpRsqrt
	hi := lo + 1
	for math.Ldexp(1, hi) < iv.hi {
		hi++
	}
	o := &octave{a: a, x: x, lo: lo, step: 1}
	if hi-lo > 1 {
		o.step = 2
	}
	if root && o.step == 2 { // even exponents have roots that are exact
		o.lo = lo &^ 1
	}
	if o.zero = zero && iv.lo*(1+belowOne) < math.Ldexp(1, lo); o.zero {
		o.lo -= o.step
	}
	var t []float64
	for o.last = o.lo; o.last+o.step < hi; {
		o.last += o.step
		t = append(t, math.Ldexp(1, o.last))
	}
	if len(t) > 0 {
		o.bits = a.atLeast(x, t)
	}
	return o
}

// table looks up, for each element, a public table with an entry for each octave: linear in the bits of the comparisons, so it costs nothing more.
func (o *octave) table(entry func(j float64) float64, frac int) *ir.Value {
	a := o.a
	first := roundTo(entry(float64(o.lo)), frac)
	if o.bits == nil {
		return a.exact(frac, ir.Shape{}, first)
	}
	var w []float64
	before, least, most := first, first, first
	for j := o.lo + o.step; j <= o.last; j += o.step {
		y := roundTo(entry(float64(j)), frac)
		w, before = append(w, y-before), y
		least, most = min(least, y), max(most, y)
	}
	y := a.within(a.add(a.weigh(o.x, o.bits, w, frac), a.exact(frac, ir.Shape{}, first)), keep, least, most)
	if o.view != nil {
		y = o.view(y)
	}
	return y
}

// exact returns the fraction bits that hold the powers of two which a table has as its entries.
func (o *octave) exact(entry func(j float64) float64) int {
	bits := 0
	for j := o.lo; j <= o.last; j += o.step {
		if x := entry(float64(j)); x > 0 {
			bits = max(bits, int(math.Ceil(-math.Log2(x))))
		}
	}
	return bits
}

// scale returns x * factor(j), exactly: factors are powers of two. Those too small for the fraction bits of a value are taken from x before.
func (o *octave) scale(x *ir.Value, factor func(j float64) float64) *ir.Value {
	a := o.a
	exact, before := o.exact(factor), 0
	if before = exact - mostFraction; before > 0 {
		x = a.mul(x, a.exact(before, ir.Shape{}, math.Ldexp(1, -before)))
		return a.mul(x, o.table(func(j float64) float64 { return math.Ldexp(factor(j), before) }, mostFraction))
	}
	return a.mul(x, o.table(factor, exact))
}

// mantissaBits is the number of fraction bits of values near 1 that an error of eps needs, with room for a polynomial.
func (a *approximation) mantissaBits() int {
	return min(max(int(math.Ceil(-math.Log2(a.eps)))+6, 12), 20)
}

// significantBits is how many bits the least argument of a scaled function has at least.
const significantBits = 13

// belowOne is how far below 1 a mantissa may lie: what is at least 1 may be a little less by rounding, and needs no octave for that.
const belowOne = 1.0 / 32

// finely asks for as many fraction bits of x as give its least value significantBits, or as least asks for, as far as the ring has room, and returns the
// exponent of its least value other than zero.
func (a *approximation) finely(x *ir.Value, least int) (y *ir.Value, lo int) {
	iv := a.known(x)
	frac := max(fractionBits(a.frac, max(-iv.lo, iv.hi)), least)
	lo = -mostFraction
	if iv.lo > 0 {
		lo = max(lo, int(math.Floor(math.Log2(iv.lo*(1+belowOne)))))
		frac = max(frac, significantBits-lo)
	}
	if iv.lo <= 0 && a.fine { // the least argument is not known
		frac = max(frac, 2*a.frac-12)
	}
	table := int(math.Log2(limit(ir.Real, a.frac))) - 6 // what a table of its powers of two may hold
	frac = max(min(frac, mostFraction, table, ringRoom-6-binade(max(-iv.lo, iv.hi))), 0)
	return a.within(x, frac, math.Inf(-1), math.Inf(1)), max(lo, -frac)
}

// onMantissa evaluates f at m = x / 2^j as a polynomial in a sine that rises over [1, 2^step), which is a sum of waves. Below 1 it is the
// polynomial's continuation, which is bounded. Error: 0.15 eps, relative to the least |f| if f is not zero.
// Waves have as many fraction bits as keep what they are rounded by out of the result, and quietBits more than the error asks for if that is revealed as it is.
func (a *approximation) onMantissa(f func(float64) float64, o *octave) *ir.Value {
	period := o.step + 2
	end := math.Ldexp(1, o.step)
	mid, slope := (1+end)/2, 2*math.Pi/math.Ldexp(1, period)
	bits := a.mantissaBits()
	at := func(s float64) float64 { return f(mid + math.Asin(s)/slope) }
	edge := math.Sin(slope * (end - 1 + belowOne) / 2)
	eps := 0.1 * a.eps
	if low := min(math.Abs(f(1)), math.Abs(f(end))); low > 0 { // as many bits of the least value as of others
		low = min(low, 1)
		eps = 0.15 * a.eps * low
		bits += int(math.Ceil(-math.Log2(low)))
	}
	c := fitPolyTo(at, -edge, edge, eps, bits)
	_, least, most := polyError(at, c, math.Sin(-slope*mid), edge)
	fine := bits // of the waves
	if a.bare {
		fine = max(bits, min(bits+quietBits, mostWaveBits))
	}
	fine, out := quietWaves(sinePowers(c, period, fine).rows, fine, bits)
	w := sinePowers(c, period, fine)
	unit := math.Ldexp(16, -bits)
	m := a.within(o.scale(o.x, func(j float64) float64 { return math.Exp2(-j) }), bits, 0, end+1e-3)
	y := a.E(ir.OpWave, ir.Attrs{ir.T("data", w.rows), ir.I("period", int64(period)), ir.I("frac", int64(fine))}, a.within(a.sub(m, a.num(mid)), keep, -mid, end-mid+1e-3))
	return a.settled(a.add(y, a.exact(fine, ir.Shape{}, w.mean)), out, least-unit, most+unit)
}

// positive has negative arguments become 0, where a function has no meaning for them.
func (a *approximation) positive(x *ir.Value) *ir.Value {
	x, _ = a.clip(x, 0, math.Inf(1))
	return x
}
