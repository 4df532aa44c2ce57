package smpcc_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/ir"
	"smpcc/ir/diag"
	"smpcc/runtime/local"
)

// reluPlan compiles relu(x * 0.7) of n secret reals: one truncation, one comparison, one selection for each.
func reluPlan(tb testing.TB, n int) *plan.Plan {
	f := ir.NewFunc("main")
	m := &ir.Module{Name: "relu", Parties: smpcc.PartyNames(2), Dealer: "d", Funcs: []*ir.Func{f}, Weights: map[string]*ir.Tensor{}}
	emit := func(op ir.Op, attrs ir.Attrs, args ...*ir.Value) *ir.Value {
		v, err := f.Emit(diag.Pos{File: "bench", Node: string(op)}, op, attrs, args...)
		if err != nil {
			tb.Fatal(err)
		}
		return v
	}
	x := emit(ir.OpInput, ir.Attrs{ir.S("name", "x"), ir.S("owner", "p0"), ir.S("elem", "real"), ir.Dims("shape", []int{n}), ir.F("lo", -60), ir.F("hi", 60)})
	y := emit(ir.OpRelu, nil, emit(ir.OpMul, nil, x, emit(ir.OpConst, ir.Attrs{ir.T("data", ir.Reals(ir.Shape{}, 0.7))})))
	emit(ir.OpReveal, ir.Attrs{ir.S("name", "y"), ir.Ss("to", "p1")}, y)
	c, err := smpcc.CompileModule(m, smpcc.Options{}, true)
	if err != nil {
		tb.Fatal(err)
	}
	return c.Plan
}

// BenchmarkReLU measures a run of one ReLU layer with truncation in one process, both parties and the dealer. The metrics are
// the time of the online phase, input and output included, and of the offline phase before it.
func BenchmarkReLU(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := reluPlan(b, n)
			r, err := local.New(context.Background(), p, nil)
			if err != nil {
				b.Fatal(err)
			}
			port := p.Manifest.Inputs[0]
			x := ir.NewTensor(ir.Real, port.Shape)
			rnd := rand.New(rand.NewPCG(1, 2))
			for i := range x.F {
				x.F[i] = 120*rnd.Float64() - 60
			}
			w, err := smpcc.Bind(port, x)
			if err != nil {
				b.Fatal(err)
			}
			var online, offline, best float64
			for b.Loop() {
				res, err := r.Run(context.Background(), [][]uint64{w})
				if err != nil {
					b.Fatal(err)
				}
				online += res.Online.Seconds
				offline += res.Offline.Seconds
				if best == 0 || res.Online.Seconds < best {
					best = res.Online.Seconds
				}
			}
			b.ReportMetric(1e3*online/float64(b.N), "online-ms")
			b.ReportMetric(1e3*best, "best-online-ms")
			b.ReportMetric(1e3*offline/float64(b.N), "offline-ms")
		})
	}
}
