package passes

import (
	"fmt"
	"maps"
	"math"
	"math/rand/v2" // what is drawn here is public test input, the same on every machine
	"slices"

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
	drawnOver  = 20  // drawn magnitudes go down to 2^-drawnOver of the largest
	unequal    = 24  // and those of all inputs but one to 2^-unequal of their ranges
	scaledBy   = 9   // and all together to 2^-scaledBy: normalisation makes anything large again

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

// compare bounds the outputs of m, whose formats are chosen, runs it, and says for each output what is known of its error; from says what its
// constants stand for. bad is the first output that does not keep its tolerance.
func (c *check) compare(m *ir.Module, from *encodings, n *Numbers) (bad, err error) {
	if err := c.prepare(m); err != nil {
		return nil, err
	}
	weights, unbound := ir.BindWeights(m.Main(), m.Weights)
	n.proof = newProof(m, from, c.opt)
	bounds := n.proof.bounds()
	got := make([]map[string]*ir.Tensor, len(c.inputs))
	failed := make([]error, len(c.inputs))
	done := make(chan int)
	for i := range c.inputs {
		go func() {
			defer func() { done <- i }()
			defer ir.Recover(&failed[i])
			if failed[i] = unbound; unbound != nil {
				return
			}
			word := rand.New(rand.NewPCG(uint64(i), 1)).Uint64
			got[i], failed[i] = ir.Results(m.Main(), ir.Env{Inputs: c.inputs[i], Known: weights, Check: true, Dither: word, Parties: len(m.Parties)})
		}()
	}
	for range c.inputs {
		<-done
	}
	source := map[string]*ir.Value{}
	for _, v := range c.graph.Main().Reveals() {
		source[v.Attrs.Str("name")] = v
	}
	for _, v := range m.Main().Reveals() {
		name := v.Attrs.Str("name")
		from := source[name]
		o := Output{Name: name, State: Measured, Tolerance: c.opt.tolerance(name), Frac: v.Type.Scale, Samples: c.samples, Runs: len(c.inputs)}
		why := ""
		for i := range c.inputs {
			switch {
			case failed[i] != nil:
				o.wrong = true
				why = fmt.Sprintf("run %d: %v", i+1, failed[i])
			case from.Type.Elem == ir.Real:
				why = c.reals(&o, got[i][name], c.want[i][name], v.Type.Scale, why)
			case c.ways[i] == drawUniform || c.ways[i] == drawScaled || c.samples || !roundedBefore(from):
				discrete(&o, got[i][name], c.want[i][name]) // elsewhere values are equal on purpose, and rounding decides
			}
		}
		switch {
		case why == "" && o.Of > 0 && !roundedBefore(from) && o.Differ > 0:
			why = fmt.Sprintf("%d of %d elements differ", o.Differ, o.Of)
		case why == "" && o.Differ > 1 && float64(o.Differ) > MostDiffer*float64(o.Of):
			why = fmt.Sprintf("%d of %d elements differ", o.Differ, o.Of)
		case o.Of > 0 && !roundedBefore(from):
			o.State = Exact
		}
		if from.Type.Elem == ir.Real {
			if err := bounds[name].prove(&o, got, c.want, v.Type.Scale); err != nil {
				return nil, err
			}
			if o.State == Proved && !o.wrong {
				why = "" // for every input, however much runs used
			}
		}
		if coarse := tooCoarse(v, o); from.Type.Elem == ir.Real && o.State != Proved && coarse != "" {
			why, o.wrong = coarse, true
		}
		o.wrong = o.wrong || why != "" && from.Type.Elem != ir.Real
		if why != "" && bad == nil {
			bad = offContract(v, o, n.FracBits, c.opt.RevealBits, why)
		}
		n.Outputs = append(n.Outputs, o)
	}
	return bad, nil
}

// reals notes what part of its tolerance an output of reals uses in one run.
func (c *check) reals(o *Output, got, want *ir.Tensor, scale int, why string) string {
	for i := range want.Len() {
		x, y := math.Ldexp(got.At(i), -scale), want.At(i)
		if u := o.used(x, y); u > o.Used {
			if o.Used = u; u > mostUsed {
				why = fmt.Sprintf("element %d is off by %.3g at %.6g, which is %.3g of the tolerance; %g is kept for inputs that were not tried", i, math.Abs(x-y), y, u, mostUsed)
			}
		}
	}
	return why
}

// tooCoarse says why no format can hold the tolerance of an output of reals that is not known to be exact, whatever runs have shown: a value
// near the least magnitude that the range allows may lie halfway between two of its numbers. It is "" if it can.
func tooCoarse(v *ir.Value, o Output) string {
	least := 0.0
	if v.Range.Origin != ir.Assumed {
		least = max(v.Range.Lo, -v.Range.Hi, 0)
	}
	half, may := math.Ldexp(0.5, -mostFraction), o.Atol+float64(o.Rtol*least)
	if half <= may {
		return ""
	}
	return fmt.Sprintf("values near %.3g may be off by %.2g, half a unit of %d fraction bits, which are the most, and %.2g is asked for", least, half, mostFraction, may)
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
	seen := map[*ir.Value]bool{v: true}
	for todo := []*ir.Value{v}; len(todo) > 0; {
		v, todo = todo[len(todo)-1], todo[:len(todo)-1]
		if (v.Op == ir.OpInput || v.Op == ir.OpWeight) && v.Type.Elem == ir.Real {
			return true
		}
		for _, a := range v.Args {
			if !seen[a] {
				seen[a] = true
				todo = append(todo, a)
			}
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
	c.samples = len(c.opt.Samples) > 0
	work := 2 * multiplyAdds(c.graph.Main())
	runs := max(leastRuns, min(fewRuns, int(fewBudget/work)), min(mostRuns, int(runsBudget/work)))
	var tries []map[string]*ir.Tensor
	if c.samples {
		tries = c.opt.Samples[:min(len(c.opt.Samples), runs)]
	} else {
		ranges := map[string]*ir.Value{}
		for _, v := range m.Main().Body {
			if v.Op == ir.OpInput {
				ranges[v.Attrs.Str("name")] = v
			}
		}
		lo, hi := overlap(c.graph.Main(), ranges)
		common := [2]float64{lo, hi}
		for i := range runs {
			in := map[string]*ir.Tensor{}
			for j, v := range c.graph.Main().Body {
				if name := v.Attrs.Str("name"); v.Op == ir.OpInput {
					in[name] = draw(v, ranges[name], common, i, largest(len(in), len(ranges), i), rand.New(rand.NewPCG(uint64(i), uint64(j)+2)))
				}
			}
			tries = append(tries, in)
		}
	}
	want := make([]map[string]*ir.Tensor, len(tries))
	errs := make([]error, len(tries))
	done := make(chan int)
	for i := range tries {
		go func() {
			defer func() { done <- i }()
			defer ir.Recover(&errs[i])
			want[i], errs[i] = ir.Results(c.graph.Main(), ir.Env{Inputs: tries[i], Weights: c.graph.Weights})
		}()
	}
	for range tries {
		<-done
	}
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
				WithHint("declare input ranges that keep its argument inside the function's domain (--range NAME=LO..HI), or bound the argument in the model (Max, Clip, + epsilon)")
		}
		if c.undefined == "" {
			c.undefined = fmt.Sprintf("%v: %s; for such inputs a number without meaning is revealed", at.Pos, what)
		}
	}
	return nil
}

// generic reports whether inputs drawn in the given way are like those that people have: equal elements of a line come about by chance alone.
func generic(way int) bool {
	return way == drawMagnitudes || way == drawUniform || way == drawEnds || way == drawUnequal
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

// The ways in which inputs are drawn, one after the other in the runs. No single way finds what others find: magnitudes of all binades make
// sums that one element decides, so that a function behind it is at its end; a single element shows how its own weight is rounded.
const (
	drawMagnitudes = iota // log-uniform, each element
	drawUniform
	drawEnds    // each element at one end of its range, by chance
	drawNear    // all inputs at the same place of their ranges but for differences of any magnitude: what is left of a difference decides then
	drawHigh    // all at the upper end
	drawEdges   // each element at a distance of any magnitude from one of the ends of its range: a function may end there
	drawSingle  // one of each line anywhere, the others as small as can be
	drawScaled  // uniform, all times the same power of two
	drawLow     // all at the lower end
	drawUnequal // one input uniform, the others times powers of two: what one has too few digits of, the other enlarges
	drawWays
)

// inputRange returns the range of input v, whose range in the module with formats is that of at.
func inputRange(v, at *ir.Value) (lo, hi float64) {
	if v.Type.Elem == ir.Bool {
		return 0, 1
	}
	if r, _, ok := ir.Declared(v); ok {
		return r.Lo, r.Hi
	}
	if at != nil {
		return at.Range.Lo, at.Range.Hi
	}
	return -DefaultAssume, DefaultAssume
}

// overlap returns what the ranges of numbers among the inputs have in common; lo > hi if that is nothing.
func overlap(f *ir.Func, ranges map[string]*ir.Value) (lo, hi float64) {
	lo, hi = -math.MaxFloat64, math.MaxFloat64
	for _, v := range f.Body {
		if v.Op == ir.OpInput && v.Type.Elem != ir.Bool {
			a, b := inputRange(v, ranges[v.Attrs.Str("name")])
			lo, hi = max(lo, a), min(hi, b)
		}
	}
	return lo, hi
}

// largest reports whether the given one of so many inputs is the large one of a run whose inputs are unequal.
func largest(input, inputs, run int) bool { return input == run/drawWays%max(inputs, 1) }

// near draws a number of a..b that differs by any magnitude from a place that all inputs of the run have in common: place, from 0 to 1, of what their
// ranges have in common, or of a..b if that is nothing.
func near(a, b, place float64, common [2]float64, r *rand.Rand) float64 {
	lo, hi := a, b
	if common[0] >= a && common[0] <= common[1] && common[1] <= b {
		lo, hi = common[0], common[1]
	}
	return min(max(lo+float64((hi-lo)*place)+logUniform(a-b, b-a, r), a), b)
}

// draw returns data for input v, whose range is that of at, drawn in the way of the given run.
func draw(v, at *ir.Value, common [2]float64, run int, large bool, r *rand.Rand) *ir.Tensor {
	t := ir.NewTensor(v.Type.Elem, v.Type.Shape)
	lo, hi := inputRange(v, at)
	var columns []interval
	if at != nil {
		columns = inputColumns(at, false)
	}
	line := 1
	if s := v.Type.Shape; len(s) > 0 {
		line = max(1, s[len(s)-1])
	}
	scale := math.Exp2(-scaledBy * r.Float64())
	if run%drawWays == drawUnequal {
		if scale = math.Exp2(-unequal * r.Float64()); large {
			scale = 1
		}
	}
	place := rand.New(rand.NewPCG(uint64(run), 0)).Float64() // the same for all inputs
	single := 0
	for i := range t.Len() {
		a, b := lo, hi
		if columns != nil {
			a, b = columns[i%len(columns)].lo, columns[i%len(columns)].hi
		}
		if i%line == 0 {
			single = r.IntN(line)
		}
		x := 0.0
		if run%drawWays == drawNear {
			x = near(a, b, place, common, r)
		} else {
			x = drawn(a, b, run%drawWays, i%line == single, scale, r)
		}
		switch v.Type.Elem {
		case ir.Real:
			t.F[i] = x
		case ir.Bool:
			t.I[i] = int64(math.Round(x))
		default:
			t.I[i] = int64(min(max(math.Round(x), a), b))
		}
	}
	return t
}

// drawn returns a number of lo..hi.
func drawn(lo, hi float64, way int, single bool, scale float64, r *rand.Rand) float64 {
	uniform := lo + float64((hi-lo)*r.Float64())
	smallest := min(max(0, lo), hi)
	switch way {
	case drawUniform:
		return uniform
	case drawEnds:
		if r.Uint64()&1 == 0 {
			return lo
		}
		return hi
	case drawHigh:
		return hi
	case drawEdges:
		d := math.Abs(logUniform(0, hi-lo, r))
		if r.Uint64()&1 == 0 {
			return min(lo+d, hi)
		}
		return max(hi-d, lo)
	case drawLow:
		return lo
	case drawSingle:
		if single {
			return uniform
		}
		return smallest
	case drawScaled, drawUnequal:
		return min(max(uniform*scale, lo), hi)
	}
	return logUniform(lo, hi, r)
}

// logUniform draws a number of lo..hi whose magnitude is as likely in each binade.
func logUniform(lo, hi float64, r *rand.Rand) float64 {
	neg := hi <= 0 || lo < 0 && r.Uint64()&1 == 1
	least, most := max(lo, 0), hi
	if neg {
		least, most = max(-hi, 0), -lo
	}
	if most <= 0 {
		return most
	}
	least = max(least, math.Ldexp(most, -drawnOver))
	x := float64(least * math.Exp2(float64(r.Float64()*math.Log2(most/least))))
	x = min(max(x, least), most)
	if neg {
		return -x
	}
	return x
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

// Draw returns inputs for a graph-level module, drawn over their declared ranges in the way of the given run; what nothing is said of lies within
// DefaultAssume. The same run gives the same inputs on every machine.
func Draw(m *ir.Module, run int) map[string]*ir.Tensor {
	in := map[string]*ir.Tensor{}
	lo, hi := overlap(m.Main(), nil)
	common := [2]float64{lo, hi}
	inputs := len(m.Main().Inputs())
	for j, v := range m.Main().Body {
		if v.Op == ir.OpInput {
			in[v.Attrs.Str("name")] = draw(v, nil, common, run, largest(len(in), inputs, run), rand.New(rand.NewPCG(uint64(run), uint64(j)+2)))
		}
	}
	return in
}
