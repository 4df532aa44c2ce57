package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
	"smpcc/runtime/engine"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/material"
	"smpcc/runtime/observe"
)

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
	gate    *gate
	metrics *observe.Metrics
	tracer  *observe.Tracer
	expires time.Time // of the certificate
	tls     *tls.Config
	fitness fitness
	terms   terms

	draining chan struct{} // closed when the server takes no more work
	drain    sync.Once
	used     chan struct{} // lead only: material has been used
	// observer, for tests, is told of every exchange before its messages leave.
	observer func(j *job, ph plan.Phase, round int, out [][]byte)

	sessions *material.Numbers              // of sessions, in any order
	stocked  *material.Numbers              // of stored material that is used
	runs     map[[32]byte]*material.Numbers // under the policies that count them, by runsKey

	settingUp latch          // lead only: one setup runs at a time
	dealing   sync.Mutex     // lead only: one material job runs at a time
	joining   sync.Mutex     // ids of setups and material reach the ledger in order
	saving    sync.Mutex     // setups reach the disk in order
	probes    sync.WaitGroup // lead only: looks at roles that are away

	mu       sync.Mutex
	asked    map[string][]time.Time // lead only: the roles that openings wait for, since when
	outage   *outage                // lead only: nil as long as all roles answer
	lent     map[uint64]bool        // lead only: numbers of material that openings have taken up
	making   uint64                 // lead only: the first number of material that is being made
	arrived  chan struct{}          // closed, and made anew, when a job begins
	model    *engine.Model          // of the setup with number epoch
	epoch    uint64
	store    *material.Store         // of that setup; nil before the first, and at the dealer
	side     int                     // setups and material jobs that run
	jobs     map[string]*job         // by purpose and id
	done     []string                // finished jobs, oldest first
	keeping  map[string][]*job       // finished sessions that keep outputs for a client, oldest first
	requests map[requestKey]*request // lead only: openings that clients have named
}

// New prepares a server of a role. It verifies the plan first, whoever compiled it. weights holds this owner's words in the order of the manifest, nil for others'; a dealer
// has none.
func New(cfg *Config, p *plan.Plan, weights [][]uint64, dealer bool, log *slog.Logger) (*Server, error) {
	cfg, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	conf, name, err := certificateOf(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{tls: conf, cfg: cfg, log: log, plan: p, digest: sha256.Sum256(p.Encode()), name: name, weights: weights, jobs: map[string]*job{}, keeping: map[string][]*job{}, requests: map[requestKey]*request{}, settingUp: make(latch, 1), asked: map[string][]time.Time{}, lent: map[uint64]bool{}, arrived: make(chan struct{}), runs: map[[32]byte]*material.Numbers{}}
	s.role = slices.Index(p.Roles(), name)
	switch {
	case s.role < 0:
		return nil, fmt.Errorf("the certificate names %q, but the plan's roles are %v", name, p.Roles())
	case dealer != (s.role == p.NumParties()):
		return nil, otherKind(name, dealer)
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
	if err := verify.Check(p).Err(); err != nil {
		return nil, s.turnedAway(fmt.Errorf("refused: the plan would not keep data private: %w; smpcc verify lists all findings", err))
	}
	if err := s.approve(); err != nil {
		return nil, s.turnedAway(err)
	}
	if err := s.bindWeights(); err != nil {
		return nil, s.turnedAway(err)
	}
	if s.engine, err = engine.New(p, s.role); err != nil {
		return nil, err
	}
	s.gate = &gate{sessions: cfg.Limits.Sessions, memory: cfg.memory, need: sessionMemory(p, s.role), queue: cfg.Limits.Queue, each: cfg.clientSessions, eachQueue: cfg.clientQueue}
	if err := cfg.tooSmall(p, s.role); err != nil {
		return nil, err
	}
	s.log = log.With("role", name, "plan", s.plan16())
	if cfg.Workers > 1 {
		s.log = s.log.With("worker", cfg.Worker)
	}
	s.draining, s.used, s.expires = make(chan struct{}), make(chan struct{}, 1), conf.Certificates[0].Leaf.NotAfter
	s.observe()
	if s.tracer, err = observe.NewTracer(context.Background(), cfg.Telemetry.Traces, name, s.role == 0); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.State, 0o700); err != nil {
		return nil, err
	}
	if s.ledger, err = material.OpenLedger(filepath.Join(cfg.State, ledgerName)); err != nil {
		return nil, err
	}
	if slow, ok := cfg.Disk.(interface{ Synced() }); ok {
		s.ledger.Synced = slow.Synced
	}
	if err := s.openNumbers(); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	if err := s.readState(dealer); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	if s.audit, err = attest.OpenLog(s.files(), filepath.Join(cfg.State, logName), name); err != nil {
		return nil, errors.Join(err, s.ledger.Close())
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.node = grpcnet.NewNode(conf, name, s.handlers())
	s.node.Worker, s.node.Limits, s.node.Replies = cfg.Worker, longRequests(p, name), longReplies(p)
	s.node.Together = int64(s.gate.capacity()) * int64(inputBytes(p, name)) // which sessions count as theirs
	s.node.Known = s.isKnown
	return s, nil
}

// handlers returns what answers requests. A refusal leaves a line in the log, and is counted; Wait and Result tell of jobs that have left theirs.
func (s *Server) handlers() map[string]grpcnet.Handler {
	return map[string]grpcnet.Handler{
		"Status": s.status, "Wait": s.wait, "Result": s.result, "Material": s.stockHandler, "Leave": s.leave, "Refused": s.toldRefused,
		"Open": s.noted("opening", s.open), "Join": s.noted("join", s.join), "Key": s.noted("key", s.key), "Input": s.noted("input", s.input), "Generate": s.noted("generate", s.generateHandler),
	}
}

// noted has the failures of a handler logged and counted.
func (s *Server) noted(what string, h grpcnet.Handler) grpcnet.Handler {
	return func(ctx context.Context, peer string, req []byte) ([]byte, error) {
		out, err := h(ctx, peer, req)
		if err == nil || err.Error() == needSetup || strings.HasPrefix(err.Error(), needMaterial) || errors.Is(err, material.ErrUsed) { // the lead sees to that
			return out, err
		}
		s.metrics.Failed(what)
		if !strings.HasPrefix(err.Error(), "refused: ") { // what a policy refuses has its line
			s.log.Error("a request failed", "what", what, "from", peer, "error", err.Error())
		}
		return out, err
	}
}

// files returns where state is kept.
func (s *Server) files() disk.Disk {
	if s.cfg.Disk == nil {
		return disk.Machine
	}
	return s.cfg.Disk
}

// Serve answers until ctx ends, then takes no more work and ends when its sessions have, or the time to drain is over. ready,
// if not nil, is called with the address once it listens.
func (s *Server) Serve(ctx context.Context, ready func(net.Addr)) error {
	l, err := net.Listen("tcp", s.cfg.Listen)
	if err != nil {
		return errors.Join(err, s.ledger.Close(), s.audit.Close())
	}
	if err := s.audit.Add(attest.Event{What: "start", Role: s.name, Plan: s.planHex(), Parties: s.plan.Manifest.Parties, Decision: "allowed", Reason: s.policyReason()}); err != nil {
		return errors.Join(err, l.Close(), s.ledger.Close(), s.audit.Close())
	}
	s.log.Info("listening", "address", l.Addr().String(), "version", s.cfg.Software, "capacity", s.gate.capacity(), "session_bytes", s.gate.need, "setup", s.epoch)
	served := make(chan error, 2)
	go func() { served <- s.node.Serve(l) }()
	var helpers sync.WaitGroup
	if s.cfg.Telemetry.Listen != "" {
		helpers.Go(func() {
			if err := s.metrics.Serve(s.ctx, s.cfg.Telemetry.Listen, s.fit, nil); err != nil {
				served <- fmt.Errorf("telemetry: %w", err)
			}
		})
	}
	helpers.Go(s.refill)
	s.node.Serving(true)
	helpers.Go(s.keepLooking)
	if ready != nil {
		ready(l.Addr())
	}
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	s.beginDrain()
	s.log.Info("stopping", "sessions", s.gate.count())
	idle := make(chan struct{})
	go func() { s.running.Wait(); close(idle) }()
	select {
	case <-idle:
	case <-time.After(s.cfg.drain):
		s.log.Warn("sessions are cut off; the time to drain is over", "sessions", s.gate.count(), "drain", s.cfg.drain.String())
		s.stop()
	}
	<-idle
	last, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	s.node.Shutdown(last)
	s.stop()
	helpers.Wait()
	s.probes.Wait()
	if terr := s.tracer.Close(last); terr != nil {
		s.log.Warn("traces could not be sent", "error", terr.Error())
	}
	return errors.Join(err, s.closeNumbers(), s.ledger.Close(), s.audit.Close())
}

// ledgerName is the ledger in the state folder.
const ledgerName = "ledger.db"

// lastAnswers is how long a server that stops gives answers that are on their way.
const lastAnswers = 2 * time.Second

// beginDrain ends the taking of work. Sessions that still wait for their input end too: nothing is lost with them.
func (s *Server) beginDrain() {
	s.node.Serving(false)
	s.mu.Lock() // no job begins after this
	defer s.mu.Unlock()
	s.drain.Do(func() { close(s.draining) })
}

// stopping reports whether the server takes no more work.
func (s *Server) stopping() bool {
	select {
	case <-s.draining:
		return true
	default:
		return false
	}
}

// aside runs a function that the server's end waits for, unless it is ending.
func (s *Server) aside(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopping() {
		s.running.Go(f)
	}
}

// takes says why the server takes no work, nil if it does.
func (s *Server) takes() error {
	if s.stopping() {
		return fmt.Errorf("%s is stopping", s.name)
	}
	if now := s.cfg.now(); now.After(s.expires) {
		return fmt.Errorf("the certificate of %s ended at %s; renew it, and restart the server", s.name, s.expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// observe sets up the numbers that are asked for.
func (s *Server) observe() {
	m := observe.NewMetrics(s.name, s.plan16(), s.cfg.Software)
	m.Gauge("smpcc_sessions_running", "Sessions that run or wait for input.", func() float64 { return float64(s.gate.count()) })
	m.Gauge("smpcc_sessions_queued", "Requests that wait for a session.", func() float64 { return float64(s.gate.queued()) })
	m.Gauge("smpcc_sessions_limit", "Sessions that may run at once.", func() float64 { return float64(s.gate.capacity()) })
	m.Gauge("smpcc_session_memory_bytes", "Memory of one session, from the plan.", func() float64 { return float64(s.gate.need) })
	m.Gauge("smpcc_material_sessions", "Sessions whose material is stored here.", func() float64 { return float64(s.stockNow().Sessions) })
	m.Gauge("smpcc_material_bytes", "Bytes of stored material.", func() float64 { return float64(s.stockNow().Bytes) })
	m.Gauge("smpcc_ready", "1 if the server finds all that it needs, as /readyz says.", func() float64 {
		if s.fit() != nil {
			return 0
		}
		return 1
	})
	for kind, what := range map[string]string{"log": "the audit log takes, all its files", "setup": "saved setups take", "material": "stored material of all plans takes"} {
		m.Gauge("smpcc_state_"+kind+"_bytes", "Bytes of the state folder that "+what+".", func() float64 { return float64(s.stateBytes(kind)) })
	}
	m.Gauge("smpcc_certificate_expiry_seconds", "When this server's certificate ends, in seconds since 1970.", func() float64 { return float64(s.expires.Unix()) })
	s.metrics = m
}

// isRole reports whether a caller is one of the plan's roles.
func (s *Server) isRole(peer string) bool { return slices.Contains(s.plan.Roles(), peer) }

// isClient reports whether a caller may act for this party.
func (s *Server) isClient(peer string) bool { return slices.Contains(s.cfg.Clients, peer) }

// mayOrder reports whether a caller may have material made.
func (s *Server) mayOrder(peer string) bool {
	return peer == s.name || slices.Contains(s.cfg.MaterialClients, peer)
}

// isKnown reports whether a caller may ask anything.
func (s *Server) isKnown(peer string) bool {
	return s.isRole(peer) || s.isClient(peer) || s.mayOrder(peer)
}

// decode reads a control request.
func decode[T any](req []byte) (T, error) {
	var x T
	if err := json.Unmarshal(req, &x); err != nil {
		return x, errors.New("malformed request")
	}
	return x, nil
}

// A statusReply says what a server is.
type statusReply struct {
	Name  string            `json:"name"`
	Plan  string            `json:"plan"`
	Setup uint64            `json:"setup"`
	Stats engine.PhaseStats `json:"stats"`

	Software string `json:"software"`
	Protocol int    `json:"protocol"`
	Format   int    `json:"format"`   // of plans
	Time     int64  `json:"time"`     // nanoseconds since 1970
	Capacity int    `json:"capacity"` // sessions at once
	Running  int    `json:"running"`
	Queued   int    `json:"queued"`
	Material int    `json:"material"` // sessions in store
	Stopping bool   `json:"stopping"`
	Worker   int    `json:"worker"`
	Workers  int    `json:"workers"`
}

func (s *Server) status(_ context.Context, peer string, _ []byte) ([]byte, error) {
	if !s.isKnown(peer) {
		return nil, fmt.Errorf("%q is neither a role of the plan nor a client of %s", peer, s.name)
	}
	stock := s.stockNow().Sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	r := statusReply{Name: s.name, Plan: s.planHex(), Setup: s.epoch, Software: s.cfg.Software, Protocol: grpcnet.Protocol, Format: plan.Version, Time: time.Now().UnixNano(),
		Capacity: s.gate.capacity(), Running: s.gate.count(), Queued: s.gate.queued(), Material: stock, Stopping: s.stopping(), Worker: s.cfg.Worker, Workers: s.cfg.Workers}
	if s.model != nil {
		r.Stats = s.model.Stats
	}
	return json.Marshal(r)
}
