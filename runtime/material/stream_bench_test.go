package material

import (
	"fmt"
	"testing"
)

// BenchmarkFill measures streams through the assembly, where there is any, and through crypto/cipher.
func BenchmarkFill(b *testing.B) {
	s := testStream(b, 1)
	for _, x := range [][3]int{{1 << 20, 8, 64}, {1 << 10, 8, 64}, {1 << 10, 4, 24}, {1 << 10, 2, 11}, {1 << 10, 1, 1}, {16, 8, 64}} {
		for _, path := range []struct {
			name string
			s    *Stream
		}{{"default", s}, {"crypto-cipher", &Stream{block: s.block}}} {
			b.Run(fmt.Sprintf("n=%d,width=%d,bits=%d/%s", x[0], x[1], x[2], path.name), func(b *testing.B) {
				d := make([]uint64, x[0])
				b.SetBytes(int64(x[0] * x[1]))
				b.ReportAllocs()
				for b.Loop() {
					path.s.Fill(d, 0, x[1], x[2])
				}
			})
		}
	}
}
