package passes

import (
	"fmt"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Domains of functions. 1/x, log x and 1/sqrt(x) have no value at zero or below; fixed point would give some number. Where a proved range holds such
// arguments, and its ends are reached and no artefact of bounds, the module is refused. Where a bound may be wider than what is reached, the runs on drawn
// inputs decide, which refuse a result that is no number.

// domain refuses arguments for which v has no value, and exponentials that no ring holds. args stand for those of v.
func domain(v *ir.Value, args []*ir.Value, known func(*ir.Value) interval, opt *Options) error {
	refuse := func(what, hint string, iv interval) error {
		return diag.Errorf(v.Pos, "%s at %g..%g: %s", v.Op, iv.lo, iv.hi, what).WithHint("%s", hint).Refusing(diag.OutsideFormats)
	}
	switch v.Op {
	case ir.OpExp:
		if iv := known(args[0]); iv.hi > expCeiling && !opt.wide {
			return refuse(fmt.Sprintf("exp of up to %g fits a ring of 64 bits", expCeiling), "subtract the maximum first, Clip the argument, or declare a narrower input range (--range NAME=LO..HI)", iv)
		}
	case ir.OpRecip, ir.OpRsqrt, ir.OpLog, ir.OpDiv:
		i := len(args) - 1
		x := args[i]
		for x.Op == ir.OpFormat || ir.Rows[x.Op].View && len(x.Args) == 1 {
			x = x.Args[0]
		}
		iv := known(x)
		zero := iv.lo <= 0 && iv.hi >= 0
		below := iv.lo < 0 && (v.Op == ir.OpRsqrt || v.Op == ir.OpLog)
		switch {
		case !zero && !below || x.Type.Vis.IsPublic() || iv.from != ir.Proved && x.Op != ir.OpInput:
		case x.Op == ir.OpInput:
			return refuse("the range of its argument holds numbers for which it has no value", "declare a range without them (--range NAME=LO..HI), add a small number, or Clip the argument", iv)
		case reached(v.Args[i]) && !(v.Op == ir.OpRsqrt && norm(v.Args[i])):
			return refuse("its argument may be a number for which it has no value", "declare input ranges that exclude it (--range NAME=LO..HI), add a small number, or Clip the argument", iv)
		}
	}
	return nil
}

// norm reports whether v is a sum of squares, or a product of two. It is zero only where what it normalises is zero too: 0/0, which is left to the runs.
func norm(v *ir.Value) bool {
	t := follow(v)
	t.least()
	if t.v.Op == ir.OpReduceSum {
		return squared(t.v.Args[0]) != nil
	}
	return squared(t.v) != nil || t.v.Op == ir.OpMul && norm(t.v.Args[0]) && norm(t.v.Args[1])
}

// reached reports whether the ends of v's range, as computed from those of inputs, are reached by some inputs, and all between them: each element of an
// input enters an element of v once, and what is computed on the way rises or falls with it.
func reached(v *ir.Value) bool {
	seen := map[*ir.Value]bool{}
	var walk func(v *ir.Value) (ok, mixed bool) // mixed: its elements depend on each other
	walk = func(v *ir.Value) (ok, mixed bool) {
		if v.Type.Vis.IsPublic() { // different numbers would move the ranges of elements apart
			_, ok := uniform(plain(v))
			return ok, false
		}
		if seen[v] {
			return false, false
		}
		seen[v] = true
		switch v.Op {
		case ir.OpInput:
			return v.Attrs.Has("lo") && !v.Attrs.Has("bounds"), false
		case ir.OpMul: // a square reaches what its root does
			if v.Args[0] == v.Args[1] {
				return walk(v.Args[0])
			}
		case ir.OpAdd, ir.OpSub, ir.OpNeg, ir.OpRelu, ir.OpMax, ir.OpReduceSum, ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpFormat:
		case ir.OpMatMul, ir.OpExpand:
		default:
			return false, false
		}
		if v.Op == ir.OpFormat && (v.Attrs.Has("lo") || v.Attrs.Has("hi")) { // stated, for what it is an argument of
			return false, false
		}
		for _, a := range v.Args {
			ok, m := walk(a)
			if !ok || m && (v.Op == ir.OpReduceSum || v.Op == ir.OpMatMul) {
				return false, false
			}
			mixed = mixed || m
		}
		return true, mixed || v.Op == ir.OpMatMul || v.Op == ir.OpExpand
	}
	ok, _ := walk(v)
	return ok
}
