package ir

import (
	"fmt"
	"math"
)

// The plaintext meaning of elementwise ops.

// evalFunc is the type of a row's meaning.
type evalFunc = func(v *Value, args []*Tensor) (*Tensor, error)

// number is what kernels compute with: float64 for reals, int64 modulo 2^64 for the rest.
type number interface{ float64 | int64 }

// rowMajor returns the distance between neighbours of each dimension of s.
func rowMajor(s Shape) []int {
	st := make([]int, len(s))
	n := 1
	for i := len(s) - 1; i >= 0; i-- {
		st[i] = n
		n *= s[i]
	}
	return st
}

// spread returns the strides that walk a tensor of shape s as if it were broadcast to out.
func spread(s, out Shape) []int {
	st := make([]int, len(out))
	own := rowMajor(s)
	for i := range s {
		if s[i] != 1 {
			st[len(out)-len(s)+i] = own[i]
		}
	}
	return st
}

// walk visits the runs of the last dimension of s in order. o is the offset of a run's first element in s;
// at holds, for each list of strides, the offset that its steps have reached. at is reused between calls.
func walk(s Shape, visit func(o int, at []int), strides ...[]int) {
	if s.Size() == 0 {
		return
	}
	at := make([]int, len(strides))
	if len(s) == 0 {
		visit(0, at)
		return
	}
	last := len(s) - 1
	idx := make([]int, last)
	for o := 0; ; o += s[last] {
		visit(o, at)
		d := last - 1
		for ; d >= 0; d-- {
			idx[d]++
			for k, st := range strides {
				at[k] += st[d]
			}
			if idx[d] < s[d] {
				break
			}
			for k, st := range strides {
				at[k] -= st[d] * s[d]
			}
			idx[d] = 0
		}
		if d < 0 {
			return
		}
	}
}

// run returns the length of a run of s and the step each list of strides makes inside it.
func run(s Shape, strides ...[]int) (n int, steps []int) {
	steps = make([]int, len(strides))
	if len(s) == 0 {
		return 1, steps
	}
	for k, st := range strides {
		steps[k] = st[len(st)-1]
	}
	return s[len(s)-1], steps
}

// zip applies f to x and y broadcast to s.
func zip[A, R number](s Shape, out []R, sx Shape, x []A, sy Shape, y []A, f func(A, A) R) {
	px, py := spread(sx, s), spread(sy, s)
	n, st := run(s, px, py)
	walk(s, func(o int, at []int) {
		i, j := at[0], at[1]
		for k := range out[o : o+n] {
			out[o+k] = f(x[i], y[j])
			i += st[0]
			j += st[1]
		}
	}, px, py)
}

// each applies f or g, by the argument's element kind, to each element.
func each(v *Value, x *Tensor, f func(float64) float64, g func(int64) int64) (*Tensor, error) {
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	for i, e := range x.F {
		out.F[i] = f(e)
	}
	for i, e := range x.I {
		out.I[i] = g(e)
	}
	return out, nil
}

// each2 is the meaning of an elementwise op of two arguments.
func each2(f func(x, y float64) float64, g func(x, y int64) int64) evalFunc {
	return func(v *Value, args []*Tensor) (*Tensor, error) {
		out, x, y := NewTensor(v.Type.Elem, v.Type.Shape), args[0], args[1]
		if out.Elem == Real {
			zip(out.Shape, out.F, x.Shape, x.F, y.Shape, y.F, f)
		} else {
			zip(out.Shape, out.I, x.Shape, x.I, y.Shape, y.I, g)
		}
		return out, nil
	}
}

// bit returns 1 for true.
func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// evalCompare is the meaning of a comparison.
func evalCompare(f func(x, y float64) bool, g func(x, y int64) bool) evalFunc {
	return func(v *Value, args []*Tensor) (*Tensor, error) {
		out, x, y := NewTensor(Bool, v.Type.Shape), args[0], args[1]
		if x.Elem == Real {
			zip(out.Shape, out.I, x.Shape, x.F, y.Shape, y.F, func(x, y float64) int64 { return bit(f(x, y)) })
		} else {
			zip(out.Shape, out.I, x.Shape, x.I, y.Shape, y.I, func(x, y int64) int64 { return bit(g(x, y)) })
		}
		return out, nil
	}
}

func plus[T number](x, y T) T       { return x + y }
func minus[T number](x, y T) T      { return x - y }
func times[T number](x, y T) T      { return x * y }
func larger[T number](x, y T) T     { return max(x, y) }
func smaller[T number](x, y T) T    { return min(x, y) }
func isLess[T number](x, y T) bool  { return x < y }
func atMost[T number](x, y T) bool  { return x <= y }
func isMore[T number](x, y T) bool  { return x > y }
func atLeast[T number](x, y T) bool { return x >= y }
func isSame[T number](x, y T) bool  { return x == y }
func isOther[T number](x, y T) bool { return x != y }
func bothBits(x, y int64) int64     { return x & y }
func eitherBit(x, y int64) int64    { return x | y }
func exclusiveBit(x, y int64) int64 { return x ^ y }

// same is the meaning of ops that change only how a value is held.
func same(v *Value, args []*Tensor) (*Tensor, error) {
	return &Tensor{Elem: v.Type.Elem, Shape: v.Type.Shape, F: args[0].F, I: args[0].I}, nil
}

func evalNeg(v *Value, args []*Tensor) (*Tensor, error) {
	return each(v, args[0], func(x float64) float64 { return -x }, func(x int64) int64 { return -x })
}

func evalNot(v *Value, args []*Tensor) (*Tensor, error) {
	return each(v, args[0], nil, func(x int64) int64 { return x ^ 1 })
}

// evalTrunc is the meaning of ops that drop fraction bits: the floor of x / 2^drop.
func evalTrunc(v *Value, args []*Tensor) (*Tensor, error) {
	drop := v.Attrs.Int("drop", 0)
	return each(v, args[0], nil, func(x int64) int64 { return x >> drop })
}

func evalShl(v *Value, args []*Tensor) (*Tensor, error) {
	by := v.Attrs.Int("by", 0)
	return each(v, args[0], nil, func(x int64) int64 { return x << by })
}

func evalRelu(v *Value, args []*Tensor) (*Tensor, error) {
	drop := v.Attrs.Int("drop", 0)
	return each(v, args[0], func(x float64) float64 { return max(x, 0) }, func(x int64) int64 { return max(x>>drop, 0) })
}

func evalAbs(v *Value, args []*Tensor) (*Tensor, error) {
	return each(v, args[0], math.Abs, func(x int64) int64 { return max(x, -x) })
}

func evalLeaky(v *Value, args []*Tensor) (*Tensor, error) {
	a := v.Attrs.Float("alpha", 0)
	return each(v, args[0], func(x float64) float64 {
		if x > 0 {
			return x
		}
		return a * x
	}, nil)
}

// evalClip bounds elements; integer bounds are cut to integers and ring bounds encoded.
func evalClip(v *Value, args []*Tensor) (*Tensor, error) {
	lo, hi := v.Attrs.Float("lo", math.Inf(-1)), v.Attrs.Float("hi", math.Inf(1))
	scale := v.Type.Scale // 0 for integers
	whole := func(x float64) int64 {
		x = math.Ldexp(x, scale)
		if v.Type.Elem == Int {
			x = math.Trunc(x)
		}
		x = math.Round(x)
		switch {
		case x >= 1<<63:
			return math.MaxInt64
		case x < -1<<63:
			return math.MinInt64
		}
		return int64(x)
	}
	a, b := whole(lo), whole(hi)
	return each(v, args[0], func(x float64) float64 { return min(max(x, lo), hi) }, func(x int64) int64 { return min(max(x, a), b) })
}

func evalLtz(v *Value, args []*Tensor) (*Tensor, error) {
	x, drop, out := args[0], v.Attrs.Int("drop", 0), NewTensor(Bool, v.Type.Shape)
	for i, e := range x.F {
		out.I[i] = bit(e < 0)
	}
	for i, e := range x.I {
		out.I[i] = bit(e>>drop < 0)
	}
	return out, nil
}

func evalEqz(v *Value, args []*Tensor) (*Tensor, error) {
	x, out := args[0], NewTensor(Bool, v.Type.Shape)
	for i := range out.I {
		if x.Elem == Real {
			out.I[i] = bit(x.F[i] == 0)
		} else {
			out.I[i] = bit(x.I[i] == 0)
		}
	}
	return out, nil
}

// choose writes c ? x : y, broadcast to the shape of out.
func choose[T number](s Shape, out []T, c, x, y *Tensor, dx, dy []T) {
	pc, px, py := spread(c.Shape, s), spread(x.Shape, s), spread(y.Shape, s)
	n, st := run(s, pc, px, py)
	walk(s, func(o int, at []int) {
		for k := range n {
			if c.I[at[0]+k*st[0]] != 0 {
				out[o+k] = dx[at[1]+k*st[1]]
			} else {
				out[o+k] = dy[at[2]+k*st[2]]
			}
		}
	}, pc, px, py)
}

func evalSelect(v *Value, args []*Tensor) (*Tensor, error) {
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	c, x, y := args[0], args[1], args[2]
	if out.Elem == Real {
		choose(out.Shape, out.F, c, x, y, x.F, y.F)
	} else {
		choose(out.Shape, out.I, c, x, y, x.I, y.I)
	}
	return out, nil
}

// evalCast converts between element kinds; a bit becomes 0 or 1.
func evalCast(v *Value, args []*Tensor) (*Tensor, error) {
	x := args[0]
	switch {
	case x.Elem == v.Type.Elem:
		return x, nil
	case v.Type.Elem == Int && x.Elem == Real:
		out := NewTensor(Int, v.Type.Shape)
		for i, f := range x.F {
			if !(math.Abs(f) < 1<<62) {
				return nil, fmt.Errorf("element %d does not fit an integer", i)
			}
			out.I[i] = int64(f)
		}
		return out, nil
	case v.Type.Elem != Real && x.Elem == Real:
		return nil, fmt.Errorf("no conversion of %v to %v", x.Elem, v.Type.Elem)
	case v.Type.Elem != Real:
		return same(v, args)
	}
	out := NewTensor(Real, v.Type.Shape)
	for i, e := range x.I {
		out.F[i] = float64(e)
	}
	return out, nil
}
