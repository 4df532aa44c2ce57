package ring

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestSinCos compares both ways to compute with the library's, all around the circle.
func TestSinCos(t *testing.T) {
	angles := []uint64{0, 1, 1 << 61, 1<<61 - 1, 1 << 62, 1<<62 - 1, 1 << 63, 3 << 62, ^uint64(0), 7 << 61}
	angles = append(angles, random(1, 100000)...)
	var worst, worstPublic float64
	for _, a := range angles {
		wantS, wantC := math.Sincos(2 * math.Pi * math.Ldexp(float64(a), -64))
		off := func(c, s int64) float64 {
			return max(math.Abs(math.Ldexp(float64(c), -waveFrac)-wantC), math.Abs(math.Ldexp(float64(s), -waveFrac)-wantS))
		}
		worst = max(worst, off(sinCos(a)))
		worstPublic = max(worstPublic, off(publicSinCos(waveTable(), a)))
	}
	t.Logf("off by %.3g, public angles by %.3g", worst, worstPublic)
	if worst > math.Ldexp(1, -27) || worstPublic > math.Ldexp(1, -27) {
		t.Errorf("off by %.3g and %.3g", worst, worstPublic)
	}
}

// TestSinCosIsTheSameEverywhere: a machine that computed other numbers would multiply shares by them. The sums were made on amd64.
func TestSinCosIsTheSameEverywhere(t *testing.T) {
	var c, s uint64
	for i := range uint64(1 << 16) {
		x, y := publicSinCos(waveTable(), i*0x9e3779b97f4a7c15)
		c, s = c*31+uint64(x), s*31+uint64(y)
	}
	if c != 0x804763fa357ffcff || s != 0x1bf94764ec5ddaa2 {
		t.Errorf("sums %#x and %#x", c, s)
	}
}

// TestWave: from shares of the phases of r, Wave gives shares of a wave of m - r.
func TestWave(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nbits, k, frac := rapid.IntRange(2, 64).Draw(t, "bits"), rapid.IntRange(1, 40).Draw(t, "k"), rapid.IntRange(1, 24).Draw(t, "frac")
		a, b := rapid.Int64Range(-1<<20, 1<<20).Draw(t, "a"), rapid.Int64Range(-1<<20, 1<<20).Draw(t, "b")
		n, seed := rapid.IntRange(0, 30).Draw(t, "n"), rapid.Uint64().Draw(t, "seed")
		m, r, u0, v0 := random(seed, n), random(seed+1, n), random(seed+2, n), random(seed+3, n)
		u, v, d, d0 := make([]uint64, n), make([]uint64, n), make([]uint64, n), make([]uint64, n)
		Phase(u, r, nbits, k, a, -b)
		Phase(v, r, nbits, k, b, a)
		Sub(u, u, u0)
		Sub(v, v, v0)
		Wave(d, m, u, v, nbits, k, frac)
		Wave(d0, m, u0, v0, nbits, k, frac)
		Add(d, d, d0)
		for i := range d {
			x := math.Ldexp(float64((m[i]-r[i])&lowBits(nbits)), -nbits) * float64(k)
			s, c := math.Sincos(2 * math.Pi * (x - math.Floor(x)))
			want, got := float64(a)*c+float64(b)*s, math.Ldexp(float64(int64(d[i])), -frac)
			if e := math.Abs(got - want); e > 2+math.Ldexp(float64(abs(a)+abs(b)+2), 1-frac) {
				t.Fatalf("%d bits, %d turns: %g, want %g", nbits, k, got, want)
			}
		}
	})
}

func abs(x int64) int64 { return max(x, -x) }

// TestWaveKernels: every kernel gives the same words, on all lengths, and d may be a source.
func TestWaveKernels(t *testing.T) {
	table := waveTable()
	rapid.Check(t, func(t *rapid.T) {
		nbits, k, frac := rapid.IntRange(1, 64).Draw(t, "bits"), rapid.IntRange(1, 1<<20).Draw(t, "k"), rapid.IntRange(0, 24).Draw(t, "frac")
		n, seed := rapid.IntRange(0, 30).Draw(t, "n"), rapid.Uint64().Draw(t, "seed")
		m, u, v := words(t, n), random(seed+1, n), random(seed+2, n)
		want := make([]uint64, n)
		for i := range want {
			c, s := publicSinCos(table, m[i]*uint64(k)<<(64-nbits))
			round := func(x int64) uint64 { return uint64((x + 1<<(waveFrac-frac-1)) >> (waveFrac - frac)) }
			want[i] = round(c)*u[i] + round(s)*v[i]
		}
		onEach(func(c *core) {
			d := garbage(n + 8)
			Wave(d[:n], m, u, v, nbits, k, frac)
			equal(t, c.name, d[:n], want)
			equal(t, c.name+", behind d", d[n:], garbage(8))
			for _, src := range []*[]uint64{&m, &u, &v} {
				was := *src
				*src = slices.Clone(was)
				Wave(*src, m, u, v, nbits, k, frac)
				equal(t, c.name+", d is a source", *src, want)
				*src = was
			}
		})
	})
}
