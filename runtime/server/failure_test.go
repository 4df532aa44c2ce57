package server_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smpcc/runtime/control"
	"smpcc/runtime/keys"
)

// TestFaults breaks one thing at a time while p0 waits in the online phase for p1, whose input has not come. Every fault ends
// the session in bounded time with one error at each party that is left, which names the peer, the step, the round and the
// session; the servers stay up, and the next session works.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	m := credit()
	// between p1 and p0 there is a proxy
	f := newFleet(t, m)
	px := newProxy(t, f.addrs["p0"])
	f.routes["p1"]["p0"] = px.addr()
	numbers := f.telemetry("p0")
	f.startAll()
	cl := f.client()
	f.works(cl, "at first")
	_, files := f.rss("p0")
	routines := goroutines(t, numbers)
	const bound = 15 * time.Second
	for _, tt := range []struct {
		name   string
		strike func() // while p0 waits
		heal   func()
		p0, p1 []string // what the errors name; none if the process has died. p1 may still wait for its input
	}{
		{"killed", func() { f.kill("p1") }, func() { f.start("p1") }, []string{"p1", "online round"}, nil},
		{"reset", px.cut, func() {}, []string{"p1", "online round"}, []string{"p0"}},
		{"reset mid-message", func() { px.set(func() { px.reset = 100 }) }, func() {}, []string{"p1", "online round"}, []string{"p0"}},
		{"partitioned", func() { px.set(func() { px.stopped = true }) }, func() { px.cut(); px.set(func() { px.stopped = false }) }, []string{"p1", "online round"}, []string{"p0", "online round"}},
		{"too slow", func() { px.set(func() { px.delay = 6 * time.Second }) }, func() { px.set(func() { px.delay = 0 }); px.cut() }, []string{"p1", "online round"}, []string{"p0", "online round"}},
		{"corrupted", func() { px.set(func() { px.corrupt = 4 }) }, func() { px.set(func() { px.corrupt = 0 }) }, []string{"p1", "online round"}, []string{"p0"}},
		{"stopped", func() { f.signal("p1", syscall.SIGSTOP) }, func() { f.signal("p1", syscall.SIGCONT) }, []string{"p1", "online round"}, []string{"p1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f.t = t
			ctx, cancel := context.WithTimeout(context.Background(), bound)
			defer cancel()
			id, err := cl.Session(ctx)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond) // p0 and p1 have connected
			tt.strike()
			start := time.Now()
			giving, enough := context.WithTimeout(ctx, 3*time.Second) // a server that is gone is waited for by clients
			defer enough()
			if _, err := cl.Join(giving, id, m.input); err == nil {
				t.Error("the session ended well")
			}
			f.awaitError("p0", id.Session, bound-time.Since(start), tt.p0...)
			tt.heal()
			if tt.p1 != nil {
				f.awaitError("p1", id.Session, bound, tt.p1...)
			}
			f.works(cl, "after it")
		})
	}
	f.t = t
	t.Run("slow", func(t *testing.T) {
		f.t = t
		px.set(func() { px.delay = 20 * time.Millisecond })
		f.works(cl, "slowly")
		px.set(func() { px.delay = 0 })
	})
	t.Run("client gone", func(t *testing.T) {
		f.t = t
		gone := f.client()
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		id, err := gone.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		gone.Close()
		f.awaitError("p1", id.Session, bound, "p1-client, which opened the session, has closed its connection")
		f.awaitError("p0", id.Session, bound, "p1", "online round")
		f.works(cl, "after it")
	})
	t.Run("dealer gone", func(t *testing.T) {
		f.t = t
		f.kill("d")
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		if _, err := cl.Session(ctx); err == nil || !strings.Contains(err.Error(), "d at ") {
			t.Errorf("error %v, want one that names d", err)
		}
		f.start("d")
		f.works(cl, "after it")
	})
	t.Run("lead stopped", func(t *testing.T) {
		f.t = t
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		id, err := cl.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
		f.signal("p0", syscall.SIGSTOP)
		if _, err := cl.Join(ctx, id, m.input); err == nil {
			t.Error("the session ended well")
		}
		f.awaitError("p1", id.Session, bound, "p0", "online round")
		f.signal("p0", syscall.SIGCONT)
		f.works(cl, "after it")
	})
	t.Run("another plan", func(t *testing.T) {
		f.t = t
		f.kill("p1")
		other := *m.plan
		other.Manifest.Name += "-other"
		good, err := os.ReadFile(f.path("plan"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f.path("plan"), other.Encode(), 0o600); err != nil {
			t.Fatal(err)
		}
		f.start("p1")
		f.refused(cl.Session, "same plan file")
		f.kill("p1")
		if err := os.WriteFile(f.path("plan"), good, 0o600); err != nil {
			t.Fatal(err)
		}
		f.start("p1")
		f.works(cl, "after it")
	})
	t.Run("another authority", func(t *testing.T) {
		f.t = t
		f.kill("p1")
		dir := filepath.Join(t.TempDir(), "keys")
		if err := keys.Dev(dir, []string{"p1"}); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"p1.crt", "p1.key"} {
			if err := os.Rename(filepath.Join(f.path("keys"), name), f.path(name)); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, name), filepath.Join(f.path("keys"), name)); err != nil {
				t.Fatal(err)
			}
		}
		f.start("p1")
		f.refused(cl.Session, "p1 at ")
		f.kill("p1")
		for _, name := range []string{"p1.crt", "p1.key"} {
			if err := os.Rename(f.path(name), filepath.Join(f.path("keys"), name)); err != nil {
				t.Fatal(err)
			}
		}
		f.start("p1")
		f.works(cl, "after it")
	})
	f.t = t
	// p0 has lived through all of it: what it holds now is what it held before
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		_, now := f.rss("p0")
		n := goroutines(t, numbers)
		if now <= files+2 && n <= routines+6 { // connections come and go
			break
		}
		if time.Now().After(end) {
			t.Errorf("p0 has %d files and %d goroutines, had %d and %d", now, n, files, routines)
			break
		}
	}
	if n := f.neverTwice(); n == 0 {
		t.Error("nothing was observed")
	}
	f.secretsIn(m.input[0])
}

// goroutines reads the number of goroutines from a server's metrics.
func goroutines(t testing.TB, addr string) int { t.Helper(); return metric(t, addr, "go_goroutines") }

// metric reads a whole number without labels from a server's metrics.
func metric(t testing.TB, addr, name string) int {
	t.Helper()
	list := metrics(t, addr)
	x, ok := list[name]
	if !ok {
		t.Fatalf("there is no %s", name)
	}
	return int(x)
}

// metrics reads a server's metrics, by name and labels as they are written.
func metrics(t testing.TB, addr string) map[string]float64 {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	out := map[string]float64{}
	for s := bufio.NewScanner(r.Body); s.Scan(); {
		name, v, _ := strings.Cut(s.Text(), " ")
		if x, err := strconv.ParseFloat(v, 64); err == nil && name != "#" {
			out[name] = x
		}
	}
	return out
}

// ready waits until a role that has been started answers.
func (f *fleet) ready(role string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := f.raw().Ready(ctx, role); err != nil {
		f.t.Fatal(err)
	}
}

// refused wants sessions to be refused with a text, within bounds, once all roles can be reached.
func (f *fleet) refused(open func(context.Context) (control.Ticket, error), want string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	for {
		_, err := open(ctx)
		if err != nil && strings.Contains(err.Error(), want) {
			return
		}
		if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "cannot be reached") { // the role is still starting
			f.t.Errorf("error %v, want %q", err, want)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestKills kills a role at a random moment of running sessions, over and over. Results are right or absent, servers that
// have been restarted finish the next session, and nothing is opened twice under one mask.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	kills := 5
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		kills = 200
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	m := compileModel(t, "mnist", 0.05)
	f := newFleet(t, m)
	f.extra["p0"] = "material: {low: 2, high: 4}\n"
	f.startAll()
	cl := f.client()
	f.works(cl, "at first")
	roles := m.plan.Roles()
	lost, done := 0, 0
	for range kills {
		var wg sync.WaitGroup
		var mu sync.Mutex
		stop := make(chan struct{})
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
					r, err := cl.InferWords(ctx, m.input)
					cancel()
					mu.Lock()
					switch {
					case err != nil:
						lost++
					case m.right(r):
						done++
					default:
						t.Errorf("session %d: the result is wrong", r.Session)
					}
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
		time.Sleep(time.Duration(rnd.Int64N(int64(600 * time.Millisecond))))
		victim := roles[rnd.IntN(len(roles))]
		f.kill(victim)
		close(stop)
		if rnd.IntN(2) == 0 {
			time.Sleep(time.Duration(rnd.Int64N(int64(300 * time.Millisecond))))
		}
		f.start(victim)
		wg.Wait()
		f.ready(victim)
		f.works(cl, fmt.Sprintf("after %s was killed", victim))
	}
	if f.neverTwice() == 0 {
		t.Error("nothing was observed")
	}
	t.Logf("%d sessions ended well, %d were lost", done, lost)
}
