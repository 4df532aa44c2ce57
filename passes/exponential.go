package passes

import (
	"math"

	"smpcc/ir"
)

// Below expFloor, exp is what it is there: 2e-9. Above expCeiling it stays.
const (
	expFloor   = -20.0
	expCeiling = 24.0
	expReach   = 128.0 // what lies above -expReach is not limited where the result is at most a little above 1
	squarings  = 5
)

// exp computes exp(x) as exp(x / 2^k)^(2^k), with more fraction bits on the way: the first factor by masks that are multiplied, or by a
// polynomial where the result may be large.
func (a *approximation) exp(x *ir.Value) *ir.Value {
	if a.known(x).hi > expCeiling {
		x, _ = a.clip(x, math.Inf(-1), expCeiling)
	}
	z, k, frac := a.decay(x)
	if z == nil {
		x, _ = a.clip(x, expFloor, expCeiling)
		z, k, frac = a.decay(x)
	}
	iv := a.known(x)
	if z == nil {
		k = squarings
		top := math.Exp(max(iv.hi, 0)) // z^2 must fit the ring at twice the fraction bits
		frac = min(max(a.mantissaBits()+2, 18), 20, int(60-math.Log2(top))/2-1)
		part := math.Ldexp(1, -squarings)
		lo, hi := iv.lo*part, iv.hi*part
		t := a.within(a.mul(x, a.exact(squarings, ir.Shape{}, part)), frac, lo, hi)
		cbits := min(frac, 58-2*frac)
		c := fitPolyTo(math.Exp, lo, hi, a.eps*part/16, cbits)
		z = a.within(a.polynomial(t, c, cbits), frac, 0, snug(math.Exp(hi)))
	}
	for k--; k >= 0; k-- {
		top := snug(math.Exp(iv.hi * math.Ldexp(1, -k)))
		f := min(frac, (60-2*max(binade(top), 0))/2) // the next square must fit the ring
		if k == 0 {
			f = fractionBits(a.frac, top)
		}
		z = a.within(a.mul(z, z), f, 0, top)
	}
	return z
}

// decay returns exp(x / 2^k) for x that is at most a little above zero, and its fraction bits: one opening and no round behind it. It
// returns nil where the ring has no room for the precision. Error: 2^(1-bits) for factors of that many fraction bits, 18 where the ring has
// room, and 2^k times that after k squarings.
func (a *approximation) decay(x *ir.Value) (z *ir.Value, k, frac int) {
	const (
		room   = 1.0 / 64 // for rounding, at both ends: beyond them the mask would be read wrong
		widest = 64 - 3   // a truncation needs a sign, a bit of room and one for rounding
	)
	iv := a.known(x)
	top := max(iv.hi, expFloor) + room
	width := top - iv.lo + room
	reach := max(int(math.Ceil(math.Log2(width))), 1)
	shrink := 1.0
	if less := math.Ldexp(1, reach-1); width*255/256 <= less { // a range of a power of two and its rounding
		reach, shrink = reach-1, 255.0/256
	}
	var most, rate, offset float64
	half := math.Ldexp(1, reach-1)
	bits, kept := 0, 0
	for k = max(reach-4, 0); k <= squarings; k++ {
		most = snug(math.Exp(iv.hi * math.Ldexp(1, -k)))
		rate = math.Ldexp(1/shrink, -k)
		offset = math.Ldexp(roundTo(top, 8), -k) - float64(rate*half)
		room := (widest - ir.ExpoSpan(math.Ldexp(rate, reach)) - int(math.Ceil(math.Log2(most)))) / 2
		if bits = 18; k == 0 {
			bits = max(18, fractionBits(a.frac, most))
		}
		bits = min(bits+max(binade(most), 0), room, 24) // what is large is rounded more
		if kept = quietBitsOf(expoNoise(rate, offset, reach, bits)); math.Ldexp(1, k-kept) <= a.eps/2 {
			break
		}
	}
	if iv.lo < -expReach || k > squarings || a.frac > 24 {
		return nil, 0, 0
	}
	if frac = min(kept, 18); k == 0 {
		frac = min(kept, max(fractionBits(a.frac, most), a.frac+a.tight))
	}
	y := a.sub(x, a.num(roundTo(top, 8)))
	if shrink != 1 {
		y = a.mul(y, a.exact(8, ir.Shape{}, shrink))
	}
	y = a.within(a.add(y, a.num(half)), a.frac, -half, half)
	z = a.E(ir.OpExpo, ir.Attrs{ir.F("rate", rate), ir.F("offset", offset), ir.I("reach", int64(reach)), ir.I("frac", int64(bits))}, y)
	z = a.within(z, keep, 0, most)
	return a.firm(z, frac), k, frac // a sum of them would not fit the ring
}

// snug returns a bound for a value of at most x and its rounding: 1% more, or the power of two just below, because a range that ends
// at a power of two has twice the room.
func snug(x float64) float64 {
	x = x*1.01 + 1e-3
	frac, e := math.Frexp(x)
	if frac < 0.525 {
		return math.Ldexp(0.5, e)
	}
	return x
}
