package engine

import (
	"bytes"
	"testing"

	"smpcc/backend/plan"
)

// TestSessionsShareMemory checks that a session gets the memory of the last, cleared, also when it begins while that is being cleared.
func TestSessionsShareMemory(t *testing.T) {
	const n = 1 << 20
	e := plotted(t, []plan.Slot{{Scope: plan.Session, Len: n}, {Scope: plan.Session, Offset: n, Len: n}}, nil,
		plan.Round{Steps: []plan.Step{{Op: plan.StepSum, Dst: 1, Src: []int{0}, Args: []int64{n, 1, 1}}}})
	e.cleared.L = &e.mu
	first := e.slab()
	for range 3 {
		s := &Session{x: &execution{e: e, session: first}}
		for i := range first {
			first[i] = 7
		}
		s.Discard()
		next := e.slab()
		if &next[0] != &first[0] {
			t.Fatal("a session has memory of its own though the last is over")
		}
		for i, w := range next {
			if w != 0 {
				t.Fatalf("word %d of the last session is %d", i, w)
			}
		}
		first = next
	}
	if other := e.slab(); &other[0] == &first[0] {
		t.Error("two sessions at once share memory")
	}
}

// TestSaveModel checks that what is saved of a model is what a session reads, without slots that live within a stage of setup, and
// that it comes back.
func TestSaveModel(t *testing.T) {
	const n = 100
	p := &plan.Plan{Programs: []plan.Program{{Role: "p0", Model: 2 * n, Words: n,
		Slots:  []plan.Slot{{Scope: plan.Model, Len: n}, {Scope: plan.Model, Offset: n, Len: n}, {Scope: plan.Session, Len: n}},
		Setup:  []plan.Round{{Steps: []plan.Step{{Op: plan.StepZero, Dst: 0}, {Op: plan.StepNeg, Dst: 1, Src: []int{0}}}}},
		Online: []plan.Round{{Steps: []plan.Step{{Op: plan.StepSum, Dst: 2, Src: []int{1}, Args: []int64{n, 1, 1}}}}}}, {Role: "p1"}, {Role: "d"}}}
	e := &Engine{plan: p, prog: &p.Programs[0]}
	e.wanted = e.wantedBits()
	if err := e.plot(); err != nil {
		t.Fatal(err)
	}
	if got := e.SavedBytes(); got != 8*n {
		t.Fatalf("%d bytes are saved, want %d", got, 8*n)
	}
	m := &Model{words: make([]uint64, 2*n)}
	for i := range m.words {
		m.words[i] = uint64(i) << 40
	}
	var b bytes.Buffer
	if err := e.Save(&b, m); err != nil || b.Len() != 8*n {
		t.Fatalf("%d bytes saved, %v", b.Len(), err)
	}
	saved := b.Bytes()
	back, err := e.Restore(bytes.NewReader(saved))
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if back.words[i] != 0 || back.words[n+i] != m.words[n+i] {
			t.Fatalf("word %d came back as %d and %d", i, back.words[i], back.words[n+i])
		}
	}
	if _, err := e.Restore(bytes.NewReader(saved[:len(saved)-1])); err == nil {
		t.Error("a model that is cut short is restored")
	}
}
