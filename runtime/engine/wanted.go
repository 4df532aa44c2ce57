package engine

import "smpcc/backend/plan"

// wantedBits returns, for each slot, how many low bits of its elements anything in the program depends on. Products whose results
// are wanted in few bits may leave garbage above them: vectors hold twice as many products of 32 bits as of 64, and those
// of 40 cost less than those of 64 where the processor has an instruction for them.
func (e *Engine) wantedBits() []int {
	out := make([]int, len(e.prog.Slots))
	want := func(slot, bits int) { out[slot] = max(out[slot], bits) }
	for ph := plan.Online; ph >= plan.Setup; ph-- { // what is read later is known first
		rounds := e.prog.Rounds(ph)
		for r := len(rounds) - 1; r >= 0; r-- {
			for i := range rounds[r].Opens {
				if o := &rounds[r].Opens[i]; has(o.From, e.role) {
					want(o.Src, o.Bits)
				}
			}
			for i := len(rounds[r].Steps) - 1; i >= 0; i-- {
				s := &rounds[r].Steps[i]
				bits := 64
				switch s.Op {
				case plan.StepAdd, plan.StepSub, plan.StepNeg, plan.StepMul, plan.StepShl, plan.StepXor, plan.StepAnd,
					plan.StepCopy, plan.StepGather, plan.StepSum, plan.StepMatMul, plan.StepConv: // low bits depend on no higher ones
					bits = out[s.Dst]
				case plan.StepBits:
					bits = int(s.Args[0] + s.Args[1])
				case plan.StepDrop:
					bits = int(s.Args[0])
				case plan.StepDeal:
					bits = e.plan.Items[s.Args[0]].Bits
				}
				for _, src := range s.Src {
					want(src, bits)
				}
			}
		}
	}
	return out
}
