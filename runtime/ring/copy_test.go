package ring

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
	"smpcc/backend/plan"
)

// refCopy is the equation of a copy step, one element at a time.
func refCopy(d, a []uint64, c plan.Copy) {
	total := int64(1)
	for _, n := range c.Dims {
		total *= n
	}
	for i := range total {
		src, dst := c.Src, c.Dst
		for k, rest := len(c.Dims)-1, i; k >= 0; k-- {
			src += rest % c.Dims[k] * c.SrcStrides[k]
			dst += rest % c.Dims[k] * c.DstStrides[k]
			rest /= c.Dims[k]
		}
		d[dst] = a[src]
	}
}

// strided draws strides for dims, and returns the offset and the length of a buffer that just holds the elements.
func strided(t *rapid.T, dims []int64, distinct bool) (strides []int64, offset int64, length int) {
	strides = make([]int64, len(dims))
	order := rapid.Permutation(axes(len(dims))).Draw(t, "order")
	next, lo, hi := int64(1), int64(0), int64(0)
	for _, k := range order {
		s := next
		switch rapid.IntRange(0, 5).Draw(t, "kind") {
		case 0:
			s = -s // reversed
		case 1:
			s += int64(rapid.IntRange(1, 2).Draw(t, "gap"))
		case 2:
			if !distinct {
				s = 0 // broadcast
			}
		}
		strides[k] = s
		if e := (dims[k] - 1) * s; dims[k] > 0 && e < 0 {
			lo += e
		} else if dims[k] > 0 {
			hi += e
		}
		next = max(next, hi-lo+1)
	}
	return strides, -lo, int(hi - lo + 1)
}

// axes returns 0..n-1.
func axes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func TestCopy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dims := rapid.SliceOfN(rapid.Int64Range(0, 4), 0, 5).Draw(t, "dims")
		c := plan.Copy{Dims: dims}
		var ns, nd int
		c.SrcStrides, c.Src, ns = strided(t, dims, false)
		c.DstStrides, c.Dst, nd = strided(t, dims, true)
		a := words(t, ns)
		d, want := garbage(nd), garbage(nd)
		refCopy(want, a, c)
		Copy(d, a, c)
		equal(t, "copy", d, want)
	})
}

func TestCopyCases(t *testing.T) {
	a := []uint64{0, 1, 2, 3, 4, 5}
	for _, x := range []struct {
		name string
		c    plan.Copy
		want []uint64
	}{
		{"whole", plan.Copy{Dims: []int64{2, 3}, SrcStrides: []int64{3, 1}, DstStrides: []int64{3, 1}}, []uint64{0, 1, 2, 3, 4, 5}},
		{"transpose", plan.Copy{Dims: []int64{3, 2}, SrcStrides: []int64{1, 3}, DstStrides: []int64{2, 1}}, []uint64{0, 3, 1, 4, 2, 5}},
		{"broadcast", plan.Copy{Dims: []int64{2, 3}, SrcStrides: []int64{1, 0}, DstStrides: []int64{3, 1}}, []uint64{0, 0, 0, 1, 1, 1}},
		{"reverse", plan.Copy{Dims: []int64{6}, Src: 5, SrcStrides: []int64{-1}, DstStrides: []int64{1}}, []uint64{5, 4, 3, 2, 1, 0}},
		{"part", plan.Copy{Dims: []int64{2}, Src: 3, SrcStrides: []int64{1}, Dst: 1, DstStrides: []int64{2}}, []uint64{9, 3, 9, 4, 9, 9}},
		{"scalar", plan.Copy{Src: 2, Dst: 4}, []uint64{9, 9, 9, 9, 2, 9}},
		{"ones", plan.Copy{Dims: []int64{1, 1}, Src: 2, SrcStrides: []int64{77, 0}, Dst: 4, DstStrides: []int64{-3, 5}}, []uint64{9, 9, 9, 9, 2, 9}},
		{"none", plan.Copy{Dims: []int64{3, 0}, Src: 99, SrcStrides: []int64{1, 1}, Dst: 99, DstStrides: []int64{1, 1}}, []uint64{9, 9, 9, 9, 9, 9}},
	} {
		d := slices.Repeat([]uint64{9}, 6)
		Copy(d, a, x.c)
		equal(t, x.name, d, x.want)
	}
}

func TestGather(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		outer, axis, inner := rapid.IntRange(0, 4).Draw(t, "outer"), rapid.IntRange(1, 6).Draw(t, "axis"), rapid.IntRange(0, 4).Draw(t, "inner")
		idx := rapid.SliceOfN(rapid.Uint64Range(0, uint64(axis-1)), 0, 8).Draw(t, "idx")
		a := words(t, outer*axis*inner)
		want := make([]uint64, 0, outer*len(idx)*inner)
		for o := range outer {
			for _, j := range idx {
				for i := range inner {
					want = append(want, a[o*axis*inner+int(j)*inner+i])
				}
			}
		}
		d := garbage(len(want))
		Gather(d, a, outer, axis, inner, idx)
		equal(t, "gather", d, want)
	})
}

func BenchmarkCopyTranspose(b *testing.B) {
	const n = 1024
	a, d := make([]uint64, n*n), make([]uint64, n*n)
	b.SetBytes(8 * n * n)
	for b.Loop() {
		Copy(d, a, plan.Copy{Dims: []int64{n, n}, SrcStrides: []int64{1, n}, DstStrides: []int64{n, 1}})
	}
}

// TestEveryOther: all lengths of tails, from sources that end with the last word that is wanted.
func TestEveryOther(t *testing.T) {
	for n := range 70 {
		for off := range 3 {
			a := slices.Clip(random(uint64(n), off+max(2*n-1, 0))[off:])
			want := make([]uint64, n)
			for i := range want {
				want[i] = a[2*i]
			}
			onEach(func(c *core) {
				d := garbage(n + 8)
				everyOther(d[:n], a)
				equal(t, c.name, d[:n], want)
				equal(t, "behind d", d[n:], garbage(8))
				if n > 0 {
					func() {
						defer func() {
							if recover() == nil {
								t.Errorf("%s: a source one word short: no panic", c.name)
							}
						}()
						everyOther(d[:n], slices.Clip(a[:len(a)-1]))
					}()
				}
			})
		}
	}
}

// TestRuns counts words and runs of copies: dimensions that follow each other are one run.
func TestRuns(t *testing.T) {
	for _, c := range []struct {
		copy        plan.Copy
		words, runs float64
		dense       bool
	}{
		{plan.Copy{Dims: []int64{2, 3, 4}, SrcStrides: []int64{12, 4, 1}, DstStrides: []int64{12, 4, 1}}, 24, 1, true},
		{plan.Copy{Dims: []int64{2, 3, 4}, SrcStrides: []int64{0, 4, 1}, DstStrides: []int64{12, 4, 1}}, 24, 2, true},
		{plan.Copy{Dims: []int64{3, 4}, SrcStrides: []int64{1, 0}, DstStrides: []int64{4, 1}}, 12, 3, true},
		{plan.Copy{Dims: []int64{3, 4}, SrcStrides: []int64{8, 2}, DstStrides: []int64{4, 1}}, 12, 1, false},
		{plan.Copy{Dims: []int64{3, 4}, SrcStrides: []int64{1, 3}, DstStrides: []int64{4, 1}}, 12, 3, false},
		{plan.Copy{Dims: []int64{1, 1}, SrcStrides: []int64{7, 7}, DstStrides: []int64{7, 7}}, 1, 1, true},
		{plan.Copy{Dims: []int64{3, 0}, SrcStrides: []int64{1, 1}, DstStrides: []int64{1, 1}}, 0, 0, true},
	} {
		if words, runs, dense := Runs(c.copy); words != c.words || runs != c.runs || dense != c.dense {
			t.Errorf("%+v: %g words in %g runs, dense %v; want %g in %g, %v", c.copy, words, runs, dense, c.words, c.runs, c.dense)
		}
	}
}
