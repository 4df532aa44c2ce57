package smpcc_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"smpcc/frontend/dsl"
	"smpcc/ir"
	"smpcc/ir/exact"
)

// A libraryCase is a function of the language's library on drawn data, beside a reference that knows nothing of it.
type libraryCase struct {
	name   string
	inputs string // declarations, with the lengths that data has
	value  string
	whole  bool // the result is integers, and exact
	want   func(in func(name string) []float64) []float64
}

const (
	vectorOfInts  = "input x: int[9] from a in 0..50\n"
	vectorOfReals = "input x: real[8] from a in -100..100\n"
	twoVectors    = "input x: real[8] from a in -10..10\ninput y: real[8] from b in 0..20\n"
	points        = "input x: real[6,2] from a in -4..4\ninput y: real[6] from b in -10..10\n"
)

func meanOf(x []float64) float64 {
	s := 0.0
	for _, v := range x {
		s += v
	}
	return s / float64(len(x))
}

// momentOf is the mean product of distances from the means.
func momentOf(x, y []float64, less float64) float64 {
	s, mx, my := 0.0, meanOf(x), meanOf(y)
	for i := range x {
		s += (x[i] - mx) * (y[i] - my)
	}
	return s / (float64(len(x)) - less)
}

func sorted(x []float64) []float64 {
	y := slices.Clone(x)
	slices.Sort(y)
	return y
}

func quantileOf(x []float64, q float64) float64 {
	s, h := sorted(x), q*float64(len(x)-1)
	k := int(h)
	if k+1 >= len(s) {
		return s[len(s)-1]
	}
	return s[k] + (h-float64(k))*(s[k+1]-s[k])
}

// levenshtein is the edit distance by its recursive definition, with memory.
func levenshtein(a, b []float64) float64 {
	memo := map[[2]int]float64{}
	var d func(i, j int) float64
	d = func(i, j int) float64 {
		if i == 0 || j == 0 {
			return float64(i + j)
		}
		if v, ok := memo[[2]int{i, j}]; ok {
			return v
		}
		c := 1.0
		if a[i-1] == b[j-1] {
			c = 0
		}
		v := min(d(i-1, j)+1, d(i, j-1)+1, d(i-1, j-1)+c)
		memo[[2]int{i, j}] = v
		return v
	}
	return d(len(a), len(b))
}

// descend is gradient descent of a linear or logistic model with an intercept behind the coefficients.
func descend(x, y []float64, d, steps int, rate float64, link func(float64) float64) []float64 {
	n, w := len(y), make([]float64, d+1)
	for range steps {
		g := make([]float64, d+1)
		for i := range n {
			z := w[d]
			for j := range d {
				z += w[j] * x[i*d+j]
			}
			e := link(z) - y[i]
			for j := range d {
				g[j] += e * x[i*d+j]
			}
			g[d] += e
		}
		for j := range w {
			w[j] -= rate / float64(n) * g[j]
		}
	}
	return w
}

var libraryCases = []libraryCase{
	{"variance", vectorOfReals, "variance(x)", false, func(in func(string) []float64) []float64 { return []float64{momentOf(in("x"), in("x"), 0)} }},
	{"variance of a sample", vectorOfInts, "variance(x, sample=true)", false, func(in func(string) []float64) []float64 { return []float64{momentOf(in("x"), in("x"), 1)} }},
	{"stdev", vectorOfInts, "stdev(x)", false, func(in func(string) []float64) []float64 { return []float64{math.Sqrt(momentOf(in("x"), in("x"), 0))} }},
	{"covariance", twoVectors, "covariance(x, y)", false, func(in func(string) []float64) []float64 { return []float64{momentOf(in("x"), in("y"), 0)} }},
	{"correlation", "input x: int[12] from a in 0..9\ninput y: int[12] from b in 0..9\n", "correlation(concat(0, x, [0, 9]), concat(0, y, [9, 0]))", false, func(in func(string) []float64) []float64 {
		x, y := append(in("x"), 0, 9), append(in("y"), 9, 0)
		return []float64{momentOf(x, y, 0) / math.Sqrt(momentOf(x, x, 0)*momentOf(y, y, 0))}
	}},
	{"zscore", "input x: int[6] from a in 0..50\n", "zscore(concat(0, x, [0, 50]))", false, func(in func(string) []float64) []float64 {
		x := append(in("x"), 0, 50)
		var out []float64
		for _, v := range x {
			out = append(out, (v-meanOf(x))/math.Sqrt(momentOf(x, x, 0)))
		}
		return out
	}},
	{"median of an odd number", vectorOfInts, "median(x)", true, func(in func(string) []float64) []float64 { return []float64{sorted(in("x"))[4]} }},
	{"median of an even number", vectorOfReals, "median(x)", false, func(in func(string) []float64) []float64 { s := sorted(in("x")); return []float64{(s[3] + s[4]) / 2} }},
	{"quantile", vectorOfReals, "[quantile(x, 0.1), quantile(x, 0.75), quantile(x, 1)]", false, func(in func(string) []float64) []float64 {
		return []float64{quantileOf(in("x"), 0.1), quantileOf(in("x"), 0.75), quantileOf(in("x"), 1)}
	}},
	{"percentile_rank", vectorOfInts, "percentile_rank(x)", false, func(in func(string) []float64) []float64 {
		var out []float64
		for _, v := range in("x") {
			n := 0.0
			for _, u := range in("x") {
				if u <= v {
					n++
				}
			}
			out = append(out, n/9)
		}
		return out
	}},
	{"histogram", vectorOfInts, "histogram(x, [0, 10, 20, 50])", true, func(in func(string) []float64) []float64 {
		out := make([]float64, 3)
		for _, v := range in("x") {
			switch {
			case v < 10:
				out[0]++
			case v < 20:
				out[1]++
			default:
				out[2]++
			}
		}
		return out
	}},
	{"chi_square", "input x: int[2,3] from a in 5..50\n", "chi_square(x)", false, func(in func(string) []float64) []float64 {
		x := in("x")
		var row [2]float64
		var col [3]float64
		sum, chi := 0.0, 0.0
		for i, v := range x {
			row[i/3], col[i%3], sum = row[i/3]+v, col[i%3]+v, sum+v
		}
		for i, v := range x {
			e := row[i/3] * col[i%3] / sum
			chi += (v - e) * (v - e) / e
		}
		return []float64{chi}
	}},
	{"sort", vectorOfInts, "sort(x)", true, func(in func(string) []float64) []float64 { return sorted(in("x")) }},
	{"sort descending", vectorOfReals, "sort(x, descending=true)", false, func(in func(string) []float64) []float64 {
		s := sorted(in("x"))
		slices.Reverse(s)
		return s
	}},
	{"sort_by keeps the order of equal keys", "input x: int[11] from a in 0..3\ninput y: int[11,2] from b in 0..99\n", "sort_by({k: x, y: y}, x).y", true, func(in func(string) []float64) []float64 {
		at := make([]int, 11)
		for i := range at {
			at[i] = i
		}
		slices.SortStableFunc(at, func(i, j int) int { return int(in("x")[i] - in("x")[j]) })
		var out []float64
		for _, i := range at {
			out = append(out, in("y")[2*i:2*i+2]...)
		}
		return out
	}},
	{"top_k", vectorOfInts, "top_k(x, 3)", true, func(in func(string) []float64) []float64 { s := sorted(in("x")); slices.Reverse(s); return s[:3] }},
	{"top_k_by", "input x: int[7] from a in 0..5\n", "top_k_by(range(7), x, 3)", true, func(in func(string) []float64) []float64 {
		at := []int{0, 1, 2, 3, 4, 5, 6}
		slices.SortStableFunc(at, func(i, j int) int { return int(in("x")[j] - in("x")[i]) })
		return []float64{float64(at[0]), float64(at[1]), float64(at[2])}
	}},
	{"cummax", vectorOfInts, "cummax(x)", true, func(in func(string) []float64) []float64 {
		out, m := []float64{}, math.Inf(-1)
		for _, v := range in("x") {
			m = max(m, v)
			out = append(out, m)
		}
		return out
	}},
	{"cummin", vectorOfInts, "cummin(x)", true, func(in func(string) []float64) []float64 {
		out, m := []float64{}, math.Inf(1)
		for _, v := range in("x") {
			m = min(m, v)
			out = append(out, m)
		}
		return out
	}},
	{"unique and count_distinct", vectorOfInts, "concat(0, where(unique(x).first, unique(x).value, -1), [count_distinct(x)])", true, func(in func(string) []float64) []float64 {
		s := sorted(in("x"))
		n := float64(len(slices.Compact(slices.Clone(s))))
		for i := len(s) - 1; i > 0; i-- {
			if s[i] == s[i-1] {
				s[i] = -1
			}
		}
		return append(s, n)
	}},
	{"occurs and the intersections", "input x: int[9] from a in 0..15\ninput y: int[5] from b in 0..15\ninput v: int[5] from b in 0..99\n", "concat(0, int(occurs(x, y)), [intersection_sum(x, y, v)])", true, func(in func(string) []float64) []float64 {
		var out []float64
		for _, k := range in("x") {
			hit := 0.0
			if slices.Contains(in("y"), k) {
				hit = 1
			}
			out = append(out, hit)
		}
		sum := 0.0
		for i, k := range in("y") {
			if slices.Contains(in("x"), k) {
				sum += in("v")[i]
			}
		}
		return append(out, sum)
	}},
	{"intersection_size and lookup_by of ids that occur once", "input x: int[6] from a in 0..9\ninput v: real[8] from b in 0..100\n",
		"concat(0, lookup_by(x, range(8) + 1, v).value, real(int(lookup_by(x, range(8) + 1, v).found)))", false, func(in func(string) []float64) []float64 {
			var out, found []float64
			for _, k := range in("x") {
				if k >= 1 && k <= 8 {
					out, found = append(out, in("v")[int(k)-1]), append(found, 1)
				} else {
					out, found = append(out, 0), append(found, 0)
				}
			}
			return append(out, found...)
		}},
	{"intersection_size", "input x: int from a in 0..90\n", "intersection_size(range(8) * 10 + x, range(100))", true, func(in func(string) []float64) []float64 {
		n := 0.0
		for i := range 8 {
			if in("x")[0]+float64(10*i) < 100 {
				n++
			}
		}
		return []float64{n}
	}},
	{"groups", "input g: int[10] from a in 0..3\ninput v: int[10] from b in 0..100\n", "concat(0, group_count(g, 4), group_sum(v, g, 4))", true, func(in func(string) []float64) []float64 {
		out := make([]float64, 8)
		for i, k := range in("g") {
			out[int(k)]++
			out[4+int(k)] += in("v")[i]
		}
		return out
	}},
	{"group_mean", "input g: int[10] from a in 0..3\ninput v: real[10] from b in 0..100\n", "group_mean(v, g, 4)", false, func(in func(string) []float64) []float64 {
		out, n := make([]float64, 4), make([]float64, 4)
		for i, k := range in("g") {
			n[int(k)]++
			out[int(k)] += in("v")[i]
		}
		for k := range out {
			out[k] /= max(1, n[k])
		}
		return out
	}},
	{"edit_distance", "input x: int[7] from a in 0..2\ninput y: int[5] from b in 0..2\n", "[edit_distance(x, y), edit_distance(y, x)]", true, func(in func(string) []float64) []float64 {
		return []float64{levenshtein(in("x"), in("y")), levenshtein(in("y"), in("x"))}
	}},
	{"auctions", vectorOfInts, "[first_price(x).winner, first_price(x).price, second_price(x).winner, second_price(x).price]", true, func(in func(string) []float64) []float64 {
		x, s := in("x"), sorted(in("x"))
		w := float64(slices.Index(x, s[8]))
		return []float64{w, s[8], w, s[7]}
	}},
	{"double_auction", "input x: int[5] from a in 0..30\ninput y: int[7] from b in 0..30\n", "[double_auction(x, y).volume, double_auction(x, y).price]", true, func(in func(string) []float64) []float64 {
		b, a := sorted(in("x")), sorted(in("y"))
		slices.Reverse(b)
		k := 0
		for k < 5 && b[k] >= a[k] {
			k++
		}
		if k == 0 {
			return []float64{0, 0}
		}
		return []float64{float64(k), math.Floor((b[k-1] + a[k-1]) / 2)}
	}},
	{"linear_fit", "input x: int[6] from a in 0..20\ninput y: real[8] from b in -10..10\n", "[linear_fit(concat(0, x, [0, 20]), y).slope, linear_fit(concat(0, x, [0, 20]), y).intercept]", false, func(in func(string) []float64) []float64 {
		x := append(in("x"), 0, 20)
		s := momentOf(x, in("y"), 0) / momentOf(x, x, 0)
		return []float64{s, meanOf(in("y")) - s*meanOf(x)}
	}},
	{"solve and linear_regression", "input x: int[4] from a in 0..20\ninput y: real[8] from b in -10..10\n", "linear_regression(transpose(stack(concat(0, x, [0, 20, 10, 0]), concat(0, [20, 0, 10, 0], x))), y, ridge=1.0)", false, func(in func(string) []float64) []float64 {
		u, v, y := append(in("x"), 0, 20, 10, 0), append([]float64{20, 0, 10, 0}, in("x")...), in("y")
		a, b, c, p, q := momentOf(u, u, 0)+1, momentOf(u, v, 0), momentOf(v, v, 0)+1, momentOf(u, y, 0), momentOf(v, y, 0)
		w0, w1 := (c*p-b*q)/(a*c-b*b), (a*q-b*p)/(a*c-b*b) // Cramer's rule
		return []float64{w0, w1, meanOf(y) - w0*meanOf(u) - w1*meanOf(v)}
	}},
	{"principal_component", "input x: int[4,2] from a in 0..10\n", "principal_component(concat(0, x, [[0, 0], [10, 10]]), [1, 0.5], 2)", false, func(in func(string) []float64) []float64 {
		x := append(in("x"), 0, 0, 10, 10)
		var u, v []float64
		for i := 0; i < len(x); i += 2 {
			u, v = append(u, x[i]), append(v, x[i+1])
		}
		a, b, c, p, q := momentOf(u, u, 0), momentOf(u, v, 0), momentOf(v, v, 0), 1.0, 0.5
		for range 2 {
			p, q = a*p+b*q, b*p+c*q
			n := math.Hypot(p, q)
			p, q = p/n, q/n
		}
		return []float64{p, q}
	}},
	{"linear_regression_steps", points, "linear_regression_steps(x, y, 3, rate=0.05)", false, func(in func(string) []float64) []float64 {
		return descend(in("x"), in("y"), 2, 3, 0.05, func(z float64) float64 { return z })
	}},
	{"logistic_regression", "input x: real[6,2] from a in -4..4\ninput y: bool[6] from b\n", "logistic_regression(x, int(y), 3, rate=0.5)", false, func(in func(string) []float64) []float64 {
		return descend(in("x"), in("y"), 2, 3, 0.5, func(z float64) float64 { return 1 / (1 + math.Exp(-z)) })
	}},
	{"kmeans", "input x: int[9,2] from a in 0..30\n", "kmeans(x, [[0, 0], [30, 30]], 2)", false, func(in func(string) []float64) []float64 {
		x, c := in("x"), []float64{0, 0, 30, 30}
		for range 2 {
			sum, n := make([]float64, 4), make([]float64, 2)
			for i := 0; i < len(x); i += 2 {
				d := func(k int) float64 {
					return c[2*k]*c[2*k] + c[2*k+1]*c[2*k+1] - 2*(x[i]*c[2*k]+x[i+1]*c[2*k+1])
				}
				k := 0
				if d(1) < d(0) {
					k = 1
				}
				sum[2*k], sum[2*k+1], n[k] = sum[2*k]+x[i], sum[2*k+1]+x[i+1], n[k]+1
			}
			for k := range n {
				if n[k] > 0 {
					c[2*k], c[2*k+1] = sum[2*k]/n[k], sum[2*k+1]/n[k]
				}
			}
		}
		return c
	}},
	{"a secret index", "input x: int from a in 0..5\ninput y: real[6,2] from b in -9..9\n", "y[x]", false, func(in func(string) []float64) []float64 {
		k := 2 * int(in("x")[0])
		return in("y")[k : k+2]
	}},
	{"assignment at a secret place", "input x: int from a in 0..5\n", "put(x)", true, func(in func(string) []float64) []float64 {
		out := make([]float64, 6)
		out[int(in("x")[0])] = 7
		return out
	}},
	{"a loop over elements", "input x: int[40] from a in 0..1000\ninput y: int[40] from b in 0..1000\n", "run(x, y)", true, func(in func(string) []float64) []float64 {
		m := 0.0
		for i, v := range in("x") {
			m = max(m, math.Abs(v-in("y")[i]))
		}
		return []float64{m}
	}},
	{"a table of elements", "input x: int[9] from a in 0..3\ninput y: int[9] from b in 0..3\n", "distance(x, y)", true, func(in func(string) []float64) []float64 {
		return []float64{levenshtein(in("x"), in("y"))}
	}},
	{"bits and shifts", "input x: uint16[4] from a\ninput y: uint16[4] from b\n", "int(concat(0, bitxor(x, y), bitand(x, y), bitor(x, y), x + y, shr(x, 3), shl(x, 3), uint16(from_bits(bits(x)))))", true, func(in func(string) []float64) []float64 {
		var xor, and, or, sum, right, left, same []float64
		for i, v := range in("x") {
			x, y := uint16(v), uint16(in("y")[i])
			xor, and, or, sum = append(xor, float64(x^y)), append(and, float64(x&y)), append(or, float64(x|y)), append(sum, float64(x+y))
			right, left, same = append(right, float64(x>>3)), append(left, float64(x<<3)), append(same, v)
		}
		return slices.Concat(xor, and, or, sum, right, left, same)
	}},
	{"types that wrap", "input x: int8[6] from a\ninput y: int8[6] from b\n", "int(concat(0, x * y, x - y, -x, abs(x)))", true, func(in func(string) []float64) []float64 {
		var mul, sub, neg, abs []float64
		for i, v := range in("x") {
			x, y := int8(v), int8(in("y")[i])
			mul, sub, neg = append(mul, float64(x*y)), append(sub, float64(x-y)), append(neg, float64(-x))
			if x < 0 {
				x = -x
			}
			abs = append(abs, float64(x))
		}
		return slices.Concat(mul, sub, neg, abs)
	}},
	{"decimals", "input x: int[5] from a in -99_999..99_999\ninput y: int[5] from b in 1..999\n", "cents(x, y)", true, func(in func(string) []float64) []float64 {
		var out []float64
		half := func(n, d float64) float64 { // away from 0
			q := math.Floor((2*math.Abs(n) + d) / (2 * d))
			return math.Copysign(q, n) + 0
		}
		for i, v := range in("x") {
			out = append(out, half(v*10, 100))
			out = append(out, half(v*100, in("y")[i]))
		}
		var a, b []float64
		for i := range in("x") {
			a, b = append(a, out[2*i]), append(b, out[2*i+1])
		}
		return append(a, b...)
	}},
}

// libraryFunctions are what some of the cases call besides the library.
const libraryFunctions = `fn put(k) {
    let y = zeros([6])
    y[k] = 7
    return y
}
fn run(x, y) {
    let m = 0
    for i in range(size(x)) {
        let d = abs(x[i] - y[i])
        m = maximum(m, d)
    }
    return m
}
fn distance(x, y) {
    let n = size(x)
    let d = zeros([n + 1, n + 1])
    for i in 0..n {
        d[i, 0] = i
        d[0, i] = i
    }
    for i in 1..n {
        for j in 1..n {
            d[i, j] = minimum(minimum(d[i - 1, j], d[i, j - 1]) + 1, d[i - 1, j - 1] + where(x[i - 1] == y[j - 1], 0, 1))
        }
    }
    return d[n, n]
}
# x / 100 as a decimal in tenths, and x / y in hundredths.
fn cents(x, y) {
    return concat(0, int(10 * round(divide(x, 100, places=2), 1)), int(100 * divide(x, y, places=2)))
}
`

// drawLibrary returns a case with data.
func drawLibrary(l libraryCase, seed uint64) *computation {
	r := rand.New(rand.NewPCG(seed, 77))
	c := &computation{text: "parties a, b\n" + l.inputs + libraryFunctions + "reveal " + l.value + " to a as y\n", kind: l.name}
	c.m, c.parse = dsl.Parse("library.smp", []byte(c.text), dsl.Options{})
	if c.parse != nil {
		return c
	}
	for range 3 {
		data, in := map[string]*ir.Tensor{}, map[string][]float64{}
		for _, v := range c.m.Main().Inputs() {
			lo, hi := v.Attrs.Float("lo", 0), v.Attrs.Float("hi", 1)
			t := ir.NewTensor(v.Type.Elem, v.Type.Shape)
			for i := range t.Len() {
				x := lo + (hi-lo)*r.Float64()
				if v.Type.Elem == ir.Real {
					t.F[i] = math.Round(x*64) / 64
				} else {
					t.I[i] = int64(math.Round(x))
				}
				in[v.Attrs.Str("name")] = append(in[v.Attrs.Str("name")], t.At(i))
			}
			data[v.Attrs.Str("name")] = t
		}
		list := l.want(func(n string) []float64 { return slices.Clone(in[n]) })
		shape := c.m.Main().Reveals()[0].Type.Shape
		w := ir.NewTensor(ir.Real, shape)
		if l.whole {
			w = ir.NewTensor(ir.Int, shape)
		}
		for i, x := range list {
			if i < len(w.F) {
				w.F[i] = x
			} else if i < len(w.I) {
				w.I[i] = int64(x)
			}
		}
		if len(list) != w.Len() {
			c.parse = fmt.Errorf("internal error: the case says %d numbers, the program %v", len(list), shape)
		}
		c.data, c.want = append(c.data, data), append(c.want, map[string]*exact.Tensor{"y": exact.Of(w)})
	}
	return c
}

// TestLibrary compares functions of the language's library, and what the language does with loops, places and types, with references: in the clear
// all of them, and securely a share of them, all at night.
func TestLibrary(t *testing.T) {
	ofNumbers(t)
	for i, l := range libraryCases {
		t.Run(strings.ReplaceAll(l.name, " ", "-"), func(t *testing.T) {
			c := drawLibrary(l, uint64(i+1))
			if c.parse != nil {
				t.Fatal(c.parse)
			}
			for k, data := range c.data {
				got, err := exact.Run(c.m, data)
				if err != nil {
					t.Fatal(err)
				}
				want := c.want[k]["y"]
				if got["y"].Elem != want.Elem {
					t.Fatalf("elements are %v, want %v", got["y"].Elem, want.Elem)
				}
				for j := range want.Len() {
					if g, w := got["y"].At(j), want.At(j); math.Abs(g-w) > 1e-9*(1+math.Abs(w)) {
						t.Fatalf("data %d: element %d is %v, want %v\n%s", k, j, g, w, c.show())
					}
				}
			}
			if i%8 != 0 && !allCases() {
				return
			}
			if v, why := c.judge(); v != isRight {
				t.Errorf("%s: %s\n%s", v, why, c.show())
			}
		})
	}
}
