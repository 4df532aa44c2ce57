package material

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"
)

// A Stream is the keystream of AES-256-CTR under one key, read at any offset: block i is the encryption of i as a
// big-endian number of 16 bytes. One key schedule serves it for life: making one costs as much as sixty blocks. It has no
// position, so it may be used again in any order and by several goroutines at once.
type Stream struct {
	block cipher.Block
	keys  *[240]byte // round keys where the processor has vector AES, else nil
}

// NewStream returns the stream of a key.
func NewStream(k Key) (*Stream, error) {
	secret := k.secret()
	if secret == nil {
		return nil, errEmpty
	}
	b, err := aes.NewCipher(secret[:])
	if err != nil {
		return nil, err
	}
	return &Stream{b, schedule(secret)}, nil
}

// Clear ends the use of a stream: it overwrites the round keys that it holds itself and lets go of those that crypto/aes holds, which
// nobody can overwrite. Fill then panics, rather than give what is no key's stream. Nobody may use the stream meanwhile. Clear of nil does
// nothing.
func (s *Stream) Clear() {
	if s == nil {
		return
	}
	if s.keys != nil {
		clear(s.keys[:])
	}
	s.block, s.keys = nil, nil
}

const hiddenStream = "material.Stream(hidden)"

// String hides the content.
func (*Stream) String() string { return hiddenStream }

// GoString hides the content.
func (*Stream) GoString() string { return hiddenStream }

// Format hides the content from every verb.
func (*Stream) Format(f fmt.State, _ rune) { fmt.Fprint(f, hiddenStream) }

// chunk is the number of keystream bytes made at once: they stay in the first-level cache until unpacked.
const chunk = 16 << 10

var (
	zeros  [chunk]byte
	chunks = sync.Pool{New: func() any { return new([chunk]byte) }}
)

// Fill sets dst[i] to the little-endian integer of width bytes (1, 2, 4 or 8) at byte offset + i*width of the keystream,
// mod 2^bits, 1 <= bits <= 64. offset is a multiple of 16, the cipher's block, and not negative.
func (s *Stream) Fill(dst []uint64, offset int64, width, bits int) {
	if s.block == nil {
		panic("material: a stream is read that was cleared")
	}
	mask := ^uint64(0) >> (64 - bits)
	if s.keys != nil && offset%aes.BlockSize == 0 {
		n := fillVector(dst, s.keys, uint64(offset)/aes.BlockSize, width, mask)
		dst, offset = dst[n:], offset+int64(n*width)
		if len(dst) == 0 {
			return
		}
	}
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], uint64(offset)/aes.BlockSize) // an int64 of bytes never carries into the upper half
	ctr := cipher.NewCTR(s.block, iv[:])
	buf := chunks.Get().(*[chunk]byte)
	used := min(chunk, max(len(dst)*width, aes.BlockSize))
	defer func() { clear(buf[:used]); chunks.Put(buf) }()
	if skip := int(uint64(offset) % aes.BlockSize); skip != 0 {
		ctr.XORKeyStream(buf[:skip], zeros[:skip]) // never give the bytes of another offset: they may mask another value
	}
	for len(dst) > 0 {
		n := min(len(dst), chunk/width)
		b := buf[:n*width]
		ctr.XORKeyStream(b, zeros[:len(b)])
		unpack(dst[:n], b, width, mask)
		dst = dst[n:]
	}
}

// unpack sets d[i] to the i-th integer of width bytes in b, reduced by mask.
func unpack(d []uint64, b []byte, width int, mask uint64) {
	switch width {
	case 1:
		b = b[:len(d)]
		for i := range d {
			d[i] = uint64(b[i]) & mask
		}
	case 2:
		for i := range d {
			d[i] = uint64(binary.LittleEndian.Uint16(b[2*i:])) & mask
		}
	case 4:
		for i := range d {
			d[i] = uint64(binary.LittleEndian.Uint32(b[4*i:])) & mask
		}
	default:
		for i := range d {
			d[i] = binary.LittleEndian.Uint64(b[8*i:]) & mask
		}
	}
}
