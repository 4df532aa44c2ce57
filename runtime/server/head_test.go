package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
	"smpcc/runtime/server"
)

// rewrite makes another log of the entries of one, as somebody would who wants one of them gone.
func rewrite(t *testing.T, path string, keep func(e attest.Entry) bool) {
	t.Helper()
	var events []attest.Event
	if _, err := attest.WalkLog(path, "", "", func(e attest.Entry) {
		if keep(e) {
			events = append(events, e.Event)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	l, err := attest.OpenLog(disk.Machine, path, "p1")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestHeadsOfOthers has a party rewrite its log, and cut its end off, in ways that verify at home. The others see it: a line, a metric, an entry of their own logs. A log that goes on, also
// over a restart, is no reason.
func TestHeadsOfOthers(t *testing.T) {
	const pause = 150 * time.Millisecond
	server.CompareEvery(t, pause)
	h := newOffice(t, credit())
	h.cfg["p0"].Telemetry.Listen = freeAddress(t)
	h.must()
	c := h.client("p1-client", "p0", "p1")
	noted := func() {
		t.Helper()
		for range 3 {
			if err := h.infers(c); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(4 * pause)
	}
	text := "the log of another role does not go on where it was"
	noted()
	h.stop("p1")
	h.must("p1")
	noted()
	h.stop("p0")
	h.must("p0")
	noted()
	if l := h.logs["p0"].with(text); len(l) > 0 {
		t.Fatalf("logs that go on: %s", l)
	}
	path := filepath.Join(h.cfg["p1"].State, "audit.log")
	wait := func(n int, what string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); len(h.logs["p0"].with(text, what)) < n || len(h.logs["d"].with(text, what)) < n; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("p0 says %s, d says %s", h.logs["p0"].with(text), h.logs["d"].with(text))
			}
		}
	}
	h.stop("p1")
	last := uint64(0)
	rewrite(t, path, func(e attest.Entry) bool { last = e.Seq; return e.Session != 2 })
	more, err := attest.OpenLog(disk.Machine, path, "p1")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 { // and goes on, to be as long as it was
		if err := more.Add(attest.Event{What: "session", Role: "p1", Session: last}); err != nil {
			t.Fatal(err)
		}
	}
	if err := more.Close(); err != nil {
		t.Fatal(err)
	}
	h.must("p1")
	wait(1, "it was rewritten")
	if got := scrape(t, h.cfg["p0"].Telemetry.Listen); !strings.Contains(got, "smpcc_log_heads_wrong 1") || !strings.Contains(got, `smpcc_failures_total{what="head"} 1`) || !strings.Contains(got, `smpcc_alerts_total{kind="log-head",result="no webhook"} 1`) {
		t.Errorf("metrics:\n%s", got)
	}
	h.stop("p1")
	rewrite(t, path, func(e attest.Entry) bool { return e.Seq < 5 })
	h.must("p1")
	wait(1, "its end was removed, or it was replaced")
	n := 0
	for _, e := range h.logOf("p0") {
		if e.What == "head" && e.Client == "p1" && e.Decision == "refused" {
			n++
		}
	}
	if n != 2 {
		t.Errorf("the log of p0 has %d entries of it, want 2", n)
	}
}
