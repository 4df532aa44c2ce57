package plan

import (
	"fmt"
	"math"
	"strings"
)

// A Recipe is what the compiler was told and what it took from weights and samples. With the graph, whose text is in the plan, it makes the plan anew
// without any data.
type Recipe struct {
	FracBits   int      `pb:"1"`  // fraction bits of reals that were asked for
	Ring       int      `pb:"2"`  // width of all values; 0: chosen for each
	RevealBits int      `pb:"3"`  // fraction bits of outputs; 0: as the tolerance asks
	Precision  float64  `pb:"4"`  // largest error of approximated functions
	Assume     float64  `pb:"5"`  // largest magnitude of inputs of which nothing is said
	RTT        float64  `pb:"6"`  // of the network, in seconds
	Bandwidth  float64  `pb:"7"`  // of the network, in bits per second
	Atol       float64  `pb:"8"`  // largest absolute error of outputs
	Rtol       float64  `pb:"9"`  // largest relative error on top of it
	Outputs    []Asked  `pb:"10"` // of single outputs, by name
	Exact      []string `pb:"11"` // outputs whose last truncation is exact
	Skip       []string `pb:"12"` // passes that were left out
	Strict     bool     `pb:"13"` // ranges that are not proved are refused
	OwnReveals bool     `pb:"14"` // owners without a policy allow what the source itself reveals
	Told       []string `pb:"15"` // options that the graph has taken up, as they are written: --dim N=1
	Weights    []string `pb:"16"` // of the graph, whose data the compiler had
	Samples    int      `pb:"17"` // sample inputs that it had
	Attempt    int      `pb:"18"` // the choice of formats that kept the tolerance, from 0 on
	Bounds     []Bound  `pb:"19"` // taken from data, in the order in which the compiler asks
	Columns    []Bound  `pb:"20"` // taken from samples of tables
	Zeros      []bool   `pb:"21"` // of weights that something is divided by: whether one has no reciprocal
	Guard      int      `pb:"22"` // bits by which values that may leave their range are checked
}

// An Asked is the tolerance asked of one output.
type Asked struct {
	Output string  `pb:"1"`
	Atol   float64 `pb:"2"`
	Rtol   float64 `pb:"3"`
}

// A Bound is an interval in which a value was found to lie. An empty one, with Lo above Hi, says that nothing was found.
type Bound struct {
	Lo     float64 `pb:"1"`
	Hi     float64 `pb:"2"`
	Origin int     `pb:"3"` // as in the text of the IR: none, assumed, calibrated, proved
	Narrow bool    `pb:"4"` // samples or an assumption made it narrower than what the value is computed from allows
}

// Limits on what a recipe may say.
const (
	maxTold  = 1 << 16
	maxTaken = 1 << 22
)

// validate refuses what no compiler writes.
func (r *Recipe) validate() error {
	for _, x := range []float64{r.Precision, r.Assume, r.RTT, r.Bandwidth, r.Atol, r.Rtol} {
		if !(x >= 0) || math.IsInf(x, 0) {
			return fmt.Errorf("recipe: %g is no option", x)
		}
	}
	switch {
	case r.FracBits < 0 || r.FracBits > 64 || r.Ring < 0 || r.Ring > 64 || r.RevealBits < 0 || r.RevealBits > 64 || r.Samples < 0 || r.Attempt < 0 || r.Guard < 0 || r.Guard > 8:
		return fmt.Errorf("recipe: %d fraction bits, ring of %d, %d bits revealed, %d samples, attempt %d", r.FracBits, r.Ring, r.RevealBits, r.Samples, r.Attempt)
	case len(r.Told)+len(r.Outputs)+len(r.Exact)+len(r.Skip) > maxTold || len(r.Bounds)+len(r.Columns)+len(r.Zeros)+len(r.Weights) > maxTaken:
		return fmt.Errorf("recipe: %d options and %d bounds are too many", len(r.Told), len(r.Bounds))
	}
	for _, b := range append(append([]Bound{}, r.Bounds...), r.Columns...) {
		if math.IsNaN(b.Lo) || math.IsNaN(b.Hi) || b.Origin < 0 || b.Origin > 3 {
			return fmt.Errorf("recipe: a bound of %g..%g of origin %d", b.Lo, b.Hi, b.Origin)
		}
	}
	return nil
}

// Options returns the options as they would be written on a command line, those of defaults too.
func (r *Recipe) Options() []string {
	out := append([]string{}, r.Told...)
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	add("--frac-bits %d", r.FracBits)
	add("--precision %g", r.Precision)
	add("--atol %g", r.Atol)
	add("--rtol %g", r.Rtol)
	for _, o := range r.Outputs {
		add("--atol %s=%g", o.Output, o.Atol)
		add("--rtol %s=%g", o.Output, o.Rtol)
	}
	add("--assume %g", r.Assume)
	add("--net rtt=%gms,bw=%gmbit", r.RTT*1e3, r.Bandwidth/1e6)
	if r.Ring > 0 {
		add("--ring %d", r.Ring)
	}
	if r.RevealBits > 0 {
		add("--reveal-bits %d", r.RevealBits)
	}
	for _, n := range r.Exact {
		add("--exact %s", n)
	}
	for _, n := range r.Skip {
		add("--skip %s", n)
	}
	add("--guard %d", r.Guard)
	if r.Strict {
		add("--strict-range")
	}
	return out
}

// Text says on one line how the plan was compiled.
func (r *Recipe) Text() string { return strings.Join(r.Options(), " ") }
