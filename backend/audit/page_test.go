package audit

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/audit/draw"
	"smpcc/backend/plan"
	"smpcc/clients/chromium"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// transformer is an encoder of so many layers as an exporter names its nodes: attention and a feed-forward layer, residual edges around both. It is as small as
// can be, and without what is dear: it is there to be drawn.
func transformer(t testing.TB, layers int) *plan.Plan {
	t.Helper()
	const tokens, width = 3, 4
	f := ir.NewFunc("main")
	m := &ir.Module{Name: "encoder", Parties: smpcc.PartyNames(2), Dealer: smpcc.DefaultDealer, Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}
	r := rand.New(rand.NewPCG(12, 1))
	at := func(node string, op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
		v, err := f.Emit(diag.Pos{File: "encoder.onnx", Node: node}, op, attrs, args...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	weight := func(name string, shape ...int) *ir.Value {
		x := ir.NewTensor(ir.Real, shape)
		for i := range x.F {
			x.F[i] = 0.1 * r.NormFloat64()
		}
		m.Weights[name] = x
		return at(fmt.Sprintf("initialiser %q", name), ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Dims("shape", shape)})
	}
	x := at(`input "hidden"`, ir.OpInput, ir.Attrs{ir.S("name", "hidden"), ir.S("owner", "p1"), ir.S("elem", "real"), ir.Dims("shape", []int{tokens, width}), ir.F("lo", -1), ir.F("hi", 1)})
	for l := range layers {
		node := func(path, op string) string {
			return fmt.Sprintf(`node "/encoder/layer.%d/%s" (%s)`, l, path, op)
		}
		dense := func(x *ir.Value, path string) *ir.Value {
			name := fmt.Sprintf("layer.%d.%s", l, strings.ReplaceAll(path, "/", "."))
			y := at(node(path+"/MatMul", "MatMul"), ir.OpMatMul, nil, x, weight(name+".weight", width, width))
			return at(node(path+"/Add", "Add"), ir.OpAdd, nil, y, weight(name+".bias", width))
		}
		q, k, v := dense(x, "attention/query"), dense(x, "attention/key"), dense(x, "attention/value")
		s := at(node("attention/MatMul", "MatMul"), ir.OpMatMul, nil, q, at(node("attention/Transpose", "Transpose"), ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, k))
		s = at(node("attention/Mul", "Mul"), ir.OpMul, nil, s, at(node("attention/Constant", "Constant"), ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, 1/math.Sqrt(width)))}))
		s = at(node("attention/Relu", "Relu"), ir.OpRelu, nil, s)
		x = at(node("attention/output/Add", "Add"), ir.OpAdd, nil, x, at(node("attention/MatMul_1", "MatMul"), ir.OpMatMul, nil, s, v))
		y := at(node("intermediate/Relu", "Relu"), ir.OpRelu, nil, dense(x, "intermediate/dense"))
		x = at(node("output/Add", "Add"), ir.OpAdd, nil, x, dense(y, "output/dense"))
	}
	at(`output "logits"`, ir.OpReveal, ir.Attrs{ir.S("name", "logits"), ir.Ss("to", "p1")}, x)
	c, err := smpcc.CompileModule(m, smpcc.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	return c.Plan
}

// pageData is what a page's script reads.
type pageData struct {
	Nodes   []draw.Node
	Groups  []draw.Group
	Ways    [][2]int
	Colours []pageColour
}

func dataOf(t *testing.T, page string) (d pageData) {
	t.Helper()
	_, s, _ := strings.Cut(page, `id="data">`)
	s, _, _ = strings.Cut(s, "</script>")
	if err := json.Unmarshal([]byte(s), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// TestFolded: the page of a deep model has a group for each layer, whose weights stand in the boxes that use them.
func TestFolded(t *testing.T) {
	d := dataOf(t, written(t, transformer(t, 4), "html"))
	top := map[string]bool{}
	for _, g := range d.Groups {
		if g.Parent < 0 {
			top[g.Title] = true
		}
	}
	for l := range 4 {
		if !top[fmt.Sprintf("layer.%d", l)] || len(top) != 4 {
			t.Fatalf("the groups at the top are %v, want the layers", top)
		}
	}
	for _, n := range d.Nodes {
		if (n.Op == "weight" || n.Op == "const") && (n.Held < 0 || d.Nodes[n.Held].Op != "matmul" && d.Nodes[n.Held].Op != "add" && d.Nodes[n.Held].Op != "mul") {
			t.Errorf("%s %s stands in a box of its own", n.Op, n.Called)
		}
		if (n.Op == "input" || n.Op == "reveal") && n.In >= 0 {
			t.Errorf("%s %s is in a group", n.Op, n.Called)
		}
		if n.Op == "const" && !strings.HasPrefix(n.Value, "0.5") {
			t.Errorf("the constant is said to be %q", n.Value)
		}
	}
}

// TestDrawn opens pages in a browser: their script runs without an error, what is seen at first holds an input and all reveals, boxes of one frame do not overlap,
// and a deep model is seen as its layers.
func TestDrawn(t *testing.T) {
	if os.Getenv("SMPCC_NIGHTLY") == "" {
		t.Skip("SMPCC_NIGHTLY opens pages in a browser")
	}
	path := chromium.Path(t)
	pages := map[string]string{"encoder": written(t, transformer(t, 12), "html")}
	for _, ex := range examples {
		pages[filepath.Base(ex.path)] = written(t, ex.plan(t), "html")
	}
	box := regexp.MustCompile(`(?s)<g class="node ([^"]*)" transform="translate\(([-0-9.]+) ([-0-9.]+)\)"[^>]*>.*?<rect class="body" width="([0-9.]+)" height="([0-9.]+)"`)
	for name, page := range pages {
		dir := t.TempDir()
		file := filepath.Join(dir, "page.html")
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), path, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+dir, "--window-size=1280,900", "--dump-dom", "file://"+file).Output()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, svg, _ := strings.Cut(string(out), `<svg id="graph"`)
		svg, _, _ = strings.Cut(svg, "</svg>")
		_, s, _ := strings.Cut(svg, `viewBox="`)
		s, _, _ = strings.Cut(s, `"`)
		var view [4]float64
		for i, x := range strings.Fields(s) {
			view[i], _ = strconv.ParseFloat(x, 64) // of a browser
		}
		var closed [][4]float64
		seen := map[string]int{}
		for _, b := range box.FindAllStringSubmatch(svg, -1) {
			var at [4]float64
			for i := range at {
				at[i], _ = strconv.ParseFloat(b[2+i], 64) // of a browser
			}
			if at[0] < view[0] || at[1] < view[1] || at[0]+at[2] > view[0]+view[2] || at[1]+at[3] > view[1]+view[3] {
				t.Errorf("%s: a box at %v is outside of what is seen, %v", name, at, view)
			}
			for _, c := range strings.Fields(b[1]) {
				seen[c]++
			}
			if strings.Contains(b[1], "open") {
				continue
			}
			for _, o := range closed {
				if at[0] < o[0]+o[2] && o[0] < at[0]+at[2] && at[1] < o[1]+o[3] && o[1] < at[1]+at[3] {
					t.Errorf("%s: boxes at %v and %v overlap", name, at, o)
				}
			}
			closed = append(closed, at)
		}
		reveals := 0
		for _, n := range dataOf(t, page).Nodes {
			if n.Op == "reveal" {
				reveals++
			}
		}
		if seen["reveal"] != reveals || seen["private"] == 0 {
			t.Errorf("%s: at first %d of %d reveals are seen, and %v", name, seen["reveal"], reveals, seen)
		}
		if name == "encoder" && seen["group"] != 12 {
			t.Errorf("%d groups are seen of the encoder, want its 12 layers", seen["group"])
		}
	}
}
