package main

import (
	"errors"
	"fmt"

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
		return as.Write(c.OutOrStdout(), r)
	}
	return c
}

func auditDiffCommand() *cobra.Command {
	var format string
	var fail bool
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "What changed in who learns what between two plans",
		Long: `Diff compares two plans by what receivers learn of whose data and in which form, and by what the policies ask of every run.
It exits with 0 whatever it finds; with --fail-on-more it exits with 3 if the new plan reveals or allows more.`,
		Args: exactly(2, "two plans, OLD and NEW"),
	}
	c.Flags().StringVar(&format, "format", "text", audit.Diffs.Names())
	c.Flags().BoolVar(&fail, "fail-on-more", false, "exit with 3 if the new plan reveals more")
	c.RunE = func(c *cobra.Command, args []string) error {
		as := audit.Diffs.Find(format)
		if as == nil {
			return usagef("--format %s: want %s", format, audit.Diffs.Names())
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
		if fail && len(d.More) > 0 {
			return &diag.Error{Pos: diag.Pos{File: args[1]}, Kind: diag.Policy, Msg: fmt.Sprintf("refused: reveals or allows more than %s in %d ways", args[0], len(d.More)), Hint: "if that is meant, have the owners approve the new plan by its digest"}
		}
		return nil
	}
	return c
}
