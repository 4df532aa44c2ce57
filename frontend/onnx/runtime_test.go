package onnx

import (
	"math"
	"testing"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// attended weighs rows of v by softmax(scale q k' + bias), the definition of attention, of one head.
func attended(q, k, v *ir.Tensor, scale float64, bias func(i, j int) float64) *ir.Tensor {
	y := ir.NewTensor(ir.Real, dims(q.Shape[0], v.Shape[1]))
	for i := range q.Shape[0] {
		s := make([]float64, k.Shape[0])
		for j := range s {
			for d := range q.Shape[1] {
				s[j] += scale * q.F[i*q.Shape[1]+d] * k.F[j*k.Shape[1]+d]
			}
			s[j] += bias(i, j)
		}
		for j, p := range softmaxed(s) {
			for d := range v.Shape[1] {
				y.F[i*v.Shape[1]+d] += p * v.F[j*v.Shape[1]+d]
			}
		}
	}
	return y
}

// batched puts dimensions in front of a tensor's.
func batched(t *ir.Tensor, s ...int) *ir.Tensor {
	return &ir.Tensor{Elem: t.Elem, Shape: s, F: t.F, I: t.I}
}

// normed is (x - mean)/sqrt(variance + eps) of each row, or x over the root of its mean of squares.
func normed(x *ir.Tensor, eps float64, centred bool) *ir.Tensor {
	k := x.Shape[len(x.Shape)-1]
	return rowsOf(reals(dims(len(x.F)/k, k), x.F...), k, func(r []float64) []float64 {
		mean, square := 0.0, 0.0
		for _, v := range r {
			mean += v / float64(k)
		}
		if !centred {
			mean = 0
		}
		for _, v := range r {
			square += (v - mean) * (v - mean) / float64(k)
		}
		y := make([]float64, k)
		for i, v := range r {
			y[i] = (v - mean) / math.Sqrt(square+eps)
		}
		return y
	})
}

func init() {
	gelu := func(x float64) float64 { return x * (1 + math.Erf(x/math.Sqrt2)) / 2 }
	fast := func(x float64) float64 { return x * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))) / 2 }
	bias := reals(dims(3), 0.5, -1, 0.25)
	sum := reals(dims(3), -0.5, -1, 2.25)
	x := reals(dims(1, 2, 3), 1, -2, 0.5, 3, 0, -1)
	skip := reals(dims(1, 2, 3), 0.5, 0.5, 0.5, -1, 2, 1)
	added := reals(dims(1, 2, 3), 1.5, -1.5, 1, 2, 2, 0)
	scaled := func(t *ir.Tensor, s, b []float64) *ir.Tensor {
		y := reals(dims(1, 2, 3))
		for i, v := range t.F {
			y.F = append(y.F, v*s[i%3]+b[i%3])
		}
		return y
	}
	gamma, beta := []float64{1, 2, -1}, []float64{0.5, 0, 0.25}
	zeros := []float64{0, 0, 0}
	q, k, v := reals(dims(3, 2), 1, 0, -1, 2, 0.5, 0.5), reals(dims(3, 2), 1, 1, 0, -1, 2, 0), reals(dims(3, 2), 1, 2, 3, 4, 5, 6)
	root := 1 / math.Sqrt2
	none := func(i, j int) float64 { return 0 }
	causal := func(i, j int) float64 {
		if j > i {
			return math.Inf(-1)
		}
		return 0
	}
	short := func(i, j int) float64 {
		if j >= 2 {
			return math.Inf(-1)
		}
		return 0
	}
	packed := reals(dims(1, 3, 6))
	for i := range 3 {
		packed.F = append(append(append(packed.F, q.F[2*i:2*i+2]...), k.F[2*i:2*i+2]...), v.F[2*i:2*i+2]...)
	}
	eye := ir.NewTensor(ir.Real, dims(6, 6))
	for i := range 6 {
		eye.F[7*i] = 1
	}
	b3 := func(t *ir.Tensor) *ir.Tensor { return batched(t, 1, 3, 2) }
	attention := func(name string, w tensors, in string, f func(i, j int) float64, attrs ...*pb.AttributeProto) opCase {
		all := tensors{"w": eye, "b": reals(dims(6), 0, 0, 0, 0, 0, 0)}
		for key, t := range w {
			all[key] = t
		}
		return opCase{name: name, nodes: nodes(ms("Attention", "x w b "+in, "y", append(attrs, ai("num_heads", 1))...)), x: tensors{"x": packed}, w: all, y: out(b3(attended(q, k, v, root, f))), eps: 1e-4}
	}
	blocks := func(name string, w tensors, in string) opCase {
		all := tensors{"q": ints(dims(2, 2, 2), 0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb, 0xed, 0x0f), "s": reals(dims(4), 1, 0.5, 2, 0.25)}
		for key, t := range w {
			all[key] = t
		}
		return opCase{name: name, nodes: append(as8(pb.TensorProto_UINT8, "q", "b"), ms("MatMulNBits", "x b s "+in, "y", ai("K", 6), ai("N", 2), ai("bits", 4), ai("block_size", 4))), x: tensors{"x": reals(dims(1, 6), 1, 2, 3, 4, 5, 6)}, w: all}
	}
	plain, zero := blocks("MatMulNBits", nil, ""), blocks("MatMulNBits with zero points and a bias", tensors{"z64": list(0x31, 0x20), "c": reals(dims(2), 10, 20), "z": list(0x31, 0x20)}, "z _ c")
	// blocks of four, low nibbles first: 1 2 3 4, 5 6 (7 8); 9 10 11 12, 13 14 (15 0)
	plain.y = out(reals(dims(1, 2), 1*(-7)+2*(-6)+3*(-5)+4*(-4)+0.5*(5*-3+6*-2), 2*(1+4+9+16)+0.25*(5*5+6*6)))
	zero.y = out(reals(dims(1, 2), 10+(0+2+6+12)+0.5*(5*2+6*3), 20+2*(9+20+33+48)+0.25*(5*11+6*12)))
	zero.nodes = append(as8(pb.TensorProto_UINT8, "z64", "z"), zero.nodes...)
	delete(zero.w, "z")
	opCases = append(opCases,
		opCase{name: "IsNaN and IsInf of what is computed", nodes: nodes(nd("Exp", "x", "e"), nd("IsNaN", "e", "y0"), nd("IsInf", "e", "y1")), x: tensors{"x": row3}, y: out(bools(dims(3), 0, 0, 0), bools(dims(3), 0, 0, 0))},
		opCase{name: "Gelu of the runtime", nodes: nodes(ms("Gelu", "x", "y")), x: tensors{"x": row3}, y: out(apply(gelu, row3))},
		opCase{name: "BiasGelu", nodes: nodes(ms("BiasGelu", "x b", "y")), x: tensors{"x": row3}, w: tensors{"b": bias}, y: out(apply(gelu, sum))},
		opCase{name: "FastGelu", nodes: nodes(ms("FastGelu", "x b", "y")), x: tensors{"x": row3}, w: tensors{"b": bias}, y: out(apply(fast, sum))},
		opCase{name: "QuickGelu", nodes: nodes(ms("QuickGelu", "x", "y", af("alpha", 2))), x: tensors{"x": row3}, y: out(apply(func(x float64) float64 { return x * logistic(2*x) }, row3))},
		opCase{name: "FusedMatMul", nodes: nodes(ms("FusedMatMul", "x w", "y", af("alpha", 0.5), ai("transA", 1), ai("transB", 1))), x: tensors{"x": mat23}, w: tensors{"w": reals(dims(1, 2), 1, 10)}, y: out(reals(dims(3, 1), 20.5, 26, 31.5))},
		opCase{name: "FusedConv", nodes: nodes(ms("FusedConv", "x w b z", "y", as("activation", "Relu"))), x: tensors{"x": plane, "z": reals(dims(1, 1, 2, 2), 0, -20, -30, 1)}, w: tensors{"w": one22, "b": reals(dims(1), 1)}, y: out(reals(dims(1, 1, 2, 2), 13, 0, 0, 30))},
		opCase{name: "FusedConv, leaky", nodes: nodes(ms("FusedConv", "x w b", "y", as("activation", "LeakyRelu"), afs("activation_params", 0.5))), x: tensors{"x": plane}, w: tensors{"w": one22, "b": reals(dims(1), -20)}, y: out(reals(dims(1, 1, 2, 2), -4, -2, 4, 8))},
		opCase{name: "FusedGemm", nodes: nodes(ms("FusedGemm", "x w b", "y", as("activation", "Relu"), ai("transB", 1))), x: tensors{"x": mat23}, w: tensors{"w": reals(dims(1, 3), 1, 1, 1), "b": num(-10)}, y: out(reals(dims(2, 1), 0, 5))},
		opCase{name: "SkipLayerNormalization", nodes: nodes(ms("SkipLayerNormalization", "x s g b", "y", af("epsilon", 1e-5))), x: tensors{"x": x, "s": skip}, w: tensors{"g": reals(dims(3), gamma...), "b": reals(dims(3), beta...)},
			y: out(scaled(normed(added, 1e-5, true), gamma, beta)), eps: 1e-4},
		opCase{name: "SkipLayerNormalization with its sum", nodes: nodes(ms("SkipLayerNormalization", "x s g _ c", "y0 _ _ y1", af("epsilon", 1e-5))), x: tensors{"x": x, "s": skip}, w: tensors{"g": reals(dims(3), gamma...), "c": reals(dims(3), 1, 0, -1)},
			y: out(scaled(normed(scaled(added, []float64{1, 1, 1}, []float64{1, 0, -1}), 1e-5, true), gamma, zeros), scaled(added, []float64{1, 1, 1}, []float64{1, 0, -1})), eps: 1e-4},
		opCase{name: "SkipSimplifiedLayerNormalization", nodes: nodes(ms("SkipSimplifiedLayerNormalization", "x s g", "y", af("epsilon", 1e-5))), x: tensors{"x": x, "s": skip}, w: tensors{"g": reals(dims(3), gamma...)}, y: out(scaled(normed(added, 1e-5, false), gamma, zeros)), eps: 1e-4},
		opCase{name: "SimplifiedLayerNormalization", nodes: nodes(nd("SimplifiedLayerNormalization", "x g", "y", af("epsilon", 1e-5))), x: tensors{"x": x}, w: tensors{"g": reals(dims(3), gamma...)}, y: out(scaled(normed(x, 1e-5, false), gamma, zeros)), eps: 1e-4},
		opCase{name: "EmbedLayerNormalization", nodes: nodes(ms("EmbedLayerNormalization", "i s w p t g b m", "y0 y1 y2", af("epsilon", 1e-5))), x: tensors{"i": ints(dims(1, 2), 1, 0), "s": ints(dims(1, 2), 0, 1), "m": ints(dims(1, 2), 1, 0)},
			w: tensors{"w": reals(dims(2, 3), 3, 0, -1, 1, -2, 0.5), "p": reals(dims(2, 3), 0.5, 0.5, 0.5, -1, 2, 1), "t": reals(dims(2, 3), 1, 0, 0, 0, 1, 0), "g": reals(dims(3), gamma...), "b": reals(dims(3), beta...)},
			y: out(scaled(normed(reals(dims(1, 2, 3), 2.5, -1.5, 1, 2, 3, 0), 1e-5, true), gamma, beta), list(1), reals(dims(1, 2, 3), 2.5, -1.5, 1, 2, 3, 0)), eps: 1e-4},
		attention("Attention of the runtime", nil, "", none),
		attention("Attention of the runtime, causal", nil, "", causal, ai("unidirectional", 1)),
		attention("Attention of the runtime, lengths", tensors{"m": list(2)}, "m", short),
		attention("Attention of the runtime, mask", tensors{"m": ints(dims(1, 3), 1, 1, 0)}, "m", short),
		opCase{name: "Attention of the runtime with a past", nodes: nodes(ms("Attention", "x w b _ p", "y0 y1", ai("num_heads", 1))), x: tensors{"x": reals(dims(1, 1, 6), packed.F[12:]...), "p": reals(dims(2, 1, 1, 2, 2), 1, 1, 0, -1, 1, 2, 3, 4)},
			w: tensors{"w": eye, "b": reals(dims(6), 0, 0, 0, 0, 0, 0)}, y: out(batched(attended(reals(dims(1, 2), 0.5, 0.5), k, v, root, none), 1, 1, 2), reals(dims(2, 1, 1, 3, 2), append(append([]float64{}, k.F...), v.F...)...)), eps: 1e-4},
		opCase{name: "MultiHeadAttention", nodes: nodes(ms("MultiHeadAttention", "q k v _ m", "y", ai("num_heads", 1))), x: tensors{"q": b3(q), "k": b3(k), "v": b3(v), "m": ints(dims(1, 3), 1, 1, 0)}, y: out(b3(attended(q, k, v, root, short))), eps: 1e-4},
		opCase{name: "MultiHeadAttention with a bias", nodes: nodes(ms("MultiHeadAttention", "q k v b", "y", ai("num_heads", 1), af("scale", 1))), x: tensors{"q": b3(q), "k": b3(k), "v": b3(v)}, w: tensors{"b": reals(dims(6), 0, 0, 0, 0, 1, -1)},
			y: out(b3(attended(q, k, reals(dims(3, 2), 2, 1, 4, 3, 6, 5), 1, none))), eps: 1e-4},
		opCase{name: "RotaryEmbedding of the runtime", nodes: nodes(ms("RotaryEmbedding", "x p c s", "y")), x: tensors{"x": reals(dims(1, 1, 2, 4), 1, 2, 3, 4, 5, 6, 7, 8)}, w: tensors{"c": reals(dims(2, 2), 0, 1, 1, 0), "s": reals(dims(2, 2), 1, 0, 0, 1), "p": list(0)},
			y: out(reals(dims(1, 1, 2, 4), -3, 2, 1, 4, 5, -8, 7, 6))},
		opCase{name: "CDist", nodes: nodes(ms("CDist", "x w", "y0"), ms("CDist", "x w", "y1", as("metric", "euclidean"))), x: tensors{"x": reals(dims(2, 2), 0, 0, 3, 4)}, w: tensors{"w": reals(dims(1, 2), 0, 1)}, y: out(reals(dims(2, 1), 1, 18), reals(dims(2, 1), 1, math.Sqrt(18)))},
		plain, zero,
	)
}

// TestCut ends a graph where it is told to, and drops what only the rest needs.
func TestCut(t *testing.T) {
	c := opCase{nodes: nodes(nd("Relu", "x", "r"), nd("Add", "r w", "a"), nd("NonMaxSuppression", "a z", "y")), x: tensors{"x": row3, "z": row3}, w: tensors{"w": num(1)}, y: out(num(0))}
	model, _ := c.model()
	m, err := LoadBytes("cut.onnx", encode(t, model), Options{Cut: []string{"a", "r"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ir.Run(m, tensors{"x": row3})
	if err != nil {
		t.Fatal(err)
	}
	if err := near(got["a"], reals(dims(3), 1, 1, 3), 0); err != nil {
		t.Error(err)
	}
	if err := near(got["r"], row3Above, 0); err != nil {
		t.Error(err)
	}
	if _, err := LoadBytes("cut.onnx", encode(t, model), Options{Cut: []string{"b"}}); err == nil {
		t.Error("a value that nothing computes is an output")
	}
}
