package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// Sampling at the places of a public grid, and pooling with places.

// A pixels says how GridSample reads an input dimension.
type pixels struct {
	size    int
	lo, hi  float64 // borders for reflection
	padding string
}

// reflect mirrors x at the borders until it lies between them.
func (p *pixels) reflect(x float64) float64 {
	r := p.hi - p.lo
	if r <= 0 {
		return p.lo
	}
	d := math.Mod(math.Abs(x-p.lo), 2*r)
	if d > r {
		d = 2*r - d
	}
	return p.lo + d
}

// cell returns the cell that coordinate i reads; false for a zero.
func (p *pixels) cell(i int) (int, bool) {
	switch {
	case i >= 0 && i < p.size:
		return i, true
	case p.padding == "zeros":
		return 0, false
	case p.padding == "border":
		return min(max(i, 0), p.size-1), true
	}
	return min(max(int(p.reflect(float64(i))), 0), p.size-1), true
}

// mostHats bounds the hats that sampling at secret places takes.
const mostHats = 1 << 16

// hats reports whether GridSample is small enough for its places to be secret, and one whose kernels are hats.
func (n *node) hats() bool {
	s, g := n.in(0).Type.Shape, n.in(1).Type.Shape
	if len(s) != 4 || len(g) != 4 || g[0] != s[0] || g[3] != 2 || n.in(0).Type.Elem != ir.Real || n.in(1).Type.Elem != ir.Real || s.Size() == 0 || g.Size() == 0 {
		return false
	}
	mode, padding := n.str("mode", "linear"), n.str("padding_mode", "zeros")
	return (mode == "linear" || mode == "bilinear") && (padding == "zeros" || padding == "border") && volume(ir.Shape{g[0], g[1], g[2], s[2] + s[3]}) <= mostHats
}

// hatSample samples x [N,C,H,W] at secret places g [N,h,w,2]: pixel (i, j) counts with the hats max(0, 1 - |y-i|) max(0, 1 - |x-j|), which is bilinear
// interpolation with zeros outside, and with places moved inside that of the border.
func (c *calc) hatSample(x, g *ir.Value) *ir.Value {
	s, to := x.Type.Shape, g.Type.Shape
	places := to[1] * to[2]
	corners, border := c.n.int("align_corners", 0) != 0, c.n.str("padding_mode", "zeros") == "border"
	hat := func(k, size int) *ir.Value { // of coordinate k, [N,places,size]
		v := c.reshape(c.cut(g, 3, k, k+1), s[0], places, 1)
		if corners {
			v = c.scale(c.plus(v, 1), float64(size-1)/2)
		} else {
			v = c.plus(c.scale(v, float64(size)/2), float64(size-1)/2)
		}
		if border {
			v = c.e(ir.OpClip, ir.Attrs{ir.F("lo", 0), ir.F("hi", float64(size-1))}, v)
		}
		return c.relu(c.plus(c.neg(c.fn(ir.OpAbs, c.sub(v, c.to(c.iota(size), ir.Real)))), 1))
	}
	across, down := c.transpose(hat(0, s[3]), 0, 2, 1), c.transpose(hat(1, s[2]), 0, 2, 1) // [N,W,places], [N,H,places]
	if c.err != nil {
		return nil
	}
	if err := c.n.r.left.take(volume(ir.Shape{s[0], s[1], s[2], places}), volume(ir.Shape{s[0], s[1], s[2], s[3], places})); err != nil {
		return c.got(nil, err)
	}
	rows := c.reshape(c.e(ir.OpMatMul, nil, c.reshape(x, s[0], s[1]*s[2], s[3]), across), s[0], s[1], s[2], places)
	return c.reshape(c.reduce(ir.OpReduceSum, c.mul(rows, c.reshape(down, s[0], 1, s[2], places)), 2), s[0], s[1], to[1], to[2])
}

// gridSample lowers GridSample: every output is a public combination of input cells, which is local.
func gridSample(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	grid, err := n.public(1, "grid")
	if err != nil && n.hats() {
		return c.one(c.hatSample(x, n.in(1)))
	}
	if err != nil {
		return nil, err
	}
	s, g := x.Type.Shape, grid.Shape
	rank := len(s) - 2
	if rank < 1 || rank > 3 || len(g) != len(s) || g[0] != s[0] || g[len(g)-1] != rank || grid.Elem != ir.Real {
		return nil, fmt.Errorf("grid %v%v does not fit the input %v", grid.Elem, g, s)
	}
	if s.Size() == 0 {
		return nil, errors.New("input is empty")
	}
	taps := 1 // of each dimension
	mode := n.str("mode", map[bool]string{true: "linear", false: "bilinear"}[n.opset >= 20])
	kernel := &sampling{cubic: -0.75}
	switch mode {
	case "nearest":
	case "linear", "bilinear":
		taps, kernel.mode = 2, "linear"
	case "cubic", "bicubic":
		taps, kernel.mode = 4, "cubic"
	default:
		return nil, fmt.Errorf("mode=%s is not supported", short(mode))
	}
	padding := n.str("padding_mode", "zeros")
	if padding != "zeros" && padding != "border" && padding != "reflection" {
		return nil, fmt.Errorf("padding_mode=%s is not supported", short(padding))
	}
	corners := n.int("align_corners", 0) != 0
	axes := make([]pixels, rank)
	all := 1
	for d := range axes {
		axes[d] = pixels{size: s[2+d], lo: -0.5, hi: float64(s[2+d]) - 0.5, padding: padding}
		if corners {
			axes[d].lo, axes[d].hi = 0, float64(s[2+d]-1)
		}
		all *= taps
	}
	places := g[1 : len(g)-1].Size() // of one sample
	cells := s[2:].Size()
	if err := n.r.left.take(float64(s[0])*float64(s[1])*float64(places)*float64(all), 0); err != nil {
		return nil, err
	}
	w := c.table(ir.Real, s[0], 1, places, all)
	if w == nil {
		return nil, c.err
	}
	where := make([]int, s[0]*places*all)
	first := make([]int, rank)
	at := make([]float64, rank)
	for o := range s[0] * places {
		for d := range axes {
			v := grid.F[o*rank+rank-1-d] // the grid names the last dimension first
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("element %d of the grid is not a finite number", o*rank+rank-1-d)
			}
			size := float64(s[2+d])
			if corners {
				v = (v + 1) / 2 * (size - 1)
			} else {
				v = ((v+1)*size - 1) / 2
			}
			v = float64(float32(v)) // as precise as everybody else, so that ties fall alike
			if mode == "nearest" {
				if v = math.RoundToEven(v); rank == 3 {
					v = math.Round(v)
				}
			}
			if taps < 4 && (v < axes[d].lo || v > axes[d].hi) { // cubic kernels reach outside as it is: each tap is moved inside
				switch padding {
				case "border":
					v = min(max(v, 0), size-1)
				case "reflection":
					v = axes[d].reflect(v)
				}
			}
			v = min(max(v, -1<<30), 1<<30)
			at[d], first[d] = v, int(math.Floor(v))-(taps-1)/2
			if mode == "nearest" {
				first[d] = int(v)
			}
		}
		for k := range all {
			weight, place := 1.0, 0
			for d, rest := 0, k; d < rank; d++ {
				i := first[d] + rest%taps
				rest /= taps
				p, ok := axes[d].cell(i)
				if !ok {
					weight = 0
				}
				if taps > 1 {
					weight *= kernel.kernel(float64(i) - at[d])
				}
				place = place*s[2+d] + p
			}
			w.F[o*all+k], where[o*all+k] = weight, place
		}
	}
	src, err := n.indices(s[0] * s[1] * places * all)
	if err != nil {
		return nil, err
	}
	for i := range src {
		b, j := i/(places*all), i%(places*all)
		src[i] = b*cells + where[b/s[1]*places*all+j]
	}
	y := c.mul(c.take(x, src, ir.Shape{s[0], s[1], places, all}), c.data(w, mode == "nearest"))
	return c.one(c.reshape(c.reduce(ir.OpReduceSum, y, 3), append([]int{s[0], s[1]}, g[1:len(g)-1]...)...))
}

// maxPlaces lowers MaxPool with its second output: the flat place of each largest element.
func (n *node) maxPlaces(x *ir.Value, k, s, d, pads, extra []int) ([]*ir.Value, error) {
	c := n.calc()
	in := x.Type.Shape[2:]
	rank := len(in)
	out, err := windowPlaces(in, k, s, d, pads, extra)
	if err != nil {
		return nil, err
	}
	window := ir.Shape(k).Size()
	cells, err := n.indices(out.Size() * window)
	if err != nil {
		return nil, err
	}
	byRow := strided(in)
	named := byRow // strides of the places that the output names
	if n.int("storage_order", 0) != 0 {
		named = make([]int, rank)
		for i, m := 0, 1; i < rank; i++ {
			named[i] = m
			m *= in[i]
		}
	}
	names := c.table(ir.Int, append(slices.Clone(out), window)...)
	if names == nil {
		return nil, c.err
	}
	empty := false
	coordinates(out, func(o int, at []int) {
		first, name := -1, 0
		coordinates(k, func(j int, off []int) {
			p, q := 0, 0
			for i := range rank {
				v := at[i]*s[i] - pads[i] + off[i]*d[i]
				if v < 0 || v >= in[i] {
					p = -1
					break
				}
				p, q = p+v*byRow[i], q+v*named[i]
			}
			if cells[o*window+j] = p; p >= 0 {
				names.I[o*window+j] = int64(q)
				if first < 0 {
					first, name = p, q
				}
			}
		})
		empty = empty || first < 0
		for j := range window { // a cell outside repeats the first inside
			if cells[o*window+j] < 0 {
				cells[o*window+j], names.I[o*window+j] = max(first, 0), int64(name)
			}
		}
	})
	if empty {
		return nil, errors.New("a window holds nothing but padding")
	}
	sh := x.Type.Shape
	rows := sh[0] * sh[1]
	seen := c.reshape(c.pick(c.reshape(x, rows, in.Size()), 1, cells), rows, out.Size(), window)
	hot := c.e(ir.OpEq, nil, c.e(ir.OpArgMax, ir.Attrs{ir.I("axis", 2), ir.I("keep", 1)}, seen), c.iota(window))
	full := append([]int{sh[0], sh[1]}, out...)
	y := c.e(ir.OpMatMul, nil, c.reshape(c.to(hot, x.Type.Elem), rows, out.Size(), 1, window), c.reshape(seen, rows, out.Size(), window, 1))
	base := c.table(ir.Int, rows, 1)
	if base == nil {
		return nil, c.err
	}
	for i := range base.I {
		base.I[i] = int64(i * in.Size())
	}
	place := c.reduce(ir.OpReduceSum, c.mul(c.to(hot, ir.Int), c.reshape(c.data(names, false), 1, out.Size(), window)), 2)
	place = c.add(c.reshape(place, rows, out.Size()), c.data(base, false))
	return []*ir.Value{c.reshape(y, full...), c.reshape(place, full...)}, c.err
}

// maxUnpool puts elements at public places of zeros.
func maxUnpool(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	rank := len(s) - 2
	idx, err := n.public(1, "indices")
	if err != nil {
		return nil, err
	}
	if rank < 1 || !idx.Shape.Equal(s) || idx.Elem != ir.Int {
		return nil, fmt.Errorf("indices %v%v do not fit %v", idx.Elem, idx.Shape, s)
	}
	k := n.ints("kernel_shape")
	st, err := ones("strides", n.ints("strides"), rank)
	if err != nil {
		return nil, err
	}
	pads := n.ints("pads")
	if pads == nil {
		pads = make([]int, 2*rank)
	}
	if len(k) != rank || len(pads) != 2*rank {
		return nil, errors.New("kernel_shape or pads have the wrong length")
	}
	full := slices.Clone(s)
	for i := range rank {
		full[2+i] = (s[2+i]-1)*st[i] - pads[i] - pads[rank+i] + k[i]
	}
	if err := ir.CheckShape(full); err != nil {
		return nil, err
	}
	src, err := n.indices(full.Size())
	if err != nil {
		return nil, err
	}
	for i := range src {
		src[i] = s.Size() // the zero behind the elements
	}
	for i, p := range idx.I {
		if p < 0 || p >= int64(len(src)) {
			return nil, fmt.Errorf("index %d is out of range for %v", p, full)
		}
		src[p] = i
	}
	y := c.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 1)}, c.reshape(x, s.Size()))
	y = c.reshape(c.pick(y, 0, src), full...)
	if !n.given(2) {
		return c.one(y)
	}
	want, err := n.list(2, "output_shape")
	if err != nil {
		return nil, err
	}
	grow := make([]int, 2*len(s))
	for i := range s {
		if len(want) != len(s) || want[i] < full[i] {
			return nil, fmt.Errorf("output_shape %v is smaller than %v", want, full)
		}
		grow[len(s)+i] = want[i] - full[i]
	}
	return c.one(c.e(ir.OpPad, ir.Attrs{ir.Dims("pads", grow)}, y))
}

func init() {
	attrs := "align_corners:i mode:s padding_mode:s"
	add("GridSample", "Interpolation at the places of a public grid; at secret ones if there are few, linear and without reflection.", gridSample, version{since: 16, in: 2, max: 2, attrs: attrs})
	add("MaxUnpool", "Elements at public places of zeros.", maxUnpool, version{since: 9, in: 2, max: 3, attrs: "kernel_shape:is! pads:is strides:is"})
}
