package main

import (
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc/clients/chromium"
	"smpcc/runtime/attest"
)

// A browser opens pages of the console.
type browser struct{ *chromium.Browser }

// open goes to a page.
func (b browser) open(t *testing.T, address string) {
	t.Helper()
	var r struct{ ErrorText string }
	b.Call("Page.navigate", map[string]any{"url": address}, &r)
	if r.ErrorText != "" {
		t.Fatalf("%s: %s", address, r.ErrorText)
	}
	b.Until("document.readyState === 'complete' && location.href === " + fmt.Sprintf("%q", address))
}

// looks sets the size of the window and the colours that the person prefers.
func (b browser) looks(width int, scheme string) {
	b.Call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.Call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// front returns the address of something on this machine that speaks to the console with somebody's certificate: browsers keep certificates in stores of their own.
func (o *office) front(name string) string {
	o.t.Helper()
	to := &url.URL{Scheme: "https", Host: o.addr}
	p := &httputil.ReverseProxy{Transport: o.as(name).Transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		if r.Out.Header.Get("Origin") == "http://"+r.In.Host {
			r.Out.Header.Set("Origin", to.String())
		}
	}}
	s := httptest.NewServer(p)
	o.t.Cleanup(s.Close)
	return s.URL
}

// checkBrowser looks at the pages in a browser: light and dark, wide and as on a phone; nothing of a page is refused by its own rules, nothing is wider than the window, the keyboard gets
// everywhere; and it approves a request with a key that never leaves the browser.
func (o *office) checkBrowser(v1 string) {
	t := o.t
	if os.Getenv("SMPCC_NIGHTLY") == "" && os.Getenv("SMPCC_SHOTS") == "" {
		t.Skip("a browser takes long to start; SMPCC_NIGHTLY=1 or SMPCC_SHOTS=DIR runs it")
	}
	b := browser{chromium.New(t)}
	o.compile("v3.plan", "4")
	o.run("request v3.plan --config analyst.yaml --to p0 --why", "a study of small numbers")
	v3 := o.digest("v3.plan")
	site := o.front("officer")
	for _, look := range []struct {
		name   string
		width  int
		scheme string
	}{{"light", 1200, "light"}, {"dark", 1200, "dark"}, {"phone", 360, "light"}} {
		b.looks(look.width, look.scheme)
		for _, page := range []struct{ name, path string }{{"plans", "/"}, {"plan", "/plans/" + v1}, {"requests", "/requests"}, {"request", "/requests/2"}, {"history", "/history"}, {"budgets", "/budgets"}, {"catalogue", "/catalogue"}, {"health", "/health"}} {
			b.open(t, site+page.path)
			if over := b.Eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"); over != 0.0 {
				t.Errorf("%s on %s is %v pixels wider than the window", page.name, look.name, over)
			}
			if small := b.Eval(`Array.from(document.querySelectorAll("nav a, button, input:not([type=hidden])")).filter(e => e.offsetParent && e.getBoundingClientRect().height < 43.5).length`); small != 0.0 {
				t.Errorf("%s on %s has %v targets that are too small", page.name, look.name, small)
			}
			if low := b.Eval(contrast); low != "" {
				t.Errorf("%s on %s: contrast below 4.5: %v", page.name, look.name, low)
			}
			b.Picture(page.name + "-" + look.name)
		}
	}
	b.looks(1200, "light")
	b.open(t, site+"/requests/2")
	b.Key("Tab", 9, "")
	if b.Eval("document.activeElement.className") != "skip" {
		t.Error("the first key does not lead to the skip link")
	}
	want := []string{"Plans", "Requests", "History", "key", "approve", "Deny this request"}
	for range 60 {
		b.Key("Tab", 9, "")
		at := fmt.Sprint(b.Eval("document.activeElement.id || document.activeElement.textContent.trim()"))
		if strings.HasPrefix(at, want[0]) {
			if want = want[1:]; len(want) == 0 {
				break
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("the keyboard does not reach %q", want)
	}
	o.signs(b, v3)
	for _, e := range b.Events {
		t.Errorf("the browser says %s", e)
	}
}

// signs approves the request of the page, and looks for what came of it: a statement that verifies, and no key at the server.
func (o *office) signs(b browser, v3 string) {
	t := o.t
	b.Until("document.getElementById('sign').hidden === false")
	click := "document.getElementById('approve').click()"
	b.Eval(click)
	b.Until("document.getElementById('told').textContent === 'choose the file of your key first'")
	var doc struct{ Root struct{ NodeID int } }
	var input struct{ NodeID int }
	choose := func(file string) {
		b.Call("DOM.getDocument", nil, &doc)
		b.Call("DOM.querySelector", map[string]any{"nodeId": doc.Root.NodeID, "selector": "#key"}, &input)
		b.Call("DOM.setFileInputFiles", map[string]any{"nodeId": input.NodeID, "files": []string{filepath.Join(o.dir, file)}}, nil)
	}
	choose("ops.yaml")
	b.Eval(click)
	b.Until("document.getElementById('told').textContent.startsWith('the file holds no private key')")
	b.Eval(`document.getElementById("by").value = "the officer's \"own\" \\ name"`)
	b.Eval("document.getElementById('why').value = 'agreed'")
	choose("officer.pem")
	b.Eval(click)
	b.Until("document.readyState === 'complete' && document.querySelector('.state.approved') !== null")
	list, err := attest.Read(filepath.Join(o.dir, "state-p0", "approvals", v3[:16]+".sigs"))
	if err != nil || len(list) != 1 {
		t.Fatalf("%d statements, %v", len(list), err)
	}
	if s := list[0]; s.Verify() != nil || s.Plan != v3 || s.Purpose != attest.Approval || s.By != `the officer's "own" \ name` || s.Reason != "agreed" {
		t.Errorf("statement %+v: %v", s, s.Verify())
	}
	pem, err := os.ReadFile(filepath.Join(o.dir, "officer.pem"))
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(string(pem), "\n")[1]
	if err := filepath.WalkDir(filepath.Join(o.dir, "state-p0"), func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), secret) {
			t.Errorf("%s holds the key", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
}

// contrast lists texts of a page whose contrast with what they stand on is below 4.5 to 1.
const contrast = `(() => {
  const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
  const lum = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] > 0) return c; } return [255, 255, 255]; };
  const out = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n = walk.nextNode(); n; n = walk.nextNode()) {
    const e = n.parentElement;
    if (!n.textContent.trim() || !e.offsetParent || e.closest("progress")) continue;
    const a = lum(parse(getComputedStyle(e).color)), b = lum(ground(e));
    if ((Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5) out.push(n.textContent.trim());
  }
  return out.join(" | ");
})()`
