package verify

import (
	"slices"

	"smpcc/backend/plan"
)

// A memory is the slab of one role and scope: which write each word holds. Slots share words when their lives do not
// overlap, so a slot holds a value only until another slot's write touches any of its words.
type memory struct {
	cuts []int // boundaries of slots, ascending
	tree []int // segment tree over the pieces between cuts: the write that all of a node holds, or mixed
}

const mixed = -1

// newMemory returns the memory for the slots of one scope; nothing is written yet, which is write 0.
func newMemory(slots []plan.Slot, scope plan.Scope) *memory {
	m := &memory{}
	for _, s := range slots {
		if s.Scope == scope && s.Len > 0 {
			m.cuts = append(m.cuts, s.Offset, s.Offset+s.Len)
		}
	}
	slices.Sort(m.cuts)
	m.cuts = slices.Compact(m.cuts)
	size := 1
	for size < len(m.cuts) {
		size *= 2
	}
	m.tree = make([]int, 2*size)
	return m
}

// pieces returns the range of pieces that a slot covers.
func (m *memory) pieces(s plan.Slot) (from, to int) {
	from, _ = slices.BinarySearch(m.cuts, s.Offset)
	to, _ = slices.BinarySearch(m.cuts, s.Offset+s.Len)
	return from, to
}

// write records a write to a slot's words.
func (m *memory) write(s plan.Slot, id int) {
	from, to := m.pieces(s)
	m.set(1, 0, len(m.tree)/2, from, to, id)
}

func (m *memory) set(node, lo, hi, from, to, id int) {
	if to <= lo || hi <= from {
		return
	}
	if from <= lo && hi <= to {
		m.tree[node] = id
		return
	}
	if m.tree[node] != mixed { // push down
		m.tree[2*node], m.tree[2*node+1] = m.tree[node], m.tree[node]
		m.tree[node] = mixed
	}
	mid := (lo + hi) / 2
	m.set(2*node, lo, mid, from, to, id)
	m.set(2*node+1, mid, hi, from, to, id)
	if a := m.tree[2*node]; a == m.tree[2*node+1] {
		m.tree[node] = a
	}
}

// read returns the write that all words of a slot hold, or mixed.
func (m *memory) read(s plan.Slot) int {
	from, to := m.pieces(s)
	id, ok := m.get(1, 0, len(m.tree)/2, from, to)
	if !ok {
		return mixed
	}
	return id
}

func (m *memory) get(node, lo, hi, from, to int) (int, bool) {
	if m.tree[node] != mixed {
		return m.tree[node], true
	}
	if hi-lo == 1 {
		return mixed, false
	}
	mid := (lo + hi) / 2
	switch {
	case to <= mid:
		return m.get(2*node, lo, mid, from, to)
	case from >= mid:
		return m.get(2*node+1, mid, hi, from, to)
	}
	a, ok := m.get(2*node, lo, mid, from, mid)
	if !ok {
		return mixed, false
	}
	b, ok := m.get(2*node+1, mid, hi, mid, to)
	return a, ok && a == b
}
