package server

import (
	"context"
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
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/material"
	"smpcc/runtime/observe"
)

// A Server is a host: it runs one organisation's roles of plans. What a process has once is here: who it is, where it listens, its limits, ledger, log and
// numbers. What belongs to one plan is in its deployment.
type Server struct {
	cfg     *Config
	base    *slog.Logger // without a plan
	log     *slog.Logger
	name    string
	dealer  bool
	node    *grpcnet.Node
	ledger  *material.Ledger
	audit   *attest.Log
	master  material.Key // dealer only
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup // jobs and what is done aside
	helpers sync.WaitGroup // loops of plans
	gate    *gate
	metrics *observe.Metrics
	tracer  *observe.Tracer
	expires time.Time // of the certificate
	tls     *tls.Config
	fitness fitness

	life     sync.Mutex    // no job begins after draining is closed
	draining chan struct{} // closed when the server takes no more work
	drain    sync.Once
	// observer, for tests, is told of every exchange before its messages leave.
	observer func(d *deployment, j *job, ph plan.Phase, round int, out [][]byte)

	submissions submissions

	plans     plans
	inbox     inbox
	heads     heads
	alerts    *alerts
	reading   latch // one past of the log is read at a time
	runs      runs
	uploads   uploads
	deploying latch // one plan is deployed or withdrawn at a time
}

// New prepares a server. It verifies the plan of the configuration first, whoever compiled it; nil if the configuration names none. weights holds this owner's words in the order of the manifest, nil for others'; a dealer
// has none. Without a log it says nothing.
func New(cfg *Config, p *plan.Plan, weights [][]uint64, dealer bool, log *slog.Logger) (*Server, error) {
	cfg, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	conf, name, err := certificateOf(cfg)
	if err != nil {
		return nil, err
	}
	s := &Server{tls: conf, cfg: cfg, name: name, dealer: dealer, draining: make(chan struct{}), deploying: make(latch, 1), reading: make(latch, 1), expires: conf.Certificates[0].Leaf.NotAfter}
	s.gate = &gate{sessions: cfg.Limits.Sessions, memory: cfg.memory, queue: cfg.Limits.Queue, each: cfg.clientSessions, eachQueue: cfg.clientQueue}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s.base = log.With("role", name)
	if cfg.Workers > 1 {
		s.base = s.base.With("worker", cfg.Worker)
	}
	s.log = s.base
	if p != nil {
		s.log = s.base.With("plan", p.Digest()[:16])
	}
	switch {
	case cfg.Listen == "":
		return nil, errors.New("listen is missing: the address to answer on")
	case cfg.State == "":
		return nil, errors.New("state is missing: the folder that keeps session ids from being used twice")
	}
	var d *deployment // of the configuration's plan
	if p != nil {
		if d, err = s.newDeployment(p, weights, cfg.Weights); err != nil {
			return nil, err
		}
		d.prepared = true // by the first session, if need be
	}
	s.observe(p)
	s.alerts = newAlerts(cfg.Alerts.Webhook, name, s.log, s.metrics)
	if s.tracer, err = observe.NewTracer(context.Background(), cfg.Telemetry.Traces, name); err != nil {
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
	s.runs.ledger = s.ledger
	fail := func(err error) (*Server, error) { return nil, errors.Join(err, s.ledger.Close()) }
	if err := disk.Sweep(s.files(), cfg.State); err != nil {
		return fail(err)
	}
	if dealer {
		if s.master, err = material.OpenMaster(s.files(), filepath.Join(cfg.State, "master.key")); err != nil {
			return fail(err)
		}
	}
	if s.audit, err = attest.OpenLog(s.files(), filepath.Join(cfg.State, logName), name); err != nil {
		return fail(err)
	}
	fail = func(err error) (*Server, error) { return nil, errors.Join(err, s.ledger.Close(), s.audit.Close()) }
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.node = grpcnet.NewNode(conf, name, s.handlers())
	s.node.May = s.mayCall
	s.node.Worker, s.node.Known, s.node.Replies = cfg.Worker, s.isKnown, map[string]int{"Key": longestKeys}
	if d != nil {
		if err := d.load(); err != nil {
			return fail(err)
		}
		s.plans.add(d)
	}
	if err := s.loadPlans(); err != nil {
		return fail(err)
	}
	if err := s.loadInbox(); err != nil {
		return fail(err)
	}
	if err := s.loadHeads(); err != nil {
		return fail(err)
	}
	s.fitRequests()
	return s, nil
}

// fitRequests has the node read requests as long as the plans' may be.
func (s *Server) fitRequests() {
	longest, together := 0, int64(0)
	for _, d := range s.plans.list() {
		n := control.InputBytes(d.plan, s.name)
		longest = max(longest, n)
		together = max(together, int64(d.gate.capacity())*int64(n)) // which sessions count as theirs
	}
	s.node.SetLimits(map[string]int{"Input": control.HeadBytes + longest, "Upload": control.HeadBytes + control.PartBytes, "Decide": 4 * control.HeadBytes}, together+2*control.PartBytes)
}

// handlers returns what answers requests. A refusal leaves a line in the log, and is counted; Wait and Result tell of jobs that have left theirs.
func (s *Server) handlers() map[string]grpcnet.Handler {
	return map[string]grpcnet.Handler{
		"Status": s.status,
		"Wait":   s.routed("", (*deployment).wait), "Result": s.routed("", (*deployment).result), "Material": s.routed("", (*deployment).stockHandler), "Leave": s.routed("", (*deployment).leave), "Refused": s.routed("", (*deployment).toldRefused),
		"Open": s.routed("opening", (*deployment).open), "Join": s.routed("join", (*deployment).join), "Key": s.routed("key", (*deployment).key), "Input": s.routed("input", (*deployment).input),
		"Held":     s.routed("guest", (*deployment).heldHandler),
		"Generate": s.routed("generate", (*deployment).generateHandler), "Renew": s.routed("setup", (*deployment).renewHandler),
		"Upload": s.uploadHandler, "Deploy": s.told("deploy", s.deployHandler), "Withdraw": s.told("withdraw", s.withdrawHandler), "Plans": s.plansHandler,
		"Send": s.told("request", s.sendHandler), "Requests": s.requestsHandler, "Decide": s.told("decision", s.decideHandler), "File": s.fileHandler,
		"Catalogue": s.catalogueHandler, "History": s.historyHandler, "Budgets": s.budgetsHandler, "Head": s.headHandler,
	}
}

// routed has a plan's deployment answer a request that names the plan, and has failures logged and counted, if they are called something.
func (s *Server) routed(what string, h func(d *deployment, ctx context.Context, peer string, req []byte) ([]byte, error)) grpcnet.Handler {
	return func(ctx context.Context, peer string, req []byte) ([]byte, error) {
		log := s.log
		d, err := s.plans.find(s.name, planOf(req))
		var out []byte
		if err == nil {
			log = d.log
			out, err = h(d, ctx, peer, req)
		}
		if err == nil || what == "" || err.Error() == needSetup || strings.HasPrefix(err.Error(), needMaterial) || errors.Is(err, material.ErrUsed) { // the lead sees to that
			return out, err
		}
		s.metrics.Failed(what)
		if !strings.HasPrefix(err.Error(), "refused: ") { // what a policy refuses has its line
			log.Error("a request failed", "what", what, "from", peer, "error", err.Error())
		}
		return out, err
	}
}

// told has failures of what changes the host logged and counted.
func (s *Server) told(what string, h grpcnet.Handler) grpcnet.Handler {
	return func(ctx context.Context, peer string, req []byte) ([]byte, error) {
		out, err := h(ctx, peer, req)
		if err != nil {
			s.metrics.Failed(what)
			s.log.Error("a request failed", "what", what, "from", peer, "error", err.Error())
		}
		return out, err
	}
}

// planOf returns the digest that a request names, in its head or as a whole; "" if it names none.
func planOf(req []byte) string {
	var named struct {
		Plan string `json:"plan"`
	}
	if json.Unmarshal(req, &named) != nil {
		if head, _, err := control.Unseal[struct {
			Plan string `json:"plan"`
		}](req); err == nil {
			return head.Plan
		}
	}
	return named.Plan
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
	people, err := s.openConsole()
	if err != nil {
		return errors.Join(err, l.Close(), s.ledger.Close(), s.audit.Close())
	}
	for _, d := range s.plans.list() {
		if err := d.note("start", "allowed", d.policyReason()); err != nil {
			return errors.Join(err, l.Close(), s.ledger.Close(), s.audit.Close())
		}
		d.log.Info("listening", "address", l.Addr().String(), "version", s.cfg.Software, "capacity", d.gate.capacity(), "session_bytes", d.gate.need, "setup", d.epoch)
	}
	for _, d := range s.plans.list() {
		d.begins()
	}
	if len(s.plans.list()) == 0 {
		s.log.Info("listening", "address", l.Addr().String(), "version", s.cfg.Software)
	}
	served := make(chan error, 4)
	go func() { served <- s.node.Serve(l) }()
	if s.cfg.Telemetry.Listen != "" {
		s.helpers.Go(func() {
			if err := s.metrics.Serve(s.ctx, s.cfg.Telemetry.Listen, s.readiness, nil); err != nil {
				served <- fmt.Errorf("telemetry: %w", err)
			}
		})
	}
	if people != nil {
		s.helpers.Go(func() {
			if err := people(); err != nil {
				served <- fmt.Errorf("console: %w", err)
			}
		})
	}
	if s.cfg.Guests.Listen != "" {
		gl, err := net.Listen("tcp", s.cfg.Guests.Listen)
		if err != nil {
			return errors.Join(fmt.Errorf("guests.listen: %w", err), l.Close(), s.ledger.Close(), s.audit.Close())
		}
		s.log.Info("listening for guests", "address", gl.Addr().String())
		s.helpers.Go(func() {
			if err := s.serveGuests(s.ctx, gl); err != nil {
				served <- fmt.Errorf("guests: %w", err)
			}
		})
	}
	s.node.Serving(true)
	s.helpers.Go(s.keepLooking)
	s.helpers.Go(s.keepComparing)
	s.helpers.Go(func() { s.alerts.run(s.ctx) })
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
	s.helpers.Wait()
	if terr := s.tracer.Close(last); terr != nil {
		s.log.Warn("traces could not be sent", "error", terr.Error())
	}
	for _, d := range s.plans.list() {
		err = errors.Join(err, d.closeNumbers())
	}
	return errors.Join(err, s.runs.close(), s.ledger.Close(), s.audit.Close())
}

// ledgerName is the ledger in the state folder.
const ledgerName = "ledger.db"

// lastAnswers is how long a server that stops gives answers that are on their way.
const lastAnswers = 2 * time.Second

// beginDrain ends the taking of work. Sessions that still wait for their input end too: nothing is lost with them.
func (s *Server) beginDrain() {
	s.life.Lock()
	defer s.life.Unlock()
	s.node.Serving(false)
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

// aside runs a function that the server's end waits for, unless it is ending. It reports whether it does.
func (s *Server) aside(f func()) bool {
	s.life.Lock()
	defer s.life.Unlock()
	if s.stopping() {
		return false
	}
	s.running.Go(f)
	return true
}

// helper runs a loop that the server's end has ended, unless it is ending.
func (s *Server) helper(f func()) {
	s.life.Lock()
	defer s.life.Unlock()
	if !s.stopping() {
		s.helpers.Go(f)
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
func (s *Server) observe(p *plan.Plan) {
	mark := ""
	if p != nil {
		mark = p.Digest()[:16]
	}
	m := observe.NewMetrics(s.name, mark, s.cfg.Software)
	m.Plans(s.planNumbers)
	m.Budgets(s.budgetNumbers)
	m.Gauge("smpcc_requests_waiting", "Requests in the inbox that wait for a decision.", func() float64 { return float64(s.requestsWaiting()) })
	m.Gauge("smpcc_log_heads_wrong", "Other roles whose audit log does not go on where it was.", func() float64 { return float64(s.headsWrong()) })
	most := func(f func(d *deployment) float64) func() float64 {
		return func() (n float64) {
			for _, d := range s.plans.list() {
				n = max(n, f(d))
			}
			return n
		}
	}
	sum := func(f func(d *deployment) float64) func() float64 {
		return func() (n float64) {
			for _, d := range s.plans.list() {
				n += f(d)
			}
			return n
		}
	}
	m.Gauge("smpcc_sessions_running", "Sessions that run or wait for input.", func() float64 { return float64(s.gate.count()) })
	m.Gauge("smpcc_sessions_queued", "Requests that wait for a session.", func() float64 { return float64(s.gate.queued()) })
	m.Gauge("smpcc_sessions_limit", "Sessions that may run at once.", most(func(d *deployment) float64 { return float64(d.gate.capacity()) }))
	m.Gauge("smpcc_session_memory_bytes", "Memory of one session, from the plan; of the largest, where there are several.", most(func(d *deployment) float64 { return float64(d.gate.need) }))
	m.Gauge("smpcc_material_sessions", "Sessions whose material is stored here.", sum(func(d *deployment) float64 { return float64(d.stockNow().Sessions) }))
	m.Gauge("smpcc_material_bytes", "Bytes of stored material.", sum(func(d *deployment) float64 { return float64(d.stockNow().Bytes) }))
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

// mayOrder reports whether a caller may have material made.
func (s *Server) mayOrder(peer string) bool {
	return peer == s.name || slices.Contains(s.cfg.MaterialClients, peer)
}

// isKnown reports whether a caller may ask anything.
func (s *Server) isKnown(peer string) bool {
	if s.mayLook(peer) || s.mayOrder(peer) || s.mayDeploy(peer) == nil || s.cfg.Servers[peer] != "" { // those are roles, of plans to come too
		return true
	}
	return slices.ContainsFunc(s.plans.list(), func(d *deployment) bool { return d.isRole(peer) })
}

// status says what the server is, and how a plan is.
func (s *Server) status(_ context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isKnown(peer) {
		return nil, fmt.Errorf("%q is neither a role of the plan nor a client of %s", peer, s.name)
	}
	r := control.Status{Name: s.name, Software: s.cfg.Software, Protocol: grpcnet.Protocol, Format: plan.Version, Time: time.Now().UnixNano(),
		Running: s.gate.count(), Queued: s.gate.queued(), Stopping: s.stopping(), Worker: s.cfg.Worker, Workers: s.cfg.Workers}
	d, err := s.plans.find(s.name, planOf(req))
	switch list := s.plans.list(); {
	case err == nil:
		d.describe(&r)
	case len(list) == 1: // and another plan was asked about
		list[0].describe(&r)
	default:
		r.Missing = err.Error()
	}
	return json.Marshal(r)
}
