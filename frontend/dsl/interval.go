package dsl

import (
	"fmt"
	"math"

	"smpcc/ir"
)

// An interval holds the numbers that a value may be, as far as the program alone says it.
type interval struct{ lo, hi float64 }

// String renders the interval.
func (r interval) String() string {
	if r == anything {
		return "no declared range"
	}
	return fmt.Sprintf("%g..%g", r.lo, r.hi)
}

var anything = interval{math.Inf(-1), math.Inf(1)}

// known bounds a value by declared ranges and by what the operations between do: the rules of the IR's rows, and those of composite ops here.
func (c *checker) known(v *ir.Value) interval {
	if r, ok := c.facts[v]; ok {
		return r
	}
	if c.facts == nil {
		c.facts = map[*ir.Value]interval{}
	}
	r := c.bounded(v)
	if math.IsNaN(r.lo) || math.IsNaN(r.hi) {
		r = anything
	}
	c.facts[v] = r
	return r
}

func (c *checker) bounded(v *ir.Value) interval {
	at := func(i int) interval { return c.known(v.Args[i]) }
	switch v.Op {
	case ir.OpInput, ir.OpWeight:
		if v.Type.Elem == ir.Bool {
			return interval{0, 1}
		}
		if v.Attrs.Has("lo") && v.Attrs.Has("hi") {
			return interval{v.Attrs.Float("lo", 0), v.Attrs.Float("hi", 0)}
		}
		return anything
	case ir.OpConst:
		t := v.Attrs.Tensor("data")
		r := interval{math.Inf(1), math.Inf(-1)}
		for i := range t.Len() {
			r.lo, r.hi = min(r.lo, t.At(i)), max(r.hi, t.At(i))
		}
		return r
	case ir.OpMin:
		return interval{min(at(0).lo, at(1).lo), min(at(0).hi, at(1).hi)}
	case ir.OpReduceMax, ir.OpReduceMean:
		return at(0)
	case ir.OpAbs:
		a := at(0)
		if a.lo <= 0 && a.hi >= 0 {
			return interval{0, max(-a.lo, a.hi)}
		}
		return interval{min(math.Abs(a.lo), math.Abs(a.hi)), max(math.Abs(a.lo), math.Abs(a.hi))}
	case ir.OpClip:
		lo, hi := v.Attrs.Float("lo", math.Inf(-1)), v.Attrs.Float("hi", math.Inf(1))
		return interval{min(max(at(0).lo, lo), hi), min(max(at(0).hi, lo), hi)}
	case ir.OpArgMax:
		s := v.Args[0].Type.Shape
		axis := v.Attrs.Int("axis", 0)
		if axis < 0 {
			axis += len(s)
		}
		return interval{0, float64(s[axis] - 1)}
	case ir.OpIntMod:
		return remainder(at(0), at(1))
	case ir.OpIntDiv:
		if y := at(1); y.lo > 0 {
			x := at(0)
			q := func(x, y float64) float64 { return math.Trunc(x / y) }
			return interval{min(q(x.lo, y.lo), q(x.lo, y.hi)), max(q(x.hi, y.lo), q(x.hi, y.hi))}
		}
		return anything
	case ir.OpWrap:
		lo, hi := (numeral{bits: v.Attrs.Int("bits", 0), signed: v.Attrs.Int("signed", 0) != 0}).span()
		return interval{float64(lo), float64(hi)}
	}
	if v.Type.Elem == ir.Bool {
		return interval{0, 1}
	}
	if rule := ir.Rows[v.Op].Range; rule != nil {
		r := rule(v, ir.Operands{Range: func(a *ir.Value) ir.Range {
			b := c.known(a)
			return ir.Range{Lo: b.lo, Hi: b.hi, Origin: ir.Proved}
		}, Data: func(a *ir.Value) *ir.Tensor {
			if a.Op == ir.OpConst {
				return a.Attrs.Tensor("data")
			}
			return nil
		}})
		return interval{r.Lo, r.Hi}
	}
	return anything
}

// remainder bounds x mod y, which has the sign of x.
func remainder(x, y interval) interval {
	most := max(math.Abs(y.lo), math.Abs(y.hi)) - 1
	r := interval{max(-most, min(x.lo, 0)), min(most, max(x.hi, 0))}
	return r
}
