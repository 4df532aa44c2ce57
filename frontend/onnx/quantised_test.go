package onnx

import (
	"math"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// ms builds a node of onnxruntime's domain.
func ms(op, in, out string, attrs ...*pb.AttributeProto) *pb.NodeProto {
	n := nd(op, in, out, attrs...)
	n.Domain = proto.String("com.microsoft")
	return n
}

// as8 casts integers to bytes: initialisers of tests have 64 bits.
func as8(typ pb.TensorProto_DataType, pairs ...string) []*pb.NodeProto {
	var out []*pb.NodeProto
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, nd("Cast", pairs[i], pairs[i+1], ai("to", int64(typ))))
	}
	return out
}

// asOwners returns inputs as their owners give them: where an input stands for reals in steps, as the integers next to them.
func asOwners(m *ir.Module, in tensors) tensors {
	out := tensors{}
	for name, x := range in {
		out[name] = x
	}
	for _, v := range m.Main().Body {
		if x := in[v.Attrs.Str("name")]; v.Op == ir.OpInput && v.Attrs.Has("step") && x != nil {
			out[v.Attrs.Str("name")] = steps(x, v.Attrs.Float("step", 0), 0, int64(v.Attrs.Float("lo", 0)), int64(v.Attrs.Float("hi", 0)))
		}
	}
	return out
}

// steps is the specification of QuantizeLinear: saturate(round half to even(x/scale) + zero).
func steps(x *ir.Tensor, scale float64, zero, lo, hi int64) *ir.Tensor {
	y := ir.NewTensor(ir.Int, x.Shape)
	for i, v := range x.F {
		y.I[i] = min(max(int64(math.RoundToEven(v/scale))+zero, lo), hi)
	}
	return y
}

// values is the specification of DequantizeLinear.
func values(q *ir.Tensor, scale float64, zero int64) *ir.Tensor {
	y := ir.NewTensor(ir.Real, q.Shape)
	for i, k := range q.I {
		y.F[i] = float64(k-zero) * scale
	}
	return y
}

// times is a matrix product of reals.
func times(a, b *ir.Tensor) *ir.Tensor {
	y := ir.NewTensor(ir.Real, dims(a.Shape[0], b.Shape[1]))
	for i := range a.Shape[0] {
		for j := range b.Shape[1] {
			for k := range b.Shape[0] {
				y.F[i*b.Shape[1]+j] += a.At(i*b.Shape[0]+k) * b.At(k*b.Shape[1]+j)
			}
		}
	}
	return y
}

func init() {
	const u8, i8 = pb.TensorProto_UINT8, pb.TensorProto_INT8
	x := reals(dims(2, 5), 0, 2, 3, 1000, -254, -1000, 1, -1, 5, -3)
	q := ints(dims(2, 3), 0, 3, 128, 255, 200, 7)
	zero := func(k int64) *ir.Tensor { return ints(dims(), k) }
	with := func(typ pb.TensorProto_DataType, pairs []string, n ...*pb.NodeProto) []*pb.NodeProto {
		return append(as8(typ, pairs...), n...)
	}
	a, b := ints(dims(2, 4), 208, 236, 0, 238, 3, 214, 255, 29), ints(dims(4, 3), 152, 51, 244, 60, 26, 255, 0, 127, 246, 127, 254, 247)
	grids := tensors{"xs": num(0.5), "ys": num(0.25), "zx": zero(100), "zy": zero(7), "os": num(0.125), "zo": zero(60), "q2": ints(dims(2, 3), 90, 101, 255, 0, 8, 9)}
	grid2 := func(more tensors) tensors {
		for k, v := range grids {
			more[k] = v
		}
		return more
	}
	real1, real2 := values(q, 0.5, 100), values(ints(dims(2, 3), 90, 101, 255, 0, 8, 9), 0.25, 7)
	both := func(f func(x, y float64) float64) *ir.Tensor {
		y := ir.NewTensor(ir.Real, real1.Shape)
		for i := range y.F {
			y.F[i] = f(real1.F[i], real2.F[i])
		}
		return steps(y, 0.125, 60, 0, 255)
	}
	cast2 := []string{"q64", "q", "q2", "r", "zx", "z1", "zy", "z2", "zo", "z3"}
	linear := func(name string, y *ir.Tensor, nodes ...*pb.NodeProto) opCase {
		return opCase{name: name, nodes: with(u8, cast2, nodes...), x: tensors{"q64": q}, w: grid2(tensors{}), y: out(y)}
	}
	picture := ints(dims(1, 2, 2, 2), 10, 20, 30, 40, 50, 60, 255, 0)
	opCases = append(opCases,
		opCase{name: "QuantizeLinear, halves to even", nodes: with(u8, []string{"z64", "z"}, nd("QuantizeLinear", "x s z", "y")), x: tensors{"x": x}, w: tensors{"s": num(2), "z64": zero(128)}, y: out(steps(x, 2, 128, 0, 255))},
		opCase{name: "QuantizeLinear to signed bytes", nodes: with(i8, []string{"z64", "z"}, nd("QuantizeLinear", "x s z", "y")), x: tensors{"x": x}, w: tensors{"s": num(2), "z64": zero(-3)}, y: out(steps(x, 2, -3, -128, 127))},
		opCase{name: "QuantizeLinear without zero point", nodes: nodes(nd("QuantizeLinear", "x s", "y")), x: tensors{"x": x}, w: tensors{"s": num(0.75)}, y: out(steps(x, 0.75, 0, 0, 255))},
		opCase{name: "QuantizeLinear to 16 bits", opset: 21, nodes: nodes(nd("QuantizeLinear", "x s", "y", ai("output_dtype", int64(pb.TensorProto_INT16)))), x: tensors{"x": x}, w: tensors{"s": num(0.01)}, y: out(steps(x, 0.01, 0, -32768, 32767))},
		opCase{name: "QuantizeLinear by rows", nodes: with(u8, []string{"z64", "z"}, nd("QuantizeLinear", "x s z", "y", ai("axis", 0))), x: tensors{"x": reals(dims(2, 2), 3, -1, 3, -1)}, w: tensors{"s": reals(dims(2), 2, 0.5), "z64": list(10, 20)}, y: out(ints(dims(2, 2), 12, 10, 26, 18))},
		opCase{name: "DequantizeLinear", nodes: with(u8, []string{"q64", "q", "z64", "z"}, nd("DequantizeLinear", "q s z", "y")), x: tensors{"q64": q}, w: tensors{"s": num(0.5), "z64": zero(100)}, y: out(real1)},
		opCase{name: "DequantizeLinear of weights by columns", nodes: with(i8, []string{"q64", "q", "z64", "z"}, nd("DequantizeLinear", "q s z", "w"), nd("MatMul", "x w", "y")), x: tensors{"x": reals(dims(1, 2), 1, 2)},
			w: tensors{"q64": ints(dims(2, 2), 3, -4, 5, 6), "s": reals(dims(2), 0.5, 0.25), "z64": list(1, 2)}, y: out(reals(dims(1, 2), 1+4, -1.5+2))},
		opCase{name: "DequantizeLinear in blocks", opset: 21, nodes: with(i8, []string{"q64", "q"}, nd("DequantizeLinear", "q s", "w", ai("axis", 0), ai("block_size", 2)), nd("Add", "x w", "y")), x: tensors{"x": reals(dims(3, 1), 0, 0, 1)},
			w: tensors{"q64": ints(dims(3, 1), 3, -4, 5), "s": reals(dims(2, 1), 0.5, 2)}, y: out(reals(dims(3, 1), 1.5, -2, 11))},
		opCase{name: "layers between quantisations", nodes: with(u8, []string{"z64", "z"}, nd("QuantizeLinear", "x s z", "q"), nd("DequantizeLinear", "q s z", "d"), nd("Gemm", "d w b", "g"), nd("Relu", "g", "r"), nd("QuantizeLinear", "r s z", "p"), nd("DequantizeLinear", "p s z", "y")),
			x: tensors{"x": reals(dims(1, 2), 1.3, -0.7)}, w: tensors{"s": num(0.25), "z64": zero(8), "w": reals(dims(2, 2), 1, 2, 3, -1), "b": reals(dims(2), 0.1, 0.2)},
			y: out(reals(dims(1, 2), 0, 3.5))}, // x is 1.25, -0.75; the product -1, 3.25; with the bias -0.9 and 3.45
		opCase{name: "sums between quantisations", nodes: with(u8, []string{"z64", "z"}, nd("QuantizeLinear", "x s z", "q"), nd("DequantizeLinear", "q s z", "d"), nd("Add", "d d", "a"), nd("QuantizeLinear", "a t z", "p"), nd("DequantizeLinear", "p t z", "y")),
			x: tensors{"x": reals(dims(2), 1.3, -0.7)}, w: tensors{"s": num(0.25), "t": num(0.5), "z64": zero(8)}, y: out(reals(dims(2), 2.5, -1.5))},
		opCase{name: "maximum of quantised data needs no rounding", nodes: with(u8, []string{"z64", "z"}, nd("QuantizeLinear", "x s z", "q"), nd("DequantizeLinear", "q s z", "d"), nd("MaxPool", "d", "m", ais("kernel_shape", 2)), nd("Clip", "m lo hi", "c"), nd("QuantizeLinear", "c s z", "p"), nd("DequantizeLinear", "p s z", "y")),
			x: tensors{"x": reals(dims(1, 1, 3), 1.3, -0.7, 9)}, w: tensors{"s": num(0.25), "z64": zero(8), "lo": num(0), "hi": num(6)}, y: out(reals(dims(1, 1, 2), 1.25, 6))},
		opCase{name: "QLinearMatMul", nodes: with(u8, []string{"a64", "a", "b64", "b", "az64", "az", "bz64", "bz", "yz64", "yz"}, nd("QLinearMatMul", "a as az b bs bz ys yz", "y")), x: tensors{"a64": a},
			w: tensors{"b64": b, "as": num(0.0066), "bs": num(0.00705), "ys": num(0.0107), "az64": zero(113), "bz64": zero(114), "yz64": zero(118)}, y: out(steps(times(values(a, 0.0066, 113), values(b, 0.00705, 114)), 0.0107, 118, 0, 255))},
		opCase{name: "QLinearMatMul of two secrets", nodes: with(u8, []string{"a64", "a", "b64", "b", "az64", "az", "bz64", "bz", "yz64", "yz"}, nd("QLinearMatMul", "a as az b bs bz ys yz", "y")), x: tensors{"a64": a, "b64": b},
			w: tensors{"as": num(0.0066), "bs": num(0.00705), "ys": num(0.0107), "az64": zero(113), "bz64": zero(114), "yz64": zero(118)}, y: out(ints(dims(2, 3), 168, 115, 255, 1, 66, 151))},
		opCase{name: "QLinearConv", nodes: with(u8, []string{"q64", "q", "w64", "w", "xz64", "xz", "wz64", "wz", "yz64", "yz"}, nd("QLinearConv", "q xs xz w ws wz ys yz b", "y")), x: tensors{"q64": picture},
			w: tensors{"w64": ints(dims(1, 2, 1, 1), 130, 125), "xs": num(0.5), "ws": num(0.25), "ys": num(0.75), "xz64": zero(9), "wz64": zero(128), "yz64": zero(40), "b": list(17)},
			y: out(ints(dims(1, 1, 2, 2), 40-17, 40-19, 0, 40+18))}, // ((q-9)*2 - (p-9)*3 + 17) * 0.125/0.75 + 40
		opCase{name: "MatMulInteger", nodes: with(u8, []string{"a64", "a", "b64", "b", "z64", "z"}, nd("MatMulInteger", "a b z", "y")), x: tensors{"a64": ints(dims(4, 3), 11, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4, 0)}, w: tensors{"b64": ints(dims(3, 2), 1, 4, 2, 5, 3, 6), "z64": zero(12)},
			y: out(ints(dims(4, 2), -38, -83, -44, -98, -50, -113, -56, -128))},
		opCase{name: "MatMulInteger with zero points of rows and columns", nodes: with(u8, []string{"a64", "a", "b64", "b", "z64", "z", "y64", "w"}, nd("MatMulInteger", "a b z w", "y")), x: tensors{"a64": ints(dims(2, 2), 1, 2, 3, 4)}, w: tensors{"b64": ints(dims(2, 2), 5, 6, 7, 8), "z64": list(1, 3), "y64": list(5, 6)},
			y: out(ints(dims(2, 2), 2, 2, 2, 2))},
		opCase{name: "ConvInteger", nodes: with(u8, []string{"x64", "x", "w64", "w", "z64", "z"}, nd("ConvInteger", "x w z", "y")), x: tensors{"x64": ints(dims(1, 1, 3, 3), 2, 3, 4, 5, 6, 7, 8, 9, 10)}, w: tensors{"w64": ints(dims(1, 1, 2, 2), 1, 1, 1, 1), "z64": zero(1)},
			y: out(ints(dims(1, 1, 2, 2), 12, 16, 24, 28))},
		opCase{name: "DynamicQuantizeLinear", nodes: nodes(nd("DynamicQuantizeLinear", "x", "y0 y1 y2")), x: tensors{"x": reals(dims(6), 0, 2, -3, -2.5, 1.34, 0.5)}, y: out(list(153, 255, 0, 26, 221, 179), num(5.0/255), zero(153))},
		opCase{name: "DynamicQuantizeLinear of what is above zero", nodes: nodes(nd("DynamicQuantizeLinear", "x", "y0 y1 y2")), x: tensors{"x": reals(dims(3), 1, 2.125, 4)}, y: out(list(64, 135, 255), num(4.0/255), zero(0))},
		opCase{name: "DynamicQuantizeLinear of zeros", nodes: nodes(nd("DynamicQuantizeLinear", "x", "y0 y1 y2")), x: tensors{"x": reals(dims(2), 0, 0)}, y: out(list(0, 0), num(1), zero(0))},
		linear("QLinearAdd", both(func(x, y float64) float64 { return x + y }), ms("QLinearAdd", "q xs z1 r ys z2 os z3", "y")),
		linear("QLinearMul", both(func(x, y float64) float64 { return x * y }), ms("QLinearMul", "q xs z1 r ys z2 os z3", "y")),
		linear("QLinearSigmoid", steps(apply(logistic, real1), 0.125, 60, 0, 255), ms("QLinearSigmoid", "q xs z1 os z3", "y")),
		linear("QLinearLeakyRelu", steps(apply(func(x float64) float64 { return max(x, x/4) }, real1), 0.125, 60, 0, 255), ms("QLinearLeakyRelu", "q xs z1 os z3", "y", af("alpha", 0.25))),
		linear("QLinearConcat", &ir.Tensor{Elem: ir.Int, Shape: dims(4, 3), I: append(slices.Clone(steps(real1, 0.125, 60, 0, 255).I), steps(real2, 0.125, 60, 0, 255).I...)}, ms("QLinearConcat", "os z3 q xs z1 r ys z2", "y", ai("axis", 0))),
		opCase{name: "QLinearGlobalAveragePool", nodes: with(u8, []string{"q64", "q", "z64", "z", "y64", "w"}, ms("QLinearGlobalAveragePool", "q s z t w", "y")), x: tensors{"q64": picture}, w: tensors{"s": num(0.5), "z64": zero(9), "t": num(0.25), "y64": zero(4)}, y: out(ints(dims(1, 2, 1, 1), 36, 168))},
		opCase{name: "QLinearAveragePool", nodes: with(u8, []string{"q64", "q", "z64", "z", "y64", "w"}, ms("QLinearAveragePool", "q s z t w", "y", ais("kernel_shape", 1, 2))), x: tensors{"q64": picture}, w: tensors{"s": num(0.5), "z64": zero(9), "t": num(0.25), "y64": zero(4)}, y: out(ints(dims(1, 2, 2, 1), 16, 56, 96, 241))},
		opCase{name: "QGemm", nodes: with(u8, []string{"a64", "a", "b64", "b", "az64", "az", "bz64", "bz", "yz64", "yz"}, ms("QGemm", "a as az b bs bz c ys yz", "y", ai("transB", 1))), x: tensors{"a64": ints(dims(1, 2), 10, 20)},
			w: tensors{"b64": ints(dims(2, 2), 1, 2, 3, 4), "as": num(0.5), "bs": num(0.5), "ys": num(2), "az64": zero(8), "bz64": zero(2), "yz64": zero(5), "c": list(3, -7)}, y: out(ints(dims(1, 2), 5+0, 5+2))}, // (1, 19)/8: 0.125 and 2.375
		opCase{name: "QGemm to reals", nodes: with(u8, []string{"a64", "a", "b64", "b", "az64", "az", "bz64", "bz"}, ms("QGemm", "a as az b bs bz", "y")), x: tensors{"a64": ints(dims(1, 2), 10, 20)},
			w: tensors{"b64": ints(dims(2, 1), 1, 4), "as": num(0.5), "bs": num(0.5), "az64": zero(8), "bz64": zero(2)}, y: out(reals(dims(1, 1), 5.5))}, // (-2 + 24)/4
		opCase{name: "MatMulIntegerToFloat", nodes: with(u8, []string{"a64", "a", "b64", "b", "z64", "z"}, ms("MatMulIntegerToFloat", "a b s t z _ c", "y")), x: tensors{"a64": ints(dims(1, 2), 10, 20)}, w: tensors{"b64": ints(dims(2, 1), 1, 4), "s": num(0.5), "t": num(0.25), "z64": zero(8), "c": num(1)}, y: out(reals(dims(1, 1), 7.25))},
		opCase{name: "DynamicQuantizeMatMul", nodes: with(u8, []string{"b64", "b"}, ms("DynamicQuantizeMatMul", "x b t", "y")), x: tensors{"x": reals(dims(1, 2), -1, 4.1)}, w: tensors{"b64": ints(dims(2, 1), 1, 4), "t": num(0.5)},
			y: out(reals(dims(1, 1), (-50+4*205)*0.02*0.5)), eps: 1e-4}, // 5.1/255 a step: -1 is 50 of them below zero
	)
}

// TestPrivateQuantisedWeights: weights in integers, as quantised models hold them, are as private as those in reals.
func TestPrivateQuantisedWeights(t *testing.T) {
	q := &pb.TensorProto{Name: proto.String("q"), Dims: []int64{4, 4}, DataType: proto.Int32(int32(pb.TensorProto_INT8))}
	for i := range int32(16) {
		q.Int32Data = append(q.Int32Data, 7*i-50)
	}
	for _, c := range []struct {
		name  string
		nodes []*pb.NodeProto
		x     *ir.Tensor
	}{
		{"dequantised", nodes(nd("DequantizeLinear", "q s", "w"), nd("MatMul", "x w", "y")), reals(dims(1, 4), 1, 2, 3, 4)},
		{"integers", nodes(nd("MatMulInteger", "x q", "y")), ints(dims(1, 4), 1, 2, 3, 4)},
		{"a table", nodes(nd("Gather", "q x", "r"), nd("DequantizeLinear", "r s", "y")), ints(dims(1), 3)},
	} {
		m, _ := opCase{nodes: c.nodes, x: tensors{"x": c.x}, w: tensors{"s": num(0.5)}, y: out(num(0))}.model()
		m.Graph.Initializer = append(m.Graph.Initializer, q)
		loaded, err := LoadBytes("q.onnx", encode(t, m), Options{})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for _, v := range loaded.Main().Body {
			if v.Op == ir.OpConst && v.Type.Shape.Size() >= 16 && v.Attrs.Tensor("data").At(1) != 1 {
				t.Errorf("%s: the plan would hold %v", c.name, v.Attrs.Tensor("data"))
			}
		}
		if len(loaded.Weights) == 0 {
			t.Errorf("%s: no weight is left", c.name)
		}
	}
}
