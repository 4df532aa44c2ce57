package passes

import (
	"fmt"
	"math"
	"testing"

	"smpcc/ir"
)

func TestPolylinesKeepToTheirError(t *testing.T) {
	for op, m := range methods {
		if m.bend == nil {
			continue
		}
		f, w := ir.Smooth[op], m.bend
		for _, bits := range []int{12, 16, 20} {
			for _, eps := range []float64{1e-3, 1e-2} {
				t.Run(fmt.Sprintf("%s/%d/%g", op, bits, eps), func(t *testing.T) {
					lo, hi := w.window(f, 0.3*eps)
					p := fitLine(f, lo, hi, w.left, w.right, 0.6*eps, bits)
					sum, worst, at := 0.0, 0.0, 0.0
					for _, s := range p.slope {
						sum += s
					}
					if sum != w.right.slope {
						t.Errorf("slopes sum to %g, want %g: the function is not clamped", sum, w.right.slope)
					}
					for i := -32 * 1024; i <= 32*1024; i++ {
						x := float64(i) / 1024
						if e := math.Abs(p.eval(x) - f(x)); e > worst {
							worst, at = e, x
						}
					}
					if limit := 0.8*eps + math.Ldexp(3, -bits); worst > limit {
						t.Errorf("error %.3g at %g, want at most %.3g (%d knots)", worst, at, limit, len(p.at))
					}
					t.Logf("%d knots, error %.3g", len(p.at), worst)
				})
			}
		}
	}
}

func TestPolynomialsReachTheirError(t *testing.T) {
	for name, f := range map[string]func(float64) float64{"exp": math.Exp, "recip": func(x float64) float64 { return 1 / (1.5 + x) }, "sqrt": func(x float64) float64 { return math.Sqrt(1.5 + x) }} {
		c := fitPolyTo(f, -0.5, 0.5, 1e-4, 20)
		if e, _, _ := polyError(f, c, -0.5, 0.5); e > 1e-4 {
			t.Errorf("%s: degree %d, error %g", name, len(c)-1, e)
		}
		if len(c) > 6 {
			t.Errorf("%s: degree %d, want at most 5", name, len(c)-1)
		}
	}
}
