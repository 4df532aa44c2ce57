package ir

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"

	"smpcc/ir/diag"
)

// Columns of a printed value: shorter parts are padded to them, so that a change in one line leaves the others alone.
const (
	typeColumn  = 48
	rangeColumn = 88
)

// Print writes the textual form of m, which package text reads back. The data of weights is not part of it.
func Print(w io.Writer, m *Module) error {
	b := bufio.NewWriter(w)
	p := func(parts ...string) {
		for _, s := range parts {
			b.WriteString(s) // an error sticks until Flush
		}
	}
	p("module ", strconv.Quote(m.Name), " {\n")
	if len(m.Parties) > 0 {
		p("  parties")
		for _, n := range m.Parties {
			p(" ", name(n))
		}
		p("\n")
	}
	if m.Dealer != "" {
		p("  dealer ", name(m.Dealer), "\n")
	}
	if len(m.Guests) > 0 {
		p("  guests")
		for _, n := range m.Guests {
			p(" ", name(n))
		}
		p("\n")
	}
	for _, r := range m.Policies {
		p("  policy ", name(r.Owner), " file ", strconv.Quote(r.File), " digest ", strconv.Quote(r.Digest), "\n")
	}
	for _, a := range m.Allowed {
		p("  allow ", strconv.Quote(a.Output), " to ", name(a.Receiver), " owner ", name(a.Owner), " rule ", strconv.Quote(a.Rule), "\n")
	}
	for _, f := range m.Funcs {
		p("\n  func ", name(f.Name), " {\n")
		if f.Holds != 0 {
			p("    holds ", strings.Join(f.Holds.Names(), " "), "\n")
		}
		names := Names(f)
		for _, v := range f.Body {
			p("    ", Line(v, names), "\n")
		}
		p("  }\n")
	}
	p("}\n")
	return b.Flush()
}

// String returns the textual form of m.
func (m *Module) String() string {
	var b strings.Builder
	Print(&b, m) // a Builder never fails
	return b.String()
}

// Line returns the line of one value in the textual form, without indentation, with the names that Names gives, or by number.
func Line(v *Value, names map[*Value]string) string {
	var b strings.Builder
	called := func(v *Value) string {
		if names == nil {
			return v.String()
		}
		return names[v]
	}
	b.WriteString(called(v))
	b.WriteString(" = ")
	b.WriteString(string(v.Op))
	for _, a := range v.Args {
		b.WriteByte(' ')
		b.WriteString(called(a))
	}
	for _, a := range v.Attrs {
		b.WriteByte(' ')
		b.WriteString(a.Key)
		b.WriteByte('=')
		writeAttr(&b, a)
	}
	pad(&b, typeColumn)
	b.WriteString(" : ")
	writeType(&b, v.Type)
	if r := v.Range; r.Origin != NoRange {
		pad(&b, rangeColumn)
		b.WriteString("  range [" + number64(r.Lo) + ", " + number64(r.Hi) + "] " + r.Origin.String())
	}
	if !v.Pos.IsZero() {
		pad(&b, rangeColumn)
		b.WriteString("  @ ")
		writePos(&b, v.Pos)
	}
	if s := learns(v); s != "" {
		b.WriteString("  ; " + s)
	}
	return b.String()
}

// learns says what a value's op makes visible to whom; empty for most ops.
func learns(v *Value) string {
	switch v.Op {
	case OpReveal:
		return "revealed to " + strings.Join(v.Attrs.Strings("to"), ", ")
	case OpOpen:
		return "opened, masked"
	case OpOpenBit:
		return "opened, masked bit"
	}
	return ""
}

func pad(b *strings.Builder, column int) {
	for b.Len() < column {
		b.WriteByte(' ')
	}
}

// name renders the name of a party or function: bare where it is a word, quoted otherwise.
func name(s string) string {
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_':
		case i > 0 && (r >= '0' && r <= '9' || r == '.' || r == '-'):
		default:
			return strconv.Quote(s)
		}
	}
	if s == "" {
		return `""`
	}
	return s
}

func names(ss []string) string {
	out := make([]string, len(ss))
	for i, s := range ss {
		out[i] = name(s)
	}
	return strings.Join(out, ",")
}

// number64 renders a float in the shortest form that reads back exactly.
func number64(x float64) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 1):
		return "inf"
	case math.IsInf(x, -1):
		return "-inf"
	}
	return strconv.FormatFloat(x, 'g', -1, 64)
}

func writeType(b *strings.Builder, t Type) {
	switch {
	case t.Vis.IsPublic():
		b.WriteString("public ")
	case t.Vis.IsPrivate():
		b.WriteString("private(" + names(t.Vis.Owners()) + ") ")
	default:
		b.WriteString("secret{" + names(t.Vis.Owners()) + "} ")
	}
	t.Vis = Public()
	b.WriteString(strings.TrimPrefix(t.String(), "public "))
}

func writeAttr(b *strings.Builder, a Attr) {
	switch a.Kind {
	case AttrInt:
		b.WriteString(strconv.FormatInt(a.Int, 10))
	case AttrFloat:
		b.WriteString(number64(a.Float))
	case AttrString:
		b.WriteString(strconv.Quote(a.Str))
	case AttrInts:
		b.WriteByte('[')
		for i, x := range a.Ints {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.FormatInt(x, 10))
		}
		b.WriteByte(']')
	case AttrStrings:
		b.WriteByte('[')
		for i, s := range a.Strings {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(strconv.Quote(s))
		}
		b.WriteByte(']')
	case AttrTensor:
		writeTensor(b, a.Tensor)
	}
}

// writeTensor writes element kind, shape and all elements: real[2]{0.5 -1}.
func writeTensor(b *strings.Builder, t *Tensor) {
	b.WriteString(t.Elem.String() + t.Shape.String() + "{")
	for i := range t.Len() {
		if i > 0 {
			b.WriteByte(' ')
		}
		if t.Elem == Real {
			b.WriteString(number64(t.F[i]))
		} else {
			b.WriteString(strconv.FormatInt(t.I[i], 10))
		}
	}
	b.WriteByte('}')
}

// writePos writes a position as "file":line:col node "node" in "within".
func writePos(b *strings.Builder, p diag.Pos) {
	b.WriteString(strconv.Quote(p.File))
	if p.Line != 0 || p.Col != 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	if p.Col != 0 {
		b.WriteString(":" + strconv.Itoa(p.Col))
	}
	if p.Node != "" {
		b.WriteString(" node " + strconv.Quote(p.Node))
	}
	if p.Within != "" {
		b.WriteString(" in " + strconv.Quote(p.Within))
	}
}
