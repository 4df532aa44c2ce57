package main

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

// place is where a model is refused: its file, and the node, input or output.
var place = regexp.MustCompile(`^(.*/model\.onnx: )?((node .*?\)|(input |output )?"[^"]*"): )?`)

// refusedMeans introduces the list of refusals.
const refusedMeans = `Refused for what they are: strings, sequences, optional values, random numbers, training, quantised data, image decoding, and
results whose shape depends on secret data, which everybody would see. Extreme values are tests whose inputs or expected outputs fixed
point does not have: infinities, NaN, and numbers outside the range that the plan relies on. Nothing that ran is in this list.

`

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
	list := func(status, title, about string, kinds bool) {
		type reason struct{ kind, why string }
		reasons := map[reason][]string{}
		perKind := map[string]int{}
		for _, r := range all {
			if r.Status == status {
				why, _, _ := strings.Cut(r.Why, "\n")
				if status == "skipped" { // the reason without the place
					why = place.ReplaceAllString(why, "")
				}
				kind := cmp.Or(r.Kind, "not supported")
				if !kinds {
					kind = ""
				}
				reasons[reason{kind, why}] = append(reasons[reason{kind, why}], filepath.Base(r.Dir))
				perKind[kind]++
			}
		}
		if len(reasons) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n## %s\n\n%s", title, about)
		if kinds {
			b.WriteString("| kind | tests |\n|---|---:|\n")
			names := sortedKeys(perKind)
			sort.SliceStable(names, func(i, j int) bool { return perKind[names[i]] > perKind[names[j]] })
			for _, k := range names {
				fmt.Fprintf(&b, "| %s | %d |\n", k, perKind[k])
			}
			b.WriteString("\n| kind | reason | tests |\n|---|---|---|\n")
		} else {
			b.WriteString("| reason | tests |\n|---|---|\n")
		}
		keys := slices.SortedFunc(maps.Keys(reasons), func(x, y reason) int {
			return cmp.Or(perKind[y.kind]-perKind[x.kind], cmp.Compare(x.kind, y.kind), len(reasons[y])-len(reasons[x]), cmp.Compare(x.why, y.why))
		})
		for _, k := range keys {
			if kinds {
				fmt.Fprintf(&b, "| %s ", k.kind)
			}
			fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(k.why, "|", "\\|"), strings.Join(reasons[k], " "))
		}
	}
	list("failed", "Failed", "", false)
	list("skipped", "Refused", refusedMeans, true)
	fmt.Fprintf(&b, "\n## By operator\n\nTests whose model has the operator.\n\n| operator | passed | failed | refused |\n|---|---:|---:|---:|\n")
	for _, k := range sortedKeys(ops) {
		fmt.Fprintf(&b, "| %s | %d | %d | %d |\n", k, ops[k].passed, ops[k].failed, ops[k].refused)
	}
	return b.String()
}
