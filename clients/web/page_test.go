package web

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
)

// digits is the plan of a model that takes a digit from a guest.
func digits(t *testing.T) *plan.Plan {
	t.Helper()
	c, err := smpcc.Compile("../../examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Owners: map[string]string{"input": "guest"}, Ranges: map[string][2]float64{"input": {0, 1}}})
	if err != nil {
		t.Fatal(err)
	}
	return c.Plan
}

// program compiles a program of the language.
func program(t *testing.T, text string) *plan.Plan {
	t.Helper()
	file := filepath.Join(t.TempDir(), "form.smp")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := smpcc.Compile(file, smpcc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c.Plan
}

// TestPage: the page is the same each time, holds no address but the parties', and nothing that a plan says becomes code.
func TestPage(t *testing.T) {
	p := program(t, "parties p0, p1\nguests g\ninput x: int[3] from g in 0..9\nreveal x * x to g as out\n")
	p.Manifest.Name = `</script><script>alert(1)</script>`
	at := map[string]string{"p0": "https://north.example", "p1": "https://south.example:8443"}
	a, err := Page(p, at)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Page(p, at)
	if err != nil || !bytes.Equal(a, b) {
		t.Errorf("two pages differ: %v", err)
	}
	if bytes.Count(a, []byte("<script")) != 2 || bytes.Contains(a, []byte("<script>alert")) {
		t.Error("a name of a plan is code in its page")
	}
	if !bytes.Contains(a, []byte("connect-src https://north.example https://south.example:8443;")) || !bytes.Contains(a, []byte("p0 and p1 each hold one share; neither learns it")) {
		t.Error("the page does not say whom it speaks to, or who learns what")
	}
	for _, bad := range []map[string]string{{"p0": "https://north.example"}, {"p0": "http://north.example", "p1": "https://s.example"}, {"p0": "https://n.example; script-src *", "p1": "https://s.example"}, {"p0": "https://n.example/x", "p1": "https://s.example"}, {"p0": "https://n.example", "p1": "https://s.example", "p2": "https://t.example"}} {
		if _, err := Page(p, bad); err == nil {
			t.Errorf("addresses %v make a page", bad)
		}
	}
	if n := len(minified(Library)); n > 8000 {
		t.Errorf("the library is %d bytes without comments and indentation, want less than 8000", n)
	}
}

// minified is a text of JavaScript without comments and indentation.
func minified(s string) string {
	var out []string
	for _, line := range strings.Split(s, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "//") || strings.HasPrefix(line, "/**") || strings.HasPrefix(line, "*") {
			continue
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// TestBrowser: a digit is drawn, taken from a sample and sent, from a server and from disk; what the parties put together is what was drawn, and what they answer
// is shown. What goes wrong is said.
func TestBrowser(t *testing.T) {
	b := newBrowser(t)
	p := digits(t)
	out := p.Manifest.Outputs[0]
	scores := func(best int) func([][]uint64) map[string][]uint64 {
		return func([][]uint64) map[string][]uint64 {
			w := make([]uint64, 10)
			for i := range w {
				x := -3.25 + float64(i)/8
				if i == best {
					x = 11.5
				}
				w[i] = uint64(int64(math.Round(math.Ldexp(x, out.Scale))))
			}
			return map[string][]uint64{out.Name: w}
		}
	}
	f := newFakes(t, p, scores(2))
	page, err := Page(p, f.servers)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "digit.html")
	if err := os.WriteFile(file, page, 0o644); err != nil {
		t.Fatal(err)
	}
	const send = `document.getElementById("accept").click(); document.getElementById("send").click(); true`
	for k, from := range []string{f.servers["p0"] + "/#t=TOKEN", "file://" + file + "#t=TOKEN"} {
		f.seen = nil
		b.open(from)
		if b.Eval(`location.hash`) != "" {
			t.Error("the invitation stays in the address")
		}
		if b.Eval(`document.getElementById("send").disabled`) != true {
			t.Error("the button can be pressed before anybody has read who learns what")
		}
		b.Eval(`document.getElementById("input-sample").click(); true`)
		if k == 0 {
			b.Picture("drawn")
		}
		b.Eval(send)
		b.Until(`!!document.getElementById("answer")`)
		if got := b.Eval(`document.getElementById("answer").textContent`); got != out.Name+": 2" {
			t.Errorf("%s: the page shows %v", from, got)
		}
		if text := fmt.Sprint(b.Eval(`document.getElementById("result").innerText`)); !strings.Contains(text, p.Digest()) || !strings.Contains(text, "session 7") || !strings.Contains(text, "p0 was given 16 bytes, one share") || !strings.Contains(text, "11.5000") {
			t.Errorf("the receipt says %s", text)
		}
		b.Picture(fmt.Sprint("answer", k))
		// white on black, inside, in the centre of mass
		mass, mx, my, most := 0.0, 0.0, 0.0, 0.0
		for i, w := range f.seen[0] {
			v := math.Ldexp(float64(w), -p.Manifest.Inputs[0].Scale)
			mass, mx, my, most = mass+v, mx+v*(float64(i%28)+0.5), my+v*(float64(i/28)+0.5), max(most, v)
		}
		if mass < 40 || mass > 400 || most < 0.9 || most > 1 || math.Abs(mx/mass-14) > 0.6 || math.Abs(my/mass-14) > 0.6 {
			t.Errorf("what came has a mass of %g at %g, %g, and %g at most", mass, mx/mass, my/mass, most)
		}
	}
	// drawn with the pointer: a line
	b.open(f.servers["p0"] + "/#t=TOKEN")
	b.Eval(send)
	b.Until(`document.getElementById("status").textContent.includes("nothing is drawn yet")`)
	b.Eval(`document.getElementById("input-canvas").scrollIntoView(); true`)
	at := b.Eval(`(() => { const r = document.getElementById("input-canvas").getBoundingClientRect(); return [r.left, r.top]; })()`).([]any)
	x, y := at[0].(float64), at[1].(float64)
	for _, e := range [][3]any{{"mousePressed", 140, 60}, {"mouseMoved", 142, 120}, {"mouseMoved", 140, 220}, {"mouseReleased", 140, 220}} {
		b.Call("Input.dispatchMouseEvent", map[string]any{"type": e[0], "x": x + float64(e[1].(int)), "y": y + float64(e[2].(int)), "button": "left", "buttons": 1, "clickCount": 1}, nil)
	}
	f.seen = nil
	b.Eval(`document.getElementById("send").click(); true`)
	b.Until(`!!document.getElementById("answer")`)
	if mass := sum(f.seen[0], p.Manifest.Inputs[0].Scale); mass < 20 || mass > 200 {
		t.Errorf("a line has a mass of %g", mass)
	}
	// without the whole link; used up; one party down; then, with a slow network, stopped by hand
	b.open(f.servers["p0"] + "/")
	b.Until(`document.getElementById("status").textContent.includes("Open the whole link")`)
	f.refuse = func(token string) string {
		if token == "USED" {
			return "the invitation was for 1 runs, and all of them are used"
		}
		return ""
	}
	try := func(url string) string {
		b.open(url)
		b.Eval(`document.getElementById("input-sample").click(); true`)
		b.Eval(send)
		b.Until(`document.getElementById("status").className === "bad"`)
		return fmt.Sprint(b.Eval(`document.getElementById("status").textContent`))
	}
	if s := try(f.servers["p0"] + "/#t=USED"); !strings.Contains(s, "all of them are used") || !strings.Contains(s, "ask who invited you for a new link") {
		t.Errorf("a used invitation: %s", s)
	}
	b.Picture("used")
	down := map[string]string{"p0": f.servers["p0"], "p1": "http://localhost:1"}
	if page, err = Page(p, down); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, page, 0o644); err != nil {
		t.Fatal(err)
	}
	if s := try("file://" + file + "#t=TOKEN"); !strings.Contains(s, "p1: cannot be reached") {
		t.Errorf("one party down: %s", s)
	}
	// narrow and dark
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": 320, "height": 900, "deviceScaleFactor": 2, "mobile": true}, nil)
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": "dark"}}}, nil)
	b.open(f.servers["p0"] + "/#t=TOKEN")
	if wide := b.Eval(`document.documentElement.scrollWidth`); wide.(float64) > 320 {
		t.Errorf("the page is %v wide on a screen of 320", wide)
	}
	if small := b.Eval(`[...document.querySelectorAll("button:not([hidden]), label.file, label.check")].filter((e) => e.getBoundingClientRect().height < 44).length`); small != 0.0 {
		t.Errorf("%v targets are smaller than 44 px", small)
	}
	b.Picture("narrow-dark")
}

func sum(words []uint64, scale int) (s float64) {
	for _, w := range words {
		s += math.Ldexp(float64(w), -scale)
	}
	return s
}

// TestBrowserForm: a form is filled in with the keyboard alone, and every field has a name.
func TestBrowserForm(t *testing.T) {
	b := newBrowser(t)
	p := program(t, "parties p0, p1, p2\nguests g\ninput age: int[2] from g in -5..120\ninput ok: bool[1] from g\nreveal sum(age, 0) > 50 to g as old\n")
	f := newFakes(t, p, func(words [][]uint64) map[string][]uint64 {
		n := uint64(0)
		if int64(words[0][0])-5+int64(words[0][1])-5 > 50 {
			n = 1
		}
		return map[string][]uint64{"old": {n}}
	})
	b.open(f.servers["p1"] + "/#t=TOKEN")
	tab := func() { b.Key("Tab", 9, "") }
	word := func(s string) {
		for _, c := range s {
			b.Key(string(c), int(c), string(c))
		}
	}
	tab()
	word("40")
	tab()
	word("-5")
	tab()
	b.Key(" ", 32, " ") // ok
	tab()               // what this rests on
	tab()
	b.Key(" ", 32, " ") // agreed
	tab()
	b.Key("Enter", 13, "\r")
	b.Until(`!!document.getElementById("answer")`)
	if got := b.Eval(`document.getElementById("answer").textContent`); got != "old: no" || len(f.seen) != 2 || f.seen[0][0] != 45 || f.seen[0][1] != 0 || f.seen[1][0] != 1 {
		t.Errorf("the page shows %v for %v", got, f.seen)
	}
	b.Picture("form")
	var tree struct {
		Nodes []struct {
			Ignored bool `json:"ignored"`
			Role    struct{ Value any }
			Name    struct{ Value any }
		}
	}
	b.Call("Accessibility.getFullAXTree", nil, &tree)
	named := 0
	for _, n := range tree.Nodes {
		switch n.Role.Value {
		case "spinbutton", "checkbox", "button", "textbox":
			if named++; fmt.Sprint(n.Name.Value) == "" || n.Name.Value == nil {
				t.Errorf("a %v has no name", n.Role.Value)
			}
		}
	}
	if named < 5 {
		t.Errorf("%d fields and buttons are named", named)
	}
	if s := b.Eval(`document.querySelector("input[type=number]").value = 121, document.getElementById("send").click(), document.querySelector("input[type=number]").validity.valid`); s != false {
		t.Error("a number out of range can be sent")
	}
}
