package text

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"smpcc/ir"
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
