package onnxgo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"smpcc"
	"smpcc/ir"
	"smpcc/runtime/local"
)

// Run computes the model on the inputs that the program has set, with every role in this process, and leaves what the first
// receiver of each output learns where model.GetOutputTensors finds it. The plan is compiled by the first Run and again when
// inputs change their shapes or weights are set. Values that nobody receives have no tensor afterwards.
func (b *Backend) Run() error { return b.RunContext(context.Background()) }

// RunContext is Run until ctx ends.
func (b *Backend) RunContext(ctx context.Context) (err error) {
	defer recovered("the model cannot be run", &err)
	if b.err != nil {
		return b.err
	}
	if !b.started {
		return errors.New("no model has been decoded")
	}
	inputs, outputs, err := b.ports()
	if err != nil {
		return err
	}
	data, err := b.data(inputs)
	if err != nil {
		return err
	}
	if err := b.compile(ctx, inputs, outputs, data); err != nil {
		return err
	}
	m := &b.comp.Plan.Manifest
	words := make([][]uint64, len(m.Inputs))
	for i, p := range m.Inputs {
		if words[i], err = smpcc.Bind(p, data[p.Name]); err != nil {
			return err
		}
	}
	res, err := b.runner.Run(ctx, words)
	if err != nil {
		return err
	}
	b.phases = [3]local.Phase{b.runner.Setup, res.Offline, res.Online}
	return b.publish(inputs, res.Outputs)
}

// data returns the tensors that the program has set.
func (b *Backend) data(inputs []*value) (map[string]*ir.Tensor, error) {
	out := map[string]*ir.Tensor{}
	for _, v := range inputs {
		if b.opt.Public[v.name] != nil {
			continue
		}
		if !v.given {
			for _, w := range b.values {
				if w.given && !slices.Contains(inputs, w) {
					return nil, fmt.Errorf("input %q has no data, but %q, which is no input, has been set: SetInput counts initialisers too if the model lists them as inputs; read it with onnxgo.Unmarshal, or set the data of model.GetNodeByName(%q)", v.name, w.name, v.name)
				}
			}
			return nil, fmt.Errorf("input %q has no data: call model.SetInput", v.name)
		}
		t, err := toIR(v.tensor)
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", v.name, err)
		}
		out[v.name] = t
	}
	return out, nil
}

// compile compiles the model for the shapes of data and runs setup, unless it has.
func (b *Backend) compile(ctx context.Context, inputs, outputs []*value, data map[string]*ir.Tensor) error {
	var key strings.Builder
	for _, n := range slices.Sorted(maps.Keys(data)) {
		fmt.Fprintf(&key, "%q%v ", n, data[n].Shape)
	}
	for _, v := range b.values {
		if v.given && !slices.Contains(inputs, v) { // a weight
			b.runner, v.given, v.weight = nil, false, true
		}
	}
	if b.runner != nil && b.compiled == key.String() {
		return nil
	}
	b.comp, b.runner = nil, nil
	opt := b.opt.Options
	opt.Shapes = map[string]ir.Shape{}
	for n, t := range data {
		opt.Shapes[n] = t.Shape
	}
	var m *ir.Module
	var err error
	if b.load != nil {
		m, err = b.load(opt)
	} else {
		m, err = b.read(inputs, outputs, opt)
	}
	if err != nil {
		return err
	}
	comp, err := smpcc.CompileModule(m, opt, false)
	if err != nil {
		return err
	}
	weights, err := comp.BindWeights()
	if err != nil {
		return err
	}
	runner, err := local.New(ctx, comp.Plan, weights)
	if err != nil {
		return err
	}
	b.compiled, b.comp, b.runner = key.String(), comp, runner
	return nil
}

// publish sets the tensors of outputs and drops those of everything else that is neither input nor weight: what would be
// left there are onnx-go's placeholders.
func (b *Backend) publish(inputs []*value, received []map[string][]uint64) error {
	operands := map[*value]bool{}
	for _, op := range b.ops {
		for _, v := range op.in {
			operands[v] = true
		}
	}
	for _, v := range b.values {
		if v.made || !operands[v] && !v.weight && !v.given {
			v.tensor = nil
		}
	}
	m := &b.comp.Plan.Manifest
	for _, p := range m.Outputs {
		v, role := b.values[p.Name], slices.Index(m.Parties, p.To[0])
		if v == nil || role < 0 || slices.Contains(inputs, v) {
			continue
		}
		t, err := fromIR(smpcc.Read(p, received[role][p.Name]), v.typ)
		if err != nil {
			return fmt.Errorf("output %q: %w", p.Name, err)
		}
		v.tensor = t
	}
	return nil
}
