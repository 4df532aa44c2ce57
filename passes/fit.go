package passes

import (
	"math"

	"smpcc/ir"
)

// Fits of real functions, made at compile time. All results are rounded to coarse binary grids, so that every machine
// compiles the same bytes.

// roundTo rounds x to a multiple of 2^-bits.
func roundTo(x float64, bits int) float64 { return math.Ldexp(math.Round(math.Ldexp(x, bits)), -bits) }

// A polyline is a continuous piecewise linear function: f(x) = y0 + sum_i slope_i * max(x - at_i, 0), with no slope left of at_0.
type polyline struct {
	at, slope []float64
	y0        float64
}

// eval returns the polyline's value.
func (p polyline) eval(x float64) float64 {
	y := p.y0
	for i, t := range p.at {
		y += float64(p.slope[i] * max(x-t, 0))
	}
	return y
}

const (
	knotStep      = 1.0 / 64 // knots are multiples of it
	probesPerKnot = 4
	knotProbe     = knotStep / probesPerKnot // where errors are looked at
)

// A line is y = at0 + slope*x.
type line struct{ at0, slope float64 }

// fitLine returns a polyline within eps of f between lo and hi, for an f that runs into the constant left below lo and into
// the given line above hi. From each knot it takes the farthest next one that a straight line inside f +- eps reaches, and
// keeps to the middle of what is possible. Slopes are multiples of 2^-bits and follow the knots, so that their rounding
// does not add up.
func fitLine(f func(float64) float64, lo, hi, left float64, right line, eps float64, bits int) polyline {
	unit := math.Ldexp(1, -bits)
	p := polyline{y0: math.Round(left/unit) * unit}
	x, y, before := lo, p.y0, 0.0
	bend := func(s float64) {
		if s != before {
			p.at, p.slope = append(p.at, x), append(p.slope, s-before)
		}
		before = s
	}
	for x < hi {
		low, high := math.Inf(-1), math.Inf(1) // slopes that have stayed within f +- eps so far
		next := x + knotStep
		s := (f(next) - y) / knotStep
		for i := 1; ; i++ {
			t := x + float64(float64(i)*knotProbe)
			if t > hi {
				break
			}
			v := f(t)
			low, high = max(low, (v-eps-y)/(t-x)), min(high, (v+eps-y)/(t-x))
			if low > high {
				break
			}
			if i%probesPerKnot == 0 {
				next, s = t, (low+high)/2
			}
			if t == hi {
				if to := (right.at0 + float64(right.slope*hi) - y) / (t - x); low <= to && to <= high {
					s = to
				}
			}
		}
		s = math.Round(s/unit) * unit
		bend(s)
		y += float64(s * (next - x))
		x = next
	}
	bend(right.slope)
	return p
}

// fitPoly returns coefficients c with |sum_k c_k t^k - f(t)| least up to a small factor over lo..hi: interpolation at the
// zeros of a Chebyshev polynomial, solved by divided differences. (Trefethen, Approximation Theory and Practice, ch. 3.)
func fitPoly(f func(float64) float64, lo, hi float64, degree, bits int) []float64 {
	n := degree + 1
	x, d := make([]float64, n), make([]float64, n)
	for i := range x {
		x[i] = (lo+hi)/2 + float64((hi-lo)/2*math.Cos(math.Pi*(float64(i)+0.5)/float64(n)))
		d[i] = f(x[i])
	}
	for k := 1; k < n; k++ {
		for i := n - 1; i >= k; i-- {
			d[i] = (d[i] - d[i-1]) / (x[i] - x[i-k])
		}
	}
	c := make([]float64, n) // Newton form to powers
	for k := n - 1; k >= 0; k-- {
		for i := n - 1; i > 0; i-- {
			c[i] = c[i-1] - float64(x[k]*c[i])
		}
		c[0] = d[k] - float64(x[k]*c[0])
	}
	for i := range c {
		c[i] = roundTo(c[i], bits)
	}
	return c
}

// polyError returns the largest error of the polynomial c against f over lo..hi, and the polynomial's own extremes.
func polyError(f func(float64) float64, c []float64, lo, hi float64) (worst, least, most float64) {
	const probes = 512
	for i := range probes + 1 {
		t := lo + float64((hi-lo)*float64(i)/probes)
		y := 0.0
		for k := len(c) - 1; k >= 0; k-- {
			y = float64(y*t) + c[k]
		}
		worst = max(worst, math.Abs(y-f(t)))
		if i == 0 {
			least, most = y, y
		}
		least, most = min(least, y), max(most, y)
	}
	return worst, least, most
}

// fitPolyTo returns the polynomial of least degree within eps of f over lo..hi, of degree 12 at most.
func fitPolyTo(f func(float64) float64, lo, hi, eps float64, bits int) []float64 {
	for degree := 2; ; degree++ {
		c := fitPoly(f, lo, hi, degree, bits)
		if e, _, _ := polyError(f, c, lo, hi); e <= eps || degree == 12 {
			return c
		}
	}
}

// fitChebyshev returns coefficients c with |sum_k c_k T_k(t) - f(t)| <= eps on [-1, 1], by projection at the zeros of a high
// T_n; at most 48. (Trefethen, Approximation Theory and Practice, ch. 3.)
func fitChebyshev(f func(float64) float64, eps float64, bits int) []float64 {
	const nodes, most = 256, 48
	var at, y [nodes]float64
	for j := range at {
		at[j] = math.Pi * (float64(j) + 0.5) / nodes
		y[j] = f(math.Cos(at[j]))
	}
	var c []float64
	rest := y
	for k := range most {
		s := 0.0
		for j := range at {
			s += float64(y[j] * math.Cos(float64(k)*at[j]))
		}
		s *= 2.0 / nodes
		if k == 0 {
			s /= 2
		}
		s = roundTo(s, bits)
		c = append(c, s)
		worst := 0.0
		for j := range at {
			rest[j] -= float64(s * math.Cos(float64(k)*at[j]))
			worst = max(worst, math.Abs(rest[j]))
		}
		if worst <= eps {
			break
		}
	}
	return c
}

// extremes returns the least and largest value of f on [-1, 1].
func extremes(f func(float64) float64) (lo, hi float64) {
	lo, hi = f(-1), f(-1)
	const probes = 512
	for i := range probes + 1 {
		y := f(-1 + 2*float64(i)/probes)
		lo, hi = min(lo, y), max(hi, y)
	}
	return lo, hi
}

// Waves are the rows k, a, b of a sum of a*cos(k*t) + b*sin(k*t), t = 2*pi*x / 2^period, to which mean is added.
type waves struct {
	rows   *ir.Tensor
	period int
	mean   float64
}

// maxWaves is how many waves a function may take: each is two words of material for each element.
const maxWaves = 40

// fitWaves returns waves within eps of f for |x| <= reach, or nil. f is even and runs into a corner |x|*c, or is odd and runs into a
// step. Half a period further on it is continued by its mirror image, which joins it where both are their asymptotes: so it is
// smooth, and only odd waves are other than zero. Coefficients are multiples of 2^-bits.
func fitWaves(f func(float64) float64, even bool, reach, eps float64, bits int) *waves {
	var best *waves
	_, least := math.Frexp(reach)
	for period := max(least, 1); period <= least+2; period++ {
		if w := fitPeriod(f, even, reach, eps, bits, period); w != nil && (best == nil || w.rows.Shape[0] < best.rows.Shape[0]) {
			best = w
		}
	}
	return best
}

// fitPeriod is fitWaves for one period: each coefficient is a mean over a quarter of it, which the others mirror.
func fitPeriod(f func(float64) float64, even bool, reach, eps float64, bits, period int) *waves {
	const nodes, probes = 1024, 512
	half := math.Ldexp(0.5, period)
	wave := func(k int, x float64) float64 {
		s, c := math.Sincos(math.Pi * float64(k) * x / half)
		if even {
			return c
		}
		return s
	}
	w := &waves{period: period}
	if even {
		w.mean = roundTo(f(half/2), bits) // halfway up to the corner
	}
	var rest [probes + 1]float64
	for j := range rest {
		rest[j] = f(reach*float64(j)/probes) - w.mean
	}
	var rows []float64
	for k := 1; k < 2*maxWaves; k += 2 {
		c := 0.0
		for j := range nodes {
			x := half / 2 * (float64(j) + 0.5) / nodes
			c += float64((f(x) - w.mean) * wave(k, x))
		}
		if c = roundTo(2*c/nodes, bits); even {
			rows = append(rows, float64(k), c, 0)
		} else {
			rows = append(rows, float64(k), 0, c)
		}
		worst := 0.0
		for j := range rest {
			rest[j] -= float64(c * wave(k, reach*float64(j)/probes))
			worst = max(worst, math.Abs(rest[j]))
		}
		if worst <= eps {
			w.rows = ir.Reals(ir.Shape{len(rows) / 3, 3}, rows...)
			return w
		}
	}
	return nil
}

// sinePowers returns the sum of c_k sin^k(2*pi*x / 2^period) as waves. Coefficients are multiples of 2^-bits.
func sinePowers(c []float64, period, bits int) *waves {
	n := len(c)
	cos, sin := make([]float64, n+1), make([]float64, n+1) // of multiples of the angle
	for k := n - 1; k >= 0; k-- {                          // times the sine, plus c_k
		nc, ns := make([]float64, n+1), make([]float64, n+1)
		for j := range n {
			ns[j+1] += cos[j] / 2 // sin x cos jx = (sin (j+1)x - sin (j-1)x) / 2
			nc[j+1] -= sin[j] / 2 // sin x sin jx = (cos (j-1)x - cos (j+1)x) / 2
			if j == 0 {
				ns[1] += cos[0] / 2
				continue
			}
			ns[j-1] -= cos[j] / 2
			nc[j-1] += sin[j] / 2
		}
		cos, sin = nc, ns
		cos[0] += c[k]
	}
	w := &waves{period: period, mean: roundTo(cos[0], bits)}
	var rows []float64
	for k := 1; k < n; k++ {
		rows = append(rows, float64(k), roundTo(cos[k], bits), roundTo(sin[k], bits))
	}
	w.rows = ir.Reals(ir.Shape{n - 1, 3}, rows...)
	return w
}
