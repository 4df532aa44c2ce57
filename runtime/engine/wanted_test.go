package engine

import (
	"slices"
	"testing"

	"smpcc/backend/plan"
)

// TestWanted: low bits are followed back from what is sent and cut, through sums and products, past no step that reads all bits.
func TestWanted(t *testing.T) {
	step := func(op plan.StepOp, dst int, src []int, args ...int64) plan.Step {
		return plan.Step{Op: op, Dst: dst, Src: src, Args: args}
	}
	p := &plan.Plan{Manifest: plan.Manifest{Parties: []string{"a", "b"}}, Items: []plan.Item{{Bits: 37}},
		Programs: []plan.Program{{Slots: make([]plan.Slot, 16),
			Offline: []plan.Round{{Steps: []plan.Step{
				step(plan.StepPRG, 0, nil, 0),
				step(plan.StepMatMul, 1, []int{0, 2}, 1, 1, 1, 1, 0, 0), // read by a sum that is cut and by one that is sent
				step(plan.StepDeal, 13, []int{12}, 0),
			}}},
			Online: []plan.Round{{
				Steps: []plan.Step{
					step(plan.StepSub, 3, []int{1, 4}),
					step(plan.StepDrop, 5, []int{3}, 40, 16, 0),
					step(plan.StepAdd, 6, []int{1, 7}),
					step(plan.StepConv, 8, []int{0, 9}),
					step(plan.StepBits, 10, []int{8}, 3, 5),
					step(plan.StepB2A, 11, []int{14, 15}, 1), // nothing reads the result: all bits of its sources count nevertheless
				},
				Opens: []plan.Open{{From: []int{0, 1}, To: []int{0, 1}, Src: 6, Dst: 14, Bits: 44}, {From: []int{1}, To: []int{1}, Src: 15, Dst: 15, Bits: 7}},
			}},
		}}}
	e := &Engine{plan: p, prog: &p.Programs[0]}
	want := []int{44, 44, 44, 40, 40, 0, 44, 44, 8, 8, 0, 0, 37, 0, 64, 64}
	if got := e.wantedBits(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
