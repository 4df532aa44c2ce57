package draw

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/text"
)

// drawn counts the elements of a picture by name and class, after checking that it is XML which loads nothing.
func drawn(t *testing.T, picture []byte) map[string]int {
	t.Helper()
	got := map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(picture))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Fatalf("not XML: %v", err)
		}
		e, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		got[e.Name.Local]++
		if e.Name.Local == "script" {
			t.Error("a picture holds a script")
		}
		for _, a := range e.Attr {
			if a.Name.Local == "class" {
				for _, c := range strings.Fields(a.Value) {
					got[c]++
				}
			}
			if a.Name.Local == "href" || strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("<%s> has the attribute %s", e.Name.Local, a.Name.Local)
			}
		}
	}
}

// TestSVG: a picture of each level has a box for each value, an edge for each argument, a ring for each opening, and is the same
// when drawn again.
func TestSVG(t *testing.T) {
	for _, path := range []string{"../../../examples/auction/auction.smp", "../../../examples/credit/model.onnx", "../../../cmd/smpcc/testdata/hostile.ir"} {
		opt := smpcc.Options{}
		if strings.HasSuffix(path, ".onnx") {
			opt.Dims = map[string]int{"N": 1}
		}
		c, err := smpcc.Compile(path, opt)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range c.Plan.Manifest.Dumps {
			m, err := text.Parse(d.Level, []byte(d.Text))
			if err != nil {
				t.Fatal(err)
			}
			var one, two bytes.Buffer
			if err := errors.Join(SVG(&one, m, c.Plan, d.Level), SVG(&two, m, c.Plan, d.Level)); err != nil {
				t.Fatal(err)
			}
			if one.String() != two.String() {
				t.Errorf("%s, %s: drawn twice, it differs", path, d.Level)
			}
			edges, reveals, opens := 0, 0, 0
			for _, v := range m.Main().Body {
				args := map[*ir.Value]bool{}
				for _, a := range v.Args {
					args[a] = true
				}
				edges += len(args)
				switch v.Op {
				case ir.OpReveal:
					reveals++
				case ir.OpOpen, ir.OpOpenBit:
					opens++
				}
			}
			got := drawn(t, one.Bytes())
			if n := len(m.Main().Body); got["body"] != n || got["edge"] != edges || got["reveal"] != reveals {
				t.Errorf("%s, %s: %d boxes, %d edges and %d reveals, want %d, %d and %d", path, d.Level, got["body"], got["edge"], got["reveal"], n, edges, reveals)
			}
			if d.Level == "share" && got["dot"] != opens {
				t.Errorf("%s: %d rings, want %d", path, got["dot"], opens)
			}
		}
	}
	if err := SVG(io.Discard, &ir.Module{}, &plan.Plan{}, "graph"); err == nil {
		t.Error("a module without functions is drawn")
	}
	m, err := text.Parse("far.ir", []byte("module \"far\" {\n parties p0 p1\n func main {\n v1073741823 = const data=int[]{1} : public int[]\n }\n}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := SVG(io.Discard, m, &plan.Plan{}, "graph"); err == nil || !strings.Contains(err.Error(), "too high a number") {
		t.Errorf("a value far beyond the others: %v, want a refusal", err)
	}
}
