// Package engine executes one role's program of a plan against a Transport and streams of material. It knows steps,
// buffers, rounds and material, and nothing of models, policies or the compiler.
package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/material"
	"smpcc/runtime/message"
	"smpcc/runtime/timeline"
	"smpcc/runtime/transport"
)

// What carries messages, and what is measured of it, stands in runtime/transport.
type (
	// A Transport carries one role's messages.
	Transport = transport.Transport
	// A Streamer is a Transport that can send a message while it is being packed.
	Streamer = transport.Streamer
	// A Flow is one exchange under way.
	Flow = transport.Flow
	// PhaseStats is what a role measured in one phase.
	PhaseStats = transport.PhaseStats
)

// An Engine runs the program of one role. It holds no secrets and may serve many sessions at once.
type Engine struct {
	plan *plan.Plan
	prog *plan.Program
	role int

	phases  [3][][]stage // by phase and round
	local   []int        // by slot: its number among the local slots of its stage plus 1, or 0 for a slot in memory
	at      []int        // by slot: where it is kept, in words, if in memory
	homes   []home       // by slot: all of that together
	words   int          // of a session's memory
	width   []int        // by slot: bytes in which an element is kept in memory
	wanted  []int        // by slot: low bits of an element that anything depends on
	kernels []kernel     // of convolutions, that are packed after setup
	packed  []bool       // by slot: it is one of them
	kept    []interval   // of a model's memory

	mu       sync.Mutex
	cleared  sync.Cond // a session's memory has been cleared
	spare    []uint64  // cleared memory for the next session; nil if there is none
	clearing int       // sessions whose memory is being cleared
}

// New returns the engine of a role of a validated plan.
func New(p *plan.Plan, role int) (*Engine, error) {
	if role < 0 || role >= len(p.Programs) {
		return nil, fmt.Errorf("role %d does not exist, the plan has %d", role, len(p.Programs))
	}
	e := &Engine{plan: p, prog: &p.Programs[role], role: role}
	e.cleared.L = &e.mu
	e.wanted = e.wantedBits()
	e.kernels, e.packed = e.findKernels()
	if err := e.plot(); err != nil {
		return nil, err
	}
	return e, nil
}

// Streams are the material streams of one scope by party: a party has its own and nil for the others, the dealer has all. They serve one
// setup or one session: the engine clears them when it is over.
type Streams []*material.Stream

// Clear clears all of them.
func (s Streams) Clear() {
	for _, one := range s {
		one.Clear()
	}
}

// A Model is what a role keeps from setup: the opened masked weights and what is computed from them.
type Model struct {
	words []uint64
	Stats PhaseStats
}

// A Session is one run whose material is ready. It can be used once.
type Session struct {
	x     *execution
	used  atomic.Bool
	wiped sync.Once
	kept  map[string][]uint64
	Stats [3]PhaseStats // by plan.Phase; setup stays zero
}

// ErrUsed is returned by a second Online of a session: material masks one value, once.
var ErrUsed = errors.New("session has been used; material masks one value, once: start a new session")

// check returns an error unless the streams fit the role.
func (e *Engine) check(s Streams) error {
	n := e.plan.NumParties()
	if len(s) != n {
		return fmt.Errorf("material for %d parties, want %d", len(s), n)
	}
	for i := range s {
		if (s[i] != nil) != (e.role == n || e.role == i) {
			return fmt.Errorf("role %s must have the streams of its own material and of no other", e.prog.Role)
		}
	}
	return nil
}

// Setup opens the masked weights, once per model. weights holds the words of the manifest's weights, nil for those of
// other owners. On return the streams are cleared.
func (e *Engine) Setup(ctx context.Context, t Transport, keys Streams, weights [][]uint64) (*Model, error) {
	defer keys.Clear()
	if err := e.check(keys); err != nil {
		return nil, err
	}
	man := &e.plan.Manifest
	if len(weights) != len(man.Weights) {
		return nil, fmt.Errorf("%d weights given, the plan has %d", len(weights), len(man.Weights))
	}
	if err := e.own("weight", man.Weights, weights); err != nil {
		return nil, err
	}
	m := &Model{words: make([]uint64, e.prog.Model)}
	x := &execution{e: e, model: m.words, bound: append(make([][]uint64, len(man.Inputs)), weights...)}
	x.streams[plan.Model] = keys
	if err := x.run(ctx, t, plan.Setup, &m.Stats); err != nil {
		return m, err
	}
	e.pack(m.words)
	return m, nil
}

// own checks that exactly the tensors this role owns, or holds a guest's share of, are given, at their size.
func (e *Engine) own(what string, ports []plan.Port, data [][]uint64) error {
	for i, p := range ports {
		switch mine := p.Owner == e.prog.Role || p.Shares && e.role < e.plan.NumParties(); {
		case mine && data[i] == nil:
			return fmt.Errorf("%s %q of %s is missing", what, p.Name, p.Owner)
		case !mine && data[i] != nil:
			return fmt.Errorf("%s %q belongs to %s, not to %s", what, p.Name, p.Owner, e.prog.Role)
		case mine && len(data[i]) != p.Len():
			return fmt.Errorf("%s %q has %d elements, want %d", what, p.Name, len(data[i]), p.Len())
		}
	}
	return nil
}

// Offline prepares one session: everything that does not depend on inputs. The streams are the session's from here on.
func (e *Engine) Offline(ctx context.Context, t Transport, m *Model, keys Streams) (*Session, error) {
	if err := e.check(keys); err != nil {
		keys.Clear()
		return nil, err
	}
	s := &Session{x: &execution{e: e, model: m.words, session: e.slab(), outputs: e.outputs()}}
	s.x.streams[plan.Session] = keys
	err := s.x.run(ctx, t, plan.Offline, &s.Stats[plan.Offline])
	if !e.online() { // the dealer: done with the session's secrets
		s.wiped.Do(func() { s.x.leave(); s.x.clear() })
	}
	return s, err
}

// online reports whether the role has anything to do online.
func (e *Engine) online() bool {
	for _, stages := range e.phases[plan.Online] {
		if len(stages) > 0 {
			return true
		}
	}
	return false
}

// Online runs the session on the role's inputs, in manifest order with nil for those of other owners, and returns the
// outputs this role receives by name, as sign-extended words. On return the session's memory is being cleared.
func (s *Session) Online(ctx context.Context, t Transport, inputs [][]uint64) (map[string][]uint64, error) {
	if s.used.Swap(true) {
		return nil, ErrUsed
	}
	defer s.wipe()
	man := &s.x.e.plan.Manifest
	if inputs == nil {
		inputs = make([][]uint64, len(man.Inputs))
	}
	if len(inputs) != len(man.Inputs) {
		return nil, fmt.Errorf("%d inputs given, the plan has %d", len(inputs), len(man.Inputs))
	}
	if err := s.x.e.own("input", man.Inputs, inputs); err != nil {
		return nil, err
	}
	s.x.bound = append(append([][]uint64{}, inputs...), make([][]uint64, len(man.Weights))...)
	if err := s.x.run(ctx, t, plan.Online, &s.Stats[plan.Online]); err != nil {
		return nil, err
	}
	out := map[string][]uint64{}
	s.kept = map[string][]uint64{}
	for key, o := range s.x.outputs {
		if key < 0 {
			s.kept[o.port.Name] = o.words
		} else {
			out[o.port.Name] = o.words
		}
	}
	s.x.outputs = nil // the caller's
	return out, nil
}

// Kept returns, after Online, this role's shares of the outputs that guests receive, by name: to be given to those guests and to nobody else. They are
// the caller's.
func (s *Session) Kept() map[string][]uint64 { return s.kept }

// Discard clears the memory and the streams of a session that will not run.
func (s *Session) Discard() {
	s.used.Store(true)
	s.wipe()
}

// wipe clears the session's streams and memory, once, and keeps the memory for the engine's next session. Nobody waits for it but that
// one: clearing takes as long as a good part of an online phase.
func (s *Session) wipe() {
	s.wiped.Do(func() { s.x.leave(); go s.x.clear() })
}

// leave clears what little a session has besides its memory, which it says is about to be cleared: its streams, and outputs of a run that failed.
func (x *execution) leave() {
	Streams(x.streams[plan.Session]).Clear()
	for _, o := range x.outputs {
		clear(o.words)
	}
	x.streams, x.outputs, x.bound = [2][]*material.Stream{}, nil, nil
	x.e.mu.Lock()
	defer x.e.mu.Unlock()
	x.e.clearing++
}

// clear clears the session's memory and gives it back.
func (x *execution) clear() {
	e, slab := x.e, x.session
	x.session = nil
	clear(slab)
	e.mu.Lock()
	e.spare = slab
	e.clearing--
	e.mu.Unlock()
	e.cleared.Broadcast()
}

// slab returns cleared memory for a session: that of the last, which takes less time to clear than fresh memory to be written for the
// first time. A page of fresh memory costs its first writer more than the values on it: all are written here, offline.
func (e *Engine) slab() []uint64 {
	e.mu.Lock()
	for e.spare == nil && e.clearing > 0 {
		e.cleared.Wait()
	}
	s := e.spare
	e.spare = nil
	e.mu.Unlock()
	if s != nil {
		return s
	}
	s = make([]uint64, e.words)
	touch(s)
	return s
}

// touch writes to every page of fresh memory.
func touch(s []uint64) {
	const page = 4096 / 8
	for i := 0; i < len(s); i += page {
		s[i] = 0
	}
}

// An output is what a role receives: a port of the manifest and its words.
type output struct {
	port  *plan.Port
	words []uint64
}

// forGuests is the key of what a role keeps of an item's output for guests, among what it receives by item.
func forGuests(item int) int { return -1 - item }

// outputs makes room for what this role receives, by item, and for what it keeps for guests. Offline does it, so that Online need not.
func (e *Engine) outputs() map[int]*output {
	out := map[int]*output{}
	for r := range e.prog.Online {
		for i := range e.prog.Online[r].Opens {
			o := &e.prog.Online[r].Opens[i]
			if o.Kind != plan.Reveal && o.Kind != plan.Give || !has(o.To, e.role) {
				continue
			}
			for j := range e.plan.Manifest.Outputs {
				if p := &e.plan.Manifest.Outputs[j]; p.Item == o.Item-1 {
					words := make([]uint64, o.Len)
					touch(words)
					if o.Kind == plan.Give {
						out[forGuests(p.Item)] = &output{p, words}
					} else {
						out[p.Item] = &output{p, words}
					}
				}
			}
		}
	}
	return out
}

// run executes a phase under labels of a processor profile, so that roles and phases that run in one process are told apart.
func (x *execution) run(ctx context.Context, t Transport, ph plan.Phase, stats *PhaseStats) (err error) {
	pprof.Do(ctx, pprof.Labels("role", x.e.prog.Role, "phase", ph.String()), func(ctx context.Context) { err = x.perform(ctx, t, ph, stats) })
	return err
}

// perform executes a phase round by round: local steps, then one exchange. If the transport can, the exchange begins with the steps:
// blocks are sent as they are packed, and those of the exchange before it go through the steps as they arrive.
func (x *execution) perform(ctx context.Context, t Transport, ph plan.Phase, stats *PhaseStats) error {
	start := time.Now()
	defer func() { stats.Seconds += time.Since(start).Seconds() }()
	x.watch = x.e.watching(ctx, ph)
	defer x.watch.end(stats)
	streamer, _ := t.(Streamer)
	rounds := x.e.prog.Rounds(ph)
	in := &traffic{}
	for r, stages := range x.e.phases[ph] {
		x.watch.next(r)
		var round plan.Round
		if r < len(rounds) {
			round = rounds[r]
		}
		out, want := x.layout(round.Opens, r)
		moved := false
		for j := range out.data {
			stats.BytesSent += int64(len(out.data[j]))
			moved = moved || len(out.data[j]) > 0 || want[j] > 0
		}
		if moved {
			stats.Rounds++
			if streamer != nil {
				out.began = x.watch.now()
				out.flow = streamer.Start(ctx, ph, r, out.data, want)
			}
		}
		for i := range stages {
			if err := ctx.Err(); err != nil {
				node := -1
				if stages[i].lo < stages[i].hi {
					node = round.Steps[stages[i].lo].Node
				}
				return x.fail(ph, r, node, err)
			}
			if err := x.do(&stages[i], round.Steps, in, out); err != nil {
				return x.fail(ph, in.round, in.opens[0].Node, err)
			}
		}
		if out.flow != nil {
			out.flow.Flush()
		}
		if err := x.done(in); err != nil {
			return x.fail(ph, in.round, in.opens[0].Node, err)
		}
		in = x.expect(round.Opens, r)
		if !moved {
			continue
		}
		if in.flow = out.flow; in.flow != nil {
			in.data, in.began, in.sent = in.flow.In(), out.began, out.data
		} else {
			began := x.watch.now()
			var err error
			if in.data, err = t.Exchange(ctx, ph, r, out.data, want); err != nil {
				return x.fail(ph, r, round.Opens[0].Node, err)
			}
			x.watch.exchange(began, timeline.Compute, r, out.data, want, round.Opens)
		}
		for j := range want {
			if want[j] > 0 && len(in.data[j]) != want[j] {
				return x.fail(ph, r, round.Opens[0].Node, fmt.Errorf("%s sent %d bytes, want %d", x.e.name(j), len(in.data[j]), want[j]))
			}
		}
	}
	return nil
}

// done ends an exchange whose messages have been unpacked: nothing of it is on its way any more.
func (x *execution) done(t *traffic) error {
	if t.flow != nil {
		began := x.watch.now()
		if err := t.flow.Done(); err != nil {
			return err
		}
		x.watch.wait(began, timeline.Compute, t.round)
		x.watch.streamed(t)
	}
	for _, b := range t.data {
		message.Free(b)
	}
	return nil
}

// name returns the name of a role.
func (e *Engine) name(role int) string { return e.plan.Programs[role].Role }

// A Failure is the one error with which a session ends at a role: where it stood when it failed. It holds no data.
type Failure struct {
	Role  string
	Phase plan.Phase
	Round int
	Node  string // what was being computed
	Err   error
}

// Error says who failed where.
func (f *Failure) Error() string {
	s := fmt.Sprintf("%s: %v round %d", f.Role, f.Phase, f.Round)
	if f.Node != "" {
		s += " (" + f.Node + ")"
	}
	return s + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

func (x *execution) fail(ph plan.Phase, round, node int, err error) error {
	f := &Failure{Role: x.e.prog.Role, Phase: ph, Round: round, Err: err}
	if node >= 0 && node < len(x.e.plan.Nodes) {
		f.Node = x.e.plan.Nodes[node]
	}
	return f
}

// layout makes room for the messages of a round's openings and says how much each peer will send.
func (x *execution) layout(opens []plan.Open, round int) (out *traffic, want []int) {
	roles := len(x.e.plan.Programs)
	out = &traffic{opens: opens, round: round, at: make([]int, len(opens)*roles), data: make([][]byte, roles)}
	size, want := make([]int, roles), make([]int, roles)
	for i := range opens {
		o := &opens[i]
		for _, from := range o.From {
			for _, to := range o.To {
				switch {
				case from == to:
				case from == x.e.role:
					out.at[i*roles+to] = size[to]
					size[to] += o.Bytes()
				case to == x.e.role:
					want[from] += o.Bytes()
				}
			}
		}
	}
	for to, n := range size {
		if n > 0 {
			out.data[to] = message.New(n)
		}
	}
	return out, want
}

// expect says where the openings of a round are in the messages of the peers.
func (x *execution) expect(opens []plan.Open, round int) *traffic {
	roles := len(x.e.plan.Programs)
	in := &traffic{opens: opens, round: round, at: make([]int, len(opens)*roles), data: make([][]byte, roles)}
	at := make([]int, roles)
	for i := range opens {
		o := &opens[i]
		if !has(o.To, x.e.role) {
			continue
		}
		for _, from := range o.From {
			if from != x.e.role {
				in.at[i*roles+from] = at[from]
				at[from] += o.Bytes()
			}
		}
	}
	return in
}

func has(list []int, x int) bool {
	for _, y := range list {
		if y == x {
			return true
		}
	}
	return false
}
