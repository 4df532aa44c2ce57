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
	waiting  []waiter

	each, eachQueue int            // of sessions and of what waits, for one client; no limit of its own if 0
	of              map[string]int // sessions by client
}

// A waiter is a request that waits for its turn.
type waiter struct {
	client string
	turn   chan struct{}
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

// enter waits, for a client, for room until the deadline of ctx, or for wait. Nobody's sessions are limited by client at a role that does not lead: the lead has
// seen to it.
func (g *gate) enter(ctx context.Context, client string, wait time.Duration) error {
	g.mu.Lock()
	if len(g.waiting) == 0 && g.admits(client) {
		g.begin(client)
		g.mu.Unlock()
		return nil
	}
	own := 0
	for _, w := range g.waiting {
		if w.client == client {
			own++
		}
	}
	switch {
	case len(g.waiting) >= g.queue:
		defer g.mu.Unlock()
		return fmt.Errorf("%w: %d run and %d wait, which is the limit; try again later, or raise limits.queue", errFull, g.running, len(g.waiting))
	case g.eachQueue > 0 && own >= g.eachQueue:
		defer g.mu.Unlock()
		return fmt.Errorf("%w of %q: %d of its requests wait, which is the limit of one client; try again later, or raise limits.client_queue", errFull, client, own)
	}
	turn := make(chan struct{})
	g.waiting = append(g.waiting, waiter{client, turn})
	g.admit() // others may wait for their own limits
	g.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-timer.C:
		err = g.late(client, wait)
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", errFull, ctx.Err())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, c := range g.waiting {
		if c.turn == turn {
			g.waiting = append(g.waiting[:i], g.waiting[i+1:]...)
			return err
		}
	}
	return nil // the turn came at the last moment
}

// late says why a request has waited in vain.
func (g *gate) late(client string, wait time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.each > 0 && g.of[client] >= g.each && g.each < g.fits() {
		return fmt.Errorf("%w within %v: %d of %q run, the limit of one client is %d; try again later, or raise limits.client_sessions", errFull, wait, g.of[client], client, g.each)
	}
	return fmt.Errorf("%w within %v: %d run, the limit is %d; try again later, or raise limits.sessions and limits.memory", errFull, wait, g.running, g.fits())
}

// leave makes room for the next after a client's session.
func (g *gate) leave(client string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	if g.of[client]--; g.of[client] == 0 {
		delete(g.of, client)
	}
	g.admit()
}

// admits reports whether a session of a client may begin.
func (g *gate) admits(client string) bool {
	return g.running < g.fits() && (g.each == 0 || g.of[client] < g.each)
}

func (g *gate) begin(client string) {
	if g.of == nil {
		g.of = map[string]int{}
	}
	g.running++
	g.of[client]++
}

// admit lets those that wait enter while there is room: of the clients, the one that has the fewest sessions, and of its requests the oldest.
func (g *gate) admit() {
	for {
		next := -1
		for i, w := range g.waiting {
			if g.admits(w.client) && (next < 0 || g.of[w.client] < g.of[g.waiting[next].client]) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		w := g.waiting[next]
		g.begin(w.client)
		close(w.turn)
		g.waiting = append(g.waiting[:next], g.waiting[next+1:]...)
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
