package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"smpcc/runtime/control"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/material"
)

// The first party leads: it numbers setups, material and sessions and tells the others to join.

// open begins a session for a client when there is room, with a setup before it if one is needed.
func (s *deployment) open(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if s.role != 0 {
		return nil, fmt.Errorf("sessions are opened at %s", s.plan.Manifest.Parties[0])
	}
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not open sessions: it is not among the clients of %s, which its configuration lists", peer, s.name)
	}
	r, err := control.Decode[control.OpenRequest](req)
	if err != nil {
		return nil, err
	}
	if len(r.For) > s.plan.NumParties() {
		return nil, errors.New("malformed request")
	}
	if r.Request == "" {
		t, err := s.openFor(ctx, peer, r)
		if err != nil {
			return nil, err
		}
		return json.Marshal(t)
	}
	if err := control.CheckRequest(r.Request); err != nil {
		return nil, err
	}
	t, end, err := s.named(ctx, peer, r.Request, r.Find)
	if end != nil {
		t, err = s.openFor(ctx, peer, r)
		end(t, err)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(t)
}

// openFor begins a session for a client when there is room.
func (s *deployment) openFor(ctx context.Context, peer string, q control.OpenRequest) (t control.Ticket, err error) {
	if err := s.opens(); err != nil {
		return t, err
	}
	start := time.Now()
	for {
		if err := s.gate.enter(ctx, peer, s.cfg.queue); err != nil {
			s.metrics.Refused("full")
			return t, s.held(err)
		}
		r, err := s.openSession(ctx, jobRequest{Opener: peer, Secret: rand.Text(), For: q.For})
		switch {
		case errors.Is(err, errCrowded):
			continue
		case needs(err, needRoom): // its sessions may wait for room here
			if time.Since(start) > s.cfg.queue {
				s.metrics.Refused("full")
				return t, fmt.Errorf("%w within %v at another role, which runs sessions of other plans: %w", errFull, s.cfg.queue, err)
			}
			if err := yield(ctx); err != nil {
				return t, err
			}
			continue
		case err != nil:
			s.metrics.Refused("roles")
			return t, err
		}
		s.metrics.Queued(time.Since(start))
		s.watch(grpcnet.Gone(ctx), r)
		return control.Ticket{Session: r.ID, Secret: r.Secret}, nil
	}
}

// yield waits for a moment of no certain length, so that hosts that wait for each other's rooms do not go on doing so at the same time.
func yield(ctx context.Context) error {
	var b [1]byte
	if _, err := rand.Read(b[:]); err != nil {
		return err
	}
	select {
	case <-time.After(20*time.Millisecond + time.Duration(b[0])*time.Millisecond/2):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// held says of a request that found no room whom the sessions that take it wait for, if it is a role that does not answer.
func (s *deployment) held(full error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outage != nil {
		return s.outage.err
	}
	for _, role := range s.plan.Roles() {
		for _, since := range s.asked[role] {
			if long := time.Since(since); long > s.cfg.queue/2 {
				return fmt.Errorf("no session can begin: %s has not answered for %v", role, long.Round(time.Millisecond))
			}
		}
	}
	return full
}

// A latch is a lock that nobody has to wait for longer than a context lasts.
type latch chan struct{}

func (l latch) lock(ctx context.Context) error {
	select {
	case l <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l latch) unlock() { <-l }

// errCrowded sends a request back to the queue: it entered before another role said how little room it has.
var errCrowded = errors.New("more sessions have entered than fit")

// openSession starts a session that has entered the gate; start leaves the gate on failure. Sessions are opened side by side.
func (s *deployment) openSession(ctx context.Context, who jobRequest) (r jobRequest, err error) {
	entered := true
	defer func() {
		if entered {
			s.gate.leave(who.Opener)
		}
	}()
	lacking := 0
	for {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if err := s.allAnswer(ctx); err != nil {
			return r, err
		}
		if s.gate.crowded() {
			return r, errCrowded
		}
		epoch, err := s.ready(ctx)
		if err != nil {
			return r, err
		}
		r, err := s.nextSession(epoch, who)
		if err != nil {
			return r, err
		}
		err = s.startSession(ctx, r, func() { entered = false })
		s.giveBack(r.Stock)
		if !entered && r.Stock > 0 {
			s.wakeRefill()
		}
		if err == nil {
			return r, nil
		}
		if used, ok := remoteNumber(err, usedForm); ok && s.catchUp(used) {
			continue
		}
		if above, ok := remoteNumber(err, lackForm); ok {
			lacking++
			if err := s.giveUp(r.Stock, above, lacking); err != nil {
				return r, err
			}
			continue
		}
		switch {
		case errors.Is(err, errLacks): // which has left the gate
			if err := s.gate.enter(ctx, who.Opener, s.cfg.queue); err != nil {
				return r, err
			}
			entered = true
		case needs(err, needSetup):
			s.log.Info("a role has lost its setup; setting up again")
			s.forgetSetup(epoch)
		default:
			return r, err
		}
	}
}

// nextSession returns the next number of a session, which others may see and which is not given again, and of material if there is any.
func (s *deployment) nextSession(epoch uint64, who jobRequest) (r jobRequest, err error) {
	r = jobRequest{Plan: s.planHex(), Purpose: "session", Epoch: epoch, Secret: who.Secret, Opener: who.Opener, For: who.For}
	if r.ID, err = s.sessions.Take(s.cfg.next); err != nil {
		return r, err
	}
	if st := s.stock(); st != nil {
		if err := st.Expire(); err != nil {
			s.log.Warn("material cannot be deleted", "error", err.Error())
		}
		r.Stock = s.lend(st)
	}
	return r, nil
}

// startSession begins a session at all roles. Its material is marked used here when the others have joined, so that a session which does not begin uses none. Roles that
// have joined a session that does not begin are told.
func (s *deployment) startSession(ctx context.Context, r jobRequest, begun func()) error {
	if err := s.conditions(r); err != nil { // before the others begin
		s.aside(func() { s.tellRefused(r) })
		return s.refused(r, err)
	}
	joined, err := s.others(ctx, "Join", r, s.cfg.timeout, s.learn)
	err = s.elsewhere(r, err)
	if err == nil {
		begun() // begin leaves the gate for a session
		err = s.begin(r, func() error { return s.useStock(r.Stock) })
	}
	if err != nil && len(joined) > 0 {
		s.aside(func() { s.callOff(r, joined) })
	}
	return err
}

// callOff tells roles that a session which they have joined does not begin.
func (s *deployment) callOff(r jobRequest, roles []string) {
	s.tellAll(roles, "Leave", jobRequest{Purpose: "opening", ID: r.ID}, func(role string, err error) {
		s.log.Warn("a role could not be told that a session does not begin", "session", r.ID, "peer", role, "error", err.Error())
	})
}

// tellAll tells roles something side by side, which is answered with nothing. failed hears of those that cannot be told.
func (s *deployment) tellAll(roles []string, method string, r jobRequest, failed func(role string, err error)) {
	var wg sync.WaitGroup
	for _, role := range roles {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(s.ctx, grace)
			defer cancel()
			if err := s.tell(ctx, role, method, r); err != nil {
				failed(role, err)
			}
		})
	}
	wg.Wait()
}

// wakeRefill has the store looked at: material may have been used.
func (s *deployment) wakeRefill() {
	select {
	case s.used <- struct{}{}:
	default:
	}
}

// giveUp leaves out material that another party lacks: all up to a number where it says so, or else the one number at first, since the party may have used it for a
// session that did not begin here, and the whole segment if it lacks the next one too.
func (s *deployment) giveUp(stock, above uint64, times int) error {
	s.log.Warn("a party lacks material that is stored here; it is given up", "material", stock, "up_to", max(stock, above))
	s.wakeRefill()
	switch {
	case above >= stock:
		s.stocked.Skip(above)
		return s.stock().DropTo(s.stocked.Floor())
	case times > 1:
		return s.stock().DropSegment(stock)
	}
	if err := s.stocked.Use(stock); err != nil && !errors.Is(err, material.ErrUsed) {
		return err
	}
	return nil
}

// needs reports whether a role has answered that it lacks something.
func needs(err error, what string) bool {
	var remote *grpcnet.RemoteError
	return errors.As(err, &remote) && remote.Msg == what
}

// forgetSetup makes the lead set up again, if it still has the setup of that number.
func (s *deployment) forgetSetup(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == epoch {
		s.model = nil
	}
}

// ready returns the number of the setup, made now if there is none.
func (s *deployment) ready(ctx context.Context) (uint64, error) {
	return s.setUp(ctx, func() (uint64, bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.epoch, s.model != nil
	})
}

// setUpAnew makes a setup though there is one.
func (s *deployment) setUpAnew(ctx context.Context) (uint64, error) {
	return s.setUp(ctx, func() (uint64, bool) { return 0, false })
}

// setUp makes a setup, unless there is one that is good enough. One that has begun goes on when ctx ends.
func (s *deployment) setUp(ctx context.Context, have func() (epoch uint64, good bool)) (uint64, error) {
	if epoch, good := have(); good {
		return epoch, nil
	}
	if err := s.settingUp.lock(ctx); err != nil {
		return 0, fmt.Errorf("a setup runs: %w", err)
	}
	if epoch, good := have(); good {
		s.settingUp.unlock()
		return epoch, nil
	}
	type made struct {
		epoch uint64
		err   error
	}
	done := make(chan made, 1)
	if !s.aside(func() {
		defer s.settingUp.unlock()
		epoch, err := s.makeSetup(s.ctx)
		done <- made{epoch, err}
	}) {
		s.settingUp.unlock()
		return 0, s.takes()
	}
	select {
	case m := <-done:
		return m.epoch, m.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// makeSetup runs a setup at all roles, and uses it when all of them have it.
func (s *deployment) makeSetup(ctx context.Context) (uint64, error) {
	last, err := s.ledger.Last(s.ledgerKey("setup"))
	if err != nil {
		return 0, err
	}
	id := s.cfg.next(last)
	r := jobRequest{Plan: s.planHex(), Purpose: "setup", ID: id, Epoch: id}
	if err := s.start(ctx, r, func() error { return s.ledger.Use(s.ledgerKey("setup"), id) }); err != nil {
		return 0, err
	}
	j, err := s.await(ctx, r)
	if err != nil {
		return 0, err
	}
	return r.ID, s.useSetup(j)
}

// await waits until a job that has started has ended at all roles, and returns it.
func (s *deployment) await(ctx context.Context, r jobRequest) (*job, error) {
	j, err := s.finished(ctx, r.Purpose, r.ID)
	if err != nil {
		return nil, err
	}
	if errors.Is(j.err, grpcnet.ErrLost) { // why a role went away it may still say itself
		var said *grpcnet.RemoteError
		if _, why := s.others(ctx, "Wait", r, s.cfg.timeout, func(string, []byte) error { return nil }); errors.As(why, &said) {
			return nil, fmt.Errorf("%s %d: %w", r.Purpose, r.ID, why)
		}
	}
	if j.err != nil {
		return nil, j.err
	}
	if _, err := s.others(ctx, "Wait", r, time.Duration(10+r.Count)*s.cfg.timeout, func(string, []byte) error { return nil }); err != nil {
		return nil, fmt.Errorf("%s %d: %w", r.Purpose, r.ID, err)
	}
	return j, nil
}

// start begins a setup or material job at all roles: use records it here first. Parties ask the dealer for keys, who waits for his own joining.
func (s *deployment) start(ctx context.Context, r jobRequest, use func() error) error {
	if err := s.conditions(r); err != nil { // before the others begin
		s.aside(func() { s.tellRefused(r) })
		return s.refused(r, err)
	}
	if err := use(); err != nil {
		return err
	}
	if _, err := s.others(ctx, "Join", r, s.cfg.timeout, s.learn); err != nil {
		return err
	}
	return s.begin(r, func() error { return nil })
}

// learn takes from the answer of a role that has joined how many sessions it can run at once, which another start of its
// server may have changed.
func (s *deployment) learn(role string, reply []byte) error {
	r, err := control.Decode[joinReply](reply)
	if err != nil || r.Capacity < 1 {
		return fmt.Errorf("%s answered Join with a malformed reply", role)
	}
	s.gate.learn(role, r.Capacity)
	return nil
}

// others calls a method at all other roles side by side, at the dealer only if no material is stored, and hands on what they answer, one at a time. All of them have
// limit together. It returns those that have answered well.
func (s *deployment) others(ctx context.Context, method string, r jobRequest, limit time.Duration, answered func(role string, reply []byte) error) (well []string, err error) {
	began := time.Now()
	within, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	roles := s.plan.Roles()
	if r.Stock > 0 {
		roles = s.plan.Manifest.Parties
	}
	replies, errs := make([][]byte, len(roles)), make([]error, len(roles))
	var wg sync.WaitGroup
	for i := 1; i < len(roles); i++ {
		ask := func() {
			if method == "Join" {
				defer s.asking(roles[i])()
			}
			replies[i], errs[i] = s.node.Call(within, roles[i], s.cfg.Servers[roles[i]], method, req)
		}
		if i == len(roles)-1 {
			ask() // one need not wait for another goroutine
		} else {
			wg.Go(ask)
		}
	}
	wg.Wait()
	for i := len(roles) - 1; i > 0; i-- {
		if errs[i] == nil {
			well = append(well, roles[i])
			errs[i] = answered(roles[i], replies[i])
		}
	}
	for i := len(roles) - 1; i > 0; i-- { // whom nobody has reached comes first: what another has said may be a consequence
		var remote *grpcnet.RemoteError
		if errs[i] == nil || errors.As(errs[i], &remote) {
			continue
		}
		if method == "Join" && ctx.Err() == nil && !slices.Contains(well, roles[i]) {
			s.away(roles[i], began, errs[i])
		}
		return well, errs[i]
	}
	for i := len(roles) - 1; i > 0; i-- {
		if errs[i] != nil {
			return well, errs[i]
		}
	}
	return well, nil
}

// tell sends a role something that is answered with nothing.
func (s *deployment) tell(ctx context.Context, role, method string, r jobRequest) error {
	r.Plan = s.planHex()
	req, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.node.Call(ctx, role, s.cfg.Servers[role], method, req)
	return err
}
