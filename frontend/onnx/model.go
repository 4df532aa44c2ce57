// Package onnx reads ONNX models into the IR: one table row per operator, positions are node names. Everything a file
// declares is checked before it is believed, and all mistakes of a model are reported at once.
package onnx

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "smpcc/frontend/onnx/onnxpb"
	"smpcc/ir"
	"smpcc/ir/diag"
)

// Limits on what a model may declare.
const (
	maxNodes   = 1 << 20
	maxName    = 1 << 12
	maxRank    = 16
	maxDepth   = 16 // nested branches
	minOpset   = 1  // rows say from where on each operator is
	maxOpset   = 28
	usualOpset = 17 // what hints advise
	minFormat  = 3  // versions of the file format
	maxFormat  = 13
	maxValues  = 1 << 21
)

// standard is the domain of ONNX's own operators; files may also leave it out.
const standard = "ai.onnx"

// An InputInfo describes an input or output of a model as the file declares it.
type InputInfo struct {
	Name string
	Elem ir.Elem
	Dims []string // number, symbol, or "?" if unknown
	Text bool     // strings, which are held as integers
	half bool     // bfloat16, which numpy does not have
}

// Rounding returns by what share of itself the declared type may change a number; smpcc computes with its own precision instead.
func (i InputInfo) Rounding() float64 {
	if i.half {
		return 1.0 / (1 << 8)
	}
	return 0
}

// Data returns t as data of the input or output: integers that hold the bits of bfloat16 numbers, as tools write them, become those.
func (i InputInfo) Data(t *ir.Tensor) *ir.Tensor {
	if !i.half || t.Elem != ir.Int {
		return t
	}
	out := ir.NewTensor(ir.Real, t.Shape)
	for k, x := range t.I {
		out.F[k] = halfFloat(uint16(x), pb.TensorProto_BFLOAT16)
	}
	return out
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
	if v := model.GetIrVersion(); v < minFormat || v > maxFormat {
		return nil, diag.Errorf(pos, "version %d of the ONNX format is not supported, want %d to %d", v, minFormat, maxFormat).
			WithHint("export the model again with a current exporter, or convert it")
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

// Uses lists the operators that a model's nodes name, those inside branches and functions included.
func Uses(path string) ([]string, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	model, err := parse(path, data)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var walk func(nodes []*pb.NodeProto, depth int)
	walk = func(nodes []*pb.NodeProto, depth int) {
		for _, n := range nodes {
			seen[short(n.GetOpType())] = true
			for _, a := range n.Attribute {
				if a.G != nil && depth < maxDepth {
					walk(a.G.Node, depth+1)
				}
			}
		}
	}
	walk(model.Graph.Node, 0)
	for _, f := range model.Functions {
		walk(f.Node, 0)
	}
	return slices.Sorted(maps.Keys(seen)), nil
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
		if m := v.GetType().GetSequenceType().GetElemType().GetMapType(); m != nil { // of ZipMap, which is its input here
			t = m.GetValueType().GetTensorType()
		}
		if t == nil {
			return nil, notTensor(diag.Pos{File: path, Node: fmt.Sprintf("%q", short(v.GetName()))}, v.GetType())
		}
		i.Text = pb.TensorProto_DataType(t.GetElemType()) == pb.TensorProto_STRING
		if i.Elem, err = kindOf(t.GetElemType()); err != nil {
			var list diag.List
			list.Add(diag.Pos{File: path, Node: fmt.Sprintf("%q", short(v.GetName()))}, err)
			return nil, list.Err()
		}
		i.half = pb.TensorProto_DataType(t.GetElemType()) == pb.TensorProto_BFLOAT16
		for _, d := range t.GetShape().GetDim() {
			i.Dims = append(i.Dims, dimName(d))
		}
		out = append(out, i)
	}
	return out, nil
}

// A reader turns one model into a module.
type reader struct {
	opt       Options
	file      string
	dir       string
	opset     int
	imports   map[string]int64                  // versions by domain
	functions map[functionKey]*pb.FunctionProto // of the model itself
	m         *ir.Module
	f         *ir.Func
	vals      map[string]*ir.Value          // by ONNX name
	inits     map[string]*ir.Tensor         // initialisers by name, decoded
	broken    map[string]bool               // names whose definition failed, which has been reported
	absent    map[string]error              // outputs that a lowering does not produce
	known     map[*ir.Value]int             // values that derive from weights and constants alone, see depthOf
	computed  map[*ir.Value]*ir.Tensor      // data of known values that was needed
	literals  map[*pb.TensorProto]*ir.Value // of Constant nodes
	written   map[*ir.Value]*ir.Tensor      // data of large Constant nodes, which are weights
	copies    map[string]int                // how many weights share a base name
	scope     []string                      // names defined in the branches being read
	callers   string                        // the calls of the model's own functions that are being read
	errs      diag.List
	types     map[*ir.Value]pb.TensorProto_DataType // of integers that do not have 64 bits
	initTypes map[*ir.Tensor]pb.TensorProto_DataType
	readers   map[string][]*pb.NodeProto // nodes of the graph that is being read, by what they read
	units     map[*ir.Value]inUnits
	offsets   map[*ir.Value]offset
	choices   []choice
	text      textList
	classes   map[*ir.Value][]string  // names of the places along a value's last axis
	masks     map[*ir.Value]*ir.Value // which elements of values are missing; nil of those that never are
	settled   map[*ir.Value]bool      // values that make up for missing elements of what they read
	added     []string                // inputs that the model does not list
	indices   []index                 // values that name places of tables, outside of branches
	branches  int                     // conditional graphs that are being read
	left      budget
	held      float64 // tensor elements in the file
	nodes     int
	depth     int
}

func load(name, dir string, data []byte, opt Options) (m *ir.Module, err error) {
	defer ir.Recover(&err)
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
	opt.Dims = maps.Clone(opt.Dims)
	if opt.Dims == nil {
		opt.Dims = map[string]int{}
	}
	base := filepath.Base(name)
	r := &reader{opt: opt, file: name, dir: dir, imports: map[string]int64{},
		vals: map[string]*ir.Value{}, inits: map[string]*ir.Tensor{}, broken: map[string]bool{}, absent: map[string]error{},
		known: map[*ir.Value]int{}, computed: map[*ir.Value]*ir.Tensor{}, types: map[*ir.Value]pb.TensorProto_DataType{}, initTypes: map[*ir.Tensor]pb.TensorProto_DataType{}, copies: map[string]int{}, literals: map[*pb.TensorProto]*ir.Value{}, units: map[*ir.Value]inUnits{}, offsets: map[*ir.Value]offset{}, text: newTextList(), classes: map[*ir.Value][]string{}, masks: map[*ir.Value]*ir.Value{}, settled: map[*ir.Value]bool{}, written: map[*ir.Value]*ir.Tensor{}, left: budget{cells: spareCells, work: maxWork}}
	r.m = &ir.Module{Name: strings.TrimSuffix(base, filepath.Ext(base)), Parties: opt.Parties, Dealer: opt.Dealer, Guests: opt.Guests, Weights: map[string]*ir.Tensor{}}
	r.f = ir.NewFunc("main")
	r.m.Funcs = []*ir.Func{r.f}
	var opset int64
	for _, o := range model.OpsetImport {
		r.imports[domain(o.GetDomain())] = o.GetVersion()
		if domain(o.GetDomain()) == standard {
			opset = o.GetVersion()
		}
	}
	if len(r.imports) > 0 && r.imports[standard] == 0 { // nodes of the domain are refused one by one
		opset = maxOpset
	}
	if opset < minOpset || opset > maxOpset {
		return nil, diag.Errorf(diag.Pos{File: name}, "opset %d is not supported, want %d to %d", opset, minOpset, maxOpset).
			WithHint("export or convert the model to opset %d", usualOpset)
	}
	r.opset = int(opset)
	r.functionTable(model.Functions)
	if len(opt.Cut) > 0 {
		if name := cut(model.Graph, opt.Cut); name != "" {
			return nil, &diag.Error{Kind: diag.Usage, Pos: diag.Pos{File: r.file}, Msg: fmt.Sprintf("--outputs %s: no node of the model computes a value of that name", short(name)),
				Hint: "names are those of values, as netron shows them and as messages of smpcc name a node's inputs"}
		}
	}
	r.model(model.Graph)
	r.boundMasks()
	r.boundIndices()
	r.boundText()
	r.boundMissing()
	r.boundChoices()
	r.sweep()
	if err := r.errs.Err(); err != nil {
		return nil, err
	}
	if err := ir.Verify(r.m); err != nil {
		return nil, err
	}
	return r.m, nil
}

// domain returns the name of an operator domain; the standard one may be left out.
func domain(d string) string {
	if d == "" {
		return standard
	}
	return d
}

func (r *reader) pos(what string) diag.Pos {
	return diag.Pos{File: r.file, Node: what, Within: r.callers}
}

// model reads the main graph: what it declares, its nodes, its outputs.
func (r *reader) model(g *pb.GraphProto) {
	r.initialisers(g)
	outputs := map[string]bool{}
	for _, o := range g.Output {
		if outputs[o.GetName()] {
			r.errs.Add(r.pos(""), fmt.Errorf("output %q is listed twice", short(o.GetName())))
		}
		outputs[o.GetName()] = true
	}
	var declared []*pb.ValueInfoProto
	inputs := map[string]bool{}
	unread := map[string]bool{}
	if len(r.opt.Cut) > 0 { // inputs that only nodes read that were cut off
		unread = r.unread(g)
	}
	for _, v := range g.Input { // an initialiser may be listed as an input too, which makes it a default
		if r.inits[v.GetName()] == nil && !r.broken[v.GetName()] && !unread[v.GetName()] {
			declared = append(declared, v)
			inputs[v.GetName()] = true
		}
	}
	r.flags(inputs, outputs, r.bind(declared))
	for _, v := range declared {
		r.input(v)
	}
	r.body(g)
	for _, o := range g.Output {
		pos := r.pos(fmt.Sprintf("output %q", short(o.GetName())))
		v, err := r.result(o.GetName())
		if err != nil {
			r.errs.Add(pos, err)
		}
		if v == nil {
			continue
		}
		to := r.opt.Reveal[o.GetName()]
		if to == nil {
			to = r.opt.DefaultReveal
		}
		attrs, err := r.revealed(pos, v)
		if err != nil {
			r.errs.Add(pos, err)
			continue
		}
		if _, err := r.f.Emit(pos, ir.OpReveal, append(ir.Attrs{ir.S("name", o.GetName()), ir.Ss("to", to...)}, attrs...), v); err != nil {
			r.errs.Add(pos, err)
		}
	}
	if len(g.Output) == 0 {
		r.errs.Add(r.pos(""), fmt.Errorf("model has no outputs"))
	}
}
