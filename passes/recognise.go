package passes

import (
	"math"
	"slices"

	"smpcc/ir"
)

// Forms are ways in which exporters write a function by others: a softmax by exponentials, a GELU by the error function. Over the reals both are the same;
// with a few bits the parts may overflow, or lose the digits that their difference needs, and each costs rounds of its own. A form is taken only
// where every constant is the one that the function has, to what a float of 32 bits holds of it.
var forms []rule

func init() {
	forms = []rule{
		{"a mean or sum of one element is that element", "", lineOfOne},
		{"a number less itself is zero", ir.OpSub, cancelled},
		{"two constant factors are one", ir.OpMul, oneFactor},
		{"a product with a reciprocal is a quotient", ir.OpMul, overReciprocal},
		{"1/(1+exp(-x)) is a sigmoid, x/(1+exp(-x)) a SiLU", ir.OpDiv, logistic},
		{"(exp(x)-exp(-x)) / (exp(x)+exp(-x)) is a tanh", ir.OpDiv, tanhByExp},
		{"exp(x) / sum(exp(x)) is a softmax", ir.OpDiv, softmaxByExp},
		{"softmax of x-c is softmax of x where c is the same along the axis", ir.OpSoftmax, shifted},
		{"a quotient by a root is a product with the root's reciprocal", ir.OpDiv, overSqrt},
		{"1/(1+exp(-x)) is a sigmoid", ir.OpRecip, func(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
			if u := onePlusExp(a[0]); u != nil {
				return r.e(ir.OpSigmoid, nil, r.negative(u)), nil
			}
			if a[0].Op == ir.OpSqrt {
				return r.e(ir.OpRsqrt, nil, a[0].Args[0]), nil
			}
			return nil, nil
		}},
		{"log(sum(exp(x))) is max(x) + log(sum(exp(x-max(x)))), log(1+exp(x)) a softplus", ir.OpLog, logOfExp},
		{"exp(log_softmax(x)) is a softmax", ir.OpExp, func(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
			if a[0].Op != ir.OpLogSoftmax {
				return nil, nil
			}
			return r.e(ir.OpSoftmax, a[0].Attrs, a[0].Args[0]), nil
		}},
		{"x*sigmoid(x) is a SiLU, x*tanh(softplus(x)) a Mish, x*(1+erf(x/sqrt(2)))/2 and its approximation by tanh a GELU", ir.OpMul, gated},
		{"the product of a root with itself is what it is a root of", ir.OpMul, func(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
			if a[0] != a[1] || a[0].Op != ir.OpSqrt {
				return nil, nil
			}
			return a[0].Args[0], nil
		}},
		{"the root of a square is the magnitude", ir.OpSqrt, func(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
			x := squared(a[0])
			if x == nil {
				return nil, nil
			}
			return r.e(ir.OpAbs, nil, x), nil
		}},
		{"mean(x^2) - mean(x)^2 is mean((x - mean(x))^2)", ir.OpSub, varianceBySquares},
	}
}

// recognise applies the table of forms bottom-up until none fits.
func recognise(m *ir.Module, opt *Options) error { return applyRules(m, forms, opt) }

// negative returns -x, without two signs.
func (r *rewriter) negative(x *ir.Value) *ir.Value {
	if x.Op == ir.OpNeg {
		return x.Args[0]
	}
	return r.e(ir.OpNeg, nil, x)
}

// number emits a public scalar.
func (r *rewriter) number(x float64) *ir.Value {
	return r.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, x))})
}

// is reports whether v is the constant c throughout.
func is(v *ir.Value, c float64) bool {
	x, ok := uniform(v)
	return ok && v.Type.Elem == ir.Real && x == c
}

// nearTo reports whether a constant of a model, which was a float of 32 bits or of a few decimals, is the exact one.
func nearTo(x, want float64) bool { return math.Abs(x-want) <= 2e-6*math.Abs(want) }

// exponent returns u where v is exp(u); one says that v is 1, of which u is 0.
func exponent(v *ir.Value) (u *ir.Value, one, ok bool) {
	if v.Op == ir.OpExp {
		return v.Args[0], false, true
	}
	return nil, is(v, 1), is(v, 1)
}

// onePlusExp returns u where v is 1 + exp(u).
func onePlusExp(v *ir.Value) *ir.Value {
	if v.Op != ir.OpAdd {
		return nil
	}
	for i, x := range v.Args {
		if x.Op == ir.OpExp && is(v.Args[1-i], 1) && v.Type.Shape.Equal(x.Type.Shape) {
			return x.Args[0]
		}
	}
	return nil
}

func lineOfOne(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	switch v.Op {
	case ir.OpReduceSum, ir.OpReduceMean, ir.OpReduceMax:
	default:
		return nil, nil
	}
	if v.Type.Shape.Size() != a[0].Type.Shape.Size() || v.Type.Shape.Size() == 0 {
		return nil, nil
	}
	if v.Type.Shape.Equal(a[0].Type.Shape) {
		return a[0], nil
	}
	return r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", v.Type.Shape)}, a[0]), nil
}

// oneFactor joins the constants of a product.
func oneFactor(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	for i, c := range a {
		k, ok := uniform(c)
		x := a[1-i]
		if !ok || v.Type.Elem != ir.Real || x.Op != ir.OpMul || !x.Type.Shape.Equal(v.Type.Shape) {
			continue
		}
		for j, d := range x.Args {
			if l, ok := uniform(d); ok && x.Args[1-j].Type.Shape.Equal(v.Type.Shape) {
				if k*l == 1 {
					return x.Args[1-j], nil
				}
				return r.e(ir.OpMul, nil, x.Args[1-j], r.number(k*l)), nil
			}
		}
	}
	return nil, nil
}

func cancelled(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	if a[0] != a[1] || v.Type.Elem != ir.Real {
		return nil, nil
	}
	return r.e(ir.OpConst, ir.Attrs{ir.T("data", ir.NewTensor(ir.Real, v.Type.Shape))}), nil
}

func overReciprocal(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	for i, y := range a {
		if y.Op == ir.OpRecip && r.sole(y) && a[1-i].Op != ir.OpConst && a[1-i].Op != ir.OpWeight {
			return r.e(ir.OpDiv, nil, a[1-i], y.Args[0]), nil
		}
	}
	return nil, nil
}

func logistic(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	u := onePlusExp(a[1])
	switch {
	case u == nil || !v.Type.Shape.Equal(u.Type.Shape):
	case is(a[0], 1):
		return r.e(ir.OpSigmoid, nil, r.negative(u)), nil
	case a[0].Op == ir.OpExp && a[0].Args[0] == u: // exp(u) / (1 + exp(u))
		return r.e(ir.OpSigmoid, nil, u), nil
	case u.Op == ir.OpNeg && u.Args[0] == a[0]:
		return r.e(ir.OpSilu, nil, a[0]), nil
	}
	return nil, nil
}

// tanhByExp recognises (e^u - e^w) / (e^u + e^w), which is tanh((u-w)/2); one of the two may be 1.
func tanhByExp(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	if a[0].Op != ir.OpSub || a[1].Op != ir.OpAdd {
		return nil, nil
	}
	p, q := a[0].Args[0], a[0].Args[1]
	u, uOne, ok := exponent(p)
	w, wOne, also := exponent(q)
	same := func(x, y *ir.Value) bool { return x == y || is(x, 1) && is(y, 1) }
	x, y := a[1].Args[0], a[1].Args[1]
	switch {
	case !ok || !also || uOne && wOne || !(same(p, x) && same(q, y) || same(p, y) && same(q, x)):
		return nil, nil
	case uOne:
		return r.fits(v, r.e(ir.OpTanh, nil, r.e(ir.OpMul, nil, w, r.number(-0.5)))), nil
	case wOne:
	case w.Op == ir.OpNeg && w.Args[0] == u:
		return r.fits(v, r.e(ir.OpTanh, nil, u)), nil
	case u.Op == ir.OpNeg && u.Args[0] == w:
		return r.fits(v, r.e(ir.OpTanh, nil, u)), nil
	default:
		u = r.e(ir.OpSub, nil, u, w)
	}
	return r.fits(v, r.e(ir.OpTanh, nil, r.e(ir.OpMul, nil, u, r.number(0.5)))), nil
}

// fits returns n if it has the shape of v, which it is to replace.
func (r *rewriter) fits(v, n *ir.Value) *ir.Value {
	if n.Type.Shape.Equal(v.Type.Shape) {
		return n
	}
	return nil
}

func softmaxByExp(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	t := follow(a[1])
	if a[0].Op != ir.OpExp || t.v.Op != ir.OpReduceSum || t.v.Args[0] != a[0] || !t.meets(t.v, a[0].Type.Shape) {
		return nil, nil
	}
	axis, ok := theAxis(t.v)
	if !ok {
		return nil, nil
	}
	return r.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", int64(axis))}, a[0].Args[0]), nil
}

// theAxis returns the single axis along which v reduces.
func theAxis(v *ir.Value) (int, bool) {
	if !v.Attrs.Has("axes") {
		return 0, false
	}
	axes, err := ir.NormAxes(v.Attrs.Ints("axes"), len(v.Args[0].Type.Shape))
	if err != nil || len(axes) != 1 {
		return 0, false
	}
	return axes[0], true
}

// shifted drops what is added to all elements of a line.
func shifted(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	axis, err := ir.NormAxes([]int{v.Attrs.Int("axis", 0)}, len(v.Type.Shape))
	if err != nil || a[0].Op != ir.OpSub && a[0].Op != ir.OpAdd || v.Type.Shape[axis[0]] == 1 {
		return nil, err
	}
	alike := func(c *ir.Value) bool {
		d := axis[0] - (len(v.Type.Shape) - len(c.Type.Shape))
		if c.Op == ir.OpExpand && len(c.Args[0].Type.Shape) == len(c.Type.Shape) {
			c = c.Args[0]
		}
		return d < 0 || c.Type.Shape[d] == 1
	}
	x, c := a[0].Args[0], a[0].Args[1]
	if !alike(c) && a[0].Op == ir.OpAdd {
		x, c = c, x
	}
	if !alike(c) || !x.Type.Shape.Equal(v.Type.Shape) {
		return nil, nil
	}
	return r.e(ir.OpSoftmax, v.Attrs, x), nil
}

// overSqrt turns x / sqrt(v), and x / max(sqrt(v), c) with c > 0, into x * 1/sqrt(max(v, c^2)), also where the root is seen through views.
func overSqrt(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	y, least := a[1], 0.0
	var views []*ir.Value
	for y.Op != ir.OpSqrt {
		switch {
		case ir.Rows[y.Op].View && len(y.Args) == 1:
			views = append(views, y)
			y = y.Args[0]
			continue
		case y.Op == ir.OpClip && y.Attrs.Float("lo", 0) > 0 && math.IsInf(y.Attrs.Float("hi", math.Inf(1)), 1):
			least = max(least, y.Attrs.Float("lo", 0))
			y = y.Args[0]
			continue
		case y.Op == ir.OpMax:
			i := slices.IndexFunc(y.Args, func(x *ir.Value) bool { c, ok := uniform(x); return ok && c > 0 })
			if i >= 0 && y.Args[1-i].Type.Shape.Equal(y.Type.Shape) {
				c, _ := uniform(y.Args[i])
				least = max(least, c)
				y = y.Args[1-i]
				continue
			}
		}
		return nil, nil
	}
	s := y.Args[0]
	if least > 0 {
		s = r.e(ir.OpMax, nil, s, r.number(least*least))
	}
	s = r.e(ir.OpRsqrt, nil, s)
	for _, w := range slices.Backward(views) {
		s = r.e(w.Op, w.Attrs, s)
	}
	return r.e(ir.OpMul, nil, a[0], s), nil
}

func logOfExp(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	x := a[0]
	switch x.Op {
	case ir.OpSoftmax:
		return r.e(ir.OpLogSoftmax, x.Attrs, x.Args[0]), nil
	case ir.OpSigmoid: // log(1/(1+exp(-x)))
		return r.e(ir.OpNeg, nil, r.e(ir.OpSoftplus, nil, r.negative(x.Args[0]))), nil
	case ir.OpAdd:
		if u := onePlusExp(x); u != nil {
			return r.e(ir.OpSoftplus, nil, u), nil
		}
		if p, q := x.Args[0], x.Args[1]; p.Op == ir.OpExp && q.Op == ir.OpExp { // w + log(1 + exp(u-w))
			return r.fits(v, r.e(ir.OpAdd, nil, q.Args[0], r.e(ir.OpSoftplus, nil, r.e(ir.OpSub, nil, p.Args[0], q.Args[0])))), nil
		}
	}
	t := follow(x)
	if t.v.Op != ir.OpReduceSum || t.v.Args[0].Op != ir.OpExp || t.at.Size() != x.Type.Shape.Size() {
		return nil, nil
	}
	axis, ok := theAxis(t.v)
	z := t.v.Args[0].Args[0]
	if !ok || z.Type.Shape.Size() == 0 || z.Op == ir.OpFormat { // what this form makes
		return nil, nil
	}
	b := &ir.Builder{F: r.nf, At: r.at}
	stable := false
	if z.Op == ir.OpSub {
		m := follow(z.Args[1])
		same, one := theAxis(m.v)
		if stable = m.v.Op == ir.OpReduceMax && m.v.Args[0] == z.Args[0] && one && same == axis && m.meets(m.v, z.Type.Shape); stable {
			z = z.Args[0]
		}
	}
	_, _, sum := ir.SoftmaxParts(b, &ir.Value{Args: []*ir.Value{z}, Attrs: ir.Attrs{ir.I("axis", int64(axis))}})
	y := r.e(ir.OpLog, nil, sum)
	if !stable {
		y = r.e(ir.OpAdd, nil, r.e(ir.OpReduceMax, ir.Attrs{ir.Dims("axes", []int{axis}), ir.I("keep", 1)}, z), y)
	}
	if !y.Type.Shape.Equal(v.Type.Shape) {
		y = r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", v.Type.Shape)}, y)
	}
	return y, nil
}

// mostFactors bounds the factors of a product that is looked at.
const mostFactors = 6

// factorsOf returns what v is a product of: values, and a constant.
func factorsOf(v *ir.Value) (x []*ir.Value, k float64) {
	k = 1
	for todo := []*ir.Value{v}; len(todo) > 0; {
		v, todo = todo[0], todo[1:]
		c, ok := uniform(v)
		switch {
		case ok && v.Type.Elem == ir.Real:
			k *= c
		case v.Op == ir.OpMul && len(x)+len(todo) < mostFactors:
			todo = append(todo, v.Args...)
		case v.Op == ir.OpDiv && isConst(v.Args[1]):
			c, _ := uniform(v.Args[1])
			k /= c
			todo = append(todo, v.Args[0])
		default:
			x = append(x, v)
		}
	}
	return x, k
}

// isConst reports whether v is one number other than zero throughout.
func isConst(v *ir.Value) bool { c, ok := uniform(v); return ok && c != 0 }

// Polynomials that are looked for.
const (
	mostDegree = 3
	mostDepth  = 8 // ops from the result to its variable
)

// polynomialIn returns the coefficients of v as a polynomial in x, constant first; nil if it is none of degree 3 or less.
func polynomialIn(v, x *ir.Value, depth int) []float64 {
	if depth == 0 {
		return nil
	}
	if v == x {
		return []float64{0, 1}
	}
	if c, ok := uniform(v); ok && v.Type.Elem == ir.Real {
		return []float64{c}
	}
	var p [2][]float64
	if len(v.Args) == 0 || len(v.Args) > 2 {
		return nil
	}
	switch v.Op {
	case ir.OpAdd, ir.OpSub, ir.OpMul, ir.OpNeg, ir.OpDiv:
	default:
		return nil
	}
	for i, a := range v.Args {
		if p[i] = polynomialIn(a, x, depth-1); p[i] == nil {
			return nil
		}
	}
	switch v.Op {
	case ir.OpNeg:
		return timesPolynomial(p[0], []float64{-1})
	case ir.OpMul:
		return timesPolynomial(p[0], p[1])
	case ir.OpDiv:
		if len(p[1]) != 1 || p[1][0] == 0 {
			return nil
		}
		return timesPolynomial(p[0], []float64{1 / p[1][0]})
	}
	sum := make([]float64, max(len(p[0]), len(p[1])))
	copy(sum, p[0])
	for i, c := range p[1] {
		if v.Op == ir.OpSub {
			c = -c
		}
		sum[i] += c
	}
	return sum
}

// timesPolynomial multiplies two polynomials; nil if the degree is larger than any that is looked for.
func timesPolynomial(p, q []float64) []float64 {
	if len(p)+len(q)-2 > mostDegree {
		return nil
	}
	out := make([]float64, len(p)+len(q)-1)
	for i, c := range p {
		for j, d := range q {
			out[i+j] += float64(c * d)
		}
	}
	return out
}

// proportional returns k where v is k*x.
func proportional(v, x *ir.Value) (k float64, ok bool) {
	p := polynomialIn(v, x, mostDepth)
	if len(p) != 2 || p[0] != 0 || p[1] == 0 {
		return 0, false
	}
	return p[1], true
}

// gated recognises products of x with a gate: a function of x.
func gated(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	whole := &ir.Value{Op: ir.OpMul, Args: a}
	x, k := factorsOf(whole)
	if len(x) != 2 || !x[0].Type.Shape.Equal(v.Type.Shape) || !x[1].Type.Shape.Equal(v.Type.Shape) {
		return nil, nil
	}
	for i, g := range x {
		y := r.gate(x[1-i], g, &k)
		if y == nil {
			continue
		}
		if k != 1 {
			y = r.e(ir.OpMul, nil, y, r.number(k))
		}
		return y, nil
	}
	return nil, nil
}

// gate returns the function that x*g is, k times of it; nil if none.
func (r *rewriter) gate(x, g *ir.Value, k *float64) *ir.Value {
	switch g.Op {
	case ir.OpSigmoid:
		s, ok := proportional(g.Args[0], x)
		if !ok {
			return nil
		}
		if s == 1 {
			return r.e(ir.OpSilu, nil, x)
		}
		*k /= s
		return r.e(ir.OpSilu, nil, g.Args[0]) // x*sigmoid(s*x) = silu(s*x)/s
	case ir.OpTanh:
		if s := g.Args[0]; s.Op == ir.OpSoftplus && s.Args[0] == x {
			return r.e(ir.OpMish, nil, x)
		}
	case ir.OpAdd:
		for i, f := range g.Args {
			if !is(g.Args[1-i], 1) {
				continue
			}
			var p []float64
			if len(f.Args) == 1 {
				p = polynomialIn(f.Args[0], x, mostDepth)
			}
			switch {
			case f.Op == ir.OpErf && len(p) == 2 && p[0] == 0 && nearTo(p[1], math.Sqrt(0.5)):
				*k *= 2
				return r.rounded(k, r.e(ir.OpGelu, nil, x))
			case f.Op == ir.OpTanh && len(p) == 4 && p[0] == 0 && p[2] == 0 && nearTo(p[1], math.Sqrt(2/math.Pi)) && nearTo(p[3]/p[1], 0.044715):
				*k *= 2
				return r.rounded(k, r.e(ir.OpGeluTanh, nil, x))
			}
		}
	}
	return nil
}

// rounded sets a factor that is nearly 1 to 1.
func (r *rewriter) rounded(k *float64, v *ir.Value) *ir.Value {
	if nearTo(*k, 1) {
		*k = 1
	}
	return v
}

// varianceBySquares recognises mean(x^2) - mean(x)^2. Its terms are large and nearly equal; the mean of squares about the mean is neither.
func varianceBySquares(r *rewriter, v *ir.Value, a []*ir.Value) (*ir.Value, error) {
	of, mean := follow(a[0]), squared(a[1])
	if of.v.Op != ir.OpReduceMean || mean == nil {
		return nil, nil
	}
	x, m := squared(of.v.Args[0]), follow(mean)
	axes, _ := of.v.Attrs.Get("axes")
	if x == nil || m.v.Op != ir.OpReduceMean || m.v.Args[0] != x || !slices.Equal(m.v.Attrs.Ints("axes"), of.v.Attrs.Ints("axes")) {
		return nil, nil
	}
	if n := v.Type.Shape.Size(); of.at.Size() != n || m.at.Size() != n || !a[0].Type.Shape.Equal(v.Type.Shape) || !mean.Type.Shape.Equal(v.Type.Shape) {
		return nil, nil
	}
	kept := ir.Attrs{axes, ir.I("keep", 1)}
	c := r.e(ir.OpSub, nil, x, r.e(ir.OpReduceMean, kept, x))
	y := r.e(ir.OpReduceMean, kept, r.e(ir.OpMul, nil, c, c))
	if !y.Type.Shape.Equal(v.Type.Shape) {
		y = r.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", v.Type.Shape)}, y)
	}
	return y, nil
}
