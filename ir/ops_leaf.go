package ir

import (
	"fmt"
	"math"
	mathbits "math/bits"
	"slices"
)

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
	if err := checkPlaces(v, e); err != nil {
		return Type{}, err
	}
	t := Type{Elem: e, Shape: Shape(v.Attrs.Ints("shape")), Vis: Private(v.Attrs.Str("owner"))}
	if v.Attrs.Int("guest", 0) != 0 { // nobody holds it
		t.Vis = Secret(v.Attrs.Str("owner"))
	}
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

// MaxPlaces is the number of decimal places that integers may have at most: places says that they count units of 10^-places.
const MaxPlaces = 12

// checkPlaces checks what is said of decimal places.
func checkPlaces(v *Value, e Elem) error {
	if n := v.Attrs.Int("places", 0); n < 0 || n > MaxPlaces || n > 0 && e != Int {
		return fmt.Errorf("places=%d of %v, want 0 to %d of integers", n, e, MaxPlaces)
	}
	return nil
}

var boundAttrs = []AttrSpec{
	{"name", AttrString, true}, {"owner", AttrString, true}, {"elem", AttrString, true}, {"shape", AttrInts, true},
	{"lo", AttrFloat, false}, {"hi", AttrFloat, false},
	{"scale", AttrInt, false}, {"bits", AttrInt, false}, {"form", AttrString, false}, {"places", AttrInt, false},
}

// OfGuest reports whether a value is the input of a guest: an owner that computes nothing, so that no party holds it.
func OfGuest(v *Value) bool { return v.Op == OpInput && v.Attrs.Int("guest", 0) != 0 }

// Guest returns the attributes of an input, with what says that its owner is a guest if it is one.
func (a Attrs) Guest(is bool) Attrs {
	if !is {
		return a
	}
	return a.With(I("guest", 1))
}

// GuestWords returns, for a quantised input of a guest, what the word 0 stands for at each column, or at all elements, and the bits of the smallest
// ring that holds every word of its declared ranges. It fails if what the words of that ring stand for goes beyond the range that is relied on.
func GuestWords(v *Value) (least *Tensor, bits int, err error) {
	list, scale := []Range{}, v.Type.Scale
	if b := v.Attrs.Tensor("bounds"); b != nil && !v.Attrs.Has("columns") {
		shift := v.Attrs.Ints("shift")
		for k := range b.Shape[0] {
			r := Range{Lo: b.At(2 * k), Hi: b.At(2*k + 1), Origin: Proved}
			if shift != nil {
				r.Lo, r.Hi = math.Ldexp(r.Lo, -shift[k]), math.Ldexp(r.Hi, -shift[k])
			}
			list = append(list, r)
		}
	} else if r, _, ok := AsDeclared(v); ok {
		list = append(list, r)
	} else {
		return nil, 0, fmt.Errorf("has no declared range")
	}
	least = NewTensor(Ring, Shape{len(list)})
	span := 0.0
	for k, r := range list {
		lo, hi := math.Round(math.Ldexp(r.Lo, scale)), math.Round(math.Ldexp(r.Hi, scale))
		if !(hi > lo) || hi-lo >= 1<<61 || math.Abs(lo) >= 1<<61 {
			return nil, 0, fmt.Errorf("has the range %g..%g, which with %d fraction bits is one number, or too many", r.Lo, r.Hi, scale)
		}
		least.I[k], span = int64(lo), max(span, hi-lo)
	}
	bits = mathbits.Len64(uint64(span))
	for k, r := range Given(v, list) {
		if most := math.Ldexp(float64(least.I[k])+math.Ldexp(1, bits)-1, -scale); most > r.Hi+math.Ldexp(0.5, -scale) {
			return nil, 0, fmt.Errorf("has a ring of %d bits, whose words reach %g, and %g is relied on: with %d fraction bits the range %g..%g has no ends of its own", bits, most, r.Hi, scale, list[k].Lo, list[k].Hi)
		}
	}
	return least, bits, nil
}

// Given returns the ranges of what a guest may give for columns of declared ranges, all as they are bound: the words of one ring, which the widest of them needs.
func Given(v *Value, list []Range) []Range {
	if !OfGuest(v) {
		return list
	}
	span, out := 0.0, make([]Range, len(list))
	for _, r := range list {
		span = max(span, r.Hi-r.Lo)
	}
	for k, r := range list {
		out[k] = Range{Lo: r.Lo, Hi: r.Lo + 2*span, Origin: r.Origin}
	}
	return out
}

// beyond returns the range of what a guest may give where lo..hi is declared: any words of the smallest ring that holds the declared ones.
func beyond(lo, hi float64) Range { return Range{Lo: lo, Hi: lo + 2*(hi-lo), Origin: Proved} }

// inputAttrs are those of every leaf and what is said of the columns of a table, which lie along its last axis. As declared, columns lists some
// of them and bounds their ranges, [len(columns),2]. From the pass columns on, bounds is [K,2], the range of each; shift d says that column k
// is bound as x_k * 2^-d_k; origin is where the least certain of the ranges comes from, proved if it is not there.
// An input of text is one of integers: words lists what 0, 1, ... stand for, and -1 stands for any other text. missing names the input of booleans
// that says which elements are not there, and given lists the columns whose elements always are. With step an integer k stands for the real
// k*step, and the owner gives round(x/step), halves to even, within the range. choices lists columns and the values that they may have, [n,2], for columns that may not have others.
var inputAttrs = append(slices.Clone(boundAttrs), AttrSpec{"columns", AttrInts, false}, AttrSpec{"bounds", AttrTensor, false}, AttrSpec{"shift", AttrInts, false},
	AttrSpec{"guest", AttrInt, false}, AttrSpec{"origin", AttrString, false}, AttrSpec{"type", AttrString, false},
	AttrSpec{"words", AttrStrings, false}, AttrSpec{"missing", AttrString, false}, AttrSpec{"given", AttrInts, false},
	AttrSpec{"step", AttrFloat, false}, AttrSpec{"choices", AttrTensor, false})

// wholeTypes are the integer types of fewer than 64 bits that the data of an input may have, with what they hold.
var wholeTypes = map[string]Range{
	"int8": {Lo: -1 << 7, Hi: 1<<7 - 1, Origin: Proved}, "int16": {Lo: -1 << 15, Hi: 1<<15 - 1, Origin: Proved}, "int32": {Lo: -1 << 31, Hi: 1<<31 - 1, Origin: Proved},
	"uint8": {Lo: 0, Hi: 1<<8 - 1, Origin: Proved}, "uint16": {Lo: 0, Hi: 1<<16 - 1, Origin: Proved}, "uint32": {Lo: 0, Hi: 1<<32 - 1, Origin: Proved},
}

// narrowType is the magnitude up to which a type's range is narrow enough to be relied on where samples show less.
const narrowType = 1 << 16

// Declared returns the range of an input's data that is stated: declared, or else that of its type; of a guest's input, all that it may give, whose
// words stand for up to twice the span. firm says that samples do not narrow it; they do where nothing but a wide type bounds the data.
func Declared(v *Value) (r Range, firm, ok bool) {
	r, firm, ok = AsDeclared(v)
	if ok && OfGuest(v) {
		return beyond(r.Lo, r.Hi), true, true
	}
	return r, firm, ok
}

// AsDeclared is Declared as a person declares it.
func AsDeclared(v *Value) (r Range, firm, ok bool) {
	if v.Attrs.Has("lo") && v.Attrs.Has("hi") {
		return Range{Lo: v.Attrs.Float("lo", 0), Hi: v.Attrs.Float("hi", 0), Origin: Proved}, true, true
	}
	r, ok = wholeTypes[v.Attrs.Str("type")]
	return r, ok && r.Hi < narrowType, ok
}

// mostShift is the largest power of two by which a column is scaled.
const mostShift = 64

// inputType types an input and checks what is said of its columns.
func inputType(v *Value) (Type, error) {
	t, err := boundType(v)
	if err != nil {
		return Type{}, err
	}
	if w := v.Attrs.Str("type"); v.Attrs.Has("type") && (v.Attrs.Str("elem") != "int" || wholeTypes[w] == Range{}) {
		return Type{}, fmt.Errorf("type=%q, want int8, int16, int32, uint8, uint16 or uint32 for integers", w)
	}
	if v.Attrs.Has("words") && v.Attrs.Str("elem") != "int" || v.Attrs.Has("missing") && v.Attrs.Str("elem") != "real" || v.Attrs.Has("given") && !v.Attrs.Has("missing") {
		return Type{}, fmt.Errorf("words go with integers, missing with reals, and given with missing")
	}
	if s := v.Attrs.Float("step", 1); !(s > 0) || math.IsInf(s, 0) || v.Attrs.Has("step") && (v.Attrs.Str("elem") != "int" || v.Attrs.Has("words") || !v.Attrs.Has("lo")) {
		return Type{}, fmt.Errorf("step=%g goes with integers of a range, and is above 0", s)
	}
	k := 0
	if n := len(t.Shape); n > 0 {
		k = t.Shape[n-1]
	}
	for _, c := range v.Attrs.Ints("given") {
		if c < 0 || c >= k {
			return Type{}, fmt.Errorf("given has column %d of %d", c, k)
		}
	}
	if t := v.Attrs.Tensor("choices"); t != nil {
		if err := t.Check(); err != nil || t.Elem != Int || len(t.Shape) != 2 || t.Shape[1] != 2 || v.Attrs.Str("elem") == "bool" {
			return Type{}, fmt.Errorf("choices are %v%v, want int[n,2] for an input of numbers", t.Elem, t.Shape)
		}
		for i := 0; i < len(t.I); i += 2 {
			if t.I[i] < 0 || t.I[i] >= int64(max(k, 1)) {
				return Type{}, fmt.Errorf("choices have column %d of %d", t.I[i], k)
			}
		}
	}
	bounds, list, shift := v.Attrs.Tensor("bounds"), v.Attrs.Ints("columns"), v.Attrs.Ints("shift")
	if bounds == nil {
		if list != nil || shift != nil || v.Attrs.Has("origin") {
			return Type{}, fmt.Errorf("columns, shift and origin go with bounds")
		}
		return t, nil
	}
	n := k
	if list != nil {
		n = len(list)
	}
	if err := bounds.Check(); err != nil {
		return Type{}, fmt.Errorf("bounds: %w", err)
	}
	if v.Attrs.Str("elem") != "real" || k == 0 || bounds.Elem != Real || !bounds.Shape.Equal(Shape{n, 2}) {
		return Type{}, fmt.Errorf("bounds are %v%v, want real%v for the columns of a table of reals", bounds.Elem, bounds.Shape, Shape{n, 2})
	}
	for i := range n {
		if lo, hi := bounds.At(2*i), bounds.At(2*i+1); !(lo <= hi) || math.IsInf(lo, 0) || math.IsInf(hi, 0) {
			return Type{}, fmt.Errorf("bounds %g..%g are not an interval", lo, hi)
		}
	}
	for i, c := range list {
		if c < 0 || c >= k || i > 0 && c <= list[i-1] {
			return Type{}, fmt.Errorf("columns %v are not a rising list below %d", list, k)
		}
	}
	if shift != nil && (list != nil || len(shift) != k) {
		return Type{}, fmt.Errorf("shift has %d entries for %d columns", len(shift), k)
	}
	for _, d := range shift {
		if d < -mostShift || d > mostShift {
			return Type{}, fmt.Errorf("shift by %d is beyond %d", d, mostShift)
		}
	}
	if o := v.Attrs.Str("origin"); o != "" && o != Assumed.String() && o != Calibrated.String() {
		return Type{}, fmt.Errorf("origin=%q, want assumed or calibrated", o)
	}
	return t, nil
}

func init() {
	register(
		&Row{Op: OpInput, Doc: "A private input, bound when the plan runs; lo and hi are its declared range, bounds those of a table's columns, type the integer type of its data.", Attrs: inputAttrs, Type: inputType},
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
		&Row{Op: OpReveal, Doc: "Give x to the named receivers under a name; the only op that lowers visibility. Its integers may stand for words, or be text in decimal. valid names the output that says whether this one is there or was withheld; one that says so has checked so many elements.", Args: 1, Range: rangeKept, Scale: ScaleKept,
			Attrs: []AttrSpec{{"name", AttrString, true}, {"to", AttrStrings, true}, {"words", AttrStrings, false}, {"decimal", AttrInt, false}, {"classes", AttrStrings, false},
				{"guard", AttrInt, false}, {"check", AttrInt, false}, {"valid", AttrString, false}, {"checked", AttrInt, false}, {"places", AttrInt, false}},
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
