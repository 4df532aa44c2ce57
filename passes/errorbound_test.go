package passes

import (
	"errors"
	"math"
	"strings"
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

// TestABrokenProofIsReported: a run whose error exceeds its bound is a fault of the compiler, whatever the tolerance.
func TestABrokenProofIsReported(t *testing.T) {
	e := newEnclosure(ir.Shape{1})
	e.set(0, enclosed{lo: 0, hi: 8, abs: 0.25})
	run := func(x int64) []map[string]*ir.Tensor {
		return []map[string]*ir.Tensor{{"y": {Elem: ir.Ring, Shape: ir.Shape{1}, I: []int64{x}}}}
	}
	want := []map[string]*ir.Tensor{{"y": ir.Reals(ir.Shape{1}, 2)}}
	for _, c := range []struct {
		held  int64 // with two fraction bits
		state State
		wrong bool
	}{{8, Proved, false}, {9, Proved, false}, {10, Measured, true}, {6, Measured, true}} {
		o := Output{Name: "y", State: Measured, Tolerance: Tolerance{0.5, 0}}
		err := outputBound{enclosure: e}.prove(&o, run(c.held), want, 2)
		if o.State != c.state || (err != nil) != c.wrong || err != nil && (!errors.Is(err, errInternal) || !strings.Contains(err.Error(), "please report")) {
			t.Errorf("%d/4 for 2 with a bound of 1/4: %s, %v", c.held, o.State, err)
		}
	}
	o := Output{Name: "y", State: Measured, Tolerance: Tolerance{0.125, 0}}
	if err := (outputBound{enclosure: e}).prove(&o, run(8), want, 2); err != nil || o.State != Measured || o.Why == "" {
		t.Errorf("a bound beyond the tolerance: %s, %q, %v", o.State, o.Why, err)
	}
}
