package onnx

import (
	"errors"
	"fmt"
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Arithmetic, comparison, logic and activations.

// simple adds an operator that is one IR op on all of its inputs.
func simple(name string, in int, op ir.Op, doc string) {
	add(name, in, in, "", doc, func(n *node) ([]*ir.Value, error) {
		args := make([]*ir.Value, in)
		for i := range args {
			args[i] = n.in(i)
		}
		return one(n.e(op, nil, args...))
	})
}

// variadic adds an operator that folds its inputs pairwise; finish ends it.
func variadic(name string, op ir.Op, doc string, finish func(n *node, x *ir.Value) (*ir.Value, error)) {
	add(name, 1, -1, "", doc, func(n *node) ([]*ir.Value, error) {
		xs := make([]*ir.Value, len(n.p.Input))
		for i := range xs {
			if !n.given(i) {
				return nil, fmt.Errorf("input %d is missing", i+1)
			}
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
	})
}

// constant adds an operator that is evaluated when compiling and has no protocol.
func constantOnly(name, attrs, doc string, fn func(float64) float64) {
	add(name, 1, 1, attrs, doc+" Of constants and initialisers only.", func(n *node) ([]*ir.Value, error) {
		t := n.data(0)
		if t == nil {
			return nil, diag.Errorf(n.at, "%s of a value that is not known when compiling is not supported", name).
				WithHint("compute it on the owner's side, or rewrite the model with Relu, Sigmoid, MatMul and the like (smpcc ops)")
		}
		return one(n.derived(0, t, fn))
	})
}

// derived returns fn of every element of known input i: a constant, or a weight of the same owner.
func (n *node) derived(i int, t *ir.Tensor, fn func(float64) float64) (*ir.Value, error) {
	out := ir.NewTensor(t.Elem, t.Shape)
	for j := range t.Len() {
		y := fn(t.At(j))
		if math.IsNaN(y) || math.IsInf(y, 0) {
			return nil, fmt.Errorf("element %d of input %d has no finite result", j, i+1)
		}
		if t.Elem == ir.Real {
			out.F[j] = y
		} else {
			out.I[j] = int64(y)
		}
	}
	v := n.in(i)
	if v.Op != ir.OpWeight {
		return n.constant(out)
	}
	name := v.Attrs.Str("name") + "." + n.p.GetOpType()
	for k := 2; n.r.inits[name] != nil || n.r.m.Weights[name] != nil; k++ {
		name = fmt.Sprintf("%s.%s%d", v.Attrs.Str("name"), n.p.GetOpType(), k)
	}
	n.r.m.Weights[name] = out
	return n.r.f.Emit(n.at, ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", v.Attrs.Str("owner")), ir.S("elem", "real"), ir.Dims("shape", out.Shape)})
}

func init() {
	simple("Add", 2, ir.OpAdd, "Elementwise sum, broadcasting.")
	simple("Sub", 2, ir.OpSub, "Elementwise difference, broadcasting.")
	simple("Mul", 2, ir.OpMul, "Elementwise product, broadcasting.")
	simple("Neg", 1, ir.OpNeg, "Elementwise negation.")
	simple("Abs", 1, ir.OpAbs, "Elementwise magnitude.")
	simple("Relu", 1, ir.OpRelu, "Elementwise max(x, 0).")
	simple("Sigmoid", 1, ir.OpSigmoid, "Elementwise 1/(1+exp(-x)), piecewise linear within 4.2e-4.")
	simple("Less", 2, ir.OpLt, "Elementwise x < y.")
	simple("LessOrEqual", 2, ir.OpLe, "Elementwise x <= y.")
	simple("Greater", 2, ir.OpGt, "Elementwise x > y.")
	simple("GreaterOrEqual", 2, ir.OpGe, "Elementwise x >= y.")
	simple("Not", 1, ir.OpNot, "Elementwise logical negation.")
	simple("And", 2, ir.OpAnd, "Elementwise logical and.")
	simple("Or", 2, ir.OpOr, "Elementwise logical or.")
	simple("Xor", 2, ir.OpXor, "Elementwise exclusive or.")
	simple("Where", 3, ir.OpSelect, "Elementwise choice by a condition.")
	add("Equal", 2, 2, "", "Elementwise x == y.", func(n *node) ([]*ir.Value, error) {
		x, y := n.in(0), n.in(1)
		if x.Type.Elem == ir.Bool && y.Type.Elem == ir.Bool {
			d, err := n.e(ir.OpXor, nil, x, y)
			if err != nil {
				return nil, err
			}
			return one(n.e(ir.OpNot, nil, d))
		}
		return one(n.e(ir.OpEq, nil, x, y))
	})
	variadic("Max", ir.OpMax, "Elementwise largest of the inputs.", nil)
	variadic("Min", ir.OpMin, "Elementwise smallest of the inputs.", nil)
	variadic("Sum", ir.OpAdd, "Elementwise sum of the inputs.", nil)
	variadic("Mean", ir.OpAdd, "Elementwise mean of the inputs.", func(n *node, x *ir.Value) (*ir.Value, error) {
		return n.scale(x, 1/float64(len(n.p.Input)))
	})
	add("Div", 2, 2, "", "Elementwise quotient by a divisor that is known when compiling.", func(n *node) ([]*ir.Value, error) {
		t := n.data(1)
		x := n.in(0)
		switch {
		case t == nil:
			return nil, diag.Errorf(n.at, "division by a value that is not known when compiling is not supported").WithHint("divide by a constant or an initialiser, or reveal both and divide there")
		case x.Op == ir.OpConst && n.in(1).Op == ir.OpConst && x.Type.Elem == ir.Int: // shape arithmetic: truncated quotient
			s, err := ir.BroadcastShape(x.Type.Shape, t.Shape)
			if err != nil {
				return nil, err
			}
			a, err := n.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, x)
			if err != nil {
				return nil, err
			}
			b, err := n.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, n.in(1))
			if err != nil {
				return nil, err
			}
			q := ir.NewTensor(ir.Int, s)
			for i := range q.I {
				d := b.Attrs.Tensor("data").I[i]
				if d == 0 {
					return nil, errors.New("division by zero")
				}
				q.I[i] = a.Attrs.Tensor("data").I[i] / d
			}
			return one(n.constant(q))
		case t.Elem != ir.Real:
			return nil, errors.New("integer division of a private value is not supported")
		}
		inv, err := n.derived(1, t, func(d float64) float64 { return 1 / d })
		if err != nil {
			return nil, err
		}
		return one(n.e(ir.OpMul, nil, x, inv))
	})
	add("Pow", 2, 2, "", "Elementwise power with a whole exponent from 1 to 8 that is known when compiling.", func(n *node) ([]*ir.Value, error) {
		k, _, err := n.scalar(1, "exponent")
		if err != nil {
			return nil, err
		}
		if t := n.data(0); t != nil {
			return one(n.derived(0, t, func(x float64) float64 { return math.Pow(x, k) }))
		}
		if k != math.Trunc(k) || k < 1 || k > 8 {
			return nil, fmt.Errorf("exponent %g is not supported, want a whole number from 1 to 8", k)
		}
		x := n.in(0)
		y := x
		for range int(k) - 1 {
			if y, err = n.e(ir.OpMul, nil, y, x); err != nil {
				return nil, err
			}
		}
		return one(y, nil)
	})
	add("LeakyRelu", 1, 1, "alpha:f", "Elementwise x if x > 0, alpha*x otherwise.", func(n *node) ([]*ir.Value, error) {
		return one(n.e(ir.OpLeaky, ir.Attrs{ir.F("alpha", n.float("alpha", float64(float32(0.01))))}, n.in(0)))
	})
	add("PRelu", 2, 2, "", "Elementwise x if x > 0, slope*x otherwise.", func(n *node) ([]*ir.Value, error) { // slope*x + (1 - slope)*relu(x)
		x, s := n.in(0), n.in(1)
		r, err := n.e(ir.OpRelu, nil, x)
		if err != nil {
			return nil, err
		}
		u, err := n.e(ir.OpSub, nil, x, r)
		if err != nil {
			return nil, err
		}
		if u, err = n.e(ir.OpMul, nil, u, s); err != nil {
			return nil, err
		}
		return one(n.e(ir.OpAdd, nil, r, u))
	})
	add("Clip", 1, 3, "min:f max:f", "Elementwise bounds, which are public.", func(n *node) ([]*ir.Value, error) {
		var attrs ir.Attrs
		for i, name := range []string{"min", "max"} {
			x, ok, err := n.scalar(i+1, name)
			if err != nil {
				return nil, err
			}
			if ok && math.Abs(x) < 1e30 { // the largest float stands for no bound
				attrs = append(attrs, ir.F([]string{"lo", "hi"}[i], x))
			}
		}
		return one(n.e(ir.OpClip, attrs, n.in(0)))
	})
	add("HardSigmoid", 1, 1, "alpha:f beta:f", "Elementwise alpha*x + beta bounded to 0..1.", func(n *node) ([]*ir.Value, error) {
		x, err := n.scale(n.in(0), n.float("alpha", float64(float32(0.2))))
		if err != nil {
			return nil, err
		}
		b, err := n.number(x, n.float("beta", 0.5))
		if err != nil {
			return nil, err
		}
		if x, err = n.e(ir.OpAdd, nil, x, b); err != nil {
			return nil, err
		}
		return one(n.e(ir.OpClip, ir.Attrs{ir.F("lo", 0), ir.F("hi", 1)}, x))
	})
	add("Softmax", 1, 1, "axis:i", "Only in front of an arg-max, where it vanishes.", func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		rank := len(x.Type.Shape)
		def := -1
		if n.opset < 13 {
			def = 1
		}
		a, err := n.axis("axis", def, rank)
		if err != nil {
			return nil, err
		}
		if n.opset < 13 && a != rank-1 {
			return nil, fmt.Errorf("axis=%d of an input of rank %d flattens dimensions in opset %d, which is not supported", a, rank, n.opset)
		}
		return one(n.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", int64(a))}, x))
	})
	constantOnly("Sqrt", "", "Elementwise square root.", math.Sqrt)
	constantOnly("Exp", "", "Elementwise exponential.", math.Exp)
	constantOnly("Log", "", "Elementwise logarithm.", math.Log)
	constantOnly("Reciprocal", "", "Elementwise 1/x.", func(x float64) float64 { return 1 / x })
	constantOnly("Floor", "", "Elementwise floor.", math.Floor)
	constantOnly("Ceil", "", "Elementwise ceiling.", math.Ceil)
	constantOnly("Round", "", "Elementwise rounding, halves to even.", math.RoundToEven)
	constantOnly("Tanh", "", "Elementwise tanh.", math.Tanh)
	constantOnly("Erf", "", "Elementwise error function.", math.Erf)
	add("Cast", 1, 1, "to:i saturate:i", "Conversion: int to real, bool to number, and reals that are known when compiling.", func(n *node) ([]*ir.Value, error) {
		e, err := elemOf(int32(n.int("to", 0)))
		if err != nil {
			return nil, err
		}
		x := n.in(0)
		if x.Type.Elem == e {
			return one(x, nil)
		}
		t := n.data(0)
		if x.Op != ir.OpConst { // a weight stays private
			return one(n.e(ir.OpCast, ir.Attrs{ir.S("to", e.String())}, x))
		}
		out := ir.NewTensor(e, t.Shape)
		for i := range t.Len() {
			switch y := t.At(i); {
			case e == ir.Real:
				out.F[i] = y
			case e == ir.Bool && y != 0:
				out.I[i] = 1
			case e == ir.Int:
				if !(math.Abs(y) < 1<<62) {
					return nil, fmt.Errorf("element %d does not fit an integer", i)
				}
				out.I[i] = int64(y)
			}
		}
		return one(n.constant(out))
	})
}
