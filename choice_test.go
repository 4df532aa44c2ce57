package smpcc_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"smpcc"
	"smpcc/backend"
	"smpcc/backend/plan"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/passes"
)

// TestChoicesByKeys: where rounds are dear, what is made of ReLU opens what it compares and nothing else, and a level of a tree of maxima takes one
// round. Results are those of the plaintext.
func TestChoicesByKeys(t *testing.T) {
	ofNumbers(t)
	const n = 96
	product := func(g *graph) *ir.Value { // two rounds: of the factors, and of what is truncated, which ReLU compares
		x, y := g.input("x", "p0", "real", -30, 30, n), g.input("y", "p1", "real", -30, 30, n)
		return g.e(ir.OpMul, nil, x, y)
	}
	one := func(op ir.Op, attrs ...ir.Attr) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value { return g.e(op, attrs, product(g)) }
	}
	two := func(op ir.Op) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value { return g.e(op, nil, product(g), g.input("z", "p1", "real", -900, 900, n)) }
	}
	most := func(k int) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value {
			z := g.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{n / k, k})}, product(g))
			return g.e(ir.OpReduceMax, ir.Attrs{ir.Is("axes", 1)}, z)
		}
	}
	for _, c := range []struct {
		name             string
		build            func(g *graph) *ir.Value
		near, far, three int // online rounds with the reveal: on a LAN, with keys, among three parties with keys
	}{
		{"relu", one(ir.OpRelu), 5, 3, 5},
		{"leaky relu", one(ir.OpLeaky, ir.F("alpha", 0.25)), 5, 3, 5},
		{"abs", one(ir.OpAbs), 5, 3, 5},
		{"clip", one(ir.OpClip, ir.F("lo", -9), ir.F("hi", 11)), 5, 3, 5},
		{"clip at one end", one(ir.OpClip, ir.F("hi", 11)), 5, 3, 5},
		{"max", two(ir.OpMax), 6, 4, 6}, // of different masks, so that the difference is opened
		{"min", two(ir.OpMin), 6, 4, 6},
		{"largest of 2", most(2), 5, 3, 5},
		{"largest of 4", most(4), 8, 4, 8},
		{"largest of 16", most(16), 14, 6, 14},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, uint64(len(c.name))))
			for _, on := range []struct {
				parties int
				net     passes.Network
				rounds  int
			}{{2, passes.Network{}, c.near}, {2, far, c.far}, {3, far, c.three}} {
				g := newGraph(t, on.parties)
				v := c.build(g)
				g.reveal("out", v)
				data := map[string]*ir.Tensor{}
				for _, in := range g.f.Inputs() {
					port := plan.Port{Elem: "real", Scale: 16, Lo: in.Attrs.Float("lo", 0), Hi: in.Attrs.Float("hi", 0), Shape: in.Type.Shape}
					data[in.Attrs.Str("name")] = edges(r, port, n)
				}
				want, err := ir.Run(g.m, data)
				if err != nil {
					t.Fatal(err)
				}
				got, comp := secure(t, g, smpcc.Options{Net: on.net, RevealBits: 40}, data)
				for i, x := range got {
					if y := want["out"].At(i); math.Abs(x-y) > 1e-3+1e-3*math.Abs(y) {
						t.Fatalf("%d parties: element %d is %g, want %g", on.parties, i, x, want["out"].At(i))
					}
				}
				if r := comp.Plan.Cost().Phases[plan.Online].Rounds; r != on.rounds {
					t.Errorf("%d parties: %d rounds, want %d", on.parties, r, on.rounds)
				}
				if _, r := backend.CriticalPath(level(t, comp.Plan, "share").Main()); r != on.rounds {
					t.Errorf("%d parties: the longest chain has %d rounds, want %d", on.parties, r, on.rounds)
				}
				keys := on.parties == 2 && on.net == far
				if uses(comp.Plan, plan.StepDCF) != keys || uses(comp.Plan, plan.StepReluSel) == keys {
					t.Errorf("%d parties: keys that carry values are used: %v", on.parties, uses(comp.Plan, plan.StepDCF))
				}
			}
		})
	}
}

// TestLeNetFar runs LeNet as it is compiled for a wide area network: each of its seven comparisons takes no message.
func TestLeNetFar(t *testing.T) {
	ofNumbers(t)
	for _, on := range []struct {
		net    passes.Network
		rounds int
	}{{passes.Network{}, 27}, {wan, 13}} { // with one for the truncation of what is revealed
		c, runner := compiled(t, "examples/mnist/model.onnx", smpcc.Options{Net: on.net, Dims: map[string]int{"N": 1}, Ranges: map[string][2]float64{"input": {0, 1}}})
		for set := range 2 {
			x, _, err := onnx.ReadTensor(fmt.Sprintf("examples/mnist/test_data_set_%d/input_0.pb", set))
			if err != nil {
				t.Fatal(err)
			}
			want, err := ir.Run(c.Graph, map[string]*ir.Tensor{"input": x})
			if err != nil {
				t.Fatal(err)
			}
			in, err := smpcc.Bind(c.Plan.Manifest.Inputs[0], x)
			if err != nil {
				t.Fatal(err)
			}
			res, err := runner.Run(context.Background(), [][]uint64{in})
			if err != nil {
				t.Fatal(err)
			}
			checkCost(t, c.Plan, res)
			if res.Online.Rounds != on.rounds {
				t.Errorf("%d rounds, want %d", res.Online.Rounds, on.rounds)
			}
			o := c.Plan.Manifest.Outputs[0]
			got := smpcc.Read(o, res.Outputs[1][o.Name])
			for i := range got.Len() {
				if d := got.At(i) - want[o.Name].At(i); math.Abs(d) > 2e-3 {
					t.Errorf("output %d is %g, want %g", i, got.At(i), want[o.Name].At(i))
				}
			}
		}
	}
}
