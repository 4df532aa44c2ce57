package ring

import "smpcc/backend/plan"

// Pack writes the lowest bits of each word to dst, without gaps, least significant bit first: plan.PackedBytes(len(words),
// bits) bytes, which dst must hold. Bits above are garbage and do not get there.
func Pack(dst []byte, words []uint64, bits int) {
	plan.Pack(dst[:0:plan.PackedBytes(len(words), bits)], words, bits)
}

// Unpack is the inverse of Pack: src must hold plan.PackedBytes(len(dst), bits) bytes. Results are below 2^bits.
func Unpack(dst []uint64, src []byte, bits int) { plan.Unpack(dst, src, bits) }
