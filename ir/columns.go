package ir

import (
	"slices"
)

// A columnSet is a set of columns of a table.
type columnSet []uint64

func (s columnSet) join(o columnSet) columnSet {
	out := slices.Clone(s)
	for len(out) < len(o) {
		out = append(out, 0)
	}
	for i, w := range o {
		out[i] |= w
	}
	return out
}

// byColumn says which columns of the source the elements of a value derive from: those at index j of dimension axis from at[j], or, if axis
// is -1, all of them from at[0] together.
type byColumn struct {
	axis int
	at   []columnSet
}

func (b byColumn) all() columnSet {
	var s columnSet
	for _, o := range b.at {
		s = s.join(o)
	}
	return s
}

// Columns returns for each value of f that derives from src the columns, of src's second dimension, that any of its elements derives from,
// in order. It may name columns too many, where operations mix them: a product with a matrix mixes all, whatever its numbers are. A source
// without a second dimension has one column.
func Columns(f *Func, src *Value) map[*Value][]int {
	at := map[*Value]byColumn{}
	out := map[*Value][]int{}
	for _, v := range f.Body {
		switch {
		case v == src:
			at[v] = byColumn{-1, []columnSet{{1}}}
			if s := v.Type.Shape; len(s) >= 2 {
				b := byColumn{axis: 1}
				for j := range s[1] {
					set := make(columnSet, j/64+1)
					set[j/64] = 1 << (j % 64)
					b.at = append(b.at, set)
				}
				at[v] = b
			}
		case !slices.ContainsFunc(v.Args, func(a *Value) bool { _, ok := at[a]; return ok }):
			continue
		default:
			b, ok := columnsOf(v, at)
			if !ok {
				b = byColumn{-1, []columnSet{nil}}
				for _, a := range v.Args {
					if x, derives := at[a]; derives {
						b.at[0] = b.at[0].join(x.all())
					}
				}
			}
			at[v] = b
		}
		for j, set := range at[v].all() {
			for k := range 64 {
				if set>>k&1 != 0 {
					out[v] = append(out[v], 64*j+k)
				}
			}
		}
	}
	return out
}

// pointwise are the operations whose elements derive from the elements at the same place, with broadcasting, beside those in elementwise.
var pointwise = map[Op]bool{OpSelect: true, OpCast: true, OpReveal: true, OpIntDiv: true, OpIntMod: true, OpNot: true, OpAnd: true, OpOr: true, OpXor: true,
	OpLeaky: true, OpSigmoid: true, OpTanh: true, OpErf: true, OpGelu: true, OpSilu: true, OpSin: true, OpCos: true}

// columnsOf returns what v derives from if it keeps columns apart.
func columnsOf(v *Value, at map[*Value]byColumn) (b byColumn, ok bool) {
	shape := v.Type.Shape
	x := at[v.Args[0]]
	in := v.Args[0].Type.Shape
	switch {
	case pointwise[v.Op] || compares[v.Op] || elementwise(v.Op):
		return joinColumns(v, at, -1)
	case v.Op == OpConcat:
		return joinColumns(v, at, v.Attrs.Int("axis", 0))
	case x.axis < 0:
		return b, false
	}
	k := -1
	sets := x.at
	switch v.Op {
	case OpSlice:
		starts, steps, _, err := SliceDims(v)
		if err != nil {
			return b, false
		}
		k, sets = x.axis, nil
		for j := range shape[k] {
			sets = append(sets, x.at[starts[k]+j*steps[k]])
		}
	case OpGather:
		if k = x.axis; v.Attrs.Int("axis", 0) == k {
			sets = nil
			for _, j := range v.Attrs.Ints("indices") {
				sets = append(sets, x.at[j])
			}
		}
	case OpTranspose:
		k = transposedAxis(v, x.axis)
	case OpReshape:
		k = reshapedAxis(v, x.axis)
	case OpReduceSum, OpReduceMean, OpReduceMax:
		k = reducedAxis(v, x.axis)
	case OpExpand:
		if k = x.axis + len(shape) - len(in); shape[k] != len(sets) {
			sets = slices.Repeat(sets[:1], shape[k])
		}
	}
	return byColumn{k, sets}, k >= 0
}

// joinColumns joins elements at the same place, or behind each other along a dimension. Operands with columns in other dimensions are mixed.
func joinColumns(v *Value, at map[*Value]byColumn, along int) (b byColumn, ok bool) {
	shape, axis := v.Type.Shape, -1
	for _, a := range v.Args {
		if x, derives := at[a]; derives && x.axis >= 0 {
			k := x.axis + len(shape) - len(a.Type.Shape)
			if axis >= 0 && k != axis {
				return b, false
			}
			axis = k
		}
	}
	if axis < 0 {
		return b, false
	}
	b = byColumn{axis, make([]columnSet, shape[axis])}
	next := 0 // along the dimension that is joined
	for _, a := range v.Args {
		x, derives := at[a]
		n := shape[axis]
		if along == axis {
			n = a.Type.Shape[axis]
		}
		for j := range n {
			switch {
			case !derives:
			case x.axis < 0 || len(x.at) == 1:
				b.at[next+j] = b.at[next+j].join(x.at[0])
			default:
				b.at[next+j] = b.at[next+j].join(x.at[j])
			}
		}
		if along == axis {
			next += n
		}
	}
	return b, true
}
