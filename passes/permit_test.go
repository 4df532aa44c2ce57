package passes

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

// By day rapid draws the same cases in every run; new ones are looked for at night, and by -rapid.seed.
func init() {
	if os.Getenv("SMPCC_NIGHTLY") == "" {
		if err := flag.Set("rapid.seed", "1"); err != nil {
			panic(err)
		}
	}
}

// rows and columns of all inputs of random graphs.
const (
	testRows = 4
	testCols = 3
)

// A sketch builds graphs of matrices for tests.
type sketch struct {
	m *ir.Module
	f *ir.Func
}

func newSketch(parties ...string) *sketch {
	f := ir.NewFunc("main")
	return &sketch{&ir.Module{Name: "t", Parties: parties, Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}, f}
}

// try emits a value, or returns nil if its op refuses the arguments.
func (s *sketch) try(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	v, err := s.f.Emit(diag.Pos{File: "t", Line: len(s.f.Body) + 1}, op, attrs, args...)
	if err != nil {
		return nil
	}
	return v
}

func (s *sketch) must(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	v, err := s.f.Emit(diag.Pos{File: "t", Line: len(s.f.Body) + 1}, op, attrs, args...)
	if err != nil {
		panic(err)
	}
	return v
}

func (s *sketch) input(name, owner string) *ir.Value {
	return s.must(ir.OpInput, ir.Attrs{ir.S("name", name), ir.S("owner", owner), ir.S("elem", "real"), ir.Is("shape", testRows, testCols)})
}

func (s *sketch) constant(shape ir.Shape, x ...float64) *ir.Value {
	return s.must(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(shape, x...))})
}

func (s *sketch) reveal(v *ir.Value, name string, to ...string) *ir.Value {
	return s.must(ir.OpReveal, ir.Attrs{ir.S("name", name), ir.Ss("to", to...)}, v)
}

// whole cuts off what stands behind the point.
func (s *sketch) whole(v *ir.Value) *ir.Value {
	n := s.try(ir.OpCast, ir.Attrs{ir.S("to", "int")}, v)
	if n == nil {
		return nil
	}
	return s.try(ir.OpCast, ir.Attrs{ir.S("to", "real")}, n)
}

// sum adds the rows up, argmax takes the largest column of each row, row picks the first row.
func (s *sketch) sum(v *ir.Value) *ir.Value {
	return s.try(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 0), ir.I("keep", 1)}, v)
}

func (s *sketch) argmax(v *ir.Value) *ir.Value {
	a := s.try(ir.OpArgMax, ir.Attrs{ir.I("axis", 1), ir.I("keep", 1)}, v)
	if a == nil {
		return nil
	}
	return s.try(ir.OpCast, ir.Attrs{ir.S("to", "real")}, a)
}

func (s *sketch) row(v *ir.Value) *ir.Value {
	return s.try(ir.OpSlice, ir.Attrs{ir.Is("starts", 0, 0), ir.Dims("ends", []int{1, v.Type.Shape[1]}), ir.Is("steps", 1, 1)}, v)
}

func (s *sketch) check(policies ...*policy.Policy) error {
	return permit(s.m, &Options{Policies: policies})
}

// randomGraph draws a graph of matrices and its reveals.
func randomGraph(t *rapid.T) *sketch {
	parties := []string{"a", "b", "c"}[:rapid.IntRange(2, 3).Draw(t, "parties")]
	s := newSketch(parties...)
	for i := range rapid.IntRange(1, 3).Draw(t, "inputs") {
		s.input(fmt.Sprint("x", i), rapid.SampledFrom(parties).Draw(t, "owner"))
	}
	for range rapid.IntRange(1, 9).Draw(t, "ops") {
		pick := func() *ir.Value { return rapid.SampledFrom(s.f.Body).Draw(t, "arg") }
		x := pick()
		switch rapid.IntRange(0, 10).Draw(t, "op") {
		case 0:
			s.try(ir.OpAdd, nil, x, pick())
		case 1:
			s.try(ir.OpMul, nil, x, pick())
		case 2:
			s.try(ir.OpNeg, nil, x)
		case 3:
			s.try(ir.OpRelu, nil, x)
		case 4, 5:
			s.sum(x)
		case 6:
			if x.Type.Elem == ir.Real {
				s.argmax(x)
			}
		case 7:
			s.row(x)
		case 8:
			s.constant(ir.Shape{1, testCols}, 1, 2, 3)
		case 9:
			s.constant(ir.Shape{testRows, 1}, 1, 0, 0, 0)
		case 10:
			if c := s.try(ir.OpLt, nil, x, pick()); c != nil {
				s.try(ir.OpSelect, nil, c, pick(), pick())
			}
		}
	}
	for i := range rapid.IntRange(1, 2).Draw(t, "reveals") {
		v := rapid.SampledFrom(s.f.Body).Draw(t, "revealed")
		if v.Op == ir.OpReveal || v.Type.Vis.IsPublic() {
			continue
		}
		s.reveal(v, fmt.Sprint("y", i), rapid.SliceOfNDistinct(rapid.SampledFrom(parties), 1, len(parties), rapid.ID[string]).Draw(t, "to")...)
	}
	return s
}

func randomPolicy(t *rapid.T, owner string) *policy.Policy {
	p := &policy.Policy{Owner: owner, File: owner + ".yaml", Protocol: "semi-honest"}
	for range rapid.IntRange(0, 3).Draw(t, "rules") {
		r := policy.Rule{OtherPlans: true, Output: rapid.SampledFrom([]string{"y0", "y1", "*"}).Draw(t, "output"), To: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID[string]).Draw(t, "to")}
		if rapid.Bool().Draw(t, "some") {
			r.From = []string{rapid.SampledFrom([]string{"x0", "x1", "x2"}).Draw(t, "from")}
		}
		switch rapid.IntRange(0, 3).Draw(t, "as") {
		case 0:
			r.As = policy.ArgMax
		case 1, 2:
			r.As, r.MinRows = policy.Aggregate, rapid.IntRange(2, testRows+1).Draw(t, "rows")
		}
		p.Allow = append(p.Allow, r)
	}
	return p
}

// paths returns every path from v back to src, each from v's side.
func paths(v, src *ir.Value) [][]*ir.Value {
	if v == src {
		return [][]*ir.Value{{v}}
	}
	var out [][]*ir.Value
	for _, a := range v.Args {
		for _, p := range paths(a, src) {
			out = append(out, append([]*ir.Value{v}, p...))
		}
	}
	return out
}

// perRow is the definition of "each row the same polynomial of the source's row", read off the graph by recursion: the
// degree, or -1. It knows the operations of random graphs only, whose rows are the first of two dimensions.
func perRow(v, src *ir.Value) int {
	switch v.Op {
	case ir.OpNeg:
		return perRow(v.Args[0], src)
	case ir.OpAdd, ir.OpMul:
		degree := 0
		for _, a := range v.Args {
			if len(paths(a, src)) == 0 {
				if a.Type.Shape[0] != 1 {
					return -1 // it may pick rows
				}
				continue
			}
			d := perRow(a, src)
			if d < 0 {
				return -1
			}
			if v.Op == ir.OpMul {
				degree += d
			} else {
				degree = max(degree, d)
			}
		}
		if degree > 2 {
			return -1
		}
		return degree
	}
	if v == src {
		return 1
	}
	return -1
}

// allowedBruteForce decides by the definitions alone: every path on its own.
func allowedBruteForce(s *sketch, policies map[string]*policy.Policy) bool {
	for _, reveal := range s.f.Reveals() {
		owners := map[string]bool{}
		var sources []*ir.Value
		for _, x := range s.f.Inputs() {
			if len(paths(reveal, x)) > 0 {
				owners[x.Attrs.Str("owner")] = true
				sources = append(sources, x)
			}
		}
		for _, to := range reveal.Attrs.Strings("to") {
			for _, src := range sources {
				owner := src.Attrs.Str("owner")
				if owner == to && len(owners) == 1 {
					continue
				}
				ok := false
				for _, r := range policies[owner].Allow {
					if r.Output != "*" && r.Output != reveal.Attrs.Str("name") || !slices.Contains(r.To, to) || len(r.From) > 0 && !slices.Contains(r.From, src.Attrs.Str("name")) {
						continue
					}
					all := true
					for _, p := range paths(reveal, src) {
						through := r.As == policy.Any
						for _, v := range p {
							switch r.As {
							case policy.ArgMax:
								through = through || v.Op == ir.OpArgMax
							case policy.Aggregate:
								through = through || v.Op == ir.OpReduceSum && v.Args[0].Type.Shape[0] >= r.MinRows && perRow(v.Args[0], src) >= 0
							}
						}
						all = all && through
					}
					ok = ok || all
				}
				if !ok {
					return false
				}
			}
		}
	}
	return true
}

// TestPermitAgreesWithDefinition draws graphs and policies, and compares permit with the definitions.
func TestPermitAgreesWithDefinition(t *testing.T) {
	refused, allowed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		s := randomGraph(t)
		policies := map[string]*policy.Policy{}
		for _, o := range s.m.Parties {
			policies[o] = randomPolicy(t, o)
		}
		want := allowedBruteForce(s, policies)
		err := s.check(slices.Collect(maps.Values(policies))...)
		if (err == nil) != want {
			t.Fatalf("permit says %v, the definition says %v, of\n%s", err, want, s.m)
		}
		if want {
			allowed++
			return
		}
		refused++
		var list diag.List
		if !errors.As(err, &list) || diag.KindOf(err) != diag.Policy {
			t.Fatalf("refused by %T %v", err, err)
		}
		for _, e := range list {
			if !strings.Contains(e.Msg, "path:") || !strings.Contains(e.Hint, "rule {output: ") {
				t.Fatalf("a refusal without a path or a way out: %v", e)
			}
		}
	})
	if refused == 0 || allowed == 0 {
		t.Errorf("%d refused and %d allowed: the graphs do not test anything", refused, allowed)
	}
}

// TestHintMakesItLegal checks that the change which a refusal names is enough: with the rule it asks for, the same flow is
// not refused again.
func TestHintMakesItLegal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := randomGraph(t)
		policies := map[string]*policy.Policy{}
		for _, o := range s.m.Parties {
			policies[o] = randomPolicy(t, o)
		}
		for range 60 {
			err := s.check(slices.Collect(maps.Values(policies))...)
			if err == nil {
				return
			}
			var list diag.List
			if !errors.As(err, &list) {
				t.Fatal(err)
			}
			for _, e := range list {
				who := strings.Fields(e.Hint[strings.Index(e.Hint, "if ")+3:])[0]
				rule := e.Hint[strings.LastIndex(e.Hint, "rule ")+5:]
				p, perr := policy.Parse(who+".yaml", []byte("version: 1\nowner: "+who+"\nallow:\n  - "+rule+"\n"))
				if perr != nil {
					t.Fatalf("the hint's rule %s cannot be read: %v", rule, perr)
				}
				policies[who].Allow = append(policies[who].Allow, p.Allow...)
			}
		}
		t.Fatalf("still refused after following every hint:\n%s", s.m)
	})
}

// TestAggregatesDoNotTellRowsApart checks Trace against the meaning: whatever it calls an aggregate over all rows stays the
// same when the source's rows change places.
func TestAggregatesDoNotTellRowsApart(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		s := randomGraph(t)
		env := ir.Env{Inputs: map[string]*ir.Tensor{}}
		for _, x := range s.f.Inputs() {
			env.Inputs[x.Attrs.Str("name")] = ir.Reals(ir.Shape{testRows, testCols}, rapid.SliceOfN(rapid.Map(rapid.IntRange(-9, 9), func(i int) float64 { return float64(i) }), testRows*testCols, testRows*testCols).Draw(t, "data")...)
		}
		before, err := ir.Eval(s.f, env)
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range s.f.Inputs() {
			name := src.Attrs.Str("name")
			other := ir.Env{Inputs: maps.Clone(env.Inputs)}
			turned := slices.Clone(env.Inputs[name].F)
			turned = append(turned[testCols:], turned[:testCols]...)
			other.Inputs[name] = ir.Reals(ir.Shape{testRows, testCols}, turned...)
			after, err := ir.Eval(s.f, other)
			if err != nil {
				t.Fatal(err)
			}
			for v, done := range ir.Trace(s.f, src) {
				if done.Rows == 0 {
					continue
				}
				found++
				for i := range before[v].Len() {
					if before[v].At(i) != after[v].At(i) {
						t.Fatalf("%s tells rows of %s apart:\n%s", ir.Line(v, nil), name, s.m)
					}
				}
			}
		}
	})
	if found == 0 {
		t.Error("no aggregate was drawn")
	}
}

// TestLaundering tries ways around "only the sum over rows" and "only the arg-max"; each must be refused.
func TestLaundering(t *testing.T) {
	sums := &policy.Policy{Owner: "a", File: "a.yaml", Protocol: "semi-honest", Allow: []policy.Rule{
		{Output: "sum", To: []string{"b"}, As: policy.Aggregate, MinRows: testRows, Line: 4, OtherPlans: true},
		{Output: "class", To: []string{"b"}, As: policy.ArgMax, MaxBits: testRows * 2, Line: 5, OtherPlans: true},
		{Output: "second", To: []string{"b"}, As: policy.ArgMax, MaxBits: testRows * 2, Line: 6, OtherPlans: true},
		{Output: "pair", To: []string{"b", "c"}, As: policy.ArgMax, MaxBits: testRows * 2, Line: 7, OtherPlans: true},
		{Output: "pair of c", To: []string{"b", "c"}, As: policy.ArgMax, MaxBits: testRows * 2, Line: 8, OtherPlans: true},
	}}
	other := &policy.Policy{Owner: "b", File: "b.yaml", Protocol: "semi-honest", Allow: []policy.Rule{{Output: "*", To: []string{"a", "b", "c"}}}}
	for _, c := range []struct {
		name  string
		ok    bool
		build func(s *sketch, x, y *ir.Value)
	}{
		{"the sum itself", true, func(s *sketch, x, _ *ir.Value) { s.reveal(s.sum(x), "sum", "b") }},
		{"the class itself", true, func(s *sketch, x, _ *ir.Value) { s.reveal(s.argmax(x), "class", "b") }},
		{"after linear maps and squares", true, func(s *sketch, x, y *ir.Value) {
			v := s.must(ir.OpMul, nil, x, x)
			s.reveal(s.must(ir.OpRelu, nil, s.sum(s.must(ir.OpMatMul, nil, v, s.constant(ir.Shape{testCols, 2}, 1, 2, 3, 4, 5, 6)))), "sum", "b")
		}},
		{"a row picked by a constant mask", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpMul, nil, x, s.constant(ir.Shape{testRows, 1}, 1, 0, 0, 0))), "sum", "b")
		}},
		{"a row picked by the receiver's secret mask", false, func(s *sketch, x, y *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpMul, nil, x, y)), "sum", "b")
		}},
		{"a row picked by a selection on secrets", false, func(s *sketch, x, y *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpSelect, nil, s.must(ir.OpLt, nil, x, y), x, y)), "sum", "b")
		}},
		{"a slice of one row, summed", false, func(s *sketch, x, _ *ir.Value) { s.reveal(s.sum(s.row(x)), "sum", "b") }},
		{"one row, repeated", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpExpand, ir.Attrs{ir.Is("shape", testRows, testCols)}, s.row(x))), "sum", "b")
		}},
		{"rows padded with zeros", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 0, testRows, 0)}, s.row(x))), "sum", "b")
		}},
		{"rows of another shape", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpReshape, ir.Attrs{ir.Is("shape", testCols, testRows)}, x)), "sum", "b")
		}},
		{"columns summed instead of rows", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 1)}, x), "sum", "b")
		}},
		{"columns and rows exchanged", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, x)), "sum", "b")
		}},
		{"powers that tell every row", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpMul, nil, s.must(ir.OpMul, nil, x, x), x)), "sum", "b")
		}},
		{"the data beside its sum", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpAdd, nil, x, s.sum(x)), "sum", "b")
		}},
		{"the data under the sum's name", false, func(s *sketch, x, _ *ir.Value) { s.reveal(x, "sum", "b") }},
		{"the sum under another name", false, func(s *sketch, x, _ *ir.Value) { s.reveal(s.sum(x), "total", "b") }},
		{"the sum to another receiver", false, func(s *sketch, x, _ *ir.Value) { s.reveal(s.sum(x), "sum", "c") }},
		{"the data times zero", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.must(ir.OpMul, nil, x, s.constant(ir.Shape{1, 1}, 0)), "total", "b")
		}},
		{"a row picked by rounding towards zero", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.sum(s.must(ir.OpMul, nil, x, s.whole(s.must(ir.OpMul, nil, x, s.constant(ir.Shape{1, 1}, 0.125))))), "sum", "b")
		}},
		{"rounded rows", false, func(s *sketch, x, _ *ir.Value) { s.reveal(s.sum(s.whole(x)), "sum", "b") }},
		{"classes under other names, one bit each", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.argmax(x), "class", "b")
			s.reveal(s.argmax(s.must(ir.OpAdd, nil, x, s.constant(ir.Shape{1, testCols}, 1, 0, 0))), "second", "b")
		}},
		{"one class under two names", true, func(s *sketch, x, _ *ir.Value) {
			k := s.argmax(x)
			s.reveal(k, "class", "b")
			s.reveal(s.must(ir.OpNeg, nil, k), "second", "b")
		}},
		{"a class to each of two receivers, who may compare", false, func(s *sketch, x, _ *ir.Value) {
			s.reveal(s.argmax(x), "pair", "b")
			s.reveal(s.argmax(s.must(ir.OpNeg, nil, x)), "pair of c", "c")
		}},
		{"the value at the class", false, func(s *sketch, x, y *ir.Value) {
			k := s.argmax(x)
			s.reveal(s.must(ir.OpSelect, nil, s.must(ir.OpLt, nil, k, y), x, y), "class", "b")
		}},
		{"bits of the data as many classes", false, func(s *sketch, x, _ *ir.Value) {
			var all []*ir.Value
			for i := range 9 {
				all = append(all, s.argmax(s.must(ir.OpAdd, nil, x, s.constant(ir.Shape{1, testCols}, float64(i), 0, 0))))
			}
			s.reveal(s.must(ir.OpConcat, ir.Attrs{ir.I("axis", 1)}, all...), "class", "b")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSketch("a", "b", "c")
			c.build(s, s.input("x", "a"), s.input("y", "b"))
			err := s.check(sums, other)
			if (err == nil) != c.ok {
				t.Errorf("permit says %v, want allowed = %v, of\n%s", err, c.ok, s.m)
			}
			if err != nil && diag.KindOf(err) != diag.Policy {
				t.Errorf("refused by another error: %v", err)
			}
		})
	}
}
