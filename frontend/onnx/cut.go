package onnx

import (
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// cutHint says how to cut the graph before the node, after what that is good for.
func (n *node) cutHint(why string) string {
	var names []string
	for _, in := range n.p.Input {
		if v := n.r.vals[in]; v != nil && v.Op != ir.OpInput && v.Op != ir.OpWeight && v.Op != ir.OpConst {
			names = append(names, short(in))
		}
	}
	if len(names) == 0 || n.r.depth > 0 {
		return "export it as other operators, or as a function of the model, whose body is read in its place"
	}
	return fmt.Sprintf("%s: smpcc compile --outputs %s", why, strings.Join(names, ","))
}

// cut makes some values the outputs of a graph, in place of its own, and drops the nodes that these do not need. It returns the first name that
// nothing computes.
func cut(g *pb.GraphProto, names []string) (missing string) {
	need := map[string]bool{}
	var outputs []*pb.ValueInfoProto
	known := map[string]*pb.ValueInfoProto{}
	for _, v := range append(append([]*pb.ValueInfoProto{}, g.ValueInfo...), g.Output...) {
		known[v.GetName()] = v
	}
	for _, name := range names {
		if need[name] {
			continue
		}
		need[name] = true
		v := known[name]
		if v == nil {
			v = &pb.ValueInfoProto{Name: proto.String(name)}
		}
		outputs = append(outputs, v)
	}
	var nodes []*pb.NodeProto
	computed := map[string]bool{}
	for i := len(g.Node) - 1; i >= 0; i-- {
		p := g.Node[i]
		wanted := false
		for _, o := range p.Output {
			wanted = wanted || o != "" && need[o]
			computed[o] = true
		}
		if wanted {
			nodes = append(nodes, p)
			reads(p, need, 0)
		}
	}
	slices.Reverse(nodes)
	for _, name := range names {
		if !computed[name] {
			return name
		}
	}
	g.Node, g.Output = nodes, outputs
	return ""
}

// reads marks what a node reads, graphs inside it included.
func reads(p *pb.NodeProto, need map[string]bool, depth int) {
	for _, in := range p.Input {
		need[in] = true
	}
	for _, a := range p.Attribute {
		if a.G == nil || depth >= maxDepth {
			continue
		}
		for _, q := range a.G.Node {
			reads(q, need, depth+1)
		}
		for _, o := range a.G.Output {
			need[o.GetName()] = true
		}
	}
}

// unread lists the inputs of a graph that none of its nodes reads, and that are no output.
func (r *reader) unread(g *pb.GraphProto) map[string]bool {
	need := map[string]bool{}
	for _, p := range g.Node {
		reads(p, need, 0)
	}
	out := map[string]bool{}
	for _, v := range g.Input {
		out[v.GetName()] = !need[v.GetName()]
	}
	return out
}
