package exact

import (
	"fmt"
	"math"
	"math/big"

	"smpcc/ir"
)

// A Tensor holds exact data: reals as float64, bits as 0 and 1, and integers of any size. Integers that all fit 64 bits
// are in I; if one does not, all are in Big and I is nil.
type Tensor struct {
	Elem  ir.Elem
	Shape ir.Shape
	F     []float64
	I     []int64
	Big   []*big.Int
}

// newTensor returns a zero tensor whose integers fit 64 bits.
func newTensor(e ir.Elem, s ir.Shape) *Tensor {
	t := &Tensor{Elem: e, Shape: append(ir.Shape{}, s...)}
	if e == ir.Real {
		t.F = make([]float64, s.Size())
	} else {
		t.I = make([]int64, s.Size())
	}
	return t
}

// Of returns the data of t, which it shares.
func Of(t *ir.Tensor) *Tensor {
	return &Tensor{Elem: t.Elem, Shape: t.Shape, F: t.F, I: t.I}
}

// Whole returns a tensor of integers of any size.
func Whole(s ir.Shape, data ...*big.Int) *Tensor { return whole(s, data) }

// whole returns integers in the smaller of their two forms.
func whole(s ir.Shape, data []*big.Int) *Tensor {
	t := &Tensor{Elem: ir.Int, Shape: append(ir.Shape{}, s...)}
	for _, x := range data {
		if !x.IsInt64() {
			t.Big = data
			return t
		}
	}
	t.I = make([]int64, len(data))
	for i, x := range data {
		t.I[i] = x.Int64()
	}
	return t
}

// Len returns the number of elements held.
func (t *Tensor) Len() int { return max(len(t.F), len(t.I), len(t.Big)) }

// At returns element i as a float64: rounded, if it is an integer beyond 2^53.
func (t *Tensor) At(i int) float64 {
	switch {
	case t.Elem == ir.Real:
		return t.F[i]
	case t.Big != nil:
		f, _ := new(big.Float).SetInt(t.Big[i]).Float64()
		return f
	}
	return float64(t.I[i])
}

// Int returns element i of a tensor of integers or bits.
func (t *Tensor) Int(i int) *big.Int {
	if t.Big != nil {
		return t.Big[i]
	}
	return big.NewInt(t.I[i])
}

// Text returns element i for people.
func (t *Tensor) Text(i int) string {
	switch t.Elem {
	case ir.Real:
		return fmt.Sprintf("%.6g", t.F[i])
	case ir.Bool:
		return fmt.Sprint(t.I[i] != 0)
	}
	return t.Int(i).String()
}

// Finite reports whether no element is an infinity or not a number.
func (t *Tensor) Finite() bool {
	for _, x := range t.F {
		if math.IsInf(x, 0) || math.IsNaN(x) {
			return false
		}
	}
	return true
}

// integers returns all integers in their larger form.
func (t *Tensor) integers() []*big.Int {
	if t.Big != nil {
		return t.Big
	}
	out := make([]*big.Int, len(t.I))
	for i, x := range t.I {
		out[i] = big.NewInt(x)
	}
	return out
}

// magnitude returns an upper bound of the integers' magnitudes.
func (t *Tensor) magnitude() float64 {
	if t.Big != nil {
		return math.Inf(1)
	}
	m := 0.0
	for _, x := range t.I {
		m = max(m, math.Abs(float64(x)))
	}
	return m
}
