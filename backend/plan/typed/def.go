package typed

import (
	"fmt"

	"smpcc/backend/plan"
)

// Fn numbers a function of masks.
type Fn uint8

// The functions of masks. r is the mask of the opened value Of, s that of By.
const (
	fnBit         Fn = iota // r of an opened bit, as a number
	fnReading               // r - 2^bits top(r) for t = 0 and r for t = 1: the number that a wire's mask is, by whether it wraps
	fnTop                   // top bit of r
	fnOneHot                // one-hots of chunks of the lowest bits of r
	fnMonomials             // products of the bits of r
	fnPair                  // the product of two bits r and s
	fnSelect                // r of an opened bit times a reading of s
	fnMasked                // r of an opened bit times s
	fnReadings              // a reading of r times a reading of s
	fnProduct               // the bilinear map of the step By, of r and the mask of its other operand
	fnWave                  // a cos(k r) + b sin(k r)
	fnDecay                 // gain exp(-rate r), for both readings of r
	fnCompareKeys           // keys of distributed point functions for r
	fnReluKeys              // keys of comparison functions that carry values, for r
	fnTopHot                // one-hot of the top bits of r
	fnTogether              // products of groups of adjacent elements of the bits r
	fnEnd                   // behind the last
)

// A Def is material as a function of masks of opened values. Equal definitions are one item.
type Def struct {
	Fn     Fn
	Of, By int // opened values, or the step of a product
	Len    int
	Bits   int
	Args   [5]int64
}

// A Function is a row of the table of functions of masks: what it is and how the dealer computes it.
type Function struct {
	What  string    // as the table of items names it; of a reading, with a place for which
	Mode  plan.Mode // how it is shared
	value func(e *emitter, d Def) int
}

// Functions is the table of functions of masks.
var Functions [fnEnd]Function

func init() {
	Functions = [...]Function{
		fnBit: {"mask of bit as a number", plan.Add, func(e *emitter, d Def) int { return e.wires[d.Of].k }},
		fnReading: {"%s mask", plan.Add, func(e *emitter, d Def) int {
			return e.reading(d.Of, int(d.Args[0]))
		}},
		fnTop: {"top bit of mask", plan.Xor, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepBits, d.Len, []int64{int64(e.checked.Types[d.Of].Bits - 1), 1}, e.wires[d.Of].k)
		}},
		fnOneHot: {"one-hot of mask chunks", plan.Xor, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepOneHot, d.Len, d.Args[:], e.wires[d.Of].k)
		}},
		fnMonomials: {"products of comparison masks", plan.Xor, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepMono, d.Len, d.Args[:3], e.wires[d.Of].k)
		}},
		fnPair: {"product of masked bits", plan.Xor, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepMono, d.Len, []int64{2, plan.KindEq, 0}, e.pair(e.Dealer, d.Len, e.wires[d.Of].k, e.wires[d.By].k))
		}},
		fnSelect: {"bit times %s mask", plan.Add, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepMul, d.Len, nil, e.wires[d.Of].k, e.reading(d.By, int(d.Args[0])))
		}},
		fnMasked: {"bit times mask", plan.Add, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepMul, d.Len, nil, e.wires[d.Of].k, e.wires[d.By].k)
		}},
		fnReadings: {"product of wires' masks", plan.Add, func(e *emitter, d Def) int {
			side := func(v int, arg int64) int {
				if arg < 0 { // as wide as the ring: its mask has one reading
					return e.wires[v].k
				}
				return e.reading(v, int(arg))
			}
			return e.Op(e.Dealer, plan.StepMul, d.Len, nil, side(d.Of, d.Args[0]), side(d.By, d.Args[1]))
		}},
		fnProduct: {"product of masks", plan.Add, func(e *emitter, d Def) int {
			s := e.checked.site(d.By)
			return e.bilinear(s, e.Dealer, e.wires[s.Src[0]].k, e.wires[s.Src[1]].k)
		}},
		fnWave: {"wave of mask", plan.Add, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepPhase, d.Len, d.Args[:4], e.wires[d.Of].k)
		}},
		fnDecay: {"exponential of mask", plan.Add, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepDecay, d.Len, d.Args[:4], e.wires[d.Of].k)
		}},
		fnCompareKeys: {"comparison keys", plan.Common, nil},
		fnReluKeys:    {"comparison keys", plan.Common, nil},
		fnTopHot: {"one-hot of mask's top bits", plan.Xor, func(e *emitter, d Def) int {
			top := e.Op(e.Dealer, plan.StepBits, d.Len, []int64{int64(e.checked.Types[d.Of].Bits - plan.ValidTop), plan.ValidTop}, e.wires[d.Of].k)
			return e.Op(e.Dealer, plan.StepOneHot, d.Len, []int64{plan.ValidTop, plan.ValidTop, 0, 1, 0}, top)
		}},
		fnTogether: {"products of bits' masks", plan.Xor, func(e *emitter, d Def) int {
			return e.Op(e.Dealer, plan.StepMono, d.Len, []int64{d.Args[0], plan.KindEq, d.Args[1]}, e.packed(e.Dealer, e.wires[d.Of].k, d.Len, d.Args[0]))
		}},
	}
}

// material returns the parties' shares of an item, which is dealt when it is first asked for. Of keys these are the roots of all parties,
// then the correction words at each of them.
func (e *emitter) material(d Def) []int {
	if s, ok := e.made[d]; ok {
		return s
	}
	var s []int
	switch d.Fn {
	case fnCompareKeys:
		s = e.keys(plan.StepDPFKey, d, plan.DPFWords(int(d.Args[0])))
	case fnReluKeys:
		s = e.keys(plan.StepDCFKey, d, plan.DCFWords(int(d.Args[0]), int(d.Args[1])))
	case fnBit: // of a bit that was spread: as that of the bit
		step := &e.checked.Program.Steps[d.Of]
		if step.Op != OpView && step.Op != OpReshape || e.checked.Types[step.Src[0]].Len > d.Len {
			s = e.deal(d)
			break
		}
		base := d
		base.Of, base.Len = step.Src[0], e.checked.Types[step.Src[0]].Len
		s = make([]int, e.Parties)
		for i, share := range e.material(base) {
			s[i] = e.view(e.checked.site(d.Of), i, share)
		}
	default:
		s = e.deal(d)
	}
	e.made[d] = s
	return s
}

// deal makes an item that is shared as its function says.
func (e *emitter) deal(d Def) []int {
	f := Functions[d.Fn]
	what := f.What
	if d.Fn == fnReading || d.Fn == fnSelect {
		what = fmt.Sprintf(f.What, []string{"wrapped", "unwrapped"}[d.Args[0]])
	}
	return e.Deal(f.Mode, d.Len, d.Bits, f.value(e, d), what)
}

// reading returns the dealer's slot of a reading of the mask of an opened value.
func (e *emitter) reading(v, t int) int {
	if t == 1 {
		return e.wires[v].k
	}
	if e.unwrapped[v] == 0 {
		of := e.checked.Types[v]
		e.unwrapped[v] = e.Op(e.Dealer, plan.StepUnwrap, of.Len, []int64{int64(of.Bits)}, e.wires[v].k) + 1
	}
	return e.unwrapped[v] - 1
}

// pair joins two bits in one word.
func (e *emitter) pair(role, n, a, b int) int {
	return e.Op(role, plan.StepXor, n, nil, a, e.Op(role, plan.StepShl, n, []int64{1}, b))
}

// keys makes keys of the given correction words for a mask by the dealer's step op: roots from the streams of both parties,
// correction words from the dealer to both.
func (e *emitter) keys(op plan.StepOp, d Def, words int) []int {
	roots := e.Item(plan.Item{Scope: plan.Session, Mode: plan.Xor, Len: 2 * d.Len, Bits: 64, What: "roots of comparison keys"})
	var out []int
	for i := range e.Parties {
		out = append(out, e.Step(i, atOffline, 2*d.Len, plan.Step{Op: plan.StepPRG, Args: []int64{int64(roots)}}))
	}
	size := d.Len * words
	value := e.Step(e.Dealer, atOffline, size, plan.Step{Op: op, Src: []int{e.wires[d.Of].k}, Args: []int64{int64(roots), d.Args[0], d.Args[1]}})
	item := e.Item(plan.Item{Scope: plan.Session, Mode: plan.Common, Dealt: true, Len: size, Bits: 64, What: "correction words of comparison keys"})
	open := plan.Open{Mode: plan.Common, Len: size, Bits: 64, From: []int{e.Dealer}, To: e.Everyone(), Item: item + 1, Kind: plan.Keys}
	return append(out, e.Open(open, map[int]int{e.Dealer: value})[:e.Parties]...)
}
