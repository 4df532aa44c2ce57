package audit

import (
	"fmt"
	"io"
	"slices"
	"smpcc/backend/plan"
	"strings"
	"text/tabwriter"
	"time"
)

// writeText writes the audit for a person.
func writeText(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "plan    %s\ngraph   %s\nby      %s\nparties %s; dealer %s\n", a.PlanDigest, a.GraphDigest, a.Compiler, strings.Join(a.Parties, ", "), a.Dealer)
	fmt.Fprintf(w, "security against %s parties; ring up to %d bits, %d fraction bits\n", a.Protocol.Security, a.Protocol.RingBits, a.Protocol.FracBits)
	fmt.Fprintf(w, "\nWho provides what\n")
	t := columns(w, "  owner", "what", "name", "type", "range")
	for _, p := range a.Provides {
		t.row("  "+p.Owner, p.Kind, p.Name, p.Type, fmt.Sprintf("%g..%g %s", p.Lo, p.Hi, p.From))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWho learns what, and why it is allowed\n")
	for i, o := range a.Learns {
		who, told := o.Receiver, false // receivers of one output for the same reasons share a paragraph
		for k, p := range a.Learns {
			if p.Output == o.Output && slices.Equal(p.Because, o.Because) && k != i {
				told = told || k < i
				who += ", " + p.Receiver
			}
		}
		if told {
			continue
		}
		fmt.Fprintf(w, "  %s: %s (%s)\n", who, o.Output, o.Type)
		for _, b := range o.Because {
			fmt.Fprintf(w, "    %s\n", b)
		}
	}
	fmt.Fprintf(w, "\nHow close the outputs are to the exact ones\n")
	for _, x := range a.Accuracy {
		fmt.Fprintf(w, "  %s: %s\n", x.Output, x.Words)
	}
	fmt.Fprintf(w, "\nPolicies\n")
	for _, p := range a.Policies {
		fmt.Fprintf(w, "  %s: %s, sha-256 %s\n", p.Owner, p.File, p.Digest)
	}
	if len(a.Guards) > 0 {
		fmt.Fprintf(w, "\nWhat the policies ask of every run; servers enforce it\n")
		for _, g := range a.Guards {
			for _, s := range g.sentences() {
				fmt.Fprintf(w, "  %s: %s\n", g.Owner, s)
			}
		}
	}
	writeSigned(w, a)
	fmt.Fprintf(w, "\nWhat is sent, all of it masked\n")
	t = columns(w, "  phase", "kind", "tensors", "bits", "masked by")
	for _, o := range a.Openings {
		t.row("  "+o.Phase, o.Kind, fmt.Sprint(o.Count), fmt.Sprint(o.Bits), o.Mask)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nVerified: %s\n", a.Verified)
	list := func(title string, items []string) {
		fmt.Fprintf(w, "\n%s\n", title)
		for _, s := range items {
			fmt.Fprintf(w, "  - %s\n", s)
		}
	}
	list("What becomes public besides", a.Public)
	list("What this rests on", a.Trust)
	fmt.Fprintf(w, "\nRanges\n")
	for _, r := range a.Ranges {
		fmt.Fprintf(w, "  %d %s\n", r.Count, r.Origin)
	}
	const shown = 20
	for i, s := range a.Assumed {
		if i == shown {
			fmt.Fprintf(w, "    ... %d more; --format json lists all\n", len(a.Assumed)-shown)
			break
		}
		fmt.Fprintf(w, "    %s\n", s)
	}
	fmt.Fprintf(w, "\nFormats\n")
	for _, f := range a.Formats {
		fmt.Fprintf(w, "  %d values of %d bits\n", f.Count, f.Bits)
	}
	fmt.Fprintf(w, "\nWhat a run costs\n")
	for _, c := range a.Cost {
		most := int64(0)
		for _, n := range c.BytesSent {
			most = max(most, n)
		}
		fmt.Fprintf(w, "  %s: %d rounds, at most %s sent by a role\n", c.Phase, c.Rounds, plan.Bytes(most))
	}
	_, err := fmt.Fprintf(w, "  material: %s of %s a session, everything else expanded from keys\n", plan.Bytes(a.DealtBytes), a.dealt)
	return err
}

// expiry renders a time in seconds since 1970; "" for none.
func expiry(t int64) string {
	if t == 0 {
		return ""
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

// sentences says what the guard asks for.
func (g Guard) sentences() []string {
	var out []string
	if g.MaxRuns > 0 {
		out = append(out, "at most "+atMost(g.MaxRuns, "run")+", of all plans under this policy together")
	}
	if g.MinBatch > 0 {
		out = append(out, fmt.Sprintf("at least %d rows of each of its inputs", g.MinBatch))
	}
	if g.Expires != "" {
		out = append(out, "before "+g.Expires)
	}
	if len(g.Approve) > 0 {
		out = append(out, "the plan's digest is approved by "+approvers(g.Approve, g.AtLeast))
	}
	if len(g.Models) > 0 {
		out = append(out, "the weights of others are bound by "+strings.Join(g.Models, " or "))
	}
	if g.RangesWithheld {
		out = append(out, "no range and no format derives from its data")
	}
	return out
}

// A table aligns columns.
type table struct{ *tabwriter.Writer }

func columns(w io.Writer, head ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	t.row(head...)
	return t
}

// row adds a row; an error shows when the table is flushed.
func (t table) row(cells ...string) {
	fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), "\t "))
}
