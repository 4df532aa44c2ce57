// Package backend turns a fixed-level IR function into a plan: forms and protocols, material at fixed stream offsets,
// rounds, memory, and one program per role.
package backend

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Options are what the backend needs besides the module.
type Options struct {
	Compiler  string            // version string for the manifest
	FracBits  int               // fraction bits of reals
	Graph     string            // IR text at graph level, for the manifest
	Fixed     string            // IR text at fixed level
	Choices   []plan.Choice     // what Select chose
	Accuracy  []plan.Accuracy   // of the outputs
	Recipe    plan.Recipe       // what the plan was compiled with
	Precision float64           // asked of approximated functions
	Elems     map[string]string // element kind of inputs and outputs as the user declared them, by name
}

// Emit lowers a module whose function has forms (see AssignForms) to a plan: the typed plan, and the programs of all roles that follow
// from it.
func Emit(m *ir.Module, opt Options) (*plan.Plan, error) {
	c, err := Typed(m, opt)
	if many := (*typed.TooMany)(nil); errors.As(err, &many) {
		return nil, diag.Errorf(diag.Pos{File: m.Name}, "the plan would be too long: %v", many).
			WithHint("take vectors in place of loops over their elements: an operation on a whole tensor takes the steps of one; or compute less in one run")
	}
	if err != nil {
		return nil, fmt.Errorf("internal error: typed plan: %w", err)
	}
	return c.Project()
}

// Typed lowers a module whose function has forms to the typed plan: one program for all roles.
func Typed(m *ir.Module, opt Options) (c *typed.Checked, err error) {
	defer ir.Recover(&err)
	f := m.Main()
	manifest, bound := describe(m, opt)
	w := &writer{Program: &typed.Program{}, nodes: map[string]int{}, bound: bound, of: map[*ir.Value]int{}}
	for _, v := range f.Body {
		w.at(placeOf(v))
		write := writings[v.Op]
		if write == nil {
			ir.Bug("no row for op %s", v.Op)
		}
		w.of[v] = write(w, v)
	}
	return typed.Check(&manifest, w.Program)
}

// describe writes the manifest of a plan, and numbers its inputs and weights by name and scale.
func describe(mod *ir.Module, opt Options) (m plan.Manifest, bound map[string]int) {
	f := mod.Main()
	bound = map[string]int{}
	src := sha256.Sum256([]byte(opt.Graph))
	m = plan.Manifest{
		Version: plan.Version, Name: mod.Name, Compiler: opt.Compiler, Parties: mod.Parties, Dealer: mod.Dealer, Guests: slices.Clone(mod.Guests),
		FracBits: opt.FracBits, Source: hex.EncodeToString(src[:]), Choices: opt.Choices, Accuracy: opt.Accuracy, Precision: opt.Precision, Recipe: opt.Recipe,
		Policies: slices.Clone(mod.Policies), Allowed: slices.Clone(mod.Allowed), Guards: slices.Clone(mod.Guards),
		Dumps: []plan.Dump{{Level: "graph", Text: opt.Graph}, {Level: "fixed", Text: opt.Fixed}, {Level: "share", Text: mod.String()}},
	}
	if opt.Fixed == "" { // written at a level behind it
		m.Dumps = append(m.Dumps[:1], m.Dumps[2:]...)
	}
	port := func(v *ir.Value, t ir.Type) plan.Port {
		bits := t.Bits
		if t.Elem == ir.Bool {
			bits = 1
		}
		elem := t.Elem.String()
		if e := opt.Elems[string(v.Op)+" "+v.Attrs.Str("name")]; e != "" {
			elem = e
		} else if e := v.Attrs.Str("elem"); e != "" {
			elem = e
		}
		lo, hi := v.Range.Lo, v.Range.Hi
		if ir.OfGuest(v) {
			r, _, _ := ir.AsDeclared(v)
			lo, hi = r.Lo, r.Hi
		}
		columns := tableColumns(v)
		for k, c := range columns { // as their owner sees them
			if k == 0 {
				lo, hi = c.Lo, c.Hi
			}
			lo, hi = min(lo, c.Lo), max(hi, c.Hi)
		}
		return plan.Port{Name: v.Attrs.Str("name"), Owner: v.Attrs.Str("owner"), To: v.Attrs.Strings("to"), Elem: elem, Scale: t.Scale, Bits: bits,
			Shape: append([]int{}, t.Shape...), Lo: lo, Hi: hi, Origin: v.Range.Origin.String(), Columns: columns,
			Words: v.Attrs.Strings("words"), Decimal: v.Attrs.Int("decimal", 0) != 0, Missing: v.Attrs.Str("missing"), Given: v.Attrs.Ints("given"), Classes: v.Attrs.Strings("classes"), Shares: ir.OfGuest(v),
			Categories: columnCategories(v), Step: v.Attrs.Float("step", 0), Places: v.Attrs.Int("places", 0)}
	}
	names := ir.Names(f)
	for _, v := range f.Body {
		m.RingBits = max(m.RingBits, secretBits(v))
		switch v.Op {
		case ir.OpInput:
			bound[boundKey(v)] = len(m.Inputs)
			m.Inputs = append(m.Inputs, port(v, v.Type))
		case ir.OpReveal:
			out := port(v, v.Args[0].Type)
			out.Checked = int64(v.Attrs.Int("checked", 0))
			m.Outputs = append(m.Outputs, out)
		}
		if v.Type.Vis.IsPublic() || v.Type.Elem != ir.Ring || v.Op == ir.OpReveal || v.Range.Origin == ir.NoRange {
			continue
		}
		note := plan.RangeNote{Value: names[v] + " " + string(v.Op), Node: v.Pos.String(), Lo: v.Range.Lo, Hi: v.Range.Hi, Origin: v.Range.Origin.String(), Bits: v.Type.Bits, Frac: v.Type.Scale}
		if !math.IsNaN(note.Lo) {
			m.Ranges = append(m.Ranges, note)
		}
	}
	for i, v := range f.Reveals() {
		if of := v.Attrs.Str("valid"); of != "" {
			m.Outputs[i].Valid = 1 + slices.IndexFunc(m.Outputs, func(o plan.Port) bool { return o.Name == of })
		}
	}
	path, _ := CriticalPath(f)
	for _, v := range path {
		if n := len(m.Critical); n == 0 || m.Critical[n-1] != placeOf(v) {
			m.Critical = append(m.Critical, placeOf(v))
		}
	}
	for _, v := range f.Body {
		if v.Op == ir.OpWeight {
			if i, ok := bound[boundKey(v)]; ok { // read in rings of several sizes
				w := &m.Weights[i-len(m.Inputs)]
				w.Bits = max(w.Bits, v.Type.Bits)
			} else {
				bound[boundKey(v)] = len(m.Inputs) + len(m.Weights)
				m.Weights = append(m.Weights, port(v, v.Type))
			}
		}
	}
	return m, bound
}

// columnCategories returns the values that columns of an input may only have.
func columnCategories(v *ir.Value) (out []plan.Category) {
	t := v.Attrs.Tensor("choices")
	if t == nil {
		return nil
	}
	for i := 0; i < len(t.I); i += 2 {
		if n := len(out); n == 0 || out[n-1].Column != int(t.I[i]) {
			out = append(out, plan.Category{Column: int(t.I[i])})
		}
		c := &out[len(out)-1]
		c.Values = append(c.Values, int(t.I[i+1]))
	}
	return out
}

// tableColumns returns the ranges of an input's columns and how they are scaled; nil if it has one range.
func tableColumns(v *ir.Value) []plan.Column {
	b := v.Attrs.Tensor("bounds")
	if b == nil {
		return nil
	}
	shift := v.Attrs.Ints("shift")
	out := make([]plan.Column, b.Shape[0])
	for k := range out {
		out[k] = plan.Column{Lo: b.At(2 * k), Hi: b.At(2*k + 1)}
		if shift != nil {
			out[k].Shift = shift[k]
		}
	}
	return out
}

// placeOf says where a value stands in the source, or what it is if that is not known.
func placeOf(v *ir.Value) string {
	if pos := v.Pos.String(); pos != "" {
		return pos
	}
	return string(v.Op)
}

func secretBits(v *ir.Value) int {
	if v.Type.Vis.IsPublic() || v.Type.Elem != ir.Ring {
		return 0
	}
	return v.Type.Bits
}
