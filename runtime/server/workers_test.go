package server_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"smpcc/runtime/client"
	"smpcc/runtime/control"
	"smpcc/runtime/keys"
)

// A crew is several workers of each role, all of them processes on loopback.
type crew struct {
	workers []*fleet
	cfg     control.Config // of a client
}

// newCrew prepares n workers. Each has the keys and the plan of the first, and a state of its own.
func newCrew(t *testing.T, m *model, n int) *crew {
	t.Helper()
	c := &crew{}
	base := map[string]string{} // of each role, an address in which the number of the worker is the last digit of the port
	for w := range n {
		f := newFleet(t, m)
		c.workers = append(c.workers, f)
		f.keys = c.workers[0].keys
		for _, r := range m.plan.Roles() {
			if w == 0 {
				base[r] = freeTens(t, base)
			}
			f.addrs[r] = base[r]
			f.extra[r] = "workers: " + digit(n) + "\nworker: " + digit(w) + "\n"
		}
	}
	c.cfg = control.Config{Servers: base, Workers: n, ActsFor: []string{"p1"}, Timeout: "5s", TLS: keys.DevFiles(c.workers[0].keys, "p1-client")}
	return c
}

// ready waits until a role of a worker answers.
func (c *crew) ready(t *testing.T, worker int, roles ...string) {
	t.Helper()
	cl, err := control.NewClient(c.cfg.ForWorker(worker), c.workers[worker].m.plan)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for _, r := range roles {
		if err := cl.Ready(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
}

func digit(n int) string { return string(rune('0' + n)) }

// freeTens returns an address on loopback whose ports from 0 to 3 in place of {worker} are free.
func freeTens(t *testing.T, taken map[string]string) string {
	t.Helper()
search:
	for range 1000 {
		addr := freeAddress(t)
		addr = addr[:len(addr)-1] + "{worker}"
		for _, other := range taken {
			if other == addr {
				continue search
			}
		}
		for w := range 4 {
			if !isFree(strings.ReplaceAll(addr, "{worker}", digit(w))) {
				continue search
			}
		}
		return addr
	}
	t.Fatal("no ports are free")
	return ""
}

// TestWorkersPairByNumber runs two workers of each role behind one configuration. Requests of one client go to both, numbers
// of sessions say whose they are, a worker that dies takes only its own sessions with it, and one that is led to another's
// peer is refused.
func TestWorkersPairByNumber(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	m := credit()
	c := newCrew(t, m, 2)
	for _, f := range c.workers {
		f.startAll()
	}
	for w := range c.workers {
		c.ready(t, w, m.plan.Roles()...)
	}
	cl, err := client.New(&c.cfg, m.plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ask := func(n int) (of [2]int) {
		t.Helper()
		seen := map[uint64]bool{}
		if err := cl.Each(ctx, n, 4, func(int) ([][]uint64, error) { return m.input, nil }, func(_ int, r *client.Result) error {
			if !m.right(r) || seen[r.Session] {
				t.Errorf("session %d is wrong, or there twice", r.Session)
			}
			seen[r.Session] = true
			of[(r.Session-1)%2]++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return of
	}
	if of := ask(20); of != [2]int{10, 10} {
		t.Errorf("%v of 20 requests went to each worker", of)
	}
	// another client joins a session whose ticket it has
	id, err := cl.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	other, err := client.New(&c.cfg, m.plan)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if r, err := other.Join(ctx, id, m.input); err != nil || !m.right(r) {
		t.Errorf("session %d of another client: %v", id.Session, err)
	}

	c.workers[1].kill("p0")
	if of := ask(6); of != [2]int{6, 0} {
		t.Errorf("%v of 6 requests went to each worker, and the second is gone", of)
	}

	// p1's second worker takes the place of its first: the lead's first asks for worker 0
	c.workers[0].kill("p1")
	c.workers[1].kill("p1")
	f := c.workers[1]
	f.listens["p1"] = strings.ReplaceAll(c.cfg.Servers["p1"], "{worker}", "0")
	f.start("p1")
	wrong, err := control.NewClient(&c.cfg, m.plan)
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Close()
	c.ready(t, 0, "p1") // the second at the first's address; who asks for its status sees that
	within, enough := context.WithTimeout(ctx, 10*time.Second)
	defer enough()
	if _, err := wrong.Open(within); err == nil || !strings.Contains(err.Error(), `p1: this is worker 1 of p1, but p0 wants worker ["0"]`) {
		t.Errorf("error %v", err)
	}
	f.kill("p1")
	delete(f.listens, "p1")
	f.start("p1")
	c.workers[0].start("p1")
	f.start("p0")
	c.ready(t, 0, "p1")
	c.ready(t, 1, "p0", "p1")
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Second) {
		if of := ask(4); of == [2]int{2, 2} {
			break
		}
		if time.Now().After(end) {
			t.Error("the second worker is back and is not used")
			break
		}
	}
	for _, f := range c.workers {
		f.neverTwice()
	}
}

// TestWorkersAgree gives roles other numbers of workers.
func TestWorkersAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	m := credit()
	c := newCrew(t, m, 2)
	f := c.workers[1]
	f.extra["p1"] = "workers: 3\nworker: 1\n"
	f.startAll()
	c.ready(t, 1, m.plan.Roles()...)
	cl, err := control.NewClient(c.cfg.ForWorker(1), m.plan)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var last error
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for range 3 { // 2, 4, 6: one of them is worker 1's of 3 too
		if _, err := cl.Open(ctx); err != nil {
			last = err
		}
	}
	if last == nil || !strings.Contains(last.Error(), "all roles must have the same workers") {
		t.Errorf("error %v", last)
	}
}
