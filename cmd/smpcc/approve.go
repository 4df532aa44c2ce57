package main

import (
	"crypto/ed25519"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/ir/diag"
	"smpcc/runtime/attest"
	"smpcc/runtime/commit"
	"smpcc/runtime/disk"
)

// A signing is what a signature on a plan says besides.
type signing struct {
	key, by, role, reason, scope, until string
	weights                             []string
}

// flags adds what every signature may say.
func (s *signing) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&s.key, "key", "", "private key `FILE` (smpcc keys sign makes one)")
	f.StringVar(&s.by, "by", "", "`NAME` to sign as; for people, the key decides")
	f.StringVar(&s.role, "role", "", "`ROLE` in which you sign, such as data protection officer")
	f.StringVar(&s.reason, "reason", "", "`TEXT` that says why")
}

// statement returns what is to be signed about a plan, and the key.
func (s *signing) statement(c *cobra.Command, p *plan.Plan, purpose attest.Purpose, now time.Time) (x attest.Statement, key ed25519.PrivateKey, err error) {
	if s.key == "" {
		return x, nil, usagef("%s: --key FILE is missing", c.CommandPath())
	}
	if key, err = attest.LoadKey(s.key); err != nil {
		return x, nil, err
	}
	x = attest.Sign(key, purpose, p.Digest(), s.by, now)
	x.Role, x.Reason, x.Scope = s.role, s.reason, s.scope
	if x.Until, err = untilText(s.until, now); err != nil {
		return x, nil, err
	}
	if x.Weights, err = boundWeights(p, s.weights); err != nil {
		return x, nil, err
	}
	if err := x.Check(); err != nil {
		return x, nil, usageError{err}
	}
	return x, key, nil
}

// approvalFlags adds what an approval may say.
func (s *signing) approvalFlags(c *cobra.Command) {
	s.flags(c)
	c.Flags().StringVar(&s.scope, "scope", "", "`TEXT` that says what for")
	c.Flags().StringVar(&s.until, "until", "", "last `DAY` on which the approval counts, or a time")
	c.Flags().StringArrayVar(&s.weights, "weights", nil, "commitment to the weights that it is for, `OWNER=weights:HEX`")
}

// sign adds a statement to the file beside a plan.
func (s *signing) sign(c *cobra.Command, path string, purpose attest.Purpose, done string) error {
	if s.key == "" {
		return usagef("%s: --key FILE is missing", c.CommandPath())
	}
	p, err := readPlan(path)
	if err != nil {
		return err
	}
	now := time.Now()
	x, key, err := s.statement(c, p, purpose, now)
	if err != nil {
		return err
	}
	file := attest.File(path)
	list, err := attest.Read(file)
	if err != nil {
		return err
	}
	if purpose == attest.Revocation {
		i := slices.IndexFunc(attest.Last(list, x.Plan), func(o attest.Statement) bool { return o.Key == x.Key })
		if i < 0 || attest.Last(list, x.Plan)[i].Purpose != attest.Approval {
			return diag.Errorf(diag.Pos{File: file}, "%s has approved nothing of plan %.16s that stands", x.Key, x.Plan).WithHint("give the key that has approved it; smpcc plan show lists who has")
		}
		if last, err := time.Parse(time.RFC3339, attest.Last(list, x.Plan)[i].Time); err == nil && last.After(now) { // by a clock that was ahead
			x.Time = last.UTC().Format(time.RFC3339)
		}
	}
	x = x.Signed(key)
	if err := attest.Append(disk.Machine, file, x); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "%s: plan %s %s by %s; see smpcc audit for what that means\n", file, x.Plan, done, x.Key)
	return err
}

// untilText reads the end of an approval: a day, which counts to its end, or a time.
func untilText(s string, now time.Time) (string, error) {
	if s == "" {
		return "", nil
	}
	t, err := time.Parse(time.DateOnly, s)
	if err == nil {
		t = t.AddDate(0, 0, 1)
	} else if t, err = time.Parse(time.RFC3339, s); err != nil {
		return "", usagef("--until %s: want a day such as 2027-06-30, the last one, or a time", s)
	}
	if !t.After(now) {
		return "", usagef("--until %s: that has been", s)
	}
	return t.UTC().Format(time.RFC3339), nil
}

// boundWeights reads commitments, OWNER=weights:HEX or weights:HEX where one party alone owns weights.
func boundWeights(p *plan.Plan, args []string) (out []attest.Bound, err error) {
	var owners []string
	for _, w := range p.Manifest.Weights {
		if !slices.Contains(owners, w.Owner) {
			owners = append(owners, w.Owner)
		}
	}
	for _, a := range args {
		owner, text, ok := strings.Cut(a, "=")
		if !ok {
			if owner, text = "", a; len(owners) == 1 {
				owner = owners[0]
			}
		}
		if !slices.Contains(owners, owner) {
			return nil, usagef("--weights %s: want OWNER=weights:HEX, of an owner of weights (%s)", a, strings.Join(owners, ", "))
		}
		if _, err := commit.ParseRoot(text); err != nil {
			return nil, usagef("--weights %s: %v", a, err)
		}
		if slices.ContainsFunc(out, func(b attest.Bound) bool { return b.Owner == owner }) {
			return nil, usagef("--weights: %s is given twice", owner)
		}
		out = append(out, attest.Bound{Owner: owner, Commitment: text})
	}
	return out, nil
}

func approveCommand() *cobra.Command {
	var s signing
	c := &cobra.Command{
		Use:   "approve PLAN --key FILE",
		Short: "Approve a plan by its digest, as policies may ask",
		Long: `Approve signs the plan's digest and adds the signature to PLAN.sigs, which goes to every server with the plan. A policy that
says approve: [KEY, ...] lets no other plan run, one that says approve: {keys: [KEY, ...], at_least: 2} none that fewer keys have approved. Read smpcc audit
PLAN first: the approval is for exactly that.

The signature covers what else you say: in which role you sign, why, for what, until when it counts, and for which weights. With --weights
the owner's server runs the plan with those weights only that the commitment is to (smpcc weights commit). smpcc revoke takes an approval back.`,
		Args: exactly(1, "one PLAN"),
	}
	s.approvalFlags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.sign(c, args[0], attest.Approval, "approved")
	}
	return c
}

func revokeCommand() *cobra.Command {
	var s signing
	c := &cobra.Command{
		Use:   "revoke PLAN --key FILE",
		Short: "Take an approval back",
		Long: `Revoke signs that the key's approval of the plan counts no more, and adds that to PLAN.sigs. Servers read the file before each session: the first one
that has it refuses the next session, if the policy's approvals are no longer enough. Sessions that run end as they would. Approving again, later, is possible.

Give the file to your own server, at least; one server that refuses is enough. What was approved and taken back stays in the file, in
smpcc audit and in the servers' logs.`,
		Args: exactly(1, "one PLAN"),
	}
	s.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return s.sign(c, args[0], attest.Revocation, "approved no more")
	}
	return c
}

func planCommands() []*cobra.Command {
	var s signing
	sign := &cobra.Command{
		Use: "sign PLAN --key FILE", Short: "Sign a plan as the one who compiled it or compiled it again", Args: exactly(1, "one PLAN"),
		Long: "Sign adds a signature on the plan's digest to PLAN.sigs. It is no approval: smpcc approve gives that.",
	}
	s.flags(sign)
	sign.RunE = func(c *cobra.Command, args []string) error { return s.sign(c, args[0], attest.Plan, "signed") }
	show := &cobra.Command{
		Use:   "show PLAN",
		Short: "Show a plan's digest and who has signed or approved it",
		Args:  exactly(1, "one PLAN"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := readPlan(args[0])
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			fmt.Fprintf(w, "plan   %s\ngraph  %s\nby     %s\n", p.Digest(), p.Manifest.Source, p.Manifest.Compiler)
			return showStatements(w, p, args[0])
		},
	}
	return []*cobra.Command{sign, show, planDeployCommand(), planWithdrawCommand(), planListCommand()}
}

// showStatements lists what has been signed about a plan, and whose approval it waits for.
func showStatements(w io.Writer, p *plan.Plan, path string) error {
	file := attest.File(path)
	list, err := attest.Read(file)
	if err != nil {
		return err
	}
	digest, bad := p.Digest(), 0
	for i, s := range list {
		if err := s.Verify(); err != nil {
			bad++
			fmt.Fprintf(w, "line %d of %s: %v\n", i+1, file, err)
		} else {
			fmt.Fprintln(w, statementText(&s, digest))
		}
	}
	if len(list) == 0 {
		fmt.Fprintln(w, "nobody has signed it")
	}
	for _, g := range p.Manifest.Guards {
		if len(g.Approve) > 0 && !attest.Approved(list, digest, g.Approve, g.AtLeast, time.Now(), nil) {
			fmt.Fprintf(w, "it waits for the approval of %s: %s\n", g.Owner, approversText(g.Approve, g.AtLeast))
		}
	}
	if bad > 0 {
		return fmt.Errorf("%s: %d signatures are wrong", file, bad)
	}
	return nil
}

// approversText says how many of which keys are wanted.
func approversText(keys []string, atLeast int) string {
	if atLeast > 1 {
		return fmt.Sprintf("at least %d of %s", atLeast, strings.Join(keys, ", "))
	}
	return strings.Join(keys, " or ")
}

// statementText says what somebody has signed.
func statementText(s *attest.Statement, digest string) string {
	what := map[attest.Purpose]string{attest.Plan: "signed", attest.Approval: "approved", attest.Revocation: "approval taken back"}[s.Purpose]
	if s.Plan != digest {
		what += fmt.Sprintf(" another plan, %.16s,", s.Plan)
	}
	who := s.Key
	if s.By != "" {
		who = fmt.Sprintf("%q, %s", s.By, s.Key)
	}
	text := fmt.Sprintf("%s at %s by %s", what, s.Time, who)
	for _, x := range []struct{ what, text string }{{"as", s.Role}, {"for", s.Scope}, {"because", s.Reason}} {
		if x.text != "" {
			text += fmt.Sprintf(", %s %q", x.what, x.text)
		}
	}
	for _, b := range s.Weights {
		text += fmt.Sprintf(", with the weights of %s that %s is of", b.Owner, b.Commitment)
	}
	if s.Until != "" {
		text += ", until " + s.Until
	}
	return text
}
