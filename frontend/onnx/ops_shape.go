package onnx

import (
	"errors"
	"fmt"

	"smpcc/ir"
)

// Structure: views, shapes, reductions, constants.

// span returns the list 0, 1, ... n-1.
func span(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// cut emits x[starts:ends:steps] in all dimensions.
func (n *node) cut(x *ir.Value, starts, ends, steps []int) (*ir.Value, error) {
	return n.e(ir.OpSlice, ir.Attrs{ir.Dims("starts", starts), ir.Dims("ends", ends), ir.Dims("steps", steps)}, x)
}

func reshape(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	want, err := n.list(1, "shape")
	if err != nil {
		return nil, err
	}
	if len(want) > maxRank {
		return nil, fmt.Errorf("shape has %d dimensions, at most %d are allowed", len(want), maxRank)
	}
	in := x.Type.Shape
	s := make(ir.Shape, len(want))
	rest, known := -1, 1
	for i, d := range want {
		switch {
		case d == 0 && n.int("allowzero", 0) == 0:
			if i >= len(in) {
				return nil, fmt.Errorf("shape %v copies dimension %d of %v", want, i, in)
			}
			s[i] = in[i]
		case d == -1 && rest < 0:
			rest = i
			continue
		case d < 0:
			return nil, fmt.Errorf("shape %v is malformed", want)
		default:
			s[i] = d
		}
		if s[i] > 1<<30 || known*s[i] > 1<<30 {
			return nil, fmt.Errorf("shape %v is too large", want)
		}
		known *= s[i]
	}
	if rest >= 0 {
		if known == 0 || in.Size()%known != 0 {
			return nil, fmt.Errorf("%v does not reshape to %v", in, want)
		}
		s[rest] = in.Size() / known
	}
	return one(n.reshape(x, s))
}

func slice(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	in := x.Type.Shape
	var lists [4][]int
	for i, name := range []string{"starts", "ends", "axes", "steps"} {
		var err error
		if lists[i], err = n.list(i+1, name); err != nil {
			return nil, err
		}
	}
	starts, ends, axes, steps := lists[0], lists[1], lists[2], lists[3]
	if axes == nil {
		axes = span(len(starts))
	}
	if steps == nil {
		steps = make([]int, len(starts))
		for i := range steps {
			steps[i] = 1
		}
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, errors.New("starts, ends, axes and steps have different lengths")
	}
	axes, err := ir.NormAxes(axes, len(in))
	if err != nil {
		return nil, err
	}
	from, to, by := make([]int, len(in)), append([]int{}, in...), make([]int, len(in))
	for i := range by {
		by[i] = 1
	}
	for i, a := range axes {
		d, s, e, st := in[a], starts[i], ends[i], steps[i]
		if s < 0 {
			s += d
		}
		if e < 0 {
			e += d
		}
		switch {
		case st == 0:
			return nil, errors.New("step is zero")
		case st > 0:
			s = max(0, min(s, d))
			e = max(s, min(e, d))
		default:
			s = max(-1, min(s, d-1))
			e = max(-1, min(e, s))
			if s < 0 { // nothing is left
				s, e, st = 0, 0, 1
			}
		}
		from[a], to[a], by[a] = s, e, st
	}
	return one(n.cut(x, from, to, by))
}

func pad(n *node) ([]*ir.Value, error) {
	if m := n.str("mode", "constant"); m != "constant" {
		return nil, fmt.Errorf("mode=%s is not supported", m)
	}
	x := n.in(0)
	in := x.Type.Shape
	pads, err := n.list(1, "pads")
	if err != nil {
		return nil, err
	}
	value, _, err := n.scalar(2, "value")
	if err != nil {
		return nil, err
	}
	axes := span(len(in))
	if n.given(3) {
		list, err := n.list(3, "axes")
		if err != nil {
			return nil, err
		}
		if axes, err = ir.NormAxes(list, len(in)); err != nil {
			return nil, err
		}
	}
	if len(pads) != 2*len(axes) {
		return nil, fmt.Errorf("pads has %d entries, want %d", len(pads), 2*len(axes))
	}
	full := make([]int, 2*len(in))
	from, to, by := make([]int, len(in)), append([]int{}, in...), make([]int, len(in))
	for i := range by {
		by[i] = 1
	}
	for i, a := range axes { // a negative pad cuts
		lo, hi := pads[i], pads[len(axes)+i]
		if lo < -in[a] || hi < -in[a] || lo > 1<<20 || hi > 1<<20 || lo+hi < -in[a] {
			return nil, fmt.Errorf("pads %v do not fit %v", pads, in)
		}
		from[a], full[a] = max(0, -lo), max(0, lo)
		to[a], full[len(in)+a] = in[a]+min(0, hi), max(0, hi)
		if from[a] > to[a] {
			return nil, fmt.Errorf("pads %v do not fit %v", pads, in)
		}
	}
	if x, err = n.cut(x, from, to, by); err != nil {
		return nil, err
	}
	y, err := n.e(ir.OpPad, ir.Attrs{ir.Dims("pads", full)}, x)
	if err != nil || value == 0 {
		return one(y, err)
	}
	if x.Type.Elem == ir.Bool {
		return nil, errors.New("padding bits with a value is not supported")
	}
	// the value where the padding is, zero elsewhere
	inner := ir.NewTensor(x.Type.Elem, x.Type.Shape)
	fill := func(t *ir.Tensor, v float64) {
		for i := range t.F {
			t.F[i] = v
		}
		for i := range t.I {
			t.I[i] = int64(v)
		}
	}
	fill(inner, -value)
	c, err := n.constant(inner)
	if err != nil {
		return nil, err
	}
	if c, err = n.e(ir.OpPad, ir.Attrs{ir.Dims("pads", full)}, c); err != nil {
		return nil, err
	}
	v, err := n.number(x, value)
	if err != nil {
		return nil, err
	}
	if c, err = n.e(ir.OpAdd, nil, c, v); err != nil {
		return nil, err
	}
	return one(n.e(ir.OpAdd, nil, y, c))
}

func gather(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	in := x.Type.Shape
	idx, err := n.public(1, "indices")
	if err != nil {
		return nil, err
	}
	if idx.Elem != ir.Int {
		return nil, fmt.Errorf("indices are %v, want integers", idx.Elem)
	}
	a, err := n.axis("axis", 0, len(in))
	if err != nil {
		return nil, err
	}
	list := make([]int, idx.Len())
	for i, k := range idx.I {
		if k < int64(-in[a]) || k >= int64(in[a]) {
			return nil, fmt.Errorf("index %d is out of range for dimension %d of %v", k, a, in)
		}
		if list[i] = int(k); k < 0 {
			list[i] += in[a]
		}
	}
	y, err := n.e(ir.OpGather, ir.Attrs{ir.I("axis", int64(a)), ir.Dims("indices", list)}, x)
	if err != nil {
		return nil, err
	}
	s := append(append(append(ir.Shape{}, in[:a]...), idx.Shape...), in[a+1:]...)
	return one(n.reshape(y, s))
}

// squeezed and unsqueezed lower Squeeze and Unsqueeze.
func squeezed(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	in := x.Type.Shape
	axes, err := n.list(1, "axes")
	if err != nil {
		return nil, err
	}
	if axes == nil {
		for i, d := range in {
			if d == 1 {
				axes = append(axes, i)
			}
		}
	}
	if axes, err = ir.NormAxes(axes, len(in)); err != nil {
		return nil, err
	}
	for _, a := range axes {
		if in[a] != 1 {
			return nil, fmt.Errorf("dimension %d of %v is not 1", a, in)
		}
	}
	return one(n.reshape(x, ir.ReducedShape(in, axes, false)))
}

func unsqueezed(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	axes, err := n.list(1, "axes")
	if err != nil {
		return nil, err
	}
	rank := len(x.Type.Shape) + len(axes)
	if rank > maxRank {
		return nil, fmt.Errorf("result has %d dimensions, at most %d are allowed", rank, maxRank)
	}
	if axes, err = ir.NormAxes(axes, rank); err != nil {
		return nil, err
	}
	s := make(ir.Shape, rank)
	for _, a := range axes {
		s[a] = 1
	}
	at := 0
	for i := range s {
		if s[i] == 0 {
			isNew := false
			for _, a := range axes {
				isNew = isNew || a == i
			}
			if !isNew {
				s[i] = x.Type.Shape[at]
				at++
			}
		}
	}
	return one(n.reshape(x, s))
}

// reduction lowers a reduction; negate computes the op of -x and negates the result, which turns max into min.
func reduction(op ir.Op, negate bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		axes, err := n.list(1, "axes")
		if err != nil {
			return nil, err
		}
		if len(axes) == 0 {
			if n.int("noop_with_empty_axes", 0) != 0 {
				return one(x, nil)
			}
			axes = span(len(x.Type.Shape))
		}
		if axes, err = ir.NormAxes(axes, len(x.Type.Shape)); err != nil {
			return nil, err
		}
		if negate {
			if x, err = n.e(ir.OpNeg, nil, x); err != nil {
				return nil, err
			}
		}
		y, err := n.e(op, ir.Attrs{ir.Dims("axes", axes), ir.I("keep", int64(n.int("keepdims", 1)))}, x)
		if err != nil || !negate {
			return one(y, err)
		}
		return one(n.e(ir.OpNeg, nil, y))
	}
}

func argMax(negate bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		if err := n.want("select_last_index", 0, 0); err != nil {
			return nil, err
		}
		x := n.in(0)
		a, err := n.axis("axis", 0, len(x.Type.Shape))
		if err != nil {
			return nil, err
		}
		if negate {
			if x, err = n.e(ir.OpNeg, nil, x); err != nil {
				return nil, err
			}
		}
		return one(n.e(ir.OpArgMax, ir.Attrs{ir.I("axis", int64(a)), ir.I("keep", int64(n.int("keepdims", 1)))}, x))
	}
}

func split(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	in := x.Type.Shape
	a, err := n.axis("axis", 0, len(in))
	if err != nil {
		return nil, err
	}
	sizes, err := n.list(1, "split")
	if err != nil {
		return nil, err
	}
	if sizes == nil {
		k := n.int("num_outputs", len(n.p.Output))
		if k < 1 || k > in[a] {
			return nil, fmt.Errorf("cannot split dimension %d of %v into %d parts", a, in, k)
		}
		each := (in[a] + k - 1) / k
		for at := 0; at < in[a]; at += each {
			sizes = append(sizes, min(each, in[a]-at))
		}
	}
	var out []*ir.Value
	at := 0
	for _, size := range sizes {
		if size < 0 || at+size > in[a] {
			return nil, fmt.Errorf("split %v does not fit dimension %d of %v", sizes, a, in)
		}
		from, to, by := make([]int, len(in)), append([]int{}, in...), make([]int, len(in))
		for i := range by {
			by[i] = 1
		}
		from[a], to[a] = at, at+size
		v, err := n.cut(x, from, to, by)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		at += size
	}
	if at != in[a] {
		return nil, fmt.Errorf("split %v does not fit dimension %d of %v", sizes, a, in)
	}
	return out, nil
}

func concat(n *node, axis int, xs []*ir.Value) (*ir.Value, error) {
	if len(xs) == 1 {
		return xs[0], nil
	}
	return n.e(ir.OpConcat, ir.Attrs{ir.I("axis", int64(axis))}, xs...)
}

// constantNode reads the one attribute of a Constant node.
func constantNode(n *node) ([]*ir.Value, error) {
	if len(n.attrs) != 1 {
		return nil, fmt.Errorf("has %d values, want one", len(n.attrs))
	}
	for name, a := range n.attrs {
		switch name {
		case "value":
			t, err := decodeTensor(a.GetT(), n.r.dir)
			if err != nil {
				return nil, err
			}
			return one(n.constant(t))
		case "value_float":
			return one(n.constant(ir.Reals(ir.Shape{}, float64(a.GetF()))))
		case "value_floats":
			t := ir.NewTensor(ir.Real, ir.Shape{len(a.Floats)})
			for i, x := range a.Floats {
				t.F[i] = float64(x)
			}
			return one(n.constant(t))
		case "value_int":
			return one(n.constant(ir.Ints(ir.Shape{}, a.GetI())))
		case "value_ints":
			return one(n.constant(ir.Ints(ir.Shape{len(a.Ints)}, append([]int64{}, a.Ints...)...)))
		}
	}
	return nil, errors.New("value is missing")
}

func init() {
	same := func(n *node) ([]*ir.Value, error) { return one(n.in(0), nil) }
	add("Identity", 1, 1, "", "The input itself.", same)
	add("Dropout", 1, 3, "ratio:f seed:i is_test:i", "The input itself, as in inference.", func(n *node) ([]*ir.Value, error) {
		if n.given(2) {
			t, err := n.public(2, "training_mode")
			if err != nil {
				return nil, err
			}
			if t.Len() != 1 || t.At(0) != 0 {
				return nil, errors.New("training_mode is not supported")
			}
		}
		return same(n)
	})
	add("Constant", 0, 0, "value:t value_float:f value_floats:fs value_int:i value_ints:is", "A public constant.", constantNode)
	add("ConstantOfShape", 1, 1, "value:t", "A public constant of one value.", func(n *node) ([]*ir.Value, error) {
		dims, err := n.list(0, "shape")
		if err != nil {
			return nil, err
		}
		s := ir.Shape(dims)
		if err := ir.CheckShape(s); err != nil {
			return nil, err
		}
		v := ir.Reals(ir.Shape{1}, 0)
		if a := n.attrs["value"]; a != nil {
			if v, err = decodeTensor(a.GetT(), n.r.dir); err != nil {
				return nil, err
			}
			if v.Len() != 1 {
				return nil, fmt.Errorf("value has %d elements, want one", v.Len())
			}
		}
		c, err := n.constant(&ir.Tensor{Elem: v.Elem, Shape: ir.Shape{}, F: v.F, I: v.I})
		if err != nil {
			return nil, err
		}
		return one(n.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, c))
	})
	add("Shape", 1, 1, "start:i end:i", "The input's dimensions, which are public.", func(n *node) ([]*ir.Value, error) {
		s := n.in(0).Type.Shape
		bound := func(x int) int {
			if x < 0 {
				x += len(s)
			}
			return max(0, min(x, len(s)))
		}
		from, to := bound(n.int("start", 0)), bound(n.int("end", len(s)))
		t := ir.NewTensor(ir.Int, ir.Shape{max(0, to-from)})
		for i := range t.I {
			t.I[i] = int64(s[from+i])
		}
		return one(n.constant(t))
	})
	add("Size", 1, 1, "", "The input's number of elements, which is public.", func(n *node) ([]*ir.Value, error) {
		return one(n.constant(ir.Ints(ir.Shape{}, int64(n.in(0).Type.Shape.Size()))))
	})
	add("Range", 3, 3, "", "Public numbers from start to limit.", func(n *node) ([]*ir.Value, error) {
		var p [3]*ir.Tensor
		for i, what := range []string{"start", "limit", "delta"} {
			var err error
			if p[i], err = n.public(i, what); err != nil {
				return nil, err
			}
			if p[i].Len() != 1 || p[i].Elem != p[0].Elem {
				return nil, fmt.Errorf("%s is not a number of one kind", what)
			}
		}
		a, b, d := p[0].At(0), p[1].At(0), p[2].At(0)
		if !(d != 0 && (b-a)/d < 1<<24) {
			return nil, fmt.Errorf("range %g..%g by %g is empty or too long", a, b, d)
		}
		var list []float64
		for i := 0; (a+float64(i)*d < b) == (d > 0) && a+float64(i)*d != b; i++ {
			list = append(list, a+float64(i)*d)
		}
		t := ir.NewTensor(p[0].Elem, ir.Shape{len(list)})
		for i, x := range list {
			if t.Elem == ir.Real {
				t.F[i] = x
			} else {
				t.I[i] = int64(x)
			}
		}
		return one(n.constant(t))
	})
	add("Flatten", 1, 1, "axis:i", "Dimensions joined to two.", func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		s := x.Type.Shape
		a := n.int("axis", 1)
		if a < 0 {
			a += len(s)
		}
		if a < 0 || a > len(s) {
			return nil, fmt.Errorf("axis %d is out of range for %v", n.int("axis", 1), s)
		}
		return one(n.reshape(x, ir.Shape{s[:a].Size(), s[a:].Size()}))
	})
	add("Reshape", 1, 2, "shape:is allowzero:i", "The same elements in another shape, which is public.", reshape)
	add("Transpose", 1, 1, "perm:is", "Dimensions permuted.", func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		perm := n.ints("perm")
		if perm == nil {
			for i := range x.Type.Shape {
				perm = append(perm, len(x.Type.Shape)-1-i)
			}
		}
		return one(n.transpose(x, perm...))
	})
	add("Squeeze", 1, 2, "axes:is", "Dimensions of length one removed.", squeezed)
	add("Unsqueeze", 1, 2, "axes:is", "Dimensions of length one inserted.", unsqueezed)
	add("Concat", 1, -1, "axis:i", "Inputs joined along an axis.", func(n *node) ([]*ir.Value, error) {
		xs := make([]*ir.Value, len(n.p.Input))
		for i := range xs {
			if !n.given(i) {
				return nil, fmt.Errorf("input %d is missing", i+1)
			}
			xs[i] = n.in(i)
		}
		a, err := n.axis("axis", 0, len(xs[0].Type.Shape))
		if err != nil {
			return nil, err
		}
		return one(concat(n, a, xs))
	})
	add("Split", 1, 2, "axis:i split:is num_outputs:i", "Parts along an axis.", split)
	add("Slice", 1, 5, "starts:is ends:is axes:is", "Every step-th element between public bounds.", slice)
	add("Gather", 2, 2, "axis:i", "Slices at public indices.", gather)
	add("Pad", 1, 4, "mode:s pads:is value:f", "A public value around the input; negative pads cut.", pad)
	add("Expand", 2, 2, "", "Broadcast to a public shape.", func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		dims, err := n.list(1, "shape")
		if err != nil {
			return nil, err
		}
		if len(dims) > maxRank {
			return nil, fmt.Errorf("shape has %d dimensions, at most %d are allowed", len(dims), maxRank)
		}
		s, err := ir.BroadcastShape(x.Type.Shape, dims)
		if err != nil {
			return nil, err
		}
		return one(n.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, x))
	})
	add("Tile", 2, 2, "", "The input repeated along each dimension.", func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		reps, err := n.list(1, "repeats")
		if err != nil {
			return nil, err
		}
		if len(reps) != len(x.Type.Shape) {
			return nil, fmt.Errorf("repeats %v do not fit %v", reps, x.Type.Shape)
		}
		for a, k := range reps {
			d := x.Type.Shape[a]
			if k < 0 || k*d > 1<<24 {
				return nil, fmt.Errorf("repeats %v are out of range", reps)
			}
			idx := make([]int, k*d)
			for i := range idx {
				idx[i] = i % d
			}
			if x, err = n.e(ir.OpGather, ir.Attrs{ir.I("axis", int64(a)), ir.Dims("indices", idx)}, x); err != nil {
				return nil, err
			}
		}
		return one(x, nil)
	})
	reduce := "axes:is keepdims:i noop_with_empty_axes:i"
	add("ReduceSum", 1, 2, reduce, "Sum over axes.", reduction(ir.OpReduceSum, false))
	add("ReduceMean", 1, 2, reduce, "Mean over axes.", reduction(ir.OpReduceMean, false))
	add("ReduceMax", 1, 2, reduce, "Largest element over axes.", reduction(ir.OpReduceMax, false))
	add("ReduceMin", 1, 2, reduce, "Smallest element over axes.", reduction(ir.OpReduceMax, true))
	add("ArgMax", 1, 1, "axis:i keepdims:i select_last_index:i", "Index of the largest element; the first on ties.", argMax(false))
	add("ArgMin", 1, 1, "axis:i keepdims:i select_last_index:i", "Index of the smallest element; the first on ties.", argMax(true))
}
