package onnx

import (
	"fmt"
	"math"

	"smpcc/ir"
)

// Activations that are formulas of others.

// formula enters the row of an elementwise operator of one input.
func formula(name, doc string, f func(c *calc, n *node, x *ir.Value) *ir.Value, versions ...version) {
	add(name, doc, func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		return c.one(f(c, n, n.in(0)))
	}, versions...)
}

// elu returns gamma * (x if x > 0, alpha * (exp(x/beta) - 1) otherwise). The exponential is computed the more exactly the more it
// is multiplied by.
func (c *calc) elu(x *ir.Value, alpha, beta, gamma float64) *ir.Value {
	s := c.scale(x, 1/beta)
	var attrs ir.Attrs
	if k := math.Abs(alpha * gamma); k > 1 {
		attrs = ir.Attrs{ir.I("tight", int64(math.Ceil(math.Log2(k))))}
	}
	e := c.e(ir.OpElu, attrs, s)
	if alpha == 1 && beta == 1 {
		return c.scale(e, gamma)
	}
	r := c.relu(s) // the positive part of s, which is that of x over beta
	return c.add(c.scale(r, beta*gamma), c.scale(c.sub(e, r), alpha*gamma))
}

// exps returns exp(x) and exp(-x).
func (c *calc) exps(x *ir.Value) (up, down *ir.Value) {
	return c.fn(ir.OpExp, x), c.fn(ir.OpExp, c.neg(x))
}

// signedBy gives f(|x|) the sign of x.
func (c *calc) signedBy(x *ir.Value, f func(x *ir.Value) *ir.Value) *ir.Value {
	if c.err != nil {
		return nil
	}
	y := f(c.fn(ir.OpAbs, x))
	return c.e(ir.OpSelect, nil, c.e(ir.OpLt, nil, x, c.num(x, 0)), c.neg(y), y)
}

// atan returns the arc tangent: of x or, above 1, what 1/x lacks to pi/2. The polynomial is by Hastings (1955), approximations
// for digital computers, sheet 11: error 1e-5 on [0, 1].
func (c *calc) atan(x *ir.Value) *ir.Value {
	return c.signedBy(x, func(x *ir.Value) *ir.Value {
		big := c.e(ir.OpGt, nil, x, c.num(x, 1))
		u := c.e(ir.OpSelect, nil, big, c.fn(ir.OpRecip, c.e(ir.OpMax, nil, x, c.num(x, 0.5))), x)
		s := c.mul(u, u)
		var p *ir.Value
		for _, k := range []float64{0.0208351, -0.085133, 0.180141, -0.3302995, 0.999866} {
			if p == nil {
				p = c.num(x, k)
			} else {
				p = c.plus(c.mul(p, s), k)
			}
		}
		y := c.mul(p, u)
		return c.e(ir.OpSelect, nil, big, c.plus(c.neg(y), math.Pi/2), y)
	})
}

// hardmax marks the first largest element along an axis.
func (c *calc) hardmax(x *ir.Value, axis int) *ir.Value {
	if c.err != nil {
		return nil
	}
	top := c.e(ir.OpArgMax, ir.Attrs{ir.I("axis", int64(axis)), ir.I("keep", 1)}, x)
	s := make(ir.Shape, len(x.Type.Shape))
	for i := range s {
		s[i] = 1
	}
	s[axis] = x.Type.Shape[axis]
	return c.to(c.e(ir.OpEq, nil, top, c.reshape(c.iota(s[axis]), s...)), x.Type.Elem)
}

// alongAxis lowers an op along one axis; before opset 13 the dimensions from axis on are one.
func alongAxis(f func(c *calc, x *ir.Value, axis int) *ir.Value) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x, c := n.in(0), n.calc()
		s := x.Type.Shape
		if n.opset >= 13 {
			a, err := n.axis("axis", -1, len(s))
			if err != nil {
				return nil, err
			}
			return c.one(f(c, x, a))
		}
		a, err := n.axis("axis", 1, len(s))
		if err != nil {
			return nil, err
		}
		if a == len(s)-1 {
			return c.one(f(c, x, a))
		}
		return c.one(c.reshape(f(c, c.reshape(x, s[:a].Size(), s[a:].Size()), 1), s...))
	}
}

// swish is x / (1 + exp(-alpha x)).
func (c *calc) swish(x *ir.Value, alpha float64) *ir.Value {
	if alpha == 0 {
		return c.scale(x, 0.5)
	}
	return c.scale(c.fn(ir.OpSilu, c.scale(x, alpha)), 1/alpha)
}

// swiGLU lowers SwiGLU: the gate's swish times the other input.
func swiGLU(n *node) ([]*ir.Value, error) {
	c := n.calc()
	if a, b := n.in(0).Type, n.in(1).Type; !a.Shape.Equal(b.Shape) || a.Elem != ir.Real || b.Elem != ir.Real {
		return nil, fmt.Errorf("gate %v%v and values %v%v must be reals of one shape", a.Elem, a.Shape, b.Elem, b.Shape)
	}
	return c.one(c.mul(c.swish(n.in(0), n.float("alpha", 1)), n.in(1)))
}

func init() {
	along := version{since: 1, in: 1, max: 1, attrs: "axis:i"}
	add("Softmax", "exp(x) / sum(exp(x)) along an axis, approximated; in front of an arg-max it vanishes.", alongAxis(func(c *calc, x *ir.Value, a int) *ir.Value {
		return c.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", int64(a))}, x)
	}), along)
	add("LogSoftmax", "x - log(sum(exp(x))) along an axis, approximated; in front of an arg-max it vanishes.", alongAxis(func(c *calc, x *ir.Value, a int) *ir.Value {
		return c.e(ir.OpLogSoftmax, ir.Attrs{ir.I("axis", int64(a))}, x)
	}), along)
	add("Hardmax", "1 at the first largest element along an axis, 0 elsewhere.", alongAxis((*calc).hardmax), along)
	f32 := func(x float32) float64 { return float64(x) }
	formula("Elu", "Elementwise x if x > 0, alpha * (exp(x) - 1) otherwise, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.elu(x, n.float("alpha", 1), 1, 1)
	}, version{since: 6, in: 1, max: 1, attrs: "alpha:f"})
	formula("Celu", "Elementwise x if x > 0, alpha * (exp(x/alpha) - 1) otherwise, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		alpha := n.float("alpha", 1)
		if alpha == 0 {
			return c.fail("alpha is zero")
		}
		return c.elu(x, alpha, alpha, 1)
	}, version{since: 12, in: 1, max: 1, attrs: "alpha:f"})
	formula("Selu", "Elementwise gamma * (x if x > 0, alpha * (exp(x) - 1) otherwise), approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.elu(x, n.float("alpha", f32(1.6732632)), 1, n.float("gamma", f32(1.050701)))
	}, version{since: 6, in: 1, max: 1, attrs: "alpha:f gamma:f"})
	formula("Gelu", "Elementwise x * (1 + erf(x/sqrt(2))) / 2, or with tanh, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		switch mode := n.str("approximate", "none"); mode {
		case "none":
			return c.fn(ir.OpGelu, x)
		case "tanh":
			return c.fn(ir.OpGeluTanh, x)
		default:
			return c.fail("approximate=%s is not supported", short(mode))
		}
	}, version{since: 20, in: 1, max: 1, attrs: "approximate:s"})
	formula("Swish", "Elementwise x * sigmoid(alpha * x), approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.swish(x, n.float("alpha", 1))
	}, version{since: 24, in: 1, max: 1, attrs: "alpha:f"})
	add("SwiGLU", "Elementwise a * sigmoid(alpha * a) * b, approximated.", swiGLU, version{since: 28, in: 2, max: 2, attrs: "alpha:f"})
	formula("Softsign", "Elementwise x / (1 + |x|), approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.div(x, c.plus(c.fn(ir.OpAbs, x), 1))
	}, version{since: 1, in: 1, max: 1})
	formula("Shrink", "Elementwise x + bias below -lambd, x - bias above lambd, 0 between.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		bias, l := n.float("bias", 0), n.float("lambd", 0.5)
		zero := c.scale(x, 0)
		high := c.e(ir.OpSelect, nil, c.e(ir.OpGt, nil, x, c.num(x, l)), c.plus(x, -bias), zero)
		return c.e(ir.OpSelect, nil, c.e(ir.OpLt, nil, x, c.num(x, -l)), c.plus(x, bias), high)
	}, version{since: 9, in: 1, max: 1, attrs: "bias:f lambd:f"})
	one7 := version{since: 7, in: 1, max: 1}
	one9 := version{since: 9, in: 1, max: 1}
	formula("Tan", "Elementwise tangent, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.div(c.fn(ir.OpSin, x), c.fn(ir.OpCos, x))
	}, one7)
	formula("Sinh", "Elementwise hyperbolic sine, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		up, down := c.exps(x)
		return c.scale(c.sub(up, down), 0.5)
	}, one9)
	formula("Cosh", "Elementwise hyperbolic cosine, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		up, down := c.exps(x)
		return c.scale(c.add(up, down), 0.5)
	}, one9)
	formula("Asinh", "Elementwise inverse hyperbolic sine, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.signedBy(x, func(x *ir.Value) *ir.Value {
			return c.fn(ir.OpLog, c.add(x, c.fn(ir.OpSqrt, c.plus(c.mul(x, x), 1))))
		})
	}, one9)
	formula("Acosh", "Elementwise inverse hyperbolic cosine, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.fn(ir.OpLog, c.add(x, c.fn(ir.OpSqrt, c.plus(c.mul(x, x), -1))))
	}, one9)
	formula("Atanh", "Elementwise inverse hyperbolic tangent, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.scale(c.sub(c.fn(ir.OpLog, c.plus(x, 1)), c.fn(ir.OpLog, c.plus(c.neg(x), 1))), 0.5)
	}, one9)
	formula("Atan", "Elementwise arc tangent, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value { return c.atan(x) }, one7)
	// asin(x) = 2 atan(x / (1 + sqrt(1 - x^2))), whose argument stays in [-1, 1]
	asin := func(c *calc, x *ir.Value) *ir.Value {
		return c.scale(c.atan(c.div(x, c.plus(c.fn(ir.OpSqrt, c.plus(c.neg(c.mul(x, x)), 1)), 1))), 2)
	}
	formula("Asin", "Elementwise arc sine, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value { return asin(c, x) }, one7)
	formula("Acos", "Elementwise arc cosine, approximated.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.plus(c.neg(asin(c, x)), math.Pi/2)
	}, one7)
	formula("Ceil", "Elementwise ceiling.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.neg(c.fn(ir.OpFloor, c.neg(x)))
	}, version{since: 6, in: 1, max: 1})
	formula("Floor", "Elementwise floor.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		return c.fn(ir.OpFloor, x)
	}, version{since: 6, in: 1, max: 1})
	formula("Round", "Elementwise rounding, halves to even.", func(c *calc, n *node, x *ir.Value) *ir.Value {
		h := c.plus(x, 0.5)
		r := c.fn(ir.OpFloor, h)
		tie := c.to(c.e(ir.OpEq, nil, h, r), ir.Real)
		odd := c.sub(r, c.scale(c.fn(ir.OpFloor, c.scale(r, 0.5)), 2))
		return c.sub(r, c.mul(tie, odd))
	}, version{since: 11, in: 1, max: 1})
}
