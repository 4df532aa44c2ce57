package passes

import (
	"fmt"
	"math"

	"smpcc/ir"
)

// rewrite applies the table of rules bottom-up until none fits: each replaces a value by a cheaper one of the same meaning.
func rewrite(m *ir.Module, opt *Options) error { return applyRules(m, rules, opt) }

// applyRules applies a table of rules bottom-up until none fits.
func applyRules(m *ir.Module, rules []rule, opt *Options) error {
	const rounds = 32 // each round shortens a chain; real graphs settle in three or four
	for range rounds {
		r := &rewriter{m: m, notes: opt.notebook(), uses: m.Main().Uses(), names: map[string]bool{}, origin: map[*ir.Value]*ir.Value{}}
		for n := range m.Weights {
			r.names[n] = true
		}
		err := rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
			r.nf, r.at = nf, v
			for _, rule := range rules {
				if rule.op != "" && rule.op != v.Op {
					continue
				}
				n, err := rule.apply(r, v, args)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", rule.doc, err)
				}
				if n != nil {
					r.changed = true
					if o := r.origin[n]; o == nil {
						r.origin[n] = v
					} else { // v vanished: who used it uses n
						r.uses[o] += r.uses[v] - 1
					}
					return n, nil
				}
			}
			n, err := nf.Emit(v.Pos, v.Op, v.Attrs, args...)
			if n != nil {
				r.origin[n] = v
			}
			return n, err
		})
		if err != nil || !r.changed {
			return err
		}
		if err := fold(m, nil); err != nil {
			return err
		}
		if err := dce(m, nil); err != nil {
			return err
		}
		m.Main().Renumber()
	}
	return nil
}

// A rewriter is one walk over the function.
type rewriter struct {
	m       *ir.Module
	notes   *notebook
	nf      *ir.Func
	at      *ir.Value
	uses    map[*ir.Value]int       // of values of the old function
	origin  map[*ir.Value]*ir.Value // new value -> old value it stands for
	names   map[string]bool
	changed bool
}

// e emits a value at the position of the one being replaced; rules build only well-typed values.
func (r *rewriter) e(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	b := ir.Builder{F: r.nf, At: r.at}
	return b.E(op, attrs, args...)
}

// sole reports whether new value x stands for an old value with a single use.
func (r *rewriter) sole(x *ir.Value) bool { o := r.origin[x]; return o != nil && r.uses[o] == 1 }

// A rule returns the replacement of v, whose arguments in the new function are args, or nil if it does not fit.
type rule struct {
	doc   string
	op    ir.Op // "" for any
	apply func(r *rewriter, v *ir.Value, args []*ir.Value) (*ir.Value, error)
}

var rules []rule

func init() {
	rules = []rule{
		{"a view that changes nothing vanishes", "", noView},
		{"reshape of reshape is one reshape", ir.OpReshape, func(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
			if a[0].Op != ir.OpReshape {
				return nil, nil
			}
			return r.e(ir.OpReshape, v.Attrs, a[0].Args[0]), nil
		}},
		{"adding zero and multiplying by one vanish", "", neutral},
		{"max-pool before ReLU: fewer comparisons, if nothing else sees the ReLU", ir.OpMaxPool, func(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
			if a[0].Op != ir.OpRelu || !r.sole(a[0]) {
				return nil, nil
			}
			return r.e(ir.OpRelu, nil, r.e(ir.OpMaxPool, v.Attrs, a[0].Args[0])), nil
		}},
		{"arg-max of a rising function is arg-max of its argument", ir.OpArgMax, rising},
		{"softmax is normalised behind the product it enters, which has fewer rows to divide", ir.OpMatMul, lateNorm},
		{"batch-norm into the convolution before it, or a factor and an offset per channel", ir.OpBatchNorm, batchNorm},
		{"a public factor goes into the weights of the product before it", ir.OpMul, factor},
		{"what scales and moves an input goes into one factor and one offset", ir.OpMul, scaleInput},
		{"division of an input by weights is a product with their reciprocals", ir.OpDiv, scaleInput},
		{"what scales and moves an input goes into the weights of the product behind it", ir.OpMatMul, affineInput},
	}
}

func noView(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	if len(a) != 1 || !ir.Rows[v.Op].View || !v.Type.Equal(v.Args[0].Type) {
		return nil, nil
	}
	switch v.Op {
	case ir.OpTranspose:
		for i, p := range v.Attrs.Ints("perm") {
			if p != i && v.Type.Shape[i] != 1 {
				return nil, nil
			}
		}
	case ir.OpSlice:
		for i, s := range v.Attrs.Ints("steps") {
			if s != 1 && v.Type.Shape[i] > 1 {
				return nil, nil
			}
		}
	case ir.OpGather:
		for i, x := range v.Attrs.Ints("indices") {
			if x != i {
				return nil, nil
			}
		}
	}
	return a[0], nil
}

// uniform returns the one number that a constant holds throughout.
func uniform(v *ir.Value) (float64, bool) {
	if v.Op != ir.OpConst {
		return 0, false
	}
	t := v.Attrs.Tensor("data")
	if t.Len() == 0 {
		return 0, false
	}
	for i := range t.Len() {
		if t.At(i) != t.At(0) {
			return 0, false
		}
	}
	return t.At(0), true
}

func neutral(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	try := func(x, c *ir.Value, id float64) *ir.Value {
		if k, ok := uniform(c); ok && k == id && x.Type.Shape.Equal(v.Type.Shape) && x.Type.Elem != ir.Bool {
			return x
		}
		return nil
	}
	switch v.Op {
	case ir.OpAdd:
		if n := try(a[0], a[1], 0); n != nil {
			return n, nil
		}
		return try(a[1], a[0], 0), nil
	case ir.OpSub:
		return try(a[0], a[1], 0), nil
	case ir.OpMul:
		if n := try(a[0], a[1], 1); n != nil {
			return n, nil
		}
		return try(a[1], a[0], 1), nil
	}
	return nil, nil
}

// rising removes softmax along the same axis and sigmoid: both keep the order of elements.
func rising(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	x := a[0]
	switch x.Op {
	case ir.OpSigmoid:
	case ir.OpSoftmax:
		rank := len(x.Type.Shape)
		p, err := ir.NormAxes([]int{x.Attrs.Int("axis", 0)}, rank)
		if err != nil {
			return nil, err
		}
		q, err := ir.NormAxes([]int{v.Attrs.Int("axis", 0)}, rank)
		if err != nil {
			return nil, err
		}
		if p[0] != q[0] {
			return nil, nil
		}
	default:
		return nil, nil
	}
	return r.e(ir.OpArgMax, v.Attrs, x.Args[0]), nil
}

// lateNorm turns softmax(x) * V into (exp(x - max(x)) * V) / sum(exp(x - max(x))), if the softmax runs along the dimension that the
// product sums over and nothing else sees it.
func lateNorm(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	s := a[0]
	if s.Op != ir.OpSoftmax || !r.sole(s) || v.Type.Shape.Size() > s.Type.Shape.Size() {
		return nil, nil
	}
	rank := len(s.Type.Shape)
	axis, err := ir.NormAxes([]int{s.Attrs.Int("axis", 0)}, rank)
	if err != nil || axis[0] != rank-1 || rank != len(v.Type.Shape) {
		return nil, err
	}
	_, e, sum := ir.SoftmaxParts(&ir.Builder{F: r.nf, At: r.at}, s)
	return r.e(ir.OpDiv, nil, r.e(ir.OpMatMul, v.Attrs, e, a[1]), sum), nil
}

// batchNorm turns (x - mean) / sqrt(var + epsilon) * scale + bias into x*a + b with weights a and b that their owner
// computes, and moves a and b into a convolution that only this value uses.
func batchNorm(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	var p [4]*ir.Tensor // scale, bias, mean, var
	owner := ""
	for i := range p {
		w := a[i+1]
		if p[i] = known(r.m, w); p[i] == nil {
			return nil, nil // decompose reports it
		}
		if x := weightOf(w); x != nil {
			if o := x.Attrs.Str("owner"); owner != "" && owner != o {
				return nil, nil
			} else {
				owner = o
			}
		}
	}
	ch := p[0].Len()
	scale, offset := ir.NewTensor(ir.Real, ir.Shape{ch}), ir.NewTensor(ir.Real, ir.Shape{ch})
	for c := range ch {
		d := p[3].F[c] + v.Attrs.Float("epsilon", 0)
		if !(d > 0) {
			return nil, fmt.Errorf("variance plus epsilon of channel %d is not positive", c)
		}
		scale.F[c] = p[0].F[c] / math.Sqrt(d)
		offset.F[c] = p[1].F[c] - float64(p[2].F[c]*scale.F[c])
	}
	data := func(t *ir.Tensor, what string, s ir.Shape) (*ir.Value, error) {
		t = &ir.Tensor{Elem: ir.Real, Shape: s, F: t.F}
		if owner == "" {
			return r.e(ir.OpConst, ir.Attrs{ir.T("data", t)}), nil
		}
		base := a[1]
		for _, w := range a[1:] {
			if x := weightOf(w); x != nil {
				base = x
				break
			}
		}
		return newWeight(r.m, r.nf, v, unusedName(r.names, base.Attrs.Str("name")+"."+what), owner, t)
	}
	wide := ir.Shape{ch} // per channel, against x [N,C,...]
	for range len(v.Type.Shape) - 2 {
		wide = append(wide, 1)
	}
	b, err := data(offset, "offset", wide)
	if err != nil {
		return nil, err
	}
	// conv(x, W) [+ bias]: W*a and bias*a + b
	x, bias := a[0], (*ir.Value)(nil)
	if x.Op == ir.OpAdd && r.sole(x) && known(r.m, x.Args[1]) != nil {
		x, bias = x.Args[0], x.Args[1]
	}
	if x.Op == ir.OpConv && r.sole(x) && known(r.m, x.Args[1]) != nil && compatible(owner, x.Args[1]) && (bias == nil || compatible(owner, bias)) {
		s, err := data(scale, "factor", ir.Shape{ch, 1, 1, 1})
		if err != nil {
			return nil, err
		}
		y := r.e(ir.OpConv, x.Attrs, x.Args[0], r.e(ir.OpMul, nil, x.Args[1], s))
		if bias != nil {
			w, err := data(scale, "factor", wide)
			if err != nil {
				return nil, err
			}
			b = r.e(ir.OpAdd, nil, r.e(ir.OpMul, nil, bias, w), b)
		}
		return r.e(ir.OpAdd, nil, y, b), nil
	}
	s, err := data(scale, "factor", wide)
	if err != nil {
		return nil, err
	}
	return r.e(ir.OpAdd, nil, r.e(ir.OpMul, nil, a[0], s), b), nil
}

// compatible reports whether owner can fold its data into w without learning anything: w is public or its own.
func compatible(owner string, w *ir.Value) bool {
	x := weightOf(w)
	return x == nil || owner == "" || x.Attrs.Str("owner") == owner
}

// factor moves a public scalar into the weights of the matrix product or convolution before it, or joins two factors.
func factor(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	x, c := a[0], a[1]
	k, ok := uniform(c)
	if !ok {
		x, c = a[1], a[0]
		k, ok = uniform(c)
	}
	if !ok || v.Type.Elem != ir.Real || !x.Type.Shape.Equal(v.Type.Shape) || !r.sole(x) {
		return nil, nil
	}
	switch x.Op {
	case ir.OpMatMul, ir.OpConv:
		if known(r.m, x.Args[1]) == nil {
			return nil, nil
		}
		return r.e(x.Op, x.Attrs, x.Args[0], r.e(ir.OpMul, nil, x.Args[1], r.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, k))}))), nil
	case ir.OpMul:
		for i := range 2 {
			if known(r.m, x.Args[i]) != nil && known(r.m, x.Args[1-i]) == nil {
				return r.e(ir.OpMul, nil, x.Args[1-i], r.e(ir.OpMul, nil, x.Args[i], r.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, k))}))), nil
			}
		}
	}
	return nil, nil
}
