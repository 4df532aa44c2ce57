package server

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/goccy/go-yaml"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
)

// Every role enforces what the policies of all owners ask of a run, from the plan's manifest; an owner's own server also
// checks that the manifest asks for what its policy file says, so that a compiler that leaves a condition out is noticed.

// logName is the audit log in the state folder.
const logName = "audit.log"

// runsKey is where runs under an owner's policy are counted in the ledger: not by plan, or compiling again would start
// over.
func runsKey(g plan.Guard) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "runs %q %q", g.Owner, g.Policy))
}

// conditions returns why no setup or session may begin now, nil if one may.
func (s *Server) conditions(purpose string) error {
	if err := s.termsNow(); err != nil {
		return err
	}
	for _, g := range s.plan.Manifest.Guards {
		if g.Expires != 0 && time.Now().Unix() >= g.Expires {
			return fmt.Errorf("refused: the policy of %s expired at %s", g.Owner, time.Unix(g.Expires, 0).UTC().Format(time.RFC3339))
		}
		for _, t := range s.plan.Manifest.Inputs {
			if t.Owner == g.Owner && g.MinBatch > 0 && (len(t.Shape) == 0 || t.Shape[0] < g.MinBatch) {
				return fmt.Errorf("refused: the policy of %s asks for at least %d rows a run, and input %q has shape %v", g.Owner, g.MinBatch, t.Name, t.Shape)
			}
		}
		if err := s.boundFor(g); err != nil {
			return err
		}
		if err := s.approved(g); err != nil {
			return err
		}
		if g.MaxRuns > 0 && purpose == "session" && s.ledger != nil { // a check of the configuration leaves the ledger alone
			if s.runs[runsKey(g)].Highest() >= uint64(g.MaxRuns) {
				return allRunsUsed(g)
			}
		}
	}
	return nil
}

// guards refuses a plan whose conditions are not those of the policies it was compiled under: runs are counted by the digest of the
// policy, so that another digest would begin a count of its own. Every server asks this, and an owner's server compares the
// digest with its own policy besides.
func (s *Server) guards() error {
	m := &s.plan.Manifest
	for i, g := range m.Guards {
		if slices.ContainsFunc(m.Guards[:i], func(o plan.Guard) bool { return o.Owner == g.Owner }) {
			return fmt.Errorf("refused: the plan carries conditions of %s twice; compile it again", g.Owner)
		}
		n := 0
		for _, r := range m.Policies {
			if r.Owner == g.Owner {
				if n++; r.Digest != g.Policy {
					return fmt.Errorf("refused: the plan carries conditions of the policy %.16s of %s and was compiled under %.16s: its runs would be counted apart; compile it again", g.Policy, g.Owner, r.Digest)
				}
			}
		}
		if n != 1 {
			return fmt.Errorf("refused: the plan carries conditions of %s and names %d policies of it; compile it again", g.Owner, n)
		}
	}
	return nil
}

// permit decides whether a job may begin here, has its number recorded by use, counts it and writes the decision down. The ledger
// comes first: what it refuses, such as a request that is sent again, is no run. A run counts once it is begun, however it ends: its
// outputs may have been seen. The decision is being written when permit returns: written waits for it, and is called before anything of the job is sent. A log that has just
// failed is waited for here, so that no number is taken up in vain.
func (s *Server) permit(r jobRequest, use func() error) (written func() error, err error) {
	if err := s.conditions(r.Purpose); err != nil {
		return nil, s.refused(r, err)
	}
	if err := use(); err != nil {
		return nil, err
	}
	if r.Purpose == "session" {
		for _, g := range s.plan.Manifest.Guards {
			if g.MaxRuns == 0 {
				continue
			}
			if err := s.countRun(g); err != nil {
				return nil, s.refused(r, err)
			}
		}
	}
	failing := s.audit.Failing()
	written = s.audit.Begin(s.entry(r, "allowed", ""))
	if failing {
		err = written()
	}
	return written, err
}

// refused writes a refusal down and returns why.
func (s *Server) refused(r jobRequest, why error) error {
	s.log.Warn("refused", r.Purpose, r.ID, "reason", why.Error())
	return errors.Join(why, s.audit.Add(s.entry(r, "refused", why.Error())))
}

// turnedAway writes down that a plan was refused before the server served, and returns why.
func (s *Server) turnedAway(why error) error {
	if err := os.MkdirAll(s.cfg.State, 0o700); err != nil {
		return errors.Join(why, err)
	}
	l, err := attest.OpenLog(s.files(), filepath.Join(s.cfg.State, logName), s.name)
	if err != nil {
		return errors.Join(why, err)
	}
	return errors.Join(why, l.Add(attest.Event{What: "start", Role: s.name, Plan: s.planHex(), Parties: s.plan.Manifest.Parties, Decision: "refused", Reason: why.Error()}), l.Close())
}

// ended writes down how a job ended, soon: that it failed, but not why, as reasons may come from others.
func (s *Server) ended(j *job) {
	e := attest.Event{What: "ended", Role: s.name, Plan: s.planHex(), Session: j.id, Decision: "done"}
	if j.err != nil {
		e.Decision = "failed"
	}
	if j.purpose != "session" {
		e.Reason = j.purpose
	}
	s.audit.Later(e, func(err error) { s.log.Error("the audit log cannot be written", "error", err.Error()) })
}

// policyReason says under which policy the server runs the plan, for the log.
func (s *Server) policyReason() string {
	for _, r := range s.plan.Manifest.Policies {
		if r.Owner == s.name {
			return "policy " + r.Digest
		}
	}
	return "owns no data in this plan"
}

// ownGuard compares what this owner's policy file asks of a run with what the plan's manifest says it asks. A server that has
// only the policy's digest relies on the manifest.
func (s *Server) ownGuard() error {
	if s.cfg.Policy == "" {
		return nil
	}
	data, err := os.ReadFile(s.cfg.Policy)
	if err != nil {
		return err
	}
	var p struct {
		MaxRuns  int          `yaml:"max_runs"`
		MinBatch int          `yaml:"min_batch"`
		Expires  string       `yaml:"expires"`
		Approve  approverList `yaml:"approve"`
		Models   []string     `yaml:"models"`
	}
	if err := yaml.Unmarshal(data, &p); err != nil {
		return fmt.Errorf("%s: %s", s.cfg.Policy, yaml.FormatError(err, false, false))
	}
	want := plan.Guard{MaxRuns: p.MaxRuns, MinBatch: p.MinBatch, Approve: p.Approve.Keys, AtLeast: p.Approve.asked(), Models: p.Models}
	if p.Expires != "" {
		t, err := time.Parse(time.DateOnly, p.Expires)
		if err == nil {
			t = t.AddDate(0, 0, 1) // the day counts to its end
		} else if t, err = time.Parse(time.RFC3339, p.Expires); err != nil {
			return fmt.Errorf("%s: expires: %q is neither a day nor a time", s.cfg.Policy, p.Expires)
		}
		want.Expires = t.Unix()
	}
	var have plan.Guard
	for _, g := range s.plan.Manifest.Guards {
		if g.Owner == s.name {
			have = g
		}
	}
	digest, err := s.cfg.policyDigest()
	if err != nil {
		return err
	}
	if have.Owner != "" && have.Policy != digest {
		return fmt.Errorf("refused: the plan counts runs under the policy %.16s of %s, this server's has sha-256 %s; compile it again with --policy %s", have.Policy, s.name, digest, s.cfg.Policy)
	}
	if have.MaxRuns != want.MaxRuns || have.MinBatch != want.MinBatch || have.Expires != want.Expires || have.AtLeast != want.AtLeast || !slices.Equal(have.Approve, want.Approve) || !slices.Equal(have.Models, want.Models) {
		return fmt.Errorf("refused: the plan does not carry the conditions that the policy of %s asks of every run; compile it again with --policy %s", s.name, s.cfg.Policy)
	}
	return nil
}
