package smpcc

import (
	"smpcc/backend"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/passes"
)

// lower does what lies between the graph and the plan, from whatever level the module is at, and emits it. ownReveals is as in CompileModule.
func (c *Compilation) lower(m *ir.Module, opt *Options, popt *passes.Options, ownReveals bool) (*plan.Plan, error) {
	graph, f := c.Graph.String(), m.Main()
	shared := f.Holds&ir.Shared != 0
	out := backend.Options{Compiler: "smpcc " + Version, Graph: graph, Elems: elems(f)}
	if err := opt.dataless(m); err != nil {
		return nil, err
	}
	run := passes.Run
	if passes.Lowered(m) {
		run = passes.Accept
	}
	var err error
	if c.Numbers, err = run(m, popt); err != nil {
		return nil, err
	}
	out.FracBits, out.Precision, out.Accuracy, out.Recipe = c.Numbers.FracBits, c.Numbers.Precision, accuracy(c.Numbers), recipe(opt, ownReveals, &c.Numbers.Taken)
	if opt.recipe != nil {
		out.Accuracy = opt.accuracy
	} else {
		c.notes(m, popt, opt.ColumnNames)
	}
	relocate(m)
	if !shared {
		out.Fixed = m.String()
		if err := backend.AssignForms(m); err != nil {
			return nil, err
		}
		if out.Choices, err = backend.Select(m, backend.Network(opt.Net)); err != nil {
			return nil, err
		}
	}
	if opt.Observe != nil {
		opt.Observe("form", m)
	}
	p, err := backend.Emit(m, out)
	if err != nil && passes.Lowered(c.Graph) {
		return nil, diag.Errorf(diag.Pos{File: m.Name}, "the text cannot be made a plan: %v", err).WithHint("what smpcc inspect prints of a plan at this level can be")
	}
	return p, err
}

// dataless refuses a graph of whose weights some have no data, unless it is compiled without.
func (opt *Options) dataless(m *ir.Module) error {
	if opt.recipe != nil || passes.Lowered(m) {
		return nil
	}
	for _, v := range m.Main().Body {
		if name := v.Attrs.Str("name"); v.Op == ir.OpWeight && m.Weights[name] == nil {
			return diag.Errorf(v.Pos, "weight %q of %s has no data: text holds none", name, v.Attrs.Str("owner")).
				WithHint("put its owner's weights beside the text, as FILE.ir.%s.weights.npz; a plan's own graph compiles again without any by smpcc recheck PLAN", v.Attrs.Str("owner"))
		}
	}
	return nil
}

// elems says what kind of element each output has as the user declared it.
func elems(f *ir.Func) map[string]string {
	out := map[string]string{}
	for _, v := range f.Reveals() {
		elem := v.Type.Elem.String()
		if v.Type.Elem == ir.Ring { // written in fixed point
			if elem = ir.Real.String(); v.Type.Scale == 0 {
				elem = ir.Int.String()
			}
		}
		out["reveal "+v.Attrs.Str("name")] = elem
	}
	return out
}

// Lowered reports whether the source was written at a level behind the graph: in fixed point, so that there are no reals to compare with.
func (c *Compilation) Lowered() bool { return passes.Lowered(c.Graph) }
