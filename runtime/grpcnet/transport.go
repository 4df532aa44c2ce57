package grpcnet

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"smpcc/backend/plan"
)

// A frame on a stream is a header and a chunk of a message. The header: kind, phase, two zero bytes, round (32 bits), size of
// the message and place of the chunk in it (64 bits each), little-endian. Chunks of a message may come in any order, each once;
// all but the last have chunkSize bytes and begin at a multiple of it.
const (
	headerSize = 24
	chunkSize  = 256 << 10
	kindData   = 1
	kindAbort  = 2
	maxReason  = 1 << 10
)

// A SessionConfig says which session a transport serves.
type SessionConfig struct {
	Roles   []string          // by role number: parties, then the dealer
	Role    int               // ours
	Addrs   map[string]string // of the roles that we dial: those with lower numbers
	Digest  [32]byte
	Purpose string // setup, material or session
	Session uint64
	Timeout time.Duration // for each exchange
	// Patience is the timeout for the first online message of a peer, which may still wait for its input; Timeout if 0.
	Patience time.Duration
}

// A link is the stream to one peer.
type link struct {
	name string
	send func(m any) error
	recv func(m any) error
	end  func() // cuts the stream
	// done says that nothing more will be sent, and leaves what is on its way in peace; nil where end does that.
	done func()
	// heard says that a message of the online phase has come.
	heard bool

	sends, reads turn       // messages, in the order of the exchanges
	sending      sync.Mutex // one goroutine at a time may send
	receiving    sync.Mutex // and one receive
	failed       error      // why receiving failed, once it has; guarded by receiving
	early        *frame     // received before anybody read; guarded by receiving
}

// A Transport carries one session's messages; it implements transport.Transport and transport.Streamer.
type Transport struct {
	cfg   SessionConfig
	links []*link // by role; nil for ourselves
	once  sync.Once
	ended chan struct{} // closed by the end of the session
}

// A PeerError says which peer failed. It ends the session.
type PeerError struct {
	Peer string
	Err  error
}

// Error names the peer.
func (e *PeerError) Error() string { return e.Peer + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *PeerError) Unwrap() error { return e.Err }

// Session connects to all other roles: to those with lower numbers by dialling, from those with higher numbers by waiting
// for their streams. Both sides name plan, purpose and session, and certificates prove who they are.
func (n *Node) Session(ctx context.Context, cfg SessionConfig) (*Transport, error) {
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	t := &Transport{cfg: cfg, links: make([]*link, len(cfg.Roles)), ended: make(chan struct{})}
	fail := func(peer string, err error) (*Transport, error) {
		t.cut()
		return nil, &PeerError{peer, err}
	}
	for role, name := range cfg.Roles[:cfg.Role] {
		c, err := n.conn(name, cfg.Addrs[name])
		if err != nil {
			return fail(name, err)
		}
		sctx, stop := context.WithCancel(metadata.NewOutgoingContext(context.Background(), n.outgoing("smpcc-plan", hex.EncodeToString(cfg.Digest[:]),
			"smpcc-purpose", cfg.Purpose, "smpcc-session", strconv.FormatUint(cfg.Session, 10), "smpcc-to", name)))
		unhook := context.AfterFunc(ctx, stop) // the time to connect is bounded, the stream's is not
		s, err := c.NewStream(sctx, &grpc.StreamDesc{StreamName: "Exchange", ServerStreams: true, ClientStreams: true}, meshMethod, grpc.WaitForReady(true))
		if !unhook() || err != nil {
			stop()
			if err == nil {
				err = ctx.Err()
			}
			return fail(name, fmt.Errorf("cannot be reached at %s: %s", cfg.Addrs[name], unreached(status.Convert(err).Message())))
		}
		l := &link{name: name, send: s.SendMsg, recv: s.RecvMsg, end: stop}
		l.done = func() {
			_ = s.CloseSend() // fails only if the stream is dead already
			go func() {       // the acceptor ends the stream when it has read everything
				defer stop()
				t := time.AfterFunc(cfg.Timeout, stop)
				defer t.Stop()
				l.receiving.Lock() // whoever looks at the peer still gets the end first
				defer l.receiving.Unlock()
				if f, err := l.next(); err == nil {
					f.free()
				}
			}()
		}
		t.links[role] = l
	}
	for role := cfg.Role + 1; role < len(cfg.Roles); role++ {
		name := cfg.Roles[role]
		key := sessionKey(cfg.Digest, cfg.Purpose, cfg.Session, name)
		c, err := n.meet(key, name)
		if err != nil {
			return fail(name, err)
		}
		select {
		case in := <-c:
			t.links[role] = &link{name: name, send: in.stream.SendMsg, recv: in.stream.RecvMsg, end: in.end}
		case <-ctx.Done():
			n.forget(key)
			return fail(name, fmt.Errorf("did not connect within %v", cfg.Timeout))
		case <-n.closed:
			return fail(name, errors.New("this server stops"))
		}
	}
	return t, nil
}

func header(kind byte, ph plan.Phase, round int, size, at int) []byte {
	h := make([]byte, headerSize)
	h[0], h[1] = kind, byte(ph)
	binary.LittleEndian.PutUint32(h[4:], uint32(round))
	binary.LittleEndian.PutUint64(h[8:], uint64(size))
	binary.LittleEndian.PutUint64(h[16:], uint64(at))
	return h
}

// write sends a frame.
func (l *link) write(f *frame) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	if err := l.send(f); err != nil {
		if errors.Is(err, io.EOF) { // the stream's status says why
			return l.ended()
		}
		return cause(err)
	}
	return nil
}

// ended returns why a stream has ended, on which nothing can be sent any more. A read that runs meanwhile learns it first.
func (l *link) ended() error {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	if l.failed != nil {
		return l.failed
	}
	var f frame
	err := l.recv(&f)
	if err == nil {
		f.free()
		err = io.EOF
	}
	return cause(err)
}

// errDone is what is read behind a peer's last message.
var errDone = errors.New("ended the session")

// ErrLost is the error of a session in which a peer's stream has ended before its reason was read.
var ErrLost = errors.New("connection lost")

// cause makes a gRPC error readable.
func cause(err error) error {
	if errors.Is(err, io.EOF) {
		return errDone
	}
	if s, ok := status.FromError(err); ok {
		return fmt.Errorf("%w: %s", ErrLost, s.Message())
	}
	return err
}

// read receives one message of exactly len(msg) bytes, chunk by chunk in any order, and marks each in here. Nothing that the peer
// announces decides how much memory it takes.
func (l *link) read(ph plan.Phase, round int, msg []byte, here []atomic.Bool, wake func()) error {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	for range here {
		f, err := l.next()
		if err != nil {
			return err
		}
		chunk, err := l.part(f, ph, round, msg, here)
		f.free()
		if err != nil {
			l.failed = err
			return err
		}
		here[chunk].Store(true)
		wake()
	}
	return nil
}

// next returns the next frame. The caller holds receiving.
func (l *link) next() (f *frame, err error) {
	if l.failed != nil {
		return nil, l.failed
	}
	if f, l.early = l.early, nil; f != nil {
		return f, nil
	}
	f = &frame{}
	if err := l.recv(f); err != nil {
		l.failed = cause(err)
		return nil, l.failed
	}
	return f, nil
}

// Failed returns a channel that tells of a peer that ends the session, or is lost, while nothing is exchanged. It is called once, between exchanges.
func (t *Transport) Failed() <-chan error {
	out := make(chan error, len(t.links))
	for _, l := range t.links {
		if l == nil {
			continue
		}
		mine, before := l.reads.take()
		go func() {
			defer close(mine)
			if before != nil {
				<-before
			}
			if err := l.peek(); err != nil {
				out <- &PeerError{l.name, err}
			}
		}()
	}
	return out
}

// peek waits for a frame and keeps it for who reads next. That the peer has ended the session is an error.
func (l *link) peek() error {
	l.receiving.Lock()
	defer l.receiving.Unlock()
	f, err := l.next()
	if errors.Is(err, errDone) { // it has done its part, as dealers do
		return nil
	} else if err != nil {
		return err
	}
	if f.in.Len() >= headerSize {
		var h [1]byte
		r := f.in.Reader()
		_, err := io.ReadFull(r, h[:])
		_ = r.Close() // it has no more to say
		if err == nil && h[0] == kindAbort {
			_, l.failed = l.part(f, plan.Online, 0, nil, nil)
			f.free()
			return l.failed
		}
	}
	l.early = f
	return nil
}

// part checks one frame, copies its bytes into the message and returns the number of its chunk.
func (l *link) part(f *frame, ph plan.Phase, round int, msg []byte, here []atomic.Bool) (int, error) {
	total := f.in.Len()
	if total < headerSize || total > maxFrame {
		return 0, fmt.Errorf("sent a frame of %d bytes", total)
	}
	r := f.in.Reader()
	defer r.Close()
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, err
	}
	n := total - headerSize
	if h[0] == kindAbort {
		text := make([]byte, min(n, maxReason))
		if _, err := io.ReadFull(r, text); err != nil {
			return 0, err
		}
		if !utf8.Valid(text) {
			text = []byte("no reason given")
		}
		return 0, fmt.Errorf("ended the session: %s", text)
	}
	size, place := binary.LittleEndian.Uint64(h[8:]), binary.LittleEndian.Uint64(h[16:])
	gotRound := binary.LittleEndian.Uint32(h[4:])
	if h[0] != kindData || plan.Phase(h[1]) != ph || int64(gotRound) != int64(round) || size != uint64(len(msg)) ||
		place >= size || place%chunkSize != 0 || uint64(n) != min(chunkSize, size-place) {
		return 0, fmt.Errorf("sent part %d..%d of a message of %d bytes for phase %d round %d, want a chunk of %d bytes for %v round %d", place, place+uint64(n), size, h[1], gotRound, len(msg), ph, round)
	}
	chunk := int(place / chunkSize)
	if here[chunk].Load() {
		return 0, fmt.Errorf("sent part %d..%d of a message for %v round %d twice", place, place+uint64(n), ph, round)
	}
	_, err := io.ReadFull(r, msg[place:place+uint64(n)])
	return chunk, err
}

// Abort tells all peers why the session ends, as far as they can still be reached, and ends it. reason must hold no data.
func (t *Transport) Abort(reason string) {
	var wg sync.WaitGroup
	for _, l := range t.links {
		if l == nil {
			continue
		}
		wg.Go(func() {
			l.sending.Lock() // behind a message on its way, which ends at the latest when the stream is cut
			defer l.sending.Unlock()
			text := []byte(reason)[:min(len(reason), maxReason)]
			_ = l.send(&frame{out: append(header(kindAbort, 0, 0, len(text), 0), text...)}) // best effort: the peer may be what failed
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		time.Sleep(50 * time.Millisecond) // let the frames leave before the streams are cut
	case <-time.After(time.Second):
	}
	t.cut()
}

// Close ends the streams after a session that went well: what is on its way still arrives.
func (t *Transport) Close() {
	t.once.Do(func() {
		close(t.ended)
		for _, l := range t.links {
			switch {
			case l == nil:
			case l.done != nil:
				l.done()
			default:
				l.end()
			}
		}
	})
}

// cut ends the streams at once.
func (t *Transport) cut() {
	t.once.Do(func() {
		close(t.ended)
		for _, l := range t.links {
			if l != nil {
				l.end()
			}
		}
	})
}
