package engine

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/ring"
	"smpcc/runtime/timeline"
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
// stream at a cipher block. The slots that a stage has of it at once stay in the first two levels of cache.
const blockLen = 1024

// parallelLen is the number of elements from which a stage is worth a second goroutine.
const parallelLen = 1 << 14

// maxWork is the number of steps and openings of a stage, so that plotting a plan, which may be hostile, takes linear time.
const maxWork = 256

func elementwise(op plan.StepOp) bool { return op.Elementwise() }

// plot cuts the program into stages and says where its slots are kept. Long stages need fewer passes over memory, but more slots at once: they
// are made shorter if a session would take more words than the plan says. It fails for a plan that cannot do with about as many.
func (e *Engine) plot() error {
	e.width = e.narrow()
	for work := maxWork; ; work /= 2 {
		for ph := range e.phases {
			e.phases[ph] = e.stages(e.prog.Rounds(plan.Phase(ph)), work)
		}
		e.localise()
		e.place()
		if e.words <= e.prog.Words || work == 1 {
			break
		}
	}
	e.homes = make([]home, len(e.at))
	for i, s := range e.prog.Slots {
		e.homes[i] = home{local: e.local[i], width: e.width[i], at: e.at[i], len: s.Len, scope: s.Scope}
	}
	if e.words > 2*e.prog.Words+align*len(e.prog.Slots) {
		return fmt.Errorf("slots of %s that are in use at once take %d words, the plan says %d; compile it again, or ask where it comes from", e.prog.Role, e.words, e.prog.Words)
	}
	return nil
}

// stages cuts the rounds of a phase into stages of at most work steps and openings. Openings are unpacked before the first step of the
// next round and packed behind the last step of their own.
func (e *Engine) stages(rounds []plan.Round, work int) [][]stage {
	out := make([][]stage, len(rounds)+1) // the last one unpacks what the last round opened
	var opened []plan.Open
	for r := range out {
		b := staging{work: work}
		for i := range opened {
			if o := &opened[i]; has(o.To, e.role) {
				b.begin(o.Len)
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
				b.begin(e.prog.Slots[s.Dst].Len)
				if b.cur.lo == b.cur.hi {
					b.cur.lo = i
				}
				b.cur.hi = i + 1
			}
			opened = rounds[r].Opens
			for i := range opened {
				o := &opened[i]
				if has(o.From, e.role) && (len(o.To) > 1 || !has(o.To, e.role)) {
					b.begin(o.Len)
					b.cur.pack = append(b.cur.pack, i)
				}
			}
		}
		b.end()
		out[r] = b.out
	}
	return out
}

// A staging is a list of stages being made: those that are complete and the current one.
type staging struct {
	work int
	out  []stage
	cur  stage
	open bool // there is a current stage
}

// begin makes the current stage one of n elements that has room: this one, or a new one.
func (b *staging) begin(n int) {
	full := b.cur.hi-b.cur.lo+len(b.cur.unpack)+len(b.cur.pack) >= b.work
	if b.open && (b.cur.n != n || full) {
		b.end()
	}
	b.cur.n, b.open = n, true
}

// end completes the current stage.
func (b *staging) end() {
	if b.open {
		b.out = append(b.out, b.cur)
	}
	b.cur, b.open = stage{}, false
}

// A home is where a slot is kept, as blocks are read and written.
type home struct {
	local, width, at, len int
	scope                 plan.Scope
}

// A worker is the scratch of one goroutine that runs blocks.
type worker struct {
	thread string
	tmp    [blockLen]uint64
	src    [16][]uint64
	local  []*[blockLen]uint64 // slots that live within the stage
	in     []*[blockLen]uint64 // what is read from slots kept in fewer bytes
	out    [blockLen]uint64    // what is written to one
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
	e.all(func(st *stage, at, slot int, write bool) {
		t := &slots[slot]
		if t.stage == nil {
			*t = touched{stage: st, inside: write && !st.whole}
		}
		t.inside = t.inside && t.stage == st
		t.dead = at
	})
	e.local = make([]int, len(slots))
	var cur *stage
	var busy []int // by local slot: the last access of who holds it, -1 if nobody
	e.all(func(st *stage, at, slot int, write bool) {
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

// all calls fn for every access of every stage, in order.
func (e *Engine) all(fn func(st *stage, at, slot int, write bool)) {
	for ph := range e.phases {
		rounds := e.prog.Rounds(plan.Phase(ph))
		for r := range e.phases[ph] {
			for i := range e.phases[ph][r] {
				e.accesses(&e.phases[ph][r][i], rounds, r, fn)
			}
		}
	}
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

// narrow returns the bytes in which each element of a slot is kept in memory: 8, or fewer for large slots of which few bits matter, such as
// material and opened bits. What limits steps on large tensors is memory, not computing. Bits do not matter if everything written is below
// 2^bits, or if nothing depends on those above. Steps that are not elementwise take words.
func (e *Engine) narrow() []int {
	out, written := make([]int, len(e.prog.Slots)), make([]int, len(e.prog.Slots))
	for i, s := range e.prog.Slots {
		if s.Scope == plan.Model || s.Len < parallelLen {
			out[i] = 8
		}
	}
	write := func(i, bits int) { written[i] = max(written[i], bits) }
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for _, r := range e.prog.Rounds(ph) {
			for i := range r.Steps {
				s := &r.Steps[i]
				write(s.Dst, e.bits(s))
				if !elementwise(s.Op) {
					out[s.Dst] = 8
					for _, src := range s.Src {
						out[src] = 8
					}
				}
			}
			for i := range r.Opens {
				if o := &r.Opens[i]; has(o.To, e.role) {
					write(o.Dst, o.Bits)
				}
			}
		}
	}
	for i := range out {
		if out[i] == 0 {
			out[i] = max(1, (min(written[i], e.wanted[i])+7)/8)
		}
	}
	return out
}

// bits returns a bound on the bits of what a step writes.
func (e *Engine) bits(s *plan.Step) int {
	arg := func(i int) int { return int(s.Args[i]) }
	switch s.Op {
	case plan.StepZero:
		return 1
	case plan.StepConst:
		var or uint64
		for _, w := range s.Data {
			or |= w
		}
		return bits.Len64(or)
	case plan.StepPRG, plan.StepPRGSum, plan.StepDeal:
		return e.plan.Items[arg(0)].Bits
	case plan.StepBits:
		return arg(1)
	case plan.StepDrop:
		return arg(0) - arg(1)
	case plan.StepLeaf:
		return 2 * arg(3)
	case plan.StepMerge:
		return 2
	case plan.StepGroup:
		return 2 * len(s.Src)
	case plan.StepMono:
		return plan.MonoBits(arg(0), arg(1), arg(2))
	case plan.StepOneHot:
		return plan.HotWords(arg(0), arg(1), arg(2), arg(3))[arg(4)].Bits
	}
	return 64
}

// memory returns the words that keep elements lo..hi-1 of a slot, and has the next block of it fetched.
func (x *execution) memory(h *home, lo, hi int) []uint64 {
	m := x.words(h)
	from, to := h.at+lo*h.width/8, h.at+ring.NarrowLen(hi, h.width) // blocks begin at a word
	if next := min(hi+blockLen, h.len); next > hi {
		ring.Prefetch(m[to : h.at+ring.NarrowLen(next, h.width)])
	}
	return m[from:to]
}

// read returns elements lo..hi-1 of a slot, the k-th that is read.
func (x *execution) read(w *worker, k, slot, lo, hi int) []uint64 {
	h := &x.e.homes[slot]
	if h.local > 0 {
		return w.local[h.local-1][:hi-lo]
	}
	m := x.memory(h, lo, hi)
	if h.width == 8 {
		return m
	}
	for len(w.in) <= k {
		w.in = append(w.in, new([blockLen]uint64))
	}
	d := w.in[k][:hi-lo]
	ring.Widen(d, m, h.width)
	return d
}

// write returns where elements lo..hi-1 of a slot go; written must be called when they are there.
func (x *execution) write(w *worker, slot, lo, hi int) []uint64 {
	switch h := &x.e.homes[slot]; {
	case h.local > 0:
		return w.local[h.local-1][:hi-lo]
	case h.width < 8:
		return w.out[:hi-lo]
	default:
		return x.memory(h, lo, hi)
	}
}

// written completes a write.
func (x *execution) written(w *worker, slot, lo, hi int) {
	if h := &x.e.homes[slot]; h.width < 8 && h.local == 0 {
		ring.Narrow(x.memory(h, lo, hi), w.out[:hi-lo], h.width)
	}
}

var workers = sync.Pool{New: func() any { return new(worker) }}

// A traffic is the messages of one exchange by peer, and where in them each opening is: at[opening*roles+peer].
type traffic struct {
	opens []plan.Open
	round int
	at    []int
	data  [][]byte
	flow  Flow          // under way while blocks are packed and unpacked; nil where messages are exchanged whole
	began time.Duration // when the flow began, on a timeline
	sent  [][]byte      // what the flow sends by role; only its length counts
}

// runLen is the number of blocks that a goroutine takes at a time. It is small enough that blocks are packed about in their
// order, which is the order in which they are sent and awaited.
const runLen = 8

// do runs a stage: its blocks one after the other, or on all processors if there are many. It fails only where what it unpacks
// does not arrive.
func (x *execution) do(st *stage, steps []plan.Step, in, out *traffic) error {
	if x.watch != nil {
		began, info := x.watch.now(), x.watch.stage(st, steps, in, out)
		defer func() { x.watch.track.Add(began, timeline.Compute, timeline.Stage, info) }()
	}
	if st.whole {
		x.step(&steps[st.lo])
		return nil
	}
	blocks := (st.n + blockLen - 1) / blockLen
	parts := min(runtime.GOMAXPROCS(0), blocks)
	if st.n < parallelLen || parts < 2 {
		return x.blocks(st, steps, in, out, timeline.Compute, func() (int, int) {
			n := blocks
			blocks = 0
			return 0, n
		})
	}
	var next atomic.Int64
	errs := make([]error, parts)
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() {
			began := x.watch.now()
			errs[p] = x.blocks(st, steps, in, out, x.watch.worker(p), func() (int, int) {
				from := int(next.Add(runLen)) - runLen
				return from, min(blocks, from+runLen)
			})
			x.watch.part(began, p, st, steps, in, out)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// blocks runs blocks from..to-1 of a stage, as long as take returns any. thread is what a timeline calls who does it.
func (x *execution) blocks(st *stage, steps []plan.Step, in, out *traffic, thread string, take func() (from, to int)) error {
	w := workers.Get().(*worker)
	w.thread = thread
	defer workers.Put(w)
	for len(w.local) < st.locals {
		w.local = append(w.local, new([blockLen]uint64))
	}
	defer func() { // as the session's memory is
		n := min(st.n, blockLen)
		clear(w.tmp[:n])
		clear(w.out[:n])
		for _, l := range w.in {
			clear(l[:n])
		}
		for _, l := range w.local[:st.locals] {
			clear(l[:n])
		}
	}()
	for {
		from, to := take()
		if from >= to {
			return nil
		}
		for b := from; b < to; b++ {
			lo := b * blockLen
			hi := min(lo+blockLen, st.n)
			for _, i := range st.unpack {
				if err := x.unpack(w, in, i, lo, hi); err != nil {
					return err
				}
			}
			for i := st.lo; i < st.hi; i++ {
				x.each(w, &steps[i], lo, hi)
			}
			for _, i := range st.pack {
				x.pack(w, out, i, lo, hi)
			}
		}
	}
}

// pack writes elements lo..hi-1 of an opening into the messages to its receivers; lo is a multiple of 8.
func (x *execution) pack(w *worker, out *traffic, i, lo, hi int) {
	o := &out.opens[i]
	roles := len(x.e.plan.Programs)
	src := x.read(w, 0, o.Src, lo, hi)
	var packed []byte
	for _, to := range o.To {
		if to == x.e.role {
			continue
		}
		from := out.at[i*roles+to] + lo*o.Bits/8
		msg := out.data[to][from : from+plan.PackedBytes(hi-lo, o.Bits)]
		if packed == nil {
			packed = msg
			ring.PrefetchBytes(following(out.data[to], from, len(msg), out.at[i*roles+to]+o.Bytes()))
			ring.Pack(msg, src, o.Bits)
		} else {
			copy(msg, packed)
		}
	}
	if out.flow == nil {
		return
	}
	for _, to := range o.To {
		if to != x.e.role {
			from := out.at[i*roles+to] + lo*o.Bits/8
			out.flow.Ready(to, from, from+plan.PackedBytes(hi-lo, o.Bits))
		}
	}
}

// following returns the n bytes of a message behind those from a byte on, or those that there are before its end.
func following(msg []byte, from, n, end int) []byte { return msg[from+n : min(from+2*n, end)] }

// unpack combines elements lo..hi-1 of what the peers sent with the own shares. What hides something by itself, once the session has cleared its masks,
// is cleared here, while it is in the cache: corrections and keys, which are shares of material, and shares of outputs.
func (x *execution) unpack(w *worker, in *traffic, i, lo, hi int) error {
	o := &in.opens[i]
	secret := o.Kind == plan.Correction || o.Kind == plan.Keys || o.Kind == plan.Reveal
	roles := len(x.e.plan.Programs)
	if in.flow != nil {
		began := x.watch.now()
		for _, from := range o.From {
			if from != x.e.role {
				at := in.at[i*roles+from] + lo*o.Bits/8
				if err := in.flow.Await(from, at, at+plan.PackedBytes(hi-lo, o.Bits)); err != nil {
					return err
				}
			}
		}
		x.watch.wait(began, w.thread, in.round)
	}
	d := x.write(w, o.Dst, lo, hi)
	var own []uint64 // the sum so far
	if has(o.From, x.e.role) {
		own = x.read(w, 0, o.Src, lo, hi)
	}
	for _, from := range o.From {
		if from == x.e.role {
			continue
		}
		at := in.at[i*roles+from] + lo*o.Bits/8
		msg := in.data[from][at : at+plan.PackedBytes(hi-lo, o.Bits)]
		if in.flow == nil {
			ring.PrefetchBytes(following(in.data[from], at, len(msg), in.at[i*roles+from]+o.Bytes()))
		}
		switch {
		case own == nil:
			ring.Unpack(d, msg, o.Bits)
		case o.Mode == plan.Xor:
			ring.UnpackXor(d, own, msg, o.Bits, w.tmp[:])
		default:
			ring.UnpackAdd(d, own, msg, o.Bits, w.tmp[:])
		}
		own = d
		if secret {
			clear(msg)
		}
	}
	if len(o.From) == 1 && o.From[0] == x.e.role {
		ring.Bits(d, own, 0, o.Bits)
	}
	if o.Kind == plan.Reveal { // at once: a step may use the slot's memory next
		if out := x.outputs[o.Item-1]; out != nil {
			if words := out.words[lo:hi]; out.port.Elem == "bool" {
				ring.Bits(words, d, 0, 1)
			} else {
				ring.Signed(words, d, out.port.Bits)
			}
		}
	}
	if o.Kind == plan.Give { // a share, not a number
		if out := x.outputs[forGuests(o.Item-1)]; out != nil {
			copy(out.words[lo:hi], d)
		}
	}
	x.written(w, o.Dst, lo, hi)
	return nil
}
