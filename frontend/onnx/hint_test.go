package onnx

import (
	"strings"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// TestHints follows hints: each model is refused with the hint, and compiles once that is done.
func TestHints(t *testing.T) {
	square := &pb.FunctionProto{Name: str("Square"), Domain: str("own"), Input: []string{"a"}, Output: []string{"b"}, Node: nodes(nd("Mul", "a a", "b")), OpsetImport: modelOf(17, nil).OpsetImport}
	own := nd("Square", "x", "y")
	own.Domain = str("own")
	with := func(m *pb.ModelProto, f ...*pb.FunctionProto) *pb.ModelProto {
		m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: str("own"), Version: int64p(1)})
		m.Functions = f
		return m
	}
	of := func(w tensors, n ...*pb.NodeProto) *pb.ModelProto {
		m, _ := opCase{nodes: n, x: tensors{"x": row3}, w: w, y: out(num(0))}.model()
		return m
	}
	detector := nodes(nd("Relu", "x", "boxes"), nd("Exp", "x", "scores"), nd("NonMaxSuppression", "boxes scores", "y"))
	for _, c := range []struct {
		name    string
		refused *pb.ModelProto
		opt     Options
		hint    string
		model   *pb.ModelProto // nil for the same
		then    Options
	}{
		{"an operator that there is not", of(nil, nd("Relu", "x", "r"), nd("Mystery", "r", "y")), Options{}, "smpcc compile --outputs r", nil, Options{Cut: []string{"r"}}},
		{"an operator at the start", with(of(nil, own)), Options{}, "as a function of the model", with(of(nil, own), square), Options{}},
		{"the end of a detector", of(nil, detector...), Options{}, "smpcc compile --outputs boxes,scores", nil, Options{Cut: []string{"boxes", "scores"}}},
		{"a parameter that is secret", of(nil, nd("Cast", "x", "s", ai("to", 7)), nd("ConstantOfShape", "s", "y")), Options{}, "--public x=FILE", nil, Options{Public: tensors{"x": reals(dims(3), 1, 2, 3)}}},
		{"text of reals", of(nil, nd("Relu", "x", "r"), nd("Cast", "r", "y", ai("to", 8))), Options{}, "smpcc compile --outputs r", nil, Options{Cut: []string{"r"}}},
		{"quantising to floats", of(tensors{"s": num(1), "z": num(0)}, nd("QuantizeLinear", "x s z", "y")), Options{}, "quantise to integers of 2 to 16 bits", of(tensors{"s": num(1)}, nd("QuantizeLinear", "x s", "y")), Options{}},
		{"a grid of secrets", of(nil, nd("ReduceMax", "x", "s", ai("keepdims", 0)), nd("QuantizeLinear", "x s", "y")), Options{}, "as DynamicQuantizeLinear", of(nil, nd("DynamicQuantizeLinear", "x", "y s z")), Options{}},
		{"a sequence", of(nil, nd("SequenceConstruct", "x x", "q"), nd("ConcatFromSequence", "q", "y", ai("axis", 0))), Options{}, "use Concat, Split and Gather", of(nil, nd("Concat", "x x", "y", ai("axis", 0))), Options{}},
		{"random numbers", of(nil, nd("RandomNormalLike", "x", "r"), nd("Add", "x r", "y")), Options{}, "pass the numbers as an input", of(nil, nd("Add", "x x", "y")), Options{}},
		{"places of secrets", of(nil, nd("NonZero", "x", "y")), Options{}, "rewrite the model with Where and Mul", of(nil, nd("Relu", "x", "r"), nd("Mul", "x r", "y")), Options{}},
	} {
		_, err := LoadBytes("hint.onnx", encode(t, c.refused), c.opt)
		if err == nil || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: got %v, want the hint %q", c.name, err, c.hint)
			continue
		}
		if c.model == nil {
			c.model = c.refused
		}
		m, err := LoadBytes("hint.onnx", encode(t, c.model), c.then)
		if err != nil {
			t.Errorf("%s: the hint was followed, and it is refused again: %v", c.name, err)
			continue
		}
		if len(c.then.Public) == 0 {
			if _, err := ir.Run(m, asOwners(m, tensors{"x": row3})); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
}

func str(s string) *string  { return &s }
func int64p(x int64) *int64 { return &x }
