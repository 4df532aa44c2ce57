package ir

import (
	"fmt"

	"smpcc/ir/diag"
)

// An Env binds data to the inputs and weights of a function.
type Env struct {
	Inputs  map[string]*Tensor // by name
	Weights map[string]*Tensor // by name
	// Check asks for an error if a ring value does not fit its width as a signed number.
	Check bool
}

// Eval computes every value of f in the clear: reals as float64, all else as int64 modulo 2^64. Ring values are not
// reduced to their width, because range analysis promises that they fit; Env.Check tests that promise.
// Tensors may share storage with each other and with env. f must pass Verify.
func Eval(f *Func, env Env) (map[*Value]*Tensor, error) {
	out := make(map[*Value]*Tensor, len(f.Body))
	for _, v := range f.Body {
		args := make([]*Tensor, len(v.Args))
		for i, a := range v.Args {
			if args[i] = out[a]; args[i] == nil {
				return nil, diag.Errorf(v.Pos, "%s = %s: argument %s is not computed before", v, v.Op, a)
			}
		}
		t, err := evalValue(v, args, env)
		if err == nil && env.Check {
			err = checkWidth(v, t)
		}
		if err != nil {
			return nil, diag.Errorf(v.Pos, "%s = %s: %v", v, v.Op, err)
		}
		out[v] = t
	}
	return out, nil
}

// Run evaluates the entry function of m with the module's weights and returns its results by reveal name.
func Run(m *Module, inputs map[string]*Tensor) (map[string]*Tensor, error) {
	vals, err := Eval(m.Main(), Env{Inputs: inputs, Weights: m.Weights})
	if err != nil {
		return nil, err
	}
	out := map[string]*Tensor{}
	for _, v := range m.Main().Reveals() {
		out[v.Attrs.Str("name")] = vals[v]
	}
	return out, nil
}

func evalValue(v *Value, args []*Tensor, env Env) (*Tensor, error) {
	switch v.Op {
	case OpInput:
		return bind(v, env.Inputs)
	case OpWeight:
		return bind(v, env.Weights)
	case OpConst:
		return v.Attrs.Tensor("data"), nil
	case OpReveal:
		return args[0], nil
	}
	row := Rows[v.Op]
	if row == nil || row.Eval == nil {
		return nil, fmt.Errorf("op has no plaintext meaning")
	}
	return row.Eval(v, args)
}

// bind returns the data of an input or weight as an element of its type: encoded if the value is quantised.
func bind(v *Value, data map[string]*Tensor) (*Tensor, error) {
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
	want := elemByName[v.Attrs.Str("elem")]
	switch {
	case v.Type.Elem == Ring && t.Elem == Ring: // encoded already
		return t, nil
	case want == Real && t.Elem == Int:
		r := NewTensor(Real, t.Shape)
		for i, x := range t.I {
			r.F[i] = float64(x)
		}
		t = r
	case want != t.Elem:
		return nil, fmt.Errorf("data for %q is %v, want %v", name, t.Elem, want)
	}
	if want == Bool {
		for i, x := range t.I {
			if x != 0 && x != 1 {
				return nil, fmt.Errorf("data for %q: element %d is %d, want 0 or 1", name, i, x)
			}
		}
	}
	if v.Type.Elem != Ring {
		return t, nil
	}
	e, err := Encode(t, v.Type.Scale)
	if err != nil {
		return nil, fmt.Errorf("data for %q: %w", name, err)
	}
	return e, nil
}

// checkWidth returns an error for the first element of a ring value at or beyond half its ring in magnitude.
func checkWidth(v *Value, t *Tensor) error {
	if v.Type.Elem != Ring || v.Type.Bits >= widest {
		return nil
	}
	half := int64(1) << (v.Type.Bits - 1)
	for i, x := range t.I {
		if x >= half || x <= -half {
			return fmt.Errorf("element %d is %d, outside the signed range of %d bits", i, x, v.Type.Bits)
		}
	}
	return nil
}
