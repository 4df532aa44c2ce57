package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/attest"
)

// A browser is a headless Chromium that is told what to do over a pipe.
type browser struct {
	t       *testing.T
	to      *os.File
	from    *bufio.Reader
	id      int
	session string
	events  []string // of the page: messages of its console, and errors
}

// newBrowser starts Chromium, or skips the test where there is none.
func newBrowser(t *testing.T) *browser {
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil && path == "" {
			path = p
		}
	}
	if path == "" {
		t.Skip("there is no Chromium")
	}
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "smpcc-chromium-*")
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe", "--user-data-dir="+dir, "about:blank")
	c.ExtraFiles = []*os.File{inR, outW}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = inR.Close(), outW.Close() // they are the browser's
	b := &browser{t: t, to: inW, from: bufio.NewReaderSize(outR, 1<<20)}
	t.Cleanup(func() {
		_ = inW.Close() // with which it ends
		timer := time.AfterFunc(5*time.Second, func() { _ = c.Process.Kill() })
		defer timer.Stop()
		_ = c.Wait() // how it ends says nothing
		_ = outR.Close()
		_ = os.RemoveAll(dir) // it may write to it to the end
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "DOM"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// call has the browser do something and waits until it has.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	if err := b.try(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

func (b *browser) try(method string, params, result any) error {
	if params == nil {
		params = struct{}{}
	}
	b.id++
	msg := map[string]any{"id": b.id, "method": method, "params": params}
	if b.session != "" {
		msg["sessionId"] = b.session
	}
	data, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	if _, err := b.to.Write(append(data, 0)); err != nil {
		return err
	}
	for {
		line, err := b.from.ReadBytes(0)
		if err != nil {
			return err
		}
		var m struct {
			ID     int
			Method string
			Params json.RawMessage
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(line[:len(line)-1], &m); err != nil {
			return err
		}
		switch m.Method {
		case "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled":
			b.events = append(b.events, string(m.Params))
		}
		if m.ID != b.id {
			continue
		}
		if m.Error != nil {
			return errors.New(m.Error.Message)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(m.Result, result)
	}
}

// js returns what an expression of the page is.
func (b *browser) js(expr string) any {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails *struct{ Text string }
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expr, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expr, r.ExceptionDetails.Text)
	}
	return r.Result.Value
}

// until waits until an expression of the page is true.
func (b *browser) until(expr string) {
	b.t.Helper()
	for end := time.Now().Add(20 * time.Second); b.js(expr) != true; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s does not become true; the page is\n%v", expr, b.js("document.documentElement.outerHTML"))
		}
	}
}

// open goes to a page.
func (b *browser) open(address string) {
	b.t.Helper()
	var r struct{ ErrorText string }
	b.call("Page.navigate", map[string]any{"url": address}, &r)
	if r.ErrorText != "" {
		b.t.Fatalf("%s: %s", address, r.ErrorText)
	}
	b.until("document.readyState === 'complete' && location.href === " + fmt.Sprintf("%q", address))
}

// looks sets the size of the window and the colours that the person prefers.
func (b *browser) looks(width int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// shot keeps a picture of the page in the folder of SMPCC_SHOTS, if that is set.
func (b *browser) shot(name string) {
	b.t.Helper()
	dir := os.Getenv("SMPCC_SHOTS")
	if dir == "" {
		return
	}
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	png, err := base64.StdEncoding.DecodeString(r.Data)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
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
	b := newBrowser(t)
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
			b.open(site + page.path)
			if over := b.js("document.documentElement.scrollWidth - document.documentElement.clientWidth"); over != 0.0 {
				t.Errorf("%s on %s is %v pixels wider than the window", page.name, look.name, over)
			}
			if small := b.js(`Array.from(document.querySelectorAll("nav a, button, input:not([type=hidden])")).filter(e => e.offsetParent && e.getBoundingClientRect().height < 43.5).length`); small != 0.0 {
				t.Errorf("%s on %s has %v targets that are too small", page.name, look.name, small)
			}
			if low := b.js(contrast); low != "" {
				t.Errorf("%s on %s: contrast below 4.5: %v", page.name, look.name, low)
			}
			b.shot(page.name + "-" + look.name)
		}
	}
	b.looks(1200, "light")
	b.open(site + "/requests/2")
	b.press("Tab")
	if b.js("document.activeElement.className") != "skip" {
		t.Error("the first key does not lead to the skip link")
	}
	want := []string{"Plans", "Requests", "History", "key", "approve", "Deny this request"}
	for range 60 {
		b.press("Tab")
		at := fmt.Sprint(b.js("document.activeElement.id || document.activeElement.textContent.trim()"))
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
	for _, e := range b.events {
		t.Errorf("the browser says %s", e)
	}
}

// press presses a key.
func (b *browser) press(key string) {
	b.t.Helper()
	for _, kind := range []string{"keyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": 9}, nil)
	}
}

// signs approves the request of the page, and looks for what came of it: a statement that verifies, and no key at the server.
func (o *office) signs(b *browser, v3 string) {
	t := o.t
	b.until("document.getElementById('sign').hidden === false")
	click := "document.getElementById('approve').click()"
	b.js(click)
	b.until("document.getElementById('told').textContent === 'choose the file of your key first'")
	var doc struct{ Root struct{ NodeID int } }
	var input struct{ NodeID int }
	choose := func(file string) {
		b.call("DOM.getDocument", nil, &doc)
		b.call("DOM.querySelector", map[string]any{"nodeId": doc.Root.NodeID, "selector": "#key"}, &input)
		b.call("DOM.setFileInputFiles", map[string]any{"nodeId": input.NodeID, "files": []string{filepath.Join(o.dir, file)}}, nil)
	}
	choose("ops.yaml")
	b.js(click)
	b.until("document.getElementById('told').textContent.startsWith('the file holds no private key')")
	b.js(`document.getElementById("by").value = "the officer's \"own\" \\ name"`)
	b.js("document.getElementById('why').value = 'agreed'")
	choose("officer.pem")
	b.js(click)
	b.until("document.readyState === 'complete' && document.querySelector('.state.approved') !== null")
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
