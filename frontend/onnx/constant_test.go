package onnx

import (
	"testing"

	"smpcc/ir"
)

// TestLargeConstantsAreWeights: reals in a Constant node are parameters of the graph while they are few, and somebody's weights beyond.
func TestLargeConstantsAreWeights(t *testing.T) {
	few, many := reals(dims(8), 1, 2, 3, 4, 5, 6, 7, 8), reals(dims(9), 1, 2, 3, 4, 5, 6, 7, 8, 9)
	for _, c := range []struct {
		data *ir.Tensor
		opt  Options
		want ir.Op
	}{{few, Options{}, ir.OpConst}, {many, Options{}, ir.OpWeight}, {many, Options{PublicWeights: true}, ir.OpConst}} {
		g := graph("y", nd("Constant", "", "c", at("value", c.data)), nd("Mul", "x c", "y"))
		g.Input = append(g.Input, tensorInfo("x", c.data))
		m, err := LoadBytes("constant.onnx", encode(t, modelOf(17, g)), c.opt)
		if err != nil {
			t.Fatal(err)
		}
		var got []ir.Op
		for _, v := range m.Main().Body {
			if v.Op == ir.OpConst || v.Op == ir.OpWeight {
				got = append(got, v.Op)
			}
		}
		if len(got) != 1 || got[0] != c.want {
			t.Errorf("%d reals with %+v become %v, want %s", c.data.Len(), c.opt, got, c.want)
		}
		if c.want == ir.OpWeight && m.Weights["c"] == nil {
			t.Errorf("weights are %v, want c", m.Weights)
		}
	}
}
