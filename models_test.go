package smpcc_test

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"smpcc"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/passes"
	"smpcc/runtime/local"
)

// TestExports compiles models as PyTorch and scikit-learn export them (testdata/models/export.py says how), runs them under secure
// execution and compares with what the original computed, on a LAN and on a wide area network, where small comparisons are by keys.
func TestExports(t *testing.T) {
	ofNumbers(t)
	dirs, err := filepath.Glob("testdata/models/*/model.onnx")
	if err != nil || len(dirs) < 4 {
		t.Fatalf("models are %v, %v", dirs, err)
	}
	for _, path := range dirs {
		dir := filepath.Dir(path)
		run := func(t *testing.T, net passes.Network) {
			read := func(kind string, ports []onnx.InputInfo, err error) map[string]*ir.Tensor {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				out := map[string]*ir.Tensor{}
				for i, p := range ports {
					if out[p.Name], _, err = onnx.ReadTensor(fmt.Sprintf("%s/test_data_set_0/%s_%d.pb", dir, kind, i)); err != nil {
						t.Fatal(err)
					}
				}
				return out
			}
			ins, err := onnx.Inputs(path)
			in := read("input", ins, err)
			outs, err := onnx.Outputs(path)
			want := read("output", outs, err)
			shapes := map[string]ir.Shape{}
			for name, x := range in {
				shapes[name] = x.Shape
			}
			ranges := map[string][2]float64{}
			for name, x := range in {
				if x.Elem == ir.Real {
					ranges[name] = [2]float64{-8, 8}
				}
			}
			c, runner := compiled(t, path, smpcc.Options{Shapes: shapes, Ranges: ranges, Net: net})
			var words [][]uint64
			for _, p := range c.Plan.Manifest.Inputs {
				x, err := smpcc.Bind(p, in[p.Name])
				if err != nil {
					t.Fatal(err)
				}
				words = append(words, x)
			}
			res, err := runner.Run(context.Background(), words)
			if err != nil {
				t.Fatal(err)
			}
			checkCost(t, c.Plan, res)
			worst := 0.0
			for _, p := range c.Plan.Manifest.Outputs {
				got := smpcc.Read(p, res.Outputs[1][p.Name])
				if !got.Shape.Equal(want[p.Name].Shape) {
					t.Fatalf("%s has shape %v, want %v", p.Name, got.Shape, want[p.Name].Shape)
				}
				for i := range want[p.Name].Len() {
					x, y := got.At(i), want[p.Name].At(i)
					worst = max(worst, math.Abs(x-y))
					if !(math.Abs(x-y) <= 2e-3) {
						t.Errorf("%s: element %d is %g, want %g", p.Name, i, x, y)
					}
				}
			}
			t.Logf("error %.2g, %d rounds, %d comparisons by choice", worst, res.Online.Rounds, len(c.Plan.Manifest.Choices))
		}
		t.Run(filepath.Base(dir)+"/lan", func(t *testing.T) { run(t, passes.Network{}) })
		t.Run(filepath.Base(dir)+"/wan", func(t *testing.T) { run(t, passes.Network{RTT: 0.04, Bandwidth: 1e8}) })
	}
}

// compiled compiles a model and sets it up, with its own weights.
func compiled(t *testing.T, path string, opt smpcc.Options) (*smpcc.Compilation, *local.Runner) {
	t.Helper()
	c, err := smpcc.Compile(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	runner, err := local.New(context.Background(), c.Plan, w)
	if err != nil {
		t.Fatal(err)
	}
	return c, runner
}
