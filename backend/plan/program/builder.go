// Package program assembles the programs of all roles side by side: steps as soon as their sources are there, exchanges, material at
// fixed places of streams, and memory. What the steps compute is the business of those who ask for them.
package program

import (
	"fmt"

	"smpcc/backend/plan"
)

// A Moment orders work: a phase and a round in it. Steps run in the round in which their last source is there; what a
// round's exchange yields is there in the next one.
type Moment struct {
	phase plan.Phase
	round int
}

// At returns the moment after so many exchanges of a phase.
func At(phase plan.Phase, round int) Moment { return Moment{phase, round} }

// Before reports whether m is earlier than o.
func (m Moment) Before(o Moment) bool {
	return m.phase < o.phase || m.phase == o.phase && m.round < o.round
}

// Later returns the later of two moments.
func Later(a, b Moment) Moment {
	if a.Before(b) {
		return b
	}
	return a
}

// The beginnings of the phases.
var (
	AtSetup   = Moment{plan.Setup, 0}
	AtOffline = Moment{plan.Offline, 0}
	AtOnline  = Moment{plan.Online, 0}
)

// Zero stands for a share that is zero by construction, for which no slot exists.
const Zero = -1

// A slotInfo is what the builder knows of a slot of one role.
type slotInfo struct {
	len  int
	when Moment
	fill []uint64 // the word of a constant that is the same everywhere, else nil
}

// A phaseCode collects the rounds of one phase of one role.
type phaseCode struct {
	steps map[int][]plan.Step
	opens map[int][]plan.Open
}

// A roleCode collects the program of one role.
type roleCode struct {
	slots  []slotInfo
	phases [3]phaseCode
}

// A Builder assembles the programs of all roles side by side.
type Builder struct {
	Plan    *plan.Plan
	Parties int
	Dealer  int // role number
	roles   []*roleCode
	rounds  [3]int // rounds used in each phase
	node    int    // position of what is being lowered
	nodes   map[string]int
	stream  [2]int64 // next free byte offset per scope
}

// New returns an empty builder for so many parties and a dealer.
func New(parties int) *Builder {
	b := &Builder{Plan: &plan.Plan{}, Parties: parties, Dealer: parties, nodes: map[string]int{}}
	for range parties + 1 {
		r := &roleCode{}
		for i := range r.phases {
			r.phases[i] = phaseCode{steps: map[int][]plan.Step{}, opens: map[int][]plan.Open{}}
		}
		b.roles = append(b.roles, r)
	}
	return b
}

// At sets the position that following steps refer to.
func (b *Builder) At(pos string) {
	n, ok := b.nodes[pos]
	if !ok {
		n = len(b.Plan.Nodes)
		b.nodes[pos] = n
		b.Plan.Nodes = append(b.Plan.Nodes, pos)
	}
	b.node = n
}

// Slot makes a slot of role's.
func (b *Builder) Slot(role, n int, when Moment) int {
	r := b.roles[role]
	r.slots = append(r.slots, slotInfo{len: n, when: when})
	b.rounds[when.phase] = max(b.rounds[when.phase], when.round+1)
	return len(r.slots) - 1
}

func (b *Builder) Len(role, slot int) int { return b.roles[role].slots[slot].len }

// Step appends a step to role's program as soon as its sources are there, not before when, and returns its result.
func (b *Builder) Step(role int, when Moment, n int, s plan.Step) int {
	for _, src := range s.Src {
		if src == Zero {
			panic(fmt.Sprintf("program: step %d reads a zero share", s.Op))
		}
		when = Later(when, b.roles[role].slots[src].when)
	}
	s.Dst = b.Slot(role, n, when)
	s.Node = b.node
	ph := &b.roles[role].phases[when.phase]
	ph.steps[when.round] = append(ph.steps[when.round], s)
	return s.Dst
}

// Again appends a step that updates the existing slot dst, as soon as its sources are there.
func (b *Builder) Again(role, dst int, s plan.Step) {
	when := b.roles[role].slots[dst].when
	for _, src := range s.Src {
		when = Later(when, b.roles[role].slots[src].when)
	}
	s.Dst, s.Node = dst, b.node
	b.roles[role].slots[dst].when = when
	ph := &b.roles[role].phases[when.phase]
	ph.steps[when.round] = append(ph.steps[when.round], s)
	b.rounds[when.phase] = max(b.rounds[when.phase], when.round+1)
}

// Op is Step for elementwise and structural steps on existing slots.
func (b *Builder) Op(role int, op plan.StepOp, n int, args []int64, src ...int) int {
	return b.Step(role, AtSetup, n, plan.Step{Op: op, Src: src, Args: args})
}

// Sum returns x + y where either may be zero.
func (b *Builder) Sum(role, x, y int) int {
	switch {
	case x == Zero:
		return y
	case y == Zero:
		return x
	}
	return b.Op(role, plan.StepAdd, b.Len(role, x), nil, x, y)
}

// Diff returns x - y where either may be zero.
func (b *Builder) Diff(role, x, y int) int {
	switch {
	case y == Zero:
		return x
	case x == Zero:
		return b.Op(role, plan.StepNeg, b.Len(role, y), nil, y)
	}
	return b.Op(role, plan.StepSub, b.Len(role, x), nil, x, y)
}

// Xor returns x XOR y where either may be zero.
func (b *Builder) Xor(role, x, y int) int {
	switch {
	case x == Zero:
		return y
	case y == Zero:
		return x
	}
	return b.Op(role, plan.StepXor, b.Len(role, x), nil, x, y)
}

// Real returns a slot for a share that may be zero.
func (b *Builder) Real(role, x, n int, when Moment) int {
	if x != Zero {
		return x
	}
	return b.Step(role, when, n, plan.Step{Op: plan.StepZero})
}

// Constant returns a slot with the given words; one word fills it.
func (b *Builder) Constant(role, n int, when Moment, words ...uint64) int {
	s := b.Step(role, when, n, plan.Step{Op: plan.StepConst, Data: words})
	if len(words) == 1 {
		b.roles[role].slots[s].fill = words
	}
	return s
}

// Item adds a row to the material table.
func (b *Builder) Item(it plan.Item) int {
	it.Offset = b.stream[it.Scope]
	b.stream[it.Scope] += (int64(it.Len)*int64(it.Width()) + 15) / 16 * 16
	b.Plan.Items = append(b.Plan.Items, it)
	return len(b.Plan.Items) - 1
}

// Material is a shared random value: each role's share (zero for those without), the dealer's knowledge of the whole in
// the last place.
type Material struct {
	Item   int
	Shares []int
}

// Random makes a mask: uniform, fresh. holder is a party, or -1 for all.
func (b *Builder) Random(scope plan.Scope, mode plan.Mode, n, bits, holder int, what string) Material {
	it := b.Item(plan.Item{Scope: scope, Mode: mode, Holder: holder + 1, Len: n, Bits: bits, What: what})
	when := AtOffline
	if scope == plan.Model {
		when = AtSetup
	}
	m := Material{Item: it, Shares: make([]int, b.Parties+1)}
	for i := range b.Parties {
		m.Shares[i] = Zero
		if holder < 0 || holder == i {
			m.Shares[i] = b.Step(i, when, n, plan.Step{Op: plan.StepPRG, Args: []int64{int64(it)}})
		}
	}
	m.Shares[b.Dealer] = b.Step(b.Dealer, when, n, plan.Step{Op: plan.StepPRGSum, Args: []int64{int64(it)}})
	return m
}

// Deal shares a value that the dealer computes from masks: all parties but the last draw their share, the last gets a correction.
func (b *Builder) Deal(mode plan.Mode, n, bits, value int, what string) []int {
	it := b.Item(plan.Item{Scope: plan.Session, Mode: mode, Dealt: true, Len: n, Bits: bits, What: what})
	last := b.Parties - 1
	s := make([]int, b.Parties)
	for i := range last {
		s[i] = b.Step(i, AtOffline, n, plan.Step{Op: plan.StepPRG, Args: []int64{int64(it)}})
	}
	src := b.Step(b.Dealer, AtOffline, n, plan.Step{Op: plan.StepDeal, Src: []int{value}, Args: []int64{int64(it)}})
	s[last] = b.Open(plan.Open{Mode: mode, Len: n, Bits: bits, From: []int{b.Dealer}, To: []int{last}, Item: it + 1, Kind: plan.Correction}, map[int]int{b.Dealer: src})[last]
	return s
}

// Open adds an exchange as soon as all sources are there, and returns the result's slot by role (zero for non-receivers).
func (b *Builder) Open(o plan.Open, src map[int]int) []int {
	when := AtSetup
	if o.Kind == plan.Reveal { // also of what is known before
		when = AtOnline
	}
	for _, role := range o.From {
		when = Later(when, b.roles[role].slots[src[role]].when)
	}
	dst := make([]int, b.Parties+1)
	for i := range dst {
		dst[i] = Zero
	}
	next := Moment{when.phase, when.round + 1}
	for _, role := range o.To {
		dst[role] = b.Slot(role, o.Len, next)
	}
	involved := map[int]bool{}
	for _, role := range append(append([]int{}, o.From...), o.To...) {
		if involved[role] {
			continue
		}
		involved[role] = true
		mine := o
		mine.Node = b.node
		if s, ok := src[role]; ok {
			mine.Src = s
		}
		if dst[role] != Zero {
			mine.Dst = dst[role]
		}
		ph := &b.roles[role].phases[when.phase]
		ph.opens[when.round] = append(ph.opens[when.round], mine)
	}
	b.rounds[when.phase] = max(b.rounds[when.phase], when.round+2)
	return dst
}

// Give has every party keep what it holds for guests, all of them in one round: as soon as all sources are there.
func (b *Builder) Give(o plan.Open, src map[int]int) {
	when := AtOnline
	for role, slot := range src {
		when = Later(when, b.roles[role].slots[slot].when)
	}
	o.Kind, o.Node = plan.Give, b.node
	for role := range b.Parties {
		mine := o
		mine.From, mine.To, mine.Src = []int{role}, []int{role}, src[role]
		mine.Dst = b.Slot(role, o.Len, Moment{when.phase, when.round + 1})
		ph := &b.roles[role].phases[when.phase]
		ph.opens[when.round] = append(ph.opens[when.round], mine)
	}
	b.rounds[when.phase] = max(b.rounds[when.phase], when.round+2)
}

// Everyone lists the parties.
func (b *Builder) Everyone() []int {
	all := make([]int, b.Parties)
	for i := range all {
		all[i] = i
	}
	return all
}

// First returns 1 for party 0, which adds public terms, and 0 for the others.
func First(role int) int64 {
	if role == 0 {
		return 1
	}
	return 0
}

// When returns the moment from which on a slot is there.
func (b *Builder) When(role, slot int) Moment { return b.roles[role].slots[slot].when }

// Fill returns the word of a constant that is the same everywhere, or nil.
func (b *Builder) Fill(role, slot int) []uint64 { return b.roles[role].slots[slot].fill }

// Place moves the birth of slot dst, written by the step that was emitted last at its moment, to when src is there, so that a buffer
// that is filled in parts lives in the right scope.
func (b *Builder) Place(role, dst, src int) {
	r := b.roles[role]
	from, to := r.slots[dst].when, Later(r.slots[dst].when, r.slots[src].when)
	if from == to {
		return
	}
	ph := &r.phases[from.phase]
	steps := ph.steps[from.round]
	s := steps[len(steps)-1]
	if s.Dst != dst {
		panic(fmt.Sprintf("program: slot %d was not written last", dst))
	}
	ph.steps[from.round] = steps[:len(steps)-1]
	r.slots[dst].when = to
	ph = &r.phases[to.phase]
	ph.steps[to.round] = append(ph.steps[to.round], s)
}

// Finish drops steps whose results nothing reads, draws material late, gives slots their places, and adds the programs to the plan.
func (b *Builder) Finish() {
	for role := range b.roles {
		b.roles[role].prune(b.rounds, role)
		b.roles[role].delay(b.rounds, role)
		b.Plan.Programs = append(b.Plan.Programs, b.layout(role))
	}
}
