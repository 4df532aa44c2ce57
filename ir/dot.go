package ir

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// DOT writes m as a graph for graphviz. The colour of a node is its visibility: grey for public, blue for private,
// amber for secret; values that parties learn have a red border.
func DOT(w io.Writer, m *Module) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "digraph %s {\n\trankdir=TB;\n\tnode [shape=box, style=\"rounded,filled\", fontname=\"monospace\", fontsize=10];\n", dotQuote(m.Name))
	for i, f := range m.Funcs {
		fmt.Fprintf(b, "\tsubgraph cluster_%d {\n\t\tlabel=%s;\n", i, dotQuote(f.Name))
		names := Names(f)
		for _, v := range f.Body {
			border := ""
			if learns(v) != "" {
				border = ", color=\"#c62828\", penwidth=2"
			}
			fmt.Fprintf(b, "\t\tf%d_%s [label=%s, fillcolor=%s%s];\n", i, v, dotLabel(v, names[v]), dotColour(v.Type.Vis), border)
		}
		for _, v := range f.Body {
			for _, a := range v.Args {
				fmt.Fprintf(b, "\t\tf%d_%s -> f%d_%s;\n", i, a, i, v)
			}
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.Flush()
}

func dotColour(v Vis) string {
	switch {
	case v.IsPublic():
		return `"#eceff1"`
	case v.IsPrivate():
		return `"#bbdefb"`
	}
	return `"#ffe0b2"`
}

// dotLabel shows name, op and type, and the attributes that are short enough to read in a box.
func dotLabel(v *Value, name string) string {
	var b strings.Builder
	b.WriteString(name + " " + string(v.Op))
	for _, a := range v.Attrs {
		var s strings.Builder
		if a.Kind == AttrTensor {
			s.WriteString("...")
		} else {
			writeAttr(&s, a)
		}
		if s.Len() <= 40 {
			b.WriteString("\n" + a.Key + "=" + s.String())
		}
	}
	b.WriteByte('\n')
	writeType(&b, v.Type)
	if v.Range.Origin != NoRange {
		b.WriteString("\n[" + number64(v.Range.Lo) + ", " + number64(v.Range.Hi) + "] " + v.Range.Origin.String())
	}
	if s := v.Pos.String(); s != "" {
		b.WriteString("\n" + s)
	}
	return dotQuote(b.String())
}

// dotQuote renders a string literal of the DOT language; what is not printable is escaped for people.
func dotQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '"':
			b.WriteString(`\"`)
		case r == '\\':
			b.WriteString(`\\`)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
