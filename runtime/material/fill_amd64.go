package material

//go:generate go run -C ../ring/asm . -set aes -out ../../material/fill_amd64.s -stubs ../../material/stub_amd64.go -pkg material

import (
	"os"

	"golang.org/x/sys/cpu"
)

// turn is the number of keystream bytes that one turn of the assembly makes.
const turn = 512

// vector says that streams are expanded four blocks an instruction: the processor has VAES for vectors of 64 bytes, and
// SMPCC_KERNEL, which chooses the kernels of package ring, does not ask for less.
var vector = cpu.X86.HasAES && cpu.X86.HasAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VAES &&
	os.Getenv("SMPCC_KERNEL") != "avx2" && os.Getenv("SMPCC_KERNEL") != "portable"

// schedule returns the round keys for fillVector, nil if it cannot be used.
func schedule(key *[keySize]byte) *[240]byte {
	if !vector {
		return nil
	}
	keys := new([240]byte)
	expandKey(keys, key)
	return keys
}

// fillVector fills the first words of dst from a block of the keystream on and returns their number, a multiple of whole
// turns of at least 32 blocks.
func fillVector(dst []uint64, keys *[240]byte, block uint64, width int, mask uint64) int {
	turns := len(dst) / (turn / width)
	n := turns * (turn / width)
	if turns == 0 {
		return 0
	}
	d := &dst[:n][0]
	switch width {
	case 1:
		fill512w1(d, keys, block, turns, mask)
	case 2:
		fill512w2(d, keys, block, turns, mask)
	case 4:
		fill512w4(d, keys, block, turns, mask)
	case 8:
		fill512w8(d, keys, block, turns, mask)
	default:
		return 0
	}
	return n
}
