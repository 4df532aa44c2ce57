package passes

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/rand/v2" // what is tried here is public test input, the same on every machine
	"slices"

	"smpcc/ir"
)

// What a search takes.
const (
	searchWork   = 5e4 // multiply-adds of a graph at most: larger ones are deep, and their worst case says nothing
	searchRounds = 12
	searchTries  = 16 // in a round
	searchKept   = 6  // inputs that the next round starts from
)

// A search looks for inputs for which an output does not keep its tolerance, where a bound does not exclude them: it starts from the runs that used most of
// it, changes their inputs by what makes fixed point lose digits (small lines, columns and elements, ends of ranges, what is near something else), and goes
// on from those that use more. It finds what drawing alone meets once in many thousand runs.
type search struct {
	c       *check
	m       *ir.Module
	weights map[*ir.Value]*ir.Tensor
	wide    bool        // bounds are assumed: inputs at the ends of ranges, all at once, say nothing
	outputs []*ir.Value // reveals of m that are looked at
	inputs  []searched
	reveals map[string]*ir.Value // of the graph
	inner   []*ir.Value          // sums and differences of it
	planted []planting
}

// A searched input has elements within ranges, by columns.
type searched struct {
	name    string
	line    int
	columns []interval
}

// A trial is what inputs give: the element that uses most of its tolerance.
type trial struct {
	in        map[string]*ir.Tensor
	used      float64
	output    *ir.Value
	element   int
	got, want float64
	err       error // the run has failed
}

// newSearch prepares the search for the outputs of m that are measured, nil if there is none, or the graph is large, or its inputs are samples.
func (c *check) newSearch(m *ir.Module, weights map[*ir.Value]*ir.Tensor, n *Numbers) *search {
	if c.samples || multiplyAdds(c.graph.Main()) > searchWork {
		return nil
	}
	s := &search{c: c, m: m, weights: weights, wide: n.Wide}
	reveals := m.Main().Reveals()
	for i, o := range n.Outputs {
		if o.State == Measured && o.Of == 0 && reveals[i].Type.Elem == ir.Ring {
			s.outputs = append(s.outputs, reveals[i])
		}
	}
	at := rangesOf(m)
	s.reveals = map[string]*ir.Value{}
	for _, v := range c.graph.Main().Body {
		switch {
		case v.Op == ir.OpReveal:
			s.reveals[v.Attrs.Str("name")] = v
		case (v.Op == ir.OpAdd || v.Op == ir.OpSub) && v.Type.Elem == ir.Real && v.Type.Shape.Size() > 0:
			s.inner = append(s.inner, v)
		}
		if v.Op != ir.OpInput || v.Type.Shape.Size() == 0 {
			continue
		}
		name := v.Attrs.Str("name")
		s.inputs = append(s.inputs, searched{name, lineOf(v.Type.Shape), inputRanges(v, at[name])})
	}
	if len(s.outputs) == 0 || len(s.inputs) == 0 {
		return nil
	}
	s.planted = s.plantings()
	return s
}

// rangesOf returns the inputs of m, which have ranges, by name.
func rangesOf(m *ir.Module) map[string]*ir.Value { return inputsOf(m.Main()) }

// inputsOf returns the inputs of f by name.
func inputsOf(f *ir.Func) map[string]*ir.Value {
	out := map[string]*ir.Value{}
	for _, v := range f.Body {
		if v.Op == ir.OpInput {
			out[v.Attrs.Str("name")] = v
		}
	}
	return out
}

// worst returns a trial that is beyond its tolerance, nil if none was found.
func (s *search) worst(got []map[string]*ir.Tensor) *trial {
	var kept []*trial
	for i := range got {
		kept = append(kept, s.judge(s.c.inputs[i], got[i], s.c.want[i]))
	}
	inside := s.inside()
	if t := s.beyond(inside); t != nil {
		return t
	}
	if s.wide {
		return nil
	}
	kept = best(append(kept, slices.DeleteFunc(inside, func(t *trial) bool { return t.used > 1 })...))
	for round := range searchRounds {
		tries := make([]*trial, searchTries)
		concurrently(searchTries, func(i int) {
			r := rand.New(rand.NewPCG(uint64(round), uint64(i)+1<<32))
			in := s.changed(kept[i%len(kept)].in, r)
			if i%4 == 3 && len(s.planted) > 0 {
				in = s.plant(in, r)
			}
			tries[i] = s.try(in, r)
		})
		if t := s.beyond(tries); t != nil {
			return t
		}
		kept = best(append(kept, slices.DeleteFunc(tries, func(t *trial) bool { return t.used > 1 })...))
	}
	return nil
}

// beyond returns the first trial that is beyond its tolerance, not for a step; nil if there is none.
func (s *search) beyond(tries []*trial) *trial {
	for _, t := range tries {
		if t.used > 1 && !s.c.jumps(s.m, t.in, t.output, t.element) {
			return t
		}
	}
	return nil
}

// best returns the trials that use most of their tolerance.
func best(list []*trial) []*trial {
	slices.SortStableFunc(list, func(a, b *trial) int { return cmp.Compare(b.used, a.used) })
	return list[:min(len(list), searchKept)]
}

// try runs the graph and the module on inputs.
func (s *search) try(in map[string]*ir.Tensor, r *rand.Rand) *trial {
	var want map[string]*ir.Tensor
	if err := recovered(func() (err error) {
		want, err = ir.Results(s.c.graph.Main(), ir.Env{Inputs: in, Weights: s.c.graph.Weights})
		return err
	}); err != nil || infinite(want) != "" {
		return &trial{in: in, used: -1} // of no use, unless both have a result
	}
	return s.tryFor(in, want, r)
}

// tryFor runs the module on inputs whose exact results are known.
func (s *search) tryFor(in, want map[string]*ir.Tensor, r *rand.Rand) (t *trial) {
	t = &trial{in: in, used: -1}
	defer func() {
		if t.err != nil {
			t.used = math.Inf(1)
		}
	}()
	t.err = recovered(func() error {
		got, err := ir.Results(s.m.Main(), ir.Env{Inputs: in, Known: s.weights, Check: true, Dither: r.Uint64, Parties: len(s.m.Parties)})
		if err == nil {
			t = s.judge(in, got, want)
		}
		return err
	})
	return t
}

// recovered calls f, and returns a panic of the interpreter as an error.
func recovered(f func() error) (err error) {
	defer ir.Recover(&err)
	return f()
}

// judge compares results.
func (s *search) judge(in, got, want map[string]*ir.Tensor) *trial {
	t := &trial{in: in, output: s.outputs[0]}
	for _, v := range s.outputs {
		name := v.Attrs.Str("name")
		tolerance := s.c.opt.tolerance(name)
		for i := range want[name].Len() {
			x, y := math.Ldexp(got[name].At(i), -v.Type.Scale), want[name].At(i)
			if u := tolerance.used(x, y); u > t.used {
				t.used, t.output, t.element, t.got, t.want = u, v, i, x, y
			}
		}
	}
	return t
}

// why says what was found.
func (t *trial) why() string {
	if t.err != nil {
		return fmt.Sprintf("for inputs within their ranges that a search found: %v", t.err)
	}
	return fmt.Sprintf("element %d is off by %.3g at %.6g, which is %.3g of the tolerance, for inputs within their ranges that a search found", t.element, math.Abs(t.got-t.want), t.want, t.used)
}

// at returns the range of an element.
func (in *searched) at(i int) interval { return in.columns[i%len(in.columns)] }

// changed returns inputs with a few changes.
func (s *search) changed(in map[string]*ir.Tensor, r *rand.Rand) map[string]*ir.Tensor {
	out := maps.Clone(in)
	for range 1 + r.IntN(3) {
		at := &s.inputs[r.IntN(len(s.inputs))]
		t := out[at.name]
		t = &ir.Tensor{Elem: t.Elem, Shape: t.Shape, I: slices.Clone(t.I), F: slices.Clone(t.F)}
		out[at.name] = t
		changes[r.IntN(len(changes))](s, at, t, out, r)
	}
	return out
}

// changes are the ways in which a search changes one input, t, of several, all.
var changes = []func(s *search, at *searched, t *ir.Tensor, all map[string]*ir.Tensor, r *rand.Rand){
	(*search).scale, (*search).scale, (*search).approach, (*search).scatter, (*search).scatter, (*search).copyLine, (*search).copyElement, (*search).redraw,
	(*search).jitter, (*search).jitter,
}

// part returns the first element of a part of t (an element, a line, a column, all of it), the step to the next and how many there are.
func (at *searched) part(t *ir.Tensor, r *rand.Rand) (first, step, n int) {
	i := r.IntN(t.Len())
	switch r.IntN(4) {
	case 0:
		return i, 1, 1
	case 1:
		return i - i%at.line, 1, at.line
	case 2:
		return i % at.line, at.line, t.Len() / at.line
	}
	return 0, 1, t.Len()
}

// scale multiplies a part by a power of two, as far as ranges allow.
func (s *search) scale(at *searched, t *ir.Tensor, _ map[string]*ir.Tensor, r *rand.Rand) {
	by := math.Exp2(-8 * r.Float64())
	if r.IntN(3) == 0 {
		by = 1 / by
	}
	first, step, n := at.part(t, r)
	for k := range n {
		i := first + k*step
		iv := at.at(i)
		set(t, i, towards(iv.lo, iv.hi, t.At(i), by), iv.lo, iv.hi)
	}
}

// approach moves a part towards one end of its range.
func (s *search) approach(at *searched, t *ir.Tensor, _ map[string]*ir.Tensor, r *rand.Rand) {
	by, high := math.Exp2(-8*r.Float64()), r.IntN(2) == 0
	first, step, n := at.part(t, r)
	for k := range n {
		i := first + k*step
		iv := at.at(i)
		end := iv.lo
		if high {
			end = iv.hi
		}
		set(t, i, min(max(end+float64((t.At(i)-end)*by), iv.lo), iv.hi), iv.lo, iv.hi)
	}
}

// scatter multiplies the distance of each element of a part from one end of its range, or from the number of least magnitude there, by a factor of its own:
// an error that comes and goes within a binade is met.
func (s *search) scatter(at *searched, t *ir.Tensor, _ map[string]*ir.Tensor, r *rand.Rand) {
	from, by := r.IntN(3), math.Exp2(-6*r.Float64())
	first, step, n := at.part(t, r)
	for k := range n {
		i := first + k*step
		iv := at.at(i)
		end := []float64{iv.lo, iv.hi, min(max(0, iv.lo), iv.hi)}[from]
		x := end + float64((t.At(i)-end)*math.Exp2(float64(by*(2*r.Float64()-1))))
		set(t, i, min(max(x, iv.lo), iv.hi), iv.lo, iv.hi)
	}
}

// copyLine makes a line nearly equal to another one, of the same input or another with lines of the same length.
func (s *search) copyLine(at *searched, t *ir.Tensor, all map[string]*ir.Tensor, r *rand.Rand) {
	from := &s.inputs[r.IntN(len(s.inputs))]
	if from.line != at.line {
		from = at
	}
	source := all[from.name]
	to, of := r.IntN(t.Len()/at.line)*at.line, r.IntN(source.Len()/from.line)*from.line
	by := math.Exp2(-drawnEdge * r.Float64())
	for k := range at.line {
		s.place(at, t, to+k, source.At(of+k), by, r)
	}
}

// copyElement makes a part nearly equal to one element of any input.
func (s *search) copyElement(at *searched, t *ir.Tensor, all map[string]*ir.Tensor, r *rand.Rand) {
	source := all[s.inputs[r.IntN(len(s.inputs))].name]
	x, by := source.At(r.IntN(source.Len())), math.Exp2(-drawnEdge*r.Float64())
	first, step, n := at.part(t, r)
	for k := range n {
		s.place(at, t, first+k*step, x, by, r)
	}
}

// place stores a number that differs from x by up to the given part of the range.
func (s *search) place(at *searched, t *ir.Tensor, i int, x, by float64, r *rand.Rand) {
	iv := at.at(i)
	x += float64((iv.hi - iv.lo) * float64(by*(2*r.Float64()-1)))
	set(t, i, min(max(x, iv.lo), iv.hi), iv.lo, iv.hi)
}

// redraw draws a part anew.
func (s *search) redraw(at *searched, t *ir.Tensor, _ map[string]*ir.Tensor, r *rand.Rand) {
	way := []int{drawMagnitudes, drawUniform, drawEnds, drawEdges}[r.IntN(4)]
	first, step, n := at.part(t, r)
	for k := range n {
		i := first + k*step
		iv := at.at(i)
		set(t, i, drawn(iv.lo, iv.hi, way, false, 1, r), iv.lo, iv.hi)
	}
}

// How a step is told from what is steep.
const (
	stepTries   = 16
	stepHalves  = 30
	stepFactors = 4 // inputs are moved by up to 4^(stepFactors-1) units
)

// jumps reports whether an element of an output has a step, as behind a comparison, so near the inputs that rounding them may cross it: between inputs that
// differ by a few units of their format its exact value differs, and still does where they differ by 2^-30 of that. No format decides on which side a
// number within its rounding of a step lies.
func (c *check) jumps(m *ir.Module, in map[string]*ir.Tensor, output *ir.Value, element int) bool {
	if !c.steps || output == nil {
		return false
	}
	name := output.Attrs.Str("name")
	value := func(in map[string]*ir.Tensor) float64 {
		out, err := ir.Results(c.graph.Main(), ir.Env{Inputs: in, Weights: c.graph.Weights})
		if err != nil {
			return math.NaN()
		}
		return out[name].At(element)
	}
	ranges := rangesOf(m)
	y := value(in)
	t := c.opt.tolerance(name)
	enough := mostUsed * (t.Atol + float64(t.Rtol*math.Abs(y)))
	for k := range stepTries {
		a, ya := in, y
		b := nudged(in, ranges, math.Exp2(float64(2*(k%stepFactors))), rand.New(rand.NewPCG(uint64(k), 3)))
		yb := value(b)
		if !(math.Abs(yb-ya) > enough) {
			continue
		}
		for range stepHalves {
			mid := halfway(a, b)
			if ym := value(mid); math.Abs(ym-ya) >= math.Abs(yb-ym) {
				b, yb = mid, ym
			} else {
				a, ya = mid, ym
			}
		}
		if math.Abs(yb-ya) > enough {
			return true
		}
	}
	return false
}

// nudged returns the inputs, each real element moved by up to so many units of its format.
func nudged(in map[string]*ir.Tensor, ranges map[string]*ir.Value, units float64, r *rand.Rand) map[string]*ir.Tensor {
	out := map[string]*ir.Tensor{}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		t, at := in[name], ranges[name]
		if out[name] = t; t.Elem != ir.Real || at == nil {
			continue
		}
		by := math.Ldexp(units, -at.Type.Scale)
		out[name] = mapped(t, func(x float64) float64 { return x + float64(by*(2*r.Float64()-1)) })
	}
	return out
}

// halfway returns the inputs in the middle between a and b, which differ in reals alone.
func halfway(a, b map[string]*ir.Tensor) map[string]*ir.Tensor {
	out := maps.Clone(a)
	for name, t := range a {
		if t.Elem == ir.Real {
			out[name] = zipped(t, b[name], func(x, y float64) float64 { return x/2 + y/2 })
		}
	}
	return out
}
