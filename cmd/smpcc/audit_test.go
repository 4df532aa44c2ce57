package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// auditOf runs smpcc audit on an example and returns what it prints.
func auditOf(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := Main(context.Background(), append([]string{"audit"}, args...), &out, &errs); code != exitDone {
		t.Fatalf("exit code %d: %s", code, &errs)
	}
	return out.String()
}

var auditedExamples = [][]string{
	{"../../examples/mnist/model.onnx", "--dim", "N=1", "--range", "input=0..1"},
	{"../../examples/credit/model.onnx", "--dim", "N=4"},
	{"../../examples/auction/auction.smp", "--policy", "../../examples/auction/bob.policy.yaml"},
	{"../../examples/survey/survey.smp", "--policy", "../../examples/survey/hospital.policy.yaml"},
}

func TestAuditSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, ex := range auditedExamples {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(auditOf(t, append(ex, "--format", "json")...)))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", ex[0], err)
		}
	}
}

// TestAuditSarif checks what readers of SARIF rely on: rule indices, levels, places with positive lines, fingerprints.
func TestAuditSarif(t *testing.T) {
	for _, ex := range auditedExamples {
		var l sarifLog
		if err := json.Unmarshal([]byte(auditOf(t, append(ex, "--format", "sarif")...)), &l); err != nil {
			t.Fatal(err)
		}
		if l.Version != "2.1.0" || len(l.Runs) != 1 || len(l.Runs[0].Results) == 0 {
			t.Fatalf("%s: log of version %s with %d runs", ex[0], l.Version, len(l.Runs))
		}
		seen := map[string]bool{}
		for _, r := range l.Runs[0].Results {
			if rule := l.Runs[0].Tool.Driver.Rules[r.RuleIndex]; rule.ID != r.RuleID || rule.Default.Level != r.Level {
				t.Errorf("%s: result of %s points to rule %s", ex[0], r.RuleID, rule.ID)
			}
			if f := r.Fingerprint["smpcc/v1"]; f == "" || seen[f] {
				t.Errorf("%s: fingerprint %q is empty or used twice", ex[0], f)
			} else {
				seen[f] = true
			}
			for _, at := range append(r.Locations, r.Related...) {
				if at.Physical == nil || at.Physical.Artifact.URI == "" || at.Physical.Region != nil && at.Physical.Region.StartLine < 1 {
					t.Errorf("%s: %s has the place %+v", ex[0], r.RuleID, at.Physical)
				}
			}
		}
	}
}

// TestAuditPage checks that the page is well formed, carries its own style and script by the hashes that its policy names,
// and loads nothing.
func TestAuditPage(t *testing.T) {
	for _, ex := range auditedExamples {
		s := auditOf(t, append(ex, "--format", "html")...)
		if bad := regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(https?:|//)|url\(|@import|\son[a-z]+\s*=|style=`).FindString(s); bad != "" {
			t.Errorf("%s: the page has %q", ex[0], bad)
		}
		if !strings.Contains(s, "default-src &#39;none&#39;") {
			t.Errorf("%s: the page has no content security policy", ex[0])
		}
		for _, own := range []string{pageStyle, pageScript} {
			if !strings.Contains(s, ">"+own+"<") {
				t.Errorf("%s: style or script is changed on its way into the page", ex[0])
			}
		}
		svg := s[strings.Index(s, "<svg"):strings.Index(s, "</svg>")] + "</svg>"
		d := xml.NewDecoder(strings.NewReader(svg))
		boxes := 0
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: the picture is not well formed: %v", ex[0], err)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "g" {
				for _, a := range e.Attr {
					if a.Name.Local == "aria-label" && a.Value != "" {
						boxes++
					}
				}
			}
		}
		data := s[strings.Index(s, `id="data">`)+len(`id="data">`):]
		var page struct {
			Nodes []struct {
				Op   string
				Uses []int
			}
			Paths [][]int
		}
		if err := json.Unmarshal([]byte(data[:strings.Index(data, "</script>")]), &page); err != nil {
			t.Fatal(err)
		}
		if boxes != len(page.Nodes) || boxes == 0 {
			t.Errorf("%s: %d boxes with a name for %d values", ex[0], boxes, len(page.Nodes))
		}
		for _, p := range page.Paths {
			if page.Nodes[p[len(p)-1]].Op != "reveal" {
				t.Errorf("%s: a flow ends at %s", ex[0], page.Nodes[p[len(p)-1]].Op)
			}
		}
	}
}

// TestAuditPageEscapes checks that names in a hostile program stay text.
func TestAuditPageEscapes(t *testing.T) {
	s := auditOf(t, "testdata/hostile.ir", "--format", "html")
	if strings.Contains(s, "<script>alert") || strings.Contains(s, "</script><b>") {
		t.Error("a name became markup")
	}
	if strings.Count(s, "<script") != 2 {
		t.Errorf("%d scripts, want 2", strings.Count(s, "<script"))
	}
}

// TestLayout checks that boxes never overlap, that arguments stand above, and that a graph of 500 values takes no time.
func TestLayout(t *testing.T) {
	f := ir.NewFunc("main")
	emit := func(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
		v, err := f.Emit(diag.Pos{}, op, attrs, args...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	state := uint32(7)
	next := func(n int) int {
		state = state*1664525 + 1013904223
		return int(state>>8) % n
	}
	for i := range 500 {
		if i < 8 || next(6) == 0 {
			emit(ir.OpInput, ir.Attrs{ir.S("name", fmt.Sprint("x", i)), ir.S("owner", "a"), ir.S("elem", "int"), ir.Is("shape", 2)})
			continue
		}
		pick := func() *ir.Value { return f.Body[max(0, i-1-next(min(i, 30)))] }
		emit(ir.OpAdd, nil, pick(), pick())
	}
	start := time.Now()
	d := layout(f)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("layout took %v", took)
	}
	at := map[int]box{}
	for _, b := range d.Boxes {
		at[b.V.ID] = b
		if b.X < 0 || b.Y < 0 || b.X+boxWidth > d.Width+1 || b.Y+boxHeight > d.Height+1 {
			t.Errorf("box of %s lies outside the drawing", b.V)
		}
	}
	for i, a := range d.Boxes {
		for _, b := range d.Boxes[:i] {
			if a.Y == b.Y && a.X < b.X+boxWidth && b.X < a.X+boxWidth {
				t.Errorf("%s and %s overlap", a.V, b.V)
			}
		}
		for _, x := range a.V.Args {
			if at[x.ID].Y >= a.Y {
				t.Errorf("%s stands below %s", x, a.V)
			}
		}
	}
	if len(layout(ir.NewFunc("empty")).Boxes) != 0 {
		t.Error("an empty function has boxes")
	}
}

// TestAuditTellsOfNoise checks that the audit of a plan with rounded material, and of no other, says what its outputs tell.
func TestAuditTellsOfNoise(t *testing.T) {
	const line = "tell a part of a bit of their argument beyond the function"
	dir := t.TempDir()
	for f, want := range map[string]bool{"sin": true, "exp": true, "relu": false} {
		file := filepath.Join(dir, f+".ir")
		module := fmt.Sprintf(`module "m" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p0" elem="real" shape=[4] lo=-2 hi=2 : private(p0) real[4]
    v1 = input name="y" owner="p1" elem="real" shape=[4] lo=-2 hi=2 : private(p1) real[4]
    v2 = add v0 v1 : secret{p0,p1} real[4]
    v3 = %s v2 : secret{p0,p1} real[4]
    v4 = reveal v3 name="z" to=["p1"] : private(p1) real[4]
  }
}
`, f)
		if err := os.WriteFile(file, []byte(module), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(auditOf(t, file), line); got != want {
			t.Errorf("%s: the audit speaks of noise: %v, want %v", f, got, want)
		}
	}
}
