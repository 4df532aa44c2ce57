package passes

import (
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// DefaultPrecision is the error that approximations keep to where the user asks for nothing else: absolute, or relative
// where the result exceeds 1.
const DefaultPrecision = 1e-3

// A method is how a smooth function is computed: one of the fields below is set.
type method struct {
	bend  *bend                                         // a polyline: one comparison deep
	scale *scaled                                       // argument scaled into [1, 2) by its octave, a polynomial there
	by    func(a *approximation, x *ir.Value) *ir.Value // its own way
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

// methods says how each smooth function is approximated, and on what window. What a range holds beyond it is refused by the check of outputs.
var methods = map[ir.Op]method{
	ir.OpSigmoid:  {bend: &bend{0, line{1, 0}, centred}},
	ir.OpTanh:     {bend: &bend{-1, line{1, 0}, odd}},
	ir.OpErf:      {bend: &bend{-1, line{1, 0}, odd}},
	ir.OpGelu:     {bend: &bend{0, line{0, 1}, even}},
	ir.OpSilu:     {bend: &bend{0, line{0, 1}, even}},
	ir.OpSoftplus: {bend: &bend{0, line{0, 1}, even}},
	ir.OpMish:     {bend: &bend{0, line{0, 1}, neither}},
	ir.OpElu:      {bend: &bend{-1, line{0, 1}, neither}},
	ir.OpRecip:    {scale: &scaled{lo: leastOctave, hi: mostOctave, factor: func(j float64) float64 { return math.Exp2(-j) }, odd: true}},
	ir.OpRsqrt:    {scale: &scaled{lo: leastOctave, hi: mostOctave, factor: func(j float64) float64 { return math.Exp2(-j / 2) }}},
	ir.OpSqrt:     {scale: &scaled{lo: leastOctave, hi: mostOctave, factor: func(j float64) float64 { return math.Exp2(j / 2) }}},
	ir.OpLog:      {scale: &scaled{lo: leastOctave, hi: mostOctave, term: func(j float64) float64 { return j * math.Ln2 }}},
	ir.OpGeluTanh: {bend: &bend{0, line{0, 1}, even}},
	ir.OpFloor:    {by: (*approximation).floor},
	ir.OpExp:      {by: (*approximation).exp},
	ir.OpSin:      {by: func(a *approximation, x *ir.Value) *ir.Value { return a.wave(x, true) }},
	ir.OpCos:      {by: func(a *approximation, x *ir.Value) *ir.Value { return a.wave(x, false) }},
}

// An approximation replaces one value.
type approximation struct {
	ir.Builder
	known func(x *ir.Value) interval // range of a value made so far
	eps   float64
	frac  int // fraction bits of reals near 1
	tight int // how many bits closer than usual the result is wanted

	parties int
	net     Network
}

// approximate replaces smooth functions, and quotients, by core ops whose error is within the precision asked for on the
// stated window and which are clamped, never wrapped, outside. Ranges known so far narrow the work.
func approximate(m *ir.Module, opt *Options) error {
	need := len(opt.Exact) > 0
	for _, v := range m.Main().Body {
		need = need || ir.Smooth[v.Op] != nil || v.Op == ir.OpDiv || rounds(v) || integerMethods[v.Op] != nil
	}
	if !need {
		return nil
	}
	observed, err := calibrate(m, opt)
	if err != nil {
		return err
	}
	eps := opt.Precision
	if eps <= 0 {
		eps = DefaultPrecision
	}
	seen := map[*ir.Value]interval{}
	done := 0
	most := func(e ir.Elem) float64 {
		if e == ir.Real && opt.wide {
			return wideLimit(opt.FracBits)
		}
		return limit(e, opt.FracBits)
	}
	visible := shown(m, opt)
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		known := func(x *ir.Value) interval {
			for ; done < len(nf.Body); done++ {
				n := nf.Body[done]
				lim := most(n.Type.Elem)
				iv, err := bound(visible, n, seen, opt)
				if err != nil || n.Type.Elem == ir.Bool {
					iv = interval{0, 1, ir.Proved}
					if err != nil {
						iv = interval{-lim, lim, ir.Assumed}
					}
				}
				iv.lo, iv.hi = max(iv.lo, -lim), min(iv.hi, lim)
				seen[n] = iv
			}
			return seen[x]
		}
		for i, a := range args {
			iv := known(a)
			if o, ok := observed[v.Args[i]]; ok && o.hi-o.lo < iv.hi-iv.lo {
				seen[a] = interval{max(o.lo, iv.lo), min(o.hi, iv.hi), ir.Calibrated}
			}
		}
		a := &approximation{Builder: ir.Builder{F: nf, At: v}, known: known, eps: math.Ldexp(eps, -min(max(v.Attrs.Int("tight", 0), 0), 12)), tight: min(max(v.Attrs.Int("tight", 0), 0), 12), frac: opt.FracBits, parties: len(m.Parties), net: opt.Net}
		mt, ok := methods[v.Op]
		if ok || v.Op == ir.OpDiv || rounds(v) || integerMethods[v.Op] != nil {
			args = a.loosen(args)
		}
		if err := domain(v, args, known, opt); err != nil {
			return nil, err
		}
		switch {
		case v.Op == ir.OpReveal && v.Args[0].Type.Elem == ir.Real && slices.Contains(opt.Exact, v.Attrs.Str("name")):
			return nf.Emit(v.Pos, v.Op, v.Attrs, a.truncated(args[0], opt.revealBits(v.Attrs.Str("name"), ir.Range{})))
		case rounds(v) && !whole(v.Args[0]):
			return nf.Emit(v.Pos, v.Op, v.Attrs, a.towardsZero(args[0]))
		case integerMethods[v.Op] != nil:
			return integerMethods[v.Op](a, v, args)
		case v.Op == ir.OpDiv:
			return a.quotient(args[0], args[1]), nil
		case !ok && ir.Smooth[v.Op] != nil:
			return nil, diag.Errorf(v.Pos, "%s has no approximation", v.Op)
		case !ok:
			return nf.Emit(v.Pos, v.Op, v.Attrs, args...)
		case mt.bend != nil:
			return a.polyline(args[0], v.Op, mt.bend), nil
		case mt.scale != nil:
			return a.scaled(args[0], v.Op, mt.scale), nil
		}
		return mt.by(a, args[0]), nil
	})
}

// domain refuses arguments for which a function has no value, where an input's declared range holds them, and exponentials that no ring holds.
// What is computed on the way to a function is not refused for its bound: the check of outputs decides.
func domain(v *ir.Value, args []*ir.Value, known func(*ir.Value) interval, opt *Options) error {
	refuse := func(what, hint string, iv interval) error {
		return diag.Errorf(v.Pos, "%s at %g..%g: %s", v.Op, iv.lo, iv.hi, what).WithHint("%s", hint)
	}
	switch v.Op {
	case ir.OpExp:
		if iv := known(args[0]); iv.hi > expCeiling && !opt.wide {
			return refuse(fmt.Sprintf("exp of up to %g fits a ring of 64 bits", expCeiling), "subtract the maximum first, Clip the argument, or declare a narrower input range (--range NAME=LO..HI)", iv)
		}
	case ir.OpRecip, ir.OpRsqrt, ir.OpLog, ir.OpDiv:
		x := args[len(args)-1]
		for x.Op == ir.OpFormat || ir.Rows[x.Op].View && len(x.Args) == 1 {
			x = x.Args[0]
		}
		iv := known(x)
		if bad := iv.lo <= 0 && (iv.hi >= 0 || v.Op == ir.OpRsqrt || v.Op == ir.OpLog); bad && x.Op == ir.OpInput && !x.Type.Vis.IsPublic() {
			return refuse("the range of its argument holds numbers for which it has no value", "declare a range without them (--range NAME=LO..HI), add a small number, or Clip the argument", iv)
		}
	}
	return nil
}

// loosen widens the ranges of arguments that derive from private data to powers of two. What is fitted to a range ends up in the
// plan, and with it the ranges of everything in between: they must not say more than the range itself, which is published so.
func (a *approximation) loosen(args []*ir.Value) []*ir.Value {
	out := slices.Clone(args)
	for i, x := range args {
		if x.Type.Vis.IsPublic() || x.Op == ir.OpInput {
			continue
		}
		own := a.known(x)
		iv := coarse(own)
		if x.Op == ir.OpFormat { // bounds that hold by construction are public
			if own.lo == x.Attrs.Float("lo", math.Inf(-1)) {
				iv.lo = own.lo
			}
			if own.hi == x.Attrs.Float("hi", math.Inf(1)) {
				iv.hi = own.hi
			}
		}
		out[i] = a.E(ir.OpFormat, ir.Attrs{ir.F("lo", iv.lo), ir.F("hi", iv.hi), ir.I("loose", 1)}, x)
	}
	return out
}

func (a *approximation) num(x float64) *ir.Value { return a.Const(ir.Reals(ir.Shape{}, x)) }

// exact is a public number with the given fraction bits.
func (a *approximation) exact(frac int, shape ir.Shape, x ...float64) *ir.Value {
	return a.E(ir.OpFormat, ir.Attrs{ir.I("frac", int64(frac))}, a.Const(ir.Reals(shape, x...)))
}

// keep leaves a value's fraction bits as they are.
const keep = -1

// within states that x lies in lo..hi, and with how many fraction bits it is to be kept; keep leaves them.
func (a *approximation) within(x *ir.Value, frac int, lo, hi float64) *ir.Value {
	var attrs ir.Attrs
	if frac != keep {
		attrs = append(attrs, ir.I("frac", int64(frac)))
	}
	if !math.IsInf(lo, 0) {
		attrs = append(attrs, ir.F("lo", lo))
	}
	if !math.IsInf(hi, 0) {
		attrs = append(attrs, ir.F("hi", hi))
	}
	return a.E(ir.OpFormat, attrs, x)
}

// firm has x rounded to frac fraction bits here, and not behind what comes next.
func (a *approximation) firm(x *ir.Value, frac int) *ir.Value {
	return a.E(ir.OpFormat, ir.Attrs{ir.I("frac", int64(frac)), ir.I("firm", 1)}, x)
}

func (a *approximation) add(x, y *ir.Value) *ir.Value { return a.E(ir.OpAdd, nil, x, y) }
func (a *approximation) sub(x, y *ir.Value) *ir.Value { return a.E(ir.OpSub, nil, x, y) }
func (a *approximation) mul(x, y *ir.Value) *ir.Value { return a.E(ir.OpMul, nil, x, y) }

// column gives each element of x a row of n copies.
func (a *approximation) column(x *ir.Value, n int) *ir.Value {
	rows := x.Type.Shape.Size()
	return a.E(ir.OpExpand, ir.Attrs{ir.Dims("shape", []int{rows, n})}, a.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{rows, 1})}, x))
}

// weigh sums each row of cells, one row per element of x, with public weights.
func (a *approximation) weigh(x, cells *ir.Value, w []float64, frac int) *ir.Value {
	s := a.E(ir.OpMatMul, nil, cells, a.exact(frac, ir.Shape{len(w), 1}, w...))
	return a.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", x.Type.Shape)}, s)
}

// atLeast compares each element of x with public thresholds: a row of bits, as reals without fraction bits.
func (a *approximation) atLeast(x *ir.Value, t []float64) *ir.Value {
	below := a.E(ir.OpLtz, nil, a.sub(a.column(x, len(t)), a.Const(ir.Reals(ir.Shape{1, len(t)}, t...))))
	return a.E(ir.OpCast, ir.Attrs{ir.S("to", "real")}, a.E(ir.OpNot, nil, below))
}

// combine returns c[0] plus the sum of c[k] times term(k); coefficients that are zero cost nothing.
func (a *approximation) combine(c []float64, term func(k int) *ir.Value, frac int) *ir.Value {
	y := a.exact(frac, ir.Shape{}, c[0])
	for k := 1; k < len(c); k++ {
		if c[k] != 0 {
			y = a.add(y, a.mul(term(k), a.exact(frac, ir.Shape{}, c[k])))
		}
	}
	return y
}

// clip limits x to lo..hi where its range exceeds them: lo + relu(x-lo) - relu(x-hi), one opening and one comparison round. over is
// relu(x-hi), or nil if x does not exceed hi.
func (a *approximation) clip(x *ir.Value, lo, hi float64) (in, over *ir.Value) {
	iv := a.known(x)
	above := func(t float64) *ir.Value { return a.E(ir.OpRelu, nil, a.sub(x, a.num(t))) }
	switch {
	case iv.lo < lo && iv.hi > hi:
		both := a.E(ir.OpRelu, nil, a.sub(a.column(x, 2), a.Const(ir.Reals(ir.Shape{1, 2}, lo, hi))))
		over = a.weigh(x, both, []float64{0, 1}, 0)
		in = a.add(a.weigh(x, both, []float64{1, -1}, 0), a.num(lo))
	case iv.lo < lo:
		in = a.add(above(lo), a.num(lo))
	case iv.hi > hi:
		over = above(hi)
		in = a.sub(x, over)
	default:
		return x, nil
	}
	unit := math.Ldexp(4, -a.frac)
	return a.within(in, keep, max(lo, iv.lo)-unit, min(hi, iv.hi)+unit), over
}

// A polyline takes fewer rounds and more bytes for each element than waves, or Chebyshev polynomials, between two thresholds.
const (
	roundsSaved     = 1.0
	bytesSpent      = 30.0
	roundsSavedPoly = 5.0
	bytesSpentPoly  = 100.0
)

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

// chebyshev computes a function as a sum of Chebyshev polynomials. They stay in [-1, 1] and so do their errors, and
// T_2k = 2 T_k^2 - 1, T_(2k+1) = 2 T_k T_(k+1) - T_1 make the depth logarithmic. Error: 0.4 eps by the terms left out, and rounding.
func (a *approximation) chebyshev(x *ir.Value, f func(float64) float64, part parity) *ir.Value {
	iv := a.known(x)
	var mid, reach float64 // of the argument of the polynomials
	g := f
	if part == neither {
		mid, reach = (iv.lo+iv.hi)/2, (iv.hi-iv.lo)/2
	} else {
		reach = max(-iv.lo, iv.hi)
	}
	reach = max(reach, 1.0/64)
	switch part {
	case even:
		g = func(x float64) float64 { return f(x) - x/2 }
	case odd, centred:
		shift := 0.0
		if part == centred {
			shift = 0.5
		}
		g = func(x float64) float64 {
			x = max(math.Abs(x), 1e-4)
			return (f(x) - shift) * reach / x
		}
	}
	bits := a.mantissaBits() + 2
	v := a.within(a.mul(a.sub(x, a.num(mid)), a.exact(20, ir.Shape{}, 1/reach)), bits, -1, 1) // a power of two leaves room for rounding
	t := v
	at := func(t float64) float64 { return g(mid + reach*t) }
	if part != neither {
		t = a.within(a.sub(a.mul(a.mul(v, v), a.exact(0, ir.Shape{}, 2)), a.num(1)), bits, -1, 1)
		at = func(t float64) float64 { return g(reach * math.Sqrt(max(0, (t+1)/2))) }
	}
	y := a.series(t, fitChebyshev(at, 0.4*a.eps, bits), bits)
	lo, hi := extremes(at)
	y = a.within(y, keep, lo-a.eps, hi+a.eps)
	switch part {
	case even:
		y = a.add(y, a.mul(x, a.num(0.5)))
	case odd, centred:
		y = a.mul(a.within(y, bits, lo-a.eps, hi+a.eps), v)
		if part == centred {
			y = a.add(y, a.num(0.5))
		}
	}
	lo, hi = extremes(func(t float64) float64 { return f(iv.lo + (iv.hi-iv.lo)*(t+1)/2) })
	return a.within(y, a.frac, lo-2*a.eps, hi+2*a.eps)
}

// series sums c_k T_k(t) for t in [-1, 1] with the given number of fraction bits.
func (a *approximation) series(t *ir.Value, c []float64, bits int) *ir.Value {
	cheb := map[int]*ir.Value{1: t}
	var get func(k int) *ir.Value
	get = func(k int) *ir.Value {
		if cheb[k] == nil {
			p := a.mul(a.mul(get(k/2), get(k-k/2)), a.exact(0, ir.Shape{}, 2))
			if k%2 == 0 {
				p = a.sub(p, a.num(1))
			} else {
				p = a.sub(p, t)
			}
			cheb[k] = a.within(p, bits, -1, 1)
		}
		return cheb[k]
	}
	return a.combine(c, get, bits)
}

// waves computes a function with asymptotes, half a wave away from where they meet, as a sum of waves: one opening and no round
// behind it. What has the shape of a step or of a corner is continued by its mirror image, so that even harmonics vanish.
// It returns nil if x may lie so far out that there would be too many of them. Error: 0.5 eps by the fit, the rest by rounding.
func (a *approximation) waves(x *ir.Value, f func(float64) float64, part parity) *ir.Value {
	iv := a.known(x)
	bits := a.mantissaBits()
	g, slope, y0 := f, 0.0, 0.0
	switch part {
	case neither:
		return nil
	case even:
		g, slope = func(x float64) float64 { return f(x) - x/2 }, 0.5
	case centred:
		g, y0 = func(x float64) float64 { return f(x) - 0.5 }, 0.5
	}
	w := fitWaves(g, part == even, max(-iv.lo, iv.hi), 0.1*a.eps, bits) // a few more waves cost little
	if w == nil {
		w = fitWaves(g, part == even, max(-iv.lo, iv.hi), 0.5*a.eps, bits)
	}
	if w == nil {
		return nil
	}
	if slope != 0 { // x is opened anyway, and linear terms read its wire
		x = a.firm(x, a.frac)
	}
	y := a.E(ir.OpWave, ir.Attrs{ir.T("data", w.rows), ir.I("period", int64(w.period)), ir.I("frac", int64(bits))}, x)
	lo, hi := extremes(func(t float64) float64 { return g(iv.lo + (iv.hi-iv.lo)*(t+1)/2) })
	if w.mean != 0 {
		y = a.add(y, a.exact(bits, ir.Shape{}, w.mean))
	}
	y = a.within(y, keep, lo-a.eps, hi+a.eps)
	if y0 != 0 {
		y = a.add(y, a.num(y0))
	}
	if slope != 0 {
		y = a.add(y, a.mul(x, a.num(slope)))
	}
	lo, hi = extremes(func(t float64) float64 { return f(iv.lo + (iv.hi-iv.lo)*(t+1)/2) })
	return a.within(y, a.frac, lo-a.eps, hi+a.eps)
}

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

// polynomial evaluates c at t with a tree of powers: every power is a product of two masked wires, and the sum is truncated
// once. t lies in lo..hi and has frac fraction bits.
func (a *approximation) polynomial(t *ir.Value, c []float64, frac int) *ir.Value {
	power := map[int]*ir.Value{1: t}
	var get func(k int) *ir.Value
	get = func(k int) *ir.Value {
		if power[k] == nil {
			power[k] = a.mul(get(k/2), get(k-k/2))
		}
		return power[k]
	}
	return a.combine(c, get, frac)
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

// Below expFloor, exp is what it is there: 2e-9. Above expCeiling it stays.
const (
	expFloor   = -20.0
	expCeiling = 24.0
	expReach   = 128.0 // what lies above -expReach is not limited where the result is at most a little above 1
	squarings  = 5
)

// exp computes exp(x) as exp(x / 2^k)^(2^k), with more fraction bits on the way: the first factor by masks that are multiplied, or by a
// polynomial where the result may be large.
func (a *approximation) exp(x *ir.Value) *ir.Value {
	if a.known(x).hi > expCeiling {
		x, _ = a.clip(x, math.Inf(-1), expCeiling)
	}
	z, k, frac := a.decay(x)
	if z == nil {
		x, _ = a.clip(x, expFloor, expCeiling)
		z, k, frac = a.decay(x)
	}
	iv := a.known(x)
	if z == nil {
		k = squarings
		top := math.Exp(max(iv.hi, 0)) // z^2 must fit the ring at twice the fraction bits
		frac = min(max(a.mantissaBits()+2, 18), 20, int(60-math.Log2(top))/2-1)
		part := math.Ldexp(1, -squarings)
		lo, hi := iv.lo*part, iv.hi*part
		t := a.within(a.mul(x, a.exact(squarings, ir.Shape{}, part)), frac, lo, hi)
		cbits := min(frac, 58-2*frac)
		c := fitPolyTo(math.Exp, lo, hi, a.eps*part/16, cbits)
		z = a.within(a.polynomial(t, c, cbits), frac, 0, snug(math.Exp(hi)))
	}
	for k--; k >= 0; k-- {
		top := snug(math.Exp(iv.hi * math.Ldexp(1, -k)))
		f := min(frac, (60-2*max(binade(top), 0))/2) // the next square must fit the ring
		if k == 0 {
			f = fractionBits(a.frac, top)
		}
		z = a.within(a.mul(z, z), f, 0, top)
	}
	return z
}

// decay returns exp(x / 2^k) for x that is at most a little above zero, and its fraction bits: one opening and no round behind it. It
// returns nil where the ring has no room for the precision. Error: 2^(1-bits) for factors of that many fraction bits, 18 where the ring has
// room, and 2^k times that after k squarings.
func (a *approximation) decay(x *ir.Value) (z *ir.Value, k, frac int) {
	const (
		room   = 1.0 / 64 // for rounding, at both ends: beyond them the mask would be read wrong
		widest = 64 - 3   // a truncation needs a sign, a bit of room and one for rounding
	)
	iv := a.known(x)
	top := max(iv.hi, expFloor) + room
	width := top - iv.lo + room
	reach := max(int(math.Ceil(math.Log2(width))), 1)
	shrink := 1.0
	if less := math.Ldexp(1, reach-1); width*255/256 <= less { // a range of a power of two and its rounding
		reach, shrink = reach-1, 255.0/256
	}
	var most, rate float64
	bits := 0
	for k = max(reach-4, 0); k <= squarings; k++ {
		most = snug(math.Exp(iv.hi * math.Ldexp(1, -k)))
		rate = math.Ldexp(1/shrink, -k)
		room := (widest - ir.ExpoSpan(math.Ldexp(rate, reach)) - int(math.Ceil(math.Log2(most)))) / 2
		if bits = min(18, room); k == 0 {
			bits = min(max(18, fractionBits(a.frac, most)), room)
		}
		if math.Ldexp(1, k-bits) <= a.eps/2 {
			break
		}
	}
	if iv.lo < -expReach || k > squarings || a.frac > 24 {
		return nil, 0, 0
	}
	if frac = bits; k == 0 {
		frac = max(fractionBits(a.frac, most), min(bits, a.frac+a.tight))
	}
	y := a.sub(x, a.num(roundTo(top, 8)))
	if shrink != 1 {
		y = a.mul(y, a.exact(8, ir.Shape{}, shrink))
	}
	half := math.Ldexp(1, reach-1)
	y = a.within(a.add(y, a.num(half)), a.frac, -half, half)
	offset := math.Ldexp(roundTo(top, 8), -k) - float64(rate*half)
	z = a.E(ir.OpExpo, ir.Attrs{ir.F("rate", rate), ir.F("offset", offset), ir.I("reach", int64(reach)), ir.I("frac", int64(bits))}, y)
	z = a.within(z, keep, 0, most)
	return a.firm(z, frac), k, frac // a sum of them would not fit the ring
}

// snug returns a bound for a value of at most x and its rounding: 1% more, or the power of two just below, because a range that ends
// at a power of two has twice the room.
func snug(x float64) float64 {
	x = x*1.01 + 1e-3
	frac, e := math.Frexp(x)
	if frac < 0.525 {
		return math.Ldexp(0.5, e)
	}
	return x
}

// mostWaveBits is how many fraction bits a sum of waves has at most.
const mostWaveBits = 24

// turnBits is how many fraction bits of a turn sine and cosine are computed from, besides those that x loses by its size.
const turnBits = 16

// wave computes sine or cosine of any argument: x / (2 pi) counts turns, of which only what is below one matters, and the opening of a wave reads no
// more. What lies above needs no comparison: a mask modulo a turn hides an angle modulo a turn. Error: 2^-turnBits turns, and |x| times what 1/(2 pi)
// is rounded by.
func (a *approximation) wave(x *ir.Value, sine bool) *ir.Value {
	iv := a.known(x)
	frac := min(max(binade(max(-iv.lo, iv.hi)), 0)+turnBits, mostFraction)
	turns := a.mul(x, a.exact(frac, ir.Shape{}, 1/(2*math.Pi)))
	turns = a.within(turns, max(turnBits, a.frac), -1, 1) // modulo a turn
	rows := ir.Reals(ir.Shape{1, 3}, 1, 1, 0)
	if sine {
		rows = ir.Reals(ir.Shape{1, 3}, 1, 0, 1)
	}
	y := a.E(ir.OpWave, ir.Attrs{ir.T("data", rows), ir.I("period", 0), ir.I("frac", int64(min(a.frac, mostWaveBits)))}, turns)
	return a.within(y, a.frac, -1, 1)
}

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
	over := a.E(ir.OpLtz, nil, a.add(a.column(a.sub(x, y), len(k)), a.exact(frac, ir.Shape{1, len(k)}, k...)))
	return a.sub(y, a.weigh(x, a.E(ir.OpCast, ir.Attrs{ir.S("to", "real")}, over), one, frac))
}
