package audit

import (
	"math"
	"math/bits"
)

// prime is 2^61 - 1: linear maps of rational numbers are reduced modulo it. A rank modulo a prime is never higher than the rank itself, and lower only
// where the prime divides all largest minors.
const prime = 1<<61 - 1

// mulMod returns a*b mod prime, for a and b below it.
func mulMod(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b) // a*b = hi*2^64 + lo, and 2^61 is 1
	return addMod(lo&prime, hi<<3|lo>>61)
}

// addMod returns a+b mod prime, for a and b of at most 61 bits.
func addMod(a, b uint64) uint64 {
	s := a + b
	if s >= prime {
		s -= prime
	}
	if s >= prime {
		s -= prime
	}
	return s
}

// invMod returns 1/a mod prime: a^(prime-2), after Fermat.
func invMod(a uint64) uint64 {
	out := uint64(1)
	for e := uint64(prime - 2); e > 0; e >>= 1 {
		if e&1 != 0 {
			out = mulMod(out, a)
		}
		a = mulMod(a, a)
	}
	return out
}

// residue returns a finite number, which is a whole number times a power of two, mod prime.
func residue(x float64) uint64 {
	frac, exp := math.Frexp(math.Abs(x))
	m := uint64(math.Ldexp(frac, 53)) // whole
	exp = ((exp-53)%61 + 61) % 61     // 2^61 is 1
	m = mulMod(m%prime, uint64(1)<<exp)
	if x < 0 && m != 0 {
		m = prime - m
	}
	return m
}

// A span is a space of row vectors mod prime, as the reduced rows of a matrix: each has a pivot, which is 1 and in whose column the others have 0.
type span struct {
	width int
	rows  [][]uint64
	pivot []int
}

// add puts a vector into the span and reports whether it was outside. It takes some width*rank multiplications.
func (s *span) add(v []uint64) bool {
	x := append([]uint64{}, v...)
	for i, r := range s.rows {
		subtract(x, r, x[s.pivot[i]])
	}
	p := -1
	for i, c := range x {
		if c != 0 {
			p = i
			break
		}
	}
	if p < 0 {
		return false
	}
	scale := invMod(x[p])
	for i := range x {
		x[i] = mulMod(x[i], scale)
	}
	for _, r := range s.rows {
		subtract(r, x, r[p])
	}
	s.rows, s.pivot = append(s.rows, x), append(s.pivot, p)
	return true
}

// subtract takes c*r from x.
func subtract(x, r []uint64, c uint64) {
	if c == 0 {
		return
	}
	for i, y := range r {
		if y != 0 {
			x[i] = addMod(x[i], prime-mulMod(c, y))
		}
	}
}

// fixed reports for each column whether its unknown follows: whether the unit vector of the column is in the span. A reduced row with nothing beside
// its pivot says so.
func (s *span) fixed() []bool {
	out := make([]bool, s.width)
	for i, r := range s.rows {
		alone := true
		for j, c := range r {
			alone = alone && (c == 0 || j == s.pivot[i])
		}
		out[s.pivot[i]] = alone
	}
	return out
}
