package bench_test

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"smpcc"
	"smpcc/bench"
)

// functionsDoc holds a table of errors: what it states is an upper bound of what secure runs are off by, and no more than four times as much.
const functionsDoc = "../docs/functions.md"

// The table stands between these lines.
const (
	tableBegins = "<!-- errors -->\n"
	tableEnds   = "<!-- end of errors -->\n"
)

// bounded rounds an error up to two digits, with three quarters more for runs that have other masks.
func bounded(e float64) string {
	if e == 0 {
		return "-"
	}
	e *= 1.75
	unit := math.Pow(10, math.Floor(math.Log10(e))-1)
	return fmt.Sprintf("%.1e", math.Ceil(e/unit)*unit)
}

// TestErrorsOfFunctions runs every function securely over its ranges, on 1500 arguments, against float64: none may be off by more than half of the tolerance,
// nor by more than the document says. SMPCC_UPDATE=1 writes the document's table.
func TestErrorsOfFunctions(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and of numbers alone")
	}
	const arguments = 1500
	data, err := os.ReadFile(functionsDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegins)
	table, after, also := strings.Cut(rest, tableEnds)
	if !ok || !also {
		t.Fatalf("%s has no table between %q and %q", functionsDoc, tableBegins, tableEnds)
	}
	stated := map[string][]string{}
	for _, line := range strings.Split(table, "\n") {
		if cells := strings.Split(line, "|"); len(cells) == 6 {
			stated[strings.TrimSpace(cells[1])+" on "+strings.TrimSpace(cells[2])] = cells[3:5]
		}
	}
	var b bytes.Buffer
	b.WriteString("| function | on | absolute error of results up to 1 | relative error of larger results |\n|---|---|---|---|\n")
	for _, f := range bench.Functions() {
		on := fmt.Sprintf("%.4g..%.4g", f.Lo, f.Hi)
		t.Run(string(f.Op)+" on "+on, func(t *testing.T) {
			r, err := bench.MeasureFunction(context.Background(), f, arguments, smpcc.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", f.Op, on, bounded(r.Absolute), bounded(r.Relative))
			if r.Used > 0.75 {
				t.Errorf("off by %.2f of the tolerance, want 0.75 at most", r.Used)
			}
			if os.Getenv("SMPCC_UPDATE") != "" {
				return
			}
			says := stated[string(f.Op)+" on "+on]
			if len(says) == 0 {
				t.Fatalf("%s does not state its errors", functionsDoc)
			}
			for i, e := range []float64{r.Absolute, r.Relative} {
				bound := 0.0
				if cell := strings.TrimSpace(says[i]); cell != "-" {
					if _, err := fmt.Sscanf(cell, "%g", &bound); err != nil {
						t.Fatalf("%s states %q", functionsDoc, cell)
					}
				}
				if !(e <= bound) || e < bound/4 {
					t.Errorf("off by %.2g, %s says %.2g", e, functionsDoc, bound)
				}
			}
		})
	}
	if os.Getenv("SMPCC_UPDATE") != "" && !t.Failed() {
		if err := os.WriteFile(functionsDoc, []byte(before+tableBegins+b.String()+tableEnds+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
