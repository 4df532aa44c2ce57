// Package diag holds source positions and the errors that users see: where, what is wrong, what to try.
package diag

import (
	"errors"
	"fmt"
	"sort"
	"strings"
)

// A Pos says where in the user's source a value or a mistake comes from.
// Line and Col are 1-based and zero for models, whose positions are node names.
type Pos struct {
	File string // path as the user typed it
	Line int    // 1-based line, 0 if unknown
	Col  int    // 1-based column, 0 if unknown
	Node string // model node, as in `node "Conv_12" (Conv)`; empty for programs

	// Within is where that stands in the source, from the outside in, as in "score/clip": the name that a program defines, and functions
	// that it calls; the calls of a model's own functions. Positions are printed without it.
	Within string
}

// String renders the position as file:line:col or file: node.
func (p Pos) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Col > 0 {
			fmt.Fprintf(&b, ":%d", p.Col)
		}
	}
	if p.Node != "" {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(p.Node)
	}
	return b.String()
}

// IsZero reports whether the position is unknown.
func (p Pos) IsZero() bool { return p == Pos{} }

// A Kind says how a mistake maps to an exit code.
type Kind int

// The kinds of mistakes.
const (
	Failed Kind = iota // the work failed: exit code 1
	Usage              // wrong usage: exit code 2
	Policy             // refused by policy: exit code 3
)

// An Error is one mistake with its place, and what to try.
type Error struct {
	Pos    Pos
	Msg    string // lower case, no trailing dot
	Hint   string // what to try; may be empty
	Source string // the source line, for programs; shown with a caret
	Kind   Kind

	Public  []string // the inputs that would have to be public for this to work; empty if that is not the mistake
	Refusal string   // what kind of thing is refused for what it is, such as "random" or "sequence"; empty for mistakes and gaps
}

// Errorf returns an error at a position.
func Errorf(pos Pos, format string, args ...any) *Error {
	return &Error{Pos: pos, Msg: fmt.Sprintf(format, args...)}
}

// WithHint adds what to try and returns e.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// OutsideFormats is the kind of refusals of values that no format holds: infinities, NaN, and numbers that 64 bits do not hold as precisely as asked for.
const OutsideFormats = "extreme values"

// Refusing returns e with the kind of what is refused for what it is.
func (e *Error) Refusing(kind string) *Error {
	e.Refusal = kind
	return e
}

// Error renders position, message, source line with caret, and hint.
func (e *Error) Error() string {
	var b strings.Builder
	if s := e.Pos.String(); s != "" {
		b.WriteString(s)
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	if e.Source != "" {
		b.WriteString("\n\t" + e.Source)
		if e.Pos.Col > 0 {
			b.WriteString("\n\t")
			for i, r := range e.Source {
				if i >= e.Pos.Col-1 {
					break
				}
				if r == '\t' {
					b.WriteByte('\t')
				} else {
					b.WriteByte(' ')
				}
			}
			b.WriteByte('^')
		}
	}
	if e.Hint != "" {
		b.WriteString("\n\thint: " + strings.ReplaceAll(e.Hint, "\n", "\n\t      "))
	}
	return b.String()
}

// A List collects all mistakes of one stage.
type List []*Error

// Add appends an error; an *Error or a List keeps its structure, others become messages at pos.
func (l *List) Add(pos Pos, err error) {
	if err == nil {
		return
	}
	var list List
	if errors.As(err, &list) {
		*l = append(*l, list...)
		return
	}
	var e *Error
	if errors.As(err, &e) {
		if e.Pos.IsZero() {
			e.Pos = pos
		}
		*l = append(*l, e)
		return
	}
	*l = append(*l, &Error{Pos: pos, Msg: err.Error()})
}

// maxShown bounds how many mistakes are printed at once.
const maxShown = 100

// Err returns nil for an empty list, and otherwise the list sorted by position without duplicates.
func (l List) Err() error {
	if len(l) == 0 {
		return nil
	}
	sort.SliceStable(l, func(i, j int) bool {
		a, b := l[i].Pos, l[j].Pos
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	out := l[:0:0]
	seen := map[string]bool{}
	for _, e := range l {
		k := e.Error()
		if !seen[k] {
			seen[k] = true
			out = append(out, e)
		}
	}
	return out
}

// Error renders every mistake, one after the other.
func (l List) Error() string {
	var b strings.Builder
	for i, e := range l {
		if i == maxShown {
			fmt.Fprintf(&b, "\n%d more errors", len(l)-maxShown)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// KindOf returns the kind of an error: the highest among a list, Failed for foreign errors.
func KindOf(err error) Kind {
	var l List
	if errors.As(err, &l) {
		k := Failed
		for _, e := range l {
			k = max(k, e.Kind)
		}
		return k
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failed
}
