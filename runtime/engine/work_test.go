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

// TestReach checks how far away slots are found: first accesses and those behind more than a cache come from memory, those behind less than a
// core's cache cost nothing, and a slot of the same place is the same memory.
func TestReach(t *testing.T) {
	const big, small = 3 << 20 / 8, 512
	e := &Engine{prog: &plan.Program{Slots: []plan.Slot{{Len: small}, {Len: big}, {Len: 8 * big}, {Len: small / 2}, {Len: 1}}},
		width: []int{8, 8, 8, 4, 8}, local: []int{0, 0, 0, 0, 1}, at: []int{0, small, small + big, 0, 1}}
	a := &reach{e: e, last: map[place]int64{}}
	for i, c := range []struct {
		slots        []int
		near, memory float64
	}{
		{[]int{0, 0}, 0, 8 * small}, // once in a stage
		{[]int{0}, 0, 0},
		{[]int{1}, 0, 8 * big},
		{[]int{3}, 4 * small / 2, 0}, // where slot 0 was
		{[]int{2}, 0, 64 * big},
		{[]int{0, 4}, 0, 8 * small}, // slot 4 is local
	} {
		var w [Kinds]float64
		a.seen = map[int]bool{}
		for _, s := range c.slots {
			a.access(s, &w)
		}
		if w[Near] != c.near || w[Memory] != c.memory {
			t.Errorf("stage %d: %g bytes near and %g in memory, want %g and %g", i, w[Near], w[Memory], c.near, c.memory)
		}
	}
}

// TestBuffers checks how many buffers of messages there are: of one size those in use at once, of all sizes the sum.
func TestBuffers(t *testing.T) {
	const n = 1 << 14 // words of 64 bits: 128 KiB
	round := func(words int, from ...int) plan.Round {
		return plan.Round{Opens: []plan.Open{{Len: words, Bits: 64, From: from, To: []int{0, 1}}}}
	}
	rounds := []plan.Round{round(n, 0, 1), round(n, 0, 1), round(10, 0, 1), round(2*n, 0)}
	p := &plan.Plan{Programs: []plan.Program{{Online: rounds}, {Online: rounds}}}
	all := func(int, int) bool { return true }
	for _, c := range []struct {
		what      string
		holds     func(from, to int) bool
		exchanges int
		want      int64
	}{
		{"one process", all, 1, 2*8*n + 16*n},
		{"exchanges that overlap", all, 2, 4*8*n + 16*n},
		{"one direction", func(from, _ int) bool { return from == 1 }, 1, 8 * n},
		{"nothing", func(int, int) bool { return false }, 2, 0},
	} {
		if got := Buffers(p, c.holds, c.exchanges, plan.Offline, plan.Online); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.what, got, c.want)
		}
	}
}
