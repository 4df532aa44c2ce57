package engine

import (
	"fmt"
	"testing"

	"smpcc/backend/plan"
)

// plotted returns an engine of role 0 for a program of online rounds over slots.
func plotted(slots []plan.Slot, items []plan.Item, rounds ...plan.Round) *Engine {
	p := &plan.Plan{Items: items, Programs: []plan.Program{{Role: "p0", Slots: slots, Online: rounds}, {Role: "p1"}, {Role: "d"}}}
	e := &Engine{plan: p, prog: &p.Programs[0]}
	e.plot()
	return e
}

// shown prints the stages of a phase: steps, openings and slots that live within.
func shown(e *Engine) string {
	s := ""
	for r, stages := range e.phases[plan.Online] {
		for _, st := range stages {
			s += fmt.Sprintf("%d: unpack %v steps %d-%d pack %v locals %d whole %v\n", r, st.unpack, st.lo, st.hi, st.pack, st.locals, st.whole)
		}
	}
	return s
}

func TestStages(t *testing.T) {
	const n = 3000
	slot := func(offset, length int) plan.Slot { return plan.Slot{Scope: plan.Session, Offset: offset, Len: length} }
	step := func(op plan.StepOp, dst int, src ...int) plan.Step { return plan.Step{Op: op, Dst: dst, Src: src} }
	apart := []plan.Slot{slot(0, n), slot(n, n), slot(2*n, n), slot(3*n, n), slot(4*n, n)}
	open := plan.Open{Src: 3, Dst: 4, Len: n, Bits: 24, From: []int{0, 1}, To: []int{0, 1}}
	for _, c := range []struct {
		name   string
		slots  []plan.Slot
		rounds []plan.Round
		want   string
	}{
		{"one stage for a round, its opening unpacked before the next steps", apart,
			[]plan.Round{{Steps: []plan.Step{step(plan.StepAdd, 2, 0, 1), step(plan.StepNeg, 3, 2)}, Opens: []plan.Open{open}}, {Steps: []plan.Step{step(plan.StepNeg, 0, 4)}}},
			"0: unpack [] steps 0-2 pack [0] locals 1 whole false\n1: unpack [0] steps 0-1 pack [] locals 1 whole false\n"},
		{"a slot over a part of another: the step that writes it waits for all blocks", []plan.Slot{slot(0, n), slot(n, n), slot(2*n, n), slot(n/2, n), slot(4*n, n)},
			[]plan.Round{{Steps: []plan.Step{step(plan.StepAdd, 2, 0, 1), step(plan.StepNeg, 3, 2)}, Opens: []plan.Open{open}}},
			"0: unpack [] steps 0-1 pack [] locals 0 whole false\n0: unpack [] steps 1-2 pack [0] locals 0 whole false\n1: unpack [0] steps 0-0 pack [] locals 1 whole false\n"},
		{"a step that is not elementwise stands alone", apart,
			[]plan.Round{{Steps: []plan.Step{step(plan.StepNeg, 1, 0), {Op: plan.StepSum, Dst: 2, Src: []int{1}, Args: []int64{n, 1, 1}}, step(plan.StepNeg, 3, 2)}}},
			"0: unpack [] steps 0-1 pack [] locals 0 whole false\n0: unpack [] steps 1-2 pack [] locals 0 whole true\n0: unpack [] steps 2-3 pack [] locals 1 whole false\n"},
		{"lengths differ", []plan.Slot{slot(0, n), slot(n, n), slot(2*n, 5), slot(3*n, 5)},
			[]plan.Round{{Steps: []plan.Step{step(plan.StepNeg, 1, 0), step(plan.StepNeg, 3, 2)}}},
			"0: unpack [] steps 0-1 pack [] locals 1 whole false\n0: unpack [] steps 1-2 pack [] locals 1 whole false\n"},
	} {
		if got := shown(plotted(c.slots, nil, c.rounds...)); got != c.want {
			t.Errorf("%s:\n%swant:\n%s", c.name, got, c.want)
		}
	}
}

// TestWidths: what is kept in few bytes, and that the words of a slot are never seen in two widths by one stage.
func TestWidths(t *testing.T) {
	const n = parallelLen
	items := []plan.Item{{Len: n, Bits: 11, Mode: plan.Xor}}
	draw := plan.Step{Op: plan.StepPRG, Dst: 0, Args: []int64{0}}
	slots := []plan.Slot{{Scope: plan.Session, Len: n}, {Scope: plan.Session, Offset: n, Len: n}, {Scope: plan.Session, Len: n}, {Scope: plan.Session, Offset: n, Len: n}}
	e := plotted(slots, items,
		plan.Round{Steps: []plan.Step{draw}},
		plan.Round{Steps: []plan.Step{{Op: plan.StepNeg, Dst: 1, Src: []int{0}}, {Op: plan.StepNeg, Dst: 2, Src: []int{1}}}},
		plan.Round{Steps: []plan.Step{{Op: plan.StepNeg, Dst: 3, Src: []int{2}}}})
	if got, want := fmt.Sprint(e.width), "[2 8 8 1]"; got != want { // nothing reads the last
		t.Errorf("widths %s, want %s", got, want)
	}
	want := "0: unpack [] steps 0-1 pack [] locals 0 whole false\n" +
		"1: unpack [] steps 0-1 pack [] locals 0 whole false\n1: unpack [] steps 1-2 pack [] locals 0 whole false\n" +
		"2: unpack [] steps 0-1 pack [] locals 1 whole false\n"
	if got := shown(e); got != want {
		t.Errorf("stages:\n%swant:\n%s", got, want)
	}
	if got, want := fmt.Sprint(e.used), fmt.Sprintf("[{0 %d}]", 2*n); got != want {
		t.Errorf("memory %s, want %s", got, want)
	}
}

// TestPlotLong: a long program of one length, whose stages are bounded, is plotted in linear time.
func TestPlotLong(t *testing.T) {
	const steps = 100_000
	slots := []plan.Slot{{Scope: plan.Session, Len: 4}}
	var round plan.Round
	for i := 1; i <= steps; i++ {
		slots = append(slots, plan.Slot{Scope: plan.Session, Offset: 8 * i, Len: 4})
		round.Steps = append(round.Steps, plan.Step{Op: plan.StepNeg, Dst: i, Src: []int{i - 1}})
	}
	e := plotted(slots, nil, round)
	if got, want := len(e.phases[plan.Online][0]), (steps+maxWork-1)/maxWork; got != want {
		t.Errorf("%d stages, want %d", got, want)
	}
}
