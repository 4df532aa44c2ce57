package passes

import (
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
	ir.OpRecip:    {scale: &scaled{factor: func(j float64) float64 { return math.Exp2(-j) }, odd: true}},
	ir.OpRsqrt:    {scale: &scaled{factor: func(j float64) float64 { return math.Exp2(-j / 2) }}},
	ir.OpSqrt:     {scale: &scaled{factor: func(j float64) float64 { return math.Exp2(j / 2) }}},
	ir.OpLog:      {scale: &scaled{term: func(j float64) float64 { return j * math.Ln2 }}},
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
	frac  int  // fraction bits of reals near 1
	bare  bool // what is replaced is revealed as it is, or nearly so
	tight int  // how many bits closer than usual the result is wanted

	quiet   bool // results of functions are rounded where they are computed
	fine    bool // arguments keep their leading digits, however small they are
	parties int
	net     Network
	roots   map[*ir.Value]*root     // reciprocal roots made so far
	rooted  map[*ir.Value]*ir.Value // roots made so far, and what they are roots of
	fact    *interval               // a bound of the result that holds by what it is computed from, whatever samples say; nil if there is none
	sure    bool                    // known ranges hold for every input
	derives func(x *ir.Value) bool  // the range of a value made so far derives from weights or samples
}

// approximate replaces smooth functions, and quotients, by core ops whose error is within the precision asked for over the range
// of the argument; what is out of a function's reach is refused. Ranges known so far narrow the work.
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
	roots, rooted := map[*ir.Value]*root{}, map[*ir.Value]*ir.Value{}
	done := 0
	most := func(e ir.Elem) float64 {
		if e == ir.Real && opt.wide {
			return wideLimit(opt.FracBits)
		}
		return limit(e, opt.FracBits)
	}
	visible, revealed := shown(m, opt), bare(m.Main())
	derived, asked := newTaint(visible, opt), map[*ir.Value]interval{}
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (y *ir.Value, err error) {
		known := func(x *ir.Value) interval {
			for ; done < len(nf.Body); done++ {
				n := nf.Body[done]
				lim := most(n.Type.Elem)
				iv := interval{0, 1, ir.Proved} // of a bit
				if n.Type.Elem != ir.Bool {
					var err error
					if iv, err = bound(visible, n, seen, opt); err != nil {
						iv = interval{-lim, lim, ir.Assumed}
					}
				}
				iv.lo, iv.hi = max(iv.lo, -lim), min(iv.hi, lim)
				seen[n] = iv
				derived.see(n)
			}
			return seen[x]
		}
		take := func(x *ir.Value) interval { // what is fitted to it becomes public
			iv := known(x)
			if !derived.from[x] || opt.notes == nil {
				return iv
			}
			out, ok := asked[x]
			if !ok {
				out = opt.notes.bound(x, iv)
				asked[x] = out
			}
			if opt.notes.replay {
				seen[x] = out
			}
			return out
		}
		for i, a := range args {
			iv := known(a)
			if o, ok := observed[v.Args[i]]; ok && o.hi-o.lo < iv.hi-iv.lo && (a.Type.Elem != ir.Int || a.Op == ir.OpInput) {
				seen[a] = interval{max(o.lo, iv.lo), min(o.hi, iv.hi), ir.Calibrated}
				if opt.Guard > 0 && a.Op != ir.OpInput { // functions hold for all that a check lets through
					_, seen[a] = opt.checked(o, iv)
				}
			}
		}
		a := &approximation{Builder: ir.Builder{F: nf, At: v}, known: take, eps: math.Ldexp(eps, -min(max(v.Attrs.Int("tight", 0), 0), 12)), tight: min(max(v.Attrs.Int("tight", 0), 0), 12), frac: opt.FracBits, fine: opt.fine, quiet: opt.quiet, bare: revealed[v], parties: len(m.Parties), net: opt.Net, roots: roots, rooted: rooted, sure: opt.samples() == 0 && !opt.wide, derives: func(x *ir.Value) bool { known(x); return derived.from[x] }}
		mt, ok := methods[v.Op]
		if ok || v.Op == ir.OpDiv || rounds(v) || integerMethods[v.Op] != nil {
			args = a.loosen(args)
			defer func() { opt.encoded.replaced(v.Op, v, args, y, a.fact) }()
		} else if v.Op == ir.OpFormat {
			defer func() { opt.encoded.stated(v, y) }()
		}
		if opt.Taken == nil { // with data, this was found to hold
			if err := domain(v, args, known, opt); err != nil {
				return nil, err
			}
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
		case v.Op == ir.OpMax && v.Type.Elem == ir.Real:
			for i, c := range args { // a bound that no fraction bits tell from zero
				if k, ok := uniform(c); ok && k < math.Ldexp(1, -mostFraction-1) && take(args[1-i]).lo >= max(k, 0)-math.Ldexp(1, -mostFraction-1) && args[1-i].Type.Shape.Equal(v.Type.Shape) {
					return args[1-i], nil
				}
			}
			return nf.Emit(v.Pos, v.Op, v.Attrs, args...)
		case v.Op == ir.OpMul:
			if y, args := a.overRoot(args[0], args[1]); y != nil {
				opt.encoded.replaced(ir.OpRsqrt, v, args, y, a.fact)
				return y, nil
			}
			return nf.Emit(v.Pos, v.Op, v.Attrs, args...)
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

// loosen widens the ranges of arguments that derive from weights or samples to powers of two. What is fitted to a range ends up in the
// plan, and with it the ranges of everything in between: they must not say more than the range itself, which is published so.
func (a *approximation) loosen(args []*ir.Value) []*ir.Value {
	out := slices.Clone(args)
	for i, x := range args {
		if !a.derives(x) {
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
