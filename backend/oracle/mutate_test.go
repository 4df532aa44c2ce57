package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"smpcc/backend/plan"
)

// A mutator edits a plan at random: most of the time alike at all roles that do alike, since what one role does on its own is no sharing.
type mutator struct {
	*rand.Rand
	p     *plan.Plan
	edits []string // what was done
}

// copyOf returns a copy of a plan.
func copyOf(p *plan.Plan) *plan.Plan {
	q, err := plan.DecodeProjection(p.EncodeProjection())
	if err != nil {
		panic(err)
	}
	return q
}

// loosen gives each slot memory of its own and draws all of a session's material before anything else, so that any value may be read anywhere after it
// was made.
func loosen(p *plan.Plan) {
	for i := range p.Programs {
		g := &p.Programs[i]
		g.Words, g.Model = 0, 0
		for k := range g.Slots {
			size := &g.Words
			if g.Slots[k].Scope == plan.Model {
				size = &g.Model
			}
			g.Slots[k].Offset = *size
			*size += g.Slots[k].Len
		}
		if i == p.NumParties() || len(g.Offline) == 0 {
			continue
		}
		var drawn []plan.Step
		for _, rounds := range [][]plan.Round{g.Offline, g.Online} {
			for r := range rounds {
				rounds[r].Steps = slices.DeleteFunc(rounds[r].Steps, func(s plan.Step) bool {
					if s.Op == plan.StepPRG {
						drawn = append(drawn, s)
					}
					return s.Op == plan.StepPRG
				})
			}
		}
		g.Offline[0].Steps = append(drawn, g.Offline[0].Steps...)
	}
}

// at is a step or an opening of a program.
type at struct {
	role, phase, round, index int
}

func (m *mutator) rounds(role, ph int) []plan.Round {
	return m.p.Programs[role].Rounds(plan.Phase(ph))
}

func (m *mutator) step(a at) *plan.Step { return &m.rounds(a.role, a.phase)[a.round].Steps[a.index] }
func (m *mutator) open(a at) *plan.Open { return &m.rounds(a.role, a.phase)[a.round].Opens[a.index] }

// steps lists all steps of a role.
func (m *mutator) steps(role int) []at {
	return m.places(role, func(r plan.Round) int { return len(r.Steps) })
}

// opens lists all openings of a role.
func (m *mutator) opens(role int) []at {
	return m.places(role, func(r plan.Round) int { return len(r.Opens) })
}

// places lists what a role has so many of in each round.
func (m *mutator) places(role int, count func(plan.Round) int) (out []at) {
	for ph := range 3 {
		for r, round := range m.rounds(role, ph) {
			for i := range count(round) {
				out = append(out, at{role, ph, r, i})
			}
		}
	}
	return out
}

// names says what each slot of a role holds, in words that are the same at all roles.
func (m *mutator) names(role int) (names []string, slots map[string]int) {
	names, slots = make([]string, len(m.p.Programs[role].Slots)), map[string]int{}
	set := func(slot int, name string) {
		for _, taken := slots[name]; taken; _, taken = slots[name] {
			name += "'"
		}
		names[slot], slots[name] = name, slot
	}
	for ph := range 3 {
		for _, round := range m.rounds(role, ph) {
			for _, s := range round.Steps {
				switch s.Op {
				case plan.StepPRG, plan.StepPRGSum:
					set(s.Dst, fmt.Sprintf("item %d", s.Args[0]))
				default:
					set(s.Dst, fmt.Sprintf("%s @%d", plan.Steps[s.Op].Name, s.Node))
				}
			}
			for _, o := range round.Opens {
				if !slices.Contains(o.To, role) {
					continue
				}
				if o.Kind == plan.Correction {
					set(o.Dst, fmt.Sprintf("item %d", o.Item-1))
				} else {
					set(o.Dst, fmt.Sprintf("opened %d", o.Item-1))
				}
			}
		}
	}
	return names, slots
}

// alike returns where other parties do what a party does in a step.
func (m *mutator) alike(a at) []at {
	out := []at{a}
	if a.role == m.p.NumParties() || m.IntN(8) == 0 {
		return out
	}
	names, _ := m.names(a.role)
	name := names[m.step(a).Dst]
	for role := range m.p.NumParties() {
		if role == a.role {
			continue
		}
		_, slots := m.names(role)
		slot, ok := slots[name]
		if !ok {
			continue
		}
		for _, b := range m.steps(role) {
			if m.step(b).Dst == slot && m.step(b).Op == m.step(a).Op {
				out = append(out, b)
				break
			}
		}
	}
	return out
}

// slotLike returns, by role, another slot of one length and of one name, made before a place if it can be told.
func (m *mutator) slotLike(a at, length int, all []at) map[int]int {
	names, _ := m.names(a.role)
	var fit []int
	for i, s := range m.p.Programs[a.role].Slots {
		if s.Len == length && names[i] != "" {
			fit = append(fit, i)
		}
	}
	if len(fit) == 0 {
		return nil
	}
	pick := fit[m.IntN(len(fit))]
	out := map[int]int{}
	for _, b := range all {
		_, slots := m.names(b.role)
		slot, ok := slots[names[pick]]
		if !ok {
			return nil
		}
		out[b.role] = slot
	}
	m.note("%s", names[pick])
	return out
}

func (m *mutator) note(format string, args ...any) {
	m.edits = append(m.edits, fmt.Sprintf(format, args...))
}

// slot makes a slot of a session, or of the model.
func (m *mutator) slot(role, ph, n int) int {
	g := &m.p.Programs[role]
	if ph == 0 {
		g.Slots = append(g.Slots, plan.Slot{Scope: plan.Model, Len: n, Offset: g.Model})
		g.Model += n
	} else {
		g.Slots = append(g.Slots, plan.Slot{Len: n, Offset: g.Words})
		g.Words += n
	}
	return len(g.Slots) - 1
}

// insert puts a step before another.
func (m *mutator) insert(a at, s plan.Step) {
	r := &m.rounds(a.role, a.phase)[a.round]
	r.Steps = slices.Insert(r.Steps, a.index, s)
}

// any picks one of a list.
func anyOf[T any](m *mutator, list []T) (x T, ok bool) {
	if len(list) == 0 {
		return x, false
	}
	return list[m.IntN(len(list))], true
}

// A kind of edit, and how often it is made.
type kind struct {
	weight int
	name   string
	do     func()
}

// drawn draws one of some kinds of edits, by their weights.
func drawn(intN func(n int) int, kinds []kind) kind {
	total := 0
	for _, k := range kinds {
		total += k.weight
	}
	n := intN(total)
	i := 0
	for ; n >= kinds[i].weight; i++ {
		n -= kinds[i].weight
	}
	return kinds[i]
}

// mutate makes one edit; it may find nothing to edit.
func (m *mutator) mutate() {
	kinds := []kind{
		{6, "operand", m.operand},
		{5, "argument", m.argument},
		{3, "operation", m.operation},
		{6, "through", m.through},
		{7, "combine", m.combine},
		{3, "source", m.source},
		{4, "item", m.item},
		{3, "opening", m.opening},
		{2, "order", m.order},
		{2, "delete", m.remove},
		{2, "phase", m.phase},
		{2, "manifest", m.manifest},
		{2, "data", m.data},
		{1, "memory", m.memory},
		{2, "dealt", m.dealt},
		{3, "zeros", m.zeros},
		{2, "extra", m.extra},
		{3, "material", m.material},
		{3, "output", m.output},
	}
	k := drawn(m.IntN, kinds)
	m.note("%s:", k.name)
	k.do()
}

// role picks a party, or now and then the dealer.
func (m *mutator) role() int {
	if m.IntN(4) == 0 {
		return m.p.NumParties()
	}
	return m.IntN(m.p.NumParties())
}

// some picks a step with operands, and all like it.
func (m *mutator) some(fits func(s *plan.Step) bool) (all []at, ok bool) {
	role := m.role()
	a, ok := anyOf(m, slices.DeleteFunc(m.steps(role), func(a at) bool { return !fits(m.step(a)) }))
	if !ok {
		return nil, false
	}
	m.note("%s of role %d", m.p.StepText(m.step(a)), role)
	return m.alike(a), true
}

func (m *mutator) operand() {
	all, ok := m.some(func(s *plan.Step) bool { return len(s.Src) > 0 })
	if !ok {
		return
	}
	a := all[0]
	i := m.IntN(len(m.step(a).Src))
	to := m.slotLike(a, m.p.Programs[a.role].Slots[m.step(a).Src[i]].Len, all)
	for _, b := range all {
		if s := m.step(b); to != nil && i < len(s.Src) {
			s.Src[i] = to[b.role]
		}
	}
}

func (m *mutator) argument() {
	all, ok := m.some(func(s *plan.Step) bool { return len(s.Args) > 0 && s.Op != plan.StepInput })
	if !ok {
		return
	}
	i, by := m.IntN(len(m.step(all[0]).Args)), int64(m.IntN(5)-2)
	for _, b := range all {
		if s := m.step(b); i < len(s.Args) {
			s.Args[i] += by
		}
	}
	m.note("argument %d by %d", i, by)
}

func (m *mutator) operation() {
	ops := []plan.StepOp{plan.StepAdd, plan.StepSub, plan.StepMul, plan.StepXor, plan.StepAnd}
	all, ok := m.some(func(s *plan.Step) bool { return slices.Contains(ops, s.Op) })
	if !ok {
		return
	}
	op := ops[m.IntN(len(ops))]
	m.note("to %s", plan.Steps[op].Name)
	for _, b := range all {
		m.step(b).Op = op
	}
}

// unary returns a step that changes little, or nothing.
func (m *mutator) unary(n int) plan.Step {
	bits := []int64{1, 2, 3, 4, 8, 40, 63, 64}
	b := bits[m.IntN(len(bits))]
	switch m.IntN(9) {
	case 0:
		return plan.Step{Op: plan.StepNeg}
	case 1:
		return plan.Step{Op: plan.StepShl, Args: []int64{int64(m.IntN(4))}}
	case 2:
		return plan.Step{Op: plan.StepBits, Args: []int64{int64(m.IntN(2)), min(63, b)}}
	case 3, 4:
		return plan.Step{Op: plan.StepDrop, Args: []int64{b, int64(m.IntN(int(min(b, 4)))), int64(m.IntN(2)) * int64(m.IntN(4))}}
	case 5:
		return plan.Step{Op: plan.StepSum, Args: []int64{int64(n), 1, 1}}
	case 6:
		c := plan.Copy{Dims: []int64{int64(n)}, SrcStrides: []int64{int64(m.IntN(2))}, DstStrides: []int64{1}}
		return c.Step(0, 0)
	case 7:
		data := make([]uint64, n)
		for i := range data {
			data[i] = uint64(m.IntN(n))
		}
		return plan.Step{Op: plan.StepGather, Args: []int64{1, int64(n), 1}, Data: data}
	}
	return plan.Step{Op: plan.StepXor} // of the value with itself
}

// through has an operand go through a step more.
func (m *mutator) through() {
	all, ok := m.some(func(s *plan.Step) bool { return len(s.Src) > 0 })
	if !ok {
		return
	}
	a := all[0]
	i := m.IntN(len(m.step(a).Src))
	n := m.p.Programs[a.role].Slots[m.step(a).Src[i]].Len
	if n == 0 {
		return
	}
	u := m.unary(n)
	for _, b := range all {
		if s := m.step(b); i >= len(s.Src) || m.p.Programs[b.role].Slots[s.Src[i]].Len != n {
			return
		}
	}
	for _, b := range all {
		m.pass(b, i, u)
	}
}

// pass has operand i of a step go through another.
func (m *mutator) pass(b at, i int, u plan.Step) {
	s := m.step(b)
	u.Src, u.Dst, u.Node = []int{s.Src[i]}, m.slot(b.role, b.phase, m.p.Programs[b.role].Slots[s.Src[i]].Len), s.Node
	if u.Op == plan.StepXor {
		u.Src = append(u.Src, u.Src[0])
	}
	m.note("%s", m.p.StepText(&u))
	m.step(b).Src[i] = u.Dst
	m.insert(b, u)
}

// combine adds something to an operand.
func (m *mutator) combine() {
	all, ok := m.some(func(s *plan.Step) bool { return len(s.Src) > 0 })
	if !ok {
		return
	}
	a := all[0]
	i := m.IntN(len(m.step(a).Src))
	n := m.p.Programs[a.role].Slots[m.step(a).Src[i]].Len
	to := m.slotLike(a, n, all)
	ops := []plan.StepOp{plan.StepAdd, plan.StepSub, plan.StepXor, plan.StepAdd, plan.StepMul, plan.StepAnd}
	op := ops[m.IntN(len(ops))]
	between := m.unary(n)
	plain := m.IntN(2) == 0
	for _, b := range all {
		if s := m.step(b); to == nil || n == 0 || i >= len(s.Src) || m.p.Programs[b.role].Slots[s.Src[i]].Len != n {
			return
		}
	}
	for _, b := range all {
		s := m.step(b)
		u := plan.Step{Op: op, Src: []int{s.Src[i], to[b.role]}, Dst: m.slot(b.role, b.phase, n), Node: s.Node}
		s.Src[i] = u.Dst
		m.note("%s", m.p.StepText(&u))
		m.insert(b, u)
		if !plain {
			m.pass(b, 1, between)
		}
	}
}

// source has an opening send something else.
func (m *mutator) source() {
	a, ok := anyOf(m, slices.DeleteFunc(m.opens(m.role()), func(a at) bool { return !slices.Contains(m.open(a).From, a.role) }))
	if !ok {
		return
	}
	all := []at{a}
	for role := range m.p.NumParties() {
		for _, b := range m.opens(role) {
			if o := m.open(b); role != a.role && o.Item == m.open(a).Item && o.Kind == m.open(a).Kind && slices.Contains(o.From, role) {
				all = append(all, b)
			}
		}
	}
	if m.IntN(6) == 0 {
		all = all[:1]
	}
	m.note("%v of item %d", m.open(a).Kind, m.open(a).Item-1)
	to := m.slotLike(a, m.open(a).Len, all)
	for _, b := range all {
		if to != nil {
			m.open(b).Src = to[b.role]
		}
	}
}

// everywhere edits the openings of an item at all roles.
func (m *mutator) everywhere(item int, edit func(role int, o *plan.Open)) {
	for role := range m.p.Programs {
		for _, a := range m.opens(role) {
			if o := m.open(a); o.Item == item+1 {
				edit(role, o)
			}
		}
	}
}

// item changes an item, and its openings with it.
func (m *mutator) item() {
	if len(m.p.Items) == 0 {
		return
	}
	i := m.IntN(len(m.p.Items))
	it := &m.p.Items[i]
	m.note("%d (%s)", i, it.What)
	switch m.IntN(7) {
	case 0, 1:
		it.Bits = max(1, min(64, []int{it.Bits - 1, it.Bits + 1, 1, 40, it.Bits - 2}[m.IntN(5)]))
	case 2, 3:
		if it.Mode != plan.Common {
			it.Mode = plan.Add + plan.Xor - it.Mode
		}
	case 4:
		it.Holder = m.IntN(m.p.NumParties() + 1)
	case 5:
		it.Offset = m.p.Items[m.IntN(len(m.p.Items))].Offset
	case 6:
		it.Scope = plan.Session + plan.Model - it.Scope
	}
	m.note("is %+v", *it)
	m.everywhere(i, func(_ int, o *plan.Open) {
		o.Bits, o.Mode = it.Bits, it.Mode
		if it.Holder > 0 {
			o.From = []int{it.Holder - 1}
		}
	})
}

// opening changes who takes part in an exchange, or under which item it stands.
func (m *mutator) opening() {
	a, ok := anyOf(m, m.opens(m.role()))
	if !ok {
		return
	}
	o := *m.open(a)
	m.note("%v of item %d", o.Kind, o.Item-1)
	some := func() (out []int) {
		for i := range m.p.NumParties() {
			if m.IntN(2) == 0 {
				out = append(out, i)
			}
		}
		return out
	}
	var edit func(role int, x *plan.Open)
	switch m.IntN(4) {
	case 0:
		to := some()
		edit = func(role int, x *plan.Open) { x.To = to }
	case 1:
		from := some()
		edit = func(role int, x *plan.Open) { x.From = from }
	case 2:
		k := m.IntN(len(m.p.Items)) + 1
		edit = func(role int, x *plan.Open) { x.Item = k }
	case 3:
		bits := max(1, o.Bits+m.IntN(3)-1)
		edit = func(role int, x *plan.Open) { x.Bits = bits }
	}
	m.everywhere(o.Item-1, func(role int, x *plan.Open) {
		edit(role, x)
		for _, slot := range []*int{&x.Src, &x.Dst} {
			if *slot == 0 {
				*slot = m.slot(role, a.phase, o.Len)
			}
		}
	})
	m.note("is %+v", *m.open(a))
}

// order swaps two steps of a round.
func (m *mutator) order() {
	role := m.role()
	a, ok := anyOf(m, m.steps(role))
	if !ok {
		return
	}
	steps := m.rounds(role, a.phase)[a.round].Steps
	k := m.IntN(len(steps))
	steps[a.index], steps[k] = steps[k], steps[a.index]
}

// remove replaces a step by zeros.
func (m *mutator) remove() {
	all, ok := m.some(func(s *plan.Step) bool { return true })
	if !ok {
		return
	}
	for _, b := range all {
		s := m.step(b)
		*s = plan.Step{Op: plan.StepZero, Dst: s.Dst, Node: s.Node}
	}
}

// phase moves an opening to another round, at all roles.
func (m *mutator) phase() {
	a, ok := anyOf(m, m.opens(m.IntN(m.p.NumParties())))
	if !ok {
		return
	}
	item := m.open(a).Item
	rounds := len(m.rounds(a.role, a.phase))
	to := m.IntN(rounds)
	m.note("item %d to round %d", item-1, to)
	for role := range m.p.Programs {
		list := m.rounds(role, a.phase)
		for r := range list {
			for i := 0; i < len(list[r].Opens); i++ {
				if o := list[r].Opens[i]; o.Item == item && r != to {
					list[r].Opens = slices.Delete(list[r].Opens, i, i+1)
					list[to].Opens = append(list[to].Opens, o)
					i--
				}
			}
		}
	}
}

// manifest changes what is said about outputs.
func (m *mutator) manifest() {
	man := &m.p.Manifest
	switch m.IntN(3) {
	case 0:
		if i := m.IntN(len(man.Allowed) + 1); i < len(man.Allowed) {
			m.note("without %v", man.Allowed[i])
			man.Allowed = slices.Delete(man.Allowed, i, i+1)
		}
	case 1:
		o := &man.Outputs[m.IntN(len(man.Outputs))]
		o.To = []string{man.Parties[m.IntN(len(man.Parties))]}
		m.note("%q to %v", o.Name, o.To)
	case 2:
		a, b := &man.Outputs[0], &man.Outputs[len(man.Outputs)-1]
		a.Item, b.Item = b.Item, a.Item
	}
}

// data changes a constant or an index.
func (m *mutator) data() {
	all, ok := m.some(func(s *plan.Step) bool { return len(s.Data) > 0 })
	if !ok {
		return
	}
	i, by := m.IntN(len(m.step(all[0]).Data)), uint64(m.IntN(5)-2)
	for _, b := range all {
		if s := m.step(b); i < len(s.Data) {
			s.Data[i] += by
		}
	}
}

// memory has two slots of a role share memory.
func (m *mutator) memory() {
	slots := m.p.Programs[m.role()].Slots
	if len(slots) == 0 {
		return
	}
	i, j := m.IntN(len(slots)), m.IntN(len(slots))
	slots[i].Offset = slots[j].Offset + m.IntN(2)*(slots[j].Len-1)
	m.note("slots %d and %d", i, j)
}

// dealt swaps what is dealt as two items, or deals something else.
func (m *mutator) dealt() {
	d := m.p.NumParties()
	deals := slices.DeleteFunc(m.steps(d), func(a at) bool { return m.step(a).Op != plan.StepDeal })
	a, ok := anyOf(m, deals)
	if !ok {
		return
	}
	b, _ := anyOf(m, deals)
	if x, y := m.step(a), m.step(b); m.IntN(2) == 0 && m.p.Programs[d].Slots[x.Src[0]].Len == m.p.Programs[d].Slots[y.Src[0]].Len {
		x.Src[0], y.Src[0] = y.Src[0], x.Src[0]
		return
	}
	if to := m.slotLike(a, m.p.Programs[d].Slots[m.step(a).Src[0]].Len, []at{a}); to != nil {
		m.step(a).Src[0] = to[d]
	}
}

// zeros uses shares of zero in a place more, with a coefficient or after a step that may change nothing.
func (m *mutator) zeros() {
	out, ok := anyOf(m, m.p.Manifest.Outputs)
	if !ok {
		return
	}
	where, _ := anyOf(m, m.opens(0))
	item := m.open(where).Item
	u := m.unary(m.p.Items[out.Item].Len)
	plain, op := m.IntN(3) == 0, []plan.StepOp{plan.StepAdd, plan.StepSub, plan.StepXor}[m.IntN(3)]
	for role := range m.p.NumParties() {
		_, slots := m.names(role)
		zero, ok := slots[fmt.Sprintf("item %d", out.Item)]
		if !ok {
			return
		}
		for _, a := range m.opens(role) {
			o := m.open(a)
			if o.Item != item || !slices.Contains(o.From, role) || o.Len != m.p.Items[out.Item].Len {
				continue
			}
			steps := &m.rounds(role, a.phase)[a.round].Steps
			if !plain {
				v := u
				v.Src, v.Dst = []int{zero}, m.slot(role, a.phase, o.Len)
				if v.Op == plan.StepXor {
					v.Src = append(v.Src, zero)
				}
				*steps = append(*steps, v)
				m.note("%s", m.p.StepText(&v))
				zero = v.Dst
			}
			s := plan.Step{Op: op, Src: []int{o.Src, zero}, Dst: m.slot(role, a.phase, o.Len)}
			*steps = append(*steps, s)
			o.Src = s.Dst
			m.note("%s", m.p.StepText(&s))
		}
	}
}

// extra opens a value once more, under a mask of its own or under one that there is.
func (m *mutator) extra() {
	a, ok := anyOf(m, slices.DeleteFunc(m.opens(0), func(a at) bool { return m.open(a).Kind > plan.OpenBits }))
	if !ok {
		return
	}
	o := *m.open(a)
	item := o.Item
	if m.IntN(2) == 0 {
		it := m.p.Items[o.Item-1]
		for _, x := range m.p.Items {
			if x.Scope == it.Scope {
				it.Offset = max(it.Offset, (x.Offset+int64(x.Len*x.Width())+15)/16*16)
			}
		}
		m.p.Items = append(m.p.Items, it)
		item = len(m.p.Items)
	}
	to := m.IntN(len(m.rounds(0, a.phase)))
	m.note("item %d in round %d", item-1, to)
	for role := range m.p.NumParties() {
		list := m.rounds(role, a.phase)
		for r := range list {
			for _, x := range slices.Clone(list[r].Opens) {
				if x.Item == o.Item {
					x.Item, x.Dst = item, m.slot(role, a.phase, x.Len)
					if x.Src == 0 {
						x.Src = x.Dst
					}
					list[to].Opens = append(list[to].Opens, x)
				}
			}
		}
	}
}

// deal has the dealer share a slot's value as a new item, and returns the slots that hold the shares, by party.
func (m *mutator) deal(value int, it plan.Item) (item int, shares []int) {
	d := m.p.NumParties()
	for _, x := range m.p.Items {
		if x.Scope == plan.Session {
			it.Offset = max(it.Offset, (x.Offset+int64(x.Len*x.Width())+15)/16*16)
		}
	}
	it.Dealt = true
	m.p.Items = append(m.p.Items, it)
	item = len(m.p.Items) - 1
	for role := range m.p.Programs {
		r := &m.p.Programs[role].Offline[0]
		slot := m.slot(role, int(plan.Offline), it.Len)
		shares = append(shares, slot)
		o := plan.Open{Mode: it.Mode, Len: it.Len, Bits: it.Bits, From: []int{d}, To: []int{d - 1}, Item: item + 1, Kind: plan.Correction}
		switch role {
		case d:
			o.Src = slot
			r.Steps = append(r.Steps, plan.Step{Op: plan.StepDeal, Dst: slot, Src: []int{value}, Args: []int64{int64(item)}})
			r.Opens = append(r.Opens, o)
		case d - 1:
			o.Dst = slot
			r.Opens = append(r.Opens, o)
		default:
			r.Steps = append([]plan.Step{{Op: plan.StepPRG, Dst: slot, Args: []int64{int64(item)}}}, r.Steps...)
		}
	}
	return item, shares[:d]
}

// material deals something of masks once more and adds the shares to what parties compute with.
func (m *mutator) material() {
	d := m.p.NumParties()
	made := slices.DeleteFunc(m.steps(d), func(a at) bool { return a.phase != int(plan.Offline) || a.round > 0 })
	a, ok := anyOf(m, made)
	if !ok {
		return
	}
	value := m.step(a).Dst
	it := plan.Item{Mode: plan.Mode(m.IntN(2)), Len: m.p.Programs[d].Slots[value].Len, Bits: 1 + m.IntN(8), What: "a mutant's material"}
	if m.IntN(2) == 0 {
		it.Bits = m.p.Manifest.RingBits
	}
	_, shares := m.deal(value, it)
	all, ok := m.some(func(s *plan.Step) bool { return len(s.Src) > 0 })
	if !ok || all[0].role == d {
		return
	}
	i, op := m.IntN(len(m.step(all[0]).Src)), []plan.StepOp{plan.StepAdd, plan.StepSub, plan.StepXor, plan.StepMul}[m.IntN(4)]
	replace := m.IntN(3) == 0
	for _, b := range all {
		s := m.step(b)
		if b.phase == int(plan.Setup) || b.phase == int(plan.Offline) && b.round == 0 || i >= len(s.Src) || m.p.Programs[b.role].Slots[s.Src[i]].Len != it.Len {
			return
		}
	}
	for _, b := range all {
		s := m.step(b)
		if replace {
			s.Src[i] = shares[b.role]
			continue
		}
		u := plan.Step{Op: op, Src: []int{s.Src[i], shares[b.role]}, Dst: m.slot(b.role, b.phase, it.Len), Node: s.Node}
		s.Src[i] = u.Dst
		m.note("%s", m.p.StepText(&u))
		m.insert(b, u)
	}
}

// output reveals one more value, which some owners allow.
func (m *mutator) output() {
	d := m.p.NumParties()
	rounds := m.rounds(0, int(plan.Online))
	last := len(rounds) - 1
	if last < 0 {
		return
	}
	names, _ := m.names(0)
	var fit []int
	for i, s := range m.p.Programs[0].Slots {
		if s.Scope == plan.Session && s.Len > 0 && names[i] != "" {
			fit = append(fit, i)
		}
	}
	pick, ok := anyOf(m, fit)
	if !ok {
		return
	}
	n := m.p.Programs[0].Slots[pick].Len
	bits, mode, elem := m.p.Manifest.RingBits, plan.Add, "int"
	if m.IntN(3) == 0 {
		bits, mode, elem = 1, plan.Xor, "bool"
	} else if m.IntN(3) == 0 {
		bits = 1 + m.IntN(bits)
	}
	zero := m.slot(d, int(plan.Offline), n)
	r := &m.p.Programs[d].Offline[0]
	r.Steps = append(r.Steps, plan.Step{Op: plan.StepZero, Dst: zero})
	item, shares := m.deal(zero, plan.Item{Mode: mode, Len: n, Bits: bits, What: "zero shares of a mutant's output"})
	to := m.IntN(d)
	man := &m.p.Manifest
	out := plan.Port{Name: "more", To: []string{man.Parties[to]}, Elem: elem, Bits: bits, Shape: []int{n}, Item: item}
	man.Outputs = append(man.Outputs, out)
	for _, owner := range man.Parties {
		if m.IntN(4) > 0 {
			man.Allowed = append(man.Allowed, plan.Allowance{Output: "more", Receiver: man.Parties[to], Owner: owner})
		}
	}
	m.note("%s to role %d in %d bits", names[pick], to, bits)
	change := m.unary(n)
	plain := m.IntN(3) > 0
	for role := range d {
		_, slots := m.names(role)
		src, ok := slots[names[pick]]
		if !ok { // what others do not hold is zero to them
			src = m.slot(role, int(plan.Online), n)
			r := &m.rounds(role, int(plan.Online))[last]
			r.Steps = append(r.Steps, plan.Step{Op: plan.StepZero, Dst: src})
		}
		if !plain {
			u := change
			u.Src, u.Dst = []int{src}, m.slot(role, int(plan.Online), n)
			if u.Op == plan.StepXor {
				u.Src = append(u.Src, src)
			}
			m.note("%s", m.p.StepText(&u))
			r := &m.rounds(role, int(plan.Online))[last]
			r.Steps = append(r.Steps, u)
			src = u.Dst
		}
		op := plan.StepAdd
		if mode == plan.Xor {
			op = plan.StepXor
		}
		sum := m.slot(role, int(plan.Online), n)
		r := &m.rounds(role, int(plan.Online))[last]
		r.Steps = append(r.Steps, plan.Step{Op: op, Dst: sum, Src: []int{src, shares[role]}})
		from := make([]int, d)
		for i := range from {
			from[i] = i
		}
		o := plan.Open{Mode: mode, Src: sum, Len: n, Bits: bits, From: from, To: []int{to}, Item: item + 1, Kind: plan.Reveal}
		if role == to {
			o.Dst = m.slot(role, int(plan.Online), n)
		}
		r.Opens = append(r.Opens, o)
	}
}
