package verify_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	. "smpcc/backend/verify"
)

func compile(t testing.TB, path string, opt smpcc.Options) *plan.Plan {
	t.Helper()
	c, err := smpcc.Compile(path, opt)
	if err != nil {
		t.Fatal(err)
	}
	return c.Plan
}

// program compiles a program of the language.
func program(t testing.TB, name, src string) *plan.Plan {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".smp")
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	return compile(t, path, smpcc.Options{})
}

// TestPlans: what the compiler makes of the examples is accepted, and quickly.
func TestPlans(t *testing.T) {
	for _, path := range []string{"mnist/model.onnx", "credit/model.onnx", "auction/auction.smp"} {
		for _, n := range []int{2, 3} {
			for _, batch := range []int{1, 8} {
				t.Run(fmt.Sprintf("%s/%d parties/%d", path, n, batch), func(t *testing.T) {
					opt := smpcc.Options{}
					if !smpcc.IsProgram(path) {
						opt.Parties, opt.Dims = n, map[string]int{"N": batch}
					}
					p := compile(t, "../../examples/"+path, opt)
					start := time.Now()
					r := Check(p)
					if d := time.Since(start); d > 2*time.Second {
						t.Errorf("took %v", d)
					}
					for _, f := range r.Findings {
						t.Error(f)
					}
					if !r.OK || len(r.Proved) < 8 || len(r.Assumed) < 4 {
						t.Errorf("report is %+v", r)
					}
				})
			}
		}
	}
}

// TestNothing: a tensor without elements has nothing that a copy could have left unwritten.
func TestNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nothing.smp")
	if err := os.WriteFile(path, []byte("parties a, b\ninput x: int[4] from a in -8..8\nreveal x[2:2] to b as out\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Check(compile(t, path, smpcc.Options{})).Err(); err != nil {
		t.Error(err)
	}
}

// TestForms: one small program for each form that a value or an op may take. The parties stand in the place of PARTIES.
func TestForms(t *testing.T) {
	forms := map[string]string{
		"sum":                 `reveal x + y - 3 to a as out`,
		"public factor":       `reveal x * 5 + y to a as out`,
		"product":             `reveal x * y to a, b as out`,
		"square":              `reveal (x + y) * (x + y) to b as out`,
		"product of products": `reveal x * y * x * y to b as out`,
		"comparison":          `reveal x < y to b as out`,
		"comparison, wide":    `reveal wx < wy to b as out`,
		"equality":            `reveal x == y to a as out`,
		"equality, wide":      `reveal wx == wy to a as out`,
		"logic":               `reveal (x < y) and not (x == y) or x > 7 to b as out`,
		"selection":           `reveal where(x < y, x * y, y) to b as out`,
		"max":                 `reveal max(stack(x, y, x - y)) to b as out`,
		"max, wide":           `reveal max(stack(wx, wy)) to b as out`,
		"argmax":              `reveal argmax(stack(x, y, 3 * x)) to a as out`,
		"relu":                `reveal relu(x - y) to b as out`,
		"reals":               `reveal u * v to b as out`,
		"relu of reals":       `reveal relu(u * v) to b as out`,
		"chain of reals":      `reveal u * v * u + v to b as out`,
		"max of reals":        `reveal max(stack(u * v, u, v, u - v, v * v)) * v to b as out`,
		"matrices":            `reveal stack(stack(x, y), stack(y, x)) @ stack(stack(x, x), stack(y, y)) to b as out`,
		"sigmoid":             `reveal sigmoid(u * v) to b as out`,
		"views":               `reveal stack(x, y)[1] * 2 to b as out`,
		"product of a view":   `reveal sigmoid(u) * s[1] to b as out`,
		"views of bits":       `reveal sum(where(stack(x < y, x == y), 1, 0)) to b as out`,
		"constant":            `reveal 7 to b as out`,
		"own input":           `reveal x to b as out`,
		"two outputs":         "reveal x * y to a as first\nreveal x * y to b as second",
	}
	for name, body := range forms {
		for _, parties := range []string{"a, b", "a, b, c"} {
			t.Run(name+"/"+parties, func(t *testing.T) {
				src := fmt.Sprintf(`parties %s
input x: int from a in -1000..1000
input y: int from b in -1000..1000
input wx: int from a in -1000000000000..1000000000000
input wy: int from b in -1000000000000..1000000000000
input u: real from a in -4..4
input v: real from b in -4..4
input s: real[2] from b in -20..20
%s
`, parties, body)
				r := Check(program(t, "form", src))
				for _, f := range r.Findings {
					t.Error(f)
				}
			})
		}
	}
}

// TestLarge: tensors are followed as a whole, whatever their size, also where comparisons take two levels.
func TestLarge(t *testing.T) {
	p := program(t, "large", `parties a, b
input x: int[300000] from a in -1000000000000..1000000000000
input y: int[300000] from b in -1000000000000..1000000000000
reveal sum(where(x < y, 1, 0)) to a as less
reveal sum(where(x == y, 1, 0)) to a as equal
reveal sum(relu(x - y)) to b as over
`)
	start := time.Now()
	r := Check(p)
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
	for _, f := range r.Findings {
		t.Error(f)
	}
}

// TestHostile sets numbers of plans to anything: no panic, no hang.
func TestHostile(t *testing.T) {
	rounds := 150
	if testing.Short() {
		rounds = 15
	}
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		rounds = 40000
	}
	r := rand.New(rand.NewPCG(1, 2))
	for name, base := range plans(t) {
		if name == "mnist" {
			continue
		}
		data := base.EncodeProjection()
		accepted := 0
		for range rounds {
			p, err := plan.DecodeProjection(data)
			if err != nil {
				t.Fatal(err)
			}
			for range 1 + r.IntN(3) {
				scramble(r, reflect.ValueOf(p).Elem())
			}
			start := time.Now()
			if CheckLayout(p).OK {
				accepted++
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Fatalf("%s took %v", name, d)
			}
		}
		t.Logf("%s: %d of %d accepted", name, accepted, rounds)
	}
}

// scramble changes one number somewhere in a plan.
func scramble(r *rand.Rand, v reflect.Value) {
	for range 64 {
		switch v.Kind() {
		case reflect.Struct:
			v = v.Field(r.IntN(v.NumField()))
		case reflect.Slice:
			switch k := r.IntN(12); {
			case v.Len() == 0:
				return
			case k == 0:
				v.Set(v.Slice(0, v.Len()-1))
				return
			case k == 1: // two elements change places
				i, j := r.IntN(v.Len()), r.IntN(v.Len())
				x := reflect.New(v.Type().Elem()).Elem()
				x.Set(v.Index(i))
				v.Index(i).Set(v.Index(j))
				v.Index(j).Set(x)
				return
			}
			v = v.Index(r.IntN(v.Len()))
		case reflect.Int, reflect.Int64:
			values := []int64{0, 1, 2, 3, -1, 63, 64, 65, v.Int() + 1, v.Int() - 1, v.Int() * 2, 1 << 28, 1 << 40, -1 << 63}
			v.SetInt(values[r.IntN(len(values))])
			return
		case reflect.Uint64:
			v.SetUint(v.Uint() + 1)
			return
		case reflect.Bool:
			v.SetBool(!v.Bool())
			return
		default:
			return
		}
	}
}

// FuzzCheck scrambles plans as TestHostile does, as the fuzzer says.
func FuzzCheck(f *testing.F) {
	bases := plans(f)
	names := []string{"small", "views", "credit", "choices"}
	for i := range names {
		f.Add(uint64(i), uint64(i), byte(i))
	}
	f.Fuzz(func(t *testing.T, a, b uint64, n byte) {
		p, err := plan.DecodeProjection(bases[names[int(n)%len(names)]].EncodeProjection())
		if err != nil {
			t.Fatal(err)
		}
		r := rand.New(rand.NewPCG(a, b))
		for range 1 + n/32 {
			scramble(r, reflect.ValueOf(p).Elem())
		}
		CheckLayout(p)
	})
}

// TestCodes: ids are unique, in order and documented.
func TestCodes(t *testing.T) {
	for i, c := range Codes {
		if i > 0 && c.ID <= Codes[i-1].ID || c.Name == "" || c.Doc == "" || strings.ToLower(c.Name) != c.Name {
			t.Errorf("row %d is %+v", i, c)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	p := compile(b, "../../examples/mnist/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}})
	for b.Loop() {
		if err := Check(p).Err(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestEveryCodeHasAPlace: docs/typed-plan.md says of every finding where a typed plan stops what it is about.
func TestEveryCodeHasAPlace(t *testing.T) {
	page, err := os.ReadFile("../../docs/typed-plan.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Codes {
		if !strings.Contains(string(page), "\n| "+c.String()+" | ") {
			t.Errorf("%s has no row", c)
		}
	}
}
