package onnxgo

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/owulveryck/onnx-go"
	"google.golang.org/protobuf/proto"
	"gorgonia.org/tensor"

	"smpcc"
	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// maxPlaceholder bounds the placeholders that onnx-go allocates for declared inputs and outputs.
const maxPlaceholder = 1 << 22

// Unmarshal reads a model with smpcc's decoder into model and b, which New returned and model was made with. It takes the
// place of model.UnmarshalBinary and reads what that does not: opset, symbolic dimensions, subgraphs, functions, 16-bit
// floats, empty tensors. Afterwards model has the inputs that the program sets and the outputs; GetNodeByName finds these, and
// no values in between. A panic of onnx-go is returned as an error.
func Unmarshal(data []byte, model *onnx.Model, b *Backend) error {
	return b.unmarshal(data, model, func(opt smpcc.Options) (*ir.Module, error) { return smpcc.LoadBytes("model.onnx", data, opt) })
}

// UnmarshalFile is Unmarshal for a file, whose external data is read from the file's folder.
func UnmarshalFile(path string, model *onnx.Model, b *Backend) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return b.unmarshal(data, model, func(opt smpcc.Options) (*ir.Module, error) { return smpcc.Load(path, opt) })
}

func (b *Backend) unmarshal(data []byte, model *onnx.Model, load func(smpcc.Options) (*ir.Module, error)) (err error) {
	defer recovered("onnx-go cannot hold this model", &err)
	if len(b.values) > 0 {
		return errors.New("a backend holds one model; make another backend for another model")
	}
	if b.opt.Opset != 0 || len(b.opt.Outputs) > 0 {
		return errors.New("the options Opset and Outputs are for models that onnx-go decodes; Unmarshal reads both from the model")
	}
	var m pb.ModelProto
	if err := proto.Unmarshal(data, &m); err != nil || m.Graph == nil {
		return errors.New("not an ONNX model")
	}
	g, inputs := b.outline(m.Graph)
	if len(g.Output) == 0 {
		return errors.New("the model has no outputs")
	}
	enc, err := proto.Marshal(&pb.ModelProto{IrVersion: proto.Int64(8), Graph: g})
	if err != nil {
		return err
	}
	if err := model.UnmarshalBinary(enc); err != nil {
		return err
	}
	if len(b.values) == 0 {
		return errors.New("the model was made with another backend")
	}
	b.load = load
	types := map[string]*pb.ValueInfoProto{}
	for _, v := range m.Graph.Input {
		types[v.GetName()] = v
	}
	for _, v := range m.Graph.Output {
		types[v.GetName()] = v
		b.outputs = append(b.outputs, b.values[v.GetName()])
	}
	for n, v := range b.values {
		if t, ok := dtypes[held(types[n])]; ok {
			v.typ = t
		}
	}
	for _, v := range inputs {
		b.inputs = append(b.inputs, b.values[v])
	}
	return nil
}

// outline returns the graph that onnx-go decodes in the model's place, one operator from the inputs to the outputs, and the
// names of the inputs.
func (b *Backend) outline(g *pb.GraphProto) (out *pb.GraphProto, inputs []string) {
	out = &pb.GraphProto{Name: g.Name}
	op := &pb.NodeProto{OpType: proto.String("Model")}
	seen := map[string]bool{}
	for _, t := range g.Initializer {
		seen[t.GetName()] = true
	}
	for _, v := range g.Input {
		if n := v.GetName(); !seen[n] {
			seen[n] = true
			out.Input = append(out.Input, b.outlineValue(v))
			op.Input = append(op.Input, n)
			inputs = append(inputs, n)
		}
	}
	for _, v := range g.Output {
		out.Output = append(out.Output, b.outlineValue(v))
		if n := v.GetName(); !seen[n] {
			seen[n] = true
			op.Output = append(op.Output, n)
		}
	}
	out.Node = []*pb.NodeProto{op}
	return out, inputs
}

// outlineValue returns a declaration that onnx-go can make a placeholder of, without a type where it cannot.
func (b *Backend) outlineValue(v *pb.ValueInfoProto) *pb.ValueInfoProto {
	out := &pb.ValueInfoProto{Name: proto.String(v.GetName())}
	typ := held(v)
	shape := v.GetType().GetTensorType().GetShape()
	if _, ok := dtypes[typ]; !ok || shape == nil {
		return out
	}
	n := 1
	s := &pb.TensorShapeProto{}
	for _, d := range shape.Dim {
		k := int(d.GetDimValue())
		if p := d.GetDimParam(); p != "" {
			k = b.opt.Dims[p]
		}
		if k < 1 || k > maxPlaceholder/n {
			return out
		}
		n *= k
		s.Dim = append(s.Dim, &pb.TensorShapeProto_Dimension{Value: &pb.TensorShapeProto_Dimension_DimValue{DimValue: int64(k)}})
	}
	out.Type = &pb.TypeProto{Value: &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: proto.Int32(int32(typ)), Shape: s}}}
	return out
}

// held returns the type in which onnx-go holds a declared value: 16-bit floats as float32.
func held(v *pb.ValueInfoProto) pb.TensorProto_DataType {
	t := pb.TensorProto_DataType(v.GetType().GetTensorType().GetElemType())
	if t == pb.TensorProto_FLOAT16 || t == pb.TensorProto_BFLOAT16 {
		return pb.TensorProto_FLOAT
	}
	return t
}

// dtypes are gorgonia's types of the data types that values may have.
var dtypes = map[pb.TensorProto_DataType]tensor.Dtype{
	pb.TensorProto_FLOAT: tensor.Float32, pb.TensorProto_DOUBLE: tensor.Float64, pb.TensorProto_BOOL: tensor.Bool,
	pb.TensorProto_INT8: tensor.Int8, pb.TensorProto_INT16: tensor.Int16, pb.TensorProto_INT32: tensor.Int32, pb.TensorProto_INT64: tensor.Int64,
	pb.TensorProto_UINT8: tensor.Uint8, pb.TensorProto_UINT16: tensor.Uint16, pb.TensorProto_UINT32: tensor.Uint32, pb.TensorProto_UINT64: tensor.Uint64,
}

// dataType returns the data type of one of gorgonia's.
func dataType(d tensor.Dtype) (pb.TensorProto_DataType, error) {
	for t, x := range dtypes {
		if x == d {
			return t, nil
		}
	}
	return 0, fmt.Errorf("type %v is not supported", d)
}

// recovered turns a panic into an error: onnx-go and gorgonia panic on shapes and types that they do not expect.
func recovered(what string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%s: %s", what, short(fmt.Sprint(r)))
	}
}

// short quotes what a model says only in part.
func short(s string) string {
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}
