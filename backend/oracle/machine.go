package oracle

import (
	"fmt"
	"slices"

	"smpcc/backend/plan"
)

// A site is one element of a party's stream in a session: its part of an item. What is drawn for the model counts as of the first session.
type site struct{ session, party, item, element int }

// nobody is the party of what the dealer chooses.
const nobody = -1

// maxWorlds is the number of worlds that are run side by side.
const maxWorlds = 1 << 12

// A machine runs all roles of a plan in many worlds at once. Worlds differ in the randomness of honest parties and share inputs and everything
// that the coalition draws.
type machine struct {
	p       *plan.Plan
	n       int
	items   []plan.Item // of the plan, and behind them one for each input: the shares of a guest's words
	worlds  int
	block   int
	corrupt []bool
	roots   map[int]bool // items that are roots of keys
	stages  [][3][][]stage
	local   [][]bool     // by role and slot: it lives in one stage and has no memory
	offset  map[site]int // where honest randomness is counted
	bits    int
	loose   map[int]bool // dealt items whose correction the coalition does not see as it is made

	inputs  [][]uint64
	later   [][]uint64          // of a second session, where the plan has a model that sessions share; its weights are not read
	session int                 // that is run
	seed    uint64              // of what is fixed
	base    uint64              // number of the first world
	sample  bool                // worlds are drawn, not counted
	source  func(s site) uint64 // where randomness comes from instead, in one world

	drawn   map[site][]uint64
	sent    map[int][]uint64 // corrections chosen, by item
	keys    []*key
	slots   [][]buffer
	wire    []map[int]buffer // by role that sends and opening: the message
	seen    []uint64         // hash of what the coalition has received but for outputs
	all     []uint64         // and with outputs
	dropped []uint64         // hash of the low bits of the coalition's shares that truncations cut off
	view    [][]uint64       // what the coalition has received, by word
	reveals []bool           // by word: it is of an output
	spans   []int            // by word: its bits
	outputs map[string]*result
	post    func(ph plan.Phase, round, role, opening int, message buffer) // is shown every message
}

// A result is an output at a receiver.
type result struct {
	words [][]uint64 // by world, then element
	told  bool       // the manifest has the coalition learn it
}

func newMachine(p *plan.Plan, block int, corrupt []bool) *machine {
	m := &machine{p: p, items: withGuests(p), n: p.NumParties(), block: block, corrupt: corrupt, roots: map[int]bool{}, offset: map[site]int{}, loose: map[int]bool{}}
	for role := range p.Programs {
		var st [3][][]stage
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			st[ph] = cut(p, role, ph)
		}
		m.stages = append(m.stages, st)
	}
	for role := range p.Programs {
		m.local = append(m.local, m.locals(role))
	}
	for _, r := range p.Programs[m.n].Offline {
		for _, s := range r.Steps {
			if s.Op == plan.StepDPFKey || s.Op == plan.StepDCFKey {
				m.roots[int(s.Args[0])] = true
			}
		}
	}
	m.resize(1)
	return m
}

// resize makes room for a number of worlds.
func (m *machine) resize(worlds int) {
	if worlds == m.worlds {
		return
	}
	m.worlds = worlds
	m.seen, m.all, m.dropped = make([]uint64, worlds), make([]uint64, worlds), make([]uint64, worlds)
	m.slots = nil
	for role := range m.p.Programs {
		m.slots = append(m.slots, m.memory(role))
	}
}

// explore finds out which randomness there is, and which corrections are not sent as they are dealt.
func (m *machine) explore(seed uint64) error {
	m.resize(4)
	m.sample, m.seed = true, seed
	m.inputs = nil
	for _, p := range ports(m.p) {
		m.inputs = append(m.inputs, make([]uint64, p.Len()))
	}
	if slices.ContainsFunc(m.p.Items, func(it plan.Item) bool { return it.Scope == plan.Model }) {
		m.later = m.inputs
	}
	for {
		before := len(m.loose)
		m.offset, m.bits = map[site]int{}, 0
		if err := m.try(); err != nil {
			return err
		}
		if len(m.loose) == before {
			return nil
		}
	}
}

// try runs a plan and returns what is unknown to the machine as an error.
func (m *machine) try() (err error) {
	defer func() {
		if e := recover(); e != nil {
			u, ok := e.(unsupported)
			if !ok {
				panic(e)
			}
			err = u
		}
	}()
	m.run(0)
	return nil
}

// unsupported is what the oracle does not know.
type unsupported string

// Error says so.
func (u unsupported) Error() string { return "unsupported: " + string(u) }

// mix is a bijection of words that looks random (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func hash(words ...uint64) (h uint64) {
	for _, w := range words {
		h = mix(h ^ w)
	}
	return h
}

// draw returns a party's part of an item in every world. Roots of keys are fixed: keys are ideal, and nothing else may depend on them.
func (m *machine) draw(s site) []uint64 {
	if d := m.drawn[s]; d != nil {
		return d
	}
	it, d := m.items[s.item], make([]uint64, m.worlds)
	m.drawn[s] = d
	mask := low(int64(it.Bits))
	if m.source != nil {
		d[0] = m.source(s)
		return d
	}
	name := hash(uint64(s.session), uint64(s.party), uint64(s.item), uint64(s.element))
	if m.corrupt[s.party] || m.roots[s.item] {
		fixed := hash(m.seed, name) & mask
		for w := range d {
			d[w] = fixed
		}
		return d
	}
	at, counted := m.offset[s]
	if !counted {
		at = m.bits
		m.offset[s] = at
		m.bits += it.Bits
	}
	for w := range d {
		if m.sample {
			d[w] = hash(m.seed, 88, name, m.base+uint64(w), hashInputs(m.inputs), hashInputs(m.later)) & mask
		} else {
			d[w] = (m.base + uint64(w)) >> at & mask
		}
	}
	return d
}

// hashInputs has worlds that are sampled for different inputs drawn independently.
func hashInputs(in [][]uint64) (h uint64) {
	for _, t := range in {
		h = mix(h ^ hash(t...))
	}
	return h
}

// deal computes the last party's share of one element of a dealt item. Where the coalition has the last party, and somebody honest a share nobody
// has asked for yet, it chooses the correction and lets the honest share follow: that is the same distribution, given what the coalition sees.
func (m *machine) deal(d, value []uint64, item, element int) {
	it, last := m.p.Items[item], m.n-1
	sum := slices.Clone(value)
	chosen := nobody
	for i := range last {
		if s := m.site(i, item, element); chosen == nobody && m.source == nil && m.corrupt[last] && !m.corrupt[i] && !m.loose[item] && m.drawn[s] == nil {
			chosen = i
			continue
		}
		for w, x := range m.draw(m.site(i, item, element)) {
			if it.Mode == plan.Xor {
				sum[w] ^= x
			} else {
				sum[w] -= x
			}
		}
	}
	mask := low(int64(it.Bits))
	if chosen == nobody {
		for w := range d {
			d[w] = sum[w] & mask
		}
		return
	}
	c := hash(m.seed, 77, uint64(m.session), uint64(item), uint64(element)) & mask
	share := make([]uint64, m.worlds)
	for w := range d {
		if d[w] = c; it.Mode == plan.Xor {
			share[w] = (sum[w] ^ c) & mask
		} else {
			share[w] = (sum[w] - c) & mask
		}
	}
	m.drawn[m.site(chosen, item, element)] = share
	m.sent[item] = append(m.sent[item], c)
}

// run runs a set-up and a session in all worlds from a number on.
func (m *machine) run(base uint64) {
	m.base, m.drawn, m.sent, m.keys = base, map[site][]uint64{}, map[int][]uint64{}, nil
	m.outputs = map[string]*result{}
	m.view, m.reveals, m.spans = nil, nil, nil
	clear(m.seen)
	clear(m.all)
	clear(m.dropped)
	m.phase(plan.Setup)
	sessions := 1
	if m.later != nil {
		sessions = 2
	}
	for m.session = range sessions {
		m.phase(plan.Offline)
		m.phase(plan.Online)
		for item := range m.sent { // chosen and not sent
			m.loose[item] = true
		}
		clear(m.sent)
	}
	m.session = 0
}

// phase runs all rounds of a phase.
func (m *machine) phase(ph plan.Phase) {
	var before []map[int]buffer
	rounds := len(m.p.Programs[0].Rounds(ph))
	for r := range rounds + 1 {
		m.wire = make([]map[int]buffer, len(m.p.Programs))
		for k := range m.p.Programs { // the dealer first: it waits for nobody
			role := (m.n + k) % (m.n + 1)
			m.wire[role] = map[int]buffer{}
			for i := range m.stages[role][ph][r] {
				m.stage(role, ph, r, &m.stages[role][ph][r][i], before)
			}
		}
		before = m.wire
		if r < rounds {
			m.look(ph, r)
		}
	}
}

// site returns where a party draws in this session.
func (m *machine) site(party, item, element int) site {
	if m.items[item].Scope == plan.Model {
		return site{0, party, item, element}
	}
	return site{m.session, party, item, element}
}

// memory returns a role's slots: those of the model where the plan has them, over each other if it says so, the others each for itself.
func (m *machine) memory(role int) (out []buffer) {
	g := &m.p.Programs[role]
	model := make([]uint64, g.Model*m.worlds)
	for i, s := range g.Slots {
		if s.Scope == plan.Model && !m.local[role][i] {
			out = append(out, buffer{model[s.Offset*m.worlds : (s.Offset+s.Len)*m.worlds], m.worlds})
		} else {
			out = append(out, buffer{make([]uint64, s.Len*m.worlds), m.worlds})
		}
	}
	return out
}

// stage runs a stage block by block, as an engine does.
func (m *machine) stage(role int, ph plan.Phase, r int, st *stage, before []map[int]buffer) {
	rounds := m.p.Programs[role].Rounds(ph)
	slots := m.slots[role]
	if st.whole {
		m.step(role, &rounds[r].Steps[st.lo], 0, 0)
		return
	}
	for _, i := range st.pack {
		m.wire[role][i] = buffer{make([]uint64, rounds[r].Opens[i].Len*m.worlds), m.worlds}
	}
	for lo := 0; lo < st.n; lo += m.block {
		hi := min(st.n, lo+m.block)
		for _, i := range st.unpack {
			m.unpack(role, ph, r-1, i, lo, hi, before)
		}
		for i := st.lo; i < st.hi; i++ {
			m.step(role, &rounds[r].Steps[i], lo, hi)
		}
		for _, i := range st.pack {
			o := &rounds[r].Opens[i]
			for e := lo; e < hi; e++ {
				to := m.wire[role][i].at(e)
				for w, x := range slots[o.Src].at(e) {
					to[w] = x & low(int64(o.Bits))
				}
			}
		}
	}
}

// message returns which opening of a role's round arrives at another's opening i.
func (m *machine) message(from, to int, ph plan.Phase, r, i int) int {
	k := 0
	opens := m.p.Programs[to].Rounds(ph)[r].Opens
	for j := range i {
		if slices.Contains(opens[j].From, from) && slices.Contains(opens[j].To, to) {
			k++
		}
	}
	for j := range m.p.Programs[from].Rounds(ph)[r].Opens {
		if x := &m.p.Programs[from].Rounds(ph)[r].Opens[j]; slices.Contains(x.From, from) && slices.Contains(x.To, to) {
			if k == 0 {
				return j
			}
			k--
		}
	}
	panic(unsupported("roles disagree on a message"))
}

// unpack combines elements of what the peers sent with the own share.
func (m *machine) unpack(role int, ph plan.Phase, r, i, lo, hi int, before []map[int]buffer) {
	slots := m.slots[role]
	o := &m.p.Programs[role].Rounds(ph)[r].Opens[i]
	mask := low(int64(o.Bits))
	var parts []buffer
	for _, from := range o.From {
		if from == role {
			parts = append(parts, slots[o.Src])
			continue
		}
		b, ok := before[from][m.message(from, role, ph, r, i)]
		if !ok {
			panic(unsupported("a message that is not sent"))
		}
		parts = append(parts, b)
	}
	for e := lo; e < hi; e++ {
		sum := make([]uint64, m.worlds)
		for _, b := range parts {
			for w, x := range b.at(e) {
				if o.Mode == plan.Xor {
					sum[w] ^= x
				} else {
					sum[w] += x
				}
			}
		}
		to := slots[o.Dst].at(e)
		for w := range sum {
			to[w] = sum[w] & mask
		}
		if o.Kind == plan.Reveal {
			m.output(role, o, e, to)
		}
	}
}

// output records an element of an output at a receiver.
func (m *machine) output(role int, o *plan.Open, e int, words []uint64) {
	for _, t := range m.p.Manifest.Outputs {
		if t.Item != o.Item-1 {
			continue
		}
		name := t.Name + "\x00" + m.p.Programs[role].Role
		if m.session > 0 {
			name += "\x00again"
		}
		res := m.outputs[name]
		if res == nil {
			res = &result{words: make([][]uint64, m.worlds), told: m.corrupt[role] && slices.Contains(t.To, m.p.Programs[role].Role)}
			for w := range res.words {
				res.words[w] = make([]uint64, o.Len)
			}
			m.outputs[name] = res
		}
		for w, x := range words {
			res.words[w][e] = x
		}
	}
}

// look adds to the coalition's view what it receives in a round.
func (m *machine) look(ph plan.Phase, r int) {
	for from := range m.p.Programs {
		if m.post != nil {
			opens := m.p.Programs[from].Rounds(ph)[r].Opens
			for i := range opens {
				if b, ok := m.wire[from][i]; ok {
					m.post(ph, r, from, i, b)
				}
			}
		}
		if from < m.n && m.corrupt[from] {
			continue
		}
		opens := m.p.Programs[from].Rounds(ph)[r].Opens
		for i := range opens {
			o := &opens[i]
			if !slices.Contains(o.From, from) || !slices.ContainsFunc(o.To, func(to int) bool { return to < m.n && to != from && m.corrupt[to] }) {
				continue
			}
			m.receive(o, m.wire[from][i])
		}
	}
}

// receive adds a message to the coalition's view.
func (m *machine) receive(o *plan.Open, b buffer) {
	for e := range o.Len {
		words := b.at(e)
		for w, x := range words {
			m.all[w] = mix(m.all[w] ^ x)
			if o.Kind != plan.Reveal {
				m.seen[w] = mix(m.seen[w] ^ x)
			}
		}
		if m.sample {
			m.view, m.reveals, m.spans = append(m.view, words), append(m.reveals, o.Kind == plan.Reveal), append(m.spans, o.Bits)
		}
	}
	if o.Kind != plan.Correction {
		return
	}
	for e, c := range m.sent[o.Item-1] {
		for _, x := range b.at(e) {
			if x != c {
				m.loose[o.Item-1] = true
			}
		}
	}
	delete(m.sent, o.Item-1)
}

// step runs elements lo..hi-1 of an elementwise step, or all of another.
func (m *machine) step(role int, s *plan.Step, lo, hi int) {
	slots := m.slots[role]
	d := slots[s.Dst]
	switch s.Op {
	case plan.StepDPF, plan.StepDCF:
		m.evaluate(role, s)
		return
	case plan.StepDPFKey, plan.StepDCFKey:
		m.makeKeys(s)
		return
	}
	if !s.Op.Elementwise() {
		b := buffer{}
		if len(s.Src) > 1 {
			b = slots[s.Src[1]]
		}
		if len(d.words) > 0 {
			whole(s, d, slots[s.Src[0]], b)
		}
		return
	}
	var src [8][]uint64
	for e := lo; e < hi; e++ {
		to := d.at(e)
		switch s.Op {
		case plan.StepInput:
			in := m.inputs
			if m.session > 0 {
				in = m.later
			}
			if index := int(s.Args[0]); index < len(m.p.Manifest.Inputs) && m.p.Manifest.Inputs[index].Shares {
				m.given(to, role, index, e, in[index][e])
				continue
			}
			for w := range to {
				to[w] = in[s.Args[0]][e]
			}
		case plan.StepConst:
			for w := range to {
				to[w] = s.Data[min(e, len(s.Data)-1)]
			}
		case plan.StepPRG:
			copy(to, m.draw(m.site(role, int(s.Args[0]), e)))
		case plan.StepPRGSum:
			m.prgSum(to, int(s.Args[0]), e)
		case plan.StepDeal:
			m.deal(to, slots[s.Src[0]].at(e), int(s.Args[0]), e)
		default:
			operands := src[:0]
			for _, x := range s.Src {
				operands = append(operands, slots[x].at(e))
			}
			if s.Op == plan.StepDrop && role < m.n && m.corrupt[role] {
				for w, x := range operands[0] {
					m.dropped[w] = mix(m.dropped[w] ^ (x+uint64(s.Args[2]))&low(s.Args[0])&low(s.Args[1]))
				}
			}
			elementwise(s, to, operands)
		}
	}
}

// prgSum computes one element of a random item as the dealer knows it.
func (m *machine) prgSum(d []uint64, item, e int) {
	it := m.p.Items[item]
	clear(d)
	for i := range m.n {
		if it.Holder != 0 && it.Holder != i+1 {
			continue
		}
		for w, x := range m.draw(m.site(i, item, e)) {
			if it.Mode == plan.Xor {
				d[w] ^= x
			} else {
				d[w] = (d[w] + x) & low(int64(it.Bits))
			}
		}
	}
}

func unknown(s *plan.Step) {
	name := fmt.Sprint(s.Op)
	if row := plan.Steps[s.Op]; row != nil {
		name = row.Name
	}
	panic(unsupported("step " + name))
}
