package dpf

//go:generate go run -C ../ring/asm . -set dpf -out ../../dpf/kernel_amd64.s -stubs ../../dpf/stub_amd64.go -pkg dpf

import (
	"os"

	"golang.org/x/sys/cpu"
)

// kernels returns the kernels that this processor can run and SMPCC_KERNEL allows, the fastest first.
func kernels() []*kernel {
	if k := os.Getenv("SMPCC_KERNEL"); vector && k != "avx2" && k != "portable" {
		return []*kernel{vaes, portable}
	}
	return []*kernel{portable}
}

// vector says that the processor has VAES for vectors of 64 bytes.
var vector = cpu.X86.HasAES && cpu.X86.HasAVX2 && cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VAES

// hashKeys are the round keys of pi.
var hashKeys = func() *[176]byte {
	keys := new([176]byte)
	if vector {
		expandHash(keys, &fixedKey)
	}
	return keys
}()

// same panics unless all operands have n words, a multiple of pad and not 0: kernels in assembly look at no lengths.
func same(n int, operands ...[]uint64) int {
	if n == 0 || n%pad != 0 {
		panic("dpf: length of a kernel's operands")
	}
	for _, x := range operands {
		if len(x) != n {
			panic("dpf: lengths of a kernel's operands differ")
		}
	}
	return n
}

// vaes treats four blocks an instruction.
var vaes = &kernel{
	name: "vaes",
	walk: func(acc, lo, hi, clo, chi, at []uint64, bit, keep uint64) {
		n := same(len(acc), lo, hi, clo, chi, at)
		walk512(&acc[0], &lo[0], &hi[0], &clo[0], &chi[0], &at[0], hashKeys, n/32, bit, keep)
	},
	look: func(acc, lo, hi, clo, chi, at []uint64, mask uint64) {
		n := same(len(acc), lo, hi, clo, chi, at)
		look512(&acc[0], &lo[0], &hi[0], &clo[0], &chi[0], &at[0], hashKeys, n/32, mask)
	},
	grow: func(clo, chi, lo, hi, dlo, dhi, at []uint64, bit uint64) {
		n := same(len(clo), chi, lo, hi, dlo, dhi, at)
		grow512(&clo[0], &chi[0], &lo[0], &hi[0], &dlo[0], &dhi[0], &at[0], hashKeys, n/16, bit)
	},
	pair: func(clo, chi, lo, hi, dlo, dhi []uint64) {
		n := same(len(clo), chi, lo, hi, dlo, dhi)
		pair512(&clo[0], &chi[0], &lo[0], &hi[0], &dlo[0], &dhi[0], hashKeys, n/16)
	},
	hash: func(glo, ghi, lo, hi []uint64, tweak uint64) {
		n := same(len(glo), ghi, lo, hi)
		hash512(&glo[0], &ghi[0], &lo[0], &hi[0], hashKeys, n/32, tweak)
	},
	take: func(acc, g, v, lo, at []uint64, bit, shift uint64) {
		n := same(len(acc), g, v, lo, at)
		take512(&acc[0], &g[0], &v[0], &lo[0], &at[0], n/32, bit, shift)
	},
	give: func(c, beta, g0, g1, lo, at []uint64, bit, low, shift uint64) {
		n := same(len(c), beta, g0, g1, lo, at)
		give512(&c[0], &beta[0], &g0[0], &g1[0], &lo[0], &at[0], n/32, bit, low, shift)
	},
}
