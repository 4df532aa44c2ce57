package oracle

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/ir"
	"smpcc/ir/exact"
)

// nightly is set for the long runs.
var nightly = os.Getenv("SMPCC_NIGHTLY") != ""

var (
	programsFlag = flag.Int("programs", 0, "random programs of TestTypedMutants; 0: few, or many at night")
	seedFlag     = flag.Uint64("seed", 2, "of random programs and edits")
)

// A tally counts decisions.
type tally struct {
	programs, mutants, accepted, leaks, unsupported, sampled, rounded, noisy int
	steps                                                                    map[string]bool   // that were in compiled plans
	kinds                                                                    map[string][2]int // by first edit: mutants, and those accepted
}

// count counts a mutant.
func (c *tally) count(kind string, accepted bool) {
	c.mutants++
	k := c.kinds[kind]
	if k[0]++; accepted {
		c.accepted++
		k[1]++
	}
	c.kinds[kind] = k
}

// decide asks the oracle about an accepted plan.
func (c *tally) decide(t *testing.T, p *plan.Plan, seed uint64, src string, edits []string) {
	v, err := Decide(p, Options{Bits: 10, Inputs: 8, Own: 1, Seed: seed})
	switch {
	case err != nil:
		c.unsupported++
		t.Errorf("%v:\n%s", err, src)
		return
	case v.Leak != "":
		if c.leaks++; c.leaks < 6 {
			var text strings.Builder
			if err := p.Text(&text, ""); err != nil {
				t.Error(err)
			}
			t.Errorf("accepted and not private: %s\nafter edits %q of\n%s\n%s", v.Leak, edits, src, text.String())
		}
	}
	for _, x := range []struct {
		n  *int
		is bool
	}{{&c.sampled, v.Sampled > 0}, {&c.rounded, v.Rounded}, {&c.noisy, v.Noisy}} {
		if x.is {
			*x.n++
		}
	}
}

// TestTypedMutants: every plan that the compiler makes of random programs has a type and is private, and so has and is what random edits of typed plans leave
// with a type: projected as any plan is, and run on small blocks of memory.
func TestTypedMutants(t *testing.T) {
	r := rand.New(rand.NewPCG(1, *seedFlag))
	programs, each := 8, 50
	switch {
	case *programsFlag > 0:
		programs = *programsFlag
	case nightly:
		programs = 4000
	}
	c := tally{programs: programs, steps: map[string]bool{}, kinds: map[string][2]int{}}
	for range programs {
		src, set, p := random(t, r)
		src += fmt.Sprintf("(%+v)", set)
		base, err := typed.Decode(p.Encode())
		if err != nil {
			t.Fatalf("what was compiled has no type: %v:\n%s", err, src)
		}
		for _, s := range base.Program.Steps {
			c.steps[typed.Rows[s.Op].Name] = true
		}
		c.decide(t, p, r.Uint64(), src, nil)
		was := edited(r, base).bytes()
		for range each {
			e := edited(r, base)
			for range 1 + r.IntN(3) {
				e.edit()
			}
			if e.bytes() == was {
				continue
			}
			mutant, err := typed.Check(&e.m, &e.p)
			var q *plan.Plan
			if err == nil { // as whoever reads a file does
				q, err = mutant.Project()
			}
			if c.count(kindOf(e.edits), err == nil); err == nil {
				c.decide(t, q, r.Uint64(), src, e.edits)
			}
		}
	}
	t.Logf("%d programs, all with a type; %d mutants, %d of them with a type; of all these %d not private, %d unsupported; in %d worlds were sampled, %d round, %d are noisy",
		c.programs, c.mutants, c.accepted, c.leaks, c.unsupported, c.sampled, c.rounded, c.noisy)
	var missing []string
	for _, row := range typed.Rows {
		if !c.steps[row.Name] {
			missing = append(missing, row.Name)
		}
	}
	slices.Sort(missing)
	t.Logf("by first edit, mutants and those with a type: %v", c.kinds)
	t.Logf("rows in none of the programs: %v", missing)
	if c.accepted*20 < c.mutants {
		t.Error("hardly any mutant has a type: edits are too rough to tell anything")
	}
}

// TestProjectionMutants: the oracle sees what mistakes of the projection, and of the placing of slots in memory, would do: of programs that were changed at
// random most are not private any more or give other results. The others do what they did. Where worlds are counted through, sampling sees most of it too.
func TestProjectionMutants(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	programs := 12
	if nightly {
		programs = 1000
	}
	mutants, leaks, wrong, counted, drawn := 0, 0, 0, 0, 0
	kinds := map[string][3]int{} // by edit: mutants, those that leak, and those that give other results
	for range programs {
		src, _, p := random(t, r)
		base := copyOf(p)
		loosen(base)
		digest, seed := base.Digest(), r.Uint64()
		was, noisy := results(t, base, seed)
		for range 12 {
			m := &mutator{Rand: r, p: copyOf(base)}
			if m.mutate(); m.p.Digest() == digest || m.p.Validate() != nil {
				continue
			}
			mutants++
			k := kinds[kindOf(m.edits)]
			k[0]++
			v, err := Decide(m.p, Options{Bits: 10, Inputs: 8, Own: 1, Seed: seed})
			switch {
			case err != nil:
				t.Errorf("%v: %q of\n%s", err, m.edits, src)
			case v.Leak != "":
				leaks++
				k[1]++
				if v.Sampled == 0 && v.Bits > 0 { // does it show where worlds are sampled, too?
					counted++
					if v, err := Decide(m.p, Options{Bits: -1, Inputs: 8, Own: 1, Seed: seed}); err == nil && v.Leak != "" {
						drawn++
					}
				}
			case !noisy:
				if is, _ := results(t, m.p, seed); is != was {
					wrong++
					k[2]++
				}
			}
			kinds[kindOf(m.edits)] = k
		}
	}
	t.Logf("%d mutants of projections: %d are not private, %d of the others give other results; of %d that were counted through sampling finds %d", mutants, leaks, wrong, counted, drawn)
	t.Logf("by edit, mutants, those not private, and those with other results: %v", kinds)
	if drawn*10 < counted*8 {
		t.Errorf("sampling finds %d of %d leaks", drawn, counted)
	}
	if (leaks+wrong)*3 < mutants {
		t.Errorf("of %d mutants the oracle sees %d that leak and %d that give other results", mutants, leaks, wrong)
	}
}

// results renders what a plan's outputs are for some inputs, in some worlds, and says whether they depend on randomness.
func results(t *testing.T, p *plan.Plan, seed uint64) (text string, noisy bool) {
	t.Helper()
	for i := range p.Programs {
		for _, round := range p.Programs[i].Online {
			for _, s := range round.Steps {
				noisy = noisy || s.Op == plan.StepDrop || s.Op == plan.StepWave || s.Op == plan.StepExpo
			}
		}
	}
	corrupt := make([]bool, p.NumParties())
	corrupt[0] = true
	m := newMachine(p, 2, corrupt)
	if err := m.explore(seed); err != nil {
		return err.Error(), noisy
	}
	m.later, m.sample = nil, true
	m.resize(4)
	var b strings.Builder
	for own := range 2 {
		for _, in := range newChooser(p, corrupt, Options{Inputs: 12, Seed: seed}.filled()).assignments(own) {
			m.inputs = in
			m.run(seed >> 8)
			for _, name := range slices.Sorted(maps.Keys(m.outputs)) {
				for w := range m.worlds {
					fmt.Fprintln(&b, name, m.outputs[name].words[w])
				}
			}
		}
	}
	return b.String(), noisy
}

// TestCorrect: compiled programs on integers give what the program means, in exact arithmetic, for all inputs and all randomness, or for many.
func TestCorrect(t *testing.T) {
	r := rand.New(rand.NewPCG(5, *seedFlag))
	programs, compared := 60, 0
	if nightly {
		programs = 2000
	}
	for range programs {
		src, set, p := random(t, r)
		if set.frac > 0 || set.weight { // reals round; what weights make is folded into weights
			continue
		}
		corrupt := make([]bool, p.NumParties())
		corrupt[r.IntN(len(corrupt))] = true
		m := newMachine(p, 2, corrupt)
		if err := m.explore(r.Uint64()); err != nil {
			t.Fatal(err)
		}
		m.later, m.sample = nil, true
		m.resize(16)
		opt := Options{Inputs: 30, Seed: r.Uint64()}.filled()
		for own := range 2 {
			for _, in := range newChooser(p, corrupt, opt).assignments(own) {
				m.inputs = in
				m.run(r.Uint64() >> 8)
				want := meaning(t, src, set, p, in)
				for name, got := range m.outputs {
					output, _, _ := strings.Cut(name, "\x00")
					i := slices.IndexFunc(p.Manifest.Outputs, func(o plan.Port) bool { return o.Name == output })
					bits := p.Manifest.Outputs[i].Bits
					for w := range m.worlds {
						for e, x := range got.words[w] {
							value := int64(x<<(64-bits)) >> (64 - bits)
							if p.Manifest.Outputs[i].Elem == "bool" {
								value &= 1
							}
							if compared++; value != want[output].I[e] {
								t.Fatalf("%s[%d] is %d for %s, want %d:\n%s(%+v)", output, e, value, show(in), want[output].I[e], src, set)
							}
						}
					}
				}
			}
		}
	}
	t.Logf("%d values of outputs compared", compared)
}

// meaning evaluates a program in exact arithmetic.
func meaning(t *testing.T, src string, s setting, p *plan.Plan, in [][]uint64) map[string]*exact.Tensor {
	t.Helper()
	m, err := load(t, src, s)
	if err != nil {
		t.Fatal(err)
	}
	given := map[string]*ir.Tensor{}
	for i, port := range ports(p) {
		elem := ir.Int
		if port.Elem == "bool" {
			elem = ir.Bool
		}
		x := ir.NewTensor(elem, ir.Shape(port.Shape))
		for e, w := range in[i] {
			x.I[e] = int64(w)
		}
		given[port.Name] = x
	}
	out, err := exact.Run(m, given)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
