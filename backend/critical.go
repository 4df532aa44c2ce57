package backend

import (
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gonum.org/v1/gonum/graph/topo"

	"smpcc/ir"
)

// exchanges returns how many online rounds pass between a share-level value's arguments and the value itself.
func exchanges(v *ir.Value) int {
	switch v.Op {
	case ir.OpOpen, ir.OpReveal:
		return 1
	case ir.OpIntact:
		return 2
	case ir.OpOpenBit:
		if isFused(v.Args[0]) {
			return 0
		}
		return 1
	case ir.OpInput:
		if v.Type.Form == ir.Masked {
			return 1
		}
	case ir.OpWraps:
		if v.Attrs.Str("by") != "" {
			return 1
		}
		return treeRounds(v) + 1
	case ir.OpLtz, ir.OpEqz:
		if v.Attrs.Str("by") != "" {
			return 0
		}
		return treeRounds(v)
	}
	return 0
}

// treeRounds returns the exchanges of a comparison by MaskTree.
func treeRounds(v *ir.Value) int {
	kind, bits := compared(v)
	if bits == 0 {
		return 0
	}
	if _, groups := grouping(kind, bits, size(v)); len(groups) > 1 {
		return 2
	}
	return 1
}

// CriticalPath returns the chain of values with openings that the online rounds of a share-level function wait for, in
// order, and the rounds of the whole chain: nothing off this chain changes the number of rounds.
func CriticalPath(f *ir.Func) ([]*ir.Value, int) {
	g := simple.NewDirectedGraph()
	byID := map[int64]*ir.Value{}
	for _, v := range f.Body {
		byID[int64(v.ID)] = v
		g.AddNode(simple.Node(v.ID))
		for _, a := range v.Args {
			if a.Op != ir.OpWeight && g.Edge(int64(a.ID), int64(v.ID)) == nil {
				g.SetEdge(simple.Edge{F: simple.Node(a.ID), T: simple.Node(v.ID)})
			}
		}
	}
	order, err := topo.SortStabilized(g, nil)
	if err != nil {
		ir.Bug("values depend on each other in a circle: %v", err)
	}
	depth := map[int64]int{}
	before := map[int64]*ir.Value{}
	var last *ir.Value
	for _, n := range order {
		v := byID[n.ID()]
		most := 0
		for _, a := range graph.NodesOf(g.To(n.ID())) {
			if d := depth[a.ID()]; before[n.ID()] == nil || d > most || d == most && a.ID() < int64(before[n.ID()].ID) {
				most, before[n.ID()] = d, byID[a.ID()]
			}
		}
		depth[n.ID()] = most + exchanges(v)
		if last == nil || depth[n.ID()] > depth[int64(last.ID)] {
			last = v
		}
	}
	var path []*ir.Value
	if last == nil {
		return nil, 0
	}
	for v := last; v != nil; v = before[int64(v.ID)] {
		if exchanges(v) > 0 {
			path = append([]*ir.Value{v}, path...)
		}
	}
	return path, depth[int64(last.ID)]
}
