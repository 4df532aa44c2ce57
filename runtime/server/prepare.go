package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"smpcc/runtime/control"
)

// A plan that is deployed is verified and checked before anybody hears of it, and set up before it takes sessions: the lead waits until all roles have it, and sets it up.

// Pauses between two looks at whether other roles have a plan.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 2 * time.Second
)

// begins starts what a plan has done all the time: setting up, and filling its store.
func (s *deployment) begins() {
	s.loops, s.endLoops = context.WithCancel(s.ctx)
	s.helper(func() {
		select {
		case <-s.draining:
			s.endLoops()
		case <-s.loops.Done():
		}
	})
	s.helper(s.prepare)
	s.helper(s.refill)
}

// pause waits between two attempts, and reports whether there is to be another.
func (s *deployment) pause(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.loops.Done():
		return false
	}
}

// prepare sets a plan up as soon as all roles have it.
func (s *deployment) prepare() {
	if s.role != 0 {
		return
	}
	for wait := firstPause; !s.isPrepared(); wait = min(2*wait, lastPause) {
		err := s.everybodyHasIt(s.loops)
		if err == nil {
			_, err = s.ready(s.loops)
		}
		if s.waitsFor(err); err != nil && !s.pause(wait) {
			return
		}
	}
}

// everybodyHasIt returns why the plan cannot be set up yet: a role that cannot be reached, or that does not serve it.
func (s *deployment) everybodyHasIt(ctx context.Context) error {
	for i, role := range s.plan.Roles() {
		if i == s.role {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, peerWait)
		_, _, err := askPeer(ctx, s.node, role, s.cfg, s.plan)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

// isPrepared reports whether the plan has been set up since it is served.
func (s *deployment) isPrepared() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prepared
}

// waitsFor notes, and says when it changes, what preparing waits for.
func (s *deployment) waitsFor(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.awaited
	if s.awaited = err; err != nil && (before == nil || before.Error() != err.Error()) {
		s.log.Info("the plan is not set up yet", "reason", err.Error())
	}
}

// lacking says what the plan waits for. The mutex is held.
func (s *deployment) lacking() string {
	switch {
	case s.awaited != nil:
		return s.awaited.Error()
	case s.role != 0:
		return "waits for " + s.plan.Manifest.Parties[0] + ", which leads, to set it up"
	}
	return "is being set up"
}

// takes says why the plan takes no sessions here, nil if it does.
func (s *deployment) takes() error {
	if err := s.Server.takes(); err != nil {
		return err
	}
	if s.leaving() {
		return fmt.Errorf("plan %s is being withdrawn at %s, and takes no more sessions; use the plan that replaces it", s.plan16(), s.name)
	}
	return nil
}

// opens says why the plan takes no openings here, nil if it does.
func (s *deployment) opens() error {
	if err := s.takes(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.prepared {
		return fmt.Errorf("plan %s is being prepared at %s: %s", s.plan16(), s.name, s.lacking())
	}
	return nil
}

// leaving reports whether the plan is being withdrawn.
func (s *deployment) leaving() bool {
	select {
	case <-s.leaves:
		return true
	default:
		return false
	}
}

// retire ends the taking of sessions. When those that run have ended and their outputs are not waited for any more, the plan is gone.
func (s *deployment) retire() {
	s.life.Lock() // no job begins after this
	close(s.leaves)
	s.life.Unlock()
	s.endLoops()
	s.helper(func() {
		ended := make(chan struct{})
		go func() { s.own.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-s.draining: // and its end closes the numbers
			<-ended
			return
		}
		for s.keeps() {
			select {
			case <-s.draining:
				return
			case <-time.After(firstPause):
			}
		}
		s.plans.drop(s)
		s.fitRequests()
		if err := s.closeNumbers(); err != nil {
			s.log.Error("numbers cannot be recorded", "error", err.Error())
		}
		s.log.Info("the plan is not served any more")
	})
}

// keeps reports whether outputs of the plan wait for their clients.
func (s *deployment) keeps() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.keeping) > 0
}

// ownWeights returns this party's weights.
func (s *deployment) ownWeights() [][]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.weights
}

// replaceWeights sets the plan up anew with other weights. Sessions go on with the ones before until all roles are ready.
func (s *deployment) replaceWeights(ctx context.Context, weights [][]uint64) error {
	s.mu.Lock()
	s.weights, s.outdated = weights, true
	prepared := s.prepared
	s.mu.Unlock()
	if !prepared {
		return nil // they will be the first
	}
	done := make(chan error, 1)
	s.helper(func() {
		for wait := firstPause; s.isOutdated(); wait = min(2*wait, lastPause) {
			err := s.renew()
			select {
			case done <- err:
			default:
			}
			if err != nil {
				s.log.Warn("the plan could not be set up with its new weights; it is tried again", "error", err.Error())
			}
			if !s.pause(wait) {
				return
			}
		}
	})
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("the new weights are kept and are not in use yet: %w; %s tries again", err, s.name)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.loops.Done():
		return s.takes()
	}
}

// isOutdated reports whether there are weights with which the plan has not been set up.
func (s *deployment) isOutdated() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.outdated
}

// renew has the lead set the plan up anew.
func (s *deployment) renew() error {
	if s.role == 0 {
		_, err := s.setUpAnew(s.loops)
		return err
	}
	ctx, cancel := context.WithTimeout(s.loops, 10*s.cfg.timeout)
	defer cancel()
	return s.tell(ctx, s.plan.Manifest.Parties[0], "Renew", jobRequest{Purpose: "setup"})
}

// renewHandler sets the plan up anew at the word of a party whose weights have changed.
func (s *deployment) renewHandler(ctx context.Context, peer string, _ []byte) ([]byte, error) {
	if !slices.Contains(s.plan.Manifest.Parties, peer) {
		return nil, fmt.Errorf("%q is not a party of the plan", peer)
	}
	if s.role != 0 {
		return nil, fmt.Errorf("setups are begun by %s", s.plan.Manifest.Parties[0])
	}
	if err := s.takes(); err != nil {
		return nil, err
	}
	if _, err := s.setUpAnew(ctx); err != nil {
		return nil, err
	}
	return json.Marshal(control.PlanRequest{Plan: s.planHex()})
}
