package bench

import (
	"context"
	"math"
	"sort"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/runtime/local"
)

// A Phase is what one phase takes, over all roles; bytes are of the party that sends most.
type Phase struct {
	Seconds float64 `json:"seconds"`
	Rounds  int     `json:"rounds"`
	Bytes   int64   `json:"bytes_sent"`
}

// A Result is one model on one transport.
type Result struct {
	Name      string  `json:"name"`
	Transport string  `json:"transport"`
	Batch     int     `json:"batch"`
	Compile   float64 `json:"compile_seconds"`
	Setup     Phase   `json:"setup"`
	Offline   Phase   `json:"offline"`
	Online    Phase   `json:"online"`
	Material  int64   `json:"material_bytes"`
	PeakRSS   int64   `json:"peak_rss_bytes"`
	Floor     float64 `json:"floor_seconds"`
	Error     float64 `json:"max_abs_error"`
}

// A Prepared is a compiled model with what a run needs.
type Prepared struct {
	Model    Model
	Comp     *smpcc.Compilation
	Weights  [][]uint64
	Inputs   [][]uint64
	Want     *ir.Tensor
	Seconds  float64 // to compile
	Multiply float64 // multiply-adds of linear ops
}

// Prepare generates and compiles a model, with ranges calibrated on its input.
func Prepare(b Model) (*Prepared, error) {
	m, in, err := b.Build()
	if err != nil {
		return nil, err
	}
	p := &Prepared{Model: b}
	want, err := ir.Run(m, in)
	if err != nil {
		return nil, err
	}
	p.Want = want["out"]
	start := time.Now()
	p.Comp, err = smpcc.CompileModule(m, smpcc.Options{Samples: []map[string]*ir.Tensor{in}}, false)
	if err != nil {
		return nil, err
	}
	p.Seconds = time.Since(start).Seconds()
	for _, w := range p.Comp.Plan.Manifest.Weights {
		words, err := smpcc.Bind(w, p.Comp.Weights[w.Name])
		if err != nil {
			return nil, err
		}
		p.Weights = append(p.Weights, words)
	}
	for _, port := range p.Comp.Plan.Manifest.Inputs {
		words, err := smpcc.Bind(port, in[port.Name])
		if err != nil {
			return nil, err
		}
		p.Inputs = append(p.Inputs, words)
	}
	return p, nil
}

func phase(p local.Phase) Phase {
	out := Phase{Seconds: p.Seconds, Rounds: p.Rounds}
	for _, n := range p.Sent {
		out.Bytes = max(out.Bytes, n)
	}
	return out
}

// Memory runs a prepared model in this process the given number of times and returns medians.
func (p *Prepared) Memory(ctx context.Context, runs int) (*Result, error) {
	r, err := local.New(ctx, p.Comp.Plan, p.Weights)
	if err != nil {
		return nil, err
	}
	out := &Result{Name: p.Model.Name, Transport: "memory", Batch: p.Model.Batch, Compile: p.Seconds, Setup: phase(r.Setup)}
	var on, off []float64
	for range runs {
		res, err := r.Run(ctx, p.Inputs)
		if err != nil {
			return nil, err
		}
		on, off = append(on, res.Online.Seconds), append(off, res.Offline.Seconds)
		out.Online, out.Offline = phase(res.Online), phase(res.Offline)
		if out.Error == 0 {
			port := p.Comp.Plan.Manifest.Outputs[0]
			for i, w := range res.Outputs[1]["out"] {
				out.Error = max(out.Error, math.Abs(math.Ldexp(float64(int64(w)), -port.Scale)-p.Want.F[i]))
			}
		}
	}
	out.Online.Seconds, out.Offline.Seconds = median(on), median(off)
	_ = plan.Online
	return out, nil
}

func median(x []float64) float64 {
	sort.Float64s(x)
	return x[len(x)/2]
}
