package control

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadDataset reads schemas of data, and says of wrong ones where and why.
func TestReadDataset(t *testing.T) {
	const good = "name: loans\nrows: 5\npolicy: p.yaml\ncolumns: [{name: a, type: real, lo: -1, hi: 2}, {name: b, type: text, words: [x, y]}]\n"
	for _, tt := range []struct{ text, want string }{
		{good, ""},
		{"rows: 5\ncolumns: [{name: a, type: int}]\n", `name: "": want a name of one line`},
		{strings.Replace(good, "loans", `"a\nb"`, 1), "want a name of one line"},
		{strings.Replace(good, "5", "-5", 1), ":2:7: rows: -5: want a number of rows"},
		{"name: x\nrows: 1\n", "columns: 0 columns are listed"},
		{strings.Replace(good, "real", "float", 1), `column 1: "a" has the type "float": want one of [real int bool text]`},
		{strings.Replace(good, "hi: 2", "hi: -2", 1), "want lo and hi, lo the smaller one"},
		{strings.Replace(good, ", hi: 2", "", 1), "want lo and hi"},
		{strings.Replace(good, "hi: 2", "hi: .inf", 1), "want lo and hi"},
		{strings.Replace(good, "name: b", "name: a", 1), `column "a" is there twice`},
		{good + "mean: 3\n", `unknown field "mean"`}, // nothing that was computed from data has a place
		{strings.Replace(good, "lo: -1", "mean: 3", 1), `unknown field "mean"`},
		{"name: x\nrows: 1\ncolumns: [{name: a, type: text, words: [" + strings.Repeat("w, ", 300) + "]}]\n", "lists 300 words, at most 256"},
		{strings.Repeat("#", 1<<20+1), "more than 1048576 bytes"},
	} {
		file := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d, err := ReadDataset(file)
		switch {
		case tt.want == "" && (err != nil || d.Policy != filepath.Join(filepath.Dir(file), "p.yaml") || len(d.Columns) != 2):
			t.Errorf("%+v, %v", d, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), file)):
			t.Errorf("%.80q: %v, want %q", tt.text, err, tt.want)
		}
	}
}

// TestRoundedRows is the table of what a catalogue says of numbers of rows.
func TestRoundedRows(t *testing.T) {
	for n, want := range map[int]string{0: "fewer than 20", 19: "fewer than 20", 20: "about 20", 24: "about 20", 25: "about 30", 95: "about 100", 149: "about 100", 4711: "about 5000", 1 << 62: "about 5000000000000000000"} {
		if got := RoundedRows(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

// TestBudgetShort is the table of when 80 % are used.
func TestBudgetShort(t *testing.T) {
	for _, tt := range []struct {
		used, most uint64
		short      bool
	}{{0, 1, false}, {1, 1, true}, {79, 100, false}, {80, 100, true}, {7, 9, false}, {8, 9, true}, {3, 4, false}, {4, 4, true}, {1<<64 - 1, 1<<64 - 1, true}, {0, 1<<64 - 1, false}} {
		if got := Short(tt.used, tt.most); got != tt.short {
			t.Errorf("%d of %d: %v", tt.used, tt.most, got)
		}
		if b := (Budget{Most: tt.most, Used: tt.used}); b.Left() != tt.most-tt.used || b.Short() != tt.short {
			t.Errorf("%d of %d: %d left", tt.used, tt.most, b.Left())
		}
	}
}
