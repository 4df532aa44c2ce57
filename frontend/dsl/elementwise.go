package dsl

import (
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Functions of single elements.

// onNumbers is an op of one number.
func onNumbers(op ir.Op) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.apply(pos, op, nil, args...) }
}

// onReals is a function of reals; whole numbers are converted.
func onReals(op ir.Op) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x, err := c.real(pos, args[0])
		if err != nil {
			return x, err
		}
		return c.apply(pos, op, nil, x)
	}
}

// numberOf returns a known number.
func (c *checker) numberOf(pos diag.Pos, x operand, what string) (float64, error) {
	if x.c == nil || x.c.Len() != 1 || x.elem() == ir.Bool {
		c.fail(pos, "%s must be a number that is known when compiling, not %s", what, x.kind())
		return 0, errFailed
	}
	if x.num.decimal {
		return x.c.At(0) / float64(pow10(x.num.places)), nil
	}
	return x.c.At(0), nil
}

// alongAxis is softmax or its logarithm.
func alongAxis(op ir.Op) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x, err := c.real(pos, args[0])
		if err != nil {
			return x, err
		}
		axis := -1
		if !args[1].missing() {
			if axis, err = c.integerOf(pos, args[1], "an axis"); err != nil {
				return x, err
			}
		}
		return c.apply(pos, op, ir.Attrs{ir.I("axis", int64(axis))}, x)
	}
}

// maxPower bounds whole exponents that are computed as products.
const maxPower = 64

// power is x^k.
func power(c *checker, pos diag.Pos, args []operand) (operand, error) {
	x, y := args[0], args[1]
	var err error
	if y.c == nil || y.c.Len() != 1 || y.elem() == ir.Bool { // exp(y log x)
		if x, err = c.real(pos, x); err == nil {
			x, err = c.apply(pos, ir.OpLog, nil, x)
		}
		if err == nil {
			x, err = c.apply(pos, ir.OpMul, nil, x, y)
		}
		if err != nil {
			return x, err
		}
		return c.apply(pos, ir.OpExp, nil, x)
	}
	k, err := c.numberOf(pos, y, "an exponent")
	if err != nil {
		return x, err
	}
	if x.c != nil && x.elem() == ir.Int && k >= 0 && k == math.Trunc(k) || math.Abs(k) <= maxPower && k == math.Trunc(k) {
		return c.products(pos, x, int(max(-maxPower, min(k, maxPower))), k)
	}
	if x, err = c.real(pos, x); err != nil {
		return x, err
	}
	switch k {
	case 0.5:
		return c.apply(pos, ir.OpSqrt, nil, x)
	case -0.5:
		return c.apply(pos, ir.OpRsqrt, nil, x)
	}
	if x, err = c.apply(pos, ir.OpLog, nil, x); err == nil {
		x, err = c.apply(pos, ir.OpMul, nil, x, operand{c: ir.Reals(ir.Shape{}, k)})
	}
	if err != nil {
		return x, err
	}
	return c.apply(pos, ir.OpExp, nil, x)
}

// products is x^n by squaring. Negative powers are reciprocals.
func (c *checker) products(pos diag.Pos, x operand, n int, k float64) (operand, error) {
	if k > maxPower {
		c.fail(pos, "power %g is beyond %d", k, maxPower)
		return x, errFailed
	}
	if n < 0 {
		r, err := c.real(pos, x)
		if err == nil {
			r, err = c.apply(pos, ir.OpRecip, nil, r)
		}
		if err != nil {
			return r, err
		}
		x, n = r, -n
	}
	if n == 0 {
		one := ir.NewTensor(ir.Int, x.shape())
		for i := range one.I {
			one.I[i] = 1
		}
		if x.elem() == ir.Real {
			return c.real(pos, operand{c: one})
		}
		return operand{c: one}, nil
	}
	y := x
	for bit := highest(n) >> 1; bit > 0; bit >>= 1 {
		var err error
		if y, err = c.apply(pos, ir.OpMul, nil, y, y); err == nil && n&bit != 0 {
			y, err = c.apply(pos, ir.OpMul, nil, y, x)
		}
		if err != nil {
			return y, err
		}
	}
	return y, nil
}

// highest returns the highest bit of n.
func highest(n int) int {
	b := 1
	for b*2 <= n {
		b *= 2
	}
	return b
}

// clip bounds elements by public numbers, which are known exactly.
func clip(c *checker, pos diag.Pos, args []operand) (operand, error) {
	x := args[0]
	var b [2]float64
	for i := range b {
		y := args[i+1]
		if y.c == nil || y.c.Len() != 1 || y.elem() == ir.Bool {
			c.fail(pos, "the bounds of clip must be numbers that are known when compiling").WithHint("min(max(x, lo), hi) bounds by secrets")
			return operand{}, errFailed
		}
		if x.num.decimal {
			pair := []operand{x, y}
			if err := c.adapt(pos, pair); err != nil {
				return x, err
			}
			if pair[1].num.places > x.num.places {
				c.fail(pos, "a bound of clip has more places than %s", x.kind())
				return x, errFailed
			}
			var err error
			if y, err = c.lengthened(pos, pair[1], x.num.places); err != nil {
				return x, err
			}
		}
		if b[i] = y.c.At(0); x.elem() == ir.Int && b[i] != math.Trunc(b[i]) {
			c.fail(pos, "integers are not bounded by %g, which is none", b[i]).WithHint("write real(x) to bound reals")
			return x, errFailed
		}
	}
	return c.apply(pos, ir.OpClip, ir.Attrs{ir.F("lo", b[0]), ir.F("hi", b[1])}, x)
}

// half adds 0.5 and rounds down.
func (c *checker) nearest(pos diag.Pos, x operand) (operand, error) {
	y, err := c.apply(pos, ir.OpAdd, nil, x, operand{c: ir.Reals(ir.Shape{}, 0.5)})
	if err != nil {
		return y, err
	}
	return c.apply(pos, ir.OpFloor, nil, y)
}

func init() {
	firmly("relu", "x", "a tensor", "max(x, 0) elementwise.", onNumbers(ir.OpRelu))
	firmly("abs", "x", "a tensor", "Magnitude elementwise.", onNumbers(ir.OpAbs))
	firmly("sigmoid", "x", "a tensor", "1/(1+exp(-x)) elementwise.", onReals(ir.OpSigmoid))
	firmly("clip", "x lo hi", "a tensor and two numbers", "Bounds elementwise, which are public.", clip)
	for _, f := range []struct {
		name, doc string
		op        ir.Op
	}{
		{"exp", "Exponential elementwise.", ir.OpExp}, {"log", "Natural logarithm elementwise, of what is above 0.", ir.OpLog},
		{"sqrt", "Square root elementwise, of what is not negative.", ir.OpSqrt}, {"rsqrt", "1/sqrt(x) elementwise.", ir.OpRsqrt}, {"recip", "1/x elementwise.", ir.OpRecip},
		{"tanh", "Hyperbolic tangent elementwise.", ir.OpTanh}, {"erf", "Error function elementwise.", ir.OpErf}, {"gelu", "x * (1 + erf(x/sqrt(2))) / 2 elementwise.", ir.OpGelu},
		{"silu", "x * sigmoid(x) elementwise.", ir.OpSilu}, {"softplus", "log(1 + exp(x)) elementwise.", ir.OpSoftplus}, {"mish", "x * tanh(softplus(x)) elementwise.", ir.OpMish},
		{"elu", "x above 0, exp(x) - 1 below, elementwise.", ir.OpElu}, {"sin", "Sine elementwise, of radians.", ir.OpSin}, {"cos", "Cosine elementwise, of radians.", ir.OpCos},
		{"floor", "The largest whole number at or below, elementwise, as a real.", ir.OpFloor},
	} {
		builtin(f.name, "x", "a tensor", f.doc, onReals(f.op))
	}
	builtin("ceil", "x", "a tensor", "The smallest whole number at or above, elementwise, as a real.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x, err := c.real(pos, args[0])
		for _, op := range []ir.Op{ir.OpNeg, ir.OpFloor, ir.OpNeg} {
			if err == nil {
				x, err = c.apply(pos, op, nil, x)
			}
		}
		return x, err
	})
	builtin("leaky_relu", "x alpha?", "a tensor and optionally a slope", "x above 0, alpha*x below, elementwise; alpha is 0.01.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		alpha, err := 0.01, error(nil)
		if !args[1].missing() {
			alpha, err = c.numberOf(pos, args[1], "alpha")
		}
		x, err2 := c.real(pos, args[0])
		if err != nil || err2 != nil {
			return x, errFailed
		}
		return c.apply(pos, ir.OpLeaky, ir.Attrs{ir.F("alpha", alpha)}, x)
	})
	builtin("pow", "x y", "a tensor and an exponent", "x to the power of y: products for whole y up to 64, else exp(y log x), for x above 0.", power)
	builtin("softmax", "x axis?", "a tensor and optionally an axis", "exp(x) / sum(exp(x)) along the last axis, or another.", alongAxis(ir.OpSoftmax))
	builtin("log_softmax", "x axis?", "a tensor and optionally an axis", "The logarithm of softmax.", alongAxis(ir.OpLogSoftmax))
	builtin("sign", "x", "a tensor", "-1, 0 or 1 elementwise, as an integer.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x := args[0]
		zero := whole(0)
		up, err := c.apply(pos, ir.OpGt, nil, x, zero)
		if err != nil {
			return up, err
		}
		down, err := c.apply(pos, ir.OpLt, nil, x, zero)
		if err != nil {
			return down, err
		}
		if up, err = c.integers(pos, up); err != nil {
			return up, err
		}
		if down, err = c.integers(pos, down); err != nil {
			return down, err
		}
		return c.apply(pos, ir.OpSub, nil, up, down)
	})
}
