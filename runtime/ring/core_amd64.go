package ring

//go:generate go run -C asm . -out ../kernel_amd64.s -stubs ../stub_amd64.go -pkg ring

import (
	"math/bits"

	"golang.org/x/sys/cpu"
)

// processorCores returns the cores in assembly that this processor can run.
func processorCores() []*core {
	var out []*core
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512DQ && cpu.X86.HasBMI2 {
		c := &core{name: "avx512", rows: rows512, dot: inner512, narrow: narrow512,
			tile:   &tile[uint64]{width: 8, maxVectors: 3, maxRows: 8, columns: 120, run: words512.run},
			tile32: &tile[uint32]{width: 16, maxVectors: 3, maxRows: 8, columns: 240, run: halves512.run}}
		if cpu.X86.HasAVX512IFMA {
			c.tile52 = &tile[uint64]{width: 8, maxVectors: 3, maxRows: 8, columns: 120, run: low512.run}
		}
		if cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI && cpu.X86.HasAVX512BITALG && cpu.X86.HasAVX512VPOPCNTDQ {
			c.lanes = &lanes{
				add: add512, sub: sub512, mul: mul512, xor: xor512, and: and512, cut: cut512, reluSel: reluSel512, leaf: leaf512,
				oneHot: oneHot512, mono: mono512, merge: [4]func(d, index, a, p0, p1, p2 *uint64, n int, table *uint64, rows, top, keep, shift uint64){1: merge512w1, 2: merge512w2, 3: merge512w3},
				widen: [8]func(d, a *uint64, groups int){1: widen512w1, 2: widen512w2, 4: widen512w4}, narrow: [8]func(d, a *uint64, groups int){1: narrow512w1, 2: narrow512w2, 4: narrow512w4},
				wave: wave512, expo: expo512, decay: decay512, finish: finish512, wireMul: wireMul512,
				neg: neg512, shl: shl512, extend: extend512, spread: spread512, packWide: packWide512, unpackWide: unpackWide512, unpackWideAdd: unpackWideAdd512,
				unpackWideXor: unpackWideXor512, widenBytes: widenBytes512, narrowBytes: narrowBytes512,
				prefetch: prefetch, prefetchBytes: prefetchBytes, every2: every2, packBits: packBits512, pack: pack512, unpack: unpack512, unpackAdd: unpackAdd512, unpackXor: unpackXor512,
			}
		}
		out = append(out, c)
	}
	if cpu.X86.HasAVX2 {
		out = append(out, &core{name: "avx2", rows: rows256, dot: inner256, narrow: narrow256,
			tile:   &tile[uint64]{width: 4, maxVectors: 1, maxRows: 4, columns: 48, run: tile256},
			tile32: &tile[uint32]{width: 8, maxVectors: 3, maxRows: 4, columns: 96, run: halves256}})
	}
	return out
}

// The wrappers below look at the last element of every operand before they pass its address: a wrong length panics here and
// never reads or writes beyond a slice.

// A tile512s is the kernels of tiles in assembly, of 1, 2, 4 and 8 rows by 1, 2 and 3 vectors.
type tile512s[E element] [4][3]func(d, a *uint64, b *E, at *int, k, ldd, lda, step, apart, from, head, tail, add int)

var (
	words512 = tile512s[uint64]{{tile512r1c1, tile512r1c2, tile512r1c3}, {tile512r2c1, tile512r2c2, tile512r2c3}, {tile512r4c1, tile512r4c2, tile512r4c3}, {tile512r8c1, tile512r8c2, tile512r8c3}}
	low512   = tile512s[uint64]{{tile52r1c1, tile52r1c2, tile52r1c3}, {tile52r2c1, tile52r2c2, tile52r2c3}, {tile52r4c1, tile52r4c2, tile52r4c3}, {tile52r8c1, tile52r8c2, tile52r8c3}}

	halves512 = tile512s[uint32]{{tile512low32r1c1, tile512low32r1c2, tile512low32r1c3}, {tile512low32r2c1, tile512low32r2c2, tile512low32r2c3},
		{tile512low32r4c1, tile512low32r4c2, tile512low32r4c3}, {tile512low32r8c1, tile512low32r8c2, tile512low32r8c3}}
)

func (t *tile512s[E]) run(d, a []uint64, b []E, at []int, last int, f form) {
	f.check(d, a, len(at), 64/elementBytes[E]())
	_ = b[last+(f.vectors-1)*f.from+64/elementBytes[E]()-1]
	t[bits.Len(uint(f.rows))-1][f.vectors-1](&d[0], &a[0], &b[0], &at[0], len(at), f.ldd, f.lda, f.step, f.apart, f.from, f.head, f.tail, f.add)
}

// check panics if a tile would read or write outside d and a.
func (f *form) check(d, a []uint64, k, width int) {
	_, _ = d[(f.rows-1)*f.ldd+(f.vectors-1)*f.apart+max(f.head-f.apart, f.tail)-1], a[(f.rows-1)*f.lda+(k-1)*f.step]
	if f.rows&(f.rows-1) != 0 || max(f.head, f.tail) > width {
		panic("ring: no such tile")
	}
}

// elementBytes returns the size of E.
func elementBytes[E element]() int { return bits.Len64(uint64(^E(0))) / 8 }

var words256s = [3]func(d, a, b *uint64, at *int, k, ldd, lda, step, apart, from, head, tail, add int){tile256r1, tile256r2, tile256r4}

var halves256s = [3][3]func(d, a *uint64, b *uint32, at *int, k, ldd, lda, step, apart, from, head, tail, add int){
	{tile256low32r1c1, tile256low32r1c2, tile256low32r1c3}, {tile256low32r2c1, tile256low32r2c2, tile256low32r2c3}, {tile256low32r4c1, tile256low32r4c2, tile256low32r4c3}}

func halves256(d, a []uint64, b []uint32, at []int, last int, f form) {
	f.check(d, a, len(at), 8)
	_ = b[last+(f.vectors-1)*f.from+8-1]
	halves256s[bits.Len(uint(f.rows))-1][f.vectors-1](&d[0], &a[0], &b[0], &at[0], len(at), f.ldd, f.lda, f.step, f.apart, f.from, f.head, f.tail, f.add)
}

func tile256(d, a, b []uint64, at []int, last int, f form) {
	f.check(d, a, len(at), 4)
	_ = b[last+4-1]
	words256s[bits.Len(uint(f.rows))-1](&d[0], &a[0], &b[0], &at[0], len(at), f.ldd, f.lda, f.step, f.apart, f.from, f.head, f.tail, f.add)
}

func rows512(d, x, b []uint64, ldb int) {
	n := len(d)
	if n == 0 || len(x) == 0 {
		return
	}
	_ = b[(len(x)-1)*ldb+n-1]
	i := 0
	for ; i+8 <= len(x); i += 8 {
		rows512r8(&d[0], &x[i], &b[i*ldb], n, ldb)
	}
	for ; i < len(x); i++ {
		rows512r1(&d[0], &x[i], &b[i*ldb], n, ldb)
	}
}

func rows256(d, x, b []uint64, ldb int) {
	n := len(d)
	if n == 0 || len(x) == 0 {
		return
	}
	_ = b[(len(x)-1)*ldb+n-1]
	i := 0
	for ; i+8 <= len(x); i += 8 {
		rows256r8(&d[0], &x[i], &b[i*ldb], n, ldb)
	}
	for ; i < len(x); i++ {
		rows256r1(&d[0], &x[i], &b[i*ldb], n, ldb)
	}
}

func inner512(a, b []uint64) uint64 {
	if len(a) == 0 {
		return 0
	}
	_ = b[len(a)-1]
	return dot512(&a[0], &b[0], len(a))
}

func inner256(a, b []uint64) uint64 {
	if len(a) == 0 {
		return 0
	}
	_ = b[len(a)-1]
	return dot256(&a[0], &b[0], len(a))
}
