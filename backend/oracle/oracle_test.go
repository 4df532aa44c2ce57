package oracle

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"smpcc/backend/verify"
)

// TestMutants: what the verifier accepts is private: random programs, and what random edits make of their plans.
func TestMutants(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	programs, each := 60, 40
	mutants, accepted, leaks, unsupported, sampled, rounded, same := 0, 0, 0, 0, 0, 0, 0
	var tc, td time.Duration
	kinds := map[string]int{}
	for range programs {
		src, p := random(t, r)
		base := copyOf(p)
		loosen(base)
		decide := func(what string, m *mutator) {
			t0 := time.Now()
			v, err := Decide(m.p, Options{Bits: 10, Inputs: 8, Own: 1, Seed: r.Uint64()})
			td += time.Since(t0)
			switch {
			case err != nil:
				unsupported++
				t.Log(err)
			case v.Leak != "":
				leaks++
				var text strings.Builder
				if err := m.p.Text(&text, ""); err != nil {
					t.Error(err)
				}
				if leaks < 5 {
					t.Errorf("%s, %q: %s\n%s\n%s", what, m.edits, v.Leak, src, text.String())
				}
			case v.Sampled > 0:
				sampled++
			case v.Rounded:
				rounded++
			}
		}
		if err := verify.Check(base).Err(); err != nil {
			t.Errorf("%v:\n%s", err, src)
		}
		decide("as compiled", &mutator{p: p})
		for range each {
			m := &mutator{Rand: r, p: copyOf(base)}
			for range 1 + r.IntN(2) {
				m.mutate()
			}
			if m.p.Digest() == base.Digest() {
				same++
				continue
			}
			mutants++
			t0 := time.Now()
			ok := verify.Check(m.p).OK
			tc += time.Since(t0)
			if ok {
				accepted++
				kinds[m.edits[0]]++
				decide("mutant", m)
			}
		}
	}
	t.Logf("%d mutants of %d programs (%d edits changed nothing), %d accepted, of those %d leak, %d unsupported, %d sampled, %d rounded; %v %v %v", mutants, programs, same, accepted, leaks, unsupported, sampled, rounded, kinds, tc, td)
	_ = os.Stdout
	_ = fmt.Sprint
}
