// Package verify says whether a plan may run, from its file alone: the typed program has a type, which is the proof that messages are masked and outputs are
// allowed (package typed), and the programs of the roles are what it projects to. Of what was projected it checks besides what can be said without following
// values: that memory, streams and exchanges fit together, and that the cost is what it is said to be.
package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
)

// A Code names a kind of finding. Codes are stable: never reuse one. V02, V04 to V22 and V24 to V31 were findings of the verifier that
// read programs of roles; docs/typed-plan.md says where a typed plan stops what they were about.
type Code struct {
	ID, Name, Doc string
}

// String returns the code as it is printed.
func (c Code) String() string { return c.ID + " " + c.Name }

// The codes.
const (
	Malformed       = "V01"
	ReadBeforeWrite = "V03"
	CostDiffers     = "V23"
	NoType          = "V32"
	OtherPrograms   = "V33"
)

// Codes lists all codes with what they mean.
var Codes = []Code{
	{Malformed, "malformed", "the plan is not well formed: sizes, slots, numbers, names, material that overlaps, messages on which roles disagree; or there is no typed program"},
	{ReadBeforeWrite, "read-before-write", "a slot is read that was not written, or whose memory another slot has taken since"},
	{CostDiffers, "cost-differs", "rounds or bytes are not those that the cost says"},
	{NoType, "no-type", "a step of the typed plan has no type: there are no programs of roles"},
	{OtherPrograms, "other-programs", "the programs of the roles are not what the typed plan projects to"},
}

// CodeOf returns the code with an id.
func CodeOf(id string) Code {
	for _, c := range Codes {
		if c.ID == id {
			return c
		}
	}
	return Code{ID: id}
}

// A Finding is one thing that is wrong with a plan.
type Finding struct {
	Code  string `json:"code"` // V07
	Name  string `json:"name"` // mask-reused
	Role  string `json:"role,omitempty"`
	Phase string `json:"phase,omitempty"`
	Round int    `json:"round"`
	Step  string `json:"step,omitempty"` // the step or the opening, as inspect prints it
	What  string `json:"what"`
}

// String renders the finding on one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: ", f.Code, f.Name)
	if f.Role != "" {
		b.WriteString(f.Role + " ")
	}
	if f.Phase != "" {
		fmt.Fprintf(&b, "%s round %d: ", f.Phase, f.Round)
	} else if f.Role != "" {
		b.WriteString("- ")
	}
	b.WriteString(f.What)
	if f.Step != "" {
		b.WriteString(" [" + f.Step + "]")
	}
	return b.String()
}

// A Fact is one thing that was proved, with how often.
type Fact struct {
	Count int64  `json:"count"`
	What  string `json:"what"`
}

// A Report is the result of a verification: facts if there are no findings.
type Report struct {
	OK       bool      `json:"ok"`
	Proved   []Fact    `json:"proved"`
	Assumed  []string  `json:"assumed"`
	Findings []Finding `json:"findings"`
	More     int       `json:"more_findings,omitempty"` // beyond those listed
}

// maxFindings is how many findings are listed.
const maxFindings = 50

// Err returns nil, or the first finding as an error.
func (r *Report) Err() error {
	if r.OK {
		return nil
	}
	if n := len(r.Findings) + r.More; n > 1 {
		return fmt.Errorf("%v (and %d more findings)", r.Findings[0], n-1)
	}
	return fmt.Errorf("%v", r.Findings[0])
}

// checker verifies one plan.
type checker struct {
	p      *plan.Plan
	n      int // parties
	report *Report
	seen   map[string]bool  // findings, to list each once
	facts  map[string]int64 // counts
}

// Check verifies a plan and the cost that Plan.Cost computes for it.
func Check(p *plan.Plan) *Report { return check(p, (*plan.Plan).Cost) }

// check verifies a plan and a claim of what it costs.
func check(p *plan.Plan, cost func(*plan.Plan) *plan.Cost) *Report {
	c := newChecker(p)
	if c.types(); len(c.report.Findings) == 0 {
		c.layout()
	}
	if len(c.report.Findings) == 0 {
		c.cost(cost(p))
	}
	c.finish()
	return c.report
}

func newChecker(p *plan.Plan) *checker {
	return &checker{p: p, n: len(p.Manifest.Parties), report: &Report{Findings: []Finding{}, Proved: []Fact{}, Assumed: []string{}}, seen: map[string]bool{}, facts: map[string]int64{}}
}

// types types the plan, projects it again and compares the programs of all roles.
func (c *checker) types() {
	t, err := typed.Decode(c.p.Typed)
	if err != nil {
		c.untyped(err)
		return
	}
	q, err := t.Project()
	if err != nil {
		c.find(Malformed, nil, "%v", err)
		return
	}
	if !bytes.Equal(q.EncodeProjection(), c.p.EncodeProjection()) {
		c.find(OtherPrograms, nil, "the programs of the roles, or the manifest beside them, are not those of the typed plan")
		return
	}
	c.fact(factTyped, int64(len(t.Program.Steps)))
	for i, s := range t.Program.Steps {
		switch row := typed.Rows[s.Op]; row.Exchange {
		case typed.ByHolder, typed.ByAll:
			c.fact(factOpened, 1)
		case typed.Output:
			c.fact(factReveal, 1)
		}
		for _, d := range t.Need[i] {
			if typed.Functions[d.Fn].Mode == plan.Common {
				c.facts[factKeys]++
			}
		}
	}
	c.fact(factPrograms, int64(len(q.Programs)))
}

// untyped records why there is no typed program.
func (c *checker) untyped(err error) {
	if e := (*typed.Error)(nil); errors.As(err, &e) {
		c.report.Findings = append(c.report.Findings, Finding{Code: NoType, Name: CodeOf(NoType).Name, Step: e.Text, What: fmt.Sprintf("step %d: %v", e.Step, e.Err)})
		return
	}
	c.find(Malformed, nil, "%v", err)
}

// Untyped is the report on a plan file that typed.Load refuses.
func Untyped(err error) *Report {
	c := newChecker(&plan.Plan{})
	c.untyped(err)
	return c.report
}

// finish completes the report.
func (c *checker) finish() {
	r := c.report
	if r.OK = len(r.Findings) == 0; !r.OK {
		return
	}
	for _, what := range factOrder {
		if n, ok := c.facts[what]; ok {
			r.Proved = append(r.Proved, Fact{n, what})
		}
	}
	r.Assumed = []string{
		"semi-honest: every role runs the program that stands in the plan, and at least one party colludes with nobody",
		"the dealer colludes with no party, and the links between roles are authenticated and encrypted",
		"streams are pseudorandom, with a key for each party, plan and session or set-up, whose number is used once (the ledger keeps it so)",
		fmt.Sprintf("values stay in the %d ranges that the manifest lists: truncation and comparison rely on them", len(c.p.Manifest.Ranges)+len(c.p.Manifest.Inputs)+len(c.p.Manifest.Weights)),
		"what the outputs compute is what the source says: to check it, compile the source again and compare the digests",
	}
	if c.facts[factKeys] > 0 {
		r.Assumed = append(r.Assumed, "AES-128 under a public key hides what keys of comparisons are for: x -> pi(s(x)) XOR s(x) is circular correlation robust, as it is if AES is an ideal permutation")
	}
	if c.facts[factRounded] > 0 {
		r.Assumed = append(r.Assumed, "truncation rounds at random, and how it rounds depends on the low bits of shares: a part of one unit in the last place may be learned")
	}
}

// fact counts something proved.
func (c *checker) fact(what string, n int64) { c.facts[what] += n }

// A place says where a finding is.
type place struct {
	role  int
	phase plan.Phase
	round int
	step  string
}

// find records a finding.
func (c *checker) find(code string, at *place, format string, args ...any) {
	f := Finding{Code: code, Name: CodeOf(code).Name, What: fmt.Sprintf(format, args...)}
	if at != nil {
		if at.role >= 0 && at.role < len(c.p.Programs) {
			f.Role = c.p.Programs[at.role].Role
		}
		f.Phase, f.Round, f.Step = at.phase.String(), at.round, at.step
	}
	if key := f.String(); c.seen[key] {
		return
	} else if len(c.seen) < 10*maxFindings {
		c.seen[key] = true
	}
	if len(c.report.Findings) == maxFindings {
		c.report.More++
		return
	}
	c.report.Findings = append(c.report.Findings, f)
}

// cost recomputes rounds and bytes and compares them with a claim.
func (c *checker) cost(claim *plan.Cost) {
	p := c.p
	var total int64
	for ph := plan.Setup; ph <= plan.Online; ph++ {
		rounds, messages := 0, 0
		sent := make([]int64, len(p.Programs))
		for r := range p.Programs[0].Rounds(ph) {
			moved := false
			for role := range p.Programs {
				bits := map[int]int64{} // bytes by receiver
				for i := range p.Programs[role].Rounds(ph)[r].Opens {
					o := &p.Programs[role].Rounds(ph)[r].Opens[i]
					if !slices.Contains(o.From, role) {
						continue
					}
					for _, to := range o.To {
						if to != role {
							bits[to] += (int64(o.Len)*int64(o.Bits) + 7) / 8
						}
					}
				}
				for _, n := range bits {
					if n > 0 {
						moved = true
						messages++
						sent[role] += n
					}
				}
			}
			if moved {
				rounds++
			}
		}
		got := claim.Phases[ph]
		if got.Rounds != rounds || got.Messages != messages {
			c.find(CostDiffers, nil, "%v has %d rounds and %d messages, the cost says %d and %d", ph, rounds, messages, got.Rounds, got.Messages)
		}
		for role, n := range sent {
			if role >= len(got.Sent) || got.Sent[role] != n {
				c.find(CostDiffers, nil, "%s sends %d bytes in %v, the cost says otherwise", p.Programs[role].Role, n, ph)
			}
			total += n
		}
		c.fact(factRounds, int64(rounds))
	}
	for role := range p.Programs {
		words, model := 0, 0
		for _, s := range p.Programs[role].Slots {
			if s.Scope == plan.Session {
				words = max(words, s.Offset+s.Len)
			} else {
				model = max(model, s.Offset+s.Len)
			}
		}
		if role >= len(claim.Words) || role >= len(claim.Model) || claim.Words[role] < words || claim.Model[role] < model {
			c.find(CostDiffers, nil, "%s needs %d and %d words of memory, the cost says otherwise", p.Programs[role].Role, words, model)
		}
	}
	c.fact(factBytes, total)
}

// The facts.
const (
	factTyped    = "steps, each with the type that its row of docs/protocols.md gives"
	factOpened   = "values opened, each under a mask of its own, which no step can name"
	factReveal   = "outputs revealed, without noise, to the receivers of the manifest only, under shares of zero of their own"
	factPrograms = "programs of roles, which are what the typed plan projects to"
	factItems    = "items of material, no two of which share a byte of a stream"
	factKeys     = "sets of keys of comparisons, each under fresh roots of both parties that are used for nothing else"
	factIsolate  = "inputs read by the dealer and messages received by it"
	factSteps    = "local steps laid out, every operand written before"
	factRounded  = "truncations, in which all parties shift alike"
	factRounds   = "rounds, as the cost says"
	factBytes    = "bytes in messages, all of them in the openings above, as the cost says"
)

// factOrder is the order in which facts are told: what keeps data private first.
var factOrder = []string{factTyped, factOpened, factReveal, factPrograms, factItems, factKeys, factIsolate, factRounded, factSteps, factRounds, factBytes}
