package smpcc_test

import (
	"os"
	"testing"

	"smpcc"
	"smpcc/backend/plan/typed"
	"smpcc/bench"
	"smpcc/ir"
)

// TestSuiteNoise: what outputs of the bench suite's models reveal of rounded material is what is known of them, no more and no less.
func TestSuiteNoise(t *testing.T) {
	ofNumbers(t)
	names := []string{"lenet-1", "matmul-512", "relu-1m"}
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		names = append(names, "lenet-128", "squeezenet", "resnet18", "resnet50", "mobilenet", "bert-layer")
	}
	want := map[string]int{"bert-layer": 24} // all that there is: rounding in a softmax is followed through norms no further than by widths
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			b, err := bench.ModelOf(name, 0)
			if err != nil {
				t.Fatal(err)
			}
			m, inputs, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			p, err := smpcc.CompileModule(m, smpcc.Options{Samples: inputs}, true)
			if err != nil {
				t.Fatal(err)
			}
			for _, out := range p.Plan.Manifest.Outputs {
				if out.Noise != want[name] {
					t.Errorf("output %q has noise in %d of %d bits, want %d", out.Name, out.Noise, out.Bits, want[name])
				}
			}
		})
	}
}

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

// TestFunctionNoise: functions that are revealed as they are leave nothing of rounded material, but for exponentials whose results grow: squares of
// what was rounded, in more bits than it had.
func TestFunctionNoise(t *testing.T) {
	ofNumbers(t)
	done := map[ir.Op]bool{}
	for _, f := range bench.Functions() {
		if done[f.Op] {
			continue
		}
		done[f.Op] = true
		for _, hi := range []float64{4, 16} {
			g := newGraph(t, 2)
			g.reveal("out", g.e(f.Op, nil, g.input("x", "p1", "real", 1, hi, 4)))
			c, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			if f.Op == ir.OpExp && hi > 4 {
				want = 20
			}
			if out := c.Plan.Manifest.Outputs[0]; out.Noise != want {
				t.Errorf("%s in 1..%g: noise in %d of %d bits, want %d", f.Op, hi, out.Noise, out.Bits, want)
			}
		}
	}
}
