package smpcc_test

import (
	"testing"

	"smpcc"
)

func TestRecheckLeNet(t *testing.T) {
	c, err := smpcc.Compile("examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := smpcc.Recheck(c.Plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(c.Plan.Manifest.Recipe.Bounds), c.Plan.Manifest.Recipe.Text())
	for _, d := range r.Differs {
		t.Error(d)
	}
}
