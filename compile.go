// Package smpcc compiles computation graphs to secure multi-party computation plans: the facade over frontends, passes
// and backend. A party runs a plan without it.
package smpcc

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/frontend/dsl"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
	"smpcc/ir/text"
	"smpcc/passes"
)

// Version is the compiler's version; plans carry it.
const Version = "0.1.0"

// The defaults of models, which do not name parties themselves.
const (
	DefaultDealer   = "d"
	DefaultFracBits = 16
)

// GuestName is what a guest of a model is called if nothing else is said: an owner, or a receiver, that computes nothing.
const GuestName = "guest"

// Options are what the user may choose when compiling.
type Options struct {
	Parties     int                           // number of computing parties of a model; 2 if 0
	Guests      []string                      // names, besides GuestName, of owners and receivers of a model that compute nothing
	Dims        map[string]int                // symbolic dimensions of a model
	bound       map[string]int                // dimensions as they are bound at the end
	Shapes      map[string]ir.Shape           // shapes of a model's inputs, from the user's data
	Owners      map[string]string             // input or weight -> party
	Reveal      map[string][]string           // output -> receivers
	Public      map[string]*ir.Tensor         // inputs that are public, with their data
	Cut         []string                      // values of a model that are its outputs, in place of its own: the graph ends there
	Ranges      map[string][2]float64         // declared ranges of a model's inputs
	Columns     map[string]map[int][2]float64 // declared ranges of single columns of them, along the last axis, which count from 0
	ColumnNames map[string][]string           // names of an input's columns, for messages
	Weights     map[string]*ir.Tensor         // data of a program's weights
	Sizeless    bool                          // dimensions of a program that have no size count as 1: to check it, not to compile it
	Policies    []string                      // policy files
	FracBits    int                           // fraction bits of reals; 16 if 0
	Exact       []string                      // outputs whose last truncation is exact
	Net         passes.Network                // what the parties have between them; a LAN if zero
	Precision   float64                       // largest error of an approximated function; 1e-3 if 0
	Tolerance   passes.Tolerance              // largest error of outputs; passes.DefaultTolerance if zero
	Outputs     map[string]passes.Tolerance   // of single outputs
	RevealBits  int                           // fraction bits of outputs; 0: the fewest that keep the tolerance, and three more
	Assume      float64                       // magnitude of real inputs without range and samples; passes.DefaultAssume if 0
	Ring        int                           // ring width of all values; 0 chooses per value
	StrictRange bool                          // refuse ranges that are not proved
	Samples     []map[string]*ir.Tensor       // sample inputs for calibration
	Guard       int                           // bits by which values that may leave their range are checked: 2, 4 or 8; DefaultGuard if 0, none if NoGuard
	Skip        []string                      // passes to leave out
	Observe     func(pass string, m *ir.Module)

	// A compilation without data, from a plan: its recipe, what it says of its outputs, and of policies whose files are not there.
	recipe   *plan.Recipe
	accuracy []plan.Accuracy
	stated   map[string]passes.StatedPolicy
}

// What is checked of values that may leave their range: bits, for Options.Guard.
const (
	DefaultGuard = 2
	NoGuard      = -1
)

// A Compilation is a plan and what the compiler knows besides.
type Compilation struct {
	Plan    *plan.Plan
	Weights map[string]*ir.Tensor // data of the plan's weights by name; it stays with their owners
	Graph   *ir.Module            // what the user wrote
	Numbers *passes.Numbers       // formats, and how close each output is to the exact one
	Notes   []string              // defaults that applied and what is assumed, for people
}

// PartyNames returns the default names p0, p1, ... of n computing parties.
func PartyNames(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("p%d", i)
	}
	return out
}

// IsProgram reports whether a path names a program of the language.
func IsProgram(path string) bool { return filepath.Ext(path) == ".smp" }

// Load reads a model (.onnx), a program (.smp) or IR text (.ir) as a graph-level module.
func Load(path string, opt Options) (*ir.Module, error) {
	switch filepath.Ext(path) {
	case ".smp":
		for flag, set := range map[string]bool{"--owner": len(opt.Owners) > 0, "--reveal": len(opt.Reveal) > 0, "--parties": opt.Parties != 0, "--outputs": len(opt.Cut) > 0, "--range": len(opt.Ranges)+len(opt.Columns) > 0} {
			if set {
				return nil, &diag.Error{Pos: diag.Pos{File: path}, Kind: diag.Usage, Msg: flag + " is for models; a program says it itself", Hint: "edit the program"}
			}
		}
		m, err := dsl.Load(path, dsl.Options{Dims: opt.Dims, Shapes: opt.Shapes, Bound: opt.bound, Model: importedModel, Sizeless: opt.Sizeless})
		if err != nil {
			return nil, err
		}
		return m, giveWeights(m, opt.Weights)
	case ".ir":
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := text.Parse(path, data)
		if err != nil {
			return nil, err
		}
		if m.Weights == nil {
			m.Weights = map[string]*ir.Tensor{}
		}
		return m, ir.Verify(m)
	}
	return onnx.Load(path, modelOptions(opt))
}

// giveWeights gives a program's weights their data.
func giveWeights(m *ir.Module, data map[string]*ir.Tensor) error {
	for _, name := range slices.Sorted(maps.Keys(data)) {
		i := slices.IndexFunc(m.Main().Body, func(v *ir.Value) bool { return v.Op == ir.OpWeight && v.Attrs.Str("name") == name })
		if i < 0 {
			return usage("--weight-data %s: the program has no weight of that name", name)
		}
		v, t := m.Main().Body[i], data[name]
		if v.Type.Elem == ir.Real && t.Elem == ir.Int && t.Words == nil {
			f := ir.NewTensor(ir.Real, t.Shape)
			for k, x := range t.I {
				f.F[k] = float64(x)
			}
			t = f
		}
		if t.Elem != v.Type.Elem || !t.Shape.Equal(v.Type.Shape) || t.Words != nil || v.Attrs.Has("places") {
			return diag.Errorf(v.Pos, "weight %q is %v%v, and its data %v%v", name, v.Type.Elem, v.Type.Shape, t.Elem, t.Shape)
		}
		for k := range t.Len() {
			if x := t.At(k); v.Attrs.Has("lo") && (x < v.Attrs.Float("lo", 0) || x > v.Attrs.Float("hi", 0)) {
				return diag.Errorf(v.Pos, "weight %q: element %d is outside the range that the program declares", name, k)
			}
		}
		m.Weights[name] = t
	}
	return nil
}

// importedModel reads a model that a program imports: its inputs take the shapes of the arguments of a call, and their owners do not matter, as the
// program's values take their place.
func importedModel(path string, args []dsl.ModelArgument, owner string, parties []string) (*ir.Module, error) {
	if len(parties) == 0 {
		return nil, diag.Errorf(diag.Pos{File: path}, "the program names no parties")
	}
	inputs, err := onnx.Inputs(path)
	if err != nil {
		return nil, err
	}
	if len(args) != len(inputs) {
		return nil, diag.Errorf(diag.Pos{File: path}, "the model takes %d inputs, got %d", len(inputs), len(args)).WithHint("its inputs are %s", namesOf(inputs))
	}
	shapes, next := map[string]ir.Shape{}, 0
	for _, a := range args {
		name := a.Name
		if name == "" {
			name = inputs[next].Name
			next++
		}
		i := slices.IndexFunc(inputs, func(in onnx.InputInfo) bool { return in.Name == name })
		if i < 0 || shapes[name] != nil {
			return nil, diag.Errorf(diag.Pos{File: path}, "the model has no input %q left to give", name).WithHint("its inputs are %s", namesOf(inputs))
		}
		shapes[name] = shapeFor(a.Shape, inputs[i].Dims)
	}
	if owner == "" {
		owner = parties[0]
	}
	return onnx.Load(path, onnx.Options{Shapes: shapes, Parties: parties, Dealer: DefaultDealer, WeightOwner: owner, InputOwner: parties[0], DefaultReveal: parties[:1]})
}

func namesOf(inputs []onnx.InputInfo) string {
	var names []string
	for _, i := range inputs {
		names = append(names, i.Name)
	}
	return strings.Join(names, ", ")
}

// shapeFor returns the shape that data takes for an input of the given dimensions: one case becomes a batch of one.
func shapeFor(s ir.Shape, dims []string) ir.Shape {
	if len(s) == len(dims)-1 && len(dims) > 0 && (dims[0] == "1" || !isNumber(dims[0])) {
		return append(ir.Shape{1}, s...)
	}
	return append(ir.Shape{}, s...)
}

func isNumber(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// LoadBytes reads a model from memory as a graph-level module; name is used in messages.
func LoadBytes(name string, data []byte, opt Options) (*ir.Module, error) {
	return onnx.LoadBytes(name, data, modelOptions(opt))
}

// modelOptions adds the defaults of models: p0 owns the weights, p1 the inputs, and p1 receives the outputs, or the guests that own inputs do.
func modelOptions(opt Options) onnx.Options {
	receivers := guestOwners(opt)
	if len(receivers) == 0 {
		receivers = []string{"p1"}
	}
	return onnx.Options{
		Dims: opt.Dims, Shapes: opt.Shapes, Bound: opt.bound, Parties: PartyNames(max(2, opt.Parties)), Dealer: DefaultDealer, WeightOwner: "p0", InputOwner: "p1", Owners: opt.Owners, Guests: guests(opt),
		Reveal: opt.Reveal, DefaultReveal: receivers, Public: opt.Public, Cut: opt.Cut, Ranges: opt.Ranges, Columns: opt.Columns,
	}
}

// guests lists the guests that a model's options name.
func guests(opt Options) (out []string) {
	used := slices.Collect(maps.Values(opt.Owners))
	for _, to := range opt.Reveal {
		used = append(used, to...)
	}
	for _, g := range append([]string{GuestName}, opt.Guests...) {
		if slices.Contains(used, g) && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	return out
}

// guestOwners lists the guests that own inputs of a model.
func guestOwners(opt Options) (out []string) {
	for _, g := range guests(opt) {
		if slices.Contains(slices.Collect(maps.Values(opt.Owners)), g) {
			out = append(out, g)
		}
	}
	return out
}

// Compile compiles the file at path.
func Compile(path string, opt Options) (*Compilation, error) {
	opt.bound = maps.Clone(opt.Dims)
	if opt.bound == nil {
		opt.bound = map[string]int{}
	}
	m, err := Load(path, opt)
	if err != nil {
		return nil, err
	}
	opt.Dims = opt.bound // those that the shapes of data say are as good as written
	c, err := CompileModule(m, opt, IsProgram(path) || filepath.Ext(path) == ".ir")
	if err != nil && IsProgram(path) {
		return nil, inProgram(path, err)
	}
	return c, err
}

// wordsOfPrograms replaces, in hints, flags of models by what a program says instead.
var wordsOfPrograms = strings.NewReplacer(
	"(--range NAME=LO..HI, by column for a table)", "(in LO..HI behind the input)",
	"(--range NAME=LO..HI, --calibrate FILE)", "(in LO..HI behind the input, or --calibrate FILE)",
	"(--range NAME=LO..HI)", "(in LO..HI behind the input)",
	"--range NAME=LO..HI", "in LO..HI behind the input",
)

// inProgram returns the mistakes of err with hints that hold for programs.
func inProgram(path string, err error) error {
	var list, out diag.List
	list.Add(diag.Pos{File: path}, err)
	for _, e := range list {
		c := *e
		c.Hint = wordsOfPrograms.Replace(e.Hint)
		out = append(out, &c)
	}
	return out.Err()
}

// CompileModule compiles a graph-level module, which it changes. ownReveals says that the module's own reveals are the
// default policy, as for programs, which the parties have read; otherwise p1 receives everything and nobody else anything.
func CompileModule(m *ir.Module, opt Options, ownReveals bool) (*Compilation, error) {
	opt = opt.withDefaults()
	if opt.FracBits < 1 || opt.FracBits > 28 {
		return nil, usage("--frac-bits %d is out of range 1..28", opt.FracBits)
	}
	if p := opt.Precision; !(p >= 1e-5 && p <= 0.1) {
		return nil, usage("--precision %g is out of range 1e-5..0.1", p)
	}
	for _, t := range append([]passes.Tolerance{opt.Tolerance}, slices.Collect(maps.Values(opt.Outputs))...) {
		if t != (passes.Tolerance{}) && !(t.Atol >= 0 && t.Rtol >= 0 && t.Atol+t.Rtol >= 1e-9 && t.Atol < 1e12 && t.Rtol < 1) {
			return nil, usage("--atol %g, --rtol %g: want an absolute tolerance below 1e12 and a relative one below 1, not both zero", t.Atol, t.Rtol)
		}
	}
	for name := range opt.Outputs {
		if !slices.ContainsFunc(m.Main().Reveals(), func(v *ir.Value) bool { return v.Attrs.Str("name") == name }) {
			return nil, usage("--atol, --rtol: there is no output %q", name)
		}
	}
	if opt.RevealBits < 0 || opt.RevealBits > 40 {
		return nil, usage("--reveal-bits %d is out of range 1..40", opt.RevealBits)
	}
	if !slices.Contains([]int{NoGuard, 2, 4, 8}, opt.Guard) {
		return nil, usage("--guard %d: want 0, 2, 4 or 8 bits", opt.Guard)
	}
	if opt.Ring != 0 && (opt.Ring < 16 || opt.Ring > 64) {
		return nil, usage("--ring %d is out of range 16..64", opt.Ring)
	}
	if m.Weights == nil {
		m.Weights = map[string]*ir.Tensor{}
	}
	if len(m.Funcs) > 0 {
		var err error
		if opt.Samples, err = presentSamples(m, opt.Samples); err != nil {
			return nil, err
		}
	}
	c := &Compilation{}
	popt := &passes.Options{FracBits: opt.FracBits, Net: opt.Net, Precision: opt.Precision, Tolerance: opt.Tolerance, Outputs: opt.Outputs, RevealBits: opt.RevealBits, Assume: opt.Assume, Exact: opt.Exact, Ring: opt.Ring, StrictRange: opt.StrictRange, Guard: max(opt.Guard, 0), Samples: opt.Samples, Skip: opt.Skip, Stated: opt.stated}
	if r := opt.recipe; r != nil {
		popt.Taken = &passes.Taken{Weights: r.Weights, Samples: r.Samples, Attempt: r.Attempt, Bounds: taken(r.Bounds), Columns: taken(r.Columns), Zeros: r.Zeros}
	}
	for _, file := range opt.Policies {
		p, err := readPolicy(file)
		if err != nil {
			return nil, err
		}
		popt.Policies = append(popt.Policies, p)
		if !p.Expires.IsZero() && !time.Now().Before(p.Expires) {
			c.Notes = append(c.Notes, fmt.Sprintf("the policy of %s expired at %s (%s): servers refuse to run this plan", p.Owner, p.Expires.Format(time.RFC3339), p.At("expires")))
		}
	}
	popt.Default = c.defaultPolicy(m, popt.Policies, ownReveals)
	if len(m.Funcs) == 0 {
		return nil, diag.Errorf(diag.Pos{File: m.Name}, "module has no function")
	}
	for _, name := range opt.Exact {
		if !slices.ContainsFunc(m.Main().Reveals(), func(v *ir.Value) bool { return v.Attrs.Str("name") == name && v.Type.Elem == ir.Real }) {
			return nil, usage("--exact %s: there is no output of reals of that name", name)
		}
	}
	c.Graph = m.Clone()
	relocate(c.Graph)
	if opt.Observe != nil {
		opt.Observe("input", m)
	}
	popt.Observe = opt.Observe
	p, err := c.lower(m, &opt, popt, ownReveals)
	if err != nil {
		return nil, err
	}
	if err := keepsBounds(m.Bounds, p); err != nil {
		return nil, err
	}
	if err := accept(m.Name, p); err != nil {
		return nil, err
	}
	c.Plan = p
	c.Weights = map[string]*ir.Tensor{}
	for _, w := range p.Manifest.Weights {
		if t := m.Weights[w.Name]; t != nil {
			c.Weights[w.Name] = t
		}
	}
	return c, nil
}

// readPolicy reads an owner's policy.
func readPolicy(file string) (*policy.Policy, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return policy.Parse(file, data)
}

// accuracy says of each output what the passes know of it.
func accuracy(n *passes.Numbers) (out []plan.Accuracy) {
	for _, o := range n.Outputs {
		out = append(out, plan.Accuracy{Output: o.Name, State: string(o.State), Atol: o.Atol, Rtol: o.Rtol, Used: o.Used, Runs: o.Runs, Samples: o.Samples, Differ: o.Differ, Of: o.Of, Frac: o.Frac, Why: o.Why, Guard: o.Guard})
	}
	return out
}

func usage(format string, args ...any) error {
	e := diag.Errorf(diag.Pos{}, format, args...)
	e.Kind = diag.Usage
	return e
}

// defaultPolicy returns the policy of owners that have none, and notes that it applies.
func (c *Compilation) defaultPolicy(m *ir.Module, given []*policy.Policy, ownReveals bool) *policy.Policy {
	var without []string
	for _, o := range slices.Concat(m.Parties, m.Guests) {
		if !slices.ContainsFunc(given, func(p *policy.Policy) bool { return p.Owner == o }) {
			without = append(without, o)
		}
	}
	if ownReveals {
		var rules []policy.Rule
		for _, v := range m.Main().Reveals() {
			rules = append(rules, policy.Rule{Output: v.Attrs.Str("name"), To: v.Attrs.Strings("to")})
		}
		if len(without) > 0 {
			c.Notes = append(c.Notes, fmt.Sprintf("no policy file for %s: the program's own reveals are the policy", strings.Join(without, ", ")))
		}
		return policy.New("", rules...)
	}
	receivers := []string{m.Parties[min(1, len(m.Parties)-1)]}
	if g := givers(m); len(g) > 0 {
		receivers = g
	}
	if len(without) > 0 {
		c.Notes = append(c.Notes, fmt.Sprintf("no policy file for %s: every output may go to %s and to nobody else", strings.Join(without, ", "), strings.Join(receivers, ", ")))
	}
	return policy.New("", policy.Rule{Output: "*", To: receivers})
}

// givers lists the guests that own inputs.
func givers(m *ir.Module) (out []string) {
	for _, g := range m.Guests {
		if slices.ContainsFunc(m.Main().Inputs(), func(v *ir.Value) bool { return v.Attrs.Str("owner") == g }) {
			out = append(out, g)
		}
	}
	return out
}

// relocate reduces positions to the source's base name: a plan must not depend on the folder it was compiled in, or an
// auditor who compiles it again elsewhere gets another digest.
func relocate(m *ir.Module) {
	for _, f := range m.Funcs {
		for _, v := range f.Body {
			if v.Pos.File != "" {
				v.Pos.File = filepath.Base(v.Pos.File)
			}
		}
	}
}

// Bind encodes a tensor as the words of a port of the plan: two's complement fixed point mod 2^bits. It refuses other
// shapes and elements outside the range that the plan relies on.
func Bind(p plan.Port, t *ir.Tensor) ([]uint64, error) { return bind(p, t, false) }

// BindInput is Bind for a port of the given plan; what it advises holds for what the plan was compiled from.
func BindInput(p *plan.Plan, port plan.Port, t *ir.Tensor) ([]uint64, error) {
	return bind(port, t, p.FromProgram())
}

func bind(p plan.Port, t *ir.Tensor, program bool) ([]uint64, error) {
	fail := func(format string, args ...any) error {
		return diag.Errorf(diag.Pos{}, "%q: %s", p.Name, fmt.Sprintf(format, args...))
	}
	if !slices.Equal(p.Shape, []int(t.Shape)) {
		return nil, fail("shape is %v, the plan wants %v", t.Shape, ir.Shape(p.Shape))
	}
	if err := t.Check(); err != nil {
		return nil, fail("%v", err)
	}
	if t.Words != nil {
		return nil, fail("data is text, the plan wants numbers")
	}
	if p.Places > 0 {
		var err error
		if t, err = Units(t, p); err != nil {
			return nil, fail("%v", err)
		}
	}
	if p.Elem != "real" && t.Elem == ir.Real {
		return nil, fail("data is real, the plan wants %s", p.Elem)
	}
	out := make([]uint64, t.Len())
	for i := range out {
		var err error
		switch {
		case p.Elem == "real":
			out[i], err = p.Word(i, t.At(i))
		case p.Elem == "int" && t.Elem == ir.Int:
			err = p.CheckInt(i, t.I[i])
		default:
			err = p.Check(i, t.At(i))
		}
		if beyond := (*plan.RangeError)(nil); errors.As(err, &beyond) {
			beyond.Program = program
			return nil, diag.Errorf(diag.Pos{}, "%q: %v", p.Name, err).WithHint("%s", beyond.Hint())
		}
		if other := (*plan.CategoryError)(nil); errors.As(err, &other) {
			return nil, diag.Errorf(diag.Pos{}, "%q: %v", p.Name, err).WithHint("%s", other.Hint())
		}
		if err != nil {
			return nil, fail("%v", err)
		}
	}
	if p.Elem == "real" {
		return out, nil
	}
	e, err := ir.Encode(t, p.Scale) // integers may have more digits than a float64
	if err != nil {
		return nil, fail("%v", err)
	}
	for i, x := range e.I {
		out[i] = uint64(x)
		if p.Shares {
			out[i] -= uint64(p.Least(i))
		}
	}
	return out, nil
}

// Units returns the data of a port of decimals as integers that count units of the last place. Data says numbers, as 12.34 or 12; those with more places are refused, and
// nothing is rounded.
func Units(t *ir.Tensor, p plan.Port) (*ir.Tensor, error) {
	if t.Places == p.Places && t.Elem == ir.Int {
		return t, nil
	}
	out := ir.NewTensor(ir.Int, t.Shape)
	for i := range t.Len() {
		s := ""
		switch {
		case t.Elem == ir.Int && t.Places == 0:
			s = strconv.FormatInt(t.I[i], 10)
		case t.Elem == ir.Real && math.Abs(t.F[i]) < 1e15:
			s = strconv.FormatFloat(t.F[i], 'f', -1, 64)
		default:
			return nil, fmt.Errorf("element %d is no decimal of at most 15 digits", i)
		}
		whole, fraction, _ := strings.Cut(s, ".")
		if len(fraction) > p.Places {
			return nil, fmt.Errorf("element %d has %d places, and the plan takes %d", i, len(fraction), p.Places)
		}
		k, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", p.Places-len(fraction)), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("element %d is out of range", i)
		}
		if lo, hi := p.Range(i); float64(k) < lo || float64(k) > hi {
			by := math.Pow10(p.Places)
			return nil, fmt.Errorf("element %d is outside the range %g..%g (%s) that the plan relies on", i, lo/by, hi/by, p.Origin)
		}
		out.I[i] = k
	}
	return out, nil
}

// Read decodes the words of an output port.
func Read(p plan.Port, words []uint64) *ir.Tensor {
	if p.Elem == "real" {
		t := ir.NewTensor(ir.Ring, p.Shape)
		for i, w := range words {
			t.I[i] = int64(w)
		}
		return ir.Decode(t, p.Scale)
	}
	e := ir.Int
	if p.Elem == "bool" {
		e = ir.Bool
	}
	t := ir.NewTensor(e, p.Shape)
	for i, w := range words {
		t.I[i] = int64(w)
	}
	t.Places = p.Places
	switch {
	case len(p.Words) > 0 && !slices.ContainsFunc(t.I, func(k int64) bool { return k < 0 || k >= int64(len(p.Words)) }):
		t.Words = p.Words
	case p.Decimal:
		for i, k := range t.I {
			t.Words = append(t.Words, strconv.FormatInt(k, 10))
			t.I[i] = int64(i)
		}
	}
	return t
}

// BindWeights encodes the weights of a compilation in the order of the manifest; missing ones are named in the error.
func (c *Compilation) BindWeights() ([][]uint64, error) {
	out := make([][]uint64, len(c.Plan.Manifest.Weights))
	for i, p := range c.Plan.Manifest.Weights {
		t := c.Weights[p.Name]
		if t == nil {
			return nil, diag.Errorf(diag.Pos{}, "weight %q of %s has no data", p.Name, p.Owner)
		}
		var err error
		if out[i], err = Bind(p, t); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// DigestBytes returns the plan's digest as bytes.
func DigestBytes(p *plan.Plan) (d [32]byte) {
	b, _ := hex.DecodeString(p.Digest())
	copy(d[:], b)
	return d
}
