package bench

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

func report() *Report {
	return &Report{Machine: &Machine{CPU: "An Abacus", Cores: 3, MACs: 2e9, Loopback: 1e9}, Runs: 7, Results: []*Result{
		{Name: "lenet-1", Transport: "memory", Batch: 1, Sessions: 7, Online: Phase{Seconds: 0.5, Fastest: 0.25, Rounds: 26, CPU: 0.8}, Offline: Phase{CPU: 0.125}, Floor: 0.125, PeakRSS: 5 << 20, Grown: 4 << 20,
			Predicted: &Prediction{Online: 0.6, CPU: 0.4, Memory: 3 << 20}, Spent: map[string]float64{"comparison": 0.3, "exchange": 0.1}},
		{Name: "relu-1m", Transport: "grpc", Batch: 1, Sessions: 3, Online: Phase{Seconds: 2, Rounds: 4}, Offline: Phase{ByRole: map[string]float64{"d": 0.75, "p1": 0.5}}, Floor: 1},
		{Name: "resnet18", Transport: "wan", Batch: 1, Failure: "its process was killed | by somebody"},
	}, Batches: []*Result{{Name: "lenet-1", Transport: "memory", Batch: 8, Online: Phase{Seconds: 1}, Floor: 1}, {Name: "lenet-1", Transport: "memory", Batch: 32, Online: Phase{Seconds: 8}, Floor: 1}}}
}

// TestMarkdown checks that a page names the machine, has one complete row per result and says how to measure each again.
func TestMarkdown(t *testing.T) {
	r := report()
	page := string(r.Markdown("shown.svg"))
	for _, want := range []string{"An Abacus, 3 cores", "medians of at most 7 sessions", "(shown.svg)", "| lenet-1 | memory | 0.5000 | 0.2500 | 26 |", "| 4.0 |", "| 0.6000 | +20 % | 0.8000 | 0.4000 | -50 % | 4 | 3 | -25 % |",
		"`smpcc bench --only lenet-1 --transport memory --runs 7`", "`smpcc bench --only relu-1m --transport grpc --runs 7`", "- lenet-1: LeNet",
		"| resnet18 | wan | failed: its process was killed \\| by somebody |", "| lenet-1 | 0.4000 | 75 % | 25 % |", "CPU s d | CPU s p1", "| 0.7500 | 0.5000 |",
		"| lenet-1 | 8 | **8.0** |", "| lenet-1 | 32 | 4.0 |", "`smpcc bench --only lenet-1 --transport memory --runs 7 --batch 8`"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in\n%s", want, page)
		}
	}
	if strings.Contains(page, "- resnet50") {
		t.Error("a model that did not run is listed")
	}
	columns := 0
	for line := range strings.Lines(strings.ReplaceAll(page, "\\|", "")) {
		n := strings.Count(line, "|")
		if n > 0 && columns > 0 && n != columns {
			t.Errorf("%d columns, want %d: %s", n, columns, line)
		}
		columns = n
	}
	r.Results[0].Predicted, r.Batches = nil, nil
	if page := string(r.Markdown("shown.svg")); strings.Contains(page, "redicted") || strings.Contains(page, "Throughput") {
		t.Errorf("predictions without a profile, or throughput without batches:\n%s", page)
	}
	r.Results = r.Results[2:]
	if page := string(r.Markdown("shown.svg")); strings.Contains(page, "shown.svg") || strings.Contains(page, "Where the time goes") {
		t.Errorf("a plot or times of nothing:\n%s", page)
	}
}

// TestJSON checks the names that others read.
func TestJSON(t *testing.T) {
	data, err := json.Marshal(report())
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(data, &top); err != nil {
		t.Fatal(err)
	}
	has := func(what string, m map[string]any, names ...string) {
		t.Helper()
		for _, n := range names {
			if _, ok := m[n]; !ok {
				t.Errorf("%s has no %s: there are %v", what, n, slices.Sorted(maps.Keys(m)))
			}
		}
	}
	has("the report", top, "machine", "results")
	for _, x := range top["results"].([]any) {
		r := x.(map[string]any)
		has("a result", r, "name", "transport", "setup", "offline", "online", "peak_rss_bytes", "floor_seconds")
		for _, ph := range []string{"setup", "offline", "online"} {
			has(ph, r[ph].(map[string]any), "seconds", "rounds", "bytes_sent")
		}
	}
}
