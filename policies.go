package smpcc

import (
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
	"smpcc/ir/text"
	"smpcc/passes"
)

// CheckPolicies compares a plan with policies, as compiling it under them would: each reveal of the graph that the plan carries, who takes part, rows, and bits.
// Owners without a policy here are not asked. It returns the owners whose policy is not the one that the plan was compiled under; a server
// of theirs would not run it.
func CheckPolicies(p *plan.Plan, policies []*policy.Policy) (others []string, err error) {
	i := slices.IndexFunc(p.Manifest.Dumps, func(d plan.Dump) bool { return d.Level == "graph" })
	if i < 0 {
		return nil, diag.Errorf(diag.Pos{File: p.Manifest.Name}, "the plan carries no graph")
	}
	m, err := text.Parse("plan (graph)", []byte(p.Manifest.Dumps[i].Text))
	if err != nil {
		return nil, err
	}
	if err := passes.Permits(m, policies); err != nil {
		return nil, err
	}
	for _, o := range policies {
		if !slices.ContainsFunc(p.Manifest.Policies, func(r plan.PolicyRef) bool { return r.Owner == o.Owner && r.Digest == o.Digest }) {
			others = append(others, o.Owner)
		}
	}
	return others, keepsBounds(m.Bounds, p)
}

// keepsBounds refuses a plan whose outputs have words of more bits than a rule lets them say together. A receiver learns no more of a value than the
// word that is revealed.
func keepsBounds(bounds []policy.Bound, p *plan.Plan) error {
	for _, b := range bounds {
		n := 0
		for _, o := range p.Manifest.Outputs {
			if slices.Contains(b.Outputs, o.Name) {
				n += o.Len() * o.Bits
				if o.Valid > 0 {
					n++
				}
			}
		}
		if n > b.MaxBits {
			e := diag.Errorf(diag.Pos{File: b.File, Line: b.Line}, "refused: %s; %s are revealed in %d bits a run together", b.Rule, strings.Join(b.Outputs, ", "), n)
			e.Kind = diag.Policy
			return e.WithHint("reveal fewer fraction bits (--reveal-bits), smaller ranges or fewer outputs; or, if %s agrees, its policy says max_bits: %d", b.Owner, n)
		}
	}
	return nil
}
