package onnx

import (
	"fmt"
	"math"

	"smpcc/ir"
	"smpcc/ir/diag"
)

// Values that are known while reading: constants to everybody, functions of weights to the weights' owner.

// maxKnown bounds how many operations deep a function of weights may be for it to be evaluated while reading.
const maxKnown = 64

// depthOf returns how many operations lie between v and the weights and constants it derives from; false if it derives
// from an input.
func (r *reader) depthOf(v *ir.Value) (int, bool) {
	if v.Op == ir.OpConst || v.Op == ir.OpWeight {
		return 0, true
	}
	d, ok := r.known[v]
	return d, ok
}

// note records whether a new value derives from weights and constants alone.
func (r *reader) note(v *ir.Value) {
	deepest := 0
	for _, a := range v.Args {
		d, ok := r.depthOf(a)
		if !ok || d >= maxKnown {
			return
		}
		deepest = max(deepest, d)
	}
	if len(v.Args) > 0 {
		r.known[v] = deepest + 1
	}
}

// evaluate returns the data of a value that derives from weights and constants, nil if it does not.
func (r *reader) evaluate(v *ir.Value) (*ir.Tensor, error) {
	switch v.Op {
	case ir.OpConst:
		return v.Attrs.Tensor("data"), nil
	case ir.OpWeight:
		return r.m.Weights[v.Attrs.Str("name")], nil
	}
	if _, ok := r.known[v]; !ok {
		return nil, nil
	}
	if t := r.computed[v]; t != nil {
		return t, nil
	}
	args := make([]*ir.Tensor, len(v.Args))
	for i, a := range v.Args {
		var err error
		if args[i], err = r.evaluate(a); err != nil || args[i] == nil {
			return nil, err
		}
	}
	if err := r.left.fold(v); err != nil {
		return nil, err
	}
	t, err := ir.Rows[v.Op].Eval(v, args)
	if err == nil {
		r.computed[v] = t
	}
	return t, err
}

// fixed returns the data of input i if it derives from weights and constants alone, nil if not.
func (n *node) fixed(i int) (*ir.Tensor, error) { return n.r.evaluate(n.in(i)) }

// derived returns fn of every element of v, whose data is t: a constant, or a new weight of the same owner. v is input i.
func (n *node) derived(i int, v *ir.Value, t *ir.Tensor, fn func(float64) float64) (*ir.Value, error) {
	if err := n.r.left.take(volume(t.Shape), volume(t.Shape)); err != nil {
		return nil, err
	}
	out := ir.NewTensor(t.Elem, t.Shape)
	for j := range t.Len() {
		y := fn(t.At(j))
		if math.IsNaN(y) || math.IsInf(y, 0) {
			return nil, fmt.Errorf("element %d of input %d has no finite result", j, i+1)
		}
		if t.Elem != ir.Real {
			if !(math.Abs(y) < 1<<53) {
				return nil, fmt.Errorf("element %d of input %d is too large an integer", j, i+1)
			}
			out.I[j] = int64(y)
			continue
		}
		out.F[j] = y
	}
	if v.Type.Vis.IsPublic() {
		return n.constant(out)
	}
	owners := v.Type.Vis.Owners()
	if len(owners) != 1 {
		return nil, diag.Errorf(n.at, "input %d derives from weights of several owners, so nobody can compute %s of it before the run", i+1, n.p.GetOpType())
	}
	base := n.p.GetOpType()
	if v.Op == ir.OpWeight {
		base = v.Attrs.Str("name") + "." + base
	} else if len(n.p.Output) > 0 && n.p.Output[0] != "" {
		base = n.p.Output[0] + "." + base
	}
	return n.r.weight(n.at, base, owners[0], out)
}

// weight emits a weight under a name that is not taken.
func (r *reader) weight(pos diag.Pos, name, owner string, t *ir.Tensor) (*ir.Value, error) {
	free := func(name string) bool {
		own := r.inits[name] // never the name of an initialiser still to come
		return r.m.Weights[name] == nil && (own == nil || own == t)
	}
	for base, k := name, max(2, r.copies[name]); !free(name); k++ {
		name = fmt.Sprintf("%s.%d", base, k)
		r.copies[base] = k
	}
	v, err := r.f.Emit(pos, ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", owner), ir.S("elem", t.Elem.String()), ir.Dims("shape", t.Shape)})
	if err == nil {
		r.m.Weights[name] = t
	}
	return v, err
}

// sweep drops weights and constants that nothing uses, such as those that were folded away, and refuses weights without a
// finite value: fixed point cannot hold them.
func (r *reader) sweep() {
	uses := r.f.Uses()
	for _, v := range r.f.Body {
		if v.Op == ir.OpFormat && uses[v] == 0 {
			uses[v.Args[0]]--
		}
	}
	body := r.f.Body[:0]
	for _, v := range r.f.Body {
		if (v.Op == ir.OpWeight || v.Op == ir.OpConst || v.Op == ir.OpFormat) && uses[v] == 0 {
			delete(r.m.Weights, v.Attrs.Str("name"))
			continue
		}
		if v.Op == ir.OpWeight {
			for i, x := range r.m.Weights[v.Attrs.Str("name")].F {
				if math.IsNaN(x) || math.IsInf(x, 0) {
					r.errs.Add(v.Pos, diag.Errorf(v.Pos, "element %d is not a finite number", i).WithHint("check the training of the model, or export it again"))
					break
				}
			}
		}
		body = append(body, v)
	}
	r.f.Body = body
	r.f.Renumber()
}
