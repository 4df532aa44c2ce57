package engine

import (
	"math/bits"
	"sync"

	"smpcc/backend/plan"
	"smpcc/runtime/ring"
)

// A mergeTable holds the tables of lt and of eq, nil where a kind has none. The result is XOR_t prod_(v in t) (D_v XOR a_v) over
// the terms t, multiplied out: the product over a subset S of masks counts if D covers the rest of the term.
type mergeTable struct{ lt, eq ring.MergeTable }

var mergeTables struct {
	sync.Mutex
	made map[[2]int]*mergeTable
}

// tableFor returns the merge table of groups of k chunks, building it once: 2^Vars(k, kind) rows, at most 512 KiB.
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
	rows := func(terms []uint16) ring.MergeTable {
		if terms == nil {
			return nil
		}
		out := make(ring.MergeTable, 4<<plan.Vars(k, kind))
		for d := range out.Rows() {
			r := out[4*d : 4*d+4]
			for _, t := range terms {
				base, free := t&^uint16(d), t&uint16(d)
				for sub := free; ; sub = (sub - 1) & free {
					switch s := base | sub; bits.OnesCount16(s) {
					case 0:
						r[0] ^= 1 << 63
					case 1:
						r[0] ^= uint64(s)
					default:
						i := index[s]
						r[1+i/64] ^= 1 << (i % 64)
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
	t := &mergeTable{lt: rows(lt), eq: rows(eq)}
	if mergeTables.made == nil {
		mergeTables.made = map[[2]int]*mergeTable{}
	}
	mergeTables.made[[2]int{k, kind}] = t
	return t
}

// merge computes d bit 0 = share of lt, bit 1 = share of eq from D, the shares a of its masks and the shares of products.
func merge(d, open, a []uint64, prods [][]uint64, k, kind int, first uint64) {
	t := tableFor(k, kind)
	if t.lt != nil {
		ring.Merge(d, open, a, prods, t.lt, first, 0, false)
	}
	if t.eq != nil {
		ring.Merge(d, open, a, prods, t.eq, first, 1, t.lt != nil)
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
