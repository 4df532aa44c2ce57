package main

import (
	"strings"
	"testing"

	"smpcc/ir"
)

func TestPrintDepartures(t *testing.T) {
	list := []departure{{`node "a"`, ir.OpMatMul, 3, 12.5, -8, 8, ir.Calibrated}, {`node "b"`, ir.OpRelu, 0, 9, 0, 8, ir.Calibrated}}
	for _, all := range []bool{false, true} {
		var b strings.Builder
		if err := printDepartures(&b, list, all); err != nil {
			t.Fatal(err)
		}
		for want, shown := range map[string]bool{
			`matmul of node "a": element 3 is 12.5, outside the range -8..8 (calibrated)`: true,
			`node "b"`: all,
			"and 1 more nodes behind it; --per-op lists them": !all,
		} {
			if strings.Contains(b.String(), want) != shown {
				t.Errorf("all %v: %q is there: %v\n%s", all, want, !shown, &b)
			}
		}
	}
	var b strings.Builder
	if err := printDepartures(&b, nil, true); err != nil || b.Len() > 0 {
		t.Errorf("prints %q of nothing", &b)
	}
}
