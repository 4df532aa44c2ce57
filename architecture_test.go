package smpcc_test

import (
	"fmt"
	"go/doc"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestArchitecture writes the picture of docs/architecture.md from the rules of deps_test.go and the packages' own first sentences. SMPCC_UPDATE=1
// rewrites it.
func TestArchitecture(t *testing.T) {
	imports := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(rules), "\n") {
		pkg, deps, _ := strings.Cut(line, ":")
		imports[pkg] = strings.Fields(deps)
	}
	height := map[string]int{} // the longest way down
	var climb func(pkg string) int
	climb = func(pkg string) int {
		h, ok := height[pkg]
		if ok {
			return h
		}
		for _, d := range imports[pkg] {
			h = max(h, climb(d)+1)
		}
		height[pkg] = h
		return h
	}
	var layers [][]string
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		for h := climb(pkg); len(layers) <= h; {
			layers = append(layers, nil)
		}
		layers[height[pkg]] = append(layers[height[pkg]], pkg)
	}
	var b strings.Builder
	b.WriteString("```\n")
	for h, pkgs := range slices.Backward(layers) {
		line := fmt.Sprintf("%2d ", h)
		for _, pkg := range pkgs {
			if len(line)+len(title(pkg)) > 118 {
				b.WriteString(line + "\n")
				line = "   "
			}
			line += "  " + title(pkg)
		}
		b.WriteString(line + "\n")
	}
	b.WriteString("```\n\n| package | what it is | imports of ours | imports of others |\n|---|---|---|---|\n")
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		var ours, theirs []string
		for _, d := range imports[pkg] {
			ours = append(ours, title(d))
		}
		for _, module := range slices.Sorted(maps.Keys(owners)) {
			if slices.Contains(owners[module], pkg) {
				theirs = append(theirs, module)
			}
		}
		fmt.Fprintf(&b, "| [%s](%s) | %s | %s | %s |\n", title(pkg), strings.TrimSuffix("../"+pkg, "/."), sentence(t, pkg), strings.Join(ours, ", "), strings.Join(theirs, ", "))
	}
	const file, from, to = "docs/architecture.md", "<!-- from the rules of deps_test.go: make golden writes it -->\n", "<!-- end -->\n"
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(old), from)
	_, after, ok2 := strings.Cut(rest, to)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for the picture", file)
	}
	now := before + from + b.String() + to + after
	if now == string(old) {
		return
	}
	if os.Getenv("SMPCC_UPDATE") == "" {
		t.Fatalf("%s is not what deps_test.go and the packages say: SMPCC_UPDATE=1 go test -run TestArchitecture . writes it", file)
	}
	if err := os.WriteFile(file, []byte(now), 0o644); err != nil {
		t.Fatal(err)
	}
}

// title is how a package is named in the picture.
func title(pkg string) string {
	if pkg == "." {
		return "smpcc"
	}
	return pkg
}

// sentence returns the first sentence of a package's documentation.
func sentence(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(pkg), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if f.Doc == nil {
			continue
		}
		s := new(doc.Package).Synopsis(f.Doc.Text())
		for _, begin := range []string{"Package " + f.Name.Name + " ", "Command " + filepath.Base(pkg) + " ", "is "} {
			s = strings.TrimPrefix(s, begin)
		}
		return strings.ReplaceAll(s, "|", "\\|")
	}
	t.Errorf("package %s has no documentation", pkg)
	return ""
}

// TestGlossary checks that each word of docs/glossary.md stands there once, in order, with a meaning.
func TestGlossary(t *testing.T) {
	text, err := os.ReadFile("docs/glossary.md")
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, line := range strings.Split(string(text), "\n") {
		if word, rest, ok := strings.Cut(strings.TrimPrefix(line, "**"), "**"); ok && strings.HasPrefix(line, "**") {
			words = append(words, strings.ToLower(strings.TrimSuffix(word, ".")))
			if strings.TrimSpace(rest) == "" {
				t.Errorf("%q has no meaning", word)
			}
		}
	}
	if len(words) < 40 {
		t.Errorf("%d words", len(words))
	}
	for i := 1; i < len(words); i++ {
		if words[i] <= words[i-1] {
			t.Errorf("%q stands behind %q", words[i], words[i-1])
		}
	}
}
