package smpcc

import (
	"math"
	"strings"
	"testing"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// TestPresentSteps: reals become the integers that onnxruntime's QuantizeLinear has for them in float32, halves to even, and nothing else passes.
func TestPresentSteps(t *testing.T) {
	step := float64(float32(0.1))
	p := &plan.Plan{Manifest: plan.Manifest{Inputs: []plan.Port{{Name: "x", Elem: "int", Shape: []int{6}, Lo: -128, Hi: 127, Step: step}}}}
	for _, data := range []*ir.Tensor{ir.Reals(ir.Shape{6}, 0.05, 0.25, -0.349, 13, -1e30, 0.15), ir.Ints(ir.Shape{6}, 0, 1, -1, 12, 13, -13)} {
		got, err := Present(p, map[string]*ir.Tensor{"x": data})
		if err != nil {
			t.Fatal(err)
		}
		for i := range data.Len() {
			want := math.RoundToEven(float64(float32(data.At(i)) / float32(step)))
			if want = min(max(want, -128), 127); float64(got["x"].I[i]) != want {
				t.Errorf("element %d: %g is %d, want %g", i, data.At(i), got["x"].I[i], want)
			}
		}
	}
	if _, err := Present(p, map[string]*ir.Tensor{"x": ir.Reals(ir.Shape{6}, 0, math.NaN(), 0, 0, 0, 0)}); err == nil || !strings.Contains(err.Error(), "element 1 is not a number") {
		t.Errorf("got %v", err)
	}
}

// TestCategories: categories that a model has no answer for are refused, of numbers and of text, and the message names those that there are.
func TestCategories(t *testing.T) {
	numbers := plan.Port{Name: "n", Elem: "int", Bits: 64, Shape: []int{2, 2}, Lo: 0, Hi: 9, Categories: []plan.Category{{Column: 1, Values: []int{1, 5, 9}}}}
	text := plan.Port{Name: "s", Elem: "int", Bits: 64, Shape: []int{2}, Lo: -1, Hi: 2, Words: []string{"red", "green", "size"}, Categories: []plan.Category{{Column: 0, Values: []int{0}}, {Column: 1, Values: []int{0, 1}}}}
	p := &plan.Plan{Manifest: plan.Manifest{Inputs: []plan.Port{numbers, text}}}
	words := func(s ...string) *ir.Tensor {
		t := &ir.Tensor{Elem: ir.Int, Shape: ir.Shape{len(s)}, Words: s}
		for i := range s {
			t.I = append(t.I, int64(i))
		}
		return t
	}
	for _, c := range []struct {
		port plan.Port
		data *ir.Tensor
		want string // "" where it passes
	}{
		{numbers, ir.Ints(ir.Shape{2, 2}, 3, 1, 4, 9), ""},
		{numbers, ir.Ints(ir.Shape{2, 2}, 3, 1, 4, 3), "element 3 is a category that the model does not know; column 1 has [1 5 9]"},
		{text, words("red", "green"), ""},
		{text, words("green", "green"), `element 0 is a category that the model does not know; column 0 has ["red"]`},
		{text, words("red", "violet"), `element 1 is a category that the model does not know; column 1 has ["red" "green"]`},
	} {
		in, err := Present(p, map[string]*ir.Tensor{c.port.Name: c.data})
		if err != nil {
			t.Fatal(err)
		}
		_, err = bind(c.port, in[c.port.Name], false)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "zeros=1")) {
			t.Errorf("%v: got %v, want %q", c.data, err, c.want)
		}
		for i, x := range in[c.port.Name].I { // what a server checks that did not encode it
			if err := c.port.CheckWord(i, uint64(x)); (err != nil) != strings.Contains(c.want, "element "+string(rune('0'+i))+" ") {
				t.Errorf("word %d of %v: %v", i, c.data, err)
			}
		}
	}
}
