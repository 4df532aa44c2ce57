package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc"
	"smpcc/runtime/client"
	"smpcc/runtime/control"
	"smpcc/runtime/server"
)

// trial is a plan of two parties that both give inputs and learn outputs: north and south have treated patients with A and B, and learn which heals more,
// and of how many.
var trial = sync.OnceValue(func() *model {
	dir := "../../examples/two-hospitals/"
	c, err := smpcc.Compile(dir+"trial.smp", smpcc.Options{Policies: []string{dir + "north.policy.yaml", dir + "south.policy.yaml"}})
	if err != nil {
		panic(err)
	}
	return &model{plan: c.Plan, input: [][]uint64{{100, 60, 100, 50}, {50, 20, 10, 9}}}
})

// trialRight wants the result of the trial's inputs: 80 of 150 against 59 of 110, and 260 patients.
func trialRight(t *testing.T, r *client.Result) {
	t.Helper()
	if a, n := r.Outputs["a_is_better"], r.Outputs["patients"]; len(a) != 1 || a[0] != 0 || len(n) != 1 || n[0] != 260 {
		t.Errorf("outputs %v, want 0 and 260", r.Outputs)
	}
}

func limited(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// refusedFor wants an error with a text, soon: nobody may wait for a session that is another's.
func refusedFor(t *testing.T, what string, want string, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := f(ctx); err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want %q", what, err, want)
	}
}

// TestHalfBelongsToOneClient has a second client of a party meddle with sessions that the first has opened, or whose ticket another organisation's client has
// given to the first: it can neither give inputs, nor wait, nor read outputs. Who knows the number alone can do nothing either.
func TestHalfBelongsToOneClient(t *testing.T) {
	h := newHouse(t, trial(), "neighbour")
	for _, cfg := range h.cfg {
		cfg.Clients, cfg.Timeout, cfg.InputTimeout = append(cfg.Clients, "neighbour"), "60s", "60s" // there is much to refuse, and the machine may be busy
	}
	h.must()
	north, south, neighbour := h.raw("north-client", "north"), h.raw("south-client", "south"), h.raw("neighbour", "south")
	ctx := limited(t)
	meddle := func(when string, t1 control.Ticket, want string) {
		t.Helper()
		for _, party := range []string{"north", "south"} {
			if when == "south has not claimed it" && party == "south" {
				continue
			}
			refusedFor(t, when+": input of "+party, want, func(ctx context.Context) error { return neighbour.Input(ctx, t1, party, h.m.input) })
			refusedFor(t, when+": result of "+party, want, func(ctx context.Context) error { _, err := neighbour.Result(ctx, t1, party); return err })
		}
	}
	ticket, err := north.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"", "AAAAAAAAAAAAAAAAAAAAAAAAAA", strings.ToLower(ticket.Secret), ticket.Secret[1:]} {
		meddle(fmt.Sprintf("secret %q", secret), control.Ticket{Session: ticket.Session, Secret: secret}, "knows no session")
	}
	meddle("south has not claimed it", ticket, "belongs to another client")
	refusedFor(t, "a result before the inputs", "give its inputs first", func(ctx context.Context) error { _, err := neighbour.Result(ctx, ticket, "south"); return err })
	if err := south.Input(ctx, ticket, "south", h.m.input); err != nil {
		t.Fatal(err)
	}
	meddle("south has given its inputs", ticket, "belongs to another client")
	if err := north.Input(ctx, ticket, "north", h.m.input); err != nil {
		t.Fatal(err)
	}
	got, err := south.Result(ctx, ticket, "south")
	if err != nil || got.Outputs["patients"][0] != 260 {
		t.Errorf("south: %v, %v", got, err)
	}
	meddle("it has ended", ticket, "belongs to another client")
	if got, err = north.Result(ctx, ticket, "north"); err != nil || got.Outputs["patients"][0] != 260 {
		t.Errorf("north: %v, %v", got, err)
	}
}

// TestOutputsAreGivenOnce asks for outputs again and again: without a name of the request they are given once, with one to this name only, and not for ever.
func TestOutputsAreGivenOnce(t *testing.T) {
	h := newHouse(t, credit())
	h.cfg["p1"].Results = "2s"
	h.must()
	cl := h.raw("p1-client", "p1")
	ctx := limited(t)
	begin := func(request string) control.Ticket {
		t.Helper()
		ticket, err := cl.OpenRequest(ctx, request)
		if err == nil {
			err = cl.Input(ctx, ticket, "p1", h.m.input)
		}
		if err != nil {
			t.Fatal(err)
		}
		return ticket
	}
	const gone = "they are gone"
	get := func(ticket control.Ticket) error { _, err := cl.Result(ctx, ticket, "p1"); return err }
	once := begin("")
	if err := get(once); err != nil {
		t.Fatal(err)
	}
	refusedFor(t, "a second time", gone, func(context.Context) error { return get(once) })
	once.Request = "r1"
	refusedFor(t, "under a name that it did not have", gone, func(context.Context) error { return get(once) })
	named := begin("r1")
	for range 3 {
		if err := get(named); err != nil {
			t.Fatal(err)
		}
	}
	other := named
	other.Request = "r2"
	refusedFor(t, "under another name", gone, func(context.Context) error { return get(other) })
	late := begin("r3") // nobody comes for it
	for _, ticket := range []control.Ticket{named, late} {
		deadline := time.Now().Add(30 * time.Second)
		for { // the last reading of one does not keep the other
			if ticket == late {
				ticket.Request = "another" // asks without taking
			}
			err := get(ticket)
			if err != nil && strings.Contains(err.Error(), gone) && time.Now().After(deadline.Add(-28*time.Second)) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("outputs are still there: %v", err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	late.Request = "r3"
	refusedFor(t, "too late", gone, func(context.Context) error { return get(late) })
}

// TestRequestRunsOnce sends one named request many times at once, from several connections, then again, and by a client that gives no inputs: one session runs, all
// get its answer. Other inputs, and other clients' requests of that name, are others; one that has failed runs anew.
func TestRequestRunsOnce(t *testing.T) {
	h := newHouse(t, credit(), "neighbour")
	for _, cfg := range h.cfg {
		cfg.Clients = append(cfg.Clients, "neighbour")
	}
	h.cfg["p0"].Telemetry.Listen, h.cfg["p0"].Timeout, h.cfg["p1"].Timeout = freeAddress(t), "15s", "15s"
	h.must()
	cl := h.client("p1-client", "p1")
	ctx := limited(t)
	in := client.Inputs{h.m.plan.Manifest.Inputs[0].Name: make([]float64, h.m.plan.Manifest.Inputs[0].Len())}
	var mu sync.Mutex
	var got []*client.Result
	var wg sync.WaitGroup
	for range 8 {
		c := h.client("p1-client", "p1")
		wg.Go(func() {
			r, err := c.InferRequest(ctx, "order-7", in)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			got = append(got, r)
		})
	}
	wg.Wait()
	again, err := cl.InferRequest(ctx, "order-7", in)
	if err != nil {
		t.Fatal(err)
	}
	fetched, err := h.client("p1-client", "p1").Fetch(ctx, "order-7")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range append(got, again, fetched) {
		if r.Session != again.Session || !slices.Equal(r.Words["output"], again.Words["output"]) {
			t.Errorf("session %d gave %v, session %d gave %v", r.Session, r.Words, again.Session, again.Words)
		}
	}
	sessions := func() float64 {
		return metrics(t, h.cfg["p0"].Telemetry.Listen)[`smpcc_sessions_total{purpose="session",result="done"}`]
	}
	if n := sessions(); n != 1 {
		t.Errorf("%v sessions ran, want one", n)
	}
	refusedFor(t, "other inputs", "has the inputs of p1 already", func(ctx context.Context) error {
		in := client.Inputs{h.m.plan.Manifest.Inputs[0].Name: make([]float64, h.m.plan.Manifest.Inputs[0].Len())}
		in[h.m.plan.Manifest.Inputs[0].Name][0] = 1
		_, err := cl.InferRequest(ctx, "order-7", in)
		return err
	})
	refusedFor(t, "a request that has not come", "knows no request", func(ctx context.Context) error { _, err := cl.Fetch(ctx, "order-8"); return err })
	refusedFor(t, "another client's", "knows no request", func(ctx context.Context) error {
		_, err := h.client("neighbour", "p1").Fetch(ctx, "order-7")
		return err
	})
	refusedFor(t, "no name", "want 1 to 64 of", func(ctx context.Context) error { _, err := cl.InferRequest(ctx, "a b", in); return err })
	if r, err := h.client("neighbour", "p1").InferRequest(ctx, "order-7", in); err != nil || r.Session == again.Session {
		t.Errorf("another client's request of that name: %v, %v", r, err)
	}
	gone := h.client("p1-client", "p1")
	first, err := gone.SessionFor(ctx, "order-9")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close() // without inputs
	for {
		r, err := cl.InferRequest(ctx, "order-9", in)
		if err == nil {
			if r.Session == first.Session && ctx.Err() != nil {
				t.Error("a request that has failed did not run anew")
			}
			break
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
	}
}

// TestMaterialIsARight has material ordered by those who may and may not, and everything else by one who may only that.
func TestMaterialIsARight(t *testing.T) {
	h := newHouse(t, credit(), "ops")
	for _, cfg := range h.cfg {
		cfg.MaterialClients = []string{"ops"}
	}
	h.must()
	ctx := limited(t)
	order := func(who string) error {
		_, err := h.raw(who, "p1").Generate(ctx, 1)
		return err
	}
	for _, who := range []string{"p0", "ops"} {
		if err := order(who); err != nil {
			t.Errorf("%s: %v", who, err)
		}
	}
	for _, who := range []string{"p0-client", "p1-client", "p1", "d"} {
		refusedFor(t, who, "may not have material made", func(context.Context) error { return order(who) })
	}
	ops, user := h.raw("ops", "p1"), h.raw("p1-client", "p1")
	if k, err := ops.Stock(ctx, "p0"); err != nil || k.Sessions != 2 {
		t.Errorf("stock %v, %v", k, err)
	}
	refusedFor(t, "ops opens", "may not open sessions", func(ctx context.Context) error { _, err := ops.Open(ctx); return err })
	ticket, err := user.Open(ctx)
	if err != nil {
		t.Fatal(err)
	}
	refusedFor(t, "ops gives inputs", "may not give inputs", func(ctx context.Context) error { return ops.Input(ctx, ticket, "p1", h.m.input) })
	refusedFor(t, "ops reads", "may not read outputs", func(ctx context.Context) error { _, err := ops.Result(ctx, ticket, "p1"); return err })
}

// TestAbandonedOpenings opens sessions, where there is room for one, and leaves: by closing the connection, or by doing nothing. The next gets in within seconds though
// inputs may take ten minutes. Where the client that has left has given its inputs, the session goes on.
func TestAbandonedOpenings(t *testing.T) {
	h := newHouse(t, trial())
	for _, cfg := range h.cfg {
		cfg.InputTimeout, cfg.Timeout, cfg.Limits.Sessions, cfg.Limits.QueueTimeout = "10m", "2s", 1, "30s"
	}
	h.must()
	ctx := limited(t)
	last := h.raw("north-client", "north")
	for _, tt := range []struct {
		name string
		open func() control.Ticket
	}{
		{"its own party's inputs are awaited", func() control.Ticket { return h.leaves("north-client", "north") }},
		{"the other party's client has opened it", func() control.Ticket { return h.leaves("south-client", "south") }},
		{"a client that gives no inputs", func() control.Ticket { return h.leaves("south-client") }},
		{"it does nothing", func() control.Ticket {
			ticket, err := last.Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			return ticket
		}},
	} {
		start := time.Now()
		ticket := tt.open()
		next, err := last.Open(ctx)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		t.Logf("%s: session %d made room in %v", tt.name, ticket.Session, time.Since(start).Round(time.Millisecond))
		south := h.client("south-client", "south")
		done := make(chan error, 1)
		go func() {
			_, err := south.Join(ctx, next, h.m.input)
			done <- err
		}()
		if err := errors.Join(last.Input(ctx, next, "north", h.m.input), <-done); err != nil {
			t.Errorf("%s: the next session: %v", tt.name, err)
		}
	}

	gone := h.client("north-client", "north")
	ticket, err := gone.SessionFor(ctx, "trial-1")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.raw("north-client", "north").Input(ctx, ticket, "north", h.m.input); err != nil {
		t.Fatal(err)
	}
	gone.Close() // its inputs are there
	r, err := h.client("south-client", "south").Join(ctx, ticket, h.m.input)
	if err != nil {
		t.Fatalf("the client that has given its inputs has left: %v", err)
	}
	trialRight(t, r)
	if r, err = h.client("north-client", "north").Fetch(ctx, "trial-1"); err != nil {
		t.Fatalf("it asks for its result: %v", err)
	}
	trialRight(t, r)
}

// leaves opens a session and closes the connection.
func (h *house) leaves(name string, parties ...string) control.Ticket {
	h.t.Helper()
	c := h.client(name, parties...)
	ticket, err := c.Session(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	c.Close()
	return ticket
}

// TestLimitsOfOneClient has one client open as many sessions as it may, and have as many requests wait. Another gets in meanwhile.
func TestLimitsOfOneClient(t *testing.T) {
	h := newHouse(t, credit(), "neighbour")
	for _, cfg := range h.cfg {
		cfg.Clients = append(cfg.Clients, "neighbour")
		cfg.Timeout = "20s"
	}
	h.cfg["p0"].Limits = server.Limits{Sessions: 4, ClientSessions: 3, Queue: 4, ClientQueue: 2, QueueTimeout: "30s"}
	h.must()
	ctx := limited(t)
	busy := h.raw("neighbour", "p1")
	var open []control.Ticket
	for range 3 {
		ticket, err := busy.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, ticket)
	}
	waiting, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 3)
	for range cap(ended) {
		go func() { _, err := busy.Open(waiting); ended <- err }()
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "raise limits.client_queue") { // two wait, the third may not
		t.Errorf("error %v", err)
	}
	for range 3 {
		if err := h.infers(h.client("p1-client", "p1")); err != nil {
			t.Errorf("another client: %v", err)
		}
	}
	cancel()
	for range cap(ended) - 1 {
		if err := <-ended; err == nil {
			t.Error("a fourth session of one client")
		}
	}
	for _, ticket := range open {
		if err := busy.Input(ctx, ticket, "p1", h.m.input); err != nil {
			t.Error(err)
		}
	}
}
