package plan

import "math"

// Checks of ranges. Whether an opened value has left its range is looked up in shares of a one-hot of the top bits of its mask, which is local; so is
// the parity of the elements outside over public subsets. If any element is outside, each parity is odd for half of all choices of subsets.
const (
	ValidTop  = 4  // bits of the mask that the one-hot is of
	ValidSets = 36 // subsets: what they miss is 2^-36 of all sets of elements outside, and no single element
	ValidRow  = 6  // of the square in which the parities are merged: two levels of 6
)

// Spans that a check accepts, in sixteenths of what it looks at: of each 16 of values far outside so many wrap into it. What is surely accepted is a sixteenth less,
// what may be a sixteenth more.
const (
	ValidSpan  = 3 // two bits beyond the range
	ValidTight = 5 // one bit beyond
)

// Subset returns in which subsets element i of a value is, as bits: a mix of seed and i (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators,
// OOPSLA 2014), and in subset 0 if in none.
func Subset(seed, i uint64) uint64 {
	x := (seed<<32 + i + 1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	if x = (x ^ x>>31) >> (64 - ValidSets); x == 0 {
		x = 1
	}
	return x
}

// ValidMissOf returns the part of the values far outside their range that a check of so many bits accepts: 3/2^(bits+2), 5/2^(bits+3) of an odd number; 1 if there
// is none.
func ValidMissOf(bits int) float64 {
	switch {
	case bits == 0:
		return 1
	case bits%2 == 1:
		return math.Ldexp(ValidTight, -bits-3)
	}
	return math.Ldexp(ValidSpan, -bits-2)
}

// IsValidity reports whether an output only says of others whether they are there.
func (p *Port) IsValidity() bool { return p.Checked > 0 }

// Results lists the outputs that were asked for, without those that say whether they are there.
func (m *Manifest) Results() (out []Port) {
	for _, p := range m.Outputs {
		if !p.IsValidity() {
			out = append(out, p)
		}
	}
	return out
}

// Withheld reports whether an output was withheld from a receiver, by what it got: the words of outputs by name.
func (m *Manifest) Withheld(p Port, got map[string][]uint64) bool {
	if p.Valid < 1 || p.Valid > len(m.Outputs) {
		return false
	}
	bit := got[m.Outputs[p.Valid-1].Name]
	return len(bit) != 1 || bit[0]&1 == 0
}

// WithheldText says why an output is not there.
func (m *Manifest) WithheldText() string {
	if m.Recipe.Samples > 0 {
		return "withheld: a value left the range that the samples showed"
	}
	return "withheld: a value left the range that was assumed for it"
}
