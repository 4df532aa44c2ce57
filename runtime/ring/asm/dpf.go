package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// hashRounds is the number of round keys of AES-128.
const hashRounds = 11

// dpf writes the assembly of package dpf: keys of distributed point functions, 32 blocks a turn. A block is two words, which stand
// in two planes; vectors of both are interleaved to blocks for the cipher and taken apart again.
func dpf() {
	expandHash()
	walk512()
	look512()
	grow512()
	pair512()
	hash512()
	take512()
	give512()
}

// expandHash is the key schedule of AES-128 (FIPS 197, section 5.2).
func expandHash() {
	TEXT("expandHash", NOSPLIT, "func(keys *[176]byte, key *[16]byte)")
	Pragma("noescape")
	Doc("expandHash writes the round keys of AES-128.")
	out, key := param("keys"), param("key")
	x := XMM()
	VMOVDQU(Mem{Base: key}, x)
	VMOVDQU(x, Mem{Base: out})
	rcon := 1
	for r := 1; r < hashRounds; r++ {
		t, y := XMM(), XMM()
		VAESKEYGENASSIST(Imm(uint64(rcon)), x, t)
		VPSHUFD(Imm(0xff), t, t)
		if rcon *= 2; rcon > 128 {
			rcon = 0x1b
		}
		VPSLLDQ(Imm(4), x, y)
		VPXOR(y, x, x)
		VPSLLDQ(Imm(4), y, y)
		VPXOR(y, x, x)
		VPSLLDQ(Imm(4), y, y)
		VPXOR(y, x, x)
		VPXOR(t, x, x)
		VMOVDQU(x, Mem{Base: out, Disp: 16 * r})
	}
	RET()
}

// A planes is vectors of lower and upper words of blocks.
type planes struct{ lo, hi []reg.VecVirtual }

// vectors returns n vectors.
func vectors(n int) []reg.VecVirtual {
	out := make([]reg.VecVirtual, n)
	for i := range out {
		out[i] = ZMM()
	}
	return out
}

// hashKeys loads the round keys.
func hashKeys() (key [hashRounds]reg.VecVirtual) {
	keys := param("keys")
	for i := range key {
		key[i] = ZMM()
		VBROADCASTI32X4(Mem{Base: keys, Disp: 16 * i}, key[i])
	}
	return key
}

// hash returns pi(s) XOR s, s = sigma(x): sigma(lo, hi) = (hi, hi XOR lo). load writes vector i of the words of x to registers; it is called
// twice, so that x needs none of them meanwhile.
func hash(key [hashRounds]reg.VecVirtual, n int, load func(i int, lo, hi reg.VecVirtual)) planes {
	a, b := vectors(n), vectors(n)
	for i := range n {
		lo, hi := ZMM(), ZMM()
		load(i, lo, hi)
		VPXORQ(hi, lo, lo)
		VPUNPCKLQDQ(lo, hi, a[i]) // even blocks: lower word hi, upper word hi XOR lo
		VPUNPCKHQDQ(lo, hi, b[i])
	}
	all := append(append([]reg.VecVirtual{}, a...), b...)
	for _, s := range all {
		VPXORQ(key[0], s, s)
	}
	for r := 1; r < hashRounds-1; r++ {
		for _, s := range all {
			VAESENC(key[r], s, s)
		}
	}
	for _, s := range all {
		VAESENCLAST(key[hashRounds-1], s, s)
	}
	out := planes{vectors(n), vectors(n)}
	for i := range n {
		VPUNPCKLQDQ(b[i], a[i], out.lo[i])
		VPUNPCKHQDQ(b[i], a[i], out.hi[i])
		lo, hi := ZMM(), ZMM()
		load(i, lo, hi)
		VPXORQ(hi, out.lo[i], out.lo[i])
		VPXORQ(hi, out.hi[i], out.hi[i])
		VPXORQ(lo, out.hi[i], out.hi[i])
	}
	return out
}

// loadPlanes returns a load from two planes.
func loadPlanes(lo, hi reg.Register) func(i int, l, h reg.VecVirtual) {
	return func(i int, l, h reg.VecVirtual) {
		VMOVDQU64(Mem{Base: lo, Disp: 64 * i}, l)
		VMOVDQU64(Mem{Base: hi, Disp: 64 * i}, h)
	}
}

// next moves addresses on by the words of a turn and ends it.
func next(turns reg.GPVirtual, words int, addresses ...reg.GPVirtual) {
	for _, p := range addresses {
		ADDQ(U32(uint32(8*words)), p)
	}
	DECQ(turns)
	JNZ(LabelRef("turn"))
	VZEROUPPER()
	RET()
}

// turned begins a function that makes turns.
func turned(name, params, doc string) {
	TEXT(name, NOSPLIT, "func("+params+")")
	Pragma("noescape")
	Doc(name + " " + doc)
}

// walk512 goes down one level of the tree at a public point.
func walk512() {
	const n = 4
	turned("walk512", "acc, lo, hi, clo, chi, at *uint64, keys *[176]byte, turns int, bit, keep uint64",
		"replaces each of 32 nodes for each of turns > 0 by H(node) XOR (node if at has bit) XOR (the correction word if the node's lowest bit is set). Where at does not have bit it adds both nodes' lowest bits to acc, AND keep.")
	acc, lo, hi, clo, chi, at := param("acc"), param("lo"), param("hi"), param("clo"), param("chi"), param("at")
	key := hashKeys()
	turns := param("turns")
	bit, keep, one := ZMM(), ZMM(), constant(1)
	VPBROADCASTQ(param("bit"), bit)
	VPBROADCASTQ(param("keep"), keep)
	Label("turn")
	h := hash(key, n, loadPlanes(lo, hi))
	for i := range n {
		l, u, z := ZMM(), ZMM(), ZMM()
		t, right, left := K(), K(), K()
		loadPlanes(lo, hi)(i, l, u)
		VMOVDQU64(Mem{Base: at, Disp: 64 * i}, z)
		VPTESTMQ(one, l, t)
		VPTESTMQ(bit, z, right)
		VPTESTNMQ(bit, z, left)
		VPXORQ(l, h.lo[i], right, h.lo[i])
		VPXORQ(u, h.hi[i], right, h.hi[i])
		VPXORQ(Mem{Base: clo, Disp: 64 * i}, h.lo[i], t, h.lo[i])
		VPXORQ(Mem{Base: chi, Disp: 64 * i}, h.hi[i], t, h.hi[i])
		VMOVDQU64(h.lo[i], Mem{Base: lo, Disp: 64 * i})
		VMOVDQU64(h.hi[i], Mem{Base: hi, Disp: 64 * i})
		VPXORQ(l, h.lo[i], l)
		VPANDQ(keep, l, l)
		VMOVDQU64(Mem{Base: acc, Disp: 64 * i}, z)
		VPXORQ(l, z, left, z)
		VMOVDQU64(z, Mem{Base: acc, Disp: 64 * i})
	}
	next(turns, 8*n, acc, lo, hi, clo, chi, at)
}

// look512 looks a bit up in the block of a leaf at a public point.
func look512() {
	const n = 4
	turned("look512", "acc, lo, hi, clo, chi, at *uint64, keys *[176]byte, turns int, mask uint64",
		"adds to each of 32 words of acc for each of turns > 0 bit number at AND mask of H(node) XOR (the correction block if the node's lowest bit is set).")
	acc, lo, hi, clo, chi, at := param("acc"), param("lo"), param("hi"), param("clo"), param("chi"), param("at")
	key := hashKeys()
	turns := param("turns")
	mask, one, low, high := ZMM(), constant(1), constant(63), constant(64)
	VPBROADCASTQ(param("mask"), mask)
	Label("turn")
	h := hash(key, n, loadPlanes(lo, hi))
	for i := range n {
		l, z := ZMM(), ZMM()
		t, upper := K(), K()
		VMOVDQU64(Mem{Base: lo, Disp: 64 * i}, l)
		VPTESTMQ(one, l, t)
		VPXORQ(Mem{Base: clo, Disp: 64 * i}, h.lo[i], t, h.lo[i])
		VPXORQ(Mem{Base: chi, Disp: 64 * i}, h.hi[i], t, h.hi[i])
		VPANDQ(Mem{Base: at, Disp: 64 * i}, mask, z)
		VPTESTMQ(high, z, upper)
		VMOVDQA64(h.hi[i], upper, h.lo[i])
		VPANDQ(low, z, z)
		VPSRLVQ(z, h.lo[i], h.lo[i])
		VPANDQ(one, h.lo[i], h.lo[i])
		VPXORQ(Mem{Base: acc, Disp: 64 * i}, h.lo[i], h.lo[i])
		VMOVDQU64(h.lo[i], Mem{Base: acc, Disp: 64 * i})
	}
	next(turns, 8*n, acc, lo, hi, clo, chi, at)
}

// both hashes two vectors of nodes and of nodes XOR delta.
func both(key [hashRounds]reg.VecVirtual, n int, lo, hi, dlo, dhi reg.GPVirtual) (h planes) {
	return hash(key, 2*n, func(i int, l, u reg.VecVirtual) {
		loadPlanes(lo, hi)(i%n, l, u)
		if i >= n {
			VPXORQ(Mem{Base: dlo, Disp: 64 * (i - n)}, l, l)
			VPXORQ(Mem{Base: dhi, Disp: 64 * (i - n)}, u, u)
		}
	})
}

// grow512 makes the correction words of one level and goes down to the point of the key.
func grow512() {
	const n = 2
	turned("grow512", "clo, chi, lo, hi, dlo, dhi, at *uint64, keys *[176]byte, turns int, bit uint64",
		fmt.Sprintf("writes for each of %d nodes for each of turns > 0 the correction word c = H(node) XOR H(node XOR delta) XOR (delta unless at has bit), and replaces the node by H(node) XOR (node if at has bit) XOR (c if the node's lowest bit is set).", 8*n))
	clo, chi, lo, hi, dlo, dhi, at := param("clo"), param("chi"), param("lo"), param("hi"), param("dlo"), param("dhi"), param("at")
	key := hashKeys()
	turns := param("turns")
	bit, one := ZMM(), constant(1)
	VPBROADCASTQ(param("bit"), bit)
	Label("turn")
	h := both(key, n, lo, hi, dlo, dhi)
	for i := range n {
		z, l, u := ZMM(), ZMM(), ZMM()
		t, right, left := K(), K(), K()
		loadPlanes(lo, hi)(i, l, u)
		VMOVDQU64(Mem{Base: at, Disp: 64 * i}, z)
		VPTESTMQ(one, l, t)
		VPTESTMQ(bit, z, right)
		VPTESTNMQ(bit, z, left)
		c := planes{h.lo[n:], h.hi[n:]}
		VPXORQ(h.lo[i], c.lo[i], c.lo[i])
		VPXORQ(h.hi[i], c.hi[i], c.hi[i])
		VPXORQ(Mem{Base: dlo, Disp: 64 * i}, c.lo[i], left, c.lo[i])
		VPXORQ(Mem{Base: dhi, Disp: 64 * i}, c.hi[i], left, c.hi[i])
		VMOVDQU64(c.lo[i], Mem{Base: clo, Disp: 64 * i})
		VMOVDQU64(c.hi[i], Mem{Base: chi, Disp: 64 * i})
		VPXORQ(l, h.lo[i], right, h.lo[i])
		VPXORQ(u, h.hi[i], right, h.hi[i])
		VPXORQ(c.lo[i], h.lo[i], t, h.lo[i])
		VPXORQ(c.hi[i], h.hi[i], t, h.hi[i])
		VMOVDQU64(h.lo[i], Mem{Base: lo, Disp: 64 * i})
		VMOVDQU64(h.hi[i], Mem{Base: hi, Disp: 64 * i})
	}
	next(turns, 8*n, clo, chi, lo, hi, dlo, dhi, at)
}

// pair512 hashes both parties' nodes.
func pair512() {
	const n = 2
	turned("pair512", "clo, chi, lo, hi, dlo, dhi *uint64, keys *[176]byte, turns int",
		fmt.Sprintf("writes H(node) XOR H(node XOR delta) for each of %d nodes for each of turns > 0.", 8*n))
	clo, chi, lo, hi, dlo, dhi := param("clo"), param("chi"), param("lo"), param("hi"), param("dlo"), param("dhi")
	key := hashKeys()
	turns := param("turns")
	Label("turn")
	h := both(key, n, lo, hi, dlo, dhi)
	for i := range n {
		VPXORQ(h.lo[n+i], h.lo[i], h.lo[i])
		VPXORQ(h.hi[n+i], h.hi[i], h.hi[i])
		VMOVDQU64(h.lo[i], Mem{Base: clo, Disp: 64 * i})
		VMOVDQU64(h.hi[i], Mem{Base: chi, Disp: 64 * i})
	}
	next(turns, 8*n, clo, chi, lo, hi, dlo, dhi)
}

// hash512 hashes nodes for the values that they give.
func hash512() {
	const n = 4
	turned("hash512", "glo, ghi, lo, hi *uint64, keys *[176]byte, turns int, tweak uint64",
		fmt.Sprintf("writes H(node XOR tweak), tweak in the upper word, for each of %d nodes for each of turns > 0.", 8*n))
	glo, ghi, lo, hi := param("glo"), param("ghi"), param("lo"), param("hi")
	key := hashKeys()
	turns := param("turns")
	tweak := ZMM()
	VPBROADCASTQ(param("tweak"), tweak)
	Label("turn")
	h := hash(key, n, func(i int, l, u reg.VecVirtual) {
		loadPlanes(lo, hi)(i, l, u)
		VPXORQ(tweak, u, u)
	})
	for i := range n {
		VMOVDQU64(h.lo[i], Mem{Base: glo, Disp: 64 * i})
		VMOVDQU64(h.hi[i], Mem{Base: ghi, Disp: 64 * i})
	}
	next(turns, 8*n, glo, ghi, lo, hi)
}

// take512 adds what a level gives at a public point.
func take512() {
	const n = 4
	turned("take512", "acc, h, v, lo, at *uint64, turns int, bit, shift uint64",
		fmt.Sprintf("adds to each of %d words of acc for each of turns > 0, where at does not have bit, h >> shift and, if lo is odd, v >> shift.", 8*n))
	acc, h, v, lo, at := param("acc"), param("h"), param("v"), param("lo"), param("at")
	turns := param("turns")
	bit, shift, one := ZMM(), ZMM(), constant(1)
	VPBROADCASTQ(param("bit"), bit)
	VPBROADCASTQ(param("shift"), shift)
	Label("turn")
	for i := range n {
		x, y, z := ZMM(), ZMM(), ZMM()
		t, left := K(), K()
		VPTESTMQ(Mem{Base: lo, Disp: 64 * i}, one, t)
		VPTESTNMQ(Mem{Base: at, Disp: 64 * i}, bit, left)
		VMOVDQU64(Mem{Base: h, Disp: 64 * i}, x)
		VPSRLVQ(shift, x, x)
		VMOVDQU64(Mem{Base: v, Disp: 64 * i}, y)
		VPSRLVQ(shift, y, y)
		VPADDQ(y, x, t, x)
		VMOVDQU64(Mem{Base: acc, Disp: 64 * i}, z)
		VPADDQ(x, z, left, z)
		VMOVDQU64(z, Mem{Base: acc, Disp: 64 * i})
	}
	next(turns, 8*n, acc, h, v, lo, at)
}

// give512 makes correction words of values.
func give512() {
	const n = 4
	turned("give512", "c, beta, h0, h1, lo, at *uint64, turns int, bit, low, shift uint64",
		fmt.Sprintf("adds to each of %d words of c for each of turns > 0, by OR, (v AND low) << shift, v = (beta if at has all of bit) - (h0 >> shift) + (h1 >> shift), or -v if lo is even.", 8*n))
	c, beta, h0, h1, lo, at := param("c"), param("beta"), param("h0"), param("h1"), param("lo"), param("at")
	turns := param("turns")
	bit, low, shift, one, zero := ZMM(), ZMM(), ZMM(), constant(1), ZMM()
	VPBROADCASTQ(param("bit"), bit)
	VPBROADCASTQ(param("low"), low)
	VPBROADCASTQ(param("shift"), shift)
	VPXORQ(zero, zero, zero)
	Label("turn")
	for i := range n {
		v, x := ZMM(), ZMM()
		on, even := K(), K()
		VPANDQ(Mem{Base: at, Disp: 64 * i}, bit, x)
		VPCMPEQQ(bit, x, on)
		VPTESTNMQ(Mem{Base: lo, Disp: 64 * i}, one, even)
		VMOVDQU64_Z(Mem{Base: beta, Disp: 64 * i}, on, v)
		VMOVDQU64(Mem{Base: h0, Disp: 64 * i}, x)
		VPSRLVQ(shift, x, x)
		VPSUBQ(x, v, v)
		VMOVDQU64(Mem{Base: h1, Disp: 64 * i}, x)
		VPSRLVQ(shift, x, x)
		VPADDQ(x, v, v)
		VPSUBQ(v, zero, even, v)
		VPANDQ(low, v, v)
		VPSLLVQ(shift, v, v)
		VPORQ(Mem{Base: c, Disp: 64 * i}, v, v)
		VMOVDQU64(v, Mem{Base: c, Disp: 64 * i})
	}
	next(turns, 8*n, c, beta, h0, h1, lo, at)
}
