package onnx

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Quantised operators: q = saturate(round(x/scale) + zero). Integers of 2 to 16 bits are integers here, exact as in every runtime; scales and zero
// points that the file holds are public where they scale what is secret, and weights in integers are as private as those in reals.

// A quantisation is a scale and zero point, for all or along an axis.
type quantisation struct {
	scale, zero *ir.Tensor // nil if they are secret, or, of zero, if it is 0
	s, z        *ir.Value  // the same as values that broadcast; z is nil if it is not there
	by          float64    // the scale, if there is one for all; 0 if not
}

// widths are the bits of the types that quantised data has.
var widths = map[pb.TensorProto_DataType]int{pb.TensorProto_UINT8: 8, pb.TensorProto_INT8: 8, pb.TensorProto_UINT16: 16, pb.TensorProto_INT16: 16,
	pb.TensorProto_UINT4: 4, pb.TensorProto_INT4: 4, pb.TensorProto_UINT2: 2, pb.TensorProto_INT2: 2}

// ends returns the least and the largest number of a quantised type.
func ends(t pb.TensorProto_DataType) (lo, hi float64, ok bool) {
	bits := widths[t]
	switch t {
	case pb.TensorProto_INT8, pb.TensorProto_INT16, pb.TensorProto_INT4, pb.TensorProto_INT2:
		return -math.Exp2(float64(bits - 1)), math.Exp2(float64(bits-1)) - 1, true
	}
	return 0, math.Exp2(float64(bits)) - 1, bits > 0
}

// spreadOver arranges a parameter of input i over the shape of x: one for all, a list along an axis, or blocks along it.
func (c *calc) spreadOver(p *ir.Value, x ir.Shape, axis, block int) *ir.Value {
	if c.err != nil {
		return nil
	}
	s := p.Type.Shape
	if s.Size() == 1 {
		return c.reshape(p)
	}
	a, err := ir.NormAxes([]int{axis}, len(x))
	switch {
	case err != nil:
		return c.got(nil, err)
	case len(s) == 1 && block == 0 && s[0] == x[a[0]]:
		full := make(ir.Shape, len(x))
		for i := range full {
			full[i] = 1
		}
		full[a[0]] = s[0]
		return c.reshape(p, full...)
	case block > 0 && len(s) == len(x):
		if s[a[0]] != (x[a[0]]+block-1)/block {
			break
		}
		idx, err := c.n.indices(x[a[0]])
		if err != nil {
			return c.got(nil, err)
		}
		for i := range idx {
			idx[i] = i / block
		}
		return c.pick(p, a[0], idx)
	}
	return c.fail("scale or zero point %v does not fit %v along axis %d in blocks of %d", s, x, axis, block)
}

// grid reads the scale of input i and the zero point of input i+1, for data of shape x.
func (c *calc) grid(i int, x ir.Shape) (g quantisation) {
	n := c.n
	axis, block := n.int("axis", 1), n.int("block_size", 0)
	if c.err != nil {
		return g
	}
	if n.in(i).Type.Elem != ir.Real || block < 0 {
		c.fail("scale is %v, or blocks have %d elements", n.in(i).Type, block)
		return g
	}
	var err error
	if g.scale, err = n.fixed(i); err != nil {
		c.got(nil, err)
		return g
	}
	if g.scale != nil {
		g.scale = ir.Reals(g.scale.Shape, slices.Clone(g.scale.F)...)
		for k, s := range g.scale.F {
			s = float64(float32(s)) // as its type has it, also where it is computed: quotients near a half depend on it
			if g.scale.F[k] = s; !(math.Abs(s) > 0) || math.IsInf(s, 0) {
				c.fail("scale %d is %g", k, s)
				return g
			}
		}
		if g.scale.Len() == 1 {
			g.by = g.scale.F[0]
		}
	}
	if n.data(i) != nil && g.scale != nil && (n.r.depth == 0 || n.in(i).Op == ir.OpConst) { // a parameter of the file: public where it scales what is secret
		g.s = c.spreadOver(c.data(g.scale, false), x, axis, block)
	} else {
		g.s = c.spreadOver(n.in(i), x, axis, block)
	}
	if !n.given(i + 1) {
		return g
	}
	z := n.in(i + 1)
	if z.Type.Elem != ir.Int {
		if t, err := n.fixed(i + 1); err != nil || t == nil || !slices.ContainsFunc(t.F, func(f float64) bool { return f != 0 }) {
			return g // of types of floats
		}
		c.fail("zero point is %v, want integers", z.Type)
		return g
	}
	if g.zero, err = n.fixed(i + 1); err != nil {
		c.got(nil, err)
		return g
	}
	if g.zero != nil && !slices.ContainsFunc(g.zero.I, func(k int64) bool { return k != 0 }) {
		g.zero = nil
		return g
	}
	if g.zero != nil {
		z = c.data(&ir.Tensor{Elem: ir.Int, Shape: g.zero.Shape, I: g.zero.I}, false)
	}
	g.z = c.spreadOver(z, x, axis, block)
	return g
}

// An offset says that integers are others and a zero point, which is added as late as it can be: what reads them takes it off again.
type offset struct {
	less *ir.Value
	zero float64
}

// offsetBy is x + zero, and notes it.
func (c *calc) offsetBy(x *ir.Value, zero float64) *ir.Value {
	q := c.plus(x, zero)
	if c.err == nil && q.Op == ir.OpConst {
		q = c.got(c.n.renamed(q))
	}
	if c.err == nil {
		c.n.r.offsets[q] = offset{x, zero}
	}
	return q
}

// only returns the zero point of a grid if it is public and one for all.
func (g quantisation) only() (zero float64, ok bool) {
	switch {
	case g.zero == nil:
		return 0, g.z == nil
	case g.zero.Len() == 1:
		return float64(g.zero.I[0]), true
	}
	return 0, false
}

// centred is q - zero in reals, integers all.
func (c *calc) centred(q *ir.Value, g quantisation) *ir.Value {
	zero, ok := g.only()
	if o, noted := c.n.r.offsets[q]; noted && ok && zero == o.zero {
		return c.to(o.less, ir.Real)
	}
	if g.z != nil {
		q = c.sub(q, g.z)
	}
	return c.to(q, ir.Real)
}

// dequantised is (q - zero) * scale of input i, whose scale and zero point follow.
func (c *calc) dequantised(q *ir.Value, g quantisation) *ir.Value {
	u := c.centred(q, g)
	switch {
	case c.err != nil:
		return nil
	case g.by != 0:
		y := c.inUnit(u, g.by, true, false)
		if lo, hi, ok := ends(c.n.r.typeOf(q)); ok {
			c.holds(y, hi-lo)
		}
		return y
	}
	return c.mul(u, g.s)
}

// owned returns data that derives from what the file holds as weights of their owner, under the name of input i.
func (n *node) owned(i int, t *ir.Tensor) (*ir.Value, error) {
	if n.r.opt.PublicWeights || n.in(i).Type.Vis.IsPublic() && t.Len() <= maxLiteral {
		return n.constant(t)
	}
	name := n.p.Input[i]
	return n.r.weight(n.at, name+".dequantised", n.r.owner(name, n.r.opt.WeightOwner), t)
}

// dequantize lowers DequantizeLinear.
func dequantize(n *node) ([]*ir.Value, error) {
	c, x := n.calc(), n.in(0)
	if n.opset < 13 && n.in(1).Type.Shape.Size() != 1 {
		return nil, fmt.Errorf("scale %v is not one number (opset %d)", n.in(1).Type.Shape, n.opset)
	}
	g := c.grid(1, x.Type.Shape)
	if c.err != nil {
		return nil, c.err
	}
	t, err := n.fixed(0)
	if err != nil {
		return nil, err
	}
	if t == nil || g.scale == nil || g.z != nil && g.zero == nil {
		return c.one(c.dequantised(x, g))
	}
	// weights: their owner computes them
	s, err := ir.BroadcastShape(x.Type.Shape, g.s.Type.Shape)
	if err != nil || !s.Equal(x.Type.Shape) {
		return nil, fmt.Errorf("scale %v does not fit %v", g.scale.Shape, x.Type.Shape)
	}
	scale, zero := c.expand(g.s, s), g.z
	if zero == nil {
		zero = c.data(c.table(ir.Int), false)
	}
	zero = c.expand(zero, s)
	if c.err != nil {
		return nil, c.err
	}
	factors, err := n.r.evaluate(scale)
	if err != nil {
		return nil, err
	}
	offsets, err := n.r.evaluate(zero)
	if err != nil {
		return nil, err
	}
	out, err := n.tensor(ir.Real, s)
	if err != nil {
		return nil, err
	}
	for i := range out.F {
		if x.Type.Elem == ir.Real { // of types of floats
			out.F[i] = float64(t.F[i] * factors.F[i])
		} else {
			out.F[i] = float64(float64(t.I[i]-offsets.I[i]) * factors.F[i])
		}
	}
	return one(n.owned(0, out))
}

// mostExact is the fraction bits that integers in another unit are rounded with: ratios of scales are often near to simple fractions, and then halves are
// no rarity, and what float32 has of them decides.
const mostExact = 27

// nearest rounds to integers, halves to even: with k = floor(x/2) and r = x - 2k it is 2k, and one more where r > 1/2, and where r >= 3/2.
func (c *calc) nearest(x *ir.Value) *ir.Value {
	fine := func(x *ir.Value) *ir.Value { return c.e(ir.OpFormat, ir.Attrs{ir.I("frac", mostExact)}, x) }
	k := c.scale(c.fn(ir.OpFloor, fine(c.scale(x, 0.5))), 2)
	r := fine(c.sub(x, k))
	if c.err != nil {
		return nil
	}
	up := c.to(c.e(ir.OpGt, nil, r, c.num(r, 0.5)), ir.Real)
	return c.add(c.add(k, up), c.to(c.e(ir.OpGe, nil, r, c.num(r, 1.5)), ir.Real))
}

// An unbound value is one before the bounds that Relu and Clip put on it. Rounding is monotone: what is bound and then rounded and saturated is as well
// rounded and then saturated at the rounded bounds, which the ends of the type are anyway.
type unbound struct {
	x      *ir.Value
	lo, hi float64
}

// unbind takes the bounds off a value.
func unbind(x *ir.Value) unbound {
	b := unbound{x, math.Inf(-1), math.Inf(1)}
	for {
		lo, hi := math.Inf(-1), math.Inf(1)
		switch b.x.Op {
		case ir.OpRelu:
			lo = 0
		case ir.OpClip:
			lo, hi = b.x.Attrs.Float("lo", lo), b.x.Attrs.Float("hi", hi)
		default:
			return b
		}
		b = unbound{b.x.Args[0], min(max(min(lo, hi), b.lo), b.hi), min(max(hi, b.lo), b.hi)} // of a clip whose lo is above its hi, everything is hi
	}
}

// times is the value and its bounds in another unit, k > 0.
func (c *calc) times(b unbound, k float64) unbound {
	round := func(x float64) float64 { return float64(float32(x * k)) } // as runtimes divide
	return unbound{c.scale(b.x, k), round(b.lo), round(b.hi)}
}

// quantised is saturate(round(b) + zero) as integers of a type, for b = x/scale. Where it is a sum of products with weights, ties are rounded up: they
// come about by chance alone. whole says that it consists of integers.
func (c *calc) quantised(b unbound, g quantisation, typ pb.TensorProto_DataType, whole, product bool) *ir.Value {
	lo, hi, ok := ends(typ)
	if !ok {
		return c.got(nil, refusedType(c.n.at, typ, "quantising secrets to"))
	}
	if c.err != nil {
		return nil
	}
	a := b.x
	switch {
	case whole:
	case product:
		a = c.fn(ir.OpFloor, c.plus(a, 0.5))
	default:
		a = c.nearest(a)
	}
	if c.err != nil {
		return nil
	}
	zero, one := g.only()
	clip := func(x *ir.Value, lo, hi float64) *ir.Value {
		return c.e(ir.OpClip, ir.Attrs{ir.F("lo", lo), ir.F("hi", hi)}, x)
	}
	q := c.to(a, ir.Int)
	if one {
		lo, hi = lo-zero, hi-zero
		lo, hi = min(max(lo, math.RoundToEven(b.lo)), hi), min(max(lo, math.RoundToEven(b.hi)), hi)
		q = c.offsetBy(clip(q, lo, hi), zero)
	} else if q = clip(c.add(q, g.z), lo, hi); c.err == nil && q.Op == ir.OpConst {
		q = c.got(c.n.renamed(q))
	}
	if c.err == nil {
		c.n.r.types[q] = typ
	}
	return q
}

// refusedType is the error of a type that secrets cannot have.
func refusedType(at diag.Pos, typ pb.TensorProto_DataType, what string) error {
	e := diag.Errorf(at, "%s %v is not supported", what, typ).WithHint("quantise to integers of 2 to 16 bits, or export the model before quantisation")
	e.Refusal = quantised.kind
	return e
}

// quantize lowers QuantizeLinear.
func quantize(n *node) ([]*ir.Value, error) {
	c, x := n.calc(), n.in(0)
	typ := pb.TensorProto_UINT8
	switch {
	case n.given(2):
		if z := n.in(2); z.Type.Elem == ir.Int {
			typ = n.r.typeOf(z)
		} else {
			return nil, refusedType(n.at, pb.TensorProto_FLOAT8E4M3FN, "quantising to floats such as")
		}
	case n.int("output_dtype", 0) != 0:
		typ = pb.TensorProto_DataType(n.int("output_dtype", 0))
	}
	if n.opset < 13 && n.in(1).Type.Shape.Size() != 1 {
		return nil, fmt.Errorf("scale %v is not one number (opset %d)", n.in(1).Type.Shape, n.opset)
	}
	g := c.grid(1, x.Type.Shape)
	if c.err != nil {
		return nil, c.err
	}
	if g.scale == nil {
		e := diag.Errorf(n.at, "the scale is secret: quotients by it are approximated, and which integer is next to one near a half would be left to chance").
			WithHint("export the quantisation as DynamicQuantizeLinear, whose quotients are exact, or give the scale as an initialiser")
		e.Refusal, e.Public = quantised.kind, n.r.sources(n.in(1))
		return nil, e
	}
	if q, ok := c.byOwner(x, g, typ); ok {
		return c.one(q)
	}
	if x.Type.Elem != ir.Real {
		x = c.to(x, ir.Real)
	}
	return c.one(c.onGrid(x, g, typ))
}

// byOwner has the owner of an input quantise it, where nothing reads it but quantisations on one public grid: what enters is integers of few bits, and
// exactly those that a runtime would have, less the zero point. ok is false where that is not so.
func (c *calc) byOwner(x *ir.Value, g quantisation, typ pb.TensorProto_DataType) (q *ir.Value, ok bool) {
	n := c.n
	lo, hi, few := ends(typ)
	zero, one := g.only()
	if c.err != nil || x.Op != ir.OpInput || n.r.depth > 0 || n.r.branches > 0 || !few || len(n.over) > 0 || n.r.masks[x] != nil || x.Attrs.Has("columns") || !(float32(g.by) > 0) || !one {
		return nil, false
	}
	if !x.Attrs.Has("step") { // else another quantisation has seen that all are alike
		for _, p := range n.r.readers[n.p.Input[0]] {
			if p.GetOpType() != "QuantizeLinear" || domain(p.GetDomain()) != standard || !slices.Equal(p.Input, n.p.Input) || !slices.EqualFunc(p.Attribute, n.p.Attribute, sameAttribute) {
				return nil, false
			}
		}
		lo, hi = lo-zero, hi-zero
		if x.Attrs.Has("lo") { // what is declared of the reals
			at := func(x float64) float64 { return min(max(math.RoundToEven(float64(float32(x)/float32(g.by))), lo), hi) }
			lo, hi = at(x.Attrs.Float("lo", 0)), at(x.Attrs.Float("hi", 0))
		}
		x.Attrs = x.Attrs.With(ir.S("elem", ir.Int.String())).With(ir.F("lo", lo)).With(ir.F("hi", hi)).With(ir.F("step", g.by))
		x.Type.Elem = ir.Int
		n.r.types[x] = pb.TensorProto_INT32
	}
	if q = c.offsetBy(x, zero); q == x {
		q = c.got(n.renamed(x))
		c.n.r.offsets[q] = offset{x, zero}
	}
	if c.err == nil {
		n.r.types[q] = typ
	}
	return q, true
}

// sameAttribute reports whether two attributes of numbers are the same.
func sameAttribute(a, b *pb.AttributeProto) bool {
	return a.GetName() == b.GetName() && a.GetI() == b.GetI() && a.GetF() == b.GetF()
}

// requantised quantises reals with the grid of input i.
func (c *calc) requantised(y *ir.Value, i int) *ir.Value {
	if c.err != nil {
		return nil
	}
	g := c.grid(i, y.Type.Shape)
	typ := pb.TensorProto_UINT8
	if c.n.given(i + 1) {
		typ = c.n.r.typeOf(c.n.in(i + 1))
	}
	return c.onGrid(y, g, typ)
}

// onGrid quantises reals, in the unit that they are known in if there is one, and without the bounds of one sign or both that they have: those of the
// type take their place.
func (c *calc) onGrid(x *ir.Value, g quantisation, typ pb.TensorProto_DataType) *ir.Value {
	if c.err != nil {
		return nil
	}
	_, public := g.only() // bounds are the same for all elements
	if x.Op == ir.OpConst && g.by != 0 && public {
		return c.known(x, g, typ)
	}
	s, ok := c.n.r.units[x]
	switch {
	case ok && g.by > 0 && s.by > 0 && public:
		return c.quantised(c.times(unbind(s.u), s.by/g.by), g, typ, s.whole && s.by == g.by, s.sum)
	case ok && g.by != 0:
		return c.quantised(unbound{c.scale(s.u, s.by/g.by), math.Inf(-1), math.Inf(1)}, g, typ, s.whole && s.by == g.by, s.sum)
	case g.by > 0 && public:
		b := unbind(x)
		round := func(x float64) float64 { return float64(float32(x) / float32(g.by)) } // as runtimes divide
		return c.quantised(unbound{c.div(b.x, g.s), round(b.lo), round(b.hi)}, g, typ, false, false)
	}
	return c.quantised(unbound{c.div(x, g.s), math.Inf(-1), math.Inf(1)}, g, typ, false, false)
}

// known quantises public reals as runtimes do, in float32 and with halves to even.
func (c *calc) known(x *ir.Value, g quantisation, typ pb.TensorProto_DataType) *ir.Value {
	lo, hi, ok := ends(typ)
	if !ok {
		return c.got(nil, refusedType(c.n.at, typ, "quantising to"))
	}
	zero, _ := g.only()
	t := x.Attrs.Tensor("data")
	out := c.table(ir.Int, t.Shape...)
	if out == nil {
		return nil
	}
	for i, v := range t.F {
		y := math.RoundToEven(float64(float32(v)/float32(g.by))) + zero
		if math.IsNaN(y) {
			return c.fail("element %d is not a number", i)
		}
		out.I[i] = int64(min(max(y, lo), hi))
	}
	q := c.got(c.n.constant(out))
	if c.err == nil {
		c.n.r.types[q] = typ
	}
	return q
}

// real returns quantised input i, whose scale and zero point are inputs at and at+1, as reals: weights if the file holds it.
func (c *calc) real(i, at int) *ir.Value {
	n := c.n
	if c.err != nil {
		return nil
	}
	sub := &node{r: n.r, p: &pb.NodeProto{OpType: n.p.OpType, Input: []string{n.p.Input[i], n.p.Input[at], ""}, Name: n.p.Name}, at: n.at, opset: 21, attrs: n.attrs}
	if n.given(at + 1) {
		sub.p.Input[2] = n.p.Input[at+1]
	}
	out, err := dequantize(sub)
	if err != nil {
		return c.got(nil, err)
	}
	return out[0]
}

// layer applies lower, that of Conv, Gemm or MatMul, to reals in place of inputs 0, 1 and 2, in the unit of the grid of input i. Weights w are known.
func (c *calc) layer(x *ir.Value, w, b *ir.Value, i int, lower func(n *node) ([]*ir.Value, error)) *ir.Value {
	if c.err != nil {
		return nil
	}
	n := c.n
	by := 1.0
	if n.given(i) {
		if t, err := n.fixed(i); err == nil && t != nil && t.Len() == 1 && t.Elem == ir.Real && math.Abs(t.F[0]) > 0 {
			by = t.F[0]
		}
	}
	m := &node{r: n.r, p: &pb.NodeProto{Name: n.p.Name, Output: n.p.Output, OpType: n.p.OpType, Input: []string{"x", "w"}}, at: n.at, opset: 21, attrs: n.attrs}
	fold := func(v *ir.Value, k float64) *ir.Value {
		t, err := n.r.evaluate(v)
		switch {
		case err != nil:
			return c.got(nil, err)
		case t != nil:
			return c.got(m.derived(1, v, t, func(x float64) float64 { return x * k }))
		}
		return c.scale(v, k)
	}
	s, ok := n.r.units[x]
	if !ok {
		s = inUnits{u: x, by: 1}
	}
	if t, err := n.r.evaluate(w); err == nil && t == nil { // two secrets: integers first
		if v, ok := n.r.units[w]; ok {
			s.by *= v.by
			w = v.u
		}
		m.over = map[int]*ir.Value{0: s.u, 1: w}
		out, err := lower(m)
		if err != nil {
			return c.got(nil, err)
		}
		y := c.scale(out[0], s.by/by)
		if b != nil {
			y = c.add(y, fold(b, 1/by))
		}
		return c.inUnit(y, by, false, true)
	}
	m.over = map[int]*ir.Value{0: s.u, 1: fold(w, s.by/by)}
	if b != nil {
		m.p.Input = append(m.p.Input, "b")
		m.over[2] = fold(b, 1/by)
	}
	if c.err != nil {
		return nil
	}
	out, err := lower(m)
	if err != nil {
		return c.got(nil, err)
	}
	return c.inUnit(c.finely(out[0], n.terms(w.Type.Shape), s.most), by, false, true)
}

// biasOf returns the bias of input i, integers in units of the product of two scales.
func (c *calc) biasOf(i, xs, ws int) *ir.Value {
	n := c.n
	if c.err != nil || !n.given(i) {
		return nil
	}
	if n.in(i).Type.Elem == ir.Real {
		return n.in(i)
	}
	b, err := n.fixed(i)
	s, err2 := n.fixed(xs)
	t, err3 := n.fixed(ws)
	if err = errors.Join(err, err2, err3); err != nil || b == nil || s == nil || t == nil || s.Len() != 1 || t.Len() != 1 && t.Len() != b.Len() {
		return c.got(nil, errors.Join(err, errors.New("bias and scales are not known when compiling, or do not fit")))
	}
	out := c.table(ir.Real, b.Shape...)
	if out == nil {
		return nil
	}
	for k := range out.F {
		out.F[k] = float64(float64(b.I[k]) * float64(s.F[0]*t.F[k%t.Len()]))
	}
	return c.got(n.owned(i, out))
}

// qlinearConv lowers QLinearConv: the scale of the kernel is one for all, or one for each output channel.
func qlinearConv(n *node) ([]*ir.Value, error) {
	c := n.calc()
	x := c.real(0, 1)
	n.attrs = withInt(n.attrs, "axis", 0)
	w := c.real(3, 4)
	b := c.biasOf(8, 1, 4)
	y := c.layer(x, w, b, 6, conv)
	return c.one(c.requantised(y, 6))
}

// withInt is attributes with another value of one of integers.
func withInt(attrs map[string]*pb.AttributeProto, name string, x int64) map[string]*pb.AttributeProto {
	out := maps.Clone(attrs)
	if out == nil {
		out = map[string]*pb.AttributeProto{}
	}
	typ := pb.AttributeProto_INT
	out[name] = &pb.AttributeProto{Name: &name, Type: &typ, I: &x}
	return out
}

// qlinearMatMul lowers QLinearMatMul: scales are one for all, or one for each row of a and each column of b.
func qlinearMatMul(n *node) ([]*ir.Value, error) {
	c := n.calc()
	n.attrs = withInt(n.attrs, "axis", int64(max(0, len(n.in(0).Type.Shape)-2)))
	a := c.real(0, 1)
	n.attrs = withInt(n.attrs, "axis", int64(len(n.in(3).Type.Shape)-1))
	b := c.real(3, 4)
	return c.one(c.requantised(c.layer(a, b, nil, 6, matMul), 6))
}

// qgemm lowers QGemm: alpha * A * B + C, quantised if there is a grid for that.
func qgemm(n *node) ([]*ir.Value, error) {
	c := n.calc()
	alpha := n.float("alpha", 1)
	turn := n.attrs
	transB := n.int("transB", 0) != 0
	a := c.real(0, 1)
	axis := int64(1)
	if transB {
		axis = 0
	}
	n.attrs = withInt(turn, "axis", axis)
	b := c.real(3, 4)
	bias := c.biasOf(6, 1, 4)
	if c.err != nil {
		return nil, c.err
	}
	if alpha != 1 {
		return nil, fmt.Errorf("alpha=%g is not supported, want 1", alpha)
	}
	if !n.given(7) {
		y := c.layer(a, b, bias, 8, gemm)
		return c.one(y)
	}
	return c.one(c.requantised(c.layer(a, b, bias, 7, gemm), 7))
}

// centredWhole is input i minus the zero point of input z, as integers; weights that the file holds stay their owner's.
func (c *calc) centredWhole(i, z int, axis int) *ir.Value {
	n := c.n
	x := n.in(i)
	if x.Type.Elem != ir.Int {
		return c.fail("input %d is %v, want integers", i+1, x.Type)
	}
	if !n.given(z) {
		return x
	}
	zero := n.in(z)
	if t, err := n.fixed(z); err != nil {
		return c.got(nil, err)
	} else if t != nil && !slices.ContainsFunc(t.I, func(k int64) bool { return k != 0 }) {
		return x
	}
	return c.sub(x, c.spreadOver(zero, x.Type.Shape, axis, 0))
}

// matMulInteger lowers MatMulInteger: exact.
func matMulInteger(n *node) ([]*ir.Value, error) {
	c := n.calc()
	a, b := c.centredWhole(0, 2, max(0, len(n.in(0).Type.Shape)-2)), c.centredWhole(1, 3, len(n.in(1).Type.Shape)-1)
	if c.err != nil {
		return nil, c.err
	}
	m := &node{r: n.r, p: n.p, at: n.at, opset: n.opset, attrs: n.attrs, over: map[int]*ir.Value{0: a, 1: b}}
	return matMul(m)
}

// convInteger lowers ConvInteger: exact.
func convInteger(n *node) ([]*ir.Value, error) {
	c := n.calc()
	x, w := c.centredWhole(0, 2, 1), c.centredWhole(1, 3, 0)
	if c.err != nil {
		return nil, c.err
	}
	p := &pb.NodeProto{OpType: n.p.OpType, Name: n.p.Name, Input: n.p.Input[:2], Output: n.p.Output}
	return conv(&node{r: n.r, p: p, at: n.at, opset: n.opset, attrs: n.attrs, over: map[int]*ir.Value{0: x, 1: w}})
}

// dynamicBits are the fraction bits in which a dynamic quantisation takes its input: quotients of integers are exact.
const dynamicBits = 16

// dynamicQuantize lowers DynamicQuantizeLinear. Of data between low <= 0 and high >= 0, r = high - low, the scale is r/255, the zero point
// round(-255 low/r), and an element x becomes round(255 x/r) + zero. Quotients are those of integers, 2^16 times the numbers; halves are rounded up.
func dynamicQuantize(n *node) ([]*ir.Value, error) {
	c := n.calc()
	q, s, z := c.dynamic(n.in(0))
	return []*ir.Value{q, s, z}, c.err
}

func (c *calc) dynamic(x *ir.Value) (q, scale, zero *ir.Value) {
	if c.err != nil {
		return nil, nil, nil
	}
	size := x.Type.Shape.Size()
	if size == 0 || x.Type.Elem != ir.Real {
		c.fail("input is %v, want reals", x.Type)
		return nil, nil, nil
	}
	whole := c.to(c.fn(ir.OpFloor, c.plus(c.scale(x, 1<<dynamicBits), 0.5)), ir.Int)
	flat := c.reshape(whole, size)
	top := func(x *ir.Value) *ir.Value { return c.relu(c.reduce(ir.OpReduceMax, x, 0)) }
	high, low := top(flat), top(c.neg(flat)) // low is -min
	r := c.add(high, low)
	one := c.num(r, 1)
	d := c.e(ir.OpMax, nil, r, one)       // of zeros alone everything is 0
	part := func(x *ir.Value) *ir.Value { // round(255 x/d)
		return c.e(ir.OpIntDiv, ir.Attrs{ir.I("down", 1)}, c.add(c.scale(x, 510), d), c.scale(d, 2))
	}
	d = c.reshape(d)
	zero = c.reshape(part(low))
	if c.err != nil {
		return nil, nil, nil
	}
	clip := func(x *ir.Value) *ir.Value { return c.e(ir.OpClip, ir.Attrs{ir.F("lo", 0), ir.F("hi", 255)}, x) }
	zero = clip(zero)
	q = clip(c.add(part(whole), zero))
	none := c.e(ir.OpEq, nil, c.reshape(r), c.num(r, 0))
	span := c.scale(c.to(c.reshape(r), ir.Real), 1.0/(255*(1<<dynamicBits)))
	scale = c.e(ir.OpSelect, nil, none, c.num(span, 1), span)
	for _, v := range []**ir.Value{&q, &zero} {
		if c.err == nil && (*v).Op == ir.OpConst {
			*v = c.got(c.n.renamed(*v))
		}
		if c.err == nil {
			c.n.r.types[*v] = pb.TensorProto_UINT8
		}
	}
	return q, scale, zero
}

// dequantisedOp lowers an operator of com.microsoft that takes quantised data apart: dequantise its inputs, compute, quantise again. ins are the
// places of data, each followed by scale and zero point; out is that of the result's scale.
func dequantisedOp(ins []int, out int, f func(c *calc, xs []*ir.Value) *ir.Value) func(n *node) ([]*ir.Value, error) {
	return func(n *node) ([]*ir.Value, error) {
		c := n.calc()
		var xs []*ir.Value
		for _, i := range ins {
			xs = append(xs, c.real(i, i+1))
		}
		if c.err != nil {
			return nil, c.err
		}
		return c.one(c.requantised(f(c, xs), out))
	}
}

// qlinearConcat lowers QLinearConcat, whose result's grid comes first.
func qlinearConcat(n *node) ([]*ir.Value, error) {
	c := n.calc()
	axis := n.int("axis", 0)
	if len(n.p.Input) < 5 || (len(n.p.Input)-2)%3 != 0 {
		return nil, fmt.Errorf("has %d inputs, want 2 and 3 for each tensor", len(n.p.Input))
	}
	var xs []*ir.Value
	for i := 2; i+2 < len(n.p.Input); i += 3 {
		xs = append(xs, c.real(i, i+1))
	}
	if c.err != nil {
		return nil, c.err
	}
	a, err := ir.NormAxes([]int{axis}, len(xs[0].Type.Shape))
	if err != nil {
		return nil, err
	}
	return c.one(c.requantised(c.concat(a[0], xs...), 0))
}

// as lowers reals as another operator does whose attributes the node has.
func (c *calc) as(x *ir.Value, lower func(n *node) ([]*ir.Value, error)) *ir.Value {
	if c.err != nil {
		return nil
	}
	n := c.n
	m := &node{r: n.r, p: &pb.NodeProto{Name: n.p.Name, OpType: n.p.OpType, Input: []string{"x"}, Output: n.p.Output}, at: n.at, opset: 21, attrs: n.attrs, over: map[int]*ir.Value{0: x}}
	out, err := lower(m)
	if err != nil {
		return c.got(nil, err)
	}
	return out[0]
}

func init() {
	add("QuantizeLinear", "round(x/scale) + zero point within an integer type, exact; scales that the model holds are public; ties of sums of products with weights are rounded up.", quantize,
		version{since: 10, in: 2, max: 3}, version{since: 13, in: 2, max: 3, attrs: "axis:i"}, version{since: 19, in: 2, max: 3, attrs: "axis:i saturate:i"},
		version{since: 21, in: 2, max: 3, attrs: "axis:i block_size:i output_dtype:i saturate:i"}, version{since: 23, in: 2, max: 3, attrs: "axis:i block_size:i output_dtype:i precision:i saturate:i"})
	add("DequantizeLinear", "(q - zero point) * scale; of what the model holds it is a private weight.", dequantize,
		version{since: 10, in: 2, max: 3}, version{since: 13, in: 2, max: 3, attrs: "axis:i"}, version{since: 21, in: 2, max: 3, attrs: "axis:i block_size:i"},
		version{since: 23, in: 2, max: 3, attrs: "axis:i block_size:i output_dtype:i"})
	add("DynamicQuantizeLinear", "Quantisation with the scale of the data itself, which stays secret; on multiples of 2^-16, halves rounded up.", dynamicQuantize, version{since: 11, in: 1, max: 1})
	add("QLinearConv", "Convolution of quantised data, one rounding; kernel and bias stay private.", qlinearConv,
		version{since: 10, in: 8, max: 9, attrs: "auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is"})
	add("QLinearMatMul", "Matrix product of quantised data, one rounding.", qlinearMatMul, version{since: 10, in: 8, max: 8})
	add("MatMulInteger", "Matrix product of integers less their zero points, exact; weights stay private.", matMulInteger, version{since: 10, in: 2, max: 4})
	add("ConvInteger", "Convolution of integers less their zero points, exact; the kernel stays private.", convInteger,
		version{since: 10, in: 2, max: 4, attrs: "auto_pad:s dilations:is group:i kernel_shape:is pads:is strides:is"})
	const ms = "com.microsoft."
	binary := func(op ir.Op) func(n *node) ([]*ir.Value, error) {
		return dequantisedOp([]int{0, 3}, 6, func(c *calc, xs []*ir.Value) *ir.Value { return c.e(op, nil, xs[0], xs[1]) })
	}
	unary := func(f func(c *calc, x *ir.Value) *ir.Value) func(n *node) ([]*ir.Value, error) {
		return dequantisedOp([]int{0}, 3, func(c *calc, xs []*ir.Value) *ir.Value { return f(c, xs[0]) })
	}
	add(ms+"QLinearAdd", "Sum of quantised data.", binary(ir.OpAdd), version{since: 1, in: 7, max: 8})
	add(ms+"QLinearMul", "Product of quantised data.", binary(ir.OpMul), version{since: 1, in: 7, max: 8})
	add(ms+"QLinearSigmoid", "Sigmoid of quantised data, approximated.", unary(func(c *calc, x *ir.Value) *ir.Value { return c.fn(ir.OpSigmoid, x) }), version{since: 1, in: 4, max: 5})
	add(ms+"QLinearLeakyRelu", "Leaky ReLU of quantised data.", unary(func(c *calc, x *ir.Value) *ir.Value {
		return c.e(ir.OpLeaky, ir.Attrs{ir.F("alpha", c.n.float("alpha", float64(float32(0.01))))}, x)
	}), version{since: 1, in: 4, max: 5, attrs: "alpha:f"})
	add(ms+"QLinearGlobalAveragePool", "Mean over all spatial dimensions of quantised data.", unary(func(c *calc, x *ir.Value) *ir.Value {
		if c.n.int("channels_last", 0) != 0 {
			return c.fail("channels_last=1 is not supported")
		}
		return c.as(x, globalPool(ir.OpReduceMean))
	}), version{since: 1, in: 5, max: 5, attrs: "channels_last:i"})
	add(ms+"QLinearAveragePool", "Mean of each window of quantised data.", unary(func(c *calc, x *ir.Value) *ir.Value {
		if c.n.int("channels_last", 0) != 0 {
			return c.fail("channels_last=1 is not supported")
		}
		return c.as(x, pool(ir.OpAvgPool))
	}), version{since: 1, in: 4, max: 5, attrs: "auto_pad:s ceil_mode:i channels_last:i count_include_pad:i kernel_shape:is! pads:is strides:is"})
	add(ms+"QLinearConcat", "Quantised data side by side, quantised again.", qlinearConcat, version{since: 1, in: 5, max: -1, attrs: "axis:i!"})
	add(ms+"QGemm", "Product of quantised matrices and a bias, quantised again if there is a grid for that; weights stay private.", qgemm, version{since: 1, in: 6, max: 9, attrs: "alpha:f transA:i transB:i"})
	add(ms+"DynamicQuantizeMatMul", "Data quantised by its own scale times private quantised weights.", dynamicMatMul, version{since: 1, in: 3, max: 5})
	add(ms+"MatMulIntegerToFloat", "Product of integers less their zero points times both scales; weights stay private.", matMulIntegerToFloat, version{since: 1, in: 4, max: 7})
}

// dynamicMatMul lowers DynamicQuantizeMatMul: A, B, B's scale, its zero point, bias.
func dynamicMatMul(n *node) ([]*ir.Value, error) {
	c := n.calc()
	q, s, z := c.dynamic(n.in(0))
	b := c.centredWhole(1, 3, len(n.in(1).Type.Shape)-1)
	if c.err != nil {
		return nil, c.err
	}
	m := &node{r: n.r, p: n.p, at: n.at, opset: 21, attrs: n.attrs, over: map[int]*ir.Value{0: c.sub(q, z), 1: b}}
	if c.err != nil {
		return nil, c.err
	}
	return c.rescaled(m, s, n.in(2), 4)
}

// rescaled is the product of integers of m as reals times two scales, and the bias of input i.
func (c *calc) rescaled(m *node, s, t *ir.Value, i int) ([]*ir.Value, error) {
	out, err := matMul(m)
	if err != nil {
		return nil, err
	}
	y := c.mul(c.to(out[0], ir.Real), c.mul(s, t))
	if c.n.given(i) {
		y = c.add(y, c.n.in(i))
	}
	return c.one(y)
}

// matMulIntegerToFloat lowers MatMulIntegerToFloat: A, B, their scales, their zero points, bias.
func matMulIntegerToFloat(n *node) ([]*ir.Value, error) {
	c := n.calc()
	a, b := c.centredWhole(0, 4, max(0, len(n.in(0).Type.Shape)-2)), c.centredWhole(1, 5, len(n.in(1).Type.Shape)-1)
	if c.err != nil {
		return nil, c.err
	}
	m := &node{r: n.r, p: n.p, at: n.at, opset: 21, attrs: n.attrs, over: map[int]*ir.Value{0: a, 1: b}}
	return c.rescaled(m, n.in(2), n.in(3), 6)
}
