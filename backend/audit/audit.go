// Package audit says of a plan who provides what, who learns what and why it is allowed, and what becomes public besides. It reads the
// plan alone: its openings and its graph, not what the compiler says it meant.
package audit

import (
	"fmt"
	"slices"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/text"
)

// Version is the version of the JSON form of an audit; docs/schema/audit.schema.json describes it. Fields may be added.
const Version = 1

// A Report is what an audit says of a plan.
type Report struct {
	PlanDigest   string    `json:"plan_digest"`
	GraphDigest  string    `json:"graph_digest"`
	SourceDigest string    `json:"source_digest"` // older name of the same
	Compiler     string    `json:"compiler"`
	Parties      []string  `json:"parties"`
	Dealer       string    `json:"dealer"`
	Guests       []Guest   `json:"guests,omitempty"`
	Provides     []Port    `json:"provides"`
	Learns       []Learned `json:"learns"`
	Policies     []Policy  `json:"policies"`
	Openings     []Opening `json:"openings"`
	Public       []string  `json:"public"`
	Ranges       []Origin  `json:"ranges"`
	Assumed      []string  `json:"assumed_ranges"`
	Trust        []string  `json:"trust"`
	Verified     string    `json:"verified"`

	Version       int              `json:"version"`
	Findings      []Finding        `json:"findings"`
	Name          string           `json:"name"`
	Protocol      Protocol         `json:"protocol"`
	Guards        []Guard          `json:"guards"`
	Flows         []Flow           `json:"flows"`
	PublicRanges  []Range          `json:"public_ranges"`
	Formats       []Width          `json:"formats"`
	Cost          []Phase          `json:"cost"`
	MaterialBytes map[string]int64 `json:"material_bytes"`
	DealtBytes    int64            `json:"dealt_bytes"`
	PerOp         []plan.NodeCost  `json:"per_op"`
	Accuracy      []Accuracy       `json:"accuracy"`
	Inference     []Inference      `json:"inference"`
	View          *View            `json:"view,omitempty"` // as one role sees it, if that was asked

	Bound      []Bound     `json:"weights_bound"`
	Statements []Signature `json:"statements"` // what has been signed, from beside the plan

	plan  *plan.Plan
	graph *ir.Module
	opt   Options
	dealt string // what the dealer sends
}

// An Accuracy says how close an output is to the exact one, and in how many fraction bits it is revealed.
type Accuracy struct {
	Output string  `json:"output"`
	State  string  `json:"state"`
	Atol   float64 `json:"atol"`
	Rtol   float64 `json:"rtol"`
	Used   float64 `json:"used"`
	Runs   int     `json:"runs"`
	Frac   int     `json:"fraction_bits"`
	Words  string  `json:"words"`
	Why    string  `json:"why"` // why it is not proved
}

// A Port is an input or a weight.
type Port struct {
	Owner string  `json:"owner"`
	Kind  string  `json:"kind"`
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Lo    float64 `json:"lo"`
	Hi    float64 `json:"hi"`
	From  string  `json:"range_origin"`

	Notes []string `json:"notes,omitempty"` // what its owner's client makes of the data before it is numbers
}

// A Learned is what one receiver learns, and why it may.
type Learned struct {
	Receiver string   `json:"receiver"`
	Output   string   `json:"output"`
	Type     string   `json:"type"`
	Because  []string `json:"because"`

	Allowed []Allowed `json:"allowed"`
}

// An Allowed is one reason why a receiver may learn an output: the line of an owner's policy.
type Allowed struct {
	Owner string `json:"owner"`
	Rule  string `json:"rule"`
	File  string `json:"file"` // "" for own data and default policies
	Line  int    `json:"line"`
	Form  string `json:"form"` // what the rule asks to be done before: argmax, rows>=20; "" for nothing
}

// A Policy names the policy of an owner.
type Policy struct {
	Owner  string `json:"owner"`
	File   string `json:"file"`
	Digest string `json:"digest"`
}

// A Guard is what a policy asks of every run; servers enforce it.
type Guard struct {
	Owner          string   `json:"owner"`
	MaxRuns        int      `json:"max_runs"`
	MinBatch       int      `json:"min_batch"`
	Expires        string   `json:"expires"`
	Approve        []string `json:"approve"`
	AtLeast        int      `json:"at_least"` // so many of them; 0: one
	Models         []string `json:"models"`   // commitments to weights of others
	RangesWithheld bool     `json:"ranges_withheld"`
	Purpose        []string `json:"purpose"`
	MaxBatch       int      `json:"max_batch"`
	MaxRows        int      `json:"max_rows"`
	PerMonth       int      `json:"runs_per_month"`
}

// An Origin counts the ranges of one origin: proved, calibrated or assumed.
type Origin struct {
	Origin string `json:"origin"`
	Count  int    `json:"count"`
}

// A Range is a range that the plan shows to all roles.
type Range struct {
	Value  string  `json:"value"`
	Node   string  `json:"node"`
	Lo     float64 `json:"lo"`
	Hi     float64 `json:"hi"`
	Origin string  `json:"origin"`
	Bits   int     `json:"bits"`
	Frac   int     `json:"fraction_bits"`
}

// A Width counts the values of one ring width.
type Width struct {
	Bits  int `json:"bits"`
	Count int `json:"count"`
}

// A Protocol says how the computation is protected, and against whom.
type Protocol struct {
	Name      string `json:"name"`
	Security  string `json:"security"`
	Colluding int    `json:"colluding_parties_tolerated"`
	RingBits  int    `json:"ring_bits"`
	FracBits  int    `json:"frac_bits"`
}

// A Phase is what one phase of a run costs, computed from the plan.
type Phase struct {
	Phase     string           `json:"phase"`
	Rounds    int              `json:"rounds"`
	Messages  int              `json:"messages"`
	BytesSent map[string]int64 `json:"bytes_sent"`
}

// verified is what an audit says of its plan: plans that are not verified are not audited.
const verified = "yes, every message is masked and no mask is left in an output but by rounding; smpcc verify says what is proved and what is assumed"

// Of audits a plan, which must be verified, with what its auditor knows besides.
func Of(p *plan.Plan, opt Options) (*Report, error) {
	g, err := Graph(p)
	if err != nil {
		return nil, err
	}
	m := &p.Manifest
	r := &Report{
		Version: Version, Name: m.Name, PlanDigest: p.Digest(), GraphDigest: m.Source, SourceDigest: m.Source, Compiler: m.Compiler, Parties: m.Parties, Dealer: m.Dealer, Guests: guestsOf(m),
		Provides: provides(m), Learns: learns(m), Openings: openings(p), Flows: flows(g),
		Assumed: Assumed(p), Verified: verified, Bound: bound(p, nil), Statements: []Signature{}, Guards: []Guard{}, PublicRanges: []Range{}, Accuracy: []Accuracy{},
		Protocol: Protocol{
			Name:      fmt.Sprintf("additive and XOR secret sharing among %d parties, masked openings, correlated randomness from the dealer %s", len(m.Parties), m.Dealer),
			Security:  "semi-honest",
			Colluding: len(m.Parties) - 1, RingBits: m.RingBits, FracBits: m.FracBits,
		},
		plan: p, graph: g, opt: opt,
	}
	r.dealt, _ = p.Dealt()
	for _, x := range m.Accuracy {
		r.Accuracy = append(r.Accuracy, Accuracy{x.Output, x.State, x.Atol, x.Rtol, x.Used, x.Runs, x.Frac, x.String(), whyNot(x)})
	}
	for _, x := range m.Policies {
		r.Policies = append(r.Policies, Policy{x.Owner, x.File, x.Digest})
	}
	for _, x := range m.Guards {
		r.Guards = append(r.Guards, Guard{x.Owner, x.MaxRuns, x.MinBatch, expiry(x.Expires), append([]string{}, x.Approve...), x.AtLeast, append([]string{}, x.Models...), x.Silent, append([]string{}, x.Purpose...), x.MaxBatch, x.MaxRows, x.PerMonth})
	}
	r.ranges()
	r.costs()
	r.Public = public
	r.Trust = r.trust()
	r.Inference = r.infer()
	r.Findings = r.findings()
	if opt.View != "" {
		if r.View, err = r.viewOf(opt.View); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// whyNot says why an output's error is not proved; "" if it is.
func whyNot(x plan.Accuracy) string {
	if (x.State == "measured" || x.State == "guarded") && x.Why == "" {
		return "no bound holds for what a comparison decides, where it is closer than rounding"
	}
	return x.Why
}

// Graph reads the graph that a plan carries.
func Graph(p *plan.Plan) (*ir.Module, error) {
	for _, d := range p.Manifest.Dumps {
		if d.Level == "graph" {
			return text.Parse("plan (graph)", []byte(d.Text))
		}
	}
	return nil, fmt.Errorf("the plan carries no graph")
}

// typeOf renders the type of a port.
func typeOf(t plan.Port) string {
	if len(t.Shape) == 0 {
		return t.Elem
	}
	return t.Elem + ir.Shape(t.Shape).String()
}

// provides lists who provides what, inputs first.
func provides(m *plan.Manifest) (out []Port) {
	for _, x := range []struct {
		kind  string
		ports []plan.Port
	}{{"input", m.Inputs}, {"weight", m.Weights}} {
		for _, t := range x.ports {
			out = append(out, Port{t.Owner, x.kind, t.Name, typeOf(t), t.Lo, t.Hi, t.Origin, portNotes(m, &t)})
		}
	}
	return out
}

// shownWords bounds the words of a list that a note names.
const shownWords = 12

// portNotes says what an owner's client makes of an input's data: places of text in a public list, marks of what is missing, integers for reals.
func portNotes(m *plan.Manifest, t *plan.Port) (out []string) {
	if n := len(t.Words); n > 0 {
		some := fmt.Sprintf("%q", t.Words[:min(n, shownWords)])
		if n > shownWords {
			some += fmt.Sprintf(" and %d more", n-shownWords)
		}
		other := "other text is refused"
		if t.Lo < 0 {
			other = "other text is one value more"
		}
		out = append(out, fmt.Sprintf("text, as its place in a list that everybody may read: %s; %s", some, other))
	}
	for _, c := range t.Categories {
		values := fmt.Sprint(c.Values[:min(len(c.Values), shownWords)])
		if more := len(c.Values) - shownWords; more > 0 {
			values += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, fmt.Sprintf("column %d has no values but %s; the owner's client refuses others", c.Column, values))
	}
	if t.Missing != "" {
		but := ""
		if len(t.Given) > 0 {
			but = fmt.Sprintf(", but those of columns %v", t.Given)
		}
		out = append(out, fmt.Sprintf("elements may be missing%s: input %q says which, and is as secret", but, t.Missing))
	}
	if i := slices.IndexFunc(m.Inputs, func(p plan.Port) bool { return p.Missing == t.Name && t.Name != "" }); i >= 0 {
		out = append(out, fmt.Sprintf("says which elements of %q are missing", m.Inputs[i].Name))
	}
	if t.Step != 0 {
		out = append(out, fmt.Sprintf("stands for reals, as multiples of %g, to which its owner rounds", t.Step))
	}
	return out
}

// learns lists who learns what, and why.
func learns(m *plan.Manifest) (out []Learned) {
	for _, t := range m.Outputs {
		for _, to := range t.To {
			o := Learned{Receiver: to, Output: t.Name, Type: typeOf(t), Allowed: []Allowed{}}
			for _, w := range m.Allowed {
				if w.Output == t.Name && w.Receiver == to {
					o.Because = append(o.Because, w.Owner+": "+w.Rule)
					o.Allowed = append(o.Allowed, Allowed{w.Owner, w.Rule, w.File, w.Line, w.Done})
				}
			}
			if o.Because == nil {
				o.Because = []string{"derives from nobody's data"}
			}
			out = append(out, o)
		}
	}
	return out
}

// Assumed lists the ranges of a plan that are not proved.
func Assumed(p *plan.Plan) []string {
	out := []string{}
	for _, r := range p.Manifest.Ranges {
		if r.Origin != "proved" {
			out = append(out, fmt.Sprintf("%s %s: %g..%g %s, %d bits", r.Value, r.Node, r.Lo, r.Hi, r.Origin, r.Bits))
		}
	}
	return out
}

// ranges fills in what the plan shows of ranges and formats.
func (r *Report) ranges() {
	origins, widths := map[string]int{}, map[int]int{}
	for _, x := range r.plan.Manifest.Ranges {
		r.PublicRanges = append(r.PublicRanges, Range(x))
		origins[x.Origin]++
		widths[x.Bits]++
	}
	for _, o := range sortedKeys(origins) {
		r.Ranges = append(r.Ranges, Origin{o, origins[o]})
	}
	r.Formats = []Width{}
	for b := range 65 {
		if n := widths[b]; n > 0 {
			r.Formats = append(r.Formats, Width{b, n})
		}
	}
}

// costs fills in what a run costs.
func (r *Report) costs() {
	c := r.plan.Cost()
	roles := r.plan.Roles()
	r.DealtBytes = c.Dealt
	r.MaterialBytes = map[string]int64{}
	for i, role := range roles {
		r.MaterialBytes[role] = c.Material[i]
	}
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		x := Phase{Phase: ph.String(), Rounds: c.Phases[ph].Rounds, Messages: c.Phases[ph].Messages, BytesSent: map[string]int64{}}
		for i, role := range roles {
			x.BytesSent[role] = c.Phases[ph].Sent[i]
		}
		r.Cost = append(r.Cost, x)
	}
	r.PerOp = append([]plan.NodeCost{}, c.Nodes...)
}

// public is what every plan makes known to all roles.
var public = []string{
	"the structure of the computation, its operators and constants, and all shapes",
	"fixed-point formats: ring widths and fraction bits, which are chosen from the ranges below",
	"the ranges that the plan relies on; those that derive from weights or samples are rounded up to powers of two",
	"this plan and its digest; the number and the time of runs",
	"the policies' digests",
}

// trust says what the plan rests on.
func (r *Report) trust() []string {
	n := len(r.Parties)
	out := []string{
		"semi-honest: every role follows its program; a role that deviates can spoil results and may learn more",
		fmt.Sprintf("the dealer %s sees no input, no weight and no message of the online phase; it must not collude with a party", r.Dealer),
		fmt.Sprintf("up to %d of the %d parties may collude without learning more than their own data and outputs say", n-1, n),
		"truncation rounds by chance, by at most one unit in the last place (n-1 with n parties); how it rounds depends on low bits of shares, which each of two parties knows",
	}
	if len(r.Guests) > 0 {
		out = append(out, "a guest chooses its input, within the words of its ring, and nothing else; what it sends is uniform to all parties but one together, so it needs one honest party, and a page or program that is what it says")
	}
	if rounded(r.plan) {
		out = append(out, "outputs made of waves or exponentials tell a part of a bit of their argument beyond the function, in every run anew: bound the number of runs (max_runs)")
	}
	if r.dealt != plan.OnlyCorrections {
		out = append(out, "keys of comparisons hide what they are for if AES-128 under a public key is as good as a random permutation; masks need AES as a cipher only")
	}
	return out
}
