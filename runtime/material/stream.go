package material

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// A Stream is the keystream of AES-256-CTR under one key, read at any offset. One key schedule serves it for life: making
// one costs as much as sixty blocks. A Stream may be used by several goroutines.
type Stream struct{ block cipher.Block }

// NewStream returns the stream of a key.
func NewStream(k Key) (*Stream, error) {
	b, err := aes.NewCipher(k.b[:])
	if err != nil {
		return nil, err
	}
	return &Stream{b}, nil
}

// String hides the content.
func (*Stream) String() string { return "material.Stream(hidden)" }

// GoString hides the content.
func (*Stream) GoString() string { return "material.Stream(hidden)" }

// chunk is the number of keystream bytes made at once.
const chunk = 16 << 10

var zeros [chunk]byte

// Fill sets dst[i] to the little-endian integer of width bytes (1, 2, 4 or 8) at byte offset + i*width of the keystream,
// mod 2^bits. offset must be a multiple of 16, the cipher's block.
func (s *Stream) Fill(dst []uint64, offset int64, width, bits int) {
	var iv [aes.BlockSize]byte
	binary.BigEndian.PutUint64(iv[8:], uint64(offset)/aes.BlockSize)
	ctr := cipher.NewCTR(s.block, iv[:])
	mask := ^uint64(0) >> (64 - bits)
	var buf [chunk]byte
	for len(dst) > 0 {
		n := min(len(dst), chunk/width)
		b := buf[:n*width]
		ctr.XORKeyStream(b, zeros[:len(b)])
		d := dst[:n]
		switch width {
		case 1:
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
		dst = dst[n:]
	}
}
