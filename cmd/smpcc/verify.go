package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/backend/verify"
)

func verifyCommand() *cobra.Command {
	var s source
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify PLAN|MODEL|PROGRAM",
		Short: "Prove on the plan alone what leaves each party, and under which mask",
		Long: `Verify types the plan, one step after the other, without the compiler. What has a type is private: every message of a party is covered by fresh
uniform bits of its own that mask no other message, no mask is left in an output but by rounding, outputs go to the
receivers of the manifest only, and the dealer depends on no data. It says what the types tell: openings by row, outputs with their receivers, owners and
bits, and what is assumed to stay in its range. Then it derives the programs of all roles again, and checks that they are those of the plan, that memory, streams and
messages fit together, and that rounds and bytes are what the cost says. It says what it assumes. The security that follows is against
parties that follow their programs (semi-honest). Findings have stable codes; with any, the exit code is 1 and the plan must
not be run.

` + codesText(),
		Args: exactly(1, "one PLAN, MODEL or PROGRAM"),
	}
	s.flags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		p, _, err := s.unverified(c, args[0], nil)
		var r *verify.Report
		digest, facts := "", (*typed.Facts)(nil)
		if e := (*typed.Error)(nil); errors.As(err, &e) {
			data, err := plan.ReadFileBytes(args[0])
			if err != nil {
				return err
			}
			sum := sha256.Sum256(data)
			digest, r = hex.EncodeToString(sum[:]), verify.Untyped(e)
		} else if err != nil {
			return err
		} else {
			f, err := typed.FactsOf(p)
			if err != nil {
				return err
			}
			digest, r, facts = p.Digest(), verify.Check(p), &f
		}
		w := c.OutOrStdout()
		if asJSON {
			if err := writeJSON(w, struct {
				PlanDigest string       `json:"plan_digest"`
				Typed      *typed.Facts `json:"typed,omitempty"`
				*verify.Report
			}{digest, facts, r}); err != nil {
				return err
			}
		} else if err := verifyText(w, digest, facts, r); err != nil {
			return err
		}
		if !r.OK {
			return fmt.Errorf("%s: %s: do not run this plan\n\thint: compile the source again, and report it if that does not help", args[0], findings(r))
		}
		return nil
	}
	return c
}

// codesText lists the codes for the help text.
func codesText() string {
	var b strings.Builder
	for _, c := range verify.Codes {
		fmt.Fprintf(&b, "  %s %-18s %s\n", c.ID, c.Name, c.Doc)
	}
	return strings.TrimRight(b.String(), "\n")
}

// findings says how many findings there are.
func findings(r *verify.Report) string {
	if n := len(r.Findings) + r.More; n != 1 {
		return fmt.Sprintf("%d findings", n)
	}
	return "1 finding"
}

// verifyText writes a report for a person.
func verifyText(w io.Writer, digest string, facts *typed.Facts, r *verify.Report) error {
	fmt.Fprintf(w, "plan %s\n", digest)
	if !r.OK {
		fmt.Fprintf(w, "\nNot verified\n")
		for _, f := range r.Findings {
			fmt.Fprintf(w, "  %v\n", f)
		}
		if r.More > 0 {
			fmt.Fprintf(w, "  ... and %d more\n", r.More)
		}
		return nil
	}
	fmt.Fprintf(w, "\nTyped: %d steps, each a row of docs/protocols.md; the programs of all roles follow from them\n%v", facts.Steps, facts)
	fmt.Fprintf(w, "\nProved, for each party against all the others together\n")
	wide := 0
	for _, f := range r.Proved {
		wide = max(wide, len(fmt.Sprint(f.Count)))
	}
	for _, f := range r.Proved {
		fmt.Fprintf(w, "  %*d  %s\n", wide, f.Count, f.What)
	}
	fmt.Fprintf(w, "\nAssumed\n")
	for _, a := range r.Assumed {
		fmt.Fprintf(w, "  - %s\n", a)
	}
	return nil
}
