package plan

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// table is a port of two columns of very different size.
func table() Port {
	return Port{Name: "x", Owner: "p1", Elem: "real", Scale: 31, Bits: 40, Shape: []int{3, 2}, Lo: -2, Hi: 5e5, Origin: "assumed",
		Columns: []Column{{Lo: 0, Hi: 5e5, Shift: 19}, {Lo: -2, Hi: 2, Shift: 1}}}
}

// TestPortWord compares words with exact arithmetic in big integers: x * 2^(scale - shift), rounded to the nearest.
func TestPortWord(t *testing.T) {
	p := table()
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 6 {
		lo, hi := p.Range(i)
		for range 200 {
			x := lo + (hi-lo)*r.Float64()
			w, err := p.Word(i, x)
			if err != nil {
				t.Fatal(err)
			}
			exact := new(big.Rat).SetFloat64(x)
			s := 31 - 19
			if i%2 == 1 {
				s = 31 - 1
			}
			exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Lsh(big.NewInt(1), uint(s))))
			off := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(int64(w)))
			if off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 {
				t.Fatalf("element %d, %v: word %d is off by %v", i, x, int64(w), off)
			}
			if err := p.CheckWord(i, w&(1<<40-1)); err != nil {
				t.Fatalf("element %d, %v: the server refuses what the client encodes: %v", i, x, err)
			}
		}
	}
}

// TestPortRefuses: what is outside the range of its column is refused by the encoder and by the server, and the message holds the element, the
// range and the flag, but not the value.
func TestPortRefuses(t *testing.T) {
	p := table()
	for _, c := range []struct {
		i int
		x float64
	}{{0, 500001.5}, {0, -1}, {3, 2.0625}, {5, math.Inf(-1)}, {4, 1e300}} {
		_, err := p.Word(c.i, c.x)
		var e *RangeError
		if !errors.As(err, &e) {
			t.Fatalf("element %d, %v: %v", c.i, c.x, err)
		}
		for _, want := range []string{"row", "column", "(assumed)"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q lacks %q", err, want)
			}
		}
		if strings.Contains(err.Error(), "500001") || strings.Contains(err.Error(), "2.06") {
			t.Errorf("%q tells the value", err)
		}
		if want := "--range x[:," + string(rune('0'+c.i%2)) + "]=LO..HI"; !strings.Contains(e.Hint(), want) || !strings.Contains(e.Hint(), "--assume") {
			t.Errorf("hint %q lacks %q or --assume", e.Hint(), want)
		}
	}
	for i, word := range map[int]uint64{0: 500000<<12 + 1, 1: 1<<31 + 1, 2: 1<<40 - 1, 3: 1 << 39} {
		if err := p.CheckWord(i, word); err == nil {
			t.Errorf("element %d: word %d is accepted", i, word)
		}
	}
	whole := Port{Name: "n", Elem: "int", Bits: 16, Shape: []int{1}, Lo: 0, Hi: 9, Origin: "proved"}
	for _, x := range []float64{-1, 10, 2.5} {
		if _, err := whole.Word(0, x); err == nil {
			t.Errorf("%v is accepted as an integer of 0..9", x)
		}
	}
	bit := Port{Name: "b", Elem: "bool", Bits: 1, Shape: []int{1}}
	if err := bit.CheckWord(0, 1); err != nil {
		t.Error(err)
	}
	if _, err := bit.Word(0, 2); err == nil {
		t.Error("2 is accepted as a bit")
	}
}

// TestColumnsOfPorts: columns that do not fit the port are refused before anything is encoded.
func TestColumnsOfPorts(t *testing.T) {
	good := table()
	if err := good.validateColumns(true); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(p *Port){
		"too few":         func(p *Port) { p.Columns = p.Columns[:1] },
		"of a scalar":     func(p *Port) { p.Shape = nil },
		"of integers":     func(p *Port) { p.Elem = "int" },
		"empty range":     func(p *Port) { p.Columns[0].Lo = 6e5 },
		"not a number":    func(p *Port) { p.Columns[1].Hi = math.NaN() },
		"infinite":        func(p *Port) { p.Hi, p.Columns[0].Hi = math.Inf(1), math.Inf(1) },
		"beyond the port": func(p *Port) { p.Columns[1].Lo = -3 },
		"scaled too far":  func(p *Port) { p.Columns[1].Shift = 65 },
		"scaled back":     func(p *Port) { p.Columns[1].Shift = math.MinInt },
	} {
		p := table()
		change(&p)
		if err := p.validateColumns(true); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := good.validateColumns(false); err == nil {
		t.Error("columns of a weight or an output are accepted")
	}
}

// TestPortsOfHostilePlans: what a plan says of quantisation and of categories fits its port, or is an error.
func TestPortsOfHostilePlans(t *testing.T) {
	whole := Port{Name: "x", Elem: "int", Shape: []int{2, 3}, Lo: -128, Hi: 127}
	with := func(f func(*Port)) Port {
		p := whole
		f(&p)
		return p
	}
	for _, c := range []struct {
		p     Port
		input bool
		ok    bool
	}{
		{with(func(p *Port) { p.Step = 0.5 }), true, true},
		{with(func(p *Port) { p.Step = 0.5 }), false, false},
		{with(func(p *Port) { p.Step = -1 }), true, false},
		{with(func(p *Port) { p.Step = math.NaN() }), true, false},
		{with(func(p *Port) { p.Step = math.Inf(1) }), true, false},
		{with(func(p *Port) { p.Step = 1e-60 }), true, false}, // 0 as float32
		{with(func(p *Port) { p.Step, p.Hi = 1, 1e300 }), true, false},
		{with(func(p *Port) { p.Step, p.Lo = 1, math.NaN() }), true, false},
		{with(func(p *Port) { p.Step, p.Elem = 1, "real" }), true, false},
		{with(func(p *Port) { p.Categories = []Category{{2, []int{1}}} }), true, true},
		{with(func(p *Port) { p.Categories = []Category{{3, []int{1}}} }), true, false},
		{with(func(p *Port) { p.Categories = []Category{{-1, []int{1}}} }), true, false},
		{with(func(p *Port) { p.Categories = []Category{{0, []int{1}}} }), false, false},
		{with(func(p *Port) { p.Categories, p.Elem = []Category{{0, []int{1}}}, "bool" }), true, false},
		{with(func(p *Port) { p.Categories = make([]Category, 4) }), true, false},
	} {
		if err := c.p.validateText([]Port{c.p}, c.input, !c.input); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c.p, err)
		}
	}
}
