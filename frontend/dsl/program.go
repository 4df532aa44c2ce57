// Package dsl is the language for computations that are not a trained model: parties, inputs with owner, type and shape,
// arithmetic, functions, and reveals.
//
//	parties alice, bob
//	input a: int[3] from alice in 0..1000
//	input b: int[3] from bob in 0..1000
//	let higher = where(a > b, a, b)
//	reveal sum(higher) to alice, bob as total
//
// A statement is one line, longer if brackets are open; # starts a comment. Everything that decides the shape of the
// computation (dimensions, indices, axes) must be a constant. All mistakes of a file are reported at once.
package dsl

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Limits on what a program may ask for.
const (
	maxSource  = 1 << 20 // bytes of a file
	maxNesting = 100     // brackets inside brackets
	maxValues  = 100_000 // values after functions are inlined
	maxCalls   = 50      // calls inside calls
	maxErrors  = 100
	maxKnown   = 1 << 20 // elements of a constant
)

// Options steer the reading of a program.
type Options struct {
	Name string // module name; the file's base name without extension if empty
}

// Load reads the program at path.
func Load(path string, opt Options) (*ir.Module, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, src, opt)
}

// Parse reads a program; file is its name in messages.
func Parse(file string, src []byte, opt Options) (*ir.Module, error) {
	if len(src) > maxSource {
		return nil, diag.Errorf(diag.Pos{File: file}, "program has more than %d bytes", maxSource)
	}
	if opt.Name == "" {
		base := filepath.Base(file)
		opt.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	c := &checker{file: file, lines: strings.Split(string(src), "\n"), names: map[string]*meaning{}, fns: map[string]*definition{}}
	c.m = &ir.Module{Name: opt.Name, Dealer: "d", Weights: map[string]*ir.Tensor{}}
	c.f = ir.NewFunc("main")
	c.m.Funcs = []*ir.Func{c.f}
	for _, s := range c.split() {
		if len(c.errs) >= maxErrors {
			break
		}
		c.statement(s)
	}
	switch {
	case len(c.errs) > 0:
	case len(c.m.Parties) == 0:
		c.errs.Add(diag.Pos{File: file}, diag.Errorf(diag.Pos{File: file}, "program names no parties").WithHint("begin with: parties alice, bob"))
	case slices.Contains(c.m.Parties, c.m.Dealer):
		c.errs.Add(diag.Pos{File: file}, diag.Errorf(diag.Pos{File: file}, "%q is a party and the dealer", c.m.Dealer).WithHint("name another dealer: dealer d2"))
	case len(c.f.Reveals()) == 0:
		c.errs.Add(diag.Pos{File: file}, diag.Errorf(diag.Pos{File: file}, "program reveals nothing").WithHint("end with: reveal EXPRESSION to PARTY as NAME"))
	}
	if err := c.errs.Err(); err != nil {
		return nil, err
	}
	return c.m, ir.Verify(c.m)
}

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
		code, _, _ := strings.Cut(line, "#")
		for col, ch := range []rune(code) {
			pos := diag.Pos{File: c.file, Line: i + 1, Col: col + 1}
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
	return out
}

// code returns a statement without what follows its last token, so that a mistake at its end is reported there and not on
// the line below.
func code(s string) string {
	for {
		at := strings.LastIndexByte(s, '\n') + 1
		last, _, _ := strings.Cut(s[at:], "#")
		if last = strings.TrimRight(last, " \t\r"); last != "" || at == 0 {
			return s[:at] + last
		}
		s = s[:at-1]
	}
}

func stripComments(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i], _, _ = strings.Cut(lines[i], "#")
	}
	return strings.Join(lines, "\n")
}

// A checker turns statements into values and collects mistakes.
type checker struct {
	file  string
	lines []string
	base  int // line offset of the statement at hand
	m     *ir.Module
	f     *ir.Func
	errs  diag.List
	names map[string]*meaning
	fns   map[string]*definition
	calls []string // functions being inlined

	within []string // the name being defined, and names and calls inside
}

// A meaning is what a name stands for. bad marks a name whose definition failed, whose uses are not reported again.
type meaning struct {
	x   operand
	bad bool
	pos diag.Pos
}

// A definition is a user function with the line offset of its source.
type definition struct {
	fn   *function
	base int
	pos  diag.Pos
}

// at turns a position inside the statement at hand into one of the file.
func (c *checker) at(p lexer.Position) diag.Pos {
	return diag.Pos{File: c.file, Line: p.Line + c.base, Col: p.Column, Within: strings.Join(c.within, "/")}
}

// fail records a mistake with its source line.
func (c *checker) fail(pos diag.Pos, format string, args ...any) *diag.Error {
	e := diag.Errorf(pos, format, args...)
	if pos.Line >= 1 && pos.Line <= len(c.lines) {
		if s := strings.TrimRight(c.lines[pos.Line-1], "\r"); len(s) <= 400 {
			e.Source = s
		}
	}
	c.errs = append(c.errs, e)
	return e
}

// errFailed says that a mistake has been recorded.
var errFailed = errors.New("failed")

func (c *checker) statement(p piece) {
	c.base, c.within = p.line, nil
	s, err := grammar.ParseString("", code(p.text))
	if err != nil {
		var pe participle.Error
		if errors.As(err, &pe) {
			c.fail(c.at(pe.Position()), "%s", syntax(pe.Message()))
		} else {
			c.fail(diag.Pos{File: c.file, Line: p.line + 1, Col: 1}, "%v", err)
		}
		c.declareBad(p.text)
		return
	}
	switch {
	case s.Parties != nil:
		c.parties(s)
	case s.Dealer != nil:
		c.reserved(*s.Dealer)
		c.m.Dealer = s.Dealer.Text
	case s.Const != nil:
		x, err := c.expr(s.Const.X)
		if err == nil && x.c == nil {
			c.fail(c.at(s.Const.X.Pos), "a const must be known when compiling").WithHint("use let for values that depend on inputs")
			err = errFailed
		}
		c.bind(s.Const.Name, x, err)
	case s.Let != nil:
		c.within = []string{s.Let.Name.Text}
		x, err := c.expr(s.Let.X)
		c.bind(s.Let.Name, x, err)
	case s.Input != nil:
		c.declare(s.Input, ir.OpInput)
	case s.Weight != nil:
		c.declare(s.Weight, ir.OpWeight)
	case s.Fn != nil:
		c.define(s.Fn)
	case s.Reveal != nil:
		c.reveal(s.Reveal)
	}
}

// levels are the grammar's names for expressions, which mean nothing to users; notions are what users call the others.
var (
	levels  = regexp.MustCompile(`\b(Conjunction|Negation|Comparison|Sum|Product|Unary|Postfix|Primary)\b`)
	notions = strings.NewReplacer("(expected Expr)", "(expected an expression)", "Expr", "expression", "Binding", `name "=" expression`, "Declaration", `name ":" type "from" party`, "Typ", "type", "Name", "name", "Param", "parameter")
)

// syntax makes a parser's message readable.
func syntax(msg string) string {
	msg = strings.TrimPrefix(msg, "lexer: ")
	if rest, ok := strings.CutPrefix(msg, "invalid input text "); ok {
		if s, err := strconv.Unquote(rest); err == nil && s != "" {
			return fmt.Sprintf("unexpected character %q", []rune(s)[0])
		}
	}
	if rest, ok := strings.CutPrefix(msg, "unexpected token "); ok {
		msg = "unexpected " + rest
	}
	found, expected, ok := strings.Cut(strings.ReplaceAll(msg, `"<EOF>"`, "end of statement"), " (expected ")
	if !ok {
		return found
	}
	return found + notions.Replace(levels.ReplaceAllString(" (expected "+expected, "Expr"))
}

// declareBad marks the name that a statement with a syntax error would have bound.
func (c *checker) declareBad(text string) {
	f := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n:=(,", r) })
	if len(f) >= 2 && slices.Contains([]string{"let", "const", "input", "weight", "fn"}, f[0]) && c.names[f[1]] == nil {
		c.names[f[1]] = &meaning{bad: true}
	}
}

var reservedWords = []string{"parties", "dealer", "const", "input", "weight", "let", "fn", "return", "reveal", "to", "as", "from", "in", "and", "or", "not", "true", "false"}

func (c *checker) reserved(n name) bool {
	if slices.Contains(reservedWords, n.Text) {
		c.fail(c.at(n.Pos), "%q is a word of the language and cannot be a name", n.Text)
		return true
	}
	return false
}

func (c *checker) parties(s *statement) {
	if len(c.m.Parties) > 0 {
		c.fail(c.at(s.Pos), "parties are named twice")
		return
	}
	for _, n := range s.Parties {
		if !c.reserved(n) && slices.Contains(c.m.Parties, n.Text) {
			c.fail(c.at(n.Pos), "party %q is named twice", n.Text)
			continue
		}
		c.m.Parties = append(c.m.Parties, n.Text)
	}
	if len(c.m.Parties) < 2 {
		c.fail(c.at(s.Pos), "a computation needs at least two parties")
	}
}

// party checks that a name is a party's.
func (c *checker) party(n name) bool {
	if slices.Contains(c.m.Parties, n.Text) {
		return true
	}
	e := c.fail(c.at(n.Pos), "%q is not a party", n.Text)
	if len(c.m.Parties) > 0 {
		e.WithHint("the parties are %s", strings.Join(c.m.Parties, ", "))
	}
	return false
}

// bind gives a name its meaning.
func (c *checker) bind(n name, x operand, err error) {
	pos := c.at(n.Pos)
	if c.reserved(n) {
		return
	}
	if old := c.names[n.Text]; old != nil {
		if !old.bad {
			c.fail(pos, "%q is defined twice, first on line %d", n.Text, old.pos.Line)
		}
		return
	}
	if builtins[n.Text] != nil || c.fns[n.Text] != nil {
		c.fail(pos, "%q is a function", n.Text)
		return
	}
	c.names[n.Text] = &meaning{x: x, bad: err != nil, pos: pos}
}

// typeOf evaluates a written type.
func (c *checker) typeOf(t *typ) (ir.Elem, ir.Shape, error) {
	var e ir.Elem
	switch t.Elem {
	case "real":
		e = ir.Real
	case "int":
		e = ir.Int
	case "bool":
		e = ir.Bool
	default:
		c.fail(c.at(t.Pos), "unknown type %q", t.Elem).WithHint("types are real, int and bool, with dimensions as in real[2,3]")
		return 0, nil, errFailed
	}
	s := ir.Shape{}
	for _, d := range t.Dims {
		n, err := c.integer(d, "a dimension")
		if err != nil {
			return 0, nil, err
		}
		s = append(s, n)
	}
	if err := ir.CheckShape(s); err != nil {
		c.fail(c.at(t.Pos), "%v", err)
		return 0, nil, errFailed
	}
	return e, s, nil
}

func (c *checker) declare(d *declaration, op ir.Op) {
	e, s, err := c.typeOf(&d.Type)
	if !c.party(d.From) && err == nil {
		err = errFailed
	}
	attrs := ir.Attrs{ir.S("name", d.Name.Text), ir.S("owner", d.From.Text), ir.S("elem", e.String()), ir.Dims("shape", s)}
	if d.Lo != nil {
		lo, err1 := c.bound(d.Lo)
		hi, err2 := c.bound(d.Hi)
		switch {
		case err1 != nil || err2 != nil:
			err = errFailed
		case lo > hi:
			c.fail(c.at(d.Lo.Pos), "range %g..%g is empty", lo, hi)
			err = errFailed
		case e == ir.Bool:
			c.fail(c.at(d.Lo.Pos), "a bool has no range")
			err = errFailed
		}
		attrs = append(attrs, ir.F("lo", lo), ir.F("hi", hi))
	}
	var x operand
	if err == nil && c.names[d.Name.Text] == nil {
		x.v, err = c.emit(c.at(d.Name.Pos), op, attrs)
	}
	c.bind(d.Name, x, err)
}

func (c *checker) define(fn *function) {
	pos := c.at(fn.Name.Pos)
	n := fn.Name.Text
	switch {
	case c.reserved(fn.Name):
	case builtins[n] != nil:
		c.fail(pos, "%q is a built-in function", n)
	case c.fns[n] != nil:
		c.fail(pos, "function %q is defined twice, first on line %d", n, c.fns[n].pos.Line)
	case c.names[n] != nil:
		if !c.names[n].bad {
			c.fail(pos, "%q is defined twice, first on line %d", n, c.names[n].pos.Line)
		}
	default:
		c.fns[n] = &definition{fn, c.base, pos}
		own := map[string]bool{}
		once := func(n name) {
			if own[n.Text] {
				c.fail(c.at(n.Pos), "%q is defined twice in function %q", n.Text, fn.Name.Text)
			}
			own[n.Text] = true
		}
		for _, p := range fn.Params {
			once(p.Name)
		}
		for _, l := range fn.Lets {
			once(l.Name)
		}
	}
}

func (c *checker) reveal(r *reveal) {
	c.within = []string{r.As.Text}
	x, err := c.expr(r.X)
	ok := err == nil && !c.reserved(r.As)
	var to []string
	for _, n := range r.To {
		if !c.party(n) {
			ok = false
		} else if slices.Contains(to, n.Text) {
			c.fail(c.at(n.Pos), "receiver %q is named twice", n.Text)
			ok = false
		}
		to = append(to, n.Text)
	}
	for _, v := range c.f.Reveals() {
		if v.Attrs.Str("name") == r.As.Text {
			c.fail(c.at(r.As.Pos), "output %q is revealed twice, first on line %d", r.As.Text, v.Pos.Line)
			ok = false
		}
	}
	if !ok {
		return
	}
	v, err := c.value(c.at(r.X.Pos), x)
	if err != nil {
		return
	}
	if _, err := c.emit(c.at(r.As.Pos), ir.OpReveal, ir.Attrs{ir.S("name", r.As.Text), ir.Ss("to", to...)}, v); err != nil {
		return
	}
}

// emit appends a value to the function and records a mistake of its type rule.
func (c *checker) emit(pos diag.Pos, op ir.Op, attrs ir.Attrs, args ...*ir.Value) (*ir.Value, error) {
	if len(c.f.Body) >= maxValues {
		c.fail(pos, "program grows beyond %d values", maxValues)
		return nil, errFailed
	}
	v, err := c.f.Emit(pos, op, attrs, args...)
	if err != nil {
		msg := err.Error()
		var e *diag.Error
		if errors.As(err, &e) {
			msg = e.Msg
		}
		c.fail(pos, "%s", msg)
		return nil, errFailed
	}
	return v, nil
}
