package passes

import (
	"math"
	"slices"

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

// follows reports whether the elements of v are some of its arguments', or 0: they are where those are.
func follows(v *ir.Value) bool {
	return ir.Rows[v.Op].View || v.Op == ir.OpRelu || v.Op == ir.OpMax
}

// A watcher decides what is checked. Values are loose that a run may find outside their range, or that are computed from such, as long as no check lies between.
type watcher struct {
	opt    *Options
	loose  map[*ir.Value]bool
	checks map[*ir.Value][2]int // bits that check asks for each argument; 0: none
	guard  map[*ir.Value]int    // bits more, by which v is checked
	blind  map[*ir.Value]bool   // what rests on a loose value that there are no bits to check
}

// leastChecked is how many bits a check looks at.
const leastChecked = 4

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
	w := &watcher{opt: o, loose: map[*ir.Value]bool{}, checks: map[*ir.Value][2]int{}, guard: map[*ir.Value]int{}, blind: map[*ir.Value]bool{}}
	if o.Guard == 0 {
		return w
	}
	needed := guardable(f)
	chosen := map[*ir.Value]bool{} // what comparisons choose among constants: it lies where they do, whatever is compared
	for _, v := range f.Body {
		chosen[v] = v.Op == ir.OpConst || v.Type.Elem == ir.Bool || len(v.Args) > 0 && !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return !chosen[a] })
		if v.Op == ir.OpInput || v.Op == ir.OpWeight || v.Op == ir.OpConst { // their owners' encoders and servers hold them to it
			continue
		}
		in := false
		for _, a := range v.Args {
			in = in || w.loose[a]
		}
		switch {
		case v.Type.Elem == ir.Bool && (v.Op == ir.OpLtz || v.Op == ir.OpEqz), v.Op == ir.OpTrunc, v.Op == ir.OpRelu, v.Op == ir.OpWave, v.Op == ir.OpExpo:
			if in && needed[v] {
				w.ask(v, 0, v.Args[0].Range, v.Args[0].Type.Scale-v.Attrs.Int("drop", 0))
			}
			w.loose[v] = v.Range.Narrow && !(in && v.Op == ir.OpTrunc)
		case v.Type.Elem == ir.Bool || v.Op == ir.OpCast || chosen[v]:
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

// bits returns the bits in which argument i of v is opened for its check, of which n are read; 0 if there is none. ring is what the argument has anyway: where it
// has room for one bit less it stays as it is, because a wider one costs more than what is missed. A wave whose period is shorter than the range turns more
// than once in it, and is right for every argument.
func (w *watcher) bits(v *ir.Value, i, n, ring int) int {
	c, d := w.checks[v], v.Attrs.Int("drop", 0)
	if c[i] == 0 {
		return 0
	}
	g := w.guard[v]
	if g == 0 {
		g = w.opt.Guard
	}
	if room := ring - c[i] - d; room == g-1 || room < g && c[i]+g+d > 64 { // at the widest ring: what there is
		g = room
	}
	switch {
	case v.Op == ir.OpWave && c[i] > n:
		c[i], g = 0, 0
	case v.Op == ir.OpExpo && c[i] > n-1: // what a check lets through would leave its reach: its argument lies at one end of it
		c[i], g = 0, 0
		w.blind[v] = true
	case g < 1 || c[i]+g < leastChecked:
		c[i], g = 0, 0
		w.blind[v] = true
	default:
		w.guard[v] = g
	}
	w.checks[v] = c
	if c[i] == 0 {
		return 0
	}
	return c[i] + g
}

// attrs returns the attributes of v with its checks.
func (w *watcher) attrs(v *ir.Value, attrs ir.Attrs) ir.Attrs {
	c := w.checks[v]
	if c[0]+c[1] == 0 && !w.blind[v] {
		return attrs
	}
	g := w.guard[v]
	if g == 0 {
		g = w.opt.Guard
	}
	attrs = attrs.With(ir.I("guard", int64(g)))
	for i, key := range checkKeys(v) {
		if c[i] > 0 {
			attrs = attrs.With(ir.I(key, int64(c[i])))
		}
	}
	return attrs
}

// checkKeys names the attributes that ask for checks of the arguments of v.
func checkKeys(v *ir.Value) []string {
	if v.Op == ir.OpMul {
		return []string{"cx", "cy"}
	}
	return []string{"check"}
}

// guarded says of the outputs of a module with widths which are withheld if a value leaves its range: those that are measured, and rest on values that are
// checked, and on none that there was no room to check.
func (n *Numbers) guarded(f *ir.Func) {
	for _, out := range f.Reveals() {
		any, blind, bits := false, false, 64
		for v := range out.Behind() {
			g, has := v.Attrs.Int("guard", 0), false
			for _, key := range checkKeys(v) {
				has = has || v.Attrs.Int(key, 0) > 0
			}
			any, blind = any || g > 0 && has, blind || g > 0 && !has
			if has {
				bits = min(bits, g)
			}
		}
		for i := range n.Outputs {
			if o := &n.Outputs[i]; o.Name == out.Attrs.Str("name") && o.State == Measured && any && !blind {
				o.State, o.Guard = Guarded, bits
			}
		}
	}
}

// guardable returns the values that outputs are computed from whose receivers may learn whether they are valid.
func guardable(f *ir.Func) map[*ir.Value]bool {
	needed := map[*ir.Value]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		if v.Op == ir.OpReveal && !v.Attrs.Has("unchecked") {
			needed[v] = true
		}
		for _, a := range v.Args {
			needed[a] = needed[a] || needed[v]
		}
	}
	return needed
}
