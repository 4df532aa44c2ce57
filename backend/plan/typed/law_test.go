package typed

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"smpcc/backend/plan"
)

// A sketch is a program under construction, with the words that enter it and the masks that are forced.
type sketch struct {
	t       testing.TB
	r       *rand.Rand
	p       Program
	m       plan.Manifest
	bound   [][]uint64
	forced  map[int][]uint64 // by opening step
	parties int
	n       int // elements of a tensor
}

func newSketch(t testing.TB, parties, n int) *sketch {
	s := &sketch{t: t, r: rand.New(rand.NewPCG(uint64(parties), uint64(n))), forced: map[int][]uint64{}, parties: parties, n: n}
	for i := range parties {
		s.m.Parties = append(s.m.Parties, fmt.Sprintf("p%d", i))
	}
	s.m.Dealer, s.m.RingBits = "d", 64
	s.p.Nodes = []string{"law"}
	return s
}

// row appends a step.
func (s *sketch) row(op Op, src []int, args ...int64) int {
	s.p.Steps = append(s.p.Steps, Step{Op: op, Src: src, Args: args})
	return len(s.p.Steps) - 1
}

func (s *sketch) constant(words ...uint64) int {
	s.p.Steps = append(s.p.Steps, Step{Op: OpConst, Args: []int64{int64(len(words))}, Data: words})
	return len(s.p.Steps) - 1
}

// input binds words of a party.
func (s *sketch) input(party, bits int, elem string, words []uint64) int {
	s.m.Inputs = append(s.m.Inputs, plan.Port{Name: fmt.Sprint("x", len(s.bound)), Owner: s.m.Parties[party], Elem: elem, Bits: bits, Shape: []int{len(words)}})
	s.bound = append(s.bound, words)
	return s.row(OpInput, nil, int64(len(s.bound)-1))
}

// shared returns shares of words, the parties' parts uniform.
func (s *sketch) shared(mode plan.Mode, bits int, words []uint64) int {
	elem, xor, op := "int", int64(0), OpAdd
	if mode == plan.Xor {
		elem, xor, op = "bool", 1, OpXor
	}
	rest := append([]uint64{}, words...)
	hold := func(party int, w []uint64) int {
		return s.row(OpHold, []int{s.input(party, bits, elem, w)}, int64(bits), xor)
	}
	parts := make([]int, s.parties)
	for party := 1; party < s.parties; party++ {
		w := each(len(words), func(i int) uint64 {
			u := low(s.r.Uint64(), bits)
			rest[i] = low(apart(mode, rest[i], u), bits)
			return u
		})
		parts[party] = hold(party, w)
	}
	sum := hold(0, rest)
	for _, x := range parts[1:] {
		sum = s.row(op, []int{sum, x})
	}
	return sum
}

// opened returns an opened value with the given masks.
func (s *sketch) opened(mode plan.Mode, bits int, words, masks []uint64) int {
	v := s.row(OpOpen, []int{s.shared(mode, bits, words)}, int64(bits))
	s.forced[v] = masks
	return v
}

// every returns all values and masks of so many bits beside each other, or random ones if they are too many.
func (s *sketch) every(bits int) (x, r []uint64) {
	const most = 6
	if bits > most {
		draw := func(i int) uint64 {
			w := low(s.r.Uint64(), bits)
			switch i % 8 { // the ends, and near each other
			case 0:
				return 0
			case 1:
				return low(^uint64(0), bits)
			case 2:
				return 1 << (bits - 1)
			case 3:
				return low(1<<(bits-1)-1, bits)
			case 4:
				return w & 3
			}
			return w
		}
		return each(s.n, func(i int) uint64 { return draw(i) }), each(s.n, func(i int) uint64 { return draw(i / 8) })
	}
	n := 1 << (2 * bits)
	return each(n, func(i int) uint64 { return low(uint64(i), bits) }), each(n, func(i int) uint64 { return uint64(i >> bits) })
}

// value returns an opened number that takes all values under all masks.
func (s *sketch) value(bits int) int {
	x, r := s.every(bits)
	return s.opened(plan.Add, bits, x, r)
}

// check runs the program and compares every value with its row's meaning of the values it is made of. It returns which operations it ran.
func (s *sketch) check() (map[Op]bool, error) {
	c, err := Check(&s.m, &s.p)
	if err != nil {
		return nil, err
	}
	e := c.emit(s.parties)
	opening := []int{}
	for i := range s.p.Steps {
		if x := Rows[s.p.Steps[i].Op].Exchange; x == ByAll || x == ByHolder {
			opening = append(opening, i)
		}
	}
	forced := map[int][]uint64{}
	for i, it := range e.Plan.Items {
		if it.Dealt || it.What == "roots of comparison keys" {
			continue
		}
		if w := s.forced[opening[0]]; len(w) == it.Len { // not those of a step that was changed at random
			forced[i] = each(it.Len, func(k int) uint64 { return low(w[k], it.Bits) })
		}
		opening = opening[1:]
	}
	for i, w := range e.wires { // nothing of a value is left out
		for role := range e.Parties + 1 {
			for k, slot := range w.slots(role, e.Dealer) {
				if slot >= 0 {
					item := 1<<20 + (i*64+role)*4 + k
					e.Open(plan.Open{Mode: plan.Xor, Len: e.Len(role, slot), Bits: 64, From: []int{role}, To: []int{0}, Item: item, Kind: plan.OpenWire}, map[int]int{role: slot})
				}
			}
		}
	}
	e.Finish()
	x := &machine{p: e.Plan, r: s.r, bound: s.bound, forced: forced}
	x.run()
	got := make([]Words, len(e.wires))
	ran := map[Op]bool{}
	for i, w := range e.wires {
		step := &s.p.Steps[i]
		ran[step.Op] = true
		site := c.site(i)
		if got[i], err = s.read(x, c.Types[i], i, w); err != nil {
			return nil, err
		}
		row := Rows[step.Op]
		if row.Plain == nil {
			if step.Op == OpReceive {
				if err := s.received(c, i, got[i].X); err != nil {
					return nil, err
				}
			}
			if step.Op == OpInput {
				got[i].X = s.bound[step.Args[0]]
			}
			continue
		}
		ops := make([]Words, len(step.Src))
		for k, v := range step.Src {
			ops[k] = got[v]
		}
		want := row.Plain(site, ops)
		if c.Types[i].Kind == Const {
			got[i] = want
			continue
		}
		if err := s.compare(row, site, ops, got[i], want); err != nil {
			return nil, err
		}
	}
	return ran, nil
}

// slots lists what a role holds of a value.
func (w wire) slots(role, dealer int) []int {
	switch {
	case role == dealer && w.m != nil:
		return []int{w.k}
	case role == dealer:
		return nil
	case w.m != nil:
		return []int{w.m[role], w.s[role]}
	case w.s != nil:
		return []int{w.s[role]}
	}
	return nil
}

// read puts a value together from what the roles hold of it.
func (s *sketch) read(x *machine, t Type, i int, w wire) (Words, error) {
	if w.s == nil {
		return Words{}, nil
	}
	slot := func(role, k int) []uint64 {
		if k < 0 {
			return make([]uint64, t.Len)
		}
		return x.slots[role][k]
	}
	sum := make([]uint64, t.Len)
	for party, k := range w.s {
		for j, share := range slot(party, k) {
			sum[j] = low(combine(t.Mode, sum[j], share), t.Bits)
		}
	}
	if w.m == nil {
		return Words{X: sum}, nil
	}
	m := slot(0, w.m[0])
	for party := range w.m {
		for j, word := range slot(party, w.m[party]) {
			if word != m[j] || word != low(word, t.Bits) {
				return Words{}, fmt.Errorf("%s: element %d is public as %d at p%d and %d at p0", s.p.StepText(i), j, word, party, m[j])
			}
		}
	}
	for j, k := range slot(s.parties, w.k) {
		if k != sum[j] {
			return Words{}, fmt.Errorf("%s: the dealer's mask of element %d is %d, the shares' sum %d", s.p.StepText(i), j, k, sum[j])
		}
	}
	return Words{X: each(t.Len, func(j int) uint64 { return low(apart(t.Mode, m[j], sum[j]), t.Bits) }), Mask: sum}, nil
}

// compare checks a value against its row's meaning, where the operands are in the row's range.
func (s *sketch) compare(row *Row, site *Site, ops []Words, got, want Words) error {
	t, c := site.result(), 0
	for j := range got.X {
		if row.Range != nil {
			in := true
			for k, op := range ops {
				b := row.Range(site, k)
				in = in && (b == 64 || signed(op.X[j], site.T[k].Bits) == signed(op.X[j], b))
			}
			if !in {
				continue
			}
		}
		c++
		lo, hi := int64(0), int64(0)
		if row.Slack != nil {
			lo, hi = row.Slack(site, s.parties)
		}
		d := low(got.X[j]-want.X[j]-uint64(lo), t.Bits)
		if t.Mode == plan.Xor {
			d = got.X[j] ^ want.X[j]
		}
		if d > uint64(hi-lo) {
			return fmt.Errorf("%s: element %d is %#x, want %#x%+d..%+d; operands %s", s.p.StepText(site.ID), j, got.X[j], want.X[j], lo, hi, show(ops, j))
		}
		if want.Mask != nil && got.Mask[j] != want.Mask[j] {
			return fmt.Errorf("%s: the mask of element %d is %#x, want %#x; operands %s", s.p.StepText(site.ID), j, got.Mask[j], want.Mask[j], show(ops, j))
		}
	}
	if c == 0 && len(got.X) > 0 {
		return fmt.Errorf("%s: no element is in range", s.p.StepText(site.ID))
	}
	return nil
}

func show(ops []Words, j int) (text string) {
	for _, op := range ops {
		if j < len(op.X) {
			text += fmt.Sprintf(" %#x", op.X[j])
		}
		if j < len(op.Mask) {
			text += fmt.Sprintf(" (mask %#x)", op.Mask[j])
		}
	}
	return text
}

// compareTree writes a comparison of the lowest bits of v with its mask, in groups of so many chunks.
func (s *sketch) compareTree(v int, bits, chunk, group int64, kind int64) int {
	chunks := (bits + chunk - 1) / chunk
	var parts []int
	for from := int64(0); from < chunks; from += group {
		k := min(group, chunks-from)
		both := int64(plan.KindBoth)
		if kind == plan.KindEq || from+k == chunks {
			both = kind
		}
		leaf := s.row(OpLeaf, []int{v}, bits, chunk, from, k, both)
		parts = append(parts, s.row(OpMerge, []int{s.row(OpCover, []int{leaf})}))
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return s.row(OpMerge, []int{s.row(OpCover, []int{s.row(OpGroup, parts, kind)})})
}

// positive returns the opened bit [v >= 0].
func (s *sketch) positive(v int, bits, n int) int {
	src := []int{v}
	if bits > 1 {
		src = append(src, s.compareTree(v, int64(bits-1), 4, 4, plan.KindLt))
	}
	one := s.row(OpConst, nil, int64(n))
	s.p.Steps[one].Data = []uint64{1}
	return s.row(OpOpen, []int{s.row(OpXor, []int{s.row(OpMSB, src), one})}, 1)
}

// laws are programs that end in the row they are about. Their operands take all values of a few bits under all masks, or random ones of many.
var laws = []struct {
	name    string
	parties []int // 2, 3, 5 if nil
	build   func(s *sketch)
}{
	{"share", nil, func(s *sketch) {
		x, r := s.every(5)
		s.forced[s.row(OpShare, []int{s.input(1, 5, "int", x)})] = r
	}},
	{"hold", nil, func(s *sketch) {
		s.row(OpHold, []int{s.constant(1, 2, 3)}, 5, 0)
		s.row(OpHold, []int{s.constant(1, 0)}, 1, 1)
	}},
	{"open", nil, func(s *sketch) {
		x, r := s.every(5)
		s.opened(plan.Add, 5, x, r)
		s.opened(plan.Xor, 5, x, r)
		s.row(OpOpen, []int{s.shared(plan.Add, 5, x)}, 3)
	}},
	{"shiftopen", nil, func(s *sketch) {
		x, _ := s.every(6)
		v := s.shared(plan.Add, 6, x)
		s.row(OpShiftOpen, []int{v}, 2, 4)
		s.row(OpShiftOpen, []int{v}, 3, 2)
		y, _ := s.every(40)
		s.row(OpShiftOpen, []int{s.shared(plan.Add, 40, y)}, 16, 24)
	}},
	{"reveal", nil, func(s *sketch) {
		x, _ := s.every(5)
		s.m.Outputs = []plan.Port{{Name: "out", To: []string{"p1"}, Elem: "int", Bits: 5, Shape: []int{len(x)}}}
		for _, p := range s.m.Parties {
			s.m.Allowed = append(s.m.Allowed, plan.Allowance{Output: "out", Receiver: "p1", Owner: p})
		}
		s.row(OpReveal, []int{s.shared(plan.Add, 5, x)}, 0)
	}},
	{"sums", nil, func(s *sketch) {
		x, r := s.every(4)
		y, q := r, x
		a, b := s.opened(plan.Add, 4, x, r), s.opened(plan.Add, 4, y, q)
		c, d := s.shared(plan.Add, 4, x), s.shared(plan.Add, 4, y)
		k := s.constant(x...)
		for _, pair := range [][]int{{a, b}, {c, d}, {a, k}, {k, a}, {c, k}, {k, c}} {
			s.row(OpAdd, pair)
			s.row(OpSub, pair)
		}
		s.row(OpNeg, []int{a})
		s.row(OpNeg, []int{c})
		s.row(OpShl, []int{a}, 2)
		s.row(OpShl, []int{c}, 2)
		e, f := s.shared(plan.Xor, 4, x), s.shared(plan.Xor, 4, y)
		s.row(OpXor, []int{e, f})
		s.row(OpXor, []int{e, k})
	}},
	{"tensors", nil, func(s *sketch) {
		x, r := each(24, func(i int) uint64 { return low(s.r.Uint64(), 9) }), each(24, func(i int) uint64 { return low(s.r.Uint64(), 9) })
		a, c, k := s.opened(plan.Add, 9, x, r), s.shared(plan.Add, 9, x), s.constant(1, 2, 3, 4, 5, 6)
		b := s.shared(plan.Xor, 9, x)
		for _, v := range []int{a, c} {
			s.row(OpSum, []int{v}, 2, 3, 4)
			s.row(OpJoin, []int{v, k, v}, 2)
		}
		s.row(OpJoin, []int{b, b}, 3)
		for _, v := range []int{a, b, c} {
			s.row(OpReshape, []int{v})
			s.row(OpView, []int{v}, 3, 4, 2, 3, 0, 1, 12, 4) // transposed
			s.row(OpView, []int{v}, 2, 3, 2, 23, -4, -1)     // backwards
			s.row(OpView, []int{v}, 2, 24, 3, 0, 1, 0)       // broadcast
			s.row(OpPad, []int{v}, 60, 2, 4, 6, 11, 10, 1)   // 4x6 in 6x10
			s.p.Steps[s.row(OpGather, []int{v}, 2, 3, 4)].Data = []uint64{2, 0, 0, 1}
		}
		s.row(OpSub, []int{s.row(OpView, []int{a}, 2, 24, 6, 0, 1, 0), s.row(OpView, []int{k}, 2, 24, 6, 0, 0, 1)})
	}},
	{"products", nil, func(s *sketch) {
		draw := func(n int) []uint64 { return each(n, func(int) uint64 { return low(s.r.Uint64(), 12) }) }
		x, r := s.every(3)
		a, b := s.opened(plan.Add, 3, x, r), s.opened(plan.Add, 3, r, x)
		n := int64(len(x))
		s.row(OpMul, []int{a, b}, 1, n, 1, 1)
		s.row(OpMul, []int{a, a}, 1, n, 1, 1)
		opened := func(n int) int { return s.opened(plan.Add, 12, draw(n), draw(n)) }
		u, v, c, d := opened(6), opened(3), s.shared(plan.Add, 12, draw(6)), s.constant(draw(3)...)
		for _, pair := range [][]int{{u, v}, {u, d}, {c, d}} {
			s.row(OpMul, pair, 2, 2, 3, 3, 1, 0, 1)
			s.row(OpMul, []int{pair[1], pair[0]}, 2, 2, 3, 0, 1, 3, 1)
			s.row(OpMatMul, pair, 2, 3, 1, 0)
			s.row(OpMatMul, []int{pair[1], pair[0]}, 3, 1, 1, 1, 6, 0, 1) // one matrix for a batch
			s.row(OpMatMul, pair, 1, 1, 1, 2, 2, 3, 3, 1, 0, 1)           // spread over a batch
		}
		img, ker := opened(2*2*5*4), opened(4*1*3*2)
		conv := []int64{2, 2, 5, 4, 4, 3, 4, 3, 2, 2, 1, 1, 1, 1, 2, 2}
		s.row(OpConv, []int{img, ker}, conv...)
		s.row(OpConv, []int{img, s.constant(draw(24)...)}, conv...)
		weights := s.row(OpShare, []int{s.input(0, 12, "int", draw(3))}) // by its holder alone
		s.row(OpMatMul, []int{u, weights}, 2, 3, 1, 0)
		s.row(OpMatMul, []int{weights, v}, 1, 3, 1, 0)
	}},
	{"rings", nil, func(s *sketch) {
		for _, bits := range []int{2, 3, 5, 6, 24, 64} {
			v := s.value(bits)
			s.row(OpUnmask, []int{v}, int64(bits))
			s.row(OpUnmask, []int{v}, int64(max(1, bits-2)))
			for _, ring := range []int64{1, 5, 8, 40, 64} {
				s.row(OpWiden, []int{v}, ring)
			}
		}
	}},
	{"signs", nil, func(s *sketch) {
		for bits := 1; bits <= 6; bits++ {
			v := s.value(bits)
			n := len(s.bound[len(s.bound)-1])
			d := s.positive(v, bits, n)
			for _, ring := range []int64{1, 6, 8, 40} {
				s.row(OpSelect, []int{v, d}, ring)
			}
		}
		v := s.value(22)
		s.row(OpSelect, []int{v, s.positive(v, 22, s.n)}, 40)
	}},
	{"trees", nil, func(s *sketch) {
		for _, c := range [][3]int64{{1, 4, 1}, {4, 4, 1}, {5, 4, 2}, {9, 4, 3}, {12, 4, 2}, {24, 4, 6}, {28, 4, 7}, {35, 6, 6}, {48, 7, 7}, {39, 4, 4}, {64, 4, 4}} {
			for _, kind := range []int64{plan.KindLt, plan.KindEq} {
				bits := int(c[0])
				if kind == plan.KindLt {
					bits++
				}
				if bits > 64 {
					continue
				}
				v := s.value(bits)
				part := s.compareTree(v, c[0], c[1], c[2], kind)
				if kind == plan.KindLt {
					s.row(OpMSB, []int{v, part})
				} else {
					s.row(OpIsZero, []int{part})
				}
			}
		}
		w := s.value(6)
		s.row(OpMerge, []int{s.row(OpCover, []int{s.row(OpLeaf, []int{w}, 6, 4, 0, 2, plan.KindBoth)})})
	}},
	{"keys", []int{2}, func(s *sketch) {
		for _, bits := range []int{2, 3, 5, 6, 9, 24, 64} {
			v := s.value(bits)
			n := len(s.bound[len(s.bound)-1])
			s.row(OpMSB, []int{v, s.row(OpKeyCompare, []int{v}, int64(bits-1), plan.DPFLess)})
			s.row(OpIsZero, []int{s.row(OpKeyCompare, []int{v}, int64(bits), plan.DPFEqual)})
			for _, ring := range []int64{4, 24, 64} {
				s.row(OpKeyRelu, []int{v}, ring)
			}
			// several thresholds for one mask
			spread := s.row(OpView, []int{v}, 2, int64(n), 3, 0, 1, 0)
			moved := s.row(OpSub, []int{spread, s.row(OpView, []int{s.constant(1, 2, 3)}, 2, int64(n), 3, 0, 0, 1)})
			s.row(OpMSB, []int{moved, s.row(OpKeyCompare, []int{moved}, int64(bits-1), plan.DPFLess)})
			s.row(OpKeyRelu, []int{moved}, 24)
		}
	}},
	{"bits", nil, func(s *sketch) {
		pairs := func(bits int) (x, r, b, q []uint64) { // all values, masks, bits and masks of these
			v, w := s.every(bits)
			n := len(v)
			x, r = each(4*n, func(i int) uint64 { return v[i%n] }), each(4*n, func(i int) uint64 { return w[i%n] })
			return x, r, each(4*n, func(i int) uint64 { return uint64(i / n & 1) }), each(4*n, func(i int) uint64 { return uint64(i / n >> 1) })
		}
		for _, bits := range []int{1, 4, 24} {
			x, r, b, q := pairs(bits)
			v, d := s.opened(plan.Add, bits, x, r), s.opened(plan.Xor, 1, b, q)
			s.row(OpMulBit, []int{v, d}, int64(bits))
			s.row(OpMulBit, []int{v, d}, int64(max(1, bits-1)))
			s.row(OpNumber, []int{d}, 40)
		}
		x, r, b, q := pairs(1)
		e, d := s.opened(plan.Xor, 1, x, r), s.opened(plan.Xor, 1, b, q)
		s.row(OpAnd, []int{e, d})
		s.row(OpAnd, []int{s.shared(plan.Xor, 1, x), s.constant(b...)})
		s.row(OpMulBit, []int{s.opened(plan.Add, 5, each(16, func(i int) uint64 { return uint64(i) }), each(16, func(i int) uint64 { return uint64(7*i) & 31 })), s.row(OpView, []int{d}, 2, 16, 1, 0, 1, 0)}, 5) // a bit of a view
		s.row(OpMulBit, []int{s.opened(plan.Add, 5, each(48, func(i int) uint64 { return uint64(i) & 31 }), each(48, func(i int) uint64 { return uint64(7*i) & 31 })), s.row(OpView, []int{d}, 2, 16, 3, 0, 1, 0)}, 5)
	}},
	{"wide products", nil, func(s *sketch) {
		for _, c := range [][3]int{{3, 3, 10}, {2, 3, 5}, {3, 8, 8}, {8, 3, 8}, {8, 8, 8}, {20, 24, 50}, {24, 48, 48}} {
			x, r := s.every(min(c[0], 3))
			y, q := s.every(min(c[1], 3))
			n, k := len(x), len(y)
			cross := func(w []uint64, other bool, bits int) []uint64 {
				return each(n*k, func(i int) uint64 {
					at := i / k
					if other {
						at = i % k
					}
					if bits > 3 {
						return low(s.r.Uint64()>>(s.r.Uint64()%24), bits)
					}
					return w[at]
				})
			}
			a := s.opened(plan.Add, c[0], cross(x, false, c[0]), cross(r, false, c[0]))
			b := s.opened(plan.Add, c[1], cross(y, true, c[1]), cross(q, true, c[1]))
			s.row(OpWireMul, []int{a, b}, int64(c[2]))
			s.row(OpWireMul, []int{a, a}, int64(c[2]))
		}
	}},
	{"waves", nil, func(s *sketch) {
		for _, bits := range []int{2, 5, 6, 20} {
			v := s.value(bits)
			s.row(OpWave, []int{v}, int64(bits), 1, 3<<12, -1<<13, 14, 40)
			s.row(OpWave, []int{v}, int64(max(2, bits-1)), 3, -77777, 5, 20, 64)
		}
	}},
	{"exponentials", nil, func(s *sketch) {
		for _, bits := range []int{3, 5, 6, 20} {
			v := s.value(bits)
			rate := int64(1) << (48 - bits) // from exp(-1) down
			s.row(OpExpo, []int{v}, int64(bits), rate, 1<<20, 20, 50)
			s.row(OpExpo, []int{v}, int64(bits), 5*rate, 1<<24, 12, 40)
		}
	}},
	{"ranges", nil, func(s *sketch) {
		for _, bits := range []int{4, 5, 6, 24, 64} {
			v := s.value(bits)
			s.row(OpValid, []int{v}, int64(bits))
			for _, to := range []int64{1, int64(bits) - 2, int64(bits)} {
				w := s.row(OpLow, []int{v}, to)
				s.row(OpUnmask, []int{w}, to)
				if to > 3 {
					s.row(OpValid, []int{w}, 3)
				}
			}
		}
		x, r := s.every(5)
		for i := range x { // one element alone, so that none is made up for by another
			if i%7 == 0 {
				s.row(OpValid, []int{s.opened(plan.Add, 5, x[i:i+1], r[i:i+1])}, int64(i))
			}
		}
		for k := int64(1); k <= 7; k++ {
			n := 5 * int(k)
			s.row(OpAll, []int{s.opened(plan.Xor, 1, each(n, func(i int) uint64 { return min(1, s.r.Uint64()%8) }), each(n, func(i int) uint64 { return s.r.Uint64() & 1 }))}, k)
		}
	}},
}

// TestLaws: what the roles compute of each row is what the row means, for all values and masks of a few bits.
func TestLaws(t *testing.T) {
	ran := map[Op]bool{}
	for _, l := range laws {
		parties := l.parties
		if parties == nil {
			parties = []int{2, 3, 5}
		}
		for _, n := range parties {
			t.Run(fmt.Sprintf("%s/%d", l.name, n), func(t *testing.T) {
				s := newSketch(t, n, 512)
				l.build(s)
				did, err := s.check()
				if err != nil {
					t.Fatal(err)
				}
				for op := range did {
					ran[op] = true
				}
			})
		}
	}
	for op, row := range Rows {
		if !ran[op] && !t.Failed() {
			t.Errorf("%s has no law", row.Name)
		}
	}
}

// TestBrokenRows: a row whose roles read other material than it needs, or one word less of what they hold, breaks its law.
func TestBrokenRows(t *testing.T) {
	swap := func(i, k int) func(row *Row) {
		return func(row *Row) {
			party := row.Party
			row.Party = func(e *emitter, s *Site, items [][]int) wire {
				items = append([][]int{}, items...)
				items[i], items[k] = items[k], items[i]
				return party(e, s, items)
			}
		}
	}
	first := func(change func(d *Def)) func(row *Row) {
		return func(row *Row) {
			need := row.Need
			row.Need = func(s *Site) []Def {
				out := need(s)
				if len(out) > 0 {
					change(&out[0])
				}
				return out
			}
		}
	}
	for _, c := range []struct {
		law    string
		op     Op
		change func(row *Row)
	}{
		{"rings", OpWiden, swap(0, 1)},
		{"signs", OpSelect, swap(1, 2)},
		{"signs", OpSelect, swap(3, 4)},
		{"signs", OpSelect, first(func(d *Def) { d.Bits = max(1, d.Bits-1) })},
		{"bits", OpMulBit, swap(0, 1)},
		{"wide products", OpWireMul, swap(0, 1)},
		{"waves", OpWave, swap(0, 1)},
		{"exponentials", OpExpo, swap(0, 1)},
		{"trees", OpLeaf, first(func(d *Def) { d.Args[2], d.Args[3] = 0, 1 })},
		{"trees", OpMSB, func(row *Row) {
			row.Need = func(s *Site) []Def { return []Def{{Fn: fnBit, Of: s.Src[0], Len: s.T[0].Len, Bits: 1}} }
		}},
		{"products", OpMatMul, first(func(d *Def) { d.Bits-- })},
		{"shiftopen", OpShiftOpen, func(row *Row) { row.Slack = func(s *Site, parties int) (int64, int64) { return 0, int64(parties - 2) } }},
		{"ranges", OpValid, first(func(d *Def) { d.Bits-- })},
		{"ranges", OpAll, first(func(d *Def) { d.Args[0] = 1 })},
		{"ranges", OpLow, func(row *Row) {
			row.Party = func(e *emitter, s *Site, items [][]int) wire { return e.wires[s.Src[0]] }
		}},
		{"waves", OpWave, func(row *Row) {
			row.Slack = func(s *Site, parties int) (int64, int64) { lo, hi := rounded(s, parties); return lo / 3, hi / 3 }
		}},
	} {
		was := Rows[c.op]
		broken := *was
		c.change(&broken)
		Rows[c.op] = &broken
		for _, l := range laws {
			if l.name != c.law {
				continue
			}
			s := newSketch(t, 2, 512)
			l.build(s)
			if _, err := s.check(); err == nil {
				t.Errorf("%s: the law holds of a broken row", was.Name)
			}
		}
		Rows[c.op] = was
	}
}
