package ir

import (
	"fmt"
	"slices"
	"sort"
)

// Op names an operation; its row in Rows says everything about it.
type Op string

// Level says from where on in the pipeline an op may appear.
type Level uint8

// The levels.
const (
	Leaf      Level = iota // inputs, weights, constants, reveals: at every level
	Composite              // disappears in decompose or approximate
	CoreOp                 // has a protocol
	Fixed                  // appears once values are quantised
	Share                  // appears once forms are assigned
)

var levelNames = []string{"leaf", "composite", "core", "fixed", "share"}

// String returns the level's name.
func (l Level) String() string { return levelNames[l] }

// An AttrSpec describes one attribute an op takes.
type AttrSpec struct {
	Key      string
	Kind     AttrKind
	Required bool
}

// A ScaleRule says how the fraction bits of a result follow from those of the arguments.
type ScaleRule uint8

// The rules.
const (
	ScaleOwn     ScaleRule = iota // by attributes, or of no concern: leaves, bits, what changes the format
	ScaleKept                     // as many as its argument has
	ScaleAligned                  // all numbers among the arguments have the same, and so has the result
	ScaleSummed                   // as many as both arguments together
)

// A Row is the one place that describes an op.
type Row struct {
	Op    Op
	Doc   string // one line, for people
	Level Level
	Args  int  // number of arguments; the least number if Variadic
	Var   bool // more than Args arguments are allowed
	Attrs []AttrSpec
	// Type computes the result's type from arguments and attributes: element, scale, ring width, shape, visibility, form.
	Type func(v *Value) (Type, error)
	// Eval is the plaintext meaning: float64 for reals, exact for integers and ring elements (mod 2^64).
	// Nil for leaves, which have no arguments to compute from.
	Eval func(v *Value, args []*Tensor) (*Tensor, error)
	// Range bounds the result's elements as real numbers. Rows have one whose values are not leaves and not bits once composite ops are gone, up to where
	// they are quantised.
	Range RangeRule
	// Scale says how the fraction bits of the result follow from those of the arguments.
	Scale ScaleRule
	// Opens returns the bits in which the op opens its arguments, which are wires of ring values with ranges; nil of what opens none, or whose opening
	// depends on more than its arguments.
	Opens func(v *Value, parties int) int
	// Lower replaces a composite op, or a core op on bits, by simpler ones and returns the replacement. It emits through b.
	Lower func(b *Builder, v *Value) *Value
	// Linear says that the op is a linear map of its secret arguments when at most one is secret (views, sums).
	Linear bool
	// View says that the op only moves elements: it applies alike to values, masks and public parts.
	View bool
}

// Rows is the table of ops. It is filled by init of the ops_*.go files.
var Rows = map[Op]*Row{}

// Ops lists all ops by level, then name.
func Ops() []*Row {
	rows := make([]*Row, 0, len(Rows))
	for _, r := range Rows {
		rows = append(rows, r)
	}
	sort.Slice(rows, func(i, j int) bool {
		if rows[i].Level != rows[j].Level {
			return rows[i].Level < rows[j].Level
		}
		return rows[i].Op < rows[j].Op
	})
	return rows
}

func register(rows ...*Row) {
	for _, r := range rows {
		if Rows[r.Op] != nil {
			Bug("op %s has two rows", r.Op)
		}
		Rows[r.Op] = r
	}
}

// TypeOf checks arity and attributes of v and returns what the type rule says.
func (r *Row) TypeOf(v *Value) (Type, error) {
	if len(v.Args) < r.Args || len(v.Args) > r.Args && !r.Var {
		return Type{}, fmt.Errorf("takes %d arguments, got %d", r.Args, len(v.Args))
	}
	for _, s := range r.Attrs {
		a, ok := v.Attrs.Get(s.Key)
		if !ok && s.Required {
			return Type{}, fmt.Errorf("attribute %s is missing", s.Key)
		}
		if ok && a.Kind != s.Kind {
			return Type{}, fmt.Errorf("attribute %s has the wrong kind", s.Key)
		}
	}
	for i, a := range v.Attrs {
		if !slices.ContainsFunc(r.Attrs, func(s AttrSpec) bool { return s.Key == a.Key }) {
			return Type{}, fmt.Errorf("unknown attribute %s", a.Key)
		}
		if v.Attrs[:i].Has(a.Key) {
			return Type{}, fmt.Errorf("attribute %s appears twice", a.Key)
		}
	}
	t, err := r.Type(v)
	if err != nil {
		return Type{}, err
	}
	if err := CheckShape(t.Shape); err != nil {
		return Type{}, err
	}
	return t, nil
}

// A Builder emits values at the position of the value they replace. It is for lowerings and passes:
// an op that does not type-check there is a bug of ours.
type Builder struct {
	F   *Func
	At  *Value       // the value being replaced; gives the position
	Put func(*Value) // called with each emitted value; nil to append to F
}

// E emits op applied to args and returns its value.
func (b *Builder) E(op Op, attrs Attrs, args ...*Value) *Value {
	row := Rows[op]
	if row == nil {
		Bug("lowering of %s emits unknown op %q", b.At.Op, op)
	}
	v := &Value{Op: op, Args: args, Attrs: attrs, Pos: b.At.Pos}
	t, err := row.TypeOf(v)
	if err != nil {
		Bug("%v: lowering of %s emits %s: %v", b.At.Pos, b.At.Op, op, err)
	}
	v.Type = t
	if b.Put != nil {
		v.ID = b.F.next
		b.F.next++
		b.Put(v)
	} else {
		b.F.Adopt(v)
	}
	return v
}

// Const emits a public constant.
func (b *Builder) Const(t *Tensor) *Value { return b.E(OpConst, Attrs{T("data", t)}) }

// Scalar emits a public scalar constant of the element kind of like (Real or Int).
func (b *Builder) Scalar(like *Value, x float64) *Value {
	if like.Type.Elem == Int {
		return b.Const(Ints(Shape{}, int64(x)))
	}
	return b.Const(Reals(Shape{}, x))
}
