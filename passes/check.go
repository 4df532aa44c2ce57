package passes

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2" // what is drawn here is public test input, the same on every machine
	"slices"
	"sync"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Runs that compare fixed point with the graph.
const (
	mostRuns   = 256
	fewRuns    = 8 // as many where a run takes no more than fewBudget allows
	leastRuns  = 2
	runsBudget = 2e8 // multiply-adds of all runs together
	fewBudget  = 6e9 // of fewRuns

	// MostDiffer is the part of the elements of a discrete output that rounding may change; plan.MostDiffer states it.
	MostDiffer = 0.02
)

// A check compares formats with the graph: it runs both on samples, or on inputs drawn over their declared ranges.
type check struct {
	graph   *ir.Module
	opt     *Options
	samples bool
	inputs  []map[string]*ir.Tensor
	want    []map[string]*ir.Tensor
	ways    []int // in which the inputs were drawn
	tried   bool
	steps   bool // the graph has comparisons or the like
	// undefined says where the graph has no exact value for some inputs in their ranges, which are no ordinary ones.
	undefined string
}

// newCheck prepares the comparison with a graph.
func newCheck(graph *ir.Module, opt *Options) *check {
	return &check{graph: graph, opt: opt}
}

// tolerance returns what is asked of an output.
func (o *Options) tolerance(name string) Tolerance {
	t := o.Tolerance
	if t == (Tolerance{}) {
		t = DefaultTolerance
	}
	if own, ok := o.Outputs[name]; ok {
		t = own
	}
	return t
}

// compare runs m, whose formats are chosen and whose outputs have the given bounds, and says for each output what is known of its error. bad is the first output that does not keep its tolerance.
func (c *check) compare(m *ir.Module, bounds map[string]outputBound, n *Numbers) (bad, err error) {
	if err := c.prepare(m); err != nil {
		return nil, err
	}
	weights, unbound := ir.BindWeights(m.Main(), m.Weights)
	got := make([]map[string]*ir.Tensor, len(c.inputs))
	failed := make([]error, len(c.inputs))
	concurrently(len(c.inputs), func(i int) {
		defer ir.Recover(&failed[i])
		if failed[i] = unbound; unbound != nil {
			return
		}
		word := rand.New(rand.NewPCG(uint64(i), 1)).Uint64
		got[i], failed[i] = ir.Results(m.Main(), ir.Env{Inputs: c.inputs[i], Known: weights, Check: true, Dither: word, Parties: len(m.Parties)})
	})
	source := map[string]*ir.Value{}
	for _, v := range c.graph.Main().Reveals() {
		source[v.Attrs.Str("name")] = v
	}
	for _, v := range m.Main().Reveals() {
		name := v.Attrs.Str("name")
		from := source[name]
		rounded := from.Type.Elem != ir.Real && roundedBefore(from)
		o := Output{Name: name, State: Measured, Tolerance: c.opt.tolerance(name), Frac: v.Type.Scale, Samples: c.samples, Runs: len(c.inputs)}
		why := ""
		for i := range c.inputs {
			switch {
			case failed[i] != nil:
				o.wrong = true
				why = overflow(failed[i], c.inputs[i])
			case from.Type.Elem == ir.Real:
				why = c.reals(&o, m, v, i, got[i][name], why)
			case c.ways[i] == drawUniform || c.ways[i] == drawScaled || c.samples || !rounded:
				discrete(&o, got[i][name], c.want[i][name]) // elsewhere values are equal on purpose, and rounding decides
			}
		}
		switch {
		case why == "" && o.Of > 0 && !rounded && o.Differ > 0:
			why = fmt.Sprintf("%d of %d elements differ", o.Differ, o.Of)
		case why == "" && o.Differ > 1 && float64(o.Differ) > MostDiffer*float64(o.Of):
			why = fmt.Sprintf("%d of %d elements differ", o.Differ, o.Of)
		case o.Of > 0 && !rounded:
			o.State = Exact
		}
		if from.Type.Elem == ir.Real {
			if err := bounds[name].prove(&o, got, c.want, v.Type.Scale); err != nil {
				return nil, err
			}
			if o.State == Proved && !o.wrong {
				why = "" // for every input, however much runs used
			} else if coarse := c.coarse(&o, v); coarse != "" && why == "" {
				why, o.wrong = coarse, true
			}
		}
		o.wrong = o.wrong || why != "" && from.Type.Elem != ir.Real
		if why != "" && bad == nil {
			bad = c.offContract(v, o, n.FracBits, why)
		}
		n.Outputs = append(n.Outputs, o)
	}
	if n.worst() <= nearlyAll {
		if found := c.search(m, weights, got, n); found != nil {
			bad = found
		}
	}
	return bad, nil
}

// functions reports whether the graph has functions that arithmetic stands for.
func (c *check) functions() bool {
	return slices.ContainsFunc(c.graph.Main().Body, func(v *ir.Value) bool {
		return ir.Smooth[v.Op] != nil || v.Op == ir.OpDiv || v.Op == ir.OpSoftmax || v.Op == ir.OpLogSoftmax
	})
}

// search returns a refusal if a search finds inputs for which a measured output does not keep its tolerance.
func (c *check) search(m *ir.Module, weights map[*ir.Value]*ir.Tensor, got []map[string]*ir.Tensor, n *Numbers) error {
	s := c.newSearch(m, weights, n)
	if s == nil {
		return nil
	}
	t := s.worst(got)
	if t == nil {
		return nil
	}
	v := cmp.Or(t.output, s.outputs[0])
	o := &n.Outputs[slices.Index(m.Main().Reveals(), v)]
	o.Used, o.wrong = max(o.Used, t.used), o.wrong || t.err != nil
	return c.offContract(v, *o, n.FracBits, t.why())
}

// reals notes what part of its tolerance output v of m, which is got, uses in one run.
func (c *check) reals(o *Output, m *ir.Module, v *ir.Value, run int, got *ir.Tensor, why string) string {
	want := c.want[run][o.Name]
	for i := range want.Len() {
		x, y := math.Ldexp(got.At(i), -v.Type.Scale), want.At(i)
		u := o.used(x, y)
		if u > mostUsed && u > o.Used && meetsSteps(c.ways[run]) && !c.samples && multiplyAdds(c.graph.Main()) <= searchWork && c.jumps(m, c.inputs[run], v, i) {
			continue
		}
		if u > o.Used {
			if o.Used = u; u > mostUsed {
				why = fmt.Sprintf("element %d is off by %.3g at %.6g, which is %.3g of the tolerance; %g is kept for inputs that were not tried", i, math.Abs(x-y), y, u, mostUsed)
			}
		}
	}
	return why
}

// steppingOps are those whose result jumps.
var steppingOps = map[ir.Op]bool{
	ir.OpLt: true, ir.OpLe: true, ir.OpGt: true, ir.OpGe: true, ir.OpEq: true, ir.OpNe: true, ir.OpLtz: true, ir.OpEqz: true, ir.OpFloor: true, ir.OpCast: true,
	ir.OpArgMax: true, ir.OpWrap: true,
}

// meetsSteps reports whether inputs drawn in the given way lie so near an end of their ranges, or one another, that a comparison of them is decided by
// their rounding.
func meetsSteps(way int) bool {
	return way == drawEdges || way == drawPairs || way == drawLines || way == drawColumns
}

// coarse says that output v, which is not proved, is revealed in units that are larger than what its tolerance allows of values that are not multiples of
// them; "" if that is not so.
func (c *check) coarse(o *Output, v *ir.Value) string {
	unit := math.Ldexp(1, -v.Type.Scale)
	least := 0.0
	if v.Range.Origin != ir.Assumed {
		least = max(v.Range.Lo, -v.Range.Hi, 0)
	}
	if unit/2 <= o.Atol+float64(o.Rtol*(least+unit/2)) {
		return ""
	}
	for i := range c.want {
		for _, y := range c.want[i][o.Name].F {
			if y != math.Round(y/unit)*unit {
				return fmt.Sprintf("values near %.3g may be off by %.2g, half a unit of %d fraction bits, and %.2g is asked for", least, unit/2, v.Type.Scale, o.Atol+float64(o.Rtol*least))
			}
		}
	}
	return ""
}

// discrete counts elements that differ.
func discrete(o *Output, got, want *ir.Tensor) {
	for i := range want.Len() {
		o.Of++
		if got.At(i) != want.At(i) {
			o.Differ++
		}
	}
}

// roundedBefore reports whether v is computed from an input or weight of reals, which is rounded when it is bound: a comparison of such values is
// decided either way where they differ by no more than that.
func roundedBefore(v *ir.Value) bool {
	for x := range v.Behind() {
		if (x.Op == ir.OpInput || x.Op == ir.OpWeight) && x.Type.Elem == ir.Real {
			return true
		}
	}
	return false
}

// prepare draws inputs within the ranges that m states, or takes the samples, and computes the graph on them.
func (c *check) prepare(m *ir.Module) error {
	if c.tried {
		return nil
	}
	c.tried = true
	c.steps = slices.ContainsFunc(c.graph.Main().Body, func(v *ir.Value) bool { return steppingOps[v.Op] })
	c.samples = len(c.opt.Samples) > 0
	work := max(2*multiplyAdds(c.graph.Main()), evaluation(m.Main()))
	runs := max(leastRuns, min(fewRuns, int(fewBudget/work)), min(mostRuns, int(runsBudget/work)))
	var tries []map[string]*ir.Tensor
	if c.samples {
		tries = c.opt.Samples[:min(len(c.opt.Samples), runs)]
	} else {
		ranges := rangesOf(m)
		for i := range runs {
			tries = append(tries, drawInputs(c.graph.Main(), ranges, i))
		}
	}
	want := make([]map[string]*ir.Tensor, len(tries))
	errs := make([]error, len(tries))
	concurrently(len(tries), func(i int) {
		defer ir.Recover(&errs[i])
		want[i], errs[i] = ir.Results(c.graph.Main(), ir.Env{Inputs: tries[i], Weights: c.graph.Weights})
	})
	for i := range tries {
		if errs[i] != nil {
			return errs[i]
		}
		name := infinite(want[i])
		if name == "" {
			c.inputs, c.want, c.ways = append(c.inputs, tries[i]), append(c.want, want[i]), append(c.ways, i%drawWays)
			continue
		}
		at, what, err := c.outOfDomain(tries[i], name, i)
		if err != nil {
			return err
		}
		if generic(i%drawWays) || c.samples || len(c.inputs) == 0 && i == len(tries)-1 {
			return diag.Errorf(at.Pos, "%s; fixed point has no such number", what).
				WithHint("declare input ranges that keep its argument inside the function's domain (--range NAME=LO..HI), or bound the argument in the model (Max, Clip, + epsilon)").Refusing(diag.OutsideFormats)
		}
		if c.undefined == "" {
			c.undefined = fmt.Sprintf("%v: %s; for such inputs a number without meaning is revealed", at.Pos, what)
		}
	}
	return nil
}

// concurrently calls f(0) to f(n-1), each on a goroutine of its own, and returns when all are done.
func concurrently(n int, f func(i int)) {
	var calls sync.WaitGroup
	for i := range n {
		calls.Go(func() { f(i) })
	}
	calls.Wait()
}

// infinite returns the name of an output that is not a number everywhere, "" if there is none.
func infinite(out map[string]*ir.Tensor) string {
	for _, name := range slices.Sorted(maps.Keys(out)) {
		if notNumber(out[name]) >= 0 {
			return name
		}
	}
	return ""
}

// notNumber returns the first element that is infinite or NaN, -1 if there is none.
func notNumber(t *ir.Tensor) int {
	for i, x := range t.F {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return i
		}
	}
	return -1
}

// outOfDomain says of an output that is infinite or NaN for inputs that are declared to be possible which node leaves the numbers first: fixed point has
// no such value, and gives some other number.
func (c *check) outOfDomain(in map[string]*ir.Tensor, output string, run int) (at *ir.Value, what string, err error) {
	vals, err := ir.Eval(c.graph.Main(), ir.Env{Inputs: in, Weights: c.graph.Weights})
	if err != nil {
		return nil, "", err
	}
	at, element := c.leaves(vals, output)
	kind := "inputs drawn from their ranges"
	if c.samples {
		kind = fmt.Sprintf("sample %d", run+1)
	}
	what = string(at.Op)
	for _, a := range at.Args {
		if len(a.Type.Shape) == len(at.Type.Shape) && vals[a].Len() == vals[at].Len() {
			what += fmt.Sprintf(" of %.6g", vals[a].At(element))
			break
		}
	}
	return at, fmt.Sprintf("%s is %v for %s, and output %q with it", what, vals[at].At(element), kind, output), nil
}

// leaves returns the first value on the way to an output that is no number although its arguments are, and an element of which that holds.
func (c *check) leaves(vals map[*ir.Value]*ir.Tensor, output string) (*ir.Value, int) {
	var at *ir.Value
	for _, v := range c.graph.Main().Reveals() {
		if v.Attrs.Str("name") == output {
			at = v
		}
	}
	for {
		next := slices.IndexFunc(at.Args, func(a *ir.Value) bool { return notNumber(vals[a]) >= 0 })
		if next < 0 {
			return at, max(notNumber(vals[at]), 0)
		}
		at = at.Args[next]
	}
}

// What a run takes of a module with formats, in multiply-adds of a product.
const (
	elementWork = 4   // an element of another op
	valueWork   = 400 // a value, whatever its size
)

// evaluation estimates what evaluating a module with formats takes, in multiply-adds.
func evaluation(f *ir.Func) float64 {
	n := 0.0
	for _, v := range f.Body {
		n += valueWork
		if v.Op != ir.OpMatMul && v.Op != ir.OpConv {
			n += elementWork * float64(v.Type.Shape.Size())
		}
	}
	return n + multiplyAdds(f)
}

// multiplyAdds counts the multiply-adds of products and convolutions.
func multiplyAdds(f *ir.Func) float64 {
	n := 1.0
	for _, v := range f.Body {
		switch v.Op {
		case ir.OpMatMul:
			s := v.Args[0].Type.Shape
			n += float64(v.Type.Shape.Size()) * float64(s[len(s)-1])
		case ir.OpConv:
			n += float64(v.Type.Shape.Size()) * float64(v.Args[1].Type.Shape[1:].Size())
		default:
			n += float64(v.Type.Shape.Size())
		}
	}
	return n
}
