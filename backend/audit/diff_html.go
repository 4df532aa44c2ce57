package audit

import (
	"crypto/sha256"
	_ "embed" // the page's template
	"encoding/base64"
	"html/template"
	"io"
	"slices"

	"smpcc/backend/audit/draw"
)

//go:embed page/diff.html
var diffTemplate string

// diffStyle is what the page of a diff adds to the style of an audit's.
const diffStyle = `.beside{display:grid;grid-template-columns:1fr 1fr;gap:12px}@media (max-width:900px){.beside{grid-template-columns:1fr}}
figure{margin:0;min-width:0}figcaption{color:var(--soft);margin:0 0 4px}.sheet{overflow:auto;max-height:80vh;border:1px solid var(--line);border-radius:8px;background:var(--panel)}
.sheet svg{display:block;margin:0 auto;max-width:none}.node{cursor:default;opacity:.45}.node.changed{opacity:1}.node.changed rect.body{stroke:var(--warn);stroke-width:3}
@media print{.sheet{overflow:visible;max-height:none}.sheet svg{width:100%;height:auto}}
`

// A diffPage is what the page of a diff shows.
type diffPage struct {
	*Diff
	Name, Policy string
	Style        template.CSS
	Groups       []diffGroup
	Sides        []diffSide
	BoxW, BoxH   float64
}

// A diffGroup is the changes of one way.
type diffGroup struct {
	Title   string
	Changes []Change
}

// A diffSide is the graph of one plan.
type diffSide struct {
	*draw.Picture
	Title   string
	Changed int
}

var diffPages = template.Must(template.New("diff").Funcs(template.FuncMap{
	"sub": func(a, b float64) float64 { return a - b },
	"add": func(a, b float64) float64 { return a + b },
}).Parse(diffTemplate))

// writeDiffHTML writes what changed as one page with both graphs side by side. It loads nothing and runs nothing.
func writeDiffHTML(w io.Writer, d *Diff) error {
	style := pageStyle + diffStyle
	pg := &diffPage{Diff: d, Name: d.now.Name, Style: template.CSS(style), BoxW: draw.BoxWidth, BoxH: draw.BoxHeight}
	pg.Policy = "default-src 'none'; style-src " + hashOf(style) + "; base-uri 'none'; form-action 'none'"
	for _, g := range []struct {
		title string
		way   Way
	}{{"The new plan reveals or allows more", More}, {"It reveals or allows less", Less}, {"Besides", Other}} {
		x := diffGroup{Title: g.title}
		for _, c := range d.Changes {
			if c.Way == g.way {
				x.Changes = append(x.Changes, c)
			}
		}
		pg.Groups = append(pg.Groups, x)
	}
	parties := slices.Clone(d.old.Parties)
	for _, p := range d.now.Parties {
		if !slices.Contains(parties, p) {
			parties = append(parties, p)
		}
	}
	for _, r := range []struct {
		title string
		*Report
	}{{"old plan", d.old}, {"new plan", d.now}} {
		f := r.graph.Main()
		nodes, err := draw.Nodes(f, r.plan)
		if err != nil {
			return err
		}
		side := diffSide{Picture: draw.New(f, nodes, parties), Title: r.title}
		changed := map[int]bool{}
		for _, v := range f.Body {
			changed[v.ID] = !d.same[v]
		}
		for i := range side.Boxes {
			if b := &side.Boxes[i]; changed[b.ID] {
				b.Class += " changed"
				side.Changed++
			}
		}
		pg.Sides = append(pg.Sides, side)
	}
	return diffPages.Execute(w, pg)
}

// hashOf is how a content security policy names a style or a script.
func hashOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(h[:]) + "'"
}
