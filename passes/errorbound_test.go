package passes

import (
	"math"
	"testing"

	"smpcc/ir"
)

// TestWithin checks which bounds keep a tolerance over a whole range.
func TestWithin(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		b          ErrorBound
		atol, rtol float64
		lo, hi     float64
		want       bool
	}{
		{ErrorBound{}, 0, 0, -inf, inf, true},
		{ErrorBound{Abs: 2}, 1, 1, 0, 10, false},    // at 0
		{ErrorBound{Abs: 2}, 1, 1, 1, 10, true},     // the least result pays
		{ErrorBound{Abs: 2}, 1, 1, -10, -1, true},   // of either sign
		{ErrorBound{Abs: 2}, 1, 1, -1, 1, false},    // zero lies within
		{ErrorBound{Rel: 0.5}, 1, 0.25, 0, 4, true}, // up to 4 the absolute part pays
		{ErrorBound{Rel: 0.5}, 1, 0.25, 0, 5, false},
		{ErrorBound{Rel: 0.5}, 1, 0.25, -5, 0, false},
		{ErrorBound{Abs: 1, Rel: 0.25}, 1, 0.25, 0, inf, true},
		{ErrorBound{Abs: 0, Rel: 0.5}, 1, 0.25, 0, inf, false},
		{ErrorBound{Why: "unknown"}, 1, 1, 0, 0, false},
		{ErrorBound{Abs: nan}, 1, 1, 0, 1, false},
		{ErrorBound{Abs: inf}, 1, 1, 0, 1, false},
		{ErrorBound{}, 1, 1, nan, 1, false},
	} {
		if got := c.b.Within(c.atol, c.rtol, interval{c.lo, c.hi, ir.Proved}); got != c.want {
			t.Errorf("%+v within %g + %g*|y| over %g..%g: %v, want %v", c.b, c.atol, c.rtol, c.lo, c.hi, got, c.want)
		}
	}
}
