package ring

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// refMatMul is the definition of MatMul.
func refMatMul(a, b []uint64, batch, m, k, n int, oneA, oneB bool) []uint64 {
	d := make([]uint64, batch*m*n)
	for t := range batch {
		ta, tb := t, t
		if oneA {
			ta = 0
		}
		if oneB {
			tb = 0
		}
		for i := range m {
			for j := range n {
				var s uint64
				for p := range k {
					s += a[(ta*m+i)*k+p] * b[(tb*k+p)*n+j]
				}
				d[(t*m+i)*n+j] = s
			}
		}
	}
	return d
}

// low returns the low bits of words.
func low(words []uint64, bits int) []uint64 {
	out := slices.Clone(words)
	for i := range out {
		out[i] &= lowBits(bits)
	}
	return out
}

func checkMatMul(t rapid.TB, seed uint64, batch, m, k, n int, oneA, oneB bool) {
	t.Helper()
	count := func(one bool) int {
		if one {
			return 1
		}
		return batch
	}
	a, b := random(seed, count(oneA)*m*k), random(seed+1, count(oneB)*k*n)
	a0, b0 := slices.Clone(a), slices.Clone(b)
	want := refMatMul(a, b, batch, m, k, n, oneA, oneB)
	onEach(func(c *core) {
		for _, bits := range []int{64, 52, 32} {
			d := garbage(batch * m * n)
			MatMulMod(bits, d, a, b, batch, m, k, n, oneA, oneB)
			equal(t, fmt.Sprintf("%s: %dx[%dx%dx%d] mod 2^%d", c.name, batch, m, k, n, bits), low(d, bits), low(want, bits))
		}
		equal(t, "a", a, a0)
		equal(t, "b", b, b0)
	})
}

func TestMatMul(t *testing.T) {
	size := rapid.IntRange(0, 20)
	rapid.Check(t, func(t *rapid.T) {
		checkMatMul(t, rapid.Uint64().Draw(t, "seed"), rapid.IntRange(0, 4).Draw(t, "batch"), size.Draw(t, "m"), size.Draw(t, "k"), size.Draw(t, "n"),
			rapid.Bool().Draw(t, "oneA"), rapid.Bool().Draw(t, "oneB"))
	})
}

// TestMatMulEdges crosses the borders of blocks, of rows at once and of the number of workers.
func TestMatMulEdges(t *testing.T) {
	for _, x := range [][4]int{
		{1, 5, blockK + 1, blockN + 1}, {1, 4, 2 * blockK, 2 * blockN}, {2, 3, blockK - 1, blockN + 3},
		{1, 1, 2*blockK + 3, 2*blockN + 5}, {1, 2*blockN + 3, blockK + 5, 1}, {3, 1, 70, 1}, {1, 1, 1, 1},
		{1, 9, 2*depth + 1, 121}, {1, 70, 60, 289}, {1, 200, 60, 100}, {7, 61, 50, 51}, {1, 1, 1200, 1000}, {1, 1100, 1000, 1}, {2, 1, 1100, 500}, // above parallelWork
	} {
		t.Run(fmt.Sprint(x), func(t *testing.T) {
			for _, procs := range []int{1, 3} {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
				checkMatMul(t, 7, x[0], x[1], x[2], x[3], false, false)
				checkMatMul(t, 8, x[0], x[1], x[2], x[3], true, false)
				checkMatMul(t, 9, x[0], x[1], x[2], x[3], false, true)
			}
		})
	}
}
