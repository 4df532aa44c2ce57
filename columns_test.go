package smpcc_test

import (
	"context"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/runtime/local"
)

// dollars are columns of very different size: an income, an age, a rate and a flag.
var dollars = map[int][2]float64{0: {0, 2e6}, 1: {18, 120}, 2: {0, 0.1}, 3: {0, 1}}

// drawColumns draws rows within ranges: magnitudes log-uniform, every third row at the ends.
func drawColumns(r *rand.Rand, rows, k int, ranges map[int][2]float64) *ir.Tensor {
	x := ir.NewTensor(ir.Real, ir.Shape{rows, k})
	for i := range x.F {
		lo, hi := ranges[i%k][0], ranges[i%k][1]
		x.F[i] = max(lo, hi*math.Exp2(-20*r.Float64()))
		if (i/k)%3 == 2 {
			x.F[i] = []float64{lo, hi}[r.IntN(2)]
		}
	}
	return x
}

// TestLogisticOfColumns runs a logistic regression on raw columns and compares with the formula in float64, weights read from the model.
func TestLogisticOfColumns(t *testing.T) {
	for _, parties := range []int{2, 3} {
		c, run := compiled(t, "testdata/cases/logistic-raw-columns/model.onnx", smpcc.Options{Parties: parties, Columns: map[string]map[int][2]float64{"x": dollars}})
		w, b := c.Graph.Weights["w"], c.Graph.Weights["b"]
		p := c.Plan.Manifest.Inputs[0]
		if len(p.Columns) != 4 || p.Columns[0].Shift != 21 || p.Columns[2].Shift != -3 {
			t.Fatalf("columns enter as %+v", p.Columns)
		}
		r := rand.New(rand.NewPCG(uint64(parties), 5))
		for range 12 {
			x := drawColumns(r, 3, 4, dollars)
			got := secureOf(t, c.Plan, run, x)
			for row := range 3 {
				z := b.F[0]
				for k := range 4 {
					z += float64(x.F[4*row+k] * w.F[k])
				}
				if want := 1 / (1 + math.Exp(-z)); !(math.Abs(got.F[row]-want) <= 1e-3+1e-3*want) {
					t.Errorf("%d parties, row %v: %v, want %v", parties, x.F[4*row:4*row+4], got.F[row], want)
				}
			}
		}
	}
}

// TestComparedColumns: a table that is compared, and not only weighed, is not scaled, and is right; each column is held to its range.
func TestComparedColumns(t *testing.T) {
	g := newGraph(t, 2)
	x := g.e(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "p1"), ir.S("elem", "real"), ir.Dims("shape", ir.Shape{1, 4}),
		ir.Is("columns", 0, 1, 2, 3), ir.T("bounds", ir.Reals(ir.Shape{4, 2}, 0, 2e6, 18, 120, 0, 0.1, 0, 1))})
	threshold := []float64{52000.5, 64.5, 0.0125, 0.5}
	over := g.e(ir.OpLtz, nil, g.e(ir.OpSub, nil, g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{4}, threshold...))}), x))
	g.reveal("out", g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, over))
	c, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	run, err := local.New(context.Background(), c.Plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := c.Plan.Manifest.Inputs[0]
	for _, col := range p.Columns {
		if col.Shift != 0 {
			t.Fatalf("columns that are compared enter as %+v", p.Columns)
		}
	}
	near := []float64{0.01, 0.01, 1e-3, 0.01}
	for _, sign := range []float64{-1, 1} {
		v := ir.NewTensor(ir.Real, ir.Shape{1, 4})
		for k := range v.F {
			v.F[k] = threshold[k] + sign*near[k]
		}
		got := secureOf(t, c.Plan, run, v)
		for k := range v.F {
			if want := sign > 0; (got.I[k] == 1) != want {
				t.Errorf("%v > %v is %d", v.F[k], threshold[k], got.I[k])
			}
		}
	}
	beyond := ir.Reals(ir.Shape{1, 4}, 10, 121, 0, 0)
	if _, err := smpcc.Bind(p, beyond); err == nil || !strings.Contains(err.Error(), "column 1") || !strings.Contains(err.Error(), "--range x[:,1]=LO..HI") || strings.Contains(err.Error(), "121") {
		t.Errorf("an age of 121: %v", err)
	}
}

// secureOf runs a plan on x and returns its first output.
func secureOf(t *testing.T, p *plan.Plan, run *local.Runner, x *ir.Tensor) *ir.Tensor {
	t.Helper()
	words, err := smpcc.Bind(p.Manifest.Inputs[0], x)
	if err != nil {
		t.Fatal(err)
	}
	res, err := run.Run(context.Background(), [][]uint64{words})
	if err != nil {
		t.Fatal(err)
	}
	o := p.Manifest.Outputs[0]
	for _, out := range res.Outputs {
		if w := out[o.Name]; w != nil {
			return smpcc.Read(o, w)
		}
	}
	t.Fatal("nobody has the output")
	return nil
}
