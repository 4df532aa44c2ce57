package oracle

import "smpcc/backend/plan"

// withGuests returns the items of a plan and behind them one for each input, for the shares that a guest draws of it.
func withGuests(p *plan.Plan) []plan.Item {
	out := append([]plan.Item{}, p.Items...)
	for _, t := range p.Manifest.Inputs {
		out = append(out, plan.Item{Len: t.Len(), Bits: t.Bits})
	}
	return out
}

// given computes a party's share of an element of a guest's input: drawn by the guest for all parties but the last, whose share makes up the word. What the last
// party is given it sees; the others' shares are theirs as if they had drawn them.
func (m *machine) given(to []uint64, role, input, element int, word uint64) {
	p := &m.p.Manifest.Inputs[input]
	item := len(m.p.Items) + input
	if role < m.n-1 {
		copy(to, m.draw(m.site(role, item, element)))
		return
	}
	for w := range to {
		to[w] = word
	}
	for other := range m.n - 1 {
		for w, x := range m.draw(m.site(other, item, element)) {
			if p.Elem == "bool" {
				to[w] ^= x
			} else {
				to[w] -= x
			}
		}
	}
	for w := range to {
		to[w] &= low(int64(p.Bits))
		if m.corrupt[role] {
			m.seen[w], m.all[w] = mix(m.seen[w]^to[w]), mix(m.all[w]^to[w])
		}
	}
	if m.corrupt[role] && m.sample {
		m.view, m.reveals, m.spans = append(m.view, append([]uint64{}, to...)), append(m.reveals, false), append(m.spans, p.Bits)
	}
}
