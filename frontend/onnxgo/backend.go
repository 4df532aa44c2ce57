// Package onnxgo runs programs written against onnx-go under secure computation: [New] is a backend as gorgonnx.NewGraph is,
// and a program changes that line. Run compiles the model and runs every role in this process, as smpcc run does.
//
// onnx-go's decoder withholds what a compiler needs. It does not say which opset a model was written for, which values are
// outputs, or that a dimension is symbolic, and it fails on subgraphs, 16-bit floats, external data and empty tensors. The
// backend makes up for what it can and refuses what it cannot; [Unmarshal] reads the model with smpcc's decoder instead, and
// the program stays as it is otherwise.
//
// The package is a module of its own, so that smpcc does not depend on onnx-go, which is archived.
package onnxgo

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend"
	"gonum.org/v1/gonum/graph"
	"gonum.org/v1/gonum/graph/simple"
	"gorgonia.org/tensor"

	"smpcc"
	"smpcc/ir"
	"smpcc/runtime/local"
)

var _ backend.ComputationBackend = (*Backend)(nil)

// Options are those of the compiler, and what onnx-go does not tell. The zero value works: p0 owns the weights, p1 owns the
// inputs and receives the outputs.
type Options struct {
	smpcc.Options          // Shapes are taken from the data
	Opset         int      // of a model that onnx-go decodes; 0 finds out whether all opsets read it alike
	Outputs       []string // of a model that onnx-go decodes; if empty, those of which order and use leave no doubt
}

// topology answers what onnx-go's interface asks about the graph. It keeps one edge between two nodes at most, so operands
// are taken from the backend's own log.
type topology = simple.WeightedDirectedGraph

// A Backend holds one model and runs it under secure computation. It is not safe for concurrent use.
type Backend struct {
	*topology
	opt     Options
	values  map[string]*value
	pending []edge      // since the last operator
	ops     []operation // in the order of the model
	added   *Node       // the node added last, until anything else happens to the graph
	started bool        // declarations are over
	top     int64       // number of the last node declared
	err     error       // the first thing that cannot be right, for Run to report

	load    func(opt smpcc.Options) (*ir.Module, error) // set by Unmarshal; nil if onnx-go decodes
	inputs  []*value                                    // with load
	outputs []*value                                    // with load

	compiled string // the inputs' shapes that runner is for
	comp     *smpcc.Compilation
	runner   *local.Runner
	phases   [3]local.Phase
}

// New returns an empty backend for one model.
func New(opt Options) *Backend {
	return &Backend{topology: simple.NewWeightedDirectedGraph(0, math.Inf(1)), opt: opt, values: map[string]*value{}, top: -1}
}

// A value is what a name of the model stands for. onnx-go makes several nodes of one name if the file declares it twice.
type value struct {
	name     string
	tensor   tensor.Tensor
	typ      tensor.Dtype // as declared; zero if unknown
	declared bool         // before the first operator
	first    int64        // number of the first node declared for it
	last     int64        // and of the last
	made     bool         // an operator computes it
	weight   bool         // its data came as an initialiser for certain
	given    bool         // the program set its data
}

// A Node is one node of onnx-go's graph.
type Node struct {
	id int64
	b  *Backend
	*value
}

var (
	_ onnx.Namer       = (*Node)(nil)
	_ onnx.DataCarrier = (*Node)(nil)
)

// ID returns the node's number.
func (n *Node) ID() int64 { return n.id }

// GetName returns the name in the model.
func (n *Node) GetName() string { return n.name }

// SetName ties the node to the value of that name.
func (n *Node) SetName(name string) {
	v := n.b.values[name]
	if v == nil {
		v = &value{name: name}
		n.b.values[name] = v
	}
	n.value = v
}

// GetTensor returns the value's data: what the program set, or what Run computed; nil for values that nobody receives.
func (n *Node) GetTensor() tensor.Tensor { return n.tensor }

// SetTensor sets the value's data. While a model is being decoded this is a placeholder of the declared type, or a weight.
func (n *Node) SetTensor(t tensor.Tensor) error {
	b := n.b
	fresh := b.added == n
	b.added = nil
	switch {
	case b.started && fresh:
		b.fail(errors.New("a backend holds one model; make another backend for another model"))
		return b.err
	case b.started && n.made:
		return fmt.Errorf("%q is computed by the model and cannot be set", n.name)
	case b.started:
		n.given = true
	case fresh && n.tensor != nil:
		return nil // declared again
	case fresh:
		n.typ = t.Dtype()
	default:
		n.weight = true
	}
	n.tensor = t
	return nil
}

type edge struct {
	from, to *Node
	index    int
}

type operation struct {
	onnx.Operation
	in, out []*value
}

func (b *Backend) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// NewNode returns a node that is not in the graph yet.
func (b *Backend) NewNode() graph.Node {
	id := b.topology.NewNode().ID()
	return &Node{id: id, b: b, value: &value{}}
}

// AddNode adds a node that NewNode returned.
func (b *Backend) AddNode(n graph.Node) {
	b.topology.AddNode(n)
	own, ok := n.(*Node)
	if !ok {
		b.fail(fmt.Errorf("node %d was not made by this backend", n.ID()))
		return
	}
	b.added = own
	if b.started {
		return
	}
	if !own.declared {
		own.declared, own.first = true, own.id
	}
	own.last, b.top = own.id, own.id
}

// start ends the declarations. The nodes that onnx-go has added last may be those of the first operator: its operand and
// its result, without a type.
func (b *Backend) start(nodes ...*Node) {
	if b.started {
		return
	}
	b.started = true
	for _, n := range nodes {
		if n.first == b.top && n.last == b.top && n.typ.Type == nil {
			n.declared = false
			b.top--
		}
	}
}

// SetWeightedEdge logs that the edge's first node is computed from its second, which is operand number weight.
func (b *Backend) SetWeightedEdge(e graph.WeightedEdge) {
	b.added = nil
	from, ok1 := e.From().(*Node)
	to, ok2 := e.To().(*Node)
	if !ok1 || !ok2 || !(e.Weight() >= 0 && e.Weight() < 1<<20) {
		b.fail(errors.New("an edge does not say which operand it is"))
		return
	}
	b.start(to, from)
	b.pending = append(b.pending, edge{from, to, int(e.Weight())})
	if from.id != to.id { // a value computed from itself is refused by the compiler; gonum panics
		b.topology.SetWeightedEdge(e)
	}
}

// ApplyOperation logs an operator with the operands that were logged before it.
func (b *Backend) ApplyOperation(o onnx.Operation, out ...graph.Node) error {
	b.added = nil
	b.start()
	op := operation{Operation: o}
	for _, n := range out {
		own, ok := n.(*Node)
		if !ok {
			return fmt.Errorf("node %d was not made by this backend", n.ID())
		}
		own.made = true
		op.out = append(op.out, own.value)
	}
	for _, e := range b.pending { // each output repeats all operands
		for len(op.in) <= e.index {
			op.in = append(op.in, nil)
		}
		op.in[e.index] = e.to.value
	}
	b.pending = nil
	if slices.Contains(op.in, nil) {
		return fmt.Errorf("an operand of %s is missing", o.Name)
	}
	b.ops = append(b.ops, op)
	return nil
}

// isMadeUp reports whether onnx-go invented a value, as it does for operators without operands: it is named after the
// operator, and nothing declares or computes it.
func (v *value) isMadeUp() bool {
	return !v.declared && !v.made && v.tensor == nil && strings.HasSuffix(v.name, "/input")
}

// Compilation returns what the last Run compiled: the plan, its cost, and notes on the defaults that applied; nil before.
func (b *Backend) Compilation() *smpcc.Compilation { return b.comp }

// Phases returns what the last Run measured in setup, offline and online.
func (b *Backend) Phases() [3]local.Phase { return b.phases }
