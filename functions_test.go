package smpcc_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/bench"
	"smpcc/ir"
	"smpcc/passes"
	"smpcc/runtime/local"
)

// execute runs a plan without weights in memory on data.
func execute(t *testing.T, p *plan.Plan, data map[string]*ir.Tensor) *local.Result {
	t.Helper()
	runner, err := local.New(context.Background(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	var in [][]uint64
	for _, port := range p.Manifest.Inputs {
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
	return res
}

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
	res := execute(t, c.Plan, data)
	checkCost(t, c.Plan, res)
	o := c.Plan.Manifest.Outputs[0]
	words := res.Outputs[0]["out"]
	out := make([]float64, len(words))
	for i, w := range words {
		out[i] = math.Ldexp(float64(int64(w)), -o.Scale)
	}
	return out, c
}

// TestFunctionsKeepTheTolerance computes every function over declared ranges from the tame to the wild, at arguments of all magnitudes and at the ends:
// what comes out is within 1e-3 + 1e-3*|exact|, with float64's own functions as the reference.
func TestFunctionsKeepTheTolerance(t *testing.T) {
	ofNumbers(t)
	both := [][2]float64{{-4, 4}, {-20, 20}, {-1000, 1000}, {0, 30}, {-30, -0.5}}
	ranges := map[ir.Op][][2]float64{
		ir.OpSigmoid: both, ir.OpTanh: both, ir.OpErf: both, ir.OpGelu: both, ir.OpGeluTanh: both, ir.OpSilu: both, ir.OpSoftplus: both, ir.OpMish: both, ir.OpElu: both,
		ir.OpExp:   {{-20, 10}, {-128, 0}, {-1, 1}, {-30, 15}, {-500, 5}},
		ir.OpLog:   {{1e-3, 1e3}, {1, 4.5e6}, {0.01, 1}},
		ir.OpSqrt:  {{0, 1000}, {0, 1e6}, {1e-3, 4}, {1e3, 1e9}},
		ir.OpRsqrt: {{1e-3, 1}, {1, 1e6}, {0.01, 100}},
		ir.OpRecip: {{0.01, 100}, {1e3, 5e5}, {-100, -0.01}},
		ir.OpSin:   {{-10, 10}, {-5000, 5000}, {0, 60000}},
		ir.OpCos:   {{-10, 10}, {-5000, 5000}, {0, 60000}},
	}
	exact := map[ir.Op]func(float64) float64{
		ir.OpSigmoid: func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }, ir.OpTanh: math.Tanh, ir.OpErf: math.Erf, ir.OpExp: math.Exp, ir.OpLog: math.Log, ir.OpSqrt: math.Sqrt,
		ir.OpGelu:     func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 },
		ir.OpGeluTanh: func(x float64) float64 { return x / (1 + math.Exp(-2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) },
		ir.OpSilu:     func(x float64) float64 { return x / (1 + math.Exp(-x)) },
		ir.OpSoftplus: func(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) },
		ir.OpMish:     func(x float64) float64 { return x * math.Tanh(max(x, 0)+math.Log1p(math.Exp(-math.Abs(x)))) },
		ir.OpElu:      func(x float64) float64 { return max(x, math.Expm1(min(x, 0))) },
		ir.OpRsqrt:    func(x float64) float64 { return 1 / math.Sqrt(x) }, ir.OpRecip: func(x float64) float64 { return 1 / x }, ir.OpSin: math.Sin, ir.OpCos: math.Cos,
	}
	for op, list := range ranges {
		for k, rg := range list {
			for j, on := range []struct {
				parties int
				net     passes.Network
				n       int
			}{{2, passes.Network{}, 500}, {3, passes.Network{}, 100}, {2, wan, 20}} {
				if !allCases() && j > 0 && j != 1+k%2 { // near, and in turn more parties or far
					continue
				}
				t.Run(fmt.Sprintf("%s/%g..%g/%d/%d", op, rg[0], rg[1], on.parties, on.n), func(t *testing.T) {
					x := magnitudes(rand.New(rand.NewPCG(uint64(k), uint64(len(op)))), rg, on.n)
					g := newGraph(t, on.parties)
					g.reveal("out", g.e(op, nil, g.input("x", "p0", "real", rg[0], rg[1], on.n)))
					got, comp := secure(t, g, smpcc.Options{Net: on.net}, map[string]*ir.Tensor{"x": x})
					worst, at := 0.0, 0.0
					for i, y := range got {
						want := exact[op](x.F[i])
						if e := math.Abs(y-want) / (1e-3 + 1e-3*math.Abs(want)); !(e <= worst) {
							worst, at = e, x.F[i]
						}
					}
					cost := comp.Plan.Cost().Phases[plan.Online]
					t.Logf("%.2g of the tolerance at %g; %d rounds, %d bytes per element", worst, at, cost.Rounds, cost.Sent[0]/int64(on.n))
					if !(worst <= 1) {
						t.Errorf("off by %.3g of the tolerance at %g", worst, at)
					}
					o := comp.Numbers.Outputs[0]
					if o.State == passes.Proved && !(worst <= o.Used) {
						t.Errorf("off by %.3g of the tolerance at %g, and %g is proved", worst, at, o.Used)
					}
					// beside zero the root of an error is no bound, and a reciprocal that may be large is near the end of its tolerance
					if near := op == ir.OpSqrt && rg[0] == 0 || op == ir.OpRecip && max(rg[0], -rg[1]) < 0.1; on.parties == 2 && !near && o.State != passes.Proved {
						t.Errorf("the output is %s: %s", o.State, o.Why)
					}
				})
			}
		}
	}
}

// magnitudes returns arguments of a range: both ends, what is next to zero, and magnitudes of every binade.
func magnitudes(r *rand.Rand, rg [2]float64, n int) *ir.Tensor {
	x := ir.NewTensor(ir.Real, ir.Shape{n})
	for i := range x.F {
		lo, hi := rg[0], rg[1]
		if lo < 0 && hi > 0 && i%2 == 0 {
			lo, hi = 0, -lo
		} else {
			lo = max(lo, 0)
		}
		sign := 1.0
		if rg[0] < 0 && (rg[1] <= 0 || i%2 == 0) {
			if sign = -1; rg[1] <= 0 {
				lo, hi = -rg[1], -rg[0]
			}
		}
		least := max(lo, hi*0x1p-20)
		x.F[i] = sign * min(max(least*math.Pow(hi/least, r.Float64()), lo), hi)
	}
	x.F[0], x.F[1], x.F[2] = rg[0], rg[1], (rg[0]+rg[1])/2
	return x
}

// TestSoftmaxWithinPrecision covers one dominating entry, equal entries and many small ones, whose sum must not drift.
func TestSoftmaxWithinPrecision(t *testing.T) {
	ofNumbers(t)
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

// TestFunctionsOutOfReachAreRefused: what no format can keep within the tolerance is refused, with what to try; nothing is clamped.
func TestFunctionsOutOfReachAreRefused(t *testing.T) {
	for _, c := range []struct {
		op     ir.Op
		lo, hi float64
	}{{ir.OpExp, -1, 60}, {ir.OpRecip, 0, 1e6}, {ir.OpRsqrt, 0, 1e6}, {ir.OpLog, 0, 1e6}} {
		g := newGraph(t, 2)
		g.reveal("out", g.e(c.op, nil, g.input("x", "p0", "real", c.lo, c.hi, 10)))
		_, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
		if err == nil || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("%s of %g..%g: %v", c.op, c.lo, c.hi, err)
		}
	}
}

// TestInnerValuesOutOfTheDomain: where declared inputs reach numbers for which a function has no value, the compiler names the node, and compiles when the hint
// is followed.
func TestInnerValuesOutOfTheDomain(t *testing.T) {
	for _, op := range []ir.Op{ir.OpRecip, ir.OpLog, ir.OpRsqrt, ir.OpSqrt} {
		compile := func(lo float64) error {
			g := newGraph(t, 2)
			g.reveal("out", g.e(op, nil, g.e(ir.OpSub, nil, g.input("x", "p0", "real", lo, 10, 10), g.input("y", "p1", "real", 0, 5, 10))))
			_, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
			return err
		}
		if err := compile(0); err == nil || !strings.Contains(err.Error(), string(op)) || !strings.Contains(err.Error(), "hint: declare input ranges") {
			t.Errorf("%s of a difference that may be 0 or less: %v", op, err)
		}
		if err := compile(6); err != nil {
			t.Errorf("%s of 1..10: %v", op, err)
		}
	}
}

// TestProductsWithAFunctionOfAFactor multiplies an input with what a function makes of it: the input's wire is moved by a constant, but its owner alone
// knows the mask, so that nobody else could finish a narrower factor.
func TestProductsWithAFunctionOfAFactor(t *testing.T) {
	x := ir.Reals(ir.Shape{4}, 0.001, 0.03, 0.5, 1)
	for op, f := range map[ir.Op]func(float64) float64{ir.OpLog: math.Log, ir.OpSqrt: math.Sqrt} {
		for _, parties := range []int{2, 3} {
			g := newGraph(t, parties)
			in := g.input("x", "p0", "real", 0, 1, 4)
			shifted := g.e(ir.OpAdd, nil, in, g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, 1e-3))}))
			g.reveal("out", g.e(ir.OpMul, nil, in, g.e(op, nil, shifted)))
			got, _ := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x})
			for i, y := range got {
				if want := x.F[i] * f(x.F[i]+1e-3); !(math.Abs(y-want) <= 1e-3+1e-3*math.Abs(want)) {
					t.Errorf("%s, %d parties: %g at %g, want %g", op, parties, y, x.F[i], want)
				}
			}
		}
	}
}

// TestSmallBesideItsRange: a product of an amount and a rate whose ranges are both 0..100000 has too few digits of the rate, and is refused for any number of
// elements; with the rate's own range it is right.
func TestSmallBesideItsRange(t *testing.T) {
	for _, n := range []int{1, 2, 8} {
		for _, hi := range []float64{1e5, 1} {
			g := newGraph(t, 2)
			g.reveal("out", g.e(ir.OpMul, nil, g.input("x", "p0", "real", 0, 1e5, n), g.input("y", "p1", "real", 0, hi, n)))
			if _, err := smpcc.CompileModule(g.m, smpcc.Options{}, true); (err == nil) != (hi == 1) {
				t.Errorf("%d elements, rates up to %g: %v", n, hi, err)
			}
		}
	}
}

// TestQuotient divides numbers of very different sizes: the error is that of the quotient.
func TestQuotient(t *testing.T) {
	ofNumbers(t)
	r := rand.New(rand.NewPCG(5, 6))
	const n = 1000
	x, y := ir.NewTensor(ir.Real, ir.Shape{n}), ir.NewTensor(ir.Real, ir.Shape{n})
	for i := range n {
		y.F[i] = math.Round(math.Exp2(r.Float64()*12)*65536) / 65536
		x.F[i] = math.Round((r.Float64()*2-1)*100*y.F[i]*65536) / 65536
	}
	g := newGraph(t, 2)
	g.reveal("out", g.e(ir.OpDiv, nil, g.input("x", "p0", "real", -1<<19, 1<<19, n), g.input("y", "p1", "real", 1, 5000, n)))
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
	ofNumbers(t)
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
		got, c := secure(t, g, smpcc.Options{Exact: []string{"out"}, RevealBits: 16, FracBits: 18}, map[string]*ir.Tensor{"x": x, "y": y})
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
	ofNumbers(t)
	r := rand.New(rand.NewPCG(9, 10))
	const n = 600
	for _, parties := range []int{2, 3} {
		for _, rg := range [][2]float64{{-20, 20}, {0, 20}, {-20, 0}} {
			for _, first := range []ir.Op{"", ir.OpFloor, ir.OpMul} {
				x := ir.NewTensor(ir.Real, ir.Shape{n})
				for i := range n {
					x.F[i] = math.Round((rg[0]+r.Float64()*(rg[1]-rg[0]))*4096) / 4096
					if i%2 == 0 {
						x.F[i] = min(max(math.Round(x.F[i])+float64(i%6-2)/2/4096, rg[0]), rg[1])
						x.F[i] = math.Round(x.F[i]*4096) / 4096
					}
				}
				g := newGraph(t, parties)
				v := g.input("x", "p0", "real", rg[0], rg[1], n)
				of := func(x float64) float64 { return x }
				switch first {
				case ir.OpFloor:
					v, of = g.e(first, nil, v), math.Floor
				case ir.OpMul: // held with twice the fraction bits
					v, of = g.e(first, nil, v, v), func(x float64) float64 { return math.Floor(x*x*4096) / 4096 }
				}
				g.reveal("out", g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, v))
				got, c := secure(t, g, smpcc.Options{}, map[string]*ir.Tensor{"x": x})
				if o := c.Plan.Manifest.Outputs[0]; o.Scale != 0 {
					t.Errorf("the output has %d fraction bits", o.Scale)
				}
				for i, z := range got {
					want := math.Trunc(of(x.F[i]))
					if first == ir.OpMul && z == math.Trunc(of(x.F[i])+1.0/4096) { // the product is truncated by chance first
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
	ofNumbers(t)
	const n = 4000
	cost := func(net passes.Network) plan.PhaseCost {
		g := newGraph(t, 2)
		g.reveal("out", g.e(ir.OpGelu, nil, g.input("x", "p0", "real", -200, 200, n))) // waves would be too many
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
	ofNumbers(t)
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
				// How many bits keep the tolerance is found by running, and published: the first will do for this one.
				c, err := smpcc.CompileModule(g.m, smpcc.Options{Tolerance: passes.Tolerance{Atol: 1e9, Rtol: 0.9}, RevealBits: 13}, true)
				if err != nil {
					t.Fatal(err)
				}
				return strings.Join(strings.Fields(string(c.Plan.Manifest.Dumps[1].Text)), " ")
			}
			if digest(1.1) != digest(1.9) {
				t.Errorf("%s of %d elements: the plan depends on the weight", f.Op, n)
			}
		}
	}
}

// TestWavesTakeOneOpening computes functions of arguments that stay near, at the ends of their range too, with any number of parties:
// after the input, which its owner masks, there is nothing to do but to round what is rounded in material away, and reveal.
func TestWavesTakeOneOpening(t *testing.T) {
	ofNumbers(t)
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
					got, c := secure(t, g, smpcc.Options{RevealBits: 40}, map[string]*ir.Tensor{"x": x})
					for i, y := range got {
						if e := math.Abs(y - ir.Smooth[op](x.F[i])); !(e <= 7e-4) {
							t.Fatalf("%s(%g) is %g, off by %.3g", op, x.F[i], y, e)
						}
					}
					if r := c.Plan.Cost().Phases[plan.Online].Rounds; r > 3 {
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
	ofNumbers(t)
	for i, parties := range []int{2, 3, 5} {
		for j, lo := range []float64{-0.5, -9, -15.5, -16, -31.99, -64, -100, -128, -500} {
			for k, hi := range []float64{-90, 0, 1, 5} {
				if hi <= lo || !allCases() && (i+j+k)%3 != 0 {
					continue
				}
				t.Run(fmt.Sprintf("%d/%g..%g", parties, lo, hi), func(t *testing.T) {
					const n = 2000
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
						if e := math.Abs(y-math.Exp(x.F[i])) / max(1, math.Exp(x.F[i])); !(e <= 1e-3) {
							t.Fatalf("exp(%g) is %g, off by %.3g", x.F[i], y, e)
						}
					}
				})
			}
		}
	}
}
