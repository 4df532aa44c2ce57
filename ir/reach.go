package ir

import (
	"slices"

	"smpcc/ir/diag"
)

// Reach returns, for each value of f that may derive from one of the chosen elements of src, which of its elements may. It follows the structure of operations
// and no numbers: a product with a matrix that has zeros reaches as one without does. It may name elements too many, and none too few: an operation that it does
// not know mixes all.
//
//	elementwise      the elements at the same place, with broadcasting
//	views            where the elements go
//	sums, products   evaluated on marks of 0 and 1, everything else 1: what is above 0 is reached
func Reach(f *Func, src *Value, elements []bool) (map[*Value][]bool, error) {
	out := map[*Value][]bool{src: elements}
	for _, v := range f.Body {
		if v == src || !slices.ContainsFunc(v.Args, func(a *Value) bool { return out[a] != nil }) {
			continue
		}
		marks, err := reached(v, out)
		if err != nil {
			return nil, diag.Errorf(v.Pos, "%s: %v", v.Op, err)
		}
		if slices.Contains(marks, true) {
			out[v] = marks
		}
	}
	return out, nil
}

// reached returns which elements of v derive from marked elements of its arguments.
func reached(v *Value, at map[*Value][]bool) ([]bool, error) {
	shapes, marks := make([]Shape, len(v.Args)), make([][]bool, len(v.Args))
	for i, a := range v.Args {
		shapes[i], marks[i] = a.Type.Shape, at[a]
	}
	along := Attrs{Is("axes", int64(v.Attrs.Int("axis", 0))), I("keep", int64(v.Attrs.Int("keep", 0)))}
	out := make([]bool, v.Type.Shape.Size())
	switch {
	case pointwise[v.Op] || compares[v.Op] || elementwise(v.Op):
		for i := range v.Args {
			if marks[i] != nil {
				if err := join(out, OpExpand, Attrs{Dims("shape", v.Type.Shape)}, v.Type.Shape, shapes[i:i+1], marks[i:i+1]); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	case Rows[v.Op].View, v.Op == OpReduceSum, v.Op == OpReduceMean, v.Op == OpMaxPool, v.Op == OpAvgPool:
		return out, join(out, v.Op, v.Attrs, v.Type.Shape, shapes, marks)
	case v.Op == OpReduceMax:
		return out, join(out, OpReduceSum, v.Attrs, v.Type.Shape, shapes, marks)
	case v.Op == OpArgMax:
		return out, join(out, OpReduceSum, along, v.Type.Shape, shapes, marks)
	case v.Op == OpSoftmax, v.Op == OpLogSoftmax:
		row := slices.Clone(v.Type.Shape)
		axes, err := NormAxes([]int{v.Attrs.Int("axis", 0)}, len(row))
		if err != nil {
			return nil, err
		}
		row[axes[0]] = 1
		sums := make([]bool, row.Size())
		if err := join(sums, OpReduceSum, append(along[:1:1], I("keep", 1)), row, shapes, marks); err != nil {
			return nil, err
		}
		return out, join(out, OpExpand, Attrs{Dims("shape", v.Type.Shape)}, v.Type.Shape, []Shape{row}, [][]bool{sums})
	case v.Op == OpMatMul, v.Op == OpConv:
		for i := range v.Args {
			if marks[i] == nil {
				continue
			}
			one := [][]bool{slices.Repeat([]bool{true}, shapes[0].Size()), slices.Repeat([]bool{true}, shapes[1].Size())}
			one[i] = marks[i]
			if err := join(out, v.Op, v.Attrs, v.Type.Shape, shapes, one); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return slices.Repeat([]bool{true}, len(out)), nil
}

// join evaluates an operation on real numbers, 1 where an argument is marked and 0 elsewhere, and marks where the result is above 0.
func join(out []bool, op Op, attrs Attrs, shape Shape, args []Shape, marks [][]bool) error {
	v := &Value{Op: op, Attrs: attrs, Type: Type{Elem: Real, Shape: shape}}
	var data []*Tensor
	for i, s := range args {
		t := NewTensor(Real, s)
		for k, m := range marks[i] {
			if m {
				t.F[k] = 1
			}
		}
		data = append(data, t)
		v.Args = append(v.Args, &Value{Op: OpInput, Type: Type{Elem: Real, Shape: s}})
	}
	t, err := Rows[op].Eval(v, data)
	if err != nil {
		return err
	}
	for i, x := range t.F {
		out[i] = out[i] || x > 0
	}
	return nil
}
