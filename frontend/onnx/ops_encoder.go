package onnx

import (
	"fmt"
	"math"
	"slices"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// What stands in front of classical models: encoders of categories, imputers, and operators that join features. Categories are public; what
// they are mapped to is public where it is integers or text, and a weight of the model's owner where it is reals, which may have been learned.

// A legend is a list of keys or values of an encoder: reals, integers or text.
type legend struct {
	kind pb.TensorProto_DataType // FLOAT, INT64 or STRING
	f    []float64
	i    []int64
}

// len returns the number of entries.
func (l *legend) len() int {
	if l.kind == pb.TensorProto_FLOAT {
		return len(l.f)
	}
	return len(l.i)
}

// tensor holds the entries.
func (l *legend) tensor(s ir.Shape) *ir.Tensor {
	if l.kind == pb.TensorProto_FLOAT {
		return ir.Reals(s, l.f...)
	}
	return ir.Ints(s, l.i...)
}

// legend reads PREFIX_floats, _int64s, _strings or _tensor; nil if none is there.
func (n *node) legend(prefix string) (*legend, error) {
	if a := n.attrs[prefix+"_tensor"]; a != nil {
		t, err := n.held(a.GetT())
		if err != nil {
			return nil, fmt.Errorf("%s_tensor: %w", prefix, err)
		}
		switch {
		case pb.TensorProto_DataType(a.GetT().GetDataType()) == pb.TensorProto_STRING:
			return &legend{kind: pb.TensorProto_STRING, i: t.I}, nil
		case t.Elem == ir.Real:
			return &legend{kind: pb.TensorProto_FLOAT, f: t.F}, nil
		}
		return &legend{kind: pb.TensorProto_INT64, i: t.I}, nil
	}
	var out *legend
	for _, suffix := range []string{"_floats", "_int64s", "_strings"} {
		a := n.attrs[prefix+suffix]
		if a == nil || len(a.Floats)+len(a.Ints)+len(a.Strings) == 0 {
			continue
		}
		if out != nil {
			return nil, fmt.Errorf("has %s of more than one kind", prefix)
		}
		switch suffix {
		case "_floats":
			out = &legend{kind: pb.TensorProto_FLOAT}
			for _, x := range a.Floats {
				out.f = append(out.f, float64(x))
			}
		case "_int64s":
			out = &legend{kind: pb.TensorProto_INT64, i: slices.Clone(a.Ints)}
		default:
			list, err := n.places(a.Strings)
			if err != nil {
				return nil, err
			}
			out = &legend{kind: pb.TensorProto_STRING, i: list}
		}
	}
	return out, nil
}

// hits compares each element of x [...] with public keys: booleans [..., len(keys)]. A key that is NaN is that of missing elements.
func (c *calc) hits(x *ir.Value, keys *legend) *ir.Value {
	if c.err != nil {
		return nil
	}
	text := c.n.r.isText(x)
	switch {
	case text != (keys.kind == pb.TensorProto_STRING):
		return c.fail("keys are %v, and the input is not", keys.kind)
	case keys.kind == pb.TensorProto_INT64 && x.Type.Elem == ir.Real:
		keys = &legend{kind: pb.TensorProto_FLOAT, f: reals64(keys.i)}
	case keys.kind == pb.TensorProto_FLOAT:
		x = c.to(x, ir.Real)
	case x.Type.Elem == ir.Bool:
		x = c.to(x, ir.Int)
	}
	if err := c.n.r.left.take(0, volume(x.Type.Shape)*float64(keys.len())); err != nil {
		return c.got(nil, err)
	}
	s := append(slices.Clone(x.Type.Shape), 1)
	nan := -1
	for i, f := range keys.f {
		switch {
		case math.IsInf(f, 0):
			return c.fail("key %d is not a finite number", i)
		case math.IsNaN(f):
			nan = i
			keys = &legend{kind: keys.kind, f: slices.Clone(keys.f)}
			keys.f[i] = 0
		}
	}
	hit := c.e(ir.OpEq, nil, c.reshape(x, s...), c.data(keys.tensor(ir.Shape{keys.len()}), false))
	if nan < 0 {
		return hit
	}
	// what is missing is no key but that of missing elements
	absent := c.missing(x)
	if x.Type.Elem == ir.Real && c.err == nil {
		c.n.r.settled[hit] = true
	}
	if absent == nil {
		absent = c.expand(c.data(c.table(ir.Bool), false), x.Type.Shape)
	}
	absent = c.reshape(absent, s...)
	hit = c.e(ir.OpAnd, nil, hit, c.e(ir.OpNot, nil, absent))
	last := len(s) - 1
	var parts []*ir.Value
	for _, p := range []*ir.Value{c.cut(hit, last, 0, nan), absent, c.cut(hit, last, nan+1, keys.len())} {
		if p != nil && p.Type.Shape[last] > 0 {
			parts = append(parts, p)
		}
	}
	return c.concat(last, parts...)
}

// reals64 converts integers.
func reals64(list []int64) []float64 {
	out := make([]float64, len(list))
	for i, x := range list {
		out[i] = float64(x)
	}
	return out
}

// mapped returns of each element of x the value of its key, or rest.
func (c *calc) mapped(x *ir.Value, keys, values *legend, rest *legend) *ir.Value {
	if c.err != nil {
		return nil
	}
	if keys.len() != values.len() || keys.len() == 0 || rest.kind != values.kind {
		return c.fail("%d keys and %d values of %v with a default of %v do not fit", keys.len(), values.len(), values.kind, rest.kind)
	}
	if c.twice(keys) {
		return nil
	}
	hot := c.hits(x, keys)
	if c.err != nil {
		return nil
	}
	e := ir.Int
	if values.kind == pb.TensorProto_FLOAT {
		e = ir.Real
	}
	diff := values.tensor(ir.Shape{values.len(), 1})
	diff = &ir.Tensor{Elem: diff.Elem, Shape: diff.Shape, F: slices.Clone(diff.F), I: slices.Clone(diff.I)}
	for i := range diff.F {
		diff.F[i] -= rest.f[0]
		if math.IsNaN(diff.F[i]) || math.IsInf(diff.F[i], 0) {
			return c.fail("value %d or the default is not a finite number", i)
		}
	}
	for i := range diff.I {
		d := diff.I[i] - rest.i[0]
		if (d > 0) != (diff.I[i] > rest.i[0]) || d > 1<<53 || d < -1<<53 {
			return c.fail("value %d and the default are too far apart", i)
		}
		diff.I[i] = d
	}
	var w, base *ir.Value
	if e == ir.Real {
		w, base = c.learned("values", diff), c.learned("default", rest.tensor(ir.Shape{1}))
	} else {
		w, base = c.data(diff, false), c.data(rest.tensor(ir.Shape{}), false)
	}
	k := keys.len()
	y := c.e(ir.OpMatMul, nil, c.to(c.reshape(hot, x.Type.Shape.Size(), k), e), w)
	y = c.reshape(c.add(y, base), x.Type.Shape...)
	if values.kind == pb.TensorProto_STRING {
		return c.n.r.asText(y, false)
	}
	return y
}

// twice records an error if a key appears twice.
func (c *calc) twice(keys *legend) bool {
	seen := map[any]bool{}
	for i := range keys.len() {
		var k any
		switch {
		case keys.kind != pb.TensorProto_FLOAT:
			k = keys.i[i]
		case math.IsNaN(keys.f[i]):
			k = "NaN"
		default:
			k = keys.f[i]
		}
		if seen[k] {
			c.fail("key %d appears twice, and runtimes differ in which they take", i)
			return true
		}
		seen[k] = true
	}
	return false
}

// defaultOf reads the value for unknown keys: default_tensor, or that of the kind.
func (n *node) defaultOf(kind pb.TensorProto_DataType) (*legend, error) {
	if n.has("default_tensor") {
		l, err := n.legend("default")
		if err == nil && (l.len() != 1 || l.kind != kind) {
			err = fmt.Errorf("default_tensor has %d elements of %v, want one of %v", l.len(), l.kind, kind)
		}
		return l, err
	}
	switch kind {
	case pb.TensorProto_FLOAT:
		return &legend{kind: kind, f: []float64{n.float("default_float", 0)}}, nil
	case pb.TensorProto_INT64:
		def := int64(-1)
		if a := n.attrs["default_int64"]; a != nil {
			def = a.GetI()
		}
		return &legend{kind: kind, i: []int64{def}}, nil
	}
	list, err := n.places([][]byte{[]byte(n.str("default_string", "_Unused"))})
	return &legend{kind: kind, i: list}, err
}

// labelEncoder lowers LabelEncoder from version 2 on.
func labelEncoder(n *node) ([]*ir.Value, error) {
	keys, err := n.legend("keys")
	if err != nil {
		return nil, err
	}
	values, err := n.legend("values")
	if err != nil {
		return nil, err
	}
	if keys == nil || values == nil {
		if keys == nil && n.has("classes_strings") {
			return numbering(n, "classes_strings", nil)
		}
		return nil, fmt.Errorf("keys or values are missing")
	}
	rest, err := n.defaultOf(values.kind)
	if err != nil {
		return nil, err
	}
	c := n.calc()
	return c.one(c.mapped(n.in(0), keys, values, rest))
}

// numbering maps strings to numbers, their places if ids is nil, or, of an input of numbers, numbers to strings.
func numbering(n *node, attr string, ids []int64) ([]*ir.Value, error) {
	a := n.attrs[attr]
	if a == nil || len(a.Strings) == 0 {
		return nil, fmt.Errorf("%s is missing", attr)
	}
	list, err := n.places(a.Strings)
	if err != nil {
		return nil, err
	}
	if ids == nil {
		for i := range list {
			ids = append(ids, int64(i))
		}
	}
	text, numbers := &legend{kind: pb.TensorProto_STRING, i: list}, &legend{kind: pb.TensorProto_INT64, i: ids}
	keys, values := text, numbers
	if !n.r.isText(n.in(0)) {
		keys, values = numbers, text
	}
	rest, err := n.defaultOf(values.kind)
	if err != nil {
		return nil, err
	}
	c := n.calc()
	return c.one(c.mapped(n.in(0), keys, values, rest))
}

// categoryMapper lowers CategoryMapper.
func categoryMapper(n *node) ([]*ir.Value, error) {
	ids := n.attrs["cats_int64s"]
	if ids == nil || len(ids.Ints) == 0 {
		return nil, fmt.Errorf("cats_int64s is missing")
	}
	return numbering(n, "cats_strings", slices.Clone(ids.Ints))
}

// oneHotEncoder lowers OneHotEncoder: an element becomes the list of whether it is each of the categories.
func oneHotEncoder(n *node) ([]*ir.Value, error) {
	cats, err := n.legend("cats")
	if err != nil {
		return nil, err
	}
	if cats == nil {
		return nil, fmt.Errorf("cats_int64s and cats_strings are missing")
	}
	x, c := n.in(0), n.calc()
	if c.twice(cats) {
		return nil, c.err
	}
	if n.int("zeros", 1) == 0 {
		if n.r.isText(x) {
			n.r.closed(x)
		} else if x.Type.Elem == ir.Int {
			n.among(x, cats.i)
		}
		n.oneOf(x, cats.i)
	}
	return c.one(c.to(c.hits(x, cats), ir.Real))
}

// among bounds an input of integers whose elements must each be one of a list.
func (n *node) among(v *ir.Value, list []int64) {
	for v.Op == ir.OpReshape || v.Op == ir.OpTranspose || v.Op == ir.OpExpand || v.Op == ir.OpFormat {
		v = v.Args[0]
	}
	if v.Op != ir.OpInput || v.Type.Elem != ir.Int || n.r.branches > 0 {
		return
	}
	lo, hi := float64(slices.Min(list)), float64(slices.Max(list))
	if v.Attrs.Has("lo") {
		lo, hi = max(lo, v.Attrs.Float("lo", lo)), min(hi, v.Attrs.Float("hi", hi))
	}
	if lo <= hi {
		v.Attrs = v.Attrs.With(ir.F("lo", lo)).With(ir.F("hi", hi))
	}
}

// imputer lowers Imputer: elements that equal a number, or are missing, become others.
func imputer(n *node) ([]*ir.Value, error) {
	x, c := n.in(0), n.calc()
	s := x.Type.Shape
	if len(s) == 0 {
		return nil, c.wrongInput(x)
	}
	features := s[len(s)-1]
	var values []float64
	whole := x.Type.Elem == ir.Int
	if whole {
		values = reals64(n.attrInts("imputed_value_int64s"))
	} else {
		var err error
		if values, err = n.floats("imputed_value_floats"); err != nil {
			return nil, err
		}
	}
	if len(values) != 1 && len(values) != features || features == 0 {
		return nil, fmt.Errorf("%d values for %d features of %v, want one each or one for all", len(values), features, x.Type.Elem)
	}
	if whole {
		t := c.table(ir.Int, len(values))
		if t == nil {
			return nil, c.err
		}
		copy(t.I, n.attrInts("imputed_value_int64s"))
		var marker int64
		if a := n.attrs["replaced_value_int64"]; a != nil {
			marker = a.GetI()
		}
		hit := c.e(ir.OpEq, nil, x, c.data(ir.Ints(ir.Shape{}, marker), false))
		return c.one(c.e(ir.OpSelect, nil, hit, c.data(t, false), x))
	}
	marker := 0.0
	if a := n.attrs["replaced_value_float"]; a != nil {
		marker = float64(a.GetF())
	}
	var hit *ir.Value
	switch {
	case math.IsNaN(marker):
		hit = c.missing(x)
	case math.IsInf(marker, 0):
		return nil, fmt.Errorf("replaced_value_float is infinite, and no element ever is")
	default:
		hit = c.e(ir.OpEq, nil, x, c.num(x, marker))
	}
	if c.err != nil || hit == nil { // nothing is missing
		return c.one(x)
	}
	return c.one(c.e(ir.OpSelect, nil, hit, c.vector("imputed", values, features), x))
}

// attrInts returns the integers of an attribute as they are.
func (n *node) attrInts(name string) []int64 {
	if a := n.attrs[name]; a != nil {
		return a.Ints
	}
	return nil
}

// featureVectorizer joins features side by side; each input takes as many columns as inputdimensions says: more are dropped, fewer filled with zeros.
func featureVectorizer(n *node) ([]*ir.Value, error) {
	c := n.calc()
	sizes := n.ints("inputdimensions")
	if sizes != nil && len(sizes) != len(n.p.Input) {
		return nil, fmt.Errorf("inputdimensions has %d entries for %d inputs", len(sizes), len(n.p.Input))
	}
	var parts []*ir.Value
	for i := range n.p.Input {
		x := c.to(n.in(i), ir.Real)
		if c.err != nil {
			return nil, c.err
		}
		s := x.Type.Shape
		switch len(s) {
		case 1: // a number for each sample
			x = c.reshape(x, s[0], 1)
		case 2:
		default:
			return nil, fmt.Errorf("input %d is %v, want samples of features", i+1, s)
		}
		if sizes != nil && c.err == nil {
			have := x.Type.Shape[1]
			switch {
			case sizes[i] < 0 || sizes[i] > 1<<20:
				return nil, fmt.Errorf("inputdimensions has the entry %d", sizes[i])
			case have > sizes[i]:
				x = c.cut(x, 1, 0, sizes[i])
			case have < sizes[i]:
				x = c.e(ir.OpPad, ir.Attrs{ir.Is("pads", 0, 0, 0, int64(sizes[i]-have))}, x)
			}
		}
		if len(parts) > 0 && c.err == nil && x.Type.Shape[0] != parts[0].Type.Shape[0] {
			return nil, diag.Errorf(n.at, "input %d has %d samples, the first one %d", i+1, x.Type.Shape[0], parts[0].Type.Shape[0]).WithHint("give all inputs the same number of rows")
		}
		parts = append(parts, x)
	}
	return c.one(c.concat(1, parts...))
}

func init() {
	const ml = "ai.onnx.ml."
	add(ml+"LabelEncoder", "Numbers or strings for numbers or strings by a public list of keys; what they become is public but for reals, which stay private.", labelEncoder,
		version{since: 1, in: 1, max: 1, attrs: "classes_strings:ss default_int64:i default_string:s"},
		version{since: 2, in: 1, max: 1, attrs: "default_float:f default_int64:i default_string:s keys_floats:fs keys_int64s:is keys_strings:ss values_floats:fs values_int64s:is values_strings:ss"},
		version{since: 4, in: 1, max: 1, attrs: "default_float:f default_int64:i default_string:s default_tensor:t keys_floats:fs keys_int64s:is keys_strings:ss keys_tensor:t values_floats:fs values_int64s:is values_strings:ss values_tensor:t"})
	add(ml+"CategoryMapper", "Strings for integers or integers for strings, by public lists.", categoryMapper,
		version{since: 1, in: 1, max: 1, attrs: "cats_int64s:is cats_strings:ss default_int64:i default_string:s"})
	add(ml+"OneHotEncoder", "Which of the public categories each element is; none of them gives zeros, where zeros=0 does not make the owner's client refuse it.", oneHotEncoder,
		version{since: 1, in: 1, max: 1, attrs: "cats_int64s:is cats_strings:ss zeros:i"})
	add(ml+"Imputer", "Private values in the place of elements that equal a public number, or are missing.", imputer,
		version{since: 1, in: 1, max: 1, attrs: "imputed_value_floats:fs imputed_value_int64s:is replaced_value_float:f replaced_value_int64:i"})
	add(ml+"FeatureVectorizer", "Features side by side, as reals.", featureVectorizer, version{since: 1, in: 1, max: -1, attrs: "inputdimensions:is"})
	add(ml+"Binarizer", "1 above a private threshold, 0 elsewhere.", func(n *node) ([]*ir.Value, error) {
		c, x := n.calc(), n.in(0)
		t := c.learned("threshold", ir.Reals(ir.Shape{1}, n.float("threshold", 0)))
		return c.one(c.to(c.e(ir.OpGt, nil, c.to(x, ir.Real), t), x.Type.Elem))
	}, version{since: 1, in: 1, max: 1, attrs: "threshold:f"})
}
