package passes

import (
	"math"

	"smpcc/ir"
)

// mostWaveBits is how many fraction bits a sum of waves has at most.
const mostWaveBits = 24

// turnBits is how many fraction bits of a turn sine and cosine are computed from at least, besides those that x loses by its size.
const turnBits = 16

// wave computes sine or cosine of any argument: x / (2 pi) counts turns, of which only what is below one matters, and the opening of a wave reads no
// more. What lies above needs no comparison: a mask modulo a turn hides an angle modulo a turn. Error: 2^-turnBits turns, or less where values have more fraction bits, and |x| times what 1/(2 pi)
// is rounded by.
func (a *approximation) wave(x *ir.Value, sine bool) *ir.Value {
	iv := a.known(x)
	bits := max(turnBits, a.frac)
	frac := min(max(binade(max(-iv.lo, iv.hi)), 0)+bits, mostFraction)
	turns := a.mul(x, a.exact(frac, ir.Shape{}, 1/(2*math.Pi)))
	turns = a.within(turns, bits, -1, 1) // modulo a turn
	rows := ir.Reals(ir.Shape{1, 3}, 1, 1, 0)
	if sine {
		rows = ir.Reals(ir.Shape{1, 3}, 1, 0, 1)
	}
	bits, out := quietWaves(rows, min(a.frac, mostWaveBits), a.frac)
	y := a.E(ir.OpWave, ir.Attrs{ir.T("data", rows), ir.I("period", 0), ir.I("frac", int64(bits))}, turns)
	return a.settled(y, out, -1, 1)
}
