// Package passes holds the ordered table of passes that take a graph from what the user wrote to fixed point with
// widths: each pass has a name, a one-sentence doc and the invariant it ensures, and can be dumped and skipped.
package passes

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

// Options steer the passes.
type Options struct {
	FracBits    int                     // fraction bits of reals
	Ring        int                     // ring width of all values; 0 chooses per value
	StrictRange bool                    // refuse ranges that are not proved
	Samples     []map[string]*ir.Tensor // sample inputs for calibration, by input name
	Exact       []string                // outputs whose last truncation is exact
	Net         Network                 // rounds are traded for bytes as it asks for
	Precision   float64                 // largest error of an approximation; DefaultPrecision if 0
	Margin      float64                 // factor on observed magnitudes; by the number of samples if below 1
	Assume      float64                 // magnitude of real inputs without range and samples, and of weights that are kept back; DefaultAssume if 0
	Policies    []*policy.Policy        // of the owners that have one
	Default     *policy.Policy          // for owners without a policy of their own; nil refuses
	Skip        []string                // passes to leave out
	Tolerance   Tolerance               // asked of outputs; DefaultTolerance if zero
	Outputs     map[string]Tolerance    // asked of single outputs, by name
	RevealBits  int                     // fraction bits of outputs; 0: the fewest that keep the tolerance, and three more
	Guard       int                     // bits by which values that may leave their range are checked: 0 for none, 2, 4 or 8
	Observe     func(pass string, m *ir.Module)

	Taken  *Taken                  // compile without data, from what another compilation took from it; nil compiles with data
	Stated map[string]StatedPolicy // policies that are not there: what a plan says of them is taken over, unchecked; by owner

	notes   *notebook  // of what is taken from data
	encoded *encodings // of constants, for the proof of errors; nil if nobody asks

	fine    bool // what is divided, and what it is divided by, keep their leading digits, however small they are
	closely bool // constants have as many bits as the product's last one asks for
	wide    bool // values whose bound fits no ring are held to what a product leaves room for, instead of refused
	quiet   bool // functions are rounded where they are computed, so that nothing of what is rounded in material gets further
}

// DefaultAssume is the magnitude that real inputs have at most where nothing is said of them. Their owner's encoder refuses what is beyond.
const DefaultAssume = 1024

// assume returns the magnitude that real inputs without range and samples have at most.
func (o *Options) assume() float64 {
	if o.Assume > 0 {
		return o.Assume
	}
	return DefaultAssume
}

// A Network is what the parties have between them; the zero Network is a LAN.
type Network struct {
	RTT       float64 // seconds
	Bandwidth float64 // bits per second in each direction
}

// roundsWorth returns the number of bytes that are sent in the time of the given number of rounds.
func (n Network) roundsWorth(rounds float64) float64 {
	if n.RTT <= 0 || n.Bandwidth <= 0 {
		n = Network{200e-6, 1e9}
	}
	return rounds * n.RTT / 2 * n.Bandwidth / 8
}

// A Pass is one step of the pipeline.
type Pass struct {
	Name     string
	Doc      string // one sentence, shown by "smpcc passes"
	Run      func(m *ir.Module, opt *Options) error
	Ensures  ir.Invariant // holds from here on; the verifier keeps checking it
	Required bool         // later stages rely on it, so it cannot be skipped
}

// Pipeline is the table of passes in the order they run.
func Pipeline() []Pass {
	return []Pass{
		{Name: "visibility", Doc: "Derive for every value who knows it and whose data it contains.", Run: visibility, Required: true},
		{Name: "permit", Doc: "Check every reveal against the policy of every owner whose data it derives from; what no rule allows is refused.", Run: permit, Ensures: ir.Permitted, Required: true},
		{Name: "fold", Doc: "Evaluate what depends on constants only, and weight arithmetic of one owner, before any protocol sees it.", Run: fold, Ensures: ir.Folded, Required: true},
		{Name: "columns", Doc: "Give each column of a table of reals its range, declared or from 128 rows of samples, and scale columns of different size by powers of two where weights take them up.", Run: columns, Required: true},
		{Name: "recognise", Doc: "Take functions that are written by others for what they are: softmax and tanh by exponentials, log-sum-exp, softplus, GELU, SiLU, Mish, variance by squares.", Run: recognise},
		{Name: "rewrite", Doc: "Replace what is dear under encryption by what is cheap: max-pool before ReLU, batch-norm into weights, arg-max without softmax, factors into weights.", Run: rewrite},
		{Name: "decompose", Doc: "Replace composite ops by core ops.", Run: decompose, Required: true},
		{Name: "approximate", Doc: "Replace smooth functions by comparisons and polynomials to the precision asked for, over the ranges that arguments have.", Run: approximate, Ensures: ir.Core, Required: true},
		{Name: "refold", Doc: "Fold constants and weight arithmetic that the passes before have left.", Run: fold, Required: true},
		{Name: "cse", Doc: "Compute equal values once.", Run: cse},
		{Name: "dce", Doc: "Drop values nothing uses.", Run: dce},
		{Name: "range", Doc: "Give every value an interval and say where it comes from: proved, calibrated or assumed.", Run: rangePass, Ensures: ir.Ranged, Required: true},
		{Name: "quantise", Doc: "Turn reals into fixed-point ring elements, with fraction bits as their magnitudes ask for, and insert truncations behind products and before reveals.", Run: quantise, Ensures: ir.Quantised, Required: true},
		{Name: "sink", Doc: "Move truncations down to one per linear block, fused into the comparison that follows.", Run: sink},
		{Name: "width", Doc: "Choose the ring width of every value from what its consumers need, rounded up to a few sizes.", Run: width, Ensures: ir.Widthed, Required: true},
		{Name: "late-cse", Doc: "Compute equal values once, now that truncations are in place.", Run: cse},
		{Name: "late-dce", Doc: "Drop values nothing uses any more.", Run: dce},
	}
}

// Run runs the pipeline on m in place. After each pass the module is verified, and from permit on the reveals must stay
// what was permitted: same names, same receivers, no owner's data added. From approximate on, where numbers get their formats, passes are
// run again with more bits until every output keeps its tolerance.
func Run(m *ir.Module, opt *Options) (n *Numbers, err error) {
	defer ir.Recover(&err)
	pipeline := Pipeline()
	for _, s := range opt.Skip {
		i := slices.IndexFunc(pipeline, func(p Pass) bool { return p.Name == s })
		switch {
		case i < 0:
			return nil, &diag.Error{Kind: diag.Usage, Msg: fmt.Sprintf("--skip: no pass is called %q", s), Hint: "smpcc passes lists them"}
		case pipeline[i].Required:
			return nil, &diag.Error{Kind: diag.Usage, Msg: fmt.Sprintf("--skip: pass %s cannot be skipped, later stages rely on it", s)}
		}
	}
	if err := ir.Verify(m); err != nil {
		return nil, err
	}
	given := weightsKnown(m)
	if opt.Taken != nil {
		given = opt.Taken.Weights
		m.Weights = standIns(m, given)
	}
	o := *opt
	opt = &o
	opt.notes = newNotebook(opt.Taken)
	opt.notes.taken.Weights, opt.notes.taken.Samples = given, opt.samples()
	graph := m.Clone()
	formats := slices.IndexFunc(pipeline, func(p Pass) bool { return p.Name == "approximate" })
	r := &runner{}
	if err := r.run(m, opt, pipeline[:formats]); err != nil {
		return nil, err
	}
	rest := func(m *ir.Module, opt *Options) error { return r.run(m, opt, pipeline[formats:]) }
	if opt.Taken != nil {
		return resettle(m, opt, rest)
	}
	return settle(m, graph, opt, rest)
}

// A runner runs passes one after the other.
type runner struct {
	permitted map[string]string // reveals as they were permitted; nil before
}

func (r *runner) run(m *ir.Module, opt *Options, passes []Pass) error {
	for _, p := range passes {
		if slices.Contains(opt.Skip, p.Name) {
			continue
		}
		if err := p.Run(m, opt); err != nil {
			return err
		}
		f := m.Main()
		f.Renumber()
		f.Holds |= p.Ensures
		if err := ir.Verify(m); err != nil {
			return internal(p, err)
		}
		switch now := reveals(f); {
		case r.permitted == nil && f.Holds&ir.Permitted != 0:
			r.permitted = now
		case r.permitted != nil:
			if err := unchanged(r.permitted, f); err != nil {
				return internal(p, err)
			}
		}
		if opt.Observe != nil {
			opt.Observe(p.Name, m)
		}
	}
	return nil
}

// errInternal marks mistakes of the compiler, which no other format mends.
var errInternal = errors.New("internal error")

func internal(p Pass, err error) error {
	return fmt.Errorf("%w: after pass %s: %w", errInternal, p.Name, err)
}

// reveals maps each reveal's name to its receivers and the owners it derives from.
func reveals(f *ir.Func) map[string]string {
	out := map[string]string{}
	for _, v := range f.Reveals() {
		out[v.Attrs.Str("name")] = strings.Join(v.Attrs.Strings("to"), ",") + "|" + strings.Join(v.Args[0].Type.Vis.Owners(), ",")
	}
	return out
}

// unchanged returns an error if a reveal appears, disappears, changes receivers or derives from an owner it did not before.
func unchanged(permitted map[string]string, f *ir.Func) error {
	n := 0
	for _, v := range f.Reveals() {
		n++
		name := v.Attrs.Str("name")
		was, ok := permitted[name]
		to, owners, _ := strings.Cut(was, "|")
		if !ok || to != strings.Join(v.Attrs.Strings("to"), ",") {
			return fmt.Errorf("reveal %q is not the one that was permitted", name)
		}
		for _, o := range v.Args[0].Type.Vis.Owners() {
			if !slices.Contains(strings.Split(owners, ","), o) {
				return fmt.Errorf("reveal %q now derives from %s's data, which was not permitted", name, o)
			}
		}
	}
	if n != len(permitted) {
		return fmt.Errorf("%d reveals were permitted, %d are there", len(permitted), n)
	}
	return nil
}
