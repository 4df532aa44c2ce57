package onnx

import (
	"fmt"
	"math"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// TestMasks checks that what exporters write for "does not count" is bounded where it ends in a softmax, in constants, in
// initialisers, and as the factor of a secret flag; and refused where it may be a number.
func TestMasks(t *testing.T) {
	for _, far := range []float64{-1e9, -math.MaxFloat32, math.Inf(-1)} {
		mask := reals(dims(3), 0, far, 0)
		for _, c := range []struct {
			name  string
			nodes []*pb.NodeProto
			w     *ir.Tensor
			bad   bool
		}{
			{"added constant", nodes(nd("Constant", "", "m", at("value", mask)), nd("Add", "x m", "s"), nd("Softmax", "s", "y")), nil, false},
			{"added initialiser", nodes(nd("Add", "x m", "s"), nd("Softmax", "s", "y")), mask, false},
			{"chosen", nodes(nd("Constant", "", "k", at("value", bools(dims(3), 0, 1, 0))), nd("Constant", "", "m", at("value", num(far))), nd("Where", "k m x", "s"), nd("Unsqueeze", "s a", "u"), nd("Softmax", "u", "v"), nd("Squeeze", "v a", "y")), list(0), false},
			{"factor of a flag", nodes(nd("Constant", "", "one", at("value", num(1))), nd("Constant", "", "m", at("value", num(far))), nd("Sub", "one k", "no"), nd("Mul", "no m", "f"), nd("Add", "x f", "s"), nd("Softmax", "s", "y")), nil, false},
			{"revealed", nodes(nd("Constant", "", "m", at("value", mask)), nd("Add", "x m", "y")), nil, true},
			{"divided", nodes(nd("Constant", "", "m", at("value", mask)), nd("Add", "x m", "s"), nd("Softmax", "s", "p"), nd("Sigmoid", "s", "q"), nd("Add", "p q", "y")), nil, true},
		} {
			if c.name == "factor of a flag" && math.IsInf(far, 0) { // 0 times infinity is no number there either
				continue
			}
			t.Run(fmt.Sprintf("%s %g", c.name, far), func(t *testing.T) {
				g := withInput(graph("y", c.nodes...))
				in := tensors{"x": row3}
				if c.name == "factor of a flag" {
					g.Input = append(g.Input, vi("k", ir.Real, 3))
					in["k"] = reals(dims(3), 1, 0, 1)
				}
				if c.w != nil {
					name := "m"
					if c.w.Elem == ir.Int {
						name = "a"
					}
					g = withInit(g, name, c.w)
				}
				m, err := LoadBytes("m.onnx", encode(t, modelOf(17, g)), Options{})
				if c.bad {
					if err != nil {
						t.Fatal(err)
					}
					for _, v := range m.Main().Body { // compiling refuses it
						if v.Op == ir.OpConst && v.Attrs.Tensor("data").F[1] != far {
							t.Errorf("the constant has become %v", v.Attrs.Tensor("data"))
						}
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				got, err := ir.Run(m, in)
				if err != nil {
					t.Fatal(err)
				}
				p := 1 / (1 + math.Exp(3))
				if err := near(got["y"], reals(dims(3), p, 0, 1-p), 1e-9); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
