package onnx

import (
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Missing values. Fixed point has no NaN. Where a model says what becomes of elements that are NaN, its input gets a second one of booleans beside
// it, NAME.missing, which the owner's client fills: true where an element is NaN, and there the input itself holds a number that does not count.
// Elements that some node reads as they are may not be missing.

// missing returns booleans that say which elements of v are missing; nil if none ever is. They follow from those of inputs through nodes that move
// elements or compute each of its own.
func (c *calc) missing(v *ir.Value) *ir.Value {
	if c.err != nil {
		return nil
	}
	r := c.n.r
	if m, ok := r.masks[v]; ok {
		return m
	}
	m := c.mask(v)
	if c.err == nil {
		r.masks[v] = m
	}
	return m
}

func (c *calc) mask(v *ir.Value) *ir.Value {
	if v.Type.Elem != ir.Real {
		return nil
	}
	switch v.Op {
	case ir.OpInput:
		return c.absent(v)
	case ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpGather, ir.OpExpand:
		if m := c.missing(v.Args[0]); m != nil {
			return c.e(v.Op, v.Attrs, m)
		}
	case ir.OpFormat, ir.OpNeg, ir.OpAbs:
		return c.missing(v.Args[0])
	case ir.OpConcat:
		parts := make([]*ir.Value, len(v.Args))
		some := false
		for i, a := range v.Args {
			parts[i] = c.missing(a)
			some = some || parts[i] != nil
		}
		for i, a := range v.Args {
			if some && parts[i] == nil {
				parts[i] = c.expand(c.data(c.table(ir.Bool), false), a.Type.Shape)
			}
		}
		if some {
			return c.e(ir.OpConcat, v.Attrs, parts...)
		}
	case ir.OpAdd, ir.OpSub, ir.OpMul:
		var m *ir.Value
		for _, a := range v.Args {
			switch n := c.missing(a); {
			case n == nil:
			case m == nil:
				m = n
			default:
				m = c.e(ir.OpOr, nil, m, n)
			}
		}
		if m != nil {
			return c.expand(m, v.Type.Shape)
		}
	}
	return nil
}

// absent declares the input of booleans beside an input.
func (c *calc) absent(x *ir.Value) *ir.Value {
	r, name := c.n.r, x.Attrs.Str("name")+".missing"
	if r.defined(name) {
		return c.got(nil, diag.Errorf(c.n.at, "the missing values of input %q need an input %q, and the model has something of that name", x.Attrs.Str("name"), short(name)).WithHint("rename it"))
	}
	m := c.got(r.f.Emit(x.Pos, ir.OpInput, ir.Attrs{ir.S("name", name), ir.S("owner", x.Attrs.Str("owner")), ir.S("elem", ir.Bool.String()), ir.Dims("shape", x.Type.Shape)}.Guest(ir.OfGuest(x))))
	if c.err == nil {
		r.added = append(r.added, name)
	}
	return m
}

// boundMissing says of each input with missing values which columns always have theirs: those of which some element is read for what it is.
func (r *reader) boundMissing() {
	if r.errs.Err() != nil {
		return
	}
	for _, x := range r.f.Body {
		m := r.masks[x]
		if x.Op != ir.OpInput || m == nil {
			continue
		}
		read, err := r.read(x)
		if err != nil {
			r.errs.Add(x.Pos, err)
			return
		}
		k := 1
		if n := len(x.Type.Shape); n > 0 {
			k = max(1, x.Type.Shape[n-1])
		}
		var given []int
		for c := range k {
			for i := c; i < len(read); i += k {
				if read[i] {
					given = append(given, c)
					break
				}
			}
		}
		x.Attrs = x.Attrs.With(ir.S("missing", m.Attrs.Str("name")))
		if given != nil {
			x.Attrs = x.Attrs.With(ir.Dims("given", given))
		}
	}
}

// read reports which elements of an input are read as they are. Each value on the way from it holds, instead of its elements, the places of the
// input's that they come from, or -1.
func (r *reader) read(x *ir.Value) ([]bool, error) {
	size := x.Type.Shape.Size()
	out := make([]bool, size)
	from := map[*ir.Value]*ir.Tensor{x: ir.NewTensor(ir.Int, x.Type.Shape)}
	for i := range size {
		from[x].I[i] = int64(i)
	}
	taken := func(t *ir.Tensor) {
		for _, p := range t.I {
			if p >= 0 {
				out[p] = true
			}
		}
	}
	for _, v := range r.f.Body {
		if !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return from[a] != nil }) {
			continue
		}
		if err := r.left.take(2*volume(v.Type.Shape), 2*volume(v.Type.Shape)); err != nil {
			return nil, err
		}
		switch v.Op {
		case ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpGather, ir.OpExpand, ir.OpConcat:
			t, err := placesOf(v, from)
			if err != nil {
				return nil, err
			}
			from[v] = t
		case ir.OpFormat, ir.OpNeg, ir.OpAbs, ir.OpAdd, ir.OpSub, ir.OpMul:
			for _, a := range v.Args {
				switch t := from[a]; {
				case t == nil:
				case a.Type.Shape.Equal(v.Type.Shape) && from[v] == nil:
					from[v] = t
				default:
					taken(t)
				}
			}
		case ir.OpSelect:
			for i, a := range v.Args {
				if t := from[a]; t != nil && !(i == 2 && r.masks[a] == v.Args[0] && a.Type.Shape.Equal(v.Type.Shape)) {
					taken(t)
				}
			}
		default:
			if r.settled[v] {
				continue
			}
			for _, a := range v.Args {
				if t := from[a]; t != nil {
					taken(t)
				}
			}
		}
	}
	return out, nil
}

// placesOf moves places as v moves elements.
func placesOf(v *ir.Value, from map[*ir.Value]*ir.Tensor) (*ir.Tensor, error) {
	u := &ir.Value{Op: v.Op, Attrs: v.Attrs}
	var args []*ir.Tensor
	for _, a := range v.Args {
		t := from[a]
		if t == nil {
			t = ir.NewTensor(ir.Int, a.Type.Shape)
			for i := range t.I {
				t.I[i] = -1
			}
		}
		args = append(args, t)
		u.Args = append(u.Args, &ir.Value{Op: ir.OpConst, Type: ir.Type{Elem: ir.Int, Shape: a.Type.Shape}})
	}
	row := ir.Rows[v.Op]
	var err error
	if u.Type, err = row.TypeOf(u); err != nil {
		return nil, err
	}
	return row.Eval(u, args)
}
