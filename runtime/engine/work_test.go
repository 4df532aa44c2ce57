package engine

import (
	"testing"

	"smpcc/backend/plan"
)

// TestKindNames checks that every kind of work has a name of its own, by which profiles know it.
func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for k, name := range KindNames {
		if name == "" || seen[name] {
			t.Errorf("kind %d is called %q", k, name)
		}
		seen[name] = true
	}
}

// TestAmount checks the counting of steps whose amount is not their number of elements.
func TestAmount(t *testing.T) {
	e := &Engine{plan: &plan.Plan{Manifest: plan.Manifest{Parties: []string{"p0", "p1", "p2"}}, Items: []plan.Item{{Len: 10, Bits: 12}, {Len: 10, Bits: 12, Holder: 1}}},
		prog: &plan.Program{Slots: []plan.Slot{{Len: 10}}}}
	width := float64(e.plan.Items[0].Width())
	for _, c := range []struct {
		step   plan.Step
		kind   Kind
		amount float64
	}{
		{plan.Step{Op: plan.StepAdd}, Light, 10},
		{plan.Step{Op: plan.StepReluSel}, Select, 10},
		{plan.Step{Op: plan.StepWireMul}, Products, 10},
		{plan.Step{Op: plan.StepWave}, Waves, 10},
		{plan.Step{Op: plan.StepPhase}, Curves, 10},
		{plan.Step{Op: plan.StepExpo}, Expos, 10},
		{plan.Step{Op: plan.StepDecay}, Curves, 10},
		{plan.Step{Op: plan.StepLeaf, Args: []int64{32, 7, 0, 3, 1}}, Leaf, 30},
		{plan.Step{Op: plan.StepPRG, Args: []int64{0}}, PRG, 10 * width},
		{plan.Step{Op: plan.StepPRGSum, Args: []int64{0}}, PRG, 30 * width},
		{plan.Step{Op: plan.StepPRGSum, Args: []int64{1}}, PRG, 10 * width},
		{plan.Step{Op: plan.StepDeal, Args: []int64{0}}, PRG, 20 * width},
	} {
		if k, n := e.amount(&c.step); k != c.kind || n != c.amount {
			t.Errorf("step %d: %g of %s, want %g of %s", c.step.Op, n, KindNames[k], c.amount, KindNames[c.kind])
		}
	}
}
