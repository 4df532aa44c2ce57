package plan

import (
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// What belongs to guests: owners and receivers that compute nothing. A guest gives each party one share of its input and nobody the
// input. What it gives is any words mod 2^Bits; so a port's ring is as small as its range lets it be, and what is proved of a plan holds
// for all numbers that its words can stand for.

// Roster lists all who own data or may receive any, parties first, then guests, in the order in which types number them.
func (m *Manifest) Roster() []string { return append(slices.Clone(m.Parties), m.Guests...) }

// Invited reports whether a name is that of a guest.
func (m *Manifest) Invited(name string) bool { return slices.Contains(m.Guests, name) }

// Least returns the number that the word 0 stands for at element i of a port of shares: the encoding of the lower end of its range. The word w
// stands for Least(i) + w.
func (p *Port) Least(i int) int64 {
	if p.Elem == "bool" {
		return 0
	}
	lo, _ := p.Range(i)
	return int64(math.Round(math.Ldexp(lo, p.ScaleOf(i))))
}

// GuestBits returns the bits of the smallest ring that holds all words of a range of so many units in fixed point of the given scale: 2^bits
// is at least the number of encodings, and less than twice the number of steps between them, so that every word stands for a number in
// [lo, lo + 2 (hi - lo)).
func GuestBits(lo, hi float64, scale int) (int, error) {
	a, b := math.Round(math.Ldexp(lo, scale)), math.Round(math.Ldexp(hi, scale))
	if !(b > a) || b-a >= 1<<62 || math.Abs(a) >= 1<<62 {
		return 0, fmt.Errorf("a range of %g..%g with %d fraction bits has no ring", lo, hi, scale)
	}
	return bits.Len64(uint64(b - a)), nil
}

// validateShares checks what a port of shares says.
func (p *Port) validateShares(guests []string, input bool) error {
	switch {
	case !p.Shares && slices.Contains(guests, p.Owner):
		return fmt.Errorf("of guest %q does not enter as shares", p.Owner)
	case !p.Shares:
		return nil
	case !input || !slices.Contains(guests, p.Owner):
		return fmt.Errorf("enters as shares and is no input of a guest")
	case p.Elem == "bool" && p.Bits != 1:
		return fmt.Errorf("has bits of %d bits", p.Bits)
	case p.Elem == "bool":
		return nil
	}
	for i := range max(1, len(p.Columns)) {
		lo, hi := p.Range(i)
		if n, err := GuestBits(lo, hi, p.ScaleOf(i)); err != nil || n > p.Bits {
			return fmt.Errorf("has a range of %g..%g, which %d bits do not hold", lo, hi, p.Bits)
		}
	}
	return nil
}
