package dpf

import (
	"crypto/aes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"smpcc/backend/plan"
)

// uniform returns n random words.
func uniform(n int) []uint64 {
	b, out := make([]byte, 8*n), make([]uint64, n)
	rand.Read(b)
	for i := range out {
		out[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return out
}

// with runs fn for every kernel of this processor.
func with(t *testing.T, fn func(t *testing.T)) {
	was := active
	defer func() { active = was }()
	for _, k := range kernels() {
		active = k
		t.Run(k.name, fn)
	}
}

// dealt is keys of n points.
type dealt struct {
	words []uint64
	roots [2]Block
}

// rooted returns n keys that are to be made, of the given words.
func rooted(n, words int) dealt {
	k := dealt{words: make([]uint64, n*words)}
	for i := range k.roots {
		k.roots[i] = Block{uniform(n), uniform(n)}
	}
	return k
}

func deal(points []uint64, bits, kind int) dealt {
	n := len(points)
	k := rooted(n, plan.DPFWords(bits))
	k.make(points, func(from int, points []uint64, roots [2]Block) { Keys(k.words, n, from, points, roots, bits, kind) })
	return k
}

// make calls fn for each tile of points and their roots.
func (k dealt) make(points []uint64, fn func(from int, points []uint64, roots [2]Block)) {
	for from := 0; from < len(points); from += Tile {
		to := min(len(points), from+Tile)
		part := func(b Block) Block { return Block{b[0][from:to], b[1][from:to]} }
		fn(from, points[from:to], [2]Block{part(k.roots[0]), part(k.roots[1])})
	}
}

// eval evaluates keys at the same number of points each.
func (k dealt) eval(points []uint64, party, bits, kind int) []uint64 {
	return k.shares(points, party, func(d, points, roots []uint64, n, from, per int) {
		Eval(d, points, roots, k.words, n, from, per, bits, kind, party == 1)
	})
}

// shares calls fn for each tile of points.
func (k dealt) shares(points []uint64, party int, fn func(d, points, roots []uint64, n, from, per int)) []uint64 {
	n, roots := len(k.roots[0][0]), slices.Concat(k.roots[party][:]...)
	d := make([]uint64, len(points))
	for from := 0; from < len(d); from += Tile {
		to := min(len(d), from+Tile)
		fn(d[from:to], points[from:to], roots, n, from, len(d)/n)
	}
	return d
}

// TestEval compares every width and both kinds with the meaning, at equal points, neighbours, points that leave the way at each bit,
// the ends and random ones.
func TestEval(t *testing.T) {
	with(t, func(t *testing.T) {
		for bits := 1; bits <= 64; bits++ {
			low := ^uint64(0) >> (64 - bits)
			var a, r []uint64
			add := func(x, y uint64) { a, r = append(a, x), append(r, y) }
			for _, y := range append(uniform(9), 0, low, 1, low-1, low>>1, low>>1+1) {
				add(y, y)
				add(y+1, y)
				add(y-1, y)
				add(0, y)
				add(low, y)
				for i := range bits {
					add(y^1<<i, y)
					add(y^1<<i^uniform(1)[0]&(1<<i-1), y)
				}
				add(uniform(1)[0], y)
			}
			for _, kind := range []int{plan.DPFLess, plan.DPFEqual} {
				k := deal(r, bits, kind)
				s0, s1 := k.eval(a, 0, bits, kind), k.eval(a, 1, bits, kind)
				for i := range a {
					x, y := a[i]&low, r[i]&low
					want := uint64(0)
					if kind == plan.DPFLess && x < y || kind == plan.DPFEqual && x == y {
						want = 1
					}
					if s0[i] > 1 || s1[i] > 1 || s0[i]^s1[i] != want {
						t.Fatalf("%d bits, kind %d: %#x against %#x gives shares %d and %d, want the XOR %d", bits, kind, x, y, s0[i], s1[i], want)
					}
				}
			}
		}
	})
}

// TestEvalNightly compares 10^7 random keys of each width that plans use, at points close to theirs and far away, under SMPCC_NIGHTLY=1, or
// as many as SMPCC_NIGHTLY says.
func TestEvalNightly(t *testing.T) {
	keys, err := strconv.Atoi(os.Getenv("SMPCC_NIGHTLY"))
	if err != nil {
		t.Skip("takes minutes: set SMPCC_NIGHTLY=1")
	}
	if keys == 1 {
		keys = 1e7
	}
	for _, bits := range []int{7, 8, 15, 16, 23, 24, 31, 47, 63, 64} {
		for _, kind := range []int{plan.DPFLess, plan.DPFEqual} {
			low := ^uint64(0) >> (64 - bits)
			for done := 0; done < keys; done += 16 * Tile {
				r, a, how := uniform(16*Tile), uniform(16*Tile), uniform(16*Tile)
				for i := range a {
					switch how[i] % 4 {
					case 0:
						a[i] = r[i] + how[i]>>8%3 - 1
					case 1:
						a[i] = r[i] ^ 1<<(how[i]>>8%uint64(bits))
					case 2:
						a[i] = r[i] ^ a[i]>>(how[i]>>8%64)
					}
				}
				k := deal(r, bits, kind)
				s0, s1 := k.eval(a, 0, bits, kind), k.eval(a, 1, bits, kind)
				for i := range a {
					x, y := a[i]&low, r[i]&low
					if got := s0[i]^s1[i] == 1; got != (kind == plan.DPFLess && x < y || kind == plan.DPFEqual && x == y) {
						t.Fatalf("%d bits, kind %d: %#x against %#x gives %v", bits, kind, x, y, got)
					}
				}
			}
		}
	}
}

// TestEveryPoint compares all pairs of points of 9 bits.
func TestEveryPoint(t *testing.T) {
	with(t, func(t *testing.T) {
		const bits = 9
		for _, kind := range []int{plan.DPFLess, plan.DPFEqual} {
			for r := range uint64(1 << bits) {
				a := make([]uint64, 1<<bits)
				for i := range a {
					a[i] = uint64(i)
				}
				k := deal([]uint64{r}, bits, kind)
				s0, s1 := k.eval(a, 0, bits, kind), k.eval(a, 1, bits, kind)
				for i := range a {
					if got := s0[i]^s1[i] == 1; got != (kind == plan.DPFLess && a[i] < r || kind == plan.DPFEqual && a[i] == r) {
						t.Fatalf("kind %d: %d against %d gives %v", kind, i, r, got)
					}
				}
			}
		}
	})
}

// TestSame compares the kernels' correction words and shares bit by bit, for every tail of a tile.
func TestSame(t *testing.T) {
	was := active
	defer func() { active = was }()
	all := kernels()
	if len(all) < 2 {
		t.Skip("this processor has the portable kernel only")
	}
	const bits = 13
	for n := 1; n <= Tile+2*pad+1; n++ {
		points, roots := uniform(n), [2]Block{{uniform(n), uniform(n)}, {uniform(n), uniform(n)}}
		var first []uint64
		var shares []uint64
		for _, k := range all {
			active = k
			d := dealt{make([]uint64, n*plan.DPFWords(bits)), roots}
			d.make(points, func(from int, points []uint64, roots [2]Block) {
				Keys(d.words, n, from, points, roots, bits, plan.DPFLess)
			})
			s := append(d.eval(points, 0, bits, plan.DPFLess), d.eval(points, 1, bits, plan.DPFLess)...)
			if first == nil {
				first, shares = d.words, s
			} else if !slices.Equal(first, d.words) || !slices.Equal(shares, s) {
				t.Fatalf("%d keys: kernel %s differs from %s", n, k.name, all[0].name)
			}
		}
	}
}

// TestPoints evaluates keys at several points each, which tiles cut anywhere.
func TestPoints(t *testing.T) {
	with(t, func(t *testing.T) {
		const bits = 19
		for _, n := range []int{1, 2, 31, 300} {
			for _, per := range []int{1, 2, 3, 17, 33, Tile, Tile + 1} {
				r := uniform(n)
				var a []uint64
				for i := range n * per {
					a = append(a, r[i/per]+uint64(i%3)-1)
				}
				k := deal(r, bits, plan.DPFLess)
				s0, s1 := k.eval(a, 0, bits, plan.DPFLess), k.eval(a, 1, bits, plan.DPFLess)
				for i := range a {
					if got := s0[i]^s1[i] == 1; got != (a[i]&(1<<bits-1) < r[i/per]&(1<<bits-1)) {
						t.Fatalf("%d keys, %d points each: point %d is %v", n, per, i, got)
					}
				}
			}
		}
	})
}

// TestHash compares H with its definition on bytes.
func TestHash(t *testing.T) {
	c, err := aes.NewCipher(fixedKey[:])
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		x := uniform(2)
		var s, y [16]byte
		binary.LittleEndian.PutUint64(s[:], x[1])
		binary.LittleEndian.PutUint64(s[8:], x[1]^x[0])
		c.Encrypt(y[:], s[:])
		for i := range y {
			y[i] ^= s[i]
		}
		if lo, hi := hash(new([16]byte), x[0], x[1]); lo != binary.LittleEndian.Uint64(y[:]) || hi != binary.LittleEndian.Uint64(y[8:]) {
			t.Fatal("H(x) is not pi(sigma(x)) XOR sigma(x)")
		}
	}
}

// TestWords looks at what a party sees of a key: with a fresh root of the other party the correction words of one point are uniform bits, as
// are those of another.
func TestWords(t *testing.T) {
	const bits, n = 20, 4096
	for _, point := range []uint64{0, 1<<bits - 1, 0x5a5a5} {
		checkUniform(t, deal(slices.Repeat([]uint64{point}, n), bits, plan.DPFLess).words, n)
	}
}

// checkUniform counts the bits that are set in each of the words of n keys.
func checkUniform(t *testing.T, words []uint64, n int) {
	t.Helper()
	for w := 0; w < len(words); w += n {
		for b := range 64 {
			ones := 0
			for _, x := range words[w:][:n] {
				ones += int(x >> b & 1)
			}
			if ones < n/2-6*32 || ones > n/2+6*32 { // six standard deviations of 4096
				t.Errorf("bit %d of word %d is set in %d of %d keys", b, w/n, ones, n)
			}
		}
	}
}

// TestClean says that nothing of a key stays in what the next one is worked on with.
func TestClean(t *testing.T) {
	points := uniform(100)
	k := deal(points, 30, plan.DPFLess)
	k.eval(points, 0, 30, plan.DPFLess)
	if s := scratches.Get().(*scratch); *s != (scratch{}) {
		t.Error("a scratch holds words of a key")
	}
}

func benchmark(b *testing.B, run func(k dealt, points []uint64, bits int)) {
	was := active
	defer func() { active = was }()
	for _, kern := range kernels() {
		active = kern
		for _, bits := range []int{23, 47, 63} {
			b.Run(fmt.Sprintf("%s/%d", kern.name, bits), func(b *testing.B) {
				points := uniform(Tile)
				k := deal(points, bits, plan.DPFLess)
				for b.Loop() {
					run(k, points, bits)
				}
				per := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / Tile
				b.ReportMetric(per, "ns/key")
				b.ReportMetric(per/float64(plan.DPFLevels(bits)+1), "ns/level")
			})
		}
	}
}

func BenchmarkEval(b *testing.B) {
	d, roots := make([]uint64, Tile), uniform(2*Tile)
	benchmark(b, func(k dealt, points []uint64, bits int) {
		Eval(d, points, roots, k.words, Tile, 0, 1, bits, plan.DPFLess, false)
	})
}

func BenchmarkKeys(b *testing.B) {
	benchmark(b, func(k dealt, points []uint64, bits int) {
		Keys(k.words, Tile, 0, points, k.roots, bits, plan.DPFLess)
	})
}
