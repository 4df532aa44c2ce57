package typed

import (
	"errors"
	"fmt"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

// Comparisons of an opened value m with its mask r: [m < r] and [m = r] on the lowest bits, from which its sign follows. Until the sign is
// made of them they tell of r to everybody who knows m, so their kind is partial and all that takes them is below.

// treeSource names where the comparison by chunks is from.
const treeSource = "leaves: CrypTFlow2 (CCS 2020), Cheetah (USENIX Security 2022); one-time tables: TinyTable (CRYPTO 2017); products of many bits: ABY2.0"

var leafRow = &Row{Name: "leaf", Doc: "z holds lt_j = [m_j < r_j] and eq_j = [m_j = r_j] for the chunks j = from..from+k-1 of the lowest bits of m and r, chunk bits each, most significant first; kind 1: all but the last eq, 2: only eq, 3: all. By one-hots of the chunks of r",
	Source: treeSource, Src: []Kinds{kinds(Opened)}, Args: []string{"bits", "chunk", "from", "k", "kind"},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		bits, chunk, from, k, kind := s.Args[0], s.Args[1], s.Args[2], s.Args[3], s.arg(4)
		switch {
		case t.Mode != plan.Add || bits < 1 || bits > int64(t.Bits):
			return t, fmt.Errorf("compares %d bits of %v", bits, t)
		case chunk != 4 && chunk != 6 && chunk != 7 || k < 1 || k > plan.MaxGroup || from < 0 || from > 64 || from+k > (bits+chunk-1)/chunk || kind < plan.KindLt || kind > plan.KindBoth:
			return t, fmt.Errorf("chunks %d..%d of %d bits out of %d, kind %d", from, from+k-1, chunk, bits, kind)
		}
		part := Part{Of: s.Src[0], Bits: int(bits), Chunk: int(chunk), From: int(from), To: int(from + k), Words: int(k), Kind: kind}
		return Type{Kind: Partial, Mode: plan.Xor, Bits: plan.Vars(int(k), kind), Len: t.Len, Part: part}, nil
	},
	Need: func(s *Site) (need []Def) {
		for _, h := range plan.HotWords(s.arg(0), s.arg(1), s.arg(2), s.arg(3)) {
			need = append(need, Def{Fn: fnOneHot, Of: s.Src[0], Len: s.T[0].Len, Bits: h.Bits,
				Args: [5]int64{s.Args[0], s.Args[1], int64(h.First), int64(h.Count), int64(h.Base / 64)}})
		}
		return need
	},
	Plain: func(s *Site, x []Words) Words {
		bits, chunk, from, k := s.arg(0), s.arg(1), s.arg(2), s.arg(3)
		chunks := (bits + chunk - 1) / chunk
		digit := func(w uint64, j int) uint64 { return low(w, bits) >> (chunk * (chunks - 1 - j)) & (1<<chunk - 1) }
		return whole(s.T[0].Len, func(i int) uint64 {
			m, r := x[0].X[i]+x[0].Mask[i], x[0].Mask[i]
			lt := func(j int) bool { return digit(m, from+j) < digit(r, from+j) }
			eq := func(j int) bool { return digit(m, from+j) == digit(r, from+j) }
			return laidOut(k, s.arg(4), lt, eq)
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			src := []int{e.wires[s.Src[0]].m[i]}
			for _, word := range items {
				src = append(src, word[i])
			}
			out.s[i] = e.Op(i, plan.StepLeaf, s.T[0].Len, s.Args, src...)
		}
		return out
	}}

// laidOut puts comparisons where a leaf of the kind has them: all lt, then all eq, without the last one if only lt is asked for.
func laidOut(k, kind int, lt, eq func(j int) bool) (word uint64) {
	at := 0
	put := func(on bool) {
		if on {
			word |= 1 << at
		}
		at++
	}
	if kind != plan.KindEq {
		for j := range k {
			put(lt(j))
		}
	}
	if kind == plan.KindLt {
		k--
	}
	for j := range k {
		put(eq(j))
	}
	return word
}

var mergeRow = &Row{Name: "merge", Doc: "d = x XOR a is public: z bit 0 = XOR_j lt_j AND_(i<j) eq_i, bit 1 = AND_i eq_i, each factor written d XOR a and expanded, by shares of the products of bits of a",
	Source: treeSource, Src: []Kinds{kinds(Covered)},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if t.Part.Merged {
			return t, errors.New("merges what is one comparison")
		}
		if k := t.Part.Words; k < 1 || k > plan.MaxGroup || t.Part.Kind == plan.KindBoth && k > 5 {
			return t, fmt.Errorf("merges %d comparisons of kind %d", k, t.Part.Kind)
		}
		part := t.Part
		part.Merged, part.Words = true, 1
		return Type{Kind: Partial, Mode: plan.Xor, Bits: 2, Len: t.Len, Part: part}, nil
	},
	Need: func(s *Site) (need []Def) {
		k, kind := s.T[0].Part.Words, s.T[0].Part.Kind
		for w := range plan.MonoWords(k, kind) {
			need = append(need, Def{Fn: fnMonomials, Of: s.Src[0], Len: s.T[0].Len, Bits: plan.MonoBits(k, kind, w), Args: [5]int64{int64(k), int64(kind), int64(w)}})
		}
		return need
	},
	Plain: func(s *Site, x []Words) Words {
		k, kind := s.T[0].Part.Words, s.T[0].Part.Kind
		return whole(s.T[0].Len, func(i int) (word uint64) {
			lt, eq := 0, k
			if kind == plan.KindEq {
				eq = 0
			}
			bit := func(at int) bool { return x[0].X[i]>>at&1 != 0 }
			prefix := true
			for j := range k {
				if kind != plan.KindEq && prefix && bit(lt+j) {
					word = 1 // at most one: a chunk that is less is not equal
				}
				prefix = prefix && (kind == plan.KindLt && j == k-1 || bit(eq+j))
			}
			if kind != plan.KindLt && prefix {
				word |= 2
			}
			return word
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		x, out := e.wires[s.Src[0]], wire{s: make([]int, e.Parties)}
		for i := range out.s {
			src := []int{x.m[i], x.s[i]}
			for _, word := range items {
				src = append(src, word[i])
			}
			part := s.T[0].Part
			out.s[i] = e.Op(i, plan.StepMerge, s.T[0].Len, []int64{int64(part.Words), int64(part.Kind), program.First(i)}, src...)
		}
		return out
	}}

var groupRow = &Row{Name: "group", Doc: "z holds the comparisons of adjacent groups of chunks, most significant first, as a leaf of that kind holds those of chunks", Source: treeSource,
	Src: []Kinds{kinds(Partial)}, Var: true, Args: []string{"kind"},
	Rule: func(s *Site) (Type, error) {
		kind, k := s.arg(0), len(s.T)
		if k < 1 || k > plan.MaxGroup || kind < plan.KindLt || kind > plan.KindBoth {
			return Type{}, fmt.Errorf("groups %d comparisons to kind %d", k, kind)
		}
		part := s.T[0].Part
		for i, t := range s.T {
			want := kind
			if kind == plan.KindLt && i < k-1 {
				want = plan.KindBoth
			}
			p := t.Part
			if !p.Merged || s.Program.Steps[s.Src[i]].Op != OpMerge || p.Of != part.Of || p.Bits != part.Bits || p.Chunk != part.Chunk || i > 0 && p.From != part.To || p.Kind&want != want || t.Len != s.T[0].Len {
				return t, fmt.Errorf("operand %d is not the comparison of the next chunks of one value, of kind %d", i, want)
			}
			part.To = p.To
		}
		part.Words, part.Kind, part.Merged = k, kind, false
		return Type{Kind: Partial, Mode: plan.Xor, Bits: plan.Vars(k, kind), Len: s.T[0].Len, Part: part}, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 {
			return laidOut(len(x), s.arg(0), func(j int) bool { return x[j].X[i]&1 != 0 }, func(j int) bool { return x[j].X[i]&2 != 0 })
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			var src []int
			for _, v := range s.Src {
				src = append(src, e.wires[v].s[i])
			}
			out.s[i] = e.Op(i, plan.StepGroup, s.T[0].Len, s.Args, src...)
		}
		return out
	}}

// keySource names where keys are from.
const keySource = "Boyle, Gilboa, Ishai (CCS 2016; EUROCRYPT 2021: keys for comparisons)"

var keyCompareRow = &Row{Name: "keycompare", Doc: "z = [m < r] (kind 1) or [m = r] (kind 2) on the lowest bits, by keys of distributed point functions for r: no message once m is public. Two parties; rests on AES under a public key",
	Source: keySource, Src: []Kinds{kinds(Opened)}, Args: []string{"bits", "kind"},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		switch {
		case len(s.Manifest.Parties) != 2:
			return t, fmt.Errorf("keys are for two parties, here are %d", len(s.Manifest.Parties))
		case t.Mode != plan.Add || s.Args[0] < 1 || s.Args[0] > int64(t.Bits) || s.Args[1] != plan.DPFLess && s.Args[1] != plan.DPFEqual:
			return t, fmt.Errorf("compares %d bits of %v by keys of kind %d", s.Args[0], t, s.Args[1])
		}
		part := Part{Of: s.Src[0], Bits: s.arg(0), To: 1, Words: 1, Kind: s.arg(1), Merged: true}
		return Type{Kind: Partial, Mode: plan.Xor, Bits: 1, Len: t.Len, Part: part}, nil
	},
	Need: func(s *Site) []Def {
		base, _ := s.root(s.Src[0])
		return []Def{{Fn: fnCompareKeys, Of: base, Len: s.Types[base].Len, Bits: 64, Args: [5]int64{s.Args[0], s.Args[1]}}}
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 {
			m, r := low(x[0].X[i]+x[0].Mask[i], s.arg(0)), low(x[0].Mask[i], s.arg(0))
			return truth(s.Args[1] == plan.DPFLess && m < r || s.Args[1] == plan.DPFEqual && m == r)
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		_, points := s.root(s.Src[0])
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepDPF, s.T[0].Len, []int64{s.Args[0], s.Args[1], int64(points), program.First(i)}, e.wires[s.Src[0]].m[i], items[0][i], items[0][e.Parties+i])
		}
		return out
	}}

// truth is 1 for true.
func truth(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// root returns the opened value whose mask an opened value has, and how often each of its elements stands in the value, one behind the
// other: constants move the public part of a value and leave its mask.
func (s *Site) root(v int) (base, points int) {
	r := s.checked.roots[v]
	return r.base, r.points
}

// repeats returns how often each element of the operand's mask stands in the mask of the step's value, one behind the other; 0 if that is
// another mask.
func (s *Site) repeats() int {
	switch s.Op {
	case OpReshape:
		return 1
	case OpAdd, OpSub:
		if s.T[1].Kind == Const && s.T[0].Kind != Const {
			return 1
		}
	case OpView:
		c, times := viewOf(s), 1
		d, st := canonical(c.Dims, c.SrcStrides)
		n := s.T[0].Len
		if n > 0 && c.Src == 0 && len(d) > 0 && st[len(d)-1] == 0 {
			times = int(d[len(d)-1])
			d, st = d[:len(d)-1], st[:len(d)-1]
		}
		if c.Src == 0 && (len(d) == 1 && st[0] == 1 && int(d[0]) == n || len(d) == 0 && n == 1) {
			return times
		}
	}
	return 0
}

var msbRow = &Row{Name: "msb", Doc: "z = [x < 0] = top(m) XOR top(r) XOR [m < r], the last on all bits but the top one, which y must hold", Source: treeSource,
	Src: []Kinds{kinds(Opened), kinds(Partial)}, Var: true,
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		switch {
		case t.Mode != plan.Add:
			return t, fmt.Errorf("takes the sign of %v", t)
		case t.Bits == 1 && len(s.T) == 1:
		case len(s.T) != 2 || s.T[1].Len != t.Len || s.T[1].Part.Of != s.Src[0] || !s.T[1].Part.whole(t.Bits-1, plan.KindLt):
			return t, errors.New("the bits are not the comparison of all lower bits of this value with its mask")
		}
		return Type{Kind: Shared, Mode: plan.Xor, Bits: 1, Len: t.Len, Sign: -1, SignOf: s.Src[0]}, nil
	},
	Need: func(s *Site) []Def { return []Def{{Fn: fnTop, Of: s.Src[0], Len: s.T[0].Len, Bits: 1}} },
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(x[0].X[i], s.T[0].Bits) >> (s.T[0].Bits - 1) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			lt := program.Zero
			if len(s.T) == 2 {
				lt = e.wires[s.Src[1]].s[i]
			}
			out.s[i] = e.Xor(i, lt, items[0][i])
		}
		out.s[0] = e.Xor(0, out.s[0], e.Op(0, plan.StepBits, s.T[0].Len, []int64{int64(s.T[0].Bits - 1), 1}, e.wires[s.Src[0]].m[0]))
		return out
	}}

var isZeroRow = &Row{Name: "iszero", Doc: "z = [x = 0] = [m = r] on all bits of an opened value, which y must hold", Source: treeSource, Src: []Kinds{kinds(Partial)},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if !t.Part.whole(s.Types[t.Part.Of].Bits, plan.KindEq) {
			return t, errors.New("the bits are not the comparison of all bits of a value with its mask")
		}
		return Type{Kind: Shared, Mode: plan.Xor, Bits: 1, Len: t.Len}, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return x[0].X[i] >> s.equalAt() & 1 })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		if s.equalAt() == 0 {
			return e.wires[s.Src[0]]
		}
		return e.each(e.wires[s.Src[0]], func(role, slot int) int {
			return e.Op(role, plan.StepBits, s.T[0].Len, []int64{1, 1}, slot)
		})
	}}

// equalAt returns the bit in which the operand holds equality.
func (s *Site) equalAt() int {
	if s.Program.Steps[s.Src[0]].Op == OpMerge {
		return 1
	}
	return 0
}
