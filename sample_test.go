package smpcc_test

import (
	"os"
	"testing"
)

// allCases reports whether every case of a long table runs: at night (SMPCC_NIGHTLY). In between a fixed share of them does, which
// has all rows of the table and goes through the columns in turn.
func allCases() bool { return os.Getenv("SMPCC_NIGHTLY") != "" }

// ofNumbers skips a test under -short, which is how the race detector runs: it compiles and evaluates in one goroutine, so there is
// no race that it could find.
func ofNumbers(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of one goroutine")
	}
}
