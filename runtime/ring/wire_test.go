package ring

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// number is the value of a wire of the given bits, or as wide as the ring, as Finish says, and which mask it is read with.
func number(m uint64, bits int) (p uint64, t int) {
	if bits == 0 {
		return m, 0
	}
	u := (m + 1<<(bits-2)) & lowBits(bits)
	return u - 1<<(bits-2), int(u >> (bits - 1))
}

// TestFinish and TestWireMul: every kernel gives what the equations say, on all lengths, and d may be a source.
func TestFinish(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, nbits, first := rapid.IntRange(0, 30).Draw(t, "n"), rapid.IntRange(2, 64).Draw(t, "bits"), rapid.Uint64Range(0, 1).Draw(t, "first")
		m, r := words(t, n), [2][]uint64{random(1, n), random(2, n)}
		want := make([]uint64, n)
		for i := range want {
			p, top := number(m[i], nbits)
			want[i] = first*p - r[top][i]
		}
		onEach(func(c *core) {
			d := garbage(n + 8)
			Finish(d[:n], m, r[0], r[1], nbits, first)
			equal(t, c.name, d[:n], want)
			equal(t, c.name+", behind d", d[n:], garbage(8))
			d = slices.Clone(r[1])
			Finish(d, m, r[0], d, nbits, first)
			equal(t, c.name+", d is a source", d, want)
		})
	})
}

func TestWireMul(t *testing.T) {
	bits := rapid.OneOf(rapid.Just(0), rapid.IntRange(2, 64))
	rapid.Check(t, func(t *rapid.T) {
		n, bitsx, bitsy, first := rapid.IntRange(0, 30).Draw(t, "n"), bits.Draw(t, "bits of x"), bits.Draw(t, "bits of y"), rapid.Uint64Range(0, 1).Draw(t, "first")
		v := [][]uint64{words(t, n), nil, nil, words(t, n)}
		v = append(v, make([][]uint64, 6)...)
		for i := range v {
			if v[i] == nil {
				v[i] = random(uint64(i), n)
			}
		}
		want := make([]uint64, n)
		for i := range want {
			px, tx := number(v[0][i], bitsx)
			py, ty := number(v[3][i], bitsy)
			want[i] = px*(first*py-v[4+ty][i]) - py*v[1+tx][i] + v[6+2*tx+ty][i]
		}
		onEach(func(c *core) {
			d := garbage(n + 8)
			WireMul(d[:n], v, bitsx, bitsy, first)
			equal(t, c.name, d[:n], want)
			equal(t, c.name+", behind d", d[n:], garbage(8))
			for i := range v {
				w := slices.Clone(v)
				w[i] = slices.Clone(v[i])
				WireMul(w[i], w, bitsx, bitsy, first)
				equal(t, c.name+", d is a source", w[i], want)
			}
		})
	})
}
