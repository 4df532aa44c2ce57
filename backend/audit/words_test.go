package audit

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"smpcc"
)

// TestWords: there are 25 words of one sentence each, docs/audit-words.md holds them, and a page has them all and links to none that is not there. SMPCC_UPDATE=1
// rewrites the document.
func TestWords(t *testing.T) {
	if len(Words) != 25 {
		t.Errorf("%d words, want 25", len(Words))
	}
	for _, x := range Words {
		if !strings.HasSuffix(x.Meaning, ".") || strings.Contains(strings.TrimSuffix(x.Meaning, "."), ". ") {
			t.Errorf("%s is not explained in one sentence", x.Name)
		}
	}
	const file = "../../docs/audit-words.md"
	var b bytes.Buffer
	if err := WriteWords(&b); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("SMPCC_UPDATE") != "" {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
		t.Errorf("%s does not hold the words (%v): SMPCC_UPDATE=1 writes it", file, err)
	}
	page := written(t, compile(t, "../../examples/auction/auction.smp", smpcc.Options{}), "html")
	at := map[string]bool{}
	for _, m := range regexp.MustCompile(`id="(word-[^"]+)"`).FindAllStringSubmatch(page, -1) {
		at[m[1]] = true
	}
	linked := map[string]bool{}
	for _, m := range regexp.MustCompile(`href="#(word-[^"]+)"`).FindAllStringSubmatch(page, -1) {
		if linked[m[1]] = true; !at[m[1]] {
			t.Errorf("the page links to %s, which is not there", m[1])
		}
	}
	if len(at) != len(Words) || len(linked) < 20 {
		t.Errorf("the page has %d words and links to %d", len(at), len(linked))
	}
}
