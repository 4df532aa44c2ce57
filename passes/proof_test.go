package passes

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc/ir"
	"smpcc/ir/exact"
	"smpcc/ir/policy"
)

// A grapher draws small graphs of what has a bound.
type grapher struct {
	ir.Builder
	r       *rand.Rand
	weights map[string]*ir.Tensor
	reals   []*ir.Value // all of one shape, [2,3]
}

var graphShape = ir.Shape{2, 3}

// number draws one with few bits or with many, of any size.
func (g *grapher) number() float64 {
	x := math.Ldexp(g.r.Float64()*2-1, g.r.IntN(7)-3)
	switch g.r.IntN(3) {
	case 0:
		return roundTo(x, 3)
	case 1:
		return roundTo(x, 0)
	}
	return x
}

func (g *grapher) numbers(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = g.number()
	}
	return out
}

func (g *grapher) input(name string, lo, hi float64) *ir.Value {
	return g.E(ir.OpInput, ir.Attrs{ir.S("name", name), ir.S("owner", "p1"), ir.S("elem", "real"), ir.Dims("shape", graphShape), ir.F("lo", lo), ir.F("hi", hi)})
}

func (g *grapher) weight(s ir.Shape) *ir.Value {
	name := fmt.Sprintf("w%d", len(g.weights))
	g.weights[name] = ir.Reals(s, g.numbers(s.Size())...)
	return g.E(ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Dims("shape", s)})
}

func (g *grapher) pick() *ir.Value {
	if g.r.IntN(3) > 0 {
		return g.reals[len(g.reals)-1]
	}
	return g.reals[g.r.IntN(len(g.reals))]
}

// add appends a value that was drawn.
func (g *grapher) add() {
	x, y := g.pick(), g.pick()
	var v *ir.Value
	switch g.r.IntN(16) {
	case 0:
		v = g.E(ir.OpAdd, nil, x, y)
	case 1:
		v = g.E(ir.OpSub, nil, x, y)
	case 2:
		v = g.E(ir.OpMul, nil, x, y)
	case 3:
		v = g.E(ir.OpMul, nil, x, x)
	case 4:
		v = g.E(ir.OpMul, nil, x, g.Const(ir.Reals(ir.Shape{3}, g.numbers(3)...)))
	case 5:
		v = g.E(ir.OpAdd, nil, x, g.Const(ir.Reals(ir.Shape{}, g.number())))
	case 6:
		v = g.E(ir.OpAdd, nil, g.E(ir.OpMatMul, nil, x, g.weight(ir.Shape{3, 3})), g.weight(ir.Shape{3}))
	case 7:
		v = g.E(ir.OpRelu, nil, x)
	case 8:
		v = g.E(ir.OpMax, nil, x, y)
	case 9:
		v = g.E(ir.OpAbs, nil, x)
	case 10:
		v = g.E(ir.OpClip, ir.Attrs{ir.F("lo", -1), ir.F("hi", 1.5)}, x)
	case 11:
		v = g.E(ir.OpSub, nil, x, g.E(ir.OpReduceMean, ir.Attrs{ir.Is("axes", 1), ir.I("keep", 1)}, x))
	case 12:
		v = g.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", graphShape)}, g.E(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, x))
	case 13:
		v = g.E(ir.OpMatMul, nil, g.E(ir.OpMatMul, nil, x, g.E(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, y)), x)
	case 14:
		v = g.E(ir.OpLeaky, ir.Attrs{ir.F("alpha", 0.1)}, x)
	default:
		v = g.E(ir.OpSelect, nil, g.E(ir.OpLt, nil, x, g.Const(ir.Reals(ir.Shape{}, g.number()))), x, y)
	}
	g.reals = append(g.reals, v)
}

// compiledGraph draws a graph and chooses its formats; nil if it is refused.
func compiledGraph(t *testing.T, seed uint64, parties int) (graph, m *ir.Module, n *Numbers) {
	t.Helper()
	g := newGrapher(seed)
	r := g.r
	lo := math.Ldexp(-r.Float64(), r.IntN(6)-2)
	g.reals = []*ir.Value{g.input("x", lo, lo+math.Ldexp(1, r.IntN(6)-2)), g.input("y", 0, 1)}
	for range 1 + r.IntN(6) {
		g.add()
	}
	opt := &Options{FracBits: 4 + r.IntN(13), Tolerance: Tolerance{Atol: 1e9}, RevealBits: 1 + r.IntN(14)}
	graph, m, n, err := g.compile(g.reals[len(g.reals)-1], parties, opt)
	if err != nil && strings.Contains(err.Error(), "please report") {
		t.Fatal(err)
	}
	if err != nil {
		return nil, nil, nil
	}
	return graph, m, n
}

func newGrapher(seed uint64) *grapher {
	return &grapher{Builder: ir.Builder{F: ir.NewFunc("main"), At: &ir.Value{}}, r: rand.New(rand.NewPCG(seed, 1)), weights: map[string]*ir.Tensor{}}
}

// compile chooses formats for a graph with one output.
func (g *grapher) compile(out *ir.Value, parties int, opt *Options) (graph, m *ir.Module, n *Numbers, err error) {
	g.E(ir.OpReveal, ir.Attrs{ir.S("name", "out"), ir.Ss("to", "p1")}, out)
	m = &ir.Module{Name: "t", Dealer: "d", Funcs: []*ir.Func{g.F}, Weights: g.weights}
	for i := range parties {
		m.Parties = append(m.Parties, fmt.Sprintf("p%d", i))
	}
	graph = m.Clone()
	opt.Default = policy.New("", policy.Rule{Output: "*", To: []string{"p1"}})
	n, err = Run(m, opt)
	return graph, m, n, err
}

// adversarial draws inputs: at an end, anywhere, or as far from a multiple of the format's unit as can be.
func adversarial(m *ir.Module, r *rand.Rand) map[string]*ir.Tensor {
	in := map[string]*ir.Tensor{}
	way := r.IntN(4)
	for _, v := range m.Main().Inputs() {
		t := ir.NewTensor(ir.Real, v.Type.Shape)
		if v.Attrs.Str("elem") == "int" {
			in[v.Attrs.Str("name")] = wholes(v, r)
			continue
		}
		for i := range t.F {
			x := v.Range.Lo + r.Float64()*(v.Range.Hi-v.Range.Lo)
			half := math.Ldexp(0.5, -v.Type.Scale)
			switch way {
			case 0:
				x = []float64{v.Range.Lo, v.Range.Hi, 0}[r.IntN(3)]
			case 1:
				x = roundTo(x, v.Type.Scale) + half
			case 2:
				x = math.Nextafter(roundTo(x, v.Type.Scale)+half, -64)
			}
			t.F[i] = min(max(x, v.Range.Lo), v.Range.Hi)
		}
		in[v.Attrs.Str("name")] = t
	}
	return in
}

// wholes draws integers of an input's range.
func wholes(v *ir.Value, r *rand.Rand) *ir.Tensor {
	t := ir.NewTensor(ir.Int, v.Type.Shape)
	for i := range t.I {
		t.I[i] = int64(v.Range.Lo) + r.Int64N(int64(v.Range.Hi-v.Range.Lo)+1)
	}
	return t
}

// words returns what truncations round by: never up, always up as far as they can, or by chance.
func words(r *rand.Rand) func() uint64 {
	switch r.IntN(3) {
	case 0:
		return func() uint64 { return 0 }
	case 1:
		return func() uint64 { return math.MaxUint64 }
	}
	return r.Uint64
}

// TestBoundsHold draws graphs and inputs, runs them in fixed point with the roundings of 2, 3 and 5 parties at their worst, and compares the errors with
// the bounds. Bounds are close enough that some error takes most of one.
func TestBoundsHold(t *testing.T) {
	graphs, bounded, closest := 0, 0, 0.0
	for seed := range uint64(600) {
		parties := []int{2, 3, 5}[seed%3]
		graph, m, n := compiledGraph(t, seed, parties)
		if graph == nil {
			continue
		}
		graphs++
		b := n.proof.bounds()["out"]
		if b.why != "" {
			continue
		}
		bounded++
		closest = max(closest, worstRun(t, graph, m, n, 40))
	}
	t.Logf("%d graphs, %d with a bound; the closest error took %.2g of its bound", graphs, bounded, closest)
	if graphs < 400 || bounded < graphs*9/10 || closest < 0.8 {
		t.Errorf("%d graphs, %d with a bound, closest error %.2g of its bound", graphs, bounded, closest)
	}
}

// worstRun runs a module in fixed point with the worst roundings, and returns the largest part that an error takes of its bound. No error exceeds it.
func worstRun(t *testing.T, graph, m *ir.Module, n *Numbers, runs int) (closest float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(runs), 7))
	bounds := n.proof.bounds()
	for range runs {
		in := adversarial(m, r)
		want, err := exact.Run(graph, in)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ir.Results(m.Main(), ir.Env{Inputs: in, Weights: m.Weights, Check: true, Dither: words(r), Parties: len(m.Parties)})
		if err != nil {
			t.Fatalf("what fits its bits: %v\n%v", err, graph)
		}
		for _, v := range m.Main().Reveals() {
			name := v.Attrs.Str("name")
			b := bounds[name]
			if want[name].Elem != ir.Real || b.why != "" {
				continue
			}
			for i := range b.len() {
				x, y := math.Ldexp(got[name].At(i), -v.Type.Scale), want[name].F[i]
				e, float := b.at(i), 1e-11*(1+math.Abs(y)) // of the reference
				if y < e.lo-float || y > e.hi+float {
					t.Fatalf("%g is outside %g..%g\n%v", y, e.lo, e.hi, graph)
				}
				off, most := math.Abs(x-y), e.abs+float64(e.rel*math.Abs(y))
				if off > most+float {
					t.Fatalf("%d parties: off by %g at %g, bound %g\n%v\n%v", len(m.Parties), off, y, most, graph, m)
				}
				if most > 0 {
					closest = max(closest, off/most)
				}
			}
		}
	}
	return closest
}
