package passes_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
	"smpcc/ir/text"
	"smpcc/passes"
)

// TestGolden runs each pass of the table alone on the cases of testdata/PASS.txtar. A case NAME has the sections
//
//	NAME/in.ir      the module before the pass
//	NAME/weights    optional, data of weights: name, then the elements
//	NAME/options    optional, see parseOptions
//	NAME/P.yaml     optional, policies
//	NAME/out.ir     the module after the pass, or NAME/error: what it reports
//	NAME/out.weights  what the pass computed for the owners of weights
//
// Each case is executed too: before and after the pass the module computes the same, within the tolerance its options state.
// SMPCC_UPDATE=1 rewrites the files.
func TestGolden(t *testing.T) {
	update := os.Getenv("SMPCC_UPDATE") != ""
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	pipeline := passes.Pipeline()
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".txtar")
		if !slices.ContainsFunc(pipeline, func(p passes.Pass) bool { return p.Name == name }) {
			t.Errorf("%s is of no pass in the table", f)
		}
	}
	for _, p := range pipeline {
		t.Run(p.Name, func(t *testing.T) {
			path := filepath.Join("testdata", p.Name+".txtar")
			a, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatalf("each pass has a golden file: %v", err)
			}
			out := &txtar.Archive{Comment: a.Comment}
			for _, c := range cases(t, a) {
				t.Run(c.name, func(t *testing.T) {
					got := c.run(t, p)
					for _, n := range written {
						if got[n] != c.sections[n] && !update {
							t.Errorf("%s/%s differs: got\n%s\nwant\n%s", c.name, n, got[n], c.sections[n])
						}
					}
					for _, n := range []string{"in.ir", "weights", "options", "yaml", "out.ir", "out.weights", "error"} {
						if n == "yaml" {
							for _, s := range c.order {
								if strings.HasSuffix(s, ".yaml") {
									out.Files = append(out.Files, txtar.File{Name: c.name + "/" + s, Data: []byte(c.sections[s])})
								}
							}
							continue
						}
						data := got[n]
						if n == "weights" || n == "options" {
							data = c.sections[n]
						}
						if data != "" {
							out.Files = append(out.Files, txtar.File{Name: c.name + "/" + n, Data: []byte(data)})
						}
					}
				})
			}
			if update && !t.Failed() {
				if err := os.WriteFile(path, txtar.Format(out), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// written are the sections that the test writes.
var written = []string{"in.ir", "out.ir", "out.weights", "error"}

// A golden is one case.
type golden struct {
	name     string
	sections map[string]string
	order    []string
}

func cases(t *testing.T, a *txtar.Archive) []*golden {
	var out []*golden
	for _, f := range a.Files {
		name, section, ok := strings.Cut(f.Name, "/")
		if !ok {
			t.Fatalf("section %q, want CASE/SECTION", f.Name)
		}
		known := []string{"in.ir", "weights", "options", "out.ir", "out.weights", "error"}
		if !slices.Contains(known, section) && !strings.HasSuffix(section, ".yaml") {
			t.Fatalf("section %q, want one of %v or a policy", f.Name, known)
		}
		if len(out) == 0 || out[len(out)-1].name != name {
			out = append(out, &golden{name: name, sections: map[string]string{}})
		}
		c := out[len(out)-1]
		if _, twice := c.sections[section]; twice {
			t.Fatalf("section %q appears twice", f.Name)
		}
		c.sections[section] = string(f.Data)
		c.order = append(c.order, section)
	}
	if len(out) == 0 {
		t.Fatal("no cases")
	}
	return out
}

// parse reads the case's module with the data of its weights; print, parse, print must be the identity.
func (c *golden) parse(t *testing.T) *ir.Module {
	t.Helper()
	m, err := text.Parse("in.ir", []byte(c.sections["in.ir"]))
	if err != nil {
		t.Fatal(err)
	}
	if err := ir.Verify(m); err != nil {
		t.Fatal(err)
	}
	identity(t, m)
	m.Weights = map[string]*ir.Tensor{}
	for line := range strings.Lines(c.sections["weights"]) {
		f := strings.Fields(line)
		i := slices.IndexFunc(m.Main().Body, func(v *ir.Value) bool { return v.Op == ir.OpWeight && v.Attrs.Str("name") == f[0] })
		if i < 0 {
			t.Fatalf("no weight %q", f[0])
		}
		w := m.Main().Body[i]
		d := ir.NewTensor(elem(w), w.Type.Shape)
		if len(f)-1 != d.Len() {
			t.Fatalf("weight %q has %d elements, want %d", f[0], len(f)-1, d.Len())
		}
		for i, s := range f[1:] {
			set(d, i, number(t, s))
		}
		m.Weights[f[0]] = d
	}
	return m
}

func identity(t *testing.T, m *ir.Module) {
	t.Helper()
	s := m.String()
	again, err := text.Parse("again.ir", []byte(s))
	if err != nil {
		t.Fatalf("printed form does not parse: %v\n%s", err, s)
	}
	if r := again.String(); r != s {
		t.Fatalf("print, parse, print gives\n%s\nfrom\n%s", r, s)
	}
}

// elem returns the element kind of the data of an input or weight.
func elem(v *ir.Value) ir.Elem {
	return map[string]ir.Elem{"real": ir.Real, "int": ir.Int, "bool": ir.Bool}[v.Attrs.Str("elem")]
}

func set(t *ir.Tensor, i int, x float64) {
	if t.Elem == ir.Real {
		t.F[i] = x
	} else {
		t.I[i] = int64(x)
	}
}

func number(t *testing.T, s string) float64 {
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// parseOptions reads the options of a case: "frac-bits N", "ring N", "strict-range", "default OUTPUT RECEIVER..." (a rule of
// the default policy), "sample JSON" (one sample of all inputs), "tolerance X" (of the execution).
func (c *golden) parseOptions(t *testing.T, m *ir.Module) (opt *passes.Options, tolerance float64) {
	t.Helper()
	opt = &passes.Options{FracBits: 16}
	for line := range strings.Lines(c.sections["options"]) {
		key, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "frac-bits":
			opt.FracBits = int(number(t, rest))
		case "ring":
			opt.Ring = int(number(t, rest))
		case "strict-range":
			opt.StrictRange = true
		case "default":
			f := strings.Fields(rest)
			opt.Default = policy.New("", policy.Rule{Output: f[0], To: f[1:]})
		case "sample":
			var data map[string][]float64
			if err := json.Unmarshal([]byte(rest), &data); err != nil {
				t.Fatal(err)
			}
			sample := map[string]*ir.Tensor{}
			for _, in := range m.Main().Inputs() {
				n := in.Attrs.Str("name")
				d := ir.NewTensor(elem(in), in.Type.Shape)
				for i := range d.Len() {
					set(d, i, data[n][i])
				}
				sample[n] = d
			}
			opt.Samples = append(opt.Samples, sample)
		case "net": // seconds of a round trip, bits per second
			rtt, bandwidth, _ := strings.Cut(rest, " ")
			opt.Net = passes.Network{RTT: number(t, rtt), Bandwidth: number(t, bandwidth)}
		case "tolerance":
			tolerance = number(t, rest)
		default:
			t.Fatalf("unknown option %q", key)
		}
	}
	for _, s := range c.order {
		if strings.HasSuffix(s, ".yaml") {
			p, err := policy.Parse(s, []byte(c.sections[s]))
			if err != nil {
				t.Fatal(err)
			}
			opt.Policies = append(opt.Policies, p)
		}
	}
	return opt, tolerance
}

// run applies the pass and returns the sections that come of it.
func (c *golden) run(t *testing.T, p passes.Pass) map[string]string {
	before, m := c.parse(t), c.parse(t)
	opt, tolerance := c.parseOptions(t, m)
	got := map[string]string{"in.ir": before.String()}
	if err := p.Run(m, opt); err != nil {
		var l diag.List
		var e *diag.Error
		if !errors.As(err, &l) && !errors.As(err, &e) {
			t.Errorf("error has no position: %v", err)
		}
		got["error"] = err.Error() + "\n"
		return got
	}
	m.Main().Renumber()
	m.Main().Holds |= p.Ensures
	if err := ir.Verify(m); err != nil {
		t.Fatalf("after the pass: %v", err)
	}
	identity(t, m)
	got["out.ir"] = m.String()
	for _, v := range m.Main().Body {
		n := v.Attrs.Str("name")
		if d := m.Weights[n]; v.Op == ir.OpWeight && d != nil && before.Weights[n] == nil {
			got["out.weights"] += n
			for i := range d.Len() {
				got["out.weights"] += " " + strconv.FormatFloat(d.At(i), 'g', -1, 64)
			}
			got["out.weights"] += "\n"
		}
	}
	sameMeaning(t, before, m, tolerance)
	return got
}

// sameMeaning evaluates both modules on random inputs. Weights without data get some.
func sameMeaning(t *testing.T, before, after *ir.Module, tolerance float64) {
	t.Helper()
	r := rand.New(rand.NewPCG(5, 6))
	draw := func(v *ir.Value) *ir.Tensor {
		lo, hi := -4.0, 4.0
		if r, _, ok := ir.Declared(v); ok {
			lo, hi = r.Lo, r.Hi
		} else if v.Range.Origin == ir.Proved || v.Range.Origin == ir.Calibrated {
			lo, hi = v.Range.Lo, v.Range.Hi
		}
		d := ir.NewTensor(elem(v), v.Type.Shape)
		for i := range d.Len() {
			x := []float64{lo, hi, min(max(0, lo), hi)}[r.IntN(3)]
			if r.IntN(3) > 0 {
				x = lo + (hi-lo)*r.Float64()
			}
			switch d.Elem {
			case ir.Real:
				d.F[i] = x
			case ir.Int:
				d.I[i] = int64(math.Round(x))
			case ir.Bool:
				d.I[i] = int64(r.IntN(2))
			}
		}
		return d
	}
	for range 50 {
		inputs := map[string]*ir.Tensor{}
		for _, v := range before.Main().Body {
			n := v.Attrs.Str("name")
			switch {
			case v.Op == ir.OpInput:
				inputs[n] = draw(v)
			case v.Op == ir.OpWeight && before.Weights[n] == nil:
				before.Weights[n] = draw(v)
				after.Weights[n] = before.Weights[n]
			}
		}
		want, err := decoded(before, inputs, tolerance)
		if err != nil {
			t.Fatalf("before the pass: %v", err)
		}
		got, err := decoded(after, inputs, tolerance)
		if err != nil {
			t.Fatalf("after the pass: %v", err)
		}
		if len(got) != len(want) || len(want) == 0 {
			t.Fatalf("%d outputs after the pass, %d before; want some, and as many", len(got), len(want))
		}
		for name, w := range want {
			for i := range w {
				if d := math.Abs(got[name][i] - w[i]); !(d <= tolerance+1e-12*math.Abs(w[i])) {
					t.Fatalf("output %q, element %d: %v after the pass, %v before; they may differ by %g", name, i, got[name][i], w[i], tolerance)
				}
			}
		}
	}
}

// decoded evaluates m and returns the numbers its outputs stand for. Ranges that are proved must hold, within the slack.
func decoded(m *ir.Module, inputs map[string]*ir.Tensor, slack float64) (map[string][]float64, error) {
	vals, err := ir.Eval(m.Main(), ir.Env{Inputs: inputs, Weights: m.Weights, Check: true})
	if err != nil {
		return nil, err
	}
	out := map[string][]float64{}
	for _, v := range m.Main().Body {
		x := make([]float64, vals[v].Len())
		for i := range x {
			x[i] = math.Ldexp(vals[v].At(i), -v.Type.Scale)
			if v.Range.Origin == ir.Proved && !(x[i] >= v.Range.Lo-slack && x[i] <= v.Range.Hi+slack) {
				return nil, fmt.Errorf("%s: element %d is %g, outside its range", ir.Line(v, nil), i, x[i])
			}
		}
		if v.Op == ir.OpReveal {
			out[v.Attrs.Str("name")] = x
		}
	}
	return out, nil
}

// TestPassNames checks that the names of passes tell them apart, as golden files and --skip rely on it, and that each has a doc.
func TestPassNames(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range passes.Pipeline() {
		if seen[p.Name] {
			t.Errorf("two passes are called %q", p.Name)
		}
		seen[p.Name] = true
		if p.Doc == "" || !strings.HasSuffix(p.Doc, ".") {
			t.Errorf("pass %s: doc is %q, want a sentence", p.Name, p.Doc)
		}
	}
}
