package dsl

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"smpcc/ir/text"
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
		name := strings.TrimSuffix(src.Name, ".smp")
		if src.Name == name || want.Name != name+".err" {
			t.Fatalf("sections %s and %s, want NAME.smp and NAME.err", src.Name, want.Name)
		}
		t.Run(name, func(t *testing.T) {
			_, err := Parse("t.smp", src.Data, Options{})
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

// TestManyMistakes bounds what a hostile program makes us say.
func TestManyMistakes(t *testing.T) {
	_, err := Parse("t.smp", []byte("parties a, b\n"+strings.Repeat("let x = $\n", 10_000)), Options{})
	if n := strings.Count(err.Error(), "t.smp:"); n != maxErrors {
		t.Errorf("%d mistakes are shown, want %d", n, maxErrors)
	}
	for _, c := range []struct{ name, src, want string }{
		{"deep brackets", "let x = " + strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), "brackets are nested deeper than 100"},
		{"long file", strings.Repeat("#", maxSource+1), "program has more than 1048576 bytes"},
		{"deep functions", "parties a, b\ninput x: int from a\nfn f0(x) { return x }\n" + chain(60, "fn f%d(x) { return f%d(x) }\n") + "reveal f60(x) to a as y", "calls are nested deeper than 50"},
		{"many values", "parties a, b\ninput x: int from a\nfn f0(x) { return x + x }\n" + chain(40, "fn f%d(x) { return f%[2]d(f%[2]d(x)) }\n") + "reveal f40(x) to a as y", "program grows beyond 100000 values"},
		{"many signs", "parties a, b\nreveal " + strings.Repeat("-", 100_000) + "1 to a as y\nlet z = q", `unknown name "q"`},
	} {
		_, err := Parse("t.smp", []byte(c.src), Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 100_000 {
			t.Errorf("%s: got %.300v, want %q", c.name, err, c.want)
		}
	}
}

// FuzzParse checks that no text crashes the reader, and that what it accepts is a module whose printed form reads back.
func FuzzParse(f *testing.F) {
	a, err := txtar.ParseFile("testdata/errors.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range a.Files {
		if strings.HasSuffix(s.Name, ".smp") {
			f.Add(string(s.Data))
		}
	}
	auction, err := os.ReadFile("../../examples/auction/auction.smp")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(auction))
	f.Add("parties a, b\ninput x: real[2,3] from a in -1..1\nweight w: real[3] from b\nlet y = sigmoid(x @ w) * 2\nreveal where(y > 0.5, y, -y)[0:1] to a, b as z\n")
	f.Fuzz(func(t *testing.T, src string) {
		m, err := Parse("t.smp", []byte(src), Options{})
		if err != nil {
			if strings.Contains(err.Error(), "internal error") {
				t.Error(err)
			}
			return
		}
		s := m.String()
		again, err := text.Parse("t.ir", []byte(s))
		if err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
		if again.String() != s {
			t.Errorf("print, parse, print gives\n%s\nfrom\n%s", again, s)
		}
	})
}

// chain repeats a format for 1..n with its predecessor.
func chain(n int, format string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, format, i, i-1)
	}
	return b.String()
}
