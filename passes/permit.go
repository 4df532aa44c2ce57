package passes

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

// permit checks every reveal: each input and weight it derives from must be allowed, by its owner's policy, to reach each
// receiver in that output. Nothing is allowed but by a rule, except that an owner may learn what derives from its own data
// only. Refusals are of kind Policy and show the path from the data to the receiver.
func permit(m *ir.Module, opt *Options) error {
	f := m.Main()
	policies := map[string]*policy.Policy{}
	var errs diag.List
	for _, p := range opt.Policies {
		pos := diag.Pos{File: p.File}
		if !slices.Contains(m.Parties, p.Owner) && !slices.Contains(m.Guests, p.Owner) {
			errs.Add(pos, diag.Errorf(pos, "policy of %q, which is not a party", p.Owner).WithHint("the parties are %s", strings.Join(slices.Concat(m.Parties, m.Guests), ", ")))
		}
		if policies[p.Owner] != nil {
			errs.Add(pos, diag.Errorf(pos, "%s has two policies, %s and %s", p.Owner, policies[p.Owner].File, p.File))
		}
		policies[p.Owner] = p
	}
	if err := errs.Err(); err != nil {
		return err
	}
	m.Policies, m.Allowed, m.Guards, m.Bounds = nil, nil, nil, nil
	owners := map[string]bool{}
	forms := false
	for _, v := range f.Body {
		if v.Op == ir.OpInput || v.Op == ir.OpWeight {
			owners[v.Attrs.Str("owner")] = true
		}
	}
	for _, o := range slices.Concat(m.Parties, m.Guests) {
		if !owners[o] {
			continue
		}
		if s, ok := opt.Stated[o]; ok {
			m.Policies, m.Guards = append(m.Policies, s.Ref), append(m.Guards, s.Guards...)
			continue
		}
		if policies[o] == nil && opt.Default != nil {
			d := *opt.Default
			d.Owner = o
			policies[o] = &d
		}
		if p := policies[o]; p != nil {
			m.Policies = append(m.Policies, policy.Ref{Owner: o, File: p.File, Digest: p.Digest})
			errs = append(errs, dead(m, p)...)
			terms(m, p, &errs)
			forms = forms || slices.ContainsFunc(p.Allow, func(r policy.Rule) bool { return r.As != policy.Any })
		}
	}
	traces := &traces{f: f, done: map[*ir.Value]map[*ir.Value]policy.Done{}, columns: map[*ir.Value]map[*ir.Value][]int{}}
	for _, v := range f.Reveals() {
		output := v.Attrs.Str("name")
		from := origins(v, nil)
		deny := func(owner string) {
			if opt.Guard == 0 {
				return
			}
			if !v.Attrs.Has("unchecked") {
				v.Attrs = v.Attrs.With(ir.S("unchecked", owner))
			}
			for i := range m.Policies {
				if r := &m.Policies[i]; r.Owner == owner && !keepsBack(r, output) {
					r.Unchecked += output + "\n"
				}
			}
		}
		for _, to := range v.Attrs.Strings("to") {
			refused := map[string][][]*ir.Value{} // by owner: ways of the data that is refused, told of at the first
			var order []string
			for _, src := range from {
				owner := src[0].Attrs.Str("owner")
				if owner == to && len(v.Args[0].Type.Vis.Owners()) == 1 {
					allow(m, policy.Allowance{Output: output, Receiver: to, Owner: owner, Rule: "own data"})
					continue
				}
				if s, ok := opt.Stated[owner]; ok && s.allows(m, output, to) {
					if keepsBack(&s.Ref, output) {
						deny(owner)
					}
					continue
				}
				var done policy.Done
				if forms {
					done = traces.of(src[0], v)
				}
				p := policies[owner]
				i := -1
				if p != nil {
					i = slices.IndexFunc(p.Allow, func(r policy.Rule) bool {
						return traces.admits(r, v, to, src[0], done) && traces.within(p, r, src[0])
					})
				}
				if i < 0 {
					if refused[owner] = append(refused[owner], src); len(refused[owner]) == 1 {
						order = append(order, owner)
					}
					continue
				}
				r := p.Allow[i]
				if !p.TellsValidity(r) {
					deny(owner)
				}
				a := policy.Allowance{Output: output, Receiver: to, Owner: owner, Rule: r.String() + " (" + p.RuleAt(r) + ")"}
				if r.Line > 0 {
					a.File, a.Line = p.File, r.Line
				}
				if r.As != policy.Any {
					a.Done = done.String()
				}
				allow(m, a)
				if r.MaxBits > 0 && (r.As == policy.Any || r.As == policy.Rounded) {
					bounds(m, policy.Bound{Owner: owner, File: p.File, Line: r.Line, Rule: r.String(), Outputs: traces.bounded(p, r, bitless), MaxBits: r.MaxBits})
				}
			}
			for _, owner := range order {
				errs.Add(v.Pos, refusal(refused[owner], v, to, policies[owner], traces))
			}
		}
	}
	return errs.Err()
}

// keepsBack reports whether a policy does not let receivers of an output be told that it was withheld.
func keepsBack(r *policy.Ref, output string) bool {
	return slices.Contains(strings.Split(r.Unchecked, "\n"), output)
}

// Permits checks the reveals of a graph against the policies of some owners; those of others are not asked.
func Permits(m *ir.Module, policies []*policy.Policy) (err error) {
	defer ir.Recover(&err)
	if err := ir.Verify(m); err != nil {
		return err
	}
	opt := &Options{Policies: policies, Default: policy.New("", policy.Rule{Output: "*", To: slices.Concat(m.Parties, m.Guests)})}
	if err := visibility(m, opt); err != nil {
		return err
	}
	return permit(m, opt)
}

// dead reports rules that match nothing: a misspelt rule must not pass unnoticed.
func dead(m *ir.Module, p *policy.Policy) (errs diag.List) {
	sources := map[string]ir.Shape{}
	for _, v := range m.Main().Body {
		if (v.Op == ir.OpInput || v.Op == ir.OpWeight) && v.Attrs.Str("owner") == p.Owner {
			sources[v.Attrs.Str("name")] = v.Type.Shape
		}
	}
	outputs := map[string][]string{}
	for _, v := range m.Main().Reveals() {
		outputs[v.Attrs.Str("name")] = append(outputs[v.Attrs.Str("name")], v.Attrs.Strings("to")...)
	}
	for _, r := range p.Allow {
		if r.OtherPlans || r.Line == 0 {
			continue
		}
		fail := func(what, name string, known []string) {
			e := diag.Errorf(diag.Pos{File: p.File, Line: r.Line}, "rule matches nothing: there is no %s %q", what, name)
			hint := "there are " + strings.Join(known, ", ")
			if s := policy.Nearest(name, known); s != "" {
				hint = "did you mean " + s + "?"
			} else if len(known) == 0 {
				hint = "there is none"
			}
			errs = append(errs, e.WithHint("%s; a rule that is meant for other plans says other_plans: true", hint))
		}
		n := len(errs)
		if _, ok := outputs[r.Output]; !ok && r.Output != "*" {
			fail("output", r.Output, slices.Sorted(maps.Keys(outputs)))
		}
		for _, to := range r.To {
			if known := slices.Concat(m.Parties, m.Guests); !slices.Contains(known, to) {
				fail("party", to, known)
			}
		}
		for _, f := range r.From {
			s, err := policy.ParseSource(f)
			if err != nil {
				continue // no policy from a file has it
			}
			shape, ok := sources[s.Name]
			switch {
			case !ok:
				fail("input or weight of "+p.Owner, s.Name, slices.Sorted(maps.Keys(sources)))
			case s.Hi > 0 && (len(shape) < 2 || s.Lo >= shape[1]):
				errs = append(errs, diag.Errorf(diag.Pos{File: p.File, Line: r.Line}, "rule matches nothing: %q has shape %v, and no columns %s", s.Name, shape, strings.TrimPrefix(f, s.Name)).
					WithHint("columns are the second dimension and are counted from 0"))
			}
		}
		if len(errs) > n {
			continue
		}
		reaches := false
		for name, to := range outputs {
			reaches = reaches || (r.Output == "*" || r.Output == name) && slices.ContainsFunc(r.To, func(t string) bool { return slices.Contains(to, t) })
		}
		if !reaches {
			errs = append(errs, diag.Errorf(diag.Pos{File: p.File, Line: r.Line}, "rule matches nothing: %s goes to %s, and not to %s", r.Output, strings.Join(outputs[r.Output], ", "), strings.Join(r.To, ", ")).
				WithHint("take the rule away; a rule that is meant for other plans says other_plans: true"))
		}
	}
	return errs
}

// bounds records what a rule lets outputs say together, once.
func bounds(m *ir.Module, b policy.Bound) {
	if !slices.ContainsFunc(m.Bounds, func(o policy.Bound) bool { return o.Owner == b.Owner && o.File == b.File && o.Line == b.Line }) {
		m.Bounds = append(m.Bounds, b)
	}
}

// traces holds what has been done to the data of sources on the ways to values of a function.
type traces struct {
	f       *ir.Func
	done    map[*ir.Value]map[*ir.Value]policy.Done
	columns map[*ir.Value]map[*ir.Value][]int
}

// of returns what has been done to src on the ways to v.
func (t *traces) of(src, v *ir.Value) policy.Done {
	if t.done[src] == nil {
		t.done[src] = ir.Trace(t.f, src)
	}
	return t.done[src][v]
}

// columnsOf returns the columns of src that v derives from.
func (t *traces) columnsOf(src, v *ir.Value) []int {
	if t.columns[src] == nil {
		t.columns[src] = ir.Columns(t.f, src)
	}
	return t.columns[src][v]
}

// admits reports whether a rule lets the data of src reach a receiver in a reveal, its bounds on all outputs together apart.
func (t *traces) admits(r policy.Rule, reveal *ir.Value, to string, src *ir.Value, done policy.Done) bool {
	name := src.Attrs.Str("name")
	return r.Names(reveal.Attrs.Str("name"), to, name) && r.Admits(done) && r.Covers(name, func() []int { return t.columnsOf(src, reveal) })
}

// within reports whether what a run gives to the receivers of a rule, taken together, keeps its bounds: they may compare what they were
// given. Bits of outputs that are no arg-maxes and no comparisons are counted when their formats are known.
func (t *traces) within(p *policy.Policy, r policy.Rule, src *ir.Value) bool {
	return (r.MaxBits == 0 || r.As != policy.ArgMax && r.As != policy.Bit || t.bits(p, r) <= r.MaxBits) &&
		(r.MaxValues == 0 || t.values(p, r) <= r.MaxValues) && (r.MinGroup == 0 || t.onePartition(p, r, src))
}

// sources returns the owner's inputs and weights that a rule is about.
func (t *traces) sources(p *policy.Policy, r policy.Rule) (out []*ir.Value) {
	for _, x := range t.f.Body {
		if (x.Op == ir.OpInput || x.Op == ir.OpWeight) && x.Attrs.Str("owner") == p.Owner && r.About(x.Attrs.Str("name")) {
			out = append(out, x)
		}
	}
	return out
}

// reaching returns the reveals, whatever their names, that derive from data which a rule is about and reach one of its receivers under no
// rule that exempts them.
func (t *traces) reaching(p *policy.Policy, r policy.Rule, exempts func(o policy.Rule) bool) (out []*ir.Value) {
	sources := t.sources(p, r)
	for _, v := range t.f.Reveals() {
		if slices.ContainsFunc(v.Attrs.Strings("to"), func(to string) bool {
			return slices.Contains(r.To, to) && (to != p.Owner || len(v.Args[0].Type.Vis.Owners()) > 1) && slices.ContainsFunc(sources, func(src *ir.Value) bool {
				done := t.of(src, v)
				return t.derives(src, v) && !slices.ContainsFunc(p.Allow, func(o policy.Rule) bool { return exempts(o) && t.admits(o, v, to, src, done) })
			})
		}) {
			out = append(out, v)
		}
	}
	return out
}

// derives reports whether there is a way from src to v.
func (t *traces) derives(src, v *ir.Value) bool {
	t.of(src, v)
	_, ok := t.done[src][v]
	return ok
}

// bitless exempts rules that set no bound in bits.
func bitless(o policy.Rule) bool { return o.MaxBits == 0 }

// bounded returns the names of the outputs that reaching returns.
func (t *traces) bounded(p *policy.Policy, r policy.Rule, exempts func(o policy.Rule) bool) (out []string) {
	for _, v := range t.reaching(p, r, exempts) {
		out = append(out, v.Attrs.Str("name"))
	}
	return out
}

// bits returns how many bits of arg-maxes and comparisons of the owner's data a run gives to the receivers of a rule.
func (t *traces) bits(p *policy.Policy, r policy.Rule) int {
	sources := t.sources(p, r)
	values := slices.DeleteFunc(t.reaching(p, r, bitless), func(v *ir.Value) bool {
		return !slices.ContainsFunc(sources, func(src *ir.Value) bool { d := t.of(src, v); return d.ArgMax || d.Bit })
	})
	return ir.Choices(values, sources)
}

// values returns how many numbers a run gives to the receivers of a rule.
func (t *traces) values(p *policy.Policy, r policy.Rule) (n int) {
	for _, v := range t.reaching(p, r, func(o policy.Rule) bool { return o.MaxValues == 0 }) {
		n += v.Type.Shape.Size()
	}
	return n
}

// onePartition reports whether the receivers of a rule get numbers of one grouping of src's rows, and no other aggregate of it: the difference of a
// sum over all rows and those of large groups is that of a small one, and so is the difference of two groupings.
func (t *traces) onePartition(p *policy.Policy, r policy.Rule, src *ir.Value) bool {
	var grouped, others []policy.Done
	for _, v := range t.reaching(p, r, func(o policy.Rule) bool { return o.As == policy.Any && o.MaxBits == 0 && o.MaxValues == 0 }) {
		switch d := t.of(src, v); {
		case !t.derives(src, v) || d.ArgMax || d.Bit:
		case d.Groups > 0:
			grouped = append(grouped, d)
		default:
			others = append(others, d)
		}
	}
	return len(grouped) == 0 || len(others) == 0 && !slices.ContainsFunc(grouped, func(d policy.Done) bool { return d.Partition != grouped[0].Partition })
}

// terms checks what a policy says about who computes and how, and records what it asks of every run.
func terms(m *ir.Module, p *policy.Policy, errs *diag.List) {
	refuse := func(key, format string, args ...any) *diag.Error {
		e := diag.Errorf(diag.Pos{File: p.File, Line: p.Line(key)}, "refused: "+format, args...)
		e.Kind = diag.Policy
		*errs = append(*errs, e)
		return e
	}
	if p.Compute != nil {
		for _, party := range m.Parties {
			if !slices.Contains(p.Compute, party) {
				refuse("compute", "%s would hold shares of %s's data; the policy of %s lets only %s compute on it", party, p.Owner, p.Owner, strings.Join(p.Compute, ", ")).
					WithHint("if %s agrees, add %s to compute:, or run without %s", p.Owner, party, party)
			}
		}
	}
	if p.Dealers != nil && !slices.Contains(p.Dealers, m.Dealer) {
		refuse("dealer", "the dealer is %s; the policy of %s accepts only %s", m.Dealer, p.Owner, strings.Join(p.Dealers, " or ")).
			WithHint("if %s agrees, add %s to dealer:", p.Owner, m.Dealer)
	}
	if p.Protocol != "" && p.Protocol != policy.SemiHonest {
		refuse("protocol", "the policy of %s asks for security against %s parties; this release is secure against semi-honest ones only", p.Owner, p.Protocol).
			WithHint("if %s trusts the others to follow their programs, write protocol: semi-honest", p.Owner)
	}
	if p.MinBatch > 0 {
		for _, v := range m.Main().Inputs() {
			if s := v.Type.Shape; v.Attrs.Str("owner") == p.Owner && (len(s) == 0 || s[0] < p.MinBatch) {
				rows := 1
				if len(s) > 0 {
					rows = s[0]
				}
				refuse("min_batch", "each run would take %d rows of input %q of %s; its policy asks for at least %d", rows, v.Attrs.Str("name"), p.Owner, p.MinBatch).
					WithHint("compile for a larger batch (--dim N=%d)", p.MinBatch)
			}
		}
	}
	if p.MaxBatch > 0 {
		for _, v := range m.Main().Inputs() {
			if s := v.Type.Shape; len(s) > 0 && s[0] > p.MaxBatch {
				refuse("max_batch", "each run would take %d rows of input %q; the policy of %s lets a run take at most %d", s[0], v.Attrs.Str("name"), p.Owner, p.MaxBatch).
					WithHint("compile for a smaller batch (--dim N=%d)", p.MaxBatch)
			}
		}
	}
	if g := p.Guard(); g.Asks() {
		m.Guards = append(m.Guards, g)
	}
}

// allow records why a reveal is permitted, once.
func allow(m *ir.Module, a policy.Allowance) {
	if !slices.Contains(m.Allowed, a) {
		m.Allowed = append(m.Allowed, a)
	}
}

// origins returns, for each input and weight that v derives from, the shortest path of values from it to v. A path does not
// go through values that closed reports; nil closes none.
func origins(v *ir.Value, closed func(*ir.Value) bool) [][]*ir.Value {
	next := map[*ir.Value]*ir.Value{v: nil} // towards v
	queue := []*ir.Value{v}
	var out [][]*ir.Value
	for len(queue) > 0 {
		x := queue[0]
		queue = queue[1:]
		if x.Op == ir.OpInput || x.Op == ir.OpWeight {
			var path []*ir.Value
			for y := x; y != nil; y = next[y] {
				path = append(path, y)
			}
			out = append(out, path)
		}
		for _, a := range x.Args {
			if _, seen := next[a]; !seen && (closed == nil || !closed(a)) {
				next[a] = x
				queue = append(queue, a)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b []*ir.Value) int { return a[0].ID - b[0].ID })
	return out
}

// maxSteps is the length of a path from which its middle is left out.
const maxSteps = 12

// refusal says what would reach whom, on the first of the ways, and which change would make it legal: the narrowest rule that lets all of
// the owner's data pass which the ways begin with.
func refusal(ways [][]*ir.Value, reveal *ir.Value, to string, p *policy.Policy, traces *traces) *diag.Error {
	path := ways[0]
	src := path[0]
	output, source, owner := reveal.Attrs.Str("name"), src.Attrs.Str("name"), src.Attrs.Str("owner")
	done := traces.of(src, reveal)
	if p == nil {
		p = &policy.Policy{Owner: owner}
	}
	wanted := narrowest(ways, reveal, to, p, traces)
	change := ""
	why := fmt.Sprintf("the policy of %s (%s) has no rule for it", owner, p.File)
	if p.File == "" {
		why = owner + " has no policy, and without one nothing is allowed"
	}
	for _, r := range p.Allow {
		if !r.Names(output, to, source) {
			continue
		}
		if why, change = short(r, p, src, reveal, done, traces); r.As == policy.ArgMax && !done.ArgMax {
			for _, open := range origins(reveal, func(x *ir.Value) bool { return x.Op == ir.OpArgMax }) {
				if open[0] == src {
					path = open
				}
			}
		}
		break
	}
	var steps []string
	for i, x := range path {
		if len(path) > maxSteps && i >= maxSteps/2 && i < len(path)-maxSteps/2 {
			if i == maxSteps/2 {
				steps = append(steps, fmt.Sprintf("... %d more ...", len(path)-maxSteps/2*2))
			}
			continue
		}
		switch x.Op {
		case ir.OpInput, ir.OpWeight:
			steps = append(steps, fmt.Sprintf("%s %q of %s", x.Op, source, owner))
		case ir.OpReveal:
			steps = append(steps, fmt.Sprintf("reveal %q to %s", output, to))
		default:
			s := describe(x)
			if len(steps) == 0 || steps[len(steps)-1] != s {
				steps = append(steps, s)
			}
		}
	}
	e := diag.Errorf(reveal.Pos, "refused: output %q would tell %s about %s %q of %s; %s\n\tpath: %s",
		output, to, src.Op, source, owner, why, strings.Join(steps, "\n\t   -> "))
	e.Kind = diag.Policy
	return e.WithHint("%sif %s agrees, its policy needs under allow: the rule %s", change, owner, wanted.YAML())
}

// fewBits is how many bits of arg-maxes and comparisons say less than a sum.
const fewBits = 16

// narrowest returns the rule that lets data pass and allows as little as possible besides.
func narrowest(ways [][]*ir.Value, reveal *ir.Value, to string, p *policy.Policy, traces *traces) policy.Rule {
	r := policy.Rule{Output: reveal.Attrs.Str("name"), To: []string{to}}
	all := traces.sources(p, r)
	done := traces.of(ways[0][0], reveal)
	for _, w := range ways[1:] {
		done = done.Both(traces.of(w[0], reveal))
	}
	if len(ways) < len(all) {
		for _, w := range ways {
			r.From = append(r.From, w[0].Attrs.Str("name"))
		}
	}
	choice := r
	if choice.As = policy.ArgMax; !done.ArgMax {
		choice.As = policy.Bit
	}
	choice.MaxBits = max(1, traces.bits(p, choice))
	switch chooses := done.ArgMax || done.Bit; {
	case chooses && (choice.MaxBits <= fewBits || done.Rows == 0 && done.Groups == 0):
		r = choice
	case done.Rows >= 2:
		r.As, r.MinRows = policy.Aggregate, done.Rows
	case done.Groups >= 2:
		r.As, r.MinRows, r.MinGroup = policy.Aggregate, done.Of, done.Groups
		for _, w := range ways {
			if !traces.onePartition(p, r, w[0]) { // such a rule would not do
				r.As, r.MinRows, r.MinGroup = policy.Any, 0, 0
			}
		}
	}
	if len(ways) == 1 && r.As == policy.Any { // columns, if the input has others
		src := ways[0][0]
		c := traces.columnsOf(src, reveal)
		if s := src.Type.Shape; src.Op == ir.OpInput && len(s) >= 2 && len(c) > 0 && len(c) < s[1] && c[len(c)-1]-c[0]+1 == len(c) {
			r.From = []string{fmt.Sprintf("%s[:,%d:%d]", src.Attrs.Str("name"), c[0], c[len(c)-1]+1)}
		}
	}
	return r
}

// short says where a rule that names an output falls short, and what may be done about it.
func short(r policy.Rule, p *policy.Policy, src, reveal *ir.Value, done policy.Done, traces *traces) (why, change string) {
	source, at := src.Attrs.Str("name"), p.RuleAt(r)
	switch {
	case !r.Covers(source, func() []int { return traces.columnsOf(src, reveal) }):
		return fmt.Sprintf("%s allows %s, and this derives from columns %s", at, strings.Join(r.From, ", "), columnList(traces.columnsOf(src, reveal))), "take these columns alone; or, "
	case r.Admits(done) && r.MaxValues > 0 && traces.values(p, r) > r.MaxValues:
		return fmt.Sprintf("%s allows at most %d numbers a run, and %d reach %s", at, r.MaxValues, traces.values(p, r), strings.Join(r.To, ", ")), "compile for fewer rows, or reveal less; or, "
	case r.Admits(done) && (r.As == policy.ArgMax || r.As == policy.Bit):
		return fmt.Sprintf("%s allows at most %d bits a run, and the arg-maxes and comparisons that reach %s say up to %d together", at, r.MaxBits, strings.Join(r.To, ", "), traces.bits(p, r)), "reveal fewer or smaller ones; or, "
	case r.Admits(done) && r.MinGroup > 0:
		return fmt.Sprintf("%s allows one grouping of rows, and %s would get other sums or groups of %q as well, whose differences tell of small groups", at, strings.Join(r.To, ", "), source), "reveal one grouping and no other sum; or, "
	case r.As == policy.ArgMax:
		return at + " allows only the arg-max, and this path has none", "end the path with an arg-max; or, "
	case r.As == policy.Bit:
		return at + " allows only what comparisons say, and this path has none", "end the path with a comparison; or, "
	case r.As == policy.Rounded:
		return fmt.Sprintf("%s allows only %d decimal digits, and this output has more", at, r.Digits), fmt.Sprintf("reveal floor(%g * x) / %g; or, ", math.Pow10(r.Digits), math.Pow10(r.Digits))
	case done.Rows > 0:
		return fmt.Sprintf("%s allows sums and means over at least %d rows, this is one over %d", at, r.MinRows, done.Rows), fmt.Sprintf("compile for %d rows or more; or, ", r.MinRows)
	case done.Groups > 0 && r.MinGroup == 0:
		return at + " allows sums and means over all rows, and this one is over groups of them", "reveal a sum over all rows; or, "
	case done.Groups > 0:
		return fmt.Sprintf("%s allows groups of at least %d rows of %d, these are of at least %d rows of %d", at, r.MinGroup, r.MinRows, done.Groups, done.Of), fmt.Sprintf("show a group where it has %d rows or more; or, ", r.MinGroup)
	}
	return fmt.Sprintf("%s allows only sums and means over all of at least %d rows, of what is the same linear or square function of each row, and this path has no such sum", at, r.MinRows),
		fmt.Sprintf("reveal a sum or mean over the first dimension of %q; or, ", source)
}

// columnList renders columns, with runs as A:B.
func columnList(c []int) string {
	var out []string
	for i := 0; i < len(c); {
		j := i + 1
		for j < len(c) && c[j] == c[j-1]+1 {
			j++
		}
		out = append(out, fmt.Sprintf("%d:%d", c[i], c[j-1]+1))
		i = j
	}
	return strings.Join(out, ", ")
}
