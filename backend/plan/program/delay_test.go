package program

import (
	"fmt"
	"strings"
	"testing"

	"smpcc/backend/plan"
)

// TestLate: what only one online round reads, element by element, is drawn there; what nothing reads is not computed.
func TestLate(t *testing.T) {
	b := New(2)
	const n = 4
	draw := func(item int64) int {
		return b.Step(0, AtOffline, n, plan.Step{Op: plan.StepPRG, Args: []int64{item}})
	}
	once, twice, moved, offline, opened, dead := draw(0), draw(1), draw(2), draw(3), draw(4), draw(5)
	word := b.Constant(0, n, AtOffline, 7)
	x := b.Step(0, AtOnline, n, plan.Step{Op: plan.StepInput, Args: []int64{0}})
	y := b.Op(0, plan.StepAdd, n, nil, b.Op(0, plan.StepAdd, n, nil, x, once), twice)
	b.Op(0, plan.StepMul, n, nil, y, dead)
	z := b.Op(0, plan.StepMul, n, nil, y, word)
	c := b.Op(0, plan.StepCopy, n, nil, moved)
	s := b.Op(0, plan.StepNeg, n, nil, offline)
	z = b.Op(0, plan.StepAdd, n, nil, b.Op(0, plan.StepAdd, n, nil, z, c), s)
	m := b.Open(plan.Open{Len: n, Bits: 64, From: []int{0, 1}, To: []int{0, 1}}, map[int]int{0: z, 1: b.Step(1, AtOnline, n, plan.Step{Op: plan.StepZero})})
	b.Open(plan.Open{Len: n, Bits: 64, From: []int{0}, To: []int{1}, Kind: plan.Reveal}, map[int]int{0: b.Op(0, plan.StepSub, n, nil, m[0], twice)})
	b.Open(plan.Open{Len: n, Bits: 64, From: []int{0}, To: []int{1}, Kind: plan.Reveal}, map[int]int{0: opened})

	r := b.roles[0]
	r.prune(b.rounds, 0)
	r.delay(b.rounds, 0)
	var got []string
	for ph := range r.phases {
		for round := range b.rounds[ph] {
			for _, s := range r.phases[ph].steps[round] {
				got = append(got, fmt.Sprintf("%v %d: %s %v", plan.Phase(ph), round, plan.Steps[s.Op].Name, s.Args))
			}
		}
	}
	want := `offline 0: prg [1]
offline 0: prg [2]
offline 0: prg [3]
offline 0: copy []
offline 0: neg []
online 0: input [0]
online 0: prg [0]
online 0: add []
online 0: add []
online 0: const []
online 0: mul []
online 0: add []
online 0: add []
online 0: prg [4]
online 1: sub []`
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got\n%s\nwant\n%s", g, want)
	}
	if p := b.layout(0); p.Slots[dead].Len != 0 || p.Slots[once].Len != n {
		t.Errorf("slots of %d and %d elements", p.Slots[dead].Len, p.Slots[once].Len)
	}
}
