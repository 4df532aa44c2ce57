package server_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHungRole stops the traffic between the lead and p1 while requests come, more of them than there is room for. All end soon after the first has waited for
// p1, with an error that names it; each leaves a line in the lead's log and is counted; and when p1 is back, sessions work.
func TestHungRole(t *testing.T) {
	h := newHouse(t, credit())
	px := newProxy(t, h.addrs["p1"])
	h.cfg["p0"].Servers["p1"] = px.addr()
	h.cfg["p0"].Timeout, h.cfg["p0"].Limits.Sessions, h.cfg["p0"].Limits.QueueTimeout = "3s", 4, "1m"
	h.cfg["p0"].Telemetry.Listen = freeAddress(t)
	h.must()
	cl := h.client("p1-client", "p1")
	if err := h.infers(cl); err != nil {
		t.Fatal(err)
	}
	px.set(func() { px.stopped = true })
	const requests = 12
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // one after another would take 12 times 3 s at least
	defer cancel()
	var wg sync.WaitGroup
	var ready sync.WaitGroup
	ready.Add(requests)
	errs := make([]error, requests)
	for i := range errs {
		c := h.raw("p1-client", "p1")
		wg.Go(func() {
			if err := c.Ready(ctx, "p0"); err != nil {
				t.Error(err)
			}
			ready.Done()
			ready.Wait()
			_, errs[i] = c.Open(ctx)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "p1 at ") || strings.Contains(err.Error(), "raise limits") {
			t.Errorf("request %d: %v", i, err)
		}
	}
	if n := len(h.logs["p0"].with(`"level":"ERROR"`, `"what":"opening"`, `"from":"p1-client"`, "p1 at ")); n != requests {
		t.Errorf("%d lines in the lead's log, want %d", n, requests)
	}
	list := metrics(t, h.cfg["p0"].Telemetry.Listen)
	if n := list[`smpcc_failures_total{what="opening"}`]; n != requests {
		t.Errorf("%v failures are counted, want %d: %v", n, requests, list)
	}
	px.set(func() { px.stopped = false })
	px.cut()
	works(t, h, "after it")
}

// works wants sessions to work again within a time in which connections are made again.
func works(t *testing.T, h *house, when string) {
	t.Helper()
	cl := h.client("p1-client", "p1")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the lead looks at roles that are away by itself
		err := h.infers(cl)
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %v", when, err)
		}
	}
}

// TestFailuresAreLogged opens a session for which there is no room: the refusal leaves a line in the log.
func TestFailuresAreLogged(t *testing.T) {
	h := newHouse(t, credit())
	h.cfg["p0"].Limits.Sessions, h.cfg["p0"].Limits.QueueTimeout = 1, "100ms"
	h.must()
	cl := h.client("p1-client", "p1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := cl.Session(ctx); err != nil { // takes the only place
		t.Fatal(err)
	}
	if _, err := cl.Session(ctx); err == nil || !strings.Contains(err.Error(), "no room for another session") {
		t.Errorf("error %v", err)
	}
	if n := len(h.logs["p0"].with(`"level":"ERROR"`, `"what":"opening"`, "no room for another session")); n != 1 {
		t.Errorf("%d lines in the lead's log, want one", n)
	}
}

// TestFailedOpeningsKeepMaterial stores material and has openings fail, then damages a segment of a party, and one of the lead. Failed openings use
// nothing up, and where a segment cannot be read sessions go on with the next, or are dealt.
func TestFailedOpeningsKeepMaterial(t *testing.T) {
	h := newHouse(t, credit())
	h.cfg["p0"].Timeout = "1s"
	h.must()
	cl := h.client("p1-client", "p1")
	raw := h.raw("p1-client", "p1")
	generate := func(n int) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := raw.Generate(ctx, n); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(when, party string, want int) {
		t.Helper()
		k, err := raw.Stock(t.Context(), party)
		if err != nil || k.Sessions != want {
			t.Errorf("%s: %s has material for %d sessions, want %d; %v", when, party, k.Sessions, want, err)
		}
	}
	generate(16)
	generate(4)
	if err := h.infers(cl); err != nil {
		t.Fatal(err)
	}
	stored("after a session", "p0", 19)
	h.stop("p1")
	for range 3 {
		if err := h.infers(cl); err == nil || !strings.Contains(err.Error(), "p1 at ") {
			t.Errorf("error %v", err)
		}
	}
	stored("after openings that failed", "p0", 19)
	h.must("p1")
	works(t, h, "p1 is back")
	stored("p1 is back", "p0", 18)
	stored("p1 is back", "p1", 18)
	for _, party := range []string{"p1", "p0"} {
		files, err := filepath.Glob(filepath.Join(h.cfg[party].State, "material", "*", "*.segment"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", party, files, err)
		}
		f, err := os.OpenFile(files[0], os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(make([]byte, info.Size()-128), 128); err != nil { // all records
			t.Fatal(err)
		}
		f.Close()
		if err := h.infers(cl); err != nil {
			t.Errorf("%s has a segment that cannot be read: %v", party, err)
		}
		if n := len(h.logs[party].with(`"level":"ERROR"`, "its segment is dropped")); n != 1 {
			t.Errorf("%s: %d lines in the log, want one", party, n)
		}
		generate(4)
		if err := h.infers(cl); err != nil {
			t.Errorf("%s: with new material: %v", party, err)
		}
	}
}

// TestAwayIsRefusedAtOnce has a role hang until the lead knows it. Requests that come later are refused at once, with its name, and not one after another; when the
// role is back sessions work, without a request that has to find out.
func TestAwayIsRefusedAtOnce(t *testing.T) {
	h := newHouse(t, credit())
	px := newProxy(t, h.addrs["p1"])
	h.cfg["p0"].Servers["p1"] = px.addr()
	h.cfg["p0"].Timeout = "3s"
	h.must()
	cl := h.raw("p1-client", "p1")
	if err := h.infers(h.client("p1-client", "p1")); err != nil {
		t.Fatal(err)
	}
	px.set(func() { px.stopped = true })
	ctx := limited(t)
	if _, err := cl.Open(ctx); err == nil {
		t.Fatal("a session was opened without p1")
	}
	if n := len(h.logs["p0"].with(`"level":"WARN"`, "a role does not answer", `"peer":"p1"`)); n != 1 {
		t.Errorf("%d lines say that p1 is away, want one", n)
	}
	start := time.Now()
	const requests = 20
	for range requests {
		if _, err := cl.Open(ctx); err == nil || !strings.Contains(err.Error(), "p1 at ") {
			t.Errorf("error %v", err)
		}
	}
	if took := time.Since(start); took > 3*time.Second { // of waiting for p1 each of them would take as long
		t.Errorf("%d requests took %v", requests, took)
	}
	px.set(func() { px.stopped = false })
	px.cut()
	for len(h.logs["p0"].with("the role answers again")) == 0 {
		if ctx.Err() != nil {
			t.Fatal("the lead does not see that p1 is back")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := h.infers(h.client("p1-client", "p1")); err != nil {
		t.Error(err)
	}
}

// TestOpeningsSideBySide has p1 answer slowly. Eight sessions are opened in about the time of one.
func TestOpeningsSideBySide(t *testing.T) {
	h := newHouse(t, credit())
	px := newProxy(t, h.addrs["p1"])
	h.cfg["p0"].Servers["p1"] = px.addr()
	h.cfg["p0"].Timeout, h.cfg["p1"].Timeout = "20s", "20s"
	h.must()
	cl := h.raw("p1-client", "p1")
	if err := h.infers(h.client("p1-client", "p1")); err != nil {
		t.Fatal(err)
	}
	px.set(func() { px.delay = 300 * time.Millisecond })
	ctx := limited(t)
	open := func(n int) time.Duration {
		start := time.Now()
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				if _, err := cl.Open(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	one, eight := open(1), open(8)
	t.Logf("one takes %v, eight %v", one, eight)
	if eight > 4*one {
		t.Errorf("eight openings take %v, one takes %v", eight, one)
	}
	px.set(func() { px.delay = 0 })
}

// TestNumbersAfterAKill kills roles between sessions. What a killed role has lost of its numbers is skipped, also of stored material, and sessions work.
func TestNumbersAfterAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	f := newFleet(t, credit())
	f.startAll()
	cl := f.client()
	ctx := limited(t)
	session := func() uint64 {
		t.Helper()
		f.works(cl, "a session")
		ticket, err := cl.Session(ctx)
		if err == nil {
			_, err = cl.Join(ctx, ticket, f.m.input)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ticket.Session
	}
	last := session()
	if last != 2 {
		t.Errorf("session %d, want 2", last)
	}
	if _, err := f.raw().Generate(ctx, 64); err != nil {
		t.Fatal(err)
	}
	for _, victim := range []string{"p1", "d", "p0", "p1", "p0"} {
		f.kill(victim)
		f.start(victim)
		f.ready(victim)
		now := session()
		if now <= last || now > last+300 {
			t.Errorf("after %s was killed: session %d follows %d", victim, now, last)
		}
		last = now
	}
	for _, party := range []string{"p0", "p1"} {
		if k, err := f.raw().Stock(ctx, party); err != nil || k.Sessions > 54 || k.Sessions < 14 {
			t.Errorf("%s has material for %d sessions, %v", party, k.Sessions, err)
		} else {
			t.Logf("%s has material for %d of 64 sessions after ten sessions and five kills", party, k.Sessions)
		}
	}
	f.neverTwice()
}
