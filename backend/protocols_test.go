package backend

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
	"smpcc/runtime/ring"
)

// protocols is the page that states the cryptography of every step.
func protocols(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// tableOf returns the rows of the table below a heading of the page, without its header.
func tableOf(t *testing.T, page, heading string) (rows [][]string) {
	t.Helper()
	_, below, ok := strings.Cut(page, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("docs/protocols.md has no heading %q", heading)
	}
	for _, line := range strings.Split(below, "\n") {
		if strings.HasPrefix(line, "#") {
			break
		}
		if !strings.HasPrefix(line, "|") {
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("no table below %q", heading)
	}
	return rows[2:]
}

// anchor returns the link that leads to a heading.
func anchor(heading string) string {
	s := strings.ToLower(strings.TrimSpace(strings.TrimLeft(heading, "#")))
	s = regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(s, "")
	return "#" + strings.ReplaceAll(s, " ", "-")
}

// TestEveryStepHasASection checks that docs/protocols.md says of every step and kind of opening in which section it stands, that the section
// exists and names it, and that nothing is listed that is no step.
func TestEveryStepHasASection(t *testing.T) {
	page := protocols(t)
	text := map[string]string{} // by anchor
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(page, -1)[1:] {
		title, body, _ := strings.Cut(part, "\n")
		text[anchor(title)] = body
	}
	link := regexp.MustCompile(`\]\((#[^)]*)\)`)
	listed := map[string]bool{}
	for _, row := range tableOf(t, page, "## Steps and where they stand") {
		name := strings.Trim(row[0], "`")
		listed[name] = true
		m := link.FindStringSubmatch(row[len(row)-1])
		if m == nil {
			t.Errorf("%s has no link to a section", name)
			continue
		}
		if body, ok := text[m[1]]; !ok {
			t.Errorf("%s: there is no section %s", name, m[1])
		} else if !strings.Contains(body, "`"+name+"`") {
			t.Errorf("section %s does not speak of `%s`", m[1], name)
		}
	}
	want := map[string]bool{}
	for op, row := range plan.Steps {
		want[row.Name] = true
		if !listed[row.Name] {
			t.Errorf("step %s (%d) has no section in docs/protocols.md", row.Name, op)
		}
	}
	for k := plan.OpenWire; k <= plan.Give; k++ {
		want["open "+k.String()] = true
		if !listed["open "+k.String()] {
			t.Errorf("opening %v has no section in docs/protocols.md", k)
		}
	}
	for name := range listed {
		if !want[name] {
			t.Errorf("docs/protocols.md lists %q, which is no step", name)
		}
	}
}

// A figure is an op in a plan of its own: what the page says that it costs is compared with the plan.
type figure struct {
	row   string // of the table of costs
	with  map[string]int
	build func(b *shares) *ir.Value
}

// shares builds share-level modules; what is under test stands at node "op".
type shares struct {
	t *testing.T
	m *ir.Module
	f *ir.Func
}

func (b *shares) emit(node string, op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	b.t.Helper()
	v, err := b.f.Emit(diag.Pos{File: "m", Node: node}, op, attrs, args...)
	if err != nil {
		b.t.Fatal(err)
	}
	v.Range = ir.Range{Lo: -1, Hi: 1, Origin: ir.Proved}
	return v
}

// elements of each tensor: so many that every opening ends at a byte.
const elements = 8

// input is an input of p1, in a form.
func (b *shares) input(node, name, form string, bits int) *ir.Value {
	b.t.Helper()
	return b.scaled(node, name, form, bits, 0)
}

// scaled is input with fraction bits.
func (b *shares) scaled(node, name, form string, bits, scale int) *ir.Value {
	b.t.Helper()
	return b.emit(node, ir.OpInput, ir.Attrs{ir.S("name", name), ir.S("owner", "p1"), ir.S("elem", "int"), ir.Dims("shape", []int{elements}),
		ir.I("scale", int64(scale)), ir.I("bits", int64(bits)), ir.S("form", form)})
}

// bit is an opened bit, of a comparison of another wire.
func (b *shares) bit() *ir.Value {
	x := b.input("x", "other", "masked", 8)
	return b.emit("x", ir.OpOpenBit, nil, b.emit("x", ir.OpLtz, nil, x))
}

var figures = []figure{
	{"input, weight", map[string]int{"b": 24}, func(b *shares) *ir.Value { return b.input("op", "x", "masked", 24) }},
	{"opening of b bits", map[string]int{"b": 24}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpOpen, ir.Attrs{ir.I("drop", 16), ir.I("bits", 24)}, b.scaled("x", "x", "additive", 40, 16))
	}},
	{"finish", map[string]int{"l": 40}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpFinish, ringOf(40), b.input("x", "x", "masked", 24))
	}},
	{"masked product", map[string]int{"l": 40}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpMul, nil, b.input("x", "x", "masked", 40), b.input("x", "y", "masked", 40))
	}},
	{"product of narrow wires", map[string]int{"l": 40}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpWireMul, ringOf(40), b.input("x", "x", "masked", 24), b.input("x", "y", "masked", 20))
	}},
	{"square of a narrow wire", map[string]int{"l": 40}, func(b *shares) *ir.Value {
		x := b.input("x", "x", "masked", 24)
		return b.emit("op", ir.OpWireMul, ringOf(40), x, x)
	}},
	{"less than, MaskTree", map[string]int{"N": 25, "k": 6}, func(b *shares) *ir.Value { return b.emit("op", ir.OpLtz, nil, b.input("x", "x", "masked", 25)) }},
	{"less than, MaskTree", map[string]int{"N": 9, "k": 2}, func(b *shares) *ir.Value { return b.emit("op", ir.OpLtz, nil, b.input("x", "x", "masked", 9)) }},
	{"equal, MaskTree", map[string]int{"N": 24, "k": 6}, func(b *shares) *ir.Value { return b.emit("op", ir.OpEqz, nil, b.input("x", "x", "masked", 24)) }},
	{"less than, keys", map[string]int{"N": 25}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpLtz, ir.Attrs{ir.S("by", protocolDPF)}, b.input("x", "x", "masked", 25))
	}},
	{"ReLU, keys with values", map[string]int{"N": 25, "l": 40}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpReluKey, ringOf(40), b.input("x", "x", "masked", 25))
	}},
	{"opening of a bit", nil, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpOpenBit, nil, b.emit("x", ir.OpLtz, nil, b.input("x", "x", "masked", 8)))
	}},
	{"bit as a number", map[string]int{"l": 40}, func(b *shares) *ir.Value { return b.emit("op", ir.OpB2A, ringOf(40), b.bit()) }},
	{"selection of max(x, 0)", map[string]int{"l": 40}, func(b *shares) *ir.Value {
		x := b.input("x", "x", "masked", 24)
		positive := b.emit("x", ir.OpOpenBit, nil, b.emit("x", ir.OpNot, nil, b.emit("x", ir.OpLtz, nil, x)))
		return b.emit("op", ir.OpReluSel, ringOf(40), x, positive)
	}},
	{"bit times value", map[string]int{"l": 40}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpMulBit, ringOf(40), b.input("x", "x", "masked", 40), b.bit())
	}},
	{"AND of opened bits", nil, func(b *shares) *ir.Value {
		y := b.emit("x", ir.OpOpenBit, nil, b.emit("x", ir.OpLtz, nil, b.input("x", "x", "masked", 8)))
		return b.emit("op", ir.OpAnd, nil, b.bit(), y)
	}},
	{"sum of K waves", map[string]int{"K": 3, "l": 40}, func(b *shares) *ir.Value {
		data := ir.Reals(ir.Shape{3, 3}, 1, 0.5, 0, 2, 0, 0.25, 5, 0.1, 0.1)
		return b.emit("op", ir.OpWave, ir.Attrs{ir.T("data", data), ir.I("period", 20), ir.I("frac", 16), ir.I("bits", 40)}, b.input("x", "x", "masked", 20))
	}},
	{"exponential", map[string]int{"l": 48}, func(b *shares) *ir.Value {
		return b.emit("op", ir.OpExpo, ir.Attrs{ir.F("rate", 0.5), ir.F("offset", 0), ir.I("reach", 4), ir.I("frac", 12), ir.I("bits", 48)}, b.input("x", "x", "masked", 5))
	}},
	{"reveal to one party", map[string]int{"b": 24}, func(b *shares) *ir.Value { return b.input("x", "x", "additive", 24) }},
}

func ringOf(n int64) ir.Attrs { return ir.Attrs{ir.I("bits", n)} }

// TestCostsOfProtocols compares the formulas of the page's table of costs with plans of one op each, for two and three parties.
func TestCostsOfProtocols(t *testing.T) {
	rows := map[string][]string{}
	for _, r := range tableOf(t, protocols(t), "## What each protocol costs") {
		rows[r[0]] = r
	}
	used := map[string]bool{}
	for _, fig := range figures {
		for _, parties := range [][]string{{"p0", "p1"}, {"p0", "p1", "p2"}} {
			if len(parties) > 2 && strings.Contains(fig.row, "keys") {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d parties", fig.row, len(parties)), func(t *testing.T) {
				b := &shares{t: t, m: &ir.Module{Name: "m", Parties: parties, Dealer: "d"}, f: ir.NewFunc("main")}
				b.m.Funcs = []*ir.Func{b.f}
				for _, owner := range parties {
					b.m.Allowed = append(b.m.Allowed, policy.Allowance{Output: "out", Receiver: "p0", Owner: owner, Rule: "for the test"})
				}
				v := fig.build(b)
				at := "op"
				if fig.row == "reveal to one party" {
					at = "reveal"
				}
				if v.Op == ir.OpWave || v.Op == ir.OpExpo { // and no noise
					v = b.emit("rest", ir.OpOpen, ir.Attrs{ir.I("drop", 30), ir.I("bits", int64(v.Type.Bits-30))}, v)
				}
				switch v.Type.Form { // what is revealed has shares
				case ir.Masked:
					v = b.emit("rest", ir.OpUnmask, ringOf(int64(v.Type.Bits)), v)
				case ir.MaskedBit:
					v = b.emit("rest", ir.OpB2A, ringOf(8), v)
				}
				b.emit("reveal", ir.OpReveal, ir.Attrs{ir.S("name", "out"), ir.Ss("to", "p0")}, v)
				elem := "int"
				if v.Type.Elem == ir.Bool {
					elem = "bool"
				}
				p, err := Emit(b.m, Options{Elems: map[string]string{"reveal out": elem}})
				if err != nil {
					t.Fatal(err)
				}
				row := rows[fig.row]
				if row == nil {
					t.Fatalf("the table has no row %q", fig.row)
				}
				used[fig.row] = true
				var got plan.NodeCost
				for _, n := range p.Cost().Nodes {
					if n.Node == (diag.Pos{File: "m", Node: at}).String() {
						got = n
					}
				}
				each := int64(len(parties) - 1) // receivers of what a party sends
				if at == "reveal" {
					each = 1
				}
				copies := int64(1) // of what the dealer sends
				if strings.Contains(fig.row, "keys") {
					copies = 2
				}
				dealer := evaluate(t, row[3], fig.with)*copies + evaluate(t, row[4], fig.with)
				for _, c := range []struct {
					what      string
					got, want int64
				}{
					{"rounds", int64(got.Rounds), evaluate(t, row[1], fig.with)},
					{"bits to each other party", 8 * got.Online, each * elements * evaluate(t, row[2], fig.with)},
					{"bits of the dealer", 8 * got.Offline, elements * dealer},
				} {
					if c.got != c.want {
						t.Errorf("%s: the plan has %d, the page says %d (%v with %v)", c.what, c.got, c.want, row, fig.with)
					}
				}
			})
		}
	}
	for name := range rows {
		if !used[name] {
			t.Errorf("no plan checks the row %q", name)
		}
	}
}

// evaluate computes a formula of the table: integers, names, + - * / and the functions that the page explains.
func evaluate(t *testing.T, formula string, with map[string]int) int64 {
	t.Helper()
	e, err := parser.ParseExpr(strings.Trim(formula, "`"))
	if err != nil {
		t.Fatalf("%q: %v", formula, err)
	}
	var value func(e ast.Expr) int
	value = func(e ast.Expr) int {
		switch e := e.(type) {
		case *ast.ParenExpr:
			return value(e.X)
		case *ast.BasicLit:
			n, err := strconv.Atoi(e.Value)
			if err != nil {
				t.Fatal(err)
			}
			return n
		case *ast.Ident:
			n, ok := with[e.Name]
			if !ok {
				t.Fatalf("%q: %s has no value", formula, e.Name)
			}
			return n
		case *ast.BinaryExpr:
			x, y := value(e.X), value(e.Y)
			switch e.Op {
			case token.ADD:
				return x + y
			case token.SUB:
				return x - y
			case token.MUL:
				return x * y
			}
		case *ast.CallExpr:
			x := value(e.Args[0])
			switch e.Fun.(*ast.Ident).Name {
			case "lt": // 2^k - 1 - k products of eq bits with an lt bit, and 2^(k-1) - k of eq bits alone
				return 1<<x - 1 - x + 1<<(x-1) - x
			case "eq":
				return 1<<x - 1 - x
			case "dpf":
				return 128 * (max(0, x-plan.DPFLeaf) + 1)
			case "dcf":
				return 64 * plan.DCFWords(x, value(e.Args[1]))
			}
		}
		t.Fatalf("%q: cannot read it", formula)
		return 0
	}
	return int64(value(e))
}

// TestTruncationLaw runs TruncOpen's shift over all values and shares of a few bits: the result is floor(x/2^f) + n - 1 - k, 0 <= k < n, it is
// floor((x + d)/2^f) with the d that the page gives to those who know all shares but one, and its mean is the page's.
func TestTruncationLaw(t *testing.T) {
	for _, c := range []struct{ parties, n, f int }{{2, 6, 2}, {2, 5, 3}, {3, 5, 2}, {3, 4, 1}} {
		size, unit := 1<<c.n, 1<<c.f
		drop := func(z, party int) int {
			d := []uint64{0}
			add := 0
			if party == 0 {
				add = (c.parties - 1) * unit
			}
			ring.Drop(d, []uint64{uint64(z)}, c.n, c.f, uint64(add))
			return int(d[0])
		}
		for x := range size {
			sum, count := 0, 0
			var walk func(party int, shares []int)
			walk = func(party int, shares []int) {
				if party < c.parties-1 {
					for z := range size {
						walk(party+1, append(slices.Clone(shares), z))
					}
					return
				}
				last := x
				for _, z := range shares {
					last -= z
				}
				shares = append(shares, last&(size-1))
				y, low := 0, 0 // low: of all shares but the last
				for i, z := range shares {
					y += drop(z, i)
					if i < c.parties-1 {
						low += z % unit
					}
				}
				d := (c.parties-1)*unit - low
				want := (x + d) / unit
				if mod := size / unit; (y-want)%mod != 0 {
					t.Fatalf("%v: x = %d of shares %v gives %d, want %d", c, x, shares, y%mod, want)
				}
				if k := want - x/unit; k < 0 || k >= c.parties {
					t.Fatalf("%v: x = %d is rounded by %d units", c, x, k)
				}
				sum, count = sum+want, count+1
			}
			walk(0, nil)
			mean := float64(sum) / float64(count)
			if want := float64(x)/float64(unit) + float64(c.parties-2)/2 + float64(c.parties)/float64(2*unit); math.Abs(mean-want) > 1e-9 {
				t.Fatalf("%v: x = %d is %v on average, want %v", c, x, mean, want)
			}
		}
	}
}

// TestReadingLaw runs the rules by which the public part of a wire is read as a number, over all values and masks of a few bits: the difference to the
// reading of the mask that the public top bit chooses is the value.
func TestReadingLaw(t *testing.T) {
	const n = 6
	for r := range uint64(1 << n) {
		r0, r1 := r-(r>>(n-1)<<n), r
		for x := -(1 << (n - 2)); x < 1<<(n-2); x++ { // finish, wiremul
			m, d := (uint64(x)+r)&(1<<n-1), []uint64{0}
			ring.Finish(d, []uint64{m}, []uint64{r0}, []uint64{r1}, n, 1)
			if int64(d[0]) != int64(x) {
				t.Fatalf("x = %d under mask %d is read as %d", x, r, int64(d[0]))
			}
		}
		for x := -(1 << (n - 1)); x < 1<<(n-1); x++ { // relusel
			m := (uint64(x) + r) & (1<<n - 1)
			for s := range uint64(2) {
				b := uint64(0)
				if x >= 0 {
					b = 1
				}
				d := []uint64{0}
				ring.ReluSel(d, []uint64{m}, []uint64{b ^ s}, []uint64{s}, []uint64{r0}, []uint64{r1}, []uint64{s * r0}, []uint64{s * r1}, n, 1)
				if int64(d[0]) != int64(max(x, 0)) {
					t.Fatalf("max(%d, 0) under masks %d and %d is %d", x, r, s, int64(d[0]))
				}
			}
		}
	}
}

// TestNoiseOfWaves measures how far a sum of waves, as parties compute it, is from the same sum of exact waves, and compares the page's figures for
// what is revealed of it.
func TestNoiseOfWaves(t *testing.T) {
	waves := map[string][][3]float64{
		"sine":    {{1, 0, 1}},
		"sigmoid": {{1, 0, 0.634}, {3, 0, 0.205}, {5, 0, 0.116}, {7, 0, 0.0754}, {9, 0, 0.0523}, {11, 0, 0.0373}, {13, 0, 0.0269}, {15, 0, 0.0196}, {17, 0, 0.0143}, {19, 0, 0.0105}, {21, 0, 0.00771}, {23, 0, 0.00566}, {25, 0, 0.00416}, {27, 0, 0.00305}, {29, 0, 0.00224}, {31, 0, 0.00165}, {33, 0, 0.00121}, {35, 0, 0.000889}, {37, 0, 0.000653}, {39, 0, 0.00048}, {41, 0, 0.000353}, {43, 0, 0.000258}, {45, 0, 0.00019}, {47, 0, 0.00014}, {49, 0, 0.000103}, {51, 0, 7.53e-05}, {53, 0, 5.53e-05}, {55, 0, 4.1e-05}, {57, 0, 2.96e-05}},
		"GELU":    {{1, -13, 0}, {3, -1.46, 0}, {5, -0.534, 0}, {7, -0.279, 0}, {9, -0.174, 0}, {11, -0.12, 0}, {13, -0.0881, 0}, {15, -0.0678, 0}, {17, -0.0537, 0}, {19, -0.0435, 0}, {21, -0.0357, 0}, {23, -0.0295, 0}, {25, -0.0245, 0}, {27, -0.0204, 0}, {29, -0.0169, 0}, {31, -0.0141, 0}, {33, -0.0116, 0}, {35, -0.00956, 0}, {37, -0.00783, 0}, {39, -0.00636, 0}, {41, -0.00514, 0}, {43, -0.00412, 0}, {45, -0.00328, 0}, {47, -0.00259, 0}, {49, -0.00203, 0}, {51, -0.00158, 0}, {53, -0.00122, 0}, {55, -0.000929, 0}, {57, -0.000703, 0}, {59, -0.000527, 0}, {61, -0.000393, 0}, {63, -0.000289, 0}, {65, -0.000212, 0}, {67, -0.000153, 0}, {69, -0.00011, 0}, {71, -7.82e-05, 0}, {73, -5.53e-05, 0}, {75, -3.81e-05, 0}},
	}
	for _, row := range tableOf(t, protocols(t), "### What rounded material tells") {
		name := row[0]
		frac, errF := strconv.Atoi(row[1])
		drop, errD := strconv.Atoi(row[2])
		size, errS := strconv.ParseFloat(row[3], 64)
		told, errT := strconv.ParseFloat(row[4], 64)
		if errF != nil || errD != nil || errS != nil || errT != nil || waves[name] == nil && name != "exponential" {
			t.Fatalf("cannot read row %v", row)
		}
		r := rand.New(rand.NewPCG(1, 2))
		const samples = 20000
		square, noise := 0.0, []float64{}
		for range samples {
			e := math.Ldexp(sumOfWaves(r, waves[name], frac), -drop) // in units of what is revealed
			if name == "exponential" {
				e = math.Ldexp(exponentialOf(r, frac), -drop)
			}
			noise, square = append(noise, e), square+e*e
		}
		// Where the exact sum is y for all arguments, an output is floor(y + e + d). The receiver knows d, and m: what it learns of the argument is the
		// entropy of that, on average over d.
		bitsTold := 0.0
		const places = 200
		for i := range places {
			count := map[float64]int{}
			for _, e := range noise {
				count[math.Floor((float64(i)+0.5)/places+e)]++
			}
			for _, n := range count {
				p := float64(n) / samples
				bitsTold -= p * math.Log2(p) / places
			}
		}
		if deviation := math.Sqrt(square / samples); math.Abs(deviation-size) > 0.05*size || math.Abs(bitsTold-told) > 0.05*told {
			t.Errorf("%s: noise of %.3f units, which tells %.3f bits; the page says %v", name, deviation, bitsTold, row)
		}
	}
}

// sumOfWaves draws an argument and a mask and returns by how much the sum of waves that parties compute exceeds that of exact ones, in its last place.
func sumOfWaves(r *rand.Rand, waves [][3]float64, frac int) float64 {
	const bits = 18
	mask, x := r.Uint64N(1<<bits), r.Uint64N(1<<bits)
	got, want := uint64(0), 0.0
	for _, w := range waves {
		k := int(w[0])
		a, b := int64(math.Round(math.Ldexp(w[1], frac))), int64(math.Round(math.Ldexp(w[2], frac)))
		d, u, v := []uint64{0}, []uint64{0}, []uint64{0}
		ring.Phase(u, []uint64{mask}, bits, k, a, -b)
		ring.Phase(v, []uint64{mask}, bits, k, b, a)
		ring.Wave(d, []uint64{(mask + x) & (1<<bits - 1)}, u, v, bits, k, frac)
		got += d[0]
		sin, cos := math.Sincos(2 * math.Pi * float64(uint64(k)*x%(1<<bits)) / (1 << bits))
		want += math.Ldexp(float64(a)*cos+float64(b)*sin, frac)
	}
	return float64(int64(got)) - want
}

// exponentialOf draws an argument in -8..-7 and a mask and returns by how much the exponential that parties compute exceeds the exact one, in its last place.
func exponentialOf(r *rand.Rand, frac int) float64 {
	const scale, reach, bits, span = 16, 4, 4 + 1 + 16, 16.0 // as in a plan of exp over -8..8
	x := -8 + r.Float64()
	fixed := int64(math.Round(math.Ldexp(x, scale)))
	gain := uint64(math.Round(math.Ldexp(math.Exp(span+span/2), frac)))
	mask := r.Uint64N(1 << bits)
	m := (uint64(fixed) + mask) & (1<<bits - 1)
	d, g0, g1 := []uint64{0}, []uint64{0}, []uint64{0}
	ring.Decay(g0, []uint64{mask}, bits, 0, 1<<(48-scale), gain)
	ring.Decay(g1, []uint64{mask}, bits, 1, 1<<(48-scale), gain)
	ring.Expo(d, []uint64{m}, g0, g1, bits, 1<<(48-scale), frac+ir.ExpoSpan(span))
	return float64(int64(d[0])) - math.Ldexp(math.Exp(math.Ldexp(float64(fixed), -scale)), 2*frac+ir.ExpoSpan(span))
}

// TestTooLongAPlan: a program whose loops are written out element by element is refused with what to write instead.
func TestTooLongAPlan(t *testing.T) {
	b := &shares{t: t, m: &ir.Module{Name: "m", Dealer: "d"}, f: ir.NewFunc("main")}
	for i := range 31 {
		b.m.Parties = append(b.m.Parties, fmt.Sprintf("p%d", i))
	}
	b.m.Funcs = []*ir.Func{b.f}
	v := b.input("in", "x", "additive", 16)
	for range 1 << 13 {
		v = b.emit("op", ir.OpAdd, nil, v, v)
	}
	_, err := Emit(b.m, Options{})
	if d := (*diag.Error)(nil); !errors.As(err, &d) || !strings.Contains(d.Msg, "the plan would be too long") || d.Hint == "" {
		t.Errorf("got %v", err)
	}
}
