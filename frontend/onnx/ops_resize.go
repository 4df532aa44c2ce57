package onnx

import (
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Resizing: each output position along an axis is a public combination of input positions, so that everything is local.

// A sampling says where output positions lie in the input, and how neighbours are weighed.
type sampling struct {
	mode, where, nearest string
	cubic                float64
	excludeOutside       bool
	antialias            bool
	outside              float64
}

// at returns the input coordinate of output position i along an axis of in positions scaled to out. roi is used by one mode.
func (s *sampling) at(i int, in, out int, scale float64, roi [2]float64) (float64, error) {
	x, n := float64(i), float64(in)
	m := scale * n // the size before it is rounded to out
	switch s.where {
	case "half_pixel":
		return (x+0.5)/scale - 0.5, nil
	case "half_pixel_symmetric":
		adjust := float64(out) / m
		return n/2*(1-adjust) + (x+0.5)/scale - 0.5, nil
	case "pytorch_half_pixel":
		if out <= 1 {
			return 0, nil
		}
		return (x+0.5)/scale - 0.5, nil
	case "align_corners":
		if out <= 1 {
			return 0, nil
		}
		return x * (n - 1) / (m - 1), nil
	case "asymmetric":
		return x / scale, nil
	case "tf_half_pixel_for_nn":
		return (x + 0.5) / scale, nil
	case "tf_crop_and_resize":
		if out <= 1 {
			return 0.5 * (roi[0] + roi[1]) * (n - 1), nil
		}
		return roi[0]*(n-1) + x*(roi[1]-roi[0])*(n-1)/(m-1), nil
	}
	return 0, fmt.Errorf("coordinate_transformation_mode=%s is not supported", short(s.where))
}

// kernel weighs a neighbour at distance d.
func (s *sampling) kernel(d float64) float64 {
	d = math.Abs(d)
	if s.mode == "linear" {
		return max(0, 1-d)
	}
	a := s.cubic
	switch {
	case d < 1:
		return ((a+2)*d-(a+3))*d*d + 1
	case d < 2:
		return ((a*d-5*a)*d+8*a)*d - 4*a
	}
	return 0
}

// round picks the neighbour that nearest takes.
func (s *sampling) round(x float64) (int, error) {
	switch s.nearest {
	case "round_prefer_floor":
		return int(math.Ceil(x - 0.5)), nil
	case "round_prefer_ceil":
		return int(math.Floor(x + 0.5)), nil
	case "floor":
		return int(math.Floor(x)), nil
	case "ceil":
		return int(math.Ceil(x)), nil
	}
	return 0, fmt.Errorf("nearest_mode=%s is not supported", short(s.nearest))
}

// axis resizes one axis of x.
func (c *calc) axis(x *ir.Value, a, out int, scale float64, roi [2]float64, s *sampling) *ir.Value {
	if c.err != nil {
		return nil
	}
	in := x.Type.Shape[a]
	if out < 0 || out > maxRange || in == 0 && out > 0 || float64(out)*float64(in) > maxRange {
		return c.fail("dimension %d of %v cannot be resized to %d", a, x.Type.Shape, out)
	}
	crop := s.where == "tf_crop_and_resize"
	if !crop && s.where != "align_corners" && scale == 1 && in == out {
		return x
	}
	idx := make([]int, out)
	weights := c.table(ir.Real, in, out) // of input by output position
	if weights == nil {
		return nil
	}
	outside := make([]bool, out)
	some := false
	stretch := 1.0 // of the kernel
	reach := 2.0
	if s.antialias && scale < 1 {
		stretch = 1 / scale
		reach *= stretch
	}
	for i := range out {
		at, err := s.at(i, in, out, scale, roi)
		if err != nil {
			return c.got(nil, err)
		}
		if crop && (at < 0 || at > float64(in-1)) {
			outside[i], some = true, true
		}
		if s.mode == "nearest" {
			k, err := s.round(at)
			if err != nil {
				return c.got(nil, err)
			}
			idx[i] = min(max(k, 0), in-1)
			continue
		}
		sum := 0.0
		first, last := int(math.Ceil(at-reach)), int(math.Floor(at+reach))
		w := make([]float64, last-first+1)
		for k := first; k <= last; k++ {
			w[k-first] = s.kernel((float64(k) - at) / stretch)
			if s.excludeOutside && (k < 0 || k >= in) {
				w[k-first] = 0
			}
			sum += w[k-first]
		}
		for k := first; k <= last; k++ {
			weights.F[min(max(k, 0), in-1)*out+i] += w[k-first] / sum
		}
	}
	var y *ir.Value
	if s.mode == "nearest" {
		y = c.pick(x, a, idx)
	} else {
		perm, back := toLast(len(x.Type.Shape), a)
		xt := c.transpose(x, perm...)
		if c.err != nil {
			return nil
		}
		flat := c.e(ir.OpMatMul, nil, c.reshape(xt, x.Type.Shape.Size()/max(1, in), in), c.data(weights, false))
		t := slices.Clone(xt.Type.Shape)
		t[len(t)-1] = out
		y = c.transpose(c.reshape(flat, t...), back...)
	}
	if !some || c.err != nil {
		return y
	}
	mask, fill := c.table(ir.Real, y.Type.Shape...), c.table(ir.Real, y.Type.Shape...)
	if fill == nil {
		return nil
	}
	coordinates(y.Type.Shape, func(i int, at []int) {
		if mask.F[i] = 1; outside[at[a]] {
			mask.F[i], fill.F[i] = 0, s.outside
		}
	})
	return c.add(c.mul(y, c.data(mask, true)), c.data(fill, false))
}

// resize lowers Resize; scales and sizes are public.
func resize(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	in := x.Type.Shape
	s := &sampling{mode: n.str("mode", "nearest"), where: n.str("coordinate_transformation_mode", "half_pixel"), nearest: n.str("nearest_mode", "round_prefer_floor"),
		cubic: n.float("cubic_coeff_a", -0.75), excludeOutside: n.int("exclude_outside", 0) != 0, antialias: n.int("antialias", 0) != 0, outside: n.float("extrapolation_value", 0)}
	first := 2
	if n.opset < 11 {
		s.where, s.nearest, first = "asymmetric", "floor", 1
	}
	if s.mode != "nearest" && s.mode != "linear" && s.mode != "cubic" {
		return nil, fmt.Errorf("mode=%s is not supported", short(s.mode))
	}
	axes := span(len(in))
	if list := n.ints("axes"); list != nil {
		var err error
		if axes, err = ir.NormAxes(list, len(in)); err != nil {
			return nil, err
		}
	}
	scales := make([]float64, len(axes))
	sizes := make([]int, len(axes))
	if n.given(first) {
		t, err := n.public(first, "scales")
		if err != nil {
			return nil, err
		}
		if t.Len() != 0 && t.Len() != len(axes) {
			return nil, fmt.Errorf("%d scales for %d axes", t.Len(), len(axes))
		}
		for i := range t.Len() {
			scales[i] = t.At(i)
			if !(scales[i] > 0 && scales[i] < 1<<16) {
				return nil, fmt.Errorf("scale %g is out of range", scales[i])
			}
			sizes[i] = int(math.Floor(float64(in[axes[i]])*scales[i] + 1e-9))
		}
	}
	if len(scales) > 0 && scales[0] == 0 {
		list, err := n.list(3, "sizes")
		if err != nil {
			return nil, err
		}
		if len(list) != len(axes) {
			return nil, fmt.Errorf("%d sizes for %d axes", len(list), len(axes))
		}
		for i := range sizes {
			sizes[i] = list[i]
			scales[i] = float64(list[i]) / float64(max(1, in[axes[i]]))
		}
		if policy := n.str("keep_aspect_ratio_policy", "stretch"); policy != "stretch" {
			k := scales[0]
			for _, f := range scales {
				if policy == "not_larger" {
					k = min(k, f)
				} else {
					k = max(k, f)
				}
			}
			for i := range sizes {
				scales[i], sizes[i] = k, int(math.Round(k*float64(in[axes[i]])))
			}
		}
	}
	roi := make([][2]float64, len(axes))
	if s.where == "tf_crop_and_resize" {
		t, err := n.public(1, "roi")
		if err != nil {
			return nil, err
		}
		if t.Len() != 2*len(axes) {
			return nil, fmt.Errorf("roi has %d entries, want %d", t.Len(), 2*len(axes))
		}
		for i := range axes {
			roi[i] = [2]float64{t.At(i), t.At(len(axes) + i)}
		}
	}
	for i, a := range axes {
		x = c.axis(x, a, sizes[i], scales[i], roi[i], s)
	}
	return c.one(x)
}

func upsample(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := &sampling{mode: n.str("mode", "nearest"), where: "asymmetric", nearest: "floor"}
	var scales []float64
	if n.given(1) {
		t, err := n.public(1, "scales")
		if err != nil {
			return nil, err
		}
		for i := range t.Len() {
			scales = append(scales, t.At(i))
		}
	} else if a := n.attrs["scales"]; a != nil {
		for _, f := range a.Floats {
			scales = append(scales, float64(f))
		}
	}
	if len(scales) != len(x.Type.Shape) || s.mode != "nearest" && s.mode != "linear" {
		return nil, fmt.Errorf("%d scales with mode=%s do not fit %v", len(scales), short(s.mode), x.Type.Shape)
	}
	for a, k := range scales {
		if !(k > 0 && k < 1<<16) {
			return nil, fmt.Errorf("scale %g is out of range", k)
		}
		x = c.axis(x, a, int(math.Floor(float64(x.Type.Shape[a])*k+1e-9)), k, [2]float64{}, s)
		if c.err != nil {
			break
		}
	}
	return c.one(x)
}

func init() {
	attrs := "coordinate_transformation_mode:s cubic_coeff_a:f exclude_outside:i extrapolation_value:f mode:s nearest_mode:s"
	more := attrs + " antialias:i axes:is keep_aspect_ratio_policy:s"
	add("Resize", "Resampling to public sizes: nearest, linear or cubic.", resize,
		version{since: 10, in: 2, max: 2, attrs: "mode:s"}, version{since: 11, in: 1, max: 4, attrs: attrs}, version{since: 18, in: 1, max: 4, attrs: more})
	add("Upsample", "Enlarging by public factors: nearest or linear.", upsample,
		version{since: 7, in: 1, max: 1, attrs: "mode:s scales:fs!"}, version{since: 9, in: 2, max: 2, attrs: "mode:s"})
}
