package oracle

import (
	"slices"

	"smpcc/backend/plan"
)

// A stage is work of one round that an engine does block by block: what it unpacks of the round before, elementwise steps on as many elements, and
// what it packs. A step that is not elementwise is a stage of its own.
type stage struct {
	whole        bool
	n, lo, hi    int
	unpack, pack []int
}

// cut cuts a role's rounds of a phase into stages; the last one unpacks what the last round has opened.
func cut(p *plan.Plan, role int, ph plan.Phase) [][]stage {
	rounds := p.Programs[role].Rounds(ph)
	out := make([][]stage, len(rounds)+1)
	for r := range out {
		var list []stage
		closed := true
		begin := func(n int) *stage {
			if closed || list[len(list)-1].n != n {
				list = append(list, stage{n: n})
			}
			closed = false
			return &list[len(list)-1]
		}
		if r > 0 {
			for i, o := range rounds[r-1].Opens {
				if slices.Contains(o.To, role) {
					st := begin(o.Len)
					st.unpack = append(st.unpack, i)
				}
			}
		}
		if r < len(rounds) {
			for i := range rounds[r].Steps {
				s := &rounds[r].Steps[i]
				if !s.Op.Elementwise() {
					list, closed = append(list, stage{whole: true, lo: i, hi: i + 1}), true
					continue
				}
				st := begin(p.Programs[role].Slots[s.Dst].Len)
				if st.lo == st.hi {
					st.lo = i
				}
				st.hi = i + 1
			}
			for i, o := range rounds[r].Opens {
				if slices.Contains(o.From, role) {
					st := begin(o.Len)
					st.pack = append(st.pack, i)
				}
			}
		}
		out[r] = list
	}
	return out
}

// locals says which slots live in one stage only, written before they are read: an engine keeps them in a cache and not in memory.
func (m *machine) locals(role int) []bool {
	g := &m.p.Programs[role]
	type touch struct {
		st     *stage
		inside bool
	}
	slots := make([]touch, len(g.Slots))
	access := func(st *stage, slot int, write bool) {
		t := &slots[slot]
		if t.st == nil {
			*t = touch{st, write && !st.whole}
		}
		t.inside = t.inside && t.st == st
	}
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		rounds := g.Rounds(ph)
		for r := range m.stages[role][ph] {
			for i := range m.stages[role][ph][r] {
				st := &m.stages[role][ph][r][i]
				for _, k := range st.unpack {
					o := &rounds[r-1].Opens[k]
					if slices.Contains(o.From, role) {
						access(st, o.Src, false)
					}
					access(st, o.Dst, true)
				}
				for k := st.lo; k < st.hi; k++ {
					for _, src := range rounds[r].Steps[k].Src {
						access(st, src, false)
					}
					access(st, rounds[r].Steps[k].Dst, true)
				}
				for _, k := range st.pack {
					access(st, rounds[r].Opens[k].Src, false)
				}
			}
		}
	}
	out := make([]bool, len(slots))
	for i, t := range slots {
		out[i] = t.inside
	}
	return out
}
