package policy

import (
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

const fullPolicy = `version: 1
owner: hospital
allow:
  - output: diagnosis
    to: [clinic]
    from: [scan]
    as: argmax
    max_bits: 4
  - {output: dose, to: [registry], as: aggregate, min_rows: 20, min_group: 5}
  - {output: "*", to: [registry], from: ["t[:,0:3]", "t[:,7]", u], as: rounded(2), max_bits: 40, max_values: 3, other_plans: true}
compute: [p0, p1]
dealer: [d]
protocol: semi-honest
purpose: [care, "research on dosage"]
min_batch: 8
max_batch: 64
max_rows: 5000
runs_per_month: 100
max_runs: 1000
expires: 2027-06-30
public: {ranges: true, formats: false}
approve: ["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
`

func TestParse(t *testing.T) {
	p, err := Parse("dir/hospital.yaml", []byte(fullPolicy))
	if err != nil {
		t.Fatal(err)
	}
	if p.Owner != "hospital" || p.File != "hospital.yaml" || len(p.Allow) != 3 || p.MinBatch != 8 || p.MaxRuns != 1000 || !p.Ranges || p.Formats || p.Publishes() || len(p.Approve) != 1 {
		t.Errorf("read %+v", p)
	}
	if g := p.Guard(); g.MaxBatch != 64 || g.MaxRows != 5000 || g.PerMonth != 100 || len(g.Purpose) != 2 || !g.Silent || !g.Asks() {
		t.Errorf("asks %+v", g)
	}
	if r := p.Allow[2]; r.As != Rounded || r.Digits != 2 || r.MaxBits != 40 || r.MaxValues != 3 || !r.OtherPlans || p.Allow[1].MinGroup != 5 {
		t.Errorf("read %+v", r)
	}
	if got := p.RuleAt(p.Allow[0]) + " " + p.RuleAt(p.Allow[1]); got != "hospital.yaml:4 hospital.yaml:9" {
		t.Errorf("rules stand at %s", got)
	}
	if want := time.Date(2027, 7, 1, 0, 0, 0, 0, time.UTC); !p.Expires.Equal(want) {
		t.Errorf("expires at %v, want the end of the day, %v", p.Expires, want)
	}
	if s := strings.Join(p.Explain(), "\n"); !strings.Contains(s, "arg-max only of at most 4 bits") || !strings.Contains(s, "at least 20 rows") || !strings.Contains(s, "No range and no format") {
		t.Errorf("explained as:\n%s", s)
	}
}

func TestPolicyMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "f.yaml: policy is empty"},
		{"scalar", "hello", "f.yaml:1:1: not a policy: a string"},
		{"syntax", "version: 1\nowner: [a\n", "f.yaml:"},
		{"two documents", "version: 1\nowner: a\n---\nversion: 1\nowner: b\n", "more than one document"},
		{"unknown key", "version: 1\nowner: a\nalow: []\n", "f.yaml:3:1: policy has the unknown key \"alow\"\n\thint: did you mean allow?"},
		{"twice", "version: 1\nowner: a\nowner: b\n", "f.yaml:3"},
		{"version", "version: 2\nowner: a\n", "f.yaml:1:10: policy version is 2, want 1"},
		{"no version", "owner: a\n", "no version"},
		{"no owner", "version: 1\n", "no owner"},
		{"no receiver", "version: 1\nowner: a\nallow:\n  - output: x\n", "f.yaml:4: rule has no output or no receivers"},
		{"one row", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], as: aggregate, min_rows: 1}\n", "needs min_rows of at least 2"},
		{"rows without as", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], min_rows: 5}\n", "min_rows is for as: aggregate"},
		{"bits of sums", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], as: aggregate, min_rows: 9, max_bits: 5}\n", "max_bits is not for as: aggregate"},
		{"groups without as", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], min_group: 5}\n", "min_group is for as: aggregate"},
		{"groups of one", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], as: aggregate, min_rows: 9, min_group: 1}\n", "min_group needs at least 2"},
		{"bits without a bound", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], as: bit}\n", "as: bit needs max_bits"},
		{"form", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], as: rounded}\n", "f.yaml:4:30: as: \"rounded\", want argmax, bit, aggregate or rounded(DIGITS)"},
		{"columns", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], from: [\"t[0:3]\"]}\n", "\"t[0:3]\" names no columns"},
		{"no columns", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], from: [\"t[:,3:3]\"]}\n", "names no columns"},
		{"alias", "version: 1\nowner: &o a\nallow:\n  - {output: x, to: [*o]}\n", "want a word"},
		{"number as name", "version: 1\nowner: 7\n", "f.yaml:2:8: want a word"},
		{"day", "version: 1\nowner: a\nexpires: soon\n", "f.yaml:3:10: \"soon\" is neither a day nor a time"},
		{"key", "version: 1\nowner: a\napprove: [abc]\n", "f.yaml:3:11: \"abc\" is not a public key"},
		{"protocol", "version: 1\nowner: a\nprotocol: perfect\n", "f.yaml:3:11"},
		{"boolean", "version: 1\nowner: a\npublic: {ranges: yes}\n", "f.yaml:3:18: want true or false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse("f.yaml", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(fullPolicy))
	f.Add([]byte("version: 1\nowner: a\n<<: *x\n? [a]\n: b\n"))
	f.Add([]byte("a:\n - - {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := Parse("f.yaml", data); err == nil && (p.Owner == "" || p.Digest == "") {
			t.Errorf("accepted without an owner: %+v", p)
		}
	})
}

// TestPolicySchema checks that the schema, which editors use, and the reader agree: on the keys, and on examples.
func TestPolicySchema(t *testing.T) {
	const file = "../../docs/schema/policy.schema.json"
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Properties map[string]struct {
			Properties map[string]any
			Items      struct{ Properties map[string]any }
		}
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	same := func(what string, n int, has func(string) bool, keys []string) {
		if n != len(keys) || slices.ContainsFunc(keys, func(k string) bool { return !has(k) }) {
			t.Errorf("the schema's keys of %s are not %v", what, keys)
		}
	}
	same("a policy", len(doc.Properties), func(k string) bool { _, ok := doc.Properties[k]; return ok }, policyKeys)
	rule, public := doc.Properties["allow"].Items.Properties, doc.Properties["public"].Properties
	same("a rule", len(rule), func(k string) bool { _, ok := rule[k]; return ok }, ruleKeys)
	same("public", len(public), func(k string) bool { _, ok := public[k]; return ok }, publicKeys)
	schema, err := jsonschema.NewCompiler().Compile(file)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		fullPolicy:                     true,
		"version: 1\nowner: a\n":       true,
		"version: 2\nowner: a\n":       false,
		"version: 1\n":                 false,
		"version: 1\nowner: a\nx: 1\n": false,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: aggregate}]\n":                           false,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: aggregate, min_rows: 9}]\n":              true,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: bit, max_bits: 9}]\n":                    true,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: rounded(3), max_values: 9}]\n":           true,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: bit}]\n":                                 false,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: rounded}]\n":                             false,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], min_group: 9}]\n":                            false,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: aggregate, min_rows: 9, max_bits: 3}]\n": false,
		"version: 1\nowner: a\nmax_runs: 0\n":                                                            false,
	} {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if v, err = jsonschema.UnmarshalJSON(strings.NewReader(string(b))); err != nil {
			t.Fatal(err)
		}
		_, perr := Parse("f.yaml", []byte(text))
		if serr := schema.Validate(v); (serr == nil) != want || (perr == nil) != want {
			t.Errorf("%q: schema says %v, reader says %v, want both %v", text, serr, perr, want)
		}
	}
}

// TestRulesAreWrittenAsTheyAreRead writes rules as policies have them, and reads them again.
func TestRulesAreWrittenAsTheyAreRead(t *testing.T) {
	for _, want := range []Rule{
		{Output: "x", To: []string{"b", "c d"}},
		{Output: "*", To: []string{"yes"}, From: []string{"t[:,0:3]", "7"}, MaxBits: 3, MaxValues: 4},
		{Output: "x: y", To: []string{"b"}, As: ArgMax, MaxBits: 2, OtherPlans: true},
		{Output: "x", To: []string{"b"}, As: Bit, MaxBits: 1},
		{Output: "/f/Add_output", To: []string{"b"}, As: Rounded, Digits: 3},
		{Output: "x", To: []string{"b"}, As: Aggregate, MinRows: 20, MinGroup: 5},
	} {
		p, err := Parse("f.yaml", []byte("version: 1\nowner: a\nallow:\n  - "+want.YAML()+"\n"))
		if err != nil {
			t.Errorf("%s: %v", want.YAML(), err)
			continue
		}
		want.Line = 4
		if !reflect.DeepEqual(p.Allow[0], want) {
			t.Errorf("%s is read as %+v, want %+v", want.YAML(), p.Allow[0], want)
		}
	}
}

func TestSources(t *testing.T) {
	for text, want := range map[string]Source{"t": {Name: "t"}, "t[:,0:3]": {"t", 0, 3}, "t[:, 5]": {"t", 5, 6}, "t[:,4:]": {"t", 4, maxColumns}, "t[:,:4]": {"t", 0, 4}} {
		if got, err := ParseSource(text); err != nil || got != want {
			t.Errorf("%s is %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"t[0]", "t[:,3:1]", "t[:,-1]", "t[1:,2]", "t[:,99999999]", "[:,1]"} {
		if got, err := ParseSource(text); err == nil {
			t.Errorf("%s is %+v, want a mistake", text, got)
		}
	}
	r := Rule{From: []string{"t[:,0:2]", "t[:,5]", "u"}}
	for _, c := range []struct {
		source  string
		columns []int
		want    bool
	}{{"t", []int{0, 1}, true}, {"t", []int{1, 5}, true}, {"t", []int{2}, false}, {"u", []int{9}, true}, {"v", nil, false}} {
		if got := r.Covers(c.source, func() []int { return c.columns }); got != c.want {
			t.Errorf("covers %s %v: %v", c.source, c.columns, got)
		}
	}
}
