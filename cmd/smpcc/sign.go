package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
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
