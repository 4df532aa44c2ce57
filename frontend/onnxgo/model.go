package onnxgo

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"
	"gorgonia.org/tensor"

	"smpcc"
	"smpcc/frontend/onnx"
	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Opsets that smpcc reads.
const (
	firstOpset = 1
	lastOpset  = 28
	guess      = 17 // whose mistakes are reported if no opset can be right
)

// ports returns the inputs and outputs of the model.
//
// onnx-go declares inputs, then values in between, then outputs, then makes nodes for initialisers that none of these name.
// It gives placeholders and initialisers to a node in the same way, so what is not computed is an input if it comes before
// the last output, unless it was given data twice. Declared values that no operator consumes are outputs if no consumed one is
// declared after them: that values in between are declared too must not reveal them.
func (b *Backend) ports() (inputs, outputs []*value, err error) {
	if b.load != nil {
		return b.inputs, b.outputs, nil
	}
	last, between, used := int64(-1), int64(-1), map[*value]bool{}
	for _, op := range b.ops {
		for _, v := range op.out {
			if v.declared {
				last = max(last, v.last)
			}
		}
		for _, v := range op.in {
			used[v] = true
		}
	}
	for v := range used {
		if v.made && v.declared {
			between = max(between, v.last)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.values)) {
		v := b.values[name]
		switch {
		case v.made && v.declared && v.last > between && len(b.opt.Outputs) == 0:
			outputs = append(outputs, v)
		case v.made || !v.declared || !used[v]:
		case !v.weight && v.first < last:
			inputs = append(inputs, v)
		}
	}
	for _, name := range b.opt.Outputs {
		v := b.values[name]
		if v == nil || !v.made {
			return nil, nil, fmt.Errorf("no operator computes an output %q", name)
		}
		outputs = append(outputs, v)
	}
	if len(outputs) == 0 {
		return nil, nil, errors.New("no declared value is an output for certain, and onnx-go does not say which are: name them in Options.Outputs, or read the model with onnxgo.Unmarshal")
	}
	return inputs, outputs, nil
}

// model returns the ONNX model that onnx-go decoded, as far as it told; the opset is missing.
func (b *Backend) model(inputs, outputs []*value) (*pb.ModelProto, error) {
	g := &pb.GraphProto{}
	for _, v := range inputs {
		typ := v.typ
		if typ.Type == nil && v.tensor != nil {
			typ = v.tensor.Dtype()
		}
		t, err := dataType(typ)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", v.name, err)
		}
		g.Input = append(g.Input, &pb.ValueInfoProto{Name: &v.name, Type: &pb.TypeProto{Value: &pb.TypeProto_TensorType{TensorType: &pb.TypeProto_Tensor{ElemType: proto.Int32(int32(t))}}}})
	}
	for _, v := range outputs {
		g.Output = append(g.Output, &pb.ValueInfoProto{Name: &v.name})
	}
	m := &pb.ModelProto{IrVersion: proto.Int64(8), Graph: g}
	added := map[*value]bool{}
	for _, op := range b.ops {
		n := &pb.NodeProto{OpType: proto.String(op.Name)}
		if o := foreign(op.Name); o != nil {
			n.Domain = proto.String(o.Domain)
			m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: n.Domain, Version: proto.Int64(int64(o.Since))})
		}
		for _, v := range op.in {
			if len(op.in) == 1 && v.isMadeUp() {
				break
			}
			n.Input = append(n.Input, v.name)
			if v.made || v.tensor == nil || added[v] || slices.Contains(inputs, v) {
				continue
			}
			added[v] = true
			t, err := tensorProto(v.name, v.tensor)
			if err != nil {
				return nil, fmt.Errorf("weight %q: %w", v.name, err)
			}
			g.Initializer = append(g.Initializer, t)
		}
		for _, v := range op.out {
			n.Output = append(n.Output, v.name)
		}
		if len(n.Output) > 0 { // onnx-go keeps no name of nodes
			n.Name = proto.String(n.Output[0])
		}
		for _, name := range slices.Sorted(maps.Keys(op.Attributes)) {
			a, err := attribute(name, op.Attributes[name])
			if err != nil {
				return nil, diag.Errorf(diag.Pos{Node: fmt.Sprintf("node %q (%s)", n.GetName(), op.Name)}, "attribute %s: %v", name, err)
			}
			n.Attribute = append(n.Attribute, a)
		}
		g.Node = append(g.Node, n)
	}
	return m, nil
}

// foreign returns an operator that only another domain than ONNX's own has: onnx-go hands over no domains.
func foreign(name string) (found *onnx.Operator) {
	for _, o := range onnx.Operators() {
		switch {
		case o.Name != name:
		case o.Domain == "ai.onnx":
			return nil
		default:
			found = &o
		}
	}
	return found
}

// attribute encodes an attribute as onnx-go hands it over.
func attribute(name string, value any) (*pb.AttributeProto, error) {
	a := &pb.AttributeProto{Name: &name}
	typ := pb.AttributeProto_UNDEFINED
	switch v := value.(type) {
	case float32:
		typ, a.F = pb.AttributeProto_FLOAT, &v
	case int64:
		typ, a.I = pb.AttributeProto_INT, &v
	case string:
		typ, a.S = pb.AttributeProto_STRING, []byte(v)
	case []float32:
		typ, a.Floats = pb.AttributeProto_FLOATS, v
	case []int64:
		typ, a.Ints = pb.AttributeProto_INTS, v
	case []string:
		typ = pb.AttributeProto_STRINGS
		for _, s := range v {
			a.Strings = append(a.Strings, []byte(s))
		}
	case tensor.Tensor:
		typ = pb.AttributeProto_TENSOR
		var err error
		if a.T, err = tensorProto("", v); err != nil {
			return nil, err
		}
	case struct{}:
		return nil, errors.New("has no type, and onnx-go does not hand its value over; read the model with onnxgo.Unmarshal")
	default:
		return nil, fmt.Errorf("is a %T", value)
	}
	a.Type = &typ
	return a, nil
}

// tensorProto encodes the data of a weight or constant.
func tensorProto(name string, t tensor.Tensor) (*pb.TensorProto, error) {
	x, err := toIR(t)
	if err != nil {
		return nil, err
	}
	typ, err := dataType(t.Dtype())
	if err != nil {
		return nil, err
	}
	p := &pb.TensorProto{Name: &name, DataType: proto.Int32(int32(typ))}
	for _, d := range x.Shape {
		p.Dims = append(p.Dims, int64(d))
	}
	switch typ {
	case pb.TensorProto_FLOAT:
		for _, f := range x.F {
			p.FloatData = append(p.FloatData, float32(f))
		}
	case pb.TensorProto_DOUBLE:
		p.DoubleData = x.F
	case pb.TensorProto_INT64:
		p.Int64Data = x.I
	case pb.TensorProto_UINT32, pb.TensorProto_UINT64:
		for _, i := range x.I {
			p.Uint64Data = append(p.Uint64Data, uint64(i))
		}
	default:
		for _, i := range x.I {
			p.Int32Data = append(p.Int32Data, int32(i))
		}
	}
	return p, nil
}

// read turns the model that onnx-go decoded into a module. Operators mean different things in different opsets, and onnx-go
// does not say which one the model is written for: unless the program says it, all opsets that accept the model must agree.
func (b *Backend) read(inputs, outputs []*value, opt smpcc.Options) (*ir.Module, error) {
	m, err := b.model(inputs, outputs)
	if err != nil {
		return nil, err
	}
	data, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	read := func(opset int64) (*ir.Module, error) {
		v, err := proto.Marshal(&pb.ModelProto{OpsetImport: []*pb.OperatorSetIdProto{{Version: &opset}}})
		if err != nil {
			return nil, err
		}
		return smpcc.LoadBytes("model.onnx", slices.Concat(data, v), opt) // one message after another is their union
	}
	if b.opt.Opset != 0 {
		return read(int64(b.opt.Opset))
	}
	var found *ir.Module
	at := int64(0)
	for opset := int64(lastOpset); opset >= firstOpset; opset-- {
		switch x, err := read(opset); {
		case err != nil:
		case found == nil:
			found, at = x, opset
		case !same(found, x):
			return nil, fmt.Errorf("the model means one thing in opset %d and another in opset %d, and onnx-go does not say which it is written for: set Options.Opset, or read the model with onnxgo.Unmarshal", opset, at)
		}
	}
	if found == nil {
		return read(guess)
	}
	return found, nil
}

// same reports whether two modules compute the same.
func same(a, b *ir.Module) bool {
	return a.String() == b.String() && maps.EqualFunc(a.Weights, b.Weights, func(x, y *ir.Tensor) bool {
		return x.Elem == y.Elem && slices.Equal(x.Shape, y.Shape) && slices.Equal(x.F, y.F) && slices.Equal(x.I, y.I)
	})
}
