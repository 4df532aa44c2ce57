package passes

import (
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// An enclosed number is known in real arithmetic and in fixed point: its exact value x lies in lo..hi, and what parties hold for it is within
// abs + rel*|x| of x. All four are rounded outward, so that what is derived of them holds in real arithmetic.
type enclosed struct{ lo, hi, abs, rel float64 }

// The parts of an enclosure, in order.
const (
	atLo = iota
	atHi
	atAbs
	atRel
	parts
)

// An enclosure is a tensor of enclosed numbers: one tensor of reals for each part. Bits are the numbers 0 and 1.
type enclosure [parts]*ir.Tensor

// newEnclosure returns zeros that are exact.
func newEnclosure(s ir.Shape) (e enclosure) {
	for k := range e {
		e[k] = ir.NewTensor(ir.Real, s)
	}
	return e
}

func (e enclosure) len() int { return len(e[atLo].F) }

func (e enclosure) at(i int) enclosed {
	return enclosed{e[atLo].F[i], e[atHi].F[i], e[atAbs].F[i], e[atRel].F[i]}
}

func (e enclosure) set(i int, x enclosed) {
	e[atLo].F[i], e[atHi].F[i], e[atAbs].F[i], e[atRel].F[i] = x.lo, x.hi, x.abs, x.rel
}

// most returns the largest magnitude that parties may hold.
func (e enclosure) most() float64 {
	most := 0.0
	for i := range e.len() {
		x := e.at(i)
		most = max(most, up(x.magnitude()+x.flat()))
	}
	return most
}

// valid returns an error if a part is not a number that can bound anything.
func (e enclosure) valid() error {
	for i := range e.len() {
		if x := e.at(i); !(x.lo <= x.hi && x.abs >= 0 && x.rel >= 0) || math.IsInf(x.lo, 0) || math.IsInf(x.hi, 0) || math.IsInf(x.abs+x.rel, 0) {
			return fmt.Errorf("element %d has no finite bound", i)
		}
	}
	return nil
}

// up rounds a number that a few operations on numbers >= 0 gave, so that it is no less than the exact one. Zero is exact.
func up(x float64) float64 { return float64(x * (1 + 0x1p-48)) }

// below and above round the result of one operation outward.
func below(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }
func above(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }

// outward widens lo..hi by what one operation rounded. A sum is rounded to zero only where it is zero; products that underflow count as zero.
func outward(lo, hi float64) (float64, float64) {
	if lo != 0 {
		lo = below(lo)
	}
	if hi != 0 {
		hi = above(hi)
	}
	return lo, hi
}

// magnitude returns the largest |x|.
func (a enclosed) magnitude() float64 { return max(a.hi, -a.lo) }

// least returns the smallest |x|.
func (a enclosed) least() float64 { return max(a.lo, -a.hi, 0) }

// flat returns the error as one absolute number.
func (a enclosed) flat() float64 {
	if a.rel == 0 {
		return a.abs
	}
	return up(a.abs + float64(a.rel*a.magnitude()))
}

// exact reports whether parties hold the exact value.
func (a enclosed) exact() bool { return a.abs == 0 && a.rel == 0 }

// off adds an absolute error.
func (a enclosed) off(by float64) enclosed {
	if by > 0 {
		a.abs = up(a.abs + by)
	}
	return a
}

func (a enclosed) neg() enclosed { return enclosed{-a.hi, -a.lo, a.abs, a.rel} }

// plus: |x'+y' - (x+y)| <= |x'-x| + |y'-y|. Of numbers of one sign |x| + |y| = |x+y|, so that the larger relative error is that of the sum.
func (a enclosed) plus(b enclosed) enclosed {
	var c enclosed
	c.lo, c.hi = outward(a.lo+b.lo, a.hi+b.hi)
	if a.lo >= 0 && b.lo >= 0 || a.hi <= 0 && b.hi <= 0 {
		c.abs, c.rel = up(a.abs+b.abs), max(a.rel, b.rel)
		return c
	}
	c.abs = up(a.flat() + b.flat())
	return c
}

// times: x'y' - xy = x(y'-y) + y(x'-x) + (x'-x)(y'-y), in which relative errors stay relative.
func (a enclosed) times(b enclosed) enclosed {
	p := [4]float64{a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi}
	var c enclosed
	c.lo, c.hi = outward(min(p[0], p[1], p[2], p[3]), max(p[0], p[1], p[2], p[3]))
	c.abs = up(float64(a.magnitude()*b.abs)*(1+a.rel) + float64(b.magnitude()*a.abs)*(1+b.rel) + float64(a.abs*b.abs))
	c.rel = up(a.rel + b.rel + float64(a.rel*b.rel))
	return c
}

// squared is times itself, which has one sign. Where k is not 0, and less than the largest |x|, its error 2 |x| e is bounded by e*k and e/k of x^2, as
// 2 |x| <= k + x^2 / k, and not by that of the largest x.
func (a enclosed) squared(k float64) enclosed {
	c := a.times(a)
	c.lo, _ = outward(float64(a.least()*a.least()), 0)
	if k > 0 && a.magnitude() > k {
		r := 1 + a.rel
		c.abs = up(float64(float64(a.abs*k)*r) + float64(a.abs*a.abs))
		c.rel = up(float64(a.rel*(2+a.rel)) + float64(a.abs/k)*r)
	}
	return c
}

// larger: the maximum moves by no more than its operands do.
func (a enclosed) larger(b enclosed) enclosed {
	c := enclosed{lo: max(a.lo, b.lo), hi: max(a.hi, b.hi)}
	switch {
	case above(a.hi+a.flat()) <= below(b.lo-b.flat()): // always b
		c.abs, c.rel = b.abs, b.rel
	case above(b.hi+b.flat()) <= below(a.lo-a.flat()):
		c.abs, c.rel = a.abs, a.rel
	case a.lo >= 0 && b.lo >= 0: // neither exceeds the maximum
		c.abs, c.rel = max(a.abs, b.abs), max(a.rel, b.rel)
	default:
		c.abs = max(a.flat(), b.flat())
	}
	return c
}

// either is a or b, as a bit says that may itself be wrong: then the difference of the two is an error.
func (c enclosed) either(a, b enclosed) enclosed {
	if c.exact() && c.lo == c.hi {
		if c.lo != 0 {
			return a
		}
		return b
	}
	out := enclosed{min(a.lo, b.lo), max(a.hi, b.hi), max(a.abs, b.abs), max(a.rel, b.rel)}
	if !c.exact() {
		out.abs, out.rel = up(max(a.flat(), b.flat())+max(a.hi-b.lo, b.hi-a.lo, 0)), 0
	}
	return out
}

// positive is the maximum of x and 0.
func (a enclosed) positive() enclosed {
	c := enclosed{max(a.lo, 0), max(a.hi, 0), a.abs, a.rel}
	switch {
	case a.lo >= 0:
	case a.hi <= 0: // parties hold no more than the error above
		c.abs, c.rel = max(up(a.flat()+a.hi), 0), 0
	case a.rel > 1: // below zero an error of |x| would reach beyond it
		c.abs, c.rel = a.flat(), 0
	}
	return c
}

// negative is the bit x < 0, decided within by of what parties hold.
func (a enclosed) negative(by float64) enclosed {
	slack := up(a.flat() + by)
	switch {
	case a.hi < 0 && a.hi+slack < 0:
		return enclosed{1, 1, 0, 0}
	case a.lo-slack >= 0:
		return enclosed{}
	case slack == 0:
		return enclosed{0, 1, 0, 0}
	}
	return enclosed{0, 1, 1, 0}
}

// zero is the bit x == 0.
func (a enclosed) zero() enclosed {
	switch {
	case a.least() > a.flat():
		return enclosed{}
	case a.exact():
		return enclosed{0, 1, 0, 0}
	}
	return enclosed{0, 1, 1, 0}
}

// alike evaluates an op that only moves elements, or adds zeros, on one part of its arguments.
func alike(v *ir.Value, args []*ir.Tensor) (*ir.Tensor, error) {
	n := &ir.Value{Op: v.Op, Attrs: v.Attrs, Type: ir.Type{Elem: ir.Real, Shape: v.Type.Shape}}
	for _, a := range v.Args {
		n.Args = append(n.Args, &ir.Value{Type: ir.Type{Elem: ir.Real, Shape: a.Type.Shape}})
	}
	return ir.Rows[v.Op].Eval(n, args)
}

// expanded broadcasts an enclosure to a shape.
func (e enclosure) expanded(s ir.Shape) (enclosure, error) {
	if e[atLo].Shape.Equal(s) {
		return e, nil
	}
	v := &ir.Value{Op: ir.OpExpand, Type: ir.Type{Shape: s}, Args: []*ir.Value{{}}}
	var out enclosure
	for k, t := range e {
		x, err := alike(v, []*ir.Tensor{t})
		if err != nil {
			return out, err
		}
		out[k] = x
	}
	return out, nil
}

// elementwise applies f to the elements of arguments that are broadcast to a shape.
func elementwise(s ir.Shape, args []enclosure, f func(x []enclosed) enclosed) (enclosure, error) {
	var err error
	wide := make([]enclosure, len(args))
	for i, a := range args {
		if wide[i], err = a.expanded(s); err != nil {
			return enclosure{}, err
		}
	}
	out, x := newEnclosure(s), make([]enclosed, len(args))
	for i := range out.len() {
		for j := range x {
			x[j] = wide[j].at(i)
		}
		out.set(i, f(x))
	}
	return out, nil
}

// A bilinear evaluates a sum of products, such as a matrix product, of real tensors.
type bilinear func(x, y *ir.Tensor) (*ir.Tensor, error)

// sums applies a sum of at most n products of elements of x and of y. Exact values are taken as middle and radius (Rump, Fast and parallel
// interval arithmetic, 1999): mx*my within |mx| ry + rx (|my| + ry); floats round a sum of n products by less than n 2^-53 of the sum of magnitudes. Errors
// are |x| ey + ex (|y| + ey).
func (mul bilinear) sums(s ir.Shape, x, y enclosure, n int) (out enclosure, err error) {
	round := float64(n+4) * 0x1p-52
	apply := func(a, b *ir.Tensor) *ir.Tensor {
		if err != nil || zeros(a) || zeros(b) {
			return nil
		}
		var t *ir.Tensor
		t, err = mul(a, b)
		return t
	}
	mx, rx := x.middle()
	my, ry := y.middle()
	ax, ay := mapped(mx, math.Abs), mapped(my, math.Abs)
	mid := apply(mx, my)
	rounded := func(a, b float64) float64 { return up(a + float64(round*b)) }
	sum := func(a, b float64) float64 { return up(a + b) }
	rad := [2]*ir.Tensor{apply(ax, zipped(ry, ay, rounded)), apply(rx, zipped(ay, ry, sum))}
	ex, ey, rel := x.flat(), y.flat(), 0.0
	if !x.negative() && !y.negative() {
		a, b := x.relative(), y.relative()
		rel = up(a + b + float64(a*b))
		// x'y' - xy = x(y'-y) + y(x'-x) + (x'-x)(y'-y): what is left beside rel*xy has an absolute error as a factor
		ex, ey = mapped(x[atAbs], func(e float64) float64 { return up(e * (1 + b)) }), mapped(y[atAbs], func(e float64) float64 { return up(e * (1 + a)) })
	}
	big := zipped(ay, ry, sum)
	off := [2]*ir.Tensor{apply(zipped(ax, rx, sum), ey), apply(ex, zipped(big, ey, sum))}
	if err != nil {
		return out, err
	}
	out = newEnclosure(s)
	add := func(t *ir.Tensor, i int) float64 {
		if t == nil {
			return 0
		}
		return t.F[i]
	}
	grow := 1 + round
	for i := range out.len() {
		m := add(mid, i)
		r := up(float64((add(rad[0], i) + add(rad[1], i)) * grow))
		c := enclosed{lo: m - r, hi: m + r, abs: up(float64((add(off[0], i) + add(off[1], i)) * grow)), rel: rel}
		if r != 0 {
			c.lo, c.hi = below(c.lo), above(c.hi)
		}
		out.set(i, c)
	}
	return out, nil
}

// middle returns the middles of the intervals and their radii, no less than they are.
func (e enclosure) middle() (mid, rad *ir.Tensor) {
	mid = zipped(e[atLo], e[atHi], func(lo, hi float64) float64 {
		if lo == hi {
			return lo
		}
		return lo/2 + hi/2
	})
	rad = ir.NewTensor(ir.Real, mid.Shape)
	for i, m := range mid.F {
		if r := max(e[atHi].F[i]-m, m-e[atLo].F[i]); r > 0 {
			rad.F[i] = above(r)
		}
	}
	return mid, rad
}

// negative reports whether an exact value may be below zero.
func (e enclosure) negative() bool {
	return slices.ContainsFunc(e[atLo].F, func(x float64) bool { return x < 0 })
}

// relative returns the largest relative error.
func (e enclosure) relative() float64 {
	worst := 0.0
	for _, x := range e[atRel].F {
		worst = max(worst, x)
	}
	return worst
}

// flat returns all errors as absolute ones.
func (e enclosure) flat() *ir.Tensor {
	out := ir.NewTensor(ir.Real, e[atLo].Shape)
	for i := range out.F {
		out.F[i] = e.at(i).flat()
	}
	return out
}

func mapped(x *ir.Tensor, f func(float64) float64) *ir.Tensor {
	out := ir.NewTensor(ir.Real, x.Shape)
	for i, a := range x.F {
		out.F[i] = f(a)
	}
	return out
}

func zipped(x, y *ir.Tensor, f func(a, b float64) float64) *ir.Tensor {
	out := ir.NewTensor(ir.Real, x.Shape)
	for i, a := range x.F {
		out.F[i] = f(a, y.F[i])
	}
	return out
}

func zeros(t *ir.Tensor) bool {
	for _, x := range t.F {
		if x != 0 {
			return false
		}
	}
	return true
}
