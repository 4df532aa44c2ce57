package plan

import "fmt"

// DPFLeaf is the number of lowest bits of a point that a key of a distributed point function looks up in a block of 128 bits
// instead of going down the tree for them (early termination).
const DPFLeaf = 7

// DPFLevels returns the levels of the tree of a key for points of the given bits.
func DPFLevels(bits int) int { return max(0, bits-DPFLeaf) }

// DPFWords returns the words of the correction words of one key for points of the given bits: a block of two words for each
// level of the tree and one for its leaf.
func DPFWords(bits int) int { return 2 * (DPFLevels(bits) + 1) }

// The kinds of results of a key.
const (
	DPFLess  = 1 // [a < r]
	DPFEqual = 2 // [a = r]
)

// A Field is bits of one of the words that stand beside each other for a key: a number mod 2^Bits.
type Field struct{ Word, Shift, Bits int }

// fields places numbers of the given bits one after the other, each into the first word that has room for it. The last one of a word takes what is
// left of it, so that all bits of words are used alike.
func fields(bits ...int) (out []Field, words int) {
	var used []int // bits of each word
	for _, b := range bits {
		w := 0
		for w < len(used) && used[w]+b > 64 {
			w++
		}
		if w == len(used) {
			used = append(used, 0)
		}
		out = append(out, Field{w, used[w], b})
		used[w] += b
	}
	for i := range out {
		if f := &out[i]; f.Shift+f.Bits == used[f.Word] {
			f.Bits = 64 - f.Shift
		}
	}
	return out, len(used)
}

// DCFLevels returns the levels of the tree of a key for ReLU of wires of the given bits: the top bit is no part of the comparison.
func DCFLevels(bits int) int { return bits - 1 }

// DCFValues returns the fields of the correction words of the values of one level of a key for ReLU of wires of the given bits with results mod
// 2^ring, and the words that hold them: of e, of e*r, and of top(r) unless 2^bits is nothing mod 2^ring.
func DCFValues(bits, ring int) ([]Field, int) {
	if ring <= bits {
		return fields(ring, ring)
	}
	return fields(ring, ring, ring-bits)
}

// DCFConstants returns the fields of the correction words of the values at the root, and the words that hold them: of top(r), of top(r)*r and of r.
func DCFConstants(ring int) ([]Field, int) { return fields(ring, ring, ring) }

// DCFWords returns the words of the correction words of one key for ReLU of wires of the given bits with results mod 2^ring: constants, values for
// each level, and a block of two words for each level but the last.
func DCFWords(bits, ring int) int {
	_, constants := DCFConstants(ring)
	_, values := DCFValues(bits, ring)
	return constants + DCFLevels(bits)*values + 2*(DCFLevels(bits)-1)
}

// DCFBlocks returns the blocks that a party hashes to evaluate one key for ReLU.
func DCFBlocks(bits, ring int) int {
	_, constants := DCFConstants(ring)
	_, values := DCFValues(bits, ring)
	return (constants+1)/2 + DCFLevels(bits)*((values+1)/2) + DCFLevels(bits) - 1
}

// checkDCF checks the roots and correction words of a step on keys for ReLU.
func checkDCF(bits, ring int64, keys, roots, words int, p *Plan) error {
	switch {
	case p.NumParties() != 2:
		return fmt.Errorf("keys are for two parties, the plan has %d", p.NumParties())
	case bits < 2 || bits > 64:
		return fmt.Errorf("wires of %d bits", bits)
	case ring < 1 || ring > 64:
		return fmt.Errorf("results of %d bits", ring)
	case roots != 2*keys || words != keys*DCFWords(int(bits), int(ring)):
		return fmt.Errorf("%d words of roots and %d of corrections for %d keys of %d bits with results of %d, want %d and %d", roots, words, keys, bits, ring, 2*keys, keys*DCFWords(int(bits), int(ring)))
	}
	return nil
}

// checkDPF checks the roots and correction words of a step on keys for points of the given bits: a root of two words and DPFWords for
// each.
func checkDPF(bits, kind int64, keys, roots, words int, p *Plan) error {
	switch {
	case p.NumParties() != 2:
		return fmt.Errorf("keys are for two parties, the plan has %d", p.NumParties())
	case bits < 1 || bits > 64:
		return fmt.Errorf("points of %d bits", bits)
	case kind != DPFLess && kind != DPFEqual:
		return fmt.Errorf("kind %d", kind)
	case roots != 2*keys || words != keys*DPFWords(int(bits)):
		return fmt.Errorf("%d words of roots and %d of corrections for %d keys of %d bits, want %d and %d", roots, words, keys, bits, 2*keys, keys*DPFWords(int(bits)))
	}
	return nil
}

// checkPoints checks the points at which a step evaluates keys, and returns the number of keys.
func checkPoints(s *Step, n func(int) int, points int64) (keys int, err error) {
	if n(s.Src[0]) != n(s.Dst) {
		return 0, fmt.Errorf("slot lengths differ: %d and %d", n(s.Src[0]), n(s.Dst))
	}
	keys = n(s.Src[1]) / 2
	if !product(int64(n(s.Dst)), int64(keys), points) {
		return 0, fmt.Errorf("%d points for %d keys with %d points each", n(s.Dst), keys, points)
	}
	return keys, nil
}

// checkRoots checks the item of roots of keys, and returns its length.
func checkRoots(item int64, p *Plan) (int, error) {
	if item < 0 || item >= int64(len(p.Items)) {
		return 0, fmt.Errorf("item %d does not exist", item)
	}
	it := p.Items[item]
	if it.Dealt || it.Mode != Xor || it.Holder != 0 || it.Bits != 64 || it.Scope != Session {
		return 0, fmt.Errorf("item %d is not made of random words of both parties", item)
	}
	return it.Len, nil
}
