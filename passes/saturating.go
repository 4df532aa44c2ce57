package passes

import (
	"math"

	"smpcc/ir"
)

// quietBits is how many more fraction bits a saturating function's waves have than its error asks for. Each wave is rounded, and what rounding adds depends on the
// secret argument also where the function is flat. With these bits it is a sixteenth of what would be there: an output of 13 fraction bits tells 0.03 to
// 0.09 bits of the argument beyond the function, in place of 0.5 to 1.3 (docs/protocols.md). They cost material only, and often none, as rings come in few sizes.
const quietBits = 4

// bare returns the values that are revealed as they are, or in sums and multiples that the receiver may undo.
func bare(f *ir.Func) map[*ir.Value]bool {
	out := map[*ir.Value]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		linear := ir.Rows[v.Op].View || v.Op == ir.OpAdd || v.Op == ir.OpSub || v.Op == ir.OpNeg || v.Op == ir.OpReduceSum || v.Op == ir.OpFormat ||
			(v.Op == ir.OpMul || v.Op == ir.OpMatMul || v.Op == ir.OpConv) && (v.Args[0].Type.Vis.IsPublic() || v.Args[1].Type.Vis.IsPublic())
		for _, a := range v.Args {
			if v.Op == ir.OpReveal || linear && out[v] {
				out[a] = true
			}
		}
	}
	return out
}

// A bend is a function that runs into a constant on the left and a line on the right.
type bend struct {
	left  float64
	right line
	part  parity // how a polynomial uses its symmetry
}

// A parity splits a function so that a polynomial needs half the terms.
type parity int

const (
	neither parity = iota
	even           // f(x) = x/2 + e(x^2)
	odd            // f(x) = x * e(x^2)
	centred        // f(x) = 1/2 + x * e(x^2)
)

// window returns where f differs from its asymptotes by more than eps; its ends are multiples of 1/8.
func (b *bend) window(f func(float64) float64, eps float64) (lo, hi float64) {
	const step = 1.0 / 8
	lo, hi = -64, 64
	for lo < 0 && math.Abs(f(lo+step)-b.left) <= eps {
		lo += step
	}
	for hi > lo+step && math.Abs(f(hi-step)-b.right.at0-b.right.slope*(hi-step)) <= eps {
		hi -= step
	}
	return lo, hi
}

// A polyline takes fewer rounds and more bytes for each element than waves, or Chebyshev polynomials, between two thresholds.
const (
	roundsSaved     = 1.0
	bytesSpent      = 30.0
	roundsSavedPoly = 5.0
	bytesSpentPoly  = 100.0
)

// polyline computes a function with asymptotes as a sum of ReLUs at public thresholds: one opening, one comparison round.
// Error: 0.6 eps by the fit, half an ulp per knot by rounding.
func (a *approximation) polyline(x *ir.Value, op ir.Op, w *bend) *ir.Value {
	if y := a.waves(x, ir.Smooth[op], w.part); y != nil {
		return y
	}
	iv := a.known(x)
	saved, spent := roundsSaved, bytesSpent
	if w.part == neither {
		saved, spent = roundsSavedPoly, bytesSpentPoly
	}
	if float64(x.Type.Shape.Size())*spent >= a.net.roundsWorth(saved) {
		return a.between(x, ir.Smooth[op], w)
	}
	first, last := w.window(ir.Smooth[op], 0.3*a.eps)
	p := fitLine(ir.Smooth[op], first, last, w.left, w.right, 0.6*a.eps, a.frac)
	var t, s []float64 // knots below the range are part of a line, those above it are dropped
	y0, slope := p.y0, 0.0
	for i, k := range p.at {
		switch {
		case k >= iv.hi:
		case k <= iv.lo:
			y0 -= float64(p.slope[i] * k)
			slope += p.slope[i]
		default:
			t, s = append(t, k), append(s, p.slope[i])
		}
	}
	y := a.num(y0)
	if len(t) > 0 {
		above := a.E(ir.OpRelu, nil, a.sub(a.column(x, len(t)), a.Const(ir.Reals(ir.Shape{1, len(t)}, t...))))
		y = a.add(a.weigh(x, above, s, a.frac), y)
	}
	if slope != 0 {
		y = a.add(a.mul(x, a.num(slope)), y)
	} else if len(t) == 0 {
		y = a.add(a.sub(x, x), y)
	}
	lo, hi := p.y0, p.y0
	for _, k := range append(p.at, iv.lo, iv.hi) {
		v := p.eval(max(min(k, iv.hi), iv.lo))
		lo, hi = min(lo, v), max(hi, v)
	}
	unit := math.Ldexp(float64(2+len(p.at)), -a.frac)
	return a.within(y, keep, lo-unit, hi+unit)
}

// between computes a function with asymptotes between two thresholds, beyond which it is a constant and a line. Error: 0.2 eps by the
// asymptotes, the rest by what is between.
func (a *approximation) between(x *ir.Value, f func(float64) float64, w *bend) *ir.Value {
	first, last := w.window(f, 0.2*a.eps)
	switch iv := a.known(x); { // where the whole range is an asymptote
	case iv.lo >= last:
		return a.add(a.mul(x, a.num(w.right.slope)), a.num(w.right.at0))
	case iv.hi <= first:
		return a.add(a.sub(x, x), a.num(w.left))
	}
	x, over := a.clip(x, first, last)
	y := a.waves(x, f, w.part)
	if y == nil {
		y = a.chebyshev(x, f, w.part)
	}
	if over != nil && w.right.slope != 0 { // the line on the right goes on
		y = a.add(y, a.mul(over, a.num(w.right.slope)))
	}
	return y
}

// waves computes a function with asymptotes, half a wave away from where they meet, as a sum of waves: one opening and no round
// behind it. What has the shape of a step or of a corner is continued by its mirror image, so that even harmonics vanish.
// It returns nil if x may lie so far out that there would be too many of them. Error: 0.5 eps by the fit, the rest by rounding.
// Waves have as many fraction bits as keep what they are rounded by out of the result, and quietBits more than the error asks for if that is revealed as it is.
func (a *approximation) waves(x *ir.Value, f func(float64) float64, part parity) *ir.Value {
	iv := a.known(x)
	bits := a.mantissaBits()
	if a.bare {
		bits = min(bits+quietBits, mostWaveBits)
	}
	g, slope, y0 := f, 0.0, 0.0
	switch part {
	case neither:
		return nil
	case even:
		g, slope = func(x float64) float64 { return f(x) - x/2 }, 0.5
	case centred:
		g, y0 = func(x float64) float64 { return f(x) - 0.5 }, 0.5
	}
	fit := func(bits int) *waves {
		if w := fitWaves(g, part == even, max(-iv.lo, iv.hi), 0.1*a.eps, bits); w != nil { // a few more waves cost little
			return w
		}
		return fitWaves(g, part == even, max(-iv.lo, iv.hi), 0.5*a.eps, bits)
	}
	w := fit(bits)
	if w == nil {
		return nil
	}
	lo, hi := extremes(func(t float64) float64 { return f(iv.lo + (iv.hi-iv.lo)*(t+1)/2) })
	out := a.bitsOf(max(-lo, hi))
	least := bits
	if bits, out = quietWaves(w.rows, bits, out); bits > least {
		if finer := fit(bits); finer != nil {
			w = finer
		}
	}
	if slope != 0 { // x is opened anyway, and linear terms read its wire
		x = a.firm(x, a.bitsOf(max(-iv.lo, iv.hi)))
	}
	y := a.E(ir.OpWave, ir.Attrs{ir.T("data", w.rows), ir.I("period", int64(w.period)), ir.I("frac", int64(bits))}, x)
	if w.mean != 0 {
		y = a.add(y, a.exact(bits, ir.Shape{}, w.mean))
	}
	bottom, top := extremes(func(t float64) float64 { return g(iv.lo + (iv.hi-iv.lo)*(t+1)/2) })
	y = a.within(y, keep, bottom-a.eps, top+a.eps)
	if y0 != 0 {
		y = a.add(y, a.num(y0))
	}
	if slope != 0 {
		y = a.add(y, a.mul(x, a.num(slope)))
	}
	return a.settled(y, out, lo-a.eps, hi+a.eps)
}

// bitsOf returns the fraction bits that arguments and results of waves of the given magnitude are kept with: as many as any value of that size,
// but no fewer than the error asks for.
func (a *approximation) bitsOf(mag float64) int {
	return max(fractionBits(a.frac, mag), min(a.frac, a.mantissaBits()-3))
}
