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
	"os"
	"path/filepath"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/disk"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
)

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

// planHex returns the digest of the plan in full.
func (s *Server) planHex() string { return fmt.Sprintf("%x", s.digest) }

// plan16 returns the start of the digest, as logs and metrics show it.
func (s *Server) plan16() string { return s.planHex()[:16] }

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

// needSetup is the answer of a role that does not hold the model of a setup, after a loss of its state for example.
const needSetup = "setup is needed"

// ledgerKey keeps the numbers of sessions, setups, material made and material used apart.
func (s *Server) ledgerKey(purpose string) [32]byte {
	if purpose == "session" {
		return s.digest
	}
	return sha256.Sum256(append([]byte(purpose+" "), s.digest[:]...))
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

// A saved setup is a file: magic, plan digest, digest of the own weights, epoch, words, SHA-256 of all that.
const setupMagic = "smpccset2"

func (s *Server) setupFile() string {
	return filepath.Join(s.cfg.State, setupPrefix+planMark(s.digest))
}

// setupHead ties a saved setup to plan, role and weights.
func (s *Server) setupHead() []byte {
	h := sha256.New()
	for _, w := range s.weights {
		_ = binary.Write(h, binary.LittleEndian, uint64(len(w))) // a hash takes everything
		_ = plan.WriteWords(h, w)
	}
	b := append([]byte(setupMagic), s.digest[:]...)
	b = append(b, byte(s.role))
	return h.Sum(b)
}

// saveSetup keeps a setup for after a restart: a head, its number, the model and a checksum.
func (s *Server) saveSetup(epoch uint64, m *engine.Model) error {
	return disk.Replace(s.files(), s.setupFile(), 0o600, func(f io.Writer) error {
		h := sha256.New()
		w := io.MultiWriter(f, h)
		if _, err := w.Write(binary.LittleEndian.AppendUint64(s.setupHead(), epoch)); err != nil {
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
func (s *Server) readSetup() (epoch uint64, m *engine.Model, err error) {
	f, err := os.Open(s.setupFile())
	if err != nil {
		return 0, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, nil, err
	}
	want := s.setupHead()
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
func (s *Server) loadSetup() error {
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
	s.model, s.epoch = m, epoch
	return s.openStore()
}
