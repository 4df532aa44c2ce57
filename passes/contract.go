package passes

import (
	"errors"
	"math"
	"slices"

	"smpcc/ir"
)

// A Tolerance bounds an error: |secure - exact| <= Atol + Rtol*|exact|.
type Tolerance struct{ Atol, Rtol float64 }

// DefaultTolerance is the tolerance of outputs of which nothing else is asked.
var DefaultTolerance = Tolerance{1e-3, 1e-3}

// used returns the part of the tolerance that the difference of got and want takes: 1 if all of it.
func (t Tolerance) used(got, want float64) float64 {
	if got == want {
		return 0
	}
	if u := math.Abs(got-want) / (t.Atol + float64(t.Rtol*math.Abs(want))); !math.IsNaN(u) {
		return u
	}
	return math.Inf(1)
}

// revealMargin is how many fraction bits an output has besides the fewest that keep its tolerance.
const revealMargin = 3

// revealBits returns the fraction bits in which an output is revealed: what is below says nothing of the result, but something of what it was
// computed from.
func (o *Options) revealBits(name string, r ir.Range) int {
	if o.RevealBits > 0 {
		return o.RevealBits
	}
	least := 0.0 // magnitude of the result
	if r.Origin != ir.Assumed {
		least = max(r.Lo, -r.Hi, 0)
	}
	t := o.tolerance(name)
	return min(max(int(math.Ceil(-math.Log2(t.Atol+float64(t.Rtol*least))))+revealMargin, 0), mostFraction)
}

// A State says how it is known that an output keeps its tolerance.
type State string

// The states.
const (
	Proved   State = "proved"   // by a bound, for every input in the declared ranges
	Measured State = "measured" // by runs on samples or drawn inputs
	Guarded  State = "guarded"  // by runs; a value that leaves its range is found, but for a part, and the output withheld
	Exact    State = "exact"    // integers and booleans of exact values
)

// An Output says how close an output is to the exact one.
type Output struct {
	Name string
	State
	Tolerance
	Frac    int     // fraction bits in which it is revealed
	Used    float64 // part of the tolerance that the bound, or else the worst run, used
	Runs    int     // runs that were compared
	Differ  int     // of discrete outputs: elements that differ (-1 if that is kept back), because a comparison is decided within the rounding of its operands
	Of      int     // of so many elements
	Samples bool    // the runs were on samples, not on drawn inputs
	Why     string  // why it is not proved
	Guard   int     // bits by which the values are checked that a guarded one rests on
	met     float64 // of a proved output: part of the tolerance that the worst run used
	bound   float64 // of a measured output: part of the tolerance that its bound takes; 0 if it has none
	wrong   bool    // it does not keep its tolerance, and not for how much it uses
}

// Numbers say which formats were chosen, and what is known of the outputs they give.
type Numbers struct {
	FracBits  int     // fraction bits of values near 1
	Precision float64 // asked of approximated functions
	Wide      bool    // some bounds fit no ring: those values are assumed to be smaller
	Outputs   []Output
	Taken     Taken  // from weights and samples
	Undefined string // where the graph has no exact value for some inputs in their ranges, "" if none was found

	proof *proof // of the outputs' errors
}

// An attempt is one choice of formats for the whole module.
type attempt struct {
	frac  int     // more than the least
	eps   float64 // factor on the precision of functions
	wide  bool
	light bool // without what is dear: leading digits of all that is divided
}

// attempts lists what is tried, until an output's tolerance is kept: bounds that fit first, more bits and closer functions then.
var attempts = []attempt{
	{frac: 0, eps: 1}, {frac: 1, eps: 0.7, light: true}, {frac: 1, eps: 0.5}, {frac: 2, eps: 0.25}, {frac: 4, eps: 0.1}, {frac: 6, eps: 0.05}, {frac: 8, eps: 0.05}, {frac: 10, eps: 0.05}, {frac: 12, eps: 0.05},
	{frac: 0, eps: 1, wide: true}, {frac: 1, eps: 0.7, wide: true, light: true}, {frac: 1, eps: 0.5, wide: true}, {frac: 2, eps: 0.25, wide: true}, {frac: 4, eps: 0.1, wide: true},
}

// options returns what passes are run with for an attempt.
func (a attempt) options(opt *Options) Options {
	o := *opt
	o.FracBits, o.wide, o.fine, o.closely = opt.FracBits+a.frac, a.wide, a.frac >= 1 && !a.light, a.frac >= 4
	if o.Precision <= 0 {
		o.Precision = DefaultPrecision
	}
	if a.eps < 1 { // what was asked for did not do
		o.Precision = min(o.Precision, DefaultPrecision)
	}
	o.Precision, o.notes = max(o.Precision*a.eps, 1e-5), opt.notes.fork()
	return o
}

// resettle runs the passes that deal with numbers as they were run when another compilation chose formats with data. What it found of outputs is not found again.
func resettle(m *ir.Module, opt *Options, run func(m *ir.Module, opt *Options) error) (*Numbers, error) {
	i := opt.Taken.Attempt
	if i < 0 || i >= len(attempts) {
		return nil, errNotebook
	}
	o := attempts[i].options(opt)
	if err := quietly(m, &o, opt.notes, run); err != nil {
		return nil, err
	}
	return &Numbers{FracBits: o.FracBits, Precision: o.Precision, Wide: attempts[i].wide, Taken: *opt.Taken}, o.notes.done()
}

// mostUsed is the part of a tolerance that runs may use: what they leave is for inputs that were not drawn.
const mostUsed = 0.5

// mostFracBits is how many fraction bits values near 1 have at most.
const mostFracBits = 28

// mostWide is how many more bits than the least are tried where values are assumed to be smaller than their bounds: each takes two of what may be assumed.
const mostWide = 4

// nearlyAll is what runs may use where no formats leave more room: the tolerance is kept all the same.
const nearlyAll = 0.8

// A choice is a module with its formats.
type choice struct {
	opt     Options
	m       *ir.Module
	numbers *Numbers
}

// worst returns the largest part of a tolerance that an output uses; more than 1 if an output is wrong.
func (n *Numbers) worst() float64 {
	worst := 0.0
	for _, o := range n.Outputs {
		if o.State != Proved {
			worst = max(worst, o.Used)
		}
		if o.wrong {
			worst = math.Inf(1)
		}
	}
	return worst
}

// dearer is how much more may be sent for outputs to be proved instead of measured.
const dearer = 1.25

// mostProofs is how many attempts are made to prove what runs have not refused, where outputs are not affine in the inputs.
const mostProofs = 3

// off is worst for a refusal: a run that has failed shows nothing of how close others come, and is further off than any that has not.
func (n *Numbers) off() float64 {
	off := n.worst()
	if math.IsInf(off, 1) {
		for _, o := range n.Outputs {
			if o.wrong && o.State == Measured && o.Of == 0 {
				return math.MaxFloat64
			}
		}
	}
	return off
}

// proved reports whether nothing is known by runs alone.
func (n *Numbers) proved() bool {
	return !slices.ContainsFunc(n.Outputs, func(o Output) bool { return o.State == Measured })
}

// provable reports whether a graph is small, and computed on no samples: a bound of its errors may be near what they are, so that more bits prove it.
func (c *check) provable() bool { return !c.samples && multiplyAdds(c.graph.Main()) <= searchWork }

// affine reports whether all outputs are affine in the inputs, as a scaler, a linear layer or a normalisation by stored moments is.
func (c *check) affine() bool {
	degree := map[*ir.Value]int{}
	for _, v := range c.graph.Main().Body {
		sum, most := 0, 0
		for _, a := range v.Args {
			sum, most = sum+degree[a], max(most, degree[a])
		}
		switch {
		case v.Op == ir.OpInput:
			most = 1
		case most == 0, ir.Rows[v.Op].View, v.Op == ir.OpAdd, v.Op == ir.OpSub, v.Op == ir.OpNeg, v.Op == ir.OpReduceSum, v.Op == ir.OpReduceMean, v.Op == ir.OpReveal:
		case v.Op == ir.OpMul || v.Op == ir.OpMatMul || v.Op == ir.OpConv:
			most = sum
		case v.Op == ir.OpDiv && degree[v.Args[1]] == 0:
		default:
			most = 2
		}
		if degree[v] = most; most > 1 {
			return false
		}
	}
	return true
}

// worstBound returns the largest part of a tolerance that the bounds of outputs take; infinite if one of reals has none.
func (n *Numbers) worstBound() float64 {
	worst := 0.0
	for _, o := range n.Outputs {
		switch {
		case o.State == Measured && o.bound == 0:
			return math.Inf(1)
		case o.State == Measured:
			worst = max(worst, o.bound)
		}
	}
	return worst
}

// mayProve reports whether attempt a may prove what takes the given part of a tolerance with attempt b: errors go down with the last bit, and with what
// functions are asked for.
func mayProve(bound float64, a, b attempt, functions bool) bool {
	by := math.Ldexp(1, a.frac-b.frac)
	if functions {
		by = min(by, b.eps/a.eps)
	}
	return bound <= 2*by
}

// keeps reports whether all tolerances are kept by the bounds of outputs alone.
func (c *check) keeps(m *ir.Module, bounds map[string]outputBound) bool {
	for _, v := range m.Main().Reveals() {
		name := v.Attrs.Str("name")
		if b := bounds[name]; v.Type.Elem == ir.Ring && (b.why != "" || !(b.part(c.opt.tolerance(name)) <= 1)) {
			return false
		}
	}
	return true
}

// volumeOf estimates what a module with formats sends, in bits: its inputs, products of secrets, truncations and outputs.
func volumeOf(m *ir.Module) float64 {
	sum := 0.0
	for _, v := range m.Main().Body {
		if v.Op == ir.OpInput || v.Op == ir.OpTrunc || v.Op == ir.OpReveal || ofSecrets(v) {
			sum += float64(v.Type.Bits) * float64(v.Type.Shape.Size())
		}
	}
	return sum
}

// publish rounds what runs on private weights and samples have shown up to powers of two, because a plan is public, and leaves it out where an
// owner lets nothing derive from its data.
func (n *Numbers) publish(opt *Options) {
	silent := opt.Default != nil && !opt.Default.Publishes()
	for _, p := range opt.Policies {
		silent = silent || !p.Publishes()
	}
	for i := range n.Outputs {
		o := &n.Outputs[i]
		if o.Used, o.Differ = powerUp(o.Used), int(powerUp(float64(o.Differ))); silent && o.State != Proved { // a bound uses nothing of what is kept back
			if o.Used = 0; o.Of > 0 {
				o.Differ = -1
			}
		}
	}
}

// settle runs the passes that deal with numbers, with the fewest fraction bits that keep the tolerance of every output, and returns what was
// chosen. graph is the module as it was written, of the same meaning as m.
func settle(m, graph *ir.Module, opt *Options, run func(m *ir.Module, opt *Options) error) (*Numbers, error) {
	var refused error
	nearest := math.Inf(1)  // what the refused output uses of its tolerance
	var best, first *choice // the first is measured
	check := newCheck(graph, opt)
	affine, start, proofs := check.affine(), attempt{}, 0
	take := func(c *choice) (*Numbers, error) {
		if opt.Observe != nil { // show what was chosen
			o := c.opt
			o.Observe, c.m, o.notes = opt.Observe, m.Clone(), opt.notes.fork()
			if err := run(c.m, &o); err != nil {
				return nil, err
			}
			c.numbers.proof.f = c.m.Main()
		}
		*m = *c.m
		c.numbers.publish(opt)
		c.numbers.guarded(m.Main())
		c.numbers.Taken = c.opt.notes.taken
		c.numbers.Undefined = check.undefined
		return c.numbers, nil
	}
	for i, a := range attempts {
		if a.wide && (a.frac > mostWide || first != nil) {
			break
		}
		o := a.options(opt)
		if o.FracBits > mostFracBits && a.frac > 0 {
			continue
		}
		if first != nil && !affine && (proofs == mostProofs || !mayProve(first.numbers.worstBound(), a, start, check.functions())) {
			continue
		}
		o.Observe = nil
		try := m.Clone()
		err := quietly(try, &o, opt.notes, run)
		if errors.Is(err, errInternal) {
			return nil, err
		}
		if err != nil {
			if refused == nil {
				refused = err
			}
			if a.wide || first != nil {
				break // more bits fit even less
			}
			continue
		}
		if proofs++; first != nil && volumeOf(try) > dearer*volumeOf(first.m) {
			continue
		}
		p := newProof(try, o.encoded, check.opt)
		bounds := p.bounds()
		if first != nil && !check.keeps(try, bounds) {
			continue
		}
		n := &Numbers{FracBits: o.FracBits, Precision: o.Precision, Wide: a.wide, proof: p}
		bad, err := check.compare(try, bounds, n)
		if err != nil {
			return nil, err
		}
		o.notes.taken.Attempt = i
		c := &choice{o, try, n}
		switch {
		case bad == nil && (first != nil || a.wide || n.proved() || !check.provable()):
			return take(c)
		case bad == nil: // a bound for every input is worth a few more bits
			first, start, proofs = c, a, 0
			continue
		case first != nil:
			continue
		}
		if n.worst() <= nearlyAll && (best == nil || n.worst() < best.numbers.worst()) {
			best = c
		}
		if off := n.off(); refused == nil || off < nearest || off == nearest && !a.wide { // how close it comes says how much to change
			refused, nearest = bad, off
		}
	}
	if first != nil {
		return take(first)
	}
	if best != nil {
		return take(best)
	}
	return nil, refused
}
