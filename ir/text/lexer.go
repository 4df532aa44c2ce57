package text

import (
	"strconv"
	"strings"
)

// kind is the kind of a token.
type kind uint8

const (
	end     kind = iota // of the file
	newline             // ends a statement
	word                // letters, digits and _ + - .
	quoted              // a string literal; text is its content
	punct               // one character
	broken              // a string literal that does not end or has a bad escape
)

// A token is one lexical element and where it starts.
type token struct {
	kind  kind
	text  string
	line  int // 1-based
	start int // offset of the line's first byte
	at    int // offset of the token's first byte
}

// String describes the token in an error.
func (t token) String() string {
	switch t.kind {
	case end:
		return "the end of the file"
	case newline:
		return "the end of the line"
	case quoted:
		return strconv.Quote(t.text)
	case broken:
		return "a string that does not end or has a bad escape"
	}
	return "'" + t.text + "'"
}

// A lexer cuts text into tokens. Blanks separate, and a semicolon starts a comment that runs to the end of its line.
type lexer struct {
	src   string
	pos   int
	line  int
	start int // of the line
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isWord(c byte) bool {
	return isLetter(c) || c >= '0' && c <= '9' || c == '.' || c == '-' || c == '+'
}

// next returns the next token; at the end it returns end again and again.
func (l *lexer) next() token {
	for l.pos < len(l.src) {
		switch c := l.src[l.pos]; c {
		case ' ', '\t', '\r':
			l.pos++
			continue
		case ';':
			if i := strings.IndexByte(l.src[l.pos:], '\n'); i >= 0 {
				l.pos += i
			} else {
				l.pos = len(l.src)
			}
			continue
		}
		break
	}
	t := token{line: l.line, start: l.start, at: l.pos}
	if l.pos == len(l.src) {
		return t
	}
	switch c := l.src[l.pos]; {
	case c == '\n':
		t.kind = newline
		l.pos++
		l.line++
		l.start = l.pos
	case c == '"':
		l.quoted(&t)
	case isWord(c):
		t.kind = word
		for l.pos < len(l.src) && isWord(l.src[l.pos]) {
			l.pos++
		}
		t.text = l.src[t.at:l.pos]
	default:
		t.kind = punct
		l.pos++
		t.text = l.src[t.at:l.pos]
	}
	return t
}

// quoted reads a string literal in Go's syntax, which must end on its line.
func (l *lexer) quoted(t *token) {
	t.kind = broken
	for i := l.pos + 1; i < len(l.src) && l.src[i] != '\n'; i++ {
		switch l.src[i] {
		case '\\':
			i++
		case '"':
			s, err := strconv.Unquote(l.src[l.pos : i+1])
			if err == nil {
				t.kind, t.text = quoted, s
			}
			l.pos = i + 1
			return
		}
	}
	for l.pos < len(l.src) && l.src[l.pos] != '\n' {
		l.pos++
	}
}
