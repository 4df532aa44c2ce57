package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A gate admits sessions up to limits of number and memory. Those that find it full wait in order.
type gate struct {
	mu       sync.Mutex
	sessions int   // at once
	memory   int64 // at once
	need     int64 // of one session
	queue    int   // that may wait
	running  int
	waiting  []chan struct{}
}

// errFull is wrapped by the refusal of a session for want of room.
var errFull = errors.New("no room for another session")

// capacity returns how many sessions fit.
func (g *gate) capacity() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.fits()
}

func (g *gate) fits() int {
	n := g.sessions
	if g.need > 0 {
		n = int(min(int64(n), g.memory/g.need))
	}
	return n
}

// shrink lowers the number of sessions to what another role can run.
func (g *gate) shrink(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions = min(g.sessions, n)
}

// enter waits for room until the deadline of ctx, or for wait.
func (g *gate) enter(ctx context.Context, wait time.Duration) error {
	g.mu.Lock()
	if g.running < g.fits() && len(g.waiting) == 0 {
		g.running++
		g.mu.Unlock()
		return nil
	}
	if len(g.waiting) >= g.queue {
		defer g.mu.Unlock()
		return fmt.Errorf("%w: %d run and %d wait, which is the limit; try again later, or raise limits.queue", errFull, g.running, len(g.waiting))
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, turn)
	g.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-timer.C:
		err = fmt.Errorf("%w within %v: %d run, the limit is %d; try again later, or raise limits.sessions and limits.memory", errFull, wait, g.count(), g.capacity())
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", errFull, ctx.Err())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range g.waiting {
		if c == turn {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return err
		}
	}
	return nil // the turn came at the last moment
}

// leave makes room for the next.
func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	for len(g.waiting) > 0 && g.running < g.fits() {
		g.running++
		close(g.waiting[0])
		g.waiting = g.waiting[1:]
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
