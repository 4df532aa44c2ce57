package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
)

// An auditBound says whether an owner is bound to the weights that a plan runs with.
type auditBound struct {
	Owner       string   `json:"owner"`
	Commitments []string `json:"commitments"` // by approvals that stand and policies that ask for one; none: not bound
	By          []string `json:"by"`          // who says so: keys, and owners of policies
}

// An auditStatement is a signature on a plan.
type auditStatement struct {
	Purpose string         `json:"purpose"`
	Plan    string         `json:"plan_digest"`
	By      string         `json:"by"`
	Key     string         `json:"key"`
	Time    string         `json:"time"`
	Role    string         `json:"role"`
	Reason  string         `json:"reason"`
	Scope   string         `json:"scope"`
	Until   string         `json:"until"`
	Weights []attest.Bound `json:"weights"`
	Stands  bool           `json:"stands"` // an approval that counts now
	words   string
}

// signed adds to an audit what has been signed about the plan, from the file beside it, and to which weights that binds their owners. A plan that stands in no file has
// no signatures.
func (a *audit) signed(p *plan.Plan, path string, now time.Time) error {
	list, err := attest.Read(attest.File(path))
	if err != nil {
		return err
	}
	a.Statements, a.Bound = []auditStatement{}, []auditBound{}
	standing := attest.Standing(list, p.Digest(), now)
	for _, s := range list {
		x := auditStatement{string(s.Purpose), s.Plan, s.By, s.Key, s.Time, s.Role, s.Reason, s.Scope, s.Until, append([]attest.Bound{}, s.Weights...), false, statementText(&s, p.Digest())}
		x.Stands = slices.ContainsFunc(standing, func(o attest.Statement) bool { return o.Key == s.Key && o.Signature == s.Signature })
		if err := s.Verify(); err != nil {
			x.words = fmt.Sprintf("counts for nothing, %v: %s", err, x.words)
		} else if s.Purpose == attest.Approval && s.Plan == p.Digest() && !x.Stands {
			x.words += "; it counts no more"
		}
		a.Statements = append(a.Statements, x)
	}
	for _, o := range p.Manifest.Parties {
		if !slices.ContainsFunc(p.Manifest.Weights, func(w plan.Port) bool { return w.Owner == o }) {
			continue
		}
		b := auditBound{Owner: o, Commitments: []string{}, By: []string{}}
		add := func(commitment, by string) {
			if !slices.Contains(b.Commitments, commitment) {
				b.Commitments = append(b.Commitments, commitment)
			}
			b.By = append(b.By, by)
		}
		for _, s := range standing {
			if c := s.Commitment(o); c != "" {
				add(c, "the approval of "+s.Key)
			}
		}
		for _, g := range p.Manifest.Guards {
			for _, c := range g.Models {
				if g.Owner != o {
					add(c, "the policy of "+g.Owner)
				}
			}
		}
		a.Bound = append(a.Bound, b)
	}
	return nil
}

// boundText says it for a person.
func (a *audit) boundText(w io.Writer) {
	if len(a.Bound) > 0 {
		fmt.Fprintf(w, "\nWhich weights it runs with\n")
	}
	for _, b := range a.Bound {
		if len(b.Commitments) == 0 {
			fmt.Fprintf(w, "  %s: any: nothing binds it to weights, and the plan does not show if it takes others, which may say other things of the inputs\n", b.Owner)
			continue
		}
		fmt.Fprintf(w, "  %s: bound by %s, says %s; its server compares its weights with it, which keeps an honest owner honest and not a cheating one, unless they are opened (smpcc weights check)\n",
			b.Owner, strings.Join(b.Commitments, " or "), strings.Join(b.By, ", "))
	}
	if len(a.Statements) > 0 {
		fmt.Fprintf(w, "\nWho has signed it\n")
	}
	for _, s := range a.Statements {
		fmt.Fprintf(w, "  %s\n", s.words)
	}
}
