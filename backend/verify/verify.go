// Package verify checks an emitted plan without the compiler: from the programs of all roles alone it proves what leaves
// each party and under which mask. It reads the steps on its own; of the rest of the project it knows the plan format only.
//
// The argument it checks, for one honest party against all the others (semi-honest, the dealer apart): every message of the
// party is f + r mod 2^b with r drawn from its own stream, uniform in b bits, masking no other message, and f depends on no
// mask that has not been opened in an earlier round. Then, for any inputs, the map from the party's masks to its messages is one to one,
// round after round, so the messages are uniform and say nothing. The dealer's correction is masked in the same way by the
// honest party's share of it. What a receiver learns is the sum of the shares of an output, and the verifier shows, with
// linear and multilinear expressions over the material, that no mask is left in that sum.
package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"smpcc/backend/plan"
)

// A Code names a kind of finding. Codes are stable: never reuse one.
type Code struct {
	ID, Name, Doc string
}

// String returns the code as it is printed.
func (c Code) String() string { return c.ID + " " + c.Name }

// The codes.
const (
	Malformed        = "V01"
	UnknownStep      = "V02"
	ReadBeforeWrite  = "V03"
	Exchange         = "V04"
	MaskMissing      = "V05"
	MaskScaled       = "V06"
	MaskReused       = "V07"
	MaskEarly        = "V08"
	MaskWidth        = "V09"
	MaterialOverlap  = "V10"
	MaterialForeign  = "V11"
	DealerInput      = "V12"
	DealerReceives   = "V13"
	WrongCorrection  = "V14"
	UnknownReveal    = "V15"
	RevealReceivers  = "V16"
	RevealMissing    = "V17"
	RevealMask       = "V18"
	MaskLeft         = "V19"
	NotShares        = "V20"
	WrongMaterial    = "V21"
	NotPublic        = "V22"
	CostDiffers      = "V23"
	TooNarrow        = "V24"
	ForeignInput     = "V25"
	TooComplex       = "V26"
	PartyConstant    = "V27"
	ManifestDiffers  = "V28"
	MessageReceivers = "V29"
	NotAllowed       = "V30"
	KeyReused        = "V31"
	NoType           = "V32"
)

// Codes lists all codes with what they mean.
var Codes = []Code{
	{Malformed, "malformed", "the plan is not well formed: sizes, slots, numbers, names"},
	{UnknownStep, "unknown-step", "a step that this verifier has no rule for"},
	{ReadBeforeWrite, "read-before-write", "a slot is read that was not written, or whose memory another slot has taken since"},
	{Exchange, "exchange-differs", "two roles disagree on a message, or on the number of rounds"},
	{MaskMissing, "mask-missing", "a party sends what is not covered by the mask of this message"},
	{MaskScaled, "mask-changed", "the mask was multiplied, moved or combined before it was added, so that it need not be uniform"},
	{MaskReused, "mask-reused", "one mask covers two messages"},
	{MaskEarly, "mask-used-early", "a message depends, besides its mask, on a mask that no earlier round has opened, or on shares of zero"},
	{MaskWidth, "mask-width", "the mask is not as long and as wide as the message"},
	{MaterialOverlap, "material-overlap", "two items of material share bytes of a stream"},
	{MaterialForeign, "material-foreign", "a party draws material that is not its own"},
	{DealerInput, "dealer-input", "the dealer reads an input or a weight"},
	{DealerReceives, "dealer-receives", "the dealer receives something or takes part in the online phase"},
	{WrongCorrection, "wrong-correction", "the dealer sends what is not the one share of the last party of one dealt item"},
	{UnknownReveal, "unknown-reveal", "something is revealed that is no output of the manifest"},
	{RevealReceivers, "reveal-receivers", "an output goes to others than the manifest names"},
	{RevealMissing, "reveal-missing", "an output of the manifest is not revealed"},
	{RevealMask, "reveal-mask", "the shares that re-randomise an output are not shares of zero"},
	{MaskLeft, "mask-left", "masks do not cancel: what is revealed or opened depends on more than inputs"},
	{NotShares, "not-shares", "what the parties hold does not add up to one value"},
	{WrongMaterial, "wrong-material", "the material of a step is not the function of the masks that its equation needs, or not shared in the way it adds up"},
	{NotPublic, "not-public", "a step needs a value that all parties know and gets another"},
	{CostDiffers, "cost-differs", "rounds or bytes are not those that the cost says"},
	{TooNarrow, "too-narrow", "more bits are used than the value is valid in"},
	{ForeignInput, "foreign-input", "an input or weight is read by another role than its owner, or in another phase"},
	{TooComplex, "too-complex", "the expressions outgrow what the verifier follows"},
	{PartyConstant, "party-constant", "a public term is not added by party 0 alone"},
	{ManifestDiffers, "manifest-differs", "the manifest says something about the programs that is not so"},
	{MessageReceivers, "message-receivers", "a masked value does not go from all who hold its mask to all parties"},
	{NotAllowed, "not-allowed", "an output derives from the data of an owner whose permission the manifest does not record"},
	{KeyReused, "key-reused", "the roots of keys serve a second time: for other keys, or as a mask"},
	{NoType, "no-type", "a step of the typed plan has no type: there are no programs of roles"},
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
	p        *plan.Plan
	n        int // parties
	report   *Report
	table    *table
	roles    []*roleState
	dealt    map[int]*value     // what the dealer shares, by item
	dealtOut map[int]termID     // the last party's share that it computes, by item
	openedAt map[int]moment     // when an item is opened
	roots    map[int]bool       // items that are the roots of keys
	keyed    map[int]*value     // what the dealer sends to all parties, by item
	opened   map[int]*opening   // by item
	wholes   map[termID]value   // memo of whole
	seen     map[string]bool    // findings, to list each once
	facts    map[string]int64   // counts
	outputs  map[int]*plan.Port // by item
	revealed map[int]bool       // items of outputs
}

// An opening is what was opened under an item.
type opening struct {
	mode  plan.Mode
	bits  int
	truth termID // stands for what was opened
	def   value  // what was opened
}

// A roleState is what a role's memory holds.
type roleState struct {
	prog  *plan.Program
	mem   [2]*memory
	vals  []value     // by write; 0 is never written
	slots []int       // by write: the slot written
	empty map[int]int // last write of slots without words
}

// Check verifies a plan and the cost that Plan.Cost computes for it.
func Check(p *plan.Plan) *Report { return check(p, (*plan.Plan).Cost) }

// check verifies a plan and a claim of what it costs.
func check(p *plan.Plan, cost func(*plan.Plan) *plan.Cost) (r *Report) {
	c := &checker{p: together(p), n: len(p.Manifest.Parties), report: &Report{Findings: []Finding{}, Proved: []Fact{}, Assumed: []string{}}, dealt: map[int]*value{}, dealtOut: map[int]termID{},
		openedAt: map[int]moment{}, roots: map[int]bool{}, keyed: map[int]*value{}, opened: map[int]*opening{}, wholes: map[termID]value{}, seen: map[string]bool{}, facts: map[string]int64{}, outputs: map[int]*plan.Port{}, revealed: map[int]bool{}}
	r = c.report
	defer func() {
		if e := recover(); e != nil {
			s, ok := e.(stop)
			if !ok {
				panic(e)
			}
			c.find(TooComplex, nil, "%s", s.why)
		}
		c.finish()
	}()
	c.structure()
	if err := p.Validate(); err != nil {
		if len(r.Findings) == 0 {
			c.find(Malformed, nil, "%v", err)
		}
		return r
	}
	if len(r.Findings) > 0 { // what follows relies on the structure
		return r
	}
	c.programs()
	if len(r.Findings) == 0 {
		c.cost(cost(p))
	}
	return r
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
	if c.facts[factTrunc] > 0 {
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
	factSent    = "messages of parties, each under fresh uniform bits of their sender that mask no other message"
	factOpened  = "values opened masked, each the sum of what all parties hold"
	factReveal  = "outputs revealed, to the receivers of the manifest only, re-randomised by shares of zero, with no mask left in them but by rounding"
	factDealt   = "corrections of the dealer, each the last party's share of one item, masked by the other parties' streams"
	factKeys    = "sets of keys of comparisons, each under fresh roots of both parties that are used for nothing else"
	factIsolate = "inputs read by the dealer and messages received by it"
	factItems   = "items of material, no two of which share a byte of a stream"
	factTrunc   = "truncations, in which all parties shift alike"
	factSteps   = "local steps read, every operand written before"
	factRounds  = "rounds, as the cost says"
	factBytes   = "bytes in messages, all of them in the openings above, as the cost says"
)

// factOrder is the order in which facts are told: what keeps data private first.
var factOrder = []string{factSent, factOpened, factReveal, factDealt, factKeys, factIsolate, factItems, factTrunc, factSteps, factRounds, factBytes}

func compareBy[T any, K cmp.Ordered](key func(T) K) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(key(a), key(b)) }
}
