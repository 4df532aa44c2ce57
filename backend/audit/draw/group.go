package draw

import (
	"fmt"
	"slices"

	"smpcc/ir"
)

// A Group is values that are drawn as one box until somebody unfolds it: a scope of a model, a function of a program, a node that became several values.
type Group struct {
	Title  string `json:"title"`
	Parent int    `json:"parent"` // the group in which it is, or -1
}

// Bounds of what is seen before anything is unfolded.
const (
	mostItems = 48
	mostRows  = 20
)

// Fold groups the values of f, which nodes describe by id, and notes at each node the group that holds it and the box in which it stands: weights, constants and
// what derives from them alone stand in the box of their only use, and constants in that of their first.
func Fold(f *ir.Func, nodes []Node) []Group {
	d := fold(f)
	fixed := map[*ir.Value]bool{}
	for _, v := range f.Body {
		fixed[v] = v.Op != ir.OpInput && !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return !fixed[a] })
		nodes[v.ID].In = d.in[v]
	}
	for _, v := range slices.Backward(f.Body) {
		uses := d.uses[v]
		if !fixed[v] || len(uses) == 0 || slices.ContainsFunc(uses, func(u *ir.Value) bool { return u.Op == ir.OpReveal || v.Op != ir.OpConst && u != uses[0] }) {
			continue
		}
		into := uses[0].ID
		nodes[v.ID].Held = into
		for into >= 0 {
			nodes[into].Holds = append(nodes[into].Holds, v.ID)
			into = nodes[into].Held
		}
	}
	return prune(d.groups, nodes)
}

// prune dissolves groups that show fewer than two boxes when they are unfolded.
func prune(groups []Group, nodes []Node) []Group {
	order := make([]int, len(groups)) // children before parents
	deep := func(g int) (n int) {
		for ; g >= 0; g = groups[g].Parent {
			n++
		}
		return n
	}
	for g := range groups {
		order[g] = g
	}
	slices.SortStableFunc(order, func(a, b int) int { return deep(b) - deep(a) })
	shows, gone := make([]int, len(groups)), make([]bool, len(groups))
	for _, n := range nodes {
		if n.Op != "" && n.Held < 0 && n.In >= 0 {
			shows[n.In]++
		}
	}
	for _, g := range order {
		up := groups[g].Parent
		if gone[g] = shows[g] < 2; up >= 0 && gone[g] {
			shows[up] += shows[g]
		} else if up >= 0 {
			shows[up]++
		}
	}
	left := func(g int) int { // the innermost that is left
		for g >= 0 && gone[g] {
			g = groups[g].Parent
		}
		return g
	}
	out, to := []Group{}, make([]int, len(groups))
	for g, x := range groups {
		if !gone[g] {
			to[g] = len(out)
			out = append(out, x)
		}
	}
	moved := func(g int) int {
		if g = left(g); g >= 0 {
			return to[g]
		}
		return -1
	}
	for g := range groups {
		if !gone[g] {
			out[to[g]].Parent = moved(groups[g].Parent)
		}
	}
	for i := range nodes {
		if nodes[i].Op != "" {
			nodes[i].In = moved(nodes[i].In)
		}
	}
	return out
}

// folding puts the values of a function into groups.
type folding struct {
	groups []Group
	in     map[*ir.Value]int // the innermost group of each value, or -1
	at     map[*ir.Value]int // place in the body
	scopes map[*ir.Value][]string
	uses   map[*ir.Value][]*ir.Value
}

// fold groups the values of f by the scopes of their source. Whatever is folded, no box stands on a way from another to itself: a scope that data leave and
// enter again becomes several groups. Inputs and reveals are in none. What derives from weights and constants alone goes with its first use. Where scopes do
// not bring f down to a few boxes, and if it has none, runs of it between two values through which everything goes are groups.
func fold(f *ir.Func) *folding {
	d := &folding{in: map[*ir.Value]int{}, at: map[*ir.Value]int{}, scopes: map[*ir.Value][]string{}, uses: map[*ir.Value][]*ir.Value{}}
	fixed := map[*ir.Value]bool{} // derives from no input
	for i, v := range f.Body {
		d.at[v], d.in[v] = i, -1
		fixed[v] = v.Op != ir.OpInput && !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return !fixed[a] })
		for _, a := range v.Args {
			d.uses[a] = append(d.uses[a], v)
		}
	}
	var inner []*ir.Value
	for _, v := range slices.Backward(f.Body) {
		switch {
		case v.Op == ir.OpInput || v.Op == ir.OpReveal:
			continue
		case fixed[v] && len(d.uses[v]) > 0 && d.uses[v][0].Op != ir.OpReveal:
			d.scopes[v] = d.scopes[d.uses[v][0]]
		default:
			d.scopes[v] = ir.Scopes(v)
		}
		inner = append(inner, v)
	}
	slices.Reverse(inner)
	d.split(inner, -1, 0)
	d.runs(f, fixed)
	return d
}

// split groups values of one parent by their scopes from depth on.
func (d *folding) split(values []*ir.Value, parent, depth int) {
	var keys []string
	members := map[string][]*ir.Value{}
	for _, v := range values {
		if s := d.scopes[v]; len(s) > depth {
			if members[s[depth]] == nil {
				keys = append(keys, s[depth])
			}
			members[s[depth]] = append(members[s[depth]], v)
		}
	}
	if len(keys) == 1 && len(members[keys[0]]) == len(values) { // one scope around all says nothing
		if len(keys[0]) > 0 && parent >= 0 {
			d.groups[parent].Title += "/" + keys[0]
		}
		d.split(values, parent, depth+1)
		return
	}
	box := map[*ir.Value]int{} // of what is contracted already
	for _, k := range keys {
		for i, part := range d.parts(values, members[k], box) {
			if len(part) < 2 {
				continue
			}
			title := k
			if i > 0 {
				title = fmt.Sprintf("%s (%d)", k, i+1)
			}
			id := d.add(title, parent, part)
			for _, v := range part {
				box[v] = id
			}
			d.split(part, id, depth+1)
		}
	}
}

// add makes a group of values.
func (d *folding) add(title string, parent int, values []*ir.Value) int {
	d.groups = append(d.groups, Group{title, parent})
	for _, v := range values {
		d.in[v] = len(d.groups) - 1
	}
	return len(d.groups) - 1
}

// parts cuts the members of a scope such that no way leaves a part and enters it again: a member's part is the most times that a way to it has left the scope.
// values are all of the parent in order, and box tells which of them are one box already.
func (d *folding) parts(values, members []*ir.Value, box map[*ir.Value]int) [][]*ir.Value {
	inside := map[*ir.Value]bool{}
	for _, v := range members {
		inside[v] = true
	}
	values = d.near(values, members, box)
	here := map[*ir.Value]bool{}
	whole := map[int][]*ir.Value{} // what a box holds
	for _, v := range values {
		here[v] = true
		if b, ok := box[v]; ok {
			whole[b] = append(whole[b], v)
		}
	}
	part := map[*ir.Value]int{}
	done := map[*ir.Value]bool{}
	var visit func(v *ir.Value)
	visit = func(v *ir.Value) { // the members of a box are visited together
		if done[v] {
			return
		}
		same := []*ir.Value{v}
		own, boxed := box[v]
		if boxed {
			same = whole[own]
		}
		for _, x := range same {
			done[x] = true
		}
		most := 0
		for _, x := range same {
			for _, a := range x.Args {
				if b, ok := box[a]; !here[a] || ok && boxed && b == own {
					continue
				}
				visit(a)
				n := part[a]
				if inside[a] && !inside[v] {
					n++
				}
				most = max(most, n)
			}
		}
		for _, x := range same {
			part[x] = most
		}
	}
	for _, v := range values {
		visit(v)
	}
	var out [][]*ir.Value
	for _, v := range members {
		for len(out) <= part[v] {
			out = append(out, nil)
		}
		out[part[v]] = append(out[part[v]], v)
	}
	return out
}

// near returns those of values that can stand on a way between two members: what lies between them in the body, and the whole of every box that begins or
// ends there.
func (d *folding) near(values, members []*ir.Value, box map[*ir.Value]int) []*ir.Value {
	lo, hi := d.at[members[0]], d.at[members[len(members)-1]]
	ends := map[int][2]int{}
	for _, v := range values {
		if b, ok := box[v]; ok {
			e, seen := ends[b]
			if !seen {
				e = [2]int{d.at[v], d.at[v]}
			}
			ends[b] = [2]int{min(e[0], d.at[v]), max(e[1], d.at[v])}
		}
	}
	for grown := true; grown; {
		grown = false
		for _, e := range ends {
			if e[0] <= hi && e[1] >= lo && (e[0] < lo || e[1] > hi) {
				lo, hi, grown = min(lo, e[0]), max(hi, e[1]), true
			}
		}
	}
	from, _ := slices.BinarySearchFunc(values, lo, func(v *ir.Value, at int) int { return d.at[v] - at })
	to, _ := slices.BinarySearchFunc(values, hi+1, func(v *ir.Value, at int) int { return d.at[v] - at })
	return values[from:to]
}

// An item is what stands at the top: a group, or a value that is in none.
type item struct {
	values []*ir.Value
	fixed  bool // a value that derives from weights and constants alone
	first  int  // where its first value stands in the body, or is needed if it is fixed
	before map[*item]bool
	after  []*item
}

// items returns what stands at the top, such that every item comes after what it is computed from, otherwise in the order of the body, and what derives from
// weights where it is needed.
func (d *folding) items(f *ir.Func, fixed map[*ir.Value]bool) []*item {
	of := map[*ir.Value]*item{}
	groups := map[int]*item{}
	var all []*item
	for _, v := range f.Body {
		g := d.in[v]
		for g >= 0 && d.groups[g].Parent >= 0 {
			g = d.groups[g].Parent
		}
		x := groups[g]
		if x == nil || g < 0 {
			x = &item{fixed: g < 0 && fixed[v], first: d.at[v], before: map[*item]bool{}}
			all, groups[g] = append(all, x), x
		}
		x.values = append(x.values, v)
		of[v] = x
	}
	for _, v := range f.Body {
		for _, a := range v.Args {
			if x, y := of[a], of[v]; x != y && !y.before[x] {
				y.before[x] = true
				x.after = append(x.after, y)
			}
		}
	}
	for _, x := range slices.Backward(all) {
		for i, y := range x.after {
			if x.fixed && (i == 0 || y.first < x.first) {
				x.first = y.first
			}
		}
	}
	left := map[*item]int{}
	var ready, out []*item
	for _, x := range all {
		if left[x] = len(x.before); left[x] == 0 {
			ready = append(ready, x)
		}
	}
	for len(ready) > 0 {
		x := slices.MinFunc(ready, func(a, b *item) int { return a.first - b.first })
		ready = slices.DeleteFunc(ready, func(y *item) bool { return x == y })
		out = append(out, x)
		for _, y := range x.after {
			if left[y]--; left[y] == 0 {
				ready = append(ready, y)
			}
		}
	}
	return out
}

// runs wraps what stands at the top into groups that follow each other, if there is more of it than is seen at once: cut where the fewest edges pass, so that
// a run is a layer where there are layers.
func (d *folding) runs(f *ir.Func, fixed map[*ir.Value]bool) {
	items := d.items(f, fixed)
	seen := 0
	for _, x := range items {
		if !x.fixed {
			seen++
		}
	}
	if seen <= mostItems {
		return
	}
	at := map[*item]int{}
	passing := make([]int, len(items)+1) // how many edges pass the place before an item
	for i, x := range items {
		at[x] = i
		for y := range x.before {
			if !y.fixed && y.values[0].Op != ir.OpInput {
				for k := at[y] + 1; k <= i; k++ {
					passing[k]++
				}
			}
		}
	}
	each := float64(len(items)) / (mostRows - 4)
	for from, run := 0, 1; from < len(items); run++ {
		to := len(items)
		for k := from + int(0.6*each) + 1; k <= from+int(1.4*each) && k < len(items); k++ {
			if to == len(items) || passing[k] < passing[to] {
				to = k
			}
		}
		if len(items)-from <= int(1.2*each) {
			to = len(items)
		}
		d.wrap(fmt.Sprintf("part %d", run), items[from:to])
		from = to
	}
}

// wrap puts items into a new group at the top, but for inputs and reveals.
func (d *folding) wrap(title string, items []*item) {
	var inner []*item
	for _, x := range items {
		if op := x.values[0].Op; op != ir.OpInput && op != ir.OpReveal {
			inner = append(inner, x)
		}
	}
	if len(inner) < 2 {
		return
	}
	id := len(d.groups)
	d.groups = append(d.groups, Group{title, -1})
	for _, x := range inner {
		g := d.in[x.values[0]]
		if g < 0 {
			d.in[x.values[0]] = id
			continue
		}
		for d.groups[g].Parent >= 0 {
			g = d.groups[g].Parent
		}
		d.groups[g].Parent = id
	}
}
