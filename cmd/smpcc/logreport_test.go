package main

import (
	"bytes"
	"encoding/csv"
	"path/filepath"
	"strings"
	"testing"

	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
)

// TestLogReport writes a log and reads back what a report says of it, also where names look like markup or formulas.
func TestLogReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "audit.log")
	l, err := attest.OpenLog(disk.Machine, file, "p1")
	if err != nil {
		t.Fatal(err)
	}
	session := func(id uint64, decision, reason, client string) attest.Event {
		return attest.Event{What: "session", Role: "p1", Plan: strings.Repeat("ab", 32), Session: id, Decision: decision, Reason: reason, Client: client, Receivers: []string{"p1", "p0"}, Rows: 31, Left: []attest.RunsLeft{{Owner: "p1", Runs: 10 - id}}, Approvals: []string{"ed25519:K"}, Revoked: []string{"ed25519:R"}}
	}
	for _, e := range []attest.Event{
		{What: "start", Role: "p1", Plan: strings.Repeat("ab", 32), Decision: "allowed", Reason: "policy 00"},
		session(1, "allowed", "", "clinic"), session(2, "allowed", "", "=HYPERLINK(1)|<b>"),
		{What: "ended", Role: "p1", Plan: strings.Repeat("ab", 32), Session: 2, Decision: "failed"},
		{What: "ended", Role: "p1", Plan: strings.Repeat("ab", 32), Session: 1, Decision: "done"},
		session(3, "refused", "refused: the policy of p1 allows 2 runs", "clinic"),
	} {
		if err := l.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	report := func(args ...string) string {
		t.Helper()
		var out bytes.Buffer
		c := logReportCommand()
		c.SetArgs(append([]string{file}, args...))
		c.SetOut(&out)
		c.SilenceErrors, c.SilenceUsage = true, true
		if err := c.Execute(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	rows, err := csv.NewReader(strings.NewReader(report("--format", "csv"))).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, want := range [][]string{nil, nil,
		{"2", "session", "1", "abababababababab", "clinic", "p1 p0", "31", "allowed", "done", "p1:9", "ed25519:K (taken back: ed25519:R)", ""},
		{"3", "session", "2", "abababababababab", "'=HYPERLINK(1)|<b>", "p1 p0", "31", "allowed", "failed", "p1:8", "ed25519:K (taken back: ed25519:R)", ""},
		{"6", "session", "3", "abababababababab", "clinic", "p1 p0", "31", "refused", "", "p1:7", "ed25519:K (taken back: ed25519:R)", "refused: the policy of p1 allows 2 runs"},
	} {
		if want == nil {
			continue
		}
		got := append([]string{rows[i][0]}, rows[i][2:]...)
		if strings.Join(got, ";") != strings.Join(want, ";") {
			t.Errorf("row %d is %q, want %q", i, got, want)
		}
	}
	md := report()
	for _, want := range []string{"# Runs at p1\n", "| abababababababab | session | 2 | 1 | 1 | 1 |", `=HYPERLINK(1)\|&lt;b&gt;`, "The log has 6 entries, unbroken"} {
		if !strings.Contains(md, want) {
			t.Errorf("the report lacks %q:\n%s", want, md)
		}
	}
	if none := report("--from", "2001-01-01", "--to", "2001-12-31", "--format", "csv"); strings.Count(none, "\n") != 1 {
		t.Errorf("a year without runs: %s", none)
	}
	if all := report("--from", "2001-01-01", "--to", "2999-12-31", "--format", "csv"); strings.Count(all, "\n") != 5 {
		t.Errorf("all years: %s", all)
	}
}
