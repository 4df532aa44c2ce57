package smpcc

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/text"
	"smpcc/passes"
)

// defaultFile is what plans call the policy of owners that have no file.
const defaultFile = "default"

// lan is the network of which nothing is said.
var lan = passes.Network{RTT: 200e-6, Bandwidth: 1e9}

// withDefaults fills in what is left out, so that a plan says what it was compiled with.
func (opt Options) withDefaults() Options {
	if opt.FracBits == 0 {
		opt.FracBits = DefaultFracBits
	}
	if opt.Precision == 0 {
		opt.Precision = passes.DefaultPrecision
	}
	if opt.Guard == 0 {
		opt.Guard = DefaultGuard
	}
	if opt.Assume <= 0 {
		opt.Assume = passes.DefaultAssume
	}
	if opt.Net.RTT <= 0 || opt.Net.Bandwidth <= 0 {
		opt.Net = lan
	}
	if opt.Tolerance == (passes.Tolerance{}) {
		opt.Tolerance = passes.DefaultTolerance
	}
	return opt
}

// recipe says in a plan what it was compiled with, and what was taken from data.
func recipe(opt *Options, ownReveals bool, t *passes.Taken) plan.Recipe {
	r := plan.Recipe{FracBits: opt.FracBits, Ring: opt.Ring, RevealBits: opt.RevealBits, Precision: opt.Precision, Assume: opt.Assume, RTT: opt.Net.RTT, Bandwidth: opt.Net.Bandwidth,
		Atol: opt.Tolerance.Atol, Rtol: opt.Tolerance.Rtol, Exact: opt.Exact, Skip: opt.Skip, Strict: opt.StrictRange, Guard: max(opt.Guard, 0), OwnReveals: ownReveals, Told: opt.told(),
		Weights: t.Weights, Samples: t.Samples, Attempt: t.Attempt, Bounds: bounds(t.Bounds), Columns: bounds(t.Columns), Zeros: t.Zeros}
	for _, name := range slices.Sorted(maps.Keys(opt.Outputs)) {
		r.Outputs = append(r.Outputs, plan.Asked{Output: name, Atol: opt.Outputs[name].Atol, Rtol: opt.Outputs[name].Rtol})
	}
	return r
}

func bounds(list []passes.Bound) (out []plan.Bound) {
	for _, b := range list {
		out = append(out, plan.Bound{Lo: b.Lo, Hi: b.Hi, Origin: int(b.Origin), Narrow: b.Narrow})
	}
	return out
}

func taken(list []plan.Bound) (out []passes.Bound) {
	for _, b := range list {
		out = append(out, passes.Bound{Lo: b.Lo, Hi: b.Hi, Origin: ir.Origin(b.Origin), Narrow: b.Narrow})
	}
	return out
}

// told lists the options that a frontend takes up in the graph, as they are written.
func (opt *Options) told() []string {
	if opt.recipe != nil {
		return opt.recipe.Told
	}
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if opt.Parties > 0 {
		add("--parties %d", opt.Parties)
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Dims)) {
		add("--dim %s=%d", k, opt.Dims[k])
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Owners)) {
		add("--owner %s=%s", k, opt.Owners[k])
	}
	for _, g := range opt.Guests {
		add("--guest %s", g)
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Reveal)) {
		add("--reveal %s=%s", k, strings.Join(opt.Reveal[k], ","))
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Public)) {
		add("--public %s", k)
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Ranges)) {
		add("--range %s=%g..%g", k, opt.Ranges[k][0], opt.Ranges[k][1])
	}
	for _, k := range slices.Sorted(maps.Keys(opt.Columns)) {
		for _, c := range slices.Sorted(maps.Keys(opt.Columns[k])) {
			add("--range %s[:,%d]=%g..%g", k, c, opt.Columns[k][c][0], opt.Columns[k][c][1])
		}
	}
	return out
}

// A Rechecked is what came of compiling a plan's own graph again.
type Rechecked struct {
	Plan     *plan.Plan
	Differs  []string // places where the two plans differ, for people; none if they are the same
	Policies []string // owners whose policy is taken over as the plan states it, because its file was not given
}

// Recheck compiles the graph of a plan again, with the options that the plan states and with what it says was taken from weights and samples, and
// compares. It needs no data. What the plan says of policies is checked where their files are given; what it says was measured with data, in runs, stands
// as it is.
func Recheck(p *plan.Plan, policies []string) (*Rechecked, error) {
	c, own, err := again(p, policies, nil)
	if err != nil {
		return nil, err
	}
	out := &Rechecked{Plan: c.Plan, Policies: own}
	if c.Plan.Digest() != p.Digest() {
		out.Differs = differences(p, c.Plan)
	}
	return out, nil
}

// again compiles a plan's graph again. weights, if not nil, are the graph's, and the compilation then has those of the plan.
func again(p *plan.Plan, policies []string, weights map[string]*ir.Tensor) (*Compilation, []string, error) {
	m := &p.Manifest
	at := diag.Pos{File: m.Name}
	source := ""
	for _, d := range m.Dumps {
		if d.Level == "graph" {
			source = d.Text
		}
	}
	if h := sha256.Sum256([]byte(source)); source == "" || hex.EncodeToString(h[:]) != m.Source {
		return nil, nil, diag.Errorf(at, "the plan's graph does not have the hash that the plan states").WithHint("the plan was changed: do not run it")
	}
	g, err := text.Parse(m.Name, []byte(source))
	if err != nil {
		return nil, nil, fmt.Errorf("the plan's graph: %w", err)
	}
	if err := ir.Verify(g); err != nil {
		return nil, nil, fmt.Errorf("the plan's graph: %w", err)
	}
	g.Weights = weights
	if g.Main().Holds&(ir.Quantised|ir.Shared) != 0 && weights == nil {
		g.Weights = map[string]*ir.Tensor{}
	}
	r := m.Recipe
	opt := Options{FracBits: r.FracBits, Ring: r.Ring, RevealBits: r.RevealBits, Precision: r.Precision, Assume: r.Assume, Net: passes.Network{RTT: r.RTT, Bandwidth: r.Bandwidth},
		Tolerance: passes.Tolerance{Atol: r.Atol, Rtol: r.Rtol}, Exact: r.Exact, Skip: r.Skip, StrictRange: r.Strict, Guard: cmp.Or(r.Guard, NoGuard), Policies: policies, Outputs: map[string]passes.Tolerance{}, recipe: &m.Recipe, accuracy: m.Accuracy}
	for _, o := range r.Outputs {
		opt.Outputs[o.Output] = passes.Tolerance{Atol: o.Atol, Rtol: o.Rtol}
	}
	given := map[string]bool{}
	for _, file := range policies {
		q, err := readPolicy(file)
		if err != nil {
			return nil, nil, err
		}
		given[q.Owner] = true
	}
	var own []string
	opt.stated = map[string]passes.StatedPolicy{}
	for _, ref := range m.Policies {
		if ref.File == defaultFile || given[ref.Owner] {
			continue
		}
		own = append(own, ref.Owner)
		s := passes.StatedPolicy{Ref: ref}
		for _, a := range m.Allowed {
			if a.Owner == ref.Owner {
				s.Allowed = append(s.Allowed, a)
			}
		}
		for _, q := range m.Guards {
			if q.Owner == ref.Owner {
				s.Guards = append(s.Guards, q)
			}
		}
		opt.stated[ref.Owner] = s
	}
	c, err := CompileModule(g, opt, r.OwnReveals)
	return c, own, err
}

// differences lists where two plans differ.
func differences(old, now *plan.Plan) (out []string) {
	a, b := &old.Manifest, &now.Manifest
	if a.Compiler != b.Compiler {
		out = append(out, fmt.Sprintf("it was compiled by %s; this is %s, and releases may choose differently", a.Compiler, b.Compiler))
	}
	for i, d := range a.Dumps {
		if i < len(b.Dumps) && d != b.Dumps[i] {
			out = append(out, fmt.Sprintf("the text of level %s: %s", d.Level, firstLine(d.Text, b.Dumps[i].Text)))
		}
	}
	for _, x := range []struct {
		what string
		a, b any
	}{
		{"the parties and the dealer", []any{a.Parties, a.Dealer}, []any{b.Parties, b.Dealer}},
		{"the inputs", a.Inputs, b.Inputs}, {"the weights", a.Weights, b.Weights}, {"the outputs", a.Outputs, b.Outputs},
		{"the policies", a.Policies, b.Policies}, {"what is allowed", a.Allowed, b.Allowed}, {"what is asked of every run", a.Guards, b.Guards},
		{"the ranges", a.Ranges, b.Ranges}, {"how close the outputs are", a.Accuracy, b.Accuracy}, {"the protocols chosen for comparisons", a.Choices, b.Choices},
		{"the options, or what was taken from data", a.Recipe, b.Recipe}, {"the material", old.Items, now.Items},
	} {
		if s, t := fmt.Sprintf("%+v", x.a), fmt.Sprintf("%+v", x.b); s != t {
			out = append(out, x.what+" differ: "+around(s, t))
		}
	}
	for i, g := range old.Programs {
		if i < len(now.Programs) && fmt.Sprintf("%+v", g) != fmt.Sprintf("%+v", now.Programs[i]) {
			out = append(out, fmt.Sprintf("the program of %s differs", g.Role))
		}
	}
	if len(out) == 0 {
		out = append(out, "the bytes differ, and nothing that is known to differ")
	}
	return out
}

// firstLine shows the first line in which two texts differ.
func firstLine(a, b string) string {
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range max(len(x), len(y)) {
		s, t := "nothing", "nothing"
		if i < len(x) {
			s = strings.TrimSpace(x[i])
		}
		if i < len(y) {
			t = strings.TrimSpace(y[i])
		}
		if s != t {
			return fmt.Sprintf("line %d differs: %s", i+1, around(s, t))
		}
	}
	return "differs"
}

// around shows where two strings differ.
func around(a, b string) string {
	const before, shown = 24, 72
	i := 0
	for i < min(len(a), len(b)) && a[i] == b[i] {
		i++
	}
	from := max(0, i-before)
	cut := func(s string) string { return strings.ToValidUTF8(s[min(from, len(s)):min(len(s), from+shown)], "?") }
	return fmt.Sprintf("the plan has %q, compiling it gives %q", cut(a), cut(b))
}
