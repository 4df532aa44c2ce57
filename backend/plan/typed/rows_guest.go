package typed

import (
	"errors"
	"fmt"
	"slices"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

// What guests give. A guest is an owner that computes nothing: each party is given one share of its words and nobody the words. They enter as
// shares in a ring as small as the port's range lets it be, so that whatever a guest gives stands for a number near the range; wrap and
// extend then take the shares to any ring.

// The operations. Their numbers lie behind those of parties' rows.
const (
	OpReceive Op = iota + 64
	OpWrap
	OpExtend
)

var receiveRow = &Row{Name: "receive", Doc: "z: each party holds the share that a guest gave it of bound tensor number index; any words are a sharing of something", Source: "shares of inputs by clients: Damgard et al. (ASIACRYPT 2016: Confidential Benchmarking), DAP (draft-ietf-ppm-dap)",
	Args: []string{"index"},
	Rule: func(s *Site) (Type, error) {
		i, m := s.Args[0], s.Manifest
		if i < 0 || i >= int64(len(m.Inputs)) {
			return Type{}, fmt.Errorf("input %d does not exist", i)
		}
		p := &m.Inputs[i]
		guest := slices.Index(m.Guests, p.Owner)
		if guest < 0 || !p.Shares {
			return Type{}, fmt.Errorf("%q belongs to %q, who is no guest", p.Name, p.Owner)
		}
		t := Type{Kind: Shared, Bits: p.Bits, Len: p.Len(), Owners: 1 << (len(m.Parties) + guest), When: Moment{Phase: plan.Online}}
		if p.Elem == "bool" {
			t.Mode = plan.Xor
		}
		return t, nil
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		w := wire{s: e.none()}
		for i := range w.s {
			w.s[i] = e.Step(i, atOnline, s.result().Len, plan.Step{Op: plan.StepInput, Args: s.Args})
		}
		return w
	}}

var wrapRow = &Row{Name: "wrap", Doc: "z: everybody learns d = c XOR s, c = [m < r] for all bits of an opened value m = x + r mod 2^w, so c = 1 if x + r wraps; s a mask of all parties; fresh for each. c tells of r: only extend takes z",
	Source: "TinyTable (CRYPTO 2017)", Src: []Kinds{kinds(Partial)}, Exchange: ByAll,
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if !t.Part.whole(s.Types[t.Part.Of].Bits, plan.KindLt) {
			return t, errors.New("the bits are not the comparison of all bits of a value with its mask")
		}
		return Type{Kind: Covered, Mode: plan.Xor, Bits: 1, Len: t.Len, Part: t.Part}, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return x[0].X[i] & 1 })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		return e.opened(s, e.wires[s.Src[0]].s, plan.OpenBits, fmt.Sprintf("mask of bit %%%d", s.ID))
	}}

var extendRow = &Row{Name: "extend", Doc: "z = x mod 2^bits, x a number in 0..2^w-1, w its bits: x = m - r + 2^w c, c = [m < r] = d + (1-2d) s, so z = m - [r] + 2^w (d + (1-2d) [s]), r and s as numbers. For every x and r",
	Source: "zero extension: SIRNN (IEEE S&P 2021)", Src: []Kinds{kinds(Opened), kinds(Covered)}, Args: []string{"bits"},
	Rule: func(s *Site) (Type, error) {
		t, err := ring(s, s.Args[0], 64)
		v, c := s.T[0], s.T[1]
		switch {
		case err != nil:
			return t, err
		case v.Bits > 63:
			return t, fmt.Errorf("extends %v", v)
		case c.Part.Of != s.Src[0] || !c.Part.whole(v.Bits, plan.KindLt) || c.Bits != 1 || c.Len != v.Len:
			return t, errors.New("the bit is not whether this value wraps")
		case v.Noise > 0:
			return t, errors.New("noise may carry over the end of the value's ring")
		}
		return t, nil
	},
	Need: func(s *Site) []Def {
		return []Def{s.readings(s.Src[0], s.Args[0])[1], s.bit(s.Src[1], s.Args[0])}
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(low(x[0].X[i], s.T[0].Bits), s.arg(0)) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		x, d, out := e.wires[s.Src[0]], e.wires[s.Src[1]], wire{s: make([]int, e.Parties)}
		for i := range out.s {
			out.s[i] = e.Op(i, plan.StepExtend, s.T[0].Len, []int64{int64(s.T[0].Bits), program.First(i)}, x.m[i], d.m[i], items[0][i], items[1][i])
		}
		return out
	}}
