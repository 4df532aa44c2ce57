package passes

import "smpcc/ir"

// visibility derives the visibility of every value anew from inputs and weights. Code is straight-line, so that one walk
// in order reaches the fixpoint. It also gives the verifier, which recomputes types, something it must agree with.
func visibility(m *ir.Module, _ *Options) error {
	return rebuild(m, func(nf *ir.Func, v *ir.Value, args []*ir.Value) (*ir.Value, error) {
		return nf.Emit(v.Pos, v.Op, v.Attrs, args...)
	})
}
