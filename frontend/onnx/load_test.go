package onnx

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/text"
)

// loaded loads a model of opset 17.
func loaded(t *testing.T, g *pb.GraphProto, opt Options) *ir.Module {
	t.Helper()
	m, err := LoadBytes("dir/net.onnx", encode(t, modelOf(17, g)), opt)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// printed returns the textual form of a module.
func printed(t *testing.T, m *ir.Module) string {
	t.Helper()
	var b strings.Builder
	if err := ir.Print(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestOwners checks who owns what, by default and by options, and that only what is used is kept.
func TestOwners(t *testing.T) {
	build := func() *pb.GraphProto {
		g := withInput(graph("a b", nd("Mul", "x w", "a"), nd("Clip", "a lo", "c"), nd("Add", "c v", "b")))
		for _, name := range []string{"w", "v", "unused"} {
			withInit(g, name, reals(dims(1), 2))
		}
		withInit(g, "lo", num(0))
		g.Input = append(g.Input, vi("w", ir.Real, 1)) // listed as an input too
		return g
	}
	m := loaded(t, build(), Options{})
	if m.Name != "net" || m.Dealer != "d" || !slices.Equal(m.Parties, []string{"p0", "p1"}) || m.Main().Name != "main" {
		t.Errorf("module is %q, %v, %s", m.Name, m.Parties, m.Dealer)
	}
	if got := slices.Sorted(maps.Keys(m.Weights)); !slices.Equal(got, []string{"v", "w"}) {
		t.Errorf("weights are %v, want v and w", got)
	}
	check := func(m *ir.Module, want map[string]string) {
		t.Helper()
		got := map[string]string{}
		for _, v := range m.Main().Body {
			switch v.Op {
			case ir.OpInput, ir.OpWeight:
				got[v.Attrs.Str("name")] = v.Attrs.Str("owner")
			case ir.OpReveal:
				got[v.Attrs.Str("name")] = v.Type.Vis.String()
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	check(m, map[string]string{"x": "p1", "w": "p0", "v": "p0", "a": "private(p1)", "b": "private(p1)"})
	m = loaded(t, build(), Options{Parties: []string{"ann", "bob", "eve"}, WeightOwner: "bob", InputOwner: "eve", Owners: map[string]string{"v": "ann"}, Reveal: map[string][]string{"a": {"bob", "ann"}}, DefaultReveal: []string{"ann"}})
	check(m, map[string]string{"x": "eve", "w": "bob", "v": "ann", "a": "private(ann,bob)", "b": "private(ann)"})
	m = loaded(t, build(), Options{Ranges: map[string][2]float64{"x": {-1, 0.5}}})
	x := m.Main().Inputs()[0]
	if x.Attrs.Float("lo", 9) != -1 || x.Attrs.Float("hi", 9) != 0.5 {
		t.Errorf("range is %v", x.Attrs)
	}
}

// TestDerivedWeights checks that functions of weights belong to the owner of the weights.
func TestDerivedWeights(t *testing.T) {
	g := withInput(graph("y", nd("Div", "x w", "a"), nd("Div", "a w", "b"), nd("Mul", "b taken", "y")))
	withInit(g, "w", reals(dims(1), 4))
	withInit(g, "w.Div", reals(dims(1), 64)) // a name that smpcc itself would choose
	g.Node[2].Input[1] = "w.Div"
	m := loaded(t, g, Options{Owners: map[string]string{"w": "p1"}})
	if got := slices.Sorted(maps.Keys(m.Weights)); !slices.Equal(got, []string{"w.Div", "w.Div.2", "w.Div.3"}) {
		t.Errorf("weights are %v", got)
	}
	for _, v := range m.Main().Body {
		if n := v.Attrs.Str("name"); v.Op == ir.OpWeight && (v.Attrs.Str("owner") == "p1") != (n != "w.Div") {
			t.Errorf("weight %s belongs to %s", n, v.Attrs.Str("owner"))
		}
	}
	out, err := ir.Run(m, tensors{"x": reals(dims(3), 1, 2, 3)})
	if err != nil {
		t.Fatal(err)
	}
	if err := near(out["y"], reals(dims(3), 4, 8, 12), 1e-9); err != nil {
		t.Error(err)
	}
}

// TestSymbols checks that dimensions come from options and from the shapes of data, whatever the order of inputs.
func TestSymbols(t *testing.T) {
	build := func() *pb.GraphProto {
		g := graph("y", nd("MatMul", "x z", "y"))
		g.Input = []*pb.ValueInfoProto{vi("x", ir.Real, "N", "K"), vi("z", ir.Real, "K", nil)}
		return g
	}
	for _, opt := range []Options{
		{Dims: map[string]int{"N": 2, "K": 3}, Shapes: map[string]ir.Shape{"z": dims(3, 4)}},
		{Dims: map[string]int{"N": 2}, Shapes: map[string]ir.Shape{"z": dims(3, 4)}},
		{Dims: map[string]int{"N": 2}, Public: tensors{"z": ir.NewTensor(ir.Real, dims(3, 4))}},
	} {
		given := maps.Clone(opt.Dims)
		m := loaded(t, build(), opt)
		if got := m.Main().Reveals()[0].Type.Shape; !got.Equal(dims(2, 4)) {
			t.Errorf("result is %v, want [2,4]", got)
		}
		if !maps.Equal(given, opt.Dims) {
			t.Errorf("the caller's options changed: %v", opt.Dims)
		}
	}
}

// TestPublic checks that public data becomes a constant, whole numbers also where the model wants reals.
func TestPublic(t *testing.T) {
	g := graph("y", nd("Gather", "x i", "g"), nd("Add", "g z", "y"))
	g.Input = []*pb.ValueInfoProto{vi("x", ir.Real, 3), vi("i", ir.Int, 2), vi("z", ir.Real, 2)}
	m := loaded(t, g, Options{Public: tensors{"i": list(2, 0), "z": list(10, 20)}})
	if got := m.Main().Inputs(); len(got) != 1 || got[0].Attrs.Str("name") != "x" {
		t.Errorf("inputs are %v", got)
	}
	out, err := ir.Run(m, tensors{"x": row3})
	if err != nil {
		t.Fatal(err)
	}
	if err := near(out["y"], reals(dims(2), 12, 19), 0); err != nil {
		t.Error(err)
	}
	if _, err := LoadBytes("m.onnx", encode(t, modelOf(17, g)), Options{Public: tensors{"i": row3}}); err == nil {
		t.Error("real data for an integer input was taken")
	}
}

// TestPositions checks that every value says which node it comes from.
func TestPositions(t *testing.T) {
	g := withInit(withInput(graph("y", nd("Mul", "x w", "a"), nd("Relu", "a", "y"))), "w", num(2))
	name := "first"
	g.Node[0].Name = &name
	m := loaded(t, g, Options{})
	var got []string
	for _, v := range m.Main().Body {
		got = append(got, v.Pos.String())
	}
	want := []string{`dir/net.onnx: input "x"`, `dir/net.onnx: initialiser "w"`, `dir/net.onnx: node "first" (Mul)`, `dir/net.onnx: node #1 -> "y" (Relu)`, `dir/net.onnx: output "y"`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestPrint checks that what a model becomes survives printing and parsing, and that loading is deterministic.
func TestPrint(t *testing.T) {
	for _, c := range opCases {
		model, _ := c.model()
		data := encode(t, model)
		var first string
		for range 3 {
			m, err := LoadBytes("m.onnx", data, Options{})
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			s := printed(t, m)
			if first == "" {
				first = s
			}
			if s != first {
				t.Fatalf("%s: loading twice gives\n%s\nand\n%s", c.name, first, s)
			}
			back, err := text.Parse("m.ir", []byte(s))
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if again := printed(t, back); again != s {
				t.Fatalf("%s: printed\n%s\nparsed\n%s", c.name, s, again)
			}
		}
	}
}

// TestInfos checks what a model says of its inputs and outputs.
func TestInfos(t *testing.T) {
	g := graph("y", nd("Add", "x w", "y"))
	g.Input = []*pb.ValueInfoProto{vi("x", ir.Real, "N", 3, nil, -1), vi("w", ir.Real, 3), vi("b", ir.Bool)}
	withInit(g, "w", row3)
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, encode(t, modelOf(17, g)), 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := Inputs(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(in) != 2 || in[0].Name != "x" || !slices.Equal(in[0].Dims, []string{"N", "3", "?", "?"}) || in[1].Elem != ir.Bool {
		t.Errorf("inputs are %+v", in)
	}
	out, err := Outputs(path)
	if err != nil || len(out) != 1 || out[0].Name != "y" {
		t.Errorf("outputs are %+v, %v", out, err)
	}
}
