package web

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/clients/chromium"
	"smpcc/runtime/guest"
	"smpcc/runtime/share"
)

// A browser opens pages for guests.
type browser struct{ *chromium.Browser }

func newBrowser(t *testing.T) browser { return browser{chromium.New(t)} }

// open loads a page; anew, where only what stands behind # is another.
func (b browser) open(url string) {
	b.Call("Page.navigate", map[string]any{"url": "about:blank"}, nil)
	b.Call("Page.navigate", map[string]any{"url": url}, nil)
	b.Until(`document.readyState === "complete" && !!document.getElementById("status")`)
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
