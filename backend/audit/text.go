package audit

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"smpcc/backend/plan"
	"strings"
	"text/tabwriter"
	"time"
)

// writeText writes the audit for a person: first what there is to decide, on one screen.
func writeText(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "plan    %s\ngraph   %s\nby      %s\nparties %s; dealer %s\n", a.PlanDigest, a.GraphDigest, a.Compiler, strings.Join(a.Parties, ", "), a.Dealer)
	fmt.Fprintf(w, "security against %s parties; ring up to %d bits, %d fraction bits\n", a.Protocol.Security, a.Protocol.RingBits, a.Protocol.FracBits)
	if a.View != nil {
		return writeView(w, a.View)
	}
	for _, part := range []func(io.Writer, *Report) error{textFindings, textLearns, textGuards, textInference, textProvides, textGuests, textAccuracy, textSent, textPublic, textCost} {
		if err := part(w, a); err != nil {
			return err
		}
	}
	return nil
}

// list writes a title and one line for each item.
func list(w io.Writer, title string, items []string) error {
	fmt.Fprintf(w, "\n%s\n", title)
	for _, s := range items {
		fmt.Fprintf(w, "  - %s\n", s)
	}
	return nil
}

// tally counts findings by severity: 1 high, 2 low.
func tally(findings []Finding) string {
	var parts []string
	for _, s := range Severities {
		n := 0
		for _, f := range findings {
			if f.Severity == s {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ", ")
}

func textFindings(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "\nFindings, to decide about: %s\n", tally(a.Findings))
	for i, f := range a.Findings {
		fmt.Fprintf(w, "  %-6s %s [%s]\n", f.Severity, f.Text, f.ID())
		if i+1 == len(a.Findings) || a.Findings[i+1].Rule != f.Rule || a.Findings[i+1].Do != f.Do {
			fmt.Fprintf(w, "         to do: %s\n", f.Do)
		}
	}
	return nil
}

func textProvides(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "\nWho provides what\n")
	t := columns(w, "  owner", "what", "name", "type", "range")
	for _, p := range a.Provides {
		t.row("  "+p.Owner, p.Kind, p.Name, p.Type, fmt.Sprintf("%s..%s %s", plan.Decimal(p.Lo), plan.Decimal(p.Hi), p.From))
	}
	return t.Flush()
}

// A group is receivers who learn one output for the same reasons.
type group struct {
	Learned
	Receivers string
}

// groups lists who learns what, receivers of one output for the same reasons together.
func (r *Report) groups() (out []group) {
	for _, o := range r.Learns {
		i := slices.IndexFunc(out, func(g group) bool { return g.Output == o.Output && slices.Equal(g.Because, o.Because) })
		if i < 0 {
			out = append(out, group{o, o.Receiver})
			continue
		}
		out[i].Receivers += ", " + o.Receiver
	}
	return out
}

func textLearns(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "\nWho learns what, and why it is allowed\n")
	for _, g := range a.groups() {
		fmt.Fprintf(w, "  %s: %s (%s)\n", g.Receivers, g.Output, g.Type)
		for _, b := range g.Because {
			fmt.Fprintf(w, "    %s\n", b)
		}
	}
	return nil
}

func textInference(w io.Writer, a *Report) error {
	if len(a.Inference) == 0 {
		return nil
	}
	return list(w, "What receivers can compute of others' data, as far as it is linear algebra", a.inferences())
}

func textAccuracy(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "\nHow close the outputs are to the exact ones\n")
	for _, x := range a.Accuracy {
		fmt.Fprintf(w, "  %s: %s\n", x.Output, x.Words)
	}
	return nil
}

func textGuards(w io.Writer, a *Report) error {
	if len(a.Guards) > 0 {
		fmt.Fprintf(w, "\nWhat the policies ask of every run; servers enforce it\n")
		for _, g := range a.Guards {
			for _, s := range g.sentences() {
				fmt.Fprintf(w, "  %s: %s\n", g.Owner, s)
			}
		}
	}
	fmt.Fprintf(w, "\nPolicies\n")
	for _, p := range a.Policies {
		fmt.Fprintf(w, "  %s: %s, sha-256 %s\n", p.Owner, p.File, p.Digest)
	}
	writeSigned(w, a)
	return nil
}

func textSent(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "\nWhat is sent, all of it masked\n")
	t := columns(w, "  phase", "kind", "tensors", "bits", "masked by")
	for _, o := range a.Openings {
		t.row("  "+o.Phase, o.Kind, fmt.Sprint(o.Count), fmt.Sprint(o.Bits), o.Mask)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nVerified: %s\n", a.Verified)
	return err
}

func textPublic(w io.Writer, a *Report) error {
	if err := errors.Join(list(w, "What becomes public besides", a.Public), list(w, "What this rests on", a.Trust)); err != nil {
		return err
	}
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
	return nil
}

func textCost(w io.Writer, a *Report) error {
	fmt.Fprintf(w, "\nWhat a run costs\n")
	for _, c := range a.Cost {
		most := int64(0)
		for _, n := range c.BytesSent {
			most = max(most, n)
		}
		fmt.Fprintf(w, "  %s: %d rounds, at most %s sent by a role\n", c.Phase, c.Rounds, plan.Bytes(most))
	}
	_, err := fmt.Fprintf(w, "  material: %s of %s a session, everything else expanded from keys\n\nWords: smpcc audit words says what each means, in one sentence\n", plan.Bytes(a.DealtBytes), a.dealt)
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
	if len(g.Purpose) > 0 {
		out = append(out, "the data is for "+strings.Join(g.Purpose, ", ")+"; nothing checks this")
	}
	if g.MaxRuns > 0 {
		out = append(out, "at most "+atMost(g.MaxRuns, "run")+", of all plans under this policy together")
	}
	if g.PerMonth > 0 {
		out = append(out, "at most "+atMost(g.PerMonth, "run")+" in a month of the calendar, of all plans under this policy together")
	}
	if g.MaxRows > 0 {
		out = append(out, "at most "+atMost(g.MaxRows, "row")+" in all runs, of all plans under this policy together")
	}
	if g.MaxBatch > 0 {
		out = append(out, fmt.Sprintf("at most %d rows of any input", g.MaxBatch))
	}
	if g.MinBatch > 0 {
		out = append(out, fmt.Sprintf("at least %d rows of each of its inputs", g.MinBatch))
	}
	if g.Expires != "" {
		said := "before " + g.Expires
		if t, err := time.Parse(time.RFC3339, g.Expires); err == nil && !time.Now().Before(t) {
			said += ", which is over: servers refuse to run this plan"
		}
		out = append(out, said)
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
