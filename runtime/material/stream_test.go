package material

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func testStream(t testing.TB, b byte) *Stream {
	t.Helper()
	s, err := NewStream(testKey(t, b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// reference returns n bytes of AES-256-CTR at an offset, one block at a time.
func reference(t testing.TB, key []byte, offset int64, n int) []byte {
	t.Helper()
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	skip := int(offset % 16)
	out := make([]byte, 0, n+32)
	for i := offset / 16; len(out) < n+skip; i++ {
		var ctr, b [16]byte
		new(big.Int).SetInt64(i).FillBytes(ctr[:])
		block.Encrypt(b[:], ctr[:])
		out = append(out, b[:]...)
	}
	return out[skip : skip+n]
}

// element is the definition of what Fill gives.
func element(b []byte, width, nbits int) uint64 {
	var w uint64
	for i := width - 1; i >= 0; i-- {
		w = w<<8 | uint64(b[i])
	}
	if nbits < 64 {
		w %= 1 << nbits
	}
	return w
}

// TestStreamKnown: block 0 under the zero key is the published AES-256 encryption of the zero block.
func TestStreamKnown(t *testing.T) {
	k, err := KeyOf(make([]byte, keySize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewStream(k)
	if err != nil {
		t.Fatal(err)
	}
	d := make([]uint64, 16)
	s.Fill(d, 0, 1, 8)
	got := make([]byte, 16)
	for i := range d {
		got[i] = byte(d[i])
	}
	if hex.EncodeToString(got) != "dc95c078a2408989ad48a21492842087" {
		t.Errorf("first block is %x", got)
	}
}

func TestStreamAgainstCTR(t *testing.T) {
	key := testKey(t, 9)
	s := testStream(t, 9)
	rapid.Check(t, func(t *rapid.T) {
		width := rapid.SampledFrom([]int{1, 2, 4, 8}).Draw(t, "width")
		nbits := rapid.IntRange(1, 8*width).Draw(t, "bits")
		n := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 3*chunk/width)).Draw(t, "n")
		offset := rapid.OneOf(rapid.Int64Range(0, 100), rapid.Int64Range(0, math.MaxInt64/16-1<<20)).Draw(t, "block") * 16
		d := make([]uint64, n)
		s.Fill(d, offset, width, nbits)
		b := reference(&testing.B{}, key.Bytes(), offset, n*width)
		for i := range d {
			if want := element(b[i*width:], width, nbits); d[i] != want {
				t.Fatalf("element %d is %#x, want %#x", i, d[i], want)
			}
		}
	})
}

// TestStreamWhole compares with the standard library's own mode from the start.
func TestStreamWhole(t *testing.T) {
	const n = 100_000
	block, err := aes.NewCipher(testKey(t, 3).Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, n)
	cipher.NewCTR(block, make([]byte, 16)).XORKeyStream(want, want)
	d, got := make([]uint64, n), make([]byte, n)
	testStream(t, 3).Fill(d, 0, 1, 8)
	for i := range d {
		got[i] = byte(d[i])
	}
	if !bytes.Equal(got, want) {
		t.Error("the stream is not AES-256-CTR from zero")
	}
}

// TestStreamRandomAccess: pieces in any order are the whole, also across chunks and at offsets that are no whole block.
func TestStreamRandomAccess(t *testing.T) {
	s := testStream(t, 5)
	for _, width := range []int{1, 2, 4, 8} {
		total := 3*chunk/width + 5
		all := make([]uint64, total)
		s.Fill(all, 0, width, 8*width)
		step := 16 / width
		for _, n := range []int{1, step, 3 * step, chunk / width, chunk/width + step} {
			for from := (total - 1) / step * step; from >= 0; from -= 7 * n / step * step {
				d := make([]uint64, min(n, total-from))
				s.Fill(d, int64(from*width), width, 8*width)
				for i := range d {
					if d[i] != all[from+i] {
						t.Fatalf("width %d, piece of %d at %d: element %d differs", width, n, from, i)
					}
				}
				if n < step {
					break
				}
			}
		}
		d := make([]uint64, 10)
		s.Fill(d, int64(3*width), width, 8*width)
		for i := range d {
			if d[i] != all[3+i] {
				t.Fatalf("width %d: element %d from an odd offset differs", width, i)
			}
		}
	}
}

// TestStreamBounds: Fill writes nothing outside dst and leaves nothing of it unset.
func TestStreamBounds(t *testing.T) {
	s := testStream(t, 6)
	for _, n := range []int{0, 1, 15, 16, 17, chunk / 8, chunk/8 + 1, chunk} {
		d := make([]uint64, n+2)
		s.Fill(d[1:n+1], 32, 8, 64)
		if d[0] != 0 || d[n+1] != 0 {
			t.Errorf("%d words: wrote outside", n)
		}
		for i := 1; i <= n; i++ {
			if d[i] == 0 {
				t.Errorf("%d words: word %d is zero", n, i-1)
			}
		}
	}
}

// TestStreamUniform is a smoke test: every bit of every width is one about half of the time, bits above are never.
func TestStreamUniform(t *testing.T) {
	s := testStream(t, 7)
	const n = 1 << 16
	d := make([]uint64, n)
	for _, x := range [][2]int{{1, 1}, {1, 5}, {1, 8}, {2, 9}, {2, 16}, {4, 24}, {4, 32}, {8, 40}, {8, 64}} {
		s.Fill(d, 1<<30, x[0], x[1])
		var ones [64]int
		var or uint64
		for _, w := range d {
			or |= w
			for ; w != 0; w &= w - 1 {
				ones[bits.TrailingZeros64(w)]++
			}
		}
		if bits.Len64(or) > x[1] {
			t.Errorf("%d bits: got %#x", x[1], or)
		}
		for b := range x[1] {
			if dev := math.Abs(float64(ones[b])-n/2) / math.Sqrt(n/4); dev > 6 {
				t.Errorf("bit %d of %d is one %d times of %d: %.1f standard deviations", b, x[1], ones[b], n, dev)
			}
		}
	}
}

func TestStreamsDiffer(t *testing.T) {
	seen := map[[2]uint64]string{}
	for key := range 8 {
		for offset := int64(0); offset < 160; offset += 16 {
			var d [2]uint64
			testStream(t, byte(key)).Fill(d[:], offset, 8, 64)
			at := fmt.Sprintf("key %d offset %d", key, offset)
			if was, ok := seen[d]; ok {
				t.Errorf("%s and %s give the same block", was, at)
			}
			seen[d] = at
		}
	}
}

func TestStreamConcurrent(t *testing.T) {
	s := testStream(t, 8)
	want := make([]uint64, 3*chunk)
	s.Fill(want, 0, 4, 32)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			d := make([]uint64, len(want))
			for range 10 {
				s.Fill(d, 0, 4, 32)
				for i := range d {
					if d[i] != want[i] {
						t.Errorf("word %d differs", i)
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestStreamPaths: the assembly gives what crypto/cipher gives, at every width and around whole turns.
func TestStreamPaths(t *testing.T) {
	s := testStream(t, 4)
	if s.keys == nil {
		t.Skip("this processor has no vector AES")
	}
	plain := &Stream{block: s.block}
	for _, width := range []int{1, 2, 4, 8} {
		for _, n := range []int{1, 511, 512, 513, 1024, 1536, 5000} {
			n /= width
			for _, offset := range []int64{0, 16, 32 * 16, 1<<36 - 256, math.MaxInt64/16*16 - 1<<20} {
				got, want := make([]uint64, n+1), make([]uint64, n+1)
				s.Fill(got[:n], offset, width, 8*width-1)
				plain.Fill(want[:n], offset, width, 8*width-1)
				if !slices.Equal(got, want) {
					t.Errorf("width %d: %d words at %d differ", width, n, offset)
				}
			}
		}
	}
}
