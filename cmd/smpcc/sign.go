package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
	"smpcc/runtime/disk"
)

func keysSignCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "sign FILE",
		Short: "Make an Ed25519 key that signs plans and approvals",
		Long:  "Sign writes a fresh private key to FILE, which must not exist, and prints the public half as policies name it under approve:.",
		Args:  exactly(1, "one FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			pub, err := attest.NewKey(args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), attest.KeyText(pub))
			return err
		},
	}
}

// signCommand signs a plan for a purpose.
func signCommand(use, short, long string, purpose attest.Purpose, done string) *cobra.Command {
	var key, by string
	c := &cobra.Command{Use: use, Short: short, Long: long, Args: exactly(1, "one PLAN")}
	c.Flags().StringVar(&key, "key", "", "private key `FILE` (smpcc keys sign makes one)")
	c.Flags().StringVar(&by, "by", "", "`NAME` to sign as; for people, the key decides")
	c.RunE = func(c *cobra.Command, args []string) error {
		if key == "" {
			return usagef("%s: --key FILE is missing", c.CommandPath())
		}
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		k, err := attest.LoadKey(key)
		if err != nil {
			return err
		}
		s := attest.Sign(k, purpose, p.Digest(), by, time.Now())
		if err := attest.Append(disk.Machine, attest.File(args[0]), s); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: plan %s %s by %s; see smpcc audit for what that means\n", attest.File(args[0]), s.Plan, done, s.Key)
		return err
	}
	return c
}

// readPlan reads a plan, which verifies.
func readPlan(path string) (*plan.Plan, error) {
	is, err := isPlan(path)
	if err != nil {
		return nil, err
	}
	if !is {
		return nil, usagef("%s is not a plan; compile it first", path)
	}
	p, err := typed.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return p, smpcc.Accept(path, p)
}

func approveCommand() *cobra.Command {
	return signCommand("approve PLAN --key FILE", "Approve a plan by its digest, as policies may ask",
		`Approve signs the plan's digest and adds the signature to PLAN.sigs, which goes to every server with the plan. A policy that
says approve: [KEY] lets no other plan run. Read smpcc audit PLAN first: the approval is for exactly that.`, attest.Approval, "approved")
}

func planCommands() []*cobra.Command {
	sign := signCommand("sign PLAN --key FILE", "Sign a plan as the one who compiled it or compiled it again",
		"Sign adds a signature on the plan's digest to PLAN.sigs. It is no approval: smpcc approve gives that.", attest.Plan, "signed")
	show := &cobra.Command{
		Use:   "show PLAN",
		Short: "Show a plan's digest and who has signed or approved it",
		Args:  exactly(1, "one PLAN"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := readPlan(args[0])
			if err != nil {
				return err
			}
			list, err := attest.Read(attest.File(args[0]))
			if err != nil {
				return err
			}
			w, digest := c.OutOrStdout(), p.Digest()
			fmt.Fprintf(w, "plan   %s\ngraph  %s\nby     %s\n", digest, p.Manifest.Source, p.Manifest.Compiler)
			bad := 0
			for i, s := range list {
				what := map[attest.Purpose]string{attest.Plan: "signed", attest.Approval: "approved"}[s.Purpose]
				who := s.Key
				if s.By != "" {
					who = fmt.Sprintf("%q, %s", s.By, s.Key)
				}
				switch err := s.Verify(); {
				case err != nil:
					bad++
					fmt.Fprintf(w, "line %d of %s: %v\n", i+1, attest.File(args[0]), err)
				case s.Plan != digest:
					fmt.Fprintf(w, "%s another plan, %.16s, at %s by %s\n", what, s.Plan, s.Time, who)
				default:
					fmt.Fprintf(w, "%s at %s by %s\n", what, s.Time, who)
				}
			}
			if len(list) == 0 {
				fmt.Fprintln(w, "nobody has signed it")
			}
			for _, g := range p.Manifest.Guards {
				if len(g.Approve) > 0 && !attest.Approved(list, digest, g.Approve) {
					fmt.Fprintf(w, "it waits for the approval of %s: %s\n", g.Owner, strings.Join(g.Approve, " or "))
				}
			}
			if bad > 0 {
				return fmt.Errorf("%s: %d signatures are wrong", attest.File(args[0]), bad)
			}
			return nil
		},
	}
	return []*cobra.Command{sign, show, planDeployCommand(), planWithdrawCommand(), planListCommand()}
}

func logVerifyCommand() *cobra.Command {
	var head, after string
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check a server's audit log from its first entry",
		Long: `Verify checks that no entry of a log was changed, removed or inserted: each carries the hash of the one before. That the last
entries were not removed shows only against a hash noted before: give it with --head.

A long log is several files, FILE-N.log by the number of their first entries and FILE.log; all of them beside it are checked as one chain. Where the first ones have been
archived, --after HASH says what the last entry of those has, which verify prints for them.`,
		Args: exactly(1, "one FILE"),
	}
	c.Flags().StringVar(&head, "head", "", "`HASH` of an entry, noted earlier, that must be there")
	c.Flags().StringVar(&after, "after", "", "`HASH` of the last entry of files that have been archived")
	c.RunE = func(c *cobra.Command, args []string) error {
		last, err := attest.VerifyLog(args[0], head, after)
		if err != nil {
			return err
		}
		if last.Seq == 0 {
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: empty\n", args[0])
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d entries, unbroken; the last is of %s\nhead %s\n", args[0], last.Seq, last.Time, last.Hash)
		return err
	}
	return c
}
