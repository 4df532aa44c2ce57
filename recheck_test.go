package smpcc_test

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/ir"
	"smpcc/ir/text"
	"smpcc/passes"
)

// rechecks wants a plan to come out of its own graph, with the policies that are given and without.
func rechecks(t reporter, p *plan.Plan, policies ...string) {
	t.Helper()
	for _, files := range [][]string{nil, policies} {
		r, err := smpcc.Recheck(p, files)
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, d := range r.Differs {
			t.Errorf("%s", d)
		}
		if r.Plan.Digest() != p.Digest() {
			t.Errorf("digest %s, the plan has %s", r.Plan.Digest(), p.Digest())
		}
		if want := len(policies); files == nil && len(r.Policies) != want || files != nil && len(r.Policies) != 0 {
			t.Errorf("policies of %v are taken over, with %d given of %d", r.Policies, len(files), want)
		}
	}
}

// TestRecheck compiles plans again from what is in them: of models with weights, with samples, by column, of programs, with each option.
func TestRecheck(t *testing.T) {
	ofNumbers(t)
	unit := map[string][2]float64{"input": {0, 1}}
	table := func(seed, rows int) map[string]*ir.Tensor {
		x := ir.NewTensor(ir.Real, ir.Shape{rows, 30})
		for i := range x.F {
			x.F[i] = math.Sin(float64(i*seed)) * math.Ldexp(1, i%30%7-3)
		}
		return map[string]*ir.Tensor{"input": x}
	}
	var rows []map[string]*ir.Tensor
	for i := range 160 {
		rows = append(rows, table(i+1, 1))
	}
	credit := []string{"examples/credit/p0.policy.yaml", "examples/credit/p1.policy.yaml"}
	for _, c := range []struct {
		name, path string
		opt        smpcc.Options
		data       bool // bounds are taken from it
	}{
		{"weights", "examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: unit}, true},
		{"wan", "examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 2}, Ranges: unit, Net: passes.Network{RTT: 40e-3, Bandwidth: 1e8}}, true},
		{"no range", "examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Assume: 8}, true},
		{"policies", "examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 4}, Ranges: map[string][2]float64{"input": {-16, 16}}, Policies: credit}, true},
		{"three parties", "examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Parties: 3, Ranges: map[string][2]float64{"input": {-4, 4}}}, true},
		{"options", "examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, FracBits: 18, Precision: 1e-4, Tolerance: passes.Tolerance{Atol: 1e-4, Rtol: 1e-4}, RevealBits: 20, Exact: []string{"output"}, Skip: []string{"cse"}, Ring: 64,
			Ranges: map[string][2]float64{"input": {-4, 4}}, Outputs: map[string]passes.Tolerance{"output": {Atol: 2e-4}}}, true},
		{"samples", "examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Samples: rows[:5]}, true},
		{"samples by column", "examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Samples: rows}, true},
		{"columns", "examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Columns: map[string]map[int][2]float64{"input": {0: {-1, 1}, 3: {-100, 100}}}, Ranges: map[string][2]float64{"input": {-4, 4}}}, true},
		{"auction", "examples/auction/auction.smp", smpcc.Options{Policies: []string{"examples/auction/alice.policy.yaml", "examples/auction/bob.policy.yaml", "examples/auction/carol.policy.yaml"}}, false},
		{"survey", "examples/survey/survey.smp", smpcc.Options{}, false},
		{"trial", "examples/two-hospitals/trial.smp", smpcc.Options{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			comp, err := smpcc.Compile(c.path, c.opt)
			if err != nil {
				t.Fatal(err)
			}
			r := &comp.Plan.Manifest.Recipe
			if got := len(r.Bounds) > 0; got != c.data {
				t.Errorf("%d bounds are taken from data", len(r.Bounds))
			}
			for _, b := range r.Bounds {
				for _, x := range []float64{b.Lo, b.Hi} {
					if f, _ := math.Frexp(math.Abs(x)); x != 0 && f != 0.5 && !stated(comp.Plan, x) {
						t.Errorf("the bound %g says more than a power of two", x)
					}
				}
			}
			data, err := typed.Load(comp.Plan.Encode())
			if err != nil {
				t.Fatal(err)
			}
			rechecks(t, data, c.opt.Policies...)
		})
	}
}

// stated reports whether a number stands in the graph, where an input's declared range does, or in a format that holds by construction.
func stated(p *plan.Plan, x float64) bool {
	for _, in := range p.Manifest.Inputs {
		if x == in.Lo || x == in.Hi {
			return true
		}
	}
	return false
}

// TestRecheckTampered wants a difference, or an error, of a plan that is not what its graph and its recipe make; and never a panic.
func TestRecheckTampered(t *testing.T) {
	ofNumbers(t)
	comp, err := smpcc.Compile("examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {-16, 16}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(m *plan.Manifest)
	}{
		{"a bound", func(m *plan.Manifest) { m.Recipe.Bounds[0].Hi *= 4 }},
		{"a bound of zero", func(m *plan.Manifest) { m.Recipe.Bounds[0] = plan.Bound{} }},
		{"infinite bounds", func(m *plan.Manifest) {
			for i := range m.Recipe.Bounds {
				m.Recipe.Bounds[i].Lo, m.Recipe.Bounds[i].Hi = math.Inf(-1), math.Inf(1)
			}
		}},
		{"fewer bounds", func(m *plan.Manifest) { m.Recipe.Bounds = m.Recipe.Bounds[1:] }},
		{"more bounds", func(m *plan.Manifest) { m.Recipe.Bounds = append(m.Recipe.Bounds, plan.Bound{Lo: 1, Hi: 2}) }},
		{"no bounds", func(m *plan.Manifest) { m.Recipe.Bounds = nil }},
		{"an attempt", func(m *plan.Manifest) { m.Recipe.Attempt = 3 }},
		{"no such attempt", func(m *plan.Manifest) { m.Recipe.Attempt = 1 << 40 }},
		{"samples", func(m *plan.Manifest) { m.Recipe.Samples = 7 }},
		{"a precision", func(m *plan.Manifest) { m.Recipe.Precision = 1e-4 }},
		{"a precision of nothing", func(m *plan.Manifest) { m.Recipe.Precision = 1e-300 }},
		{"a network", func(m *plan.Manifest) { m.Recipe.RTT, m.Recipe.Bandwidth = 1, 1e6 }},
		{"another graph", func(m *plan.Manifest) {
			m.Dumps[0].Text = strings.Replace(m.Dumps[0].Text, "sigmoid", "tanh", 1)
		}},
		{"no graph", func(m *plan.Manifest) { m.Dumps = nil }},
		{"a range", func(m *plan.Manifest) { m.Ranges[0].Hi *= 2 }},
		{"a receiver's rule", func(m *plan.Manifest) { m.Allowed[0].Rule = "anything goes" }},
		{"a pass", func(m *plan.Manifest) { m.Recipe.Skip = []string{"nosuch"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			tampered, err := typed.Decode(comp.Plan.Encode())
			if err != nil {
				t.Fatal(err)
			}
			c.change(tampered.Manifest)
			p, err := typed.Load(tampered.Encode())
			if err != nil {
				return // no plan at all
			}
			r, err := smpcc.Recheck(p, nil)
			if err == nil && len(r.Differs) == 0 {
				t.Error("it is taken for the plan of its graph")
			}
		})
	}
}

// TestEveryLevel gives the text of each level back, with weights and without, and wants a plan of the same programs.
func TestEveryLevel(t *testing.T) {
	ofNumbers(t)
	for path, opt := range map[string]smpcc.Options{
		"examples/credit/model.onnx":       {Dims: map[string]int{"N": 2}, Ranges: map[string][2]float64{"input": {-16, 16}}},
		"examples/mnist/model.onnx":        {Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}},
		"examples/auction/auction.smp":     {},
		"examples/two-hospitals/trial.smp": {},
	} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			comp, err := smpcc.Compile(path, opt)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range comp.Plan.Manifest.Dumps {
				for _, known := range []bool{true, false} {
					m, err := text.Parse(d.Level+".ir", []byte(d.Text))
					if err != nil {
						t.Fatal(err)
					}
					if known {
						m.Weights = comp.Graph.Weights
						if d.Level != "graph" {
							m.Weights = comp.Weights
						}
					}
					again, err := smpcc.CompileModule(m, smpcc.Options{}, true)
					if d.Level == "graph" && !known && len(comp.Weights) > 0 {
						if err == nil || !strings.Contains(err.Error(), "has no data") {
							t.Fatalf("a graph without its weights: %v", err)
						}
						continue
					}
					if err != nil {
						t.Fatalf("%s, weights known %v: %v", d.Level, known, err)
					}
					samePrograms(t, d.Level, comp.Plan, again.Plan)
					rechecks(t, again.Plan)
					if d.Level == "graph" {
						continue
					}
					for _, a := range again.Plan.Manifest.Accuracy {
						if a.State != "written" {
							t.Errorf("%s: output %s is %s: nothing compares it with reals", d.Level, a.Output, a)
						}
					}
					for _, r := range again.Plan.Manifest.Ranges {
						if r.Origin == "proved" && !strings.Contains(r.Value, " input") && !strings.Contains(r.Value, " const") {
							t.Errorf("%s: the range of %s is called proved, which nobody has done", d.Level, r.Value)
						}
					}
				}
			}
		})
	}
}

// samePrograms wants two plans to do the same steps, whatever they say of ranges.
func samePrograms(t *testing.T, what string, a, b *plan.Plan) {
	t.Helper()
	if !bytes.Equal(stepsOf(a), stepsOf(b)) {
		t.Errorf("%s: the text makes other programs", what)
	}
}

// stepsOf returns what the roles of a plan run, without what it says about itself.
func stepsOf(p *plan.Plan) []byte {
	c := *p
	c.Manifest = plan.Manifest{Version: p.Manifest.Version}
	return c.EncodeProjection()
}

// TestWrittenWrongly wants text of a later level refused where it lies: a policy that its header claims, a range that does not hold.
func TestWrittenWrongly(t *testing.T) {
	ofNumbers(t)
	comp, err := smpcc.Compile("examples/auction/auction.smp", smpcc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(comp.Plan.Manifest.Dumps, func(d plan.Dump) bool { return d.Level == "fixed" })
	fixed := comp.Plan.Manifest.Dumps[i].Text
	dir := t.TempDir()
	policy := filepath.Join(dir, "alice.yaml")
	if err := os.WriteFile(policy, []byte("version: 1\nowner: alice\nallow:\n  - {output: winner, to: [alice]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text, want string
		opt              smpcc.Options
	}{
		{"a policy of its own", fixed, "refused", smpcc.Options{Policies: []string{policy}}},
		{"a range that is too narrow", strings.ReplaceAll(fixed, "range [-1.048576e+06, 1.048576e+06]", "range [-10, 10]"), "states the range", smpcc.Options{}},
		{"strictly", fixed, "not proved", smpcc.Options{StrictRange: true}},
		{"half of what a level holds", strings.Replace(fixed, "holds core permitted ranged quantised widthed", "holds quantised", 1), "does not hold", smpcc.Options{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.text == fixed && c.opt.Policies == nil && !c.opt.StrictRange {
				t.Fatal("the text was not changed")
			}
			m, err := text.Parse("auction.ir", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := smpcc.CompileModule(m, c.opt, true); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}
