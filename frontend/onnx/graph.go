package onnx

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// errReported stands for mistakes that are in the list already.
var errReported = errors.New("reported before")

// defined reports whether a name has a definition, good or bad.
func (r *reader) defined(name string) bool {
	return r.vals[name] != nil || r.inits[name] != nil || r.broken[name] || r.absent[name] != nil
}

// fresh returns an error if a name cannot be defined: it is malformed, or has a definition already.
func (r *reader) fresh(name string) error {
	switch {
	case name == "" || len(name) > maxName:
		return fmt.Errorf("name is empty or longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return errors.New("name is not UTF-8")
	case r.defined(name):
		return errors.New("name is defined twice")
	}
	return nil
}

// maxSources bounds the inputs that sources lists, and the values that it looks at in search of them.
const maxSources = 16

// sources lists the model's inputs that a value derives from, if they are few.
func (r *reader) sources(v *ir.Value) []string {
	if v == nil {
		return nil
	}
	var out []string
	seen := map[*ir.Value]bool{v: true}
	for todo := []*ir.Value{v}; len(todo) > 0; {
		v, todo = todo[len(todo)-1], todo[:len(todo)-1]
		switch {
		case v.Op == ir.OpInput && len(out) == maxSources, len(seen) > maxSources<<6:
			return nil
		case v.Op == ir.OpInput:
			out = append(out, v.Attrs.Str("name"))
		case v.Op == ir.OpWeight: // public inputs do not make it known
			return nil
		}
		for _, a := range v.Args {
			if !seen[a] {
				seen[a] = true
				todo = append(todo, a)
			}
		}
	}
	slices.Sort(out)
	return out
}

// define notes that the innermost branch defines a name.
func (r *reader) define(name string) {
	if r.depth > 0 {
		r.scope = append(r.scope, name)
	}
}

// result returns the value of a graph's output; nil without an error if what computes it has been reported.
func (r *reader) result(name string) (*ir.Value, error) {
	if v := r.value(name); v != nil {
		return v, nil
	}
	if r.broken[name] {
		return nil, nil
	}
	if err := r.absent[name]; err != nil {
		return nil, err
	}
	return nil, errors.New("no node computes this output")
}

// body reads the nodes of a graph in order.
func (r *reader) body(g *pb.GraphProto) {
	later := map[string]int{} // the last node that computes a name
	for i, p := range g.Node {
		for _, o := range p.Output {
			later[o] = i
		}
	}
	was := r.readers
	r.readers = readersOf(g)
	defer func() { r.readers = was }()
	for i, p := range g.Node {
		if r.nodes++; r.nodes > maxNodes || len(r.f.Body) > maxValues {
			r.errs.Add(r.pos(""), fmt.Errorf("model has more than %d nodes or %d values", maxNodes, maxValues))
			return
		}
		r.node(p, i, later)
	}
}

// node reads one node and binds its outputs.
func (r *reader) node(p *pb.NodeProto, index int, later map[string]int) {
	n := &node{r: r, p: p, opset: r.opset, at: r.pos(fmt.Sprintf("node %s (%s)", label(p, index), short(p.GetOpType())))}
	out, err := r.lower(n, index, later)
	if err == nil {
		for i, o := range p.Output {
			if o == "" {
				continue
			}
			if err := r.fresh(o); err != nil {
				r.errs.Add(n.at, fmt.Errorf("output %q: %w", short(o), err))
				continue
			}
			r.define(o)
			if i < len(out) {
				r.vals[o] = out[i]
			} else { // reported if a node reads it
				r.absent[o] = fmt.Errorf("input %q is output %d of %s, which is not supported", short(o), i+1, n.at.Node)
			}
		}
		return
	}
	if !errors.Is(err, errReported) {
		r.errs.Add(n.at, err)
	}
	for _, o := range p.Output {
		if o != "" && !r.defined(o) {
			r.define(o)
			r.broken[o] = true
		}
	}
}

// label names a node in messages: by its name, else by what it computes, else by its place.
func label(p *pb.NodeProto, index int) string {
	if p.GetName() != "" {
		return fmt.Sprintf("%q", short(p.GetName()))
	}
	if len(p.Output) > 0 && p.Output[0] != "" {
		return fmt.Sprintf("#%d -> %q", index, short(p.Output[0]))
	}
	return fmt.Sprintf("#%d", index)
}

// lower checks a node against its row and lowers it.
func (r *reader) lower(n *node, index int, later map[string]int) ([]*ir.Value, error) {
	p, op, dom := n.p, short(n.p.GetOpType()), domain(n.p.GetDomain())
	if f := r.functions[functionKey{dom, p.GetOpType(), p.GetOverload()}]; f != nil {
		return n.call(f)
	}
	if o := p.GetOverload(); o != "" {
		return nil, diag.Errorf(n.at, "the model defines no function %s with overload %q", op, short(o)).
			WithHint("overloads tell a model's own functions apart; operators have none")
	}
	row := operators[p.GetOpType()]
	if dom != standard {
		row = operators[dom+"."+p.GetOpType()]
	}
	version, imported := r.imports[dom]
	switch {
	case !imported:
		return nil, diag.Errorf(n.at, "operator %s is of domain %q, of which the model imports no opset", op, short(dom))
	case row == nil:
		what := fmt.Sprintf("opset %d", r.opset)
		if dom != standard {
			what = fmt.Sprintf("domain %q", short(dom))
		}
		if k := refusals[p.GetOpType()]; k != nil {
			e := k.of(n.at, fmt.Sprintf("operator %s (%s)", op, what))
			if p.GetOpType() == "NonMaxSuppression" { // stands at the end of detectors
				e = e.WithHint("%s", n.cutHint("reveal boxes and scores, and choose among them after that: cut the graph before this node"))
			}
			return nil, e
		}
		e := diag.Errorf(n.at, "operator %s (%s) is not supported", op, what)
		if a := advice[dom]; a != "" {
			return nil, e.WithHint("%s", a)
		}
		return nil, e.WithHint("%s", n.cutHint("if what comes before it is enough, cut the graph there"))
	}
	if dom == standard {
		version = int64(r.opset)
	}
	v := row.at(int(version))
	if v == nil {
		return nil, diag.Errorf(n.at, "operator %s of opset %d is not supported, only that of opset %d on", op, version, row.versions[0].since).
			WithHint("convert the model to opset %d", max(row.versions[0].since, usualOpset))
	}
	bad := n.attributes(v)
	for _, in := range p.Input {
		switch {
		case in == "":
		case r.broken[in]:
			return nil, errReported
		case r.absent[in] != nil:
			return nil, r.absent[in]
		case !r.defined(in):
			if at, ok := later[in]; ok && at >= index {
				return nil, diag.Errorf(n.at, "input %q is computed by this or a later node", short(in)).
					WithHint("nodes must come after those they read; if they cannot, the graph has a cycle")
			}
			return nil, fmt.Errorf("input %q is neither an input, an initialiser nor computed by a node", short(in))
		}
	}
	if len(p.Input) < v.in || v.max >= 0 && len(p.Input) > v.max {
		return nil, fmt.Errorf("has %d inputs, opset %d wants %s", len(p.Input), version, v.count())
	}
	for i := range p.Input {
		if p.Input[i] == "" && (i < v.in || v.max < 0) {
			return nil, fmt.Errorf("input %d is missing", i+1)
		}
	}
	if bad {
		return nil, errReported
	}
	if err := n.textual(); err != nil {
		return nil, err
	}
	out, done, err := n.scaled(row.lower)
	if err == nil && !done {
		out, err = row.lower(n)
	}
	if err != nil {
		return nil, err
	}
	return n.typed(out)
}

// count says how many inputs a version takes.
func (v *version) count() string {
	switch {
	case v.max < 0:
		return fmt.Sprintf("%d or more", v.in)
	case v.in == v.max:
		return fmt.Sprint(v.in)
	}
	return fmt.Sprintf("%d to %d", v.in, v.max)
}

// branch reads a graph without inputs in place of the node and returns its outputs.
func (n *node) branch(g *pb.GraphProto) ([]*ir.Value, error) {
	if g == nil || len(g.Input) > 0 {
		return nil, errors.New("branch has inputs, or no content")
	}
	if len(g.Output) != len(n.p.Output) {
		return nil, fmt.Errorf("branch has %d outputs, the node %d", len(g.Output), len(n.p.Output))
	}
	n.r.branches++
	defer func() { n.r.branches-- }()
	return n.r.nested(g, len(g.Output), func() error { return nil })
}

// nested reads a graph inside a node, after bind has defined its inputs, and returns its outputs. Its names vanish at its end.
func (r *reader) nested(g *pb.GraphProto, outputs int, bind func() error) ([]*ir.Value, error) {
	if r.depth >= maxDepth {
		return nil, fmt.Errorf("graphs are nested more than %d deep", maxDepth)
	}
	r.depth++
	start := len(r.scope)
	defer func() {
		for _, name := range r.scope[start:] {
			delete(r.vals, name)
			delete(r.inits, name)
			delete(r.broken, name)
			delete(r.absent, name)
		}
		r.scope = r.scope[:start]
		r.depth--
	}()
	had := len(r.errs)
	if err := bind(); err != nil {
		return nil, err
	}
	r.initialisers(g)
	r.body(g)
	out := make([]*ir.Value, outputs)
	for i, o := range g.Output {
		var err error
		if out[i], err = r.result(o.GetName()); err != nil {
			return nil, fmt.Errorf("output %q of the graph inside: %w", short(o.GetName()), err)
		}
		if out[i] == nil {
			return nil, errReported
		}
	}
	if len(r.errs) > had {
		return nil, errReported
	}
	return out, nil
}
