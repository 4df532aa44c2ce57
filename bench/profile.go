package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/runtime/engine"
)

// A Profile is what a machine does in a second, by kind of work, as measured on models made for that.
type Profile struct {
	Machine Machine            `json:"machine"`
	Rates   map[string]float64 `json:"per_second"` // per core; a kind that is missing took no time that could be told
	Wait    Handover           `json:"handover"`
	GRPC    Loopback           `json:"grpc"`
	Fit     []Fitted           `json:"fit"` // what the profile says of the models that it was made from
}

// Handover is how long processors wait to be woken.
type Handover struct {
	Round float64 `json:"seconds_per_round"` // an exchange in memory
	Split float64 `json:"seconds_per_split"` // a stage that is shared out among processors
}

// Loopback is what gRPC with mutual TLS between processes of one machine takes, besides the time in memory.
type Loopback struct {
	Round float64 `json:"seconds_per_round"`
	Bytes float64 `json:"bytes_per_second"` // 0 if bytes took no time that could be told
}

// A Fitted is a phase of a model, measured and as the profile has it.
type Fitted struct {
	Model     string  `json:"model"`
	Phase     string  `json:"phase"`
	Measured  float64 `json:"measured_seconds"`
	Predicted float64 `json:"predicted_seconds"`
	// CPU and PredictedCPU are the processors' time of all roles.
	CPU          float64 `json:"cpu_seconds"`
	PredictedCPU float64 `json:"predicted_cpu_seconds"`
}

// ReadProfile reads a profile that Write wrote.
func ReadProfile(file string) (*Profile, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	p := &Profile{}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, fmt.Errorf("%s is no machine profile: %w", file, err)
	}
	known := map[string]bool{}
	for _, k := range engine.KindNames {
		known[k] = true
	}
	for k, r := range p.Rates {
		if !known[k] || !(r > 0) {
			return nil, fmt.Errorf("%s is no machine profile of this version: %s = %g; run smpcc bench --calibrate again", file, k, r)
		}
	}
	if len(p.Rates) == 0 || p.Machine.Cores < 1 || !(p.GRPC.Round >= 0) || !(p.GRPC.Bytes >= 0) || !(p.Wait.Round >= 0) || !(p.Wait.Split >= 0) {
		return nil, fmt.Errorf("%s is no machine profile: it has no rates or no cores", file)
	}
	return p, nil
}

// Write writes the profile as JSON.
func (p *Profile) Write(file string) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return plan.WriteAtomic(file, append(data, '\n'), 0o644)
}

// A Forecast is what a plan will take.
type Forecast struct {
	cores int
	works [][3]engine.Work // by role and phase
	wire  [3]wire
	Roles []engine.Footprint
	// Together is the peak of all roles in one process, where a message is in memory once.
	Together int64
}

// A wire is what goes between roles in a phase.
type wire struct {
	rounds int
	line   int64 // bytes of the busiest line of each exchange, added up
}

// NewForecast counts the work of a plan, for machines of so many cores.
func NewForecast(p *plan.Plan, cores int) (*Forecast, error) {
	f := &Forecast{cores: cores}
	var setup, session, model int64
	for role := range p.Programs {
		e, err := engine.New(p, role)
		if err != nil {
			return nil, err
		}
		var w [3]engine.Work
		for ph := range w {
			w[ph] = e.Work(plan.Phase(ph))
		}
		f.works = append(f.works, w)
		r := e.Footprint()
		f.Roles = append(f.Roles, r)
		model += r.Model
		session += r.Session + r.Outputs
	}
	for _, w := range p.Manifest.Weights {
		setup += 8 * int64(w.Len())
	}
	var most [3]int64 // bytes of the largest exchange
	for ph := range f.wire {
		for r := range p.Programs[0].Rounds(plan.Phase(ph)) {
			line, all := int64(0), int64(0)
			for role := range p.Programs {
				to := make([]int64, len(p.Programs))
				for i := range p.Programs[role].Rounds(plan.Phase(ph))[r].Opens {
					o := &p.Programs[role].Rounds(plan.Phase(ph))[r].Opens[i]
					if !slices.Contains(o.From, role) {
						continue
					}
					for _, t := range o.To {
						if t != role {
							to[t] += int64(o.Bytes())
							all += int64(o.Bytes())
						}
					}
				}
				line = max(line, slices.Max(to))
			}
			if line > 0 {
				f.wire[ph].rounds++
				f.wire[ph].line += line
			}
			most[ph] = max(most[ph], all)
		}
	}
	f.Together = model + max(setup+most[plan.Setup], session+max(most[plan.Offline], most[plan.Online]))
	return f, nil
}

// seconds is the processors' time of work.
func (p *Profile) seconds(w *[engine.Kinds]float64) float64 {
	t := 0.0
	for k, n := range w {
		if rate := p.Rates[engine.KindNames[k]]; rate > 0 {
			t += n / rate
		}
	}
	return t
}

// CPU predicts the processors' time of a phase, of all roles.
func (p *Profile) CPU(f *Forecast, ph plan.Phase) float64 {
	t := 0.0
	for role := range f.works {
		w := &f.works[role][ph]
		t += p.seconds(&w.Parallel) + p.seconds(&w.Alone)
	}
	return t
}

// alone is the time of a role's work that one processor does, less that of exchanges, and the wait for others to take their share.
func (p *Profile) alone(w *engine.Work) float64 {
	a := w.Alone
	a[engine.Rounds] = 0
	return p.seconds(&a) + p.Wait.Split*w.Alone[engine.Splits]
}

// Compute predicts the seconds that the roles of a phase compute, each on a machine of its own: the role that takes longest,
// without the network.
func (p *Profile) Compute(f *Forecast, ph plan.Phase) float64 {
	t := 0.0
	for role := range f.works {
		w := &f.works[role][ph]
		t = max(t, p.seconds(&w.Parallel)/float64(f.cores)+p.alone(w))
	}
	return t
}

// Seconds predicts the seconds of a phase with all roles on this machine, over memory, grpc or wan. Work that goes to all processors is
// done one after the other; of what one does alone, roles do theirs at the same time, as far as there are processors.
func (p *Profile) Seconds(f *Forecast, ph plan.Phase, transport string) float64 {
	parallel, longest, sum := 0.0, 0.0, 0.0
	for role := range f.works {
		w := &f.works[role][ph]
		parallel += p.seconds(&w.Parallel)
		a := p.alone(w)
		longest, sum = max(longest, a), sum+a
	}
	c := f.wire[ph]
	t := parallel/float64(f.cores) + max(longest, sum/float64(f.cores)) + float64(c.rounds)*p.exchange()
	switch transport {
	case "grpc":
		t += float64(c.rounds) * p.GRPC.Round
		if p.GRPC.Bytes > 0 {
			t += float64(c.line) / p.GRPC.Bytes
		}
	case "wan":
		t += float64(c.rounds)*wan.RTT.Seconds()/2 + float64(c.line)*8/wan.Bandwidth
	}
	return t
}

// exchange is the time of an exchange in memory.
func (p *Profile) exchange() float64 {
	t := p.Wait.Round
	if rate := p.Rates[engine.KindNames[engine.Rounds]]; rate > 0 {
		t += 1 / rate
	}
	return t
}

// probes are the models that a profile is made from. None is of the suite.
func probes() []Model {
	relu := func(n int) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value { return g.relu(g.e(ir.OpMul, nil, g.input(-64, 64, n), g.number(0.7))) }
	}
	smooth := func(op ir.Op, n int, lo, hi float64) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value { return g.e(op, nil, g.input(lo, hi, n)) }
	}
	conv := func(in, out, k, size, stride, group int) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value {
			return g.relu(g.conv(g.input(-2, 2, 1, in, size, size), out, k, stride, group))
		}
	}
	stack := func(in, mid, k, size, group, deep int) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value {
			x := g.conv(g.input(-2, 2, 1, in, size, size), mid, 1, 1, 1)
			for range deep {
				x = g.calm(g.relu(g.conv(x, mid, k, 1, group)), mid, 1)
			}
			return x
		}
	}
	network := func(batch int) func(g *graph) *ir.Value {
		return func(g *graph) *ir.Value {
			x := g.relu(g.maxPool(g.conv(g.input(0, 1, batch, 1, 24, 24), 16, 3, 1, 1), 2, 2, 0))
			x = g.relu(g.maxPool(g.conv(x, 32, 3, 1, 1), 2, 2, 0))
			return g.dense(g.relu(g.dense(g.reshape(x, batch, 32*6*6), 400)), 10)
		}
	}
	models := []Model{
		{Name: "relu-200", build: relu(200)},
		{Name: "relu-20k", build: relu(20_000)},
		{Name: "relu-300k", build: relu(300_000)},
		{Name: "relu-1500k", build: relu(1_500_000)},
		{Name: "matmul-96", build: func(g *graph) *ir.Value { return g.square(96) }},
		{Name: "matmul-384", build: func(g *graph) *ir.Value { return g.square(384) }},
		{Name: "matmul-896", build: func(g *graph) *ir.Value { return g.square(896) }},
		{Name: "dense-1", build: func(g *graph) *ir.Value { return g.dense(g.relu(g.dense(g.input(-1, 1, 1, 1500), 1500)), 1000) }},
		{Name: "dense-48", build: func(g *graph) *ir.Value { return g.dense(g.relu(g.dense(g.input(-1, 1, 48, 512), 1024)), 512) }},
		{Name: "conv-small", build: conv(8, 16, 3, 28, 1, 1)},
		{Name: "conv-64", build: conv(64, 64, 3, 56, 1, 1)},
		{Name: "conv-stem", build: conv(3, 48, 7, 192, 2, 1)},
		{Name: "conv-point", build: conv(256, 256, 1, 28, 1, 1)},
		{Name: "conv-deep", build: conv(384, 384, 3, 7, 1, 1)},
		{Name: "depthwise", build: conv(96, 96, 3, 96, 1, 96)},
		{Name: "depthwise-small", build: conv(384, 384, 3, 14, 1, 384)},
		{Name: "depthwise-half", build: conv(144, 144, 3, 56, 2, 144)},
		{Name: "network-1", build: network(1)},
		{Name: "network-4", build: network(4)},
		{Name: "network-12", build: network(12)},
		{Name: "depthwise-stack", build: stack(32, 192, 3, 28, 192, 3)},
		{Name: "conv-stack", build: stack(32, 64, 3, 28, 1, 5)},
		{Name: "pool", build: func(g *graph) *ir.Value { return g.maxPool(g.input(-2, 2, 1, 32, 64, 64), 2, 2, 0) }},
		{Name: "pool-3", build: func(g *graph) *ir.Value { return g.maxPool(g.input(-2, 2, 1, 48, 97, 97), 3, 2, 0) }},
		{Name: "gelu-60k", build: smooth(ir.OpGelu, 60_000, -8, 8)},
		{Name: "gelu-400k", build: smooth(ir.OpGelu, 400_000, -8, 8)},
		{Name: "exp-20k", build: smooth(ir.OpExp, 20_000, -8, 1)},
		{Name: "rsqrt-1k", build: smooth(ir.OpRsqrt, 1000, 0.1, 100)},
		{Name: "softmax", build: func(g *graph) *ir.Value { return g.e(ir.OpSoftmax, ir.Attrs{ir.I("axis", 1)}, g.input(-4, 4, 512, 96)) }},
		{Name: "norm", build: func(g *graph) *ir.Value { return g.norm(g.input(-3, 3, 128, 512)) }},
		{Name: "scaled-400k", build: func(g *graph) *ir.Value { x := g.input(-4, 4, 400_000); return g.e(ir.OpMul, nil, x, x) }},
	}
	for i := range models {
		models[i].Batch = 1
	}
	return models
}

// A Grpc runs sessions over gRPC between processes.
type Grpc func(p *Prepared, m *Machine, runs int) (*Result, error)

// overGRPC are the probes that are measured over gRPC too.
var overGRPC = map[string]bool{"relu-200": true, "matmul-896": true, "network-1": true, "network-12": true, "relu-300k": true, "conv-stack": true}

// A sample is a phase of a probe as measured.
type sample struct {
	model string
	ph    plan.Phase
	f     *Forecast
	cpu   float64 // of the session that took least
	wall  float64 // of the quickest
	grpc  float64 // of the quickest over gRPC, 0 if not measured
}

// Calibrate measures this machine. say is told what is going on; over may be nil, which leaves gRPC out.
func Calibrate(ctx context.Context, m *Machine, runs int, say func(string), over Grpc) (*Profile, error) {
	var samples []sample
	for _, b := range probes() {
		say(b.Name)
		pr, err := Prepare(b, "memory")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		f, err := NewForecast(pr.Plan, m.Cores)
		if err != nil {
			return nil, err
		}
		r, err := pr.Runs(ctx, m, "memory", runs)
		if err == nil && r.Online.Fastest+r.Offline.Fastest < 0.01 { // more of what is short
			r, err = pr.Runs(ctx, m, "memory", 10*runs)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		on := sample{model: b.Name, ph: plan.Online, f: f, cpu: r.Online.LeastCPU, wall: r.Online.Fastest}
		if over != nil && overGRPC[b.Name] {
			say(b.Name + " over grpc")
			g, err := over(pr, m, runs)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name, err)
			}
			on.grpc = g.Online.Fastest
		}
		samples = append(samples, sample{model: b.Name, ph: plan.Offline, f: f, cpu: r.Offline.LeastCPU, wall: r.Offline.Fastest}, on)
		runtime.GC()
	}
	return fit(m, samples), nil
}

// fit makes a profile of samples. Rates come from the processors' time, which other processes on the machine hardly change; how long
// processors wait for each other from what is left of the times.
func fit(m *Machine, samples []sample) *Profile {
	p := &Profile{Machine: *m, Rates: map[string]float64{}}
	// Errors count in proportion to the time, so that small models weigh as much as large ones.
	var a [][]float64
	var y []float64
	for _, s := range samples {
		if !(s.cpu > 0) {
			continue
		}
		line := make([]float64, engine.Kinds)
		for role := range s.f.works {
			w := &s.f.works[role][s.ph]
			for k := range line {
				line[k] += (w.Parallel[k] + w.Alone[k]) / s.cpu
			}
		}
		a, y = append(a, line), append(y, 1)
	}
	if len(a) > 0 {
		for k, c := range robust(a, y) {
			if c > 0 {
				p.Rates[engine.KindNames[k]] = 1 / c
			}
		}
	}
	a, y = nil, nil
	for _, s := range samples {
		if s.ph != plan.Online {
			continue
		}
		splits := 0.0
		for role := range s.f.works {
			splits = max(splits, s.f.works[role][s.ph].Alone[engine.Splits])
		}
		left := s.wall - p.Seconds(s.f, s.ph, "memory")
		a, y = append(a, []float64{float64(s.f.wire[s.ph].rounds) / s.wall, splits / s.wall}), append(y, left/s.wall)
	}
	if len(a) > 0 {
		w := robust(a, y)
		p.Wait = Handover{Round: w[0], Split: w[1]}
	}
	a, y = nil, nil
	for _, s := range samples {
		if s.grpc > 0 {
			left := s.grpc - p.Seconds(s.f, s.ph, "memory")
			a, y = append(a, []float64{float64(s.f.wire[s.ph].rounds) / s.grpc, float64(s.f.wire[s.ph].line) / s.grpc}), append(y, left/s.grpc)
		}
	}
	if len(a) > 0 {
		w := robust(a, y)
		p.GRPC.Round = w[0]
		if w[1] > 0 {
			p.GRPC.Bytes = 1 / w[1]
		}
	}
	for _, s := range samples {
		p.Fit = append(p.Fit, Fitted{s.model, s.ph.String(), s.wall, p.Seconds(s.f, s.ph, "memory"), s.cpu, p.CPU(s.f, s.ph)})
	}
	return p
}

// robust is nonNegative where lines that do not fit by more than tolerable count less than in square: another process that takes the
// machine for a while makes times wrong, and always too long.
func robust(a [][]float64, y []float64) []float64 {
	const tolerable = 0.1
	x := nonNegative(a, y)
	for range 10 {
		wa, wy := make([][]float64, len(a)), make([]float64, len(y))
		for i, row := range a {
			miss := -y[i]
			for j, v := range row {
				miss += v * x[j]
			}
			w := math.Sqrt(min(1, tolerable/max(math.Abs(miss), 1e-9)))
			for _, v := range row {
				wa[i] = append(wa[i], w*v)
			}
			wy[i] = w * y[i]
		}
		x = nonNegative(wa, wy)
	}
	return x
}

// nonNegative minimises |Ax - y| over x >= 0, one coordinate after the other until nothing moves.
func nonNegative(a [][]float64, y []float64) []float64 {
	n := len(a[0])
	norm, x, rest := make([]float64, n), make([]float64, n), append([]float64{}, y...)
	for _, row := range a {
		for j, v := range row {
			norm[j] += v * v
		}
	}
	for range 200_000 {
		moved := 0.0
		for j := range x {
			if norm[j] == 0 {
				continue
			}
			g := 0.0
			for i, row := range a {
				g += row[j] * rest[i]
			}
			to := max(0, x[j]+g/norm[j])
			if d := to - x[j]; d != 0 {
				for i, row := range a {
					rest[i] -= d * row[j]
				}
				x[j] = to
				moved = max(moved, math.Abs(d)*math.Sqrt(norm[j]))
			}
		}
		if moved < 1e-10 {
			break
		}
	}
	return x
}
