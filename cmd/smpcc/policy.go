package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"smpcc/ir/policy"
)

func policyCommands() []*cobra.Command {
	read := func(path string) (*policy.Policy, error) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		return policy.Parse(path, data)
	}
	check := &cobra.Command{
		Use:   "check FILE...",
		Short: "Check policy files; all mistakes are reported with their lines",
		Args:  atLeast(1, "policy FILEs"),
		RunE: func(c *cobra.Command, args []string) error {
			owners := map[string]string{}
			for _, f := range args {
				p, err := read(f)
				if err != nil {
					return err
				}
				if first := owners[p.Owner]; first != "" {
					return fmt.Errorf("%s and %s are both policies of %s; an owner has one", first, f, p.Owner)
				}
				owners[p.Owner] = f
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s: policy of %s, version %d, %d rules, sha-256 %s\n", f, p.Owner, policy.Version, len(p.Allow), p.Digest); err != nil {
					return err
				}
			}
			return nil
		},
	}
	explain := &cobra.Command{
		Use:   "explain FILE",
		Short: "Say in sentences what a policy allows and what it asks for, with the line of each",
		Args:  exactly(1, "one policy FILE"),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := read(args[0])
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
	return []*cobra.Command{check, explain}
}
