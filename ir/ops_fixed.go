package ir

import (
	"fmt"
	"math"
	"slices"
)

// Fixed-level ops: they appear once values are ring elements. Format is their wish list before: quantise obeys and removes it.
const (
	OpFormat Op = "format"
	OpTrunc  Op = "trunc"
	OpShl    Op = "shl"
)

func init() {
	register(
		&Row{Op: OpFormat, Doc: "x rounded to frac fraction bits, which lies in lo..hi by construction; firm if the rounding is wanted itself, loose if the range is to be taken as no narrower.", Level: CoreOp, Args: 1, Range: rangeFormat,
			Attrs: []AttrSpec{{"frac", AttrInt, false}, {"lo", AttrFloat, false}, {"hi", AttrFloat, false}, {"firm", AttrInt, false}, {"loose", AttrInt, false}},
			Eval: func(v *Value, args []*Tensor) (*Tensor, error) {
				if !v.Attrs.Has("frac") {
					return args[0], nil
				}
				f := v.Attrs.Int("frac", 0)
				return each(v, args[0], func(x float64) float64 { return math.Ldexp(math.Round(math.Ldexp(x, f)), -f) }, nil)
			},
			Type: noForm(func(v *Value) (Type, error) {
				if f := v.Attrs.Int("frac", 0); f < 0 || f > 40 {
					return Type{}, fmt.Errorf("frac=%d, want 0..40", f)
				}
				if v.Args[0].Type.Elem == Int && !v.Attrs.Has("frac") { // the range of an integer
					return v.Args[0].Type, nil
				}
				return realOnly(v)
			})},
		&Row{Op: OpTrunc, Doc: "x / 2^drop rounded to floor or floor+1, in a ring of the stated width; drop 0 only widens.", Level: Fixed, Args: 1, Opens: opensWhole, Eval: evalTrunc, Attrs: append(slices.Clone(dropBits), AttrSpec{"firm", AttrInt, false}),
			Type: noForm(func(v *Value) (Type, error) {
				if v.Args[0].Type.Elem != Ring {
					return Type{}, fmt.Errorf("needs a ring value, got %v", v.Args[0].Type)
				}
				return dropping(v)
			})},
		&Row{Op: OpShl, Doc: "x * 2^by: the same number with more fraction bits.", Level: Fixed, Args: 1, Eval: evalShl, Attrs: []AttrSpec{{"by", AttrInt, true}}, Linear: true,
			Type: func(v *Value) (Type, error) {
				t, by := v.Args[0].Type, v.Attrs.Int("by", 0)
				if t.Elem != Ring || by < 0 || by > 63 {
					return Type{}, fmt.Errorf("by=%d does not fit %v", by, t)
				}
				t.Scale += by
				return t, nil
			}},
	)
}
