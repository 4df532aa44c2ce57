package passes

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// A nearness bounds how far what parties compute for a function f is from it over a part of its domain: the own error, for an argument that they hold exactly, and
// what an error of the argument makes of f, each abs + rel*|f|.
type nearness struct {
	abs, rel           float64
	movedAbs, movedRel float64
	err                error // why there is none
}

// A nearKey names what a nearness depends on.
type nearKey struct {
	y          *ir.Value
	lo, hi, by float64
}

// How finely a domain is looked at.
const (
	cellsOfDomain = 64 // to begin with
	cellsOfOctave = 4
	mostCells     = 1 << 17 // of all sizes
	narrowestCell = 0x1p-40 // of the argument, or of 1
	mostForks     = 3       // comparisons that a cell leaves open
	looseness     = 0.25    // part of an error that may come of the width of a cell
	leastLoose    = 1e-5    // absolute, or relative, that does not matter
)

// function encloses v if it is the result of a function that was replaced. done is false if it is none. What arithmetic stands for it is bounded for an argument
// that parties hold exactly, over all that they may hold: |y' - f(x)| <= |y' - f(x')| + |f(x') - f(x)|.
func (p *proof) function(v *ir.Value) (e enclosure, err error, done bool) {
	for _, part := range v.Parts {
		if part.Arg != ir.Result || len(v.Args) == 1 && (v.Op == ir.OpTrunc || v.Op == ir.OpShl) && slices.Contains(v.Args[0].Parts, part) { // seen already
			continue
		}
		if done {
			return e, fmt.Errorf("%s stands for two functions", named(v)), true
		}
		done = true
		of := p.replacement
		if f := p.from.fits[part.Fit]; f.by && f.dividend == 0 {
			of = p.quotient
		}
		if e, err = of(v, part.Fit); err != nil && !p.reported(err) {
			err = fmt.Errorf("%s: %w", named(&ir.Value{Op: p.from.fits[part.Fit].op, Pos: v.Pos}), err)
		}
	}
	return e, err, done
}

// reported reports whether an error is that of an argument, which has its place already.
func (p *proof) reported(err error) bool {
	for _, why := range p.without {
		if why == err.Error() {
			return true
		}
	}
	return false
}

// replacement encloses v, which stands for a function of one argument.
func (p *proof) replacement(v *ir.Value, fit int) (enclosure, error) {
	arg := 0
	op := p.from.fits[fit].op
	s, ok := smoothnesses[op]
	s.f = ir.Smooth[op]
	if c := p.from.fits[fit].dividend; op == ir.OpDiv {
		s, ok, arg = smoothnesses[ir.OpRecip].times(c), true, 1
	}
	x, seen := p.args[ir.Part{Fit: fit, Arg: arg}]
	switch {
	case !ok:
		return enclosure{}, errors.New("there is no bound for it")
	case !seen && p.without[ir.Part{Fit: fit, Arg: arg}] != "":
		return enclosure{}, errors.New(p.without[ir.Part{Fit: fit, Arg: arg}])
	case !seen || !x[atLo].Shape.Equal(v.Type.Shape):
		return enclosure{}, errors.New("its argument has no bound")
	}
	lo, hi, by := x.held()
	key := nearKey{v, lo, hi, by}
	n, ok := p.near[key]
	if !ok {
		n = p.nearness(v, fit, arg, s, lo, hi, by)
		p.near[key] = n
	}
	if n.err != nil {
		return enclosure{}, n.err
	}
	if p.own(v, 1) == 0 {
		n.abs, n.rel = 0, 0
	}
	return elementwise(v.Type.Shape, []enclosure{x}, func(a []enclosed) enclosed {
		y := enclosed{abs: up(n.abs + n.movedAbs), rel: up(n.rel + n.movedRel)}
		if y.lo, y.hi = s.image(a[0].lo, a[0].hi); !s.steep {
			off := a[0].flat()
			y = y.off(up(s.most(a[0].lo-off, a[0].hi+off) * off))
		}
		return y
	})
}

// nearness looks at every cell of lo..hi, which the argument may be held in; by bounds its own error.
func (p *proof) nearness(y *ir.Value, fit, arg int, s smoothness, lo, hi, by float64) (n nearness) {
	if by > 1 && by > 0.4*(hi-lo) {
		return nearness{err: errors.New("its argument may be off by as much as it varies")}
	}
	pieces, err := p.pieces(y, fit, arg, false)
	if err != nil {
		return nearness{err: err}
	}
	if off, ok := pieces.turned(p.from.fits[fit].op, lo, hi); ok {
		return nearness{abs: off}
	}
	ends, err := s.cells(lo, hi)
	if err != nil {
		return nearness{err: err}
	}
	var owns, moves [][2]float64 // bounds of |f| from below, and errors
	n.err = pieces.eachCell(s, ends, func(c span, own, least float64) error {
		if owns = append(owns, [2]float64{least, own}); s.steep {
			moves = append(moves, [2]float64{least, up(s.most(c.lo-by, c.hi+by) * by)})
		}
		return nil
	})
	n.abs, n.rel = steady(owns)
	n.movedAbs, n.movedRel = steady(moves)
	return n
}

// steady returns abs and rel with error <= abs + rel*|f| for all pairs of |f| and an error, the best of a few rel for what is near 1.
func steady(pairs [][2]float64) (abs, rel float64) {
	abs = math.Inf(1)
	for _, from := range []float64{1, 8, 64, math.Inf(1)} {
		r, a := 0.0, 0.0
		for _, p := range pairs {
			if p[0] >= from {
				r = max(r, up(p[1]/p[0]))
			}
		}
		for _, p := range pairs {
			a = max(a, up(p[1]-below(r*p[0])))
		}
		if a+r < abs+rel {
			abs, rel = a, r
		}
	}
	return abs, rel
}

// turned bounds how far one wave of period 1 of an affine function of the argument is from the sine or cosine of the argument itself: no farther than
// their angles are from one another, and what is rounded.
func (p *pieces) turned(op ir.Op, lo, hi float64) (off float64, ok bool) {
	row := map[ir.Op][]float64{ir.OpSin: {1, 0, 1}, ir.OpCos: {1, 1, 0}}[op]
	if row == nil || p.y.Op != ir.OpWave || p.y.Attrs.Int("period", 0) != 0 || !slices.Equal(p.y.Attrs.Tensor("data").F, row) {
		return 0, false
	}
	y, err := p.run(lo, hi, nil)
	turns := p.of(p.y.Args[0])[0]
	if err != nil || turns.d.lo != turns.d.hi || len(p.of(p.y.Args[0])) != 1 {
		return 0, false
	}
	mid, r := lo/2+hi/2, (hi-lo)/2*(1+floatSlack)
	off = math.Abs(2*math.Pi*turns.mid-mid) + float64(math.Abs(2*math.Pi*turns.d.lo-1)*r) + y.e
	return off*(1+floatSlack) + floatSlack*max(1, math.Abs(lo), math.Abs(hi)), true
}

// eachCell visits the cells between ends, cut as finely as bounds ask for: own is the bound of a cell, least that of |f| from below.
func (p *pieces) eachCell(s smoothness, ends []float64, visit func(c span, own, least float64) error) error {
	var todo []span
	for i := range ends[1:] {
		todo = append(todo, span{ends[i], ends[i+1]})
	}
	for looked := 0; len(todo) > 0; looked++ {
		if *p.left < 0 {
			return errors.New("it would take too long to look at all functions")
		}
		c := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		own, least, loose, err := p.cell(s, c.lo, c.hi)
		mid := between(c.lo, c.hi)
		if (loose || err != nil) && *p.left >= 0 && mid > c.lo && mid < c.hi && c.hi-c.lo > narrowestCell*max(1, math.Abs(c.lo)) && looked < mostCells {
			todo = append(todo, span{c.lo, mid}, span{mid, c.hi})
			continue
		}
		if err == nil {
			err = visit(c, own, least)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// rounded notes what is rounded in a cell for a dividend of 0 and for the largest, between which it grows in proportion.
func (p *pieces) rounded(a, b float64, bits map[lane]bool) error {
	p.linear = true
	defer func() { p.linear, p.n = false, number(1) }()
	p.n = cell{}
	g, err := p.run(a, b, bits)
	if err == nil {
		most := p.most(span{a, b})
		p.none, p.n = max(p.none, g.e), cell{v: span{-most, most}}
		g, err = p.run(a, b, bits)
		p.all = max(p.all, g.e)
	}
	return err
}

// held returns what parties may hold over all elements, and the largest error.
func (e enclosure) held() (lo, hi, by float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	for i := range e.len() {
		a := e.at(i)
		off := a.flat()
		lo, hi, by = min(lo, below(a.lo-off)), max(hi, above(a.hi+off)), max(by, off)
	}
	return lo, hi, by
}

// quotient encloses v, which stands for n f(x), f(x) = 1/x or 1/sqrt(x). Its arithmetic is linear in n: n g(x), where |g - f| is bounded cell by cell, and what is
// rounded is no more than a + b|n|. A fact may say that |n f(x)| is never more than some number, which bounds n in each cell.
func (p *proof) quotient(v *ir.Value, fit int) (enclosure, error) {
	n, ok := p.args[ir.Part{Fit: fit, Arg: 0}]
	x, seen := p.args[ir.Part{Fit: fit, Arg: 1}]
	if !ok || !seen {
		for arg := range 2 {
			if why := p.without[ir.Part{Fit: fit, Arg: arg}]; why != "" {
				return enclosure{}, errors.New(why)
			}
		}
		return enclosure{}, errors.New("its arguments have no bound")
	}
	s := p.factor(fit)
	lo, hi, by := x.held()
	_, _, off := n.held()
	key := nearKey{v, lo, hi, n.most()}
	near, ok := p.near[key]
	if !ok {
		near = p.quotientNearness(v, fit, s, span{lo, hi}, n.most(), by, off)
		p.near[key] = near
	}
	if near.err != nil {
		return enclosure{}, near.err
	}
	if p.own(v, 1) == 0 {
		near.abs, near.rel = 0, 0
	}
	fact := p.from.fits[fit]
	return elementwise(v.Type.Shape, []enclosure{n, x}, func(a []enclosed) enclosed {
		n, x := a[0], a[1]
		least := below(x.least() - x.flat()) // above zero, as all that is held is on one side
		moved := up(x.flat() / least)        // of f(x')/f(x) - 1, no more than of x/x' - 1
		most := max(math.Abs(s.f(math.Copysign(least, x.lo))), math.Abs(s.f(x.lo)), math.Abs(s.f(x.hi)))
		abs, rel := up(n.abs*most), up(n.rel*(1+moved)+moved)
		var f enclosed
		f.lo, f.hi = s.image(x.lo, x.hi)
		y := n.times(f)
		y.lo, y.hi = max(y.lo, fact.lo), min(y.hi, fact.hi)
		y.abs, y.rel = up(near.abs+(1+near.rel)*abs), up(near.rel*(1+rel)+rel)
		return y
	})
}

// factor returns the function of the second argument of a fit, by which the first is multiplied.
func (p *proof) factor(fit int) smoothness {
	if p.from.fits[fit].op == ir.OpRsqrt {
		s := smoothnesses[ir.OpRsqrt]
		s.f = ir.Smooth[ir.OpRsqrt]
		return s
	}
	return smoothnesses[ir.OpRecip].times(1)
}

// quotientNearness looks at every cell of what the second argument may be held as, for first arguments of up to most. by and off are the errors of the arguments.
func (p *proof) quotientNearness(y *ir.Value, fit int, s smoothness, held span, most, by, off float64) (n nearness) {
	pieces, err := p.pieces(y, fit, 1, true)
	if err == nil && pieces.second == nil {
		err = errors.New("its dividend is not known")
	}
	if err != nil {
		return nearness{err: err}
	}
	ends, err := s.cells(held.lo, held.hi)
	if err != nil {
		return nearness{err: err}
	}
	fact := max(p.from.fits[fit].hi, -p.from.fits[fit].lo)
	pieces.most = func(c span) float64 {
		if c.lo-by <= 0 && c.hi+by >= 0 || math.IsInf(fact, 0) {
			return most
		}
		least := min(math.Abs(s.f(c.lo-by)), math.Abs(s.f(c.hi+by)))
		return min(most, up(up(fact/least)+off))
	}
	n.err = pieces.eachCell(s, ends, func(c span, own, least float64) error {
		if n.abs = max(n.abs, up(pieces.none)); pieces.all > pieces.none {
			own += up((pieces.all - pieces.none) / pieces.most(c))
		}
		n.rel = max(n.rel, up(own/least))
		return nil
	})
	return n
}

// between returns a number near the middle of a..b with few bits, if there is one: slopes jump at such numbers.
func between(a, b float64) float64 {
	step := math.Exp2(math.Floor(math.Log2((b - a) / 2)))
	if m := math.Floor((a/2+b/2)/step) * step; m > a {
		return m
	}
	return a/2 + b/2
}

// cells returns the ends of the cells that lo..hi is cut into, before they are cut further.
func (s smoothness) cells(lo, hi float64) ([]float64, error) {
	switch {
	case s.octaves && lo <= 0 && hi >= 0:
		return nil, errors.New("its argument may be zero, as far as its bound says")
	case s.octaves && hi < 0: // as above zero
		out, err := s.cells(-hi, -lo)
		slices.Reverse(out)
		for i := range out {
			out[i] = -out[i]
		}
		return out, err
	}
	step := math.Exp2(math.Floor(math.Log2(max(hi-lo, 1e-9) / cellsOfDomain)))
	out := []float64{lo}
	for x := lo; ; {
		if s.octaves {
			_, e := math.Frexp(x)
			step = math.Ldexp(1.0/cellsOfOctave, e-1)
		}
		if x = (math.Floor(x/step) + 1) * step; x >= hi {
			return append(out, hi), nil
		}
		out = append(out, x)
	}
}

// cell bounds how far what parties compute is from f in a..b, and |f| from below. The arithmetic g is known with its slope: |g - f| is no more than it is in the
// middle and half the width times the most that slopes differ. loose says that narrower cells would give a smaller bound.
func (p *pieces) cell(s smoothness, a, b float64) (own, least float64, loose bool, err error) {
	mid, r := a/2+b/2, (b-a)/2*(1+floatSlack)
	f, slope, bend := s.f(mid), s.slope(mid), s.bend(a, b)*r
	least = max(math.Abs(f)-s.most(a, b)*r, 0)
	todo := []map[lane]bool{nil}
	p.none, p.all, p.n = 0, 0, number(1)
	for runs := 0; len(todo) > 0; runs++ {
		bits := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if runs >= 2<<mostForks {
			return 0, 0, false, errors.New("its argument may be so small that comparisons of it are not decided")
		}
		g, err := p.run(a, b, bits)
		if open := (*fork)(nil); errors.As(err, &open) {
			loose = loose || r > open.within
			for _, bit := range []bool{false, true} {
				next := map[lane]bool{open.at: bit}
				for k, x := range bits {
					next[k] = x
				}
				todo = append(todo, next)
			}
			continue
		}
		if err != nil {
			return 0, 0, false, err
		}
		if p.second != nil { // what is rounded depends on the dividend
			if err := p.rounded(a, b, bits); err != nil {
				return 0, 0, false, err
			}
			g.e = 0
		}
		differ := max(g.d.hi-(slope-bend), slope+bend-g.d.lo, 0) * r
		off := math.Abs(g.mid-f) + g.e
		size := max(math.Abs(f), math.Abs(g.mid), 1)
		loose = loose || differ > max(looseness*off, leastLoose*size)
		own = max(own, (off+differ)*(1+floatSlack)+floatSlack*size)
	}
	return own, least, loose, nil
}
