package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/text"
	"smpcc/passes"
	"smpcc/runtime/material"
	"smpcc/runtime/memnet"
)

// A stained transport gives messages to be written a pattern, as buffers may have had any content before, and keeps copies of what is sent and
// the very buffers of what is received.
type stained struct {
	*memnet.Role
	pattern byte

	last chan struct{} // closed when the exchange begun last is over
	mu   sync.Mutex
	sent map[string][]byte // by phase, round and receiver
	got  map[string][]byte // by phase, round and sender
}

// Start implements Streamer.
func (s *stained) Start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) Flow {
	for _, b := range out {
		for i := range b {
			b[i] = s.pattern
		}
	}
	f := &stainedFlow{in: make([][]byte, len(want)), done: make(chan struct{})}
	for j, n := range want {
		f.in[j] = make([]byte, n)
	}
	before := s.last
	s.last = f.done
	f.begin = func() {
		defer close(f.done)
		if before != nil { // messages to a peer go in the order of rounds
			<-before
		}
		s.mu.Lock()
		for to, b := range out {
			s.sent[fmt.Sprint(ph, round, to)] = bytes.Clone(b)
		}
		s.mu.Unlock()
		in, err := s.Exchange(ctx, ph, round, out, want)
		if f.err = err; err != nil {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for from, b := range in {
			copy(f.in[from], b) // the sender's buffer is its own in this test
			s.got[fmt.Sprint(ph, round, from)] = f.in[from]
		}
	}
	return f
}

// A stainedFlow is one exchange, which begins when everything is written.
type stainedFlow struct {
	begin func()
	done  chan struct{}
	in    [][]byte
	err   error
}

func (f *stainedFlow) Ready(to, lo, hi int)         {}
func (f *stainedFlow) Flush()                       { go f.begin() }
func (f *stainedFlow) Await(from, lo, hi int) error { <-f.done; return f.err }
func (f *stainedFlow) In() [][]byte                 { return f.in }
func (f *stainedFlow) Done() error                  { <-f.done; return f.err }
func (f *stainedFlow) Waited() time.Duration        { return 0 }

// A trial is one setup and session of all roles under fixed keys.
type trial struct {
	transports [3][]*stained // by phase and role
	streams    []*material.Stream
	outputs    []map[string][]uint64
	engines    []*Engine
}

// try runs a plan with buffers of messages that hold a pattern.
func try(t *testing.T, p *plan.Plan, weights, inputs [][]uint64, pattern byte) *trial {
	t.Helper()
	r := &trial{outputs: make([]map[string][]uint64, len(p.Programs)), engines: make([]*Engine, len(p.Programs))}
	var nets [3]*memnet.Net
	for ph := range nets {
		nets[ph] = memnet.New(p.Roles())
		for role := range p.Programs {
			r.transports[ph] = append(r.transports[ph], &stained{Role: nets[ph].Role(role), pattern: pattern, sent: map[string][]byte{}, got: map[string][]byte{}})
		}
	}
	streams := func(phase plan.Phase, role int) Streams {
		out := make(Streams, p.NumParties())
		for i := range out {
			if role != i && role != len(out) {
				continue
			}
			h := sha256.Sum256([]byte{byte(phase), byte(i)})
			k, err := material.KeyOf(h[:])
			if err != nil {
				t.Fatal(err)
			}
			if out[i], err = material.NewStream(k); err != nil {
				t.Fatal(err)
			}
			r.streams = append(r.streams, out[i])
		}
		return out
	}
	own := func(role int, ports []plan.Port, all [][]uint64) [][]uint64 {
		out := make([][]uint64, len(all))
		for i, port := range ports {
			if port.Owner == p.Programs[role].Role {
				out[i] = all[i]
			}
		}
		return out
	}
	errs := make([]error, len(p.Programs))
	var wg sync.WaitGroup
	for role := range p.Programs {
		e, err := New(p, role)
		if err != nil {
			t.Fatal(err)
		}
		r.engines[role] = e
		setup, session := streams(plan.Setup, role), streams(plan.Offline, role)
		wg.Go(func() {
			m, err := e.Setup(t.Context(), r.transports[plan.Setup][role], setup, own(role, p.Manifest.Weights, weights))
			var s *Session
			if err == nil {
				s, err = e.Offline(t.Context(), r.transports[plan.Offline][role], m, session)
			}
			if err == nil {
				r.outputs[role], err = s.Online(t.Context(), r.transports[plan.Online][role], own(role, p.Manifest.Inputs, inputs))
			}
			if errs[role] = err; err != nil {
				for _, n := range nets {
					n.Fail(role, err)
				}
			}
		})
	}
	wg.Wait()
	for role, err := range errs {
		if err != nil {
			t.Fatalf("role %d: %v", role, err)
		}
	}
	for _, e := range r.engines { // until memory is cleared
		e.slab()
	}
	return r
}

// programs compiles plans with every kind of opening, some of whose elements end within a byte and some of which take several workers.
func programs(t *testing.T, fn func(t *testing.T, p *plan.Plan, weights, inputs [][]uint64)) {
	for name, c := range map[string]struct {
		parties []string
		n       int
		net     passes.Network
	}{
		"two parties": {[]string{"p0", "p1"}, 37, passes.Network{}}, "three parties": {[]string{"p0", "p1", "p2"}, 37, passes.Network{}},
		"large": {[]string{"p0", "p1"}, parallelLen + 3, passes.Network{}}, "keys": {[]string{"p0", "p1"}, 37, passes.Network{RTT: 10, Bandwidth: 1e12}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := text.Parse("clear.ir", fmt.Appendf(nil, `module "clear" {
  parties %[1]s
  dealer d
  func main {
    v0 = input name="x" owner="p1" elem="real" shape=[%[2]d] lo=-8 hi=8 : private(p1) real[%[2]d]
    v1 = weight name="w" owner="p0" elem="real" shape=[%[2]d] : private(p0) real[%[2]d]
    v2 = mul v0 v1 : secret{p0,p1} real[%[2]d]
    v3 = relu v2 : secret{p0,p1} real[%[2]d]
    v4 = mul v3 v0 : secret{p0,p1} real[%[2]d]
    v5 = reveal v4 name="y" to=["p1"] : private(p1) real[%[2]d]
    v6 = lt v0 v1 : secret{p0,p1} bool[%[2]d]
    v7 = reveal v6 name="z" to=["p0"] : private(p0) bool[%[2]d]
  }
}
`, joined(c.parties), c.n))
			if err != nil {
				t.Fatal(err)
			}
			w, x := ir.Reals(ir.Shape{c.n}, make([]float64, c.n)...), ir.Reals(ir.Shape{c.n}, make([]float64, c.n)...)
			for i := range c.n {
				w.F[i], x.F[i] = float64(i%7-3), float64(i%257)/16-8
			}
			m.Weights = map[string]*ir.Tensor{"w": w}
			comp, err := smpcc.CompileModule(m, smpcc.Options{Net: c.net}, true)
			if err != nil {
				t.Fatal(err)
			}
			weights, err := comp.BindWeights()
			if err != nil {
				t.Fatal(err)
			}
			words, err := smpcc.Bind(comp.Plan.Manifest.Inputs[0], x)
			if err != nil {
				t.Fatal(err)
			}
			if keyed := bytes.Contains(comp.Plan.EncodeProjection(), []byte("roots of comparison keys")); keyed != (name == "keys") {
				t.Fatalf("the plan has keys: %v", keyed)
			}
			fn(t, comp.Plan, weights, [][]uint64{words})
		})
	}
}

func joined(names []string) (s string) {
	for _, n := range names {
		s += " " + n
	}
	return s[1:]
}

// TestMessagesAreWritten checks that nothing of what was in a buffer before is left in a message that is sent: two runs under the same keys,
// in buffers that are all zeros and all ones, send the same bytes.
func TestMessagesAreWritten(t *testing.T) {
	programs(t, func(t *testing.T, p *plan.Plan, weights, inputs [][]uint64) {
		zeros, ones := try(t, p, weights, inputs, 0), try(t, p, weights, inputs, 0xff)
		count := 0
		for ph := range zeros.transports {
			for role, a := range zeros.transports[ph] {
				b := ones.transports[ph][role]
				if len(a.sent) != len(b.sent) {
					t.Fatalf("%v: %d and %d messages of role %d", plan.Phase(ph), len(a.sent), len(b.sent), role)
				}
				for what, x := range a.sent {
					y := b.sent[what]
					for i := range max(len(x), len(y)) {
						if i >= len(x) || i >= len(y) || x[i] != y[i] {
							t.Fatalf("message %q of role %d: byte %d of %d is what the buffer held before", what, role, i, len(x))
						}
					}
					count += len(x)
				}
			}
		}
		want := int64(0)
		for _, ph := range p.Cost().Phases {
			for from := range ph.Links {
				for _, n := range ph.Links[from] {
					want += n
				}
			}
		}
		if int64(count) != want {
			t.Errorf("%d bytes of messages were compared, the cost says %d", count, want)
		}
	})
}

// TestSessionsLeaveNothing checks what is left of a session that is over, besides its memory: its streams cannot be read, and there is nothing in the
// scratch of workers, which other sessions use next, nor in messages that say something without the masks, which other messages are written to.
func TestSessionsLeaveNothing(t *testing.T) {
	var mu sync.Mutex
	var made []*worker
	workers = sync.Pool{New: func() any {
		mu.Lock()
		defer mu.Unlock()
		w := new(worker)
		made = append(made, w)
		return w
	}}
	defer func() { workers = sync.Pool{New: func() any { return new(worker) }} }()
	programs(t, func(t *testing.T, p *plan.Plan, weights, inputs [][]uint64) {
		r := try(t, p, weights, inputs, 0x5a)
		for i, s := range r.streams {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("stream %d of %d can be read after the session", i, len(r.streams))
					}
				}()
				s.Fill(make([]uint64, 1), 0, 8, 64)
			}()
		}
		if len(made) == 0 {
			t.Error("no worker was used")
		}
		for _, w := range made {
			check := func(name string, words []uint64) {
				for i, x := range words {
					if x != 0 {
						t.Fatalf("%s[%d] of a worker holds %#x", name, i, x)
					}
				}
			}
			check("tmp", w.tmp[:])
			check("out", w.out[:])
			for _, b := range w.in {
				check("in", b[:])
			}
			for _, b := range w.local {
				check("local", b[:])
			}
		}
		secrets := 0
		for role := range p.Programs[:p.NumParties()] {
			for ph := plan.Setup; ph <= plan.Online; ph++ {
				for n, round := range p.Programs[role].Rounds(ph) {
					at := make([]int, len(p.Programs)) // in the message of each role
					for i := range round.Opens {
						o := &round.Opens[i]
						if !has(o.To, role) {
							continue
						}
						for _, from := range o.From {
							if from == role {
								continue
							}
							b := r.transports[ph][role].got[fmt.Sprint(ph, n, from)]
							if len(b) < at[from]+o.Bytes() {
								t.Fatalf("%d bytes came from %d in %v round %d", len(b), from, ph, n)
							}
							b = b[at[from]:][:o.Bytes()]
							if at[from] += o.Bytes(); o.Kind == plan.OpenWire || o.Kind == plan.OpenBits {
								continue
							}
							if bytes.Count(b, []byte{0}) != len(b) {
								t.Errorf("role %d: what %d sent in %v round %d, a %v, is left", role, from, ph, n, o.Kind)
							}
							secrets += len(b)
						}
					}
				}
			}
		}
		if secrets == 0 {
			t.Error("there was no secret message")
		}
	})
}

// TestFailedSessionsLeaveNothing checks that a session which ends early, or never runs, clears its streams, and that what it had received of its outputs is
// not left.
func TestFailedSessionsLeaveNothing(t *testing.T) {
	k, err := material.NewMaster()
	if err != nil {
		t.Fatal(err)
	}
	s, err := material.NewStream(k)
	if err != nil {
		t.Fatal(err)
	}
	e := &Engine{}
	e.cleared.L = &e.mu
	words := []uint64{1, 2, 3}
	x := &execution{e: e, session: make([]uint64, 8), outputs: map[int]*output{0: {&plan.Port{Name: "y"}, words}}, bound: [][]uint64{{1}}}
	x.streams[plan.Session] = Streams{s}
	session := &Session{x: x}
	session.Discard()
	e.slab()
	if words[0] != 0 || words[2] != 0 || x.bound != nil || x.outputs != nil || x.streams[plan.Session] != nil {
		t.Errorf("outputs %v, inputs %v are left", words, x.bound)
	}
	defer func() {
		if recover() == nil {
			t.Error("the stream of a session that never ran can be read")
		}
	}()
	s.Fill(make([]uint64, 1), 0, 8, 64)
}
