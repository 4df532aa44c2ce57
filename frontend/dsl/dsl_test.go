package dsl

import (
	"fmt"
	"os"
	"strings"
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

// TestMeaning runs each operator and built-in function once: with a = [3, -1, 2] and b = [2, 2, -5] of the parties, x = [[0.5,
// -1, 2], [4, 0, -0.25]], p = [true, false, true].
func TestMeaning(t *testing.T) {
	const head = "parties alice, bob\ninput a: int[3] from alice in -9..9\ninput b: int[3] from bob in -9..9\ninput x: real[2,3] from alice in -9..9\ninput p: bool[3] from bob\n"
	in := map[string]*ir.Tensor{
		"a": ir.Ints(ir.Shape{3}, 3, -1, 2), "b": ir.Ints(ir.Shape{3}, 2, 2, -5),
		"x": ir.Reals(ir.Shape{2, 3}, 0.5, -1, 2, 4, 0, -0.25), "p": {Elem: ir.Bool, Shape: ir.Shape{3}, I: []int64{1, 0, 1}},
	}
	for _, c := range []struct{ src, want string }{
		{"a + b * 2 - 1", "int[3] [6 2 -9]"},
		{"-a + --b", "int[3] [-1 3 -7]"},
		{"(a + b) * a", "int[3] [15 -1 -6]"},
		{"a @ b", "int[] [-6]"},
		{"matmul(x, [2, 1, 0])", "real[2] [0 8]"},
		{"x @ transpose(x)", "real[2,2] [5.25 1.5 1.5 16.0625]"},
		{"a @ transpose(x)", "real[2] [6.5 11.5]"},
		{"dot(a, b)", "int[] [-6]"},
		{"x / 4", "real[2,3] [0.125 -0.25 0.5 1 0 -0.0625]"},
		{"x / [1, 2, 4]", "real[2,3] [0.5 -0.5 0.5 4 0 -0.0625]"},
		{"real(a) / 2", "real[3] [1.5 -0.5 1]"},
		{"a + 0.5", "real[3] [3.5 -0.5 2.5]"},
		{"a < b", "bool[3] [0 1 0]"},
		{"a <= 2", "bool[3] [0 1 1]"},
		{"a > b", "bool[3] [1 0 1]"},
		{"2 >= b", "bool[3] [1 1 1]"},
		{"a == 3 or b == 2", "bool[3] [1 1 0]"},
		{"a != 3 and not p", "bool[3] [0 1 0]"},
		{"not not p", "bool[3] [1 0 1]"},
		{"p == (a > 0)", "bool[3] [1 1 1]"},
		{"p != (a > 2)", "bool[3] [0 0 1]"},
		{"true and p or false", "bool[3] [1 0 1]"},
		{"a < 0 or a > 2 and p", "bool[3] [1 1 0]"},
		{"where(p, a, b)", "int[3] [3 2 2]"},
		{"where(a > 0, x[0], 0)", "real[3] [0.5 0 2]"},
		{"where(p, p, not p)", "bool[3] [1 1 1]"},
		{"sum(a)", "int[] [4]"},
		{"sum(x, 0)", "real[3] [4.5 -1 1.75]"},
		{"sum(x, -1)", "real[2] [1.5 3.75]"},
		{"sum(p)", "int[] [2]"},
		{"mean(a)", "real[] [1.3333333333333333]"},
		{"mean(x, 1)", "real[2] [0.5 1.25]"},
		{"max(a)", "int[] [3]"},
		{"max(a, b)", "int[3] [3 2 2]"},
		{"min(x)", "real[] [-1]"},
		{"min(a, b)", "int[3] [2 -1 -5]"},
		{"div(0 - 7, 2)", "int[] [-3]"},
		{"mod(0 - 7, 2)", "int[] [-1]"},
		{"argmax(a)", "int[] [0]"},
		{"argmin(b)", "int[] [2]"},
		{"argmax(b)", "int[] [0]"}, // the first of equal elements
		{"argmax(x, 1)", "int[2] [2 0]"},
		{"argmin(x, 0)", "int[3] [0 0 1]"},
		{"relu(a)", "int[3] [3 0 2]"},
		{"abs(b)", "int[3] [2 2 5]"},
		{"clip(a, 0, 2)", "int[3] [2 0 2]"},
		{"sigmoid(a - a)", "real[3] [0.5 0.5 0.5]"},
		{"reshape(x, [3, 2])", "real[3,2] [0.5 -1 2 4 0 -0.25]"},
		{"concat(0, a, b)", "int[6] [3 -1 2 2 2 -5]"},
		{"concat(1, x, x)[0]", "real[6] [0.5 -1 2 0.5 -1 2]"},
		{"stack(a, b)", "int[2,3] [3 -1 2 2 2 -5]"},
		{"[a[0], 7, b[-1]]", "int[3] [3 7 -5]"},
		{"x[1]", "real[3] [4 0 -0.25]"},
		{"x[0, 1:]", "real[2] [-1 2]"},
		{"x[:, -1]", "real[2] [2 -0.25]"},
		{"a[1:1 + 1]", "int[1] [-1]"},
		{"int(a > 0) + zeros([3])", "int[3] [1 0 1]"},
		{"ones([2, 3]) * a", "int[2,3] [3 -1 2 3 -1 2]"},
		{"size(x) * a", "int[3] [18 -6 12]"},
		{"1_000 * a", "int[3] [3000 -1000 2000]"},
		{"twice(a + 1)", "int[3] [8 0 6]"},
		{"shadow(b)", "int[3] [-2 -2 5]"},
	} {
		m, err := Parse("t.smp", []byte(head+"fn twice(v) { let w = v return w + v }\nfn shadow(a: int[3]) {\n  let b = -a\n  return b\n}\nreveal "+c.src+" to bob as y\n"), Options{})
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		out, err := ir.Run(m, in)
		if err != nil {
			t.Errorf("%s: %v", c.src, err)
			continue
		}
		y := out["y"]
		got := fmt.Sprintf("%v%v %v", y.Elem, y.Shape, y.I)
		if y.Elem == ir.Real {
			got = fmt.Sprintf("%v%v %v", y.Elem, y.Shape, y.F)
		}
		if got != c.want {
			t.Errorf("%s is %s, want %s", c.src, got, c.want)
		}
	}
}

// TestBuiltinsAreTested checks that the table above misses no function.
func TestBuiltinsAreTested(t *testing.T) {
	src, err := os.ReadFile("dsl_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range Builtins() {
		if !strings.Contains(string(src), b.Name+"(") || b.Doc == "" || b.Params == "" {
			t.Errorf("%s has no test or no doc", b.Name)
		}
	}
}
