package exact

import (
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// unmeant lists the ops of graphs that have no meaning here, with the reason.
var unmeant = map[ir.Op]string{ir.OpMulShift: "a step of a division, which approximate makes"}

type shape = ir.Shape

func bits(s shape, data ...int64) *ir.Tensor { return &ir.Tensor{Elem: ir.Bool, Shape: s, I: data} }

func bigs(s shape, data ...string) *Tensor {
	var out []*big.Int
	for _, d := range data {
		x, ok := new(big.Int).SetString(d, 10)
		if !ok {
			panic(d)
		}
		out = append(out, x)
	}
	return Whole(s, out...)
}

// A meaningCase applies an op to constants; want is by hand or from a table.
type meaningCase struct {
	op    ir.Op
	attrs ir.Attrs
	args  []*ir.Tensor
	want  *Tensor
}

var (
	reals = ir.Reals
	ints  = ir.Ints
	inf   = math.Inf(1)
	top   = int64(math.MaxInt64)
)

func attrs(a ...ir.Attr) ir.Attrs { return a }

func args(t ...*ir.Tensor) []*ir.Tensor { return t }

var meaningCases = []meaningCase{
	{ir.OpAdd, nil, args(reals(shape{2, 1}, 1, 2), reals(shape{3}, 10, 20, 30)), Of(reals(shape{2, 3}, 11, 21, 31, 12, 22, 32))},
	{ir.OpAdd, nil, args(ints(shape{2}, top, 1), ints(shape{}, 1)), bigs(shape{2}, "9223372036854775808", "2")},
	{ir.OpSub, nil, args(ints(shape{1}, math.MinInt64), ints(shape{1}, 1)), bigs(shape{1}, "-9223372036854775809")},
	{ir.OpSub, nil, args(reals(shape{}, 1), reals(shape{2}, 0.25, 3)), Of(reals(shape{2}, 0.75, -2))},
	{ir.OpMul, nil, args(ints(shape{2}, 4294967295, -3), ints(shape{2}, 4294967290, 5)), bigs(shape{2}, "18446744043644780550", "-15")},
	{ir.OpMul, nil, args(ints(shape{2}, 3, -3), ints(shape{}, 5)), Of(ints(shape{2}, 15, -15))},
	{ir.OpMax, nil, args(ints(shape{2}, top, -2), ints(shape{}, -1)), Of(ints(shape{2}, top, -1))},
	{ir.OpMin, nil, args(ints(shape{2}, top, -2), ints(shape{}, -1)), Of(ints(shape{2}, -1, -2))},
	{ir.OpMin, nil, args(reals(shape{2}, 0.5, -2), reals(shape{}, 0)), Of(reals(shape{2}, 0, -2))},
	{ir.OpDiv, nil, args(reals(shape{2}, 1, -3), reals(shape{2}, 0, 4)), Of(reals(shape{2}, inf, -0.75))},
	{ir.OpIntDiv, nil, args(ints(shape{3}, 7, -7, math.MinInt64), ints(shape{3}, -2, 2, -1)), bigs(shape{3}, "-3", "-3", "9223372036854775808")},
	{ir.OpIntMod, attrs(ir.I("down", 1)), args(ints(shape{2}, 7, -7), ints(shape{2}, -2, 2)), Of(ints(shape{2}, -1, 1))},
	{ir.OpWrap, attrs(ir.I("bits", 8), ir.I("signed", 1)), args(ints(shape{2}, -129, 128)), Of(ints(shape{2}, 127, -128))},
	{ir.OpNeg, nil, args(ints(shape{1}, math.MinInt64)), bigs(shape{1}, "9223372036854775808")},
	{ir.OpAbs, nil, args(ints(shape{2}, math.MinInt64, 3)), bigs(shape{2}, "9223372036854775808", "3")},
	{ir.OpAbs, nil, args(reals(shape{1}, -0.5)), Of(reals(shape{1}, 0.5))},
	{ir.OpRelu, nil, args(reals(shape{3}, -1, 0, 2)), Of(reals(shape{3}, 0, 0, 2))},
	{ir.OpRelu, nil, args(ints(shape{2}, -1, 2)), Of(ints(shape{2}, 0, 2))},
	{ir.OpLeaky, attrs(ir.F("alpha", 0.25)), args(reals(shape{2}, 4, -4)), Of(reals(shape{2}, 4, -1))},
	{ir.OpClip, attrs(ir.F("lo", -1), ir.F("hi", 6)), args(reals(shape{3}, -2, 3, 8)), Of(reals(shape{3}, -1, 3, 6))},
	{ir.OpClip, attrs(ir.F("lo", 2), ir.F("hi", 1)), args(reals(shape{2}, 0, 3)), Of(reals(shape{2}, 1, 1))},
	{ir.OpClip, attrs(ir.F("hi", 2.5)), args(ints(shape{2}, -9, 3)), Of(ints(shape{2}, -9, 2))},

	{ir.OpLt, nil, args(ints(shape{3}, 1, 2, 3), ints(shape{}, 2)), Of(bits(shape{3}, 1, 0, 0))},
	{ir.OpLe, nil, args(reals(shape{3}, 1, 2, 3), reals(shape{}, 2)), Of(bits(shape{3}, 1, 1, 0))},
	{ir.OpGt, nil, args(ints(shape{2}, top, top-1), ints(shape{}, top-1)), Of(bits(shape{2}, 1, 0))},
	{ir.OpGe, nil, args(reals(shape{3}, 1, 2, 3), reals(shape{}, 2)), Of(bits(shape{3}, 0, 1, 1))},
	{ir.OpEq, nil, args(ints(shape{2}, 1<<53+1, 1<<53), ints(shape{}, 1<<53)), Of(bits(shape{2}, 0, 1))},
	{ir.OpNe, nil, args(reals(shape{2}, math.NaN(), 1), reals(shape{}, 1)), Of(bits(shape{2}, 1, 0))},
	{ir.OpEq, nil, args(reals(shape{2}, math.NaN(), 1), reals(shape{}, 1)), Of(bits(shape{2}, 0, 1))},
	{ir.OpLtz, nil, args(reals(shape{3}, -0.5, 0, 1)), Of(bits(shape{3}, 1, 0, 0))},
	{ir.OpEqz, nil, args(ints(shape{2}, 0, -1)), Of(bits(shape{2}, 1, 0))},
	{ir.OpNot, nil, args(bits(shape{2}, 0, 1)), Of(bits(shape{2}, 1, 0))},
	{ir.OpAnd, nil, args(bits(shape{2, 1}, 0, 1), bits(shape{2}, 0, 1)), Of(bits(shape{2, 2}, 0, 0, 0, 1))},
	{ir.OpOr, nil, args(bits(shape{2, 1}, 0, 1), bits(shape{2}, 0, 1)), Of(bits(shape{2, 2}, 0, 1, 1, 1))},
	{ir.OpXor, nil, args(bits(shape{2, 1}, 0, 1), bits(shape{2}, 0, 1)), Of(bits(shape{2, 2}, 0, 1, 1, 0))},
	{ir.OpSelect, nil, args(bits(shape{2, 1}, 0, 1), reals(shape{2}, 1, 2), reals(shape{}, 9)), Of(reals(shape{2, 2}, 9, 9, 1, 2))},
	{ir.OpSelect, nil, args(bits(shape{2}, 0, 1), bits(shape{}, 1), bits(shape{1}, 0)), Of(bits(shape{2}, 0, 1))},
	{ir.OpCast, attrs(ir.S("to", "real")), args(ints(shape{1}, 3)), Of(reals(shape{1}, 3))},
	{ir.OpCast, attrs(ir.S("to", "real")), args(bits(shape{2}, 1, 0)), Of(reals(shape{2}, 1, 0))},
	{ir.OpCast, attrs(ir.S("to", "int")), args(bits(shape{2}, 1, 0)), Of(ints(shape{2}, 1, 0))},
	{ir.OpCast, attrs(ir.S("to", "int")), args(reals(shape{4}, 2.75, -2.75, -0.5, 1e19)), bigs(shape{4}, "2", "-2", "0", "10000000000000000000")},
	{ir.OpFormat, attrs(ir.I("frac", 1), ir.F("lo", -1), ir.F("hi", 1)), args(reals(shape{1}, 0.3)), Of(reals(shape{1}, 0.3))},
	{ir.OpFormat, attrs(ir.I("frac", 1), ir.I("firm", 1)), args(reals(shape{2}, 0.3, -0.8)), Of(reals(shape{2}, 0.5, -1))},
	{ir.OpWave, attrs(ir.T("data", reals(shape{2, 3}, 1, 3, 0, 2, 0, 0.5)), ir.I("period", 3), ir.I("frac", 10)), args(reals(shape{3}, 0, 1, -10)), Of(reals(shape{3}, 3, 3*math.Sqrt(0.5)+0.5, 0))},
	{ir.OpExpo, attrs(ir.F("rate", 0.5), ir.F("offset", -1), ir.I("reach", 3), ir.I("frac", 10)), args(reals(shape{2}, 2, 4)), Of(reals(shape{2}, 1, math.E))},

	{ir.OpMatMul, nil, args(reals(shape{2, 3}, 1, 2, 3, 4, 5, 6), reals(shape{3, 1}, 1, 0, -1)), Of(reals(shape{2, 1}, -2, -2))},
	{ir.OpMatMul, nil, args(ints(shape{2, 1, 1, 2}, 1, 2, 3, 4), ints(shape{2, 2, 1}, 1, 1, 0, 1)), Of(ints(shape{2, 2, 1, 1}, 3, 2, 7, 4))},
	{ir.OpMatMul, nil, args(ints(shape{1, 2}, top, top), ints(shape{2, 2}, 1, 0, 1, 1)), bigs(shape{1, 2}, "18446744073709551614", "9223372036854775807")},
	{ir.OpMatMul, nil, args(reals(shape{2, 0}), reals(shape{0, 1})), Of(reals(shape{2, 1}, 0, 0))},
	{ir.OpConv, nil, args(reals(shape{1, 1, 3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9), reals(shape{1, 1, 2, 2}, 1, 0, 0, 1)), Of(reals(shape{1, 1, 2, 2}, 6, 8, 12, 14))},
	{ir.OpConv, attrs(ir.Is("pads", 0, 1, 1, 0), ir.Is("strides", 2, 1)), args(ints(shape{1, 1, 2, 2}, 1, 2, 3, 4), ints(shape{1, 1, 2, 2}, 1, 10, 100, 1000)), Of(ints(shape{1, 1, 1, 2}, 3010, 4321))},
	{ir.OpConv, attrs(ir.I("group", 2), ir.Is("dilations", 1, 2)), args(ints(shape{1, 2, 1, 3}, 1, 2, 3, 4, 5, 6), ints(shape{2, 1, 1, 2}, 1, 1, 1, -1)), Of(ints(shape{1, 2, 1, 1}, 4, -2))},
	{ir.OpConv, nil, args(ints(shape{1, 2, 1, 1}, top, 1), ints(shape{1, 2, 1, 1}, 2, 1)), bigs(shape{1, 1, 1, 1}, "18446744073709551615")},

	{ir.OpReshape, attrs(ir.Is("shape", 2, 1)), args(ints(shape{2}, 1, 2)), Of(ints(shape{2, 1}, 1, 2))},
	{ir.OpTranspose, attrs(ir.Is("perm", 1, 2, 0)), args(ints(shape{2, 1, 3}, 1, 2, 3, 4, 5, 6)), Of(ints(shape{1, 3, 2}, 1, 4, 2, 5, 3, 6))},
	{ir.OpSlice, attrs(ir.Is("starts", 2, 0), ir.Is("ends", -1, 3), ir.Is("steps", -2, 2)), args(ints(shape{3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9)), Of(ints(shape{2, 2}, 7, 9, 1, 3))},
	{ir.OpSlice, attrs(ir.Is("starts", 1), ir.Is("ends", 1), ir.Is("steps", 1)), args(reals(shape{3}, 1, 2, 3)), Of(reals(shape{0}))},
	{ir.OpConcat, attrs(ir.I("axis", 1)), args(ints(shape{2, 1}, 1, 2), ints(shape{2, 0}), ints(shape{2, 2}, 3, 4, 5, 6)), Of(ints(shape{2, 3}, 1, 3, 4, 2, 5, 6))},
	{ir.OpPad, attrs(ir.Is("pads", 0, 1, 1, 2)), args(ints(shape{1, 2}, 1, 2)), Of(ints(shape{2, 5}, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0))},
	{ir.OpGather, attrs(ir.I("axis", 1), ir.Is("indices", 2, 0, 2)), args(ints(shape{2, 3, 1}, 1, 2, 3, 4, 5, 6)), Of(ints(shape{2, 3, 1}, 3, 1, 3, 6, 4, 6))},
	{ir.OpExpand, attrs(ir.Is("shape", 2, 2)), args(reals(shape{2, 1}, 1, 2)), Of(reals(shape{2, 2}, 1, 1, 2, 2))},

	{ir.OpReduceSum, attrs(ir.Is("axes", 0, -1)), args(ints(shape{2, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8)), Of(ints(shape{2}, 14, 22))},
	{ir.OpReduceSum, attrs(ir.Is("axes", 0)), args(ints(shape{2}, top, top)), bigs(shape{}, "18446744073709551614")},
	{ir.OpReduceSum, attrs(ir.Is("axes", 0)), args(reals(shape{4}, 1e100, 1, 1, -1e100)), Of(reals(shape{}, 2))},
	{ir.OpReduceMean, attrs(ir.Is("axes", 1), ir.I("keep", 1)), args(reals(shape{1, 4}, 1, 2, 3, 4)), Of(reals(shape{1, 1}, 2.5))},
	{ir.OpReduceMax, attrs(ir.Is("axes", 0)), args(reals(shape{2, 2}, -1, -2, -3, 4)), Of(reals(shape{2}, -1, 4))},
	{ir.OpArgMax, attrs(ir.I("axis", 0)), args(reals(shape{3, 2}, 1, 2, 5, 2, 5, 1)), Of(ints(shape{2}, 1, 0))},
	{ir.OpArgMax, attrs(ir.I("axis", -1), ir.I("keep", 1)), args(ints(shape{1, 2}, 1<<53, 1<<53+1)), Of(ints(shape{1, 1}, 1))},
	{ir.OpMaxPool, attrs(ir.Is("kernel", 2, 2), ir.Is("pads", 1, 1, 0, 0), ir.Is("strides", 2, 2)), args(ints(shape{1, 1, 3, 3}, -1, -2, -3, -4, -5, -6, -7, -8, -9)), Of(ints(shape{1, 1, 2, 2}, -1, -2, -4, -5))},
	{ir.OpAvgPool, attrs(ir.Is("kernel", 1, 2), ir.Is("pads", 0, 1, 0, 0)), args(reals(shape{1, 1, 1, 2}, 1, 3)), Of(reals(shape{1, 1, 1, 2}, 1, 2))},
	{ir.OpAvgPool, attrs(ir.I("include_pad", 1), ir.Is("kernel", 1, 2), ir.Is("pads", 0, 1, 0, 0)), args(reals(shape{1, 1, 1, 2}, 1, 3)), Of(reals(shape{1, 1, 1, 2}, 0.5, 2))},
	{ir.OpBatchNorm, attrs(ir.F("epsilon", 3)), args(reals(shape{1, 2, 1}, 5, 8), reals(shape{2}, 1, 2), reals(shape{2}, 0, 1), reals(shape{2}, 1, 2), reals(shape{2}, 1, 6)), Of(reals(shape{1, 2, 1}, 2, 5))},
	{ir.OpSoftmax, attrs(ir.I("axis", -1)), args(reals(shape{2, 2}, 1000, 1000, -1000, 0)), Of(reals(shape{2, 2}, 0.5, 0.5, 0, 1))},
	{ir.OpLogSoftmax, attrs(ir.I("axis", 1)), args(reals(shape{2, 2}, 1000, 1000, -1000, 0)), Of(reals(shape{2, 2}, -math.Ln2, -math.Ln2, -1000, 0))},

	// values to twelve digits from tables
	{ir.OpSigmoid, nil, args(reals(shape{4}, 0, 1, -1, -1000)), Of(reals(shape{4}, 0.5, 0.731058578630, 0.268941421370, 0))},
	{ir.OpTanh, nil, args(reals(shape{2}, 1, -1000)), Of(reals(shape{2}, 0.761594155956, -1))},
	{ir.OpErf, nil, args(reals(shape{1}, 1)), Of(reals(shape{1}, 0.842700792950))},
	{ir.OpGelu, nil, args(reals(shape{4}, 1, -1, 0, -1000)), Of(reals(shape{4}, 0.841344746069, -0.158655253931, 0, 0))},
	{ir.OpGeluTanh, nil, args(reals(shape{3}, 1, 0, -1)), Of(reals(shape{3}, 0.841191990608, 0, -0.158808009392))},
	{ir.OpSilu, nil, args(reals(shape{2}, 1, -1000)), Of(reals(shape{2}, 0.731058578630, 0))},
	{ir.OpSoftplus, nil, args(reals(shape{3}, 0, 1000, -1000)), Of(reals(shape{3}, math.Ln2, 1000, 0))},
	{ir.OpMish, nil, args(reals(shape{4}, 0, 1, 30, -1000)), Of(reals(shape{4}, 0, 0.865098388267, 30, 0))},
	{ir.OpElu, nil, args(reals(shape{2}, 2, -1)), Of(reals(shape{2}, 2, -0.632120558829))},
	{ir.OpExp, nil, args(reals(shape{2}, 0, 1)), Of(reals(shape{2}, 1, math.E))},
	{ir.OpLog, nil, args(reals(shape{2}, 1, math.E)), Of(reals(shape{2}, 0, 1))},
	{ir.OpSqrt, nil, args(reals(shape{2}, 0, 9)), Of(reals(shape{2}, 0, 3))},
	{ir.OpRsqrt, nil, args(reals(shape{2}, 1, 16)), Of(reals(shape{2}, 1, 0.25))},
	{ir.OpRecip, nil, args(reals(shape{2}, 1, -4)), Of(reals(shape{2}, 1, -0.25))},
	{ir.OpSin, nil, args(reals(shape{2}, 0, math.Pi/2)), Of(reals(shape{2}, 0, 1))},
	{ir.OpCos, nil, args(reals(shape{2}, 0, math.Pi)), Of(reals(shape{2}, 1, -1))},
	{ir.OpFloor, nil, args(reals(shape{4}, 1.5, 2, -0.25, -3)), Of(reals(shape{4}, 1, 2, -1, -3))},
}

// differ says how two tensors differ, reals by more than 1e-11; "" if they do not.
func differ(got, want *Tensor) string {
	if got.Elem != want.Elem || !got.Shape.Equal(want.Shape) || got.Len() != want.Shape.Size() {
		return "got " + got.Elem.String() + got.Shape.String() + ", want " + want.Elem.String() + want.Shape.String()
	}
	for i := range want.Len() {
		same := false
		if want.Elem == ir.Real {
			same = got.F[i] == want.F[i] || math.Abs(got.F[i]-want.F[i]) <= 1e-11
		} else {
			same = got.Int(i).Cmp(want.Int(i)) == 0
		}
		if !same {
			return "got " + got.Text(i) + ", want " + want.Text(i)
		}
	}
	return ""
}

// TestMeanings compares every op with values by hand: on constants, and between an input and a reveal.
func TestMeanings(t *testing.T) {
	covered := map[ir.Op]bool{}
	for _, c := range meaningCases {
		covered[c.op] = true
		var names []string
		for _, a := range c.args {
			names = append(names, a.Elem.String()+a.Shape.String())
		}
		t.Run(string(c.op)+" "+strings.Join(names, " "), func(t *testing.T) {
			f, in := ir.NewFunc("main"), map[string]*ir.Tensor{}
			emit := func(op ir.Op, at ir.Attrs, args ...*ir.Value) *ir.Value {
				v, err := f.Emit(diag.Pos{File: "case"}, op, at, args...)
				if err != nil {
					t.Fatal(err)
				}
				return v
			}
			var xs []*ir.Value
			for i, a := range c.args {
				n := string(rune('a' + i))
				in[n] = a
				xs = append(xs, emit(ir.OpInput, attrs(ir.S("name", n), ir.S("owner", "p0"), ir.S("elem", a.Elem.String()), ir.Dims("shape", a.Shape))))
			}
			emit(ir.OpReveal, attrs(ir.S("name", "y"), ir.Ss("to", "p0")), emit(c.op, c.attrs, xs...))
			got, err := Run(&ir.Module{Funcs: []*ir.Func{f}}, in)
			if err != nil {
				t.Fatal(err)
			}
			if d := differ(got["y"], c.want); d != "" {
				t.Error(d)
			}
		})
	}
	for _, r := range ir.Ops() {
		graph := r.Level == ir.Composite || r.Level == ir.CoreOp
		if graph && unmeant[r.Op] == "" && meanings[r.Op] == nil {
			t.Errorf("%s may be in a graph and has no exact meaning", r.Op)
		}
		if meanings[r.Op] != nil && !covered[r.Op] {
			t.Errorf("%s has no case", r.Op)
		}
		if unmeant[r.Op] != "" && (meanings[r.Op] != nil || !graph) {
			t.Errorf("%s is listed as without a meaning", r.Op)
		}
	}
}

// TestLargeAndSmall computes products of the same small integers by the loops in 64 bits and by the definition.
func TestLargeAndSmall(t *testing.T) {
	fill := func(n int, seed int64) []int64 {
		out := make([]int64, n)
		for i := range out {
			out[i] = (int64(i)*2654435761+seed)%19 - 9
		}
		return out
	}
	large := func(x []int64) []*big.Int { return (&Tensor{I: x}).integers() }
	for _, g := range []window{
		{n: 2, c: 4, h: 5, w: 6, o: 6, oh: 3, ow: 6, kh: 3, kw: 3, sh: 2, sw: 1, dh: 1, dw: 1, top: 1, left: 1, group: 2},
		{n: 1, c: 2, h: 6, w: 7, o: 2, oh: 2, ow: 3, kh: 2, kw: 3, sh: 3, sw: 2, dh: 2, dw: 1, left: 1, group: 1},
	} {
		x, k := fill(g.n*g.c*g.h*g.w, 3), fill(g.o*g.c/g.group*g.kh*g.kw, 5)
		out := make([]int64, g.n*g.o*g.oh*g.ow)
		convolve(out, x, k, g)
		if want := g.large(large(x), large(k)); !slices.Equal(out, whole(shape{len(want)}, want).I) {
			t.Errorf("convolution %+v differs", g)
		}
	}
	g := matrices{m: 3, k: 5, n: 4, bx: []int{0, 1, 0}, by: []int{1, 1, 0}}
	x, y := fill(30, 1), fill(40, 2)
	out := make([]int64, 36)
	multiply(out, x, y, g)
	if want := g.large(large(x), large(y)); !slices.Equal(out, whole(shape{36}, want).I) {
		t.Error("product differs")
	}
}

func TestErrors(t *testing.T) {
	input := attrs(ir.S("name", "x"), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Is("shape", 2))
	for _, c := range []struct {
		data *ir.Tensor
		op   ir.Op
		at   ir.Attrs
		want string
	}{
		{nil, "", nil, `v0 = input: no data for "x"`},
		{reals(shape{1}, 1), "", nil, `v0 = input: data for "x" has shape [1], want [2]`},
		{reals(shape{2}, 1), "", nil, `v0 = input: data for "x": tensor of shape [2] holds 1 elements, want 2`},
		{bits(shape{2}, 1, 0), "", nil, `v0 = input: data for "x" is bool, want real`},
		{reals(shape{2}, 1, inf), ir.OpCast, attrs(ir.S("to", "int")), `v1 = cast: element 1 is +Inf, which is no integer`},
	} {
		f := ir.NewFunc("main")
		x, err := f.Emit(diag.Pos{File: "case"}, ir.OpInput, input)
		if err == nil && c.op != "" {
			_, err = f.Emit(diag.Pos{File: "case"}, c.op, c.at, x)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = Eval(f, map[string]*ir.Tensor{"x": c.data}, nil)
		if err == nil || err.Error() != "case: "+c.want {
			t.Errorf("got  %v\nwant case: %s", err, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	c := Contract{Atol: 0.5, Rtol: 0.25}
	for _, x := range []struct {
		got  *ir.Tensor
		want *Tensor
		d    Difference
		err  string
	}{
		{reals(shape{3}, 1, -4, 0), Of(reals(shape{3}, 1, -2, 0.5)), Difference{Elements: 3, Wrong: 1, First: 1, Worst: 2, Used: 2}, ""},
		{reals(shape{1}, math.NaN()), Of(reals(shape{1}, 1)), Difference{Elements: 1, Wrong: 1, Worst: math.NaN(), Used: math.NaN()}, ""},
		{ints(shape{2}, 7, 8), Of(ints(shape{2}, 7, 9)), Difference{Elements: 2, Wrong: 1, First: 1, Worst: 1, Used: inf}, ""},
		{ints(shape{1}, -30064771066), bigs(shape{1}, "18446744043644780550"), Difference{Elements: 1, Wrong: 1, Worst: 1 << 64, Used: inf}, ""},
		{bits(shape{2}, 0, 1), Of(bits(shape{2}, 0, 1)), Difference{Elements: 2}, ""},
		{ints(shape{1}, 1), Of(reals(shape{1}, 1)), Difference{Elements: 1}, "is int, want real"},
		{ints(shape{1}, 1), Of(ints(shape{}, 1)), Difference{Elements: 1}, "has shape [1], want []"},
		{reals(shape{1}, 1), Of(reals(shape{1}, inf)), Difference{Elements: 1}, "the exact result is not finite"},
	} {
		d, err := c.Compare(x.got, x.want)
		message := ""
		if err != nil {
			message = err.Error()
		}
		same := func(a, b float64) bool { return a == b || math.IsNaN(a) && math.IsNaN(b) }
		if message != x.err || d.Wrong != x.d.Wrong || d.First != x.d.First || d.Elements != x.d.Elements || !same(d.Used, x.d.Used) || !same(d.Worst, x.d.Worst) {
			t.Errorf("%v against %v: %+v, %q, want %+v, %q", x.got, x.want, d, message, x.d, x.err)
		}
	}
}

// TestSpeed runs a convolution of a ResNet's size: 1.8 G products, as a whole ResNet-18 has, take seconds and not minutes.
func TestSpeed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	g := window{n: 1, c: 64, h: 56, w: 56, o: 64, oh: 56, ow: 56, kh: 3, kw: 3, sh: 1, sw: 1, dh: 1, dw: 1, top: 1, left: 1, group: 1}
	x, k, out := make([]float64, 64*56*56), make([]float64, 64*64*9), make([]float64, 64*56*56)
	begin := time.Now()
	convolve(out, x, k, g)
	if d := time.Since(begin); d > 20*time.Second {
		t.Errorf("116 M products took %v", d)
	} else {
		t.Logf("116 M products in %v", d)
	}
}
