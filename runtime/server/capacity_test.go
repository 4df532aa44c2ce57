package server_test

import (
	"context"
	"testing"
	"time"
)

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
	need := m.plan.SessionBytes(1)
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
