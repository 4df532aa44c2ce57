package grpcnet

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Times of reaching a peer.
const (
	// glance is how long a call waits for a peer that the call before has not reached, or whose certificate is wrong. Connections to it are tried once a
	// second, so that at least one attempt is younger than the call.
	glance = 2 * time.Second
	// again is the pause between two looks at a connection that is being made.
	again = 50 * time.Millisecond
)

// probe is a method that nobody has: who answers that it is not there has been reached.
const probe = "-"

// Call sends a control request to a named peer and returns its reply. A peer that cannot be reached within Patience, or that has another certificate
// than it should, is an error that says why. What it then takes to answer is bounded by ctx.
func (n *Node) Call(ctx context.Context, name, addr, method string, req []byte) ([]byte, error) {
	c, err := n.conn(name, addr)
	if err != nil {
		return nil, err
	}
	ctx = metadata.NewOutgoingContext(ctx, n.outgoing())
	if err := n.reach(ctx, c, name, addr); err != nil {
		return nil, err
	}
	start := time.Now()
	limit := shortRequest
	if l := n.Replies[method]; l > 0 {
		limit = l
	}
	reply, err := ask(ctx, c, method, req, limit)
	if err == nil {
		return reply, nil
	}
	s := status.Convert(err)
	switch s.Code() {
	case codes.FailedPrecondition:
		return nil, &RemoteError{name, s.Message()}
	case codes.Unavailable:
		n.setAway(name, addr, true)
		return nil, fmt.Errorf("%s at %s cannot be reached: %s", name, addr, unreached(s.Message()))
	case codes.DeadlineExceeded:
		if ctx.Err() == nil { // the peer's word, about what we send
			return nil, fmt.Errorf("%s at %s: %s", name, addr, s.Message())
		}
		n.setAway(name, addr, true)
		return nil, fmt.Errorf("%s at %s cannot be reached: it has not answered %s within %v; does it hang, or is it overloaded?", name, addr, method, time.Since(start).Round(time.Millisecond))
	}
	return nil, fmt.Errorf("%s at %s: %s", name, addr, s.Message())
}

// reach waits until a peer's server answers: for Patience, or for a glance if it did not answer the last time.
func (n *Node) reach(ctx context.Context, c *grpc.ClientConn, name, addr string) error {
	away := n.isAway(name, addr)
	if c.GetState().String() == "READY" && !away {
		return nil
	}
	patience := n.Patience
	if away && (patience == 0 || patience > glance) {
		patience = glance
	}
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	start, told := time.Now(), ""
	for {
		_, err := ask(ctx, c, probe, nil, shortRequest)
		s := status.Convert(err)
		if s.Code() != codes.Unavailable && s.Code() != codes.DeadlineExceeded && s.Code() != codes.Canceled {
			n.setAway(name, addr, false)
			return nil
		}
		if s.Code() == codes.Unavailable {
			told = unreached(s.Message())
		}
		if s.Code() == codes.Unavailable && forGood(s.Message()) && time.Since(start) > glance || ctx.Err() != nil {
			break
		}
		if n.Waiting != nil {
			n.Waiting(name, addr, told)
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
	if told == "" {
		told = unreached(fmt.Sprintf("no answer within %v", time.Since(start).Round(time.Millisecond)))
	}
	n.setAway(name, addr, true)
	return fmt.Errorf("%s at %s cannot be reached: %s", name, addr, told)
}

// forGood reports whether the reason for which a connection could not be made seldom goes away while somebody waits.
func forGood(msg string) bool {
	return strings.Contains(msg, "certificate") || strings.Contains(msg, "tls: first record")
}

// isAway reports whether the last call of a peer did not reach it.
func (n *Node) isAway(name, addr string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.away[name+" "+addr]
}

func (n *Node) setAway(name, addr string, away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away[name+" "+addr] = away; !away {
		delete(n.away, name+" "+addr)
	}
}
