package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// typeOf declares an input of a type that is no tensor of floats, integers or bits.
func typeOf(name string, t *pb.TypeProto) *pb.ValueInfoProto {
	return &pb.ValueInfoProto{Name: &name, Type: t}
}

// tensorType is a vector of a data type.
func tensorType(t pb.TensorProto_DataType) *pb.TypeProto {
	return &pb.TypeProto{Value: &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: proto.Int32(int32(t)), Shape: vi("x", ir.Real, 3).Type.GetTensorType().Shape}}}
}

// TestRefusals checks that what is refused for what it is says so, with its kind.
func TestRefusals(t *testing.T) {
	trained := func(p *pb.NodeProto) *pb.NodeProto {
		p.Domain = proto.String("ai.onnx.preview.training")
		return p
	}
	only := modelOf(17, withInput(graph("y", trained(nd("Adagrad", "x", "y")))))
	only.OpsetImport = []*pb.OperatorSetIdProto{{Domain: proto.String("ai.onnx.preview.training"), Version: proto.Int64(1)}}
	of := func(nodes ...*pb.NodeProto) *pb.ModelProto { return modelOf(17, withInput(graph("y", nodes...))) }
	input := func(v *pb.ValueInfoProto) *pb.ModelProto {
		return modelOf(17, &pb.GraphProto{Input: []*pb.ValueInfoProto{v}, Output: []*pb.ValueInfoProto{vi("x", ir.Real)}})
	}
	seq := &pb.TypeProto{Value: &pb.TypeProto_SequenceType{SequenceType: &pb.TypeProto_Sequence{ElemType: tensorType(pb.TensorProto_FLOAT)}}}
	for _, c := range []struct {
		name, kind, want string
		model            *pb.ModelProto
	}{
		{"random", "random", "operator Bernoulli (opset 17) is not supported: it draws random numbers", of(nd("Bernoulli", "x", "y"))},
		{"training", "training", "operator Adagrad (domain \"ai.onnx.preview.training\") is not supported: it belongs to training", only},
		{"batch normalisation in training", "training", "training_mode=1 is not supported: it belongs to training",
			of(nd("BatchNormalization", "x x x x x", "y", ai("training_mode", 1)))},
		{"quantised", "quantised", "operator QAttention (opset 17) is not supported: it computes on quantised data", of(nd("QAttention", "x x", "y"))},
		{"string", "string", "operator StringNormalizer (opset 17) is not supported: it works on strings", of(nd("StringNormalizer", "x", "y"))},
		{"sequence", "sequence", "operator SplitToSequence (opset 17) is not supported: it makes or reads a sequence", of(nd("SplitToSequence", "x", "y"))},
		{"optional", "optional", "operator OptionalHasElement (opset 17) is not supported: it makes or reads an optional value", of(nd("OptionalHasElement", "x", "y"))},
		{"image", "image decoding", "operator ImageDecoder (opset 17) is not supported: it decodes image files", of(nd("ImageDecoder", "x", "y"))},
		{"shape", "data-dependent shape", "operator NonMaxSuppression (opset 17) is not supported: its result has a shape that depends on secret data", of(nd("NonMaxSuppression", "x x", "y"))},
		{"shape of public data only", "data-dependent shape", "NonZero of a value that is not public is not supported: its result has a shape that depends on secret data", of(nd("NonZero", "x", "y"))},
		{"data type of 8 bits", "quantised", "data type FLOAT8E4M3FN is not supported\n\thint: export the model before quantisation", input(typeOf("x", tensorType(pb.TensorProto_FLOAT8E4M3FN)))},
		{"data type of 4 bits", "quantised", "data type INT4 is not supported", input(typeOf("x", tensorType(pb.TensorProto_INT4)))},
		{"floats of 4 bits", "quantised", "data type FLOAT4E2M1 is not supported", input(typeOf("x", tensorType(pb.TensorProto_FLOAT4E2M1)))},
		{"cast to 8 bits", "quantised", "data type FLOAT8E5M2 is not supported", of(nd("Cast", "x", "y", ai("to", int64(pb.TensorProto_FLOAT8E5M2))))},
		{"complex", "", "data type COMPLEX64 is not supported\n\thint: there are floats of 16 to 64 bits", input(typeOf("x", tensorType(pb.TensorProto_COMPLEX64)))},
		{"unknown type", "", "data type 99 is not supported", input(typeOf("x", tensorType(99)))},
		{"input is a sequence", "sequence", `input "x": is a sequence, not a tensor`, input(typeOf("x", seq))},
		{"input is optional", "optional", `input "x": is an optional value, not a tensor`,
			input(typeOf("x", &pb.TypeProto{Value: &pb.TypeProto_OptionalType{OptionalType: &pb.TypeProto_Optional{ElemType: seq}}}))},
		{"input is sparse", "", `input "x": is a sparse tensor, not a tensor`, input(typeOf("x", &pb.TypeProto{Value: &pb.TypeProto_SparseTensorType{}}))},
		{"input without a type", "", `input "x": has no type`, input(typeOf("x", nil))},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := encode(t, c.model)
			path := filepath.Join(t.TempDir(), "m.onnx")
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadBytes("m.onnx", data, Options{})
			var list diag.List
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(list[0].Error(), c.want) || list[0].Refusal != c.kind {
				t.Errorf("got kind %q:\n%v\nwant kind %q:\n%s", list[0].Refusal, list[0], c.kind, c.want)
			}
			if list[0].Hint == "" {
				t.Error("no hint")
			}
			if _, err := Inputs(path); strings.HasPrefix(c.name, "input is") && (err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c.want, "input "))) {
				t.Errorf("inputs: got %v", err)
			}
		})
	}
}

// TestPublicSources checks that an error about a parameter that is not public names the inputs that it derives from, and that
// giving these makes the model compile.
func TestPublicSources(t *testing.T) {
	body := subgraph("i c v", "c w", nd("Add", "v one", "w"))
	body.Input[0], body.Input[1] = vi("i", ir.Int), vi("c", ir.Bool)
	g := graph("y", nd("Constant", "", "one", at("value", num(1))), nd("Sub", "to from", "d"), nd("Div", "d by", "q"), nd("Cast", "q", "n", ai("to", 7)), nd("Not", "stop", "go"),
		nd("Loop", "n go x", "y", ag("body", body)))
	g.Input = []*pb.ValueInfoProto{vi("x", ir.Real, 3), vi("from", ir.Real), vi("to", ir.Real), vi("by", ir.Real), vi("stop", ir.Bool)}
	model := encode(t, modelOf(17, g))
	public := tensors{}
	for _, want := range []struct{ text, names string }{{"input 1 (trip count) must be known when compiling", "by from to"}, {"the loop's condition is not known when compiling", "stop"}} {
		_, err := LoadBytes("m.onnx", model, Options{Public: public})
		var list diag.List
		if !errors.As(err, &list) || len(list) != 1 || !strings.Contains(err.Error(), want.text) || strings.Join(list[0].Public, " ") != want.names {
			t.Fatalf("got %v, want %q for %s", err, want.text, want.names)
		}
		for _, name := range list[0].Public {
			public[name] = map[string]*ir.Tensor{"from": num(1), "to": num(8), "by": num(2), "stop": bools(dims(), 0)}[name]
		}
	}
	m, err := LoadBytes("m.onnx", model, Options{Public: public})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ir.Run(m, tensors{"x": row3})
	if err != nil {
		t.Fatal(err)
	}
	if err := near(got["y"], reals(dims(3), 2, 3, 5), 1e-9); err != nil {
		t.Error(err)
	}
}
