package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// wave512 looks cosine and sine up together: an entry of the table is one word.
func wave512() {
	TEXT("wave512", NOSPLIT, "func(d, m, u, v *uint64, n int, k, up, down uint64, table *int32)")
	Pragma("noescape")
	Doc("wave512 computes d = c*u + s*v for n words, c and s the cosine and sine of angle = m*k << up, in 2^-64 turns, rounded to 30-down fraction bits: those of the nearest",
		"4096th of a turn in the table, with 30 fraction bits, c in the lower half of a word, and the first two derivatives from there.")
	d, m, u, v, n, table := param("d"), param("m"), param("u"), param("v"), param("n"), param("table")
	k, up, down := fill("k"), fill("up"), fill("down")
	half, round, arc, one := ZMM(), constant(1<<51), constant(823550), constant(1)
	VPSUBQ(one, down, half)
	VPSLLVQ(half, one, half)
	g, whole := GP64(), K()
	MOVQ(U32(0xff), g)
	KMOVQ(g, whole)
	eights(n, func(mask reg.OpmaskVirtual) {
		angle := load(mem(m), mask)
		VPMULLQ(k, angle, angle)
		VPSLLVQ(up, angle, angle)
		i, rest, cs := ZMM(), ZMM(), ZMM()
		VPADDQ(round, angle, i)
		VPSRLQ(Imm(52), i, i)
		VPSLLQ(Imm(52), i, rest)
		VPSUBQ(rest, angle, rest)
		VPSRAQ(Imm(21), rest, rest)
		VPMULDQ(arc, rest, rest)
		VPSRAQ(Imm(30), rest, rest)
		all := K()
		KMOVQ(whole, all) // a gather uses up its mask
		VPXORQ(cs, cs, cs)
		VPGATHERQQ(Mem{Base: table, Index: i, Scale: 8}, all, cs)
		c, s, x, y, square, bend := ZMM(), ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
		VPSRAQ(Imm(32), cs, s)
		VPSLLQ(Imm(32), cs, c)
		VPSRAQ(Imm(32), c, c)
		VPMULDQ(rest, rest, square)
		VPSRLQ(Imm(31), square, square)
		VPMULDQ(rest, s, x)
		VPMULDQ(square, c, bend)
		VPADDQ(bend, x, x)
		VPMULDQ(rest, c, y)
		VPMULDQ(square, s, bend)
		VPSUBQ(bend, y, y)
		VPSRAQ(Imm(30), x, x)
		VPSRAQ(Imm(30), y, y)
		VPSUBQ(x, c, c)
		VPADDQ(y, s, s)
		for _, z := range []reg.VecVirtual{c, s} {
			VPADDQ(half, z, z)
			VPSRAVQ(down, z, z)
		}
		VPMULLQ(load(mem(u), mask), c, c)
		VPMULLQ(load(mem(v), mask), s, s)
		VPADDQ(s, c, c)
		store(c, mem(d), mask)
	}, advance(d, m, u, v))
}

// reads returns the public number and whether the mask is read as R1, of a wire m: m + half modulo low + 1, less half, and its bit of top.
func reads(m, half, low, top reg.VecVirtual) (p reg.VecVirtual, t reg.OpmaskVirtual) {
	p, t = ZMM(), K()
	VPADDQ(half, m, p)
	VPANDQ(low, p, p)
	VPTESTMQ(top, p, t)
	VPSUBQ(half, p, p)
	return p, t
}

// wireMul512 multiplies wires.
func wireMul512() {
	TEXT("wireMul512", NOSPLIT, "func(d, mx, rx0, rx1, my, ry0, ry1, k00, k01, k10, k11 *uint64, n int, halfx, lowx, topx, halfy, lowy, topy, first uint64)")
	Pragma("noescape")
	Doc("wireMul512 computes d = px*(first*py - ry) - py*rx + k for n words, where p, of a wire m, is m + half AND low, less half; r is r1 where that sum has a bit of top,",
		"else r0, and k is chosen by both; first is all ones or zero, and stands for 1 or 0.")
	n := param("n")
	var at []reg.GPVirtual
	for _, name := range []string{"d", "mx", "rx0", "rx1", "my", "ry0", "ry1", "k00", "k01", "k10", "k11"} {
		at = append(at, param(name))
	}
	halfx, lowx, topx := fill("halfx"), fill("lowx"), fill("topx")
	halfy, lowy, topy := fill("halfy"), fill("lowy"), fill("topy")
	first := fill("first")
	eights(n, func(mask reg.OpmaskVirtual) {
		in := func(i int) reg.VecVirtual { return load(mem(at[i]), mask) }
		px, tx := reads(in(1), halfx, lowx, topx)
		py, ty := reads(in(4), halfy, lowy, topy)
		pick := func(t reg.OpmaskVirtual, zero, one reg.VecVirtual) reg.VecVirtual {
			VMOVDQA64(one, t, zero)
			return zero
		}
		rx, ry := pick(tx, in(2), in(3)), pick(ty, in(5), in(6))
		k := pick(tx, pick(ty, in(7), in(8)), pick(ty, in(9), in(10)))
		z := ZMM()
		VPANDQ(first, py, z)
		VPSUBQ(ry, z, z)
		VPMULLQ(px, z, z)
		VPMULLQ(py, rx, rx)
		VPSUBQ(rx, z, z)
		VPADDQ(k, z, z)
		store(z, mem(at[0]), mask)
	}, advance(at...))
}

// finish512 ends truncations.
func finish512() {
	TEXT("finish512", NOSPLIT, "func(d, m, r0, r1 *uint64, n int, half, low, top, first uint64)")
	Pragma("noescape")
	Doc("finish512 computes d = first*p - r for n words, with p, r and first as in wireMul512.")
	d, m, r0, r1, n := param("d"), param("m"), param("r0"), param("r1"), param("n")
	half, low, top, first := fill("half"), fill("low"), fill("top"), fill("first")
	eights(n, func(mask reg.OpmaskVirtual) {
		p, t := reads(load(mem(m), mask), half, low, top)
		r := load(mem(r0), mask)
		VMOVDQA64(load(mem(r1), mask), t, r)
		VPANDQ(first, p, p)
		VPSUBQ(r, p, p)
		store(p, mem(d), mask)
	}, advance(d, m, r0, r1))
}
