package ir

import "fmt"

// Share-level ops: what the masked-wire protocols do with shares. Openings are the only communication.
const (
	OpOpen    Op = "open"
	OpOpenBit Op = "openbit"
	OpUnmask  Op = "unmask"
	OpFinish  Op = "finish"
	OpReluSel Op = "relusel"
	OpReluKey Op = "relukey"
	OpMulBit  Op = "mulbit"
	OpB2A     Op = "b2a"
	OpWireMul Op = "wiremul"
	OpWraps   Op = "wraps"
	OpExtend  Op = "extend"
	OpLow     Op = "low"
	OpIntact  Op = "intact"
)

func wantForm(v *Value, i int, f Form) error {
	if v.Args[i].Type.Form != f {
		return fmt.Errorf("argument %d is %v, want %v", i+1, v.Args[i].Type, f)
	}
	return nil
}

// masked2additive types ops that take a masked wire to additive shares of the stated width.
func masked2additive(v *Value) (Type, error) {
	if err := wantForm(v, 0, Masked); err != nil {
		return Type{}, err
	}
	b, err := bitsAttr(v)
	t := v.Args[0].Type
	t.Bits, t.Form = b, Additive
	return t, err
}

func selectByBit(v *Value) (Type, error) {
	t, err := masked2additive(v)
	if err != nil {
		return t, err
	}
	if err := wantForm(v, 1, MaskedBit); err != nil {
		return Type{}, err
	}
	t.Shape, err = BroadcastShape(t.Shape, v.Args[1].Type.Shape)
	t.Vis = joinAll(v.Args)
	return t, err
}

func init() {
	bits := []AttrSpec{{"bits", AttrInt, true}}
	register(
		&Row{Op: OpOpen, Doc: "Open m = x/2^drop + r mod 2^bits: additive shares become a masked wire; one opening.", Level: Share, Args: 1, Eval: evalTrunc,
			Attrs: []AttrSpec{{"drop", AttrInt, true}, {"bits", AttrInt, true}},
			Type: func(v *Value) (Type, error) {
				if err := wantForm(v, 0, Additive); err != nil {
					return Type{}, err
				}
				t := v.Args[0].Type
				d := v.Attrs.Int("drop", 0)
				b, err := bitsAttr(v)
				if err != nil {
					return Type{}, err
				}
				if d < 0 || b+d > t.Bits {
					return Type{}, fmt.Errorf("cannot open %d bits above the lowest %d of %v", b, d, t)
				}
				t.Bits, t.Form = b, Masked
				t.Scale -= d
				return t, nil
			}},
		&Row{Op: OpOpenBit, Doc: "Open delta = b XOR s; one opening of one bit.", Level: Share, Args: 1, Eval: same,
			Type: func(v *Value) (Type, error) {
				t := v.Args[0].Type
				t.Form = MaskedBit
				return t, wantForm(v, 0, Xor)
			}},
		&Row{Op: OpUnmask, Doc: "Additive shares of a masked wire in its own ring or a smaller one.", Level: Share, Args: 1, Eval: same, Attrs: bits,
			Type: func(v *Value) (Type, error) {
				t, err := masked2additive(v)
				if err == nil && t.Bits > v.Args[0].Type.Bits {
					return t, fmt.Errorf("cannot widen %v to %d bits", v.Args[0].Type, t.Bits)
				}
				return t, err
			}},
		&Row{Op: OpFinish, Doc: "Additive shares of a masked wire with |x| < 2^(width-2) in any ring: the end of TruncOpen.", Level: Share, Args: 1, Eval: same, Attrs: bits, Type: masked2additive},
		&Row{Op: OpReluSel, Doc: "delta-selected max(x, 0) of a masked wire, in any ring: the end of ReLU.", Level: Share, Args: 2, Eval: each2(nil, times[int64]), Attrs: bits, Type: selectByBit},
		&Row{Op: OpReluKey, Doc: "max(x, 0) of a masked wire, in any ring, by keys of distributed comparison functions: no opening.", Level: Share, Args: 1, Eval: evalRelu, Attrs: bits, Type: masked2additive},
		&Row{Op: OpMulBit, Doc: "b * x from a masked wire and an opened masked bit, in the wire's ring or a smaller one.", Level: Share, Args: 2, Eval: each2(nil, times[int64]), Attrs: bits,
			Type: func(v *Value) (Type, error) {
				t, err := selectByBit(v)
				if err == nil && t.Bits > v.Args[0].Type.Bits {
					return t, fmt.Errorf("cannot widen %v to %d bits", v.Args[0].Type, t.Bits)
				}
				return t, err
			}},
		&Row{Op: OpWireMul, Doc: "x * y from masked wires of one shape, in any ring: no opening in the ring's width. A wire narrower than the ring holds |x| < 2^(width-2).", Level: Share, Args: 2, Eval: each2(times[float64], times[int64]), Attrs: bits,
			Type: func(v *Value) (Type, error) {
				if err := wantForm(v, 1, Masked); err != nil {
					return Type{}, err
				}
				t, err := masked2additive(v)
				x, y := v.Args[0].Type, v.Args[1].Type
				if err == nil && !x.Shape.Equal(y.Shape) {
					err = fmt.Errorf("shapes %v and %v differ", x.Shape, y.Shape)
				}
				t.Scale, t.Vis = x.Scale+y.Scale, joinAll(v.Args)
				return t, err
			}},
		&Row{Op: OpWraps, Doc: "Open delta = c XOR s, c = 1 if x + r wraps in the ring of a masked wire m = x + r: a comparison of all its bits, and one opening of one bit. It tells of r: extend alone takes it.", Level: Share, Args: 1,
			Attrs: []AttrSpec{{"by", AttrString, false}},
			Eval:  func(v *Value, args []*Tensor) (*Tensor, error) { return NewTensor(Bool, v.Type.Shape), nil },
			Type: func(v *Value) (Type, error) {
				t := v.Args[0].Type
				return Type{Elem: Bool, Shape: t.Shape, Vis: t.Vis, Form: MaskedBit}, wantForm(v, 0, Masked)
			}},
		&Row{Op: OpExtend, Doc: "Additive shares, in any ring, of a masked wire whose words are 0..2^width-1, by whether it wraps.", Level: Share, Args: 2, Attrs: bits,
			Eval: func(v *Value, args []*Tensor) (*Tensor, error) { return args[0], nil },
			Type: func(v *Value) (Type, error) {
				if len(v.Args) == 2 && (v.Args[1].Op != OpWraps || v.Args[1].Args[0] != v.Args[0]) {
					return Type{}, fmt.Errorf("the bit is not whether the first argument wraps")
				}
				return masked2additive(v)
			}},
		&Row{Op: OpLow, Doc: "The lowest bits of a masked wire, as a wire of their own: no opening.", Level: Share, Args: 1, Eval: same, Attrs: bits,
			Type: func(v *Value) (Type, error) {
				b, err := bitsAttr(v)
				t := v.Args[0].Type
				if t.Bits < b && err == nil {
					err = fmt.Errorf("%v has no %d bits", t, b)
				}
				t.Bits = b
				if err == nil {
					err = wantForm(v, 0, Masked)
				}
				return t, err
			}},
		&Row{Op: OpIntact, Doc: "Whether no element of masked wires, w bits wide, is beyond 2^(w-3): 1 if all are within 2^(w-4), 0 if one is from 2^(w-3) to 2^w - 2^(w-3); between them by chance. Three rounds with the opening of the bit.", Level: Share, Args: 1, Var: true, Eval: evalIntact,
			Type: func(v *Value) (Type, error) {
				for i := range v.Args {
					if err := wantForm(v, i, Masked); err != nil {
						return Type{}, err
					}
					if b := v.Args[i].Type.Bits; b < 4 {
						return Type{}, fmt.Errorf("a range within %d bits", b)
					}
				}
				return Type{Elem: Bool, Shape: Shape{}, Vis: joinAll(v.Args), Form: Xor}, nil
			}},
		&Row{Op: OpB2A, Doc: "Additive shares of an opened masked bit.", Level: Share, Args: 1, Eval: same, Attrs: bits,
			Type: func(v *Value) (Type, error) {
				b, err := bitsAttr(v)
				if err != nil {
					return Type{}, err
				}
				t := v.Args[0].Type
				return Type{Elem: Ring, Bits: b, Shape: t.Shape, Vis: t.Vis, Form: Additive}, wantForm(v, 0, MaskedBit)
			}},
	)
}

// evalIntact is the meaning of intact where values are as large as they are: nothing has wrapped.
func evalIntact(v *Value, args []*Tensor) (*Tensor, error) {
	out := NewTensor(Bool, Shape{})
	out.I[0] = 1
	for i, a := range args {
		most := int64(1) << (v.Args[i].Type.Bits - 4)
		for _, x := range a.I {
			if x < -most || x > most {
				out.I[0] = 0
			}
		}
	}
	return out, nil
}
