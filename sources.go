package smpcc

import (
	"math"
	"slices"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/ir/text"
)

// Sources lists an owner's weights in a graph, each name once: the tensors as they were before any pass, which commitments are to.
func Sources(graph *ir.Module, owner string) (out []*ir.Value) {
	for _, v := range graph.Main().Body {
		if v.Op == ir.OpWeight && v.Attrs.Str("owner") == owner && !slices.ContainsFunc(out, func(o *ir.Value) bool { return o.Attrs.Str("name") == v.Attrs.Str("name") }) {
			out = append(out, v)
		}
	}
	return out
}

// Graph returns the graph that a plan carries.
func Graph(p *plan.Plan) (*ir.Module, error) {
	for _, d := range p.Manifest.Dumps {
		if d.Level == "graph" {
			m, err := text.Parse(p.Manifest.Name, []byte(d.Text))
			if err != nil {
				return nil, err
			}
			return m, ir.Verify(m)
		}
	}
	return nil, diag.Errorf(diag.Pos{File: p.Manifest.Name}, "the plan holds no graph").WithHint("compile it again")
}

// Derived refuses weights of a plan that are not what its graph makes of source tensors: both by name, those of other owners may be missing.
func Derived(p *plan.Plan, sources, weights map[string]*ir.Tensor, owner string) error {
	c, _, err := again(p, nil, sources)
	if err != nil {
		return err
	}
	if c.Plan.Digest() != p.Digest() {
		return diag.Errorf(diag.Pos{File: p.Manifest.Name}, "the plan is not what its graph makes").WithHint("smpcc recheck says what differs")
	}
	for _, w := range p.Manifest.Weights {
		if w.Owner != owner {
			continue
		}
		if a, b := c.Weights[w.Name], weights[w.Name]; a == nil || b == nil || !sameBits(a, b) {
			return diag.Errorf(diag.Pos{}, "weight %q of the plan is not what the plan's graph makes of the source tensors", w.Name).
				WithHint("compile again from the model: smpcc compile writes both to one file")
		}
	}
	return nil
}

// sameBits reports whether two tensors hold the same numbers, to the bit.
func sameBits(a, b *ir.Tensor) bool {
	if a.Len() != b.Len() || a.Len() > 0 && (a.Elem == ir.Real) != (b.Elem == ir.Real) {
		return false
	}
	for i := range a.F {
		if math.Float64bits(a.F[i]) != math.Float64bits(b.F[i]) {
			return false
		}
	}
	return slices.Equal(a.I, b.I)
}
