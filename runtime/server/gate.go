package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A gate admits sessions up to limits of number and memory, of all plans of a host. Those that find it full wait in order.
type gate struct {
	mu       sync.Mutex
	sessions int   // at once
	memory   int64 // at once
	queue    int   // that may wait
	running  int
	used     int64 // memory
	waiting  []waiter

	each, eachQueue int            // of sessions and of what waits, for one client; no limit of its own if 0
	of              map[string]int // sessions by client
}

// A room is a plan's part of a gate.
type room struct {
	*gate
	need    int64          // memory of one session
	most    int            // of the plan's sessions at once; no limit of its own if 0
	others  map[string]int // sessions at once at the other roles, as they last said
	inside  int
	outside int // that wait
}

// room returns a plan's part of the gate.
func (g *gate) room(need int64, most int) *room { return &room{gate: g, need: need, most: most} }

// A waiter is a request that waits for its turn.
type waiter struct {
	room   *room
	client string
	turn   chan struct{}
}

// errFull is wrapped by the refusal of a session for want of room.
var errFull = errors.New("no room for another session")

// capacity returns how many sessions of the plan fit, if no other plan has any.
func (r *room) capacity() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fits()
}

func (r *room) fits() int {
	n := r.sessions
	if r.need > 0 {
		n = int(min(int64(n), r.memory/r.need))
	}
	if r.most > 0 {
		n = min(n, r.most)
	}
	for _, other := range r.others {
		n = min(n, other)
	}
	return n
}

// limit sets how many sessions of the plan may run at once, 0 for no limit of its own.
func (r *room) limit(most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.most = most
	r.admit()
}

// learn notes how many sessions another role can run at once, which may be more or fewer than before.
func (r *room) learn(role string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.others == nil {
		r.others = map[string]int{}
	}
	r.others[role] = n
	r.admit()
}

// crowded reports whether more sessions of the plan have entered than fit now.
func (r *room) crowded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inside > r.fits()
}

// enter waits, for a client, for room until the deadline of ctx, or for wait. Nobody's sessions are limited by client at a role that does not lead: the lead has
// seen to it.
func (r *room) enter(ctx context.Context, client string, wait time.Duration) error {
	r.mu.Lock()
	if len(r.waiting) == 0 && r.may(client) && r.free(r) {
		r.begin(r, client)
		r.mu.Unlock()
		return nil
	}
	own := 0
	for _, w := range r.waiting {
		if w.client == client {
			own++
		}
	}
	switch {
	case len(r.waiting) >= r.queue:
		defer r.mu.Unlock()
		return fmt.Errorf("%w: %d run and %d wait, which is the limit; try again later, or raise limits.queue", errFull, r.running, len(r.waiting))
	case r.eachQueue > 0 && own >= r.eachQueue:
		defer r.mu.Unlock()
		return fmt.Errorf("%w of %q: %d of its requests wait, which is the limit of one client; try again later, or raise limits.client_queue", errFull, client, own)
	}
	turn := make(chan struct{})
	r.waiting = append(r.waiting, waiter{r, client, turn})
	r.outside++
	r.admit() // others may wait for their own limits
	r.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var err error
	select {
	case <-turn:
		return nil
	case <-timer.C:
		err = r.late(client, wait)
	case <-ctx.Done():
		err = fmt.Errorf("%w: %w", errFull, ctx.Err())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, c := range r.waiting {
		if c.turn == turn {
			r.waiting = append(r.waiting[:i], r.waiting[i+1:]...)
			r.outside--
			r.admit() // it may have been the one that others waited behind
			return err
		}
	}
	return nil // the turn came at the last moment
}

// late says why a request has waited in vain.
func (r *room) late(client string, wait time.Duration) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	fits := r.fits()
	switch {
	case r.each > 0 && r.of[client] >= r.each && r.each < fits:
		return fmt.Errorf("%w within %v: %d of %q run, the limit of one client is %d; try again later, or raise limits.client_sessions", errFull, wait, r.of[client], client, r.each)
	case r.most > 0 && r.inside >= fits && fits == r.most && r.most < r.sessions:
		return fmt.Errorf("%w of this plan within %v: %d run, its limit is %d; try again later, or deploy it with more --sessions", errFull, wait, r.inside, r.most)
	case r.inside < fits:
		return fmt.Errorf("%w within %v: %d run, %d of other plans, and take %s; try again later, or raise limits.sessions and limits.memory", errFull, wait, r.running, r.running-r.inside, sizeText(r.used))
	}
	return fmt.Errorf("%w within %v: %d run, the limit is %d; try again later, or raise limits.sessions and limits.memory", errFull, wait, r.running, fits)
}

// leave makes room for the next after a client's session.
func (r *room) leave(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.running--
	r.inside--
	r.used -= r.need
	if r.of[client]--; r.of[client] == 0 {
		delete(r.of, client)
	}
	r.admit()
}

// may reports whether a plan's own limits and those of a client let a session begin.
func (r *room) may(client string) bool {
	return r.inside < r.fits() && (r.each == 0 || r.of[client] < r.each)
}

// free reports whether a session of a plan fits beside those of all plans.
func (g *gate) free(r *room) bool {
	return g.running < g.sessions && (r.need == 0 || g.used+r.need <= g.memory)
}

func (g *gate) begin(r *room, client string) {
	if g.of == nil {
		g.of = map[string]int{}
	}
	g.running++
	g.used += r.need
	g.of[client]++
	r.inside++
}

// admit lets those that wait enter while there is room: of the clients, the one that has the fewest sessions, and of its requests the oldest. Nobody passes it: a
// plan whose sessions are large would wait for ever behind small ones.
func (g *gate) admit() {
	for {
		next := -1
		for i, w := range g.waiting {
			if w.room.may(w.client) && (next < 0 || g.of[w.client] < g.of[g.waiting[next].client]) {
				next = i
			}
		}
		if next < 0 || !g.free(g.waiting[next].room) {
			return
		}
		w := g.waiting[next]
		g.begin(w.room, w.client)
		w.room.outside--
		close(w.turn)
		g.waiting = append(g.waiting[:next], g.waiting[next+1:]...)
	}
}

// count returns how many sessions run.
func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

// queued returns how many requests wait.
func (g *gate) queued() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// counts returns how many sessions of the plan run, and how many of its requests wait.
func (r *room) counts() (inside, outside int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inside, r.outside
}
