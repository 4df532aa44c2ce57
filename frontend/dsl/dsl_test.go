package dsl

import (
	"testing"

	"smpcc/ir"
)

func TestAuction(t *testing.T) {
	m, err := Load("../../examples/auction/auction.smp", Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ a, b, c, winner, price int64 }{{4200, 5150, 4975, 1, 4975}, {7, 7, 7, 0, 7}, {0, 0, 1, 2, 0}, {9, 1, 9, 0, 9}} {
		in := map[string]*ir.Tensor{"bid_a": ir.Ints(ir.Shape{}, c.a), "bid_b": ir.Ints(ir.Shape{}, c.b), "bid_c": ir.Ints(ir.Shape{}, c.c)}
		out, err := ir.Run(m, in)
		if err != nil {
			t.Fatal(err)
		}
		if w, p := out["winner"].I[0], out["price"].I[0]; w != c.winner || p != c.price {
			t.Errorf("%v: winner %d, price %d", c, w, p)
		}
	}
}
