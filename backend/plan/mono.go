package plan

import (
	"math/bits"
	"slices"
)

// Kinds of a MaskTree group: what its leaf provides and its merge yields.
const (
	KindLt   = 1 // less-than
	KindEq   = 2 // equality
	KindBoth = 3
)

// Vars returns the number of opened bits of a group of k chunks: lt_0..lt_(k-1) and eq_0..eq_(k-2) for KindLt,
// eq_0..eq_(k-1) for KindEq, both in full for KindBoth. Bit order is that order.
func Vars(k, kind int) int {
	switch kind {
	case KindLt:
		return 2*k - 1
	case KindEq:
		return k
	}
	return 2 * k
}

// Terms returns the products of opened bits whose XOR is the result: for lt one per chunk, lt_j AND eq_0..eq_(j-1);
// for eq one of all eq. Each term is a set of bits of the opened word.
func Terms(k, kind int) (lt, eq []uint16) {
	e := k // position of eq_0
	if kind == KindEq {
		e = 0
	}
	prefix := uint16(0)
	for j := 0; j < k; j++ {
		if kind != KindEq {
			lt = append(lt, prefix|1<<j)
		}
		prefix |= 1 << (e + j)
	}
	if kind != KindLt {
		eq = []uint16{prefix}
	}
	return lt, eq
}

// Monomials lists the sets of two or more mask bits whose products a merge needs, in the order of the material:
// every subset of a term, ascending as numbers, without repetition.
// For KindLt that is 2^k - 1 - k + 2^(k-1) - k sets: 5, 15, 37, 83, 177 for k = 3..7 (docs/protocols.md).
func Monomials(k, kind int) []uint16 {
	var out []uint16
	lt, eq := Terms(k, kind)
	for _, t := range append(lt, eq...) {
		for s := t; s != 0; s = (s - 1) & t {
			if bits.OnesCount16(s) >= 2 {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// MonoWords returns the number of words that hold the products, 64 to a word.
func MonoWords(k, kind int) int { return (len(Monomials(k, kind)) + 63) / 64 }

// MonoBits returns the number of products in word w.
func MonoBits(k, kind, w int) int { return min(64, len(Monomials(k, kind))-64*w) }

// A HotWord says what one word of one-hots holds: chunks First..First+Count-1, each 2^chunk bits behind the other, or, for
// chunks of more than 64 values, the values Base..Base+63 of chunk First.
type HotWord struct {
	First, Count int
	Base         int
	Bits         int // bits in use
}

// HotWords lists the words that hold the one-hots of chunks from..from+k-1 of the lowest bits of a mask, chunk bits each
// (4, 6 or 7), most significant chunk first; the first chunk of all may be narrower. Four chunks of 4 bits share a word, one
// chunk of 6 bits fills one, one of 7 bits two.
func HotWords(bits, chunk, from, k int) []HotWord {
	var out []HotWord
	if chunk == 4 {
		for j := from; j < from+k; j += 4 {
			n := min(4, from+k-j)
			out = append(out, HotWord{First: j, Count: n, Bits: 16 * n})
		}
		return out
	}
	chunks := (bits + chunk - 1) / chunk
	for j := from; j < from+k; j++ {
		width := chunk
		if j == 0 {
			width = bits - (chunks-1)*chunk
		}
		for base := 0; base < 1<<width; base += 64 {
			out = append(out, HotWord{First: j, Count: 1, Base: base, Bits: min(64, 1<<width)})
		}
	}
	return out
}
