package typed

import (
	"fmt"
	"slices"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

var (
	atSetup   = program.AtSetup
	atOffline = program.AtOffline
	atOnline  = program.AtOnline
)

// A wire is what the roles hold of a value. Shared, partial: s. Private: the holder's s. Opened, covered: the public part m, shares s of
// the mask, and the dealer's knowledge of it, k.
type wire struct {
	m, s []int // by party; program.Zero for a share that is zero
	k    int   // the dealer's
}

// An emitter adds the steps of all roles for each step of a program.
type emitter struct {
	*program.Builder
	checked   *Checked
	wires     []wire
	made      map[Def][]int
	unwrapped map[int]int // by opened value: the dealer's slot of the lower reading of its mask, plus 1
}

// Project returns the plan that holds the programs of the parties and of the dealer.
func (c *Checked) Project() (*plan.Plan, error) {
	e := c.emit(len(c.Manifest.Parties))
	e.Finish()
	if err := e.Plan.Validate(); err != nil {
		return nil, fmt.Errorf("internal error: projected plan: %w", err)
	}
	return e.Plan, nil
}

// emit lays out the steps of so many parties and the dealer.
func (c *Checked) emit(parties int) *emitter {
	e := &emitter{Builder: program.New(parties), checked: c, made: map[Def][]int{}, unwrapped: map[int]int{}}
	e.Plan.Manifest = *c.Manifest
	e.Plan.Manifest.Outputs = append([]plan.Port{}, c.Manifest.Outputs...)
	for i := range c.Program.Steps {
		s := c.site(i)
		row := Rows[s.Op]
		e.At(c.Program.Nodes[s.Node])
		items := make([][]int, len(c.Need[i]))
		for k, d := range c.Need[i] {
			items[k] = e.material(d)
		}
		e.wires = append(e.wires, row.Party(e, s, items))
		if row.Exchange == ByHolder || row.Exchange == ByAll {
			e.late(i)
		}
	}
	return e
}

// late checks that an exchange is where the type has it, and not before masks that its messages depend on have been opened. Steps and
// exchanges stand as early as their operands let them, so that follows; it is checked because all else rests on it.
func (e *emitter) late(i int) {
	when := e.checked.Types[i].When
	for role, m := range e.wires[i].m {
		if at := e.When(role, m); at.Before(program.At(when.Phase, when.Round)) {
			panic(fmt.Sprintf("typed: %s is opened before what it depends on", e.checked.Program.StepText(i)))
		}
	}
}

// none returns shares that are zero.
func (e *emitter) none() []int {
	s := make([]int, e.Parties)
	for i := range s {
		s[i] = program.Zero
	}
	return s
}

// each returns the wire that fn makes of each component.
func (e *emitter) each(w wire, fn func(role, slot int) int) wire {
	apply := func(role, slot int) int {
		if slot == program.Zero {
			return slot
		}
		return fn(role, slot)
	}
	out := wire{s: make([]int, e.Parties), k: program.Zero}
	if w.m != nil {
		out.m = make([]int, e.Parties)
	}
	for i := range e.Parties {
		if w.m != nil {
			out.m[i] = apply(i, w.m[i])
		}
		out.s[i] = apply(i, w.s[i])
	}
	if w.m != nil {
		out.k = apply(e.Dealer, w.k)
	}
	return out
}

// cut takes the public part and the dealer's mask of an opened value to its width; shares may keep garbage above.
func (e *emitter) cut(w wire, bits int) wire {
	if w.m == nil || bits == 64 {
		return w
	}
	take := func(role, slot int) int {
		if slot == program.Zero {
			return slot
		}
		return e.Op(role, plan.StepBits, e.Len(role, slot), []int64{0, int64(bits)}, slot)
	}
	out := wire{m: make([]int, e.Parties), s: w.s, k: take(e.Dealer, w.k)}
	for i := range w.m {
		out.m[i] = take(i, w.m[i])
	}
	return out
}

// public returns a role's slot of a constant. Constants are written offline, so that they cost nothing online.
func (e *emitter) public(role, v int) int {
	s := e.checked.site(v)
	switch s.Op {
	case OpConst:
		return e.Constant(role, s.arg(0), atOffline, s.Data...)
	case OpReshape:
		return e.public(role, s.Src[0])
	}
	return e.view(s, role, e.public(role, s.Src[0]))
}

// view returns a role's slot of the view that a step is.
func (e *emitter) view(s *Site, role, slot int) int {
	if s.Op == OpReshape {
		return slot
	}
	return e.spread(role, slot, viewOf(s))
}

// spread returns a role's slot of a view of a slot.
func (e *emitter) spread(role, slot int, c plan.Copy) int {
	n := elements(c.Dims)
	if slot == program.Zero || isWhole(c, e.Len(role, slot)) {
		return slot
	}
	if w := e.Fill(role, slot); w != nil && slices.Contains(c.SrcStrides, 0) { // a broadcast constant is written as it will be
		return e.Constant(role, n, atOffline, w...)
	}
	return e.Step(role, atSetup, n, c.Step(0, slot))
}

// opened adds an exchange of what src holds by party, under a fresh mask, and returns the opened wire.
func (e *emitter) opened(s *Site, src []int, kind plan.Kind, what string) wire {
	t := s.result()
	from, holder := e.Everyone(), -1
	if Rows[s.Op].Exchange == ByHolder {
		holder = s.T[0].Holder
		from = []int{holder}
	}
	r := e.Random(t.Scope, t.Mode, t.Len, t.Bits, holder, what)
	sent := map[int]int{}
	for _, i := range from {
		if t.Mode == plan.Xor {
			sent[i] = e.Xor(i, src[i], r.Shares[i])
		} else {
			sent[i] = e.Sum(i, src[i], r.Shares[i])
		}
	}
	m := e.Open(plan.Open{Mode: t.Mode, Len: t.Len, Bits: t.Bits, From: from, To: e.Everyone(), Item: r.Item + 1, Kind: kind}, sent)
	return wire{m: m[:e.Parties], s: r.Shares[:e.Parties], k: r.Shares[e.Dealer]}
}

// result returns the type of the step's own value.
func (s *Site) result() Type { return s.Types[s.ID] }
