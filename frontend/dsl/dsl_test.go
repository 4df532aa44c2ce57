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
	const more = `fn loops(v) {
    let t = 0
    for i in 0..2 {
        if i == 1 {
            t -= 1
        } else if i == 2 {
            t += v[i] * 2
        } else {
            t = t + v[i]
        }
        for x in v {
            t += 1
        }
    }
    let w = v
    w[0] = t
    w[1:3] = [0, 0]
    assert size(w) == 3, "never"
    return w[0] - w[1]
}
fn named(x, by=1) {
    return x + by
}
fn generic(x: real[n, m]) {
    return n * m
}
`
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
		{"sum(x, axis=0, keep=true)", "real[1,3] [4.5 -1 1.75]"},
		{"max(x, axis=0)", "real[3] [4 0 2]"},
		{"min(x, axis=1)", "real[2] [-1 -0.25]"},
		{"maximum(a, 0)", "int[3] [3 0 2]"},
		{"minimum(0, a)", "int[3] [0 -1 0]"},
		{"all(p)", "bool[] [0]"},
		{"any(p)", "bool[] [1]"},
		{"any(x > 1, axis=0)", "bool[3] [1 0 1]"},
		{"cumsum(a)", "int[3] [3 2 4]"},
		{"exp(a - a)", "real[3] [1 1 1]"},
		{"log(exp(a - a))", "real[3] [0 0 0]"},
		{"sqrt(b * b + a - a)", "real[3] [2 2 5]"},
		{"rsqrt(b * b)", "real[3] [0.5 0.5 0.2]"},
		{"recip(b)", "real[3] [0.5 0.5 -0.2]"},
		{"tanh(a - a)", "real[3] [0 0 0]"},
		{"erf(a - a)", "real[3] [0 0 0]"},
		{"gelu(a - a)", "real[3] [0 0 0]"},
		{"silu(a - a)", "real[3] [0 0 0]"},
		{"softplus(-1000 * a)", "real[3] [0 1000 0]"},
		{"mish(a - a)", "real[3] [0 0 0]"},
		{"elu(relu(a))", "real[3] [3 0 2]"},
		{"sin(a - a)", "real[3] [0 0 0]"},
		{"cos(a - a)", "real[3] [1 1 1]"},
		{"floor(x)", "real[2,3] [0 -1 2 4 0 -1]"},
		{"ceil(x)", "real[2,3] [1 -1 2 4 0 -0]"},
		{"round(x)", "real[2,3] [1 -1 2 4 0 0]"},
		{"leaky_relu(x, alpha=0.5)", "real[2,3] [0.5 -0.5 2 4 0 -0.125]"},
		{"pow(a, 3)", "int[3] [27 -1 8]"},
		{"pow(x[0], 2)", "real[3] [0.25 1 4]"},
		{"pow(b * b, 0.5)", "real[3] [2 2 5]"},
		{"pow(a, 0)", "int[3] [1 1 1]"},
		{"pow(b, -1)", "real[3] [0.5 0.5 -0.2]"},
		{"pow(2, 40)", "int[] [1099511627776]"},
		{"softmax(a - a)", "real[3] [0.3333333333333333 0.3333333333333333 0.3333333333333333]"},
		{"log_softmax(x[0, 0:1])", "real[1] [0]"},
		{"sign(a)", "int[3] [1 -1 1]"},
		{"a[range(2)]", "int[2] [3 -1]"},
		{"a + range(1, 7, 2)", "int[3] [4 2 7]"},
		{"a + range(3, 0, -1)", "int[3] [6 1 3]"},
		{"a[indices([true, false, true])]", "int[2] [3 2]"},
		{"x[1, [0, 2]]", "real[2] [4 -0.25]"},
		{"x[:, [2, 0]]", "real[2,2] [2 0.5 -0.25 4]"},
		{"expand(a, [2, 3])", "int[2,3] [3 -1 2 3 -1 2]"},
		{"column(a) - a", "int[3,3] [0 4 1 -4 0 -3 -1 3 0]"},
		{"size(x, axis=1) * a", "int[3] [9 -3 6]"},
		{"rank(x) * a", "int[3] [6 -2 4]"},
		{"where(is_int(a), a, 0)", "int[3] [3 -1 2]"},
		{"exchange(a, [0], [2], [true])", "int[3] [2 -1 3]"},
		{"exchange(a, [0], [2], p[1:2])", "int[3] [3 -1 2]"},
		{"exchange(p, [0], [1], p[0:1])", "bool[3] [0 1 1]"},
		{"conv(reshape(x, [1, 1, 2, 3]), ones([1, 1, 2, 2]) * 1.0)", "real[1,1,1,2] [3.5 0.75]"},
		{"maxpool(reshape(x, [1, 1, 2, 3]), [2, 2])", "real[1,1,1,2] [4 2]"},
		{"avgpool(reshape(x, [1, 1, 2, 3]), [2, 2])", "real[1,1,1,2] [0.875 0.1875]"},
		{"int(int8(a * 100))", "int[3] [44 -100 -56]"},
		{"int(uint8(a * 100))", "int[3] [44 156 200]"},
		{"int(int16(a) * 20000)", "int[3] [-5536 -20000 -25536]"},
		{"int(uint16(a))", "int[3] [3 65535 2]"},
		{"int(uint32(a))", "int[3] [3 4294967295 2]"},
		{"int(int32(a) * 2000000000)", "int[3] [1705032704 -2000000000 -294967296]"},
		{"bits(a[0], 3)", "bool[3] [1 1 0]"},
		{"from_bits(p)", "int[] [5]"},
		{"shl(a, 2)", "int[3] [12 -4 8]"},
		{"shr(a, 1)", "int[3] [1 -1 1]"},
		{"int(bitand(uint8(a), 6))", "int[3] [2 6 2]"},
		{"int(bitor(uint8(a), 4))", "int[3] [7 255 6]"},
		{"int(bitxor(uint8(a), 1))", "int[3] [2 254 3]"},
		{"int(100 * divide(a, 7))", "int[3] [43 -14 29]"},
		{"int(divide(a, 2, places=0))", "int[3] [2 -1 1]"},
		{"int(10 * round(divide(a, 8, places=3), 1))", "int[3] [4 -1 3]"},
		{"int(100 * (divide(a, 1) + 0.25))", "int[3] [325 -75 225]"},
		{"divide(a, 1) > 2.5", "bool[3] [1 0 0]"},
		{"real(divide(b, 4))", "real[3] [0.5 0.5 -1.25]"},
		{"solve([[2, 0], [0, 4]] * 1.0, x[0, 0:2])", "real[2] [0.25 -0.25]"},
		{"a.n", "error"},
		{"{n: a, m: b}.m", "int[3] [2 2 -5]"},
		{"{n: a, m: b}[1:].n", "int[2] [-1 2]"},
		{"loops(a)", "int[] [15]"},
		{"named(by=a, x=b)", "int[3] [5 1 -3]"},
		{"named(b)", "int[3] [3 3 -4]"},
		{"generic(x)", "int[] [6]"},
		{"shadow(b)", "int[3] [-2 -2 5]"},
	} {
		m, err := Parse("t.smp", []byte(head+"fn twice(v) { let w = v return w + v }\nfn shadow(a: int[3]) {\n  let b = -a\n  return b\n}\n"+more+"reveal "+c.src+" to bob as y\n"), Options{})
		if c.want == "error" {
			if err == nil {
				t.Errorf("%s is accepted", c.src)
			}
			continue
		}
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
	secure, err := os.ReadFile("../../library_test.go")
	if err != nil {
		t.Fatal(err)
	}
	src = append(src, secure...)
	for _, b := range Builtins() {
		if !strings.Contains(string(src), b.Name+"(") || b.Doc == "" || b.Params == "" {
			t.Errorf("%s has no test or no doc", b.Name)
		}
	}
}
