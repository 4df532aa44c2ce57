package smpcc_test

import (
	"context"
	"fmt"
	"math"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/verify"
	"smpcc/ir"
	"smpcc/ir/exact"
	"smpcc/passes"
	"smpcc/runtime/local"
)

// Differential tests draw computations with data, run them securely, and compare with exact arithmetic under the contract that plans
// keep: |x' - x| <= 1e-3 + 1e-3 |x| for reals, nothing for integers and bits. A refusal is as good as the right number; a wrong one,
// a panic, an internal error or a plan that does not verify is not.
//
// Each computation is drawn from a seed. SMPCC_SEED=N runs that one alone and prints it; SMPCC_COUNT=N runs so many, from SMPCC_FIRST on.

// A verdict is what became of one computation.
type verdict string

const (
	isRight   verdict = "right"
	isRefused verdict = "refused"
	isWrong   verdict = "wrong"
	isMissed  verdict = "missed"    // wrong, and the plan says of the output that it was measured, not proved or exact
	isTie     verdict = "tie"       // a decision hangs on a difference that rounding may reverse: not compared
	undefined verdict = "undefined" // the exact result is no finite number: not compared
)

// A computation is drawn from a seed: a module, data for its inputs, and exact results.
type computation struct {
	text  string // to replay it by hand
	kind  string // what is in it, for the tally of what is wrong
	m     *ir.Module
	opt   smpcc.Options
	data  []map[string]*ir.Tensor
	want  []map[string]*exact.Tensor
	tie   bool
	parse error // of a program that the frontend does not take

	stated float64 // how often the plan says that an output may be beyond its tolerance, of all data
}

// judge compiles and runs a computation; why says what is wrong, or refused.
func (c *computation) judge() (v verdict, why string) {
	defer func() {
		if p := recover(); p != nil {
			v, why = isWrong, fmt.Sprintf("panic: %v", p)
		}
	}()
	if c.tie {
		return isTie, ""
	}
	for _, want := range c.want {
		for _, w := range want {
			if !w.Finite() {
				return undefined, ""
			}
		}
	}
	if c.parse != nil {
		return refusedOr(c.parse)
	}
	comp, err := smpcc.CompileModule(c.m, c.opt, true)
	if err != nil {
		return refusedOr(err)
	}
	if err := verify.Check(comp.Plan).Err(); err != nil {
		return isWrong, fmt.Sprintf("the plan does not verify: %v", err)
	}
	weights, err := comp.BindWeights()
	if err != nil {
		return refusedOr(err)
	}
	run, err := local.New(context.Background(), comp.Plan, weights)
	if err != nil {
		return isWrong, err.Error()
	}
	for _, a := range comp.Plan.Manifest.Accuracy {
		if a.State == "measured" && a.Of == 0 {
			c.stated += float64(len(c.data)) * a.Missed()
		}
	}
	for k, data := range c.data {
		var in [][]uint64
		for _, p := range comp.Plan.Manifest.Inputs {
			w, err := smpcc.Bind(p, data[p.Name])
			if err != nil { // data lies within the declared ranges
				return isWrong, fmt.Sprintf("binding: %v", err)
			}
			in = append(in, w)
		}
		res, err := run.Run(context.Background(), in)
		if err != nil {
			return isWrong, err.Error()
		}
		for _, p := range comp.Plan.Manifest.Outputs {
			got, want := smpcc.Read(p, res.Outputs[0][p.Name]), c.want[k][p.Name]
			d, err := exact.Default.Compare(got, want)
			switch {
			case err != nil:
				return isWrong, fmt.Sprintf("output %s %v", p.Name, err)
			case d.Wrong > 0:
				v = isWrong
				for _, a := range comp.Plan.Manifest.Accuracy {
					if a.Output == p.Name && a.State == "measured" {
						v = isMissed
					}
				}
				return v, fmt.Sprintf("output %s, data %d: %s (%.3g of the contract)", p.Name, k, d.Explain(got, want), d.Used)
			}
		}
	}
	return isRight, ""
}

// refusedOr tells refusals, which say where, from faults of the compiler.
func refusedOr(err error) (verdict, string) {
	if s := err.Error(); strings.Contains(s, "internal error") || strings.Contains(s, "runtime error") {
		return isWrong, s
	}
	return isRefused, err.Error()
}

// show prints the data of a computation.
func (c *computation) show() string {
	var b strings.Builder
	b.WriteString(c.text)
	for k, data := range c.data {
		var names []string
		for n := range data {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			fmt.Fprintf(&b, "data %d: %s = %v %v\n", k, n, data[n].F, data[n].I)
		}
	}
	return b.String()
}

// missRate is how often an output that is only measured may be wrong: runs on drawn inputs cannot see what less than one of some
// hundreds of inputs brings about.
const missRate = 1.0 / 200

// differ judges computations of seeds 1..n, or at night of more, and tallies. None may be wrong that a plan calls exact or proved, and
// few of those that it calls measured.
func differ(t *testing.T, n, night int, draw func(seed uint64) *computation) {
	if s := os.Getenv("SMPCC_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		c := draw(seed)
		text := c.show()
		v, why := c.judge()
		t.Logf("seed %d: %s: %s\n%s", seed, v, why, text)
		if v == isWrong || v == isMissed {
			t.Fail()
		}
		return
	}
	if allCases() {
		n = night
	}
	if s := os.Getenv("SMPCC_COUNT"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	first := uint64(1)
	if s := os.Getenv("SMPCC_FIRST"); s != "" {
		var err error
		if first, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	count, kinds, stated := map[verdict]int{}, map[string]int{}, 0.0
	var mu sync.Mutex
	var workers sync.WaitGroup
	next := first
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				mu.Unlock()
				if seed >= first+uint64(n) {
					return
				}
				c := draw(seed)
				text := c.show()
				v, why := c.judge()
				mu.Lock()
				count[v]++
				stated += c.stated
				if v == isWrong || v == isMissed {
					if kinds[c.kind]++; kinds[c.kind] <= 2 && len(kinds) <= 40 {
						t.Logf("seed %d: %s: %s\n%s", seed, v, why, text)
					}
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	t.Logf("%d computations: %d right, %d refused, %d wrong, %d wrong of those measured %v; plans say at most %.3g; not compared: %d with ties, %d without a finite result",
		n, count[isRight], count[isRefused], count[isWrong], count[isMissed], kinds, stated, count[isTie], count[undefined])
	switch {
	case count[isWrong] > 0:
		t.Errorf("%d of %d computations are wrong; replay one by SMPCC_SEED=N", count[isWrong], n)
	case float64(count[isMissed]) > math.Ceil(missRate*float64(n)) || float64(count[isMissed]) > math.Ceil(stated):
		t.Errorf("%d of %d computations are wrong that were measured, want at most one in %g, and what plans say, %.3g; replay one by SMPCC_SEED=N", count[isMissed], n, 1/missRate, stated)
	case count[isRight] < n/2:
		t.Errorf("%d of %d computations are right: too many are refused for this to test anything", count[isRight], n)
	}
}

// tied reports whether rounding may reverse the order of two reals that the contract's accuracy holds of.
func tied(x, y float64) bool {
	return math.Abs(x-y) <= 4e-3+4e-3*math.Max(math.Abs(x), math.Abs(y))
}

// TestPlansStateWhatIsRefused compares two numbers of packages that do not know each other.
func TestPlansStateWhatIsRefused(t *testing.T) {
	if passes.MostDiffer != plan.MostDiffer {
		t.Errorf("plans state %g, and more than %g is refused", plan.MostDiffer, passes.MostDiffer)
	}
}
