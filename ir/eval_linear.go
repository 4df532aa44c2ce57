package ir

// The plaintext meaning of products and sums. Each product is converted explicitly, which keeps it from being fused
// into the sum on CPUs that can: the same input gives the same bits everywhere.

// matmul adds the product of x (m by k) and y (k by n) to out.
func matmul[T number](out, x, y []T, m, k, n int) {
	for i := range m {
		row := out[i*n : (i+1)*n]
		for p, a := range x[i*k : (i+1)*k] {
			for j, b := range y[p*n : (p+1)*n] {
				row[j] += T(a * b)
			}
		}
	}
}

// matmuls multiplies matrices batch by batch; batch dimensions broadcast.
func matmuls[T number](out []T, so Shape, x []T, sx Shape, y []T, sy Shape) {
	r := len(so)
	m, n, k := so[r-2], so[r-1], sx[len(sx)-1]
	batch := append(append(Shape{}, so[:r-2]...), 1) // one run for each matrix
	px := append(spread(sx[:len(sx)-2], so[:r-2]), 0)
	py := append(spread(sy[:len(sy)-2], so[:r-2]), 0)
	walk(batch, func(o int, at []int) {
		a, b := at[0]*m*k, at[1]*k*n
		matmul(out[o*m*n:(o+1)*m*n], x[a:a+m*k], y[b:b+k*n], m, k, n)
	}, px, py)
}

func evalMatMul(v *Value, args []*Tensor) (*Tensor, error) {
	out, x, y := NewTensor(v.Type.Elem, v.Type.Shape), args[0], args[1]
	if out.Elem == Real {
		matmuls(out.F, out.Shape, x.F, x.Shape, y.F, y.Shape)
	} else {
		matmuls(out.I, out.Shape, x.I, x.Shape, y.I, y.Shape)
	}
	return out, nil
}

// touching returns the window positions lo..hi-1 of out for which position*stride - pad + off lies inside 0..in-1.
func touching(in, out, stride, pad, off int) (lo, hi int) {
	first := pad - off // position*stride >= first
	if first > 0 {
		lo = (first + stride - 1) / stride
	}
	if last := in - 1 + first; last >= 0 {
		hi = min(out, last/stride+1)
	}
	return min(lo, hi), hi
}

// conv adds the convolution of x with w to out.
func conv[T number](out, x, w []T, g Window) {
	ic, oc := g.C/g.Group, g.OC/g.Group
	for n := range g.N {
		for o := range g.OC {
			plane := out[(n*g.OC+o)*g.OH*g.OW:][:g.OH*g.OW]
			for c := range ic {
				in := x[(n*g.C+o/oc*ic+c)*g.H*g.W:][:g.H*g.W]
				for i := range g.KH {
					top, bottom := touching(g.H, g.OH, g.SH, g.PT, i*g.DH)
					for j := range g.KW {
						left, right := touching(g.W, g.OW, g.SW, g.PL, j*g.DW)
						if left == right {
							continue
						}
						a := w[((o*ic+c)*g.KH+i)*g.KW+j]
						for y := top; y < bottom; y++ {
							row := plane[y*g.OW+left : y*g.OW+right]
							p := (y*g.SH-g.PT+i*g.DH)*g.W + left*g.SW - g.PL + j*g.DW
							for k := range row {
								row[k] += T(a * in[p])
								p += g.SW
							}
						}
					}
				}
			}
		}
	}
}

func evalConv(v *Value, args []*Tensor) (*Tensor, error) {
	g, err := ConvWindow(v)
	if err != nil {
		return nil, err
	}
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	if out.Elem == Real {
		conv(out.F, args[0].F, args[1].F, g)
	} else {
		conv(out.I, args[0].I, args[1].I, g)
	}
	return out, nil
}

// fold combines each element of x with the element of out that its kept dimensions name.
func fold[T number](out, x []T, s Shape, axes []int, f func(acc, x T) T) {
	kept := rowMajor(ReducedShape(s, axes, true))
	for _, a := range axes {
		kept[a] = 0
	}
	n, st := run(s, kept)
	walk(s, func(o int, at []int) {
		p := at[0]
		for _, e := range x[o : o+n] {
			out[p] = f(out[p], e)
			p += st[0]
		}
	}, kept)
}

func evalReduceSum(v *Value, args []*Tensor) (*Tensor, error) {
	axes, _, err := reduced(v)
	if err != nil {
		return nil, err
	}
	out, x := NewTensor(v.Type.Elem, v.Type.Shape), args[0]
	if out.Elem == Real {
		fold(out.F, x.F, x.Shape, axes, plus[float64])
	} else {
		fold(out.I, x.I, x.Shape, axes, plus[int64])
	}
	return out, nil
}

// evalReduceMean divides the sum by the number of elements; the mean of none is 0.
func evalReduceMean(v *Value, args []*Tensor) (*Tensor, error) {
	out, err := evalReduceSum(v, args)
	if err != nil {
		return nil, err
	}
	n := args[0].Len() / max(1, out.Len())
	for i := range out.F {
		out.F[i] /= float64(max(1, n))
	}
	return out, nil
}
