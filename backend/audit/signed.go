package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"smpcc/backend/plan"
)

// A Bound says whether an owner is bound to the weights that a plan runs with.
type Bound struct {
	Owner       string   `json:"owner"`
	Commitments []string `json:"commitments"` // by approvals that stand and policies that ask for one; none: not bound
	By          []string `json:"by"`          // who says so: keys, and owners of policies
}

// A Signature is what somebody has signed about a plan. It stands beside the plan, not in it.
type Signature struct {
	Purpose string       `json:"purpose"`
	Plan    string       `json:"plan_digest"`
	By      string       `json:"by"`
	Key     string       `json:"key"`
	Time    string       `json:"time"`
	Role    string       `json:"role"`
	Reason  string       `json:"reason"`
	Scope   string       `json:"scope"`
	Until   string       `json:"until"`
	Weights []Commitment `json:"weights"`
	Stands  bool         `json:"stands"` // an approval that counts now
	Words   string       `json:"words"`
}

// A Commitment names an owner's weights.
type Commitment struct {
	Owner      string `json:"owner"`
	Commitment string `json:"commitment"`
}

// Signed adds to an audit what has been signed about the plan.
func (a *Report) Signed(list []Signature) {
	a.Statements = append([]Signature{}, list...)
	a.Bound = bound(a.plan, a.Statements)
}

// bound says what binds the owners of a plan's weights to them.
func bound(p *plan.Plan, list []Signature) []Bound {
	out := []Bound{}
	for _, o := range p.Manifest.Parties {
		if !slices.ContainsFunc(p.Manifest.Weights, func(w plan.Port) bool { return w.Owner == o }) {
			continue
		}
		b := Bound{Owner: o, Commitments: []string{}, By: []string{}}
		add := func(commitment, by string) {
			if !slices.Contains(b.Commitments, commitment) {
				b.Commitments = append(b.Commitments, commitment)
			}
			b.By = append(b.By, by)
		}
		for _, s := range list {
			for _, w := range s.Weights {
				if s.Stands && w.Owner == o {
					add(w.Commitment, "the approval of "+s.Key)
				}
			}
		}
		for _, g := range p.Manifest.Guards {
			for _, c := range g.Models {
				if g.Owner != o {
					add(c, "the policy of "+g.Owner)
				}
			}
		}
		out = append(out, b)
	}
	return out
}

// writeSigned says it for a person.
func writeSigned(w io.Writer, a *Report) {
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
		fmt.Fprintf(w, "  %s\n", s.Words)
	}
}

// approvers says how many of which keys are wanted.
func approvers(keys []string, atLeast int) string {
	if atLeast > 1 {
		return fmt.Sprintf("at least %d of %s", atLeast, strings.Join(keys, ", "))
	}
	return strings.Join(keys, " or ")
}

// orAny lists commitments; none is any.
func orAny(commitments []string) string {
	if len(commitments) == 0 {
		return "any"
	}
	return strings.Join(commitments, " or ")
}
