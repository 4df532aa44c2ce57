package local_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/text"
	"smpcc/runtime/engine"
	"smpcc/runtime/local"
)

// A streamer shows an engine nothing but noise of a message until it asks for it, byte by byte, and checks that every byte of its own
// messages is ready once.
type streamer struct {
	engine.Transport
	t    *testing.T
	fail int // the exchange that fails, or -1

	mu    sync.Mutex
	flows int // begun
	done  int
	last  chan struct{} // closed when the exchange begun last is over
}

func (s *streamer) Start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) engine.Flow {
	f := &stream{s: s, ready: make([][]byte, len(out)), in: make([][]byte, len(want)), came: make(chan struct{})}
	for j, b := range out {
		f.ready[j] = make([]byte, len(b))
		for i := range b {
			b[i] = 0xa5
		}
	}
	for j, n := range want {
		f.in[j] = make([]byte, n)
		for i := range f.in[j] {
			f.in[j][i] = 0x5a
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flows++; s.flows > s.done+2 {
		s.t.Errorf("exchange %d begins, of which %d have ended", s.flows, s.done)
	}
	fail, before := ph == plan.Online && round == s.fail, s.last
	s.last = f.came
	f.exchange = func() {
		defer close(f.came)
		if before != nil { // messages to a peer go in the order of rounds
			<-before
		}
		if fail {
			f.err = fmt.Errorf("no answer")
			return
		}
		f.got, f.err = s.Exchange(ctx, ph, round, out, want)
	}
	return f
}

type stream struct {
	s        *streamer
	exchange func()
	came     chan struct{}
	got, in  [][]byte
	err      error
	mu       sync.Mutex
	ready    [][]byte
}

func (f *stream) Ready(to, lo, hi int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := lo; i < hi; i++ {
		f.ready[to][i]++
	}
}

func (f *stream) Flush() {
	for to, b := range f.ready {
		for i, n := range b {
			if n != 1 {
				f.s.t.Errorf("byte %d of %d to %d is ready %d times", i, len(b), to, n)
				break
			}
		}
	}
	go f.exchange()
}

func (f *stream) Await(from, lo, hi int) error {
	<-f.came
	if f.err == nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		copy(f.in[from][lo:hi], f.got[from][lo:hi])
	}
	return f.err
}

func (f *stream) In() [][]byte { return f.in }

func (f *stream) Done() error {
	<-f.came
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	f.s.done++
	return f.err
}

func (f *stream) Waited() time.Duration { return 0 }

// TestStreams runs a plan of large tensors among three parties over a transport that streams.
func TestStreams(t *testing.T) {
	const n = 20_003 // a stage on all processors
	m, err := text.Parse("streams.ir", fmt.Appendf(nil, `module "streams" {
  parties p0 p1 p2
  dealer d
  func main {
    v0 = input name="x" owner="p1" elem="real" shape=[%[1]d] lo=-8 hi=8 : private(p1) real[%[1]d]
    v1 = weight name="w" owner="p0" elem="real" shape=[%[1]d] : private(p0) real[%[1]d]
    v2 = mul v0 v1 : secret{p0,p1} real[%[1]d]
    v3 = relu v2 : secret{p0,p1} real[%[1]d]
    v4 = mul v3 v0 : secret{p0,p1} real[%[1]d]
    v5 = reveal v4 name="y" to=["p1","p2"] : private(p1,p2) real[%[1]d]
  }
}
`, n))
	if err != nil {
		t.Fatal(err)
	}
	w, x := ir.Reals(ir.Shape{n}, make([]float64, n)...), ir.Reals(ir.Shape{n}, make([]float64, n)...)
	for i := range n {
		w.F[i], x.F[i] = float64(i%7-3), float64(i%257)/16-8
	}
	m.Weights = map[string]*ir.Tensor{"w": w}
	c, err := smpcc.CompileModule(m, smpcc.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	words, err := smpcc.Bind(c.Plan.Manifest.Inputs[0], x)
	if err != nil {
		t.Fatal(err)
	}
	inputs := [][]uint64{words}
	r, err := local.New(t.Context(), c.Plan, weights)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := r.Run(t.Context(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	var all []*streamer
	wrap := func(fail int) {
		all = make([]*streamer, len(c.Plan.Programs)) // of the last phase
		r.Wrap(func(role int, tr engine.Transport) engine.Transport {
			all[role] = &streamer{Transport: tr, t: t, fail: fail}
			return all[role]
		})
	}
	wrap(-1)
	res, err := r.Run(t.Context(), inputs)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(res.Online.Sent, whole.Online.Sent) || res.Online.Rounds != whole.Online.Rounds {
		t.Errorf("sent %v in %d rounds, want %v in %d", res.Online.Sent, res.Online.Rounds, whole.Online.Sent, whole.Online.Rounds)
	}
	flows := 0
	for _, s := range all {
		flows += s.flows
		if s.flows != s.done {
			t.Errorf("%d exchanges began, %d ended", s.flows, s.done)
		}
	}
	if flows == 0 {
		t.Error("nothing was streamed")
	}
	y := c.Plan.Manifest.Outputs[0]
	for role := 1; role < 3; role++ {
		for i, word := range res.Outputs[role]["y"] {
			if got, want := math.Ldexp(float64(int64(word)), -y.Scale), max(0, x.F[i]*w.F[i])*x.F[i]; math.Abs(got-want) > 1e-2 {
				t.Fatalf("element %d at role %d is %v, want %v", i, role, got, want)
			}
		}
	}
	for round := range whole.Online.Rounds {
		wrap(round)
		if _, err := r.Run(t.Context(), inputs); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("online round %d (", round)) || !strings.HasSuffix(err.Error(), ": no answer") {
			t.Errorf("round %d fails with %v", round, err)
		}
	}
}
