package smpcc_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/passes"
	"smpcc/runtime/control"
	"smpcc/runtime/keys"
	"smpcc/runtime/local"
	"smpcc/runtime/server"
)

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// A cluster is all roles of a plan as servers on loopback.
type cluster struct {
	t     *testing.T
	dir   string
	plan  *plan.Plan
	addrs map[string]string
	stops map[string]func()
}

// startCluster serves every role; change may edit a role's configuration.
func startCluster(t *testing.T, p *plan.Plan, weights [][]uint64, change func(role string, c *server.Config)) *cluster {
	t.Helper()
	old := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, old) }) // runs last, when servers and clients have stopped
	c := &cluster{t: t, dir: t.TempDir(), plan: p, addrs: map[string]string{}, stops: map[string]func(){}}
	roles := p.Roles()
	var names []string
	for _, r := range roles {
		names = append(names, r, keys.ClientName(r))
		c.addrs[r] = freeAddress(t)
	}
	if err := keys.Dev(filepath.Join(c.dir, "keys"), names); err != nil {
		t.Fatal(err)
	}
	for _, r := range roles {
		c.start(r, weights, change)
	}
	t.Cleanup(func() {
		for _, r := range roles {
			c.kill(r)
		}
	})
	return c
}

func (c *cluster) config(name string) *server.Config {
	file := filepath.Join(c.dir, name+".yaml")
	f := keys.DevFiles(filepath.Join(c.dir, "keys"), name)
	text := "timeout: 5s\ntls: {ca: " + f.CA + ", cert: " + f.Cert + ", key: " + f.Key + "}\nservers:\n"
	for r, a := range c.addrs {
		text += "  " + r + ": " + a + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
	cfg, err := server.ReadConfig(file)
	if err != nil {
		c.t.Fatal(err)
	}
	return cfg
}

func (c *cluster) start(role string, weights [][]uint64, change func(string, *server.Config)) {
	c.t.Helper()
	cfg := c.config(role)
	cfg.Listen, cfg.State, cfg.Clients = c.addrs[role], filepath.Join(c.dir, "state-"+role), []string{"p1-client"}
	cfg.MaterialClients = cfg.Clients
	for _, p := range c.plan.Manifest.Policies {
		if p.Owner == role {
			cfg.PolicyDigest = p.Digest
		}
	}
	if change != nil {
		change(role, cfg)
	}
	own := make([][]uint64, len(weights))
	for i, w := range c.plan.Manifest.Weights {
		if w.Owner == role {
			own[i] = weights[i]
		}
	}
	s, err := server.New(cfg, c.plan, own, role == c.plan.Manifest.Dealer, discard)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() { done <- s.Serve(ctx, func(net.Addr) { close(ready) }) }()
	select {
	case <-ready:
	case err := <-done:
		c.t.Fatal(err)
	}
	c.stops[role] = func() {
		cancel()
		if err := <-done; err != nil {
			c.t.Errorf("%s: %v", role, err)
		}
	}
}

func (c *cluster) kill(role string) {
	if stop := c.stops[role]; stop != nil {
		stop()
		delete(c.stops, role)
	}
}

func (c *cluster) client() *control.Client {
	cfg := c.config("p1-client")
	cfg.ActsFor = []string{"p1"}
	cl, err := control.NewClient(&cfg.Config, c.plan)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

// credit compiles the logistic regression for one row and returns its encoded weights and input.
func credit(t *testing.T) (*smpcc.Compilation, [][]uint64, [][]uint64, *ir.Tensor) {
	t.Helper()
	return creditOver(t, passes.Network{})
}

// creditOver is credit compiled for a network.
func creditOver(t *testing.T, net passes.Network) (*smpcc.Compilation, [][]uint64, [][]uint64, *ir.Tensor) {
	t.Helper()
	c, err := smpcc.Compile("examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Net: net})
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	x, _, err := onnx.ReadTensor("examples/credit/test_data_set_0/input_0.pb")
	if err != nil {
		t.Fatal(err)
	}
	in, err := smpcc.Bind(c.Plan.Manifest.Inputs[0], x)
	if err != nil {
		t.Fatal(err)
	}
	return c, w, [][]uint64{in}, x
}

// run opens a session and returns what each role measured and received.
func (c *cluster) run(cl *control.Client, in [][]uint64) (map[string]*control.RoleResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	id, err := cl.Open(ctx)
	if err != nil {
		return nil, err
	}
	if err := cl.Input(ctx, id, "p1", in); err != nil {
		return nil, err
	}
	out := map[string]*control.RoleResult{}
	for _, r := range c.plan.Roles() {
		if out[r], err = cl.Result(ctx, id, r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func freeAddress(t testing.TB) string {
	t.Helper()
	addr, err := server.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestServersAgreeWithMemory(t *testing.T) {
	t.Run("run", func(t *testing.T) {
		c, w, in, x := credit(t)
		want, err := ir.Run(c.Graph, map[string]*ir.Tensor{"input": x})
		if err != nil {
			t.Fatal(err)
		}
		runner, err := local.New(context.Background(), c.Plan, w)
		if err != nil {
			t.Fatal(err)
		}
		mem, err := runner.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		checkCost(t, c.Plan, mem)
		cl := startCluster(t, c.Plan, w, nil)
		client := cl.client()
		for range 3 { // one setup serves them all
			got, err := cl.run(client, in)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range c.Plan.Roles() {
				if on := got[r].Online; on.BytesSent != mem.Online.Sent[i] || r != "d" && on.Rounds != mem.Online.Rounds {
					t.Errorf("%s: %d bytes in %d rounds, in memory %d in %d", r, on.BytesSent, on.Rounds, mem.Online.Sent[i], mem.Online.Rounds)
				}
				if off := got[r].Offline; off.BytesSent != mem.Offline.Sent[i] {
					t.Errorf("%s: %d bytes offline, in memory %d", r, off.BytesSent, mem.Offline.Sent[i])
				}
			}
			if len(got["p0"].Outputs) != 0 {
				t.Error("p0 received an output")
			}
			y := smpcc.Read(c.Plan.Manifest.Outputs[0], got["p1"].Outputs["output"])
			if d := y.F[0] - want["output"].F[0]; d > 0.002 || d < -0.002 {
				t.Errorf("output %g, want %g", y.F[0], want["output"].F[0])
			}
		}
		// a party that has lost its setup gets a new one
		cl.kill("p1")
		cl.start("p1", w, nil)
		if _, err := cl.run(client, in); err != nil {
			t.Fatalf("after a restart of p1: %v", err)
		}
	})
}

func TestKilledPeerEndsTheSession(t *testing.T) {
	for _, victim := range []string{"p1", "d"} {
		t.Run(victim, func(t *testing.T) {
			c, w, in, _ := credit(t)
			cl := startCluster(t, c.Plan, w, nil)
			client := cl.client()
			if _, err := cl.run(client, in); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if victim == "d" { // without a dealer no session begins
				cl.kill(victim)
				if _, err := client.Open(ctx); err == nil || !strings.Contains(err.Error(), "d at ") {
					t.Errorf("error %v, want one that names d", err)
				}
				return
			}
			id, err := client.Open(ctx)
			if err != nil {
				t.Fatal(err)
			}
			cl.kill(victim) // p0 waits for its first message
			_, err = client.Result(ctx, id, "p0")
			// p1 dies before or after it has connected for the session
			if err == nil || !strings.Contains(err.Error(), "p1") || !strings.Contains(err.Error(), "online round") && !strings.Contains(err.Error(), "did not connect within") {
				t.Errorf("error %v, want one that names p1, and the round or that it did not connect", err)
			}
		})
	}
}

func TestServersRefuse(t *testing.T) {
	c, w, in, _ := credit(t)
	other, err := smpcc.Compile("examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 2}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cl := startCluster(t, c.Plan, w, func(_ string, cfg *server.Config) { cfg.Drain = "2s" }) // a session is left that waits for its input
	t.Run("another plan", func(t *testing.T) {
		cfg := cl.config("p1-client")
		client, err := control.NewClient(&cfg.Config, other.Plan)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Open(ctx); err == nil || !strings.Contains(err.Error(), "same plan file") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("a stranger", func(t *testing.T) {
		cfg := cl.config("p0-client")
		client, err := control.NewClient(&cfg.Config, c.Plan)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Open(ctx); err == nil || !strings.Contains(err.Error(), "nor among the clients") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("another authority", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "keys")
		if err := keys.Dev(dir, []string{"p1-client"}); err != nil {
			t.Fatal(err)
		}
		cfg := cl.config("p1-client")
		cfg.TLS = keys.DevFiles(dir, "p1-client")
		client, err := control.NewClient(&cfg.Config, c.Plan)
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		short, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := client.Ready(short, "p0"); err == nil {
			t.Error("a server with another authority was believed")
		}
	})
	t.Run("inputs outside their range", func(t *testing.T) { // of a client that does not check
		client := cl.client()
		id, err := client.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		port := c.Plan.Manifest.Inputs[0]
		beyond := [][]uint64{slices.Clone(in[0])}
		beyond[0][3] = uint64(int64(port.Hi+1) << port.Scale)
		if err := client.Input(ctx, id, "p1", beyond); err == nil || !strings.Contains(err.Error(), "element 3 is outside the range") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("inputs twice", func(t *testing.T) {
		client := cl.client()
		id, err := client.Open(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Input(ctx, id, "p1", in); err != nil {
			t.Fatal(err)
		}
		if err := client.Input(ctx, id, "p1", in); err == nil {
			t.Error("a second input was taken")
		}
	})
	t.Run("a plan that sends a value as it is", func(t *testing.T) {
		p, err := plan.DecodeProjection(c.Plan.EncodeProjection())
		if err != nil {
			t.Fatal(err)
		}
		p.Typed = c.Plan.Typed
		for i := range p.Programs[1].Online[0].Steps {
			if s := &p.Programs[1].Online[0].Steps[i]; s.Op == plan.StepAdd { // input + mask
				s.Op, s.Src = plan.StepNeg, s.Src[:1]
				break
			}
		}
		for _, role := range []string{"p0", "p1", "d"} {
			cfg := cl.config(role)
			cfg.Listen, cfg.State = "127.0.0.1:0", t.TempDir()
			if _, err := server.New(cfg, p, w, role == "d", slog.Default()); err == nil || !strings.Contains(err.Error(), "V33 other-programs") {
				t.Errorf("%s: error %v", role, err)
			}
		}
	})
	t.Run("no policy", func(t *testing.T) {
		cfg := cl.config("p0")
		cfg.Listen, cfg.State = "127.0.0.1:0", t.TempDir()
		if _, err := server.New(cfg, c.Plan, w, false, slog.Default()); err == nil || !strings.Contains(err.Error(), "has no policy") {
			t.Errorf("error %v", err)
		}
		cfg.PolicyDigest = strings.Repeat("0", 64)
		if _, err := server.New(cfg, c.Plan, w, false, slog.Default()); err == nil || !strings.Contains(err.Error(), "compiled under the policy") {
			t.Errorf("error %v", err)
		}
	})
}

func TestSessionRunsOnce(t *testing.T) {
	c, w, in, _ := credit(t)
	r, err := local.New(context.Background(), c.Plan, w)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(context.Background(), in[:0]); err == nil {
		t.Error("a run without inputs was accepted")
	}
	a, err := r.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	b, err := r.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Outputs[1]) != 1 || len(b.Outputs[1]) != 1 || len(a.Outputs[0]) != 0 {
		t.Errorf("outputs %v and %v", a.Outputs, b.Outputs)
	}
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := r.Run(canceled, in); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want canceled", err)
	}
}
