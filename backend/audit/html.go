package audit

import (
	_ "embed" // the page's template, style and script
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	"smpcc/backend/audit/draw"
	"smpcc/backend/plan"
)

//go:embed page/page.html
var pageTemplate string

//go:embed page/page.css
var pageStyle string

//go:embed page/layout.js
var layoutScript string

//go:embed page/page.js
var pageScript string

// A pageRole is a role with its colour.
type pageRole struct{ Name, Class, What string }

type page struct {
	*Report
	Style  template.CSS
	Script template.JS
	Policy string // content security policy
	Roles  []pageRole
	*draw.Picture
	Data        []draw.Node
	Groups      []draw.Group
	Colours     []pageColour
	Sheets      []sheet
	Ways        [][2]int // source and reveal of each flow
	Made        string   // day
	InputFlows  []pageFlow
	WeightFlows []pageFlow
	LearnGroups []group
	Colliding   string
	BoxW, BoxH  float64
}

// A pageColour is the style class of an owner.
type pageColour struct {
	Name  string `json:"name"`
	Class string `json:"class"`
}

// A pageFlow is a flow with its number.
type pageFlow struct {
	Flow
	Index int
	Steps string
}

var page1 = template.Must(template.New("page").Funcs(template.FuncMap{
	"words":    wordLinks,
	"allWords": func() []Word { return Words },
	"close": func(p *page, output string) string {
		for _, x := range p.Accuracy {
			if x.Output == output {
				return x.Words
			}
		}
		return ""
	},
	"kind": func(list []Port, kind string) (out []Port) {
		for _, x := range list {
			if x.Kind == kind {
				out = append(out, x)
			}
		}
		return out
	},
	"join":   func(s []string) string { return strings.Join(s, ", ") },
	"bytes":  plan.Bytes,
	"num":    func(x float64) string { return fmt.Sprintf("%g", x) },
	"sub":    func(a, b float64) float64 { return a - b },
	"add":    func(a, b float64) float64 { return a + b },
	"tally":  tally,
	"infers": func(p *page) []string { return p.inferences() },
	"lines":  func(g Guard) []string { return g.sentences() },
	"short":  func(s string) string { return s[:min(len(s), 16)] },
}).Parse(pageTemplate))

// writeHTML writes the audit as one page that loads nothing from elsewhere: its content security policy forbids it, and names
// its own style and script by hash, so that nothing that a plan says can run.
func writeHTML(w io.Writer, a *Report) error {
	style, script := strings.ReplaceAll(pageStyle, "DIGEST", a.PlanDigest), layoutScript+pageScript
	pg := &page{Report: a, Style: template.CSS(style), Script: template.JS(script), BoxW: draw.BoxWidth, BoxH: draw.BoxHeight}
	pg.Policy = "default-src 'none'; style-src " + hashOf(style) + "; script-src " + hashOf(script) + "; img-src blob:; base-uri 'none'; form-action 'none'" // a picture that is saved is drawn first
	class := map[string]string{}
	for i, r := range a.Parties {
		class[r] = draw.Class(i)
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
		pg.Colours = append(pg.Colours, pageColour{r, class[r]})
	}
	pg.Roles = append(pg.Roles, pageRole{a.Dealer, "dealer", "deals correlated randomness, sees no data"})
	for _, g := range a.Guests {
		pg.Roles = append(pg.Roles, pageRole{g.Name, "guest", "computes nothing; " + strings.Join(g.Held, "; ")})
	}
	f := a.graph.Main()
	nodes, err := draw.Nodes(f, a.plan)
	if err != nil {
		return err
	}
	pg.Picture = draw.New(f, nodes, a.Parties)
	pg.Sheets = sheets(pg.Picture)
	pg.Groups = draw.Fold(f, nodes)
	if a.View != nil {
		known := map[int]bool{}
		for _, v := range f.Body {
			known[v.ID] = Knows(v, a.View.Role, a.Dealer) == a.View.Role+" knows it"
		}
		for i := range pg.Boxes {
			if b := &pg.Boxes[i]; known[b.ID] {
				b.Class += " known"
				nodes[b.ID].Known = true
			}
		}
	}
	pg.Data = nodes
	through := throughAll(f)
	for i, w := range a.Flows {
		source, reveal := w.Path[0].Value, w.Path[len(w.Path)-1].Value
		pg.Ways = append(pg.Ways, [2]int{source, reveal})
		x := pageFlow{w, i, strings.Join(through(source, reveal), " → ")}
		if w.Kind == "input" {
			pg.InputFlows = append(pg.InputFlows, x)
		} else {
			pg.WeightFlows = append(pg.WeightFlows, x)
		}
	}
	if !a.opt.Now.IsZero() {
		pg.Made = a.opt.Now.UTC().Format(time.DateOnly)
	}
	pg.LearnGroups = a.groups()
	return page1.Execute(w, pg)
}
