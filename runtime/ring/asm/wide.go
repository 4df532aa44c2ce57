package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// unary writes a kernel of one source and, if by is not empty, one more operand, the same for all words.
func unary(name, equation, by string, op func(x, by reg.VecVirtual)) {
	args := "func(d, a *uint64, n int"
	if by != "" {
		args += ", " + by + " uint64"
	}
	TEXT(name, NOSPLIT, args+")")
	Pragma("noescape")
	Doc(name + " computes d = " + equation + " for n words.")
	d, a, n := param("d"), param("a"), param("n")
	var operand reg.VecVirtual
	if by != "" {
		operand = fill(by)
	}
	eights(n, func(mask reg.OpmaskVirtual) {
		x := load(mem(a), mask)
		op(x, operand)
		store(x, mem(d), mask)
	}, advance(d, a))
}

// spread512 sets words to one word.
func spread512() {
	TEXT("spread512", NOSPLIT, "func(d *uint64, n int, w uint64)")
	Pragma("noescape")
	Doc("spread512 sets n words of d to w.")
	d, n, w := param("d"), param("n"), fill("w")
	eights(n, func(mask reg.OpmaskVirtual) { store(w, mem(d), mask) }, advance(d))
}

// wide writes the kernels for words of few bits less than 64: word i of eight, of which each has bits bits, begins i*(64-bits) bits before
// word i of the packed eight, so that each word on either side is made of two neighbours on the other.
func wide() {
	args := "groups int, shift *uint64, bits int, mask, bytes uint64"
	begin := func(name string, combined bool, doc ...string) (dst, src, groups, bits reg.GPVirtual, own reg.GPVirtual, shift, rest, keep reg.VecVirtual, bytes reg.OpmaskVirtual) {
		first := "dst *uint64, src *byte, "
		switch {
		case combined:
			first = "dst, own *uint64, src *byte, "
		case name == "packWide512":
			first = "dst *byte, src *uint64, "
		}
		TEXT(name, NOSPLIT, "func("+first+args+")")
		Pragma("noescape")
		Doc(doc...)
		dst, src, groups, bits = param("dst"), param("src"), param("groups"), param("bits")
		if combined {
			own = param("own")
		}
		shift, rest, keep, bytes = ZMM(), ZMM(), fill("mask"), K()
		VMOVDQU64(Mem{Base: param("shift")}, shift)
		KMOVQ(param("bytes"), bytes)
		return dst, src, groups, bits, own, shift, rest, keep, bytes
	}
	end := func(groups reg.GPVirtual) {
		DECQ(groups)
		JNZ(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
	dst, src, groups, bits, _, shift, rest, keep, bytes := begin("packWide512", false,
		"packWide512 packs the bits of mask of eight words, bits in number, at least 57, to as many bytes, groups times, groups > 0.",
		"shift has i*(64-bits) for word i; bytes are the bytes in use.")
	zero := ZMM()
	VPXORQ(zero, zero, zero)
	VPBROADCASTQ(bits, rest)
	VPSUBQ(shift, rest, rest)
	Label("loop")
	x, y := ZMM(), ZMM()
	VPANDQ(mem(src), keep, x)
	VALIGNQ(Imm(1), x, zero, y) // the word behind each
	VPSRLVQ(shift, x, x)
	VPSLLVQ(rest, y, y)
	VPORQ(x, y, y)
	VMOVDQU8(y, bytes, mem(dst))
	ADDQ(Imm(64), src)
	ADDQ(bits, dst)
	end(groups)

	for _, k := range []struct {
		name, what string
		combine    ops3
	}{{"unpackWide512", "", nil}, {"unpackWideAdd512", ", with own added mod mask + 1", VPADDQ}, {"unpackWideXor512", ", XORed with own", VPXORQ}} {
		dst, src, groups, bits, own, shift, rest, keep, bytes := begin(k.name, k.combine != nil, k.name+" is the inverse of packWide512"+k.what+"; reads the bytes in use only.")
		VPSUBQ(shift, constant(64), rest)
		Label("loop")
		x, y := ZMM(), ZMM()
		VMOVDQU8_Z(mem(src), bytes, x)
		VALIGNQ(Imm(7), x, x, y) // the word before each; of the first nothing is used
		VPSLLVQ(shift, x, x)
		VPSRLVQ(rest, y, y)
		VPORQ(y, x, x)
		if k.combine != nil {
			k.combine(mem(own), x, x)
			ADDQ(Imm(64), own)
		}
		VPANDQ(keep, x, x)
		VMOVDQU64(x, mem(dst))
		ADDQ(bits, src)
		ADDQ(Imm(64), dst)
		end(groups)
	}
}
