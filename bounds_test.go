package smpcc_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc"
	"smpcc/ir"
)

// A bounded is a function of declared inputs whose bounds have to survive what it is made of.
type bounded struct {
	name   string
	ranges [][2]float64
	whole  []bool // which inputs are whole numbers
	make   func(g *graph, x []*ir.Value) *ir.Value
	exact  func(x []float64) float64
	steps  bool // the result jumps: it is compared with the next one as well
	slow   bool // runs at night alone
}

// number is a public number.
func (g *graph) number(x float64) *ir.Value {
	return g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, x))})
}

// TestBoundsSurvive: what a clip, a rounding, or a logarithm near 1 bounds is bounded behind it, so that nothing is assumed where everything follows from
// declared ranges, and what fits is not refused. The reference is float64's own.
func TestBoundsSurvive(t *testing.T) {
	ofNumbers(t)
	clip := func(lo, hi float64) ir.Attrs { return ir.Attrs{ir.F("lo", lo), ir.F("hi", hi)} }
	power := func(g *graph, base, n *ir.Value) *ir.Value {
		return g.e(ir.OpExp, nil, g.e(ir.OpMul, nil, g.e(ir.OpLog, nil, base), n))
	}
	growth := func(g *graph, x []*ir.Value) *ir.Value { return power(g, g.e(ir.OpAdd, nil, x[0], g.number(1)), x[1]) }
	for _, c := range []bounded{
		{name: "exp of a clip", ranges: [][2]float64{{-1000, 1000}}, make: func(g *graph, x []*ir.Value) *ir.Value { return g.e(ir.OpExp, nil, g.e(ir.OpClip, clip(-8, 2), x[0])) },
			exact: func(x []float64) float64 { return math.Exp(min(max(x[0], -8), 2)) }},
		{name: "exp of a clip from above", ranges: [][2]float64{{-10, 1000}}, make: func(g *graph, x []*ir.Value) *ir.Value {
			return g.e(ir.OpExp, nil, g.e(ir.OpClip, ir.Attrs{ir.F("hi", 3)}, x[0]))
		}, exact: func(x []float64) float64 { return math.Exp(min(x[0], 3)) }},
		{name: "log of a clip", ranges: [][2]float64{{-50, 50}}, make: func(g *graph, x []*ir.Value) *ir.Value {
			return g.e(ir.OpLog, nil, g.e(ir.OpClip, clip(0.01, 1), x[0]))
		},
			exact: func(x []float64) float64 { return math.Log(min(max(x[0], 0.01), 1)) }},
		{name: "exp of a log", slow: true, ranges: [][2]float64{{1e-3, 1e4}}, make: func(g *graph, x []*ir.Value) *ir.Value { return g.e(ir.OpExp, nil, g.e(ir.OpLog, nil, x[0])) },
			exact: func(x []float64) float64 { return x[0] }},
		{name: "rounded cents", ranges: [][2]float64{{0, 10000}}, steps: true, make: func(g *graph, x []*ir.Value) *ir.Value { // halves to even, as exporters' Round is read
			y := g.e(ir.OpAdd, nil, g.e(ir.OpMul, nil, x[0], g.number(100)), g.number(0.5))
			down := g.e(ir.OpFloor, nil, y)
			odd := g.e(ir.OpSub, nil, down, g.e(ir.OpMul, nil, g.e(ir.OpFloor, nil, g.e(ir.OpMul, nil, down, g.number(0.5))), g.number(2)))
			return g.e(ir.OpSub, nil, down, g.e(ir.OpMul, nil, g.e(ir.OpCast, ir.Attrs{ir.S("to", "real")}, g.e(ir.OpEq, nil, y, down)), odd))
		}, exact: func(x []float64) float64 { return math.RoundToEven(x[0] * 100) }},
		{name: "log near 1", ranges: [][2]float64{{1.0001, 1.02}}, make: func(g *graph, x []*ir.Value) *ir.Value { return g.e(ir.OpLog, nil, x[0]) },
			exact: func(x []float64) float64 { return math.Log(x[0]) }},
		{name: "growth", ranges: [][2]float64{{1e-4, 0.02}, {1, 360}}, whole: []bool{false, true}, make: growth, exact: func(x []float64) float64 { return math.Pow(1+x[0], x[1]) }},
		{name: "growth of a thousand", slow: true, ranges: [][2]float64{{0.9, 1.003}}, make: func(g *graph, x []*ir.Value) *ir.Value { return power(g, x[0], g.number(1000)) },
			exact: func(x []float64) float64 { return math.Pow(x[0], 1000) }},
		{name: "instalment", slow: true, ranges: [][2]float64{{0.001, 0.02}, {12, 360}, {1000, 1e6}}, whole: []bool{false, true, false}, make: func(g *graph, x []*ir.Value) *ir.Value {
			left := g.e(ir.OpSub, nil, g.number(1), power(g, g.e(ir.OpAdd, nil, x[0], g.number(1)), g.e(ir.OpNeg, nil, x[1])))
			return g.e(ir.OpDiv, nil, g.e(ir.OpMul, nil, x[2], x[0]), left)
		}, exact: func(x []float64) float64 { return x[2] * x[0] / -math.Expm1(-x[1]*math.Log1p(x[0])) }},
		{name: "acosh", slow: true, ranges: [][2]float64{{1, 100}}, make: func(g *graph, x []*ir.Value) *ir.Value {
			return g.e(ir.OpLog, nil, g.e(ir.OpAdd, nil, x[0], g.e(ir.OpSqrt, nil, g.e(ir.OpSub, nil, g.e(ir.OpMul, nil, x[0], x[0]), g.number(1)))))
		}, exact: func(x []float64) float64 { return math.Acosh(x[0]) }},
	} {
		if c.slow && !allCases() {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			const n = 24
			g := newGraph(t, 2)
			r := rand.New(rand.NewPCG(uint64(len(c.name)), 9))
			var in []*ir.Value
			data := map[string]*ir.Tensor{}
			for k, rg := range c.ranges {
				name := string(rune('a' + k))
				v := g.input(name, []string{"p0", "p1"}[k%2], "real", rg[0], rg[1], n)
				data[name] = magnitudes(r, rg, n)
				if rg[1]-rg[0] < 1 {
					for i := 3; i < n; i++ {
						data[name].F[i] = rg[0] + (rg[1]-rg[0])*math.Exp2(-12*r.Float64())
					}
				}
				if c.whole != nil && c.whole[k] {
					for i, x := range data[name].F {
						data[name].F[i] = math.Round(x)
					}
				}
				in = append(in, v)
			}
			g.reveal("out", c.make(g, in))
			got, comp := secure(t, g, smpcc.Options{StrictRange: true}, data)
			worst, used := 0.0, 0.0
			for i, y := range got {
				x := make([]float64, len(c.ranges))
				for k := range x {
					x[k] = data[string(rune('a'+k))].F[i]
				}
				want := c.exact(x)
				if c.steps && math.Abs(y-want) == 1 { // held a little above or below a half
					if f := x[0]*100 - math.Floor(x[0]*100); math.Abs(f-0.5) > 0.02 {
						t.Errorf("%v: %g, want %g", x, y, want)
					}
					continue
				}
				if used = math.Abs(y-want) / (1e-3 + 1e-3*math.Abs(want)); used > worst {
					worst = used
				}
				if !(used <= 1) {
					t.Errorf("%v: %g, want %g", x, y, want)
				}
			}
			o := comp.Numbers.Outputs[0]
			t.Logf("%.2g of the tolerance; %s, %s", worst, o.State, o.Why)
		})
	}
}

// TestSingleBounds: who declares 0.01 lets in what a file of float32 holds of it, on both ends, and nothing that is further out; a whole number is the end of
// nothing that was declared below it.
func TestSingleBounds(t *testing.T) {
	for _, c := range []struct {
		lo, hi  float64
		in, out []float64
	}{
		{0.01, 0.7, []float64{0.01, float64(float32(0.01)), 0.7, float64(float32(0.7))}, []float64{0.0099999, 0.7000001}},
		{-0.3, 0.1, []float64{float64(float32(-0.3)), float64(float32(0.1))}, []float64{-0.3000001, 0.1000001}},
		{123456.7, 1234567.8, []float64{float64(float32(123456.7)), float64(float32(1234567.8))}, []float64{123456.6, 1234568}},
		{0, 0.999999999, []float64{0.999999999, 0}, []float64{1}},
	} {
		g := newGraph(t, 2)
		g.reveal("out", g.input("x", "p0", "real", c.lo, c.hi, 1))
		// the frontends say what a declared range admits; a graph is taken as it stands
		lo, hi := ir.Admitting(c.lo, c.hi)
		g.m.Main().Inputs()[0].Attrs = g.m.Main().Inputs()[0].Attrs.With(ir.F("lo", lo)).With(ir.F("hi", hi))
		comp, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
		if err != nil {
			t.Fatal(err)
		}
		port := comp.Plan.Manifest.Inputs[0]
		for _, x := range c.in {
			if _, err := smpcc.Bind(port, ir.Reals(ir.Shape{1}, x)); err != nil {
				t.Errorf("%g..%g refuses %v: %v", c.lo, c.hi, x, err)
			}
		}
		for _, x := range c.out {
			_, err := smpcc.Bind(port, ir.Reals(ir.Shape{1}, x))
			if err == nil {
				t.Errorf("%g..%g takes %v", c.lo, c.hi, x)
			} else if s := err.Error(); strings.Contains(s, "99999977") || strings.Contains(s, "000001") && c.hi == 0.1 {
				t.Errorf("%g..%g is written as %v", c.lo, c.hi, err)
			}
		}
	}
}
