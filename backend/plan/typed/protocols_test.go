package typed

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestEveryRowHasASection checks that docs/protocols.md says of every row in which section its cryptography stands, and of nothing else.
func TestEveryRowHasASection(t *testing.T) {
	page, err := os.ReadFile("../../../docs/protocols.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "\n## Rows of the typed plan\n")
	if !ok {
		t.Fatal("there is no table of rows")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9]+)` \\|.*\\]\\(#([a-z0-9-]+)\\) \\|$").FindAllStringSubmatch(table, -1) {
		listed[m[1]] = true
		if !regexp.MustCompile("(?im)^##+ " + strings.ReplaceAll(m[2], "-", "[ -]") + "$").Match(page) {
			t.Errorf("%s: there is no section %s", m[1], m[2])
		}
	}
	for op, row := range Rows {
		if !listed[row.Name] {
			t.Errorf("row %s (%d) has no section in docs/protocols.md", row.Name, op)
		}
		delete(listed, row.Name)
	}
	for name := range listed {
		t.Errorf("docs/protocols.md lists %q, which is no row", name)
	}
}
