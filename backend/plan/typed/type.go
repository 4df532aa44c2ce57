// Package typed is the typed plan: one program for all roles in static single assignment. A step is a row of a table: what its
// operands must be, the type of its result, the material it needs as functions of the masks of opened values, what it means, and the
// steps of each role. An opening makes its own mask, which no step can name; shares of zero belong to the step that reveals; so a
// program that has a type opens nothing unmasked, uses no mask twice and leaves none in an output. Programs of roles follow by
// projection (Project).
package typed

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"smpcc/backend/plan"
)

// A Kind says who holds what of a value.
type Kind uint8

// The kinds of values.
const (
	Const   Kind = iota // everybody knows it from the plan
	Private             // one party holds it
	Shared              // the parties hold shares of it, and no mask is left in their sum
	Opened              // everybody knows m = x + r; the parties hold shares of r, the dealer knows r
	Partial             // XOR shares of bits that tell of a mask: a comparison of an opened value with its mask
	Covered             // such bits, opened under a mask of their own
	Done                // an output, or nothing: no step takes it
)

var kindNames = [...]string{"const", "private", "shared", "opened", "partial", "covered", "done"}

// String returns the kind as it is printed.
func (k Kind) String() string { return kindNames[k] }

// A Set is a set of parties.
type Set uint64

// Has reports whether party i is in the set.
func (s Set) Has(i int) bool { return i < 64 && s>>i&1 != 0 }

// A Part says which comparison of the mask of an opened value a partial value holds: the chunks From..To-1 of its lowest Bits bits,
// Chunk bits each, most significant first, as Words comparisons of adjacent groups of them.
type Part struct {
	Of              int // the opened value
	Bits, Chunk     int
	From, To, Words int
	Kind            int  // plan.KindLt, KindEq or KindBoth
	Merged          bool // one comparison of them all: lt in bit 0, eq in bit 1, or the only bit there is
}

// whole reports whether the part is one comparison of all its bits, and holds a result of the kind.
func (p Part) whole(bits, kind int) bool {
	return p.Merged && p.Bits == bits && p.From == 0 && p.To == p.chunks() && p.Kind&kind != 0
}

// chunks returns the number of chunks of all the bits.
func (p Part) chunks() int {
	if p.Chunk == 0 { // keys compare all bits at once
		return 1
	}
	return (p.Bits + p.Chunk - 1) / p.Chunk
}

// A Moment is a phase and how many of its exchanges have passed.
type Moment struct {
	Phase plan.Phase
	Round int
}

// later returns the later of two moments.
func later(a, b Moment) Moment {
	if a.Phase < b.Phase || a.Phase == b.Phase && a.Round < b.Round {
		return b
	}
	return a
}

// A Type is all that a rule may know of a value.
type Type struct {
	Kind   Kind
	Mode   plan.Mode  // how shares and masks combine: plan.Add mod 2^Bits, or plan.Xor
	Bits   int        // width in which the value is valid
	Len    int        // elements
	Scope  plan.Scope // Model: it is there once for the weights; a model value has no session operand
	When   Moment     // after it every role has its part
	Holder int        // of a private value: the party
	Owners Set        // parties whose data it derives from
	Noise  Noise      // bound on what is rounded in material, and so tells of masks
	Part   Part       // of partial and covered bits
	Sign   int        // of a bit: +1 if it is [v >= 0] and -1 if it is [v < 0] of the opened value v that SignOf names; else 0
	SignOf int
}

// String renders the type.
func (t Type) String() string {
	var b strings.Builder
	b.WriteString(t.Kind.String())
	switch {
	case t.Kind == Const || t.Kind == Done && t.Bits == 0:
	case t.Mode == plan.Xor:
		fmt.Fprintf(&b, " xor%d", t.Bits)
	default:
		fmt.Fprintf(&b, " ring%d", t.Bits)
	}
	fmt.Fprintf(&b, "[%d]", t.Len)
	if t.Scope == plan.Model && t.Kind != Const {
		b.WriteString(" model")
	}
	if t.Noise > 0 {
		fmt.Fprintf(&b, " noise 2^%d", t.Noise.Bits())
	}
	if t.Kind == Partial || t.Kind == Covered {
		fmt.Fprintf(&b, " of %%%d", t.Part.Of)
	}
	if t.Sign != 0 {
		fmt.Fprintf(&b, " [%%%d %s 0]", t.SignOf, map[int]string{1: ">=", -1: "<"}[t.Sign])
	}
	return b.String()
}

// Noise is a bound on the rounding of a value that happened in material: its magnitude in units of the last bit. Such rounding is a
// function of masks, so whoever sees the value and its public part learns of what they hide. The largest number stands for all above it.
type Noise uint64

// Bits returns how many of the lowest bits the noise may change, but for carries out of them.
func (n Noise) Bits() int { return bits.Len64(uint64(n)) }

// plus returns the noise of a sum.
func (n Noise) plus(m Noise) Noise {
	if n+m < n {
		return math.MaxUint64
	}
	return n + m
}

// times returns the noise of a product with a number of at most the given magnitude.
func (n Noise) times(by uint64) Noise {
	hi, lo := bits.Mul64(uint64(n), by)
	if hi != 0 {
		return math.MaxUint64
	}
	return Noise(lo)
}

// up returns the noise of a value times 2^by.
func (n Noise) up(by int) Noise {
	if by > 63 {
		return n.times(1 << 63).times(1 << (by - 63))
	}
	return n.times(1 << by)
}

// drop returns the noise of a value of which the lowest bits were dropped. What is smaller than a unit can still carry into it: that is
// part of how truncation rounds.
func (n Noise) drop(by int) Noise {
	switch {
	case n == math.MaxUint64:
		return n
	case n>>by == 0:
		return 0
	}
	return n>>by + 1
}
