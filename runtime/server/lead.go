package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"smpcc/runtime/grpcnet"
)

// The first party leads: it numbers setups and sessions and tells the others to join.

// An openReply names a session that has begun.
type openReply struct {
	Session uint64 `json:"session"`
}

// open begins a session for a client, with a setup before it if one is needed.
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
	s.opening.Lock()
	defer s.opening.Unlock()
	s.mu.Lock()
	ready, epoch := s.model != nil, s.epoch
	s.mu.Unlock()
	if ready {
		id, err := s.start(ctx, "session", epoch)
		if err == nil || !strings.Contains(err.Error(), needSetup) {
			return reply(id, err)
		}
		s.log.Info("a role has lost its setup; setting up again")
	}
	setup, err := s.start(ctx, "setup", 0)
	if err != nil {
		return nil, err
	}
	if j, err := s.finished(ctx, "setup", setup); err != nil {
		return nil, err
	} else if j.err != nil {
		return nil, fmt.Errorf("setup %d: %w", setup, j.err)
	}
	if err := s.others(ctx, "Wait", jobRequest{Purpose: "setup", ID: setup}); err != nil {
		return nil, fmt.Errorf("setup %d: %w", setup, err)
	}
	return reply(s.start(ctx, "session", setup))
}

func reply(id uint64, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(openReply{id})
}

// start numbers a job and begins it at all roles. The dealer joins first, because parties ask it for keys.
func (s *Server) start(ctx context.Context, purpose string, epoch uint64) (uint64, error) {
	last, err := s.ledger.Last(s.ledgerKey(purpose))
	if err != nil {
		return 0, err
	}
	if err := s.conditions(purpose); err != nil { // before the others begin
		return 0, s.refused(purpose, last+1, err)
	}
	r := jobRequest{Plan: fmt.Sprintf("%x", s.digest), Purpose: purpose, ID: last + 1, Epoch: epoch}
	if purpose == "setup" {
		r.Epoch = r.ID
	}
	if err := s.ledger.Use(s.ledgerKey(purpose), r.ID); err != nil { // an id that others may have seen is never given again
		return 0, err
	}
	if err := s.others(ctx, "Join", r); err != nil {
		return 0, err
	}
	return r.ID, s.begin(r, func([32]byte, uint64) error { return nil })
}

// others calls a method at the dealer, then at the other parties.
func (s *Server) others(ctx context.Context, method string, r jobRequest) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout)
	defer cancel()
	req, err := json.Marshal(r)
	if err != nil {
		return err
	}
	roles := s.plan.Roles()
	for i := len(roles) - 1; i > 0; i-- {
		if _, err := s.node.Call(ctx, roles[i], s.cfg.Servers[roles[i]], method, req); err != nil {
			var remote *grpcnet.RemoteError
			if errors.As(err, &remote) && remote.Msg == needSetup {
				return errors.New(needSetup)
			}
			return err
		}
	}
	return nil
}
