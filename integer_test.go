package smpcc_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"smpcc"
	"smpcc/backend/verify"
	"smpcc/ir"
)

// A division is one case of TestIntegerDivision: x in lo..hi is divided by a constant, or by a secret in from..to if c is 0.
type division struct {
	lo, hi   int64
	c        int64
	from, to int64
}

var divisions = []division{
	{0, 1<<31 - 1, 86400, 0, 0}, {-1 << 31, 1<<31 - 1, 3, 0, 0}, {-1000000, 1000000, -7, 0, 0}, {0, 1<<40 - 1, 1000003, 0, 0}, {-1 << 49, 1 << 49, 1000, 0, 0},
	{-1 << 49, 0, 65536, 0, 0}, {0, 255, 1000, 0, 0}, {-128, 127, 1, 0, 0}, {0, 1<<50 - 1, 2654435761, 0, 0},
	{0, 1000000, 0, 1, 70000}, {-1000000, 1000000, 0, 1, 1000}, {0, 1<<31 - 1, 0, 1, 1<<20 - 1}, {-1 << 30, 1 << 30, 0, -30000, -2}, {0, 1<<40 - 1, 0, 1000, 1<<31 - 1}, {0, 1<<31 - 1, 0, 1, 1<<31 - 1},
	{-1 << 41, 1 << 41, 0, 1, 1<<30 - 1},
}

// want is what ONNX says of quotient and remainder, in integers of any size.
func (d division) want(op ir.Op, down bool, x, y int64) int64 {
	a, b := big.NewInt(x), big.NewInt(y)
	q, r := new(big.Int).QuoRem(a, b, new(big.Int)) // towards zero
	if down && r.Sign() != 0 && r.Sign() != b.Sign() {
		q.Sub(q, big.NewInt(1))
		r.Add(r, b)
	}
	if op == ir.OpIntDiv {
		return q.Int64()
	}
	return r.Int64()
}

// draw returns operands that are often multiples of the divisor, or next to them, or at the ends of their ranges.
func (d division) draw(r *rand.Rand) (x, y int64) {
	if y = d.c; y == 0 {
		size := min(abs64(d.from), abs64(d.to)) + 1
		for span := max(abs64(d.from), abs64(d.to)); size < span && r.IntN(8) > 0; {
			size *= 2
		}
		y = d.from + r.Int64N(d.to-d.from+1)
		if r.IntN(2) == 0 && d.from > 0 {
			y = d.from + r.Int64N(min(size, d.to-d.from+1))
		}
		if r.IntN(10) == 0 {
			y = []int64{d.from, d.to}[r.IntN(2)]
		}
	}
	x = d.lo + r.Int64N(d.hi-d.lo+1)
	switch r.IntN(8) {
	case 0:
		x = []int64{d.lo, d.hi, max(d.lo, min(d.hi, 0)), max(d.lo, min(d.hi, y)), max(d.lo, min(d.hi, -1))}[r.IntN(5)]
	case 1, 2, 3:
		x = x/y*y + int64(r.IntN(3)) - 1
	case 4:
		x /= int64(1) << r.IntN(30)
	}
	return max(d.lo, min(d.hi, x)), y
}

func abs64(x int64) int64 { return max(x, -x) }

// TestIntegerDivision runs quotients and remainders for 2, 3 and 5 parties and compares them with integers of any size.
func TestIntegerDivision(t *testing.T) {
	ofNumbers(t)
	for i, d := range divisions {
		for j, op := range []ir.Op{ir.OpIntDiv, ir.OpIntDiv, ir.OpIntMod, ir.OpIntMod} {
			if !allCases() && (i+j+j/2)%2 != 0 { // a quotient and a remainder of each row, rounded in turn
				continue
			}
			n := []int{2, 3, 5, 2, 3}[(i+j)%5]
			down := j%2 == 1
			t.Run(fmt.Sprintf("%s/%d..%d by %d %d..%d/down %v/%d parties", op, d.lo, d.hi, d.c, d.from, d.to, down, n), func(t *testing.T) {
				divideAll(t, d, op, down, n, 2048, uint64(4*i+j))
			})
		}
	}
}

func divideAll(t *testing.T, d division, op ir.Op, down bool, n, size int, seed uint64) {
	g := newGraph(t, n)
	r := rand.New(rand.NewPCG(seed, 5))
	data := map[string]*ir.Tensor{"x": ir.NewTensor(ir.Int, ir.Shape{size}), "y": ir.NewTensor(ir.Int, ir.Shape{size})}
	want := make([]int64, size)
	for i := range size {
		x, y := d.draw(r)
		data["x"].I[i], data["y"].I[i], want[i] = x, y, d.want(op, down, x, y)
	}
	x := g.input("x", "p0", "int", float64(d.lo), float64(d.hi), size)
	var y *ir.Value
	if d.c == 0 {
		y = g.input("y", "p1", "int", float64(d.from), float64(d.to), size)
	} else {
		y = g.e(ir.OpConst, ir.Attrs{ir.T("data", ir.Ints(ir.Shape{}, d.c))})
	}
	attrs := ir.Attrs{}
	if down {
		attrs = append(attrs, ir.I("down", 1))
	}
	g.reveal("out", g.e(op, attrs, x, y))
	c, err := smpcc.CompileModule(g.m, smpcc.Options{}, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := verify.Check(c.Plan).Err(); err != nil {
		t.Errorf("verify: %v", err)
	}
	clear, err := ir.Run(level(t, c.Plan, "fixed"), data)
	if err != nil {
		t.Fatal(err)
	}
	res := execute(t, c.Plan, data)
	for i, w := range res.Outputs[0]["out"] {
		if int64(w) != want[i] || clear["out"].I[i] != want[i] {
			t.Fatalf("seed %d: %d by %d is %d, in the clear %d, want %d", seed, data["x"].I[i], data["y"].I[i], int64(w), clear["out"].I[i], want[i])
		}
	}
}
