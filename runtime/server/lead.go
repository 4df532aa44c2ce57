package server

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"smpcc/runtime/grpcnet"
)

// The first party leads: it numbers setups, material and sessions and tells the others to join.

// An openRequest asks for a session.
type openRequest struct {
	Plan    string   `json:"plan"`
	Request string   `json:"request,omitempty"` // the client's name of it
	Find    bool     `json:"find,omitempty"`    // only if it has come before
	For     []string `json:"for,omitempty"`     // the parties that the client acts for
}

// open begins a session for a client when there is room, with a setup before it if one is needed.
func (s *Server) open(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if s.role != 0 {
		return nil, fmt.Errorf("sessions are opened at %s", s.plan.Manifest.Parties[0])
	}
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not open sessions: it is not among the clients of %s, which its configuration lists", peer, s.name)
	}
	r, err := decode[openRequest](req)
	if err != nil {
		return nil, err
	}
	if err := s.samePlan(r.Plan); err != nil {
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
	if err := CheckRequest(r.Request); err != nil {
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
func (s *Server) openFor(ctx context.Context, peer string, q openRequest) (t Ticket, err error) {
	if err := s.takes(); err != nil {
		return t, err
	}
	start := time.Now()
	for {
		if err := s.gate.enter(ctx, peer, s.cfg.queue); err != nil {
			s.metrics.Refused("full")
			return t, s.held(err)
		}
		r, err := s.openSession(ctx, jobRequest{Opener: peer, Secret: rand.Text(), For: q.For}, start)
		switch {
		case errors.Is(err, errCrowded):
			continue
		case err != nil:
			s.metrics.Refused("roles")
			return t, err
		}
		s.metrics.Queued(time.Since(start))
		s.watch(grpcnet.Gone(ctx), r)
		return Ticket{Session: r.ID, Secret: r.Secret}, nil
	}
}

// held says of a request that found no room whom the sessions that take it wait for, if it is a role that does not answer.
func (s *Server) held(full error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != "" && time.Since(s.askedAt) > s.cfg.queue/2 {
		return fmt.Errorf("no session can begin: %s has not answered for %v", s.asked, time.Since(s.askedAt).Round(time.Millisecond))
	}
	if s.outage != nil {
		return s.outage
	}
	return full
}

// asking notes which role is being waited for; "" for none.
func (s *Server) asking(role string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked, s.askedAt = role, time.Now()
}

// opened notes how an opening ended: err, if not nil, because a role did not answer.
func (s *Server) opened(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage, s.outageAt = err, time.Now()
}

// sharedFate returns why an opening failed that ended while a request waited for its turn: no second one has to wait for the same role.
func (s *Server) sharedFate(since time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outage != nil && since.Before(s.outageAt) {
		return s.outage
	}
	return nil
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

// openSession starts a session that has entered the gate, for a request that came at a time; start leaves the gate on failure.
func (s *Server) openSession(ctx context.Context, who jobRequest, since time.Time) (r jobRequest, err error) {
	entered := true
	defer func() {
		if entered {
			s.gate.leave(who.Opener)
		}
	}()
	if err := s.opening.lock(ctx); err != nil {
		return r, fmt.Errorf("the session waited for others to be opened: %w", err)
	}
	defer s.opening.unlock()
	if err := s.sharedFate(since); err != nil {
		return r, err
	}
	lacking := 0
	for {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		if s.gate.crowded() {
			return r, errCrowded
		}
		epoch, err := s.readyLocked(ctx)
		if err != nil {
			return r, err
		}
		r, err := s.nextSession(epoch, who)
		if err != nil {
			return r, err
		}
		err = s.startSession(ctx, r, func() { entered = false })
		if !entered {
			defer s.wakeRefill()
		}
		switch {
		case needs(err, needMaterial):
			lacking++
			if err := s.giveUp(r.Stock, lacking); err != nil {
				return r, err
			}
		case errors.Is(err, errUnreadable): // which has left the gate
			if err := s.gate.enter(ctx, who.Opener, s.cfg.queue); err != nil {
				return r, err
			}
			entered = true
		case needs(err, needSetup):
			s.log.Info("a role has lost its setup; setting up again")
			s.forgetSetup(epoch)
		case err != nil:
			return r, err
		default:
			return r, nil
		}
	}
}

// nextSession returns the next number of a session, and of material if there is any.
func (s *Server) nextSession(epoch uint64, who jobRequest) (jobRequest, error) {
	last, err := s.ledger.Last(s.ledgerKey("session"))
	if err != nil {
		return jobRequest{}, err
	}
	r := jobRequest{Plan: s.planHex(), Purpose: "session", ID: s.cfg.next(last), Epoch: epoch, Secret: who.Secret, Opener: who.Opener, For: who.For}
	st := s.stock()
	if st == nil {
		return r, nil
	}
	used, err := s.ledger.Last(s.ledgerKey("stock"))
	if err != nil {
		return jobRequest{}, err
	}
	if err := st.Expire(); err != nil {
		s.log.Warn("material cannot be deleted", "error", err.Error())
	}
	r.Stock = st.Next(used)
	return r, nil
}

// startSession begins a session at all roles. Its number is recorded first, since others may see it and it must not be given again; its material is
// recorded here when the others have joined, so that a session which does not begin uses none.
func (s *Server) startSession(ctx context.Context, r jobRequest, begun func()) error {
	err := s.startWith(ctx, r, func() error { return s.ledger.Use(s.ledgerKey("session"), r.ID) }, func() error {
		if r.Stock == 0 {
			return nil
		}
		return s.ledger.Use(s.ledgerKey("stock"), r.Stock)
	}, begun)
	var call unanswered
	var remote *grpcnet.RemoteError
	switch {
	case err == nil:
		s.opened(nil)
	case errors.As(err, &call) && !errors.As(err, &remote) && ctx.Err() == nil:
		s.opened(err)
	}
	return err
}

// wakeRefill has the store looked at: material may have been used.
func (s *Server) wakeRefill() {
	select {
	case s.used <- struct{}{}:
	default:
	}
}

// giveUp leaves out material that another party lacks: the one number at first, since the party may have used it for a session that did not begin
// here, and the whole segment if it lacks the next one too.
func (s *Server) giveUp(stock uint64, times int) error {
	s.log.Warn("a party lacks material that is stored here; it is given up", "material", stock)
	s.wakeRefill()
	if times > 1 {
		return s.stock().DropSegment(stock)
	}
	return s.ledger.Use(s.ledgerKey("stock"), stock)
}

// unanswered is the failure of a call to another role, which is a RemoteError if the role has answered.
type unanswered struct{ error }

// Unwrap returns the cause.
func (u unanswered) Unwrap() error { return u.error }

// needs reports whether a role has answered that it lacks something.
func needs(err error, what string) bool {
	var remote *grpcnet.RemoteError
	return errors.As(err, &remote) && remote.Msg == what
}

// forgetSetup makes the lead set up again, if it still has the setup of that number.
func (s *Server) forgetSetup(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch == epoch {
		s.model = nil
	}
}

// ready returns the number of the setup, made now if there is none.
func (s *Server) ready(ctx context.Context) (uint64, error) {
	if err := s.opening.lock(ctx); err != nil {
		return 0, err
	}
	defer s.opening.unlock()
	return s.readyLocked(ctx)
}

func (s *Server) readyLocked(ctx context.Context) (uint64, error) {
	s.mu.Lock()
	have, epoch := s.model != nil, s.epoch
	s.mu.Unlock()
	if have {
		return epoch, nil
	}
	last, err := s.ledger.Last(s.ledgerKey("setup"))
	if err != nil {
		return 0, err
	}
	id := s.cfg.next(last)
	r := jobRequest{Plan: s.planHex(), Purpose: "setup", ID: id, Epoch: id}
	if err := s.start(ctx, r, func() error { return s.ledger.UseAll(s.record(r)...) }); err != nil {
		return 0, err
	}
	if err := s.await(ctx, r); err != nil {
		return 0, err
	}
	return r.ID, nil
}

// await waits until a job that has started has ended at all roles.
func (s *Server) await(ctx context.Context, r jobRequest) error {
	j, err := s.finished(ctx, r.Purpose, r.ID)
	if err != nil {
		return err
	}
	if j.err != nil {
		return j.err
	}
	if err := s.others(ctx, "Wait", r, time.Duration(10+r.Count)*s.cfg.timeout, func(string, []byte) error { return nil }); err != nil {
		return fmt.Errorf("%s %d: %w", r.Purpose, r.ID, err)
	}
	return nil
}

// start begins a job at all roles: use records it here first. The dealer joins first, because parties ask it for keys.
func (s *Server) start(ctx context.Context, r jobRequest, use func() error) error {
	return s.startWith(ctx, r, use, func() error { return nil }, func() {})
}

// startWith is start; begun is called when the job is about to begin here, and records with join what it uses.
func (s *Server) startWith(ctx context.Context, r jobRequest, use, join func() error, begun func()) error {
	if err := s.conditions(r.Purpose); err != nil { // before the others begin
		return s.refused(r.Purpose, r.ID, err)
	}
	if err := use(); err != nil {
		return err
	}
	if err := s.others(ctx, "Join", r, s.cfg.timeout, s.learn); err != nil {
		return err
	}
	begun() // begin leaves the gate for a session
	return s.begin(r, join)
}

// learn takes from the answer of a role that has joined how many sessions it can run at once, which another start of its
// server may have changed.
func (s *Server) learn(role string, reply []byte) error {
	r, err := decode[joinReply](reply)
	if err != nil || r.Capacity < 1 {
		return fmt.Errorf("%s answered Join with a malformed reply", role)
	}
	s.gate.learn(role, r.Capacity)
	return nil
}

// others calls a method at the dealer, unless material is stored, then at the other parties, and hands on what they answer.
// All of them have limit together.
func (s *Server) others(ctx context.Context, method string, r jobRequest, limit time.Duration, answered func(role string, reply []byte) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := json.Marshal(r)
	if err != nil {
		return err
	}
	roles := s.plan.Roles()
	if r.Stock > 0 {
		roles = s.plan.Manifest.Parties
	}
	defer s.asking("")
	for i := len(roles) - 1; i > 0; i-- {
		if method == "Join" {
			s.asking(roles[i])
		}
		reply, err := s.node.Call(ctx, roles[i], s.cfg.Servers[roles[i]], method, req)
		if err != nil {
			return unanswered{err}
		}
		if err := answered(roles[i], reply); err != nil {
			return err
		}
	}
	return nil
}

// tell sends a role something that is answered with nothing.
func (s *Server) tell(ctx context.Context, role, method string, r jobRequest) error {
	req, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = s.node.Call(ctx, role, s.cfg.Servers[role], method, req)
	return err
}
