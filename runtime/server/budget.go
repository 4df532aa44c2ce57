package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
	"smpcc/runtime/observe"
)

// A budget is something of which so much is allowed in all: runs, rows, runs in a month. A policy's bounds what all clients have together, and every server counts it in its
// ledger under the policy's digest, so that all plans under one policy share it. A client's, of the server's configuration, bounds what it opens of all plans, and is counted under
// its name, so that it goes on when the configuration says another number.
type budget struct {
	key  [32]byte // in the ledger
	most uint64
	each uint64 // what a run takes
	text string // "1000 runs"

	of, who string // "policy" of an owner, or "client" of a name
	what    string // runs, rows, runs in 2027-01
	policy  string // digest
}

// ofPolicy and ofClient are whose budgets are.
const (
	ofPolicy = "policy"
	ofClient = "client"
)

// runsKey is where what a policy bounds is counted in the ledger: not by plan, or compiling again would start over.
func runsKey(what string, g plan.Guard) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%s %q %q", what, g.Owner, g.Policy))
}

// clientKey is where what a client may open is counted in the ledger.
func clientKey(what, client string) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "client %s %q", what, client))
}

// month names a month in budgets.
func month(now time.Time) string { return now.UTC().Format("2006-01") }

// budgets returns what an owner's policy bounds over all runs, as of a time.
func (s *deployment) budgets(g plan.Guard, now time.Time) (out []budget) {
	if g.MaxRuns > 0 {
		out = append(out, runsBudget(g))
	}
	if g.MaxRows > 0 {
		out = append(out, budget{key: runsKey("rows", g), most: uint64(g.MaxRows), each: s.rowsOfRun(), text: fmt.Sprintf("%d rows in all runs", g.MaxRows), what: "rows"})
	}
	if g.PerMonth > 0 {
		m := month(now)
		out = append(out, budget{key: runsKey("month "+m, g), most: uint64(g.PerMonth), each: 1, text: fmt.Sprintf("%d runs a month, now in %s", g.PerMonth, m), what: "runs in " + m})
	}
	for i := range out {
		out[i].of, out[i].who, out[i].policy = ofPolicy, g.Owner, g.Policy
	}
	return out
}

// runsBudget returns the bound of runs in all, which the policy has.
func runsBudget(g plan.Guard) budget {
	return budget{key: runsKey("runs", g), most: uint64(g.MaxRuns), each: 1, text: fmt.Sprintf("%d runs", g.MaxRuns), of: ofPolicy, who: g.Owner, what: "runs", policy: g.Policy}
}

// policyBudgets returns what all owners' policies bound.
func (s *deployment) policyBudgets(now time.Time) (out []budget) {
	for _, g := range s.plan.Manifest.Guards {
		out = append(out, s.budgets(g, now)...)
	}
	return out
}

// clientBudgets returns what the configuration bounds of what a client opens, where a run takes so many rows.
func (c *Config) clientBudgets(client string, rows uint64, now time.Time) (out []budget) {
	i := slices.IndexFunc(c.Budgets, func(b ClientBudget) bool { return b.Client == client })
	if i < 0 {
		i = slices.IndexFunc(c.Budgets, func(b ClientBudget) bool { return b.Client == anyClient })
	}
	if i < 0 || client == "" {
		return nil
	}
	b, m := c.Budgets[i], month(now)
	for _, x := range []budget{
		{key: clientKey("runs", client), most: uint64(b.Runs), each: 1, text: fmt.Sprintf("%d runs", b.Runs), what: "runs"},
		{key: clientKey("rows", client), most: uint64(b.Rows), each: rows, text: fmt.Sprintf("%d rows in all runs", b.Rows), what: "rows"},
		{key: clientKey("month "+m, client), most: uint64(b.PerMonth), each: 1, text: fmt.Sprintf("%d runs a month, now in %s", b.PerMonth, m), what: "runs in " + m},
	} {
		if x.most > 0 {
			x.of, x.who = ofClient, client
			out = append(out, x)
		}
	}
	return out
}

// anyClient stands for each client that no other line of budgets names.
const anyClient = "*"

// budgetsOf returns what bounds a session that a client opens.
func (s *deployment) budgetsOf(client string, now time.Time) []budget {
	return append(s.policyBudgets(now), s.cfg.clientBudgets(client, s.rowsOfRun(), now)...)
}

// rowsOfRun is how many rows a run takes from a budget.
func (s *deployment) rowsOfRun() uint64 { return uint64(max(1, s.batch())) }

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
func (s *Server) inFlight() uint64 { return uint64(4*s.cfg.Limits.Sessions + 64) }

// left refuses if a run would exceed a budget. It counts nothing.
func (s *deployment) left(list []budget) error {
	for _, b := range list {
		n, err := s.runs.under(b, s.inFlight())
		if err != nil {
			return err
		}
		if used := n.Highest(); used+b.each > b.most {
			return b.exceeded(used)
		}
	}
	return nil
}

// count counts a run under a budget, if it allows one more.
func (s *deployment) count(b budget) error {
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
	switch {
	case full:
		return b.exceeded(before)
	case err == nil && control.Short(before+b.each, b.most):
		s.alerts.tell(alertBudget, "", fmt.Sprintf("%d of %s are used: %s", before+b.each, b.text, b.whose()), fmt.Sprintf("%x", b.key))
	}
	return err
}

// whose says who allows how much to whom.
func (b budget) whose() string {
	if b.of == ofClient {
		return fmt.Sprintf("the budget of %q", b.who)
	}
	return "the policy of " + b.who
}

// exceeded says which budget is used up.
func (b budget) exceeded(used uint64) error {
	if b.each == 1 {
		return fmt.Errorf("refused: %s allows %s, and all of them are used", b.whose(), b.text)
	}
	return fmt.Errorf("refused: %s allows %s, %d are used, and this one takes %d", b.whose(), b.text, used, b.each)
}

// allBudgets returns every budget as it stands: of the policies of all plans, and of all clients that the configuration bounds.
func (s *Server) allBudgets() (out []control.Budget, err error) {
	now, seen := s.cfg.now(), map[[32]byte]bool{}
	var list []budget
	names := slices.Clone(s.cfg.Clients)
	for _, d := range s.plans.list() {
		list = append(list, d.policyBudgets(now)...)
		users, _ := d.users()
		names = append(names, users...)
	}
	for _, b := range s.cfg.Budgets {
		names = append(names, b.Client)
	}
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		if name != anyClient {
			list = append(list, s.cfg.clientBudgets(name, 1, now)...)
		}
	}
	for _, b := range list {
		if seen[b.key] {
			continue
		}
		seen[b.key] = true
		n, err := s.runs.under(b, s.inFlight())
		if err != nil {
			return nil, err
		}
		out = append(out, control.Budget{Of: b.of, Who: b.who, What: b.what, Policy: b.policy, Most: b.most, Used: n.Highest()})
	}
	return out, nil
}

// budgetsHandler tells a member of all budgets, and a client of its own and of those of policies.
func (s *Server) budgetsHandler(_ context.Context, peer string, _ []byte) ([]byte, error) {
	if !s.mayLook(peer) {
		return nil, fmt.Errorf("%q may not see budgets: it is neither a member of %s nor a client", peer, s.name)
	}
	list, err := s.allBudgets()
	if err != nil {
		return nil, err
	}
	if !s.isMember(peer) {
		list = slices.DeleteFunc(list, func(b control.Budget) bool { return b.Of == ofClient && b.Who != peer })
	}
	return json.Marshal(control.BudgetsReply{Name: s.name, Budgets: list})
}

// budgetNumbers returns the numbers of budgets for metrics.
func (s *Server) budgetNumbers() (out []observe.BudgetNumbers) {
	list, err := s.allBudgets()
	if err != nil {
		s.log.Warn("budgets cannot be read", "error", err.Error())
	}
	for _, b := range list {
		out = append(out, observe.BudgetNumbers{Of: b.Of, Who: b.Who, What: b.What, Policy: fmt.Sprintf("%.16s", b.Policy), Most: b.Most, Used: b.Used})
	}
	return out
}
