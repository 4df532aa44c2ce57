package onnx

import (
	"errors"
	"fmt"
	"math"
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

// member is the mode of nodes that ask whether a feature is one of a set.
const member = "BRANCH_MEMBER"

// An ensemble is what the attributes of the two operators say.
type ensemble struct {
	trees    int
	features []int
	values   []float64
	modes    []string
	members  [][]float64
	tracks   []int          // not 0 of nodes that a missing value passes
	index    map[[2]int]int // of a node by tree and identity
	leaves   []int
	paths    [][]int // of each leaf: 2*node, one more where its condition must fail
}

// A thicket is the lists of nodes of an ensemble, as attributes hold them.
type thicket struct {
	tree, id, yes, no, features, tracks []int
	values                              []float64
	members                             [][]float64 // of nodes that ask whether a feature is one of a set; nil if there are none
	modes                               []string
}

// thicket reads the nodes of one of the two operators that versions up to 4 have.
func (n *node) thicket() (t thicket, err error) {
	t = thicket{tree: n.ints("nodes_treeids"), id: n.ints("nodes_nodeids"), yes: n.ints("nodes_truenodeids"), no: n.ints("nodes_falsenodeids"), features: n.ints("nodes_featureids"),
		tracks: n.ints("nodes_missing_value_tracks_true")}
	if a := n.attrs["nodes_modes"]; a != nil {
		for _, s := range a.Strings {
			t.modes = append(t.modes, string(s))
		}
	}
	t.values, err = n.floats("nodes_values")
	return t, err
}

// ensemble checks the nodes of a tree operator.
func (n *node) ensemble(t thicket, width int) (*ensemble, error) {
	e := &ensemble{features: t.features, values: t.values, modes: t.modes, members: t.members, tracks: t.tracks, index: map[[2]int]int{}}
	tree, id, yes, no := t.tree, t.id, t.yes, t.no
	size := len(tree)
	if len(e.tracks) != 0 && len(e.tracks) != size {
		return nil, fmt.Errorf("nodes_missing_value_tracks_true has %d entries, want %d", len(e.tracks), size)
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
		case "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ", member:
			if e.modes[i] == member && (i >= len(e.members) || len(e.members[i]) == 0) {
				return nil, fmt.Errorf("node %d of tree %d has no set of values", id[i], tree[i])
			}
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
	var order, same, sets []int           // nodes compared by order, for equality, and with sets
	for i, m := range e.modes {
		switch m {
		case "BRANCH_EQ", "BRANCH_NEQ":
			same = append(same, i)
		case member:
			sets = append(sets, i)
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
	all := slices.Concat(order, same, sets)
	nodes := len(all)
	for k, i := range all {
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
		bits = append(bits, c.pick(c.settle(c.e(ir.OpLt, nil, low, high)), 1, back))
	}
	if len(same) > 0 {
		bits = append(bits, c.settle(c.e(ir.OpEq, nil, feature(same), value("values", same))))
	}
	if len(sets) > 0 {
		bits = append(bits, c.among(x, e, sets)...)
	}
	if len(bits) == 0 || c.err != nil {
		return nil, nil
	}
	both := c.tracked(c.concat(1, bits...), x, e, all, places)
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

// settle notes that a comparison's result is made up for where what it reads is missing.
func (c *calc) settle(v *ir.Value) *ir.Value {
	if v != nil && v.Op != ir.OpConst {
		c.n.r.settled[v] = true
	}
	return v
}

// among returns for each node of a list whether its feature is one of its set. A feature equals one value at most, so that the bits of all of them
// are added up mod 2, which is local.
func (c *calc) among(x *ir.Value, e *ensemble, list []int) (bits []*ir.Value) {
	var idx []int
	var values []float64
	for _, i := range list {
		for _, v := range e.members[i] {
			idx, values = append(idx, e.features[i]), append(values, v)
		}
	}
	t := c.table(ir.Real, len(values))
	if t == nil {
		return nil
	}
	copy(t.F, values)
	hit := c.settle(c.e(ir.OpEq, nil, c.pick(x, 1, idx), c.learned("members", t)))
	at := 0
	for _, i := range list {
		any := c.cut(hit, 1, at, at+1)
		for k := 1; k < len(e.members[i]); k++ {
			any = c.e(ir.OpXor, nil, any, c.cut(hit, 1, at+k, at+k+1))
		}
		at += len(e.members[i])
		bits = append(bits, any)
	}
	return bits
}

// tracked makes up for missing features: the conditions of nodes that track them hold, those of others fail. bits are those of all nodes.
func (c *calc) tracked(bits, x *ir.Value, e *ensemble, all, places []int) *ir.Value {
	if !slices.ContainsFunc(e.tracks, func(t int) bool { return t != 0 }) {
		return bits
	}
	absent := c.missing(x)
	if c.err != nil || absent == nil {
		return bits
	}
	idx := make([]int, len(all))
	want := c.table(ir.Bool, 1, len(all)) // the bit of a missing feature
	if want == nil {
		return nil
	}
	for k, i := range all {
		idx[k] = e.features[i]
		if (e.tracks[i] != 0) == (places[2*i] == k) {
			want.I[k] = 1
		}
	}
	w := c.expand(c.data(want, false), bits.Type.Shape)
	there := c.e(ir.OpNot, nil, c.pick(absent, 1, idx))
	return c.e(ir.OpXor, nil, c.e(ir.OpAnd, nil, c.e(ir.OpXor, nil, bits, w), there), w)
}

// A harvest says what leaves weigh for which outputs.
type harvest struct {
	tree, id, to []int
	w            []float64
}

// harvest reads what leaves weigh. prefix is that of the attributes: target or class.
func (n *node) harvest(prefix string) (h harvest, err error) {
	h = harvest{tree: n.ints(prefix + "_treeids"), id: n.ints(prefix + "_nodeids"), to: n.ints(prefix + "_ids")}
	h.w, err = n.floats(prefix + "_weights")
	return h, err
}

// outputs returns the sums [N, outs] of what the reached leaves weigh. prefix is that of the attributes: target or class.
func (c *calc) outputs(prefix string, outs int, aggregate string) *ir.Value {
	t, err := c.n.thicket()
	h, err2 := c.n.harvest(prefix)
	if err = errors.Join(err, err2); err != nil {
		return c.got(nil, err)
	}
	return c.summed(t, h, prefix, outs, aggregate)
}

// summed returns the sums, means, or least or largest over trees, of what the reached leaves weigh.
func (c *calc) summed(t thicket, h harvest, prefix string, outs int, aggregate string) *ir.Value {
	n := c.n
	x, rows, width := c.samples()
	if c.err != nil {
		return nil
	}
	e, err := n.ensemble(t, width)
	if err != nil {
		return c.got(nil, err)
	}
	tree, id, to, w := h.tree, h.id, h.to, h.w
	base, err := n.floats("base_values")
	if err != nil {
		return c.got(nil, err)
	}
	if len(tree) != len(id) || len(tree) != len(to) || len(tree) != len(w) || len(base) > 1 && len(base) != outs {
		return c.fail("%d %s_treeids, %d nodeids, %d ids, %d weights and %d base_values do not fit", len(tree), prefix, len(id), len(to), len(w), len(base))
	}
	bits, covered := c.reached(x, e)
	if aggregate == "MIN" || aggregate == "MAX" {
		y := c.extreme(e, h, bits, covered, rows, outs, aggregate)
		if len(base) == 0 {
			return y
		}
		return c.add(y, c.vector("base", base, outs))
	}
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
	k := 1.0
	if aggregate == "AVERAGE" {
		k = 1 / float64(e.trees)
	}
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

// extreme returns the least or largest over trees of what the reached leaves weigh; every leaf weighs for every output.
func (c *calc) extreme(e *ensemble, h harvest, bits *ir.Value, covered []int, rows, outs int, aggregate string) *ir.Value {
	if c.err != nil {
		return nil
	}
	row, place := map[int]int{}, map[int]int{} // of a node among the leaves, of a tree among the trees
	for r, l := range covered {
		row[e.leaves[l]] = r
	}
	weights, fixed := c.table(ir.Real, len(covered), e.trees*outs), c.table(ir.Real, e.trees*outs)
	if fixed == nil {
		return nil
	}
	count := map[int]int{}
	for i := range h.w {
		at, ok := e.index[[2]int{h.tree[i], h.id[i]}]
		if !ok || e.modes[at] != "LEAF" || h.to[i] < 0 || h.to[i] >= outs {
			return c.fail("entry %d weighs node %d of tree %d for output %d of %d, which is not a leaf or not an output", i, h.id[i], h.tree[i], h.to[i], outs)
		}
		p, ok := place[h.tree[i]]
		if !ok {
			p = len(place)
			place[h.tree[i]] = p
		}
		count[at]++
		if r, ok := row[at]; ok {
			weights.F[r*e.trees*outs+p*outs+h.to[i]] += h.w[i]
		} else {
			fixed.F[p*outs+h.to[i]] += h.w[i]
		}
	}
	for _, l := range e.leaves {
		if count[l] != outs {
			return c.fail("aggregate_function=%s of leaves that do not each weigh for every output is not supported", aggregate)
		}
	}
	y := c.expand(c.learned("base", fixed), ir.Shape{rows, e.trees * outs})
	if bits != nil {
		y = c.add(c.e(ir.OpMatMul, nil, c.to(bits, ir.Real), c.learned("leaves", weights)), y)
	}
	if aggregate == "MIN" {
		y = c.neg(y)
	}
	y = c.reshape(c.reduce(ir.OpReduceMax, c.reshape(y, rows, e.trees, outs), 1), rows, outs)
	if aggregate == "MIN" {
		y = c.neg(y)
	}
	return y
}

func treeRegressor(n *node) ([]*ir.Value, error) {
	c := n.calc()
	outs := n.int("n_targets", 1)
	if outs < 1 || outs > 1<<16 {
		return nil, fmt.Errorf("n_targets=%d is out of range", outs)
	}
	aggregate := n.str("aggregate_function", "SUM")
	if !slices.Contains([]string{"SUM", "AVERAGE", "MIN", "MAX"}, aggregate) {
		return nil, fmt.Errorf("aggregate_function=%s is not supported, want SUM, AVERAGE, MIN or MAX", short(aggregate))
	}
	return c.one(c.transform(c.outputs("target", outs, aggregate)))
}

// Modes, aggregates and transforms are numbers from version 5 on.
var (
	branchModes = []string{"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", member}
	aggregates  = []string{"AVERAGE", "SUM", "MIN", "MAX"}
	transforms  = []string{"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"}
)

// treeEnsemble lowers TreeEnsemble: nodes and leaves have lists of their own.
func treeEnsemble(n *node) ([]*ir.Value, error) {
	c := n.calc()
	outs, aggregate, transform := n.int("n_targets", 1), n.int("aggregate_function", 1), n.int("post_transform", 0)
	if outs < 1 || outs > 1<<16 || aggregate < 0 || aggregate >= len(aggregates) || transform < 0 || transform >= len(transforms) {
		return nil, fmt.Errorf("n_targets=%d, aggregate_function=%d or post_transform=%d is out of range", outs, aggregate, transform)
	}
	t, h, err := n.flatTrees()
	if err != nil {
		return nil, err
	}
	return c.one(c.transformed(c.summed(t, h, "leaf", outs, aggregates[aggregate]), transforms[transform]))
}

// flatTrees reads the nodes and leaves of TreeEnsemble. A leaf becomes a node of its own for each node above it.
func (n *node) flatTrees() (t thicket, h harvest, err error) {
	yes, no, yesLeaf, noLeaf := n.ints("nodes_truenodeids"), n.ints("nodes_falsenodeids"), n.ints("nodes_trueleafs"), n.ints("nodes_falseleafs")
	features, tracks, targets, roots := n.ints("nodes_featureids"), n.ints("nodes_missing_value_tracks_true"), n.ints("leaf_targetids"), n.ints("tree_roots")
	var lists [4]*ir.Tensor
	for i, name := range []string{"nodes_modes", "nodes_splits", "leaf_weights", "membership_values"} {
		if !n.has(name) {
			lists[i] = ir.Reals(ir.Shape{0})
			continue
		}
		if lists[i], err = n.held(n.attrs[name].GetT()); err != nil {
			return t, h, fmt.Errorf("%s: %w", name, err)
		}
	}
	modes, splits, weights, sets := lists[0], lists[1], lists[2], lists[3]
	size := len(features)
	if size == 0 || size > maxTreeNodes || len(yes) != size || len(no) != size || len(yesLeaf) != size || len(noLeaf) != size || modes.Len() != size || splits.Len() != size || len(tracks) != 0 && len(tracks) != size ||
		weights.Len() != len(targets) || weights.Elem != ir.Real || splits.Elem != ir.Real {
		return t, h, fmt.Errorf("attributes of %d nodes and %d leaves do not have as many entries each", size, len(targets))
	}
	var groups [][]float64 // sets end in NaN
	var group []float64
	for i := range sets.Len() {
		switch x := sets.At(i); {
		case math.IsNaN(x):
			groups, group = append(groups, group), nil
		case math.IsInf(x, 0):
			return t, h, fmt.Errorf("membership_values has an infinite entry %d", i)
		case !slices.Contains(group, x):
			group = append(group, x)
		}
	}
	if group != nil {
		groups = append(groups, group)
	}
	of := make([]int, size) // the tree of a node, one more than its place; 0 before it is known
	add := func(tree, feature int, mode string, value float64, set []float64, track int) int {
		t.tree, t.id, t.features, t.modes = append(t.tree, tree), append(t.id, len(t.id)), append(t.features, feature), append(t.modes, mode)
		t.values, t.members, t.tracks = append(t.values, value), append(t.members, set), append(t.tracks, track)
		t.yes, t.no = append(t.yes, 0), append(t.no, 0)
		return len(t.id) - 1
	}
	next := 0
	for i := range size {
		m := int(modes.At(i))
		if m < 0 || m >= len(branchModes) {
			return t, h, fmt.Errorf("nodes_modes has the entry %d, want 0 to %d", m, len(branchModes)-1)
		}
		var set []float64
		value := splits.F[i]
		if branchModes[m] == member {
			if next == len(groups) {
				return t, h, fmt.Errorf("node %d has no set among membership_values", i)
			}
			set, value = groups[next], 0
			next++
		}
		if math.IsNaN(value) || math.IsInf(value, 0) {
			return t, h, fmt.Errorf("entry %d of nodes_splits is not a finite number", i)
		}
		track := 0
		if len(tracks) > 0 {
			track = tracks[i]
		}
		add(0, features[i], branchModes[m], value, set, track)
	}
	type step struct{ node, tree int }
	var todo []step
	for k, r := range roots {
		if r < 0 || r >= size {
			return t, h, fmt.Errorf("tree_roots has the entry %d of %d nodes", r, size)
		}
		todo = append(todo, step{r, k})
	}
	for len(todo) > 0 {
		s := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if of[s.node] != 0 {
			return t, h, fmt.Errorf("node %d is reached in two ways", s.node)
		}
		of[s.node] = s.tree + 1
		t.tree[s.node] = s.tree
		for side, to := range []int{yes[s.node], no[s.node]} {
			leaf := []int{yesLeaf[s.node], noLeaf[s.node]}[side] != 0
			switch {
			case to < 0 || leaf && to >= len(targets) || !leaf && to >= size:
				return t, h, fmt.Errorf("node %d leads to %d, which is not there", s.node, to)
			case len(t.id) > maxTreeNodes:
				return t, h, fmt.Errorf("there are more than %d nodes and leaves", maxTreeNodes)
			case leaf:
				at := add(s.tree, 0, "LEAF", 0, nil, 0)
				h.tree, h.id, h.to, h.w = append(h.tree, s.tree), append(h.id, at), append(h.to, targets[to]), append(h.w, weights.F[to])
				to = at
			default:
				todo = append(todo, step{to, s.tree})
			}
			if side == 0 {
				t.yes[s.node] = to
			} else {
				t.no[s.node] = to
			}
		}
	}
	for i := range size {
		if of[i] == 0 {
			return t, h, fmt.Errorf("node %d has no way from a root", i)
		}
	}
	return t, h, nil
}

func treeClassifier(n *node) ([]*ir.Value, error) {
	c := n.calc()
	labels, err := n.labels("classlabels_int64s")
	if err != nil {
		return nil, err
	}
	ids := slices.Clone(n.ints("class_ids"))
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) != 1 || len(labels) > 2 {
		s := c.outputs("class", len(labels), "SUM")
		return []*ir.Value{c.label(c.top(s), labels), c.transform(s)}, c.err
	}
	// two classes and the score of the second alone
	if len(labels) == 1 && labels[0] != 1 {
		return nil, fmt.Errorf("classlabels_int64s is %d alone, want two labels", labels[0])
	}
	if len(labels) == 1 {
		labels = []int{0, 1}
	}
	s := c.single(ids[0])
	if n.str("post_transform", "NONE") == "NONE" {
		s = c.mirrored(s, func(s *ir.Value) *ir.Value { return c.plus(c.neg(s), 1) })
	} else {
		s = c.mirrored(s, c.neg)
	}
	return []*ir.Value{c.label(c.top(s), labels), c.transform(s)}, c.err
}

// single returns the one score [N, 1] of a classifier whose leaves all weigh for the same class.
func (c *calc) single(id int) *ir.Value {
	if id < 0 || id > 1 {
		return c.fail("class_ids has the entry %d, and there are two classes", id)
	}
	s := c.outputs("class", id+1, "SUM")
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
	add(ml+"TreeEnsemble", "Sums, means, least or largest of what the reached leaves weigh; the trees' structure and features are public, thresholds, sets and weights stay private.", treeEnsemble,
		version{since: 5, in: 1, max: 1, attrs: "aggregate_function:i leaf_targetids:is! leaf_weights:t! membership_values:t n_targets:i nodes_falseleafs:is! nodes_falsenodeids:is! nodes_featureids:is! nodes_hitrates:t nodes_missing_value_tracks_true:is nodes_modes:t! nodes_splits:t! nodes_trueleafs:is! nodes_truenodeids:is! post_transform:i tree_roots:is!"})
}
