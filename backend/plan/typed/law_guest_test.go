package typed

import (
	"fmt"
	"strings"
	"testing"

	"smpcc/backend/plan"
)

// guest binds words of a guest as shares, those of all parties but the last uniform.
func (s *sketch) guest(bits int, elem string, words []uint64) int {
	mode := plan.Add
	if elem == "bool" {
		mode = plan.Xor
	}
	s.m.Guests = []string{"g"}
	n := len(words)
	shares := make([]uint64, n*s.parties)
	for i, w := range words {
		for party := range s.parties - 1 {
			u := low(s.r.Uint64(), bits)
			shares[party*n+i], w = u, apart(mode, w, u)
		}
		shares[(s.parties-1)*n+i] = low(w, bits)
	}
	s.m.Inputs = append(s.m.Inputs, plan.Port{Name: "x" + string(rune('a'+len(s.bound))), Owner: "g", Elem: elem, Bits: bits, Shape: []int{n}, Shares: true})
	s.bound = append(s.bound, shares)
	return s.row(OpReceive, nil, int64(len(s.bound)-1))
}

// extended returns a value of so many bits in a ring of others, whatever it is.
func (s *sketch) extended(v, bits, to int) int {
	return s.row(OpExtend, []int{v, s.row(OpWrap, []int{s.compareTree(v, int64(bits), 4, 4, plan.KindLt)})}, int64(to))
}

func init() {
	laws = append(laws, []struct {
		name    string
		parties []int
		build   func(s *sketch)
	}{
		{"guests", nil, func(s *sketch) {
			x, r := s.every(6)
			s.row(OpNeg, []int{s.guest(6, "int", x)})
			s.row(OpXor, []int{s.guest(1, "bool", each(len(x), func(i int) uint64 { return x[i] & 1 })), s.constant(each(len(x), func(i int) uint64 { return r[i] & 1 })...)})
		}},
		{"extensions", nil, func(s *sketch) {
			for _, c := range [][2]int{{1, 1}, {1, 9}, {2, 2}, {3, 20}, {4, 64}, {5, 12}, {6, 7}, {6, 4}, {17, 40}, {31, 64}, {40, 30}, {63, 64}} {
				s.extended(s.value(c[0]), c[0], c[1])
			}
		}},
		{"extensions by keys", []int{2}, func(s *sketch) {
			for _, c := range [][2]int{{1, 3}, {5, 12}, {6, 40}, {8, 40}, {20, 64}} {
				v := s.value(c[0])
				s.row(OpExtend, []int{v, s.row(OpWrap, []int{s.row(OpKeyCompare, []int{v}, int64(c[0]), plan.DPFLess)})}, int64(c[1]))
			}
		}},
	}...)
}

// TestBrokenExtension: a row of guests whose roles read other material than it needs breaks its law.
func TestBrokenExtension(t *testing.T) {
	was := extendRow
	defer func() { Rows[OpExtend] = was }()
	for name, need := range map[string]func(s *Site) []Def{
		"the mask less its top bit": func(s *Site) []Def { return []Def{s.readings(s.Src[0], s.Args[0])[0], s.bit(s.Src[1], s.Args[0])} },
		"swapped":                   func(s *Site) []Def { d := was.Need(s); return []Def{d[1], d[0]} },
		"a ring too small":          func(s *Site) []Def { d := was.Need(s); d[0].Bits = max(1, d[0].Bits-1); return d },
	} {
		broken := *was
		broken.Need = need
		Rows[OpExtend] = &broken
		s := newSketch(t, 2, 512)
		s.extended(s.value(5), 5, 12)
		if _, err := s.check(); err == nil {
			t.Errorf("%s: the law holds of a broken row", name)
		}
	}
}

// guestPlan is a plan in which a guest gives 8 bits that are revealed to it and p0.
func guestPlan(t *testing.T) *sketch {
	s := newSketch(t, 2, 4)
	x := s.guest(8, "int", []uint64{1, 2, 3, 4})
	v := s.row(OpOpen, []int{x}, 8)
	z := s.extended(v, 8, 16)
	s.m.RingBits = 16
	s.m.Inputs[0].Lo, s.m.Inputs[0].Hi = 0, 255
	s.m.Outputs = []plan.Port{{Name: "out", To: []string{"g", "p0"}, Elem: "int", Bits: 16, Shape: []int{4}}}
	s.m.Allowed = []plan.Allowance{{Output: "out", Receiver: "g", Owner: "g"}, {Output: "out", Receiver: "p0", Owner: "g"}}
	s.row(OpReveal, []int{z}, 0)
	return s
}

// TestNoTypeOfGuests: what a guest's shares must not be used for has no type.
func TestNoTypeOfGuests(t *testing.T) {
	if _, err := guestPlan(t).check(); err != nil {
		t.Fatal(err)
	}
	at := func(s *sketch, op Op) *Step {
		for i := range s.p.Steps {
			if s.p.Steps[i].Op == op {
				return &s.p.Steps[i]
			}
		}
		t.Fatalf("no step %v", op)
		return nil
	}
	for _, c := range []struct {
		name, want string
		edit       func(s *sketch)
	}{
		{"a party's input is received", "who is no guest", func(s *sketch) { s.m.Inputs[0].Owner = "p1" }},
		{"a guest's input is not shares", "who is no guest", func(s *sketch) { s.m.Inputs[0].Shares = false }},
		{"a guest's input is held by one", "which is no party", func(s *sketch) { *at(s, OpReceive) = Step{Op: OpInput, Args: []int64{0}} }},
		{"an input that does not exist", "input 7 does not exist", func(s *sketch) { at(s, OpReceive).Args = []int64{7} }},
		{"a guest whose permission is not recorded", "data of g, whose permission is not recorded", func(s *sketch) { s.m.Allowed = s.m.Allowed[:1] }},
		{"a receiver whom nobody knows", "no party and no guest", func(s *sketch) { s.m.Outputs[0].To = []string{"h"} }},
		{"a wrap is revealed", "operand 0 is covered", func(s *sketch) {
			s.p.Steps[len(s.p.Steps)-1].Src = []int{len(s.p.Steps) - 3}
		}},
		{"a wrap is merged", "merges what is one comparison", func(s *sketch) {
			s.insert(len(s.p.Steps)-1, OpMerge, []int{len(s.p.Steps) - 3})
		}},
		{"part of the bits wrap", "not the comparison of all bits", func(s *sketch) {
			at(s, OpLeaf).Args = []int64{7, 4, 0, 2, plan.KindLt}
		}},
		{"equality wraps", "not the comparison of all bits", func(s *sketch) {
			at(s, OpLeaf).Args[4] = plan.KindEq
		}},
		{"the wrap of another value", "not whether this value wraps", func(s *sketch) {
			v := s.insert(2, OpOpen, []int{0}, 8)
			at(s, OpExtend).Src[0] = v
		}},
	} {
		s := guestPlan(t)
		c.edit(s)
		if _, err := s.check(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// received compares what the parties hold of a guest's words with the sum of the shares that it gave.
func (s *sketch) received(c *Checked, step int, got []uint64) error {
	t, shares := c.Types[step], s.bound[s.p.Steps[step].Args[0]]
	for i := range got {
		want := uint64(0)
		for party := range s.parties {
			want = low(combine(t.Mode, want, shares[party*len(got)+i]), t.Bits)
		}
		if got[i] != want || len(shares) != s.parties*len(got) {
			return fmt.Errorf("element %d of a guest is %d, it gave %d", i, got[i], want)
		}
	}
	return nil
}
