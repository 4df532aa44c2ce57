package passes

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc/frontend/dsl"
	"smpcc/ir"
	"smpcc/ir/policy"
)

// programs that are linear, polynomial or piecewise linear, of declared ranges, and what is known of their output.
var provedPrograms = []struct {
	name, body string
	want       State
}{
	{"a linear model", "input x: real[30] from a in -4..4\nweight w: real[30] from b\nweight c: real from b\nreveal x @ w + c to a as y", Proved},
	{"a linear model on raw columns", "input x: real[2] from a in 0..100000\nweight w: real[2] from b\nreveal x @ (w / 100000) to a as y", Proved},
	{"a mean", "input x: real[1000] from a in 0..10\nreveal mean(x) to b as y", Proved},
	{"a dot product", "input x: real[30] from a in -1..1\ninput z: real[30] from b in -1..1\nreveal x @ z to a, b as y", Proved},
	{"a variance", "input x: real[20] from a in 0..1\nlet d = x - mean(x)\nreveal mean(d * d) to b as y", Proved},
	{"a polynomial", "input x: real[4] from a in -1..1\nreveal ((0.25 * x + 1.5) * x - 0.7) * x + 0.1 to b as y", Proved},
	{"a piecewise linear function", "input x: real[4] from a in -5..5\nreveal maximum(minimum(x, 1), -1) + abs(x) to b as y", Proved},
	{"a net of two layers", "input x: real[1,8] from a in -1..1\nweight u: real[8,6] from b\nweight v: real[6,2] from b\nreveal relu(x @ u) @ v to a as y", Proved},
	{"a selection by an integer", "input k: int from a in 0..9\ninput x: real from a in 0..1\nreveal where(k > 4, x, 2 * x) to b as y", Proved},
	{"a selection by a real", "input x: real from a in 0..1\nreveal where(x > 0.3, 3, 0.5 * x) to b as y", Measured},
}

// compileProgram parses a program of parties a and b and chooses its formats; weights are drawn.
func compileProgram(t *testing.T, body string, parties int) (graph, m *ir.Module, n *Numbers) {
	t.Helper()
	names := []string{"a", "b", "c", "e", "f"}[:parties]
	m, err := dsl.Parse("t.smp", []byte("parties "+strings.Join(names, ", ")+"\n"+body+"\n"), dsl.Options{})
	if err != nil {
		t.Fatal(err)
	}
	m.Weights = map[string]*ir.Tensor{}
	r := rand.New(rand.NewPCG(5, 6))
	for _, v := range m.Main().Body {
		if v.Op == ir.OpWeight {
			w := ir.NewTensor(ir.Real, v.Type.Shape)
			for i := range w.F {
				w.F[i] = r.NormFloat64() / 3
			}
			m.Weights[v.Attrs.Str("name")] = w
		}
	}
	graph = m.Clone()
	var rules []policy.Rule
	for _, v := range m.Main().Reveals() {
		rules = append(rules, policy.Rule{Output: v.Attrs.Str("name"), To: v.Attrs.Strings("to")})
	}
	if n, err = Run(m, &Options{FracBits: 16, Default: policy.New("", rules...)}); err != nil {
		t.Fatal(err)
	}
	return graph, m, n
}

// functionGraphs are graphs with functions, and whether their output is proved for two parties within 2e-3.
var functionGraphs = []struct {
	name string
	draw func(g *grapher) *ir.Value
	want State
}{
	{"quotient", func(g *grapher) *ir.Value { return g.E(ir.OpDiv, nil, g.input("n", -10, 10), g.input("x", 0.5, 100)) }, Proved},
	{"quotient of negative numbers", func(g *grapher) *ir.Value { return g.E(ir.OpDiv, nil, g.input("n", -1, 10), g.input("x", -8, -2)) }, Proved},
	{"quotient that may be infinite", func(g *grapher) *ir.Value {
		x := g.input("x", 0, 1)
		return g.E(ir.OpDiv, nil, x, g.E(ir.OpSub, nil, g.input("y", 1, 2), x))
	}, Measured},
	{"constant by a number", func(g *grapher) *ir.Value {
		return g.E(ir.OpDiv, nil, g.Const(ir.Reals(ir.Shape{}, 3)), g.input("x", 1, 1000))
	}, Proved},
	{"shares of a sum", func(g *grapher) *ir.Value {
		x := g.input("x", 0, 1)
		return g.E(ir.OpDiv, nil, x, g.E(ir.OpAdd, nil, g.along(ir.OpReduceSum, x), g.Const(ir.Reals(ir.Shape{}, 0.25))))
	}, Proved},
	{"softmax", func(g *grapher) *ir.Value { return g.E(ir.OpSoftmax, ir.Attrs{ir.I("axis", 1)}, g.input("x", -2, 2)) }, Proved},
	{"root mean square", func(g *grapher) *ir.Value {
		x := g.input("x", -1, 1)
		return g.E(ir.OpSqrt, nil, g.E(ir.OpAdd, nil, g.along(ir.OpReduceMean, g.E(ir.OpMul, nil, x, x)), g.Const(ir.Reals(ir.Shape{}, 0.1))))
	}, Proved},
	{"root of what may be zero", func(g *grapher) *ir.Value { return g.E(ir.OpSqrt, nil, g.input("x", 0, 1)) }, Measured},
	{"normalisation", func(g *grapher) *ir.Value {
		x := g.input("x", -1, 1)
		d := g.E(ir.OpSub, nil, x, g.along(ir.OpReduceMean, x))
		v := g.E(ir.OpAdd, nil, g.along(ir.OpReduceMean, g.E(ir.OpMul, nil, d, d)), g.Const(ir.Reals(ir.Shape{}, 0.5)))
		return g.E(ir.OpMul, nil, d, g.E(ir.OpRsqrt, nil, v))
	}, Proved},
	{"a function of another", func(g *grapher) *ir.Value {
		return g.E(ir.OpTanh, nil, g.E(ir.OpSigmoid, nil, g.E(ir.OpMul, nil, g.input("x", -2, 2), g.Const(ir.Reals(ir.Shape{}, 1.7)))))
	}, Proved},
	{"a net with gelu", func(g *grapher) *ir.Value {
		return g.E(ir.OpMatMul, nil, g.E(ir.OpGelu, nil, g.E(ir.OpMatMul, nil, g.input("x", -1, 1), g.Const(ir.Reals(ir.Shape{3, 3}, 0.5, -0.3, 0.1, 0.7, 0.2, -0.6, 0.4, 0.9, -0.2)))), g.Const(ir.Reals(ir.Shape{3, 1}, 0.5, -0.25, 0.3)))
	}, Proved},
	{"a rounded number", func(g *grapher) *ir.Value { return g.E(ir.OpFloor, nil, g.input("x", -2, 2)) }, Measured},
	{"a logarithm of an exponential", func(g *grapher) *ir.Value {
		return g.E(ir.OpLog, nil, g.E(ir.OpAdd, nil, g.E(ir.OpExp, nil, g.input("x", -2, 2)), g.Const(ir.Reals(ir.Shape{}, 1))))
	}, Proved},
}

// along reduces the last dimension.
func (g *grapher) along(op ir.Op, x *ir.Value) *ir.Value {
	return g.E(op, ir.Attrs{ir.Is("axes", 1), ir.I("keep", 1)}, x)
}

// TestFunctionsAreProved compiles graphs with functions for 2, 3 and 5 parties; runs with the worst roundings stay below the bounds.
func TestFunctionsAreProved(t *testing.T) {
	for _, c := range functionGraphs {
		for _, parties := range []int{2, 3, 5} {
			g := newGrapher(7)
			graph, m, n, err := g.compile(c.draw(g), parties, &Options{FracBits: 16, Tolerance: Tolerance{2e-3, 2e-3}})
			if err != nil {
				if c.want == Proved {
					t.Errorf("%s of %d parties: %v", c.name, parties, err)
				}
				continue
			}
			o := n.Outputs[0]
			if parties == 2 && o.State != c.want {
				t.Errorf("%s: %s, want %s: %s", c.name, o.State, c.want, o.Why)
			}
			if b := n.proof.bounds()["out"]; b.why == "" {
				t.Logf("%s of %d parties: %s, the bound takes %.2g of the tolerance, the worst run %.2g of the bound", c.name, parties, o.State, b.part(o.Tolerance), worstRun(t, graph, m, n, 60))
			}
		}
	}
}

// TestWhatIsProved compiles programs for 2, 3 and 5 parties. Runs with the worst roundings stay below the bounds, and it says how far.
func TestWhatIsProved(t *testing.T) {
	for _, c := range provedPrograms {
		for _, parties := range []int{2, 3, 5} {
			t.Run(fmt.Sprintf("%s of %d parties", c.name, parties), func(t *testing.T) {
				graph, m, n := compileProgram(t, c.body, parties)
				o := n.Outputs[0]
				if o.State != c.want {
					t.Fatalf("%s, want %s: %s", o.State, c.want, o.Why)
				}
				if o.State == Proved {
					worst := worstRun(t, graph, m, n, 200)
					t.Logf("the bound takes %.2g of the tolerance, the worst run %.2g of the bound", o.Used, worst)
				}
			})
		}
	}
}
