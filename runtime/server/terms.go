package server

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
)

// Policies, signatures and weights are looked at again before each setup and session: what was changed, taken back or has ended since the start counts from the next one
// on.

// terms are what was found when they were looked at last.
type terms struct {
	mu      sync.Mutex
	policy  []byte      // the policy's text
	weights fs.FileInfo // of the file, when its weights were compared with the commitment
	bound   string      // the commitment to this owner's weights, "" if there is none
}

// termsNow refuses if this owner's policy is no longer the one that the plan was compiled under, or its weights file no longer what is committed to.
func (s *deployment) termsNow() error {
	s.terms.mu.Lock()
	defer s.terms.mu.Unlock()
	file, _, err := s.policy()
	if err != nil {
		return fmt.Errorf("refused: the policy of %s cannot be read: %w", s.name, err)
	}
	if file != "" {
		data, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("refused: the policy of %s cannot be read: %w", s.name, err)
		}
		if !bytes.Equal(data, s.terms.policy) || s.terms.policy == nil {
			if err := s.approve(); err != nil {
				return err
			}
			s.terms.policy = data
		}
	}
	if s.terms.bound == "" {
		return nil
	}
	now, err := os.Stat(s.weightsFile)
	if err == nil && s.terms.weights != nil && now.Size() == s.terms.weights.Size() && now.ModTime().Equal(s.terms.weights.ModTime()) {
		return nil
	}
	if err := s.compareWeights(); err != nil {
		return fmt.Errorf("refused: the weights file of %s has changed: %w", s.name, err)
	}
	return nil
}

// bindWeights compares this owner's weights with its commitment, if it has one, and refuses a plan that other owners' policies want bound to others.
func (s *deployment) bindWeights() error {
	s.terms.mu.Lock()
	defer s.terms.mu.Unlock()
	if s.ownsWeights() && s.cfg.Opening != "" && s.cfg.CheckWeights != nil {
		if err := s.compareWeights(); err != nil {
			return fmt.Errorf("refused: %w", err)
		}
	}
	for _, g := range s.plan.Manifest.Guards {
		if err := s.boundFor(g); err != nil {
			return err
		}
	}
	return nil
}

// rebind compares weights that come in place of others with the commitment. They are looked at before anything is changed.
func (s *deployment) rebind(file string) error {
	if s.cfg.Opening == "" || s.cfg.CheckWeights == nil {
		return nil
	}
	if _, err := s.cfg.CheckWeights(s.plan, file, s.cfg.Opening, s.name); err != nil {
		return fmt.Errorf("refused: %w", err)
	}
	return nil
}

// keptAs notes where weights that came in place of others are kept. They are compared with the commitment again before the next session.
func (s *deployment) keptAs(file string) {
	s.terms.mu.Lock()
	defer s.terms.mu.Unlock()
	s.weightsFile, s.terms.weights = file, nil
}

// compareWeights reads the weights file and notes what it is bound by.
func (s *deployment) compareWeights() error {
	info, err := os.Stat(s.weightsFile)
	if err != nil {
		return err
	}
	root, err := s.cfg.CheckWeights(s.plan, s.weightsFile, s.cfg.Opening, s.name)
	if err != nil {
		return err
	}
	s.terms.weights, s.terms.bound = info, root
	return nil
}

// boundFor refuses if an owner's policy wants the weights of this one bound by a commitment that they are not bound by. Servers of other owners cannot tell.
func (s *deployment) boundFor(g plan.Guard) error {
	switch {
	case len(g.Models) == 0 || g.Owner == s.name || !s.ownsWeights() || slices.Contains(g.Models, s.terms.bound):
		return nil
	case s.terms.bound == "":
		return fmt.Errorf("refused: the policy of %s asks that the weights of %s are bound by %s, and this server has no opening of a commitment; add opening: FILE to its configuration, which smpcc weights commit writes", g.Owner, s.name, strings.Join(g.Models, " or "))
	}
	return fmt.Errorf("refused: the policy of %s asks that the weights of %s are bound by %s, and they are bound by %s", g.Owner, s.name, strings.Join(g.Models, " or "), s.terms.bound)
}

// ownsWeights reports whether this party owns weights of the plan.
func (s *deployment) ownsWeights() bool {
	return slices.ContainsFunc(s.plan.Manifest.Weights, func(w plan.Port) bool { return w.Owner == s.name })
}

// approved refuses if too few of the keys that a policy names have approved the plan, for the weights that this server has.
func (s *deployment) approved(g plan.Guard) error {
	if len(g.Approve) == 0 {
		return nil
	}
	list, err := s.approvals()
	if err != nil {
		return err
	}
	now := time.Now()
	if attest.Approved(list, s.planHex(), g.Approve, g.AtLeast, now, s.countsFor) {
		return nil
	}
	var why []string
	for _, o := range attest.Last(list, s.planHex()) {
		switch {
		case !slices.Contains(g.Approve, o.Key):
		case o.Purpose == attest.Revocation:
			why = append(why, fmt.Sprintf("%s has taken its approval back at %s", o.Key, o.Time))
		case !slices.ContainsFunc(attest.Standing(list, s.planHex(), now), func(x attest.Statement) bool { return x.Key == o.Key }):
			why = append(why, fmt.Sprintf("the approval of %s has ended at %s", o.Key, o.Until))
		case !s.countsFor(&o):
			mine := "not bound"
			if s.terms.bound != "" {
				mine = "bound by " + s.terms.bound
			}
			why = append(why, fmt.Sprintf("the approval of %s is for weights of %s bound by %s, and this server's are %s", o.Key, s.name, o.Commitment(s.name), mine))
		}
	}
	wanted := ""
	if g.AtLeast > 1 {
		wanted = fmt.Sprintf(" by at least %d of %d keys", g.AtLeast, len(g.Approve))
	}
	if len(why) > 0 {
		return fmt.Errorf("refused: the policy of %s asks that each plan is approved by its digest%s: %s", g.Owner, wanted, strings.Join(why, "; "))
	}
	return fmt.Errorf("refused: the policy of %s asks that each plan is approved by its digest%s, and %s has no such signature for plan %.16s; %s approves with smpcc approve PLAN --key FILE", g.Owner, wanted, s.name, s.planHex(), g.Owner)
}

// countsFor reports whether an approval is for the weights that this server has, or names none of its owner.
func (s *deployment) countsFor(o *attest.Statement) bool {
	want := o.Commitment(s.name)
	return want == "" || !s.ownsWeights() || want == s.terms.bound
}
