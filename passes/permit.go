package passes

import (
	"fmt"
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
		if !slices.Contains(m.Parties, p.Owner) {
			errs.Add(pos, diag.Errorf(pos, "policy of %q, which is not a party", p.Owner).WithHint("the parties are %s", strings.Join(m.Parties, ", ")))
		}
		if policies[p.Owner] != nil {
			errs.Add(pos, diag.Errorf(pos, "%s has two policies, %s and %s", p.Owner, policies[p.Owner].File, p.File))
		}
		policies[p.Owner] = p
	}
	if err := errs.Err(); err != nil {
		return err
	}
	m.Policies, m.Allowed, m.Guards = nil, nil, nil
	owners := map[string]bool{}
	forms := false
	for _, v := range f.Body {
		if v.Op == ir.OpInput || v.Op == ir.OpWeight {
			owners[v.Attrs.Str("owner")] = true
		}
	}
	for _, o := range m.Parties {
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
			terms(m, p, &errs)
			forms = forms || slices.ContainsFunc(p.Allow, func(r policy.Rule) bool { return r.As != policy.Any })
		}
	}
	traces := &traces{f: f, done: map[*ir.Value]map[*ir.Value]policy.Done{}}
	for _, v := range f.Reveals() {
		output := v.Attrs.Str("name")
		from := origins(v, nil)
		for _, to := range v.Attrs.Strings("to") {
			refused := map[string]int{} // by owner: all of its data that is refused, told of at the first
			for _, src := range from {
				owner, source := src[0].Attrs.Str("owner"), src[0].Attrs.Str("name")
				if owner == to && len(v.Args[0].Type.Vis.Owners()) == 1 {
					allow(m, policy.Allowance{Output: output, Receiver: to, Owner: owner, Rule: "own data"})
					continue
				}
				if s, ok := opt.Stated[owner]; ok && s.allows(m, output, to) {
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
						return r.Names(output, to, source) && r.Admits(done) && (r.MaxBits == 0 || traces.bits(p, r) <= r.MaxBits)
					})
				}
				if i < 0 {
					if refused[owner]++; refused[owner] == 1 {
						errs.Add(v.Pos, refusal(src, v, to, p, done, traces))
					}
					continue
				}
				r := p.Allow[i]
				a := policy.Allowance{Output: output, Receiver: to, Owner: owner, Rule: r.String() + " (" + p.RuleAt(r) + ")"}
				if r.Line > 0 {
					a.File, a.Line = p.File, r.Line
				}
				if r.As != policy.Any {
					a.Done = done.String()
				}
				allow(m, a)
			}
		}
	}
	return errs.Err()
}

// traces holds what has been done to the data of sources on the ways to values of a function.
type traces struct {
	f    *ir.Func
	done map[*ir.Value]map[*ir.Value]policy.Done
}

// of returns what has been done to src on the ways to v.
func (t *traces) of(src, v *ir.Value) policy.Done {
	if t.done[src] == nil {
		t.done[src] = ir.Trace(t.f, src)
	}
	return t.done[src][v]
}

// bits returns how many bits of arg-maxes of the owner's data a run gives to the receivers of a rule, taken together: they may
// compare what they were given. Outputs count, whatever their names, that derive from data which the rule is about and reach one of its
// receivers under no rule that sets no bound.
func (t *traces) bits(p *policy.Policy, r policy.Rule) int {
	var values, sources []*ir.Value
	for _, x := range t.f.Body {
		if (x.Op == ir.OpInput || x.Op == ir.OpWeight) && x.Attrs.Str("owner") == p.Owner && (len(r.From) == 0 || slices.Contains(r.From, x.Attrs.Str("name"))) {
			sources = append(sources, x)
		}
	}
	for _, v := range t.f.Reveals() {
		bounded := slices.ContainsFunc(v.Attrs.Strings("to"), func(to string) bool {
			return to != p.Owner && slices.Contains(r.To, to) && slices.ContainsFunc(sources, func(src *ir.Value) bool {
				done := t.of(src, v)
				return done.ArgMax && !slices.ContainsFunc(p.Allow, func(o policy.Rule) bool {
					return o.MaxBits == 0 && o.Names(v.Attrs.Str("name"), to, src.Attrs.Str("name")) && o.Admits(done)
				})
			})
		})
		if bounded {
			values = append(values, v)
		}
	}
	return ir.ArgMaxBits(values, sources)
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

// refusal says what would reach whom, on which path, and which change would make it legal.
func refusal(path []*ir.Value, reveal *ir.Value, to string, p *policy.Policy, done policy.Done, traces *traces) *diag.Error {
	src := path[0]
	output, source, owner := reveal.Attrs.Str("name"), src.Attrs.Str("name"), src.Attrs.Str("owner")
	var why string
	wanted := policy.Rule{Output: output, To: []string{to}}
	change := ""
	switch {
	case p == nil:
		why = owner + " has no policy, and without one nothing is allowed"
	default:
		why = fmt.Sprintf("the policy of %s (%s) has no rule for it", owner, p.File)
		for _, r := range p.Allow {
			if !r.Names(output, to, source) {
				continue
			}
			switch {
			case r.As == policy.ArgMax && done.ArgMax:
				why = fmt.Sprintf("%s allows at most %d bits of arg-max a run, the arg-maxes that reach %s say up to %d together", p.RuleAt(r), r.MaxBits, strings.Join(r.To, ", "), traces.bits(p, r))
				wanted.As, wanted.MaxBits = policy.ArgMax, traces.bits(p, wanted)
				change = "reveal fewer or smaller arg-maxes; or, "
			case r.As == policy.ArgMax:
				why = fmt.Sprintf("%s allows only the arg-max, and this path has none", p.RuleAt(r))
				change = "end the path with an arg-max; or, "
				for _, open := range origins(reveal, func(x *ir.Value) bool { return x.Op == ir.OpArgMax }) {
					if open[0] == src {
						path = open
					}
				}
			case done.Rows > 0:
				why = fmt.Sprintf("%s allows sums and means over at least %d rows, this is one over %d", p.RuleAt(r), r.MinRows, done.Rows)
				wanted.As, wanted.MinRows = policy.Aggregate, done.Rows
				change = fmt.Sprintf("compile for %d rows or more; or, ", r.MinRows)
			default:
				why = fmt.Sprintf("%s allows only sums and means over all of at least %d rows, of what is the same linear or square function of each row, and this path has no such sum", p.RuleAt(r), r.MinRows)
				change = fmt.Sprintf("reveal a sum or mean over the first dimension of %q; or, ", source)
			}
			break
		}
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
