package onnx

import (
	"errors"
	"fmt"
	"math"

	"smpcc/ir"
)

// Views: elements move, none changes.

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

// expand broadcasts x to a shape.
func (n *node) expand(x *ir.Value, s ir.Shape) (*ir.Value, error) {
	if x.Type.Shape.Equal(s) {
		return x, nil
	}
	return n.e(ir.OpExpand, ir.Attrs{ir.Dims("shape", s)}, x)
}

// every returns starts, ends and steps of a cut that keeps everything.
func every(in ir.Shape) (starts, ends, steps []int) {
	steps = make([]int, len(in))
	for i := range steps {
		steps[i] = 1
	}
	return make([]int, len(in)), append([]int{}, in...), steps
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
		_, _, steps = every(starts)
	}
	if len(ends) != len(starts) || len(axes) != len(starts) || len(steps) != len(starts) {
		return nil, errors.New("starts, ends, axes and steps have different lengths")
	}
	axes, err := ir.NormAxes(axes, len(in))
	if err != nil {
		return nil, err
	}
	from, to, by := every(in)
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
	mode := n.str("mode", "constant")
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
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return nil, errors.New("padding with a value that is not finite is not supported")
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
	from, to, by := every(in)
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
	if mode != "constant" {
		return mirrored(n, x, full, mode)
	}
	y, err := n.e(ir.OpPad, ir.Attrs{ir.Dims("pads", full)}, x)
	if err != nil || value == 0 {
		return one(y, err)
	}
	if x.Type.Elem == ir.Bool {
		return nil, errors.New("padding bits with a value is not supported")
	}
	// the value where the padding is, zero elsewhere
	c, err := n.number(x, -value)
	if err != nil {
		return nil, err
	}
	if c, err = n.expand(c, x.Type.Shape); err != nil {
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

// mirrored pads x with its own elements.
func mirrored(n *node, x *ir.Value, pads []int, mode string) ([]*ir.Value, error) {
	c := n.calc()
	for a, d := range x.Type.Shape {
		lo, hi := pads[a], pads[len(x.Type.Shape)+a]
		if lo == 0 && hi == 0 {
			continue
		}
		if d == 0 {
			return nil, fmt.Errorf("dimension %d is empty, so mode=%s has nothing to pad with", a, short(mode))
		}
		idx, err := n.indices(lo + d + hi)
		if err != nil {
			return nil, err
		}
		for i := range idx {
			k := i - lo
			switch mode {
			case "edge":
				k = min(max(k, 0), d-1)
			case "wrap":
				k = (k%d + d) % d
			case "reflect":
				if period := 2 * (d - 1); period == 0 {
					k = 0
				} else {
					k = (k%period + period) % period
					k = min(k, period-k)
				}
			default:
				return nil, fmt.Errorf("mode=%s is not supported", short(mode))
			}
			idx[i] = k
		}
		x = c.pick(x, a, idx)
	}
	return c.one(x)
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
	parts := len(n.p.Output)
	if n.has("num_outputs") && n.int("num_outputs", 0) != parts {
		return nil, fmt.Errorf("num_outputs=%d, but the node has %d outputs", n.int("num_outputs", 0), parts)
	}
	if sizes == nil {
		if parts < 1 || n.opset < 18 && in[a]%parts != 0 {
			return nil, fmt.Errorf("cannot split dimension %d of %v into %d equal parts", a, in, parts)
		}
		each := (in[a] + parts - 1) / parts
		for i := range parts {
			sizes = append(sizes, max(0, min(each, in[a]-i*each)))
		}
	}
	if len(sizes) != parts {
		return nil, fmt.Errorf("split has %d entries, but the node has %d outputs", len(sizes), parts)
	}
	var out []*ir.Value
	at := 0
	for _, size := range sizes {
		if size < 0 || at+size > in[a] {
			return nil, fmt.Errorf("split %v does not fit dimension %d of %v", sizes, a, in)
		}
		from, to, by := every(in)
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

func flatten(n *node) ([]*ir.Value, error) {
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
}

func transpose(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	perm := n.ints("perm")
	if perm == nil {
		for i := range x.Type.Shape {
			perm = append(perm, len(x.Type.Shape)-1-i)
		}
	}
	return one(n.transpose(x, perm...))
}

func join(n *node) ([]*ir.Value, error) {
	xs := make([]*ir.Value, len(n.p.Input))
	for i := range xs {
		xs[i] = n.in(i)
	}
	a, err := n.axis("axis", 1, len(xs[0].Type.Shape))
	if err != nil || len(xs) == 1 {
		return one(xs[0], err)
	}
	return one(n.e(ir.OpConcat, ir.Attrs{ir.I("axis", int64(a))}, xs...))
}

func broadcast(n *node) ([]*ir.Value, error) {
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
	return one(n.expand(x, s))
}

// tile repeats x along each dimension.
func tile(n *node) ([]*ir.Value, error) {
	x := n.in(0)
	reps, err := n.list(1, "repeats")
	if err != nil {
		return nil, err
	}
	if len(reps) != len(x.Type.Shape) {
		return nil, fmt.Errorf("repeats %v do not fit %v", reps, x.Type.Shape)
	}
	for a, k := range reps {
		if k == 1 {
			continue
		}
		d := x.Type.Shape[a]
		if k < 0 || k > maxRange || k*d > maxRange {
			return nil, fmt.Errorf("repeats %v are out of range", reps)
		}
		idx, err := n.indices(k * d)
		if err != nil {
			return nil, err
		}
		for i := range idx {
			idx[i] = i % d
		}
		if x, err = n.e(ir.OpGather, ir.Attrs{ir.I("axis", int64(a)), ir.Dims("indices", idx)}, x); err != nil {
			return nil, err
		}
	}
	return one(x, nil)
}

// blocks lowers DepthToSpace and SpaceToDepth, which move squares of cells from channels to the plane and back.
func blocks(toSpace bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		s, k := x.Type.Shape, n.int("blocksize", 0)
		mode := n.str("mode", "DCR")
		if len(s) != 4 || k < 1 || k > 1<<14 || mode != "DCR" && mode != "CRD" {
			return nil, fmt.Errorf("input %v with blocksize %d and mode %q is not supported", s, k, short(mode))
		}
		b, c, h, w := s[0], s[1], s[2], s[3]
		if toSpace && c%(k*k) != 0 || !toSpace && (h%k != 0 || w%k != 0) {
			return nil, fmt.Errorf("blocks of %dx%d do not fit %v", k, k, s)
		}
		split, perm, joined := ir.Shape{b, k, k, c / (k * k), h, w}, []int{0, 3, 4, 1, 5, 2}, ir.Shape{b, c / (k * k), h * k, w * k}
		switch {
		case !toSpace:
			split, perm, joined = ir.Shape{b, c, h / k, k, w / k, k}, []int{0, 3, 5, 1, 2, 4}, ir.Shape{b, c * k * k, h / k, w / k}
		case mode == "CRD":
			split, perm = ir.Shape{b, c / (k * k), k, k, h, w}, []int{0, 1, 4, 2, 5, 3}
		}
		y, err := n.reshape(x, split)
		if err != nil {
			return nil, err
		}
		if y, err = n.transpose(y, perm...); err != nil {
			return nil, err
		}
		return one(n.reshape(y, joined))
	}
}

func init() {
	add("DepthToSpace", "Channels spread over blocks of the plane.", blocks(true),
		version{since: 1, in: 1, max: 1, attrs: "blocksize:i!"},
		version{since: 11, in: 1, max: 1, attrs: "blocksize:i! mode:s"})
	add("SpaceToDepth", "Blocks of the plane gathered into channels.", blocks(false), version{since: 1, in: 1, max: 1, attrs: "blocksize:i!"})
	add("Flatten", "Dimensions joined to two.", flatten, version{since: 1, in: 1, max: 1, attrs: "axis:i"})
	add("Reshape", "The same elements in another shape, which is public.", reshape,
		version{since: 5, in: 2, max: 2},
		version{since: 14, in: 2, max: 2, attrs: "allowzero:i"})
	add("Transpose", "Dimensions permuted.", transpose, version{since: 1, in: 1, max: 1, attrs: "perm:is"})
	add("Squeeze", "Dimensions of length one removed.", squeezed, version{since: 1, in: 1, max: 1, attrs: "axes:is"}, version{since: 13, in: 1, max: 2})
	add("Unsqueeze", "Dimensions of length one inserted.", unsqueezed, version{since: 1, in: 1, max: 1, attrs: "axes:is!"}, version{since: 13, in: 2, max: 2})
	add("Concat", "Inputs joined along an axis.", join, version{since: 4, in: 1, max: -1, attrs: "axis:i!"})
	add("Split", "Parts along an axis.", split, version{since: 2, in: 1, max: 1, attrs: "axis:i split:is"}, version{since: 13, in: 1, max: 2, attrs: "axis:i"},
		version{since: 18, in: 1, max: 2, attrs: "axis:i num_outputs:i"})
	add("Slice", "Every step-th element between public bounds.", slice,
		version{since: 1, in: 1, max: 1, attrs: "starts:is! ends:is! axes:is"},
		version{since: 10, in: 3, max: 5})
	add("Pad", "A public value around the input; negative pads cut.", pad, version{since: 2, in: 1, max: 1, attrs: "mode:s pads:is! value:f"},
		version{since: 11, in: 2, max: 3, attrs: "mode:s"}, version{since: 18, in: 2, max: 4, attrs: "mode:s"})
	add("Expand", "Broadcast to a public shape.", broadcast, version{since: 8, in: 2, max: 2})
	add("Tile", "The input repeated along each dimension.", tile, version{since: 6, in: 2, max: 2})
}
