package ir

import "fmt"

// Leaves and results.
const (
	OpInput  Op = "input"
	OpWeight Op = "weight"
	OpConst  Op = "const"
	OpReveal Op = "reveal"
)

var elemByName = map[string]Elem{"real": Real, "int": Int, "bool": Bool}

// boundType types inputs and weights: a declared element until quantised, then a ring value.
func boundType(v *Value) (Type, error) {
	e, ok := elemByName[v.Attrs.Str("elem")]
	if !ok {
		return Type{}, fmt.Errorf("elem=%q, want real, int or bool", v.Attrs.Str("elem"))
	}
	if v.Attrs.Str("name") == "" || v.Attrs.Str("owner") == "" {
		return Type{}, fmt.Errorf("name and owner must not be empty")
	}
	t := Type{Elem: e, Shape: Shape(v.Attrs.Ints("shape")), Vis: Private(v.Attrs.Str("owner"))}
	if t.Shape == nil {
		t.Shape = Shape{}
	}
	if v.Attrs.Has("scale") {
		b, err := bitsAttr(v)
		if err != nil {
			return Type{}, err
		}
		t.Elem, t.Scale, t.Bits = Ring, v.Attrs.Int("scale", 0), b
	}
	if f := v.Attrs.Str("form"); f != "" {
		switch f {
		case "additive":
			t.Form = Additive
		case "masked":
			t.Form = Masked
		case "xor":
			t.Form = Xor
		default:
			return Type{}, fmt.Errorf("form=%q, want additive, masked or xor", f)
		}
	}
	return t, nil
}

var boundAttrs = []AttrSpec{
	{"name", AttrString, true}, {"owner", AttrString, true}, {"elem", AttrString, true}, {"shape", AttrInts, true},
	{"lo", AttrFloat, false}, {"hi", AttrFloat, false},
	{"scale", AttrInt, false}, {"bits", AttrInt, false}, {"form", AttrString, false},
}

func init() {
	register(
		&Row{Op: OpInput, Doc: "A private input, bound when the plan runs; lo and hi are its declared range.", Attrs: boundAttrs, Type: boundType},
		&Row{Op: OpWeight, Doc: "A model weight, known to its owner before any session; its data is in no plan.", Attrs: boundAttrs, Type: boundType},
		&Row{Op: OpConst, Doc: "A public constant.",
			Attrs: []AttrSpec{{"data", AttrTensor, true}, {"scale", AttrInt, false}},
			Type: func(v *Value) (Type, error) {
				d := v.Attrs.Tensor("data")
				if err := d.Check(); err != nil {
					return Type{}, err
				}
				t := Type{Elem: d.Elem, Shape: d.Shape}
				if d.Elem == Ring {
					t.Bits, t.Scale = widest, v.Attrs.Int("scale", 0)
				}
				return t, nil
			}},
		&Row{Op: OpReveal, Doc: "Give x to the named receivers under a name; the only op that lowers visibility.", Args: 1,
			Attrs: []AttrSpec{{"name", AttrString, true}, {"to", AttrStrings, true}},
			Type: func(v *Value) (Type, error) {
				if v.Attrs.Str("name") == "" || len(v.Attrs.Strings("to")) == 0 {
					return Type{}, fmt.Errorf("reveal needs a name and at least one receiver")
				}
				t := v.Args[0].Type
				t.Vis, t.Form = Private(v.Attrs.Strings("to")...), None
				return t, nil
			}},
	)
}
