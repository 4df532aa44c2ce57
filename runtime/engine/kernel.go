package engine

import (
	"cmp"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/ring"
)

// A kernel is weights of a convolution in a model's memory. Every session multiplies by them, so they are brought once, after setup, into
// the order in which they are read.
type kernel struct {
	interval
	window ring.Window
}

// findKernels returns the kernels that convolutions of sessions read and nothing else does, by place, and which slots they are.
func (e *Engine) findKernels() ([]kernel, []bool) {
	touched := make([]bool, len(e.prog.Slots)) // in sessions, other than as a kernel
	found := make([]*ring.Window, len(e.prog.Slots))
	for _, ph := range []plan.Phase{plan.Offline, plan.Online} {
		for _, r := range e.prog.Rounds(ph) {
			for i := range r.Opens {
				o := &r.Opens[i]
				if has(o.From, e.role) {
					touched[o.Src] = true
				}
				if has(o.To, e.role) {
					touched[o.Dst] = true
				}
			}
			for i := range r.Steps {
				s := &r.Steps[i]
				touched[s.Dst] = true
				for k, src := range s.Src {
					if s.Op != plan.StepConv || k != 1 || e.prog.Slots[src].Scope != plan.Model {
						touched[src] = true
						continue
					}
					g := windowOf(s)
					if w := found[src]; w != nil && (w.OC != g.OC || w.C != g.C || w.KH != g.KH || w.KW != g.KW || w.Group != g.Group) || !ring.Packs(g) {
						touched[src] = true
					}
					found[src] = &g
				}
			}
		}
	}
	packed := make([]bool, len(found))
	var read []int // slots of a model that sessions read, by place
	for i, s := range e.prog.Slots {
		if s.Scope == plan.Model && s.Len > 0 && (found[i] != nil || touched[i]) {
			read = append(read, i)
		}
	}
	slices.SortStableFunc(read, func(a, b int) int { return cmp.Compare(e.prog.Slots[a].Offset, e.prog.Slots[b].Offset) })
	var out []kernel
	end := 0 // of those before
	for k, i := range read {
		s := e.prog.Slots[i]
		at := interval{s.Offset, s.Offset + s.Len}
		alone := end <= at.from && (k+1 == len(read) || at.to <= e.prog.Slots[read[k+1]].Offset) // in its memory, whatever a hostile plan says
		end = max(end, at.to)
		if packed[i] = alone && !touched[i]; packed[i] {
			out = append(out, kernel{at, *found[i]})
		}
	}
	return out, packed
}

// pack brings the kernels of a model, as setup or a file left it, into the order of convolutions.
func (e *Engine) pack(words []uint64) {
	for _, k := range e.kernels {
		ring.PackWeights(words[k.from:k.to], k.window)
	}
}
