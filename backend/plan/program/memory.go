package program

import (
	"sort"

	"smpcc/backend/plan"
)

// slabAlign is the alignment of slots in words: a cache line.
const slabAlign = 8

// layout turns the collected code of a role into a program whose slots have fixed places: slots whose lifetimes do not
// overlap share memory, so that the peak is known before running. Model slots are never reused.
func (b *Builder) layout(role int) plan.Program {
	r := b.roles[role]
	p := plan.Program{Role: b.Plan.Roles()[role], Slots: make([]plan.Slot, len(r.slots))}
	type life struct{ slot, from, to int }
	lives := make([]life, len(r.slots))
	for i := range lives {
		lives[i] = life{i, -1, -1}
	}
	clock := 0
	touch := func(slot int) {
		if lives[slot].from < 0 {
			lives[slot].from = clock
		}
		lives[slot].to = clock
	}
	for ph := range r.phases {
		for round := range b.rounds[ph] {
			code := plan.Round{Steps: r.phases[ph].steps[round], Opens: r.phases[ph].opens[round]}
			for _, s := range code.Steps {
				clock++
				for _, src := range s.Src {
					touch(src)
				}
				touch(s.Dst)
			}
			clock++
			for _, o := range code.Opens { // all of one exchange are alive together
				if has(o.From, role) {
					touch(o.Src)
				}
				if has(o.To, role) {
					touch(o.Dst)
				}
			}
			switch plan.Phase(ph) {
			case plan.Setup:
				p.Setup = append(p.Setup, code)
			case plan.Offline:
				p.Offline = append(p.Offline, code)
			case plan.Online:
				p.Online = append(p.Online, code)
			}
		}
	}
	for i, s := range r.slots {
		if lives[i].from < 0 { // dropped with the steps that wrote it
			continue
		}
		p.Slots[i].Len = s.len
		if s.when.phase == plan.Setup {
			p.Slots[i].Scope = plan.Model
			p.Slots[i].Offset = p.Model
			p.Model += align(s.len)
		}
	}
	sort.SliceStable(lives, func(i, j int) bool { return lives[i].from < lives[j].from })
	free := newGaps()
	until := make([][]int, clock+1) // slots whose last use is then
	done := 0                       // what was last used before is free
	for _, l := range lives {
		s := &p.Slots[l.slot]
		if s.Scope == plan.Model || l.from < 0 {
			continue
		}
		for ; done < l.from; done++ {
			for _, slot := range until[done] {
				free.give(p.Slots[slot].Offset, align(p.Slots[slot].Len))
			}
		}
		n := align(s.Len)
		s.Offset = free.take(n)
		until[l.to] = append(until[l.to], l.slot)
		p.Words = max(p.Words, s.Offset+n)
	}
	return p
}

// align rounds up to whole cache lines.
func align(n int) int { return (n + slabAlign - 1) / slabAlign * slabAlign }

func has(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}
