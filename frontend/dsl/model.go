package dsl

import (
	"path/filepath"
	"strings"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// A model is one that the program imports and calls as a function.
type model struct {
	path   string
	owner  string // of its weights; empty if nobody is named
	pos    diag.Pos
	bad    bool
	loaded map[string]*ir.Module // by the shapes of arguments
}

// imports takes a model up. It is read where it is called, when the shapes of its inputs are known.
func (c *checker) imports(s *imported) {
	pos, n := c.at(s.Name.Pos), s.Name.Text
	m := &model{path: strings.Trim(s.File, `"`), pos: pos, loaded: map[string]*ir.Module{}}
	if s.From != nil {
		m.bad = !c.party(*s.From)
		m.owner = s.From.Text
	}
	switch b := builtins[n]; {
	case c.reserved(s.Name):
		return
	case b != nil && b.firm || c.fns[n] != nil:
		c.fail(pos, "%q is a function", n)
		return
	case c.models[n] != nil:
		c.fail(pos, "%q is defined twice, first on line %d", n, c.models[n].pos.Line)
		return
	case c.opt.Model == nil:
		c.fail(pos, "models cannot be imported here")
		m.bad = true
	}
	if !filepath.IsAbs(m.path) {
		m.path = filepath.Join(filepath.Dir(c.file), m.path)
	}
	c.models[n] = m
}

// callModel computes a model on arguments: its graph becomes part of the program's. Its weights are its owner's, once for all calls.
func (c *checker) callModel(pos diag.Pos, m *model, args []argument, xs []operand) (operand, error) {
	given := make([]ModelArgument, len(xs))
	key := ""
	for i, x := range xs {
		if x.c == nil && x.v == nil {
			c.fail(pos, "a model takes tensors, not %s", x.kind())
			return operand{}, errFailed
		}
		given[i].Shape = x.shape()
		if args[i].Name != nil {
			given[i].Name = args[i].Name.Text
		}
		key += given[i].Name + x.shape().String()
	}
	g := m.loaded[key]
	if g == nil {
		var err error
		if g, err = c.opt.Model(m.path, given, m.owner, c.m.Parties); err != nil {
			c.errs.Add(pos, err)
			return operand{}, errFailed
		}
		m.loaded[key] = g
	}
	return c.spliced(pos, m, g, given, xs)
}

// A ModelArgument is what a call gives to a model.
type ModelArgument struct {
	Name  string // of the input; empty if its place says which
	Shape ir.Shape
}

// spliced adds the values of a model's graph and returns its output, or its outputs as columns.
func (c *checker) spliced(pos diag.Pos, m *model, g *ir.Module, given []ModelArgument, xs []operand) (operand, error) {
	to := map[*ir.Value]*ir.Value{}
	prefix := strings.TrimSuffix(filepath.Base(m.path), filepath.Ext(m.path)) + "/"
	next := 0
	out := operand{cols: []columnOf{}}
	for _, v := range g.Main().Body {
		switch v.Op {
		case ir.OpInput:
			i := next
			for k, a := range given {
				if a.Name == v.Attrs.Str("name") {
					i = k
				}
			}
			if given[i].Name == "" {
				next++
			}
			x, err := c.modelInput(pos, v, xs[i])
			if err != nil {
				return x, err
			}
			if to[v], err = c.value(pos, x); err != nil {
				return x, err
			}
			continue
		case ir.OpReveal:
			out.cols = append(out.cols, columnOf{v.Attrs.Str("name"), operand{v: to[v.Args[0]]}})
			continue
		}
		attrs := v.Attrs
		if v.Op == ir.OpWeight {
			if m.owner == "" {
				c.fail(pos, "the weights of %s have no owner", filepath.Base(m.path)).WithHint(`write import model "..." as NAME from PARTY`)
				return operand{}, errFailed
			}
			old := v.Attrs.Str("name")
			attrs = attrs.With(ir.S("name", prefix+old))
			c.m.Weights[prefix+old] = g.Weights[old]
		}
		list := make([]*ir.Value, len(v.Args))
		for i, a := range v.Args {
			list[i] = to[a]
		}
		at := v.Pos
		at.Within = strings.Trim(strings.Join(c.stands, "/")+"/"+prefix+at.Within, "/")
		n, err := c.emit(at, v.Op, attrs, list...)
		if err != nil {
			return operand{}, err
		}
		to[v] = n
	}
	if len(out.cols) == 1 {
		return out.cols[0].x, nil
	}
	return out, nil
}

// modelInput gives an argument the kind and shape of a model's input.
func (c *checker) modelInput(pos diag.Pos, v *ir.Value, x operand) (operand, error) {
	name := v.Attrs.Str("name")
	if v.Attrs.Has("words") || v.Attrs.Has("missing") {
		c.fail(pos, "input %q of the model takes text or missing values, which a program does not have", name)
		return x, errFailed
	}
	var err error
	switch v.Type.Elem {
	case ir.Real:
		x, err = c.real(pos, x)
	case ir.Int:
		if x.elem() != ir.Real {
			x, err = c.integers(pos, x)
		}
	}
	if err != nil {
		return x, err
	}
	if x.elem() != v.Type.Elem || x.shape().Size() != v.Type.Shape.Size() {
		c.fail(pos, "input %q of the model is %v%v, not %s", name, v.Type.Elem, v.Type.Shape, x.kind())
		return x, errFailed
	}
	return c.reshape(pos, x, v.Type.Shape)
}
