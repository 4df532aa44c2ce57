package audit

import (
	"slices"
	"strings"
	"testing"
	"time"

	"smpcc"
)

const (
	allAllowed = "version: 1\nowner: b\nallow:\n  - {output: \"*\", to: [a, c]}\n"
	bounded    = allAllowed + "max_runs: 1\nexpires: 2098-12-31\n"
)

// TestFindings: each rule is found where it should be, with its severity, and not where its advice was followed.
func TestFindings(t *testing.T) {
	const sum = "input x: int[3] from a in 0..9\ninput y: int[3] from b in 0..9\ninput z: int[3] from c in 0..9\nreveal x + y + z to b as s\n"
	const two = "input x: int[3] from a in 0..9\ninput y: int[3] from b in 0..9\nreveal x + y to a as s\n"
	const model = "input x: real[3,8] from a in -1..1\nweight w: real[8] from b\nreveal sigmoid(x @ w) to a as s\n"
	found := map[string]bool{}
	for _, c := range []struct {
		program, policy string
		opt             Options
		rule            string
		severity        Severity
		text            string
		not             bool
	}{
		{program: two, rule: "default-policy", severity: Medium, text: "b has no policy file"},
		{program: two, policy: bounded, rule: "default-policy", severity: Medium, text: "a has no policy file"},
		{program: two, policy: allAllowed, rule: "run-limit", severity: Medium, text: "any number of runs"},
		{program: two, policy: bounded, rule: "run-limit", not: true},
		{program: two, policy: allAllowed, rule: "expiry", severity: Low, text: "never expires"},
		{program: two, policy: bounded, rule: "expiry", not: true},
		{program: two, policy: bounded, opt: Options{Now: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC)}, rule: "expired", severity: High, text: "expired at 2099-01-01T00:00:00Z"},
		{program: two, policy: bounded, opt: Options{Now: time.Date(2098, 12, 31, 23, 59, 59, 0, time.UTC)}, rule: "expired", not: true},
		{program: two, policy: bounded, opt: Options{Policies: []PolicyFile{{Owner: "b", File: "new.yaml", Digest: strings.Repeat("0", 64)}}}, rule: "policy-differs", severity: High, text: "new.yaml"},
		{program: two, policy: bounded, opt: Options{Policies: []PolicyFile{{Owner: "b", File: "b.yaml", Rules: []PolicyRule{{"s", []string{"a"}, nil, 4}, {"s", []string{"clinik"}, nil, 5}}}}}, rule: "dead-rule", severity: Medium, text: "b.yaml:5"},
		{program: two, policy: bounded, opt: Options{Policies: []PolicyFile{{Owner: "b", File: "b.yaml", Rules: []PolicyRule{{"*", []string{"a"}, []string{"doze"}, 4}}}}}, rule: "dead-rule", severity: Medium, text: "b.yaml:4"},
		{program: two, policy: bounded, opt: Options{Policies: []PolicyFile{{Owner: "b", File: "b.yaml", Rules: []PolicyRule{{"*", []string{"a"}, []string{"y"}, 4}}}}}, rule: "dead-rule", not: true},
		{program: two, opt: Options{Operators: map[string]string{"a": "ACME", "d": "ACME"}}, rule: "one-operator", severity: High, text: "ACME runs the dealer d and the party a"},
		{program: two, opt: Options{Operators: map[string]string{"a": "ACME", "b": "ACME"}}, rule: "one-operator", severity: High, text: "put their shares together"},
		{program: two, opt: Options{Operators: map[string]string{"a": "ACME", "d": "other"}}, rule: "one-operator", not: true},
		{program: two, rule: "data-computable", severity: Medium, text: `all 3 numbers of input "y" of b`},
		{program: sum, rule: "data-computable", not: true},
		{program: strings.Replace(two, "x + y", "y", 1), rule: "data-computable", not: true}, // no secret: the output is the data
		{program: model, policy: allAllowed, rule: "model-computable", severity: High, text: "all 8 numbers of the weights of b from 3 runs, but for rounding; any number of runs are allowed"},
		{program: model, policy: bounded, rule: "model-computable", not: true},
		{program: strings.ReplaceAll(model, "8]", "600]"), rule: "model-computable", severity: Medium, text: "linear in 600 numbers of others, and 200 runs of 3 equations reach that"},
		{program: strings.ReplaceAll(model, "8]", "600]"), policy: bounded, rule: "model-computable", not: true},
		{program: model, rule: "weights-not-bound", severity: Medium, text: "nothing binds the weights of b"},
		{program: strings.Replace(model, "to a", "to b", 1), rule: "weights-not-bound", severity: High, text: "make it a column of another's input"},
		{program: model, opt: Options{Bound: map[string]string{"b": "a commitment"}}, rule: "weights-not-bound", not: true},
		{program: strings.Replace(two, "int[3] from b in 0..9", "real[3] from b", 1), rule: "range-not-proved", severity: Medium, text: "assumed"},
		{program: two, rule: "range-not-proved", not: true},
		{program: strings.Replace(two, "x + y", "mean(y)", 1), policy: allAllowed, rule: "row-difference", severity: Medium, text: "any number of runs may run on it"},
		{program: strings.Replace(two, "x + y", "mean(y)", 1), policy: bounded, rule: "row-difference", not: true},
		{program: strings.Replace(sum, "x + y + z", "x * z", 1), rule: "exact-product", severity: Medium, text: "exactly mul(x, z)"},
		{program: strings.Replace(sum, "x + y + z", "x * y", 1), rule: "exact-product", not: true}, // b knows y
		{program: strings.NewReplacer("x + y", "argmax(x + y)", "int[3]", "real[3]").Replace(two), rule: "output-measured", severity: Low, text: "not proved: "},
		{program: two, rule: "output-measured", not: true},
	} {
		r, err := Of(planOf(t, "parties a, b, c\ndealer d\n"+c.program, c.policy, smpcc.Options{}), c.opt)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Rule == c.rule && strings.Contains(f.Text, c.text) })
		switch {
		case c.not && i >= 0:
			t.Errorf("%s\n%s: found %q", c.program, c.rule, r.Findings[i].Text)
		case !c.not && (i < 0 || r.Findings[i].Severity != c.severity || r.Findings[i].Do == ""):
			t.Errorf("%s\n%s with %q is not found, or has another severity: %+v", c.program, c.rule, c.text, r.Findings)
		case !c.not:
			found[c.rule] = true
		}
		ids := map[string]bool{}
		for k, f := range r.Findings {
			if ids[f.ID()] || k > 0 && rank(f.Severity) < rank(r.Findings[k-1].Severity) {
				t.Errorf("%s\n%s is told twice, or stands below a lower one", c.program, f.ID())
			}
			ids[f.ID()] = true
		}
	}
	for _, r := range Rules {
		if !found[r.Name] {
			t.Errorf("no case of %s", r.Name)
		}
	}
}
