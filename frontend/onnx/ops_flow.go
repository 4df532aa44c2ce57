package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// What decides which nodes run.

// maxTrips bounds how often a loop is unrolled.
const maxTrips = 1 << 12

// dropout is the identity in inference.
func dropout(n *node) ([]*ir.Value, error) {
	c := n.calc()
	if n.given(2) {
		t, err := n.public(2, "training_mode")
		if err != nil {
			return nil, err
		}
		ratio := 0.5
		if n.given(1) {
			if ratio, _, err = n.scalar(1, "ratio"); err != nil {
				return nil, err
			}
		}
		if t.Len() != 1 || t.At(0) != 0 && ratio != 0 {
			return nil, training.of(n.at, "training_mode")
		}
	}
	x := n.in(0)
	if len(n.p.Output) < 2 {
		return one(x, nil)
	}
	e := ir.Bool
	if n.opset < 10 {
		e = x.Type.Elem
	}
	mask, err := n.tensor(e, ir.Shape{})
	if err != nil {
		return nil, err
	}
	for i := range mask.F {
		mask.F[i] = 1
	}
	for i := range mask.I {
		mask.I[i] = 1
	}
	return []*ir.Value{x, c.expand(c.data(mask, false), x.Type.Shape)}, c.err
}

// choose lowers If: a public condition puts one branch in the node's place; on a secret one both branches run and every output is
// selected, so that nobody sees which was meant.
func choose(n *node) ([]*ir.Value, error) {
	yes, no := n.attrs["then_branch"].GetG(), n.attrs["else_branch"].GetG()
	cond := n.in(0)
	if cond.Type.Elem != ir.Bool || cond.Type.Shape.Size() != 1 {
		return nil, fmt.Errorf("condition is %v%v, want one bool", cond.Type.Elem, cond.Type.Shape)
	}
	if t := n.data(0); t != nil {
		if t.I[0] != 0 {
			return n.branch(yes)
		}
		return n.branch(no)
	}
	a, err := n.branch(yes)
	if err != nil {
		return nil, n.undecided(cond, err)
	}
	b, err := n.branch(no)
	if err != nil {
		return nil, n.undecided(cond, err)
	}
	c := n.calc()
	flag := c.reshape(cond)
	for i := range a {
		if !a[i].Type.Shape.Equal(b[i].Type.Shape) || a[i].Type.Elem != b[i].Type.Elem {
			e := diag.Errorf(n.at, "output %d is %v in one branch and %v in the other, and which branch runs is secret", i+1, a[i].Type, b[i].Type)
			if e.Public = n.r.sources(cond); len(e.Public) > 0 {
				return nil, e.WithHint("if everybody may know what decides it, say so, and only the branch taken is built: %s", asPublic(e.Public))
			}
			return nil, e.WithHint("give both the same shape: the condition is computed from weights, which nobody else may know")
		}
		if text := n.r.isText(a[i]); text || n.r.isText(b[i]) {
			if !text || !n.r.isText(b[i]) || n.r.text.plain[a[i]] != n.r.text.plain[b[i]] {
				return nil, textual.of(n.at, "an If whose branches have strings of different kinds")
			}
			open, plain := n.r.text.open[a[i]] || n.r.text.open[b[i]], n.r.text.plain[a[i]]
			a[i] = n.r.asText(c.e(ir.OpSelect, nil, flag, a[i], b[i]), open)
			n.r.text.plain[a[i]] = plain
			continue
		}
		if a[i].Type.Elem == ir.Bool {
			a[i] = c.e(ir.OpOr, nil, c.e(ir.OpAnd, nil, flag, a[i]), c.e(ir.OpAnd, nil, c.e(ir.OpNot, nil, flag), b[i]))
			continue
		}
		a[i] = c.e(ir.OpSelect, nil, flag, a[i], b[i])
	}
	return a, c.err
}

// asPublic are the flags that make inputs public.
func asPublic(names []string) string {
	var flags []string
	for _, name := range names {
		flags = append(flags, fmt.Sprintf("--public %s=FILE", short(name)))
	}
	return strings.Join(flags, " ")
}

// undecided says of what is refused in a branch that it would not be built if the condition were public and took the other.
func (n *node) undecided(cond *ir.Value, err error) error {
	names := n.r.sources(cond)
	if len(names) == 0 {
		return err
	}
	if !errors.Is(err, errReported) {
		n.r.errs.Add(n.at, err)
	}
	e := diag.Errorf(n.at, "which branch runs is secret, so that both are built, and one is refused")
	e.Public = names
	return e.WithHint("if everybody may know what decides it, say so, and only the branch taken is built: %s", asPublic(names))
}

// truth returns a public bool.
func (n *node) truth(v *ir.Value, what string) (bool, error) {
	if v.Op != ir.OpConst || v.Type.Elem != ir.Bool || v.Type.Shape.Size() != 1 {
		e := diag.Errorf(n.at, "%s is not known when compiling: how often the loop runs would be seen", what).
			WithHint("run it a fixed number of times, and keep results with Where once the condition fails")
		e.Public = n.r.sources(v)
		return false, e
	}
	return v.Attrs.Tensor("data").I[0] != 0, nil
}

// loop unrolls Loop: trip count and condition are public.
func loop(n *node) ([]*ir.Value, error) {
	g := n.attrs["body"].GetG()
	for i := range n.p.Input {
		if i >= 2 && !n.given(i) {
			return nil, fmt.Errorf("input %d is missing", i+1)
		}
	}
	trips := math.Inf(1)
	if n.given(0) {
		t, err := n.public(0, "trip count")
		if err != nil {
			return nil, err
		}
		if t.Len() != 1 {
			return nil, errors.New("trip count is not one number")
		}
		trips = t.At(0)
	}
	c := n.calc()
	on := c.data(&ir.Tensor{Elem: ir.Bool, Shape: ir.Shape{}, I: []int64{1}}, false)
	if n.given(1) {
		on = c.reshape(n.in(1))
	}
	if c.err != nil {
		return nil, c.err
	}
	var state []*ir.Value
	for i := 2; i < len(n.p.Input); i++ { // values that are carried
		state = append(state, n.in(i))
	}
	carried := len(state)
	if len(g.GetInput()) != 2+carried || len(g.GetOutput()) < 1+carried || len(n.p.Output) > len(g.GetOutput())-1 {
		return nil, fmt.Errorf("body has %d inputs and %d outputs, which do not fit %d values that are carried", len(g.GetInput()), len(g.GetOutput()), carried)
	}
	scans := make([][]*ir.Value, len(g.Output)-1-carried)
	for i := 0; float64(i) < trips; i++ {
		run, err := n.truth(on, "the loop's condition")
		if err != nil {
			return nil, err
		}
		if !run {
			break
		}
		if i >= maxTrips {
			return nil, fmt.Errorf("the loop runs more than %d times", maxTrips)
		}
		k := c.data(ir.Ints(ir.Shape{}, int64(i)), false)
		if c.err != nil {
			return nil, c.err
		}
		out, err := n.inline(g, append([]*ir.Value{k, on}, state...))
		if err != nil {
			return nil, err
		}
		on, state = c.reshape(out[0]), out[1:1+carried]
		for j, v := range out[1+carried:] {
			scans[j] = append(scans[j], v)
		}
		if c.err != nil {
			return nil, c.err
		}
	}
	res := slices.Clone(state)
	for j, vs := range scans {
		if len(vs) == 0 {
			return nil, fmt.Errorf("output %d has no entries: the loop does not run", carried+j+1)
		}
		res = append(res, c.stack(vs, 0))
	}
	return res, c.err
}

// stack joins values along a new axis.
func (c *calc) stack(vs []*ir.Value, axis int) *ir.Value {
	if c.err != nil {
		return nil
	}
	s := vs[0].Type.Shape
	t := append(append(slices.Clone(s[:axis]), 1), s[axis:]...)
	out := make([]*ir.Value, len(vs))
	for i, v := range vs {
		if !v.Type.Shape.Equal(s) {
			return c.fail("scanned values have shapes %v and %v", s, v.Type.Shape)
		}
		out[i] = c.reshape(v, t...)
	}
	if c.err != nil {
		return nil
	}
	return c.concat(axis, out...)
}

// scan unrolls Scan over its sequences.
func scan(n *node) ([]*ir.Value, error) {
	g, k, c := n.attrs["body"].GetG(), n.int("num_scan_inputs", 0), n.calc()
	args := make([]*ir.Value, 0, len(n.p.Input))
	firstIn := 0
	if n.opset < 9 { // sequence lengths, and a leading batch dimension
		if len(n.p.Input) < 2 || n.given(0) {
			return nil, errors.New("sequence_lens is not supported")
		}
		firstIn = 1
	}
	for i := firstIn; i < len(n.p.Input); i++ {
		args = append(args, n.in(i))
	}
	carried := len(args) - k
	if k < 1 || carried < 0 || len(g.GetInput()) != len(args) || len(g.GetOutput()) < carried || len(n.p.Output) > len(g.GetOutput()) {
		return nil, fmt.Errorf("body has %d inputs and %d outputs, which do not fit %d values that are carried and %d sequences", len(g.GetInput()), len(g.GetOutput()), carried, k)
	}
	if n.opset < 9 {
		for i, v := range args {
			if s := v.Type.Shape; len(s) == 0 || s[0] != 1 {
				return nil, errors.New("more than one batch, or none (opset 8), is not supported")
			}
			args[i] = c.reshape(v, v.Type.Shape[1:]...)
		}
	}
	list := func(name string, i int) int {
		if l := n.ints(name); i < len(l) {
			return l[i]
		}
		return 0
	}
	state, seqs := args[:carried:carried], args[carried:]
	steps := -1
	axes := make([]int, k)
	for i, v := range seqs {
		a, err := ir.NormAxes([]int{list("scan_input_axes", i)}, len(v.Type.Shape))
		if err != nil {
			return nil, err
		}
		axes[i] = a[0]
		if s := v.Type.Shape[a[0]]; steps >= 0 && s != steps || s > maxTrips {
			return nil, fmt.Errorf("sequences have %d and %d entries, or more than %d", steps, s, maxTrips)
		} else {
			steps = s
		}
	}
	dirIn, dirOut := "scan_input_directions", "scan_output_directions"
	if n.opset < 9 {
		dirIn = "directions"
	}
	scans := make([][]*ir.Value, len(g.Output)-carried)
	for t := range steps {
		in := slices.Clone(state)
		for i, v := range seqs {
			at := t
			if list(dirIn, i) != 0 {
				at = steps - 1 - t
			}
			s := v.Type.Shape
			in = append(in, c.reshape(c.cut(v, axes[i], at, at+1), append(slices.Clone(s[:axes[i]]), s[axes[i]+1:]...)...))
		}
		if c.err != nil {
			return nil, c.err
		}
		out, err := n.inline(g, in)
		if err != nil {
			return nil, err
		}
		state = out[:carried]
		for j, v := range out[carried:] {
			scans[j] = append(scans[j], v)
		}
	}
	res := slices.Clone(state)
	for j, vs := range scans {
		if len(vs) == 0 {
			return nil, errors.New("sequences are empty")
		}
		if list(dirOut, j) != 0 {
			slices.Reverse(vs)
		}
		a, err := ir.NormAxes([]int{list("scan_output_axes", j)}, len(vs[0].Type.Shape)+1)
		if err != nil {
			return nil, err
		}
		res = append(res, c.stack(vs, a[0]))
	}
	if n.opset < 9 {
		for i, v := range res {
			if c.err == nil {
				res[i] = c.reshape(v, append([]int{1}, v.Type.Shape...)...)
			}
		}
	}
	return res, c.err
}

// inline reads a graph with the given values as its inputs, in place of the node, and returns its outputs.
func (n *node) inline(g *pb.GraphProto, args []*ir.Value) ([]*ir.Value, error) {
	out, err := n.r.nested(g, len(g.GetOutput()), func() error {
		for i, in := range g.Input {
			if err := n.r.fresh(in.GetName()); err != nil {
				return fmt.Errorf("input %q of the body: %w", short(in.GetName()), err)
			}
			n.r.define(in.GetName())
			n.r.vals[in.GetName()] = args[i]
		}
		return nil
	})
	if slices.ContainsFunc(out, n.r.isText) {
		return nil, textual.of(n.at, "a loop that computes strings")
	}
	return out, err
}

func init() {
	add("If", "A branch; on a secret condition both run and outputs are selected.", choose, version{since: 1, in: 1, max: 1, attrs: "then_branch:g! else_branch:g!"})
	add("Loop", "A body run a public number of times, unrolled.", loop, version{since: 1, max: 1 << 16, attrs: "body:g!"})
	add("Scan", "A body run over the entries of sequences, unrolled.", scan,
		version{since: 8, max: 1 << 16, attrs: "body:g! directions:is num_scan_inputs:i!"},
		version{since: 9, in: 1, max: -1, attrs: "body:g! num_scan_inputs:i! scan_input_axes:is scan_input_directions:is scan_output_axes:is scan_output_directions:is"})
	add("Identity", "The input itself.", func(n *node) ([]*ir.Value, error) { return one(n.in(0), nil) }, version{since: 1, in: 1, max: 1})
	add("Dropout", "The input itself, as in inference.", dropout,
		version{since: 6, in: 1, max: 1, attrs: "is_test:i ratio:f"},
		version{since: 7, in: 1, max: 1, attrs: "ratio:f"},
		version{since: 12, in: 1, max: 3, attrs: "seed:i"})
}
