package smpcc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
)

// TestCompileVerifies: a plan that does not verify is nobody's to have, whoever compiles.
func TestCompileVerifies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.smp")
	if err := os.WriteFile(path, []byte("parties a, b\ninput x: int from a in 0..9\nreveal x * x to b as out\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer smpcc.ReplaceCheck(func(p *plan.Plan) *verify.Report { // what a mistake in lowering may look like
		p.Programs[0].Online[0].Opens[0].Src = p.Programs[0].Online[0].Opens[0].Dst
		return verify.Check(p)
	})()
	c, err := smpcc.Compile(path, smpcc.Options{})
	if err == nil || c != nil {
		t.Fatalf("the plan %v was handed out, error %v", c, err)
	}
	for _, want := range []string{"internal error", "please report", "V33 other-programs"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
}

// TestVerifyIsQuick bounds what verification adds to every compilation.
func TestVerifyIsQuick(t *testing.T) {
	ofNumbers(t)
	c, err := smpcc.Compile("examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 8}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := smpcc.Accept("mnist", c.Plan); err != nil {
		t.Error(err)
	}
	if d := time.Since(start); d > 500*time.Millisecond {
		t.Errorf("took %v", d)
	}
}
