package onnx

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// ref says that an attribute is that of the function's caller.
func ref(name, of string, typ pb.AttributeProto_AttributeType) *pb.AttributeProto {
	return &pb.AttributeProto{Name: &name, RefAttrName: &of, Type: &typ}
}

// TestFunctions checks functions that a model defines: attributes given and left out, also inside branches, inputs left out,
// functions that call functions, and names that mean different things inside and outside.
func TestFunctions(t *testing.T) {
	in := func(p *pb.NodeProto) *pb.NodeProto {
		p.Domain = proto.String("my.own")
		return p
	}
	function := func(name, ins, outs, attrs string, nodes ...*pb.NodeProto) *pb.FunctionProto {
		return &pb.FunctionProto{Name: &name, Domain: proto.String("my.own"), Input: strings.Fields(ins), Output: strings.Fields(outs), Attribute: strings.Fields(attrs), Node: nodes,
			OpsetImport: []*pb.OperatorSetIdProto{{Version: proto.Int64(17)}, {Domain: proto.String("my.own"), Version: proto.Int64(1)}}}
	}
	funcs := []*pb.FunctionProto{
		function("leak", "x", "y", "slope", nd("LeakyRelu", "x", "y", ref("alpha", "slope", pb.AttributeProto_FLOAT))),
		function("clipped", "x lo hi", "y", "", nd("Clip", "x lo hi", "y")),
		function("branch", "x", "y", "slope", nd("Constant", "", "yes", at("value", bools(dims(), 1))),
			nd("If", "yes", "y", ag("then_branch", graph("u", nd("LeakyRelu", "x", "u", ref("alpha", "slope", pb.AttributeProto_FLOAT)))), ag("else_branch", graph("x")))),
		function("twice", "x", "y z", "slope", in(nd("leak", "x", "w", ref("slope", "slope", pb.AttributeProto_FLOAT))), in(nd("leak", "w", "y", ref("slope", "slope", pb.AttributeProto_FLOAT))), nd("Neg", "y", "z")),
		function("itself", "x", "y", "", in(nd("itself", "x", "y"))),
		function("steep", "x", "y", "", nd("LeakyRelu", "x", "y", ref("alpha", "slope", pb.AttributeProto_FLOAT))),
		function("steeper", "x", "y", "", in(nd("steep", "x", "y", ref("slope", "angle", pb.AttributeProto_FLOAT)))),
		function("passes on", "x", "y", "angle", in(nd("steep", "x", "y", ref("slope", "angle", pb.AttributeProto_FLOAT)))),
		function("pick", "x", "y", "", nd("Neg", "x", "y")),
		function("pick", "x", "y", "", nd("Abs", "x", "y")),
		function("sums", "x", "y", "", nd("Constant", "", "a", ref("value", "axes", pb.AttributeProto_TENSOR)), nd("ReduceSum", "x a", "y", ref("keepdims", "keep", pb.AttributeProto_INT))),
	}
	funcs[5].AttributeProto = []*pb.AttributeProto{af("slope", 0.5)}
	funcs[6].AttributeProto = []*pb.AttributeProto{af("angle", 0.25)}
	funcs[9].Overload = proto.String("magnitude")
	funcs[10].AttributeProto = []*pb.AttributeProto{at("axes", list(0)), ai("keep", 0)}
	overload := func(p *pb.NodeProto, which string) *pb.NodeProto {
		p.Overload = &which
		return p
	}
	for _, c := range []struct {
		name  string
		nodes []*pb.NodeProto
		want  *ir.Tensor // or an error
		err   string
	}{
		{name: "attribute", nodes: nodes(in(nd("leak", "x", "y", af("slope", 0.5)))), want: reals(dims(3), -0.5, 0, 2)},
		{name: "attribute left out", nodes: nodes(in(nd("leak", "x", "y"))), want: reals(dims(3), -0.01, 0, 2)},
		{name: "input left out", nodes: nodes(nd("Constant", "", "one", at("value", num(1))), in(nd("clipped", "x _ one", "y"))), want: reals(dims(3), -1, 0, 1)},
		{name: "attribute in a branch", nodes: nodes(in(nd("branch", "x", "y", af("slope", 0.25)))), want: reals(dims(3), -0.25, 0, 2)},
		{name: "call of a call, output left out", nodes: nodes(nd("Neg", "x", "w"), in(nd("twice", "w", "y", af("slope", 0.5)))), want: reals(dims(3), 1, 0, -0.5)},
		{name: "second output", nodes: nodes(in(nd("twice", "x", "a y", af("slope", 0.5)))), want: reals(dims(3), 0.25, 0, -2)},
		{name: "default", nodes: nodes(in(nd("steep", "x", "y"))), want: reals(dims(3), -0.5, 0, 2)},
		{name: "default overridden", nodes: nodes(in(nd("steep", "x", "y", af("slope", 0.125)))), want: reals(dims(3), -0.125, 0, 2)},
		{name: "default passed on", nodes: nodes(in(nd("steeper", "x", "y"))), want: reals(dims(3), -0.25, 0, 2)},
		{name: "override passed on", nodes: nodes(in(nd("steeper", "x", "y", af("angle", 2)))), want: reals(dims(3), -2, 0, 2)},
		{name: "default below an attribute left out", nodes: nodes(in(nd("passes on", "x", "y"))), want: reals(dims(3), -0.5, 0, 2)},
		{name: "default tensor and integer", nodes: nodes(in(nd("sums", "x", "y"))), want: num(1)},
		{name: "overloads", nodes: nodes(in(nd("pick", "x", "a")), overload(in(nd("pick", "a", "b")), "magnitude"), nd("Add", "a b", "y")), want: reals(dims(3), 2, 0, 0)},
		{name: "overload that is not there", nodes: nodes(overload(in(nd("pick", "x", "y")), "third")), err: `the model defines no function pick with overload "third"`},
		{name: "overload of an operator", nodes: nodes(overload(nd("Neg", "x", "y"), "third")), err: `the model defines no function Neg with overload "third"`},
		{name: "default of another kind", nodes: nodes(in(nd("steep", "x", "y", ai("slope", 1)))), err: "attribute alpha is INT, want FLOAT"},
		{name: "attribute it does not take", nodes: nodes(in(nd("leak", "x", "y", af("angle", 1)))), err: "takes no attribute angle"},
		{name: "recursion", nodes: nodes(in(nd("itself", "x", "y"))), err: "nested more than"},
		{name: "too many inputs", nodes: nodes(in(nd("leak", "x x", "y"))), err: "function leak has 1 inputs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := modelOf(17, graph("y", c.nodes...))
			m.Graph.Input = append(m.Graph.Input, tensorInfo("x", row3))
			m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: proto.String("my.own"), Version: proto.Int64(1)})
			m.Functions = funcs
			mod, err := LoadBytes("functions.onnx", encode(t, m), Options{})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, err := ir.Run(mod, tensors{"x": row3})
			if err != nil {
				t.Fatal(err)
			}
			if err := near(got["y"], c.want, 1e-6); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFunctionTable checks what is refused of functions before any is called.
func TestFunctionTable(t *testing.T) {
	function := func(attrs string, defaults ...*pb.AttributeProto) *pb.FunctionProto {
		return &pb.FunctionProto{Name: proto.String("f"), Domain: proto.String("my.own"), Attribute: strings.Fields(attrs), AttributeProto: defaults}
	}
	for _, c := range []struct {
		name  string
		funcs []*pb.FunctionProto
		want  string
	}{
		{"twice", []*pb.FunctionProto{function(""), function("")}, "function f is defined twice"},
		{"with and without a default", []*pb.FunctionProto{function("k", ai("k", 1))}, "function f lists attribute k twice: without a default and with one"},
		{"default twice", []*pb.FunctionProto{function("", ai("k", 1), ai("k", 2))}, "function f lists attribute k twice: with a default and with one"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := modelOf(17, withInput(graph("y", nd("Neg", "x", "y"))))
			m.Functions = c.funcs
			if _, err := LoadBytes("functions.onnx", encode(t, m), Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

// TestMetadata checks that what newer files say about devices and names of tools changes nothing.
func TestMetadata(t *testing.T) {
	plain := modelOf(17, withInput(graph("y", nd("Neg", "x", "y"))))
	want, err := LoadBytes("m.onnx", encode(t, plain), Options{})
	if err != nil {
		t.Fatal(err)
	}
	meta := []*pb.StringStringEntryProto{{Key: proto.String("tool"), Value: proto.String("exporter")}}
	m := proto.Clone(plain).(*pb.ModelProto)
	m.Configuration = []*pb.DeviceConfigurationProto{{Name: proto.String("pair"), NumDevices: proto.Int32(2)}}
	m.Graph.MetadataProps, m.Graph.Node[0].MetadataProps, m.Graph.Input[0].MetadataProps = meta, meta, meta
	m.Graph.Node[0].DeviceConfigurations = []*pb.NodeDeviceConfigurationProto{{ConfigurationId: proto.String("pair"),
		ShardingSpec: []*pb.ShardingSpecProto{{TensorName: proto.String("x"), Device: []int64{0, 1}}}}}
	got, err := LoadBytes("m.onnx", encode(t, m), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != want.String() {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}
