package main

import (
	"fmt"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/text"
)

// auditVersion is the version of the JSON form of an audit; docs/schema/audit.schema.json describes it. Fields may be added.
const auditVersion = 1

// An auditAllowed is one reason why a receiver may learn an output: the line of an owner's policy.
type auditAllowed struct {
	Owner string `json:"owner"`
	Rule  string `json:"rule"`
	File  string `json:"file"` // "" for own data and default policies
	Line  int    `json:"line"`
	Form  string `json:"form"` // what the rule asks to be done before: argmax, rows>=20; "" for nothing
}

// An auditFlow is one way on which data reaches a receiver, the shortest.
type auditFlow struct {
	Owner  string      `json:"owner"`
	Kind   string      `json:"kind"` // input or weight
	Source string      `json:"source"`
	Output string      `json:"output"`
	To     []string    `json:"to"`
	Form   string      `json:"form"` // what has been done to the data on every way, by the graph: argmax, rows>=20
	Path   []auditStep `json:"path"`
}

// An auditStep is one value of a flow.
type auditStep struct {
	Value    int    `json:"value"`
	Op       string `json:"op"`
	Position string `json:"position"`
}

// An auditGuard is what a policy asks of every run; servers enforce it.
type auditGuard struct {
	Owner          string   `json:"owner"`
	MaxRuns        int      `json:"max_runs"`
	MinBatch       int      `json:"min_batch"`
	Expires        string   `json:"expires"`
	Approve        []string `json:"approve"`
	AtLeast        int      `json:"at_least"` // so many of them; 0: one
	Models         []string `json:"models"`   // commitments to weights of others
	RangesWithheld bool     `json:"ranges_withheld"`
}

// An auditPublicRange is a range that the plan shows to all roles.
type auditPublicRange struct {
	Value  string  `json:"value"`
	Node   string  `json:"node"`
	Lo     float64 `json:"lo"`
	Hi     float64 `json:"hi"`
	Origin string  `json:"origin"`
	Bits   int     `json:"bits"`
	Frac   int     `json:"fraction_bits"`
}

// An auditFormat counts the values of one ring width.
type auditFormat struct {
	Bits  int `json:"bits"`
	Count int `json:"count"`
}

// An auditProtocol says how the computation is protected, and against whom.
type auditProtocol struct {
	Name      string `json:"name"`
	Security  string `json:"security"`
	Colluding int    `json:"colluding_parties_tolerated"`
	RingBits  int    `json:"ring_bits"`
	FracBits  int    `json:"frac_bits"`
}

// An auditCost is what a run costs, computed from the plan.
type auditCost struct {
	Phase     string           `json:"phase"`
	Rounds    int              `json:"rounds"`
	Messages  int              `json:"messages"`
	BytesSent map[string]int64 `json:"bytes_sent"`
}

// graphOf reads the graph that a plan carries.
func graphOf(p *plan.Plan) (*ir.Module, error) {
	for _, d := range p.Manifest.Dumps {
		if d.Level == "graph" {
			return text.Parse("plan (graph)", []byte(d.Text))
		}
	}
	return nil, fmt.Errorf("the plan carries no graph")
}

// position renders where a value comes from.
func position(v *ir.Value) string { return v.Pos.String() }

// flows lists, for every reveal, the inputs and weights it derives from, inputs first.
func flows(m *ir.Module) []auditFlow {
	f := m.Main()
	traces := map[*ir.Value]map[*ir.Value]ir.Done{}
	out := []auditFlow{}
	for _, r := range f.Reveals() {
		next := map[*ir.Value]*ir.Value{r: nil} // towards r
		queue := []*ir.Value{r}
		var sources []*ir.Value
		for len(queue) > 0 {
			x := queue[0]
			queue = queue[1:]
			if x.Op == ir.OpInput || x.Op == ir.OpWeight {
				sources = append(sources, x)
			}
			for _, a := range x.Args {
				if _, seen := next[a]; !seen {
					next[a] = x
					queue = append(queue, a)
				}
			}
		}
		slices.SortStableFunc(sources, func(a, b *ir.Value) int {
			if a.Op != b.Op {
				return strings.Compare(string(a.Op), string(b.Op))
			}
			return a.ID - b.ID
		})
		for _, s := range sources {
			if traces[s] == nil {
				traces[s] = ir.Trace(f, s)
			}
			w := auditFlow{Owner: s.Attrs.Str("owner"), Kind: string(s.Op), Source: s.Attrs.Str("name"), Output: r.Attrs.Str("name"), To: r.Attrs.Strings("to"), Form: traces[s][r].String()}
			for x := s; x != nil; x = next[x] {
				w.Path = append(w.Path, auditStep{x.ID, string(x.Op), position(x)})
			}
			out = append(out, w)
		}
	}
	return out
}

// detail adds what an audit says beyond who provides and who learns.
func (a *audit) detail(p *plan.Plan) error {
	m := &p.Manifest
	a.Version = auditVersion
	a.Name = m.Name
	g, err := graphOf(p)
	if err != nil {
		return err
	}
	a.Flows = flows(g)
	for i := range a.Learns {
		o := &a.Learns[i]
		o.Allowed = []auditAllowed{}
		for _, w := range m.Allowed {
			if w.Output == o.Output && w.Receiver == o.Receiver {
				o.Allowed = append(o.Allowed, auditAllowed{w.Owner, w.Rule, w.File, w.Line, w.Done})
			}
		}
	}
	a.Guards = []auditGuard{}
	for _, g := range m.Guards {
		a.Guards = append(a.Guards, auditGuard{g.Owner, g.MaxRuns, g.MinBatch, expiry(g.Expires), append([]string{}, g.Approve...), g.AtLeast, append([]string{}, g.Models...), g.Silent})
	}
	a.PublicRanges = []auditPublicRange{}
	widths := map[int]int{}
	for _, r := range m.Ranges {
		a.PublicRanges = append(a.PublicRanges, auditPublicRange(r))
		widths[r.Bits]++
	}
	a.Formats = []auditFormat{}
	for b := range 65 {
		if n := widths[b]; n > 0 {
			a.Formats = append(a.Formats, auditFormat{b, n})
		}
	}
	a.Protocol = auditProtocol{
		Name:      fmt.Sprintf("additive and XOR secret sharing among %d parties, masked openings, correlated randomness from the dealer %s", len(m.Parties), m.Dealer),
		Security:  "semi-honest",
		Colluding: len(m.Parties) - 1, RingBits: m.RingBits, FracBits: m.FracBits,
	}
	c := p.Cost()
	a.DealtBytes = c.Dealt
	a.MaterialBytes = map[string]int64{}
	for i, r := range p.Roles() {
		a.MaterialBytes[r] = c.Material[i]
	}
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		x := auditCost{Phase: ph.String(), Rounds: c.Phases[ph].Rounds, Messages: c.Phases[ph].Messages, BytesSent: map[string]int64{}}
		for i, r := range p.Roles() {
			x.BytesSent[r] = c.Phases[ph].Sent[i]
		}
		a.Cost = append(a.Cost, x)
	}
	a.PerOp = nodeRows(c)
	return nil
}
