package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/grpcnet"
)

// What a server writes down of each job: for whom, who learns what of how much, what is left, and on whose approval. Each owner's log has what its policy permits or
// refuses, also where the lead refuses before the others are asked.

// entry is what the log says of a job.
func (s *deployment) entry(r jobRequest, decision, reason string) attest.Event {
	e := attest.Event{What: r.Purpose, Role: s.name, Plan: s.planHex(), Parties: s.plan.Manifest.Parties, Session: r.ID, Decision: decision, Reason: reason, Client: r.Opener}
	if r.Purpose == "session" {
		e.Receivers = receiversOf(s.plan)
		e.Rows = s.batch()
		e.Left = s.runsLeft()
	}
	s.whoApproved(&e)
	return e
}

// receiversOf returns who learns an output of a plan.
func receiversOf(p *plan.Plan) (out []string) {
	for _, o := range p.Manifest.Outputs {
		for _, to := range o.To {
			if !slices.Contains(out, to) {
				out = append(out, to)
			}
		}
	}
	return out
}

// whoApproved notes which of the keys that policies name have approved the plan, and which have taken that back.
func (s *deployment) whoApproved(e *attest.Event) {
	var keys []string
	for _, g := range s.plan.Manifest.Guards {
		keys = append(keys, g.Approve...)
	}
	if len(keys) == 0 {
		return
	}
	list, err := s.approvals()
	if err != nil {
		return // the session is refused for it
	}
	for _, x := range attest.Last(list, s.planHex()) {
		switch {
		case !slices.Contains(keys, x.Key):
		case x.Purpose == attest.Revocation:
			e.Revoked = append(e.Revoked, x.Key)
		default:
			e.Approvals = append(e.Approvals, x.Key)
		}
	}
}

// runsLeft returns what policies allow still.
func (s *deployment) runsLeft() (out []attest.RunsLeft) {
	for _, g := range s.plan.Manifest.Guards {
		if g.MaxRuns == 0 {
			continue
		}
		b := runsBudget(g)
		if n, err := s.runs.under(b, s.inFlight()); err == nil {
			out = append(out, attest.RunsLeft{Owner: g.Owner, Runs: b.most - min(b.most, n.Highest())})
		}
	}
	return out
}

// refusal is how every refusal by a policy begins.
const refusal = "refused: "

// tellRefused tells the other roles that a job which the lead has refused does not begin, so that their logs have it too.
func (s *deployment) tellRefused(r jobRequest) {
	s.tellAll(s.plan.Roles()[1:], "Refused", jobRequest{Purpose: r.Purpose, ID: r.ID, Opener: r.Opener}, func(role string, err error) {
		s.log.Warn("a role could not be told of a refusal", r.Purpose, r.ID, "peer", role, "error", err.Error())
	})
}

// toldRefused writes down that the lead has refused a job, and why as far as this server sees a reason itself.
func (s *deployment) toldRefused(_ context.Context, peer string, req []byte) ([]byte, error) {
	lead := s.plan.Manifest.Parties[0]
	if peer != lead {
		return nil, fmt.Errorf("refusals are told by %s, not by %q", lead, peer)
	}
	r, err := control.Decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	if len(r.Opener) > 256 || !slices.Contains([]string{"session", "setup", "material"}, r.Purpose) || r.ID > control.MaxID {
		return nil, errors.New("malformed request")
	}
	reason := fmt.Sprintf("refused by %s, whose log says why", lead)
	if err := s.conditions(r); err != nil {
		reason = err.Error()
	}
	s.log.Warn("refused", r.Purpose, r.ID, "reason", reason)
	s.alerts.tell(alertRefusal, s.planHex(), fmt.Sprintf("%s %d, opened by %q: %s", r.Purpose, r.ID, r.Opener, reason), reason)
	if err := s.audit.Add(s.entry(r, "refused", reason)); err != nil {
		return nil, err
	}
	return json.Marshal(struct{}{})
}

// elsewhere writes down that another role has refused a job that this one leads. Its words are not taken into the log.
func (s *deployment) elsewhere(r jobRequest, err error) error {
	var remote *grpcnet.RemoteError
	if err == nil || !errors.As(err, &remote) || !strings.HasPrefix(remote.Msg, refusal) {
		return err
	}
	return errors.Join(err, s.audit.Add(s.entry(r, "refused", "refused by another role, whose log says why")))
}
