package dsl

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"smpcc/ir"
)

// leastPacked is the number of equal operations on scalars from which on they become one on a vector.
const leastPacked = 8

// packable lists elementwise operations that are the same on a vector as on each of its elements.
var packable = map[ir.Op]bool{
	ir.OpAdd: true, ir.OpSub: true, ir.OpNeg: true, ir.OpMul: true, ir.OpMax: true, ir.OpMin: true, ir.OpRelu: true, ir.OpAbs: true, ir.OpClip: true, ir.OpDiv: true, ir.OpIntDiv: true, ir.OpIntMod: true, ir.OpWrap: true,
	ir.OpLt: true, ir.OpLe: true, ir.OpGt: true, ir.OpGe: true, ir.OpEq: true, ir.OpNe: true, ir.OpAnd: true, ir.OpOr: true, ir.OpXor: true, ir.OpNot: true, ir.OpSelect: true, ir.OpCast: true,
	ir.OpSigmoid: true, ir.OpExp: true, ir.OpLog: true, ir.OpSqrt: true, ir.OpTanh: true,
}

// A packer makes vectors of scalars: a loop over elements emits an operation for each of them, and a plan that has one step for all of them is as much
// smaller. Operations are put together that are as deep, read and yield what derives from the same owners, and whose numbers are of the same size, so that
// neither permissions nor formats become wider.
type packer struct {
	c    *checker
	old  []*ir.Value
	out  []*ir.Value
	deep map[*ir.Value]int
	to   map[*ir.Value]*ir.Value // what an old value is now
	at   map[*ir.Value]element   // where a packed scalar is
}

// An element is one of a tensor's, by its flat place.
type element struct {
	of *ir.Value
	at int
}

// pack rewrites the function if that makes it smaller.
func (c *checker) pack() {
	p := &packer{c: c, old: c.f.Body, deep: map[*ir.Value]int{}, to: map[*ir.Value]*ir.Value{}, at: map[*ir.Value]element{}}
	groups := p.groups()
	if len(groups) == 0 {
		return
	}
	p.emit(groups)
	c.f.Body = p.out
	c.f.Renumber()
}

// isScalar reports whether a value is one number of an operation that can be packed.
func isScalar(v *ir.Value) bool {
	if !packable[v.Op] || len(v.Type.Shape) > 0 {
		return false
	}
	return !slices.ContainsFunc(v.Args, func(a *ir.Value) bool { return len(a.Type.Shape) > 0 })
}

// groups finds operations that may become one. Values that are packed keep their group.
func (p *packer) groups() map[*ir.Value]*[]*ir.Value {
	byKey := map[string]*[]*ir.Value{}
	for _, v := range p.old {
		d := 0
		for _, a := range v.Args {
			d = max(d, p.deep[a])
		}
		if v.Op != ir.OpReshape && v.Op != ir.OpSlice {
			d++
		}
		if p.deep[v] = d; !isScalar(v) {
			continue
		}
		key := p.key(v, d)
		if byKey[key] == nil {
			byKey[key] = &[]*ir.Value{}
		}
		*byKey[key] = append(*byKey[key], v)
	}
	out := map[*ir.Value]*[]*ir.Value{}
	for _, list := range byKey {
		if len(*list) < leastPacked {
			continue
		}
		for _, v := range *list {
			out[v] = list
		}
	}
	return out
}

// key says what operations must have in common.
func (p *packer) key(v *ir.Value, depth int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s %s %s", depth, v.Op, v.Type.Elem, v.Type.Vis)
	for _, a := range v.Attrs {
		fmt.Fprintf(&b, " %s=%d,%x,%s", a.Key, a.Int, math.Float64bits(a.Float), a.Str)
	}
	fmt.Fprintf(&b, " %s", p.size(v))
	for _, a := range v.Args {
		fmt.Fprintf(&b, "; %s %s %s", a.Type.Elem, a.Type.Vis, p.size(a))
		if a.Op == ir.OpConst && (v.Op == ir.OpMul || v.Op == ir.OpIntDiv || v.Op == ir.OpIntMod) { // one factor or divisor for all
			fmt.Fprintf(&b, " %x %d", a.Attrs.Tensor("data").F, a.Attrs.Tensor("data").I)
		}
	}
	return b.String()
}

// size renders the binary magnitudes between which a value lies.
func (p *packer) size(v *ir.Value) string {
	if v.Type.Elem == ir.Bool {
		return ""
	}
	r := p.c.known(v)
	if r == anything {
		return "?"
	}
	return fmt.Sprintf("%d %v", math.Ilogb(max(math.Abs(r.lo), math.Abs(r.hi), 1)+1), r.lo >= 0)
}

// emit writes the function anew, level by level; inputs stay first and reveals last, in their order.
func (p *packer) emit(groups map[*ir.Value]*[]*ir.Value) {
	order := slices.Clone(p.old)
	rank := func(v *ir.Value) int {
		switch v.Op {
		case ir.OpInput, ir.OpWeight, ir.OpConst:
			return -1
		case ir.OpReveal:
			return math.MaxInt
		}
		return p.deep[v]
	}
	slices.SortStableFunc(order, func(a, b *ir.Value) int { return cmp.Compare(rank(a), rank(b)) })
	done := map[*[]*ir.Value]bool{}
	for _, v := range order {
		list := groups[v]
		switch {
		case list == nil && p.isElement(v):
			p.at[v] = p.resolved(v)
		case list == nil:
			p.keep(v)
		case !done[list]:
			done[list] = true
			p.vector(*list)
		}
	}
}

// isElement reports whether a value is one element of a tensor, which needs no value of its own before somebody reads it.
func (p *packer) isElement(v *ir.Value) bool {
	return len(v.Type.Shape) == 0 && v.Op == ir.OpReshape && v.Args[0].Type.Shape.Size() == 1 && v.Args[0].Op == ir.OpSlice
}

// resolved follows views of an element to the tensor that it is of.
func (p *packer) resolved(v *ir.Value) element {
	e := element{v, 0}
	for {
		switch e.of.Op {
		case ir.OpReshape:
			e.of = e.of.Args[0]
			continue
		case ir.OpSlice:
			starts, steps, s, err := ir.SliceDims(e.of)
			if err != nil {
				ir.Bug("pack: %v", err)
			}
			in, flat, rest, stride := e.of.Args[0].Type.Shape, 0, e.at, 1
			for d := len(s) - 1; d >= 0; d-- {
				flat += (starts[d] + rest%s[d]*steps[d]) * stride
				rest /= s[d]
				stride *= in[d]
			}
			e = element{e.of.Args[0], flat}
			continue
		}
		return e
	}
}

// keep takes a value over as it is.
func (p *packer) keep(v *ir.Value) {
	for i, a := range v.Args {
		v.Args[i] = p.now(a)
	}
	p.to[v] = v
	p.out = append(p.out, v)
}

// now returns an old value as it is now; of an element, it is cut out.
func (p *packer) now(v *ir.Value) *ir.Value {
	if n := p.to[v]; n != nil {
		return n
	}
	e, ok := p.at[v]
	if !ok {
		ir.Bug("pack: %v has no value", v)
	}
	x := p.flat(p.source(e.of))
	at := []int{e.at}
	y := p.op(v, ir.OpSlice, ir.Attrs{ir.Dims("starts", at), ir.Dims("ends", []int{e.at + 1}), ir.Dims("steps", []int{1})}, x)
	p.to[v] = p.op(v, ir.OpReshape, ir.Attrs{ir.Dims("shape", nil)}, y)
	return p.to[v]
}

// source returns a tensor that elements are of: an old one as it is now, or a new one.
func (p *packer) source(v *ir.Value) *ir.Value {
	if n := p.to[v]; n != nil {
		return n
	}
	return p.now(v)
}

// op emits a value at the position of an old one.
func (p *packer) op(at *ir.Value, op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
	v := &ir.Value{Op: op, Args: args, Attrs: attrs, Pos: at.Pos}
	t, err := ir.Rows[op].TypeOf(v)
	if err != nil {
		ir.Bug("pack: %s: %v", op, err)
	}
	v.Type = t
	p.out = append(p.out, v)
	return v
}

// flat returns a tensor as a vector.
func (p *packer) flat(x *ir.Value) *ir.Value {
	if len(x.Type.Shape) == 1 {
		return x
	}
	return p.op(x, ir.OpReshape, ir.Attrs{ir.Dims("shape", []int{x.Type.Shape.Size()})}, x)
}

// scattered reports whether the operands of a group are of so many tensors that putting them together costs more than it saves.
func (p *packer) scattered(list []*ir.Value) bool {
	for i := range list[0].Args {
		of := map[*ir.Value]bool{}
		for _, v := range list {
			a := v.Args[i]
			if e, ok := p.at[a]; ok {
				a = e.of
			} else if a.Op == ir.OpConst {
				continue
			}
			of[a] = true
		}
		if len(of) > 1+len(list)/leastPacked {
			return true
		}
	}
	return false
}

// vector computes a group at once.
func (p *packer) vector(list []*ir.Value) {
	if p.scattered(list) {
		for _, v := range list {
			p.keep(v)
		}
		return
	}
	first := list[0]
	args := make([]*ir.Value, len(first.Args))
	for i := range args {
		column := make([]*ir.Value, len(list))
		for k, v := range list {
			column[k] = v.Args[i]
		}
		args[i] = p.column(first, column)
	}
	v := p.op(first, first.Op, first.Attrs, args...)
	p.to[v] = v
	for k, o := range list {
		p.at[o] = element{v, k}
	}
}

// column joins scalars to a vector: constants to one, elements of one tensor by a list of places, and what then stands out of order is put into it.
func (p *packer) column(first *ir.Value, list []*ir.Value) *ir.Value {
	if !slices.ContainsFunc(list, func(v *ir.Value) bool { return v != list[0] }) && (list[0].Op == ir.OpConst || p.to[list[0]] != nil) {
		return p.now(list[0]) // the same for all: it broadcasts
	}
	type part struct {
		of     *ir.Value
		at     []int64
		places []int
	}
	var parts []*part
	find := map[*ir.Value]*part{}
	var data *ir.Tensor
	var dataAt []int
	for k, v := range list {
		if v.Op == ir.OpConst {
			if data == nil {
				data = ir.NewTensor(v.Type.Elem, ir.Shape{0})
			}
			t := v.Attrs.Tensor("data")
			data.F, data.I = append(data.F, t.F...), append(data.I, t.I...)
			data.Shape[0]++
			dataAt = append(dataAt, k)
			continue
		}
		e, ok := p.at[v]
		if !ok {
			e = element{v, 0}
		}
		x := find[e.of]
		if x == nil {
			x = &part{of: e.of}
			find[e.of] = x
			parts = append(parts, x)
		}
		x.at, x.places = append(x.at, int64(e.at)), append(x.places, k)
	}
	var joined []*ir.Value
	var places []int
	for _, x := range parts {
		y := p.flat(p.source(x.of))
		if !inOrder(x.at, y.Type.Shape[0]) {
			y = p.op(first, ir.OpGather, ir.Attrs{ir.I("axis", 0), ir.Is("indices", x.at...)}, y)
		}
		joined, places = append(joined, y), append(places, x.places...)
	}
	if data != nil {
		joined, places = append(joined, p.op(first, ir.OpConst, ir.Attrs{ir.T("data", data)})), append(places, dataAt...)
	}
	y := joined[0]
	if len(joined) > 1 {
		y = p.op(first, ir.OpConcat, ir.Attrs{ir.I("axis", 0)}, joined...)
	}
	back := make([]int64, len(places))
	for i, k := range places {
		back[k] = int64(i)
	}
	if inOrder(back, len(back)) {
		return y
	}
	return p.op(first, ir.OpGather, ir.Attrs{ir.I("axis", 0), ir.Is("indices", back...)}, y)
}

// inOrder reports whether places are 0, 1, ..., n-1.
func inOrder(at []int64, n int) bool {
	if len(at) != n {
		return false
	}
	for i, k := range at {
		if k != int64(i) {
			return false
		}
	}
	return true
}
