package smpcc_test

import (
	"os"
	"path/filepath"
	"testing"

	"smpcc"
	"smpcc/ir"
	"smpcc/passes"
)

// TestSilentPolicy checks that a plan tells nothing of the weights of an owner whose policy keeps ranges and formats back: with
// other weights, much larger ones, it has the same bytes. With a policy that publishes ranges it differs.
func TestSilentPolicy(t *testing.T) {
	dir := t.TempDir()
	policy := func(name, lines string) string {
		file := filepath.Join(dir, "p0.yaml") // its name is in the plan
		if err := os.WriteFile(file, []byte("version: 1\nowner: p0\nallow:\n  - {output: "+name+", to: [p1]}\n"+lines), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	digest := func(path string, opt smpcc.Options, change func(m *ir.Module)) string {
		t.Helper()
		m, err := smpcc.Load(path, opt)
		if err != nil {
			t.Fatal(err)
		}
		change(m)
		c, err := smpcc.CompileModule(m, opt, false)
		if err != nil {
			t.Fatal(err)
		}
		return c.Plan.Digest()
	}
	same := func(*ir.Module) {}
	larger := func(m *ir.Module) {
		for n, w := range m.Weights {
			c := ir.NewTensor(w.Elem, w.Shape)
			for i, x := range w.F {
				c.F[i] = 1.25*x + 0.02
			}
			m.Weights[n] = c
		}
	}
	for _, path := range []string{"examples/credit/model.onnx", "examples/mnist/model.onnx"} {
		// How many fraction bits keep the tolerance is found by running with the weights, and published: the first will do for this one.
		opt := smpcc.Options{Tolerance: passes.Tolerance{Atol: 1e9, Rtol: 0.9}, RevealBits: 13, Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}, Policies: []string{policy("output", "")}}
		if digest(path, opt, same) != digest(path, opt, larger) {
			t.Errorf("%s: the plan depends on weights whose owner keeps ranges and formats back", path)
		}
		opt.Policies = []string{policy("output", "public: {ranges: true, formats: true}\n")}
		if digest(path, opt, same) == digest(path, opt, larger) {
			t.Errorf("%s: the plan does not depend on the weights at all; the test tests nothing", path)
		}
		sample := ir.NewTensor(ir.Real, ir.Shape{1, 30})
		if path == "examples/mnist/model.onnx" {
			sample = ir.NewTensor(ir.Real, ir.Shape{1, 1, 28, 28})
		}
		for i := range sample.F {
			sample.F[i] = float64(i%7) / 7
		}
		opt.Policies = []string{policy("output", "")}
		opt.Samples = []map[string]*ir.Tensor{{"input": sample}}
		if digest(path, opt, larger) != digest(path, opt, same) {
			t.Errorf("%s: samples tell of weights whose owner keeps ranges back", path)
		}
	}
}
