package smpcc_test

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"smpcc/frontend/dsl"
	"smpcc/ir"
	"smpcc/ir/exact"
)

// An amount is what an expression of a program is worth for each set of data: a vector of integers, reals or bits, or one of them,
// computed while the text is drawn and by nothing of the compiler.
type amount struct {
	text  string
	elem  ir.Elem
	many  bool // a vector, else a scalar
	known bool // no input is in it
	whole [][]*big.Int
	real  [][]float64
	bits  [][]bool
}

// length returns the number of elements.
func (a amount) length() int {
	if a.many {
		return vector
	}
	return 1
}

// vector is the length of all vectors of drawn programs.
const vector = 3

// A writer draws a program.
type writer struct {
	r       *rand.Rand
	text    strings.Builder
	names   []amount // what has a name
	data    []map[string]*ir.Tensor
	parties []string
	tie     bool
	kinds   map[string]bool
}

func (w *writer) int(lo, hi int) int { return lo + w.r.IntN(hi-lo+1) }

// each computes an amount of a kind element by element, for each set of data; scalars go with vectors.
func (w *writer) each(what, text string, e ir.Elem, xs []amount, f func(set int, at func(arg int) int) any) amount {
	w.kinds[what] = true
	out := amount{text: text, elem: e, known: true}
	for _, x := range xs {
		out.many, out.known = out.many || x.many, out.known && x.known
	}
	for set := range w.data {
		var ints []*big.Int
		var reals []float64
		var bits []bool
		for i := range out.length() {
			switch y := f(set, func(arg int) int {
				if xs[arg].many {
					return i
				}
				return 0
			}).(type) {
			case *big.Int:
				ints = append(ints, y)
			case float64:
				reals = append(reals, y)
			case bool:
				bits = append(bits, y)
			}
		}
		out.whole, out.real, out.bits = append(out.whole, ints), append(out.real, reals), append(out.bits, bits)
	}
	return out
}

// input declares an input of a kind and its data.
func (w *writer) input(e ir.Elem) amount {
	x := amount{text: fmt.Sprintf("x%d", len(w.names)), elem: e, many: w.r.IntN(2) == 0}
	shape, suffix := ir.Shape{}, ""
	if x.many {
		shape, suffix = ir.Shape{vector}, fmt.Sprintf("[%d]", vector)
	}
	s := &sampler{r: w.r}
	lo, hi, ends := 0.0, 0.0, ""
	switch e {
	case ir.Int:
		lo, hi = float64(-w.int(0, 1)*w.int(1, 1000)), math.Round(math.Pow(10, float64(w.int(1, 11))))
		ends = fmt.Sprintf(" in %s..%s", signed(big.NewInt(int64(lo))), big.NewInt(int64(hi)))
	case ir.Real:
		hi = math.Round(math.Pow(10, 6*w.r.Float64())*16) / 16
		lo = -hi * float64(w.int(0, 1))
		ends = fmt.Sprintf(" in %s..%s", decimal(lo), decimal(hi))
	}
	fmt.Fprintf(&w.text, "input %s: %s%s from %s%s\n", x.text, e, suffix, w.parties[w.r.IntN(len(w.parties))], ends)
	for _, data := range w.data {
		t := s.tensor(e, shape, lo, hi)
		data[x.text] = t
		var ints []*big.Int
		var bits []bool
		for _, v := range t.I {
			ints, bits = append(ints, big.NewInt(v)), append(bits, v != 0)
		}
		x.whole, x.real, x.bits = append(x.whole, ints), append(x.real, t.F), append(x.bits, bits)
	}
	w.names = append(w.names, x)
	return x
}

// signed and decimal write numbers as the language reads them.
func signed(x *big.Int) string {
	if x.Sign() < 0 {
		return "(-" + new(big.Int).Neg(x).String() + ")"
	}
	return x.String()
}

func decimal(x float64) string {
	s := fmt.Sprintf("%.10f", math.Abs(x))
	if x < 0 {
		return "(-" + s + ")"
	}
	return s
}

// constant draws a number that is known when compiling.
func (w *writer) constant(e ir.Elem) amount {
	x := amount{elem: e, known: true}
	var n *big.Int
	var f float64
	var b bool
	switch e {
	case ir.Int:
		n = big.NewInt(int64(w.int(-9, 9)))
		if w.r.IntN(3) == 0 {
			n = big.NewInt(int64(math.Pow(10, float64(w.int(1, 10)))))
		}
		x.text = signed(n)
	case ir.Real:
		f = math.Round(math.Pow(10, 8*w.r.Float64()-4)*1e6) / 1e6
		x.text = decimal(f)
	default:
		b = w.r.IntN(2) == 0
		x.text = fmt.Sprint(b)
	}
	for range w.data {
		x.whole, x.real, x.bits = append(x.whole, []*big.Int{n}), append(x.real, []float64{f}), append(x.bits, []bool{b})
	}
	return x
}

// leaf draws something named of a kind, a new input, or a constant.
func (w *writer) leaf(e ir.Elem) amount {
	var fit []amount
	for _, x := range w.names {
		if x.elem == e {
			fit = append(fit, x)
		}
	}
	switch {
	case w.r.IntN(6) == 0:
		return w.constant(e)
	case len(fit) > 0 && w.r.IntN(3) != 0:
		return fit[w.r.IntN(len(fit))]
	}
	return w.input(e)
}

// expr draws an expression of a kind.
func (w *writer) expr(e ir.Elem, depth int) amount {
	if depth == 0 || w.r.IntN(6) == 0 {
		return w.leaf(e)
	}
	switch e {
	case ir.Int:
		return w.integer(depth - 1)
	case ir.Real:
		return w.number(depth - 1)
	}
	return w.condition(depth - 1)
}

var arithmetic = []struct {
	text string
	big  func(z, x, y *big.Int) *big.Int
	real func(x, y float64) float64
}{
	{"%s + %s", (*big.Int).Add, func(x, y float64) float64 { return x + y }},
	{"%s - %s", (*big.Int).Sub, func(x, y float64) float64 { return x - y }},
	{"%s * %s", (*big.Int).Mul, func(x, y float64) float64 { return x * y }},
	{"maximum(%s, %s)", func(z, x, y *big.Int) *big.Int {
		if x.Cmp(y) < 0 {
			x = y
		}
		return z.Set(x)
	}, math.Max},
	{"minimum(%s, %s)", func(z, x, y *big.Int) *big.Int {
		if x.Cmp(y) > 0 {
			x = y
		}
		return z.Set(x)
	}, math.Min},
}

// integer draws an expression of integers.
func (w *writer) integer(depth int) amount {
	switch w.r.IntN(14) {
	case 9: // a secret place, within
		x, k := w.expr(ir.Int, depth), w.expr(ir.Int, depth)
		if !x.many {
			return x
		}
		if k.many {
			k = w.leaf(ir.Bool)
			if k.many || k.known {
				return x
			}
			return w.each("int lookup by bool", fmt.Sprintf("%s[int(%s)]", x.text, k.text), ir.Int, []amount{{known: x.known && k.known}}, func(s int, _ func(int) int) any {
				at := 0
				if k.bits[s][0] {
					at = 1
				}
				return x.whole[s][at]
			})
		}
		return w.each("int lookup", fmt.Sprintf("%s[mod(abs(%s), %d)]", x.text, k.text, vector), ir.Int, []amount{{known: x.known && k.known}}, func(s int, _ func(int) int) any {
			m := new(big.Int).Rem(new(big.Int).Abs(k.whole[s][0]), big.NewInt(vector))
			return x.whole[s][m.Int64()]
		})
	case 10: // what a type keeps
		x := w.expr(ir.Int, depth)
		bits, signed := []uint{8, 16, 32}[w.r.IntN(3)], w.r.IntN(2) == 0
		name := fmt.Sprintf("uint%d", bits)
		if signed {
			name = name[1:]
		}
		return w.each(name, fmt.Sprintf("int(%s(%s))", name, x.text), ir.Int, []amount{x}, func(s int, at func(int) int) any {
			span := new(big.Int).Lsh(big.NewInt(1), bits)
			m := new(big.Int).Mod(x.whole[s][at(0)], span)
			if signed && m.Bit(int(bits)-1) == 1 {
				m.Sub(m, span)
			}
			return m
		})
	case 11: // a sort, and an element of it
		x := w.expr(ir.Int, depth)
		if !x.many {
			return x
		}
		k := w.int(0, vector-1)
		return w.each("sort", fmt.Sprintf("sort(%s)[%d]", x.text, k), ir.Int, []amount{{known: x.known}}, func(s int, _ func(int) int) any {
			list := slices.Clone(x.whole[s])
			slices.SortFunc(list, (*big.Int).Cmp)
			return list[k]
		})
	case 12: // a loop
		x, y := w.expr(ir.Int, depth), w.expr(ir.Int, depth)
		if !x.many || y.many {
			return x
		}
		return w.each("loop", fmt.Sprintf("above(%s, %s)", x.text, y.text), ir.Int, []amount{{known: x.known && y.known}}, func(s int, _ func(int) int) any {
			sum := new(big.Int)
			for _, v := range x.whole[s] {
				if v.Cmp(y.whole[s][0]) > 0 {
					sum.Add(sum, v)
				}
			}
			return sum
		})
	case 13: // cents of a rounded quotient
		x, c := w.expr(ir.Int, depth), int64(w.int(1, 1000))
		return w.each("divide", fmt.Sprintf("int(100 * divide(%s, %d))", x.text, c), ir.Int, []amount{x}, func(s int, at func(int) int) any {
			n := new(big.Int).Mul(x.whole[s][at(0)], big.NewInt(100))
			q := new(big.Int).Abs(n)
			q.Add(q.Lsh(q, 1), big.NewInt(c)).Quo(q, big.NewInt(2*c))
			if n.Sign() < 0 {
				q.Neg(q)
			}
			return q
		})
	case 8:
		x, c := w.expr(ir.Int, depth), big.NewInt(int64(w.int(1, 100000)))
		name, f := "div", (*big.Int).Quo
		if w.r.IntN(2) == 0 {
			name, f = "mod", (*big.Int).Rem
		}
		return w.each(name, fmt.Sprintf("%s(%s, %s)", name, x.text, c), ir.Int, []amount{x}, func(s int, at func(int) int) any { return f(new(big.Int), x.whole[s][at(0)], c) })
	case 0:
		x := w.expr(ir.Int, depth)
		return w.each("int abs", "abs("+x.text+")", ir.Int, []amount{x}, func(s int, at func(int) int) any { return new(big.Int).Abs(x.whole[s][at(0)]) })
	case 1:
		x := w.expr(ir.Int, depth)
		if !x.many {
			return x
		}
		y := w.each("int sum", "sum("+x.text+")", ir.Int, []amount{{known: x.known}}, func(s int, _ func(int) int) any {
			sum := new(big.Int)
			for _, v := range x.whole[s] {
				sum.Add(sum, v)
			}
			return sum
		})
		return y
	case 2:
		c, x, y := w.expr(ir.Bool, depth), w.expr(ir.Int, depth), w.expr(ir.Int, depth)
		return w.each("int where", fmt.Sprintf("where(%s, %s, %s)", c.text, x.text, y.text), ir.Int, []amount{c, x, y}, func(s int, at func(int) int) any {
			if c.bits[s][at(0)] {
				return x.whole[s][at(1)]
			}
			return y.whole[s][at(2)]
		})
	case 3:
		x := w.expr(ir.Bool, depth)
		return w.each("int of bool", "int("+x.text+")", ir.Int, []amount{x}, func(s int, at func(int) int) any {
			if x.bits[s][at(0)] {
				return big.NewInt(1)
			}
			return new(big.Int)
		})
	}
	op := arithmetic[w.r.IntN(len(arithmetic))]
	x, y := w.expr(ir.Int, depth), w.expr(ir.Int, depth)
	return w.each("int "+strings.ReplaceAll(op.text, "%s", ""), "("+fmt.Sprintf(op.text, x.text, y.text)+")", ir.Int, []amount{x, y}, func(s int, at func(int) int) any {
		return op.big(new(big.Int), x.whole[s][at(0)], y.whole[s][at(1)])
	})
}

// number draws an expression of reals.
func (w *writer) number(depth int) amount {
	switch w.r.IntN(10) {
	case 0:
		x := w.expr(ir.Real, depth)
		return w.each("sigmoid", "sigmoid("+x.text+")", ir.Real, []amount{x}, func(s int, at func(int) int) any { return 1 / (1 + math.Exp(-x.real[s][at(0)])) })
	case 1:
		x, c := w.expr(ir.Real, depth), w.constant(ir.Real)
		return w.each("quotient", "("+x.text+" / "+c.text+")", ir.Real, []amount{x}, func(s int, at func(int) int) any { return x.real[s][at(0)] / c.real[s][0] })
	case 2:
		x := w.expr(ir.Int, depth)
		return w.each("real of int", "real("+x.text+")", ir.Real, []amount{x}, func(s int, at func(int) int) any {
			f, _ := new(big.Float).SetInt(x.whole[s][at(0)]).Float64()
			return f
		})
	case 3:
		x := w.expr(ir.Real, depth)
		if !x.many {
			return x
		}
		name := []string{"sum", "mean"}[w.r.IntN(2)]
		return w.each(name, name+"("+x.text+")", ir.Real, []amount{{known: x.known}}, func(s int, _ func(int) int) any {
			sum := 0.0
			for _, v := range x.real[s] {
				sum += v
			}
			if name == "mean" {
				sum /= vector
			}
			return sum
		})
	case 4:
		x := w.expr(ir.Real, depth)
		return w.each("clip", "clip("+x.text+", (-2.5), 7.0)", ir.Real, []amount{x}, func(s int, at func(int) int) any { return math.Min(math.Max(x.real[s][at(0)], -2.5), 7) })
	case 5:
		c, x, y := w.expr(ir.Bool, depth), w.expr(ir.Real, depth), w.expr(ir.Real, depth)
		return w.each("where", fmt.Sprintf("where(%s, %s, %s)", c.text, x.text, y.text), ir.Real, []amount{c, x, y}, func(s int, at func(int) int) any {
			if c.bits[s][at(0)] {
				return x.real[s][at(1)]
			}
			return y.real[s][at(2)]
		})
	}
	op := arithmetic[w.r.IntN(len(arithmetic))]
	x, y := w.expr(ir.Real, depth), w.expr(ir.Real, depth)
	return w.each(strings.ReplaceAll(op.text, "%s", ""), "("+fmt.Sprintf(op.text, x.text, y.text)+")", ir.Real, []amount{x, y}, func(s int, at func(int) int) any {
		return op.real(x.real[s][at(0)], y.real[s][at(1)])
	})
}

// orders are comparisons by the sign of x - y.
var orders = []struct {
	text string
	is   func(order int) bool
}{
	{"<", func(o int) bool { return o < 0 }}, {"<=", func(o int) bool { return o <= 0 }}, {">", func(o int) bool { return o > 0 }},
	{">=", func(o int) bool { return o >= 0 }}, {"==", func(o int) bool { return o == 0 }}, {"!=", func(o int) bool { return o != 0 }},
}

// condition draws an expression of bits.
func (w *writer) condition(depth int) amount {
	switch w.r.IntN(6) {
	case 0:
		x := w.expr(ir.Bool, depth)
		return w.each("not", "(not "+x.text+")", ir.Bool, []amount{x}, func(s int, at func(int) int) any { return !x.bits[s][at(0)] })
	case 1, 2:
		x, y, or := w.expr(ir.Bool, depth), w.expr(ir.Bool, depth), w.r.IntN(2) == 0
		name := map[bool]string{false: "and", true: "or"}[or]
		return w.each(name, "("+x.text+" "+name+" "+y.text+")", ir.Bool, []amount{x, y}, func(s int, at func(int) int) any {
			a, b := x.bits[s][at(0)], y.bits[s][at(1)]
			return or && (a || b) || a && b
		})
	case 3:
		o := orders[w.r.IntN(4)]
		x, y := w.expr(ir.Real, depth), w.expr(ir.Real, depth)
		return w.each("real "+o.text, "("+x.text+" "+o.text+" "+y.text+")", ir.Bool, []amount{x, y}, func(s int, at func(int) int) any {
			a, b := x.real[s][at(0)], y.real[s][at(1)]
			w.tie = w.tie || tied(a, b) && !(x.known && y.known)
			switch {
			case a < b:
				return o.is(-1)
			case a > b:
				return o.is(1)
			}
			return o.is(0)
		})
	}
	o := orders[w.r.IntN(len(orders))]
	x, y := w.expr(ir.Int, depth), w.expr(ir.Int, depth)
	return w.each("int "+o.text, "("+x.text+" "+o.text+" "+y.text+")", ir.Bool, []amount{x, y}, func(s int, at func(int) int) any {
		return o.is(x.whole[s][at(0)].Cmp(y.whole[s][at(1)]))
	})
}

// tensor returns an amount's value for one set of data.
func (a amount) tensor(set int) *exact.Tensor {
	shape := ir.Shape{}
	if a.many {
		shape = ir.Shape{vector}
	}
	switch a.elem {
	case ir.Int:
		return exact.Whole(shape, a.whole[set]...)
	case ir.Real:
		return exact.Of(ir.Reals(shape, a.real[set]...))
	}
	t := ir.NewTensor(ir.Bool, shape)
	for i, b := range a.bits[set] {
		if b {
			t.I[i] = 1
		}
	}
	return exact.Of(t)
}

// drawProgram draws a program of a few bindings and one reveal.
func drawProgram(seed uint64) *computation {
	r := rand.New(rand.NewPCG(seed, 2))
	w := &writer{r: r, data: []map[string]*ir.Tensor{{}, {}}, parties: []string{"a", "b", "c", "e", "f"}[:[]int{2, 2, 2, 2, 3, 5}[r.IntN(6)]], kinds: map[string]bool{}}
	fmt.Fprintf(&w.text, "parties %s\n", strings.Join(w.parties, ", "))
	w.text.WriteString("fn above(x, y) {\n    let t = 0\n    for v in x {\n        t += where(v > y, v, 0)\n    }\n    return t\n}\n")
	kinds := []ir.Elem{ir.Int, ir.Real, ir.Bool}
	for range w.int(0, 2) { // named on the way
		x := w.expr(kinds[r.IntN(3)], 1)
		if x.known {
			continue
		}
		name := fmt.Sprintf("t%d", len(w.names))
		fmt.Fprintf(&w.text, "let %s = %s\n", name, x.text)
		x.text = name
		w.names = append(w.names, x)
	}
	y := w.expr(kinds[r.IntN(3)], 3)
	for y.known {
		y = w.expr(kinds[r.IntN(3)], 3)
	}
	fmt.Fprintf(&w.text, "reveal %s to %s as y\n", y.text, strings.Join(w.parties, ", "))
	c := &computation{text: w.text.String(), tie: w.tie, data: w.data}
	var names []string
	for k := range w.kinds {
		names = append(names, strings.TrimSpace(k))
	}
	c.kind = strings.Join(slices.Sorted(slices.Values(names)), ", ")
	for set := range w.data {
		c.want = append(c.want, map[string]*exact.Tensor{"y": y.tensor(set)})
	}
	c.m, c.parse = dsl.Parse("drawn.smp", []byte(c.text), dsl.Options{})
	return c
}

// TestDifferentialPrograms runs random programs: some hundreds, and 10^5 at night.
func TestDifferentialPrograms(t *testing.T) {
	ofNumbers(t)
	differ(t, 500, 100_000, drawProgram)
}
