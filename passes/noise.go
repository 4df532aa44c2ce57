package passes

import (
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Waves and exponentials are sums of products of two rounded factors, one of them dealt, so that what they are off by is a function of masks: their noise.
// It must be dropped by a truncation before an output is revealed. The plan's types check that it is; here formats are chosen so that they can.

// waveNoise bounds the noise of a sum of waves whose factors have frac fraction bits. Both are rounded to these, and within 2^-27 of their size before
// (runtime/ring, Wave and Phase).
func waveNoise(w *ir.Tensor, frac int) float64 {
	size, unit := 0.0, math.Ldexp(1, -frac)
	for i := range w.Shape[0] {
		size += math.Abs(w.At(3*i+1)) + math.Abs(w.At(3*i+2))
	}
	rows := float64(w.Shape[0])
	return float64(math.Sqrt2*size*0x1p-26) + float64((size+rows)*unit/math.Sqrt2) + float64(4*rows*unit*unit)
}

// expoNoise bounds the noise of exp(rate*x + offset) for |x| < 2^(reach-1), whose public factor is at most 1 and has frac fraction bits and as many as
// it falls below 1, and whose dealt factor has frac fraction bits. Both are within 2^-51 of their value before they are rounded.
func expoNoise(rate, offset float64, reach, frac int) float64 {
	span := math.Ldexp(rate, reach)
	gain := math.Exp(1.5*span + offset)
	unit, fine := math.Ldexp(1, -frac), math.Ldexp(1, -frac-ir.ExpoSpan(span))
	return float64(unit/2) + float64(gain*fine/2) + float64(gain*0x1p-50) + float64(4*unit*fine)
}

// quietWaves returns the fewest fraction bits, least or more, of the factors of waves whose noise is smaller than a unit of a result of out fraction
// bits; and if no number of them is enough, the most that there are, and the bits that a result may have then.
func quietWaves(w *ir.Tensor, least, out int) (frac, kept int) {
	most := mostWaveBits
	for i := range w.Len() {
		if i%3 > 0 {
			most = min(most, 29-binade(math.Abs(w.At(i)))) // coefficients are words of 31 bits
		}
	}
	for frac = least; frac < most && waveNoise(w, frac)*noiseSlack >= math.Ldexp(1, -out); frac++ {
	}
	return frac, min(out, quietBitsOf(waveNoise(w, frac)))
}

// noiseSlack allows for what types round up when they count noise in whole units.
const noiseSlack = 1.01

// quietBitsOf returns how many fraction bits a result may have whose unit is larger than a noise.
func quietBitsOf(noise float64) int { return int(math.Ceil(-math.Log2(noise*noiseSlack))) - 1 }

// settled has x rounded to frac fraction bits, if functions are to be rounded where they are computed here and not behind what comes next, and states its range.
func (a *approximation) settled(x *ir.Value, frac int, lo, hi float64) *ir.Value {
	y := a.within(x, frac, lo, hi)
	if a.quiet {
		y.Attrs = y.Attrs.With(ir.I("firm", 1))
	}
	return y
}

// quietly runs passes with options o, and again with functions rounded where they are computed if noise is left in an output: elsewhere a truncation
// is dropped with another that follows, which costs less. What is asked of data is noted anew in each run, below notes.
func quietly(m *ir.Module, o *Options, notes *notebook, run func(m *ir.Module, opt *Options) error) error {
	observe, try := o.Observe, m.Clone()
	o.Observe, o.encoded = nil, newEncodings()
	if err := run(try, o); err != nil {
		return err
	}
	if noisy(try.Main()) == nil && observe == nil {
		*m = *try
		return nil
	}
	o.quiet = noisy(try.Main()) != nil
	o.Observe, o.encoded, o.notes = observe, newEncodings(), notes.fork()
	if err := run(m, o); err != nil {
		return err
	}
	if v := noisy(m.Main()); v != nil {
		return diag.Errorf(v.Pos, "output %q would tell of masks, by what functions are rounded in their material: its %d fraction bits hold more than is right", v.Attrs.Str("name"), v.Args[0].Type.Scale).
			WithHint("reveal fewer bits (--reveal-bits N), or do not skip the pass sink")
	}
	return nil
}

// noisy returns a reveal of a value with noise, nil if there is none.
func noisy(f *ir.Func) *ir.Value {
	noise := map[*ir.Value]float64{}
	for _, v := range f.Body {
		if noise[v] = noiseOf(v, func(i int) float64 { return noise[v.Args[i]] }); v.Op == ir.OpReveal && noise[v] > 0 {
			return v
		}
	}
	return nil
}

// noiseOf bounds the noise of a value in units of its last bit, given that of its arguments: what is smaller than a unit when bits are dropped is a part of how they
// are rounded. It is infinite behind products of secrets, of which only widths are known.
func noiseOf(v *ir.Value, of func(i int) float64) float64 {
	dropped := func(i int) float64 {
		n := math.Ldexp(of(i), -v.Attrs.Int("drop", 0))
		if n < 1 {
			return 0
		}
		return n + 1
	}
	most := 0.0
	for i := range v.Args {
		most = max(most, of(i))
	}
	switch v.Op {
	case ir.OpWave, ir.OpExpo:
		if dropped(0) > 0 {
			return math.Inf(1)
		}
		if v.Op == ir.OpWave {
			return math.Ldexp(waveNoise(v.Attrs.Tensor("data"), v.Attrs.Int("frac", 0))*noiseSlack, v.Type.Scale)
		}
		return math.Ldexp(expoNoise(v.Attrs.Float("rate", 0), v.Attrs.Float("offset", 0), v.Attrs.Int("reach", 0), v.Attrs.Int("frac", 0))*noiseSlack, v.Type.Scale)
	case ir.OpTrunc, ir.OpRelu:
		return dropped(0)
	case ir.OpLtz, ir.OpEqz:
		return 0
	case ir.OpShl:
		return math.Ldexp(most, v.Attrs.Int("by", 0))
	case ir.OpAdd, ir.OpSub:
		return of(0) + of(1)
	case ir.OpMax, ir.OpSelect: // one of two, and their difference
		n := len(v.Args)
		return 2 * (of(n-2) + of(n-1))
	case ir.OpReduceSum:
		return most * float64(v.Args[0].Type.Shape.Size()) / float64(max(1, v.Type.Shape.Size()))
	case ir.OpMul, ir.OpMatMul, ir.OpConv:
		if most == 0 {
			return 0
		}
		for i, c := range v.Args {
			if c.Op == ir.OpConst {
				return of(1-i) * largestWord(c) * termsOf(v)
			}
		}
		return math.Inf(1)
	}
	return most
}

// largestWord returns the largest magnitude of a constant's words.
func largestWord(c *ir.Value) float64 {
	most := 0.0
	for _, x := range c.Attrs.Tensor("data").I {
		most = max(most, math.Abs(float64(x)))
	}
	return most
}

// termsOf returns how many products are summed for an element of a product.
func termsOf(v *ir.Value) float64 {
	switch x := v.Args[0].Type.Shape; v.Op {
	case ir.OpMatMul:
		return float64(x[len(x)-1])
	case ir.OpConv:
		return float64(v.Args[1].Type.Shape.Size()) / float64(max(1, v.Args[1].Type.Shape[0]))
	}
	return 1
}
