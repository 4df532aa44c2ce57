package smpcc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/runtime/client"
	"smpcc/runtime/keys"
	"smpcc/runtime/server"
)

// newClient returns the client that acts for p1.
func (c *cluster) newClient() *client.Client {
	cfg := c.config("p1-client")
	cfg.ActsFor = []string{"p1"}
	cl, err := client.New(&cfg.Config, c.plan)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// wantOutput returns the plaintext result of credit.
func wantOutput(t *testing.T, c *smpcc.Compilation, x *ir.Tensor) float64 {
	t.Helper()
	want, err := ir.Run(c.Graph, map[string]*ir.Tensor{"input": x})
	if err != nil {
		t.Fatal(err)
	}
	return want["output"].F[0]
}

// TestStoredMaterial makes material ahead, runs sessions without the dealer, and restarts everybody in between.
func TestStoredMaterial(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("run", func(t *testing.T) {
		c, w, in, x := credit(t)
		want := wantOutput(t, c, x)
		cl := startCluster(t, c.Plan, w, func(_ string, cfg *server.Config) { cfg.Timeout = "2s" })
		cli, raw := cl.newClient(), cl.client()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		infer := func() error {
			r, err := cli.InferWords(ctx, in)
			if err != nil {
				return err
			}
			if d := r.Outputs["output"][0] - want; d > 0.002 || d < -0.002 {
				t.Errorf("output %g, want %g", r.Outputs["output"][0], want)
			}
			return nil
		}
		stock := func(party string, n int) {
			t.Helper()
			k, err := raw.Stock(ctx, party)
			if err != nil {
				t.Fatal(err)
			}
			if k.Sessions != n {
				t.Errorf("%s has material for %d sessions, want %d", party, k.Sessions, n)
			}
		}
		if _, err := raw.Generate(ctx, 20); err != nil { // two batches
			t.Fatal(err)
		}
		cl.kill("d")
		for range 3 {
			if err := infer(); err != nil {
				t.Fatal(err)
			}
		}
		stock("p0", 17)
		stock("p1", 17)
		for _, r := range []string{"p1", "p0"} {
			cl.kill(r)
			cl.start(r, w, nil)
		}
		stock("p0", 17) // and the setup is there, else it would be gone
		if err := infer(); err != nil {
			t.Fatalf("without a dealer, after a restart: %v", err)
		}
		// what one party has lost, all give up, and the dealer is needed
		cl.kill("p1")
		files, err := filepath.Glob(filepath.Join(cl.dir, "state-p1", "material", "*", "*.segment"))
		if err != nil || len(files) == 0 {
			t.Fatal("no segments", err)
		}
		for _, f := range files {
			if err := os.WriteFile(f, []byte("damaged"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		cl.start("p1", w, nil)
		short, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		if _, err := cli.InferWords(short, in); err == nil || !strings.Contains(err.Error(), "d at ") {
			t.Errorf("error %v, want that d is not there", err)
		}
		cl.start("d", w, nil)
		err = infer()
		for end := time.Now().Add(30 * time.Second); err != nil && time.Now().Before(end); err = infer() { // the lead sees soon that d is back
			time.Sleep(20 * time.Millisecond)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}

// TestStoredKeys makes keys of comparisons ahead, which both parties store, and runs a session on them without the dealer after a restart.
func TestStoredKeys(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("run", func(t *testing.T) {
		c, w, in, x := creditOver(t, wan)
		if !uses(c.Plan, plan.StepDCF) {
			t.Fatal("the plan has no keys")
		}
		want := wantOutput(t, c, x)
		cl := startCluster(t, c.Plan, w, func(_ string, cfg *server.Config) { cfg.Timeout = "2s" })
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := cl.client().Generate(ctx, 2); err != nil {
			t.Fatal(err)
		}
		cl.kill("d")
		for _, r := range []string{"p1", "p0"} {
			cl.kill(r)
			cl.start(r, w, nil)
		}
		for range 2 {
			r, err := cl.newClient().InferWords(ctx, in)
			if err != nil {
				t.Fatal(err)
			}
			if d := r.Outputs["output"][0] - want; d > 0.002 || d < -0.002 {
				t.Errorf("output %g, want %g", r.Outputs["output"][0], want)
			}
		}
		if _, err := cl.newClient().InferWords(ctx, in); err == nil {
			t.Error("a third session runs on material of two")
		}
	})
}

// TestRefill lets the first party keep its store between its marks.
func TestRefill(t *testing.T) {
	c, w, in, _ := credit(t)
	cl := startCluster(t, c.Plan, w, func(_ string, cfg *server.Config) { cfg.Material = server.Material{Low: 2, High: 4} })
	cli, raw := cl.newClient(), cl.client()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	filled := func() {
		t.Helper()
		for {
			least := 4
			for _, role := range []string{"p0", "p1"} { // p1 has what p0 may not know yet: then a session is dealt as it runs and takes none
				k, err := raw.Stock(ctx, role)
				if err != nil {
					t.Fatal(err)
				}
				least = min(least, k.Sessions)
			}
			if least == 4 {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	filled()
	for range 3 {
		if _, err := cli.InferWords(ctx, in); err != nil {
			t.Fatal(err)
		}
	}
	filled()
}

// TestStoreIsFull gives the last party no room.
func TestStoreIsFull(t *testing.T) {
	c, w, in, _ := credit(t)
	cl := startCluster(t, c.Plan, w, func(role string, cfg *server.Config) {
		if role == "p1" {
			cfg.Material.Disk = "1KB"
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := cl.client().Generate(ctx, 4); err == nil || !strings.Contains(err.Error(), "p1") || !strings.Contains(err.Error(), "store is full") {
		t.Errorf("error %v, want that the store of p1 is full", err)
	}
	if _, err := cl.newClient().InferWords(ctx, in); err != nil {
		t.Errorf("without stored material: %v", err)
	}
}

// TestQueue runs more requests at once than there is room for, and refuses those that wait too long.
func TestQueue(t *testing.T) {
	c, w, in, x := credit(t)
	want := wantOutput(t, c, x)
	cl := startCluster(t, c.Plan, w, func(role string, cfg *server.Config) {
		cfg.Limits = server.Limits{Sessions: 2, QueueTimeout: "20s"}
		if role == "p1" {
			cfg.Limits.Sessions = 1 // the lowest holds
		}
	})
	cli := cl.newClient()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var results int
	err := cli.Each(ctx, 24, 12, func(int) ([][]uint64, error) { return in, nil }, func(_ int, r *client.Result) error {
		results++
		if d := r.Outputs["output"][0] - want; d > 0.002 || d < -0.002 {
			t.Errorf("output %g, want %g", r.Outputs["output"][0], want)
		}
		return nil
	})
	if err != nil || results != 24 {
		t.Fatalf("%d results, %v", results, err)
	}

	full := startCluster(t, c.Plan, w, func(_ string, cfg *server.Config) {
		cfg.Limits = server.Limits{Sessions: 1, Queue: 1, QueueTimeout: "300ms"}
	})
	cli = full.newClient()
	id, err := cli.Session(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { _, errs[i] = cli.Session(ctx) })
	}
	wg.Wait()
	waited, refused := 0, 0
	for _, err := range errs {
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "within 300ms"):
			waited++
		case strings.Contains(err.Error(), "limits.queue"):
			refused++
		}
	}
	if waited != 1 || refused != 2 {
		t.Errorf("errors %v", errs)
	}
	if _, err := cli.Join(ctx, id, in); err != nil {
		t.Errorf("the session that had room: %v", err)
	}
	if _, err := cli.InferWords(ctx, in); err != nil {
		t.Errorf("after the queue was full: %v", err)
	}
}

func TestMemoryLimit(t *testing.T) {
	c, w, _, _ := credit(t)
	cl := startCluster(t, c.Plan, w, nil)
	cfg := cl.config("p1")
	cfg.Listen, cfg.State, cfg.PolicyDigest, cfg.Limits.Memory = "127.0.0.1:0", t.TempDir(), c.Plan.Manifest.Policies[1].Digest, "1KB"
	*cfg = server.Config{Config: cfg.Config, Listen: cfg.Listen, State: cfg.State, PolicyDigest: cfg.PolicyDigest, Limits: cfg.Limits}
	if _, err := server.New(cfg, c.Plan, w, false, discard); err == nil || !strings.Contains(err.Error(), "one session of this plan takes") {
		t.Errorf("error %v", err)
	}
}

// TestBatch checks the typed side of the client.
func TestBatch(t *testing.T) {
	c, w, _, x := credit(t)
	want := wantOutput(t, c, x)
	cl := startCluster(t, c.Plan, w, nil)
	cli := cl.newClient()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	requests := make([]client.Inputs, 5)
	for i := range requests {
		requests[i] = client.Inputs{"input": x.F}
	}
	last := 0
	results, err := cli.Batch(ctx, 3, requests, func(n int) { last = n })
	if err != nil || last != 5 {
		t.Fatalf("%d done, %v", last, err)
	}
	seen := map[uint64]bool{}
	for _, r := range results {
		if d := r.Outputs["output"][0] - want; d > 0.002 || d < -0.002 || seen[r.Session] {
			t.Errorf("session %d: output %g, want %g", r.Session, r.Outputs["output"][0], want)
		}
		seen[r.Session] = true
	}
	requests[3] = client.Inputs{"input": x.F[1:]}
	if _, err := cli.Batch(ctx, 1, requests, nil); err == nil || !strings.Contains(err.Error(), "request 3: input \"input\" has") {
		t.Errorf("error %v", err)
	}
	for _, bad := range []client.Inputs{{}, {"input": x.F, "other": nil}} {
		if _, err := cli.Infer(ctx, bad); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
	big := append([]float64(nil), x.F...)
	big[0] = 1e300
	if _, err := cli.Infer(ctx, client.Inputs{"input": big}); err == nil || strings.Contains(err.Error(), "e+300") {
		t.Errorf("error %v, want one without the data", err)
	}
}

// TestDrain stops servers while sessions run: those end well, and nothing new begins.
func TestDrain(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Run("run", func(t *testing.T) {
		c, w, in, _ := credit(t)
		addr := freeAddress(t)
		cl := startCluster(t, c.Plan, w, func(role string, cfg *server.Config) {
			if role == "p0" {
				cfg.Telemetry.Listen = addr
			}
		})
		cli := cl.newClient()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := cli.InferWords(ctx, in); err != nil {
			t.Fatal(err)
		}
		text := get(t, "http://"+addr+"/metrics")
		for _, want := range []string{`smpcc_sessions_total{purpose="session",result="done"} 1`, `smpcc_sessions_total{purpose="setup",result="done"} 1`, "smpcc_material_sessions 0", "smpcc_sessions_running 0", `smpcc_rounds_total{phase="online"}`} {
			if !strings.Contains(text, want) {
				t.Errorf("metrics lack %s", want)
			}
		}
		id, err := cli.Session(ctx)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		cl.kill("p1") // its session has no input yet
		cl.kill("p0")
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("stopping took %v", d)
		}
		short, stop := context.WithTimeout(ctx, 2*time.Second)
		defer stop()
		if _, err := cli.Join(short, id, in); err == nil {
			t.Error("a session outlived its servers")
		}
		http.DefaultClient.CloseIdleConnections()
	})
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCheck(t *testing.T) {
	c, w, _, _ := credit(t)
	cl := startCluster(t, c.Plan, w, nil)
	file := filepath.Join(cl.dir, "credit.plan")
	if err := os.WriteFile(file, c.Plan.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	config := func() *server.Config {
		cfg := cl.config("p1")
		cfg.Plan, cfg.State, cfg.Listen = file, t.TempDir(), cl.addrs["p1"]
		for _, p := range c.Plan.Manifest.Policies {
			if p.Owner == "p1" {
				cfg.PolicyDigest = p.Digest
			}
		}
		return cfg
	}
	text := func(cfg *server.Config) (all, failed string) {
		for _, f := range server.Check(context.Background(), cfg, false) {
			line := f.What + ": " + f.Detail + "\n"
			if all += line; f.Failed {
				failed += line
			}
		}
		return all, failed
	}
	if all, failed := text(config()); failed != "" || !strings.Contains(all, "p0: ") || !strings.Contains(all, "d: ") || !strings.Contains(all, "this server runs") {
		t.Errorf("failed:\n%s\nall:\n%s", failed, all)
	}
	for _, tt := range []struct {
		name   string
		change func(*server.Config)
		want   string
	}{
		{"a dead peer", func(c *server.Config) { c.Servers["d"] = freeAddress(t) }, "d: d cannot be reached at"},
		{"peers exchanged", func(c *server.Config) { c.Servers["p0"], c.Servers["d"] = c.Servers["d"], c.Servers["p0"] }, "p0: p0 is expected at"},
		{"another role", func(c *server.Config) { c.TLS = keys.DevFiles(filepath.Join(cl.dir, "keys"), "d") }, "use smpcc dealer"},
		{"no plan", func(c *server.Config) { c.Plan += "x" }, "plan: "},
		{"another policy", func(c *server.Config) { c.PolicyDigest = strings.Repeat("0", 64) }, "compiled under the policy"},
		{"no state", func(c *server.Config) { c.State = "" }, "state: state is missing"},
		{"another authority", func(c *server.Config) {
			dir := filepath.Join(t.TempDir(), "keys")
			if err := keys.Dev(dir, []string{"p1"}); err != nil {
				t.Fatal(err)
			}
			c.TLS = keys.DevFiles(dir, "p1")
		}, "p0: p0 at "},
	} {
		cfg := config()
		tt.change(cfg)
		if _, failed := text(cfg); !strings.Contains(failed, tt.want) {
			t.Errorf("%s:\n%s\nwant %s", tt.name, failed, tt.want)
		}
	}
	other, err := smpcc.Compile("examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 2}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config()
	if err := errors.Join(os.WriteFile(file, other.Plan.Encode(), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, failed := text(cfg); !strings.Contains(failed, "all roles must run the same plan file") {
		t.Errorf("another plan:\n%s", failed)
	}
}
