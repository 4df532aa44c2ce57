package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc/runtime/client"
	"smpcc/runtime/control"
	"smpcc/runtime/keys"
	"smpcc/runtime/server"
)

// A house is all roles of a plan as servers in the test's process, each with a configuration that tests may change before it starts.
type house struct {
	t     testing.TB
	m     *model
	keys  string
	cfg   map[string]*server.Config
	addrs map[string]string
	lives map[string]func() // by role: ends its server
	logs  map[string]*lines
}

// lines is a log that is written and read at once.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// with returns the lines that hold all of the texts.
func (l *lines) with(texts ...string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
search:
	for _, line := range strings.Split(l.b.String(), "\n") {
		for _, text := range texts {
			if !strings.Contains(line, text) {
				continue search
			}
		}
		out = append(out, line)
	}
	return out
}

// newHouse prepares the roles of a plan. Clients of every party are known at every server; more names get certificates too.
func newHouse(t testing.TB, m *model, names ...string) *house {
	t.Helper()
	h := &house{t: t, m: m, keys: filepath.Join(t.TempDir(), "keys"), cfg: map[string]*server.Config{}, addrs: map[string]string{}, lives: map[string]func(){}, logs: map[string]*lines{}}
	var clients []string
	for _, r := range m.plan.Roles() {
		clients = append(clients, keys.ClientName(r))
		h.addrs[r] = freeAddress(t)
	}
	if err := keys.Dev(h.keys, append(append(append([]string{}, m.plan.Roles()...), clients...), names...)); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.plan.Roles() {
		servers := map[string]string{}
		for name, addr := range h.addrs {
			servers[name] = addr
		}
		h.cfg[r] = &server.Config{Config: control.Config{Servers: servers, TLS: keys.DevFiles(h.keys, r), Timeout: "5s"}, Listen: h.addrs[r], State: filepath.Join(t.TempDir(), "state"), Clients: clients, MaterialClients: []string{keys.ClientName("p1")}, InputTimeout: "5s", Drain: "5s"}
		for _, p := range m.plan.Manifest.Policies {
			if p.Owner == r {
				h.cfg[r].PolicyDigest = p.Digest
			}
		}
		h.logs[r] = &lines{}
	}
	t.Cleanup(func() {
		for r := range h.lives {
			h.stop(r)
		}
	})
	return h
}

// start starts roles, all of them if none is named, and returns the first error.
func (h *house) start(roles ...string) error {
	h.t.Helper()
	if len(roles) == 0 {
		roles = h.m.plan.Roles()
	}
	for _, r := range roles {
		own := make([][]uint64, len(h.m.weights))
		for i, w := range h.m.plan.Manifest.Weights {
			if w.Owner == r {
				own[i] = h.m.weights[i]
			}
		}
		dealer := r == h.m.plan.Manifest.Dealer
		if dealer {
			own = nil
		}
		s, err := server.New(h.cfg[r], h.m.plan, own, dealer, slog.New(slog.NewJSONHandler(h.logs[r], nil)))
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(context.Background())
		up, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- s.Serve(ctx, func(net.Addr) { close(up) })
		}()
		select {
		case <-up:
		case err := <-ended:
			cancel()
			return err
		}
		h.lives[r] = func() {
			cancel()
			if err := <-ended; err != nil {
				h.t.Errorf("%s: %v", r, err)
			}
		}
	}
	return nil
}

// must starts roles that must start.
func (h *house) must(roles ...string) {
	h.t.Helper()
	if err := h.start(roles...); err != nil {
		h.t.Fatal(err)
	}
}

// stop ends a role's server.
func (h *house) stop(role string) {
	if end := h.lives[role]; end != nil {
		delete(h.lives, role)
		end()
	}
}

// client returns a client with a certificate of that name, which acts for parties.
func (h *house) client(name string, parties ...string) *client.Client {
	h.t.Helper()
	c, err := client.New(&control.Config{Servers: h.addrs, TLS: keys.DevFiles(h.keys, name), ActsFor: parties, Timeout: "5s"}, h.m.plan)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	return c
}

// raw returns a client with the methods of one server.
func (h *house) raw(name string, parties ...string) *control.Client {
	h.t.Helper()
	c, err := control.NewClient(&control.Config{Servers: h.addrs, TLS: keys.DevFiles(h.keys, name), ActsFor: parties, Timeout: "5s"}, h.m.plan)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	return c
}

// infers runs a session, which must be right if it ends well.
func (h *house) infers(c *client.Client) error {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := c.InferWords(ctx, h.m.input)
	if err == nil && !h.m.right(r) {
		h.t.Error("the result is wrong")
	}
	return err
}
