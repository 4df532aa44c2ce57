package exact

import (
	"math/big"
	"sync"

	"smpcc/ir"
)

// Products: plain loops in float64, or in 64 bits where the result fits by its bound, on two processors; and by the
// definition in integers of any size.

// word is what fast loops compute with.
type word interface{ float64 | int64 }

// halves runs work on 0..n-1 in two parts at once.
func halves(n int, work func(lo, hi int)) {
	var wait sync.WaitGroup
	wait.Add(1)
	go func() {
		defer wait.Done()
		work(0, n/2)
	}()
	work(n/2, n)
	wait.Wait()
}

// product computes a bilinear op: by fast loops on reals, on integers whose sums of terms products stay small, or exactly.
func product(v *ir.Value, args []*Tensor, terms int, reals func(out, x, y []float64), small func(out, x, y []int64), large func(x, y []*big.Int) []*big.Int) *Tensor {
	x, y := args[0], args[1]
	if x.Elem == ir.Real {
		out := newTensor(ir.Real, v.Type.Shape)
		reals(out.F, x.F, y.F)
		return out
	}
	if float64(terms)*x.magnitude()*y.magnitude() < safe && x.Big == nil && y.Big == nil {
		out := newTensor(ir.Int, v.Type.Shape)
		small(out.I, x.I, y.I)
		return out
	}
	return whole(v.Type.Shape, large(x.integers(), y.integers()))
}

// matrices is the geometry of a matrix product: result b of m x n is the product of x's matrix bx[b] and y's matrix by[b].
type matrices struct {
	m, k, n int
	bx, by  []int
}

func matmul(v *ir.Value, args []*Tensor) (*Tensor, error) {
	sx, sy, s := args[0].Shape, args[1].Shape, v.Type.Shape
	r := len(s) - 2
	g := matrices{m: s[r], n: s[r+1], k: sx[len(sx)-1]}
	batch := s[:r]
	for b := range batch.Size() {
		g.bx, g.by = append(g.bx, b), append(g.by, b)
	}
	if p := offsets(sx[:len(sx)-2], batch); p != nil {
		g.bx = p
	}
	if p := offsets(sy[:len(sy)-2], batch); p != nil {
		g.by = p
	}
	return product(v, args, g.k, func(out, x, y []float64) { multiply(out, x, y, g) }, func(out, x, y []int64) { multiply(out, x, y, g) },
		func(x, y []*big.Int) []*big.Int { return g.large(x, y) }), nil
}

// multiply adds row p of y, times element (i, p) of x, to row i of the result.
func multiply[T word](out, x, y []T, g matrices) {
	halves(len(g.bx)*g.m, func(lo, hi int) {
		for r := lo; r < hi; r++ {
			b, i := r/g.m, r%g.m
			row := out[r*g.n:][:g.n]
			for p, a := range x[(g.bx[b]*g.m+i)*g.k:][:g.k] {
				for j, c := range y[(g.by[b]*g.k+p)*g.n:][:g.n] {
					row[j] += T(a * c)
				}
			}
		}
	})
}

// large computes element (i, j) of each product as a sum.
func (g matrices) large(x, y []*big.Int) []*big.Int {
	var out []*big.Int
	term := new(big.Int)
	for b := range g.bx {
		for i := range g.m {
			for j := range g.n {
				sum := new(big.Int)
				for p := range g.k {
					sum.Add(sum, term.Mul(x[(g.bx[b]*g.m+i)*g.k+p], y[(g.by[b]*g.k+p)*g.n+j]))
				}
				out = append(out, sum)
			}
		}
	}
	return out
}

// A window is the geometry of a convolution or pooling in two dimensions.
type window struct {
	n, c, h, w             int // input
	o, oh, ow              int // output
	kh, kw, sh, sw, dh, dw int // kernel, strides, dilations
	top, left              int // padding before
	group                  int
}

// windowOf reads the geometry of v, whose kernel is kh x kw.
func windowOf(v *ir.Value, kh, kw int) window {
	in, out := v.Args[0].Type.Shape, v.Type.Shape
	g := window{n: in[0], c: in[1], h: in[2], w: in[3], o: out[1], oh: out[2], ow: out[3], kh: kh, kw: kw, sh: 1, sw: 1, dh: 1, dw: 1, group: v.Attrs.Int("group", 1)}
	if a := v.Attrs.Ints("strides"); a != nil {
		g.sh, g.sw = a[0], a[1]
	}
	if a := v.Attrs.Ints("dilations"); a != nil {
		g.dh, g.dw = a[0], a[1]
	}
	if a := v.Attrs.Ints("pads"); a != nil {
		g.top, g.left = a[0], a[1]
	}
	return g
}

func conv(v *ir.Value, args []*Tensor) (*Tensor, error) {
	k := args[1].Shape
	g := windowOf(v, k[2], k[3])
	return product(v, args, g.c/g.group*g.kh*g.kw, func(out, x, y []float64) { convolve(out, x, y, g) }, func(out, x, y []int64) { convolve(out, x, y, g) },
		func(x, y []*big.Int) []*big.Int { return g.large(x, y) }), nil
}

// convolve adds, for each element of a kernel, its product with the row of the input under it to each row of the result.
func convolve[T word](out, x, k []T, g window) {
	in := g.c / g.group
	halves(g.n*g.o, func(lo, hi int) {
		for p := lo; p < hi; p++ {
			n, o := p/g.o, p%g.o
			plane := out[p*g.oh*g.ow:][:g.oh*g.ow]
			first := o / (g.o / g.group) * in // channel of the group
			for t := range in * g.kh * g.kw {
				c, i, j := t/(g.kh*g.kw), t/g.kw%g.kh, t%g.kw
				a := k[o*in*g.kh*g.kw+t]
				from := x[(n*g.c+first+c)*g.h*g.w:][:g.h*g.w]
				shift := j*g.dw - g.left
				begin, end := 0, g.ow // output columns whose element lies inside
				for begin < end && begin*g.sw+shift < 0 {
					begin++
				}
				for begin < end && (end-1)*g.sw+shift >= g.w {
					end--
				}
				for y := range g.oh {
					r := y*g.sh + i*g.dh - g.top
					if r < 0 || r >= g.h || begin == end {
						continue
					}
					line, row := from[r*g.w:][:g.w], plane[y*g.ow+begin:y*g.ow+end]
					if g.sw == 1 {
						for q, e := range line[begin+shift:][:len(row)] {
							row[q] += T(a * e)
						}
						continue
					}
					for q := range row {
						row[q] += T(a * line[(begin+q)*g.sw+shift])
					}
				}
			}
		}
	})
}

// large computes each element of a convolution as the sum over its window.
func (g window) large(x, k []*big.Int) []*big.Int {
	var out []*big.Int
	term := new(big.Int)
	in := g.c / g.group
	for n := range g.n {
		for o := range g.o {
			for y := range g.oh {
				for z := range g.ow {
					sum := new(big.Int)
					for c := range in {
						for t := range g.kh * g.kw {
							if p := g.at(y, z, t); p != none {
								channel := o/(g.o/g.group)*in + c
								sum.Add(sum, term.Mul(x[(n*g.c+channel)*g.h*g.w+p], k[(o*in+c)*g.kh*g.kw+t]))
							}
						}
					}
					out = append(out, sum)
				}
			}
		}
	}
	return out
}

// at returns where in a plane of the input element t of the window at (y, z) lies, none if in the padding.
func (g window) at(y, z, t int) int {
	return flat(ir.Shape{g.h, g.w}, []int{y*g.sh + t/g.kw*g.dh - g.top, z*g.sw + t%g.kw*g.dw - g.left})
}
