package passes

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// rebuild copies the main function value by value through step, which emits the replacement and may look up the
// replacements of arguments. Ranges carry over to replacements that have none.
func rebuild(m *ir.Module, step func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error)) error {
	old := m.Main()
	nf := ir.NewFunc(old.Name)
	nf.Holds = old.Holds
	to := map[*ir.Value]*ir.Value{}
	var errs diag.List
	for _, v := range old.Body {
		args := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			if args[i] = to[a]; args[i] == nil {
				return errs.Err() // an argument failed before
			}
		}
		n, err := step(nf, v, args)
		if err != nil {
			errs.Add(v.Pos, err)
			return errs.Err()
		}
		if n.Range.Origin == ir.NoRange {
			n.Range = v.Range
		}
		n.Join(v.Parts)
		for u := n; (u.Op == ir.OpTrunc || u.Op == ir.OpShl) && len(v.Parts) > 0; { // the same number in another format
			u = u.Args[0]
			u.Join(v.Parts)
		}
		to[v] = n
	}
	m.Funcs[0] = nf
	return errs.Err()
}

// quantise turns reals into ring elements and integers and bits into ring elements without fraction bits. A real has as many fraction bits
// as its published magnitude asks for (fractionBits), or what a format asks for, or fewer where they hold it exactly. A product has those of
// both factors; a truncation behind it takes away what is more than the product's own magnitude asks for. Weights and constants have
// significant bits, and give way where a ring would be too narrow; ops that combine values raise the coarser ones first.
func quantise(m *ir.Module, opt *Options) error {
	q := &quantiser{m: m, opt: opt, f: opt.FracBits, weights: map[*ir.Value]*ir.Value{}, wish: wishes(m.Main(), opt.fine, opt.closely)}
	q.flows = flows(m.Main())
	q.meets = q.meetings(m.Main())
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		q.nf, q.at = nf, v
		switch ir.Rows[v.Op].Scale {
		case ir.ScaleSummed:
			return q.product(v, args)
		case ir.ScaleAligned:
			args, err := q.align(v, args)
			if err != nil {
				return nil, err
			}
			return q.emit(v.Op, v.Attrs, args...)
		}
		switch v.Op {
		case ir.OpInput, ir.OpWeight:
			return q.leaf(v)
		case ir.OpConst:
			switch d := v.Attrs.Tensor("data"); d.Elem {
			case ir.Real:
				return q.constant(d, exactBits(d, factorBits(q.f, magnitude(d))))
			case ir.Int:
				return q.constant(d, 0)
			}
		case ir.OpFormat:
			return q.format(v, args[0])
		case ir.OpMulShift:
			return q.mulShift(v, args)
		case ir.OpWave, ir.OpExpo:
			w, err := q.emit(v.Op, v.Attrs, args...)
			if err != nil {
				return nil, err
			}
			return q.emit(ir.OpTrunc, ir.Attrs{ir.I("drop", int64(w.Type.Scale-v.Attrs.Int("frac", 0)))}, w)
		case ir.OpCast:
			x := args[0]
			if v.Args[0].Type.Elem == ir.Bool && v.Type.Elem != ir.Bool {
				return q.emit(ir.OpCast, ir.Attrs{ir.S("to", "ring")}, x)
			}
			if rounds(v) && x.Type.Scale != 0 {
				return nil, diag.Errorf(v.Pos, "a real with %d fraction bits was not rounded before it becomes an integer", x.Type.Scale).
					WithHint("do not skip the pass approximate")
			}
			return x, nil
		case ir.OpReveal:
			if v.Type.Elem != ir.Real {
				break
			}
			by := args[0].Type.Scale - opt.revealBits(v.Attrs.Str("name"), v.Range)
			if by <= 0 || args[0].Type.Vis.IsPublic() {
				break
			}
			var x *ir.Value
			var err error
			if encodable(v.Args[0], args[0]) {
				x, err = q.encode(v.Args[0], args[0], args[0].Type.Scale-by)
			} else {
				x, err = q.emit(ir.OpTrunc, ir.Attrs{ir.I("drop", int64(by)), ir.I("firm", 1)}, args[0])
			}
			if err != nil {
				return nil, err
			}
			return q.emit(v.Op, v.Attrs, x)
		case ir.OpReduceSum:
			x, err := q.lower(args[0], q.room(v.Range.Abs()))
			if err != nil {
				return nil, err
			}
			return q.emit(v.Op, v.Attrs, x)
		}
		return q.emit(v.Op, v.Attrs, args...)
	})
}

// ringRoom is how many bits a value may have in the widest ring: what truncations and differences take besides is left free.
const ringRoom = 62

// A quantiser gives values their fraction bits.
type quantiser struct {
	m       *ir.Module
	opt     *Options
	f       int                     // fraction bits of values near 1
	nf      *ir.Func                // what it emits to
	at      *ir.Value               // what it replaces
	weights map[*ir.Value]*ir.Value // a weight as it was emitted first -> as its products read it
	wish    map[*ir.Value]int       // fraction bits that what reads a value asks for
	flows   map[*ir.Value]float64   // largest magnitude of the sums that read a value before it is truncated
	meets   map[*ir.Value]int       // ring of the products of secrets that read a value, through views and sums
}

// emit emits op with the range of what it replaces.
func (q *quantiser) emit(op ir.Op, attrs ir.Attrs, args ...*ir.Value) (*ir.Value, error) {
	n, err := q.nf.Emit(q.at.Pos, op, attrs, args...)
	if n != nil {
		n.Range = q.at.Range
	}
	return n, err
}

// constant emits a public tensor with the given fraction bits.
func (q *quantiser) constant(d *ir.Tensor, scale int) (*ir.Value, error) {
	e, err := ir.Encode(d, scale)
	if err != nil {
		return nil, err
	}
	q.opt.encoded.note(d, e, scale)
	return q.emit(ir.OpConst, ir.Attrs{ir.T("data", e), ir.I("scale", int64(scale))})
}

// leaf gives an input the fraction bits of its range, and a weight its significant bits.
func (q *quantiser) leaf(v *ir.Value) (*ir.Value, error) {
	scale := 0
	switch {
	case v.Type.Elem == ir.Bool:
		return q.emit(v.Op, v.Attrs)
	case v.Type.Elem == ir.Real && v.Op == ir.OpWeight:
		if scale = factorBits(q.f, v.Range.Abs()); v.Range.Origin == ir.Assumed { // kept back: nothing is known of its magnitude
			scale = max(scale, q.f)
		}
	case v.Type.Elem == ir.Real:
		scale = q.asked(v, v.Range.Abs())
		for _, d := range v.Attrs.Ints("shift") { // each column keeps what its own magnitude asks for
			scale = min(max(scale, fractionBits(q.f, math.Ldexp(1, d))+d), mostFraction)
		}
	}
	return q.emit(v.Op, v.Attrs.With(ir.I("scale", int64(scale))))
}

// wishes returns the fraction bits that formats ask for of values before them: of inputs, products and sums, seen through views,
// sums and maxima, and where deep is set also through sums of many and constant factors, closely with what such a sum's elements lose together. Bits that are dropped there cannot be had again.
func wishes(f *ir.Func, deep, closely bool) map[*ir.Value]int {
	out := map[*ir.Value]int{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		want := out[v]
		if v.Op == ir.OpFormat && v.Type.Elem == ir.Real {
			want = max(want, v.Attrs.Int("frac", 0))
		}
		if want <= 0 {
			continue
		}
		for i, a := range v.Args {
			ask := 0
			switch {
			case a.Type.Vis.IsPublic():
			case v.Op == ir.OpFormat || ir.Rows[v.Op].View || v.Op == ir.OpAdd || v.Op == ir.OpSub || v.Op == ir.OpNeg || v.Op == ir.OpRelu || v.Op == ir.OpMax:
				ask = want
			case deep && v.Op == ir.OpReduceSum:
				if ask = want; closely { // what rounds its elements adds up
					ask += binade(float64(a.Type.Shape.Size()) / float64(max(v.Type.Shape.Size(), 1)))
				}
			case deep && v.Op == ir.OpMul && plain(v.Args[1-i]).Op == ir.OpConst:
				ask = want + binade(magnitude(plain(v.Args[1-i]).Attrs.Tensor("data")))
			}
			out[a] = max(out[a], ask)
		}
	}
	return out
}

// room returns the most fraction bits with which a value of the given magnitude fits the widest ring.
func (q *quantiser) room(mag float64) int {
	return ringRoom - 3 - binade(mag)
}

// asked returns the fraction bits that v's magnitude asks for, or what reads it if that is more.
func (q *quantiser) asked(v *ir.Value, mag float64) int {
	return max(fractionBits(q.f, mag), min(q.wish[v], mostFraction, q.room(mag)))
}

// raise gives x at least the wanted number of fraction bits.
func (q *quantiser) raise(x *ir.Value, scale int) (*ir.Value, error) {
	by := scale - x.Type.Scale
	if x.Type.Elem != ir.Ring || by <= 0 {
		return x, nil
	}
	if x.Op == ir.OpConst {
		d := ir.NewTensor(ir.Ring, x.Type.Shape)
		for i, w := range x.Attrs.Tensor("data").I {
			if d.I[i] = w << by; d.I[i]>>by != w {
				return nil, fmt.Errorf("element %d of a constant does not fit a ring of 64 bits with %d fraction bits", i, scale)
			}
		}
		q.opt.encoded.same(x.Attrs.Tensor("data"), d)
		c, err := q.nf.Emit(q.at.Pos, ir.OpConst, ir.Attrs{ir.T("data", d), ir.I("scale", int64(scale))})
		if c != nil {
			c.Range = x.Range
		}
		return c, err
	}
	s, err := q.nf.Emit(q.at.Pos, ir.OpShl, ir.Attrs{ir.I("by", int64(by))}, x)
	if s != nil {
		s.Range = x.Range
	}
	return s, err
}

// lower gives x at most the wanted number of fraction bits.
func (q *quantiser) lower(x *ir.Value, scale int) (*ir.Value, error) {
	by := x.Type.Scale - max(scale, 0)
	if x.Type.Elem != ir.Ring || by <= 0 {
		return x, nil
	}
	t, err := q.nf.Emit(q.at.Pos, ir.OpTrunc, ir.Attrs{ir.I("drop", int64(by))}, x)
	if t != nil {
		t.Range = x.Range
	}
	return t, err
}

// format gives x the fraction bits that v asks for.
func (q *quantiser) format(v, x *ir.Value) (*ir.Value, error) {
	want := v.Attrs.Int("frac", x.Type.Scale)
	firm := v.Attrs.Int("firm", 0) != 0
	if !firm && waits(x) && v.Type.Elem == ir.Real { // a product that is known to be smaller than its factors, or than what the format was stated for
		want = max(want, min(q.asked(v, v.Range.Abs()), x.Args[0].Type.Scale))
	}
	if v.Args[0].Op == ir.OpConst {
		return q.constant(v.Args[0].Attrs.Tensor("data"), want)
	}
	if v.Type.Elem == ir.Int && narrower(v.Range, x.Range) {
		x.Range = v.Range
	}
	if x.Op == ir.OpTrunc && narrower(v.Range, x.Range) { // a bound of the quotient bounds the product
		x.Range, x.Args[0].Range = v.Range, v.Range
	}
	if waits(x) && want > x.Type.Scale { // a product has them still
		var err error
		if x, err = q.lower(x.Args[0], want); err != nil {
			return nil, err
		}
		x.Range = v.Range
	}
	if by := x.Type.Scale - want; by > 0 || by == 0 && firm {
		attrs := ir.Attrs{ir.I("drop", int64(by))}
		if firm {
			attrs = append(attrs, ir.I("firm", 1))
		}
		return q.emit(ir.OpTrunc, attrs, x)
	}
	return q.raise(x, want)
}

// align gives the operands of a sum, a choice or a list the fraction bits of the finest, as far as the ring has room for them. Constants and
// weights are encoded with as many as the others have, or as the result's magnitude asks for; products give up what it does not ask for.
func (q *quantiser) align(v *ir.Value, args []*ir.Value) ([]*ir.Value, error) {
	args = slices.Clone(args)
	mag := v.Range.Abs()
	for i, a := range args {
		if v.Args[i].Type.Elem != ir.Bool {
			mag = max(mag, a.Range.Abs())
		}
	}
	asked, scale := q.asked(v, mag), 0
	free := func(i int) bool { return encodable(v.Args[i], args[i]) }
	for i, a := range args {
		switch {
		case v.Args[i].Type.Elem == ir.Bool || free(i):
		case waits(a):
			scale = max(scale, min(a.Type.Scale, asked))
		default:
			scale = max(scale, a.Type.Scale)
		}
	}
	own := max(scale, asked)
	for i, a := range args {
		switch {
		case !free(i):
		case a.Op == ir.OpConst:
			scale = max(scale, exactBits(known(q.m, v.Args[i]), own))
		default:
			scale = own
		}
	}
	if v.Op == ir.OpMax {
		mag *= 2
	}
	scale = min(scale, max(q.room(mag), 0))
	for i, a := range args {
		if v.Args[i].Type.Elem == ir.Bool {
			continue
		}
		var err error
		if free(i) {
			args[i], err = q.encode(v.Args[i], a, scale)
		} else if args[i], err = q.rescale(v.Args[i], a, scale); err == nil {
			args[i], err = q.raise(args[i], scale)
		}
		if err != nil {
			return nil, err
		}
	}
	return args, nil
}

// encodable reports whether a stands for a weight or constant of reals whose format nobody has stated.
func encodable(orig, a *ir.Value) bool {
	return orig.Type.Elem == ir.Real && orig.Op == a.Op && (a.Op == ir.OpConst || a.Op == ir.OpWeight)
}

// waits reports whether a is a product whose truncation is still to come, and may take more.
func waits(a *ir.Value) bool { return a.Op == ir.OpTrunc && a.Attrs.Int("firm", 0) == 0 }

// product multiplies two factors and truncates what is more than the product's magnitude asks for.
func (q *quantiser) product(v *ir.Value, args []*ir.Value) (*ir.Value, error) {
	want := q.asked(v, v.Range.Abs())
	args, err := q.factors(v, args, want)
	if err != nil {
		return nil, err
	}
	p, err := q.emit(v.Op, v.Attrs, args...)
	if drop := args[0].Type.Scale + args[1].Type.Scale - want; err == nil && v.Type.Elem == ir.Real && drop > 0 {
		return q.emit(ir.OpTrunc, ir.Attrs{ir.I("drop", int64(drop))}, p)
	}
	return p, err
}

// flows returns the largest magnitude of the sums and differences that a value enters before anything truncates or opens it, itself included: all of them
// are in one ring.
func flows(f *ir.Func) map[*ir.Value]float64 {
	out := map[*ir.Value]float64{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		out[v] = max(out[v], v.Range.Abs())
		if ir.Rows[v.Op].View || v.Op == ir.OpAdd || v.Op == ir.OpSub || v.Op == ir.OpNeg || v.Op == ir.OpReduceSum {
			for _, a := range v.Args {
				out[a] = max(out[a], out[v])
			}
		}
	}
	return out
}

// need returns the bits that a product takes in its ring, with the given fraction bits and those that are kept.
func (q *quantiser) need(v *ir.Value, scale, want int) int {
	return 1 + ir.SignedBits(v.Range.Abs(), scale, float64(len(q.m.Parties))*math.Ldexp(1, max(scale-want, 0)))
}

// factors chooses the fraction bits of a product's factors: those of weights and constants by the room in the ring; what does not fit then is
// taken from the factor that has more significant bits.
func (q *quantiser) factors(v *ir.Value, args []*ir.Value, want int) ([]*ir.Value, error) {
	args = slices.Clone(args)
	for i, a := range args {
		if !encodable(v.Args[i], a) {
			continue
		}
		s := q.snap(v, a, args[1-i].Type.Scale, want)
		if a.Op == ir.OpConst {
			if q.opt.closely {
				s = min(max(s, want+binade(v.Range.Abs())-binade(a.Range.Abs())), mostFraction)
			}
			s = exactBits(known(q.m, v.Args[i]), s)
		}
		var err error
		if args[i], err = q.encode(v.Args[i], a, s); err != nil {
			return nil, err
		}
	}
	s := [2]int{args[0].Type.Scale, args[1].Type.Scale}
	if v.Type.Elem == ir.Int { // nothing is truncated behind it, and its range is known to fit
		return args, nil
	}
	room := ringRoom
	if v.Type.Vis.IsPrivate() { // its owner computes it alone
		room++
	}
	for q.need(v, s[0]+s[1], want) > room {
		i := -1
		for j, a := range args {
			bits := s[j] + binade(a.Range.Abs())
			if s[j] > 0 && bits > leastSignificant && (i < 0 || bits > s[i]+binade(args[i].Range.Abs())) {
				i = j
			}
			if q.opt.closely && a.Op == ir.OpConst && q.wish[v.Args[1-j]] > 0 && bits > q.f+constantExtra { // its error is relative, that of the other one's last bit is not
				i = j
				break
			}
		}
		if i < 0 {
			return nil, diag.Errorf(v.Pos, "the product needs a ring of %d bits, of 64: %s times %s", q.need(v, s[0]+s[1], want)+64-ringRoom, sized(v.Args[0]), sized(v.Args[1])).
				WithHint("declare narrower input ranges (--range NAME=LO..HI, by column for a table), or scale the inputs")
		}
		s[i]--
	}
	for i, a := range args {
		var err error
		if args[i], err = q.rescale(v.Args[i], a, s[i]); err != nil {
			return nil, err
		}
	}
	return args, nil
}

// rescale takes fraction bits away from a factor: weights and constants are encoded again, a truncation that waits takes more.
func (q *quantiser) rescale(orig, a *ir.Value, scale int) (*ir.Value, error) {
	if a.Type.Scale <= scale {
		return a, nil
	}
	if encodable(orig, a) || a.Op == ir.OpConst && orig.Type.Elem == ir.Real {
		return q.encode(orig, a, scale)
	}
	if waits(a) { // one truncation, not two
		t, err := q.lower(a.Args[0], scale)
		if t != nil {
			t.Range = a.Range
		}
		return t, err
	}
	return q.lower(a, scale)
}

// constantExtra is how many more significant bits than values near 1 a constant factor keeps where what reads the product asks for digits of the other one.
const constantExtra = 2

// leastSignificant is how many significant bits a factor keeps at least where a ring is narrow.
const leastSignificant = 10

// sized says what a factor is and how large it may be, for a message.
func sized(a *ir.Value) string { return fmt.Sprintf("%s of up to %.3g", describe(a), a.Range.Abs()) }

// encode returns a weight or constant with the given fraction bits. The products of one weight read the same encoding where it
// is fine enough.
func (q *quantiser) encode(orig, a *ir.Value, scale int) (*ir.Value, error) {
	if a.Op == ir.OpConst {
		c, err := q.constant(known(q.m, orig), scale)
		if c != nil {
			c.Range = a.Range
		}
		return c, err
	}
	if w := q.weights[orig]; w != nil && w.Type.Scale == scale {
		return w, nil
	}
	w, err := q.nf.Emit(a.Pos, ir.OpWeight, a.Attrs.With(ir.I("scale", int64(scale))))
	if w != nil {
		w.Range = a.Range
		q.weights[orig] = w
	}
	return w, err
}

// How far the fraction bits of a weight go down to reach a narrower ring, and up to fill one.
const (
	snapDown = 2
	snapUp   = 4
)

// meetings returns, of values that products of two secrets read through views and sums, the ring of the widest such product, as far as ranges tell.
func (q *quantiser) meetings(f *ir.Func) map[*ir.Value]int {
	out := map[*ir.Value]int{}
	for i := len(f.Body) - 1; i >= 0; i-- {
		v := f.Body[i]
		ring := 0
		switch {
		case ofSecrets(v) && v.Type.Elem == ir.Real:
			scale := fractionBits(q.f, v.Args[0].Range.Abs()) + fractionBits(q.f, v.Args[1].Range.Abs())
			ring = roundWidth(q.need(v, scale, fractionBits(q.f, v.Range.Abs())), 0)
		case ir.Rows[v.Op].View || v.Op == ir.OpAdd || v.Op == ir.OpSub:
			ring = out[v]
		}
		for j, a := range v.Args {
			if v.Op != ir.OpMul || !narrows(v, j) {
				out[a] = max(out[a], ring)
			}
		}
	}
	return out
}

// mostOfIntegers is how many fraction bits a factor has at most that is taken for integers, or for a mean of a power of two of them.
const mostOfIntegers = 8

// snap returns the fraction bits of a weight or constant a that meets a factor with the given fraction bits.
func (q *quantiser) snap(v, a *ir.Value, other, want int) int {
	s := factorBits(q.f, a.Range.Abs())
	if a.Range.Origin == ir.Assumed {
		s = max(s, q.f)
	}
	if w := q.wish[v]; other <= mostOfIntegers && w > s { // of integers or means of them: their product is as fine as the weight or constant
		return min(w, mostFraction)
	}
	ring := func(s int) int {
		n := q.need(v, s+other, want)
		if v.Type.Elem == ir.Real {
			n = max(n, 1+ir.SignedBits(q.flows[v], s+other, 1))
		}
		if r := roundWidth(n, q.opt.Ring); r > 0 {
			return r
		}
		return sizes[len(sizes)-1] + 1
	}
	if out := q.meets[v]; out > 0 && q.opt.Ring == 0 && a.Op == ir.OpWeight { // what is left of the widest ring when it has been truncated is opened at once
		if most := min(s+snapUp, sizes[len(sizes)-1]-out+want-other); most >= s-snapDown && q.need(v, most+other, want) <= ringRoom {
			return most
		}
	}
	at := ring(s)
	for d := 1; d <= snapDown && s-d >= 0; d++ {
		if ring(s-d) < at {
			return s - d
		}
	}
	if a.Op == ir.OpWeight {
		for d := snapUp; d > 0; d-- {
			if s+d <= mostFraction && ring(s+d) == at && at <= sizes[len(sizes)-1] {
				return s + d
			}
		}
	}
	return s
}

// factorBits returns the fraction bits of a weight or constant of the given magnitude, where values near 1 have f: f significant bits, more
// where it is large.
func factorBits(f int, mag float64) int {
	return min(max(f-binade(mag), f-fewerAtMost, 0), mostFraction)
}

// magnitude returns the largest |x| of a tensor.
func magnitude(t *ir.Tensor) float64 {
	most := 0.0
	for i := range t.Len() {
		most = max(most, math.Abs(t.At(i)))
	}
	return most
}

// exactBits returns the least number of fraction bits, of at most the given one, that hold t as well: a product with 1/8 need
// not be truncated by more than 3 bits.
func exactBits(t *ir.Tensor, most int) int {
	if t.Elem != ir.Real {
		return most
	}
	var or int64
	for _, x := range t.F {
		y := math.Round(math.Ldexp(x, most))
		if !(math.Abs(y) < 1<<62) {
			return most
		}
		or |= int64(y)
	}
	if or == 0 {
		return 0
	}
	return max(0, most-bits.TrailingZeros64(uint64(or)))
}

// narrower reports whether a lies within b and is smaller.
func narrower(a, b ir.Range) bool {
	return b.Origin == ir.NoRange || a.Lo >= b.Lo && a.Hi <= b.Hi && a.Hi-a.Lo < b.Hi-b.Lo
}
