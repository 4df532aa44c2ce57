package main

import (
	"fmt"
	"slices"
	"time"

	"smpcc/backend/audit"
	"smpcc/backend/plan"
	"smpcc/runtime/attest"
)

// signedBeside returns what has been signed about a plan, from the file beside it.
func signedBeside(p *plan.Plan, path string, now time.Time) ([]audit.Signature, error) {
	list, err := attest.Read(attest.File(path))
	if err != nil {
		return nil, err
	}
	var out []audit.Signature
	standing := attest.Standing(list, p.Digest(), now)
	for _, s := range list {
		x := audit.Signature{Purpose: string(s.Purpose), Plan: s.Plan, By: s.By, Key: s.Key, Time: s.Time, Role: s.Role, Reason: s.Reason, Scope: s.Scope, Until: s.Until, Weights: []audit.Commitment{}, Words: statementText(&s, p.Digest())}
		for _, b := range s.Weights {
			x.Weights = append(x.Weights, audit.Commitment(b))
		}
		x.Stands = slices.ContainsFunc(standing, func(o attest.Statement) bool { return o.Key == s.Key && o.Signature == s.Signature })
		if err := s.Verify(); err != nil {
			x.Words = fmt.Sprintf("counts for nothing, %v: %s", err, x.Words)
		} else if s.Purpose == attest.Approval && s.Plan == p.Digest() && !x.Stands {
			x.Words += "; it counts no more"
		}
		out = append(out, x)
	}
	return out, nil
}

// expiry renders a time in seconds since 1970; "" for none.
func expiry(t int64) string {
	if t == 0 {
		return ""
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

// atMost says how many there are of what; 0 stands for no bound.
func atMost(n int, what string) string {
	if n == 0 {
		return "any number of " + what + "s"
	}
	return counted(n, what)
}
