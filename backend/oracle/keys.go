package oracle

import "smpcc/backend/plan"

// A key is one key of a comparison: an ideal one, known by words that the dealer draws at random. Who has these words and a root of its own gets
// shares of the result that to itself are random; other words or roots give words that say nothing.
type key struct {
	dcf      bool
	bits, by int64 // by: the kind, or the ring
	words    []uint64
	roots    [2][2][]uint64 // by party: lower words, upper words, in every world
	mask     []uint64
}

func (m *machine) makeKeys(s *plan.Step) {
	slots := m.slots[m.n]
	masks, out := slots[s.Src[0]], slots[s.Dst]
	n := len(masks.words) / m.worlds
	if n == 0 {
		return
	}
	planes := len(out.words) / m.worlds / n
	for j := range n {
		k := &key{dcf: s.Op == plan.StepDCFKey, bits: s.Args[1], by: s.Args[2], mask: masks.at(j)}
		for party := range 2 {
			for h := range 2 {
				k.roots[party][h] = m.draw(m.site(party, int(s.Args[0]), h*n+j))
			}
		}
		for i := range planes {
			w := hash(m.seed, 99, uint64(len(m.keys)), uint64(i))
			k.words = append(k.words, w)
			to := out.at(i*n + j)
			for x := range to {
				to[x] = w
			}
		}
		m.keys = append(m.keys, k)
	}
}

// evaluate computes a party's shares of comparisons by keys.
func (m *machine) evaluate(role int, s *plan.Step) {
	slots := m.slots[role]
	d, points, roots, words := slots[s.Dst], slots[s.Src[0]], slots[s.Src[1]], slots[s.Src[2]]
	n := len(roots.words) / m.worlds / 2
	planes := len(words.words) / m.worlds / max(n, 1)
	for e := range len(d.words) / m.worlds {
		j := e / int(s.Args[2])
		for w := range m.worlds {
			lo, hi := roots.at(j)[w]|1, roots.at(n + j)[w]
			var read []uint64
			for i := range planes {
				read = append(read, words.at(i*n + j)[w])
			}
			point := points.at(e)[w] & low(s.Args[0])
			own := hash(append([]uint64{lo, hi, point, uint64(s.Op)}, read...)...)
			if s.Op == plan.StepDPF { // shares of bits are bits
				own &= 1
			}
			k := m.find(s, role, w, lo, hi, read)
			if k == nil {
				d.at(e)[w] = own
				continue
			}
			corrupt := 0
			if m.corrupt[1] {
				corrupt = 1
			}
			theirs := hash(append([]uint64{k.roots[corrupt][0][w] | 1, k.roots[corrupt][1][w], point, uint64(s.Op)}, read...)...)
			result := k.result(point, w)
			switch {
			case role == corrupt && k.dcf:
				d.at(e)[w] = theirs
			case role == corrupt:
				d.at(e)[w] = theirs & 1
			case k.dcf:
				d.at(e)[w] = result - theirs
			default:
				d.at(e)[w] = (result ^ theirs) & 1
			}
		}
	}
}

func (m *machine) find(s *plan.Step, role, w int, lo, hi uint64, words []uint64) *key {
	for _, k := range m.keys {
		same := k.dcf == (s.Op == plan.StepDCF) && k.bits == s.Args[0] && k.by == s.Args[1] && len(k.words) == len(words)
		for i := 0; same && i < len(words); i++ {
			same = words[i] == k.words[i]
		}
		if same && k.roots[role][0][w]|1 == lo && k.roots[role][1][w] == hi {
			return k
		}
	}
	return nil
}

// result is what the key computes at a public point in a world.
func (k *key) result(point uint64, w int) uint64 {
	mask := k.mask[w] & low(k.bits)
	switch {
	case k.dcf:
		x := int64((point-mask)<<(64-k.bits)) >> (64 - k.bits)
		return uint64(max(x, 0))
	case k.by == plan.DPFLess && point < mask, k.by == plan.DPFEqual && point == mask:
		return 1
	}
	return 0
}
