package bench

import (
	"strings"
	"testing"
)

// TestMarkdown checks that a page names the machine, has one complete row per result and says how to measure each again.
func TestMarkdown(t *testing.T) {
	r := &Report{Machine: &Machine{CPU: "An Abacus", Cores: 3, MACs: 2e9, Loopback: 1e9}, Runs: 7, Results: []*Result{
		{Name: "lenet-1", Transport: "memory", Batch: 1, Online: Phase{Seconds: 0.5, Fastest: 0.25, Rounds: 26}, Floor: 0.125, PeakRSS: 5 << 20, Predicted: &Prediction{Online: 0.6}},
		{Name: "relu-1m", Transport: "grpc", Batch: 1, Online: Phase{Seconds: 2, Rounds: 4}, Floor: 1},
	}}
	page := string(r.Markdown("shown.svg"))
	for _, want := range []string{"An Abacus, 3 cores", "medians of 7 sessions", "(shown.svg)", "| lenet-1 | memory | 0.5000 | 0.2500 | 26 |", "| 4.0 |", "0.6000 (+20 %)",
		"`smpcc bench --only lenet-1 --transport memory --runs 7`", "`smpcc bench --only relu-1m --transport grpc --runs 7`", "- lenet-1: LeNet"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "- resnet50") {
		t.Error("a model that did not run is listed")
	}
	columns := 0
	for line := range strings.Lines(page) {
		if n := strings.Count(line, "|"); n > 0 {
			if columns == 0 {
				columns = n
			}
			if n != columns {
				t.Errorf("%d columns, want %d: %s", n, columns, line)
			}
		}
	}
	r.Results[0].Predicted = nil
	if page := string(r.Markdown("shown.svg")); strings.Contains(page, "redicted") {
		t.Errorf("predictions without a profile:\n%s", page)
	}
}
