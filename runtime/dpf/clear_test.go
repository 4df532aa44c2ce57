package dpf

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"smpcc/backend/plan"
)

// TestNothingIsLeft checks that no call leaves nodes, masks, hashes or shares in the scratch that it gives back, with every kernel.
func TestNothingIsLeft(t *testing.T) {
	var made []*scratch
	scratches = sync.Pool{New: func() any { s := new(scratch); made = append(made, s); return s }}
	was := active
	defer func() { scratches, active = sync.Pool{New: func() any { return new(scratch) }}, was }()
	r := rand.New(rand.NewPCG(1, 2))
	words := func(n int) []uint64 {
		out := make([]uint64, n)
		for i := range out {
			out[i] = r.Uint64() | 1
		}
		return out
	}
	clean := func(after string) {
		t.Helper()
		for _, s := range made {
			for name, x := range map[string][]uint64{"acc0": s.acc[0][:], "acc1": s.acc[1][:], "acc2": s.acc[2][:], "wrap": s.wrap[:], "at": s.at[:], "lo": s.lo[:], "hi": s.hi[:],
				"dlo": s.dlo[:], "dhi": s.dhi[:], "clo": s.clo[:], "chi": s.chi[:], "glo": s.glo[:], "ghi": s.ghi[:], "hlo": s.hlo[:], "hhi": s.hhi[:]} {
				if i := slices.IndexFunc(x, func(w uint64) bool { return w != 0 }); i >= 0 {
					t.Fatalf("%s with kernel %s leaves %#x in %s[%d]", after, active.name, x[i], name, i)
				}
			}
		}
	}
	for _, active = range kernels() {
		for _, n := range []int{1, 31, pad, pad + 1, Tile} {
			const bits, ring = 24, 40
			masks := words(n)
			roots := [2]Block{{words(n), words(n)}, {words(n), words(n)}}
			own := append(slices.Clone(roots[0][0]), roots[0][1]...)
			for _, kind := range []int{plan.DPFLess, plan.DPFEqual} {
				key := make([]uint64, n*plan.DPFWords(bits))
				Keys(key, n, 0, masks, roots, bits, kind)
				clean("Keys")
				Eval(make([]uint64, n), words(n), own, key, n, 0, 1, bits, kind, false)
				clean("Eval")
			}
			key := make([]uint64, n*plan.DCFWords(bits, ring))
			ReluKeys(key, n, 0, masks, roots, bits, ring)
			clean("ReluKeys")
			Relu(make([]uint64, n), words(n), own, key, n, 0, 1, bits, ring, true)
			clean("Relu")
		}
	}
	if len(made) == 0 {
		t.Error("no scratch was used")
	}
}
