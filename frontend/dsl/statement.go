package dsl

import (
	"slices"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A result is how a block of statements ended.
type result struct {
	x        operand
	returned bool
	err      error
}

// defines returns the name that a statement gives a value, or "".
func (s *statement) defines() string {
	switch {
	case s.Let != nil:
		return s.Let.Name.Text
	case s.Const != nil:
		return s.Const.Name.Text
	case s.Assign != nil:
		return s.Assign.Name
	case s.Reveal != nil && s.Reveal.As != nil:
		return s.Reveal.As.Text
	}
	return ""
}

// statement does what one statement says.
func (c *checker) statement(s *statement) result {
	if name := s.defines(); name != "" {
		outer := c.stands
		c.stands = append(slices.Clip(outer), name)
		defer func() { c.stands = outer }()
	}
	if err := c.spend(c.at(s.Pos), 0); err != nil {
		return result{returned: true, err: err}
	}
	switch {
	case s.Let != nil:
		x, err := c.expr(s.Let.X)
		c.bind(s.Let.Name, x, err, false)
	case s.Const != nil:
		x, err := c.expr(s.Const.X)
		if err == nil && x.c == nil {
			c.fail(c.at(s.Const.X.Pos), "a const must be known when compiling").WithHint("use let for values that depend on inputs")
			err = errFailed
		}
		c.bind(s.Const.Name, x, err, true)
	case s.Assign != nil:
		c.assign(s.Assign)
	case s.For != nil:
		return c.loop(s.For)
	case s.If != nil:
		return c.branch(s.If)
	case s.Assert != nil:
		if !c.assert(s) && len(c.calls) > 0 { // nothing behind it holds
			return result{returned: true, err: errFailed}
		}
	case s.Return != nil:
		if len(c.calls) == 0 {
			c.fail(c.at(s.Pos), "return stands in no function").WithHint("write: reveal EXPRESSION to PARTY as NAME")
		}
		x, err := c.expr(s.Return)
		return result{x, true, err}
	case len(c.calls) > 0:
		c.fail(c.at(s.Pos), "only let, assignments, for, if, assert and return stand in a function")
	case s.Reveal != nil:
		c.reveal(s.Reveal)
	case !c.names.pinned:
		c.fail(c.at(s.Pos), "only let, const, assignments, for, if, assert and reveal stand in a block")
	case s.Parties != nil:
		c.parties(s)
	case s.Dealer != nil:
		c.reserved(*s.Dealer)
		c.m.Dealer = s.Dealer.Text
	case s.Guests != nil:
		c.guests(s)
	case s.Input != nil:
		c.declare(s.Input, ir.OpInput)
	case s.Weight != nil:
		c.declare(s.Weight, ir.OpWeight)
	case s.Table != nil:
		c.table(s.Table)
	case s.Import != nil:
		c.imports(s.Import)
	}
	return result{}
}

// block does statements in a scope of their own, up to a return.
func (c *checker) block(list []*statement) (r result) {
	c.inner(func() {
		for _, s := range list {
			if r = c.statement(s); r.returned {
				return
			}
		}
	})
	return r
}

// loop unrolls a loop over a public range, or over the elements of a tensor along its first dimension.
func (c *checker) loop(l *loop) result {
	pos := c.at(l.Lo.Pos)
	var n int
	var at func(i int) (operand, error)
	x, err := c.expr(l.Lo)
	if l.Hi != nil {
		hi, err2 := c.expr(l.Hi)
		if err != nil || err2 != nil {
			return c.unknownLoop(l)
		}
		from, err := c.integerOf(pos, x, "a range of for")
		if err != nil {
			return result{}
		}
		to, err := c.integerOf(c.at(l.Hi.Pos), hi, "a range of for")
		if err != nil {
			return result{}
		}
		n, at = max(0, to-from+1), func(i int) (operand, error) { return whole(int64(from + i)), nil }
	} else {
		switch {
		case err != nil:
			return c.unknownLoop(l)
		case x.cols != nil:
			n = x.rows()
		case len(x.shape()) == 0:
			c.fail(pos, "for goes over the elements of a list, not over %s", x.kind()).WithHint("for i in 0..9 { ... } counts from 0 to 9, and for i in range(10) does the same")
			return result{}
		default:
			n = x.shape()[0]
		}
		at = func(i int) (operand, error) { return c.element(pos, x, i) }
	}
	before := len(c.errs)
	for i := range n {
		v, err := at(i)
		var r result
		c.inner(func() {
			c.bind(l.Var, v, err, true)
			r = c.block(l.Body)
		})
		if r.returned || len(c.errs) > before { // what is wrong once is wrong each time
			return r
		}
	}
	return result{}
}

// unknownLoop checks the body of a loop whose range is wrong or not known.
func (c *checker) unknownLoop(l *loop) result {
	c.inner(func() {
		c.bind(l.Var, operand{}, errFailed, true)
		c.block(l.Body)
	})
	return result{}
}

// branch does the statements of one side of a public condition.
func (c *checker) branch(b *branch) result {
	pos := c.at(b.Cond.Pos)
	x, err := c.expr(b.Cond)
	if err != nil { // both sides are checked
		c.block(b.Then)
		if b.Elif != nil {
			c.branch(b.Elif)
		}
		c.block(b.Else)
		return result{}
	}
	yes, err := c.fact(pos, x, "if", "write where(condition, x, y) to choose by a secret: both sides are computed, and nobody learns which one was taken")
	switch {
	case err != nil:
		return result{}
	case yes:
		return c.block(b.Then)
	case b.Elif != nil:
		return c.branch(b.Elif)
	}
	return c.block(b.Else)
}

// fact returns a condition that is known.
func (c *checker) fact(pos diag.Pos, x operand, what, hint string) (bool, error) {
	switch {
	case x.c == nil || x.elem() != ir.Bool:
		e := c.fail(pos, "%s takes a condition that is known when compiling, not %s", what, x.kind())
		if x.c == nil {
			e.WithHint("%s", hint)
		}
		return false, errFailed
	case x.c.Len() != 1:
		c.fail(pos, "%s takes one condition, not %s", what, x.kind()).WithHint("write all(x) or any(x)")
		return false, errFailed
	}
	return x.c.I[0] != 0, nil
}

// assert refuses the program if a public fact does not hold, and reports whether it does.
func (c *checker) assert(s *statement) bool {
	pos := c.at(s.Assert.X.Pos)
	x, err := c.expr(s.Assert.X)
	if err != nil {
		return true // what is not known is not wrong
	}
	yes, err := c.fact(pos, x, "assert", "assert is about public facts, as sizes; what depends on data can be revealed")
	switch {
	case err != nil || yes:
		return err == nil
	case s.Assert.Say != nil:
		c.fail(pos, "assertion fails: %s", strings.Trim(*s.Assert.Say, `"`))
	default:
		c.fail(pos, "assertion fails")
	}
	return false
}

// assign gives a name another meaning, or some of its elements.
func (c *checker) assign(a *assignment) {
	pos := c.at(a.Pos)
	x, err := c.expr(a.X)
	old, outside := c.names.find(a.Name)
	switch {
	case old == nil:
		e := c.fail(pos, "unknown name %q", a.Name)
		if s := nearest(a.Name, c.names.all()); s != "" {
			e.WithHint("did you mean %q? let %s = ... makes a new name", s, a.Name)
		} else {
			e.WithHint("let %s = ... makes a new name", a.Name)
		}
		return
	case old.bad || err != nil:
		old.bad = true
		return
	case outside:
		c.fail(pos, "%q is not of this function, which cannot change it", a.Name).WithHint("return the value, and assign it where the function is called")
		return
	case old.fixed:
		c.fail(pos, "%q cannot be changed: it is no name made by let", a.Name).WithHint("let changed = ... and assign to that")
		return
	}
	if len(a.Indices) > 1 {
		c.fail(pos, "elements are assigned by one pair of brackets").WithHint("write x[i, j] = ..., not x[i][j] = ...")
		return
	}
	if op := a.Op; op != "=" {
		was := old.x
		if len(a.Indices) > 0 {
			if was, err = c.index(was, &a.Indices[0]); err != nil {
				return
			}
		}
		if x, err = c.apply(pos, map[string]ir.Op{"+=": ir.OpAdd, "-=": ir.OpSub, "*=": ir.OpMul}[op], nil, was, x); err != nil {
			old.bad = true
			return
		}
	}
	if len(a.Indices) == 0 {
		old.x = x
		return
	}
	if x, err = c.replace(old.x, &a.Indices[0], x); err == nil {
		old.x = x
	}
}

func (c *checker) reveal(r *reveal) {
	pos := c.at(r.X.Pos)
	x, err := c.expr(r.X)
	ok := err == nil
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
	as, at := r.X.text(), pos
	switch {
	case r.As != nil:
		as, at = r.As.Text, c.at(r.As.Pos)
		ok = !c.reserved(*r.As) && ok
	case as == "":
		c.fail(pos, "the output has no name").WithHint("end with: as NAME")
		ok = false
	}
	if !ok {
		return
	}
	outputs := []columnOf{{as, x}}
	if x.cols != nil {
		outputs = nil
		for _, f := range x.cols {
			outputs = append(outputs, columnOf{as + "." + f.name, f.x})
		}
	}
	for _, o := range outputs {
		c.output(pos, at, o.name, to, o.x)
	}
}

// output reveals one tensor.
func (c *checker) output(pos, at diag.Pos, name string, to []string, x operand) {
	for _, v := range c.f.Reveals() {
		if v.Attrs.Str("name") == name {
			c.fail(at, "output %q is revealed twice, first on line %d", name, v.Pos.Line)
			return
		}
	}
	v, err := c.value(pos, x)
	if err != nil {
		return
	}
	attrs := ir.Attrs{ir.S("name", name), ir.Ss("to", to...)}
	if x.num.decimal && x.num.places > 0 {
		attrs = append(attrs, ir.I("places", int64(x.num.places)))
	}
	if _, err := c.emit(at, ir.OpReveal, attrs, v); err != nil {
		return
	}
}
