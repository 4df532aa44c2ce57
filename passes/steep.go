package passes

import (
	"maps"
	"math"
	"math/rand/v2" // what is tried here is public test input, the same on every machine
	"slices"

	"smpcc/ir"
)

// What a search of places inside the ranges takes.
const (
	descents     = 24
	descentSteps = 32
	planted      = 64   // tries
	plantedMost  = 1024 // lines of one value
	probeError   = 1e-9 // of a value that is affine in one element, relative
)

// depth is the integral of 1/(Atol + Rtol*|y|) from 0 to y: how many tolerances lie between them.
func (t Tolerance) depth(y float64) float64 {
	if t.Rtol <= 0 {
		return y / t.Atol
	}
	return math.Copysign(math.Log1p(float64(t.Rtol*math.Abs(y))/max(t.Atol, math.SmallestNonzeroFloat64/t.Rtol))/t.Rtol, y)
}

// A planting puts inputs where a value of the graph that is affine in each of them is zero, or where they equal constants and weights.
type planting struct {
	input   []*searched
	element []int
	at      []float64
}

// exact returns all values of the graph, nil if it has none.
func (s *search) exact(in map[string]*ir.Tensor) (vals map[*ir.Value]*ir.Tensor) {
	if err := recovered(func() (err error) {
		vals, err = ir.Eval(s.c.graph.Main(), ir.Env{Inputs: in, Weights: s.c.graph.Weights})
		return err
	}); err != nil {
		return nil
	}
	return vals
}

// A descent looks for the place between two inputs where an element of a value is steepest in tolerances: near its zero, in the middle of a step, where a
// pole begins. It is what a bisection finds that goes on with the part between whose ends more tolerances lie.
func (s *search) descent(k int) []*trial {
	r := rand.New(rand.NewPCG(uint64(k), 5))
	a := maps.Clone(s.c.inputs[r.IntN(len(s.c.inputs))])
	b := maps.Clone(a)
	if k%2 == 0 { // all reals move
		to := s.c.inputs[r.IntN(len(s.c.inputs))]
		for name, t := range a {
			if t.Elem == ir.Real {
				b[name] = to[name]
			}
		}
	} else if !s.spread(a, b, r) {
		return nil
	}
	at, bt := s.exact(a), s.exact(b)
	if at == nil || bt == nil {
		return nil
	}
	v, tolerance := s.outputs[r.IntN(len(s.outputs))], DefaultTolerance
	name := v.Attrs.Str("name")
	if k%4 < 2 && len(s.inner) > 0 { // a value on the way
		v = s.inner[r.IntN(len(s.inner))]
	} else {
		tolerance = s.c.opt.tolerance(name)
		v = s.reveals[name]
	}
	apart := func(x, y map[*ir.Value]*ir.Tensor, e int) float64 {
		return math.Abs(tolerance.depth(x[v].At(e)) - tolerance.depth(y[v].At(e)))
	}
	if at[v].Len() == 0 {
		return nil
	}
	e := r.IntN(at[v].Len())
	if k%2 == 1 { // the element that the moved one is for
		for i := range at[v].Len() {
			if apart(at, bt, i) > apart(at, bt, e) {
				e = i
			}
		}
	}
	var out []*trial
	for range descentSteps {
		mid := partWay(a, b, 0.35+float64(0.3*r.Float64()))
		vals := s.exact(mid)
		if vals == nil {
			break
		}
		want := map[string]*ir.Tensor{}
		for name, v := range s.reveals {
			want[name] = vals[v]
		}
		if infinite(want) != "" {
			break
		}
		out = append(out, s.tryFor(mid, want, r))
		if apart(at, vals, e) >= apart(vals, bt, e) {
			b, bt = mid, vals
		} else {
			a, at = mid, vals
		}
	}
	return out
}

// spread moves one real element to the ends of its range, low in a and high in b, and reports whether there is one.
func (s *search) spread(a, b map[string]*ir.Tensor, r *rand.Rand) bool {
	var reals []*searched
	for i := range s.inputs {
		if a[s.inputs[i].name].Elem == ir.Real {
			reals = append(reals, &s.inputs[i])
		}
	}
	if len(reals) == 0 {
		return false
	}
	at := reals[r.IntN(len(reals))]
	e := r.IntN(a[at.name].Len())
	iv := at.at(e)
	for _, end := range []struct {
		in map[string]*ir.Tensor
		x  float64
	}{{a, iv.lo}, {b, iv.hi}} {
		t := mapped(end.in[at.name], func(x float64) float64 { return x })
		t.F[e], end.in[at.name] = end.x, t
	}
	return true
}

// partWay returns the inputs at part p of the way from a to b, which differ in reals alone.
func partWay(a, b map[string]*ir.Tensor, p float64) map[string]*ir.Tensor {
	out := maps.Clone(a)
	for name, t := range a {
		if t.Elem == ir.Real && t != b[name] {
			out[name] = zipped(t, b[name], func(x, y float64) float64 {
				if x == y {
					return x
				}
				return float64(x*(1-p)) + float64(y*p)
			})
		}
	}
	return out
}

// plantings lists places inside the ranges that the graph's constants and weights decide. Four runs tell which elements of a value are affine in one
// element of the inputs, and where they are zero: one moves all elements by the same part of their ranges, one each by a part that names it, one by chance.
func (s *search) plantings() (out []planting) {
	r := rand.New(rand.NewPCG(7, 7))
	var inputs []*searched
	var elements []int
	for i := range s.inputs {
		at := &s.inputs[i]
		t := s.c.inputs[0][at.name]
		if t.Elem != ir.Real {
			continue
		}
		for e := range t.Len() {
			inputs, elements = append(inputs, at), append(elements, e)
		}
	}
	n := len(inputs)
	if n == 0 {
		return nil
	}
	chance := make([]float64, n)
	for i := range chance {
		chance[i] = r.Float64()
	}
	parts := []func(i int) float64{
		func(int) float64 { return 0 }, func(int) float64 { return 1 },
		func(i int) float64 { return float64(i+1) / float64(n) }, func(i int) float64 { return chance[i] },
	}
	middle := func(i int) (x, width float64) {
		iv := inputs[i].at(elements[i])
		return iv.lo + float64(0.55*(iv.hi-iv.lo)), iv.hi - iv.lo
	}
	var runs [4]map[*ir.Value]*ir.Tensor
	for k, part := range parts {
		in := maps.Clone(s.c.inputs[0])
		for i := range inputs {
			name := inputs[i].name
			if i == 0 || inputs[i-1] != inputs[i] {
				in[name] = ir.NewTensor(ir.Real, in[name].Shape)
			}
			x, width := middle(i)
			in[name].F[elements[i]] = x + float64(width*part(i)/8)
		}
		if runs[k] = s.exact(in); runs[k] == nil {
			return nil
		}
	}
	for _, v := range s.c.graph.Main().Body {
		d := runs[0][v]
		if v.Op == ir.OpInput || v.Op == ir.OpReveal || v.Type.Elem != ir.Real || d.Len() == 0 {
			continue
		}
		line := lineOf(d.Shape)
		if v.Op == ir.OpWeight || v.Op == ir.OpConst {
			out = append(out, s.equal(d, line)...)
			continue
		}
		lines := d.Len() / line
		for l := 0; l < lines; l += 1 + lines/plantedMost {
			var p planting
			for e := l * line; e < (l+1)*line; e++ {
				slope := runs[1][v].At(e) - d.At(e)
				named := (runs[2][v].At(e) - d.At(e)) / slope * float64(n)
				i := int(math.Round(min(max(named, 1), float64(n)))) - 1
				if slope == 0 || !(math.Abs(named-float64(i+1)) < 1e-3) || !(math.Abs(runs[3][v].At(e)-d.At(e)-float64(slope*chance[i])) <= probeError*math.Abs(slope)+1e-13*math.Abs(d.At(e))) {
					continue
				}
				x, width := middle(i)
				p.add(inputs[i], elements[i], x-float64(d.At(e)/slope*width/8))
			}
			if len(p.at) > 0 {
				out = append(out, p)
			}
		}
	}
	return out
}

// equal returns plantings of lines, rows and columns of a constant, in a line of inputs that is as long.
func (s *search) equal(t *ir.Tensor, line int) (out []planting) {
	rows := t.Len() / line
	for i := range s.inputs {
		at := &s.inputs[i]
		base := (i * at.line) % max(s.c.inputs[0][at.name].Len(), 1)
		base -= base % at.line
		plant := func(n int, of func(k int) float64) {
			var p planting
			for k := range n {
				p.add(at, base+k, of(k))
			}
			if len(p.at) == n {
				out = append(out, p)
			}
		}
		if line == at.line {
			for l := 0; l < rows; l += 1 + rows/plantedMost {
				plant(line, func(k int) float64 { return t.At(l*line + k) })
			}
		}
		if rows == at.line && rows > 1 {
			for l := 0; l < line; l += 1 + line/plantedMost {
				plant(rows, func(k int) float64 { return t.At(k*line + l) })
			}
		}
	}
	return out
}

// add plants an element inside its range.
func (p *planting) add(in *searched, element int, x float64) {
	if iv := in.at(element); x >= iv.lo && x <= iv.hi {
		p.input, p.element, p.at = append(p.input, in), append(p.element, element), append(p.at, x)
	}
}

// plant returns inputs with a line, or one element of it, at one of the plantings, but for differences of any magnitude.
func (s *search) plant(in map[string]*ir.Tensor, r *rand.Rand) map[string]*ir.Tensor {
	out := maps.Clone(in)
	p := s.planted[r.IntN(len(s.planted))]
	one := -1
	if r.IntN(3) == 0 {
		one = r.IntN(len(p.at))
	}
	by := math.Exp2(-drawnEdge * r.Float64())
	own := map[string]bool{}
	for i, at := range p.input {
		if one >= 0 && i != one {
			continue
		}
		if !own[at.name] {
			own[at.name] = true
			out[at.name] = mapped(out[at.name], func(x float64) float64 { return x })
		}
		s.place(at, out[at.name], p.element[i], p.at[i], by, r)
	}
	return out
}

// jitter moves a part by little.
func (s *search) jitter(at *searched, t *ir.Tensor, _ map[string]*ir.Tensor, r *rand.Rand) {
	by := math.Exp2(-drawnEdge * r.Float64())
	first, step, n := at.part(t, r)
	for k := range n {
		i := first + k*step
		s.place(at, t, i, t.At(i), by, r)
	}
}

// inside returns what trials at places inside the ranges give, in the same order always.
func (s *search) inside() []*trial {
	n := descents
	if len(s.planted) > 0 {
		n += planted
	}
	lists := make([][]*trial, n)
	concurrently(n, func(k int) {
		if k < descents {
			lists[k] = s.descent(k)
			return
		}
		r := rand.New(rand.NewPCG(uint64(k), 6))
		lists[k] = []*trial{s.try(s.plant(s.c.inputs[k%len(s.c.inputs)], r), r)}
	})
	return slices.Concat(lists...)
}
