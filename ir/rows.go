package ir

import "slices"

// perRow says how a value depends on the rows of a source: every element is the same function of one row alone, which one dimension
// counts.
type perRow struct {
	axis   int // the dimension; -1: no such value
	degree int // of the function as a polynomial of the row; anyDegree if it is none, or one of a higher degree
}

// Degrees.
const (
	maxDegree = 2 // of what an aggregate may sum: means and second moments. Sums of higher powers would, taken together, tell every row (Newton's identities)
	anyDegree = 3
)

var noRows = perRow{axis: -1}

// rowRules lists every operation that keeps rows apart, with the rule for what it makes of rows that are polynomials of the row. Each
// has a condition, which its rule checks. An operation that is not here ends the claim, and so does each under any other condition: what
// picks rows (a slice, a mask that varies from row to row, a shape that mixes them) makes a sum behind it a sum of one. Sums of anyDegree
// are no aggregates: a function that is no polynomial of the row may pick rows as well, as x*int(x/9) does, which is 0 but for the one
// patient above 9. Rounding to a format's last place is not counted; what it may tell is within the error that the compiler states.
var rowRules = map[Op]func(v *Value, at map[*Value]progress) perRow{
	OpAdd: keepsDegree, OpSub: keepsDegree, OpNeg: keepsDegree, OpReveal: keepsDegree,
	OpMul: alike(func(d []int) int {
		n := 0
		for _, x := range d {
			n += x
		}
		return n
	}),
	OpCast: func(v *Value, at map[*Value]progress) perRow {
		from, to := v.Args[0].Type.Elem, v.Type.Elem
		if to == Ring {
			return noRows
		}
		if from == to && to != Int || from == Int && to == Real || from == Bool && to != Bool { // no number changes
			return keepsDegree(v, at)
		}
		return losesDegree(v, at)
	},
	OpReshape:   moved(reshapedAxis),
	OpTranspose: moved(transposedAxis),
	OpSlice: moved(func(v *Value, x int) int {
		starts, steps, s, err := SliceDims(v)
		if err != nil || starts[x] != 0 || steps[x] != 1 || s[x] != v.Args[0].Type.Shape[x] {
			return -1
		}
		return x
	}),
	OpGather: moved(func(v *Value, x int) int {
		if v.Attrs.Int("axis", 0) == x {
			return -1
		}
		return x
	}),
	OpExpand: moved(func(v *Value, x int) int {
		in, shape := v.Args[0].Type.Shape, v.Type.Shape
		if k := x + len(shape) - len(in); shape[k] == in[x] {
			return k
		}
		return -1
	}),
	OpMatMul: moved(func(v *Value, x int) int {
		r, w := len(v.Args[0].Type.Shape), v.Args[1].Type.Shape
		if r < 2 || len(w) < 2 || x == r-1 || x != r-2 && len(w) != 2 { // one matrix for all rows
			return -1
		}
		return x + len(v.Type.Shape) - r
	}),
	OpConv: moved(batch), OpAvgPool: moved(batch),
	OpReduceSum: moved(reducedAxis), OpReduceMean: moved(reducedAxis), // along other axes; along the rows it is the aggregate

	OpFloor: losesDegree, OpRelu: losesDegree, OpAbs: losesDegree, OpClip: losesDegree, OpMax: losesDegree, OpMin: losesDegree,
	OpDiv: losesDegree, OpIntDiv: losesDegree, OpIntMod: losesDegree, OpSelect: losesDegree,
	OpLt: losesDegree, OpLe: losesDegree, OpGt: losesDegree, OpGe: losesDegree, OpEq: losesDegree, OpNe: losesDegree,
	OpNot: losesDegree, OpAnd: losesDegree, OpOr: losesDegree, OpXor: losesDegree,
}

// The rules of elementwise operations whose result has the largest of the operands' degrees, and of those that are no polynomials.
var (
	keepsDegree = alike(func(d []int) int { return slices.Max(d) })
	losesDegree = alike(func([]int) int { return anyDegree })
)

func batch(_ *Value, x int) int {
	if x != 0 {
		return -1
	}
	return 0
}

// reshapedAxis returns where a dimension is in another shape that keeps it apart; -1 if it does not.
func reshapedAxis(v *Value, x int) int {
	in, shape := v.Args[0].Type.Shape, v.Type.Shape
	before := in[:x].Size()
	for i := range shape {
		if shape[:i].Size() == before && shape[i] == in[x] {
			return i
		}
	}
	return -1
}

// transposedAxis returns where a dimension is behind a transposition.
func transposedAxis(v *Value, x int) int { return slices.Index(v.Attrs.Ints("perm"), x) }

// reducedAxis returns where rows are behind a reduction along other axes.
func reducedAxis(v *Value, x int) int {
	axes, err := NormAxes(v.Attrs.Ints("axes"), len(v.Args[0].Type.Shape))
	if err != nil || slices.Contains(axes, x) {
		return -1
	}
	if v.Attrs.Int("keep", 0) != 0 {
		return x
	}
	k := x
	for _, a := range axes {
		if a < x {
			k--
		}
	}
	return k
}

// rowsOf returns how v depends on rows; summed is how many rows v has summed up, all of the source's, 0 if it is no such sum.
func rowsOf(v *Value, at map[*Value]progress) (p perRow, summed int) {
	rule, ok := rowRules[v.Op]
	if !ok {
		return noRows, 0
	}
	if v.Op == OpReduceSum || v.Op == OpReduceMean {
		x := at[v.Args[0]].rows
		if x.axis >= 0 && sumsRows(v, x.axis) {
			if x.degree <= maxDegree {
				return noRows, v.Args[0].Type.Shape[x.axis]
			}
			return noRows, 0
		}
	}
	if p = rule(v, at); p.axis >= 0 {
		p.degree = min(p.degree, anyDegree)
	}
	return p, 0
}

// sumsRows reports whether a reduction goes along the dimension of rows.
func sumsRows(v *Value, axis int) bool {
	axes, err := NormAxes(v.Attrs.Ints("axes"), len(v.Args[0].Type.Shape))
	return err == nil && slices.Contains(axes, axis)
}

// alike is the rule of elementwise operations: all that derives from the source has its rows in one dimension, and what does not is the same
// for all rows. degree makes the result's degree of those of the operands that derive.
func alike(degree func([]int) int) func(v *Value, at map[*Value]progress) perRow {
	return func(v *Value, at map[*Value]progress) perRow {
		shape, axis := v.Type.Shape, -1
		var degrees []int
		for _, a := range v.Args { // dimensions are counted from the last one, as broadcasting does
			y, derives := at[a]
			if !derives {
				continue
			}
			k := y.rows.axis + len(shape) - len(a.Type.Shape)
			if y.rows.axis < 0 || axis >= 0 && k != axis {
				return noRows
			}
			axis = k
			degrees = append(degrees, y.rows.degree)
		}
		if axis < 0 {
			return noRows
		}
		for _, a := range v.Args {
			k := axis - len(shape) + len(a.Type.Shape)
			if _, derives := at[a]; derives && a.Type.Shape[k] != shape[axis] || !derives && k >= 0 && a.Type.Shape[k] != 1 {
				return noRows
			}
		}
		return perRow{axis, degree(degrees)}
	}
}

// moved is the rule of operations that move or combine the elements of their first argument; to returns where dimension x of rows is then,
// -1 if rows are not kept apart. Their other arguments must not derive from the source.
func moved(to func(v *Value, x int) int) func(v *Value, at map[*Value]progress) perRow {
	return func(v *Value, at map[*Value]progress) perRow {
		x, ok := at[v.Args[0]]
		if !ok || x.rows.axis < 0 {
			return noRows
		}
		for _, a := range v.Args[1:] {
			if _, derives := at[a]; derives {
				return noRows
			}
		}
		k := to(v, x.rows.axis)
		if k < 0 {
			return noRows
		}
		return perRow{k, x.rows.degree}
	}
}
