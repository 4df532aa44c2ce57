package ir

import (
	"fmt"
	"math"
)

// Encode maps a tensor to ring elements with scale fraction bits: a real x becomes round(x * 2^scale), halves away
// from zero, and an integer or bit x becomes x * 2^scale. It fails if an element has no encoding below 2^63 in magnitude.
func Encode(t *Tensor, scale int) (*Tensor, error) {
	out := NewTensor(Ring, t.Shape)
	if t.Elem == Real {
		unit := math.Ldexp(1, scale) // of scales in use it is a normal number, so that the product is as exact as Ldexp
		for i, x := range t.F {
			y := math.Round(x * unit)
			if !(math.Abs(y) < 1<<63) {
				return nil, fmt.Errorf("element %d is %v, too large for %d fraction bits", i, x, scale)
			}
			out.I[i] = int64(y)
		}
		return out, nil
	}
	for i, x := range t.I {
		y, ok := shiftInt(x, scale)
		if !ok {
			return nil, fmt.Errorf("element %d is %d, too large for %d fraction bits", i, x, scale)
		}
		out.I[i] = y
	}
	return out, nil
}

// shiftInt returns x * 2^by, rounded with halves away from zero, and whether it is below 2^63 in magnitude.
func shiftInt(x int64, by int) (int64, bool) {
	switch {
	case x == 0:
		return 0, true
	case by >= 63:
		return 0, false
	case by >= 0:
		y := x << by
		return y, y>>by == x && y != math.MinInt64
	}
	return int64(math.Round(math.Ldexp(float64(x), by))), true
}

// Decode maps ring elements with scale fraction bits to reals: x becomes x / 2^scale.
func Decode(t *Tensor, scale int) *Tensor {
	out := NewTensor(Real, t.Shape)
	for i := range out.F {
		out.F[i] = math.Ldexp(t.At(i), -scale)
	}
	return out
}
