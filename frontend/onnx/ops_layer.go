package onnx

import (
	"errors"
	"fmt"
	"slices"

	"smpcc/ir"
)

// Layers: products, convolutions, pooling, normalisation.

// windowPads returns the pads before (first half) and after each dimension of a window, and the cells after it that ceil_mode
// adds. spatial is the input's height and width, k the kernel, s the strides, d the dilations.
func (n *node) windowPads(spatial, k, s, d []int) (pads, extra []int, err error) {
	rank := len(spatial)
	if pads = n.ints("pads"); pads == nil {
		pads = make([]int, 2*rank)
	}
	if len(pads) != 2*rank {
		return nil, nil, fmt.Errorf("pads has %d entries, want %d", len(pads), 2*rank)
	}
	for _, l := range [][]int{k, s, d, pads} {
		for _, x := range l {
			if x < 0 || x > 1<<20 {
				return nil, nil, fmt.Errorf("window parameter %d is out of range", x)
			}
		}
	}
	switch auto := n.str("auto_pad", "NOTSET"); auto {
	case "NOTSET", "":
	case "VALID":
		pads = make([]int, 2*rank)
	case "SAME_UPPER", "SAME_LOWER":
		pads = make([]int, 2*rank)
		for i := range rank {
			out := (spatial[i] + s[i] - 1) / s[i]
			total := max(0, (out-1)*s[i]+(k[i]-1)*d[i]+1-spatial[i])
			pads[i] = total / 2
			if auto == "SAME_LOWER" {
				pads[i] = total - total/2
			}
			pads[rank+i] = total - pads[i]
		}
	default:
		return nil, nil, fmt.Errorf("auto_pad=%s is not supported", auto)
	}
	extra = make([]int, rank)
	for i := range rank {
		room := spatial[i] + pads[i] + pads[rank+i] - ((k[i]-1)*d[i] + 1)
		if room < 0 {
			return nil, nil, fmt.Errorf("window %v with dilations %v is larger than the padded input %v", k, d, spatial)
		}
		if rest := room % s[i]; n.int("ceil_mode", 0) != 0 && rest != 0 && (room/s[i]+1)*s[i] < spatial[i]+pads[i] { // the last window starts inside
			extra[i] = s[i] - rest
		}
		// type rules walk every offset of every window of a dimension
		if err := n.r.left.take(0, float64(k[i])*float64((room+extra[i])/s[i]+1)); err != nil {
			return nil, nil, err
		}
	}
	return pads, extra, nil
}

// ones returns list, or n ones if it is nil; an error if its length or an entry is wrong.
func ones(name string, list []int, n int) ([]int, error) {
	if list == nil {
		list = make([]int, n)
		for i := range list {
			list[i] = 1
		}
	}
	if len(list) != n {
		return nil, fmt.Errorf("%s has %d entries, want %d", name, len(list), n)
	}
	for _, x := range list {
		if x < 1 {
			return nil, fmt.Errorf("%s has the entry %d", name, x)
		}
	}
	return list, nil
}

// flat2 views x [N,C,L] as [N,C,1,L], so that one spatial dimension runs as two, and reports whether it did.
func (n *node) flat2(x *ir.Value) (*ir.Value, bool, error) {
	s := x.Type.Shape
	switch len(s) {
	case 4:
		return x, false, nil
	case 3:
		y, err := n.reshape(x, ir.Shape{s[0], s[1], 1, s[2]})
		return y, true, err
	}
	return nil, false, fmt.Errorf("input %v has %d dimensions, want 3 or 4", s, len(s))
}

// unflat undoes flat2 on a result.
func (n *node) unflat(x *ir.Value, flat bool, err error) (*ir.Value, error) {
	if err != nil || !flat {
		return x, err
	}
	s := x.Type.Shape
	return n.reshape(x, ir.Shape{s[0], s[1], s[3]})
}

// lift turns a 1-D window into a 2-D one.
func lift(flat bool, k, s, d, pads []int) ([]int, []int, []int, []int) {
	if !flat {
		return k, s, d, pads
	}
	return []int{1, k[0]}, []int{1, s[0]}, []int{1, d[0]}, []int{0, pads[0], 0, pads[1]}
}

func conv(n *node) ([]*ir.Value, error) {
	x, w := n.in(0), n.in(1)
	rank := len(x.Type.Shape) - 2
	if rank < 1 || rank > 3 || len(w.Type.Shape) != rank+2 {
		return nil, fmt.Errorf("input %v and kernel %v: only 1-D, 2-D and 3-D convolutions are supported", x.Type.Shape, w.Type.Shape)
	}
	k := []int(w.Type.Shape[2:])
	if ks := n.ints("kernel_shape"); ks != nil && !ir.Shape(ks).Equal(k) {
		return nil, fmt.Errorf("kernel_shape %v does not fit the kernel %v", ks, w.Type.Shape)
	}
	s, err := ones("strides", n.ints("strides"), rank)
	if err != nil {
		return nil, err
	}
	d, err := ones("dilations", n.ints("dilations"), rank)
	if err != nil {
		return nil, err
	}
	pads, _, err := n.windowPads(x.Type.Shape[2:], k, s, d)
	if err != nil {
		return nil, err
	}
	if rank == 3 {
		return conv3(n, x, w, s, d, pads)
	}
	x, flat, err := n.flat2(x)
	if err != nil {
		return nil, err
	}
	if flat {
		ws := w.Type.Shape
		if w, err = n.reshape(w, ir.Shape{ws[0], ws[1], 1, ws[2]}); err != nil {
			return nil, err
		}
	}
	_, s, d, pads = lift(flat, k, s, d, pads)
	y, err := n.e(ir.OpConv, ir.Attrs{ir.Dims("strides", s), ir.Dims("pads", pads), ir.Dims("dilations", d), ir.I("group", int64(n.int("group", 1)))}, x, w)
	if err == nil && n.given(2) {
		b := n.in(2)
		if b.Type.Shape.Size() != w.Type.Shape[0] || len(b.Type.Shape) != 1 {
			return nil, fmt.Errorf("bias %v does not fit the kernel %v", b.Type.Shape, w.Type.Shape)
		}
		if b, err = n.reshape(b, ir.Shape{1, w.Type.Shape[0], 1, 1}); err != nil {
			return nil, err
		}
		y, err = n.e(ir.OpAdd, nil, y, b)
	}
	return one(n.unflat(y, flat, err))
}

// poolWindow returns the kernel, strides, dilations, pads and cells of ceil_mode of a pooling over the given dimensions.
func (n *node) poolWindow(spatial []int) (k, s, d, pads, extra []int, err error) {
	rank := len(spatial)
	if k, err = ones("kernel_shape", n.ints("kernel_shape"), rank); err != nil {
		return
	}
	if s, err = ones("strides", n.ints("strides"), rank); err != nil {
		return
	}
	if d, err = ones("dilations", n.ints("dilations"), rank); err != nil {
		return
	}
	pads, extra, err = n.windowPads(spatial, k, s, d)
	return
}

// windowPlaces returns how many places a window has along each dimension.
func windowPlaces(in, k, s, d, pads, extra []int) (ir.Shape, error) {
	rank := len(in)
	out := make(ir.Shape, rank)
	for i := range rank {
		out[i] = (in[i]+pads[i]+pads[rank+i]+extra[i]-(k[i]-1)*d[i]-1)/s[i] + 1
	}
	return out, ir.CheckShape(out)
}

// pool lowers MaxPool and AveragePool. storage_order concerns only the indices, see maxPlaces.
func pool(op ir.Op) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		rank := len(x.Type.Shape) - 2
		if rank < 1 || rank > 3 {
			return nil, fmt.Errorf("input %v: only 1-D, 2-D and 3-D pooling is supported", x.Type.Shape)
		}
		k, s, d, pads, extra, err := n.poolWindow(x.Type.Shape[2:])
		if err != nil {
			return nil, err
		}
		if op == ir.OpMaxPool && len(n.p.Output) > 1 && n.p.Output[1] != "" {
			return n.maxPlaces(x, k, s, d, pads, extra)
		}
		if rank == 3 {
			return pool3(n, op, x, k, s, d, pads, extra)
		}
		x, flat, err := n.flat2(x)
		if err != nil {
			return nil, err
		}
		k, s, d, pads = lift(flat, k, s, d, pads)
		include := n.int("count_include_pad", 0) != 0
		if include && slices.Max(extra) > 0 { // pads count and the cells of ceil_mode do not: make pads part of the input
			full := []int{0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]}
			if x, err = n.e(ir.OpPad, ir.Attrs{ir.Dims("pads", full)}, x); err != nil {
				return nil, err
			}
			pads, include = make([]int, 4), false
		}
		for i, e := range extra {
			pads[4-len(extra)+i] += e
		}
		attrs := ir.Attrs{ir.Dims("kernel", k), ir.Dims("strides", s), ir.Dims("pads", pads), ir.Dims("dilations", d)}
		if op == ir.OpAvgPool && include {
			attrs = append(attrs, ir.I("include_pad", 1))
		}
		y, err := n.e(op, attrs, x)
		return one(n.unflat(y, flat, err))
	}
}

// conv3 lowers a 3-D convolution to a 2-D one: the slices that meet in an output slice become channels, output slices a batch.
func conv3(n *node, x, w *ir.Value, s, d, pads []int) ([]*ir.Value, error) {
	c := n.calc()
	in, k := x.Type.Shape, w.Type.Shape
	if pads[0]+pads[3] > 0 {
		x = c.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 0, int64(pads[0]), 0, 0, 0, 0, int64(pads[3]), 0, 0)}, x)
	}
	depth := in[2] + pads[0] + pads[3]
	out := (depth-(k[2]-1)*d[0]-1)/s[0] + 1
	idx, err := n.indices(out * k[2])
	if err != nil {
		return nil, err
	}
	for o := range out {
		for i := range k[2] {
			idx[o*k[2]+i] = o*s[0] + i*d[0]
		}
	}
	x = c.reshape(c.pick(x, 2, idx), in[0], in[1], out, k[2], in[3], in[4])
	x = c.reshape(c.transpose(x, 0, 2, 1, 3, 4, 5), in[0]*out, in[1]*k[2], in[3], in[4])
	w = c.reshape(w, k[0], k[1]*k[2], k[3], k[4])
	y := c.e(ir.OpConv, ir.Attrs{ir.Dims("strides", s[1:]), ir.Dims("pads", []int{pads[1], pads[2], pads[4], pads[5]}), ir.Dims("dilations", d[1:]), ir.I("group", int64(n.int("group", 1)))}, x, w)
	if c.err != nil {
		return nil, c.err
	}
	t := y.Type.Shape
	y = c.transpose(c.reshape(y, in[0], out, t[1], t[2], t[3]), 0, 2, 1, 3, 4)
	if n.given(2) {
		y = c.add(y, c.channels(n.in(2), 5))
	}
	return c.one(y)
}

// pool3 pools over depth first and then over the plane: both are separable, and so is the number of cells that count.
func pool3(n *node, op ir.Op, x *ir.Value, k, s, d, pads, extra []int) ([]*ir.Value, error) {
	c := n.calc()
	in := x.Type.Shape
	depth := in[2]
	out := (depth+pads[0]+pads[3]+extra[0]-(k[0]-1)*d[0]-1)/s[0] + 1
	include := n.int("count_include_pad", 0) != 0
	perm, back := toLast(5, 2)
	x = c.transpose(x, perm...) // [N, C, H, W, D]
	rows := in.Size() / max(1, depth)
	if op == ir.OpMaxPool { // a window at the border repeats a cell that it has
		if err := n.r.left.take(float64(out)*float64(k[0]), 0); err != nil {
			return nil, err
		}
		var idx []int
		for o := range out {
			first := -1
			for i := range k[0] {
				if p := o*s[0] - pads[0] + i*d[0]; p >= 0 && p < depth {
					first = p
					break
				}
			}
			if first < 0 {
				return nil, errors.New("a window holds nothing but padding")
			}
			for i := range k[0] {
				p := o*s[0] - pads[0] + i*d[0]
				if p < 0 || p >= depth {
					p = first
				}
				idx = append(idx, p)
			}
		}
		x = c.reduce(ir.OpReduceMax, c.reshape(c.pick(c.reshape(x, rows, depth), 1, idx), rows, out, k[0]), 2)
	} else {
		w := c.table(ir.Real, depth, out)
		if w == nil {
			return nil, c.err
		}
		for o := range out {
			count := 0
			for i := range k[0] {
				p := o*s[0] - pads[0] + i*d[0]
				if p >= 0 && p < depth || include && p >= -pads[0] && p < depth+pads[3] {
					count++
				}
			}
			for i := range k[0] {
				if p := o*s[0] - pads[0] + i*d[0]; p >= 0 && p < depth {
					w.F[p*out+o] = 1 / float64(max(1, count))
				}
			}
		}
		x = c.e(ir.OpMatMul, nil, c.reshape(x, rows, depth), c.data(w, false))
	}
	x = c.transpose(c.reshape(x, in[0], in[1], in[3], in[4], out), back...)
	plane := c.reshape(x, in[0], in[1]*out, in[3], in[4])
	full := []int{pads[1], pads[2], pads[4], pads[5]}
	if op == ir.OpAvgPool && include && max(extra[1], extra[2]) > 0 {
		plane = c.e(ir.OpPad, ir.Attrs{ir.Dims("pads", []int{0, 0, full[0], full[1], 0, 0, full[2], full[3]})}, plane)
		full, include = make([]int, 4), false
	}
	full[2] += extra[1]
	full[3] += extra[2]
	attrs := ir.Attrs{ir.Dims("kernel", k[1:]), ir.Dims("strides", s[1:]), ir.Dims("pads", full), ir.Dims("dilations", d[1:])}
	if op == ir.OpAvgPool && include {
		attrs = append(attrs, ir.I("include_pad", 1))
	}
	y := c.e(op, attrs, plane)
	if c.err != nil {
		return nil, c.err
	}
	return c.one(c.reshape(y, in[0], in[1], out, y.Type.Shape[2], y.Type.Shape[3]))
}

// convTranspose lowers ConvTranspose: zeros between the input's cells, then a convolution with the turned kernel.
func convTranspose(n *node) ([]*ir.Value, error) {
	x, w, c := n.in(0), n.in(1), n.calc()
	rank := len(x.Type.Shape) - 2
	if rank < 1 || rank > 3 || len(w.Type.Shape) != rank+2 {
		return nil, fmt.Errorf("input %v and kernel %v do not fit", x.Type.Shape, w.Type.Shape)
	}
	k := []int(w.Type.Shape[2:])
	s, err := ones("strides", n.ints("strides"), rank)
	if err != nil {
		return nil, err
	}
	d, err := ones("dilations", n.ints("dilations"), rank)
	if err != nil {
		return nil, err
	}
	extra := n.ints("output_padding")
	if extra == nil {
		extra = make([]int, rank)
	}
	pads := n.ints("pads")
	if pads == nil {
		pads = make([]int, 2*rank)
	}
	if len(extra) != rank || len(pads) != 2*rank {
		return nil, errors.New("output_padding or pads have the wrong length")
	}
	pads = slices.Clone(pads)
	shape := n.ints("output_shape")
	auto := n.str("auto_pad", "NOTSET")
	for i := range rank {
		reach := s[i]*(x.Type.Shape[2+i]-1) + extra[i] + (k[i]-1)*d[i] + 1
		var total int
		switch {
		case shape != nil:
			if len(shape) != rank && len(shape) != rank+2 {
				return nil, fmt.Errorf("output_shape has %d entries, want %d", len(shape), rank)
			}
			total = reach - shape[len(shape)-rank+i]
		case auto == "SAME_UPPER" || auto == "SAME_LOWER":
			total = reach - x.Type.Shape[2+i]*s[i]
		case auto == "VALID":
			pads[i], pads[rank+i] = 0, 0
			continue
		default:
			continue
		}
		half := total >> 1 // rounds down also below zero, where the output grows
		pads[i], pads[rank+i] = total-half, half
		if auto == "SAME_UPPER" { // the odd cell goes to the end
			pads[i], pads[rank+i] = half, total-half
		}
	}
	for _, list := range [][]int{k, s, d, extra} {
		for _, v := range list {
			if v < 0 || v > 1<<16 {
				return nil, fmt.Errorf("parameter %d is out of range", v)
			}
		}
	}
	// zeros between cells
	for i := range rank {
		a := 2 + i
		if s[i] == 1 || c.err != nil {
			continue
		}
		t := slices.Clone(x.Type.Shape)
		split := append(append(slices.Clone(t[:a+1]), 1), t[a+1:]...)
		pad := make([]int, 2*len(split))
		pad[len(split)+a+1] = s[i] - 1
		x = c.e(ir.OpPad, ir.Attrs{ir.Dims("pads", pad)}, c.reshape(x, split...))
		t[a] *= s[i]
		x = c.cut(c.reshape(x, t...), a, 0, t[a]-s[i]+1)
	}
	// margins; negative ones cut
	grow := make([]int, 2*(rank+2))
	for i := range rank {
		lo, hi := (k[i]-1)*d[i]-pads[i], (k[i]-1)*d[i]-pads[rank+i]+extra[i]
		if c.err == nil && (lo < 0 || hi < 0) {
			size := x.Type.Shape[2+i]
			if -min(lo, 0)-min(hi, 0) > size {
				return nil, fmt.Errorf("pads %v cut all of %v", pads, x.Type.Shape)
			}
			x = c.cut(x, 2+i, -min(lo, 0), size+min(hi, 0))
		}
		grow[2+i], grow[rank+4+i] = max(lo, 0), max(hi, 0)
	}
	x = c.e(ir.OpPad, ir.Attrs{ir.Dims("pads", grow)}, x)
	// kernel [C, O/g, ...] becomes [O, C/g, ...], turned around
	g := n.int("group", 1)
	ws := w.Type.Shape
	if g < 1 || ws[0]%g != 0 {
		return nil, fmt.Errorf("kernel %v does not fit %d groups", ws, g)
	}
	starts, ends, steps := every(ws)
	for i := range rank {
		starts[2+i], ends[2+i], steps[2+i] = ws[2+i]-1, -1, -1
	}
	w = c.got(n.cut(w, starts, ends, steps))
	w = c.reshape(w, append([]int{g, ws[0] / g, ws[1]}, k...)...)
	perm := append([]int{0, 2, 1}, span(rank + 3)[3:]...)
	w = c.reshape(c.transpose(w, perm...), append([]int{g * ws[1], ws[0] / g}, k...)...)
	if c.err != nil {
		return nil, c.err
	}
	unit := make([]int, rank)
	for i := range unit {
		unit[i] = 1
	}
	if rank == 3 {
		return conv3(n, x, w, unit, d, make([]int, 6))
	}
	x, flat, err := n.flat2(x)
	if err != nil {
		return nil, err
	}
	if flat {
		w = c.reshape(w, g*ws[1], ws[0]/g, 1, k[0])
	}
	_, unit, d, pads = lift(flat, k, unit, d, make([]int, 2*rank))
	y := c.e(ir.OpConv, ir.Attrs{ir.Dims("strides", unit), ir.Dims("pads", pads), ir.Dims("dilations", d), ir.I("group", int64(g))}, x, w)
	if n.given(2) {
		y = c.add(y, c.channels(n.in(2), 4))
	}
	return one(n.unflat(y, flat, c.err))
}

// globalPool reduces all spatial dimensions to one cell.
func globalPool(op ir.Op) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		var axes []int
		for i := 2; i < len(x.Type.Shape); i++ {
			axes = append(axes, i)
		}
		if len(axes) == 0 {
			return nil, fmt.Errorf("input %v has no spatial dimensions", x.Type.Shape)
		}
		return one(n.e(op, ir.Attrs{ir.Dims("axes", axes), ir.I("keep", 1)}, x))
	}
}

func gemm(n *node) ([]*ir.Value, error) { // alpha * A' * B' + beta * C
	a, b := n.in(0), n.in(1)
	if len(a.Type.Shape) != 2 || len(b.Type.Shape) != 2 {
		return nil, fmt.Errorf("operands %v and %v are not matrices", a.Type.Shape, b.Type.Shape)
	}
	var err error
	if n.int("transA", 0) != 0 {
		if a, err = n.transpose(a, 1, 0); err != nil {
			return nil, err
		}
	}
	if n.int("transB", 0) != 0 {
		if b, err = n.transpose(b, 1, 0); err != nil {
			return nil, err
		}
	}
	y, err := n.e(ir.OpMatMul, nil, a, b)
	if err != nil {
		return nil, err
	}
	if y, err = n.scale(y, n.float("alpha", 1)); err != nil {
		return nil, err
	}
	if !n.given(2) {
		return one(y, nil)
	}
	c, err := n.scale(n.in(2), n.float("beta", 1))
	if err != nil {
		return nil, err
	}
	out, err := n.e(ir.OpAdd, nil, y, c)
	if err == nil && !out.Type.Shape.Equal(y.Type.Shape) {
		return nil, fmt.Errorf("bias %v does not broadcast to %v", c.Type.Shape, y.Type.Shape)
	}
	return one(out, err)
}

func matMul(n *node) ([]*ir.Value, error) {
	a, b := n.in(0), n.in(1)
	sa, sb := a.Type.Shape, b.Type.Shape
	if len(sa) == 0 || len(sb) == 0 {
		return nil, errors.New("operand is a scalar")
	}
	var err error
	if len(sa) == 1 {
		if a, err = n.reshape(a, ir.Shape{1, sa[0]}); err != nil {
			return nil, err
		}
	}
	if len(sb) == 1 {
		if b, err = n.reshape(b, ir.Shape{sb[0], 1}); err != nil {
			return nil, err
		}
	}
	y, err := n.e(ir.OpMatMul, nil, a, b)
	if err != nil {
		return nil, err
	}
	s := append(ir.Shape{}, y.Type.Shape...)
	if len(sb) == 1 {
		s = s[:len(s)-1]
	}
	if len(sa) == 1 {
		at := len(y.Type.Shape) - 2
		s = append(s[:at:at], s[at+1:]...)
	}
	return one(n.reshape(y, s))
}

func batchNorm(n *node) ([]*ir.Value, error) {
	if n.int("training_mode", 0) != 0 {
		return nil, training.of(n.at, "training_mode=1")
	}
	if n.opset < 7 {
		if err := n.want("is_test", 0, 1); err != nil {
			return nil, err
		}
	}
	if err := n.want("spatial", 1, 1); err != nil {
		return nil, err
	}
	for i := 1; i < 5; i++ {
		t, err := n.fixed(i)
		if err != nil {
			return nil, err
		}
		if t == nil { // parameters that nobody knows when compiling
			c, rank := n.calc(), len(n.in(0).Type.Shape)
			inv := c.fn(ir.OpRsqrt, c.plus(n.in(4), n.float("epsilon", float64(float32(1e-5)))))
			centred := c.sub(n.in(0), c.channels(n.in(3), rank))
			return c.one(c.affine(centred, c.channels(c.mul(n.in(1), inv), rank), c.channels(n.in(2), rank)))
		}
	}
	return one(n.e(ir.OpBatchNorm, ir.Attrs{ir.F("epsilon", n.float("epsilon", float64(float32(1e-5))))}, n.in(0), n.in(1), n.in(2), n.in(3), n.in(4)))
}

func init() {
	maxPool, avgPool := "auto_pad:s kernel_shape:is! pads:is strides:is ", "auto_pad:s count_include_pad:i kernel_shape:is! pads:is strides:is "
	add("Conv", "1-D to 3-D convolution with groups, dilations and pads.", conv,
		version{since: 1, in: 2, max: 3, attrs: "auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is"})
	add("ConvTranspose", "1-D to 3-D transposed convolution with groups, dilations and pads.", convTranspose,
		version{since: 1, in: 2, max: 3, attrs: "auto_pad:s dilations:is group:i kernel_shape:is output_padding:is output_shape:is pads:is strides:is"})
	add("MaxPool", "Largest element of each window, and its place if that is asked for.", pool(ir.OpMaxPool), version{since: 1, in: 1, max: 1, attrs: maxPool},
		version{since: 8, in: 1, max: 1, attrs: maxPool + "storage_order:i"},
		version{since: 10, in: 1, max: 1, attrs: maxPool + "storage_order:i ceil_mode:i dilations:is"})
	add("AveragePool", "Mean of each window.", pool(ir.OpAvgPool),
		version{since: 1, in: 1, max: 1, attrs: maxPool},
		version{since: 7, in: 1, max: 1, attrs: avgPool},
		version{since: 10, in: 1, max: 1, attrs: avgPool + "ceil_mode:i"}, version{since: 19, in: 1, max: 1, attrs: avgPool + "ceil_mode:i dilations:is"})
	add("GlobalAveragePool", "Mean over all spatial dimensions.", globalPool(ir.OpReduceMean), version{since: 1, in: 1, max: 1})
	add("GlobalMaxPool", "Largest element over all spatial dimensions.", globalPool(ir.OpReduceMax), version{since: 1, in: 1, max: 1})
	add("Gemm", "alpha * A * B + beta * C.", gemm,
		version{since: 6, in: 3, max: 3, attrs: "alpha:f beta:f broadcast:i transA:i transB:i"},
		version{since: 7, in: 3, max: 3, attrs: "alpha:f beta:f transA:i transB:i"},
		version{since: 11, in: 2, max: 3, attrs: "alpha:f beta:f transA:i transB:i"})
	add("MatMul", "Matrix product; leading dimensions are batches.", matMul, version{since: 1, in: 2, max: 2})
	add("BatchNormalization", "Normalisation with the statistics of training.", batchNorm,
		version{since: 6, in: 5, max: 5, attrs: "epsilon:f is_test:i momentum:f spatial:i"},
		version{since: 7, in: 5, max: 5, attrs: "epsilon:f momentum:f spatial:i"},
		version{since: 9, in: 5, max: 5, attrs: "epsilon:f momentum:f"}, version{since: 14, in: 5, max: 5, attrs: "epsilon:f momentum:f training_mode:i"})
}
