package ring

import (
	"math/bits"

	"smpcc/backend/plan"
)

// The lanes of a word of one-hots of four chunks of 4 bits: chunk j of the word has 16 bits from bit 16*j on.
const (
	laneOnes = 0x0001000100010001
	perWord  = 4
)

// control returns the shifts that bring the digits of the chunks of a word of one-hots to its lanes, as bytes: chunk first of
// all, most significant first, to lane 0 and so on.
func control(chunks, first int) uint64 {
	var c uint64
	for j := range perWord {
		c |= uint64(4*max(chunks-1-first-j, 0)) << (16 * j)
	}
	return c
}

// Leaf computes shares of lt_j = [a_j < r_j] and eq_j = [a_j = r_j] for chunks from..from+k-1 of the lowest nbits bits, chunk
// bits each, most significant first, from the public a and XOR shares of one-hots of r's chunks in the words that
// plan.HotWords lists: lt_j is the parity of the one-hot's bits above a_j, eq_j its bit a_j. Word d has lt_j in bit j and the
// eq_j behind them, as plan.StepLeaf says for kind. (CrypTFlow2, section 3.1, with one-time tables for the transfers.)
func Leaf(d, a []uint64, hots [][]uint64, nbits, chunk, from, k, kind int) {
	eqs, at := k, k // number of eq bits, and where they start
	switch kind {
	case plan.KindLt:
		eqs = k - 1
	case plan.KindEq:
		at = 0
	}
	low := lowBits(nbits)
	chunks := (nbits + chunk - 1) / chunk
	a = a[:len(d)]
	if chunk != 4 || len(hots) > 2 {
		wideLeaf(d, a, hots, nbits, chunk, from, k, kind, eqs, at)
		return
	}
	keep := lowBits(eqs) << 8 // of lt_j in bits 0..7 and eq_j in bits 8..15
	if kind != plan.KindEq {
		keep |= lowBits(k)
	}
	hot0, hot1 := hots[0][:len(d)], hots[len(hots)-1][:len(d)] // with one word the second is read for nothing
	if v := active.lanes; v != nil {
		if len(d) > 0 {
			v.leaf(&d[0], &a[0], &hot0[0], &hot1[0], len(d), low, control(chunks, from), control(chunks, from+perWord), keep, uint64(at))
		}
		return
	}
	n0 := min(k, perWord)
	down0, down1 := 4*(chunks-from-n0), 4*(chunks-from-k)
	up0, up1 := 4*(perWord-n0), 4*(2*perWord-k)
	for i := range d {
		m := a[i] & low
		x := lookUp(hot0[i], m>>down0<<up0)
		if k > perWord {
			x |= lookUp(hot1[i], m>>down1<<up1) << 4
		}
		x &= keep
		d[i] = x&0xff | x>>8<<at
	}
}

// lookUp returns in bits 0..3 the parities of the lanes of hot above four digits, the most significant for lane 0, and in bits
// 8..11 the bits at the digits. The digits are public: they index tables.
func lookUp(hot, digits uint64) uint64 {
	hi, lo := digits>>8&0xff, digits&0xff
	lt := hot & (uint64(above[hi]) | uint64(above[lo])<<32)
	eq := hot & (uint64(single[hi]) | uint64(single[lo])<<32)
	return parities(lt) | parities(eq)<<8
}

// parities returns the parities of four lanes of 16 bits.
func parities(x uint64) uint64 {
	x ^= x >> 8
	x ^= x >> 4
	x ^= x >> 2
	x ^= x >> 1
	return x & laneOnes * (1<<48 | 1<<33 | 1<<18 | 1<<3) >> 48 & 15
}

// above and single have the bits above a digit and the bit at it, for the two digits of a byte, the upper in lane 0.
var above, single = func() (above, single [256]uint32) {
	for b := range above {
		hi, lo := b>>4, b&15
		above[b] = uint32(0xffff<<(hi+1)&0xffff | 0xffff<<(lo+1)&0xffff<<16)
		single[b] = 1<<hi | 1<<(lo+16)
	}
	return above, single
}()

// wideLeaf is Leaf for chunks of any width.
func wideLeaf(d, a []uint64, hots [][]uint64, nbits, chunk, from, k, kind, eqs, at int) {
	chunks := (nbits + chunk - 1) / chunk
	low, cmask := lowBits(nbits), lowBits(chunk)
	var first [plan.MaxGroup + 1]int // first word of each chunk, for chunks of 6 and 7 bits
	for i, w := range plan.HotWords(nbits, chunk, from, k) {
		if w.Base == 0 && chunk != 4 {
			first[w.First-from] = i
		}
	}
	first[k] = len(hots)
	for i := range d {
		m := a[i] & low
		var x uint64
		for j := range k {
			v := m >> (chunk * (chunks - 1 - from - j)) & cmask
			var hot, above uint64
			if chunk == 4 {
				hot = hots[j/4][i] >> (16 * (j % 4)) & 0xffff
			} else {
				w := first[j] + int(v>>6)
				for u := w + 1; u < first[j+1]; u++ {
					above ^= hots[u][i]
				}
				if w < first[j+1] {
					hot = hots[w][i]
				}
				v &= 63
			}
			if kind != plan.KindEq {
				x |= uint64(bits.OnesCount64(hot>>(v+1)^above)&1) << j
			}
			if j < eqs {
				x |= (hot >> v & 1) << (at + j)
			}
		}
		d[i] = x
	}
}

// OneHot writes a word of the one-hots that Leaf reads: chunks w.First.. of the lowest nbits bits of a. a is secret here: time
// and memory access do not depend on it.
func OneHot(d, a []uint64, nbits, chunk int, w plan.HotWord) {
	chunks := (nbits + chunk - 1) / chunk
	low, cmask := lowBits(nbits), lowBits(chunk)
	a = a[:len(d)]
	if v := active.lanes; v != nil && chunk == 4 && w.Count <= perWord {
		if len(d) > 0 {
			v.oneHot(&d[0], &a[0], len(d), low, control(chunks, w.First), laneOnes>>(16*(perWord-w.Count)))
		}
		return
	}
	for i := range d {
		var x uint64
		for c := range w.Count {
			v := a[i]&low>>(chunk*(chunks-1-w.First-c))&cmask - uint64(w.Base)
			x |= 1 << (v & 63) & -((v>>6 - 1) >> 63) << (16 * c) // nothing unless v < 64
		}
		d[i] = x
	}
}

// Mono sets bit i of each word of d to the product of the bits of a that sets[i] has, at most 64 sets. a is secret: time and
// memory access do not depend on it.
func Mono(d, a []uint64, sets []uint16) {
	a = a[:len(d)]
	if v := active.lanes; v != nil {
		var all [64]uint16
		n := copy(all[:], sets)
		if len(d) > 0 {
			v.mono(&d[0], &a[0], len(d), &all[0], lowBits(n))
		}
		return
	}
	for i := range d {
		var x uint64
		not := ^a[i]
		for b, s := range sets {
			x |= (uint64(s)&not - 1) >> 63 << b
		}
		d[i] = x
	}
}

// ReluSel computes d = m*B - (delta*[R_t] + (1-2*delta)*[sR_t]), B = first*delta + (1-2*delta)*[s], t = bit nbits-1 of m, from
// public m and delta, 0 or 1, and shares of s, R_0, R_1, s*R_0 and s*R_1; first is 1 for one party and 0 for the others. The
// sum over parties is (delta XOR s) * (m - R_t). d must not overlap a source.
func ReluSel(d, m, delta, s, r0, r1, sr0, sr1 []uint64, nbits int, first uint64) {
	n := len(d)
	m, delta, s, r0, r1, sr0, sr1 = m[:n], delta[:n], s[:n], r0[:n], r1[:n], sr0[:n], sr1[:n]
	if v := active.lanes; v != nil {
		if n > 0 {
			v.reluSel(&d[0], &m[0], &delta[0], &s[0], &r0[0], &r1[0], &sr0[0], &sr1[0], n, 1<<(nbits-1), -first)
		}
		return
	}
	for i := range d {
		t := -(m[i] >> (nbits - 1) & 1)
		k := 1 - 2*delta[i]
		r, sr := r0[i]^(r0[i]^r1[i])&t, sr0[i]^(sr0[i]^sr1[i])&t
		d[i] = m[i]*(first*delta[i]+k*s[i]) - (delta[i]*r + k*sr)
	}
}

// A MergeTable holds what a merge does with each opened word D < Rows: which masks and which products of masks are summed, and a
// constant. Row D is four words: the masks in a, with the constant in bit 63; the products, 64 a word.
type MergeTable []uint64

// Rows returns the number of rows, a power of two.
func (t MergeTable) Rows() int { return len(t) / 4 }

// Merge sets bit shift of d to a party's share of the result of a merge, other bits stay if keep is set and become 0 if not: the
// parity of the masks a and products prods, up to three, that the row of the opened word has. The constant of the row counts for
// the party with first = 1, not for those with 0. The index is public; a is below 2^63.
func Merge(d, opened, a []uint64, prods [][]uint64, t MergeTable, first uint64, shift int, keep bool) {
	n, rows := len(d), uint64(t.Rows()-1)
	opened, a = opened[:n], a[:n]
	top := first << 63
	stay := uint64(0)
	if keep {
		stay = ^uint64(1 << shift)
	}
	if v := active.lanes; v != nil && len(prods) > 0 {
		if n == 0 {
			return
		}
		var p [3]*uint64
		for i := range prods {
			p[i] = &prods[i][:n][0]
		}
		v.merge[len(prods)](&d[0], &opened[0], &a[0], p[0], p[1], p[2], n, &t[0], rows, top, stay, uint64(shift))
		return
	}
	var p, q []uint64 // of most merges there are two words at most
	if len(prods) > 0 {
		p = prods[0][:n]
	}
	if len(prods) > 1 {
		q = prods[1][:n]
	}
	for i := range d {
		r := t[4*(opened[i]&rows):][:4]
		x := (a[i] | top) & r[0]
		if p != nil {
			x ^= p[i] & r[1]
		}
		if q != nil {
			x ^= q[i] & r[2]
		}
		if len(prods) > 2 {
			x ^= prods[2][i] & r[3]
		}
		d[i] = d[i]&stay | uint64(bits.OnesCount64(x)&1)<<shift
	}
}

// lowBits returns 2^n - 1.
func lowBits(n int) uint64 {
	if n >= 64 {
		return ^uint64(0)
	}
	return 1<<n - 1
}
