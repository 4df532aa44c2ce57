package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"smpcc/runtime/grpcnet"
)

// The first party leads: it numbers setups, material and sessions and tells the others to join.

// An openReply names a session that has begun.
type openReply struct {
	Session uint64 `json:"session"`
}

// open begins a session for a client when there is room, with a setup before it if one is needed.
func (s *Server) open(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if s.role != 0 {
		return nil, fmt.Errorf("sessions are opened at %s", s.plan.Manifest.Parties[0])
	}
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not open sessions: it is not among the clients of %s", peer, s.name)
	}
	r, err := decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	if err := s.samePlan(r.Plan); err != nil {
		return nil, err
	}
	if err := s.takes(); err != nil {
		return nil, err
	}
	start := time.Now()
	for {
		if err := s.gate.enter(ctx, s.cfg.queue); err != nil {
			s.metrics.Refused("full")
			return nil, err
		}
		id, err := s.openSession(ctx)
		switch {
		case errors.Is(err, errCrowded):
			continue
		case err != nil:
			s.metrics.Refused("roles")
			return nil, err
		}
		s.metrics.Queued(time.Since(start))
		return json.Marshal(openReply{id})
	}
}

// errCrowded sends a request back to the queue: it entered before another role said how little room it has.
var errCrowded = errors.New("more sessions have entered than fit")

// openSession starts a session that has entered the gate; start leaves it on failure.
func (s *Server) openSession(ctx context.Context) (uint64, error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	entered := true
	defer func() {
		if entered {
			s.gate.leave()
		}
	}()
	for {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if s.gate.crowded() {
			return 0, errCrowded
		}
		epoch, err := s.readyLocked(ctx)
		if err != nil {
			return 0, err
		}
		last, err := s.ledger.Last(s.ledgerKey("session"))
		if err != nil {
			return 0, err
		}
		r := jobRequest{Plan: s.planHex(), Purpose: "session", ID: s.cfg.next(last), Epoch: epoch}
		if st := s.stock(); st != nil {
			used, err := s.ledger.Last(s.ledgerKey("stock"))
			if err != nil {
				return 0, err
			}
			if err := st.Expire(); err != nil {
				s.log.Warn("material cannot be deleted", "error", err.Error())
			}
			r.Stock = st.Next(used)
		}
		// ids that others may have seen are never given again
		err = s.startWith(ctx, r, func() error { return s.ledger.UseAll(s.record(r)...) }, func() { entered = false })
		select {
		case s.used <- struct{}{}:
		default:
		}
		switch {
		case needs(err, needMaterial):
			s.log.Warn("a party lacks material that is stored here; it is given up", "material", r.Stock)
			if err := s.stock().DropSegment(r.Stock); err != nil {
				return 0, err
			}
		case needs(err, needSetup):
			s.log.Info("a role has lost its setup; setting up again")
			s.forgetSetup(epoch)
		case err != nil:
			return 0, err
		default:
			return r.ID, nil
		}
	}
}

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
	s.opening.Lock()
	defer s.opening.Unlock()
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
	return s.startWith(ctx, r, use, func() {})
}

// startWith is start; begun is called when the job is about to begin here.
func (s *Server) startWith(ctx context.Context, r jobRequest, use func() error, begun func()) error {
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
	return s.begin(r, func() error { return nil })
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
	for i := len(roles) - 1; i > 0; i-- {
		reply, err := s.node.Call(ctx, roles[i], s.cfg.Servers[roles[i]], method, req)
		if err != nil {
			return err
		}
		if err := answered(roles[i], reply); err != nil {
			return err
		}
	}
	return nil
}
