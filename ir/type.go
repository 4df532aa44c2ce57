package ir

import (
	"fmt"
	"slices"
	"strings"
)

// Elem is the kind of a tensor's elements.
type Elem uint8

// The element kinds. Real, Int and Bool are what the user wrote; Ring is what reals and integers become once quantised.
const (
	Real Elem = iota // real number; fixed point once quantised
	Int              // integer
	Bool             // one bit
	Ring             // element of Z_2^Bits holding round(x * 2^Scale)
)

var elemNames = []string{"real", "int", "bool", "ring"}

// String returns the element kind as it is printed in dumps.
func (e Elem) String() string {
	if int(e) < len(elemNames) {
		return elemNames[e]
	}
	return fmt.Sprintf("elem(%d)", uint8(e))
}

// Form says how a secret is held by the parties.
type Form uint8

// The forms. None holds until the backend assigns one.
const (
	None      Form = iota
	Additive       // shares sum to x in Z_2^Bits
	Masked         // public m = x + r in Z_2^Bits, r uniform and additively shared
	Xor            // shares XOR to the bit
	MaskedBit      // public delta = b XOR s, s shared
)

var formNames = []string{"", "additive", "masked", "xor", "masked-bit"}

// String returns the form as it is printed in dumps.
func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return fmt.Sprintf("form(%d)", uint8(f))
}

// Shape is the list of a tensor's dimensions; empty for a scalar.
type Shape []int

// Size returns the number of elements.
func (s Shape) Size() int {
	n := 1
	for _, d := range s {
		n *= d
	}
	return n
}

// Equal reports whether two shapes agree in every dimension.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

// String renders the shape as [1,28,28].
func (s Shape) String() string {
	var b strings.Builder
	b.WriteByte('[')
	for i, d := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%d", d)
	}
	b.WriteByte(']')
	return b.String()
}

// maxElements bounds the size of any tensor in a graph, so that a hostile file cannot ask for the machine's memory.
const maxElements = 1 << 28

// CheckShape returns an error for negative or absurdly large shapes.
func CheckShape(s Shape) error {
	n := 1
	for _, d := range s {
		if d < 0 {
			return fmt.Errorf("shape %v has a negative dimension", s)
		}
		if d > maxElements || n*d > maxElements {
			return fmt.Errorf("shape %v has more than %d elements", s, maxElements)
		}
		n *= d
	}
	return nil
}

// visKind orders visibilities from least to most restricted.
type visKind uint8

const (
	visPublic visKind = iota
	visPrivate
	visSecret
)

// Vis is the visibility of a value: public, private to parties that know it, or secret with the owners it derives from.
// The zero Vis is public. Build others with Private and Secret.
type Vis struct {
	kind  visKind
	names string // sorted, comma separated
}

// Public is the visibility of what everybody knows.
func Public() Vis { return Vis{} }

// Private is the visibility of a value that exactly the named parties know.
func Private(parties ...string) Vis { return Vis{visPrivate, joinNames(parties)} }

// Secret is the visibility of a value nobody knows, derived from the named owners' data.
func Secret(owners ...string) Vis { return Vis{visSecret, joinNames(owners)} }

func joinNames(names []string) string {
	s := slices.Clone(names)
	slices.Sort(s)
	return strings.Join(slices.Compact(s), ",")
}

// IsPublic reports whether everybody may know the value.
func (v Vis) IsPublic() bool { return v.kind == visPublic }

// IsPrivate reports whether the value is known to its owner.
func (v Vis) IsPrivate() bool { return v.kind == visPrivate }

// IsSecret reports whether nobody knows the value.
func (v Vis) IsSecret() bool { return v.kind == visSecret }

// Owners lists whose data the value derives from; none for public values.
func (v Vis) Owners() []string {
	if v.names == "" {
		return nil
	}
	return strings.Split(v.names, ",")
}

// String renders the visibility as public, private(p) or secret{p,q}.
func (v Vis) String() string {
	switch v.kind {
	case visPublic:
		return "public"
	case visPrivate:
		return "private(" + v.names + ")"
	}
	return "secret{" + v.names + "}"
}

// Join returns the visibility of a value computed from a and b: the strictest, and secret when two owners meet.
func Join(a, b Vis) Vis {
	switch {
	case a.IsPublic():
		return b
	case b.IsPublic():
		return a
	case a == b:
		return a
	}
	return Secret(append(a.Owners(), b.Owners()...)...)
}

// A Type states everything a pass may rely on about a Value.
type Type struct {
	Elem  Elem
	Scale int // fraction bits; 0 unless Elem is Ring
	Bits  int // ring width; 0 unless Elem is Ring
	Shape Shape
	Vis   Vis
	Form  Form // None until the backend assigns forms
}

// Equal reports whether two types agree in everything.
func (t Type) Equal(u Type) bool {
	return t.Elem == u.Elem && t.Scale == u.Scale && t.Bits == u.Bits && t.Vis == u.Vis && t.Form == u.Form && t.Shape.Equal(u.Shape)
}

// String renders the type as in dumps: secret{p0,p1} ring40.16[1,10] masked.
func (t Type) String() string {
	s := t.Vis.String() + " " + t.Elem.String()
	if t.Elem == Ring {
		s += fmt.Sprintf("%d.%d", t.Bits, t.Scale)
	}
	s += t.Shape.String()
	if t.Form != None {
		s += " " + t.Form.String()
	}
	return s
}
