package dsl

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// fold evaluates a chain of operands of one logic operator.
func fold[T any](c *checker, pos diag.Pos, op ir.Op, args []T, eval func(T) (operand, error)) (operand, error) {
	x, err := eval(args[0])
	for _, a := range args[1:] {
		y, err2 := eval(a)
		if err != nil || err2 != nil {
			err = errFailed
			continue
		}
		x, err = c.apply(pos, op, nil, x, y)
	}
	return x, err
}

func (c *checker) expr(x *expr) (operand, error) {
	if err := c.spend(c.at(x.Pos), 0); err != nil {
		return operand{}, err
	}
	return fold(c, c.at(x.Pos), ir.OpOr, x.Args, func(a *conjunction) (operand, error) {
		return fold(c, c.at(a.Pos), ir.OpAnd, a.Args, c.negation)
	})
}

func (c *checker) negation(n *negation) (operand, error) {
	x, err := c.comparison(n.X)
	if err != nil || len(n.Nots)%2 == 0 {
		return x, err
	}
	return c.apply(c.at(n.Pos), ir.OpNot, nil, x)
}

var comparisons = map[string]ir.Op{"<": ir.OpLt, "<=": ir.OpLe, ">": ir.OpGt, ">=": ir.OpGe, "==": ir.OpEq, "!=": ir.OpNe}

func (c *checker) comparison(n *comparison) (operand, error) {
	x, err := c.sum(n.X)
	if n.Op == "" {
		return x, err
	}
	y, err2 := c.sum(n.Y)
	if err != nil || err2 != nil {
		return x, errFailed
	}
	if x.elem() == ir.Bool && y.elem() == ir.Bool && (n.Op == "==" || n.Op == "!=") {
		d, err := c.apply(c.at(n.Pos), ir.OpXor, nil, x, y)
		if err != nil || n.Op == "!=" {
			return d, err
		}
		return c.apply(c.at(n.Pos), ir.OpNot, nil, d)
	}
	return c.apply(c.at(n.Pos), comparisons[n.Op], nil, x, y)
}

func (c *checker) sum(n *sum) (operand, error) {
	x, err := c.product(n.X)
	for _, r := range n.Rest {
		y, err2 := c.product(r.X)
		if err != nil || err2 != nil {
			err = errFailed
			continue
		}
		op := ir.OpAdd
		if r.Op == "-" {
			op = ir.OpSub
		}
		x, err = c.apply(c.at(r.Pos), op, nil, x, y)
	}
	return x, err
}

func (c *checker) product(n *product) (operand, error) {
	x, err := c.unary(n.X)
	for _, r := range n.Rest {
		y, err2 := c.unary(r.X)
		if err != nil || err2 != nil {
			err = errFailed
			continue
		}
		switch r.Op {
		case "*":
			x, err = c.apply(c.at(r.Pos), ir.OpMul, nil, x, y)
		case "/":
			x, err = c.quotient(c.at(r.Pos), x, y)
		default:
			x, err = c.matmul(c.at(r.Pos), x, y)
		}
	}
	return x, err
}

// quotient divides reals: by a public divisor with its reciprocal.
func (c *checker) quotient(pos diag.Pos, x, y operand) (operand, error) {
	if x.num.decimal || y.num.decimal {
		c.fail(pos, "decimals do not divide without rounding: %s by %s", x.kind(), y.kind()).
			WithHint("write divide(x, y, places=2) for a quotient that is rounded to so many places, or real(x) / real(y)")
		return operand{}, errFailed
	}
	if x.elem() == ir.Int && y.elem() == ir.Int {
		c.fail(pos, "integers do not divide: %s by %s", x.kind(), y.kind()).
			WithHint("write div(x, n) for the whole quotient, towards zero, mod(x, n) for what is left, or real(x) / n for a quotient with a fraction")
		return operand{}, errFailed
	}
	if y.c == nil || y.elem() == ir.Bool {
		return c.apply(pos, ir.OpDiv, nil, x, y)
	}
	inv := ir.NewTensor(ir.Real, y.shape())
	for i := range inv.F {
		inv.F[i] = 1 / y.c.At(i)
		if math.IsInf(inv.F[i], 0) || math.IsNaN(inv.F[i]) {
			c.fail(pos, "division by zero")
			return operand{}, errFailed
		}
	}
	return c.apply(pos, ir.OpMul, nil, x, operand{c: inv})
}

// matmul is the matrix product; vectors are rows on the left and columns on the right.
func (c *checker) matmul(pos diag.Pos, x, y operand) (operand, error) {
	sx, sy := x.shape(), y.shape()
	if len(sx) == 0 || len(sy) == 0 {
		c.fail(pos, "matrix product of %s and %s: write * for numbers", x.kind(), y.kind())
		return operand{}, errFailed
	}
	var err error
	if len(sx) == 1 {
		if x, err = c.reshape(pos, x, ir.Shape{1, sx[0]}); err != nil {
			return x, err
		}
	}
	if len(sy) == 1 {
		if y, err = c.reshape(pos, y, ir.Shape{sy[0], 1}); err != nil {
			return y, err
		}
	}
	z, err := c.apply(pos, ir.OpMatMul, nil, x, y)
	if err != nil {
		return z, err
	}
	s := append(ir.Shape{}, z.shape()...)
	if len(sy) == 1 {
		s = s[:len(s)-1]
	}
	if len(sx) == 1 {
		at := len(z.shape()) - 2
		s = append(s[:at:at], s[at+1:]...)
	}
	return c.reshape(pos, z, s)
}

func (c *checker) unary(n *unary) (operand, error) {
	x, err := c.postfix(n.X)
	if err != nil || len(n.Minus)%2 == 0 {
		return x, err
	}
	return c.apply(c.at(n.Pos), ir.OpNeg, nil, x)
}

func (c *checker) postfix(n *postfix) (operand, error) {
	x, err := c.primary(n.X)
	for i, r := range n.Rest {
		if err != nil {
			return x, err
		}
		pos := c.at(r.Pos)
		switch {
		case r.Indices != nil && x.cols != nil:
			y := operand{cols: []columnOf{}}
			for _, f := range x.cols {
				v, err := c.index(f.x, n.Rest[i].Indices)
				if err != nil {
					return v, err
				}
				y.cols = append(y.cols, columnOf{f.name, v})
			}
			x = y
		case r.Indices != nil:
			x, err = c.index(x, n.Rest[i].Indices)
		default:
			x, err = c.column(pos, x, r.Field)
		}
	}
	if err == nil && x.arr != nil {
		x, err = c.flattened(c.at(n.Pos), x)
	}
	return x, err
}

// column returns a column of a record.
func (c *checker) column(pos diag.Pos, x operand, n string) (operand, error) {
	if x.cols == nil {
		c.fail(pos, "%s has no columns", x.kind())
		return x, errFailed
	}
	var known []string
	for _, f := range x.cols {
		if f.name == n {
			return f.x, nil
		}
		known = append(known, f.name)
	}
	e := c.fail(pos, "there is no column %q", n)
	if s := nearest(n, slices.Clone(known)); s != "" {
		e.WithHint("did you mean %q?", s)
	} else {
		e.WithHint("the columns are %s", strings.Join(known, ", "))
	}
	return x, errFailed
}

func (c *checker) primary(n *primary) (operand, error) {
	pos := c.at(n.Pos)
	switch {
	case n.Float != nil:
		x, err := strconv.ParseFloat(strings.ReplaceAll(*n.Float, "_", ""), 64)
		if err != nil || math.IsInf(x, 0) {
			c.fail(pos, "number %s is out of range", *n.Float)
			return operand{}, errFailed
		}
		return operand{c: ir.Reals(ir.Shape{}, x)}, nil
	case n.Int != nil:
		x, err := strconv.ParseInt(strings.ReplaceAll(*n.Int, "_", ""), 10, 64)
		if err != nil {
			c.fail(pos, "number %s is out of range", *n.Int)
			return operand{}, errFailed
		}
		return whole(x), nil
	case n.Bool != nil:
		t := ir.NewTensor(ir.Bool, ir.Shape{})
		if *n.Bool == "true" {
			t.I[0] = 1
		}
		return operand{c: t}, nil
	case n.Text != nil:
		s := strings.Trim(*n.Text, `"`)
		return operand{text: &s}, nil
	case n.Paren != nil:
		return c.expr(n.Paren)
	case n.List != nil:
		return c.list(pos, n.List)
	case n.Record != nil:
		return c.record(n.Record)
	case n.Call != nil:
		return c.call(n.Call)
	}
	return c.lookup(pos, *n.Name)
}

func (c *checker) lookup(pos diag.Pos, n string) (operand, error) {
	b, _ := c.names.find(n)
	switch {
	case b != nil && b.bad:
		return operand{}, errFailed
	case b != nil:
		return b.x, nil
	case builtins[n] != nil || c.fns[n] != nil || library()[n] != nil || c.models[n] != nil:
		c.fail(pos, "%q is a function: call it with %s(...)", n, n)
		return operand{}, errFailed
	}
	e := c.fail(pos, "unknown name %q", n)
	if hint := otherNames[n]; hint != "" {
		e.WithHint("%s", hint)
	} else if s := nearest(n, c.names.all()); s != "" {
		e.WithHint("did you mean %q?", s)
	}
	return operand{}, errFailed
}

// record makes columns of expressions.
func (c *checker) record(n *record) (operand, error) {
	out := operand{cols: []columnOf{}}
	var failed error
	for _, f := range n.Fields {
		x, err := c.expr(f.X)
		switch {
		case err != nil:
			failed = err
		case slices.ContainsFunc(out.cols, func(o columnOf) bool { return o.name == f.Name.Text }):
			c.fail(c.at(f.Name.Pos), "column %q is named twice", f.Name.Text)
			failed = errFailed
		case x.cols != nil:
			c.fail(c.at(f.X.Pos), "a column is a tensor, not %s", x.kind())
			failed = errFailed
		default:
			out.cols = append(out.cols, columnOf{f.Name.Text, x})
		}
	}
	return out, failed
}

// list builds a constant, or stacks values of one shape.
func (c *checker) list(pos diag.Pos, n *list) (operand, error) {
	var items []operand
	for _, x := range n.Items {
		o, err := c.expr(x)
		if err != nil {
			return o, err
		}
		items = append(items, o)
	}
	if len(items) == 0 {
		c.fail(pos, "list is empty")
		return operand{}, errFailed
	}
	return c.stack(pos, items)
}

// stack joins operands of one shape along a new first dimension.
func (c *checker) stack(pos diag.Pos, items []operand) (operand, error) {
	if err := c.adapt(pos, items); err != nil {
		return operand{}, err
	}
	first := items[0]
	constant := true
	for _, x := range items {
		if !x.shape().Equal(first.shape()) || x.elem() != first.elem() || x.cols != nil {
			c.fail(pos, "elements differ: %s and %s", first.kind(), x.kind())
			return operand{}, errFailed
		}
		constant = constant && x.c != nil && x.num == numeral{}
	}
	if constant { // also long ones, at once
		t := ir.NewTensor(first.elem(), append(ir.Shape{len(items)}, first.shape()...))
		if t.Shape.Size() > maxKnown {
			c.fail(pos, "constant of shape %v is too large", t.Shape)
			return operand{}, errFailed
		}
		t.F, t.I = t.F[:0], t.I[:0]
		for _, x := range items {
			t.F, t.I = append(t.F, x.c.F...), append(t.I, x.c.I...)
		}
		return operand{c: t}, nil
	}
	for i, x := range items {
		var err error
		if items[i], err = c.reshape(pos, x, append(ir.Shape{1}, x.shape()...)); err != nil {
			return operand{}, err
		}
	}
	if len(items) == 1 {
		return items[0], nil
	}
	return c.apply(pos, ir.OpConcat, ir.Attrs{ir.I("axis", 0)}, items...)
}

// nearest returns the known name closest to n, or "" if none is close.
func nearest(n string, known []string) string {
	best, at := "", 3
	slices.Sort(known)
	for _, k := range known {
		if d := distance(n, k); d < at && d < len(n) {
			best, at = k, d
		}
	}
	return best
}

// distance is the Levenshtein distance of short names.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 99
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
