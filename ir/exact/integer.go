package exact

import (
	"fmt"
	"math/big"

	"smpcc/ir"
)

// quotient is the op that takes one of quotient and remainder of two integers: towards zero, or down.
func quotient(of func(q, r *big.Int) *big.Int) meaning {
	return func(v *ir.Value, args []*Tensor) (*Tensor, error) {
		x, y, s := args[0], args[1], v.Type.Shape
		down := v.Attrs.Int("down", 0) != 0
		var err error
		out := make([]*big.Int, s.Size())
		zip(out, x.integers(), offsets(x.Shape, s), y.integers(), offsets(y.Shape, s), func(x, y *big.Int) *big.Int {
			if y.Sign() == 0 {
				err = fmt.Errorf("%v is divided by zero", x)
				return x
			}
			q, r := new(big.Int).QuoRem(x, y, new(big.Int))
			if down && r.Sign() != 0 && r.Sign() != y.Sign() {
				q.Sub(q, big.NewInt(1))
				r.Add(r, y)
			}
			return of(q, r)
		})
		if err != nil {
			return nil, err
		}
		return whole(s, out), nil
	}
}

// wrap is the number with the given low bits of x that the type holds.
func wrap(v *ir.Value, args []*Tensor) (*Tensor, error) {
	span := new(big.Int).Lsh(big.NewInt(1), uint(v.Attrs.Int("bits", 0)))
	half := new(big.Int).Rsh(span, 1)
	return single(nil, func(z, x *big.Int) *big.Int {
		z.Mod(x, span) // 0 <= z
		if v.Attrs.Int("signed", 0) != 0 && z.Cmp(half) >= 0 {
			z.Sub(z, span)
		}
		return z
	})(v, args)
}
