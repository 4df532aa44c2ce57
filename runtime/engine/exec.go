package engine

import (
	"runtime"
	"sync"

	"smpcc/backend/plan"
	"smpcc/runtime/dpf"
	"smpcc/runtime/material"
	"smpcc/runtime/ring"
)

// An execution is the memory a role's steps run on.
type execution struct {
	e       *Engine
	model   []uint64
	session []uint64
	streams [2][]*material.Stream // by scope, then party; nil where this role has no key
	bound   [][]uint64            // inputs, then weights; nil where this role is not the owner
	outputs map[int]*output       // what this role receives, by item
	watch   *watch                // of the phase under way; nil if nobody asked for a timeline
}

// slot returns the words in which a slot is kept.
func (x *execution) slot(i int) []uint64 {
	h := &x.e.homes[i]
	end := h.at + ring.NarrowLen(h.len, h.width)
	return x.words(h)[h.at:end:end]
}

// words returns the memory that a home is in.
func (x *execution) words(h *home) []uint64 {
	if h.scope == plan.Model {
		return x.model
	}
	return x.session
}

// step runs one local step that is not elementwise. A validated plan needs no further checks; equations stand in plan.Steps.
func (x *execution) step(s *plan.Step) {
	d := x.slot(s.Dst)
	if len(d) == 0 { // the other dimensions of nothing may be huge
		return
	}
	a := x.slot(s.Src[0])
	arg := func(i int) int { return int(s.Args[i]) }
	switch s.Op {
	case plan.StepDPF:
		roots, words := x.slot(s.Src[1]), x.slot(s.Src[2])
		tiles(len(d), func(lo, hi int) {
			dpf.Eval(d[lo:hi], a[lo:hi], roots, words, len(roots)/2, lo, arg(2), arg(0), arg(1), x.e.role == 1)
		})
	case plan.StepDPFKey:
		x.keys(a, arg(0), func(lo int, points []uint64, roots [2]dpf.Block) {
			dpf.Keys(d, len(a), lo, points, roots, arg(1), arg(2))
		})
	case plan.StepDCF:
		roots, words := x.slot(s.Src[1]), x.slot(s.Src[2])
		tiles(len(d), func(lo, hi int) {
			dpf.Relu(d[lo:hi], a[lo:hi], roots, words, len(roots)/2, lo, arg(2), arg(0), arg(1), x.e.role == 1)
		})
	case plan.StepDCFKey:
		x.keys(a, arg(0), func(lo int, masks []uint64, roots [2]dpf.Block) {
			dpf.ReluKeys(d, len(a), lo, masks, roots, arg(1), arg(2))
		})
	case plan.StepValid:
		parities(d, a, x.slot(s.Src[1]), arg(0), uint64(s.Args[1]))
	case plan.StepPack:
		pack(d, a, arg(0))
	case plan.StepCopy:
		ring.Copy(d, a, plan.CopyOf(s))
	case plan.StepGather:
		ring.Gather(d, a, arg(0), arg(1), arg(2), s.Data)
	case plan.StepSum:
		ring.Sum(d, a, arg(0), arg(1), arg(2))
	case plan.StepMatMul:
		ring.MatMulMod(x.e.wanted[s.Dst], d, a, x.slot(s.Src[1]), arg(0), arg(1), arg(2), arg(3), arg(4) != 0, arg(5) != 0)
	case plan.StepConv:
		g := windowOf(s)
		g.Packed = x.e.packed[s.Src[1]]
		ring.ConvMod(x.e.wanted[s.Dst], d, a, x.slot(s.Src[1]), g)
	}
}

func windowOf(s *plan.Step) ring.Window {
	arg := func(i int) int { return int(s.Args[i]) }
	return ring.Window{N: arg(0), C: arg(1), H: arg(2), W: arg(3), OC: arg(4), OH: arg(5), OW: arg(6),
		KH: arg(7), KW: arg(8), SH: arg(9), SW: arg(10), PT: arg(11), PL: arg(12), DH: arg(13), DW: arg(14), Group: arg(15)}
}

// each runs elements lo..hi-1 of one elementwise step, at most blockLen of them.
func (x *execution) each(w *worker, s *plan.Step, lo, hi int) {
	d := x.write(w, s.Dst, lo, hi)
	src := func(i int) []uint64 { return x.read(w, i, s.Src[i], lo, hi) }
	rest := func(from int) [][]uint64 {
		out := w.src[:0]
		for k, i := range s.Src[from:] {
			out = append(out, x.read(w, from+k, i, lo, hi))
		}
		return out
	}
	arg := func(i int) int { return int(s.Args[i]) }
	switch s.Op {
	case plan.StepInput:
		copy(d, x.bound[arg(0)][lo:hi])
	case plan.StepConst:
		if len(s.Data) == 1 {
			ring.Fill(d, s.Data[0])
		} else {
			copy(d, s.Data[lo:hi])
		}
	case plan.StepZero:
		clear(d)
	case plan.StepPRG:
		x.draw(d, arg(0), x.e.role, lo)
	case plan.StepAdd:
		ring.Add(d, src(0), src(1))
	case plan.StepSub:
		ring.Sub(d, src(0), src(1))
	case plan.StepNeg:
		ring.Neg(d, src(0))
	case plan.StepMul:
		ring.Mul(d, src(0), src(1))
	case plan.StepShl:
		ring.Shl(d, src(0), arg(0))
	case plan.StepBits:
		ring.Bits(d, src(0), arg(0), arg(1))
	case plan.StepXor:
		ring.Xor(d, src(0), src(1))
	case plan.StepAnd:
		ring.And(d, src(0), src(1))
	case plan.StepDrop:
		ring.Drop(d, src(0), arg(0), arg(1), uint64(s.Args[2]))
	case plan.StepLeaf:
		ring.Leaf(d, src(0), rest(1), arg(0), arg(1), arg(2), arg(3), arg(4))
	case plan.StepMerge:
		merge(d, src(0), src(1), rest(2), arg(0), arg(1), uint64(arg(2))&1)
	case plan.StepGroup:
		group(d, rest(0), arg(0))
	case plan.StepReluSel:
		v := rest(0)
		ring.ReluSel(d, v[0], v[1], v[2], v[3], v[4], v[5], v[6], arg(0), uint64(arg(1)))
	case plan.StepFinish:
		ring.Finish(d, src(0), src(1), src(2), arg(0), uint64(arg(1)))
	case plan.StepWireMul:
		ring.WireMul(d, rest(0), arg(0), arg(1), uint64(arg(2)))
	case plan.StepWave:
		ring.Wave(d, src(0), src(1), src(2), arg(0), arg(1), arg(2))
	case plan.StepExpo:
		ring.Expo(d, src(0), src(1), src(2), arg(0), uint64(s.Args[1]), arg(2))
	case plan.StepMulBit:
		mulBit(d, rest(0), uint64(arg(0)))
	case plan.StepB2A:
		delta, sh, first := src(0), src(1), uint64(arg(0))
		for i := range d {
			d[i] = first*delta[i] + (1-2*delta[i])*sh[i]
		}
	case plan.StepExtend:
		m, delta, r, sh, shift, first := src(0), src(1), src(2), src(3), uint(arg(0)), uint64(arg(1))
		for i := range d {
			d[i] = first*m[i] - r[i] + (first*delta[i]+(1-2*delta[i])*sh[i])<<shift
		}
	case plan.StepPRGSum:
		x.sum(w, d, arg(0), lo)
	case plan.StepDeal:
		x.deal(w, d, src(0), arg(0), lo)
	case plan.StepOneHot:
		ring.OneHot(d, src(0), arg(0), arg(1), plan.HotWords(arg(0), arg(1), arg(2), arg(3))[arg(4)])
	case plan.StepMono:
		sets := plan.Monomials(arg(0), arg(1))
		ring.Mono(d, src(0), sets[64*arg(2):min(len(sets), 64*arg(2)+64)])
	case plan.StepPhase:
		ring.Phase(d, src(0), arg(0), arg(1), s.Args[2], s.Args[3])
	case plan.StepDecay:
		ring.Decay(d, src(0), arg(0), arg(1), uint64(s.Args[2]), uint64(s.Args[3]))
	case plan.StepUnwrap:
		n, a := arg(0), src(0)
		for i := range d {
			d[i] = a[i]
			if n < 64 {
				d[i] -= a[i] >> (n - 1) & 1 << n
			}
		}
	}
	x.written(w, s.Dst, lo, hi)
}

// draw fills d with a party's share of an item from its stream, from element lo on.
func (x *execution) draw(d []uint64, item, party, lo int) {
	it := &x.e.plan.Items[item]
	x.streams[it.Scope][party].Fill(d, it.Offset+int64(lo*it.Width()), it.Width(), it.Bits)
}

// sum computes a random item as the dealer knows it: the sum or XOR of its holders' shares.
func (x *execution) sum(w *worker, d []uint64, item, lo int) {
	it := &x.e.plan.Items[item]
	clear(d)
	t := w.tmp[:len(d)]
	for party := range x.e.plan.NumParties() {
		if it.Holder != 0 && it.Holder != party+1 {
			continue
		}
		x.draw(t, item, party, lo)
		if it.Mode == plan.Xor {
			ring.Xor(d, d, t)
		} else {
			ring.Add(d, d, t)
		}
	}
	ring.Bits(d, d, 0, it.Bits)
}

// deal computes the last party's share of a dealt item: the value less what the others draw.
func (x *execution) deal(w *worker, d, value []uint64, item, lo int) {
	it := &x.e.plan.Items[item]
	copy(d, value)
	t := w.tmp[:len(d)]
	for party := range x.e.plan.NumParties() - 1 {
		x.draw(t, item, party, lo)
		if it.Mode == plan.Xor {
			ring.Xor(d, d, t)
		} else {
			ring.Sub(d, d, t)
		}
	}
	ring.Bits(d, d, 0, it.Bits)
}

// parallelKeys is the number of keys from which they are worth a second goroutine.
const parallelKeys = 4 * dpf.Tile

// tiles calls fn for each tile of n keys, on all processors if there are many.
func tiles(n int, fn func(lo, hi int)) {
	parts := 1
	if n >= parallelKeys {
		parts = min(runtime.GOMAXPROCS(0), n/dpf.Tile)
	}
	run := func(p int) {
		whole := (n + dpf.Tile - 1) / dpf.Tile
		for t := p * whole / parts; t < (p+1)*whole/parts; t++ {
			fn(t*dpf.Tile, min(n, (t+1)*dpf.Tile))
		}
	}
	if parts == 1 {
		run(0)
		return
	}
	var wg sync.WaitGroup
	for p := range parts {
		wg.Go(func() { run(p) })
	}
	wg.Wait()
}

// keys calls make for each tile of secret points, with the roots of their keys: the parties' shares of an item.
func (x *execution) keys(points []uint64, item int, make func(lo int, points []uint64, roots [2]dpf.Block)) {
	n := len(points)
	tiles(n, func(lo, hi int) {
		w := workers.Get().(*worker)
		defer workers.Put(w)
		for len(w.in) < 4 {
			w.in = append(w.in, new([blockLen]uint64))
		}
		var roots [2]dpf.Block
		for party := range roots {
			for k := range roots[party] {
				b := w.in[2*party+k][:hi-lo]
				x.draw(b, item, party, k*n+lo)
				roots[party][k] = b
			}
		}
		make(lo, points[lo:hi], roots)
		for i := range 4 {
			clear(w.in[i][:hi-lo])
		}
	})
}

// mulBit: sources m, delta, [s], [r], [sr].
func mulBit(d []uint64, v [][]uint64, first uint64) {
	m, delta, s := v[0], v[1], v[2]
	for i := range d {
		k := 1 - 2*delta[i]
		d[i] = m[i]*(first*delta[i]+k*s[i]) - (delta[i]*v[3][i] + k*v[4][i])
	}
}
