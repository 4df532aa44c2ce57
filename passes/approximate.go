package passes

import (
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A knot is a corner of a piecewise linear function: x in units of 1/64, y in units of 2^-16. Integers, so that every
// machine compiles the same bytes.
type knot struct{ x, y int64 }

const (
	knotX = 64
	knotY = 1 << 16
)

// sigmoidKnots is the right half of a continuous piecewise linear function within 4.1e-4 of 1/(1+exp(-x)) everywhere; the left
// half is f(-x) = 1 - f(x), and beyond the last knot it is 1. Corners lie above the curve and chords below it by the same
// amount, which halves the error of interpolation.
var sigmoidKnots = []knot{
	{0, 32768}, {27, 39605}, {47, 44313}, {64, 47936}, {80, 50967}, {96, 53606}, {112, 55859}, {129, 57856}, {147, 59573},
	{167, 61070}, {190, 62360}, {217, 63426}, {250, 64269}, {293, 64895}, {357, 65315}, {488, 65530}, {501, 65536},
}

// piecewise returns thresholds t and slope changes s with f(x) = y0 + sum_i s_i * max(x - t_i, 0), all multiples of
// 2^-fracBits except thresholds, so that quantising adds nothing. Slopes follow the knots without accumulating rounding,
// and the changes sum to zero, so that the function is constant beyond the last knot: clamped, never wrapped.
func piecewise(half []knot, fracBits int) (t, s []float64, y0 float64) {
	full := make([]knot, 0, 2*len(half)-1)
	for i := len(half) - 1; i > 0; i-- {
		full = append(full, knot{-half[i].x, knotY - half[i].y})
	}
	full = append(full, half...)
	unit := math.Ldexp(1, -fracBits)
	y := float64(full[0].y) / knotY
	y0 = y
	before := 0.0
	for i, k := range full {
		slope := 0.0
		if i+1 < len(full) {
			h := float64(full[i+1].x-k.x) / knotX
			slope = math.Round((float64(full[i+1].y)/knotY-y)/h/unit) * unit
			y += float64(slope * h)
		}
		t, s = append(t, float64(k.x)/knotX), append(s, slope-before)
		before = slope
	}
	return t, s, y0
}

// approximate replaces sigmoid by a sum of ReLUs at public thresholds, all in one comparison round.
// Error: 4.1e-4 by the knots and (number of knots) * range * 2^-(f+1) at most by rounding of slopes, of which little remains
// because slopes follow the knots.
func approximate(m *ir.Module, opt *Options) error {
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		if v.Op != ir.OpSigmoid {
			if ir.Smooth[v.Op] != nil {
				return nil, diag.Errorf(v.Pos, "%s has no approximation", v.Op)
			}
			return nf.Emit(v.Pos, v.Op, v.Attrs, args...)
		}
		b := ir.Builder{F: nf, At: v}
		t, s, y0 := piecewise(sigmoidKnots, opt.FracBits)
		x := args[0]
		rows := x.Type.Shape.Size()
		wide := b.E(ir.OpExpand, ir.Attrs{ir.Dims("shape", []int{rows, len(t)})}, b.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{rows, 1})}, x))
		above := b.E(ir.OpRelu, nil, b.E(ir.OpSub, nil, wide, b.Const(ir.Reals(ir.Shape{1, len(t)}, t...))))
		sum := b.E(ir.OpMatMul, nil, above, b.Const(ir.Reals(ir.Shape{len(t), 1}, s...)))
		return b.E(ir.OpAdd, nil, b.E(ir.OpReshape, ir.Attrs{ir.Dims("shape", x.Type.Shape)}, sum), b.Scalar(v, y0)), nil
	})
}
