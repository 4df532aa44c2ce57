package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/audit"
	"smpcc/backend/plan"
	"smpcc/ir/diag"
)

func auditCommand() *cobra.Command {
	var s source
	var format string
	c := &cobra.Command{
		Use:   "audit PLAN|MODEL|PROGRAM",
		Short: "Who provides what, who learns what and why the policy allows it, what becomes public besides",
		Long: `Audit reads everything off the plan: who provides what, who learns what and which line of whose policy allows it, what
becomes public besides, whom one has to trust, and what a run costs.

` + audit.Reports.Help(),
		Args: exactly(1, "one PLAN, MODEL or PROGRAM"),
	}
	s.flags(c)
	c.Flags().StringVar(&format, "format", "text", audit.Reports.Names())
	c.AddCommand(auditDiffCommand())
	c.RunE = func(c *cobra.Command, args []string) error {
		as := audit.Reports.Find(format)
		if as == nil {
			return usagef("--format %s: want %s", format, audit.Reports.Names())
		}
		p, _, err := s.load(c, args[0], nil)
		if err != nil && format == "sarif" {
			return errors.Join(err, audit.WriteRefusal(c.OutOrStdout(), smpcc.Version, err))
		}
		if err != nil {
			return err
		}
		r, err := audit.Of(p)
		if err != nil {
			return err
		}
		signed, err := signedBeside(p, args[0], time.Now())
		if err != nil {
			return err
		}
		r.Signed(signed)
		return as.Write(c.OutOrStdout(), r)
	}
	return c
}

func auditDiffCommand() *cobra.Command {
	var format string
	var failOn []string
	var more bool
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "What changed in who learns what between two plans",
		Long: `Diff compares two plans: who learns what of whose data, what the outputs compute, in which form and how precisely, who holds shares and
who deals, and what the policies ask of every run. What derives from a receiver's own data only is no news to it. What cannot be ordered, as
two functions cannot, counts as more.

It exits with 0 whatever it finds; with --fail-on it exits with 3 if there is a change of these:
` + gatesText() + `

` + audit.Diffs.Help(),
		Args: exactly(2, "two plans, OLD and NEW"),
	}
	c.Flags().StringVar(&format, "format", "text", audit.Diffs.Names())
	c.Flags().StringSliceVar(&failOn, "fail-on", nil, "exit with 3 at changes of `GATES`: more, graph, roles, any; several with commas")
	c.Flags().BoolVar(&more, "fail-on-more", false, "the same as --fail-on more")
	c.RunE = func(c *cobra.Command, args []string) error {
		as := audit.Diffs.Find(format)
		if as == nil {
			return usagef("--format %s: want %s", format, audit.Diffs.Names())
		}
		if more {
			failOn = append(failOn, "more")
		}
		for _, g := range failOn {
			if !slices.ContainsFunc(audit.Gates, func(x audit.Gate) bool { return x.Name == g }) {
				return usagef("--fail-on %s: want more, graph, roles or any", g)
			}
		}
		var plans [2]*plan.Plan
		for i, f := range args {
			var err error
			if plans[i], err = readPlan(f); err != nil {
				return err
			}
		}
		d, err := audit.Compare(plans[0], plans[1])
		if err != nil {
			return err
		}
		if err := as.Write(c.OutOrStdout(), d); err != nil {
			return err
		}
		for _, g := range failOn {
			list, _ := d.Stopped(g)
			if len(list) == 0 {
				continue
			}
			what := "changes what --fail-on " + g + " stops for,"
			if g == "more" {
				what = "reveals or allows more than " + args[0]
			}
			return &diag.Error{Pos: diag.Pos{File: args[1]}, Kind: diag.Policy, Msg: fmt.Sprintf("refused: %s in %s", what, counted(len(list), "way")), Hint: "if that is meant, have the owners approve the new plan by its digest"}
		}
		return nil
	}
	return c
}

// counted says how many there are of what.
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// gatesText lists the gates for the help text.
func gatesText() string {
	var lines []string
	for _, g := range audit.Gates {
		lines = append(lines, fmt.Sprintf("  %-6s %s", g.Name, g.Doc))
	}
	return strings.Join(lines, "\n")
}
