package dsl

import (
	"strings"

	"smpcc/ir/diag"
)

// A piece is the source of one statement.
type piece struct {
	text string
	line int // of its first line, 0-based
}

// split cuts the file into statements: at the end of a line outside brackets. It reports brackets that do not match.
func (c *checker) split() []piece {
	var out []piece
	var open []diag.Pos
	var kinds []byte
	start, text := 0, strings.Builder{}
	for i, line := range c.lines {
		if text.Len() == 0 {
			start = i
		}
		text.WriteString(line)
		text.WriteByte('\n')
		code := uncommented(line)
		quoted := false
		for col, ch := range []rune(code) {
			pos := diag.Pos{File: c.file, Line: i + 1, Col: col + 1}
			if ch == '"' {
				quoted = !quoted
			}
			if quoted {
				continue
			}
			switch ch {
			case '(', '[', '{':
				open, kinds = append(open, pos), append(kinds, byte(ch))
				if len(open) > maxNesting {
					c.fail(pos, "brackets are nested deeper than %d", maxNesting)
					return nil
				}
			case ')', ']', '}':
				want := map[rune]byte{')': '(', ']': '[', '}': '{'}[ch]
				if len(open) == 0 || kinds[len(kinds)-1] != want {
					c.fail(pos, "%q closes no bracket", ch)
					open, kinds = nil, nil
					text.Reset()
				} else {
					open, kinds = open[:len(open)-1], kinds[:len(kinds)-1]
				}
			}
		}
		if len(open) > 0 {
			continue
		}
		if code := text.String(); strings.TrimSpace(stripComments(code)) != "" {
			out = append(out, piece{code, start})
		}
		text.Reset()
	}
	if len(open) > 0 {
		c.fail(open[len(open)-1], "bracket is not closed")
	}
	return joined(out)
}

// joined puts a statement that begins with else to the one before, whose if it belongs to.
func joined(list []piece) []piece {
	var out []piece
	for _, p := range list {
		f := strings.Fields(stripComments(p.text))
		if n := len(out) - 1; n >= 0 && len(f) > 0 && strings.TrimRight(f[0], "{") == "else" {
			gap := p.line - out[n].line - strings.Count(out[n].text, "\n") // lines between that hold nothing
			out[n].text += strings.Repeat("\n", max(0, gap)) + p.text
			continue
		}
		out = append(out, p)
	}
	return out
}

// uncommented returns a line without its comment. A # in quotes begins none.
func uncommented(line string) string {
	quoted := false
	for i := range len(line) {
		switch {
		case line[i] == '"':
			quoted = !quoted
		case line[i] == '#' && !quoted:
			return line[:i]
		}
	}
	return line
}

// code returns a statement without what follows its last token, so that a mistake at its end is reported there and not on
// the line below.
func code(s string) string {
	for {
		at := strings.LastIndexByte(s, '\n') + 1
		last := strings.TrimRight(uncommented(s[at:]), " \t\r")
		if last != "" || at == 0 {
			return s[:at] + last
		}
		s = s[:at-1]
	}
}

func stripComments(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = uncommented(lines[i])
	}
	return strings.Join(lines, "\n")
}
