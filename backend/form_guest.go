package backend

import (
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// guest returns additive shares of what a guest gives, in the ring of v: it enters as shares in the smallest ring that holds its range, is extended, and
// moved to where the range begins.
func (p *former) guest(v *ir.Value) *ir.Value {
	least, k, err := ir.GuestWords(v)
	if err != nil {
		panic(refused{diag.Errorf(v.Pos, "input %q of %s %v", v.Attrs.Str("name"), v.Attrs.Str("owner"), err).
			WithHint("declare ends of its range that are whole multiples of 2^-%d (--range NAME=LO..HI), or whole numbers", v.Type.Scale)})
	}
	words := ir.Range{Hi: math.Ldexp(math.Ldexp(1, k)-1, -v.Type.Scale), Origin: ir.Proved}
	x := p.emit(v, ir.OpInput, v.Attrs.With(ir.I("bits", int64(k))).With(ir.S("form", "additive")))
	m := p.emit(v, ir.OpOpen, ir.Attrs{ir.I("drop", 0), bitsOf(k)}, x)
	z := p.emit(v, ir.OpExtend, ir.Attrs{bitsOf(v.Type.Bits)}, m, p.emit(v, ir.OpWraps, nil, m))
	x.Range, m.Range, z.Range = words, words, words
	moved := false
	for _, lo := range least.I {
		moved = moved || lo != 0
	}
	if !moved {
		return z
	}
	if least.Len() == 1 {
		least.Shape = ir.Shape{}
	}
	c := p.emit(v, ir.OpConst, ir.Attrs{ir.T("data", least), ir.I("scale", int64(v.Type.Scale))})
	return p.emit(v, ir.OpAdd, nil, z, c)
}

// A refused is a mistake of the user that shows when forms are assigned.
type refused struct{ err error }

// refusal is for defer: it turns the panic of a refused value into an error.
func refusal(err *error) {
	switch r := recover().(type) {
	case nil:
	case refused:
		*err = r.err
	default:
		panic(r)
	}
}
