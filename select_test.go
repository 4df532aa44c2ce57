package smpcc_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/ir"
	"smpcc/passes"
)

var wan = passes.Network{RTT: 0.04, Bandwidth: 1e8}

// selected compiles a graph for a network.
func selected(t *testing.T, parties int, net passes.Network, build func(g *graph)) *plan.Plan {
	t.Helper()
	g := newGraph(t, parties)
	build(g)
	c, err := smpcc.CompileModule(g.m, smpcc.Options{Net: net}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify.Check(c.Plan).Err(); err != nil {
		t.Fatal(err)
	}
	return c.Plan
}

// TestSelect says which comparison a tensor gets, and why.
func TestSelect(t *testing.T) {
	relu := func(n int) func(g *graph) {
		return func(g *graph) { g.reveal("out", g.e(ir.OpRelu, nil, g.input("x", "p0", "int", -1e6, 1e6, n))) }
	}
	wide := func(g *graph) { g.reveal("out", g.e(ir.OpRelu, nil, g.input("x", "p0", "int", -1e12, 1e12, 3000))) }
	bits := func(g *graph) { g.reveal("out", g.e(ir.OpLtz, nil, g.input("x", "p0", "int", -1e6, 1e6, 8))) }
	both := func(g *graph) {
		x := g.input("x", "p0", "int", -1e6, 1e6, 8)
		g.reveal("bits", g.e(ir.OpLtz, nil, x))
		g.reveal("chosen", g.e(ir.OpRelu, nil, x))
	}
	branches := func(g *graph, relus int) { // as many one after the other, beside a comparison whose bit becomes a number
		x := g.input("x", "p0", "int", -1e6, 1e6, 8)
		y := x
		for i := range relus {
			if i > 0 {
				y = g.e(ir.OpSub, nil, y, g.input(fmt.Sprint("y", i), "p1", "int", -1e6, 1e6, 8))
			}
			y = g.e(ir.OpRelu, nil, y)
		}
		g.reveal("long", y)
		g.reveal("short", g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, g.e(ir.OpLt, nil, x, g.e(ir.OpNeg, nil, x))))
	}
	aside := func(g *graph) { branches(g, 4) }
	beside := func(g *graph) { branches(g, 2) }
	for _, c := range []struct {
		name    string
		parties int
		net     passes.Network
		build   func(g *graph)
		want    []string // protocol and reason of each comparison
	}{
		{"lan", 2, passes.Network{}, relu(8), nil},
		{"lan, spelled out", 2, passes.Network{RTT: 200e-6, Bandwidth: 1e9}, relu(8), nil},
		{"a round below a millisecond", 2, passes.Network{RTT: 1.9e-3, Bandwidth: 1e9}, relu(8), nil},
		{"a round of a millisecond", 2, passes.Network{RTT: 2e-3, Bandwidth: 1e9}, relu(8), []string{"dcf: saves 2 rounds"}},
		{"wan", 2, wan, relu(8), []string{"dcf: saves 2 rounds"}},
		{"wan, some wide elements", 2, wan, wide, []string{"dpf: saves 1 round, values in the keys weigh more than another"}},
		{"wan, bits", 2, wan, bits, []string{"dpf: saves 1 round"}},
		{"wan, bits and a choice", 2, wan, both, []string{"dpf: saves 1 round", "dcf: saves 2 rounds"}},
		{"wan, many elements", 2, wan, relu(50_000), []string{"masktree: the keys weigh more than the rounds"}},
		{"wan of little bandwidth", 2, passes.Network{RTT: 0.04, Bandwidth: 1e5}, relu(100), []string{"masktree: the keys weigh more than the rounds"}},
		{"three parties", 3, wan, relu(8), []string{"masktree: keys are for two parties, here are 3"}},
		{"beside a longer branch", 2, wan, aside, []string{"dcf: saves 2 rounds", "dcf: saves 2 rounds", "dcf: saves 2 rounds", "dcf: saves 2 rounds", "masktree: nothing waits for its rounds"}},
		{"beside a branch one round longer", 2, wan, beside, []string{"dpf: saves 1 round, nothing waits for another", "dcf: saves 2 rounds", "dpf: saves 1 round"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := selected(t, c.parties, c.net, c.build)
			var got []string
			for _, x := range p.Manifest.Choices {
				got = append(got, x.Taken+": "+x.Why)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if lan := selected(t, c.parties, passes.Network{}, c.build); c.want == nil && !bytes.Equal(stepsOf(p), stepsOf(lan)) {
				t.Error("the plan is not that of a LAN")
			}
		})
	}
}

// TestWeighed compares the bytes and rounds that were weighed with those of the plans that either choice makes.
func TestWeighed(t *testing.T) {
	for _, op := range []ir.Op{ir.OpLt, ir.OpEq, ir.OpMax} {
		for _, hi := range []float64{3, 100, 1e4, 1e6, 1e9, 1e12, 1e18} {
			for _, n := range []int{1, 13, 5000} {
				t.Run(fmt.Sprintf("%s/%g/%d", op, hi, n), func(t *testing.T) {
					build := func(g *graph) {
						g.reveal("out", g.e(op, nil, g.input("x", "p0", "int", -hi, hi, n), g.input("y", "p1", "int", -hi, hi, n)))
					}
					near, keys := selected(t, 2, passes.Network{}, build), selected(t, 2, far, build)
					if len(keys.Manifest.Choices) != 1 {
						t.Fatalf("chosen were %+v", keys.Manifest.Choices)
					}
					choice, want := keys.Manifest.Choices[0], "dpf"
					if op == ir.OpMax {
						want = "dcf"
					}
					tree, dpf := choice.Candidates[0], choice.Candidates[len(choice.Candidates)-1]
					if choice.Taken != want || dpf.Name != want {
						t.Fatalf("chosen was %+v", choice)
					}
					a, b := near.Cost(), keys.Cost()
					if got := a.Phases[plan.Online].Rounds - b.Phases[plan.Online].Rounds; got != tree.Rounds-dpf.Rounds {
						t.Errorf("%d rounds are saved, %d were said", got, tree.Rounds-dpf.Rounds)
					}
					if got := a.Phases[plan.Online].Sent[0] - b.Phases[plan.Online].Sent[0]; got != int64(tree.Online-dpf.Online) {
						t.Errorf("%d bytes are saved, %d were said", got, tree.Online-dpf.Online)
					}
					if got := b.Dealt - a.Dealt; got != int64(dpf.Material-tree.Material) {
						t.Errorf("the dealer sends %d bytes more, %d were said", got, dpf.Material-tree.Material)
					}
				})
			}
		}
	}
}

// TestArgMaxOfPairs: where rounds are dear an arg-max of more than four elements takes the rounds of two levels of a tree, and gives the first of
// the largest elements as a tree does.
func TestArgMaxOfPairs(t *testing.T) {
	const rows = 6
	for _, c := range []struct {
		name    string
		parties int
		net     passes.Network
		k, axis int
		rounds  int // online, with that of the reveal
	}{
		{"lan", 2, passes.Network{}, 10, 1, 13},
		{"four elements", 2, wan, 4, 1, 5},
		{"five elements", 2, wan, 5, 1, 5},
		{"ten elements", 2, wan, 10, 1, 5},
		{"first axis", 2, wan, 10, 0, 5},
		{"most elements", 2, far, 64, 1, 5},
		{"more elements than are paired", 2, far, 65, 1, 15},
		{"little bandwidth", 2, passes.Network{RTT: 0.04, Bandwidth: 1e6}, 10, 1, 9},
		{"three parties", 3, wan, 10, 1, 7},
	} {
		for _, op := range []ir.Op{ir.OpAdd, ir.OpMul} { // the truncation of a product rounds each element at random
			t.Run(c.name+"/"+string(op), func(t *testing.T) {
				shape := []int{rows, c.k}
				if c.axis == 0 {
					shape = []int{c.k, rows}
				}
				g := newGraph(t, c.parties)
				v := g.e(op, nil, g.input("x", "p0", "real", -8, 8, shape...), g.input("y", "p1", "real", -8, 8, shape...))
				g.reveal("out", g.e(ir.OpArgMax, ir.Attrs{ir.I("axis", int64(c.axis))}, v))
				data := map[string]*ir.Tensor{"x": ir.NewTensor(ir.Real, shape), "y": ir.NewTensor(ir.Real, shape)}
				at := func(row, i int) int {
					if c.axis == 0 {
						return i*rows + row
					}
					return row*c.k + i
				}
				for row := range rows {
					for i := range c.k {
						data["y"].F[at(row, i)] = 0.7
						data["x"].F[at(row, i)] = [rows]float64{
							float64(i) / 16,                // the last
							-float64(i) / 16,               // the first; the others are negative
							-3,                             // all are equal
							float64(i%2) - 2,               // the second, and others that equal it
							max(-8, -float64((i-2)*(i-2))), // in the middle
							float64(i/(c.k-1)) - 8,         // the last, of the smallest
						}[row]
					}
				}
				want, err := ir.Run(g.m, data)
				if err != nil {
					t.Fatal(err)
				}
				got, comp := secure(t, g, smpcc.Options{Net: c.net, RevealBits: 40}, data)
				rounds := c.rounds
				if op == ir.OpMul {
					rounds += 2 // of the factors and of the truncation
				}
				if r := comp.Plan.Cost().Phases[plan.Online].Rounds; r != rounds {
					t.Errorf("%d rounds, want %d", r, rounds)
				}
				for row := range got {
					first := int(want["out"].I[row])
					if int(got[row]) != first && (op == ir.OpAdd || data["x"].F[at(row, int(got[row]))] != data["x"].F[at(row, first)]) {
						t.Errorf("row %d: got %g, want %d", row, got[row], first)
					}
				}
			})
		}
	}
}
