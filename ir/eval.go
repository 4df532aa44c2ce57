package ir

import (
	"fmt"
	"math"

	"smpcc/ir/diag"
)

// An Env binds data to the inputs and weights of a function.
type Env struct {
	Inputs  map[string]*Tensor // by name
	Weights map[string]*Tensor // by name
	// Check asks for an error if a ring value that is read as a signed number does not fit the bits that are read of it.
	Check bool
	// Dither, if set, returns uniform words: what drops low bits then rounds down or up by chance, without bias, as parties do together;
	// otherwise it rounds down. Among Parties parties, two if it is 0, it rounds up by Parties-1 units at most.
	Dither  func() uint64
	Parties int
	// Known holds values that need not be computed again: weights as they are bound, for many runs.
	Known map[*Value]*Tensor
}

// BindWeights returns f's weights as elements of their types, for Env.Known.
func BindWeights(f *Func, weights map[string]*Tensor) (map[*Value]*Tensor, error) {
	out := map[*Value]*Tensor{}
	for _, v := range f.Body {
		if v.Op != OpWeight {
			continue
		}
		t, err := evalAt(v, nil, Env{Weights: weights, Check: true})
		if err != nil {
			return nil, err
		}
		out[v] = t
	}
	return out, nil
}

// Eval computes every value of f in the clear: reals as float64, all else as int64 modulo 2^64. Ring values are not
// reduced to their width, because range analysis promises that they fit; Env.Check tests that promise.
// Tensors may share storage with each other and with env. f must pass Verify.
func Eval(f *Func, env Env) (map[*Value]*Tensor, error) {
	out := make(map[*Value]*Tensor, len(f.Body))
	for _, v := range f.Body {
		t, err := evalAt(v, out, env)
		if err != nil {
			return nil, err
		}
		out[v] = t
	}
	return out, nil
}

// evalAt computes v from its arguments' values, and checks what it reads if env asks for that.
func evalAt(v *Value, vals map[*Value]*Tensor, env Env) (*Tensor, error) {
	if t := env.Known[v]; t != nil {
		return t, nil
	}
	args := make([]*Tensor, len(v.Args))
	for i, a := range v.Args {
		if args[i] = vals[a]; args[i] == nil {
			return nil, diag.Errorf(v.Pos, "%s = %s: argument %s is not computed before", v, v.Op, a)
		}
	}
	t, err := evalValue(v, args, env)
	if err == nil && env.Check {
		err = checkRead(v, args, t)
	}
	if err != nil {
		return nil, diag.Errorf(v.Pos, "%s = %s: %v", v, v.Op, err)
	}
	return t, nil
}

// Run evaluates the entry function of m with the module's weights and returns its results by reveal name.
func Run(m *Module, inputs map[string]*Tensor) (map[string]*Tensor, error) {
	return Results(m.Main(), Env{Inputs: inputs, Weights: m.Weights})
}

// Results computes f in the clear, like Eval, and returns the values of its reveals by name. A value is let go of when nothing reads it any more.
func Results(f *Func, env Env) (map[string]*Tensor, error) {
	last := map[*Value]int{}
	for i, v := range f.Body {
		for _, a := range v.Args {
			last[a] = i
		}
	}
	vals, out := map[*Value]*Tensor{}, map[string]*Tensor{}
	for i, v := range f.Body {
		t, err := evalAt(v, vals, env)
		if err != nil {
			return nil, err
		}
		if v.Op == OpReveal {
			out[v.Attrs.Str("name")] = t
		}
		if _, used := last[v]; used {
			vals[v] = t
		}
		for _, a := range v.Args {
			if last[a] == i {
				delete(vals, a)
			}
		}
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
	if drop := v.Attrs.Int("drop", 0); drop > 0 && env.Dither != nil && args[0].Elem == Ring {
		if private := v.Args[0].Type.Vis.IsPrivate(); !private || env.Dither()&1 != 0 { // what its owner alone holds he rounds down; he may have shared it
			args = append([]*Tensor{dithered(args[0], drop, max(env.Parties, 2)-1, env.Dither)}, args[1:]...)
		}
	}
	return row.Eval(v, args)
}

// dithered adds so many uniform numbers of 1..2^drop to each element: what then drops the low bits rounds as parties do, who each drop those of their
// share and add a unit for each party beyond the first. With two, x = k*2^drop + t becomes k+1 with probability (t+1) / 2^drop, so also where t is 0.
func dithered(t *Tensor, drop, times int, word func() uint64) *Tensor {
	out := NewTensor(Ring, t.Shape)
	mask := uint64(1)<<drop - 1
	for i, x := range t.I {
		for range times {
			x += int64(word()&mask) + 1
		}
		out.I[i] = x
	}
	return out
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
	t = shifted(v, t)
	if v.Type.Elem != Ring {
		return t, nil
	}
	e, err := Encode(t, v.Type.Scale)
	if err != nil {
		return nil, fmt.Errorf("data for %q: %w", name, err)
	}
	if OfGuest(v) && v.Type.Form == Additive { // words of its port
		least, _, err := GuestWords(v)
		if err != nil {
			return nil, fmt.Errorf("data for %q %w", name, err)
		}
		for i := range e.I {
			e.I[i] -= least.I[i%len(least.I)]
		}
	}
	return e, nil
}

// shifted returns the data of an input as it is bound: column k of a table times 2^-d_k, if the input says so.
func shifted(v *Value, t *Tensor) *Tensor {
	shift := v.Attrs.Ints("shift")
	if shift == nil {
		return t
	}
	z := NewTensor(Real, t.Shape)
	for i, x := range t.F {
		z.F[i] = math.Ldexp(x, -shift[i%len(shift)])
	}
	return z
}

// checkRead returns an error if v reads a ring value as a signed number of fewer bits than it has. Other ops compute modulo 2^bits, so that what
// exceeds a ring on the way does no harm.
func checkRead(v *Value, args []*Tensor, out *Tensor) error {
	bits := [2]int{v.Attrs.Int("n", 0)}
	switch v.Op {
	case OpInput, OpWeight:
		return checkWidth(v, out)
	case OpTrunc, OpRelu, OpLtz, OpEqz, OpExpo:
	case OpMul:
		bits = [2]int{v.Attrs.Int("nx", 0), v.Attrs.Int("ny", 0)}
	case OpReveal:
		bits[0] = v.Args[0].Type.Bits
	case OpMax:
		return checkDifference(v, args)
	default:
		return nil
	}
	for j, a := range args[:min(len(args), 2)] {
		if a.Elem != Ring || bits[j] <= 0 || bits[j] >= widest {
			continue
		}
		half := int64(1) << (bits[j] - 1)
		for i, x := range a.I {
			if x >= half || x < -half {
				return fmt.Errorf("element %d of its argument is %.6g, which is more than %d bits hold", i, math.Ldexp(float64(x), -v.Args[j].Type.Scale), bits[j])
			}
		}
	}
	return nil
}

// checkDifference is checkRead for a maximum, which reads the difference of its operands.
func checkDifference(v *Value, args []*Tensor) error {
	n := v.Attrs.Int("n", 0)
	if n <= 0 || n >= widest || args[0].Elem != Ring || len(args[0].I) != len(args[1].I) {
		return nil
	}
	half := int64(1) << (n - 1)
	for i, x := range args[0].I {
		if d := x - args[1].I[i]; d >= half || d < -half {
			return fmt.Errorf("the difference of elements %d is %.6g, which is more than %d bits hold", i, math.Ldexp(float64(d), -v.Args[0].Type.Scale), n)
		}
	}
	return nil
}

// checkWidth returns an error for the first element of a bound ring value at or beyond half its ring in magnitude.
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
