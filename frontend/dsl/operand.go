package dsl

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// An operand is what an expression is worth: a public constant c that is known while compiling, a value v, or the columns of a record.
type operand struct {
	c    *ir.Tensor
	v    *ir.Value
	cols []columnOf // of a record; c and v are nil
	text *string    // in quotes, for the few functions that take one
	arr  *array     // elements that have been replaced one by one; only names have one, no expression
	num  numeral
}

// missing reports whether an optional argument was left out.
func (x operand) missing() bool {
	return x.c == nil && x.v == nil && x.cols == nil && x.text == nil && x.arr == nil
}

// A columnOf is a named column of a record.
type columnOf struct {
	name string
	x    operand
}

// A numeral says what integers of an operand stand for: numbers of a type that wraps, or decimals in units of their last place. The zero numeral is
// that of plain numbers.
type numeral struct {
	bits    int // of a type that wraps; 0 if it does not
	signed  bool
	decimal bool
	places  int // of decimals
}

// String returns the type as it is written.
func (n numeral) String() string {
	switch {
	case n.decimal:
		return fmt.Sprintf("decimal(%d)", n.places)
	case n.bits > 0 && n.signed:
		return fmt.Sprintf("int%d", n.bits)
	case n.bits > 0:
		return fmt.Sprintf("uint%d", n.bits)
	}
	return "int"
}

// span returns the range of a type that wraps.
func (n numeral) span() (lo, hi int64) {
	if n.signed {
		return -1 << (n.bits - 1), 1<<(n.bits-1) - 1
	}
	return 0, 1<<n.bits - 1
}

func (x operand) elem() ir.Elem {
	switch {
	case x.c != nil:
		return x.c.Elem
	case x.v != nil:
		return x.v.Type.Elem
	case x.arr != nil:
		return x.arr.base.elem()
	}
	return ir.Ring // of a record: no kind that an op takes
}

func (x operand) shape() ir.Shape {
	switch {
	case x.c != nil:
		return x.c.Shape
	case x.v != nil:
		return x.v.Type.Shape
	case x.arr != nil:
		return x.arr.base.shape()
	}
	return ir.Shape{}
}

// rows returns the length of a record's columns.
func (x operand) rows() int {
	for _, f := range x.cols {
		if s := f.x.shape(); len(s) > 0 {
			return s[0]
		}
	}
	return 0
}

// kind renders the operand's type for people: int[3] of alice, bob.
func (x operand) kind() string {
	if x.cols != nil {
		var names []string
		for _, f := range x.cols {
			names = append(names, f.name)
		}
		return "a record of " + strings.Join(names, ", ")
	}
	if x.text != nil {
		return "a text"
	}
	s := x.elem().String()
	if x.elem() == ir.Int {
		s = x.num.String()
	}
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

// whole returns a public integer.
func whole(x int64) operand { return operand{c: ir.Ints(ir.Shape{}, x)} }

// value turns an operand into a value.
func (c *checker) value(pos diag.Pos, x operand) (*ir.Value, error) {
	switch {
	case x.v != nil:
		return x.v, nil
	case x.c == nil:
		e := c.fail(pos, "%s is no tensor", x.kind())
		if len(x.cols) > 0 {
			e.WithHint("name one of its columns, as in RECORD.%s", x.cols[0].name)
		}
		return nil, errFailed
	}
	return c.emit(pos, ir.OpConst, ir.Attrs{ir.T("data", x.c)})
}

// wrapping lists the operations whose results a type that wraps brings back into its range.
var wrapping = []ir.Op{ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpNeg, ir.OpAbs, ir.OpReduceSum, ir.OpMatMul, ir.OpIntDiv}

// keepsNumeral lists the operations whose integers are of the kind of their operands besides.
var keepsNumeral = []ir.Op{ir.OpMax, ir.OpMin, ir.OpSelect, ir.OpConcat, ir.OpReduceMax, ir.OpRelu, ir.OpClip, ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpGather, ir.OpExpand, ir.OpPad, ir.OpIntMod}

// apply computes op on operands: at once if all are constants. Integer constants adapt to reals beside them, integers of
// parties are converted; types that wrap and decimals keep to their rules.
func (c *checker) apply(pos diag.Pos, op ir.Op, attrs ir.Attrs, xs ...operand) (operand, error) {
	for _, x := range xs {
		if x.c == nil && x.v == nil {
			c.fail(pos, "%s of %s, which is no number", op, x.kind()).WithHint("name a column, as in RECORD.COLUMN")
			return operand{}, errFailed
		}
	}
	var num numeral
	if op != ir.OpCast {
		from := 0
		if op == ir.OpSelect {
			from = 1
		}
		if err := c.adapt(pos, xs[from:]); err != nil {
			return operand{}, err
		}
		var err error
		if num, err = c.numerals(pos, op, xs[from:]); err != nil {
			return operand{}, err
		}
	}
	y, err := c.computed(pos, op, attrs, xs)
	if err != nil || y.elem() != ir.Int {
		return y, err
	}
	switch {
	case num == numeral{} || num.decimal && op == ir.OpIntDiv: // a quotient of decimals is a plain number
	case slices.Contains(wrapping, op) && num.bits > 0:
		return c.wrapped(pos, y, num)
	case slices.Contains(wrapping, op) || slices.Contains(keepsNumeral, op):
		if y.num = num; num.decimal && (op == ir.OpMul || op == ir.OpMatMul) {
			y.num.places = xs[0].num.places + xs[1].num.places
		}
	}
	return y, nil
}

// wrapped keeps of integers what a type holds.
func (c *checker) wrapped(pos diag.Pos, x operand, num numeral) (operand, error) {
	attrs := ir.Attrs{ir.I("bits", int64(num.bits))}
	if num.signed {
		attrs = append(attrs, ir.I("signed", 1))
	}
	x.num = numeral{}
	y, err := c.computed(pos, ir.OpWrap, attrs, []operand{x})
	y.num = num
	return y, err
}

// numerals gives the integers among operands one kind: constants become what stands beside them, decimals get as many places as the longest.
func (c *checker) numerals(pos diag.Pos, op ir.Op, xs []operand) (numeral, error) {
	var num numeral
	for _, x := range xs {
		switch {
		case x.num == numeral{}:
		case num == numeral{}:
			num = x.num
		case num.decimal && x.num.decimal:
			num.places = max(num.places, x.num.places)
		case num != x.num:
			c.fail(pos, "%s of %s and %s: types differ", op, num, x.num).WithHint("convert one of them, as in %s(x) or int(x)", num)
			return num, errFailed
		}
	}
	if num == (numeral{}) {
		return num, nil
	}
	product := op == ir.OpMul || op == ir.OpMatMul
	for i, x := range xs {
		switch {
		case x.elem() != ir.Int || x.num == num:
			continue
		case num.decimal && product: // the product of the units has the places of both
			continue
		case num.decimal:
			y, err := c.lengthened(pos, x, num.places)
			if err != nil {
				return num, err
			}
			xs[i] = y
			continue
		case x.c == nil:
			c.fail(pos, "%s of %s and %s: types differ", op, num, x.kind()).WithHint("write %s(x) to keep what the type holds, or int(x) for integers that do not wrap", num)
			return num, errFailed
		}
		lo, hi := num.span()
		for _, k := range x.c.I {
			if k < lo || k > hi {
				c.fail(pos, "%d is no %s, which holds %d..%d", k, num, lo, hi).WithHint("write %s(%d) to keep its low bits", num, k)
				return num, errFailed
			}
		}
	}
	return num, nil
}

// lengthened returns a number as a decimal with more places, which is exact.
func (c *checker) lengthened(pos diag.Pos, x operand, places int) (operand, error) {
	by := places - x.num.places
	if by == 0 {
		x.num = numeral{decimal: true, places: places}
		return x, nil
	}
	x.num = numeral{}
	y, err := c.apply(pos, ir.OpMul, nil, x, whole(pow10(by)))
	y.num = numeral{decimal: true, places: places}
	return y, err
}

// maxPlaces bounds the places of decimals.
const maxPlaces = 12

// pow10 returns 10^n for n up to 18.
func pow10(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

// computed is apply without conversions.
func (c *checker) computed(pos diag.Pos, op ir.Op, attrs ir.Attrs, xs []operand) (operand, error) {
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
		y, err := c.folded(pos, row, attrs, args, data)
		if err != nil && err != errFailed {
			c.mismatch(pos, op, err, xs)
			err = errFailed
		}
		return y, err
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

// folded computes op on constants.
func (c *checker) folded(pos diag.Pos, row *ir.Row, attrs ir.Attrs, args []*ir.Value, data []*ir.Tensor) (operand, error) {
	v := &ir.Value{Op: row.Op, Args: args, Attrs: attrs}
	var err error
	if v.Type, err = row.TypeOf(v); err != nil {
		return operand{}, err
	}
	if v.Type.Shape.Size() > maxKnown {
		c.fail(pos, "constant of shape %v is too large", v.Type.Shape)
		return operand{}, errFailed
	}
	if err := c.spend(pos, v.Type.Shape.Size()); err != nil {
		return operand{}, err
	}
	if leaves64(row.Op, data) {
		c.fail(pos, "%s of constants leaves 64 bits", row.Op)
		return operand{}, errFailed
	}
	t, err := row.Eval(v, data)
	if err != nil {
		return operand{}, err
	}
	for _, f := range t.F {
		if math.IsNaN(f) || math.IsInf(f, 0) {
			return operand{}, fmt.Errorf("the result is no number")
		}
	}
	return operand{c: t}, nil
}

// leaves64 reports whether arithmetic on integer constants may have results beyond 64 bits: by the largest magnitudes, so that what it lets through is
// exact.
func leaves64(op ir.Op, data []*ir.Tensor) bool {
	if data[0].Elem != ir.Int {
		return false
	}
	most := func(t *ir.Tensor) float64 {
		m := 0.0
		for _, k := range t.I {
			m = max(m, math.Abs(float64(k)))
		}
		return m
	}
	m := most(data[0])
	switch op {
	case ir.OpAdd, ir.OpSub:
		m += most(data[1])
	case ir.OpMul:
		m *= most(data[1])
	case ir.OpMatMul:
		m *= float64(most(data[1]) * float64(data[0].Shape[len(data[0].Shape)-1]))
	case ir.OpReduceSum:
		m *= float64(max(1, data[0].Len()))
	case ir.OpNeg, ir.OpAbs:
	default:
		return false
	}
	return m >= 1<<63
}

// mismatch reports operands that an op does not take, with their types.
func (c *checker) mismatch(pos diag.Pos, op ir.Op, err error, xs []operand) {
	var kinds []string
	for _, x := range xs {
		kinds = append(kinds, x.kind())
	}
	c.fail(pos, "%s of %s: %v", op, strings.Join(kinds, " and "), err)
}

// adapt gives operands one element kind if one is real and the others are integers. A known real beside decimals becomes a decimal.
func (c *checker) adapt(pos diag.Pos, xs []operand) error {
	if !slices.ContainsFunc(xs, func(x operand) bool { return x.elem() == ir.Real }) {
		return nil
	}
	decimals := slices.ContainsFunc(xs, func(x operand) bool { return x.num.decimal })
	for i, x := range xs {
		switch {
		case decimals && x.elem() == ir.Real:
			y, ok := decimalOf(x)
			if !ok {
				c.fail(pos, "%s beside decimals: it is no decimal of at most %d places", x.kind(), maxPlaces).
					WithHint("write real(x) of the decimals to compute with fractions")
				return errFailed
			}
			xs[i] = y
		case x.elem() == ir.Int && !decimals:
			r, err := c.real(pos, x)
			if err != nil {
				return err
			}
			xs[i] = r
		}
	}
	return nil
}

// decimalOf returns known reals as decimals with the digits that they are written with.
func decimalOf(x operand) (operand, bool) {
	if x.c == nil {
		return x, false
	}
	places := 0
	for _, f := range x.c.F {
		s := strconv.FormatFloat(f, 'f', -1, 64)
		if at := strings.IndexByte(s, '.'); at >= 0 {
			places = max(places, len(s)-at-1)
		}
	}
	if places > maxPlaces {
		return x, false
	}
	t := ir.NewTensor(ir.Int, x.c.Shape)
	for i, f := range x.c.F {
		s := strconv.FormatFloat(f, 'f', places, 64)
		k, err := strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64)
		if err != nil {
			return x, false
		}
		t.I[i] = k
	}
	return operand{c: t, num: numeral{decimal: true, places: places}}, true
}

// real converts an operand to reals; decimals to what they stand for.
func (c *checker) real(pos diag.Pos, x operand) (operand, error) {
	if x.elem() == ir.Real {
		return x, nil
	}
	num := x.num
	x.num = numeral{}
	y, err := c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", "real")}, x)
	if err != nil || !num.decimal || num.places == 0 {
		return y, err
	}
	return c.apply(pos, ir.OpMul, nil, y, operand{c: ir.Reals(ir.Shape{}, 1/float64(pow10(num.places)))})
}

// integers converts bits and decimals of no places to plain integers, and takes the type from those that wrap.
func (c *checker) integers(pos diag.Pos, x operand) (operand, error) {
	switch {
	case x.elem() == ir.Int && x.num.decimal && x.num.places > 0:
		return c.quotientOf(pos, x, whole(pow10(x.num.places)))
	case x.elem() == ir.Int:
		x.num = numeral{}
		return x, nil
	}
	return c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", "int")}, x)
}

// quotientOf divides the integers of x towards zero.
func (c *checker) quotientOf(pos diag.Pos, x, y operand) (operand, error) {
	x.num = numeral{}
	return c.apply(pos, ir.OpIntDiv, nil, x, y)
}

func (c *checker) integerOf(pos diag.Pos, o operand, what string) (int, error) {
	if o.c == nil || o.c.Elem != ir.Int || o.c.Len() != 1 || o.num.decimal {
		c.fail(pos, "%s must be an integer that is known when compiling, not %s", what, o.kind())
		return 0, errFailed
	}
	if n := o.c.I[0]; n >= -1<<31 && n < 1<<31 {
		return int(n), nil
	}
	c.fail(pos, "%s is out of range: %d", what, o.c.I[0])
	return 0, errFailed
}

func (c *checker) reshape(pos diag.Pos, x operand, s ir.Shape) (operand, error) {
	if x.shape().Equal(s) {
		return x, nil
	}
	return c.apply(pos, ir.OpReshape, ir.Attrs{ir.Dims("shape", s)}, x)
}

// gathered picks positions along the first dimension.
func (c *checker) gathered(pos diag.Pos, x operand, axis int, at []int64) (operand, error) {
	return c.apply(pos, ir.OpGather, ir.Attrs{ir.I("axis", int64(axis)), ir.Is("indices", at...)}, x)
}
