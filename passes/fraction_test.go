package passes

import "testing"

func TestFractionBits(t *testing.T) {
	for _, c := range []struct {
		mag  float64
		f, s int
	}{
		{1, 16, 16}, {4, 16, 16}, {0.25, 16, 16}, {4.1, 16, 15}, {16, 16, 14}, {64, 16, 12}, {1e9, 16, 12}, // f, then to f-4
		{0.125, 16, 17}, {0.124, 16, 17}, {1.0 / 1024, 16, 24}, {1e-9, 16, 40}, {0, 16, 40},
		{1e9, 20, 16}, {1, 2, 2}, {1e3, 2, 0},
	} {
		if s := fractionBits(c.f, c.mag); s != c.s {
			t.Errorf("fractionBits(%d, %g) = %d, want %d", c.f, c.mag, s, c.s)
		}
	}
}
