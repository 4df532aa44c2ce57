package onnx

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// A node is one ONNX node while it is lowered.
type node struct {
	r     *reader
	p     *pb.NodeProto
	at    diag.Pos
	opset int
	attrs map[string]*pb.AttributeProto

	over   map[int]*ir.Value // inputs that are read in place of those that the node names
	bounds float64           // a factor for the bounds of Clip; 0 for 1
}

// attributes indexes the node's attributes and reports those that the operator does not take.
func (n *node) attributes(v *version) (bad bool) {
	n.attrs = map[string]*pb.AttributeProto{}
	fail := func(e *diag.Error) {
		n.r.errs.Add(n.at, e)
		bad = true
	}
	for _, a := range n.p.Attribute {
		name := short(a.GetName())
		kind, known := v.kinds[a.GetName()]
		switch {
		case !known:
			e := diag.Errorf(n.at, "attribute %s of %s (opset %d) is not supported", name, n.p.GetOpType(), n.opset)
			if len(v.kinds) > 0 {
				e = e.WithHint("it takes: %s", strings.Join(slices.Sorted(maps.Keys(v.kinds)), ", "))
			}
			fail(e)
		case a.GetRefAttrName() != "":
			fail(diag.Errorf(n.at, "attribute %s refers to a function's attribute, and there is no function", name))
		case a.GetType() != kind.typ && a.GetType() != pb.AttributeProto_UNDEFINED:
			fail(diag.Errorf(n.at, "attribute %s is %v, want %v", name, a.GetType(), kind.typ))
		case !n.finite(a):
			fail(diag.Errorf(n.at, "attribute %s is not a finite number", name))
		case n.attrs[name] != nil:
			fail(diag.Errorf(n.at, "attribute %s appears twice", name))
		default:
			n.attrs[name] = a
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.kinds)) {
		if v.kinds[name].required && !n.has(name) {
			fail(diag.Errorf(n.at, "attribute %s is missing", name))
		}
	}
	return bad
}

// short cuts a name that a file declares to what fits a message.
func short(name string) string {
	if len(name) > 80 {
		name = name[:80] + "..."
	}
	return strings.ToValidUTF8(name, "?")
}

func (n *node) has(name string) bool { return n.attrs[name] != nil }

func (n *node) int(name string, def int) int {
	if a := n.attrs[name]; a != nil {
		return clampInt(a.GetI())
	}
	return def
}

func (n *node) float(name string, def float64) float64 {
	if a := n.attrs[name]; a != nil {
		return float64(a.GetF())
	}
	return def
}

func (n *node) str(name, def string) string {
	if a := n.attrs[name]; a != nil {
		return string(a.GetS())
	}
	return def
}

func (n *node) ints(name string) []int {
	a := n.attrs[name]
	if a == nil {
		return nil
	}
	out := make([]int, len(a.Ints))
	for i, x := range a.Ints {
		out[i] = clampInt(x)
	}
	return out
}

// clampInt maps the huge values that stand for "to the end" to something that arithmetic on shapes cannot overflow.
func clampInt(x int64) int { return int(max(min(x, 1<<40), -1<<40)) }

// given reports whether input i is there.
func (n *node) given(i int) bool { return n.over[i] != nil || i < len(n.p.Input) && n.p.Input[i] != "" }

// in returns the value of input i, which is there.
func (n *node) in(i int) *ir.Value {
	if v := n.over[i]; v != nil {
		return v
	}
	v := n.r.value(n.p.Input[i])
	if v == nil {
		ir.Bug("input %d of %s is not there", i, n.at)
	}
	return v
}

// data returns input i if it is a constant or an initialiser; nil if not.
func (n *node) data(i int) *ir.Tensor {
	if v := n.over[i]; v != nil {
		if v.Op == ir.OpConst {
			return v.Attrs.Tensor("data")
		}
		return nil
	}
	name := n.p.Input[i]
	v := n.r.vals[name]
	switch {
	case v == nil:
		return n.r.inits[name]
	case v.Op == ir.OpConst:
		return v.Attrs.Tensor("data")
	case v.Op == ir.OpWeight: // as the file holds it; what was computed from weights stays private
		w := v.Attrs.Str("name")
		if t := n.r.inits[w]; t == n.r.m.Weights[w] {
			return t
		}
		return n.r.written[v]
	}
	return nil
}

// public returns input i as a public parameter of the node, such as a shape; what says what it is.
func (n *node) public(i int, what string) (*ir.Tensor, error) {
	t := n.data(i)
	if t == nil {
		e := diag.Errorf(n.at, "input %d (%s) must be known when compiling: it is a public parameter of the operator", i+1, what).
			WithHint("make it an initialiser or a constant, or give it as public data: --public NAME=FILE")
		if e.Public = n.r.sources(n.r.vals[n.p.Input[i]]); len(e.Public) > 0 && !slices.Equal(e.Public, n.p.Input[i:i+1]) {
			e = e.WithHint("it derives from the model's inputs: give them as public data: --public %s=FILE", short(strings.Join(e.Public, "=FILE --public ")))
		}
		return nil, e
	}
	return t, nil
}

// list returns a list of integers from input i if it is there, else from the attribute; nil if neither is.
func (n *node) list(i int, attr string) ([]int, error) {
	if !n.given(i) {
		return n.ints(attr), nil
	}
	t, err := n.public(i, attr)
	if err != nil {
		return nil, err
	}
	if t.Elem != ir.Int || len(t.Shape) > 1 {
		return nil, fmt.Errorf("input %d (%s) is %v%v, want a list of integers", i+1, attr, t.Elem, t.Shape)
	}
	out, err := n.indices(len(t.I))
	if err != nil {
		return nil, err
	}
	for j, x := range t.I {
		out[j] = clampInt(x)
	}
	return out, nil
}

// scalar returns a number from input i if it is there, else from the attribute; ok is false if neither is.
func (n *node) scalar(i int, attr string) (x float64, ok bool, err error) {
	if n.given(i) {
		t, err := n.public(i, attr)
		if err != nil {
			return 0, false, err
		}
		if t.Len() != 1 {
			return 0, false, fmt.Errorf("input %d (%s) has %d elements, want one", i+1, attr, t.Len())
		}
		return t.At(0), true, nil
	}
	if !n.has(attr) {
		return 0, false, nil
	}
	return n.float(attr, 0), true, nil
}

// e emits a value; one with constant arguments is computed at once.
func (n *node) e(op ir.Op, attrs ir.Attrs, args ...*ir.Value) (*ir.Value, error) {
	row := ir.Rows[op]
	folds := len(args) > 0
	data := make([]*ir.Tensor, len(args))
	for i, a := range args {
		if a.Op == ir.OpFormat { // of a constant, see calc.data
			a = a.Args[0]
		}
		if a.Op != ir.OpConst {
			folds = false
			break
		}
		data[i] = a.Attrs.Tensor("data")
	}
	if !folds {
		v, err := n.r.f.Emit(n.at, op, attrs, args...)
		if err == nil {
			n.r.note(v)
		}
		return v, err
	}
	v := &ir.Value{Op: op, Args: args, Attrs: attrs, Pos: n.at}
	var err error
	if v.Type, err = row.TypeOf(v); err != nil {
		return nil, diag.Errorf(n.at, "%s: %v", op, err)
	}
	if err := n.r.left.fold(v); err != nil {
		return nil, err
	}
	t, err := row.Eval(v, data)
	if err != nil {
		return nil, err
	}
	return n.constant(t)
}

// tensor returns a zero tensor for a constant that the lowering computes itself.
func (n *node) tensor(e ir.Elem, s ir.Shape) (*ir.Tensor, error) {
	if err := ir.CheckShape(s); err != nil {
		return nil, err
	}
	if err := n.r.left.take(volume(s), volume(s)); err != nil {
		return nil, err
	}
	return ir.NewTensor(e, s), nil
}

// indices returns room for a list of n positions.
func (n *node) indices(size int) ([]int, error) {
	if err := n.r.left.take(float64(size), float64(size)); err != nil {
		return nil, err
	}
	return make([]int, size), nil
}

func (n *node) constant(t *ir.Tensor) (*ir.Value, error) {
	return n.r.f.Emit(n.at, ir.OpConst, ir.Attrs{ir.T("data", t)})
}

// number emits a public number of the element kind of like.
func (n *node) number(like *ir.Value, x float64) (*ir.Value, error) {
	if like.Type.Elem == ir.Int {
		if x != math.Trunc(x) {
			return nil, fmt.Errorf("%g is not an integer, but %v is", x, like.Type)
		}
		return n.constant(ir.Ints(ir.Shape{}, int64(x)))
	}
	return n.constant(ir.Reals(ir.Shape{}, x))
}

// scale returns x times a public number.
func (n *node) scale(x *ir.Value, k float64) (*ir.Value, error) {
	if k == 1 {
		return x, nil
	}
	c, err := n.number(x, k)
	if err != nil {
		return nil, err
	}
	return n.e(ir.OpMul, nil, x, c)
}

func (n *node) reshape(x *ir.Value, s ir.Shape) (*ir.Value, error) {
	if x.Type.Shape.Equal(s) {
		return x, nil
	}
	return n.e(ir.OpReshape, ir.Attrs{ir.Dims("shape", s)}, x)
}

func (n *node) transpose(x *ir.Value, perm ...int) (*ir.Value, error) {
	return n.e(ir.OpTranspose, ir.Attrs{ir.Dims("perm", perm)}, x)
}

// axis returns a normalised axis attribute.
func (n *node) axis(name string, def, rank int) (int, error) {
	a, err := ir.NormAxes([]int{n.int(name, def)}, rank)
	if err != nil {
		return 0, err
	}
	return a[0], nil
}

// one makes the result list of a single value.
func one(v *ir.Value, err error) ([]*ir.Value, error) {
	if err != nil {
		return nil, err
	}
	return []*ir.Value{v}, nil
}

// want refuses attribute values that have no meaning here.
func (n *node) want(name string, def int, allowed ...int) error {
	if v := n.int(name, def); !slices.Contains(allowed, v) {
		return fmt.Errorf("%s=%d is not supported, want %s", name, v, strings.Trim(fmt.Sprint(allowed), "[]"))
	}
	return nil
}

// finite reports whether an attribute is a number that the operator has a meaning for: an infinite bound of Clip is none, and NaN marks what is missing
// for an Imputer.
func (n *node) finite(a *pb.AttributeProto) bool {
	x := float64(a.GetF())
	switch n.p.GetOpType() {
	case "Clip":
		return !math.IsNaN(x)
	case "Imputer":
		return true // the lowering looks at it
	}
	return !math.IsNaN(x) && !math.IsInf(x, 0)
}
