package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// empty returns a plan of two parties, whose party a runs steps online on the given slots.
func empty(t *testing.T, slots []plan.Slot, steps ...plan.Step) *plan.Plan {
	t.Helper()
	words := 0
	for i := range slots {
		slots[i].Offset = words
		words += slots[i].Len
	}
	p := &plan.Plan{Manifest: plan.Manifest{Version: plan.Version, Parties: []string{"a", "b"}, Dealer: "d"}, Nodes: []string{"n"},
		Programs: []plan.Program{{Role: "a", Slots: slots, Words: words, Online: []plan.Round{{Steps: steps}}}, {Role: "b", Online: []plan.Round{{}}}, {Role: "d", Online: []plan.Round{{}}}}}
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

// streams returns the material that a role of two parties and a dealer has.
func streams(t *testing.T, role int) engine.Streams {
	t.Helper()
	s := make(engine.Streams, 2)
	for i := range s {
		if role != i && role != 2 {
			continue
		}
		k, err := material.NewMaster()
		if err != nil {
			t.Fatal(err)
		}
		if s[i], err = material.NewStream(k); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// transport is a function that plays the other roles.
type transport func(out [][]byte, want []int) ([][]byte, error)

func (f transport) Exchange(_ context.Context, _ plan.Phase, _ int, out [][]byte, want []int) ([][]byte, error) {
	return f(out, want)
}

// start brings a role up to the online phase.
func start(t *testing.T, p *plan.Plan, role int, net engine.Transport) *engine.Session {
	t.Helper()
	e, err := engine.New(p, role)
	if err != nil {
		t.Fatal(err)
	}
	m, err := e.Setup(t.Context(), net, streams(t, role), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := e.Offline(t.Context(), net, m, streams(t, role))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestStepsOfNothing runs steps that validation accepts, as their slots have no elements, but that would loop for hours.
func TestStepsOfNothing(t *testing.T) {
	const many = 1 << 40
	for _, s := range []plan.Step{
		{Op: plan.StepSum, Args: []int64{many, 0, 0}},
		{Op: plan.StepGather, Args: []int64{many, 1, 0}, Data: []uint64{0}},
		{Op: plan.StepMatMul, Args: []int64{many, 0, 0, 1, 0, 0}},
	} {
		row := plan.Steps[s.Op]
		for i := range row.Src {
			s.Src = append(s.Src, i+1)
		}
		t.Run(fmt.Sprint(row.Name, s.Args), func(t *testing.T) {
			run := start(t, empty(t, make([]plan.Slot, 3), s), 0, nil)
			done := make(chan error, 1)
			go func() {
				_, err := run.Online(t.Context(), nil, nil)
				done <- err
			}()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("still running")
			}
		})
	}
}

func TestSessionRunsOnce(t *testing.T) {
	s := start(t, empty(t, nil), 0, nil)
	if _, err := s.Online(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Online(t.Context(), nil, nil); !errors.Is(err, engine.ErrUsed) {
		t.Errorf("second run: got %v, want ErrUsed", err)
	}
	s = start(t, empty(t, nil), 0, nil)
	s.Discard()
	if _, err := s.Online(t.Context(), nil, nil); !errors.Is(err, engine.ErrUsed) {
		t.Errorf("after Discard: got %v, want ErrUsed", err)
	}
}

func TestEngineRefuses(t *testing.T) {
	p := empty(t, nil)
	for _, role := range []int{-1, 3} {
		if _, err := engine.New(p, role); err == nil || !strings.Contains(err.Error(), "does not exist, the plan has 3") {
			t.Errorf("role %d: %v", role, err)
		}
	}
	e, err := engine.New(p, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		keys       engine.Streams
	}{
		{"no material", "material for 0 parties, want 2", nil},
		{"another party's material", "role a must have the streams of its own material and of no other", streams(t, 1)},
		{"everybody's material", "role a must have the streams of its own material and of no other", streams(t, 2)},
	} {
		if _, err := e.Setup(t.Context(), nil, c.keys, nil); err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
	if _, err := e.Setup(t.Context(), nil, streams(t, 0), make([][]uint64, 1)); err == nil || err.Error() != "1 weights given, the plan has 0" {
		t.Errorf("got %v", err)
	}
}

// swap returns a plan in which a opens one word to b and both reveal it; what a role sends is masked by item 0.
func swap(t *testing.T) *plan.Plan {
	t.Helper()
	port := plan.Port{Name: "y", To: []string{"a", "b"}, Elem: "int", Bits: 16, Shape: []int{3}, Item: 0}
	p := &plan.Plan{Manifest: plan.Manifest{Version: plan.Version, Parties: []string{"a", "b"}, Dealer: "d", Outputs: []plan.Port{port}}, Nodes: []string{"node y"},
		Items: []plan.Item{{Dealt: true, Len: 3, Bits: 16}}}
	for _, role := range []string{"a", "b"} {
		open := plan.Open{Src: 0, Dst: 1, Len: 3, Bits: 16, From: []int{0, 1}, To: []int{0, 1}, Item: 1, Kind: plan.Reveal}
		p.Programs = append(p.Programs, plan.Program{Role: role, Slots: []plan.Slot{{Len: 3}, {Len: 3, Offset: 3}}, Words: 6,
			Online: []plan.Round{{Steps: []plan.Step{{Op: plan.StepConst, Data: []uint64{40000}}}, Opens: []plan.Open{open}}}})
	}
	p.Programs = append(p.Programs, plan.Program{Role: "d", Online: []plan.Round{{}}})
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	return p
}

// TestExchange plays the other party: what is sent, what is waited for, how answers combine, and what wrong ones do.
func TestExchange(t *testing.T) {
	p := swap(t)
	s := start(t, p, 0, nil)
	out, err := s.Online(t.Context(), transport(func(out [][]byte, want []int) ([][]byte, error) {
		if len(out) != 3 || len(out[1]) != 6 || len(out[0])+len(out[2]) != 0 {
			t.Errorf("sends %v, want 6 bytes to b", out)
		}
		if want[1] != 6 || want[0]+want[2] != 0 {
			t.Errorf("waits for %v, want 6 bytes of b", want)
		}
		return [][]byte{nil, plan.Pack(nil, []uint64{1, 2, 30000}, 16), nil}, nil
	}), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{40001 - 65536, 40002 - 65536, 70000 - 65536} {
		if got := int64(out["y"][i]); got != want {
			t.Errorf("element %d is %d, want %d", i, got, want)
		}
	}
	if st := s.Stats[plan.Online]; st.Rounds != 1 || st.BytesSent != 6 {
		t.Errorf("measured %+v, want 1 round and 6 bytes", st)
	}
	for _, c := range []struct {
		name, want string
		net        transport
	}{
		{"peer fails", "a: online round 0 (node y): b: gone", func([][]byte, []int) ([][]byte, error) { return nil, errors.New("b: gone") }},
		{"short answer", "a: online round 0 (node y): b sent 5 bytes, want 6", func([][]byte, []int) ([][]byte, error) { return [][]byte{nil, make([]byte, 5), nil}, nil }},
		{"no answer", "a: online round 0 (node y): b sent 0 bytes, want 6", func([][]byte, []int) ([][]byte, error) { return make([][]byte, 3), nil }},
	} {
		out, err := start(t, p, 0, nil).Online(t.Context(), c.net, nil)
		var f *engine.Failure
		if !errors.As(err, &f) || err.Error() != c.want || out != nil {
			t.Errorf("%s: got %v and %v, want %q", c.name, err, out, c.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := start(t, p, 0, nil).Online(ctx, nil, nil); !errors.Is(err, context.Canceled) || !strings.HasPrefix(err.Error(), "a: online round 0 (node y): ") {
		t.Errorf("cancelled: got %v", err)
	}
}
