package passes

import (
	"math"

	"smpcc/ir"
)

// A smoothness says what the proof of an approximation needs to know of a function f: its slope, and bounds of the magnitudes of its first two derivatives
// over lo..hi.
type smoothness struct {
	f, slope    func(x float64) float64
	most, bend  func(lo, hi float64) float64
	octaves     bool // cells are parts of octaves of arguments of one sign
	steep       bool // slopes differ so much that they are bounded cell by cell
	down        bool // f falls
	monotone    bool
	least, over float64 // of functions that are not monotone: f lies in least..over; if over is infinite, f falls up to some point and rises from there
}

// always is a bound that holds everywhere.
func always(x float64) func(lo, hi float64) float64 { return func(_, _ float64) float64 { return x } }

// atEnds is the bound of a derivative whose magnitude is monotone on each side of zero.
func atEnds(d func(x float64) float64) func(lo, hi float64) float64 {
	return func(lo, hi float64) float64 { return max(math.Abs(d(lo)), math.Abs(d(hi))) }
}

// fading is a bound of a second derivative: most anywhere, and far of the distance from zero where that is at least 2, which falls from there on.
func fading(most float64, far func(x float64) float64) func(lo, hi float64) float64 {
	return func(lo, hi float64) float64 {
		if x := max(lo, -hi); x >= 2 {
			return min(most, far(x))
		}
		return most
	}
}

func normal(x float64) float64 { return math.Exp(-x*x/2) / math.Sqrt(2*math.Pi) }

// smoothnesses are those of the functions whose approximation is proved. Bounds of derivatives are rounded up; TestSmoothness looks at them.
var smoothnesses = map[ir.Op]smoothness{
	ir.OpSigmoid:  {slope: func(x float64) float64 { s := sigmoidAt(x); return s * (1 - s) }, most: always(0.25), bend: fading(0.0963, func(x float64) float64 { return math.Exp(-x) }), monotone: true},
	ir.OpTanh:     {slope: func(x float64) float64 { t := math.Tanh(x); return 1 - t*t }, most: always(1), bend: fading(0.77, func(x float64) float64 { return 8 * math.Exp(-2*x) }), monotone: true},
	ir.OpErf:      {slope: func(x float64) float64 { return 2 / math.Sqrt(math.Pi) * math.Exp(-x*x) }, most: always(1.13), bend: fading(0.97, func(x float64) float64 { return 2.26 * x * math.Exp(-x*x) }), monotone: true},
	ir.OpSoftplus: {slope: sigmoidAt, most: always(1), bend: fading(0.25, func(x float64) float64 { return math.Exp(-x) }), monotone: true},
	ir.OpElu: {slope: func(x float64) float64 { return math.Exp(min(x, 0)) }, most: always(1), bend: func(lo, hi float64) float64 {
		if lo > 0 {
			return 0
		}
		return math.Exp(min(hi, 0))
	}, monotone: true},
	ir.OpGelu: {slope: func(x float64) float64 { return math.Erfc(-x/math.Sqrt2)/2 + x*normal(x) }, most: always(1.13), bend: fading(0.8, func(x float64) float64 { return (2 + x*x) * normal(x) }),
		least: -0.17, over: math.Inf(1)},
	ir.OpSilu: {slope: func(x float64) float64 { s := sigmoidAt(x); return s + x*s*(1-s) }, most: always(1.1), bend: fading(0.5, func(x float64) float64 { return (2 + x) * math.Exp(-x) }), least: -0.2785, over: math.Inf(1)},
	ir.OpGeluTanh: {slope: func(x float64) float64 {
		const c = 0.7978845608028654 // sqrt(2/pi)
		t := math.Tanh(c * (x + 0.044715*x*x*x))
		return (1+t)/2 + x/2*(1-t*t)*c*(1+3*0.044715*x*x)
	}, most: always(1.13), bend: fading(0.81, func(x float64) float64 {
		const c = 0.7978845608028654
		u, d, e := c*(x+0.044715*x*x*x), c*(1+3*0.044715*x*x), c*6*0.044715*x
		return 4 * math.Exp(-2*u) * (d + x*(d*d+e/2))
	}), least: -0.1701, over: math.Inf(1)},
	ir.OpMish: {slope: func(x float64) float64 {
		t := math.Tanh(ir.Smooth[ir.OpSoftplus](x))
		return t + x*(1-t*t)*sigmoidAt(x)
	}, most: always(1.09), bend: fading(0.65, func(x float64) float64 { return (8 + 12*x) * math.Exp(-x) }), least: -0.3089, over: math.Inf(1)},
	ir.OpSin:   {slope: math.Cos, most: always(1), bend: always(1), least: -1, over: 1},
	ir.OpCos:   {slope: func(x float64) float64 { return -math.Sin(x) }, most: always(1), bend: always(1), least: -1, over: 1},
	ir.OpExp:   {slope: math.Exp, most: atEnds(math.Exp), bend: atEnds(math.Exp), steep: true, monotone: true},
	ir.OpRecip: {slope: func(x float64) float64 { return -1 / (x * x) }, most: atEnds(func(x float64) float64 { return 1 / (x * x) }), bend: atEnds(func(x float64) float64 { return 2 / (x * x * x) }), octaves: true, steep: true, monotone: true, down: true},
	ir.OpRsqrt: {slope: func(x float64) float64 { return -0.5 / (x * math.Sqrt(x)) }, most: atEnds(func(x float64) float64 { return 0.5 / (x * math.Sqrt(x)) }), bend: atEnds(func(x float64) float64 { return 0.75 / (x * x * math.Sqrt(x)) }), octaves: true, steep: true, monotone: true, down: true},
	ir.OpSqrt:  {slope: func(x float64) float64 { return 0.5 / math.Sqrt(x) }, most: atEnds(func(x float64) float64 { return 0.5 / math.Sqrt(x) }), bend: atEnds(func(x float64) float64 { return 0.25 / (x * math.Sqrt(x)) }), octaves: true, steep: true, monotone: true},
	ir.OpLog:   {slope: func(x float64) float64 { return 1 / x }, most: atEnds(func(x float64) float64 { return 1 / x }), bend: atEnds(func(x float64) float64 { return 1 / (x * x) }), octaves: true, steep: true, monotone: true},
}

func sigmoidAt(x float64) float64 { return ir.Smooth[ir.OpSigmoid](x) }

// floatSlack is what float64 arithmetic, with which functions are computed here, may be off by for the size of the result.
const floatSlack = 1e-11

// image encloses f over lo..hi.
func (s smoothness) image(lo, hi float64) (float64, float64) {
	a, b := s.f(lo), s.f(hi)
	if s.down {
		a, b = b, a
	}
	if !s.monotone {
		mid, r := lo/2+hi/2, (hi-lo)/2*(1+1e-12)
		y, off, top := s.f(mid), s.most(lo, hi)*r, s.over
		if math.IsInf(top, 0) { // one valley
			top = max(a, b)
		}
		a, b = max(y-off, s.least), min(y+off, top)
	}
	slack := 0.0 // of sums that cancel
	if !s.monotone {
		slack = floatSlack * 1e-3
	}
	return a - floatSlack*math.Abs(a) - slack, b + floatSlack*math.Abs(b) + slack
}

// times returns the smoothness of c*f, for f that is 1/x.
func (s smoothness) times(c float64) smoothness {
	out := s
	size := math.Abs(c)
	out.f = func(x float64) float64 { return c / x }
	out.slope = func(x float64) float64 { return c * s.slope(x) }
	out.most = func(lo, hi float64) float64 { return size * s.most(lo, hi) }
	out.bend = func(lo, hi float64) float64 { return size * s.bend(lo, hi) }
	out.down = c > 0
	return out
}
