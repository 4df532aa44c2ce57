package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"smpcc/backend/plan"
)

// A Diff is what changed in who learns what between two plans.
type Diff struct {
	Version int      `json:"version"`
	Old     string   `json:"old_plan_digest"`
	New     string   `json:"new_plan_digest"`
	More    []string `json:"more"`  // what the new plan reveals, or allows, beyond the old one
	Less    []string `json:"less"`  // what it no longer does
	Other   []string `json:"other"` // changes that reveal neither more nor less by themselves
}

// A fact is one thing that a receiver learns: data of a source in a form, through an output.
type fact struct{ receiver, output, owner, kind, source string }

func (f fact) String() string {
	return fmt.Sprintf("%s learns output %q, which derives from %s %q of %s", f.receiver, f.output, f.kind, f.source, f.owner)
}

// Compare compares two plans.
func Compare(old, now *plan.Plan) (*Diff, error) {
	d := &Diff{Version: Version, Old: old.Digest(), New: now.Digest(), More: []string{}, Less: []string{}, Other: []string{}}
	a, err := Of(old)
	if err != nil {
		return nil, fmt.Errorf("old plan: %w", err)
	}
	b, err := Of(now)
	if err != nil {
		return nil, fmt.Errorf("new plan: %w", err)
	}
	forms := func(a *Report) (map[fact]string, []fact) {
		out, order := map[fact]string{}, []fact(nil)
		for _, w := range a.Flows {
			for _, to := range w.To {
				f := fact{to, w.Output, w.Owner, w.Kind, w.Source}
				if _, ok := out[f]; !ok {
					order = append(order, f)
				}
				out[f] = w.Form
			}
		}
		return out, order
	}
	was, wasOrder := forms(a)
	is, isOrder := forms(b)
	as := func(form string) string {
		if form == "" {
			return "any function of it"
		}
		var parts []string
		for _, s := range strings.Split(form, ",") {
			if n, rows := strings.CutPrefix(s, "rows>="); rows {
				parts = append(parts, "sums and means over at least "+n+" rows")
			} else {
				parts = append(parts, "its arg-max")
			}
		}
		return "only " + strings.Join(parts, " of ")
	}
	for _, f := range isOrder {
		before, ok := was[f]
		switch {
		case !ok:
			d.More = append(d.More, f.String()+", as "+as(is[f]))
		case before != is[f] && weaker(is[f], before):
			d.More = append(d.More, fmt.Sprintf("%s: was %s, is %s", f, as(before), as(is[f])))
		case before != is[f]:
			d.Less = append(d.Less, fmt.Sprintf("%s: was %s, is %s", f, as(before), as(is[f])))
		}
	}
	for _, f := range wasOrder {
		if _, ok := is[f]; !ok {
			d.Less = append(d.Less, "no longer: "+f.String())
		}
	}
	ports := func(list []plan.Port) map[string]plan.Port {
		out := map[string]plan.Port{}
		for _, t := range list {
			out[t.Name] = t
		}
		return out
	}
	outs := ports(old.Manifest.Outputs)
	for _, t := range now.Manifest.Outputs {
		o, ok := outs[t.Name]
		if !ok {
			continue
		}
		if t.Len() > o.Len() {
			d.More = append(d.More, fmt.Sprintf("output %q has %d elements, it had %d", t.Name, t.Len(), o.Len()))
		} else if t.Len() < o.Len() {
			d.Less = append(d.Less, fmt.Sprintf("output %q has %d elements, it had %d", t.Name, t.Len(), o.Len()))
		}
		if t.Elem != o.Elem {
			d.Other = append(d.Other, fmt.Sprintf("output %q is %s, it was %s", t.Name, t.Elem, o.Elem))
		}
	}
	guards := func(p *plan.Plan) map[string]plan.Guard {
		out := map[string]plan.Guard{}
		for _, g := range p.Manifest.Guards {
			out[g.Owner] = g
		}
		return out
	}
	before, after := guards(old), guards(now)
	owners := map[string]bool{}
	for _, p := range []*plan.Plan{old, now} {
		for _, r := range p.Manifest.Policies {
			owners[r.Owner] = true
		}
	}
	say := func(more bool, format string, args ...any) {
		if s := fmt.Sprintf(format, args...); more {
			d.More = append(d.More, s)
		} else {
			d.Less = append(d.Less, s)
		}
	}
	for _, o := range sortedKeys(owners) {
		g, h := before[o], after[o]
		if g.MaxRuns != h.MaxRuns {
			say(h.MaxRuns == 0 || g.MaxRuns != 0 && h.MaxRuns > g.MaxRuns, "%s allows %s, it allowed %s", o, atMost(h.MaxRuns, "run"), atMost(g.MaxRuns, "run"))
		}
		if g.MinBatch != h.MinBatch {
			say(h.MinBatch < g.MinBatch, "%s asks for %d rows a run at least, it asked for %d", o, h.MinBatch, g.MinBatch)
		}
		if g.Expires != h.Expires {
			say(h.Expires == 0 || g.Expires != 0 && h.Expires > g.Expires, "%s lets it run until %s, it was %s", o, until(h.Expires), until(g.Expires))
		}
		if !slices.Equal(g.Approve, h.Approve) {
			say(len(h.Approve) == 0 || slices.ContainsFunc(h.Approve, func(k string) bool { return len(g.Approve) > 0 && !slices.Contains(g.Approve, k) }),
				"%s wants the approval of %s, it wanted that of %s", o, anyOf(h.Approve), anyOf(g.Approve))
		}
		if g.Silent != h.Silent {
			say(g.Silent, "ranges and formats derive from %s's data: %v, it was %v", o, !h.Silent, !g.Silent)
		}
	}
	for _, r := range now.Roles() {
		if !slices.Contains(old.Roles(), r) {
			d.Other = append(d.Other, fmt.Sprintf("%s takes part now: it must not collude with all the others", r))
		}
	}
	for _, r := range old.Roles() {
		if !slices.Contains(now.Roles(), r) {
			d.Other = append(d.Other, r+" no longer takes part")
		}
	}
	if old.Manifest.Source != now.Manifest.Source {
		d.Other = append(d.Other, "the graph has changed")
	}
	digests := map[string]string{}
	for _, r := range old.Manifest.Policies {
		digests[r.Owner] = r.Digest
	}
	for _, r := range now.Manifest.Policies {
		if digests[r.Owner] != r.Digest {
			d.Other = append(d.Other, fmt.Sprintf("the policy of %s has changed", r.Owner))
		}
	}
	if old.Manifest.Compiler != now.Manifest.Compiler {
		d.Other = append(d.Other, fmt.Sprintf("compiled by %s, it was %s", now.Manifest.Compiler, old.Manifest.Compiler))
	}
	return d, nil
}

// weaker reports whether form a leaves more of the data than form b.
func weaker(a, b string) bool {
	for _, s := range strings.Split(b, ",") {
		n, rows := strings.CutPrefix(s, "rows>=")
		ok := false
		for _, t := range strings.Split(a, ",") {
			m, r := strings.CutPrefix(t, "rows>=")
			ok = ok || t == s || rows && r && (len(m) > len(n) || len(m) == len(n) && m >= n)
		}
		if s != "" && !ok {
			return true
		}
	}
	return false
}

func atMost(n int, what string) string {
	switch n {
	case 0:
		return "any number of " + what + "s"
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func until(t int64) string {
	if t == 0 {
		return "unlimited"
	}
	return expiry(t)
}

func anyOf(keys []string) string {
	if len(keys) == 0 {
		return "nobody"
	}
	return strings.Join(keys, " or ")
}

// writeDiff writes what changed for a person.
func writeDiff(w io.Writer, d *Diff) error {
	var b strings.Builder
	fmt.Fprintf(&b, "old %s\nnew %s\n", d.Old, d.New)
	for _, s := range []struct {
		title, none string
		items       []string
	}{{"The new plan reveals or allows more", "The new plan reveals and allows nothing that the old one did not", d.More}, {"It reveals or allows less", "", d.Less}, {"Besides", "", d.Other}} {
		if len(s.items) == 0 {
			if s.none != "" {
				fmt.Fprintf(&b, "\n%s\n", s.none)
			}
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", s.title)
		for _, x := range s.items {
			fmt.Fprintf(&b, "  - %s\n", x)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
