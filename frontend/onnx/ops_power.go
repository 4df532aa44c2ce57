package onnx

import (
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Powers.

// maxProductPower is the largest whole exponent for which a power is products; beyond it, and for other exponents, it is
// exp(k log|x|), with the sign put back where the exponent is odd.
const maxProductPower = 64

// exponents returns the exponents of Pow as public parameters: constants and public data, and the single whole exponent that some
// exporters write as an initialiser. Others in initialisers are weights, which may have been trained. nil if they are secret.
func (n *node) exponents(y *ir.Value) *ir.Tensor {
	if y.Op == ir.OpConst {
		return y.Attrs.Tensor("data")
	}
	if t := n.data(1); t != nil && t.Len() == 1 && t.At(0) == math.Trunc(t.At(0)) && math.Abs(t.At(0)) <= maxProductPower {
		return t
	}
	return nil
}

// power lowers Pow.
func power(n *node, x, y *ir.Value) (*ir.Value, error) {
	s, err := ir.BroadcastShape(x.Type.Shape, y.Type.Shape)
	if err != nil {
		return nil, err
	}
	c := n.calc()
	k := n.exponents(y)
	switch {
	case x.Op == ir.OpConst && y.Op == ir.OpConst:
		return n.pairwise(c.expand(x, s), c.expand(y, s), x.Type.Elem, math.Pow)
	case k == nil:
		return c.whole(x.Type.Elem, c.powSecret(c.to(x, ir.Real), c.to(y, ir.Real))), c.err
	case s.Size() == 0:
		return c.scale(c.expand(x, s), 0), c.err
	}
	for i := range k.Len() {
		if k.At(i) != k.At(0) {
			return n.powers(x, k, y.Type.Shape, s)
		}
	}
	fixed, err := n.r.evaluate(x)
	if err != nil {
		return nil, err
	}
	if fixed != nil {
		x, err = n.derived(0, x, fixed, func(x float64) float64 { return math.Pow(x, k.At(0)) })
		if err != nil {
			return nil, err
		}
		return c.expand(x, s), c.err
	}
	return c.expand(c.powPublic(x, k.At(0)), s), c.err
}

// powers raises each element to its own public exponent, equal exponents together. shape is that of the exponents.
func (n *node) powers(x *ir.Value, k *ir.Tensor, shape, s ir.Shape) (*ir.Value, error) {
	c := n.calc()
	where, err := n.indices(s.Size())
	if err != nil {
		return nil, err
	}
	places := map[float64][]int{}
	var order []float64
	full := append(slices.Repeat([]int{1}, len(s)-len(shape)), shape...)
	strides := strided(full)
	coordinates(s, func(o int, at []int) {
		p := 0
		for d := range s {
			if full[d] > 1 {
				p += at[d] * strides[d]
			}
		}
		e := k.At(p)
		if places[e] == nil {
			order = append(order, e)
		}
		places[e] = append(places[e], o)
	})
	flat := c.reshape(c.expand(x, s), s.Size())
	var parts []*ir.Value
	done := 0
	for _, e := range order {
		for i, o := range places[e] {
			where[o] = done + i
		}
		done += len(places[e])
		parts = append(parts, c.powPublic(c.pick(flat, 0, places[e]), e))
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.reshape(c.pick(c.concat(0, parts...), 0, where), s...), c.err
}

// powPublic is x^k for a public k.
func (c *calc) powPublic(x *ir.Value, k float64) *ir.Value {
	if c.err != nil {
		return nil
	}
	n := int(min(math.Abs(k), maxProductPower+1))
	products := k == math.Trunc(k) && n <= maxProductPower
	switch {
	case math.IsNaN(k) || math.IsInf(k, 0):
		return c.fail("exponent %g is not a finite number", k)
	case k == 0:
		return c.plus(c.scale(x, 0), 1)
	case products && k > 0:
		return c.squared(x, n)
	case x.Type.Elem == ir.Int && k < 0:
		return c.got(nil, diag.Errorf(c.n.at, "integers to the power of %g are not integers", k).WithHint("cast the base to float"))
	case x.Type.Elem == ir.Int:
		return c.whole(ir.Int, c.powPublic(c.to(x, ir.Real), k))
	case products:
		return c.squared(c.fn(ir.OpRecip, x), n)
	case k == 0.5:
		return c.fn(ir.OpSqrt, x)
	case k == -0.5:
		return c.fn(ir.OpRsqrt, x)
	case k != math.Trunc(k): // x is not negative
		return c.fn(ir.OpExp, c.scale(c.fn(ir.OpLog, x), k))
	}
	y := c.fn(ir.OpExp, c.scale(c.fn(ir.OpLog, c.fn(ir.OpAbs, x)), k))
	if math.Mod(k, 2) == 0 {
		return y
	}
	return c.e(ir.OpSelect, nil, c.e(ir.OpLt, nil, x, c.num(x, 0)), c.neg(y), y)
}

// positive lists ops whose results are not negative.
var positive = []ir.Op{ir.OpExp, ir.OpAbs, ir.OpRelu, ir.OpSigmoid, ir.OpSoftplus, ir.OpSqrt, ir.OpRsqrt, ir.OpSoftmax}

// powSecret is x^y for a secret y: exp(y log|x|), negative where x is and y is odd. Where x is negative and y not whole there is
// no such number, and the result means nothing.
func (c *calc) powSecret(x, y *ir.Value) *ir.Value {
	if c.err != nil {
		return nil
	}
	signed := !slices.Contains(positive, x.Op)
	if x.Op == ir.OpConst {
		signed = slices.ContainsFunc(x.Attrs.Tensor("data").F, func(f float64) bool { return f < 0 })
	}
	if !signed {
		return c.fn(ir.OpExp, c.mul(y, c.fn(ir.OpLog, x)))
	}
	z := c.fn(ir.OpExp, c.mul(y, c.fn(ir.OpLog, c.fn(ir.OpAbs, x))))
	odd := c.e(ir.OpGe, nil, c.sub(y, c.scale(c.fn(ir.OpFloor, c.scale(y, 0.5)), 2)), c.num(y, 1))
	return c.e(ir.OpSelect, nil, c.e(ir.OpAnd, nil, odd, c.e(ir.OpLt, nil, x, c.num(x, 0))), c.neg(z), z)
}

// whole returns an approximated z as elements of kind e: for integers the integer part, where what is within the error of an
// integer counts as that integer.
func (c *calc) whole(e ir.Elem, z *ir.Value) *ir.Value {
	if c.err != nil || e == ir.Real {
		return z
	}
	if e != ir.Int {
		return c.got(nil, fmt.Errorf("power of %v is not supported, want numbers", e))
	}
	return c.to(c.plus(c.scale(z, 1+1.0/2048), 1.0/256), ir.Int)
}

// squared returns x^k for k >= 1 by squaring: its depth is rounds.
func (c *calc) squared(x *ir.Value, k int) *ir.Value {
	if k == 1 {
		return x
	}
	y := c.squared(x, k/2)
	if y = c.mul(y, y); k%2 == 0 {
		return y
	}
	return c.mul(y, x)
}

func init() {
	add("Pow", "Elementwise power: products for public whole exponents, else exp(y log|x|) with the sign that a whole y gives it.", aligned(power), legacy, version{since: 7, in: 2, max: 2})
}
