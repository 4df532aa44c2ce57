package backend

import (
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

// compared returns what a comparison asks of its wire: less on all bits but the top one, or on all if it may wrap, or equality on all of them.
func compared(v *ir.Value) (kind, bits int) {
	switch n := v.Args[0].Type.Bits; v.Op {
	case ir.OpEqz:
		return plan.KindEq, n
	case ir.OpWraps:
		return plan.KindLt, n
	default:
		return plan.KindLt, n - 1
	}
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
