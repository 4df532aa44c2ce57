package ir

import "testing"

// TestCovered compares with counting cells.
func TestCovered(t *testing.T) {
	for in := 1; in < 5; in++ {
		for k := 1; k < 4; k++ {
			for stride := 1; stride < 4; stride++ {
				for pad := range 6 {
					for dil := 1; dil < 4; dil++ {
						for out := 1; out < 6; out++ {
							want := true
							for o := range out {
								want = want && inside(in, k, o*stride-pad, dil, false) > 0
							}
							if got := covered(in, out, k, stride, pad, dil); got != want {
								t.Fatalf("covered(%d, %d, %d, %d, %d, %d) = %v", in, out, k, stride, pad, dil, got)
							}
						}
					}
				}
			}
		}
	}
}
