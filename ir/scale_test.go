package ir

import "testing"

// TestScaleRules types every op on ring values of different fraction bits, and compares its type rule with what its row says of scales.
func TestScaleRules(t *testing.T) {
	tried := map[Op]bool{}
	for _, c := range evalCases {
		row := Rows[c.op]
		if row.Scale == ScaleOwn || len(c.forms) > 0 {
			continue
		}
		tried[c.op] = true
		for _, scales := range [][]int{{4, 4, 4}, {4, 9, 9}, {9, 4, 4}} {
			f := NewFunc("main")
			var args []*Value
			numbers := 0
			for i, a := range c.args {
				elem, at := a.Elem, Attrs{}
				if elem != Bool {
					elem, at = Real, Attrs{I("scale", int64(scales[min(numbers, 2)])), I("bits", 40)}
					numbers++
				}
				at = append(at, S("name", "x"+string(rune('a'+i))), S("owner", "p0"), S("elem", elem.String()), Dims("shape", a.Shape))
				args = append(args, emit(t, f, OpInput, at))
			}
			got, err := row.TypeOf(&Value{Op: c.op, Args: args, Attrs: c.attrs})
			want, fails := scales[0], false
			switch {
			case row.Scale == ScaleSummed:
				want += scales[1]
			case row.Scale == ScaleAligned:
				fails = numbers > 1 && scales[0] != scales[1]
			case numbers != 1:
				t.Errorf("%s keeps the scale of one argument, and has %d", c.op, numbers)
			}
			if numbers > 0 && (err != nil) != fails || err == nil && got.Elem == Ring && got.Scale != want {
				t.Errorf("%s of scales %v: got %v, %v", c.op, scales[:numbers], got, err)
			}
		}
	}
	for _, r := range Ops() {
		if r.Scale != ScaleOwn && !tried[r.Op] && r.Op != OpReveal {
			t.Errorf("%s was not tried", r.Op)
		}
	}
}

// TestOpensRules compares what rows say of opened bits with the least width in which every value of the argument's range, off by as many units as rounding
// gives, is told apart by sign, or is a number.
func TestOpensRules(t *testing.T) {
	f := NewFunc("main")
	in := func(name string, scale int, r Range) *Value {
		v := emit(t, f, OpInput, Attrs{S("name", name), S("owner", "p0"), S("elem", "real"), Is("shape", 1), I("scale", int64(scale))})
		v.Range = r
		return v
	}
	x, y := in("x", 4, Range{Lo: -8, Hi: 8, Origin: Proved}), in("y", 4, Range{Lo: 1, Hi: 100, Origin: Proved})
	for _, c := range []struct {
		op      Op
		attrs   Attrs
		args    []*Value
		parties int
		want    int
	}{
		{OpRelu, nil, []*Value{x}, 2, 9},                 // 128 + 2 < 2^8
		{OpRelu, Attrs{I("drop", 4)}, []*Value{x}, 2, 9}, // 128 + 32 < 2^8
		{OpLtz, Attrs{I("drop", 6)}, []*Value{x}, 2, 10}, // 128 + 128 is not
		{OpEqz, nil, []*Value{y}, 5, 12},                 // 1600 + 5 < 2^11
		{OpTrunc, Attrs{I("drop", 4)}, []*Value{x}, 2, 10},
		{OpMax, nil, []*Value{x, y}, 2, 12}, // 108*16 + 4 < 2^11
		{OpWave, Attrs{T("data", Reals(Shape{1, 3}, 1, 1, 0)), I("period", 3), I("frac", 10)}, []*Value{x}, 2, 7},
		{OpExpo, Attrs{F("rate", 0.5), F("offset", -1), I("reach", 3), I("frac", 10)}, []*Value{x}, 2, 8},
	} {
		v := emit(t, f, c.op, c.attrs, c.args...)
		if got := Rows[c.op].Opens(v, c.parties); got != c.want {
			t.Errorf("%s with %d parties opens %d bits, want %d", c.op, c.parties, got, c.want)
		}
	}
	for _, r := range Ops() { // checkRead reads attribute n of the same ops
		n := false
		for _, a := range r.Attrs {
			n = n || a.Key == "n"
		}
		if n != (r.Opens != nil) {
			t.Errorf("%s: an op states in n what its row says it opens", r.Op)
		}
	}
}
