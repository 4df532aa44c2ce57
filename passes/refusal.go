package passes

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// offContract refuses an output that its tolerance is not kept for, and says what to try.
func (c *check) offContract(v *ir.Value, o Output, frac int, why string) error {
	name := fmt.Sprintf("output %q ", o.Name)
	if v.Pos.Node != "" { // the position says so
		name = ""
	}
	if own := math.Ldexp(1, -o.Frac); c.opt.RevealBits > 0 && o.Of == 0 && own > mostUsed*(o.Atol+o.Rtol) {
		return diag.Errorf(v.Pos, "%swould not keep its tolerance of %g + %g*|exact|: it is revealed with %d fraction bits, whose unit is %.3g", name, o.Atol, o.Rtol, o.Frac, own).
			WithHint("reveal more bits (--reveal-bits N, or leave it out), or ask for less (--atol, --rtol)").Refusing(diag.OutsideFormats)
	}
	return diag.Errorf(v.Pos, "%swould not keep its tolerance of %g + %g*|exact| with %d fraction bits: %s", name, o.Atol, o.Rtol, frac, why).
		WithHint("%s, or ask for less (%s)", strings.Join(c.advice(), ", "), o.less()).Refusing(diag.OutsideFormats)
}

// less says which tolerance would be kept, as far as the runs tell.
func (o *Output) less() string {
	const spare = 4 // half of it is left, and a search finds more than runs
	if o.wrong || o.Of > 0 || !(o.Used > 0) || math.IsInf(o.Used, 0) {
		return "--atol, --rtol"
	}
	need := spare * o.Used * o.Atol
	unit := math.Pow(10, math.Floor(math.Log10(need)))
	if need <= 0 || math.IsInf(need, 0) {
		return "--atol, --rtol"
	}
	return fmt.Sprintf("--atol %.3g, --rtol", math.Ceil(need/unit)*unit)
}

// advice lists what to try where a tolerance is not kept. Narrower ranges do not help where something is divided by what comes near zero in any of them, or its
// root is taken; sums and products alone are exact in whole numbers.
func (c *check) advice() (out []string) {
	near := c.nearZero()
	if near != nil {
		what := "what is divided by"
		if near.Op == ir.OpSqrt || near.Op == ir.OpLog {
			what = fmt.Sprintf("the argument of the %s", map[ir.Op]string{ir.OpSqrt: "root", ir.OpLog: "logarithm"}[near.Op])
		}
		out = append(out, fmt.Sprintf("add a small number to %s at %s, so that it does not come near 0", what, placed(near)))
	}
	ranges := "declare narrower input ranges (--range NAME=LO..HI, by column for a table)"
	if near != nil {
		ranges = "declare input ranges in which it does not (--range NAME=LO..HI)"
	}
	out = append(out, ranges)
	switch {
	case c.samples || near != nil:
	case c.polynomial():
		out = append(out, "compute in whole numbers of the smallest unit, which are exact up to 2^61")
	default:
		out = append(out, "give sample inputs (--calibrate FILE)")
	}
	return out
}

// nearZero returns the first value that is divided by something, or is a root or a logarithm of something, that may come near zero as far as declared ranges tell.
func (c *check) nearZero() (near *ir.Value) {
	away := map[*ir.Value]bool{} // at least 1/16
	for _, v := range c.graph.Main().Body {
		const least = 1.0 / 16
		switch v.Op {
		case ir.OpInput:
			lo, hi := inputRange(v, nil)
			away[v] = !v.Attrs.Has("columns") && (lo >= least || hi <= -least)
		case ir.OpConst:
			away[v] = true
			for i := range v.Attrs.Tensor("data").Len() {
				away[v] = away[v] && math.Abs(v.Attrs.Tensor("data").At(i)) >= least
			}
		case ir.OpWeight:
			away[v] = true // its owner knows
		case ir.OpDiv:
			if near == nil && !away[v.Args[1]] {
				near = v
			}
		case ir.OpRecip, ir.OpRsqrt, ir.OpSqrt, ir.OpLog:
			if near == nil && !away[v.Args[0]] {
				near = v
			}
			away[v] = away[v.Args[0]] && v.Op != ir.OpLog
		case ir.OpClip:
			away[v] = v.Attrs.Float("lo", 0) >= least || away[v.Args[0]]
		case ir.OpMax:
			away[v] = away[v.Args[0]] && away[v.Args[1]]
		case ir.OpAbs, ir.OpNeg, ir.OpExp, ir.OpCast:
			away[v] = away[v.Args[0]] && v.Op != ir.OpExp
		default:
			away[v] = ir.Rows[v.Op].View && away[v.Args[0]]
		}
	}
	return near
}

// polynomial reports whether the graph has sums and products alone.
func (c *check) polynomial() bool {
	for _, v := range c.graph.Main().Body {
		switch {
		case ir.Rows[v.Op].View, len(v.Args) == 0:
		case v.Op == ir.OpAdd, v.Op == ir.OpSub, v.Op == ir.OpNeg, v.Op == ir.OpMul, v.Op == ir.OpMatMul, v.Op == ir.OpReduceSum, v.Op == ir.OpReduceMean, v.Op == ir.OpCast, v.Op == ir.OpReveal:
		default:
			return false
		}
	}
	return true
}

// overflow says of a run that has failed which value lost its digits, for which inputs.
func overflow(err error, in map[string]*ir.Tensor) string {
	b := (*ir.Beyond)(nil)
	if !errors.As(err, &b) {
		return err.Error()
	}
	return fmt.Sprintf("at %s a value becomes %.3g that is bounded by %.3g, so that what it is computed from has lost its digits, for inputs of up to %s", placed(b.At), b.X, math.Abs(b.Holds), largestOf(in))
}

// placed names the place of a value within its source.
func placed(v *ir.Value) string {
	switch {
	case v.Pos.Node != "":
		return v.Pos.Node
	case v.Pos.Line > 0:
		return fmt.Sprintf("line %d", v.Pos.Line)
	}
	return string(v.Op)
}

// mostNamed is how many inputs a message names.
const mostNamed = 4

// largestOf names inputs with the largest magnitude that they have.
func largestOf(in map[string]*ir.Tensor) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(in)) {
		out = append(out, fmt.Sprintf("%.3g (%s)", magnitude(in[name]), name))
	}
	if n := len(out); n > mostNamed {
		out = append(out[:mostNamed], fmt.Sprintf("%d more", n-mostNamed))
	}
	return strings.Join(out, ", ")
}
