package ir

import "math"

// The plaintext meaning of ops over windows and axes that have no ring form of their own.

// evalReduceMax folds from the least number, so that every element replaces it.
func evalReduceMax(v *Value, args []*Tensor) (*Tensor, error) {
	axes, _, err := reduced(v)
	if err != nil {
		return nil, err
	}
	out, x := NewTensor(v.Type.Elem, v.Type.Shape), args[0]
	if out.Elem == Real {
		fill(out.F, math.Inf(-1))
		fold(out.F, x.F, x.Shape, axes, larger[float64])
	} else {
		fill(out.I, math.MinInt64)
		fold(out.I, x.I, x.Shape, axes, larger[int64])
	}
	return out, nil
}

func fill[T number](x []T, e T) {
	for i := range x {
		x[i] = e
	}
}

// axisOf returns the attribute axis, not negative, and the lengths before, along and after it.
func axisOf(v *Value) (before, along, after int, err error) {
	s := v.Args[0].Type.Shape
	axes, err := NormAxes([]int{v.Attrs.Int("axis", 0)}, len(s))
	if err != nil {
		return 0, 0, 0, err
	}
	a := axes[0]
	return s[:a].Size(), s[a], s[a+1:].Size(), nil
}

// firstMax writes for each line along an axis the index of its first largest element.
func firstMax[T number](out []int64, x []T, before, along, after int) {
	for b := range before {
		for a := range after {
			line := x[b*along*after+a:]
			best := 0
			for i := 1; i < along; i++ {
				if line[i*after] > line[best*after] {
					best = i
				}
			}
			out[b*after+a] = int64(best)
		}
	}
}

func evalArgMax(v *Value, args []*Tensor) (*Tensor, error) {
	before, along, after, err := axisOf(v)
	if err != nil {
		return nil, err
	}
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	if args[0].Elem == Real {
		firstMax(out.I, args[0].F, before, along, after)
	} else {
		firstMax(out.I, args[0].I, before, along, after)
	}
	return out, nil
}

// softmaxEval is the meaning of softmax, and of its logarithm; both subtract the largest element of each line first.
func softmaxEval(log bool) evalFunc {
	return func(v *Value, args []*Tensor) (*Tensor, error) {
		before, along, after, err := axisOf(v)
		if err != nil {
			return nil, err
		}
		out, x := NewTensor(v.Type.Elem, v.Type.Shape), args[0].F
		for b := range before {
			for a := range after {
				at := func(i int) int { return (b*along+i)*after + a }
				top, sum := math.Inf(-1), 0.0
				for i := range along {
					top = max(top, x[at(i)])
				}
				for i := range along {
					sum += math.Exp(x[at(i)] - top)
				}
				for i := range along {
					if below := x[at(i)] - top; log {
						out.F[at(i)] = below - math.Log(sum)
					} else {
						out.F[at(i)] = math.Exp(below) / sum
					}
				}
			}
		}
		return out, nil
	}
}

// evalBatchNorm normalises each channel (dimension 1); arguments are x, scale, bias, mean, variance.
func evalBatchNorm(v *Value, args []*Tensor) (*Tensor, error) {
	out, x := NewTensor(v.Type.Elem, v.Type.Shape), args[0]
	scale, bias, mean, variance := args[1].F, args[2].F, args[3].F, args[4].F
	eps := v.Attrs.Float("epsilon", 0)
	channels, n := x.Shape[1], x.Shape[2:].Size()
	for i, e := range x.F {
		c := i / n % channels
		out.F[i] = float64((e-mean[c])/math.Sqrt(variance[c]+eps)*scale[c]) + bias[c]
	}
	return out, nil
}

// windows calls visit for each output position with the offsets in the plane of the input elements its window touches.
// The slice is reused between calls.
func windows(g Window, visit func(o int, in []int)) {
	in := make([]int, 0, 16)
	for i := range g.OH {
		for j := range g.OW {
			in = in[:0]
			for a := range g.KH {
				y := i*g.SH - g.PT + a*g.DH
				if y < 0 || y >= g.H {
					continue
				}
				for b := range g.KW {
					if x := j*g.SW - g.PL + b*g.DW; x >= 0 && x < g.W {
						in = append(in, y*g.W+x)
					}
				}
			}
			visit(i*g.OW+j, in)
		}
	}
}

// largest writes the largest element of each window; padding never counts.
func largest[T number](out, x []T, g Window, least T) {
	windows(g, func(o int, in []int) {
		for p := range g.N * g.C {
			plane, m := x[p*g.H*g.W:], least
			for _, i := range in {
				m = max(m, plane[i])
			}
			out[p*g.OH*g.OW+o] = m
		}
	})
}

func evalMaxPool(v *Value, args []*Tensor) (*Tensor, error) {
	g, err := PoolWindow(v)
	if err != nil {
		return nil, err
	}
	out := NewTensor(v.Type.Elem, v.Type.Shape)
	if out.Elem == Real {
		largest(out.F, args[0].F, g, math.Inf(-1))
	} else {
		largest(out.I, args[0].I, g, math.MinInt64)
	}
	return out, nil
}

// evalAvgPool divides the sum of each window by the elements it touches, or by its size if padding counts.
func evalAvgPool(v *Value, args []*Tensor) (*Tensor, error) {
	g, err := PoolWindow(v)
	if err != nil {
		return nil, err
	}
	all := v.Attrs.Int("include_pad", 0) != 0
	out, x := NewTensor(v.Type.Elem, v.Type.Shape), args[0].F
	windows(g, func(o int, in []int) {
		n := max(1, len(in))
		if all {
			n = g.KH * g.KW
		}
		for p := range g.N * g.C {
			plane, sum := x[p*g.H*g.W:], 0.0
			for _, i := range in {
				sum += plane[i]
			}
			out.F[p*g.OH*g.OW+o] = sum / float64(n)
		}
	})
	return out, nil
}
