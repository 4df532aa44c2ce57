package onnx

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// Builders of small models.

func reals(s ir.Shape, x ...float64) *ir.Tensor { return ir.Reals(s, x...) }
func ints(s ir.Shape, x ...int64) *ir.Tensor    { return ir.Ints(s, x...) }
func bools(s ir.Shape, x ...int64) *ir.Tensor   { return &ir.Tensor{Elem: ir.Bool, Shape: s, I: x} }
func dims(d ...int) ir.Shape                    { return append(ir.Shape{}, d...) }

// list is a vector of integers, as shapes and axes are given.
func list(x ...int64) *ir.Tensor { return ints(ir.Shape{len(x)}, x...) }

func num(x float64) *ir.Tensor { return reals(ir.Shape{}, x) }

// protoOf encodes a tensor in the typed fields.
func protoOf(name string, t *ir.Tensor) *pb.TensorProto {
	p := &pb.TensorProto{Name: &name}
	for _, d := range t.Shape {
		p.Dims = append(p.Dims, int64(d))
	}
	typ := pb.TensorProto_INT64
	switch t.Elem {
	case ir.Real:
		typ = pb.TensorProto_DOUBLE
		p.DoubleData = t.F
	case ir.Bool:
		typ = pb.TensorProto_BOOL
		for _, x := range t.I {
			p.Int32Data = append(p.Int32Data, int32(x))
		}
	default:
		p.Int64Data = t.I
	}
	p.DataType = proto.Int32(int32(typ))
	return p
}

func attr(name string, typ pb.AttributeProto_AttributeType) *pb.AttributeProto {
	return &pb.AttributeProto{Name: &name, Type: &typ}
}

func ai(name string, v int64) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_INT)
	a.I = &v
	return a
}

func af(name string, v float32) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_FLOAT)
	a.F = &v
	return a
}

func as(name, v string) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_STRING)
	a.S = []byte(v)
	return a
}

func ais(name string, v ...int64) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_INTS)
	a.Ints = v
	return a
}

func afs(name string, v ...float32) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_FLOATS)
	a.Floats = v
	return a
}

func ass(name string, v ...string) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_STRINGS)
	for _, s := range v {
		a.Strings = append(a.Strings, []byte(s))
	}
	return a
}

func at(name string, t *ir.Tensor) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_TENSOR)
	a.T = protoOf("", t)
	return a
}

func ag(name string, g *pb.GraphProto) *pb.AttributeProto {
	a := attr(name, pb.AttributeProto_GRAPH)
	a.G = g
	return a
}

// nd builds a node; names are separated by blanks, and _ is an optional one that is left out.
func nd(op, in, out string, attrs ...*pb.AttributeProto) *pb.NodeProto {
	names := func(s string) []string {
		l := strings.Fields(s)
		for i := range l {
			if l[i] == "_" {
				l[i] = ""
			}
		}
		return l
	}
	return &pb.NodeProto{OpType: &op, Input: names(in), Output: names(out), Attribute: attrs}
}

// ml builds a node of the domain of classical models.
func ml(op, in, out string, attrs ...*pb.AttributeProto) *pb.NodeProto {
	n := nd(op, in, out, attrs...)
	n.Domain = proto.String("ai.onnx.ml")
	return n
}

// vi declares an input or output: a dimension is an int, a symbol, or nil.
func vi(name string, e ir.Elem, dims ...any) *pb.ValueInfoProto {
	typ := map[ir.Elem]pb.TensorProto_DataType{ir.Real: pb.TensorProto_FLOAT, ir.Int: pb.TensorProto_INT64, ir.Bool: pb.TensorProto_BOOL}[e]
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
	return &pb.ValueInfoProto{Name: &name, Type: &pb.TypeProto{Value: &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: proto.Int32(int32(typ)), Shape: s}}}}
}

func tensorInfo(name string, t *ir.Tensor) *pb.ValueInfoProto {
	var d []any
	for _, x := range t.Shape {
		d = append(d, x)
	}
	return vi(name, t.Elem, d...)
}

// graph builds a graph whose outputs are the given names.
func graph(outs string, nodes ...*pb.NodeProto) *pb.GraphProto {
	g := &pb.GraphProto{Node: nodes}
	for _, o := range strings.Fields(outs) {
		g.Output = append(g.Output, vi(o, ir.Real))
	}
	return g
}

func modelOf(opset int64, g *pb.GraphProto) *pb.ModelProto {
	return &pb.ModelProto{IrVersion: proto.Int64(8), OpsetImport: []*pb.OperatorSetIdProto{{Version: &opset}}, Graph: g}
}

func encode(t testing.TB, m *pb.ModelProto) []byte {
	t.Helper()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
