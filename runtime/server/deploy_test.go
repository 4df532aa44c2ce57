package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
	"smpcc/runtime/client"
	"smpcc/runtime/control"
	"smpcc/runtime/disk/faulty"
	"smpcc/runtime/keys"
	"smpcc/runtime/server"
)

// variant returns a model whose plan is another one: it has another name.
func (m *model) variant(name string) *model {
	c, err := typed.Decode(m.plan.Encode())
	if err != nil {
		panic(err)
	}
	c.Manifest.Name += "-" + name
	out := *m
	if out.plan, err = typed.Load(c.Encode()); err != nil {
		panic(err)
	}
	return &out
}

// readGob reads weights as writeGob has written them.
func readGob(p *plan.Plan, file, owner string) ([][]uint64, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var weights [][]uint64
	if err := gob.NewDecoder(bytes.NewReader(data)).Decode(&weights); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Base(file), err)
	}
	if len(weights) != len(p.Manifest.Weights) {
		return nil, fmt.Errorf("%s: weights of another plan", filepath.Base(file))
	}
	for i := range weights {
		if len(weights[i]) == 0 {
			weights[i] = nil
		}
	}
	return weights, nil
}

// files writes a model's plan and a party's weights to a new folder, as a deployment.
func (m *model) files(t testing.TB, role string) control.Deployment {
	t.Helper()
	dir := t.TempDir()
	d := control.Deployment{Digest: m.plan.Digest(), Plan: filepath.Join(dir, "m.plan"), Ending: ".gob"}
	if err := plan.WriteFile(d.Plan, m.plan); err != nil {
		t.Fatal(err)
	}
	own, any := make([][]uint64, len(m.weights)), false
	for i, w := range m.plan.Manifest.Weights {
		if w.Owner == role {
			own[i], any = m.weights[i], true
		}
	}
	if !any {
		return d
	}
	d.Weights = filepath.Join(dir, "weights.gob")
	var b bytes.Buffer
	if err := errors.Join(gob.NewEncoder(&b).Encode(own), os.WriteFile(d.Weights, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	return d
}

// newHost is a house whose servers take plans from "ops".
func newHost(t testing.TB, m *model, names ...string) *house {
	h := newHouse(t, m, append(names, "ops")...)
	for _, cfg := range h.cfg {
		cfg.PlanClients, cfg.ReadWeights = []string{"ops"}, readGob
	}
	return h
}

// operator returns an operator with a certificate of that name.
func (h *house) operator(name string) *control.Operator {
	h.t.Helper()
	o, err := control.NewOperator(&control.Config{Servers: h.addrs, TLS: keys.DevFiles(h.keys, name), Timeout: "5s"})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(o.Close)
	return o
}

// deploy has roles serve a model, all of them if none is named.
func (h *house) deploy(o *control.Operator, m *model, sessions int, roles ...string) {
	h.t.Helper()
	if len(roles) == 0 {
		roles = m.plan.Roles()
	}
	for _, r := range roles {
		d := m.files(h.t, r)
		d.Sessions = sessions
		if _, err := o.Deploy(limited(h.t), r, d, nil); err != nil {
			h.t.Fatalf("%s: %v", r, err)
		}
	}
}

// status returns how a plan is at a role; its state is "" if it is not there.
func (h *house) status(o *control.Operator, role string, m *model) control.PlanStatus {
	h.t.Helper()
	list, err := o.Plans(limited(h.t), role)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, p := range list.Plans {
		if p.Plan == m.plan.Digest() {
			return p
		}
	}
	return control.PlanStatus{}
}

// await waits until a plan is in a state at roles.
func (h *house) await(o *control.Operator, m *model, state string, roles ...string) {
	h.t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		late, last := false, control.PlanStatus{}
		for _, r := range roles {
			if last = h.status(o, r, m); last.State != state {
				late = true
				break
			}
		}
		switch {
		case !late:
			return
		case time.Now().After(end):
			h.t.Fatalf("the plan is %+v, want it %q", last, state)
		}
	}
}

// of returns a client of a model with a certificate of that name.
func (h *house) of(m *model, name string, parties ...string) *client.Client {
	h.t.Helper()
	c, err := client.New(&control.Config{Servers: h.addrs, TLS: keys.DevFiles(h.keys, name), ActsFor: parties, Timeout: "5s"}, m.plan)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	return c
}

// runs runs a session of a model, which must be right.
func (h *house) runs(m *model, c *client.Client) {
	h.t.Helper()
	r, err := c.InferWords(limited(h.t), m.input)
	if err != nil {
		h.t.Fatal(err)
	}
	if !m.right(r) {
		h.t.Error("the result is wrong")
	}
}

// TestSecondPlan deploys a second plan beside the one of the configuration. It takes no sessions before all roles have it and it is set up; then both run. A restart keeps it
// with its setup and its stored material. A withdrawal refuses new sessions, and lets the one that runs end and be read; then the plan is gone, and what it has left is
// garbage, which the other plan's state is not.
func TestSecondPlan(t *testing.T) {
	first, second := credit(), credit().variant("b")
	h := newHost(t, first)
	h.cfg["p0"].Telemetry.Listen = freeAddress(t)
	h.must()
	ops, one, two := h.operator("ops"), h.client("p1-client", "p1"), h.of(second, "p1-client", "p1")
	h.runs(first, one)
	refusedFor(t, "before it is deployed", "all roles must run the same plan file", func(ctx context.Context) error { _, err := two.InferWords(ctx, second.input); return err })

	h.deploy(ops, second, 0, "p0", "p1")
	h.await(ops, second, control.Preparing, "p0", "p1")
	refusedFor(t, "before the dealer has it", "is being prepared at p0", func(ctx context.Context) error { _, err := two.InferWords(ctx, second.input); return err })
	for end := time.Now().Add(time.Minute); !strings.Contains(h.status(ops, "p0", second).Why, "d runs plan"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("what it waits for is not said: %+v", h.status(ops, "p0", second))
		}
	}
	if readyOf(t, h.cfg["p0"].Telemetry.Listen, "") != "ok" || !strings.Contains(readyOf(t, h.cfg["p0"].Telemetry.Listen, second.plan.Digest()), control.Preparing) {
		t.Error("a plan that is being prepared keeps the server from being ready, or is ready itself")
	}
	h.deploy(ops, second, 0, "d")
	h.await(ops, second, control.Serving, second.plan.Roles()...)
	setup := h.status(ops, "p0", second).Setup
	if setup == 0 {
		t.Error("it takes sessions and is not set up")
	}
	for range 2 {
		h.runs(second, two)
		h.runs(first, one)
	}
	operator := func(m *model) *control.Client {
		c, err := control.NewClient(&control.Config{Servers: h.addrs, TLS: keys.DevFiles(h.keys, "p0"), Timeout: "5s"}, m.plan)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	for m, n := range map[*model]int{first: 3, second: 5} {
		if _, err := operator(m).Generate(limited(t), n); err != nil {
			t.Fatal(err)
		}
	}
	mark := second.plan.Digest()[:16]
	for end := time.Now().Add(time.Minute); readyOf(t, h.cfg["p0"].Telemetry.Listen, mark) != "ok"; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(readyOf(t, h.cfg["p0"].Telemetry.Listen, mark))
		}
	}
	m := metrics(t, h.cfg["p0"].Telemetry.Listen)
	for name, want := range map[string]float64{"sessions_done_total": 2, "material_sessions": 5, "ready": 1, "sessions_limit": 32} {
		if got := m[fmt.Sprintf("smpcc_plan_%s{plan=%q}", name, mark)]; got != want {
			t.Errorf("smpcc_plan_%s is %v, want %v", name, got, want)
		}
	}
	if m["smpcc_material_sessions"] != 8 {
		t.Errorf("%v sessions of all plans are in store", m["smpcc_material_sessions"])
	}

	for _, r := range second.plan.Roles() {
		h.stop(r)
	}
	h.must()
	h.await(ops, second, control.Serving, second.plan.Roles()...)
	if s := h.status(ops, "p0", second); s.Setup != setup || s.Material != 5 || s.By != "ops" || s.Source != control.FromDeployment {
		t.Errorf("after a restart: %+v", s)
	}
	h.runs(second, two)
	h.runs(first, one)

	ticket, err := two.Session(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	if s, err := ops.Withdraw(limited(t), "p0", second.plan.Digest()); err != nil || s.State != control.Withdrawing || s.Running != 1 {
		t.Fatalf("%+v, %v", s, err)
	}
	refusedFor(t, "while it is withdrawn", "is being withdrawn at p0", func(ctx context.Context) error { _, err := two.InferWords(ctx, second.input); return err })
	if _, err := ops.Deploy(limited(t), "p0", second.files(t, "p0"), nil); err == nil || !strings.Contains(err.Error(), "is being withdrawn") {
		t.Errorf("deployed again meanwhile: %v", err)
	}
	r, err := two.Join(limited(t), ticket, second.input)
	if err != nil || !second.right(r) {
		t.Errorf("the session that ran: %v", err)
	}
	h.await(ops, second, "", "p0")
	h.runs(first, one)
	for _, role := range []string{"p1", "d"} {
		if _, err := ops.Withdraw(limited(t), role, second.plan.Digest()); err != nil {
			t.Error(err)
		}
	}
	h.await(ops, second, "", "p0", "p1", "d")
	refusedFor(t, "after it", "all roles must run the same plan file", func(ctx context.Context) error { _, err := two.InferWords(ctx, second.input); return err })

	h.cfg["p0"].Plan = first.files(t, "p0").Plan
	kept, err := h.cfg["p0"].KeptPlans()
	if err != nil {
		t.Fatal(err)
	}
	items, err := server.Garbage(h.cfg["p0"].State, kept...)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, i := range items {
		found = append(found, i.What)
	}
	if want := []string{"material of plan " + mark, "setup of plan " + mark}; !slices.Equal(found, want) {
		t.Errorf("garbage %q, want %q", found, want)
	}
	if _, err := server.Collect(items, ""); err != nil {
		t.Error(err)
	}
	h.cfg["p0"].Plan = ""
	h.deploy(ops, second, 0) // it comes back, with new numbers
	h.await(ops, second, control.Serving, second.plan.Roles()...)
	h.runs(second, two)
	if s := h.status(ops, "p0", second); s.Setup <= setup {
		t.Errorf("setup %d follows %d", s.Setup, setup)
	}
	whats := map[string]int{}
	for _, e := range entries(t, filepath.Join(h.cfg["p0"].State, "audit.log")) {
		if e.Plan == second.plan.Digest() {
			whats[e.What+" "+e.Decision+" "+strings.Split(e.Reason, ";")[0]]++
		}
	}
	if whats["deploy allowed by ops"] != 2 || whats["withdraw allowed by ops"] != 1 {
		t.Errorf("the log says %v", whats)
	}
}

// entries reads an audit log.
func entries(t *testing.T, file string) (out []attest.Entry) {
	t.Helper()
	if _, err := attest.VerifyLog(file, "", ""); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(bytes.NewReader(data)); d.More(); {
		var e attest.Entry
		if err := d.Decode(&e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// readyOf returns the first line of what /readyz answers.
func readyOf(t *testing.T, addr, of string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + addr + "/readyz?plan=" + of)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(body), "\n")
	if (line == "ok") != (r.StatusCode == http.StatusOK) {
		t.Errorf("status %d: %s", r.StatusCode, body)
	}
	return line
}

// TestReplaceUnderLoad replaces a plan by its next version while clients ask one thing after another: they move one by one, then the old version is withdrawn. No request fails.
func TestReplaceUnderLoad(t *testing.T) {
	h := newHost(t, credit())
	h.m = nil // no plan in the configuration
	for _, r := range credit().plan.Roles() {
		h.startEmpty(r)
	}
	ops := h.operator("ops")
	versions := []*model{credit().variant("v1"), credit().variant("v2")}
	h.deploy(ops, versions[0], 0)
	h.await(ops, versions[0], control.Serving, credit().plan.Roles()...)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	const clients = 4
	var version [clients]atomic.Int32
	var done [clients][2]atomic.Int32
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range clients {
		both := [2]*client.Client{h.of(versions[0], "p1-client", "p1"), h.of(versions[1], "p1-client", "p1")}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				v := version[i].Load()
				r, err := both[v].InferWords(ctx, versions[v].input)
				if err != nil {
					t.Errorf("client %d, version %d: %v", i, v, err)
					return
				}
				if !versions[v].right(r) {
					t.Errorf("client %d: the result is wrong", i)
				}
				done[i][v].Add(1)
			}
		})
	}
	some := func(i, v int) {
		t.Helper()
		for from := done[i][v].Load(); done[i][v].Load() < from+3; time.Sleep(time.Millisecond) {
			if ctx.Err() != nil || t.Failed() {
				t.Fatal("clients stand still")
			}
		}
	}
	for i := range clients {
		some(i, 0)
	}
	h.deploy(ops, versions[1], 0)
	h.await(ops, versions[1], control.Serving, credit().plan.Roles()...)
	for i := range clients {
		some(i, 0)
		version[i].Store(1)
		some(i, 1)
	}
	for _, r := range []string{"p0", "p1", "d"} { // the lead first
		if _, err := ops.Withdraw(ctx, r, versions[0].plan.Digest()); err != nil {
			t.Error(err)
		}
	}
	h.await(ops, versions[0], "", credit().plan.Roles()...)
	for i := range clients {
		some(i, 1)
	}
	close(stop)
	wg.Wait()
}

// startEmpty starts a role's server without a plan.
func (h *house) startEmpty(r string) {
	h.t.Helper()
	if err := h.startWith(r, nil, nil, r == "d"); err != nil {
		h.t.Fatal(err)
	}
}

// TestReplaceWeights replaces weights of a plan that is served, at the party that owns them, which leads or not, while clients ask. Every result is that of the weights before or
// after, and after the deployment has been answered only of those after. A restart has those after too.
func TestReplaceWeights(t *testing.T) {
	old := credit()
	zero := *old
	zero.weights = make([][]uint64, len(old.weights))
	for i := range old.weights {
		zero.weights[i] = make([]uint64, len(old.weights[i]))
	}
	owner := old.plan.Manifest.Weights[0].Owner
	h := newHost(t, old)
	h.m = nil
	for _, r := range old.plan.Roles() {
		h.startEmpty(r)
	}
	ops := h.operator("ops")
	h.deploy(ops, old, 0)
	h.await(ops, old, control.Serving, old.plan.Roles()...)
	cl := h.of(old, "p1-client", "p1")
	value := func() float64 {
		t.Helper()
		r, err := cl.InferWords(limited(t), old.input)
		if err != nil {
			t.Fatal(err)
		}
		return r.Outputs[old.plan.Manifest.Outputs[0].Name][0]
	}
	near := func(x, y float64) bool { return x-y < old.atol && y-x < old.atol }
	before, after := old.want.At(0), 0.5 // the logistic function of 0
	if near(before, after) || !near(value(), before) {
		t.Fatal("the weights make no difference")
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := cl.InferWords(t.Context(), old.input)
				if err != nil {
					t.Error(err)
					return
				}
				if x := r.Outputs[old.plan.Manifest.Outputs[0].Name][0]; !near(x, before) && !near(x, after) {
					t.Errorf("%v is of no weights", x)
				}
			}
		})
	}
	h.deploy(ops, &zero, 0, owner)
	for range 5 {
		if x := value(); !near(x, after) {
			t.Errorf("%v, want %v: the weights before are in use after the deployment", x, after)
		}
	}
	h.deploy(ops, old, 0, owner)
	if x := value(); !near(x, before) {
		t.Errorf("%v, want %v", x, before)
	}
	h.deploy(ops, &zero, 0, owner)
	close(stop)
	wg.Wait()
	h.stop(owner)
	h.startEmpty(owner)
	h.await(ops, old, control.Serving, owner)
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // other roles see that it is back
		r, err := cl.InferWords(limited(t), old.input)
		if err == nil {
			if x := r.Outputs[old.plan.Manifest.Outputs[0].Name][0]; !near(x, after) {
				t.Errorf("%v after a restart", x)
			}
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestHostileDeployments tries to deploy what must not be served, and as who may not. Each try gets an error, leaves nothing, and the plan that is served goes on.
func TestHostileDeployments(t *testing.T) {
	m := credit()
	h := newHost(t, m, "stranger")
	for _, cfg := range h.cfg {
		cfg.Limits.Upload, cfg.Limits.Plans = "1MiB", 3
	}
	h.must()
	ctx := limited(t)
	second := m.variant("b")
	for _, who := range []string{"stranger", "p0-client", "p1-client", "p1", "d"} {
		o := h.operator(who)
		want := "may not deploy or withdraw plans"
		if who == "stranger" {
			want = "is neither a role of the plan nor among the clients"
		}
		refusedFor(t, who+" deploys", want, func(ctx context.Context) error {
			_, err := o.Deploy(ctx, "p0", second.files(t, "p0"), nil)
			return err
		})
		refusedFor(t, who+" withdraws", want, func(ctx context.Context) error {
			_, err := o.Withdraw(ctx, "p0", m.plan.Digest())
			return err
		})
	}
	if _, err := h.operator("p0").Deploy(ctx, "p0", second.files(t, "p0"), nil); err != nil {
		t.Errorf("with the server's own certificate: %v", err)
	}
	ops := h.operator("ops")
	write := func(name string, data []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	third := m.variant("c")
	good := third.plan.Encode()
	bent := func(change func(m *plan.Manifest)) *typed.Checked {
		c, err := typed.Decode(good)
		if err != nil {
			t.Fatal(err)
		}
		change(c.Manifest)
		return c
	}
	open := bent(func(m *plan.Manifest) { m.Allowed = nil }) // outputs that no owner lets out
	nobody := bent(func(m *plan.Manifest) { m.Policies = nil })
	type try struct {
		what, want string
		change     func(d *control.Deployment)
	}
	for _, tt := range []try{
		{"no plan at all", "", func(d *control.Deployment) { d.Plan = write("x", []byte("not a plan")) }},
		{"nothing", "", func(d *control.Deployment) { d.Plan = write("x", nil) }},
		{"half a plan", "", func(d *control.Deployment) { d.Plan = write("x", good[:len(good)/2]) }},
		{"a plan with a bit changed", "", func(d *control.Deployment) {
			b := slices.Clone(good)
			b[len(b)/3] ^= 4
			d.Plan = write("x", b)
		}},
		{"another plan than it says", "want", func(d *control.Deployment) { d.Plan = write("x", second.plan.Encode()) }},
		{"a plan that shows data", "has no type", func(d *control.Deployment) { d.Plan, d.Digest = write("x", open.Encode()), open.Digest() }},
		{"a plan under no policy", "under no policy", func(d *control.Deployment) { d.Plan, d.Digest = write("x", nobody.Encode()), nobody.Digest() }},
		{"a plan of others", "the certificate names", func(d *control.Deployment) {
			d.Plan, d.Digest = write("x", trial().plan.Encode()), trial().plan.Digest()
		}},
		{"files that are too large", "raise limits.upload", func(d *control.Deployment) { d.Plan = write("x", make([]byte, 3<<20)) }},
		{"the wrong weights", "weights", func(d *control.Deployment) { d.Weights = write("x", []byte("no weights")) }},
		{"weights of no known form", "want plan", func(d *control.Deployment) {
			d.Weights, d.Ending = write("x", []byte("no weights")), "/../../ledger.db"
		}},
	} {
		for _, role := range []string{"p0", "p1"} {
			d := third.files(t, role)
			if tt.change(&d); d.Weights == "" && strings.Contains(tt.what, "weights") {
				continue
			}
			if _, err := ops.Deploy(ctx, role, d, nil); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), role+":") {
				t.Errorf("%s at %s: error %v, want %q", tt.what, role, err, tt.want)
			}
			list, err := os.ReadDir(filepath.Join(h.cfg[role].State, "plans"))
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			for _, e := range list {
				if e.Name() != second.plan.Digest()[:16] {
					t.Errorf("%s leaves %s at %s", tt.what, e.Name(), role)
				}
			}
		}
	}
	if _, err := ops.Deploy(ctx, "d", third.files(t, "p0"), nil); third.files(t, "p0").Weights != "" && (err == nil || !strings.Contains(err.Error(), "owns no weights")) {
		t.Errorf("weights for the dealer: %v", err)
	}
	refusedFor(t, "the plan of the configuration is withdrawn", "stands in the configuration", func(ctx context.Context) error {
		_, err := ops.Withdraw(ctx, "p0", m.plan.Digest())
		return err
	})
	refusedFor(t, "a plan that is not there is withdrawn", "not", func(ctx context.Context) error {
		_, err := ops.Withdraw(ctx, "p0", trial().plan.Digest())
		return err
	})
	h.deploy(ops, third, 0, "p0")
	refusedFor(t, "too many plans", "raise limits.plans", func(ctx context.Context) error {
		_, err := ops.Deploy(ctx, "p0", m.variant("d").files(t, "p0"), nil)
		return err
	})
	if err := h.infers(h.client("p1-client", "p1")); err != nil {
		t.Errorf("after all that: %v", err)
	}
	for _, e := range entries(t, filepath.Join(h.cfg["p0"].State, "audit.log")) {
		if e.Plan == nobody.Digest() && e.What == "deploy" && e.Decision == "refused" {
			return
		}
	}
	t.Error("the log does not say that a plan was refused which is under no policy")
}

// TestUploads sends parts in a wrong order, of a wrong kind, too late, and of more callers than may at once.
func TestUploads(t *testing.T) {
	s := party(t)
	part := func(peer, file string, at int64, data string) error {
		req, err := control.Seal(control.UploadHead{File: file, At: at}, []byte(data))
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Handle(t.Context(), "Upload", peer, req)
		return err
	}
	for _, tt := range []struct {
		file string
		at   int64
		want string
	}{
		{"plan", 5, "comes first"}, {"weights.npz", 0, "comes first"}, {"plan", 0, ""}, {"plan", 4, ""}, {"plan", 4, "8 bytes have come, not 4"}, {"plan", 8, "begin again"}, // a mistake ends it
		{"plan", 0, ""}, {"plan", -1, "4 bytes have come"}, {"plan", 0, ""}, {"weights.npz", 3, "0 bytes have come"}, {"plan", 0, ""}, {"weights.npz", 0, ""}, {"../ledger.db", 0, "want plan"},
		{"plan", 0, ""}, {"deployment.json", 0, "want plan"}, {"plan", 0, ""}, {"", 0, "want plan"}, {"plan", 0, ""}, {"weights.npz", 0, ""}, {"plan", 0, ""}, {"weights.npz", 4, "0 bytes have come"}, {"plan", 0, ""},
	} {
		if err := part("p1", tt.file, tt.at, "abcd"); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s at %d: error %v, want %q", tt.file, tt.at, err, tt.want)
		}
	}
	for _, req := range []string{"", "{}", "\xff\xff\xff\xff{}", "null", `{"plan":"x"}`, `{"plan":"` + strings.Repeat("0", 64) + `","sessions":-1}`} {
		for _, method := range []string{"Upload", "Deploy", "Withdraw"} {
			if _, err := s.Handle(t.Context(), method, "p1", []byte(req)); err == nil {
				t.Errorf("%s of %q passes", method, req)
			}
		}
	}
	if _, err := s.Handle(t.Context(), "Deploy", "p1", []byte(`{"plan":"`+strings.Repeat("0", 64)+`","sums":{"plan":"00"}}`)); err == nil || !strings.Contains(err.Error(), "did not arrive as it was sent") {
		t.Errorf("error %v", err)
	}
	if list, err := os.ReadDir(filepath.Join(s.StateFolder(), "plans")); err != nil || len(list) != 0 {
		t.Errorf("%v is left, %v", list, err)
	}
}

// TestQuotaOfOnePlan lets one plan have one session at once. Others, and other plans, wait for no room.
func TestQuotaOfOnePlan(t *testing.T) {
	first, second := credit(), credit().variant("b")
	h := newHost(t, first)
	for _, cfg := range h.cfg {
		cfg.Limits.Sessions, cfg.Limits.QueueTimeout, cfg.Timeout, cfg.InputTimeout = 3, "200ms", "20s", "1m"
	}
	h.must()
	ops := h.operator("ops")
	h.deploy(ops, second, 1)
	h.await(ops, second, control.Serving, second.plan.Roles()...)
	two := h.of(second, "p1-client", "p1")
	ticket, err := two.Session(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	refusedFor(t, "a second session", "deploy it with more --sessions", func(ctx context.Context) error { _, err := two.Session(ctx); return err })
	for range 3 {
		if err := h.infers(h.client("p1-client", "p1")); err != nil {
			t.Errorf("another plan: %v", err)
		}
	}
	h.deploy(ops, second, 2) // more
	more, err := two.Session(limited(t))
	if err != nil {
		t.Errorf("with a larger quota: %v", err)
	}
	for _, ticket := range []control.Ticket{ticket, more} {
		if r, err := two.Join(limited(t), ticket, second.input); err != nil || !second.right(r) {
			t.Errorf("%v", err)
		}
	}
}

// crossed are two plans of the same parties, each of which leads one, and the digests of p0's and p1's policies.
var crossed = sync.OnceValues(func() (out [2]*model, policies map[string]string) {
	dir, err := os.MkdirTemp("", "crossed")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	policies = map[string]string{}
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			panic(err)
		}
		return file
	}
	var files []string
	for _, p := range []string{"p0", "p1"} {
		text := "version: 1\nowner: " + p + "\nallow:\n  - output: c\n    to: [p0, p1]\n"
		files = append(files, write(p+".policy.yaml", text))
		policies[p] = fmt.Sprintf("%x", sha256.Sum256([]byte(text)))
	}
	for i, order := range []string{"p0, p1", "p1, p0"} {
		source := write(fmt.Sprint(i, ".smp"), "parties "+order+"\ndealer d\ninput a: int from p0 in 0..100\ninput b: int from p1 in 0..100\nreveal a * b to p0, p1 as c\n")
		c, err := smpcc.Compile(source, smpcc.Options{Policies: files})
		if err != nil {
			panic(err)
		}
		out[i] = &model{plan: c.Plan, input: [][]uint64{{6}, {7}}}
	}
	return out, policies
})

// TestLeadsDoNotWaitForEachOther runs sessions of two plans with different leads, each of which has room for one session: a session that has a place at one host and waits for one
// at the other gives it up.
func TestLeadsDoNotWaitForEachOther(t *testing.T) {
	plans, policies := crossed()
	h := newHost(t, plans[0])
	for r, cfg := range h.cfg {
		cfg.PolicyDigest = policies[r]
		cfg.Limits.Sessions, cfg.Limits.QueueTimeout, cfg.Timeout = 1, "1m", "20s"
	}
	h.must()
	ops := h.operator("ops")
	h.deploy(ops, plans[1], 0)
	h.await(ops, plans[1], control.Serving, "p0", "p1", "d")
	var wg sync.WaitGroup
	ctx := limited(t)
	for i, m := range plans {
		lead := m.plan.Manifest.Parties[0]
		for range 2 {
			cl := h.of(m, keys.ClientName(lead), "p0", "p1")
			wg.Go(func() {
				for range 8 {
					r, err := cl.InferWords(ctx, m.input)
					if err != nil {
						t.Errorf("plan of %s: %v", lead, err)
						return
					}
					if r.Outputs["c"][0] != 42 {
						t.Errorf("plan %d: 6 * 7 = %v", i, r.Outputs["c"])
					}
				}
			})
		}
	}
	wg.Wait()
}

// TestFolderOfPlans serves what lies in the configuration's folder. A file that is no plan, and one of others, keep none from being served and are told of. A plan that is withdrawn
// is not served after a restart either, until it is deployed.
func TestFolderOfPlans(t *testing.T) {
	m := credit()
	h := newHost(t, m, "stranger")
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		v := m.variant(name)
		if err := plan.WriteFile(filepath.Join(dir, name+".plan"), v.plan); err != nil {
			t.Fatal(err)
		}
		for _, r := range v.plan.Roles() {
			if d := v.files(t, r); d.Weights != "" {
				data, err := os.ReadFile(d.Weights)
				if err = errors.Join(err, os.WriteFile(filepath.Join(dir, name+".plan."+r+".weights.npz"), data, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "no.plan"), []byte("not a plan"), 0o600), plan.WriteFile(filepath.Join(dir, "others.plan"), trial().plan)); err != nil {
		t.Fatal(err)
	}
	for _, cfg := range h.cfg {
		cfg.Plans = dir
	}
	start := func() {
		for _, r := range m.plan.Roles() {
			h.startEmpty(r)
		}
	}
	start()
	ops, a, b := h.operator("ops"), m.variant("a"), m.variant("b")
	for _, v := range []*model{a, b} {
		h.await(ops, v, control.Serving, "p0", "p1", "d")
		h.runs(v, h.of(v, "p1-client", "p1"))
	}
	if s := h.status(ops, "p0", trial()); s.State != control.Refused || !strings.Contains(s.Why, "the certificate names") {
		t.Errorf("a plan of others: %+v", s)
	}
	if n := len(h.logs["p0"].with("a plan is not served", "no.plan")); n != 1 {
		t.Errorf("%d lines of a file that is no plan", n)
	}
	for _, r := range m.plan.Roles() {
		if _, err := ops.Withdraw(limited(t), r, a.plan.Digest()); err != nil {
			t.Error(err)
		}
	}
	h.await(ops, a, "", "p0", "p1", "d")
	for _, r := range m.plan.Roles() {
		h.stop(r)
	}
	start()
	h.await(ops, b, control.Serving, "p0", "p1", "d")
	if s := h.status(ops, "p0", a); s.State != "" {
		t.Errorf("a plan that was withdrawn is back: %+v", s)
	}
	h.deploy(ops, a, 0)
	h.await(ops, a, control.Serving, "p0", "p1", "d")
	h.runs(a, h.of(a, "p1-client", "p1"))
	for _, r := range m.plan.Roles() {
		h.stop(r)
	}
	start()
	h.await(ops, a, control.Serving, "p0", "p1", "d")
}

// TestDeploymentsOnAFaultyDisk deploys at a party whose disk fails from one place of the deployment on, for all places: the plan is there after a restart if the deployment was
// answered well, and where it was not, only if nothing but the last sync failed; nothing else is left; and with room it is deployed.
func TestDeploymentsOnAFaultyDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many servers")
	}
	m, second := credit(), credit().variant("b")
	h := newHost(t, m)
	h.must("p0", "d")
	ops := h.operator("ops")
	folder := func() (names []string) {
		list, err := os.ReadDir(filepath.Join(h.cfg["p1"].State, "plans"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, e := range list {
			names = append(names, e.Name())
		}
		return names
	}
	failed, unsure, places := 0, 0, 0
	for name, kind := range map[string]struct {
		make func(int64) *faulty.Disk
		step int64
	}{"full": {faulty.Full, 997}, "sick": {faulty.Sick, 1}} {
		for at := int64(0); ; at += kind.step {
			d := kind.make(at)
			h.cfg["p1"].Disk = d
			if err := h.start("p1"); err != nil { // it fails before
				continue
			}
			places++
			_, err := ops.Deploy(limited(t), "p1", second.files(t, "p1"), nil)
			if err != nil {
				failed++
				if text := err.Error(); !strings.Contains(text, "no space left") && !strings.Contains(text, "input/output error") || !strings.Contains(text, "p1") {
					t.Errorf("%s at %d: %v", name, at, err)
				}
				if left := folder(); d.Failed() && h.status(ops, "p1", second).State != "" {
					t.Errorf("%s at %d: it is served, %v", name, at, left)
				}
			}
			h.stop("p1")
			h.cfg["p1"].Disk = nil
			h.must("p1")
			there := h.status(ops, "p1", second).State != ""
			if there && err != nil {
				unsure++
			}
			if !there && (err == nil || len(folder()) > 0) {
				t.Errorf("%s at %d: the deployment ended with %v, after a restart there is %v", name, at, err, folder())
			}
			h.deploy(ops, second, 0, "p1")
			if _, err := ops.Withdraw(limited(t), "p1", second.plan.Digest()); err != nil {
				t.Error(err)
			}
			h.await(ops, second, "", "p1")
			h.stop("p1")
			if !d.Failed() {
				break
			}
		}
	}
	t.Logf("%d places, %d deployments failed", places, failed)
	if failed < 10 || unsure > 1 { // the last sync may have come or not
		t.Errorf("%d deployments failed, %d are there all the same", failed, unsure)
	}
}

// TestDamagedDeployment damages a plan that has been deployed. A restart refuses it, says so, and serves the others; it can be withdrawn, or deployed again.
func TestDamagedDeployment(t *testing.T) {
	first, second := credit(), credit().variant("b")
	h := newHost(t, first)
	h.must()
	ops := h.operator("ops")
	file := filepath.Join(h.cfg["p0"].State, "plans", second.plan.Digest()[:16], "plan")
	damage := func() {
		t.Helper()
		h.deploy(ops, second, 0)
		h.await(ops, second, control.Serving, second.plan.Roles()...)
		h.stop("p0")
		if err := os.Truncate(file, 100); err != nil {
			t.Fatal(err)
		}
		h.must("p0")
		if s := h.status(ops, "p0", second); s.State != control.Refused || s.Why == "" {
			t.Errorf("a damaged plan is %+v", s)
		}
		works(t, h, "beside a damaged plan")
	}
	damage()
	if s, err := ops.Withdraw(limited(t), "p0", second.plan.Digest()); err != nil || s.State != control.Refused {
		t.Errorf("%+v, %v", s, err)
	}
	if s := h.status(ops, "p0", second); s.State != "" {
		t.Errorf("it is there after its withdrawal: %+v", s)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its file is there: %v", err)
	}
	damage()
	h.deploy(ops, second, 0, "p0")
	h.await(ops, second, control.Serving, second.plan.Roles()...)
	h.runs(second, h.of(second, "p1-client", "p1"))
}

// TestKillsWithSeveralPlans serves three plans by processes, replaces one midway, and kills roles at random while clients ask for all of them. No result is wrong, nothing masks two
// openings, what was deployed is there after every restart, and what was withdrawn is not.
func TestKillsWithSeveralPlans(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	kills := 9
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		kills = 200
	}
	m := credit()
	f := newFleet(t, m)
	for _, r := range m.plan.Roles() {
		f.extra[r] = "plan_clients: [p1-client]\nmaterial: {low: 4, high: 8}\n"
	}
	f.startAll()
	ops, err := control.NewOperator(&control.Config{Servers: f.addrs, TLS: keys.DevFiles(f.keys, "p1-client"), Timeout: "20s"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ops.Close)
	h := &house{t: t, m: m, addrs: f.addrs, keys: f.keys}
	versions := []*model{m.variant("v1"), m.variant("v2")}
	third := m.variant("third")
	for _, v := range []*model{versions[0], third} {
		h.deploy(ops, v, 0)
	}
	for _, v := range []*model{versions[0], third} {
		h.await(ops, v, control.Serving, m.plan.Roles()...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var version atomic.Int32
	var right [4]atomic.Int32 // by plan: that of the configuration, the two versions, the third
	var wg sync.WaitGroup
	load := func(place func() int, clients []*client.Client, models []*model) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := place()
				one, cancel := context.WithTimeout(ctx, 20*time.Second)
				r, err := clients[i].InferWords(one, models[i].input)
				cancel()
				if err != nil { // a role is away
					time.Sleep(20 * time.Millisecond)
					continue
				}
				if !models[i].right(r) {
					t.Errorf("plan %d: session %d gave a wrong result", i, r.Session)
				}
				right[i].Add(1)
			}
		})
	}
	models := []*model{m, versions[0], versions[1], third}
	var clients []*client.Client
	for _, v := range models {
		clients = append(clients, h.of(v, "p1-client", "p1"))
	}
	for _, place := range []func() int{func() int { return 0 }, func() int { return 1 + int(version.Load()) }, func() int { return 3 }} {
		load(place, clients, models)
	}
	more := func(i int) {
		t.Helper()
		from := right[i].Load()
		for end := time.Now().Add(2 * time.Minute); right[i].Load() < from+2; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("plan %d does not work", i)
			}
		}
	}
	for k := range kills {
		if k == kills/2 {
			h.deploy(ops, versions[1], 0)
			h.await(ops, versions[1], control.Serving, m.plan.Roles()...)
			version.Store(1)
			for _, r := range m.plan.Roles() {
				if _, err := ops.Withdraw(limited(t), r, versions[0].plan.Digest()); err != nil {
					t.Error(err)
				}
			}
		}
		role := m.plan.Roles()[rand.IntN(3)]
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // anywhere in a session
		f.kill(role)
		f.start(role)
		f.ready(role)
		for _, i := range []int{0, 1 + int(version.Load()), 3} {
			more(i)
		}
	}
	cancel()
	wg.Wait()
	for _, r := range m.plan.Roles() {
		for i, v := range models {
			if there := h.status(ops, r, v).State != ""; there != (i != 1) {
				t.Errorf("%s: plan %d is there: %v", r, i, there)
			}
		}
	}
	n := f.neverTwice()
	t.Logf("%d kills; right results by plan %d, %d, %d, %d; %d openings observed", kills, right[0].Load(), right[1].Load(), right[2].Load(), right[3].Load(), n)
	if n == 0 {
		t.Error("nothing was observed")
	}
}
