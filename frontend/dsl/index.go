package dsl

import (
	"smpcc/ir"
	"smpcc/ir/diag"
)

// An array is a tensor some of whose elements, along the first dimension, have been replaced one by one. It is joined where it is read as a whole.
type array struct {
	base operand
	own  []*operand // by place; nil where it is that of base
	flat *operand   // joined; nil behind a change
}

// flattened joins an array to one operand.
func (c *checker) flattened(pos diag.Pos, x operand) (operand, error) {
	a := x.arr
	if a == nil {
		return x, nil
	}
	if a.flat != nil {
		return *a.flat, nil
	}
	items := make([]operand, len(a.own))
	for i := range items {
		y, err := c.element(pos, x, i)
		if err != nil {
			return y, err
		}
		if items[i], err = c.flattened(pos, y); err != nil {
			return items[i], err
		}
	}
	y, err := c.stack(pos, items)
	if err == nil {
		a.flat = &y
	}
	return y, err
}

// element returns x[i].
func (c *checker) element(pos diag.Pos, x operand, i int) (operand, error) {
	switch {
	case x.cols != nil:
		y := operand{cols: []columnOf{}}
		for _, f := range x.cols {
			v, err := c.element(pos, f.x, i)
			if err != nil {
				return v, err
			}
			y.cols = append(y.cols, columnOf{f.name, v})
		}
		return y, nil
	case x.arr != nil && x.arr.own[i] != nil:
		return *x.arr.own[i], nil
	case x.arr != nil:
		return c.element(pos, x.arr.base, i)
	case x.c != nil: // without a copy of what stands around
		s := x.c.Shape[1:]
		n := s.Size()
		t := &ir.Tensor{Elem: x.c.Elem, Shape: append(ir.Shape{}, s...)}
		if x.c.Elem == ir.Real {
			t.F = x.c.F[i*n : (i+1)*n : (i+1)*n]
		} else {
			t.I = x.c.I[i*n : (i+1)*n : (i+1)*n]
		}
		return operand{c: t, num: x.num}, nil
	}
	in := x.shape()
	starts, ends, steps := make([]int, len(in)), append([]int{}, in...), make([]int, len(in))
	for d := range steps {
		steps[d] = 1
	}
	starts[0], ends[0] = i, i+1
	y, err := c.apply(pos, ir.OpSlice, ir.Attrs{ir.Dims("starts", starts), ir.Dims("ends", ends), ir.Dims("steps", steps)}, x)
	if err != nil {
		return y, err
	}
	return c.reshape(pos, y, in[1:])
}

// A place says what an index picks of one dimension: positions from..to-1, of which one alone removes the dimension, a list of positions, or one or more
// that are secret.
type place struct {
	pos      diag.Pos
	from, to int
	single   bool
	list     []int64
	shape    ir.Shape // of the list, or of the secret positions
	secret   *operand
}

// place evaluates one index of a dimension of the given size.
func (c *checker) place(x operand, ix *index, axis int) (place, error) {
	size := x.shape()[axis]
	p := place{pos: c.at(ix.Pos), to: size}
	bound := func(e *expr, def int) (int, error) {
		if e == nil {
			return def, nil
		}
		k, err := c.integer(e, "an index")
		if err != nil {
			return 0, err
		}
		return c.inside(p.pos, k, x, axis)
	}
	var err error
	if ix.Colon != "" {
		if p.from, err = bound(ix.From, 0); err != nil {
			return p, err
		}
		if p.to, err = bound(ix.To, size); err != nil {
			return p, err
		}
		if p.to < p.from {
			c.fail(p.pos, "slice %d:%d is backwards", p.from, p.to)
			return p, errFailed
		}
		return p, nil
	}
	if ix.From == nil {
		c.fail(p.pos, "index is empty")
		return p, errFailed
	}
	i, err := c.expr(ix.From)
	if err != nil {
		return p, err
	}
	switch {
	case i.c == nil && i.elem() == ir.Int && !i.num.decimal && i.cols == nil:
		p.secret, p.shape = &i, i.shape()
		return p, c.within0(p.pos, i, size)
	case i.c != nil && i.elem() == ir.Bool && len(i.shape()) == 1:
		if i.c.Len() != size {
			c.fail(p.pos, "%d conditions for dimension %d of %s", i.c.Len(), axis, x.kind())
			return p, errFailed
		}
		p.list = []int64{}
		for k, b := range i.c.I {
			if b != 0 {
				p.list = append(p.list, int64(k))
			}
		}
		p.shape = ir.Shape{len(p.list)}
		return p, nil
	case i.c != nil && i.elem() == ir.Int && len(i.shape()) > 0 && !i.num.decimal:
		p.list, p.shape = []int64{}, i.shape()
		for _, k := range i.c.I {
			if k < -int64(size) || k >= int64(size) {
				c.fail(p.pos, "index %d is outside dimension %d of %s", k, axis, x.kind())
				return p, errFailed
			}
			if k < 0 {
				k += int64(size)
			}
			p.list = append(p.list, k)
		}
		return p, nil
	}
	k, err := c.integerOf(c.at(ix.From.Pos), i, "an index")
	if err != nil {
		return p, err
	}
	if p.from, err = c.inside(p.pos, k, x, axis); err != nil {
		return p, err
	}
	if p.from >= size {
		e := c.fail(p.pos, "index %d is outside dimension %d of %s", p.from, axis, x.kind())
		if k == size && size > 0 {
			e.WithHint("places count from 0 to %d; a range 0..n holds n too", size-1)
		}
		return p, errFailed
	}
	p.to, p.single = p.from+1, true
	return p, nil
}

// inside returns an index that may count from the end.
func (c *checker) inside(pos diag.Pos, k int, x operand, axis int) (int, error) {
	size := x.shape()[axis]
	if k < 0 {
		k += size
	}
	if k < 0 || k > size {
		c.fail(pos, "index is outside dimension %d of %s", axis, x.kind())
		return 0, errFailed
	}
	return k, nil
}

// within0 refuses secret indices that may lie outside 0..size-1.
func (c *checker) within0(pos diag.Pos, i operand, size int) error {
	v, err := c.value(pos, i)
	if err != nil {
		return err
	}
	r := c.known(v)
	if size > 0 && r.lo >= 0 && r.hi <= float64(size-1) {
		return nil
	}
	c.fail(pos, "a secret index that lies in %s is not known to be inside 0..%d", r, size-1).
		WithHint("declare its range (in 0..%d behind the input), or write clip(i, 0, %[1]d) if the nearest element is meant", max(0, size-1))
	return errFailed
}

// index picks positions (which remove a dimension), slices, lists of positions and secret positions of the leading dimensions.
func (c *checker) index(x operand, n *indices) (operand, error) {
	pos := c.at(n.Pos)
	if x.text != nil {
		c.fail(pos, "a text has no elements")
		return x, errFailed
	}
	in := x.shape()
	if len(n.List) > len(in) {
		c.fail(pos, "%d indices for %s", len(n.List), x.kind())
		return x, errFailed
	}
	places := make([]place, len(n.List))
	for i := range n.List {
		var err error
		if places[i], err = c.place(x, &n.List[i], i); err != nil {
			return x, err
		}
	}
	for x.arr != nil || x.c != nil { // elements of arrays and constants, without what stands around them
		if len(places) == 0 || !places[0].single {
			break
		}
		y, err := c.element(pos, x, places[0].from)
		if err != nil {
			return y, err
		}
		x, places = y, places[1:]
	}
	if len(places) == 0 {
		return x, nil
	}
	x, err := c.flattened(pos, x)
	if err != nil {
		return x, err
	}
	return c.picked(pos, x, places)
}

// picked applies places to a tensor: slices at once, then lists and secret positions one by one.
func (c *checker) picked(pos diag.Pos, x operand, places []place) (operand, error) {
	in := x.shape()
	starts, ends, steps := make([]int, len(in)), append([]int{}, in...), make([]int, len(in))
	for i := range in {
		steps[i] = 1
	}
	keep := ir.Shape{}
	var later []int // axes of the result that lists and secrets pick from, last first
	var of []place
	for i, p := range places {
		if p.list == nil && p.secret == nil {
			starts[i], ends[i] = p.from, p.to
			if p.single {
				continue
			}
		} else {
			later, of = append([]int{len(keep)}, later...), append([]place{p}, of...)
		}
		keep = append(keep, ends[i]-starts[i])
	}
	keep = append(keep, in[len(places):]...)
	y, err := c.apply(pos, ir.OpSlice, ir.Attrs{ir.Dims("starts", starts), ir.Dims("ends", ends), ir.Dims("steps", steps)}, x)
	if err == nil {
		y, err = c.reshape(pos, y, keep)
	}
	for i, p := range of {
		if err != nil {
			return y, err
		}
		axis := later[i]
		s := y.shape()
		want := append(append(append(ir.Shape{}, s[:axis]...), p.shape...), s[axis+1:]...)
		if p.secret != nil {
			y, err = c.lookedUp(p.pos, y, axis, *p.secret)
		} else {
			y, err = c.gathered(p.pos, y, axis, p.list)
		}
		if err == nil {
			y, err = c.reshape(p.pos, y, want)
		}
	}
	return y, err
}

// lookedUp picks secret positions of an axis: comparisons with all of them, and a matrix product.
func (c *checker) lookedUp(pos diag.Pos, x operand, axis int, i operand) (operand, error) {
	s, n := x.shape(), i.shape().Size()
	perm, back := []int{axis}, []int{}
	for d := range s {
		if d != axis {
			perm = append(perm, d)
		}
	}
	for d := range s { // the positions come first, where the axis goes
		switch {
		case d < axis:
			back = append(back, d+1)
		case d == axis:
			back = append(back, 0)
		default:
			back = append(back, d)
		}
	}
	num, bits := x.num, x.elem() == ir.Bool
	i.num, x.num = numeral{}, numeral{}
	rest := ir.Shape{}
	for _, d := range perm[1:] {
		rest = append(rest, s[d])
	}
	steps := []func() error{
		func() (err error) {
			if bits {
				x, err = c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", "int")}, x)
			}
			return err
		},
		func() (err error) {
			x, err = c.apply(pos, ir.OpTranspose, ir.Attrs{ir.Dims("perm", perm)}, x)
			return err
		},
		func() (err error) { x, err = c.reshape(pos, x, ir.Shape{s[axis], rest.Size()}); return err },
		func() (err error) { i, err = c.reshape(pos, i, ir.Shape{n, 1}); return err },
		func() (err error) { i, err = c.apply(pos, ir.OpEq, nil, i, counted(s[axis])); return err },
		func() (err error) {
			i, err = c.apply(pos, ir.OpCast, ir.Attrs{ir.S("to", x.elem().String())}, i)
			return err
		},
		func() (err error) { x, err = c.apply(pos, ir.OpMatMul, nil, i, x); return err },
		func() (err error) { x, err = c.reshape(pos, x, append(ir.Shape{n}, rest...)); return err },
		func() (err error) {
			x, err = c.apply(pos, ir.OpTranspose, ir.Attrs{ir.Dims("perm", back)}, x)
			return err
		},
		func() (err error) {
			if bits {
				x, err = c.apply(pos, ir.OpEq, nil, x, whole(1))
			}
			return err
		},
	}
	for _, f := range steps {
		if err := f(); err != nil {
			return x, err
		}
	}
	x.num = num
	return x, nil
}

// counted returns 0, 1, ..., n-1.
func counted(n int) operand {
	t := ir.NewTensor(ir.Int, ir.Shape{n})
	for i := range t.I {
		t.I[i] = int64(i)
	}
	return operand{c: t}
}

// replace returns x with y in place of the elements that indices pick.
func (c *checker) replace(x operand, n *indices, y operand) (operand, error) {
	pos := c.at(n.Pos)
	in := x.shape()
	switch {
	case x.cols != nil || y.cols != nil || x.text != nil || y.text != nil:
		c.fail(pos, "elements of %s cannot be assigned", x.kind()).WithHint("make the columns anew: {a: ..., b: ...}")
		return x, errFailed
	case len(n.List) > len(in):
		c.fail(pos, "%d indices for %s", len(n.List), x.kind())
		return x, errFailed
	}
	places, single := make([]place, len(n.List)), true
	for i := range n.List {
		var err error
		if places[i], err = c.place(x, &n.List[i], i); err != nil {
			return x, err
		}
		single = single && places[i].single
	}
	x, y, err := c.alike(pos, x, y)
	if err != nil {
		return x, err
	}
	if single {
		return c.stored(pos, x, places, y)
	}
	if x, err = c.flattened(pos, x); err != nil {
		return x, err
	}
	if places[0].secret != nil && len(places) == 1 && len(places[0].shape) == 0 { // x[i] = y: a choice at each place
		hot, err := c.apply(pos, ir.OpEq, nil, *places[0].secret, counted(in[0]))
		if err == nil {
			hot, err = c.reshape(pos, hot, append(ir.Shape{in[0]}, make1(len(in)-1)...))
		}
		if err != nil {
			return x, err
		}
		z, err := c.apply(pos, ir.OpSelect, nil, hot, y, x)
		if err == nil && !z.shape().Equal(in) {
			c.fail(pos, "%s does not fit an element of %s", y.kind(), x.kind())
			err = errFailed
		}
		return z, err
	}
	at, err := c.picked(pos, operand{c: &ir.Tensor{Elem: ir.Int, Shape: in, I: counted(in.Size()).c.I}}, places)
	if err != nil {
		return x, err
	}
	if at.c == nil {
		c.fail(pos, "elements are assigned at secret positions by x[i] = y with one index")
		return x, errFailed
	}
	if y, err = c.expanded(pos, y, at.shape()); err != nil {
		return x, err
	}
	return c.scattered(pos, x, at.c.I, y)
}

func make1(n int) ir.Shape {
	s := make(ir.Shape, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

// alike gives a tensor and what is assigned to its elements one kind.
func (c *checker) alike(pos diag.Pos, x, y operand) (operand, operand, error) {
	if x.elem() == ir.Int && y.elem() == ir.Real && !x.num.decimal {
		z, err := c.flattened(pos, x)
		if err == nil {
			x, err = c.real(pos, z)
		}
		return x, y, err
	}
	pair := []operand{x, y}
	if x.arr != nil {
		pair[0] = x.arr.base
	}
	if err := c.adapt(pos, pair); err != nil {
		return x, y, err
	}
	num, err := c.numerals(pos, ir.OpSelect, pair)
	if err != nil {
		return x, y, err
	}
	y = pair[1]
	if num != x.num {
		if x, err = c.flattened(pos, x); err != nil {
			return x, y, err
		}
		pair = []operand{x, y}
		if _, err = c.numerals(pos, ir.OpSelect, pair); err != nil {
			return x, y, err
		}
		x, y = pair[0], pair[1]
		x.num, y.num = num, num
	}
	if y.num = num; x.elem() != y.elem() {
		c.fail(pos, "%s does not fit into %s", y.kind(), x.kind())
		return x, y, errFailed
	}
	return x, y, nil
}

// stored keeps y as one element of x, at single positions.
func (c *checker) stored(pos diag.Pos, x operand, places []place, y operand) (operand, error) {
	if x.arr == nil {
		x = operand{arr: &array{base: x, own: make([]*operand, x.shape()[0])}, num: x.num}
	}
	k := places[0].from
	if len(places) > 1 {
		e, err := c.element(pos, x, k)
		if err != nil {
			return x, err
		}
		if y, err = c.stored(pos, e, places[1:], y); err != nil {
			return x, err
		}
	} else {
		var err error
		if y, err = c.expanded(pos, y, x.shape()[1:]); err != nil {
			return x, err
		}
	}
	x.arr.own[k], x.arr.flat = &y, nil
	return x, nil
}

// expanded returns an operand of the given shape, by broadcasting.
func (c *checker) expanded(pos diag.Pos, x operand, s ir.Shape) (operand, error) {
	if x.shape().Equal(s) {
		return x, nil
	}
	if b, err := ir.BroadcastShape(x.shape(), s); err != nil || !b.Equal(s) {
		c.fail(pos, "%s does not fit the shape %v", x.kind(), s)
		return x, errFailed
	}
	return c.apply(pos, ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, x)
}

// scattered puts the elements of y to flat places of x. Of equal places the last counts.
func (c *checker) scattered(pos diag.Pos, x operand, at []int64, y operand) (operand, error) {
	s := x.shape()
	n := s.Size()
	from := counted(n).c.I
	for i, p := range at {
		from[p] = int64(n + i)
	}
	x, err := c.reshape(pos, x, ir.Shape{n})
	if err == nil {
		y, err = c.reshape(pos, y, ir.Shape{y.shape().Size()})
	}
	if err != nil {
		return x, err
	}
	num := x.num
	z, err := c.apply(pos, ir.OpConcat, ir.Attrs{ir.I("axis", 0)}, x, y)
	if err == nil {
		z, err = c.gathered(pos, z, 0, from)
	}
	if err == nil {
		z.num = num
		z, err = c.reshape(pos, z, s)
	}
	return z, err
}
