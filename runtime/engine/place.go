package engine

import (
	"cmp"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/ring"
)

// align is the alignment of slots in words: a cache line.
const align = 8

// maxGaps is the number of free parts of memory that are known, so that placing the slots of a plan, which may be hostile, takes linear time.
const maxGaps = 1024

// An interval is a part of memory, in words.
type interval struct{ from, to int }

func byPlace(a, b interval) int { return cmp.Compare(a.from, b.from) }

// An access says when a slot is touched: the number of the stage, and the number within the stage that steps and openings have.
type access struct{ stage, at int }

// place finds where slots are kept in memory. Slots of the model are where the plan has them. Those of a session are given places of our own, as
// they take less memory than the plan knows: some live in the cache only, some are kept in fewer bytes. Steps of a stage run block by
// block, so that slots of one stage never overlap in part; but what a stage writes may take the very place of what it has read for the last time
// by then, element by element.
func (e *Engine) place() {
	e.at = make([]int, len(e.prog.Slots))
	for i, s := range e.prog.Slots {
		if s.Scope == plan.Model {
			e.at[i] = s.Offset
		}
	}
	e.kept = e.keptSlots()
	first, last := make([]access, len(e.at)), make([]access, len(e.at))
	var begins, ends [][]int // by stage: the slots that are in use from it on, and those that are up to it
	var cur *stage
	e.all(func(st *stage, at, slot int, _ bool) {
		if st != cur {
			cur, begins = st, append(begins, nil)
		}
		if e.prog.Slots[slot].Scope == plan.Model || e.local[slot] > 0 {
			return
		}
		now := access{len(begins), at} // stages count from 1 here
		if first[slot].stage == 0 {
			first[slot] = now
			begins[now.stage-1] = append(begins[now.stage-1], slot)
		}
		last[slot] = now
	})
	ends = make([][]int, len(begins))
	for i := range last {
		if n := last[i].stage; n > 0 {
			ends[n-1] = append(ends[n-1], i)
		}
	}
	m := memory{}
	e.words = 0
	for n := range begins {
		left := ends[n]
		for _, slot := range begins[n] {
			length, width := e.prog.Slots[slot].Len, e.width[slot]
			over := slices.IndexFunc(left, func(i int) bool {
				return first[i].stage < n+1 && last[i].at < first[slot].at && e.prog.Slots[i].Len == length && e.width[i] == width
			})
			if over >= 0 {
				e.at[slot] = e.at[left[over]]
				left = slices.Delete(left, over, over+1)
				continue
			}
			size := ring.NarrowLen(length, width)
			e.at[slot] = m.take(aligned(size))
			e.words = max(e.words, e.at[slot]+size)
		}
		for _, i := range left {
			m.give(e.at[i], aligned(ring.NarrowLen(e.prog.Slots[i].Len, e.width[i])))
		}
	}
}

func aligned(n int) int { return (n + align - 1) / align * align }

// keptSlots returns the parts of a model's memory that any slot is kept in.
func (e *Engine) keptSlots() []interval {
	var all []interval
	for i, s := range e.prog.Slots {
		if s.Scope == plan.Model && e.local[i] == 0 && s.Len > 0 {
			all = append(all, interval{s.Offset, s.Offset + s.Len})
		}
	}
	slices.SortFunc(all, byPlace)
	var out []interval
	for _, a := range all {
		if n := len(out); n > 0 && a.from <= out[n-1].to {
			out[n-1].to = max(out[n-1].to, a.to)
			continue
		}
		out = append(out, a)
	}
	return out
}

// A memory is given out by place, the first that fits.
type memory struct {
	top  int        // words given out so far, at most
	gaps []interval // free parts below, sorted, none next to another
}

// take returns the place of n words.
func (m *memory) take(n int) int {
	for i := range m.gaps {
		if g := &m.gaps[i]; g.to-g.from >= n {
			at := g.from
			if g.from += n; g.from == g.to {
				m.gaps = slices.Delete(m.gaps, i, i+1)
			}
			return at
		}
	}
	at := m.top
	if k := len(m.gaps) - 1; k >= 0 && m.gaps[k].to == m.top {
		at = m.gaps[k].from
		m.gaps = m.gaps[:k]
	}
	m.top = at + n
	return at
}

// give frees n words.
func (m *memory) give(at, n int) {
	if n == 0 {
		return
	}
	i, _ := slices.BinarySearchFunc(m.gaps, interval{at, at}, byPlace)
	before, behind := i > 0 && m.gaps[i-1].to == at, i < len(m.gaps) && m.gaps[i].from == at+n
	switch {
	case before && behind:
		m.gaps[i-1].to = m.gaps[i].to
		m.gaps = slices.Delete(m.gaps, i, i+1)
	case before:
		m.gaps[i-1].to += n
	case behind:
		m.gaps[i].from = at
	case len(m.gaps) < maxGaps:
		m.gaps = slices.Insert(m.gaps, i, interval{at, at + n})
	}
}
