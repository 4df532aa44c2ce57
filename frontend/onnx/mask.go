package onnx

import (
	"math"

	"smpcc/ir"
)

// Attention masks. Exporters write "this place does not count" as minus infinity, as the least float or as -1e9, which fixed point
// does not hold. Where such an element only ever ends in a softmax or a maximum, whatever lies far below all scores means the same.

// maskBound is the magnitude to which elements of masks are bounded. It must exceed all scores by more than exp needs to give zero.
const maskBound = 1 << 20

// boundMasks bounds the elements of constants and weights that are masks.
func (r *reader) boundMasks() {
	users := map[*ir.Value][]*ir.Value{}
	for _, v := range r.f.Body {
		for _, a := range v.Args {
			users[a] = append(users[a], v)
		}
	}
	ends := map[*ir.Value]bool{} // whether all that a value becomes ends there; users come after what they use
	for i := len(r.f.Body) - 1; i >= 0; i-- {
		v := r.f.Body[i]
		ok := len(users[v]) > 0
		for _, u := range users[v] {
			switch u.Op {
			case ir.OpSoftmax, ir.OpReduceMax, ir.OpMax, ir.OpArgMax:
			case ir.OpSelect:
				ok = ok && u.Args[0] != v && ends[u]
			case ir.OpAdd, ir.OpSub, ir.OpNeg, ir.OpMul, ir.OpReshape, ir.OpTranspose, ir.OpSlice, ir.OpGather, ir.OpExpand, ir.OpConcat, ir.OpCast, ir.OpFormat:
				ok = ok && ends[u]
			default:
				ok = false
			}
		}
		ends[v] = ok
		var t *ir.Tensor
		switch v.Op {
		case ir.OpConst:
			t = v.Attrs.Tensor("data")
		case ir.OpWeight:
			t = r.m.Weights[v.Attrs.Str("name")]
		}
		if !ok || t == nil || t.Elem != ir.Real {
			continue
		}
		var b *ir.Tensor
		for k, x := range t.F {
			if !(math.Abs(x) > maskBound) { // NaN is refused elsewhere
				continue
			}
			if b == nil {
				b = ir.Reals(t.Shape, append([]float64(nil), t.F...)...)
			}
			b.F[k] = math.Copysign(maskBound, x)
		}
		switch {
		case b == nil:
		case v.Op == ir.OpConst:
			v.Attrs = v.Attrs.With(ir.T("data", b))
		default:
			r.m.Weights[v.Attrs.Str("name")] = b
		}
	}
}
