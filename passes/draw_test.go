package passes

import (
	"testing"

	"smpcc/ir"
	"smpcc/ir/policy"
	"smpcc/ir/text"
)

// TestDrawWithinColumns: what smpcc numbers draws lies within the declared range of each column, in every way of drawing, and reaches each of its ends.
func TestDrawWithinColumns(t *testing.T) {
	m, err := text.Parse("t.ir", []byte(`module "t" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p0" elem="real" shape=[3,4] lo=-2 hi=3 columns=[0,1,3] bounds=real[3,2]{18 120 0 500000 -1000000 1000000} : private(p0) real[3,4]
    v1 = weight name="w" owner="p1" elem="real" shape=[4,1] : private(p1) real[4,1]
    v2 = matmul v0 v1 : secret{p0,p1} real[3,1]
    v3 = reveal v2 name="y" to=["p1"] : private(p1) real[3,1] ; revealed to p1
  }
}
`))
	if err != nil {
		t.Fatal(err)
	}
	m.Weights = map[string]*ir.Tensor{"w": ir.Reals(ir.Shape{4, 1}, 0.02, -2e-6, 0.3, 1e-6)}
	graph := m.Clone()
	n, err := Run(m, &Options{FracBits: 16, Default: policy.New("", policy.Rule{Output: "y", To: []string{"p1"}})})
	if err != nil {
		t.Fatal(err)
	}
	declared := [][2]float64{{18, 120}, {0, 5e5}, {-2, 3}, {-1e6, 1e6}}
	var least, most [4]float64
	for run := range 10 * drawWays {
		x := n.Draw(graph, run)["x"]
		for i, v := range x.F {
			k := i % 4
			if v < declared[k][0] || v > declared[k][1] {
				t.Fatalf("run %d: column %d is %g, declared %v", run, k, v, declared[k])
			}
			if run == 0 && i < 4 {
				least[k], most[k] = v, v
			}
			least[k], most[k] = min(least[k], v), max(most[k], v)
		}
	}
	for k, d := range declared {
		if least[k] != d[0] || most[k] != d[1] {
			t.Errorf("column %d is drawn over %g..%g, declared %v", k, least[k], most[k], d)
		}
	}
}
