package dsl

import (
	"slices"

	"smpcc/ir/diag"
)

// A scope holds the names of a file, a function or a block. What is not there is looked up in the scope around it.
type scope struct {
	names    map[string]*meaning
	up       *scope
	function bool // a function's: what is around it is seen and not changed
	pinned   bool // names are of the file
}

// A meaning is what a name stands for. bad marks a name whose definition failed, or that is not known, whose uses are not reported.
type meaning struct {
	x     operand
	bad   bool
	fixed bool // an input, a constant or a parameter of the file: not to be changed
	pos   diag.Pos
}

// own returns the meaning of a name in this very scope.
func (s *scope) own(n string) *meaning { return s.names[n] }

// find returns the meaning of a name, and whether a function's border lies between.
func (s *scope) find(n string) (m *meaning, outside bool) {
	for ; s != nil; s = s.up {
		if m := s.names[n]; m != nil {
			return m, outside
		}
		outside = outside || s.function
	}
	return nil, false
}

// all lists the names that are seen.
func (s *scope) all() (out []string) {
	for ; s != nil; s = s.up {
		for n := range s.names {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// inner opens a block, whose names end with it.
func (c *checker) inner(body func()) {
	c.names = &scope{names: map[string]*meaning{}, up: c.names}
	body()
	c.names = c.names.up
}

func (c *checker) reserved(n name) bool {
	if slices.Contains(reservedWords, n.Text) {
		c.fail(c.at(n.Pos), "%q is a word of the language and cannot be a name", n.Text)
		return true
	}
	return false
}

// bind gives a name its meaning. A block does not hide names of what is around it, which would be mistaken for changing them; functions do.
func (c *checker) bind(n name, x operand, err error, fixed bool) {
	pos := c.at(n.Pos)
	if c.reserved(n) {
		return
	}
	if x.text != nil {
		c.fail(pos, "text has no name").WithHint("text is only the file of an import, the message of an assert and an argument of few functions")
		return
	}
	for s := c.names; s != nil; s = s.up {
		if old := s.names[n.Text]; old != nil {
			switch {
			case old.bad:
			case s == c.names:
				c.fail(pos, "%q is defined twice, first on line %d", n.Text, old.pos.Line)
			default:
				c.fail(pos, "%q is defined already, on line %d", n.Text, old.pos.Line).WithHint("write %s = ... to change it, or take another name", n.Text)
			}
			return
		}
		if s.function {
			break
		}
	}
	if b := builtins[n.Text]; c.names.pinned && (b != nil && b.firm || c.fns[n.Text] != nil) {
		c.fail(pos, "%q is a function", n.Text)
		return
	}
	c.names.names[n.Text] = &meaning{x: x, bad: err != nil, pos: pos, fixed: fixed}
}
