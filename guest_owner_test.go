package smpcc_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc"
	"smpcc/backend/oracle"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/runtime/local"
)

// guestProgram compiles a program of the language.
func guestProgram(t *testing.T, text string) (*plan.Plan, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "g.smp")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := smpcc.Compile(file, smpcc.Options{})
	if err != nil {
		return nil, err
	}
	return c.Plan, nil
}

// TestGuestsOfAnyNumberOfParties: two guests and a party compute over integers, whatever words the guests give; the reference is integer arithmetic on what the
// words stand for.
func TestGuestsOfAnyNumberOfParties(t *testing.T) {
	for _, parties := range []int{2, 3, 5} {
		names := strings.Join(smpcc.PartyNames(parties), ", ")
		p, err := guestProgram(t, "parties "+names+`
dealer d
guests voter, other
input x: int[6] from voter in -3..40
input y: int[6] from other in 5..9
input k: int[6] from p1 in -4..4
input b: bool[6] from voter
let larger = x > y
reveal x * y + k to voter, p0 as product
reveal larger and not b or not larger and b to other as which
reveal sum(x, 0) to p1 as total
`)
		if err != nil {
			t.Fatal(err)
		}
		if r := verify.Check(p); !r.OK {
			t.Fatalf("%d parties: %v", parties, r.Findings)
		}
		bits := map[string]int{"x": 6, "y": 3, "k": 0, "b": 1} // the least that hold the ranges
		r := rand.New(rand.NewPCG(uint64(parties), 9))
		run, err := local.New(context.Background(), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			in := make([][]uint64, len(p.Manifest.Inputs))
			x, y, k, b := make([]int64, 6), make([]int64, 6), make([]int64, 6), make([]int64, 6)
			for i, port := range p.Manifest.Inputs {
				if port.Shares != (bits[port.Name] > 0) || port.Shares && port.Bits != bits[port.Name] {
					t.Fatalf("port %q: shares %v in %d bits, want %d", port.Name, port.Shares, port.Bits, bits[port.Name])
				}
				in[i] = make([]uint64, 6)
				for e := range in[i] {
					switch w := r.Uint64(); port.Name { // any word of the ring, in the range or beyond it
					case "x":
						in[i][e] = w & 63
						x[e] = int64(w&63) - 3
					case "y":
						in[i][e] = w & 7
						y[e] = int64(w&7) + 5
					case "b":
						in[i][e] = w & 1
						b[e] = int64(w & 1)
					default:
						k[e] = int64(w%9) - 4
						in[i][e] = uint64(k[e])
					}
				}
			}
			res, err := run.Run(context.Background(), in)
			if err != nil {
				t.Fatal(err)
			}
			total := int64(0)
			voter, other := res.Outputs[parties+1], res.Outputs[parties+2]
			for e := range x {
				total += x[e]
				if got := int64(voter["product"][e]); got != x[e]*y[e]+k[e] || int64(res.Outputs[0]["product"][e]) != got {
					t.Fatalf("%d parties: %d*%d+%d is %d", parties, x[e], y[e], k[e], got)
				}
				if got := int64(other["which"][e]); got != number(x[e] > y[e])^b[e] {
					t.Fatalf("%d parties: %d > %d xor %d is %d", parties, x[e], y[e], b[e], got)
				}
			}
			if got := int64(res.Outputs[1]["total"][0]); got != total {
				t.Fatalf("%d parties: the total is %d, want %d", parties, got, total)
			}
			if len(voter) != 1 || len(other) != 1 || len(res.Outputs[0]) != 1 || len(res.Outputs[1]) != 1 {
				t.Fatalf("receivers got %d, %d, %d and %d outputs", len(voter), len(other), len(res.Outputs[0]), len(res.Outputs[1]))
			}
		}
	}
}

// TestOracleOfGuests: what coalitions see of small plans with guests says nothing of guests' words but what outputs say.
func TestOracleOfGuests(t *testing.T) {
	for _, text := range []string{`
guests g
input x: int[1] from g in 0..3
reveal x to g as out
`, `
guests g
input x: int[1] from g in 0..1
input y: int[1] from p1 in 0..1
reveal x + y to p0 as out
`, `
guests g
input b: bool[2] from g
reveal b to p1, g as out
`} {
		for _, parties := range []string{"p0, p1", "p0, p1, p2"} {
			p, err := guestProgram(t, "parties "+parties+"\ndealer d\n"+text)
			if err != nil {
				t.Fatal(err)
			}
			v, err := oracle.Decide(p, oracle.Options{Bits: 12, Inputs: 8, Own: 1, Seed: 3})
			if err != nil || v.Leak != "" {
				t.Errorf("%s of %s: %v, %s", text, parties, err, v.Leak)
			}
			if v.Runs < 4 {
				t.Errorf("%s of %s: %d runs", text, parties, v.Runs)
			}
		}
	}
}

// TestGuestsRefused: what cannot be a guest's is refused, and the hint works.
func TestGuestsRefused(t *testing.T) {
	const head = "parties p0, p1\nguests g\n"
	for _, c := range []struct{ text, want string }{
		{head + "input x: int[2] from g\nreveal x to g as out\n", "what it may be is not declared"},
		{head + "input x: real[2] from g in 1..1\nreveal x to g as out\n", "more than one number"},
		{head + "weight w: int[2] from g\ninput x: int[2] from p0 in 0..3\nreveal x + w to g as out\n", "weights stay with parties"},
		{"parties p0, p1\nguests p1\ninput x: int[2] from p1 in 0..3\nreveal x to p1 as out\n", "is a party, the dealer or named twice"},
		{"parties p0, p1\nguests d\ninput x: int[2] from p1 in 0..3\nreveal x to p1 as out\n", "is a party, the dealer"},
	} {
		_, err := guestProgram(t, c.text)
		if err == nil || !strings.Contains(fmt.Sprintf("%+v", err), c.want) {
			t.Errorf("%s: %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := guestProgram(t, head+"input x: real[2] from g in 0..1\nreveal x to g as out\n"); err != nil {
		t.Error(err)
	}
}
