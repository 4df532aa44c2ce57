package server

import (
	"context"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
	"smpcc/runtime/grpcnet"
)

// A meter measures exchanges.
type meter struct {
	engine.Streamer
	transport *grpcnet.Transport
	s         *deployment
	j         *job
	waiting   time.Duration
}

// Exchange implements engine.Transport.
func (m *meter) Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) ([][]byte, error) {
	n := sent(out)
	if m.s.observer != nil {
		m.s.observer(m.j, ph, round, out)
	}
	start := time.Now()
	in, err := m.Streamer.Exchange(ctx, ph, round, out, want)
	m.exchanged(ph, time.Since(start), n)
	return in, err
}

// Start implements engine.Streamer.
func (m *meter) Start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) engine.Flow {
	f := &measured{Flow: m.Streamer.Start(ctx, ph, round, out, want), m: m, ph: ph, sent: sent(out)}
	if m.s.observer != nil {
		return &observed{Flow: f, seen: func() { m.s.observer(m.j, ph, round, out) }}
	}
	return f
}

func (m *meter) exchanged(ph plan.Phase, took time.Duration, sent int64) {
	m.waiting += took
	m.s.metrics.Exchange(ph.String(), took, sent)
}

func sent(out [][]byte) (n int64) {
	for _, b := range out {
		n += int64(len(b))
	}
	return n
}

// A measured exchange is measured when it is done.
type measured struct {
	engine.Flow
	m    *meter
	ph   plan.Phase
	sent int64
}

// Done implements engine.Flow.
func (f *measured) Done() error {
	err := f.Flow.Done()
	f.m.exchanged(f.ph, f.Waited(), f.sent)
	return err
}

// An observed exchange, in tests, sends nothing before somebody has seen all of it.
type observed struct {
	engine.Flow
	seen  func()
	mu    sync.Mutex
	ready [][3]int
}

// Ready implements engine.Flow.
func (f *observed) Ready(to, lo, hi int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = append(f.ready, [3]int{to, lo, hi})
}

// Flush implements engine.Flow.
func (f *observed) Flush() {
	f.seen()
	for _, r := range f.ready {
		f.Flow.Ready(r[0], r[1], r[2])
	}
	f.Flow.Flush()
}

// phase measures and traces one phase of a job.
func (s *deployment) phase(ctx context.Context, name string, m *meter, f func(ctx context.Context) (engine.PhaseStats, error)) error {
	ctx, end := s.tracer.Phase(ctx, name)
	start, waited := time.Now(), m.waiting
	stats, err := f(ctx)
	s.metrics.Phase(name, time.Since(start), m.waiting-waited)
	end(stats.Rounds, stats.BytesSent, err)
	return err
}
