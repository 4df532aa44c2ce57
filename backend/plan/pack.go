package plan

import (
	"encoding/binary"
	"io"
)

// WriteWords writes words as 8 bytes each, little-endian, in parts that take no memory to speak of.
func WriteWords(w io.Writer, words []uint64) error {
	const part = 1 << 13
	var buf [8 * part]byte
	for len(words) > 0 {
		n := min(part, len(words))
		if _, err := w.Write(Pack(buf[:0], words[:n], 64)); err != nil {
			return err
		}
		words = words[n:]
	}
	return nil
}

// ReadWords reads what WriteWords wrote.
func ReadWords(r io.Reader, words []uint64) error {
	const part = 1 << 13
	var buf [8 * part]byte
	for len(words) > 0 {
		n := min(part, len(words))
		if _, err := io.ReadFull(r, buf[:8*n]); err != nil {
			return err
		}
		Unpack(words[:n], buf[:8*n], 64)
		words = words[n:]
	}
	return nil
}

// Pack appends the lowest bits of each word, without gaps, least significant bit first: PackedBytes(len(words), bits)
// bytes. Bits above are garbage and do not get onto the wire.
func Pack(dst []byte, words []uint64, bits int) []byte {
	switch bits {
	case 64:
		for _, w := range words {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
		return dst
	case 32:
		for _, w := range words {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(w))
		}
		return dst
	case 8, 16, 24, 40, 48, 56:
		n := bits / 8
		for _, w := range words {
			var b [8]byte
			binary.LittleEndian.PutUint64(b[:], w)
			dst = append(dst, b[:n]...)
		}
		return dst
	}
	mask := ^uint64(0) >> (64 - bits)
	var acc uint64 // pending bits, fewer than 64
	have := 0
	for _, w := range words {
		w &= mask
		acc |= w << have
		if have += bits; have >= 64 {
			dst = binary.LittleEndian.AppendUint64(dst, acc)
			have -= 64
			acc = w >> (bits - have) // 0 if nothing is left: a shift by bits of a word below 2^bits
		}
	}
	for ; have > 0; have -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	return dst
}

// Unpack is the inverse of Pack: src must hold PackedBytes(len(dst), bits) bytes. Results are below 2^bits.
func Unpack(dst []uint64, src []byte, bits int) {
	switch bits {
	case 64:
		for i := range dst {
			dst[i] = binary.LittleEndian.Uint64(src[8*i:])
		}
		return
	case 32:
		for i := range dst {
			dst[i] = uint64(binary.LittleEndian.Uint32(src[4*i:]))
		}
		return
	}
	mask := ^uint64(0) >> (64 - bits)
	at := 0
	i := 0
	for ; i < len(dst); i++ { // eight bytes from the element's first byte hold it, or nine
		from, shift := at>>3, at&7
		if from+9 > len(src) {
			break
		}
		w := binary.LittleEndian.Uint64(src[from:]) >> shift
		if shift > 0 {
			w |= uint64(src[from+8]) << (64 - shift)
		}
		dst[i] = w & mask
		at += bits
	}
	for ; i < len(dst); i++ {
		var w uint64
		for b := range bits {
			w |= uint64(src[at>>3]>>(at&7)&1) << b
			at++
		}
		dst[i] = w
	}
}
