package passes

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

// members compares the first column of the table with keys: row i is in group g if it equals key g.
func (s *sketch) members(x *ir.Value, keys ...float64) *ir.Value {
	key := s.must(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, 0), ir.Is("ends", testRows, 1), ir.Is("steps", 1, 1)}, x)
	return s.must(ir.OpEq, nil, key, s.constant(ir.Shape{len(keys)}, keys...))
}

func (s *sketch) real(v *ir.Value) *ir.Value {
	return s.must(ir.OpCast, ir.Attrs{ir.S("to", "real")}, v)
}

// column returns column j of the table, as a matrix.
func (s *sketch) column(x *ir.Value, j int64) *ir.Value {
	return s.must(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, j), ir.Is("ends", testRows, j+1), ir.Is("steps", 1, 1)}, x)
}

// withheld shows sums of groups of at least so many rows.
func (s *sketch) withheld(n, sums *ir.Value, least float64) *ir.Value {
	return s.must(ir.OpSelect, nil, s.must(ir.OpGe, nil, n, s.constant(ir.Shape{}, least)), sums, s.constant(ir.Shape{}, 0))
}

// TestForms holds what each form of a rule lets pass against what it must not.
func TestForms(t *testing.T) {
	rules := map[string]policy.Rule{
		"bit":     {As: policy.Bit, MaxBits: testRows},
		"rounded": {As: policy.Rounded, Digits: 1},
		"values":  {MaxValues: testCols},
		"columns": {From: []string{"x[:,1:3]"}},
		"groups":  {As: policy.Aggregate, MinRows: testRows, MinGroup: 3},
	}
	half := func(s *sketch) *ir.Value { return s.constant(ir.Shape{1, 1}, 0.5) }
	sums := func(s *sketch, x *ir.Value) (n, sum *ir.Value) {
		m := s.members(x, 1, 2)
		return s.sum(s.real(m)), s.sum(s.must(ir.OpMul, nil, s.real(m), s.column(x, 1)))
	}
	for _, c := range []struct {
		rule, name string
		ok         bool
		build      func(s *sketch, x, y *ir.Value)
	}{
		{"bit", "a comparison", true, func(s *sketch, x, y *ir.Value) {
			s.reveal(s.must(ir.OpGt, nil, s.column(x, 0), s.column(y, 0)), "o", "b")
		}},
		{"bit", "a count of comparisons", true, func(s *sketch, x, y *ir.Value) {
			s.reveal(s.sum(s.real(s.must(ir.OpGt, nil, s.column(x, 0), s.column(y, 0)))), "o", "b")
		}},
		{"bit", "a comparison for each number", false, func(s *sketch, x, y *ir.Value) { s.reveal(s.must(ir.OpGt, nil, x, y), "o", "b") }},
		{"bit", "the number beside its comparison", false, func(s *sketch, x, y *ir.Value) {
			s.reveal(s.must(ir.OpSelect, nil, s.must(ir.OpGt, nil, s.column(x, 0), s.column(y, 0)), s.column(x, 0), s.column(y, 0)), "o", "b")
		}},
		{"bit", "a bit in each of two outputs", false, func(s *sketch, x, y *ir.Value) {
			s.reveal(s.must(ir.OpGt, nil, s.column(x, 0), s.column(y, 0)), "o", "b")
			s.reveal(s.must(ir.OpGt, nil, s.column(x, 1), s.column(y, 0)), "o2", "b")
		}},
		{"rounded", "whole numbers", true, func(s *sketch, x, _ *ir.Value) { s.reveal(s.whole(x), "o", "b") }},
		{"rounded", "a tenth", true, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpMul, nil, s.must(ir.OpFloor, nil, s.must(ir.OpMul, nil, x, s.constant(ir.Shape{}, 10))), s.constant(ir.Shape{}, 0.1)), "o", "b")
		}},
		{"rounded", "a hundredth", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpMul, nil, s.must(ir.OpFloor, nil, s.must(ir.OpMul, nil, x, s.constant(ir.Shape{}, 100))), s.constant(ir.Shape{}, 0.01)), "o", "b")
		}},
		{"rounded", "what is not rounded", false, func(s *sketch, x, _ *ir.Value) { s.reveal(x, "o", "b") }},
		{"rounded", "rounded, and a rest", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpAdd, nil, s.whole(x), s.must(ir.OpMul, nil, x, half(s))), "o", "b")
		}},
		{"values", "as many numbers as are allowed", true, func(s *sketch, x, _ *ir.Value) { s.reveal(s.sum(x), "o", "b") }},
		{"values", "more numbers", false, func(s *sketch, x, _ *ir.Value) { s.reveal(x, "o", "b") }},
		{"values", "more numbers in two outputs", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(x), "o", "b")
			s.reveal(s.column(x, 1), "o2", "b")
		}},
		{"columns", "the columns", true, func(s *sketch, x, _ *ir.Value) { s.reveal(s.column(x, 2), "o", "b") }},
		{"columns", "sums of columns that are taken out of all sums", true, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpGather, ir.Attrs{ir.I("axis", 1), ir.Is("indices", 2, 1)}, s.sum(x)), "o", "b")
		}},
		{"columns", "another column", false, func(s *sketch, x, _ *ir.Value) { s.reveal(s.column(x, 0), "o", "b") }},
		{"columns", "columns mixed by a product", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpMatMul, nil, x, s.constant(ir.Shape{testCols, 1}, 0, 1, 1)), "o", "b")
		}},
		{"columns", "a column that a condition reads", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpSelect, nil, s.must(ir.OpGt, nil, s.column(x, 0), half(s)), s.column(x, 1), s.column(x, 2)), "o", "b")
		}},
		{"columns", "columns and rows exchanged", false, func(s *sketch, x, _ *ir.Value) {
			y := s.must(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, x)
			s.reveal(s.must(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, 1), ir.Is("ends", testCols, 3), ir.Is("steps", 1, 1)}, y), "o", "b")
		}},
		{"groups", "sums of large groups", true, func(s *sketch, x, _ *ir.Value) {
			n, sum := sums(s, x)
			s.reveal(s.withheld(n, sum, 3), "o", "b")
		}},
		{"groups", "numbers and means of large groups", true, func(s *sketch, x, _ *ir.Value) {
			n, sum := sums(s, x)
			s.reveal(s.withheld(n, n, 3), "o", "b")
			s.reveal(s.withheld(n, s.must(ir.OpDiv, nil, sum, n), 4), "o2", "b")
		}},
		{"groups", "sums of smaller groups", false, func(s *sketch, x, _ *ir.Value) {
			n, sum := sums(s, x)
			s.reveal(s.withheld(n, sum, 2), "o", "b")
		}},
		{"groups", "sums of all groups", false, func(s *sketch, x, _ *ir.Value) {
			_, sum := sums(s, x)
			s.reveal(sum, "o", "b")
		}},
		{"groups", "withheld where they are large", false, func(s *sketch, x, _ *ir.Value) {
			n, sum := sums(s, x)
			s.reveal(s.must(ir.OpSelect, nil, s.must(ir.OpLt, nil, n, s.constant(ir.Shape{}, 3)), sum, s.constant(ir.Shape{}, 0)), "o", "b")
		}},
		{"groups", "withheld by the number of another grouping", false, func(s *sketch, x, _ *ir.Value) {
			_, sum := sums(s, x)
			s.reveal(s.withheld(s.sum(s.real(s.members(x, 3, 4))), sum, 3), "o", "b")
		}},
		{"groups", "withheld by a sum that is no number of rows", false, func(s *sketch, x, _ *ir.Value) {
			_, sum := sums(s, x)
			s.reveal(s.withheld(sum, sum, 3), "o", "b")
		}},
		{"groups", "withheld by the number of the next group", false, func(s *sketch, x, _ *ir.Value) {
			n, sum := sums(s, x)
			s.reveal(s.withheld(s.must(ir.OpGather, ir.Attrs{ir.I("axis", 1), ir.Is("indices", 1, 0)}, n), sum, 3), "o", "b")
		}},
		{"groups", "all of one group's key twice", false, func(s *sketch, x, _ *ir.Value) {
			m := s.members(x, 1, 1)
			s.reveal(s.withheld(s.sum(s.real(m)), s.sum(s.must(ir.OpMul, nil, s.real(m), s.column(x, 1))), 3), "o", "b")
		}},
		{"groups", "two groupings, whose difference is a small group", false, func(s *sketch, x, _ *ir.Value) {
			n, sum := sums(s, x)
			s.reveal(s.withheld(n, sum, 3), "o", "b")
			m := s.members(x, 1, 3)
			s.reveal(s.withheld(s.sum(s.real(m)), s.sum(s.must(ir.OpMul, nil, s.real(m), s.column(x, 1))), 3), "o2", "b")
		}},
		{"groups", "groups and the sum of all", false, func(s *sketch, x, _ *ir.Value) {
			n, sum := sums(s, x)
			s.reveal(s.withheld(n, sum, 3), "o", "b")
			s.reveal(s.sum(s.column(x, 1)), "o2", "b")
		}},
		{"groups", "rows picked by the receiver", false, func(s *sketch, x, y *ir.Value) {
			m := s.must(ir.OpEq, nil, s.column(x, 0), s.column(y, 0))
			s.reveal(s.withheld(s.sum(s.real(m)), s.sum(s.must(ir.OpMul, nil, s.real(m), s.column(x, 1))), 3), "o", "b")
		}},
		{"groups", "powers of numbers in groups", false, func(s *sketch, x, _ *ir.Value) {
			m := s.members(x, 1, 2)
			c := s.column(x, 1)
			s.reveal(s.withheld(s.sum(s.real(m)), s.sum(s.must(ir.OpMul, nil, s.real(m), s.must(ir.OpMul, nil, c, s.must(ir.OpMul, nil, c, c)))), 3), "o", "b")
		}},
	} {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			s := newSketch("a", "b")
			c.build(s, s.input("x", "a"), s.input("y", "b"))
			r := rules[c.rule]
			r.Output, r.To, r.Line = "*", []string{"b"}, 4
			err := s.check(&policy.Policy{Owner: "a", File: "a.yaml", Allow: []policy.Rule{r}}, &policy.Policy{Owner: "b", File: "b.yaml", Allow: []policy.Rule{{Output: "*", To: []string{"b"}}}})
			if (err == nil) != c.ok {
				t.Errorf("permit says %v, want allowed = %v, of\n%s", err, c.ok, s.m)
			}
			if err != nil && diag.KindOf(err) != diag.Policy {
				t.Errorf("refused by another error: %v", err)
			}
		})
	}
}

// TestSmallGroupsStayHidden searches for graphs that tell of small groups: tables whose groups of at least three rows have equal sums and equal sums of products,
// while rows of smaller groups, and those in no group, are others. An output that the policy allows is the same for both.
func TestSmallGroupsStayHidden(t *testing.T) {
	const rows, cols, least = 9, 3, 4
	r := rand.New(rand.NewPCG(3, 8))
	allowed, telling := 0, 0
	for k := range 3000 {
		s := newSketch("a", "b")
		x := s.must(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "a"), ir.S("elem", "real"), ir.Is("shape", rows, cols)})
		s.must(ir.OpInput, ir.Attrs{ir.S("name", "y"), ir.S("owner", "b"), ir.S("elem", "real"), ir.Is("shape", testRows, testCols)})
		key := s.must(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, 0), ir.Is("ends", rows, 1), ir.Is("steps", 1, 1)}, x)
		data := s.must(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, 1), ir.Is("ends", rows, 2), ir.Is("steps", 1, 1)}, x)
		m := s.real(s.must(ir.OpEq, nil, key, s.constant(ir.Shape{3}, 1, 2, 3)))
		n := s.sum(m)
		part := s.must(ir.OpMul, nil, m, data)
		l := &launderer{s, r}
		s.sum(part)
		for range 3 + r.IntN(8) {
			a, b := l.pick(), l.pick()
			switch r.IntN(12) {
			case 0, 1:
				s.sum(a)
			case 2, 3, 4:
				if c := s.try([]ir.Op{ir.OpGe, ir.OpGe, ir.OpGt, ir.OpLt}[r.IntN(4)], nil, []*ir.Value{n, n, a}[r.IntN(3)], s.constant(ir.Shape{}, float64(least-1+r.IntN(3)))); c != nil {
					s.try(ir.OpSelect, nil, c, a, s.constant(ir.Shape{}, 0))
					s.try(ir.OpMul, nil, s.real(c), b)
				}
			case 5:
				s.try(ir.OpMul, nil, a, b)
			case 6:
				s.try(ir.OpAdd, nil, a, b)
			case 7:
				s.try(ir.OpMul, nil, part, a)
			case 8:
				s.try(ir.OpSub, nil, a, l.number())
			case 9:
				s.try(ir.OpGather, ir.Attrs{ir.I("axis", 1), ir.Is("indices", 2, 0, 1)}, a)
			case 10:
				s.try(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, a)
			default:
				s.try(ir.OpReduceSum, ir.Attrs{ir.Is("axes", int64(r.IntN(2))), ir.I("keep", int64(r.IntN(2)))}, a)
			}
		}
		// group 1 has four rows, group 2 two, group 3 one, and two are in none
		one, other := make([]float64, rows*cols), make([]float64, rows*cols)
		for i, g := range []float64{1, 2, 1, 7, 1, 3, 2, 1, 9} {
			one[i*cols], other[i*cols] = g, g
			for j := 1; j < cols; j++ {
				one[i*cols+j], other[i*cols+j] = float64(2*(r.IntN(21)-10)), float64(2*(r.IntN(21)-10))
			}
		}
		for j := 1; j < cols; j++ { // group 1 mirrored
			in, u, dot := []int{0, 2, 4, 7}, []float64{1, -1, -1, 1}, 0.0
			for i, row := range in {
				dot += u[i] * one[row*cols+j]
			}
			for i, row := range in {
				other[row*cols+j] = one[row*cols+j] - u[i]*dot/2
			}
		}
		said := func(table []float64) map[*ir.Value]*ir.Tensor {
			out, err := ir.Eval(s.f, ir.Env{Inputs: map[string]*ir.Tensor{"x": ir.Reals(ir.Shape{rows, cols}, table...), "y": ir.Reals(ir.Shape{testRows, testCols}, make([]float64, testRows*testCols)...)}})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		p, q := said(one), said(other)
		for i, v := range slices.Clone(s.f.Body) {
			if len(paths(v, x)) == 0 || v.Op == ir.OpInput {
				continue
			}
			at := len(s.f.Body)
			if s.try(ir.OpReveal, ir.Attrs{ir.S("name", fmt.Sprint("o", i)), ir.Ss("to", "b")}, v) == nil {
				continue
			}
			err := s.check(&policy.Policy{Owner: "a", File: "a.yaml", Allow: []policy.Rule{{Output: "*", To: []string{"b"}, As: policy.Aggregate, MinRows: rows, MinGroup: least}}})
			differs := apart(p[v], q[v])
			plain := ir.Trace(s.f, x)[v].Rows > 0 // a sum over all rows is allowed as such, and differs
			switch {
			case err == nil && differs && !plain:
				t.Fatalf("graph %d: %s tells of small groups:\n%s", k, ir.Line(v, nil), s.m)
			case err == nil && !plain:
				allowed++
			case differs:
				telling++
			}
			s.f.Body = s.f.Body[:at]
		}
	}
	t.Logf("%d values allowed, %d refused that tell of small groups", allowed, telling)
	if allowed < 300 || telling < 3000 {
		t.Errorf("%d values are allowed and %d tell of small groups: the search tests nothing", allowed, telling)
	}
}

// TestColumnsAreAllThatMatter draws graphs, changes what a value is said not to derive from, and wants the value as it was.
func TestColumnsAreAllThatMatter(t *testing.T) {
	apartFound := 0
	rapid.Check(t, func(t *rapid.T) {
		s := randomGraph(t)
		x := s.f.Inputs()[0]
		l := &launderer{s, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))}
		s.column(x, 1)
		for range 4 {
			l.grow()
		}
		name := x.Attrs.Str("name")
		env := ir.Env{Inputs: map[string]*ir.Tensor{}}
		for _, in := range s.f.Inputs() {
			env.Inputs[in.Attrs.Str("name")] = ir.Reals(ir.Shape{testRows, testCols}, rapid.SliceOfN(rapid.Float64Range(-4, 4), testRows*testCols, testRows*testCols).Draw(t, "data")...)
		}
		before, err := ir.Eval(s.f, env)
		if err != nil {
			t.Skip()
		}
		columns := ir.Columns(s.f, x)
		for c := range testCols {
			changed := slices.Clone(env.Inputs[name].F)
			for i := range testRows {
				changed[i*testCols+c] = -1.25 - changed[i*testCols+c]
			}
			other := ir.Env{Inputs: map[string]*ir.Tensor{}}
			for n, d := range env.Inputs {
				other.Inputs[n] = d
			}
			other.Inputs[name] = ir.Reals(ir.Shape{testRows, testCols}, changed...)
			after, err := ir.Eval(s.f, other)
			if err != nil {
				t.Skip()
			}
			for _, v := range s.f.Body {
				if slices.Contains(columns[v], c) {
					continue
				}
				if len(columns[v]) > 0 {
					apartFound++
				}
				if apart(before[v], after[v]) {
					t.Fatalf("%s derives from column %d of %s, and is said to derive from %v:\n%s", ir.Line(v, nil), c, name, columns[v], s.m)
				}
			}
		}
	})
	if apartFound < 50 {
		t.Errorf("%d values derived from some columns only", apartFound)
	}
}

// TestRulesThatMatchNothing follows each hint, and then the rule is no mistake any more.
func TestRulesThatMatchNothing(t *testing.T) {
	for _, c := range []struct {
		rule policy.Rule
		want string
		fix  func(r *policy.Rule)
	}{
		{policy.Rule{Output: "scor", To: []string{"b"}}, `no output "scor"`, func(r *policy.Rule) { r.Output = "score" }},
		{policy.Rule{Output: "score", To: []string{"clinik"}}, `no party "clinik"`, func(r *policy.Rule) { r.To[0] = "clinic" }},
		{policy.Rule{Output: "score", To: []string{"b"}, From: []string{"doze"}}, `no input or weight of a "doze"`, func(r *policy.Rule) { r.From[0] = "dose" }},
		{policy.Rule{Output: "score", To: []string{"b"}, From: []string{"dose[:,3:4]"}}, `"dose" has shape [4,3], and no columns [:,3:4]`, func(r *policy.Rule) { r.From[0] = "dose[:,2]" }},
		{policy.Rule{Output: "score", To: []string{"a"}}, "score goes to b, clinic, and not to a", func(r *policy.Rule) { r.OtherPlans = true }},
		{policy.Rule{Output: "other", To: []string{"b"}}, `no output "other"`, func(r *policy.Rule) { r.OtherPlans = true }},
	} {
		s := newSketch("a", "b", "clinic")
		s.reveal(s.column(s.input("dose", "a"), 2), "score", "b", "clinic")
		all := policy.Rule{Output: "*", To: []string{"b", "clinic"}, Line: 4}
		c.rule.Line = 5
		p := &policy.Policy{Owner: "a", File: "a.yaml", Allow: []policy.Rule{all, c.rule}}
		err := s.check(p)
		if err == nil || !strings.Contains(err.Error(), "a.yaml:5: rule matches nothing: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error is %v, want %q", err, c.want)
		}
		c.fix(&p.Allow[1])
		if err := s.check(p); err != nil {
			t.Errorf("behind the hint of %v: %v", c.rule, err)
		}
	}
}
