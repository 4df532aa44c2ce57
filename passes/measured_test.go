package passes

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// An elusive graph keeps its tolerance for nearly all inputs of its ranges, and not for some kind of them, where fixed point has too few digits of what
// something behind makes large again.
type elusive struct {
	name    string
	draw    func(g *grapher) *ir.Value
	opt     Options
	data    map[string][]float64                    // of such inputs, [2,3]
	want    func(in map[string][]float64) []float64 // exact
	refused bool                                    // no format of 64 bits keeps the tolerance
	either  bool                                    // right, or refused
}

// part is a column of x.
func (g *grapher) part(x *ir.Value, column int) *ir.Value {
	return g.E(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, int64(column)), ir.Dims("ends", []int{2, column + 1}), ir.Is("steps", 1, 1)}, x)
}

// real is a constant.
func (g *grapher) real(x float64) *ir.Value { return g.Const(ir.Reals(ir.Shape{}, x)) }

// byLine applies f to each line of three.
func byLine(f func(x []float64) []float64) func(in map[string][]float64) []float64 {
	return func(in map[string][]float64) (out []float64) {
		for i := 0; i < len(in["x"]); i += 3 {
			out = append(out, f(in["x"][i:i+3])...)
		}
		return out
	}
}

// single applies f to each element.
func single(f func(x float64) float64) func(in map[string][]float64) []float64 {
	return byLine(func(x []float64) []float64 { return []float64{f(x[0]), f(x[1]), f(x[2])} })
}

// standardised returns (x - mean) / sqrt(variance + eps).
func standardised(eps float64) func(x []float64) []float64 {
	return func(x []float64) []float64 {
		m := (x[0] + x[1] + x[2]) / 3
		v := ((x[0]-m)*(x[0]-m) + (x[1]-m)*(x[1]-m) + (x[2]-m)*(x[2]-m)) / 3
		s := math.Sqrt(v + eps)
		return []float64{(x[0] - m) / s, (x[1] - m) / s, (x[2] - m) / s}
	}
}

// zscore is standardised as a graph.
func zscore(eps, bound float64) func(g *grapher) *ir.Value {
	return func(g *grapher) *ir.Value {
		x := g.input("x", -bound, bound)
		d := g.E(ir.OpSub, nil, x, g.along(ir.OpReduceMean, x))
		v := g.E(ir.OpAdd, nil, g.along(ir.OpReduceMean, g.E(ir.OpMul, nil, d, d)), g.real(eps))
		return g.E(ir.OpDiv, nil, d, g.E(ir.OpSqrt, nil, v))
	}
}

var elusives = []elusive{
	{name: "small lines of a norm", refused: true,
		draw: func(g *grapher) *ir.Value {
			x := g.input("x", -1000, 1000)
			return g.E(ir.OpDiv, nil, x, g.E(ir.OpSqrt, nil, g.along(ir.OpReduceSum, g.E(ir.OpMul, nil, x, x))))
		},
		data: map[string][]float64{"x": {1e-3, 2.1e-3, -1.7e-3, 2e-2, -1.3e-2, 3e-3}},
		want: byLine(func(x []float64) []float64 {
			n := math.Sqrt(x[0]*x[0] + x[1]*x[1] + x[2]*x[2])
			return []float64{x[0] / n, x[1] / n, x[2] / n}
		})},
	{name: "small lines of a z-score in a wide range", draw: zscore(1e-9, 10000), refused: true,
		data: map[string][]float64{"x": {1e-3, 2.1e-3, -1.7e-3, 2e-2, -1.3e-2, 3e-3}}, want: byLine(standardised(1e-9))},
	{name: "small lines of a z-score", draw: zscore(1e-5, 4),
		data: map[string][]float64{"x": {1e-3, 2.1e-3, -1.7e-3, 2e-2, -1.3e-2, 3e-3}}, want: byLine(standardised(1e-5))},
	{name: "columns of different size", refused: true,
		draw: func(g *grapher) *ir.Value {
			x := g.input("x", 0, 10000)
			return g.E(ir.OpMul, nil, g.part(x, 0), g.part(x, 1))
		},
		data: map[string][]float64{"x": {9876.5, 0.0123, 1, 8765.4, 0.00234, 1}},
		want: byLine(func(x []float64) []float64 { return []float64{x[0] * x[1]} })},
	{name: "a number by a small one of the same input",
		draw: func(g *grapher) *ir.Value {
			x := g.input("x", 0, 1000)
			return g.E(ir.OpDiv, nil, g.part(x, 0), g.E(ir.OpAdd, nil, g.part(x, 1), g.real(1e-3)))
		},
		data: map[string][]float64{"x": {0.0123, 0.0011, 1, 0.234, 0.0007, 1}},
		want: byLine(func(x []float64) []float64 { return []float64{x[0] / (x[1] + 1e-3)} })},
	{name: "the end of a root's domain", refused: true,
		draw: func(g *grapher) *ir.Value {
			x := g.input("x", 1, 1000)
			return g.E(ir.OpLog, nil, g.E(ir.OpAdd, nil, x, g.E(ir.OpSqrt, nil, g.E(ir.OpSub, nil, g.E(ir.OpMul, nil, x, x), g.real(1)))))
		},
		data: map[string][]float64{"x": {1 + 1e-4, 1 + 1.3e-5, 1 + 4e-6, 1 + 2.3e-7, 1.2, 800}}, want: single(math.Acosh)},
	{name: "the root of a difference near one",
		draw: func(g *grapher) *ir.Value {
			x := g.input("x", -1, 1)
			return g.E(ir.OpSqrt, nil, g.E(ir.OpSub, nil, g.real(1), g.E(ir.OpMul, nil, x, x)))
		},
		data: map[string][]float64{"x": {1 - 1e-4, -1 + 1.3e-5, 1 - 4e-6, 1 - 2.3e-7, 0.2, -0.8}}, want: single(func(x float64) float64 { return math.Sqrt((1 - x) * (1 + x)) })},
	{name: "points near one another",
		draw: func(g *grapher) *ir.Value {
			x, y := g.input("x", -100, 100), g.input("y", -100, 100)
			sum := func(a, b *ir.Value) *ir.Value { return g.along(ir.OpReduceSum, g.E(ir.OpMul, nil, a, b)) }
			d := g.E(ir.OpSub, nil, g.E(ir.OpAdd, nil, sum(x, x), sum(y, y)), g.E(ir.OpMul, nil, sum(x, y), g.real(2)))
			return g.E(ir.OpSqrt, nil, g.E(ir.OpRelu, nil, d))
		},
		data: map[string][]float64{"x": {90.1, -34.7, 55.3, -12.3, 4.56, 78.9}, "y": {90.11, -34.72, 55.305, -12.31, 4.55, 78.92}},
		want: func(in map[string][]float64) []float64 {
			return byLine(func(x []float64) []float64 {
				y := in["y"][:3]
				if x[0] == in["x"][3] {
					y = in["y"][3:]
				}
				return []float64{math.Sqrt((x[0]-y[0])*(x[0]-y[0]) + (x[1]-y[1])*(x[1]-y[1]) + (x[2]-y[2])*(x[2]-y[2]))}
			})(in)
		}},
	{name: "a high power near one", either: true,
		draw: func(g *grapher) *ir.Value {
			return g.E(ir.OpExp, nil, g.E(ir.OpMul, nil, g.E(ir.OpLog, nil, g.input("x", 0.5, 1)), g.real(1000)))
		},
		data: map[string][]float64{"x": {0.9997968673706055, 0.9995537996292114, 0.9991486668586731, 0.9993335008621216, 0.999070942401886, 0.9999604225158691}},
		want: single(func(x float64) float64 { return math.Exp(1000 * math.Log(x)) })},
	{name: "units coarser than a tolerance", opt: Options{Tolerance: Tolerance{1e-30, 1e-3}}, refused: true,
		draw: func(g *grapher) *ir.Value { return g.E(ir.OpRelu, nil, g.input("x", -5, 5)) },
		data: map[string][]float64{"x": {1e-6, 3e-8, 1e-4, 1, 0.3, -1}}, want: single(func(x float64) float64 { return max(x, 0) })},
}

// TestElusiveErrors compiles graphs that are wrong for few inputs alone: such a graph is refused, with what to try, or right for these inputs too.
func TestElusiveErrors(t *testing.T) {
	for _, c := range elusives {
		t.Run(c.name, func(t *testing.T) {
			g := newGrapher(1)
			opt := c.opt
			opt.FracBits = 16
			_, m, n, err := g.compile(c.draw(g), 2, &opt)
			if c.refused || c.either && err != nil {
				var d *diag.Error
				if err == nil {
					t.Fatal("is compiled: expect the right values")
				} else if !errors.As(err, &d) || !strings.Contains(err.Error(), "would not keep its tolerance") || d.Hint == "" {
					t.Errorf("refused without saying why and what to try: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			in := map[string]*ir.Tensor{}
			for name, x := range c.data {
				in[name] = ir.Reals(graphShape, x...)
			}
			known, err := ir.BindWeights(m.Main(), m.Weights)
			if err != nil {
				t.Fatal(err)
			}
			want, o := c.want(c.data), n.Outputs[0]
			for run := range uint64(50) {
				got, err := ir.Results(m.Main(), ir.Env{Inputs: in, Known: known, Check: true, Dither: rand.New(rand.NewPCG(run, 9)).Uint64, Parties: 2})
				if err != nil {
					t.Fatal(err)
				}
				for i, y := range want {
					x := math.Ldexp(got["out"].At(i), -o.Frac)
					if u := o.used(x, y); u > 1 {
						t.Fatalf("%s, but element %d is %g for %g, %.3g of the tolerance", o.State, i, x, y, u)
					}
				}
			}
		})
	}
}

// TestStepsAreNoErrors: a number within its rounding of a comparison is decided either way, which no format mends and no search counts.
func TestStepsAreNoErrors(t *testing.T) {
	for _, body := range []string{
		"input x: real[6] from a in 0..1\nreveal where(x > 0, 3, 0.5 * x) to b as y",
		"input x: real[6] from a in 0..1\ninput z: real[6] from b in 0..1\nreveal where(x < z, 3, 0.5 * x) to b as y",
	} {
		if _, _, n := compileProgram(t, body, 2); n.Outputs[0].State != Measured {
			t.Errorf("%s: %s", body, n.Outputs[0].State)
		}
	}
}
