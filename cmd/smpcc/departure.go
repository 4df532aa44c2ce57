package main

import (
	"errors"
	"fmt"
	"io"
	"math"

	"smpcc/ir"
	"smpcc/ir/text"
)

// A departure is a value outside the range that the plan relies on, though that is not proved.
type departure struct {
	node    string
	op      ir.Op
	element int
	value   float64
	lo, hi  float64
	origin  ir.Origin
}

// String says where it is, what it is and what the plan relies on.
func (d departure) String() string {
	return fmt.Sprintf("%s of %s: element %d is %.6g, outside the range %g..%g (%s) that the plan relies on", d.op, d.node, d.element, d.value, d.lo, d.hi, d.origin)
}

// fixedLevel reads the fixed-point level that the plan carries.
func (j *job) fixedLevel() (*ir.Module, error) {
	for _, d := range j.plan.Manifest.Dumps {
		if d.Level == "fixed" {
			return text.Parse(j.path, []byte(d.Text))
		}
	}
	return nil, errors.New("the plan holds no fixed-point level")
}

// departures computes the plan's fixed-point level in the clear, in words of 64 bits, which hold more than the plan's rings, and lists the
// values that leave a calibrated or assumed range: the first element of each node, in the order in which they are computed.
func (j *job) departures() ([]departure, error) {
	fixed, err := j.fixedLevel()
	if err != nil {
		return nil, err
	}
	values, err := ir.Eval(fixed.Main(), ir.Env{Inputs: j.inputs, Weights: j.comp.Weights})
	if err != nil {
		return nil, err
	}
	var out []departure
	seen := map[string]bool{}
	for _, v := range fixed.Main().Body {
		r, node := v.Range, v.Pos.Node
		if node == "" {
			node = v.Pos.String()
		}
		if r.Origin != ir.Assumed && r.Origin != ir.Calibrated || v.Type.Elem != ir.Ring || v.Op == ir.OpReveal || seen[node] {
			continue
		}
		slack := math.Ldexp(4, -v.Type.Scale) + float64(r.Abs()*1e-6) // rounding is no departure
		t := values[v]
		for i := range t.Len() {
			if x := math.Ldexp(t.At(i), -v.Type.Scale); !(x >= r.Lo-slack && x <= r.Hi+slack) {
				seen[node] = true
				out = append(out, departure{node, v.Op, i, x, r.Lo, r.Hi, r.Origin})
				break
			}
		}
	}
	return out, nil
}

// printDepartures shows the first value that left its range, or with all of them a line for each node.
func printDepartures(w io.Writer, list []departure, all bool) error {
	if len(list) == 0 {
		return nil
	}
	shown := list[:1]
	if all {
		shown = list
	}
	for _, d := range shown {
		if _, err := fmt.Fprintf(w, "left its range: %s\n", d); err != nil {
			return err
		}
	}
	if n := len(list) - len(shown); n > 0 {
		if _, err := fmt.Fprintf(w, "and %d more nodes behind it; --per-op lists them\n", n); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, "what is computed from it may be wrong; give more sample inputs (--calibrate FILE), or declare input ranges (--range NAME=LO..HI)")
	return err
}
