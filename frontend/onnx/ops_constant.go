package onnx

import (
	"errors"
	"fmt"
	"math"
	"slices"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// Constants, and what is constant because shapes are public.

// constantNode reads the one attribute of a Constant node.
func constantNode(n *node) ([]*ir.Value, error) {
	if len(n.attrs) != 1 {
		return nil, fmt.Errorf("has %d values, want one", len(n.attrs))
	}
	for name, a := range n.attrs {
		switch name {
		case "value":
			return one(n.literal(a.GetT()))
		case "value_float":
			return one(n.constant(ir.Reals(ir.Shape{}, float64(a.GetF()))))
		case "value_floats":
			t := ir.NewTensor(ir.Real, ir.Shape{len(a.Floats)})
			for i, x := range a.Floats {
				t.F[i] = float64(x)
			}
			return one(n.constant(t))
		case "value_string", "value_strings":
			list, s := a.Strings, ir.Shape{len(a.Strings)}
			if name == "value_string" {
				list, s = [][]byte{a.GetS()}, ir.Shape{}
			}
			codes, err := n.places(list)
			if err != nil {
				return nil, err
			}
			v, err := n.constant(ir.Ints(s, codes...))
			return one(n.r.asText(v, false), err)
		case "value_int":
			return one(n.constant(ir.Ints(ir.Shape{}, a.GetI())))
		case "value_ints":
			return one(n.constant(ir.Ints(ir.Shape{len(a.Ints)}, append([]int64{}, a.Ints...)...)))
		}
	}
	return nil, errors.New("value is missing")
}

// maxLiteral is the number of reals up to which a Constant node is a public parameter of the graph. Larger ones are weights, as if
// they were initialisers: some exporters write them so, always inside branches.
const maxLiteral = 8

// literal returns the tensor of a Constant node, once for all trips through a loop.
func (n *node) literal(p *pb.TensorProto) (*ir.Value, error) {
	if v := n.r.literals[p]; v != nil {
		return v, nil
	}
	t, err := n.held(p)
	if err != nil {
		return nil, err
	}
	var v *ir.Value
	if t.Len() > maxLiteral && n.r.private(t, pb.TensorProto_DataType(p.GetDataType())) {
		name := "constant"
		if len(n.p.Output) > 0 && n.p.Output[0] != "" {
			name = n.p.Output[0]
		}
		if v, err = n.r.weight(n.at, name, n.r.owner(name, n.r.opt.WeightOwner), t); err == nil {
			n.r.written[v] = t
		}
	} else {
		v, err = n.constant(t)
	}
	if err == nil {
		n.r.literals[p] = v
	}
	return v, err
}

// held decodes a tensor attribute, which counts against what a file may hold.
func (n *node) held(p *pb.TensorProto) (*ir.Tensor, error) {
	if p == nil {
		return nil, errors.New("value is missing")
	}
	t, err := decodeTensor(p, n.r.dir)
	if err != nil {
		return nil, err
	}
	if err := n.r.hold(t); err != nil {
		return nil, err
	}
	return n.r.intern(t)
}

// constantFill lowers ConstantFill, an experiment that never became an operator of the standard and that exporters used.
func constantFill(n *node) ([]*ir.Value, error) {
	e := ir.Real
	var err error
	if n.has("dtype") {
		if e, err = elemOf(int32(n.int("dtype", 0))); err != nil {
			return nil, err
		}
	}
	dims := n.ints("shape")
	switch {
	case n.given(0) && n.int("input_as_shape", 0) != 0:
		if dims, err = n.list(0, "shape"); err != nil {
			return nil, err
		}
	case n.given(0):
		dims = slices.Clone(n.in(0).Type.Shape)
	}
	dims = append(slices.Clone(dims), n.ints("extra_shape")...)
	if len(dims) > maxRank {
		return nil, fmt.Errorf("shape has %d dimensions, at most %d are allowed", len(dims), maxRank)
	}
	c := n.calc()
	t := c.table(e)
	if t == nil {
		return nil, c.err
	}
	x := n.float("value", 0)
	if e == ir.Real {
		t.F[0] = x
	} else {
		t.I[0] = int64(x)
	}
	return c.one(c.expand(c.data(t, false), dims))
}

// fill lowers ConstantOfShape.
func fill(n *node) ([]*ir.Value, error) {
	dims, err := n.list(0, "shape")
	if err != nil {
		return nil, err
	}
	if len(dims) > maxRank {
		return nil, fmt.Errorf("shape has %d dimensions, at most %d are allowed", len(dims), maxRank)
	}
	v := ir.Reals(ir.Shape{1}, 0)
	if a := n.attrs["value"]; a != nil {
		if v, err = n.held(a.GetT()); err != nil {
			return nil, err
		}
		if v.Len() != 1 {
			return nil, fmt.Errorf("value has %d elements, want one", v.Len())
		}
	}
	c, err := n.constant(&ir.Tensor{Elem: v.Elem, Shape: ir.Shape{}, F: v.F, I: v.I})
	if err != nil {
		return nil, err
	}
	return one(n.expand(c, dims))
}

// shape lowers Shape: dimensions are public.
func shape(n *node) ([]*ir.Value, error) {
	s := n.in(0).Type.Shape
	bound := func(x int) int {
		if x < 0 {
			x += len(s)
		}
		return max(0, min(x, len(s)))
	}
	from, to := bound(n.int("start", 0)), bound(n.int("end", len(s)))
	t := ir.NewTensor(ir.Int, ir.Shape{max(0, to-from)})
	for i := range t.I {
		t.I[i] = int64(s[from+i])
	}
	return one(n.constant(t))
}

// maxRange bounds the result of Range.
const maxRange = 1 << 24

// series lowers Range: public numbers from start to limit.
func series(n *node) ([]*ir.Value, error) {
	var p [3]*ir.Tensor
	for i, what := range []string{"start", "limit", "delta"} {
		var err error
		if p[i], err = n.public(i, what); err != nil {
			return nil, err
		}
		if p[i].Len() != 1 || p[i].Elem != p[0].Elem || p[i].Elem == ir.Bool {
			return nil, fmt.Errorf("%s is not a number of the kind of the others", what)
		}
	}
	a, b, d := p[0].At(0), p[1].At(0), p[2].At(0)
	size := math.Ceil((b - a) / d)
	if d == 0 || !(size < maxRange) || math.IsInf(a, 0) {
		return nil, fmt.Errorf("range %g..%g by %g does not end, or not within %d elements", a, b, d, maxRange)
	}
	t, err := n.tensor(p[0].Elem, ir.Shape{int(max(0, size))})
	if err != nil {
		return nil, err
	}
	for i := range t.Len() {
		if t.Elem == ir.Real {
			t.F[i] = a + float64(float64(i)*d) // converted, so that no CPU fuses it: the same bits everywhere
		} else {
			t.I[i] = p[0].I[0] + int64(i)*p[2].I[0]
		}
	}
	return one(n.constant(t))
}

func init() {
	add("Constant", "A public constant.", constantNode,
		version{since: 1, attrs: "value:t!"},
		version{since: 12, attrs: "value:t value_float:f value_floats:fs value_int:i value_ints:is value_string:s value_strings:ss"})
	add("ConstantOfShape", "A public constant of one value.", fill, version{since: 9, in: 1, max: 1, attrs: "value:t"})
	add("ConstantFill", "A public constant of one value, as PyTorch wrote it up to opset 8.", constantFill, version{since: 1, max: 1, attrs: "dtype:i extra_shape:is input_as_shape:i shape:is value:f"})
	add("Shape", "The input's dimensions, which are public.", shape,
		version{since: 1, in: 1, max: 1},
		version{since: 15, in: 1, max: 1, attrs: "start:i end:i"})
	add("Size", "The input's number of elements, which is public.", func(n *node) ([]*ir.Value, error) {
		return one(n.constant(ir.Ints(ir.Shape{}, int64(n.in(0).Type.Shape.Size()))))
	}, version{since: 1, in: 1, max: 1})
	add("Range", "Public numbers from start to limit.", series, version{since: 11, in: 3, max: 3})
}
