package server

import (
	"crypto/sha256"
	"fmt"
	"time"

	"smpcc/backend/plan"
)

// A budget is something of which a policy allows so much in all: runs, rows, runs in a month. Every server counts it in its ledger, under
// the policy's digest, so that all plans under one policy share it.
type budget struct {
	key  [32]byte // in the ledger
	most uint64
	each uint64 // what a run takes
	what string // "1000 runs"
}

// runsKey is where what a policy bounds is counted in the ledger: not by plan, or compiling again would start over.
func runsKey(what string, g plan.Guard) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %q %q", what, g.Owner, g.Policy))
}

// budgets returns what an owner's policy bounds over all runs, as of a time.
func (s *deployment) budgets(g plan.Guard, now time.Time) (out []budget) {
	if g.MaxRuns > 0 {
		out = append(out, runsBudget(g))
	}
	if g.MaxRows > 0 {
		out = append(out, budget{runsKey("rows", g), uint64(g.MaxRows), uint64(max(1, s.batch())), fmt.Sprintf("%d rows in all runs", g.MaxRows)})
	}
	if g.PerMonth > 0 {
		month := now.UTC().Format("2006-01")
		out = append(out, budget{runsKey("month "+month, g), uint64(g.PerMonth), 1, fmt.Sprintf("%d runs a month, now in %s", g.PerMonth, month)})
	}
	return out
}

// runsBudget returns the bound of runs in all, which the policy has.
func runsBudget(g plan.Guard) budget {
	return budget{runsKey("runs", g), uint64(g.MaxRuns), 1, fmt.Sprintf("%d runs", g.MaxRuns)}
}

// batch returns how many rows the largest input has, 0 if none has any.
func (s *deployment) batch() (n int) {
	for _, t := range s.plan.Manifest.Inputs {
		if len(t.Shape) > 0 {
			n = max(n, t.Shape[0])
		}
	}
	return n
}

// inFlight is how many numbers may be used while a lower one is not.
func (s *deployment) inFlight() uint64 { return uint64(4*s.cfg.Limits.Sessions + 64) }

// left refuses if a run would exceed a budget of an owner's policy. It counts nothing.
func (s *deployment) left(g plan.Guard) error {
	for _, b := range s.budgets(g, s.cfg.now()) {
		n, err := s.runs.under(b, s.inFlight())
		if err != nil {
			return err
		}
		if used := n.Highest(); used+b.each > b.most {
			return b.exceeded(g, used)
		}
	}
	return nil
}

// countRun counts a run under a policy, if it allows one more.
func (s *deployment) countRun(g plan.Guard) error {
	for _, b := range s.budgets(g, s.cfg.now()) {
		n, err := s.runs.under(b, s.inFlight())
		if err != nil {
			return err
		}
		full, before := false, uint64(0)
		_, err = n.Take(func(used uint64) uint64 {
			if before, full = used, used+b.each > b.most; full {
				return 0
			}
			return used + b.each
		})
		if full {
			return b.exceeded(g, before)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exceeded says which budget is used up.
func (b budget) exceeded(g plan.Guard, used uint64) error {
	if b.each == 1 {
		return fmt.Errorf("refused: the policy of %s allows %s, and all of them are used", g.Owner, b.what)
	}
	return fmt.Errorf("refused: the policy of %s allows %s, %d are used, and this one takes %d", g.Owner, b.what, used, b.each)
}
