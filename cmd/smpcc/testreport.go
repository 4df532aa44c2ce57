package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// place is where a model is refused: its file, and the node, input or output.
var place = regexp.MustCompile(`^(.*/model\.onnx: )?((node .*?\)|(input |output )?"[^"]*"): )?`)

// testReport renders the results of smpcc test by operator.
func testReport(all []testResult, atol, rtol float64) string {
	var b strings.Builder
	type row struct{ passed, failed, refused int }
	total := row{}
	suites := map[string]*row{}
	ops := map[string]*row{}
	count := func(r *row, status string) {
		switch status {
		case "passed":
			r.passed++
		case "failed":
			r.failed++
		default:
			r.refused++
		}
	}
	at := func(m map[string]*row, k string) *row {
		if m[k] == nil {
			m[k] = &row{}
		}
		return m[k]
	}
	for _, r := range all {
		count(&total, r.Status)
		count(at(suites, filepath.Base(filepath.Dir(r.Dir))), r.Status)
		for _, o := range r.Ops {
			count(at(ops, o), r.Status)
		}
	}
	fmt.Fprintf(&b, "# Conformance\n\nEach test of the ONNX project runs under secure execution: float inputs and weights are secret, and every element must be\n")
	fmt.Fprintf(&b, "within %g + %g |expected|. Written by `make conformance`.\n\n", atol, rtol)
	fmt.Fprintf(&b, "| suite | passed | failed | refused |\n|---|---:|---:|---:|\n")
	for _, k := range sortedKeys(suites) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", k, suites[k].passed, suites[k].failed, suites[k].refused)
	}
	fmt.Fprintf(&b, "| all | %d | %d | %d |\n", total.passed, total.failed, total.refused)
	list := func(status, title string) {
		reasons := map[string][]string{}
		for _, r := range all {
			if r.Status == status {
				why, _, _ := strings.Cut(r.Why, "\n")
				if status == "skipped" { // the reason without the place
					why = place.ReplaceAllString(why, "")
				}
				reasons[why] = append(reasons[why], filepath.Base(r.Dir))
			}
		}
		if len(reasons) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n| reason | tests |\n|---|---|\n", title)
		keys := sortedKeys(reasons)
		sort.SliceStable(keys, func(i, j int) bool { return len(reasons[keys[i]]) > len(reasons[keys[j]]) })
		for _, k := range keys {
			fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(k, "|", "\\|"), strings.Join(reasons[k], " "))
		}
	}
	list("failed", "Failed")
	list("skipped", "Refused")
	fmt.Fprintf(&b, "\n## By operator\n\nTests whose model has the operator.\n\n| operator | passed | failed | refused |\n|---|---:|---:|---:|\n")
	for _, k := range sortedKeys(ops) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", k, ops[k].passed, ops[k].failed, ops[k].refused)
	}
	return b.String()
}
