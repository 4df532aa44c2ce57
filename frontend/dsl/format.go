package dsl

import (
	"slices"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"

	"smpcc/ir/diag"
)

// Format returns a program with its lines indented by the brackets around them and with one way to set blanks. Lines and comments stay where they are.
// A program that cannot be read is refused. Formatting twice is formatting once.
func Format(file string, src []byte) ([]byte, error) {
	if len(src) > maxSource {
		return nil, diag.Errorf(diag.Pos{File: file}, "program has more than %d bytes", maxSource)
	}
	c := &checker{file: file, lines: strings.Split(string(src), "\n"), names: &scope{names: map[string]*meaning{}}, fns: map[string]*definition{}}
	for _, p := range c.split() {
		c.parse(p)
	}
	if err := c.errs.Err(); err != nil {
		return nil, err
	}
	var out strings.Builder
	var open []string
	blank := true // nothing but blank lines before
	for _, line := range c.lines {
		code := strings.TrimRight(uncommented(line), " \t\r")
		comment := strings.TrimSpace(strings.TrimSuffix(line[len(uncommented(line)):], "\r"))
		if strings.TrimSpace(code) == "" && comment == "" {
			if !blank {
				out.WriteByte('\n')
			}
			blank = true
			continue
		}
		blank = false
		text, closing, after := spaced(code, open)
		out.WriteString(strings.Repeat("    ", max(0, len(open)-closing)))
		open = after
		out.WriteString(text)
		if comment != "" {
			if text != "" {
				out.WriteByte(' ')
			}
			out.WriteString(comment)
		}
		out.WriteByte('\n')
	}
	return []byte(strings.TrimRight(out.String(), "\n") + "\n"), nil
}

// spaced sets the blanks of a line that begins inside the given brackets. closing is how many of them it closes before anything else, after are those that
// are open behind it.
func spaced(line string, open []string) (text string, closing int, after []string) {
	after = slices.Clone(open)
	lex, err := rules.LexString("", line)
	if err != nil {
		return strings.TrimSpace(line), 0, after
	}
	tokens, err := lexer.ConsumeAll(lex)
	if err != nil { // reading the program would have said so
		return strings.TrimSpace(line), 0, after
	}
	kinds := rules.Symbols()
	var b strings.Builder
	var last *lexer.Token
	unary, wide, only := false, false, true
	for i := range tokens {
		t := &tokens[i]
		switch t.Type {
		case kinds["Space"]:
			wide = true
			continue
		case lexer.EOF:
			continue
		}
		inside := ""
		if n := len(after); n > 0 {
			inside = after[n-1]
		}
		closes := strings.Contains(")]}", t.Value)
		if closes && len(after) > 0 {
			if after = after[:len(after)-1]; only {
				closing++
			}
		}
		only = only && closes
		if last != nil && blankBetween(last, t, kinds, inside, unary, wide) {
			b.WriteByte(' ')
		}
		b.WriteString(t.Value)
		unary = t.Value == "-" && (last == nil || strings.Contains("([{,:", last.Value) || isOperator(last.Value) || last.Type == kinds["Keyword"] || unary)
		if strings.Contains("([{", t.Value) {
			after = append(after, t.Value)
		}
		last, wide = t, false
	}
	return b.String(), closing, after
}

// isOperator reports whether a token stands between two operands.
func isOperator(s string) bool {
	return slices.Contains([]string{"+", "-", "*", "/", "@", "<", "<=", ">", ">=", "==", "!=", "=", "+=", "-=", "*=", ".."}, s)
}

// blankBetween reports whether a blank stands between two tokens. inside is the bracket around them, unary says that the first is a sign, and wide that a
// blank stood there.
func blankBetween(a, b *lexer.Token, kinds map[string]lexer.TokenType, inside string, unary, wide bool) bool {
	x, y := a.Value, b.Value
	switch {
	case x == "{" || y == "}":
		return wide
	case unary, x == "(", x == "[", y == ")", y == "]", y == ",", y == ":", x == ".", y == ".", x == "..", y == "..":
		return false
	case x == ":":
		return inside != "["
	case x == "," || y == "{":
		return true
	case (x == "=" || y == "=") && inside == "(":
		return false
	case y == "(" || y == "[":
		return isOperator(x) || a.Type == kinds["Keyword"] || x == "}"
	}
	return true
}
