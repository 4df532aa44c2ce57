package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"smpcc"
	"smpcc/backend/audit/draw"
	"smpcc/backend/plan"
)

const spoken = `version: 1
purpose: to test
legal_basis: none is needed
controllers: [A]
data: {x: {categories: [numbers], persons: nobody}, y: {categories: [numbers], persons: nobody}}
outputs: {s: it is the sum}
necessity: it is
retention: none
decisions:
  "default-policy:a": {decision: accept, reason: a test, by: A}
  "run-limit:b": {decision: accept, reason: a test, by: A}
  "data-computable:a:b:y": {decision: accept, reason: a test, by: A}
  "expiry:b": {decision: accept, reason: a test, by: A}
residual_risk: none
reviewer: A | B
next_review: 2099-01-01
signatures: [A]
`

// recordOf reads a record about a sum of two.
func recordOf(t *testing.T, text string) (*Record, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "record.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Of(sumOfTwo(t), Options{Now: time.Date(2026, 5, 6, 0, 0, 0, 0, time.UTC)})
	if err != nil {
		t.Fatal(err)
	}
	return ReadRecord(file, r)
}

func sumOfTwo(t *testing.T) *plan.Plan {
	return planOf(t, "parties a, b\ndealer d\ninput x: int[3] from a in 0..9\ninput y: int[3] from b in 0..9\nreveal x + y to a as s\n", allAllowedA, smpcc.Options{})
}

const allAllowedA = "version: 1\nowner: b\nallow:\n  - {output: \"*\", to: [a]}\n"

// TestRecord: a record is complete when all is said and decided, and open or refused otherwise.
func TestRecord(t *testing.T) {
	for _, c := range []struct{ old, now, state, verdict string }{
		{"", "", "complete", "every finding has been decided"},
		{`  "expiry:b": {decision: accept, reason: a test, by: A}` + "\n", "", "open", "1 finding without a decision"},
		{"decision: accept", "decision: change", "refused", "4 findings must be changed"},
		{"purpose: to test\n", "", "open", "does not say everything"},
		{"controllers: [A]\n", "", "open", "does not say everything"},
		{", y: {categories: [numbers], persons: nobody}", "", "open", "does not say everything"},
		{"outputs: {s: it is the sum}\n", "", "open", "does not say everything"},
	} {
		text := spoken
		if c.old != "" {
			text = strings.ReplaceAll(spoken, c.old, c.now)
		}
		x, err := recordOf(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if x.State != c.state || !strings.Contains(x.Verdict, c.verdict) || x.Complete() != (c.state == "complete") {
			t.Errorf("without %q: %s: %s", c.old, x.State, x.Verdict)
		}
	}
}

// TestRecordRefuses: mistakes are told with their line; following the hint mends them.
func TestRecordRefuses(t *testing.T) {
	for _, c := range []struct{ old, now, message, hint string }{
		{"purpose:", "pupose:", "record.yaml:2:", "its keys are version, purpose"},
		{"version: 1", "version: 2", "record.yaml:1: record version is 2", "version: 1"},
		{"y: {cat", "z: {cat", `there is no input or weight "z"`, "there are x, y"},
		{"{s: it", "{t: it", `there is no output "t"`, "there are s"},
		{`"expiry:b"`, `"expiry:c"`, `record.yaml:13: there is no finding "expiry:c"`, "expiry:b"},
		{"{decision: accept, reason: a test, by: A}", "{decision: accept, by: A}", "record.yaml:10: default-policy:a is accepted without a reason", "reason"},
		{"decision: accept", "decision: perhaps", "record.yaml:10: decision about default-policy:a is neither", "accept"},
		{"2099-01-01", "soon", `record.yaml:16: next_review "soon" is not a day`, "2027-06-30"},
		{"signatures: [A]", "previous: gone.yaml", "record.yaml:17: previous record", "leave previous away"},
		{"purpose: to test", "purpose: &p to test", "anchors", "write the values out"},
		{"version: 1", "- 1", "not a record", "its keys"},
		{"version: 1", "\t{", "not a record", "its keys"},
	} {
		_, err := recordOf(t, strings.ReplaceAll(spoken, c.old, c.now))
		if err == nil || !strings.Contains(err.Error(), c.message) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: %v", c.now, err)
		}
	}
	if _, err := recordOf(t, "#"+strings.Repeat(" ", maxStatement)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a large file: %v", err)
	}
}

// TestRecordForms: every form has what was said, as text, and what it rests on; the page loads nothing and has the whole graph.
func TestRecordForms(t *testing.T) {
	x, err := recordOf(t, strings.ReplaceAll(spoken, "it is the sum", `"<script>alert(1)</script>"`))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Records {
		var b bytes.Buffer
		if err := f.Write(&b, x); err != nil {
			t.Fatal(err)
		}
		s := b.String()
		for _, want := range []string{x.Audit.PlanDigest, x.Digest, "2026-05-06", "a test", "legal"} {
			if !strings.Contains(s, want) {
				t.Errorf("%s has no %q", f.Name, want)
			}
		}
		if strings.Contains(s, "<script") {
			t.Errorf("%s: a text became markup", f.Name)
		}
		switch f.Name {
		case "md":
			if !strings.Contains(s, `| A \| B |`) {
				t.Error("a bar is not escaped")
			}
		case "html":
			if bad := regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(https?:|//)|url\(|@import|\son[a-z]+\s*=|style=`).FindString(s); bad != "" {
				t.Errorf("the page has %q", bad)
			}
			if n := strings.Count(s, `class="body"`); n != len(x.Audit.graph.Main().Body) {
				t.Errorf("%d boxes", n)
			}
			for _, part := range []string{"(a) ", "(b) ", "(c) ", "(d) "} {
				if !strings.Contains(s, "<h2>"+part) {
					t.Errorf("no part %s", part)
				}
			}
		}
	}
	for w, p := range map[int]*draw.Picture{1: {Width: 900, Height: 1300}, 6: {Width: 1001, Height: 3000}} {
		for x := 0.0; x < p.Width; x += 200 {
			for y := 0.0; y < p.Height; y += 100 {
				p.Boxes = append(p.Boxes, draw.Box{X: x, Y: y})
			}
		}
		if n := len(sheets(&draw.Picture{Width: p.Width, Height: p.Height, Boxes: p.Boxes[:1]})); n != 1 {
			t.Errorf("one box is on %d sheets", n)
		}
		area := 0.0
		for _, s := range sheets(p) {
			area += s.W * s.H
		}
		if len(sheets(p)) != w || area != p.Width*p.Height {
			t.Errorf("%d sheets with an area of %g for %gx%g", len(sheets(p)), area, p.Width, p.Height)
		}
	}
}

// TestRecordSchema: the schema that editors use takes what the reader takes.
func TestRecordSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/record.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("../../examples/credit/record.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for text, ok := range map[string]bool{spoken: true, string(example): true, spoken + "more: 1\n": false, strings.ReplaceAll(spoken, "accept", "perhaps"): false} {
		var v any
		if err := yaml.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); (err == nil) != ok {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}
