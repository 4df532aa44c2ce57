package onnx

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

func init() {
	lists := func(n string, ints ...int64) *pb.AttributeProto { return ais(n, ints...) }
	opCases = append(opCases,
		opCase{name: "OneHotEncoder", nodes: nodes(ml("OneHotEncoder", "x", "y", lists("cats_int64s", 1, 2, 5))), x: tensors{"x": ints(dims(2, 2), 5, 1, 3, 2)}, y: out(reals(dims(2, 2, 3), 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0))},
		opCase{name: "OneHotEncoder of reals", nodes: nodes(ml("OneHotEncoder", "x", "y", lists("cats_int64s", 0, -2))), x: tensors{"x": reals(dims(3), -2, 0, 1.5)}, y: out(reals(dims(3, 2), 0, 1, 1, 0, 0, 0))},
		opCase{name: "OneHotEncoder without zeros", nodes: nodes(ml("OneHotEncoder", "x", "y", lists("cats_int64s", 4, 5, 6), ai("zeros", 0))), x: tensors{"x": list(6, 4)}, y: out(reals(dims(2, 3), 0, 0, 1, 1, 0, 0))},
		opCase{name: "LabelEncoder of integers", nodes: nodes(ml("LabelEncoder", "x", "y", lists("keys_int64s", 3, -7, 12), lists("values_int64s", 100, 50, 7), ai("default_int64", -9))), x: tensors{"x": ints(dims(2, 2), 12, 3, 4, -7)}, y: out(ints(dims(2, 2), 7, 100, -9, 50))},
		opCase{name: "LabelEncoder of integers to reals", nodes: nodes(ml("LabelEncoder", "x", "y", lists("keys_int64s", 1, 2), afs("values_floats", 0.25, -3.5), af("default_float", 1.5))), x: tensors{"x": list(2, 1, 0)}, y: out(reals(dims(3), -3.5, 0.25, 1.5))},
		opCase{name: "LabelEncoder of reals", nodes: nodes(ml("LabelEncoder", "x", "y", afs("keys_floats", 0.5, 2), lists("values_int64s", 8, 9))), x: tensors{"x": reals(dims(3), 2, 0.5, 0.75)}, y: out(list(9, 8, -1))},
		opCase{name: "LabelEncoder of tensors", since: 4, nodes: nodes(ml("LabelEncoder", "x", "y", at("keys_tensor", list(1, 2)), at("values_tensor", reals(dims(2), 10, 20)), at("default_tensor", reals(dims(1), -5)))), x: tensors{"x": list(2, 3)}, y: out(reals(dims(2), 20, -5))},
		opCase{name: "CategoryMapper of integers that are strings", nodes: nodes(ml("CategoryMapper", "x", "t", ass("cats_strings", "a", "b"), lists("cats_int64s", 5, 9)), ml("CategoryMapper", "t", "y", ass("cats_strings", "b", "a", "_Unused"), lists("cats_int64s", 1, 2, 3))),
			x: tensors{"x": list(5, 9, 7)}, y: out(list(2, 1, 3))},
		opCase{name: "Imputer of a number", nodes: nodes(ml("Imputer", "x", "y", afs("imputed_value_floats", 0.5, -1), af("replaced_value_float", -999))), x: tensors{"x": reals(dims(2, 2), -999, 3, 4, -999)}, y: out(reals(dims(2, 2), 0.5, 3, 4, -1))},
		opCase{name: "Imputer of integers", nodes: nodes(ml("Imputer", "x", "y", lists("imputed_value_int64s", 7), ai("replaced_value_int64", 0))), x: tensors{"x": ints(dims(2, 2), 0, 3, 4, 0)}, y: out(ints(dims(2, 2), 7, 3, 4, 7))},
		opCase{name: "FeatureVectorizer", nodes: nodes(ml("FeatureVectorizer", "x k v", "y", lists("inputdimensions", 2, 3, 1))), x: tensors{"x": mat23, "k": ints(dims(2, 2), 7, 8, 9, 10), "v": list(-1, -2)},
			y: out(reals(dims(2, 6), 1, 2, 7, 8, 0, -1, 4, 5, 9, 10, 0, -2))},
		opCase{name: "Binarizer", nodes: nodes(ml("Binarizer", "x", "y", af("threshold", 0.5))), x: tensors{"x": reals(dims(1, 3), 0.5, 0.75, -1)}, y: out(reals(dims(1, 3), 0, 1, 0))},
		opCase{name: "Binarizer of integers", nodes: nodes(ml("Binarizer", "x", "y", af("threshold", 2))), x: tensors{"x": list(2, 3)}, y: out(list(0, 1))},
		opCase{name: "ArrayFeatureExtractor at secret indices", nodes: nodes(ml("ArrayFeatureExtractor", "w i", "y")), x: tensors{"i": ints(dims(2, 2), 2, 0, 1, 2)}, w: tensors{"w": list(70, 80, 90)}, y: out(ints(dims(1, 4), 90, 70, 80, 90))},
		opCase{name: "ArrayFeatureExtractor of rows at secret indices", nodes: nodes(ml("ArrayFeatureExtractor", "x i", "y")), x: tensors{"x": mat23, "i": list(2, 0)}, y: out(reals(dims(2, 2), 3, 1, 6, 4))},
	)
}

// A textCase is a model with strings or missing values: its data is what an owner has, and what a receiver reads.
type textCase struct {
	name  string
	nodes []*pb.NodeProto
	x     map[string]*ir.Tensor // NaN is missing
	s     map[string][]string   // inputs of strings, vectors
	w     map[string]*ir.Tensor
	y     *ir.Tensor
	t     []string // an output of strings
}

// model builds the case's model.
func (c textCase) model() *pb.ModelProto {
	m, _ := opCase{nodes: c.nodes, x: c.x, w: c.w, y: out(num(0)), since: 4}.model()
	for _, k := range slices.Sorted(maps.Keys(c.s)) {
		v := vi(k, ir.Int, len(c.s[k]))
		v.Type.GetTensorType().ElemType = proto.Int32(int32(pb.TensorProto_STRING))
		m.Graph.Input = append(m.Graph.Input, v)
	}
	return m
}

// run computes the model of a case in the clear, on what an owner's client would make of the data, and returns numbers or strings.
func (c textCase) run(t *testing.T) (*ir.Module, *ir.Tensor, []string) {
	t.Helper()
	m, err := LoadBytes("text.onnx", encode(t, c.model()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	in := map[string]*ir.Tensor{}
	for k, x := range c.x {
		in[k] = x
	}
	for _, v := range m.Main().Body {
		if v.Op != ir.OpInput {
			continue
		}
		name := v.Attrs.Str("name")
		if list, ok := c.s[name]; ok {
			x := ir.NewTensor(ir.Int, dims(len(list)))
			for i, s := range list {
				x.I[i] = int64(slices.Index(v.Attrs.Strings("words"), s))
			}
			in[name] = x
		}
		if mask := v.Attrs.Str("missing"); mask != "" {
			x, there := in[name], ir.NewTensor(ir.Bool, in[name].Shape)
			filled := reals(x.Shape, slices.Clone(x.F)...)
			for i, f := range x.F {
				if math.IsNaN(f) {
					filled.F[i], there.I[i] = 123, 1 // which must not count
				}
			}
			in[name], in[mask] = filled, there
		}
	}
	got, err := ir.Run(m, in)
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, v := range m.Main().Reveals() {
		for _, k := range got["y"].I {
			if words := v.Attrs.Strings("words"); len(words) > 0 {
				text = append(text, words[k])
			} else if v.Attrs.Int("decimal", 0) != 0 {
				text = append(text, fmt.Sprint(k))
			}
		}
	}
	return m, got["y"], text
}

// TestText runs models with strings and missing values.
func TestText(t *testing.T) {
	nan := math.NaN()
	strs := func(name string, s ...string) *pb.NodeProto {
		return nd("Constant", "", name, ass("value_strings", s...))
	}
	cases := []textCase{
		{name: "LabelEncoder", nodes: nodes(ml("LabelEncoder", "s", "y", ass("keys_strings", "red", "green"), ais("values_int64s", 5, 7), ai("default_int64", 0))), s: map[string][]string{"s": {"green", "blue", "red"}}, y: list(7, 0, 5)},
		{name: "LabelEncoder to strings", nodes: nodes(ml("LabelEncoder", "x", "y", ais("keys_int64s", 0, 1), ass("values_strings", "no", "yes"))), x: tensors{"x": list(1, 0, 2)}, t: []string{"yes", "no", "_Unused"}},
		{name: "LabelEncoder of strings to strings", nodes: nodes(ml("LabelEncoder", "s", "y", ass("keys_strings", "a", "b"), ass("values_strings", "b", "c"), as("default_string", "?"))), s: map[string][]string{"s": {"a", "b", "c"}}, t: []string{"b", "c", "?"}},
		{name: "OneHotEncoder", nodes: nodes(ml("OneHotEncoder", "s", "y", ass("cats_strings", "x", "y"))), s: map[string][]string{"s": {"y", "z", "x"}}, y: reals(dims(3, 2), 0, 1, 0, 0, 1, 0)},
		{name: "Equal", nodes: nodes(strs("k", "on"), nd("Equal", "s k", "e"), nd("Cast", "e", "y", ai("to", 1))), s: map[string][]string{"s": {"on", "off"}}, y: reals(dims(2), 1, 0)},
		{name: "Where and Gather", nodes: nodes(strs("k", "low", "mid", "high"), nd("Gather", "k i", "g"), strs("z", "none"), nd("Where", "c g z", "y")), x: tensors{"i": list(2, 0, 1), "c": bools(dims(3), 1, 1, 0)}, t: []string{"high", "low", "none"}},
		{name: "class labels", nodes: nodes(ml("LinearClassifier", "x", "y p", ass("classlabels_strings", "cat", "dog", "eel"), afs("coefficients", 1, 0, 0, 1, 1, 1), afs("intercepts", 0, 0, -2.5))), x: tensors{"x": reals(dims(2, 2), 1, 2, 9, 1)}, t: []string{"dog", "cat"}},
		{name: "labels by extraction", nodes: nodes(strs("k", "cat", "dog"), nd("ArgMax", "x", "i", ai("axis", 1), ai("keepdims", 0)), ml("ArrayFeatureExtractor", "k i", "e"), nd("Constant", "", "shape", ais("value_ints", -1)), nd("Reshape", "e shape", "y")), x: tensors{"x": reals(dims(2, 2), 1, 2, 9, 1)}, t: []string{"dog", "cat"}},
		{name: "Cast of integers", nodes: nodes(nd("Cast", "x", "y", ai("to", 8))), x: tensors{"x": list(-3, 40)}, t: []string{"-3", "40"}},
		{name: "Imputer", nodes: nodes(ml("Imputer", "x", "y", afs("imputed_value_floats", 0.5, 1, 2), af("replaced_value_float", float32(nan)))), x: tensors{"x": reals(dims(2, 3), nan, 5, 6, 7, nan, nan)}, y: reals(dims(2, 3), 0.5, 5, 6, 7, 1, 2)},
		{name: "Imputer behind views and sums", nodes: nodes(nd("Sub", "x w", "d"), nd("Transpose", "d", "t"), ml("Imputer", "t", "y", afs("imputed_value_floats", 0), af("replaced_value_float", float32(nan)))), x: tensors{"x": reals(dims(2, 2), 1, nan, 3, 4)}, w: tensors{"w": num(1)}, y: reals(dims(2, 2), 0, 2, 0, 3)},
		{name: "imputed by Where", nodes: nodes(nd("IsNaN", "x", "n"), nd("Where", "n w x", "y")), x: tensors{"x": reals(dims(3), 1, nan, 3)}, w: tensors{"w": num(-1)}, y: reals(dims(3), 1, -1, 3)},
		{name: "LabelEncoder of what is missing", nodes: nodes(ml("LabelEncoder", "x", "y", afs("keys_floats", 1, float32(nan)), ais("values_int64s", 4, 9))), x: tensors{"x": reals(dims(3), 1, nan, 3)}, y: list(4, 9, -1)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, y, text := c.run(t)
			if c.t != nil && !slices.Equal(text, c.t) {
				t.Errorf("got %q, want %q", text, c.t)
			}
			if c.y != nil {
				if err := near(y, c.y, 1e-6); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestMissingColumns: elements may be missing where an imputer makes up for them, and nowhere else.
func TestMissingColumns(t *testing.T) {
	c := textCase{nodes: nodes(nd("Split", "x k", "a b", ai("axis", 1)), ml("Imputer", "a", "i", afs("imputed_value_floats", 1), af("replaced_value_float", float32(math.NaN()))), nd("Concat", "i b", "y", ai("axis", 1))),
		x: tensors{"x": reals(dims(2, 3), 1, 2, 3, 4, 5, 6)}, w: tensors{"k": list(2, 1)}}
	m, err := LoadBytes("m.onnx", encode(t, c.model()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := m.Main().Body[0]
	if x.Attrs.Str("missing") != "x.missing" || !slices.Equal(x.Attrs.Ints("given"), []int{2}) {
		t.Errorf("input is %v", x.Attrs)
	}
}

// TestTextRefusals: what strings cannot become.
func TestTextRefusals(t *testing.T) {
	s := map[string][]string{"s": {"a"}}
	for _, c := range []struct {
		nodes []*pb.NodeProto
		want  string
	}{
		{nodes(nd("Add", "s s", "y")), "operator Add (opset 17) on strings"},
		{nodes(nd("Identity", "s", "y")), "is text of an input"},
		{nodes(nd("Equal", "s s", "y")), "strings of inputs with each other"},
		{nodes(nd("Cast", "s", "y", ai("to", 1))), "Cast of strings to numbers"},
		{nodes(nd("Constant", "", "k", as("value_string", "b")), nd("Concat", "s k2", "y", ai("axis", 0)), nd("Relu", "s", "z")), "is neither an input"},
		{nodes(ml("LabelEncoder", "s", "y", ass("keys_strings", "a", "a"), ais("values_int64s", 1, 2))), "key 1 appears twice"},
		{nodes(ml("LabelEncoder", "s", "y", ais("keys_int64s", 1), ais("values_int64s", 1))), "keys are INT64, and the input is not"},
	} {
		_, err := LoadBytes("m.onnx", encode(t, textCase{nodes: c.nodes, s: s}.model()), Options{})
		want := strings.Replace(c.want, " (opset 17)", "", 1)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestCategories: columns that encoders read which know no other categories carry these, wherever the columns come from.
func TestCategories(t *testing.T) {
	part := func(in, out string, from int64) []*pb.NodeProto {
		return nodes(nd("Constant", "", "f"+out, ais("value_ints", from)), nd("Constant", "", "t"+out, ais("value_ints", from+1)), nd("Constant", "", "a"+out, ais("value_ints", 1)),
			nd("Slice", in+" f"+out+" t"+out+" a"+out, out))
	}
	ns := append(part("x", "a", 0), part("x", "b", 2)...)
	ns = append(ns, ml("OneHotEncoder", "a", "p", ais("cats_int64s", 9, 1, 5), ai("zeros", 0)), ml("OneHotEncoder", "b", "q", ais("cats_int64s", 0, 1)),
		ml("OneHotEncoder", "a", "r", ais("cats_int64s", 5, 7, 1), ai("zeros", 0)), nd("Concat", "p q r", "y", ai("axis", 2)))
	c := textCase{nodes: ns, x: tensors{"x": ints(dims(1, 3), 5, 0, 1)}}
	m, err := LoadBytes("m.onnx", encode(t, c.model()), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Main().Body[0].Attrs.Tensor("choices"); got == nil || !slices.Equal(got.I, []int64{0, 1, 0, 5}) { // both encoders of column 0 know 1 and 5
		t.Errorf("choices are %v", got)
	}
	c.nodes = append(part("x", "a", 0), ml("OneHotEncoder", "a", "p", ais("cats_int64s", 9, 1), ai("zeros", 0)), ml("OneHotEncoder", "a", "q", ais("cats_int64s", 2), ai("zeros", 0)), nd("Concat", "p q", "y", ai("axis", 2)))
	if _, err := LoadBytes("m.onnx", encode(t, c.model()), Options{}); err == nil || !strings.Contains(err.Error(), "no category in common") {
		t.Errorf("got %v", err)
	}
}

// TestOwnersQuantise: an input that nothing but quantisations on one grid read enters as integers, and others as they are.
func TestOwnersQuantise(t *testing.T) {
	grid := tensors{"s": num(0.5), "t": num(0.25)}
	x := reals(dims(6), 0.25, 0.75, -0.25, 1e9, -1e9, 0.3)
	for _, c := range []struct {
		name  string
		nodes []*pb.NodeProto
		opt   Options
		lo    float64
		step  float64
		want  *ir.Tensor
	}{
		{"bytes", nodes(nd("QuantizeLinear", "x s", "y", ai("output_dtype", int64(pb.TensorProto_INT8)))), Options{}, -128, 0.5, list(0, 2, 0, 127, -128, 1)},
		{"a declared range", nodes(nd("QuantizeLinear", "x s", "y", ai("output_dtype", int64(pb.TensorProto_INT8)))), Options{Ranges: map[string][2]float64{"x": {-3, 2}}}, -6, 0.5, list(0, 2, 0, 4, -6, 1)},
		{"twice", nodes(nd("QuantizeLinear", "x s", "a"), nd("QuantizeLinear", "x s", "b"), nd("Sub", "a b", "y")), Options{}, 0, 0.5, list(0, 0, 0, 0, 0, 0)},
		{"two grids", nodes(nd("QuantizeLinear", "x s", "a"), nd("QuantizeLinear", "x t", "b"), nd("Sub", "a b", "y")), Options{}, 0, 0, nil},
		{"read otherwise", nodes(nd("QuantizeLinear", "x s", "a"), nd("DequantizeLinear", "a s", "b"), nd("Sub", "x b", "y")), Options{}, 0, 0, nil},
	} {
		m, err := LoadBytes("m.onnx", encode(t, func() *pb.ModelProto {
			m, _ := opCase{nodes: c.nodes, opset: 21, x: tensors{"x": x}, w: grid, y: out(x)}.model()
			return m
		}()), c.opt)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		in := m.Main().Body[0]
		if in.Attrs.Float("step", 0) != c.step || c.step != 0 && in.Attrs.Float("lo", 1) != c.lo {
			t.Errorf("%s: input is %v", c.name, in.Attrs)
		}
		if c.want == nil {
			continue
		}
		got, err := ir.Run(m, asOwners(m, tensors{"x": x}))
		if err != nil {
			t.Fatal(err)
		}
		if err := near(got["y"], c.want, 0); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
