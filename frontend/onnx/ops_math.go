package onnx

import (
	"fmt"
	"math"
	"slices"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Arithmetic, comparison, logic and activations.

// simple adds an operator that is one IR op on all of its inputs.
func simple(name string, since, in int, op ir.Op, doc string) {
	add(name, doc, func(n *node) ([]*ir.Value, error) {
		args := make([]*ir.Value, in)
		for i := range args {
			args[i] = n.in(i)
		}
		return one(n.e(op, nil, args...))
	}, version{since: since, in: in, max: in})
}

// variadic adds an operator that folds its inputs pairwise; finish ends it.
func variadic(name string, op ir.Op, doc string, finish func(n *node, x *ir.Value) (*ir.Value, error)) {
	add(name, doc, func(n *node) ([]*ir.Value, error) {
		xs := make([]*ir.Value, len(n.p.Input))
		for i := range xs {
			xs[i] = n.in(i)
		}
		for len(xs) > 1 { // a balanced tree: its depth is rounds
			next := xs[:0:0]
			for i := 0; i+1 < len(xs); i += 2 {
				v, err := n.e(op, nil, xs[i], xs[i+1])
				if err != nil {
					return nil, err
				}
				next = append(next, v)
			}
			xs = append(next, xs[len(xs)/2*2:]...)
		}
		if finish == nil {
			return xs, nil
		}
		return one(finish(n, xs[0]))
	}, version{since: 6, in: 1, max: -1})
}

// smooth enters the row of a smooth function: exact on what is known when compiling, approximated elsewhere.
func smooth(name string, since int, op ir.Op, doc string) {
	fn := ir.Smooth[op]
	add(name, doc, func(n *node) ([]*ir.Value, error) {
		t, err := n.fixed(0)
		if err != nil {
			return nil, err
		}
		if t != nil {
			return one(n.derived(0, n.in(0), t, fn))
		}
		return one(n.e(op, nil, n.in(0)))
	}, version{since: since, in: 1, max: 1})
}

// legacy is the version of arithmetic from before operands broadcast as in numpy.
var legacy = version{since: 6, in: 2, max: 2, attrs: "axis:i broadcast:i"}

// aligned lowers arithmetic of two operands; before opset 7 the second one starts at dimension axis of the first.
func aligned(op func(n *node, x, y *ir.Value) (*ir.Value, error)) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x, y := n.in(0), n.in(1)
		if n.has("axis") {
			a, err := n.axis("axis", 0, len(x.Type.Shape))
			if err != nil {
				return nil, err
			}
			s := append(ir.Shape{}, y.Type.Shape...)
			for a+len(s) < len(x.Type.Shape) {
				s = append(s, 1)
			}
			if y, err = n.reshape(y, s); err != nil {
				return nil, err
			}
		}
		return one(op(n, x, y))
	}
}

// pairwise applies f to two public constants of one shape.
func (n *node) pairwise(x, y *ir.Value, e ir.Elem, f func(x, y float64) float64) (*ir.Value, error) {
	if x == nil || y == nil || x.Op != ir.OpConst || y.Op != ir.OpConst {
		return nil, diag.Errorf(n.at, "%s of a value that is not known when compiling is not supported", n.p.GetOpType()).
			WithHint("give it as public data: --public NAME=FILE")
	}
	out, err := n.tensor(e, x.Type.Shape)
	if err != nil {
		return nil, err
	}
	a, b := x.Attrs.Tensor("data"), y.Attrs.Tensor("data")
	for i := range out.Len() {
		z := f(a.At(i), b.At(i))
		switch {
		case math.IsNaN(z) || math.IsInf(z, 0):
			return nil, fmt.Errorf("element %d has no finite result", i)
		case e == ir.Real:
			out.F[i] = z
		case !(math.Abs(z) < 1<<53):
			return nil, fmt.Errorf("element %d is too large an integer", i)
		default:
			out.I[i] = int64(z)
		}
	}
	return n.constant(out)
}

// public2 lowers an elementwise operator of two public inputs.
func public2(e func(n *node) ir.Elem, f func(n *node) func(x, y float64) float64) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		s, err := ir.BroadcastShape(n.in(0).Type.Shape, n.in(1).Type.Shape)
		if err != nil {
			return nil, err
		}
		x, y := c.expand(n.in(0), s), c.expand(n.in(1), s)
		if c.err != nil {
			return nil, c.err
		}
		return one(n.pairwise(x, y, e(n), f(n)))
	}
}

// parametricRelu lowers PRelu: relu(x) + slope * (x - relu(x)).
func parametricRelu(n *node) ([]*ir.Value, error) {
	x, s := n.in(0), n.in(1)
	r, err := n.e(ir.OpRelu, nil, x)
	if err != nil {
		return nil, err
	}
	if n.opset < 7 && len(s.Type.Shape) == 1 && len(x.Type.Shape) > 1 { // one slope, or one for each channel
		c := n.calc()
		if s = c.channels(s, len(x.Type.Shape)); c.err != nil {
			return nil, c.err
		}
	}
	u, err := n.e(ir.OpSub, nil, x, r)
	if err != nil {
		return nil, err
	}
	if u, err = n.e(ir.OpMul, nil, u, s); err != nil {
		return nil, err
	}
	if !u.Type.Shape.Equal(x.Type.Shape) {
		return nil, fmt.Errorf("slope %v does not broadcast to %v", s.Type.Shape, x.Type.Shape)
	}
	return one(n.e(ir.OpAdd, nil, r, u))
}

// clip bounds x by public numbers, or by what is computed.
func clip(n *node) ([]*ir.Value, error) {
	var attrs ir.Attrs
	for i := 1; i <= 2; i++ {
		if n.given(i) && n.data(i) == nil && n.in(i).Type.Shape.Size() == 1 {
			return n.clipBetween()
		}
	}
	for i, name := range []string{"min", "max"} {
		x, ok, err := n.scalar(i+1, name)
		if err != nil {
			return nil, err
		}
		if ok && math.Abs(x) < 1e30 { // the largest float stands for no bound
			if n.bounds != 0 {
				x *= n.bounds
			}
			attrs = append(attrs, ir.F([]string{"lo", "hi"}[i], x))
		}
	}
	return one(n.e(ir.OpClip, attrs, n.in(0)))
}

// clipBetween returns min(max(x, lo), hi) for bounds that are not all known when compiling.
func (n *node) clipBetween() ([]*ir.Value, error) {
	c, x := n.calc(), n.in(0)
	for i, op := range []ir.Op{ir.OpMax, ir.OpMin} {
		if n.given(i + 1) {
			bound := c.reshape(n.in(i + 1))
			if n.bounds != 0 {
				bound = c.scale(bound, n.bounds)
			}
			x = c.e(op, nil, x, bound)
		}
	}
	return c.one(x)
}

// hardSigmoid returns alpha*x + beta bounded to 0..1.
func (n *node) hardSigmoid(x *ir.Value, alpha, beta float64) (*ir.Value, error) {
	y, err := n.scale(x, alpha)
	if err != nil {
		return nil, err
	}
	b, err := n.number(y, beta)
	if err != nil {
		return nil, err
	}
	if y, err = n.e(ir.OpAdd, nil, y, b); err != nil {
		return nil, err
	}
	return n.e(ir.OpClip, ir.Attrs{ir.F("lo", 0), ir.F("hi", 1)}, y)
}

func cast(n *node) ([]*ir.Value, error) {
	if pb.TensorProto_DataType(n.int("to", 0)) == pb.TensorProto_STRING {
		return one(n.toText(n.in(0)))
	}
	if n.r.isText(n.in(0)) {
		return nil, textual.of(n.at, "Cast of strings to numbers")
	}
	e, err := elemOf(int32(n.int("to", 0)))
	if err != nil {
		return nil, err
	}
	x := n.in(0)
	y, err := n.convert(x, e)
	if err != nil || e != ir.Int || x.Type.Elem == ir.Bool {
		return one(y, err)
	}
	return one(n.narrowed(y, pb.TensorProto_DataType(n.int("to", 0))))
}

// narrowed keeps the low bits of integers that a type has.
func (n *node) narrowed(x *ir.Value, typ pb.TensorProto_DataType) (*ir.Value, error) {
	bits, signed := bitsOf(typ)
	switch {
	case x.Op == ir.OpConst:
		return n.wrapped(x, typ)
	case bits == 64 && signed:
		return x, nil
	}
	attrs := ir.Attrs{ir.I("bits", int64(bits))}
	if signed {
		attrs = append(attrs, ir.I("signed", 1))
	}
	return n.e(ir.OpWrap, attrs, x)
}

// wrapped keeps the bits of constant integers that a type has, as ONNX says of casts between integers.
func (n *node) wrapped(x *ir.Value, typ pb.TensorProto_DataType) (*ir.Value, error) {
	t := x.Attrs.Tensor("data")
	bits, signed := bitsOf(typ)
	bits = 64 - bits
	of := func(k int64) int64 {
		if !signed && bits > 0 {
			return int64(uint64(k) << bits >> bits)
		}
		return k << bits >> bits
	}
	if !slices.ContainsFunc(t.I, func(k int64) bool { return of(k) != k }) {
		return x, nil
	}
	out, err := n.tensor(ir.Int, t.Shape)
	if err != nil {
		return nil, err
	}
	for i, k := range t.I {
		out.I[i] = of(k)
	}
	return n.constant(out)
}

// convert returns x with another kind of elements.
func (n *node) convert(x *ir.Value, e ir.Elem) (*ir.Value, error) {
	switch {
	case x.Type.Elem == e:
		return x, nil
	case x.Op != ir.OpConst && e == ir.Bool: // x != 0
		zero, err := n.number(x, 0)
		if err != nil {
			return nil, err
		}
		return n.e(ir.OpNe, nil, x, zero)
	case x.Op != ir.OpConst:
		return n.e(ir.OpCast, ir.Attrs{ir.S("to", e.String())}, x)
	}
	t := x.Attrs.Tensor("data")
	out, err := n.tensor(e, t.Shape)
	if err != nil {
		return nil, err
	}
	for i := range t.Len() {
		switch y := t.At(i); {
		case e == ir.Real:
			out.F[i] = y
		case e == ir.Bool && y != 0:
			out.I[i] = 1
		case e == ir.Int && t.Elem != ir.Real:
			out.I[i] = t.I[i]
		case e == ir.Int:
			if !(math.Abs(y) < 1<<62) {
				return nil, fmt.Errorf("element %d does not fit an integer", i)
			}
			out.I[i] = int64(y)
		}
	}
	return n.constant(out)
}

// sign lowers Sign: (x > 0) - (x < 0).
func sign(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	zero, err := n.number(x, 0)
	if err != nil {
		return nil, err
	}
	var bits [2]*ir.Value
	for i, op := range []ir.Op{ir.OpGt, ir.OpLt} {
		if bits[i], err = n.e(op, nil, x, zero); err != nil {
			return nil, err
		}
		if bits[i], err = n.convert(bits[i], x.Type.Elem); err != nil {
			return nil, err
		}
	}
	return one(n.e(ir.OpSub, nil, bits[0], bits[1]))
}

// thresholdedRelu lowers ThresholdedRelu: x where x > alpha, zero elsewhere.
func thresholdedRelu(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	alpha, err := n.number(x, n.float("alpha", 1))
	if err != nil {
		return nil, err
	}
	zero, err := n.number(x, 0)
	if err != nil {
		return nil, err
	}
	above, err := n.e(ir.OpGt, nil, x, alpha)
	if err != nil {
		return nil, err
	}
	return one(n.e(ir.OpSelect, nil, above, x, zero))
}

// equal lowers Equal, also of bits.
func equal(n *node) ([]*ir.Value, error) {
	x, y := n.in(0), n.in(1)
	if x.Type.Elem != ir.Bool || y.Type.Elem != ir.Bool {
		return one(n.e(ir.OpEq, nil, x, y))
	}
	d, err := n.e(ir.OpXor, nil, x, y)
	if err != nil {
		return nil, err
	}
	return one(n.e(ir.OpNot, nil, d))
}

func init() {
	add("Add", "Elementwise sum, broadcasting.", aligned(func(n *node, x, y *ir.Value) (*ir.Value, error) { return n.e(ir.OpAdd, nil, x, y) }),
		legacy,
		version{since: 7, in: 2, max: 2})
	add("Sub", "Elementwise difference, broadcasting.", aligned(func(n *node, x, y *ir.Value) (*ir.Value, error) { return n.e(ir.OpSub, nil, x, y) }),
		legacy,
		version{since: 7, in: 2, max: 2})
	add("Mul", "Elementwise product, broadcasting.", aligned(func(n *node, x, y *ir.Value) (*ir.Value, error) { return n.e(ir.OpMul, nil, x, y) }),
		legacy,
		version{since: 7, in: 2, max: 2})
	simple("Neg", 6, 1, ir.OpNeg, "Elementwise negation.")
	simple("Abs", 6, 1, ir.OpAbs, "Elementwise magnitude.")
	simple("Relu", 6, 1, ir.OpRelu, "Elementwise max(x, 0).")
	simple("Less", 7, 2, ir.OpLt, "Elementwise x < y.")
	simple("LessOrEqual", 12, 2, ir.OpLe, "Elementwise x <= y.")
	simple("Greater", 7, 2, ir.OpGt, "Elementwise x > y.")
	simple("GreaterOrEqual", 12, 2, ir.OpGe, "Elementwise x >= y.")
	simple("Not", 1, 1, ir.OpNot, "Elementwise logical negation.")
	simple("And", 7, 2, ir.OpAnd, "Elementwise logical and.")
	simple("Or", 7, 2, ir.OpOr, "Elementwise logical or.")
	simple("Xor", 7, 2, ir.OpXor, "Elementwise exclusive or.")
	simple("Where", 9, 3, ir.OpSelect, "Elementwise choice by a condition.")
	variadic("Max", ir.OpMax, "Elementwise largest of the inputs.", nil)
	variadic("Min", ir.OpMin, "Elementwise smallest of the inputs.", nil)
	variadic("Sum", ir.OpAdd, "Elementwise sum of the inputs.", nil)
	variadic("Mean", ir.OpAdd, "Elementwise mean of the inputs.", func(n *node, x *ir.Value) (*ir.Value, error) {
		return n.scale(x, 1/float64(len(n.p.Input)))
	})
	add("Equal", "Elementwise x == y.", equal, version{since: 7, in: 2, max: 2})
	first := func(n *node) ir.Elem { return n.in(0).Type.Elem }
	add("BitShift", "Elementwise shift of public integers.", public2(first, func(n *node) func(x, y float64) float64 {
		if n.str("direction", "") == "RIGHT" {
			return func(x, y float64) float64 { return math.Floor(math.Ldexp(x, -int(y))) }
		}
		return func(x, y float64) float64 { return math.Ldexp(x, int(y)) }
	}), version{since: 11, in: 2, max: 2, attrs: "direction:s!"})
	add("PRelu", "Elementwise x if x > 0, slope*x otherwise.", parametricRelu, version{since: 6, in: 2, max: 2})
	add("Clip", "Elementwise bounds, public ones or computed.", clip, version{since: 6, in: 1, max: 1, attrs: "min:f max:f"}, version{since: 11, in: 1, max: 3})
	add("Cast", "Conversion: int to real, real to int towards zero (exact, on the real as it is held), integers to narrower ones by their low bits, numbers to bool, bool to number.", cast,
		version{since: 6, in: 1, max: 1, attrs: "to:i!"},
		version{since: 19, in: 1, max: 1, attrs: "to:i! saturate:i"},
		version{since: 24, in: 1, max: 1, attrs: "to:i! saturate:i round_mode:s"})
	add("LeakyRelu", "Elementwise x if x > 0, alpha*x otherwise.", func(n *node) ([]*ir.Value, error) {
		return one(n.e(ir.OpLeaky, ir.Attrs{ir.F("alpha", n.float("alpha", float64(float32(0.01))))}, n.in(0)))
	}, version{since: 6, in: 1, max: 1, attrs: "alpha:f"})
	add("HardSigmoid", "Elementwise alpha*x + beta bounded to 0..1.", func(n *node) ([]*ir.Value, error) {
		return one(n.hardSigmoid(n.in(0), n.float("alpha", float64(float32(0.2))), n.float("beta", 0.5)))
	}, version{since: 6, in: 1, max: 1, attrs: "alpha:f beta:f"})
	add("HardSwish", "Elementwise x * (x/6 + 1/2 bounded to 0..1).", func(n *node) ([]*ir.Value, error) {
		h, err := n.hardSigmoid(n.in(0), 1.0/6, 0.5)
		if err != nil {
			return nil, err
		}
		return one(n.e(ir.OpMul, nil, n.in(0), h))
	}, version{since: 14, in: 1, max: 1})
	add("ThresholdedRelu", "Elementwise x if x > alpha, 0 otherwise.", thresholdedRelu, version{since: 10, in: 1, max: 1, attrs: "alpha:f"})
	add("Sign", "Elementwise -1, 0 or 1.", sign, version{since: 9, in: 1, max: 1})
	add("CastLike", "Conversion to the kind of the second input's elements, as Cast does.", func(n *node) ([]*ir.Value, error) {
		y, err := n.convert(n.in(0), n.in(1).Type.Elem)
		if err != nil || y.Type.Elem != ir.Int || n.in(0).Type.Elem == ir.Bool {
			return one(y, err)
		}
		return one(n.narrowed(y, n.r.typeOf(n.in(1))))
	}, version{since: 15, in: 2, max: 2}, version{since: 19, in: 2, max: 2, attrs: "saturate:i"}, version{since: 24, in: 2, max: 2, attrs: "saturate:i round_mode:s"})
	for _, r := range []struct {
		name  string
		since int
		op    ir.Op
		doc   string
	}{
		{"Sigmoid", 6, ir.OpSigmoid, "1/(1+exp(-x))"},
		{"Tanh", 6, ir.OpTanh, "hyperbolic tangent"},
		{"Erf", 9, ir.OpErf, "error function"},
		{"Softplus", 1, ir.OpSoftplus, "log(1+exp(x))"},
		{"Mish", 18, ir.OpMish, "x * tanh(log(1+exp(x)))"},
		{"Exp", 6, ir.OpExp, "exponential"},
		{"Log", 6, ir.OpLog, "natural logarithm"},
		{"Sqrt", 6, ir.OpSqrt, "square root"},
		{"Reciprocal", 6, ir.OpRecip, "1/x"},
		{"Sin", 7, ir.OpSin, "sine"},
		{"Cos", 7, ir.OpCos, "cosine"},
	} {
		smooth(r.name, r.since, r.op, "Elementwise "+r.doc+", approximated.")
	}
}
