package passes

import (
	"math"
	"testing"
)

func TestSigmoidWithinStatedError(t *testing.T) {
	for _, f := range []int{12, 16, 20} {
		ts, ss, y0 := piecewise(sigmoidKnots, f)
		sum := 0.0
		for _, s := range ss {
			sum += s
		}
		if sum != 0 {
			t.Errorf("f=%d: slope changes sum to %g, want 0: the function is not clamped", f, sum)
		}
		worst := 0.0
		for i := -12 * 1024; i <= 12*1024; i++ {
			x := float64(i) / 1024
			y := y0
			for j := range ts {
				y += ss[j] * max(x-ts[j], 0)
			}
			worst = max(worst, math.Abs(y-1/(1+math.Exp(-x))))
		}
		limit := 4.2e-4
		if f == 12 {
			limit += math.Ldexp(1, -11)
		}
		if worst > limit {
			t.Errorf("f=%d: error %.3g, want at most %.3g", f, worst, limit)
		}
	}
}
