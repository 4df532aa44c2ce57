package audit

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"smpcc"
	"smpcc/backend/plan"
)

// compile returns the plan of an example.
func compile(t *testing.T, path string, opt smpcc.Options) *plan.Plan {
	t.Helper()
	c, err := smpcc.Compile(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return c.Plan
}

// written audits a plan and writes it.
func written(t *testing.T, p *plan.Plan, format string) string {
	t.Helper()
	r, err := Of(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Reports.Find(format).Write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// An example is a source that tests audit.
type example struct {
	path string
	opt  smpcc.Options
	once func() (*plan.Plan, error)
}

var examples = []*example{
	{path: "../../examples/mnist/model.onnx", opt: smpcc.Options{Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}}},
	{path: "../../examples/credit/model.onnx", opt: smpcc.Options{Dims: map[string]int{"N": 4}}},
	{path: "../../examples/auction/auction.smp", opt: smpcc.Options{Policies: []string{"../../examples/auction/bob.policy.yaml"}}},
	{path: "../../examples/survey/survey.smp", opt: smpcc.Options{Policies: []string{"../../examples/survey/hospital.policy.yaml"}}},
}

func init() {
	for _, e := range examples {
		e.once = sync.OnceValues(func() (*plan.Plan, error) {
			c, err := smpcc.Compile(e.path, e.opt)
			if err != nil {
				return nil, err
			}
			return c.Plan, nil
		})
	}
}

// plan compiles the example, once.
func (e *example) plan(t *testing.T) *plan.Plan {
	t.Helper()
	p, err := e.once()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/schema/audit.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, ex := range examples {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(written(t, ex.plan(t), "json")))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v", ex.path, err)
		}
	}
}

// TestSarif checks what readers of SARIF rely on: rule indices, levels, places with positive lines, fingerprints.
func TestSarif(t *testing.T) {
	for _, ex := range examples {
		var l sarifLog
		if err := json.Unmarshal([]byte(written(t, ex.plan(t), "sarif")), &l); err != nil {
			t.Fatal(err)
		}
		if l.Version != "2.1.0" || len(l.Runs) != 1 || len(l.Runs[0].Results) == 0 {
			t.Fatalf("%s: log of version %s with %d runs", ex.path, l.Version, len(l.Runs))
		}
		seen := map[string]bool{}
		for _, r := range l.Runs[0].Results {
			if rule := l.Runs[0].Tool.Driver.Rules[r.RuleIndex]; rule.ID != r.RuleID || r.RuleID == "reveal" && r.Level != "note" || !slices.Contains([]string{"error", "warning", "note"}, r.Level) {
				t.Errorf("%s: result of %s points to rule %s", ex.path, r.RuleID, rule.ID)
			}
			if f := r.Fingerprint["smpcc/v1"]; f == "" || seen[f] {
				t.Errorf("%s: fingerprint %q is empty or used twice", ex.path, f)
			} else {
				seen[f] = true
			}
			for _, at := range append(r.Locations, r.Related...) {
				if at.Physical == nil || at.Physical.Artifact.URI == "" || at.Physical.Region != nil && at.Physical.Region.StartLine < 1 {
					t.Errorf("%s: %s has the place %+v", ex.path, r.RuleID, at.Physical)
				}
			}
		}
	}
}

// TestPage checks that the page is well formed, carries its own style and script by the hashes that its policy names,
// and loads nothing.
func TestPage(t *testing.T) {
	for _, ex := range examples {
		made := ex.plan(t)
		s := written(t, made, "html")
		if bad := regexp.MustCompile(`(?i)(src|href)\s*=\s*["']?(https?:|//)|\burl\(|@import|\son[a-z]+\s*=|style=`).FindString(s); bad != "" {
			t.Errorf("%s: the page has %q", ex.path, bad)
		}
		if !strings.Contains(s, "default-src &#39;none&#39;") {
			t.Errorf("%s: the page has no content security policy", ex.path)
		}
		for _, own := range []string{strings.ReplaceAll(pageStyle, "DIGEST", made.Digest()), layoutScript + pageScript} {
			if !strings.Contains(s, ">"+own+"<") {
				t.Errorf("%s: style or script is changed on its way into the page", ex.path)
			}
		}
		svg := s[strings.Index(s, `<svg class="defs"`):]
		svg = svg[:strings.Index(svg, "</svg>")] + "</svg>"
		d := xml.NewDecoder(strings.NewReader(svg))
		boxes := 0
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("%s: the picture is not well formed: %v", ex.path, err)
			}
			if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "g" {
				for _, a := range e.Attr {
					if a.Name.Local == "class" && strings.HasPrefix(a.Value, "node ") {
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
			Ways [][2]int
		}
		if err := json.Unmarshal([]byte(data[:strings.Index(data, "</script>")]), &page); err != nil {
			t.Fatal(err)
		}
		if boxes != len(page.Nodes) || boxes == 0 {
			t.Errorf("%s: %d boxes for %d values", ex.path, boxes, len(page.Nodes))
		}
		for _, p := range page.Ways {
			if page.Nodes[p[1]].Op != "reveal" {
				t.Errorf("%s: a flow ends at %s", ex.path, page.Nodes[p[1]].Op)
			}
		}
	}
}

// TestPageEscapes checks that names in a hostile program stay text.
func TestPageEscapes(t *testing.T) {
	s := written(t, compile(t, "../../cmd/smpcc/testdata/hostile.ir", smpcc.Options{}), "html")
	if strings.Contains(s, "<script>alert") || strings.Contains(s, "</script><b>") {
		t.Error("a name became markup")
	}
	if strings.Count(s, "<script") != 2 {
		t.Errorf("%d scripts, want 2", strings.Count(s, "<script"))
	}
}

// TestTellsOfNoise checks that the audit of a plan with rounded material, and of no other, says what its outputs tell.
func TestTellsOfNoise(t *testing.T) {
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
		if got := strings.Contains(written(t, compile(t, file, smpcc.Options{}), "text"), line); got != want {
			t.Errorf("%s: the audit speaks of noise: %v, want %v", f, got, want)
		}
	}
}

// TestThroughAll: what stands beside a residual edge is not on every way.
func TestThroughAll(t *testing.T) {
	p := planOf(t, "parties a, b\ninput x: real[4] from a in -1..1\ninput y: real[4] from b in -1..1\nlet z = relu(x * y) + x\nreveal relu(z) to a as s\n", "", smpcc.Options{})
	r, err := Of(p, Options{})
	if err != nil {
		t.Fatal(err)
	}
	through := throughAll(r.graph.Main())
	got := map[string]string{}
	for _, f := range r.Flows {
		got[f.Source] = strings.Join(through(f.Path[0].Value, f.Path[len(f.Path)-1].Value), " ")
	}
	if got["x"] != "input add relu reveal" || got["y"] != "input mul relu add relu reveal" {
		t.Errorf("every way goes through %v", got)
	}
}

// TestInputNotes: the audit says what owners' clients make of text, of missing values and of reals that a model quantises first.
func TestInputNotes(t *testing.T) {
	for path, want := range map[string][]string{
		"../../testdata/cases/ml-text-to-text":   {"colour: text, as its place in a list that everybody may read: [", `"green"`, "other text is one value more"},
		"../../testdata/cases/ml-missing-tracks": {`x: elements may be missing: input "x.missing" says which`, `x.missing: says which elements of "x" are missing`},
		"../../testdata/cases/qdq-int8-cnn":      {"input: stands for reals, as multiples of 0.00784", "to which its owner rounds"},
	} {
		opt := smpcc.Options{}
		if strings.Contains(path, "/ml-") {
			opt.Dims = map[string]int{"N": 2}
		}
		p := compile(t, path+"/model.onnx", opt)
		text, page := written(t, p, "text"), written(t, p, "html")
		for _, s := range want {
			if !strings.Contains(text, s) {
				t.Errorf("%s: the audit does not say %q:\n%s", path, s, text)
			}
			if _, s, _ = strings.Cut(s, ": "); !strings.Contains(html.UnescapeString(page), s) {
				t.Errorf("%s: the page does not say %q", path, s)
			}
		}
	}
}
