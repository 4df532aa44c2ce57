package onnx

import (
	"fmt"
	"slices"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Integers as rows of bits.

// mostBits bounds the types whose secret integers are taken apart.
const mostBits = 32

// bits returns the bits of integers of a type along a new last dimension, the lowest first: floor(x/2^k) - 2 floor(x/2^(k+1)), in two's complement.
func (c *calc) bits(x *ir.Value, count int, signed bool) *ir.Value {
	if c.err != nil {
		return nil
	}
	s := x.Type.Shape
	by := c.table(ir.Int, count-1)
	if by == nil {
		return nil
	}
	for k := range by.I {
		by.I[k] = 1 << (k + 1)
	}
	x = c.reshape(x, append(slices.Clone(s), 1)...)
	parts := c.concat(len(s), x, c.e(ir.OpIntDiv, ir.Attrs{ir.I("down", 1)}, c.expand(x, append(slices.Clone(s), count-1)), c.data(by, false))) // x/2^k, k < count
	top := c.cut(parts, len(s), count-1, count)
	if signed { // 0 or -1
		top = c.neg(top)
	}
	low := c.sub(c.cut(parts, len(s), 0, count-1), c.scale(c.cut(parts, len(s), 1, count), 2))
	return c.concat(len(s), low, top)
}

// wholes returns the two operands and the bits of their type.
func (n *node) wholes() (x, y *ir.Value, bits int, signed bool, err error) {
	x, y = n.in(0), n.in(1)
	t := n.r.typeOf(x)
	if x.Type.Elem != ir.Int || y.Type.Elem != ir.Int || n.r.typeOf(y) != t {
		return nil, nil, 0, false, fmt.Errorf("operands are %v and %v, want integers of one type", x.Type, y.Type)
	}
	bits, signed = bitsOf(t)
	return x, y, bits, signed, nil
}

// bitwise lowers a logical operation on bits: of what is public it is computed here. Else f makes it of x, y and their conjunction, as x or y = x + y - (x and y).
func bitwise(here func(x, y int64) int64, f func(c *calc, x, y, and *ir.Value) *ir.Value) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		x, y, bits, signed, err := n.wholes()
		if err != nil {
			return nil, err
		}
		if x.Op == ir.OpConst && y.Op == ir.OpConst {
			s, err := ir.BroadcastShape(x.Type.Shape, y.Type.Shape)
			if err != nil {
				return nil, err
			}
			out := c.table(ir.Int, s...)
			x, y = c.expand(x, s), c.expand(y, s)
			if c.err != nil {
				return nil, c.err
			}
			a, err := n.r.evaluate(x)
			if err != nil {
				return nil, err
			}
			b, err := n.r.evaluate(y)
			if err != nil {
				return nil, err
			}
			for i := range out.I {
				out.I[i] = here(a.I[i], b.I[i])
			}
			return one(n.constant(out))
		}
		if bits > mostBits {
			return nil, diag.Errorf(n.at, "bits of secret integers of %d bits are not supported, at most %d are", bits, mostBits).WithHint("cast them to int32 or less before, if they fit; or give this input with --public NAME=FILE if everybody may know it")
		}
		weights := c.table(ir.Int, bits)
		if weights == nil {
			return nil, c.err
		}
		for k := range weights.I {
			weights.I[k] = 1 << k
		}
		if signed {
			weights.I[bits-1] = -weights.I[bits-1]
		}
		both := c.mul(c.bits(x, bits, signed), c.bits(y, bits, signed))
		if c.err != nil {
			return nil, c.err
		}
		last := len(both.Type.Shape) - 1
		and := c.reduce(ir.OpReduceSum, c.mul(both, c.data(weights, false)), last)
		if c.err != nil {
			return nil, c.err
		}
		return c.one(f(c, x, y, c.reshape(and, and.Type.Shape[:last]...)))
	}
}

// bitwiseNot lowers BitwiseNot: -x - 1, or for types without a sign the largest number less x.
func bitwiseNot(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	if x.Type.Elem != ir.Int {
		return nil, fmt.Errorf("operand is %v, want integers", x.Type)
	}
	bits, signed := bitsOf(n.r.typeOf(x))
	switch {
	case signed || bits == 64 && x.Op == ir.OpConst: // 64 bits of a constant hold numbers without a sign all the same
		return c.one(c.plus(c.neg(x), -1))
	case bits == 64:
		return nil, diag.Errorf(n.at, "bits of secret integers of 64 bits without a sign are not supported").WithHint("cast them to int64 or less before, if they fit")
	}
	return c.one(c.plus(c.neg(x), float64(int64(1)<<bits-1)))
}

// bitCast lowers BitCast: between integers of one width it keeps their low bits.
func bitCast(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	to := pb.TensorProto_DataType(n.int("to", 0))
	e, err := kindOf(int32(to))
	if err != nil {
		return nil, err
	}
	if x.Type.Elem != ir.Int || e != ir.Int || n.r.isText(x) {
		return nil, rawBits.of(n.at, fmt.Sprintf("BitCast from %v to %v", x.Type.Elem, to))
	}
	from, _ := bitsOf(n.r.typeOf(x))
	if bits, _ := bitsOf(to); bits != from {
		return nil, fmt.Errorf("types of %d and %d bits differ in width", from, bits)
	}
	return one(n.narrowed(x, to))
}

func init() {
	and := func(c *calc, x, y, and *ir.Value) *ir.Value { return and }
	or := func(c *calc, x, y, and *ir.Value) *ir.Value { return c.sub(c.add(x, y), and) }
	xor := func(c *calc, x, y, and *ir.Value) *ir.Value { return c.sub(c.add(x, y), c.scale(and, 2)) }
	add("BitwiseAnd", "Bits of both integers, exact.", bitwise(func(x, y int64) int64 { return x & y }, and), version{since: 18, in: 2, max: 2})
	add("BitwiseOr", "Bits of either integer, exact.", bitwise(func(x, y int64) int64 { return x | y }, or), version{since: 18, in: 2, max: 2})
	add("BitwiseXor", "Bits in which integers differ, exact.", bitwise(func(x, y int64) int64 { return x ^ y }, xor), version{since: 18, in: 2, max: 2})
	add("BitwiseNot", "Bits turned around, exact.", bitwiseNot, version{since: 18, in: 1, max: 1})
	add("BitCast", "Integers of another type with the same bits.", bitCast, version{since: 26, in: 1, max: 1, attrs: "to:i!"})
}
