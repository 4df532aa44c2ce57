package audit

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A Diff is what changed in who learns what between two plans.
type Diff struct {
	Version int      `json:"version"`
	Old     string   `json:"old_plan_digest"`
	New     string   `json:"new_plan_digest"`
	More    []string `json:"more"`  // what the new plan reveals, or allows, beyond the old one
	Less    []string `json:"less"`  // what it no longer does
	Other   []string `json:"other"` // changes that reveal neither more nor less by themselves
	Changes []Change `json:"changes"`

	old, now *Report
	same     map[*ir.Value]bool // values of both graphs that are the same function of the same data in the other
}

// A Change is one difference of two plans.
type Change struct {
	Aspect string `json:"aspect"` // the name of a row of Aspects
	Way    Way    `json:"way"`
	Text   string `json:"text"`
}

// A Way says what a change means for who learns what.
type Way string

// The ways of a change.
const (
	More  Way = "more"  // the new plan reveals, or allows, what the old one did not
	Less  Way = "less"  // it no longer does
	Other Way = "other" // neither by itself
)

// An Aspect is something in which plans are compared.
type Aspect struct {
	Name, Doc string
	compare   func(*comparison)
}

// Aspects is everything in which plans are compared, in the order of a diff. Where two things cannot be ordered, as two functions cannot, the change
// counts as more.
var Aspects = []Aspect{
	{"data", "whose data an output derives from, and to whom it goes", (*comparison).data},
	{"form", "what is done to the data on every way to an output (arg-max, sums over rows), and what the policy's rule asks of it", (*comparison).form},
	{"function", "what an output computes: the graph between inputs and the output, whatever the names and the order in it", (*comparison).function},
	{"output", "type, elements, range, ring width and fraction bits of an output", (*comparison).output},
	{"accuracy", "precision, tolerance, and whether an output's error is proved", (*comparison).accuracy},
	{"holders", "the parties that hold shares", (*comparison).holders},
	{"material", "the dealer, whose randomness covers everything", (*comparison).material},
	{"runs", "how often it may run", (*comparison).terms},
	{"rows", "how many rows a run takes", nil},
	{"expiry", "until when it may run", nil},
	{"approval", "whose approval it needs", nil},
	{"weights", "by which commitments weights of others must be bound", nil},
	{"ranges", "whether ranges and formats derive from an owner's data", nil},
	{"policy", "policies by their digests, and owners who have none", (*comparison).policy},
	{"inputs", "inputs and weights: names, shapes, declared ranges", (*comparison).inputs},
	{"plan", "compiler, the text of the graph, and anything else in the plan", (*comparison).plan},
}

// A Gate is a set of changes that a build may be stopped for.
type Gate struct {
	Name, Doc string
	stops     func(Change) bool
}

// Gates are the sets of changes that a build may be stopped for.
var Gates = []Gate{
	{"more", "the new plan reveals or allows more, in any aspect", func(c Change) bool { return c.Way == More }},
	{"graph", "an output is another function of the data, or has another type, range or precision", func(c Change) bool {
		return slices.Contains([]string{"data", "form", "function", "output", "accuracy"}, c.Aspect)
	}},
	{"roles", "receivers, holders of shares or the dealer changed", func(c Change) bool { return slices.Contains([]string{"data", "holders", "material"}, c.Aspect) }},
	{"any", "anything changed", func(Change) bool { return true }},
}

// Stopped lists the changes that a gate stops for; ok is false if there is no gate of that name.
func (d *Diff) Stopped(gate string) (list []Change, ok bool) {
	i := slices.IndexFunc(Gates, func(g Gate) bool { return g.Name == gate })
	if i < 0 {
		return nil, false
	}
	for _, c := range d.Changes {
		if Gates[i].stops(c) {
			list = append(list, c)
		}
	}
	return list, true
}

// Compare says what changed from an old plan to a new one.
func Compare(old, now *plan.Plan) (*Diff, error) {
	a, err := Of(old, Options{})
	if err != nil {
		return nil, fmt.Errorf("old plan: %w", err)
	}
	b, err := Of(now, Options{})
	if err != nil {
		return nil, fmt.Errorf("new plan: %w", err)
	}
	d := &Diff{Version: Version, Old: a.PlanDigest, New: b.PlanDigest, More: []string{}, Less: []string{}, Other: []string{}, Changes: []Change{}, old: a, now: b}
	c := newComparison(d)
	for _, x := range Aspects {
		if c.aspect = x.Name; x.compare != nil {
			x.compare(c)
		}
	}
	for _, x := range d.Changes {
		switch x.Way {
		case More:
			d.More = append(d.More, x.Text)
		case Less:
			d.Less = append(d.Less, x.Text)
		default:
			d.Other = append(d.Other, x.Text)
		}
	}
	return d, nil
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
