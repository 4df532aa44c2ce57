package bench

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/exact"
)

// A floatModel is a classifier of the kinds that people run, which is compared with itself in float64.
type floatModel struct {
	Model
	runs    int  // inputs that are run under secure execution
	nightly bool // too large for every day
}

// floatModels are small ones of each kind, and those of the suite that stand for their kind.
func floatModels() []floatModel {
	out := []floatModel{
		{Model{"nanogpt", "2 layers of 4 heads, 64 wide, 16 tokens, all weights of deviation 0.02", 1, nil, (*graph).nanogpt}, 4, false},
		{Model{"small-vit", "16x16 images in patches of 4, 2 layers of 3 heads, 48 wide", 1, nil, (*graph).vit}, 4, false},
		{Model{"lstm", "8 steps of 8 features, 16 cells, 4 classes", 1, nil, (*graph).lstm}, 8, false},
		{Model{"small-bert-layer", "8 tokens, 4 heads of 16", 1, nil, func(g *graph) *ir.Value { return g.encoder(8, 64, 4, 256) }}, 4, false},
	}
	for _, name := range []string{"resnet18", "mobilenet", "bert-layer"} {
		m, err := ModelOf(name, 0)
		if err != nil {
			ir.Bug("%v", err)
		}
		out = append(out, floatModel{m, 1, true})
	}
	return out
}

// TestBesideFloat runs classifiers under secure execution on inputs that they were not calibrated on. Every logit must be within the tolerance of its
// value in float64, which a meaning of its own computes (package exact), and the largest logit of a row be the same one, unless the two largest lie
// within what both may be off by. The large models run under SMPCC_NIGHTLY=1. -v prints the table.
func TestBesideFloat(t *testing.T) {
	for _, m := range floatModels() {
		t.Run(m.Name, func(t *testing.T) {
			if m.nightly && os.Getenv("SMPCC_NIGHTLY") == "" {
				t.Skip("large: SMPCC_NIGHTLY=1 runs it")
			}
			t.Parallel()
			besideFloat(t, m)
		})
	}
}

// besideFloat runs one model.
func besideFloat(t *testing.T, m floatModel) {
	ctx := context.Background()
	p, err := Prepare(m.Model, "memory")
	if err != nil {
		t.Fatal(err)
	}
	runner, err := p.setup(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(7, 7))
	rows, agree, most, worst := 0, 0, 0.0, 0.0
	for range m.runs {
		p.Data = drawn(p.Comp.Graph.Main(), r)
		if err := p.Bind(); err != nil {
			t.Fatal(err)
		}
		want, err := exact.Run(p.Comp.Graph, p.Data)
		if err != nil {
			t.Fatal(err)
		}
		res, err := runner.Run(ctx, p.Inputs)
		if err != nil {
			t.Fatal(err)
		}
		got, y := smpcc.Read(p.Plan.Manifest.Outputs[0], res.Outputs[1]["out"]), want["out"]
		classes := got.Shape[len(got.Shape)-1]
		for at := 0; at < got.Len(); at += classes {
			a, b := make([]float64, classes), make([]float64, classes)
			for i := range classes {
				a[i], b[i] = got.At(at+i), y.At(at+i)
				off := math.Abs(a[i] - b[i])
				most, worst = max(most, off), max(worst, off/(1e-3+1e-3*math.Abs(b[i])))
			}
			rows++
			i, j := largest(a), largest(b)
			switch margin := b[j] - b[i]; {
			case i == j:
				agree++
			case margin > 2e-3+1e-3*(math.Abs(b[i])+math.Abs(b[j])):
				t.Errorf("the largest logit is number %d, in float64 number %d, by %g", i, j, margin)
			}
		}
	}
	if worst > 1 {
		t.Errorf("off by %g, %g of the tolerance", most, worst)
	}
	on := p.Plan.Cost().Phases[plan.Online]
	t.Logf("| %s | %.2g | %.2f | %d of %d | %d | %.3f | %d |", m.Name, most, worst, agree, rows, on.Rounds, float64(slices.Max(on.Sent))/1e6, p.Comp.Numbers.FracBits)
}

// largest returns the index of the largest number.
func largest(x []float64) int {
	at := 0
	for i := range x {
		if x[i] > x[at] {
			at = i
		}
	}
	return at
}

// plain is a product with a matrix whose elements have deviation 0.02, and a bias of the same.
func (g *graph) plain(x *ir.Value, out int) *ir.Value {
	s := x.Type.Shape
	return g.add(g.e(ir.OpMatMul, nil, x, g.weight(0.02, s[len(s)-1], out)), g.weight(0.02, out))
}

// nanogpt is a decoder as it is initialised: embeddings and matrices of deviation 0.02, so that layers normalise small numbers.
func (g *graph) nanogpt() *ir.Value {
	const tokens, width, heads, vocabulary = 16, 64, 4, 65
	past := ir.NewTensor(ir.Real, ir.Shape{1, tokens, tokens})
	for i := range tokens {
		for j := i + 1; j < tokens; j++ {
			past.F[i*tokens+j] = -30
		}
	}
	x := g.input(-0.06, 0.06, tokens, width)
	for range 2 {
		x = g.add(x, g.attend(g.norm(x), heads, past, g.plain))
		x = g.add(x, g.plain(g.e(ir.OpGelu, nil, g.plain(g.norm(x), 4*width)), width))
	}
	return g.plain(g.norm(x), vocabulary)
}

// vit is a vision transformer.
func (g *graph) vit() *ir.Value {
	const patch, width, heads = 4, 48, 3
	y := g.e(ir.OpConv, ir.Attrs{ir.Dims("strides", []int{patch, patch})}, g.input(-2, 2, 1, 3, 16, 16), g.weight(math.Sqrt(1.0/(3*patch*patch)), width, 3, patch, patch))
	tokens := y.Type.Shape[2] * y.Type.Shape[3]
	x := g.e(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, g.reshape(y, width, tokens))
	x = g.add(x, g.weight(0.5, tokens, width))
	for range 2 {
		x = g.add(x, g.attend(g.norm(x), heads, nil, g.dense))
		x = g.add(x, g.dense(g.e(ir.OpGelu, nil, g.dense(g.norm(x), 4*width)), width))
	}
	x = g.e(ir.OpReduceMean, ir.Attrs{ir.Is("axes", 0), ir.I("keep", 1)}, g.norm(x))
	return g.dense(x, 10)
}

// lstm reads a sequence step by step and classifies it by its last state (Hochreiter and Schmidhuber 1997, with a forget gate).
func (g *graph) lstm() *ir.Value {
	const steps, features, cells, classes = 8, 8, 16, 4
	x := g.input(-2, 2, steps, features)
	wx, wh, bias := g.weight(0.3, features, 4*cells), g.weight(0.3, cells, 4*cells), g.weight(0.1, 4*cells)
	part := func(v *ir.Value, k int) *ir.Value {
		return g.e(ir.OpSlice, ir.Attrs{ir.Dims("starts", []int{0, k * cells}), ir.Dims("ends", []int{1, (k + 1) * cells}), ir.Dims("steps", []int{1, 1})}, v)
	}
	var h, c *ir.Value
	for t := range steps {
		in := g.e(ir.OpSlice, ir.Attrs{ir.Dims("starts", []int{t, 0}), ir.Dims("ends", []int{t + 1, features}), ir.Dims("steps", []int{1, 1})}, x)
		gates := g.add(g.e(ir.OpMatMul, nil, in, wx), bias)
		if h != nil {
			gates = g.add(gates, g.e(ir.OpMatMul, nil, h, wh))
		}
		gate := func(k int) *ir.Value { return g.e(ir.OpSigmoid, nil, part(gates, k)) }
		next := g.e(ir.OpMul, nil, gate(0), g.e(ir.OpTanh, nil, part(gates, 1)))
		if c != nil {
			next = g.add(next, g.e(ir.OpMul, nil, gate(2), c))
		}
		c = next
		h = g.e(ir.OpMul, nil, gate(3), g.e(ir.OpTanh, nil, c))
	}
	return g.dense(h, classes)
}
