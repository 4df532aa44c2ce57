package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"smpcc/backend/audit"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/runtime/console"
)

// consoleAuditor is what reads plans for a server's console, as the commands do.
func consoleAuditor() console.Auditor {
	html := func(write func(io.Writer, *audit.Report) error) func(io.Writer, *plan.Plan) error {
		return func(w io.Writer, p *plan.Plan) error {
			r, err := audit.Of(p, audit.Options{Now: time.Now()})
			if err != nil {
				return err
			}
			return write(w, r)
		}
	}
	return console.Auditor{
		Summary: consoleSummary,
		Page:    html(audit.Reports.Find("html").Write),
		Diff: func(old, now *plan.Plan) (out []console.Change, err error) {
			d, err := audit.Compare(old, now)
			if err != nil {
				return nil, err
			}
			for _, c := range d.Changes {
				out = append(out, console.Change{Way: string(c.Way), Aspect: c.Aspect, Text: c.Text})
			}
			return out, nil
		},
		Compare: func(w io.Writer, old, now *plan.Plan) error {
			d, err := audit.Compare(old, now)
			if err != nil {
				return err
			}
			return audit.Diffs.Find("html").Write(w, d)
		},
	}
}

// consoleSummary says what a plan does, for a page.
func consoleSummary(p *plan.Plan) (*console.Summary, error) {
	s := &console.Summary{}
	if v := verify.Check(p); !v.OK {
		for _, f := range v.Findings {
			s.Wrong = append(s.Wrong, fmt.Sprint(f))
		}
		return s, nil
	}
	a, err := audit.Of(p, audit.Options{Now: time.Now()})
	if err != nil {
		return nil, err
	}
	s.Verified = a.Verified
	for _, l := range a.Learns {
		s.Learns = append(s.Learns, console.Learned{Who: l.Receiver, What: fmt.Sprintf("%s (%s)", l.Output, l.Type), Because: l.Because})
	}
	for _, x := range a.Provides {
		s.Provides = append(s.Provides, fmt.Sprintf("%s: %s %s (%s), %g..%g", x.Owner, x.Kind, x.Name, x.Type, x.Lo, x.Hi))
	}
	for _, f := range a.Findings {
		s.Findings = append(s.Findings, console.Finding{Severity: string(f.Severity), Text: f.Text, Do: f.Do})
	}
	for _, ph := range a.Cost {
		most := slices.Max(append([]int64{0}, sentBy(ph)...))
		s.Cost = append(s.Cost, fmt.Sprintf("%s: %s, at most %s sent by a role", ph.Phase, counted(ph.Rounds, "round"), bytesText(most)))
	}
	return s, nil
}

// sentBy returns what each role sends in a phase.
func sentBy(ph audit.Phase) (out []int64) {
	for _, role := range sortedKeys(ph.BytesSent) {
		out = append(out, ph.BytesSent[role])
	}
	return out
}
