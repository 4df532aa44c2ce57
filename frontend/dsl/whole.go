package dsl

import (
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Integers: conversions, quotients, bits, and decimals.

// toType converts integers to a type that wraps: they keep their low bits. Reals lose their fraction before.
func toType(num numeral) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x, err := c.integers(pos, args[0])
		if err != nil {
			return x, err
		}
		return c.wrapped(pos, x, num)
	}
}

// plainInts refuses operands that are not integers without places.
func (c *checker) plainInts(pos diag.Pos, what string, xs ...operand) error {
	for _, x := range xs {
		if x.elem() != ir.Int || x.num.decimal {
			c.fail(pos, "%s takes integers, got %s", what, x.kind())
			return errFailed
		}
	}
	return nil
}

// places returns a known number of places, or def.
func (c *checker) places(pos diag.Pos, x operand, def int) (int, error) {
	if x.missing() {
		return def, nil
	}
	n, err := c.integerOf(pos, x, "the number of places")
	if err == nil && (n < 0 || n > maxPlaces) {
		c.fail(pos, "%d places: want 0 to %d", n, maxPlaces)
		err = errFailed
	}
	return n, err
}

// rounded returns x / by to the nearest integer, halves away from 0: (2|x| + |by|) / (2|by|) towards 0 with the sign of the quotient.
func (c *checker) rounded(pos diag.Pos, x, by operand) (operand, error) {
	x.num, by.num = numeral{}, numeral{}
	var err error
	do := func(op ir.Op, xs ...operand) operand {
		if err != nil {
			return operand{}
		}
		var y operand
		y, err = c.apply(pos, op, nil, xs...)
		return y
	}
	nonNegative := func(x operand) bool {
		if x.c != nil {
			for _, k := range x.c.I {
				if k < 0 {
					return false
				}
			}
			return true
		}
		return c.known(x.v).lo >= 0
	}
	ax, ab := x, by
	signed := !nonNegative(x) || !nonNegative(by)
	if !nonNegative(x) {
		ax = do(ir.OpAbs, x)
	}
	if !nonNegative(by) {
		ab = do(ir.OpAbs, by)
	}
	two := whole(2)
	q := do(ir.OpIntDiv, do(ir.OpAdd, do(ir.OpMul, two, ax), ab), do(ir.OpMul, two, ab))
	if !signed || err != nil {
		return q, err
	}
	negative := do(ir.OpXor, do(ir.OpLt, x, whole(0)), do(ir.OpLt, by, whole(0)))
	return do(ir.OpSelect, negative, do(ir.OpNeg, q), q), err
}

// round rounds reals to whole numbers, halves up, and decimals to fewer places, halves away from 0.
func round(c *checker, pos diag.Pos, args []operand) (operand, error) {
	x := args[0]
	n, err := c.places(pos, args[1], 0)
	if err != nil {
		return x, err
	}
	switch {
	case x.elem() == ir.Real && n > 0 && x.c != nil:
		d, ok := decimalOf(x)
		if !ok {
			c.fail(pos, "%g has more than %d places", x.c.At(0), maxPlaces)
			return x, errFailed
		}
		return round(c, pos, []operand{d, args[1]})
	case x.elem() == ir.Real && n > 0:
		c.fail(pos, "reals are rounded to whole numbers only: they are kept in binary").WithHint("declare the data as decimal(%d), or reveal the real and round it there", n)
		return x, errFailed
	case x.elem() == ir.Real:
		return c.nearest(pos, x)
	case x.elem() != ir.Int:
		c.fail(pos, "round takes numbers, got %s", x.kind())
		return x, errFailed
	case x.num.places <= n:
		return c.lengthened(pos, x, n)
	}
	y, err := c.rounded(pos, x, whole(pow10(x.num.places-n)))
	y.num = numeral{decimal: true, places: n}
	return y, err
}

// divide is the quotient of integers or decimals, rounded to places, halves away from 0.
func divide(c *checker, pos diag.Pos, args []operand) (operand, error) {
	n, err := c.places(pos, args[2], 2)
	if err != nil {
		return operand{}, err
	}
	xy := []operand{args[0], args[1]}
	if err := c.adapt(pos, xy); err != nil {
		return operand{}, err
	}
	for _, x := range xy {
		if x.elem() != ir.Int || x.num.bits > 0 {
			c.fail(pos, "divide takes integers and decimals, got %s and %s", args[0].kind(), args[1].kind()).WithHint("write x / y for reals")
			return operand{}, errFailed
		}
	}
	x, y := xy[0], xy[1]
	up := n + y.num.places - x.num.places // x/10^px / (y/10^py) * 10^n
	x.num, y.num = numeral{}, numeral{}
	switch {
	case up > 0:
		x, err = c.apply(pos, ir.OpMul, nil, x, whole(pow10(up)))
	case up < 0:
		y, err = c.apply(pos, ir.OpMul, nil, y, whole(pow10(-up)))
	}
	if err != nil {
		return x, err
	}
	q, err := c.rounded(pos, x, y)
	q.num = numeral{decimal: true, places: n}
	return q, err
}

// shift multiplies or divides by a power of two. Right shifts round down, so that they keep the sign.
func shift(left bool) lowering {
	return func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		x := args[0]
		k, err := c.integerOf(pos, args[1], "a shift")
		if err != nil {
			return x, err
		}
		if err := c.plainInts(pos, "a shift", x); err != nil {
			return x, err
		}
		if k < 0 || k > 60 {
			c.fail(pos, "shift by %d: want 0 to 60", k)
			return x, errFailed
		}
		num := x.num
		x.num = numeral{}
		if left {
			y, err := c.apply(pos, ir.OpMul, nil, x, whole(1<<k))
			if err != nil || num.bits == 0 {
				return y, err
			}
			return c.wrapped(pos, y, num)
		}
		y, err := c.apply(pos, ir.OpIntDiv, ir.Attrs{ir.I("down", 1)}, x, whole(1<<k))
		y.num = num
		return y, err
	}
}

// bitsOf returns the lowest n bits of integers along a new last dimension, lowest first.
func bitsOf(c *checker, pos diag.Pos, args []operand) (operand, error) {
	x := args[0]
	if err := c.plainInts(pos, "bits", x); err != nil {
		return x, err
	}
	n := x.num.bits
	if !args[1].missing() {
		var err error
		if n, err = c.integerOf(pos, args[1], "a number of bits"); err != nil {
			return x, err
		}
	}
	if n < 1 || n > 60 {
		c.fail(pos, "bits of %s: want a number of bits, 1 to 60, as in bits(x, 8)", x.kind())
		return x, errFailed
	}
	x.num = numeral{}
	powers := ir.NewTensor(ir.Int, ir.Shape{n})
	for i := range powers.I {
		powers.I[i] = 1 << i
	}
	y, err := c.reshape(pos, x, append(append(ir.Shape{}, x.shape()...), 1))
	if err == nil {
		y, err = c.apply(pos, ir.OpIntDiv, ir.Attrs{ir.I("down", 1)}, y, operand{c: powers})
	}
	if err == nil {
		y, err = c.apply(pos, ir.OpIntMod, ir.Attrs{ir.I("down", 1)}, y, whole(2))
	}
	if err != nil {
		return y, err
	}
	return c.apply(pos, ir.OpEq, nil, y, whole(1))
}

// fromBits is the inverse of bits, of numbers that are not negative.
func fromBits(c *checker, pos diag.Pos, args []operand) (operand, error) {
	x := args[0]
	s := x.shape()
	if x.elem() != ir.Bool || len(s) == 0 || s[len(s)-1] > 60 {
		c.fail(pos, "from_bits takes bools, lowest bit first, at most 60 along the last dimension, got %s", x.kind())
		return x, errFailed
	}
	powers := ir.NewTensor(ir.Int, ir.Shape{s[len(s)-1]})
	for i := range powers.I {
		powers.I[i] = 1 << i
	}
	y, err := c.integers(pos, x)
	if err == nil {
		y, err = c.apply(pos, ir.OpMul, nil, y, operand{c: powers})
	}
	if err != nil {
		return y, err
	}
	return c.apply(pos, ir.OpReduceSum, ir.Attrs{ir.Dims("axes", []int{len(s) - 1})}, y)
}

// bitwise is a logic operation on the bits of two numbers of one type without sign.
func bitwise(name string, op ir.Op) {
	builtin(name, "x y", "two tensors of uint8, uint16 or uint32", "The bits of both, elementwise.", func(c *checker, pos diag.Pos, args []operand) (operand, error) {
		num, err := c.numerals(pos, ir.OpSelect, args)
		if err != nil {
			return operand{}, err
		}
		if num.bits == 0 || num.signed {
			c.fail(pos, "%s of %s and %s: want uint8, uint16 or uint32", name, args[0].kind(), args[1].kind()).WithHint("write uint32(x)")
			return operand{}, errFailed
		}
		var bits [2]operand
		for i, x := range args {
			x.num = num
			if bits[i], err = bitsOf(c, pos, []operand{x, {}}); err != nil {
				return operand{}, err
			}
		}
		y, err := c.apply(pos, op, nil, bits[0], bits[1])
		if err == nil {
			y, err = fromBits(c, pos, []operand{y})
		}
		y.num = num
		return y, err
	})
}

func init() {
	onInts := func(op ir.Op) lowering {
		return func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.apply(pos, op, nil, args...) }
	}
	firmly("div", "x y", "two tensors of integers", "Quotient of integers towards zero, exact; the divisor's range must not hold 0.", onInts(ir.OpIntDiv))
	firmly("mod", "x y", "two tensors of integers", "Remainder of integers, with the sign of the first: x - y*div(x, y), exact.", onInts(ir.OpIntMod))
	firmly("real", "x", "a tensor", "Conversion to reals.", func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.real(pos, args[0]) })
	firmly("int", "x", "a tensor", "Integers: 0 for false, 1 for true; reals and decimals lose their fraction.", func(c *checker, pos diag.Pos, args []operand) (operand, error) { return c.integers(pos, args[0]) })
	for n, row := range typeNames {
		if row.num.bits > 0 {
			builtin(n, "x", "a tensor of numbers", "The low bits, as "+n+" keeps them.", toType(row.num))
		}
	}
	builtin("round", "x places?", "a tensor and optionally a number of places", "Reals to the nearest whole number, halves up; decimals to fewer places, exactly, halves away from 0.", round)
	builtin("divide", "x y places?", "two tensors of integers or decimals, and places", "The quotient as a decimal, rounded to so many places (2), halves away from 0; exact.", divide)
	builtin("shl", "x by", "a tensor of integers and a public number", "x * 2^by.", shift(true))
	builtin("shr", "x by", "a tensor of integers and a public number", "x / 2^by, rounded down.", shift(false))
	builtin("bits", "x n?", "a tensor of integers and a number of bits", "The lowest n bits as bools along a new last dimension, lowest first.", bitsOf)
	builtin("from_bits", "x", "a tensor of bools", "The numbers whose bits lie along the last dimension, lowest first.", fromBits)
	bitwise("bitand", ir.OpAnd)
	bitwise("bitor", ir.OpOr)
	bitwise("bitxor", ir.OpXor)
}
