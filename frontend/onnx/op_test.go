package onnx

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// An opCase is a model of one or a few nodes that computes y, or y0, y1, ...
type opCase struct {
	name  string
	opset int64 // 17 if zero
	nodes []*pb.NodeProto
	x     map[string]*ir.Tensor // secret inputs
	w     map[string]*ir.Tensor // initialisers
	y     []*ir.Tensor
	eps   float64 // 1e-6 if zero
	since int64   // version of the nodes' own domain, 3 if zero
}

type tensors = map[string]*ir.Tensor

func nodes(n ...*pb.NodeProto) []*pb.NodeProto { return n }

// apply is f of every element.
func apply(f func(float64) float64, t *ir.Tensor) *ir.Tensor {
	y := reals(t.Shape, slices.Clone(t.F)...)
	for i, x := range y.F {
		y.F[i] = f(x)
	}
	return y
}

// subgraph is the body of a loop; names are separated by blanks.
func subgraph(ins, outs string, n ...*pb.NodeProto) *pb.GraphProto {
	g := graph(outs, n...)
	for _, name := range strings.Fields(ins) {
		g.Input = append(g.Input, vi(name, ir.Real))
	}
	return g
}

func out(t ...*ir.Tensor) []*ir.Tensor { return t }

// model builds the case's model.
func (c opCase) model() (*pb.ModelProto, []string) {
	names := []string{"y"}
	if len(c.y) > 1 {
		names = nil
		for i := range c.y {
			names = append(names, fmt.Sprintf("y%d", i))
		}
	}
	g := graph(strings.Join(names, " "), c.nodes...)
	for _, k := range slices.Sorted(maps.Keys(c.x)) {
		g.Input = append(g.Input, tensorInfo(k, c.x[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(c.w)) {
		g.Initializer = append(g.Initializer, protoOf(k, c.w[k]))
	}
	opset := c.opset
	if opset == 0 {
		opset = 17
	}
	m := modelOf(opset, g)
	for _, n := range c.nodes {
		if n.Domain != nil {
			m.OpsetImport = append(m.OpsetImport, &pb.OperatorSetIdProto{Domain: n.Domain, Version: proto.Int64(cmp.Or(c.since, 3))})
			break
		}
	}
	return m, names
}

var (
	row3      = reals(dims(3), -1, 0, 2)
	row3Above = reals(dims(3), 0, 0, 2) // row3 where it is more than -1/2
	mat23     = reals(dims(2, 3), 1, 2, 3, 4, 5, 6)
	mat32     = reals(dims(3, 2), 1, 0, 0, 1, 1, 1)
	plane     = reals(dims(1, 1, 3, 3), 1, 2, 3, 4, 5, 6, 7, 8, 9)
	grid4     = reals(dims(1, 1, 4, 2), 0, 0, -1, -1, 1, 1, 1.0/3, 0) // places as GridSample takes them
	unit      = reals(dims(4), -0.75, 0, 0.5, 1)
	half      = reals(dims(3), -0.5, 0, 0.9)
	list3     = reals(dims(3), 1, 2, 5)
	line3     = reals(dims(1, 1, 3), 1, 2, 3)
	tap2      = reals(dims(1, 1, 2), 1, 10)
	one22     = reals(dims(1, 1, 2, 2), 1, 1, 1, 1)
)

// tfidf is the attributes of a vectorizer of three bigrams, one of them twice in the tokens 1 2 1 2 3.
func tfidf(mode string) []*pb.AttributeProto {
	return []*pb.AttributeProto{as("mode", mode), ai("min_gram_length", 2), ai("max_gram_length", 2), ai("max_skip_count", 0), ais("ngram_counts", 0, 2), ais("ngram_indexes", 3, 4, 2, 0, 1),
		ais("pool_int64s", 7, 8, 1, 2, 3, 1, 2, 3), afs("weights", 9, 9, 3, 4, 0.5)}
}

// ramp is 0, 1, 2, ...
func ramp(d ...int) *ir.Tensor {
	t := ir.NewTensor(ir.Real, d)
	for i := range t.F {
		t.F[i] = float64(i)
	}
	return t
}

var opCases = []opCase{
	{name: "Add broadcast", nodes: nodes(nd("Add", "x w", "y")), x: tensors{"x": mat23}, w: tensors{"w": row3}, y: out(reals(dims(2, 3), 0, 2, 5, 3, 5, 8))},
	{name: "Add axis, opset 6", opset: 6, nodes: nodes(nd("Add", "x w", "y", ai("axis", 0), ai("broadcast", 1))), x: tensors{"x": mat23}, w: tensors{"w": reals(dims(2), 10, 20)}, y: out(reals(dims(2, 3), 11, 12, 13, 24, 25, 26))},
	{name: "Sub", nodes: nodes(nd("Sub", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": num(1)}, y: out(reals(dims(3), -2, -1, 1))},
	{name: "Mul secret", nodes: nodes(nd("Mul", "x z", "y")), x: tensors{"x": row3, "z": row3}, y: out(reals(dims(3), 1, 0, 4))},
	{name: "Div weight", nodes: nodes(nd("Div", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": reals(dims(3), 2, 4, 8)}, y: out(reals(dims(3), -0.5, 0, 0.25))},
	{name: "Div constant", nodes: nodes(nd("Constant", "", "c", at("value", num(4))), nd("Div", "x c", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.25, 0, 0.5))},
	{name: "Div constants exactly", nodes: nodes(nd("Constant", "", "c", at("value", num(49))), nd("Div", "c c", "q"), nd("Floor", "q", "f"), nd("Mul", "x f", "y")), x: tensors{"x": row3}, y: out(row3)},
	{name: "Div by function of weights", nodes: nodes(nd("Constant", "", "e", at("value", num(1))), nd("Add", "w e", "v"), nd("Sqrt", "v", "s"), nd("Div", "x s", "y")),
		x: tensors{"x": row3}, w: tensors{"w": reals(dims(3), 3, 8, 15)}, y: out(reals(dims(3), -0.5, 0, 0.5))},
	{name: "Div weights", nodes: nodes(nd("Div", "w v", "u"), nd("Add", "x u", "y")), x: tensors{"x": row3}, w: tensors{"w": num(1), "v": num(4)}, y: out(reals(dims(3), -0.75, 0.25, 2.25))},
	{name: "Neg", nodes: nodes(nd("Neg", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 1, 0, -2))},
	{name: "Abs int", nodes: nodes(nd("Abs", "x", "y")), x: tensors{"x": list(-3, 4)}, y: out(list(3, 4))},
	{name: "Pow", nodes: nodes(nd("Constant", "", "k", at("value", num(3))), nd("Pow", "x k", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -1, 0, 8))},
	{name: "Pow by an initialiser", nodes: nodes(nd("Pow", "x k", "y")), x: tensors{"x": row3}, w: tensors{"k": num(2)}, y: out(reals(dims(3), 1, 0, 4))},
	{name: "Pow 11", nodes: nodes(nd("Pow", "x k", "y")), x: tensors{"x": row3}, w: tensors{"k": list(11)}, y: out(reals(dims(3), -1, 0, 2048))},
	{name: "Pow -2", nodes: nodes(nd("Pow", "x k", "y")), x: tensors{"x": reals(dims(2), -4, 0.5)}, w: tensors{"k": list(-2)}, y: out(reals(dims(2), 0.0625, 4))},
	{name: "Pow -3", nodes: nodes(nd("Constant", "", "k", at("value", num(-3))), nd("Pow", "x k", "y")), x: tensors{"x": reals(dims(2), -2, 0.5)}, y: out(reals(dims(2), -0.125, 8))},
	{name: "Pow 65", nodes: nodes(nd("Constant", "", "k", at("value", num(65))), nd("Pow", "x k", "y")), x: tensors{"x": reals(dims(3), -1.0625, 1.0625, 0.5)},
		y: out(reals(dims(3), math.Pow(-1.0625, 65), math.Pow(1.0625, 65), 0)), eps: 1e-4},
	{name: "Pow by each its own", nodes: nodes(nd("Constant", "", "k", at("value", reals(dims(2, 1), 3, 2))), nd("Pow", "x k", "y")), x: tensors{"x": row3}, y: out(reals(dims(2, 3), -1, 0, 8, 1, 0, 4))},
	{name: "Pow by secret exponents", nodes: nodes(nd("Pow", "x k", "y")), x: tensors{"x": reals(dims(4), -2, -3, 0.5, 4), "k": reals(dims(4), 3, 2, -1, 0.5)}, y: out(reals(dims(4), -8, 9, 2, 2))},
	{name: "Pow by trained exponents", nodes: nodes(nd("Pow", "x k", "y")), x: tensors{"x": reals(dims(2), -2, 4)}, w: tensors{"k": reals(dims(2), 3, 0.5)}, y: out(reals(dims(2), -8, 2))},
	{name: "Pow of integers by secret reals", nodes: nodes(nd("Pow", "b k", "y")), x: tensors{"k": reals(dims(3), 4, 5, 2.5)}, w: tensors{"b": list(1, 2, 3)}, y: out(ints(dims(3), 1, 32, 15))},
	{name: "Pow of an integer", nodes: nodes(nd("Pow", "x k", "y")), x: tensors{"x": list(-3, 2)}, w: tensors{"k": list(3)}, y: out(ints(dims(2), -27, 8))},
	{name: "Cast of constants to narrower integers", nodes: nodes(nd("Cast", "k", "y0", ai("to", int64(pb.TensorProto_UINT8))), nd("Cast", "k", "y1", ai("to", int64(pb.TensorProto_INT8))), nd("Cast", "k", "y2", ai("to", int64(pb.TensorProto_INT64)))),
		w: tensors{"k": list(-1, 200, 7)}, y: out(list(255, 200, 7), list(-1, -56, 7), list(-1, 200, 7))},
	{name: "Cast to int", nodes: nodes(nd("Cast", "x", "y", ai("to", 7))), x: tensors{"x": reals(dims(4), -2.5, 2.5, -0.5, 3)}, y: out(ints(dims(4), -2, 2, 0, 3))},
	{name: "Div of integers", nodes: nodes(nd("Div", "x d", "y")), x: tensors{"x": list(7, -7, 7, -7, 6, 0)}, w: tensors{"d": list(2, 2, -2, -2, 3, 5)}, y: out(list(3, -3, -3, 3, 2, 0))},
	{name: "Div of secret integers", nodes: nodes(nd("Div", "x d", "y")), x: tensors{"x": list(7, -7, 100000), "d": list(2, 2, -3)}, y: out(list(3, -3, -33333))},
	{name: "Mod of integers", nodes: nodes(nd("Mod", "x d", "y")), x: tensors{"x": list(7, -7, 7, -7, 6)}, w: tensors{"d": list(3, 3, -3, -3, 3)}, y: out(list(1, 2, -2, -1, 0))},
	{name: "Mod of integers as in C", nodes: nodes(nd("Mod", "x d", "y", ai("fmod", 1))), x: tensors{"x": list(7, -7, 7, -7)}, w: tensors{"d": list(3, 3, -3, -3)}, y: out(list(1, -1, 1, -1))},
	{name: "Mod of reals", nodes: nodes(nd("Mod", "x d", "y", ai("fmod", 1))), x: tensors{"x": reals(dims(4), -4.25, 7.25, 5, -8), "d": reals(dims(4), 2, -3.5, 8, -0.75)}, y: out(reals(dims(4), -0.25, 0.25, 5, -0.5))},
	{name: "Pow 8", nodes: nodes(nd("Constant", "", "k", ai("value_int", 8)), nd("Pow", "x k", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 1, 0, 256))},
	{name: "Relu", nodes: nodes(nd("Relu", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 0, 0, 2))},
	{name: "LeakyRelu", nodes: nodes(nd("LeakyRelu", "x", "y", af("alpha", 0.5))), x: tensors{"x": row3}, y: out(reals(dims(3), -0.5, 0, 2))},
	{name: "PRelu", nodes: nodes(nd("PRelu", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": reals(dims(1), 0.25)}, y: out(reals(dims(3), -0.25, 0, 2))},
	{name: "Clip attributes", opset: 6, nodes: nodes(nd("Clip", "x", "y", af("min", -0.5), af("max", 1))), x: tensors{"x": row3}, y: out(reals(dims(3), -0.5, 0, 1))},
	{name: "Clip only max, from an initialiser", nodes: nodes(nd("Clip", "x _ hi", "y")), x: tensors{"x": row3}, w: tensors{"hi": num(1)}, y: out(reals(dims(3), -1, 0, 1))},
	{name: "Clip to computed bounds", nodes: nodes(nd("Clip", "x lo hi", "y")), x: tensors{"x": row3, "lo": num(-0.5)}, w: tensors{"hi": num(1)}, y: out(reals(dims(3), -0.5, 0, 1))},
	{name: "Clip to a computed maximum below the minimum", nodes: nodes(nd("Clip", "x lo hi", "y")), x: tensors{"x": row3, "hi": num(-2)}, w: tensors{"lo": num(1)}, y: out(reals(dims(3), -2, -2, -2))},
	{name: "Clip without bounds", nodes: nodes(nd("Clip", "x", "y")), x: tensors{"x": row3}, y: out(row3)},
	{name: "Tanh", nodes: nodes(nd("Tanh", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.7615942, 0, 0.9640276))},
	{name: "Exp", nodes: nodes(nd("Exp", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 0.3678794, 1, 7.3890561))},
	{name: "Sin", nodes: nodes(nd("Sin", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.8414710, 0, 0.9092974))},
	{name: "Cos", nodes: nodes(nd("Cos", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 0.5403023, 1, -0.4161468))},
	{name: "Softplus", nodes: nodes(nd("Softplus", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 0.3132617, 0.6931472, 2.1269280))},
	{name: "Mish", opset: 18, nodes: nodes(nd("Mish", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.3034014, 0, 1.9439590))},
	{name: "Div", nodes: nodes(nd("Div", "x d", "y")), x: tensors{"x": row3, "d": reals(dims(1), -4)}, y: out(reals(dims(3), 0.25, 0, -0.5))},
	{name: "Sigmoid", nodes: nodes(nd("Sigmoid", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 0.2689414, 0.5, 0.8807971))},
	{name: "HardSigmoid", nodes: nodes(nd("HardSigmoid", "x", "y", af("alpha", 0.5))), x: tensors{"x": row3}, y: out(reals(dims(3), 0, 0.5, 1))},
	{name: "HardSwish", nodes: nodes(nd("HardSwish", "x", "y")), x: tensors{"x": reals(dims(3), -3, 0, 3)}, y: out(reals(dims(3), 0, 0, 3))},
	{name: "Softmax", nodes: nodes(nd("Softmax", "x", "y")), x: tensors{"x": reals(dims(2, 2), 1, 1, 0, 1)}, y: out(reals(dims(2, 2), 0.5, 0.5, 0.2689414, 0.7310586))},
	{name: "Softmax flattens, opset 11", opset: 11, nodes: nodes(nd("Softmax", "x", "y")), x: tensors{"x": reals(dims(1, 2, 2), 1, 1, 1, 1)}, y: out(reals(dims(1, 2, 2), 0.25, 0.25, 0.25, 0.25))},
	{name: "Max of three", nodes: nodes(nd("Max", "x w z", "y")), x: tensors{"x": row3, "z": reals(dims(3), 0, -5, 5)}, w: tensors{"w": num(-0.5)}, y: out(reals(dims(3), 0, 0, 5))},
	{name: "Min", nodes: nodes(nd("Min", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": num(0.5)}, y: out(reals(dims(3), -1, 0, 0.5))},
	{name: "Sum", nodes: nodes(nd("Sum", "x x x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -3, 0, 6))},
	{name: "Mean", nodes: nodes(nd("Mean", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": num(1)}, y: out(reals(dims(3), 0, 0.5, 1.5))},
	{name: "Less", nodes: nodes(nd("Less", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": num(0)}, y: out(bools(dims(3), 1, 0, 0))},
	{name: "LessOrEqual", nodes: nodes(nd("LessOrEqual", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": num(0)}, y: out(bools(dims(3), 1, 1, 0))},
	{name: "Greater", nodes: nodes(nd("Greater", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": num(0)}, y: out(bools(dims(3), 0, 0, 1))},
	{name: "GreaterOrEqual", nodes: nodes(nd("GreaterOrEqual", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": num(0)}, y: out(bools(dims(3), 0, 1, 1))},
	{name: "Equal", nodes: nodes(nd("Equal", "x w", "y")), x: tensors{"x": list(1, 2)}, w: tensors{"w": list(1, 3)}, y: out(bools(dims(2), 1, 0))},
	{name: "Equal bool", nodes: nodes(nd("Equal", "x w", "y")), x: tensors{"x": bools(dims(2), 1, 0)}, w: tensors{"w": bools(dims(2), 1, 1)}, y: out(bools(dims(2), 1, 0))},
	{name: "logic", nodes: nodes(nd("And", "x z", "a"), nd("Or", "x z", "o"), nd("Xor", "a o", "e"), nd("Not", "e", "y")), x: tensors{"x": bools(dims(4), 0, 0, 1, 1), "z": bools(dims(4), 0, 1, 0, 1)}, y: out(bools(dims(4), 1, 0, 0, 1))},
	{name: "Where", nodes: nodes(nd("Where", "c x w", "y")), x: tensors{"c": bools(dims(3), 1, 0, 1), "x": row3}, w: tensors{"w": num(9)}, y: out(reals(dims(3), -1, 9, 2))},
	{name: "Cast int to float", nodes: nodes(nd("Cast", "x", "y", ai("to", 1))), x: tensors{"x": list(1, -2)}, y: out(reals(dims(2), 1, -2))},
	{name: "Cast to bool", nodes: nodes(nd("Cast", "x", "y", ai("to", 9))), x: tensors{"x": row3}, y: out(bools(dims(3), 1, 0, 1))},
	{name: "Cast bool to int", nodes: nodes(nd("Cast", "x", "y", ai("to", 7))), x: tensors{"x": bools(dims(2), 0, 1)}, y: out(list(0, 1))},

	{name: "ThresholdedRelu", nodes: nodes(nd("ThresholdedRelu", "x", "y", af("alpha", -0.5))), x: tensors{"x": row3}, y: out(row3Above)},
	{name: "Sign", nodes: nodes(nd("Sign", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -1, 0, 1))},
	{name: "Sign int", nodes: nodes(nd("Sign", "x", "y")), x: tensors{"x": list(-5, 7)}, y: out(list(-1, 1))},
	{name: "CastLike", nodes: nodes(nd("CastLike", "x z", "y")), x: tensors{"x": list(1, -2), "z": row3}, y: out(reals(dims(2), 1, -2))},

	{name: "Conv", nodes: nodes(nd("Conv", "x w b", "y")), x: tensors{"x": plane}, w: tensors{"w": one22, "b": reals(dims(1), 1)}, y: out(reals(dims(1, 1, 2, 2), 13, 17, 25, 29))},
	{name: "Conv pads and strides", nodes: nodes(nd("Conv", "x w", "y", ais("pads", 1, 0, 0, 1), ais("strides", 2, 2))), x: tensors{"x": plane}, w: tensors{"w": one22}, y: out(reals(dims(1, 1, 2, 2), 3, 3, 24, 15))},
	{name: "Conv dilations", nodes: nodes(nd("Conv", "x w", "y", ais("dilations", 2, 2))), x: tensors{"x": plane}, w: tensors{"w": one22}, y: out(reals(dims(1, 1, 1, 1), 20))},
	{name: "Conv SAME_UPPER", nodes: nodes(nd("Conv", "x w", "y", as("auto_pad", "SAME_UPPER"))), x: tensors{"x": plane}, w: tensors{"w": one22}, y: out(reals(dims(1, 1, 3, 3), 12, 16, 9, 24, 28, 15, 15, 17, 9))},
	{name: "Conv SAME_LOWER", nodes: nodes(nd("Conv", "x w", "y", as("auto_pad", "SAME_LOWER"))), x: tensors{"x": plane}, w: tensors{"w": one22}, y: out(reals(dims(1, 1, 3, 3), 1, 3, 5, 5, 12, 16, 11, 24, 28))},
	{name: "Conv VALID", nodes: nodes(nd("Conv", "x w", "y", as("auto_pad", "VALID"))), x: tensors{"x": plane}, w: tensors{"w": one22}, y: out(reals(dims(1, 1, 2, 2), 12, 16, 24, 28))},
	{name: "Conv groups", nodes: nodes(nd("Conv", "x w", "y", ai("group", 2))), x: tensors{"x": reals(dims(1, 2, 1, 1), 3, 5)}, w: tensors{"w": reals(dims(2, 1, 1, 1), 10, 100)}, y: out(reals(dims(1, 2, 1, 1), 30, 500))},
	{name: "Conv 1-D", nodes: nodes(nd("Conv", "x w b", "y", ais("pads", 1, 0))), x: tensors{"x": reals(dims(1, 1, 3), 1, 2, 3)}, w: tensors{"w": reals(dims(1, 1, 2), 1, 10), "b": reals(dims(1), 100)}, y: out(reals(dims(1, 1, 3), 110, 121, 132))},
	{name: "MaxPool", nodes: nodes(nd("MaxPool", "x", "y", ais("kernel_shape", 2, 2))), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 2, 2), 5, 6, 8, 9))},
	{name: "MaxPool negative with pads", nodes: nodes(nd("Neg", "x", "n"), nd("MaxPool", "n", "y", ais("kernel_shape", 2, 2), ais("strides", 2, 2), ais("pads", 1, 1, 0, 0))), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 2, 2), -1, -2, -4, -5))},
	{name: "MaxPool ceil", nodes: nodes(nd("MaxPool", "x", "y", ais("kernel_shape", 2, 2), ais("strides", 2, 2), ai("ceil_mode", 1))), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 2, 2), 5, 6, 8, 9))},
	{name: "MaxPool 1-D dilations", nodes: nodes(nd("MaxPool", "x", "y", ais("kernel_shape", 2), ais("dilations", 2))), x: tensors{"x": reals(dims(1, 1, 4), 1, 5, 2, 3)}, y: out(reals(dims(1, 1, 2), 2, 5))},
	{name: "AveragePool", nodes: nodes(nd("AveragePool", "x", "y", ais("kernel_shape", 2, 2))), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 2, 2), 3, 4, 6, 7))},
	{name: "AveragePool without pads counted", nodes: nodes(nd("AveragePool", "x", "y", ais("kernel_shape", 2, 2), ais("strides", 2, 2), ais("pads", 1, 1, 0, 0))), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 2, 2), 1, 2.5, 5.5, 7))},
	{name: "AveragePool with pads counted", nodes: nodes(nd("AveragePool", "x", "y", ais("kernel_shape", 2, 2), ais("strides", 2, 2), ais("pads", 1, 1, 0, 0), ai("count_include_pad", 1))), x: tensors{"x": plane},
		y: out(reals(dims(1, 1, 2, 2), 0.25, 1.25, 2.75, 7))},
	{name: "AveragePool ceil", nodes: nodes(nd("AveragePool", "x", "y", ais("kernel_shape", 2), ais("strides", 2), ai("ceil_mode", 1))), x: tensors{"x": reals(dims(1, 1, 3), 2, 4, 9)}, y: out(reals(dims(1, 1, 2), 3, 9))},
	{name: "AveragePool ceil with pads counted", nodes: nodes(nd("AveragePool", "x", "y", ais("kernel_shape", 3), ais("strides", 2), ais("pads", 1, 1), ai("ceil_mode", 1), ai("count_include_pad", 1))), x: tensors{"x": reals(dims(1, 1, 4), 3, 6, 9, 12)},
		y: out(reals(dims(1, 1, 3), 3, 9, 6))}, // the last window holds 12, one pad, and a cell that does not count
	{name: "GlobalAveragePool", nodes: nodes(nd("GlobalAveragePool", "x", "y")), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 1, 1), 5))},
	{name: "GlobalMaxPool", nodes: nodes(nd("GlobalMaxPool", "x", "y")), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 1, 1), 9))},
	{name: "Gemm", nodes: nodes(nd("Gemm", "x w b", "y", af("alpha", 2), af("beta", 0.5), ai("transA", 1), ai("transB", 1))), x: tensors{"x": mat23}, w: tensors{"w": reals(dims(1, 2), 1, 10), "b": num(4)}, y: out(reals(dims(3, 1), 84, 106, 128))},
	{name: "MatMul", nodes: nodes(nd("MatMul", "x w", "y")), x: tensors{"x": mat23}, w: tensors{"w": mat32}, y: out(reals(dims(2, 2), 4, 5, 10, 11))},
	{name: "MatMul vector left", nodes: nodes(nd("MatMul", "x w", "y")), x: tensors{"x": row3}, w: tensors{"w": mat32}, y: out(reals(dims(2), 1, 2))},
	{name: "MatMul vector right", nodes: nodes(nd("MatMul", "w x", "y")), x: tensors{"x": row3}, w: tensors{"w": mat23}, y: out(reals(dims(2), 5, 8))},
	{name: "MatMul vectors", nodes: nodes(nd("MatMul", "x x", "y")), x: tensors{"x": row3}, y: out(num(5))},
	{name: "BatchNormalization", nodes: nodes(nd("BatchNormalization", "x s b m v", "y", af("epsilon", 0))), x: tensors{"x": reals(dims(1, 2), 3, 10)},
		w: tensors{"s": reals(dims(2), 2, 1), "b": reals(dims(2), 1, 0), "m": reals(dims(2), 1, 2), "v": reals(dims(2), 4, 16)}, y: out(reals(dims(1, 2), 3, 2))},

	{name: "Flatten", nodes: nodes(nd("Flatten", "x", "y", ai("axis", -1))), x: tensors{"x": plane}, y: out(reals(dims(3, 3), plane.F...))},
	{name: "Reshape -1 and 0", nodes: nodes(nd("Reshape", "x s", "y")), x: tensors{"x": mat23}, w: tensors{"s": list(0, -1, 1)}, y: out(reals(dims(2, 3, 1), mat23.F...))},
	{name: "Reshape by shape arithmetic", nodes: nodes(nd("Shape", "x", "s"), nd("Constant", "", "i", ais("value_ints", 0)), nd("Gather", "s i", "n"), nd("Constant", "", "m", ais("value_ints", -1)), nd("Concat", "n m", "t", ai("axis", 0)), nd("Reshape", "x t", "y")),
		x: tensors{"x": reals(dims(2, 3, 1), mat23.F...)}, y: out(mat23)},
	{name: "Reshape by division", nodes: nodes(nd("Size", "x", "s"), nd("Constant", "", "k", ai("value_int", 2)), nd("Div", "s k", "h"), nd("Constant", "", "a", ais("value_ints", 0)), nd("Unsqueeze", "h a", "u"), nd("Constant", "", "two", ais("value_ints", 2)), nd("Concat", "u two", "t", ai("axis", 0)), nd("Reshape", "x t", "y")),
		x: tensors{"x": mat23}, y: out(reals(dims(3, 2), mat23.F...))},
	{name: "Shape part", nodes: nodes(nd("Shape", "x", "y", ai("start", -1))), x: tensors{"x": mat23}, y: out(list(3))},
	{name: "Transpose", nodes: nodes(nd("Transpose", "x", "y")), x: tensors{"x": mat23}, y: out(reals(dims(3, 2), 1, 4, 2, 5, 3, 6))},
	{name: "Squeeze all", nodes: nodes(nd("Squeeze", "x", "y")), x: tensors{"x": reals(dims(1, 2, 1), 1, 2)}, y: out(reals(dims(2), 1, 2))},
	{name: "Squeeze axes, opset 11", opset: 11, nodes: nodes(nd("Squeeze", "x", "y", ais("axes", -1))), x: tensors{"x": reals(dims(1, 2, 1), 1, 2)}, y: out(reals(dims(1, 2), 1, 2))},
	{name: "Unsqueeze", nodes: nodes(nd("Unsqueeze", "x a", "y")), x: tensors{"x": row3}, w: tensors{"a": list(0, -1)}, y: out(reals(dims(1, 3, 1), row3.F...))},
	{name: "Unsqueeze, opset 11", opset: 11, nodes: nodes(nd("Unsqueeze", "x", "y", ais("axes", 1))), x: tensors{"x": row3}, y: out(reals(dims(3, 1), row3.F...))},
	{name: "Concat", nodes: nodes(nd("Concat", "x w x", "y", ai("axis", -1))), x: tensors{"x": row3}, w: tensors{"w": reals(dims(1), 7)}, y: out(reals(dims(7), -1, 0, 2, 7, -1, 0, 2))},
	{name: "Split sizes", nodes: nodes(nd("Split", "x s", "y0 y1")), x: tensors{"x": row3}, w: tensors{"s": list(1, 2)}, y: out(reals(dims(1), -1), reals(dims(2), 0, 2))},
	{name: "Split uneven, opset 18", opset: 18, nodes: nodes(nd("Split", "x", "y0 y1", ai("num_outputs", 2))), x: tensors{"x": row3}, y: out(reals(dims(2), -1, 0), reals(dims(1), 2))},
	{name: "Split attribute, opset 11", opset: 11, nodes: nodes(nd("Split", "x", "y0 y1", ais("split", 2, 1))), x: tensors{"x": row3}, y: out(reals(dims(2), -1, 0), reals(dims(1), 2))},
	{name: "Slice backwards", nodes: nodes(nd("Slice", "x s e a t", "y")), x: tensors{"x": row3}, w: tensors{"s": list(-1), "e": list(-1 << 62), "a": list(0), "t": list(-2)}, y: out(reals(dims(2), 2, -1))},
	{name: "Slice attributes, opset 9", opset: 9, nodes: nodes(nd("Slice", "x", "y", ais("starts", 1), ais("ends", 1<<62), ais("axes", 1))), x: tensors{"x": mat23}, y: out(reals(dims(2, 2), 2, 3, 5, 6))},
	{name: "Gather", nodes: nodes(nd("Gather", "x i", "y", ai("axis", 1))), x: tensors{"x": mat23}, w: tensors{"i": list(-1, 0)}, y: out(reals(dims(2, 2), 3, 1, 6, 4))},
	{name: "Gather scalar", nodes: nodes(nd("Gather", "x i", "y")), x: tensors{"x": mat23}, w: tensors{"i": ints(dims(), 1)}, y: out(reals(dims(3), 4, 5, 6))},
	{name: "Pad", nodes: nodes(nd("Pad", "x p v", "y")), x: tensors{"x": row3}, w: tensors{"p": list(1, 2), "v": num(7)}, y: out(reals(dims(6), 7, -1, 0, 2, 7, 7))},
	{name: "Pad cuts", nodes: nodes(nd("Pad", "x p", "y")), x: tensors{"x": row3}, w: tensors{"p": list(-1, 1)}, y: out(reals(dims(3), 0, 2, 0))},
	{name: "Pad axes, opset 18", opset: 18, nodes: nodes(nd("Pad", "x p _ a", "y")), x: tensors{"x": mat23}, w: tensors{"p": list(0, 1), "a": list(-1)}, y: out(reals(dims(2, 4), 1, 2, 3, 0, 4, 5, 6, 0))},
	{name: "Pad attributes, opset 10", opset: 10, nodes: nodes(nd("Pad", "x", "y", ais("pads", 1, 0), af("value", 2))), x: tensors{"x": row3}, y: out(reals(dims(4), 2, -1, 0, 2))},
	{name: "Expand", nodes: nodes(nd("Expand", "x s", "y")), x: tensors{"x": row3}, w: tensors{"s": list(2, 1)}, y: out(reals(dims(2, 3), -1, 0, 2, -1, 0, 2))},
	{name: "Tile", nodes: nodes(nd("Tile", "x r", "y")), x: tensors{"x": reals(dims(1, 2), 1, 2)}, w: tensors{"r": list(2, 2)}, y: out(reals(dims(2, 4), 1, 2, 1, 2, 1, 2, 1, 2))},
	{name: "Identity and Dropout", nodes: nodes(nd("Identity", "x", "i"), nd("Dropout", "i", "y mask")), x: tensors{"x": row3}, y: out(row3)},
	{name: "Constant floats", nodes: nodes(nd("Constant", "", "c", afs("value_floats", 1, 2, 3)), nd("Add", "x c", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 0, 2, 5))},
	{name: "ConstantOfShape", nodes: nodes(nd("Shape", "x", "s"), nd("ConstantOfShape", "s", "c", at("value", reals(dims(1), 5))), nd("Mul", "x c", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -5, 0, 10))},
	{name: "Range", nodes: nodes(nd("Constant", "", "a", af("value_float", 5)), nd("Constant", "", "b", af("value_float", 0)), nd("Constant", "", "d", af("value_float", -2)), nd("Range", "a b d", "r"), nd("Add", "x r", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), 4, 3, 3))},
	{name: "rounding of constants", nodes: nodes(nd("Constant", "", "c", afs("value_floats", -1.5, 2.5, 0.4)), nd("Floor", "c", "f"), nd("Ceil", "c", "g"), nd("Round", "c", "h"), nd("Sum", "x f g h", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -6, 7, 3))},
	{name: "ReduceSum", nodes: nodes(nd("ReduceSum", "x a", "y", ai("keepdims", 0))), x: tensors{"x": mat23}, w: tensors{"a": list(-1)}, y: out(reals(dims(2), 6, 15))},
	{name: "ReduceSum of nothing", nodes: nodes(nd("ReduceSum", "x _", "y", ai("noop_with_empty_axes", 1))), x: tensors{"x": mat23}, y: out(mat23)},
	{name: "ReduceSum, opset 11", opset: 11, nodes: nodes(nd("ReduceSum", "x", "y")), x: tensors{"x": mat23}, y: out(reals(dims(1, 1), 21))},
	{name: "ReduceMean", nodes: nodes(nd("ReduceMean", "x", "y", ais("axes", 0))), x: tensors{"x": mat23}, y: out(reals(dims(1, 3), 2.5, 3.5, 4.5))},
	{name: "ReduceMax", nodes: nodes(nd("ReduceMax", "x", "y", ais("axes", 0), ai("keepdims", 0))), x: tensors{"x": mat23}, y: out(reals(dims(3), 4, 5, 6))},
	{name: "ReduceMin, opset 18", opset: 18, nodes: nodes(nd("ReduceMin", "x a", "y", ai("keepdims", 0))), x: tensors{"x": mat23}, w: tensors{"a": list(1)}, y: out(reals(dims(2), 1, 4))},
	{name: "ArgMax", nodes: nodes(nd("ArgMax", "x", "y", ai("axis", 1), ai("keepdims", 0))), x: tensors{"x": reals(dims(2, 3), 1, 3, 3, 2, 1, 0)}, y: out(list(1, 0))},
	{name: "ArgMax last", nodes: nodes(nd("ArgMax", "x", "y", ai("axis", 1), ai("keepdims", 0), ai("select_last_index", 1))), x: tensors{"x": reals(dims(2, 3), 1, 3, 3, 2, 1, 0)}, y: out(list(2, 0))},
	{name: "ArgMin", nodes: nodes(nd("ArgMin", "x", "y")), x: tensors{"x": row3}, y: out(list(0))},
	{name: "ReduceL1", nodes: nodes(nd("ReduceL1", "x", "y", ai("keepdims", 0))), x: tensors{"x": row3}, y: out(num(3))},
	{name: "ReduceSumSquare", nodes: nodes(nd("ReduceSumSquare", "x", "y", ais("axes", 1), ai("keepdims", 0))), x: tensors{"x": mat23}, y: out(reals(dims(2), 14, 77))},
	{name: "ReduceSumSquare of nothing", opset: 18, nodes: nodes(nd("ReduceSumSquare", "x", "y", ai("noop_with_empty_axes", 1))), x: tensors{"x": row3}, y: out(reals(dims(3), 1, 0, 4))},
	{name: "DepthToSpace", nodes: nodes(nd("DepthToSpace", "x", "y", ai("blocksize", 2))), x: tensors{"x": reals(dims(1, 4, 1, 2), 0, 1, 2, 3, 4, 5, 6, 7)}, y: out(reals(dims(1, 1, 2, 4), 0, 2, 1, 3, 4, 6, 5, 7))},
	{name: "DepthToSpace CRD", nodes: nodes(nd("DepthToSpace", "x", "y", ai("blocksize", 2), as("mode", "CRD"))), x: tensors{"x": reals(dims(1, 8, 1, 1), 0, 1, 2, 3, 4, 5, 6, 7)}, y: out(reals(dims(1, 2, 2, 2), 0, 1, 2, 3, 4, 5, 6, 7))},
	{name: "SpaceToDepth", nodes: nodes(nd("SpaceToDepth", "x", "y", ai("blocksize", 2))), x: tensors{"x": reals(dims(1, 1, 2, 4), 0, 2, 1, 3, 4, 6, 5, 7)}, y: out(reals(dims(1, 4, 1, 2), 0, 1, 2, 3, 4, 5, 6, 7))},
	{name: "If", nodes: nodes(nd("Constant", "", "c", at("value", bools(dims(), 1))),
		nd("If", "c", "y", ag("then_branch", graph("t", nd("Constant", "", "k", af("value_float", 2)), nd("Mul", "x k", "t"))), ag("else_branch", graph("e", nd("Hardmax", "x", "e"))))), x: tensors{"x": row3}, y: out(reals(dims(3), -2, 0, 4))},
	{name: "If twice with the same inner names, nested", nodes: nodes(nd("Constant", "", "c", at("value", bools(dims(), 0))),
		nd("If", "c", "u", ag("then_branch", graph("q")), ag("else_branch", graph("t", nd("Relu", "x", "t")))),
		nd("If", "c", "y", ag("then_branch", graph("q")), ag("else_branch", graph("v", nd("If", "c", "v", ag("then_branch", graph("q")), ag("else_branch", graph("t", nd("Neg", "u", "t")))))))), x: tensors{"x": row3}, y: out(reals(dims(3), 0, 0, -2))},
	{name: "Acos", eps: 1e-4, nodes: nodes(nd("Acos", "x", "y")), x: tensors{"x": unit}, y: out(apply(math.Acos, unit))},
	{name: "Asin", eps: 1e-4, nodes: nodes(nd("Asin", "x", "y")), x: tensors{"x": unit}, y: out(apply(math.Asin, unit))},
	{name: "Atan", eps: 1e-4, nodes: nodes(nd("Atan", "x", "y")), x: tensors{"x": row3}, y: out(apply(math.Atan, row3))},
	{name: "Acosh", opset: 9, nodes: nodes(nd("Acosh", "x", "y")), x: tensors{"x": list3}, y: out(apply(math.Acosh, list3))},
	{name: "Asinh", opset: 9, nodes: nodes(nd("Asinh", "x", "y")), x: tensors{"x": row3}, y: out(apply(math.Asinh, row3))},
	{name: "Atanh", opset: 9, nodes: nodes(nd("Atanh", "x", "y")), x: tensors{"x": half}, y: out(apply(math.Atanh, half))},
	{name: "Sinh", opset: 9, nodes: nodes(nd("Sinh", "x", "y")), x: tensors{"x": row3}, y: out(apply(math.Sinh, row3))},
	{name: "Cosh", opset: 9, nodes: nodes(nd("Cosh", "x", "y")), x: tensors{"x": row3}, y: out(apply(math.Cosh, row3))},
	{name: "Tan", nodes: nodes(nd("Tan", "x", "y")), x: tensors{"x": row3}, y: out(apply(math.Tan, row3))},
	{name: "Softsign", nodes: nodes(nd("Softsign", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.5, 0, 2.0/3))},
	{name: "Elu", nodes: nodes(nd("Elu", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.6321206, 0, 2))},
	{name: "Elu alpha", nodes: nodes(nd("Elu", "x", "y", af("alpha", 3))), x: tensors{"x": row3}, y: out(reals(dims(3), -1.8963617, 0, 2))},
	{name: "Celu", nodes: nodes(nd("Celu", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.6321206, 0, 2))},
	{name: "Celu alpha", nodes: nodes(nd("Celu", "x", "y", af("alpha", 2))), x: tensors{"x": row3}, y: out(reals(dims(3), -0.7869387, 0, 2))},
	{name: "Selu", nodes: nodes(nd("Selu", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -1.1113307, 0, 2.1014020))},
	{name: "Selu attributes", nodes: nodes(nd("Selu", "x", "y", af("alpha", 2), af("gamma", 3))), x: tensors{"x": row3}, y: out(reals(dims(3), -3.7927234, 0, 6))},
	{name: "Gelu", opset: 20, nodes: nodes(nd("Gelu", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.1586553, 0, 1.9544997))},
	{name: "Gelu tanh", opset: 20, nodes: nodes(nd("Gelu", "x", "y", as("approximate", "tanh"))), x: tensors{"x": row3}, y: out(reals(dims(3), -0.1588080, 0, 1.9545977))},
	{name: "Swish", opset: 24, nodes: nodes(nd("Swish", "x", "y")), x: tensors{"x": row3}, y: out(reals(dims(3), -0.2689414, 0, 1.7615942))},
	{name: "Swish alpha", opset: 24, nodes: nodes(nd("Swish", "x", "y", af("alpha", 0.5))), x: tensors{"x": row3}, y: out(reals(dims(3), -0.3775407, 0, 1.4621172))},
	{name: "Swish alpha 0", opset: 24, nodes: nodes(nd("Swish", "x", "y", af("alpha", 0))), x: tensors{"x": row3}, y: out(reals(dims(3), -0.5, 0, 1))},
	{name: "Shrink", nodes: nodes(nd("Shrink", "x", "y")), x: tensors{"x": reals(dims(4), -1, -0.5, 0.5, 2)}, y: out(reals(dims(4), -1, 0, 0, 2))},
	{name: "Shrink attributes", nodes: nodes(nd("Shrink", "x", "y", af("lambd", 1), af("bias", 0.5))), x: tensors{"x": reals(dims(4), -3, -1, 0.5, 2)}, y: out(reals(dims(4), -2.5, 0, 0, 1.5))},
	{name: "LogSoftmax", nodes: nodes(nd("LogSoftmax", "x", "y", ai("axis", 0))), x: tensors{"x": reals(dims(2, 2), 1, 0, 1, 1)}, y: out(reals(dims(2, 2), -0.6931472, -1.3132617, -0.6931472, -0.3132617))},
	{name: "LogSoftmax flattens, opset 11", opset: 11, nodes: nodes(nd("LogSoftmax", "x", "y")), x: tensors{"x": reals(dims(1, 2, 2), 1, 1, 1, 1)}, y: out(reals(dims(1, 2, 2), -1.3862944, -1.3862944, -1.3862944, -1.3862944))},
	{name: "Hardmax", nodes: nodes(nd("Hardmax", "x", "y")), x: tensors{"x": reals(dims(2, 3), 1, 3, 3, 2, 1, 0)}, y: out(reals(dims(2, 3), 0, 1, 0, 1, 0, 0))},
	{name: "Hardmax axis", nodes: nodes(nd("Hardmax", "x", "y", ai("axis", 0))), x: tensors{"x": reals(dims(2, 3), 1, 3, 3, 2, 1, 0)}, y: out(reals(dims(2, 3), 0, 1, 1, 1, 0, 0))},
	{name: "Hardmax flattens, opset 11", opset: 11, nodes: nodes(nd("Hardmax", "x", "y")), x: tensors{"x": reals(dims(1, 2, 2), 1, 4, 5, 2)}, y: out(reals(dims(1, 2, 2), 0, 0, 1, 0))},

	{name: "BitShift left", nodes: nodes(nd("BitShift", "a b", "s", as("direction", "LEFT")), nd("Add", "x s", "y")), x: tensors{"x": list(1, 1)}, w: tensors{"a": list(3, 16), "b": list(2, 1)}, y: out(list(13, 33))},
	{name: "BitShift right", nodes: nodes(nd("BitShift", "a b", "s", as("direction", "RIGHT")), nd("Add", "x s", "y")), x: tensors{"x": list(1, 1)}, w: tensors{"a": list(13, 16), "b": list(2, 1)}, y: out(list(4, 9))},
	{name: "Mod", nodes: nodes(nd("Mod", "a b", "m"), nd("Add", "x m", "y")), x: tensors{"x": list(0, 0, 0)}, w: tensors{"a": list(-4, 7, 5), "b": list(3, -3, 8)}, y: out(list(2, -2, 5))},
	{name: "Mod fmod", nodes: nodes(nd("Mod", "a b", "m", ai("fmod", 1)), nd("Add", "x m", "y")), x: tensors{"x": list(0, 0, 0)}, w: tensors{"a": list(-4, 7, 5), "b": list(3, -3, 8)}, y: out(list(-1, 1, 5))},
	{name: "ReduceMean of integers", nodes: nodes(nd("ReduceMean", "x", "y", ais("axes", 1))), x: tensors{"x": ints(dims(3, 2), 1, 2, -1, -2, 5, 7)}, y: out(ints(dims(3, 1), 1, -1, 6))},
	{name: "CumSum", nodes: nodes(nd("CumSum", "x a", "y")), x: tensors{"x": mat23}, w: tensors{"a": ints(dims(), 1)}, y: out(reals(dims(2, 3), 1, 3, 6, 4, 9, 15))},
	{name: "CumSum exclusive", nodes: nodes(nd("CumSum", "x a", "y", ai("exclusive", 1))), x: tensors{"x": mat23}, w: tensors{"a": ints(dims(), -2)}, y: out(reals(dims(2, 3), 0, 0, 0, 1, 2, 3))},
	{name: "CumSum reverse", nodes: nodes(nd("CumSum", "x a", "y", ai("reverse", 1))), x: tensors{"x": list(1, 2, 3)}, w: tensors{"a": ints(dims(), 0)}, y: out(list(6, 5, 3))},
	{name: "CumSum reverse exclusive", nodes: nodes(nd("CumSum", "x a", "y", ai("reverse", 1), ai("exclusive", 1))), x: tensors{"x": list(1, 2, 3)}, w: tensors{"a": ints(dims(), 0)}, y: out(list(5, 3, 0))},
	{name: "Einsum product", nodes: nodes(nd("Einsum", "x w", "y", as("equation", "ij, jk -> ki"))), x: tensors{"x": mat23}, w: tensors{"w": mat32}, y: out(reals(dims(2, 2), 4, 10, 5, 11))},
	{name: "Einsum implicit", nodes: nodes(nd("Einsum", "x", "y", as("equation", "ba"))), x: tensors{"x": mat23}, y: out(reals(dims(3, 2), 1, 4, 2, 5, 3, 6))},
	{name: "Einsum trace", nodes: nodes(nd("Einsum", "x", "y", as("equation", "ii->"))), x: tensors{"x": reals(dims(2, 2), 1, 2, 3, 4)}, y: out(num(5))},
	{name: "Einsum diagonal", nodes: nodes(nd("Einsum", "x", "y", as("equation", "...ii->...i"))), x: tensors{"x": reals(dims(1, 2, 2), 1, 2, 3, 4)}, y: out(reals(dims(1, 2), 1, 4))},
	{name: "Einsum of three", nodes: nodes(nd("Einsum", "x w v", "y", as("equation", "ij,i,j->j"))), x: tensors{"x": mat23}, w: tensors{"w": reals(dims(2), 1, 10), "v": row3}, y: out(reals(dims(3), -41, 0, 126))},
	{name: "Einsum batch", nodes: nodes(nd("Einsum", "x w", "y", as("equation", "...ij,...j->...i"))), x: tensors{"x": mat23}, w: tensors{"w": row3}, y: out(reals(dims(2), 5, 8))},

	{name: "EyeLike", nodes: nodes(nd("EyeLike", "x", "e", ai("k", 1)), nd("Mul", "x e", "y")), x: tensors{"x": mat23}, y: out(reals(dims(2, 3), 0, 2, 0, 0, 0, 6))},
	{name: "EyeLike dtype", nodes: nodes(nd("EyeLike", "x", "y", ai("k", -1), ai("dtype", 7))), x: tensors{"x": mat23}, y: out(ints(dims(2, 3), 0, 0, 0, 1, 0, 0))},
	{name: "GatherElements", nodes: nodes(nd("GatherElements", "x i", "y", ai("axis", 1))), x: tensors{"x": mat23}, w: tensors{"i": ints(dims(2, 2), -1, 0, 1, 1)}, y: out(reals(dims(2, 2), 3, 1, 5, 5))},
	{name: "GatherElements secret indices", nodes: nodes(nd("GatherElements", "x i", "y")), x: tensors{"x": mat23, "i": ints(dims(1, 2), 1, 0)}, y: out(reals(dims(1, 2), 4, 2))},
	{name: "Gather secret indices", nodes: nodes(nd("Gather", "x i", "y", ai("axis", 1))), x: tensors{"x": mat23, "i": list(2, -3)}, y: out(reals(dims(2, 2), 3, 1, 6, 4))},
	{name: "GatherND", nodes: nodes(nd("GatherND", "x i", "y")), x: tensors{"x": mat23}, w: tensors{"i": ints(dims(3, 2), 0, 1, 1, -1, 0, 0)}, y: out(reals(dims(3), 2, 6, 1))},
	{name: "GatherND slices", nodes: nodes(nd("GatherND", "x i", "y")), x: tensors{"x": mat23}, w: tensors{"i": ints(dims(1, 1), 1)}, y: out(reals(dims(1, 3), 4, 5, 6))},
	{name: "GatherND batch", nodes: nodes(nd("GatherND", "x i", "y", ai("batch_dims", 1))), x: tensors{"x": mat23}, w: tensors{"i": ints(dims(2, 1), 2, 0)}, y: out(reals(dims(2), 3, 4))},
	{name: "Scatter", opset: 9, nodes: nodes(nd("Scatter", "x i u", "y", ai("axis", 1))), x: tensors{"x": mat23, "u": reals(dims(1, 2), 10, 20)}, w: tensors{"i": ints(dims(1, 2), 2, 0)}, y: out(reals(dims(2, 3), 20, 2, 10, 4, 5, 6))},
	{name: "ScatterElements", nodes: nodes(nd("ScatterElements", "x i u", "y")), x: tensors{"x": mat23, "u": reals(dims(1, 2), 10, 20)}, w: tensors{"i": ints(dims(1, 2), -1, 0)}, y: out(reals(dims(2, 3), 1, 20, 3, 10, 5, 6))},
	{name: "ScatterElements add", nodes: nodes(nd("ScatterElements", "x i u", "y", as("reduction", "add"))), x: tensors{"x": row3, "u": reals(dims(3), 10, 20, 30)}, w: tensors{"i": list(1, 0, 1)}, y: out(reals(dims(3), 19, 40, 2))},
	{name: "ScatterElements mul", nodes: nodes(nd("ScatterElements", "x i u", "y", as("reduction", "mul"))), x: tensors{"x": row3, "u": reals(dims(3), 10, 20, 30)}, w: tensors{"i": list(2, 0, 2)}, y: out(reals(dims(3), -20, 0, 600))},
	{name: "ScatterElements max", opset: 18, nodes: nodes(nd("ScatterElements", "x i u", "y", as("reduction", "max"))), x: tensors{"x": row3, "u": reals(dims(3), 1, -20, 3)}, w: tensors{"i": list(2, 0, 2)}, y: out(reals(dims(3), -1, 0, 3))},
	{name: "ScatterND", nodes: nodes(nd("ScatterND", "x i u", "y")), x: tensors{"x": mat23, "u": reals(dims(1, 3), 7, 8, 9)}, w: tensors{"i": ints(dims(1, 1), -2)}, y: out(reals(dims(2, 3), 7, 8, 9, 4, 5, 6))},
	{name: "ScatterND min", opset: 18, nodes: nodes(nd("ScatterND", "x i u", "y", as("reduction", "min"))), x: tensors{"x": mat23, "u": reals(dims(2), 0, 9)}, w: tensors{"i": ints(dims(2, 2), 1, 1, 0, 0)}, y: out(reals(dims(2, 3), 1, 2, 3, 4, 0, 6))},
	{name: "OneHot", nodes: nodes(nd("OneHot", "i d v", "h"), nd("Mul", "x h", "y")), x: tensors{"x": reals(dims(1, 1), 2)}, w: tensors{"i": list(1, -1), "d": list(3), "v": reals(dims(2), 0, 5)}, y: out(reals(dims(2, 3), 0, 10, 0, 0, 0, 10))},
	{name: "OneHot secret indices, axis", nodes: nodes(nd("OneHot", "x d v", "y", ai("axis", 0))), x: tensors{"x": list(1, -1, 7)}, w: tensors{"d": ints(dims(), 2), "v": list(3, 8)}, y: out(ints(dims(2, 3), 3, 3, 3, 8, 8, 3))},
	{name: "OneHot secret real indices", nodes: nodes(nd("OneHot", "x d v", "y")), x: tensors{"x": reals(dims(2), 1, -2)}, w: tensors{"d": ints(dims(), 2), "v": list(0, 1)}, y: out(ints(dims(2, 2), 0, 1, 1, 0))},
	{name: "Trilu", nodes: nodes(nd("Trilu", "x", "y")), x: tensors{"x": mat23}, y: out(reals(dims(2, 3), 1, 2, 3, 0, 5, 6))},
	{name: "Trilu of bits", nodes: nodes(nd("Trilu", "x", "y", ai("upper", 0))), x: tensors{"x": bools(dims(2, 2), 1, 1, 1, 1)}, y: out(bools(dims(2, 2), 1, 0, 1, 1))},
	{name: "Trilu lower k", nodes: nodes(nd("Trilu", "x k", "y", ai("upper", 0))), x: tensors{"x": mat23}, w: tensors{"k": ints(dims(), 1)}, y: out(reals(dims(2, 3), 1, 2, 0, 4, 5, 6))},
	{name: "ReverseSequence", nodes: nodes(nd("ReverseSequence", "x l", "y")), x: tensors{"x": reals(dims(3, 2), 1, 2, 3, 4, 5, 6)}, w: tensors{"l": list(2, 3)}, y: out(reals(dims(3, 2), 3, 6, 1, 4, 5, 2))},
	{name: "ReverseSequence batch first", nodes: nodes(nd("ReverseSequence", "x l", "y", ai("batch_axis", 0), ai("time_axis", 1))), x: tensors{"x": mat23}, w: tensors{"l": list(1, 3)}, y: out(reals(dims(2, 3), 1, 2, 3, 6, 5, 4))},
	{name: "Compress", nodes: nodes(nd("Compress", "x c", "y", ai("axis", 1))), x: tensors{"x": mat23}, w: tensors{"c": bools(dims(3), 1, 0, 1)}, y: out(reals(dims(2, 2), 1, 3, 4, 6))},
	{name: "Compress flat", nodes: nodes(nd("Compress", "x c", "y")), x: tensors{"x": mat23}, w: tensors{"c": bools(dims(5), 0, 1, 0, 0, 1)}, y: out(reals(dims(2), 2, 5))},
	{name: "TopK", nodes: nodes(nd("TopK", "x k", "y0 y1")), x: tensors{"x": reals(dims(2, 3), 1, 3, 3, 2, 1, 0)}, w: tensors{"k": list(2)}, y: out(reals(dims(2, 2), 3, 3, 2, 1), ints(dims(2, 2), 1, 2, 0, 1))},
	{name: "TopK smallest, axis", nodes: nodes(nd("TopK", "x k", "y0 y1", ai("largest", 0), ai("axis", 0))), x: tensors{"x": reals(dims(2, 3), 1, 3, 0, 2, 1, 0)}, w: tensors{"k": list(1)}, y: out(reals(dims(1, 3), 1, 1, 0), ints(dims(1, 3), 0, 1, 0))},
	{name: "TopK attribute, opset 9", opset: 9, nodes: nodes(nd("TopK", "x", "y0 y1", ai("k", 3))), x: tensors{"x": row3}, y: out(reals(dims(3), 2, 0, -1), list(2, 1, 0))},

	{name: "ConvTranspose", nodes: nodes(nd("ConvTranspose", "x w b", "y")), x: tensors{"x": line3}, w: tensors{"w": tap2, "b": reals(dims(1), 100)}, y: out(reals(dims(1, 1, 4), 101, 112, 123, 130))},
	{name: "ConvTranspose strides and output_padding", nodes: nodes(nd("ConvTranspose", "x w", "y", ais("strides", 2), ais("output_padding", 1))), x: tensors{"x": line3}, w: tensors{"w": tap2}, y: out(reals(dims(1, 1, 7), 1, 10, 2, 20, 3, 30, 0))},
	{name: "ConvTranspose pads", nodes: nodes(nd("ConvTranspose", "x w", "y", ais("pads", 1, 2))), x: tensors{"x": line3}, w: tensors{"w": tap2}, y: out(reals(dims(1, 1, 1), 12))},
	{name: "ConvTranspose dilations", nodes: nodes(nd("ConvTranspose", "x w", "y", ais("dilations", 2))), x: tensors{"x": line3}, w: tensors{"w": tap2}, y: out(reals(dims(1, 1, 5), 1, 2, 13, 20, 30))},
	{name: "ConvTranspose SAME_UPPER", nodes: nodes(nd("ConvTranspose", "x w", "y", ais("strides", 2), as("auto_pad", "SAME_UPPER"))), x: tensors{"x": reals(dims(1, 1, 2), 1, 2)}, w: tensors{"w": reals(dims(1, 1, 3), 1, 10, 100)}, y: out(reals(dims(1, 1, 4), 1, 10, 102, 20))},
	{name: "ConvTranspose SAME_LOWER", nodes: nodes(nd("ConvTranspose", "x w", "y", ais("strides", 2), as("auto_pad", "SAME_LOWER"))), x: tensors{"x": reals(dims(1, 1, 2), 1, 2)}, w: tensors{"w": reals(dims(1, 1, 3), 1, 10, 100)}, y: out(reals(dims(1, 1, 4), 10, 102, 20, 200))},
	{name: "ConvTranspose output_shape", nodes: nodes(nd("ConvTranspose", "x w", "y", ais("strides", 2), ais("output_shape", 4))), x: tensors{"x": reals(dims(1, 1, 2), 1, 2)}, w: tensors{"w": reals(dims(1, 1, 3), 1, 10, 100)}, y: out(reals(dims(1, 1, 4), 10, 102, 20, 200))},
	{name: "ConvTranspose groups", nodes: nodes(nd("ConvTranspose", "x w", "y", ai("group", 2))), x: tensors{"x": reals(dims(1, 2, 1), 3, 5)}, w: tensors{"w": reals(dims(2, 2, 1), 1, 10, 100, 1000)}, y: out(reals(dims(1, 4, 1), 3, 30, 500, 5000))},
	{name: "ConvTranspose channels, 2-D", nodes: nodes(nd("ConvTranspose", "x w", "y")), x: tensors{"x": reals(dims(1, 2, 1, 2), 1, 2, 3, 4)}, w: tensors{"w": reals(dims(2, 1, 2, 1), 1, 10, 100, 1000)}, y: out(reals(dims(1, 1, 2, 2), 301, 402, 3010, 4020))},
	{name: "ConvTranspose 3-D", nodes: nodes(nd("ConvTranspose", "x w", "y", ais("strides", 2, 1, 1))), x: tensors{"x": reals(dims(1, 1, 2, 1, 1), 3, 5)}, w: tensors{"w": reals(dims(1, 1, 2, 1, 2), 1, 10, 100, 1000)}, y: out(reals(dims(1, 1, 4, 1, 2), 3, 30, 300, 3000, 5, 50, 500, 5000))},
	{name: "Upsample", opset: 9, nodes: nodes(nd("Upsample", "x s", "y")), x: tensors{"x": reals(dims(1, 2), 1, 2)}, w: tensors{"s": reals(dims(2), 2, 1.5)}, y: out(reals(dims(2, 3), 1, 1, 2, 1, 1, 2))},
	{name: "Upsample linear, opset 7", opset: 7, nodes: nodes(nd("Upsample", "x", "y", as("mode", "linear"), afs("scales", 1, 2))), x: tensors{"x": reals(dims(1, 2), 1, 2)}, y: out(reals(dims(1, 4), 1, 1.5, 2, 2))},
	{name: "Resize", nodes: nodes(nd("Resize", "x _ s", "y")), x: tensors{"x": reals(dims(1, 2), 1, 2)}, w: tensors{"s": reals(dims(2), 1, 2)}, y: out(reals(dims(1, 4), 1, 1, 2, 2))},
	{name: "Resize, opset 10", opset: 10, nodes: nodes(nd("Resize", "x s", "y", as("mode", "linear"))), x: tensors{"x": reals(dims(2), 1, 2)}, w: tensors{"s": reals(dims(1), 2)}, y: out(reals(dims(4), 1, 1.5, 2, 2))},
	{name: "Resize linear", nodes: nodes(nd("Resize", "x _ s", "y", as("mode", "linear"))), x: tensors{"x": reals(dims(2), 1, 2)}, w: tensors{"s": reals(dims(1), 2)}, y: out(reals(dims(4), 1, 1.25, 1.75, 2))},
	{name: "Resize align_corners", nodes: nodes(nd("Resize", "x _ _ s", "y", as("mode", "linear"), as("coordinate_transformation_mode", "align_corners"))), x: tensors{"x": reals(dims(2), 1, 2)}, w: tensors{"s": list(3)}, y: out(reals(dims(3), 1, 1.5, 2))},
	{name: "Resize pytorch_half_pixel", nodes: nodes(nd("Resize", "x _ _ s", "y", as("mode", "linear"), as("coordinate_transformation_mode", "pytorch_half_pixel"))), x: tensors{"x": reals(dims(3), 1, 2, 3)}, w: tensors{"s": list(1)}, y: out(reals(dims(1), 1))},
	{name: "Resize asymmetric, ceil", nodes: nodes(nd("Resize", "x _ s", "y", as("nearest_mode", "ceil"), as("coordinate_transformation_mode", "asymmetric"))), x: tensors{"x": reals(dims(2), 1, 2)}, w: tensors{"s": reals(dims(1), 2)}, y: out(reals(dims(4), 1, 2, 2, 2))},
	{name: "Resize round_prefer_ceil", nodes: nodes(nd("Resize", "x _ s", "y", as("nearest_mode", "round_prefer_ceil"), as("coordinate_transformation_mode", "asymmetric"))), x: tensors{"x": reals(dims(2), 1, 2)}, w: tensors{"s": reals(dims(1), 2)}, y: out(reals(dims(4), 1, 2, 2, 2))},
	{name: "Resize round_prefer_floor", nodes: nodes(nd("Resize", "x _ s", "y", as("coordinate_transformation_mode", "asymmetric"))), x: tensors{"x": reals(dims(2), 1, 2)}, w: tensors{"s": reals(dims(1), 2)}, y: out(reals(dims(4), 1, 1, 2, 2))},
	{name: "Resize crop", nodes: nodes(nd("Resize", "x r _ s", "y", as("mode", "linear"), as("coordinate_transformation_mode", "tf_crop_and_resize"), af("extrapolation_value", 9))), x: tensors{"x": reals(dims(3), 1, 2, 4)}, w: tensors{"r": reals(dims(2), 0.25, 1.25), "s": list(3)}, y: out(reals(dims(3), 1.5, 3, 9))},
	{name: "Resize cubic", nodes: nodes(nd("Resize", "x _ s", "y", as("mode", "cubic"))), x: tensors{"x": reals(dims(4), 1, 2, 4, 8)}, w: tensors{"s": reals(dims(1), 0.5)}, y: out(reals(dims(2), 1.3125, 6.1875))},
	{name: "Resize cubic, exclude_outside", nodes: nodes(nd("Resize", "x _ s", "y", as("mode", "cubic"), ai("exclude_outside", 1))), x: tensors{"x": reals(dims(4), 1, 2, 4, 8)}, w: tensors{"s": reals(dims(1), 0.5)}, y: out(reals(dims(2), 1.40625/1.09375, 6.9375/1.09375))},
	{name: "Resize antialias", opset: 18, nodes: nodes(nd("Resize", "x _ s", "y", as("mode", "linear"), ai("antialias", 1))), x: tensors{"x": reals(dims(4), 1, 2, 4, 8)}, w: tensors{"s": reals(dims(1), 0.5)}, y: out(reals(dims(2), 1.75, 5.75))},
	{name: "Resize axes, not_larger", opset: 18, nodes: nodes(nd("Resize", "x _ _ s", "y", ais("axes", 1, 0), as("keep_aspect_ratio_policy", "not_larger"))), x: tensors{"x": reals(dims(1, 2), 1, 2)}, w: tensors{"s": list(8, 2)}, y: out(reals(dims(2, 4), 1, 1, 2, 2, 1, 1, 2, 2))},

	{name: "LayerNormalization", nodes: nodes(nd("LayerNormalization", "x s b", "y", af("epsilon", 3))), x: tensors{"x": reals(dims(1, 2), 1, 3)}, w: tensors{"s": reals(dims(2), 2, 4), "b": reals(dims(2), 0, 1)}, y: out(reals(dims(1, 2), -1, 3))},
	{name: "LayerNormalization axis, statistics", nodes: nodes(nd("LayerNormalization", "x s", "y0 y1 y2", ai("axis", 0), af("epsilon", 0))), x: tensors{"x": reals(dims(2, 2), 1, 1, 5, 5)}, w: tensors{"s": reals(dims(1), 1)},
		y: out(reals(dims(2, 2), -1, -1, 1, 1), reals(dims(1, 1), 3), reals(dims(1, 1), 0.5))},
	{name: "RMSNormalization", opset: 23, nodes: nodes(nd("RMSNormalization", "x s", "y", af("epsilon", 0))), x: tensors{"x": reals(dims(1, 2), 1, 7)}, w: tensors{"s": reals(dims(2), 1, 10)}, y: out(reals(dims(1, 2), 0.2, 14))},
	{name: "RMSNormalization axis", opset: 23, nodes: nodes(nd("RMSNormalization", "x s", "y", ai("axis", 0), af("epsilon", 11))), x: tensors{"x": reals(dims(2, 1), 1, 7)}, w: tensors{"s": reals(dims(1), 6)}, y: out(reals(dims(2, 1), 1, 7))},
	{name: "InstanceNormalization", nodes: nodes(nd("InstanceNormalization", "x s b", "y", af("epsilon", 0))), x: tensors{"x": reals(dims(1, 2, 2), 1, 3, 2, 6)}, w: tensors{"s": reals(dims(2), 2, 10), "b": reals(dims(2), 0, 1)}, y: out(reals(dims(1, 2, 2), -2, 2, -9, 11))},
	{name: "GroupNormalization, opset 18", opset: 18, nodes: nodes(nd("GroupNormalization", "x s b", "y", ai("num_groups", 1), af("epsilon", 0))), x: tensors{"x": reals(dims(1, 2, 2), 1, 3, 3, 1)}, w: tensors{"s": reals(dims(1), 2), "b": reals(dims(1), 1)}, y: out(reals(dims(1, 2, 2), -1, 3, 3, -1))},
	{name: "GroupNormalization, opset 21", opset: 21, nodes: nodes(nd("GroupNormalization", "x s b", "y", ai("num_groups", 1), af("epsilon", 0))), x: tensors{"x": reals(dims(1, 2, 2), 1, 3, 3, 1)}, w: tensors{"s": reals(dims(2), 2, 5), "b": reals(dims(2), 1, 0)}, y: out(reals(dims(1, 2, 2), -1, 3, 5, -5))},
	{name: "LRN", nodes: nodes(nd("LRN", "x", "y", ai("size", 3), af("alpha", 3), af("beta", 1))), x: tensors{"x": reals(dims(1, 3, 1), 1, 2, 3)}, y: out(reals(dims(1, 3, 1), 1.0/6, 2.0/15, 3.0/14))},
	{name: "LRN even size, root", nodes: nodes(nd("LRN", "x", "y", ai("size", 2), af("alpha", 2), af("beta", 0.5), af("bias", 4))), x: tensors{"x": reals(dims(1, 2, 1), 4, 2)}, y: out(reals(dims(1, 2, 1), 4/math.Sqrt(24), 2/math.Sqrt(8)))},
	{name: "LRN defaults", nodes: nodes(nd("LRN", "x", "y", ai("size", 1))), x: tensors{"x": reals(dims(1, 1, 1), 100)}, y: out(reals(dims(1, 1, 1), 100/math.Pow(2, 0.75)))},
	{name: "LpNormalization", nodes: nodes(nd("LpNormalization", "x", "y", ai("axis", 0))), x: tensors{"x": reals(dims(2, 1), 3, -4)}, y: out(reals(dims(2, 1), 0.6, -0.8))},
	{name: "LpNormalization 1", nodes: nodes(nd("LpNormalization", "x", "y", ai("p", 1))), x: tensors{"x": reals(dims(1, 2), 1, -3)}, y: out(reals(dims(1, 2), 0.25, -0.75))},
	{name: "MeanVarianceNormalization", nodes: nodes(nd("MeanVarianceNormalization", "x", "y")), x: tensors{"x": reals(dims(1, 2, 1, 2), 1, 3, 2, 6)}, y: out(reals(dims(1, 2, 1, 2), -1, 1, -1, 1))},
	{name: "MeanVarianceNormalization axes", nodes: nodes(nd("MeanVarianceNormalization", "x", "y", ais("axes", 1))), x: tensors{"x": reals(dims(1, 2), 2, 6)}, y: out(reals(dims(1, 2), -1, 1))},

	{name: "NegativeLogLikelihoodLoss", nodes: nodes(nd("NegativeLogLikelihoodLoss", "x l", "y")), x: tensors{"x": mat23}, w: tensors{"l": list(0, 2)}, y: out(num(-3.5))},
	{name: "NegativeLogLikelihoodLoss weights, secret labels", nodes: nodes(nd("NegativeLogLikelihoodLoss", "x l w", "y")), x: tensors{"x": mat23, "l": list(0, 2)}, w: tensors{"w": reals(dims(3), 1, 0, 3)}, y: out(num(-19.0 / 4))},
	{name: "NegativeLogLikelihoodLoss sum, ignored label", nodes: nodes(nd("NegativeLogLikelihoodLoss", "x l", "y", as("reduction", "sum"), ai("ignore_index", 2))), x: tensors{"x": mat23}, w: tensors{"l": list(1, 2)}, y: out(num(-2))},
	{name: "NegativeLogLikelihoodLoss none, secret ignored label", nodes: nodes(nd("NegativeLogLikelihoodLoss", "x l", "y", as("reduction", "none"), ai("ignore_index", -1))), x: tensors{"x": reals(dims(1, 2, 2), 1, 2, 3, 4), "l": ints(dims(1, 2), 1, -1)}, y: out(reals(dims(1, 2), -3, 0))},
	{name: "SoftmaxCrossEntropyLoss", nodes: nodes(nd("SoftmaxCrossEntropyLoss", "x l", "y")), x: tensors{"x": reals(dims(2, 2), 1, 1, 0, 1)}, w: tensors{"l": list(0, 1)}, y: out(num((0.6931472 + 0.3132617) / 2))},
	{name: "SoftmaxCrossEntropyLoss none, probabilities", nodes: nodes(nd("SoftmaxCrossEntropyLoss", "x l", "y0 y1", as("reduction", "none"))), x: tensors{"x": reals(dims(1, 2), 0, 1)}, w: tensors{"l": list(0)}, y: out(reals(dims(1), 1.3132617), reals(dims(1, 2), -1.3132617, -0.3132617))},
	{name: "ReduceL2", nodes: nodes(nd("ReduceL2", "x", "y", ais("axes", 0))), x: tensors{"x": reals(dims(2, 2), 3, 0, 4, 2)}, y: out(reals(dims(1, 2), 5, 2))},
	{name: "ReduceLogSum", opset: 18, nodes: nodes(nd("ReduceLogSum", "x a", "y", ai("keepdims", 0))), x: tensors{"x": mat23}, w: tensors{"a": list(1)}, y: out(reals(dims(2), math.Log(6), math.Log(15)))},
	{name: "ReduceLogSumExp", nodes: nodes(nd("ReduceLogSumExp", "x", "y", ai("keepdims", 0))), x: tensors{"x": row3}, y: out(num(2.1698460))},
	{name: "ReduceProd", nodes: nodes(nd("ReduceProd", "x", "y", ais("axes", -1), ai("keepdims", 0))), x: tensors{"x": mat23}, y: out(reals(dims(2), 6, 120))},
	{name: "ReduceProd of nothing", opset: 18, nodes: nodes(nd("ReduceProd", "x", "y", ai("noop_with_empty_axes", 1))), x: tensors{"x": row3}, y: out(row3)},
	{name: "HannWindow", nodes: nodes(nd("HannWindow", "n", "h"), nd("Add", "x h", "y")), x: tensors{"x": num(1)}, w: tensors{"n": ints(dims(), 4)}, y: out(reals(dims(4), 1, 1.5, 2, 1.5))},
	{name: "HannWindow symmetric", nodes: nodes(nd("HannWindow", "n", "h", ai("periodic", 0)), nd("Add", "x h", "y")), x: tensors{"x": num(1)}, w: tensors{"n": ints(dims(), 3)}, y: out(reals(dims(3), 1, 2, 1))},
	{name: "HammingWindow", nodes: nodes(nd("HammingWindow", "n", "h"), nd("Mul", "x h", "y")), x: tensors{"x": num(46)}, w: tensors{"n": ints(dims(), 4)}, y: out(reals(dims(4), 4, 25, 46, 25))},
	{name: "BlackmanWindow", nodes: nodes(nd("BlackmanWindow", "n", "h"), nd("Mul", "x h", "y")), x: tensors{"x": num(1)}, w: tensors{"n": ints(dims(), 4)}, y: out(reals(dims(4), 0, 0.34, 1, 0.34))},
	{name: "ConstantFill", opset: 7, nodes: nodes(nd("ConstantFill", "s", "y0", ai("input_as_shape", 1), af("value", 1.5)), nd("ConstantFill", "x", "y1", ai("dtype", 7), af("value", 2), ais("extra_shape", 1)), nd("ConstantFill", "", "y2", ais("shape", 2))),
		x: tensors{"x": row3}, w: tensors{"s": list(1, 2)}, y: out(reals(dims(1, 2), 1.5, 1.5), ints(dims(3, 1), 2, 2, 2), reals(dims(2), 0, 0))},
	{name: "GridSample cubic, border", nodes: nodes(nd("GridSample", "x g", "y", as("mode", "bicubic"), as("padding_mode", "border"), ai("align_corners", 1))), x: tensors{"x": reals(dims(1, 1, 1, 3), 0, 1, 4)}, w: tensors{"g": reals(dims(1, 1, 2, 2), 1.5, 0, -1.5, 0)},
		y: out(reals(dims(1, 1, 1, 2), 4.28125, -0.09375))},
	{name: "Det", nodes: nodes(nd("Det", "x", "y")), x: tensors{"x": reals(dims(2, 3, 3), 2, 0, 1, 1, 3, 2, 1, 1, 4, 0, 0, 2, 3, 0, 0, 0, 5, 0)}, y: out(reals(dims(2), 18, 30))},
	{name: "Det 1", nodes: nodes(nd("Det", "x", "y")), x: tensors{"x": reals(dims(1, 1), -5)}, y: out(num(-5))},
	{name: "Det 4", nodes: nodes(nd("Det", "x", "y")), x: tensors{"x": reals(dims(4, 4), 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 2, 1, 0, 0, 1, 1)}, y: out(num(-1))},
	{name: "STFT", nodes: nodes(nd("STFT", "x s _ l", "y")), x: tensors{"x": reals(dims(1, 4, 1), 1, 2, 3, 4)}, w: tensors{"s": ints(dims(), 2), "l": ints(dims(), 2)}, y: out(reals(dims(1, 2, 2, 2), 3, 0, -1, 0, 7, 0, -1, 0))},
	{name: "STFT with a window, of all bins", nodes: nodes(nd("STFT", "x s w", "y", ai("onesided", 0))), x: tensors{"x": reals(dims(1, 5, 1), 1, 2, 3, 4, 5)}, w: tensors{"s": ints(dims(), 1), "w": reals(dims(4), 1, 0.5, 0, 2)},
		y: out(reals(dims(1, 2, 4, 2), 10, 0, 1, 7, -8, 0, 1, -7, 13.5, 0, 2, 8.5, -9.5, 0, 2, -8.5))},
	{name: "MelWeightMatrix", nodes: nodes(nd("MelWeightMatrix", "n l r a b", "y")), w: tensors{"n": ints(dims(), 2), "l": ints(dims(), 16), "r": ints(dims(), 8000), "a": num(500), "b": num(4000)},
		y: out(reals(dims(9, 2), 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))},
	{name: "TfIdfVectorizer", nodes: nodes(nd("TfIdfVectorizer", "x", "y", as("mode", "TF"), ai("min_gram_length", 1), ai("max_gram_length", 2), ai("max_skip_count", 1), ais("ngram_counts", 0, 1), ais("ngram_indexes", 2, 0),
		ais("pool_int64s", 1, 1, 2))), x: tensors{"x": ints(dims(2, 5), 1, 2, 1, 2, 3, 1, 1, 2, 2, 1)}, y: out(reals(dims(2, 3), 2, 0, 2, 3, 0, 3))},
	{name: "TfIdfVectorizer of bigrams, weighed", nodes: nodes(nd("TfIdfVectorizer", "x", "y0", tfidf("TFIDF")...), nd("TfIdfVectorizer", "x", "y1", tfidf("IDF")...)), x: tensors{"x": ints(dims(5), 1, 2, 1, 2, 3)},
		y: out(reals(dims(5), 0, 0.5, 6, 0, 0), reals(dims(5), 0, 0.5, 3, 0, 0))},
	{name: "RoiAlign", nodes: nodes(nd("RoiAlign", "x r b", "y", ai("sampling_ratio", 1))), x: tensors{"x": ramp(1, 2, 4, 4)}, w: tensors{"r": reals(dims(1, 4), 0, 0, 3, 3), "b": list(0)}, y: out(reals(dims(1, 2, 1, 1), 5, 21))},
	{name: "RoiAlign, opset 10", opset: 10, nodes: nodes(nd("RoiAlign", "x r b", "y", ai("output_width", 2))), x: tensors{"x": ramp(2, 1, 4, 4)}, w: tensors{"r": reals(dims(2, 4), 0, 0, 2, 2, 1, 1, 1, 1), "b": list(1, 0)},
		y: out(reals(dims(2, 1, 1, 2), 20.5, 21.5, 7.25, 7.75))},
	{name: "RoiAlign of the largest", nodes: nodes(nd("RoiAlign", "x r b", "y", ai("sampling_ratio", 2), as("mode", "max"), as("coordinate_transformation_mode", "output_half_pixel"))), x: tensors{"x": ramp(1, 1, 4, 4)},
		w: tensors{"r": reals(dims(1, 4), 0, 0, 4, 4), "b": list(0)}, y: out(reals(dims(1, 1, 1, 1), 15))},
	{name: "DFT", nodes: nodes(nd("DFT", "x", "y")), x: tensors{"x": reals(dims(1, 4, 1), 1, 2, 3, 4)}, y: out(reals(dims(1, 4, 2), 10, 0, -2, 2, -2, 0, -2, -2))},
	{name: "DFT onesided, opset 20", opset: 20, nodes: nodes(nd("DFT", "x _ a", "y", ai("onesided", 1))), x: tensors{"x": reals(dims(4, 1, 1), 1, 2, 3, 4)}, w: tensors{"a": ints(dims(), 0)}, y: out(reals(dims(3, 1, 2), 10, 0, -2, 2, -2, 0))},
	{name: "DFT inverse", nodes: nodes(nd("DFT", "x", "y", ai("inverse", 1))), x: tensors{"x": reals(dims(1, 4, 2), 10, 0, -2, 2, -2, 0, -2, -2)}, y: out(reals(dims(1, 4, 2), 1, 0, 2, 0, 3, 0, 4, 0))},
	{name: "DFT longer", nodes: nodes(nd("DFT", "x n", "y")), x: tensors{"x": reals(dims(1, 3, 1), 1, 2, 3)}, w: tensors{"n": ints(dims(), 4)}, y: out(reals(dims(1, 4, 2), 6, 0, -2, -2, 2, 0, -2, 2))},
	{name: "DFT shorter", nodes: nodes(nd("DFT", "x n", "y")), x: tensors{"x": reals(dims(1, 3, 1), 1, 2, 3)}, w: tensors{"n": ints(dims(), 2)}, y: out(reals(dims(1, 2, 2), 3, 0, -1, 0))},

	{name: "Loop", nodes: nodes(nd("Loop", "n _ x", "y0 y1", ag("body", subgraph("i go v", "go w s", nd("Cast", "i", "r", ai("to", 1)), nd("Add", "v r", "w"), nd("Mul", "w w", "s"))))), x: tensors{"x": num(1)}, w: tensors{"n": ints(dims(), 3)},
		y: out(num(4), reals(dims(3), 1, 4, 16))}, // v = 1, 2, 4
	{name: "Loop until", nodes: nodes(nd("Constant", "", "k", ai("value_int", 2)), nd("Constant", "", "t", at("value", bools(dims(), 1))),
		nd("Loop", "_ t x", "y", ag("body", subgraph("i go v", "on w", nd("Less", "i k", "on"), nd("Add", "v v", "w"))))), x: tensors{"x": num(1)}, y: out(num(8))},
	{name: "Scan", nodes: nodes(nd("Scan", "z x", "y0 y1", ai("num_scan_inputs", 1), ag("body", subgraph("s v", "t u", nd("Add", "s v", "t"), nd("Identity", "t", "u"))))), x: tensors{"x": mat32, "z": reals(dims(2), 10, 20)},
		y: out(reals(dims(2), 12, 22), reals(dims(3, 2), 11, 20, 11, 21, 12, 22))},
	{name: "Scan backwards, axes", nodes: nodes(nd("Scan", "z x", "y0 y1", ai("num_scan_inputs", 1), ais("scan_input_axes", 1), ais("scan_input_directions", 1), ais("scan_output_axes", 1), ais("scan_output_directions", 1),
		ag("body", subgraph("s v", "t u", nd("Add", "s v", "t"), nd("Identity", "t", "u"))))), x: tensors{"x": reals(dims(2, 3), 1, 0, 1, 0, 1, 1), "z": reals(dims(2), 10, 20)},
		y: out(reals(dims(2), 12, 22), reals(dims(2, 3), 12, 11, 11, 22, 22, 21))},
	{name: "GridSample", nodes: nodes(nd("GridSample", "x g", "y")), x: tensors{"x": plane}, w: tensors{"g": grid4}, y: out(reals(dims(1, 1, 1, 4), 5, 0.25, 9.0/4, 5.5))},
	{name: "GridSample align_corners, border", nodes: nodes(nd("GridSample", "x g", "y", ai("align_corners", 1), as("padding_mode", "border"))), x: tensors{"x": plane}, w: tensors{"g": grid4}, y: out(reals(dims(1, 1, 1, 4), 5, 1, 9, 16.0/3))},
	{name: "GridSample nearest, reflection", opset: 20, nodes: nodes(nd("GridSample", "x g", "y", as("mode", "nearest"), as("padding_mode", "reflection"))), x: tensors{"x": plane}, w: tensors{"g": reals(dims(1, 1, 3, 2), -0.9, 0.1, 1.9, -1.5, 0, 0)}, y: out(reals(dims(1, 1, 1, 3), 4, 2, 5))},
	{name: "GridSample cubic", opset: 20, nodes: nodes(nd("GridSample", "x g", "y", as("mode", "cubic"), as("padding_mode", "border"), ai("align_corners", 1))), x: tensors{"x": reals(dims(1, 1, 1, 4), 1, 2, 4, 8)}, w: tensors{"g": reals(dims(1, 1, 1, 2), 0, 0)},
		y: out(reals(dims(1, 1, 1, 1), 0.59375*6-0.09375*9))},
	{name: "MaxPool places", nodes: nodes(nd("MaxPool", "x", "y0 y1", ais("kernel_shape", 2, 2))), x: tensors{"x": reals(dims(1, 2, 2, 3), 1, 5, 5, 2, 3, 4, 0, 0, 1, 0, 9, 1)}, y: out(reals(dims(1, 2, 1, 2), 5, 5, 9, 9), ints(dims(1, 2, 1, 2), 1, 1, 10, 10))},
	{name: "MaxPool places by column, pads", nodes: nodes(nd("MaxPool", "x", "y0 y1", ais("kernel_shape", 2, 2), ais("strides", 2, 2), ais("pads", 1, 1, 0, 0), ai("storage_order", 1))), x: tensors{"x": plane}, y: out(reals(dims(1, 1, 2, 2), 1, 3, 7, 9), ints(dims(1, 1, 2, 2), 0, 6, 2, 8))},
	{name: "MaxUnpool", opset: 11, nodes: nodes(nd("MaxUnpool", "x i", "y", ais("kernel_shape", 2), ais("strides", 2))), x: tensors{"x": reals(dims(1, 1, 2), 7, 8)}, w: tensors{"i": ints(dims(1, 1, 2), 1, 2)}, y: out(reals(dims(1, 1, 4), 0, 7, 8, 0))},
	{name: "MaxUnpool output_shape", opset: 11, nodes: nodes(nd("MaxUnpool", "x i s", "y", ais("kernel_shape", 2), ais("strides", 2))), x: tensors{"x": reals(dims(1, 1, 2), 7, 8)}, w: tensors{"i": ints(dims(1, 1, 2), 0, 3), "s": list(1, 1, 5)}, y: out(reals(dims(1, 1, 5), 7, 0, 0, 8, 0))},
	{name: "NonZero", nodes: nodes(nd("NonZero", "i", "p"), nd("Add", "x p", "y")), x: tensors{"x": ints(dims(1), 0)}, w: tensors{"i": ints(dims(2, 2), 1, 0, 3, 4)}, y: out(ints(dims(2, 3), 0, 1, 1, 0, 0, 1))},
	{name: "Unique", nodes: nodes(nd("Unique", "i", "u p q n"), nd("Add", "x u", "y0"), nd("Add", "x p", "y1"), nd("Add", "x q", "y2"), nd("Add", "x n", "y3")), x: tensors{"x": ints(dims(1), 0)}, w: tensors{"i": list(2, 1, 1, 3, 4, 3)},
		y: out(list(1, 2, 3, 4), list(1, 0, 3, 4), list(1, 0, 0, 2, 3, 2), list(2, 1, 2, 1))},
	{name: "Unique unsorted", nodes: nodes(nd("Unique", "i", "u p q n", ai("sorted", 0)), nd("Add", "x u", "y0"), nd("Add", "x p", "y1"), nd("Add", "x q", "y2"), nd("Add", "x n", "y3")), x: tensors{"x": ints(dims(1), 0)}, w: tensors{"i": list(2, 1, 1, 3, 4, 3)},
		y: out(list(2, 1, 3, 4), list(0, 1, 3, 4), list(0, 1, 1, 2, 3, 2), list(1, 2, 2, 1))},
	{name: "Unique axis", nodes: nodes(nd("Unique", "i", "u", ai("axis", 1)), nd("Add", "x u", "y")), x: tensors{"x": ints(dims(1, 1), 0)}, w: tensors{"i": ints(dims(2, 3), 2, 1, 2, 0, 5, 0)}, y: out(ints(dims(2, 2), 1, 2, 5, 0))},
	{name: "IsNaN and IsInf", nodes: nodes(nd("Constant", "", "c", at("value", reals(dims(3), math.NaN(), math.Inf(-1), 1))), nd("IsNaN", "c", "n"), nd("IsInf", "c", "i"), nd("Or", "n i", "o"), nd("Or", "x o", "y")), x: tensors{"x": bools(dims(3), 0, 0, 0)}, y: out(bools(dims(3), 1, 1, 0))},
	{name: "IsInf positive", nodes: nodes(nd("Constant", "", "c", at("value", reals(dims(2), math.Inf(1), math.Inf(-1)))), nd("IsInf", "c", "i", ai("detect_negative", 0)), nd("Or", "x i", "y")), x: tensors{"x": bools(dims(2), 0, 0)}, y: out(bools(dims(2), 1, 0))},
	{name: "RotaryEmbedding", opset: 23, nodes: nodes(nd("RotaryEmbedding", "x c s p", "y")), x: tensors{"x": reals(dims(1, 1, 2, 4), 1, 2, 3, 4, 5, 6, 7, 8)}, w: tensors{"c": reals(dims(2, 2), 0, 1, 1, 0), "s": reals(dims(2, 2), 1, 0, 0, 1), "p": ints(dims(1, 2), 0, 1)},
		y: out(reals(dims(1, 1, 2, 4), -3, 2, 1, 4, 5, -8, 7, 6))},
	{name: "RotaryEmbedding interleaved, secret positions", opset: 23, nodes: nodes(nd("RotaryEmbedding", "x c s p", "y", ai("interleaved", 1))), x: tensors{"x": reals(dims(1, 1, 2, 4), 1, 2, 3, 4, 5, 6, 7, 8), "p": ints(dims(1, 2), 1, 0)}, w: tensors{"c": reals(dims(2, 2), 0, 1, 1, 0), "s": reals(dims(2, 2), 1, 0, 0, 1)},
		y: out(reals(dims(1, 1, 2, 4), 1, 2, -4, 3, -6, 5, 7, 8))},
	{name: "RotaryEmbedding part, flat heads", opset: 23, nodes: nodes(nd("RotaryEmbedding", "x c s", "y", ai("num_heads", 2), ai("rotary_embedding_dim", 2))), x: tensors{"x": reals(dims(1, 1, 6), 1, 2, 3, 4, 5, 6)}, w: tensors{"c": reals(dims(1, 1, 1), 0), "s": reals(dims(1, 1, 1), 1)},
		y: out(reals(dims(1, 1, 6), -2, 1, 3, -5, 4, 6))},
}

// TestOperators evaluates small models in the clear.
func TestOperators(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range opCases {
		for _, n := range c.nodes {
			seen[n.GetOpType()] = true
		}
		t.Run(c.name, func(t *testing.T) {
			model, names := c.model()
			data := encode(t, model)
			for _, opt := range []Options{{}, {PublicWeights: true}} {
				m, err := LoadBytes("small.onnx", data, opt)
				if err != nil {
					t.Fatal(err)
				}
				if opt.PublicWeights && len(m.Weights) > 0 {
					t.Errorf("public weights: %d weights are left", len(m.Weights))
				}
				got, err := ir.Run(m, asOwners(m, c.x))
				if err != nil {
					t.Fatal(err)
				}
				for i, name := range names {
					if err := near(got[name], c.y[i], max(c.eps, 1e-6)); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
			}
			// with every input public, all of it is computed while reading
			m, err := LoadBytes("small.onnx", data, Options{Public: c.x, PublicWeights: true})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(m.Main().Body); n > 2*len(names) {
				t.Errorf("of constants alone, %d values are left", n)
			}
		})
	}
	constants := []string{"Exp", "Log", "Reciprocal", "Tanh", "Erf"} // like Sqrt
	for _, o := range Operators() {
		if !seen[o.Name] && !slices.Contains(constants, o.Name) {
			t.Errorf("operator %s has no case", o.Name)
		}
	}
}
