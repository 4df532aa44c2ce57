package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
)

const oldProgram = `parties a, b, c
dealer d
input salary: real[8] from a in 0..10000
input age: real[8] from a in 0..100
input grade: real[8] from b in 0..4
weight w: real[8] from b
reveal salary[0] > 5000 to b as rich
reveal mean(salary) to b as average
reveal argmax(age) to c as oldest
reveal sum(age * w) to c as score
reveal grade * 2 to b as mine
`

const oldPolicy = `version: 1
owner: a
allow:
  - {output: rich, to: [b]}
  - {output: average, to: [b], as: aggregate, min_rows: 8}
  - {output: oldest, to: [c], as: argmax}
  - {output: score, to: [c]}
min_batch: 4
max_runs: 10
expires: 2098-12-31
approve: ["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
models: ["weights:0000000000000000000000000000000000000000000000000000000000000001"]
`

// planOf compiles a program under the policy of a.
func planOf(t *testing.T, program, policy string, opt smpcc.Options) *plan.Plan {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"p.smp": program, "a.yaml": policy} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if policy != "" {
		opt.Policies = []string{filepath.Join(dir, "a.yaml")}
	}
	m, err := smpcc.Load(filepath.Join(dir, "p.smp"), opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range m.Main().Body {
		if v.Op == ir.OpWeight {
			w := ir.NewTensor(ir.Real, v.Type.Shape)
			for i := range w.F {
				w.F[i] = float64(i%5)/4 - 0.5
			}
			m.Weights[v.Attrs.Str("name")] = w
		}
	}
	c, err := smpcc.CompileModule(m, opt, true)
	if err != nil {
		t.Fatal(err)
	}
	return c.Plan
}

// TestGate changes a program, its policy or its plan in every way that tells or allows more, and wants each found in its aspect; and in ways that
// do not, and wants none of them found to be more.
func TestGate(t *testing.T) {
	before := planOf(t, oldProgram, oldPolicy, smpcc.Options{})
	everything := "allow:\n  - {output: \"*\", to: [b, c]}\n"
	loose := oldPolicy[:strings.Index(oldPolicy, "allow:")] + everything + oldPolicy[strings.Index(oldPolicy, "min_batch"):]
	untested := map[string]bool{}
	for _, a := range Aspects {
		untested[a.Name] = true
	}
	delete(untested, "plan") // tells nobody anything
	for _, c := range []struct {
		what     string
		program  []string // replaced by pairs
		policy   []string
		opt      smpcc.Options
		plan     func(*plan.Plan)
		aspect   string // in which more is found; "" for nothing
		and      string // part of what is said
		gates    string // gates besides more that stop
		noPolicy bool
	}{
		{what: "a bit becomes the salary", program: []string{"salary[0] > 5000", "salary[0]"}, aspect: "function", and: "it was gt(", gates: "graph"},
		{what: "type of an output", program: []string{"salary[0] > 5000", "salary[0]"}, aspect: "output", and: "is real, it was bool", gates: "graph"},
		{what: "another threshold", program: []string{"> 5000", "> 6000"}, aspect: "function", and: "6000", gates: "graph"},
		{what: "another column", program: []string{"sum(age * w)", "sum(salary * w)"}, aspect: "data", and: `derives from input "salary"`, gates: "graph roles"},
		{what: "a score becomes a raw column", program: []string{"sum(age * w)", "age"}, aspect: "function", and: "it is age", gates: "graph roles"},
		{what: "elements of an output", program: []string{"sum(age * w)", "age"}, aspect: "output", and: "has 8 elements, it had 1", gates: "graph roles"},
		{what: "range and bits of an output", program: []string{"sum(age * w)", "sum(age * w) * 64"}, aspect: "output", and: "lies in", gates: "graph"},
		{what: "another input of the same type", program: []string{"input age:", "input wage:", "argmax(age)", "argmax(wage)", "age * w", "wage * w"}, aspect: "inputs", and: `is called "wage" now`},
		{what: "an arg-max becomes the data", program: []string{"argmax(age)", "age[0]"}, policy: []string{"{output: oldest, to: [c], as: argmax}", "{output: oldest, to: [c]}"}, aspect: "form", and: "was only its arg-max, is any function of it", gates: "graph"},
		{what: "fewer rows in a mean", program: []string{"salary: real[8]", "salary: real[6]"}, policy: []string{"min_rows: 8", "min_rows: 6"}, aspect: "form", and: "at least 6 rows", gates: "graph"},
		{what: "a rule that asks for less", policy: []string{"{output: average, to: [b], as: aggregate, min_rows: 8}", "{output: average, to: [b]}"}, aspect: "form", and: "by another rule", gates: "graph"},
		{what: "another receiver", program: []string{"to b as rich", "to b, c as rich"}, policy: []string{"{output: rich, to: [b]}", "{output: rich, to: [b, c]}"}, aspect: "data", and: `c learns output "rich"`, gates: "graph roles"},
		{what: "another output", program: []string{"reveal grade", "reveal min(age) to b as youngest\nreveal grade"}, policy: []string{"allow:", "allow:\n  - {output: youngest, to: [b]}"}, aspect: "data", and: `learns output "youngest"`, gates: "graph roles"},
		{what: "a third holder of shares", program: []string{"parties a, b, c", "parties a, b, c, e"}, aspect: "holders", and: "e holds shares", gates: "graph roles"},
		{what: "another dealer", program: []string{"dealer d", "dealer f"}, aspect: "material", and: "the dealer is f, it was d", gates: "roles"},
		{what: "weights that nothing binds", policy: []string{"models: [\"weights:0000000000000000000000000000000000000000000000000000000000000001\"]\n", ""}, aspect: "weights", and: "wants weights of others bound by"},
		{what: "precision", opt: smpcc.Options{Precision: 0.1}, aspect: "accuracy", and: "within 0.1", gates: "graph"},
		{what: "tolerance", plan: func(p *plan.Plan) { p.Manifest.Accuracy[1].Atol = 1 }, aspect: "accuracy", and: `output "average" is within 1 +`, gates: "graph"},
		{what: "no longer proved", plan: func(p *plan.Plan) { p.Manifest.Accuracy[1].State = "measured" }, aspect: "accuracy", and: "measured, it was", gates: "graph"},
		{what: "fraction bits of an output", plan: func(p *plan.Plan) { p.Manifest.Outputs[1].Scale += 4 }, aspect: "output", and: "fraction bits", gates: "graph"},
		{what: "more runs", policy: []string{"max_runs: 10", "max_runs: 11"}, aspect: "runs", and: "11 runs, it allowed 10"},
		{what: "any number of runs", policy: []string{"max_runs: 10\n", ""}, aspect: "runs", and: "any number of runs"},
		{what: "fewer rows", policy: []string{"min_batch: 4", "min_batch: 3"}, aspect: "rows", and: "3 rows"},
		{what: "later expiry", policy: []string{"2098-12-31", "2099-12-31"}, aspect: "expiry", and: "2100-01-01"},
		{what: "no expiry", policy: []string{"expires: 2098-12-31\n", ""}, aspect: "expiry", and: "unlimited"},
		{what: "no approval", policy: []string{`approve: ["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]` + "\n", ""}, aspect: "approval", and: "nobody"},
		{what: "fewer approvers", policy: []string{`approve: ["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]`, `approve: ["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="]`}, aspect: "approval", and: "AAE="},
		{what: "another approver", policy: []string{"AAA=", "AAE="}, aspect: "approval", and: "AAE="},
		{what: "ranges may derive from data", policy: []string{"min_batch", "public: {ranges: true, formats: true}\nmin_batch"}, aspect: "ranges", and: "true, it was false"},
		{what: "no policy any more", noPolicy: true, aspect: "policy", and: "has no policy any more", gates: "graph"},

		{what: "nothing"},
		{what: "names of values and order of statements", program: []string{"reveal salary[0] > 5000 to b as rich\nreveal mean(salary) to b as average\n", "let s = salary # the same\n\nreveal mean(s) to b as average\nreveal s[0] > 5000 to b as rich\n"}},
		{what: "order of operands", program: []string{"age * w", "w * age"}},
		{what: "order of inputs", program: []string{"input salary: real[8] from a in 0..10000\ninput age: real[8] from a in 0..100\n", "input age: real[8] from a in 0..100\ninput salary: real[8] from a in 0..10000\n"}},
		{what: "name of a weight", program: []string{"weight w", "weight v", "age * w", "age * v"}},
		{what: "name of an output", program: []string{"as rich", "as wealthy"}, policy: []string{"output: rich", "output: wealthy"}},
		{what: "order and lines of a policy", policy: []string{"  - {output: rich, to: [b]}\n", "", "  - {output: score, to: [c]}\n", "  - {output: score, to: [c]}\n\n  - {output: rich, to: [b]}\n"}},
		{what: "an output of the receiver's own data", program: []string{"grade * 2", "grade * 3"}},
		{what: "an output less", program: []string{"reveal sum(age * w) to c as score\n", ""}, policy: []string{"  - {output: score, to: [c]}\n", ""}},
		{what: "fewer runs", policy: []string{"max_runs: 10", "max_runs: 9"}},
		{what: "an earlier expiry", policy: []string{"2098", "2097"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			policy := strings.NewReplacer(append([]string{"\x00", ""}, c.policy...)...).Replace(oldPolicy)
			program := strings.NewReplacer(append([]string{"\x00", ""}, c.program...)...).Replace(oldProgram)
			if c.noPolicy {
				policy = ""
			}
			if strings.Contains(c.what, "raw column") || strings.Contains(c.what, "elements") {
				policy = loose
			}
			now := planOf(t, program, policy, c.opt)
			if c.plan != nil {
				c.plan(now)
			}
			d, err := Compare(before, now)
			if err != nil {
				t.Fatal(err)
			}
			more, _ := d.Stopped("more")
			delete(untested, c.aspect)
			if c.aspect == "" {
				if len(more) > 0 {
					t.Errorf("found to tell more: %v", more)
				}
				return
			}
			if !slices.ContainsFunc(more, func(x Change) bool { return x.Aspect == c.aspect && strings.Contains(x.Text, c.and) }) {
				t.Errorf("not found, which should be said under %q with %q: %+v", c.aspect, c.and, d.Changes)
			}
			for _, g := range []string{"graph", "roles"} {
				list, ok := d.Stopped(g)
				if want := strings.Contains(c.gates, g); !ok || want != (len(list) > 0) {
					t.Errorf("gate %s: stops for %v", g, list)
				}
			}
			if list, _ := d.Stopped("any"); len(list) != len(d.Changes) {
				t.Error("gate any does not stop for every change")
			}
		})
	}
	if len(untested) > 0 {
		t.Errorf("aspects in which nothing was changed: %v", sortedKeys(untested))
	}
}

// TestDiffPage: both graphs, each with what the other lacks; nothing is loaded and nothing runs.
func TestDiffPage(t *testing.T) {
	a := planOf(t, oldProgram, oldPolicy, smpcc.Options{})
	b := planOf(t, strings.Replace(oldProgram, "salary[0] > 5000", "salary[0]", 1), oldPolicy, smpcc.Options{})
	d, err := Compare(a, b)
	if err != nil {
		t.Fatal(err)
	}
	var w bytes.Buffer
	if err := Diffs.Find("html").Write(&w, d); err != nil {
		t.Fatal(err)
	}
	s := w.String()
	if strings.Count(s, "<svg") != 2 || strings.Contains(s, "<script") || !strings.Contains(s, "default-src &#39;none&#39;") {
		t.Error("not two pictures without scripts")
	}
	left, right, _ := strings.Cut(s[strings.Index(s, "<svg"):], "</svg>")
	for what, n := range map[string][2]int{left: {3, 19}, right: {1, 17}} { // gt, its constant and the reveal; the reveal
		if got := strings.Count(what, "changed\""); got != n[0] {
			t.Errorf("%d values are marked as changed, want %d", got, n[0])
		}
	}
}
