package passes

import (
	"fmt"
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Integers are divided exactly: an approximated quotient is rounded, what it leaves is divided again until the quotient is off by a few units
// at most, and comparisons of the remainder with multiples of the divisor say by how many. Everything is whole, so that the only errors are those
// of the reciprocal and of rounding, whose bounds are followed here and checked in every run in the clear.

// integerMethods says how integer ops are computed.
var integerMethods = map[ir.Op]func(a *approximation, v *ir.Value, args []*ir.Value) (*ir.Value, error){
	ir.OpIntDiv: func(a *approximation, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		q, _, err := a.divmod(v, args[0], args[1])
		return q, err
	},
	ir.OpIntMod: func(a *approximation, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		_, r, err := a.divmod(v, args[0], args[1])
		return r, err
	},
	ir.OpWrap: func(a *approximation, v *ir.Value, args []*ir.Value) (*ir.Value, error) { return a.wrap(v, args[0]) },
}

// Limits of divisions.
const (
	productRoom = 61.0 // log2 of what a product to be rounded may reach
	divideSteps = 12   // quotients that are added up at most
	mostUnits   = 64   // multiples of the divisor with which what is left is compared at most
)

// integer is a public integer.
func (a *approximation) integer(x int64) *ir.Value { return a.Const(ir.Ints(ir.Shape{}, x)) }

// inside states the range of an integer.
func (a *approximation) inside(x *ir.Value, lo, hi float64) *ir.Value {
	return a.E(ir.OpFormat, ir.Attrs{ir.F("lo", lo), ir.F("hi", hi)}, x)
}

// rounded is x*y with keep fraction bits, rounded down or up to one unit more for each party beyond the first; y has frac fraction bits.
func (a *approximation) rounded(x, y *ir.Value, frac, keep int, to ir.Elem, lo, hi float64) *ir.Value {
	return a.E(ir.OpMulShift, ir.Attrs{ir.I("frac", int64(frac)), ir.I("keep", int64(keep)), ir.S("to", to.String()), ir.F("lo", lo), ir.F("hi", hi)}, x, y)
}

// bit is a comparison's result as an integer.
func (a *approximation) bit(b *ir.Value) *ir.Value {
	return a.E(ir.OpCast, ir.Attrs{ir.S("to", "int")}, b)
}

// A leftover is what a division has come to: x = q*d + rest, and rest/d lies in lo..hi.
type leftover struct {
	q, rest *ir.Value // q is nil for none
	lo, hi  float64   // of rest/d
	most    float64   // of |rest|
}

// add adds a part to the quotient and takes it from the rest, whose bounds are given.
func (l *leftover) add(a *approximation, dq, d *ir.Value, lo, hi, most float64) {
	back := a.inside(a.product(dq, d, l.most+most), -l.most-most, l.most+most)
	l.rest = a.inside(a.sub(l.rest, back), -most, most)
	if l.q == nil {
		l.q = dq
	} else {
		l.q = a.add(l.q, dq)
	}
	l.lo, l.hi, l.most = lo, hi, most
}

// product is x*y for integers whose product is known to lie within most.
func (a *approximation) product(x, y *ir.Value, most float64) *ir.Value {
	return a.rounded(x, y, 0, 0, ir.Int, -most, most)
}

// settled ends a division: comparisons with multiples of d make the quotient the floor.
func (l *leftover) settled(a *approximation, d *ir.Value) (q, rest *ir.Value) {
	q, rest = l.q, l.rest
	least, most := int(math.Floor(l.lo)), int(math.Floor(l.hi))
	count := a.integer(int64(least))
	if n := most - least; n > 0 {
		k := make([]int64, n)
		for i := range k {
			k[i] = int64(least + 1 + i)
		}
		s := rest.Type.Shape
		wide := d
		if !d.Type.Shape.Equal(s) && d.Type.Shape.Size() != 1 {
			wide = a.E(ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, d)
		}
		var multiples *ir.Value
		if d.Type.Shape.Size() == 1 {
			multiples = a.mul(a.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{1, 1})}, d), a.Const(ir.Ints(ir.Shape{1, n}, k...)))
		} else {
			multiples = a.mul(a.column(wide, n), a.Const(ir.Ints(ir.Shape{1, n}, k...)))
		}
		below := a.E(ir.OpLtz, nil, a.sub(a.column(rest, n), multiples))
		sum := a.E(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 1)}, a.bit(a.E(ir.OpNot, nil, below)))
		count = a.add(a.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", s)}, sum), count)
	}
	if q == nil && len(count.Type.Shape) != len(rest.Type.Shape) || count.Type.Vis.IsPublic() && q == nil { // the same everywhere
		q = a.sub(rest, rest)
	}
	if q == nil {
		q = count
	} else {
		q = a.add(q, count)
	}
	return q, rest
}

// divmod returns the quotient and the remainder that v asks for.
func (a *approximation) divmod(v, x, y *ir.Value) (q, rest *ir.Value, err error) {
	s := v.Type.Shape
	if !x.Type.Shape.Equal(s) {
		x = a.E(ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, x)
	}
	d := y
	t := y.Attrs.Tensor("data")
	if y.Op != ir.OpConst {
		t = nil
	}
	iv := a.known(y)
	turn := (*ir.Value)(nil) // -1 where the divisor is negative
	switch {
	case t != nil:
		sign, size := ir.NewTensor(ir.Int, t.Shape), ir.NewTensor(ir.Int, t.Shape)
		negative := false
		for i, k := range t.I {
			switch {
			case k == 0 || k == math.MinInt64:
				return nil, nil, diag.Errorf(v.Pos, "division by %d", k)
			case k < 0:
				sign.I[i], size.I[i], negative = -1, -k, true
			default:
				sign.I[i], size.I[i] = 1, k
			}
		}
		if negative {
			turn, d, t = a.Const(sign), a.Const(size), size
		}
	case iv.lo <= 0 && iv.hi >= 0:
		return nil, nil, diag.Errorf(v.Pos, "the divisor lies in %.6g..%.6g, which holds 0: integers have no quotient there", iv.lo, iv.hi).
			WithHint("declare a range without 0 (--range NAME=1..HI), or bound the divisor (Max with 1, Clip)")
	case iv.hi < 0:
		turn, d = a.integer(-1), a.E(ir.OpNeg, nil, y)
	}
	orig, up := x, x
	if turn != nil {
		up = a.mul(x, turn)
	}
	q, err = a.floored(v, up, d, t, v.Attrs.Int("down", 0) != 0)
	if err != nil || v.Op == ir.OpIntDiv {
		return q, nil, err
	}
	// the quotient is public in range: q*y lies next to x
	r := a.known(orig)
	least, most := a.magnitudes(d)
	_ = least
	lim := max(-r.lo, r.hi) + most
	rest = a.sub(orig, a.inside(a.product(q, y, lim), -lim, lim))
	lo, hi := a.remainders(v, r, iv, most)
	return nil, a.inside(rest, lo, hi), nil
}

// remainders returns the range of a remainder of x in r by divisors of at most the given size in iv.
func (a *approximation) remainders(v *ir.Value, r, iv interval, most float64) (lo, hi float64) {
	lo, hi = -(most - 1), most-1
	if v.Attrs.Int("down", 0) != 0 {
		r = iv
	}
	if r.lo >= 0 {
		lo = 0
	}
	if r.hi <= 0 {
		hi = 0
	}
	return lo, hi
}

// magnitudes returns the least and the largest divisor, which are positive.
func (a *approximation) magnitudes(d *ir.Value) (least, most float64) {
	iv := a.known(d)
	return max(iv.lo, 1), max(iv.hi, 1)
}

// floored divides x by d > 0, down or towards zero. t is the data of a divisor that is known. Towards zero, negative dividends are lowered by one
// and their quotients raised.
func (a *approximation) floored(v, x, d *ir.Value, t *ir.Tensor, down bool) (*ir.Value, error) {
	iv := a.known(x)
	var below *ir.Value
	switch {
	case down || iv.lo >= 0:
	case iv.hi <= 0:
		q, err := a.floored(v, a.E(ir.OpNeg, nil, x), d, t, true)
		if err != nil {
			return nil, err
		}
		return a.E(ir.OpNeg, nil, q), nil
	default:
		below = a.bit(a.E(ir.OpLtz, nil, x))
	}
	if a.magnitudeBits(x) > mostDividend {
		return nil, tooWide(v, fmt.Sprintf("the dividend lies in %.6g..%.6g", iv.lo, iv.hi), iv)
	}
	least, most := a.magnitudes(d)
	l := &leftover{rest: x, lo: iv.lo / least, hi: iv.hi / least, most: max(-iv.lo, iv.hi)}
	if iv.lo >= 0 {
		l.lo = 0
	}
	if iv.hi <= 0 {
		l.hi = 0
	}
	var err error
	if t != nil {
		err = a.byConstant(v, l, d, t, least, most)
	} else {
		err = a.bySecret(v, l, d, least, most)
	}
	if err != nil {
		return nil, err
	}
	if below != nil {
		l.rest, l.most = a.inside(a.sub(l.rest, below), -l.most-1, l.most+1), l.most+1
		l.lo -= 1 / least
	}
	q, _ := l.settled(a, d)
	if below != nil {
		q = a.add(q, below)
	}
	lo, hi := math.Min(math.Floor(iv.lo/least), math.Floor(iv.lo/most)), math.Max(math.Floor(iv.hi/least), math.Floor(iv.hi/most))
	return a.inside(q, lo, hi), nil
}

// magnitudeBits returns log2 of the largest magnitude of x.
func (a *approximation) magnitudeBits(x *ir.Value) float64 {
	iv := a.known(x)
	return math.Log2(max(-iv.lo, iv.hi, 1))
}

// mostDividend is log2 of the largest integer that is divided by anything, or of which low bits are kept.
const mostDividend = 60

// tooWide refuses a division that does not fit 64 bits.
func tooWide(v *ir.Value, what string, iv interval) error {
	e := diag.Errorf(v.Pos, "integer division does not fit 64 bits: %s", what)
	if v.Op == ir.OpWrap {
		reach := fmt.Sprintf("in %.6g..%.6g", iv.lo, iv.hi)
		if lim := limit(ir.Int, 0); iv.lo <= -lim || iv.hi >= lim { // what is known of them ends there
			reach = fmt.Sprintf("that may reach beyond 2^%d", maxProductBits)
		}
		e = diag.Errorf(v.Pos, "integers %s are to be kept in the %d bits of their type, and 64 bits do not hold what that takes", reach, v.Attrs.Int("bits", 0))
	}
	if iv.from == ir.Assumed {
		return e.WithHint("declare the input's range (--range NAME=LO..HI): nothing is known of it")
	}
	if v.Op == ir.OpWrap {
		return e.WithHint("declare narrower input ranges (--range NAME=LO..HI): the low bits of what lies within 2^%d are kept exactly, and nothing is to be done for what the type holds", mostDividend-1)
	}
	return e.WithHint("declare narrower input ranges (--range NAME=LO..HI): dividends of 50 bits by constants, and of 41 by secrets, fit")
}

// enough reports whether comparisons with so many multiples of divisors from least on may end a division.
func (l *leftover) enough(least float64, units int) bool {
	return math.Floor(l.hi)-math.Floor(l.lo-1/least) <= float64(units)
}

// byConstant adds quotients by public divisors of least..most: rest*M / 2^k with M the floor of 2^k/d. Error: |rest| * 2^-k by M, and
// rounding.
func (a *approximation) byConstant(v *ir.Value, l *leftover, d *ir.Value, t *ir.Tensor, least, most float64) error {
	up := float64(a.parties - 1)
	for step := 0; !l.enough(least, a.parties+1); step++ {
		bits := math.Log2(l.most)
		k := int(math.Min(math.Floor(bits)+2, math.Floor(productRoom-bits+math.Log2(least)-0.1)))
		k = min(k, 57)
		exact := least == most && least == math.Exp2(math.Round(math.Log2(least)))
		if exact {
			k = int(math.Log2(least))
		}
		if k < int(math.Log2(least)) || step == divideSteps || k < 0 || bits > 50 && !exact {
			return tooWide(v, fmt.Sprintf("a dividend of %.0f bits by %.0f..%.0f", math.Ceil(bits), least, most), a.known(l.rest))
		}
		m := ir.NewTensor(ir.Real, t.Shape)
		for i, c := range t.I {
			m.F[i] = math.Ldexp(math.Floor(math.Exp2(float64(k))/float64(c)), -k)
		}
		off := math.Ldexp(l.most, -k)
		if exact {
			off = 0
		}
		far := l.most/least + up + 1
		dq := a.rounded(l.rest, a.Const(m), k, 0, ir.Int, -far, far)
		lo, hi := -up-off, 1+off
		if far := max(-lo, hi) * most; far >= l.most {
			if l.enough(least, mostUnits) { // another quotient would say no more than comparisons do
				return nil
			}
			return tooWide(v, fmt.Sprintf("a dividend of %.0f bits by %.0f..%.0f", math.Ceil(bits), least, most), a.known(l.rest))
		}
		l.add(a, dq, d, lo, hi, max(-lo, hi)*most)
	}
	return nil
}

// Bits of reciprocals of secret divisors.
const (
	recipBits  = 16   // fraction bits of the mantissa, and of its reciprocal
	recipError = 12.5 // the reciprocal of a mantissa is right within 2^-recipError of it
	guardBits  = 2    // fraction bits of a scaled dividend
)

// bySecret adds quotients by secret divisors of least..most: S = 2^(top-j) for a divisor in [2^j, 2^(j+1)) is looked up, its mantissa
// m = d*S/2^top has a reciprocal by waves, and rest*S/2^top * 1/m is a quotient within 2^-recipError of it, and rounding.
func (a *approximation) bySecret(v *ir.Value, l *leftover, d *ir.Value, least, most float64) error {
	units := 2*a.parties + 1
	if l.enough(least, units) {
		return nil
	}
	low, top := int(math.Floor(math.Log2(least))), int(math.Floor(math.Log2(most)))
	A := math.Log2(l.most)
	if A > 41.01 || A+float64(top+1) > 72.01 {
		return tooWide(v, fmt.Sprintf("a dividend of %.0f bits by a secret divisor of %d: 41 bits fit, and 71 of both together", math.Ceil(A), top+1), a.known(l.rest))
	}
	s, r := a.reciprocal(d, low, top)
	n := float64(a.parties)
	for step := 0; !l.enough(least, units); step++ {
		if step == divideSteps {
			return tooWide(v, fmt.Sprintf("a dividend of %.0f bits by a secret divisor of %d", math.Ceil(A), top+1), a.known(l.rest))
		}
		rest, far := l.rest, l.most
		quotient := max(-l.lo, l.hi)
		wide := min(math.Ldexp(far, top-low), math.Ldexp(quotient, top+1)) // of rest*S, as rest is at most quotient*d
		cut := max(0, int(math.Ceil(math.Log2(wide)-59)))
		if cut > 0 {
			far = math.Ldexp(far, -cut) + n
			rest = a.rounded(rest, a.Const(ir.Reals(ir.Shape{}, math.Ldexp(1, -cut))), cut, 0, ir.Int, -far, far)
		}
		wide = math.Ldexp(wide, -cut)
		if cut > 0 {
			wide += math.Ldexp(n, top-low)
		}
		u := a.rounded(rest, s, 0, 0, ir.Int, -wide, wide)
		by := top - cut // rest = u / 2^by in units of 2^j
		far = math.Ldexp(wide, -by) + n
		var w *ir.Value
		if by >= 0 {
			w = a.rounded(u, a.Const(ir.Reals(ir.Shape{}, math.Ldexp(1, -by))), max(by, 0), guardBits, ir.Real, -far, far)
		} else {
			w = a.rounded(u, a.Const(ir.Reals(ir.Shape{}, math.Ldexp(1, -by))), 0, guardBits, ir.Real, -far, far)
		}
		dq := a.rounded(w, r, 0, 0, ir.Int, -far-n, far+n)
		eps := math.Exp2(-recipError)
		slack := n * (math.Exp2(-guardBits) + math.Ldexp(1, cut-low))
		if cut == 0 {
			slack = n * math.Exp2(-guardBits)
		}
		lo, hi := -(n-1)-slack-float64(quotient*eps), 1+slack+float64(quotient*eps)
		size := float64(l.most*eps) + float64((n+float64(n*math.Exp2(-guardBits)))*math.Exp2(float64(top+1)))
		if cut > 0 {
			size += n * math.Exp2(float64(cut+1))
		}
		size = min(size, max(-lo, hi)*most)
		if quotientAfter := max(-lo, hi); quotientAfter >= quotient {
			return tooWide(v, fmt.Sprintf("a dividend of %.0f bits by a secret divisor of %d", math.Ceil(A), top+1), a.known(l.rest))
		}
		l.add(a, dq, d, lo, hi, size)
	}
	return nil
}

// reciprocal returns S = 2^(top-j) for d in [2^j, 2^(j+1)), and 2^j/d with recipBits fraction bits.
func (a *approximation) reciprocal(d *ir.Value, low, top int) (s, r *ir.Value) {
	s = a.integer(1)
	if n := top - low; n > 0 {
		t, w := make([]int64, n), make([]int64, n)
		for i := range t {
			j := low + 1 + i
			t[i], w[i] = int64(1)<<j, int64(1)<<(top-j)-int64(1)<<(top-j+1)
		}
		below := a.E(ir.OpLtz, nil, a.sub(a.column(d, n), a.Const(ir.Ints(ir.Shape{1, n}, t...))))
		sum := a.E(ir.OpMatMul, nil, a.bit(a.E(ir.OpNot, nil, below)), a.Const(ir.Ints(ir.Shape{n, 1}, w...)))
		s = a.add(a.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", d.Type.Shape)}, sum), a.integer(int64(1)<<n))
		s = a.inside(s, 1, math.Exp2(float64(n)))
	}
	full := a.rounded(d, s, 0, 0, ir.Int, math.Exp2(float64(top)), math.Exp2(float64(top+1))-1)
	over := 2 + float64(a.parties)*math.Exp2(-recipBits)
	m := a.rounded(full, a.Const(ir.Reals(ir.Shape{}, math.Ldexp(1, -top))), max(top, recipBits), recipBits, ir.Real, 1, over)
	return s, a.mantissaReciprocal(m, over)
}

// mantissaReciprocal returns 1/m for m in 1..2 as a polynomial in the sine of an eighth of a turn about 1.5, which is a sum of waves.
func (a *approximation) mantissaReciprocal(m *ir.Value, over float64) *ir.Value {
	const (
		mid    = 1.5
		period = 3
		slope  = 2 * math.Pi / (1 << period)
		bits   = recipBits + 1
	)
	at := func(s float64) float64 { return 1 / (mid + math.Asin(s)/slope) }
	edge := math.Sin(slope * (over - mid))
	c := fitPolyTo(at, -edge, edge, math.Exp2(-recipBits), bits+4)
	fine, out := quietWaves(sinePowers(c, period, bits).rows, bits, bits)
	w := sinePowers(c, period, fine)
	y := a.E(ir.OpWave, ir.Attrs{ir.T("data", w.rows), ir.I("period", period), ir.I("frac", int64(fine))}, a.within(a.sub(m, a.exact(1, ir.Shape{}, mid)), keep, 1-mid, over-mid))
	return a.settled(a.add(y, a.exact(fine, ir.Shape{}, w.mean)), out, 0.49, 1.01)
}

// wrap keeps the low bits of x, exactly: x less 2^bits times the floor of x/2^bits. Nothing is to be done where the range fits.
func (a *approximation) wrap(v, x *ir.Value) (*ir.Value, error) {
	lo, hi := whole61(v)
	iv := a.known(x)
	if iv.lo >= lo && iv.hi <= hi {
		return x, nil
	}
	if v.Attrs.Int("bits", 0) == 64 {
		return nil, diag.Errorf(v.Pos, "the result lies in %.6g..%.6g, and 64 bits without sign hold no negative number", iv.lo, iv.hi).
			WithHint("declare ranges in which it is not negative (--range NAME=LO..HI), or cast to a type with a sign before")
	}
	span := int64(1) << v.Attrs.Int("bits", 0)
	t := ir.Ints(ir.Shape{}, span)
	from := x
	if lo != 0 {
		from = a.add(x, a.integer(-int64(lo)))
	}
	if a.magnitudeBits(from) > mostDividend {
		return nil, tooWide(v, "", iv)
	}
	d := a.Const(t)
	q, err := a.floored(v, from, d, t, true)
	if err != nil {
		return nil, err
	}
	return a.inside(a.sub(x, a.mul(q, d)), lo, hi), nil
}

// whole61 returns the range of what a wrap keeps.
func whole61(v *ir.Value) (lo, hi float64) {
	span := math.Exp2(float64(v.Attrs.Int("bits", 0)))
	if v.Attrs.Int("signed", 0) != 0 {
		return -span / 2, span/2 - 1
	}
	return 0, span - 1
}

// mulShift multiplies whole numbers and fractions with the fraction bits that v states, and rounds once.
func (q *quantiser) mulShift(v *ir.Value, args []*ir.Value) (*ir.Value, error) {
	x, y := args[0], args[1]
	var err error
	if y.Op == ir.OpConst {
		if from := v.Args[1]; from.Op == ir.OpConst {
			y, err = q.constant(from.Attrs.Tensor("data"), v.Attrs.Int("frac", 0))
		} else { // what a bound has left of a constant
			y, err = q.raise(y, v.Attrs.Int("frac", 0))
		}
		if err != nil {
			return nil, err
		}
		y.Range = args[1].Range
	}
	p, err := q.emit(ir.OpMul, nil, x, y)
	if err != nil {
		return nil, err
	}
	drop := p.Type.Scale - v.Attrs.Int("keep", 0)
	switch {
	case drop > 0:
		return q.emit(ir.OpTrunc, ir.Attrs{ir.I("drop", int64(drop)), ir.I("firm", 1)}, p)
	case drop < 0:
		return q.raise(p, v.Attrs.Int("keep", 0))
	}
	return p, nil
}
