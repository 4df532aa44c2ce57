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
