package server_test

import (
	"path/filepath"
	"strings"
	"testing"

	"smpcc/runtime/client"
	"smpcc/runtime/control"
	"smpcc/runtime/keys"
)

// TestClientsDoNotHang uses clients of servers that cannot be reached, without a deadline of their own. Each call ends with a text that says what to look at.
func TestClientsDoNotHang(t *testing.T) {
	h := newHouse(t, credit())
	h.must("d")
	far := newHouse(t, credit()) // of another authority
	far.must("p0")
	for name, tt := range map[string]struct{ addr, want string }{
		"all servers down":  {h.addrs["p0"], "connection refused; is its server running"},
		"wrong port":        {h.addrs["d"], "; does servers lead to another role?"},
		"unknown host":      {"p0.invalid:7101", "; is the address in servers right?"},
		"another authority": {far.addrs["p0"], "; do both sides have the same tls.ca?"},
	} {
		cfg := &control.Config{Servers: map[string]string{"p0": tt.addr, "p1": tt.addr}, TLS: keys.DevFiles(h.keys, "p1-client"), ActsFor: []string{"p1"}, Timeout: "300ms"}
		c, err := client.New(cfg, h.m.plan)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := control.NewClient(cfg, h.m.plan)
		if err != nil {
			t.Fatal(err)
		}
		for call, f := range map[string]func() error{
			"InferWords": func() error { _, err := c.InferWords(t.Context(), h.m.input); return err },
			"Generate":   func() error { _, err := raw.Generate(t.Context(), 1); return err },
			"Stock":      func() error { _, err := raw.Stock(t.Context(), "p0"); return err },
			"Result":     func() error { _, err := raw.Result(t.Context(), control.Ticket{Session: 1}, "p0"); return err },
		} {
			if err := f(); err == nil || !strings.HasPrefix(err.Error(), "p0 at "+tt.addr+" cannot be reached: ") || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %s: %v", name, call, err)
			}
		}
		c.Close()
		raw.Close()
	}
	if _, err := client.New(&control.Config{Servers: h.addrs, TLS: keys.DevFiles(filepath.Join(h.keys, "none"), "p1-client")}, h.m.plan); err == nil {
		t.Error("a client without a certificate")
	}
}
