package onnx

import (
	"fmt"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
)

// initialisers decodes the tensors of a graph.
func (r *reader) initialisers(g *pb.GraphProto) {
	for _, t := range g.Initializer {
		name := t.GetName()
		pos := r.pos(fmt.Sprintf("initialiser %q", short(name)))
		if err := r.fresh(name); err != nil {
			r.errs.Add(pos, err)
			continue
		}
		d, err := decodeTensor(t, r.dir)
		if err == nil {
			err = r.hold(d)
		}
		if err == nil {
			d, err = r.intern(d)
		}
		r.define(name)
		if err != nil {
			r.errs.Add(pos, err)
			r.broken[name] = true
			continue
		}
		r.inits[name] = d
		if d.Elem == ir.Int {
			r.initTypes[d] = pb.TensorProto_DataType(t.GetDataType())
		}
	}
	for _, t := range g.SparseInitializer {
		name := t.GetValues().GetName()
		r.errs.Add(r.pos(fmt.Sprintf("initialiser %q", short(name))), fmt.Errorf("sparse initialisers are not supported"))
		r.define(name)
		r.broken[name] = true
	}
}

// hold counts a tensor of the file against what a file may hold; folding may make twice as much of it.
func (r *reader) hold(t *ir.Tensor) error {
	if r.held += float64(t.Len()); r.held > maxHeld {
		return fmt.Errorf("the model's tensors hold more than %d elements", maxHeld)
	}
	r.left.cells += 2 * float64(t.Len())
	return nil
}

// value returns the value of a name: computed before, or an initialiser that is declared on first use.
func (r *reader) value(name string) *ir.Value {
	if v := r.vals[name]; v != nil {
		return v
	}
	t := r.inits[name]
	if t == nil {
		return nil
	}
	pos := r.pos(fmt.Sprintf("initialiser %q", short(name)))
	var v *ir.Value
	var err error
	if r.private(t, r.initTypes[t]) {
		v, err = r.weight(pos, name, r.owner(name, r.opt.WeightOwner), t)
	} else {
		v, err = r.f.Emit(pos, ir.OpConst, ir.Attrs{ir.T("data", t)})
	}
	if err != nil {
		ir.Bug("%v: %v", pos, err) // names, owners and shapes have been checked
	}
	if typ, ok := r.initTypes[t]; ok && typ != pb.TensorProto_INT64 {
		r.types[v] = typ
	}
	r.vals[name] = v
	return v
}

// private reports whether data of the file is a weight: reals, and integers of few bits, as quantised weights have.
func (r *reader) private(t *ir.Tensor, typ pb.TensorProto_DataType) bool {
	return !r.opt.PublicWeights && (t.Elem == ir.Real || t.Elem == ir.Int && widths[typ] > 0 && widths[typ] <= 8 && t.Len() > maxLiteral)
}

func (r *reader) owner(name, def string) string {
	if o := r.opt.Owners[name]; o != "" {
		return o
	}
	return def
}
