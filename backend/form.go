package backend

import (
	"slices"

	"smpcc/ir"
)

// former rewrites a fixed-level function into share-level ops. For each value it makes, on demand and once, the forms
// that its consumers ask for: additive shares, a masked wire, XOR shares of a bit, an opened masked bit.
type former struct {
	f        *ir.Func
	at       *ir.Value
	parties  []string
	products map[*ir.Value]bool // leaves that some consumer needs masked
	add      map[*ir.Value]*ir.Value
	mask     map[maskKey]*ir.Value
	xor      map[*ir.Value]*ir.Value
	bit      map[*ir.Value]*ir.Value // openbit by share-level xor value
	guard
}

// A maskKey names a masked wire of a fixed-level value: with drop low bits dropped, bits wide.
type maskKey struct {
	v          *ir.Value
	drop, bits int
}

// AssignForms replaces the module's function by its share-level form: what is opened when, and which protocol serves each op.
func AssignForms(m *ir.Module) (err error) {
	defer ir.Recover(&err)
	defer refusal(&err)
	old := m.Main()
	p := &former{f: ir.NewFunc(old.Name), parties: m.Parties, products: maskedLeaves(old),
		add: map[*ir.Value]*ir.Value{}, mask: map[maskKey]*ir.Value{}, xor: map[*ir.Value]*ir.Value{}, bit: map[*ir.Value]*ir.Value{}, guard: newGuard()}
	p.f.Holds = old.Holds | ir.Shared
	p.f.Holds &^= ir.Folded
	for _, v := range old.Body {
		switch v.Op {
		case ir.OpInput: // inputs are the interface: they stay even if nothing uses them
			p.at = v
			switch {
			case v.Type.Elem == ir.Bool:
				p.xors(v)
			case p.products[v] && !ir.OfGuest(v):
				p.masked(v, 0, v.Type.Bits)
			default:
				p.additive(v)
			}
		case ir.OpReveal:
			p.at = v
			x := v.Args[0]
			var s *ir.Value
			if x.Type.Elem == ir.Bool {
				s = p.xors(x)
			} else {
				s = p.additive(x)
			}
			p.reveal(v, s)
		}
	}
	p.validities(m)
	m.Funcs[0] = p.f
	p.f.Renumber()
	return ir.Verify(m)
}

// maskedLeaves finds the inputs and weights that a secret product, a comparison or a selection needs as masked wires.
func maskedLeaves(f *ir.Func) map[*ir.Value]bool {
	wants := map[*ir.Value]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		row := ir.Rows[v.Op]
		for _, a := range v.Args {
			switch v.Op {
			case ir.OpMul, ir.OpMatMul, ir.OpConv:
				if !v.Args[0].Type.Vis.IsPublic() && !v.Args[1].Type.Vis.IsPublic() {
					wants[a] = true
				}
			case ir.OpRelu, ir.OpLtz, ir.OpEqz, ir.OpWave, ir.OpExpo:
				if v.Attrs.Int("drop", 0) == 0 {
					wants[a] = true
				}
			default:
				if row.View && wants[v] {
					wants[a] = true
				}
			}
		}
	}
	return wants
}

// emit appends a share-level value for fixed-level value v, whose range it carries.
func (p *former) emit(v *ir.Value, op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	b := ir.Builder{F: p.f, At: v}
	n := b.E(op, attrs, args...)
	n.Range = v.Range
	if n.Type.Elem == ir.Bool {
		n.Range = ir.Range{Lo: 0, Hi: 1, Origin: ir.Proved}
	}
	return n
}

func bitsOf(n int) ir.Attr { return ir.I("bits", int64(n)) }

// public returns the share-level copy of a public constant.
func (p *former) public(v *ir.Value) *ir.Value {
	if v.Op != ir.OpConst {
		ir.Bug("%s at %v is public but not folded", v.Op, v.Pos)
	}
	if s := p.add[v]; s != nil {
		return s
	}
	s := p.emit(v, v.Op, v.Attrs)
	p.add[v] = s
	return s
}

// additive returns additive shares of v in a ring of at least v's width.
func (p *former) additive(v *ir.Value) *ir.Value {
	if v.Type.Vis.IsPublic() {
		return p.public(v)
	}
	if s := p.add[v]; s != nil {
		return s
	}
	s := p.makeAdditive(v)
	if s.Type.Form != ir.Additive && s.Type.Form != ir.None {
		ir.Bug("additive form of %v is %v", v.Type, s.Type)
	}
	p.add[v] = s
	return s
}

func (p *former) makeAdditive(v *ir.Value) *ir.Value {
	bits := v.Type.Bits
	switch v.Op {
	case ir.OpInput, ir.OpWeight:
		if ir.OfGuest(v) {
			return p.guest(v)
		}
		if p.products[v] {
			return p.emit(v, ir.OpUnmask, ir.Attrs{bitsOf(bits)}, p.masked(v, 0, bits))
		}
		return p.emit(v, v.Op, v.Attrs.With(ir.S("form", "additive")))
	case ir.OpTrunc:
		m := p.trunc(v)
		if bits <= m.Type.Bits {
			return p.emit(v, ir.OpUnmask, ir.Attrs{bitsOf(bits)}, m)
		}
		return p.emit(v, ir.OpFinish, ir.Attrs{bitsOf(bits)}, m)
	case ir.OpMul, ir.OpMatMul, ir.OpConv:
		x, y := v.Args[0], v.Args[1]
		if x.Type.Vis.IsPublic() || y.Type.Vis.IsPublic() {
			return p.emit(v, v.Op, v.Attrs, p.additive(x), p.additive(y))
		}
		if nx, ny := v.Attrs.Int("nx", 0), v.Attrs.Int("ny", 0); nx+ny > 0 {
			mx, my := p.factor(v, x, nx, "cx"), p.factor(v, y, ny, "cy")
			if mx.Type.Bits < bits || my.Type.Bits < bits { // a factor may have a wider wire already, as a view of an input has
				return p.emit(v, ir.OpWireMul, ir.Attrs{bitsOf(bits)}, mx, my)
			}
		}
		mx, my := p.masked(x, 0, x.Type.Bits), p.masked(y, 0, y.Type.Bits)
		p.watch(v, mx, "cx", mx.Type.Bits)
		p.watch(v, my, "cy", my.Type.Bits)
		return p.emit(v, v.Op, withoutChecks(v.Attrs), mx, my)
	case ir.OpWave, ir.OpExpo:
		d, n := v.Attrs.Int("drop", 0), v.Attrs.Int("n", 64)
		attrs := slices.DeleteFunc(slices.Clone(v.Attrs), func(a ir.Attr) bool { return slices.Contains([]string{"drop", "n", "guard", "check"}, a.Key) })
		return p.emit(v, v.Op, attrs.With(bitsOf(bits)), p.checked(v, v.Args[0], d, n-d))
	case ir.OpRelu:
		d, n := v.Attrs.Int("drop", 0), v.Attrs.Int("n", 64)
		m := p.checked(v, v.Args[0], d, n-d)
		pos := p.emit(v, ir.OpNot, nil, p.emit(v, ir.OpLtz, nil, m))
		return p.emit(v, ir.OpReluSel, ir.Attrs{bitsOf(bits)}, m, p.opened(pos))
	case ir.OpMax: // y + relu(x - y)
		x, y, n := v.Args[0], v.Args[1], v.Attrs.Int("n", 64)
		var m *ir.Value
		k := max(n, checkWidth(v, "check"))
		if p.cheap(x, k) && p.cheap(y, k) {
			m = p.emit(v, ir.OpSub, nil, p.masked(x, 0, k), p.masked(y, 0, k))
		} else {
			d := p.emit(v, ir.OpSub, nil, p.additive(x), p.additive(y))
			m = p.emit(v, ir.OpOpen, ir.Attrs{ir.I("drop", 0), bitsOf(min(k, d.Type.Bits))}, d)
		}
		m = p.watch(v, m, "check", n)
		pos := p.emit(v, ir.OpNot, nil, p.emit(v, ir.OpLtz, nil, m))
		r := p.emit(v, ir.OpReluSel, ir.Attrs{bitsOf(bits)}, m, p.opened(pos))
		return p.emit(v, ir.OpAdd, nil, r, p.additive(y))
	case ir.OpSelect: // y + c * (x - y)
		c, x, y := v.Args[0], v.Args[1], v.Args[2]
		if c.Type.Vis.IsPublic() {
			ir.Bug("select at %v has a public condition that was not folded", v.Pos)
		}
		d := p.difference(v, p.additive(x), p.additive(y))
		delta := p.opened(p.xors(c))
		var s *ir.Value
		if d.Type.Form == ir.None {
			s = p.emit(v, ir.OpMul, nil, d, p.emit(v, ir.OpB2A, ir.Attrs{bitsOf(bits)}, delta))
		} else {
			m := p.emit(v, ir.OpOpen, ir.Attrs{ir.I("drop", 0), bitsOf(bits)}, d)
			s = p.emit(v, ir.OpMulBit, ir.Attrs{bitsOf(bits)}, m, delta)
		}
		return p.emit(v, ir.OpAdd, nil, s, p.additive(y))
	case ir.OpCast:
		return p.emit(v, ir.OpB2A, ir.Attrs{bitsOf(bits)}, p.opened(p.xors(v.Args[0])))
	}
	row := ir.Rows[v.Op]
	if row.View && len(v.Args) == 1 && p.add[v.Args[0]] == nil { // view the wire, then share only what is looked at
		if m := p.wire(v.Args[0]); m != nil {
			if w := p.emit(v, v.Op, v.Attrs, m); bits <= w.Type.Bits {
				return p.emit(v, ir.OpUnmask, ir.Attrs{bitsOf(bits)}, w)
			} else {
				return p.emit(v, ir.OpFinish, ir.Attrs{bitsOf(bits)}, w)
			}
		}
	}
	if row.Linear {
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = p.additive(a)
		}
		return p.emit(v, v.Op, v.Attrs, args...)
	}
	ir.Bug("no protocol for op %s at %v", v.Op, v.Pos)
	return nil
}

// factor returns a masked wire of x in v's shape: n bits wide, or as wide as x for n = 0.
func (p *former) factor(v, x *ir.Value, n int, check string) *ir.Value {
	if n == 0 {
		n = x.Type.Bits
	}
	m := p.watch(v, p.masked(x, 0, max(n, checkWidth(v, check))), check, n)
	if m.Type.Shape.Equal(v.Type.Shape) {
		return m
	}
	return p.emit(v, ir.OpExpand, ir.Attrs{ir.Dims("shape", v.Type.Shape)}, m)
}

// difference returns x - y, folded if both are public.
func (p *former) difference(v, x, y *ir.Value) *ir.Value {
	d := p.emit(v, ir.OpSub, nil, x, y)
	if !d.Type.Vis.IsPublic() {
		return d
	}
	t, err := ir.Rows[ir.OpSub].Eval(d, []*ir.Tensor{x.Attrs.Tensor("data"), y.Attrs.Tensor("data")})
	if err != nil {
		ir.Bug("difference of constants: %v", err)
	}
	p.f.Body = p.f.Body[:len(p.f.Body)-1]
	return p.emit(v, ir.OpConst, ir.Attrs{ir.T("data", t), ir.I("scale", int64(d.Type.Scale))})
}

// trunc returns the masked wire that opening a truncation's argument yields.
func (p *former) trunc(v *ir.Value) *ir.Value {
	d, n := v.Attrs.Int("drop", 0), v.Attrs.Int("n", 64)
	k := maskKey{v, 0, n - d}
	if m := p.mask[k]; m != nil {
		return m
	}
	m := p.emit(v, ir.OpOpen, ir.Attrs{ir.I("drop", int64(d)), bitsOf(max(n-d, checkWidth(v, "check")))}, p.additive(v.Args[0]))
	m = p.watch(v, m, "check", n-d)
	p.mask[k] = m
	return m
}

// wire returns the masked wire of a truncation, seen through views, or nil for other values.
func (p *former) wire(v *ir.Value) *ir.Value {
	if v.Op == ir.OpTrunc {
		return p.trunc(v)
	}
	if ir.Rows[v.Op].View && len(v.Args) == 1 {
		k := maskKey{v, 0, -1}
		if m := p.mask[k]; m != nil {
			return m
		}
		if m := p.wire(v.Args[0]); m != nil {
			w := p.emit(v, v.Op, v.Attrs, m)
			p.mask[k] = w
			return w
		}
	}
	return nil
}

// cheap reports whether a masked wire of at least n bits is had without an opening of its own.
func (p *former) cheap(v *ir.Value, n int) bool {
	for ir.Rows[v.Op].View && len(v.Args) == 1 {
		v = v.Args[0]
	}
	return v.Op == ir.OpTrunc && v.Attrs.Int("n", 64)-v.Attrs.Int("drop", 0) >= n
}

// masked returns a masked wire of v / 2^drop of at least the given width.
func (p *former) masked(v *ir.Value, drop, bits int) *ir.Value {
	if v.Type.Vis.IsPublic() {
		ir.Bug("masked form of a public value at %v", v.Pos)
	}
	k := maskKey{v, drop, bits}
	if m := p.mask[k]; m != nil {
		return m
	}
	var m *ir.Value
	leaf := (v.Op == ir.OpInput || v.Op == ir.OpWeight) && !ir.OfGuest(v)
	switch {
	case drop == 0 && leaf && p.products[v]:
		k.bits = v.Type.Bits
		if m = p.mask[k]; m == nil {
			m = p.emit(v, v.Op, v.Attrs.With(ir.S("form", "masked")))
		}
	case drop == 0 && p.cheap(v, bits):
		return p.wire(v)
	case drop == 0 && ir.Rows[v.Op].View && len(v.Args) == 1 && p.spread(v):
		m = p.emit(v, v.Op, v.Attrs, p.masked(v.Args[0], 0, bits))
	case drop == 0 && (v.Op == ir.OpAdd || v.Op == ir.OpSub) && v.Args[1].Type.Vis.IsPublic() && p.spread(v.Args[0]):
		m = p.emit(v, v.Op, v.Attrs, p.masked(v.Args[0], 0, bits), p.public(v.Args[1]))
	default:
		m = p.emit(v, ir.OpOpen, ir.Attrs{ir.I("drop", int64(drop)), bitsOf(bits)}, p.additive(v))
	}
	p.mask[k] = m
	return m
}

// spread reports whether opening the base of a chain of views costs no more than opening v itself.
func (p *former) spread(v *ir.Value) bool {
	size := v.Type.Shape.Size()
	for ir.Rows[v.Op].View && len(v.Args) == 1 {
		v = v.Args[0]
	}
	leaf := (v.Op == ir.OpInput || v.Op == ir.OpWeight) && !ir.OfGuest(v)
	return leaf && p.products[v] || !leaf && v.Type.Shape.Size() <= size || v.Op == ir.OpTrunc
}

// xors returns XOR shares of a bit.
func (p *former) xors(v *ir.Value) *ir.Value {
	if v.Type.Vis.IsPublic() {
		return p.public(v)
	}
	if s := p.xor[v]; s != nil {
		return s
	}
	var s *ir.Value
	switch v.Op {
	case ir.OpInput, ir.OpWeight:
		s = p.emit(v, v.Op, v.Attrs.With(ir.S("form", "xor")))
	case ir.OpLtz, ir.OpEqz:
		d, n := v.Attrs.Int("drop", 0), v.Attrs.Int("n", 64)
		s = p.emit(v, v.Op, nil, p.checked(v, v.Args[0], d, n-d))
	case ir.OpAnd:
		x, y := v.Args[0], v.Args[1]
		if x.Type.Vis.IsPublic() || y.Type.Vis.IsPublic() {
			s = p.emit(v, ir.OpAnd, nil, p.xors(x), p.xors(y))
		} else {
			s = p.emit(v, ir.OpAnd, nil, p.opened(p.xors(x)), p.opened(p.xors(y)))
		}
	default:
		if !ir.Rows[v.Op].Linear {
			ir.Bug("no protocol for op %s on bits at %v", v.Op, v.Pos)
		}
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			args[i] = p.xors(a)
		}
		s = p.emit(v, v.Op, v.Attrs, args...)
	}
	p.xor[v] = s
	return s
}

// opened returns the masked bit of a share-level XOR value: one opening whatever the number of consumers.
func (p *former) opened(x *ir.Value) *ir.Value {
	if d := p.bit[x]; d != nil {
		return d
	}
	if x.Type.Form != ir.Xor {
		ir.Bug("openbit of %v", x.Type)
	}
	d := p.emit(x, ir.OpOpenBit, nil, x)
	p.bit[x] = d
	return d
}
