package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
	"smpcc/runtime/engine"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
	"smpcc/runtime/material"
)

// kept is how many finished sessions a server remembers for late readers.
const kept = 64

// maxOpen bounds the sessions that run at once.
const maxOpen = 32

// A Server runs one role of one plan.
type Server struct {
	cfg     *Config
	log     *slog.Logger
	plan    *plan.Plan
	digest  [32]byte
	role    int
	name    string
	weights [][]uint64
	engine  *engine.Engine
	node    *grpcnet.Node
	ledger  *material.Ledger
	audit   *attest.Log
	master  material.Key // dealer only
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	opening sync.Mutex // lead only: one session is opened at a time

	mu    sync.Mutex
	model *engine.Model // of the setup with number epoch
	epoch uint64
	jobs  map[string]*job // by purpose and id
	done  []string        // finished jobs, oldest first
}

// A job is a setup or a session at this role.
type job struct {
	purpose string
	id      uint64
	epoch   uint64
	inputs  chan [][]uint64
	given   bool          // inputs have come; guarded by the server's mutex
	over    chan struct{} // closed when it has ended
	err     error
	issued  map[string]bool // dealer only: parties that have their key
	outputs map[string][]uint64
	offline engine.PhaseStats
	online  engine.PhaseStats
}

// New prepares a server of a role. weights holds this owner's words in the order of the manifest, nil for others'; a dealer
// has none.
func New(cfg *Config, p *plan.Plan, weights [][]uint64, dealer bool, log *slog.Logger) (*Server, error) {
	conf, name, err := keys.Load(cfg.TLS)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, plan: p, digest: sha256.Sum256(p.Encode()), name: name, weights: weights, jobs: map[string]*job{}}
	s.role = slices.Index(p.Roles(), name)
	switch {
	case s.role < 0:
		return nil, fmt.Errorf("the certificate names %q, but the plan's roles are %v", name, p.Roles())
	case dealer != (s.role == p.NumParties()):
		return nil, fmt.Errorf("%q is not the %s of this plan", name, map[bool]string{true: "dealer", false: "name of a party"}[dealer])
	case cfg.Listen == "":
		return nil, errors.New("listen is missing: the address to answer on")
	case cfg.State == "":
		return nil, errors.New("state is missing: the folder that keeps session ids from being used twice")
	}
	for _, r := range p.Roles() {
		if r != name && cfg.Servers[r] == "" {
			return nil, fmt.Errorf("servers has no address of %q", r)
		}
	}
	if err := s.approve(); err != nil {
		return nil, err
	}
	if s.engine, err = engine.New(p, s.role); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return nil, err
	}
	if dealer {
		if s.master, err = material.OpenMaster(filepath.Join(cfg.State, "master.key")); err != nil {
			return nil, err
		}
	}
	if s.ledger, err = material.OpenLedger(filepath.Join(cfg.State, "ledger.db")); err != nil {
		return nil, err
	}
	if s.audit, err = attest.OpenLog(filepath.Join(cfg.State, "audit.log"), name); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.node = grpcnet.NewNode(conf, name, map[string]grpcnet.Handler{
		"Status": s.status, "Open": s.open, "Join": s.join, "Wait": s.wait, "Key": s.key, "Input": s.input, "Result": s.result,
	})
	return s, nil
}

// approve refuses a plan that was not compiled under this owner's policy. A server has no default: an owner of data without
// a policy refuses every plan.
func (s *Server) approve() error {
	owns := false
	for _, t := range append(append([]plan.Port{}, s.plan.Manifest.Inputs...), s.plan.Manifest.Weights...) {
		owns = owns || t.Owner == s.name
	}
	if !owns {
		return nil
	}
	want, err := s.cfg.policyDigest()
	if err != nil {
		return err
	}
	if want == "" {
		return fmt.Errorf("refused: %s owns data in this plan and its server has no policy; add policy: FILE to the configuration", s.name)
	}
	for _, r := range s.plan.Manifest.Policies {
		if r.Owner == s.name {
			if err := s.ownGuard(); err != nil {
				return err
			}
			if r.Digest != want {
				return fmt.Errorf("refused: the plan was compiled under the policy %s of %s (sha-256 %s), this server's policy has sha-256 %s; compile with --policy", r.File, s.name, r.Digest, want)
			}
			return nil
		}
	}
	return fmt.Errorf("refused: the plan was compiled under no policy of %s; compile with --policy", s.name)
}

// Serve answers until ctx ends. ready, if not nil, is called with the address once it listens.
func (s *Server) Serve(ctx context.Context, ready func(net.Addr)) error {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return err
	}
	if err := s.audit.Add(attest.Event{What: "start", Role: s.name, Plan: s.planDigest(), Parties: s.plan.Manifest.Parties, Decision: "allowed", Reason: s.policyReason()}); err != nil {
		return errors.Join(err, l.Close())
	}
	s.log.Info("listening", "role", s.name, "address", l.Addr().String(), "plan", fmt.Sprintf("%x", s.digest[:8]))
	if ready != nil {
		ready(l.Addr())
	}
	served := make(chan error, 1)
	go func() { served <- s.node.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	s.stop()
	s.node.Close()
	s.running.Wait()
	return errors.Join(err, s.ledger.Close(), s.audit.Close())
}

// isRole reports whether a caller is one of the plan's roles.
func (s *Server) isRole(peer string) bool { return slices.Contains(s.plan.Roles(), peer) }

// isClient reports whether a caller may act for this party.
func (s *Server) isClient(peer string) bool { return slices.Contains(s.cfg.Clients, peer) }

// decode reads a control request.
func decode[T any](req []byte) (T, error) {
	var x T
	if err := json.Unmarshal(req, &x); err != nil {
		return x, errors.New("malformed request")
	}
	return x, nil
}

// samePlan refuses a request for another plan.
func (s *Server) samePlan(digest string) error {
	if mine := fmt.Sprintf("%x", s.digest); digest != mine {
		if len(digest) > 16 {
			digest = digest[:16]
		}
		return fmt.Errorf("%s runs plan %s, not %q: all roles must run the same plan file", s.name, mine[:16], digest)
	}
	return nil
}

// A statusReply says what a server is.
type statusReply struct {
	Name  string            `json:"name"`
	Plan  string            `json:"plan"`
	Setup uint64            `json:"setup"`
	Stats engine.PhaseStats `json:"stats"`
}

func (s *Server) status(_ context.Context, peer string, _ []byte) ([]byte, error) {
	if !s.isRole(peer) && !s.isClient(peer) {
		return nil, fmt.Errorf("%q is neither a role of the plan nor a client of %s", peer, s.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := statusReply{Name: s.name, Plan: fmt.Sprintf("%x", s.digest), Setup: s.epoch}
	if s.model != nil {
		r.Stats = s.model.Stats
	}
	return json.Marshal(r)
}

// A jobRequest names a setup or session.
type jobRequest struct {
	Plan    string `json:"plan"`
	Purpose string `json:"purpose"`
	ID      uint64 `json:"id"`
	Epoch   uint64 `json:"epoch"`
}

// needSetup is the answer of a role that does not hold the model of a setup, after a restart for example.
const needSetup = "setup is needed"

func (s *Server) jobKey(purpose string, id uint64) string { return fmt.Sprintf("%s %d", purpose, id) }

// ledgerKey keeps the ids of setups apart from those of sessions.
func (s *Server) ledgerKey(purpose string) [32]byte {
	if purpose == "session" {
		return s.digest
	}
	return sha256.Sum256(append([]byte(purpose+" "), s.digest[:]...))
}

// join starts a setup or session at this role, on the word of the lead. The id is on disk before anything is sent.
func (s *Server) join(_ context.Context, peer string, req []byte) ([]byte, error) {
	if peer != s.plan.Manifest.Parties[0] {
		return nil, fmt.Errorf("sessions are led by %s, not by %q", s.plan.Manifest.Parties[0], peer)
	}
	r, err := decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	if err := s.samePlan(r.Plan); err != nil {
		return nil, err
	}
	return []byte("{}"), s.begin(r, s.ledger.Use)
}

// begin starts a job. use records its id; the lead has done so before it told the others.
func (s *Server) begin(r jobRequest, use func(digest [32]byte, session uint64) error) error {
	if r.Purpose != "setup" && r.Purpose != "session" {
		return errors.New("malformed request")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Purpose == "session" && (s.model == nil || s.epoch != r.Epoch) {
		return errors.New(needSetup)
	}
	if len(s.jobs)-len(s.done) >= maxOpen {
		return fmt.Errorf("%s runs %d sessions already", s.name, maxOpen)
	}
	if err := s.permit(r.Purpose, r.ID); err != nil {
		return err
	}
	if err := use(s.ledgerKey(r.Purpose), r.ID); err != nil {
		return err
	}
	j := &job{purpose: r.Purpose, id: r.ID, epoch: r.Epoch, inputs: make(chan [][]uint64, 1), over: make(chan struct{}), issued: map[string]bool{}}
	s.jobs[s.jobKey(r.Purpose, r.ID)] = j
	model := s.model
	s.running.Go(func() {
		j.err = s.run(j, model)
		if j.err != nil {
			s.log.Error("ended with an error", j.purpose, j.id, "error", j.err.Error())
		} else {
			s.log.Info("done", j.purpose, j.id, "rounds", j.online.Rounds, "bytes_sent", j.online.BytesSent)
		}
		s.ended(j)
		close(j.over)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = append(s.done, s.jobKey(j.purpose, j.id))
		if len(s.done) > kept {
			delete(s.jobs, s.done[0])
			s.done = s.done[1:]
		}
	})
	return nil
}

// run executes a job: connect, then material, then the phases. A failure is told to all peers.
func (s *Server) run(j *job, model *engine.Model) error {
	t, err := s.node.Session(s.ctx, grpcnet.SessionConfig{Roles: s.plan.Roles(), Role: s.role, Addrs: s.cfg.Servers, Digest: s.digest, Purpose: j.purpose, Session: j.id, Timeout: s.cfg.timeout, Patience: s.cfg.input + s.cfg.timeout})
	if err != nil {
		return err
	}
	if err := s.phases(j, model, t); err != nil {
		t.Abort(err.Error())
		return err
	}
	t.Close()
	return nil
}

func (s *Server) phases(j *job, model *engine.Model, t *grpcnet.Transport) error {
	streams, err := s.streams(j)
	if err != nil {
		return err
	}
	if j.purpose == "setup" {
		weights := s.weights
		if weights == nil {
			weights = make([][]uint64, len(s.plan.Manifest.Weights))
		}
		m, err := s.engine.Setup(s.ctx, t, streams, weights)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.model, s.epoch = m, j.id
		s.mu.Unlock()
		return nil
	}
	session, err := s.engine.Offline(s.ctx, t, model, streams)
	if err != nil {
		return err
	}
	defer session.Discard()
	j.offline = session.Stats[plan.Offline]
	var inputs [][]uint64
	if s.ownsInputs() {
		timer := time.NewTimer(s.cfg.input)
		defer timer.Stop()
		select {
		case inputs = <-j.inputs:
		case <-timer.C:
			return fmt.Errorf("no input of %s came within %v", s.name, s.cfg.input)
		case <-s.ctx.Done():
			return errors.New("server stops")
		}
	}
	j.outputs, err = session.Online(s.ctx, t, inputs)
	j.online = session.Stats[plan.Online]
	return err
}

func (s *Server) ownsInputs() bool {
	return slices.ContainsFunc(s.plan.Manifest.Inputs, func(p plan.Port) bool { return p.Owner == s.name })
}

// A keyReply carries a derived key to the party whose key it is, over TLS.
type keyReply struct {
	Key []byte `json:"key"`
}

// streams returns the streams of this role: the dealer derives all, a party asks the dealer for its own.
func (s *Server) streams(j *job) (engine.Streams, error) {
	n := s.plan.NumParties()
	out := make(engine.Streams, n)
	if s.role == n {
		for i := range n {
			var err error
			if out[i], err = material.NewStream(material.Derive(s.master, j.purpose, s.digest, j.id, i)); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	dealer := s.plan.Manifest.Dealer
	req, err := json.Marshal(jobRequest{Plan: fmt.Sprintf("%x", s.digest), Purpose: j.purpose, ID: j.id})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.timeout)
	defer cancel()
	data, err := s.node.Call(ctx, dealer, s.cfg.Servers[dealer], "Key", req)
	if err != nil {
		return nil, err
	}
	r, err := decode[keyReply](data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dealer, err)
	}
	k, err := material.KeyOf(r.Key)
	if err != nil {
		return nil, err
	}
	out[s.role], err = material.NewStream(k)
	return out, err
}

// key gives a party its key of a job: its own, once. The dealer's part of a job may be over by then: it sends nothing in
// setup.
func (s *Server) key(_ context.Context, peer string, req []byte) ([]byte, error) {
	i := slices.Index(s.plan.Manifest.Parties, peer)
	if s.role != s.plan.NumParties() || i < 0 {
		return nil, fmt.Errorf("%s has no key for %q", s.name, peer)
	}
	r, err := decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	if err := s.samePlan(r.Plan); err != nil {
		return nil, err
	}
	k := s.jobKey(r.Purpose, r.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[k]
	if j == nil || j.issued[peer] {
		return nil, fmt.Errorf("%s has no key of %s for %s any more", s.name, k, peer)
	}
	j.issued[peer] = true
	return json.Marshal(keyReply{material.Derive(s.master, r.Purpose, s.digest, r.ID, i).Bytes()})
}

// wait answers when a job at this role has ended, for the lead.
func (s *Server) wait(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isRole(peer) {
		return nil, fmt.Errorf("%q is not a role of the plan", peer)
	}
	r, err := decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	j, err := s.finished(ctx, r.Purpose, r.ID)
	if err != nil {
		return nil, err
	}
	return []byte("{}"), j.err
}

// finished returns a job once it has ended.
func (s *Server) finished(ctx context.Context, purpose string, id uint64) (*job, error) {
	s.mu.Lock()
	j := s.jobs[s.jobKey(purpose, id)]
	s.mu.Unlock()
	if j == nil {
		return nil, fmt.Errorf("%s knows no %s %d", s.name, purpose, id)
	}
	select {
	case <-j.over:
		return j, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.ctx.Done():
		return nil, fmt.Errorf("%s stops", s.name)
	}
}
