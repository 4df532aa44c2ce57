package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// A Format is a way to write a T.
type Format[T any] struct {
	Name, Doc string
	Write     func(io.Writer, T) error
}

// Formats are ways to write a T; the first is the default.
type Formats[T any] []Format[T]

// Reports are the ways to write an audit.
var Reports = Formats[*Report]{
	{"text", "for people", writeText},
	{"json", "for programs; docs/schema/audit.schema.json describes it", writeJSON[*Report]},
	{"sarif", "for CI: SARIF 2.1.0 with a note for each thing that somebody learns; a refusal is an error in it", writeSarif},
	{"html", "one page for people that needs no network: the graph, the flows, the tables", writeHTML},
}

// Diffs are the ways to write what changed.
var Diffs = Formats[*Diff]{
	{"text", "for people", writeDiff},
	{"json", "for programs", writeJSON[*Diff]},
	{"html", "one page for people: the changes, and both graphs side by side", writeDiffHTML},
}

// Find returns the format of a name, nil if there is none.
func (l Formats[T]) Find(name string) *Format[T] {
	if i := slices.IndexFunc(l, func(f Format[T]) bool { return f.Name == name }); i >= 0 {
		return &l[i]
	}
	return nil
}

// Names lists the names: a, b or c.
func (l Formats[T]) Names() string {
	var names []string
	for _, f := range l {
		names = append(names, f.Name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// Help lists the formats for a help text, one a line.
func (l Formats[T]) Help() string {
	var lines []string
	for _, f := range l {
		lines = append(lines, fmt.Sprintf("  --format %-6s %s", f.Name, f.Doc))
	}
	return strings.Join(lines, "\n")
}

func writeJSON[T any](w io.Writer, x T) error {
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", b)
	return err
}

// sortedKeys lists the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
