package ir

import (
	"math"

	"smpcc/ir/policy"
)

// Done is what has been done to data, as rules of policies speak of it.
type Done = policy.Done

// progress is Done with what is needed to go on.
type progress struct {
	Done
	rows  perRow
	group grouping
}

// Trace returns for each value of f that derives from src what has been done to src's data on every way to it. It is
// conservative: an operation it does not know does nothing. Rows are the first dimension of the source; rowRules says which operations keep
// them apart, groups.go what a group of rows is.
func Trace(f *Func, src *Value) map[*Value]Done {
	at := map[*Value]progress{}
	out := map[*Value]Done{}
	names := map[*Value]string{}
	for _, v := range f.Body {
		var p progress
		switch {
		case v == src:
			p = progress{rows: perRow{axis: -1, degree: 1}}
			if len(v.Type.Shape) > 0 {
				p.rows.axis = 0
			}
		case len(v.Args) == 0:
			continue
		default:
			ok := false
			p, ok = advance(v, at, names)
			if !ok {
				continue
			}
		}
		at[v] = p
		out[v] = p.Done
	}
	return out
}

// advance returns the progress at v from that at its arguments; ok is false if none of them derives from the source. names are as in definition.
func advance(v *Value, at map[*Value]progress, names map[*Value]string) (p progress, ok bool) {
	for _, a := range v.Args {
		x, derives := at[a]
		switch {
		case !derives:
		case !ok:
			p.Done, ok = x.Done, true
		default:
			p.Done = p.Both(x.Done)
		}
	}
	if !ok {
		return p, false
	}
	summed := 0
	p.rows, summed = rowsOf(v, at)
	p.Rows = max(p.Rows, summed)
	p.group = groupsOf(v, at, p.rows, names)
	if p.group.stage == shown {
		p.Done.Groups, p.Done.Of, p.Done.Partition = p.group.least, p.group.of, p.group.partition
		p.group = grouping{}
	}
	p.ArgMax = p.ArgMax || v.Op == OpArgMax
	p.Bit = p.Bit || compares[v.Op]
	p.Step = stepOf(v, at)
	return p, true
}

// compares are the operations whose result is one bit for each element.
var compares = map[Op]bool{OpLt: true, OpLe: true, OpGt: true, OpGe: true, OpEq: true, OpNe: true, OpLtz: true, OpEqz: true}

// stepOf returns s if every element of v is a multiple of s, up to one public number for all tables; 0 if no such s is known.
func stepOf(v *Value, at map[*Value]progress) float64 {
	if v.Op == OpFloor || v.Type.Elem == Int || v.Type.Elem == Bool {
		return 1
	}
	x, factor := 0.0, 1.0 // of what derives from the source, and of what does not
	for i, a := range v.Args {
		p, derives := at[a]
		switch {
		case derives && x != 0 && p.Step != x:
			return 0
		case derives:
			if x = p.Step; x == 0 && a.Type.Elem != Real {
				x = 1
			}
			if x == 0 {
				return 0
			}
		case v.Op == OpMul || v.Op == OpDiv && i == 1:
			k := knownTensor(a)
			if k == nil || k.Len() == 0 {
				return 0
			}
			factor = math.Inf(1)
			for j := range k.Len() {
				if f := math.Abs(k.At(j)); v.Op == OpMul && f > 0 {
					factor = min(factor, f)
				} else if f > 0 {
					factor = min(factor, 1/f)
				}
			}
		case v.Op == OpDiv:
			return 0
		}
	}
	switch v.Op {
	case OpMul, OpDiv:
		if len(v.Args) == 2 && at[v.Args[0]].Step > 0 && at[v.Args[1]].Step > 0 || math.IsInf(factor, 1) {
			return 0
		}
		return float64(x * factor)
	case OpCast, OpNeg, OpReveal, OpReshape, OpTranspose, OpSlice, OpGather, OpExpand, OpReduceSum, OpReduceMax:
		return x
	}
	return 0
}

// Choices bounds the information that values hold together of the sources where all of it goes through arg-maxes and comparisons: the sum, over
// the last of them on the ways, of the bits of their results. One on the ways to several values counts once.
func Choices(values, sources []*Value) int {
	derives := map[*Value]bool{}
	for _, s := range sources {
		derives[s] = true
	}
	var from func(x *Value) bool
	from = func(x *Value) bool {
		d, seen := derives[x]
		if !seen {
			derives[x] = false
			for _, a := range x.Args {
				if from(a) {
					derives[x] = true
				}
			}
			d = derives[x]
		}
		return d
	}
	bits, seen := 0, map[*Value]bool{}
	var walk func(x *Value)
	walk = func(x *Value) {
		if seen[x] || !from(x) {
			return
		}
		seen[x] = true
		if compares[x.Op] {
			bits += x.Type.Shape.Size()
			return
		}
		if x.Op == OpArgMax {
			n := x.Args[0].Type.Shape.Size() / max(1, x.Type.Shape.Size())
			each := 0
			for 1<<each < n {
				each++
			}
			bits += each * x.Type.Shape.Size()
			return
		}
		for _, a := range x.Args {
			walk(a)
		}
	}
	for _, v := range values {
		walk(v)
	}
	return bits
}
