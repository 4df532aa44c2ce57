package passes

import (
	"math"
	"math/rand/v2"
	"testing"

	"smpcc/ir"
	"smpcc/runtime/ring"
)

// wired returns an op on a ring value with the given fraction bits.
func wired(op ir.Op, scale int, attrs ir.Attrs) *ir.Value {
	return &ir.Value{Op: op, Attrs: attrs, Args: []*ir.Value{{Type: ir.Type{Elem: ir.Ring, Scale: scale, Bits: 64, Shape: ir.Shape{1}}}}, Type: ir.Type{Elem: ir.Ring, Shape: ir.Shape{1}}}
}

// TestWavesAreWithinTheirKernel multiplies what parties multiply, for random masks, and compares with the sum of waves in float64.
func TestWavesAreWithinTheirKernel(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	closest := 0.0
	for range 400 {
		frac, scale, period := 8+r.IntN(13), 8+r.IntN(12), r.IntN(6)
		nbits, rows := period+scale, 1+r.IntN(6)
		data := ir.NewTensor(ir.Real, ir.Shape{rows, 3})
		for i := range rows {
			data.F[3*i], data.F[3*i+1], data.F[3*i+2] = float64(1+r.IntN(20)), roundTo(4*r.NormFloat64(), frac), roundTo(r.NormFloat64(), frac)
		}
		v := wired(ir.OpWave, scale, ir.Attrs{ir.T("data", data), ir.I("period", int64(period)), ir.I("frac", int64(frac))})
		for range 50 {
			x := int64(r.Uint64N(1<<nbits)) - 1<<(nbits-1)
			mask := r.Uint64N(1 << nbits)
			got := uint64(0)
			for i := range rows {
				k := int(data.F[3*i])
				a, b := int64(math.Round(math.Ldexp(data.F[3*i+1], frac))), int64(math.Round(math.Ldexp(data.F[3*i+2], frac)))
				var d, u, w [1]uint64
				ring.Phase(u[:], []uint64{mask}, nbits, k, a, -b)
				ring.Phase(w[:], []uint64{mask}, nbits, k, b, a)
				ring.Wave(d[:], []uint64{(uint64(x) + mask) & (1<<nbits - 1)}, u[:], w[:], nbits, k, frac)
				got += d[0]
			}
			at := math.Ldexp(float64(x), -scale)
			c := waved(v, cell{v: span{at, at}, mid: at})
			off := math.Abs(math.Ldexp(float64(int64(got)), -2*frac) - c.mid)
			if !(off <= c.e) {
				t.Fatalf("off by %g of %g: frac %d, %d bits, %v", off, c.e, frac, nbits, data.F)
			}
			closest = max(closest, off/c.e)
		}
	}
	if closest < 0.4 {
		t.Errorf("no error takes more than %.2g of the bound", closest)
	}
}

// TestExponentialsAreWithinTheirKernel does the same for exponentials, at all exponents that they reach.
func TestExponentialsAreWithinTheirKernel(t *testing.T) {
	r := rand.New(rand.NewPCG(10, 11))
	closest := 0.0
	for range 400 {
		reach, frac, scale := 1+r.IntN(5), 8+r.IntN(11), 8+r.IntN(10)
		rate := math.Ldexp(1+r.Float64()*0.01, -r.IntN(3))
		top := math.Ldexp(rate, reach)
		if top > 31 {
			continue
		}
		offset := -top/2 + r.Float64()*2
		v := wired(ir.OpExpo, scale, ir.Attrs{ir.F("rate", rate), ir.F("offset", offset), ir.I("reach", int64(reach)), ir.I("frac", int64(frac))})
		nbits := reach + 1 + scale
		perUnit := uint64(math.Round(math.Ldexp(rate, 48-scale)))
		gain := uint64(math.Round(math.Ldexp(math.Exp(1.5*top+offset), frac)))
		if 2*frac+ir.ExpoSpan(top)+int(math.Ceil(max(top/2+offset, 0)*math.Log2E)) > 61 || gain>>62 != 0 {
			continue
		}
		for range 50 {
			x := int64(r.Uint64N(1<<(nbits-2))) - 1<<(nbits-3)
			mask := r.Uint64N(1 << nbits)
			var d, g0, g1 [1]uint64
			ring.Decay(g0[:], []uint64{mask}, nbits, 0, perUnit, gain)
			ring.Decay(g1[:], []uint64{mask}, nbits, 1, perUnit, gain)
			ring.Expo(d[:], []uint64{(uint64(x) + mask) & (1<<nbits - 1)}, g0[:], g1[:], nbits, perUnit, frac+ir.ExpoSpan(top))
			at := math.Ldexp(float64(x), -scale)
			c := exponential(v, cell{v: span{at, at}, mid: at})
			off := math.Abs(math.Ldexp(float64(int64(d[0])), -2*frac-ir.ExpoSpan(top)) - c.mid)
			if !(off <= c.e) {
				t.Fatalf("exp(%g*%g + %g) is off by %g of %g: reach %d, frac %d, scale %d, mask %x", rate, at, offset, off, c.e, reach, frac, scale, mask)
			}
			closest = max(closest, off/c.e)
		}
	}
	if closest < 0.4 {
		t.Errorf("no error takes more than %.2g of the bound", closest)
	}
}
