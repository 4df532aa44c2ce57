// Package transport says what the engine asks of whatever carries its messages, and what a role measures of them: the one piece that
// engines, networks and clients share.
package transport

import (
	"context"
	"time"

	"smpcc/backend/plan"
)

// A Transport carries one role's messages. Roles are numbered as programs are: parties 0..n-1, then the dealer.
type Transport interface {
	// Exchange sends out[j] to every role j with len(out[j]) > 0 and returns one message of exactly want[j] bytes from every
	// role j with want[j] > 0. All roles number exchanges alike. The transport owns out from here on, the caller owns in
	// with all of its capacity and writes to it later.
	Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) (in [][]byte, err error)
}

// A Streamer is a Transport that can send a message while it is being packed and hand one over while it arrives.
type Streamer interface {
	Transport
	// Start begins the exchange that Exchange does, before out is written. It may return nil: then Exchange must do it. One
	// exchange may begin while the one before it is under way.
	Start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) Flow
}

// A Flow is one exchange under way. The transport owns out from Start on, but for bytes that are not Ready, which the caller
// writes. After an error nothing more can be expected of it; the session ends.
type Flow interface {
	// Ready says that bytes lo..hi-1 of the message to a role are written. It may be called from several goroutines, and is
	// called for every byte of every message once.
	Ready(to, lo, hi int)
	// Flush says that all bytes are ready: the peers' time to answer begins.
	Flush()
	// Await returns when bytes lo..hi-1 of the message from a role are in In.
	Await(from, lo, hi int) error
	// In returns the messages by role. They are the caller's, with all of their capacity, after Done.
	In() [][]byte
	// Done returns when all messages have been sent and received.
	Done() error
	// Waited is how long any goroutine has waited in Await and Done.
	Waited() time.Duration
}

// PhaseStats is what a role measured in one phase.
type PhaseStats struct {
	Seconds   float64
	Rounds    int   // exchanges in which this role sent or received
	BytesSent int64 // payload
	// CPU is the processors' time in seconds of the process while the phase ran, where a server measures it: the role's, if no other
	// session ran.
	CPU float64
}
