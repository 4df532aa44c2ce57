package ir

import "fmt"

// A Tensor holds plaintext data: F for reals, I for integers, booleans (0 or 1) and ring elements (two's complement).
type Tensor struct {
	Elem  Elem
	Shape Shape
	F     []float64 // set iff Elem is Real
	I     []int64   // set otherwise
	// Places is set of decimals, which are a tensor of integers: I counts units of 10^-Places.
	Places int
	Words  []string // of text, which is a tensor of integers: element i is Words[I[i]]; nil of numbers
}

// NewTensor returns a zero tensor.
func NewTensor(e Elem, s Shape) *Tensor {
	t := &Tensor{Elem: e, Shape: append(Shape{}, s...)}
	if e == Real {
		t.F = make([]float64, s.Size())
	} else {
		t.I = make([]int64, s.Size())
	}
	return t
}

// Reals returns a real tensor over data, which it keeps.
func Reals(s Shape, data ...float64) *Tensor { return &Tensor{Elem: Real, Shape: s, F: data} }

// Ints returns an integer tensor over data, which it keeps.
func Ints(s Shape, data ...int64) *Tensor { return &Tensor{Elem: Int, Shape: s, I: data} }

// Len returns the number of elements held.
func (t *Tensor) Len() int {
	if t.Elem == Real {
		return len(t.F)
	}
	return len(t.I)
}

// At returns element i as a float64.
func (t *Tensor) At(i int) float64 {
	if t.Elem == Real {
		return t.F[i]
	}
	return float64(t.I[i])
}

// Check returns an error if data and shape disagree.
func (t *Tensor) Check() error {
	if err := CheckShape(t.Shape); err != nil {
		return err
	}
	if t.Len() != t.Shape.Size() {
		return fmt.Errorf("tensor of shape %v holds %d elements, want %d", t.Shape, t.Len(), t.Shape.Size())
	}
	return nil
}
