package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"smpcc/backend/plan"
	"smpcc/backend/verify"
)

// weighted is a module with weights, which are opened once and serve all sessions.
const weighted = `module "weighted" {
  parties p0 p1
  dealer d
  func main {
    v0 = input name="x" owner="p1" elem="int" shape=[4] lo=-1 hi=1 : private(p1) int[4]
    v1 = weight name="w" owner="p0" elem="int" shape=[4] : private(p0) int[4]
    v2 = mul v0 v1 : secret{p0,p1} int[4]
    v3 = reveal v2 name="out" to=["p1"] : private(p1) int[4]
  }
}
`

const (
	three   = "parties a, b, c\ninput x: int from a in -1..1\ninput y: int from b in -1..1\ninput z: int from c in -1..1\n"
	two     = "parties a, b\ninput x: int from a in -1..1\ninput y: int from b in -1..1\n"
	sums    = three + "reveal x + y + z to a as out\n"
	twice   = three + "reveal x + y + z to a as out\nreveal x - y - z to a as other\n"
	product = two + "let p = x * y\nreveal p * p to b as out\n"
	larger  = two + "reveal max(x, y) to b as out\n"
)

// before appends steps to the round of an opening, at each party that sends in it, and has it send the result of the last one.
func (m *mutator) before(t *testing.T, kind plan.Kind, number int, steps func(role, sent int, slots map[string]int) []plan.Step) {
	t.Helper()
	for role := range m.p.NumParties() {
		list := slices.DeleteFunc(m.opens(role), func(a at) bool { return m.open(a).Kind != kind || !slices.Contains(m.open(a).From, role) })
		_, slots := m.names(role)
		a := list[number]
		o := m.open(a)
		for _, s := range steps(role, o.Src, slots) {
			if s.Dst == 0 {
				s.Dst = m.slot(role, a.phase, o.Len)
			}
			for i, src := range s.Src {
				if src < 0 { // the result of the step before
					s.Src[i] = o.Src
				}
			}
			r := &m.rounds(role, a.phase)[a.round]
			r.Steps = append(r.Steps, s)
			o.Src = s.Dst
		}
	}
}

// zero returns the name of the shares of zero of an output.
func (m *mutator) zero(output int) string {
	return fmt.Sprintf("item %d", m.p.Manifest.Outputs[output].Item)
}

// takeOff takes shares of zero off an output again, after a step that changes nothing.
func takeOff(t *testing.T, m *mutator, same plan.Step) {
	m.before(t, plan.Reveal, 0, func(role, sent int, slots map[string]int) []plan.Step {
		s := same
		s.Src = []int{slots[m.zero(0)]}
		if s.Op == plan.StepMul || s.Op == plan.StepMatMul || s.Op == plan.StepAnd {
			one := m.slot(role, int(plan.Online), 1)
			data := []uint64{1}
			if s.Op == plan.StepAnd {
				data[0] = ^uint64(0)
			}
			r := &m.rounds(role, int(plan.Offline))[0]
			r.Steps = append(r.Steps, plan.Step{Op: plan.StepConst, Dst: one, Data: data})
			s.Src = append(s.Src, one)
		}
		s.Dst = m.slot(role, int(plan.Online), 1)
		return []plan.Step{s, {Op: plan.StepSub, Src: []int{sent, s.Dst}}}
	})
}

// recast changes an item's bits and mode, and those of its openings.
func (m *mutator) recast(what string, bits int, mode plan.Mode) {
	for i := range m.p.Items {
		if it := &m.p.Items[i]; strings.Contains(it.What, what) {
			if bits > 0 {
				it.Bits = bits
			} else {
				it.Mode = mode
			}
			m.everywhere(i, func(_ int, o *plan.Open) { o.Bits, o.Mode = it.Bits, it.Mode })
			return
		}
	}
}

// TestFindings: programs that earlier verifiers accepted are not private, says the oracle. No typed plan projects to them: beside one, they are refused.
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name, src string
		set       setting
		edit      func(t *testing.T, m *mutator)
	}{
		{"shares of zero taken off by a sum", sums, setting{ring: 4}, func(t *testing.T, m *mutator) {
			takeOff(t, m, plan.Step{Op: plan.StepSum, Args: []int64{1, 1, 1}})
		}},
		{"shares of zero taken off by a product", sums, setting{ring: 4}, func(t *testing.T, m *mutator) {
			takeOff(t, m, plan.Step{Op: plan.StepMul})
		}},
		{"shares of zero taken off by a product of matrices", sums, setting{ring: 4}, func(t *testing.T, m *mutator) {
			takeOff(t, m, plan.Step{Op: plan.StepMatMul, Args: []int64{1, 1, 1, 1, 0, 0}})
		}},
		{"shares of zero taken off by a shift of no bits", sums, setting{ring: 4}, func(t *testing.T, m *mutator) {
			takeOff(t, m, plan.Step{Op: plan.StepDrop, Args: []int64{4, 0, 0}})
		}},
		{"shares of zero taken off by an AND", sums, setting{ring: 4}, func(t *testing.T, m *mutator) {
			takeOff(t, m, plan.Step{Op: plan.StepAnd})
		}},
		{"two outputs under both shares of zero", twice, setting{ring: 4}, func(t *testing.T, m *mutator) {
			for k := range 2 {
				m.before(t, plan.Reveal, k, func(_, sent int, slots map[string]int) []plan.Step {
					return []plan.Step{{Op: plan.StepAdd, Src: []int{sent, slots[m.zero(1-k)]}}}
				})
			}
		}},
		{"shifted shares of a mask, times three, in the place of an output", product, setting{ring: 5}, func(t *testing.T, m *mutator) {
			m.p.Manifest.Allowed = nil
			mask := ""
			for i, it := range m.p.Items {
				if strings.HasPrefix(it.What, "mask of v") && !it.Dealt {
					mask = fmt.Sprintf("item %d", i)
				}
			}
			m.before(t, plan.Reveal, 0, func(role, _ int, slots map[string]int) []plan.Step {
				return []plan.Step{
					{Op: plan.StepDrop, Src: []int{slots[mask]}, Args: []int64{5, 0, 0}},
					{Op: plan.StepShl, Src: []int{-1}, Args: []int64{1}},
					{Op: plan.StepAdd, Src: []int{-1, slots[m.zero(0)]}},
				}
			})
		}},
		{"material of bits dealt as numbers", larger, setting{ring: 5}, func(t *testing.T, m *mutator) { m.recast("mask of bit as a number", 0, plan.Xor) }},
		{"readings of a mask dealt as bits", larger, setting{ring: 5}, func(t *testing.T, m *mutator) { m.recast("wrapped mask", 0, plan.Xor) }},
		{"one-hots dealt as numbers", larger, setting{ring: 5}, func(t *testing.T, m *mutator) { m.recast("one-hot", 0, plan.Add) }},
		{"one-hots of fewer bits", larger, setting{ring: 5}, func(t *testing.T, m *mutator) { m.recast("one-hot", 6, 0) }},
		{"correction words of 40 bits", larger, setting{ring: 5, net: wan}, func(t *testing.T, m *mutator) { m.recast("correction words", 40, 0) }},
		{"correction words of one bit", larger, setting{ring: 5, net: wan}, func(t *testing.T, m *mutator) { m.recast("correction words", 1, 0) }},
		{"slots of a model that overlap in part", weighted, setting{ring: 3}, func(t *testing.T, m *mutator) {
			// The mask is drawn in an earlier stage than it is used in; zeros are written over its second block while the first one is sent.
			g := &m.p.Programs[0]
			steps := &g.Setup[0].Steps
			k := slices.IndexFunc(*steps, func(s plan.Step) bool { return s.Op == plan.StepAdd })
			mask := (*steps)[k].Src[1]
			if (*steps)[k-1].Dst != mask {
				mask = (*steps)[k].Src[0]
			}
			moved, zeros, read := m.slot(0, 0, 4), m.slot(0, 0, 4), m.slot(0, 0, 4)
			g.Slots[mask].Offset, g.Slots[zeros].Offset = g.Model, g.Model+2
			g.Model += 8
			c := plan.Copy{Dims: []int64{4}, SrcStrides: []int64{1}, DstStrides: []int64{1}}
			*steps = slices.Insert(*steps, k, c.Step(moved, mask)) // ends a stage
			*steps = append(*steps, plan.Step{Op: plan.StepZero, Dst: zeros})
			g.Setup[1].Steps = append(g.Setup[1].Steps, c.Step(read, zeros)) // what nobody reads later has no memory
			for r := range g.Setup {                                         // what needs the mask later has a copy
				for i := range g.Setup[r].Steps {
					if s := &g.Setup[r].Steps[i]; r > 0 {
						for j := range s.Src {
							if s.Src[j] == mask {
								s.Src[j] = moved
							}
						}
					}
				}
			}
		}},
		{"the mask of a weight in every session", weighted, setting{ring: 3}, func(t *testing.T, m *mutator) {
			for i := range m.p.Items {
				if strings.HasPrefix(m.p.Items[i].What, "mask of input") {
					m.p.Items[i].Scope = plan.Model
					m.p.Items[i].Offset = 1 << 10
				}
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := compile(t, c.src, c.set)
			if err != nil {
				t.Fatal(err)
			}
			if err := verify.Check(p).Err(); err != nil {
				t.Fatalf("as compiled: %v", err)
			}
			from := p.Typed
			p = copyOf(p) // which stands for itself
			loosen(p)
			opt := Options{Bits: 12, Own: 2}
			if v, err := Decide(p, opt); err != nil || v.Leak != "" {
				t.Fatalf("as compiled: %v, %v", v, err)
			}
			before := p.Digest()
			c.edit(t, &mutator{Rand: rand.New(rand.NewPCG(1, 1)), p: p})
			if p.Digest() == before {
				t.Fatal("the edit changed nothing")
			}
			v, err := Decide(p, opt)
			if err != nil {
				t.Fatal(err)
			}
			if v.Leak == "" {
				t.Errorf("private: %+v", v)
			}
			t.Log(v.Leak)
			p.Typed = from
			if r := verify.Check(p); r.OK || r.Findings[0].Code != verify.OtherPrograms {
				t.Errorf("%v", r.Err())
			}
		})
	}
}
