package ir

import (
	"fmt"
	"strings"
)

// maxStem is the most letters of a position that go into a name: longer ones lose their front, where the outermost scopes stand.
const maxStem = 96

// Names names the values of f for a text: after the place in the source that they come from and after their op, so that a text differs from another
// where the sources do. A model's node "/encoder/layer.3/Add" gives encoder.layer.3.add, what a program's "let score" computes score.mul; several
// of one name are counted in order, score.mul.1. Inputs and weights have their own names and reveals those of outputs. A value without a
// place is v and its number. Names are words of the textual form, and no two values have the same.
func Names(f *Func) map[*Value]string {
	out := make(map[*Value]string, len(f.Body))
	taken := make(map[string]bool, len(f.Body))
	for _, v := range f.Body { // numbers first: they cannot give way
		if v.Pos.IsZero() {
			out[v] = v.String()
			taken[out[v]] = true
		}
	}
	count := map[string]int{}
	for _, v := range f.Body {
		if v.Pos.IsZero() {
			continue
		}
		stem := stemOf(v)
		name := stem
		for taken[name] {
			count[stem]++
			name = fmt.Sprintf("%s.%d", stem, count[stem])
		}
		out[v], taken[name] = name, true
	}
	return out
}

// Scopes returns the names of the scopes in which a value's place in the source stands, from the outside in: what a program defines and functions
// that it calls, or the path of a model's node, whose last part is the node itself. A value whose place has no name has none.
func Scopes(v *Value) []string {
	parts := split(v.Pos.Within)
	if name := nodeName(v.Pos.Node); name != "" {
		parts = append(parts, split(name)...)
	}
	return parts
}

// split cuts a path at slashes, or at dots if it has none.
func split(path string) []string {
	cut := "/"
	if !strings.Contains(path, cut) {
		cut = "."
	}
	return strings.FieldsFunc(path, func(r rune) bool { return string(r) == cut })
}

// nodeName returns the name in a description of a model's node, such as `node "/encoder/Add" (Add)` or `node #3 -> "sum" (Add)`.
func nodeName(node string) string {
	if _, rest, ok := strings.Cut(node, `"`); ok {
		if i := strings.LastIndexByte(rest, '"'); i >= 0 {
			return rest[:i]
		}
		return rest
	}
	kind, rest, _ := strings.Cut(node, " ")
	rest, _, _ = strings.Cut(rest, " (")
	return strings.TrimPrefix(kind+"."+rest, "node.")
}

// stemOf returns the name that v has if no other has it.
func stemOf(v *Value) string {
	switch v.Op {
	case OpInput, OpWeight:
		return word(v.Attrs.Str("name"), string(v.Op))
	case OpReveal:
		return word("reveal."+v.Attrs.Str("name"), "reveal")
	}
	parts := Scopes(v)
	if n := len(parts); n > 0 && strings.EqualFold(parts[n-1], string(v.Op)) { // "/encoder/Add" says its op already
		parts = parts[:n-1]
	}
	return word(strings.Join(append(parts, string(v.Op)), "."), "value")
}

// word makes a word of the textual form of s; other is put before what has no letter, or would be read as a value's number or as
// what a function holds.
func word(s, other string) string {
	if len(s) > maxStem {
		s = s[len(s)-maxStem:]
	}
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '-', r == '.':
			return r
		case r == '/', r == ':':
			return '.'
		}
		return '_'
	}, s)
	s = strings.Trim(s, ".")
	letter := func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' }
	if strings.IndexFunc(s, letter) < 0 || s == "holds" || s[0] == '-' || s[0] == 'v' && strings.Trim(s[1:], "0123456789") == "" {
		s = other + "." + s
	}
	return strings.Trim(s, ".")
}
