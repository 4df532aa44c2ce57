package main

import (
	"crypto/sha256"
	_ "embed" // the page's template, style and script
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
)

//go:embed auditpage/page.html
var pageTemplate string

//go:embed auditpage/page.css
var pageStyle string

//go:embed auditpage/page.js
var pageScript string

// shades is how many owners have a colour of their own; further ones share.
const shades = 8

// A pageNode is a value of the graph as the page shows it.
type pageNode struct {
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
	Rings   bool     `json:"-"`      // it is marked as opening something: the first secret value of its source node
	Shared  bool     `json:"shared"` // cost and openings are those of the source node, which has several values
	To      []string `json:"to"`
	Args    []int    `json:"args"`
	Uses    []int    `json:"uses"`
}

// A pageBox is a node's picture.
type pageBox struct {
	pageNode
	X, Y   float64
	Class  string
	Stripe []pageStripe
	Title  string
	Sub    string
	Label  string // for screen readers
}

// A pageStripe is the mark of one owner on a box.
type pageStripe struct {
	Class string
	Y, H  float64
}

// A pageEdge is a line of the picture.
type pageEdge struct {
	From, To int
	D        string
}

// A pageRole is a role with its colour.
type pageRole struct{ Name, Class, What string }

// A pageLearn is what one group of receivers learns.
type pageLearn struct {
	auditOutput
	Receivers string
}

type page struct {
	*audit
	Style         template.CSS
	Script        template.JS
	Policy        string // content security policy
	Roles         []pageRole
	Boxes         []pageBox
	Edges         []pageEdge
	Width, Height float64
	Pad           float64
	Data          []pageNode
	Paths         [][]int
	InputFlows    []pageFlow
	WeightFlows   []pageFlow
	LearnGroups   []pageLearn
	Colliding     string
	BoxW, BoxH    float64
}

// A pageFlow is a flow with its number.
type pageFlow struct {
	auditFlow
	Index int
	Steps string
}

var page1 = template.Must(template.New("page").Funcs(template.FuncMap{
	"close": func(p *page, output string) string {
		for _, x := range p.Accuracy {
			if x.Output == output {
				return x.Words
			}
		}
		return ""
	},
	"join":  func(s []string) string { return strings.Join(s, ", ") },
	"bytes": bytesText,
	"num":   func(x float64) string { return fmt.Sprintf("%g", x) },
	"sub":   func(a, b float64) float64 { return a - b },
	"add":   func(a, b float64) float64 { return a + b },
	"lines": func(g auditGuard) []string { return g.sentences() },
	"short": func(s string) string { return s[:min(len(s), 16)] },
}).Parse(pageTemplate))

// html writes the audit as one page that loads nothing from elsewhere: its content security policy forbids it, and names
// its own style and script by hash, so that nothing that a plan says can run.
func (a *audit) html(w io.Writer, p *plan.Plan) error {
	m, err := graphOf(p)
	if err != nil {
		return err
	}
	pg := &page{audit: a, Style: template.CSS(pageStyle), Script: template.JS(pageScript), Pad: 24, BoxW: boxWidth, BoxH: boxHeight}
	hash := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
	}
	pg.Policy = "default-src 'none'; style-src " + hash(pageStyle) + "; script-src " + hash(pageScript) + "; base-uri 'none'; form-action 'none'"
	class := map[string]string{}
	for i, r := range a.Parties {
		class[r] = fmt.Sprintf("o%d", i%shades)
		var what []string
		for _, x := range a.Provides {
			if x.Owner == r && !slices.Contains(what, x.Kind+"s") {
				what = append(what, x.Kind+"s")
			}
		}
		text := "computes, provides nothing"
		if len(what) > 0 {
			text = "computes, provides " + strings.Join(what, " and ")
		}
		pg.Roles = append(pg.Roles, pageRole{r, class[r], text})
	}
	pg.Roles = append(pg.Roles, pageRole{a.Dealer, "dealer", "deals correlated randomness, sees no data"})
	f := m.Main()
	nodes, err := pageNodes(f, p)
	if err != nil {
		return err
	}
	d := layout(f)
	pg.Width, pg.Height = d.Width+2*pg.Pad, d.Height+2*pg.Pad
	for _, b := range d.Boxes {
		pg.Boxes = append(pg.Boxes, newPageBox(nodes[b.V.ID], b, pg.Pad, class))
	}
	for _, e := range d.Edges {
		pg.Edges = append(pg.Edges, pageEdge{e.From, e.To, curve(e.Points, pg.Pad)})
	}
	pg.Data = nodes
	for i, w := range a.Flows {
		var ids []int
		var steps []string
		for _, s := range w.Path {
			ids = append(ids, s.Value)
			if n := len(steps); n == 0 || steps[n-1] != s.Op {
				steps = append(steps, s.Op)
			}
		}
		pg.Paths = append(pg.Paths, ids)
		x := pageFlow{w, i, strings.Join(steps, " → ")}
		if w.Kind == "input" {
			pg.InputFlows = append(pg.InputFlows, x)
		} else {
			pg.WeightFlows = append(pg.WeightFlows, x)
		}
	}
	for i, o := range a.Learns {
		who, told := []string{o.Receiver}, false
		for k, x := range a.Learns {
			if k != i && x.Output == o.Output && slices.Equal(x.Because, o.Because) {
				told = told || k < i
				who = append(who, x.Receiver)
			}
		}
		if !told {
			pg.LearnGroups = append(pg.LearnGroups, pageLearn{o, strings.Join(who, ", ")})
		}
	}
	return page1.Execute(w, pg)
}

// maxDrawn is the highest number of a value that is drawn.
const maxDrawn = 1 << 18

// pageNodes describes the values of f for the page, by id. Cost and openings are counted by source node: a source node that
// became several values shows them at each, and says so.
func pageNodes(f *ir.Func, p *plan.Plan) ([]pageNode, error) {
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
	values := map[string]int{}
	top := 0
	for _, v := range f.Body {
		values[position(v)]++
		top = max(top, v.ID)
	}
	out := make([]pageNode, top+1)
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
		n := pageNode{ID: v.ID, Op: string(v.Op), Name: v.Attrs.Str("name"), Type: t.Elem.String() + t.Shape.String(), Vis: vis, Owners: append([]string{}, t.Vis.Owners()...), Pos: position(v), To: append([]string{}, v.Attrs.Strings("to")...), Args: []int{}, Uses: []int{}, Done: []string{}, Opened: []string{}}
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
			n.Rounds, n.Online, n.Offline = c.Rounds, bytesText(c.Online), bytesText(c.Offline)
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
		uses := out[v.ID].Uses
		if uses != nil {
			n.Uses = uses
		}
		out[v.ID] = n
	}
	return out, nil
}

// newPageBox places a node on the page.
func newPageBox(n pageNode, b box, pad float64, class map[string]string) pageBox {
	x := pageBox{pageNode: n, X: b.X + pad, Y: b.Y + pad, Class: n.Vis}
	if n.Op == "reveal" {
		x.Class += " reveal"
	}
	for i, o := range n.Owners {
		h := boxHeight / float64(len(n.Owners))
		x.Stripe = append(x.Stripe, pageStripe{class[o], float64(i) * h, h})
	}
	x.Title, x.Sub = n.Op, n.Type
	if n.Name != "" {
		x.Title = n.Op + " " + n.Name
	}
	if len(n.To) > 0 {
		x.Sub += " to " + strings.Join(n.To, ", ")
	}
	x.Title, x.Sub = clip(x.Title, 23), clip(x.Sub, 26)
	x.Label = fmt.Sprintf("%s %s, %s, %s", n.Op, n.Name, n.Type, n.Vis)
	if len(n.Owners) > 0 {
		x.Label += " of " + strings.Join(n.Owners, ", ")
	}
	if len(n.To) > 0 {
		x.Label += ", to " + strings.Join(n.To, ", ")
	}
	return x
}

// clip shortens a text to n characters.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// curve renders points as a smooth path whose tangents are vertical.
func curve(pts [][2]float64, pad float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%g %g", pts[0][0]+pad, pts[0][1]+pad)
	for i := 1; i < len(pts); i++ {
		p, q := pts[i-1], pts[i]
		if p[0] == q[0] {
			fmt.Fprintf(&b, "V%g", q[1]+pad)
			continue
		}
		m := math.Round((p[1]+q[1])/2) + pad
		fmt.Fprintf(&b, "C%g %g %g %g %g %g", p[0]+pad, m, q[0]+pad, m, q[0]+pad, q[1]+pad)
	}
	return b.String()
}
