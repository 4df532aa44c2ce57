package onnx

import (
	"errors"
	"fmt"
	"math"

	"smpcc/ir"
)

// Quotients and remainders.

// divide lowers Div: of reals by the reciprocals of a divisor that is known when compiling, of integers towards zero.
func divide(n *node, x, y *ir.Value) (*ir.Value, error) {
	if x.Type.Elem != y.Type.Elem || x.Type.Elem == ir.Bool {
		return nil, fmt.Errorf("operands are %v and %v, want numbers of one kind", x.Type.Elem, y.Type.Elem)
	}
	if x.Op == ir.OpConst && y.Op == ir.OpConst {
		return n.quotient(x, y)
	}
	t, err := n.r.evaluate(y)
	switch {
	case err != nil:
		return nil, err
	case x.Type.Elem == ir.Int:
		if err := nonZeroData(t); err != nil {
			return nil, err
		}
		return n.e(ir.OpIntDiv, nil, x, n.divisor(y, t))
	case t == nil:
		return n.e(ir.OpDiv, nil, x, y)
	}
	inv, err := n.derived(1, y, t, func(d float64) float64 { return 1 / d })
	if err != nil {
		return nil, err
	}
	return n.e(ir.OpMul, nil, x, inv)
}

// divisor returns a divisor as a constant where its data derives from constants alone.
func (n *node) divisor(y *ir.Value, t *ir.Tensor) *ir.Value {
	if t == nil || y.Op == ir.OpConst || !y.Type.Vis.IsPublic() {
		return y
	}
	if c, err := n.constant(t); err == nil {
		return c
	}
	return y
}

// nonZeroData refuses a divisor, if it is known, that has a zero.
func nonZeroData(t *ir.Tensor) error {
	for i := 0; t != nil && i < t.Len(); i++ {
		if t.At(i) == 0 {
			return errors.New("division by zero")
		}
	}
	return nil
}

// quotient divides constants, integers towards zero. Shapes depend on it, so it must not be a product with a reciprocal.
func (n *node) quotient(x, y *ir.Value) (*ir.Value, error) {
	s, err := ir.BroadcastShape(x.Type.Shape, y.Type.Shape)
	if err != nil {
		return nil, err
	}
	if x, err = n.expand(x, s); err != nil {
		return nil, err
	}
	if y, err = n.expand(y, s); err != nil {
		return nil, err
	}
	q, err := n.tensor(x.Type.Elem, s)
	if err != nil {
		return nil, err
	}
	a, b := x.Attrs.Tensor("data"), y.Attrs.Tensor("data")
	for i := range q.Len() {
		switch {
		case b.At(i) == 0:
			return nil, errors.New("division by zero")
		case q.Elem == ir.Real:
			q.F[i] = a.F[i] / b.F[i]
		default:
			q.I[i] = a.I[i] / b.I[i]
		}
	}
	return n.constant(q)
}

// divmod returns the whole quotient q of x and y, and x - q y, both of the kind of x: exact, on x and y as they are held. The
// quotient is rounded towards zero, or down. An approximated quotient is improved by that of what it leaves, and what is then
// amiss is one unit, which comparisons show. For the quotients to be improved enough they must lie within 2^19.
func (c *calc) divmod(x, y *ir.Value, towardsZero bool) (q, rest *ir.Value) {
	kind := x.Type.Elem
	x, y = c.to(x, ir.Real), c.to(y, ir.Real)
	if c.err != nil {
		return nil, nil
	}
	below := func(x *ir.Value) *ir.Value { return c.e(ir.OpLt, nil, x, c.num(x, 0)) }
	flip := func(by, x *ir.Value) *ir.Value { return c.e(ir.OpSelect, nil, by, c.neg(x), x) }
	turned := below(y) // divide by |y|
	d := flip(turned, y)
	negative := below(x)
	if towardsZero {
		x = flip(negative, x)
	} else {
		x = flip(turned, x)
	}
	q = c.fn(ir.OpFloor, c.div(x, d))
	rest = c.sub(x, c.mul(q, d))
	more := c.fn(ir.OpFloor, c.div(rest, d))
	q, rest = c.add(q, more), c.sub(rest, c.mul(more, d))
	if c.err != nil {
		return nil, nil
	}
	zero, low, high := c.num(d, 0), below(rest), c.e(ir.OpGe, nil, rest, d)
	rest = c.add(rest, c.sub(c.e(ir.OpSelect, nil, low, d, zero), c.e(ir.OpSelect, nil, high, d, zero)))
	q = c.add(q, c.sub(c.to(high, ir.Real), c.to(low, ir.Real)))
	if towardsZero {
		rest, q = flip(negative, rest), flip(c.e(ir.OpXor, nil, negative, turned), q)
	} else {
		rest = flip(turned, rest)
	}
	return c.to(q, kind), c.to(rest, kind)
}

// modulo lowers Mod: the remainder has the sign of the divisor, or of the dividend as in C if fmod says so.
func modulo(n *node) ([]*ir.Value, error) {
	x, y := n.in(0), n.in(1)
	if x.Type.Elem != y.Type.Elem || x.Type.Elem == ir.Bool {
		return nil, fmt.Errorf("operands are %v and %v, want numbers of one kind", x.Type.Elem, y.Type.Elem)
	}
	c, fmod := n.calc(), n.int("fmod", 0) != 0
	if x.Op == ir.OpConst && y.Op == ir.OpConst {
		s, err := ir.BroadcastShape(x.Type.Shape, y.Type.Shape)
		if err != nil {
			return nil, err
		}
		x, y = c.expand(x, s), c.expand(y, s)
		if c.err != nil {
			return nil, c.err
		}
		return one(n.pairwise(x, y, x.Type.Elem, remainder(fmod)))
	}
	t, err := n.r.evaluate(y)
	if err != nil {
		return nil, err
	}
	if err := nonZeroData(t); err != nil {
		return nil, err
	}
	if x.Type.Elem == ir.Int {
		var attrs ir.Attrs
		if !fmod {
			attrs = ir.Attrs{ir.I("down", 1)}
		}
		return one(n.e(ir.OpIntMod, attrs, x, n.divisor(y, t)))
	}
	_, r := c.divmod(x, y, fmod)
	return c.one(r)
}

// remainder is Mod of two numbers.
func remainder(fmod bool) func(x, y float64) float64 {
	if fmod {
		return math.Mod
	}
	return func(x, y float64) float64 {
		r := math.Mod(x, y)
		if r != 0 && (r < 0) != (y < 0) {
			r += y
		}
		return r
	}
}

func init() {
	add("Div", "Elementwise quotient: approximated if the divisor is not known when compiling; of integers towards zero, exactly.", aligned(divide), legacy, version{since: 7, in: 2, max: 2})
	add("Mod", "Elementwise remainder, exact.", modulo, version{since: 10, in: 2, max: 2, attrs: "fmod:i"})
}
