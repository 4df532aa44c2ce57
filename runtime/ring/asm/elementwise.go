package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// elementwise writes the kernels that treat eight words at a time, each like the others.
func elementwise() {
	binary("add512", "a + b", VPADDQ)
	binary("sub512", "a - b", VPSUBQ)
	binary("mul512", "a * b", VPMULLQ)
	binary("xor512", "a XOR b", VPXORQ)
	binary("and512", "a AND b", VPANDQ)
	unary("neg512", "-a", "", func(x, _ reg.VecVirtual) {
		zero := ZMM()
		VPXORQ(zero, zero, zero)
		VPSUBQ(x, zero, x)
	})
	unary("shl512", "a << by", "by", func(x, by reg.VecVirtual) { VPSLLVQ(by, x, x) })
	unary("extend512", "a << by >> by, signed", "by", func(x, by reg.VecVirtual) {
		VPSLLVQ(by, x, x)
		VPSRAVQ(by, x, x)
	})
	spread512()
	wide()
	wave512()
	wireMul512()
	finish512()
	expo512()
	decay512()
	cut512()
	reluSel512()
	leaf512()
	oneHot512()
	mono512()
	for w := 1; w <= 3; w++ {
		merge512(w)
	}
	pack512()
	packBits512()
	prefetch("prefetch", "uint64")
	prefetch("prefetchBytes", "byte")
	every2()
	resize()
	resizeBytes()
	unpack("unpack512", "", nil)
	unpack("unpackAdd512", ", with own added mod mask + 1", VPADDQ)
	unpack("unpackXor512", ", XORed with own", VPXORQ)
}

type ops3 = func(...Op)

// eights runs body for each vector of n words, the last with a mask of the words there are (nil otherwise), then step.
func eights(n reg.GPVirtual, body func(mask reg.OpmaskVirtual), step func()) {
	SUBQ(Imm(8), n)
	JLT(LabelRef("rest"))
	Label("loop")
	body(nil)
	step()
	SUBQ(Imm(8), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(8), n)
	JZ(LabelRef("done"))
	body(firstBits(n))
	Label("done")
	VZEROUPPER()
	RET()
}

// load reads a vector, or the words of it that the mask has.
func load(at Mem, mask reg.OpmaskVirtual) reg.VecVirtual {
	z := ZMM()
	if mask == nil {
		VMOVDQU64(at, z)
	} else {
		VMOVDQU64_Z(at, mask, z)
	}
	return z
}

func store(z reg.VecVirtual, at Mem, mask reg.OpmaskVirtual) {
	if mask == nil {
		VMOVDQU64(z, at)
	} else {
		VMOVDQU64(z, mask, at)
	}
}

// fill returns a vector of one parameter.
func fill(name string) reg.VecVirtual {
	z := ZMM()
	VPBROADCASTQ(param(name), z)
	return z
}

func mem(r reg.GPVirtual) Mem { return Mem{Base: r} }

// advance adds 64 to addresses.
func advance(r ...reg.GPVirtual) func() {
	return func() {
		for _, x := range r {
			ADDQ(Imm(64), x)
		}
	}
}

func binary(name, equation string, op ops3) {
	TEXT(name, NOSPLIT, "func(d, a, b *uint64, n int)")
	Pragma("noescape")
	Doc(name + " computes d = " + equation + " for n words.")
	d, a, b, n := param("d"), param("a"), param("b"), param("n")
	eights(n, func(mask reg.OpmaskVirtual) {
		x, y := load(mem(a), mask), load(mem(b), mask)
		op(y, x, x)
		store(x, mem(d), mask)
	}, advance(d, a, b))
}

func cut512() {
	TEXT("cut512", NOSPLIT, "func(d, a *uint64, n int, add, by, mask uint64)")
	Pragma("noescape")
	Doc("cut512 computes d = ((a + add) >> by) AND mask for n words.")
	d, a, n := param("d"), param("a"), param("n")
	add, by, keep := fill("add"), fill("by"), fill("mask")
	eights(n, func(mask reg.OpmaskVirtual) {
		x := load(mem(a), mask)
		VPADDQ(add, x, x)
		VPSRLVQ(by, x, x)
		VPANDQ(keep, x, x)
		store(x, mem(d), mask)
	}, advance(d, a))
}

func reluSel512() {
	TEXT("reluSel512", NOSPLIT, "func(d, m, delta, s, r0, r1, sr0, sr1 *uint64, n int, top, first uint64)")
	Pragma("noescape")
	Doc("reluSel512 computes d = m*(first*delta + (1-2*delta)*s) - (delta*r_t + (1-2*delta)*sr_t) for n words, where delta is 0 or 1, first an all-ones or zero word and t says whether m has a bit of top.")
	var p []reg.GPVirtual
	for _, name := range []string{"d", "m", "delta", "s", "r0", "r1", "sr0", "sr1"} {
		p = append(p, param(name))
	}
	n := param("n")
	top, first := fill("top"), fill("first")
	zero := ZMM()
	VPXORQ(zero, zero, zero)
	eights(n, func(mask reg.OpmaskVirtual) {
		m, delta, s := load(mem(p[1]), mask), load(mem(p[2]), mask), load(mem(p[3]), mask)
		r, sr := load(mem(p[4]), mask), load(mem(p[6]), mask)
		r1, sr1 := load(mem(p[5]), mask), load(mem(p[7]), mask)
		t, set := K(), K()
		VPTESTMQ(top, m, t)
		VMOVDQA64(r1, t, r)
		VMOVDQA64(sr1, t, sr)
		VPTESTMQ(delta, delta, set)
		// Where delta is set: B = first - s and the rest r - sr, else B = s and the rest sr.
		delta = ZMM()
		VPANDQ_Z(first, first, set, delta) // first is all ones or zero: -1 or 0 here
		neg := ZMM()
		VPSUBQ(s, zero, neg)
		VMOVDQA64(neg, set, s)
		VPSUBQ(delta, s, s)
		VPSUBQ(sr, r, r)
		VMOVDQA64(r, set, sr)
		VPMULLQ(m, s, s)
		VPSUBQ(sr, s, s)
		store(s, mem(p[0]), mask)
	}, advance(p...))
}

// constant returns a vector of one word that does not change.
func constant(w uint64) reg.VecVirtual {
	r, z := GP64(), ZMM()
	MOVQ(U64(w), r)
	VPBROADCASTQ(r, z)
	return z
}

// digits returns four lanes of 16 bits with the digits that the control picks from each word of x.
func digits(x, control, low reg.VecVirtual) reg.VecVirtual {
	v := ZMM()
	VPMULTISHIFTQB(x, control, v)
	VPANDQ(low, v, v)
	return v
}

func leaf512() {
	TEXT("leaf512", NOSPLIT, "func(d, a, hot0, hot1 *uint64, n int, low, control0, control1, mask, at uint64)")
	Pragma("noescape")
	Doc("leaf512 looks up four digits of a AND low in the lanes of 16 bits of hot0 and four in hot1; a byte of control has the shift of each.",
		"The parities above the digits are bits 0..7, the bits at them bits 8..15; d = (that AND mask) with the upper byte moved to at.")
	d, a, hot0, hot1, n := param("d"), param("a"), param("hot0"), param("hot1"), param("n")
	low, up := fill("low"), fill("at")
	control := [2]reg.VecVirtual{fill("control0"), fill("control1")}
	// What is kept of the parities, and of the bits where they will be.
	lts, eqs, byte0 := ZMM(), fill("mask"), constant(0xff)
	VPANDQ(byte0, eqs, lts)
	VPSRLQ(Imm(8), eqs, eqs)
	VPSLLVQ(up, eqs, eqs)
	fifteen, lower, nibbles := constant(0x000f000f000f000f), constant(0x00ff00ff00ff00ff), constant(0x0f0f0f0f0f0f0f0f)
	ones, weights := constant(0x1111111111111111), constant(0x0008000400020001)
	eights(n, func(mask reg.OpmaskVirtual) {
		x := load(mem(a), mask)
		VPANDQ(low, x, x)
		var lanes [2]reg.VecVirtual // bit 0 of each lane is the parity, bit 8 the bit, and there is garbage
		for i, hot := range []reg.GPVirtual{hot0, hot1} {
			v := digits(x, control[i], fifteen)
			t, u := load(mem(hot), mask), ZMM()
			VPSRLVW(v, t, t)
			VPOPCNTW(t, u)
			VPXORQ(t, u, u)
			VPSLLW(Imm(8), t, t)
			VPTERNLOGQ(U8(0xd8), lower, u, t) // u where lower is set, t elsewhere
			lanes[i] = t
		}
		y := ZMM()
		VPSLLW(Imm(4), lanes[1], y)
		VPTERNLOGQ(U8(0xd8), nibbles, lanes[0], y)
		VPANDQ(ones, y, y)
		VPMADDWD(weights, y, y) // lane j moves up by j; lanes 0 and 1, 2 and 3 come together
		VPSRLQ(Imm(32), y, x)
		VPORQ(x, y, y)
		VPSRLQ(Imm(8), y, x)
		VPANDQ(byte0, x, x)
		VPSLLVQ(up, x, x)
		VPANDQ(eqs, x, x)
		VPANDQ(lts, y, y)
		VPORQ(x, y, y)
		store(y, mem(d), mask)
	}, advance(d, a, hot0, hot1))
}

func oneHot512() {
	TEXT("oneHot512", NOSPLIT, "func(d, a *uint64, n int, low, control, ones uint64)")
	Pragma("noescape")
	Doc("oneHot512 sets d to ones with each lane of 16 bits shifted left by a digit of a AND low; a byte of control has the shift of each.")
	d, a, n := param("d"), param("a"), param("n")
	low, control, ones := fill("low"), fill("control"), fill("ones")
	fifteen := constant(0x000f000f000f000f)
	eights(n, func(mask reg.OpmaskVirtual) {
		x := load(mem(a), mask)
		VPANDQ(low, x, x)
		v := digits(x, control, fifteen)
		VPSLLVW(v, ones, v)
		store(v, mem(d), mask)
	}, advance(d, a))
}

func mono512() {
	TEXT("mono512", NOSPLIT, "func(d, a *uint64, n int, sets *uint16, mask uint64)")
	Pragma("noescape")
	Doc("mono512 sets bit i of d to whether the lower 16 bits of a have all bits of sets[i], i < 64, AND bit i of mask, for n words, n > 0.")
	d, a, n, sets := param("d"), param("a"), param("n"), param("sets")
	keep, g := K(), param("mask")
	KMOVQ(g, keep)
	lo, hi, all := ZMM(), ZMM(), ZMM()
	VMOVDQU64(Mem{Base: sets}, lo)
	VMOVDQU64(Mem{Base: sets, Disp: 64}, hi)
	VPTERNLOGQ(U8(0xff), all, all, all)
	Label("loop")
	x := ZMM()
	VPBROADCASTW(mem(a), x)
	VPXORQ(all, x, x)
	k0, k1, k := K(), K(), K()
	VPTESTNMW(lo, x, k0)
	VPTESTNMW(hi, x, k1)
	KUNPCKDQ(k0, k1, k)
	KANDQ(keep, k, k)
	KMOVQ(k, mem(d))
	ADDQ(Imm(8), a)
	ADDQ(Imm(8), d)
	DECQ(n)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func merge512(words int) {
	name := fmt.Sprintf("merge512w%d", words)
	TEXT(name, NOSPLIT, "func(d, index, a, p0, p1, p2 *uint64, n int, table *uint64, rows, top, keep, shift uint64)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes d = (d AND keep) OR (parity of ((a OR top) AND t0) XOR (p0 AND t1) ... << shift) for n words, with %d of p0, p1, p2 and t0.. the row of 4 words of table with number index AND rows.", name, words))
	d, index, a, n, table := param("d"), param("index"), param("a"), param("n"), param("table")
	all := []reg.GPVirtual{d, index, a}
	var p []reg.GPVirtual
	for i := range words {
		p = append(p, param(fmt.Sprintf("p%d", i)))
	}
	all = append(all, p...)
	rows, top, keep, shift := fill("rows"), fill("top"), fill("keep"), fill("shift")
	last := param("rows")
	one, whole, g := constant(1), K(), GP64()
	MOVQ(U32(0xff), g)
	KMOVQ(g, whole)
	// even picks what eight rows have in words 0 and 1 after pairs of words were put together, odd in words 2 and 3.
	var pick [2]reg.VecVirtual
	for i, name := range []string{"even", "odd"} {
		order := GLOBL(fmt.Sprintf("%s%d", name, words), RODATA|NOPTR)
		for j, x := range []int{0, 4, 1, 5, 8, 12, 9, 13} {
			DATA(8*j, U64(x+2*i))
		}
		pick[i] = ZMM()
		VMOVDQU64(order, pick[i])
	}
	eights(n, func(mask reg.OpmaskVirtual) {
		var row [4]reg.VecVirtual // by word of the table
		if mask == nil {
			// A row is one load for all of its words, where a gather is one for each.
			var two [4]reg.VecVirtual
			for i := range two {
				two[i] = ZMM()
				for j := range 2 {
					at := GP64()
					MOVQ(Mem{Base: index, Disp: 16*i + 8*j}, at)
					ANDQ(last, at)
					SHLQ(Imm(5), at)
					if j == 0 {
						VMOVDQU(Mem{Base: table, Index: at, Scale: 1}, two[i].AsY())
					} else {
						VINSERTI64X4(Imm(1), Mem{Base: table, Index: at, Scale: 1}, two[i], two[i])
					}
				}
			}
			for half, join := range []ops3{VPUNPCKLQDQ, VPUNPCKHQDQ} { // words 0 and 2, then 1 and 3
				x, y := ZMM(), ZMM()
				join(two[1], two[0], x)
				join(two[3], two[2], y)
				for i := range pick {
					if w := half + 2*i; w <= words {
						row[w] = ZMM()
						VMOVDQA64(pick[i], row[w])
						VPERMI2Q(y, x, row[w])
					}
				}
			}
		} else {
			at := load(mem(index), mask)
			VPANDQ(rows, at, at)
			VPSLLQ(Imm(2), at, at)
			for i := range words + 1 {
				k := K()
				row[i] = ZMM()
				KMOVQ(whole, k) // a gather uses up its mask
				VPXORQ(row[i], row[i], row[i])
				VPGATHERQQ(Mem{Base: table, Index: at, Scale: 8, Disp: 8 * i}, k, row[i])
			}
		}
		x := load(mem(a), mask)
		VPORQ(top, x, x)
		VPANDQ(row[0], x, x)
		for i := range p {
			y := load(mem(p[i]), mask)
			VPTERNLOGQ(U8(0x78), row[i+1], y, x) // x XOR (y AND row)
		}
		VPOPCNTQ(x, x)
		VPANDQ(one, x, x)
		VPSLLVQ(shift, x, x)
		y := load(mem(d), mask)
		VPTERNLOGQ(U8(0xf8), keep, y, x) // x OR (y AND keep)
		store(x, mem(d), mask)
	}, advance(all...))
}

func pack512() {
	TEXT("pack512", NOSPLIT, "func(dst *byte, src *uint64, groups int, shift *uint64, even, odd *byte, evens, odds uint64, bits int, mask, bytes uint64)")
	Pragma("noescape")
	Doc("pack512 packs the bits of mask of eight words, bits in number, to as many bytes, groups times, groups > 0: a word is shifted to its place within a byte;",
		"even and odd say which byte of the words goes where, for words of even and odd number, which share bytes; evens, odds and bytes are the bytes in use.")
	dst, src, groups := param("dst"), param("src"), param("groups")
	table := func(name string) reg.VecVirtual {
		z := ZMM()
		VMOVDQU64(Mem{Base: param(name)}, z)
		return z
	}
	opmask := func(name string) reg.OpmaskVirtual {
		k := K()
		KMOVQ(param(name), k)
		return k
	}
	shift, even, odd := table("shift"), table("even"), table("odd")
	evens, odds, bytes := opmask("evens"), opmask("odds"), opmask("bytes")
	bits, keep := param("bits"), fill("mask")
	Label("loop")
	x, y, z := ZMM(), ZMM(), ZMM()
	VPANDQ(mem(src), keep, x)
	VPSLLVQ(shift, x, x)
	VPERMB_Z(x, even, evens, y)
	VPERMB_Z(x, odd, odds, z)
	VPORQ(y, z, z)
	VMOVDQU8(z, bytes, mem(dst))
	ADDQ(Imm(64), src)
	ADDQ(bits, dst)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func packBits512() {
	TEXT("packBits512", NOSPLIT, "func(dst *byte, src *uint64, groups int)")
	Pragma("noescape")
	Doc("packBits512 packs the lowest bits of eight words to a byte, groups times, groups > 0.")
	dst, src, groups := param("dst"), param("src"), param("groups")
	one := constant(1)
	Label("loop")
	k := K()
	VPTESTMQ(mem(src), one, k)
	KMOVB(k, mem(dst))
	ADDQ(Imm(64), src)
	INCQ(dst)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

// unpack writes the inverse of pack512, alone or with a combination with words there already.
func unpack(name, what string, combine ops3) {
	args := "dst *uint64, src *byte, groups int, shift *uint64, from *byte, bits int, mask, bytes uint64"
	if combine != nil {
		args = "dst, own *uint64, src *byte, groups int, shift *uint64, from *byte, bits int, mask, bytes uint64"
	}
	TEXT(name, NOSPLIT, "func("+args+")")
	Pragma("noescape")
	Doc(name + " is the inverse of pack512" + what + ": from says which eight bytes a word is in; reads the bytes in use only.")
	dst, src, groups := param("dst"), param("src"), param("groups")
	var own reg.GPVirtual
	if combine != nil {
		own = param("own")
	}
	shift, from, bytes := ZMM(), ZMM(), K()
	VMOVDQU64(Mem{Base: param("shift")}, shift)
	VMOVDQU64(Mem{Base: param("from")}, from)
	KMOVQ(param("bytes"), bytes)
	bits, keep := param("bits"), fill("mask")
	Label("loop")
	x := ZMM()
	VMOVDQU8_Z(mem(src), bytes, x)
	VPERMB(x, from, x)
	VPSRLVQ(shift, x, x)
	if combine != nil {
		combine(mem(own), x, x) // what is above the word reaches higher bits only
		ADDQ(Imm(64), own)
	}
	VPANDQ(keep, x, x)
	VMOVDQU64(x, mem(dst))
	ADDQ(bits, src)
	ADDQ(Imm(64), dst)
	DECQ(groups)
	JNZ(LabelRef("loop"))
	VZEROUPPER()
	RET()
}

func prefetch(name, of string) {
	TEXT(name, NOSPLIT, "func(a *"+of+", lines int)")
	Pragma("noescape")
	Doc(name + " asks for cache lines of 64 bytes to be brought to the second-level cache, lines > 0.")
	a, lines := param("a"), param("lines")
	Label("loop")
	PREFETCHT1(mem(a))
	ADDQ(Imm(64), a)
	DECQ(lines)
	JNZ(LabelRef("loop"))
	RET()
}

func every2() {
	order := GLOBL("every2order", RODATA|NOPTR)
	for i := range 8 {
		DATA(8*i, U64(2*i))
	}
	TEXT("every2", NOSPLIT, "func(d, a *uint64, n int)")
	Pragma("noescape")
	Doc("every2 sets d[i] = a[2i] for i < n, n > 0; it reads a up to word 2n-2.")
	d, a, n := param("d"), param("a"), param("n")
	pick, second, ones := ZMM(), K(), GP64()
	VMOVDQU64(order, pick)
	MOVQ(U32(0x7f), ones) // the last word is not wanted, and may not be there
	KMOVQ(ones, second)
	SUBQ(Imm(8), n)
	JLT(LabelRef("rest"))
	Label("loop")
	x := load(mem(a), nil)
	VPERMT2Q(load(Mem{Base: a, Disp: 64}, second), pick, x)
	store(x, mem(d), nil)
	ADDQ(Imm(128), a)
	ADDQ(Imm(64), d)
	SUBQ(Imm(8), n)
	JGE(LabelRef("loop"))
	Label("rest")
	ADDQ(Imm(8), n)
	JZ(LabelRef("done"))
	words := GP64() // 2n-1 of them, at most 13
	LEAQ(Mem{Base: n, Index: n, Scale: 1, Disp: -1}, words)
	whole := firstBits(words)
	KSHIFTRW(Imm(8), whole, second)
	y := load(mem(a), whole)
	VPERMT2Q(load(Mem{Base: a, Disp: 64}, second), pick, y)
	store(y, mem(d), firstBits(n))
	Label("done")
	VZEROUPPER()
	RET()
}

// resize writes the kernels that keep words in fewer bytes and bring them back.
func resize() {
	for _, x := range []struct {
		width  int
		widen  func(...Op)
		narrow func(...Op)
	}{{1, VPMOVZXBQ, VPMOVQB}, {2, VPMOVZXWQ, VPMOVQW}, {4, VPMOVZXDQ, VPMOVQD}} {
		name := fmt.Sprintf("widen512w%d", x.width)
		TEXT(name, NOSPLIT, "func(d, a *uint64, groups int)")
		Pragma("noescape")
		Doc(fmt.Sprintf("%s sets eight words of d to integers of %d bytes in a, groups times, groups > 0.", name, x.width))
		d, a, groups := param("d"), param("a"), param("groups")
		Label("loop")
		z := ZMM()
		x.widen(mem(a), z)
		VMOVDQU64(z, mem(d))
		ADDQ(Imm(uint64(8*x.width)), a)
		ADDQ(Imm(64), d)
		DECQ(groups)
		JNZ(LabelRef("loop"))
		VZEROUPPER()
		RET()

		name = fmt.Sprintf("narrow512w%d", x.width)
		TEXT(name, NOSPLIT, "func(d, a *uint64, groups int)")
		Pragma("noescape")
		Doc(fmt.Sprintf("%s is the inverse of widen512w%d; higher bits are dropped.", name, x.width))
		d, a, groups = param("d"), param("a"), param("groups")
		Label("loop")
		y := ZMM()
		VMOVDQU64(mem(a), y)
		x.narrow(y, mem(d))
		ADDQ(Imm(uint64(8*x.width)), d)
		ADDQ(Imm(64), a)
		DECQ(groups)
		JNZ(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
}

// resizeBytes writes the kernels that do the same at any number of bytes.
func resizeBytes() {
	args := "func(d, a *uint64, groups int, order *byte, width int)"
	begin := func(name, what string) (d, a, groups, bytes reg.GPVirtual, order reg.VecVirtual, used reg.OpmaskVirtual) {
		TEXT(name, NOSPLIT, args)
		Pragma("noescape")
		Doc(name + " " + what + ", width in 1..7, groups times, groups > 0; order says which byte goes where.")
		d, a, groups, bytes = param("d"), param("a"), param("groups"), param("width")
		order = ZMM()
		VMOVDQU64(Mem{Base: param("order")}, order)
		SHLQ(Imm(3), bytes)
		ones := GP64()
		MOVQ(I32(-1), ones)
		BZHIQ(bytes, ones, ones)
		used = K()
		KMOVQ(ones, used)
		return d, a, groups, bytes, order, used
	}
	end := func(groups reg.GPVirtual) {
		DECQ(groups)
		JNZ(LabelRef("loop"))
		VZEROUPPER()
		RET()
	}
	d, a, groups, bytes, order, used := begin("widenBytes512", "sets eight words of d to integers of width bytes in a")
	keep, ones := K(), GP64()
	MOVQ(U64(0x0101010101010101), ones) // the lowest byte of each word, times 2^width - 1
	mask, width := GP64(), param("width")
	MOVQ(I32(-1), mask)
	BZHIQ(width, mask, mask)
	IMULQ(mask, ones)
	KMOVQ(ones, keep)
	Label("loop")
	z := ZMM()
	VMOVDQU8_Z(mem(a), used, z)
	VPERMB_Z(z, order, keep, z)
	VMOVDQU64(z, mem(d))
	ADDQ(bytes, a)
	ADDQ(Imm(64), d)
	end(groups)

	d, a, groups, bytes, order, used = begin("narrowBytes512", "is the inverse of widenBytes512; higher bits are dropped")
	Label("loop")
	y := ZMM()
	VPERMB(mem(a), order, y)
	VMOVDQU8(y, used, mem(d))
	ADDQ(bytes, d)
	ADDQ(Imm(64), a)
	end(groups)
}
