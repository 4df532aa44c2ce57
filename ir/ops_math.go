package ir

import "fmt"

// Arithmetic, comparison and logic.
const (
	OpAdd    Op = "add"
	OpSub    Op = "sub"
	OpNeg    Op = "neg"
	OpMul    Op = "mul"
	OpMatMul Op = "matmul"
	OpConv   Op = "conv"
	OpMax    Op = "max"
	OpMin    Op = "min"
	OpRelu   Op = "relu"
	OpLeaky  Op = "leaky_relu"
	OpClip   Op = "clip"
	OpAbs    Op = "abs"
	OpLt     Op = "lt"
	OpLe     Op = "le"
	OpGt     Op = "gt"
	OpGe     Op = "ge"
	OpEq     Op = "eq"
	OpNe     Op = "ne"
	OpLtz    Op = "ltz"
	OpEqz    Op = "eqz"
	OpNot    Op = "not"
	OpAnd    Op = "and"
	OpOr     Op = "or"
	OpXor    Op = "xor"
	OpSelect Op = "select"
	OpCast   Op = "cast"
)

// compare types an elementwise comparison.
func compare(v *Value) (Type, error) {
	t, err := broadcast(v)
	if err != nil {
		return t, err
	}
	return Type{Elem: Bool, Shape: t.Shape, Vis: t.Vis}, nil
}

// compareZero types a comparison with zero after dropping bits; the result is XOR-shared once its argument has a form.
func compareZero(v *Value) (Type, error) {
	t := v.Args[0].Type
	if t.Elem == Bool {
		return Type{}, fmt.Errorf("argument is bool, want numbers")
	}
	if d := v.Attrs.Int("drop", 0); d < 0 || d > 0 && (t.Elem != Ring || d >= t.Bits) {
		return Type{}, fmt.Errorf("drop=%d is out of range for %v", d, t)
	}
	u := Type{Elem: Bool, Shape: t.Shape, Vis: t.Vis}
	switch t.Form {
	case None:
	case Masked:
		u.Form = Xor
	default:
		return Type{}, fmt.Errorf("needs a masked wire, got %v", t.Form)
	}
	return u, nil
}

func logic(v *Value) (Type, error) {
	s := v.Args[0].Type.Shape
	for i, a := range v.Args {
		if a.Type.Elem != Bool {
			return Type{}, fmt.Errorf("argument %d is %v, want bool", i+1, a.Type.Elem)
		}
		var err error
		if s, err = BroadcastShape(s, a.Type.Shape); err != nil {
			return Type{}, err
		}
	}
	f, err := linearForm(v.Args)
	if err != nil {
		return Type{}, err
	}
	return Type{Elem: Bool, Shape: s, Vis: joinAll(v.Args), Form: f}, nil
}

// unary types an elementwise op that keeps everything.
func unary(v *Value) (Type, error) {
	if err := numeric(v); err != nil {
		return Type{}, err
	}
	return v.Args[0].Type, nil
}

func realOnly(v *Value) (Type, error) {
	if t := v.Args[0].Type; t.Elem != Real {
		return Type{}, fmt.Errorf("needs a real argument, got %v", t)
	}
	return v.Args[0].Type, nil
}

// noForm wraps a rule of an op that vanishes when forms are assigned.
func noForm(rule func(*Value) (Type, error)) func(*Value) (Type, error) {
	return func(v *Value) (Type, error) {
		for _, a := range v.Args {
			if a.Type.Form != None {
				return Type{}, fmt.Errorf("has no meaning on shares: argument is %v", a.Type)
			}
		}
		return rule(v)
	}
}

// dropBits are the attributes of ops that open their argument: drop bits below, n the width at which it is opened, bits the result's width. guard asks that
// it be checked to lie in its range, by so many bits more than check.
var dropBits = []AttrSpec{{"drop", AttrInt, false}, {"n", AttrInt, false}, {"bits", AttrInt, false}, {"guard", AttrInt, false}, {"check", AttrInt, false}}

func init() {
	// swap(op, args...) lowers a comparison to ltz/eqz of a difference, negated if not.
	diff := func(zero Op, swap, negate bool) func(*Builder, *Value) *Value {
		return func(b *Builder, v *Value) *Value {
			x, y := v.Args[0], v.Args[1]
			if swap {
				x, y = y, x
			}
			r := b.E(zero, nil, b.E(OpSub, nil, x, y))
			if negate {
				r = b.E(OpNot, nil, r)
			}
			return r
		}
	}
	register(
		&Row{Op: OpAdd, Doc: "Elementwise x + y, broadcasting.", Level: CoreOp, Args: 2, Range: monotone(func(_ *Value, x []float64) float64 { return x[0] + x[1] }), Scale: ScaleAligned, Eval: each2(plus[float64], plus[int64]), Type: broadcast, Linear: true},
		&Row{Op: OpSub, Doc: "Elementwise x - y, broadcasting.", Level: CoreOp, Args: 2, Range: rangeDiff, Scale: ScaleAligned, Eval: each2(minus[float64], minus[int64]), Type: broadcast, Linear: true},
		&Row{Op: OpNeg, Doc: "Elementwise -x.", Level: CoreOp, Args: 1, Range: rangeNegated, Scale: ScaleKept, Eval: evalNeg, Type: unary, Linear: true},
		&Row{Op: OpMul, Doc: "Elementwise x * y, broadcasting; scales add.", Level: CoreOp, Args: 2, Range: rangeProduct, Scale: ScaleSummed, Eval: each2(times[float64], times[int64]), Linear: true,
			Attrs: []AttrSpec{{"nx", AttrInt, false}, {"ny", AttrInt, false}, {"guard", AttrInt, false}, {"cx", AttrInt, false}, {"cy", AttrInt, false}}, // bits in which a factor is opened; 0 for the ring's; guard, cx and cy as guard and check of others
			Type: func(v *Value) (Type, error) {
				s, err := BroadcastShape(v.Args[0].Type.Shape, v.Args[1].Type.Shape)
				if err != nil {
					return Type{}, err
				}
				return product(v, s)
			}},
		&Row{Op: OpMatMul, Doc: "Matrix product over the last two dimensions; batch dimensions broadcast; scales add.", Level: CoreOp, Args: 2, Range: rangeMatMul, Scale: ScaleSummed, Eval: evalMatMul, Linear: true,
			Type: func(v *Value) (Type, error) {
				s, err := MatMulShape(v.Args[0].Type.Shape, v.Args[1].Type.Shape)
				if err != nil {
					return Type{}, err
				}
				return product(v, s)
			}},
		&Row{Op: OpConv, Doc: "2-D convolution of x [N,C,H,W] with w [O,C/group,KH,KW]; zero padding; scales add.", Level: CoreOp, Args: 2, Range: rangeConv, Scale: ScaleSummed, Eval: evalConv, Linear: true,
			Attrs: []AttrSpec{{"strides", AttrInts, false}, {"pads", AttrInts, false}, {"dilations", AttrInts, false}, {"group", AttrInt, false}},
			Type: func(v *Value) (Type, error) {
				g, err := ConvWindow(v)
				if err != nil {
					return Type{}, err
				}
				return product(v, Shape{g.N, g.OC, g.OH, g.OW})
			}},
		&Row{Op: OpMax, Doc: "Elementwise larger of x and y, broadcasting.", Level: CoreOp, Args: 2, Range: monotone(func(_ *Value, x []float64) float64 { return max(x[0], x[1]) }), Opens: opensDifference, Scale: ScaleAligned, Eval: each2(larger[float64], larger[int64]), Attrs: dropBits[1:],
			Type: noForm(func(v *Value) (Type, error) {
				t, err := broadcast(v)
				if err != nil || t.Elem != Ring {
					return t, err
				}
				t.Bits, err = bitsAttr(v)
				return t, err
			})},
		&Row{Op: OpMin, Doc: "Elementwise smaller of x and y, broadcasting.", Level: Composite, Args: 2, Eval: each2(smaller[float64], smaller[int64]), Type: noForm(broadcast),
			Lower: func(b *Builder, v *Value) *Value { // -max(-x, -y)
				return b.E(OpNeg, nil, b.E(OpMax, nil, b.E(OpNeg, nil, v.Args[0]), b.E(OpNeg, nil, v.Args[1])))
			}},
		&Row{Op: OpRelu, Doc: "Elementwise max(x / 2^drop, 0), in a ring of the stated width.", Level: CoreOp, Args: 1, Range: monotone(func(_ *Value, x []float64) float64 { return max(x[0], 0) }), Opens: opensSign, Eval: evalRelu, Attrs: dropBits, Type: noForm(dropping)},
		&Row{Op: OpLeaky, Doc: "Elementwise x if x > 0, alpha*x otherwise.", Level: Composite, Args: 1, Eval: evalLeaky, Attrs: []AttrSpec{{"alpha", AttrFloat, true}}, Type: noForm(realOnly),
			Lower: func(b *Builder, v *Value) *Value { // alpha*x + (1-alpha)*relu(x)
				a := v.Attrs.Float("alpha", 0)
				x := v.Args[0]
				return b.E(OpAdd, nil, b.E(OpMul, nil, x, b.Scalar(x, a)), b.E(OpMul, nil, b.E(OpRelu, nil, x), b.Scalar(x, 1-a)))
			}},
		&Row{Op: OpClip, Doc: "Elementwise min(max(x, lo), hi) with public bounds.", Level: Composite, Args: 1, Eval: evalClip,
			Attrs: []AttrSpec{{"lo", AttrFloat, false}, {"hi", AttrFloat, false}}, Type: noForm(unary),
			Lower: func(b *Builder, v *Value) *Value { // with both bounds: lo + relu(x-lo) - relu(x-hi), one comparison deep
				x := v.Args[0]
				lo, hasLo := v.Attrs.Get("lo")
				hi, hasHi := v.Attrs.Get("hi")
				stated := func(y *Value) *Value { return b.E(OpFormat, v.Attrs, y) } // sums of a relu forget what bounds the result
				above := func(t float64) *Value { return b.E(OpRelu, nil, b.E(OpSub, nil, x, b.Scalar(x, t))) }
				switch {
				case hasLo && hasHi && lo.Float >= hi.Float: // everything is hi
					return b.E(OpAdd, nil, b.E(OpSub, nil, x, x), b.Scalar(x, hi.Float))
				case hasLo && hasHi: // both thresholds in one tensor, so that one opening of x serves both
					s := x.Type.Shape
					two := append(Shape{2}, s...)
					at := make(Shape, len(two))
					for i := range at {
						at[i] = 1
					}
					at[0] = 2
					t := Reals(at, lo.Float, hi.Float)
					if x.Type.Elem == Int {
						t = Ints(at, int64(lo.Float), int64(hi.Float))
					}
					r := b.E(OpRelu, nil, b.E(OpSub, nil, b.E(OpExpand, Attrs{Dims("shape", two)}, x), b.Const(t)))
					half := func(i int) *Value { return b.E(OpReshape, Attrs{Dims("shape", s)}, axisSlice(b, r, 0, i, i+1, 1)) }
					return stated(b.E(OpAdd, nil, b.E(OpSub, nil, half(0), half(1)), b.Scalar(x, lo.Float)))
				case hasLo:
					return b.E(OpAdd, nil, above(lo.Float), b.Scalar(x, lo.Float))
				case hasHi:
					return stated(b.E(OpSub, nil, x, above(hi.Float)))
				}
				return x
			}},
		&Row{Op: OpAbs, Doc: "Elementwise |x|.", Level: Composite, Args: 1, Eval: evalAbs, Type: noForm(unary),
			Lower: func(b *Builder, v *Value) *Value { // max(x, -x)
				return b.E(OpMax, nil, v.Args[0], b.E(OpNeg, nil, v.Args[0]))
			}},

		&Row{Op: OpLt, Doc: "Elementwise x < y.", Level: Composite, Args: 2, Eval: evalCompare(isLess[float64], isLess[int64]), Type: noForm(compare), Lower: diff(OpLtz, false, false)},
		&Row{Op: OpLe, Doc: "Elementwise x <= y.", Level: Composite, Args: 2, Eval: evalCompare(atMost[float64], atMost[int64]), Type: noForm(compare), Lower: diff(OpLtz, true, true)},
		&Row{Op: OpGt, Doc: "Elementwise x > y.", Level: Composite, Args: 2, Eval: evalCompare(isMore[float64], isMore[int64]), Type: noForm(compare), Lower: diff(OpLtz, true, false)},
		&Row{Op: OpGe, Doc: "Elementwise x >= y.", Level: Composite, Args: 2, Eval: evalCompare(atLeast[float64], atLeast[int64]), Type: noForm(compare), Lower: diff(OpLtz, false, true)},
		&Row{Op: OpEq, Doc: "Elementwise x == y.", Level: Composite, Args: 2, Eval: evalCompare(isSame[float64], isSame[int64]), Type: noForm(compare), Lower: diff(OpEqz, false, false)},
		&Row{Op: OpNe, Doc: "Elementwise x != y.", Level: Composite, Args: 2, Eval: evalCompare(isOther[float64], isOther[int64]), Type: noForm(compare), Lower: diff(OpEqz, false, true)},
		&Row{Op: OpLtz, Doc: "Elementwise x / 2^drop < 0: the sign bit.", Level: CoreOp, Args: 1, Opens: opensSign, Eval: evalLtz, Attrs: []AttrSpec{{"drop", AttrInt, false}, {"n", AttrInt, false}, {"by", AttrString, false}, {"guard", AttrInt, false}, {"check", AttrInt, false}}, Type: compareZero},
		&Row{Op: OpEqz, Doc: "Elementwise x == 0.", Level: CoreOp, Args: 1, Opens: opensSign, Eval: evalEqz, Attrs: []AttrSpec{{"n", AttrInt, false}, {"by", AttrString, false}, {"guard", AttrInt, false}, {"check", AttrInt, false}}, Type: compareZero},
		&Row{Op: OpNot, Doc: "Elementwise logical negation.", Level: CoreOp, Args: 1, Eval: evalNot, Type: logic, Linear: true},
		&Row{Op: OpXor, Doc: "Elementwise exclusive or, broadcasting.", Level: CoreOp, Args: 2, Eval: each2(nil, exclusiveBit), Type: logic, Linear: true},
		&Row{Op: OpAnd, Doc: "Elementwise logical and, broadcasting.", Level: CoreOp, Args: 2, Eval: each2(nil, bothBits),
			Type: func(v *Value) (Type, error) {
				t, err := logic(v)
				if t.Form == MaskedBit { // two masked bits give an XOR-shared product
					t.Form = Xor
				}
				return t, err
			}},
		&Row{Op: OpOr, Doc: "Elementwise logical or, broadcasting.", Level: Composite, Args: 2, Eval: each2(nil, eitherBit), Type: noForm(logic),
			Lower: func(b *Builder, v *Value) *Value { // not(not x and not y)
				return b.E(OpNot, nil, b.E(OpAnd, nil, b.E(OpNot, nil, v.Args[0]), b.E(OpNot, nil, v.Args[1])))
			}},
		&Row{Op: OpSelect, Doc: "Elementwise c ? x : y, broadcasting, in a ring of the stated width.", Level: CoreOp, Args: 3, Range: hullFrom(1), Scale: ScaleAligned, Eval: evalSelect, Attrs: []AttrSpec{{"bits", AttrInt, false}},
			Lower: func(b *Builder, v *Value) *Value { // of bits: c*(x XOR y) XOR y
				c, x, y := v.Args[0], v.Args[1], v.Args[2]
				return b.E(OpXor, nil, b.E(OpAnd, nil, c, b.E(OpXor, nil, x, y)), y)
			},
			Type: noForm(func(v *Value) (Type, error) {
				c, xy := v.Args[0].Type, v.Args[1:]
				if c.Elem != Bool {
					return Type{}, fmt.Errorf("condition is %v, want bool", c.Elem)
				}
				if err := sameElem(xy); err != nil {
					return Type{}, err
				}
				s, err := BroadcastShape(xy[0].Type.Shape, xy[1].Type.Shape)
				if err == nil {
					s, err = BroadcastShape(s, c.Shape)
				}
				if err != nil {
					return Type{}, err
				}
				t := Type{Elem: xy[0].Type.Elem, Scale: xy[0].Type.Scale, Shape: s, Vis: joinAll(v.Args)}
				if t.Elem == Ring {
					t.Bits, err = bitsAttr(v)
				}
				return t, err
			})},
		&Row{Op: OpCast, Doc: "Convert elements: int to real, real to int towards zero, bool to int or real (in a ring of the stated width).", Level: CoreOp, Args: 1, Range: monotone(castWhole), Eval: evalCast,
			Attrs: []AttrSpec{{"to", AttrString, true}, {"bits", AttrInt, false}},
			Type: noForm(func(v *Value) (Type, error) {
				t := v.Args[0].Type
				to := v.Attrs.Str("to")
				if to == "ring" && t.Elem == Bool { // the quantised form of bool to number
					b, err := bitsAttr(v)
					return Type{Elem: Ring, Bits: b, Shape: t.Shape, Vis: t.Vis}, err
				}
				e, ok := elemByName[to]
				if !ok {
					return Type{}, fmt.Errorf("to=%q, want real, int or bool", to)
				}
				if t.Elem == Ring || e == Bool {
					if !(t.Elem == e) {
						return Type{}, fmt.Errorf("no conversion of %v to %s", t.Elem, to)
					}
				}
				t.Elem = e
				return t, nil
			})},
	)
}
