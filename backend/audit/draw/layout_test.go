package draw

import (
	"fmt"
	"testing"
	"time"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// TestLayout checks that boxes never overlap, that arguments stand above, and that a graph of 500 values takes no time.
func TestLayout(t *testing.T) {
	f := ir.NewFunc("main")
	emit := func(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
		v, err := f.Emit(diag.Pos{}, op, attrs, args...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	state := uint32(7)
	next := func(n int) int {
		state = state*1664525 + 1013904223
		return int(state>>8) % n
	}
	for i := range 500 {
		if i < 8 || next(6) == 0 {
			emit(ir.OpInput, ir.Attrs{ir.S("name", fmt.Sprint("x", i)), ir.S("owner", "a"), ir.S("elem", "int"), ir.Is("shape", 2)})
			continue
		}
		pick := func() *ir.Value { return f.Body[max(0, i-1-next(min(i, 30)))] }
		emit(ir.OpAdd, nil, pick(), pick())
	}
	start := time.Now()
	d := layout(f)
	if took := time.Since(start); took > 3*time.Second {
		t.Errorf("layout took %v", took)
	}
	at := map[int]place{}
	for _, b := range d.Places {
		at[b.V.ID] = b
		if b.X < 0 || b.Y < 0 || b.X+BoxWidth > d.Width+1 || b.Y+BoxHeight > d.Height+1 {
			t.Errorf("box of %s lies outside the drawing", b.V)
		}
	}
	for i, a := range d.Places {
		for _, b := range d.Places[:i] {
			if a.Y == b.Y && a.X < b.X+BoxWidth && b.X < a.X+BoxWidth {
				t.Errorf("%s and %s overlap", a.V, b.V)
			}
		}
		for _, x := range a.V.Args {
			if at[x.ID].Y >= a.Y {
				t.Errorf("%s stands below %s", x, a.V)
			}
		}
	}
	if len(layout(ir.NewFunc("empty")).Places) != 0 {
		t.Error("an empty function has boxes")
	}
}
