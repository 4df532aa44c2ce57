package onnxgo

import (
	"errors"
	"fmt"
	"math"
	"reflect"

	"gorgonia.org/tensor"

	"smpcc/ir"
)

// A number is an element type of gorgonia's that has a counterpart in the IR.
type number interface {
	~int8 | ~int16 | ~int32 | ~int64 | ~int | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~float32 | ~float64
}

// dense returns the elements in row-major order; views and transposed tensors are copied.
func dense(t tensor.Tensor) (*tensor.Dense, error) {
	d, ok := t.(*tensor.Dense)
	switch {
	case !ok || d == nil:
		return nil, fmt.Errorf("a %T is not a dense tensor", t)
	case len(d.Mask()) > 0:
		return nil, errors.New("a masked tensor has no value for every element")
	}
	if d.DataOrder().IsRowMajor() && !d.RequiresIterator() {
		return d, nil
	}
	out := tensor.New(tensor.WithShape(d.Shape()...), tensor.Of(d.Dtype()))
	at := make([]int, d.Dims())
	for i := range d.Shape().TotalSize() {
		x, err := d.At(at...)
		if err != nil {
			return nil, err
		}
		out.Set(i, x)
		for k := len(at) - 1; k >= 0; k-- {
			if at[k]++; at[k] < d.Shape()[k] {
				break
			}
			at[k] = 0
		}
	}
	return out, nil
}

// toIR copies a tensor.
func toIR(t tensor.Tensor) (*ir.Tensor, error) {
	d, err := dense(t)
	if err != nil {
		return nil, err
	}
	shape := ir.Shape{}
	for _, n := range d.Shape() {
		shape = append(shape, n)
	}
	var data any
	if shape.Size() > 0 {
		data = d.Data()
	} else { // gorgonia panics
		data = reflect.MakeSlice(reflect.SliceOf(d.Dtype().Type), 0, 0).Interface()
	}
	out, err := elements(data)
	if err != nil {
		return nil, err
	}
	out.Shape = shape
	return out, out.Check()
}

// elements copies a slice, or the number itself in a scalar's place.
func elements(data any) (*ir.Tensor, error) {
	switch x := data.(type) {
	case []float32:
		return reals(x), nil
	case []float64:
		return reals(x), nil
	case []int8:
		return ints(x), nil
	case []int16:
		return ints(x), nil
	case []int32:
		return ints(x), nil
	case []int64:
		return ints(x), nil
	case []int:
		return ints(x), nil
	case []uint8:
		return ints(x), nil
	case []uint16:
		return ints(x), nil
	case []uint32:
		return ints(x), nil
	case []uint64:
		for _, n := range x {
			if n > math.MaxInt64 {
				return nil, fmt.Errorf("%d is out of range", n)
			}
		}
		return ints(x), nil
	case []bool:
		t := &ir.Tensor{Elem: ir.Bool, I: make([]int64, len(x))}
		for i, b := range x {
			if b {
				t.I[i] = 1
			}
		}
		return t, nil
	case float32:
		return elements([]float32{x})
	case float64:
		return elements([]float64{x})
	case int8:
		return elements([]int8{x})
	case int16:
		return elements([]int16{x})
	case int32:
		return elements([]int32{x})
	case int64:
		return elements([]int64{x})
	case int:
		return elements([]int{x})
	case uint8:
		return elements([]uint8{x})
	case uint16:
		return elements([]uint16{x})
	case uint32:
		return elements([]uint32{x})
	case uint64:
		return elements([]uint64{x})
	case bool:
		return elements([]bool{x})
	}
	return nil, fmt.Errorf("elements of type %T are not supported", data)
}

func reals[T number](x []T) *ir.Tensor {
	t := &ir.Tensor{Elem: ir.Real, F: make([]float64, len(x))}
	for i, v := range x {
		t.F[i] = float64(v)
	}
	return t
}

func ints[T number](x []T) *ir.Tensor {
	t := &ir.Tensor{Elem: ir.Int, I: make([]int64, len(x))}
	for i, v := range x {
		t.I[i] = int64(v)
	}
	return t
}

// fromIR returns a tensor with elements of the type declared, or of the type that suits if that is unknown.
func fromIR(t *ir.Tensor, typ tensor.Dtype) (tensor.Tensor, error) {
	var data any
	switch typ {
	case tensor.Float64:
		data = convert[float64](t)
	case tensor.Float32:
		data = convert[float32](t)
	case tensor.Int8:
		data = convert[int8](t)
	case tensor.Int16:
		data = convert[int16](t)
	case tensor.Int32:
		data = convert[int32](t)
	case tensor.Int64:
		data = convert[int64](t)
	case tensor.Int:
		data = convert[int](t)
	case tensor.Uint8:
		data = convert[uint8](t)
	case tensor.Uint16:
		data = convert[uint16](t)
	case tensor.Uint32:
		data = convert[uint32](t)
	case tensor.Uint64:
		data = convert[uint64](t)
	case tensor.Bool:
		x := make([]bool, t.Len())
		for i := range x {
			x[i] = t.At(i) != 0
		}
		data = x
	default:
		return fromIR(t, map[ir.Elem]tensor.Dtype{ir.Real: tensor.Float32, ir.Bool: tensor.Bool, ir.Int: tensor.Int64}[t.Elem])
	}
	return tensor.New(tensor.WithShape(t.Shape...), tensor.WithBacking(data)), nil
}

func convert[T number](t *ir.Tensor) []T {
	x := make([]T, t.Len())
	for i := range x {
		if t.Elem == ir.Real {
			x[i] = T(t.F[i])
		} else {
			x[i] = T(t.I[i])
		}
	}
	return x
}
