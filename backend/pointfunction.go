package backend

import (
	"smpcc/backend/plan"
	"smpcc/ir"
)

// byDPF reports whether a comparison was given to distributed point functions; see Select.
func byDPF(v *ir.Value) bool { return v.Attrs.Str("by") == protocolDPF }

// keysOf returns the wire whose mask a wire has, and how often each of its elements stands in the wire, one behind the other: public
// thresholds move the public part of a wire and leave its mask.
func keysOf(x *ir.Value) (base *ir.Value, points int) {
	for points = 1; ; {
		times := 0 // the next wire's elements stand in this one
		if len(x.Args) > 0 {
			times = repeats(x.Args[0].Type.Shape, x.Type.Shape)
		}
		switch x.Op {
		case ir.OpReshape:
			times = 1
		case ir.OpExpand:
		case ir.OpAdd, ir.OpSub:
			if !x.Args[1].Type.Vis.IsPublic() || x.Args[0].Type.Vis.IsPublic() || x.Args[0].Type.Bits != x.Type.Bits {
				return x, points
			}
		default:
			return x, points
		}
		if times == 0 {
			return x, points
		}
		x, points = x.Args[0], points*times
	}
}

// repeats returns how often each element of a tensor stands in its broadcast to a shape, one behind the other; 0 if they are not.
func repeats(from, to ir.Shape) int {
	lead := len(to) - len(from)
	n, in := 1, false // in: an axis that is not broadcast has been seen from the right
	for i := len(to) - 1; i >= 0; i-- {
		d := 1
		if i >= lead {
			d = from[i-lead]
		}
		switch {
		case d == to[i]:
			in = in || d != 1
		case in:
			return 0
		default:
			n *= to[i]
		}
	}
	return n
}

// pointFunction computes XOR shares of [m < r] or [m = r] on the lowest bits of a masked wire with a key per element: once m is
// public no message is needed. The dealer sends the correction words to both parties, which are the same at both; the roots come
// from the parties' streams. The key of a mask belongs to that mask, so one serves every comparison of the wire.
func (l *lowerer) pointFunction(v *ir.Value, w *wire, kind, bits, n int) []int {
	result := int64(plan.DPFLess)
	if kind == plan.KindEq {
		result = plan.DPFEqual
	}
	base, points := keysOf(v.Args[0])
	keys := l.keys(memoKey{"keys of " + string(v.Op), base, bits}, plan.StepDPFKey, n/points, plan.DPFWords(bits), int64(bits), result)
	out := make([]int, l.parties)
	for i := range l.parties {
		out[i] = l.op(i, plan.StepDPF, n, []int64{int64(bits), result, int64(points), first(i)}, w.m[i], keys[i], keys[l.parties+i])
	}
	return out
}

// keys makes k keys of the given correction words for a wire's mask by the dealer's step op, and remembers them. It returns roots, then correction
// words, by party.
func (l *lowerer) keys(of memoKey, op plan.StepOp, k, words int, args ...int64) []int {
	return l.once(of, func() []int {
		roots := l.item(plan.Item{Scope: plan.Session, Mode: plan.Xor, Len: 2 * k, Bits: 64, What: "roots of comparison keys"})
		var out []int
		for i := range l.parties {
			out = append(out, l.step(i, atOffline, 2*k, plan.Step{Op: plan.StepPRG, Args: []int64{int64(roots)}}))
		}
		size := k * words
		value := l.step(l.dealer, atOffline, size, plan.Step{Op: op, Src: []int{l.wires[of.of].k}, Args: append([]int64{int64(roots)}, args...)})
		item := l.item(plan.Item{Scope: plan.Session, Mode: plan.Common, Dealt: true, Len: size, Bits: 64, What: "correction words of comparison keys"})
		return append(out, l.open(plan.Open{Mode: plan.Common, Len: size, Bits: 64, From: []int{l.dealer}, To: l.everyone(), Item: item + 1, Kind: plan.Keys}, map[int]int{l.dealer: value})[:l.parties]...)
	})
}

// reluKey computes additive shares of max(x, 0) of a masked wire with keys that carry the values which the choice needs: once m is public no
// message is needed.
func (l *lowerer) reluKey(v *ir.Value) *wire {
	x := v.Args[0]
	w, n, ring := l.wires[x], size(v), v.Type.Bits
	N := x.Type.Bits
	base, points := keysOf(x)
	keys := l.keys(memoKey{"keys of relu", base, ring}, plan.StepDCFKey, n/points, plan.DCFWords(N, ring), int64(N), int64(ring))
	out := &wire{s: make([]int, l.parties)}
	for i := range l.parties {
		out.s[i] = l.op(i, plan.StepDCF, n, []int64{int64(N), int64(ring), int64(points), first(i)}, w.m[i], keys[i], keys[l.parties+i])
	}
	return out
}
