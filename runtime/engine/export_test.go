package engine

import "smpcc/backend/plan"

// ProductBits returns how many low bits are wanted of the result of each matrix product and convolution of this role, in order.
func (e *Engine) ProductBits() []int {
	var out []int
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		for _, r := range e.prog.Rounds(ph) {
			for i := range r.Steps {
				if s := &r.Steps[i]; s.Op == plan.StepMatMul || s.Op == plan.StepConv {
					out = append(out, e.wanted[s.Dst])
				}
			}
		}
	}
	return out
}
