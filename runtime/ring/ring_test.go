package ring

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// words returns n words of a drawn seed.
func words(t *rapid.T, n int) []uint64 { return random(rapid.Uint64().Draw(t, "seed"), n) }

// random returns n words that the seed fixes, with the edges of the ring among them.
func random(seed uint64, n int) []uint64 {
	r := rand.New(rand.NewPCG(seed, 1))
	out := make([]uint64, n)
	for i := range out {
		switch r.IntN(8) {
		case 0:
			out[i] = []uint64{0, 1, 1 << 63, ^uint64(0), 1<<63 - 1}[r.IntN(5)]
		default:
			out[i] = r.Uint64()
		}
	}
	return out
}

// equal compares a kernel's result with the reference.
func equal(t rapid.TB, what string, got, want []uint64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d words, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: word %d of %d is %#x, want %#x", what, i, len(want), got[i], want[i])
		}
	}
}

// garbage returns n words that no kernel should read.
func garbage(n int) []uint64 {
	d := make([]uint64, n)
	Fill(d, 0xdeadbeefdeadbeef)
	return d
}

var binaries = []struct {
	name string
	run  func(d, a, b []uint64)
	want func(a, b uint64) uint64
}{
	{"add", Add, func(a, b uint64) uint64 { return a + b }},
	{"sub", Sub, func(a, b uint64) uint64 { return a - b }},
	{"mul", Mul, func(a, b uint64) uint64 { return a * b }},
	{"xor", Xor, func(a, b uint64) uint64 { return a ^ b }},
	{"and", And, func(a, b uint64) uint64 { return a & b }},
}

func TestBinary(t *testing.T) {
	for _, op := range binaries {
		t.Run(op.name, rapid.MakeCheck(func(t *rapid.T) {
			n := rapid.IntRange(0, 40).Draw(t, "n")
			a, b := words(t, n), words(t, n)
			want, same := make([]uint64, n), make([]uint64, n)
			for i := range want {
				want[i], same[i] = op.want(a[i], b[i]), op.want(a[i], a[i])
			}
			onEach(func(c *core) {
				whole := garbage(n + 8)
				d := whole[:n]
				op.run(d, a, b)
				equal(t, c.name+", apart", d, want)
				equal(t, c.name+", behind d", whole[n:], garbage(8))
				d = slices.Clone(a)
				op.run(d, d, b)
				equal(t, c.name+", d is a", d, want)
				d = slices.Clone(b)
				op.run(d, a, d)
				equal(t, c.name+", d is b", d, want)
				d = slices.Clone(a)
				op.run(d, d, d)
				equal(t, c.name+", all one", d, same)
			})
		}))
	}
}

func TestUnary(t *testing.T) {
	type op struct {
		name string
		run  func(d, a []uint64)
		want func(a uint64) uint64
	}
	mod := func(a uint64, n int) uint64 {
		if n == 64 {
			return a
		}
		return a % (1 << n)
	}
	ops := []op{{"neg", Neg, func(a uint64) uint64 { return 0 - a }}}
	for by := range 64 {
		ops = append(ops, op{fmt.Sprintf("shl %d", by), func(d, a []uint64) { Shl(d, a, by) }, func(a uint64) uint64 {
			for range by {
				a *= 2
			}
			return a
		}})
		for _, count := range []int{1, 7, 64 - by} {
			if by+count <= 64 {
				ops = append(ops, op{fmt.Sprintf("bits %d+%d", by, count), func(d, a []uint64) { Bits(d, a, by, count) }, func(a uint64) uint64 {
					return mod(a/(1<<by), count)
				}})
			}
		}
		for _, n := range []int{by + 1, min(64, by+24), 64} {
			add := uint64(1)<<(n-1) + 5
			ops = append(ops, op{fmt.Sprintf("drop %d of %d", by, n), func(d, a []uint64) { Drop(d, a, n, by, add) }, func(a uint64) uint64 {
				return mod(a+add, n) / (1 << by)
			}})
		}
	}
	for n := 1; n <= 64; n++ {
		ops = append(ops, op{fmt.Sprintf("signed %d", n), func(d, a []uint64) { Signed(d, a, n) }, func(a uint64) uint64 {
			if a = mod(a, n); a>>(n-1) == 1 && n < 64 {
				a -= 1 << n
			}
			return a
		}})
	}
	ops = append(ops, op{"fill", func(d, _ []uint64) { Fill(d, 1<<40+3) }, func(uint64) uint64 { return 1<<40 + 3 }})
	a := []uint64{0, 1, 2, 3, 1 << 31, 1<<32 - 1, 1 << 62, 1<<63 - 1, 1 << 63, 1<<63 + 1, ^uint64(0) - 1, ^uint64(0), 0x0123456789abcdef}
	for _, o := range ops {
		want := make([]uint64, len(a))
		for i := range a {
			want[i] = o.want(a[i])
		}
		onEach(func(c *core) {
			for _, n := range []int{0, 3, 8, len(a)} {
				whole := garbage(n + 8)
				d := whole[:n]
				o.run(d, slices.Clip(a[:n]))
				equal(t, c.name+": "+o.name, d, want[:n])
				equal(t, c.name+": "+o.name+", behind d", whole[n:], slices.Repeat([]uint64{0xdeadbeefdeadbeef}, 8))
			}
			d := slices.Clone(a)
			o.run(d, d)
			equal(t, c.name+": "+o.name+", d is a", d, want)
		})
	}
}

func TestSum(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outer, axis, inner := rapid.IntRange(0, 5).Draw(t, "outer"), rapid.IntRange(0, 9).Draw(t, "axis"), rapid.IntRange(0, 5).Draw(t, "inner")
		a := words(t, outer*axis*inner)
		want := make([]uint64, outer*inner)
		for i, w := range a {
			want[i/(axis*inner)*inner+i%inner] += w
		}
		d := garbage(outer * inner)
		Sum(d, a, outer, axis, inner)
		equal(t, "sum", d, want)
	})
}
