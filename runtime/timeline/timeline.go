// Package timeline records what each role of a run does and when: phases, rounds, stages of steps and messages, by name, number and
// size. It holds no data of anybody.
package timeline

import (
	"context"
	"sync"
	"time"
)

// A Kind is a kind of span.
type Kind string

// The kinds of spans. A phase holds rounds, a round holds stages and the exchange that ends it; where messages stream, an
// exchange is under way beside the stages of two rounds, which wait for it.
const (
	Phase    Kind = "phase"
	Round    Kind = "round"
	Stage    Kind = "stage"
	Exchange Kind = "exchange"
	Part     Kind = "part"    // of a stage, on one of several processors
	Send     Kind = "send"    // of a message to one peer
	Receive  Kind = "receive" // of a message from one peer, with the wait for it
	Wait     Kind = "wait"    // of a stage or round for messages that are under way
)

// A Span is something that a role did.
type Span struct {
	Role   string
	Thread string // what did it, within the role
	Kind   Kind
	From   time.Duration // since the recorder was made
	To     time.Duration
	Info
}

// Info is what is known of a span; what does not apply is zero.
type Info struct {
	Phase    string
	Round    int
	Name     string   // kind of work, of stages
	Steps    string   // the steps of a stage with their numbers
	Nodes    []string // where it comes from in the source
	Elements int      // of a stage
	Sent     int64    // bytes
	Received int64
}

// Compute is the thread on which a role runs its program.
const Compute = "compute"

// A Recorder collects spans. Nil records nothing, at no cost.
type Recorder struct {
	now  func() time.Time
	zero time.Time

	mu    sync.Mutex
	spans []Span
}

// New returns a recorder with a clock.
func New(now func() time.Time) *Recorder { return &Recorder{now: now, zero: now()} }

type key struct{}

// With returns a context whose runs are recorded; nil ends that.
func With(ctx context.Context, r *Recorder) context.Context { return context.WithValue(ctx, key{}, r) }

// From returns the recorder of a context, or nil.
func From(ctx context.Context) *Recorder {
	r, _ := ctx.Value(key{}).(*Recorder)
	return r
}

// Spans returns what has been recorded.
func (r *Recorder) Spans() []Span {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Span{}, r.spans...)
}

// A Track records the spans of one role. Nil records nothing: callers that would have to work out what to say check for that first.
type Track struct {
	rec  *Recorder
	role string
}

// Role returns the track of a role.
func (r *Recorder) Role(name string) *Track {
	if r == nil {
		return nil
	}
	return &Track{r, name}
}

// Now returns when a span begins.
func (t *Track) Now() time.Duration {
	if t == nil {
		return 0
	}
	return t.rec.now().Sub(t.rec.zero)
}

// Add records a span that ends now.
func (t *Track) Add(from time.Duration, thread string, k Kind, i Info) {
	if t == nil {
		return
	}
	s := Span{Role: t.role, Thread: thread, Kind: k, From: from, To: t.Now(), Info: i}
	t.rec.mu.Lock()
	defer t.rec.mu.Unlock()
	t.rec.spans = append(t.rec.spans, s)
}
