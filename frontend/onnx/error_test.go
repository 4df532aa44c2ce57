package onnx

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// withInput declares x [3] as the only input of a graph.
func withInput(g *pb.GraphProto) *pb.GraphProto {
	g.Input = append(g.Input, vi("x", ir.Real, 3))
	return g
}

// withInit adds an initialiser to a graph.
func withInit(g *pb.GraphProto, name string, t *ir.Tensor) *pb.GraphProto {
	g.Initializer = append(g.Initializer, protoOf(name, t))
	return g
}

// TestMistakes checks whole messages: where, what, what to try.
func TestMistakes(t *testing.T) {
	named := nd("Mystery", "x", "y")
	named.Name = proto.String("layer_1")
	foreign := nd("FusedConv", "x", "y")
	foreign.Domain = proto.String("com.example")
	foreignModel := modelOf(17, withInput(graph("y", foreign)))
	foreignModel.OpsetImport = append(foreignModel.OpsetImport, &pb.OperatorSetIdProto{Domain: proto.String("com.example"), Version: proto.Int64(1)})
	old := modelOf(17, graph("y"))
	old.IrVersion = proto.Int64(2)
	local := modelOf(17, graph("y"))
	local.Functions = []*pb.FunctionProto{{}}
	sparse := withInput(graph("y", nd("Add", "x s", "y")))
	sparse.SparseInitializer = []*pb.SparseTensorProto{{Values: protoOf("s", num(1))}}
	twice := withInput(withInput(graph("y", nd("Relu", "x", "y"))))
	mistyped := nd("LeakyRelu", "x", "y", ai("alpha", 1))

	for _, c := range []struct {
		name  string
		model *pb.ModelProto
		opt   Options
		want  string
	}{
		{"unknown operator", modelOf(17, withInput(graph("y", named))), Options{}, "m.onnx: node \"layer_1\" (Mystery): operator Mystery (opset 17) is not supported\n\thint: export it as other operators, or as a function of the model, whose body is read in its place"},
		{"advice", modelOf(17, withInput(graph("y", nd("QAttention", "x", "y")))), Options{}, "m.onnx: node #0 -> \"y\" (QAttention): operator QAttention (opset 17) is not supported: it computes on quantised data\n\thint: export the model before quantisation: smpcc chooses fixed-point formats itself"},
		{"all mistakes at once", modelOf(17, withInput(graph("y", nd("Mystery", "x", "a"), nd("Relu", "a", "b"), nd("Enigma", "b", "c"), nd("Relu", "x", "d", ai("k", 1)), nd("Sum", "c d", "y")))), Options{},
			"m.onnx: node #0 -> \"a\" (Mystery): operator Mystery (opset 17) is not supported\n\thint: export it as other operators, or as a function of the model, whose body is read in its place\n" +
				"m.onnx: node #2 -> \"c\" (Enigma): operator Enigma (opset 17) is not supported\n\thint: export it as other operators, or as a function of the model, whose body is read in its place\n" +
				"m.onnx: node #3 -> \"d\" (Relu): attribute k of Relu (opset 17) is not supported"},
		{"attribute of another version", modelOf(17, withInput(graph("y", nd("Clip", "x", "y", af("min", 0))))), Options{}, `m.onnx: node #0 -> "y" (Clip): attribute min of Clip (opset 17) is not supported`},
		{"unknown attribute", modelOf(17, withInput(graph("y", nd("LeakyRelu", "x", "y", af("beta", 1))))), Options{}, "attribute beta of LeakyRelu (opset 17) is not supported\n\thint: it takes: alpha"},
		{"attribute of the wrong kind", modelOf(17, withInput(graph("y", mistyped))), Options{}, "attribute alpha is INT, want FLOAT"},
		{"attribute is missing", modelOf(17, withInput(graph("y", nd("MaxPool", "x", "y")))), Options{}, "attribute kernel_shape is missing"},
		{"attribute is not finite", modelOf(17, withInput(graph("y", nd("LeakyRelu", "x", "y", af("alpha", float32(math.NaN())))))), Options{}, "attribute alpha is not a finite number"},
		{"too young", modelOf(11, withInput(graph("y", nd("HardSwish", "x", "y")))), Options{}, "operator HardSwish of opset 11 is not supported, only that of opset 14 on\n\thint: convert the model to opset 17"},
		{"younger than what hints advise", modelOf(18, withInput(graph("y", nd("Gelu", "x", "y")))), Options{}, "operator Gelu of opset 18 is not supported, only that of opset 20 on\n\thint: convert the model to opset 20"},
		{"domain", foreignModel, Options{}, "operator FusedConv (domain \"com.example\") is not supported\n\thint: export it as other operators, or as a function of the model, whose body is read in its place"},
		{"domain without opset", modelOf(17, withInput(graph("y", foreign))), Options{}, `operator FusedConv is of domain "com.example", of which the model imports no opset`},
		{"opset", modelOf(99, graph("y")), Options{}, "m.onnx: opset 99 is not supported, want 1 to 28\n\thint: export or convert the model to opset 17"},
		{"format", old, Options{}, "version 2 of the ONNX format is not supported, want 3 to 13"},
		{"functions", local, Options{}, `"y"`},
		{"no outputs", modelOf(17, withInput(graph("", nd("Relu", "x", "y")))), Options{}, "model has no outputs"},
		{"output of nothing", modelOf(17, withInput(graph("z", nd("Relu", "x", "y")))), Options{}, `m.onnx: output "z": no node computes this output`},
		{"output twice", modelOf(17, withInput(graph("y y", nd("Relu", "x", "y")))), Options{}, `output "y" is listed twice`},
		{"cycle", modelOf(17, withInput(graph("y", nd("Add", "x b", "a"), nd("Relu", "a", "b"), nd("Relu", "b", "y")))), Options{}, "node #0 -> \"a\" (Add): input \"b\" is computed by this or a later node\n\thint: nodes must come after those they read; if they cannot, the graph has a cycle"},
		{"own output", modelOf(17, withInput(graph("y", nd("Add", "x y", "y")))), Options{}, `input "y" is computed by this or a later node`},
		{"undefined", modelOf(17, withInput(graph("y", nd("Add", "x b", "y")))), Options{}, `input "b" is neither an input, an initialiser nor computed by a node`},
		{"defined twice", modelOf(17, withInput(graph("y", nd("Relu", "x", "y"), nd("Neg", "x", "y")))), Options{}, `node #1 -> "y" (Neg): output "y": name is defined twice`},
		{"output is an initialiser", modelOf(17, withInit(withInput(graph("y", nd("Relu", "x", "y"))), "y", num(1))), Options{}, `output "y": name is defined twice`},
		{"input twice", modelOf(17, twice), Options{}, `m.onnx: input "x": name is defined twice`},
		{"initialiser twice", modelOf(17, withInit(withInit(withInput(graph("y", nd("Add", "x w", "y"))), "w", num(1)), "w", num(2))), Options{}, `m.onnx: initialiser "w": name is defined twice`},
		{"names", modelOf(17, withInput(graph("y", nd("Relu", "x", strings.Repeat("a", 5000)), nd("Relu", "x", "\xff"), nd("Relu", "x", "y")))), Options{}, "aaa...\": name is empty or longer than 4096 bytes\nm.onnx: node #1 -> \"?\" (Relu): output \"?\": name is not UTF-8"},
		{"sparse", modelOf(17, sparse), Options{}, `initialiser "s": sparse initialisers are not supported`},
		{"inputs", modelOf(17, withInput(graph("y", nd("Add", "x", "y")))), Options{}, "has 1 inputs, opset 17 wants 2"},
		{"optional", modelOf(17, withInput(graph("y", nd("Add", "x _", "y")))), Options{}, "input 2 is missing"},
		{"second output is read", modelOf(17, withInput(graph("y", nd("Neg", "x", "d m"), nd("Neg", "m", "y")))), Options{}, `input "m" is output 2 of node #0 -> "d" (Neg), which is not supported`},
		{"integer divisor of zero", modelOf(17, withInit(withInput(graph("y", nd("Cast", "x", "i", ai("to", 7)), nd("Div", "i w", "y"))), "w", list(1, 0, 2))), Options{}, "division by zero"},
		{"remainder by zero", modelOf(17, withInit(withInput(graph("y", nd("Cast", "x", "i", ai("to", 7)), nd("Mod", "i w", "y"))), "w", list(0))), Options{}, "division by zero"},
		{"kinds of operands", modelOf(17, withInit(withInput(graph("y", nd("Div", "x w", "y"))), "w", list(1, 1, 2))), Options{}, "operands are real and int, want numbers of one kind"},
		{"negative power of integers", modelOf(17, withInit(withInput(graph("y", nd("Cast", "x", "i", ai("to", 7)), nd("Pow", "i w", "y"))), "w", list(-2))), Options{}, "integers to the power of -2 are not integers\n\thint: cast the base to float"},
		{"secret shape", modelOf(17, withInput(graph("y", nd("Expand", "x x", "y")))), Options{}, "input 2 (shape) must be known when compiling: it is a public parameter of the operator\n\thint: make it an initialiser"},
		{"secret condition", modelOf(17, withInput(graph("y", nd("Cast", "x", "c", ai("to", 9)), nd("If", "c", "y", ag("then_branch", graph("q")), ag("else_branch", graph("q")))))), Options{}, "condition is bool[3], want one bool"},
		{"shapes", modelOf(17, withInit(withInput(graph("y", nd("Add", "x w", "y"))), "w", reals(dims(2), 1, 2))), Options{}, `node #0 -> "y" (Add): add: shapes [3] and [2] do not broadcast`},
		{"zero divisor", modelOf(17, withInit(withInput(graph("y", nd("Div", "x w", "y"))), "w", num(0))), Options{}, "element 0 of input 2 has no finite result"},
		{"weight is not finite", modelOf(17, withInit(withInput(graph("y", nd("Mul", "x w", "y"))), "w", num(math.Inf(1)))), Options{}, "m.onnx: initialiser \"w\": element 0 is not a finite number"},
		{"symbol", modelOf(17, &pb.GraphProto{Input: []*pb.ValueInfoProto{vi("x", ir.Real, "N", 3)}, Output: []*pb.ValueInfoProto{vi("x", ir.Real)}}), Options{}, "m.onnx: input \"x\": dimension N of [N,3] is not known\n\thint: set it: --dim N=1"},
		{"unknown dimension", modelOf(17, &pb.GraphProto{Input: []*pb.ValueInfoProto{vi("x", ir.Real, nil, 3)}, Output: []*pb.ValueInfoProto{vi("x", ir.Real)}}), Options{}, "dimension 0 of [?,3] is not known\n\thint: give the input's data (--input x=FILE)"},
		{"data of another shape", modelOf(17, withInput(graph("y", nd("Relu", "x", "y")))), Options{Shapes: map[string]ir.Shape{"x": dims(4)}}, "data has shape [4], the model wants [3]"},
		{"symbol bound twice", modelOf(17, &pb.GraphProto{Input: []*pb.ValueInfoProto{vi("x", ir.Real, "N"), vi("z", ir.Real, "N")}, Output: []*pb.ValueInfoProto{vi("x", ir.Real)}}), Options{Shapes: map[string]ir.Shape{"x": dims(4), "z": dims(5)}},
			`input "z": data has shape [5], but dimension N is 4`},
		{"too large", modelOf(17, &pb.GraphProto{Input: []*pb.ValueInfoProto{vi("x", ir.Real, 1<<40)}, Output: []*pb.ValueInfoProto{vi("x", ir.Real)}}), Options{}, "has more than 268435456 elements"},
		{"unknown names", modelOf(17, withInput(graph("y", nd("Relu", "x", "y")))), Options{Dims: map[string]int{"M": 1}, Owners: map[string]string{"q": "p0"}, Reveal: map[string][]string{"q": {"p0"}}, Ranges: map[string][2]float64{"q": {0, 1}}},
			"m.onnx: --dim M: the model has no symbolic dimension of that name\nm.onnx: --owner q: the model has no input or initialiser of that name\n\thint: it has: x\nm.onnx: --reveal q: the model has no output of that name\n\thint: it has: y\nm.onnx: --range q: the model has no input of that name\n\thint: it has: x"},
		{"unknown party", modelOf(17, withInput(graph("y", nd("Relu", "x", "y")))), Options{Owners: map[string]string{"x": "eve"}}, "--owner x: \"eve\" is not a party\n\thint: the parties are p0, p1"},
		{"range", modelOf(17, withInput(graph("y", nd("Relu", "x", "y")))), Options{Ranges: map[string][2]float64{"x": {1, 0}}}, "--range x: 1..0 is not an interval"},
		{"constant bomb", modelOf(17, withInit(graph("y", nd("ConstantOfShape", "s", "c"), nd("MatMul", "c c", "y")), "s", list(1<<14, 1<<14))), Options{}, "computing this constant takes more memory or time than reading a model may"},
		{"product bomb", modelOf(17, withInit(graph("y", nd("ConstantOfShape", "s", "c"), nd("MatMul", "c c", "y")), "s", list(1<<12, 1<<12))), Options{}, `node #1 -> "y" (MatMul): computing this constant takes more memory or time than reading a model may`},
		{"range bomb", modelOf(17, withInit(withInit(withInit(graph("y", nd("Range", "a b d", "y")), "a", num(0)), "b", num(1e18)), "d", num(1))), Options{}, "does not end, or not within"},
		{"deep branches", modelOf(17, deep(40)), Options{}, "graphs are nested more than 16 deep"},
		{"branch refers to nothing", modelOf(17, &pb.GraphProto{Node: []*pb.NodeProto{nd("Constant", "", "c", at("value", bools(dims(), 1))), nd("If", "c", "y", ag("then_branch", graph("q")), ag("else_branch", graph("q")))}, Output: []*pb.ValueInfoProto{vi("y", ir.Real)}}),
			Options{}, `output "q" of the graph inside: no node computes this output`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := LoadBytes("m.onnx", encode(t, c.model), c.opt)
			if err == nil {
				t.Fatal("no error")
			}
			var one *diag.Error
			var list diag.List
			if !errors.As(err, &one) && !errors.As(err, &list) {
				t.Errorf("error without a position: %v", err)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got:\n%v\nwant:\n%s", err, c.want)
			}
		})
	}
}

// deep nests branches.
func deep(n int) *pb.GraphProto {
	g := graph("t0", nd("Identity", "c", "t0"))
	for i := 1; i <= n; i++ {
		g = graph(fmt.Sprintf("t%d", i), nd("If", "c", fmt.Sprintf("t%d", i), ag("then_branch", g), ag("else_branch", graph("q"))))
	}
	g.Initializer = append(g.Initializer, protoOf("c", bools(dims(), 1)))
	return g
}

// TestGarbage checks that what is no model is refused.
func TestGarbage(t *testing.T) {
	for _, data := range [][]byte{nil, []byte("not a model"), {0x3a}, make([]byte, 100)} {
		if _, err := LoadBytes("m.onnx", data, Options{}); err == nil || !strings.Contains(err.Error(), "not an ONNX model") {
			t.Errorf("%q: %v", data, err)
		}
	}
}
