package exact

import (
	"fmt"
	"math"
	"math/big"

	"smpcc/ir"
)

// A Contract says how far a real result x' may be from the exact x: |x' - x| <= Atol + Rtol |x|. Integers and bits must be
// the same whatever it says.
type Contract struct{ Atol, Rtol float64 }

// Default is the contract that plans keep if the user asks for no other.
var Default = Contract{Atol: 1e-3, Rtol: 1e-3}

// A Difference is how far a tensor is from the exact one.
type Difference struct {
	Elements int     // compared
	Wrong    int     // outside the contract
	First    int     // the first of these
	Worst    float64 // largest absolute difference of those that are finite
	Used     float64 // largest share of what the contract allows; for integers and bits 0 or infinite
}

// Compare compares a result with the exact one. The error says what cannot be compared: shapes that differ, integers with
// reals, an exact value that is no number.
func (c Contract) Compare(got *ir.Tensor, want *Tensor) (Difference, error) {
	d := Difference{Elements: want.Len()}
	switch {
	case !got.Shape.Equal(want.Shape):
		return d, fmt.Errorf("has shape %v, want %v", got.Shape, want.Shape)
	case got.Elem != want.Elem:
		return d, fmt.Errorf("is %v, want %v", got.Elem, want.Elem)
	case !want.Finite():
		return d, fmt.Errorf("the exact result is not finite")
	}
	for i := range want.Len() {
		miss, allowed := c.miss(got, want, i)
		used := miss / allowed
		if miss == 0 {
			used = 0
		}
		if !(used <= 1) { // also if it is not a number
			if d.Wrong++; d.Wrong == 1 {
				d.First = i
			}
		}
		d.Worst, d.Used = math.Max(d.Worst, miss), math.Max(d.Used, used)
	}
	return d, nil
}

// miss returns how far element i is from the exact one, and how far it may be.
func (c Contract) miss(got *ir.Tensor, want *Tensor, i int) (miss, allowed float64) {
	if want.Elem == ir.Real {
		allowed = c.Atol + c.Rtol*math.Abs(want.F[i])
	}
	return want.Distance(got, i), allowed
}

// Distance returns the magnitude of the difference of element i to that of a result of the same kind and shape: exact for
// integers up to the rounding of the magnitude, also where neither fits a float64.
func (t *Tensor) Distance(got *ir.Tensor, i int) float64 {
	if t.Elem == ir.Real || got.Elem == ir.Real {
		return math.Abs(got.At(i) - t.At(i))
	}
	difference := new(big.Int).Sub(big.NewInt(got.I[i]), t.Int(i))
	f, _ := new(big.Float).SetInt(difference.Abs(difference)).Float64()
	return f
}

// String says the first wrong element of a difference, for messages.
func (d Difference) String() string {
	return fmt.Sprintf("%d of %d elements are wrong, the largest error is %.3g", d.Wrong, d.Elements, d.Worst)
}

// Explain names the first wrong element of got: "element 3 is 0.5, want 0.25".
func (d Difference) Explain(got *ir.Tensor, want *Tensor) string {
	return fmt.Sprintf("element %d is %s, want %s", d.First, Of(got).Text(d.First), want.Text(d.First))
}
