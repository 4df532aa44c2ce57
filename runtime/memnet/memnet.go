// Package memnet is the in-memory transport: the roles of one process exchange buffers without serialising or copying
// them, and every byte and round is counted exactly.
package memnet

import (
	"context"
	"fmt"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/timeline"
)

// queue is how many messages a sender may be ahead of its receiver; protocols keep it at one.
const queue = 2

type message struct {
	ph    plan.Phase
	round int
	data  []byte
	at    time.Time // when it arrives, on a slow network
}

// A Link simulates the network between each pair of roles; the zero Link is as fast as memory.
type Link struct {
	RTT       time.Duration
	Bandwidth float64 // bits per second in each direction
}

// A Net connects the roles of one process.
type Net struct {
	names  []string
	link   Link
	busy   [][]time.Time    // [from][to] until when the line is taken, owned by the sender
	pipes  [][]chan message // [from][to]
	failed chan struct{}    // closed by Fail

	mu     sync.Mutex
	err    error
	cause  error
	sent   [3][][]int64 // by phase, from, to
	rounds [3]map[int]bool
}

// New returns a network of the named roles.
func New(names []string) *Net {
	n := &Net{names: names, failed: make(chan struct{})}
	for range names {
		row := make([]chan message, len(names))
		for j := range row {
			row[j] = make(chan message, queue)
		}
		n.pipes = append(n.pipes, row)
		n.busy = append(n.busy, make([]time.Time, len(names)))
	}
	for ph := range n.sent {
		n.rounds[ph] = map[int]bool{}
		for range names {
			n.sent[ph] = append(n.sent[ph], make([]int64, len(names)))
		}
	}
	return n
}

// Slow makes the network as slow as a link; before it is used.
func (n *Net) Slow(l Link) { n.link = l }

// Fail ends every exchange of the network, now and later, with an error that names the role that failed.
func (n *Net) Fail(role int, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.err == nil {
		n.cause = err
		n.err = fmt.Errorf("%s failed", n.names[role]) // its peers learn that it failed; why is its own matter
		close(n.failed)
	}
}

// Cause returns the error of the role that failed first, or nil.
func (n *Net) Cause() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cause
}

// Err returns what the peers of the role that failed first see, or nil.
func (n *Net) Err() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.err
}

// Sent returns the payload bytes that have gone from one role to another in a phase.
func (n *Net) Sent(ph plan.Phase, from, to int) int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sent[ph][from][to]
}

// Rounds returns the number of exchanges of a phase in which anything moved.
func (n *Net) Rounds(ph plan.Phase) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.rounds[ph])
}

// Role returns the transport of one role.
func (n *Net) Role(role int) *Role { return &Role{n, role} }

// A Role is one role's end of a Net.
type Role struct {
	net  *Net
	role int
}

// Exchange implements engine.Transport.
func (r *Role) Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) ([][]byte, error) {
	n := r.net
	track := timeline.From(ctx).Role(n.names[r.role])
	note := func(from time.Duration, k timeline.Kind, peer string, sent, received int) {
		if track != nil {
			track.Add(from, fmt.Sprintf("%s %s", k, peer), k, timeline.Info{Phase: ph.String(), Round: round, Sent: int64(sent), Received: int64(received)})
		}
	}
	began := track.Now()
	for to, data := range out {
		if len(data) == 0 {
			continue
		}
		n.mu.Lock()
		n.sent[ph][r.role][to] += int64(len(data))
		n.rounds[ph][round] = true
		n.mu.Unlock()
		var at time.Time
		if n.link.Bandwidth > 0 {
			start := time.Now()
			if b := n.busy[r.role][to]; b.After(start) {
				start = b
			}
			n.busy[r.role][to] = start.Add(time.Duration(float64(len(data)) * 8 / n.link.Bandwidth * 1e9))
			at = n.busy[r.role][to].Add(n.link.RTT / 2)
		}
		select {
		case n.pipes[r.role][to] <- message{ph, round, data, at}:
		case <-n.failed:
			return nil, n.Err()
		case <-ctx.Done():
			return nil, fmt.Errorf("sending to %s: %w", n.names[to], ctx.Err())
		}
		note(began, timeline.Send, n.names[to], len(data), 0)
	}
	in := make([][]byte, len(want))
	for from, size := range want {
		if size == 0 {
			continue
		}
		select {
		case m := <-n.pipes[from][r.role]:
			if m.ph != ph || m.round != round || len(m.data) != size {
				return nil, fmt.Errorf("%s sent %d bytes for %v round %d, want %d bytes for %v round %d", n.names[from], len(m.data), m.ph, m.round, size, ph, round)
			}
			if wait := time.Until(m.at); n.link.Bandwidth > 0 && wait > 0 {
				select {
				case <-time.After(wait):
				case <-n.failed:
					return nil, n.Err()
				case <-ctx.Done():
					return nil, fmt.Errorf("waiting for %s: %w", n.names[from], ctx.Err())
				}
			}
			in[from] = m.data
			note(began, timeline.Receive, n.names[from], 0, size)
		case <-n.failed:
			return nil, n.Err()
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for %s: %w", n.names[from], ctx.Err())
		}
	}
	return in, nil
}
