// Package chromium drives a headless Chromium over a pipe, in the Chrome DevTools Protocol: tests of pages open them in it. It is for tests alone.
package chromium

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// patience is how long a page may take for what is waited for.
const patience = 30 * time.Second

// Path returns where Chromium is. Where there is none the test is skipped, or fails if SMPCC_CHROMIUM asks for one.
func Path(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	if os.Getenv("SMPCC_CHROMIUM") != "" {
		t.Fatal("there is no Chromium, and SMPCC_CHROMIUM asks for one")
	}
	t.Skip("there is no Chromium")
	return ""
}

// A Browser is a Chromium with one page.
type Browser struct {
	Events []string // of the page: messages of its console, and errors

	t       testing.TB
	to      io.Writer
	from    *bufio.Reader
	id      int
	session string
}

// New starts a Chromium that ends with the test.
func New(t testing.TB) *Browser {
	t.Helper()
	path := Path(t)
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
	c := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions", "--disable-background-networking",
		"--remote-debugging-pipe", "--window-size=900,1400", "--user-data-dir="+dir, "about:blank")
	c.ExtraFiles = []*os.File{inR, outW}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = inR.Close(), outW.Close() // they are the browser's
	t.Cleanup(func() {
		_ = inW.Close() // with which it ends
		timer := time.AfterFunc(5*time.Second, func() { _ = c.Process.Kill() })
		defer timer.Stop()
		_ = c.Wait() // how it ends says nothing
		_ = outR.Close()
		_ = os.RemoveAll(dir) // it may write to it to the end
	})
	b := &Browser{t: t, to: inW, from: bufio.NewReaderSize(outR, 1<<20)}
	var target struct{ TargetID string }
	b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "DOM"} {
		b.Call(domain+".enable", nil, nil)
	}
	return b
}

// Call has the browser do something, waits until it has, and decodes what it answers into result, unless that is nil.
func (b *Browser) Call(method string, params, result any) {
	b.t.Helper()
	if err := b.call(method, params, result); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
}

func (b *Browser) call(method string, params, result any) error {
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
			b.Events = append(b.Events, string(m.Params))
		}
		switch {
		case m.ID != b.id:
		case m.Error != nil:
			return errors.New(m.Error.Message)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(m.Result, result)
		}
	}
}

// Eval returns what an expression of the page, or a promise, comes to.
func (b *Browser) Eval(expression string) any {
	b.t.Helper()
	var r struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.Call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", expression, r.ExceptionDetails)
	}
	return r.Result.Value
}

// Until waits until an expression of the page is true.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	for end := time.Now().Add(patience); b.Eval(expression) != true; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("%s does not become true; the page is\n%v", expression, b.Eval("document.documentElement.outerHTML"))
		}
	}
}

// Key presses and releases a key, which types text if there is any.
func (b *Browser) Key(key string, code int, text string) {
	b.t.Helper()
	p := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if text != "" {
		p["text"] = text
	}
	b.Call("Input.dispatchKeyEvent", p, nil)
	b.Call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
}

// Picture keeps a picture of the page in the folder that SMPCC_SHOTS names, if it names one.
func (b *Browser) Picture(name string) {
	b.t.Helper()
	dir := os.Getenv("SMPCC_SHOTS")
	if dir == "" {
		return
	}
	var r struct{ Data []byte }
	b.Call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), r.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}
