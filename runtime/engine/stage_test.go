package engine

import (
	"fmt"
	"testing"

	"smpcc/backend/plan"
)

// plotted returns an engine of role 0 for a program of online rounds over slots, whose memory it says to be what they take.
func plotted(t *testing.T, slots []plan.Slot, items []plan.Item, rounds ...plan.Round) *Engine {
	t.Helper()
	g := plan.Program{Role: "p0", Slots: slots, Online: rounds}
	for _, s := range slots {
		if s.Scope == plan.Session {
			g.Words = max(g.Words, aligned(s.Offset+s.Len))
		}
	}
	p := &plan.Plan{Items: items, Programs: []plan.Program{g, {Role: "p1"}, {Role: "d"}}}
	e := &Engine{plan: p, prog: &p.Programs[0]}
	e.wanted = e.wantedBits()
	if err := e.plot(); err != nil {
		t.Fatal(err)
	}
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
		{"a slot over a part of another in the plan: in places of their own", []plan.Slot{slot(0, n), slot(n, n), slot(2*n, n), slot(n/2, n), slot(4*n, n)},
			[]plan.Round{{Steps: []plan.Step{step(plan.StepAdd, 2, 0, 1), step(plan.StepNeg, 3, 2)}, Opens: []plan.Open{open}}},
			"0: unpack [] steps 0-2 pack [0] locals 1 whole false\n1: unpack [0] steps 0-0 pack [] locals 1 whole false\n"},
		{"a step that is not elementwise stands alone", apart,
			[]plan.Round{{Steps: []plan.Step{step(plan.StepNeg, 1, 0), {Op: plan.StepSum, Dst: 2, Src: []int{1}, Args: []int64{n, 1, 1}}, step(plan.StepNeg, 3, 2)}}},
			"0: unpack [] steps 0-1 pack [] locals 0 whole false\n0: unpack [] steps 1-2 pack [] locals 0 whole true\n0: unpack [] steps 2-3 pack [] locals 1 whole false\n"},
		{"lengths differ", []plan.Slot{slot(0, n), slot(n, n), slot(2*n, 5), slot(3*n, 5)},
			[]plan.Round{{Steps: []plan.Step{step(plan.StepNeg, 1, 0), step(plan.StepNeg, 3, 2)}}},
			"0: unpack [] steps 0-1 pack [] locals 1 whole false\n0: unpack [] steps 1-2 pack [] locals 1 whole false\n"},
	} {
		if got := shown(plotted(t, c.slots, nil, c.rounds...)); got != c.want {
			t.Errorf("%s:\n%swant:\n%s", c.name, got, c.want)
		}
	}
}

// TestPlace: what is kept in few bytes, and where: a slot takes the place of one that was read for the last time before in its stage, if both
// take the same, and otherwise memory that no slot of the stage is in.
func TestPlace(t *testing.T) {
	const n = parallelLen
	session := func(offset int) plan.Slot { return plan.Slot{Scope: plan.Session, Offset: offset * n, Len: n} }
	step := func(op plan.StepOp, dst int, src ...int) plan.Step { return plan.Step{Op: op, Dst: dst, Src: src} }
	items := []plan.Item{{Len: n, Bits: 11, Mode: plan.Xor}, {Len: n, Bits: 33, Mode: plan.Xor}}
	draw := func(dst int, item int64) plan.Step { return plan.Step{Op: plan.StepPRG, Dst: dst, Args: []int64{item}} }
	sum := func(dst, src int) plan.Step {
		return plan.Step{Op: plan.StepSum, Dst: dst, Src: []int{src}, Args: []int64{n, 1, 1}}
	}
	for _, c := range []struct {
		name              string
		slots             []plan.Slot
		rounds            []plan.Round
		widths, at, words string
	}{
		{"few bits are written", []plan.Slot{session(0), session(1), session(2), session(3)},
			[]plan.Round{{Steps: []plan.Step{draw(0, 0), draw(1, 1)}}, {Steps: []plan.Step{step(plan.StepAdd, 2, 0, 1), step(plan.StepNeg, 3, 2)}}, {Steps: []plan.Step{step(plan.StepB2A, 3, 2, 2)}}},
			"[2 5 8 1]", "[0 4096 14336 30720]", "32768"},
		{"few bits are wanted", []plan.Slot{session(0), session(1), session(2)},
			[]plan.Round{{Steps: []plan.Step{draw(0, 1)}}, {Steps: []plan.Step{step(plan.StepNeg, 1, 0)}}, {Steps: []plan.Step{{Op: plan.StepBits, Dst: 2, Src: []int{1}, Args: []int64{3, 20}}}}},
			"[3 3 1]", "[0 6144 0]", "12288"},
		{"a place is handed on", []plan.Slot{session(0), session(1), session(2), session(3), session(4)},
			[]plan.Round{{Steps: []plan.Step{sum(0, 4), sum(1, 4)}}, {Steps: []plan.Step{step(plan.StepAdd, 2, 0, 1), step(plan.StepNeg, 3, 2)}}, {Steps: []plan.Step{sum(4, 3)}}, {Steps: []plan.Step{sum(4, 2)}}},
			"[8 8 8 8 8]", "[16384 32768 49152 16384 0]", "65536"},
	} {
		e := plotted(t, c.slots, items, c.rounds...)
		if got := fmt.Sprint(e.width); got != c.widths {
			t.Errorf("%s: widths %s, want %s", c.name, got, c.widths)
		}
		if got := fmt.Sprint(e.at); got != c.at {
			t.Errorf("%s: at %s, want %s", c.name, got, c.at)
		}
		if got := fmt.Sprint(e.words); got != c.words {
			t.Errorf("%s: %s words, want %s", c.name, got, c.words)
		}
	}
}

// TestMemory gives and takes places at random: they never overlap, and all of it is free again in the end.
func TestMemory(t *testing.T) {
	var m memory
	x := uint64(1)
	var busy []interval
	for range 100_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		if len(busy) < 40 && x&1 == 0 {
			n := 1 + int(x>>8&0xff)
			at := m.take(n)
			for _, b := range busy {
				if at < b.to && b.from < at+n {
					t.Fatalf("%d words at %d overlap those at %v", n, at, b)
				}
			}
			if at+n > m.top {
				t.Fatalf("%d words at %d of %d", n, at, m.top)
			}
			busy = append(busy, interval{at, at + n})
		} else if len(busy) > 0 {
			i := int(x>>8) % len(busy)
			m.give(busy[i].from, busy[i].to-busy[i].from)
			busy = append(busy[:i], busy[i+1:]...)
		}
	}
	for _, b := range busy {
		m.give(b.from, b.to-b.from)
	}
	if len(m.gaps) != 1 || m.gaps[0] != (interval{0, m.top}) || m.top > 40*256 {
		t.Errorf("%v is free of %d", m.gaps, m.top)
	}
}

// TestTooLittle: a plan whose slots are in use at once, though it says that they share memory, gets no more memory than it says it needs.
func TestTooLittle(t *testing.T) {
	const n, slots = 4096, 20
	g := plan.Program{Role: "p0"}
	var r, last plan.Round
	for i := range slots {
		g.Slots = append(g.Slots, plan.Slot{Scope: plan.Session, Len: n})
		r.Steps = append(r.Steps, plan.Step{Op: plan.StepNeg, Dst: i, Src: []int{i}})
		last.Steps = append(last.Steps, plan.Step{Op: plan.StepSum, Dst: (i + 1) % slots, Src: []int{i}, Args: []int64{n, 1, 1}})
	}
	g.Online = []plan.Round{r, last}
	for _, words := range []int{n, slots * n} {
		g.Words = words
		p := &plan.Plan{Programs: []plan.Program{g, {Role: "p1"}, {Role: "d"}}}
		e := &Engine{plan: p, prog: &p.Programs[0]}
		e.wanted = e.wantedBits()
		if err := e.plot(); (err != nil) != (words == n) {
			t.Errorf("%d words: %v", words, err)
		}
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
	e := plotted(t, slots, nil, round)
	if e.words > e.prog.Words {
		t.Errorf("%d words, the plan says %d", e.words, e.prog.Words)
	}
	if got, want := len(e.phases[plan.Online][0]), (steps+maxWork-1)/maxWork; got != want {
		t.Errorf("%d stages, want %d", got, want)
	}
}
