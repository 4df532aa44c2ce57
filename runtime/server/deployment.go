package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
)

// A deployment is one plan at a host: its engine, setup, stock and sessions.
type deployment struct {
	*Server
	log     *slog.Logger
	plan    *plan.Plan
	digest  [32]byte
	role    int
	weights [][]uint64
	// weightsFile is where this owner's weights were read, which a commitment is compared with.
	weightsFile string
	engine      *engine.Engine
	terms       terms
	gate        *room
	fitness     fitness
	used        chan struct{} // lead only: material has been used

	source   string                   // what has the server serve it
	file     string                   // "" for the configuration's
	leaves   chan struct{}            // closed when it is withdrawn
	clients  atomic.Pointer[[]string] // that came with the deployment, in place of the server's
	own      sync.WaitGroup           // jobs
	counted  tally
	loops    context.Context
	endLoops context.CancelFunc

	sessions *material.Numbers // of sessions, in any order
	stocked  *material.Numbers // of stored material that is used

	settingUp latch      // lead only: one setup runs at a time
	dealing   sync.Mutex // lead only: one material job runs at a time
	joining   sync.Mutex // ids of setups and material reach the ledger in order
	saving    sync.Mutex // setups reach the disk in order

	mu       sync.Mutex
	asked    map[string][]time.Time // lead only: the roles that openings wait for, since when
	outage   *outage                // lead only: nil as long as all roles answer
	lent     map[uint64]bool        // lead only: numbers of material that openings have taken up
	making   uint64                 // lead only: the first number of material that is being made
	arrived  chan struct{}          // closed, and made anew, when a job begins
	model    *engine.Model          // of the setup with number epoch
	epoch    uint64
	before   *engine.Model           // of the setup before, for sessions that have begun with it elsewhere
	earlier  uint64                  // its number
	prepared bool                    // it has been set up, or need not be before it takes sessions
	awaited  error                   // what preparing waits for
	outdated bool                    // it has not been set up with its weights
	by       string                  // who has deployed it
	since    time.Time               // when
	store    *material.Store         // of that setup; nil before the first, and at the dealer
	side     int                     // setups and material jobs that run
	jobs     map[string]*job         // by purpose and id
	done     []string                // finished jobs, oldest first
	keeping  map[string][]*job       // finished sessions that keep outputs for a client, oldest first
	requests map[requestKey]*request // lead only: openings that clients have named
}

// newDeployment verifies a plan and prepares to serve it, with nothing written but a refusal.
func (s *Server) newDeployment(p *plan.Plan, weights [][]uint64, weightsFile string) (*deployment, error) {
	d := &deployment{Server: s, plan: p, digest: sha256.Sum256(p.Encode()), role: slices.Index(p.Roles(), s.name), weights: weights, weightsFile: weightsFile, source: control.FromConfiguration, used: make(chan struct{}, 1), leaves: make(chan struct{}), settingUp: make(latch, 1),
		asked: map[string][]time.Time{}, lent: map[uint64]bool{}, arrived: make(chan struct{}), jobs: map[string]*job{}, keeping: map[string][]*job{}, requests: map[requestKey]*request{}}
	d.log = s.base.With("plan", d.plan16())
	switch {
	case d.role < 0:
		return nil, fmt.Errorf("the certificate names %q, but the plan's roles are %v", s.name, p.Roles())
	case s.dealer != (d.role == p.NumParties()):
		return nil, otherKind(s.name, s.dealer)
	}
	for _, r := range p.Roles() {
		if r != s.name && s.cfg.Servers[r] == "" {
			return nil, fmt.Errorf("servers has no address of %q", r)
		}
	}
	if err := verify.Check(p).Err(); err != nil {
		return nil, d.turnedAway(fmt.Errorf("refused: the plan would not keep data private: %w; smpcc verify lists all findings", err))
	}
	if err := d.approve(); err != nil {
		return nil, d.turnedAway(err)
	}
	if err := d.bindWeights(); err != nil {
		return nil, d.turnedAway(err)
	}
	var err error
	if d.engine, err = engine.New(p, d.role); err != nil {
		return nil, err
	}
	if err := s.cfg.tooSmall(p, d.role); err != nil {
		return nil, err
	}
	d.gate = s.gate.room(sessionMemory(p, d.role), 0)
	d.loops, d.endLoops = context.WithCancel(context.Background()) // until it begins
	return d, nil
}

// load reads what the state folder holds of the plan, besides the ledger, which keeps other processes out of it.
func (s *deployment) load() error {
	if err := s.openNumbers(); err != nil {
		return err
	}
	return s.loadSetup()
}

// isRole reports whether a caller is one of the plan's roles.
func (s *deployment) isRole(peer string) bool { return slices.Contains(s.plan.Roles(), peer) }

// describe fills in of a status what belongs to the plan.
func (s *deployment) describe(r *control.Status) {
	r.Plan, r.Capacity, r.Material = s.planHex(), s.gate.capacity(), s.stockNow().Sessions
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Setup = s.epoch; s.model != nil {
		r.Stats = s.model.Stats
	}
}

// approve refuses a plan that was not compiled under this owner's policy. A server has no default: an owner of data without
// a policy refuses every plan.
func (s *deployment) approve() error {
	if err := s.guards(); err != nil {
		return err
	}
	for _, g := range s.plan.Manifest.Guards {
		if b := s.budgets(g, s.cfg.now()); len(b) > 0 && s.cfg.Workers > 1 {
			return fmt.Errorf("refused: the policy of %s allows %s in all, which only one server can count, and there are %d workers; set workers: 1", g.Owner, b[0].text, s.cfg.Workers)
		}
	}
	owns := false
	for _, t := range append(append([]plan.Port{}, s.plan.Manifest.Inputs...), s.plan.Manifest.Weights...) {
		owns = owns || t.Owner == s.name
	}
	if !owns {
		return nil
	}
	_, want, err := s.policy()
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

// policy returns this owner's policy under which the plan was compiled, among those of the configuration: its file, "" if only its digest is known, and its digest.
func (s *deployment) policy() (file, digest string, err error) {
	for _, r := range s.plan.Manifest.Policies {
		for _, file := range s.cfg.Policies {
			if r.Owner != s.name {
				break
			}
			if digest, err = fileDigest(file); err != nil || digest == r.Digest {
				return file, digest, err
			}
		}
	}
	digest, err = s.cfg.policyDigest()
	return s.cfg.Policy, digest, err
}

// planHex returns the digest of the plan in full.
func (s *deployment) planHex() string { return fmt.Sprintf("%x", s.digest) }

// plan16 returns the start of the digest, as logs and metrics show it.
func (s *deployment) plan16() string { return s.planHex()[:16] }

// needSetup is the answer of a role that does not hold the model of a setup, after a loss of its state for example.
const needSetup = "setup is needed"

// ledgerKey keeps the numbers of sessions, setups, material made and material used apart.
func (s *deployment) ledgerKey(purpose string) [32]byte {
	if purpose == "session" {
		return s.digest
	}
	return sha256.Sum256(append([]byte(purpose+" "), s.digest[:]...))
}

// setup opens the masked weights and keeps the result, on disk too. The lead uses it when all roles have it.
func (s *deployment) setup(ctx context.Context, j *job, streams engine.Streams, t engine.Transport) (engine.PhaseStats, error) {
	own := s.ownWeights()
	weights := own
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
	if err := s.saveSetup(j.id, m, own); err != nil {
		return m.Stats, fmt.Errorf("setup cannot be kept: %w", err)
	}
	j.model, j.weights = m, own
	if s.role == 0 {
		return m.Stats, nil
	}
	return m.Stats, s.useSetup(j)
}

// useSetup has sessions use a setup from now on.
func (s *deployment) useSetup(j *job) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.id < s.epoch {
		return fmt.Errorf("setup %d has overtaken it", s.epoch)
	}
	s.before, s.earlier = s.model, s.epoch
	s.model, s.epoch = nil, j.id
	if err := s.openStore(); err != nil {
		return err
	}
	s.model, s.prepared = j.model, true
	if len(s.weights) == 0 || len(j.weights) > 0 && &s.weights[0] == &j.weights[0] {
		s.outdated = false
	}
	earlier := s.earlier
	time.AfterFunc(2*s.cfg.timeout, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.earlier == earlier {
			s.before = nil
		}
	})
	return nil
}

// modelOf returns the setup of a number, nil if it is not here. The mutex is held.
func (s *deployment) modelOf(epoch uint64) *engine.Model {
	switch epoch {
	case s.epoch:
		return s.model
	case s.earlier:
		return s.before
	}
	return nil
}

func (s *deployment) ownsInputs() bool {
	return slices.ContainsFunc(s.plan.Manifest.Inputs, func(p plan.Port) bool { return p.Owner == s.name })
}

// A saved setup is a file: magic, plan digest, digest of the own weights, epoch, words, SHA-256 of all that.
const setupMagic = "smpccset2"

func (s *deployment) setupFile() string {
	return filepath.Join(s.cfg.State, setupPrefix+planMark(s.digest))
}

// setupHead ties a saved setup to plan, role and weights.
func (s *deployment) setupHead(weights [][]uint64) []byte {
	h := sha256.New()
	for _, w := range weights {
		_ = binary.Write(h, binary.LittleEndian, uint64(len(w))) // a hash takes everything
		_ = plan.WriteWords(h, w)
	}
	b := append([]byte(setupMagic), s.digest[:]...)
	b = append(b, byte(s.role))
	return h.Sum(b)
}

// saveSetup keeps a setup for after a restart: a head, its number, the model and a checksum.
func (s *deployment) saveSetup(epoch uint64, m *engine.Model, weights [][]uint64) error {
	return disk.Replace(s.files(), s.setupFile(), 0o600, func(f io.Writer) error {
		h := sha256.New()
		w := io.MultiWriter(f, h)
		if _, err := w.Write(binary.LittleEndian.AppendUint64(s.setupHead(weights), epoch)); err != nil {
			return err
		}
		if err := s.engine.Save(w, m); err != nil {
			return err
		}
		_, err := f.Write(h.Sum(nil))
		return err
	})
}

// readSetup reads a saved setup; the model is nil if it is of another plan, build or weights, or damaged.
func (s *deployment) readSetup() (epoch uint64, m *engine.Model, err error) {
	f, err := os.Open(s.setupFile())
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	want := s.setupHead(s.weights)
	head := make([]byte, len(want)+8)
	if info.Size() != int64(len(head)+sha256.Size)+s.engine.SavedBytes() {
		return 0, nil, nil
	}
	h := sha256.New()
	r := io.TeeReader(f, h)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, err
	}
	if !bytes.Equal(head[:len(want)], want) {
		return 0, nil, nil
	}
	if m, err = s.engine.Restore(r); err != nil {
		return 0, nil, err
	}
	var sum [sha256.Size]byte
	if _, err := io.ReadFull(f, sum[:]); err != nil {
		return 0, nil, err
	}
	if [sha256.Size]byte(h.Sum(nil)) != sum {
		return 0, nil, nil
	}
	return binary.LittleEndian.Uint64(head[len(want):]), m, nil
}

// loadSetup takes a setup from before a restart, if there is one for this plan and these weights.
func (s *deployment) loadSetup() error {
	epoch, m, err := s.readSetup()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if m == nil {
		s.log.Info("the saved setup is of other weights, or damaged; the next session sets up again")
		return nil
	}
	last, err := s.ledger.Last(s.ledgerKey("setup"))
	if err != nil {
		return err
	}
	if epoch > last {
		s.log.Warn("the saved setup is newer than the ledger, which has been lost or restored; the next session sets up again", "setup", epoch, "ledger", last)
		return nil
	}
	s.model, s.epoch, s.prepared = m, epoch, true
	return s.openStore()
}
