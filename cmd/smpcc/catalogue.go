package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/runtime/control"
)

func catalogueCommand() *cobra.Command {
	var o planOperator
	var asJSON bool
	c := &cobra.Command{
		Use:   "catalogue --config FILE",
		Short: "What an organisation's server offers: plans, and schemas of data",
		Long: `Catalogue lists the plans of a server: for what, from whose inputs, who learns which output, and what a run costs; and the data sets that its organisation has described:
names, types and ranges of columns as their owner has written them down, a rounded number of rows, and the digest of the policy. There is no data in it, and nothing that was computed from data.

Clients of the server, requesters and members may ask. smpcc request asks for a plan that is not there yet.`,
		Args: exactly(0, "no arguments"),
	}
	o.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.worker0()
		return o.each(func(op *control.Operator, role, _ string) error {
			k, err := op.Catalogue(c.Context(), role)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), k)
			}
			catalogueText(c.OutOrStdout(), role, k)
			return nil
		})
	}
	return c
}

// catalogueText writes a catalogue for people.
func catalogueText(w io.Writer, role string, k control.Catalogue) {
	for _, p := range k.Plans {
		fmt.Fprintf(w, "%s: plan %.16s %q, %s\n", role, p.Plan, p.Name, p.State)
		if len(p.Purpose) > 0 {
			fmt.Fprintf(w, "  for      %s\n", printable(strings.Join(p.Purpose, ", ")))
		}
		for _, t := range p.Inputs {
			fmt.Fprintf(w, "  input    %s of %s: %s%v, %s\n", printable(t.Name), t.Owner, t.Type, t.Shape, t.Range)
		}
		for _, t := range p.Outputs {
			fmt.Fprintf(w, "  output   %s to %s: %s%v\n", printable(t.Name), strings.Join(t.To, ", "), t.Type, t.Shape)
		}
		fmt.Fprintf(w, "  cost     %s and %s online, %s before, %s of memory\n", counted(p.Rounds, "round"), bytesText(p.Bytes), bytesText(p.Dealt), bytesText(p.Memory))
		for _, r := range p.Policies {
			fmt.Fprintf(w, "  policy   of %s, sha-256 %s\n", r.Owner, r.Digest)
		}
		if len(p.Clients) > 0 {
			fmt.Fprintf(w, "  clients  %s\n", strings.Join(p.Clients, ", "))
		}
	}
	for _, d := range k.Datasets {
		fmt.Fprintf(w, "%s: data %q, %s rows\n", role, d.Name, d.Rows)
		if d.About != "" {
			fmt.Fprintf(w, "  about    %s\n", printable(d.About))
		}
		if d.Policy != "" {
			fmt.Fprintf(w, "  policy   sha-256 %s\n", d.Policy)
		}
		for _, x := range d.Columns {
			fmt.Fprintf(w, "  column   %s\n", columnText(x))
		}
	}
	if len(k.Plans)+len(k.Datasets) == 0 {
		fmt.Fprintf(w, "%s offers nothing\n", role)
	}
}

// columnText says what a column of a data set holds.
func columnText(x control.DatasetColumn) string {
	s := fmt.Sprintf("%s: %s", printable(x.Name), x.Type)
	if x.Lo != nil && x.Hi != nil {
		s += fmt.Sprintf(", %g..%g", *x.Lo, *x.Hi)
	}
	if x.Unit != "" {
		s += " " + printable(x.Unit)
	}
	if len(x.Words) > 0 {
		s += ", one of " + printable(strings.Join(x.Words, ", "))
	}
	return s
}

func historyCommand() *cobra.Command {
	var o planOperator
	var q control.HistoryRequest
	var what string
	var asJSON bool
	c := &cobra.Command{
		Use:   "history --config FILE",
		Short: "What has run at a server: for which client, who learned of it, on how many rows, and how it ended",
		Long: `History reads the log of a running server, the latest first. Members of the organisation see everything, clients what they have opened themselves. smpcc log verify checks, on the file
itself, that the log is unbroken; the hash of its last entry, which --json prints, is what to note for that.`,
		Args: exactly(0, "no arguments"),
	}
	o.flags(c)
	f := c.Flags()
	f.StringVar(&q.Plan, "plan", "", "of one plan, by the start of its `DIGEST`")
	f.StringVar(&q.Client, "client", "", "what one `NAME` has opened, sent or decided")
	f.StringVar(&what, "what", "", "only `KIND`: session, setup, material, request, deploy, withdraw, start")
	f.IntVar(&q.Most, "most", 50, "at most `N`, of each server")
	f.Uint64Var(&q.Before, "before", 0, "those before entry `N` of the log")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if q.Most < 1 || q.Most > control.MaxRuns {
			return usagef("--most %d: want 1 to %d", q.Most, control.MaxRuns)
		}
		if strings.Trim(q.Plan, "0123456789abcdef") != "" || len(q.Plan) > 64 {
			return usagef("--plan %s: want the start of a digest", q.Plan)
		}
		t := newTable(c.OutOrStdout(), "server", "entry", "time", "what", "number", "plan", "client", "who learns", "rows", "decision", "ended", "runs left", "reason")
		var older []string
		if err := o.each(func(op *control.Operator, role, suffix string) error {
			r, err := op.History(c.Context(), role, q)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), r)
			}
			number := func(n uint64) string {
				if n == 0 {
					return ""
				}
				return strconv.FormatUint(n, 10)
			}
			for _, x := range r.Runs {
				if what == "" || x.What == what {
					t.row(role+suffix, strconv.FormatUint(x.Entry, 10), x.Time.UTC().Format(time.RFC3339), x.What, number(x.Number), fmt.Sprintf("%.16s", x.Plan), printable(x.Client), strings.Join(x.Receivers, ", "), number(uint64(x.Rows)), x.Decision, x.Ended, strings.Join(x.Left, ", "), printable(x.Reason))
				}
			}
			if r.Before > 0 {
				older = append(older, fmt.Sprintf("%s%s has more: --before %d", role, suffix, r.Before))
			}
			return nil
		}); err != nil || asJSON {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
		for _, line := range older {
			fmt.Fprintln(c.OutOrStdout(), line)
		}
		return nil
	}
	return c
}

func budgetCommand() *cobra.Command {
	var o planOperator
	var asJSON bool
	c := &cobra.Command{
		Use:   "budget --config FILE",
		Short: "What policies and a server's configuration allow in all, and how much of it is left",
		Long: `Budget lists what an owner's policy allows of all runs under it (max_runs, max_rows, runs_per_month), and what the server's configuration allows each client (budgets:). Both are counted
in the server's ledger, and enforced before a session begins. What clients have is shown to members, and to each client its own. A ! marks what is used to 80 % or more.`,
		Args: exactly(0, "no arguments"),
	}
	o.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		t := newTable(c.OutOrStdout(), "server", "of", "who", "what", "allowed", "used", "left", "")
		var failed error
		if err := o.each(func(op *control.Operator, role, suffix string) error {
			r, err := op.Budgets(c.Context(), role)
			if err != nil { // what the others say is of use all the same
				failed = errors.Join(failed, err)
				return nil
			}
			if asJSON {
				return writeJSON(c.OutOrStdout(), r)
			}
			for _, b := range r.Budgets {
				mark := ""
				if b.Short() {
					mark = "!"
				}
				t.row(role+suffix, b.Of, printable(b.Who), b.What, strconv.FormatUint(b.Most, 10), strconv.FormatUint(b.Used, 10), strconv.FormatUint(b.Left(), 10), mark)
			}
			return nil
		}); err != nil || asJSON {
			return errors.Join(err, failed)
		}
		return errors.Join(t.flush(), failed)
	}
	return c
}
