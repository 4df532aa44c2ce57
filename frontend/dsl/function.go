package dsl

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A definition is a function with the line offset of its source.
type definition struct {
	fn      *function
	base    int
	pos     diag.Pos
	bad     bool // it has a mistake
	called  bool
	library bool
	doc     string // of the library
	params  string
}

func (d *definition) name() string { return d.fn.Name.Text }

//go:embed library/*.smp
var libraryFiles embed.FS

// library returns the functions that are written in the language itself.
var library = sync.OnceValue(func() map[string]*definition {
	files, err := libraryFiles.ReadDir("library")
	if err != nil {
		ir.Bug("library: %v", err)
	}
	out := map[string]*definition{}
	for _, f := range files {
		src, err := libraryFiles.ReadFile("library/" + f.Name())
		if err != nil {
			ir.Bug("library: %v", err)
		}
		c := &checker{file: f.Name(), lines: strings.Split(string(src), "\n"), names: &scope{names: map[string]*meaning{}}, fns: map[string]*definition{}}
		for _, p := range c.split() {
			s := c.parse(p)
			if s == nil || s.Fn == nil {
				ir.Bug("library: %v", c.errs)
			}
			d := &definition{fn: s.Fn, base: p.line, called: true, library: true}
			d.doc, d.params = c.comment(p.line), parameters(s.Fn)
			out[d.name()] = d
		}
	}
	return out
})

// comment returns the comment above a line, as one sentence or more.
func (c *checker) comment(line int) string {
	var out []string
	for line--; line >= 0 && strings.HasPrefix(c.lines[line], "#"); line-- {
		out = append([]string{strings.TrimSpace(strings.TrimPrefix(c.lines[line], "#"))}, out...)
	}
	return strings.Join(out, " ")
}

// parameters renders the parameters of a function.
func parameters(fn *function) string {
	var out []string
	for _, p := range fn.Params {
		s := p.Name.Text
		if p.Default != nil {
			s += "="
			if x := p.Default.bare(); x != nil {
				switch {
				case x.X.Int != nil:
					s += *x.X.Int
				case x.X.Float != nil:
					s += *x.X.Float
				case x.X.Bool != nil:
					s += *x.X.Bool
				}
			}
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// define takes a function up. Its body is checked where it is called, or once all is read.
func (c *checker) define(fn *function) {
	pos := c.at(fn.Name.Pos)
	n := fn.Name.Text
	switch b := builtins[n]; {
	case c.reserved(fn.Name):
		return
	case b != nil && b.firm:
		c.fail(pos, "%q is a built-in function", n)
		return
	case c.fns[n] != nil:
		if !c.fns[n].bad {
			c.fail(pos, "function %q is defined twice, first on line %d", n, c.fns[n].pos.Line)
		}
		return
	}
	d := &definition{fn: fn, base: c.base, pos: pos}
	c.fns[n] = d
	own := map[string]bool{}
	once := func(n name) {
		if own[n.Text] {
			c.fail(c.at(n.Pos), "%q is defined twice in function %q", n.Text, fn.Name.Text)
			d.bad = true
		}
		own[n.Text] = true
	}
	optional := ""
	for _, p := range fn.Params {
		once(p.Name)
		switch {
		case p.Default != nil:
			optional = p.Name.Text
		case optional != "":
			c.fail(c.at(p.Name.Pos), "parameter %q needs a default, as %q before it has one", p.Name.Text, optional)
		}
	}
	for _, s := range fn.Body {
		if s.Let != nil {
			once(s.Let.Name)
		}
	}
	if !returns(fn.Body) {
		c.fail(pos, "function %q returns nothing", n).WithHint("end it with: return EXPRESSION")
		d.bad = true
	}
}

// returns reports whether a return stands in a body.
func returns(list []*statement) bool {
	return slices.ContainsFunc(list, func(s *statement) bool {
		switch {
		case s.Return != nil:
			return true
		case s.For != nil:
			return returns(s.For.Body)
		case s.If != nil:
			return s.If.returns()
		}
		return false
	})
}

func (b *branch) returns() bool {
	return b != nil && (returns(b.Then) || returns(b.Else) || b.Elif.returns())
}

// uncalled checks a function that no call has checked: parameters of a written type are inputs of it, the others are unknown.
func (c *checker) uncalled(d *definition) {
	if d.bad {
		return
	}
	f, names, base := c.f, c.names, c.base
	c.f, c.base, c.trial = ir.NewFunc("trial"), d.base, true
	c.names = &scope{names: map[string]*meaning{}, up: c.global, function: true}
	c.calls = append(c.calls, d)
	defer func() {
		c.f, c.names, c.base, c.trial = f, names, base, false
		c.calls = c.calls[:len(c.calls)-1]
	}()
	for _, p := range d.fn.Params {
		x, err := operand{}, errFailed
		if p.Type != nil {
			for _, d := range p.Type.Dims { // names of dimensions take any size
				if n := d.bareName(); n != "" {
					if m, _ := c.names.find(n); m == nil {
						c.names.names[n] = &meaning{bad: true}
					}
				}
			}
			known := !slices.ContainsFunc(p.Type.Dims, func(d *expr) bool {
				n := d.bareName()
				m, _ := c.names.find(n)
				return n != "" && m.bad
			})
			if e, num, s, err2 := c.typeOfKnown(p.Type, known); err2 == nil {
				owner := "p"
				if len(c.m.Parties) > 0 {
					owner = c.m.Parties[0]
				}
				x.num = num
				attrs, _ := c.leaf(p.Name.Text, owner, e, num, s, nil, nil)
				x.v, err = c.emit(c.at(p.Name.Pos), ir.OpInput, attrs)
			}
		}
		c.bind(p.Name, x, err, false)
	}
	for _, s := range d.fn.Body {
		if c.statement(s).returned {
			return
		}
	}
}

// typeOfKnown is typeOf for a type whose dimensions are all known, and fails without a word for others.
func (c *checker) typeOfKnown(t *typ, known bool) (ir.Elem, numeral, ir.Shape, error) {
	if !known {
		_, _, err := c.elementType(t)
		if err == nil {
			err = errFailed
		}
		return 0, numeral{}, nil, err
	}
	return c.typeOf(t, "")
}

// arranged returns, for each of the parameters, the argument that it takes, and the arguments beyond them; -1 is none. names may end with ?, of what may
// be left out, with =?, of what takes its name besides, and the last with *, which takes any number.
func (c *checker) arranged(pos diag.Pos, what, takes string, names []string, args []argument) (at []int, rest []int, err error) {
	at = slices.Repeat([]int{-1}, len(names))
	many := len(names) > 0 && strings.HasSuffix(names[len(names)-1], "*")
	next, seen := 0, false
	for i, a := range args {
		if a.Name == nil {
			switch {
			case seen:
				c.fail(c.at(a.X.Pos), "an argument without name stands behind one with a name")
				return nil, nil, errFailed
			case many && next >= len(names)-1:
				rest = append(rest, i)
			case next >= len(names) || strings.HasSuffix(names[next], "=?"):
				c.fail(pos, "%s takes %s, got %d", what, takes, len(args))
				return nil, nil, errFailed
			default:
				at[next] = i
			}
			next++
			continue
		}
		seen = true
		k := slices.IndexFunc(names, func(n string) bool { return strings.TrimRight(n, "=?") == a.Name.Text })
		if k < 0 {
			e := c.fail(c.at(a.Name.Pos), "%s has no parameter %q", what, a.Name.Text)
			var list []string
			for _, n := range names {
				list = append(list, strings.TrimRight(n, "=?*"))
			}
			e.WithHint("it has: %s", strings.Join(list, ", "))
			return nil, nil, errFailed
		}
		if at[k] >= 0 {
			c.fail(c.at(a.Name.Pos), "%s gets %q twice", what, a.Name.Text)
			return nil, nil, errFailed
		}
		at[k] = i
	}
	for k, n := range names {
		if at[k] < 0 && !strings.HasSuffix(n, "?") && !strings.HasSuffix(n, "*") || many && k == len(names)-1 && len(rest) == 0 {
			c.fail(pos, "%s takes %s, got %d", what, takes, len(args))
			return nil, nil, errFailed
		}
	}
	return at, rest, nil
}

func (c *checker) call(n *call) (operand, error) {
	pos, callee := c.at(n.Name.Pos), n.Name.Text
	args := make([]operand, len(n.Args))
	failed := false
	for i, a := range n.Args {
		var err error
		if args[i], err = c.expr(a.X); err != nil {
			failed = true
		}
	}
	fn := c.fns[callee]
	if c.within != nil {
		fn = nil
	}
	b := builtins[callee]
	m := c.models[callee]
	if fn == nil && b == nil {
		fn = library()[callee]
	}
	var names []string
	takes, what := "", callee
	switch {
	case fn != nil && fn.bad, m != nil && m.bad:
		return operand{}, errFailed
	case m != nil:
		if failed {
			return operand{}, errFailed
		}
		return c.callModel(pos, m, n.Args, args)
	case fn != nil:
		for _, p := range fn.fn.Params {
			s := p.Name.Text
			if p.Default != nil {
				s += "?"
			}
			names = append(names, s)
		}
		takes = fmt.Sprintf("%d arguments", len(names))
		if fn.library {
			takes = "(" + fn.params + ")"
		}
	case b != nil:
		names, takes = b.params, b.Params
	default:
		return operand{}, c.noFunction(pos, callee)
	}
	at, rest, err := c.arranged(pos, what, takes, names, n.Args)
	if fn != nil {
		fn.called = fn.called || !failed && err == nil
	}
	if failed || err != nil {
		return operand{}, errFailed
	}
	list := make([]operand, len(names), len(names)+len(rest))
	given := make([]bool, len(names))
	for k, i := range at {
		if i >= 0 {
			list[k], given[k] = args[i], true
		}
	}
	if fn != nil {
		return c.inline(pos, fn, list, given)
	}
	if len(rest) > 0 {
		list = list[:len(list)-1]
		for _, i := range rest {
			list = append(list, args[i])
		}
	}
	for _, x := range list {
		if x.cols != nil && !b.records {
			c.fail(pos, "%s takes tensors, not %s", callee, x.kind()).WithHint("name one of its columns, as in RECORD.COLUMN")
			return operand{}, errFailed
		}
		if x.text != nil && !b.texts {
			c.fail(pos, "%s takes no text", callee)
			return operand{}, errFailed
		}
	}
	if err := c.spend(pos, 0); err != nil {
		return operand{}, err
	}
	return b.lower(c, pos, list)
}

// noFunction reports a call of what is no function.
func (c *checker) noFunction(pos diag.Pos, n string) error {
	if x, _ := c.names.find(n); x != nil {
		if !x.bad {
			c.fail(pos, "%q is not a function", n)
		}
		return errFailed
	}
	e := c.fail(pos, "unknown function %q", n)
	if hint := otherFunctions[n]; hint != "" {
		e.WithHint("%s", hint)
		return errFailed
	}
	var known []string
	for k := range builtins {
		known = append(known, k)
	}
	for k := range c.fns {
		known = append(known, k)
	}
	for k := range library() {
		known = append(known, k)
	}
	if s := nearest(n, known); s != "" {
		e.WithHint("did you mean %q?", s)
	}
	return errFailed
}

// inline evaluates a function on its arguments.
func (c *checker) inline(pos diag.Pos, d *definition, args []operand, given []bool) (operand, error) {
	n := d.name()
	switch {
	case slices.Contains(c.calls, d):
		var path []string
		for _, f := range append(c.calls, d) {
			path = append(path, f.name())
		}
		c.fail(pos, "%s calls itself, by way of %s", n, strings.Join(path, " -> ")).WithHint("the computation is straight-line: there is no recursion")
		return operand{}, errFailed
	case len(c.calls) >= maxCalls:
		c.fail(pos, "calls are nested deeper than %d", maxCalls)
		return operand{}, errFailed
	}
	if err := c.spend(pos, 0); err != nil {
		return operand{}, err
	}
	names, base, within, place, before := c.names, c.base, c.within, c.stands, len(c.errs)
	c.names = &scope{names: map[string]*meaning{}, function: true}
	if d.library {
		if within == nil {
			c.within = &pos
		}
	} else {
		c.names.up = c.global
	}
	c.base = d.base
	c.calls, c.stands = append(c.calls, d), append(slices.Clip(place), n)
	x, err := c.body(pos, d, args, given)
	c.names, c.base, c.within, c.stands, c.calls = names, base, within, place, c.calls[:len(c.calls)-1]
	if d.library && within == nil { // say whose mistake it is
		for _, e := range c.errs[before:] {
			e.Msg = n + ": " + e.Msg
		}
	}
	if err != nil && len(c.errs) > before && len(c.calls) == 0 && !d.library { // say from where the failing body was reached
		last := c.errs[len(c.errs)-1]
		if last.Hint == "" && last.Pos != pos {
			last.WithHint("in %s, called on line %d", n, pos.Line)
		}
	}
	return x, err
}

// body binds the parameters of a function and does its statements.
func (c *checker) body(pos diag.Pos, d *definition, args []operand, given []bool) (operand, error) {
	for i, p := range d.fn.Params {
		x := args[i]
		if !given[i] {
			var err error
			if x, err = c.expr(p.Default); err != nil {
				return x, err
			}
		}
		if p.Type != nil {
			var err error
			if x, err = c.argument(pos, d.name(), i, &p, x); err != nil {
				return x, err
			}
		}
		c.bind(p.Name, x, nil, false)
	}
	for _, s := range d.fn.Body {
		if r := c.statement(s); r.returned {
			return r.x, r.err
		}
	}
	if !c.trial {
		c.fail(pos, "%s returns nothing here: no return is reached", d.name())
	}
	return operand{}, errFailed
}

// argument checks an argument against the written type of its parameter. Names of dimensions that are not known take the argument's.
func (c *checker) argument(pos diag.Pos, fn string, i int, p *param, x operand) (operand, error) {
	e, num, err := c.elementType(p.Type)
	if err != nil {
		return x, err
	}
	mismatch := func(want string) error {
		c.fail(pos, "argument %d (%s) of %s is %s, want %s", i+1, p.Name.Text, fn, x.kind(), want)
		return errFailed
	}
	if e == ir.Real && x.elem() == ir.Int {
		if x, err = c.real(pos, x); err != nil {
			return x, err
		}
	}
	shape := x.shape()
	s, err := c.dimsOf(p.Type.Dims, func(pos diag.Pos, n string, axis int) (int, error) {
		size := 0
		if axis < len(shape) && len(shape) == len(p.Type.Dims) {
			size = shape[axis]
		}
		c.names.names[n] = &meaning{x: whole(int64(size)), fixed: true}
		return size, nil
	})
	if err != nil {
		return x, err
	}
	word := e.String()
	if e == ir.Int {
		word = num.String()
	}
	if x.cols != nil || e != x.elem() || num != x.num || !s.Equal(shape) {
		return x, mismatch(word + strings.TrimPrefix(s.String(), "[]"))
	}
	return x, nil
}
