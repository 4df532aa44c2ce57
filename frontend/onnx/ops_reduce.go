package onnx

import "smpcc/ir"

// Reductions over axes.

// reduction lowers a reduction: of is applied to the elements first, and then to the result if after says so.
func reduction(op, of ir.Op, after bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		x := n.in(0)
		axes, err := n.list(1, "axes")
		if err != nil {
			return nil, err
		}
		all := len(axes) == 0
		if all {
			axes = span(len(x.Type.Shape))
		}
		if axes, err = ir.NormAxes(axes, len(x.Type.Shape)); err != nil {
			return nil, err
		}
		switch of {
		case "":
		case ir.OpMul:
			x, err = n.e(of, nil, x, x)
		default:
			x, err = n.e(of, nil, x)
		}
		if err != nil {
			return nil, err
		}
		y := x
		if !all || n.int("noop_with_empty_axes", 0) == 0 {
			if y, err = n.e(op, ir.Attrs{ir.Dims("axes", axes), ir.I("keep", int64(n.int("keepdims", 1)))}, x); err != nil {
				return nil, err
			}
		}
		if after {
			y, err = n.e(of, nil, y)
		}
		return one(y, err)
	}
}

func argMax(negate bool) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
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
		last := n.int("select_last_index", 0) != 0
		size := x.Type.Shape[a]
		if last { // the first of the mirrored ones
			from, to, by := every(x.Type.Shape)
			from[a], to[a], by[a] = size-1, -1, -1
			if x, err = n.cut(x, from, to, by); err != nil {
				return nil, err
			}
		}
		y, err := n.e(ir.OpArgMax, ir.Attrs{ir.I("axis", int64(a)), ir.I("keep", int64(n.int("keepdims", 1)))}, x)
		if err != nil || !last {
			return one(y, err)
		}
		top, err := n.number(y, float64(size-1))
		if err != nil {
			return nil, err
		}
		return one(n.e(ir.OpSub, nil, top, y))
	}
}

func init() {
	for _, r := range []struct {
		name, doc string
		listed    int // the opset from which on axes are an input
		lower     func(n *node) ([]*ir.Value, error)
	}{
		{"ReduceSum", "Sum over axes.", 13, reduction(ir.OpReduceSum, "", false)},
		{"ReduceL1", "Sum of magnitudes over axes.", 18, reduction(ir.OpReduceSum, ir.OpAbs, false)},
		{"ReduceSumSquare", "Sum of squares over axes.", 18, reduction(ir.OpReduceSum, ir.OpMul, false)},
		{"ReduceMean", "Mean over axes.", 18, reduction(ir.OpReduceMean, "", false)},
		{"ReduceMax", "Largest element over axes.", 18, reduction(ir.OpReduceMax, "", false)},
		{"ReduceMin", "Smallest element over axes.", 18, reduction(ir.OpReduceMax, ir.OpNeg, true)},
	} {
		add(r.name, r.doc, r.lower,
			version{since: 1, in: 1, max: 1, attrs: "axes:is keepdims:i"},
			version{since: r.listed, in: 1, max: 2, attrs: "keepdims:i noop_with_empty_axes:i"})
	}
	for _, r := range []struct {
		name, doc string
		negate    bool
	}{
		{"ArgMax", "Index of the largest element; the first on ties, or the last if asked for.", false},
		{"ArgMin", "Index of the smallest element; the first on ties, or the last if asked for.", true},
	} {
		add(r.name, r.doc, argMax(r.negate),
			version{since: 1, in: 1, max: 1, attrs: "axis:i keepdims:i"},
			version{since: 12, in: 1, max: 1, attrs: "axis:i keepdims:i select_last_index:i"})
	}
}
