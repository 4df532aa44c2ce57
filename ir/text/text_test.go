package text

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// TestErrors checks whole messages, with position, source and caret. SMPCC_UPDATE=1 rewrites them.
func TestErrors(t *testing.T) {
	const path = "testdata/errors.txtar"
	a, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Files)%2 != 0 || len(a.Files) == 0 {
		t.Fatalf("%d sections, want pairs", len(a.Files))
	}
	for i := 0; i < len(a.Files); i += 2 {
		src, want := a.Files[i], &a.Files[i+1]
		name := strings.TrimSuffix(src.Name, ".ir")
		if src.Name == name || want.Name != name+".err" {
			t.Fatalf("sections %s and %s, want NAME.ir and NAME.err", src.Name, want.Name)
		}
		t.Run(name, func(t *testing.T) {
			_, err := Parse("t.ir", src.Data)
			if err == nil {
				t.Fatal("accepted")
			}
			got := err.Error() + "\n"
			if os.Getenv("SMPCC_UPDATE") != "" {
				want.Data = []byte(got)
			} else if got != string(want.Data) {
				t.Errorf("got\n%s\nwant\n%s", got, want.Data)
			}
		})
	}
	if os.Getenv("SMPCC_UPDATE") != "" && !t.Failed() {
		if err := os.WriteFile(path, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestHostile bounds what a hostile file makes us say and allocate.
func TestHostile(t *testing.T) {
	head := "module \"m\" {\nparties p0 p1\nfunc main {\n"
	_, err := Parse("t.ir", []byte(head+strings.Repeat("bad\n", 10_000)))
	if n := strings.Count(err.Error(), "t.ir:"); n != maxErrors {
		t.Errorf("%d mistakes are shown, want %d", n, maxErrors)
	}
	for _, c := range []struct{ name, src, want string }{
		{"long word", head + "v0 = " + strings.Repeat("x", 1<<20) + "\n", "unknown op"},
		{"long name", "module \"m\" {\n" + strings.Repeat("x", 1<<20) + "\n", "xxx..."},
		{"huge tensor", head + "v0 = const data=int[268435456]{1} : public int[268435456]\n}\n}\n", "holds 1 elements, want 268435456"},
		{"overflowing shape", head + "v0 = const data=int[4611686018427387904,4]{} : public int[0]\n}\n}\n", "has more than"},
		{"huge views", head + "v0 = const data=int[1]{1} : public int[1]\nv1 = expand v0 shape=[9223372036854775807] : public int[1]\n}\n}\n", "has more than"},
		{"huge window", head + `v0 = input name="x" owner="p0" elem="int" shape=[1,1,4,4] : private(p0) int[1,1,4,4]` + "\nv1 = maxpool v0 kernel=[2,2] pads=[9223372036854775807,0,1,0] : private(p0) int[1,1,1,1]\n}\n}\n", "maxpool"},
	} {
		_, err := Parse("t.ir", []byte(c.src))
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 10_000 {
			t.Errorf("%s: got %.300v, want %q", c.name, err, c.want)
		}
	}
}

// TestNames: whatever nodes and inputs are called, values have names of their own that are read back, and names do not change where another value is inserted.
func TestNames(t *testing.T) {
	nodes := []string{"", `node "/a/b/Add" (Add)`, `node "/a/b/Add" (Add)`, `node "/a/b" (Add)`, `node #3 -> "17" (Add)`, `node "v7" (Add)`, `node "v" (Add)`, `node "holds" (Add)`, `node "-x" (Add)`, `node "\x00é =:;" (Add)`,
		`node "` + strings.Repeat("deep/", 100) + `" (Add)`, `node "a.b.add.1" (Add)`, `node "`, `input "x"`, "node 12 (add)", `node "" (Add)`, `node "..//.." (Add)`}
	build := func(also bool) (*ir.Module, []*ir.Value) {
		f := ir.NewFunc("main")
		emit := func(pos diag.Pos, op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
			v, err := f.Emit(pos, op, attrs, args...)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		x := emit(diag.Pos{File: "m", Node: "input \"holds\""}, ir.OpInput, ir.Attrs{ir.S("name", "holds"), ir.S("owner", "p0"), ir.S("elem", "int"), ir.Is("shape")})
		if also {
			x = emit(diag.Pos{File: "m", Node: `node "/extra/Mul" (Mul)`}, ir.OpMul, nil, x, x)
		}
		var out []*ir.Value
		for i, n := range nodes {
			pos := diag.Pos{File: "m", Node: n, Within: []string{"", "f", "f/17", "v3"}[i%4]}
			if i == 0 {
				pos = diag.Pos{}
			}
			x = emit(pos, ir.OpAdd, nil, x, x)
			out = append(out, x)
		}
		out = append(out, emit(diag.Pos{File: "m"}, ir.OpReveal, ir.Attrs{ir.S("name", "v1"), ir.Ss("to", "p0")}, x))
		return &ir.Module{Name: "m", Parties: []string{"p0", "p1"}, Funcs: []*ir.Func{f}}, out
	}
	m, values := build(false)
	s := m.String()
	again, err := Parse("t.ir", []byte(s))
	if err != nil {
		t.Fatalf("%v\n%s", err, s)
	}
	if again.String() != s {
		t.Errorf("print, parse, print gives\n%s\nfrom\n%s", again, s)
	}
	longer, others := build(true)
	names, after := ir.Names(m.Main()), ir.Names(longer.Main())
	for i, v := range values[1:] { // the first has a number
		if names[v] != after[others[i+1]] {
			t.Errorf("%s is called %s when another value is inserted", names[v], after[others[i+1]])
		}
	}
}

// FuzzParse checks that no text crashes the parser or the verifier, and that what it accepts prints, parses and prints again
// the same.
func FuzzParse(f *testing.F) {
	for _, glob := range []string{"testdata/errors.txtar", "../../passes/testdata/*.txtar"} {
		files, err := filepath.Glob(glob)
		if err != nil || len(files) == 0 {
			f.Fatal("no files: ", glob, err)
		}
		for _, file := range files {
			a, err := txtar.ParseFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, s := range a.Files {
				if strings.HasSuffix(s.Name, ".ir") {
					f.Add(string(s.Data))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, src string) {
		m, err := Parse("t.ir", []byte(src))
		if err != nil {
			return
		}
		if err := ir.Verify(m); err != nil && strings.Contains(err.Error(), "internal error") {
			t.Error(err)
		}
		s := m.String()
		again, err := Parse("t.ir", []byte(s))
		if err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
		if again.String() != s {
			t.Errorf("print, parse, print gives\n%s\nfrom\n%s", again, s)
		}
	})
}
