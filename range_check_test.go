package smpcc_test

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/bench"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/passes"
	"smpcc/runtime/local"
)

// layered is n numbers in ±1e6 of p1 times a weight of p0, through ReLUs, with more layers of that kind, and its samples: all within ±1.
func layered(t testing.TB, parties, n, layers int) (*ir.Module, []map[string]*ir.Tensor) {
	t.Helper()
	f := ir.NewFunc("main")
	m := &ir.Module{Name: "layered", Parties: smpcc.PartyNames(parties), Dealer: smpcc.DefaultDealer, Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}
	emit := func(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
		v, err := f.Emit(diag.Pos{File: "layered", Node: string(op)}, op, attrs, args...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	x := emit(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "p1"), ir.S("elem", "real"), ir.Dims("shape", []int{1, n}), ir.F("lo", -1e6), ir.F("hi", 1e6)})
	for k := range layers {
		name := string(rune('a' + k))
		w := ir.NewTensor(ir.Real, ir.Shape{n, n})
		for i := range n {
			w.F[i*n+i] = 0.75
		}
		m.Weights[name] = w
		x = emit(ir.OpRelu, nil, emit(ir.OpMatMul, nil, x, emit(ir.OpWeight, ir.Attrs{ir.S("name", name), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Dims("shape", []int{n, n})})))
	}
	emit(ir.OpReveal, ir.Attrs{ir.S("name", "y"), ir.Ss("to", "p1")}, x)
	r := rand.New(rand.NewPCG(1, 2))
	var samples []map[string]*ir.Tensor
	for range 4 {
		s := ir.NewTensor(ir.Real, ir.Shape{1, n})
		for i := range s.F {
			s.F[i] = 2*r.Float64() - 1
		}
		s.F[0] = 1
		samples = append(samples, map[string]*ir.Tensor{"x": s})
	}
	return m, samples
}

// A trial runs a compiled plan again and again.
type trial struct {
	t   *testing.T
	c   *smpcc.Compilation
	run *local.Runner
}

func newTrial(t *testing.T, m *ir.Module, opt smpcc.Options) *trial {
	t.Helper()
	c, err := smpcc.CompileModule(m, opt, true)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	run, err := local.New(context.Background(), c.Plan, w)
	if err != nil {
		t.Fatal(err)
	}
	return &trial{t, c, run}
}

// withheld runs the plan on x and reports whether p1 got no y; what it got then is nothing but zeros. others learn nothing.
func (r *trial) withheld(x []float64) (bool, *ir.Tensor) {
	r.t.Helper()
	p := r.c.Plan
	w, err := smpcc.Bind(p.Manifest.Inputs[0], ir.Reals(p.Manifest.Inputs[0].Shape, x...))
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := r.run.Run(context.Background(), [][]uint64{w})
	if err != nil {
		r.t.Fatal(err)
	}
	for role, out := range res.Outputs {
		if role != 1 && len(out) > 0 {
			r.t.Errorf("role %d receives %v", role, out)
		}
	}
	y, got := p.Manifest.Results()[0], res.Outputs[1]
	if !p.Manifest.Withheld(y, got) {
		return false, smpcc.Read(y, got[y.Name])
	}
	if slices.ContainsFunc(got[y.Name], func(w uint64) bool { return w != 0 }) {
		r.t.Errorf("withheld, and %v is revealed", got[y.Name])
	}
	return true, nil
}

// TestWithheld: values within the range that samples showed never have an output withheld; one far outside has, but for the part that the plan states; many
// have always. With two and three parties, comparisons by trees and keys, in one layer and behind others.
func TestWithheld(t *testing.T) {
	runs := 60
	if allCases() {
		runs = 2000
	}
	for name, c := range map[string]struct {
		parties, layers, guard int
		net                    passes.Network
	}{
		"two": {2, 1, 2, passes.Network{}}, "three": {3, 1, 2, passes.Network{}}, "wan": {2, 1, 2, passes.Network{RTT: 40e-3, Bandwidth: 1e8}}, "four bits": {2, 1, 4, passes.Network{}},
		"eight bits": {2, 1, 8, passes.Network{}}, "deep": {2, 3, 2, passes.Network{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, samples := layered(t, c.parties, 1, c.layers)
			r := newTrial(t, m, smpcc.Options{Samples: samples, Guard: c.guard, Net: c.net})
			a := r.c.Plan.Manifest.Accuracy[0]
			if a.State != "guarded" || a.Guard < c.guard-1 || a.Guard > c.guard || !strings.Contains(a.String(), "withheld if a value leaves its range") {
				t.Fatalf("the output is %v", a)
			}
			rnd := rand.New(rand.NewPCG(3, uint64(c.guard)))
			for range runs {
				x := 4*rnd.Float64() - 2 // with the margin of four samples
				held, y := r.withheld([]float64{x})
				if want := max(0, x*math.Pow(0.75, float64(c.layers))); held || math.Abs(y.F[0]-want) > 2e-3 {
					t.Fatalf("%g: withheld %v, %v, want %g", x, held, y, want)
				}
			}
			missed := 0
			for range runs {
				if held, _ := r.withheld([]float64{(2*rnd.Float64() - 1) * 1e6}); !held {
					missed++
				}
			}
			p := plan.ValidMissOf(a.Guard)
			if far := 5 * math.Sqrt(p*(1-p)*float64(runs)); math.Abs(float64(missed)-p*float64(runs)) > far+1 {
				t.Errorf("%d of %d far values were missed, want %g of them", missed, runs, p)
			}
		})
	}
	t.Run("many", func(t *testing.T) {
		m, samples := layered(t, 2, 32, 2)
		r := newTrial(t, m, smpcc.Options{Samples: samples})
		rnd := rand.New(rand.NewPCG(4, 5))
		for k := range runs / 10 {
			x := make([]float64, 32)
			for i := range x {
				x[i] = (2*rnd.Float64() - 1) * math.Pow(10, 2+4*rnd.Float64())
			}
			if held, y := r.withheld(x); !held {
				t.Errorf("run %d: %v for values to 1e6", k, y.F)
			}
		}
	})
	t.Run("edge", func(t *testing.T) { // what is let through beyond the range is right
		m, samples := layered(t, 2, 1, 1)
		r := newTrial(t, m, smpcc.Options{Samples: samples})
		for k := range runs {
			x := 1.5 + 3*float64(k)/float64(runs)
			if held, y := r.withheld([]float64{x}); !held && math.Abs(y.F[0]-0.75*x) > 2e-3 {
				t.Errorf("%g: %g, want %g", x, y.F[0], 0.75*x)
			}
		}
	})
}

// TestUnchecked: nothing is checked where nobody asks for it, where ranges are proved, and where a policy keeps validity back; what comes of it says so.
func TestUnchecked(t *testing.T) {
	plain := func(t *testing.T, c *smpcc.Compilation, state string) {
		t.Helper()
		m := &c.Plan.Manifest
		if len(m.Outputs) != 1 || m.Outputs[0].Valid != 0 || m.Accuracy[0].State != state {
			t.Errorf("%d outputs, %v", len(m.Outputs), m.Accuracy[0])
		}
	}
	t.Run("off", func(t *testing.T) {
		m, samples := layered(t, 2, 4, 1)
		c, err := smpcc.CompileModule(m, smpcc.Options{Samples: samples, Guard: smpcc.NoGuard}, true)
		if err != nil {
			t.Fatal(err)
		}
		plain(t, c, "measured")
	})
	t.Run("proved", func(t *testing.T) {
		m, _ := layered(t, 2, 4, 1)
		m.Main().Inputs()[0].Attrs = m.Main().Inputs()[0].Attrs.With(ir.F("lo", -4)).With(ir.F("hi", 4))
		c, err := smpcc.CompileModule(m, smpcc.Options{}, true)
		if err != nil {
			t.Fatal(err)
		}
		plain(t, c, "proved")
	})
	for _, rule := range []struct {
		text  string
		state string
	}{
		{"validity: deny\nallow:\n  - {output: y, to: [p1]}\n", "measured"},
		{"allow:\n  - {output: y, to: [p1], max_bits: 1000}\n", "measured"},
		{"validity: allow\nallow:\n  - {output: y, to: [p1], max_bits: 1000}\n", "guarded"},
		{"allow:\n  - {output: y, to: [p1]}\n", "guarded"},
	} {
		m, samples := layered(t, 2, 4, 1)
		file := t.TempDir() + "/p0.yaml"
		if err := plan.WriteAtomic(file, []byte("version: 1\nowner: p0\npublic: {ranges: true, formats: true}\n"+rule.text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := smpcc.CompileModule(m, smpcc.Options{Samples: samples, Policies: []string{file}}, true)
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(c.Notes, func(n string) bool {
			return strings.Contains(n, "is not checked") && strings.Contains(n, "policy of p0")
		})
		if got := c.Plan.Manifest.Accuracy[0].State; got != rule.state || told != (got == "measured") {
			t.Errorf("%s: the output is %s, notes %q", rule.text, got, c.Notes)
		}
		again, err := smpcc.Recheck(c.Plan, nil)
		if err != nil || len(again.Differs) > 0 {
			t.Errorf("%s: compiled again without data it differs: %v %v", rule.text, again, err)
		}
	}
}

// TestCheckCosts: checks take three rounds more and few bytes; without them LeNet costs what it did.
func TestCheckCosts(t *testing.T) {
	names := []string{"lenet-1"}
	if allCases() {
		names = append(names, "resnet18")
	}
	for _, name := range names {
		var online, dealt, rounds [2]float64
		for k, guard := range []int{smpcc.NoGuard, 2} {
			b, err := bench.ModelOf(name, 0)
			if err != nil {
				t.Fatal(err)
			}
			m, inputs, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			c, err := smpcc.CompileModule(m, smpcc.Options{Samples: inputs, Guard: guard}, true)
			if err != nil {
				t.Fatal(err)
			}
			cost := c.Plan.Cost()
			online[k], dealt[k], rounds[k] = float64(cost.Phases[plan.Online].Sent[0]), float64(cost.Dealt), float64(cost.Phases[plan.Online].Rounds)
		}
		if name == "lenet-1" && (online[0] != 98529 || dealt[0] != 614996 || rounds[0] != 27) {
			t.Errorf("%s without checks: %g bytes online, %g of material, %g rounds", name, online[0], dealt[0], rounds[0])
		}
		if a, b := online[1]/online[0]-1, dealt[1]/dealt[0]-1; a > 0.04 || b > 0.05 || rounds[1]-rounds[0] > 3 {
			t.Errorf("%s: checks take %.1f %% more online, %.1f %% more material, %g rounds", name, 100*a, 100*b, rounds[1]-rounds[0])
		}
	}
}

// TestServersWithhold: a client of servers is told that an output was withheld, and gets no number.
func TestServersWithhold(t *testing.T) {
	m, samples := layered(t, 2, 16, 1)
	c, err := smpcc.CompileModule(m, smpcc.Options{Samples: samples}, true)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	cl := startCluster(t, c.Plan, w, nil).newClient()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, far := range []bool{false, true} {
		x := slices.Clone(samples[0]["x"].F)
		for i := range x {
			if far {
				x[i] *= 1e5
			}
		}
		in, err := smpcc.Bind(c.Plan.Manifest.Inputs[0], ir.Reals(ir.Shape{1, 16}, x...))
		if err != nil {
			t.Fatal(err)
		}
		r, err := cl.InferWords(ctx, [][]uint64{in})
		if err != nil {
			t.Fatal(err)
		}
		if y, has := r.Outputs["y"]; has == far || slices.Contains(r.Withheld, "y") != far || len(r.Outputs)+len(r.Withheld) != 1 || len(r.Words) != len(r.Outputs) {
			t.Errorf("far %v: %v, withheld %v", far, y, r.Withheld)
		}
	}
}
