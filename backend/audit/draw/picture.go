package draw

import (
	"fmt"
	"math"
	"strings"

	"smpcc/ir"
)

// Sizes of pictures.
const (
	BoxWidth  = 176.0
	BoxHeight = 46.0
	Pad       = 24.0 // margin
)

// Most characters of the lines of a box: of bold 13 px, beside a ring, and of monospaced 11.5 px.
const (
	titleLength = 19
	subLength   = 22
)

// shades is how many owners have a colour of their own; further ones share.
const shades = 8

// Class returns the style class of the colour of the i-th party.
func Class(i int) string { return fmt.Sprintf("o%d", i%shades) }

// classes returns the class of each party.
func classes(parties []string) map[string]string {
	out := map[string]string{}
	for i, p := range parties {
		out[p] = Class(i)
	}
	return out
}

// A Picture is a graph drawn in layers, arguments above what is computed from them.
type Picture struct {
	Width, Height float64
	Boxes         []Box
	Edges         []Edge
}

// New draws f, whose values nodes describes by id; stripes have the colours of parties.
func New(f *ir.Func, nodes []Node, parties []string) *Picture {
	d := layout(f)
	pic := &Picture{Width: d.Width + 2*Pad, Height: d.Height + 2*Pad}
	class := classes(parties)
	for _, at := range d.Places {
		pic.Boxes = append(pic.Boxes, newBox(nodes[at.V.ID], at, class))
	}
	for _, l := range d.Lines {
		pic.Edges = append(pic.Edges, Edge{l.From, l.To, curve(l.Points)})
	}
	return pic
}

// A Box is the picture of a node.
type Box struct {
	Node
	X, Y    float64
	Class   string
	Stripes []Stripe
	Title   string
	Sub     string
}

// A Stripe is the mark of one owner on a box.
type Stripe struct {
	Class string
	Y, H  float64
}

// An Edge is the line between the boxes of two values.
type Edge struct {
	From, To int
	D        string
}

// newBox draws a node at its place.
func newBox(n Node, at place, class map[string]string) Box {
	x := Box{Node: n, X: at.X + Pad, Y: at.Y + Pad, Class: n.Vis}
	if n.Op == "reveal" {
		x.Class += " reveal"
	}
	for i, o := range n.Owners {
		h := BoxHeight / float64(len(n.Owners))
		x.Stripes = append(x.Stripes, Stripe{class[o], float64(i) * h, h})
	}
	x.Title, x.Sub = n.Op, n.Type
	if len(n.To) > 0 {
		x.Sub = "to " + strings.Join(n.To, ", ") + " · " + n.Type
	}
	if n.Name != "" {
		x.Title = n.Op + " " + n.Name
	}
	x.Title, x.Sub = clip(x.Title, titleLength), clip(x.Sub, subLength)
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

// clipFront shortens a text to its last n characters.
func clipFront(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "…" + string(r[len(r)-n+1:])
}

// curve renders points as a smooth path whose tangents are vertical.
func curve(pts [][2]float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "M%g %g", pts[0][0]+Pad, pts[0][1]+Pad)
	for i := 1; i < len(pts); i++ {
		p, q := pts[i-1], pts[i]
		if p[0] == q[0] {
			fmt.Fprintf(&b, "V%g", q[1]+Pad)
			continue
		}
		m := math.Round((p[1]+q[1])/2) + Pad
		fmt.Fprintf(&b, "C%g %g %g %g %g %g", p[0]+Pad, m, q[0]+Pad, m, q[0]+Pad, q[1]+Pad)
	}
	return b.String()
}
