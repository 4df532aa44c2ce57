package onnx

import (
	"fmt"
	"slices"

	"smpcc/ir"
)

// A calc emits formulas: after the first error it emits nothing more and keeps the error, so that a lowering reads like the
// formula it is and asks for the error once, at its end.
type calc struct {
	n   *node
	err error
}

func (n *node) calc() *calc { return &calc{n: n} }

// one ends a lowering with a single result.
func (c *calc) one(v *ir.Value) ([]*ir.Value, error) { return one(v, c.err) }

// fail records an error.
func (c *calc) fail(format string, args ...any) *ir.Value {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
	return nil
}

// got takes the result of a function that returns an error.
func (c *calc) got(v *ir.Value, err error) *ir.Value {
	if c.err == nil {
		c.err = err
	}
	if c.err != nil {
		return nil
	}
	return v
}

func (c *calc) e(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	if c.err != nil || slices.Contains(args, nil) {
		if c.err == nil {
			ir.Bug("%s of a value that is not there", op)
		}
		return nil
	}
	return c.got(c.n.e(op, attrs, args...))
}

func (c *calc) add(x, y *ir.Value) *ir.Value { return c.e(ir.OpAdd, nil, x, y) }
func (c *calc) sub(x, y *ir.Value) *ir.Value { return c.e(ir.OpSub, nil, x, y) }
func (c *calc) mul(x, y *ir.Value) *ir.Value { return c.e(ir.OpMul, nil, x, y) }
func (c *calc) neg(x *ir.Value) *ir.Value    { return c.e(ir.OpNeg, nil, x) }
func (c *calc) relu(x *ir.Value) *ir.Value   { return c.e(ir.OpRelu, nil, x) }

// div is x / y, by reciprocals where y is known when compiling.
func (c *calc) div(x, y *ir.Value) *ir.Value {
	if c.err != nil {
		return nil
	}
	return c.got(divide(c.n, x, y))
}

// fn applies a function of one variable, exactly where x is known when compiling.
func (c *calc) fn(op ir.Op, x *ir.Value) *ir.Value { return c.e(op, nil, x) }

// num is a public number of the kind of like.
func (c *calc) num(like *ir.Value, x float64) *ir.Value {
	if c.err != nil {
		return nil
	}
	return c.got(c.n.number(like, x))
}

func (c *calc) scale(x *ir.Value, k float64) *ir.Value {
	if c.err != nil {
		return nil
	}
	return c.got(c.n.scale(x, k))
}

func (c *calc) plus(x *ir.Value, k float64) *ir.Value {
	if k == 0 || c.err != nil {
		return x
	}
	return c.add(x, c.num(x, k))
}

func (c *calc) reshape(x *ir.Value, s ...int) *ir.Value {
	if c.err != nil {
		return nil
	}
	return c.got(c.n.reshape(x, slices.Clone(s)))
}

func (c *calc) expand(x *ir.Value, s ir.Shape) *ir.Value {
	if c.err != nil {
		return nil
	}
	return c.got(c.n.expand(x, s))
}

func (c *calc) transpose(x *ir.Value, perm ...int) *ir.Value {
	if c.err != nil || slices.IsSorted(perm) {
		return x
	}
	return c.got(c.n.transpose(x, perm...))
}

// reduce applies a reduction over axes, which stay with length one.
func (c *calc) reduce(op ir.Op, x *ir.Value, axes ...int) *ir.Value {
	if c.err != nil || len(axes) == 0 {
		return x
	}
	return c.e(op, ir.Attrs{ir.Dims("axes", axes), ir.I("keep", 1)}, x)
}

// dim reports whether x has a dimension axis; false after an error. Lowerings rely on it: what a file declares need not fit.
func (c *calc) dim(x *ir.Value, axis int) bool {
	if c.err == nil && (axis < 0 || axis >= len(x.Type.Shape)) {
		c.fail("%v has too few dimensions", x.Type.Shape)
	}
	return c.err == nil
}

// table returns a zero tensor for a constant that the lowering computes; nil after an error.
func (c *calc) table(e ir.Elem, s ...int) *ir.Tensor {
	if c.err != nil {
		return nil
	}
	var t *ir.Tensor
	t, c.err = c.n.tensor(e, s)
	return t
}

// pick gathers positions along an axis; a list that picks everything in order does nothing.
func (c *calc) pick(x *ir.Value, axis int, idx []int) *ir.Value {
	if !c.dim(x, axis) || len(idx) == x.Type.Shape[axis] && slices.Equal(idx, span(len(idx))) {
		return x
	}
	if err := c.n.r.left.take(float64(len(idx)), float64(len(idx))); err != nil {
		return c.got(nil, err)
	}
	return c.e(ir.OpGather, ir.Attrs{ir.I("axis", int64(axis)), ir.Dims("indices", idx)}, x)
}

// cut keeps positions from..to along an axis.
func (c *calc) cut(x *ir.Value, axis, from, to int) *ir.Value {
	if !c.dim(x, axis) || from == 0 && to == x.Type.Shape[axis] {
		return x
	}
	starts, ends, steps := every(x.Type.Shape)
	starts[axis], ends[axis] = from, to
	return c.got(c.n.cut(x, starts, ends, steps))
}

func (c *calc) concat(axis int, xs ...*ir.Value) *ir.Value {
	if len(xs) == 1 {
		return xs[0]
	}
	return c.e(ir.OpConcat, ir.Attrs{ir.I("axis", int64(axis))}, xs...)
}

// real turns bits or integers into reals.
func (c *calc) to(x *ir.Value, e ir.Elem) *ir.Value {
	if c.err != nil {
		return nil
	}
	return c.got(c.n.convert(x, e))
}

// data is a public constant, of a table or a few numbers; whole says that its elements are integers, so that products with it
// need no truncation.
func (c *calc) data(t *ir.Tensor, whole bool) *ir.Value {
	if c.err != nil {
		return nil
	}
	v := c.got(c.n.constant(t))
	if whole && t.Elem == ir.Real && c.err == nil {
		return c.got(c.n.r.f.Emit(c.n.at, ir.OpFormat, ir.Attrs{ir.I("frac", 0)}, v))
	}
	return v
}

// iota is 0, 1, ... n-1 as integers.
func (c *calc) iota(n int) *ir.Value {
	t := c.table(ir.Int, n)
	if t == nil {
		return nil
	}
	for i := range t.I {
		t.I[i] = int64(i)
	}
	return c.data(t, false)
}

// toLast moves an axis to the end; back undoes it.
func toLast(rank, axis int) (perm, back []int) {
	for i := range rank {
		if i != axis {
			perm = append(perm, i)
		}
	}
	perm = append(perm, axis)
	back = make([]int, rank)
	for i, p := range perm {
		back[p] = i
	}
	return perm, back
}

// rest lists the axes of a rank that are not in some.
func rest(rank int, some ...int) []int {
	var out []int
	for i := range rank {
		if !slices.Contains(some, i) {
			out = append(out, i)
		}
	}
	return out
}
