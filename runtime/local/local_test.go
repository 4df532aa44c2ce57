package local_test

import (
	"context"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/text"
	"smpcc/runtime/local"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const small = `module "small" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p1" elem="real" shape=[1,2] lo=-1 hi=1 : private(p1) real[1,2]
    v1 = weight name="w" owner="p0" elem="real" shape=[2,3] : private(p0) real[2,3]
    v2 = matmul v0 v1 : secret{p0,p1} real[1,3]
    v3 = relu v2 : secret{p0,p1} real[1,3]
    v4 = slice v3 starts=[0,0] ends=[1,3] steps=[1,2] : secret{p0,p1} real[1,2]
    v5 = gather v4 axis=1 indices=[1,0] : secret{p0,p1} real[1,2]
    v6 = mul v5 v0 : secret{p0,p1} real[1,2]
    v7 = reduce_sum v6 axes=[1] : secret{p0,p1} real[1]
    v8 = reveal v7 name="y" to=["p1"] : private(p1) real[1]
    v9 = reveal v2 name="z" to=["p0","p1"] : private(p0,p1) real[1,3]
  }
}
`

func compiled(t *testing.T) *smpcc.Compilation {
	t.Helper()
	m, err := text.Parse("small.ir", []byte(small))
	if err != nil {
		t.Fatal(err)
	}
	m.Weights = map[string]*ir.Tensor{"w": ir.Reals(ir.Shape{2, 3}, 1, -2, 3, 0.5, 0.25, -1)}
	c, err := smpcc.CompileModule(m, smpcc.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inputs returns data for every port, zeros but for a few words.
func inputs(ports []plan.Port) [][]uint64 {
	var out [][]uint64
	for _, p := range ports {
		w := make([]uint64, p.Len())
		for i := range w {
			w[i] = uint64(i * 1000)
		}
		out = append(out, w)
	}
	return out
}

func TestRun(t *testing.T) {
	c := compiled(t)
	weights, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	r, err := local.New(t.Context(), c.Plan, weights)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // one setup, several sessions
		x, err := smpcc.Bind(c.Plan.Manifest.Inputs[0], ir.Reals(ir.Shape{1, 2}, 0.5, -0.5))
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Run(t.Context(), [][]uint64{x})
		if err != nil {
			t.Fatal(err)
		}
		if res.Outputs[0]["y"] != nil || len(res.Outputs[2]) > 0 {
			t.Error("a role that receives nothing has an output")
		}
		y := smpcc.Read(c.Plan.Manifest.Outputs[0], res.Outputs[1]["y"])
		if want := 2*0.5 + 0.25*-0.5; math.Abs(y.F[0]-want) > 1e-3 {
			t.Errorf("got %g, want %g", y.F[0], want)
		}
	}
	if _, err := r.Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "0 inputs given, the plan has 1") {
		t.Errorf("got %v", err)
	}
	if _, err := r.Run(t.Context(), [][]uint64{{1}}); err == nil || !strings.Contains(err.Error(), `input "x" has 1 elements, want 2`) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Run(ctx, inputs(c.Plan.Manifest.Inputs)); err == nil || !strings.Contains(err.Error(), "context canceled") || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one line that says that it was cancelled", err)
	}
	if _, err := local.New(t.Context(), c.Plan, nil); err == nil || !strings.Contains(err.Error(), "0 weights given, the plan has 1") {
		t.Errorf("got %v", err)
	}
}

// TestMutatedPlans changes numbers of a good plan at random and runs what validation accepts: it may compute anything, but
// must neither crash nor hang, nor take memory that it does not use.
func TestMutatedPlans(t *testing.T) {
	data := compiled(t).Plan.EncodeProjection()
	r := rand.New(rand.NewPCG(7, 8))
	rounds := 2000
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		rounds = 3e5
	}
	accepted := 0
	for range rounds {
		p, err := plan.DecodeProjection(data)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(2) {
			leaves := numbers(reflect.ValueOf(p).Elem(), []reflect.Kind{reflect.Int, reflect.Int64}[r.IntN(2)]) // the latter are arguments, mostly
			v := leaves[r.IntN(len(leaves))]
			x := v.Int()
			to := []int64{0, 1, -1, 2, 3, 7, 31, 63, 64, 65, x + 1, x - 1, x * 2, x / 2, -x, 1 << 20, 1 << 28, 1 << 31, 1 << 40, math.MaxInt64, math.MinInt64}[r.IntN(21)]
			v.SetInt(to)
		}
		if p.Validate() != nil {
			continue
		}
		accepted++
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		run, err := local.New(ctx, p, inputs(p.Manifest.Weights))
		if err == nil {
			var res *local.Result
			if res, err = run.Run(ctx, inputs(p.Manifest.Inputs)); err == nil {
				for _, o := range p.Manifest.Outputs {
					for role, name := range p.Manifest.Parties {
						if w := res.Outputs[role][o.Name]; w != nil {
							smpcc.Read(o, w)
						} else if len(o.To) == 1 && o.To[0] == name {
							t.Fatalf("%s does not receive %s", name, o.Name)
						}
					}
				}
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("hangs: %v", err)
		}
		cancel()
	}
	t.Logf("%d of %d mutations accepted", accepted, rounds)
	if accepted < rounds/50 {
		t.Errorf("only %d of %d mutations were accepted: the test has no teeth", accepted, rounds)
	}
}

// numbers collects the integers of a kind in v.
func numbers(v reflect.Value, kind reflect.Kind) (out []reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			out = append(out, numbers(v.Field(i), kind)...)
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, numbers(v.Index(i), kind)...)
		}
	case kind:
		out = append(out, v)
	}
	return out
}
