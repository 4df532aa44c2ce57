package onnx

import (
	"fmt"
	"slices"

	"smpcc/ir"
)

// Reductions over axes.

// reduction lowers a reduction over axes, given by f on the input and its normalised axes, which stay with length one.
func reduction(f func(c *calc, x *ir.Value, axes []int) *ir.Value) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x, c := n.in(0), n.calc()
		axes, err := n.list(1, "axes")
		if err != nil {
			return nil, err
		}
		if len(axes) == 0 {
			if n.int("noop_with_empty_axes", 0) != 0 {
				return c.one(f(c, x, nil))
			}
			axes = span(len(x.Type.Shape))
		}
		if axes, err = ir.NormAxes(axes, len(x.Type.Shape)); err != nil {
			return nil, err
		}
		y := f(c, x, axes)
		if n.int("keepdims", 1) == 0 {
			y = c.reshape(y, ir.ReducedShape(x.Type.Shape, axes, false)...)
		}
		return c.one(y)
	}
}

// product multiplies along axes, halving them until one is left: its depth is rounds.
func (c *calc) product(x *ir.Value, axes []int) *ir.Value {
	for _, a := range axes {
		if c.err == nil && x.Type.Shape[a] == 0 { // of nothing
			s := slices.Clone(x.Type.Shape)
			s[a] = 1
			x = c.expand(c.num(x, 1), s)
		}
		for c.err == nil && x.Type.Shape[a] > 1 {
			d := x.Type.Shape[a]
			y := c.mul(c.cut(x, a, 0, d/2), c.cut(x, a, d/2, d/2*2))
			if d%2 == 1 {
				y = c.concat(a, y, c.cut(x, a, d-1, d))
			}
			x = y
		}
	}
	return x
}

// largest is the largest element along axes: of bits whether any is set, for which the bits are counted. Nothing has none.
func (c *calc) largest(x *ir.Value, axes []int) *ir.Value {
	if c.err != nil {
		return nil
	}
	for _, a := range axes {
		switch {
		case x.Type.Shape[a] > 0 || x.Type.Shape.Size() > 0:
		case x.Type.Elem == ir.Bool:
		default:
			return c.got(nil, outside.of(c.n.at, fmt.Sprintf("the largest of no elements, along dimension %d of %v,", a, x.Type.Shape)))
		}
	}
	if x.Type.Elem != ir.Bool || len(axes) == 0 {
		return c.reduce(ir.OpReduceMax, x, axes...)
	}
	count := c.reduce(ir.OpReduceSum, c.to(x, ir.Int), axes...)
	return c.e(ir.OpGt, nil, count, c.num(count, 0))
}

// logSumExp subtracts the largest element before exponentiating; the sum is then at least 1.
func (c *calc) logSumExp(x *ir.Value, axes []int) *ir.Value {
	if len(axes) == 0 {
		return x
	}
	top := c.reduce(ir.OpReduceMax, x, axes...)
	sum := c.reduce(ir.OpReduceSum, c.fn(ir.OpExp, c.sub(x, top)), axes...)
	return c.add(top, c.fn(ir.OpLog, sum))
}

// mean is the sum over axes by the number of its terms. That of integers is their exact sum, whatever their type, by an integer, towards zero.
func (c *calc) mean(x *ir.Value, axes []int) *ir.Value {
	if c.err != nil || x.Type.Elem != ir.Int || len(axes) == 0 {
		return c.reduce(ir.OpReduceMean, x, axes...)
	}
	terms := 1
	for _, a := range axes {
		terms *= x.Type.Shape[a]
	}
	if terms == 0 {
		return c.fail("mean of nothing along dimensions %v of %v", axes, x.Type.Shape)
	}
	sum := c.reduce(ir.OpReduceSum, x, axes...)
	return c.e(ir.OpIntDiv, nil, sum, c.num(x, float64(terms)))
}

func argMax(negate bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		a, err := n.axis("axis", 0, len(x.Type.Shape))
		if err != nil {
			return nil, err
		}
		if negate {
			if x, err = n.e(ir.OpNeg, nil, x); err != nil {
				return nil, err
			}
		}
		last := n.int("select_last_index", 0) != 0
		size := x.Type.Shape[a]
		if last { // the first of the mirrored ones
			from, to, by := every(x.Type.Shape)
			from[a], to[a], by[a] = size-1, -1, -1
			if x, err = n.cut(x, from, to, by); err != nil {
				return nil, err
			}
		}
		y, err := n.e(ir.OpArgMax, ir.Attrs{ir.I("axis", int64(a)), ir.I("keep", int64(n.int("keepdims", 1)))}, x)
		if err != nil || !last {
			return one(y, err)
		}
		top, err := n.number(y, float64(size-1))
		if err != nil {
			return nil, err
		}
		return one(n.e(ir.OpSub, nil, top, y))
	}
}

func init() {
	for _, r := range []struct {
		name, doc string
		listed    int // the opset from which on axes are an input
		lower     func(n *node) ([]*ir.Value, error)
	}{
		{"ReduceSum", "Sum over axes.", 13, reduction(func(c *calc, x *ir.Value, axes []int) *ir.Value { return c.reduce(ir.OpReduceSum, x, axes...) })},
		{"ReduceL1", "Sum of magnitudes over axes.", 18, reduction(func(c *calc, x *ir.Value, axes []int) *ir.Value {
			return c.reduce(ir.OpReduceSum, c.fn(ir.OpAbs, x), axes...)
		})},
		{"ReduceL2", "Root of the sum of squares over axes, approximated.", 18, reduction(func(c *calc, x *ir.Value, axes []int) *ir.Value {
			return c.fn(ir.OpSqrt, c.reduce(ir.OpReduceSum, c.mul(x, x), axes...))
		})},
		{"ReduceLogSum", "Logarithm of the sum over axes, approximated.", 18, reduction(func(c *calc, x *ir.Value, axes []int) *ir.Value {
			return c.fn(ir.OpLog, c.reduce(ir.OpReduceSum, x, axes...))
		})},
		{"ReduceLogSumExp", "Logarithm of the sum of exponentials over axes, approximated.", 18, reduction((*calc).logSumExp)},
		{"ReduceProd", "Product over axes.", 18, reduction((*calc).product)},
		{"ReduceSumSquare", "Sum of squares over axes.", 18, reduction(func(c *calc, x *ir.Value, axes []int) *ir.Value {
			return c.reduce(ir.OpReduceSum, c.mul(x, x), axes...)
		})},
		{"ReduceMean", "Mean over axes; of integers towards zero, exactly.", 18, reduction((*calc).mean)},
		{"ReduceMax", "Largest element over axes; of bits whether any is set.", 18, reduction((*calc).largest)},
		{"ReduceMin", "Smallest element over axes; of bits whether all are set.", 18, reduction(func(c *calc, x *ir.Value, axes []int) *ir.Value {
			if c.err == nil && x.Type.Elem == ir.Bool {
				return c.fn(ir.OpNot, c.largest(c.fn(ir.OpNot, x), axes))
			}
			return c.neg(c.largest(c.neg(x), axes))
		})},
	} {
		add(r.name, r.doc, r.lower,
			version{since: 1, in: 1, max: 1, attrs: "axes:is keepdims:i"},
			version{since: r.listed, in: 1, max: 2, attrs: "keepdims:i noop_with_empty_axes:i"})
	}
	for _, r := range []struct {
		name, doc string
		negate    bool
	}{
		{"ArgMax", "Index of the largest element; the first on ties, or the last if asked for.", false},
		{"ArgMin", "Index of the smallest element; the first on ties, or the last if asked for.", true},
	} {
		add(r.name, r.doc, argMax(r.negate),
			version{since: 1, in: 1, max: 1, attrs: "axis:i keepdims:i"},
			version{since: 12, in: 1, max: 1, attrs: "axis:i keepdims:i select_last_index:i"})
	}
}
