package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// An audit says who provides what, who learns what and why it is allowed, and what becomes public besides. It is computed
// from the plan alone: from its openings, not from what the compiler says it meant.
type audit struct {
	PlanDigest   string           `json:"plan_digest"`
	GraphDigest  string           `json:"graph_digest"`
	SourceDigest string           `json:"source_digest"` // older name of the same
	Compiler     string           `json:"compiler"`
	Parties      []string         `json:"parties"`
	Dealer       string           `json:"dealer"`
	Provides     []auditPort      `json:"provides"`
	Learns       []auditOutput    `json:"learns"`
	Policies     []auditPolicy    `json:"policies"`
	Openings     []auditOpening   `json:"openings"`
	Public       []string         `json:"public"`
	Ranges       []auditRange     `json:"ranges"`
	Assumed      []string         `json:"assumed_ranges"`
	dealt        string           // what the dealer sends
	Trust        []string         `json:"trust"`
	Bound        []auditBound     `json:"weights_bound"`
	Statements   []auditStatement `json:"statements"`
	Verified     string           `json:"verified"`

	Version       int                `json:"version"`
	Name          string             `json:"name"`
	Protocol      auditProtocol      `json:"protocol"`
	Guards        []auditGuard       `json:"guards"`
	Flows         []auditFlow        `json:"flows"`
	PublicRanges  []auditPublicRange `json:"public_ranges"`
	Formats       []auditFormat      `json:"formats"`
	Cost          []auditCost        `json:"cost"`
	MaterialBytes map[string]int64   `json:"material_bytes"`
	DealtBytes    int64              `json:"dealt_bytes"`
	PerOp         []nodeStats        `json:"per_op"`
	Accuracy      []auditAccuracy    `json:"accuracy"`
}

// An auditAccuracy says how close an output is to the exact one, and in how many fraction bits it is revealed.
type auditAccuracy struct {
	Output string  `json:"output"`
	State  string  `json:"state"`
	Atol   float64 `json:"atol"`
	Rtol   float64 `json:"rtol"`
	Used   float64 `json:"used"`
	Runs   int     `json:"runs"`
	Frac   int     `json:"fraction_bits"`
	Words  string  `json:"words"`
}

type auditPort struct {
	Owner string  `json:"owner"`
	Kind  string  `json:"kind"`
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	From  string  `json:"range_origin"`
}

type auditOutput struct {
	Receiver string   `json:"receiver"`
	Output   string   `json:"output"`
	Type     string   `json:"type"`
	Because  []string `json:"because"`

	Allowed []auditAllowed `json:"allowed"`
}

type auditPolicy struct {
	Owner  string `json:"owner"`
	File   string `json:"file"`
	Digest string `json:"digest"`
}

type auditOpening struct {
	Phase string `json:"phase"`
	Kind  string `json:"kind"`
	Count int    `json:"count"`
	Bits  int64  `json:"bits"`
	Mask  string `json:"mask"`
}

type auditRange struct {
	Origin string `json:"origin"`
	Count  int    `json:"count"`
}

// newAudit reads an audit off a plan.
func newAudit(p *plan.Plan) *audit {
	m := &p.Manifest
	a := &audit{PlanDigest: p.Digest(), GraphDigest: m.Source, SourceDigest: m.Source, Compiler: m.Compiler, Parties: m.Parties, Dealer: m.Dealer, Assumed: assumed(p)}
	typ := func(t plan.Port) string {
		s := t.Elem
		if len(t.Shape) > 0 {
			s += ir.Shape(t.Shape).String()
		}
		return s
	}
	for _, t := range m.Inputs {
		a.Provides = append(a.Provides, auditPort{t.Owner, "input", t.Name, typ(t), t.Lo, t.Hi, t.Origin})
	}
	for _, t := range m.Weights {
		a.Provides = append(a.Provides, auditPort{t.Owner, "weight", t.Name, typ(t), t.Lo, t.Hi, t.Origin})
	}
	for _, t := range m.Outputs {
		for _, to := range t.To {
			o := auditOutput{Receiver: to, Output: t.Name, Type: typ(t)}
			for _, w := range m.Allowed {
				if w.Output == t.Name && w.Receiver == to {
					o.Because = append(o.Because, w.Owner+": "+w.Rule)
				}
			}
			if o.Because == nil {
				o.Because = []string{"derives from nobody's data"}
			}
			a.Learns = append(a.Learns, o)
		}
	}
	a.Accuracy = []auditAccuracy{}
	for _, x := range m.Accuracy {
		a.Accuracy = append(a.Accuracy, auditAccuracy{x.Output, x.State, x.Atol, x.Rtol, x.Used, x.Runs, x.Frac, x.String()})
	}
	for _, r := range m.Policies {
		a.Policies = append(a.Policies, auditPolicy(r))
	}
	masks := []string{plan.OpenWire: "a fresh uniform mask each", plan.OpenBits: "a fresh uniform mask each", plan.Correction: "the other parties' streams", plan.Reveal: "fresh shares of zero each", plan.Keys: "the other party's root of each, by fixed-key AES"}
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for kind := plan.OpenWire; kind <= plan.Keys; kind++ {
			o := auditOpening{Phase: ph.String(), Kind: kind.String(), Mask: masks[kind]}
			seen := map[int]bool{}
			for i := range p.Programs {
				for _, round := range p.Programs[i].Rounds(ph) {
					for _, x := range round.Opens {
						if x.Kind == kind && !seen[x.Item] {
							seen[x.Item] = true
							o.Count++
							o.Bits += int64(x.Len) * int64(x.Bits)
						}
					}
				}
			}
			if o.Count > 0 {
				a.Openings = append(a.Openings, o)
			}
		}
	}
	counts := map[string]int{}
	for _, r := range m.Ranges {
		counts[r.Origin]++
	}
	for _, o := range sortedKeys(counts) {
		a.Ranges = append(a.Ranges, auditRange{o, counts[o]})
	}
	a.Public = []string{
		"the structure of the computation, its operators and constants, and all shapes",
		"fixed-point formats: ring widths and fraction bits, which are chosen from the ranges below",
		"the ranges that the plan relies on; those that derive from weights or samples are rounded up to powers of two",
		"this plan and its digest; the number and the time of runs",
		"the policies' digests",
	}
	a.Verified = verified
	a.dealt, _ = dealt(p)
	a.Trust = []string{
		"semi-honest: every role follows its program; a role that deviates can spoil results and may learn more",
		fmt.Sprintf("the dealer %s sees no input, no weight and no message of the online phase; it must not collude with a party", m.Dealer),
		fmt.Sprintf("up to %d of the %d parties may collude without learning more than their own data and outputs say", len(m.Parties)-1, len(m.Parties)),
		"truncation rounds by chance, by at most one unit in the last place (n-1 with n parties); how it rounds depends on low bits of shares, which each of two parties knows",
	}
	if rounded(p) {
		a.Trust = append(a.Trust, "outputs made of waves or exponentials tell a part of a bit of their argument beyond the function, in every run anew: bound the number of runs (max_runs)")
	}
	if a.dealt != onlyCorrections {
		a.Trust = append(a.Trust, "keys of comparisons hide what they are for if AES-128 under a public key is as good as a random permutation; masks need AES as a cipher only")
	}
	return a
}

// rounded reports whether functions of masks are material that was rounded, so that results depend on masks in their lowest bits.
func rounded(p *plan.Plan) bool {
	for _, r := range p.Programs[0].Online {
		if slices.ContainsFunc(r.Steps, func(s plan.Step) bool { return s.Op == plan.StepWave || s.Op == plan.StepExpo }) {
			return true
		}
	}
	return false
}

func auditCommand() *cobra.Command {
	var s source
	var format string
	c := &cobra.Command{
		Use:   "audit PLAN|MODEL|PROGRAM",
		Short: "Who provides what, who learns what and why the policy allows it, what becomes public besides",
		Long: `Audit reads everything off the plan: who provides what, who learns what and which line of whose policy allows it, what
becomes public besides, whom one has to trust, and what a run costs.

  --format text   for people
  --format json   for programs; docs/schema/audit.schema.json describes it
  --format sarif  for CI: SARIF 2.1.0 with a note for each thing that somebody learns; a refusal is an error in it
  --format html   one page for people that needs no network: the graph, the flows, the tables`,
		Args: exactly(1, "one PLAN, MODEL or PROGRAM"),
	}
	s.flags(c)
	c.Flags().StringVar(&format, "format", "text", "text, json, sarif or html")
	c.AddCommand(auditDiffCommand())
	c.RunE = func(c *cobra.Command, args []string) error {
		if !slices.Contains([]string{"text", "json", "sarif", "html"}, format) {
			return usagef("--format %s: want text, json, sarif or html", format)
		}
		p, _, err := s.load(c, args[0], nil)
		if err != nil && format == "sarif" {
			return errors.Join(err, sarifErrors(c.OutOrStdout(), err))
		}
		if err != nil {
			return err
		}
		a := newAudit(p)
		if err := a.detail(p); err != nil {
			return err
		}
		if err := a.signed(p, args[0], time.Now()); err != nil {
			return err
		}
		switch format {
		case "sarif":
			return a.sarif(c.OutOrStdout(), p)
		case "html":
			return a.html(c.OutOrStdout(), p)
		case "json":
			b, err := json.MarshalIndent(a, "", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", b)
			return err
		}
		return a.text(c.OutOrStdout())
	}
	return c
}

// text writes the audit for a person.
func (a *audit) text(w io.Writer) error {
	fmt.Fprintf(w, "plan    %s\ngraph   %s\nby      %s\nparties %s; dealer %s\n", a.PlanDigest, a.GraphDigest, a.Compiler, strings.Join(a.Parties, ", "), a.Dealer)
	fmt.Fprintf(w, "security against %s parties; ring up to %d bits, %d fraction bits\n", a.Protocol.Security, a.Protocol.RingBits, a.Protocol.FracBits)
	fmt.Fprintf(w, "\nWho provides what\n")
	t := newTable(w, "  owner", "what", "name", "type", "range")
	for _, p := range a.Provides {
		t.row("  "+p.Owner, p.Kind, p.Name, p.Type, fmt.Sprintf("%g..%g %s", p.Lo, p.Hi, p.From))
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nWho learns what, and why it is allowed\n")
	for i, o := range a.Learns {
		who, told := o.Receiver, false // receivers of one output for the same reasons share a paragraph
		for k, p := range a.Learns {
			if p.Output == o.Output && slices.Equal(p.Because, o.Because) && k != i {
				told = told || k < i
				who += ", " + p.Receiver
			}
		}
		if told {
			continue
		}
		fmt.Fprintf(w, "  %s: %s (%s)\n", who, o.Output, o.Type)
		for _, b := range o.Because {
			fmt.Fprintf(w, "    %s\n", b)
		}
	}
	fmt.Fprintf(w, "\nHow close the outputs are to the exact ones\n")
	for _, x := range a.Accuracy {
		fmt.Fprintf(w, "  %s: %s\n", x.Output, x.Words)
	}
	fmt.Fprintf(w, "\nPolicies\n")
	for _, p := range a.Policies {
		fmt.Fprintf(w, "  %s: %s, sha-256 %s\n", p.Owner, p.File, p.Digest)
	}
	if len(a.Guards) > 0 {
		fmt.Fprintf(w, "\nWhat the policies ask of every run; servers enforce it\n")
		for _, g := range a.Guards {
			for _, s := range g.sentences() {
				fmt.Fprintf(w, "  %s: %s\n", g.Owner, s)
			}
		}
	}
	a.boundText(w)
	fmt.Fprintf(w, "\nWhat is sent, all of it masked\n")
	t = newTable(w, "  phase", "kind", "tensors", "bits", "masked by")
	for _, o := range a.Openings {
		t.row("  "+o.Phase, o.Kind, fmt.Sprint(o.Count), fmt.Sprint(o.Bits), o.Mask)
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\nVerified: %s\n", a.Verified)
	list := func(title string, items []string) {
		fmt.Fprintf(w, "\n%s\n", title)
		for _, s := range items {
			fmt.Fprintf(w, "  - %s\n", s)
		}
	}
	list("What becomes public besides", a.Public)
	list("What this rests on", a.Trust)
	fmt.Fprintf(w, "\nRanges\n")
	for _, r := range a.Ranges {
		fmt.Fprintf(w, "  %d %s\n", r.Count, r.Origin)
	}
	const shown = 20
	for i, s := range a.Assumed {
		if i == shown {
			fmt.Fprintf(w, "    ... %d more; --format json lists all\n", len(a.Assumed)-shown)
			break
		}
		fmt.Fprintf(w, "    %s\n", s)
	}
	fmt.Fprintf(w, "\nFormats\n")
	for _, f := range a.Formats {
		fmt.Fprintf(w, "  %d values of %d bits\n", f.Count, f.Bits)
	}
	fmt.Fprintf(w, "\nWhat a run costs\n")
	for _, c := range a.Cost {
		most := int64(0)
		for _, n := range c.BytesSent {
			most = max(most, n)
		}
		fmt.Fprintf(w, "  %s: %d rounds, at most %s sent by a role\n", c.Phase, c.Rounds, bytesText(most))
	}
	_, err := fmt.Fprintf(w, "  material: %s of %s a session, everything else expanded from keys\n", bytesText(a.DealtBytes), a.dealt)
	return err
}

// expiry renders a time in seconds since 1970; "" for none.
func expiry(t int64) string {
	if t == 0 {
		return ""
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

// sentences says what the guard asks for.
func (g auditGuard) sentences() []string {
	var out []string
	if g.MaxRuns > 0 {
		out = append(out, "at most "+atMost(g.MaxRuns, "run")+", of all plans under this policy together")
	}
	if g.MinBatch > 0 {
		out = append(out, fmt.Sprintf("at least %d rows of each of its inputs", g.MinBatch))
	}
	if g.Expires != "" {
		out = append(out, "before "+g.Expires)
	}
	if len(g.Approve) > 0 {
		out = append(out, "the plan's digest is approved by "+approversText(g.Approve, g.AtLeast))
	}
	if len(g.Models) > 0 {
		out = append(out, "the weights of others are bound by "+strings.Join(g.Models, " or "))
	}
	if g.RangesWithheld {
		out = append(out, "no range and no format derives from its data")
	}
	return out
}
