package dsl

import (
	"maps"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A Builtin is one row of the table of built-in functions.
type Builtin struct {
	Name    string
	Params  string // as a person reads them
	Doc     string
	Library bool     // it is written in the language itself
	params  []string // names; those that may be left out end with ?, and one that takes any number with *
	firm    bool     // no program may take the name
	records bool     // takes records too
	texts   bool     // takes texts too
	lower   lowering
}

// A lowering computes a function on its arguments, one for each parameter; those that were left out are missing.
type lowering func(c *checker, pos diag.Pos, args []operand) (operand, error)

var builtins = map[string]*Builtin{}

// Builtins lists the functions of the language by name: those that are built in, and those of its library.
func Builtins() []Builtin {
	var out []Builtin
	for _, k := range slices.Sorted(maps.Keys(builtins)) {
		out = append(out, *builtins[k])
	}
	for _, k := range slices.Sorted(maps.Keys(library())) {
		d := library()[k]
		if strings.HasPrefix(k, "_") { // helpers
			continue
		}
		out = append(out, Builtin{Name: k, Params: d.params, Doc: d.doc, Library: true})
	}
	return out
}

// builtin adds a row.
func builtin(name, params, prose, doc string, lower lowering) *Builtin {
	b := &Builtin{Name: name, Params: prose, Doc: doc, params: strings.Fields(params), lower: lower}
	builtins[name] = b
	return b
}

// firmly adds rows whose names no program may take: those that have always been there.
func firmly(name, params, prose, doc string, lower lowering) {
	builtin(name, params, prose, doc, lower).firm = true
}

// axesOf returns an axis argument as a list of one, or all axes.
func (c *checker) axesOf(pos diag.Pos, x, axis operand) ([]int, error) {
	rank := len(x.shape())
	if axis.missing() {
		axes := make([]int, rank)
		for i := range axes {
			axes[i] = i
		}
		return axes, nil
	}
	a, err := c.integerOf(pos, axis, "an axis")
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

// flag returns a known condition, false if it was left out.
func (c *checker) flag(pos diag.Pos, x operand, what string) (bool, error) {
	if x.missing() {
		return false, nil
	}
	return c.fact(pos, x, what, "")
}

// alongAxes makes a reduction of its op. to converts the elements before: to real, or, of bits, to int.
func alongAxes(op ir.Op) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x := args[0]
		axes, err := c.axesOf(pos, x, args[1])
		if err != nil {
			return operand{}, err
		}
		keep, err := c.flag(pos, args[2], "keep")
		switch {
		case err != nil:
		case op == ir.OpReduceMean:
			x, err = c.real(pos, x)
		case x.elem() == ir.Bool:
			x, err = c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", "int")}, x)
		}
		if err != nil {
			return operand{}, err
		}
		attrs := ir.Attrs{ir.Dims("axes", axes)}
		if keep {
			attrs = append(attrs, ir.I("keep", 1))
		}
		return c.apply(pos, op, attrs, x)
	}
}

// smallest is the least element along axes.
func smallest(c *checker, pos diag.Pos, args []operand) (operand, error) {
	x, err := c.apply(pos, ir.OpNeg, nil, args[0])
	if err != nil {
		return x, err
	}
	if x, err = alongAxes(ir.OpReduceMax)(c, pos, []operand{x, args[1], args[2]}); err != nil {
		return x, err
	}
	return c.apply(pos, ir.OpNeg, nil, x)
}

// largerOf is max or min: of one tensor along an axis, of two elementwise.
func largerOf(name string, pair ir.Op, one lowering) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x, y, axis := args[0], args[1], args[2]
		if y.missing() {
			return one(c, pos, []operand{x, axis, args[3]})
		}
		if !axis.missing() {
			c.fail(pos, "%s of two tensors is elementwise and has no axis", name).WithHint("%s(x, axis=0) is along an axis; %s(stack(x, y), axis=0) is of two", name, name)
			return operand{}, errFailed
		}
		if y.c != nil && y.c.Elem == ir.Int && len(y.c.Shape) == 0 && y.c.I[0] >= -int64(len(x.shape())) && y.c.I[0] < int64(len(x.shape())) {
			c.fail(pos, "%s(x, %d) could mean the axis %[2]d or the number %[2]d", name, y.c.I[0]).
				WithHint("write %s(x, axis=%d) for the axis, or %simum(x, %[2]d) for the number", name, y.c.I[0], name)
			return operand{}, errFailed
		}
		return c.apply(pos, pair, nil, x, y)
	}
}

// placeOf is the index of the largest element, or of the smallest.
func placeOf(negate bool) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x, axis := args[0], 0
		var err error
		if !args[1].missing() {
			axes, err := c.axesOf(pos, x, args[1])
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
		x.num = numeral{}
		return c.apply(pos, ir.OpArgMax, ir.Attrs{ir.I("axis", int64(axis))}, x)
	}
}

func init() {
	reduction := "x axis? keep=?"
	firmly("sum", reduction, "a tensor and optionally an axis", "Sum over all elements or one axis; of bools, their number. keep=true leaves a dimension of 1.", alongAxes(ir.OpReduceSum))
	firmly("mean", reduction, "a tensor and optionally an axis", "Mean over all elements or one axis.", alongAxes(ir.OpReduceMean))
	firmly("max", "x y? axis=? keep=?", "a tensor, or two tensors", "Largest element, over all or one axis=, or the larger of two elementwise.", largerOf("max", ir.OpMax, alongAxes(ir.OpReduceMax)))
	firmly("min", "x y? axis=? keep=?", "a tensor, or two tensors", "Smallest element, over all or one axis=, or the smaller of two elementwise.", largerOf("min", ir.OpMin, smallest))
	firmly("argmax", "x axis?", "a tensor and optionally an axis", "Index of the largest element; the first on ties.", placeOf(false))
	firmly("argmin", "x axis?", "a tensor and optionally an axis", "Index of the smallest element; the first on ties.", placeOf(true))
	firmly("matmul", "x y", "two tensors", "Matrix product, as @.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return c.matmul(pos, args[0], args[1])
	})
	firmly("dot", "x y", "two vectors", "Sum of products.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		if len(args[0].shape()) != 1 || len(args[1].shape()) != 1 {
			c.fail(pos, "dot takes two vectors, got %s and %s", args[0].kind(), args[1].kind())
			return operand{}, errFailed
		}
		return c.matmul(pos, args[0], args[1])
	})
	firmly("where", "condition x y", "a condition and two tensors", "Choice elementwise: the second argument where the first is true, the third elsewhere.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return c.apply(pos, ir.OpSelect, nil, args...)
	})
	builtin("maximum", "x y", "two tensors", "The larger of two elementwise.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return c.apply(pos, ir.OpMax, nil, args...)
	})
	builtin("minimum", "x y", "two tensors", "The smaller of two elementwise.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		return c.apply(pos, ir.OpMin, nil, args...)
	})
	builtin("all", "x axis?", "a tensor of bools and optionally an axis", "Whether all are true.", throughout(true))
	builtin("any", "x axis?", "a tensor of bools and optionally an axis", "Whether one is true.", throughout(false))
	builtin("cumsum", "x", "a vector", "Sums of the first 1, 2, 3, ... elements.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x := args[0]
		if len(x.shape()) != 1 {
			c.fail(pos, "cumsum takes a vector, got %s", x.kind())
			return operand{}, errFailed
		}
		n := x.shape()[0]
		if n*n > maxKnown {
			c.fail(pos, "cumsum of %d elements is beyond %d", n, 1024)
			return operand{}, errFailed
		}
		t := ir.NewTensor(ir.Int, ir.Shape{n, n})
		for i := range t.I {
			if i/n <= i%n {
				t.I[i] = 1
			}
		}
		if x.elem() == ir.Bool {
			var err error
			if x, err = c.integers(pos, x); err != nil {
				return x, err
			}
		}
		return c.matmul(pos, x, operand{c: t})
	})
}

// throughout is all or any, by comparing how many are true: one comparison whatever their number.
func throughout(all bool) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x := args[0]
		if x.elem() != ir.Bool {
			c.fail(pos, "argument is %s, want bools", x.kind()).WithHint("compare first, as in x > 0")
			return operand{}, errFailed
		}
		n, err := alongAxes(ir.OpReduceSum)(c, pos, []operand{x, args[1], {}})
		if err != nil {
			return n, err
		}
		if !all {
			return c.apply(pos, ir.OpGt, nil, n, whole(0))
		}
		return c.apply(pos, ir.OpEq, nil, n, whole(int64(x.shape().Size()/max(1, n.shape().Size()))))
	}
}
