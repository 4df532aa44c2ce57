package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

func policyCommands() []*cobra.Command {
	return []*cobra.Command{policyCheckCommand(), policyExplainCommand(), policyTestCommand(), policyDiffCommand(), policyInitCommand()}
}

func readPolicy(path string) (*policy.Policy, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return policy.Parse(path, data)
}

// refusedf is an error that ends with the exit code of policies.
func refusedf(file, hint, format string, args ...any) error {
	return &diag.Error{Pos: diag.Pos{File: file}, Kind: diag.Policy, Msg: fmt.Sprintf(format, args...), Hint: hint}
}

func policyCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE... [PLAN]",
		Short: "Check policy files, and plans against them; all mistakes are reported with their lines",
		Long: `Check reads policy files and reports every mistake with its line. Of a PLAN it says whether the policies allow it, as compiling it under
them would; it ends with exit code 3 if one does not, or if the plan was not compiled under it, as that owner's server would not run it.`,
		Args: atLeast(1, "policy FILEs"),
		RunE: func(c *cobra.Command, args []string) error {
			owners := map[string]string{}
			var policies []*policy.Policy
			plans := map[string]*plan.Plan{}
			for _, f := range args {
				data, err := os.ReadFile(f)
				if err != nil {
					return err
				}
				if plan.IsPlan(data) {
					if plans[f], err = readPlan(f); err != nil {
						return err
					}
					continue
				}
				p, err := policy.Parse(f, data)
				if err != nil {
					return err
				}
				if first := owners[p.Owner]; first != "" {
					return fmt.Errorf("%s and %s are both policies of %s; an owner has one", first, f, p.Owner)
				}
				owners[p.Owner] = f
				policies = append(policies, p)
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: policy of %s, version %d, %d rules, sha-256 %s\n", f, p.Owner, policy.Version, len(p.Allow), p.Digest); err != nil {
					return err
				}
			}
			for _, f := range sortedKeys(plans) {
				others, err := smpcc.CheckPolicies(plans[f], policies)
				if err != nil {
					return err
				}
				if len(others) > 0 {
					return refusedf(f, "compile it again with --policy", "the policies allow it, but it was not compiled under that of %s, whose server will not run it", strings.Join(others, ", "))
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: plan %.16s is allowed, and was compiled under %s\n", f, plans[f].Digest(), strings.Join(sortedKeys(owners), ", ")); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func policyExplainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain FILE",
		Short: "Say in sentences what a policy allows and what it asks for, with the line of each",
		Args:  exactly(1, "one policy FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			for _, s := range p.Explain() {
				if _, err := fmt.Fprintln(c.OutOrStdout(), s); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func policyTestCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "test FILE...",
		Short: "Ask a policy what a file of expectations says it must allow and deny",
		Long: `Test reads files of expectations, docs/policy.md has their form, and asks the policy that each names. It prints every
answer that is not the expected one and ends with exit code 3 if there is any.`,
		Args: atLeast(1, "FILEs of expectations"),
		RunE: func(c *cobra.Command, args []string) error {
			failed := 0
			for _, f := range args {
				data, err := os.ReadFile(f)
				if err != nil {
					return err
				}
				x, err := policy.ParseExpectations(f, data)
				if err != nil {
					return err
				}
				p, err := readPolicy(filepath.Join(filepath.Dir(f), x.Policy))
				if err != nil {
					return err
				}
				wrong := 0
				for _, e := range x.Expect {
					r, ok := p.Ask(e.Flow)
					if ok == e.Allowed {
						continue
					}
					wrong++
					why := "no rule allows it"
					if ok {
						why = fmt.Sprintf("%s allows it: %s", p.RuleAt(r), r)
					}
					if _, err := fmt.Fprintf(c.OutOrStdout(), "%s:%d: %s: %s\n", f, e.Line, e.Flow, why); err != nil {
						return err
					}
				}
				failed += wrong
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: %d of %d as expected\n", f, len(x.Expect)-wrong, len(x.Expect)); err != nil {
					return err
				}
			}
			if failed > 0 {
				return refusedf("", "", "%d answers are not as expected", failed)
			}
			return nil
		},
	}
}

func policyDiffCommand() *cobra.Command {
	var fail bool
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Say what a policy allows more, and less, than another",
		Args:  exactly(2, "OLD and NEW policy files"),
		RunE: func(c *cobra.Command, args []string) error {
			old, err := readPolicy(args[0])
			if err != nil {
				return err
			}
			now, err := readPolicy(args[1])
			if err != nil {
				return err
			}
			more := 0
			changes := policy.Diff(old, now)
			for _, d := range changes {
				word := "less"
				if d.More {
					word = "more"
					more++
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s  %s (%s)\n", word, d.Text, d.At); err != nil {
					return err
				}
			}
			if len(changes) == 0 {
				_, err = fmt.Fprintln(c.OutOrStdout(), "they allow the same")
			}
			if fail && more > 0 {
				return refusedf(args[1], "if that is meant, its owner takes it over as it is", "refused: allows more than %s in %d ways", args[0], more)
			}
			return err
		},
	}
	c.Flags().BoolVar(&fail, "fail-on-more", false, "end with exit code 3 if NEW allows more")
	return c
}

// A draft is what policy init asks.
type draft struct {
	owner, out, expires string
	rules               []string
	maxRuns, minBatch   int
	publish, batch      bool
}

func policyInitCommand() *cobra.Command {
	var d draft
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a policy from answers to questions, or from flags",
		Long: `Init asks what an owner wants to allow, one question a line, and writes a policy. Each flag that is given answers its question; with --batch
nothing is asked, and what no flag says is denied or unbounded. A rule is OUTPUT:RECEIVER,...[:FORM], where FORM is argmax=BITS, bit=BITS,
aggregate=ROWS or rounded=DIGITS.`,
		Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error {
			asked := func(flag string) bool { return !d.batch && !c.Flags().Changed(flag) }
			text, err := d.text(bufio.NewScanner(c.InOrStdin()), c.ErrOrStderr(), asked)
			if err != nil {
				return err
			}
			if _, err := policy.Parse("answers", []byte(text)); err != nil {
				return err
			}
			if d.out == "" {
				_, err = io.WriteString(c.OutOrStdout(), text)
				return err
			}
			f, err := os.OpenFile(d.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if err != nil {
				return err
			}
			_, err = f.WriteString(text)
			return errors.Join(err, f.Close())
		},
	}
	f := c.Flags()
	f.StringVar(&d.owner, "owner", "", "the `PARTY` whose policy it is")
	f.StringArrayVar(&d.rules, "allow", nil, "a `RULE`, OUTPUT:RECEIVER,...[:FORM]; again for more")
	f.IntVar(&d.maxRuns, "max-runs", 0, "at most `N` runs; 0 for any number")
	f.IntVar(&d.minBatch, "min-batch", 0, "each run takes at least `N` rows of every input; 0 for any number")
	f.StringVar(&d.expires, "expires", "", "the last `DAY` on which it may run, as 2027-06-30; empty for never")
	f.BoolVar(&d.publish, "publish-ranges", false, "ranges and formats may derive from the data")
	f.BoolVar(&d.batch, "batch", false, "ask nothing")
	f.StringVarP(&d.out, "output", "o", "", "write to `FILE`, which must not exist, instead of standard output")
	return c
}

// text asks what no flag has answered and returns the policy's text.
func (d *draft) text(in *bufio.Scanner, out io.Writer, asked func(flag string) bool) (string, error) {
	ask := func(flag, question string) (string, bool) {
		if !asked(flag) {
			return "", false
		}
		fmt.Fprintln(out, question)
		if !in.Scan() {
			return "", false
		}
		return strings.TrimSpace(in.Text()), true
	}
	if s, ok := ask("owner", "Whose data is it? The name of a party:"); ok {
		d.owner = s
	}
	if d.owner == "" {
		return "", usagef("the policy has no owner; give --owner PARTY")
	}
	for first := true; ; first = false {
		q := "Which output may leave, to whom, in which form? OUTPUT:RECEIVER,...[:FORM], FORM being argmax=BITS, bit=BITS, aggregate=ROWS or rounded=DIGITS; empty for no more:"
		if !first {
			q = "Another? Empty for no more:"
		}
		s, ok := ask("allow", q)
		if !ok || s == "" {
			break
		}
		d.rules = append(d.rules, s)
	}
	for _, q := range []struct {
		flag, question string
		to             *int
	}{{"max-runs", "How many runs at most, of all plans together? Empty for any number:", &d.maxRuns}, {"min-batch", "How many rows must each run take at least? Empty for any number:", &d.minBatch}} {
		if s, ok := ask(q.flag, q.question); ok && s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 0 {
				return "", usagef("%q is no number of runs or rows", s)
			}
			*q.to = n
		}
	}
	if s, ok := ask("expires", "What is the last day on which it may run, as 2027-06-30? Empty for never:"); ok {
		d.expires = s
	}
	if s, ok := ask("publish-ranges", "May ranges and formats that derive from the data become public, so that plans need less? yes or no:"); ok {
		d.publish = s == "yes" || s == "y"
	}
	b := &strings.Builder{}
	fmt.Fprintf(b, "version: %d\nowner: %s\n", policy.Version, policy.Word(d.owner))
	for i, s := range d.rules {
		r, err := ruleOf(s)
		if err != nil {
			return "", err
		}
		if i == 0 {
			b.WriteString("allow:\n")
		}
		fmt.Fprintf(b, "  - %s\n", r.YAML())
	}
	if d.minBatch > 0 {
		fmt.Fprintf(b, "min_batch: %d\n", d.minBatch)
	}
	if d.maxRuns > 0 {
		fmt.Fprintf(b, "max_runs: %d\n", d.maxRuns)
	}
	if d.expires != "" {
		fmt.Fprintf(b, "expires: %s\n", policy.Word(d.expires))
	}
	if d.publish {
		b.WriteString("public: {ranges: true, formats: true}\n")
	}
	return b.String(), nil
}

// ruleOf reads a rule as policy init takes it.
func ruleOf(s string) (policy.Rule, error) {
	parts := strings.Split(s, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || slices.Contains(strings.Split(parts[1], ","), "") {
		return policy.Rule{}, usagef("%q is no rule; write OUTPUT:RECEIVER,...[:FORM], such as score:clinic or mean:registry:aggregate=20", s)
	}
	r := policy.Rule{Output: parts[0], To: strings.Split(parts[1], ",")}
	if len(parts) == 2 {
		return r, nil
	}
	form, text, _ := strings.Cut(parts[2], "=")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return policy.Rule{}, usagef("%q is no form; write argmax=BITS, bit=BITS, aggregate=ROWS or rounded=DIGITS", parts[2])
	}
	switch r.As = policy.As(form); r.As {
	case policy.ArgMax, policy.Bit:
		r.MaxBits = n
	case policy.Aggregate:
		r.MinRows = n
	case policy.Rounded:
		r.Digits = n
	default:
		return policy.Rule{}, usagef("%q is no form; write argmax=BITS, bit=BITS, aggregate=ROWS or rounded=DIGITS", parts[2])
	}
	return r, nil
}
