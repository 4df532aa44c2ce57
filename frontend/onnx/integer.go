package onnx

import (
	"fmt"
	"math"
	"slices"
	"strings"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// Integers have types in ONNX: arithmetic keeps the low bits of its result that its type has, as onnxruntime does, and data of an input lies within
// the type. Values of the IR are integers of any size; what a type adds to that stands in this file.

// typeOf returns the type of an integer value; what nothing is noted of has 64 bits.
func (r *reader) typeOf(v *ir.Value) pb.TensorProto_DataType {
	if t, ok := r.types[v]; ok {
		return t
	}
	return pb.TensorProto_INT64
}

// bitsOf returns how many bits an integer type has, and whether it has a sign.
func bitsOf(t pb.TensorProto_DataType) (bits int, signed bool) {
	switch t {
	case pb.TensorProto_UINT8, pb.TensorProto_UINT16, pb.TensorProto_UINT32, pb.TensorProto_UINT64:
		return 8 * width(t), false
	}
	return 8 * width(t), true
}

// wholeType is the name of an integer type in the IR: of those whose range bounds data, which 64 bits do not.
func wholeType(t pb.TensorProto_DataType) string {
	if bits, _ := bitsOf(t); bits < 64 {
		return strings.ToLower(t.String())
	}
	return ""
}

// arithmetic lists the operators whose result may leave the type of its operands. Sums and products may be of any size on the way: what counts is the
// low bits of the last one.
var arithmetic = map[string]bool{"Add": true, "Sub": true, "Mul": true, "Div": true, "Neg": true, "Abs": true, "Pow": true, "BitShift": true, "Sum": true, "MatMul": true, "Gemm": true, "Einsum": true,
	"CumSum": true, "CumProd": true, "ReduceSum": true, "ReduceProd": true, "ReduceL1": true, "ReduceSumSquare": true, "Conv": true, "Scatter": true, "ScatterElements": true, "ScatterND": true}

// typed notes the types of a node's integer results, and keeps of them the bits that their type has.
func (n *node) typed(out []*ir.Value) ([]*ir.Value, error) {
	out = slices.Clone(out)
	for i, v := range out {
		if v == nil || v.Type.Elem != ir.Int {
			continue
		}
		t, ok := n.resultType(i)
		if _, noted := n.r.types[v]; !ok || noted && n.r.text.plain[v] || noted && domain(n.p.GetDomain()) != standard && !n.reads(v) {
			continue
		}
		var err error
		if arithmetic[n.p.GetOpType()] {
			if v, err = n.narrowed(v, t); err != nil {
				return nil, err
			}
		}
		if n.r.typeOf(v) != t {
			if _, noted := n.r.types[v]; noted || n.reads(v) { // the same number as another type has
				if v, err = n.renamed(v); err != nil {
					return nil, err
				}
			}
			n.r.types[v] = t
		}
		if t == pb.TensorProto_STRING {
			n.carried(v)
		}
		out[i] = v
	}
	return out, nil
}

// reads reports whether v is an input of the node.
func (n *node) reads(v *ir.Value) bool {
	return slices.ContainsFunc(n.p.Input, func(name string) bool { return name != "" && n.r.vals[name] == v })
}

// renamed returns a value of its own that is the same number.
func (n *node) renamed(v *ir.Value) (*ir.Value, error) {
	if v.Op == ir.OpConst {
		return n.constant(v.Attrs.Tensor("data"))
	}
	return n.e(ir.OpFormat, nil, v)
}

// resultType returns the type of integer output i, false if values have theirs already.
func (n *node) resultType(i int) (pb.TensorProto_DataType, bool) {
	of := func(j int) (pb.TensorProto_DataType, bool) {
		if n.given(j) && n.in(j).Type.Elem == ir.Int {
			return n.r.typeOf(n.in(j)), true
		}
		return pb.TensorProto_INT64, true
	}
	switch {
	case domain(n.p.GetDomain()) == standard:
	case n.p.GetOpType() == "ArrayFeatureExtractor":
		return of(0)
	default:
		return pb.TensorProto_INT64, true
	}
	switch op := n.p.GetOpType(); op {
	case "If", "Loop", "Scan", "QuantizeLinear", "QLinearConv", "QLinearMatMul", "DynamicQuantizeLinear": // which note it themselves
		return 0, false
	case "MatMulInteger", "ConvInteger":
		return pb.TensorProto_INT32, true
	case "Cast", "BitCast":
		return pb.TensorProto_DataType(n.int("to", 0)), true
	case "EyeLike":
		if n.has("dtype") {
			return pb.TensorProto_DataType(n.int("dtype", 0)), true
		}
	case "Constant", "ConstantOfShape":
		if a := n.attrs["value"]; a != nil {
			return pb.TensorProto_DataType(a.GetT().GetDataType()), true
		}
		if n.has("value_string") || n.has("value_strings") {
			return pb.TensorProto_STRING, true
		}
		return pb.TensorProto_INT64, true
	case "ArgMax", "ArgMin", "Shape", "Size", "NonZero":
		return pb.TensorProto_INT64, true
	case "TopK", "MaxPool", "Unique":
		if i > 0 { // places
			return pb.TensorProto_INT64, true
		}
	case "Where", "CastLike":
		return of(1)
	case "OneHot":
		return of(2)
	}
	return of(0)
}

// within returns the part of a declared range that the type of an input holds.
func (r *reader) within(name string, t pb.TensorProto_DataType, rg [2]float64) ([2]float64, error) {
	bits, signed := bitsOf(t)
	lo, hi := 0.0, math.Exp2(float64(bits))-1
	if signed {
		lo, hi = -math.Exp2(float64(bits-1)), math.Exp2(float64(bits-1))-1
	}
	if bits == 64 {
		lo, hi = max(lo, -math.Exp2(63)), math.Exp2(63)
	}
	if rg[0] > hi || rg[1] < lo {
		return rg, fmt.Errorf("declared range %g..%g of %q has no number that %v holds, which ends at %g..%g", rg[0], rg[1], short(name), t, lo, hi)
	}
	return [2]float64{max(rg[0], lo), min(rg[1], hi)}, nil
}

// An index is a value that names a place of a table: what lies outside is no index, and the model has no result.
type index struct {
	v    *ir.Value
	size int
}

// names notes that secret integers name places of a table of the given size, wherever the model runs.
func (n *node) names(v *ir.Value, size int) {
	if n.r.branches == 0 {
		n.r.indices = append(n.r.indices, index{v, size})
	}
}

// boundIndices bounds inputs that name places of tables: -size..size-1, where negative ones count from the end. An owner whose data lies outside
// is told by its encoder.
func (r *reader) boundIndices() {
	for _, x := range r.indices {
		v := x.v
		for v.Op == ir.OpReshape || v.Op == ir.OpTranspose || v.Op == ir.OpExpand || v.Op == ir.OpFormat || v.Op == ir.OpWrap { // all elements are there
			v = v.Args[0]
		}
		if v.Op != ir.OpInput || v.Type.Elem != ir.Int {
			continue
		}
		lo, hi := float64(-x.size), float64(x.size-1)
		if v.Attrs.Has("lo") {
			had := [2]float64{v.Attrs.Float("lo", lo), v.Attrs.Float("hi", hi)}
			if had[0] > hi || had[1] < lo {
				r.errs.Add(v.Pos, fmt.Errorf("declared range %g..%g has no place of a table of %d rows", had[0], had[1], x.size))
				continue
			}
			lo, hi = max(lo, had[0]), min(hi, had[1])
		}
		v.Attrs = v.Attrs.With(ir.F("lo", lo)).With(ir.F("hi", hi))
	}
}
