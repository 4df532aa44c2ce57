package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/control"
	"smpcc/runtime/keys"
	"smpcc/runtime/server"
)

// party returns a server of p1 that does not listen; its peers do not exist.
func party(t testing.TB) *server.Server {
	t.Helper()
	m := credit()
	dir := t.TempDir()
	if err := keys.Dev(filepath.Join(dir, "keys"), []string{"p1"}); err != nil {
		t.Fatal(err)
	}
	cfg := &server.Config{Config: control.Config{TLS: keys.DevFiles(filepath.Join(dir, "keys"), "p1"), Servers: map[string]string{"p0": "127.0.0.1:1", "d": "127.0.0.1:1"}, Timeout: "20ms"},
		Listen: "127.0.0.1:0", State: filepath.Join(dir, "state"), Clients: []string{"p1-client"}, InputTimeout: "20ms"}
	for _, p := range m.plan.Manifest.Policies {
		if p.Owner == "p1" {
			cfg.PolicyDigest = p.Digest
		}
	}
	s, err := server.New(cfg, m.plan, make([][]uint64, len(m.plan.Manifest.Weights)), false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Quit)
	return s
}

// TestReplayedRequests gives a party the lead's requests again, and requests of those who may not make them.
func TestReplayedRequests(t *testing.T) {
	s := party(t)
	digest := credit().plan.Digest()
	join := func(peer, purpose string, id int) error {
		_, err := s.Handle(t.Context(), "Join", peer, fmt.Appendf(nil, `{"plan":%q,"purpose":%q,"id":%d}`, digest, purpose, id))
		return err
	}
	if err := join("p0", "setup", 5); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int{5, 4, 0} {
		if err := join("p0", "setup", id); err == nil || !strings.Contains(err.Error(), "has been used") {
			t.Errorf("setup %d again: %v", id, err)
		}
	}
	for _, peer := range []string{"p1", "d", "p1-client", "stranger"} {
		if err := join(peer, "setup", 9); err == nil || !strings.Contains(err.Error(), "led by p0") {
			t.Errorf("%s: %v", peer, err)
		}
	}
	if err := join("p0", "session", 1); err == nil || !strings.Contains(err.Error(), "setup is needed") {
		t.Errorf("session without a setup: %v", err)
	}
	for method, who := range map[string]string{"Input": "p0", "Result": "d", "Key": "p0", "Open": "p1-client", "Generate": "p1-client", "Material": "stranger", "Status": "stranger", "Wait": "stranger", "Leave": "p1-client"} {
		if _, err := s.Handle(t.Context(), method, who, []byte(`{"id":5}`)); err == nil {
			t.Errorf("%s was answered to %s", method, who)
		}
	}
}

// FuzzControl gives every handler any request of any peer. It answers or refuses, in time and without a panic, and no
// request but the lead's moves the ledger.
func FuzzControl(f *testing.F) {
	digest := credit().plan.Digest()
	methods := []string{"Status", "Open", "Join", "Wait", "Key", "Input", "Result", "Generate", "Material", "Leave"}
	peers := []string{"p0", "p1", "d", "p1-client", "stranger", ""}
	for i := range methods {
		f.Add(i, i%len(peers), []byte(fmt.Sprintf(`{"plan":%q,"purpose":"session","id":18446744073709551615,"stock":1,"count":-1,"epoch":1}`, digest)))
	}
	f.Add(2, 0, []byte(fmt.Sprintf(`{"plan":%q,"purpose":"material","id":1,"count":16,"epoch":0}`, digest)))
	f.Add(5, 3, []byte(`{"id":1,"inputs":{"input":"AAAA"}}`))
	f.Add(5, 3, []byte(`{"id":1,"inputs":null}`))
	s := party(f)
	f.Fuzz(func(t *testing.T, method, peer int, req []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		m, p := methods[uint(method)%uint(len(methods))], peers[uint(peer)%uint(len(peers))]
		out, err := s.Handle(ctx, m, p, req)
		if ctx.Err() != nil {
			t.Errorf("%s of %s took a second", m, p)
		}
		if err == nil && !json.Valid(out) {
			t.Errorf("%s answered %q", m, out)
		}
	})
}
