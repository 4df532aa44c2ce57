// Package draw lays graphs out and draws them: for pages, and as pictures that stand alone.
package draw

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
)

// svgStyle has the colours of the audit page, as plain values: programs that convert pictures know no others.
const svgStyle = `.back{fill:#fbfbfa}
.edge{fill:none;stroke:#98a2ab;stroke-width:1.2}
.body{stroke:#98a2ab;fill:#f6f1e7}
.public .body{fill:#eef0f2;stroke-dasharray:4 3}
.private .body{fill:#fff}
.reveal .body{stroke:#b3261e;stroke-width:2.5}
.dot{fill:none;stroke:#0b57d0;stroke-width:2}
text{font:600 13px system-ui,sans-serif;fill:#1d2125}
.sub{font:11.5px ui-monospace,Menlo,Consolas,monospace;fill:#58616a}
.o0{fill:#2f6fc0}.o1{fill:#c2571a}.o2{fill:#2e8540}.o3{fill:#8e3fa8}.o4{fill:#a8781a}.o5{fill:#b3325f}.o6{fill:#16808a}.o7{fill:#6b5b4f}
`

// SVG writes the main function of m as a picture that stands alone, laid out and marked as on the audit page: stripes are owners,
// dashed boxes public, a red border is a reveal, and a ring marks what opens masked values. A box's title is its line of the text.
func SVG(w io.Writer, m *ir.Module, p *plan.Plan, level string) error {
	if len(m.Funcs) == 0 {
		return fmt.Errorf("%s has no function to draw", level)
	}
	f := m.Main()
	nodes, err := Nodes(f, p)
	if err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	put := func(format string, args ...any) { // strings are escaped; an error sticks until Flush
		for i, a := range args {
			if s, ok := a.(string); ok {
				var e strings.Builder
				xml.EscapeText(&e, []byte(s)) // a Builder never fails
				args[i] = e.String()
			}
		}
		fmt.Fprintf(b, format, args...)
	}
	class, names := classes(m.Parties), ir.Names(f)
	d := layout(f)
	put("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%[1]g\" height=\"%[2]g\" role=\"img\">\n", d.Width+2*Pad, d.Height+2*Pad)
	put("<title>%s, level %s: %d values</title>\n<style>\n", m.Name, level, len(f.Body))
	b.WriteString(svgStyle)
	b.WriteString("</style>\n<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n")
	for _, e := range d.Lines {
		put("<path class=\"edge\" d=\"%s\"/>\n", curve(e.Points))
	}
	for _, x := range d.Places {
		n := nodes[x.V.ID]
		t := x.V.Type
		t.Vis = ir.Public()
		n.Type = strings.TrimPrefix(t.String(), "public ")
		if x.V.Op != ir.OpInput && x.V.Op != ir.OpWeight && x.V.Op != ir.OpReveal {
			n.Op, n.Name = clipFront(names[x.V], titleLength), ""
		}
		if level == "share" {
			n.Rings = x.V.Op == ir.OpOpen || x.V.Op == ir.OpOpenBit
		}
		box := newBox(n, x, class)
		put("<g class=\"%s\" transform=\"translate(%g %g)\"><title>%s</title><rect class=\"body\" width=\"%g\" height=\"%g\" rx=\"6\"/>", box.Class, box.X, box.Y, strings.Join(strings.Fields(clip(ir.Line(x.V, names), 400)), " "), BoxWidth, BoxHeight)
		for _, s := range box.Stripes {
			put("<rect class=\"%s\" x=\"1\" y=\"%.4g\" width=\"7\" height=\"%.4g\" rx=\"2\"/>", s.Class, s.Y+1, s.H-2)
		}
		put("<text x=\"16\" y=\"19\">%s</text><text class=\"sub\" x=\"16\" y=\"36\">%s</text>", box.Title, box.Sub)
		if box.Rings {
			b.WriteString("<circle class=\"dot\" cx=\"163\" cy=\"13\" r=\"5\"/>")
		}
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.Flush()
}
