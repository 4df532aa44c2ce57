package onnxgo

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"gorgonia.org/tensor"

	pb "smpcc/frontend/onnx/onnxpb"
)

// Builders of small models.

func info(name string, dims ...any) *pb.ValueInfoProto {
	s := &pb.TensorShapeProto{}
	for _, d := range dims {
		x := &pb.TensorShapeProto_Dimension{}
		switch d := d.(type) {
		case int:
			x.Value = &pb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
		case string:
			x.Value = &pb.TensorShapeProto_Dimension_DimParam{DimParam: d}
		}
		s.Dim = append(s.Dim, x)
	}
	float := int32(pb.TensorProto_FLOAT)
	return &pb.ValueInfoProto{Name: &name, Type: &pb.TypeProto{Value: &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: &float, Shape: s}}}}
}

func node(op, in, out string, attrs ...*pb.AttributeProto) *pb.NodeProto {
	return &pb.NodeProto{OpType: &op, Name: proto.String(op + "_" + out), Input: strings.Fields(in), Output: strings.Fields(out), Attribute: attrs}
}

func intAttr(name string, v int64) *pb.AttributeProto {
	return &pb.AttributeProto{Name: &name, Type: pb.AttributeProto_INT.Enum(), I: &v}
}

func tensorAttr(name string, t *pb.TensorProto) *pb.AttributeProto {
	return &pb.AttributeProto{Name: &name, Type: pb.AttributeProto_TENSOR.Enum(), T: t}
}

func floats(name string, dims []int64, x ...float32) *pb.TensorProto {
	return &pb.TensorProto{Name: &name, Dims: dims, DataType: proto.Int32(int32(pb.TensorProto_FLOAT)), FloatData: x}
}

func encode(t *testing.T, opset int64, g *pb.GraphProto) []byte {
	t.Helper()
	data, err := proto.Marshal(&pb.ModelProto{IrVersion: proto.Int64(8), OpsetImport: []*pb.OperatorSetIdProto{{Version: &opset}}, Graph: g})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func dense32(shape []int, x ...float32) *tensor.Dense {
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(x))
}
