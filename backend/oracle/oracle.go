// Package oracle decides whether a small plan is private, by running it: it knows nothing of masks and of arguments for them. Tests use it to
// check the verifier; it shares no code with it, and none with the compiler or the engine but the plan format and the equations in plan.Steps.
//
// For every coalition of parties it fixes what they give and draw, goes through all randomness of the others, and collects what the coalition
// receives: messages of parties, corrections and keys of the dealer, outputs. A plan is private for the coalition if that has
//
//   - without the outputs one distribution, whatever the others give;
//   - with the outputs one distribution for all inputs of the others that have the same outputs, where those and the low bits of the coalition's own
//     shares that truncations cut off (which decide how they round) count as outputs;
//   - outputs that depend on data of owners only whose permission for it the manifest records, and, where nothing rounds, on no randomness.
//
// AES and keys of comparisons count as ideal: a party with the correction words and a root of its own has words that are random to it, and which add up
// to the comparison of the dealer's point. The dealer colludes with nobody.
//
// What it does not see: outputs of plans that round are compared for inputs with one distribution of outputs and roundings, which few inputs have, and
// those of waves and exponentials, whose low bits tell of masks, not at all; their other messages are. Where there is too much randomness to be counted
// through, single words of what is received are compared, and pairs of them. Inputs lie within their ranges: what a plan does with values outside of
// those that it opens, compares or truncates is what the verifier assumes, too.
package oracle

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"smpcc/backend/plan"
)

// Options say how thorough a decision is. Zero values take what stands behind them.
type Options struct {
	Bits   int    // randomness that is counted through, in bits: 12; of plans with more, worlds are sampled; negative: of all
	Inputs int    // assignments of the others' inputs that are compared: 12
	Own    int    // assignments of a coalition's own inputs: 2
	Draws  int    // of a coalition's own randomness, for each of them: 1
	Block  int    // elements that go through a stage of steps at once: 2
	Seed   uint64 // of everything that is drawn
}

func (o Options) filled() Options {
	for _, f := range []struct {
		x    *int
		want int
	}{{&o.Bits, 12}, {&o.Inputs, 12}, {&o.Own, 2}, {&o.Draws, 1}, {&o.Block, 2}} {
		if *f.x == 0 {
			*f.x = f.want
		}
	}
	return o
}

// A Verdict is what was found out about a plan.
type Verdict struct {
	Leak    string // what is not private, to whom; empty if nothing was found
	Runs    int    // of a coalition with one assignment of all inputs
	Worlds  int    // over all of them
	Bits    int    // most randomness of a coalition's others
	Sampled int    // coalitions whose others have too much of it to be counted through
	Rounded bool   // outputs round: which way is taken as told
	Noisy   bool   // outputs are sums of rounded functions of masks: compared without their low bits is left to others
}

// Decide decides whether a validated plan is private. It fails for a plan that has what the oracle does not know.
func Decide(p *plan.Plan, opt Options) (*Verdict, error) {
	opt = opt.filled()
	v := &Verdict{}
	for i := range p.Programs {
		for ph := plan.Setup; ph <= plan.Online; ph++ {
			for _, r := range p.Programs[i].Rounds(ph) {
				for k := range r.Steps {
					switch r.Steps[k].Op {
					case plan.StepDrop, plan.StepValid: // near the end of a range a threshold that parties know decides
						v.Rounded = true
					case plan.StepWave, plan.StepExpo:
						v.Noisy = true
					}
				}
			}
		}
	}
	n := p.NumParties()
	results := map[string]uint64{} // by inputs: the outputs, which nothing else decides
	for set := 1; set < 1<<n-1; set++ {
		corrupt := make([]bool, n)
		for i := range corrupt {
			corrupt[i] = set>>i&1 == 1
		}
		m := newMachine(p, opt.Block, corrupt)
		if err := m.explore(opt.Seed); err != nil {
			return nil, err
		}
		v.Bits = max(v.Bits, m.bits)
		c := coalition{m: m, p: p, opt: opt, v: v, results: results}
		if m.bits > opt.Bits {
			v.Sampled++
		}
		if v.Leak = c.decide(); v.Leak != "" {
			v.Leak = c.name() + ": " + v.Leak
			return v, nil
		}
	}
	return v, nil
}

// A coalition is parties that put together what they see.
type coalition struct {
	m       *machine
	p       *plan.Plan
	opt     Options
	v       *Verdict
	results map[string]uint64
}

func (c *coalition) name() string {
	var names []string
	for i, in := range c.m.corrupt {
		if in {
			names = append(names, c.p.Manifest.Parties[i])
		}
	}
	return strings.Join(names, " and ")
}

// A run is what a coalition sees for one assignment of inputs, over all worlds.
type run struct {
	inputs  [][]uint64
	seen    sum            // of what it receives without outputs
	all     sum            // and with them
	told    sum            // of its outputs and of how truncations round
	outputs map[string]sum // by output and receiver
	views   *views         // where worlds are sampled
}

// decide returns what is not private, or nothing.
func (c *coalition) decide() string {
	choice := newChooser(c.p, c.m.corrupt, c.opt)
	for own := range c.opt.Own {
		for draw := range c.opt.Draws {
			var runs []*run
			list := choice.assignments(own)
			for k, in := range list {
				r, leak := c.run(in, list[(k*7+3)%len(list)], hash(c.opt.Seed, uint64(own), uint64(draw)))
				if leak != "" {
					return leak
				}
				runs = append(runs, r)
			}
			if leak := c.compare(runs); leak != "" {
				return leak
			}
		}
		if choice.fixed() { // there are no other inputs of its own
			break
		}
	}
	return ""
}

// run goes through the worlds of one assignment.
func (c *coalition) run(in, later [][]uint64, seed uint64) (*run, string) {
	m := c.m
	r := &run{inputs: in, outputs: map[string]sum{}}
	m.inputs, m.seed = in, seed
	if m.later != nil { // there is a second session
		m.later = later
	}
	total := uint64(1) << max(0, min(m.bits, c.opt.Bits))
	if m.sample = m.bits > c.opt.Bits; m.sample {
		r.views, total = &views{}, 1<<sampleBits
	}
	c.v.Runs++
	constant, first := true, uint64(0)
	for base := uint64(0); base < total; base += uint64(m.worlds) {
		m.resize(int(min(total-base, maxWorlds)))
		m.run(base)
		c.v.Worlds += m.worlds
		names := slices.Sorted(maps.Keys(m.outputs))
		for w := range m.worlds {
			told, result := m.dropped[w], uint64(0)
			for _, name := range names {
				o := m.outputs[name]
				h := hash(o.words[w]...)
				r.outputs[name] = r.outputs[name].add(h)
				result = mix(result ^ h)
				if o.told {
					told = mix(told ^ h)
				}
			}
			if base == 0 && w == 0 {
				first = result
			}
			constant = constant && result == first
			r.seen, r.all, r.told = r.seen.add(m.seen[w]), r.all.add(m.all[w]), r.told.add(told)
		}
		if r.views != nil {
			r.views.take(m)
		}
	}
	if !c.v.Rounded && !c.v.Noisy {
		key := fmt.Sprint(in, m.later)
		if was, ok := c.results[key]; !constant || ok && was != first {
			return nil, fmt.Sprintf("outputs depend on randomness for inputs %s", show(in))
		}
		c.results[key] = first
	}
	return r, ""
}

// compare compares what the coalition sees for different inputs of the others.
func (c *coalition) compare(runs []*run) string {
	groups := map[sum]*run{}
	for _, r := range runs {
		if len(runs) == 0 || c.m.sample {
			break
		}
		if r.seen != runs[0].seen {
			return fmt.Sprintf("messages differ for inputs %s and %s", show(runs[0].inputs), show(r.inputs))
		}
		if first := groups[r.told]; first == nil {
			groups[r.told] = r
		} else if first.all != r.all && !c.v.Noisy {
			return fmt.Sprintf("messages and outputs differ for inputs %s and %s, which have the same outputs", show(first.inputs), show(r.inputs))
		}
	}
	if c.m.sample {
		if leak := compareViews(runs, !c.v.Rounded && !c.v.Noisy); leak != "" {
			return leak
		}
	}
	return c.permitted(runs)
}

// permitted compares outputs for inputs that differ in one owner's data.
func (c *coalition) permitted(runs []*run) string {
	if c.m.sample && (c.v.Rounded || c.v.Noisy) {
		return ""
	}
	man := &c.p.Manifest
	for i, a := range runs {
		for _, b := range runs[i+1:] {
			owner := differ(c.p, a.inputs, b.inputs)
			if owner == "" {
				continue
			}
			for name, x := range a.outputs {
				if x == b.outputs[name] {
					continue
				}
				output, receiver, _ := strings.Cut(name, "\x00")
				if strings.Contains(receiver, "\x00") { // of a second session, whose inputs differ in more
					continue
				}
				if receiver != owner && !slices.ContainsFunc(man.Allowed, func(a plan.Allowance) bool {
					return a.Output == output && a.Receiver == receiver && a.Owner == owner
				}) {
					return fmt.Sprintf("output %q at %s depends on data of %s, which has not allowed it: inputs %s and %s", output, receiver, owner, show(a.inputs), show(b.inputs))
				}
			}
		}
	}
	return ""
}

// differ returns the one owner whose inputs differ, or nothing if that is not one.
func differ(p *plan.Plan, a, b [][]uint64) (owner string) {
	for i, port := range ports(p) {
		if slices.Equal(a[i], b[i]) {
			continue
		}
		if owner != "" && owner != port.Owner {
			return ""
		}
		owner = port.Owner
	}
	return owner
}

// ports returns the tensors that are bound: inputs, then weights.
func ports(p *plan.Plan) []plan.Port {
	return append(slices.Clone(p.Manifest.Inputs), p.Manifest.Weights...)
}

// show prints inputs as signed numbers.
func show(in [][]uint64) string {
	var out []string
	for _, t := range in {
		for _, x := range t {
			out = append(out, fmt.Sprint(int64(x)))
		}
	}
	return "(" + strings.Join(out, ", ") + ")"
}

// A sum identifies a multiset of words.
type sum [2]uint64

func (s sum) add(x uint64) sum { return sum{s[0] + mix(x), s[1] + mix(x^0x6a09e667f3bcc908)} }
