package bench

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/runtime/local"
)

// A Function is a smooth function on a range of arguments.
type Function struct {
	Op     ir.Op
	Lo, Hi float64
	Log    bool // arguments are drawn evenly by magnitude
}

// Functions lists all smooth functions, those of which no range is ordinary on several.
func Functions() []Function {
	return []Function{
		{ir.OpSigmoid, -30, 30, false}, {ir.OpTanh, -30, 30, false}, {ir.OpErf, -30, 30, false}, {ir.OpGelu, -30, 30, false}, {ir.OpGeluTanh, -30, 30, false},
		{ir.OpSilu, -30, 30, false}, {ir.OpSoftplus, -30, 30, false}, {ir.OpMish, -30, 30, false}, {ir.OpElu, -30, 30, false},
		{ir.OpExp, -30, 1, false}, {ir.OpExp, -30, 20, false},
		{ir.OpLog, 1.0 / 1024, 4096, true}, {ir.OpLog, 1.0 / (1 << 20), 1 << 30, true},
		{ir.OpSqrt, 1.0 / 1024, 4096, true}, {ir.OpSqrt, 0, 1 << 30, true},
		{ir.OpRsqrt, 1.0 / 256, 4096, true}, {ir.OpRsqrt, 1.0 / (1 << 24), 1 << 24, true},
		{ir.OpRecip, 1.0 / 256, 4096, true}, {ir.OpRecip, 1.0 / (1 << 16), 1 << 24, true},
		{ir.OpSin, -100, 100, false}, {ir.OpSin, -1e5, 1e5, false}, {ir.OpCos, -100, 100, false}, {ir.OpFloor, -1000, 1000, false},
	}
}

// Arguments draws n multiples of 2^-frac from the window, its ends among them.
func (f Function) Arguments(r *rand.Rand, n, frac int) *ir.Tensor {
	t := ir.NewTensor(ir.Real, ir.Shape{n})
	for i := range t.F {
		u := r.Float64()
		x := f.Lo + (f.Hi-f.Lo)*u
		switch {
		case f.Log:
			lo := max(f.Lo, math.Ldexp(f.Hi, -40))
			x = min(max(lo*math.Pow(f.Hi/lo, u), f.Lo), f.Hi)
		case i%2 == 1: // where the function bends
			x = min(max(r.NormFloat64()*3, f.Lo), f.Hi)
		}
		t.F[i] = math.Ldexp(math.Round(math.Ldexp(x, frac)), -frac)
	}
	t.F[0], t.F[1] = f.Lo, f.Hi
	return t
}

// A FunctionResult is what a secure run of a function found.
type FunctionResult struct {
	Function Function
	X, Error []float64 // arguments, and errors against float64: absolute, or relative where the result exceeds 1
	Absolute float64   // the largest of results of at most 1
	Relative float64   // the largest of larger results, over the result
	Used     float64   // of the tolerance that was asked for, the largest part
	Rounds   int
	Bytes    float64 // sent per party and element
}

// MeasureFunction runs a function on n arguments between two parties.
func MeasureFunction(ctx context.Context, f Function, n int, opt smpcc.Options) (res *FunctionResult, err error) {
	defer ir.Recover(&err)
	g := &graph{f: ir.NewFunc("main")}
	g.m = &ir.Module{Name: string(f.Op), Parties: smpcc.PartyNames(2), Dealer: smpcc.DefaultDealer, Funcs: []*ir.Func{g.f}, Weights: map[string]*ir.Tensor{}}
	g.e(ir.OpReveal, ir.Attrs{ir.S("name", "out"), ir.Ss("to", "p1")}, g.e(f.Op, nil, g.input(f.Lo, f.Hi, n)))
	frac := opt.FracBits
	if frac == 0 {
		frac = smpcc.DefaultFracBits
	}
	x := f.Arguments(rand.New(rand.NewPCG(1, 1)), n, frac)
	c, err := smpcc.CompileModule(g.m, opt, false)
	if err != nil {
		return nil, err
	}
	runner, err := local.New(ctx, c.Plan, nil)
	if err != nil {
		return nil, err
	}
	words, err := smpcc.Bind(c.Plan.Manifest.Inputs[0], x)
	if err != nil {
		return nil, err
	}
	run, err := runner.Run(ctx, [][]uint64{words})
	if err != nil {
		return nil, err
	}
	cost := c.Plan.Cost().Phases[plan.Online]
	res = &FunctionResult{Function: f, X: x.F, Rounds: cost.Rounds, Bytes: float64(cost.Sent[0]) / float64(n)}
	scale := c.Plan.Manifest.Outputs[0].Scale
	tolerance := c.Numbers.Outputs[0].Tolerance
	for i, w := range run.Outputs[1]["out"] {
		want := ir.Smooth[f.Op](x.F[i])
		miss := math.Ldexp(float64(int64(w)), -scale) - want
		res.Error = append(res.Error, miss/max(1, math.Abs(want)))
		miss = math.Abs(miss)
		if math.Abs(want) <= 1 {
			res.Absolute = max(res.Absolute, miss)
		} else {
			res.Relative = max(res.Relative, miss/math.Abs(want))
		}
		res.Used = max(res.Used, miss/(tolerance.Atol+float64(tolerance.Rtol*math.Abs(want))))
	}
	return res, nil
}

// DrawErrors renders the errors of functions, one plot each, as svg or png.
func DrawErrors(results []*FunctionResult, format string) ([]byte, error) {
	const columns = 4
	if len(results) == 0 {
		return nil, fmt.Errorf("there are no results to draw")
	}
	rows := (len(results) + columns - 1) / columns
	plots := make([][]*plot.Plot, rows)
	for i, r := range results {
		p := plot.New()
		p.Title.Text = fmt.Sprintf("%s: %.2g", r.Function.Op, max(r.Absolute, r.Relative))
		if r.Function.Log {
			p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		}
		var xys plotter.XYs
		for j, x := range r.X {
			if x > 0 || !r.Function.Log {
				xys = append(xys, plotter.XY{X: x, Y: r.Error[j]})
			}
		}
		dots, err := plotter.NewScatter(xys)
		if err != nil {
			return nil, err
		}
		dots.GlyphStyle = draw.GlyphStyle{Color: color.RGBA{G: 90, B: 181, A: 255}, Radius: vg.Points(0.7), Shape: draw.CircleGlyph{}}
		p.Add(plotter.NewGrid(), dots)
		p.Y.Min, p.Y.Max = -1e-3, 1e-3
		plots[i/columns] = append(plots[i/columns], p)
	}
	for len(plots[rows-1]) < columns {
		plots[rows-1] = append(plots[rows-1], nil)
	}
	w, err := draw.NewFormattedCanvas(columns*3*vg.Inch, vg.Length(rows)*2*vg.Inch, format)
	if err != nil {
		return nil, err
	}
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Points(8), PadY: vg.Points(8), PadTop: vg.Points(4), PadBottom: vg.Points(4), PadLeft: vg.Points(4), PadRight: vg.Points(4)}
	for j, row := range plot.Align(plots, tiles, draw.New(w)) {
		for i, canvas := range row {
			if plots[j][i] != nil {
				plots[j][i].Draw(canvas)
			}
		}
	}
	var b bytes.Buffer
	_, err = w.WriteTo(&b)
	return b.Bytes(), err
}
