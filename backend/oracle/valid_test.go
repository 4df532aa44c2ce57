package oracle

import (
	"testing"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
)

// checkedPlan opens x of p0 in five bits, checks that it is in its range, and reveals it to p1 times the bit that says so; edit changes the program.
func checkedPlan(t *testing.T, edit func(m *plan.Manifest, p *typed.Program)) (*plan.Plan, error) {
	t.Helper()
	m := plan.Manifest{Version: plan.Version, Parties: []string{"p0", "p1"}, Dealer: "d", RingBits: 5,
		Inputs: []plan.Port{{Name: "x", Owner: "p0", Elem: "int", Bits: 5, Shape: []int{1}, Lo: -16, Hi: 15}},
		Outputs: []plan.Port{{Name: "y", To: []string{"p1"}, Elem: "int", Bits: 4, Shape: []int{1}, Valid: 2},
			{Name: "y is valid", To: []string{"p1"}, Elem: "bool", Bits: 1, Shape: []int{1}, Checked: 1}}}
	for _, o := range m.Outputs {
		m.Allowed = append(m.Allowed, plan.Allowance{Output: o.Name, Receiver: "p1", Owner: "p0", Rule: "for the test"})
	}
	step := func(op typed.Op, src []int, args ...int64) typed.Step {
		return typed.Step{Op: op, Src: src, Args: args}
	}
	one := step(typed.OpConst, nil, plan.ValidSets)
	one.Data = []uint64{1}
	p := typed.Program{Nodes: []string{"valid"}, Steps: []typed.Step{
		step(typed.OpInput, nil, 0), step(typed.OpHold, []int{0}, 5, 0), step(typed.OpOpen, []int{1}, 5), // 2: x
		step(typed.OpValid, []int{2}, plan.ValidSpan, 0), one, step(typed.OpXor, []int{3, 4}), // 5: even parities
		step(typed.OpOpen, []int{5}, 1), step(typed.OpAll, []int{6}, plan.ValidRow), step(typed.OpOpen, []int{7}, 1), step(typed.OpAll, []int{8}, plan.ValidRow), // 9: the bit
		step(typed.OpOpen, []int{9}, 1), step(typed.OpLow, []int{2}, 4), step(typed.OpMulBit, []int{11, 10}, 4), // 12: the product
		step(typed.OpReveal, []int{12}, 0), step(typed.OpReveal, []int{9}, 1),
	}}
	if edit != nil {
		edit(&m, &p)
	}
	c, err := typed.Check(&m, &p)
	if err != nil {
		return nil, err
	}
	return c.Project()
}

// TestCheckedRange: a plan that checks a range is private: what p1 sees of x beside what is revealed to it is nothing.
func TestCheckedRange(t *testing.T) {
	p, err := checkedPlan(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Decide(p, Options{Seed: 1})
	if err != nil || v.Leak != "" {
		t.Errorf("%+v %v", v, err)
	}
	for name, edit := range map[string]func(m *plan.Manifest, p *typed.Program){
		"not multiplied": func(m *plan.Manifest, p *typed.Program) {
			p.Steps[12] = typed.Step{Op: typed.OpUnmask, Src: []int{11}, Args: []int64{4}}
		},
		"by another bit": func(m *plan.Manifest, p *typed.Program) { p.Steps[12].Src[1] = 8 },
		"to nobody": func(m *plan.Manifest, p *typed.Program) {
			m.Outputs[1].To = []string{"p0"}
			m.Allowed[1].Receiver = "p0"
		},
		"more than is":        func(m *plan.Manifest, p *typed.Program) { m.Outputs[1].Checked = 2 },
		"of itself":           func(m *plan.Manifest, p *typed.Program) { m.Outputs[0].Valid = 1 },
		"out of range":        func(m *plan.Manifest, p *typed.Program) { m.Outputs[0].Valid = 7 },
		"of no output":        func(m *plan.Manifest, p *typed.Program) { m.Outputs[0].Valid = 0 },
		"without permission":  func(m *plan.Manifest, p *typed.Program) { m.Allowed = m.Allowed[:1] },
		"another span":        func(m *plan.Manifest, p *typed.Program) { p.Steps[3].Args[0] = 9 },
		"of a bit":            func(m *plan.Manifest, p *typed.Program) { p.Steps[3].Src[0] = 6 },
		"groups that are not": func(m *plan.Manifest, p *typed.Program) { p.Steps[7].Args[0] = 5 },
		"more low bits":       func(m *plan.Manifest, p *typed.Program) { p.Steps[11].Args[0] = 6 },
	} {
		if _, err := checkedPlan(t, edit); err == nil {
			t.Errorf("%s: the plan has a type", name)
		}
	}
}
