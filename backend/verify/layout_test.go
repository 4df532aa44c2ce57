package verify_test

import (
	"slices"
	"testing"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	. "smpcc/backend/verify"
)

// copyOf returns a copy of the programs of a plan.
func copyOf(t testing.TB, p *plan.Plan) *plan.Plan {
	t.Helper()
	q, err := plan.DecodeProjection(p.EncodeProjection())
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// TestOtherPrograms: programs that are not what the typed plan projects to are refused, however they were changed, and so is a plan without a
// typed program, with one that has no type, or with another one.
func TestOtherPrograms(t *testing.T) {
	bases := plans(t)
	base := bases["small"]
	for name, c := range map[string]struct {
		code string
		edit func(p *plan.Plan)
	}{
		"a mask left out":   {OtherPrograms, func(p *plan.Plan) { o := &p.Programs[0].Online[0].Opens[0]; o.Src = o.Dst }},
		"a bit more":        {OtherPrograms, func(p *plan.Plan) { p.Items[0].Offset += 16 }},
		"a place in memory": {OtherPrograms, func(p *plan.Plan) { p.Programs[1].Slots[0].Offset += 8 }},
		"a permission":      {OtherPrograms, func(p *plan.Plan) { p.Manifest.Allowed = nil }},
		"a step of the dealer": {OtherPrograms, func(p *plan.Plan) {
			g := &p.Programs[len(p.Programs)-1].Offline[0]
			g.Steps = slices.Delete(g.Steps, 0, 1)
		}},
		"no typed program":      {Malformed, func(p *plan.Plan) { p.Typed = nil }},
		"another typed program": {OtherPrograms, func(p *plan.Plan) { p.Typed = bases["sums"].Typed }},
		"a program without a type": {NoType, func(p *plan.Plan) {
			c, err := typed.Decode(p.Typed)
			if err != nil {
				t.Fatal(err)
			}
			c.Manifest.Allowed = nil
			p.Typed = c.Encode()
		}},
	} {
		p := copyOf(t, base)
		p.Typed = slices.Clone(base.Typed)
		if err := Check(p).Err(); err != nil {
			t.Fatal(err)
		}
		c.edit(p)
		if r := Check(p); r.OK || r.Findings[0].Code != c.code || len(r.Proved) > 0 || len(r.Assumed) > 0 {
			t.Errorf("%s: %+v, want %s", name, r, c.code)
		}
	}
}

// TestLayout breaks programs in one way each that a mistake in the projection could make.
func TestLayout(t *testing.T) {
	bases := plans(t)
	caught := map[string]bool{OtherPrograms: true, NoType: true, CostDiffers: true} // by the tests beside this
	for name, p := range bases {
		if err := CheckLayout(copyOf(t, p)).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		code string
		edit func(p *plan.Plan)
	}{
		"two slots of a step in one place": {Malformed, func(p *plan.Plan) {
			for i := range p.Programs[0].Slots { // all of them: some live together
				if s := &p.Programs[0].Slots[i]; s.Scope == plan.Session {
					s.Offset = 0
				}
			}
		}},
		"slots of a step that overlap in part": {Malformed, func(p *plan.Plan) {
			for i := range p.Programs[1].Slots {
				if s := &p.Programs[1].Slots[i]; s.Scope == plan.Session && s.Offset > 0 {
					s.Offset -= 7
				}
			}
		}},
		"a slot in the place of one that lives": {ReadBeforeWrite, func(p *plan.Plan) {
			g := &p.Programs[0] // zeros are written over what the last round reads
			k := len(g.Online) - 1
			for len(g.Online[k].Opens) == 0 {
				k--
			}
			last := g.Online[k]
			for _, o := range last.Opens {
				if slices.Contains(o.From, 0) {
					g.Slots = append(g.Slots, g.Slots[o.Src])
					last.Steps = append(last.Steps, plan.Step{Op: plan.StepZero, Dst: len(g.Slots) - 1})
				}
			}
			g.Online[k] = last
		}},
		"a step that is missing": {ReadBeforeWrite, func(p *plan.Plan) {
			for i := range p.Programs[0].Online {
				if g := &p.Programs[0].Online[i]; len(g.Steps) > 0 {
					g.Steps = g.Steps[1:]
					return
				}
			}
		}},
		"a message that one role knows nothing of": {Malformed, func(p *plan.Plan) {
			for i := range p.Programs[1].Online {
				if g := &p.Programs[1].Online[i]; len(g.Opens) > 0 {
					g.Opens = g.Opens[1:]
					return
				}
			}
		}},
		"a message of another width": {Malformed, func(p *plan.Plan) {
			for i := range p.Programs[1].Online {
				if g := &p.Programs[1].Online[i]; len(g.Opens) > 0 {
					g.Opens[0].Bits--
					return
				}
			}
		}},
		"a round more": {Malformed, func(p *plan.Plan) { p.Programs[1].Online = append(p.Programs[1].Online, plan.Round{}) }},
		"items that overlap": {Malformed, func(p *plan.Plan) {
			for i := 1; i < len(p.Items); i++ {
				if p.Items[i].Scope == p.Items[0].Scope {
					p.Items[i].Offset = p.Items[0].Offset
					return
				}
			}
		}},
		"the dealer reads an input": {Malformed, func(p *plan.Plan) {
			g := &p.Programs[len(p.Programs)-1]
			for i := range g.Slots {
				if g.Slots[i].Len == p.Manifest.Inputs[0].Len() {
					g.Offline[0].Steps = append(g.Offline[0].Steps, plan.Step{Op: plan.StepInput, Dst: i, Args: []int64{0}})
					return
				}
			}
		}},
		"the dealer receives": {Malformed, func(p *plan.Plan) {
			o := &p.Programs[0].Online[0].Opens[0]
			d := &p.Programs[len(p.Programs)-1]
			x := *o
			x.From, x.To, x.Dst = []int{0}, []int{len(p.Programs) - 1}, len(d.Slots)
			d.Slots = append(d.Slots, plan.Slot{Len: x.Len, Offset: d.Words})
			d.Words += x.Len
			for len(d.Online) < len(p.Programs[0].Online) {
				d.Online = append(d.Online, plan.Round{})
			}
			d.Online[0].Opens = append(d.Online[0].Opens, x)
			y := x
			y.Src = o.Src
			p.Programs[0].Online[0].Opens = append(p.Programs[0].Online[0].Opens, y)
		}},
	} {
		p := copyOf(t, bases["small"])
		c.edit(p)
		r := CheckLayout(p)
		if r.OK || !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Code == c.code }) {
			t.Errorf("%s: %+v, want %s", name, r.Findings, c.code)
		}
		caught[c.code] = true
	}
	for _, c := range Codes {
		if !caught[c.ID] {
			t.Errorf("nothing shows %v", c)
		}
	}
}

// TestCost: what a cost claims is compared with what the programs send.
func TestCost(t *testing.T) {
	base := plans(t)["mnist"]
	for name, lie := range map[string]func(c *plan.Cost){
		"bytes":    func(c *plan.Cost) { c.Phases[plan.Online].Sent[0]-- },
		"rounds":   func(c *plan.Cost) { c.Phases[plan.Online].Rounds-- },
		"messages": func(c *plan.Cost) { c.Phases[plan.Offline].Messages++ },
		"memory":   func(c *plan.Cost) { c.Words[1] = 8 },
		"roles":    func(c *plan.Cost) { c.Phases[plan.Setup].Sent = nil },
	} {
		r := CheckCost(base, func(p *plan.Plan) *plan.Cost {
			c := p.Cost()
			lie(c)
			return c
		})
		if r.OK || r.Findings[0].Code != CostDiffers {
			t.Errorf("%s: got %v", name, r.Findings)
		}
	}
}
