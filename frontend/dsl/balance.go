package dsl

import (
	"math/bits"

	"smpcc/ir"
)

// associative lists the operations whose order in a chain changes no result: not even a rounding.
var associative = map[ir.Op]bool{ir.OpMax: true, ir.OpMin: true, ir.OpAnd: true, ir.OpOr: true}

// balance makes trees of chains of one associative operation, as a loop over elements writes them: m = max(m, x[i]) a thousand times is ten comparisons
// deep then, not a thousand. Values that are used otherwise stay.
func balance(f *ir.Func) {
	uses := f.Uses()
	inside := map[*ir.Value]bool{} // of a chain that another value ends
	for _, v := range f.Body {
		if !associative[v.Op] {
			continue
		}
		for _, a := range v.Args {
			if a.Op == v.Op && uses[a] == 1 && a.Type.Elem == v.Type.Elem && a.Type.Shape.Equal(v.Type.Shape) {
				inside[a] = true
			}
		}
	}
	depth := map[*ir.Value]int{}
	drop := map[*ir.Value]bool{}
	before := map[*ir.Value][]*ir.Value{} // new values by the one that they stand before
	for _, v := range f.Body {
		if !associative[v.Op] {
			continue
		}
		for _, a := range v.Args {
			if inside[a] && a.Op == v.Op {
				depth[v] = max(depth[v], depth[a])
			}
		}
		if depth[v]++; inside[v] {
			continue
		}
		if depth[v] < 3 {
			continue
		}
		leaves, inner := leavesOf(v, inside)
		if depth[v] <= bits.Len(uint(len(leaves)-1)) {
			continue
		}
		for _, x := range inner {
			drop[x] = true
		}
		before[v] = joinedPairs(v, leaves)
	}
	if len(before) == 0 {
		return
	}
	var body []*ir.Value
	for _, v := range f.Body {
		if drop[v] {
			continue
		}
		body = append(append(body, before[v]...), v)
	}
	f.Body = body
	f.Renumber()
}

// leavesOf returns what the chain that ends with v joins, in order, and the values inside it.
func leavesOf(v *ir.Value, inside map[*ir.Value]bool) (leaves, inner []*ir.Value) {
	stack := []*ir.Value{v.Args[1], v.Args[0]}
	for len(stack) > 0 {
		a := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if inside[a] && a.Op == v.Op && a.Type.Shape.Equal(v.Type.Shape) {
			inner = append(inner, a)
			stack = append(stack, a.Args[1], a.Args[0])
			continue
		}
		leaves = append(leaves, a)
	}
	return leaves, inner
}

// joinedPairs joins leaves in a tree that ends with v, and returns the new values in order.
func joinedPairs(v *ir.Value, leaves []*ir.Value) (out []*ir.Value) {
	for len(leaves) > 2 {
		var next []*ir.Value
		for i := 0; i+1 < len(leaves); i += 2 {
			n := &ir.Value{Op: v.Op, Args: []*ir.Value{leaves[i], leaves[i+1]}, Pos: v.Pos}
			t, err := ir.Rows[v.Op].TypeOf(n)
			if err != nil {
				ir.Bug("balance: %v", err)
			}
			n.Type = t
			out, next = append(out, n), append(next, n)
		}
		if len(leaves)%2 == 1 {
			next = append(next, leaves[len(leaves)-1])
		}
		leaves = next
	}
	v.Args = []*ir.Value{leaves[0], leaves[1]}
	return out
}
