package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"

	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/runtime/engine"
)

// profileVersion counts the meanings that a profile's file has had.
const profileVersion = 2

// A Profile is what a machine does in a second, by kind of work, as measured on models made for that.
type Profile struct {
	Version int                `json:"version"`
	Machine Machine            `json:"machine"`
	Rates   map[string]float64 `json:"per_second"` // per core where all are busy; a kind that is missing took no time that could be told
	// Alone is the time that a core takes for work while others rest, as a part of what it takes while all are busy: 1 where cores share
	// nothing, 1/n where n cores together are no faster than one.
	Alone  float64  `json:"alone"`
	Busy   float64  `json:"busy"` // processors' time over the time that all of them would need if none rested
	GRPC   Loopback `json:"grpc"`
	Memory Besides  `json:"memory"`
	Fit    []Fitted `json:"fit"` // what the profile says of the models that it was made from
}

// Besides is the memory in bytes that processes take besides what plans say.
type Besides struct {
	Process int64 `json:"process_bytes"` // growth of a process in which all roles run
	Server  int64 `json:"server_bytes"`  // a server of one role, whole
}

// Loopback is gRPC with mutual TLS between processes of one machine, compared with roles in one process.
type Loopback struct {
	Time Overhead `json:"time"`
	CPU  Overhead `json:"cpu"` // processors' time of all roles
}

// An Overhead is what a process for each role makes of a phase: it takes Slower times as long, because processes have no part of a cache in
// common and wake each other, and for each exchange and each byte of its busiest line something more.
type Overhead struct {
	Slower float64 `json:"slower"`
	Round  float64 `json:"seconds_per_round"`
	Byte   float64 `json:"seconds_per_byte"`
}

// of is what an overhead makes of a time.
func (o *Overhead) of(t float64, w *wire) float64 {
	return o.Slower*t + o.Round*float64(w.rounds) + o.Byte*float64(w.line)
}

// valid reports whether an overhead can be one.
func (o *Overhead) valid() bool { return o.Slower >= 0 && o.Round >= 0 && o.Byte >= 0 }

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
	if p.Version != profileVersion {
		return nil, fmt.Errorf("%s is a machine profile of version %d, this smpcc reads version %d; run smpcc bench --calibrate again", file, p.Version, profileVersion)
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
	if len(p.Rates) == 0 || p.Machine.Cores < 1 || !(p.Alone > 0 && p.Alone <= 1) || !(p.Busy >= 0) || !p.GRPC.Time.valid() || !p.GRPC.CPU.valid() || p.Memory.Process < 0 || p.Memory.Server < 0 {
		return nil, fmt.Errorf("%s is no machine profile: it has no rates, no cores or no times; run smpcc bench --calibrate again", file)
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
	works [][3][]engine.Work // by role, phase and round
	wire  [3]wire
	Roles []engine.Footprint
	// Together is the peak of all roles in one process, where a message is in memory once.
	Together int64
}

// Headroom is the garbage in bytes that a process lets lie while so much is in use.
func Headroom(live int64) int64 { return max(64<<20, live/8) }

// server is the memory that a role takes in a process of its own, besides the process itself. The pool of buffers lets go of what two collections
// have found unused: buffers from before a collection lie beside those made since. Garbage is besides what was setup's, and messages that the pool has let go.
func server(r engine.Footprint) int64 {
	return r.Total() + r.Messages + min(r.Setup+r.Messages, Headroom(r.Total()))
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
		f.works = append(f.works, e.Work())
		r := e.Footprint()
		f.Roles = append(f.Roles, r)
		model += r.Model
		session += r.Session + r.Outputs
	}
	for _, w := range p.Manifest.Weights {
		setup += 8 * int64(w.Len())
	}
	for ph := range f.wire {
		for r := range p.Programs[0].Rounds(plan.Phase(ph)) {
			line := int64(0)
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
						}
					}
				}
				line = max(line, slices.Max(to))
			}
			if line > 0 {
				f.wire[ph].rounds++
				f.wire[ph].line += line
			}
		}
	}
	all := func(int, int) bool { return true }
	f.Together = model + max(setup+engine.Buffers(p, all, 1, plan.Setup), session+engine.Buffers(p, all, 1, plan.Offline, plan.Online))
	return f, nil
}

// seconds is the time of work on a core where all are busy.
func (p *Profile) seconds(w *[engine.Kinds]float64) float64 {
	t := 0.0
	for k, n := range w {
		if rate := p.Rates[engine.KindNames[k]]; rate > 0 {
			t += n / rate
		}
	}
	return t
}

// alone is the time of a role's work that one processor does, less that of exchanges, where all are busy.
func (p *Profile) alone(w *engine.Work) float64 {
	a := w.Alone
	a[engine.Rounds] = 0
	return p.seconds(&a)
}

// CPU predicts the processors' time of a phase, of all roles, in memory or over grpc; 0 for wan.
func (p *Profile) CPU(f *Forecast, ph plan.Phase, transport string) float64 {
	if transport == "wan" {
		return 0
	}
	t := 0.0
	for role := range f.works {
		for i := range f.works[role][ph] {
			w := &f.works[role][ph][i]
			t += p.seconds(&w.Parallel) + p.seconds(&w.Alone)
		}
	}
	t *= p.Busy
	if transport == "grpc" {
		t = p.GRPC.CPU.of(t, &f.wire[ph])
	}
	return t
}

// rounds is the number of parts of a phase between which roles wait for each other.
func (f *Forecast) rounds(ph plan.Phase) int { return len(f.works[0][ph]) }

// Compute predicts the seconds that the roles of a phase compute, each on a machine of its own: of each round the role that takes longest,
// without the network.
func (p *Profile) Compute(f *Forecast, ph plan.Phase) float64 {
	t := 0.0
	for r := range f.rounds(ph) {
		longest := 0.0
		for role := range f.works {
			w := &f.works[role][ph][r]
			longest = max(longest, p.seconds(&w.Parallel)/float64(f.cores)+p.Alone*p.alone(w))
		}
		t += longest
	}
	return t
}

// works returns the work of a phase with all roles on this machine as what one core does from beginning to end while all are busy. Work that goes to all
// processors is done one after the other; of what one does alone, roles do theirs of a round at the same time, as far as there are processors. That of one role
// counts where it takes longest, less what it gains from cores that rest.
func (p *Profile) works(f *Forecast, ph plan.Phase) [engine.Kinds]float64 {
	var all [engine.Kinds]float64
	add := func(w *[engine.Kinds]float64, part float64) {
		for k, n := range w {
			all[k] += part * n
		}
	}
	each := 1 / float64(f.cores)
	for r := range f.rounds(ph) {
		longest, sum, who := 0.0, 0.0, 0
		for role := range f.works {
			w := &f.works[role][ph][r]
			add(&w.Parallel, each)
			a := p.alone(w)
			if sum += a; a > longest {
				longest, who = a, role
			}
		}
		if p.Alone*longest > each*sum {
			add(&f.works[who][ph][r].Alone, p.Alone)
			continue
		}
		for role := range f.works {
			add(&f.works[role][ph][r].Alone, each)
		}
	}
	all[engine.Rounds] = float64(f.wire[ph].rounds)
	return all
}

// Seconds predicts the seconds of a phase with all roles on this machine, over memory, grpc or wan.
func (p *Profile) Seconds(f *Forecast, ph plan.Phase, transport string) float64 {
	w := p.works(f, ph)
	t, c := p.seconds(&w), &f.wire[ph]
	switch transport {
	case "grpc":
		t = p.GRPC.Time.of(t, c)
	case "wan":
		t += float64(c.rounds)*wan.RTT.Seconds()/2 + float64(c.line)*8/wan.Bandwidth
	}
	return t
}

// scaled is n ReLUs behind a truncation.
func scaled(n int) func(g *graph) *ir.Value {
	return func(g *graph) *ir.Value { return g.relu(g.e(ir.OpMul, nil, g.input(-64, 64, n), g.number(0.7))) }
}

// keyed are the models that a profile is made from besides, compiled for wan, where they compare by keys.
func keyed() []Model {
	return []Model{
		{Name: "keys-1500", Batch: 1, build: scaled(1500)},
		{Name: "keys-7k", Batch: 1, build: scaled(7000)},
	}
}

// probes are the models that a profile is made from. None is of the suite.
func probes() []Model {
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
		{Name: "relu-200", build: scaled(200)},
		{Name: "relu-20k", build: scaled(20_000)},
		{Name: "relu-300k", build: scaled(300_000)},
		{Name: "relu-1500k", build: scaled(1_500_000)},
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
		{Name: "clip-200k", build: func(g *graph) *ir.Value {
			return g.e(ir.OpClip, ir.Attrs{ir.F("lo", -1), ir.F("hi", 5)}, g.e(ir.OpMul, nil, g.input(-64, 64, 200_000), g.number(0.7)))
		}},
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

// A Run measures sessions of a model over memory or grpc in processes of their own, as those of the suite.
type Run func(p *Prepared, m *Machine, transport string, runs int) (*Result, error)

// overGRPC are the probes that are measured over gRPC too.
var overGRPC = map[string]bool{"relu-200": true, "matmul-896": true, "network-1": true, "network-12": true, "relu-300k": true, "conv-stack": true, "depthwise-stack": true, "gelu-60k": true}

// A sample is a phase of a probe as measured.
type sample struct {
	model   string
	ph      plan.Phase
	f       *Forecast
	cpu     float64
	wall    float64
	grpc    float64 // over gRPC, 0 if not measured
	grpcCPU float64
}

// short is the memory in bytes up to which a model's sessions are so short that many are measured.
const short = 48 << 20

// Calibrate measures this machine. say is told what is going on.
func Calibrate(m *Machine, runs int, say func(string), run Run) (*Profile, error) {
	var samples []sample
	var process, servers []float64
	first := probes()
	for i, b := range append(first, keyed()...) {
		say(b.Name)
		net := "memory"
		if i >= len(first) {
			net = "wan"
		}
		pr, err := Prepare(b, net)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		f, err := NewForecast(pr.Plan, m.Cores)
		if err != nil {
			return nil, err
		}
		times := runs
		if f.Together < short {
			times = max(times, 50)
		}
		r, err := run(pr, m, "memory", times)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		process = append(process, float64(r.Grown-f.Together))
		on := sample{model: b.Name, ph: plan.Online, f: f, cpu: r.Online.CPU, wall: r.Online.Seconds}
		if overGRPC[b.Name] {
			say(b.Name + " over grpc")
			g, err := run(pr, m, "grpc", runs)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", b.Name, err)
			}
			on.grpc, on.grpcCPU = g.Online.Seconds, g.Online.CPU
			rest := float64(g.PeakRSS)
			for _, role := range f.Roles {
				rest -= float64(server(role))
			}
			servers = append(servers, rest/float64(len(f.Roles)))
		}
		samples = append(samples, sample{model: b.Name, ph: plan.Offline, f: f, cpu: r.Offline.CPU, wall: r.Offline.Seconds}, on)
	}
	p := fit(m, samples)
	p.Memory = Besides{Process: max(0, int64(median(process))), Server: max(0, int64(slices.Min(servers)))} // of the smallest, which has no garbage
	return p, nil
}

// fit makes a profile of samples.
func fit(m *Machine, samples []sample) *Profile {
	var best *Profile
	least := math.Inf(1)
	const tries = 5
	for i := range tries + 1 {
		p := &Profile{Version: profileVersion, Machine: *m, Alone: 1 - (1-1/float64(m.Cores))*float64(i)/tries}
		p.fitRates(samples)
		off := 0.0
		for _, s := range samples {
			off += min(0.5, math.Abs(p.Seconds(s.f, s.ph, "memory")-s.wall)/(s.wall+hardly))
		}
		if off < least {
			best, least = p, off
		}
		if m.Cores == 1 {
			break
		}
	}
	p := best
	var busy []float64
	p.Busy = 1
	for _, s := range samples {
		if s.cpu > ticks {
			busy = append(busy, s.cpu/p.CPU(s.f, s.ph, "memory"))
		}
	}
	if len(busy) > 0 {
		p.Busy = median(busy)
	}
	p.GRPC.Time = overhead(samples, func(s *sample) (memory, grpc float64) { return p.Seconds(s.f, s.ph, "memory"), s.grpc })
	p.GRPC.CPU = overhead(samples, func(s *sample) (memory, grpc float64) { return p.CPU(s.f, s.ph, "memory"), s.grpcCPU })
	for _, s := range samples {
		p.Fit = append(p.Fit, Fitted{s.model, s.ph.String(), s.wall, p.Seconds(s.f, s.ph, "memory"), s.cpu, p.CPU(s.f, s.ph, "memory")})
	}
	return p
}

const (
	// hardly is a time in seconds by which clocks are off.
	hardly = 20e-6
	// ticks is the processors' time in seconds from which the system's figure for it says anything.
	ticks = 4e-3
)

// fitRates finds rates for the profile's Alone. Whose work counts in a round depends on the rates, so this is done several times.
func (p *Profile) fitRates(samples []sample) {
	p.Rates = map[string]float64{}
	for _, k := range engine.KindNames {
		p.Rates[k] = 1e9
	}
	for range 6 {
		// Errors count in proportion to the time, so that small models weigh as much as large ones.
		var a [][]float64
		var y []float64
		for _, s := range samples {
			w := p.works(s.f, s.ph)
			for k := range w {
				w[k] /= s.wall + hardly
			}
			a, y = append(a, w[:]), append(y, s.wall/(s.wall+hardly))
		}
		p.Rates = map[string]float64{}
		if len(a) == 0 {
			return
		}
		for k, c := range robust(a, y) {
			if c > 0 {
				p.Rates[engine.KindNames[k]] = 1 / c
			}
		}
	}
}

// overhead finds what gRPC makes of times in memory.
func overhead(samples []sample, times func(s *sample) (memory, grpc float64)) Overhead {
	var a [][]float64
	var y []float64
	for i := range samples {
		s := &samples[i]
		if t, g := times(s); g > 0 {
			w := &s.f.wire[s.ph]
			a, y = append(a, []float64{t / g, float64(w.rounds) / g, float64(w.line) / g}), append(y, 1)
		}
	}
	if len(a) == 0 {
		return Overhead{Slower: 1}
	}
	x := robust(a, y)
	return Overhead{Slower: x[0], Round: x[1], Byte: x[2]}
}

// robust is nonNegative where lines that do not fit by more than tolerable count less than in square: another process that takes the
// machine for a while makes times wrong, and always too long.
func robust(a [][]float64, y []float64) []float64 {
	const tolerable = 0.1
	x := nonNegative(a, y, nil)
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
		x = nonNegative(wa, wy, x)
	}
	return x
}

// nonNegative minimises |Ax - y| over x >= 0 from a first guess, or from 0: one coordinate after the other until nothing moves. Columns are
// scaled to length 1, so that what moves is comparable.
func nonNegative(a [][]float64, y, guess []float64) []float64 {
	n := len(a[0])
	norm, gram, slope := make([]float64, n), make([][]float64, n), make([]float64, n)
	for _, row := range a {
		for j, v := range row {
			norm[j] += v * v
		}
	}
	for j := range norm {
		norm[j] = math.Sqrt(norm[j])
		gram[j] = make([]float64, n)
	}
	for i, row := range a {
		for j, v := range row {
			if v == 0 {
				continue
			}
			slope[j] += v * y[i] / norm[j]
			for k, w := range row {
				if w != 0 {
					gram[j][k] += v * w / (norm[j] * norm[k])
				}
			}
		}
	}
	x := make([]float64, n) // scaled
	move := func(j int, d float64) {
		x[j] += d
		for k, g := range gram[j] {
			slope[k] -= d * g
		}
	}
	for j := range guess {
		move(j, guess[j]*norm[j])
	}
	for range 20_000 {
		moved := 0.0
		for j := range x {
			if norm[j] == 0 {
				continue
			}
			if d := max(-x[j], slope[j]); d != 0 {
				move(j, d)
				moved = max(moved, math.Abs(d))
			}
		}
		if moved < 1e-9 {
			break
		}
	}
	for j := range x {
		if norm[j] > 0 {
			x[j] /= norm[j]
		}
	}
	return x
}
