package main

import (
	"slices"
	"testing"

	"smpcc/ir"
)

// TestCutSamples cuts a table of text and one of numbers beside a vector, by what a program declares.
func TestCutSamples(t *testing.T) {
	words := &ir.Tensor{Elem: ir.Int, Shape: ir.Shape{5, 1}, I: []int64{0, 1, 0, 1, 1}, Words: []string{"no", "yes"}}
	numbers := &ir.Tensor{Elem: ir.Real, Shape: ir.Shape{2, 2}, F: []float64{1, 2, 3, 4}}
	whole := &ir.Tensor{Elem: ir.Int, Shape: ir.Shape{3}, I: []int64{7, 8, 9}}
	got := tableSamples(map[string]*ir.Tensor{"w": words, "x": numbers, "y": whole}, map[string]ir.Shape{"w": {2, 1}, "x": {1, 2}, "y": {3}})
	if len(got) != 2 { // the fifth word is left over
		t.Fatalf("%d samples, want 2", len(got))
	}
	for k, want := range [][]float64{{1, 2}, {3, 4}} {
		s := got[k]
		if x := s["x"]; !x.Shape.Equal(ir.Shape{1, 2}) || !slices.Equal(x.F, want) {
			t.Errorf("sample %d of numbers is %v %v", k, x.Shape, x.F)
		}
		if w := s["w"]; !w.Shape.Equal(ir.Shape{2, 1}) || !slices.Equal(w.I, []int64{0, 1}) || !slices.Equal(w.Words, words.Words) {
			t.Errorf("sample %d of text is %v %v of %q", k, w.Shape, w.I, w.Words)
		}
		if s["y"] != whole {
			t.Errorf("sample %d does not hold the vector as it is", k)
		}
	}
}
