package typed

import (
	"errors"
	"fmt"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

// From opened values to shares.

// ring returns the type of shares in a ring of the given bits.
func ring(s *Site, bits int64, most int) (Type, error) {
	if bits < 1 || bits > int64(most) {
		return Type{}, fmt.Errorf("shares in a ring of %d bits, want 1..%d", bits, most)
	}
	if s.T[0].Mode != plan.Add {
		return Type{}, fmt.Errorf("operand is %v, want numbers", s.T[0])
	}
	return Type{Kind: Shared, Mode: plan.Add, Bits: int(bits), Len: s.T[0].Len, Noise: s.T[0].Noise}, nil
}

// lowered is the meaning of rows that keep the lowest bits.
func lowered(bits int) func(s *Site, x []Words) Words {
	return func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(x[0].X[i], s.arg(bits)) })
	}
}

// number is element i of operand k as a signed number.
func (s *Site) number(x []Words, k, i int) uint64 { return uint64(signed(x[k].X[i], s.T[k].Bits)) }

var unmaskRow = &Row{Name: "unmask", Doc: "z = m - r mod 2^bits, bits not more than those of x", Source: "ABY2.0", Src: []Kinds{kinds(Opened)}, Args: []string{"bits"},
	Rule:  func(s *Site) (Type, error) { return ring(s, s.Args[0], s.T[0].Bits) },
	Plain: lowered(0),
	Party: func(e *emitter, s *Site, items [][]int) wire {
		x, out := e.wires[s.Src[0]], wire{s: make([]int, e.Parties)}
		out.s[0] = e.Diff(0, x.m[0], x.s[0])
		for i := 1; i < e.Parties; i++ {
			if out.s[i] = x.s[i]; x.s[i] != program.Zero {
				out.s[i] = e.Diff(i, program.Zero, x.s[i])
			}
		}
		return out
	}}

// readings are both readings of the mask of a value in a ring.
func (s *Site) readings(v int, bits int64) []Def {
	d := Def{Fn: fnReading, Of: v, Len: s.Types[v].Len, Bits: int(bits)}
	e := d
	e.Args[0] = 1
	return []Def{d, e}
}

var widenRow = &Row{Name: "widen", Doc: "z = x mod 2^bits for |x| < 2^(w-2), w the bits of x: u = m + 2^(w-2) wraps as its top bit t says, so z = u - 2^(w-2) - R_t, R_0 = r - 2^w top(r), R_1 = r",
	Source: "known top bit: Escudero et al. (CRYPTO 2020), Dalskov et al. (USENIX Security 2021)", Src: []Kinds{kinds(Opened)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) {
		t, err := ring(s, s.Args[0], 64)
		if s.T[0].Bits < 2 && err == nil {
			err = errors.New("a value of one bit has no top bit to spare")
		}
		return t, err
	},
	Need:  func(s *Site) []Def { return s.readings(s.Src[0], s.Args[0]) },
	Range: func(s *Site, i int) int { return s.T[0].Bits - 1 },
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(s.number(x, 0, i), s.arg(0)) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepFinish, s.T[0].Len, []int64{int64(s.T[0].Bits), program.First(i)}, e.wires[s.Src[0]].m[i], items[0][i], items[1][i])
		}
		return out
	}}

// byBit checks a value and a bit that chooses it.
func byBit(s *Site, bits int64, most int) (Type, error) {
	t, err := ring(s, bits, most)
	if d := s.T[1]; err == nil && (d.Mode != plan.Xor || d.Bits != 1 || d.Len != t.Len) {
		err = fmt.Errorf("%v is no opened bit for each element", d)
	}
	return t, err
}

// bit is the mask of an opened bit as a number.
func (s *Site) bit(v int, bits int64) Def {
	return Def{Fn: fnBit, Of: v, Len: s.Types[v].Len, Bits: int(bits)}
}

var selectRow = &Row{Name: "select", Doc: "z = x * y mod 2^bits, y = [x >= 0]: if x is chosen the top bit t of m says whether it wraps, so z = m B - (d [R_t] + (1-2d) [s R_t]), B = d + (1-2d) s, for the public part d and the mask s of y. Of another bit than its own sign the result would tell of masks",
	Source: "select: ABY2.0; reading by the top bit: this project, docs/typed-plan.md", Src: []Kinds{kinds(Opened), kinds(Opened)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) {
		t, err := byBit(s, s.Args[0], 64)
		if d := s.T[1]; err == nil && (d.Sign != 1 || d.SignOf != s.Src[0]) {
			err = errors.New("the bit is not that of the value's being positive")
		}
		return t, err
	},
	Need: func(s *Site) []Def {
		d := Def{Fn: fnSelect, Of: s.Src[1], By: s.Src[0], Len: s.T[0].Len, Bits: s.arg(0)}
		e := d
		e.Args[0] = 1
		return append(append([]Def{s.bit(s.Src[1], s.Args[0])}, s.readings(s.Src[0], s.Args[0])...), d, e)
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(s.number(x, 0, i)*x[1].X[i], s.arg(0)) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		x, d, out := e.wires[s.Src[0]], e.wires[s.Src[1]], wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepReluSel, s.T[0].Len, []int64{int64(s.T[0].Bits), program.First(i)}, x.m[i], d.m[i], items[0][i], items[1][i], items[2][i], items[3][i], items[4][i])
		}
		return out
	}}

var keyReluRow = &Row{Name: "keyrelu", Doc: "z = max(x, 0) mod 2^bits by keys of comparison functions for r that carry the values which the choice needs: no message once m is public. Two parties; rests on AES under a public key",
	Source: keySource, Src: []Kinds{kinds(Opened)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) {
		t, err := ring(s, s.Args[0], 64)
		switch {
		case len(s.Manifest.Parties) != 2:
			return t, fmt.Errorf("keys are for two parties, here are %d", len(s.Manifest.Parties))
		case s.T[0].Bits < 2:
			return t, errors.New("a value of one bit")
		}
		return t, err
	},
	Need: func(s *Site) []Def {
		base, _ := s.root(s.Src[0])
		return []Def{{Fn: fnReluKeys, Of: base, Len: s.Types[base].Len, Bits: 64, Args: [5]int64{int64(s.T[0].Bits), s.Args[0]}}}
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 {
			return low(uint64(max(0, signed(x[0].X[i], s.T[0].Bits))), s.arg(0))
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		_, points := s.root(s.Src[0])
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepDCF, s.T[0].Len, []int64{int64(s.T[0].Bits), s.Args[0], int64(points), program.First(i)}, e.wires[s.Src[0]].m[i], items[0][i], items[0][e.Parties+i])
		}
		return out
	}}

var mulBitRow = &Row{Name: "mulbit", Doc: "z = x * y mod 2^bits for an opened bit y, bits not more than those of x: z = m B - (d [r] + (1-2d) [s r]), B = d + (1-2d) s", Source: "ABY2.0",
	Src: []Kinds{kinds(Opened), kinds(Opened)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) { return byBit(s, s.Args[0], s.T[0].Bits) },
	Need: func(s *Site) []Def {
		return []Def{s.bit(s.Src[1], s.Args[0]), {Fn: fnMasked, Of: s.Src[1], By: s.Src[0], Len: s.T[0].Len, Bits: s.arg(0)}}
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(x[0].X[i]*x[1].X[i], s.arg(0)) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		x, d, out := e.wires[s.Src[0]], e.wires[s.Src[1]], wire{s: make([]int, e.Parties)}
		for i := range out.s {
			r := e.Real(i, x.s[i], s.T[0].Len, atOffline)
			out.s[i] = e.Op(i, plan.StepMulBit, s.T[0].Len, []int64{program.First(i)}, x.m[i], d.m[i], items[0][i], r, items[1][i])
		}
		return out
	}}

var numberRow = &Row{Name: "number", Doc: "z = the opened bit x as a number mod 2^bits: z = d + (1-2d) s", Source: "ABY2.0", Src: []Kinds{kinds(Opened)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if t.Mode != plan.Xor || t.Bits != 1 || s.Args[0] < 1 || s.Args[0] > 64 {
			return t, fmt.Errorf("makes %v a number of %d bits", t, s.Args[0])
		}
		return Type{Kind: Shared, Mode: plan.Add, Bits: s.arg(0), Len: t.Len}, nil
	},
	Need:  func(s *Site) []Def { return []Def{s.bit(s.Src[0], s.Args[0])} },
	Plain: lowered(0),
	Party: func(e *emitter, s *Site, items [][]int) wire {
		out := wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepB2A, s.T[0].Len, []int64{program.First(i)}, e.wires[s.Src[0]].m[i], items[0][i])
		}
		return out
	}}

var andRow = &Row{Name: "and", Doc: "z = x AND y for two opened bits, as a merge of two equalities, or for a shared bit and a constant, at each party", Source: "ABY2.0",
	Src: []Kinds{kinds(Opened, Shared), kinds(Opened, Const)},
	Rule: func(s *Site) (Type, error) {
		x, y := s.T[0], s.T[1]
		if x.Mode != plan.Xor || x.Bits != 1 || x.Len != y.Len || (x.Kind == Opened) != (y.Kind == Opened) || y.Kind == Opened && (y.Mode != plan.Xor || y.Bits != 1) {
			return x, fmt.Errorf("joins %v and %v", x, y)
		}
		return Type{Kind: Shared, Mode: plan.Xor, Bits: 1, Len: x.Len}, nil
	},
	Need: func(s *Site) []Def {
		if s.T[1].Kind == Const {
			return nil
		}
		return []Def{{Fn: fnPair, Of: s.Src[0], By: s.Src[1], Len: s.T[0].Len, Bits: plan.MonoBits(2, plan.KindEq, 0)}}
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return x[0].X[i] & x[1].X[i] & 1 })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		x, out, n := e.wires[s.Src[0]], wire{s: e.none()}, s.T[0].Len
		if s.T[1].Kind == Const {
			for i, share := range x.s {
				if share != program.Zero {
					out.s[i] = e.Op(i, plan.StepAnd, n, nil, share, e.public(i, s.Src[1]))
				}
			}
			return out
		}
		y := e.wires[s.Src[1]]
		for i := range out.s {
			d, a := e.pair(i, n, x.m[i], y.m[i]), e.pair(i, n, x.s[i], y.s[i])
			r := e.Op(i, plan.StepMerge, n, []int64{2, plan.KindEq, program.First(i)}, d, a, items[0][i])
			out.s[i] = e.Op(i, plan.StepBits, n, []int64{1, 1}, r)
		}
		return out
	}}

var wireMulRow = &Row{Name: "wiremul", Doc: "z = x * y mod 2^bits: a factor narrower than the ring, |x| < 2^(w-2), is the number P - R_t, P and t public; z = P_x P_y - P_x [R_y] - P_y [R_x] + [R_x R_y], by the products of both readings",
	Source: "ABY2.0; known top bit: Escudero et al. (CRYPTO 2020)", Src: []Kinds{kinds(Opened), kinds(Opened)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) {
		t, err := ring(s, s.Args[0], 64)
		if err != nil {
			return t, err
		}
		t.Noise = 0
		for i, x := range s.T {
			if x.Mode != plan.Add || x.Len != s.T[0].Len || x.Bits < 2 {
				return t, fmt.Errorf("multiplies %v and %v", s.T[0], s.T[1])
			}
			t.Noise = t.Noise.plus(x.Noise.up(s.T[1-i].Bits - 1))
		}
		return t, nil
	},
	Range: func(s *Site, i int) int {
		if s.T[i].Bits < s.arg(0) {
			return s.T[i].Bits - 1
		}
		return 64
	},
	Need: func(s *Site) (need []Def) {
		for i, v := range s.Src {
			if s.narrow(i) {
				need = append(need, s.readings(v, s.Args[0])...)
			}
		}
		return append(need, s.crossed()...)
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(s.number(x, 0, i)*s.number(x, 1, i), s.arg(0)) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		type side struct {
			m    []int
			r    [2][]int
			bits int64
		}
		var sides [2]side
		for k, v := range s.Src {
			w := e.wires[v]
			if s.narrow(k) {
				sides[k] = side{w.m, [2][]int{items[0], items[1]}, int64(s.T[k].Bits)}
				items = items[2:]
				continue
			}
			share := make([]int, e.Parties)
			for i := range share {
				share[i] = e.Real(i, w.s[i], s.T[k].Len, atOffline)
			}
			sides[k] = side{w.m, [2][]int{share, share}, 0}
		}
		x, y, out := sides[0], sides[1], wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepWireMul, s.T[0].Len, []int64{x.bits, y.bits, program.First(i)}, x.m[i], x.r[0][i], x.r[1][i], y.m[i], y.r[0][i], y.r[1][i],
				items[0][i], items[1][i], items[2][i], items[3][i])
		}
		return out
	}}

// narrow reports whether a factor of a wiremul is narrower than the ring.
func (s *Site) narrow(i int) bool { return s.T[i].Bits < s.arg(0) }

// crossed lists the products of the readings of both masks, 00 01 10 11. A factor as wide as the ring has one reading, and a square
// reads its mask in one way only.
func (s *Site) crossed() []Def {
	var out []Def
	for i := range int64(2) {
		for j := range int64(2) {
			d := Def{Fn: fnReadings, Of: s.Src[0], By: s.Src[1], Len: s.T[0].Len, Bits: s.arg(0), Args: [5]int64{i, j}}
			if s.Src[0] == s.Src[1] {
				d.Args[1] = i
			}
			for k := range 2 {
				if !s.narrow(k) {
					d.Args[k] = -1
				}
			}
			out = append(out, d)
		}
	}
	return out
}
