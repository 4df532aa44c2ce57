package dsl

import (
	"maps"
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A Builtin is one row of the table of built-in functions.
type Builtin struct {
	Name   string
	Params string // as a person reads them
	Doc    string
	min    int
	max    int // -1 for any
	lower  func(c *checker, pos diag.Pos, args []operand) (operand, error)
}

var builtins = map[string]*Builtin{}

// Builtins lists the built-in functions by name.
func Builtins() []Builtin {
	var out []Builtin
	for _, k := range slices.Sorted(maps.Keys(builtins)) {
		out = append(out, *builtins[k])
	}
	return out
}

func init() {
	add := func(name, params string, min, max int, doc string, lower func(c *checker, pos diag.Pos, args []operand) (operand, error)) {
		builtins[name] = &Builtin{Name: name, Params: params, Doc: doc, min: min, max: max, lower: lower}
	}
	// axesOf returns the axis argument, or all axes.
	axesOf := func(c *checker, pos diag.Pos, args []operand) ([]int, error) {
		rank := len(args[0].shape())
		if len(args) < 2 {
			axes := make([]int, rank)
			for i := range axes {
				axes[i] = i
			}
			return axes, nil
		}
		a, err := c.integerOf(pos, args[1], "an axis")
		if err != nil {
			return nil, err
		}
		axes, err := ir.NormAxes([]int{a}, rank)
		if err != nil {
			c.fail(pos, "%v", err)
			return nil, errFailed
		}
		return axes, nil
	}
	reduce := func(op ir.Op) func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
			x := args[0]
			axes, err := axesOf(c, pos, args)
			if err != nil {
				return operand{}, err
			}
			if op == ir.OpReduceMean || x.elem() == ir.Bool {
				to := "int"
				if op == ir.OpReduceMean {
					to = "real"
				}
				if x.elem() != ir.Real {
					if x, err = c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", to)}, x); err != nil {
						return operand{}, err
					}
				}
			}
			return c.apply(pos, op, ir.Attrs{ir.Dims("axes", axes)}, x)
		}
	}
	add("sum", "a tensor and optionally an axis", 1, 2, "Sum over all elements or one axis; of bools, their number.", reduce(ir.OpReduceSum))
	add("mean", "a tensor and optionally an axis", 1, 2, "Mean over all elements or one axis.", reduce(ir.OpReduceMean))
	add("max", "a tensor, or two tensors", 1, 2, "Largest element, or the larger of two elementwise.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		if len(args) == 2 {
			return c.apply(pos, ir.OpMax, nil, args...)
		}
		return reduce(ir.OpReduceMax)(c, pos, args)
	})
	add("min", "a tensor, or two tensors", 1, 2, "Smallest element, or the smaller of two elementwise.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		if len(args) == 2 {
			return c.apply(pos, ir.OpMin, nil, args...)
		}
		x, err := c.apply(pos, ir.OpNeg, nil, args[0])
		if err != nil {
			return x, err
		}
		if x, err = reduce(ir.OpReduceMax)(c, pos, []operand{x}); err != nil {
			return x, err
		}
		return c.apply(pos, ir.OpNeg, nil, x)
	})
	arg := func(negate bool) func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
			x, axis := args[0], 0
			var err error
			if len(args) == 2 {
				axes, err := axesOf(c, pos, args)
				if err != nil {
					return operand{}, err
				}
				axis = axes[0]
			} else if len(x.shape()) != 1 {
				if x, err = c.reshape(pos, x, ir.Shape{x.shape().Size()}); err != nil {
					return x, err
				}
			}
			if negate {
				if x, err = c.apply(pos, ir.OpNeg, nil, x); err != nil {
					return x, err
				}
			}
			return c.apply(pos, ir.OpArgMax, ir.Attrs{ir.I("axis", int64(axis))}, x)
		}
	}
	add("argmax", "a tensor and optionally an axis", 1, 2, "Index of the largest element; the first on ties.", arg(false))
	add("argmin", "a tensor and optionally an axis", 1, 2, "Index of the smallest element; the first on ties.", arg(true))
	one := func(op ir.Op) func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.apply(pos, op, nil, args...) }
	}
	add("relu", "a tensor", 1, 1, "max(x, 0) elementwise.", one(ir.OpRelu))
	add("abs", "a tensor", 1, 1, "Magnitude elementwise.", one(ir.OpAbs))
	add("sigmoid", "a tensor", 1, 1, "1/(1+exp(-x)) elementwise, within 4.2e-4.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x, err := c.real(pos, args[0])
		if err != nil {
			return x, err
		}
		return c.apply(pos, ir.OpSigmoid, nil, x)
	})
	add("clip", "a tensor and two numbers", 3, 3, "Bounds elementwise, which are public.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		var b [2]float64
		for i := range b {
			if args[i+1].c == nil || args[i+1].c.Len() != 1 || args[i+1].elem() == ir.Bool {
				c.fail(pos, "the bounds of clip must be numbers that are known when compiling")
				return operand{}, errFailed
			}
			b[i] = args[i+1].c.At(0)
		}
		return c.apply(pos, ir.OpClip, ir.Attrs{ir.F("lo", b[0]), ir.F("hi", b[1])}, args[0])
	})
	add("where", "a condition and two tensors", 3, 3, "Choice elementwise: the second argument where the first is true, the third elsewhere.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		xy := args[1:]
		if err := c.adapt(pos, xy); err != nil {
			return operand{}, err
		}
		return c.apply(pos, ir.OpSelect, nil, args[0], xy[0], xy[1])
	})
	add("matmul", "two tensors", 2, 2, "Matrix product, as @.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return c.matmul(pos, args[0], args[1])
	})
	add("dot", "two vectors", 2, 2, "Sum of products.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		if len(args[0].shape()) != 1 || len(args[1].shape()) != 1 {
			c.fail(pos, "dot takes two vectors, got %s and %s", args[0].kind(), args[1].kind())
			return operand{}, errFailed
		}
		return c.matmul(pos, args[0], args[1])
	})
	whole := func(op ir.Op) func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.apply(pos, op, nil, args...) }
	}
	add("div", "two tensors of integers", 2, 2, "Quotient of integers towards zero, exact; the divisor's range must not hold 0.", whole(ir.OpIntDiv))
	add("mod", "two tensors of integers", 2, 2, "Remainder of integers, with the sign of the first: x - y*div(x, y), exact.", whole(ir.OpIntMod))
	add("transpose", "a tensor", 1, 1, "Dimensions in reverse order.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		var perm []int
		for i := range args[0].shape() {
			perm = append([]int{i}, perm...)
		}
		return c.apply(pos, ir.OpTranspose, ir.Attrs{ir.Dims("perm", perm)}, args[0])
	})
	shapeOf := func(c *checker, pos diag.Pos, x operand) (ir.Shape, error) {
		if x.c == nil || x.elem() != ir.Int || len(x.shape()) > 1 {
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
		if err := ir.CheckShape(s); err != nil {
			c.fail(pos, "%v", err)
			return nil, errFailed
		}
		return s, nil
	}
	add("reshape", "a tensor and a shape", 2, 2, "The same elements in another shape.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		s, err := shapeOf(c, pos, args[1])
		if err != nil {
			return operand{}, err
		}
		return c.reshape(pos, args[0], s)
	})
	add("concat", "an axis and tensors", 2, -1, "Tensors joined along an axis.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		a, err := c.integerOf(pos, args[0], "an axis")
		if err != nil {
			return operand{}, err
		}
		xs := args[1:]
		if err := c.adapt(pos, xs); err != nil {
			return operand{}, err
		}
		if len(xs) == 1 {
			return xs[0], nil
		}
		return c.apply(pos, ir.OpConcat, ir.Attrs{ir.I("axis", int64(a))}, xs...)
	})
	add("stack", "tensors of one shape", 1, -1, "Tensors joined along a new first dimension.", func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.stack(pos, args) })
	add("real", "a tensor", 1, 1, "Conversion to reals.", func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.real(pos, args[0]) })
	add("int", "a tensor of bools", 1, 1, "0 for false, 1 for true.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		if args[0].elem() == ir.Int {
			return args[0], nil
		}
		return c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", "int")}, args[0])
	})
	filled := func(x int64) func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
			s, err := shapeOf(c, pos, args[0])
			if err != nil {
				return operand{}, err
			}
			if s.Size() > maxKnown {
				c.fail(pos, "constant of shape %v is too large", s)
				return operand{}, errFailed
			}
			t := ir.NewTensor(ir.Int, s)
			for i := range t.I {
				t.I[i] = x
			}
			return operand{c: t}, nil
		}
	}
	add("zeros", "a shape", 1, 1, "A constant of zeros.", filled(0))
	add("ones", "a shape", 1, 1, "A constant of ones.", filled(1))
	add("size", "a tensor", 1, 1, "The number of elements.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return operand{c: ir.Ints(ir.Shape{}, int64(args[0].shape().Size()))}, nil
	})
}
