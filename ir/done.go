package ir

import (
	"slices"

	"smpcc/ir/policy"
)

// Done is what has been done to data, as rules of policies speak of it.
type Done = policy.Done

// maxDegree bounds the products of a row with itself that still count as part of an aggregate: means and second moments.
// Sums of higher powers would, taken together, tell every row (Newton's identities).
const maxDegree = 2

// progress is Done with what is needed to go on.
type progress struct {
	Done
	axis   int // which dimension runs over the source's rows, each element a function of its row alone; -1 for none
	degree int // of that function, a polynomial
}

// Trace returns for each value of f that derives from src what has been done to src's data on every way to it. It is
// conservative: an operation it does not know does nothing.
//
// Rows are the first dimension of the source. A value still has rows as long as each of its rows is the same polynomial of
// degree at most two of the source's row: after sums with, and products by, what does not vary from row to row; after
// products with weights; after views that keep rows apart. A sum or mean over all rows then counts as an aggregate.
// Whatever picks rows (a slice, a mask that varies, a comparison, a selection) ends it, because a sum behind it may be a
// sum of one.
func Trace(f *Func, src *Value) map[*Value]Done {
	at := map[*Value]progress{}
	out := map[*Value]Done{}
	for _, v := range f.Body {
		var p progress
		switch {
		case v == src:
			p = progress{axis: -1, degree: 1}
			if len(v.Type.Shape) > 0 {
				p.axis = 0
			}
		case len(v.Args) == 0:
			continue
		default:
			ok := false
			p, ok = advance(v, at)
			if !ok {
				continue
			}
		}
		at[v] = p
		out[v] = p.Done
	}
	return out
}

// advance returns the progress at v from that at its arguments; ok is false if none of them derives from the source.
func advance(v *Value, at map[*Value]progress) (p progress, ok bool) {
	for _, a := range v.Args {
		x, derives := at[a]
		switch {
		case !derives:
		case !ok:
			p, ok = x, true
		default:
			p.ArgMax = p.ArgMax && x.ArgMax
			p.Rows = min(p.Rows, x.Rows)
		}
	}
	if !ok {
		return p, false
	}
	rows := 0
	p.axis, p.degree, rows = rowsOf(v, at)
	p.Rows = max(p.Rows, rows)
	p.ArgMax = p.ArgMax || v.Op == OpArgMax
	return p, true
}

// The operations that keep rows apart, with the degree of what they make of rows that are polynomials of degree d:
//
//	add, sub         the largest of the operands' degrees
//	mul              their sum
//	neg, reveal, cast of integers to reals and of booleans to numbers, reshape, transpose, slice of all rows, gather along
//	another axis, expand, matmul and conv with what is the same for all rows, avgpool, sums and means along other axes: d
//
// Every other operation, and each of these under any other condition than the one below, ends the claim: a function that is no
// polynomial of the row may pick rows, as x*int(x/9) does, which is 0 but for the one patient above 9. Rounding to a format's last
// place is not counted; what it may tell is within the error that the compiler states.

// rowsOf returns the dimension of v that runs over rows, -1 for none, with the degree of its elements; rows is how many rows
// v has summed, 0 if it is no such sum.
func rowsOf(v *Value, at map[*Value]progress) (axis, degree, rows int) {
	none := func() (int, int, int) { return -1, 0, 0 }
	shape := v.Type.Shape
	x, in := progress{axis: -1}, Shape(nil)
	if len(v.Args) > 0 {
		in = v.Args[0].Type.Shape
		if y, ok := at[v.Args[0]]; ok {
			x = y
		}
	}
	switch v.Op {
	case OpAdd, OpSub, OpMul:
		axis = -1
		for _, a := range v.Args { // dimensions are counted from the last one, as broadcasting does
			y, derives := at[a]
			if !derives {
				continue
			}
			k := y.axis + len(shape) - len(a.Type.Shape)
			if y.axis < 0 || axis >= 0 && k != axis {
				return none()
			}
			axis = k
			if v.Op == OpMul {
				degree += y.degree
			} else {
				degree = max(degree, y.degree)
			}
		}
		for _, a := range v.Args {
			k := axis - len(shape) + len(a.Type.Shape)
			if _, derives := at[a]; derives && a.Type.Shape[k] != shape[axis] || !derives && k >= 0 && a.Type.Shape[k] != 1 {
				return none()
			}
		}
		if degree > maxDegree {
			return none()
		}
		return axis, degree, 0
	}
	if x.axis < 0 {
		return none()
	}
	for _, a := range v.Args[1:] {
		if _, derives := at[a]; derives {
			return none()
		}
	}
	n := in[x.axis]
	switch v.Op {
	case OpNeg, OpReveal:
		return x.axis, x.degree, 0
	case OpCast: // only where no number changes: a real that becomes an integer is cut off, and x*int(x/9) picks rows
		if from, to := v.Args[0].Type.Elem, v.Type.Elem; from == to && to != Int || from == Int && to == Real || from == Bool && to != Bool && to != Ring {
			return x.axis, x.degree, 0
		}
	case OpReshape:
		before := in[:x.axis].Size()
		for i := range shape {
			if shape[:i].Size() == before && shape[i] == n {
				return i, x.degree, 0
			}
		}
	case OpTranspose:
		if i := slices.Index(v.Attrs.Ints("perm"), x.axis); i >= 0 {
			return i, x.degree, 0
		}
	case OpSlice:
		starts, steps, s, err := SliceDims(v)
		if err == nil && starts[x.axis] == 0 && steps[x.axis] == 1 && s[x.axis] == n {
			return x.axis, x.degree, 0
		}
	case OpGather:
		if v.Attrs.Int("axis", 0) != x.axis {
			return x.axis, x.degree, 0
		}
	case OpExpand:
		if k := x.axis + len(shape) - len(in); shape[k] == n {
			return k, x.degree, 0
		}
	case OpMatMul:
		w := v.Args[1].Type.Shape
		switch r := len(in); {
		case r < 2 || len(w) < 2 || x.axis == r-1:
		case x.axis == r-2, len(w) == 2: // one matrix for all rows
			return x.axis + len(shape) - r, x.degree, 0
		}
	case OpConv, OpAvgPool:
		if x.axis == 0 {
			return 0, x.degree, 0
		}
	case OpReduceSum, OpReduceMean:
		axes, err := NormAxes(v.Attrs.Ints("axes"), len(in))
		if err != nil {
			return none()
		}
		if slices.Contains(axes, x.axis) {
			return -1, 0, n
		}
		k := x.axis
		if v.Attrs.Int("keep", 0) == 0 {
			for _, a := range axes {
				if a < x.axis {
					k--
				}
			}
		}
		return k, x.degree, 0
	}
	return none()
}

// ArgMaxBits bounds the information that values hold together of the sources where all of it goes through arg-maxes: the sum, over
// the last arg-maxes on the ways, of the bits of their results. An arg-max on the ways to several values counts once.
func ArgMaxBits(values, sources []*Value) int {
	derives := map[*Value]bool{}
	for _, s := range sources {
		derives[s] = true
	}
	var from func(x *Value) bool
	from = func(x *Value) bool {
		d, seen := derives[x]
		if !seen {
			derives[x] = false
			for _, a := range x.Args {
				if from(a) {
					derives[x] = true
				}
			}
			d = derives[x]
		}
		return d
	}
	bits, seen := 0, map[*Value]bool{}
	var walk func(x *Value)
	walk = func(x *Value) {
		if seen[x] || !from(x) {
			return
		}
		seen[x] = true
		if x.Op == OpArgMax {
			n := x.Args[0].Type.Shape.Size() / max(1, x.Type.Shape.Size())
			each := 0
			for 1<<each < n {
				each++
			}
			bits += each * x.Type.Shape.Size()
			return
		}
		for _, a := range x.Args {
			walk(a)
		}
	}
	for _, v := range values {
		walk(v)
	}
	return bits
}
