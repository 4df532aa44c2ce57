package ir

import "fmt"

// Structure: views, reductions, pooling.
const (
	OpReshape    Op = "reshape"
	OpTranspose  Op = "transpose"
	OpSlice      Op = "slice"
	OpConcat     Op = "concat"
	OpPad        Op = "pad"
	OpGather     Op = "gather"
	OpExpand     Op = "expand"
	OpReduceSum  Op = "reduce_sum"
	OpReduceMean Op = "reduce_mean"
	OpReduceMax  Op = "reduce_max"
	OpArgMax     Op = "argmax"
	OpMaxPool    Op = "maxpool"
	OpAvgPool    Op = "avgpool"
	OpBatchNorm  Op = "batchnorm"
)

var (
	windowAttrs = []AttrSpec{{"kernel", AttrInts, true}, {"strides", AttrInts, false}, {"pads", AttrInts, false}, {"dilations", AttrInts, false}}
	reduceAttrs = []AttrSpec{{"axes", AttrInts, true}, {"keep", AttrInt, false}}
)

// reduced returns axes and result shape of a reduction.
func reduced(v *Value) ([]int, Shape, error) {
	s := v.Args[0].Type.Shape
	axes, err := NormAxes(v.Attrs.Ints("axes"), len(s))
	if err != nil {
		return nil, nil, err
	}
	return axes, ReducedShape(s, axes, v.Attrs.Int("keep", 0) != 0), nil
}

func reduce(v *Value) (Type, error) {
	if err := numeric(v); err != nil {
		return Type{}, err
	}
	_, s, err := reduced(v)
	if err != nil {
		return Type{}, err
	}
	return like(v, s)
}

// SliceDims returns starts, steps and result shape of a slice value, whose starts, ends and steps have full rank.
// Negative steps walk down from start to end (exclusive; -1 means before the first element).
func SliceDims(v *Value) (starts, steps []int, s Shape, err error) {
	in := v.Args[0].Type.Shape
	starts, ends, steps := v.Attrs.Ints("starts"), v.Attrs.Ints("ends"), v.Attrs.Ints("steps")
	if len(starts) != len(in) || len(ends) != len(in) || len(steps) != len(in) {
		return nil, nil, nil, fmt.Errorf("starts, ends and steps need %d entries", len(in))
	}
	s = make(Shape, len(in))
	for i, d := range in {
		a, e, st := starts[i], ends[i], steps[i]
		switch {
		case st > 0 && a >= 0 && a <= e && e <= d:
			s[i] = (e - a + st - 1) / st
		case st < 0 && a < d && e >= -1 && a >= e:
			s[i] = (a - e - st - 1) / -st
		default:
			return nil, nil, nil, fmt.Errorf("slice %d:%d:%d does not fit dimension %d of %v", a, e, st, i, in)
		}
	}
	return starts, steps, s, nil
}

// maxLoweredKernel bounds the number of positions a pooling window or an arg-max walks through.
const maxLoweredKernel = 1 << 16

// pairs folds vs with op as a balanced tree, so that its depth is logarithmic.
func pairs(vs []*Value, op func(x, y *Value) *Value) *Value {
	for len(vs) > 1 {
		next := vs[:0:0]
		for i := 0; i+1 < len(vs); i += 2 {
			next = append(next, op(vs[i], vs[i+1]))
		}
		if len(vs)%2 == 1 {
			next = append(next, vs[len(vs)-1])
		}
		vs = next
	}
	return vs[0]
}

// axisSlice emits x[..., lo:hi:step, ...] along axis.
func axisSlice(b *Builder, x *Value, axis, lo, hi, step int) *Value {
	s := x.Type.Shape
	starts, ends, steps := make([]int, len(s)), append([]int{}, s...), make([]int, len(s))
	for i := range steps {
		steps[i] = 1
	}
	starts[axis], ends[axis], steps[axis] = lo, hi, step
	return b.E(OpSlice, Attrs{Dims("starts", starts), Dims("ends", ends), Dims("steps", steps)}, x)
}

// halve folds axis of the tensors xs (all of one shape there) to length 1 by pairwise op on the two halves: log2 levels.
func halve(b *Builder, axis int, xs []*Value, op func(lo, hi []*Value) []*Value) []*Value {
	for {
		n := xs[0].Type.Shape[axis]
		if n == 1 {
			return xs
		}
		h := n / 2
		part := func(lo, hi int) []*Value {
			out := make([]*Value, len(xs))
			for i, x := range xs {
				out[i] = axisSlice(b, x, axis, lo, hi, 1)
			}
			return out
		}
		// neighbours in order: the first half against the second keeps "first wins" on ties
		next := op(part(0, h), part(h, 2*h))
		if n%2 == 1 {
			rest := part(2*h, n)
			for i := range next {
				next[i] = b.E(OpConcat, Attrs{I("axis", int64(axis))}, next[i], rest[i])
			}
		}
		xs = next
	}
}

// poolAxis lowers one axis of a max-pool: for each kernel offset the elements it sees, folded by max.
// An offset outside the input is replaced by another element of the same window, which leaves the maximum unchanged.
func poolAxis(b *Builder, x *Value, axis, in, out, k, stride, pad, dil int) *Value {
	if k == 1 && stride == 1 && pad == 0 && out == in {
		return x
	}
	vs := make([]*Value, k)
	for j := range vs {
		idx := make([]int64, out)
		regular := true
		for o := range idx {
			p := o*stride - pad + j*dil
			if p < 0 || p >= in {
				regular = false
				p = -1
				for jj := 0; jj < k && p < 0; jj++ {
					if q := o*stride - pad + jj*dil; q >= 0 && q < in {
						p = q
					}
				}
			}
			idx[o] = int64(p)
		}
		if regular {
			vs[j] = axisSlice(b, x, axis, int(idx[0]), int(idx[out-1])+1, stride)
		} else {
			vs[j] = b.E(OpGather, Attrs{I("axis", int64(axis)), Is("indices", idx...)}, x)
		}
	}
	return pairs(vs, func(x, y *Value) *Value { return b.E(OpMax, nil, x, y) })
}

func init() {
	register(
		&Row{Op: OpReshape, Doc: "The same elements in another shape.", Level: CoreOp, Args: 1, Range: rangeKept, Scale: ScaleKept, Eval: same, Attrs: []AttrSpec{{"shape", AttrInts, true}}, Linear: true, View: true,
			Type: func(v *Value) (Type, error) {
				s := Shape(v.Attrs.Ints("shape"))
				if err := CheckShape(s); err != nil {
					return Type{}, err
				}
				if s.Size() != v.Args[0].Type.Shape.Size() {
					return Type{}, fmt.Errorf("cannot reshape %v to %v", v.Args[0].Type.Shape, s)
				}
				return like(v, s)
			}},
		&Row{Op: OpTranspose, Doc: "Dimensions permuted: result dimension i is argument dimension perm[i].", Level: CoreOp, Args: 1, Range: rangeKept, Scale: ScaleKept, Eval: evalTranspose, Attrs: []AttrSpec{{"perm", AttrInts, true}}, Linear: true, View: true,
			Type: func(v *Value) (Type, error) {
				in, p := v.Args[0].Type.Shape, v.Attrs.Ints("perm")
				if len(p) != len(in) {
					return Type{}, fmt.Errorf("perm %v does not fit %v", p, in)
				}
				if _, err := NormAxes(p, len(in)); err != nil {
					return Type{}, err
				}
				s := make(Shape, len(in))
				for i, a := range p {
					if a < 0 {
						return Type{}, fmt.Errorf("perm %v has a negative entry", p)
					}
					s[i] = in[a]
				}
				return like(v, s)
			}},
		&Row{Op: OpSlice, Doc: "Every step-th element from start to end in each dimension.", Level: CoreOp, Args: 1, Range: rangeKept, Scale: ScaleKept, Eval: evalSlice, Linear: true, View: true,
			Attrs: []AttrSpec{{"starts", AttrInts, true}, {"ends", AttrInts, true}, {"steps", AttrInts, true}},
			Type: func(v *Value) (Type, error) {
				_, _, s, err := SliceDims(v)
				if err != nil {
					return Type{}, err
				}
				return like(v, s)
			}},
		&Row{Op: OpConcat, Doc: "Arguments joined along an axis.", Level: CoreOp, Args: 1, Var: true, Range: hullFrom(0), Scale: ScaleAligned, Eval: evalConcat, Attrs: []AttrSpec{{"axis", AttrInt, true}}, Linear: true, View: true,
			Type: func(v *Value) (Type, error) {
				t := v.Args[0].Type
				if err := sameElem(v.Args); err != nil {
					return Type{}, err
				}
				axis := v.Attrs.Int("axis", 0)
				if axis < 0 || axis >= len(t.Shape) {
					return Type{}, fmt.Errorf("axis %d is out of range for %v", axis, t.Shape)
				}
				s := append(Shape{}, t.Shape...)
				for _, a := range v.Args[1:] {
					u := a.Type.Shape
					if len(u) != len(s) {
						return Type{}, fmt.Errorf("ranks differ: %v and %v", t.Shape, u)
					}
					for i := range u {
						if i != axis && u[i] != s[i] {
							return Type{}, fmt.Errorf("shapes %v and %v do not join along axis %d", t.Shape, u, axis)
						}
					}
					s[axis] += u[axis]
				}
				f, err := linearForm(v.Args)
				if err != nil {
					return Type{}, err
				}
				return finish(v, Type{Elem: t.Elem, Scale: t.Scale, Shape: s, Form: f})
			}},
		&Row{Op: OpPad, Doc: "Zeros added before (first half of pads) and after (second half) each dimension.", Level: CoreOp, Args: 1, Range: rangePadded, Scale: ScaleKept, Eval: evalPad, Attrs: []AttrSpec{{"pads", AttrInts, true}}, Linear: true, View: true,
			Type: func(v *Value) (Type, error) {
				in, p := v.Args[0].Type.Shape, v.Attrs.Ints("pads")
				if len(p) != 2*len(in) {
					return Type{}, fmt.Errorf("pads has %d entries, want %d", len(p), 2*len(in))
				}
				s := make(Shape, len(in))
				for i, d := range in {
					if p[i] < 0 || p[len(in)+i] < 0 || p[i] > maxElements || p[len(in)+i] > maxElements {
						return Type{}, fmt.Errorf("pads %v are out of range", p)
					}
					s[i] = d + p[i] + p[len(in)+i]
				}
				return like(v, s)
			}},
		&Row{Op: OpGather, Doc: "Elements along axis at public indices.", Level: CoreOp, Args: 1, Range: rangeKept, Scale: ScaleKept, Eval: evalGather, Attrs: []AttrSpec{{"axis", AttrInt, true}, {"indices", AttrInts, true}}, Linear: true, View: true,
			Type: func(v *Value) (Type, error) {
				in, axis := v.Args[0].Type.Shape, v.Attrs.Int("axis", 0)
				if axis < 0 || axis >= len(in) {
					return Type{}, fmt.Errorf("axis %d is out of range for %v", axis, in)
				}
				idx := v.Attrs.Ints("indices")
				for _, i := range idx {
					if i < 0 || i >= in[axis] {
						return Type{}, fmt.Errorf("index %d is out of range for axis %d of %v", i, axis, in)
					}
				}
				s := append(Shape{}, in...)
				s[axis] = len(idx)
				return like(v, s)
			}},
		&Row{Op: OpExpand, Doc: "Broadcast to a shape.", Level: CoreOp, Args: 1, Range: rangeKept, Scale: ScaleKept, Eval: evalExpand, Attrs: []AttrSpec{{"shape", AttrInts, true}}, Linear: true, View: true,
			Type: func(v *Value) (Type, error) {
				want := Shape(v.Attrs.Ints("shape"))
				if err := CheckShape(want); err != nil {
					return Type{}, err
				}
				s, err := BroadcastShape(v.Args[0].Type.Shape, want)
				if err != nil {
					return Type{}, err
				}
				if !s.Equal(want) {
					return Type{}, fmt.Errorf("cannot expand %v to %v", v.Args[0].Type.Shape, want)
				}
				return like(v, s)
			}},
		&Row{Op: OpReduceSum, Doc: "Sum over axes.", Level: CoreOp, Args: 1, Range: rangeSum, Scale: ScaleKept, Eval: evalReduceSum, Attrs: reduceAttrs, Type: reduce, Linear: true},
		&Row{Op: OpReduceMean, Doc: "Mean over axes.", Level: Composite, Args: 1, Eval: evalReduceMean, Attrs: reduceAttrs,
			Type: noForm(func(v *Value) (Type, error) {
				if _, err := realOnly(v); err != nil {
					return Type{}, err
				}
				return reduce(v)
			}),
			Lower: func(b *Builder, v *Value) *Value { // the sum times a public reciprocal
				x := v.Args[0]
				sum := b.E(OpReduceSum, v.Attrs, x)
				n := x.Type.Shape.Size() / max(1, sum.Type.Shape.Size())
				return b.E(OpMul, nil, sum, b.Scalar(x, 1/float64(max(1, n))))
			}},
		&Row{Op: OpReduceMax, Doc: "Largest element over axes.", Level: Composite, Args: 1, Eval: evalReduceMax, Attrs: reduceAttrs,
			Type: noForm(func(v *Value) (Type, error) {
				axes, _, err := reduced(v)
				if err != nil {
					return Type{}, err
				}
				for _, a := range axes {
					if v.Args[0].Type.Shape[a] == 0 {
						return Type{}, fmt.Errorf("maximum over empty axis %d", a)
					}
				}
				return reduce(v)
			}),
			Lower: func(b *Builder, v *Value) *Value {
				axes, s, err := reduced(v)
				if err != nil {
					Bug("reduce_max: %v", err)
				}
				x := v.Args[0]
				for _, a := range axes {
					x = halve(b, a, []*Value{x}, func(lo, hi []*Value) []*Value { return []*Value{b.E(OpMax, nil, lo[0], hi[0])} })[0]
				}
				return b.E(OpReshape, Attrs{Dims("shape", s)}, x)
			}},
		&Row{Op: OpArgMax, Doc: "Index of the largest element along axis; the first one on ties.", Level: Composite, Args: 1, Eval: evalArgMax,
			Attrs: []AttrSpec{{"axis", AttrInt, true}, {"keep", AttrInt, false}},
			Type: noForm(func(v *Value) (Type, error) {
				if err := numeric(v); err != nil {
					return Type{}, err
				}
				in := v.Args[0].Type
				axes, err := NormAxes([]int{v.Attrs.Int("axis", 0)}, len(in.Shape))
				if err != nil {
					return Type{}, err
				}
				if n := in.Shape[axes[0]]; n == 0 || n > maxLoweredKernel {
					return Type{}, fmt.Errorf("arg-max over %d elements", n)
				}
				return Type{Elem: Int, Shape: ReducedShape(in.Shape, axes, v.Attrs.Int("keep", 0) != 0), Vis: in.Vis}, nil
			}),
			Lower: func(b *Builder, v *Value) *Value { // a tree over (value, index)
				x := v.Args[0]
				axes, err := NormAxes([]int{v.Attrs.Int("axis", 0)}, len(x.Type.Shape))
				if err != nil {
					Bug("argmax: %v", err)
				}
				axis := axes[0]
				n := x.Type.Shape[axis]
				is := make(Shape, len(x.Type.Shape))
				for i := range is {
					is[i] = 1
				}
				is[axis] = n
				idx := make([]int64, n)
				for i := range idx {
					idx[i] = int64(i)
				}
				out := argTree(b, axis, x, b.Const(Ints(is, idx...)))
				return b.E(OpReshape, Attrs{Dims("shape", ReducedShape(x.Type.Shape, axes, v.Attrs.Int("keep", 0) != 0))},
					b.E(OpExpand, Attrs{Dims("shape", ReducedShape(x.Type.Shape, axes, true))}, out))
			}},
		&Row{Op: OpMaxPool, Doc: "Largest element of each window of x [N,C,H,W].", Level: Composite, Args: 1, Eval: evalMaxPool, Attrs: windowAttrs,
			Type: noForm(func(v *Value) (Type, error) {
				if err := numeric(v); err != nil {
					return Type{}, err
				}
				g, err := PoolWindow(v)
				if err != nil {
					return Type{}, err
				}
				if g.KH*g.KW > maxLoweredKernel {
					return Type{}, fmt.Errorf("kernel %dx%d is too large", g.KH, g.KW)
				}
				if !covered(g.H, g.OH, g.KH, g.SH, g.PT, g.DH) || !covered(g.W, g.OW, g.KW, g.SW, g.PL, g.DW) {
					return Type{}, fmt.Errorf("a pooling window lies wholly in the padding")
				}
				return like(v, Shape{g.N, g.C, g.OH, g.OW})
			}),
			Lower: func(b *Builder, v *Value) *Value { // separable: columns, then rows
				g, err := PoolWindow(v)
				if err != nil {
					Bug("maxpool: %v", err)
				}
				x := poolAxis(b, v.Args[0], 3, g.W, g.OW, g.KW, g.SW, g.PL, g.DW)
				return poolAxis(b, x, 2, g.H, g.OH, g.KH, g.SH, g.PT, g.DH)
			}},
		&Row{Op: OpAvgPool, Doc: "Mean of each window of x [N,C,H,W]; padding counts only if include_pad.", Level: Composite, Args: 1, Eval: evalAvgPool,
			Attrs: append([]AttrSpec{{"include_pad", AttrInt, false}}, windowAttrs...),
			Type: noForm(func(v *Value) (Type, error) {
				if _, err := realOnly(v); err != nil {
					return Type{}, err
				}
				g, err := PoolWindow(v)
				if err != nil {
					return Type{}, err
				}
				return like(v, Shape{g.N, g.C, g.OH, g.OW})
			}),
			Lower: func(b *Builder, v *Value) *Value { // depthwise convolution with ones, times public reciprocals of the counts
				g, err := PoolWindow(v)
				if err != nil {
					Bug("avgpool: %v", err)
				}
				x := v.Args[0]
				ones := NewTensor(Real, Shape{g.C, 1, g.KH, g.KW})
				for i := range ones.F {
					ones.F[i] = 1
				}
				at := Attrs{I("group", int64(g.C)), Is("strides", int64(g.SH), int64(g.SW)), Is("pads", int64(g.PT), int64(g.PL), int64(g.PB), int64(g.PR)), Is("dilations", int64(g.DH), int64(g.DW))}
				sum := b.E(OpConv, at, x, b.Const(ones))
				inv := NewTensor(Real, Shape{1, 1, g.OH, g.OW})
				all := v.Attrs.Int("include_pad", 0) != 0
				for i := 0; i < g.OH; i++ {
					for j := 0; j < g.OW; j++ {
						n := inside(g.H, g.KH, i*g.SH-g.PT, g.DH, all) * inside(g.W, g.KW, j*g.SW-g.PL, g.DW, all)
						inv.F[i*g.OW+j] = 1 / float64(max(1, n))
					}
				}
				return b.E(OpMul, nil, sum, b.Const(inv))
			}},
		&Row{Op: OpBatchNorm, Doc: "(x - mean) / sqrt(var + epsilon) * scale + bias per channel (dimension 1).", Level: Composite, Args: 5, Eval: evalBatchNorm, // folded by the rewrite pass
			Attrs: []AttrSpec{{"epsilon", AttrFloat, true}},
			Type: noForm(func(v *Value) (Type, error) {
				x := v.Args[0].Type
				if _, err := realOnly(v); err != nil {
					return Type{}, err
				}
				if len(x.Shape) < 2 {
					return Type{}, fmt.Errorf("input %v has no channel dimension", x.Shape)
				}
				for _, a := range v.Args[1:] {
					if a.Type.Elem != Real || !a.Type.Shape.Equal(Shape{x.Shape[1]}) {
						return Type{}, fmt.Errorf("parameter is %v, want %d reals", a.Type, x.Shape[1])
					}
				}
				x.Vis = joinAll(v.Args)
				return x, nil
			})},
	)
}

// covered reports whether each of out windows of k offsets touches the input of length in.
func covered(in, out, k, stride, pad, dil int) bool {
	for o := 0; o < out && o*stride < pad; o++ { // those that start before the input
		before := pad - o*stride
		if j := (before + dil - 1) / dil; j >= k || j*dil-before >= in {
			return false
		}
	}
	return (out-1)*stride-pad < in // the last one starts last
}

// inside counts the offsets of a window starting at start that fall into 0..in-1; all of them if all.
func inside(in, k, start, dil int, all bool) int {
	if all {
		return k
	}
	n := 0
	for j := 0; j < k; j++ {
		if p := start + j*dil; p >= 0 && p < in {
			n++
		}
	}
	return n
}

// argTree folds (x, idx) along axis to the index of the maximum; earlier elements win ties.
// Each level pairs neighbours, which keeps the order of indices: "x0 not less than x1" then means that the first maximum stays.
func argTree(b *Builder, axis int, x, idx *Value) *Value {
	for x.Type.Shape[axis] > 1 {
		n := x.Type.Shape[axis]
		h := n / 2
		x0, x1 := axisSlice(b, x, axis, 0, 2*h, 2), axisSlice(b, x, axis, 1, 2*h, 2)
		i0, i1 := axisSlice(b, idx, axis, 0, 2*h, 2), axisSlice(b, idx, axis, 1, 2*h, 2)
		less := b.E(OpLt, nil, x0, x1)
		ni := b.E(OpSelect, nil, less, i1, i0)
		var nx *Value
		if n > 2 { // the last level needs no maximum
			nx = b.E(OpSelect, nil, less, x1, x0)
		} else {
			return ni
		}
		if n%2 == 1 {
			nx = b.E(OpConcat, Attrs{I("axis", int64(axis))}, nx, axisSlice(b, x, axis, n-1, n, 1))
			last := axisSlice(b, idx, axis, n-1, n, 1)
			s := append(Shape{}, ni.Type.Shape...)
			s[axis] = 1
			last = b.E(OpExpand, Attrs{Dims("shape", s)}, last)
			ni = b.E(OpConcat, Attrs{I("axis", int64(axis))}, ni, last)
		}
		x, idx = nx, ni
	}
	return idx
}
