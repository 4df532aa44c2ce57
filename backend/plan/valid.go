package plan

// Checks of ranges. Whether an opened value has left its range is looked up in shares of a one-hot of the top bits of its mask, which is local; so is
// the parity of the elements outside over public subsets. If any element is outside, each parity is odd for half of all choices of subsets.
const (
	ValidTop  = 4  // bits of the mask that the one-hot is of
	ValidSets = 36 // subsets: what they miss is 2^-36 of all sets of elements outside, and no single element
	ValidRow  = 6  // of the square in which the parities are merged: two levels of 6
)

// ValidMiss is the part of the values far outside their range that wrap into it: three of sixteen positions.
const ValidMiss = 3.0 / (1 << ValidTop)

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
