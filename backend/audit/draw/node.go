package draw

import (
	"fmt"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// A Node is a value of a graph as pictures and pages show it.
type Node struct {
	ID      int      `json:"id"`
	Op      string   `json:"op"`
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Vis     string   `json:"vis"` // public, private, secret
	Owners  []string `json:"owners"`
	Pos     string   `json:"pos"`
	Done    []string `json:"done"`   // what has been done to whose data since
	Opened  []string `json:"opened"` // what the online phase opens there, by node
	Rounds  int      `json:"rounds"`
	Online  string   `json:"online"`
	Offline string   `json:"offline"`
	Rings   bool     `json:"rings"`  // it is marked as opening something: the first secret value of its source node
	Shared  bool     `json:"shared"` // cost and openings are those of the source node, which has several values
	To      []string `json:"to"`
	Value   string   `json:"value"` // of a constant
	Args    []int    `json:"args"`
	Uses    []int    `json:"uses"`
	Called  string   `json:"called"` // its name in a text
	Label   string   `json:"label"`  // for screen readers
	Known   bool     `json:"known"`  // to the role whose view is shown
	In      int      `json:"in"`     // the innermost group that holds it, or -1
	Held    int      `json:"held"`   // the value in whose box it stands, or -1
	Holds   []int    `json:"holds"`  // what stands in its box
}

// maxDrawn is the highest number of a value that is drawn.
const maxDrawn = 1 << 18

// Nodes describes the values of f, by id. Cost and openings are counted by source node: a source node that
// became several values shows them at each, and says so.
func Nodes(f *ir.Func, p *plan.Plan) ([]Node, error) {
	for _, v := range f.Body {
		if v.ID > maxDrawn { // a text may number its values as it likes
			return nil, fmt.Errorf("%v has too high a number to be drawn, at most v%d", v, maxDrawn)
		}
	}
	cost := map[string]plan.NodeCost{}
	for _, c := range p.Cost().Nodes {
		cost[c.Node] = c
	}
	type opening struct {
		kind plan.Kind
		bits int
	}
	opened := map[string]map[opening]int{}
	seen := map[int]bool{}
	for i := range p.Programs {
		for _, r := range p.Programs[i].Online {
			for _, o := range r.Opens {
				if seen[o.Item] {
					continue
				}
				seen[o.Item] = true
				n := p.Nodes[o.Node]
				if opened[n] == nil {
					opened[n] = map[opening]int{}
				}
				opened[n][opening{o.Kind, o.Bits}] += o.Len
			}
		}
	}
	values, names := map[string]int{}, ir.Names(f)
	top := 0
	for _, v := range f.Body {
		values[v.Pos.String()]++
		top = max(top, v.ID)
	}
	out := make([]Node, top+1)
	marked := map[string]bool{}
	traces := map[*ir.Value]map[*ir.Value]ir.Done{}
	for _, v := range f.Body {
		if v.Op == ir.OpInput {
			traces[v] = ir.Trace(f, v)
		}
	}
	for _, v := range f.Body {
		vis := "secret"
		if v.Type.Vis.IsPublic() {
			vis = "public"
		} else if v.Type.Vis.IsPrivate() {
			vis = "private"
		}
		t := v.Type
		n := Node{ID: v.ID, Op: string(v.Op), Name: v.Attrs.Str("name"), Type: t.Elem.String() + t.Shape.String(), Vis: vis, Owners: append([]string{}, t.Vis.Owners()...), Pos: v.Pos.String(), To: append([]string{}, v.Attrs.Strings("to")...), Args: []int{}, Uses: []int{}, Done: []string{}, Opened: []string{}}
		if t := v.Attrs.Tensor("data"); v.Op == ir.OpConst && t != nil {
			n.Value = constant(t)
		}
		if v.Op == ir.OpReveal {
			n.Owners = append([]string{}, v.Args[0].Type.Vis.Owners()...)
		}
		for _, a := range v.Args {
			n.Args = append(n.Args, a.ID)
			out[a.ID].Uses = append(out[a.ID].Uses, v.ID)
		}
		for _, s := range f.Inputs() {
			if d, ok := traces[s][v]; ok && d != (ir.Done{}) {
				n.Done = append(n.Done, fmt.Sprintf("%s of %s: %s", s.Attrs.Str("name"), s.Attrs.Str("owner"), d))
			}
		}
		if vis == "secret" || v.Op == ir.OpReveal {
			n.Rings = len(opened[n.Pos]) > 0 && v.Op != ir.OpReveal && !marked[n.Pos]
			marked[n.Pos] = true
			n.Shared = values[n.Pos] > 1
			c := cost[n.Pos]
			n.Rounds, n.Online, n.Offline = c.Rounds, plan.Bytes(c.Online), plan.Bytes(c.Offline)
			covers := map[plan.Kind]string{plan.Reveal: "re-randomised by fresh shares of zero", plan.Keys: "each hidden from its receiver by the other party's root"}
			for _, kind := range []plan.Kind{plan.OpenWire, plan.OpenBits, plan.Correction} {
				covers[kind] = "each under a fresh uniform mask"
			}
			list := opened[n.Pos]
			for kind := plan.OpenWire; kind <= plan.Keys; kind++ {
				for bits := range 65 {
					if k := list[opening{kind, bits}]; k > 0 {
						n.Opened = append(n.Opened, fmt.Sprintf("%s: %d × %d bits, %s", map[plan.Kind]string{plan.OpenWire: "masked values", plan.OpenBits: "masked bits", plan.Correction: "corrections", plan.Reveal: "shares of the output", plan.Keys: "correction words of comparison keys"}[kind], k, bits, covers[kind]))
					}
				}
			}
		}
		n.Called, n.Label, n.In, n.Held, n.Holds = names[v], label(n), -1, -1, []int{}
		uses := out[v.ID].Uses
		if uses != nil {
			n.Uses = uses
		}
		out[v.ID] = n
	}
	return out, nil
}

// label says of a value what it is, to whom a picture is read.
func label(n Node) string {
	s := fmt.Sprintf("%s %s, %s, %s", n.Op, n.Name, n.Type, n.Vis)
	if len(n.Owners) > 0 {
		s += " of " + strings.Join(n.Owners, ", ")
	}
	if len(n.To) > 0 {
		s += ", to " + strings.Join(n.To, ", ")
	}
	return s
}

// mostNumbers is how many numbers of a constant are shown.
const mostNumbers = 12

// constant writes the first numbers of a constant.
func constant(t *ir.Tensor) string {
	var parts []string
	for i := range min(t.Len(), mostNumbers) {
		parts = append(parts, fmt.Sprintf("%g", t.At(i)))
	}
	s := strings.Join(parts, ", ")
	if n := t.Len() - mostNumbers; n > 0 {
		s += fmt.Sprintf(" and %d more", n)
	}
	return s
}
