package audit

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"smpcc"
)

// inferences compiles a program and says what its receivers can compute.
func inferences(t *testing.T, program, policy string) map[string]Inference {
	t.Helper()
	r, err := Of(planOf(t, program, policy, smpcc.Options{}), Options{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Inference{}
	for _, x := range r.Inference {
		out[x.Receiver] = x
	}
	return out
}

// TestInference: what follows by linear algebra done by hand.
func TestInference(t *testing.T) {
	const weights = "weight w: real[8] from b\nweight c: real from b\n"
	for _, c := range []struct {
		what, program, policy string
		equations, after      int
		runs                  int
		computes              []string // SOURCE ELEMENTS of OF after RUNS
		open                  string
	}{
		{what: "a sum of two", program: "input x: int[3] from a in 0..9\ninput y: int[3] from b in 0..9\nreveal x + y to a as s\n",
			equations: 3, after: 3, runs: 1, computes: []string{"y 3 of 3 after 1"}},
		{what: "a sum of three", program: "input x: int[3] from a in 0..9\ninput y: int[3] from b in 0..9\ninput z: int[3] from c in 0..9\nreveal x + y + z to a as s\n",
			equations: 3, after: 3, runs: 1},
		{what: "a sum over rows", program: "input y: int[5] from b in 0..9\nreveal sum(y) to a as s\n",
			equations: 1, after: 1, runs: 1},
		{what: "two sums that differ in one row", program: "input y: int[5] from b in 0..9\nreveal sum(y) to a as s\nreveal sum(y[0:4]) to a as t\n",
			equations: 2, after: 2, runs: 1, computes: []string{"y 1 of 5 after 1"}},
		{what: "a product with one's own number", program: "input x: int from a in 1..9\ninput y: int from b in 0..9\nreveal x * y to a as s\n",
			equations: 1, after: 1, runs: 1, computes: []string{"y 1 of 1 after 1"}},
		{what: "a linear model over many runs", program: "input x: real[3,8] from a in -1..1\n" + weights + "reveal x @ w + c to a as s\n",
			equations: 3, after: 9, runs: 3, computes: []string{"w 8 of 8 after 3", "c 1 of 1 after 3"}},
		{what: "behind a sigmoid", program: "input x: real[3,8] from a in -1..1\n" + weights + "reveal sigmoid(x @ w + c) to a as s\n",
			equations: 3, after: 9, runs: 3, computes: []string{"w 8 of 8 after 3", "c 1 of 1 after 3"}},
		{what: "too few runs", program: "input x: real[3,8] from a in -1..1\n" + weights + "reveal x @ w + c to a as s\n",
			policy: "version: 1\nowner: b\nallow:\n  - {output: s, to: [a]}\nmax_runs: 2\n", equations: 3, after: 6, runs: 2},
		{what: "a column that is always zero tells nothing of its weight", program: "input x: real[3,7] from a in -1..1\nweight w: real[8] from b\nlet z = [0.0, 0.0, 0.0]\nreveal x @ w[0:7] + z * w[7] to a as s\n",
			equations: 3, after: 7, runs: 3, computes: []string{"w 7 of 8 after 3"}},
		{what: "more rows than unknowns", program: "input x: real[12,8] from a in -1..1\n" + weights + "reveal x @ w + c to a as s\n",
			equations: 9, after: 9, runs: 1, computes: []string{"w 8 of 8 after 1", "c 1 of 1 after 1"}},
		{what: "a maximum", program: "input x: int[3] from a in 0..9\ninput y: int[3] from b in 0..9\nreveal max(x + y) to a as s\n",
			open: "reduce_max"},
		{what: "a product of two others' numbers", program: "input y: int from b in 0..9\ninput z: int from c in 0..9\nreveal y * z to a as s\n", open: "mul"},
		{what: "behind a sigmoid that is added to", program: "input x: real from a in 0..1\ninput y: real from b in 0..1\nreveal sigmoid(y) + x to a as s\n", open: "add"},
	} {
		t.Run(c.what, func(t *testing.T) {
			policy := c.policy
			if policy == "" {
				policy = "version: 1\nowner: b\nallow:\n  - {output: \"*\", to: [a]}\n"
			}
			x := inferences(t, "parties a, b, c\n"+c.program, policy)["a"]
			var got []string
			for _, y := range x.Computes {
				got = append(got, fmt.Sprintf("%s %d of %d after %d", y.Source, y.Elements, y.Of, y.Runs))
			}
			if x.Equations != c.equations || x.AfterRuns != c.after || x.Runs != c.runs || !slices.Equal(got, c.computes) {
				t.Errorf("%d equations, %d after %d runs, computes %q; want %d, %d, %d, %q; %+v", x.Equations, x.AfterRuns, x.Runs, got, c.equations, c.after, c.runs, c.computes, x.Open)
			}
			if (c.open != "") != (len(x.Open) > 0) || c.open != "" && !strings.Contains(x.Open[0].Why, c.open+" at") {
				t.Errorf("not analysed: %v, want %q", x.Open, c.open)
			}
		})
	}
}

// TestSpan: ranks and what follows, against rational elimination on matrices of small whole numbers.
func TestSpan(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		width, n := 1+r.IntN(6), r.IntN(8)
		s := &span{width: width}
		var rows [][]*big.Rat
		for range n {
			v, q := make([]uint64, width), make([]*big.Rat, width)
			for i := range v {
				x := float64(r.IntN(5)-2) / 4
				v[i], q[i] = residue(x), new(big.Rat).SetFloat64(x)
			}
			s.add(v)
			rows = append(rows, q)
		}
		if want := rationalRank(rows, width); len(s.rows) != want {
			t.Fatalf("rank %d, want %d", len(s.rows), want)
		}
		for i, got := range s.fixed() {
			unit := make([]*big.Rat, width)
			for j := range unit {
				unit[j] = new(big.Rat)
			}
			unit[i].SetInt64(1)
			if want := rationalRank(append(slices.Clone(rows), unit), width) == len(s.rows); got != want {
				t.Fatalf("column %d follows: %v, want %v", i, got, want)
			}
		}
	}
	p := new(big.Int).SetUint64(prime)
	for range 1000 {
		a, b := r.Uint64N(prime), r.Uint64N(prime)
		want := new(big.Int).Mul(new(big.Int).SetUint64(a), new(big.Int).SetUint64(b))
		if got := mulMod(a, b); got != want.Mod(want, p).Uint64() {
			t.Fatalf("%d * %d = %d", a, b, got)
		}
		if a != 0 && mulMod(a, invMod(a)) != 1 {
			t.Fatalf("1 / %d = %d", a, invMod(a))
		}
		x := (r.Float64() - 0.5) * 1e6
		q := new(big.Rat).SetFloat64(x)
		num, den := new(big.Int).Mod(q.Num(), p).Uint64(), new(big.Int).Mod(q.Denom(), p).Uint64()
		if residue(x) != mulMod(num, invMod(den)) {
			t.Fatalf("residue of %g", x)
		}
	}
}

// rationalRank is the rank of a matrix, by elimination.
func rationalRank(m [][]*big.Rat, width int) int {
	rows := make([][]*big.Rat, len(m))
	for i := range m {
		for _, x := range m[i] {
			rows[i] = append(rows[i], new(big.Rat).Set(x))
		}
	}
	rank := 0
	for c := 0; c < width; c++ {
		p := slices.IndexFunc(rows[rank:], func(r []*big.Rat) bool { return r[c].Sign() != 0 })
		if p < 0 {
			continue
		}
		rows[rank], rows[rank+p] = rows[rank+p], rows[rank]
		for i := rank + 1; i < len(rows); i++ {
			f := new(big.Rat).Quo(rows[i][c], rows[rank][c])
			for j := c; j < width; j++ {
				rows[i][j].Sub(rows[i][j], new(big.Rat).Mul(f, rows[rank][j]))
			}
		}
		if rank++; rank == len(rows) {
			break
		}
	}
	return rank
}
