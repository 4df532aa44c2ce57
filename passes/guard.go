package passes

import (
	"math"

	"smpcc/ir"
)

// Values whose range is not proved are checked where they are opened, by g bits more (docs/protocols.md, ranges): within their range R, a power of two, they
// pass; beyond 2R they do not, but for those far outside that wrap into it, of which 3/2^(g+2) pass. Between R and 2R a threshold decides that is drawn at
// random, so what is computed from a value must hold up to 2R.

// checked returns the range in which a value is held that samples show in o and that lies in iv for certain, and what its check lets through. That samples have
// one sign is no reason to rely on it: it is not checked.
func (o *Options) checked(seen, iv interval) (held, let interval) {
	r := powerUp(max(-seen.lo, seen.hi))
	within := func(r float64) interval {
		w := interval{max(-r, iv.lo), min(r, iv.hi), ir.Calibrated}
		if w.lo > w.hi {
			w.lo, w.hi = -r, r
		}
		return w
	}
	return within(r), within(2 * r)
}

// A watcher decides what is checked. Values are loose that a run may find outside their range, or that are computed from such, as long as no check lies between.
type watcher struct {
	opt    *Options
	loose  map[*ir.Value]bool
	checks map[*ir.Value][2]int // bits that check asks for each argument; 0: none
	blind  map[*ir.Value]bool   // what rests on a loose value that there are no bits to check
}

// checkBits returns the least c with |x| * 2^scale <= 2^(c-2) for all x of a range: values within it are let through by a check in c+2 bits.
func checkBits(r ir.Range, scale int) int {
	f, e := math.Frexp(math.Ldexp(r.Abs(), scale))
	if f == 0.5 {
		e--
	}
	return max(e, 0) + 2
}

// watch decides for each value that is opened whether it is checked. It goes forward: a checked value makes what follows from it certain.
func (o *Options) watch(f *ir.Func) *watcher {
	w := &watcher{opt: o, loose: map[*ir.Value]bool{}, checks: map[*ir.Value][2]int{}, blind: map[*ir.Value]bool{}}
	if o.Guard == 0 {
		return w
	}
	needed := guardable(f)
	for _, v := range f.Body {
		if v.Op == ir.OpInput || v.Op == ir.OpWeight || v.Op == ir.OpConst { // their owners' encoders and servers hold them to it
			continue
		}
		in := false
		for _, a := range v.Args {
			in = in || w.loose[a]
			w.blind[v] = w.blind[v] || w.blind[a]
		}
		switch {
		case v.Type.Elem == ir.Bool && (v.Op == ir.OpLtz || v.Op == ir.OpEqz), v.Op == ir.OpTrunc, v.Op == ir.OpRelu, v.Op == ir.OpWave, v.Op == ir.OpExpo:
			if in && needed[v] {
				w.ask(v, 0, v.Args[0].Range, v.Args[0].Type.Scale-v.Attrs.Int("drop", 0))
			}
			w.loose[v] = v.Range.Narrow && !(in && v.Op == ir.OpTrunc)
		case v.Type.Elem == ir.Bool || v.Op == ir.OpCast:
		case v.Op == ir.OpMax:
			if in && needed[v] {
				w.ask(v, 0, difference(v), v.Args[0].Type.Scale)
			}
			w.loose[v] = in || v.Range.Narrow
		case v.Op == ir.OpMul && ofSecrets(v):
			for i, a := range v.Args {
				if w.loose[a] && needed[v] && !leaf(a) {
					w.ask(v, i, a.Range, a.Type.Scale)
				}
			}
			w.loose[v] = v.Range.Narrow
		case v.Op == ir.OpReveal:
			if in && needed[v] {
				w.ask(v, 0, v.Args[0].Range, v.Args[0].Type.Scale)
			}
		default:
			w.loose[v] = in || v.Range.Narrow
		}
	}
	return w
}

// difference is the range of what a maximum opens.
func difference(v *ir.Value) ir.Range {
	a, b := v.Args[0].Range, v.Args[1].Range
	return ir.Range{Lo: a.Lo - b.Hi, Hi: a.Hi - b.Lo}
}

// ask has argument i of v checked, which is opened with so many fraction bits.
func (w *watcher) ask(v *ir.Value, i int, r ir.Range, scale int) {
	c := w.checks[v]
	c[i] = checkBits(r, scale)
	w.checks[v] = c
}

// bits returns the bits in which argument i of v is opened for its check, of which n are read; 0 if there is none. A wave whose period is shorter than
// the range turns more than once in it, and is right for every argument.
func (w *watcher) bits(v *ir.Value, i, n int) int {
	c := w.checks[v]
	if c[i] == 0 {
		return 0
	}
	if v.Op == ir.OpWave && c[i] > n {
		c[i] = 0
		w.checks[v] = c
		return 0
	}
	if v.Op == ir.OpExpo {
		c[i] = min(c[i], n-1)
		w.checks[v] = c
	}
	if v.Attrs.Int("drop", 0)+c[i]+w.opt.Guard > 64 { // no ring has room
		c[i] = 0
		w.checks[v] = c
		w.blind[v] = true
		return 0
	}
	return c[i] + w.opt.Guard
}

// attrs returns the attributes of v with its checks.
func (w *watcher) attrs(v *ir.Value, attrs ir.Attrs) ir.Attrs {
	c := w.checks[v]
	if c[0]+c[1] == 0 {
		return attrs
	}
	attrs = attrs.With(ir.I("guard", int64(w.opt.Guard)))
	if v.Op == ir.OpMul {
		return attrs.With(ir.I("cx", int64(c[0]))).With(ir.I("cy", int64(c[1])))
	}
	return attrs.With(ir.I("check", int64(c[0])))
}

// guardable returns the values that outputs are computed from whose receivers may learn whether they are valid.
func guardable(f *ir.Func) map[*ir.Value]bool {
	needed := map[*ir.Value]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		if v.Op == ir.OpReveal && !v.Type.Vis.IsPublic() {
			needed[v] = true
		}
		for _, a := range v.Args {
			needed[a] = needed[a] || needed[v]
		}
	}
	return needed
}
