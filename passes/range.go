package passes

import (
	"fmt"
	"math"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// maxProductBits is the number of magnitude bits available at product scale: a 64-bit ring less the sign and the headroom
// bits that TruncOpen and differences need.
const maxProductBits = 61

// limit returns the largest magnitude that the widest ring holds: of integers exactly, of reals with the fraction bits that large
// values have.
func limit(e ir.Elem, fracBits int) float64 {
	if e == ir.Real {
		return math.Ldexp(1, maxProductBits-max(fracBits-fewerAtMost, 0))
	}
	return math.Ldexp(1, maxProductBits)
}

// wideLimit is the magnitude that values are held to where no bound fits: what a product of two factors of fracBits each leaves room for.
func wideLimit(fracBits int) float64 { return math.Ldexp(1, maxProductBits-2*fracBits) }

// interval is a range before it is rounded for publication.
type interval struct {
	lo, hi float64
	from   ir.Origin
}

func hull(a, b interval) interval {
	return interval{min(a.lo, b.lo), max(a.hi, b.hi), min(a.from, b.from)}
}

// timesInterval returns the hull of products of two intervals.
func timesInterval(a, b interval) interval {
	p := [4]float64{a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi}
	return interval{min(p[0], p[1], p[2], p[3]), max(p[0], p[1], p[2], p[3]), min(a.from, b.from)}
}

// rangePass gives every value an interval and its origin. Sound bounds come from declared input ranges and the L1 norms of
// known weights; samples narrow them. A bound that the widest ring does not hold is refused, or, in a net so deep that bounds say nothing any
// more, the value is assumed to be no larger than what a product leaves room for. Bounds derived from private data are published rounded up
// to powers of two.
func rangePass(m *ir.Module, opt *Options) error {
	f := m.Main()
	var errs diag.List
	seen := map[*ir.Value]interval{}
	observed, err := calibrate(m, opt)
	if err != nil {
		return err
	}
	m = shown(m, opt)
	stated := statedBounds(f)
	derived := newTaint(m, opt)
	var assumed []*ir.Value
	for _, v := range f.Body {
		if v.Type.Elem == ir.Bool {
			derived.see(v)
			v.Range = ir.Range{Lo: 0, Hi: 1, Origin: ir.Proved}
			seen[v] = interval{0, 1, ir.Proved}
			continue
		}
		taken := derived.see(v) && opt.notes != nil
		if taken && opt.notes.replay {
			v.Range = opt.notes.published(ir.Range{})
			if seen[v] = (interval{v.Range.Lo, v.Range.Hi, v.Range.Origin}); v.Range.Origin == ir.Assumed {
				assumed = append(assumed, v)
			}
			continue
		}
		lim := limit(v.Type.Elem, opt.FracBits)
		iv, err := bound(m, v, seen, opt)
		narrow, let := false, interval{} // in what a check lets through
		if err != nil {
			errs.Add(v.Pos, err)
			iv = interval{-lim, lim, ir.Assumed}
		}
		if ir.OfGuest(v) {
			if iv.from != ir.Proved || !(iv.hi > iv.lo) {
				errs.Add(v.Pos, diag.Errorf(v.Pos, "%q is the input of a guest, and what it may be is not declared: a guest gives shares, of any words of a ring that the range decides", v.Attrs.Str("name")).
					WithHint("declare the input's range (--range NAME=LO..HI), of more than one number"))
				iv = interval{0, 1, ir.Proved}
			}
		} else if o, ok := observed[v]; ok {
			switch {
			case iv.from == ir.Assumed && v.Op == ir.OpInput:
				iv = o
			case v.Type.Elem == ir.Int && v.Op != ir.OpInput: // integers are exact for all inputs that are let in, or refused
			case o.hi-o.lo < iv.hi-iv.lo:
				if narrow = v.Op != ir.OpInput; narrow && opt.Guard > 0 {
					iv, let = opt.checked(o, iv)
					break
				}
				iv = interval{max(o.lo, iv.lo), min(o.hi, iv.hi), ir.Calibrated}
				if iv.lo > iv.hi {
					iv.lo, iv.hi = o.lo, o.hi
				}
			}
		}
		if math.IsNaN(iv.lo) || math.IsNaN(iv.hi) {
			iv = interval{math.Inf(-1), math.Inf(1), ir.Assumed}
		}
		if x, ok := stated[v]; ok && x.lo <= iv.hi && x.hi >= iv.lo {
			iv.lo, iv.hi = max(iv.lo, x.lo), min(iv.hi, x.hi)
		}
		wide := wideLimit(opt.FracBits)
		switch {
		case v.Type.Elem == ir.Real && opt.wide && len(v.Args) > 0 && (iv.lo < -wide || iv.hi > wide):
			iv = interval{max(iv.lo, -wide), min(iv.hi, wide), ir.Assumed}
			if iv.lo > iv.hi {
				iv = interval{-wide, wide, ir.Assumed}
			}
			narrow, let = true, interval{}
		case iv.lo < -lim || iv.hi > lim:
			errs.Add(v.Pos, tooLarge(v, iv, lim))
			return errs.Err() // what is computed from it would only repeat this
		}
		seen[v] = iv
		if let != (interval{}) { // what follows from it holds of all that its check lets through
			seen[v] = let
		}
		v.Range = publish(v, iv)
		v.Range.Narrow = narrow
		if taken {
			opt.notes.published(v.Range)
		}
		if iv.from == ir.Assumed {
			assumed = append(assumed, v)
		}
	}
	if opt.StrictRange && len(assumed) > 0 {
		var names []string
		for _, v := range assumed[:min(len(assumed), 8)] {
			names = append(names, describe(v))
		}
		if n := len(assumed) - len(names); n > 0 {
			names = append(names, fmt.Sprintf("and %d more", n))
		}
		errs.Add(assumed[0].Pos, diag.Errorf(assumed[0].Pos, "--strict-range: %d ranges are assumed, not proved: %s", len(assumed), strings.Join(names, "; ")).
			WithHint("declare the inputs' ranges (--range NAME=LO..HI), or give sample inputs (--calibrate FILE)"))
	}
	if opt.StrictRange && len(assumed) == 0 {
		for _, v := range f.Body {
			if seen[v].from == ir.Calibrated {
				errs.Add(v.Pos, diag.Errorf(v.Pos, "--strict-range: the range of %s comes from samples, not from a proof", describe(v)).
					WithHint("declare narrower input ranges (--range NAME=LO..HI)"))
				break
			}
		}
	}
	return errs.Err()
}

// statedBounds returns what formats say of values that nothing else reads: a product with what keeps it small is no larger than the format behind it
// says.
func statedBounds(f *ir.Func) map[*ir.Value]interval {
	uses := map[*ir.Value]int{}
	for _, v := range f.Body {
		for _, a := range v.Args {
			uses[a]++
		}
	}
	out := map[*ir.Value]interval{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		if v.Op != ir.OpFormat || v.Attrs.Int("loose", 0) != 0 || uses[v.Args[0]] != 1 {
			continue
		}
		x := interval{v.Attrs.Float("lo", math.Inf(-1)), v.Attrs.Float("hi", math.Inf(1)), ir.Proved}
		if own, ok := out[v]; ok {
			x.lo, x.hi = max(x.lo, own.lo), min(x.hi, own.hi)
		}
		out[v.Args[0]] = x
	}
	return out
}

// describe names a value for people: its op and where it stands.
func describe(v *ir.Value) string {
	if p := v.Pos.String(); p != "" {
		return fmt.Sprintf("%s at %s", v.Op, p)
	}
	return fmt.Sprintf("%s %s", v.Op, v)
}

// tooLarge refuses a value that the widest ring does not hold.
func tooLarge(v *ir.Value, iv interval, lim float64) error {
	what := "real numbers of that size have too few fraction bits"
	if v.Type.Elem == ir.Int {
		what = "integers of that size are not exact"
	}
	return diag.Errorf(v.Pos, "%s may reach %.6g..%.6g, and a ring of 64 bits holds up to %.3g: %s", v.Op, iv.lo, iv.hi, lim, what).
		WithHint("declare narrower input ranges (--range NAME=LO..HI), give sample inputs (--calibrate FILE), or scale the inputs down")
}

// publish rounds what derives from private data up to powers of two.
func publish(v *ir.Value, iv interval) ir.Range {
	r := ir.Range{Lo: iv.lo, Hi: iv.hi, Origin: iv.from}
	if v.Type.Vis.IsPublic() || v.Op == ir.OpInput && (iv.from == ir.Proved || v.Attrs.Has("lo") || v.Attrs.Has("bounds")) { // declared, or by its type
		return r
	}
	r.Lo, r.Hi = 0-powerUp(-iv.lo), powerUp(iv.hi)
	return r
}

// coarse widens an interval to powers of two.
func coarse(iv interval) interval {
	down := func(x float64) float64 { // towards zero
		_, e := math.Frexp(x)
		return math.Ldexp(1, e-1)
	}
	if iv.lo > 0 {
		iv.lo = down(iv.lo)
	} else {
		iv.lo = 0 - powerUp(-iv.lo)
	}
	if iv.hi < 0 {
		iv.hi = -down(-iv.hi)
	} else {
		iv.hi = powerUp(iv.hi)
	}
	return iv
}

// powerUp returns the least power of two at or above x, of those that are published; 0 for x <= 0.
func powerUp(x float64) float64 {
	if x <= 0 {
		return 0
	}
	return math.Ldexp(1, binade(x))
}

// shown returns m without the weights of owners who keep ranges and formats back: for them the compiler reasons as if it
// did not know the data.
func shown(m *ir.Module, opt *Options) *ir.Module {
	c := *m
	c.Weights = map[string]*ir.Tensor{}
	for _, v := range m.Main().Body {
		if name := v.Attrs.Str("name"); v.Op == ir.OpWeight && m.Weights[name] != nil && !opt.silent(v.Attrs.Str("owner")) {
			c.Weights[name] = m.Weights[name]
		}
	}
	return &c
}

// silent reports whether an owner lets neither ranges nor formats derive from its data.
func (o *Options) silent(owner string) bool {
	if s, ok := o.Stated[owner]; ok {
		return s.silent()
	}
	for _, p := range o.Policies {
		if p.Owner == owner {
			return !p.Publishes()
		}
	}
	return o.Default != nil && !o.Default.Publishes()
}

// extent returns the interval of known data.
func extent(t *ir.Tensor) (interval, error) {
	iv := interval{0, 0, ir.Proved}
	for i := range t.Len() {
		x := t.At(i)
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return iv, fmt.Errorf("element %d is not a finite number", i)
		}
		if i == 0 {
			iv.lo, iv.hi = x, x
		}
		iv.lo, iv.hi = min(iv.lo, x), max(iv.hi, x)
	}
	return iv, nil
}

// known returns the data of a constant or of a weight whose data the compiler has, whatever its format.
func known(m *ir.Module, v *ir.Value) *ir.Tensor {
	switch v.Op {
	case ir.OpConst:
		return v.Attrs.Tensor("data")
	case ir.OpFormat:
		return known(m, v.Args[0])
	case ir.OpWeight:
		return m.Weights[v.Attrs.Str("name")]
	}
	return nil
}

// bound returns the interval of v from those of its arguments.
func bound(m *ir.Module, v *ir.Value, seen map[*ir.Value]interval, opt *Options) (interval, error) {
	lim := limit(v.Type.Elem, opt.FracBits)
	assumed := interval{-lim, lim, ir.Assumed}
	if v.Type.Elem == ir.Real {
		assumed.lo, assumed.hi = -opt.assume(), opt.assume()
	}
	if c := byColumn(m, v); c != nil && len(v.Args) > 0 {
		return hullOf(c), nil
	}
	switch v.Op {
	case ir.OpInput:
		if c := inputColumns(v, true); c != nil {
			return hullOf(c), nil
		}
		if r, _, ok := ir.Declared(v); ok {
			if r.Lo > r.Hi || math.IsNaN(r.Lo) || math.IsNaN(r.Hi) {
				return interval{}, fmt.Errorf("declared range %g..%g is empty", r.Lo, r.Hi)
			}
			if r.Abs() > lim {
				return interval{}, fmt.Errorf("declared range %g..%g exceeds what a 64-bit ring holds, %g", r.Lo, r.Hi, lim)
			}
			return interval{r.Lo, r.Hi, ir.Proved}, nil
		}
		return assumed, nil
	case ir.OpConst, ir.OpWeight:
		if t := known(m, v); t != nil {
			iv, err := extent(t)
			if err == nil && max(-iv.lo, iv.hi) > lim {
				err = fmt.Errorf("magnitude %g exceeds what a 64-bit ring holds, %g", max(-iv.lo, iv.hi), lim)
			}
			return iv, err
		}
		return assumed, nil
	}
	rule := ir.Rows[v.Op].Range
	if rule == nil {
		return interval{}, fmt.Errorf("no range rule for op %s", v.Op)
	}
	r := rule(v, ir.Operands{
		Range: func(a *ir.Value) ir.Range { return ir.Range{Lo: seen[a].lo, Hi: seen[a].hi, Origin: seen[a].from} },
		Data:  func(a *ir.Value) *ir.Tensor { return known(m, a) },
	})
	return interval{r.Lo, r.Hi, r.Origin}, nil
}
