// Package share is what a guest does with its data: it splits the words of an input into one share for each party, so that those of any
// parties but one are uniform, and joins the shares of an output that the parties have kept for it.
package share

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"smpcc/backend/plan"
)

// SeedSize is the size in bytes of a seed, from which the shares of all parties but the last are expanded.
const SeedSize = 16

// A Seed stands for the uniform shares of one party.
type Seed [SeedSize]byte

// Expand returns the words that a seed stands for, for input number index of a plan and a port of so many words: the key stream of AES-128 in counter mode under the seed, from the block
// that is the index followed by zeros (both as big-endian numbers of 64 bits), in little-endian words of 1, 2, 4 or 8 bytes, as the port's bits need, of which the lowest bits count.
func Expand(seed Seed, index int, p *plan.Port) []uint64 {
	block, err := aes.NewCipher(seed[:])
	if err != nil {
		panic(err) // the size is right
	}
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[:], uint64(index))
	width := plan.StreamWidth(p.Bits)
	stream := make([]byte, width*p.Len())
	cipher.NewCTR(block, iv[:]).XORKeyStream(stream, stream)
	out := make([]uint64, p.Len())
	var word [8]byte
	for i := range out {
		copy(word[:], stream[i*width:(i+1)*width])
		out[i] = low(binary.LittleEndian.Uint64(word[:]), p.Bits)
	}
	clear(stream)
	return out
}

// Split returns one share of the words for each party, all but the last uniform, with randomness of the system.
func Split(p *plan.Port, words []uint64, parties int) ([][]uint64, error) {
	out := make([][]uint64, parties)
	for i := range parties - 1 {
		var seed Seed
		if _, err := rand.Read(seed[:]); err != nil {
			return nil, err
		}
		out[i] = Expand(seed, 0, p)
	}
	var err error
	out[parties-1], err = Last(p, words, out[:parties-1])
	return out, err
}

// Last returns the share of the last party, given those of all others.
func Last(p *plan.Port, words []uint64, others [][]uint64) ([]uint64, error) {
	if len(words) != p.Len() {
		return nil, fmt.Errorf("%q has %d elements, want %d", p.Name, len(words), p.Len())
	}
	out := make([]uint64, len(words))
	for i, w := range words {
		if p.Bits < 64 && w>>p.Bits != 0 {
			return nil, fmt.Errorf("%q: element %d is beyond the %d bits of its ring", p.Name, i, p.Bits)
		}
		for _, s := range others {
			if p.Elem == "bool" {
				w ^= s[i]
			} else {
				w -= s[i]
			}
		}
		out[i] = low(w, p.Bits)
	}
	return out, nil
}

// Join returns the words of an output, sign-extended as parties receive them, of the shares that all parties have kept.
func Join(p *plan.Port, shares [][]uint64) []uint64 {
	out := make([]uint64, p.Len())
	for i := range out {
		for _, s := range shares {
			if p.Elem == "bool" {
				out[i] ^= s[i]
			} else {
				out[i] += s[i]
			}
		}
		if p.Elem == "bool" {
			out[i] &= 1
		} else {
			out[i] = uint64(int64(out[i]<<(64-p.Bits)) >> (64 - p.Bits))
		}
	}
	return out
}

func low(w uint64, bits int) uint64 { return w << (64 - bits) >> (64 - bits) }
