package bench

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"sort"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/passes"
	"smpcc/runtime/local"
	"smpcc/runtime/memnet"
	"smpcc/runtime/timeline"
)

// A Phase is what one phase takes, over all roles; bytes are of the party that sends most.
type Phase struct {
	Seconds float64 `json:"seconds"`
	Fastest float64 `json:"fastest_seconds"` // of the quickest session
	Rounds  int     `json:"rounds"`
	Bytes   int64   `json:"bytes_sent"`
	CPU     float64 `json:"cpu_seconds"` // of the processors, for all roles together
	// LeastCPU is that of the session that took least.
	LeastCPU float64 `json:"least_cpu_seconds"`
	// ByRole is the processors' time of each role, where each is a process of its own.
	ByRole map[string]float64 `json:"cpu_seconds_by_role,omitempty"`
}

// A Result is one model on one transport.
type Result struct {
	Name      string `json:"name"`
	Transport string `json:"transport"`
	Batch     int    `json:"batch"`
	// Failure says why there are no figures.
	Failure  string  `json:"failure,omitempty"`
	Sessions int     `json:"sessions"` // of which times are medians
	Compile  float64 `json:"compile_seconds"`
	Setup    Phase   `json:"setup"`
	Offline  Phase   `json:"offline"`
	Online   Phase   `json:"online"`
	Material int64   `json:"material_bytes"`
	// PeakRSS is the largest resident size: of the process, or the sum of the processes of all roles.
	PeakRSS    int64            `json:"peak_rss_bytes"`
	PeakByRole map[string]int64 `json:"peak_rss_bytes_by_role,omitempty"`
	Floor      float64          `json:"floor_seconds"`
	Error      float64          `json:"max_abs_error"`
	// Grown is how far the process grew in setup and the first session: the memory of all roles. 0 where they are other processes.
	Grown     int64       `json:"grown_bytes,omitempty"`
	Predicted *Prediction `json:"predicted,omitempty"`
	// Spent is where the time of the online phase went in one session, by kind of work, in seconds of a party.
	Spent map[string]float64 `json:"spent_seconds,omitempty"`
}

// A Prediction is what a machine profile says of a result.
type Prediction struct {
	Online  float64 `json:"online_seconds"`
	Offline float64 `json:"offline_seconds"`
	CPU     float64 `json:"online_cpu_seconds,omitempty"` // 0 over wan, where most of it is waking up
	// Memory is what setup and the first session add to one process, or all that the processes of roles take over gRPC.
	Memory int64 `json:"memory_bytes"`
}

// A Report is what one run of the suite found.
type Report struct {
	Machine *Machine  `json:"machine"`
	Runs    int       `json:"runs"` // sessions per result, at most
	Results []*Result `json:"results"`
	// Batches are results at other batch sizes than the models' own.
	Batches []*Result `json:"batches,omitempty"`
}

// A Prepared is a compiled model with what a run needs.
type Prepared struct {
	Model   Model
	Plan    *plan.Plan
	Inputs  [][]uint64
	Want    *ir.Tensor
	Seconds float64 // to compile
	// Weights encodes the weights. Sessions need them in setup only, so nobody keeps them.
	Weights func() ([][]uint64, error)
	Comp    *smpcc.Compilation    // nil if another process compiled
	Data    map[string]*ir.Tensor // the inputs before encoding
}

// wan is the slow network of the suite.
var wan = memnet.Link{RTT: 40 * time.Millisecond, Bandwidth: 1e8}

// Prepare generates and compiles a model, with ranges calibrated on samples, for the network of a transport.
func Prepare(b Model, transport string) (*Prepared, error) {
	m, in, err := b.Build()
	if err != nil {
		return nil, err
	}
	p := &Prepared{Model: b, Data: in[0]}
	want, err := ir.Run(m, p.Data)
	if err != nil {
		return nil, err
	}
	p.Want = want["out"]
	opt := smpcc.Options{Samples: in}
	if transport == "wan" {
		opt.Net = passes.Network{RTT: wan.RTT.Seconds(), Bandwidth: wan.Bandwidth}
	}
	start := time.Now()
	p.Comp, err = smpcc.CompileModule(m, opt, false)
	if err != nil {
		return nil, err
	}
	p.Seconds = time.Since(start).Seconds()
	p.Plan, p.Weights = p.Comp.Plan, p.Comp.BindWeights
	return p, p.Bind()
}

// Bind encodes the inputs.
func (p *Prepared) Bind() error {
	p.Inputs = nil
	for _, port := range p.Plan.Manifest.Inputs {
		words, err := smpcc.Bind(port, p.Data[port.Name])
		if err != nil {
			return err
		}
		p.Inputs = append(p.Inputs, words)
	}
	return nil
}

func phase(p local.Phase) Phase {
	out := Phase{Seconds: p.Seconds, Rounds: p.Rounds, CPU: p.CPU.Seconds()}
	for _, n := range p.Sent {
		out.Bytes = max(out.Bytes, n)
	}
	return out
}

// Warming is how long sessions run before any is measured, so that a result is that of a server at work: processors at their clock,
// memory written before. One session, the first, is of a new server and not measured.
const Warming = 500 * time.Millisecond

// Patience is how long a result takes sessions: the last begins before it is over.
const Patience = 30 * time.Second

// Sessions calls run to warm up and then for each session to be measured.
func Sessions(runs int, run func(measured bool) error) error {
	for start := time.Now(); ; {
		if err := run(false); err != nil {
			return err
		}
		if time.Since(start) > Warming {
			break
		}
	}
	for n, start := 0, time.Now(); n < runs && (n == 0 || time.Since(start) < Patience); n++ {
		if err := run(true); err != nil {
			return err
		}
	}
	return nil
}

// Runs measures sessions on the machine. transport is memory, or wan for memory slowed down to 40 ms and 100 Mbit/s; session
// times are medians. Behind them, one more session in memory shows where time goes, to the timeline of the context too if it has one.
func (p *Prepared) Runs(ctx context.Context, m *Machine, transport string, runs int) (*Result, error) {
	rec := timeline.From(ctx)
	if rec == nil && transport == "memory" {
		rec = timeline.New(time.Now)
	}
	ctx = timeline.With(ctx, nil)
	resetPeak()
	before := PeakRSS("self")
	r, err := p.setup(ctx)
	if err != nil {
		return nil, err
	}
	r.CPU = CPU
	if transport == "wan" {
		r.Link = wan
	}
	s := p.Start(m, transport)
	s.Setup(r.Setup)
	err = Sessions(runs, func(measured bool) error {
		res, err := r.Run(ctx, p.Inputs)
		if err != nil {
			return err
		}
		if s.Grown == 0 {
			s.Grown = PeakRSS("self") - before
		}
		if measured {
			s.Session(res.Offline, res.Online, p.Error(res.Outputs[1]["out"]))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.PeakRSS = PeakRSS("self")
	if rec != nil {
		if _, err := r.Run(timeline.With(ctx, rec), p.Inputs); err != nil {
			return nil, err
		}
		s.Spent = spent(rec.Spans(), p.Plan.Manifest.Parties)
	}
	return s.Finish(), nil
}

// setup runs setup. What reading weights takes is the caller's, and garbage before it; the weights are garbage after it, as are its messages, whose
// buffers outlive one collection: sessions have their memory.
func (p *Prepared) setup(ctx context.Context) (*local.Runner, error) {
	w, err := p.Weights()
	if err != nil {
		return nil, err
	}
	debug.FreeOSMemory()
	r, err := local.New(ctx, p.Plan, w)
	runtime.GC()
	debug.FreeOSMemory()
	return r, err
}

// Predict adds to a result what a profile says of it.
func (p *Profile) Predict(f *Forecast, r *Result) {
	r.Predicted = &Prediction{Online: p.Seconds(f, plan.Online, r.Transport), Offline: p.Seconds(f, plan.Offline, r.Transport), CPU: p.CPU(f, plan.Online, r.Transport), Memory: f.Together + p.Memory.Process}
	if r.Transport == "grpc" {
		r.Predicted.Memory = 0
		for _, role := range f.Roles {
			r.Predicted.Memory += server(role) + p.Memory.Server
		}
	}
}

// spent adds up where the parties' time of the online phase went: the mean of a party, in seconds by the name of its stages, and
// the rest of it as exchange.
func spent(spans []timeline.Span, parties []string) map[string]float64 {
	out := map[string]float64{}
	for _, s := range spans {
		if s.Phase != plan.Online.String() || s.Thread != timeline.Compute || !slices.Contains(parties, s.Role) {
			continue
		}
		t := (s.To - s.From).Seconds() / float64(len(parties))
		switch s.Kind {
		case timeline.Phase:
			out["exchange"] += t
		case timeline.Stage:
			out[s.Name] += t
			out["exchange"] -= t
		}
	}
	return out
}

// A Measurement is a result in the making.
type Measurement struct {
	*Result
	online, offline, onlineCPU, offlineCPU []float64
}

// Start begins a result.
func (p *Prepared) Start(m *Machine, transport string) *Measurement {
	c := p.Plan.Cost()
	return &Measurement{Result: &Result{Name: p.Model.Name, Transport: transport, Batch: p.Model.Batch, Compile: p.Seconds, Material: c.Dealt, Floor: m.floor(c, transport)}}
}

// Setup adds a setup.
func (s *Measurement) Setup(p local.Phase) { s.Result.Setup = phase(p) }

// Session adds a session and the largest error of its output.
func (s *Measurement) Session(offline, online local.Phase, worst float64) {
	s.Offline, s.Online = phase(offline), phase(online)
	s.online, s.offline = append(s.online, s.Online.Seconds), append(s.offline, s.Offline.Seconds)
	s.onlineCPU, s.offlineCPU = append(s.onlineCPU, s.Online.CPU), append(s.offlineCPU, s.Offline.CPU)
	s.Sessions, s.Error = s.Sessions+1, max(s.Error, worst)
}

// Finish keeps the medians.
func (s *Measurement) Finish() *Result {
	s.Online.Seconds, s.Online.Fastest = median(s.online), slices.Min(s.online)
	s.Online.CPU, s.Online.LeastCPU = median(s.onlineCPU), slices.Min(s.onlineCPU)
	s.Offline.Seconds, s.Offline.Fastest = median(s.offline), slices.Min(s.offline)
	s.Offline.CPU, s.Offline.LeastCPU = median(s.offlineCPU), slices.Min(s.offlineCPU)
	return s.Result
}

// Error returns the largest difference of an output to the plaintext result.
func (p *Prepared) Error(words []uint64) float64 {
	port, worst := p.Plan.Manifest.Outputs[0], 0.0
	for i, w := range words {
		worst = max(worst, math.Abs(math.Ldexp(float64(int64(w)), -port.Scale)-p.Want.F[i]))
	}
	return worst
}

func median(x []float64) float64 {
	sort.Float64s(x)
	return x[len(x)/2]
}
