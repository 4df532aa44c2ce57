package backend

import (
	"smpcc/backend/plan"
	"smpcc/ir"
)

// A moment orders work: a phase and a round in it. Steps run in the round in which their last source is there; what a
// round's exchange yields is there in the next one.
type moment struct {
	phase plan.Phase
	round int
}

func (m moment) before(o moment) bool {
	return m.phase < o.phase || m.phase == o.phase && m.round < o.round
}

func later(a, b moment) moment {
	if a.before(b) {
		return b
	}
	return a
}

var (
	atSetup   = moment{plan.Setup, 0}
	atOffline = moment{plan.Offline, 0}
	atOnline  = moment{plan.Online, 0}
)

// zero stands for a share that is zero by construction, for which no slot exists.
const zero = -1

// A slotInfo is what the builder knows of a slot of one role.
type slotInfo struct {
	len  int
	when moment
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

// builder assembles the programs of all roles side by side.
type builder struct {
	plan    *plan.Plan
	parties int
	dealer  int // role number
	roles   []*roleCode
	rounds  [3]int // rounds used in each phase
	node    int    // position of what is being lowered
	nodes   map[string]int
	stream  [2]int64 // next free byte offset per scope
	memo    map[memoKey][]int
}

// A memoKey names material that several steps share: the one-hots of a mask, the shares of a masked bit.
type memoKey struct {
	what string
	of   *ir.Value
	bits int
}

func newBuilder(parties int) *builder {
	b := &builder{plan: &plan.Plan{}, parties: parties, dealer: parties, nodes: map[string]int{}, memo: map[memoKey][]int{}}
	for range parties + 1 {
		r := &roleCode{}
		for i := range r.phases {
			r.phases[i] = phaseCode{steps: map[int][]plan.Step{}, opens: map[int][]plan.Open{}}
		}
		b.roles = append(b.roles, r)
	}
	return b
}

// at sets the position that following steps refer to.
func (b *builder) at(pos string) {
	n, ok := b.nodes[pos]
	if !ok {
		n = len(b.plan.Nodes)
		b.nodes[pos] = n
		b.plan.Nodes = append(b.plan.Nodes, pos)
	}
	b.node = n
}

// slot makes a slot of role's.
func (b *builder) slot(role, n int, when moment) int {
	r := b.roles[role]
	r.slots = append(r.slots, slotInfo{len: n, when: when})
	b.rounds[when.phase] = max(b.rounds[when.phase], when.round+1)
	return len(r.slots) - 1
}

func (b *builder) len(role, slot int) int { return b.roles[role].slots[slot].len }

// step appends a step to role's program as soon as its sources are there, not before when, and returns its result.
func (b *builder) step(role int, when moment, n int, s plan.Step) int {
	for _, src := range s.Src {
		if src == zero {
			ir.Bug("step %d reads a zero share", s.Op)
		}
		when = later(when, b.roles[role].slots[src].when)
	}
	s.Dst = b.slot(role, n, when)
	s.Node = b.node
	ph := &b.roles[role].phases[when.phase]
	ph.steps[when.round] = append(ph.steps[when.round], s)
	return s.Dst
}

// again appends a step that updates the existing slot dst, as soon as its sources are there.
func (b *builder) again(role, dst int, s plan.Step) {
	when := b.roles[role].slots[dst].when
	for _, src := range s.Src {
		when = later(when, b.roles[role].slots[src].when)
	}
	s.Dst, s.Node = dst, b.node
	b.roles[role].slots[dst].when = when
	ph := &b.roles[role].phases[when.phase]
	ph.steps[when.round] = append(ph.steps[when.round], s)
	b.rounds[when.phase] = max(b.rounds[when.phase], when.round+1)
}

// op is step for elementwise and structural steps on existing slots.
func (b *builder) op(role int, op plan.StepOp, n int, args []int64, src ...int) int {
	return b.step(role, atSetup, n, plan.Step{Op: op, Src: src, Args: args})
}

// sum returns x + y where either may be zero.
func (b *builder) sum(role, x, y int) int {
	switch {
	case x == zero:
		return y
	case y == zero:
		return x
	}
	return b.op(role, plan.StepAdd, b.len(role, x), nil, x, y)
}

// diff returns x - y where either may be zero.
func (b *builder) diff(role, x, y int) int {
	switch {
	case y == zero:
		return x
	case x == zero:
		return b.op(role, plan.StepNeg, b.len(role, y), nil, y)
	}
	return b.op(role, plan.StepSub, b.len(role, x), nil, x, y)
}

// xor returns x XOR y where either may be zero.
func (b *builder) xor(role, x, y int) int {
	switch {
	case x == zero:
		return y
	case y == zero:
		return x
	}
	return b.op(role, plan.StepXor, b.len(role, x), nil, x, y)
}

// real returns a slot for a share that may be zero.
func (b *builder) real(role, x, n int, when moment) int {
	if x != zero {
		return x
	}
	return b.step(role, when, n, plan.Step{Op: plan.StepZero})
}

// constant returns a slot with the given words; one word fills it.
func (b *builder) constant(role, n int, when moment, words ...uint64) int {
	s := b.step(role, when, n, plan.Step{Op: plan.StepConst, Data: words})
	if len(words) == 1 {
		b.roles[role].slots[s].fill = words
	}
	return s
}

// item adds a row to the material table.
func (b *builder) item(it plan.Item) int {
	it.Offset = b.stream[it.Scope]
	b.stream[it.Scope] += (int64(it.Len)*int64(it.Width()) + 15) / 16 * 16
	b.plan.Items = append(b.plan.Items, it)
	return len(b.plan.Items) - 1
}

// material is a shared random value: each role's share (zero for those without), the dealer's knowledge of the whole in
// the last place.
type material struct {
	item int
	s    []int
}

// random makes a mask: uniform, fresh. holder is a party, or -1 for all.
func (b *builder) random(scope plan.Scope, mode plan.Mode, n, bits, holder int, what string) material {
	it := b.item(plan.Item{Scope: scope, Mode: mode, Holder: holder + 1, Len: n, Bits: bits, What: what})
	when := atOffline
	if scope == plan.Model {
		when = atSetup
	}
	m := material{item: it, s: make([]int, b.parties+1)}
	for i := range b.parties {
		m.s[i] = zero
		if holder < 0 || holder == i {
			m.s[i] = b.step(i, when, n, plan.Step{Op: plan.StepPRG, Args: []int64{int64(it)}})
		}
	}
	m.s[b.dealer] = b.step(b.dealer, when, n, plan.Step{Op: plan.StepPRGSum, Args: []int64{int64(it)}})
	return m
}

// deal shares a value that the dealer computes from masks: all parties but the last draw their share, the last gets a correction.
func (b *builder) deal(mode plan.Mode, n, bits, value int, what string) []int {
	it := b.item(plan.Item{Scope: plan.Session, Mode: mode, Dealt: true, Len: n, Bits: bits, What: what})
	last := b.parties - 1
	s := make([]int, b.parties)
	for i := range last {
		s[i] = b.step(i, atOffline, n, plan.Step{Op: plan.StepPRG, Args: []int64{int64(it)}})
	}
	src := b.step(b.dealer, atOffline, n, plan.Step{Op: plan.StepDeal, Src: []int{value}, Args: []int64{int64(it)}})
	s[last] = b.open(plan.Open{Mode: mode, Len: n, Bits: bits, From: []int{b.dealer}, To: []int{last}, Item: it + 1, Kind: plan.Correction}, map[int]int{b.dealer: src})[last]
	return s
}

// open adds an exchange as soon as all sources are there, and returns the result's slot by role (zero for non-receivers).
func (b *builder) open(o plan.Open, src map[int]int) []int {
	when := atSetup
	if o.Kind == plan.Reveal { // also of what is known before
		when = atOnline
	}
	for _, role := range o.From {
		when = later(when, b.roles[role].slots[src[role]].when)
	}
	dst := make([]int, b.parties+1)
	for i := range dst {
		dst[i] = zero
	}
	next := moment{when.phase, when.round + 1}
	for _, role := range o.To {
		dst[role] = b.slot(role, o.Len, next)
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
		if dst[role] != zero {
			mine.Dst = dst[role]
		}
		ph := &b.roles[role].phases[when.phase]
		ph.opens[when.round] = append(ph.opens[when.round], mine)
	}
	b.rounds[when.phase] = max(b.rounds[when.phase], when.round+2)
	return dst
}

// everyone lists the parties.
func (b *builder) everyone() []int {
	all := make([]int, b.parties)
	for i := range all {
		all[i] = i
	}
	return all
}

// first returns 1 for party 0, which adds public terms, and 0 for the others.
func first(role int) int64 {
	if role == 0 {
		return 1
	}
	return 0
}
