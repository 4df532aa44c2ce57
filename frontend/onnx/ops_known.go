package onnx

import (
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Operators whose result would tell what the data is, or has no fixed-point form: they take public data only.

// constantInput returns the data of the first input if everybody may know it: private weights are refused, unlike parameters.
func (n *node) constantInput() (*ir.Tensor, error) {
	x := n.in(0)
	if x.Op == ir.OpConst {
		return x.Attrs.Tensor("data"), nil
	}
	if k := refusals[n.p.GetOpType()]; k != nil {
		e := k.of(n.at, n.p.GetOpType()+" of a value that is not public")
		e.Public = n.r.sources(x)
		return nil, e
	}
	ir.Bug("%s has no refusal", n.p.GetOpType())
	return nil, nil
}

// nonZero lists the places of elements that are not zero, one column each.
func nonZero(n *node) ([]*ir.Value, error) {
	t, err := n.constantInput()
	if err != nil {
		return nil, err
	}
	var places []int
	for i := range t.Len() {
		if t.At(i) != 0 {
			places = append(places, i)
		}
	}
	s := t.Shape
	if len(s) == 0 {
		s = ir.Shape{1}
	}
	out, err := n.tensor(ir.Int, ir.Shape{len(s), len(places)})
	if err != nil {
		return nil, err
	}
	st := strided(s)
	for k, p := range places {
		for d := range s {
			out.I[d*len(places)+k] = int64(p / st[d] % s[d])
		}
	}
	return one(n.constant(out))
}

// unique lists the different slices along an axis, or elements: in order, or as they appear.
func unique(n *node) ([]*ir.Value, error) {
	t, err := n.constantInput()
	if err != nil {
		return nil, err
	}
	s := ir.Shape{1, t.Len(), 1} // before, along and behind the axis
	if n.has("axis") {
		a, err := n.axis("axis", 0, len(t.Shape))
		if err != nil {
			return nil, err
		}
		s = ir.Shape{t.Shape[:a].Size(), t.Shape[a], t.Shape[a+1:].Size()}
	}
	if err := n.r.left.take(0, 64*volume(s)); err != nil {
		return nil, err
	}
	cell := func(i, j int) int { return (j/s[2]*s[1]+i)*s[2] + j%s[2] } // cell j of slice i
	width := s[0] * s[2]
	less := func(a, b int) int {
		for j := range width {
			x, y := t.At(cell(a, j)), t.At(cell(b, j))
			if x < y || math.IsNaN(y) && !math.IsNaN(x) {
				return -1
			}
			if x > y || math.IsNaN(x) && !math.IsNaN(y) {
				return 1
			}
		}
		return 0
	}
	order := span(s[1])
	slices.SortStableFunc(order, less)
	var firsts []int // of each group of equal slices
	group := make([]int, s[1])
	for k, i := range order {
		if k == 0 || less(order[k-1], i) != 0 {
			firsts = append(firsts, i)
		}
		group[i] = len(firsts) - 1
	}
	rank := span(len(firsts)) // of a group among the results
	if n.int("sorted", 1) == 0 {
		byPlace := span(len(firsts))
		slices.SortFunc(byPlace, func(a, b int) int { return firsts[a] - firsts[b] })
		sorted := make([]int, len(firsts))
		for r, g := range byPlace {
			rank[g], sorted[r] = r, firsts[g]
		}
		firsts = sorted
	}
	shape := ir.Shape{len(firsts)}
	if n.has("axis") {
		shape = slices.Clone(t.Shape)
		a, _ := n.axis("axis", 0, len(t.Shape))
		shape[a] = len(firsts)
	}
	var lists [4]*ir.Tensor
	for k, l := range []struct {
		e ir.Elem
		s ir.Shape
	}{{t.Elem, shape}, {ir.Int, ir.Shape{len(firsts)}}, {ir.Int, ir.Shape{s[1]}}, {ir.Int, ir.Shape{len(firsts)}}} {
		if lists[k], err = n.tensor(l.e, l.s); err != nil {
			return nil, err
		}
	}
	for r, i := range firsts {
		for j := range width {
			to, from := (j/s[2]*len(firsts)+r)*s[2]+j%s[2], cell(i, j)
			if t.Elem == ir.Real {
				lists[0].F[to] = t.F[from]
			} else {
				lists[0].I[to] = t.I[from]
			}
		}
		lists[1].I[r] = int64(i)
	}
	for i, g := range group {
		lists[2].I[i] = int64(rank[g])
		lists[3].I[rank[g]]++
	}
	c := n.calc()
	out := make([]*ir.Value, len(lists))
	for k, l := range lists {
		out[k] = c.data(l, false)
	}
	return out, c.err
}

// marks lowers a test of each element of public data. Of secrets it says which elements of an input are missing if it is told so; they are never
// infinite, and what is computed is a number.
func marks(nan bool, f func(n *node, x float64) bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		if x.Op != ir.OpConst {
			c := n.calc()
			if x.Type.Elem != ir.Real {
				return nil, fmt.Errorf("input is %v, want reals", x.Type.Elem)
			}
			if nan {
				if m := c.missing(x); m != nil || c.err != nil {
					return c.one(m)
				}
			}
			return c.one(c.expand(c.data(c.table(ir.Bool), false), x.Type.Shape))
		}
		t := x.Attrs.Tensor("data")
		if t.Elem != ir.Real {
			return nil, fmt.Errorf("input is %v, want reals", t.Elem)
		}
		out, err := n.tensor(ir.Bool, t.Shape)
		if err != nil {
			return nil, err
		}
		for i, x := range t.F {
			if f(n, x) {
				out.I[i] = 1
			}
		}
		return one(n.constant(out))
	}
}

func init() {
	add("NonZero", "Places of the elements of public data that are not zero.", nonZero, version{since: 9, in: 1, max: 1})
	add("Unique", "The different elements or slices of public data.", unique, version{since: 11, in: 1, max: 1, attrs: "axis:i sorted:i"})
	add("IsNaN", "Which elements of an input are missing, and of public data no number; none of what is computed.", marks(true, func(_ *node, x float64) bool { return math.IsNaN(x) }), version{since: 9, in: 1, max: 1})
	add("IsInf", "Which elements of public data are infinite; secrets never are.", marks(false, func(n *node, x float64) bool {
		return math.IsInf(x, 1) && n.int("detect_positive", 1) != 0 || math.IsInf(x, -1) && n.int("detect_negative", 1) != 0
	}), version{since: 10, in: 1, max: 1, attrs: "detect_negative:i detect_positive:i"})
}
