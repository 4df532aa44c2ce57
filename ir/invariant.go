package ir

import (
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
)

// invariantNames names the invariants by bit, as they are printed.
var invariantNames = []string{"folded", "core", "permitted", "ranged", "quantised", "widthed", "shared"}

// Names lists the invariants in i as they are printed; one without a name is bit followed by its number.
func (i Invariant) Names() []string {
	var out []string
	for ; i != 0; i &= i - 1 {
		b := bits.TrailingZeros32(uint32(i))
		if b < len(invariantNames) {
			out = append(out, invariantNames[b])
		} else {
			out = append(out, fmt.Sprintf("bit%d", b))
		}
	}
	return out
}

// InvariantByName is the inverse of Names for one invariant.
func InvariantByName(name string) (Invariant, bool) {
	if b := slices.Index(invariantNames, name); b >= 0 {
		return 1 << b, true
	}
	if digits, ok := strings.CutPrefix(name, "bit"); ok {
		b, err := strconv.Atoi(digits)
		if err == nil && b >= len(invariantNames) && b < 32 {
			return 1 << b, true
		}
	}
	return 0, false
}

// AdoptNumbered appends a value made elsewhere under the ID it has, which no value of f may have yet;
// values emitted later get higher IDs. Its type must be set.
func (f *Func) AdoptNumbered(v *Value) {
	f.next = max(f.next, v.ID+1)
	f.Body = append(f.Body, v)
}
