package smpcc_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
	"smpcc/ir/text"
	"smpcc/passes"
	"smpcc/runtime/local"
)

// A primitive is a small function whose secure result must agree with its plaintext meaning: exactly, or within ulps units
// in the last place for every party beyond the first.
type primitive struct {
	name  string
	ulps  int // per party and truncation
	build func(b *graph) *ir.Value
}

// A graph builds a module by hand.
type graph struct {
	t     *testing.T
	f     *ir.Func
	m     *ir.Module
	cells int // elements of each operand
	net   passes.Network
}

// far is a network on which rounds are worth any number of bytes: comparisons are by keys of distributed point functions.
var far = passes.Network{RTT: 10, Bandwidth: 1e12}

func newGraph(t *testing.T, parties int) *graph {
	f := ir.NewFunc("main")
	return &graph{t, f, &ir.Module{Name: "test", Parties: smpcc.PartyNames(parties), Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}, cells, passes.Network{}}
}

func (g *graph) e(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	g.t.Helper()
	v, err := g.f.Emit(diag.Pos{File: "test", Node: string(op)}, op, attrs, args...)
	if err != nil {
		g.t.Fatal(err)
	}
	return v
}

func (g *graph) input(name, owner, elem string, lo, hi float64, shape ...int) *ir.Value {
	a := ir.Attrs{ir.S("name", name), ir.S("owner", owner), ir.S("elem", elem), ir.Dims("shape", shape)}
	if elem != "bool" {
		a = append(a, ir.F("lo", lo), ir.F("hi", hi))
	}
	return g.e(ir.OpInput, a)
}

func (g *graph) reveal(name string, v *ir.Value) {
	g.e(ir.OpReveal, ir.Attrs{ir.S("name", name), ir.Ss("to", g.m.Parties...)}, v)
}

const cells = 64 // elements of each operand, if nothing else is said

// xy declares two operands of different owners.
func (g *graph) xy(elem string, lo, hi float64) (x, y *ir.Value) {
	return g.input("x", "p0", elem, lo, hi, 4, g.cells/4), g.input("y", "p1", elem, lo, hi, 4, g.cells/4)
}

var primitives = []primitive{
	{"add", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -1e6, 1e6); return g.e(ir.OpAdd, nil, x, y) }},
	{"sub with a public number", 0, func(g *graph) *ir.Value {
		x, _ := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpSub, nil, g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, 77))}), x)
	}},
	{"product of integers", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -1e6, 1e6); return g.e(ir.OpMul, nil, x, y) }},
	{"product of reals, truncated", 1, func(g *graph) *ir.Value {
		x, y := g.xy("real", -100, 100)
		z := g.e(ir.OpMul, nil, x, y)
		return g.e(ir.OpSub, nil, g.e(ir.OpMul, nil, z, g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, 1))})), x)
	}},
	{"matmul", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1000, 1000)
		return g.e(ir.OpMatMul, nil, x, g.e(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, y))
	}},
	{"conv", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1000, 1000)
		a := g.e(ir.OpReshape, ir.Attrs{ir.Is("shape", 1, 4, 4, 4)}, x)
		w := g.e(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, 0, 0, 0), ir.Is("ends", 4, 2, 2, 2), ir.Is("steps", 1, 1, 1, 1)}, g.e(ir.OpReshape, ir.Attrs{ir.Is("shape", 4, 2, 2, 4)}, y))
		return g.e(ir.OpConv, ir.Attrs{ir.Is("pads", 1, 0, 1, 0), ir.I("group", 2)}, a, w)
	}},
	{"less than, narrow", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -100, 100); return g.e(ir.OpLt, nil, x, y) }},
	{"less than, wide", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -1e12, 1e12); return g.e(ir.OpLt, nil, x, y) }},
	{"less than, widest", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -1e18, 1e18); return g.e(ir.OpLt, nil, x, y) }},
	{"equal, narrow", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -3, 3); return g.e(ir.OpEq, nil, x, y) }},
	{"equal, widest", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -1e18, 1e18); return g.e(ir.OpEq, nil, x, y) }},
	{"max", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -1e6, 1e6); return g.e(ir.OpMax, nil, x, y) }},
	{"max, widest", 0, func(g *graph) *ir.Value { x, y := g.xy("int", -1e18, 1e18); return g.e(ir.OpMax, nil, x, y) }},
	{"relu", 0, func(g *graph) *ir.Value { x, _ := g.xy("int", -1e6, 1e6); return g.e(ir.OpRelu, nil, x) }},
	{"relu with truncation", 2, func(g *graph) *ir.Value { // a product has a bit less than x, from which it is subtracted
		x, y := g.xy("real", -30, 30)
		r := g.e(ir.OpRelu, nil, g.e(ir.OpMul, nil, x, y))
		return g.e(ir.OpSub, nil, r, x)
	}},
	{"select", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpSelect, nil, g.e(ir.OpGe, nil, x, y), g.e(ir.OpAdd, nil, x, x), y)
	}},
	{"select of public values", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		c := func(k int64) *ir.Value { return g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, k))}) }
		return g.e(ir.OpSelect, nil, g.e(ir.OpNe, nil, x, y), c(5), c(-7))
	}},
	{"logic", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -50, 50)
		a, b := g.e(ir.OpLt, nil, x, y), g.e(ir.OpLe, nil, g.e(ir.OpNeg, nil, x), y)
		return g.e(ir.OpXor, nil, g.e(ir.OpAnd, nil, a, b), g.e(ir.OpOr, nil, g.e(ir.OpNot, nil, b), a))
	}},
	{"bits of the parties", 0, func(g *graph) *ir.Value { x, y := g.xy("bool", 0, 1); return g.e(ir.OpOr, nil, x, y) }},
	{"bits to numbers", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -50, 50)
		return g.e(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 0)}, g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, g.e(ir.OpGt, nil, x, y)))
	}},
	{"argmax", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -5, 5)
		return g.e(ir.OpArgMax, ir.Attrs{ir.I("axis", 1)}, g.e(ir.OpConcat, ir.Attrs{ir.I("axis", 1)}, x, y))
	}},
	{"maxpool", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		z := g.e(ir.OpReshape, ir.Attrs{ir.Is("shape", 1, 1, 8, 8)}, g.e(ir.OpAdd, nil, x, y))
		return g.e(ir.OpMaxPool, ir.Attrs{ir.Is("kernel", 3, 3), ir.Is("strides", 2, 2), ir.Is("pads", 1, 1, 1, 1)}, z)
	}},
	{"views", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		p := g.e(ir.OpMul, nil, g.e(ir.OpPad, ir.Attrs{ir.Is("pads", 1, 0, 0, 2)}, x), g.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 2, 1, 0)}, y))
		return g.e(ir.OpGather, ir.Attrs{ir.I("axis", 2), ir.Is("indices", 3, 3, 0, 17)}, g.e(ir.OpExpand, ir.Attrs{ir.Is("shape", 2, 5, 18)}, p))
	}},
	{"thresholds", 0, func(g *graph) *ir.Value {
		x, _ := g.xy("int", -100, 100)
		c := g.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", []int{g.cells, 3})}, g.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{g.cells, 1})}, x))
		t := g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{1, 3}, -7, 0, 99))})
		return g.e(ir.OpAnd, nil, g.e(ir.OpLt, nil, c, t), g.e(ir.OpNot, nil, g.e(ir.OpEq, nil, c, t)))
	}},
	{"thresholds side by side", 0, func(g *graph) *ir.Value {
		x, _ := g.xy("int", -100, 100)
		c := g.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{1, g.cells})}, x)
		t := g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{3, 1}, -7, 0, 99))})
		return g.e(ir.OpLt, nil, c, t)
	}},
	{"relu above thresholds", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -100, 100)
		c := g.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", []int{g.cells, 3})}, g.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{g.cells, 1})}, g.e(ir.OpAdd, nil, x, y)))
		t := g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{1, 3}, -7, 0, 99))})
		return g.e(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 1)}, g.e(ir.OpRelu, nil, g.e(ir.OpSub, nil, c, t)))
	}},
	{"quotient by a constant", 0, func(g *graph) *ir.Value {
		x, _ := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpIntDiv, ir.Attrs{ir.I("down", 1)}, x, g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, -77))}))
	}},
	{"remainder by a secret", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpIntMod, nil, x, g.e(ir.OpClip, ir.Attrs{ir.F("lo", 1), ir.F("hi", 999)}, y))
	}},
	{"low bits", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpWrap, ir.Attrs{ir.I("bits", 8), ir.I("signed", 1)}, g.e(ir.OpAdd, nil, x, y))
	}},
	{"product of a stated range", 0, func(g *graph) *ir.Value {
		x, y := g.xy("int", -1e6, 1e6)
		return g.e(ir.OpMulShift, ir.Attrs{ir.I("frac", 0), ir.I("keep", 0), ir.S("to", "int"), ir.F("lo", -1e12), ir.F("hi", 1e12)}, x, y)
	}},
	{"relu, widest", 0, func(g *graph) *ir.Value { x, _ := g.xy("int", -1e18, 1e18); return g.e(ir.OpRelu, nil, x) }},
	{"clip", 0, func(g *graph) *ir.Value {
		x, _ := g.xy("int", -100, 100)
		return g.e(ir.OpClip, ir.Attrs{ir.F("lo", -9), ir.F("hi", 11)}, x)
	}},
}

// edges draws values that are often at the ends of their range, at zero or next to it.
func edges(r *rand.Rand, p plan.Port, n int) *ir.Tensor {
	e := map[string]ir.Elem{"real": ir.Real, "int": ir.Int, "bool": ir.Bool}[p.Elem]
	t := ir.NewTensor(e, p.Shape)
	for i := range n {
		if e == ir.Bool {
			t.I[i] = int64(r.IntN(2))
			continue
		}
		step := math.Ldexp(1, -p.Scale)
		x := []float64{p.Lo, p.Hi, 0, step, -step, p.Lo + step, p.Hi - step, p.Lo / 2, p.Hi / 2}[r.IntN(9)]
		if r.IntN(2) == 0 {
			x = p.Lo + (p.Hi-p.Lo)*r.Float64()
		}
		x = math.Round(x/step) * step
		if e == ir.Real {
			t.F[i] = x
		} else {
			t.I[i] = int64(x)
		}
	}
	return t
}

func TestPrimitives(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		for _, p := range primitives {
			t.Run(fmt.Sprintf("%s/%d parties", p.name, n), func(t *testing.T) { sweep(t, p, newGraph(t, n), n, 4*cells, uint64(n), uint64(len(p.name))) })
		}
	}
	for _, p := range primitives {
		for _, n := range []int{2, 3} {
			t.Run(fmt.Sprintf("%s/%d parties/far", p.name, n), func(t *testing.T) {
				g := newGraph(t, n)
				g.net = far
				sweep(t, p, g, n, 4*cells, uint64(n), uint64(len(p.name)))
			})
		}
	}
}

// TestBlocks runs elementwise primitives on tensors of many blocks and a bit, which the engine shares out among processors.
func TestBlocks(t *testing.T) {
	names := []string{"product of reals, truncated", "less than, narrow", "less than, widest", "equal, widest", "max", "relu with truncation", "select", "logic", "bits to numbers", "clip"}
	for i, name := range names {
		if testing.Short() && i%4 != 0 {
			continue
		}
		for _, p := range primitives {
			if p.name != name {
				continue
			}
			n := 2 + i%2
			t.Run(fmt.Sprintf("%s/%d parties", p.name, n), func(t *testing.T) {
				g := newGraph(t, n)
				g.cells = 4 * 4357 // 34 blocks and 20 elements
				sweep(t, p, g, n, 1, uint64(n), uint64(len(p.name)))
			})
			t.Run(p.name+"/far", func(t *testing.T) {
				g := newGraph(t, 2)
				g.cells, g.net = 4*4357, far
				sweep(t, p, g, 2, 1, uint64(i), uint64(len(p.name)))
			})
		}
	}
}

// TestPrimitivesNightly sweeps 10^7 values of each primitive under SMPCC_NIGHTLY=1, or as many as SMPCC_NIGHTLY says.
func TestPrimitivesNightly(t *testing.T) {
	values, err := strconv.Atoi(os.Getenv("SMPCC_NIGHTLY"))
	if err != nil {
		t.Skip("takes hours: set SMPCC_NIGHTLY=1")
	}
	if values == 1 {
		values = 1e7
	}
	seed := uint64(time.Now().UnixNano())
	for i, p := range primitives {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			sweep(t, p, newGraph(t, 2+i%2), 2+i%2, values, seed, uint64(i))
		})
		t.Run(p.name+"/far", func(t *testing.T) {
			t.Parallel()
			g := newGraph(t, 2)
			g.net = far
			sweep(t, p, g, 2, values, seed, uint64(i))
		})
	}
}

// sweep runs a primitive for n parties on at least the given number of values of each operand.
func sweep(t *testing.T, p primitive, g *graph, n, values int, seed1, seed2 uint64) {
	t.Helper()
	g.reveal("out", p.build(g))
	c, err := smpcc.CompileModule(g.m, smpcc.Options{Net: g.net, RevealBits: 40}, true)
	if err != nil {
		t.Fatal(err)
	}
	if keys := uses(c.Plan, plan.StepDPF); keys && (n != 2 || g.net != far) || !keys && n == 2 && g.net == far && uses(c.Plan, plan.StepLeaf) {
		t.Errorf("keys are used: %v, with %d parties on network %+v", keys, n, g.net)
	}
	checkMasks(t, c.Plan)
	if err := verify.Check(c.Plan).Err(); err != nil {
		t.Errorf("verify: %v", err)
	}
	fixed := level(t, c.Plan, "fixed")
	runner, err := local.New(context.Background(), c.Plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(seed1, seed2))
	for done := 0; done < values; done += g.cells {
		data := map[string]*ir.Tensor{}
		var in [][]uint64
		for _, port := range c.Plan.Manifest.Inputs {
			data[port.Name] = edges(r, port, port.Len())
			if port.Name == "y" { // equal operands are an edge too
				for i := range 8 {
					if x := data["x"]; x.Elem == ir.Real {
						data["y"].F[i] = x.F[i]
					} else {
						data["y"].I[i] = x.I[i]
					}
				}
			}
			w, err := smpcc.Bind(port, data[port.Name])
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, w)
		}
		want, err := ir.Run(fixed, data)
		if err != nil {
			t.Fatal(err)
		}
		res, err := runner.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		checkCost(t, c.Plan, res)
		o := c.Plan.Manifest.Outputs[0]
		slack := int64(p.ulps*n) << max(0, o.Scale-16)
		for role := range n {
			for i, w := range res.Outputs[role]["out"] {
				got, exp := int64(w), want["out"].I[i]
				if d := got - exp; d > slack || -d > slack {
					t.Fatalf("seeds %d and %d, value %d: element %d is %d, want %d within %d", seed1, seed2, done, i, got, exp, slack)
				}
			}
		}
	}
}

// uses reports whether party 0 runs a step online.
func uses(p *plan.Plan, op plan.StepOp) bool {
	for _, r := range p.Programs[0].Online {
		for i := range r.Steps {
			if r.Steps[i].Op == op {
				return true
			}
		}
	}
	return false
}

// A reporter is a test or a check of a property.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Fatal(args ...any)
}

// level parses the IR text that a plan carries.
func level(t reporter, p *plan.Plan, name string) *ir.Module {
	t.Helper()
	for _, d := range p.Manifest.Dumps {
		if d.Level == name {
			m, err := text.Parse(name, []byte(d.Text))
			if err != nil {
				t.Fatal(err)
			}
			if again := m.String(); again != d.Text {
				t.Fatalf("%s level: print, parse, print is not the identity", name)
			}
			return m
		}
	}
	t.Fatalf("plan has no level %s", name)
	return nil
}

// checkCost compares what a run sent with what the plan says.
func checkCost(t reporter, p *plan.Plan, r *local.Result) {
	t.Helper()
	cost := p.Cost()
	for ph, got := range map[plan.Phase]local.Phase{plan.Offline: r.Offline, plan.Online: r.Online} {
		want := cost.Phases[ph]
		if got.Rounds != want.Rounds {
			t.Errorf("%v took %d rounds, the plan says %d", ph, got.Rounds, want.Rounds)
		}
		for i := range want.Sent {
			if got.Sent[i] != want.Sent[i] {
				t.Errorf("%v: %s sent %d bytes, the plan says %d", ph, p.Roles()[i], got.Sent[i], want.Sent[i])
			}
		}
	}
}

// checkMasks reads a plan and checks that every opening carries a fresh uniform mask: its item is random with all senders
// as holders (or dealt shares of zero, for outputs), of the opening's size and width, used by no other opening, drawn once
// by each holder, and the last thing added to what is sent.
func checkMasks(t reporter, p *plan.Plan) {
	t.Helper()
	last := p.NumParties() - 1
	opened := map[int]string{}
	for role := range p.NumParties() {
		g := &p.Programs[role]
		by := map[int]*plan.Step{} // slot -> the step that made it
		drawn := map[int]int{}     // item -> slot
		received := map[int]int{}  // slot -> item of the correction
		uses := map[int]int{}      // slot of a mask -> openings it masks
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			for r, round := range g.Rounds(ph) {
				for i := range round.Steps {
					s := &round.Steps[i]
					by[s.Dst] = s
					if s.Op == plan.StepPRG {
						item := int(s.Args[0])
						if _, twice := drawn[item]; twice {
							t.Errorf("%s draws item %d twice", g.Role, item)
						}
						drawn[item] = s.Dst
					}
				}
				for _, o := range round.Opens {
					where := fmt.Sprintf("%s %v round %d", g.Role, ph, r)
					it := p.Items[o.Item-1]
					if o.Kind == plan.Keys {
						continue
					}
					if o.Kind == plan.Correction {
						if role == last {
							received[o.Dst] = o.Item - 1
						}
						continue
					}
					sends := false
					for _, f := range o.From {
						sends = sends || f == role
					}
					if !sends {
						continue
					}
					if was, again := opened[o.Item]; again && was != fmt.Sprint(ph, r) {
						t.Errorf("%s: item %d masks two openings", where, o.Item-1)
					}
					opened[o.Item] = fmt.Sprint(ph, r)
					if it.Dealt != (o.Kind == plan.Reveal) || it.Len != o.Len || it.Bits != o.Bits || it.Mode != o.Mode {
						t.Errorf("%s: item %d (%s) does not fit the opening", where, o.Item-1, it.What)
					}
					mask, ok := drawn[o.Item-1]
					if it.Dealt && role == last {
						ok = false
						for slot, item := range received {
							if item == o.Item-1 {
								mask, ok = slot, true
							}
						}
					}
					if !ok {
						t.Errorf("%s: item %d is not there", where, o.Item-1)
						continue
					}
					if uses[mask]++; uses[mask] > 1 {
						t.Errorf("%s: the mask in s%d serves twice", where, mask)
					}
					s := by[o.Src]
					want := plan.StepAdd
					if o.Mode == plan.Xor {
						want = plan.StepXor
					}
					if o.Src != mask && (s == nil || s.Op != want || s.Src[0] != mask && s.Src[1] != mask || s.Src[0] == s.Src[1]) {
						t.Errorf("%s: what is sent from s%d is not a value plus its mask s%d", where, o.Src, mask)
					}
				}
			}
		}
	}
}

func TestSamePlanEveryTime(t *testing.T) {
	for k, path := range []string{"examples/mnist/model.onnx", "examples/auction/auction.smp", "examples/mnist/model.onnx"} {
		var first string
		for i := range 3 {
			old := runtime.GOMAXPROCS([]int{1, 2, 4}[i])
			opt := smpcc.Options{}
			if k == 2 {
				opt.Net = passes.Network{RTT: 0.04, Bandwidth: 1e8}
			}
			if strings.HasSuffix(path, ".onnx") {
				opt.Dims = map[string]int{"N": 1}
			}
			c, err := smpcc.Compile(path, opt)
			runtime.GOMAXPROCS(old)
			if err != nil {
				t.Fatal(err)
			}
			if d := c.Plan.Digest(); first == "" {
				first = d
				checkMasks(t, c.Plan)
				for _, l := range []string{"graph", "fixed", "share"} {
					level(t, c.Plan, l)
				}
				share := level(t, c.Plan, "share")
				if _, rounds := backend.CriticalPath(share.Main()); rounds != c.Plan.Cost().Phases[plan.Online].Rounds {
					t.Errorf("%s: critical path of %d rounds, plan of %d", path, rounds, c.Plan.Cost().Phases[plan.Online].Rounds)
				}
			} else if d != first {
				t.Fatalf("%s: compilation %d gives another plan", path, i)
			}
		}
	}
}

// TestMeaningKept evaluates models in the clear after every pass: no pass may change what is computed, beyond the
// stated error of approximation and fixed point.
func TestMeaningKept(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, p := range primitives {
		t.Run(p.name, func(t *testing.T) {
			g := newGraph(t, 2)
			g.reveal("out", p.build(g))
			data := map[string]*ir.Tensor{}
			for _, v := range g.f.Inputs() {
				data[v.Attrs.Str("name")] = edges(r, plan.Port{Elem: v.Attrs.Str("elem"), Scale: map[string]int{"real": 16}[v.Attrs.Str("elem")], Lo: v.Attrs.Float("lo", 0), Hi: v.Attrs.Float("hi", 0), Shape: v.Type.Shape}, v.Type.Shape.Size())
			}
			want, err := ir.Run(g.m, data)
			if err != nil {
				t.Fatal(err)
			}
			check := func(pass string, m *ir.Module) {
				vals, err := ir.Eval(m.Main(), ir.Env{Inputs: data, Weights: m.Weights, Check: true})
				if err != nil {
					t.Fatalf("after %s: %v", pass, err)
				}
				v := m.Main().Reveals()[0]
				got := vals[v]
				for i := range got.Len() {
					x := math.Ldexp(got.At(i), -v.Type.Scale)
					if d := math.Abs(x - want["out"].At(i)); !(d <= 0.01*float64(p.ulps)) {
						t.Fatalf("after %s: element %d is %g, want %g", pass, i, x, want["out"].At(i))
					}
				}
			}
			opt := &passes.Options{FracBits: 16, Default: policy.New("", policy.Rule{Output: "*", To: g.m.Parties}), Observe: check}
			if _, err := passes.Run(g.m, opt); err != nil {
				t.Fatal(err)
			}
			if err := backend.AssignForms(g.m); err != nil {
				t.Fatal(err)
			}
			check("form", g.m)
		})
	}
}

// TestJoinedComparisons opens the exclusive or of comparisons: of different values, of one value with several thresholds, and of three.
func TestJoinedComparisons(t *testing.T) {
	const n = 6
	data := map[string]*ir.Tensor{"x": ir.Ints(ir.Shape{n}, 1, -2, 3, -4, 0, 6), "y": ir.Ints(ir.Shape{n}, 1, 2, -3, -4, -5, 0)}
	for _, parties := range []int{2, 3} {
		for name, of := range map[string]func(g *graph, below func(v *ir.Value, k int64) *ir.Value, x, y *ir.Value) *ir.Value{
			"two values": func(g *graph, below func(v *ir.Value, k int64) *ir.Value, x, y *ir.Value) *ir.Value {
				return g.e(ir.OpXor, nil, below(x, 0), below(y, 0))
			},
			"two thresholds": func(g *graph, below func(v *ir.Value, k int64) *ir.Value, x, y *ir.Value) *ir.Value {
				return g.e(ir.OpXor, nil, below(x, 0), below(x, 5))
			},
			"three": func(g *graph, below func(v *ir.Value, k int64) *ir.Value, x, y *ir.Value) *ir.Value {
				return g.e(ir.OpXor, nil, g.e(ir.OpXor, nil, below(x, 0), below(y, 1)), below(x, 3))
			},
		} {
			t.Run(name, func(t *testing.T) {
				g := newGraph(t, parties)
				x, y := g.input("x", "p0", "int", -100, 100, n), g.input("y", "p1", "int", -100, 100, n)
				below := func(v *ir.Value, k int64) *ir.Value {
					return g.e(ir.OpLt, nil, v, g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, k))}))
				}
				g.reveal("out", g.e(ir.OpSelect, nil, of(g, below, x, y), g.e(ir.OpNeg, nil, x), x))
				want, err := ir.Run(g.m, data)
				if err != nil {
					t.Fatal(err)
				}
				got, _ := secure(t, g, smpcc.Options{}, data)
				for i, z := range got {
					if z != want["out"].At(i) {
						t.Errorf("got %v, want %v", got, want["out"])
						break
					}
				}
			})
		}
	}
}
