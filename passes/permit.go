package passes

import (
	"fmt"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// permit checks every reveal: each input and weight it derives from must be allowed, by its owner's policy, to reach each
// receiver in that output. Nothing is allowed but by a rule, except that an owner may learn what derives from its own data
// only. Refusals are of kind Policy and show the path from the data to the receiver.
func permit(m *ir.Module, opt *Options) error {
	f := m.Main()
	policies := map[string]*Policy{}
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
	m.Policies, m.Allowed = nil, nil
	owners := map[string]bool{}
	for _, v := range f.Body {
		if v.Op == ir.OpInput || v.Op == ir.OpWeight {
			owners[v.Attrs.Str("owner")] = true
		}
	}
	for _, o := range m.Parties {
		if !owners[o] {
			continue
		}
		if policies[o] == nil && opt.Default != nil {
			d := *opt.Default
			d.Owner = o
			policies[o] = &d
		}
		if p := policies[o]; p != nil {
			m.Policies = append(m.Policies, ir.PolicyRef{Owner: o, File: p.File, Digest: p.Digest})
		}
	}
	for _, v := range f.Reveals() {
		output := v.Attrs.Str("name")
		from := origins(v)
		for _, to := range v.Attrs.Strings("to") {
			refused := map[string]int{} // by owner: all of its data that is refused, told of at the first
			for _, src := range from {
				owner, source := src[0].Attrs.Str("owner"), src[0].Attrs.Str("name")
				if owner == to && len(v.Args[0].Type.Vis.Owners()) == 1 {
					allow(m, ir.Allowance{Output: output, Receiver: to, Owner: owner, Rule: "own data"})
					continue
				}
				p, why, i := policies[owner], "", -1
				if p == nil {
					why = owner + " has no policy, and without one nothing is allowed"
				} else if i = slices.IndexFunc(p.Allow, func(r Rule) bool { return r.allows(output, to, source) }); i < 0 {
					why = fmt.Sprintf("the policy of %s (%s) has no rule for it", owner, p.File)
				}
				if i < 0 {
					if refused[owner]++; refused[owner] == 1 {
						errs.Add(v.Pos, refusal(src, v, to, why))
					}
					continue
				}
				allow(m, ir.Allowance{Output: output, Receiver: to, Owner: owner, Rule: p.Allow[i].String() + " (" + p.File + ")"})
			}
		}
	}
	return errs.Err()
}

// allow records why a reveal is permitted, once.
func allow(m *ir.Module, a ir.Allowance) {
	if !slices.Contains(m.Allowed, a) {
		m.Allowed = append(m.Allowed, a)
	}
}

// origins returns, for each input and weight that v derives from, the shortest path of values from it to v.
func origins(v *ir.Value) [][]*ir.Value {
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
			if _, seen := next[a]; !seen {
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

// refusal says what would reach whom, on which path, and which rule would allow it.
func refusal(path []*ir.Value, reveal *ir.Value, to, why string) *diag.Error {
	src := path[0]
	output, source, owner := reveal.Attrs.Str("name"), src.Attrs.Str("name"), src.Attrs.Str("owner")
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
	return e.WithHint("if %s agrees, its policy needs under allow: the rule {output: %s, to: [%s]}", owner, output, to)
}
