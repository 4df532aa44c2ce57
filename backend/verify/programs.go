package verify

import (
	"fmt"
	"math/bits"
	"slices"

	"smpcc/backend/plan"
)

// programs follows the values through all programs: the dealer's first, which depends on nobody, then those of the parties
// side by side.
func (c *checker) programs() {
	work := 1 << 23 // what is spent grows with the plan, in time and in memory
	for i := range c.p.Programs {
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			for _, r := range c.p.Programs[i].Rounds(ph) {
				for k := range r.Steps {
					work += 64 + len(r.Steps[k].Data) + len(r.Steps[k].Args)
				}
				work += 64 * len(r.Opens)
			}
		}
	}
	c.table = newTable(min(work, 1<<27))
	for item, it := range c.p.Items {
		if !it.Dealt && c.openedAt[item] == 0 && !c.roots[item] { // roots mask no message: whatever they are, the masks of messages are uniform
			c.openedAt[item] = never
		}
	}
	for i := range c.p.Programs {
		g := &c.p.Programs[i]
		c.roles = append(c.roles, &roleState{prog: g, vals: make([]value, 1), empty: map[int]int{}, slots: []int{-1},
			mem: [2]*memory{newMemory(g.Slots, plan.Session), newMemory(g.Slots, plan.Model)}})
	}
	c.dealer()
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for r := range c.p.Programs[0].Rounds(ph) {
			for role := range c.n {
				steps := c.p.Programs[role].Rounds(ph)[r].Steps
				for i := range steps {
					c.step(role, ph, r, &steps[i])
				}
			}
			c.exchange(ph, r)
		}
	}
	c.fact(factIsolate, 0)
}

// dealer runs the dealer's program: what it shares, and what it sends.
func (c *checker) dealer() {
	d := c.n
	sent := map[int]bool{}
	for ph := plan.Setup; ph <= plan.Offline; ph++ {
		rounds := c.p.Programs[d].Rounds(ph)
		for r := range rounds {
			for i := range rounds[r].Steps {
				c.step(d, ph, r, &rounds[r].Steps[i])
			}
			for i := range rounds[r].Opens {
				o := &rounds[r].Opens[i]
				where := c.openPlace(d, ph, r, o)
				v, ok := c.read(d, o.Src)
				if !ok {
					c.find(ReadBeforeWrite, where, "slot %d is sent and does not hold a value", o.Src)
					continue
				}
				if o.Kind == plan.Keys {
					c.sendKeys(o, v, where)
					continue
				}
				out, dealt := c.dealtOut[o.Item-1]
				if !dealt || len(v.form) != 1 || v.form[0] != (mono{out, 1}) {
					c.find(WrongCorrection, where, "what is sent is not the last party's share of item %d", o.Item-1)
					continue
				}
				if sent[o.Item-1] {
					c.find(WrongCorrection, where, "item %d is corrected twice", o.Item-1)
				}
				sent[o.Item-1] = true
				c.fact(factDealt, 1)
			}
		}
	}
}

// isKeys reports whether a step makes keys.
func isKeys(op plan.StepOp) bool { return op == plan.StepDPFKey || op == plan.StepDCFKey }

// sendKeys checks that what the dealer sends to both parties is keys, and only that: pseudorandom to each of them.
func (c *checker) sendKeys(o *plan.Open, v value, where *place) {
	t := c.table
	if len(v.form) != 1 || v.form[0].c != 1 || t.terms[v.form[0].t].kind != kFn || !isKeys(t.params[t.terms[v.form[0].t].par].op) {
		c.find(WrongCorrection, where, "what is sent to all parties is not the correction words of keys")
		return
	}
	if c.keyed[o.Item-1] != nil {
		c.find(WrongCorrection, where, "item %d is sent twice", o.Item-1)
	}
	for item, w := range c.keyed {
		if w.form[0] == v.form[0] {
			c.find(KeyReused, where, "the keys of item %d are item %d, too", o.Item-1, item)
		}
	}
	c.keyed[o.Item-1] = &v
	c.fact(factKeys, 1)
}

// write stores a value in a slot.
func (c *checker) write(role, slot int, v value) {
	st := c.roles[role]
	s := st.prog.Slots[slot]
	v.n = s.Len
	st.vals = append(st.vals, v)
	st.slots = append(st.slots, slot)
	id := len(st.vals) - 1
	if s.Len == 0 {
		st.empty[slot] = id
		return
	}
	st.mem[s.Scope].write(s, id)
}

// read returns what a slot holds: what was last written to it, if no other slot's write has touched its words since.
func (c *checker) read(role, slot int) (value, bool) {
	st := c.roles[role]
	s := st.prog.Slots[slot]
	id := 0
	if s.Len == 0 {
		id = st.empty[slot]
	} else if id = st.mem[s.Scope].read(s); id == mixed || st.slots[id] != slot {
		return value{}, false
	}
	return st.vals[id], id > 0
}

// step reads one local step.
func (c *checker) step(role int, ph plan.Phase, r int, s *plan.Step) {
	where := func() *place { return c.stepPlace(role, ph, r, s) }
	src := make([]value, len(s.Src))
	for i, slot := range s.Src {
		v, ok := c.read(role, slot)
		if !ok {
			c.find(ReadBeforeWrite, where(), "slot %d is read and does not hold a value", slot)
			v = zeroValue(c.p.Programs[role].Slots[slot].Len)
		}
		src[i] = v
	}
	n := c.p.Programs[role].Slots[s.Dst].Len
	v, ok := c.eval(role, s, src, n, where)
	if !ok {
		v = c.table.single(c.table.atom(kFn, c.table.param(s.Op, []int64{int64(role), int64(ph), int64(r)}, nil), n, func() term { return term{e: 64, masked: true, ready: never} }))
	}
	c.write(role, s.Dst, v)
	c.fact(factSteps, 1)
}

// eval returns the value of a step.
func (c *checker) eval(role int, s *plan.Step, src []value, n int, where func() *place) (value, bool) {
	t := c.table
	arg := func(i int) int { return int(s.Args[i]) }
	keep := func(v value) value { // parties' programs need no exact forms: rules look at material, which is the dealer's
		if role != c.n {
			v.exact = nil
		}
		return v
	}
	switch s.Op {
	case plan.StepInput:
		i := arg(0)
		if m := &c.p.Manifest; i < len(m.Inputs) && m.Inputs[i].Shares {
			mode := plan.Add
			if m.Inputs[i].Elem == "bool" {
				mode = plan.Xor
			}
			return t.single(t.atom(kGiven, i, n, func() term { return term{e: 64, deg: 1, smode: mode} })), true
		}
		owners := uint64(0)
		if role < 64 {
			owners = 1 << role
		}
		return t.single(t.atom(kInput, i, n, func() term { return term{e: 64, owners: owners} })), true
	case plan.StepConst:
		if len(s.Data) == 1 {
			return c.constant(s.Data[0], n), true
		}
		most := uint64(0)
		for _, d := range s.Data {
			most |= d
		}
		if most == 0 {
			return zeroValue(n), true
		}
		return t.single(t.atom(kData, t.param(s.Op, nil, s.Data), n, func() term { return term{e: bits.Len64(most), public: true} })), true
	case plan.StepZero:
		return zeroValue(n), true
	case plan.StepPRG:
		i := arg(0)
		it := c.p.Items[i]
		return t.single(t.atom(kShare, i, n, func() term {
			x := term{e: it.Bits, deg: 1, smode: it.Mode, ready: c.itemReady(i)}
			if it.Holder != 0 {
				x.deg = 0 // its holder knows all of it
			}
			return x
		})), true
	case plan.StepAdd:
		return keep(t.sum(src[0], src[1], 1)), true
	case plan.StepSub:
		return keep(t.sum(src[0], src[1], ^uint64(0))), true
	case plan.StepNeg:
		return keep(t.sum(zeroValue(n), src[0], ^uint64(0))), true
	case plan.StepMul:
		return keep(t.bilinear(t.param(s.Op, nil, nil), src[0], src[1], n, addOnly)), true
	case plan.StepAnd:
		return t.bilinear(t.param(s.Op, nil, nil), src[0], src[1], n, xorOnly), true
	case plan.StepMatMul, plan.StepConv:
		return keep(t.bilinear(t.param(s.Op, s.Args, nil), src[0], src[1], n, addOnly)), true
	case plan.StepShl:
		return t.shl(src[0], arg(0)), true
	case plan.StepBits:
		return t.cut(src[0], arg(0), arg(1)), true
	case plan.StepXor:
		return t.xor(src[0], src[1]), true
	case plan.StepSum:
		return keep(t.linear(t.param(s.Op, s.Args, nil), src[0], n, 64, addOnly)), true
	case plan.StepGather:
		return keep(t.linear(t.param(s.Op, s.Args, s.Data), src[0], n, src[0].e, both)), true
	case plan.StepCopy:
		v, ok := c.copy(role, s, src[0], n)
		if !ok {
			c.find(ReadBeforeWrite, where(), "slot %d is filled in part and held no value before", s.Dst)
		}
		return keep(v), ok
	case plan.StepDrop:
		if src[0].w < arg(0) {
			c.find(TooNarrow, where(), "%d bits are shifted, the value is valid in %d", arg(0), src[0].w)
		}
		if len(src[0].form) == 0 && s.Args[2] == 0 {
			return zeroValue(n), true
		}
		p := t.param(s.Op, s.Args, nil, t.number(src[0]))
		return t.single(t.atom(kDrop, p, n, func() term {
			x := t.over(term{e: arg(0) - arg(1)}, src[0], true)
			x.deg, x.smode, x.public = 1, plan.Add, false
			return x
		})), true
	case plan.StepLeaf:
		return c.share(role, s, src, []int{0}, s.Args, plan.Xor, 2*arg(3), n, where)
	case plan.StepMerge:
		return c.share(role, s, src, []int{0}, s.Args[:2], plan.Xor, 2, n, where)
	case plan.StepGroup:
		return c.share(role, s, src, nil, s.Args, plan.Xor, 2*len(src), n, where)
	case plan.StepFinish:
		return c.share(role, s, src, []int{0}, s.Args[:1], plan.Add, 64, n, where)
	case plan.StepReluSel:
		return c.share(role, s, src, []int{0, 1}, s.Args[:1], plan.Add, 64, n, where)
	case plan.StepWireMul:
		return c.share(role, s, src, []int{0, 3}, s.Args[:2], plan.Add, 64, n, where)
	case plan.StepValid:
		return c.share(role, s, src, []int{0}, s.Args, plan.Xor, 1, n, where)
	case plan.StepPack:
		return keep(t.linear(t.param(s.Op, s.Args, nil), src[0], n, arg(0), xorOnly)), true
	case plan.StepWave, plan.StepExpo:
		return c.share(role, s, src, []int{0}, s.Args, plan.Add, 64, n, where)
	case plan.StepMulBit:
		return c.share(role, s, src, []int{0, 1}, nil, plan.Add, 64, n, where)
	case plan.StepExtend:
		return c.share(role, s, src, []int{0, 1}, s.Args[:1], plan.Add, 64, n, where)
	case plan.StepB2A:
		return c.share(role, s, src, []int{0}, nil, plan.Add, 64, n, where)
	case plan.StepDPF, plan.StepDCF:
		if x := src[2]; len(x.form) != 1 || x.form[0].c != 1 || x.w < 64 || t.terms[x.form[0].t].kind != kCommon {
			c.find(WrongMaterial, where(), "operand 2 of %s is not correction words that the dealer has sent", plan.Steps[s.Op].Name)
			return value{}, false
		}
		if s.Op == plan.StepDCF {
			return c.share(role, s, src, []int{0}, s.Args[:3], plan.Add, 64, n, where)
		}
		return c.share(role, s, src, []int{0}, s.Args[:3], plan.Xor, 1, n, where)
	case plan.StepPRGSum:
		return t.single(c.mask(arg(0))), true
	case plan.StepDPFKey, plan.StepDCFKey: // of the mask in src[0] under roots that are in no other keys
		return t.single(c.fn(s.Op, s.Args, 64, true, src[0])), true
	case plan.StepDeal:
		i := arg(0)
		if c.dealt[i] != nil {
			c.find(WrongCorrection, where(), "item %d is dealt twice", i)
			return value{}, false
		}
		it := c.p.Items[i]
		if _, ok := t.exactForm(src[0]); src[0].w < it.Bits && !ok {
			c.find(TooNarrow, where(), "%d bits are shared, the value is valid in %d", it.Bits, src[0].w)
		}
		c.dealt[i] = &src[0]
		id := t.atom(kFn, t.param(s.Op, s.Args, nil, t.number(src[0])), n, func() term { return term{e: it.Bits, masked: true, ready: c.itemReady(i)} })
		c.dealtOut[i] = id
		return t.single(id), true
	case plan.StepOneHot:
		h := plan.HotWords(arg(0), arg(1), arg(2), arg(3))[arg(4)]
		args := []int64{s.Args[0], s.Args[1], int64(h.First), int64(h.Count), int64(h.Base)}
		return t.single(c.fn(s.Op, args, h.Bits, true, src[0])), true
	case plan.StepMono:
		return t.single(c.fn(s.Op, s.Args, plan.MonoBits(arg(0), arg(1), arg(2)), true, src[0])), true
	case plan.StepPhase, plan.StepDecay:
		return t.single(c.fn(s.Op, s.Args, 64, true, src[0])), true
	case plan.StepUnwrap:
		return t.single(c.fn(s.Op, s.Args, 64, true, src[0])), true
	}
	c.find(UnknownStep, where(), "the verifier has no rule for %s", plan.Steps[s.Op].Name)
	return value{}, false
}

// constant returns n times a number.
func (c *checker) constant(x uint64, n int) value {
	if x == 0 {
		return zeroValue(n)
	}
	one := c.table.atom(kOne, 0, n, func() term { return term{e: 1, public: true} })
	return value{form: []mono{{one, x}}, w: 64, e: bits.Len64(x), n: n, free: x == 1}
}

// itemReady returns when the last mask that an item depends on is opened. Nothing tells shares of zero: they stand in the one message that
// they mask, as they were drawn, and in no other.
func (c *checker) itemReady(item int) moment {
	if c.revealed[item] {
		return never
	}
	if !c.p.Items[item].Dealt {
		return c.openedAt[item]
	}
	d := c.dealt[item]
	if d == nil {
		return never
	}
	return c.table.over(term{}, *d, true).ready
}

// share returns the share that a step computes from opened values and shares.
func (c *checker) share(role int, s *plan.Step, src []value, open []int, args []int64, mode plan.Mode, e, n int, where func() *place) (value, bool) {
	t := c.table
	var kids []int
	x := term{e: e, deg: 1, smode: mode}
	for i, v := range src {
		v.exact = nil
		kids = append(kids, t.number(v))
		o := t.over(term{}, v, true)
		x.ready, x.depth = max(x.ready, o.ready), max(x.depth, o.depth+1)
		if slices.Contains(open, i) && !o.public {
			c.find(NotPublic, where(), "operand %d of %s must be known to all parties", i, plan.Steps[s.Op].Name)
			return value{}, false
		}
	}
	return t.single(t.atom(kRule, t.param(s.Op, args, nil, kids...), n, func() term { return x })), true
}

// copy moves elements; others stay what they were.
func (c *checker) copy(role int, s *plan.Step, v value, n int) (value, bool) {
	t := c.table
	cp := plan.CopyOf(s)
	par := t.param(s.Op, s.Args, nil)
	t.params[par].copy = cp
	out := t.linear(par, v, n, v.e, both)
	if n == 0 { // there is nothing that could have been left
		return zeroValue(0), true
	}
	if slices.Contains(cp.Dims, 0) && len(cp.Dims) > 0 {
		out = zeroValue(n)
	} else if covers(cp, n) {
		return out, true
	}
	old, ok := c.read(role, s.Dst)
	if !ok {
		return value{}, false
	}
	if len(old.form) == 0 && old.w == 64 {
		return out, true
	}
	free := old.free && out.free
	mode := old.mode
	if old.free {
		mode = out.mode
	}
	old, out = t.as(old, mode), t.as(out, mode)
	rest := value{mode: mode, w: old.w, e: old.e, n: n}
	var list []mono
	for _, m := range old.form {
		t.spend(1)
		x := &t.terms[m.t]
		if x.kind == kLin && t.params[x.par].op == plan.StepCopy && disjoint(t.params[x.par].copy, cp) {
			list = append(list, m)
			continue
		}
		id := t.lin(t.param(fnKeep, s.Args, nil), m.t, n, x.e, both)
		list = append(list, mono{id, m.c})
	}
	rest.form = t.collect(list, mode)
	sum := value{mode: mode, form: t.merge(rest.form, out.form, 1, mode), w: min(rest.w, out.w), e: max(rest.e, out.e), n: n}
	sum.free = free
	if sum.w < 64 && role == c.n { // exact forms: the same pieces, each exact
		f, ok1 := t.exactForm(old)
		g, ok2 := t.exactForm(out)
		if ok1 && ok2 && slices.Equal(rest.form, old.form) {
			sum.exact = t.merge(f, g, 1, plan.Add)
		}
	}
	return sum, true
}

// covers reports whether a copy writes every element of a destination of n.
func covers(c plan.Copy, n int) bool {
	if c.Dst != 0 {
		return false
	}
	type axis struct{ dim, stride int64 }
	var axes []axis
	for i, d := range c.Dims {
		if d != 1 {
			axes = append(axes, axis{d, c.DstStrides[i]})
		}
	}
	slices.SortFunc(axes, compareBy(func(a axis) int64 { return a.stride }))
	next := int64(1)
	for _, a := range axes {
		if a.stride != next {
			return false
		}
		next *= a.dim
	}
	return next == int64(n)
}

// disjoint reports whether two copies are seen to write different elements: boxes of one row-major tensor that differ along an axis.
func disjoint(a, b plan.Copy) bool {
	if len(a.Dims) != len(b.Dims) {
		return false
	}
	for i := range a.Dims {
		if a.DstStrides[i] != b.DstStrides[i] || a.DstStrides[i] <= 0 || i > 0 && (a.DstStrides[i] > a.DstStrides[i-1] || a.DstStrides[i-1]%a.DstStrides[i] != 0) {
			return false
		}
	}
	apart := false
	x, y := a.Dst, b.Dst
	for i, st := range a.DstStrides {
		p, q := x/st, y/st
		x, y = x%st, y%st
		if i > 0 { // the box must not run over into the axis before
			if size := a.DstStrides[i-1] / st; p+a.Dims[i] > size || q+b.Dims[i] > size {
				return false
			}
		}
		apart = apart || p+a.Dims[i] <= q || q+b.Dims[i] <= p
	}
	return apart && x == 0 && y == 0
}

// exchange checks the openings of one round of the parties, and gives the receivers what comes of them.
func (c *checker) exchange(ph plan.Phase, r int) {
	type sides struct {
		o     [64]*plan.Open
		first int
	}
	byItem := map[int]*sides{}
	var order []int
	for role := range c.n {
		opens := c.p.Programs[role].Rounds(ph)[r].Opens
		for i := range opens {
			o := &opens[i]
			s := byItem[o.Item]
			if s == nil {
				s = &sides{first: role}
				byItem[o.Item] = s
				order = append(order, o.Item)
			}
			s.o[role] = o
		}
	}
	results := map[int]value{}
	for _, item := range order {
		s := byItem[item]
		o := s.o[s.first]
		if o.Kind == plan.Keys {
			w := c.keyed[item-1]
			if w == nil {
				c.find(WrongCorrection, c.openPlace(s.first, ph, r, o), "item %d is received and was never sent as keys", item-1)
				w = &value{}
			}
			ready := c.table.over(term{}, *w, true).ready
			results[item] = c.table.single(c.table.atom(kCommon, item-1, o.Len, func() term { return term{e: 64, deg: 2, masked: true, ready: ready} }))
			continue
		}
		if o.Kind == plan.Correction {
			it := c.p.Items[item-1]
			if c.dealt[item-1] == nil {
				c.find(WrongCorrection, c.openPlace(s.first, ph, r, o), "item %d is received and was never dealt", item-1)
			}
			results[item] = c.table.single(c.table.atom(kShare, item-1, o.Len, func() term { return term{e: it.Bits, deg: 1, smode: it.Mode, ready: c.itemReady(item - 1)} }))
			continue
		}
		results[item] = c.open(ph, r, o, func(role int) *plan.Open { return s.o[role] })
	}
	for role := range c.n { // own shares are read again when results are written, one after the other
		opens := c.p.Programs[role].Rounds(ph)[r].Opens
		for i := range opens {
			o := &opens[i]
			if !slices.Contains(o.To, role) {
				continue
			}
			if slices.Contains(o.From, role) {
				g := c.p.Programs[role].Slots
				a, b := g[o.Src], g[o.Dst]
				if _, ok := c.read(role, o.Src); !ok || a.Scope == b.Scope && a.Offset < b.Offset+b.Len && b.Offset < a.Offset+a.Len {
					c.find(ReadBeforeWrite, c.openPlace(role, ph, r, o), "slot %d is written over by a result of the same round", o.Src)
				}
			}
			c.write(role, o.Dst, results[o.Item])
		}
	}
}

// open checks one opening at all its senders and returns what the receivers hold afterwards.
func (c *checker) open(ph plan.Phase, r int, o *plan.Open, side func(role int) *plan.Open) value {
	t, item := c.table, o.Item-1
	it, now := c.p.Items[item], at(ph, r)
	held := make([]value, c.n)
	for i := range held {
		held[i] = zeroValue(o.Len)
	}
	good := true
	for _, role := range o.From {
		where := c.openPlace(role, ph, r, o)
		v, ok := c.read(role, side(role).Src)
		if !ok {
			c.find(ReadBeforeWrite, where, "slot %d is sent and does not hold a value", side(role).Src)
			good = false
			continue
		}
		v = t.as(v, o.Mode)
		share := termID(-1)
		if id, ok := t.byKey[termKey{kShare, item, none, none, o.Len}]; ok {
			share = id
		}
		rest, masked := []mono{}, false
		early, moved := false, false
		for _, m := range v.form {
			if m.t == share && m.c == 1 {
				masked = true
				continue
			}
			if _, core := c.peel(m.t); core == share && share >= 0 {
				moved = true
			}
			early = early || t.terms[m.t].ready >= now
			rest = append(rest, m)
		}
		switch {
		case !masked && moved:
			c.find(MaskScaled, where, "item %d is not added as it was drawn", item)
		case !masked:
			c.find(MaskMissing, where, "what %s sends does not hold item %d (%s) as its mask", c.p.Programs[role].Role, item, it.What)
		case moved:
			c.find(MaskScaled, where, "item %d stands in the message a second time", item)
		case early:
			c.find(MaskEarly, where, "besides its mask the message depends on a mask that has not been opened in an earlier round")
		}
		if !masked || moved || early {
			good = false
			continue
		}
		copies := len(o.To)
		if slices.Contains(o.To, role) {
			copies--
		}
		if o.Kind != plan.Reveal {
			c.fact(factSent, int64(copies))
		}
		v.form = rest
		v.free = len(rest) == 0 || len(rest) == 1 && rest[0].c == 1
		held[role] = v
	}
	var def value
	var bad *clash
	if good {
		def, bad = c.sum(held, o)
	}
	where := c.openPlace(o.From[0], ph, r, o)
	switch {
	case !good:
	case bad != nil:
		c.find(bad.code, where, "%s", bad.what)
	case def.w < o.Bits:
		c.find(TooNarrow, where, "%d bits are opened, the value is valid in %d", o.Bits, def.w)
	}
	if !good || bad != nil {
		def = value{mode: o.Mode, w: 64, e: 64, n: o.Len}
	}
	var all term
	if len(def.form) > 0 {
		all = t.over(term{}, def, true)
	}
	part := len(def.form) == 1 && t.terms[def.form[0].t].kind == kFn && c.isChunks(t.terms[def.form[0].t].par)
	if (all.masked || all.taint) && !(part && o.Kind == plan.OpenBits) {
		c.find(MaskLeft, where, "masks do not cancel in what is opened: the material is not that of the values")
	}
	if o.Kind == plan.Reveal {
		c.reveal(o, where, all)
		return t.single(t.atom(kFn, t.param(plan.StepInvalid, []int64{int64(item)}, nil), o.Len, func() term { return term{e: o.Bits, ready: now, owners: all.owners} })) // the receivers' own from here on
	}
	if good && bad == nil {
		c.fact(factOpened, 1)
	}
	truth := t.atom(kTrue, item, o.Len, func() term {
		return term{e: o.Bits, taint: all.masked || all.taint, owners: all.owners}
	})
	c.opened[item] = &opening{mode: o.Mode, bits: o.Bits, truth: truth, def: def}
	return t.single(t.atom(kPub, item, o.Len, func() term { return term{e: o.Bits, public: true, ready: now} }))
}

// isChunks reports whether a function is the comparison of chunks, whose bits depend on the mask of what is compared.
func (c *checker) isChunks(par int) bool {
	op := c.table.params[par].op
	return op == plan.StepLeaf || op == plan.StepGroup || op == fnLow
}

// sum returns the value that the parties' parts of an opening add up to.
func (c *checker) sum(held []value, o *plan.Open) (v value, bad *clash) {
	defer func() {
		if e := recover(); e != nil {
			k, ok := e.(clash)
			if !ok {
				panic(e)
			}
			bad = &k
		}
	}()
	t := c.table
	var n, by, add int64
	drops, plain := 0, 0
	holders := int64(0) // of shares that are shifted and are not zero
	under := make([]value, len(held))
	for i, h := range held {
		under[i] = zeroValue(o.Len)
		if len(h.form) != 1 || h.form[0].c != 1 || t.terms[h.form[0].t].kind != kDrop {
			if len(h.form) > 0 {
				plain++
			}
			continue
		}
		p := t.params[t.terms[h.form[0].t].par]
		if drops > 0 && (p.args[0] != n || p.args[1] != by) {
			return v, &clash{NotShares, "parties shift their shares differently"}
		}
		n, by = p.args[0], p.args[1]
		add += p.args[2]
		if under[i] = t.values[p.kids[0]]; len(under[i].form) > 0 {
			holders++
		}
		drops++
	}
	if drops == 0 {
		return c.joint(held, o.Mode, false)
	}
	if plain > 0 {
		return v, &clash{NotShares, "some parties shift their shares and others do not"}
	}
	// the sum of what is shifted is up to holders-1 units too low, and the result may be up to n-1 too high
	if least := max(holders-1, 0); add>>by < least || add>>by > int64(c.n-1) || add>>by<<by != add || o.Mode != plan.Add {
		return v, &clash{PartyConstant, fmt.Sprintf("the parties add %d before they shift, %d makes up for the rounding", add, least<<by)}
	}
	x, bad := c.joint(under, plan.Add, false)
	if bad != nil {
		return v, bad
	}
	if x.w < int(n) {
		return v, &clash{TooNarrow, fmt.Sprintf("%d bits are shifted, the value is valid in %d", n, x.w)}
	}
	c.fact(factTrunc, 1)
	x.w, x.e = int(n), 64
	v = t.single(c.fn(fnTrunc, []int64{n, by}, int(n-by), false, x))
	v.w = int(n - by)
	return v, nil
}

// reveal checks what the receivers of an output learn.
func (c *checker) reveal(o *plan.Open, where *place, all term) {
	if d := c.dealt[o.Item-1]; d == nil || len(d.form) > 0 || d.w < o.Bits {
		c.find(RevealMask, where, "item %d is not dealt as shares of zero", o.Item-1)
		return
	}
	out := c.outputs[o.Item-1]
	m := &c.p.Manifest
	for i, owner := range m.Roster() {
		if all.owners&(1<<min(i, 63)) == 0 {
			continue
		}
		for _, to := range out.To {
			if !slices.ContainsFunc(m.Allowed, func(a plan.Allowance) bool { return a.Output == out.Name && a.Receiver == to && a.Owner == owner }) {
				c.find(NotAllowed, where, "output %q goes to %s and derives from data of %s, whose permission is not recorded", out.Name, to, owner)
			}
		}
	}
	c.fact(factReveal, 1)
}
