package smpcc

import (
	"smpcc/backend/plan"
	"smpcc/backend/verify"
)

// ReplaceCheck replaces the verification of compiled plans until the returned function is called.
func ReplaceCheck(f func(*plan.Plan) *verify.Report) (restore func()) {
	old := check
	check = f
	return func() { check = old }
}
