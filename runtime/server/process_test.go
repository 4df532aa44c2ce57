package server_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/runtime/client"
	"smpcc/runtime/control"
	"smpcc/runtime/keys"
	"smpcc/runtime/server"
)

// The environment that makes the test binary a server.
const (
	envConfig  = "SMPCC_TEST_CONFIG"
	envWeights = "SMPCC_TEST_WEIGHTS"
	envObserve = "SMPCC_TEST_OBSERVE"
)

func TestMain(m *testing.M) {
	if config := os.Getenv(envConfig); config != "" {
		if err := serve(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serve is a server process with an observer.
func serve(config string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	cfg, err := server.ReadConfig(config)
	if err != nil {
		return err
	}
	p, err := plan.ReadFile(cfg.Plan)
	if err != nil {
		return err
	}
	var weights [][]uint64
	if file := os.Getenv(envWeights); file != "" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		if err := errors.Join(gob.NewDecoder(f).Decode(&weights), f.Close()); err != nil {
			return err
		}
		for i := range weights {
			if len(weights[i]) == 0 {
				weights[i] = nil
			}
		}
	}
	_, name, err := keys.Load(cfg.TLS)
	if err != nil {
		return err
	}
	s, err := server.New(cfg, p, weights, name == p.Manifest.Dealer, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	w, err := os.OpenFile(os.Getenv(envObserve), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	role := indexOf(p.Roles(), name)
	s.Observe(func(stream string, id uint64, ph plan.Phase, round int, out [][]byte) {
		if stream == "material" || ph == plan.Offline { // corrections are no openings
			return
		}
		var lines bytes.Buffer
		for _, o := range p.Programs[role].Rounds(ph)[round].Opens {
			if o.Item > 0 && indexOf(o.From, role) >= 0 && p.Items[o.Item-1].Bits > 0 {
				it := p.Items[o.Item-1]
				fmt.Fprintf(&lines, "%s %d %d %d\n", stream, id, it.Scope, it.Offset)
			}
		}
		if _, err := w.Write(lines.Bytes()); err != nil {
			panic(err)
		}
	})
	return errors.Join(s.Serve(ctx, nil), w.Close())
}

func indexOf[T comparable](list []T, x T) int {
	for i := range list {
		if list[i] == x {
			return i
		}
	}
	return -1
}

// A model is a compiled example with data.
type model struct {
	plan    *plan.Plan
	weights [][]uint64
	input   [][]uint64
	want    *ir.Tensor
	atol    float64
}

func compileModel(t testing.TB, dir string, atol float64) *model {
	t.Helper()
	c, err := smpcc.Compile(filepath.Join("../../examples", dir, "model.onnx"), smpcc.Options{Dims: map[string]int{"N": 1}})
	if err != nil {
		t.Fatal(err)
	}
	m := &model{plan: c.Plan, atol: atol}
	if m.weights, err = c.BindWeights(); err != nil {
		t.Fatal(err)
	}
	x, _, err := onnx.ReadTensor(filepath.Join("../../examples", dir, "test_data_set_0/input_0.pb"))
	if err != nil {
		t.Fatal(err)
	}
	port := c.Plan.Manifest.Inputs[0]
	in, err := smpcc.Bind(port, x)
	if err != nil {
		t.Fatal(err)
	}
	m.input = [][]uint64{in}
	out, err := ir.Run(c.Graph, map[string]*ir.Tensor{port.Name: x})
	if err != nil {
		t.Fatal(err)
	}
	m.want = out[c.Plan.Manifest.Outputs[0].Name]
	return m
}

var credit = sync.OnceValue(func() *model { return compileModel(&testing.T{}, "credit", 0.002) })

// right reports whether a result is what the plaintext gives.
func (m *model) right(r *client.Result) bool {
	out := r.Outputs[m.plan.Manifest.Outputs[0].Name]
	if len(out) != m.want.Len() {
		return false
	}
	for i, x := range out {
		if d := x - m.want.At(i); !(d <= m.atol && d >= -m.atol) {
			return false
		}
	}
	return true
}

// A fleet is all roles of a plan as processes on loopback.
type fleet struct {
	t     testing.TB
	dir   string
	m     *model
	keys  string            // folder of certificates
	addrs map[string]string // where each role answers
	// where a role listens, where that is not its address
	listens map[string]string
	routes  map[string]map[string]string // how a role reaches another, where that is not its address
	extra   map[string]string            // lines of each role's configuration
	procs   map[string]*exec.Cmd
	logs    map[string]*os.File
}

func newFleet(t testing.TB, m *model) *fleet {
	t.Helper()
	f := &fleet{t: t, dir: t.TempDir(), m: m, addrs: map[string]string{}, listens: map[string]string{}, routes: map[string]map[string]string{}, extra: map[string]string{}, procs: map[string]*exec.Cmd{}, logs: map[string]*os.File{}}
	var names []string
	for _, r := range m.plan.Roles() {
		names = append(names, r, keys.ClientName(r))
		f.addrs[r] = freeAddress(t)
		f.routes[r] = map[string]string{}
	}
	f.keys = f.path("keys")
	if err := keys.Dev(f.keys, names); err != nil {
		t.Fatal(err)
	}
	if err := plan.WriteFile(f.path("plan"), m.plan); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.plan.Roles() {
		own := make([][]uint64, len(m.weights))
		for i, w := range m.plan.Manifest.Weights {
			if w.Owner == r {
				own[i] = m.weights[i]
			}
		}
		var b bytes.Buffer
		if err := errors.Join(gob.NewEncoder(&b).Encode(own), os.WriteFile(f.path(r+".weights"), b.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for r := range f.procs {
			f.stop(r)
		}
		for _, l := range f.logs {
			l.Close()
		}
		if t.Failed() && os.Getenv("SMPCC_TEST_LOGS") != "" {
			for _, r := range m.plan.Roles() {
				data, err := os.ReadFile(f.path(r + ".log"))
				t.Logf("log of %s (%v):\n%s", r, err, data)
			}
		}
	})
	return f
}

func (f *fleet) path(name string) string { return filepath.Join(f.dir, name) }

// telemetry has a role answer for its metrics, and returns where.
func (f *fleet) telemetry(role string) string {
	f.t.Helper()
	addr := freeAddress(f.t)
	f.extra[role] += "telemetry: {listen: '" + addr + "'}\n"
	return addr
}

// isFree reports whether nobody listens at an address.
func isFree(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		l.Close()
	}
	return err == nil
}

// freeAddress returns an address on loopback that nobody listens at.
func freeAddress(t testing.TB) string {
	t.Helper()
	addr, err := server.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// sizeOf writes a number of bytes as configurations do.
func sizeOf(n int64) string { return strconv.FormatInt(n, 10) + "B" }

// startAll starts every role.
func (f *fleet) startAll() {
	for _, r := range f.m.plan.Roles() {
		f.start(r)
	}
}

// start starts a role's process; it may not listen yet when it returns.
func (f *fleet) start(role string) {
	f.t.Helper()
	var b strings.Builder
	listen, files := cmp.Or(f.listens[role], f.addrs[role]), keys.DevFiles(f.keys, role)
	fmt.Fprintf(&b, "listen: '%s'\nplan: plan\nstate: state-%s\nclients: [p1-client]\nmaterial_clients: [p1-client]\ntls: {ca: %s, cert: %s, key: %s}\nservers:\n", listen, role, files.CA, files.Cert, files.Key)
	for _, r := range f.m.plan.Roles() {
		a := f.addrs[r]
		if via := f.routes[role][r]; via != "" {
			a = via
		}
		fmt.Fprintf(&b, "  %s: '%s'\n", r, a)
	}
	for _, p := range f.m.plan.Manifest.Policies {
		if p.Owner == role {
			fmt.Fprintf(&b, "policy_digest: %s\n", p.Digest)
		}
	}
	text := b.String() + f.extra[role]
	if !strings.Contains(text, "timeout: ") {
		text += "timeout: 2s\ninput_timeout: 3s\n"
	}
	if err := os.WriteFile(f.path(role+".yaml"), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
	if f.logs[role] == nil {
		l, err := os.OpenFile(f.path(role+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			f.t.Fatal(err)
		}
		f.logs[role] = l
	}
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), envConfig+"="+f.path(role+".yaml"), envObserve+"="+f.path(role+".observed"))
	if role != f.m.plan.Manifest.Dealer {
		c.Env = append(c.Env, envWeights+"="+f.path(role+".weights"))
	}
	c.Stderr = f.logs[role]
	if err := c.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.procs[role] = c
}

// kill ends a process as a power cut would.
func (f *fleet) kill(role string) {
	if c := f.procs[role]; c != nil {
		_ = c.Process.Kill() // it may be gone
		_ = c.Wait()         // killed
		delete(f.procs, role)
	}
}

// drained is how long a server that is stopped may take: a session whose client has left waits for its input first.
const drained = time.Minute

// stop ends a process as an operator would.
func (f *fleet) stop(role string) {
	c := f.procs[role]
	if c == nil {
		return
	}
	delete(f.procs, role)
	_ = c.Process.Signal(syscall.SIGCONT)
	_ = c.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(drained, func() { _ = c.Process.Kill() })
	err := c.Wait()
	if !late.Stop() {
		f.t.Errorf("%s did not stop", role)
	} else if err != nil {
		f.t.Errorf("%s: %v", role, err)
	}
}

func (f *fleet) signal(role string, s syscall.Signal) {
	f.t.Helper()
	p := f.procs[role].Process
	if err := p.Signal(s); err != nil {
		f.t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); s == syscall.SIGSTOP && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.Pid))
		if err != nil {
			return // without /proc there is nothing to wait for
		}
		if _, rest, _ := strings.Cut(string(stat), ") "); strings.HasPrefix(rest, "T") {
			return
		}
	}
}

// client returns the client of p1.
func (f *fleet) client() *client.Client {
	f.t.Helper()
	c, err := f.connect()
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// connect returns a client of p1 for the caller to close.
func (f *fleet) connect() (*client.Client, error) {
	return client.New(&control.Config{Servers: f.addrs, TLS: keys.DevFiles(f.keys, "p1-client"), ActsFor: []string{"p1"}}, f.m.plan)
}

// raw returns a client with the methods of one server.
func (f *fleet) raw() *control.Client {
	f.t.Helper()
	c, err := control.NewClient(&control.Config{Servers: f.addrs, TLS: keys.DevFiles(f.keys, "p1-client"), ActsFor: []string{"p1"}}, f.m.plan)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.Close)
	return c
}

// works runs a session that must end well and be right, as soon as the lead has seen that roles which were away are back.
func (f *fleet) works(cl *client.Client, when string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	r, err := cl.InferWords(ctx, f.m.input)
	for err != nil && strings.Contains(err.Error(), "cannot be reached") && ctx.Err() == nil {
		time.Sleep(20 * time.Millisecond)
		r, err = cl.InferWords(ctx, f.m.input)
	}
	if err != nil {
		f.t.Fatalf("%s: %v", when, err)
	}
	if !f.m.right(r) {
		f.t.Fatalf("%s: the result is wrong", when)
	}
}

// errors returns the errors that a role has logged for a session.
func (f *fleet) errors(role string, session uint64) (out []string) {
	f.t.Helper()
	l, err := os.Open(f.path(role + ".log"))
	if err != nil {
		f.t.Fatal(err)
	}
	defer l.Close()
	for s := bufio.NewScanner(l); s.Scan(); {
		var line struct {
			Level, Error string
			Session      uint64
		}
		if json.Unmarshal(s.Bytes(), &line) == nil && line.Level == "ERROR" && line.Session == session {
			out = append(out, line.Error)
		}
	}
	return out
}

// awaitError waits for the one error that a role must log for a session, and wants all of the texts in it.
func (f *fleet) awaitError(role string, session uint64, within time.Duration, want ...string) {
	f.t.Helper()
	var list []string
	for end := time.Now().Add(within); len(list) == 0 && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		list = f.errors(role, session)
	}
	if len(list) != 1 {
		f.t.Errorf("%s has %d errors of session %d after %v, want one: %q", role, len(list), session, within, list)
		return
	}
	for _, w := range append(want, "session "+strconv.FormatUint(session, 10)) {
		if !strings.Contains(list[0], w) {
			f.t.Errorf("%s: %q does not contain %q", role, list[0], w)
		}
	}
}

// longest is how many numbers of sessions or material may be given out while one is in use, and more.
const longest = 4096

// neverTwice checks, over all that every role has sent since the beginning, that no piece of material has masked two
// openings: those of one number, and that no number comes back after many others.
func (f *fleet) neverTwice() (openings int) {
	f.t.Helper()
	for _, r := range f.m.plan.Manifest.Parties {
		file, err := os.Open(f.path(r + ".observed"))
		if err != nil {
			f.t.Fatal(err)
		}
		seen, highest := map[string]map[uint64]map[string]bool{}, map[string]uint64{} // by stream
		for s := bufio.NewScanner(file); s.Scan(); openings++ {
			stream, rest, _ := strings.Cut(s.Text(), " ")
			number, _, _ := strings.Cut(rest, " ")
			id, err := strconv.ParseUint(number, 10, 64)
			if err != nil {
				f.t.Fatalf("%s observed %q: %v", r, s.Text(), err)
			}
			if seen[stream] == nil {
				seen[stream] = map[uint64]map[string]bool{}
			}
			of := seen[stream]
			switch {
			case id+longest < highest[stream]:
				f.t.Errorf("%s used %s %d when %d had been used: %s", r, stream, id, highest[stream], s.Text())
			case of[id] == nil:
				of[id] = map[string]bool{}
			case of[id][s.Text()]:
				f.t.Errorf("%s opened twice under one mask: %s", r, s.Text())
			}
			if of[id] != nil {
				of[id][s.Text()] = true
			}
			for ; highest[stream] < id; highest[stream]++ {
				delete(of, highest[stream]-longest) // wraps at first, where there is nothing
			}
		}
		file.Close()
	}
	return openings
}

// secretsIn checks that no log holds the given words as numbers.
func (f *fleet) secretsIn(words []uint64) {
	f.t.Helper()
	for _, r := range f.m.plan.Roles() {
		data, err := os.ReadFile(f.path(r + ".log"))
		if err != nil {
			f.t.Fatal(err)
		}
		for _, w := range words {
			if w > 1<<16 && (bytes.Contains(data, []byte(strconv.FormatUint(w, 10))) || bytes.Contains(data, []byte(strconv.FormatUint(w, 16)))) {
				f.t.Errorf("the log of %s holds an input", r)
			}
		}
		if len(data) == 0 {
			f.t.Errorf("the log of %s is empty", r)
		}
	}
}
