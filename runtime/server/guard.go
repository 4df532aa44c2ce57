package server

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/ir/policy"
	"smpcc/runtime/attest"
)

// Every role enforces what the policies of all owners ask of a run, from the plan's manifest; an owner's own server also
// checks that the manifest asks for what its policy file says, so that a compiler that leaves a condition out is noticed.

// logName is the audit log in the state folder.
const logName = "audit.log"

// conditions returns why a setup or session may not begin now, nil if it may.
func (s *deployment) conditions(r jobRequest) error {
	bound, err := s.termsNow()
	if err != nil {
		return err
	}
	var signed []attest.Statement // anew each time: an approval may come, or be taken back
	for _, g := range s.plan.Manifest.Guards {
		if g.Expires != 0 && time.Now().Unix() >= g.Expires {
			return fmt.Errorf("refused: the policy of %s expired at %s", g.Owner, time.Unix(g.Expires, 0).UTC().Format(time.RFC3339))
		}
		for _, t := range s.plan.Manifest.Inputs {
			if t.Owner == g.Owner && g.MinBatch > 0 && (len(t.Shape) == 0 || t.Shape[0] < g.MinBatch) {
				return fmt.Errorf("refused: the policy of %s asks for at least %d rows a run, and input %q has shape %v", g.Owner, g.MinBatch, t.Name, t.Shape)
			}
			if g.MaxBatch > 0 && len(t.Shape) > 0 && t.Shape[0] > g.MaxBatch {
				return fmt.Errorf("refused: the policy of %s allows at most %d rows a run, and input %q has shape %v", g.Owner, g.MaxBatch, t.Name, t.Shape)
			}
		}
		if err := s.boundFor(g, bound); err != nil {
			return err
		}
		if len(g.Approve) > 0 {
			if signed == nil {
				if signed, err = s.approvals(); err != nil {
					return err
				}
			}
			if err := s.approved(g, signed, bound); err != nil {
				return err
			}
		}
	}
	if r.Purpose != "session" || s.ledger == nil { // a check of the configuration leaves the ledger alone
		return nil
	}
	return s.left(s.budgetsOf(r.Opener, s.cfg.now()))
}

// approvals reads what has been signed about plans here: in the configuration's file, beside the plan, and what members have decided.
func (s *deployment) approvals() (list []attest.Statement, err error) {
	var files []string
	if s.cfg.Approvals != "" {
		files = append(files, s.cfg.Approvals)
	}
	switch {
	case s.file != "":
		files = append(files, attest.File(s.file))
	case s.cfg.Approvals == "" && s.cfg.Plan != "":
		files = append(files, attest.File(s.cfg.Plan))
	}
	for _, file := range append(files, s.cfg.approvalsOf(s.planHex())) {
		more, err := attest.Read(file)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return list, nil
}

// guards refuses a plan whose conditions are not those of the policies it was compiled under: runs are counted by the digest of the
// policy, so that another digest would begin a count of its own. Every server asks this, and an owner's server compares the
// digest with its own policy besides.
func (s *deployment) guards() error {
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
func (s *deployment) permit(r jobRequest, use func() error) (written func() error, err error) {
	if err := s.conditions(r); err != nil {
		return nil, s.refused(r, err)
	}
	if err := use(); err != nil {
		return nil, err
	}
	if r.Purpose == "session" {
		for _, b := range s.budgetsOf(r.Opener, s.cfg.now()) {
			if err := s.count(b); err != nil {
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
func (s *deployment) refused(r jobRequest, why error) error {
	s.log.Warn("refused", r.Purpose, r.ID, "reason", why.Error())
	s.alerts.tell(alertRefusal, s.planHex(), fmt.Sprintf("%s %d, opened by %q: %v", r.Purpose, r.ID, r.Opener, why), why.Error())
	return errors.Join(why, s.audit.Add(s.entry(r, "refused", why.Error())))
}

// turnedAway writes down that a plan was refused before the server served it, and returns why.
func (s *deployment) turnedAway(why error) error {
	if s.audit != nil {
		return errors.Join(why, s.note("deploy", "refused", why.Error()))
	}
	if err := os.MkdirAll(s.cfg.State, 0o700); err != nil {
		return errors.Join(why, err)
	}
	l, err := attest.OpenLog(s.files(), filepath.Join(s.cfg.State, logName), s.name)
	if err != nil {
		return errors.Join(why, err)
	}
	return errors.Join(why, l.Add(s.event("start", "refused", why.Error())), l.Close())
}

// event is what the log says of the plan as a whole.
func (s *deployment) event(what, decision, reason string) attest.Event {
	return attest.Event{What: what, Role: s.name, Plan: s.planHex(), Parties: s.plan.Manifest.Parties, Decision: decision, Reason: reason}
}

// note writes down what happens to the plan as a whole.
func (s *deployment) note(what, decision, reason string) error {
	return s.audit.Add(s.event(what, decision, reason))
}

// ended writes down how a job ended, soon: that it failed, but not why, as reasons may come from others.
func (s *deployment) ended(j *job) {
	e := attest.Event{What: "ended", Role: s.name, Plan: s.planHex(), Session: j.id, Decision: "done"}
	if j.err != nil {
		e.Decision = "failed"
	}
	if j.purpose != "session" {
		e.Reason = j.purpose
	}
	s.audit.Later(e, func(err error) { s.log.Error("the audit log cannot be written", "error", err.Error()) })
}

// policyReason says under which policy the server runs the plan, and for what, for the log.
func (s *deployment) policyReason() string {
	reason := "owns no data in this plan"
	for _, r := range s.plan.Manifest.Policies {
		if r.Owner == s.name {
			reason = "policy " + r.Digest
		}
	}
	for _, g := range s.plan.Manifest.Guards {
		if len(g.Purpose) > 0 {
			reason += fmt.Sprintf("; data of %s for %s", g.Owner, strings.Join(g.Purpose, ", "))
		}
	}
	return reason
}

// ownGuard compares what this owner's policy file asks of a run with what the plan's manifest says it asks. A server that has
// only the policy's digest relies on the manifest.
func (s *deployment) ownGuard() error {
	file, _, err := s.policy()
	if err != nil || file == "" {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	p, err := policy.Parse(file, data)
	if err != nil {
		return err
	}
	want := p.Guard()
	var have plan.Guard
	for _, g := range s.plan.Manifest.Guards {
		if g.Owner == s.name {
			have = g
		}
	}
	if have.Owner != "" && have.Policy != want.Policy {
		return fmt.Errorf("refused: the plan counts runs under the policy %.16s of %s, this server's has sha-256 %s; compile it again with --policy %s", have.Policy, s.name, want.Policy, file)
	}
	if have.Owner == "" && want.Asks() || have.Owner != "" && !have.Equal(want) {
		return fmt.Errorf("refused: the plan does not carry the conditions that the policy of %s asks of every run; compile it again with --policy %s", s.name, file)
	}
	return nil
}
