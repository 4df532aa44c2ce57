package ring

import (
	"encoding/binary"
	"sync/atomic"

	"smpcc/backend/plan"
)

// Pack writes the lowest bits of each word to dst, without gaps, least significant bit first: plan.PackedBytes(len(words),
// bits) bytes, which dst must hold. Bits above are garbage and do not get there. The bytes are those of plan.Pack.
func Pack(dst []byte, words []uint64, bits int) {
	dst = dst[:plan.PackedBytes(len(words), bits)]
	groups := len(words) / 8 // of eight words, which are bits bytes
	switch v := active.lanes; {
	case groups == 0:
	case v != nil && bits == 1:
		v.packBits(&dst[0], &words[0], groups)
	case v != nil && bits >= 8 && bits <= maxTable:
		t := tableOf(bits)
		v.pack(&dst[0], &words[0], groups, &t.shift[0], &t.even[0], &t.odd[0], t.evens, t.odds, bits, t.mask, t.bytes)
	case v != nil && bits > maxTable:
		t := tableOf(bits)
		v.packWide(&dst[0], &words[0], groups, &t.shift[0], bits, t.mask, t.bytes)
	case bits <= 8:
		mask := ^uint64(0) >> (64 - bits)
		var b [8]byte
		for g := range groups {
			w := words[8*g : 8*g+8]
			var x uint64
			for i := 7; i >= 0; i-- {
				x = x<<bits | w[i]&mask
			}
			binary.LittleEndian.PutUint64(b[:], x)
			copy(dst[g*bits:], b[:bits])
		}
	default:
		groups = 0
	}
	plan.Pack(dst[groups*bits:groups*bits:len(dst)], words[8*groups:], bits)
}

// Unpack is the inverse of Pack: src must hold plan.PackedBytes(len(dst), bits) bytes. Results are below 2^bits.
func Unpack(dst []uint64, src []byte, bits int) {
	src = src[:plan.PackedBytes(len(dst), bits)]
	groups := len(dst) / 8
	if v := active.lanes; v == nil || groups == 0 {
		groups = 0
	} else if t := tableOf(bits); bits > maxTable {
		v.unpackWide(&dst[0], &src[0], groups, &t.shift[0], bits, t.mask, t.bytes)
	} else {
		v.unpack(&dst[0], &src[0], groups, &t.shift[0], &t.from[0], bits, t.mask, t.bytes)
	}
	plan.Unpack(dst[8*groups:], src[groups*bits:], bits)
}

// UnpackAdd computes dst = (own + u) mod 2^bits where u is what Unpack gives; dst may be own. scratch has no fewer words.
func UnpackAdd(dst, own []uint64, src []byte, bits int, scratch []uint64) {
	unpackWith(dst, own, src, bits, scratch, false)
}

// UnpackXor computes dst = (own XOR u) mod 2^bits where u is what Unpack gives; dst may be own. scratch has no fewer words.
func UnpackXor(dst, own []uint64, src []byte, bits int, scratch []uint64) {
	unpackWith(dst, own, src, bits, scratch, true)
}

func unpackWith(dst, own []uint64, src []byte, bits int, scratch []uint64, xor bool) {
	own = own[:len(dst)]
	groups := len(dst) / 8
	if v := active.lanes; v == nil || groups == 0 {
		groups = 0
	} else if t, src := tableOf(bits), src[:plan.PackedBytes(len(dst), bits)]; bits > maxTable {
		fn := v.unpackWideAdd
		if xor {
			fn = v.unpackWideXor
		}
		fn(&dst[0], &own[0], &src[0], groups, &t.shift[0], bits, t.mask, t.bytes)
	} else {
		fn := v.unpackAdd
		if xor {
			fn = v.unpackXor
		}
		fn(&dst[0], &own[0], &src[0], groups, &t.shift[0], &t.from[0], bits, t.mask, t.bytes)
	}
	if dst = dst[8*groups:]; len(dst) == 0 {
		return
	}
	own, u := own[8*groups:], scratch[:len(dst)]
	plan.Unpack(u, src[groups*bits:], bits)
	if xor {
		Xor(u, u, own)
	} else {
		Add(u, u, own)
	}
	Bits(dst, u, 0, bits)
}

// NarrowLen returns the number of words that n integers of width bytes take, width 1..8.
func NarrowLen(n, width int) int { return (n*width + 7) / 8 }

// Narrow keeps the lowest width bytes of each word of a, 1..7, without gaps in the NarrowLen(len(a), width) words of d, little-endian.
// Memory with values of few bits is read and written faster so.
func Narrow(d, a []uint64, width int) {
	d = d[:NarrowLen(len(a), width)]
	groups := len(a) / 8
	switch v := active.lanes; {
	case v == nil || groups == 0:
		groups = 0
	case v.narrow[width] != nil:
		v.narrow[width](&d[0], &a[0], groups)
	default:
		v.narrowBytes(&d[0], &a[0], groups, &narrowOrders[width][0], width)
	}
	d, a = d[groups*width:], a[8*groups:]
	clear(d)
	for i, x := range a {
		x &= lowBits(8 * width)
		word, from := i*width/8, i*width%8*8
		d[word] |= x << from
		if from+8*width > 64 {
			d[word+1] = x >> (64 - from)
		}
	}
}

// Widen sets d to what Narrow kept in a.
func Widen(d, a []uint64, width int) {
	a = a[:NarrowLen(len(d), width)]
	groups := len(d) / 8
	switch v := active.lanes; {
	case v == nil || groups == 0:
		groups = 0
	case v.widen[width] != nil:
		v.widen[width](&d[0], &a[0], groups)
	default:
		v.widenBytes(&d[0], &a[0], groups, &widenOrders[width][0], width)
	}
	a, d = a[groups*width:], d[8*groups:]
	for i := range d {
		word, from := i*width/8, i*width%8*8
		x := a[word] >> from
		if from+8*width > 64 {
			x |= a[word+1] << (64 - from)
		}
		d[i] = x & lowBits(8*width)
	}
}

// narrowOrders and widenOrders say by width which byte of eight words goes where.
var narrowOrders, widenOrders = func() (narrow, widen [8][64]byte) {
	for width := 1; width < 8; width++ {
		for i := range 8 * width {
			narrow[width][i] = byte(i/width*8 + i%width)
		}
		for i := range 64 {
			widen[width][i] = byte(i/8*width + min(i%8, width-1))
		}
	}
	return narrow, widen
}()

// maxTable is the width up to which a word, shifted to its place within a byte, fits a word.
const maxTable = 57

// A packTable says where the bits of eight words are in as many bytes.
type packTable struct {
	shift       [8]uint64 // of each word within its first byte; above maxTable, of each packed word within its first word
	from        [64]byte  // the eight bytes that each word is in
	even, odd   [64]byte  // what goes into each byte: a byte of the shifted words of even and of odd number
	evens, odds uint64    // the bytes that have such a part
	mask        uint64    // of a word
	bytes       uint64    // the bytes in use
}

var packTables [65]atomic.Pointer[packTable]

// tableOf returns the table of a width, 1..64. even and odd are for widths from 8 to maxTable, where a byte has parts of at most
// two words; above, a table has no bytes of words.
func tableOf(bits int) *packTable {
	if t := packTables[bits].Load(); t != nil {
		return t
	}
	t := &packTable{mask: lowBits(bits), bytes: lowBits(bits)}
	for i := range 8 {
		if bits > maxTable {
			t.shift[i] = uint64(i * (64 - bits))
			continue
		}
		first, last := bits*i/8, (bits*i+bits-1)/8
		t.shift[i] = uint64(bits * i % 8)
		for b := range 8 {
			t.from[8*i+b] = byte(min(first+b, 63))
		}
		for at := first; at <= last; at++ {
			if i%2 == 0 {
				t.even[at], t.evens = byte(8*i+at-first), t.evens|1<<at
			} else {
				t.odd[at], t.odds = byte(8*i+at-first), t.odds|1<<at
			}
		}
	}
	packTables[bits].Store(t)
	return t
}
