package bench

import (
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
)

// TestNonNegative solves systems whose solution is known, one of which has a negative coefficient without the bound.
func TestNonNegative(t *testing.T) {
	for _, c := range []struct {
		a       [][]float64
		y, want []float64
	}{
		{[][]float64{{1, 2}, {3, 1}, {1, 1}}, []float64{8, 9, 5}, []float64{2, 3}},
		{[][]float64{{1, 1}, {2, 1}}, []float64{3, 7}, []float64{3.4, 0}}, // unbounded: 4, -1
		{[][]float64{{1, 0}, {2, 0}}, []float64{3, 6}, []float64{3, 0}},
	} {
		got := nonNegative(c.a, c.y, nil)
		for i, x := range got {
			if math.Abs(x-c.want[i]) > 1e-6 {
				t.Errorf("%v: got %v, want %v", c.a, got, c.want)
			}
		}
	}
}

// TestRobust fits a line through points of which one is far off.
func TestRobust(t *testing.T) {
	var a [][]float64
	var y []float64
	for i := range 20 {
		x := float64(i + 1)
		a, y = append(a, []float64{x, 1}), append(y, 2*x+1)
	}
	y[7] *= 10
	if got := robust(a, y); math.Abs(got[0]-2) > 0.05 || math.Abs(got[1]-1) > 0.3 {
		t.Errorf("got %v, want 2 and 1", got)
	}
	if got := nonNegative(a, y, nil); math.Abs(got[1]-1) < 1 {
		t.Errorf("least squares got %v: the test has no teeth", got)
	}
}

// TestForecast checks what a forecast says with a profile in which one kind of work takes time, against the plan's cost.
func TestForecast(t *testing.T) {
	var b Model
	for _, m := range probes() {
		if m.Name == "matmul-384" {
			b = m
		}
	}
	pr, err := Prepare(b, "memory")
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewForecast(pr.Plan, 4)
	if err != nil {
		t.Fatal(err)
	}
	cost := pr.Plan.Cost()
	only := func(k engine.Kind, rate float64) *Profile {
		return &Profile{Machine: Machine{Cores: 4}, Alone: 1, Busy: 1, Rates: map[string]float64{engine.KindNames[k]: rate}}
	}
	sum, busiest := int64(0), int64(0) // multiplications of both parties on four cores, less those by the bit that may withhold the product
	for i := range pr.Plan.Programs {
		g, before := &pr.Plan.Programs[i], sum
		for _, r := range g.Online {
			for j := range r.Steps {
				if s := &r.Steps[j]; s.Op == plan.StepMatMul {
					sum += s.MACs(func(slot int) int { return g.Slots[slot].Len })
				}
			}
		}
		busiest = max(busiest, sum-before)
	}
	near := func(what string, got, want float64) {
		t.Helper()
		if math.Abs(got-want) > 1e-9*math.Abs(want) || want == 0 {
			t.Errorf("%s: got %g, want %g", what, got, want)
		}
	}
	near("multiplications together", only(engine.MACs, 1e9).Seconds(f, plan.Online, "memory"), float64(sum)/4/1e9)
	near("multiplications of the busiest", only(engine.MACs, 1e9).Compute(f, plan.Online), float64(busiest)/4/1e9)
	rounds := only(engine.Rounds, 1e4)
	near("rounds", rounds.Seconds(f, plan.Online, "memory"), float64(cost.Phases[plan.Online].Rounds)/1e4)
	if got := rounds.Compute(f, plan.Online); got != 0 {
		t.Errorf("computing alone waits for rounds: %g", got)
	}
	sent := int64(0) // both directions at once, so that the longer message of an exchange counts
	for r := range pr.Plan.Programs[0].Online {
		longest := int64(0)
		for i := range pr.Plan.Programs {
			to := make([]int64, len(pr.Plan.Programs))
			opens := pr.Plan.Programs[i].Online[r].Opens
			for j := range opens {
				if o := &opens[j]; slices.Contains(o.From, i) {
					for _, k := range o.To {
						if k != i {
							to[k] += int64(o.Bytes())
						}
					}
				}
			}
			longest = max(longest, slices.Max(to))
		}
		sent += longest
	}
	rounds.GRPC.Time = Overhead{Slower: 3, Round: 1, Byte: 1e-6}
	near("grpc", rounds.Seconds(f, plan.Online, "grpc"), float64(cost.Phases[plan.Online].Rounds)*(3e-4+1)+float64(sent)*1e-6)
	macs := only(engine.MACs, 1e9)
	macs.Busy, macs.GRPC.CPU = 0.5, Overhead{Slower: 2, Round: 1}
	near("processors' time", macs.CPU(f, plan.Online, "memory"), float64(sum)/1e9/2)
	near("processors' time over grpc", macs.CPU(f, plan.Online, "grpc"), float64(sum)/1e9+float64(cost.Phases[plan.Online].Rounds))
	if got := macs.CPU(f, plan.Online, "wan"); got != 0 {
		t.Errorf("processors' time over wan is predicted: %g", got)
	}
	for i, role := range f.Roles {
		if role.Session > 8*int64(cost.Words[i]) || role.Model > 8*int64(cost.Model[i]) || role.Total() <= 0 {
			t.Errorf("role %d: footprint %+v, the plan has %d and %d words", i, role, cost.Words[i], cost.Model[i])
		}
	}
}

// TestFit makes times of small models up from a profile, has a profile fitted to them, and wants it to predict a model that it has not
// seen, and what was made up, within a hundredth, of processors' time three.
func TestFit(t *testing.T) {
	truth := &Profile{Machine: Machine{Cores: 2}, Alone: 0.7, Busy: 0.9, Rates: map[string]float64{
		"multiply_adds": 2e10, "multiply_adds_few_rows": 1e9, "elementwise_words": 1e9, "leaf_chunks": 1e9, "merged_words": 5e8, "selected_words": 3e8, "truncated_words": 2e8, "exponential_words": 5e7,
		"prg_bytes": 1e10, "memory_bytes": 2e10, "blocks": 5e6, "stages": 1e6, "splits": 5e4, "rounds": 1e5}}
	truth.GRPC = Loopback{Time: Overhead{1.4, 3e-4, 3e-9}, CPU: Overhead{1.6, 4e-4, 5e-9}}
	var samples []sample
	var unseen *Forecast
	for _, b := range probes() {
		if !slices.Contains([]string{"relu-200", "relu-20k", "matmul-96", "matmul-384", "dense-1", "dense-48", "conv-small", "network-1", "network-4", "pool", "rsqrt-1k", "exp-20k", "gelu-60k"}, b.Name) {
			continue
		}
		pr, err := Prepare(b, "memory")
		if err != nil {
			t.Fatal(err)
		}
		f, err := NewForecast(pr.Plan, 2)
		if err != nil {
			t.Fatal(err)
		}
		if b.Name == "network-4" {
			unseen = f
			continue
		}
		for _, ph := range []plan.Phase{plan.Offline, plan.Online} {
			s := sample{model: b.Name, ph: ph, f: f, cpu: truth.CPU(f, ph, "memory"), wall: truth.Seconds(f, ph, "memory")}
			if ph == plan.Online {
				s.grpc, s.grpcCPU = truth.Seconds(f, ph, "grpc"), truth.CPU(f, ph, "grpc")
			}
			samples = append(samples, s)
		}
	}
	got := fit(&truth.Machine, samples)
	near := func(what string, x, want float64) {
		t.Helper()
		if math.Abs(x-want) > 0.01*want {
			t.Errorf("%s: %g, want %g", what, x, want)
		}
	}
	for _, transport := range []string{"memory", "grpc", "wan"} {
		near("unseen over "+transport, got.Seconds(unseen, plan.Online, transport), truth.Seconds(unseen, plan.Online, transport))
	}
	for _, transport := range []string{"memory", "grpc"} {
		near("processors, unseen over "+transport, got.CPU(unseen, plan.Online, transport), truth.CPU(unseen, plan.Online, transport))
	}
	for _, f := range got.Fit {
		near(f.Model+" "+f.Phase, f.Predicted, f.Measured)
		if math.Abs(f.PredictedCPU-f.CPU) > 0.03*f.CPU { // which role does what hides behind the one that takes longest
			t.Errorf("%s %s: %g s of processors, want %g", f.Model, f.Phase, f.PredictedCPU, f.CPU)
		}
	}
}

// TestReadProfile writes a profile and reads it, and gives it files that are none.
func TestReadProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "machine.json")
	p := &Profile{Version: profileVersion, Machine: Machine{CPU: "x", Cores: 2}, Rates: map[string]float64{"blocks": 2}, Alone: 0.5, Busy: 1, GRPC: Loopback{Time: Overhead{1, 2, 3}}, Memory: Besides{4, 5}}
	if err := p.Write(file); err != nil {
		t.Fatal(err)
	}
	if q, err := ReadProfile(file); err != nil || q.Rates["blocks"] != 2 || q.GRPC != p.GRPC || q.Machine != p.Machine || q.Alone != p.Alone || q.Memory != p.Memory {
		t.Errorf("read %+v, %v", q, err)
	}
	for _, c := range []struct{ text, want string }{
		{"[", "is no machine profile"},
		{"{}", "version 0, this smpcc reads version 2; run smpcc bench --calibrate again"},
		{`{"machine":{"cores":2},"per_second":{"blocks":1},"handover":{}}`, "version 0"},
		{`{"version":2}`, "no rates, no cores"},
		{`{"version":2,"machine":{"cores":2},"per_second":{"dreams":1}}`, "dreams = 1"},
		{`{"version":2,"machine":{"cores":2},"per_second":{"blocks":-1}}`, "blocks = -1"},
		{`{"version":2,"machine":{"cores":2},"per_second":{"blocks":1},"alone":2}`, "no times"},
		{`{"version":2,"machine":{"cores":2},"per_second":{"blocks":1},"alone":1,"grpc":{"time":{"slower":-1}}}`, "no times"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadProfile(file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.text, err, c.want)
		}
	}
}
