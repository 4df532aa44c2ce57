package dsl

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc/ir"
)

// TestFormat sets blanks and indents.
func TestFormat(t *testing.T) {
	const src = "parties  a,b\n\n\n\ninput x :int[ 3 ]from a in -5 .. 5   # data\nfn f( v , by = 2 ){\nlet w=v*-by\nif by==2{\nreturn - w\n}else if by>3 { return w [0:2] [ 1 ] }\n  return (w)\n}\nlet r={ k: x,\nl:f(x , by= 3)}\nreveal sum( r . k ,axis = 0)to a,b as s\n\n"
	const want = "parties a, b\n\ninput x: int[3] from a in -5..5 # data\nfn f(v, by=2) {\n    let w = v * -by\n    if by == 2 {\n        return -w\n    } else if by > 3 { return w[0:2][1] }\n    return (w)\n}\nlet r = { k: x,\n    l: f(x, by=3)}\nreveal sum(r.k, axis=0) to a, b as s\n"
	got, err := Format("t.smp", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if _, err := Format("t.smp", []byte("let x = = 3\n")); err == nil || !strings.Contains(err.Error(), "t.smp:1:9") {
		t.Errorf("a mistake gives %v", err)
	}
}

// TestFormatChangesNothing: examples and the library mean the same behind it, and formatting them again changes nothing.
func TestFormatChangesNothing(t *testing.T) {
	files, err := filepath.Glob("../../examples/*/*.smp")
	if err != nil || len(files) == 0 {
		t.Fatalf("no programs: %v", err)
	}
	more, err := filepath.Glob("library/*.smp")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(files, more...) {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		once, err := Format(f, src)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := Format(f, once)
		if err != nil || string(twice) != string(once) {
			t.Errorf("%s: formatting it again changes it: %v", f, err)
		}
		if string(once) != string(src) {
			t.Errorf("%s is not formatted: smpcc fmt -w", f)
		}
		squeezed := strings.ReplaceAll(string(src), "    ", "")
		a, err1 := Parse("t.smp", src, Options{Sizeless: true})
		b, err2 := Parse("t.smp", []byte(squeezed), Options{Sizeless: true})
		if err1 == nil && err2 == nil && withoutPlaces(a) != withoutPlaces(b) {
			t.Errorf("%s: blanks change what it means", f)
		}
	}
}

// withoutPlaces prints a module without positions.
func withoutPlaces(m *ir.Module) string {
	var b strings.Builder
	for _, l := range strings.Split(m.String(), "\n") {
		l, _, _ = strings.Cut(l, "  @ ")
		b.WriteString(strings.TrimRight(l, " ") + "\n")
	}
	return b.String()
}
