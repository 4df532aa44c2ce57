package backend

import (
	"slices"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A guard collects the wires whose range is checked, and the bits that say whether all that an output is computed from were in theirs.
type guard struct {
	watched map[*ir.Value]int    // spans, by the wire that is looked at
	lows    map[lowKey]*ir.Value // lowest bits of wires
	valid   []validity
}

// A lowKey names the lowest bits of a wire.
type lowKey struct {
	wire *ir.Value
	bits int
}

// A validity is the bit that says whether an output is there.
type validity struct {
	name  string
	rests []*ir.Value // wires that are checked
	of    *ir.Value   // the output
	bit   *ir.Value
}

func newGuard() guard {
	return guard{watched: map[*ir.Value]int{}, lows: map[lowKey]*ir.Value{}}
}

// checkWidth returns the bits in which an argument of v is opened for the check that attribute key asks for, 0 if it asks for none.
func checkWidth(v *ir.Value, key string) int {
	if c := v.Attrs.Int(key, 0); c > 0 {
		return c + v.Attrs.Int("guard", 0)
	}
	return 0
}

// withoutChecks leaves out the attributes that ask for checks.
func withoutChecks(attrs ir.Attrs) ir.Attrs {
	return slices.DeleteFunc(slices.Clone(attrs), func(a ir.Attr) bool { return slices.Contains([]string{"guard", "check", "cx", "cy"}, a.Key) })
}

// low returns the lowest bits of a wire.
func (p *former) low(v, wire *ir.Value, bits int) *ir.Value {
	if bits >= wire.Type.Bits {
		return wire
	}
	k := lowKey{wire, bits}
	if p.lows[k] == nil {
		p.lows[k] = p.emit(v, ir.OpLow, ir.Attrs{bitsOf(bits)}, wire)
	}
	return p.lows[k]
}

// watch notes that a wire is to be checked if attribute key of v asks for it, two bits at a time, and returns its lowest n bits.
func (p *former) watch(v, wire *ir.Value, key string, n int) *ir.Value {
	if c := v.Attrs.Int(key, 0); c > 0 {
		for g := v.Attrs.Int("guard", 0); g > 0; g -= 2 {
			span := plan.ValidSpan
			if g == 1 {
				span = plan.ValidTight
			}
			if at := p.low(v, wire, c+g); p.watched[at] == 0 {
				p.watched[at] = span
			}
		}
	}
	return p.low(v, wire, n)
}

// checked returns a masked wire of x / 2^drop of at least the given width, as op v reads it, checked if v asks for that.
func (p *former) checked(v, x *ir.Value, drop, bits int) *ir.Value {
	k := checkWidth(v, "check")
	if k == 0 {
		return p.masked(x, drop, bits)
	}
	return p.watch(v, p.masked(x, drop, max(bits, k)), "check", bits)
}

// rests lists the checked wires that a share-level value is computed from, in their order.
func (p *former) rests(v *ir.Value) (out []*ir.Value) {
	wires := map[*ir.Value]bool{} // a wire is read through its lowest bits
	for a := range v.Behind() {
		wires[a] = true
		if a.Op == ir.OpLow {
			wires[a.Args[0]] = true
		}
	}
	for _, w := range p.f.Body {
		if p.watched[w] > 0 && (wires[w] || w.Op == ir.OpLow && wires[w.Args[0]]) {
			out = append(out, w)
		}
	}
	return out
}

// reveal reveals s, times the bit that says whether all values that it is computed from were in their range.
func (p *former) reveal(v, s *ir.Value) {
	attrs := withoutChecks(v.Attrs)
	if s.Type.Vis.IsPublic() {
		p.emit(v, ir.OpReveal, attrs, s)
		return
	}
	if c := checkWidth(v, "check"); c > 0 && s.Type.Form == ir.Additive {
		m := p.watch(v, p.emit(v, ir.OpOpen, ir.Attrs{ir.I("drop", 0), bitsOf(max(c, min(s.Type.Bits, 64)))}, s), "check", s.Type.Bits)
		s = p.emit(v, ir.OpUnmask, ir.Attrs{bitsOf(m.Type.Bits)}, m)
	}
	rests := p.rests(s)
	if len(rests) == 0 || v.Attrs.Has("unchecked") {
		p.emit(v, ir.OpReveal, attrs, s)
		return
	}
	ok := p.validity(v, rests)
	delta := p.opened(ok.bit)
	switch {
	case s.Type.Form == ir.Xor:
		s = p.emit(v, ir.OpAnd, nil, p.opened(s), delta)
	default:
		var m *ir.Value
		switch s.Op {
		case ir.OpUnmask, ir.OpFinish: // it is opened already
			m = s.Args[0]
		default:
			m = p.emit(v, ir.OpOpen, ir.Attrs{ir.I("drop", 0), bitsOf(s.Type.Bits)}, s)
		}
		s = p.emit(v, ir.OpMulBit, ir.Attrs{bitsOf(min(s.Type.Bits, m.Type.Bits))}, m, delta)
	}
	p.emit(v, ir.OpReveal, attrs.With(ir.S("valid", ok.name)), s)
}

// validity returns the bit for an output that rests on the given wires: one for all outputs that rest on the same.
func (p *former) validity(v *ir.Value, rests []*ir.Value) validity {
	x := validity{name: v.Attrs.Str("name") + ir.ValiditySuffix, rests: rests, of: v}
	for _, y := range p.valid {
		if slices.Equal(y.rests, rests) {
			x.bit = y.bit
		}
	}
	if x.bit == nil {
		spans := make([]int64, len(rests))
		for i, w := range rests {
			spans[i] = int64(p.watched[w])
		}
		x.bit = p.emit(v, ir.OpIntact, ir.Attrs{ir.Is("spans", spans...)}, rests...)
	}
	p.valid = append(p.valid, x)
	return x
}

// validities reveals the bits, each to the receivers of its output and with its permissions.
func (p *former) validities(m *ir.Module) {
	for _, x := range p.valid {
		n := 0
		for _, w := range x.rests {
			n += size(w)
		}
		p.emit(x.of, ir.OpReveal, ir.Attrs{ir.S("name", x.name), ir.Ss("to", x.of.Attrs.Strings("to")...), ir.I("checked", int64(n))}, x.bit)
		for _, a := range slices.Clone(m.Allowed) {
			if a.Output == x.of.Attrs.Str("name") {
				a.Output = x.name
				m.Allowed = append(m.Allowed, a)
			}
		}
	}
}
