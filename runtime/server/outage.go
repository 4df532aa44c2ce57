package server

import (
	"context"
	"errors"
	"time"

	"smpcc/runtime/grpcnet"
)

// An outage is a role that does not answer. It is looked at until it does; meanwhile openings need not try.
type outage struct {
	role  string
	err   error
	since time.Time
	over  chan struct{} // closed when the role answers again
}

// Times of an outage.
const (
	grace = 2 * time.Second        // how long it must have lasted for openings to be refused at once: a restart is shorter
	look  = 200 * time.Millisecond // between two looks at the role
)

// away notes that a role does not answer, since a time, and has it looked at.
func (s *deployment) away(role string, since time.Time, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outage != nil || s.stopping() {
		return
	}
	o := &outage{role: role, err: why, since: since, over: make(chan struct{})}
	s.outage = o
	s.log.Warn("a role does not answer; sessions are refused until it does", "peer", role, "error", why.Error())
	s.helper(func() { s.probe(o) })
}

// probe looks at a role until it answers.
func (s *deployment) probe(o *outage) {
	for s.answers(o.role) != nil {
		select {
		case <-s.draining:
			return
		case <-s.ctx.Done():
			return
		case <-time.After(look):
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = nil
	close(o.over)
	s.log.Info("the role answers again", "peer", o.role, "after", time.Since(o.since).Round(time.Millisecond).String())
}

// answers returns why a role does not answer, nil if it does, whatever it says.
func (s *deployment) answers(role string) error {
	ctx, cancel := context.WithTimeout(s.ctx, grace)
	defer cancel()
	_, err := s.node.Call(ctx, role, s.cfg.Servers[role], "Status", []byte("{}"))
	if remote := (*grpcnet.RemoteError)(nil); errors.As(err, &remote) {
		return nil
	}
	return err
}

// allAnswer returns why no session can be opened, if a role has not answered for a while: at once, or when it has been away for as long as a restart takes.
func (s *deployment) allAnswer(ctx context.Context) error {
	s.mu.Lock()
	o := s.outage
	s.mu.Unlock()
	if o == nil {
		return nil
	}
	wait := time.NewTimer(grace - time.Since(o.since))
	defer wait.Stop()
	select {
	case <-o.over:
		return nil
	case <-wait.C:
		return o.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// asking notes that a role is being asked, until the function that it returns is called.
func (s *deployment) asking(role string) (answered func()) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[role] = append(s.asked[role], now)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, t := range s.asked[role] {
			if t.Equal(now) {
				s.asked[role] = append(s.asked[role][:i], s.asked[role][i+1:]...)
				return
			}
		}
	}
}
