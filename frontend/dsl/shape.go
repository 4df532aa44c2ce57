package dsl

import (
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Functions that move elements, and constants.

// shapeOf returns a shape argument.
func (c *checker) shapeOf(pos diag.Pos, x operand) (ir.Shape, error) {
	if x.c == nil || x.elem() != ir.Int || len(x.shape()) > 1 || x.num.decimal {
		c.fail(pos, "a shape must be a list of integers that are known when compiling, as in [2, 3]")
		return nil, errFailed
	}
	s := ir.Shape{}
	for _, d := range x.c.I {
		if d < 0 || d > 1<<28 {
			c.fail(pos, "dimension %d is out of range", d)
			return nil, errFailed
		}
		s = append(s, int(d))
	}
	return s, c.checkShape(pos, s)
}

// filled makes a constant of one number.
func filled(x int64) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		s, err := c.shapeOf(pos, args[0])
		if err != nil {
			return operand{}, err
		}
		if s.Size() > maxKnown {
			c.fail(pos, "constant of shape %v is too large", s)
			return operand{}, errFailed
		}
		if err := c.spend(pos, s.Size()); err != nil {
			return operand{}, err
		}
		t := ir.NewTensor(ir.Int, s)
		for i := range t.I {
			t.I[i] = x
		}
		return operand{c: t}, nil
	}
}

// counting is range(n), range(from, to) or range(from, to, step): to is not in it.
func counting(c *checker, pos diag.Pos, args []operand) (operand, error) {
	var n [3]int
	n[2] = 1
	for i, x := range args {
		if x.missing() {
			continue
		}
		var err error
		if n[i], err = c.integerOf(pos, x, "a range"); err != nil {
			return x, err
		}
	}
	if args[1].missing() {
		n[0], n[1] = 0, n[0]
	}
	if n[2] == 0 {
		c.fail(pos, "a range in steps of 0 does not end")
		return operand{}, errFailed
	}
	t := &ir.Tensor{Elem: ir.Int, Shape: ir.Shape{0}, I: []int64{}}
	for k := n[0]; n[2] > 0 && k < n[1] || n[2] < 0 && k > n[1]; k += n[2] {
		if t.I = append(t.I, int64(k)); len(t.I) > maxKnown {
			c.fail(pos, "a range of more than %d numbers is too large", maxKnown)
			return operand{}, errFailed
		}
	}
	t.Shape[0] = len(t.I)
	return operand{c: t}, c.spend(pos, len(t.I))
}

// window reads the optional attributes of a convolution or pooling: a number, or a list.
func (c *checker) window(pos diag.Pos, attrs ir.Attrs, names []string, lens []int, xs []operand) (ir.Attrs, error) {
	for i, x := range xs {
		if x.missing() {
			continue
		}
		s, err := c.shapeOf(pos, x)
		if err != nil {
			return nil, err
		}
		if len(x.shape()) == 0 {
			s = slices.Repeat(s, lens[i])
		}
		attrs = append(attrs, ir.Dims(names[i], s))
	}
	return attrs, nil
}

func init() {
	firmly("transpose", "x", "a tensor", "Dimensions in reverse order.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		var perm []int
		for i := range args[0].shape() {
			perm = append([]int{i}, perm...)
		}
		return c.apply(pos, ir.OpTranspose, ir.Attrs{ir.Dims("perm", perm)}, args[0])
	})
	firmly("reshape", "x shape", "a tensor and a shape", "The same elements in another shape.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		s, err := c.shapeOf(pos, args[1])
		if err != nil {
			return operand{}, err
		}
		return c.reshape(pos, args[0], s)
	})
	firmly("concat", "axis x*", "an axis and tensors", "Tensors joined along an axis.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		a, err := c.integerOf(pos, args[0], "an axis")
		if err != nil {
			return operand{}, err
		}
		xs := args[1:]
		if len(xs) == 1 {
			return xs[0], nil
		}
		return c.apply(pos, ir.OpConcat, ir.Attrs{ir.I("axis", int64(a))}, xs...)
	})
	firmly("stack", "x*", "tensors of one shape", "Tensors joined along a new first dimension.", func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.stack(pos, args) })
	firmly("zeros", "shape", "a shape", "A constant of zeros.", filled(0))
	firmly("ones", "shape", "a shape", "A constant of ones.", filled(1))
	firmly("size", "x axis?", "a tensor and optionally an axis", "The number of elements, or the length of an axis; of a record, the number of rows.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x := args[0]
		if x.cols != nil {
			return whole(int64(x.rows())), nil
		}
		if args[1].missing() {
			return whole(int64(x.shape().Size())), nil
		}
		axes, err := c.axesOf(pos, x, args[1])
		if err != nil {
			return operand{}, err
		}
		return whole(int64(x.shape()[axes[0]])), nil
	})
	builtins["size"].records = true
	builtin("rank", "x", "a tensor", "The number of dimensions.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return whole(int64(len(args[0].shape()))), nil
	})
	builtin("is_int", "x", "a tensor", "Whether the elements are integers: a public fact.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		t := ir.NewTensor(ir.Bool, ir.Shape{})
		if args[0].elem() == ir.Int {
			t.I[0] = 1
		}
		return operand{c: t}, nil
	})
	builtin("range", "from to? step?", "a number, or two and a step", "The numbers 0, 1, ... below n, or from the first on below the second.", counting)
	builtin("indices", "condition", "a vector of known bools", "The places where it is true.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x := args[0]
		if x.c == nil || x.elem() != ir.Bool || len(x.shape()) != 1 {
			c.fail(pos, "indices takes a vector of conditions that are known when compiling, not %s", x.kind()).WithHint("how many places of a secret are true would tell something of it; use where(condition, x, 0)")
			return operand{}, errFailed
		}
		t := &ir.Tensor{Elem: ir.Int, Shape: ir.Shape{0}, I: []int64{}}
		for i, b := range x.c.I {
			if b != 0 {
				t.I = append(t.I, int64(i))
			}
		}
		t.Shape[0] = len(t.I)
		return operand{c: t}, nil
	})
	builtin("exchange", "rows i j swap", "rows, two lists of places and bools", "The rows of a tensor or record, with those at places i and j exchanged where swap is true.", exchange).records = true
	builtin("expand", "x shape", "a tensor and a shape", "The elements repeated to fill a shape, by broadcasting.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		s, err := c.shapeOf(pos, args[1])
		if err != nil {
			return operand{}, err
		}
		return c.expanded(pos, args[0], s)
	})
	builtin("column", "x", "a vector", "The vector as a matrix of one column.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return c.reshape(pos, args[0], append(append(ir.Shape{}, args[0].shape()...), 1))
	})
	builtin("conv", "x w strides? pads? dilations? group?", "a tensor [N,C,H,W] and kernels [O,C/group,KH,KW]", "2-D convolution with zero padding.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		attrs, err := c.window(pos, nil, []string{"strides", "pads", "dilations"}, []int{2, 4, 2}, args[2:5])
		if err != nil {
			return operand{}, err
		}
		if !args[5].missing() {
			g, err := c.integerOf(pos, args[5], "a group")
			if err != nil {
				return operand{}, err
			}
			attrs = append(attrs, ir.I("group", int64(g)))
		}
		return c.apply(pos, ir.OpConv, attrs, args[0], args[1])
	})
	pool := func(op ir.Op) lowering {
		return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
			x := args[0]
			if op == ir.OpAvgPool {
				var err error
				if x, err = c.real(pos, x); err != nil {
					return x, err
				}
			}
			attrs, err := c.window(pos, nil, []string{"kernel", "strides", "pads", "dilations"}, []int{2, 2, 4, 2}, args[1:])
			if err != nil {
				return operand{}, err
			}
			return c.apply(pos, op, attrs, x)
		}
	}
	builtin("maxpool", "x kernel strides? pads? dilations?", "a tensor [N,C,H,W] and a kernel", "Largest element of each window.", pool(ir.OpMaxPool))
	builtin("avgpool", "x kernel strides? pads? dilations?", "a tensor [N,C,H,W] and a kernel", "Mean of each window.", pool(ir.OpAvgPool))
}

// exchange swaps rows at public places where secret bits say so.
func exchange(c *checker, pos diag.Pos, args []operand) (operand, error) {
	rows, swap := args[0], args[3]
	if rows.cols != nil {
		out := operand{cols: []columnOf{}}
		for _, f := range rows.cols {
			y, err := exchange(c, pos, append([]operand{f.x}, args[1:]...))
			if err != nil {
				return y, err
			}
			out.cols = append(out.cols, columnOf{f.name, y})
		}
		return out, nil
	}
	s := rows.shape()
	if len(s) == 0 || swap.elem() != ir.Bool || len(swap.shape()) != 1 {
		c.fail(pos, "exchange takes rows and a vector of bools, got %s and %s", rows.kind(), swap.kind())
		return rows, errFailed
	}
	var at []int64
	for _, x := range args[1:3] {
		if x.c == nil || x.elem() != ir.Int || !x.shape().Equal(swap.shape()) || slices.ContainsFunc(x.c.I, func(k int64) bool { return k < 0 || k >= int64(s[0]) }) {
			c.fail(pos, "exchange takes places in 0..%d that are known when compiling, one for each bool", s[0]-1)
			return rows, errFailed
		}
		at = append(at, x.c.I...)
	}
	seen := map[int64]bool{}
	for _, k := range at {
		if seen[k] {
			c.fail(pos, "exchange names place %d twice", k)
			return rows, errFailed
		}
		seen[k] = true
	}
	n := len(at) / 2
	swap, err := c.reshape(pos, swap, append(ir.Shape{n}, make1(len(s)-1)...))
	pick := func(list []int64) (x operand) {
		if err == nil {
			x, err = c.gathered(pos, rows, 0, list)
		}
		return x
	}
	a, b := pick(at[:n]), pick(at[n:])
	choose := func(x, y operand) (z operand) {
		if err == nil {
			z, err = c.apply(pos, ir.OpSelect, nil, swap, x, y)
		}
		return z
	}
	low, high := choose(b, a), choose(a, b)
	if err != nil {
		return rows, err
	}
	all, err := c.apply(pos, ir.OpConcat, ir.Attrs{ir.I("axis", 0)}, rows, low, high)
	if err != nil {
		return all, err
	}
	from := counted(s[0]).c.I
	for i, k := range at {
		from[k] = int64(s[0] + i)
	}
	return c.gathered(pos, all, 0, from)
}
