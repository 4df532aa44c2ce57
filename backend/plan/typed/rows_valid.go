package typed

import (
	"fmt"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

// Checks that opened values are in their range, merged to one bit that only receivers learn.

var lowRow = &Row{Name: "low", Doc: "z = x mod 2^bits, bits not more than those of x: the lowest bits of the public part, under the lowest bits of the mask", Src: []Kinds{kinds(Opened)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if t.Mode != plan.Add || s.Args[0] < 1 || s.Args[0] > int64(t.Bits) {
			return t, fmt.Errorf("takes the lowest %d bits of %v", s.Args[0], t)
		}
		return Type{Kind: Opened, Mode: plan.Add, Bits: s.arg(0), Len: t.Len, Noise: t.Noise}, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return mapped(x[0], func(w []uint64) []uint64 {
			return each(s.T[0].Len, func(i int) uint64 { return low(w[i], s.arg(0)) })
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire { return e.cut(e.wires[s.Src[0]], s.arg(0)) }}

var validRow = &Row{Name: "valid", Doc: "z_j = parity of the elements of x outside -a - 2^(b-3) + 1 <= ... : outside unless a < x + 2^(b-3) <= a + 3*2^(b-4) mod 2^b, for the b bits of x and a = m + 2^(b-3) mod 2^(b-4), which is uniform and public; over public subset j of plan.Subset. " +
	"|x| <= 2^(b-4) never is, 2^(b-3) < |x| < 2^b - 2^(b-3) always; between them a decides: what the bit tells besides is whether x passes a threshold drawn at random. " +
	"By a one-hot of the top 4 bits of r",
	Source: "one-time tables: TinyTable (CRYPTO 2017); the interval of positions and parities over subsets: this project, docs/protocols.md", Src: []Kinds{kinds(Opened)}, Args: []string{"seed"},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if t.Mode != plan.Add || t.Bits < plan.ValidTop {
			return t, fmt.Errorf("checks the range of %v", t)
		}
		if s.Args[0] < 0 || s.Args[0] >= 1<<31 {
			return t, fmt.Errorf("subsets number %d", s.Args[0])
		}
		return Type{Kind: Shared, Mode: plan.Xor, Bits: 1, Len: plan.ValidSets}, nil
	},
	Need: func(s *Site) []Def {
		return []Def{{Fn: fnTopHot, Of: s.Src[0], Len: s.T[0].Len, Bits: 1 << plan.ValidTop}}
	},
	Plain: func(s *Site, x []Words) Words {
		b, sets := s.T[0].Bits, uint64(0)
		step := uint64(1) << (b - plan.ValidTop)
		for i, w := range x[0].X {
			a := (w + x[0].Mask[i] + 2*step) & (step - 1)
			if d := low(w+2*step-a-1, b); d >= 3*step {
				sets ^= plan.Subset(uint64(s.Args[0]), uint64(i))
			}
		}
		return whole(plan.ValidSets, func(j int) uint64 { return sets >> j & 1 })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Step(i, atOffline, plan.ValidSets, plan.Step{Op: plan.StepValid, Src: []int{e.wires[s.Src[0]].m[i], items[0][i]}, Args: []int64{int64(s.T[0].Bits), s.Args[0]}})
		}
		return out
	}}

var allRow = &Row{Name: "all", Doc: "z_i = AND of the opened bits x_(ki) .. x_(ki+k-1), as a merge of k equalities", Source: treeSource, Src: []Kinds{kinds(Opened)}, Args: []string{"k"},
	Rule: func(s *Site) (Type, error) {
		t, k := s.T[0], s.Args[0]
		if t.Mode != plan.Xor || t.Bits != 1 || k < 1 || k > plan.MaxGroup || int64(t.Len)%k != 0 {
			return t, fmt.Errorf("joins groups of %d bits of %v", k, t)
		}
		return Type{Kind: Shared, Mode: plan.Xor, Bits: 1, Len: t.Len / s.arg(0)}, nil
	},
	Need: func(s *Site) (need []Def) {
		k := s.arg(0)
		for w := range plan.MonoWords(k, plan.KindEq) {
			need = append(need, Def{Fn: fnTogether, Of: s.Src[0], Len: s.T[0].Len / k, Bits: plan.MonoBits(k, plan.KindEq, w), Args: [5]int64{int64(k), int64(w)}})
		}
		return need
	},
	Plain: func(s *Site, x []Words) Words {
		k := s.arg(0)
		return whole(s.T[0].Len/k, func(i int) uint64 {
			and := uint64(1)
			for j := range k {
				and &= x[0].X[k*i+j]
			}
			return and
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		x, out, n := e.wires[s.Src[0]], wire{s: make([]int, e.Parties)}, s.T[0].Len/s.arg(0)
		for i := range out.s {
			src := []int{e.packed(i, x.m[i], n, s.Args[0]), e.packed(i, e.Real(i, x.s[i], s.T[0].Len, atOffline), n, s.Args[0])}
			for _, word := range items {
				src = append(src, word[i])
			}
			r := e.Op(i, plan.StepMerge, n, []int64{s.Args[0], plan.KindEq, program.First(i)}, src...)
			out.s[i] = e.Op(i, plan.StepBits, n, []int64{1, 1}, r)
		}
		return out
	}}

// packed returns a role's slot of words of k bits each.
func (e *emitter) packed(role, slot, n int, k int64) int {
	return e.Step(role, atSetup, n, plan.Step{Op: plan.StepPack, Src: []int{slot}, Args: []int64{k}})
}
