package passes

import (
	"math"

	"smpcc/ir"
)

// combine returns c[0] plus the sum of c[k] times term(k); coefficients that are zero cost nothing.
func (a *approximation) combine(c []float64, term func(k int) *ir.Value, frac int) *ir.Value {
	y := a.exact(frac, ir.Shape{}, c[0])
	for k := 1; k < len(c); k++ {
		if c[k] != 0 {
			y = a.add(y, a.mul(term(k), a.exact(frac, ir.Shape{}, c[k])))
		}
	}
	return y
}

// polynomial evaluates c at t with a tree of powers: every power is a product of two masked wires, and the sum is truncated
// once. t lies in lo..hi and has frac fraction bits.
func (a *approximation) polynomial(t *ir.Value, c []float64, frac int) *ir.Value {
	power := map[int]*ir.Value{1: t}
	var get func(k int) *ir.Value
	get = func(k int) *ir.Value {
		if power[k] == nil {
			power[k] = a.mul(get(k/2), get(k-k/2))
		}
		return power[k]
	}
	return a.combine(c, get, frac)
}

// chebyshev computes a function as a sum of Chebyshev polynomials. They stay in [-1, 1] and so do their errors, and
// T_2k = 2 T_k^2 - 1, T_(2k+1) = 2 T_k T_(k+1) - T_1 make the depth logarithmic. Error: 0.4 eps by the terms left out, and rounding.
func (a *approximation) chebyshev(x *ir.Value, f func(float64) float64, part parity) *ir.Value {
	iv := a.known(x)
	var mid, reach float64 // of the argument of the polynomials
	g := f
	if part == neither {
		mid, reach = (iv.lo+iv.hi)/2, (iv.hi-iv.lo)/2
	} else {
		reach = max(-iv.lo, iv.hi)
	}
	reach = max(reach, 1.0/64)
	switch part {
	case even:
		g = func(x float64) float64 { return f(x) - x/2 }
	case odd, centred:
		shift := 0.0
		if part == centred {
			shift = 0.5
		}
		g = func(x float64) float64 {
			x = max(math.Abs(x), 1e-4)
			return (f(x) - shift) * reach / x
		}
	}
	bits := a.mantissaBits() + 2
	v := a.within(a.mul(a.sub(x, a.num(mid)), a.exact(20, ir.Shape{}, 1/reach)), bits, -1, 1) // a power of two leaves room for rounding
	t := v
	at := func(t float64) float64 { return g(mid + reach*t) }
	if part != neither {
		t = a.within(a.sub(a.mul(a.mul(v, v), a.exact(0, ir.Shape{}, 2)), a.num(1)), bits, -1, 1)
		at = func(t float64) float64 { return g(reach * math.Sqrt(max(0, (t+1)/2))) }
	}
	y := a.series(t, fitChebyshev(at, 0.4*a.eps, bits), bits)
	lo, hi := extremes(at)
	y = a.within(y, keep, lo-a.eps, hi+a.eps)
	switch part {
	case even:
		y = a.add(y, a.mul(x, a.num(0.5)))
	case odd, centred:
		y = a.mul(a.within(y, bits, lo-a.eps, hi+a.eps), v)
		if part == centred {
			y = a.add(y, a.num(0.5))
		}
	}
	lo, hi = extremes(func(t float64) float64 { return f(iv.lo + (iv.hi-iv.lo)*(t+1)/2) })
	return a.within(y, a.frac, lo-2*a.eps, hi+2*a.eps)
}

// series sums c_k T_k(t) for t in [-1, 1] with the given number of fraction bits.
func (a *approximation) series(t *ir.Value, c []float64, bits int) *ir.Value {
	cheb := map[int]*ir.Value{1: t}
	var get func(k int) *ir.Value
	get = func(k int) *ir.Value {
		if cheb[k] == nil {
			p := a.mul(a.mul(get(k/2), get(k-k/2)), a.exact(0, ir.Shape{}, 2))
			if k%2 == 0 {
				p = a.sub(p, a.num(1))
			} else {
				p = a.sub(p, t)
			}
			cheb[k] = a.within(p, bits, -1, 1)
		}
		return cheb[k]
	}
	return a.combine(c, get, bits)
}
