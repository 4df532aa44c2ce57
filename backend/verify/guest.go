package verify

import (
	"slices"

	"smpcc/backend/plan"
)

// together returns the plan with shares that all parties keep for a guest, in one round, as one reveal to nobody or, if parties receive the output too, as a part of
// the reveal to them: the same shares, to one more receiver. What does not fit stays as it is, and is found.
func together(p *plan.Plan) *plan.Plan {
	n := len(p.Manifest.Parties)
	if !slices.ContainsFunc(p.Programs, func(g plan.Program) bool {
		return slices.ContainsFunc(g.Online, func(r plan.Round) bool {
			return slices.ContainsFunc(r.Opens, func(o plan.Open) bool { return o.Kind == plan.Give })
		})
	}) {
		return p
	}
	out := *p
	out.Programs = slices.Clone(p.Programs)
	for i := range out.Programs {
		out.Programs[i].Online = slices.Clone(out.Programs[i].Online)
		for r := range out.Programs[i].Online {
			out.Programs[i].Online[r].Opens = slices.Clone(out.Programs[i].Online[r].Opens)
		}
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	for r := range out.Programs[0].Online {
		found := map[int]int{} // by item: parties that keep it in this round
		for i := range n {
			if r < len(out.Programs[i].Online) {
				for _, o := range out.Programs[i].Online[r].Opens {
					if o.Kind == plan.Give && slices.Equal(o.From, []int{i}) && slices.Equal(o.To, []int{i}) {
						found[o.Item]++
					}
				}
			}
		}
		for i := range n {
			if r >= len(out.Programs[i].Online) {
				continue
			}
			var kept []plan.Open
			opens := out.Programs[i].Online[r].Opens
			for _, o := range opens {
				if o.Kind != plan.Give || found[o.Item] != n {
					kept = append(kept, o)
					continue
				}
				if slices.ContainsFunc(opens, func(x plan.Open) bool {
					return x.Kind == plan.Reveal && x.Item == o.Item && x.Src == o.Src && x.Mode == o.Mode && x.Len == o.Len && x.Bits == o.Bits && slices.Contains(x.From, i)
				}) {
					continue
				}
				o.Kind, o.From, o.To = plan.Reveal, all, nil
				kept = append(kept, o)
			}
			out.Programs[i].Online[r].Opens = kept
		}
	}
	return &out
}
