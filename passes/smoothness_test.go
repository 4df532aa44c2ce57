package passes

import (
	"math"
	"testing"

	"smpcc/ir"
)

// TestSmoothness compares slopes and bounds of derivatives with differences of the functions, and images with values.
func TestSmoothness(t *testing.T) {
	for op, s := range smoothnesses {
		s.f = ir.Smooth[op]
		lo, hi := -12.0, 12.0
		if s.octaves {
			lo, hi = 0.05, 20
		}
		const n, h = 4000, 1e-4
		step := (hi - lo) / n
		most, bend := 0.0, 0.0 // of what the bounds allow
		for i := range n {
			a, b := lo+float64(i)*step, lo+float64(i+1)*step
			x := (a + b) / 2
			slope := (s.f(x+h) - s.f(x-h)) / (2 * h)
			size := 1 + math.Abs(s.f(x))/math.Min(1, x*x)
			if d := math.Abs(slope - s.slope(x)); d > 1e-6*size {
				t.Errorf("%s at %g: slope %g, %g by differences", op, x, s.slope(x), slope)
			}
			if most = max(most, math.Abs(slope)/s.most(a, b)); math.Abs(slope) > s.most(a, b)+1e-6*size {
				t.Errorf("%s at %g: slope %g exceeds %g", op, x, slope, s.most(a, b))
			}
			second := (s.slope(x+h) - s.slope(x-h)) / (2 * h)
			if b := s.bend(a, b); math.Abs(second) > b*(1+1e-6)+1e-6*size {
				t.Errorf("%s at %g: second derivative %g exceeds %g", op, x, second, b)
			} else if b > 0 {
				bend = max(bend, math.Abs(second)/b)
			}
			for _, wide := range []float64{1, 30, 400} {
				from, to := max(x-wide*step, lo), min(x+2*wide*step, hi)
				least, over := s.image(from, to)
				for k := range 5 {
					if y := s.f(from + (to-from)*float64(k)/4); y < least || y > over {
						t.Errorf("%s: %g outside %g..%g for %g..%g", op, y, least, over, from, to)
					}
				}
			}
		}
		if most < 0.9 || bend < 0.9 {
			t.Errorf("%s: bounds are far from what is needed: %.2g and %.2g of them are used", op, most, bend)
		}
	}
}
