package audit

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"smpcc/ir"
)

// An Inference is what one receiver can compute of others' data from its own inputs and outputs, where that is linear algebra: its outputs are
// linear in what it does not know, with factors that it does know. Others' data is taken to be the same in all runs, as weights are, and what the
// receiver gives to be of its choice.
type Inference struct {
	Receiver  string     `json:"receiver"`
	Outputs   []string   `json:"outputs"`      // that are linear in others' data
	Through   []string   `json:"through"`      // functions that are undone first: sigmoid, for example
	Unknowns  int        `json:"unknowns"`     // numbers of others that they are made of
	Equations int        `json:"equations"`    // independent ones that one run gives
	AfterRuns int        `json:"after_runs"`   // independent ones that all runs give which are allowed, as far as they were tried
	Runs      int        `json:"runs"`         // after which no further ones come
	Allowed   int        `json:"runs_allowed"` // by the policies; 0 for any number
	Counted   bool       `json:"counted_only"` // too large: equations are counted, and not whether they are independent
	Computes  []Computed `json:"computes"`
	Open      []Unknown  `json:"not_analysed"`
}

// A Computed is data of another that a receiver can compute.
type Computed struct {
	Owner    string `json:"owner"`
	Kind     string `json:"kind"`
	Source   string `json:"source"`
	Elements int    `json:"elements"` // that it can compute, of so many
	Of       int    `json:"of"`
	Runs     int    `json:"runs"` // after which it can
}

// An Unknown is an output of which it was not analysed what else it tells.
type Unknown struct {
	Output string `json:"output"`
	Why    string `json:"why"`
}

// Bounds of the analysis.
const (
	mostUnknowns  = 512     // numbers that are solved for
	mostElements  = 1 << 22 // of a linear map
	mostWork      = 1 << 26 // elements that are computed, over all runs
	mostAlgebra   = 1 << 30 // multiplications
	drawnFraction = 1 << 6  // own data is drawn as multiples of 1/drawnFraction, so that products are exact
)

// How an op depends on operands that are not known, if it is no other way: additive ops are linear in all of them at once, bilinear ones in one of
// them where the other is known. What is undone is strictly monotone.
var (
	additive = map[ir.Op]bool{ir.OpAdd: true, ir.OpSub: true, ir.OpNeg: true, ir.OpConcat: true, ir.OpReshape: true, ir.OpTranspose: true, ir.OpSlice: true, ir.OpPad: true,
		ir.OpGather: true, ir.OpExpand: true, ir.OpReduceSum: true, ir.OpReduceMean: true, ir.OpAvgPool: true, ir.OpSelect: true, ir.OpCast: true, ir.OpReveal: true}
	bilinear = map[ir.Op]bool{ir.OpMul: true, ir.OpMatMul: true, ir.OpConv: true, ir.OpDiv: true}
	undone   = map[ir.Op]bool{ir.OpSigmoid: true, ir.OpTanh: true, ir.OpExp: true, ir.OpLog: true, ir.OpSqrt: true, ir.OpRsqrt: true, ir.OpErf: true, ir.OpSoftplus: true, ir.OpElu: true, ir.OpLeaky: true}
)

// A dependence is how a value depends on what a receiver does not know.
type dependence struct {
	known   bool
	linear  bool
	through []string // undone functions, the outermost last
	why     string   // why it is neither known nor linear
}

// infer analyses what each receiver can compute.
func (r *Report) infer() []Inference {
	out := []Inference{}
	f := r.graph.Main()
	for _, to := range slices.Concat(r.Parties, []string{r.Dealer}, r.plan.Manifest.Guests) {
		var outputs []*ir.Value
		for _, v := range f.Reveals() {
			if slices.Contains(v.Attrs.Strings("to"), to) && news(v, to) {
				outputs = append(outputs, v)
			}
		}
		if len(outputs) > 0 {
			out = append(out, newAnalysis(r, to, outputs).inference())
		}
	}
	return out
}

// An analysis is the linear algebra of one receiver.
type analysis struct {
	report  *Report
	to      string
	outputs []*ir.Value
	order   []*ir.Value // all values behind the outputs
	dep     map[*ir.Value]dependence
	column  map[*ir.Value]int // of the first element of an unknown input or weight
	width   int
	seed    uint64
	work    int
}

func newAnalysis(r *Report, to string, outputs []*ir.Value) *analysis {
	a := &analysis{report: r, to: to, outputs: outputs, dep: map[*ir.Value]dependence{}, column: map[*ir.Value]int{}, seed: 1}
	seen := map[*ir.Value]bool{}
	for _, o := range outputs {
		for _, v := range behind(o) {
			seen[v] = true
		}
	}
	for _, v := range r.graph.Main().Body {
		if seen[v] {
			a.order = append(a.order, v)
			a.dep[v] = a.depends(v)
		}
	}
	return a
}

// depends classifies a value from its operands.
func (a *analysis) depends(v *ir.Value) dependence {
	switch v.Op {
	case ir.OpInput, ir.OpWeight:
		if v.Attrs.Str("owner") == a.to {
			return dependence{known: true}
		}
		return dependence{linear: true}
	case ir.OpConst:
		return dependence{known: true}
	}
	var open []int // operands that are not known
	for i, x := range v.Args {
		d := a.dep[x]
		if !d.known && !d.linear {
			return d
		}
		if !d.known {
			open = append(open, i)
		}
	}
	if len(open) == 0 {
		return dependence{known: true}
	}
	no := dependence{why: describe(v) + " is not linear in others' data"}
	through := a.dep[v.Args[open[0]]].through
	view := v.Op == ir.OpReveal || ir.Rows[v.Op] != nil && ir.Rows[v.Op].View && len(v.Args) == 1
	switch {
	case len(through) > 0 && view:
		return dependence{linear: true, through: through}
	case undone[v.Op] && (v.Op != ir.OpLeaky || v.Attrs.Float("alpha", 0) > 0):
		return dependence{linear: true, through: append(slices.Clone(through), string(v.Op))}
	case len(through) > 0:
		return no
	case v.Op == ir.OpCast && v.Type.Elem != ir.Real && v.Args[0].Type.Elem == ir.Real, v.Op == ir.OpCast && v.Type.Elem == ir.Bool:
		return no
	case v.Op == ir.OpSelect && open[0] == 0, v.Op == ir.OpDiv && open[len(open)-1] == 1:
		return no
	case additive[v.Op], bilinear[v.Op] && len(open) == 1:
		return dependence{linear: true}
	}
	return no
}

// describe says which operation a value is, and where.
func describe(v *ir.Value) string {
	if s := v.Pos.String(); s != "" {
		return fmt.Sprintf("%s at %s", v.Op, s)
	}
	return string(v.Op)
}

// inference solves for what is not known.
func (a *analysis) inference() Inference {
	x := Inference{Receiver: a.to, Outputs: []string{}, Through: []string{}, Computes: []Computed{}, Open: []Unknown{}}
	var linear []*ir.Value
	elements := 0
	for _, o := range a.outputs {
		if d := a.dep[o]; !d.linear {
			x.Open = append(x.Open, Unknown{name(o), d.why})
			continue
		}
		linear = append(linear, o)
		elements += o.Type.Shape.Size()
		x.Outputs = append(x.Outputs, name(o))
		for _, t := range a.dep[o].through {
			if !slices.Contains(x.Through, t) {
				x.Through = append(x.Through, t)
			}
		}
	}
	if len(linear) == 0 {
		return x
	}
	var unknown []*ir.Value
	owners := map[string]bool{}
	for _, o := range linear {
		for _, s := range sourcesOf(o) {
			if _, known := a.column[s]; !known && s.Attrs.Str("owner") != a.to {
				a.column[s] = a.width
				a.width += s.Type.Shape.Size()
				unknown = append(unknown, s)
				owners[s.Attrs.Str("owner")] = true
			}
		}
	}
	x.Unknowns = a.width
	for o, g := range guards(a.report.plan) {
		if owners[o] && g.MaxRuns > 0 && (x.Allowed == 0 || g.MaxRuns < x.Allowed) {
			x.Allowed = g.MaxRuns
		}
	}
	if a.width > mostUnknowns || elements > mostElements/a.width {
		a.count(&x, elements)
		return x
	}
	a.solve(&x, linear, unknown)
	return x
}

// count says how many equations there are, where there are too many to say more.
func (a *analysis) count(x *Inference, elements int) {
	x.Counted, x.Equations, x.Runs = true, min(elements, x.Unknowns), 1
	x.AfterRuns = x.Equations
	if len(a.ownData()) > 0 { // other equations in every run
		x.Runs = (x.Unknowns + x.Equations - 1) / x.Equations
		if x.Allowed > 0 {
			x.Runs = min(x.Runs, x.Allowed)
		}
		x.AfterRuns = min(x.Unknowns, x.Runs*x.Equations)
	}
}

// ownData lists the receiver's own inputs.
func (a *analysis) ownData() (out []*ir.Value) {
	for _, v := range a.order {
		if v.Op == ir.OpInput && v.Attrs.Str("owner") == a.to {
			out = append(out, v)
		}
	}
	return out
}

// solve takes run after run, with other own data in each, until one gives nothing new.
func (a *analysis) solve(x *Inference, linear, unknown []*ir.Value) {
	s := &span{width: a.width}
	told := map[*ir.Value]bool{}
	for run := 1; x.Allowed == 0 || run <= x.Allowed; run++ {
		rows, err := a.run(linear)
		if err == nil && run == 1 && len(rows)*min(len(rows), a.width)*a.width > mostAlgebra {
			err = fmt.Errorf("%d equations for %d unknown numbers are too many", len(rows), a.width)
		}
		if err != nil && run == 1 {
			x.Outputs = []string{}
			for _, o := range linear {
				x.Open = append(x.Open, Unknown{name(o), err.Error()})
			}
			return
		}
		if err != nil { // what is known so far stays true
			return
		}
		before := len(s.rows)
		for _, r := range rows {
			s.add(r)
		}
		if run == 1 {
			x.Equations = len(s.rows)
		}
		if run > 1 && len(s.rows) == before {
			return
		}
		x.Runs, x.AfterRuns = run, len(s.rows)
		fixed := s.fixed()
		for _, u := range unknown {
			n, all := 0, u.Type.Shape.Size()
			for _, f := range fixed[a.column[u] : a.column[u]+all] {
				if f {
					n++
				}
			}
			if n == 0 || told[u] {
				continue
			}
			c := Computed{u.Attrs.Str("owner"), string(u.Op), name(u), n, all, run}
			if i := slices.IndexFunc(x.Computes, func(y Computed) bool { return y.Kind == c.Kind && y.Source == c.Source && y.Owner == c.Owner }); i < 0 {
				x.Computes = append(x.Computes, c)
			} else if x.Computes[i].Elements < n {
				x.Computes[i] = c
			}
			told[u] = n == all
		}
		if len(s.rows) == a.width || len(a.ownData()) == 0 {
			return
		}
	}
}

// next returns a drawn number of 32 bits (Knuth's linear congruences, upper half): the data that a receiver would choose need not be random.
func (a *analysis) next() uint64 {
	a.seed = a.seed*6364136223846793005 + 1442695040888963407
	return a.seed >> 32
}

// drawn returns own data for an input or weight, within its declared range.
func (a *analysis) drawn(v *ir.Value) *ir.Tensor {
	lo, hi := -4.0, 4.0
	if r, _, ok := ir.Declared(v); ok {
		lo, hi = max(r.Lo, -1<<20), min(r.Hi, 1<<20)
	}
	step := 1.0 / drawnFraction
	if v.Type.Elem != ir.Real {
		step = 1
	}
	if v.Type.Elem == ir.Bool {
		lo, hi = 0, 1
	}
	t := ir.NewTensor(v.Type.Elem, v.Type.Shape)
	places := uint64(max(0, math.Floor((hi-lo)/step))) + 1
	for i := range t.Len() {
		y := min(hi, math.Ceil(lo/step)*step+float64(a.next()%places)*step)
		if t.Elem == ir.Real {
			t.F[i] = y
		} else {
			t.I[i] = int64(y)
		}
	}
	return t
}

// run computes one run: the rows are the factors of what is not known in each element of the outputs.
func (a *analysis) run(linear []*ir.Value) ([][]uint64, error) {
	known := map[*ir.Value]*ir.Tensor{}
	maps := map[*ir.Value][][]uint64{}
	for _, v := range a.order {
		d := a.dep[v]
		switch {
		case d.known:
			t, err := a.value(v, known)
			if err != nil {
				return nil, err
			}
			known[v] = t
		case !d.linear:
		case v.Op == ir.OpInput || v.Op == ir.OpWeight:
			if at, needed := a.column[v]; needed {
				m := make([][]uint64, v.Type.Shape.Size())
				for i := range m {
					m[i] = make([]uint64, a.width)
					m[i][at+i] = 1
				}
				maps[v] = m
			}
		case undone[v.Op] && len(d.through) > 0 && !ir.Rows[v.Op].View:
			maps[v] = maps[v.Args[0]]
		case maps[firstOpen(a, v)] != nil:
			m, err := a.apply(v, known, maps)
			if err != nil {
				return nil, err
			}
			maps[v] = m
		}
	}
	var rows [][]uint64
	for _, o := range linear {
		rows = append(rows, maps[o]...)
	}
	return rows, nil
}

// firstOpen returns the first operand of v that is not known.
func firstOpen(a *analysis, v *ir.Value) *ir.Value {
	i := slices.IndexFunc(v.Args, func(x *ir.Value) bool { return !a.dep[x].known })
	return v.Args[i]
}

// value computes a value that the receiver knows.
func (a *analysis) value(v *ir.Value, known map[*ir.Value]*ir.Tensor) (*ir.Tensor, error) {
	switch v.Op {
	case ir.OpInput, ir.OpWeight:
		return a.drawn(v), nil
	case ir.OpConst:
		return v.Attrs.Tensor("data"), nil
	}
	var args []*ir.Tensor
	for _, x := range v.Args {
		args = append(args, known[x])
	}
	return a.eval(v, args)
}

// eval computes v from its operands.
func (a *analysis) eval(v *ir.Value, args []*ir.Tensor) (*ir.Tensor, error) {
	if a.work += v.Type.Shape.Size() + 1; a.work > mostWork {
		return nil, fmt.Errorf("too large to be analysed")
	}
	if v.Op == ir.OpReveal {
		return args[0], nil
	}
	t, err := ir.Rows[v.Op].Eval(v, args)
	if err != nil {
		return nil, err
	}
	for i := range t.F {
		if x := t.F[i]; math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("%s has no finite value for the data that was tried", describe(v))
		}
	}
	return t, nil
}

// apply returns the factors of a value that is linear in its unknown operands: column by column, from what it makes of 1 at one place of one
// operand and 0 elsewhere. Known operands keep their values where they are factors or conditions, and are 0 where they are only added.
func (a *analysis) apply(v *ir.Value, known map[*ir.Value]*ir.Tensor, maps map[*ir.Value][][]uint64) ([][]uint64, error) {
	out := make([][]uint64, v.Type.Shape.Size())
	if len(out) > mostElements/a.width {
		return nil, fmt.Errorf("too large to be analysed")
	}
	for i := range out {
		out[i] = make([]uint64, a.width)
	}
	args := make([]*ir.Tensor, len(v.Args))
	for i, x := range v.Args {
		args[i] = ir.NewTensor(x.Type.Elem, x.Type.Shape)
		if t := known[x]; t != nil && (bilinear[v.Op] || v.Op == ir.OpSelect && i == 0) {
			args[i] = t
		}
	}
	for i, x := range v.Args {
		m := maps[x]
		if a.dep[x].known || m == nil {
			continue
		}
		for j := range m {
			if allZero(m[j]) {
				continue
			}
			set(args[i], j, 1)
			t, err := a.eval(v, args)
			if err != nil {
				return nil, err
			}
			for k := range out {
				if c := t.At(k); c != 0 {
					a.work += a.width
					subtract(out[k], m[j], prime-residue(c))
				}
			}
			set(args[i], j, 0) // not before: t may share it
		}
	}
	return out, nil
}

func allZero(v []uint64) bool { return !slices.ContainsFunc(v, func(x uint64) bool { return x != 0 }) }

func set(t *ir.Tensor, i int, x int64) {
	if t.Elem == ir.Real {
		t.F[i] = float64(x)
	} else {
		t.I[i] = x
	}
}

// sentences says what the receiver can compute, apart from what is not analysed.
func (x Inference) sentences() (out []string) {
	for _, c := range x.Computes {
		what := fmt.Sprintf("%d of the %d numbers", c.Elements, c.Of)
		switch {
		case c.Of == 1:
			what = "the number"
		case c.Elements == c.Of:
			what = fmt.Sprintf("all %d numbers", c.Of)
		}
		out = append(out, fmt.Sprintf("%s can compute %s of %s %q of %s %s, but for rounding", x.Receiver, what, c.Kind, c.Source, c.Owner, afterRuns(c.Runs)))
	}
	if len(x.Outputs) > 0 {
		s := fmt.Sprintf("a run gives %s %d equations for %d numbers of others (%s)", x.Receiver, x.Equations, x.Unknowns, strings.Join(x.Outputs, ", "))
		switch {
		case x.Counted:
			s += fmt.Sprintf("; counted only: whether they are independent was not analysed; after %s there are %d", atMost(x.Runs, "run"), x.AfterRuns)
		case x.Runs > 1:
			s += fmt.Sprintf("; after %d runs with other data of its own it has %d, and more runs give no more", x.Runs, x.AfterRuns)
			if x.Allowed == x.Runs {
				s = strings.TrimSuffix(s, ", and more runs give no more") + ", and no more runs are allowed"
			}
		}
		if len(x.Computes) == 0 && !x.Counted {
			s += "; no single number follows"
		}
		if len(x.Through) > 0 {
			s += "; " + strings.Join(x.Through, " and ") + " can be undone, where it is not flat"
		}
		out = append(out, s)
	}
	return out
}

// inferences says what all receivers can compute; what is not analysed for one reason is said once.
func (r *Report) inferences() (out []string) {
	type open struct{ outputs, receivers []string }
	why := map[string]*open{}
	var order []string
	for _, x := range r.Inference {
		out = append(out, x.sentences()...)
		for _, u := range x.Open {
			o := why[u.Why]
			if o == nil {
				o = &open{}
				why[u.Why], order = o, append(order, u.Why)
			}
			if q := fmt.Sprintf("%q", u.Output); !slices.Contains(o.outputs, q) {
				o.outputs = append(o.outputs, q)
			}
			if !slices.Contains(o.receivers, x.Receiver) {
				o.receivers = append(o.receivers, x.Receiver)
			}
		}
	}
	for _, w := range order {
		out = append(out, fmt.Sprintf("not analysed: what %s may tell %s; %s", and(why[w].outputs), and(why[w].receivers), w))
	}
	return out
}

// and joins words: a, b and c.
func and(words []string) string {
	if n := len(words) - 1; n > 0 {
		return strings.Join(words[:n], ", ") + " and " + words[n]
	}
	return strings.Join(words, "")
}

// afterRuns says after how many runs.
func afterRuns(n int) string {
	if n == 1 {
		return "from one run"
	}
	return fmt.Sprintf("from %d runs", n)
}
