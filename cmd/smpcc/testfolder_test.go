package main

import (
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smpcc/ir"
)

// TestDataRanges checks that ranges hold all data and are powers of two, which say no more of it than they must.
func TestDataRanges(t *testing.T) {
	reals := func(x ...float64) *ir.Tensor { return ir.Reals(ir.Shape{len(x)}, x...) }
	f := testFolder{sets: []testSet{
		{in: map[string]*ir.Tensor{"income": reals(60000), "mixed": reals(-3, 5), "zero": reals(0, 7.5), "none": reals(0), "below": reals(-60000, -20000),
			"power": reals(0.25, 4), "id": ir.Ints(ir.Shape{2}, 5, 9), "flag": {Elem: ir.Bool, Shape: ir.Shape{1}, I: []int64{1}}, "hole": reals(1)}},
		{in: map[string]*ir.Tensor{"income": reals(33000, 64000), "hole": reals(math.NaN())}},
	}}
	want := map[string][2]float64{"income": {32768, 65536}, "mixed": {-4, 8}, "zero": {0, 8}, "none": {0, 1}, "below": {-65536, -16384}, "power": {0.25, 4}, "id": {4, 16},
		"hole": {1, 1}} // a missing value has no magnitude
	got := map[string][2]float64{}
	for name, r := range f.ranges() {
		got[name] = r.all
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	for name, r := range got {
		if math.Signbit(r[0]) && r[0] == 0 {
			t.Errorf("%s begins at -0", name)
		}
	}
}

// TestColumnRanges checks that the columns of a table get ranges of their own, over all sets, and other tensors none.
func TestColumnRanges(t *testing.T) {
	table := func(rows int, x ...float64) *ir.Tensor { return ir.Reals(ir.Shape{rows, len(x) / rows}, x...) }
	f := testFolder{sets: []testSet{
		{in: map[string]*ir.Tensor{"x": table(2, 60000, 0.3, 33000, -0.1), "cube": ir.Reals(ir.Shape{1, 1, 2}, 1, 2), "ragged": table(1, 1, 2), "one": table(2, 1, 2)}},
		{in: map[string]*ir.Tensor{"x": table(1, 70000, 0), "ragged": table(1, 1, 2, 3)}},
	}}
	got := f.ranges()
	if want := map[int][2]float64{0: {32768, 131072}, 1: {-0.125, 0.5}}; !maps.Equal(got["x"].columns, want) {
		t.Errorf("got %v, want %v", got["x"].columns, want)
	}
	for _, name := range []string{"cube", "ragged", "one"} {
		if got[name].columns != nil {
			t.Errorf("%s has columns: %v", name, got[name].columns)
		}
	}
	if s := got["x"].String(); s != "-0.125..131072 by column" {
		t.Errorf("got %q", s)
	}
}

// TestProgramFolders runs folders of programs: integers are exact whatever the tolerance, and each way to be wrong is named.
func TestProgramFolders(t *testing.T) {
	const program = "parties a, b\ninput x: int[2] from a in 0..100\ninput y: real from b in 0..4\nreveal sum(x) to b as s\nreveal y * 0.5 to b as h\nreveal x > 7 to b as more\n"
	good := map[string]string{"program.smp": program, "x.json": "[7, 8]", "y.json": "3", "want.json": `{"s": 15, "h": 1.5, "more": [false, true]}`}
	for _, c := range []struct {
		name, file, text string
		code             int
		says             string
	}{
		{"right", "", "", exitDone, ", 3 integers or booleans, exactly; "},
		{"integer", "want.json", `{"s": 16, "h": 1.5, "more": [false, true]}`, exitFailed, `failed  DIR output "s": element 0 is 15, want 16`},
		{"large integer", "want.json", `{"s": 18446744073709551631, "h": 1.5, "more": [false, true]}`, exitFailed, `output "s": element 0 is 15, want 18446744073709551631`},
		{"real", "want.json", `{"s": 15, "h": 9, "more": [false, true]}`, exitFailed, `output "h": element 0 is 1.5`},
		{"boolean", "want.json", `{"s": 15, "h": 1.5, "more": [true, true]}`, exitFailed, `output "more": element 0 is false, want true`},
		{"kind", "want.json", `{"s": 15, "h": 1.5, "more": [0, 1]}`, exitFailed, `output "more": is bool, and want.json has another kind`},
		{"fraction", "want.json", `{"s": 15.5, "h": 1.5, "more": [false, true]}`, exitFailed, `output "s": want.json: element 0 is 15.5, want an integer`},
		{"missing", "want.json", `{"s": 15, "h": 1.5}`, exitFailed, `output "more" has no expected value in the folder`},
		{"more", "want.json", `{"s": 15, "h": 1.5, "more": [false, true], "z": 1}`, exitFailed, "4 outputs are expected, the model has 3"},
		{"no want", "want.json", "", exitFailed, "no want.json in this folder"},
		{"refused", "program.smp", strings.Replace(program, "sum(x)", "x * 9000000000000000000", 1), exitFailed, "skipped DIR  extreme values:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range good {
				if file == c.file {
					text = c.text
				}
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var out, errs strings.Builder
			code := Main(t.Context(), []string{"test", dir, "--rtol", "0.1"}, &out, &errs)
			if want := strings.ReplaceAll(c.says, "DIR", dir); code != c.code || !strings.Contains(out.String(), want) {
				t.Errorf("exit code %d and\n%s%s\nwant %d and %s", code, out.String(), errs.String(), c.code, want)
			}
		})
	}
}

// TestCounts checks the last line of smpcc test.
func TestCounts(t *testing.T) {
	_, line := counts([]testResult{{Status: "passed"}, {Status: "skipped"}, {Status: "skipped", Kind: "string"}, {Status: "skipped"}})
	if want := "1 passed, 0 failed, 3 skipped (2 refused, 1 string)"; line != want {
		t.Errorf("got %q, want %q", line, want)
	}
}
