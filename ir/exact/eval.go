// Package exact is the reference: what a graph means, in float64 and in integers of any size. It is written from the ops'
// definitions and shares no code with the rows' Eval, which stands for fixed point in the clear (integers modulo 2^64), so
// that tests, smpcc run --float and smpcc test compare a plan with something that cannot have the plan's faults: here
// nothing wraps, nothing is clamped and nothing is rounded to a number of fraction bits.
//
// Reals carry the rounding of float64; sums are compensated where that costs little. Integers are exact. What has no
// number, as 1/0, is an infinity or not a number, as in IEEE 754.
package exact

import (
	"fmt"
	"maps"
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A meaning computes the result of v from its arguments.
type meaning func(v *ir.Value, args []*Tensor) (*Tensor, error)

// Ops lists the ops that have a meaning here, leaves besides.
func Ops() []ir.Op { return slices.Sorted(maps.Keys(meanings)) }

// Run evaluates the entry function of m with the module's weights and returns its results by reveal name. m is at the
// graph level; a value is dropped after its last use.
func Run(m *ir.Module, inputs map[string]*ir.Tensor) (map[string]*Tensor, error) {
	f := m.Main()
	left := f.Uses()
	out := map[string]*Tensor{}
	vals := make(map[*ir.Value]*Tensor, len(f.Body))
	err := each(f, inputs, m.Weights, vals, func(v *ir.Value) {
		if v.Op == ir.OpReveal {
			out[v.Attrs.Str("name")] = vals[v]
		}
		for _, a := range v.Args {
			if left[a]--; left[a] == 0 {
				delete(vals, a)
			}
		}
	})
	return out, err
}

// Eval computes every value of a function at the graph level, whose inputs and weights are bound by name. Tensors may
// share storage with each other and with the data.
func Eval(f *ir.Func, inputs, weights map[string]*ir.Tensor) (map[*ir.Value]*Tensor, error) {
	vals := make(map[*ir.Value]*Tensor, len(f.Body))
	err := each(f, inputs, weights, vals, func(*ir.Value) {})
	return vals, err
}

// each computes the values of f in order into vals and calls done after each.
func each(f *ir.Func, inputs, weights map[string]*ir.Tensor, vals map[*ir.Value]*Tensor, done func(v *ir.Value)) error {
	for _, v := range f.Body {
		args := make([]*Tensor, len(v.Args))
		for i, a := range v.Args {
			if args[i] = vals[a]; args[i] == nil {
				return diag.Errorf(v.Pos, "%s = %s: argument %s is not computed before", v, v.Op, a)
			}
		}
		t, err := value(v, args, inputs, weights)
		if err != nil {
			return diag.Errorf(v.Pos, "%s = %s: %v", v, v.Op, err)
		}
		vals[v] = t
		done(v)
	}
	return nil
}

// value computes one value.
func value(v *ir.Value, args []*Tensor, inputs, weights map[string]*ir.Tensor) (*Tensor, error) {
	if v.Type.Elem == ir.Ring {
		return nil, fmt.Errorf("is a ring value, which has no meaning at the graph level")
	}
	switch v.Op {
	case ir.OpInput:
		return bound(v, inputs)
	case ir.OpWeight:
		return bound(v, weights)
	case ir.OpConst:
		return Of(v.Attrs.Tensor("data")), nil
	case ir.OpReveal:
		return args[0], nil
	}
	f := meanings[v.Op]
	if f == nil {
		return nil, fmt.Errorf("op has no exact meaning")
	}
	return f(v, args)
}

// bound returns the data of an input or weight; integers serve as reals.
func bound(v *ir.Value, data map[string]*ir.Tensor) (*Tensor, error) {
	name := v.Attrs.Str("name")
	t := data[name]
	if t == nil {
		return nil, fmt.Errorf("no data for %q", name)
	}
	if err := t.Check(); err != nil {
		return nil, fmt.Errorf("data for %q: %w", name, err)
	}
	if !t.Shape.Equal(v.Type.Shape) {
		return nil, fmt.Errorf("data for %q has shape %v, want %v", name, t.Shape, v.Type.Shape)
	}
	if v.Type.Elem == ir.Real && t.Elem == ir.Int {
		return toReal(Of(t)), nil
	}
	if v.Type.Elem != t.Elem {
		return nil, fmt.Errorf("data for %q is %v, want %v", name, t.Elem, v.Type.Elem)
	}
	return Of(t), nil
}
