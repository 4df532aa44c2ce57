package passes

import (
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// sharesWork bounds the multiply-adds that shares may take: every node is bounded once more without its own error.
const sharesWork = 2e9

// Shares returns, for each place of the source, which part of a proved output's bound goes away if the values there are rounded no more; of several such
// outputs the largest part. nil if no output is proved, or if the graph is too large. It tells of private weights, so it is for those who have them.
func (n *Numbers) Shares() map[diag.Pos]float64 {
	p := n.proof
	var proved []Output
	for _, o := range n.Outputs {
		if o.State == Proved {
			proved = append(proved, o)
		}
	}
	if p == nil || len(proved) == 0 {
		return nil
	}
	var at []diag.Pos
	seen := map[diag.Pos]bool{}
	for _, v := range p.f.Body {
		if !seen[v.Pos] {
			seen[v.Pos] = true
			at = append(at, v.Pos)
		}
	}
	if multiplyAdds(p.f)*float64(len(at)+1) > sharesWork {
		return nil
	}
	all, _ := p.enclose()
	out := map[diag.Pos]float64{}
	for _, pos := range at {
		without := *p
		without.muted = func(v *ir.Value) bool { return v.Pos == pos }
		rest, _ := without.enclose()
		for _, o := range proved {
			if part := all[o.Name].part(o.Tolerance); part > 0 {
				out[pos] = max(out[pos], 1-rest[o.Name].part(o.Tolerance)/part)
			}
		}
	}
	return out
}

// part returns the largest part of a tolerance that the errors of an output take.
func (e enclosure) part(t Tolerance) float64 {
	if e[atLo] == nil {
		return math.Inf(1)
	}
	part := 0.0
	for i := range e.len() {
		x := e.at(i)
		part = max(part, ErrorBound{Abs: x.abs, Rel: x.rel}.part(t, interval{x.lo, x.hi, ir.Proved}))
	}
	return part
}
