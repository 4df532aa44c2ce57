package onnx

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Functions that a model defines itself are inlined where they are called.

// maxFunctions bounds how many functions a model may define.
const maxFunctions = 1 << 12

// A functionKey names a function: several may share a domain and a name, told apart by their overload.
type functionKey struct{ domain, name, overload string }

func (k functionKey) String() string {
	s := short(k.name)
	if k.overload != "" {
		s += fmt.Sprintf(" (overload %q)", short(k.overload))
	}
	return s
}

// functions indexes the model's own functions.
func (r *reader) functionTable(list []*pb.FunctionProto) {
	r.functions = map[functionKey]*pb.FunctionProto{}
	if len(list) > maxFunctions {
		r.errs.Add(r.pos(""), fmt.Errorf("model has more than %d functions", maxFunctions))
		return
	}
	for _, f := range list {
		k := functionKey{domain(f.GetDomain()), f.GetName(), f.GetOverload()}
		if r.functions[k] != nil {
			r.errs.Add(r.pos(""), fmt.Errorf("function %v is defined twice", k))
		}
		r.functions[k] = f
		kinds := map[string]string{} // of the attributes that it takes
		for _, a := range f.Attribute {
			kinds[a] = "without"
		}
		for _, a := range f.AttributeProto {
			if was := kinds[a.GetName()]; was != "" {
				r.errs.Add(r.pos(""), fmt.Errorf("function %v lists attribute %s twice: %s a default and with one", k, short(a.GetName()), was))
			}
			kinds[a.GetName()] = "with"
		}
	}
}

// call inlines a function: its body sees its own inputs and nothing else of the model.
func (n *node) call(f *pb.FunctionProto) ([]*ir.Value, error) {
	r := n.r
	if len(n.p.Input) > len(f.Input) || len(n.p.Output) > len(f.Output) {
		return nil, fmt.Errorf("function %s has %d inputs and %d outputs, the node %d and %d", short(f.GetName()), len(f.Input), len(f.Output), len(n.p.Input), len(n.p.Output))
	}
	attrs := map[string]*pb.AttributeProto{}
	for _, a := range f.AttributeProto { // defaults
		attrs[a.GetName()] = a
	}
	for _, a := range n.p.Attribute {
		if !slices.Contains(f.Attribute, a.GetName()) && attrs[a.GetName()] == nil {
			return nil, fmt.Errorf("function %s takes no attribute %s", short(f.GetName()), short(a.GetName()))
		}
		attrs[a.GetName()] = a
	}
	args := map[string]*ir.Value{}
	absent := map[string]bool{}
	for i, name := range f.Input {
		if n.given(i) {
			if r.broken[n.p.Input[i]] {
				return nil, errReported
			}
			v, err := r.result(n.p.Input[i])
			if err != nil {
				return nil, diag.Errorf(n.at, "input %q: %v", short(n.p.Input[i]), err)
			}
			if v == nil {
				return nil, errReported
			}
			args[name] = v
		} else {
			absent[name] = true
		}
	}
	g := &pb.GraphProto{}
	for _, p := range f.Node {
		q := proto.Clone(p).(*pb.NodeProto)
		resolve(q, attrs, absent)
		g.Node = append(g.Node, q)
	}
	for _, o := range f.Output[:len(n.p.Output)] {
		g.Output = append(g.Output, &pb.ValueInfoProto{Name: proto.String(o)})
	}
	opset, imports := r.opset, map[string]int64{}
	for _, o := range f.OpsetImport {
		imports[domain(o.GetDomain())] = o.GetVersion()
	}
	if v, ok := imports[standard]; ok {
		if v < minOpset || v > maxOpset {
			return nil, fmt.Errorf("function %s wants opset %d, which is not supported", short(f.GetName()), v)
		}
		opset = int(v)
	}
	was := *r
	r.vals, r.inits, r.broken, r.absent, r.scope = map[string]*ir.Value{}, map[string]*ir.Tensor{}, map[string]bool{}, map[string]error{}, nil
	r.opset, r.imports = opset, imports
	r.callers = strings.TrimPrefix(was.callers+"/"+strings.Trim(cmp.Or(short(n.p.GetName()), short(f.GetName())), "/"), "/")
	defer func() {
		r.vals, r.inits, r.broken, r.absent, r.scope = was.vals, was.inits, was.broken, was.absent, was.scope
		r.opset, r.imports, r.callers = was.opset, was.imports, was.callers
	}()
	return r.nested(g, len(g.Output), func() error {
		for name, v := range args {
			if err := r.fresh(name); err != nil {
				return fmt.Errorf("input %q of the function: %w", short(name), err)
			}
			r.vals[name] = v
		}
		return nil
	})
}

// resolve puts the caller's attributes in place of references, also inside graphs, and drops inputs that the caller left out.
func resolve(p *pb.NodeProto, attrs map[string]*pb.AttributeProto, absent map[string]bool) {
	for i, in := range p.Input {
		if absent[in] {
			p.Input[i] = ""
		}
	}
	for len(p.Input) > 0 && p.Input[len(p.Input)-1] == "" {
		p.Input = p.Input[:len(p.Input)-1]
	}
	kept := p.Attribute[:0]
	for _, a := range p.Attribute {
		if ref := a.GetRefAttrName(); ref != "" {
			given := attrs[ref]
			if given == nil {
				continue // left out: the operator's default
			}
			b := proto.Clone(given).(*pb.AttributeProto)
			b.Name = proto.String(a.GetName())
			kept = append(kept, b)
			continue
		}
		if a.G != nil {
			for _, q := range a.G.Node {
				resolve(q, attrs, absent)
			}
		}
		kept = append(kept, a)
	}
	p.Attribute = kept
}
