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
	"strings"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
	"smpcc/runtime/engine"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
	"smpcc/runtime/material"
	"smpcc/runtime/observe"
	"smpcc/runtime/timeline"
)

// kept is how many finished sessions a server remembers for late readers.
const kept = 64

// maxSide bounds the setups and material jobs that run at once: the one that the lead has begun, and earlier ones that are
// still failing.
const maxSide = 4

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

	draining chan struct{} // closed when the server takes no more work
	drain    sync.Once
	used     chan struct{} // lead only: material has been used
	// observer, for tests, is told of every exchange before its messages leave.
	observer func(j *job, ph plan.Phase, round int, out [][]byte)

	opening latch      // lead only: one session is opened at a time
	dealing sync.Mutex // lead only: one material job runs at a time
	joining sync.Mutex // ids reach the ledger in order
	saving  sync.Mutex // setups reach the disk in order

	mu       sync.Mutex
	asked    string    // lead only: the role that an opening waits for
	askedAt  time.Time // since when
	outage   error     // lead only: why the last opening failed, if a role did not answer
	outageAt time.Time
	model    *engine.Model // of the setup with number epoch
	epoch    uint64
	store    *material.Store // of that setup; nil before the first, and at the dealer
	side     int             // setups and material jobs that run
	jobs     map[string]*job // by purpose and id
	done     []string        // finished jobs, oldest first
}

// A job is a setup or a session at this role.
type job struct {
	purpose string
	id      uint64
	epoch   uint64
	count   int             // material jobs: for how many sessions
	stock   uint64          // sessions: the number of stored material, 0 if the dealer deals it now
	record  []byte          // sessions: the stored material
	store   *material.Store // of the epoch
	inputs  chan [][]uint64
	given   bool          // inputs have come; guarded by the server's mutex
	over    chan struct{} // closed when it has ended
	err     error
	issued  map[string]bool // dealer only: parties that have their key
	outputs map[string][]uint64
	offline engine.PhaseStats
	online  engine.PhaseStats
}

// New prepares a server of a role. It verifies the plan first, whoever compiled it. weights holds this owner's words in the order of the manifest, nil for others'; a dealer
// has none.
func New(cfg *Config, p *plan.Plan, weights [][]uint64, dealer bool, log *slog.Logger) (*Server, error) {
	cfg, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	conf, name, err := keys.Load(cfg.TLS)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: log, plan: p, digest: sha256.Sum256(p.Encode()), name: name, weights: weights, jobs: map[string]*job{}, opening: make(latch, 1)}
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
	if s.engine, err = engine.New(p, s.role); err != nil {
		return nil, err
	}
	s.gate = &gate{sessions: cfg.Limits.Sessions, memory: cfg.memory, need: p.SessionBytes(s.role), queue: cfg.Limits.Queue}
	if s.gate.capacity() < 1 {
		return nil, fmt.Errorf("limits.memory is %d bytes, but one session of this plan takes %d at %s", cfg.memory, s.gate.need, name)
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
	if s.ledger, err = material.OpenLedger(filepath.Join(cfg.State, "ledger.db")); err != nil {
		return nil, err
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
	s.node.Known = func(peer string) bool { return s.isRole(peer) || s.isClient(peer) }
	return s, nil
}

// handlers returns what answers requests. A refusal leaves a line in the log, and is counted; Wait and Result tell of jobs that have left theirs.
func (s *Server) handlers() map[string]grpcnet.Handler {
	return map[string]grpcnet.Handler{
		"Status": s.status, "Wait": s.wait, "Result": s.result, "Material": s.stockHandler,
		"Open": s.noted("opening", s.open), "Join": s.noted("join", s.join), "Key": s.noted("key", s.key), "Input": s.noted("input", s.input), "Generate": s.noted("generate", s.generateHandler),
	}
}

// noted has the failures of a handler logged and counted.
func (s *Server) noted(what string, h grpcnet.Handler) grpcnet.Handler {
	return func(ctx context.Context, peer string, req []byte) ([]byte, error) {
		out, err := h(ctx, peer, req)
		if err == nil || err.Error() == needSetup || err.Error() == needMaterial { // the lead sees to that
			return out, err
		}
		s.metrics.Failed(what)
		if !strings.HasPrefix(err.Error(), "refused: ") { // what a policy refuses has its line
			s.log.Error("a request failed", "what", what, "from", peer, "error", err.Error())
		}
		return out, err
	}
}

// readState reads what the state folder holds besides the ledger, which keeps other processes out of it.
func (s *Server) readState(dealer bool) (err error) {
	if err := disk.Sweep(s.files(), s.cfg.State); err != nil {
		return err
	}
	if dealer {
		if s.master, err = material.OpenMaster(s.files(), filepath.Join(s.cfg.State, "master.key")); err != nil {
			return err
		}
	}
	return s.loadSetup()
}

// files returns where state is kept.
func (s *Server) files() disk.Disk {
	if s.cfg.Disk == nil {
		return disk.Machine
	}
	return s.cfg.Disk
}

// approve refuses a plan that was not compiled under this owner's policy. A server has no default: an owner of data without
// a policy refuses every plan.
func (s *Server) approve() error {
	if err := s.guards(); err != nil {
		return err
	}
	for _, g := range s.plan.Manifest.Guards {
		if g.MaxRuns > 0 && s.cfg.Workers > 1 {
			return fmt.Errorf("refused: the policy of %s allows %d runs in all, which only one server can count, and there are %d workers; set workers: 1", g.Owner, g.MaxRuns, s.cfg.Workers)
		}
	}
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
			if err := s.metrics.Serve(s.ctx, s.cfg.Telemetry.Listen, s.takes, nil); err != nil {
				served <- fmt.Errorf("telemetry: %w", err)
			}
		})
	}
	helpers.Go(s.refill)
	s.node.Serving(true)
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
	if terr := s.tracer.Close(last); terr != nil {
		s.log.Warn("traces could not be sent", "error", terr.Error())
	}
	return errors.Join(err, s.ledger.Close(), s.audit.Close())
}

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

// takes says why the server takes no work, nil if it does.
func (s *Server) takes() error {
	if s.stopping() {
		return fmt.Errorf("%s is stopping", s.name)
	}
	return nil
}

// planHex returns the digest of the plan in full.
func (s *Server) planHex() string { return fmt.Sprintf("%x", s.digest) }

// plan16 returns the start of the digest, as logs and metrics show it.
func (s *Server) plan16() string { return s.planHex()[:16] }

// observe sets up the numbers that are asked for.
func (s *Server) observe() {
	m := observe.NewMetrics(s.name, s.plan16(), s.cfg.Software)
	m.Gauge("smpcc_sessions_running", "Sessions that run or wait for input.", func() float64 { return float64(s.gate.count()) })
	m.Gauge("smpcc_sessions_queued", "Requests that wait for a session.", func() float64 { return float64(s.gate.queued()) })
	m.Gauge("smpcc_sessions_limit", "Sessions that may run at once.", func() float64 { return float64(s.gate.capacity()) })
	m.Gauge("smpcc_session_memory_bytes", "Memory of one session, from the plan.", func() float64 { return float64(s.gate.need) })
	m.Gauge("smpcc_material_sessions", "Sessions whose material is stored here.", func() float64 { return float64(s.stockNow().Sessions) })
	m.Gauge("smpcc_material_bytes", "Bytes of stored material.", func() float64 { return float64(s.stockNow().Bytes) })
	m.Gauge("smpcc_certificate_expiry_seconds", "When this server's certificate ends, in seconds since 1970.", func() float64 { return float64(s.expires.Unix()) })
	s.metrics = m
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
	if mine := s.planHex(); digest != mine {
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
	if !s.isRole(peer) && !s.isClient(peer) {
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

// A jobRequest names a setup, material job or session.
type jobRequest struct {
	Plan    string `json:"plan"`
	Purpose string `json:"purpose"`
	ID      uint64 `json:"id"`
	Epoch   uint64 `json:"epoch"`
	Stock   uint64 `json:"stock"` // sessions: number of the stored material to use, 0 for none
	Count   int    `json:"count"` // material jobs: for how many sessions, from number ID on
}

// last returns the last number that a job takes.
func (r jobRequest) last() uint64 {
	if r.Purpose == "material" {
		return r.ID + uint64(r.Count) - 1
	}
	return r.ID
}

// next returns the number after last of a session or setup that this worker gives. Workers share the numbers out by their
// remainders, so that a number says whose it is, to clients and in logs and traces.
func (c *Config) next(last uint64) uint64 {
	n := last + 1
	for c.workerOf(n) != c.Worker {
		n++
	}
	return n
}

// workerOf returns the worker that gives a number.
func (c *Config) workerOf(id uint64) int { return int((id - 1) % uint64(c.Workers)) }

// maxID bounds numbers of sessions and material.
const maxID = 1 << 62

// needSetup is the answer of a role that does not hold the model of a setup, after a loss of its state for example.
const needSetup = "setup is needed"

func (s *Server) jobKey(purpose string, id uint64) string { return fmt.Sprintf("%s %d", purpose, id) }

// ledgerKey keeps the numbers of sessions, setups, material made and material used apart.
func (s *Server) ledgerKey(purpose string) [32]byte {
	if purpose == "session" {
		return s.digest
	}
	return sha256.Sum256(append([]byte(purpose+" "), s.digest[:]...))
}

// record returns what the ledger must hold before a job begins.
func (s *Server) record(r jobRequest) []material.Record {
	records := []material.Record{{Digest: s.ledgerKey(r.Purpose), Session: r.last()}}
	if r.Stock > 0 {
		records = append(records, material.Record{Digest: s.ledgerKey("stock"), Session: r.Stock})
	}
	return records
}

// A joinReply tells the lead how many sessions a role can run at once.
type joinReply struct {
	Capacity int `json:"capacity"`
}

// join starts a setup or session at this role, on the word of the lead. The id is on disk before anything is sent.
func (s *Server) join(ctx context.Context, peer string, req []byte) ([]byte, error) {
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
	if r.ID > maxID || r.Stock > maxID { // numbers never wrap
		return nil, errors.New("malformed request")
	}
	switch r.Purpose {
	case "setup":
	case "session":
		if w := s.cfg.workerOf(r.ID); w != s.cfg.Worker {
			return nil, fmt.Errorf("session %d is worker %d's of %d, and %s is worker %d: all roles must have the same workers", r.ID, w, s.cfg.Workers, s.name, s.cfg.Worker)
		}
		if err := s.gate.enter(ctx, s.cfg.queue); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
	case "material":
		if r.Count <= 0 || r.Count > maxBatch {
			return nil, errors.New("malformed request")
		}
	default:
		return nil, errors.New("malformed request")
	}
	s.joining.Lock()
	defer s.joining.Unlock()
	if err := s.begin(r, func() error { return s.ledger.UseAll(s.record(r)...) }); err != nil {
		return nil, err
	}
	return json.Marshal(joinReply{s.gate.capacity()})
}

// begin starts a job; a session has entered the gate, and leaves it whatever happens. use records its id; the lead has done
// so before it told the others.
func (s *Server) begin(r jobRequest, use func() error) (err error) {
	began := false
	defer func() {
		if !began && r.Purpose == "session" {
			s.gate.leave()
		}
	}()
	s.mu.Lock()
	model, store, epoch, side := s.model, s.store, s.epoch, s.side
	s.mu.Unlock()
	party := s.role < s.plan.NumParties()
	switch {
	case r.Purpose != "setup" && (model == nil || epoch != r.Epoch):
		return errors.New(needSetup)
	case r.Purpose != "session" && side >= maxSide:
		return fmt.Errorf("%s runs %d setups and material jobs already", s.name, side)
	case r.Stock > 0 && party && !s.holds(store, r.Stock):
		return errors.New(needMaterial)
	case r.Purpose == "material" && party:
		if err := store.Room(r.Count); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if err := s.permit(r.Purpose, r.ID, use); err != nil {
		return err
	}
	var record []byte
	if r.Stock > 0 && party { // in the order of numbers, since taking one kills those below it
		if record, err = store.Take(r.Stock); record == nil {
			return s.unreadable(store, r, err)
		} else if err != nil { // the material is good, a file could not be deleted
			s.log.Warn("material cannot be deleted", "error", err.Error())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping() {
		return fmt.Errorf("%s is stopping", s.name)
	}
	j := &job{purpose: r.Purpose, id: r.ID, epoch: r.Epoch, count: r.Count, stock: r.Stock, record: record, store: store, inputs: make(chan [][]uint64, 1), over: make(chan struct{}), issued: map[string]bool{}}
	s.jobs[s.jobKey(r.Purpose, r.ID)] = j
	began = true
	if r.Purpose != "session" {
		s.side++
	}
	s.running.Go(func() {
		ctx, end := s.tracer.Start(s.ctx, observe.Run{Digest: s.digest, Purpose: j.purpose, ID: j.id}, s.name)
		if err := s.run(ctx, j, model); err != nil {
			j.err = fmt.Errorf("%s %d: %w", j.purpose, j.id, err)
			s.log.Error("ended with an error", j.purpose, j.id, "error", j.err.Error())
		} else {
			s.log.Info("done", j.purpose, j.id, "rounds", j.online.Rounds, "bytes_sent", j.offline.BytesSent+j.online.BytesSent, "offline_seconds", j.offline.Seconds, "online_seconds", j.online.Seconds)
		}
		end(j.err)
		s.metrics.Ended(j.purpose, j.err)
		if j.err != nil {
			s.metrics.Failed(j.purpose)
		}
		if j.purpose == "session" {
			s.gate.leave()
		}
		s.ended(j)
		close(j.over)
		s.mu.Lock()
		defer s.mu.Unlock()
		if j.purpose != "session" {
			s.side--
		}
		s.done = append(s.done, s.jobKey(j.purpose, j.id))
		if len(s.done) > kept+s.cfg.Limits.Sessions {
			delete(s.jobs, s.done[0])
			s.done = s.done[1:]
		}
	})
	return nil
}

// holds reports whether material is stored here and has not been used.
func (s *Server) holds(store *material.Store, stock uint64) bool {
	used, err := s.ledger.Last(s.ledgerKey("stock"))
	return err == nil && stock > used && store.Has(stock)
}

// errUnreadable is the failure of the lead to read its own material.
var errUnreadable = errors.New("material cannot be read")

// unreadable drops a segment that cannot be read, and returns what makes the lead go on with other material, or with none.
func (s *Server) unreadable(store *material.Store, r jobRequest, why error) error {
	s.log.Error("material cannot be read; its segment is dropped", "session", r.ID, "material", r.Stock, "error", why.Error())
	s.metrics.Failed("material")
	if err := store.DropSegment(r.Stock); err != nil {
		return fmt.Errorf("%s: session %d: %w", s.name, r.ID, err)
	}
	if s.role == 0 {
		return errUnreadable
	}
	return errors.New(needMaterial)
}

// run executes a job: connect, then material, then the phases. A failure is told to all peers.
func (s *Server) run(ctx context.Context, j *job, model *engine.Model) error {
	if s.cfg.Telemetry.Timelines != "" {
		rec := timeline.New(time.Now)
		ctx = timeline.With(ctx, rec)
		defer s.keepTimeline(j, rec)
	}
	roles := s.plan.Roles()
	if j.stock > 0 {
		roles = s.plan.Manifest.Parties // the dealer has done its part
	}
	t, err := s.node.Session(ctx, grpcnet.SessionConfig{Roles: roles, Role: s.role, Addrs: s.cfg.Servers, Digest: s.digest, Purpose: j.purpose, Session: j.id, Timeout: s.cfg.timeout, Patience: s.cfg.input + s.cfg.timeout})
	if err != nil {
		return fmt.Errorf("%s: connecting: %w", s.name, err)
	}
	if err := s.phases(ctx, j, model, &meter{Streamer: t, s: s, j: j}); err != nil {
		t.Abort(err.Error())
		return err
	}
	t.Close()
	return nil
}

// keepTimeline writes what a job did to the folder of timelines.
func (s *Server) keepTimeline(j *job, rec *timeline.Recorder) {
	file := filepath.Join(s.cfg.Telemetry.Timelines, fmt.Sprintf("%s-%s-%d.json", s.name, j.purpose, j.id))
	err := os.MkdirAll(s.cfg.Telemetry.Timelines, 0o700)
	if err == nil {
		err = plan.WriteAtomicTo(file, 0o600, rec.Trace([]string{s.name}).Write)
	}
	if err != nil {
		s.log.Warn("a timeline cannot be kept", "error", err.Error())
	}
}

// A meter measures exchanges.
type meter struct {
	engine.Streamer
	s       *Server
	j       *job
	waiting time.Duration
}

// Exchange implements engine.Transport.
func (m *meter) Exchange(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) ([][]byte, error) {
	n := sent(out)
	if m.s.observer != nil {
		m.s.observer(m.j, ph, round, out)
	}
	start := time.Now()
	in, err := m.Streamer.Exchange(ctx, ph, round, out, want)
	m.exchanged(ph, time.Since(start), n)
	return in, err
}

// Start implements engine.Streamer.
func (m *meter) Start(ctx context.Context, ph plan.Phase, round int, out [][]byte, want []int) engine.Flow {
	f := &measured{Flow: m.Streamer.Start(ctx, ph, round, out, want), m: m, ph: ph, sent: sent(out)}
	if m.s.observer != nil {
		return &observed{Flow: f, seen: func() { m.s.observer(m.j, ph, round, out) }}
	}
	return f
}

func (m *meter) exchanged(ph plan.Phase, took time.Duration, sent int64) {
	m.waiting += took
	m.s.metrics.Exchange(ph.String(), took, sent)
}

func sent(out [][]byte) (n int64) {
	for _, b := range out {
		n += int64(len(b))
	}
	return n
}

// A measured exchange is measured when it is done.
type measured struct {
	engine.Flow
	m    *meter
	ph   plan.Phase
	sent int64
}

// Done implements engine.Flow.
func (f *measured) Done() error {
	err := f.Flow.Done()
	f.m.exchanged(f.ph, f.Waited(), f.sent)
	return err
}

// An observed exchange, in tests, sends nothing before somebody has seen all of it.
type observed struct {
	engine.Flow
	seen  func()
	mu    sync.Mutex
	ready [][3]int
}

// Ready implements engine.Flow.
func (f *observed) Ready(to, lo, hi int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ready = append(f.ready, [3]int{to, lo, hi})
}

// Flush implements engine.Flow.
func (f *observed) Flush() {
	f.seen()
	for _, r := range f.ready {
		f.Flow.Ready(r[0], r[1], r[2])
	}
	f.Flow.Flush()
}

// phase measures and traces one phase of a job.
func (s *Server) phase(ctx context.Context, name string, m *meter, f func(ctx context.Context) (engine.PhaseStats, error)) error {
	ctx, end := s.tracer.Phase(ctx, name)
	start, waited := time.Now(), m.waiting
	stats, err := f(ctx)
	s.metrics.Phase(name, time.Since(start), m.waiting-waited)
	end(stats.Rounds, stats.BytesSent, err)
	return err
}

func (s *Server) phases(ctx context.Context, j *job, model *engine.Model, m *meter) error {
	if j.purpose == "material" {
		return s.phase(ctx, "material", m, func(ctx context.Context) (engine.PhaseStats, error) {
			return engine.PhaseStats{}, s.makeMaterial(ctx, j, model, m)
		})
	}
	defer func() { clear(j.record) }()
	streams, offline, err := s.streams(ctx, j, m)
	if err != nil {
		return err
	}
	if j.purpose == "setup" {
		return s.phase(ctx, plan.Setup.String(), m, func(ctx context.Context) (engine.PhaseStats, error) { return s.setup(ctx, j, streams, m) })
	}
	var session *engine.Session
	if err := s.phase(ctx, plan.Offline.String(), m, func(ctx context.Context) (engine.PhaseStats, error) {
		used := s.processors()
		session, err = s.engine.Offline(ctx, offline, model, streams)
		clear(j.record)
		j.record = nil
		if err == nil {
			j.offline = session.Stats[plan.Offline]
			j.offline.CPU = s.processors() - used
		}
		return j.offline, err
	}); err != nil {
		return err
	}
	defer session.Discard()
	var inputs [][]uint64
	if s.ownsInputs() {
		timer := time.NewTimer(s.cfg.input)
		defer timer.Stop()
		select {
		case inputs = <-j.inputs:
		case <-timer.C:
			return fmt.Errorf("no input of %s came within %v", s.name, s.cfg.input)
		case <-s.draining:
			return fmt.Errorf("server of %s stops before its input has come", s.name)
		case <-s.ctx.Done():
			return errors.New("server stops")
		}
	}
	return s.phase(ctx, plan.Online.String(), m, func(ctx context.Context) (engine.PhaseStats, error) {
		used := s.processors()
		j.outputs, err = session.Online(ctx, m, inputs)
		for _, x := range inputs { // nobody needs them again
			clear(x)
		}
		j.online = session.Stats[plan.Online]
		j.online.CPU = s.processors() - used
		return j.online, err
	})
}

// processors returns the processors' time of the process in seconds; 0 if nobody measures it.
func (s *Server) processors() float64 {
	if s.cfg.CPU == nil {
		return 0
	}
	return s.cfg.CPU().Seconds()
}

// setup opens the masked weights and keeps the result, on disk too.
func (s *Server) setup(ctx context.Context, j *job, streams engine.Streams, t engine.Transport) (engine.PhaseStats, error) {
	weights := s.weights
	if weights == nil {
		weights = make([][]uint64, len(s.plan.Manifest.Weights))
	}
	m, err := s.engine.Setup(ctx, t, streams, weights)
	if err != nil {
		return engine.PhaseStats{}, err
	}
	s.saving.Lock()
	defer s.saving.Unlock()
	s.mu.Lock()
	epoch := s.epoch
	s.mu.Unlock()
	if j.id < epoch {
		return m.Stats, fmt.Errorf("setup %d has overtaken it", epoch)
	}
	if err := s.saveSetup(j.id, m); err != nil {
		return m.Stats, fmt.Errorf("setup cannot be kept: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.model, s.epoch = nil, j.id
	if err := s.openStore(); err != nil {
		return m.Stats, err
	}
	s.model = m
	return m.Stats, nil
}

func (s *Server) ownsInputs() bool {
	return slices.ContainsFunc(s.plan.Manifest.Inputs, func(p plan.Port) bool { return p.Owner == s.name })
}

// dealerStreams derives the streams of all parties.
func (s *Server) dealerStreams(purpose string, id uint64) (out engine.Streams, err error) {
	out = make(engine.Streams, s.plan.NumParties())
	for i := range out {
		k := s.derive(purpose, id, i)
		out[i], err = material.NewStream(k)
		k.Clear()
		if err != nil {
			out.Clear()
			return nil, err
		}
	}
	return out, nil
}

// derive returns a party's key of a job. Each worker's dealer has a master key of its own; should it have been copied from
// another worker, keys still differ.
func (s *Server) derive(purpose string, id uint64, party int) material.Key {
	if s.cfg.Worker > 0 {
		purpose += fmt.Sprintf(" worker %d", s.cfg.Worker)
	}
	return material.Derive(s.master, purpose, s.digest, id, party)
}

// streams returns the streams of this role and the transport of its offline phase: the dealer derives all streams, a party
// asks the dealer for its own, or has stored both.
func (s *Server) streams(ctx context.Context, j *job, t engine.Transport) (engine.Streams, engine.Transport, error) {
	if s.role == s.plan.NumParties() {
		out, err := s.dealerStreams(j.purpose, j.id)
		return out, t, err
	}
	if j.stock > 0 {
		return s.takeStock(j)
	}
	data, err := s.fetchKeys(ctx, j)
	if err != nil {
		return nil, nil, err
	}
	k, err := material.KeyOf(data[0])
	clearAll(data)
	if err != nil {
		return nil, nil, err
	}
	defer k.Clear()
	out := make(engine.Streams, s.plan.NumParties())
	out[s.role], err = material.NewStream(k)
	return out, t, err
}

// fetchKeys asks the dealer for this party's keys of a job. The caller clears them.
func (s *Server) fetchKeys(ctx context.Context, j *job) ([][]byte, error) {
	dealer := s.plan.Manifest.Dealer
	req, err := json.Marshal(jobRequest{Plan: s.planHex(), Purpose: j.purpose, ID: j.id})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timeout)
	defer cancel()
	data, err := s.node.Call(ctx, dealer, s.cfg.Servers[dealer], "Key", req)
	if err != nil {
		return nil, fmt.Errorf("%s: asking for keys: %w", s.name, err)
	}
	keys, err := readKeys(data, max(1, j.count))
	if err != nil {
		return nil, fmt.Errorf("%s: asking for keys: %s %w", s.name, dealer, err)
	}
	return keys, nil
}

// key gives a party its keys of a job: its own, once. The dealer's part of a job may be over by then: it sends nothing in
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
		return nil, fmt.Errorf("%s has no key of %.40q for %s any more", s.name, k, peer)
	}
	j.issued[peer] = true
	purpose, count := j.purpose, 1
	if purpose == "material" {
		purpose, count = "stock", j.count
	}
	var keys [][]byte
	for n := range uint64(count) {
		k := s.derive(purpose, j.id+n, i)
		keys = append(keys, k.Bytes())
		k.Clear()
	}
	return writeKeys(keys)
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
