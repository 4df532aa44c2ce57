package smpcc_test

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/verify"
	"smpcc/ir"
	"smpcc/passes"
	"smpcc/runtime/local"
)

// An integerOp is an op on integers x and y, applied to every element, with its meaning in integers of any size.
type integerOp struct {
	name   string
	build  func(g *graph, x, y *ir.Value) *ir.Value
	want   func(x, y *big.Int) *big.Int
	x, y   [][2]float64 // ranges that are declared; y of the same place as x, or of the last one
	pooled bool         // want is of a row of 8: see rowOp
}

// big61 is the largest magnitude that a ring of 64 bits holds with room for differences.
const big61 = 1 << 61

// one is a big integer.
func one(x int64) *big.Int { return big.NewInt(x) }

// truth is 1 or 0.
func truth(b bool) *big.Int {
	if b {
		return one(1)
	}
	return one(0)
}

// simple applies one op.
func simple(op ir.Op, attrs ir.Attrs) func(g *graph, x, y *ir.Value) *ir.Value {
	return func(g *graph, x, y *ir.Value) *ir.Value {
		return g.e(op, attrs, []*ir.Value{x, y}[:ir.Rows[op].Args]...)
	}
}

// byConstant applies an op to x and a constant.
func byConstant(op ir.Op, attrs ir.Attrs, c int64) func(g *graph, x, y *ir.Value) *ir.Value {
	return func(g *graph, x, _ *ir.Value) *ir.Value {
		return g.e(op, attrs, x, g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, c))}))
	}
}

// floorDiv and truncDiv are the two quotients.
func floorDiv(x, y *big.Int) *big.Int {
	q, r := new(big.Int).QuoRem(x, y, new(big.Int))
	if r.Sign() != 0 && r.Sign() != y.Sign() {
		q.Sub(q, one(1))
	}
	return q
}

func truncDiv(x, y *big.Int) *big.Int { return new(big.Int).Quo(x, y) }

// less returns x - q*y for a quotient.
func less(q func(x, y *big.Int) *big.Int) func(x, y *big.Int) *big.Int {
	return func(x, y *big.Int) *big.Int { return new(big.Int).Sub(x, new(big.Int).Mul(q(x, y), y)) }
}

// with fixes the second operand.
func with(f func(x, y *big.Int) *big.Int, c int64) func(x, y *big.Int) *big.Int {
	return func(x, _ *big.Int) *big.Int { return f(x, one(c)) }
}

// kept is x with so many low bits, from lo on.
func kept(bits uint, lo int64) func(x, y *big.Int) *big.Int {
	return func(x, _ *big.Int) *big.Int {
		z := new(big.Int).Sub(x, one(lo))
		return z.Add(z.Mod(z, new(big.Int).Lsh(one(1), bits)), one(lo))
	}
}

var (
	narrowRanges = [][2]float64{{0, 1}, {-3, 4}, {-128, 127}, {0, 255}, {1000, 1003}, {-1 << 31, 1<<31 - 1}}
	wideRanges   = append(append([][2]float64{}, narrowRanges...), [2]float64{-1 << 59, 1 << 59}, [2]float64{0, 1 << 60})
	factorRanges = append(append([][2]float64{}, narrowRanges[:5]...), [2]float64{-1 << 30, 1 << 30}, [2]float64{-1e9, 1e9})
	down         = ir.Attrs{ir.I("down", 1)}
)

var integerOps = []integerOp{
	{name: "add", build: simple(ir.OpAdd, nil), want: func(x, y *big.Int) *big.Int { return new(big.Int).Add(x, y) }, x: wideRanges, y: wideRanges},
	{name: "sub", build: simple(ir.OpSub, nil), want: func(x, y *big.Int) *big.Int { return new(big.Int).Sub(x, y) }, x: wideRanges, y: wideRanges},
	{name: "neg", build: simple(ir.OpNeg, nil), want: func(x, _ *big.Int) *big.Int { return new(big.Int).Neg(x) }, x: wideRanges},
	{name: "mul", build: simple(ir.OpMul, nil), want: func(x, y *big.Int) *big.Int { return new(big.Int).Mul(x, y) }, x: factorRanges, y: factorRanges},
	{name: "square", build: func(g *graph, x, _ *ir.Value) *ir.Value { return g.e(ir.OpMul, nil, x, x) }, want: func(x, _ *big.Int) *big.Int { return new(big.Int).Mul(x, x) }, x: factorRanges},
	{name: "times a constant", build: byConstant(ir.OpMul, nil, -1e9), want: with(func(x, y *big.Int) *big.Int { return new(big.Int).Mul(x, y) }, -1e9), x: factorRanges},
	{name: "max", build: simple(ir.OpMax, nil), want: func(x, y *big.Int) *big.Int {
		if x.Cmp(y) > 0 {
			return x
		}
		return y
	}, x: wideRanges, y: wideRanges},
	{name: "min", build: simple(ir.OpMin, nil), want: func(x, y *big.Int) *big.Int {
		if x.Cmp(y) < 0 {
			return x
		}
		return y
	}, x: wideRanges, y: wideRanges},
	{name: "abs", build: simple(ir.OpAbs, nil), want: func(x, _ *big.Int) *big.Int { return new(big.Int).Abs(x) }, x: wideRanges},
	{name: "relu", build: simple(ir.OpRelu, nil), want: func(x, _ *big.Int) *big.Int { return new(big.Int).Mul(x, truth(x.Sign() > 0)) }, x: wideRanges},
	{name: "clip", build: simple(ir.OpClip, ir.Attrs{ir.F("lo", -7), ir.F("hi", 200)}), want: func(x, _ *big.Int) *big.Int {
		if x.Cmp(one(-7)) < 0 {
			return one(-7)
		}
		if x.Cmp(one(200)) > 0 {
			return one(200)
		}
		return x
	}, x: wideRanges},
	{name: "lt", build: simple(ir.OpLt, nil), want: func(x, y *big.Int) *big.Int { return truth(x.Cmp(y) < 0) }, x: wideRanges, y: wideRanges},
	{name: "le", build: simple(ir.OpLe, nil), want: func(x, y *big.Int) *big.Int { return truth(x.Cmp(y) <= 0) }, x: wideRanges, y: wideRanges},
	{name: "gt", build: simple(ir.OpGt, nil), want: func(x, y *big.Int) *big.Int { return truth(x.Cmp(y) > 0) }, x: wideRanges, y: wideRanges},
	{name: "ge", build: simple(ir.OpGe, nil), want: func(x, y *big.Int) *big.Int { return truth(x.Cmp(y) >= 0) }, x: wideRanges, y: wideRanges},
	{name: "eq", build: simple(ir.OpEq, nil), want: func(x, y *big.Int) *big.Int { return truth(x.Cmp(y) == 0) }, x: wideRanges, y: wideRanges},
	{name: "ne", build: simple(ir.OpNe, nil), want: func(x, y *big.Int) *big.Int { return truth(x.Cmp(y) != 0) }, x: wideRanges, y: wideRanges},
	{name: "ltz", build: simple(ir.OpLtz, nil), want: func(x, _ *big.Int) *big.Int { return truth(x.Sign() < 0) }, x: wideRanges},
	{name: "eqz", build: simple(ir.OpEqz, nil), want: func(x, _ *big.Int) *big.Int { return truth(x.Sign() == 0) }, x: wideRanges},
	{name: "select", build: func(g *graph, x, y *ir.Value) *ir.Value {
		return g.e(ir.OpSelect, nil, g.e(ir.OpLt, nil, x, y), g.e(ir.OpSub, nil, y, x), x)
	}, want: func(x, y *big.Int) *big.Int {
		if x.Cmp(y) < 0 {
			return new(big.Int).Sub(y, x)
		}
		return x
	}, x: wideRanges, y: wideRanges},
	{name: "idiv by a constant", build: byConstant(ir.OpIntDiv, nil, 86400), want: with(truncDiv, 86400), x: [][2]float64{{-3, 4}, {0, 1<<31 - 1}, {-1 << 49, 1 << 49}}},
	{name: "idiv down by a constant", build: byConstant(ir.OpIntDiv, down, -3), want: with(floorDiv, -3), x: [][2]float64{{-3, 4}, {-1 << 31, 1<<31 - 1}, {-1 << 49, 1 << 49}}},
	{name: "imod by a constant", build: byConstant(ir.OpIntMod, nil, 1000003), want: with(less(truncDiv), 1000003), x: [][2]float64{{-3, 4}, {-1 << 31, 1<<31 - 1}, {-1 << 49, 1 << 49}}},
	{name: "imod down by a constant", build: byConstant(ir.OpIntMod, down, 7), want: with(less(floorDiv), 7), x: [][2]float64{{-3, 4}, {-1 << 31, 1<<31 - 1}, {-1 << 49, 1 << 49}}},
	{name: "idiv", build: simple(ir.OpIntDiv, nil), want: truncDiv, x: [][2]float64{{-3, 4}, {-1e6, 1e6}, {0, 1<<31 - 1}}, y: [][2]float64{{1, 5}, {1, 70000}, {1, 1<<31 - 1}}},
	{name: "idiv down", build: simple(ir.OpIntDiv, down), want: floorDiv, x: [][2]float64{{-128, 127}, {-1 << 31, 1<<31 - 1}}, y: [][2]float64{{1, 127}, {-30000, -2}}},
	{name: "imod", build: simple(ir.OpIntMod, nil), want: less(truncDiv), x: [][2]float64{{-3, 4}, {-1 << 31, 1<<31 - 1}}, y: [][2]float64{{1, 5}, {1, 70000}}},
	{name: "imod down", build: simple(ir.OpIntMod, down), want: less(floorDiv), x: [][2]float64{{-128, 127}, {0, 1<<31 - 1}}, y: [][2]float64{{-9, -1}, {1, 1 << 20}}},
	{name: "wrap to uint8", build: simple(ir.OpWrap, ir.Attrs{ir.I("bits", 8)}), want: kept(8, 0), x: [][2]float64{{0, 255}, {-1, 255}, {-1000, 1000}, {-1 << 49, 1 << 49}}},
	{name: "wrap to int8", build: simple(ir.OpWrap, ir.Attrs{ir.I("bits", 8), ir.I("signed", 1)}), want: kept(8, -128), x: [][2]float64{{-128, 127}, {0, 255}, {-1000, 1000}, {-1 << 49, 1 << 49}}},
	{name: "wrap to int32", build: simple(ir.OpWrap, ir.Attrs{ir.I("bits", 32), ir.I("signed", 1)}), want: kept(32, -1<<31), x: [][2]float64{{-1 << 31, 1<<31 - 1}, {-1 << 32, 1 << 32}, {-1 << 49, 1 << 49}, {-1 << 59, 1 << 59}}},
	{name: "wrap to uint32", build: simple(ir.OpWrap, ir.Attrs{ir.I("bits", 32)}), want: kept(32, 0), x: [][2]float64{{-1, 1 << 32}, {-1 << 40, 1 << 40}}},
	{name: "wrap to 64 bits without sign", build: simple(ir.OpWrap, ir.Attrs{ir.I("bits", 64)}), want: func(x, _ *big.Int) *big.Int { return x }, x: [][2]float64{{0, 1 << 60}}},
	{name: "mulshift", build: simple(ir.OpMulShift, ir.Attrs{ir.I("frac", 0), ir.I("keep", 0), ir.S("to", "int"), ir.F("lo", -big61), ir.F("hi", big61)}),
		want: func(x, y *big.Int) *big.Int { return new(big.Int).Mul(x, y) }, x: factorRanges, y: factorRanges},
	{name: "cast to real and back", build: func(g *graph, x, _ *ir.Value) *ir.Value {
		return g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, g.e(ir.OpCast, ir.Attrs{ir.S("to", "real")}, x))
	}, want: func(x, _ *big.Int) *big.Int { return x }, x: narrowRanges},
	{name: "sum of a row", pooled: true, build: func(g *graph, x, _ *ir.Value) *ir.Value { return g.e(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 1)}, x) },
		want: func(x, y *big.Int) *big.Int { return new(big.Int).Add(x, y) }, x: append(append([][2]float64{}, narrowRanges...), [2]float64{-1 << 57, 1 << 57})},
	{name: "largest of a row", pooled: true, build: func(g *graph, x, _ *ir.Value) *ir.Value { return g.e(ir.OpReduceMax, ir.Attrs{ir.Is("axes", 1)}, x) },
		want: func(x, y *big.Int) *big.Int {
			if x.Cmp(y) > 0 {
				return x
			}
			return y
		}, x: wideRanges},
}

// rowLength is how many elements a row of the operands has.
const rowLength = 8

// wholes draws integers of lo..hi: of every magnitude alike, at the ends, at zero, and next to those.
func wholes(lo, hi int64, n int, r *rand.Rand) *ir.Tensor {
	t := ir.NewTensor(ir.Int, ir.Shape{n / rowLength, rowLength})
	for i := range t.I {
		var x int64
		switch r.IntN(4) {
		case 0:
			x = []int64{lo, hi, lo + 1, hi - 1, 0, 1, -1, lo / 2, hi / 2}[r.IntN(9)]
		case 1:
			x = lo + r.Int64N(hi-lo+1)
		default: // log-uniform
			x = int64(math.Exp2(r.Float64() * math.Log2(float64(max(hi, -lo))+1)))
			if r.IntN(2) == 0 {
				x = -x
			}
		}
		t.I[i] = min(max(x, lo), hi)
	}
	return t
}

// TestIntegerOps runs every op on integers for 2, 3 and 5 parties, by plans for near and for far, over whole declared ranges, and compares with
// integers of any size.
func TestIntegerOps(t *testing.T) {
	for k, c := range integerOps {
		for i, xr := range c.x {
			yr := [2]float64{}
			if len(c.y) > 0 {
				yr = c.y[min(i, len(c.y)-1)]
			}
			for j, n := range []int{2, 3, 5, 2} {
				if testing.Short() && (i+j+k)%6 != 0 || !allCases() && (i+j+k)%2 != 0 {
					continue
				}
				net := passes.Network{}
				if j%2 == 1 {
					net = wan
				}
				t.Run(fmt.Sprintf("%s/%g..%g, %g..%g/%d parties/far %v", c.name, xr[0], xr[1], yr[0], yr[1], n, j%2 == 1), func(t *testing.T) {
					g := newGraph(t, n)
					g.net = net
					c.check(t, g, n, xr, yr, uint64(100*k+4*i+j))
				})
			}
		}
	}
}

// check runs an op on drawn operands.
func (c *integerOp) check(t *testing.T, g *graph, n int, xr, yr [2]float64, seed uint64) {
	const size = 64 * rowLength
	r := rand.New(rand.NewPCG(seed, 77))
	data := map[string]*ir.Tensor{"x": wholes(int64(xr[0]), int64(xr[1]), size, r)}
	x := g.input("x", "p0", "int", xr[0], xr[1], size/rowLength, rowLength)
	var y *ir.Value
	if yr != [2]float64{} {
		y = g.input("y", "p1", "int", yr[0], yr[1], size/rowLength, rowLength)
		data["y"] = wholes(int64(yr[0]), int64(yr[1]), size, r)
		if xr[0] <= yr[0] && xr[1] >= yr[1] { // equal ones, and neighbours
			for i := range 16 {
				data["x"].I[i] = min(max(data["y"].I[i]+int64(i%3)-1, int64(xr[0])), int64(xr[1]))
			}
		}
	}
	g.reveal("out", c.build(g, x, y))
	p, err := smpcc.CompileModule(g.m, smpcc.Options{Net: g.net, StrictRange: true}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify.Check(p.Plan).Err(); err != nil {
		t.Errorf("verify: %v", err)
	}
	res := execute(t, p.Plan, data)
	port := p.Plan.Manifest.Outputs[0]
	for role := range n {
		for i, got := range smpcc.Read(port, res.Outputs[role]["out"]).I {
			var want *big.Int
			switch {
			case c.pooled:
				row := data["x"].I[i*rowLength:]
				want = one(row[0])
				for _, x := range row[1:rowLength] {
					want = c.want(want, one(x))
				}
			case y != nil:
				want = c.want(one(data["x"].I[i]), one(data["y"].I[i]))
			default:
				want = c.want(one(data["x"].I[i]), nil)
			}
			if one(got).Cmp(want) != 0 {
				t.Fatalf("seed %d: element %d is %d, want %v (x %d)", seed, i, got, want, data["x"].I[i*map[bool]int{true: rowLength, false: 1}[c.pooled]])
			}
		}
	}
}

// TestStepsAreExactAsHeld rounds reals of every magnitude down, and towards zero, for 2, 3 and 5 parties: exact on the numbers as inputs hold them.
func TestStepsAreExactAsHeld(t *testing.T) {
	ofNumbers(t)
	for i, most := range []float64{1e-9, 6e-6, 0.01, 0.3, 0.99, 1, 1.5, 7, 1000, 1e6} {
		for j, n := range []int{2, 3, 5, 2, 3, 5} {
			lo := []float64{-most, 0, -most / 3, -most}[(i+j)%4]
			t.Run(fmt.Sprintf("%g..%g/%d parties/cast %v", lo, most, n, j > 2), func(t *testing.T) { stepsAsHeld(t, lo, most, n, j > 2, uint64(6*i+j)) })
		}
	}
}

func stepsAsHeld(t *testing.T, lo, hi float64, n int, cast bool, seed uint64) {
	const size = 512
	g := newGraph(t, n)
	x := g.input("x", "p0", "real", lo, hi, size)
	if cast {
		g.reveal("out", g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, x))
	} else {
		g.reveal("out", g.e(ir.OpFloor, nil, x))
	}
	p, err := smpcc.CompileModule(g.m, smpcc.Options{StrictRange: true}, true)
	if err != nil && !cast && lo < 0 && lo > -1e-5 && strings.Contains(err.Error(), "off by 1 at -1") { // some are held as 0, whose floor is another
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed, 78))
	data := ir.NewTensor(ir.Real, ir.Shape{size})
	port := p.Plan.Manifest.Inputs[0]
	held := make([]float64, size)
	for i := range data.F {
		y := hi * math.Exp2(-40*r.Float64())
		switch r.IntN(4) {
		case 0:
			y = math.Round(lo + (hi-lo)*r.Float64())
		case 1:
			y = math.Round(lo+(hi-lo)*r.Float64()) + []float64{-1, 1}[r.IntN(2)]*math.Ldexp(1, -port.Scale)
		}
		if r.IntN(2) == 0 {
			y = -y
		}
		data.F[i] = min(max(y, lo), hi)
		held[i] = math.Ldexp(math.Round(math.Ldexp(data.F[i], port.Scale)), -port.Scale)
	}
	w, err := smpcc.Bind(port, data)
	if err != nil {
		t.Fatal(err)
	}
	runner, err := local.New(context.Background(), p.Plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := runner.Run(context.Background(), [][]uint64{w})
	if err != nil {
		t.Fatal(err)
	}
	got := smpcc.Read(p.Plan.Manifest.Outputs[0], res.Outputs[0]["out"])
	for i, x := range held {
		want := math.Floor(x)
		if cast {
			want = math.Trunc(x)
		}
		if got.At(i) != want {
			t.Fatalf("seed %d: %g, held as %g, becomes %g, want %g", seed, data.F[i], x, got.At(i), want)
		}
	}
}

// TestIntegerOpsAreAll asks that every op that has a meaning on integers alone is in the table, or says why it is tested elsewhere.
func TestIntegerOpsAreAll(t *testing.T) {
	elsewhere := map[ir.Op]string{
		ir.OpMatMul: "TestPrimitives", ir.OpConv: "TestPrimitives", ir.OpArgMax: "TestPrimitives", ir.OpMaxPool: "TestPrimitives", ir.OpFormat: "states a range",
		ir.OpReshape: "moves elements", ir.OpTranspose: "moves elements", ir.OpSlice: "moves elements", ir.OpConcat: "moves elements", ir.OpPad: "moves elements", ir.OpGather: "moves elements", ir.OpExpand: "moves elements",
	}
	tried := map[ir.Op]bool{}
	for _, c := range integerOps {
		g := newGraph(t, 2)
		yr := [2]float64{1, 2}
		if len(c.y) > 0 {
			yr = c.y[0]
		}
		c.build(g, g.input("x", "p0", "int", c.x[0][0], c.x[0][1], 2, rowLength), g.input("y", "p1", "int", yr[0], yr[1], 2, rowLength))
		for _, v := range g.f.Body {
			tried[v.Op] = true
		}
	}
	for _, row := range ir.Ops() {
		if row.Level != ir.CoreOp && row.Level != ir.Composite || tried[row.Op] || elsewhere[row.Op] != "" {
			continue
		}
		g := newGraph(t, 2)
		v := &ir.Value{Op: row.Op}
		for i := range row.Args {
			v.Args = append(v.Args, g.input(fmt.Sprint("x", i), "p0", "int", -1, 1, 2, rowLength))
		}
		for _, a := range row.Attrs {
			if a.Required {
				v.Attrs = append(v.Attrs, map[ir.AttrKind]ir.Attr{ir.AttrInts: ir.Is(a.Key, 1), ir.AttrInt: ir.I(a.Key, 1), ir.AttrString: ir.S(a.Key, "int"), ir.AttrFloat: ir.F(a.Key, 1)}[a.Kind])
			}
		}
		if _, err := row.TypeOf(v); err == nil {
			t.Errorf("%s takes integers and is not in the table", row.Op)
		}
	}
}
