package verify

import "smpcc/backend/plan"

// CheckCost, for tests, verifies a plan and a claim of what it costs.
func CheckCost(p *plan.Plan, cost func(*plan.Plan) *plan.Cost) *Report { return check(p, cost) }

// CheckLayout, for tests, checks programs whatever typed plan they follow from.
func CheckLayout(p *plan.Plan) *Report {
	c := newChecker(p)
	c.layout()
	c.finish()
	return c.report
}
