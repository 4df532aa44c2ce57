package ir

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestRangeRules draws arguments over intervals, their ends included, and asks that no element of a result leaves the range that the rule of its op
// gives for them: for the arguments of every case of TestEval, with intervals around them from tiny to wide, and with one argument known or none.
func TestRangeRules(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 9))
	tried := map[Op]bool{}
	for _, c := range evalCases {
		row := Rows[c.op]
		if row.Range == nil || c.want.Elem == Ring || c.want.Elem == Bool {
			continue
		}
		tried[c.op] = true
		for trial := range 200 {
			f, in := NewFunc("main"), map[string]*Tensor{}
			ranges, data := map[*Value]Range{}, map[*Value]*Tensor{}
			var args []*Value
			for i, a := range c.args {
				x, iv := drawnWithin(a, r)
				v := boundArg(t, f, in, x, "")
				ranges[v], args = iv, append(args, v)
				if trial%3 == i+1 && a.Elem != Bool { // as if it were a weight
					data[v] = x
				}
			}
			v := emit(t, f, c.op, c.attrs, args...)
			got := row.Range(v, Operands{Range: func(x *Value) Range { return ranges[x] }, Data: func(x *Value) *Tensor { return data[x] }})
			vals, err := Eval(f, Env{Inputs: in})
			if err != nil {
				continue // a product of mulshift that no int64 holds
			}
			if c.op == OpMulShift || c.op == OpFormat { // these hold by what they state
				continue
			}
			for i := range vals[v].Len() {
				if x, by := vals[v].At(i), 1e-12*max(-got.Lo, got.Hi); x < got.Lo-by || x > got.Hi+by {
					t.Fatalf("%s of %v: element %d is %g, outside %g..%g", c.op, ranges, i, x, got.Lo, got.Hi)
				}
			}
		}
	}
	for _, row := range Ops() {
		if row.Range != nil && !tried[row.Op] && row.Op != OpReveal {
			t.Errorf("%s was not tried", row.Op)
		}
	}
}

// drawnWithin returns a tensor like a, each element anywhere in an interval or at one of its ends, and the interval, which ends at whole numbers where
// elements are whole.
func drawnWithin(a *Tensor, r *rand.Rand) (*Tensor, Range) {
	mid, half := math.Round(20*r.NormFloat64()), math.Exp2(float64(r.IntN(20)-8))
	if a.Elem == Int {
		half = math.Ceil(half)
	}
	iv := Range{Lo: mid - half, Hi: mid + half, Origin: Proved}
	if a.Elem == Bool {
		iv = Range{Lo: 0, Hi: 1, Origin: Proved}
	}
	out := NewTensor(a.Elem, a.Shape)
	for i := range out.Len() {
		x := iv.Lo + float64((iv.Hi-iv.Lo)*r.Float64())
		switch r.IntN(4) {
		case 0:
			x = iv.Lo
		case 1:
			x = iv.Hi
		}
		if a.Elem == Real {
			out.F[i] = x
		} else {
			out.I[i] = int64(math.Round(x))
		}
	}
	return out, iv
}

// TestRangesAreTight compares rules with intervals that can be told by hand: none is wider than it must be.
func TestRangesAreTight(t *testing.T) {
	real := func(s ...int) *Tensor { return NewTensor(Real, s) }
	one := Range{Lo: -2, Hi: 3, Origin: Proved}
	for _, c := range []struct {
		op    Op
		attrs Attrs
		args  []*Tensor
		in    []Range
		known int // argument whose data is known, from 1
		want  Range
	}{
		{OpAdd, nil, []*Tensor{real(1), real(1)}, []Range{one, {Lo: 10, Hi: 20, Origin: Calibrated}}, 0, Range{Lo: 8, Hi: 23, Origin: Calibrated}},
		{OpSub, nil, []*Tensor{real(1), real(1)}, []Range{one, {Lo: 10, Hi: 20, Origin: Assumed}}, 0, Range{Lo: -22, Hi: -7, Origin: Assumed}},
		{OpNeg, nil, []*Tensor{real(1)}, []Range{one}, 0, Range{Lo: -3, Hi: 2, Origin: Proved}},
		{OpMul, nil, []*Tensor{real(1), real(1)}, []Range{one, {Lo: -5, Hi: 1, Origin: Proved}}, 0, Range{Lo: -15, Hi: 10, Origin: Proved}},
		{OpMatMul, nil, []*Tensor{real(1, 3), Reals(Shape{3, 1}, 1, -1, 4)}, []Range{one, {Lo: -1, Hi: 4, Origin: Proved}}, 2, Range{Lo: -13, Hi: 17, Origin: Proved}},
		{OpMatMul, nil, []*Tensor{Reals(Shape{1, 3}, 1, -1, 4), real(3, 1)}, []Range{{Lo: -1, Hi: 4, Origin: Proved}, one}, 1, Range{Lo: -13, Hi: 17, Origin: Proved}},
		{OpMatMul, nil, []*Tensor{real(1, 3), real(3, 1)}, []Range{one, {Lo: -1, Hi: 4, Origin: Proved}}, 0, Range{Lo: -24, Hi: 36, Origin: Proved}},
		{OpConv, nil, []*Tensor{real(1, 1, 1, 3), Reals(Shape{1, 1, 1, 2}, 2, -1)}, []Range{{Lo: 1, Hi: 3, Origin: Proved}, {Lo: -1, Hi: 2, Origin: Proved}}, 2, Range{Lo: -3, Hi: 6, Origin: Proved}},
		{OpRelu, nil, []*Tensor{real(1)}, []Range{one}, 0, Range{Lo: 0, Hi: 3, Origin: Proved}},
		{OpMax, nil, []*Tensor{real(1), real(1)}, []Range{one, {Lo: 1, Hi: 2, Origin: Proved}}, 0, Range{Lo: 1, Hi: 3, Origin: Proved}},
		{OpSelect, nil, []*Tensor{NewTensor(Bool, Shape{1}), real(1), real(1)}, []Range{{Lo: 0, Hi: 1, Origin: Proved}, one, {Lo: 5, Hi: 6, Origin: Calibrated}}, 0, Range{Lo: -2, Hi: 6, Origin: Calibrated}},
		{OpReduceSum, Attrs{Is("axes", 1)}, []*Tensor{real(2, 5)}, []Range{one}, 0, Range{Lo: -10, Hi: 15, Origin: Proved}},
		{OpPad, Attrs{Is("pads", 0, 1)}, []*Tensor{real(2)}, []Range{{Lo: 4, Hi: 5, Origin: Proved}}, 0, Range{Lo: 0, Hi: 5, Origin: Proved}},
		{OpFormat, Attrs{F("lo", 0)}, []*Tensor{real(1)}, []Range{{Lo: -1, Hi: 5, Origin: Calibrated}}, 0, Range{Lo: 0, Hi: 5, Origin: Calibrated}},
		{OpFormat, Attrs{F("lo", 0), F("hi", 1)}, []*Tensor{real(1)}, []Range{{Lo: -1, Hi: 5, Origin: Assumed}}, 0, Range{Lo: 0, Hi: 1, Origin: Proved}},
		{OpFormat, Attrs{F("hi", -7)}, []*Tensor{real(1)}, []Range{{Lo: -1, Hi: 5, Origin: Proved}}, 0, Range{Lo: -1, Hi: 5, Origin: Proved}},
		{OpFormat, Attrs{F("lo", -9), F("hi", 9), I("loose", 1)}, []*Tensor{real(1)}, []Range{{Lo: -1, Hi: 5, Origin: Calibrated}}, 0, Range{Lo: -9, Hi: 9, Origin: Calibrated}},
		{OpFormat, Attrs{F("lo", -3), F("hi", 8), I("frac", 0), I("firm", 1)}, []*Tensor{real(1)}, []Range{{Lo: -1, Hi: 5, Origin: Calibrated}}, 0, Range{Lo: -3, Hi: 8, Origin: Calibrated}},
		{OpMulShift, Attrs{I("frac", 2), I("keep", 0), S("to", "int"), F("lo", -9), F("hi", 9)}, []*Tensor{NewTensor(Int, Shape{1}), real(1)}, []Range{one, {Lo: 0, Hi: 1, Origin: Calibrated}}, 0, Range{Lo: -9, Hi: 9, Origin: Calibrated}},
		{OpExpo, Attrs{F("rate", 2), F("offset", 1), I("reach", 3), I("frac", 10)}, []*Tensor{real(1)}, []Range{{Lo: -1, Hi: 1, Origin: Proved}}, 0, Range{Lo: math.Exp(-1), Hi: math.Exp(3), Origin: Proved}},
	} {
		f, in := NewFunc("main"), map[string]*Tensor{}
		ranges, data := map[*Value]Range{}, map[*Value]*Tensor{}
		var args []*Value
		for i, a := range c.args {
			v := boundArg(t, f, in, a, "")
			ranges[v], args = c.in[i], append(args, v)
			if c.known == i+1 {
				data[v] = a
			}
		}
		v := emit(t, f, c.op, c.attrs, args...)
		if got := Rows[c.op].Range(v, Operands{Range: func(x *Value) Range { return ranges[x] }, Data: func(x *Value) *Tensor { return data[x] }}); got != c.want {
			t.Errorf("%s of %v: got %v, want %v", c.op, c.in, got, c.want)
		}
	}
}
