package onnx

import (
	"errors"
	"math"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir/diag"
)

// nasty are numbers that break careless arithmetic on shapes.
var nasty = []int64{0, 1, -1, 2, 1 << 14, 1 << 20, 1 << 27, 1<<31 - 1, 1 << 31, 1 << 40, 1 << 62, math.MaxInt64, math.MinInt64}

// TestHostile changes one number, name or version of each small model at a time. Whatever the result is, it comes soon and without a panic.
func TestHostile(t *testing.T) {
	for _, c := range opCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			hostile(t, c)
		})
	}
}

// hostile tries the changes of one model.
func hostile(t *testing.T, c opCase) {
	base, _ := c.model()
	load := func(what string, x any, m *pb.ModelProto) {
		start := time.Now()
		defer func() {
			if p := recover(); p != nil { // go on: one run shows all of them
				t.Errorf("%s = %v panics: %v\n%s", what, x, p, debug.Stack())
			}
		}()
		_, err := LoadBytes("hostile.onnx", encode(t, m), Options{})
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("%s = %v takes %v: %v", what, x, d, err)
		}
		var one *diag.Error
		var list diag.List
		if err != nil && !errors.As(err, &one) && !errors.As(err, &list) {
			t.Errorf("%s = %v is not a mistake of the user: %v", what, x, err)
		}
	}
	try := func(what string, x any, change func(m *pb.ModelProto)) {
		m := proto.Clone(base).(*pb.ModelProto)
		change(m)
		load(what, x, m)
	}
	for v := int64(-1); v < 26; v++ {
		try("opset", v, func(m *pb.ModelProto) { m.OpsetImport[0].Version = &v })
	}
	for i, in := range base.Graph.Input {
		for d := range in.Type.GetTensorType().Shape.Dim {
			for _, x := range nasty {
				try("dimension of input", x, func(m *pb.ModelProto) {
					m.Graph.Input[i].Type.GetTensorType().Shape.Dim[d].Value = &pb.TensorShapeProto_Dimension_DimValue{DimValue: x}
				})
			}
		}
		try("rank of input", 0, func(m *pb.ModelProto) { m.Graph.Input[i].Type.GetTensorType().Shape.Dim = nil })
		try("kind of input", 0, func(m *pb.ModelProto) {
			m.Graph.Input[i].Type.GetTensorType().ElemType = proto.Int32(int32(pb.TensorProto_BOOL))
		})
		try("kind of input", 1, func(m *pb.ModelProto) {
			m.Graph.Input[i].Type.GetTensorType().ElemType = proto.Int32(int32(pb.TensorProto_INT8))
		})
	}
	for i, w := range base.Graph.Initializer {
		for e := range w.Int64Data {
			for _, x := range nasty {
				try("element of initialiser", x, func(m *pb.ModelProto) { m.Graph.Initializer[i].Int64Data[e] = x })
			}
		}
		for e := range w.DoubleData {
			for _, x := range []float64{0, math.NaN(), math.Inf(-1), math.MaxFloat64} {
				try("element of initialiser", x, func(m *pb.ModelProto) { m.Graph.Initializer[i].DoubleData[e] = x })
			}
		}
		try("empty initialiser", 0, func(m *pb.ModelProto) {
			w := m.Graph.Initializer[i]
			w.Dims, w.Int64Data, w.DoubleData, w.Int32Data = []int64{0}, nil, nil, nil
		})
		try("scalar initialiser", 0, func(m *pb.ModelProto) {
			w := m.Graph.Initializer[i]
			w.Dims = nil
			w.Int64Data, w.DoubleData, w.Int32Data = w.Int64Data[:min(1, len(w.Int64Data))], w.DoubleData[:min(1, len(w.DoubleData))], w.Int32Data[:min(1, len(w.Int32Data))]
		})
		try("deep initialiser", 0, func(m *pb.ModelProto) { m.Graph.Initializer[i].Dims = append(m.Graph.Initializer[i].Dims, 1, 1, 1) })
	}
	for i, n := range base.Graph.Node {
		for a, old := range n.Attribute {
			for _, x := range nasty {
				try("attribute "+old.GetName(), x, func(m *pb.ModelProto) {
					p := m.Graph.Node[i].Attribute[a]
					switch old.GetType() {
					case pb.AttributeProto_INT:
						p.I = &x
					case pb.AttributeProto_FLOAT:
						p.F = proto.Float32(float32(x))
					case pb.AttributeProto_INTS:
						p.Ints[0] = x
					case pb.AttributeProto_FLOATS:
						p.Floats[0] = float32(x)
					case pb.AttributeProto_STRINGS:
						p.Strings[0] = nil
					}
				})
				if old.GetType() == pb.AttributeProto_INTS {
					try("all of attribute "+old.GetName(), x, func(m *pb.ModelProto) {
						for k := range m.Graph.Node[i].Attribute[a].Ints {
							m.Graph.Node[i].Attribute[a].Ints[k] = x
						}
					})
				}
			}
			try("empty attribute "+old.GetName(), 0, func(m *pb.ModelProto) {
				p := m.Graph.Node[i].Attribute[a]
				p.I, p.F, p.Ints, p.T, p.G, p.S, p.Floats, p.Strings = nil, nil, nil, nil, nil, nil, nil, nil
			})
			try("shorter attribute "+old.GetName(), 0, func(m *pb.ModelProto) {
				p := m.Graph.Node[i].Attribute[a]
				p.Ints, p.Floats, p.Strings = p.Ints[:len(p.Ints)/2], p.Floats[:len(p.Floats)/2], p.Strings[:len(p.Strings)/2]
			})
			try("longer attribute "+old.GetName(), 0, func(m *pb.ModelProto) {
				p := m.Graph.Node[i].Attribute[a]
				p.Ints, p.Floats, p.Strings = slices.Concat(p.Ints, p.Ints), slices.Concat(p.Floats, p.Floats), slices.Concat(p.Strings, p.Strings)
			})
			try("without attribute "+old.GetName(), 0, func(m *pb.ModelProto) { m.Graph.Node[i].Attribute = slices.Delete(m.Graph.Node[i].Attribute, a, a+1) })
		}
		for k, in := range n.Input {
			for _, name := range []string{"", "x", "y", "nothing"} {
				try("input "+in, name, func(m *pb.ModelProto) { m.Graph.Node[i].Input[k] = name })
			}
			try("without input "+in, 0, func(m *pb.ModelProto) { m.Graph.Node[i].Input = slices.Delete(m.Graph.Node[i].Input, k, k+1) })
		}
		try("many inputs", 0, func(m *pb.ModelProto) { m.Graph.Node[i].Input = slices.Repeat([]string{"x"}, 7) })
		try("no outputs", 0, func(m *pb.ModelProto) { m.Graph.Node[i].Output = nil })
		try("many outputs", 0, func(m *pb.ModelProto) {
			m.Graph.Node[i].Output = append(m.Graph.Node[i].Output, "o1", "o2", "", "o3", "o1")
		})
		for _, o := range Operators() {
			try("operator", o.Name, func(m *pb.ModelProto) { m.Graph.Node[i].OpType = &o.Name })
		}
	}
}
