package exact

import (
	"math/big"

	"smpcc/ir"
)

// none is the place of a zero that a view adds.
const none = -1

// picked returns the elements of x at the given places.
func picked(x *Tensor, s ir.Shape, from []int) *Tensor {
	switch {
	case x.Elem == ir.Real:
		return &Tensor{Elem: x.Elem, Shape: s, F: pick(x.F, from, 0)}
	case x.Big != nil:
		return whole(s, pick(x.Big, from, new(big.Int)))
	}
	return &Tensor{Elem: x.Elem, Shape: s, I: pick(x.I, from, 0)}
}

func pick[T any](x []T, from []int, zero T) []T {
	out := make([]T, len(from))
	for o, i := range from {
		if out[o] = zero; i != none {
			out[o] = x[i]
		}
	}
	return out
}

// view is an op that moves elements. from returns the element of the argument, of shape s, at an index of the result, or none.
func view(from func(v *ir.Value, s ir.Shape) func(index []int) int) meaning {
	return func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		of := from(v, args[0].Shape)
		if of == nil { // all in order
			x := *args[0]
			x.Shape = v.Type.Shape
			return &x, nil
		}
		list := make([]int, v.Type.Shape.Size())
		place(v.Type.Shape, func(o int, index []int) { list[o] = of(index) })
		return picked(args[0], v.Type.Shape, list), nil
	}
}

// flat returns the place of an index in a tensor of shape s, none if it lies outside.
func flat(s ir.Shape, index []int) int {
	p := 0
	for i, d := range s {
		if index[i] < 0 || index[i] >= d {
			return none
		}
		p = p*d + index[i]
	}
	return p
}

func reshaped(*ir.Value, ir.Shape) func([]int) int { return nil }

func transposed(v *ir.Value, s ir.Shape) func([]int) int {
	perm, from := v.Attrs.Ints("perm"), make([]int, len(s))
	return func(index []int) int {
		for i, p := range perm {
			from[p] = index[i]
		}
		return flat(s, from)
	}
}

func sliced(v *ir.Value, s ir.Shape) func([]int) int {
	starts, steps, from := v.Attrs.Ints("starts"), v.Attrs.Ints("steps"), make([]int, len(s))
	return func(index []int) int {
		for i, k := range index {
			from[i] = starts[i] + k*steps[i]
		}
		return flat(s, from)
	}
}

func expanded(v *ir.Value, s ir.Shape) func([]int) int {
	from := make([]int, len(s))
	return func(index []int) int {
		for i, d := range s {
			if from[i] = index[len(index)-len(s)+i]; d == 1 {
				from[i] = 0
			}
		}
		return flat(s, from)
	}
}

func padded(v *ir.Value, s ir.Shape) func([]int) int {
	pads, from := v.Attrs.Ints("pads"), make([]int, len(s))
	return func(index []int) int {
		for i, k := range index {
			from[i] = k - pads[i]
		}
		return flat(s, from)
	}
}

func gathered(v *ir.Value, s ir.Shape) func([]int) int {
	axis, indices, from := v.Attrs.Int("axis", 0), v.Attrs.Ints("indices"), make([]int, len(s))
	return func(index []int) int {
		copy(from, index)
		from[axis] = indices[index[axis]]
		return flat(s, from)
	}
}

// concat joins its arguments along an axis: element by element, from the argument into whose part the index falls.
func concat(v *ir.Value, args []*Tensor) (*Tensor, error) {
	axis, s := v.Attrs.Int("axis", 0), v.Type.Shape
	all := &Tensor{Elem: v.Type.Elem} // the arguments one after the other
	start := make([]int, len(args))
	large := false
	for _, x := range args {
		large = large || x.Big != nil
	}
	n := 0
	for i, x := range args {
		start[i], n = n, n+x.Len()
		switch {
		case large:
			all.Big = append(all.Big, x.integers()...)
		default:
			all.F, all.I = append(all.F, x.F...), append(all.I, x.I...)
		}
	}
	list, from := make([]int, s.Size()), make([]int, len(s))
	place(s, func(o int, index []int) {
		copy(from, index)
		k := 0
		for from[axis] >= args[k].Shape[axis] {
			from[axis] -= args[k].Shape[axis]
			k++
		}
		list[o] = start[k] + flat(args[k].Shape, from)
	})
	return picked(all, s, list), nil
}
