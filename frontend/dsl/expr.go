package dsl

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// An operand is a public constant c that is known while compiling, or a value v.
type operand struct {
	c *ir.Tensor
	v *ir.Value
}

func (x operand) elem() ir.Elem {
	if x.c != nil {
		return x.c.Elem
	}
	return x.v.Type.Elem
}

func (x operand) shape() ir.Shape {
	if x.c != nil {
		return x.c.Shape
	}
	return x.v.Type.Shape
}

// kind renders the operand's type for people: int[3] of alice, bob.
func (x operand) kind() string {
	s := x.elem().String()
	if len(x.shape()) > 0 {
		s += x.shape().String()
	}
	if x.v != nil {
		if o := x.v.Type.Vis.Owners(); len(o) > 0 {
			s += " of " + strings.Join(o, ", ")
		}
	}
	return s
}

// value turns an operand into a value.
func (c *checker) value(pos diag.Pos, x operand) (*ir.Value, error) {
	if x.v != nil {
		return x.v, nil
	}
	return c.emit(pos, ir.OpConst, ir.Attrs{ir.T("data", x.c)})
}

// apply computes op on operands: at once if all are constants. Integer constants adapt to reals beside them, integers of
// parties are converted.
func (c *checker) apply(pos diag.Pos, op ir.Op, attrs ir.Attrs, xs ...operand) (operand, error) {
	if op != ir.OpCast && op != ir.OpSelect {
		if err := c.adapt(pos, xs); err != nil {
			return operand{}, err
		}
	}
	row := ir.Rows[op]
	args := make([]*ir.Value, len(xs))
	data := make([]*ir.Tensor, len(xs))
	constant := row.Eval != nil
	for i, x := range xs {
		constant = constant && x.c != nil
		if data[i] = x.c; x.c != nil {
			args[i] = &ir.Value{Op: ir.OpConst, Type: ir.Type{Elem: x.c.Elem, Shape: x.c.Shape}, Attrs: ir.Attrs{ir.T("data", x.c)}}
		} else {
			args[i] = x.v
		}
	}
	if constant {
		v := &ir.Value{Op: op, Args: args, Attrs: attrs}
		var err error
		if v.Type, err = row.TypeOf(v); err == nil {
			if v.Type.Shape.Size() > maxKnown {
				c.fail(pos, "constant of shape %v is too large", v.Type.Shape)
				return operand{}, errFailed
			}
			var t *ir.Tensor
			if t, err = row.Eval(v, data); err == nil {
				return operand{c: t}, nil
			}
		}
		c.mismatch(pos, op, err, xs)
		return operand{}, errFailed
	}
	probe := &ir.Value{Op: op, Args: args, Attrs: attrs}
	if _, err := row.TypeOf(probe); err != nil {
		c.mismatch(pos, op, err, xs)
		return operand{}, errFailed
	}
	for i, x := range xs {
		var err error
		if args[i], err = c.value(pos, x); err != nil {
			return operand{}, err
		}
	}
	v, err := c.emit(pos, op, attrs, args...)
	return operand{v: v}, err
}

// mismatch reports operands that an op does not take, with their types.
func (c *checker) mismatch(pos diag.Pos, op ir.Op, err error, xs []operand) {
	var kinds []string
	for _, x := range xs {
		kinds = append(kinds, x.kind())
	}
	c.fail(pos, "%s of %s: %v", op, strings.Join(kinds, " and "), err)
}

// adapt gives operands one element kind if one is real and the others are integers.
func (c *checker) adapt(pos diag.Pos, xs []operand) error {
	if !slices.ContainsFunc(xs, func(x operand) bool { return x.elem() == ir.Real }) {
		return nil
	}
	for i, x := range xs {
		if x.elem() == ir.Int {
			r, err := c.real(pos, x)
			if err != nil {
				return err
			}
			xs[i] = r
		}
	}
	return nil
}

// real converts an operand to reals.
func (c *checker) real(pos diag.Pos, x operand) (operand, error) {
	if x.elem() == ir.Real {
		return x, nil
	}
	return c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", "real")}, x)
}

// integer evaluates an expression that must be a public integer; what says what it is for.
func (c *checker) integer(x *expr, what string) (int, error) {
	o, err := c.expr(x)
	if err != nil {
		return 0, err
	}
	return c.integerOf(c.at(x.Pos), o, what)
}

func (c *checker) integerOf(pos diag.Pos, o operand, what string) (int, error) {
	if o.c == nil || o.c.Elem != ir.Int || o.c.Len() != 1 {
		c.fail(pos, "%s must be an integer that is known when compiling, not %s", what, o.kind())
		return 0, errFailed
	}
	if n := o.c.I[0]; n >= -1<<31 && n < 1<<31 {
		return int(n), nil
	}
	c.fail(pos, "%s is out of range: %d", what, o.c.I[0])
	return 0, errFailed
}

// number evaluates an expression that must be a public number.
func (c *checker) number(x *expr, what string) (float64, error) {
	o, err := c.expr(x)
	if err != nil {
		return 0, err
	}
	if o.c == nil || o.c.Elem == ir.Bool || o.c.Len() != 1 {
		c.fail(c.at(x.Pos), "%s must be a number that is known when compiling, not %s", what, o.kind())
		return 0, errFailed
	}
	return o.c.At(0), nil
}

// bound evaluates an end of a range, which is kept as a float64.
func (c *checker) bound(x *expr) (float64, error) {
	o, err := c.expr(x)
	if err != nil {
		return 0, err
	}
	if o.c != nil && o.c.Elem == ir.Int && o.c.Len() == 1 {
		if n := o.c.I[0]; n == math.MaxInt64 || int64(float64(n)) != n {
			step := int64(math.Nextafter(math.Abs(float64(n)), math.Inf(1)) - math.Abs(float64(n)))
			c.fail(c.at(x.Pos), "a range cannot end at %d: beyond 2^53 = %d its ends are multiples of powers of two", n, int64(1)<<53).
				WithHint("take a multiple of %d", step)
			return 0, errFailed
		}
	}
	return c.number(x, "a range")
}

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

// quotient multiplies by the reciprocal of a public divisor.
func (c *checker) quotient(pos diag.Pos, x, y operand) (operand, error) {
	whole := x.elem() == ir.Int && y.elem() == ir.Int
	if y.c == nil || y.elem() == ir.Bool {
		hint := "compare products instead of quotients, or reveal both and divide there"
		if whole {
			hint = "write div(x, y) for the whole quotient, towards zero, and mod(x, y) for what is left; or " + hint
		}
		c.fail(pos, "division by %s: the divisor must be a number that is known when compiling", y.kind()).WithHint("%s", hint)
		return operand{}, errFailed
	}
	if x.elem() != ir.Real && y.elem() != ir.Real {
		hint := "write real(x) / n for a quotient with a fraction"
		if whole {
			hint = "write div(x, n) for the whole quotient, towards zero, mod(x, n) for what is left, or real(x) / n for a quotient with a fraction"
		}
		c.fail(pos, "integers do not divide: %s by %s", x.kind(), y.kind()).WithHint("%s", hint)
		return operand{}, errFailed
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

func (c *checker) reshape(pos diag.Pos, x operand, s ir.Shape) (operand, error) {
	if x.shape().Equal(s) {
		return x, nil
	}
	return c.apply(pos, ir.OpReshape, ir.Attrs{ir.Dims("shape", s)}, x)
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
	for _, i := range n.Indices {
		if err != nil {
			return x, err
		}
		x, err = c.index(x, &i)
	}
	return x, err
}

// index picks positions (which remove a dimension) and slices of the leading dimensions.
func (c *checker) index(x operand, n *indices) (operand, error) {
	in := x.shape()
	if len(n.List) > len(in) {
		c.fail(c.at(n.Pos), "%d indices for %s", len(n.List), x.kind())
		return x, errFailed
	}
	starts, ends, steps := make([]int, len(in)), append([]int{}, in...), make([]int, len(in))
	keep := ir.Shape{}
	for i := range in {
		steps[i] = 1
	}
	for i, ix := range n.List {
		pos := c.at(ix.Pos)
		bound := func(e *expr, def int) (int, error) {
			if e == nil {
				return def, nil
			}
			k, err := c.integer(e, "an index")
			if err != nil {
				return 0, err
			}
			if k < 0 {
				k += in[i]
			}
			if k < 0 || k > in[i] {
				c.fail(pos, "index is outside dimension %d of %s", i, x.kind())
				return 0, errFailed
			}
			return k, nil
		}
		from, err := bound(ix.From, 0)
		if err != nil {
			return x, err
		}
		if ix.Colon == "" {
			if ix.From == nil {
				c.fail(pos, "index is empty")
				return x, errFailed
			}
			if from >= in[i] {
				c.fail(pos, "index %d is outside dimension %d of %s", from, i, x.kind())
				return x, errFailed
			}
			starts[i], ends[i] = from, from+1
			continue
		}
		to, err := bound(ix.To, in[i])
		if err != nil {
			return x, err
		}
		if to < from {
			c.fail(pos, "slice %d:%d is backwards", from, to)
			return x, errFailed
		}
		starts[i], ends[i] = from, to
		keep = append(keep, to-from)
	}
	keep = append(keep, in[len(n.List):]...)
	y, err := c.apply(c.at(n.Pos), ir.OpSlice, ir.Attrs{ir.Dims("starts", starts), ir.Dims("ends", ends), ir.Dims("steps", steps)}, x)
	if err != nil {
		return y, err
	}
	return c.reshape(c.at(n.Pos), y, keep)
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
		return operand{c: ir.Ints(ir.Shape{}, x)}, nil
	case n.Bool != nil:
		t := ir.NewTensor(ir.Bool, ir.Shape{})
		if *n.Bool == "true" {
			t.I[0] = 1
		}
		return operand{c: t}, nil
	case n.Paren != nil:
		return c.expr(n.Paren)
	case n.List != nil:
		return c.list(pos, n.List)
	case n.Call != nil:
		return c.call(n.Call)
	}
	return c.lookup(pos, *n.Name)
}

func (c *checker) lookup(pos diag.Pos, n string) (operand, error) {
	b := c.names[n]
	switch {
	case b != nil && b.bad:
		return operand{}, errFailed
	case b != nil:
		return b.x, nil
	case builtins[n] != nil || c.fns[n] != nil:
		c.fail(pos, "%q is a function: call it with %s(...)", n, n)
		return operand{}, errFailed
	}
	e := c.fail(pos, "unknown name %q", n)
	var known []string
	for k := range c.names {
		known = append(known, k)
	}
	if s := nearest(n, known); s != "" {
		e.WithHint("did you mean %q?", s)
	}
	return operand{}, errFailed
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
	for i, x := range items {
		if !x.shape().Equal(first.shape()) || x.elem() != first.elem() {
			c.fail(pos, "elements differ: %s and %s", first.kind(), x.kind())
			return operand{}, errFailed
		}
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

func (c *checker) call(n *call) (operand, error) {
	pos := c.at(n.Name.Pos)
	args := make([]operand, len(n.Args))
	failed := false
	for i, a := range n.Args {
		var err error
		if args[i], err = c.expr(a); err != nil {
			failed = true
		}
	}
	b, fn := builtins[n.Name.Text], c.fns[n.Name.Text]
	switch {
	case b == nil && fn == nil:
		if x := c.names[n.Name.Text]; x != nil {
			if !x.bad {
				c.fail(pos, "%q is not a function", n.Name.Text)
			}
			return operand{}, errFailed
		}
		e := c.fail(pos, "unknown function %q", n.Name.Text)
		var known []string
		for k := range builtins {
			known = append(known, k)
		}
		for k := range c.fns {
			known = append(known, k)
		}
		if s := nearest(n.Name.Text, known); s != "" {
			e.WithHint("did you mean %q?", s)
		}
		return operand{}, errFailed
	case failed:
		return operand{}, errFailed
	case b != nil:
		if len(args) < b.min || b.max >= 0 && len(args) > b.max {
			c.fail(pos, "%s takes %s, got %d", b.Name, b.Params, len(args))
			return operand{}, errFailed
		}
		return b.lower(c, pos, args)
	}
	return c.inline(pos, fn, args)
}

// inline evaluates a user function on its arguments.
func (c *checker) inline(pos diag.Pos, fn *definition, args []operand) (operand, error) {
	n := fn.fn.Name.Text
	switch {
	case slices.Contains(c.calls, n):
		c.fail(pos, "%s calls itself, by way of %s", n, strings.Join(append(c.calls, n), " -> ")).WithHint("the computation is straight-line: there is no recursion")
		return operand{}, errFailed
	case len(c.calls) >= maxCalls:
		c.fail(pos, "calls are nested deeper than %d", maxCalls)
		return operand{}, errFailed
	case len(args) != len(fn.fn.Params):
		c.fail(pos, "%s takes %d arguments, got %d", n, len(fn.fn.Params), len(args))
		return operand{}, errFailed
	}
	names, base := c.names, c.base
	c.names = map[string]*meaning{}
	for k, b := range names { // constants and lets before it are seen; parameters hide nothing
		c.names[k] = b
	}
	c.base = fn.base
	c.calls = append(c.calls, n)
	within := c.within
	inside := slices.Clip(append(slices.Clone(within), n))
	c.within = inside
	defer func() {
		c.names, c.base, c.calls, c.within = names, base, c.calls[:len(c.calls)-1], within
	}()
	before := len(c.errs)
	for i, p := range fn.fn.Params {
		if p.Type != nil {
			e, s, err := c.typeOf(p.Type)
			if err != nil {
				return operand{}, err
			}
			if e == ir.Real && args[i].elem() == ir.Int {
				if args[i], err = c.real(pos, args[i]); err != nil {
					return operand{}, err
				}
			}
			if e != args[i].elem() || !s.Equal(args[i].shape()) {
				c.fail(pos, "argument %d (%s) of %s is %s, want %s%s", i+1, p.Name.Text, n, args[i].kind(), e, strings.TrimPrefix(s.String(), "[]"))
				return operand{}, errFailed
			}
		}
		delete(c.names, p.Name.Text)
		c.bind(p.Name, args[i], nil)
	}
	for _, l := range fn.fn.Lets {
		c.within = append(inside, l.Name.Text)
		x, err := c.expr(l.X)
		delete(c.names, l.Name.Text)
		c.bind(l.Name, x, err)
	}
	c.within = inside
	x, err := c.expr(fn.fn.Return)
	if err != nil && len(c.errs) > before && len(c.calls) == 1 { // say from where the failing body was reached
		last := c.errs[len(c.errs)-1]
		if last.Hint == "" {
			last.WithHint("in %s, called on line %d", n, pos.Line)
		}
	}
	return x, err
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
