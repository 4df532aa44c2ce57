package server

import (
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
	policy  string      // the policy's digest
	weights fs.FileInfo // of the file, when its weights were compared with the commitment
	bound   string      // the commitment to this owner's weights, "" if there is none
}

// termsNow refuses if this owner's policy is no longer the one that the plan was compiled under, or its weights file no longer what is committed to. It returns the
// commitment to the weights, "" if there is none.
func (s *deployment) termsNow() (bound string, err error) {
	s.terms.mu.Lock()
	defer s.terms.mu.Unlock()
	_, digest, err := s.policy()
	if err != nil {
		return "", fmt.Errorf("refused: the policy of %s cannot be read: %w", s.name, err)
	}
	if digest != s.terms.policy {
		if err := s.approve(); err != nil {
			return "", err
		}
		s.terms.policy = digest
	}
	if s.terms.bound == "" {
		return "", nil
	}
	now, err := os.Stat(s.weightsFile)
	if err == nil && s.terms.weights != nil && now.Size() == s.terms.weights.Size() && now.ModTime().Equal(s.terms.weights.ModTime()) {
		return s.terms.bound, nil
	}
	if err := s.compareWeights(); err != nil {
		return "", fmt.Errorf("refused: the weights file of %s has changed: %w", s.name, err)
	}
	return s.terms.bound, nil
}

// bindWeights compares this owner's weights with its commitment, if it has one, and refuses a plan that other owners' policies want bound to others.
func (s *deployment) bindWeights() error {
	s.terms.mu.Lock()
	defer s.terms.mu.Unlock()
	if ownsWeights(s.plan, s.name) && s.cfg.Opening != "" && s.cfg.CheckWeights != nil {
		if err := s.compareWeights(); err != nil {
			return fmt.Errorf("refused: %w", err)
		}
	}
	for _, g := range s.plan.Manifest.Guards {
		if err := s.boundFor(g, s.terms.bound); err != nil {
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
func (s *deployment) boundFor(g plan.Guard, bound string) error {
	switch {
	case len(g.Models) == 0 || g.Owner == s.name || !ownsWeights(s.plan, s.name) || slices.Contains(g.Models, bound):
		return nil
	case bound == "":
		return fmt.Errorf("refused: the policy of %s asks that the weights of %s are bound by %s, and this server has no opening of a commitment; add opening: FILE to its configuration, which smpcc weights commit writes", g.Owner, s.name, strings.Join(g.Models, " or "))
	}
	return fmt.Errorf("refused: the policy of %s asks that the weights of %s are bound by %s, and they are bound by %s", g.Owner, s.name, strings.Join(g.Models, " or "), bound)
}

// ownsWeights reports whether a party owns weights of a plan.
func ownsWeights(p *plan.Plan, party string) bool {
	return slices.ContainsFunc(p.Manifest.Weights, func(w plan.Port) bool { return w.Owner == party })
}

// approved refuses if too few of the keys that a policy names have approved the plan by what is signed, for the weights that this server has.
func (s *deployment) approved(g plan.Guard, signed []attest.Statement, bound string) error {
	now := time.Now()
	counts := func(o *attest.Statement) bool { return s.countsFor(o, bound) }
	if attest.Approved(signed, s.planHex(), g.Approve, g.AtLeast, now, counts) {
		return nil
	}
	var why []string
	for _, o := range attest.Last(signed, s.planHex()) {
		switch {
		case !slices.Contains(g.Approve, o.Key):
		case o.Purpose == attest.Revocation:
			why = append(why, fmt.Sprintf("%s has taken its approval back at %s", o.Key, o.Time))
		case !slices.ContainsFunc(attest.Standing(signed, s.planHex(), now), func(x attest.Statement) bool { return x.Key == o.Key }):
			why = append(why, fmt.Sprintf("the approval of %s has ended at %s", o.Key, o.Until))
		case !counts(&o):
			mine := "not bound"
			if bound != "" {
				mine = "bound by " + bound
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
func (s *deployment) countsFor(o *attest.Statement, bound string) bool {
	want := o.Commitment(s.name)
	return want == "" || !ownsWeights(s.plan, s.name) || want == bound
}
