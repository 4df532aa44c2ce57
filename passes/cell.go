package passes

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"smpcc/ir"
)

// A span is an interval of reals.
type span struct{ lo, hi float64 }

func (a span) plus(b span) span  { return span{a.lo + b.lo, a.hi + b.hi} }
func (a span) minus(b span) span { return span{a.lo - b.hi, a.hi - b.lo} }
func (a span) most() float64     { return max(a.hi, -a.lo) }
func (a span) hull(b span) span  { return span{min(a.lo, b.lo), max(a.hi, b.hi)} }
func (a span) times(b span) span {
	p := [4]float64{a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi}
	return span{min(p[0], p[1], p[2], p[3]), max(p[0], p[1], p[2], p[3])}
}

// A cell is what a value of an approximation is for all arguments x of a small part of its domain: the value in real arithmetic, its slope in x, the value in the middle,
// and how far what parties hold may be from it. Where a slope jumps, as that of a ReLU does, it lies in d on both sides. Floats that round
// here are allowed for by floatSlack.
type cell struct {
	v, d   span
	mid, e float64
}

func number(x float64) cell { return cell{v: span{x, x}, mid: x} }

func (a cell) plus(b cell) cell {
	return cell{a.v.plus(b.v), a.d.plus(b.d), a.mid + b.mid, a.e + b.e}
}

func (a cell) minus(b cell) cell {
	return cell{a.v.minus(b.v), a.d.minus(b.d), a.mid - b.mid, a.e + b.e}
}

func (a cell) times(b cell) cell {
	return cell{a.v.times(b.v), a.v.times(b.d).plus(b.v.times(a.d)), a.mid * b.mid, a.v.most()*b.e + b.v.most()*a.e + a.e*b.e}
}

// tightened uses that within r of the middle a value moves by no more than its slope times r.
func (a cell) tightened(r float64) cell {
	off := a.d.most() * r
	if lo, hi := a.mid-off, a.mid+off; lo > a.v.lo || hi < a.v.hi {
		a.v = span{max(a.v.lo, lo), min(a.v.hi, hi)}
	}
	return a
}

func (a cell) squared() cell {
	c := a.times(a)
	least := max(a.v.lo, -a.v.hi, 0)
	c.v.lo = least * least
	return c
}

// positive is the maximum of x and 0.
func (a cell) positive() cell {
	switch {
	case a.v.lo >= 0:
		return a
	case a.v.hi <= 0:
		return cell{e: max(a.e+a.v.hi, 0)}
	}
	return cell{span{0, a.v.hi}, a.d.hull(span{}), max(a.mid, 0), a.e}
}

// A lane is one comparison of an approximation: its value and which of the values of that one for an element.
type lane struct {
	v *ir.Value
	i int
}

// A fork is a comparison that goes either way in a cell; within is how far its operand may be off.
type fork struct {
	at     lane
	within float64
}

func (f *fork) Error() string { return "a comparison goes either way" }

// Pieces are the arithmetic that a function of one number has been replaced by, for one element of its argument: a value of as many times the elements of the
// argument has so many lanes.
type pieces struct {
	nodes   []*ir.Value // in order, the argument left out
	index   map[*ir.Value]int
	y       *ir.Value
	size    int // elements of the argument
	parties int
	second  *ir.Value            // the dividend of a quotient
	with    map[*ir.Value]bool   // what is computed from it; of one lane for each element of the result
	n       cell                 // the dividend
	linear  bool                 // the dividend is any number of a range
	most    func(c span) float64 // magnitude of dividends, for divisors in a cell
	copies  map[*ir.Value]bool   // whose lanes are all the same
	none    float64              // what is rounded in a cell for a dividend of 0
	all     float64              // and for the largest
	left    *float64             // steps that may still be taken
	vals    [][]cell             // of the nodes
	args    [][][]cell           // of the nodes' arguments
	x       []cell
}

// mostPieces bounds how many values the arithmetic of a function has.
const mostPieces = 2000

// pieces returns the arithmetic between argument arg of a fit and its result y; by says that argument 0 is a dividend by which it is multiplied.
func (w *proof) pieces(y *ir.Value, fit, arg int, by bool) (*pieces, error) {
	p := &pieces{left: w.left, index: map[*ir.Value]int{}, y: y, parties: w.parties, with: map[*ir.Value]bool{}, copies: map[*ir.Value]bool{}}
	live := map[*ir.Value]bool{}
	var x *ir.Value
	var visit func(v *ir.Value) error
	visit = func(v *ir.Value) error {
		if live[v] {
			return nil
		}
		if _, seen := p.index[v]; seen {
			return nil
		}
		if argumentOf(v, fit, arg) {
			if p.index[v] = -1; x != nil {
				return errors.New("its argument is held in two ways")
			}
			x = v
			return nil
		}
		if by && argumentOf(v, fit, 0) {
			if p.index[v] = -2; p.second != nil {
				return errors.New("its dividend is held in two ways")
			}
			p.second, p.with[v] = v, true
			return nil
		}
		if live[v] = true; len(live) > mostPieces || len(v.Args) == 0 && v.Op != ir.OpConst {
			return errors.New("its arithmetic is not that of one argument")
		}
		for _, a := range v.Args {
			if err := visit(a); err != nil {
				return err
			}
		}
		return nil
	}
	if err := visit(y); err != nil {
		return nil, err
	}
	if x == nil || x.Type.Shape.Size() == 0 {
		return nil, errors.New("its argument is not known")
	}
	p.size, p.x = x.Type.Shape.Size(), make([]cell, 2)
	for _, v := range w.f.Body {
		if !live[v] {
			continue
		}
		for _, a := range v.Args {
			p.with[v] = p.with[v] || p.with[a]
		}
		n, err := p.lanes(v)
		if err != nil {
			return nil, err
		}
		p.index[v] = len(p.nodes)
		p.nodes = append(p.nodes, v)
		p.vals = append(p.vals, make([]cell, n))
		args := make([][]cell, len(v.Args))
		for j, a := range v.Args {
			if args[j] = p.of(a); p.copies[a] && n == 1 {
				args[j] = args[j][:1]
			}
			if v.Op == ir.OpMatMul && (n != 1 || len(args[j]) != len(args[0])) || v.Op != ir.OpMatMul && len(args[j]) != 1 && len(args[j]) != n {
				return nil, fmt.Errorf("%s has lanes that do not match", named(v))
			}
		}
		p.copies[v] = n > 1 && v.Op != ir.OpConst && v.Op != ir.OpMatMul && !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return len(p.of(a)) > 1 && !p.copies[a] })
		p.args = append(p.args, args)
	}
	if len(p.of(y)) != 1 {
		return nil, errors.New("its result has more than one lane")
	}
	return p, nil
}

// of returns the cells of a value.
func (p *pieces) of(v *ir.Value) []cell {
	switch i := p.index[v]; i {
	case -1:
		return p.x[:1]
	case -2:
		return p.x[1:]
	default:
		return p.vals[i]
	}
}

// argumentOf reports whether v holds an argument of a fit, and is not made of another that does.
func argumentOf(v *ir.Value, fit, arg int) bool {
	part := ir.Part{Fit: fit, Arg: arg}
	return slices.Contains(v.Parts, part) && !(len(v.Args) == 1 && (v.Op == ir.OpTrunc || v.Op == ir.OpShl) && slices.Contains(v.Args[0].Parts, part))
}

// lanes returns how many lanes v has.
func (p *pieces) lanes(v *ir.Value) (int, error) {
	n := v.Type.Shape.Size()
	if v.Op == ir.OpConst {
		return n, nil
	}
	if p.with[v] && n == p.y.Type.Shape.Size() {
		return 1, nil
	}
	if n%p.size != 0 || p.with[v] {
		return 0, fmt.Errorf("%s has no lanes", named(v))
	}
	return n / p.size, nil
}

// run computes the result in the cell a..b of the argument, with comparisons decided as bits say where the cell does not decide them, and checks that values
// fit what they are read in.
func (p *pieces) run(a, b float64, bits map[lane]bool) (cell, error) {
	mid, r := a/2+b/2, (b-a)/2*(1+floatSlack)
	p.x[0], p.x[1] = cell{v: span{a, b}, d: span{1, 1}, mid: mid}, p.n
	for i, v := range p.nodes {
		*p.left -= float64(len(p.vals[i]))
		if err := p.fits(v, p.args[i]); err != nil && (p.second == nil || p.linear) {
			return cell{}, err
		}
		if err := p.step(v, p.args[i], p.vals[i], bits); err != nil {
			return cell{}, err
		}
		for j, c := range p.vals[i] {
			if p.linear && p.with[v] {
				break
			}
			p.vals[i][j] = c.tightened(r)
		}
	}
	return p.of(p.y)[0], nil
}

// unit returns how far a truncation of v's argument by drop bits may be off.
func (p *pieces) unit(v *ir.Value) float64 {
	d := v.Attrs.Int("drop", 0)
	if d == 0 {
		return 0
	}
	return math.Ldexp(float64(max(p.parties-1, 1)), d-v.Args[0].Type.Scale)
}

// fits is the check of a proof, for cells.
func (p *pieces) fits(v *ir.Value, args [][]cell) error {
	parties := float64(max(p.parties, 2))
	most := func(list []cell) float64 {
		m := 0.0
		for _, c := range list {
			m = max(m, c.v.most()+c.e)
		}
		return m * (1 + floatSlack)
	}
	over := func(i, n int, slack float64) error {
		if !(math.Ldexp(most(args[i]), v.Args[i].Type.Scale)+slack < math.Ldexp(1, n-1)) {
			return fmt.Errorf("%s may reach, with its error, more than the %d bits hold in which it is read", named(v.Args[i]), n)
		}
		return nil
	}
	n, drop := v.Attrs.Int("n", 0), math.Ldexp(parties, v.Attrs.Int("drop", 0))
	switch v.Op {
	case ir.OpTrunc:
		return over(0, n-1, drop)
	case ir.OpRelu, ir.OpLtz:
		return over(0, n, drop)
	case ir.OpExpo: // |x| < 2^(reach-1)
		return over(0, v.Attrs.Int("reach", 0)+v.Args[0].Type.Scale, drop)
	case ir.OpMax:
		if !(math.Ldexp(most(args[0])+most(args[1]), v.Type.Scale)+2*parties < math.Ldexp(1, n-1)) {
			return fmt.Errorf("the difference that %s reads may reach more than the %d bits hold in which it is read", named(v), n)
		}
	case ir.OpMul:
		for i, n := range []int{v.Attrs.Int("nx", 0), v.Attrs.Int("ny", 0)} {
			if n > 0 {
				if err := over(i, n-1, 2*parties); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// step computes the cells of v.
func (p *pieces) step(v *ir.Value, args [][]cell, out []cell, bits map[lane]bool) error {
	at := func(list []cell, i int) cell {
		if len(list) == 1 {
			return list[0]
		}
		return list[i]
	}
	switch v.Op {
	case ir.OpConst:
		d := v.Attrs.Tensor("data")
		for i := range out {
			out[i] = number(math.Ldexp(d.At(i), -v.Type.Scale))
		}
		return nil
	case ir.OpMatMul:
		out[0] = cell{}
		for i, c := range args[0] {
			out[0] = out[0].plus(c.times(args[1][i]))
		}
		return nil
	}
	unit := p.unit(v)
	for i := range out {
		x := at(args[0], i)
		x.e += unit
		switch v.Op {
		case ir.OpShl, ir.OpReshape, ir.OpExpand, ir.OpCast, ir.OpTrunc:
			out[i] = x
		case ir.OpNeg:
			out[i] = cell{}.minus(x)
		case ir.OpNot:
			out[i] = number(1).minus(x)
		case ir.OpAdd:
			out[i] = x.plus(at(args[1], i))
		case ir.OpSub:
			if out[i] = x.minus(at(args[1], i)); v.Args[0] == v.Args[1] {
				out[i] = cell{}
			}
		case ir.OpMul:
			if out[i] = x.times(at(args[1], i)); v.Args[0] == v.Args[1] {
				out[i] = x.squared()
			}
		case ir.OpRelu:
			out[i] = x.positive()
		case ir.OpMax: // y + relu(x - y), of which y holds its own error alone
			y := at(args[1], i)
			switch d := x.minus(y); {
			case d.v.lo > d.e:
				out[i] = x
			case d.v.hi < -d.e:
				out[i] = y
			default:
				out[i] = cell{x.v.hull(y.v), x.d.hull(y.d), max(x.mid, y.mid), max(x.e, y.e)}
			}
		case ir.OpSelect:
			switch c := x.v; c {
			case span{1, 1}:
				out[i] = at(args[1], i)
			case span{0, 0}:
				out[i] = at(args[2], i)
			default:
				return errors.New("a selection is not decided")
			}
		case ir.OpLtz:
			bit, ok := bits[lane{v, i}]
			switch {
			case ok:
			case x.v.hi+x.e < 0:
				bit = true
			case x.v.lo-x.e >= 0:
				bit = false
			default:
				return &fork{lane{v, i}, x.e}
			}
			if out[i] = number(0); bit {
				out[i] = number(1)
			}
		case ir.OpWave:
			out[i] = waved(v, x)
		case ir.OpExpo:
			out[i] = exponential(v, x)
		default:
			return fmt.Errorf("there is no bound for %s", named(v))
		}
	}
	return nil
}

// waved encloses a sum of waves. Around the middle of a cell it moves by no more than its slope there and the most that the slope changes. The public factor
// of each product is within 2^-27 and its rounding, the factor of the mask within 2^-27 of its size and its rounding (runtime/ring, Wave and Phase).
func waved(v *ir.Value, x cell) cell {
	w, turn, frac := v.Attrs.Tensor("data"), math.Ldexp(2*math.Pi, -v.Attrs.Int("period", 0)), v.Attrs.Int("frac", 0)
	mid, r := x.v.lo/2+x.v.hi/2, (x.v.hi-x.v.lo)/2
	var y, slope, most, bend, kernel, at float64
	for i := range w.Shape[0] {
		k, a, b := w.At(3*i)*turn, w.At(3*i+1), w.At(3*i+2)
		s, c := math.Sincos(math.Mod(k*mid, 2*math.Pi))
		if mid != x.mid {
			s, c := math.Sincos(math.Mod(k*x.mid, 2*math.Pi))
			at += a*c + b*s
		}
		size := math.Hypot(a, b)
		y += a*c + b*s
		slope += k * (b*c - a*s)
		most += k * size
		bend += k * k * size
		public, mask := 0x1p-27+math.Ldexp(0.5, -frac), (math.Abs(a)+math.Abs(b))*0x1p-27+math.Ldexp(0.5, -frac)
		kernel += math.Sqrt2 * (public*size + (1+public)*mask)
	}
	near := func(r float64) float64 { return min(most, math.Abs(slope)+bend*r) } // slope within r of the middle
	d := span{max(slope-bend*r, -most), min(slope+bend*r, most)}
	if mid == x.mid {
		at = y
	}
	return cell{span{y - near(r)*r, y + near(r)*r}, d.times(x.d), at, near(r+x.e)*x.e + kernel}
}

// exponential encloses exp(rate*x + offset). What parties multiply are an exponential of the public part of at most 1, rounded to frac fraction bits and as many as
// it falls below 1, and one of the mask with frac fraction bits. Both are computed within 2^-41 of their size, or 2^-18 where an exponent of 32 has a factor of its own of
// 18 bits, and within 2^-58 of the largest besides; the rate is rounded to 2^-48 a unit (runtime/ring, Expo and Decay).
func exponential(v *ir.Value, x cell) cell {
	rate, offset, reach, frac := v.Attrs.Float("rate", 0), v.Attrs.Float("offset", 0), v.Attrs.Int("reach", 0), v.Attrs.Int("frac", 0)
	y := span{math.Exp(float64(rate*x.v.lo) + offset), math.Exp(float64(rate*x.v.hi) + offset)}
	c := cell{v: y, d: y.times(x.d).times(span{rate, rate}), mid: math.Exp(float64(rate*x.mid) + offset)}
	scale := v.Args[0].Type.Scale - v.Attrs.Int("drop", 0)
	top := math.Ldexp(rate, reach)
	each := 0x1p-41 // of the size
	if top >= 16 {
		each = 0x1p-18
	}
	part := 2*each + math.Expm1(math.Ldexp(1, reach+1+scale-48)) // exponents are 2^(reach+1+scale) units at most, together
	unit := math.Ldexp(1, -frac)
	mask := 1.01*unit + math.Exp(float64(1.5*top)+offset)*0x1p-58
	public := 0.51*unit*math.Exp(top-float64(float64(ir.ExpoSpan(top))*math.Ln2)) + math.Exp(top)*0x1p-58
	c.e = y.hi*math.Expm1(float64(rate*x.e)) + mask + y.hi*(public+part) + 2*public*mask
	return c
}
