package onnx

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// dimName returns a declared dimension: a number, a symbol, or "?" where the file says nothing or, as some exporters do, -1.
func dimName(d *pb.TensorShapeProto_Dimension) string {
	switch v := d.Value.(type) {
	case *pb.TensorShapeProto_Dimension_DimValue:
		if v.DimValue >= 0 {
			return strconv.FormatInt(v.DimValue, 10)
		}
	case *pb.TensorShapeProto_Dimension_DimParam:
		if v.DimParam != "" {
			return short(v.DimParam)
		}
	}
	return "?"
}

func dimNames(s *pb.TensorShapeProto) string {
	var out []string
	for _, d := range s.Dim {
		out = append(out, dimName(d))
	}
	return "[" + strings.Join(out, ",") + "]"
}

// given returns the shape of the data that the user gives an input.
func (r *reader) given(name string) (ir.Shape, bool) {
	if p := r.opt.Public[name]; p != nil {
		return p.Shape, true
	}
	s, ok := r.opt.Shapes[name]
	return s, ok
}

// bind sets symbolic dimensions that the user has not set from the shapes of all data given, and returns the symbols.
func (r *reader) bind(inputs []*pb.ValueInfoProto) map[string]bool {
	symbols := map[string]bool{}
	for _, v := range inputs {
		dims := v.GetType().GetTensorType().GetShape().GetDim()
		s, ok := r.given(v.GetName())
		for i, d := range dims {
			n := dimName(d)
			if _, err := strconv.Atoi(n); err == nil || n == "?" {
				continue
			}
			symbols[n] = true
			if _, set := r.opt.Dims[n]; ok && !set && len(s) == len(dims) {
				r.opt.Dims[n] = s[i]
				if r.opt.Bound != nil {
					r.opt.Bound[n] = s[i]
				}
			}
		}
	}
	return symbols
}

// input declares an input, or binds the data of a public one.
func (r *reader) input(v *pb.ValueInfoProto) {
	name := v.GetName()
	pos := r.pos(fmt.Sprintf("input %q", short(name)))
	fail := func(err error) {
		r.errs.Add(pos, err)
		r.broken[name] = true
	}
	t := v.GetType().GetTensorType()
	if t == nil {
		fail(notTensor(pos, v.GetType()))
		return
	}
	if err := r.fresh(name); err != nil {
		r.errs.Add(pos, err)
		return
	}
	r.define(name)
	e, err := kindOf(t.GetElemType())
	if err != nil {
		fail(err)
		return
	}
	public := r.opt.Public[name]
	given, hasGiven := r.given(name)
	if t.Shape == nil && !hasGiven {
		fail(diag.Errorf(pos, "shape is not known").WithHint("give the input's data (--input %s=FILE), or export the model with shapes", name))
		return
	}
	shape := given
	if t.Shape != nil {
		if len(t.Shape.Dim) > maxRank {
			fail(fmt.Errorf("has %d dimensions, at most %d are allowed", len(t.Shape.Dim), maxRank))
			return
		}
		if hasGiven && len(given) != len(t.Shape.Dim) {
			fail(fmt.Errorf("data has shape %v, the model wants %d dimensions: %s", given, len(t.Shape.Dim), dimNames(t.Shape)))
			return
		}
		shape = make(ir.Shape, len(t.Shape.Dim))
		for i, d := range t.Shape.Dim {
			n := dimName(d)
			k, err := strconv.Atoi(n)
			bound, isBound := r.opt.Dims[n]
			switch {
			case err == nil && hasGiven && given[i] != k:
				fail(fmt.Errorf("data has shape %v, the model wants %s", given, dimNames(t.Shape)))
				return
			case err == nil:
			case hasGiven && isBound && bound != given[i]:
				fail(fmt.Errorf("data has shape %v, but dimension %s is %d", given, n, bound))
				return
			case hasGiven:
				k = given[i]
			case isBound:
				k = bound
			case n == "?":
				fail(diag.Errorf(pos, "dimension %d of %s is not known", i, dimNames(t.Shape)).
					WithHint("give the input's data (--input %s=FILE), or export the model with shapes", name))
				return
			default:
				fail(diag.Errorf(pos, "dimension %s of %s is not known", n, dimNames(t.Shape)).WithHint("set it: --dim %s=1", n))
				return
			}
			shape[i] = k
		}
	}
	if err := ir.CheckShape(shape); err != nil {
		fail(err)
		return
	}
	text := pb.TensorProto_DataType(t.GetElemType()) == pb.TensorProto_STRING
	if public != nil {
		if text != (public.Words != nil) {
			fail(fmt.Errorf("public data is text or numbers, and the model wants the other"))
			return
		}
		if public, err = r.intern(public); err != nil {
			fail(err)
			return
		}
		if e == ir.Real && public.Elem == ir.Int {
			c := ir.NewTensor(ir.Real, shape)
			for i := range c.F {
				c.F[i] = public.At(i)
			}
			public = c
		}
		if public.Elem != e {
			fail(fmt.Errorf("public data is %v, the model wants %v", public.Elem, e))
			return
		}
		c, err := r.f.Emit(pos, ir.OpConst, ir.Attrs{ir.T("data", public)})
		if err != nil {
			fail(err)
			return
		}
		r.vals[name] = c
		if e == ir.Int {
			r.types[c] = pb.TensorProto_DataType(t.GetElemType())
		}
		return
	}
	attrs := ir.Attrs{ir.S("name", name), ir.S("owner", r.owner(name, r.opt.InputOwner)), ir.S("elem", e.String()), ir.Dims("shape", shape)}
	attrs = attrs.Guest(slices.Contains(r.opt.Guests, attrs.Str("owner")))
	typ := pb.TensorProto_DataType(t.GetElemType())
	if rg, ok := r.opt.Ranges[name]; ok && text {
		r.errs.Add(pos, &diag.Error{Kind: diag.Usage, Pos: pos, Msg: fmt.Sprintf("--range %s: this input is text, which has no range", short(name)), Hint: "leave the flag out"})
	} else if ok {
		if e == ir.Int {
			if rg, err = r.within(name, typ, rg); err != nil {
				fail(err)
				return
			}
		} else if e == ir.Real {
			rg[0], rg[1] = ir.Admitting(rg[0], rg[1])
		}
		attrs = append(attrs, ir.F("lo", rg[0]), ir.F("hi", rg[1]))
	}
	if c := r.opt.Columns[name]; len(c) > 0 {
		declared, err := r.columns(name, e, shape, c)
		if err != nil {
			fail(err)
			return
		}
		attrs = append(attrs, declared...)
	}
	if w := wholeType(typ); e == ir.Int && w != "" {
		attrs = append(attrs, ir.S("type", w))
	}
	x, err := r.f.Emit(pos, ir.OpInput, attrs)
	if err != nil {
		fail(err)
		return
	}
	r.vals[name] = x
	if e == ir.Int {
		r.types[x] = typ
	}
	r.text.open[x] = text
}

// columns returns the attributes that declare ranges of some columns of an input.
func (r *reader) columns(name string, e ir.Elem, shape ir.Shape, declared map[int][2]float64) (ir.Attrs, error) {
	wrong := func(hint, format string, args ...any) error {
		return &diag.Error{Kind: diag.Usage, Pos: r.pos(fmt.Sprintf("input %q", short(name))), Msg: fmt.Sprintf(format, args...), Hint: hint}
	}
	if e != ir.Real || len(shape) == 0 {
		return nil, wrong(fmt.Sprintf("declare one range: --range %s=LO..HI", short(name)), "--range: columns are declared of tables of real numbers, and this input is %v%v", e, shape)
	}
	list := slices.Sorted(maps.Keys(declared))
	k := shape[len(shape)-1]
	bounds := ir.NewTensor(ir.Real, ir.Shape{len(list), 2})
	for i, c := range list {
		if c < 0 || c >= k {
			return nil, wrong(fmt.Sprintf("columns count from 0 to %d", k-1), "--range: input %q has no column %d, its shape is %v", short(name), c, shape)
		}
		bounds.F[2*i], bounds.F[2*i+1] = ir.Admitting(declared[c][0], declared[c][1])
	}
	return ir.Attrs{ir.Dims("columns", list), ir.T("bounds", bounds)}, nil
}
