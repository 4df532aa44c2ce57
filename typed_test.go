package smpcc_test

import (
	"testing"

	"smpcc"
	"smpcc/backend/plan/typed"
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
