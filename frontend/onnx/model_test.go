package onnx

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"smpcc/ir"
)

// TestModels evaluates trained models in the clear against the outputs that came with them.
func TestModels(t *testing.T) {
	for _, c := range []struct{ dir, in, out string }{{"../../examples/mnist", "input", "output"}, {"../../examples/credit", "input", "output"}} {
		for set := range 3 {
			t.Run(fmt.Sprintf("%s/%d", filepath.Base(c.dir), set), func(t *testing.T) {
				x, _, err := ReadTensor(fmt.Sprintf("%s/test_data_set_%d/input_0.pb", c.dir, set))
				if err != nil {
					t.Fatal(err)
				}
				want, _, err := ReadTensor(fmt.Sprintf("%s/test_data_set_%d/output_0.pb", c.dir, set))
				if err != nil {
					t.Fatal(err)
				}
				ins, err := Inputs(c.dir + "/model.onnx")
				if err != nil {
					t.Fatal(err)
				}
				outs, err := Outputs(c.dir + "/model.onnx")
				if err != nil {
					t.Fatal(err)
				}
				m, err := Load(c.dir+"/model.onnx", Options{Shapes: map[string]ir.Shape{ins[0].Name: x.Shape}})
				if err != nil {
					t.Fatal(err)
				}
				got, err := ir.Run(m, map[string]*ir.Tensor{ins[0].Name: x})
				if err != nil {
					t.Fatal(err)
				}
				y := got[outs[0].Name]
				if !y.Shape.Equal(want.Shape) {
					t.Fatalf("shape %v, want %v", y.Shape, want.Shape)
				}
				for i := range want.F {
					if math.Abs(y.F[i]-want.F[i]) > 1e-4 {
						t.Fatalf("element %d is %g, want %g", i, y.F[i], want.F[i])
					}
				}
			})
		}
	}
}
