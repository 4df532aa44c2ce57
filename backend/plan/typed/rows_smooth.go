package typed

import (
	"fmt"
	"math"

	"smpcc/backend/plan"
)

// Functions of one opened value: a function of the public part times a function of the mask, which is material. Both are rounded, so the
// lowest bits of the result tell of the mask: the type's noise.

// abs returns the magnitude of a number.
func abs(x int64) uint64 {
	if x < 0 {
		return uint64(-x)
	}
	return uint64(x)
}

// diagonal returns x/sqrt(2), rounded up: what the error of half a unit in each part of a complex number of magnitude x comes to.
func diagonal(x uint64) Noise { return Noise(x).times(46341).drop(16).plus(1) }

// waveNoise bounds the rounding of a wave with coefficients of size in all, which is at least the magnitude of (U, V): C and S are within
// 1/2 + 2^(frac-27), U and V within 1/2 + size 2^-27. The two parts of 2^-27 are sqrt(2) size 2^(frac-27) each.
func waveNoise(size uint64, frac int) Noise {
	kernels := Noise(size).up(frac).drop(27).plus(1).times(2 * 46341).drop(15).plus(1)
	return diagonal(size).plus(diagonal(1 << frac)).plus(kernels).plus(Noise(size).drop(26)).plus(2)
}

var waveRow = &Row{Name: "wave", Doc: "z = 2^frac (a cos(k x) + b sin(k x)), angles in 2 pi/2^period: cos(k m) [U] + sin(k m) [V] with frac fraction bits, U = a cos(k r) - b sin(k r), V = a sin(k r) + b cos(k r). A mask that wraps makes no difference",
	Source: "addition theorem; masks that are multiples of a period: this project, docs/typed-plan.md", Src: []Kinds{kinds(Opened)}, Args: []string{"period", "k", "a", "b", "frac", "bits"},
	Rule: func(s *Site) (Type, error) {
		t, err := ring(s, s.Args[5], 64)
		period, k, a, b, frac := s.Args[0], s.Args[1], s.Args[2], s.Args[3], s.Args[4]
		switch {
		case err != nil:
			return t, err
		case period < 2 || period > int64(s.T[0].Bits) || k < 1 || k > plan.MaxHarmonics:
			return t, fmt.Errorf("%d turns in 2^%d of %v", k, period, s.T[0])
		case a < -plan.MaxWave || a > plan.MaxWave || b < -plan.MaxWave || b > plan.MaxWave || frac < 1 || frac > plan.MaxWaveFrac:
			return t, fmt.Errorf("coefficients %d and %d with %d fraction bits", a, b, frac)
		}
		t.Noise = waveNoise(abs(a)+abs(b), int(frac))
		if n := s.T[0].Noise; n > 0 { // of the argument: the slope is at most 2 pi k size/2^period
			t.Noise = t.Noise.plus(n.times(7 * uint64(k)).times(abs(a) + abs(b)).up(int(frac)).drop(int(min(period, 63)))).plus(1)
		}
		return t, nil
	},
	Need: func(s *Site) []Def {
		period, k, a, b := s.Args[0], s.Args[1], s.Args[2], s.Args[3]
		d := Def{Fn: fnWave, Of: s.Src[0], Len: s.T[0].Len, Bits: s.arg(5)}
		e := d
		d.Args, e.Args = [5]int64{period, k, a, -b}, [5]int64{period, k, b, a}
		return []Def{d, e}
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 {
			angle := float64(low(x[0].X[i]*uint64(s.Args[1]), s.arg(0))) * (2 * math.Pi / math.Ldexp(1, s.arg(0)))
			z := float64(float64(s.Args[2])*math.Cos(angle)) + float64(float64(s.Args[3])*math.Sin(angle))
			return low(uint64(int64(math.Round(math.Ldexp(z, s.arg(4))))), s.arg(5))
		})
	},
	Slack: rounded,
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepWave, s.T[0].Len, []int64{s.Args[0], s.Args[1], s.Args[4]}, e.wires[s.Src[0]].m[i], items[0][i], items[1][i])
		}
		return out
	}}

// rounded is the slack of rows whose material is rounded: what their noise says.
func rounded(s *Site, parties int) (lo, hi int64) {
	most := int64(min(s.result().Noise, math.MaxInt64))
	return -most, most
}

var expoRow = &Row{Name: "expo", Doc: "z = 2^frac gain exp((x + 2^(w-2) - 2^w) rate/2^48), -2^(w-2) <= x < 2^(w-2): E [G_t], t the top bit of u = m + 2^(w-2) mod 2^w, E = exp(-(2^(w-1) - u mod 2^(w-1)) rate/2^48) with frac fraction bits, G_t = gain exp(-(r + (1-t) 2^(w-1) mod 2^w) rate/2^48)",
	Source: "multiplicative masking; readings by the top bit: this project, docs/typed-plan.md", Src: []Kinds{kinds(Opened)}, Args: []string{"w", "rate", "gain", "frac", "bits"},
	Rule: func(s *Site) (Type, error) {
		t, err := ring(s, s.Args[4], 64)
		w, rate, gain, frac := s.Args[0], s.Args[1], s.Args[2], s.Args[3]
		switch {
		case err != nil:
			return t, err
		case w < 2 || w > 52 || w > int64(s.T[0].Bits) || rate < 1 || rate >= 1<<(54-w):
			return t, fmt.Errorf("a rate of %d for %d bits of %v", rate, w, s.T[0])
		case gain < 0 || gain > plan.MaxGain || frac < 0 || frac > 62:
			return t, fmt.Errorf("a gain of %d with %d fraction bits", gain, frac)
		}
		t.Noise = expoNoise(uint64(gain), int(frac))
		if s.T[0].Noise > 0 { // of the argument: the slope is that of the result
			t.Noise = math.MaxUint64
		}
		return t, nil
	},
	Need: func(s *Site) []Def {
		d := Def{Fn: fnDecay, Of: s.Src[0], Len: s.T[0].Len, Bits: s.arg(4), Args: [5]int64{s.Args[0], 0, s.Args[1], s.Args[2]}}
		e := d
		e.Args[1] = 1
		return []Def{d, e}
	},
	Range: func(s *Site, i int) int { return s.arg(0) - 1 },
	Plain: func(s *Site, x []Words) Words {
		w := s.arg(0)
		return whole(s.T[0].Len, func(i int) uint64 {
			at := float64(signed(x[0].X[i], w)) - 3*math.Ldexp(1, w-2)
			z := math.Ldexp(float64(s.Args[2]), s.arg(3)) * math.Exp(at*math.Ldexp(float64(s.Args[1]), -48))
			return low(uint64(int64(math.Round(z))), s.arg(4))
		})
	},
	Slack: rounded,
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepExpo, s.T[0].Len, []int64{s.Args[0], s.Args[1], s.Args[3]}, e.wires[s.Src[0]].m[i], items[0][i], items[1][i])
		}
		return out
	}}

// expoNoise bounds the rounding of an exponential: E is within 1/2 + 2^(frac-51) and at most 2^frac, G within 1/2 + gain 2^-51 and at most gain.
func expoNoise(gain uint64, frac int) Noise {
	e, g := Noise(1)<<frac, Noise(gain)
	both := g.drop(max(0, 51-frac)).up(max(0, frac-51)) // gain 2^frac 2^-51
	return e.drop(1).plus(both).plus(g.drop(1)).plus(both).plus(2)
}
