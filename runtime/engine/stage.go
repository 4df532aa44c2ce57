package engine

import (
	"cmp"
	"runtime"
	"slices"
	"sync"

	"smpcc/backend/plan"
	"smpcc/runtime/ring"
)

// A stage is work of one round that is done block by block: the elements of a block are unpacked, go through all steps and
// are packed while they are in the cache. Elementwise steps form stages; any other step is one alone.
type stage struct {
	whole  bool  // one step that is not elementwise
	n      int   // elements of every slot
	unpack []int // openings of the previous round
	lo, hi int   // steps of this round
	pack   []int // openings of this round
	locals int   // number of slots that exist for a block only
}

// blockLen is the number of elements of a block: a multiple of 16, so that packed blocks begin at a byte and blocks of every
// stream at a cipher block. A handful of slots of it stay in the first two levels of cache.
const blockLen = 1024

// parallelLen is the number of elements from which a stage is worth a second goroutine.
const parallelLen = 16 * blockLen

// elementwise reports whether element i of a step's result depends on elements i of its sources only, and all have one length.
func elementwise(op plan.StepOp) bool {
	switch op {
	case plan.StepCopy, plan.StepGather, plan.StepSum, plan.StepMatMul, plan.StepConv:
		return false
	}
	return true
}

// stages cuts the rounds of a phase into stages. Slots share memory when their lifetimes do not overlap; steps go into one
// stage only if any two of their slots are the same words or none of the same, because a block of a later step is then
// written when the blocks behind it of an earlier step are still to come. Openings are unpacked before the first step of the
// next round and packed behind the last step of their own.
func (e *Engine) stages(rounds []plan.Round) [][]stage {
	out := make([][]stage, len(rounds)+1) // the last one unpacks what the last round opened
	var opened []plan.Open
	for r := range out {
		b := staging{e: e}
		for i := range opened {
			o := &opened[i]
			if has(o.To, e.role) {
				b.begin(o.Len, b.slotsOf(o, true))
				b.cur.unpack = append(b.cur.unpack, i)
			}
		}
		opened = nil
		if r < len(rounds) {
			for i := range rounds[r].Steps {
				s := &rounds[r].Steps[i]
				if !elementwise(s.Op) {
					b.end()
					b.out = append(b.out, stage{whole: true, lo: i, hi: i + 1})
					continue
				}
				b.begin(e.prog.Slots[s.Dst].Len, append([]int{s.Dst}, s.Src...))
				if b.cur.lo == b.cur.hi {
					b.cur.lo = i
				}
				b.cur.hi = i + 1
			}
			opened = rounds[r].Opens
			for i := range opened {
				o := &opened[i]
				if has(o.From, e.role) && (len(o.To) > 1 || !has(o.To, e.role)) {
					b.begin(o.Len, b.slotsOf(o, false))
					b.cur.pack = append(b.cur.pack, i)
				}
			}
		}
		b.end()
		out[r] = b.out
	}
	return out
}

// A staging is a list of stages being made: those that are complete, the current one and the slots it touches.
type staging struct {
	e     *Engine
	out   []stage
	cur   stage
	slots []plan.Slot // by place
}

func (b *staging) slotsOf(o *plan.Open, unpack bool) []int {
	var out []int
	if has(o.From, b.e.role) {
		out = append(out, o.Src)
	}
	if unpack {
		out = append(out, o.Dst)
	}
	return out
}

// begin makes the current stage one that may touch the given slots: this one, or a new one.
func (b *staging) begin(n int, slots []int) {
	if b.slots != nil && b.cur.n != n {
		b.end()
	}
	if !b.fit(slots) {
		b.end()
		b.fit(slots)
	}
	b.cur.n = n
}

// fit adds slots unless one overlaps a slot of the stage in part.
func (b *staging) fit(slots []int) bool {
	was := slices.Clone(b.slots)
	for _, i := range slots {
		s := b.e.prog.Slots[i]
		at, found := slices.BinarySearchFunc(b.slots, s, func(x, y plan.Slot) int {
			return cmp.Or(cmp.Compare(x.Scope, y.Scope), cmp.Compare(x.Offset, y.Offset))
		})
		if found {
			continue
		}
		before := at > 0 && b.slots[at-1].Scope == s.Scope && b.slots[at-1].Offset+b.slots[at-1].Len > s.Offset
		behind := at < len(b.slots) && b.slots[at].Scope == s.Scope && s.Offset+s.Len > b.slots[at].Offset
		if before || behind {
			b.slots = was
			return len(was) == 0 // one step or opening alone runs in any case: its slots live together
		}
		b.slots = slices.Insert(b.slots, at, s)
	}
	return true
}

// end completes the current stage.
func (b *staging) end() {
	if b.slots != nil {
		b.out = append(b.out, b.cur)
	}
	b.cur, b.slots = stage{}, nil
}

// A worker is the scratch of one goroutine that runs blocks.
type worker struct {
	tmp   [blockLen]uint64
	src   [16][]uint64
	local []*[blockLen]uint64
}

// localise finds the slots that live within one stage, written before they are read: a worker holds a block of them in its cache,
// and they never go through memory. Within a stage they take turns, as slots do in memory.
func (e *Engine) localise() {
	type touched struct {
		stage  *stage
		dead   int // the last access
		inside bool
	}
	slots := make([]touched, len(e.prog.Slots))
	each := func(fn func(st *stage, at, slot int, write bool)) {
		for ph := range e.phases {
			rounds := e.prog.Rounds(plan.Phase(ph))
			for r := range e.phases[ph] {
				for i := range e.phases[ph][r] {
					e.accesses(&e.phases[ph][r][i], rounds, r, fn)
				}
			}
		}
	}
	each(func(st *stage, at, slot int, write bool) {
		t := &slots[slot]
		if t.stage == nil {
			*t = touched{stage: st, inside: write && !st.whole && e.prog.Slots[slot].Scope != plan.Model}
		}
		t.inside = t.inside && t.stage == st
		t.dead = at
	})
	e.local = make([]int, len(slots))
	var cur *stage
	var busy []int // by local slot: the last access of who holds it, -1 if nobody
	each(func(st *stage, at, slot int, write bool) {
		if st != cur {
			cur, busy = st, nil
		}
		if t := &slots[slot]; !t.inside || e.local[slot] > 0 {
			return
		}
		free := -1
		for i, until := range busy {
			if until < at {
				free = i
				break
			}
		}
		if free < 0 {
			free = len(busy)
			busy = append(busy, 0)
		}
		busy[free] = slots[slot].dead
		e.local[slot] = free + 1
		st.locals = max(st.locals, free+1)
	})
}

// accesses calls fn for every access of a stage, in order: those of one opening or step have one number.
func (e *Engine) accesses(st *stage, rounds []plan.Round, r int, fn func(st *stage, at, slot int, write bool)) {
	at := 0
	for _, i := range st.unpack {
		o := &rounds[r-1].Opens[i]
		if has(o.From, e.role) {
			fn(st, at, o.Src, false)
		}
		fn(st, at, o.Dst, true)
		at++
	}
	for i := st.lo; i < st.hi; i++ {
		s := &rounds[r].Steps[i]
		for _, src := range s.Src {
			fn(st, at, src, false)
		}
		fn(st, at, s.Dst, true)
		at++
	}
	for _, i := range st.pack {
		fn(st, at, rounds[r].Opens[i].Src, false)
		at++
	}
}

// view returns elements lo..hi-1 of a slot.
func (x *execution) view(w *worker, slot, lo, hi int) []uint64 {
	if j := x.e.local[slot]; j > 0 {
		return w.local[j-1][:hi-lo]
	}
	return x.slot(slot)[lo:hi]
}

var workers = sync.Pool{New: func() any { return new(worker) }}

// A traffic is the messages of one exchange by peer, and where in them each opening is: at[opening*roles+peer].
type traffic struct {
	opens []plan.Open
	at    []int
	data  [][]byte
}

// do runs a stage: its blocks one after the other, or on all processors if there are many.
func (x *execution) do(st *stage, steps []plan.Step, in, out *traffic) {
	if st.whole {
		x.step(&steps[st.lo])
		return
	}
	blocks := (st.n + blockLen - 1) / blockLen
	parts := min(runtime.GOMAXPROCS(0), blocks)
	if st.n < parallelLen || parts < 2 {
		x.blocks(st, steps, in, out, 0, blocks)
		return
	}
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { x.blocks(st, steps, in, out, p*blocks/parts, (p+1)*blocks/parts) })
	}
	wg.Wait()
}

// blocks runs blocks from..to-1 of a stage.
func (x *execution) blocks(st *stage, steps []plan.Step, in, out *traffic, from, to int) {
	w := workers.Get().(*worker)
	defer workers.Put(w)
	for len(w.local) < st.locals {
		w.local = append(w.local, new([blockLen]uint64))
	}
	defer func() { // as the session's memory is
		n := min(st.n, blockLen)
		clear(w.tmp[:n])
		for _, l := range w.local[:st.locals] {
			clear(l[:n])
		}
	}()
	for b := from; b < to; b++ {
		lo := b * blockLen
		hi := min(lo+blockLen, st.n)
		for _, i := range st.unpack {
			x.unpack(w, in, i, lo, hi)
		}
		for i := st.lo; i < st.hi; i++ {
			x.each(w, &steps[i], lo, hi)
		}
		for _, i := range st.pack {
			x.pack(w, out, i, lo, hi)
		}
	}
}

// pack writes elements lo..hi-1 of an opening into the messages to its receivers; lo is a multiple of 8.
func (x *execution) pack(w *worker, out *traffic, i, lo, hi int) {
	o := &out.opens[i]
	roles := len(x.e.plan.Programs)
	src := x.view(w, o.Src, lo, hi)
	var packed []byte
	for _, to := range o.To {
		if to == x.e.role {
			continue
		}
		from := out.at[i*roles+to] + lo*o.Bits/8
		msg := out.data[to][from : from+plan.PackedBytes(hi-lo, o.Bits)]
		if packed == nil {
			packed = msg
			ring.Pack(msg, src, o.Bits)
		} else {
			copy(msg, packed)
		}
	}
}

// unpack combines elements lo..hi-1 of what the peers sent with the own shares.
func (x *execution) unpack(w *worker, in *traffic, i, lo, hi int) {
	o := &in.opens[i]
	roles := len(x.e.plan.Programs)
	d := x.view(w, o.Dst, lo, hi)
	var own []uint64 // the sum so far
	if has(o.From, x.e.role) {
		own = x.view(w, o.Src, lo, hi)
	}
	for _, from := range o.From {
		if from == x.e.role {
			continue
		}
		at := in.at[i*roles+from] + lo*o.Bits/8
		msg := in.data[from][at : at+plan.PackedBytes(hi-lo, o.Bits)]
		switch {
		case own == nil:
			ring.Unpack(d, msg, o.Bits)
		case o.Mode == plan.Xor:
			ring.UnpackXor(d, own, msg, o.Bits, w.tmp[:])
		default:
			ring.UnpackAdd(d, own, msg, o.Bits, w.tmp[:])
		}
		own = d
	}
	if len(o.From) == 1 && o.From[0] == x.e.role {
		ring.Bits(d, own, 0, o.Bits)
	}
	if o.Kind == plan.Reveal { // at once: a step may use the slot's memory next
		if out := x.outputs[o.Item-1]; out != nil {
			signed(out.words[lo:hi], d, out.port.Bits, out.port.Elem == "bool")
		}
	}
}
