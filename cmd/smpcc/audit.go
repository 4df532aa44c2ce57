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
)

func auditCommand() *cobra.Command {
	s := source{compares: true}
	var format, failOn, view, record string
	var operators []string
	c := &cobra.Command{
		Use:   "audit PLAN|MODEL|PROGRAM",
		Short: "Who provides what, who learns what and why the policy allows it, what becomes public besides",
		Long: `Audit reads everything off the plan: who provides what, who learns what and which line of whose policy allows it, what
becomes public besides, whom one has to trust, and what a run costs. First come findings, which somebody decides about, each with a
severity (high, medium, low), a name, and what to do; with --fail-on the exit code is 3 if there is one of that severity or a higher one.
With a PLAN, --policy FILE compares a policy as it stands now with the one that the plan was compiled under, and finds rules that match
nothing. --record FILE writes what an organisation keeps: the audit after article 35(7) of the GDPR, with what FILE says of purpose, legal
basis, data, persons and retention, and a decision about each finding; with --fail-on it exits with 3 unless the record is complete.
--operator says who runs a role, which no plan knows.

` + audit.Reports.Help(),
		Args: exactly(1, "one PLAN, MODEL or PROGRAM"),
	}
	s.flags(c)
	c.Flags().StringVar(&format, "format", "text", audit.Reports.Names())
	c.Flags().StringVar(&failOn, "fail-on", "", "exit with 3 if there is a finding of `SEVERITY` or a higher one: high, medium or low")
	c.Flags().StringArrayVar(&operators, "operator", nil, "who runs a role, `ROLE=WHO`: roles of one organisation that must not collude are a finding")
	c.Flags().StringVar(&view, "view", "", "the plan as one `ROLE` sees it: what it gives, learns and receives, from whom and under which mask, what it could infer, with whom it must not collude")
	c.Flags().StringVar(&record, "record", "", "write the record of an audit, with what `FILE` says of purpose, data, persons, decisions; --format "+audit.Records.Names())
	c.AddCommand(auditDiffCommand(), auditWordsCommand())
	c.RunE = func(c *cobra.Command, args []string) error {
		as, recordAs := audit.Reports.Find(format), audit.Records.Find(format)
		if record != "" && !c.Flags().Changed("format") {
			recordAs = &audit.Records[0]
		}
		switch {
		case record != "" && recordAs == nil:
			return usagef("--record with --format %s: want %s", format, audit.Records.Names())
		case record == "" && as == nil:
			return usagef("--format %s: want %s", format, audit.Reports.Names())
		}
		if failOn != "" && !slices.Contains(audit.Severities, audit.Severity(failOn)) {
			return usagef("--fail-on %s: want high, medium or low", failOn)
		}
		opt, err := auditOptions(s.policies, operators)
		if err != nil {
			return err
		}
		p, _, err := s.load(c, args[0], nil)
		if err != nil && format == "sarif" {
			return errors.Join(err, audit.WriteRefusal(c.OutOrStdout(), smpcc.Version, err))
		}
		if err != nil {
			return err
		}
		for role := range opt.Operators {
			if !slices.Contains(p.Roles(), role) {
				return usagef("--operator %s=%s: the roles are %s", role, opt.Operators[role], strings.Join(p.Roles(), ", "))
			}
		}
		if opt.View = view; view != "" && !slices.Contains(append(p.Roles(), p.Manifest.Guests...), view) {
			return usagef("--view %s: the roles are %s", view, strings.Join(append(p.Roles(), p.Manifest.Guests...), ", "))
		}
		r, err := audit.Of(p, opt)
		if err != nil {
			return err
		}
		signed, err := signedBeside(p, args[0], time.Now())
		if err != nil {
			return err
		}
		r.Signed(signed)
		if record != "" {
			x, err := audit.ReadRecord(record, r)
			if err != nil {
				return err
			}
			if err := recordAs.Write(c.OutOrStdout(), x); err != nil || failOn == "" || x.Complete() {
				return err
			}
			return refusedf(record, "decide about every finding under decisions:, and say what is missing", "refused: the record is %s", x.Verdict)
		}
		if err := as.Write(c.OutOrStdout(), r); err != nil || failOn == "" {
			return err
		}
		if list := r.AtLeast(audit.Severity(failOn)); len(list) > 0 {
			return refusedf(args[0], list[0].Do, "refused: %s of severity %s or higher, the first %s", counted(len(list), "finding"), failOn, list[0].ID())
		}
		return nil
	}
	return c
}

// auditOptions is what the user tells an audit besides the plan.
func auditOptions(policies, operators []string) (audit.Options, error) {
	opt := audit.Options{Now: time.Now()}
	var err error
	if opt.Operators, err = pairs("operator", operators); err != nil {
		return opt, err
	}
	for _, file := range policies {
		p, err := readPolicy(file)
		if err != nil {
			return opt, err
		}
		x := audit.PolicyFile{Owner: p.Owner, File: p.File, Digest: p.Digest}
		for _, r := range p.Allow {
			x.Rules = append(x.Rules, audit.PolicyRule{Output: r.Output, To: r.To, From: r.From, Line: r.Line})
		}
		opt.Policies = append(opt.Policies, x)
	}
	return opt, nil
}

func auditWordsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "words",
		Short: "The words of an audit, each in one sentence",
		Long: `Words prints what the words mean on which an audit rests, such as share, opening and semi-honest, each in one sentence for people who know
the law and not the field. Every page of smpcc audit --format html has them too.`,
		Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return audit.WriteWords(c.OutOrStdout()) },
	}
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
			return refusedf(args[1], "if that is meant, have the owners approve the new plan by its digest", "refused: %s in %s", what, counted(len(list), "way"))
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
