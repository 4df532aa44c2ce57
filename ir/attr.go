package ir

import "slices"

// AttrKind is the kind of an attribute's value.
type AttrKind uint8

// The attribute kinds.
const (
	AttrInt AttrKind = iota
	AttrFloat
	AttrString
	AttrInts
	AttrStrings
	AttrTensor
)

// An Attr is one named constant of a Value. Exactly the field of its Kind is set.
type Attr struct {
	Key     string
	Kind    AttrKind
	Int     int64
	Float   float64
	Str     string
	Ints    []int64
	Strings []string
	Tensor  *Tensor
}

// Attrs is the ordered list of a Value's attributes; order is that of construction and is kept by the printer.
type Attrs []Attr

// I, F, S, Is, Ss and T build attributes.
func I(key string, v int64) Attr      { return Attr{Key: key, Kind: AttrInt, Int: v} }
func F(key string, v float64) Attr    { return Attr{Key: key, Kind: AttrFloat, Float: v} }
func S(key, v string) Attr            { return Attr{Key: key, Kind: AttrString, Str: v} }
func Is(key string, v ...int64) Attr  { return Attr{Key: key, Kind: AttrInts, Ints: v} }
func Ss(key string, v ...string) Attr { return Attr{Key: key, Kind: AttrStrings, Strings: v} }
func T(key string, v *Tensor) Attr    { return Attr{Key: key, Kind: AttrTensor, Tensor: v} }

// Dims builds an attribute from ints.
func Dims(key string, v []int) Attr {
	a := Attr{Key: key, Kind: AttrInts, Ints: make([]int64, len(v))}
	for i, d := range v {
		a.Ints[i] = int64(d)
	}
	return a
}

// Get returns the attribute and whether it is there.
func (a Attrs) Get(key string) (Attr, bool) {
	i := slices.IndexFunc(a, func(x Attr) bool { return x.Key == key })
	if i < 0 {
		return Attr{}, false
	}
	return a[i], true
}

// Has reports whether the attribute is there.
func (a Attrs) Has(key string) bool { _, ok := a.Get(key); return ok }

// Int returns an integer attribute, or def.
func (a Attrs) Int(key string, def int) int {
	if x, ok := a.Get(key); ok && x.Kind == AttrInt {
		return int(x.Int)
	}
	return def
}

// Float returns a float attribute, or def.
func (a Attrs) Float(key string, def float64) float64 {
	if x, ok := a.Get(key); ok && x.Kind == AttrFloat {
		return x.Float
	}
	return def
}

// Str returns a string attribute, or "".
func (a Attrs) Str(key string) string { x, _ := a.Get(key); return x.Str }

// Ints returns an integer list attribute as ints, or nil.
func (a Attrs) Ints(key string) []int {
	x, ok := a.Get(key)
	if !ok {
		return nil
	}
	out := make([]int, len(x.Ints))
	for i, v := range x.Ints {
		out[i] = int(v)
	}
	return out
}

// Strings returns a string list attribute, or nil.
func (a Attrs) Strings(key string) []string { x, _ := a.Get(key); return x.Strings }

// Tensor returns a tensor attribute, or nil.
func (a Attrs) Tensor(key string) *Tensor { x, _ := a.Get(key); return x.Tensor }

// With returns a copy of a in which x replaces the attribute of its name, or is appended.
func (a Attrs) With(x Attr) Attrs {
	out := slices.Clone(a)
	for i := range out {
		if out[i].Key == x.Key {
			out[i] = x
			return out
		}
	}
	return append(out, x)
}
