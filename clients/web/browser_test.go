package web

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/guest"
	"smpcc/runtime/share"
)

// A browser is a headless Chromium that is spoken to over a pipe, in the Chrome DevTools Protocol.
type browser struct {
	t       *testing.T
	in      io.Writer
	out     *bufio.Reader
	next    int
	session string
}

// newBrowser starts Chromium, or skips the test where there is none, unless SMPCC_CHROMIUM asks for it.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			path = p
			break
		}
	}
	if path == "" {
		if os.Getenv("SMPCC_CHROMIUM") != "" {
			t.Fatal("there is no Chromium, and SMPCC_CHROMIUM asks for one")
		}
		t.Skip("there is no Chromium")
	}
	toIn, toOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fromIn, fromOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking", "--remote-debugging-pipe", "--window-size=900,1400", "--user-data-dir="+t.TempDir(), "about:blank")
	c.ExtraFiles = []*os.File{toIn, fromOut}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = toIn.Close()
	_ = fromOut.Close()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		_ = toOut.Close()
		_ = fromIn.Close()
		time.Sleep(200 * time.Millisecond) // its children write to the folder that is about to go
	})
	b := &browser{t: t, in: toOut, out: bufio.NewReader(fromIn)}
	var target struct {
		TargetID string `json:"targetId"`
	}
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Page.enable", nil, nil)
	return b
}

// call sends a command and waits for its answer.
func (b *browser) call(method string, params any, into any) {
	b.t.Helper()
	b.next++
	msg := map[string]any{"id": b.next, "method": method}
	if params != nil {
		msg["params"] = params
	}
	if b.session != "" {
		msg["sessionId"] = b.session
	}
	data, err := json.Marshal(msg)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.in.Write(append(data, 0)); err != nil {
		b.t.Fatal(err)
	}
	for {
		line, err := b.out.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var reply struct {
			ID     int             `json:"id"`
			Result json.RawMessage `json:"result"`
			Error  json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(bytes.TrimSuffix(line, []byte{0}), &reply); err != nil {
			b.t.Fatal(err)
		}
		if reply.ID != b.next {
			continue
		}
		if reply.Error != nil {
			b.t.Fatalf("%s: %s", method, reply.Error)
		}
		if into != nil {
			if err := json.Unmarshal(reply.Result, into); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

// eval returns what an expression, or a promise, comes to.
func (b *browser) eval(expression string) any {
	b.t.Helper()
	var r struct {
		Result struct {
			Value any `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true}, &r)
	if r.Exception != nil {
		b.t.Fatalf("%s: %s", expression, r.Exception)
	}
	return r.Result.Value
}

// open loads a page.
func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.until(`document.readyState === "complete" && !!document.getElementById("status")`)
}

// until waits until an expression is true.
func (b *browser) until(expression string) {
	b.t.Helper()
	for range 600 {
		if b.eval(expression) == true {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	b.t.Fatalf("%s does not come true; the page says %v", expression, b.eval(`document.body ? document.body.innerText : ""`))
}

// picture keeps a screenshot, if SMPCC_SCREENSHOTS names a folder.
func (b *browser) picture(name string) {
	b.t.Helper()
	dir := os.Getenv("SMPCC_SCREENSHOTS")
	if dir == "" {
		return
	}
	var r struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &r)
	if err := os.WriteFile(filepath.Join(dir, name+".png"), r.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// key presses and releases a key.
func (b *browser) key(key string, code int, text string) {
	b.t.Helper()
	p := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": code}
	if text != "" {
		p["text"] = text
	}
	b.call("Input.dispatchKeyEvent", p, nil)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": code}, nil)
}

// fakes are parties that put the shares of a request together, which no party can, and answer with shares of what compute makes of them.
type fakes struct {
	plan    *plan.Plan
	compute func(words [][]uint64) map[string][]uint64
	refuse  func(token string) string
	servers map[string]string
	mu      sync.Mutex
	held    map[string][][][]uint64 // by ticket, party
	answers map[string][][][]uint64
	cond    *sync.Cond
	seen    [][]uint64 // of the last request
	slow    time.Duration
}

func newFakes(t *testing.T, p *plan.Plan, compute func(words [][]uint64) map[string][]uint64) *fakes {
	f := &fakes{plan: p, compute: compute, servers: map[string]string{}, held: map[string][][][]uint64{}, answers: map[string][][][]uint64{}, refuse: func(string) string { return "" }}
	f.cond = sync.NewCond(&f.mu)
	for i, party := range p.Manifest.Parties {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.answer(i, w, r) })}}
		s.Start()
		t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
		f.servers[party] = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	}
	return f
}

func (f *fakes) answer(party int, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "null")
	if r.Method == http.MethodGet {
		page, err := Page(f.plan, f.servers)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write(page)
		return
	}
	if o := r.Header.Get("Origin"); o != "null" {
		w.Header().Set("Access-Control-Allow-Origin", o)
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != guest.ContentType || r.Header.Get("Cookie") != "" {
		http.Error(w, "a preflight, or another request than a guest's", http.StatusTeapot)
		return
	}
	time.Sleep(f.slow)
	no := func(status int, text string) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(guest.Refusal{Error: text, Hint: "ask who invited you for a new link"})
	}
	body, _ := io.ReadAll(r.Body)
	var head guest.Head
	data, err := guest.Unframed(body, &head)
	if err != nil || guest.CheckTicket(head.Ticket) != nil || head.Plan != f.plan.Digest() {
		no(http.StatusBadRequest, fmt.Sprint("malformed: ", err))
		return
	}
	if text := f.refuse(head.Token); text != "" {
		no(http.StatusUnauthorized, text)
		return
	}
	m := &f.plan.Manifest
	words, err := guest.Words(m, party, data)
	if err != nil {
		no(http.StatusBadRequest, err.Error())
		return
	}
	defer context.AfterFunc(r.Context(), func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.cond.Broadcast()
	})()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held[head.Ticket] == nil {
		f.held[head.Ticket] = make([][][]uint64, len(m.Parties))
	}
	f.held[head.Ticket][party] = words
	f.cond.Broadcast()
	for {
		n := 0
		for _, x := range f.held[head.Ticket] {
			if x != nil {
				n++
			}
		}
		if n == len(m.Parties) {
			break
		}
		if r.Context().Err() != nil {
			return
		}
		f.cond.Wait()
	}
	if f.answers[head.Ticket] == nil {
		f.answers[head.Ticket] = f.run(f.held[head.Ticket])
	}
	kept := map[string][]uint64{}
	for i, o := range m.Outputs {
		kept[o.Name] = f.answers[head.Ticket][i][party]
	}
	names, out := guest.Given(m, kept)
	msg, _ := guest.Framed(guest.Answer{Party: m.Parties[party], Plan: head.Plan, Session: 7, Outputs: names}, out)
	_, _ = w.Write(msg)
}

// run returns the parties' shares of each output.
func (f *fakes) run(held [][][]uint64) (out [][][]uint64) {
	m := &f.plan.Manifest
	words := make([][]uint64, len(m.Inputs))
	for k := range m.Inputs {
		words[k] = make([]uint64, m.Inputs[k].Len())
		for _, party := range held {
			for i, w := range party[k] {
				if m.Inputs[k].Elem == "bool" {
					words[k][i] ^= w
				} else {
					words[k][i] = (words[k][i] + w) << (64 - m.Inputs[k].Bits) >> (64 - m.Inputs[k].Bits)
				}
			}
		}
	}
	f.seen = words
	results := f.compute(words)
	for i := range m.Outputs {
		o := m.Outputs[i]
		w := make([]uint64, o.Len())
		for k, x := range results[o.Name] {
			w[k] = x << (64 - o.Bits) >> (64 - o.Bits)
		}
		s, err := share.Split(&o, w, len(m.Parties))
		if err != nil {
			panic(err)
		}
		out = append(out, s)
	}
	return out
}
