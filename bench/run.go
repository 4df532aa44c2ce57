package bench

import (
	"context"
	"math"
	"slices"
	"sort"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/runtime/local"
	"smpcc/runtime/memnet"
)

// A Phase is what one phase takes, over all roles; bytes are of the party that sends most.
type Phase struct {
	Seconds float64 `json:"seconds"`
	Fastest float64 `json:"fastest_seconds"` // of the quickest session
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
	// Sessions is how far the process grew in setup and the first session: the memory of all roles. 0 where they are other processes.
	Sessions  int64       `json:"sessions_bytes,omitempty"`
	Predicted *Prediction `json:"predicted,omitempty"`
}

// A Prediction is what a machine profile says of a result.
type Prediction struct {
	Online  float64 `json:"online_seconds"`
	Offline float64 `json:"offline_seconds"`
	Memory  int64   `json:"memory_bytes"` // of all roles, besides the process
}

// A Report is what one run of the suite found.
type Report struct {
	Machine *Machine  `json:"machine"`
	Runs    int       `json:"runs"` // sessions per result
	Results []*Result `json:"results"`
}

// A Prepared is a compiled model with what a run needs.
type Prepared struct {
	Model   Model
	Comp    *smpcc.Compilation
	Weights [][]uint64
	Inputs  [][]uint64
	Want    *ir.Tensor
	Data    map[string]*ir.Tensor // the inputs before encoding
	Seconds float64               // to compile
}

// wan is the network of the transport of that name.
var wan = memnet.Link{RTT: 40 * time.Millisecond, Bandwidth: 1e8}

// Prepare generates and compiles a model, with ranges calibrated on its input: for the network of wan, or for a LAN.
func Prepare(b Model, transport string) (*Prepared, error) {
	m, in, err := b.Build()
	if err != nil {
		return nil, err
	}
	p := &Prepared{Model: b, Data: in}
	want, err := ir.Run(m, in)
	if err != nil {
		return nil, err
	}
	p.Want = want["out"]
	opt := smpcc.Options{Samples: []map[string]*ir.Tensor{in}}
	if transport == "wan" {
		opt.Net.RTT, opt.Net.Bandwidth = wan.RTT.Seconds(), wan.Bandwidth
	}
	start := time.Now()
	p.Comp, err = smpcc.CompileModule(m, opt, false)
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

// Runs measures sessions on the machine. transport is memory, or wan for memory slowed down to 40 ms and 100 Mbit/s; session
// times are medians.
func (p *Prepared) Runs(ctx context.Context, m *Machine, transport string, runs int) (*Result, error) {
	resetPeak()
	before := peak()
	r, err := local.New(ctx, p.Comp.Plan, p.Weights)
	if err != nil {
		return nil, err
	}
	if transport == "wan" {
		r.Link = wan
	}
	out := p.result(m, transport)
	out.Setup = phase(r.Setup)
	var on, off []float64
	for range runs {
		res, err := r.Run(ctx, p.Inputs)
		if err != nil {
			return nil, err
		}
		on, off = append(on, res.Online.Seconds), append(off, res.Offline.Seconds)
		out.Online, out.Offline = phase(res.Online), phase(res.Offline)
		out.Error = p.Error(res.Outputs[1]["out"])
		if out.Sessions == 0 {
			out.Sessions = peak() - before
		}
	}
	out.times(on, off)
	out.PeakRSS = peak()
	return out, nil
}

// Predict adds to a result what a profile says of it.
func (p *Prepared) Predict(r *Result, known *Profile) error {
	f, err := NewForecast(p.Comp.Plan, known.Machine.Cores)
	if err != nil {
		return err
	}
	r.Predicted = &Prediction{Online: known.Seconds(f, plan.Online, r.Transport), Offline: known.Seconds(f, plan.Offline, r.Transport)}
	for _, role := range f.Roles {
		r.Predicted.Memory += role.Total()
	}
	return nil
}

// result starts a result.
func (p *Prepared) result(m *Machine, transport string) *Result {
	c := p.Comp.Plan.Cost()
	return &Result{Name: p.Model.Name, Transport: transport, Batch: p.Model.Batch, Compile: p.Seconds, Material: c.Dealt, Floor: m.floor(c)}
}

// Collect makes a result of sessions that ran elsewhere, such as on party servers.
func (p *Prepared) Collect(m *Machine, transport string, phases [][3]local.Phase) *Result {
	out := p.result(m, transport)
	var on, off []float64
	for _, ph := range phases {
		out.Setup, out.Offline, out.Online = phase(ph[plan.Setup]), phase(ph[plan.Offline]), phase(ph[plan.Online])
		on, off = append(on, out.Online.Seconds), append(off, out.Offline.Seconds)
	}
	out.times(on, off)
	return out
}

// Error returns the largest difference of an output to the plaintext result.
func (p *Prepared) Error(words []uint64) float64 {
	port, worst := p.Comp.Plan.Manifest.Outputs[0], 0.0
	for i, w := range words {
		worst = max(worst, math.Abs(math.Ldexp(float64(int64(w)), -port.Scale)-p.Want.F[i]))
	}
	return worst
}

// times keeps the times of sessions.
func (r *Result) times(online, offline []float64) {
	r.Online.Seconds, r.Online.Fastest = median(online), slices.Min(online)
	r.Offline.Seconds, r.Offline.Fastest = median(offline), slices.Min(offline)
}

func median(x []float64) float64 {
	sort.Float64s(x)
	return x[len(x)/2]
}
