package passes

import (
	"math"

	"smpcc/ir"
)

func (a *approximation) num(x float64) *ir.Value { return a.Const(ir.Reals(ir.Shape{}, x)) }

// exact is a public number with the given fraction bits.
func (a *approximation) exact(frac int, shape ir.Shape, x ...float64) *ir.Value {
	return a.E(ir.OpFormat, ir.Attrs{ir.I("frac", int64(frac))}, a.Const(ir.Reals(shape, x...)))
}

// keep leaves a value's fraction bits as they are.
const keep = -1

// within states that x lies in lo..hi, and with how many fraction bits it is to be kept; keep leaves them.
func (a *approximation) within(x *ir.Value, frac int, lo, hi float64) *ir.Value {
	var attrs ir.Attrs
	if frac != keep {
		attrs = append(attrs, ir.I("frac", int64(frac)))
	}
	if !math.IsInf(lo, 0) {
		attrs = append(attrs, ir.F("lo", lo))
	}
	if !math.IsInf(hi, 0) {
		attrs = append(attrs, ir.F("hi", hi))
	}
	return a.E(ir.OpFormat, attrs, x)
}

// firm has x rounded to frac fraction bits here, and not behind what comes next.
func (a *approximation) firm(x *ir.Value, frac int) *ir.Value {
	return a.E(ir.OpFormat, ir.Attrs{ir.I("frac", int64(frac)), ir.I("firm", 1)}, x)
}

func (a *approximation) add(x, y *ir.Value) *ir.Value { return a.E(ir.OpAdd, nil, x, y) }
func (a *approximation) sub(x, y *ir.Value) *ir.Value { return a.E(ir.OpSub, nil, x, y) }
func (a *approximation) mul(x, y *ir.Value) *ir.Value { return a.E(ir.OpMul, nil, x, y) }

// column gives each element of x a row of n copies.
func (a *approximation) column(x *ir.Value, n int) *ir.Value {
	rows := x.Type.Shape.Size()
	return a.E(ir.OpExpand, ir.Attrs{ir.Dims("shape", []int{rows, n})}, a.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{rows, 1})}, x))
}

// weigh sums each row of cells, one row per element of x, with public weights.
func (a *approximation) weigh(x, cells *ir.Value, w []float64, frac int) *ir.Value {
	s := a.E(ir.OpMatMul, nil, cells, a.exact(frac, ir.Shape{len(w), 1}, w...))
	return a.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", x.Type.Shape)}, s)
}

// atLeast compares each element of x with public thresholds: a row of bits, as reals without fraction bits.
func (a *approximation) atLeast(x *ir.Value, t []float64) *ir.Value {
	below := a.E(ir.OpLtz, nil, a.sub(a.column(x, len(t)), a.Const(ir.Reals(ir.Shape{1, len(t)}, t...))))
	return a.E(ir.OpCast, ir.Attrs{ir.S("to", "real")}, a.E(ir.OpNot, nil, below))
}

// clip limits x to lo..hi where its range exceeds them: lo + relu(x-lo) - relu(x-hi), one opening and one comparison round. over is
// relu(x-hi), or nil if x does not exceed hi.
func (a *approximation) clip(x *ir.Value, lo, hi float64) (in, over *ir.Value) {
	iv := a.known(x)
	above := func(t float64) *ir.Value { return a.E(ir.OpRelu, nil, a.sub(x, a.num(t))) }
	switch {
	case iv.lo < lo && iv.hi > hi:
		both := a.E(ir.OpRelu, nil, a.sub(a.column(x, 2), a.Const(ir.Reals(ir.Shape{1, 2}, lo, hi))))
		over = a.weigh(x, both, []float64{0, 1}, 0)
		in = a.add(a.weigh(x, both, []float64{1, -1}, 0), a.num(lo))
	case iv.lo < lo:
		in = a.add(above(lo), a.num(lo))
	case iv.hi > hi:
		over = above(hi)
		in = a.sub(x, over)
	default:
		return x, nil
	}
	unit := math.Ldexp(4, -a.frac)
	return a.within(in, keep, max(lo, iv.lo)-unit, min(hi, iv.hi)+unit), over
}
