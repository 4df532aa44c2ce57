package passes

import (
	"math"
	"slices"

	"smpcc/ir"
)

// Facts about normalised values that follow from how they are computed, whatever the range of what they are computed from: a softmax lies between 0 and 1,
// an element over the norm of its line between -1 and 1, a weighted mean within the range of what is weighed. They bound results, and so the bits
// that these take. They hold in exact arithmetic; nearly leaves room for rounding.

// nearly is what rounding may add to a bound that is 1 in exact arithmetic.
const nearly = 1 + 1.0/64

// plain looks through formats, which change no value.
func plain(v *ir.Value) *ir.Value {
	for v.Op == ir.OpFormat {
		v = v.Args[0]
	}
	return v
}

// A trail leads from a factor back to what it is computed from, through views that keep the order of elements. at is the shape with which the factor
// meets the other one.
type trail struct {
	v        *ir.Value
	at       ir.Shape
	reshaped bool
}

// follow begins a trail at v and goes through its views.
func follow(v *ir.Value) trail {
	t := trail{v: v, at: v.Type.Shape}
	t.on(v)
	return t
}

// on goes on from v through formats and views.
func (t *trail) on(v *ir.Value) {
	for {
		switch {
		case v.Op == ir.OpFormat:
		case v.Op == ir.OpReshape:
			t.reshaped = true
		case v.Op == ir.OpExpand && !t.reshaped:
			t.at = v.Args[0].Type.Shape
		default:
			t.v = v
			return
		}
		v = v.Args[0]
	}
}

// least goes through what can only make the value larger, and returns the factor by which it is at least as large as what the trail leads to.
func (t *trail) least() float64 {
	k := 1.0
	for {
		x, c := t.v, math.NaN()
		for i, a := range t.v.Args {
			if d := plain(a); d.Op == ir.OpConst && d.Type.Elem == ir.Real && d.Type.Shape.Size() == 1 {
				x, c = t.v.Args[(i+1)%len(t.v.Args)], d.Attrs.Tensor("data").At(0)
			}
		}
		switch {
		case t.v.Op == ir.OpAdd && c >= 0 || t.v.Op == ir.OpMax && !math.IsNaN(c):
		case t.v.Op == ir.OpMul && c > 0:
			k *= c
		default:
			return k
		}
		t.on(x)
	}
}

// meets reports whether each element of a value of the given shape meets, along the trail, the sum over its own line: sum is what the trail leads to, and
// the shape is that of what it sums, or, where a product has summed the last dimension, differs in that.
func (t *trail) meets(sum *ir.Value, whole ir.Shape) bool {
	kept := slices.Clone(sum.Args[0].Type.Shape)
	axes, err := ir.NormAxes(sum.Attrs.Ints("axes"), len(kept))
	if err != nil || len(whole) != len(kept) {
		return false
	}
	for _, d := range axes {
		kept[d] = 1
	}
	at := t.at
	for len(at) < len(kept) {
		at = append(ir.Shape{1}, at...)
	}
	if !kept.Equal(at) {
		return false
	}
	for d := range kept {
		if kept[d] != 1 && kept[d] != whole[d] {
			return false
		}
	}
	return true
}

// squared returns x if v is x*x.
func squared(v *ir.Value) *ir.Value {
	if v = plain(v); v.Op == ir.OpMul && plain(v.Args[0]) == plain(v.Args[1]) {
		return plain(v.Args[0])
	}
	return nil
}

// symmetric is the interval -x..x, and what rounding adds.
func symmetric(x float64) *interval { return &interval{-x * nearly, x * nearly, ir.Proved} }

// rootFact bounds x / sqrt(v), where r is how 1/sqrt(v) meets x: by 1 if v is at least the sum of squares of the line of x, by the root of N if it is at
// least their mean, and by 1 if x is a scalar product of two lines, and v the product of their sums of squares (Cauchy and Schwarz).
func (a *approximation) rootFact(x, r, v *ir.Value) *interval {
	t := follow(r)
	t.on(v)
	k := t.least()
	switch {
	case t.v.Op == ir.OpReduceSum:
		if c := squared(t.v.Args[0]); c != nil && c == plain(x) && t.meets(t.v, x.Type.Shape) {
			return symmetric(math.Sqrt(1 / k))
		}
	case squared(t.v) != nil:
		if squared(t.v) == plain(x) && t.at.Equal(x.Type.Shape) {
			return symmetric(math.Sqrt(1 / k))
		}
	case t.v.Op == ir.OpMul:
		if k2 := a.cauchy(x, t.v.Args[0], t.v.Args[1]); k2 > 0 && t.at.Equal(x.Type.Shape) {
			return symmetric(math.Sqrt(1 / (k * k2)))
		}
	}
	return nil
}

// cauchy returns k > 0 if x is a sum of products of lines of two values and p*q is at least k times the product of their sums of squares.
func (a *approximation) cauchy(x, p, q *ir.Value) float64 {
	s, u, w := follow(x), follow(p), follow(q)
	k := u.least() * w.least()
	for _, t := range []trail{s, u, w} {
		if t.v.Op != ir.OpReduceSum || !t.v.Type.Shape.Equal(s.v.Type.Shape) || t.at.Size() != x.Type.Shape.Size() || !slices.Equal(t.v.Attrs.Ints("axes"), s.v.Attrs.Ints("axes")) {
			return 0
		}
	}
	product := plain(s.v.Args[0])
	if product.Op != ir.OpMul {
		return 0
	}
	l, r := plain(product.Args[0]), plain(product.Args[1])
	c, d := squared(u.v.Args[0]), squared(w.v.Args[0])
	if c == l && d == r || c == r && d == l {
		return k
	}
	return 0
}

// quotientFact bounds x / y for y > 0.
func (a *approximation) quotientFact(x, y *ir.Value) *interval {
	t := follow(y)
	t.least()
	part := &interval{0, nearly, ir.Proved}
	own := plain(x)
	positive := func(v *ir.Value) bool { return a.known(v).lo >= 0 }
	switch {
	case a.rooted[t.v] != nil:
		return a.rootFact(x, y, a.rooted[t.v])
	case t.v.Op == ir.OpMul && a.rooted[plain(t.v.Args[0])] != nil && a.rooted[plain(t.v.Args[1])] != nil:
		if k := a.cauchy(x, a.rooted[plain(t.v.Args[0])], a.rooted[plain(t.v.Args[1])]); k > 0 && t.at.Equal(x.Type.Shape) {
			return symmetric(math.Sqrt(1 / k))
		}
	case t.v.Op == ir.OpAdd && t.at.Equal(x.Type.Shape): // x / (x + c)
		for i, p := range t.v.Args {
			if plain(p) == own && p.Type.Shape.Equal(x.Type.Shape) && positive(x) && positive(t.v.Args[1-i]) {
				return part
			}
		}
	case t.v.Op != ir.OpReduceSum || !positive(t.v.Args[0]) || !t.meets(t.v, x.Type.Shape):
	case plain(t.v.Args[0]) == own:
		return part
	case own.Op == ir.OpMatMul && plain(own.Args[0]) == plain(t.v.Args[0]) && t.v.Type.Shape.Size() == t.v.Args[0].Type.Shape[:len(t.v.Args[0].Type.Shape)-1].Size():
		return a.mean(own.Args[1])
	}
	return nil
}

// mean bounds a mean of elements of x with weights that are not negative.
func (a *approximation) mean(x *ir.Value) *interval {
	iv := coarse(a.known(x))
	size := max(-iv.lo, iv.hi) / 64
	return &interval{iv.lo - size, iv.hi + size, ir.Proved}
}
