package smpcc_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"smpcc"
	"smpcc/backend"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/passes"
	"smpcc/runtime/local"
)

// A maker draws random graphs: it emits ops on values drawn before, and drops what does not type-check.
type maker struct {
	t *rapid.T
	r *rand.Rand // nil: draw from t, which prefers small numbers and reduces failures to small graphs
	f *ir.Func
	m *ir.Module
}

func newMaker(t *rapid.T, m *ir.Module) *maker {
	k := &maker{t: t, f: m.Main(), m: m}
	if rapid.Bool().Draw(t, "uniform") {
		k.r = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
	}
	return k
}

func (k *maker) int(what string, lo, hi int) int {
	if k.r != nil {
		return lo + k.r.IntN(hi-lo+1)
	}
	return rapid.IntRange(lo, hi).Draw(k.t, what)
}

// pick draws a value, often one of the last.
func (k *maker) pick() *ir.Value {
	n := len(k.f.Body)
	if k.int("recent", 0, 1) == 1 {
		return k.f.Body[k.int("value", max(0, n-3), n-1)]
	}
	return k.f.Body[k.int("value", 0, n-1)]
}

func (k *maker) shape() ir.Shape {
	return []ir.Shape{{}, {1}, {2}, {3}, {2, 3}, {3, 2}, {1, 3}, {2, 1, 3}, {1, 1, 2, 3}, {1, 2, 3, 3}, {2, 1, 2, 2}}[k.int("shape", 0, 10)]
}

// ints draws an attribute of one integer for each dimension.
func (k *maker) ints(key string, n, lo, hi int) ir.Attr {
	d := make([]int, n)
	for i := range d {
		d[i] = k.int(key, lo, hi)
	}
	return ir.Dims(key, d)
}

// data draws a tensor of small numbers.
func (k *maker) data(e ir.Elem, s ir.Shape) *ir.Tensor {
	d := ir.NewTensor(e, s)
	for i := range d.Len() {
		switch e {
		case ir.Real:
			d.F[i] = float64(k.int("real", -8, 8)) / 8
		case ir.Int:
			d.I[i] = int64(k.int("int", -5, 5))
		case ir.Bool:
			d.I[i] = int64(k.int("bool", 0, 1))
		}
	}
	return d
}

// leaf emits an input, a weight of p0 with data, or a constant.
func (k *maker) leaf(e ir.Elem) {
	n := len(k.f.Body)
	s := k.shape()
	switch k.int("leaf", 0, 3) {
	case 0:
		k.emit(ir.OpConst, ir.Attrs{ir.T("data", k.data(e, s))})
	case 1:
		name := fmt.Sprintf("w%d", n)
		k.m.Weights[name] = k.data(e, s)
		k.emit(ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", "p0"), ir.S("elem", e.String()), ir.Dims("shape", s)})
	default:
		a := ir.Attrs{ir.S("name", fmt.Sprintf("x%d", n)), ir.S("owner", k.m.Parties[k.int("owner", 0, len(k.m.Parties)-1)]), ir.S("elem", e.String()), ir.Dims("shape", s)}
		switch e {
		case ir.Int:
			lo := k.int("lo", -9, 5)
			a = append(a, ir.F("lo", float64(lo)), ir.F("hi", float64(k.int("hi", lo, 9))))
		case ir.Real:
			lo := k.int("lo", -8, 4)
			a = append(a, ir.F("lo", float64(lo)/8), ir.F("hi", float64(k.int("hi", lo, 8))/8))
		}
		k.emit(ir.OpInput, a)
	}
}

func (k *maker) emit(op ir.Op, attrs ir.Attrs, args ...*ir.Value) {
	_, _ = k.f.Emit(diag.Pos{File: "random", Line: len(k.f.Body) + 1}, op, attrs, args...) // what does not type-check is dropped
}

// op emits a random op of a list.
func (k *maker) op(ops []ir.Op) {
	op := ops[k.int("op", 0, len(ops)-1)]
	row := ir.Rows[op]
	args := make([]*ir.Value, row.Args)
	for i := range args {
		args[i] = k.pick()
	}
	rank := 0
	if len(args) > 0 {
		rank = len(args[0].Type.Shape)
	}
	dim := func(i int) int { return args[0].Type.Shape[i] }
	var a ir.Attrs
	switch op {
	case ir.OpClip:
		lo := k.int("lo", -4, 4)
		a = ir.Attrs{ir.F("lo", float64(lo)), ir.F("hi", float64(lo+k.int("width", 0, 4)))}
	case ir.OpLeaky:
		a = ir.Attrs{ir.F("alpha", float64(k.int("alpha", -8, 8))/8)}
	case ir.OpIntDiv, ir.OpIntMod: // by a constant, or by a value that is not zero
		a = ir.Attrs{ir.I("down", int64(k.int("down", 0, 1)))}
		by := int64(k.int("divisor", 1, 7)) * int64(1-2*k.int("negative", 0, 1))
		k.emit(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, by))})
		c := k.f.Body[len(k.f.Body)-1]
		switch y := args[1]; {
		case k.int("constant", 0, 1) == 0 || y.Type.Elem != ir.Int:
			args[1] = c
		case by > 0:
			k.emit(ir.OpMax, nil, y, c)
			args[1] = k.f.Body[len(k.f.Body)-1]
		default:
			k.emit(ir.OpMin, nil, y, c)
			args[1] = k.f.Body[len(k.f.Body)-1]
		}
	case ir.OpWrap:
		a = ir.Attrs{ir.I("bits", int64(k.int("bits", 1, 9))), ir.I("signed", int64(k.int("signed", 0, 1)))}
	case ir.OpMulShift: // its range is what the rules of others say of such a product, so it is stated wide
		a = ir.Attrs{ir.I("frac", 0), ir.I("keep", 0), ir.S("to", "int"), ir.F("lo", -1<<50), ir.F("hi", 1<<50)}
		k.emit(ir.OpClip, ir.Attrs{ir.F("lo", -1<<24), ir.F("hi", 1<<24)}, args[0])
		k.emit(ir.OpClip, ir.Attrs{ir.F("lo", -1<<24), ir.F("hi", 1<<24)}, args[1])
		n := len(k.f.Body)
		args[0], args[1] = k.f.Body[max(0, n-2)], k.f.Body[n-1]
	case ir.OpCast:
		a = ir.Attrs{ir.S("to", "int")}
	case ir.OpReshape:
		a = ir.Attrs{ir.Dims("shape", k.shape())}
	case ir.OpExpand:
		a = ir.Attrs{ir.Dims("shape", append(ir.Shape{k.int("times", 1, 2)}, args[0].Type.Shape...))}
	case ir.OpTranspose:
		perm, turn := make([]int, rank), k.int("turn", 0, max(0, rank-1))
		for i := range perm {
			perm[i] = (i + turn) % rank
		}
		a = ir.Attrs{ir.Dims("perm", perm)}
	case ir.OpConv, ir.OpMaxPool, ir.OpAvgPool:
		a = ir.Attrs{k.ints("strides", 2, 1, 2), k.ints("pads", 4, 0, 1)}
		switch op {
		case ir.OpAvgPool:
			a = append(a, ir.I("include_pad", int64(k.int("include_pad", 0, 1))), k.ints("kernel", 2, 1, 2))
		case ir.OpMaxPool:
			a = append(a, k.ints("kernel", 2, 1, 3))
		}
	case ir.OpMatMul: // by its own transpose, if the other factor does not fit
		if _, err := ir.MatMulShape(args[0].Type.Shape, args[1].Type.Shape); err != nil && rank == 2 {
			k.emit(ir.OpTranspose, ir.Attrs{ir.Is("perm", 1, 0)}, args[0])
			args[1] = k.f.Body[len(k.f.Body)-1]
		}
	case ir.OpSlice:
		var lo, hi []int
		for i := range rank {
			lo = append(lo, k.int("start", 0, dim(i)-1))
			hi = append(hi, k.int("end", lo[i]+1, dim(i)))
		}
		a = ir.Attrs{ir.Dims("starts", lo), ir.Dims("ends", hi), k.ints("steps", rank, 1, 2)}
	case ir.OpConcat:
		args = append(args, k.pick())
		a = ir.Attrs{ir.I("axis", int64(k.int("axis", 0, max(0, rank-1))))}
	case ir.OpPad:
		a = ir.Attrs{k.ints("pads", 2*rank, 0, 1)}
	case ir.OpGather:
		if rank == 0 {
			return
		}
		x := k.int("axis", 0, rank-1)
		a = ir.Attrs{ir.I("axis", int64(x)), k.ints("indices", k.int("picks", 1, 3), 0, dim(x)-1)}
	case ir.OpReduceSum, ir.OpReduceMean, ir.OpReduceMax:
		a = ir.Attrs{k.ints("axes", k.int("axes", 0, rank), 0, max(0, rank-1)), ir.I("keep", int64(k.int("keep", 0, 1)))}
	case ir.OpArgMax:
		a = ir.Attrs{ir.I("axis", int64(k.int("axis", 0, max(0, rank-1))))}
	}
	k.emit(op, a, args...)
}

// draw makes a graph and reveals its last values.
func draw(t *rapid.T, elems []ir.Elem, ops []ir.Op) *ir.Module {
	f := ir.NewFunc("main")
	m := &ir.Module{Name: "random", Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}
	k := newMaker(t, m)
	m.Parties = smpcc.PartyNames(k.int("parties", 2, 3))
	for range k.int("leaves", 2, 5) {
		k.leaf(elems[k.int("elem", 0, len(elems)-1)])
	}
	for range k.int("ops", 1, 16) {
		for n, tries := len(f.Body), 0; len(f.Body) == n && tries < 5; tries++ {
			k.op(ops)
		}
	}
	shown := k.int("outputs", 1, 3)
	for i, v := range f.Body[max(0, len(f.Body)-shown):] {
		k.emit(ir.OpReveal, ir.Attrs{ir.S("name", fmt.Sprintf("y%d", i)), ir.Ss("to", m.Parties[:k.int("receivers", 1, len(m.Parties))]...)}, v)
	}
	return m
}

// outgrown lists what refusals say of random graphs whose ranges outgrow the ring.
var outgrown = []string{"overflow", "may reach", "would not keep its tolerance", "--strict-range", "needs a ring of", "integer division does not fit", "64 bits do not hold"}

// checkRandom evaluates a random graph in the clear after each pass, and runs it securely; all must agree within slack.
func checkRandom(t *rapid.T, m *ir.Module, slack float64) {
	data := map[string]*ir.Tensor{}
	k := newMaker(t, m)
	for _, v := range m.Main().Inputs() {
		d := k.data(v.Type.Elem, v.Type.Shape)
		lo, hi := v.Attrs.Float("lo", 0), v.Attrs.Float("hi", 1)
		for i := range d.Len() { // often at the ends of its range
			x := []float64{lo, hi, min(max(d.At(i), lo), hi)}[k.int("end", 0, 2)]
			if v.Type.Elem == ir.Real {
				d.F[i] = x
			} else {
				d.I[i] = int64(x)
			}
		}
		data[v.Attrs.Str("name")] = d
	}
	graph := m.String()
	want, err := ir.Run(m, data)
	if err != nil {
		t.Fatalf("%v\n%s", err, graph)
	}
	compare := func(what string, v *ir.Value, got *ir.Tensor) {
		name := v.Attrs.Str("name")
		for i := range got.Len() {
			x := math.Ldexp(got.At(i), -v.Type.Scale)
			if d := math.Abs(x - want[name].At(i)); !(d <= slack) {
				t.Fatalf("%s: output %s, element %d is %g, want %g within %g, in\n%s\nfrom\n%s", what, name, i, x, want[name].At(i), slack, m, graph)
			}
		}
	}
	check := func(pass string, m *ir.Module) {
		vals, err := ir.Eval(m.Main(), ir.Env{Inputs: data, Weights: m.Weights})
		if err != nil {
			t.Fatalf("after %s: %v in\n%s\nfrom\n%s", pass, err, m, graph)
		}
		for _, v := range m.Main().Reveals() {
			compare("after "+pass, v, vals[v])
		}
	}
	var skip []string
	for _, p := range passes.Pipeline() {
		if !p.Required && k.int("skip "+p.Name, 0, 3) == 0 {
			skip = append(skip, p.Name)
		}
	}
	graph += fmt.Sprintln("skipping", skip)
	c, err := smpcc.CompileModule(m, smpcc.Options{StrictRange: true, Skip: skip, Observe: func(pass string, m *ir.Module) {
		if pass != "input" {
			check(pass, m)
		}
	}}, true)
	if err != nil {
		if s := err.Error(); strings.Contains(s, "internal error") || !slices.ContainsFunc(outgrown, func(part string) bool { return strings.Contains(s, part) }) {
			t.Fatalf("%v\nin\n%s", err, graph)
		}
		t.Skip("ranges outgrow the ring")
	}
	if _, rounds := backend.CriticalPath(m.Main()); rounds != c.Plan.Cost().Phases[plan.Online].Rounds {
		t.Errorf("critical path of %d rounds, plan of %d, in\n%s", rounds, c.Plan.Cost().Phases[plan.Online].Rounds, graph)
	}
	checkMasks(t, c.Plan)
	if allCases() || c.Plan.Digest()[0]%4 == 0 { // four compilations more
		rechecks(t, c.Plan)
		for _, l := range []string{"graph", "fixed", "share"} {
			level(t, c.Plan, l)
		}
	}
	weights, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	run, err := local.New(context.Background(), c.Plan, weights)
	if err != nil {
		t.Fatal(err)
	}
	var in [][]uint64
	for _, p := range c.Plan.Manifest.Inputs {
		w, err := smpcc.Bind(p, data[p.Name])
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, w)
	}
	res, err := run.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	checkCost(t, c.Plan, res)
	for _, p := range c.Plan.Manifest.Outputs {
		for role, name := range c.Plan.Manifest.Parties {
			words := res.Outputs[role][p.Name]
			receives := false
			for _, r := range p.To {
				receives = receives || r == name
			}
			if (words != nil) != receives {
				t.Fatalf("%s receives %s: %v, want %v", name, p.Name, words != nil, receives)
			}
			if receives {
				got := smpcc.Read(p, words)
				for i := range got.Len() {
					if d := math.Abs(got.At(i) - want[p.Name].At(i)); !(d <= slack) {
						t.Fatalf("secure run: output %s, element %d is %g, want %g within %g, in\n%s\nfrom\n%s", p.Name, i, got.At(i), want[p.Name].At(i), slack, m, graph)
					}
				}
			}
		}
	}
}

// By day the graphs are the same ones in every run: new ones are looked for at night, and by -rapid.seed, so that what finds a fault is not whoever
// happens to test next.
func init() {
	if os.Getenv("SMPCC_NIGHTLY") == "" {
		if err := flag.Set("rapid.seed", "1"); err != nil {
			panic(err)
		}
	}
}

// often repeats a property more often at night.
func often(t *testing.T, property func(*rapid.T)) {
	n := 1
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		n = 200
	}
	for range n {
		rapid.Check(t, property)
		if t.Failed() {
			return
		}
	}
}

// TestTinyProducts compiles products of numbers whose declared range is 0 or close to it: they have so many fraction bits that the truncations behind
// them are not one.
func TestTinyProducts(t *testing.T) {
	for _, r := range []float64{0, 0x1p-60, 0x1p-44, 0x1p-40, 0x1p-30} {
		for factors := 2; factors <= 4; factors++ {
			f := ir.NewFunc("main")
			m := &ir.Module{Name: "tiny", Parties: smpcc.PartyNames(2), Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}
			k := &maker{f: f, m: m}
			k.emit(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Dims("shape", ir.Shape{}), ir.F("lo", -r), ir.F("hi", r)})
			k.emit(ir.OpInput, ir.Attrs{ir.S("name", "y"), ir.S("owner", "p1"), ir.S("elem", "real"), ir.Dims("shape", ir.Shape{}), ir.F("lo", 0), ir.F("hi", r)})
			for range factors - 1 {
				k.emit(ir.OpMul, nil, f.Body[len(f.Body)-1], f.Body[0])
			}
			k.emit(ir.OpReveal, ir.Attrs{ir.S("name", "z"), ir.Ss("to", "p0")}, f.Body[len(f.Body)-1])
			if _, err := smpcc.CompileModule(m, smpcc.Options{}, true); err != nil {
				t.Errorf("range %g, %d factors: %v", r, factors, err)
			}
		}
	}
}

// TestRoundedProductWithBound compiles a rounded product whose second factor turns out to be a constant, behind bounds that it keeps.
func TestRoundedProductWithBound(t *testing.T) {
	f := ir.NewFunc("main")
	m := &ir.Module{Name: "bound", Parties: smpcc.PartyNames(2), Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}
	k := &maker{f: f, m: m}
	k.emit(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "p0"), ir.S("elem", "int"), ir.Dims("shape", ir.Shape{1}), ir.F("lo", -9), ir.F("hi", 9)})
	k.emit(ir.OpArgMax, ir.Attrs{ir.I("axis", 0)}, f.Body[0]) // 0
	k.emit(ir.OpClip, ir.Attrs{ir.F("lo", -5), ir.F("hi", 5)}, f.Body[1])
	k.emit(ir.OpMulShift, ir.Attrs{ir.I("frac", 0), ir.I("keep", 0), ir.S("to", "int"), ir.F("lo", -27), ir.F("hi", 27)}, f.Body[0], f.Body[2])
	k.emit(ir.OpReveal, ir.Attrs{ir.S("name", "z"), ir.Ss("to", "p1")}, f.Body[3])
	if _, err := smpcc.CompileModule(m, smpcc.Options{}, true); err != nil {
		t.Error(err)
	}
}

// TestRandomIntegers compiles and runs random graphs on integers and bits, where everything is exact.
func TestRandomIntegers(t *testing.T) {
	ops := []ir.Op{ir.OpAdd, ir.OpSub, ir.OpNeg, ir.OpMul, ir.OpMatMul, ir.OpMax, ir.OpMin, ir.OpRelu, ir.OpClip, ir.OpAbs, ir.OpLt, ir.OpLe, ir.OpGt, ir.OpGe, ir.OpEq, ir.OpNe,
		ir.OpNot, ir.OpAnd, ir.OpOr, ir.OpXor, ir.OpSelect, ir.OpSelect, ir.OpCast, ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpConcat, ir.OpPad, ir.OpGather, ir.OpExpand,
		ir.OpReduceSum, ir.OpReduceMax, ir.OpArgMax, ir.OpConv, ir.OpConv, ir.OpMaxPool, ir.OpIntDiv, ir.OpIntMod, ir.OpWrap, ir.OpMulShift}
	often(t, func(t *rapid.T) { checkRandom(t, draw(t, []ir.Elem{ir.Int, ir.Int, ir.Bool}, ops), 0) })
}

// TestRandomReals does so on reals, with ops that do not magnify the error of fixed point much.
func TestRandomReals(t *testing.T) {
	ops := []ir.Op{ir.OpAdd, ir.OpSub, ir.OpNeg, ir.OpMul, ir.OpMatMul, ir.OpMax, ir.OpMin, ir.OpRelu, ir.OpLeaky, ir.OpClip, ir.OpAbs, ir.OpReshape, ir.OpTranspose, ir.OpSlice,
		ir.OpConcat, ir.OpPad, ir.OpGather, ir.OpExpand, ir.OpReduceSum, ir.OpReduceMean, ir.OpReduceMax, ir.OpConv, ir.OpConv, ir.OpMaxPool, ir.OpAvgPool,
		ir.OpSigmoid, ir.OpTanh, ir.OpGelu}
	often(t, func(t *rapid.T) { checkRandom(t, draw(t, []ir.Elem{ir.Real}, ops), 0.05) })
}
