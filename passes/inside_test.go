package passes

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc/frontend/dsl"
	"smpcc/ir"
	"smpcc/ir/policy"
)

// programs whose exact result is near zero, or steep, at a place inside the range that a constant decides; at is that place, within how much inputs lie
// around it, and want is exact.
var insides = []struct {
	name, body string
	at, around float64
	want       func(x float64) float64
	refused    bool
}{
	{"a difference that is enlarged", "reveal (x - 400.0) * 50.0 to b as z", 400, 0.02, func(x float64) float64 { return (x - 400) * 50 }, false},
	{"a difference that is enlarged much", "reveal (x - 400.0) * 1000.0 to b as z", 400, 1e-3, func(x float64) float64 { return (x - 400) * 1000 }, false},
	{"a difference by a small number", "reveal (x - 300.0) / 0.1 to b as z", 300, 0.1, func(x float64) float64 { return (x - 300) / 0.1 }, false},
	{"a difference by another small number", "reveal (x - 400.0) / 0.02 to b as z", 400, 0.02, func(x float64) float64 { return (x - 400) / 0.02 }, false},
	{"a ratio less one", "reveal (x / 300.0 - 1.0) * 10000.0 to b as z", 300, 0.03, func(x float64) float64 { return (x - 300) / 300 * 10000 }, false},
	{"a square less a constant", "reveal x * x - 90000.0 to b as z", 300, 1e-3, func(x float64) float64 { return (x - 300) * (x + 300) }, false},
	{"a steep sigmoid that is weighted", "reveal sigmoid((x - 400.0) * 50.0) * x to b as z", 400, 0.1, func(x float64) float64 { return x / (1 + math.Exp(-(x-400)*50)) }, true},
}

// graphs with functions that the language has not, [2,3].
var insideGraphs = []struct {
	name       string
	lo, hi     float64
	draw       func(g *grapher, x *ir.Value) *ir.Value
	at, around float64
	want       func(x float64) float64
}{
	{"a root less a constant", 0, 1000, func(g *grapher, x *ir.Value) *ir.Value {
		return g.E(ir.OpMul, nil, g.E(ir.OpSub, nil, g.E(ir.OpSqrt, nil, x), g.real(20)), g.real(1000))
	}, 400, 0.05, func(x float64) float64 { return (x - 400) / (math.Sqrt(x) + 20) * 1000 }},
	{"a logarithm of a ratio", 1, 1000, func(g *grapher, x *ir.Value) *ir.Value {
		return g.E(ir.OpMul, nil, g.E(ir.OpLog, nil, g.E(ir.OpDiv, nil, x, g.real(300))), g.real(1000))
	}, 300, 0.3, func(x float64) float64 { return math.Log1p((x-300)/300) * 1000 }},
	{"a reciprocal less a constant", 1, 1000, func(g *grapher, x *ir.Value) *ir.Value {
		return g.E(ir.OpMul, nil, g.E(ir.OpSub, nil, g.E(ir.OpDiv, nil, g.real(1), x), g.real(0.0025)), g.real(1e5))
	}, 400, 1, func(x float64) float64 { return (1/x - 0.0025) * 1e5 }},
	{"an exponential less a constant", -8, 8, func(g *grapher, x *ir.Value) *ir.Value {
		return g.E(ir.OpMul, nil, g.E(ir.OpSub, nil, g.E(ir.OpExp, nil, x), g.real(20.085537)), g.real(100))
	}, 3, 1e-3, func(x float64) float64 { return (math.Exp(x) - 20.085537) * 100 }},
	{"a sigmoid less a constant", -10, 10, func(g *grapher, x *ir.Value) *ir.Value {
		return g.E(ir.OpMul, nil, g.E(ir.OpSub, nil, g.E(ir.OpSigmoid, nil, x), g.real(0.75)), g.real(1000))
	}, math.Log(3), 0.005, func(x float64) float64 { return (1/(1+math.Exp(-x)) - 0.75) * 1000 }},
	{"an exponential of a square around a constant", 0, 1000, func(g *grapher, x *ir.Value) *ir.Value {
		d := g.E(ir.OpSub, nil, g.E(ir.OpMul, nil, x, g.real(math.Sqrt(5))), g.real(417.3*math.Sqrt(5)))
		return g.E(ir.OpMul, nil, g.E(ir.OpExp, nil, g.E(ir.OpNeg, nil, g.E(ir.OpMul, nil, d, d))), g.real(10))
	}, 417.3, 0.5, func(x float64) float64 { return 10 * math.Exp(-5*(x-417.3)*(x-417.3)) }},
	{"an expanded square around a constant", 0, 1000, func(g *grapher, x *ir.Value) *ir.Value {
		d := g.E(ir.OpAdd, nil, g.E(ir.OpSub, nil, g.E(ir.OpMul, nil, x, x), g.E(ir.OpMul, nil, x, g.real(834.6))), g.real(417.3*417.3))
		return g.E(ir.OpExp, nil, g.E(ir.OpNeg, nil, d))
	}, 417.3, 0.5, func(x float64) float64 { return math.Exp(-(x - 417.3) * (x - 417.3)) }},
}

// TestPlacesInsideRanges: near such a place a program is right, or it is refused.
func TestPlacesInsideRanges(t *testing.T) {
	for _, c := range insides {
		t.Run(c.name, func(t *testing.T) {
			for _, size := range []string{"1", "100"} {
				m, err := dsl.Parse("t.smp", []byte("parties a, b\ninput x: real["+size+"] from a in 0..1000\n"+c.body+"\n"), dsl.Options{})
				if err != nil {
					t.Fatal(err)
				}
				n, err := Run(m, &Options{FracBits: 16, Default: policy.New("", policy.Rule{Output: "z", To: []string{"b"}})})
				if err != nil {
					if !c.refused || !strings.Contains(err.Error(), "would not keep its tolerance") {
						t.Errorf("refused: %v", err)
					}
					continue
				}
				near(t, m, n, c.at, c.around, c.want)
			}
		})
	}
	for _, c := range insideGraphs {
		t.Run(c.name, func(t *testing.T) {
			g := newGrapher(1)
			_, m, n, err := g.compile(c.draw(g, g.input("x", c.lo, c.hi)), 2, &Options{FracBits: 16})
			if err != nil {
				if !strings.Contains(err.Error(), "would not keep its tolerance") {
					t.Error(err)
				}
				return
			}
			near(t, m, n, c.at, c.around, c.want)
		})
	}
}

// near runs a module of one input x and one output on inputs around a place.
func near(t *testing.T, m *ir.Module, n *Numbers, at, around float64, want func(x float64) float64) {
	t.Helper()
	o, r := n.Outputs[0], rand.New(rand.NewPCG(3, 4))
	shape := m.Main().Inputs()[0].Type.Shape
	worst, place := 0.0, 0.0
	for range 6000 / shape.Size() {
		x := ir.NewTensor(ir.Real, shape)
		for i := range x.F {
			x.F[i] = at + around*r.NormFloat64()
		}
		got, err := ir.Results(m.Main(), ir.Env{Inputs: map[string]*ir.Tensor{"x": x}, Check: true, Dither: r.Uint64, Parties: 2})
		if err != nil {
			t.Fatal(err)
		}
		for i := range got[o.Name].Len() {
			if u := o.used(math.Ldexp(got[o.Name].At(i), -o.Frac), want(x.F[i])); u > worst {
				worst, place = u, x.F[i]
			}
		}
	}
	if worst > 1 {
		t.Errorf("%v: %s (at most %.3g), but %.3g of the tolerance at %v", shape, o.State, o.Used, worst, place)
	} else {
		t.Logf("%v: %s (at most %.3g), %.3g met, %d fraction bits", shape, o.State, o.Used, worst, n.FracBits)
	}
}
