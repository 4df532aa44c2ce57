package typed

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"smpcc/backend/plan"
)

// reluPlan is relu(x*y), revealed to p1: two owners, truncation, a comparison in one level, a selection. Its steps are numbered below.
func reluPlan(t testing.TB) *sketch {
	s := newSketch(t, 2, 4)
	four := []uint64{1, 2, 3, 4}
	x := s.row(OpShare, []int{s.input(0, 40, "int", four)}) // 1
	y := s.row(OpShare, []int{s.input(1, 40, "int", four)}) // 3
	xy := s.row(OpMul, []int{x, y}, 1, 4, 1, 1)             // 4
	v := s.row(OpShiftOpen, []int{xy}, 16, 24)              // 5
	d := s.positive(v, 24, 4)                               // 6..20
	z := s.row(OpSelect, []int{v, d}, 32)                   // 21
	s.m.Outputs = []plan.Port{{Name: "out", To: []string{"p1"}, Elem: "int", Bits: 32, Shape: []int{4}}}
	for _, owner := range s.m.Parties {
		s.m.Allowed = append(s.m.Allowed, plan.Allowance{Output: "out", Receiver: "p1", Owner: owner})
	}
	s.row(OpReveal, []int{z}, 0)
	return s
}

// last returns the number of the last step with the given operation.
func (s *sketch) last(op Op) int {
	for i := len(s.p.Steps) - 1; i >= 0; i-- {
		if s.p.Steps[i].Op == op {
			return i
		}
	}
	s.t.Fatalf("no step %s", Rows[op].Name)
	return 0
}

// insert puts a step before step i, and returns its value.
func (s *sketch) insert(i int, op Op, src []int, args ...int64) int {
	for k := i; k < len(s.p.Steps); k++ {
		for j, v := range s.p.Steps[k].Src {
			if v >= i {
				s.p.Steps[k].Src[j]++
			}
		}
	}
	s.p.Steps = append(s.p.Steps[:i], append([]Step{{Op: op, Src: src, Args: args}}, s.p.Steps[i:]...)...)
	return i
}

// TestNoType: programs that tell what they should not have no type, with the step and the reason.
func TestNoType(t *testing.T) {
	if _, err := reluPlan(t).check(); err != nil {
		t.Fatal(err)
	}
	// instead makes the output another value, of another width if bits are given.
	instead := func(s *sketch, v int, bits int) {
		s.p.Steps[len(s.p.Steps)-1].Src = []int{v}
		s.m.Outputs[0].Bits = bits
	}
	before := func(s *sketch, op Op, src []int, args ...int64) int {
		return s.insert(len(s.p.Steps)-1, op, src, args...)
	}
	for _, c := range []struct {
		name, want string
		edit       func(s *sketch)
	}{
		// low bits that were rounded in material
		{"a wave is revealed", "tell of masks", func(s *sketch) {
			instead(s, before(s, OpWave, []int{s.last(OpShiftOpen)}, 20, 1, 5, 6, 16, 40), 40)
		}},
		{"a wave is revealed, too few bits dropped", "tell of masks", func(s *sketch) {
			w := before(s, OpWave, []int{s.last(OpShiftOpen)}, 20, 1, 1000, 1<<17, 16, 40)
			instead(s, before(s, OpUnmask, []int{before(s, OpShiftOpen, []int{w}, 14, 26)}, 26), 26)
		}},
		{"a product of waves is revealed", "tell of masks", func(s *sketch) {
			w := before(s, OpWave, []int{s.last(OpShiftOpen)}, 20, 1, 5, 6, 16, 40)
			o := before(s, OpOpen, []int{w}, 40)
			m := before(s, OpMul, []int{o, o}, 1, 4, 1, 1)
			instead(s, before(s, OpUnmask, []int{before(s, OpShiftOpen, []int{m}, 20, 20)}, 20), 20)
		}},
		{"an exponential is revealed", "tell of masks", func(s *sketch) {
			instead(s, before(s, OpExpo, []int{s.last(OpShiftOpen)}, 20, 1<<30, 1<<20, 20, 50), 50)
		}},
		{"a wave is revealed, one bit too few dropped", "the lowest 2 bits of output \"out\" tell of masks", func(s *sketch) {
			w := before(s, OpWave, []int{s.last(OpShiftOpen)}, 20, 1, 1<<17, 6, 16, 40)
			instead(s, before(s, OpUnmask, []int{before(s, OpShiftOpen, []int{w}, 17, 23)}, 23), 23)
		}},
		// what the manifest says
		{"a ring is narrower in the manifest", "the widest ring of the manifest is 39", func(s *sketch) { s.m.RingBits = 39 }},
		{"rounds wait for a place that is not there", "wait for \"nowhere\"", func(s *sketch) { s.m.Critical = []string{"law", "nowhere"} }},
		{"permission for no output", "\"none\", which is no output", func(s *sketch) { s.m.Allowed = append(s.m.Allowed, plan.Allowance{Output: "none"}) }},
		// work
		{"views of a constant on each other", "5 views of a constant", func(s *sketch) {
			k := before(s, OpConst, nil, 4)
			s.p.Steps[k].Data = []uint64{1, 2, 3, 4}
			for range 5 {
				k = before(s, OpReshape, []int{k})
			}
		}},
		// shares of zero
		{"an output is taken again", "operand 0 is done", func(s *sketch) {
			s.row(OpUnmask, []int{len(s.p.Steps) - 1}, 32)
		}},
		{"one output is revealed twice", "a second time", func(s *sketch) {
			s.row(OpReveal, []int{len(s.p.Steps) - 2}, 0)
		}},
		{"a second output under the number of the first", "a second time", func(s *sketch) {
			s.row(OpReveal, []int{s.row(OpWiden, []int{s.last(OpShiftOpen)}, 32)}, 0)
		}},
		{"an output is not revealed", "0 of 1 outputs", func(s *sketch) { s.p.Steps = s.p.Steps[:len(s.p.Steps)-1] }},
		// shifts of shares
		{"a share is shifted on its own", "no row has number", func(s *sketch) { before(s, Op(len(Rows)+1), []int{s.last(OpMul)}, 16) }},
		{"more bits are dropped than there are", "drops 16 bits and opens 30", func(s *sketch) { s.p.Steps[s.last(OpShiftOpen)].Args = []int64{16, 30} }},
		{"bits are shifted", "drops 1 bits", func(s *sketch) { before(s, OpShiftOpen, []int{s.last(OpMSB)}, 1, 1) }},
		// what tells of masks
		{"a comparison with a mask is revealed", "operand 0 is partial", func(s *sketch) { instead(s, s.last(OpMerge), 2) }},
		{"one chunk's comparison is revealed", "operand 0 is partial", func(s *sketch) { instead(s, s.last(OpLeaf), 4) }},
		{"a comparison with a mask is opened as a bit", "operand 0 is partial", func(s *sketch) { before(s, OpOpen, []int{s.last(OpMerge)}, 1) }},
		{"a comparison is covered before it is merged, and again after", "are to be merged", func(s *sketch) { before(s, OpCover, []int{s.last(OpMerge)}) }},
		{"covered bits are a bit", "operand 1 is covered", func(s *sketch) { before(s, OpMulBit, []int{s.last(OpShiftOpen), s.last(OpCover)}, 24) }},
		{"covered bits are added to a comparison", "operand 0 is covered", func(s *sketch) { before(s, OpXor, []int{s.last(OpCover), s.last(OpMSB)}) }},
		{"the sign of another value", "not the comparison of all lower bits of this value", func(s *sketch) {
			v := before(s, OpShiftOpen, []int{s.last(OpMul)}, 16, 24)
			before(s, OpMSB, []int{v, s.last(OpMerge)})
		}},
		{"the sign of a view by the comparison of what it views", "not the comparison of all lower bits of this value", func(s *sketch) {
			v := before(s, OpReshape, []int{s.last(OpShiftOpen)})
			before(s, OpMSB, []int{v, s.last(OpMerge)})
		}},
		{"a sign without the lower bits", "not the comparison of all lower bits", func(s *sketch) { before(s, OpMSB, []int{s.last(OpShiftOpen)}) }},
		{"a sign of some of the bits", "not the comparison of all lower bits", func(s *sketch) {
			before(s, OpMSB, []int{s.last(OpShiftOpen), s.p.Steps[s.last(OpGroup)].Src[1]})
		}},
		{"zero by the comparison of less", "not the comparison of all bits", func(s *sketch) { before(s, OpIsZero, []int{s.last(OpMerge)}) }},
		{"groups in the wrong order", "next chunks of one value", func(s *sketch) {
			g := s.p.Steps[s.last(OpGroup)].Src
			g[0], g[1] = g[1], g[0]
		}},
		{"a group twice", "next chunks of one value", func(s *sketch) { g := s.p.Steps[s.last(OpGroup)].Src; g[1] = g[0] }},
		{"chosen by the sign of another value", "being positive", func(s *sketch) {
			s.p.Steps[s.last(OpSelect)].Src[0] = before(s, OpReshape, []int{s.last(OpShiftOpen)})
			k := &s.p.Steps[s.last(OpSelect)]
			r := len(s.p.Steps) - 2 // the reshape stands behind the selection: put it before
			s.p.Steps[r], *k = *k, s.p.Steps[r]
			s.p.Steps[r].Src[0] = r - 1
			instead(s, r, 32)
		}},
		{"the negative values are chosen", "being positive", func(s *sketch) {
			n := before(s, OpOpen, []int{s.last(OpMSB)}, 1)
			instead(s, before(s, OpSelect, []int{s.last(OpShiftOpen), n}, 32), 32)
		}},
		{"chosen by any bit", "being positive", func(s *sketch) {
			b := before(s, OpOpen, []int{before(s, OpXor, []int{s.last(OpMSB), s.last(OpMSB)})}, 1)
			instead(s, before(s, OpSelect, []int{s.last(OpShiftOpen), b}, 32), 32)
		}},
		// what is whose
		{"an input is revealed as it is", "operand 0 is private", func(s *sketch) { instead(s, 0, 40) }},
		{"a masked value is revealed", "operand 0 is opened", func(s *sketch) { instead(s, s.last(OpShiftOpen), 24) }},
		{"an input is shared by all", "operand 0 is private", func(s *sketch) { before(s, OpOpen, []int{0}, 40) }},
		{"shares are masked by one party", "operand 0 is shared", func(s *sketch) { before(s, OpShare, []int{s.last(OpMul)}) }},
		{"without an owner's permission", "derives from data of p0", func(s *sketch) { s.m.Allowed = s.m.Allowed[1:] }},
		{"to another receiver", "derives from data of p0", func(s *sketch) { s.m.Outputs[0].To = []string{"p1", "p0"} }},
		{"to a stranger", "no party", func(s *sketch) { s.m.Outputs[0].To = []string{"p7"} }},
		{"in another width", "output \"out\" is", func(s *sketch) { s.m.Outputs[0].Bits = 31 }},
		{"an input of a stranger", "no party", func(s *sketch) { s.m.Inputs[0].Owner = "d" }},
		{"keys for three parties", "keys are for two parties", func(s *sketch) {
			s.m.Parties = append(s.m.Parties, "p2")
			before(s, OpKeyCompare, []int{s.last(OpShiftOpen)}, 23, plan.DPFLess)
		}},
		// what is malformed
		{"a value of later", "does not exist", func(s *sketch) { s.p.Steps[4].Src[0] = 9 }},
		{"a value of its own", "does not exist", func(s *sketch) { s.p.Steps[4].Src[0] = 4 }},
		{"no value", "does not exist", func(s *sketch) { s.p.Steps[4].Src[0] = -1 }},
		{"too many operands", "3 operands", func(s *sketch) { s.p.Steps[4].Src = []int{1, 3, 3} }},
		{"too few arguments", "0 arguments", func(s *sketch) { s.p.Steps[5].Args = nil }},
		{"factors are spread beyond their ends", "factor 0", func(s *sketch) { s.p.Steps[4].Args[2] = 2 }},
		{"wider than it is", "opens 41 bits", func(s *sketch) { before(s, OpOpen, []int{s.last(OpMul)}, 41) }},
		{"unmasked in a wider ring", "25 bits", func(s *sketch) { before(s, OpUnmask, []int{s.last(OpShiftOpen)}, 25) }},
	} {
		s := reluPlan(t)
		c.edit(s)
		_, err := Check(&s.m, &s.p)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
			continue
		}
		var at *Error
		if !errors.As(err, &at) && !strings.Contains(c.want, "outputs") && s.m.RingBits == 64 && len(s.m.Critical) == 0 && len(s.m.Allowed) == 2 { // these are of no step
			t.Errorf("%s: %v does not say where", c.name, err)
		}
	}
}

// TestPage: the page on the typed plan names every row and every step of format 1, and every row has an equation.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/typed-plan.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range Rows {
		if !strings.Contains(string(page), "`"+row.Name+"`") {
			t.Errorf("row %s is not named", row.Name)
		}
		if row.Doc == "" || row.Rule == nil || row.Party == nil || row.Plain == nil && row != inputRow && row != receiveRow {
			t.Errorf("row %s lacks a column", row.Name)
		}
	}
	for _, step := range plan.Steps {
		if !strings.Contains(string(page), "`"+step.Name+"`") {
			t.Errorf("step %s is not named", step.Name)
		}
	}
}

// TestTooManySteps: what a plan asks of its reader is bounded.
func TestTooManySteps(t *testing.T) {
	s := reluPlan(t)
	zero := s.p.Steps[0]
	for len(s.p.Steps)*3 <= maxSteps {
		s.p.Steps = append(s.p.Steps, zero)
	}
	if _, err := Check(&s.m, &s.p); err == nil || !strings.Contains(err.Error(), "steps of 2 parties are more than") {
		t.Errorf("got %v", err)
	}
}

// TestFile: a plan that is written and read is the same; one that is damaged, or has no type, is not read.
func TestFile(t *testing.T) {
	s := reluPlan(t)
	c, err := Check(&s.m, &s.p)
	if err != nil {
		t.Fatal(err)
	}
	data := c.Encode()
	again, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again.Encode(), data) || again.Digest() != c.Digest() || !slices.Equal(again.Types, c.Types) {
		t.Error("another plan is read than was written")
	}
	for i := range data {
		bad := slices.Clone(data)
		bad[i] ^= 1 << (i % 8)
		if d, err := Decode(bad); err == nil && d.Digest() == c.Digest() {
			t.Errorf("a plan with another byte %d is read as the plan", i)
		}
		if _, err := Decode(data[:i]); err == nil {
			t.Errorf("%d bytes of a plan are read", i)
		}
	}
	s.p.Steps[len(s.p.Steps)-1].Src[0] = 0
	if _, err := Decode(c.Encode()); err == nil {
		t.Error("a plan without a type is read")
	}
}

// FuzzDecode: bytes of anybody's give an error or a program with a type, whose roles' programs are well formed.
func FuzzDecode(f *testing.F) {
	s := reluPlan(f)
	c, err := Check(&s.m, &s.p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Decode(data)
		if err != nil {
			return
		}
		for _, v := range c.Types {
			if v.Len > 1<<16 {
				return
			}
		}
		c.emit(len(c.Manifest.Parties)).Finish()
	})
}

// TestRandomPrograms changes programs at random. None makes the checker fail otherwise than by saying so, and what still has a type does
// what its rows mean.
func TestRandomPrograms(t *testing.T) {
	r := rand.New(rand.NewPCG(7, uint64(len(laws))))
	accepted, tries := 0, 600
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		tries = 20000
	}
	for k := range tries {
		parties := 2 + k%2
		s := reluPlan(t)
		if l := laws[k%len(laws)]; k%3 > 0 && (l.parties == nil || parties == 2) {
			s = newSketch(t, parties, 8)
			l.build(s)
		}
		c, err := Check(&s.m, &s.p)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(2) {
			s.mutate(r, c.Types)
		}
		c, err = Check(&s.m, &s.p)
		if err != nil {
			continue
		}
		small := 0
		for _, v := range c.Types {
			small += v.Len
		}
		if small > 1<<17 {
			continue
		}
		accepted++
		if _, err := s.check(); err != nil && !strings.Contains(err.Error(), "no element is in range") {
			t.Errorf("mutant %d: %v", k, err)
		}
	}
	if accepted < tries/10 {
		t.Errorf("%d of %d mutants have a type: the mutations are too coarse", accepted, tries)
	}
	t.Logf("%d of %d mutants have a type", accepted, tries)
}

// mutate changes an operand to another of its kind, or an argument, an operation, a word or the number of operands.
func (s *sketch) mutate(r *rand.Rand, types []Type) {
	i := r.IntN(len(s.p.Steps))
	at := &s.p.Steps[i]
	number := func(was int64) int64 {
		return []int64{was + 1, was - 1, was + 1, was - 1, 0, -1, was * 2, 64, 1 << 40, -1 << 62}[r.IntN(10)]
	}
	switch k := r.IntN(8); {
	case k < 4 && len(at.Src) > 0:
		at.Src = append([]int{}, at.Src...)
		j := r.IntN(len(at.Src))
		var like []int
		for v := range min(i+1, len(types)) {
			if o := types[at.Src[j]]; types[v].Kind == o.Kind && types[v].Mode == o.Mode && types[v].Len == o.Len {
				like = append(like, v)
			}
		}
		if len(like) > 0 {
			at.Src[j] = like[r.IntN(len(like))]
		}
	case k < 6 && len(at.Args) > 0:
		at.Args = append([]int64{}, at.Args...)
		j := r.IntN(len(at.Args))
		at.Args[j] = number(at.Args[j])
	case k == 6:
		at.Op = Op(r.IntN(len(Rows) + 2))
	case len(at.Data) > 0:
		at.Data = append([]uint64{}, at.Data...)
		at.Data[r.IntN(len(at.Data))] = r.Uint64() >> r.IntN(64)
	case len(at.Src) > 1:
		at.Src = at.Src[:len(at.Src)-1]
	default:
		at.Args = append(at.Args, 1)
	}
}
