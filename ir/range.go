package ir

import "math"

// Operands answers what a rule for ranges asks of the values that an op reads.
type Operands struct {
	Range func(*Value) Range   // an interval that holds every element
	Data  func(*Value) *Tensor // the data of a constant, or of a weight that is known; nil of anything else
}

// A RangeRule returns an interval that holds every element of v, given those of its arguments and its attributes. Its origin is the least certain of
// those it rests on. Ends may be infinite, or NaN where 0 meets infinity.
type RangeRule func(v *Value, in Operands) Range

// Admitting returns the least interval that holds lo..hi and the single-precision numbers nearest to its ends: who declares 0.01 means what a float32 holds
// of it as well, which is a little less. Ends that single precision does not have stay, and those that it makes whole: 0.999999999 is not 1.
func Admitting(lo, hi float64) (float64, float64) {
	single := func(x float64) float64 {
		if y := float64(float32(x)); math.Abs(y) >= 0x1p-126 && !math.IsInf(y, 0) && y != math.Trunc(y) {
			return y
		}
		return x
	}
	return min(lo, single(lo)), max(hi, single(hi))
}

// Hull returns the least interval that holds both.
func (r Range) Hull(s Range) Range {
	return Range{Lo: min(r.Lo, s.Lo), Hi: max(r.Hi, s.Hi), Origin: min(r.Origin, s.Origin)}
}

// Times returns the hull of the products of elements of two intervals.
func (r Range) Times(s Range) Range {
	p := [4]float64{r.Lo * s.Lo, r.Lo * s.Hi, r.Hi * s.Lo, r.Hi * s.Hi}
	return Range{Lo: min(p[0], p[1], p[2], p[3]), Hi: max(p[0], p[1], p[2], p[3]), Origin: min(r.Origin, s.Origin)}
}

// zeroRange is that of padding.
var zeroRange = Range{Lo: 0, Hi: 0, Origin: Proved}

// rangeKept is the rule of ops whose elements are some of their argument's.
func rangeKept(v *Value, in Operands) Range { return in.Range(v.Args[0]) }

// rangePadded is the rule of ops that add zeros.
func rangePadded(v *Value, in Operands) Range { return in.Range(v.Args[0]).Hull(zeroRange) }

// hullFrom returns the rule of ops whose elements are those of the arguments from the given one on.
func hullFrom(first int) RangeRule {
	return func(v *Value, in Operands) Range {
		r := in.Range(v.Args[first])
		for _, a := range v.Args[first+1:] {
			r = r.Hull(in.Range(a))
		}
		return r
	}
}

// rangeStated is the rule of ops whose attributes lo and hi hold by construction.
func rangeStated(v *Value, in Operands) Range {
	return Range{Lo: v.Attrs.Float("lo", 0), Hi: v.Attrs.Float("hi", 0), Origin: hullFrom(0)(v, in).Origin}
}

// monotone returns the rule of an op that rises with each of its arguments.
func monotone(f func(v *Value, x []float64) float64) RangeRule {
	return func(v *Value, in Operands) Range {
		lo, hi, from := make([]float64, len(v.Args)), make([]float64, len(v.Args)), Proved
		for i, a := range v.Args {
			r := in.Range(a)
			lo[i], hi[i], from = r.Lo, r.Hi, min(from, r.Origin)
		}
		return Range{Lo: f(v, lo), Hi: f(v, hi), Origin: from}
	}
}

// castWhole is what a cast makes of one element: reals become integers towards zero.
func castWhole(v *Value, x []float64) float64 {
	if v.Type.Elem == Int {
		return math.Trunc(x[0])
	}
	return x[0]
}

// rangeDiff is that of x - y.
func rangeDiff(v *Value, in Operands) Range {
	a, b := in.Range(v.Args[0]), in.Range(v.Args[1])
	return Range{Lo: a.Lo - b.Hi, Hi: a.Hi - b.Lo, Origin: min(a.Origin, b.Origin)}
}

// rangeNegated is that of -x.
func rangeNegated(v *Value, in Operands) Range {
	a := in.Range(v.Args[0])
	return Range{Lo: -a.Hi, Hi: -a.Lo, Origin: a.Origin}
}

// rangeProduct is that of x * y; a square is not negative.
func rangeProduct(v *Value, in Operands) Range {
	p := in.Range(v.Args[0]).Times(in.Range(v.Args[1]))
	if v.Args[0] == v.Args[1] {
		p.Lo = max(p.Lo, 0)
	}
	return p
}

// rangeSum is that of a sum over axes: n elements each.
func rangeSum(v *Value, in Operands) Range {
	n := float64(v.Args[0].Type.Shape.Size()) / float64(max(1, v.Type.Shape.Size()))
	a := in.Range(v.Args[0])
	return Range{Lo: a.Lo * n, Hi: a.Hi * n, Origin: a.Origin}
}

// rangeWave is that of a sum of waves: none exceeds its amplitude.
func rangeWave(v *Value, _ Operands) Range {
	w, most := v.Attrs.Tensor("data"), 0.0
	for i := range w.Shape[0] {
		most += math.Abs(w.At(3*i+1)) + math.Abs(w.At(3*i+2))
	}
	return Range{Lo: -most, Hi: most, Origin: Proved}
}

// rangeFormat narrows the range of a format's argument by what it states, or takes what it states if it is loose, or firm: rounding leaves the range of
// the argument by a unit for each party.
func rangeFormat(v *Value, in Operands) Range {
	a, lo, hi := in.Range(v.Args[0]), v.Attrs.Float("lo", math.Inf(-1)), v.Attrs.Float("hi", math.Inf(1))
	switch {
	case v.Attrs.Int("loose", 0) != 0 || v.Attrs.Int("firm", 0) != 0 && v.Attrs.Has("lo") && v.Attrs.Has("hi"):
		return Range{Lo: lo, Hi: hi, Origin: a.Origin}
	case a.Lo > hi || a.Hi < lo: // contradicts what is known of the argument, which wins
		return a
	case a.Lo < lo && a.Hi > hi:
		return Range{Lo: lo, Hi: hi, Origin: Proved}
	}
	return Range{Lo: max(a.Lo, lo), Hi: min(a.Hi, hi), Origin: a.Origin}
}

// rangeMatMul bounds a matrix product: with a known factor by the sums of its positive and negative entries that meet in one element of the result,
// otherwise by the number of terms.
func rangeMatMul(v *Value, in Operands) Range {
	x, w := v.Args[0], v.Args[1]
	if d := in.Data(w); d != nil {
		r := len(d.Shape)
		k, n := d.Shape[r-2], d.Shape[r-1]
		return weighted(d.Shape.Size()/max(1, k), k, func(g, i int) float64 { return d.At((g/n)*k*n + i*n + g%n) }, in.Range(x), in.Range(w).Origin)
	}
	if d := in.Data(x); d != nil {
		k := d.Shape[len(d.Shape)-1]
		return weighted(d.Shape.Size()/max(1, k), k, func(g, i int) float64 { return d.At(g*k + i) }, in.Range(w), in.Range(x).Origin)
	}
	p, terms := in.Range(x).Times(in.Range(w)), float64(x.Type.Shape[len(x.Type.Shape)-1])
	return Range{Lo: p.Lo * terms, Hi: p.Hi * terms, Origin: p.Origin}
}

// rangeConv bounds a convolution like a matrix product whose factor x holds zeros besides, those of padding.
func rangeConv(v *Value, in Operands) Range {
	x, w := v.Args[0], v.Args[1]
	r := in.Range(x)
	r.Lo, r.Hi = min(r.Lo, 0), max(r.Hi, 0)
	if d := in.Data(w); d != nil { // one output channel each
		per := d.Shape.Size() / max(1, d.Shape[0])
		return weighted(d.Shape[0], per, func(g, k int) float64 { return d.At(g*per + k) }, r, in.Range(w).Origin)
	}
	p, terms := r.Times(in.Range(w)), float64(w.Type.Shape[1:].Size())
	return Range{Lo: p.Lo * terms, Hi: p.Hi * terms, Origin: p.Origin}
}

// weighted returns the hull over groups g of sum_k at(g,k)*x_k with each x_k anywhere in r.
func weighted(groups, per int, at func(g, k int) float64, r Range, from Origin) Range {
	out := Range{Lo: 0, Hi: 0, Origin: min(r.Origin, from)}
	for g := range groups {
		lo, hi := 0.0, 0.0
		for k := range per {
			w := at(g, k)
			if w >= 0 {
				lo += float64(w * r.Lo)
				hi += float64(w * r.Hi)
			} else {
				lo += float64(w * r.Hi)
				hi += float64(w * r.Lo)
			}
		}
		if g == 0 {
			out.Lo, out.Hi = lo, hi
		}
		out.Lo, out.Hi = min(out.Lo, lo), max(out.Hi, hi)
	}
	return out
}
