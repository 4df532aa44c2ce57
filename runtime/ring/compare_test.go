package ring

import (
	"fmt"
	"math/bits"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"smpcc/backend/plan"
)

// reduced returns n random words below 2^bits.
func reduced(seed uint64, n, bits int) []uint64 {
	out := random(seed, n)
	for i := range out {
		out[i] &= lowBits(bits)
	}
	return out
}

// TestLeaf: from one-hots of r, XOR-shared by two, Leaf gives shares of the comparisons of each chunk of a with that of r.
func TestLeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chunk := rapid.SampledFrom([]int{4, 4, 4, 6, 7}).Draw(t, "chunk")
		nbits := rapid.IntRange(1, 64).Draw(t, "bits")
		chunks := (nbits + chunk - 1) / chunk
		from := rapid.IntRange(0, chunks-1).Draw(t, "from")
		k := rapid.IntRange(1, min(plan.MaxGroup, chunks-from)).Draw(t, "k")
		kind := rapid.IntRange(1, 3).Draw(t, "kind")
		n, seed := rapid.IntRange(0, 30).Draw(t, "n"), rapid.Uint64().Draw(t, "seed")
		a, r := random(seed, n), random(seed+1, n) // with garbage above
		for i := range a {
			if i%3 == 0 {
				a[i] = r[i] // equal chunks are rare otherwise
			}
		}
		var ones [2][][]uint64 // by party
		for i, w := range plan.HotWords(nbits, chunk, from, k) {
			hot, share := make([]uint64, n), reduced(seed+2+uint64(i), n, w.Bits)
			OneHot(hot, r, nbits, chunk, w)
			ones[0] = append(ones[0], share)
			Xor(hot, hot, share)
			ones[1] = append(ones[1], hot)
		}
		want := make([]uint64, n)
		for i := range want {
			for j := range k {
				at := chunk * (chunks - 1 - from - j)
				x, y := a[i]&lowBits(nbits)>>at&lowBits(chunk), r[i]&lowBits(nbits)>>at&lowBits(chunk)
				eqs, base := k, k
				switch kind {
				case plan.KindLt:
					eqs = k - 1
				case plan.KindEq:
					base = 0
				}
				if x < y && kind != plan.KindEq {
					want[i] |= 1 << j
				}
				if x == y && j < eqs {
					want[i] |= 1 << (base + j)
				}
			}
		}
		onEach(func(c *core) {
			d, e := garbage(n+8), garbage(n)
			Leaf(d[:n], a, ones[0], nbits, chunk, from, k, kind)
			Leaf(e, a, ones[1], nbits, chunk, from, k, kind)
			equal(t, c.name+": behind d", d[n:], garbage(8))
			Xor(e, e, d[:n])
			equal(t, fmt.Sprintf("%s: leaf of %d bits in chunks of %d, %d..%d, kind %d", c.name, nbits, chunk, from, from+k-1, kind), e, want)
		})
	})
}

func TestOneHot(t *testing.T) {
	for nbits := 1; nbits <= 64; nbits++ {
		for _, chunk := range []int{4, 6, 7} {
			chunks := (nbits + chunk - 1) / chunk
			a := random(uint64(nbits), 19)
			for _, w := range plan.HotWords(nbits, chunk, 0, min(chunks, plan.MaxGroup)) {
				want := make([]uint64, len(a))
				for i := range a {
					for c := range w.Count {
						v := int(a[i] & lowBits(nbits) >> (chunk * (chunks - 1 - w.First - c)) & lowBits(chunk))
						if v -= w.Base; v >= 0 && v < 64 {
							want[i] |= 1 << (16*c + v)
						}
					}
				}
				onEach(func(c *core) {
					d := garbage(len(a) + 8)
					OneHot(d[:len(a)], a, nbits, chunk, w)
					equal(t, fmt.Sprintf("%s: %d bits in chunks of %d, %+v", c.name, nbits, chunk, w), d[:len(a)], want)
					equal(t, "behind d", d[len(a):], garbage(8))
				})
			}
		}
	}
}

func TestMono(t *testing.T) {
	for kind := 1; kind <= 3; kind++ {
		for k := 1; k <= plan.MaxGroup; k++ {
			if kind == plan.KindBoth && k > 5 {
				continue
			}
			a := append(reduced(uint64(k), 33, plan.Vars(k, kind)), 0, lowBits(plan.Vars(k, kind)), ^uint64(0))
			all := plan.Monomials(k, kind)
			for word := range plan.MonoWords(k, kind) {
				sets := all[64*word : min(len(all), 64*word+64)]
				want := make([]uint64, len(a))
				for i := range a {
					for b, s := range sets {
						if bits.OnesCount16(uint16(a[i])&s) == bits.OnesCount16(s) {
							want[i] |= 1 << b
						}
					}
				}
				onEach(func(c *core) {
					d := garbage(len(a) + 8)
					Mono(d[:len(a)], a, sets)
					equal(t, fmt.Sprintf("%s: k %d kind %d word %d", c.name, k, kind, word), d[:len(a)], want)
					equal(t, "behind d", d[len(a):], garbage(8))
				})
			}
		}
	}
	onEach(func(*core) { Mono(nil, nil, nil) })
}

func TestReluSel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, nbits, first := rapid.IntRange(0, 40).Draw(t, "n"), rapid.IntRange(1, 64).Draw(t, "bits"), rapid.Uint64Range(0, 1).Draw(t, "first")
		var v [7][]uint64
		for i := range v {
			v[i] = words(t, n)
		}
		v[1] = reduced(rapid.Uint64().Draw(t, "delta"), n, 1)
		want := make([]uint64, n)
		for i := range want {
			r, sr := v[3][i], v[5][i]
			if v[0][i]>>(nbits-1)&1 == 1 {
				r, sr = v[4][i], v[6][i]
			}
			if v[1][i] == 1 {
				want[i] = v[0][i]*(first-v[2][i]) - (r - sr)
			} else {
				want[i] = v[0][i]*v[2][i] - sr
			}
		}
		onEach(func(c *core) {
			d := garbage(n + 8)
			ReluSel(d[:n], v[0], v[1], v[2], v[3], v[4], v[5], v[6], nbits, first)
			equal(t, c.name, d[:n], want)
			equal(t, "behind d", d[n:], garbage(8))
		})
	})
}

func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n, nbits, count := rapid.IntRange(0, 40).Draw(t, "n"), rapid.IntRange(1, 9).Draw(t, "bits"), rapid.IntRange(0, 3).Draw(t, "words")
		shift, keep, first := rapid.IntRange(0, 3).Draw(t, "shift"), rapid.Bool().Draw(t, "keep"), rapid.Uint64Range(0, 1).Draw(t, "first")
		table := MergeTable(words(t, 4<<nbits))
		opened, a := words(t, n), reduced(rapid.Uint64().Draw(t, "a"), n, 14)
		var prods [][]uint64
		for range count {
			prods = append(prods, words(t, n))
		}
		was := words(t, n)
		want := slices.Clone(was)
		for i := range want {
			r := table[4*(opened[i]&lowBits(nbits)):]
			ones := bits.OnesCount64(a[i]&r[0]) + int(first&(r[0]>>63))
			for w := range prods {
				ones += bits.OnesCount64(prods[w][i] & r[w+1])
			}
			if !keep {
				want[i] = 0
			}
			want[i] = want[i]&^(1<<shift) | uint64(ones%2)<<shift
		}
		onEach(func(c *core) {
			d := append(slices.Clone(was), garbage(8)...)
			Merge(d[:n], opened, a, prods, table, first, shift, keep)
			equal(t, c.name, d[:n], want)
			equal(t, "behind d", d[n:], garbage(8))
		})
	})
}

// TestPack: bytes are those of plan.Pack at every width and length, unpacking gives the words back, and neither touches what
// lies behind.
func TestPack(t *testing.T) {
	for bits := 1; bits <= 64; bits++ {
		for _, n := range []int{0, 1, 7, 8, 9, 16, 31, 64, 67, 1000} {
			w := random(uint64(bits), n)
			want := plan.Pack(nil, w, bits)
			onEach(func(c *core) {
				what := fmt.Sprintf("%s: %d words of %d bits", c.name, n, bits)
				got := slices.Repeat([]byte{0xaa}, len(want)+64)
				Pack(got, w, bits)
				if !slices.Equal(got[:len(want)], want) {
					t.Fatalf("%s: packed to %x, want %x", what, got[:len(want)], want)
				}
				if !slices.Equal(got[len(want):], slices.Repeat([]byte{0xaa}, 64)) {
					t.Fatalf("%s: packed beyond the end", what)
				}
				d := garbage(n + 8)
				Unpack(d[:n], slices.Clip(slices.Clone(want)), bits)
				equal(t, "behind d", d[n:], garbage(8))
				for i := range n {
					if d[i] != w[i]&lowBits(bits) {
						t.Fatalf("%s: word %d is %#x, want %#x", what, i, d[i], w[i]&lowBits(bits))
					}
				}
				own, u, tmp := random(7, n), slices.Clone(d[:n]), make([]uint64, n)
				sum, diff := make([]uint64, n), make([]uint64, n)
				for i := range n {
					sum[i], diff[i] = (own[i]+u[i])&lowBits(bits), (own[i]^u[i])&lowBits(bits)
				}
				d = garbage(n + 8)
				UnpackAdd(d[:n], own, want, bits, tmp)
				equal(t, what+", added", d, append(sum, garbage(8)...))
				UnpackXor(own, own, want, bits, tmp)
				equal(t, what+", XORed", own, diff)
			})
		}
	}
}

func TestNarrow(t *testing.T) {
	for width := 1; width < 8; width++ {
		for n := range 70 {
			a := random(uint64(n), n)
			want := make([]uint64, n)
			Bits(want, a, 0, 8*width)
			var first []uint64
			onEach(func(c *core) {
				size := NarrowLen(n, width)
				kept := garbage(size + 4)
				Narrow(kept[:size], a, width)
				equal(t, "behind", kept[size:], garbage(4))
				if first == nil {
					first = kept[:size]
				}
				equal(t, fmt.Sprintf("%s: %d of %d bytes", c.name, n, width), kept[:size], first)
				d := garbage(n + 8)
				Widen(d[:n], slices.Clip(kept[:size]), width)
				equal(t, fmt.Sprintf("%s: %d of %d bytes, widened", c.name, n, width), d[:n], want)
				equal(t, "behind d", d[n:], garbage(8))
			})
		}
	}
}
