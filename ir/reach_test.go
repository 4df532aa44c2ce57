package ir

import (
	"fmt"
	"slices"
	"testing"
)

// TestReach changes one element of an argument at a time, of each case of each operation, and wants every element of the result that changes to be reached.
func TestReach(t *testing.T) {
	for _, c := range evalCases {
		f, in, v := c.build(t)
		was, err := Eval(f, Env{Inputs: in})
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range f.Inputs() {
			name := src.Attrs.Str("name")
			x := in[name]
			for k := range x.Len() {
				elements := make([]bool, x.Len())
				elements[k] = true
				at, err := Reach(f, src, elements)
				if err != nil {
					t.Fatalf("%s: %v", c.op, err)
				}
				for _, d := range []float64{1, -1, 7, -7, 1000} {
					y := NewTensor(x.Elem, x.Shape)
					copy(y.F, x.F)
					copy(y.I, x.I)
					switch {
					case x.Elem == Real:
						y.F[k] += d
					case x.Elem == Bool:
						y.I[k] = 1 - y.I[k]
					default:
						y.I[k] += int64(d)
					}
					in[name] = y
					now, err := Eval(f, Env{Inputs: in})
					in[name] = x
					if err != nil { // outside of what the operation takes
						continue
					}
					for i := range now[v].Len() {
						if now[v].At(i) != was[v].At(i) && !(now[v].At(i) != now[v].At(i) && was[v].At(i) != was[v].At(i)) && (at[v] == nil || !at[v][i]) {
							t.Errorf("%s %v: element %d of argument %s changes element %d, which is said not to derive from it", c.op, c.attrs, k, name, i)
						}
					}
				}
			}
		}
	}
}

// TestReachIsNarrow: what operations that keep elements apart reach is exact.
func TestReachIsNarrow(t *testing.T) {
	f := NewFunc("main")
	x := emit(t, f, OpInput, Attrs{S("name", "x"), S("owner", "a"), S("elem", "real"), Is("shape", 3, 4)})
	w := emit(t, f, OpWeight, Attrs{S("name", "w"), S("owner", "b"), S("elem", "real"), Is("shape", 4, 2)})
	turned := emit(t, f, OpTranspose, Attrs{Is("perm", 1, 0)}, x)
	product := emit(t, f, OpMatMul, nil, x, w)
	square := emit(t, f, OpMatMul, nil, turned, x)
	sum := emit(t, f, OpReduceSum, Attrs{Is("axes", 0)}, x)
	soft := emit(t, f, OpSoftmax, Attrs{I("axis", 1)}, x)
	rest := emit(t, f, OpSlice, Attrs{Is("starts", 0, 0), Is("ends", 1, 4), Is("steps", 1, 1)}, x)
	elements := make([]bool, 12)
	elements[1*4+2] = true // x[1,2]
	at, err := Reach(f, x, elements)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v    *Value
		want []int
	}{
		{turned, []int{2*3 + 1}},
		{product, []int{2, 3}},
		{square, []int{2, 6, 8, 9, 10, 11, 14}},
		{sum, []int{2}},
		{soft, []int{4, 5, 6, 7}},
		{rest, nil},
		{w, nil},
	} {
		var got []int
		for i, m := range at[c.v] {
			if m {
				got = append(got, i)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: elements %v are reached, want %v", c.v.Op, got, c.want)
		}
	}
	if slices.Contains(at[x], false) != true {
		t.Error("all of the source is reached")
	}
}
