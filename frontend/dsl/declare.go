package dsl

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

func (c *checker) parties(s *statement) {
	if len(c.m.Parties) > 0 {
		c.fail(c.at(s.Pos), "parties are named twice")
		return
	}
	for _, n := range s.Parties {
		if !c.reserved(n) && slices.Contains(c.m.Parties, n.Text) {
			c.fail(c.at(n.Pos), "party %q is named twice", n.Text)
			continue
		}
		c.m.Parties = append(c.m.Parties, n.Text)
	}
	if len(c.m.Parties) < 2 {
		c.fail(c.at(s.Pos), "a computation needs at least two parties")
	}
}

// guests names owners and receivers that compute nothing.
func (c *checker) guests(s *statement) {
	for _, n := range s.Guests {
		if c.reserved(n) {
			continue
		}
		if slices.Contains(slices.Concat(c.m.Parties, c.m.Guests), n.Text) || n.Text == c.m.Dealer {
			c.fail(c.at(n.Pos), "guest %q is a party, the dealer or named twice", n.Text)
			continue
		}
		c.m.Guests = append(c.m.Guests, n.Text)
	}
}

// party checks that a name is a party's or a guest's.
func (c *checker) party(n name) bool {
	if slices.Contains(c.m.Parties, n.Text) || slices.Contains(c.m.Guests, n.Text) {
		return true
	}
	e := c.fail(c.at(n.Pos), "%q is not a party", n.Text)
	if len(c.m.Parties) > 0 {
		e.WithHint("the parties are %s", strings.Join(slices.Concat(c.m.Parties, c.m.Guests), ", "))
	}
	return false
}

// A dimension is a size that data or --dim give.
type dimension struct {
	size int
	from string // what gave it; empty if nothing did
	said bool   // that nothing did
}

// bareName returns the name that an expression is, or "".
func (x *expr) bareName() string {
	p := x.bare()
	if p == nil || p.X.Name == nil || len(p.Rest) > 0 {
		return ""
	}
	return *p.X.Name
}

// text returns a name, or NAME.COLUMN, that an expression is, or "".
func (x *expr) text() string {
	p := x.bare()
	if p == nil || p.X.Name == nil {
		return ""
	}
	s := *p.X.Name
	for _, f := range p.Rest {
		if f.Indices != nil {
			return ""
		}
		s += "." + f.Field
	}
	return s
}

// bare returns the operand that an expression without operators is, or nil.
func (x *expr) bare() *postfix {
	if x == nil || len(x.Args) != 1 || len(x.Args[0].Args) != 1 {
		return nil
	}
	n := x.Args[0].Args[0]
	if len(n.Nots) > 0 || n.X.Op != "" || len(n.X.X.Rest) > 0 || len(n.X.X.X.Rest) > 0 || len(n.X.X.X.X.Minus) > 0 {
		return nil
	}
	return n.X.X.X.X.X
}

// bindDimensions gives dimensions the sizes that --dim and data say, before anything is declared.
func (c *checker) bindDimensions(list []parsed) {
	consts := map[string]bool{}
	for _, s := range list {
		if s.Const != nil {
			consts[s.Const.Name.Text] = true
		}
	}
	bind := func(pos diag.Pos, n, what string, axis int, rank int) {
		if consts[n] || n == "" || c.global.own(n) != nil && c.dims[n] == nil {
			return
		}
		d := c.dims[n]
		if d == nil {
			d = &dimension{}
			c.dims[n] = d
			if size, ok := c.opt.Dims[n]; ok {
				d.size, d.from = size, "--dim"
			}
		}
		s := c.opt.Shapes[what]
		if len(s) != rank {
			return
		}
		switch {
		case d.from == "":
			d.size, d.from = s[axis], what
			if c.opt.Bound != nil {
				c.opt.Bound[n] = s[axis]
			}
		case d.size != s[axis] && d.from == "--dim":
			c.fail(pos, "dimension %q is %d by --dim, and %d in the data of %q", n, d.size, s[axis], what).WithHint("leave --dim out: the data says it")
		case d.size != s[axis]:
			c.fail(pos, "dimension %q is %d in the data of %q, and %d in that of %q", n, d.size, d.from, s[axis], what).WithHint("give data of one length, or two names to the dimensions")
		}
	}
	for _, s := range list {
		c.base = s.base
		d := s.Input
		if d == nil {
			d = s.Weight
		}
		if d != nil {
			for i, x := range d.Type.Dims {
				bind(c.at(x.Pos), x.bareName(), d.Name.Text, i, len(d.Type.Dims))
			}
		}
		if t := s.Table; t != nil {
			n := t.Name.Text
			if t.Rows != nil {
				n = t.Rows.bareName()
			}
			for _, col := range t.Columns {
				bind(c.at(t.Name.Pos), n, t.Name.Text+"."+col.Name.Text, 0, 1+len(col.Type.Dims))
			}
		}
	}
	for n, d := range c.dims {
		if d.from != "" && !c.isTable(list, n) {
			c.global.names[n] = &meaning{x: whole(int64(d.size)), fixed: true}
		}
	}
}

// isTable reports whether a name is a table's, whose dimension has no name of its own.
func (c *checker) isTable(list []parsed, n string) bool {
	return slices.ContainsFunc(list, func(s parsed) bool { return s.Table != nil && s.Table.Name.Text == n })
}

// unknownDimensions refuses sizes of dimensions that the program does not have.
func (c *checker) unknownDimensions() {
	for _, n := range slices.Sorted(maps.Keys(c.opt.Dims)) {
		if c.dims[n] != nil {
			continue
		}
		e := diag.Errorf(diag.Pos{File: c.file}, "--dim %s: the program has no dimension of that name", n)
		if e.Kind = diag.Usage; len(c.dims) > 0 {
			e.WithHint("it has: %s", strings.Join(slices.Sorted(maps.Keys(c.dims)), ", "))
		} else {
			e.WithHint("its sizes are all numbers; a dimension is a name, as in input x: real[n] from alice")
		}
		c.errs = append(c.errs, e)
	}
}

// sized returns the size of a dimension, or says that it has none. data names an input that would give it.
func (c *checker) sized(pos diag.Pos, n, data string) (int, error) {
	d := c.dims[n]
	switch {
	case d == nil && c.opt.Sizeless:
		return 1, nil
	case d == nil:
		e := c.fail(pos, "unknown name %q", n)
		if s := nearest(n, c.names.all()); s != "" {
			e.WithHint("did you mean %q?", s)
		}
		return 0, errFailed
	case d.from != "":
		return d.size, nil
	case c.opt.Sizeless:
		return 1, nil
	case !d.said:
		d.said = true
		e := c.fail(pos, "dimension %q has no size", n)
		hint := fmt.Sprintf("give the data (--input %s=FILE) or the size (--dim %s=N)", data, n)
		if s := nearest(n, c.names.all()); s != "" {
			hint = fmt.Sprintf("did you mean %q? If it is a dimension, %s", s, hint)
		}
		e.WithHint("%s", hint)
	}
	return 0, errFailed
}

// dims evaluates the dimensions of a type. name finds sizes of names that are not known.
func (c *checker) dimsOf(list []*expr, sized func(pos diag.Pos, n string, axis int) (int, error)) (ir.Shape, error) {
	s := ir.Shape{}
	for i, d := range list {
		n := d.bareName()
		if m, _ := c.names.find(n); n != "" && m == nil {
			size, err := sized(c.at(d.Pos), n, i)
			if err != nil {
				return nil, err
			}
			s = append(s, size)
			continue
		}
		size, err := c.integer(d, "a dimension")
		if err != nil {
			return nil, err
		}
		s = append(s, size)
	}
	return s, nil
}

// typeNames are the types of elements with what they are in the IR.
var typeNames = map[string]struct {
	elem ir.Elem
	num  numeral
}{
	"real": {elem: ir.Real}, "int": {elem: ir.Int}, "bool": {elem: ir.Bool}, "int64": {elem: ir.Int},
	"int8": {ir.Int, numeral{bits: 8, signed: true}}, "int16": {ir.Int, numeral{bits: 16, signed: true}}, "int32": {ir.Int, numeral{bits: 32, signed: true}},
	"uint8": {ir.Int, numeral{bits: 8}}, "uint16": {ir.Int, numeral{bits: 16}}, "uint32": {ir.Int, numeral{bits: 32}},
	"money": {ir.Int, numeral{decimal: true, places: 2}},
}

// element returns what the elements of a written type are.
func (c *checker) elementType(t *typ) (e ir.Elem, num numeral, err error) {
	row, ok := typeNames[t.Elem]
	switch {
	case ok && t.Places == nil:
		return row.elem, row.num, nil
	case t.Elem == "decimal" && t.Places != nil:
		n, err := c.integer(t.Places, "the number of places")
		if err == nil && (n < 0 || n > maxPlaces) {
			c.fail(c.at(t.Pos), "decimal(%d): want 0 to %d places", n, maxPlaces)
			err = errFailed
		}
		return ir.Int, numeral{decimal: true, places: n}, err
	case t.Elem == "decimal":
		c.fail(c.at(t.Pos), "decimal needs its places").WithHint("write decimal(2) for two digits behind the point")
	default:
		e := c.fail(c.at(t.Pos), "unknown type %q", t.Elem)
		if s := otherTypes[strings.ToLower(t.Elem)]; s != "" {
			e.WithHint("write %s; types are real, int and bool, with dimensions as in real[2,3]", s)
		} else {
			e.WithHint("types are real, int and bool, with dimensions as in real[2,3]")
		}
	}
	return 0, num, errFailed
}

// typeOf evaluates a written type of data by the given name.
func (c *checker) typeOf(t *typ, data string) (ir.Elem, numeral, ir.Shape, error) {
	e, num, err := c.elementType(t)
	if err != nil {
		return 0, num, nil, err
	}
	s, err := c.dimsOf(t.Dims, func(pos diag.Pos, n string, _ int) (int, error) { return c.sized(pos, n, data) })
	if err == nil {
		err = c.checkShape(c.at(t.Pos), s)
	}
	return e, num, s, err
}

func (c *checker) checkShape(pos diag.Pos, s ir.Shape) error {
	if err := ir.CheckShape(s); err != nil {
		c.fail(pos, "%v", err)
		return errFailed
	}
	return nil
}

// written returns a type as it is written, and its dimensions as numbers and names.
func (c *checker) written(t *typ, num numeral, s ir.Shape) (elem string, dims []string) {
	for i, n := range s {
		d := fmt.Sprint(n)
		if name := t.Dims[i].bareName(); name != "" && c.dims[name] != nil || name != "" && c.opt.Sizeless && c.global.own(name) == nil {
			d = name
		}
		dims = append(dims, d)
	}
	if elem = t.Elem; num.decimal {
		elem = num.String()
	}
	return elem, dims
}

func (c *checker) declare(d *declaration, op ir.Op) {
	e, num, s, err := c.typeOf(&d.Type, d.Name.Text)
	if !c.party(d.From) && err == nil {
		err = errFailed
	}
	if op == ir.OpWeight && slices.Contains(c.m.Guests, d.From.Text) {
		c.fail(c.at(d.From.Pos), "%q is a guest, and weights stay with parties from one run to the next", d.From.Text).WithHint("make it an input, or let a party own it")
		err = errFailed
	}
	attrs, err2 := c.leaf(d.Name.Text, d.From.Text, e, num, s, d.Lo, d.Hi)
	if err == nil {
		err = err2
	}
	x := operand{num: num}
	if err == nil && c.names.own(d.Name.Text) == nil {
		x.v, err = c.emit(c.at(d.Name.Pos), op, attrs)
		elem, dims := c.written(&d.Type, num, s)
		c.inputs = append(c.inputs, Declared{Name: d.Name.Text, Owner: d.From.Text, Elem: elem, Dims: dims, Weight: op == ir.OpWeight})
	}
	c.bind(d.Name, x, err, true)
}

// leaf returns the attributes of an input or weight.
func (c *checker) leaf(name, owner string, e ir.Elem, num numeral, s ir.Shape, loX, hiX *expr) (ir.Attrs, error) {
	attrs := ir.Attrs{ir.S("name", name), ir.S("owner", owner), ir.S("elem", e.String()), ir.Dims("shape", s)}
	attrs = attrs.Guest(slices.Contains(c.m.Guests, owner))
	if num.decimal && num.places > 0 {
		attrs = append(attrs, ir.I("places", int64(num.places)))
	}
	var lo, hi float64
	switch {
	case loX != nil:
		var err, err2 error
		lo, err = c.bound(loX, num)
		hi, err2 = c.bound(hiX, num)
		switch {
		case err != nil || err2 != nil:
			return nil, errFailed
		case lo > hi:
			c.fail(c.at(loX.Pos), "range %g..%g is empty", lo, hi)
			return nil, errFailed
		case e == ir.Bool:
			c.fail(c.at(loX.Pos), "a bool has no range")
			return nil, errFailed
		}
		if num.bits > 0 {
			if a, b := num.span(); lo < float64(a) || hi > float64(b) {
				c.fail(c.at(loX.Pos), "range %g..%g leaves %s, which holds %d..%d", lo, hi, num, a, b)
				return nil, errFailed
			}
		}
	case num.bits > 0:
		a, b := num.span()
		lo, hi = float64(a), float64(b)
	default:
		return attrs, nil
	}
	if e == ir.Real {
		lo, hi = ir.Admitting(lo, hi)
	}
	return append(attrs, ir.F("lo", lo), ir.F("hi", hi)), nil
}

// table declares the columns of a table, which are inputs of their own.
func (c *checker) table(t *table) {
	pos, n := c.at(t.Name.Pos), t.Name.Text
	ok := c.party(t.From)
	rows, rowName := 0, n
	if t.Rows != nil {
		s, err := c.dimsOf([]*expr{t.Rows}, func(pos diag.Pos, d string, _ int) (int, error) { return c.sized(pos, d, n) })
		if ok = ok && err == nil; err == nil {
			rows = s[0]
		}
		if rowName = t.Rows.bareName(); rowName == "" {
			rowName = fmt.Sprint(rows)
		}
	} else {
		var err error
		rows, err = c.sized(pos, n, n)
		ok = ok && err == nil
	}
	x := operand{cols: []columnOf{}}
	for _, col := range t.Columns {
		e, num, s, err := c.typeOf(&col.Type, n)
		if slices.ContainsFunc(x.cols, func(f columnOf) bool { return f.name == col.Name.Text }) {
			c.fail(c.at(col.Name.Pos), "column %q is named twice", col.Name.Text)
			err = errFailed
		}
		if err == nil {
			_, err = c.leaf("", "", e, num, s, col.Lo, col.Hi) // also where the table has no size
		}
		if err != nil || !ok {
			ok = false
			continue
		}
		name, shape := n+"."+col.Name.Text, append(ir.Shape{rows}, s...)
		if err := c.checkShape(c.at(col.Type.Pos), shape); err != nil {
			ok = false
			continue
		}
		attrs, _ := c.leaf(name, t.From.Text, e, num, shape, col.Lo, col.Hi)
		v, err := c.emit(c.at(col.Name.Pos), ir.OpInput, attrs)
		if ok = ok && err == nil; !ok {
			continue
		}
		elem, dims := c.written(&col.Type, num, s)
		c.inputs = append(c.inputs, Declared{Name: name, Owner: t.From.Text, Elem: elem, Dims: append([]string{rowName}, dims...), Table: n})
		x.cols = append(x.cols, columnOf{col.Name.Text, operand{v: v, num: num}})
	}
	var err error
	if !ok {
		err = errFailed
	}
	c.bind(t.Name, x, err, true)
}

// integer evaluates an expression that must be a public integer; what says what it is for.
func (c *checker) integer(x *expr, what string) (int, error) {
	o, err := c.expr(x)
	if err != nil {
		return 0, err
	}
	return c.integerOf(c.at(x.Pos), o, what)
}

// bound evaluates an end of a range, which is kept as a float64; of decimals in units of their last place.
func (c *checker) bound(x *expr, num numeral) (float64, error) {
	o, err := c.expr(x)
	if err != nil {
		return 0, err
	}
	pos := c.at(x.Pos)
	if num.decimal && o.c != nil && o.elem() != ir.Bool {
		d := o
		if o.elem() == ir.Real {
			var ok bool
			if d, ok = decimalOf(o); !ok {
				d.num.places = maxPlaces + 1
			}
		}
		if d.num.places > num.places {
			c.fail(pos, "a range of %s cannot end at %g, which has more places", num, o.c.At(0))
			return 0, errFailed
		}
		if o, err = c.lengthened(pos, d, num.places); err != nil {
			return 0, err
		}
	}
	if o.c != nil && o.c.Elem == ir.Int && o.c.Len() == 1 {
		if n := o.c.I[0]; n == math.MaxInt64 || int64(float64(n)) != n {
			step := int64(math.Nextafter(math.Abs(float64(n)), math.Inf(1)) - math.Abs(float64(n)))
			c.fail(pos, "a range cannot end at %d: beyond 2^53 = %d its ends are multiples of powers of two", n, int64(1)<<53).
				WithHint("take a multiple of %d", step)
			return 0, errFailed
		}
	}
	if o.c == nil || o.c.Elem == ir.Bool || o.c.Len() != 1 {
		c.fail(pos, "%s must be a number that is known when compiling, not %s", "a range", o.kind())
		return 0, errFailed
	}
	return o.c.At(0), nil
}
