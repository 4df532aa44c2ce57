package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
	"smpcc/runtime/engine"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/material"
	"smpcc/runtime/observe"
	"smpcc/runtime/timeline"
)

// kept is how many finished sessions a server remembers for late readers.
const kept = 64

// maxSide bounds the setups and material jobs that run at once: the one that the lead has begun, and earlier ones that are
// still failing.
const maxSide = 4

// A job is a setup or a session at this role.
type job struct {
	purpose string
	id      uint64
	epoch   uint64
	count   int             // material jobs: for how many sessions
	stock   uint64          // sessions: the number of stored material, 0 if the dealer deals it now
	record  []byte          // sessions: the stored material
	store   *material.Store // of the epoch
	half                    // sessions: what clients see
	guest   *submission     // sessions: what a guest has given
	over    chan struct{}   // closed when it has ended
	stop    context.CancelCauseFunc
	written func() error // waits until the log says that it has begun
	err     error
	issued  map[string]bool // dealer only: parties that have their key
	model   *engine.Model   // setups: what has been set up
	weights [][]uint64      // and with which weights of this party
	outputs map[string][]uint64
	kept    map[string][]uint64 // for guests
	offline engine.PhaseStats
	online  engine.PhaseStats
}

// A jobRequest names a setup, material job or session.
type jobRequest struct {
	Plan    string `json:"plan"`
	Purpose string `json:"purpose"`
	ID      uint64 `json:"id"`
	Epoch   uint64 `json:"epoch"`
	Stock   uint64 `json:"stock"` // sessions: number of the stored material to use, 0 for none
	Count   int    `json:"count"` // material jobs: for how many sessions, from number ID on

	Secret string   `json:"secret,omitempty"` // sessions: of the ticket
	Opener string   `json:"opener,omitempty"` // sessions: the client that opens it
	For    []string `json:"for,omitempty"`    // sessions: the parties that this client acts for
	Guest  string   `json:"guest,omitempty"`  // sessions: the ticket of the guest whose shares it takes
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
	for c.WorkerOf(n) != c.Worker {
		n++
	}
	return n
}

func (s *deployment) jobKey(purpose string, id uint64) string {
	return fmt.Sprintf("%s %d", purpose, id)
}

// joinRoom is how long a session that the lead opens waits for room here. Other plans' sessions have other leads, which may wait for room there: nobody waits for long
// while it has a place.
const joinRoom = time.Second

// needRoom is the answer of a role that has no room for a session now.
const needRoom = "room is needed"

// enterJoining waits for room for a session that the lead opens.
func (s *deployment) enterJoining(ctx context.Context, opener string) error {
	if len(s.plans.list()) > 1 {
		if s.gate.enter(ctx, opener, min(s.cfg.queue, joinRoom)) != nil {
			return errors.New(needRoom)
		}
		return nil
	}
	if err := s.gate.enter(ctx, opener, s.cfg.queue); err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

// A joinReply tells the lead how many sessions a role can run at once.
type joinReply struct {
	Capacity int `json:"capacity"`
}

// join starts a setup or session at this role, on the word of the lead. The id is on disk before anything is sent.
func (s *deployment) join(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if peer != s.plan.Manifest.Parties[0] {
		return nil, fmt.Errorf("sessions are led by %s, not by %q", s.plan.Manifest.Parties[0], peer)
	}
	r, err := control.Decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	if err := s.takes(); err != nil {
		return nil, err
	}
	if r.ID > control.MaxID || r.Stock > control.MaxID { // numbers never wrap
		return nil, errors.New("malformed request")
	}
	switch r.Purpose {
	case "setup":
	case "session":
		if w := s.cfg.WorkerOf(r.ID); w != s.cfg.Worker {
			return nil, fmt.Errorf("session %d is worker %d's of %d, and %s is worker %d: all roles must have the same workers", r.ID, w, s.cfg.Workers, s.name, s.cfg.Worker)
		}
		if err := s.enterJoining(ctx, r.Opener); err != nil {
			return nil, err
		}
	case "material":
		if r.Count <= 0 || r.Count > maxBatch {
			return nil, errors.New("malformed request")
		}
	default:
		return nil, errors.New("malformed request")
	}
	use := func() error { return s.useNumbers(r) }
	if r.Purpose != "session" {
		s.joining.Lock()
		defer s.joining.Unlock()
		use = func() error { return s.ledger.Use(s.ledgerKey(r.Purpose), r.last()) }
	}
	if err := s.begin(r, use); err != nil {
		return nil, err
	}
	return json.Marshal(joinReply{s.gate.capacity()})
}

// begin starts a job; a session has entered the gate, and leaves it whatever happens. use records its id; the lead has done
// so before it told the others.
func (s *deployment) begin(r jobRequest, use func() error) (err error) {
	began := false
	var given *submission
	defer func() {
		if !began && r.Purpose == "session" {
			s.gate.leave(r.Opener)
		}
		if !began {
			s.settle(given, nil, err)
		}
	}()
	s.mu.Lock()
	model, store, side := s.modelOf(r.Epoch), s.store, s.side
	if r.Purpose == "material" && r.Epoch != s.epoch { // its store is not here any more
		model = nil
	}
	s.mu.Unlock()
	party := s.role < s.plan.NumParties()
	switch {
	case r.Purpose != "setup" && model == nil:
		return errors.New(needSetup)
	case r.Purpose != "session" && side >= maxSide:
		return fmt.Errorf("%s runs %d setups and material jobs already", s.name, side)
	case r.Stock > 0 && party && !s.holds(store, r.Stock):
		return s.lacks()
	case r.Purpose == "material" && party:
		if err := store.Room(r.Count); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if r.Guest != "" && party {
		if given, err = s.takeShare(r.Guest, r.ID); err != nil {
			return err
		}
		if err := s.countInvited(given.from); err != nil {
			return s.refused(r, err)
		}
	}
	written, err := s.permit(r, use)
	if err != nil {
		return err
	}
	var record []byte
	if r.Stock > 0 && party {
		if record, err = store.Take(r.Stock, s.stocked.Floor()); record == nil {
			return s.unreadable(store, r, err)
		} else if err != nil { // the material is good, a file could not be deleted
			s.log.Warn("material cannot be deleted", "error", err.Error())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.Lock()
	defer s.life.Unlock()
	if err := s.takes(); err != nil {
		return err
	}
	run, stop := context.WithCancelCause(s.ctx)
	j := &job{stop: stop, written: written, purpose: r.Purpose, id: r.ID, epoch: r.Epoch, count: r.Count, stock: r.Stock, record: record, store: store, half: s.newHalf(r), guest: given, over: make(chan struct{}), issued: map[string]bool{}}
	s.jobs[s.jobKey(r.Purpose, r.ID)] = j
	close(s.arrived)
	s.arrived = make(chan struct{})
	began = true
	if r.Purpose != "session" {
		s.side++
	}
	s.own.Add(1)
	s.running.Go(func() {
		defer s.own.Done()
		ctx, end := s.tracer.Start(run, observe.Run{Digest: s.digest, Purpose: j.purpose, ID: j.id, Lead: s.role == 0}, s.name)
		if err := s.run(ctx, j, model); err != nil {
			j.err = fmt.Errorf("%s %d: %w", j.purpose, j.id, err)
			s.log.Error("ended with an error", j.purpose, j.id, "error", j.err.Error())
		} else {
			s.log.Info("done", j.purpose, j.id, "rounds", j.online.Rounds, "bytes_sent", j.offline.BytesSent+j.online.BytesSent, "offline_seconds", j.offline.Seconds, "online_seconds", j.online.Seconds)
		}
		end(j.err)
		s.metrics.Ended(j.purpose, j.err)
		if j.purpose == "session" {
			s.counted.session(j.err)
		}
		if j.err != nil {
			s.metrics.Failed(j.purpose)
		}
		if j.purpose == "session" {
			s.gate.leave(j.opener)
		}
		stop(nil)
		s.settle(j.guest, j.kept, j.err)
		defer s.ended(j) // behind the answer
		s.mu.Lock()
		defer s.mu.Unlock()
		s.holdOutputs(j)
		close(j.over)
		if j.purpose != "session" {
			s.side--
		}
		s.done = append(s.done, s.jobKey(j.purpose, j.id))
		if len(s.done) > kept+s.cfg.Limits.Sessions {
			if old := s.jobs[s.done[0]]; old != nil && len(old.outputs) > 0 {
				old.loose = true
			} else {
				delete(s.jobs, s.done[0])
			}
			s.done = s.done[1:]
		}
	})
	return nil
}

// holds reports whether material is stored here and has not been used.
func (s *deployment) holds(store *material.Store, stock uint64) bool {
	return s.stocked.Free(stock) && store.Has(stock)
}

// unreadable drops a segment that cannot be read, and returns what makes the lead go on with other material, or with none.
func (s *deployment) unreadable(store *material.Store, r jobRequest, why error) error {
	s.log.Error("material cannot be read; its segment is dropped", "session", r.ID, "material", r.Stock, "error", why.Error())
	s.metrics.Failed("material")
	if err := store.DropSegment(r.Stock); err != nil {
		return fmt.Errorf("%s: session %d: %w", s.name, r.ID, err)
	}
	return s.lacks()
}

// run executes a job: connect, then material, then the phases. A failure is told to all peers.
func (s *deployment) run(ctx context.Context, j *job, model *engine.Model) error {
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
		if ctx.Err() != nil {
			err = s.cutOff(ctx)
		}
		return fmt.Errorf("%s: connecting: %w", s.name, err)
	}
	if err := s.phases(ctx, j, model, &meter{Streamer: t, transport: t, s: s, j: j}); err != nil {
		t.Abort(err.Error())
		return err
	}
	t.Close()
	return nil
}

// errCalledOff ends a session that has not begun at all roles.
var errCalledOff = errors.New("the session does not begin: another role has not joined it")

// cutOff says why a job's context has ended.
func (s *deployment) cutOff(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errCalledOff) {
		return errCalledOff
	}
	return fmt.Errorf("server of %s stops", s.name)
}

// fileMark tells files of plans apart that are not the configuration's.
func (s *deployment) fileMark() string {
	if s.source == control.FromConfiguration {
		return ""
	}
	return s.plan16() + "-"
}

// keepTimeline writes what a job did to the folder of timelines.
func (s *deployment) keepTimeline(j *job, rec *timeline.Recorder) {
	file := filepath.Join(s.cfg.Telemetry.Timelines, fmt.Sprintf("%s-%s%s-%d.json", s.name, s.fileMark(), j.purpose, j.id))
	err := os.MkdirAll(s.cfg.Telemetry.Timelines, 0o700)
	if err == nil {
		err = plan.WriteAtomicTo(file, 0o600, rec.Trace([]string{s.name}).Write)
	}
	if err != nil {
		s.log.Warn("a timeline cannot be kept", "error", err.Error())
	}
}

func (s *deployment) phases(ctx context.Context, j *job, model *engine.Model, m *meter) error {
	if j.purpose != "session" || s.role == s.plan.NumParties() {
		if err := j.written(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
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
	if j.guest != nil {
		inputs = j.guest.words
	}
	if s.ownsInputs() {
		patience := s.patience(&j.half)
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case inputs = <-j.inputs:
		case err := <-m.transport.Failed():
			return fmt.Errorf("%s waits for its input: %w", s.name, err)
		case <-timer.C:
			return fmt.Errorf("no input of %s came within %v", s.name, patience)
		case <-j.gone:
			return fmt.Errorf("no input of %s came: %s, which opened the session, has closed its connection", s.name, j.opener)
		case <-s.draining:
			return fmt.Errorf("server of %s stops before its input has come", s.name)
		case <-ctx.Done():
			return s.cutOff(ctx)
		}
	}
	if err := j.written(); err != nil { // before the first message between parties
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return s.phase(ctx, plan.Online.String(), m, func(ctx context.Context) (engine.PhaseStats, error) {
		used := s.processors()
		j.outputs, err = session.Online(ctx, m, inputs)
		j.kept = session.Kept()
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

// wait answers when a job at this role has ended, for the lead.
func (s *deployment) wait(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isRole(peer) {
		return nil, fmt.Errorf("%q is not a role of the plan", peer)
	}
	r, err := control.Decode[jobRequest](req)
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
func (s *deployment) finished(ctx context.Context, purpose string, id uint64) (*job, error) {
	s.mu.Lock()
	j := s.jobs[s.jobKey(purpose, id)]
	s.mu.Unlock()
	if j == nil {
		return nil, fmt.Errorf("%s knows no %s %d", s.name, purpose, id)
	}
	return j, s.awaitOver(ctx, j)
}

// awaitOver waits until a job has ended.
func (s *deployment) awaitOver(ctx context.Context, j *job) error {
	select {
	case <-j.over:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ctx.Done():
		return fmt.Errorf("%s stops", s.name)
	}
}
