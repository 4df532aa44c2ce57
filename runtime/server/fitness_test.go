package server_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/disk/faulty"
	"smpcc/runtime/server"
)

// ready reads /readyz until it answers with a status and a text.
func ready(t *testing.T, addr string, status int, want string) {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, err := c.Get("http://" + addr + "/readyz")
		var text []byte
		if err == nil {
			text, err = io.ReadAll(r.Body)
			r.Body.Close()
		}
		if err == nil && r.StatusCode == status && strings.Contains(string(text), want) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("/readyz says %v %q (%v), want %d %q", r, text, err, status, want)
			return
		}
	}
}

// TestNotReady takes from a running server what it needs, one thing after another: room on its disk, a peer with the same plan, the time of its certificate. Each makes it not
// ready, with a text and a line in the log; and it is ready again when that is mended. A peer that is only away changes nothing.
func TestNotReady(t *testing.T) {
	h := newHouse(t, credit())
	d := faulty.Slow(0)
	var ahead atomic.Int64
	addr := freeAddress(t)
	h.cfg["p0"].Disk, h.cfg["p0"].Telemetry.Listen = d, addr
	h.cfg["p0"].Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	h.must()
	ready(t, addr, http.StatusOK, "ok")

	d.Fill()
	ready(t, addr, http.StatusServiceUnavailable, "no space left")
	if n := len(h.logs["p0"].with(`"level":"ERROR"`, "not ready", "no space left")); n != 1 {
		t.Errorf("%d lines, want one", n)
	}
	if metrics(t, addr)["smpcc_ready"] != 0 {
		t.Error("smpcc_ready is not 0")
	}
	d.Heal()
	ready(t, addr, http.StatusOK, "ok")

	h.stop("p1")
	good := h.m
	other := renamed(t, good.plan, "-other")
	h.m = &model{plan: other, weights: good.weights}
	h.must("p1")
	ready(t, addr, http.StatusServiceUnavailable, "p1 runs plan")
	h.stop("p1")
	ready(t, addr, http.StatusOK, "ok") // it is away, which the lead's own readiness does not mend
	h.m = good
	h.must("p1")

	works(t, h, "before its certificate ends")
	connected := h.raw("p1-client", "p1")
	if err := connected.Ready(t.Context(), "p0"); err != nil {
		t.Fatal(err)
	}
	ahead.Store(int64(100 * 24 * time.Hour)) // development certificates hold for 90 days
	ready(t, addr, http.StatusServiceUnavailable, "certificate")
	refusedFor(t, "over a connection from before", "ended at", func(ctx context.Context) error { _, err := connected.Open(ctx); return err })
	refusedFor(t, "over a new connection", "expired", func(ctx context.Context) error {
		for { // a handshake that is refused can end before its reason has been read
			if _, err := h.raw("p1-client", "p1").Open(ctx); err == nil || strings.Contains(err.Error(), "expired") || ctx.Err() != nil {
				return err
			}
		}
	})
	h.stop("p0")
	if err := h.start("p0"); err == nil || !strings.Contains(err.Error(), "certificate ended at") {
		t.Errorf("started with an expired certificate: %v", err)
	}
	ahead.Store(0)
	h.must("p0")
	ready(t, addr, http.StatusOK, "ok")
	works(t, h, "with the right time")
}

// TestCheckReadsAllState damages what a start reads: weights, ledger, log, certificate. The check of the configuration says it, with the text of a start.
func TestCheckReadsAllState(t *testing.T) {
	h := newHouse(t, credit())
	h.must()
	if err := h.infers(h.client("p1-client", "p1")); err != nil {
		t.Fatal(err)
	}
	for r := range h.cfg {
		h.stop(r)
	}
	cfg := h.cfg["p0"]
	cfg.Plan = filepath.Join(t.TempDir(), "plan")
	if err := plan.WriteFile(cfg.Plan, h.m.plan); err != nil {
		t.Fatal(err)
	}
	cfg.Weights = cfg.Plan // some file
	var weights error
	cfg.ReadWeights = func(*plan.Plan, string, string) ([][]uint64, error) { return nil, weights }
	failed := func(what string) string {
		t.Helper()
		var texts []string
		for _, f := range server.Check(t.Context(), cfg, false) {
			if f.What == what && f.Failed {
				texts = append(texts, f.Detail)
			}
		}
		return strings.Join(texts, "\n")
	}
	for _, what := range []string{"weights", "state", "certificate", "plan"} {
		if text := failed(what); text != "" {
			t.Errorf("%s: %s", what, text)
		}
	}
	weights = errors.New("weights are cut short")
	if text := failed("weights"); text != weights.Error() {
		t.Errorf("weights: %q", text)
	}
	weights = nil
	damage := func(name string, f func([]byte) []byte, want string) {
		t.Helper()
		path := filepath.Join(cfg.State, name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, f(append([]byte{}, good...)), 0o600)); err != nil {
			t.Fatal(err)
		}
		if text := failed("state"); !strings.Contains(text, want) {
			t.Errorf("%s: the check says %q, want %q", name, text, want)
		}
		if err := h.start("p0"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: a start says %v, want %q", name, err, want)
		}
		if err := errors.Join(os.Remove(path), os.WriteFile(path, good, 0o600)); err != nil { // a process that gives up keeps its lock to its end
			t.Fatal(err)
		}
	}
	damage("ledger.db", func(b []byte) []byte {
		for i := range b {
			b[i] ^= 0x55
		}
		return b
	}, "ledger")
	damage("ledger.db", func(b []byte) []byte { return b[:len(b)/3] }, "ledger")
	damage("ledger.db", func([]byte) []byte { return nil }, "ledger")
	damage("audit.log", func(b []byte) []byte { b[20] ^= 1; return b }, "audit.log")
	cfg.Now = func() time.Time { return time.Now().Add(-24 * time.Hour) }
	if text := failed("certificate"); !strings.Contains(text, "valid from") {
		t.Errorf("certificate: %q", text)
	}
	cfg.Now = nil
	h.must()
	if err := h.infers(h.client("p1-client", "p1")); err != nil {
		t.Error(err)
	}
}
