package ir

import "fmt"

// Type rules shared by the rows. Ring widths and scales follow one convention: the width of a local op's result is the
// least of its arguments', public constants have width 64, and ops that communicate state theirs in the attribute bits.

// widest is the width of ring values whose width has not been chosen yet, and of public constants.
const widest = 64

// BroadcastShape returns the numpy broadcast of two shapes.
func BroadcastShape(a, b Shape) (Shape, error) {
	n := max(len(a), len(b))
	out := make(Shape, n)
	for i := range out {
		x, y := 1, 1
		if j := i - (n - len(a)); j >= 0 {
			x = a[j]
		}
		if j := i - (n - len(b)); j >= 0 {
			y = b[j]
		}
		switch {
		case x == y || y == 1:
			out[i] = x
		case x == 1:
			out[i] = y
		default:
			return nil, fmt.Errorf("shapes %v and %v do not broadcast", a, b)
		}
	}
	return out, nil
}

// joinAll returns the visibility of a value computed from all args.
func joinAll(args []*Value) Vis {
	var v Vis
	for _, a := range args {
		v = Join(v, a.Type.Vis)
	}
	return v
}

// linearForm returns the form of a linear combination: that of its non-public arguments, which must agree.
func linearForm(args []*Value) (Form, error) {
	f := None
	for _, a := range args {
		if a.Type.Form == None {
			continue
		}
		if f != None && f != a.Type.Form {
			return None, fmt.Errorf("forms differ: %v and %v", f, a.Type.Form)
		}
		f = a.Type.Form
	}
	return f, nil
}

// minBits returns the width of a local combination of args.
func minBits(args []*Value) int {
	b := widest
	for _, a := range args {
		if a.Type.Elem == Ring {
			b = min(b, a.Type.Bits)
		}
	}
	return b
}

// bitsAttr returns the width an op states, in 1..64.
func bitsAttr(v *Value) (int, error) {
	b := v.Attrs.Int("bits", widest)
	if b < 1 || b > widest {
		return 0, fmt.Errorf("bits=%d, want 1..64", b)
	}
	return b, nil
}

func numeric(v *Value) error {
	for i, a := range v.Args {
		if a.Type.Elem == Bool {
			return fmt.Errorf("argument %d is bool, want numbers", i+1)
		}
	}
	return nil
}

// sameElem checks that all args have one element kind and scale.
func sameElem(args []*Value) error {
	for _, a := range args[1:] {
		x, y := args[0].Type, a.Type
		if x.Elem != y.Elem {
			return fmt.Errorf("elements differ: %v and %v", x, y)
		}
		if x.Elem == Ring && x.Scale != y.Scale {
			return fmt.Errorf("scales differ: %v and %v", x, y)
		}
	}
	return nil
}

// broadcast types an elementwise sum of two arguments.
func broadcast(v *Value) (Type, error) {
	if err := numeric(v); err != nil {
		return Type{}, err
	}
	if err := sameElem(v.Args); err != nil {
		return Type{}, err
	}
	s, err := BroadcastShape(v.Args[0].Type.Shape, v.Args[1].Type.Shape)
	if err != nil {
		return Type{}, err
	}
	f, err := linearForm(v.Args)
	if err != nil {
		return Type{}, err
	}
	return finish(v, Type{Elem: v.Args[0].Type.Elem, Scale: v.Args[0].Type.Scale, Shape: s, Form: f})
}

// finish fills in visibility and width of a local op.
func finish(v *Value, t Type) (Type, error) {
	t.Vis = joinAll(v.Args)
	if t.Elem == Ring {
		t.Bits = minBits(v.Args)
	} else {
		t.Scale = 0
	}
	return t, nil
}

// like returns the type of argument 0 with another shape.
func like(v *Value, s Shape) (Type, error) {
	t := v.Args[0].Type
	t.Shape = s
	return t, nil
}

// productForm returns the form of a bilinear product: two masked wires give additive shares, a public factor keeps the other's form.
func productForm(a, b Form) (Form, error) {
	switch {
	case a == None:
		return b, nil
	case b == None:
		return a, nil
	case a == Masked && b == Masked:
		return Additive, nil
	}
	return None, fmt.Errorf("a product needs two masked wires or a public factor, got %v and %v", a, b)
}

// product types a bilinear op with the given result shape.
func product(v *Value, s Shape) (Type, error) {
	a, b := v.Args[0].Type, v.Args[1].Type
	if err := numeric(v); err != nil {
		return Type{}, err
	}
	if a.Elem != b.Elem {
		return Type{}, fmt.Errorf("elements differ: %v and %v", a, b)
	}
	f, err := productForm(a.Form, b.Form)
	if err != nil {
		return Type{}, err
	}
	return finish(v, Type{Elem: a.Elem, Scale: a.Scale + b.Scale, Shape: s, Form: f})
}

// dropping types an op that drops fraction bits and states its width.
func dropping(v *Value) (Type, error) {
	t := v.Args[0].Type
	if t.Elem == Bool {
		return Type{}, fmt.Errorf("argument is bool, want numbers")
	}
	d := v.Attrs.Int("drop", 0)
	if t.Elem != Ring {
		if d != 0 || v.Attrs.Has("bits") {
			return Type{}, fmt.Errorf("drop and bits need a ring value, got %v", t)
		}
		return t, nil
	}
	if d < 0 || d >= t.Bits {
		return Type{}, fmt.Errorf("drop=%d, want 0 or more and less than the width %d", d, t.Bits)
	}
	b, err := bitsAttr(v)
	if err != nil {
		return Type{}, err
	}
	t.Bits = b
	t.Scale -= d
	return t, nil
}

// NormAxes maps axes in -rank..rank-1 to 0..rank-1 and reports duplicates and axes out of range.
func NormAxes(axes []int, rank int) ([]int, error) {
	out := make([]int, len(axes))
	seen := map[int]bool{}
	for i, a := range axes {
		if a < -rank || a >= rank {
			return nil, fmt.Errorf("axis %d is out of range for rank %d", a, rank)
		}
		if a < 0 {
			a += rank
		}
		if seen[a] {
			return nil, fmt.Errorf("axis %d appears twice", a)
		}
		seen[a] = true
		out[i] = a
	}
	return out, nil
}

// ReducedShape returns s with axes removed, or set to 1 if keep.
func ReducedShape(s Shape, axes []int, keep bool) Shape {
	drop := map[int]bool{}
	for _, a := range axes {
		drop[a] = true
	}
	out := Shape{}
	for i, d := range s {
		if !drop[i] {
			out = append(out, d)
		} else if keep {
			out = append(out, 1)
		}
	}
	return out
}

// MatMulShape returns the result shape of a batched matrix product of rank >= 2 operands; batch dimensions broadcast.
func MatMulShape(a, b Shape) (Shape, error) {
	if len(a) < 2 || len(b) < 2 {
		return nil, fmt.Errorf("matmul needs matrices, got %v and %v", a, b)
	}
	m, k, k2, n := a[len(a)-2], a[len(a)-1], b[len(b)-2], b[len(b)-1]
	if k != k2 {
		return nil, fmt.Errorf("inner dimensions differ: %v and %v", a, b)
	}
	batch, err := BroadcastShape(a[:len(a)-2], b[:len(b)-2])
	if err != nil {
		return nil, err
	}
	return append(batch, m, n), nil
}

// Window is the geometry of a 2-D convolution or pooling.
type Window struct {
	N, C, H, W     int // input
	OC, OH, OW     int // output
	KH, KW         int // kernel
	SH, SW         int // strides
	PT, PL, PB, PR int // pads: top, left, bottom, right
	DH, DW         int // dilations
	Group          int
}

// window reads strides, pads, dilations and group of v for input x and a kernel of kh by kw.
func window(v *Value, x Shape, kh, kw int) (Window, error) {
	var g Window
	if len(x) != 4 {
		return g, fmt.Errorf("input %v is not [batch,channels,height,width]", x)
	}
	get := func(key string, n, def int) ([]int, error) {
		a := v.Attrs.Ints(key)
		if a == nil {
			a = make([]int, n)
			for i := range a {
				a[i] = def
			}
		}
		if len(a) != n {
			return nil, fmt.Errorf("%s has %d entries, want %d", key, len(a), n)
		}
		for _, d := range a {
			if d < def || d > 1<<20 {
				return nil, fmt.Errorf("%s=%d is out of range", key, d)
			}
		}
		return a, nil
	}
	s, err := get("strides", 2, 1)
	if err != nil {
		return g, err
	}
	p, err := get("pads", 4, 0)
	if err != nil {
		return g, err
	}
	d, err := get("dilations", 2, 1)
	if err != nil {
		return g, err
	}
	if kh < 1 || kw < 1 || kh > 1<<16 || kw > 1<<16 {
		return g, fmt.Errorf("kernel %dx%d is out of range", kh, kw)
	}
	g = Window{N: x[0], C: x[1], H: x[2], W: x[3], KH: kh, KW: kw, SH: s[0], SW: s[1], PT: p[0], PL: p[1], PB: p[2], PR: p[3], DH: d[0], DW: d[1], Group: v.Attrs.Int("group", 1)}
	eh, ew := (kh-1)*d[0]+1, (kw-1)*d[1]+1
	if g.H+g.PT+g.PB < eh || g.W+g.PL+g.PR < ew {
		return g, fmt.Errorf("window %dx%d is larger than the padded input %v", eh, ew, x)
	}
	g.OH = (g.H+g.PT+g.PB-eh)/s[0] + 1
	g.OW = (g.W+g.PL+g.PR-ew)/s[1] + 1
	return g, nil
}

// ConvWindow returns the geometry of a conv value: x [N,C,H,W], w [OC,C/group,KH,KW].
func ConvWindow(v *Value) (Window, error) {
	x, w := v.Args[0].Type.Shape, v.Args[1].Type.Shape
	if len(w) != 4 {
		return Window{}, fmt.Errorf("kernel %v is not [out,in/group,height,width]", w)
	}
	g, err := window(v, x, w[2], w[3])
	if err != nil {
		return g, err
	}
	g.OC = w[0]
	if g.Group < 1 || g.C%g.Group != 0 || g.OC%g.Group != 0 || w[1] != g.C/g.Group {
		return g, fmt.Errorf("input %v and kernel %v do not fit %d groups", x, w, g.Group)
	}
	return g, nil
}

// PoolWindow returns the geometry of a pooling value: x [N,C,H,W], attribute kernel [KH,KW].
func PoolWindow(v *Value) (Window, error) {
	k := v.Attrs.Ints("kernel")
	if len(k) != 2 {
		return Window{}, fmt.Errorf("kernel has %d entries, want 2", len(k))
	}
	g, err := window(v, v.Args[0].Type.Shape, k[0], k[1])
	g.OC = g.C
	return g, err
}
