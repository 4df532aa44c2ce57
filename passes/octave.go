package passes

import (
	"math"

	"smpcc/ir"
)

// A scaled function has f(m * 2^j) = f(m) * factor(j), or f(m) + term(j), for m in [1, 2).
type scaled struct {
	lo, hi int                     // exponents of the window [2^lo, 2^hi]
	factor func(j float64) float64 // nil if it has a term
	term   func(j float64) float64
	odd    bool // f(-x) = -f(x); otherwise negative arguments count as 0
}

// Octaves that arguments of scaled functions may have; ranges narrow them.
const (
	leastOctave = -28
	mostOctave  = 40
)

// scaled computes a function through the octave of its argument.
func (a *approximation) scaled(x *ir.Value, op ir.Op, w *scaled) *ir.Value {
	if w.odd {
		return a.signed(x, func(x *ir.Value) *ir.Value { return a.scaledPositive(x, op, w) })
	}
	return a.scaledPositive(x, op, w)
}

func (a *approximation) scaledPositive(x *ir.Value, op ir.Op, w *scaled) *ir.Value {
	least := 0
	if op == ir.OpSqrt && a.known(x).lo <= 0 { // near zero an error of x is one of sqrt(x)
		least = 2 - 2*int(math.Floor(math.Log2(a.eps)))
	}
	x = a.positive(x, w.hi)
	x, lo, hi := a.fine(x, w, least)
	zero := op == ir.OpSqrt && a.known(x).lo < math.Ldexp(1, lo)
	if zero { // an octave for what is less than a unit: zero
		lo--
	}
	m, lookup, _ := a.mantissa(x, lo, hi)
	y := a.onMantissa(ir.Smooth[op], m, 0.1*a.eps)
	if w.term != nil {
		end := 1 + math.Ln2*float64(max(-lo, hi))
		return a.within(a.add(y, lookup(w.term, a.mantissaBits())), keep, -end, end)
	}
	factor := func(j float64) float64 {
		if zero && j == float64(lo) {
			return 0
		}
		return w.factor(j)
	}
	most := 2.01 * max(factor(float64(lo)), factor(float64(hi-1))) // f(m) is at most f(1) or f(2)
	frac := fractionBits(a.frac, most)
	f := lookup(factor, min(frac+3, mostFraction))
	return a.within(a.mul(y, f), frac, 0, most)
}

// octaves compares x with the public powers of two inside (2^lo, 2^hi). The result looks up, for each element, a public table
// with an entry for each octave: linear in the bits, so it costs nothing more. Octaves beyond the ends count as the last.
func (a *approximation) octaves(x *ir.Value, lo, hi int) func(table func(j float64) float64, frac int) *ir.Value {
	var t []float64
	for j := lo + 1; j < hi; j++ {
		t = append(t, math.Ldexp(1, j))
	}
	if len(t) == 0 {
		return func(table func(float64) float64, frac int) *ir.Value {
			return a.exact(frac, ir.Shape{}, table(float64(lo)))
		}
	}
	bits := a.atLeast(x, t)
	return func(table func(float64) float64, frac int) *ir.Value {
		w := make([]float64, len(t))
		first := roundTo(table(float64(lo)), frac)
		before, least, most := first, first, first
		for i := range w {
			y := roundTo(table(float64(lo+1+i)), frac)
			w[i], before = y-before, y
			least, most = min(least, y), max(most, y)
		}
		return a.within(a.add(a.weigh(x, bits, w, frac), a.exact(frac, ir.Shape{}, first)), keep, least, most)
	}
}

// exponents narrows the window 2^lo..2^hi to what the range of x needs.
func (a *approximation) exponents(x *ir.Value, lo, hi int) (int, int) {
	iv := a.known(x)
	for lo < hi-1 && math.Ldexp(1, lo+1) <= iv.lo {
		lo++
	}
	for hi-1 > lo && math.Ldexp(1, hi-1) >= iv.hi {
		hi--
	}
	return lo, hi
}

// mantissaBits is the number of fraction bits of values near 1 that an error of eps needs, with room for a polynomial.
func (a *approximation) mantissaBits() int {
	return min(max(int(math.Ceil(-math.Log2(a.eps)))+6, 12), 20)
}

// mantissa returns x / 2^j in [1, 2), or below if x is below its window, and the lookup by octave.
// The scale 2^-j has as many fraction bits as it needs to be exact.
func (a *approximation) mantissa(x *ir.Value, lo, hi int) (m *ir.Value, lookup func(func(float64) float64, int) *ir.Value, scale *ir.Value) {
	lookup = a.octaves(x, lo, hi)
	scale = lookup(func(j float64) float64 { return math.Exp2(-j) }, max(0, hi-1))
	return a.within(a.mul(x, scale), a.mantissaBits(), 0, 2+1e-3), lookup, scale
}

// significantBits is how many bits the least argument of a scaled function has at least.
const significantBits = 13

// fine asks for as many fraction bits of x as give its least value significantBits, or as least asks for, as far as the ring has room, and returns the
// octave in which its least value other than zero lies.
func (a *approximation) fine(x *ir.Value, w *scaled, least int) (y *ir.Value, lo, hi int) {
	iv := a.known(x)
	frac := fractionBits(a.frac, max(-iv.lo, iv.hi))
	lo = w.lo
	if iv.lo > 0 {
		lo = max(lo, int(math.Floor(math.Log2(iv.lo))))
		frac = max(frac, significantBits-lo)
	}
	frac = min(max(frac, least), mostFraction, ringRoom-3-binade(max(-iv.lo, iv.hi)))
	lo = max(lo, -frac)
	lo, hi = a.exponents(x, lo, w.hi)
	return a.within(x, max(frac, 0), math.Inf(-1), math.Inf(1)), lo, hi
}

// onMantissa evaluates f at m in [1, 2) as a polynomial in sin(pi/4 * (m - 1.5)), which is a sum of waves. Below 1 it is the polynomial's
// continuation, which is bounded.
func (a *approximation) onMantissa(f func(float64) float64, m *ir.Value, eps float64) *ir.Value {
	const (
		mid    = 1.5
		period = 3
		slope  = 2 * math.Pi / (1 << period)
	)
	bits := a.mantissaBits()
	at := func(s float64) float64 { return f(mid + math.Asin(s)/slope) }
	edge := math.Sin(slope / 2)
	c := fitPolyTo(at, -edge, edge, eps, bits)
	_, least, most := polyError(at, c, math.Sin(-slope*mid), edge)
	w := sinePowers(c, period, bits)
	unit := math.Ldexp(16, -bits)
	y := a.E(ir.OpWave, ir.Attrs{ir.T("data", w.rows), ir.I("period", period), ir.I("frac", int64(bits))}, a.within(a.sub(m, a.num(mid)), keep, -mid, 0.5+1e-3))
	return a.within(a.add(y, a.exact(bits, ir.Shape{}, w.mean)), bits, least-unit, most+unit)
}

// positive clips x to at most 2^hi; negative arguments become 0 where f has no meaning for them.
func (a *approximation) positive(x *ir.Value, hi int) *ir.Value {
	x, _ = a.clip(x, 0, math.Ldexp(1, hi))
	return x
}
