package passes

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"smpcc/ir"
)

// rat returns a float as a rational.
func rat(x float64) *big.Rat { return new(big.Rat).SetFloat64(x) }

// A drawnNumber is an exact value and what parties may hold for it.
type drawnNumber struct{ exact, held *big.Rat }

// drawEnclosed draws an enclosure; its numbers have few bits, so that intervals that touch, and zeros, occur.
func drawEnclosed(r *rand.Rand) enclosed {
	few := func() float64 { return math.Ldexp(float64(r.IntN(65)-32), r.IntN(12)-6) }
	x := enclosed{lo: few(), hi: few()}
	if x.lo > x.hi {
		x.lo, x.hi = x.hi, x.lo
	}
	switch r.IntN(6) {
	case 0:
		x.hi = x.lo
	case 1:
		x.lo = 0
		x.hi = max(x.hi, 0)
	case 2:
		x.lo, x.hi = r.NormFloat64(), 4
	}
	if x.lo > x.hi {
		x.hi = x.lo
	}
	if r.IntN(3) > 0 {
		x.abs = math.Ldexp(float64(r.IntN(9)), r.IntN(10)-8)
	}
	if r.IntN(3) == 0 {
		x.rel = math.Ldexp(float64(1+r.IntN(9)), -r.IntN(10))
	}
	return x
}

// drawIn draws an exact value, at an end of its interval as often as not, and a held one, mostly as far off as it may be.
func drawIn(x enclosed, r *rand.Rand) drawnNumber {
	at := rat(x.lo)
	switch r.IntN(4) {
	case 0:
		at = rat(x.hi)
	case 1: // zero if it lies within
		if x.lo <= 0 && x.hi >= 0 {
			at = new(big.Rat)
		}
	case 2:
		part := big.NewRat(int64(r.IntN(1001)), 1000)
		at = new(big.Rat).Add(at, part.Mul(part, new(big.Rat).Sub(rat(x.hi), rat(x.lo))))
	}
	off := new(big.Rat).Mul(rat(x.rel), new(big.Rat).Abs(at))
	off.Add(off, rat(x.abs))
	switch r.IntN(4) {
	case 0:
		off.Neg(off)
	case 1:
		off.Mul(off, big.NewRat(int64(r.IntN(2001)-1000), 1000))
	}
	return drawnNumber{at, off.Add(off, at)}
}

// holds reports whether an exact result and a held one lie within an enclosure.
func (x enclosed) holds(d drawnNumber) bool {
	off := new(big.Rat).Sub(d.held, d.exact)
	most := new(big.Rat).Mul(rat(x.rel), new(big.Rat).Abs(d.exact))
	return d.exact.Cmp(rat(x.lo)) >= 0 && d.exact.Cmp(rat(x.hi)) <= 0 && off.Abs(off).Cmp(most.Add(most, rat(x.abs))) <= 0
}

func ratMax(a, b *big.Rat) *big.Rat {
	if a.Cmp(b) > 0 {
		return a
	}
	return b
}

func ratBit(b bool) *big.Rat {
	if b {
		return big.NewRat(1, 1)
	}
	return new(big.Rat)
}

// TestEnclosuresHold draws exact values and errors, most often the largest ones, and computes each operation on both in rational arithmetic.
func TestEnclosuresHold(t *testing.T) {
	zero := new(big.Rat)
	ops := []struct {
		name    string
		enclose func(a, b, c enclosed) enclosed
		exact   func(a, b, c *big.Rat) *big.Rat
	}{
		{"plus", func(a, b, _ enclosed) enclosed { return a.plus(b) }, func(a, b, _ *big.Rat) *big.Rat { return new(big.Rat).Add(a, b) }},
		{"minus", func(a, b, _ enclosed) enclosed { return a.plus(b.neg()) }, func(a, b, _ *big.Rat) *big.Rat { return new(big.Rat).Sub(a, b) }},
		{"times", func(a, b, _ enclosed) enclosed { return a.times(b) }, func(a, b, _ *big.Rat) *big.Rat { return new(big.Rat).Mul(a, b) }},
		{"squared", func(a, _, _ enclosed) enclosed { return a.squared(0) }, func(a, _, _ *big.Rat) *big.Rat { return new(big.Rat).Mul(a, a) }},
		{"squared near 1", func(a, _, _ enclosed) enclosed { return a.squared(1) }, func(a, _, _ *big.Rat) *big.Rat { return new(big.Rat).Mul(a, a) }},
		{"squared near 100", func(a, _, _ enclosed) enclosed { return a.squared(100) }, func(a, _, _ *big.Rat) *big.Rat { return new(big.Rat).Mul(a, a) }},
		{"larger", func(a, b, _ enclosed) enclosed { return a.larger(b) }, func(a, b, _ *big.Rat) *big.Rat { return ratMax(a, b) }},
		{"positive", func(a, _, _ enclosed) enclosed { return a.positive() }, func(a, _, _ *big.Rat) *big.Rat { return ratMax(a, zero) }},
		{"negative", func(a, _, _ enclosed) enclosed { return a.negative(0) }, func(a, _, _ *big.Rat) *big.Rat { return ratBit(a.Sign() < 0) }},
		{"zero", func(a, _, _ enclosed) enclosed { return a.zero() }, func(a, _, _ *big.Rat) *big.Rat { return ratBit(a.Sign() == 0) }},
		{"either", func(a, b, c enclosed) enclosed { return c.negative(0).either(a, b) }, func(a, b, c *big.Rat) *big.Rat {
			if c.Sign() < 0 {
				return a
			}
			return b
		}},
		{"and", func(a, b, _ enclosed) enclosed { return a.negative(0).and(b.zero()) }, func(a, b, _ *big.Rat) *big.Rat { return ratBit(a.Sign() < 0 && b.Sign() == 0) }},
		{"xor", func(a, b, _ enclosed) enclosed { return a.negative(0).xor(b.zero()) }, func(a, b, _ *big.Rat) *big.Rat { return ratBit((a.Sign() < 0) != (b.Sign() == 0)) }},
	}
	for _, op := range ops {
		r := rand.New(rand.NewPCG(1, 2))
		tight := 0.0 // of the absolute error, the largest part that a drawn case takes
		for range 1500 {
			x := [3]enclosed{drawEnclosed(r), drawEnclosed(r), drawEnclosed(r)}
			y := op.enclose(x[0], x[1], x[2])
			for range 10 {
				d := [3]drawnNumber{drawIn(x[0], r), drawIn(x[1], r), drawIn(x[2], r)}
				got := drawnNumber{op.exact(d[0].exact, d[1].exact, d[2].exact), op.exact(d[0].held, d[1].held, d[2].held)}
				if !y.holds(got) {
					t.Fatalf("%s of %+v: %+v does not hold %v for %v of %v", op.name, x, y, got.held, got.exact, d)
				}
				if off, _ := new(big.Rat).Sub(got.held, got.exact).Float64(); y.abs > 0 && (y.rel == 0 || strings.HasPrefix(op.name, "squared")) {
					exact, _ := got.exact.Float64()
					tight = max(tight, math.Abs(off)/(y.abs+y.rel*math.Abs(exact)))
				}
			}
		}
		if tight < 0.9 {
			t.Errorf("%s: no drawn error takes more than %.2g of its bound", op.name, tight)
		}
	}
}

// TestSumsOfProductsHold checks matrix products in rational arithmetic.
func TestSumsOfProductsHold(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	const m, k, n = 2, 5, 2
	b := ir.Builder{F: ir.NewFunc("main"), At: &ir.Value{}}
	real := func(s ...int) *ir.Value {
		return b.E(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "p"), ir.S("elem", "real"), ir.Dims("shape", s)})
	}
	v := b.E(ir.OpMatMul, nil, real(m, k), real(k, n))
	sum := b.E(ir.OpReduceSum, ir.Attrs{ir.Is("axes", 1)}, v.Args[0])
	for trial := range 300 {
		x, y := newEnclosure(ir.Shape{m, k}), newEnclosure(ir.Shape{k, n})
		draw := func() enclosed {
			e := drawEnclosed(r)
			if trial%2 == 0 && e.lo < 0 { // of one sign, so that relative errors stay relative
				e.lo, e.hi = max(-e.hi, 0), max(-e.lo, e.hi)
			}
			return e
		}
		for i := range x.len() {
			x.set(i, draw())
		}
		for i := range y.len() {
			y.set(i, draw())
		}
		z, err := summedProducts(nil, v, []enclosure{x, y})
		if err != nil {
			t.Fatal(err)
		}
		s, err := summed(nil, sum, []enclosure{x})
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			var a [m * k]drawnNumber
			for i := range a {
				a[i] = drawIn(x.at(i), r)
			}
			for i := range m {
				all := drawnNumber{new(big.Rat), new(big.Rat)}
				for p := range k {
					all.exact.Add(all.exact, a[i*k+p].exact)
					all.held.Add(all.held, a[i*k+p].held)
				}
				if !s.at(i).holds(all) {
					t.Fatalf("sum %+v does not hold %v for %v", s.at(i), all.held, all.exact)
				}
			}
			for j := range n {
				var c [k]drawnNumber
				for p := range c {
					c[p] = drawIn(y.at(p*n+j), r)
				}
				for i := range m {
					all := drawnNumber{new(big.Rat), new(big.Rat)}
					for p := range k {
						all.exact.Add(all.exact, new(big.Rat).Mul(a[i*k+p].exact, c[p].exact))
						all.held.Add(all.held, new(big.Rat).Mul(a[i*k+p].held, c[p].held))
					}
					if !z.at(i*n + j).holds(all) {
						t.Fatalf("product %+v does not hold %v for %v", z.at(i*n+j), all.held, all.exact)
					}
				}
			}
		}
	}
}
