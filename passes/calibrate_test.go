package passes

import (
	"math"
	"math/rand/v2"
	"testing"

	"smpcc/ir"
)

func TestMarginFallsWithSamples(t *testing.T) {
	for n, want := range map[int]float64{1: 4, 2: 3, 3: 3, 4: 2, 8: 2, 31: 2, 32: 1.5, 1000: 1.5} {
		if got := (&Options{}).marginFor(n); got != want {
			t.Errorf("%d samples: margin %v, want %v", n, got, want)
		}
	}
	if got := (&Options{Margin: 1.25}).marginFor(1); got != 1.25 {
		t.Errorf("margin %v, 1.25 is asked for", got)
	}
}

// tableOf makes a module with one input of the shape, and samples of it.
func tableOf(t *testing.T, shape ir.Shape, attrs ir.Attrs, samples ...[]float64) (*ir.Module, *Options) {
	t.Helper()
	f := ir.NewFunc("main")
	in := append(ir.Attrs{ir.S("name", "x"), ir.S("owner", "p1"), ir.S("elem", "real"), ir.Dims("shape", shape)}, attrs...)
	b := ir.Builder{F: f, At: &ir.Value{}}
	x := b.E(ir.OpInput, in)
	k := shape[len(shape)-1]
	data := make([]float64, k)
	for i := range data {
		data[i] = 1
	}
	w := b.E(ir.OpWeight, ir.Attrs{ir.S("name", "w"), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Dims("shape", ir.Shape{k, 1})})
	b.E(ir.OpReveal, ir.Attrs{ir.S("name", "y"), ir.Ss("to", "p1")}, b.E(ir.OpMatMul, nil, x, w))
	m := &ir.Module{Name: "t", Parties: []string{"p0", "p1"}, Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{"w": ir.Reals(ir.Shape{k, 1}, data...)}}
	opt := &Options{FracBits: 16}
	for _, s := range samples {
		opt.Samples = append(opt.Samples, map[string]*ir.Tensor{"x": ir.Reals(shape, s...)})
	}
	return m, opt
}

// TestDeclaredRangeHolds: samples do not narrow what is declared.
func TestDeclaredRangeHolds(t *testing.T) {
	m, opt := tableOf(t, ir.Shape{1, 2}, ir.Attrs{ir.F("lo", -8), ir.F("hi", 8)}, []float64{0.5, 0.25})
	if err := rangePass(m, opt); err != nil {
		t.Fatal(err)
	}
	if r := m.Main().Inputs()[0].Range; r.Lo != -8 || r.Hi != 8 || r.Origin != ir.Proved {
		t.Errorf("range %v, -8..8 is declared", r)
	}
}

// TestScatterWidensInputs: the largest of the samples' magnitudes over their median is a factor besides the margin.
func TestScatterWidensInputs(t *testing.T) {
	m, opt := tableOf(t, ir.Shape{1, 1}, nil, []float64{1}, []float64{1}, []float64{2}, []float64{-10})
	if err := rangePass(m, opt); err != nil {
		t.Fatal(err)
	}
	// margin 2, median 2, so -10 * 2 * 5 = -100, and 2 * 2 * 5 = 20: published as powers of two
	if r := m.Main().Inputs()[0].Range; r.Lo != -128 || r.Hi != 32 || r.Origin != ir.Calibrated {
		t.Errorf("range %v, want -128..32", r)
	}
}

// TestColumnsFromSamples: from 128 rows on each column has its range, and a new row leaves it seldom; with fewer all have one.
func TestColumnsFromSamples(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	row := func() []float64 {
		return []float64{math.Exp(10 + 0.8*r.NormFloat64()), r.NormFloat64(), 1e-3 * r.Float64()}
	}
	rows := make([][]float64, tableRows)
	for i := range rows {
		rows[i] = row()
	}
	m, opt := tableOf(t, ir.Shape{1, 3}, nil, rows...)
	if err := columns(m, opt); err != nil {
		t.Fatal(err)
	}
	list := inputColumns(m.Main().Inputs()[0], false)
	if len(list) != 3 || list[0].from != ir.Calibrated || list[2].hi > 1 || list[0].hi < 1e5 {
		t.Fatalf("columns %v", list)
	}
	shift := m.Main().Inputs()[0].Attrs.Ints("shift")
	for k, c := range list {
		if most := max(-c.lo, c.hi); math.Ldexp(1, shift[k]) < most || math.Ldexp(1, shift[k]-1) >= most {
			t.Errorf("column %d to %g is scaled by 2^-%d", k, most, shift[k])
		}
	}
	const fresh = 100_000
	left := 0
	for range fresh {
		for k, x := range row() {
			if x < list[k].lo || x > list[k].hi {
				left++
			}
		}
	}
	if left > fresh/10_000 {
		t.Errorf("%d of %d new rows leave their range", left, fresh)
	}
	few, opt := tableOf(t, ir.Shape{1, 3}, nil, rows[:tableRows-1]...)
	if err := columns(few, opt); err != nil {
		t.Fatal(err)
	}
	if list := inputColumns(few.Main().Inputs()[0], false); list != nil {
		t.Errorf("%d rows give columns %v", tableRows-1, list)
	}
}

// TestTails names the input, and the column, where few samples meet a heavy tail.
func TestTails(t *testing.T) {
	for _, c := range []struct {
		name    string
		shape   ir.Shape
		samples [][]float64
		column  int
		ratio   float64 // 0: nothing to warn of
	}{
		{"one sample of columns of different size", ir.Shape{1, 3}, [][]float64{{52000, 1000, 1000}}, 0, 52},
		{"rows of which one is far out", ir.Shape{4, 2}, [][]float64{{1, 2, 1, 2, 1, 2, 1, 90}}, 1, 45},
		{"a picture", ir.Shape{1, 4}, [][]float64{{0.1, 0.9, 0.5, 1}}, 0, 0},
		{"a series with an outlier", ir.Shape{1, 1, 5}, [][]float64{{1, 1, 1, 1, -64}}, -1, 64},
	} {
		m, opt := tableOf(t, c.shape, nil, c.samples...)
		if err := rangePass(m, opt); err != nil {
			t.Fatal(err)
		}
		got := Tails(m.Main(), opt)
		if c.ratio == 0 {
			if len(got) != 0 {
				t.Errorf("%s: warns of %v", c.name, got)
			}
			continue
		}
		if len(got) != 1 || got[0].Column != c.column || got[0].Ratio != c.ratio || got[0].Name != "x" {
			t.Errorf("%s: %v, want column %d, ratio %v", c.name, got, c.column, c.ratio)
		}
	}
	m, opt := tableOf(t, ir.Shape{1, 3}, ir.Attrs{ir.F("lo", 0), ir.F("hi", 1e5)}, []float64{52000, 1000, 1000})
	if err := rangePass(m, opt); err != nil {
		t.Fatal(err)
	}
	if got := Tails(m.Main(), opt); len(got) != 0 {
		t.Errorf("a declared input is warned of: %v", got)
	}
}

// TestOneSignIsNoSign: a value that one sample shows above zero may be as far below it; one that cannot be below zero stays above.
func TestOneSignIsNoSign(t *testing.T) {
	m, opt := tableOf(t, ir.Shape{1, 3}, ir.Attrs{ir.F("lo", -100), ir.F("hi", 100)}, []float64{1, 2, 4})
	if err := rangePass(m, opt); err != nil {
		t.Fatal(err)
	}
	y := m.Main().Reveals()[0].Args[0]
	if y.Range.Lo != -32 || y.Range.Hi != 32 || y.Range.Origin != ir.Calibrated {
		t.Errorf("a sum of 7 in one sample has the range %v, want -32..32", y.Range)
	}
	m, opt = tableOf(t, ir.Shape{1, 3}, ir.Attrs{ir.F("lo", 0), ir.F("hi", 100)}, []float64{1, 2, 4})
	if err := rangePass(m, opt); err != nil {
		t.Fatal(err)
	}
	if y = m.Main().Reveals()[0].Args[0]; y.Range.Lo != 0 || y.Range.Hi != 32 {
		t.Errorf("a sum of what is not negative has the range %v, want 0..32", y.Range)
	}
}
