package ring

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestExpNeg(t *testing.T) {
	worst := 0.0
	for i, z := range append([]uint64{0, 1, 1<<54 - 1, 1 << 53, 1<<36 - 1, 1 << 36, 1 << 48}, random(1, 100000)...) {
		if i >= 7 {
			z >>= 10 + i%20
		}
		want := math.Exp(-math.Ldexp(float64(z), -48))
		worst = max(worst, math.Abs(math.Ldexp(float64(expNeg(z)), -63)-want))
	}
	t.Logf("off by %.3g", worst)
	if worst > math.Ldexp(1, -50) {
		t.Errorf("off by %.3g", worst)
	}
}

// TestExpo: from shares of the decays of r, Expo gives shares of the exponential of m - r for every reading of the mask.
func TestExpo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nbits := rapid.IntRange(4, 30).Draw(t, "bits")
		reach := rapid.Float64Range(0.5, 16.2).Draw(t, "reach") // of the exponent: 2^(nbits-1) units
		n, seed := rapid.IntRange(0, 30).Draw(t, "n"), rapid.Uint64().Draw(t, "seed")
		const frac = 18
		rate := uint64(math.Ldexp(reach, 49-nbits))
		up := int(math.Ceil(reach * math.Log2E))
		gain := uint64(math.Round(math.Ldexp(math.Exp(reach), frac)))
		x, r := reduced(seed, n, nbits-1), random(seed+1, n)
		m, g0, g1, s0, s1 := make([]uint64, n), make([]uint64, n), make([]uint64, n), random(seed+2, n), random(seed+3, n)
		for i := range x {
			x[i] = max(x[i], 1) - 1<<(nbits-2) // -2^(nbits-2) < x < 2^(nbits-2)
			m[i] = x[i] + r[i]
		}
		Decay(g0, r, nbits, 0, rate, gain)
		Decay(g1, r, nbits, 1, rate, gain)
		Sub(g0, g0, s0)
		Sub(g1, g1, s1)
		d, d0 := make([]uint64, n), make([]uint64, n)
		Expo(d, m, g0, g1, nbits, rate, frac+up)
		Expo(d0, m, s0, s1, nbits, rate, frac+up)
		Add(d, d, d0)
		for i := range d {
			want := math.Exp(math.Ldexp(float64(int64(x[i])-1<<(nbits-2)), -48) * float64(rate))
			got := math.Ldexp(float64(int64(d[i])), -2*frac-up)
			if math.Abs(got-want) > math.Ldexp(1, -frac+1) {
				t.Fatalf("x = %d of %d bits, reach %g: %g, want %g", int64(x[i]), nbits, reach, got, want)
			}
		}
	})
}

// TestExpoKernels: every kernel gives the same words, on all lengths, and d of a decay may be its source.
func TestExpoKernels(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nbits, frac, top := rapid.IntRange(2, 53).Draw(t, "bits"), rapid.IntRange(0, 62).Draw(t, "frac"), rapid.IntRange(0, 1).Draw(t, "top")
		rate := rapid.Uint64Range(0, 1<<(54-nbits)-1).Draw(t, "rate")
		gain := rapid.Uint64Range(0, 1<<63-1).Draw(t, "gain")
		n, seed := rapid.IntRange(0, 30).Draw(t, "n"), rapid.Uint64().Draw(t, "seed")
		m, g := words(t, n), [2][]uint64{random(seed, n), random(seed+1, n)}
		expo, decay := make([]uint64, n), make([]uint64, n)
		for i := range expo {
			u := m[i] + 1<<(nbits-2)
			half := uint64(1) << (nbits - 1)
			expo[i] = scaled(expNeg((half-u%half)*rate), 1<<frac) * g[u/half%2][i]
			decay[i] = scaled(expNeg((m[i]+uint64(1-top)*half)%(2*half)*rate), gain)
		}
		onEach(func(c *core) {
			d := garbage(n + 8)
			Expo(d[:n], m, g[0], g[1], nbits, rate, frac)
			equal(t, c.name+": expo", d[:n], expo)
			equal(t, c.name+": behind d", d[n:], garbage(8))
			d = garbage(n + 8)
			Decay(d[:n], m, nbits, top, rate, gain)
			equal(t, c.name+": decay", d[:n], decay)
			equal(t, c.name+": behind d", d[n:], garbage(8))
			d = slices.Clone(m)
			Decay(d, d, nbits, top, rate, gain)
			equal(t, c.name+": decay of d", d, decay)
		})
	})
}
