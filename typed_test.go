package smpcc_test

import (
	"os"
	"testing"

	"smpcc"
	"smpcc/backend/plan/typed"
	"smpcc/bench"
	"smpcc/ir"
)

// TestTypedPlan: the typed plan of a model is what an auditor reads: one step for each protocol, and the bytes that are written are those that
// are read.
func TestTypedPlan(t *testing.T) {
	ofNumbers(t)
	for _, c := range []struct {
		path  string
		opt   smpcc.Options
		steps int // at most
	}{
		{"examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {-16, 16}}}, 60},
		{"examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}, Parties: 3}, 130},
		{"examples/auction/auction.smp", smpcc.Options{}, 100},
	} {
		p, err := smpcc.Compile(c.path, c.opt)
		if err != nil {
			t.Fatal(err)
		}
		again, err := typed.Decode(p.Plan.Encode())
		if err != nil {
			t.Fatal(err)
		}
		if n := len(again.Program.Steps); n > c.steps {
			t.Errorf("%s: %d steps, want at most %d", c.path, n, c.steps)
		}
		if again.Digest() != p.Plan.Digest() {
			t.Errorf("%s: another plan is read than was written", c.path)
		}
	}
}

// TestOutputsAreAtTheirFormat: whatever a real output is computed from, it is revealed in the fraction bits that its tolerance asks for and three more, and nothing of
// what functions are rounded by in their material is left: the type says so.
func TestOutputsAreAtTheirFormat(t *testing.T) {
	ofNumbers(t)
	const most = 13 // of 1e-3: 10, and three more
	done := map[ir.Op]bool{}
	for _, f := range bench.Functions() {
		if done[f.Op] {
			continue
		}
		done[f.Op] = true
		for k, build := range []func(g *graph, x, y *ir.Value) *ir.Value{
			func(g *graph, x, y *ir.Value) *ir.Value { return g.e(f.Op, nil, x) },
			func(g *graph, x, y *ir.Value) *ir.Value { // each element's rounding is in the sum
				return g.e(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 0)}, g.e(f.Op, nil, x))
			},
			func(g *graph, x, y *ir.Value) *ir.Value {
				return g.e(ir.OpMul, nil, g.e(f.Op, nil, x), g.e(f.Op, nil, y))
			},
			func(g *graph, x, y *ir.Value) *ir.Value { return g.e(ir.OpMul, nil, x, y) },
		} {
			for _, hi := range []float64{4, 16} {
				if os.Getenv("SMPCC_NIGHTLY") == "" && (k != len(done)%4 || hi > 4) {
					continue
				}
				if f.Op == ir.OpExp && hi > 4 && k > 0 { // beyond what formats hold
					continue
				}
				g := newGraph(t, 2)
				g.reveal("out", build(g, g.input("x", "p1", "real", 1, hi, 32), g.input("y", "p0", "real", 1, hi, 32)))
				c, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
				if err != nil {
					t.Errorf("%s in 1..%g, %d: %v", f.Op, hi, k, err)
					continue
				}
				again, err := typed.Decode(c.Plan.Encode())
				if err != nil {
					t.Fatal(err)
				}
				if out := c.Plan.Manifest.Outputs[0]; out.Scale > most || again.Revealed(0).Noise > 0 || out.Bits > out.Scale+44 {
					t.Errorf("%s in 1..%g, %d: %d bits, %d fraction bits, noise %d", f.Op, hi, k, out.Bits, out.Scale, again.Revealed(0).Noise)
				}
			}
		}
	}
}

// TestNoNoiseWhateverIsAsked: also where a pass is left out, and where more bits are to be revealed than there are without noise.
func TestNoNoiseWhateverIsAsked(t *testing.T) {
	ofNumbers(t)
	for _, opt := range []smpcc.Options{{Skip: []string{"sink"}}, {RevealBits: 40}, {Parties: 3}} {
		g := newGraph(t, max(2, opt.Parties))
		y := g.e(ir.OpSigmoid, nil, g.input("x", "p1", "real", -4, 4, 4))
		g.reveal("alone", y)
		g.reveal("out", g.e(ir.OpMul, nil, y, g.e(ir.OpTanh, nil, g.input("y", "p0", "real", -4, 4, 4))))
		c, err := smpcc.CompileModule(g.m, opt, true)
		if err != nil {
			t.Errorf("%+v: %v", opt, err)
			continue
		}
		again, err := typed.Decode(c.Plan.Encode())
		if err != nil {
			t.Fatal(err)
		}
		for i := range c.Plan.Manifest.Outputs {
			if n := again.Revealed(i).Noise; n > 0 {
				t.Errorf("%+v: noise of %d", opt, n)
			}
		}
	}
}
