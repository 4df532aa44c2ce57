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
	sessions int            // at once
	memory   int64          // at once
	need     int64          // of one session
	queue    int            // that may wait
	others   map[string]int // sessions at once at the other roles, as they last said
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
	for _, other := range g.others {
		n = min(n, other)
	}
	return n
}

// learn notes how many sessions another role can run at once, which may be more or fewer than before.
func (g *gate) learn(role string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.others == nil {
		g.others = map[string]int{}
	}
	g.others[role] = n
	g.admit()
}

// crowded reports whether more sessions have entered than fit now.
func (g *gate) crowded() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running > g.fits()
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
	g.admit()
}

// admit lets those that wait enter while there is room.
func (g *gate) admit() {
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
