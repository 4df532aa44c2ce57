package onnx

import (
	"math"
	"slices"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// Units. What a quantised model computes with is integers times a public or private factor: x = by * u. Where such values meet weights the factor
// goes into those, and where a result is quantised again it is computed in the unit of that: a linear layer between two quantisations is one product
// of integers with weights that have taken up all three factors, and one rounding.

// An inUnits says that a value is by*u.
type inUnits struct {
	u     *ir.Value // of reals
	by    float64
	whole bool // u consists of integers
	sum   bool // u is a sum of products with weights, whose halves come about by chance alone
}

// unitOf returns how input i is by*u, if that is known.
func (n *node) unitOf(i int) (inUnits, bool) {
	if !n.given(i) || n.r.vals[n.p.Input[i]] == nil {
		return inUnits{}, false
	}
	s, ok := n.r.units[n.r.vals[n.p.Input[i]]]
	return s, ok
}

// inUnit notes that a value is by*u, and returns it.
func (c *calc) inUnit(u *ir.Value, by float64, whole, sum bool) *ir.Value {
	if c.err != nil {
		return nil
	}
	v := u
	if by != 1 {
		v = c.scale(u, by)
	}
	if c.err == nil {
		c.n.r.units[v] = inUnits{u, by, whole, sum}
	}
	return v
}

// through lists the operators that a factor goes through, with one input that has elements of the result's unit.
var through = map[string]bool{"Relu": true, "LeakyRelu": true, "MaxPool": true, "AveragePool": true, "GlobalAveragePool": true, "GlobalMaxPool": true, "Reshape": true, "Flatten": true, "Transpose": true,
	"Squeeze": true, "Unsqueeze": true, "Identity": true, "Slice": true, "ReduceMean": true, "Dropout": true, "Clip": true, "Gather": true, "Pad": true}

// kept lists those whose results are integers where their input is.
var kept = []string{"Relu", "MaxPool", "GlobalMaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Slice", "Dropout", "Gather"}

// products lists the operators that multiply by weights.
var products = map[string]bool{"Conv": true, "ConvTranspose": true, "Gemm": true, "MatMul": true}

// mostAhead bounds the nodes between a product and what quantises its result.
const mostAhead = 6

// quantum returns the factor in which everything that reads a value quantises it; false if there is none, or not the same.
func (r *reader) quantum(name string, ahead int) (float64, bool) {
	by := 0.0
	if ahead == 0 || len(r.readers[name]) == 0 {
		return 0, false
	}
	for _, p := range r.readers[name] {
		var s float64
		ok := false
		switch op := p.GetOpType(); {
		case op == "QuantizeLinear" && len(p.Input) > 1 && p.Input[0] == name:
			if t := (&node{r: r, p: p}).data(1); t != nil && t.Len() == 1 && t.Elem == ir.Real {
				s, ok = t.F[0], true
			}
		case through[op] && len(p.Output) == 1 && len(p.Input) > 0 && p.Input[0] == name:
			s, ok = r.quantum(p.Output[0], ahead-1)
		}
		if !ok || by != 0 && s != by || !(s > 0) || math.IsInf(s, 0) {
			return 0, false
		}
		by = s
	}
	return by, true
}

// scaled lowers a node in the unit of what it reads, and of what quantises its result; false if nothing of that is known.
func (n *node) scaled(lower func(n *node) ([]*ir.Value, error)) (out []*ir.Value, done bool, err error) {
	op := n.p.GetOpType()
	s, ok := n.unitOf(0)
	if !ok || domain(n.p.GetDomain()) != standard || len(n.p.Output) != 1 {
		return nil, false, nil
	}
	c := n.calc()
	switch {
	case through[op]:
		switch {
		case op == "Clip":
			n.bounds = 1 / s.by
		case op == "Pad" && (n.given(2) || n.float("value", 0) != 0): // with a number that is not in the unit
			return nil, false, nil
		}
		n.over = map[int]*ir.Value{0: s.u}
		out, err := lower(n)
		n.over, n.bounds = nil, 0
		if err != nil || out[0].Type.Elem != ir.Real {
			return out, err == nil, err
		}
		return []*ir.Value{c.inUnit(out[0], s.by, s.whole && slices.Contains(kept, op), s.sum)}, true, c.err
	case products[op]:
		w, err := n.fixed(1)
		if err != nil || w == nil || w.Elem != ir.Real || n.has("alpha") || n.has("beta") {
			return nil, false, err
		}
		by, ok := n.r.quantum(n.p.Output[0], mostAhead)
		if !ok {
			by = 1
		}
		n.over = map[int]*ir.Value{0: s.u}
		if n.over[1], err = n.derived(1, n.in(1), w, func(x float64) float64 { return x * (s.by / by) }); err != nil {
			return nil, false, err
		}
		if n.given(2) && by != 1 {
			b, err := n.r.evaluate(n.r.value(n.p.Input[2]))
			if err != nil {
				return nil, false, err
			}
			if b != nil {
				n.over[2], err = n.derived(2, n.in(2), b, func(x float64) float64 { return x / by })
			} else {
				n.over[2], err = n.scale(n.in(2), 1/by)
			}
			if err != nil {
				return nil, false, err
			}
		}
		out, err := lower(n)
		n.over = nil
		if err != nil {
			return nil, false, err
		}
		if by == 1 {
			return out, true, nil
		}
		return []*ir.Value{c.inUnit(out[0], by, false, true)}, true, c.err
	case op == "Add" && len(n.p.Input) == 2:
		t, ok := n.unitOf(1)
		by, quantised := n.r.quantum(n.p.Output[0], mostAhead)
		if !ok || !quantised {
			return nil, false, nil
		}
		return []*ir.Value{c.inUnit(c.add(c.scale(s.u, s.by/by), c.scale(t.u, t.by/by)), by, false, s.sum || t.sum)}, true, c.err
	}
	return nil, false, nil
}

// readersOf lists the nodes of a graph by what they read.
func readersOf(g *pb.GraphProto) map[string][]*pb.NodeProto {
	out := map[string][]*pb.NodeProto{}
	for _, p := range g.Node {
		for _, name := range p.Input {
			out[name] = append(out[name], p)
		}
		for _, a := range p.Attribute { // what a graph inside reads is not looked at: nothing is known of it
			if a.G != nil {
				for _, q := range a.G.Node {
					for _, name := range q.Input {
						out[name] = append(out[name], p)
					}
				}
			}
		}
	}
	for _, o := range g.Output {
		out[o.GetName()] = append(out[o.GetName()], &pb.NodeProto{})
	}
	return out
}
