package exact

import (
	"math"
	"math/big"
	"slices"

	"smpcc/ir"
)

// total is a compensated sum: the error of each addition is kept and added in the end, so that the result is that of twice
// the precision.
type total struct{ sum, lost float64 }

func (t *total) add(x float64) {
	s := t.sum + x
	if math.Abs(t.sum) >= math.Abs(x) {
		t.lost += (t.sum - s) + x
	} else {
		t.lost += (x - s) + t.sum
	}
	t.sum = s
}

func (t *total) value() float64 {
	if math.IsInf(t.sum, 0) || math.IsNaN(t.sum) {
		return t.sum
	}
	return t.sum + t.lost
}

// groups returns for each element of v's result the places of the argument's elements that are reduced to it, in order.
func groups(v *ir.Value, s ir.Shape) [][]int {
	drop := make([]bool, len(s))
	for _, a := range v.Attrs.Ints("axes") {
		drop[(a+len(s))%len(s)] = true
	}
	out := make([][]int, v.Type.Shape.Size())
	place(s, func(o int, index []int) {
		p := 0
		for i, k := range index {
			if !drop[i] {
				p = p*s[i] + k
			}
		}
		out[p] = append(out[p], o)
	})
	return out
}

func sumOf(x []float64, at []int) float64 {
	var t total
	for _, i := range at {
		t.add(x[i])
	}
	return t.value()
}

func sum(v *ir.Value, args []*Tensor) (*Tensor, error) {
	x, parts := args[0], groups(v, args[0].Shape)
	if x.Elem == ir.Real {
		out := newTensor(ir.Real, v.Type.Shape)
		for o, at := range parts {
			out.F[o] = sumOf(x.F, at)
		}
		return out, nil
	}
	data, out := x.integers(), make([]*big.Int, len(parts))
	for o, at := range parts {
		out[o] = new(big.Int)
		for _, i := range at {
			out[o].Add(out[o], data[i])
		}
	}
	return whole(v.Type.Shape, out), nil
}

// mean of no elements is zero, as its lowering has it.
func mean(v *ir.Value, args []*Tensor) (*Tensor, error) {
	out := newTensor(ir.Real, v.Type.Shape)
	for o, at := range groups(v, args[0].Shape) {
		if len(at) > 0 {
			out.F[o] = sumOf(args[0].F, at) / float64(len(at))
		}
	}
	return out, nil
}

// best returns the first place of a group whose element none exceeds.
func (t *Tensor) best(at []int) int {
	b := at[0]
	for _, i := range at[1:] {
		var above bool
		switch {
		case t.Elem == ir.Real:
			above = t.F[i] > t.F[b]
		case t.Big != nil:
			above = t.Big[i].Cmp(t.Big[b]) > 0
		default:
			above = t.I[i] > t.I[b]
		}
		if above {
			b = i
		}
	}
	return b
}

func largest(v *ir.Value, args []*Tensor) (*Tensor, error) {
	parts := groups(v, args[0].Shape)
	from := make([]int, len(parts))
	for o, at := range parts {
		from[o] = args[0].best(at)
	}
	return picked(args[0], v.Type.Shape, from), nil
}

// lines returns the places of the elements of each line along v's axis, in order of the lines.
func lines(v *ir.Value, s ir.Shape) [][]int {
	axis := v.Attrs.Int("axis", 0)
	one := &ir.Value{Attrs: ir.Attrs{ir.Dims("axes", []int{axis})}, Type: ir.Type{Shape: slices.Delete(slices.Clone(s), (axis+len(s))%len(s), (axis+len(s))%len(s)+1)}}
	return groups(one, s)
}

func firstLargest(v *ir.Value, args []*Tensor) (*Tensor, error) {
	out := newTensor(ir.Int, v.Type.Shape)
	for o, at := range lines(v, args[0].Shape) {
		out.I[o] = int64(slices.Index(at, args[0].best(at)))
	}
	return out, nil
}

// softmax is e^x / sum e^x along the axis, or its logarithm x - log sum e^x; both of x less its largest element.
func softmax(log bool) meaning {
	return func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		x, out := args[0], newTensor(ir.Real, v.Type.Shape)
		for _, at := range lines(v, x.Shape) {
			if len(at) == 0 {
				continue
			}
			top := x.F[x.best(at)]
			var sum total
			for _, i := range at {
				sum.add(math.Exp(x.F[i] - top))
			}
			for _, i := range at {
				if below := x.F[i] - top; log {
					out.F[i] = below - math.Log(sum.value())
				} else {
					out.F[i] = math.Exp(below) / sum.value()
				}
			}
		}
		return out, nil
	}
}

// pooled calls visit for each element of a pooling's result with the places of the input under its window.
func pooled(v *ir.Value, visit func(o int, at []int)) window {
	k := v.Attrs.Ints("kernel")
	g := windowOf(v, k[0], k[1])
	place(v.Type.Shape, func(o int, index []int) {
		var at []int
		for t := range g.kh * g.kw {
			if p := g.at(index[2], index[3], t); p != none {
				at = append(at, (index[0]*g.c+index[1])*g.h*g.w+p)
			}
		}
		visit(o, at)
	})
	return g
}

func maxPool(v *ir.Value, args []*Tensor) (*Tensor, error) {
	from := make([]int, v.Type.Shape.Size())
	pooled(v, func(o int, at []int) { from[o] = args[0].best(at) })
	return picked(args[0], v.Type.Shape, from), nil
}

// avgPool divides by the elements under a window, or by the window's size if padding counts.
func avgPool(v *ir.Value, args []*Tensor) (*Tensor, error) {
	out, k := newTensor(ir.Real, v.Type.Shape), v.Attrs.Ints("kernel")
	pooled(v, func(o int, at []int) {
		n := max(1, len(at))
		if v.Attrs.Int("include_pad", 0) != 0 {
			n = k[0] * k[1]
		}
		out.F[o] = sumOf(args[0].F, at) / float64(n)
	})
	return out, nil
}

// batchNorm is (x - mean) / sqrt(var + epsilon) * scale + bias for each channel, which is dimension 1.
func batchNorm(v *ir.Value, args []*Tensor) (*Tensor, error) {
	x, out := args[0], newTensor(ir.Real, v.Type.Shape)
	scale, bias, mean, variance := args[1].F, args[2].F, args[3].F, args[4].F
	place(x.Shape, func(o int, index []int) {
		c := index[1]
		out.F[o] = (x.F[o]-mean[c])/math.Sqrt(variance[c]+v.Attrs.Float("epsilon", 0))*scale[c] + bias[c]
	})
	return out, nil
}
