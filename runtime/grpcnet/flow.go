package grpcnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"

	"smpcc/backend/plan"
	"smpcc/runtime/message"
	"smpcc/runtime/timeline"
	"smpcc/runtime/transport"
)

// A flow is one exchange under way; it implements transport.Flow. A message travels in chunks, each as soon as it is packed, and can be read
// chunk by chunk as they arrive. Exchanges of one link take turns: a message is sent and received whole before the next one begins.
type flow struct {
	t        *Transport
	ph       plan.Phase
	round    int
	timeout  time.Duration
	outgoing []*outgoing // by role, nil where nothing is sent
	incoming []*incomingMessage
	in       [][]byte
	settled  func() bool // ends the watch on the context
	track    *timeline.Track

	mu      sync.Mutex
	changed sync.Cond // a chunk has arrived, a message has been sent, or err was set
	err     error
	left    int // messages that are not yet sent or received
	timer   *time.Timer
	waiting int // goroutines that wait
	since   time.Time
	waited  time.Duration
}

// outgoing is a message being packed and sent.
type outgoing struct {
	link   *link
	msg    []byte
	whole  mem.Buffer
	packed []atomic.Int64 // by chunk: bytes packed
	ready  chan int       // chunks that are packed
	sent   bool           // guarded by flow.mu
}

// incomingMessage is a message that arrives.
type incomingMessage struct {
	link *link
	msg  []byte
	here []atomic.Bool // by chunk
	done bool          // guarded by flow.mu
}

func chunks(n int) int { return (n + chunkSize - 1) / chunkSize }

// Start implements transport.Streamer.
func (t *Transport) Start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) transport.Flow {
	return t.start(ctx, ph, round, out, want)
}

func (t *Transport) start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) *flow {
	f := &flow{t: t, ph: ph, round: round, timeout: t.cfg.Timeout, track: timeline.From(ctx).Role(t.cfg.Roles[t.cfg.Role]), in: make([][]byte, len(want)),
		outgoing: make([]*outgoing, len(out)), incoming: make([]*incomingMessage, len(want))}
	f.changed.L = &f.mu
	for j, l := range t.links {
		if l == nil {
			continue
		}
		if n := len(out[j]); n > 0 {
			msg := out[j]
			o := &outgoing{link: l, msg: msg, whole: mem.NewBuffer(&msg, messages{}), packed: make([]atomic.Int64, chunks(n)), ready: make(chan int, chunks(n))}
			f.outgoing[j] = o
			f.left++
		}
		if want[j] > 0 {
			f.in[j] = message.New(want[j])
			f.incoming[j] = &incomingMessage{link: l, msg: f.in[j], here: make([]atomic.Bool, chunks(want[j]))}
			f.left++
			if ph == plan.Online && !l.heard {
				l.heard = true
				f.timeout = max(f.timeout, t.cfg.Patience)
			}
		}
	}
	f.mu.Lock() // the context may have ended, and then f.fail runs at once
	f.settled = context.AfterFunc(ctx, func() { f.fail(ctx.Err()) })
	f.mu.Unlock()
	for _, o := range f.outgoing {
		if o != nil {
			mine, before := o.link.sends.take()
			go f.send(o, mine, before)
		}
	}
	for _, i := range f.incoming {
		if i != nil {
			mine, before := i.link.reads.take()
			go f.receive(i, mine, before)
		}
	}
	return f
}

// A turn orders what goroutines do with one end of a stream: each waits for the one before it.
type turn struct{ last chan struct{} }

// take returns a channel to close when done, and one that is closed when the turn has come.
func (t *turn) take() (mine chan struct{}, before <-chan struct{}) {
	mine, before = make(chan struct{}), t.last
	t.last = mine
	return mine, before
}

// wait reports whether the turn comes; it does not when the transport ends.
func (t *Transport) wait(before <-chan struct{}) bool {
	if before == nil {
		return true
	}
	select {
	case <-before:
		return true
	case <-t.ended:
		return false
	}
}

// errEnded is what an exchange says that is cut short by the end of its own transport.
var errEnded = errors.New("the session has ended")

// send sends the chunks of a message as they are packed. They are not copied: a stream may hold on to them after it has taken them.
func (f *flow) send(o *outgoing, mine chan struct{}, before <-chan struct{}) {
	defer close(mine)
	defer o.whole.Free()
	if !f.t.wait(before) {
		f.fail(errEnded)
		return
	}
	began := f.track.Now()
	for range chunks(len(o.msg)) {
		select {
		case c := <-o.ready:
			at := c * chunkSize
			part := o.whole.Slice(at, min(len(o.msg), at+chunkSize))
			if err := o.link.write(&frame{out: header(kindData, f.ph, f.round, len(o.msg), at), part: part}); err != nil {
				f.fail(&PeerError{o.link.name, err})
				return
			}
		case <-f.t.ended:
			f.fail(errEnded)
			return
		}
	}
	f.note(began, timeline.Send, o.link.name, len(o.msg), 0)
	f.finish(&o.sent)
}

// receive receives the chunks of a message.
func (f *flow) receive(i *incomingMessage, mine chan struct{}, before <-chan struct{}) {
	defer close(mine)
	if !f.t.wait(before) {
		f.fail(errEnded)
		return
	}
	began := f.track.Now()
	if err := i.link.read(f.ph, f.round, i.msg, i.here, f.wake); err != nil {
		f.fail(&PeerError{i.link.name, err})
		return
	}
	f.note(began, timeline.Receive, i.link.name, 0, len(i.msg))
	f.finish(&i.done)
}

// note records a message in the timeline, if there is one.
func (f *flow) note(began time.Duration, k timeline.Kind, peer string, sent, received int) {
	if f.track != nil {
		f.track.Add(began, fmt.Sprintf("%s %s", k, peer), k, timeline.Info{Phase: f.ph.String(), Round: f.round, Sent: int64(sent), Received: int64(received)})
	}
}

// wake has those look again who wait.
func (f *flow) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.changed.Broadcast()
}

// finish counts a message that has been sent or received.
func (f *flow) finish(which *bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*which = true
	if f.left--; f.left == 0 {
		f.settle()
	}
	f.changed.Broadcast()
}

// settle ends what watches over the exchange; the caller holds mu.
func (f *flow) settle() {
	f.settled()
	if f.timer != nil {
		f.timer.Stop()
	}
}

// fail ends the exchange with its first error.
func (f *flow) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.err = err
		f.settle()
	}
	f.changed.Broadcast()
}

// Ready implements transport.Flow.
func (f *flow) Ready(to, lo, hi int) {
	o := f.outgoing[to]
	for lo < hi {
		c := lo / chunkSize
		end := min(hi, (c+1)*chunkSize)
		if o.packed[c].Add(int64(end-lo)) == int64(min(chunkSize, len(o.msg)-c*chunkSize)) {
			o.ready <- c
		}
		lo = end
	}
}

// Flush implements transport.Flow. The peers' time begins.
func (f *flow) Flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left > 0 && f.err == nil {
		f.timer = time.AfterFunc(f.timeout, func() { f.fail(f.late()) })
	}
}

// late says who has not answered, or has not taken what was sent.
func (f *flow) late() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var silent, deaf []string
	for _, i := range f.incoming {
		if i != nil && !i.done {
			silent = append(silent, i.link.name)
		}
	}
	for _, o := range f.outgoing {
		if o != nil && !o.sent {
			deaf = append(deaf, o.link.name)
		}
	}
	if len(silent) > 0 {
		return fmt.Errorf("no answer from %s within %v", strings.Join(silent, ", "), f.timeout)
	}
	return fmt.Errorf("%s does not take our message within %v", strings.Join(deaf, ", "), f.timeout)
}

// In implements transport.Flow.
func (f *flow) In() [][]byte { return f.in }

// Await implements transport.Flow.
func (f *flow) Await(from, lo, hi int) error {
	i := f.incoming[from]
	for c := lo / chunkSize; c*chunkSize < hi; c++ {
		if !i.here[c].Load() {
			if err := f.until(i.here[c].Load); err != nil {
				return err
			}
		}
	}
	return nil
}

// Done implements transport.Flow.
func (f *flow) Done() error {
	return f.until(func() bool { return f.left == 0 })
}

// until waits for a condition or an error. ok is called with mu held.
func (f *flow) until(ok func() bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.err == nil && !ok() {
		if f.waiting++; f.waiting == 1 {
			f.since = time.Now()
		}
		f.changed.Wait()
		if f.waiting--; f.waiting == 0 {
			f.waited += time.Since(f.since)
		}
	}
	return f.err
}

// Waited implements transport.Flow.
func (f *flow) Waited() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waited
}

// Exchange implements transport.Transport: sends and receives run side by side, so that messages larger than the flow control
// window cannot block each other. The first failure ends the exchange.
func (t *Transport) Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) ([][]byte, error) {
	f := t.start(ctx, ph, round, out, want)
	for to := range out {
		if f.outgoing[to] != nil {
			f.Ready(to, 0, len(out[to]))
		}
	}
	f.Flush()
	if err := f.Done(); err != nil {
		return nil, err
	}
	return f.in, nil
}
