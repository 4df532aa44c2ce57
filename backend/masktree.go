package backend

import (
	"fmt"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// The ways to cut a mask into chunks. Six chunks of 4 bits or fewer merge in one level. Wider masks either go through two
// levels of 4-bit chunks, one round more, or through one level of up to seven chunks of 6 or 7 bits, whose one-hots are four
// to five times the material. Material is made before the inputs are there and a round is not, so the wide chunks serve as
// long as they stay small.
const (
	narrowChunk = 4
	singleGroup = 6       // 4-bit chunks merged in one level
	groupSize   = 4       // 4-bit chunks of a group when there are two levels
	wideLimit   = 1 << 20 // bytes of wide one-hots for one comparison of a tensor
)

// chunking returns the bits of a chunk for comparing n elements of the given bits.
func chunking(bits, n int) int {
	if bits <= narrowChunk*singleGroup {
		return narrowChunk
	}
	for _, c := range []int{6, 7} {
		if k := (bits + c - 1) / c; k <= plan.MaxGroup {
			size := 0
			for _, w := range plan.HotWords(bits, c, 0, k) {
				size += w.Bits / 8
			}
			if size*n <= wideLimit {
				return c
			}
		}
	}
	return narrowChunk
}

// compared returns what a comparison asks of its wire: less on all bits but the top one, or equality on all of them.
func compared(v *ir.Value) (kind, bits int) {
	if n := v.Args[0].Type.Bits; v.Op == ir.OpEqz {
		return plan.KindEq, n
	} else {
		return plan.KindLt, n - 1
	}
}

// compare computes XOR shares of the sign bit (ltz) or of equality with zero (eqz) of a masked wire x = m - r mod 2^N:
// MSB(x) = top(m) XOR top(r) XOR [low(m) < low(r)]. Rounds: none by
// distributed point functions (see Select), else 1, or 2 for many elements wider than 24 bits. (MaskTree: leaves of CrypTFlow2, one-time tables of
// TinyTable, products of ABY2.0.)
func (l *lowerer) compare(v *ir.Value) *wire {
	x := v.Args[0]
	w, N, n := l.wires[x], x.Type.Bits, size(v)
	kind, bits := compared(v)
	out := &wire{s: make([]int, l.parties)}
	for i := range out.s {
		out.s[i] = zero
	}
	switch {
	case bits > 0 && byDPF(v):
		out.s = l.pointFunction(v, w, kind, bits, n)
	case bits > 0:
		out.s = l.tree(v, w, kind, bits, n)
	}
	if v.Op == ir.OpEqz {
		return out
	}
	top := []int64{int64(N - 1), 1}
	rtop := l.once(memoKey{"top", x, 0}, func() []int {
		return l.deal(plan.Xor, n, 1, l.op(l.dealer, plan.StepBits, n, top, w.k), "top bit of mask")
	})
	for i := range l.parties {
		out.s[i] = l.xor(i, out.s[i], rtop[i])
	}
	out.s[0] = l.xor(0, out.s[0], l.op(0, plan.StepBits, n, top, w.m[0]))
	return out
}

// A group is chunks that are merged at once: k of them from chunk from on, to the results that kind says.
type group struct{ from, k, kind int }

// grouping cuts the chunks of a comparison of n elements of the given bits into groups.
func grouping(kind, bits, n int) (chunk int, groups []group) {
	chunk = chunking(bits, n)
	chunks := (bits + chunk - 1) / chunk
	count := 1
	if chunk == narrowChunk && chunks > singleGroup {
		count = (chunks + groupSize - 1) / groupSize
	}
	from := 0
	for g := range count {
		k := (chunks - from) / (count - g) // as even as possible, later groups are the larger ones
		gk := plan.KindBoth
		if kind == plan.KindEq || g == count-1 {
			gk = kind
		}
		groups = append(groups, group{from, k, gk})
		from += k
	}
	return chunk, groups
}

// tree compares the lowest bits of m and r: leaves per group of chunks, merged in one or two levels.
func (l *lowerer) tree(v *ir.Value, w *wire, kind, bits, n int) []int {
	chunk, groups := grouping(kind, bits, n)
	var results [][]int // by group, then party
	for _, g := range groups {
		leaf := l.leaves(v, w, bits, chunk, g.from, g.k, g.kind, n)
		results = append(results, l.merge(leaf, g.k, g.kind, n))
	}
	res := results[0]
	if len(groups) > 1 {
		word := make([]int, l.parties)
		for i := range l.parties {
			var src []int
			for _, r := range results {
				src = append(src, r[i])
			}
			word[i] = l.op(i, plan.StepGroup, n, []int64{int64(kind)}, src...)
		}
		res = l.merge(word, len(groups), kind, n)
	}
	if kind == plan.KindEq { // the result is bit 1 of a merge
		for i := range res {
			res[i] = l.op(i, plan.StepBits, n, []int64{1, 1}, res[i])
		}
	}
	return res
}

// leaves computes XOR shares of the chunk comparisons from..from+k-1 of m against one-hots of r's chunks. One-hots of one
// wire serve every comparison of it.
func (l *lowerer) leaves(v *ir.Value, w *wire, bits, chunk, from, k, kind, n int) []int {
	x := v.Args[0]
	var words [][]int
	for i, hot := range plan.HotWords(bits, chunk, from, k) {
		args := []int64{int64(bits), int64(chunk), int64(from), int64(k), int64(i)}
		key := memoKey{fmt.Sprintf("one-hot of %d/%d at %d+%d", bits, chunk, hot.First, hot.Base), x, hot.Count}
		words = append(words, l.once(key, func() []int {
			return l.deal(plan.Xor, n, hot.Bits, l.op(l.dealer, plan.StepOneHot, n, args, w.k), "one-hot of mask chunks")
		}))
	}
	out := make([]int, l.parties)
	for i := range l.parties {
		src := []int{w.m[i]}
		for _, word := range words {
			src = append(src, word[i])
		}
		out[i] = l.op(i, plan.StepLeaf, n, []int64{int64(bits), int64(chunk), int64(from), int64(k), int64(kind)}, src...)
	}
	return out
}

// merge opens D = bits XOR a with fresh masks a and expands the products: one opening of Vars(k, kind) bits.
func (l *lowerer) merge(leaf []int, k, kind, n int) []int {
	nb := plan.Vars(k, kind)
	a := l.random(plan.Session, plan.Xor, n, nb, -1, "masks of comparison bits")
	src := map[int]int{}
	for i := range l.parties {
		src[i] = l.xor(i, leaf[i], a.s[i])
	}
	d := l.open(plan.Open{Mode: plan.Xor, Len: n, Bits: nb, From: l.everyone(), To: l.everyone(), Item: a.item + 1, Kind: plan.OpenBits}, src)
	var monos [][]int
	for word := range plan.MonoWords(k, kind) {
		val := l.op(l.dealer, plan.StepMono, n, []int64{int64(k), int64(kind), int64(word)}, a.s[l.dealer])
		monos = append(monos, l.deal(plan.Xor, n, plan.MonoBits(k, kind, word), val, "products of comparison masks"))
	}
	out := make([]int, l.parties)
	for i := range l.parties {
		args := []int{d[i], a.s[i]}
		for _, m := range monos {
			args = append(args, m[i])
		}
		out[i] = l.op(i, plan.StepMerge, n, []int64{int64(k), int64(kind), first(i)}, args...)
	}
	return out
}
