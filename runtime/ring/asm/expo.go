package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// An exponential is what its kernels need besides their operands.
type exponential struct {
	factors                         reg.GPVirtual
	low32, low36, bit53, bit63, six reg.VecVirtual
}

func newExponential() *exponential {
	return &exponential{param("factors"), constant(1<<32 - 1), constant(1<<36 - 1), constant(1 << 53), constant(1 << 63), constant(0xaaaaaaab)}
}

// high returns the upper half of the products of y and a factor whose lower and upper halves are the lower halves of words of lo and hi.
func (e *exponential) high(y, lo, hi reg.VecVirtual) reg.VecVirtual {
	up, a, b, c, d := ZMM(), ZMM(), ZMM(), ZMM(), ZMM()
	VPSRLQ(Imm(32), y, up)
	VPMULUDQ(y, lo, a)
	VPMULUDQ(up, lo, b)
	VPMULUDQ(y, hi, c)
	VPMULUDQ(up, hi, d)
	VPSRLQ(Imm(32), a, a)
	VPADDQ(a, b, b) // below 2^64
	VPANDQ(e.low32, b, a)
	VPADDQ(a, c, c)
	VPSRLQ(Imm(32), b, b)
	VPSRLQ(Imm(32), c, c)
	VPADDQ(b, d, d)
	VPADDQ(c, d, d)
	return d
}

// upper returns the upper halves of words.
func upper(x reg.VecVirtual) reg.VecVirtual {
	y := ZMM()
	VPSRLQ(Imm(32), x, y)
	return y
}

// neg is expNeg of package ring.
func (e *exponential) neg(z reg.VecVirtual) reg.VecVirtual {
	w, twice, y := ZMM(), ZMM(), ZMM()
	VPANDQ(e.low36, z, w)
	VPSLLQ(Imm(16), w, twice)
	VPSLLQ(Imm(15), w, w)
	half := upper(twice)
	w2 := e.high(w, twice, half)
	w3 := e.high(w2, twice, half)
	VPMULUDQ(e.six, w3, w3) // a sixth of what is below 2^27
	VPSRLQ(Imm(34), w3, w3)
	VPSRLQ(Imm(1), w2, w2)
	VPSUBQ(w, e.bit63, y)
	VPADDQ(w2, y, y)
	VPSUBQ(w3, y, y)
	bit := ZMM()
	VMOVDQA64(e.bit53, bit)
	for j := range 18 {
		lo, hi, on := ZMM(), ZMM(), K()
		VPBROADCASTD(Mem{Base: e.factors, Disp: 8 * j}, lo)
		VPBROADCASTD(Mem{Base: e.factors, Disp: 8*j + 4}, hi)
		VPTESTMQ(bit, z, on)
		VMOVDQA64(e.high(y, lo, hi), on, y)
		if j < 17 {
			VPSRLQ(Imm(1), bit, bit)
		}
	}
	return y
}

// scaled returns y * k / 2^63 rounded, from 2k and its upper halves.
func (e *exponential) scaled(y, twice, half reg.VecVirtual) reg.VecVirtual {
	lo := ZMM()
	VPMULLQ(twice, y, lo)
	VPSRLQ(Imm(63), lo, lo)
	VPADDQ(e.high(y, twice, half), lo, lo)
	return lo
}

func expo512() {
	TEXT("expo512", NOSPLIT, "func(d, m, g0, g1 *uint64, n int, add, low, top, rate, twice uint64, factors *uint64)")
	Pragma("noescape")
	Doc("expo512 computes d = scaled(expNeg((low + 1 - (m + add AND low)) * rate), twice/2) * g for n words, g = g1 where m + add has a bit of top, else g0; factors are expFactors.")
	d, m, g0, g1, n := param("d"), param("m"), param("g0"), param("g1"), param("n")
	add, low, top, rate, twice := fill("add"), fill("low"), fill("top"), fill("rate"), fill("twice")
	half, full := upper(twice), ZMM()
	e := newExponential()
	VPADDQ(constant(1), low, full)
	eights(n, func(mask reg.OpmaskVirtual) {
		u, z, t := load(mem(m), mask), ZMM(), K()
		VPADDQ(add, u, u)
		VPTESTMQ(top, u, t)
		VPANDQ(low, u, u)
		VPSUBQ(u, full, z)
		VPMULLQ(rate, z, z)
		y := e.scaled(e.neg(z), twice, half)
		g := load(mem(g0), mask)
		VMOVDQA64(load(mem(g1), mask), t, g)
		VPMULLQ(g, y, y)
		store(y, mem(d), mask)
	}, advance(d, m, g0, g1))
}

func decay512() {
	TEXT("decay512", NOSPLIT, "func(d, r *uint64, n int, add, low, rate, twice uint64, factors *uint64)")
	Pragma("noescape")
	Doc("decay512 computes d = scaled(expNeg((r + add AND low) * rate), twice/2) for n words; factors are expFactors.")
	d, r, n := param("d"), param("r"), param("n")
	add, low, rate, twice := fill("add"), fill("low"), fill("rate"), fill("twice")
	half := upper(twice)
	e := newExponential()
	eights(n, func(mask reg.OpmaskVirtual) {
		z := load(mem(r), mask)
		VPADDQ(add, z, z)
		VPANDQ(low, z, z)
		VPMULLQ(rate, z, z)
		store(e.scaled(e.neg(z), twice, half), mem(d), mask)
	}, advance(d, r))
}
