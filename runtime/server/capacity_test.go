package server_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/server"
)

// TestInputsAreCounted gives a role memory that is enough for a session to compute in, but not for its inputs. The check and the start refuse that, and say what to set; with
// that it starts, and has room for one session.
func TestInputsAreCounted(t *testing.T) {
	m := credit()
	h := newHouse(t, m)
	cfg := h.cfg["p1"]
	cfg.Plan = filepath.Join(t.TempDir(), "plan")
	if err := plan.WriteFile(cfg.Plan, m.plan); err != nil {
		t.Fatal(err)
	}
	need, computing := server.SessionMemory(m.plan, 1), m.plan.SessionBytes(1)
	in, out := m.plan.Manifest.Inputs[0], m.plan.Manifest.Outputs[0]
	if want := computing + int64(plan.PackedBytes(in.Len(), in.Bits)) + 8*int64(in.Len()) + 8*int64(out.Len()); need != want {
		t.Fatalf("a session takes %d bytes, want %d", need, want)
	}
	if server.SessionMemory(m.plan, 0) != m.plan.SessionBytes(0) { // owns neither
		t.Error("p0 counts inputs or outputs")
	}
	const want = "limits.memory is "
	for _, memory := range []int64{computing, need - 1} {
		cfg.Limits.Memory = sizeOf(memory)
		if err := h.start("p1"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "for its inputs and outputs; set limits.memory to 1MiB or more") {
			t.Errorf("%d bytes: a start says %v", memory, err)
		}
		said := false
		for _, f := range server.Check(t.Context(), cfg, false) {
			said = said || f.What == "plan" && f.Failed && strings.Contains(f.Detail, want)
		}
		if !said {
			t.Errorf("%d bytes: the check finds nothing", memory)
		}
	}
	cfg.Limits.Memory = sizeOf(need)
	h.must()
	if err := h.infers(h.client("p1-client", "p1")); err != nil {
		t.Error(err)
	}
}

// TestCapacityIsLearnedAgain restarts each role with other limits. The lead admits what the narrowest role can run now, also
// after its own restart, and requests beyond that wait at the lead instead of failing at the peer.
func TestCapacityIsLearnedAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	m := credit()
	f := newFleet(t, m)
	numbers := f.telemetry("p0")
	limit := func(role, lines string) {
		f.kill(role)
		f.extra[role] = lines + "timeout: 2s\ninput_timeout: 3s\n"
		f.start(role)
		f.ready(role)
	}
	f.extra["p0"] += "limits: {sessions: 8}\n"
	f.extra["p1"] = "limits: {sessions: 3}\n"
	f.startAll()
	cl := f.client()
	admits := func(when string, want int) {
		t.Helper()
		f.works(cl, when)
		if got := metric(t, numbers, "smpcc_sessions_limit"); got != want {
			t.Errorf("%s: the lead admits %d sessions, want %d", when, got, want)
		}
	}
	admits("at first", 3)
	limit("p1", "limits: {sessions: 2}\n")
	admits("p1 has less room", 2)
	limit("p1", "limits: {sessions: 5}\n")
	admits("p1 has more room", 5)
	limit("d", "limits: {sessions: 4}\n")
	admits("d has less room", 4)
	need := server.SessionMemory(m.plan, 1)
	limit("p1", "limits: {memory: "+sizeOf(2*need+1)+"}\n")
	admits("p1 has less memory", 2)
	limit("p1", "limits: {sessions: 1}\n")
	limit("p0", "limits: {sessions: 8}\ntelemetry: {listen: '"+numbers+"'}\n")

	// p0 has come back and knows nothing; the first session holds the only place until its input is late
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := cl.Session(ctx); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 3)
	for range cap(done) {
		go func() {
			_, err := cl.InferWords(ctx, m.input)
			done <- err
		}()
	}
	for range cap(done) {
		if err := <-done; err != nil {
			t.Errorf("a request that had to wait: %v", err)
		}
	}
	admits("p0 has come back", 1)
}
