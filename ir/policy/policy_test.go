package policy

import (
	"encoding/json"
	"os"
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
  - {output: dose, to: [registry], as: aggregate, min_rows: 20}
compute: [p0, p1]
dealer: [d]
protocol: semi-honest
min_batch: 8
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
	if p.Owner != "hospital" || p.File != "hospital.yaml" || len(p.Allow) != 2 || p.MinBatch != 8 || p.MaxRuns != 1000 || !p.Ranges || p.Formats || p.Publishes() || len(p.Approve) != 1 {
		t.Errorf("read %+v", p)
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
		{"bits without as", "version: 1\nowner: a\nallow:\n  - {output: x, to: [b], max_bits: 5}\n", "max_bits is for as: argmax"},
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
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: aggregate}]\n":              false,
		"version: 1\nowner: a\nallow: [{output: x, to: [b], as: aggregate, min_rows: 9}]\n": true,
		"version: 1\nowner: a\nmax_runs: 0\n":                                               false,
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
