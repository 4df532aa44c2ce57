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
type tile512s[E element] [4][3]func(d, a *uint64, b *E, k, ldd, lda, tail int)

var (
	words512 = tile512s[uint64]{{tile512r1c1, tile512r1c2, tile512r1c3}, {tile512r2c1, tile512r2c2, tile512r2c3}, {tile512r4c1, tile512r4c2, tile512r4c3}, {tile512r8c1, tile512r8c2, tile512r8c3}}
	low512   = tile512s[uint64]{{tile52r1c1, tile52r1c2, tile52r1c3}, {tile52r2c1, tile52r2c2, tile52r2c3}, {tile52r4c1, tile52r4c2, tile52r4c3}, {tile52r8c1, tile52r8c2, tile52r8c3}}

	halves512 = tile512s[uint32]{{tile512low32r1c1, tile512low32r1c2, tile512low32r1c3}, {tile512low32r2c1, tile512low32r2c2, tile512low32r2c3},
		{tile512low32r4c1, tile512low32r4c2, tile512low32r4c3}, {tile512low32r8c1, tile512low32r8c2, tile512low32r8c3}}
)

func (t *tile512s[E]) run(d, a []uint64, b []E, rows, vectors, tail, k, ldd, lda int) {
	width := 64 / elementBytes[E]()
	_, _, _ = d[(rows-1)*ldd+width*(vectors-1)+tail-1], a[(rows-1)*lda+k-1], b[width*vectors*k-1]
	if rows&(rows-1) != 0 || tail > width {
		panic("ring: no such tile")
	}
	t[bits.Len(uint(rows))-1][vectors-1](&d[0], &a[0], &b[0], k, ldd, lda, tail)
}

// elementBytes returns the size of E.
func elementBytes[E element]() int { return bits.Len64(uint64(^E(0))) / 8 }

var halves256s = [3][3]func(d, a *uint64, b *uint32, k, ldd, lda, tail int){
	{tile256low32r1c1, tile256low32r1c2, tile256low32r1c3}, {tile256low32r2c1, tile256low32r2c2, tile256low32r2c3}, {tile256low32r4c1, tile256low32r4c2, tile256low32r4c3}}

func halves256(d, a []uint64, b []uint32, rows, vectors, tail, k, ldd, lda int) {
	_, _, _ = d[(rows-1)*ldd+8*(vectors-1)+tail-1], a[(rows-1)*lda+k-1], b[8*vectors*k-1]
	if rows&(rows-1) != 0 || tail > 8 {
		panic("ring: no such tile")
	}
	halves256s[bits.Len(uint(rows))-1][vectors-1](&d[0], &a[0], &b[0], k, ldd, lda, tail)
}

func tile256(d, a, b []uint64, rows, _, tail, k, ldd, lda int) {
	_, _, _ = d[(rows-1)*ldd+tail-1], a[(rows-1)*lda+k-1], b[4*k-1]
	pd, pa, pb := &d[0], &a[0], &b[0]
	switch rows {
	case 4:
		tile256r4(pd, pa, pb, k, ldd, lda, tail)
	case 2:
		tile256r2(pd, pa, pb, k, ldd, lda, tail)
	case 1:
		tile256r1(pd, pa, pb, k, ldd, lda, tail)
	default:
		panic("ring: no such tile")
	}
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
