package onnx

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// FuzzLoad checks that any bytes give either a module that verifies or an error with a position, and nothing else.
func FuzzLoad(f *testing.F) {
	paths, err := filepath.Glob("../../testdata/models/*/model.onnx")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(paths, "../../examples/mnist/model.onnx", "../../examples/credit/model.onnx") {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if len(data) > 1<<16 { // keep the structure and one large tensor's header: mutations of weights teach nothing
			var m pb.ModelProto
			if err := proto.Unmarshal(data, &m); err != nil {
				f.Fatal(err)
			}
			for _, t := range m.Graph.Initializer {
				t.FloatData = t.FloatData[:min(len(t.FloatData), 16)]
				t.RawData = t.RawData[:min(len(t.RawData), 64)]
			}
			data = encode(f, &m)
		}
		f.Add(data)
	}
	for _, c := range opCases {
		model, _ := c.model()
		f.Add(encode(f, model))
	}
	f.Add(encode(f, modelOf(17, deep(20))))
	call := nd("leak", "x", "y", af("slope", 0.5)) // a function with a default, an overload, and a reference to its caller's attribute
	call.Overload = proto.String("steep")
	fn := &pb.FunctionProto{Name: proto.String("leak"), Overload: proto.String("steep"), Input: []string{"x"}, Output: []string{"y"}, AttributeProto: []*pb.AttributeProto{af("slope", 0.25)},
		Node: nodes(nd("LeakyRelu", "x", "y", ref("alpha", "slope", pb.AttributeProto_FLOAT))), OpsetImport: []*pb.OperatorSetIdProto{{Version: proto.Int64(17)}}}
	withFunction := modelOf(17, withInput(graph("y", call)))
	withFunction.Functions = []*pb.FunctionProto{fn}
	f.Add(encode(f, withFunction))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := LoadBytes("fuzz.onnx", data, Options{})
		if err == nil {
			if err := ir.Verify(m); err != nil {
				t.Fatal(err)
			}
			return
		}
		var one *diag.Error
		var list diag.List
		if !errors.As(err, &one) && !errors.As(err, &list) {
			t.Fatalf("not a mistake of the user: %v", err)
		}
	})
}

// FuzzTensor checks that any bytes give either a well-formed tensor or an error.
func FuzzTensor(f *testing.F) {
	for _, path := range []string{"../../examples/mnist/test_data_set_0/input_0.pb", "../../examples/credit/test_data_set_0/output_0.pb"} {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, x := range []*ir.Tensor{row3, list(1, 2), bools(dims(1), 1), num(1)} {
		data, err := proto.Marshal(protoOf("t", x))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, _, err := DecodeTensor(data)
		if err != nil {
			return
		}
		if err := x.Check(); err != nil {
			t.Fatal(err)
		}
	})
}
