package ir

import (
	"fmt"
	"math"
	"math/big"
)

// Integers: quotients and remainders, the values that a type of few bits keeps, and the product that they are made of.
const (
	OpIntDiv   Op = "idiv"
	OpIntMod   Op = "imod"
	OpWrap     Op = "wrap"
	OpMulShift Op = "mulshift"
)

// intOnly types an elementwise op of two integers.
func intOnly(v *Value) (Type, error) {
	for i, a := range v.Args {
		if a.Type.Elem != Int {
			return Type{}, fmt.Errorf("argument %d is %v, want int", i+1, a.Type.Elem)
		}
	}
	if d := v.Attrs.Int("down", 0); d != 0 && d != 1 {
		return Type{}, fmt.Errorf("down=%d, want 0 or 1", d)
	}
	return broadcast(v)
}

// mostWhole is the number of bits that a wrap keeps at most, but for all 64, which keep what is not negative.
const mostWhole = 61

func init() {
	down := []AttrSpec{{"down", AttrInt, false}}
	register(
		&Row{Op: OpIntDiv, Doc: "Elementwise quotient of integers towards zero, or down; exact.", Level: Composite, Args: 2, Attrs: down, Type: noForm(intOnly),
			Eval: divided(func(x, y int64) int64 { return x / y }, func(x, y int64) int64 { return (x - modulo(x, y)) / y })},
		&Row{Op: OpIntMod, Doc: "Elementwise remainder of integers with the sign of x, or, down, of y; exact.", Level: Composite, Args: 2, Attrs: down, Type: noForm(intOnly),
			Eval: divided(func(x, y int64) int64 { return x % y }, modulo)},
		&Row{Op: OpWrap, Doc: "Elementwise the low bits of an integer, read as an unsigned number or a signed one: what an integer type keeps.", Level: Composite, Args: 1,
			Attrs: []AttrSpec{{"bits", AttrInt, true}, {"signed", AttrInt, false}}, Eval: evalWrap,
			Type: noForm(func(v *Value) (Type, error) {
				if b := v.Attrs.Int("bits", 0); b < 1 || b > mostWhole && (b != 64 || v.Attrs.Int("signed", 0) != 0) {
					return Type{}, fmt.Errorf("bits=%d, want 1..%d, or 64 of numbers without sign", b, mostWhole)
				}
				if e := v.Args[0].Type.Elem; e != Int {
					return Type{}, fmt.Errorf("argument is %v, want int", e)
				}
				return v.Args[0].Type, nil
			})},
		&Row{Op: OpMulShift, Doc: "Elementwise x*y with keep fraction bits, rounded down, or up by chance, at most one unit for each party beyond the first; y has frac fraction bits, and the result lies in lo..hi by construction.",
			Level: CoreOp, Args: 2, Range: rangeStated, Eval: evalMulShift,
			Attrs: []AttrSpec{{"frac", AttrInt, true}, {"keep", AttrInt, true}, {"to", AttrString, true}, {"lo", AttrFloat, true}, {"hi", AttrFloat, true}},
			Type:  noForm(mulShiftType)},
	)
}

func mulShiftType(v *Value) (Type, error) {
	if err := numeric(v); err != nil {
		return Type{}, err
	}
	e, keep, frac := elemByName[v.Attrs.Str("to")], v.Attrs.Int("keep", 0), v.Attrs.Int("frac", 0)
	s, err := BroadcastShape(v.Args[0].Type.Shape, v.Args[1].Type.Shape)
	switch {
	case err != nil:
		return Type{}, err
	case v.Args[0].Type.Elem == Ring || v.Args[1].Type.Elem == Ring:
		return Type{}, fmt.Errorf("has no meaning on ring values")
	case e != Int && e != Real || v.Attrs.Str("to") == "":
		return Type{}, fmt.Errorf("to=%q, want int or real", v.Attrs.Str("to"))
	case keep < 0 || keep > 40 || e == Int && keep != 0 || frac < 0 || frac > 60:
		return Type{}, fmt.Errorf("keep=%d and frac=%d do not fit %v", keep, frac, e)
	}
	return Type{Elem: e, Shape: s, Vis: joinAll(v.Args)}, nil
}

// modulo is the remainder with the sign of y.
func modulo(x, y int64) int64 {
	r := x % y
	if r != 0 && (r < 0) != (y < 0) {
		r += y
	}
	return r
}

// divided is the meaning of a quotient or remainder.
func divided(zero, down func(x, y int64) int64) evalFunc {
	return func(v *Value, args []*Tensor) (*Tensor, error) {
		f := zero
		if v.Attrs.Int("down", 0) != 0 {
			f = down
		}
		var err error
		g := func(x, y int64) int64 {
			switch {
			case y == 0:
				err = fmt.Errorf("%d is divided by zero", x)
				return 0
			case y == -1 && x == math.MinInt64:
				err = fmt.Errorf("%d divided by -1 does not fit 64 bits", x)
				return 0
			}
			return f(x, y)
		}
		out := NewTensor(Int, v.Type.Shape)
		zip(out.Shape, out.I, args[0].Shape, args[0].I, args[1].Shape, args[1].I, g)
		return out, err
	}
}

func evalWrap(v *Value, args []*Tensor) (*Tensor, error) {
	by := 64 - v.Attrs.Int("bits", 64)
	signed := v.Attrs.Int("signed", 0) != 0
	if by == 0 {
		for i, x := range args[0].I {
			if x < 0 {
				return nil, fmt.Errorf("element %d is %d, and 64 bits without sign hold no negative number", i, x)
			}
		}
	}
	return each(v, args[0], nil, func(x int64) int64 {
		if signed {
			return x << by >> by
		}
		return int64(uint64(x) << by >> by)
	})
}

// evalMulShift rounds products down.
func evalMulShift(v *Value, args []*Tensor) (*Tensor, error) {
	s := v.Type.Shape
	px, py := spread(args[0].Shape, s), spread(args[1].Shape, s)
	n, st := run(s, px, py)
	out, keep := NewTensor(v.Type.Elem, s), v.Attrs.Int("keep", 0)
	var err error
	walk(s, func(o int, at []int) {
		for k := range n {
			z := shiftedProduct(wholeOf(args[0], at[0]+k*st[0]), wholeOf(args[1], at[1]+k*st[1]), keep)
			switch {
			case !z.IsInt64():
				err = fmt.Errorf("element %d does not fit 64 bits", o+k)
			case out.Elem == Int:
				out.I[o+k] = z.Int64()
			default:
				out.F[o+k] = math.Ldexp(float64(z.Int64()), -keep)
			}
		}
	}, px, py)
	return out, err
}

// wholeOf returns an element exactly.
func wholeOf(t *Tensor, i int) *big.Float {
	if t.Elem == Real {
		return new(big.Float).SetPrec(128).SetFloat64(t.F[i])
	}
	return new(big.Float).SetPrec(128).SetInt64(t.I[i])
}

// shiftedProduct returns the floor of x*y*2^keep.
func shiftedProduct(x, y *big.Float, keep int) *big.Int {
	p := x.Mul(x, y)
	p.SetMantExp(p, keep)
	z, acc := p.Int(nil)
	if p.Sign() < 0 && acc != big.Exact {
		z.Sub(z, big.NewInt(1))
	}
	return z
}
