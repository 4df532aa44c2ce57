package onnx

import (
	"errors"
	"fmt"

	"smpcc/ir"
)

// Layers: products, convolutions, pooling, normalisation.

// windowPads returns pads [top, left, bottom, right] of a 2-D window and whether extra cells at the end were needed for
// ceil_mode. spatial is the input's height and width, k the kernel, s the strides, d the dilations.
func (n *node) windowPads(spatial, k, s, d []int) (pads []int, extra bool, err error) {
	rank := len(spatial)
	pads = n.ints("pads")
	if pads == nil {
		pads = make([]int, 2*rank)
	}
	if len(pads) != 2*rank {
		return nil, false, fmt.Errorf("pads has %d entries, want %d", len(pads), 2*rank)
	}
	for _, l := range [][]int{k, s, d, pads} {
		for _, x := range l {
			if x < 0 || x > 1<<20 {
				return nil, false, fmt.Errorf("window parameter %d is out of range", x)
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
		return nil, false, fmt.Errorf("auto_pad=%s is not supported", auto)
	}
	if n.int("ceil_mode", 0) != 0 {
		pads = append([]int(nil), pads...)
		for i := range rank {
			span := spatial[i] + pads[i] + pads[rank+i] - ((k[i]-1)*d[i] + 1)
			if span < 0 {
				continue
			}
			if rest := span % s[i]; rest != 0 && (span/s[i]+1)*s[i] < spatial[i]+pads[i] { // the last window starts inside
				pads[rank+i] += s[i] - rest
				extra = true
			}
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
	if rank < 1 || rank > 2 || len(w.Type.Shape) != rank+2 {
		return nil, fmt.Errorf("input %v and kernel %v: only 1-D and 2-D convolutions are supported", x.Type.Shape, w.Type.Shape)
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

// pool lowers MaxPool and AveragePool.
func pool(op ir.Op) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		if err := n.want("storage_order", 0, 0); err != nil {
			return nil, err
		}
		x := n.in(0)
		rank := len(x.Type.Shape) - 2
		if rank < 1 || rank > 2 {
			return nil, fmt.Errorf("input %v: only 1-D and 2-D pooling is supported", x.Type.Shape)
		}
		if !n.has("kernel_shape") {
			return nil, errors.New("attribute kernel_shape is missing")
		}
		k, err := ones("kernel_shape", n.ints("kernel_shape"), rank)
		if err != nil {
			return nil, err
		}
		s, err := ones("strides", n.ints("strides"), rank)
		if err != nil {
			return nil, err
		}
		d, err := ones("dilations", n.ints("dilations"), rank)
		if err != nil {
			return nil, err
		}
		pads, extra, err := n.windowPads(x.Type.Shape[2:], k, s, d)
		if err != nil {
			return nil, err
		}
		x, flat, err := n.flat2(x)
		if err != nil {
			return nil, err
		}
		k, s, d, pads = lift(flat, k, s, d, pads)
		attrs := ir.Attrs{ir.Dims("kernel", k), ir.Dims("strides", s), ir.Dims("pads", pads), ir.Dims("dilations", d)}
		if op == ir.OpAvgPool {
			include := n.int("count_include_pad", 0)
			if include != 0 && extra {
				return nil, errors.New("ceil_mode together with count_include_pad is not supported")
			}
			attrs = append(ir.Attrs{ir.I("include_pad", int64(include))}, attrs...)
		}
		y, err := n.e(op, attrs, x)
		return one(n.unflat(y, flat, err))
	}
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

func init() {
	add("Conv", 2, 3, "auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is", "1-D and 2-D convolution with groups, dilations and pads.", conv)
	add("MaxPool", 1, 1, "auto_pad:s ceil_mode:i dilations:is kernel_shape:is pads:is storage_order:i strides:is", "Largest element of each window.", pool(ir.OpMaxPool))
	add("AveragePool", 1, 1, "auto_pad:s ceil_mode:i count_include_pad:i dilations:is kernel_shape:is pads:is strides:is", "Mean of each window.", pool(ir.OpAvgPool))
	add("GlobalAveragePool", 1, 1, "", "Mean over all spatial dimensions.", globalPool(ir.OpReduceMean))
	add("GlobalMaxPool", 1, 1, "", "Largest element over all spatial dimensions.", globalPool(ir.OpReduceMax))
	add("Gemm", 2, 3, "alpha:f beta:f transA:i transB:i", "alpha * A * B + beta * C.", gemm)
	add("MatMul", 2, 2, "", "Matrix product; leading dimensions are batches.", matMul)
	add("BatchNormalization", 5, 5, "epsilon:f momentum:f training_mode:i spatial:i", "Normalisation with the statistics of training.", func(n *node) ([]*ir.Value, error) {
		if err := n.want("training_mode", 0, 0); err != nil {
			return nil, err
		}
		if err := n.want("spatial", 1, 1); err != nil {
			return nil, err
		}
		return one(n.e(ir.OpBatchNorm, ir.Attrs{ir.F("epsilon", n.float("epsilon", float64(float32(1e-5))))}, n.in(0), n.in(1), n.in(2), n.in(3), n.in(4)))
	})
}
