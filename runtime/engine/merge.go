package engine

import (
	"math/bits"
	"sync"

	"smpcc/backend/plan"
)

// A mergeRow is the public part of a merge for one opened word D: which mask bits and which products of masks are summed
// for the result, and its constant. The result is XOR_t prod_(v in t) (D_v XOR a_v) over the terms t, multiplied out: the
// product over a subset S of masks counts if D covers the rest of the term.
type mergeRow struct {
	one   uint64    // the constant, 0 or 1; party 0 adds it
	masks uint64    // over the bits of a
	prods [3]uint64 // over the words of products
}

// A mergeTable holds the rows of lt and of eq by D.
type mergeTable struct {
	words  int
	lt, eq []mergeRow
}

var mergeTables struct {
	sync.Mutex
	made map[[2]int]*mergeTable
}

// tableFor returns the merge table of groups of k chunks, building it once: 2^Vars(k, kind) rows, at most 320 KiB.
func tableFor(k, kind int) *mergeTable {
	mergeTables.Lock()
	defer mergeTables.Unlock()
	if t := mergeTables.made[[2]int{k, kind}]; t != nil {
		return t
	}
	index := map[uint16]int{}
	for i, s := range plan.Monomials(k, kind) {
		index[s] = i
	}
	rows := func(terms []uint16) []mergeRow {
		if terms == nil {
			return nil
		}
		out := make([]mergeRow, 1<<plan.Vars(k, kind))
		for d := range out {
			r := &out[d]
			for _, t := range terms {
				base, free := t&^uint16(d), t&uint16(d)
				for sub := free; ; sub = (sub - 1) & free {
					switch s := base | sub; bits.OnesCount16(s) {
					case 0:
						r.one ^= 1
					case 1:
						r.masks ^= uint64(s)
					default:
						i := index[s]
						r.prods[i/64] ^= 1 << (i % 64)
					}
					if sub == 0 {
						break
					}
				}
			}
		}
		return out
	}
	lt, eq := plan.Terms(k, kind)
	t := &mergeTable{words: plan.MonoWords(k, kind), lt: rows(lt), eq: rows(eq)}
	if mergeTables.made == nil {
		mergeTables.made = map[[2]int]*mergeTable{}
	}
	mergeTables.made[[2]int{k, kind}] = t
	return t
}

// share returns a party's share of a row's result.
func (r *mergeRow) share(first, a uint64, prods [3]uint64) uint64 {
	p := bits.OnesCount64(a&r.masks ^ prods[0]&r.prods[0] ^ prods[1]&r.prods[1] ^ prods[2]&r.prods[2]) // parity of the sum is the sum of parities
	return (uint64(p) ^ first&r.one) & 1
}

// merge computes d bit 0 = share of lt, bit 1 = share of eq from D, the shares a of its masks and the shares of products.
func merge(d, open, a []uint64, prods [][]uint64, k, kind int, first uint64) {
	t := tableFor(k, kind)
	mask := uint64(1)<<plan.Vars(k, kind) - 1
	for i := range d {
		var p [3]uint64
		for w := range prods {
			p[w] = prods[w][i]
		}
		row := open[i] & mask
		var x uint64
		if t.lt != nil {
			x = t.lt[row].share(first, a[i], p)
		}
		if t.eq != nil {
			x |= t.eq[row].share(first, a[i], p) << 1
		}
		d[i] = x
	}
}

// group gathers merge results of groups, most significant first, into the bits a leaf of that kind would hold.
func group(d []uint64, src [][]uint64, kind int) {
	k := len(src)
	eqs, at := k, k
	switch kind {
	case plan.KindLt:
		eqs = k - 1
	case plan.KindEq:
		at = 0
	}
	for i := range d {
		var x uint64
		for j := range src {
			if kind != plan.KindEq {
				x |= (src[j][i] & 1) << j
			}
			if j < eqs {
				x |= (src[j][i] >> 1 & 1) << (at + j)
			}
		}
		d[i] = x
	}
}

// lowBits returns 2^n - 1.
func lowBits(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}
