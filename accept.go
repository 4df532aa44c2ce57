package smpcc

import (
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/ir/diag"
)

// check verifies a plan; tests replace it.
var check = verify.Check

// accept is the last step of a compilation: nobody is given a plan that the verifier, and with it every server, refuses. A finding
// here is a mistake of the compiler's and never of its user's.
func accept(source string, p *plan.Plan) error {
	err := check(p).Err()
	if err == nil {
		return nil
	}
	return diag.Errorf(diag.Pos{File: source}, "internal error: the compiled plan does not verify: %v", err).
		WithHint("please report it with the source; nothing was written, and no server would run such a plan")
}

// Accept refuses a plan that does not verify. It is for plans that come from a file, whose maker may have been anybody.
func Accept(name string, p *plan.Plan) error {
	r := check(p)
	if r.OK {
		return nil
	}
	return diag.Errorf(diag.Pos{File: name}, "the plan does not verify: %v", r.Err()).
		WithHint("smpcc verify %s lists all findings; compile the source again, and report it if that does not help", name)
}
