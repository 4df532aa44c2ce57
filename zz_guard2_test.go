package smpcc_test

import (
	"context"
	"fmt"
	"testing"

	"smpcc"
	"smpcc/bench"
	"smpcc/ir"
	"smpcc/runtime/local"
)

func TestZZRun(t *testing.T) {
	b, _ := bench.ModelOf("lenet-1", 0)
	m, inputs, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	m.Main().Inputs()[0].Attrs = m.Main().Inputs()[0].Attrs.With(ir.F("lo", -1000)).With(ir.F("hi", 1000))
	c, err := smpcc.CompileModule(m, smpcc.Options{Samples: inputs}, true)
	if err != nil {
		t.Fatal(err)
	}
	p := c.Plan
	weights, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	run, err := local.New(context.Background(), p, weights)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []float64{1, 1, 2, 3, 4, 6, 8, 16, 100, 900} {
		in := inputs[0]["x0"]
		x := ir.NewTensor(ir.Real, in.Shape)
		for i := range x.F {
			x.F[i] = in.F[i] * k
		}
		w, err := smpcc.Bind(p.Manifest.Inputs[0], x)
		if err != nil {
			t.Fatal(err)
		}
		r, err := run.Run(context.Background(), [][]uint64{w})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(k, r.Outputs[1]["out is valid"], r.Outputs[1]["out"])
	}
}
