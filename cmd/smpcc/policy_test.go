package main

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

// policyFiles writes what the tests of policy commands read: a program with groups, policies and expectations.
func policyFiles(t *testing.T) (dir string, run func(args ...string) (string, error)) {
	t.Helper()
	dir = t.TempDir()
	rules := "allow:\n  - {output: doses, to: [r], as: aggregate, min_rows: 20, min_group: 5}\n  - {output: counts, to: [r], as: aggregate, min_rows: 20, min_group: 5}\n"
	for name, text := range map[string]string{
		"g.smp":  "parties h, r\ninput t: real[40,2] from h in 0..10\nlet member = t[:,0:1] == [1, 2, 3]\nlet n = sum(member, 0)\nlet s = sum(where(member, t[:,1:2], 0), 0)\nreveal where(n >= 5, s, 0) to r as doses\nreveal where(n >= 5, n, 0) to r as counts\n",
		"h.yaml": "version: 1\nowner: h\n" + rules + "max_runs: 5\n",
		"w.yaml": "version: 1\nowner: h\n" + strings.Replace(rules, "min_group: 5", "min_group: 3", 1) + "max_runs: 4\n",
		"n.yaml": "version: 1\nowner: h\n" + strings.Replace(rules, "min_group: 5", "min_group: 6", 1) + "max_runs: 5\n",
		"t.yaml": "version: 1\npolicy: h.yaml\nexpect:\n  - {output: doses, to: r, from: t, groups: 5, rows: 40, want: allowed}\n  - {output: doses, to: r, from: t, groups: 4, rows: 40, want: denied}\n  - {output: doses, to: r, want: denied}\n",
		"f.yaml": "version: 1\npolicy: h.yaml\nexpect:\n  - {output: doses, to: r, from: t, rows: 40, want: denied}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := smpcc.Compile(filepath.Join(dir, "g.smp"), smpcc.Options{Policies: []string{filepath.Join(dir, "h.yaml")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.WriteFile(filepath.Join(dir, "g.plan"), c.Plan); err != nil {
		t.Fatal(err)
	}
	return dir, func(args ...string) (string, error) {
		root := newRoot()
		for i, a := range args {
			if strings.Contains(a, ".") {
				args[i] = filepath.Join(dir, a)
			}
		}
		out := &strings.Builder{}
		root.SetArgs(append([]string{"policy"}, args...))
		root.SetOut(out)
		root.SetErr(io.Discard)
		err := root.Execute()
		return out.String(), err
	}
}

func TestPolicyCommands(t *testing.T) {
	_, run := policyFiles(t)
	for _, c := range []struct {
		args, out, err string
	}{
		{"check h.yaml g.plan", "is allowed, and was compiled under h", ""},
		{"check w.yaml g.plan", "", "it was not compiled under that of h"},
		{"check n.yaml g.plan", "", "allows groups of at least 6 rows of 20, these are of at least 5 rows of 40"},
		{"test t.yaml", "3 of 3 as expected", ""},
		{"test f.yaml", "f.yaml:4: output \"doses\" to r from t as rows>=40: h.yaml:4 allows it", "1 answers are not as expected"},
		{"diff h.yaml h.yaml", "they allow the same", ""},
		{"diff h.yaml w.yaml", "more  output \"doses\" may go to r as a sum or mean over at least 20 rows only, or of groups of at least 3 rows", ""},
		{"diff h.yaml w.yaml --fail-on-more", "less  at most 4 runs, before at most 5", "allows more than"},
		{"diff h.yaml n.yaml --fail-on-more", "less  output \"doses\"", ""},
	} {
		out, err := run(strings.Fields(c.args)...)
		if !strings.Contains(out, c.out) {
			t.Errorf("policy %s prints %q, want %q", c.args, out, c.out)
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || diag.KindOf(err) != diag.Policy) {
			t.Errorf("policy %s: %v, want %q", c.args, err, c.err)
		}
	}
}

// TestPolicyInit answers the questions, and gives the same by flags.
func TestPolicyInit(t *testing.T) {
	const want = "version: 1\nowner: h\nallow:\n  - {output: mean, to: [r, c], as: aggregate, min_rows: 20}\n  - {output: best, to: [c], as: argmax, max_bits: 2}\nmin_batch: 20\nmax_runs: 12\nexpires: \"2030-01-01\"\npublic: {ranges: true, formats: true}\n"
	got, err := (&draft{}).text(bufio.NewScanner(strings.NewReader("h\nmean:r,c:aggregate=20\nbest:c:argmax=2\n\n12\n20\n2030-01-01\nyes\n")), io.Discard, func(string) bool { return true })
	if err != nil || got != want {
		t.Errorf("answers make\n%s%v, want\n%s", got, err, want)
	}
	flags := &draft{owner: "h", rules: []string{"mean:r,c:aggregate=20", "best:c:argmax=2"}, maxRuns: 12, minBatch: 20, expires: "2030-01-01", publish: true}
	if got, err = flags.text(bufio.NewScanner(strings.NewReader("")), io.Discard, func(string) bool { return false }); err != nil || got != want {
		t.Errorf("flags make\n%s%v, want\n%s", got, err, want)
	}
	if p, err := policy.Parse("h.yaml", []byte(want)); err != nil || len(p.Allow) != 2 || p.Expires.Year() != 2030 {
		t.Errorf("it is read as %+v, %v", p, err)
	}
	for _, bad := range []string{"x", "x:", ":r", "x:r:sum=3", "x:r:argmax", "x:r:bit=-1"} {
		if r, err := ruleOf(bad); err == nil {
			t.Errorf("%q is read as %v", bad, r)
		}
	}
}
