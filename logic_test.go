package smpcc_test

import (
	"context"
	"fmt"
	"testing"

	"smpcc"
	"smpcc/backend/verify"
	"smpcc/ir"
	"smpcc/runtime/local"
)

// bits returns a tensor of booleans, elementwise if there is one bit.
func bits(b ...int64) *ir.Tensor {
	s := ir.Shape{len(b)}
	if len(b) == 1 {
		s = ir.Shape{}
	}
	t := ir.NewTensor(ir.Bool, s)
	copy(t.I, b)
	return t
}

// TestLogicWithConstants joins secret bits with public ones by every logical op, on either side, of one shape, broadcast, and
// followed by what reads a bit in another form: each compiles, is accepted by the verifier and is right for all values of the bits.
func TestLogicWithConstants(t *testing.T) {
	ofNumbers(t)
	// a and b are all pairs of bits, as x < 0 and as an input
	x, y := []int64{-1, 3, -2, 0}, []int64{1, 1, 0, 0}
	a := func(i int) bool { return x[i] < 0 }
	b := func(i int) bool { return y[i] != 0 }
	ops := map[string]struct {
		op   ir.Op
		mean func(p, q bool) bool
	}{
		"and": {ir.OpAnd, func(p, q bool) bool { return p && q }}, "or": {ir.OpOr, func(p, q bool) bool { return p || q }},
		"xor": {ir.OpXor, func(p, q bool) bool { return p != q }},
	}
	constants := map[string]*ir.Tensor{"true": bits(1), "false": bits(0), "mixed": bits(1, 0, 0, 1), "all true": bits(1, 1, 1, 1), "all false": bits(0, 0, 0, 0)}
	// what is done with the joined bits: each reads them in its own form
	ends := map[string]struct {
		build func(g *graph, v, b *ir.Value) *ir.Value
		mean  func(v, b bool) int64
	}{
		"revealed": {func(g *graph, v, b *ir.Value) *ir.Value { return v }, func(v, b bool) int64 { return number(v) }},
		"not":      {func(g *graph, v, b *ir.Value) *ir.Value { return g.e(ir.OpNot, nil, v) }, func(v, b bool) int64 { return number(!v) }},
		"and bit":  {func(g *graph, v, b *ir.Value) *ir.Value { return g.e(ir.OpAnd, nil, v, b) }, func(v, b bool) int64 { return number(v && b) }},
		"or bit":   {func(g *graph, v, b *ir.Value) *ir.Value { return g.e(ir.OpOr, nil, b, v) }, func(v, b bool) int64 { return number(v || b) }},
		"number": {func(g *graph, v, b *ir.Value) *ir.Value { return g.e(ir.OpCast, ir.Attrs{ir.S("to", "int")}, v) },
			func(v, b bool) int64 { return number(v) }},
		"select": {func(g *graph, v, b *ir.Value) *ir.Value {
			c := func(k int64) *ir.Value { return g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, k))}) }
			return g.e(ir.OpSelect, nil, v, c(5), c(-7))
		}, func(v, b bool) int64 { return 12*number(v) - 7 }},
		"select of bits": {func(g *graph, v, b *ir.Value) *ir.Value {
			one := g.e(ir.OpConst, ir.Attrs{ir.T("data", bits(1))})
			return g.e(ir.OpSelect, nil, v, b, one)
		}, func(v, b bool) int64 { return number(!v || b) }},
	}
	for opName, op := range ops {
		for constName, constant := range constants {
			for _, swapped := range []bool{false, true} {
				for endName, end := range ends {
					for _, inverted := range []bool{false, true} { // a constant is joined to not a, too: a public bit beside the shares
						name := fmt.Sprintf("%s %s/%s/swapped %v/inverted %v", opName, constName, endName, swapped, inverted)
						t.Run(name, func(t *testing.T) {
							g := newGraph(t, 2)
							secret := g.e(ir.OpLt, nil, g.input("x", "p0", "int", -5, 5, 4), g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, 0))}))
							other := g.input("y", "p1", "bool", 0, 1, 4)
							if inverted {
								secret = g.e(ir.OpNot, nil, secret)
							}
							args := []*ir.Value{secret, g.e(ir.OpConst, ir.Attrs{ir.T("data", constant)})}
							if swapped {
								args[0], args[1] = args[1], args[0]
							}
							g.reveal("out", end.build(g, g.e(op.op, nil, args...), other))
							got := logic(t, g, x, y)
							for i := range x {
								c := constant.At(i%constant.Len()) != 0
								if want := end.mean(op.mean(a(i) != inverted, c), b(i)); got[i] != want {
									t.Errorf("element %d is %d, want %d", i, got[i], want)
								}
							}
						})
					}
				}
			}
		}
	}
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// logic compiles a graph, checks that the verifier accepts it, and returns its output.
func logic(t *testing.T, g *graph, x, y []int64) []int64 {
	t.Helper()
	c, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify.Check(c.Plan).Err(); err != nil {
		t.Fatal(err)
	}
	var in [][]uint64
	for _, port := range c.Plan.Manifest.Inputs {
		data := ir.Ints(ir.Shape{len(x)}, x...)
		if port.Name == "y" {
			data = bits(y...)
		}
		w, err := smpcc.Bind(port, data)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, w)
	}
	runner, err := local.New(context.Background(), c.Plan, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := runner.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	out := smpcc.Read(c.Plan.Manifest.Outputs[0], res.Outputs[0]["out"])
	got := make([]int64, len(x))
	for i := range got {
		got[i] = int64(out.At(i % out.Len()))
	}
	return got
}
