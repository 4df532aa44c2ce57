package onnx

import (
	"fmt"
	"slices"

	"smpcc/ir"
)

// Ensembles of trees, without looking at the way taken: all nodes compare in one round, and for each leaf the bits of its path are
// multiplied in a balanced tree. Public are the structure, the features that nodes look at, their kinds of comparison and the class
// labels; thresholds and what leaves weigh stay private.

// maxTreeNodes bounds the nodes of an ensemble, and maxPaths the conditions on all ways to its leaves.
const (
	maxTreeNodes = 1 << 20
	maxPaths     = 1 << 24
)

// An ensemble is what the attributes of the two operators say.
type ensemble struct {
	trees    int
	features []int
	values   []float64
	modes    []string
	index    map[[2]int]int // of a node by tree and identity
	leaves   []int
	paths    [][]int // of each leaf: 2*node, one more where its condition must fail
}

// ensemble reads and checks the nodes of a tree operator.
func (n *node) ensemble(width int) (*ensemble, error) {
	e := &ensemble{features: n.ints("nodes_featureids"), index: map[[2]int]int{}}
	tree, id, yes, no := n.ints("nodes_treeids"), n.ints("nodes_nodeids"), n.ints("nodes_truenodeids"), n.ints("nodes_falsenodeids")
	size := len(tree)
	if a := n.attrs["nodes_modes"]; a != nil {
		for _, s := range a.Strings {
			e.modes = append(e.modes, string(s))
		}
	}
	var err error
	if e.values, err = n.floats("nodes_values"); err != nil {
		return nil, err
	}
	if size == 0 || size > maxTreeNodes || len(id) != size || len(yes) != size || len(no) != size || len(e.features) != size || len(e.values) != size || len(e.modes) != size {
		return nil, fmt.Errorf("attributes of nodes have %d to %d entries, want as many as nodes_treeids: %d", min(len(id), len(yes), len(no), len(e.features), len(e.values), len(e.modes)),
			max(len(id), len(yes), len(no), len(e.features), len(e.values), len(e.modes)), size)
	}
	for i := range size {
		key := [2]int{tree[i], id[i]}
		if _, twice := e.index[key]; twice {
			return nil, fmt.Errorf("node %d of tree %d appears twice", id[i], tree[i])
		}
		e.index[key] = i
		switch e.modes[i] {
		case "LEAF":
		case "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ":
			if e.features[i] < 0 || e.features[i] >= width {
				return nil, fmt.Errorf("node %d of tree %d looks at feature %d of %d", id[i], tree[i], e.features[i], width)
			}
		default:
			return nil, fmt.Errorf("nodes_modes has %s, want LEAF or BRANCH_LEQ, LT, GT, GTE, EQ or NEQ", short(e.modes[i]))
		}
	}
	child := func(i, of int) (int, error) {
		k, ok := e.index[[2]int{tree[i], of}]
		if !ok {
			return 0, fmt.Errorf("tree %d has no node %d", tree[i], of)
		}
		return k, nil
	}
	below := make([]bool, size)
	for i := range size {
		if e.modes[i] == "LEAF" {
			continue
		}
		for _, of := range []int{yes[i], no[i]} {
			k, err := child(i, of)
			if err != nil {
				return nil, err
			}
			if below[k] {
				return nil, fmt.Errorf("node %d of tree %d is reached in two ways", of, tree[i])
			}
			below[k] = true
		}
	}
	// what no root leads to is on a cycle, or of a tree without a root
	type step struct {
		at   int
		path []int
	}
	seen, total := 0, 0
	roots := map[int]bool{}
	var stack []step
	for i := size - 1; i >= 0; i-- {
		if !below[i] {
			if roots[tree[i]] {
				return nil, fmt.Errorf("tree %d has two roots", tree[i])
			}
			roots[tree[i]] = true
			stack = append(stack, step{at: i})
		}
	}
	for len(stack) > 0 {
		s := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		seen++
		if total += len(s.path) + 1; total > maxPaths {
			return nil, fmt.Errorf("the ways to all leaves have more than %d conditions", maxPaths)
		}
		if e.modes[s.at] == "LEAF" {
			e.leaves, e.paths = append(e.leaves, s.at), append(e.paths, s.path)
			continue
		}
		a, _ := child(s.at, yes[s.at])
		b, _ := child(s.at, no[s.at])
		stack = append(stack, step{b, append(slices.Clone(s.path), 2*s.at+1)}, step{a, append(slices.Clone(s.path), 2*s.at)})
	}
	if seen != size {
		return nil, fmt.Errorf("%d nodes have no way from a root", size-seen)
	}
	e.trees = len(roots)
	return e, n.r.left.take(float64(total), float64(total))
}

// reached returns bits [N, leaves] that mark the leaves of the samples x [N, features], without those that have no condition, and
// the list of leaves it covers.
func (c *calc) reached(x *ir.Value, e *ensemble) (*ir.Value, []int) {
	// x < v and x > v ask for v <= x and v >= x turned around, so that one comparison serves all
	places := make([]int, 2*len(e.modes)) // of a condition among the bits
	var order, same []int                 // nodes compared by order, and for equality
	for i, m := range e.modes {
		switch m {
		case "BRANCH_EQ", "BRANCH_NEQ":
			same = append(same, i)
		case "LEAF":
		default:
			order = append(order, i)
		}
	}
	feature := func(list []int) *ir.Value {
		idx := make([]int, len(list))
		for k, i := range list {
			idx[k] = e.features[i]
		}
		return c.pick(x, 1, idx)
	}
	value := func(what string, list []int) *ir.Value {
		t := c.table(ir.Real, len(list))
		if t == nil {
			return nil
		}
		for k, i := range list {
			t.F[k] = e.values[i]
		}
		return c.learned(what, t)
	}
	var bits []*ir.Value
	nodes := len(order) + len(same)
	for k, i := range append(slices.Clone(order), same...) {
		holds, fails := k, nodes+k // the bit is what makes the condition hold, or its negation
		switch e.modes[i] {
		case "BRANCH_LEQ", "BRANCH_GTE", "BRANCH_NEQ":
			holds, fails = fails, holds
		}
		places[2*i], places[2*i+1] = holds, fails
	}
	if len(order) > 0 {
		u, v := feature(order), value("thresholds", order)
		if c.err != nil {
			return nil, nil
		}
		rows := u.Type.Shape[0]
		up, down := []int{}, []int{} // v < x, x < v
		for k, i := range order {
			if e.modes[i] == "BRANCH_LEQ" || e.modes[i] == "BRANCH_GT" {
				up = append(up, k)
			} else {
				down = append(down, k)
			}
		}
		v = c.expand(v, ir.Shape{rows, len(order)})
		low, high := c.concat(1, c.pick(v, 1, up), c.pick(u, 1, down)), c.concat(1, c.pick(u, 1, up), c.pick(v, 1, down))
		back := make([]int, len(order))
		for p, k := range append(up, down...) {
			back[k] = p
		}
		bits = append(bits, c.pick(c.e(ir.OpLt, nil, low, high), 1, back))
	}
	if len(same) > 0 {
		bits = append(bits, c.e(ir.OpEq, nil, feature(same), value("values", same)))
	}
	if len(bits) == 0 || c.err != nil {
		return nil, nil
	}
	both := c.concat(1, bits...)
	both = c.concat(1, both, c.e(ir.OpNot, nil, both))
	// fold neighbouring conditions of all paths at once; leaves below one node share the product of what is above it
	var covered []int
	var paths [][]int
	for l, p := range e.paths {
		if len(p) > 0 {
			q := make([]int, len(p))
			for k, cond := range p {
				q[k] = places[cond]
			}
			covered, paths = append(covered, l), append(paths, q)
		}
	}
	for c.err == nil && slices.ContainsFunc(paths, func(p []int) bool { return len(p) > 1 }) {
		width := both.Type.Shape[1]
		product := map[[2]int]int{}
		var left, right []int
		for l, p := range paths {
			var next []int
			for k := 0; k+1 < len(p); k += 2 {
				key := [2]int{p[k], p[k+1]}
				at, ok := product[key]
				if !ok {
					at = width + len(left)
					product[key] = at
					left, right = append(left, key[0]), append(right, key[1])
				}
				next = append(next, at)
			}
			paths[l] = append(next, p[len(p)/2*2:]...)
		}
		both = c.concat(1, both, c.e(ir.OpAnd, nil, c.pick(both, 1, left), c.pick(both, 1, right)))
	}
	last := make([]int, len(paths))
	for l, p := range paths {
		last[l] = p[0]
	}
	return c.pick(both, 1, last), covered
}

// outputs returns the sums [N, outs] of what the reached leaves weigh. prefix is that of the attributes: target or class.
func (c *calc) outputs(prefix string, outs int, share func(e *ensemble) float64) *ir.Value {
	n := c.n
	x, rows, width := c.samples()
	if c.err != nil {
		return nil
	}
	e, err := n.ensemble(width)
	if err != nil {
		return c.got(nil, err)
	}
	tree, id, to := n.ints(prefix+"_treeids"), n.ints(prefix+"_nodeids"), n.ints(prefix+"_ids")
	w, err := n.floats(prefix + "_weights")
	if err != nil {
		return c.got(nil, err)
	}
	base, err := n.floats("base_values")
	if err != nil {
		return c.got(nil, err)
	}
	if len(tree) != len(id) || len(tree) != len(to) || len(tree) != len(w) || len(base) > 1 && len(base) != outs {
		return c.fail("%d %s_treeids, %d nodeids, %d ids, %d weights and %d base_values do not fit", len(tree), prefix, len(id), len(to), len(w), len(base))
	}
	bits, covered := c.reached(x, e)
	row := map[int]int{} // of a node among the leaves
	for r, l := range covered {
		row[e.leaves[l]] = r
	}
	weights, fixed := c.table(ir.Real, len(covered), outs), c.table(ir.Real, outs)
	if fixed == nil {
		return nil
	}
	for o := range fixed.F {
		if len(base) > 0 {
			fixed.F[o] = base[o%len(base)]
		}
	}
	k := share(e)
	for i := range w {
		at, ok := e.index[[2]int{tree[i], id[i]}]
		if !ok || e.modes[at] != "LEAF" || to[i] < 0 || to[i] >= outs {
			return c.fail("entry %d of %s_ids weighs node %d of tree %d for output %d of %d, which is not a leaf or not an output", i, prefix, id[i], tree[i], to[i], outs)
		}
		if r, ok := row[at]; ok {
			weights.F[r*outs+to[i]] += float64(w[i] * k)
		} else {
			fixed.F[to[i]] += float64(w[i] * k)
		}
	}
	y := c.expand(c.learned("base", fixed), ir.Shape{rows, outs})
	if bits == nil {
		return y
	}
	return c.add(c.e(ir.OpMatMul, nil, c.to(bits, ir.Real), c.learned("leaves", weights)), y)
}

func treeRegressor(n *node) ([]*ir.Value, error) {
	c := n.calc()
	outs := n.int("n_targets", 1)
	if outs < 1 || outs > 1<<16 {
		return nil, fmt.Errorf("n_targets=%d is out of range", outs)
	}
	var share func(e *ensemble) float64
	switch f := n.str("aggregate_function", "SUM"); f {
	case "SUM":
		share = func(*ensemble) float64 { return 1 }
	case "AVERAGE":
		share = func(e *ensemble) float64 { return 1 / float64(e.trees) }
	default:
		return nil, fmt.Errorf("aggregate_function=%s is not supported, want SUM or AVERAGE", short(f))
	}
	return c.one(c.transform(c.outputs("target", outs, share)))
}

func treeClassifier(n *node) ([]*ir.Value, error) {
	c := n.calc()
	labels, err := n.labels("classlabels_int64s")
	if err != nil {
		return nil, err
	}
	all := func(*ensemble) float64 { return 1 }
	ids := slices.Clone(n.ints("class_ids"))
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) != 1 || len(labels) > 2 {
		s := c.outputs("class", len(labels), all)
		return []*ir.Value{c.label(c.top(s), labels), c.transform(s)}, c.err
	}
	// two classes and the score of the second alone
	if len(labels) == 1 && labels[0] != 1 {
		return nil, fmt.Errorf("classlabels_int64s is %d alone, want two labels", labels[0])
	}
	if len(labels) == 1 {
		labels = []int{0, 1}
	}
	s := c.single(ids[0], all)
	if n.str("post_transform", "NONE") == "NONE" {
		s = c.mirrored(s, func(s *ir.Value) *ir.Value { return c.plus(c.neg(s), 1) })
	} else {
		s = c.mirrored(s, c.neg)
	}
	return []*ir.Value{c.label(c.top(s), labels), c.transform(s)}, c.err
}

// single returns the one score [N, 1] of a classifier whose leaves all weigh for the same class.
func (c *calc) single(id int, share func(e *ensemble) float64) *ir.Value {
	if id < 0 || id > 1 {
		return c.fail("class_ids has the entry %d, and there are two classes", id)
	}
	s := c.outputs("class", id+1, share)
	return c.cut(s, 1, id, id+1)
}

func init() {
	const ml = "ai.onnx.ml."
	nodes := "nodes_falsenodeids:is! nodes_featureids:is! nodes_hitrates:fs nodes_missing_value_tracks_true:is nodes_modes:ss! nodes_nodeids:is! nodes_treeids:is! nodes_truenodeids:is! nodes_values:fs base_values:fs post_transform:s "
	tensors := "base_values_as_tensor:t nodes_hitrates_as_tensor:t nodes_values_as_tensor:t "
	regressor := nodes + "aggregate_function:s n_targets:i target_ids:is target_nodeids:is target_treeids:is target_weights:fs "
	classifier := nodes + "class_ids:is class_nodeids:is class_treeids:is class_weights:fs classlabels_int64s:is classlabels_strings:ss "
	for _, r := range []struct {
		name, doc, attrs, extra string
		lower                   func(n *node) ([]*ir.Value, error)
	}{
		{"TreeEnsembleRegressor", "Sums of what the reached leaves weigh; ", regressor, "target_weights_as_tensor:t", treeRegressor},
		{"TreeEnsembleClassifier", "Label and scores, sums of what the reached leaves weigh; ", classifier, "class_weights_as_tensor:t", treeClassifier},
	} {
		doc := r.doc + "the trees' structure, their features and the labels are public, thresholds and weights stay private."
		add(ml+r.name, doc, r.lower, version{since: 1, in: 1, max: 1, attrs: r.attrs},
			version{since: 3, in: 1, max: 1, attrs: r.attrs + tensors + r.extra})
	}
}
