package passes

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"

	"math/rand/v2"

	"smpcc/ir"
	"smpcc/ir/policy"
)

// What an aggregate may say is stated by its rule: sums and means of what is a linear or a square function of each row. Such
// sums are functions of the sum of the rows and of the sum of the products of their columns, in pairs. The test searches for graphs
// that say more: tables of different rows with equal sums and equal sums of products, of which an output that the policy allows is
// not the same. Such an output is determined by rows, and no aggregate that the policy speaks of is.

// mirrored returns a table of other rows with the same sums and sums of products of columns: (I - uu'/2) X for u = (1, -1, -1, 1),
// which is orthogonal and leaves the sum of rows as it is. Numbers of x are even.
func mirrored(x []float64) []float64 {
	u := [testRows]float64{1, -1, -1, 1}
	out := make([]float64, len(x))
	for j := range testCols {
		dot := 0.0
		for i := range testRows {
			dot += u[i] * x[i*testCols+j]
		}
		for i := range testRows {
			out[i*testCols+j] = x[i*testCols+j] - u[i]*dot/2
		}
	}
	return out
}

// A launderer draws graphs of all kinds of operations on a table of one owner and a vector of another.
type launderer struct {
	*sketch
	r *rand.Rand
}

// pick returns a value that the source has come to, most often one of the last.
func (l *launderer) pick() *ir.Value {
	n := len(l.f.Body)
	if l.r.IntN(3) > 0 {
		return l.f.Body[n-1-l.r.IntN(min(n, 4))]
	}
	return l.f.Body[l.r.IntN(n)]
}

// number returns a public number, or one for each column or row; all are dyadic, so that sums of products are exact.
func (l *launderer) number() *ir.Value {
	draw := func() float64 { return []float64{-2, -1, 0.5, 0.125, 0.25, 1, 2, 3, 0}[l.r.IntN(9)] }
	switch l.r.IntN(8) {
	case 0:
		return l.constant(ir.Shape{1, testCols}, draw(), draw(), draw())
	case 1:
		return l.constant(ir.Shape{testRows, 1}, draw(), draw(), draw(), draw())
	}
	return l.constant(ir.Shape{1, 1}, draw())
}

// grow adds an operation.
func (l *launderer) grow() {
	x := l.pick()
	axis := ir.Is("axes", int64(l.r.IntN(2)))
	switch l.r.IntN(24) {
	case 0, 1:
		l.try(ir.OpMul, nil, x, l.number())
	case 2, 3:
		l.try(ir.OpMul, nil, x, l.pick())
	case 4:
		l.try(ir.OpAdd, nil, x, l.pick())
	case 5:
		l.try(ir.OpSub, nil, x, l.number())
	case 6, 7:
		if x.Type.Elem == ir.Real {
			l.whole(x)
		}
	case 8:
		l.try([]ir.Op{ir.OpRelu, ir.OpAbs, ir.OpNeg, ir.OpNot}[l.r.IntN(4)], nil, x)
	case 9:
		if c := l.try([]ir.Op{ir.OpLt, ir.OpEq, ir.OpGe}[l.r.IntN(3)], nil, x, l.number()); c != nil {
			l.try(ir.OpCast, ir.Attrs{ir.S("to", "real")}, c)
		}
	case 10:
		l.try(ir.OpMax, nil, x, l.pick())
	case 11:
		l.try(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, x)
	case 12:
		l.try(ir.OpGather, ir.Attrs{ir.I("axis", int64(l.r.IntN(2))), ir.Is("indices", int64(l.r.IntN(3)), 0)}, x)
	case 13:
		if len(x.Type.Shape) == 2 {
			l.row(x)
		}
	case 14:
		if s := x.Type.Shape; len(s) == 2 && s[1] == testCols {
			l.try(ir.OpMatMul, nil, x, l.constant(ir.Shape{testCols, 2}, 1, 2, 3, -1, 0.5, 1))
		}
	case 15:
		if s := x.Type.Shape; len(s) == 2 {
			l.try(ir.OpReshape, ir.Attrs{ir.Is("shape", int64(s[1]), int64(s[0]))}, x)
		}
	case 17:
		l.try(ir.OpExpand, ir.Attrs{ir.Is("shape", []int64{testRows, 2, 2 * testRows}[l.r.IntN(3)], []int64{testRows, testCols, 1}[l.r.IntN(3)])}, x)
	case 18:
		l.try(ir.OpConcat, ir.Attrs{ir.I("axis", int64(l.r.IntN(2)))}, x, l.pick())
	case 19:
		l.try(ir.OpPad, ir.Attrs{ir.Is("pads", int64(l.r.IntN(2)), 0, int64(l.r.IntN(3)), 0)}, x)
	case 20:
		if c := l.try(ir.OpGt, nil, x, l.pick()); c != nil {
			l.try(ir.OpSelect, nil, c, x, l.pick())
		}
	case 21:
		if c := l.try(ir.OpGe, nil, x, l.number()); c != nil { // counts
			l.try(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 0)}, l.must(ir.OpCast, ir.Attrs{ir.S("to", "int")}, c))
		}
	case 16:
		if s := x.Type.Shape; len(s) == 2 && s[0]&(s[0]-1) == 0 { // or the mean is rounded
			l.try(ir.OpReduceMean, ir.Attrs{ir.Is("axes", 0), ir.I("keep", 1)}, x)
		}
	default:
		l.try(ir.OpReduceSum, ir.Attrs{axis, ir.I("keep", int64(l.r.IntN(2)))}, x)
	}
}

// said returns all that a graph computes from a table, by value.
func said(t *testing.T, s *sketch, table []float64) map[*ir.Value]*ir.Tensor {
	t.Helper()
	out, err := ir.Eval(s.f, ir.Env{Inputs: map[string]*ir.Tensor{
		"x": ir.Reals(ir.Shape{testRows, testCols}, table...), "y": ir.Reals(ir.Shape{testRows, testCols}, 1, 0, 2, -1, 3, 0.5, 0, 1, -2, 4, 1, 1)}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// apart reports whether a value differs between two tables.
func apart(a, b *ir.Tensor) bool {
	for i := range a.Len() {
		if a.At(i) != b.At(i) {
			return true
		}
	}
	return false
}

// TestNoAggregateTellsRows runs the search: thousands of graphs, tens of thousands under SMPCC_NIGHTLY.
func TestNoAggregateTellsRows(t *testing.T) {
	graphs := 6000
	if n, err := strconv.Atoi(os.Getenv("SMPCC_NIGHTLY")); err == nil {
		graphs = max(200000, n)
	}
	policies := func(output string) []*policy.Policy {
		return []*policy.Policy{
			{Owner: "a", File: "a.yaml", Protocol: "semi-honest", Allow: []policy.Rule{{Output: output, To: []string{"b"}, As: policy.Aggregate, MinRows: testRows}}},
			{Owner: "b", File: "b.yaml", Protocol: "semi-honest", Allow: []policy.Rule{{Output: "*", To: []string{"a", "b"}}}},
		}
	}
	r := rand.New(rand.NewPCG(7, 11))
	allowed, refused, telling := 0, 0, 0
	for k := range graphs {
		s := newSketch("a", "b")
		x := s.input("x", "a")
		s.input("y", "b")
		l := &launderer{s, r}
		for range 2 + r.IntN(9) {
			l.grow()
		}
		var pairs [][2]map[*ir.Value]*ir.Tensor
		for range 3 {
			table := make([]float64, testRows*testCols)
			for i := range table {
				table[i] = float64(2 * (r.IntN(21) - 10))
			}
			pairs = append(pairs, [2]map[*ir.Value]*ir.Tensor{said(t, s, table), said(t, s, mirrored(table))})
		}
		body := append([]*ir.Value{}, s.f.Body...)
		for i, v := range body {
			if len(paths(v, x)) == 0 || v.Op == ir.OpInput {
				continue
			}
			differs := false
			for _, p := range pairs {
				differs = differs || apart(p[0][v], p[1][v])
			}
			out := fmt.Sprint("out", i)
			n := len(s.f.Body)
			if s.try(ir.OpReveal, ir.Attrs{ir.S("name", out), ir.Ss("to", "b")}, v) == nil {
				continue
			}
			err := s.check(policies(out)...)
			switch {
			case err == nil && differs:
				t.Fatalf("graph %d: the policy takes value %d, %s, for an aggregate over rows, and it tells tables apart whose aggregates are the same:\n%s", k, i, ir.Line(v, nil), s.m)
			case err == nil:
				allowed++
			case differs:
				telling++
			default:
				refused++
			}
			s.f.Body = s.f.Body[:n]
		}
	}
	t.Logf("%d graphs: %d values allowed, %d refused that tell more than aggregates do, %d refused besides", graphs, allowed, telling, refused)
	if allowed < graphs/10 || telling < graphs/10 {
		t.Errorf("of %d graphs, %d values are allowed and %d tell too much: the search tests nothing", graphs, allowed, telling)
	}
}

// choose adds an operation of a graph whose outputs are to be arg-maxes: numbers from a table, arg-maxes of them, and arithmetic on those.
func (l *launderer) choose() {
	x := l.pick()
	switch l.r.IntN(9) {
	case 0:
		l.try(ir.OpAdd, nil, x, l.number())
	case 1:
		l.try(ir.OpMul, nil, x, l.number())
	case 2:
		l.try(ir.OpAdd, nil, x, l.pick())
	case 3:
		l.sum(x)
	case 4:
		if c := l.try(ir.OpGt, nil, x, l.number()); c != nil {
			l.try(ir.OpCast, ir.Attrs{ir.S("to", "real")}, c)
		}
	case 5:
		l.row(x)
	case 6: // one result for all rows
		if m := l.try(ir.OpMul, nil, l.f.Body[0], l.number()); m != nil {
			l.argmax(l.sum(m))
		}
	default:
		if a := l.try(ir.OpArgMax, ir.Attrs{ir.I("axis", int64(l.r.IntN(len(x.Type.Shape)))), ir.I("keep", 1)}, x); a != nil {
			l.try(ir.OpCast, ir.Attrs{ir.S("to", "real")}, a)
		}
	}
}

// TestNoMoreBitsThanMaxBits searches for graphs that tell receivers more than a policy's max_bits: the outputs of one run that go to the
// receivers of a rule, taken together, must have at most 2^max_bits values, whatever the table is.
func TestNoMoreBitsThanMaxBits(t *testing.T) {
	graphs, tables := 1500, 120
	if n, err := strconv.Atoi(os.Getenv("SMPCC_NIGHTLY")); err == nil {
		graphs, tables = max(60000, n), 400
	}
	r := rand.New(rand.NewPCG(5, 3))
	accepted, full, telling := 0, 0, 0
	for k := range graphs {
		s := newSketch("a", "b", "c")
		s.input("x", "a")
		s.input("y", "b")
		l := &launderer{s, r}
		for range 2 + r.IntN(8) {
			l.choose()
		}
		body := slices.Clone(s.f.Body)
		revealed := map[*ir.Value][]string{} // receivers
		for i := range 1 + r.IntN(3) {
			v := body[len(body)-1-r.IntN(min(len(body), 4))]
			to := [][]string{{"b"}, {"c"}, {"b", "c"}}[r.IntN(3)]
			if s.try(ir.OpReveal, ir.Attrs{ir.S("name", fmt.Sprint("y", i)), ir.Ss("to", to...)}, v) != nil {
				revealed[v] = append(revealed[v], to...)
			}
		}
		p := &policy.Policy{Owner: "a", File: "a.yaml", Protocol: "semi-honest"}
		for i := range 1 + r.IntN(3) {
			p.Allow = append(p.Allow, policy.Rule{Output: []string{"*", "*", "y0", "y1", "y2"}[r.IntN(5)], To: [][]string{{"b"}, {"c"}, {"b", "c"}}[r.IntN(3)], As: policy.ArgMax, MaxBits: 1, OtherPlans: true, Line: i + 1})
		}
		other := &policy.Policy{Owner: "b", File: "b.yaml", Protocol: "semi-honest", Allow: []policy.Rule{{Output: "*", To: []string{"a", "b", "c"}}}}
		err := s.check(p, other)
		for bits := 2; err != nil && bits <= 6; bits++ { // the fewest that let it pass
			for i := range p.Allow {
				p.Allow[i].MaxBits = bits
			}
			err = s.check(p, other)
		}
		if err != nil && k%10 > 0 {
			continue // a tenth says whether there is something to refuse
		}
		var said []map[*ir.Value]*ir.Tensor
		for range tables {
			said = append(said, evaluated(t, s, r))
		}
		values := func(to []string) int { // that outputs to any of these receivers take together
			seen := map[string]bool{}
			for _, run := range said {
				key := ""
				for _, v := range body {
					if slices.ContainsFunc(revealed[v], func(who string) bool { return slices.Contains(to, who) }) {
						for i := range run[v].Len() {
							key += fmt.Sprint(run[v].At(i), " ")
						}
					}
				}
				seen[key] = true
			}
			return len(seen)
		}
		for _, rule := range p.Allow {
			n := values(rule.To)
			if err != nil {
				if n > 1<<rule.MaxBits {
					telling++
				}
				continue
			}
			if !slices.ContainsFunc(s.m.Allowed, func(a policy.Allowance) bool { return a.Owner == "a" && a.Line == rule.Line }) {
				continue // the rule allows nothing here
			}
			accepted++
			if n > 1<<rule.MaxBits {
				t.Fatalf("graph %d: %s, and its outputs take %d values:\n%s", k, rule, n, s.m)
			}
			if 2*n > 1<<rule.MaxBits {
				full++
			}
		}
	}
	t.Logf("%d graphs: %d times a rule allowed something, %d of them close to its bits; %d rules were exceeded by graphs that are refused", graphs, accepted, full, telling)
	if accepted < graphs/40 || full < accepted/50 || telling < graphs/100 {
		t.Errorf("of %d graphs, %d are allowed and %d tell too much: the search tests nothing", graphs, accepted, telling)
	}
}

// evaluated returns all that a graph computes from random tables.
func evaluated(t *testing.T, s *sketch, r *rand.Rand) map[*ir.Value]*ir.Tensor {
	t.Helper()
	table := make([]float64, testRows*testCols)
	for i := range table {
		table[i] = float64(r.IntN(17) - 8)
	}
	return said(t, s, table)
}
