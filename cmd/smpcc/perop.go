package main

import (
	"fmt"
	"io"
	"math"

	"smpcc/ir"
	"smpcc/ir/exact"
)

// An opError is how far a node's result in fixed point is from its exact one.
type opError struct {
	Node  string  `json:"node"`
	Shape string  `json:"shape"`
	Most  float64 `json:"largest_value"`
	Error float64 `json:"max_abs_error"`
	Mean  float64 `json:"mean_abs_error"`
	Ratio float64 `json:"grown"` // error over the largest of the nodes it reads
}

// perOp computes the graph exactly and the plan's fixed-point level in integers, as the parties would together, and compares
// every node that both have. Nodes that passes have merged into others are not listed.
func (j *job) perOp() ([]opError, error) {
	real, err := exact.Eval(j.comp.Graph.Main(), j.inputs, j.comp.Graph.Weights)
	if err != nil {
		return nil, err
	}
	fixed, err := j.fixedLevel()
	if err != nil {
		return nil, err
	}
	rounded, err := ir.Eval(fixed.Main(), ir.Env{Inputs: j.inputs, Weights: j.comp.Weights})
	if err != nil {
		return nil, err
	}
	type place struct{ pos, shape string }
	got := map[place]*ir.Value{} // the last value at a position is the node's result
	for _, v := range fixed.Main().Body {
		if v.Type.Elem == ir.Ring && v.Pos.Node != "" || v.Pos.Line > 0 {
			got[place{v.Pos.String(), v.Type.Shape.String()}] = v
		}
	}
	want := map[place]*ir.Value{}
	var order []place
	for _, v := range j.comp.Graph.Main().Body {
		if v.Type.Elem != ir.Real || len(v.Args) == 0 || v.Op == ir.OpReveal {
			continue
		}
		p := place{v.Pos.String(), v.Type.Shape.String()}
		if want[p] == nil {
			order = append(order, p)
		}
		want[p] = v
	}
	errors := map[*ir.Value]float64{}
	var out []opError
	for _, p := range order {
		v, f := want[p], got[p]
		if f == nil || real[v] == nil || rounded[f] == nil {
			continue
		}
		e := opError{Node: p.pos, Shape: p.shape}
		a, b := real[v], rounded[f]
		for i := range a.Len() {
			x := a.At(i)
			d := math.Abs(math.Ldexp(b.At(i), -f.Type.Scale) - x)
			e.Most, e.Error = max(e.Most, math.Abs(x)), max(e.Error, d)
			e.Mean += d / float64(a.Len())
		}
		errors[v] = e.Error
		worst := 0.0
		for _, x := range v.Args {
			worst = max(worst, errors[x])
		}
		if worst > 0 {
			e.Ratio = e.Error / worst
		}
		out = append(out, e)
	}
	return out, nil
}

// printPerOp shows where error arises, in the order of the graph.
func printPerOp(w io.Writer, list []opError) error {
	fmt.Fprintln(w)
	t := newTable(w, "node", "shape", "largest value", "largest error", "mean error", "grown by")
	for _, e := range list {
		grown := "-"
		if e.Ratio > 0 {
			grown = fmt.Sprintf("%.1f", e.Ratio)
		}
		t.row(e.Node, e.Shape, fmt.Sprintf("%.4g", e.Most), fmt.Sprintf("%.2g", e.Error), fmt.Sprintf("%.2g", e.Mean), grown)
	}
	return t.flush()
}
