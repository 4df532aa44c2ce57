package engine_test

import (
	"math"
	"slices"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/text"
	"smpcc/passes"
	"smpcc/runtime/engine"
	"smpcc/runtime/local"
)

// productBits returns the bits wanted of the products of all roles of a plan.
func productBits(t *testing.T, p *plan.Plan) []int {
	t.Helper()
	var out []int
	for role := range p.Programs {
		e, err := engine.New(p, role)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.ProductBits()...)
	}
	return out
}

// run runs a session of a compiled module in memory and returns what party p1 receives as its first output.
func run(t *testing.T, c *smpcc.Compilation, inputs map[string]*ir.Tensor) *ir.Tensor {
	t.Helper()
	weights, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	r, err := local.New(t.Context(), c.Plan, weights)
	if err != nil {
		t.Fatal(err)
	}
	var words [][]uint64
	for _, port := range c.Plan.Manifest.Inputs {
		w, err := smpcc.Bind(port, inputs[port.Name])
		if err != nil {
			t.Fatal(err)
		}
		words = append(words, w)
	}
	res, err := r.Run(t.Context(), words)
	if err != nil {
		t.Fatal(err)
	}
	o := c.Plan.Manifest.Outputs[0]
	return smpcc.Read(o, res.Outputs[1][o.Name])
}

const integers = `module "integers" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p0" elem="int" shape=[13,37] lo=-500 hi=500 : private(p0) int[13,37]
    v1 = input name="y" owner="p1" elem="int" shape=[37,61] lo=-500 hi=500 : private(p1) int[37,61]
    v2 = matmul v0 v1 : secret{p0,p1} int[13,61]
    v3 = reveal v2 name="z" to=["p1"] : private(p1) int[13,61]
  }
}
`

// TestProductsOfFewBits: integers of a small range are multiplied with at most 32 bits of each product wanted, which is what the
// kernels of 32 bits are chosen by, by every role; the product is exact.
func TestProductsOfFewBits(t *testing.T) {
	m, err := text.Parse("integers.ir", []byte(integers))
	if err != nil {
		t.Fatal(err)
	}
	c, err := smpcc.CompileModule(m, smpcc.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	bits := productBits(t, c.Plan)
	if len(bits) == 0 || slices.Max(bits) > 32 {
		t.Errorf("products want %v bits, want at most 32 of each", bits)
	}
	x, y, want := ir.NewTensor(ir.Int, ir.Shape{13, 37}), ir.NewTensor(ir.Int, ir.Shape{37, 61}), make([]int64, 13*61)
	for i := range x.I {
		x.I[i] = int64(i*7919%1001) - 500
	}
	for i := range y.I {
		y.I[i] = int64(i*6271%1001) - 500
	}
	for i := range 13 {
		for j := range 61 {
			for p := range 37 {
				want[i*61+j] += x.I[i*37+p] * y.I[p*61+j]
			}
		}
	}
	if got := run(t, c, map[string]*ir.Tensor{"x": x, "y": y}); !slices.Equal(got.I, want) {
		t.Errorf("got %v, want %v", got.I, want)
	}
}

// TestModelOfFewBits: with 8 fraction bits convolutions and layers of a model want at most 32 bits, with 16 more; both give what
// the model gives in the clear.
func TestModelOfFewBits(t *testing.T) {
	const dir = "../../examples/mnist/"
	x, _, err := onnx.ReadTensor(dir + "test_data_set_0/input_0.pb")
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := onnx.ReadTensor(dir + "test_data_set_0/output_0.pb")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		frac   int
		few    bool
		within float64
	}{{8, true, 0.3}, {16, false, 0.01}} {
		c, err := smpcc.Compile(dir+"model.onnx", smpcc.Options{FracBits: f.frac, Tolerance: passes.Tolerance{Atol: 2 * f.within, Rtol: 2 * f.within}, RevealBits: 13, Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}})
		if err != nil {
			t.Fatal(err)
		}
		bits := productBits(t, c.Plan)
		if len(bits) < 8 || slices.Max(bits) <= 32 != f.few {
			t.Errorf("%d fraction bits: products want %v bits", f.frac, bits)
		}
		got, worst := run(t, c, map[string]*ir.Tensor{"input": x}), 0.0
		for i := range want.F {
			worst = max(worst, math.Abs(got.F[i]-want.F[i]))
		}
		t.Logf("%d fraction bits: products want %v bits, off by %.3g", f.frac, bits, worst)
		if worst > f.within {
			t.Errorf("%d fraction bits: got %v, want %v", f.frac, got.F, want.F)
		}
	}
}
