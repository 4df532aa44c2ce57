package main

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/ir/exact"
)

// What is right for a case.
const (
	right   = "right"   // the expected values
	either  = "either"  // those, or a refusal
	refusal = "refusal" // a refusal: what it needs has not been built
)

// An answer is what a folder of testdata/cases must give. pending says why it does not give it yet: a case that is
// pending must be wrong, so that the words are removed when it becomes right.
type answer struct {
	folder  string
	want    string
	says    string // part of the refusal
	ranges  string // declared instead of those from data
	within  string // tolerance, absolute and relative; "": 1e-3
	pending string
}

// answers lists all folders. Each failed in an earlier release: 36 of 52 printed a wrong number.
var answers = []answer{
	{folder: "int-div-timestamp", want: right},
	{folder: "int-div-secret-divisor", want: right},
	{folder: "int-mod-hash", want: right, pending: "dividends of more than 50 bits by constants"},

	{folder: "div-by-constant", want: right},
	{folder: "logistic-raw-columns", want: right},
	{folder: "ml-scaler", want: right},
	{folder: "scaler-logreg-unscaled-features", want: right},
	{folder: "tabular-mlp-batchnorm", want: right},
	{folder: "program-small-factors", want: right},

	{folder: "mean-10000", want: right},
	{folder: "layer-norm-3000", want: right},

	{folder: "ratio-large-divisor", want: right},
	{folder: "debt-to-income-div", want: right},
	{folder: "log1p-counts", want: right},
	{folder: "exp-log-target", want: right},
	{folder: "l2-distance", want: right},
	{folder: "cosine-similarity", want: right},
	{folder: "ml-normalizer", want: right},
	{folder: "layer-norm-small", want: right},
	{folder: "layernorm-std0.03", want: right},
	{folder: "rmsnorm-std0.02", want: right},
	{folder: "instance-norm-pixels", want: right},
	{folder: "softmax-16384-pool", want: right},
	{folder: "softmax-handmade", want: right},
	{folder: "min-max-scaling", want: right},
	{folder: "haversine-near", want: right, within: "0.002"}, // sines are rounded before their squares are added: the bits below tell of masks
	{folder: "haversine-near", want: refusal, says: "would not keep its tolerance"},
	{folder: "black-scholes", want: right, pending: "prices up to 32768 times an error function that is to be off by 3e-8; functions are asked for 1e-5 at the closest"},
	{folder: "sin-positions", want: right},

	{folder: "product-wraps", want: right},
	{folder: "program-sums-of-squares", want: right, within: "0.002"}, // squares of 1 beside squares of 2000000 have no more digits in 64 bits
	{folder: "program-sums-of-squares", want: refusal, says: "would not keep its tolerance"},
	{folder: "program-variance-of-salaries", want: right, within: "0.002"}, // a spread of pence beside salaries has no more digits
	{folder: "program-variance-of-salaries", want: refusal, says: "would not keep its tolerance"},
	{folder: "program-large-int-against-real", want: right},
	{folder: "program-int-product-beyond-64-bits", want: either, says: "integers of that size"},

	{folder: "program-half-cubed", want: right},
	{folder: "cast-int-narrowing", want: right},
	{folder: "int-overflow-uint8", want: right},
	{folder: "mish-decomposed", want: right},
	{folder: "program-and-with-constant", want: right},
	{folder: "ecg-range-refused", want: right},
	{folder: "ecg-range-refused", want: right, ranges: "input=-3..3"},

	{folder: "grid-sample-constant", want: right},
	{folder: "reduce-mean-int", want: right},
	{folder: "dequantise-constant-weights", want: right},
	{folder: "cumsum-10000", want: right},
	{folder: "com-microsoft-gelu", want: right},
	{folder: "trilu-bool", want: right},
	{folder: "clip-computed-min", want: right},
	{folder: "ml-one-hot-encoder", want: right},
	{folder: "ml-imputer-nan", want: right},
	{folder: "ml-labelenc-str", want: right},
	{folder: "ml-pipeline-gb", want: right},
	{folder: "skl-knn", want: right},
	{folder: "qdq-int8-cnn", want: right},
	{folder: "dynquant-matmul", want: right},
	{folder: "ml-text-to-text", want: right},
	{folder: "ml-missing-tracks", want: right},
}

// run runs an answer's folder with every input secret, and says what is wrong; "" if nothing.
func (a answer) run(t *testing.T) string {
	s := &source{}
	c := &cobra.Command{}
	s.flags(c) // sets the defaults
	if a.ranges != "" {
		s.ranges = []string{a.ranges}
	}
	if a.within != "" {
		s.atol, s.rtol = []string{a.within}, []string{a.within}
	}
	c.SetContext(context.Background())
	asked := exact.Default
	if a.within != "" {
		e, err := strconv.ParseFloat(a.within, 64)
		if err != nil {
			t.Fatal(err)
		}
		asked = exact.Contract{Atol: e, Rtol: e}
	}
	run := &tester{source: s, command: c, contract: asked}
	for _, r := range run.folder(filepath.Join("../../testdata/cases", a.folder)) {
		switch {
		case r.Status == "skipped" && a.want != right && strings.Contains(r.Why, a.says):
		case r.Status == "passed" && a.want == refusal:
			return "passes: what it needs has been built; expect the right values"
		case r.Status != "passed":
			return r.Status + ": " + r.Why
		case len(r.Public) > 0:
			return "passed with public inputs: " + strings.Join(r.Public, ", ")
		}
		t.Log(r.line())
	}
	return ""
}

// TestCases runs small models and programs that people met wrong numbers with.
func TestCases(t *testing.T) {
	var listed []string
	for _, a := range answers {
		listed = append(listed, a.folder)
		t.Run(strings.TrimSpace(a.folder+" "+a.ranges+" "+a.within), func(t *testing.T) {
			wrong := a.run(t)
			switch {
			case wrong != "" && a.pending == "":
				t.Error(wrong)
			case wrong == "" && a.pending != "":
				t.Errorf("is right: remove %q", a.pending)
			}
		})
	}
	entries, err := os.ReadDir("../../testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !slices.Contains(listed, e.Name()) {
			t.Errorf("testdata/cases/%s has no row", e.Name())
		}
	}
}

// TestReferenceAgrees evaluates each case's graph exactly and compares with what onnxruntime, or arithmetic by hand, gave:
// the reference means what models mean.
func TestReferenceAgrees(t *testing.T) {
	for _, a := range answers {
		if a.want == refusal || a.ranges != "" {
			continue
		}
		t.Run(a.folder, func(t *testing.T) {
			f, err := readFolder(filepath.Join("../../testdata/cases", a.folder))
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range f.sets {
				opt := smpcc.Options{}
				if !smpcc.IsProgram(f.path) {
					opt.Shapes = shapesOf(s.in)
				}
				m, err := smpcc.Load(f.path, opt)
				if err = errors.Join(err, s.err); err != nil {
					t.Fatal(err)
				}
				in, err := smpcc.PresentInputs(m, s.in)
				if err != nil {
					t.Fatal(err)
				}
				got, err := exact.Run(m, in)
				if err != nil {
					t.Fatal(err)
				}
				for name, expected := range s.want {
					if e, ok := expected.(ofKind); ok && e.data.Words != nil { // a run compares strings
						continue
					}
					want, err := expected.as(got[name].Elem)
					if err != nil {
						t.Fatal(err)
					}
					for i := range want.Len() {
						if x, y := got[name].At(i), want.At(i); !(math.Abs(x-y) <= 5e-4+5e-4*math.Abs(y)) {
							t.Fatalf("%s: element %d is %v, want %v", name, i, x, y)
						}
					}
				}
			}
		})
	}
}
