// Package onnx reads ONNX models into the IR: one table row per operator, positions are node names. Everything a file
// declares is checked before it is believed, and all mistakes of a model are reported at once.
package onnx

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Limits on what a model may declare.
const (
	maxNodes  = 1 << 20
	maxName   = 1 << 12
	maxRank   = 16
	maxDepth  = 16 // nested branches
	minOpset  = 7
	maxOpset  = 24
	maxValues = 1 << 21
)

// Options say how a model's names map to parties and data.
type Options struct {
	Dims          map[string]int        // symbolic dimension -> value
	Shapes        map[string]ir.Shape   // shapes of inputs given by the user's data; they bind symbolic dimensions too
	Parties       []string              // computing parties; p0 and p1 if empty
	Dealer        string                // d if empty
	WeightOwner   string                // owner of float initialisers
	InputOwner    string                // owner of inputs
	Owners        map[string]string     // input or initialiser -> party
	Reveal        map[string][]string   // output -> receivers
	DefaultReveal []string              // receivers of other outputs
	Public        map[string]*ir.Tensor // inputs that are public, with their data
	PublicWeights bool                  // float initialisers are public constants
	Ranges        map[string][2]float64 // declared ranges of inputs
}

// An InputInfo describes an input or output of a model as the file declares it.
type InputInfo struct {
	Name string
	Elem ir.Elem
	Dims []string // number, symbol, or "?" if unknown
}

// Load reads the model at path; external data is read from its directory only.
func Load(path string, opt Options) (*ir.Module, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return load(path, filepath.Dir(path), data, opt)
}

// LoadBytes reads a model from memory; name is used in messages.
func LoadBytes(name string, data []byte, opt Options) (*ir.Module, error) {
	return load(name, "", data, opt)
}

// parse decodes a model and checks its versions.
func parse(name string, data []byte) (*pb.ModelProto, error) {
	pos := diag.Pos{File: name}
	var model pb.ModelProto
	if err := proto.Unmarshal(data, &model); err != nil || model.Graph == nil {
		return nil, diag.Errorf(pos, "not an ONNX model").WithHint("export the model as .onnx; programs of the language end in .smp")
	}
	if len(model.Functions) > 0 {
		return nil, diag.Errorf(pos, "model has %d local functions, which are not supported", len(model.Functions)).WithHint("inline them when exporting")
	}
	return &model, nil
}

// Inputs lists the inputs of a model that are not initialisers.
func Inputs(path string) ([]InputInfo, error) {
	return infos(path, func(g *pb.GraphProto) []*pb.ValueInfoProto {
		inits := map[string]bool{}
		for _, t := range g.Initializer {
			inits[t.GetName()] = true
		}
		return slices.DeleteFunc(slices.Clone(g.Input), func(v *pb.ValueInfoProto) bool { return inits[v.GetName()] })
	})
}

// Outputs lists the outputs of a model.
func Outputs(path string) ([]InputInfo, error) {
	return infos(path, func(g *pb.GraphProto) []*pb.ValueInfoProto { return g.Output })
}

func infos(path string, pick func(*pb.GraphProto) []*pb.ValueInfoProto) ([]InputInfo, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	model, err := parse(path, data)
	if err != nil {
		return nil, err
	}
	var out []InputInfo
	for _, v := range pick(model.Graph) {
		i := InputInfo{Name: v.GetName()}
		t := v.GetType().GetTensorType()
		if i.Elem, err = elemOf(t.GetElemType()); err != nil {
			return nil, diag.Errorf(diag.Pos{File: path}, "%q: %v", v.GetName(), err)
		}
		for _, d := range t.GetShape().GetDim() {
			i.Dims = append(i.Dims, dimName(d))
		}
		out = append(out, i)
	}
	return out, nil
}

func dimName(d *pb.TensorShapeProto_Dimension) string {
	switch v := d.Value.(type) {
	case *pb.TensorShapeProto_Dimension_DimValue:
		return strconv.FormatInt(v.DimValue, 10)
	case *pb.TensorShapeProto_Dimension_DimParam:
		return v.DimParam
	}
	return "?"
}

// A reader turns one model into a module.
type reader struct {
	opt    Options
	file   string
	dir    string
	opset  map[string]int64 // by domain
	m      *ir.Module
	f      *ir.Func
	vals   map[string]*ir.Value  // by ONNX name
	inits  map[string]*ir.Tensor // initialisers by name, decoded
	broken map[string]bool       // names whose definition failed, which has been reported
	absent map[string]error      // outputs that a lowering does not produce
	errs   diag.List
	nodes  int
	depth  int
}

func load(name, dir string, data []byte, opt Options) (*ir.Module, error) {
	model, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if len(opt.Parties) == 0 {
		opt.Parties = []string{"p0", "p1"}
	}
	def := func(s *string, d string) {
		if *s == "" {
			*s = d
		}
	}
	def(&opt.Dealer, "d")
	def(&opt.WeightOwner, opt.Parties[0])
	def(&opt.InputOwner, opt.Parties[min(1, len(opt.Parties)-1)])
	if len(opt.DefaultReveal) == 0 {
		opt.DefaultReveal = []string{opt.InputOwner}
	}
	base := filepath.Base(name)
	r := &reader{opt: opt, file: name, dir: dir, opset: map[string]int64{}, vals: map[string]*ir.Value{}, inits: map[string]*ir.Tensor{}, broken: map[string]bool{}, absent: map[string]error{}}
	r.m = &ir.Module{Name: strings.TrimSuffix(base, filepath.Ext(base)), Parties: opt.Parties, Dealer: opt.Dealer, Weights: map[string]*ir.Tensor{}}
	r.f = ir.NewFunc("main")
	r.m.Funcs = []*ir.Func{r.f}
	for _, o := range model.OpsetImport {
		d := o.GetDomain()
		if d == "ai.onnx" {
			d = ""
		}
		r.opset[d] = o.GetVersion()
	}
	if v := r.opset[""]; v < minOpset || v > maxOpset {
		return nil, diag.Errorf(diag.Pos{File: name}, "opset %d is not supported, want %d to %d", v, minOpset, maxOpset).WithHint("export or convert the model to opset 17")
	}
	r.model(model.Graph)
	if err := r.errs.Err(); err != nil {
		return nil, err
	}
	return r.m, ir.Verify(r.m)
}

func (r *reader) pos(what string) diag.Pos { return diag.Pos{File: r.file, Node: what} }

func (r *reader) model(g *pb.GraphProto) {
	r.initialisers(g)
	outputs := map[string]bool{}
	for _, o := range g.Output {
		outputs[o.GetName()] = true
	}
	inputs := map[string]bool{}
	for _, v := range g.Input {
		if r.inits[v.GetName()] == nil && !r.broken[v.GetName()] {
			inputs[v.GetName()] = true
			r.input(v)
		}
	}
	r.flags(inputs, outputs)
	r.body(g)
	for _, o := range g.Output {
		pos := r.pos(fmt.Sprintf("output %q", o.GetName()))
		v := r.value(o.GetName())
		if v == nil {
			if err := r.absent[o.GetName()]; err != nil {
				r.errs.Add(pos, err)
			} else if !r.broken[o.GetName()] {
				r.errs.Add(pos, fmt.Errorf("no node computes this output"))
			}
			continue
		}
		to := r.opt.Reveal[o.GetName()]
		if to == nil {
			to = r.opt.DefaultReveal
		}
		if _, err := r.f.Emit(pos, ir.OpReveal, ir.Attrs{ir.S("name", o.GetName()), ir.Ss("to", to...)}, v); err != nil {
			r.errs.Add(pos, err)
		}
	}
	if len(g.Output) == 0 {
		r.errs.Add(r.pos(""), fmt.Errorf("model has no outputs"))
	}
}

// flags reports names in the options that the model does not have.
func (r *reader) flags(inputs, outputs map[string]bool) {
	check := func(flag, name, what string, known map[string]bool) {
		if !known[name] {
			list := slices.Sorted(maps.Keys(known))
			if len(list) > 12 {
				list = append(list[:12], "...")
			}
			r.errs.Add(r.pos(""), &diag.Error{Kind: diag.Usage, Pos: r.pos(""), Msg: fmt.Sprintf("%s %s: the model has no %s of that name", flag, name, what), Hint: "it has: " + strings.Join(list, ", ")})
		}
	}
	party := func(flag, name string) {
		if !slices.Contains(r.opt.Parties, name) {
			r.errs.Add(r.pos(""), &diag.Error{Kind: diag.Usage, Pos: r.pos(""), Msg: fmt.Sprintf("%s: %q is not a party", flag, name), Hint: "the parties are " + strings.Join(r.opt.Parties, ", ")})
		}
	}
	owned := maps.Clone(inputs)
	for n := range r.inits {
		owned[n] = true
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Owners)) {
		check("--owner", n, "input or initialiser", owned)
		party("--owner "+n, r.opt.Owners[n])
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Reveal)) {
		check("--reveal", n, "output", outputs)
		for _, p := range r.opt.Reveal[n] {
			party("--reveal "+n, p)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Public)) {
		check("--public", n, "input", inputs)
	}
	for _, n := range slices.Sorted(maps.Keys(r.opt.Ranges)) {
		check("--range", n, "input", inputs)
	}
}

// initialisers decodes the tensors of a graph.
func (r *reader) initialisers(g *pb.GraphProto) {
	for _, t := range g.Initializer {
		pos := r.pos(fmt.Sprintf("initialiser %q", t.GetName()))
		if t.GetName() == "" || len(t.GetName()) > maxName {
			r.errs.Add(pos, fmt.Errorf("name is empty or longer than %d bytes", maxName))
			continue
		}
		d, err := decodeTensor(t, r.dir)
		if err != nil {
			r.errs.Add(pos, err)
			r.broken[t.GetName()] = true
			continue
		}
		if r.inits[t.GetName()] != nil {
			r.errs.Add(pos, fmt.Errorf("name appears twice"))
		}
		r.inits[t.GetName()] = d
	}
	for _, t := range g.SparseInitializer {
		n := t.GetValues().GetName()
		r.errs.Add(r.pos(fmt.Sprintf("initialiser %q", n)), fmt.Errorf("sparse initialisers are not supported"))
		r.broken[n] = true
	}
}

// input declares an input, or binds the data of a public one.
func (r *reader) input(v *pb.ValueInfoProto) {
	name := v.GetName()
	pos := r.pos(fmt.Sprintf("input %q", name))
	fail := func(err error) {
		r.errs.Add(pos, err)
		r.broken[name] = true
	}
	t := v.GetType().GetTensorType()
	if t == nil || name == "" || len(name) > maxName {
		fail(fmt.Errorf("is not a named tensor"))
		return
	}
	if r.vals[name] != nil {
		fail(fmt.Errorf("name appears twice"))
		return
	}
	e, err := elemOf(t.GetElemType())
	if err != nil {
		fail(err)
		return
	}
	given, hasGiven := r.opt.Shapes[name]
	public := r.opt.Public[name]
	if public != nil {
		given, hasGiven = public.Shape, true
	}
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
				if n != "?" && n != "" {
					r.opt.Dims = maps.Clone(r.opt.Dims)
					if r.opt.Dims == nil {
						r.opt.Dims = map[string]int{}
					}
					r.opt.Dims[n] = k
				}
			case isBound:
				k = bound
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
	if public != nil {
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
		return
	}
	attrs := ir.Attrs{ir.S("name", name), ir.S("owner", r.owner(name, r.opt.InputOwner)), ir.S("elem", e.String()), ir.Dims("shape", shape)}
	if rg, ok := r.opt.Ranges[name]; ok {
		attrs = append(attrs, ir.F("lo", rg[0]), ir.F("hi", rg[1]))
	}
	x, err := r.f.Emit(pos, ir.OpInput, attrs)
	if err != nil {
		fail(err)
		return
	}
	r.vals[name] = x
}

func (r *reader) owner(name, def string) string {
	if o := r.opt.Owners[name]; o != "" {
		return o
	}
	return def
}

func dimNames(s *pb.TensorShapeProto) string {
	var out []string
	for _, d := range s.Dim {
		out = append(out, dimName(d))
	}
	return "[" + strings.Join(out, ",") + "]"
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
	pos := r.pos(fmt.Sprintf("initialiser %q", name))
	var v *ir.Value
	var err error
	if t.Elem == ir.Real && !r.opt.PublicWeights {
		owner := r.owner(name, r.opt.WeightOwner)
		v, err = r.f.Emit(pos, ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", owner), ir.S("elem", "real"), ir.Dims("shape", t.Shape)})
		r.m.Weights[name] = t
	} else {
		v, err = r.f.Emit(pos, ir.OpConst, ir.Attrs{ir.T("data", t)})
	}
	if err != nil {
		r.errs.Add(pos, err)
		r.broken[name] = true
		return nil
	}
	r.vals[name] = v
	return v
}

// body reads the nodes of a graph in order.
func (r *reader) body(g *pb.GraphProto) {
	for i, p := range g.Node {
		if r.nodes++; r.nodes > maxNodes || len(r.f.Body) > maxValues {
			r.errs.Add(r.pos(""), fmt.Errorf("model has more than %d nodes or %d values", maxNodes, maxValues))
			return
		}
		r.node(p, i)
	}
}

// node reads one node and binds its outputs.
func (r *reader) node(p *pb.NodeProto, index int) {
	name := p.GetName()
	if name == "" || len(name) > maxName {
		name = fmt.Sprintf("#%d", index)
		if len(p.Output) > 0 && p.Output[0] != "" && len(p.Output[0]) <= maxName {
			name = "-> " + p.Output[0]
		}
	}
	n := &node{r: r, p: p, at: r.pos(fmt.Sprintf("node %q (%s)", name, p.GetOpType()))}
	broken := func(err error) {
		if err != nil {
			r.errs.Add(n.at, err)
		}
		for _, o := range p.Output {
			r.broken[o] = true
		}
	}
	domain := p.GetDomain()
	if domain == "ai.onnx" {
		domain = ""
	}
	version, imported := r.opset[domain]
	n.opset = int(version)
	row := operators[domain+"/"+p.GetOpType()]
	switch {
	case !imported:
		broken(diag.Errorf(n.at, "operator %s of domain %q: the model imports no opset of that domain", p.GetOpType(), domain))
		return
	case row == nil:
		broken(diag.Errorf(n.at, "operator %s (domain %q, opset %d) is not supported", p.GetOpType(), domain, version).WithHint("smpcc ops lists the operators there are"))
		return
	}
	bad := n.attributes(row)
	for _, in := range p.Input {
		if in == "" {
			continue
		}
		if r.broken[in] {
			broken(nil) // reported where it was defined
			return
		}
		if err := r.absent[in]; err != nil {
			broken(err)
			return
		}
		if r.vals[in] == nil && r.inits[in] == nil {
			broken(fmt.Errorf("input %q is not computed before", in))
			return
		}
	}
	if bad {
		broken(nil)
		return
	}
	if len(p.Input) < row.in || row.max >= 0 && len(p.Input) > row.max {
		broken(fmt.Errorf("has %d inputs, want %d to %d", len(p.Input), row.in, row.max))
		return
	}
	for i := range row.in {
		if p.Input[i] == "" {
			broken(fmt.Errorf("input %d is missing", i+1))
			return
		}
	}
	out, err := row.lower(n)
	if err != nil {
		broken(err)
		return
	}
	for i, o := range p.Output {
		switch {
		case o == "":
		case r.vals[o] != nil || r.inits[o] != nil:
			broken(fmt.Errorf("output %q is defined twice", o))
		case i >= len(out) || out[i] == nil: // reported if a node reads it
			r.absent[o] = fmt.Errorf("input %q is output %d of %s, which is not supported", o, i+1, n.at.Node)
		default:
			r.vals[o] = out[i]
		}
	}
}
