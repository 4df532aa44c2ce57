package exact

import (
	"cmp"
	"fmt"
	"math"
	"math/big"

	"smpcc/ir"
)

// safe bounds results that are computed in 64 bits.
const safe = 1 << 62

// A binary is an elementwise op of two numbers, in each kind of arithmetic. bound says how large integer results may be,
// from the magnitudes of the arguments.
type binary struct {
	real  func(x, y float64) float64
	small func(x, y int64) int64
	large func(z, x, y *big.Int) *big.Int
	bound func(x, y float64) float64
}

// offsets returns, for each element of a tensor of shape out, which element of a tensor of shape s it is when s is
// broadcast to out: dimensions align at the end, and those of length one repeat. Nil means the same place.
func offsets(s, out ir.Shape) []int {
	if s.Equal(out) {
		return nil
	}
	at := make([]int, out.Size())
	place(out, func(o int, index []int) {
		p := 0
		for i, d := range s {
			k := index[len(out)-len(s)+i]
			if d == 1 {
				k = 0
			}
			p = p*d + k
		}
		at[o] = p
	})
	return at
}

// place calls visit for every index of a shape in order. The slice is reused.
func place(s ir.Shape, visit func(o int, index []int)) {
	index := make([]int, len(s))
	for o := range s.Size() {
		visit(o, index)
		for i := len(s) - 1; i >= 0; i-- {
			if index[i]++; index[i] < s[i] {
				break
			}
			index[i] = 0
		}
	}
}

// zip fills out with f of x and y at their offsets.
func zip[A, R any](out []R, x []A, px []int, y []A, py []int, f func(x, y A) R) {
	for i := range out {
		j, k := i, i
		if px != nil {
			j = px[i]
		}
		if py != nil {
			k = py[i]
		}
		out[i] = f(x[j], y[k])
	}
}

func pairwise(b binary) meaning {
	return func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		x, y, s := args[0], args[1], v.Type.Shape
		px, py := offsets(x.Shape, s), offsets(y.Shape, s)
		switch {
		case x.Elem == ir.Real:
			out := newTensor(ir.Real, s)
			zip(out.F, x.F, px, y.F, py, b.real)
			return out, nil
		case b.large == nil:
			return nil, fmt.Errorf("%v has no integer meaning", v.Op)
		case b.bound(x.magnitude(), y.magnitude()) < safe:
			out := newTensor(ir.Int, s)
			zip(out.I, x.I, px, y.I, py, b.small)
			return out, nil
		}
		out := make([]*big.Int, s.Size())
		zip(out, x.integers(), px, y.integers(), py, func(x, y *big.Int) *big.Int { return b.large(new(big.Int), x, y) })
		return whole(s, out), nil
	}
}

func greater(x, y *big.Int) *big.Int {
	if x.Cmp(y) > 0 {
		return x
	}
	return y
}

// single is an elementwise op of one number.
func single(f func(x float64) float64, g func(z, x *big.Int) *big.Int) meaning {
	return func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		x := args[0]
		if x.Elem == ir.Real {
			out := newTensor(ir.Real, x.Shape)
			for i, e := range x.F {
				out.F[i] = f(e)
			}
			return out, nil
		}
		out := make([]*big.Int, x.Len())
		for i, e := range x.integers() {
			out[i] = g(new(big.Int), e)
		}
		return whole(x.Shape, out), nil
	}
}

// function is an elementwise op of one real.
func function(f func(x float64) float64) meaning { return single(f, nil) }

func leaky(v *ir.Value, args []*Tensor) (*Tensor, error) {
	alpha := v.Attrs.Float("alpha", 0)
	return function(func(x float64) float64 {
		if x < 0 {
			return alpha * x
		}
		return x
	})(v, args)
}

// clip is min(max(x, lo), hi); bounds of integers are cut to integers.
func clip(v *ir.Value, args []*Tensor) (*Tensor, error) {
	lo, hi := v.Attrs.Float("lo", math.Inf(-1)), v.Attrs.Float("hi", math.Inf(1))
	return single(func(x float64) float64 { return math.Min(math.Max(x, lo), hi) }, func(z, x *big.Int) *big.Int {
		z.Set(x)
		if a := truncated(lo); a != nil && z.Cmp(a) < 0 {
			z.Set(a)
		}
		if b := truncated(hi); b != nil && z.Cmp(b) > 0 {
			z.Set(b)
		}
		return z
	})(v, args)
}

// truncated returns x towards zero; nil if it is not finite.
func truncated(x float64) *big.Int {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return nil
	}
	n, _ := new(big.Float).SetFloat64(x).Int(nil)
	return n
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// unordered is the order of what is not a number.
const unordered = 2

// order returns the order of two reals, -1, 0 or 1.
func order(x, y float64) int {
	if math.IsNaN(x) || math.IsNaN(y) {
		return unordered
	}
	return cmp.Compare(x, y)
}

// comparison is the op that is true for some orders of x and y.
func comparison(is func(order int) bool) meaning {
	return func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		x, y, out := args[0], args[1], newTensor(ir.Bool, v.Type.Shape)
		px, py := offsets(x.Shape, out.Shape), offsets(y.Shape, out.Shape)
		switch {
		case x.Elem == ir.Real:
			zip(out.I, x.F, px, y.F, py, func(x, y float64) int64 {
				if o := order(x, y); o != unordered {
					return bit(is(o))
				}
				return bit(v.Op == ir.OpNe)
			})
		case x.Big == nil && y.Big == nil:
			zip(out.I, x.I, px, y.I, py, func(x, y int64) int64 { return bit(is(cmp.Compare(x, y))) })
		default:
			zip(out.I, x.integers(), px, y.integers(), py, func(x, y *big.Int) int64 { return bit(is(x.Cmp(y))) })
		}
		return out, nil
	}
}

// withZero compares with zero.
func withZero(is func(order int) bool) meaning {
	return func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		return comparison(is)(v, []*Tensor{args[0], newTensor(args[0].Elem, ir.Shape{})})
	}
}

func logic(v *ir.Value, x, y *Tensor, f func(x, y bool) bool) *Tensor {
	out := newTensor(ir.Bool, v.Type.Shape)
	zip(out.I, x.I, offsets(x.Shape, out.Shape), y.I, offsets(y.Shape, out.Shape), func(x, y int64) int64 { return bit(f(x != 0, y != 0)) })
	return out
}

// choice is c ? x : y.
func choice(v *ir.Value, args []*Tensor) (*Tensor, error) {
	c, s := args[0], v.Type.Shape
	pc, px, py := offsets(c.Shape, s), offsets(args[1].Shape, s), offsets(args[2].Shape, s)
	both := &Tensor{Elem: args[1].Elem, Shape: ir.Shape{args[1].Len() + args[2].Len()}} // x, then y
	x, y := args[1], args[2]
	if x.Big != nil || y.Big != nil {
		both.Big = append(append([]*big.Int{}, x.integers()...), y.integers()...)
	} else {
		both.F, both.I = append(append([]float64{}, x.F...), y.F...), append(append([]int64{}, x.I...), y.I...)
	}
	from := make([]int, s.Size())
	at := func(p []int, i int) int {
		if p == nil {
			return i
		}
		return p[i]
	}
	for i := range from {
		if c.I[at(pc, i)] != 0 {
			from[i] = at(px, i)
		} else {
			from[i] = x.Len() + at(py, i)
		}
	}
	return picked(both, s, from), nil
}

// cast converts between kinds: reals to integers towards zero, bits to 0 and 1.
func cast(v *ir.Value, args []*Tensor) (*Tensor, error) {
	x, to := args[0], v.Type.Elem
	switch {
	case x.Elem == to:
		return x, nil
	case to == ir.Real:
		return toReal(x), nil
	case to == ir.Int && x.Elem == ir.Bool:
		return &Tensor{Elem: ir.Int, Shape: x.Shape, I: x.I}, nil
	case to == ir.Int:
		out := make([]*big.Int, len(x.F))
		for i, e := range x.F {
			if out[i] = truncated(e); out[i] == nil {
				return nil, fmt.Errorf("element %d is %g, which is no integer", i, e)
			}
		}
		return whole(x.Shape, out), nil
	}
	return nil, fmt.Errorf("no conversion of %v to %v", x.Elem, to)
}

func toReal(x *Tensor) *Tensor {
	out := newTensor(ir.Real, x.Shape)
	for i := range out.F {
		out.F[i] = x.At(i)
	}
	return out
}

// format says how a number is to be held. It changes none, unless its rounding is wanted itself: then to the nearest with frac
// fraction bits.
func format(v *ir.Value, args []*Tensor) (*Tensor, error) {
	if v.Attrs.Int("firm", 0) == 0 || !v.Attrs.Has("frac") {
		return args[0], nil
	}
	unit := math.Exp2(-float64(v.Attrs.Int("frac", 0)))
	return function(func(x float64) float64 { return math.Round(x/unit) * unit })(v, args)
}

// wave is the sum over the rows k, a, b of data of a cos(k t) + b sin(k t) with t = 2 pi x / 2^period.
func wave(v *ir.Value, args []*Tensor) (*Tensor, error) {
	rows, period := v.Attrs.Tensor("data"), math.Exp2(float64(v.Attrs.Int("period", 0)))
	return function(func(x float64) float64 {
		turn := x/period - math.Floor(x/period) // of one turn, so that the argument of the sine is small
		y := 0.0
		for i := range rows.Shape[0] {
			angle := 2 * math.Pi * math.Mod(rows.F[3*i]*turn, 1)
			y += rows.F[3*i+1]*math.Cos(angle) + rows.F[3*i+2]*math.Sin(angle)
		}
		return y
	})(v, args)
}

// expo is exp(rate x + offset).
func expo(v *ir.Value, args []*Tensor) (*Tensor, error) {
	rate, offset := v.Attrs.Float("rate", 0), v.Attrs.Float("offset", 0)
	return function(func(x float64) float64 { return math.Exp(rate*x + offset) })(v, args)
}
