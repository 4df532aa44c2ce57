// Package ir is smpcc's intermediate representation: straight-line SSA over tensors whose types carry
// element, scale, ring width, shape, visibility and form. One textual form exists at every level.
package ir

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"smpcc/ir/diag"
	"smpcc/ir/policy"
)

// A Module is a whole computation: who takes part, and what is computed.
type Module struct {
	Name    string
	Parties []string // computing parties in order: P0, P1, ...
	Dealer  string   // the source of correlated randomness
	Guests  []string // owners and receivers that compute nothing: their inputs enter as shares
	Funcs   []*Func  // Funcs[0] is the entry
	// Weights holds the data of OpWeight values by name. It stays with the owner: no text or plan contains it.
	Weights map[string]*Tensor
	// Policies names the digest of each owner's policy that permit has checked, for the manifest.
	Policies []policy.Ref
	// Allowed explains, for each reveal, which rule of which owner's policy allows it (filled by permit).
	Allowed []policy.Allowance
	// Guards are the conditions that policies put on running, for the manifest; servers enforce them (filled by permit).
	Guards []policy.Guard
	// Bounds are what rules let outputs say together; the plan is compared with them (filled by permit).
	Bounds []policy.Bound
}

// Clone copies the structure of a module, so that passes on the original leave the copy as it is. Tensors are shared.
func (m *Module) Clone() *Module {
	c := *m
	c.Funcs, c.Weights = nil, maps.Clone(m.Weights)
	if c.Weights == nil {
		c.Weights = map[string]*Tensor{}
	}
	for _, f := range m.Funcs {
		nf := NewFunc(f.Name)
		nf.Holds = f.Holds
		to := map[*Value]*Value{}
		for _, v := range f.Body {
			n := *v
			n.Args = make([]*Value, len(v.Args))
			for i, a := range v.Args {
				n.Args[i] = to[a]
			}
			nf.AdoptNumbered(&n)
			to[v] = &n
		}
		c.Funcs = append(c.Funcs, nf)
	}
	return &c
}

// Main returns the entry function.
func (m *Module) Main() *Func { return m.Funcs[0] }

// A Func is straight-line code: Values in dependency order, no branches.
// Results of the computation are its OpReveal values.
type Func struct {
	Name  string
	Body  []*Value
	Holds Invariant // what passed passes promised; the verifier keeps checking it
	next  int
}

// Invariant is a set of promises about a Func.
type Invariant uint32

// The invariants passes can promise.
const (
	Folded    Invariant = 1 << iota // no value has only constant arguments
	Core                            // no composite op remains
	Permitted                       // every reveal has been checked against every owner's policy
	Ranged                          // every value has a range
	Quantised                       // no value has element Real or Int
	Widthed                         // every ring value has its final width
	Shared                          // every secret value has a form
)

// A Value is computed once, by Op applied to Args.
// Type is always what Op's rule says of Args and Attrs; Pos never changes.
type Value struct {
	ID    int
	Op    Op
	Type  Type
	Args  []*Value
	Attrs Attrs
	Pos   diag.Pos
	Range Range  // set by the range pass
	Parts []Part // of functions that the approximate pass replaced by arithmetic: what this value stands for there
}

// A Part is the role of a value in a function that has been replaced by arithmetic: the result, or an argument.
type Part struct {
	Fit int // number of the replacement
	Arg int // which argument, from 0 on; or Result, or Stated
}

// Roles that are no arguments.
const (
	Result = -1 // the result of a function
	Stated = -2 // no part of a function: a value of which bounds are stated
)

// Join adds to v the parts that other values of the same meaning have.
func (v *Value) Join(parts []Part) {
	for _, p := range parts {
		if !slices.Contains(v.Parts, p) {
			v.Parts = append(slices.Clip(v.Parts), p)
		}
	}
}

// String returns the value's name in dumps.
func (v *Value) String() string { return fmt.Sprintf("v%d", v.ID) }

// Origin says where a range comes from.
type Origin uint8

// The origins, from none to certain.
const (
	NoRange    Origin = iota
	Assumed           // the wide default
	Calibrated        // sample inputs and a margin
	Proved            // declared input ranges and the weights' norms
)

var originNames = []string{"none", "assumed", "calibrated", "proved"}

// String returns the origin as it is printed.
func (o Origin) String() string {
	if int(o) < len(originNames) {
		return originNames[o]
	}
	return fmt.Sprintf("origin(%d)", uint8(o))
}

// A Range is an interval that holds every element of a value, as a real number, and where it comes from.
type Range struct {
	Lo, Hi float64
	Origin Origin
	Narrow bool // samples or an assumption made it narrower than what the value is computed from allows: a run may leave it
}

// Abs returns the largest magnitude in the range.
func (r Range) Abs() float64 { return max(r.Hi, -r.Lo, 0) }

// Behind yields v and all that it is computed from, each once, in no order that is promised.
func (v *Value) Behind() iter.Seq[*Value] {
	return func(yield func(*Value) bool) {
		seen := map[*Value]bool{v: true}
		for todo := []*Value{v}; len(todo) > 0; {
			at := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if !yield(at) {
				return
			}
			for _, a := range at.Args {
				if !seen[a] {
					seen[a] = true
					todo = append(todo, a)
				}
			}
		}
	}
}

// NewFunc returns an empty function.
func NewFunc(name string) *Func { return &Func{Name: name} }

// Emit appends a value of op applied to args, with the type that op's rule computes.
// The error carries pos.
func (f *Func) Emit(pos diag.Pos, op Op, attrs Attrs, args ...*Value) (*Value, error) {
	row := Rows[op]
	if row == nil {
		return nil, diag.Errorf(pos, "unknown op %q", op)
	}
	v := &Value{Op: op, Args: args, Attrs: attrs, Pos: pos}
	t, err := row.TypeOf(v)
	if err != nil {
		return nil, diag.Errorf(pos, "%s: %v", op, err)
	}
	v.Type = t
	v.ID = f.next
	f.next++
	f.Body = append(f.Body, v)
	return v, nil
}

// Adopt appends a value made elsewhere and gives it the next ID. Its type must be set.
func (f *Func) Adopt(v *Value) {
	v.ID = f.next
	f.next++
	f.Body = append(f.Body, v)
}

// Renumber gives the values of the body consecutive IDs in order.
func (f *Func) Renumber() {
	for i, v := range f.Body {
		v.ID = i
	}
	f.next = len(f.Body)
}

// Inputs lists the function's inputs in order.
func (f *Func) Inputs() []*Value { return f.byOp(OpInput) }

// Reveals lists the function's results in order.
func (f *Func) Reveals() []*Value { return f.byOp(OpReveal) }

func (f *Func) byOp(op Op) []*Value {
	var out []*Value
	for _, v := range f.Body {
		if v.Op == op {
			out = append(out, v)
		}
	}
	return out
}

// Uses returns for each value how many arguments of the body refer to it.
func (f *Func) Uses() map[*Value]int {
	n := map[*Value]int{}
	for _, v := range f.Body {
		for _, a := range v.Args {
			n[a]++
		}
	}
	return n
}

// A bug is a broken invariant of the compiler itself.
type bug struct{ msg string }

// Error returns what is broken.
func (b bug) Error() string { return "internal error: " + b.msg }

// Bug reports a broken invariant: it panics with a value that Recover turns into an error.
func Bug(format string, args ...any) { panic(bug{fmt.Sprintf(format, args...)}) }

// Recover turns a Bug panic of the calling function into *err. Use as: defer ir.Recover(&err).
func Recover(err *error) {
	switch r := recover().(type) {
	case nil:
	case bug:
		*err = r
	default:
		panic(r)
	}
}
