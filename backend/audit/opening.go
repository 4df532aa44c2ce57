package audit

import (
	"slices"

	"smpcc/backend/plan"
)

// An Opening counts what is sent of one kind in one phase.
type Opening struct {
	Phase string `json:"phase"`
	Kind  string `json:"kind"`
	Count int    `json:"count"`
	Bits  int64  `json:"bits"`
	Mask  string `json:"mask"`
}

// covers says under what each kind of message is sent.
var covers = map[plan.Kind]string{
	plan.OpenWire:   "a fresh uniform mask each",
	plan.OpenBits:   "a fresh uniform mask each",
	plan.Correction: "the other parties' streams",
	plan.Reveal:     "fresh shares of zero each",
	plan.Keys:       "the other party's root of each, by fixed-key AES",
}

// openings counts what is sent by phase and kind, each tensor once.
func openings(p *plan.Plan) (out []Opening) {
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for kind := plan.OpenWire; kind <= plan.Keys; kind++ {
			o := Opening{Phase: ph.String(), Kind: kind.String(), Mask: covers[kind]}
			seen := map[int]bool{}
			for i := range p.Programs {
				for _, round := range p.Programs[i].Rounds(ph) {
					for _, x := range round.Opens {
						if x.Kind == kind && !seen[x.Item] {
							seen[x.Item] = true
							o.Count++
							o.Bits += int64(x.Len) * int64(x.Bits)
						}
					}
				}
			}
			if o.Count > 0 {
				out = append(out, o)
			}
		}
	}
	return out
}

// rounded reports whether functions of masks are material that was rounded, so that results depend on masks in their lowest bits.
func rounded(p *plan.Plan) bool {
	for _, r := range p.Programs[0].Online {
		if slices.ContainsFunc(r.Steps, func(s plan.Step) bool { return s.Op == plan.StepWave || s.Op == plan.StepExpo }) {
			return true
		}
	}
	return false
}
