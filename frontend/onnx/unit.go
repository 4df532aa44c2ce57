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
	whole bool    // u consists of integers
	most  float64 // largest magnitude that the type of u's integers has; 0 if there is none
	sum   bool    // u is a sum of products with weights, whose halves come about by chance alone
}

// decided is the error that rounded weights may leave in what is rounded to integers next, as a root of a mean square and a power of two: as much as
// sums of float32 have in numbers of 8 bits, so that no more of them come out on the other side of a half than of a runtime's.
const decided = -18

// mostDecided bounds the fraction bits that weights get for that.
const mostDecided = 36

// finely gives a sum of terms products of weights and integers, of most in magnitude, the fraction bits that rounding it to integers next takes.
func (c *calc) finely(y *ir.Value, terms int, most float64) *ir.Value {
	if c.err != nil || most == 0 {
		return y
	}
	rms := most / 2 * math.Sqrt(float64(max(terms, 1))/12) // of uniform errors of half a unit, and integers of half the largest magnitude
	frac := min(max(int(math.Ceil(math.Log2(rms)))-decided, 0), mostDecided)
	return c.e(ir.OpFormat, ir.Attrs{ir.I("frac", int64(frac))}, y)
}

// terms returns how many products a node sums for one element of its result, whose factors are weights w.
func (n *node) terms(w ir.Shape) int {
	switch op := n.p.GetOpType(); {
	case len(w) == 0:
		return 1
	case op == "Conv" || op == "QLinearConv":
		return w.Size() / max(w[0], 1)
	case op == "ConvTranspose" && len(w) > 1:
		return w.Size() / max(w[1], 1)
	case (op == "Gemm" || op == "QGemm") && n.int("transB", 0) != 0 && len(w) > 1:
		return w[1]
	case len(w) == 1:
		return w[0]
	}
	return w[len(w)-2]
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
		c.n.r.units[v] = inUnits{u: u, by: by, whole: whole, sum: sum}
	}
	return v
}

// holds notes the largest magnitude of the integers that a value is in units of.
func (c *calc) holds(v *ir.Value, most float64) {
	if s, ok := c.n.r.units[v]; ok && c.err == nil {
		s.most = most
		c.n.r.units[v] = s
	}
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
		y := c.inUnit(out[0], s.by, s.whole && slices.Contains(kept, op), s.sum)
		c.holds(y, s.most)
		return []*ir.Value{y}, true, c.err
	case products[op]:
		w, err := n.fixed(1)
		if err != nil || w == nil || w.Elem != ir.Real || n.has("alpha") || n.has("beta") {
			return nil, false, err
		}
		by, quantised := n.r.quantum(n.p.Output[0], mostAhead)
		if !quantised {
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
		if !quantised {
			return out, true, nil
		}
		return []*ir.Value{c.inUnit(c.finely(out[0], n.terms(w.Shape), s.most), by, false, true)}, true, c.err
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
