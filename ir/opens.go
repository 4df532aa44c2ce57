package ir

import "math"

// SignedBits returns the least n with |x| * 2^scale + slack < 2^(n-1) for |x| <= mag.
func SignedBits(mag float64, scale int, slack float64) int {
	_, e := math.Frexp(math.Ldexp(mag, scale) + slack) // value < 2^e
	return max(e+1, 2)
}

// dropSlack is how far a value may be off, in units of its last bit, that rounds when the lowest bits are dropped: one unit of what is kept for each party.
func dropSlack(v *Value, parties int) float64 {
	return math.Ldexp(float64(parties), v.Attrs.Int("drop", 0))
}

// opensSign is the rule of ops that want the sign of their argument, after dropping its lowest bits.
func opensSign(v *Value, parties int) int {
	x := v.Args[0]
	return SignedBits(x.Range.Abs(), x.Type.Scale, dropSlack(v, parties))
}

// opensWhole is the rule of truncations: with one bit more than the sign takes, a wire is a number of any ring.
func opensWhole(v *Value, parties int) int { return 1 + opensSign(v, parties) }

// opensPeriod is the rule of functions whose argument matters modulo 2^period, or less than 2^(reach-1) in magnitude.
func opensPeriod(v *Value, _ int) int {
	return v.Attrs.Int("period", v.Attrs.Int("reach", 0)+1) + v.Args[0].Type.Scale
}

// opensDifference is the rule of ops that want the sign of the difference of their arguments, both of which are rounded.
func opensDifference(v *Value, parties int) int {
	a, b := v.Args[0], v.Args[1]
	mag := max(a.Range.Hi-b.Range.Lo, b.Range.Hi-a.Range.Lo, 0)
	return SignedBits(mag, a.Type.Scale, float64(2*parties))
}
