package passes

import "math"

// Fraction bits follow from magnitudes: large values need few, small ones more, so that both keep their leading digits. One number, f, steers
// a whole model: the fraction bits of values between 1/4 and 4.
const (
	fewerAtMost  = 4   // values that are large keep f - fewerAtMost fraction bits at least
	bitsOfSmall  = 2   // values below 1/4 keep f - bitsOfSmall significant bits
	leastBinade  = -40 // magnitudes are told apart, and published, down to 2^leastBinade
	mostFraction = 40  // fraction bits that a value may have
)

// binade returns the least e with mag <= 2^e, at least leastBinade.
func binade(mag float64) int {
	if !(mag > math.Ldexp(1, leastBinade)) {
		return leastBinade
	}
	frac, e := math.Frexp(mag)
	if frac == 0.5 {
		e--
	}
	return e
}

// fractionBits returns how many fraction bits a value of the given magnitude is kept with, where values near 1 have f.
func fractionBits(f int, mag float64) int {
	switch e := binade(mag); {
	case e > 2:
		return max(f+2-e, f-fewerAtMost, 0)
	case e < -2:
		return min(f-bitsOfSmall-e, mostFraction)
	}
	return f
}
