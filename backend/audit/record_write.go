package audit

import (
	_ "embed" // the template
	"fmt"
	"html/template"
	"io"
	"math"
	"slices"
	"strings"

	"smpcc/backend/audit/draw"
)

// Records are the ways to write a record; the first is the default.
var Records = Formats[*Record]{
	{"md", "Markdown", writeRecordMarkdown},
	{"html", "a page to print: with the whole graph, and digest and page numbers at the foot", writeRecordHTML},
	{"json", "for programs; docs/schema/record.schema.json describes what goes in", writeJSON[*Record]},
}

// recordTitle is the heading of a record.
func (x *Record) title() string {
	return fmt.Sprintf("Record of the audit of %s", x.Audit.Name)
}

// markdown escapes what means something in Markdown.
var markdown = strings.NewReplacer("\\", "\\\\", "|", "\\|", "*", "\\*", "_", "\\_", "`", "\\`", "<", "&lt;", ">", "&gt;", "[", "\\[", "]", "\\]", "#", "\\#", "\r", "", "\n", " ")

func writeRecordMarkdown(w io.Writer, x *Record) error {
	var b strings.Builder
	row := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + markdown.Replace(c) + " ")
		}
		b.WriteString("|\n")
	}
	fmt.Fprintf(&b, "# %s\n", markdown.Replace(x.title()))
	for _, s := range x.sections() {
		fmt.Fprintf(&b, "\n## %s\n", markdown.Replace(s.Title))
		for _, t := range s.Text {
			fmt.Fprintf(&b, "\n%s\n", markdown.Replace(t))
		}
		if len(s.Rows) > 0 {
			b.WriteByte('\n')
			head := s.Head
			if head == nil {
				head = make([]string, len(s.Rows[0]))
			}
			row(head)
			b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
			for _, r := range s.Rows {
				row(r)
			}
		}
		if len(s.List) > 0 {
			b.WriteByte('\n')
		}
		for _, l := range s.List {
			fmt.Fprintf(&b, "- %s\n", markdown.Replace(l))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

//go:embed page/record.html
var recordTemplate string

//go:embed page/record.css
var recordStyle string

var recordPages = template.Must(template.New("record").Funcs(template.FuncMap{
	"sub": func(a, b float64) float64 { return a - b },
	"add": func(a, b float64) float64 { return a + b },
}).Parse(recordTemplate))

// Sizes of the part of a picture that goes on one page.
const (
	sheetWidth  = 1000.0
	sheetHeight = 1340.0
)

// A recordPage is what the page of a record shows.
type recordPage struct {
	*draw.Picture
	Title, Policy, Lang string
	Style               template.CSS
	Sections            []section
	Sheets              []sheet
	BoxW, BoxH          float64
}

// A sheet is the part of the picture that goes on one page.
type sheet struct {
	Row, Col, Rows, Cols int
	X, Y, W, H           float64
}

// sheets cuts a picture into pages, and leaves out those on which no box stands.
func sheets(p *draw.Picture) (out []sheet) {
	cols, rows := int(math.Ceil(p.Width/sheetWidth)), int(math.Ceil(p.Height/sheetHeight))
	for r := range rows {
		for c := range cols {
			x, y := float64(c)*sheetWidth, float64(r)*sheetHeight
			if slices.ContainsFunc(p.Boxes, func(b draw.Box) bool {
				return b.X < x+sheetWidth && b.X+draw.BoxWidth > x && b.Y < y+sheetHeight && b.Y+draw.BoxHeight > y
			}) {
				out = append(out, sheet{r + 1, c + 1, rows, cols, x, y, min(sheetWidth, p.Width-x), min(sheetHeight, p.Height-y)})
			}
		}
	}
	return out
}

// writeRecordHTML writes a record as a page to print. It loads nothing and runs nothing.
func writeRecordHTML(w io.Writer, x *Record) error {
	f := x.Audit.graph.Main()
	nodes, err := draw.Nodes(f, x.Audit.plan)
	if err != nil {
		return err
	}
	style := strings.ReplaceAll(recordStyle, "DIGEST", x.Audit.PlanDigest)
	pg := &recordPage{Picture: draw.New(f, nodes, x.Audit.Parties), Title: x.title(), Style: template.CSS(style), Sections: x.sections(), BoxW: draw.BoxWidth, BoxH: draw.BoxHeight}
	pg.Policy = "default-src 'none'; style-src " + hashOf(style) + "; base-uri 'none'; form-action 'none'"
	pg.Sheets = sheets(pg.Picture)
	return recordPages.Execute(w, pg)
}
