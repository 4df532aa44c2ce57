// Package dsl is the language for computations that are not a trained model: parties, inputs and tables with owner, type and
// shape, arithmetic, functions, loops over public ranges, models that are imported, and reveals.
//
//	parties alice, bob
//	input a: int[n] from alice in 0..1000
//	input b: int[n] from bob in 0..1000
//	let higher = where(a > b, a, b)
//	reveal sum(higher) to alice, bob as total
//
// A statement is one line, longer if brackets are open; # starts a comment. Everything that decides the shape of the
// computation (dimensions, indices, axes, conditions of if, ranges of for) must be a constant; dimensions may get theirs from the
// data. All mistakes of a file are reported at once.
package dsl

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
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
	maxValues  = 100_000 // values after functions are inlined and loops unrolled
	maxCalls   = 50      // calls inside calls
	maxErrors  = 100
	maxKnown   = 1 << 20 // elements of a constant
	maxWork    = 1 << 26 // expressions evaluated, and elements of constants computed
)

// Options steer the reading of a program.
type Options struct {
	Name   string              // module name; the file's base name without extension if empty
	Dims   map[string]int      // sizes of named dimensions
	Shapes map[string]ir.Shape // shapes of the data of inputs, which give dimensions their sizes; columns are TABLE.COLUMN
	Bound  map[string]int      // takes the dimensions that Shapes bind, if not nil
	// Sizeless gives dimensions that nothing else does a size of 1: to see what a program declares, not to compile it.
	Sizeless bool
	// Model reads a model that the program imports, for arguments of the given shapes, with the owner of its weights, if there is one, and the program's
	// parties. Nil refuses imports.
	Model func(path string, args []ModelArgument, owner string, parties []string) (*ir.Module, error)
}

// Load reads the program at path.
func Load(path string, opt Options) (*ir.Module, error) {
	src, err := read(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, src, opt)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSource+1))
}

// Parse reads a program; file is its name in messages.
func Parse(file string, src []byte, opt Options) (*ir.Module, error) {
	c, err := check(file, src, opt)
	if err != nil {
		return nil, err
	}
	return c.m, ir.Verify(c.m)
}

// check reads a program and returns what it knows of it; all of its mistakes are in the error.
func check(file string, src []byte, opt Options) (*checker, error) {
	if len(src) > maxSource {
		return nil, diag.Errorf(diag.Pos{File: file}, "program has more than %d bytes", maxSource)
	}
	if opt.Name == "" {
		base := filepath.Base(file)
		opt.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	c := &checker{file: file, opt: opt, lines: strings.Split(string(src), "\n"), fns: map[string]*definition{}, dims: map[string]*dimension{}, models: map[string]*model{}}
	c.global = &scope{names: map[string]*meaning{}, pinned: true}
	c.names = c.global
	c.m = &ir.Module{Name: opt.Name, Dealer: "d", Weights: map[string]*ir.Tensor{}}
	c.f = ir.NewFunc("main")
	c.m.Funcs = []*ir.Func{c.f}
	c.program()
	switch at := (diag.Pos{File: file}); {
	case len(c.errs) > 0:
	case len(c.m.Parties) == 0:
		c.errs.Add(at, diag.Errorf(at, "program names no parties").WithHint("begin with: parties alice, bob"))
	case slices.Contains(c.m.Parties, c.m.Dealer):
		c.errs.Add(at, diag.Errorf(at, "%q is a party and the dealer", c.m.Dealer).WithHint("name another dealer: dealer d2"))
	case len(c.f.Reveals()) == 0:
		c.errs.Add(at, diag.Errorf(at, "program reveals nothing").WithHint("end with: reveal EXPRESSION to PARTY as NAME"))
	}
	if err := c.errs.Err(); err != nil {
		return nil, err
	}
	balance(c.f)
	c.pack()
	return c, nil
}

// program reads all statements: first what they are, then, in order, what they mean.
func (c *checker) program() {
	var list []parsed
	for _, p := range c.split() {
		if len(c.errs) >= maxErrors {
			return
		}
		if s := c.parse(p); s != nil {
			list = append(list, parsed{s, p.line})
		}
	}
	for _, s := range list {
		if c.base = s.base; s.Fn != nil {
			c.define(s.Fn)
		}
	}
	c.bindDimensions(list)
	for _, s := range list {
		if len(c.errs) >= maxErrors {
			return
		}
		c.base = s.base
		c.statement(s.statement)
	}
	for _, n := range slices.Sorted(maps.Keys(c.fns)) {
		if fn := c.fns[n]; !fn.called {
			c.uncalled(fn)
		}
	}
	c.unknownDimensions()
}

// A parsed statement stands behind so many lines of the file.
type parsed struct {
	*statement
	base int
}

// A checker turns statements into values and collects mistakes.
type checker struct {
	file   string
	opt    Options
	lines  []string
	base   int // line offset of the statement at hand
	m      *ir.Module
	f      *ir.Func
	errs   diag.List
	global *scope
	names  *scope // what is seen at hand
	fns    map[string]*definition
	calls  []*definition // functions being inlined
	dims   map[string]*dimension
	models map[string]*model
	inputs []Declared
	within *diag.Pos // the call of a library function whose body is at hand
	trial  bool      // a function that is not called is being checked: parameters without type are unknown
	stands []string  // the name that is being defined, and calls and names inside
	work   int
	facts  map[*ir.Value]interval
}

// at turns a position inside the statement at hand into one of the file; in the library, into that of the call.
func (c *checker) at(p lexer.Position) diag.Pos {
	if c.within != nil {
		pos := *c.within
		pos.Within = strings.Join(c.stands, "/")
		return pos
	}
	return diag.Pos{File: c.file, Line: p.Line + c.base, Col: p.Column, Within: strings.Join(c.stands, "/")}
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

// spend counts work, so that no program keeps the compiler busy for long.
func (c *checker) spend(pos diag.Pos, elements int) error {
	before := c.work
	if c.work += 16 + elements; c.work > maxWork {
		if before <= maxWork {
			c.fail(pos, "program takes too many steps to compile").WithHint("compute with whole tensors in place of loops over their elements")
		}
		return errFailed
	}
	return nil
}

// parse reads one statement; nil if it has a mistake.
func (c *checker) parse(p piece) *statement {
	c.base = p.line
	if c.unknownStatement(p) {
		c.declareBad(p.text)
		return nil
	}
	s, err := grammar.ParseString("", code(p.text))
	if err == nil {
		return s
	}
	var pe participle.Error
	if errors.As(err, &pe) {
		pos := c.at(pe.Position())
		e := c.fail(pos, "%s", syntax(pe.Message()))
		if hint := c.typed(pos, p.text); hint != "" {
			e.WithHint("%s", hint)
		}
	} else {
		c.fail(diag.Pos{File: c.file, Line: p.line + 1, Col: 1}, "%v", err)
	}
	c.declareBad(p.text)
	return nil
}

// declareBad marks the name that a statement with a syntax error would have bound.
func (c *checker) declareBad(text string) {
	f := strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\n:=(,[", r) })
	if len(f) < 2 {
		return
	}
	switch {
	case f[0] == "fn":
		c.fns[f[1]] = &definition{bad: true, called: true}
	case slices.Contains([]string{"let", "const", "input", "weight", "table"}, f[0]) && c.names.own(f[1]) == nil:
		c.names.names[f[1]] = &meaning{bad: true}
	}
}

// emit appends a value to the function and records a mistake of its type rule.
func (c *checker) emit(pos diag.Pos, op ir.Op, attrs ir.Attrs, args ...*ir.Value) (*ir.Value, error) {
	if err := c.spend(pos, 0); err != nil {
		return nil, err
	}
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

// A Declared is an input, a weight or a column of a table as a program declares it.
type Declared struct {
	Name   string // TABLE.COLUMN of a column
	Owner  string
	Elem   string   // as it is written: real, int, int8, decimal(2), bool
	Dims   []string // numbers and names
	Table  string   // of a column, else ""
	Weight bool
}

// Declarations lists what a program declares as inputs and weights, in order. Dimensions need no size.
func Declarations(path string) ([]Declared, error) {
	src, err := read(path)
	if err != nil {
		return nil, err
	}
	return declarations(path, src)
}

func declarations(file string, src []byte) ([]Declared, error) {
	if len(src) > maxSource {
		return nil, fmt.Errorf("%s: program has more than %d bytes", file, maxSource)
	}
	c := &checker{file: file, opt: Options{Sizeless: true}, lines: strings.Split(string(src), "\n"), fns: map[string]*definition{}, dims: map[string]*dimension{}, models: map[string]*model{}}
	c.global = &scope{names: map[string]*meaning{}, pinned: true}
	c.names = c.global
	c.m = &ir.Module{Name: "x", Dealer: "d", Weights: map[string]*ir.Tensor{}}
	c.f = ir.NewFunc("main")
	c.m.Funcs = []*ir.Func{c.f}
	for _, p := range c.split() { // mistakes are said when the program is compiled
		if s := c.parse(p); s != nil && (s.Parties != nil || s.Guests != nil || s.Const != nil || s.Input != nil || s.Weight != nil || s.Table != nil) {
			c.statement(s)
		}
	}
	return c.inputs, nil
}
