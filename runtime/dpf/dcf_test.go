package dpf

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"smpcc/backend/plan"
)

// dealRelu makes keys for ReLU under masks.
func dealRelu(masks []uint64, bits, ring int) dealt {
	n := len(masks)
	k := rooted(n, plan.DCFWords(bits, ring))
	k.make(masks, func(from int, masks []uint64, roots [2]Block) { ReluKeys(k.words, n, from, masks, roots, bits, ring) })
	return k
}

// relu evaluates keys for ReLU at the same number of points each.
func (k dealt) relu(points []uint64, party, bits, ring int) []uint64 {
	return k.shares(points, party, func(d, points, roots []uint64, n, from, per int) {
		Relu(d, points, roots, k.words, n, from, per, bits, ring, party == 1)
	})
}

// positive returns max(m - r, 0) of a difference mod 2^bits, mod 2^ring.
func positive(m, r uint64, bits, ring int) uint64 {
	x := int64((m-r)<<(64-bits)) >> (64 - bits)
	return uint64(max(x, 0)) << (64 - ring) >> (64 - ring)
}

// checkRelu compares keys' shares with their meaning.
func checkRelu(t *testing.T, m, r []uint64, bits, ring int) {
	t.Helper()
	k := dealRelu(r, bits, ring)
	s0, s1 := k.relu(m, 0, bits, ring), k.relu(m, 1, bits, ring)
	per := len(m) / len(r)
	for i := range m {
		if got, want := (s0[i]+s1[i])<<(64-ring)>>(64-ring), positive(m[i], r[i/per], bits, ring); got != want {
			t.Fatalf("%d bits, ring of %d: m = %#x under mask %#x gives %#x, want %#x", bits, ring, m[i], r[i/per], got, want)
		}
	}
}

// TestEveryMask compares all masks and points of few bits, in rings narrower and wider than them.
func TestEveryMask(t *testing.T) {
	with(t, func(t *testing.T) {
		for bits := 2; bits <= 6; bits++ {
			for _, ring := range []int{1, 2, bits - 1, bits, bits + 1, 16, 21, 22, 32, 33, 60, 63, 64} {
				var r, m []uint64
				for i := range uint64(1 << bits) {
					r = append(r, i)
					for j := range uint64(1 << bits) {
						m = append(m, j)
					}
				}
				checkRelu(t, m, r, bits, ring)
			}
		}
	})
}

// TestRelu compares every width, in rings of every number of words, at values at the ends of their range, about zero, of every magnitude and random
// ones, under masks at the ends, in the middle and random ones.
func TestRelu(t *testing.T) {
	with(t, func(t *testing.T) {
		step := 1
		if active != kernels()[0] { // the others are slow, and compared with it by TestReluSame
			step = 7
		}
		for bits := 2; bits <= 64; bits += step {
			rings := []int{bits, 64, min(64, bits+1+bits%24), 1 + bits*7%64}
			var r, m []uint64
			half := uint64(1) << (bits - 1)
			for _, mask := range append(uniform(2), 0, 1, half-1, half, half+1, 2*half-1) {
				values := append(uniform(3), 0, 1, half-1, half, half+1, ^uint64(0))
				for i := range bits {
					values = append(values, 1<<i, ^uint64(0)<<i)
				}
				for _, x := range values {
					r, m = append(r, mask), append(m, (mask+x)&(2*half-1))
				}
			}
			for _, ring := range rings {
				checkRelu(t, m, r, bits, ring)
			}
		}
	})
}

// TestReluPoints evaluates keys for ReLU at several points each, which tiles cut anywhere.
func TestReluPoints(t *testing.T) {
	with(t, func(t *testing.T) {
		for _, n := range []int{1, 31, 300} {
			for _, per := range []int{1, 2, 17, 33, Tile + 1} {
				checkRelu(t, uniform(n*per), uniform(n), 19, 35)
			}
		}
	})
}

// TestReluNightly compares 10^7 random values of widths and rings that plans use, half of them close to zero, under SMPCC_NIGHTLY=1, or as many as
// SMPCC_NIGHTLY says.
func TestReluNightly(t *testing.T) {
	keys, err := strconv.Atoi(os.Getenv("SMPCC_NIGHTLY"))
	if err != nil {
		t.Skip("takes minutes: set SMPCC_NIGHTLY=1")
	}
	if keys == 1 {
		keys = 1e7
	}
	for _, w := range [][2]int{{8, 8}, {20, 21}, {21, 37}, {24, 40}, {32, 48}, {48, 48}, {47, 64}, {64, 64}} {
		for done := 0; done < keys; done += 16 * Tile {
			r, m := uniform(16*Tile), uniform(16*Tile)
			for i := range m {
				if i%2 == 0 {
					m[i] = r[i] + uint64(int64(m[i])>>(m[i]%64))
				}
			}
			checkRelu(t, m, r, w[0], w[1])
		}
	}
}

// TestReluSame compares the kernels' correction words and shares bit by bit, for every tail of a tile and every number of words of values.
func TestReluSame(t *testing.T) {
	all := kernels()
	if len(all) < 2 {
		t.Skip("this processor has the portable kernel only")
	}
	was := active
	defer func() { active = was }()
	for n := 1; n <= Tile+2*pad+1; n++ {
		bits, ring := 9, []int{9, 32, 48, 64}[n%4]
		masks, points, roots := uniform(n), uniform(n), [2]Block{{uniform(n), uniform(n)}, {uniform(n), uniform(n)}}
		var first, shares []uint64
		for _, k := range all {
			active = k
			d := dealt{make([]uint64, n*plan.DCFWords(bits, ring)), roots}
			d.make(masks, func(from int, masks []uint64, roots [2]Block) { ReluKeys(d.words, n, from, masks, roots, bits, ring) })
			s := append(d.relu(points, 0, bits, ring), d.relu(points, 1, bits, ring)...)
			if first == nil {
				first, shares = d.words, s
			} else if !slices.Equal(first, d.words) || !slices.Equal(shares, s) {
				t.Fatalf("%d keys: kernel %s differs from %s", n, k.name, all[0].name)
			}
		}
	}
}

// TestReluWords looks at what a party sees of a key, as TestWords does.
func TestReluWords(t *testing.T) {
	const bits, n = 12, 4096
	for _, ring := range []int{12, 20, 40, 60} {
		for _, mask := range []uint64{0, 1<<bits - 1, 0x5a5} {
			checkUniform(t, dealRelu(slices.Repeat([]uint64{mask}, n), bits, ring).words, n)
		}
	}
}

// TestReluSize says what a key takes.
func TestReluSize(t *testing.T) {
	for _, c := range []struct{ bits, ring, words int }{
		{2, 2, 1 + 1},             // one level
		{21, 21, 1 + 20*1 + 19*2}, // all numbers of a level in one word
		{24, 24, 2 + 23*1 + 22*2}, // the constants in two
		{24, 40, 3 + 23*2 + 22*2}, // the third number beside one of the others
		{48, 48, 3 + 47*2 + 46*2}, // no third number
		{48, 64, 3 + 47*3 + 46*2}, // a third word
		{64, 64, 3 + 63*2 + 62*2}, // the widest
		{64, 20, 1 + 63*1 + 62*2}, // of which few bits are kept
	} {
		if got := plan.DCFWords(c.bits, c.ring); got != c.words {
			t.Errorf("%d bits, ring of %d: %d words, want %d", c.bits, c.ring, got, c.words)
		}
	}
}

// TestReluClean says that nothing of a key stays in what the next one is worked on with.
func TestReluClean(t *testing.T) {
	masks := uniform(100)
	k := dealRelu(masks, 30, 64)
	k.relu(masks, 0, 30, 64)
	if s := scratches.Get().(*scratch); *s != (scratch{}) {
		t.Error("a scratch holds words of a key")
	}
}

func benchmarkRelu(b *testing.B, run func(k dealt, points []uint64, bits, ring int)) {
	was := active
	defer func() { active = was }()
	for _, kern := range kernels() {
		active = kern
		for _, w := range [][2]int{{21, 21}, {24, 40}, {48, 64}} {
			b.Run(fmt.Sprintf("%s/%d/%d", kern.name, w[0], w[1]), func(b *testing.B) {
				points := uniform(Tile)
				k := dealRelu(points, w[0], w[1])
				for b.Loop() {
					run(k, points, w[0], w[1])
				}
				per := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / Tile
				b.ReportMetric(per, "ns/key")
				b.ReportMetric(per/float64(plan.DCFLevels(w[0])), "ns/level")
			})
		}
	}
}

func BenchmarkRelu(b *testing.B) {
	d, roots := make([]uint64, Tile), uniform(2*Tile)
	benchmarkRelu(b, func(k dealt, points []uint64, bits, ring int) {
		Relu(d, points, roots, k.words, Tile, 0, 1, bits, ring, false)
	})
}

func BenchmarkReluKeys(b *testing.B) {
	benchmarkRelu(b, func(k dealt, points []uint64, bits, ring int) {
		ReluKeys(k.words, Tile, 0, points, k.roots, bits, ring)
	})
}
