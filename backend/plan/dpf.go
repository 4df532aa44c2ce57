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
