package ring

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// onEach calls fn once with every core this processor has in use.
func onEach(fn func(*core)) {
	old := active
	defer func() { active = old }()
	for _, active = range cores {
		fn(active)
	}
}

// checkKernel compares every core with the definition: d keeps what lies between rows and beyond the last.
func checkKernel(t rapid.TB, seed uint64, m, k, n, gapD, gapA, gapB, off int) {
	t.Helper()
	ldd, lda, ldb := n+gapD, k+gapA, n+gapB
	// Operands at any word, not only at the start of an allocation; clipped, so that reading beyond them is a fault of Go.
	operand := func(seed uint64, size int) []uint64 { return slices.Clip(random(seed, off+size)[off:]) }
	d, a, b := operand(seed, (m-1)*ldd+n), operand(seed+1, (m-1)*lda+k), operand(seed+2, (k-1)*ldb+n)
	added, written := slices.Clone(d), slices.Clone(d)
	for i := range m {
		clear(written[i*ldd : i*ldd+n])
		for p := range k {
			for j := range n {
				added[i*ldd+j] += a[i*lda+p] * b[p*ldb+j]
				written[i*ldd+j] += a[i*lda+p] * b[p*ldb+j]
			}
		}
	}
	onEach(func(c *core) {
		for i := range 10 {
			bits, want, add := []int{64, 52, 40, 32, 9}[i/2], written, i%2 == 1
			if add {
				want = added
			}
			const border = 32
			whole := garbage(border + len(d) + border)
			got := whole[border : border+len(d)]
			copy(got, d)
			kernel(got, a, b, m, k, n, ldd, lda, ldb, bits, add)
			for i := range got {
				if i%ldd < n { // between rows nothing may change at all
					got[i] ^= (got[i] ^ want[i]) &^ lowBits(bits)
				}
			}
			equal(t, fmt.Sprintf("%s: %dx%dx%d mod 2^%d, added %v", c.name, m, k, n, bits, add), got, want)
			equal(t, "before d", whole[:border], garbage(border))
			equal(t, "behind d", whole[border+len(d):], garbage(border))
		}
	})
}

// TestKernel: every core writes and adds the same product, for all sizes of tails.
func TestKernel(t *testing.T) {
	some := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 17, 40}
	for _, m := range some {
		for _, k := range some {
			for n := 1; n <= 50; n++ {
				checkKernel(t, uint64(n), m, k, n, n%3, k%2, m%3, n%2)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size, gap := rapid.IntRange(1, 120), rapid.IntRange(0, 3)
		checkKernel(t, rapid.Uint64().Draw(t, "seed"), size.Draw(t, "m"), size.Draw(t, "k"), size.Draw(t, "n"),
			gap.Draw(t, "ldd"), gap.Draw(t, "lda"), gap.Draw(t, "ldb"), gap.Draw(t, "offset"))
	})
	for _, x := range [][3]int{{9, 2*depth + 1, 25}, {17, depth - 1, 241}, {3, 70, 2 * 2048}, {1, 9, 2*2048 + 3}, {5, 17, 500}, {70, 1030, 1}, {9, depth + 1, 2*240 + 17}, {11, 3, 97}} {
		checkKernel(t, 5, x[0], x[1], x[2], 1, 2, 0, 1)
	}
}

// TestCores: the inner loops alone, at all lengths, and what they do with operands that are too short: panic, never write.
func TestCores(t *testing.T) {
	onEach(func(c *core) {
		for n := range 70 {
			for k := range 18 {
				x, b := random(1, k), random(2, max(k-1, 0)*(n+3)+n)
				d := random(3, n+8)
				want := slices.Clone(d)
				for i := range k {
					for j := range n {
						want[j] += x[i] * b[i*(n+3)+j]
					}
				}
				c.rows(d[:n], x, b, n+3)
				equal(t, fmt.Sprintf("%s: %d rows of %d", c.name, k, n), d, want)
			}
			a, b := random(4, n), random(5, n+1)
			var want uint64
			for i := range a {
				want += a[i] * b[i]
			}
			equal(t, fmt.Sprintf("%s: dot of %d", c.name, n), []uint64{c.dot(a, b)}, []uint64{want})
		}
		short := func(what string, fn func()) {
			t.Helper()
			defer func() {
				if recover() == nil {
					t.Errorf("%s: %s: no panic", c.name, what)
				}
			}()
			fn()
		}
		w := func(n int) []uint64 { return make([]uint64, n) }
		short("dot", func() { c.dot(w(9), w(8)) })
		short("rows", func() { c.rows(w(9), w(8), w(8*9-1), 9) })
		if c.tile == nil {
			return
		}
		short("take", func() { takeHalves(make([]uint32, 9), w(8), 1) })
		short("take each second", func() { takeHalves(make([]uint32, 9), w(16), 2) })
		shortTile(short, c.tile)
		if c.tile52 != nil {
			shortTile(short, c.tile52)
		}
		shortTile(short, c.tile32)
	})
}

// shortTile calls a tile with each operand one element too short.
func shortTile[E element](short func(string, func()), x *tile[E]) {
	const k = 5
	r, v := x.maxRows, x.maxVectors
	n := x.width*(v-1) + 1
	w := func(n int) []uint64 { return make([]uint64, n) }
	panel := func(less int) []E { return make([]E, k*x.width*v-less) }
	at := make([]int, k)
	for i := range at {
		at[i] = i * x.width * v
	}
	f := form{rows: r, vectors: v, head: x.width, tail: 1, ldd: n, lda: k, step: 1, apart: x.width, from: x.width}
	turned, lines, three := f, f, f
	turned.lda, turned.step = 1, r
	lines.head, lines.apart = 2, 2
	three.rows = 3
	last := at[k-1]
	short("d", func() { x.run(w((r-1)*n+n-1), w(r*k), panel(0), at, last, f) })
	short("a", func() { x.run(w(r*n), w(r*k-1), panel(0), at, last, f) })
	short("a by columns", func() { x.run(w(r*n), w(r*k-1), panel(0), at, last, turned) })
	short("b", func() { x.run(w(r*n), w(r*k), panel(1), at, last, f) })
	short("rows of a tile", func() { x.run(w(r*n), w(r*k), panel(0), at, last, three) })
	if v > 1 {
		short("d of lines", func() { x.run(w((r-1)*n+(v-1)*2), w(r*k), panel(0), at, last, lines) })
	}
}

// TestTake: panels hold the low bits of their words, at every length and step, and nothing is written behind them.
func TestTake(t *testing.T) {
	onEach(func(c *core) {
		if c.tile == nil {
			return
		}
		for n := range 40 {
			for step := 1; step <= 3; step++ {
				a := slices.Clip(random(uint64(n), max((n-1)*step+1, 0)))
				checkTake(t, fmt.Sprintf("%s: %d words %d apart", c.name, n, step), takeWords, a, n, step)
				checkTake(t, fmt.Sprintf("%s: %d halves of words %d apart", c.name, n, step), takeHalves, a, n, step)
			}
		}
	})
}

func checkTake[E element](t *testing.T, what string, take func([]E, []uint64, int), a []uint64, n, step int) {
	t.Helper()
	d, want := make([]E, n+20), make([]E, n+20)
	for i := range n {
		want[i] = E(a[i*step])
	}
	take(d[:n], a, step)
	if !slices.Equal(d, want) {
		t.Fatalf("%s: %x, want %x", what, d, want)
	}
}

// TestTiles: products are computed on the narrowest tile that has the bits wanted.
func TestTiles(t *testing.T) {
	onEach(func(c *core) {
		for bits := range 65 {
			halves, words := c.tiles(bits)
			switch {
			case bits <= 32 && c.name != "portable":
				if halves == nil || halves != c.tile32 || words != nil {
					t.Errorf("%s: %d bits are not on the tile of 32", c.name, bits)
				}
			case halves != nil:
				t.Errorf("%s: %d bits are on the tile of 32", c.name, bits)
			case bits > 52 && words != c.tile:
				t.Errorf("%s: %d bits are not on the tile of 64", c.name, bits)
			case bits <= 52 && c.tile52 != nil && words != c.tile52:
				t.Errorf("%s: %d bits are not on the tile of 52", c.name, bits)
			}
		}
	})
}

func TestChoose(t *testing.T) {
	for _, c := range cores {
		if got := choose(c.name); got != c {
			t.Errorf("%s gives %s", c.name, got.name)
		}
	}
	for _, name := range []string{"", "abacus"} {
		if got := choose(name); got != cores[0] {
			t.Errorf("%q gives %s, want %s", name, got.name, cores[0].name)
		}
	}
	if Kernel() != active.name {
		t.Errorf("Kernel() = %s", Kernel())
	}
}
