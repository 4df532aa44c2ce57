package grpcnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

// A control request and its reply are streams of frames, none of which is longer than a frame of a session. So a limit holds for each method,
// before anything is read.
const (
	shortRequest = 8 << 10  // bytes of a request or reply where no other limit is set
	slowest      = 64 << 10 // bytes a second at which a request must come
	maxRequests  = 64       // requests of at most shortRequest bytes that fit beside the longest one
)

// requestTimeout bounds how long a request takes to come, besides its length.
const requestTimeout = 10 * time.Second

// A pool bounds the memory of requests that are being read or answered.
type pool struct{ used atomic.Int64 }

// take adds to what is used, unless that would be more than limit.
func (p *pool) take(n, limit int64) bool {
	if p.used.Add(n) <= limit {
		return true
	}
	p.used.Add(-n)
	return false
}

func (p *pool) give(n int64) { p.used.Add(-n) }

// limit returns how long a request of a method may be.
func (n *Node) limit(method string) int {
	n.bounds.RLock()
	defer n.bounds.RUnlock()
	if l := n.limits[method]; l > 0 {
		return l
	}
	return shortRequest
}

// room returns how much memory all requests have.
func (n *Node) room() int64 {
	n.bounds.RLock()
	defer n.bounds.RUnlock()
	longest := int64(0)
	for _, l := range n.limits {
		longest = max(longest, int64(l))
	}
	together := n.together
	if together == 0 {
		together = 4 * longest
	}
	return maxRequests*shortRequest + max(together, longest)
}

// admit refuses a call before anything of it is read: of a caller that is not known, or that has no name.
func (n *Node) admit(ctx context.Context, call *tap.Info) (context.Context, error) {
	if n.Known == nil || !ours(call.FullMethodName) {
		return ctx, nil
	}
	name, err := peerName(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if !n.Known(name) {
		return nil, status.Errorf(codes.FailedPrecondition, "%q is neither a role of the plan nor among the clients of %s, which its configuration lists", name, n.name)
	}
	return ctx, nil
}

// answer adapts a Handler to gRPC. checked says that the caller must speak our version and mean this worker.
func (n *Node) answer(method string, h Handler, checked bool) grpc.StreamHandler {
	return func(_ any, s grpc.ServerStream) error {
		name, err := peerName(s.Context())
		if err != nil {
			return status.Error(codes.Unauthenticated, err.Error())
		}
		if md, _ := metadata.FromIncomingContext(s.Context()); checked {
			if err := n.checkCaller(md, name); err != nil {
				return err
			}
		}
		req, err := n.request(s, method)
		if err != nil {
			return err
		}
		defer n.requests.give(int64(len(req)))
		out, err := h(s.Context(), name, req)
		if err != nil {
			return status.Error(codes.FailedPrecondition, err.Error())
		}
		return say(s.SendMsg, out)
	}
}

// request reads a request. Its length is taken from the pool, to be given back.
func (n *Node) request(s grpc.ServerStream, method string) ([]byte, error) {
	type heard struct {
		req []byte
		err error
	}
	limit, room := n.limit(method), n.room()
	done := make(chan heard, 1)
	go func() {
		req, err := hear(s.RecvMsg, limit, func(more int) bool { return n.requests.take(int64(more), room) }, func(all int) { n.requests.give(int64(all)) })
		done <- heard{req, err}
	}()
	within := requestTimeout + time.Duration(limit/slowest)*time.Second
	if n.within > 0 {
		within = n.within
	}
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case h := <-done:
		switch {
		case errors.Is(h.err, errLong):
			return nil, status.Errorf(codes.ResourceExhausted, "%s takes requests of %s up to %d bytes", n.name, method, limit)
		case errors.Is(h.err, errRoom):
			return nil, status.Errorf(codes.ResourceExhausted, "%s reads too many requests at once; try again later", n.name)
		}
		return h.req, h.err
	case <-t.C:
		go func() { n.requests.give(int64(len((<-done).req))) }() // the reading ends with the stream
		return nil, status.Errorf(codes.DeadlineExceeded, "the request did not come within %v", within)
	}
}

var (
	errLong = errors.New("too long")
	errRoom = errors.New("no room")
)

// say sends a message in frames.
func say(send func(any) error, msg []byte) error {
	for {
		n := min(len(msg), chunkSize)
		if err := send(&frame{out: msg[:n:n]}); err != nil {
			return err
		}
		if msg = msg[n:]; len(msg) == 0 {
			return nil
		}
	}
}

// hear receives frames until they end, of limit bytes at most. take is asked before bytes are kept; give is told on failure of how many were.
func hear(recv func(any) error, limit int, take func(int) bool, give func(int)) (msg []byte, err error) {
	kept := 0
	defer func() {
		if err != nil {
			give(kept)
			msg = nil
		}
	}()
	for {
		var f frame
		if err := recv(&f); errors.Is(err, io.EOF) {
			return msg, nil
		} else if err != nil {
			return nil, err
		}
		n := f.in.Len()
		if n > limit-kept {
			f.free()
			return nil, errLong
		}
		if !take(n) {
			f.free()
			return nil, errRoom
		}
		kept += n
		if part := f.bytes(); msg == nil {
			msg = part
		} else {
			msg = append(msg, part...)
		}
	}
}

// everything keeps what comes.
func everything(int) bool { return true }

// ask sends a request over a connection and returns the reply, of limit bytes at most.
func ask(ctx context.Context, c *grpc.ClientConn, method string, req []byte, limit int) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{StreamName: method, ServerStreams: true, ClientStreams: true}, controlPrefix+method)
	if err != nil {
		return nil, err
	}
	if err := say(s.SendMsg, req); err != nil && !errors.Is(err, io.EOF) { // after io.EOF the reply says why
		return nil, err
	}
	if err := s.CloseSend(); err != nil {
		return nil, err
	}
	reply, err := hear(s.RecvMsg, limit, everything, func(int) {})
	if errors.Is(err, errLong) {
		return nil, fmt.Errorf("answered %s with more than %d bytes", method, limit)
	}
	return reply, err
}
