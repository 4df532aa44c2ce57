package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir/diag"
)

// A recheck is what compiling a plan's own graph again came to.
type recheck struct {
	Plan      string   `json:"plan_digest"`
	Graph     string   `json:"graph_digest"`
	Same      bool     `json:"same"`
	Differs   []string `json:"differs"`
	Compiler  string   `json:"compiler"`
	Options   []string `json:"options"`
	Weights   []string `json:"weights"` // whose data the compiler had
	Bounds    int      `json:"bounds"`  // that it took from data
	Samples   int      `json:"samples"`
	Unchecked []string `json:"policies_taken_over"` // owners
	Measured  []string `json:"measured"`            // outputs
}

func recheckCommand() *cobra.Command {
	var policies []string
	var format string
	c := &cobra.Command{
		Use:   "recheck PLAN",
		Short: "Compile a plan's own graph again, without any data, and compare",
		Long: `Recheck compiles the graph that a plan carries again, with the options that the plan states and with what it says was taken from weights and
samples: bounds of values, rounded to powers of two. If the plan comes out, byte for byte, then it computes its graph and nothing else, in the formats that
follow from those bounds. No weights and no data are needed; the graph itself is what to read: smpcc inspect PLAN --level graph.

Two things are not checked that way. That the bounds hold is known to those who have the weights: their server refuses weights that leave them. What the
plan says was measured was measured by who compiled it. And policies: with --policy FILE the rules of that owner are checked again, of other
owners what the plan states is taken over, and said.`,
		Args: exactly(1, "one PLAN"),
	}
	c.Flags().StringArrayVar(&policies, "policy", nil, "policy `FILE` of an owner, under which the plan is checked again")
	c.Flags().StringVar(&format, "format", "text", "text or json")
	c.RunE = func(c *cobra.Command, args []string) error {
		if format != "text" && format != "json" {
			return usagef("--format %s: want text or json", format)
		}
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		again, err := smpcc.Recheck(p, policies)
		if err != nil {
			return diag.Errorf(diag.Pos{File: args[0]}, "its graph does not compile again: %v", err).WithHint("the plan was not made of this graph with these options, or by another release (%s); do not run it before its maker has explained that", p.Manifest.Compiler)
		}
		r := newRecheck(p, again)
		if format == "json" {
			err = writeJSON(c.OutOrStdout(), r)
		} else {
			err = r.text(c.OutOrStdout(), args[0], p)
		}
		if err != nil || r.Same {
			return err
		}
		return diag.Errorf(diag.Pos{File: args[0]}, "compiling its graph again gives another plan, %.16s: %s", again.Plan.Digest(), again.Differs[0]).
			WithHint("do not run it before its maker has explained the difference")
	}
	return c
}

func newRecheck(p *plan.Plan, again *smpcc.Rechecked) *recheck {
	m := &p.Manifest
	r := &recheck{Plan: p.Digest(), Graph: m.Source, Same: len(again.Differs) == 0, Differs: again.Differs, Compiler: m.Compiler, Options: m.Recipe.Options(), Weights: m.Recipe.Weights,
		Bounds: len(m.Recipe.Bounds) + len(m.Recipe.Columns), Samples: m.Recipe.Samples, Unchecked: again.Policies}
	for _, a := range m.Accuracy {
		if a.State == "measured" || a.State == "guarded" {
			r.Measured = append(r.Measured, a.Output)
		}
	}
	for _, list := range []*[]string{&r.Differs, &r.Weights, &r.Unchecked, &r.Measured} {
		*list = append([]string{}, *list...) // none is [] in JSON
	}
	return r
}

// text says it for a person.
func (r *recheck) text(w io.Writer, path string, p *plan.Plan) error {
	fmt.Fprintf(w, "plan    %s\ngraph   %s\nby      %s\noptions %s\n", r.Plan, r.Graph, r.Compiler, strings.Join(r.Options, " "))
	switch {
	case r.Bounds == 0:
		fmt.Fprintf(w, "taken from data: nothing\n")
	default:
		var from []string
		if n := len(r.Weights); n > 0 {
			from = append(from, atMost(n, "weight"))
		}
		if r.Samples > 0 {
			from = append(from, atMost(r.Samples, "sample"))
		}
		fmt.Fprintf(w, "taken from data: %s of %s\n", atMost(r.Bounds, "bound"), strings.Join(from, " and "))
	}
	for _, o := range r.Unchecked {
		i := slices.IndexFunc(p.Manifest.Policies, func(q plan.PolicyRef) bool { return q.Owner == o })
		fmt.Fprintf(w, "the policy of %s is taken over as the plan states it; --policy FILE checks it: %s, sha-256 %s\n", o, p.Manifest.Policies[i].File, p.Manifest.Policies[i].Digest)
	}
	if len(r.Measured) > 0 {
		fmt.Fprintf(w, "measured by who compiled it, and not again: how close %s is\n", strings.Join(r.Measured, ", "))
	}
	for _, d := range r.Differs {
		fmt.Fprintf(w, "differs: %s\n", d)
	}
	if !r.Same {
		return nil
	}
	_, err := fmt.Fprintf(w, "%s: the same plan comes out of its graph\n", path)
	return err
}
