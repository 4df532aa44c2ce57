package smpcc

import (
	"fmt"
	"maps"
	"math"
	"strings"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// What an owner's data is before it is a plan's numbers: text becomes the codes of a plan's words, elements that are missing become a place that is
// marked in an input of its own, and reals that the model quantises first become the integers that stand for them.

// Present returns data as a plan's inputs hold it: text as codes, and in the place of each element that is missing, which is NaN, a number that does
// not count, with the booleans that mark them under the name that the plan gives those. Text that the plan does not know has the code -1 where its
// operators say what becomes of it, and is refused elsewhere. Reals become integers where the plan has a step for them. Inputs of which there is no data stay without; the given tensors are not changed.
func Present(p *plan.Plan, data map[string]*ir.Tensor) (map[string]*ir.Tensor, error) {
	return present(p.Manifest.Inputs, data)
}

// PresentInputs is Present for the inputs of a graph-level module, before there is a plan.
func PresentInputs(m *ir.Module, data map[string]*ir.Tensor) (map[string]*ir.Tensor, error) {
	out, err := presentSamples(m, []map[string]*ir.Tensor{data})
	if err != nil {
		return nil, err
	}
	return out[0], nil
}

// presentSamples is Present for samples of a module's inputs, before there is a plan.
func presentSamples(m *ir.Module, samples []map[string]*ir.Tensor) ([]map[string]*ir.Tensor, error) {
	var ports []plan.Port
	for _, v := range m.Main().Body {
		if v.Op != ir.OpInput || !v.Attrs.Has("words") && !v.Attrs.Has("missing") && !v.Attrs.Has("step") {
			continue
		}
		r, _, ok := ir.Declared(v)
		if !ok {
			r.Lo, r.Hi = math.Inf(-1), math.Inf(1)
		}
		ports = append(ports, plan.Port{Name: v.Attrs.Str("name"), Elem: v.Attrs.Str("elem"), Shape: v.Type.Shape, Lo: r.Lo, Hi: r.Hi,
			Words: v.Attrs.Strings("words"), Missing: v.Attrs.Str("missing"), Given: v.Attrs.Ints("given"), Step: v.Attrs.Float("step", 0)})
	}
	out := make([]map[string]*ir.Tensor, len(samples))
	for i, s := range samples {
		var err error
		if out[i], err = present(ports, s); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func present(ports []plan.Port, data map[string]*ir.Tensor) (map[string]*ir.Tensor, error) {
	out := maps.Clone(data)
	for i := range ports {
		p := &ports[i]
		t := out[p.Name]
		if t == nil {
			continue
		}
		var err error
		switch {
		case len(p.Words) > 0 && t.Words != nil:
			if out[p.Name], err = coded(p, t); err != nil {
				return nil, err
			}
		case p.Step != 0:
			if out[p.Name], err = stepped(p, t); err != nil {
				return nil, err
			}
		case p.Missing != "" && out[p.Missing] == nil && t.Elem == ir.Real:
			if out[p.Name], out[p.Missing], err = marked(p, t); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

// listed bounds the words that a message names.
const listed = 8

// coded returns the codes of text.
func coded(p *plan.Port, t *ir.Tensor) (*ir.Tensor, error) {
	codes := make([]int64, len(t.Words))
	for k, w := range t.Words {
		c, ok := p.Code(w)
		if codes[k] = int64(c); !ok {
			codes[k] = -2
		}
	}
	out := ir.NewTensor(ir.Int, t.Shape)
	for i, k := range t.I {
		if out.I[i] = codes[k]; codes[k] == -2 {
			some := fmt.Sprintf("%q", p.Words[:min(len(p.Words), listed)])
			if len(p.Words) > listed {
				some = fmt.Sprintf("%s and %d more", strings.TrimSuffix(some, "]"), len(p.Words)-listed) + "]"
			}
			return nil, diag.Errorf(diag.Pos{}, "%q: element %d is text that the model does not know, and its operators say nothing of such", p.Name, i).
				WithHint("it knows %s; export the model so that unknown categories are ignored (OneHotEncoder with zeros=1)", some)
		}
	}
	return out, nil
}

// stepped returns reals as the integers that stand for them.
func stepped(p *plan.Port, t *ir.Tensor) (*ir.Tensor, error) {
	if t.Words != nil || t.Elem == ir.Bool {
		return nil, diag.Errorf(diag.Pos{}, "%q: data is text or bits, the model wants reals", p.Name)
	}
	out := ir.NewTensor(ir.Int, t.Shape)
	for i := range out.I {
		q, ok := p.Quantised(t.At(i))
		if out.I[i] = q; !ok {
			return nil, diag.Errorf(diag.Pos{}, "%q: element %d is not a number", p.Name, i)
		}
	}
	return out, nil
}

// marked returns t with numbers in the places of its missing elements, and which these are.
func marked(p *plan.Port, t *ir.Tensor) (filled, missing *ir.Tensor, err error) {
	filled, missing = ir.NewTensor(ir.Real, t.Shape), ir.NewTensor(ir.Bool, t.Shape)
	for i, x := range t.F {
		if filled.F[i] = x; !math.IsNaN(x) {
			continue
		}
		if !p.MayMiss(i) {
			return nil, nil, diag.Errorf(diag.Pos{}, "%q: element %d is missing, and the model reads its column as it is", p.Name, i).
				WithHint("columns that go through an Imputer may have missing elements; impute this one before the model")
		}
		filled.F[i], missing.I[i] = p.Stand(i), 1
	}
	return filled, missing, nil
}
