package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// rounds is the number of round keys of AES-256.
const rounds = 15

// expandKey is the key schedule of AES-256 (FIPS 197, section 5.2).
func expandKey() {
	TEXT("expandKey", NOSPLIT, "func(keys *[240]byte, key *[32]byte)")
	Pragma("noescape")
	Doc("expandKey writes the round keys of AES-256.")
	out, key := param("keys"), param("key")
	k := [2]reg.VecVirtual{XMM(), XMM()}
	for i := range k {
		VMOVDQU(Mem{Base: key, Disp: 16 * i}, k[i])
		VMOVDQU(k[i], Mem{Base: out, Disp: 16 * i})
	}
	rcon := 1
	for r := 2; r < rounds; r++ {
		t, y := XMM(), XMM()
		if r%2 == 0 { // rotated, substituted, with the round constant
			VAESKEYGENASSIST(Imm(uint64(rcon)), k[1], t)
			VPSHUFD(Imm(0xff), t, t)
			rcon *= 2
		} else { // substituted
			VAESKEYGENASSIST(Imm(0), k[0], t)
			VPSHUFD(Imm(0xaa), t, t)
		}
		x := k[r%2]
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

// fill512 writes keystream as integers of the given width: 32 blocks, 512 bytes, in a turn, so that eight vectors are on their way.
func fill512(width int) {
	swap := GLOBL(fmt.Sprintf("swap%d", width), RODATA|NOPTR) // the upper word of each block becomes big-endian
	for i := range 4 {
		DATA(16*i, U64(0x8080808080808080))
		DATA(16*i+8, U64(0x08090a0b0c0d0e0f))
	}
	first := GLOBL(fmt.Sprintf("first%d", width), RODATA|NOPTR) // numbers of the first four blocks
	for i := range 4 {
		DATA(16*i, U64(0))
		DATA(16*i+8, U64(i))
	}
	TEXT(fmt.Sprintf("fill512w%d", width), NOSPLIT, "func(d *uint64, keys *[240]byte, block uint64, turns int, mask uint64)")
	Pragma("noescape")
	Doc(fmt.Sprintf("fill512w%d sets %d words of d for each of turns > 0 to the little-endian integers of %d bytes AND mask in the keystream of AES-256-CTR from a block on.", width, 512/width, width))
	d, keys, turns := param("d"), param("keys"), param("turns")
	var key [rounds]reg.VecVirtual
	for i := range key {
		key[i] = ZMM()
		VBROADCASTI32X4(Mem{Base: keys, Disp: 16 * i}, key[i])
	}
	order, counter, keep := ZMM(), ZMM(), fill("mask")
	VMOVDQU64(swap, order)
	VPBROADCASTQ(param("block"), counter)
	VPADDQ(first, counter, counter) // the lower words hold numbers too: order makes them zero
	four := constant(4)
	Label("turn")
	var s [8]reg.VecVirtual
	for i := range s {
		s[i] = ZMM()
		VPSHUFB(order, counter, s[i])
		VPADDQ(four, counter, counter)
		VPXORQ(key[0], s[i], s[i])
	}
	for r := 1; r < rounds-1; r++ {
		for i := range s {
			VAESENC(key[r], s[i], s[i])
		}
	}
	for i := range s {
		VAESENCLAST(key[rounds-1], s[i], s[i])
	}
	at := 0
	put := func(z reg.VecVirtual) {
		VPANDQ(keep, z, z)
		VMOVDQU64(z, Mem{Base: d, Disp: at})
		at += 64
	}
	for i := range s {
		switch width {
		case 8:
			put(s[i])
		case 4:
			for h := range 2 {
				y := s[i].AsY()
				if h == 1 {
					u := YMM()
					VEXTRACTI64X4(Imm(1), s[i], u)
					y = u
				}
				z := ZMM()
				VPMOVZXDQ(y, z)
				put(z)
			}
		default:
			for q := range 4 {
				x := s[i].AsX()
				if q > 0 {
					u := XMM()
					VEXTRACTI64X2(Imm(uint64(q)), s[i], u)
					x = u
				}
				if width == 2 {
					z := ZMM()
					VPMOVZXWQ(x, z)
					put(z)
					continue
				}
				z, u, y := ZMM(), XMM(), ZMM()
				VPMOVZXBQ(x, z)
				put(z)
				VPSRLDQ(Imm(8), x, u)
				VPMOVZXBQ(u, y)
				put(y)
			}
		}
	}
	ADDQ(U32(512/width*8), d)
	DECQ(turns)
	JNZ(LabelRef("turn"))
	VZEROUPPER()
	RET()
}
