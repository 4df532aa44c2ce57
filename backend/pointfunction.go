package backend

import (
	"smpcc/backend/plan"
	"smpcc/ir"
)

// byDPF reports whether a comparison was given to distributed point functions; see Select.
func byDPF(v *ir.Value) bool { return v.Attrs.Str("by") == protocolDPF }

// pointFunction computes XOR shares of [m < r] or [m = r] on the lowest bits of a masked wire with a key per element: once m is
// public no message is needed. The dealer sends the correction words to both parties, which are the same at both; the roots come
// from the parties' streams. The key of a mask belongs to that mask, so one serves every comparison of the wire.
func (l *lowerer) pointFunction(v *ir.Value, w *wire, kind, bits, n int) []int {
	result := int64(plan.DPFLess)
	if kind == plan.KindEq {
		result = plan.DPFEqual
	}
	keys := l.once(memoKey{"keys of " + string(v.Op), v.Args[0], bits}, func() []int { // roots, then correction words, by party
		roots := l.item(plan.Item{Scope: plan.Session, Mode: plan.Xor, Len: 2 * n, Bits: 64, What: "roots of comparison keys"})
		var out []int
		for i := range l.parties {
			out = append(out, l.step(i, atOffline, 2*n, plan.Step{Op: plan.StepPRG, Args: []int64{int64(roots)}}))
		}
		size := n * plan.DPFWords(bits)
		value := l.step(l.dealer, atOffline, size, plan.Step{Op: plan.StepDPFKey, Src: []int{w.k}, Args: []int64{int64(roots), int64(bits), result}})
		item := l.item(plan.Item{Scope: plan.Session, Mode: plan.Common, Dealt: true, Len: size, Bits: 64, What: "correction words of comparison keys"})
		return append(out, l.open(plan.Open{Mode: plan.Common, Len: size, Bits: 64, From: []int{l.dealer}, To: l.everyone(), Item: item + 1, Kind: plan.Keys}, map[int]int{l.dealer: value})[:l.parties]...)
	})
	out := make([]int, l.parties)
	for i := range l.parties {
		out[i] = l.op(i, plan.StepDPF, n, []int64{int64(bits), result, first(i)}, w.m[i], keys[i], keys[l.parties+i])
	}
	return out
}
