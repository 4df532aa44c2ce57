package typed

import (
	"errors"
	"fmt"
	"slices"

	"smpcc/backend/plan"
	"smpcc/backend/plan/program"
)

// What enters, and what leaves a party.

var constRow = &Row{Name: "const", Doc: "z = data; a single word fills z", Args: []string{"len"}, Data: true,
	Rule: func(s *Site) (Type, error) {
		if n := s.Args[0]; n < 0 || n > maxLen || len(s.Data) != 1 && int64(len(s.Data)) != n {
			return Type{}, fmt.Errorf("%d words for %d elements", len(s.Data), n)
		}
		return Type{Kind: Const, Bits: 64, Len: s.arg(0)}, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.arg(0), func(i int) uint64 {
			if len(s.Data) == 1 {
				return s.Data[0]
			}
			return s.Data[i]
		})
	},
	Party: func(e *emitter, s *Site, items [][]int) wire { return wire{} }}

var inputRow = &Row{Name: "input", Doc: "z = bound tensor number index, inputs first, then weights: its owner holds it", Args: []string{"index"},
	Rule: func(s *Site) (Type, error) {
		i, m := s.Args[0], s.Manifest
		if i < 0 || i >= int64(len(m.Inputs)+len(m.Weights)) {
			return Type{}, fmt.Errorf("bound tensor %d does not exist", i)
		}
		p := port(m, int(i))
		owner := slices.Index(m.Parties, p.Owner)
		if owner < 0 {
			return Type{}, fmt.Errorf("%q belongs to %q, which is no party", p.Name, p.Owner)
		}
		t := Type{Kind: Private, Bits: p.Bits, Len: p.Len(), Holder: owner, Owners: 1 << owner, When: Moment{Phase: plan.Online}}
		if int(i) >= len(m.Inputs) {
			t.Scope, t.When.Phase = plan.Model, plan.Setup
		}
		if p.Elem == "bool" {
			t.Mode = plan.Xor
		}
		return t, nil
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		t, when := s.result(), atOnline
		if t.Scope == plan.Model {
			when = atSetup
		}
		w := wire{s: e.none()}
		w.s[t.Holder] = e.Step(t.Holder, when, t.Len, plan.Step{Op: plan.StepInput, Args: s.Args})
		return w
	}}

var holdRow = &Row{Name: "hold", Doc: "z = x, of which the holder's share is x and the others' are zero; of a constant, party 0's share is x", Src: []Kinds{kinds(Private, Const)}, Args: []string{"bits", "xor"},
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if s.Args[0] < 1 || s.Args[0] > int64(t.Bits) || s.Args[1] < 0 || s.Args[1] > 1 {
			return t, fmt.Errorf("holds %d bits of %v", s.Args[0], t)
		}
		mode := []plan.Mode{plan.Add, plan.Xor}[s.Args[1]]
		if t.Kind == Private && mode != t.Mode {
			return t, fmt.Errorf("holds %v as what it is not", t)
		}
		return Type{Kind: Shared, Mode: mode, Bits: s.arg(0), Len: t.Len}, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(x[0].X[i], s.arg(0)) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		if s.T[0].Kind == Private {
			return wire{s: e.wires[s.Src[0]].s}
		}
		w := wire{s: e.none()}
		w.s[0] = e.public(0, s.Src[0])
		return w
	}}

// same is the meaning of rows that change who holds a value, and not the value.
func same(s *Site, x []Words) Words { return Words{X: x[0].X} }

// opens returns the type of what an exchange of all bits of x yields.
func opens(t Type) Type {
	return Type{Kind: Opened, Mode: t.Mode, Bits: t.Bits, Len: t.Len, Scope: t.Scope, Noise: t.Noise, Sign: t.Sign, SignOf: t.SignOf}
}

var shareRow = &Row{Name: "share", Doc: "z: everybody learns m = x + r from the holder of x, who alone knows r; fresh for each", Source: "ABY2.0 (USENIX Security 2021); Turbospeedz (ACNS 2019)",
	Src: []Kinds{kinds(Private)}, Exchange: ByHolder,
	Rule: func(s *Site) (Type, error) {
		if s.T[0].Mode != plan.Add {
			return Type{}, errors.New("masks numbers, not bits")
		}
		return opens(s.T[0]), nil
	},
	Plain: same,
	Party: func(e *emitter, s *Site, items [][]int) wire {
		what := "mask of input "
		if s.T[0].Scope == plan.Model {
			what = "mask of weight "
		}
		if step := &s.Program.Steps[s.Src[0]]; step.Op == OpInput {
			what += port(s.Manifest, int(step.Args[0])).Name
		}
		return e.opened(s, e.wires[s.Src[0]].s, plan.OpenWire, what)
	}}

var openRow = &Row{Name: "open", Doc: "z: everybody learns m = x + r mod 2^bits (or x XOR r), r a mask of all parties; fresh for each", Source: "ABY2.0; Turbospeedz",
	Src: []Kinds{kinds(Shared)}, Args: []string{"bits"}, Exchange: ByAll,
	Rule: func(s *Site) (Type, error) {
		t := opens(s.T[0])
		if s.Args[0] < 1 || s.Args[0] > int64(t.Bits) || t.Mode == plan.Xor && s.arg(0) != t.Bits {
			return t, fmt.Errorf("opens %d bits of %v", s.Args[0], t)
		}
		t.Bits = s.arg(0)
		return t, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 { return low(x[0].X[i], s.arg(0)) })
	},
	Party: func(e *emitter, s *Site, items [][]int) wire {
		if s.T[0].Mode == plan.Xor {
			return e.opened(s, e.wires[s.Src[0]].s, plan.OpenBits, fmt.Sprintf("mask of bit %%%d", s.ID))
		}
		return e.opened(s, e.wires[s.Src[0]].s, plan.OpenWire, fmt.Sprintf("mask of %%%d", s.ID))
	}}

var shiftOpenRow = &Row{Name: "shiftopen", Doc: "z: everybody learns m = trunc(x / 2^by) + r mod 2^bits: each party shifts its share before it masks it. " +
	"trunc is floor to floor + n - 1 for n parties, by carries that depend on low bits of shares",
	Source: "Escudero et al. (CRYPTO 2020); Dalskov et al. (USENIX Security 2021)", Src: []Kinds{kinds(Shared)}, Args: []string{"by", "bits"}, Exchange: ByAll,
	Rule: func(s *Site) (Type, error) {
		t, by, bits := opens(s.T[0]), s.Args[0], s.Args[1]
		if t.Mode != plan.Add || by < 1 || bits < 1 || by > 63 || bits > 64 || by+bits > int64(t.Bits) {
			return t, fmt.Errorf("drops %d bits and opens %d of %v", by, bits, t)
		}
		t.Bits, t.Noise, t.Sign = int(bits), t.Noise.drop(int(by)), 0
		return t, nil
	},
	Plain: func(s *Site, x []Words) Words {
		return whole(s.T[0].Len, func(i int) uint64 {
			return low(low(x[0].X[i], s.arg(0)+s.arg(1))>>s.arg(0), s.arg(1))
		})
	},
	Slack: func(s *Site, parties int) (lo, hi int64) { return 0, int64(parties - 1) },
	Party: func(e *emitter, s *Site, items [][]int) wire {
		by, bits := s.arg(0), s.arg(1)
		src, holders := append([]int{}, e.wires[s.Src[0]].s...), int64(0)
		for _, share := range src {
			if share != program.Zero {
				holders++
			}
		}
		for i, share := range src {
			if share != program.Zero { // what shares drop is up to a unit less for each holder beyond the first, who makes up for all
				add := max(holders-1, 0) << by
				holders = 0
				src[i] = e.Op(i, plan.StepDrop, s.T[0].Len, []int64{int64(bits + by), int64(by), add}, share)
			}
		}
		return e.opened(s, src, plan.OpenWire, fmt.Sprintf("mask of %%%d", s.ID))
	}}

var coverRow = &Row{Name: "cover", Doc: "z: everybody learns d = x XOR a, a a mask of all parties; fresh for each. x tells of a mask: only merge takes z", Source: "TinyTable (CRYPTO 2017)",
	Src: []Kinds{kinds(Partial)}, Exchange: ByAll,
	Rule: func(s *Site) (Type, error) {
		t := s.T[0]
		if t.Part.Merged {
			return t, errors.New("covers comparisons that are to be merged")
		}
		return Type{Kind: Covered, Mode: plan.Xor, Bits: t.Bits, Len: t.Len, Part: t.Part}, nil
	},
	Plain: same,
	Party: func(e *emitter, s *Site, items [][]int) wire {
		return e.opened(s, e.wires[s.Src[0]].s, plan.OpenBits, "masks of comparison bits")
	}}

var revealRow = &Row{Name: "reveal", Doc: "the receivers of output number index learn x, which has no noise: each party's share plus a fresh share of zero. Parties receive it from all; a guest is given it by each party, out of band", Src: []Kinds{kinds(Shared)}, Args: []string{"index"}, Exchange: Output,
	Rule: func(s *Site) (Type, error) {
		m, t := s.Manifest, s.T[0]
		if s.Args[0] < 0 || s.Args[0] >= int64(len(m.Outputs)) {
			return t, fmt.Errorf("output %d does not exist", s.Args[0])
		}
		out := &m.Outputs[s.Args[0]]
		if out.Len() != t.Len || out.Bits != t.Bits || (out.Elem == "bool") != (t.Mode == plan.Xor) {
			return t, fmt.Errorf("output %q is %s, %d x %d bits", out.Name, out.Elem, out.Len(), out.Bits)
		}
		for _, to := range out.To {
			if !slices.Contains(m.Parties, to) && !m.Invited(to) {
				return t, fmt.Errorf("output %q goes to %q, which is no party and no guest", out.Name, to)
			}
			for i, owner := range m.Roster() {
				if t.Owners.Has(i) && !slices.ContainsFunc(m.Allowed, func(a plan.Allowance) bool { return a.Output == out.Name && a.Receiver == to && a.Owner == owner }) {
					return t, fmt.Errorf("output %q goes to %s and derives from data of %s, whose permission is not recorded", out.Name, to, owner)
				}
			}
		}
		if t.Noise > 0 {
			return t, fmt.Errorf("the lowest %d bits of output %q tell of masks, by what was rounded in material: drop them before the reveal", min(t.Noise.Bits(), t.Bits), out.Name)
		}
		return Type{Kind: Done, Mode: t.Mode, Bits: t.Bits, Len: t.Len}, nil
	},
	Plain: same,
	Party: func(e *emitter, s *Site, items [][]int) wire {
		t, out := s.result(), &e.Plan.Manifest.Outputs[s.Args[0]]
		nothing := e.Step(e.Dealer, atOffline, t.Len, plan.Step{Op: plan.StepZero})
		z := e.Deal(t.Mode, t.Len, t.Bits, nothing, "zero shares of output "+out.Name)
		out.Item = len(e.Plan.Items) - 1
		src := map[int]int{}
		for i, share := range e.wires[s.Src[0]].s {
			if t.Mode == plan.Xor {
				src[i] = e.Xor(i, share, z[i])
			} else {
				src[i] = e.Sum(i, share, z[i])
			}
		}
		var to []int
		for i, p := range e.Plan.Manifest.Parties {
			if slices.Contains(out.To, p) {
				to = append(to, i)
			}
		}
		if len(to) > 0 {
			e.Open(plan.Open{Mode: t.Mode, Len: t.Len, Bits: t.Bits, From: e.Everyone(), To: to, Item: out.Item + 1, Kind: plan.Reveal}, src)
		}
		if slices.ContainsFunc(out.To, e.Plan.Manifest.Invited) {
			e.Give(plan.Open{Mode: t.Mode, Len: t.Len, Bits: t.Bits, Item: out.Item + 1}, src)
		}
		return wire{}
	}}
