package passes

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"smpcc/ir"
)

// A proof bounds the errors of a module in fixed point for every input within its range, from the inputs to the outputs: each value has an
// enclosure, and each op a rule that follows from what parties compute. It relies on no range but those of inputs and weights, which owners' encoders and
// servers enforce: others it computes, errors included, and checks that they fit the bits in which they are opened. Exact means the graph
// in real arithmetic, on weights and constants as float64 arithmetic has folded them.
type proof struct {
	f        *ir.Func
	weights  map[string]*ir.Tensor // whose data may be used
	from     *encodings
	parties  int
	muted    func(v *ir.Value) bool // whose own error is left out, to see its share; nil: none
	args     map[ir.Part]enclosure  // of functions that were replaced
	without  map[ir.Part]string     // why some have no bound
	near     map[nearKey]nearness   // what is known of these
	left     *float64               // steps that may still be taken to learn more
	balance  float64                // magnitude at which an absolute and a relative error take as much of a tolerance
	relative map[*ir.Value]bool     // what is computed of these keeps relative errors
}

// newProof prepares the proof of m, whose formats are chosen; from says what its constants stand for. Weights whose owners keep ranges back stay unknown.
func newProof(m *ir.Module, from *encodings, opt *Options) *proof {
	p := &proof{f: m.Main(), weights: shown(m, opt).Weights, from: from, parties: len(m.Parties), near: map[nearKey]nearness{}, left: new(float64(functionsWork)), relative: keepsRelative(m.Main())}
	for _, v := range p.f.Reveals() {
		if t := opt.tolerance(v.Attrs.Str("name")); v.Type.Elem == ir.Ring {
			p.balance = max(p.balance, math.Sqrt(t.Atol/t.Rtol))
		}
	}
	return p
}

// keepsRelative returns the values whose relative errors are relative ones of all outputs that are computed of them: by views, truncations, sums of what has one
// sign and products.
func keepsRelative(f *ir.Func) map[*ir.Value]bool {
	out, used := map[*ir.Value]bool{}, map[*ir.Value]bool{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		keeps := v.Op == ir.OpReveal || out[v] && (ir.Rows[v.Op].View || v.Op == ir.OpTrunc || v.Op == ir.OpShl || v.Op == ir.OpReduceSum || v.Op == ir.OpMul ||
			v.Op == ir.OpAdd && v.Args[0].Range.Lo >= 0 && v.Args[1].Range.Lo >= 0)
		for _, a := range v.Args {
			out[a], used[a] = keeps && (out[a] || !used[a]), true
		}
	}
	return out
}

// What a proof may take.
const (
	proofWork     = 5e7 // multiply-adds of a graph: in larger ones, which are deep, the worst case says nothing
	functionsWork = 3e7 // steps of looking at functions
)

// Encodings say how far encoded constants are from what they stand for.
type encodings struct {
	off  map[*ir.Tensor]*ir.Tensor // by encoded tensor, for each element; none where all are exact
	fits []fit                     // functions that were replaced by what is near them, by the number that their parts carry
}

func newEncodings() *encodings { return &encodings{off: map[*ir.Tensor]*ir.Tensor{}} }

// note records that e stands for d with the given fraction bits. Differences of floats this near to one another are exact.
func (c *encodings) note(d, e *ir.Tensor, scale int) {
	if c == nil {
		return
	}
	if off := encodingError(d, e, scale); !zeros(off) {
		c.off[e] = off
	}
}

// replaced records that y is arithmetic that stands for v, which is op of args or, with two arguments, the first times a function of the second. fact, if it is not nil,
// bounds the result.
func (c *encodings) replaced(op ir.Op, v *ir.Value, args []*ir.Value, y *ir.Value, fact *interval) {
	if c == nil || y == nil || rounds(v) && whole(v.Args[0]) {
		return
	}
	n := len(c.fits)
	c.fits = append(c.fits, fit{op: op, by: op == ir.OpDiv || len(args) == 2 && op == ir.OpRsqrt, lo: math.Inf(-1), hi: math.Inf(1)})
	if fact != nil {
		c.fits[n].lo, c.fits[n].hi = fact.lo, fact.hi
	}
	if d := args[0].Attrs.Tensor("data"); op == ir.OpDiv && args[0].Op == ir.OpConst && d.Len() == 1 {
		c.fits[n].dividend = d.At(0)
	}
	y.Join([]ir.Part{{Fit: n, Arg: ir.Result}})
	for i, x := range args {
		x.Join([]ir.Part{{Fit: n, Arg: i}})
	}
}

// stated records that a value lies in the range that a format states of it, by what it was made of: the pass approximate states ranges of what is near it, and
// these are not recorded.
func (c *encodings) stated(v, y *ir.Value) {
	if c == nil || y == nil || v.Attrs.Int("loose", 0) != 0 {
		return
	}
	y.Join([]ir.Part{{Fit: len(c.fits), Arg: ir.Stated}})
	c.fits = append(c.fits, fit{op: v.Op, dead: true, lo: v.Attrs.Float("lo", math.Inf(-1)), hi: v.Attrs.Float("hi", math.Inf(1))})
}

// dropped records which functions nothing depends on any more.
func (c *encodings) dropped(before, after []*ir.Value) {
	if c == nil {
		return
	}
	had, has := c.results(before), c.results(after)
	for n := range c.fits {
		c.fits[n].dead = c.fits[n].dead || had[n] && !has[n]
	}
}

// results returns the functions whose results are among the values.
func (c *encodings) results(body []*ir.Value) map[int]bool {
	out := map[int]bool{}
	for _, v := range body {
		for _, p := range v.Parts {
			if p.Arg == ir.Result {
				out[p.Fit] = true
			}
		}
	}
	return out
}

// complete reports whether the results of all functions that something depends on are among the values of f.
func (c *encodings) complete(f *ir.Func) bool {
	has := c.results(f.Body)
	for n := range c.fits {
		if !c.fits[n].dead && !has[n] {
			return false
		}
	}
	return true
}

// A fit is a function that was replaced by arithmetic that is near it.
type fit struct {
	op       ir.Op
	dead     bool    // nothing depends on it
	by       bool    // a product of the first argument and a function of the second
	dividend float64 // of a quotient, if it is one constant
	lo, hi   float64 // bounds of the result that hold by what it is computed from
}

// same records that e stands for what d stands for, with more fraction bits.
func (c *encodings) same(d, e *ir.Tensor) {
	if off := c.of(d); off != nil {
		c.off[e] = off
	}
}

// of returns the errors of an encoded constant, nil if it is exact.
func (c *encodings) of(e *ir.Tensor) *ir.Tensor {
	if c == nil {
		return nil
	}
	return c.off[e]
}

// joined records that e stands for what d stands for too, of which it is a copy.
func (c *encodings) joined(d, e *ir.Tensor) {
	off := c.of(d)
	if c == nil || off == nil {
		return
	}
	if own := c.of(e); own != nil {
		off = zipped(off, own, func(a, b float64) float64 { return max(a, b) })
	}
	c.off[e] = off
}

// encodingError returns |d - e 2^-scale| for each element.
func encodingError(d, e *ir.Tensor, scale int) *ir.Tensor {
	off := ir.NewTensor(ir.Real, d.Shape)
	if d.Elem == ir.Real {
		for i, x := range d.F {
			off.F[i] = math.Abs(x - math.Ldexp(float64(e.I[i]), -scale))
		}
	}
	return off
}

// An errorRule encloses the result of an op, given those of its arguments.
type errorRule func(p *proof, v *ir.Value, args []enclosure) (enclosure, error)

// errorRules are those ops whose error is bounded. An output that needs another has no bound.
var errorRules = map[ir.Op]errorRule{
	ir.OpInput:     (*proof).input,
	ir.OpWeight:    (*proof).weight,
	ir.OpConst:     (*proof).constant,
	ir.OpReveal:    same,
	ir.OpShl:       same,
	ir.OpCast:      same, // of a bit
	ir.OpReshape:   moved,
	ir.OpTranspose: moved,
	ir.OpSlice:     moved,
	ir.OpConcat:    moved,
	ir.OpPad:       moved,
	ir.OpGather:    moved,
	ir.OpExpand:    moved,
	ir.OpAdd:       each(func(x []enclosed) enclosed { return x[0].plus(x[1]) }),
	ir.OpSub:       each(func(x []enclosed) enclosed { return x[0].plus(x[1].neg()) }),
	ir.OpNeg:       each(func(x []enclosed) enclosed { return x[0].neg() }),
	ir.OpMax:       each(func(x []enclosed) enclosed { return x[0].larger(x[1]) }),
	ir.OpSelect:    each(func(x []enclosed) enclosed { return x[0].either(x[1], x[2]) }),
	ir.OpEqz:       each(func(x []enclosed) enclosed { return x[0].zero() }),
	ir.OpNot:       each(func(x []enclosed) enclosed { return enclosed{1 - x[0].hi, 1 - x[0].lo, x[0].abs, x[0].rel} }),
	ir.OpAnd:       each(func(x []enclosed) enclosed { return x[0].and(x[1]) }),
	ir.OpXor:       each(func(x []enclosed) enclosed { return x[0].xor(x[1]) }),
	ir.OpMul:       multiplied,
	ir.OpMatMul:    summedProducts,
	ir.OpConv:      summedProducts,
	ir.OpReduceSum: summed,
	ir.OpTrunc:     (*proof).truncated,
	ir.OpRelu:      (*proof).relu,
	ir.OpLtz:       (*proof).sign,
}

// enclose returns the enclosures of f's outputs by name, and why the others have none.
func (p *proof) enclose() (outputs map[string]enclosure, why map[string]string) {
	outputs, why, p.args, p.without = map[string]enclosure{}, map[string]string{}, map[ir.Part]enclosure{}, map[ir.Part]string{}
	last := map[*ir.Value]int{}
	for i, v := range p.f.Body {
		for _, a := range v.Args {
			last[a] = i
		}
	}
	known, unknown := map[*ir.Value]enclosure{}, map[*ir.Value]string{}
	for i, v := range p.f.Body {
		args := make([]enclosure, len(v.Args))
		for j, a := range v.Args {
			if args[j] = known[a]; unknown[a] != "" {
				unknown[v] = unknown[a]
			}
		}
		e, err, done := p.function(v)
		switch {
		case done:
		case unknown[v] != "":
			err = errors.New(unknown[v])
		default:
			e, err = p.step(v, args)
		}
		delete(unknown, v)
		if e = p.roles(v, e, err); err != nil {
			unknown[v] = err.Error()
		} else {
			known[v] = e
		}
		if name := v.Attrs.Str("name"); v.Op == ir.OpReveal && unknown[v] != "" {
			why[name] = unknown[v]
		} else if v.Op == ir.OpReveal {
			outputs[name] = known[v]
		}
		for _, a := range v.Args {
			if last[a] == i {
				delete(known, a)
			}
		}
	}
	return outputs, why
}

// roles notes what is known of v, whose enclosure is e if there is no err, in the functions that it is an argument of, and returns e within what formats state.
func (p *proof) roles(v *ir.Value, e enclosure, err error) enclosure {
	for _, part := range v.Parts {
		switch {
		case err != nil:
			p.without[part] = err.Error()
		case part.Arg == ir.Stated:
			e = e.within(p.from.fits[part.Fit])
		}
	}
	for _, part := range v.Parts {
		if err == nil && part.Arg >= 0 && argumentOf(v, part.Fit, part.Arg) {
			p.args[part] = e
		}
	}
	return e
}

// within narrows the exact values to the range that a format states.
func (e enclosure) within(f fit) enclosure {
	out := newEnclosure(e[atLo].Shape)
	for i := range out.len() {
		x := e.at(i)
		if lo, hi := max(x.lo, f.lo), min(x.hi, f.hi); lo <= hi {
			x.lo, x.hi = lo, hi
		}
		out.set(i, x)
	}
	return out
}

// step encloses one value.
func (p *proof) step(v *ir.Value, args []enclosure) (enclosure, error) {
	r := errorRules[v.Op]
	if r == nil {
		return enclosure{}, fmt.Errorf("there is no bound for %s", named(v))
	}
	if err := p.fits(v, args); err != nil {
		return enclosure{}, err
	}
	e, err := r(p, v, args)
	if err == nil {
		err = e.valid()
	}
	if err != nil {
		return enclosure{}, fmt.Errorf("%s: %w", named(v), err)
	}
	return e, nil
}

// fits returns an error if an argument of v may reach what the bits do not hold in which v reads it.
func (p *proof) fits(v *ir.Value, args []enclosure) error {
	parties := float64(max(p.parties, 2))
	over := func(i, n int, slack float64) error { // |x| 2^scale + slack < 2^(n-1)
		most := math.Ldexp(args[i].most(), v.Args[i].Type.Scale)
		if n <= 0 {
			n = v.Args[i].Type.Bits
		}
		if !(up(most+slack) < math.Ldexp(1, n-1)) {
			return fmt.Errorf("%s may reach, with its error, more than the %d bits hold in which it is read", named(v.Args[i]), n)
		}
		return nil
	}
	n, drop := v.Attrs.Int("n", 0), math.Ldexp(parties, v.Attrs.Int("drop", 0))
	switch v.Op {
	case ir.OpReveal:
		if v.Args[0].Type.Elem == ir.Ring {
			return over(0, 0, 1)
		}
	case ir.OpTrunc: // the top bit of what is opened stays clear
		return over(0, n-1, drop)
	case ir.OpRelu, ir.OpLtz, ir.OpEqz:
		return over(0, n, drop)
	case ir.OpMul:
		for i, n := range []int{v.Attrs.Int("nx", 0), v.Attrs.Int("ny", 0)} {
			if n > 0 {
				if err := over(i, n-1, 2*parties); err != nil {
					return err
				}
			}
		}
	case ir.OpMax:
		most := 0.0
		for i := range args {
			most = math.Ldexp(args[i].most(), v.Args[i].Type.Scale) + most
		}
		if !(up(most+2*parties) < math.Ldexp(1, n-1)) {
			d, err := elementwise(v.Type.Shape, args, func(x []enclosed) enclosed { return x[0].plus(x[1].neg()) })
			if err != nil {
				return err
			}
			if !(up(math.Ldexp(d.most(), v.Type.Scale)+2*parties) < math.Ldexp(1, n-1)) {
				return fmt.Errorf("the difference that %s reads may reach, with its error, more than the %d bits hold in which it is read", named(v), n)
			}
		}
	}
	return nil
}

// named names a value for people, whatever folder its source stands in: a plan does not depend on that.
func named(v *ir.Value) string {
	n := *v
	if n.Pos.File != "" {
		n.Pos.File = filepath.Base(n.Pos.File)
	}
	return describe(&n)
}

// own returns the error that v itself adds, unless it is muted.
func (p *proof) own(v *ir.Value, by float64) float64 {
	if p.muted != nil && p.muted(v) {
		return 0
	}
	return by
}

// roundings is how many units a truncation may be off: floor for each share, of a sum of shares that has parties-1 units more, gives more than x/2^d - 1 and
// at most x/2^d + parties - 1.
func (p *proof) roundings(v *ir.Value, scale int) float64 {
	return p.own(v, math.Ldexp(float64(max(p.parties-1, 1)), -scale))
}

// input: rounded to its format by half a unit at most; integers and bits are exact.
func (p *proof) input(v *ir.Value, _ []enclosure) (enclosure, error) {
	e := newEnclosure(v.Type.Shape)
	half := 0.0
	if v.Attrs.Str("elem") == ir.Real.String() {
		half = p.own(v, math.Ldexp(0.5, -v.Type.Scale))
	}
	columns := inputColumns(v, true)
	for i := range e.len() {
		x := enclosed{v.Range.Lo, v.Range.Hi, half, 0}
		if columns != nil {
			c := columns[i%len(columns)]
			x.lo, x.hi = c.lo, c.hi
		}
		e.set(i, x)
	}
	return e, nil
}

// weight: its data if it is known, and the range that its owner's encoder checks if it is not.
func (p *proof) weight(v *ir.Value, _ []enclosure) (enclosure, error) {
	d := p.weights[v.Attrs.Str("name")]
	if d == nil {
		return p.input(v, nil)
	}
	e := newEnclosure(v.Type.Shape)
	if v.Type.Elem != ir.Ring {
		for i := range e.len() {
			e.set(i, enclosed{lo: d.At(i), hi: d.At(i)})
		}
		return e, nil
	}
	w, err := ir.Encode(d, v.Type.Scale)
	if err != nil {
		return e, err
	}
	off := encodingError(d, w, v.Type.Scale)
	for i := range e.len() {
		e.set(i, p.encoded(v, enclosed{lo: d.At(i), hi: d.At(i)}, off.F[i]))
	}
	return e, nil
}

// encoded adds the error of an encoding to x, relative to the least that x may be: what a product with it is off by is then small where the product is.
func (p *proof) encoded(v *ir.Value, x enclosed, off float64) enclosed {
	if off = p.own(v, off); off == 0 {
		return x
	}
	if least := x.least(); off <= least {
		x.rel = up(off / least)
	} else {
		x.abs = off
	}
	return x
}

// constant: what it stands for is within its encoding's error of it.
func (p *proof) constant(v *ir.Value, _ []enclosure) (enclosure, error) {
	d := v.Attrs.Tensor("data")
	e, off := newEnclosure(v.Type.Shape), p.from.of(d)
	for i := range e.len() {
		y := d.At(i)
		if v.Type.Elem == ir.Ring {
			y = math.Ldexp(y, -v.Type.Scale)
		}
		x := enclosed{lo: y, hi: y}
		if off != nil && off.F[i] > 0 {
			x = p.encoded(v, enclosed{lo: below(y - off.F[i]), hi: above(y + off.F[i])}, off.F[i])
		}
		e.set(i, x)
	}
	return e, nil
}

// same is the rule of ops that leave the number as it is.
func same(_ *proof, _ *ir.Value, args []enclosure) (enclosure, error) { return args[0], nil }

// moved is the rule of ops that move elements, or add zeros.
func moved(_ *proof, v *ir.Value, args []enclosure) (out enclosure, err error) {
	for k := range out {
		list := make([]*ir.Tensor, len(args))
		for i, a := range args {
			list[i] = a[k]
		}
		if out[k], err = alike(v, list); err != nil {
			return out, err
		}
	}
	return out, nil
}

// each is the rule of an op that works element by element, broadcasting.
func each(f func(x []enclosed) enclosed) errorRule {
	return func(_ *proof, v *ir.Value, args []enclosure) (enclosure, error) {
		return elementwise(v.Type.Shape, args, f)
	}
}

// and of bits: false where one is false for certain.
func (a enclosed) and(b enclosed) enclosed {
	for _, x := range []enclosed{a, b} {
		if x.hi == 0 && x.exact() {
			return x
		}
	}
	return enclosed{a.lo * b.lo, a.hi * b.hi, max(a.abs, b.abs), 0}
}

// xor of bits.
func (a enclosed) xor(b enclosed) enclosed {
	c := enclosed{0, 1, max(a.abs, b.abs), 0}
	if a.lo == a.hi && b.lo == b.hi {
		c.lo = math.Abs(a.lo - b.lo)
		c.hi = c.lo
	}
	return c
}

func multiplied(p *proof, v *ir.Value, args []enclosure) (enclosure, error) {
	square, k := v.Args[0] == v.Args[1], 0.0
	if p.relative[v] {
		k = p.balance
	}
	return elementwise(v.Type.Shape, args, func(x []enclosed) enclosed {
		if square {
			return x[0].squared(k)
		}
		return x[0].times(x[1])
	})
}

// summedProducts is the rule of matrix products and convolutions.
func summedProducts(_ *proof, v *ir.Value, args []enclosure) (enclosure, error) {
	s := v.Args[0].Type.Shape
	n := s[len(s)-1]
	if v.Op == ir.OpConv {
		n = v.Args[1].Type.Shape[1:].Size()
	}
	return bilinear(func(x, y *ir.Tensor) (*ir.Tensor, error) { return alike(v, []*ir.Tensor{x, y}) }).sums(v.Type.Shape, args[0], args[1], n)
}

// summed is the rule of sums: errors add up, relative ones stay relative where all terms have one sign.
func summed(_ *proof, v *ir.Value, args []enclosure) (out enclosure, err error) {
	x := args[0]
	n := float64(x.len()) / float64(max(v.Type.Shape.Size(), 1))
	round := (n + 4) * 0x1p-52
	sum := func(t *ir.Tensor) *ir.Tensor {
		if err != nil {
			return nil
		}
		t, err = alike(v, []*ir.Tensor{t})
		return t
	}
	lo, hi := sum(x[atLo]), sum(x[atHi])
	size := sum(zipped(mapped(x[atLo], math.Abs), mapped(x[atHi], math.Abs), func(a, b float64) float64 { return max(a, b) }))
	abs, flat := sum(x[atAbs]), sum(x.flat())
	mixed, worst := false, 0.0
	for i := range x.len() {
		a := x.at(i)
		mixed, worst = mixed || a.lo < 0, max(worst, a.rel)
	}
	if err != nil {
		return out, err
	}
	out = newEnclosure(v.Type.Shape)
	for i := range out.len() {
		off := float64(round * size.F[i])
		c := enclosed{lo.F[i] - off, hi.F[i] + off, up(float64(flat.F[i] * (1 + round))), 0}
		if c.lo, c.hi = outward(c.lo, c.hi); !mixed {
			c.lo, c.abs, c.rel = max(c.lo, 0), up(float64(abs.F[i]*(1+round))), worst
		}
		out.set(i, c)
	}
	return out, nil
}

func (p *proof) truncated(v *ir.Value, args []enclosure) (enclosure, error) {
	if v.Attrs.Int("drop", 0) == 0 {
		return args[0], nil
	}
	unit := p.roundings(v, v.Type.Scale)
	return elementwise(v.Type.Shape, args, func(x []enclosed) enclosed { return x[0].off(unit) })
}

// dropped returns what v's own truncation of its argument may be off by.
func (p *proof) dropped(v *ir.Value) float64 {
	d := v.Attrs.Int("drop", 0)
	if d == 0 {
		return 0
	}
	return p.roundings(v, v.Args[0].Type.Scale-d)
}

func (p *proof) relu(v *ir.Value, args []enclosure) (enclosure, error) {
	unit := p.dropped(v)
	return elementwise(v.Type.Shape, args, func(x []enclosed) enclosed { return x[0].off(unit).positive() })
}

func (p *proof) sign(v *ir.Value, args []enclosure) (enclosure, error) {
	unit := p.dropped(v)
	return elementwise(v.Type.Shape, args, func(x []enclosed) enclosed { return x[0].negative(unit) })
}
