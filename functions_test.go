package smpcc_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/bench"
	"smpcc/ir"
	"smpcc/passes"
	"smpcc/runtime/local"
)

var functions = bench.Functions()

// secure runs a one-input module on data and returns output "out" decoded, checked against the plan's cost.
func secure(t *testing.T, g *graph, opt smpcc.Options, data map[string]*ir.Tensor) ([]float64, *smpcc.Compilation) {
	t.Helper()
	c, err := smpcc.CompileModule(g.m, opt, true)
	if err != nil {
		t.Fatal(err)
	}
	checkMasks(t, c.Plan)
	if err := verify.Check(c.Plan).Err(); err != nil {
		t.Errorf("verify: %v", err)
	}
	runner, err := local.New(context.Background(), c.Plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	var in [][]uint64
	for _, port := range c.Plan.Manifest.Inputs {
		w, err := smpcc.Bind(port, data[port.Name])
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, w)
	}
	res, err := runner.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	checkCost(t, c.Plan, res)
	o := c.Plan.Manifest.Outputs[0]
	words := res.Outputs[0]["out"]
	out := make([]float64, len(words))
	for i, w := range words {
		out[i] = math.Ldexp(float64(int64(w)), -o.Scale)
	}
	return out, c
}

func TestFunctionsWithinPrecision(t *testing.T) {
	for _, f := range functions {
		for _, c := range []struct {
			n       int
			parties int
			wide    bool
			frac    int
			eps     float64
		}{{2000, 2, false, 16, 1e-3}, {500, 3, true, 16, 1e-3}, {20, 2, true, 16, 1e-3}, {500, 2, false, 12, 1e-2}, {500, 2, false, 20, 1e-4}} {
			t.Run(fmt.Sprintf("%s/%d/%d/%v/%d/%g", f.Op, c.n, c.parties, c.wide, c.frac, c.eps), func(t *testing.T) {
				g := newGraph(t, c.parties)
				lo, hi := f.Lo, f.Hi
				if c.wide {
					lo, hi = -(1 << 20), 1<<20
				}
				x := f.Arguments(rand.New(rand.NewPCG(1, uint64(len(f.Op)))), c.n, c.frac)
				g.reveal("out", g.e(f.Op, nil, g.input("x", "p0", "real", lo, hi, c.n)))
				got, comp := secure(t, g, smpcc.Options{FracBits: c.frac, Precision: c.eps}, map[string]*ir.Tensor{"x": x})
				worst, at := 0.0, 0.0
				for i, y := range got {
					want := ir.Smooth[f.Op](x.F[i])
					if e := math.Abs(y-want) / max(1, math.Abs(want)); !(e <= worst) {
						worst, at = e, x.F[i]
					}
				}
				cost := comp.Plan.Cost().Phases[2]
				t.Logf("error %.3g at %g; %d rounds, %d bytes per element", worst, at, cost.Rounds, cost.Sent[0]/int64(c.n))
				if !(worst <= c.eps) {
					t.Errorf("error %.3g at %g, want at most %g", worst, at, c.eps)
				}
			})
		}
	}
}

// TestSoftmaxWithinPrecision covers one dominating entry, equal entries and many small ones, whose sum must not drift.
func TestSoftmaxWithinPrecision(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, op := range []ir.Op{ir.OpSoftmax, ir.OpLogSoftmax} {
		for _, n := range []int{2, 3, 10, 257, 4096} {
			rows := max(2, 4096/n)
			x := ir.NewTensor(ir.Real, ir.Shape{rows, n})
			for i := range x.F {
				switch row := i / n; row % 4 {
				case 0: // many small ones beside a large one
					x.F[i] = -11.8
					if i%n == 0 {
						x.F[i] = 0
					}
				case 1:
					x.F[i] = 3
				default:
					x.F[i] = r.NormFloat64() * 4
				}
				x.F[i] = math.Round(x.F[i]*65536) / 65536
			}
			t.Run(fmt.Sprintf("%s/%d", op, n), func(t *testing.T) {
				g := newGraph(t, 2)
				in := g.input("x", "p0", "real", -50, 50, rows, n)
				out := g.e(op, ir.Attrs{ir.I("axis", 1)}, in)
				want, err := ir.Rows[op].Eval(out, []*ir.Tensor{x})
				if err != nil {
					t.Fatal(err)
				}
				g.reveal("out", out)
				got, comp := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x})
				worst := 0.0
				for i, y := range got {
					if e := math.Abs(y-want.F[i]) / max(1, math.Abs(want.F[i])); !(e <= worst) {
						worst = e
					}
				}
				t.Logf("error %.3g, %d rounds", worst, comp.Plan.Cost().Phases[2].Rounds)
				if !(worst <= 1e-3) {
					t.Errorf("error %.3g, want at most 1e-3", worst)
				}
			})
		}
	}
}

// TestFunctionsAreClamped gives every function arguments far outside its window: results stay near those at its ends.
func TestFunctionsAreClamped(t *testing.T) {
	for _, f := range functions {
		t.Run(string(f.Op), func(t *testing.T) {
			x := ir.Reals(ir.Shape{10}, 0, math.Ldexp(1, -16), -math.Ldexp(1, -16), 1<<13, -(1 << 13), 1<<19, -(1 << 19), 1<<28, -(1 << 28), 123456.789)
			g := newGraph(t, 2)
			g.reveal("out", g.e(f.Op, nil, g.input("x", "p0", "real", -(1<<28), 1<<28, 10)))
			got, _ := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x})
			limit := 1.001 * (1 << 28) // of functions that go on as a line
			switch f.Op {
			case ir.OpSigmoid, ir.OpTanh, ir.OpErf, ir.OpSin, ir.OpCos:
				limit = 1.001
			case ir.OpExp:
				limit = 22100 // e^10
			case ir.OpRecip, ir.OpRsqrt:
				limit = 4.5 * 256 // the polynomial goes on to zero
			case ir.OpSqrt, ir.OpLog:
				limit = 65
			}
			for i, y := range got {
				if !(math.Abs(y) <= limit) {
					t.Errorf("%s(%g) is %g, want at most %g in magnitude", f.Op, x.F[i], y, limit)
				}
			}
			t.Log(got)
		})
	}
}

// TestSqrtNearZero: more fraction bits bring roots of small numbers closer, as far as the ring goes, where a scale of 2^13 is left
// with 24 of them.
func TestSqrtNearZero(t *testing.T) {
	for _, c := range []struct {
		frac  int
		worst float64
	}{{16, 1.0 / 256}, {18, 1.0 / 512}, {20, 1.0 / 1024}, {24, 1.0 / 64}} {
		t.Run(fmt.Sprint(c.frac), func(t *testing.T) {
			x := ir.Reals(ir.Shape{8}, 0, math.Ldexp(1, -16), math.Ldexp(3, -16), math.Ldexp(1, -14), math.Ldexp(1, -12), 0.001953125, 0.25, 400)
			g := newGraph(t, 2)
			g.reveal("out", g.e(ir.OpSqrt, nil, g.input("x", "p0", "real", 0, 1000, 8)))
			got, _ := secure(t, g, smpcc.Options{FracBits: c.frac, Precision: 1e-4}, map[string]*ir.Tensor{"x": x})
			for i, y := range got {
				if want := math.Sqrt(x.F[i]); !(math.Abs(y-want) <= c.worst*max(1, want)) {
					t.Errorf("sqrt(%g) is %g, want %g within %g", x.F[i], y, want, c.worst)
				}
			}
		})
	}
}

// TestQuotient divides numbers of very different sizes: the error is that of the quotient.
func TestQuotient(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	const n = 1000
	x, y := ir.NewTensor(ir.Real, ir.Shape{n}), ir.NewTensor(ir.Real, ir.Shape{n})
	for i := range n {
		y.F[i] = math.Round(math.Exp2(r.Float64()*20-8)*65536) / 65536
		x.F[i] = math.Round((r.Float64()*2-1)*100*y.F[i]*65536) / 65536
		if i%2 == 0 {
			y.F[i] = -y.F[i]
		}
	}
	g := newGraph(t, 2)
	g.reveal("out", g.e(ir.OpDiv, nil, g.input("x", "p0", "real", -1<<19, 1<<19, n), g.input("y", "p1", "real", -5000, 5000, n)))
	got, _ := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x, "y": y})
	for i, q := range got {
		want := x.F[i] / y.F[i]
		if e := math.Abs(q-want) / max(1, math.Abs(want)); !(e <= 1e-3) {
			t.Fatalf("%g / %g is %g, want %g", x.F[i], y.F[i], q, want)
		}
	}
}

// TestExactOutput reveals a product rounded down exactly, with any number of parties: the same integer as in the clear.
func TestExactOutput(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	const n = 1000
	for _, parties := range []int{2, 3, 5} {
		x, y := ir.NewTensor(ir.Real, ir.Shape{n}), ir.NewTensor(ir.Real, ir.Shape{n})
		for i := range n {
			x.F[i], y.F[i] = math.Round((r.Float64()*20-10)*65536)/65536, math.Round((r.Float64()*20-10)*65536)/65536
			if i%4 == 0 { // products that are multiples of 2^-16 must not fall below
				y.F[i] = math.Round(y.F[i])
			}
		}
		g := newGraph(t, parties)
		g.reveal("out", g.e(ir.OpMul, nil, g.input("x", "p0", "real", -10, 10, n), g.input("y", "p1", "real", -10, 10, n)))
		got, c := secure(t, g, smpcc.Options{Exact: []string{"out"}}, map[string]*ir.Tensor{"x": x, "y": y})
		if s := c.Plan.Manifest.Outputs[0].Scale; s != 16 {
			t.Errorf("the output has %d fraction bits, want 16", s)
		}
		for i, z := range got {
			if want := math.Floor(x.F[i]*y.F[i]*65536) / 65536; z != want {
				t.Fatalf("%d parties: %v * %v is %v, want %v exactly", parties, x.F[i], y.F[i], z, want)
			}
		}
	}
	g := newGraph(t, 2)
	g.reveal("out", g.input("x", "p0", "int", -10, 10, 1))
	if _, err := smpcc.CompileModule(g.m, smpcc.Options{Exact: []string{"out"}}, true); err == nil {
		t.Error("an output of integers is truncated")
	}
}

// TestIntegers turns reals into integers, with any number of parties and on ranges of either sign: towards zero, exactly, at and
// next to integers too; also what floor has made whole before.
func TestIntegers(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	const n = 600
	for _, parties := range []int{2, 3} {
		for _, rg := range [][2]float64{{-20, 20}, {0, 20}, {-20, 0}} {
			for _, first := range []ir.Op{"", ir.OpFloor, ir.OpMul} {
				x := ir.NewTensor(ir.Real, ir.Shape{n})
				for i := range n {
					x.F[i] = math.Round((rg[0]+r.Float64()*(rg[1]-rg[0]))*65536) / 65536
					if i%2 == 0 {
						x.F[i] = min(max(math.Round(x.F[i])+float64(i%6-2)/2/65536, rg[0]), rg[1])
						x.F[i] = math.Round(x.F[i]*65536) / 65536
					}
				}
				g := newGraph(t, parties)
				v := g.input("x", "p0", "real", rg[0], rg[1], n)
				of := func(x float64) float64 { return x }
				switch first {
				case ir.OpFloor:
					v, of = g.e(first, nil, v), math.Floor
				case ir.OpMul: // held with twice the fraction bits
					v, of = g.e(first, nil, v, v), func(x float64) float64 { return math.Floor(x*x*65536) / 65536 }
				}
				g.reveal("out", g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, v))
				got, c := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x})
				if o := c.Plan.Manifest.Outputs[0]; o.Scale != 0 {
					t.Errorf("the output has %d fraction bits", o.Scale)
				}
				for i, z := range got {
					want := math.Trunc(of(x.F[i]))
					if first == ir.OpMul && z == math.Trunc(of(x.F[i])+1.0/65536) { // the product is truncated by chance first
						continue
					}
					if z != want {
						t.Fatalf("%d parties, %s in %v: %v becomes %v, want %v", parties, first, rg, x.F[i], z, want)
					}
				}
			}
		}
	}
}

// TestNetworkChoosesRoundsOrBytes compiles one function for a LAN and for a slow, distant network: the second takes fewer rounds.
func TestNetworkChoosesRoundsOrBytes(t *testing.T) {
	const n = 4000
	cost := func(net passes.Network) plan.PhaseCost {
		g := newGraph(t, 2)
		g.reveal("out", g.e(ir.OpGelu, nil, g.input("x", "p0", "real", -30, 30, n)))
		c, err := smpcc.CompileModule(g.m, smpcc.Options{Net: net}, true)
		if err != nil {
			t.Fatal(err)
		}
		return c.Plan.Cost().Phases[plan.Online]
	}
	lan, wan := cost(passes.Network{}), cost(passes.Network{RTT: 0.04, Bandwidth: 1e8})
	if wan.Rounds >= lan.Rounds || wan.Sent[0] <= lan.Sent[0] {
		t.Errorf("LAN: %d rounds, %d bytes; WAN: %d rounds, %d bytes", lan.Rounds, lan.Sent[0], wan.Rounds, wan.Sent[0])
	}
}

// TestFunctionsTellNoMoreThanRanges compiles every function of a product with a secret weight for two weights that give the same
// published ranges: the plan, with all that was fitted, must not tell them apart.
func TestFunctionsTellNoMoreThanRanges(t *testing.T) {
	for _, f := range append(bench.Functions(), bench.Function{Op: ir.OpSoftmax}) {
		var attrs ir.Attrs
		if f.Op == ir.OpSoftmax {
			attrs = ir.Attrs{ir.I("axis", 0)}
		}
		for _, n := range []int{10, 2000} {
			digest := func(w float64) string {
				g := newGraph(t, 2)
				g.m.Weights["w"] = ir.Reals(ir.Shape{1}, w)
				weight := g.e(ir.OpWeight, ir.Attrs{ir.S("name", "w"), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Is("shape", 1)})
				g.reveal("out", g.e(f.Op, attrs, g.e(ir.OpMul, nil, g.input("x", "p1", "real", 1, 2, n), weight)))
				c, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
				if err != nil {
					t.Fatal(err)
				}
				return c.Plan.Digest()
			}
			if digest(1.1) != digest(1.9) {
				t.Errorf("%s of %d elements: the plan depends on the weight", f.Op, n)
			}
		}
	}
}

// TestWavesTakeOneOpening computes functions of arguments that stay near, at the ends of their range too, with any number of parties:
// after the input, which its owner masks, there is nothing to do but reveal.
func TestWavesTakeOneOpening(t *testing.T) {
	for _, op := range []ir.Op{ir.OpSigmoid, ir.OpTanh, ir.OpErf, ir.OpGelu, ir.OpGeluTanh, ir.OpSilu, ir.OpSoftplus} {
		for _, parties := range []int{2, 3, 5} {
			for _, reach := range []float64{0.25, 2, 8} {
				t.Run(fmt.Sprintf("%s/%d/%g", op, parties, reach), func(t *testing.T) {
					const n = 400
					x := ir.NewTensor(ir.Real, ir.Shape{n})
					for i := range x.F {
						x.F[i] = math.Round((float64(i)*2/(n-1)-1)*reach*65536) / 65536
					}
					g := newGraph(t, parties)
					g.reveal("out", g.e(op, nil, g.input("x", "p1", "real", -reach, reach, n)))
					got, c := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x})
					for i, y := range got {
						if e := math.Abs(y - ir.Smooth[op](x.F[i])); !(e <= 7e-4) {
							t.Fatalf("%s(%g) is %g, off by %.3g", op, x.F[i], y, e)
						}
					}
					if r := c.Plan.Cost().Phases[plan.Online].Rounds; r > 2 {
						t.Errorf("%d rounds", r)
					}
				})
			}
		}
	}
}

// TestExpAtTheEnds computes exp over ranges up to a power of two and beyond it, at their ends too, where a mask read wrong would give
// something else altogether.
func TestExpAtTheEnds(t *testing.T) {
	for _, parties := range []int{2, 3, 5} {
		for _, lo := range []float64{-0.5, -9, -15.5, -16, -31.99, -64, -100, -128, -500} {
			for _, hi := range []float64{-90, 0, 1, 5} {
				if hi <= lo {
					continue
				}
				t.Run(fmt.Sprintf("%d/%g..%g", parties, lo, hi), func(t *testing.T) {
					const n = 2000
					limit := 3e-4
					if hi > 1 { // by a polynomial
						limit = 1e-3
					}
					x := ir.NewTensor(ir.Real, ir.Shape{n})
					for i := range x.F {
						switch i % 4 {
						case 0:
							x.F[i] = lo + float64(i%8)/65536
						case 1:
							x.F[i] = hi - float64(i%8)/65536
						default:
							x.F[i] = math.Round((lo+(hi-lo)*float64(i)/n)*65536) / 65536
						}
					}
					g := newGraph(t, parties)
					g.reveal("out", g.e(ir.OpExp, nil, g.input("x", "p0", "real", lo, hi, n)))
					got, _ := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x})
					for i, y := range got {
						if e := math.Abs(y-math.Exp(x.F[i])) / max(1, math.Exp(x.F[i])); !(e <= limit) {
							t.Fatalf("exp(%g) is %g, off by %.3g", x.F[i], y, e)
						}
					}
				})
			}
		}
	}
}
