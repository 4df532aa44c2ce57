// Package policy holds what an owner says about its data, and what a plan keeps of it: policies and their rules, read from YAML, and the
// references, allowances and guards of a manifest. It knows no graph: passes compares rules with graphs, servers enforce guards.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"smpcc/ir/diag"
)

// Version is the version of the policy format.
const Version = 1

// maxFile bounds the size of a policy file.
const maxFile = 1 << 20

// A Policy says what may be done with the data of one owner. What it does not allow is denied: without rules nothing
// leaves, not even the ranges of the data. docs/schema/policy.schema.json describes the same format for editors.
//
//	version: 1
//	owner: hospital
//	allow:
//	  - output: diagnosis     # name of a reveal; "*" for every one
//	    to: [clinic]
//	    from: [scan]          # only as far as it derives from these inputs or weights; all if absent
//	    as: argmax            # only what an arg-max says of it
//	    max_bits: 4           # and no more than this many bits a run, over all outputs to these receivers
//	  - output: mean_dose
//	    to: [registry]
//	    from: ["t[:,0:3]"]    # only from the first three columns of this input
//	    as: aggregate         # only sums and means over rows
//	    min_rows: 20          # of at least so many
//	    min_group: 5          # and of groups of rows, where those of fewer rows are not shown
//	    max_values: 12        # outputs to these receivers have at most so many numbers a run
//	    other_plans: true     # the rule is for other plans as well, and may match nothing in this one
//	compute: [p0, p1]         # parties that may hold shares of the data; any if absent
//	dealer: [d]               # dealers that are acceptable; any if absent
//	protocol: semi-honest     # the weakest protocol that will do: semi-honest or malicious
//	validity: deny            # may receivers be told that an output was withheld because a value left its range? allow or deny
//	purpose: [care]           # what the data may be used for; in plans, audits and logs
//	min_batch: 8              # each run takes at least so many rows of every input of the owner
//	max_batch: 64             # and at most so many of any input, whoever's
//	max_rows: 5000            # rows of all runs, of all plans under this policy together
//	max_runs: 1000            # of all plans under this policy together
//	runs_per_month: 100       # likewise, in a month of the calendar (UTC)
//	expires: 2027-06-30       # the last day on which it may run (UTC), or a time
//	public: {ranges: true, formats: true}   # may what derives from the data's magnitudes be published? false if absent
//	approve: [ed25519:BASE64] # each plan needs the approval of one of these keys; or {keys: [...], at_least: 2}
//	models: [weights:HEX]     # weights of others that this data may meet, by the commitments to them; any if absent
type Policy struct {
	Owner    string
	File     string // base name, or "default"
	Digest   string // sha-256 of the text, hex
	Allow    []Rule
	Compute  []string
	Dealers  []string
	Protocol string
	Validity string // allow, deny, or "": only where a rule lets anything be told
	Purpose  []string
	MinBatch int
	MaxBatch int
	MaxRows  int
	MaxRuns  int
	PerMonth int
	Expires  time.Time // zero: never
	Ranges   bool      // ranges that derive from the data may become public
	Formats  bool      // so may formats chosen from them
	Approve  []string  // public keys, some of which must have approved the plan's digest
	AtLeast  int       // so many of them
	Models   []string  // commitments to weights, one of which those of other owners must be bound by

	lines map[string]int // line of each key, for messages
}

// As says in which form data may reach a receiver.
type As string

// The forms.
const (
	Any       As = ""          // anything computed from it
	ArgMax    As = "argmax"    // only the index of a largest element
	Bit       As = "bit"       // only what comparisons say
	Aggregate As = "aggregate" // only sums and means over rows
	Rounded   As = "rounded"   // only numbers of so many decimal digits behind the point
)

// The strengths of protocols, weakest first.
var protocols = []string{SemiHonest, "malicious"}

// SemiHonest is the protocol of this release.
const SemiHonest = "semi-honest"

// A Rule allows one output to go to some receivers.
type Rule struct {
	Output     string
	To         []string
	From       []string // names of inputs and weights, or NAME[:,LO:HI] for columns of an input
	As         As
	Digits     int  // with Rounded
	MaxBits    int  // at most so many bits a run to all of To together, in this and other outputs of a bounded form; 0 for any number
	MaxValues  int  // outputs to any of To have at most so many numbers a run; 0 for any number
	MinRows    int  // with Aggregate
	MinGroup   int  // with Aggregate: groups of so many rows may be shown; 0: none
	OtherPlans bool // may match nothing
	Line       int  // in the policy's file; 0 if it has none
}

// String renders the rule as a person reads it.
func (r Rule) String() string {
	what := fmt.Sprintf("output %q", r.Output)
	if r.Output == "*" {
		what = "every output"
	}
	s := what + " may go to " + strings.Join(r.To, ", ")
	bits := ""
	if r.MaxBits > 0 {
		bits = fmt.Sprintf(" of at most %d bits", r.MaxBits)
	}
	switch r.As {
	case Any:
		if bits != "" {
			s += "," + bits
		}
	case ArgMax:
		s += " as an arg-max only" + bits
	case Bit:
		s += " as results of comparisons only" + bits
	case Rounded:
		s += fmt.Sprintf(" rounded to %d decimal digits only%s", r.Digits, bits)
	case Aggregate:
		s += fmt.Sprintf(" as a sum or mean over at least %d rows only", r.MinRows)
		if r.MinGroup > 0 {
			s += fmt.Sprintf(", or of groups of at least %d rows where smaller ones are not shown", r.MinGroup)
		}
	}
	if r.MaxValues > 0 {
		s += fmt.Sprintf(", at most %d numbers a run", r.MaxValues)
	}
	if len(r.From) > 0 {
		s += " as far as it derives from " + strings.Join(r.From, ", ")
	}
	return s
}

// YAML renders the rule as it is written in a policy.
func (r Rule) YAML() string {
	s := fmt.Sprintf("{output: %s, to: [%s]", Word(r.Output), strings.Join(words(r.To), ", "))
	if len(r.From) > 0 {
		s += fmt.Sprintf(", from: [%s]", strings.Join(words(r.From), ", "))
	}
	switch r.As {
	case Any:
	case Rounded:
		s += fmt.Sprintf(", as: rounded(%d)", r.Digits)
	default:
		s += ", as: " + string(r.As)
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"max_bits", r.MaxBits}, {"min_rows", r.MinRows}, {"min_group", r.MinGroup}, {"max_values", r.MaxValues}} {
		if n.value > 0 {
			s += fmt.Sprintf(", %s: %d", n.key, n.value)
		}
	}
	if r.OtherPlans {
		s += ", other_plans: true"
	}
	return s + "}"
}

// plain words need no quotes in YAML.
var plain = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)

// Word renders a name so that YAML reads it as a word again.
func Word(s string) string {
	switch strings.ToLower(s) {
	case "true", "false", "null":
	default:
		if plain.MatchString(s) {
			return s
		}
	}
	return strconv.Quote(s)
}

func words(s []string) []string {
	out := make([]string, len(s))
	for i, x := range s {
		out[i] = Word(x)
	}
	return out
}

// columnsForm is how columns of an input are written.
var columnsForm = regexp.MustCompile(`^(.+)\[:, ?(?:([0-9]{1,6})|([0-9]{0,6}):([0-9]{0,6}))\]$`)

// A Source is one entry of from: an input or a weight, or columns Lo..Hi-1 of an input; Hi is 0 if it is all of it, and maxColumns if they
// go to the end.
type Source struct {
	Name   string
	Lo, Hi int
}

const maxColumns = 1 << 20

// ParseSource reads an entry of from.
func ParseSource(s string) (Source, error) {
	if !strings.HasSuffix(s, "]") {
		return Source{Name: s}, nil
	}
	m := columnsForm.FindStringSubmatch(s)
	if m == nil {
		return Source{}, fmt.Errorf("%q names no columns", s)
	}
	out := Source{Name: m[1], Hi: maxColumns}
	for _, n := range []struct {
		text string
		to   *int
	}{{m[3], &out.Lo}, {m[4], &out.Hi}, {m[2], &out.Lo}} {
		if n.text != "" {
			*n.to, _ = strconv.Atoi(n.text) // at most six digits
		}
	}
	if m[2] != "" {
		out.Hi = out.Lo + 1
	}
	if out.Hi <= out.Lo {
		return Source{}, fmt.Errorf("%q names no columns", s)
	}
	return out, nil
}

// Covers reports whether the rule is about all of the columns of a source that an output derives from, which columns returns if it matters.
func (r Rule) Covers(source string, columns func() []int) bool {
	var parts []Source
	for _, f := range r.From {
		s, err := ParseSource(f)
		if err != nil || s.Name != source {
			continue
		}
		if s.Hi == 0 {
			return true
		}
		parts = append(parts, s)
	}
	if len(parts) == 0 {
		return len(r.From) == 0
	}
	return !slices.ContainsFunc(columns(), func(c int) bool {
		return !slices.ContainsFunc(parts, func(s Source) bool { return s.Lo <= c && c < s.Hi })
	})
}

// Names reports whether the rule speaks of output to receiver as far as it derives from source, in whatever form.
func (r Rule) Names(output, receiver, source string) bool {
	return (r.Output == "*" || r.Output == output) && slices.Contains(r.To, receiver) && r.About(source)
}

// About reports whether the rule speaks of a source, or of columns of it.
func (r Rule) About(source string) bool {
	return len(r.From) == 0 || slices.ContainsFunc(r.From, func(f string) bool {
		s, err := ParseSource(f)
		return err == nil && s.Name == source
	})
}

// Admits reports whether the rule lets data pass of which done has been done, its bits apart.
func (r Rule) Admits(done Done) bool {
	switch r.As {
	case ArgMax:
		return done.ArgMax
	case Bit:
		return done.Bit
	case Rounded:
		return done.Step >= math.Pow10(-r.Digits)*(1-1e-9)
	case Aggregate:
		return done.Rows >= r.MinRows || r.MinGroup > 0 && done.Groups >= r.MinGroup && done.Of >= r.MinRows
	}
	return true
}

// New returns a policy that is not from a file; it lets ranges and formats become public.
func New(owner string, rules ...Rule) *Policy {
	p := &Policy{Owner: owner, File: "default", Allow: rules, Ranges: true, Formats: true}
	h := sha256.Sum256(fmt.Appendf(nil, "%q", rules))
	p.Digest = hex.EncodeToString(h[:])
	return p
}

// At returns where a key of the policy stands, as file:line; the file alone if it is not written there.
func (p *Policy) At(key string) string {
	if n := p.lines[key]; n > 0 {
		return fmt.Sprintf("%s:%d", p.File, n)
	}
	return p.File
}

// Line returns the line of a key, 0 if it is not written.
func (p *Policy) Line(key string) int { return p.lines[key] }

// RuleAt returns where a rule stands.
func (p *Policy) RuleAt(r Rule) string {
	if r.Line > 0 {
		return fmt.Sprintf("%s:%d", p.File, r.Line)
	}
	return p.File
}

// Publishes reports whether ranges and formats may be chosen from the owner's data. Formats follow from ranges and show
// them, so that refusing either keeps both back.
func (p *Policy) Publishes() bool { return p.Ranges && p.Formats }

// Parse reads the YAML text of one policy and reports all mistakes with their lines. Unknown keys are mistakes: a
// misspelt rule must not pass unnoticed.
func Parse(name string, data []byte) (*Policy, error) {
	h := sha256.Sum256(data)
	p := &Policy{File: filepath.Base(name), Digest: hex.EncodeToString(h[:]), Protocol: protocols[0], lines: map[string]int{}}
	if len(data) > maxFile {
		return nil, diag.Errorf(diag.Pos{File: name}, "policy has %d bytes, at most %d are allowed", len(data), maxFile)
	}
	r := &reader{file: name}
	top, err := r.document(data)
	if err != nil {
		return nil, err
	}
	version := -1
	r.fields(top, "policy", policyKeys, func(key string, v node) {
		p.lines[key] = v.keyLine
		switch key {
		case "version":
			if n, ok := r.integer(v); ok {
				if version = n; n != Version {
					r.fail(v, "policy version is %d, want %d", n, Version).WithHint("write version: %d", Version)
				}
			}
		case "owner":
			p.Owner = r.text(v)
		case "allow":
			for _, item := range r.list(v) {
				p.Allow = append(p.Allow, r.rule(item))
			}
		case "compute":
			p.Compute = r.names(v)
		case "dealer":
			p.Dealers = r.names(v)
		case "validity":
			if p.Validity = r.text(v); p.Validity != "allow" && p.Validity != "deny" {
				r.fail(v, "validity %q, want allow or deny", p.Validity)
			}
		case "protocol":
			if p.Protocol = r.text(v); !slices.Contains(protocols, p.Protocol) {
				r.fail(v, "protocol %q, want %s", p.Protocol, strings.Join(protocols, " or "))
			}
		case "purpose":
			p.Purpose = r.names(v)
		case "min_batch":
			p.MinBatch = r.positive(v)
		case "max_batch":
			p.MaxBatch = r.positive(v)
		case "max_rows":
			p.MaxRows = r.positive(v)
		case "runs_per_month":
			p.PerMonth = r.positive(v)
		case "max_runs":
			p.MaxRuns = r.positive(v)
		case "expires":
			p.Expires = r.time(v)
		case "public":
			r.fields(v, "public", publicKeys, func(key string, v node) {
				p.lines["public."+key] = v.keyLine
				if key == "ranges" {
					p.Ranges = r.boolean(v)
				} else {
					p.Formats = r.boolean(v)
				}
			})
		case "approve":
			p.Approve, p.AtLeast = r.approvers(v)
		case "models":
			p.Models = r.models(v)
		}
	})
	if version < 0 {
		r.fail(top, "policy has no version").WithHint("add the line version: %d", Version)
	}
	if p.Owner == "" {
		r.fail(top, "policy has no owner").WithHint("add the line owner: PARTY")
	}
	if err := r.errs.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

var (
	policyKeys = []string{"version", "owner", "allow", "compute", "dealer", "protocol", "validity", "purpose", "min_batch", "max_batch", "max_rows", "max_runs", "runs_per_month", "expires", "public", "approve", "models"}
	ruleKeys   = []string{"output", "to", "from", "as", "max_bits", "min_rows", "min_group", "max_values", "other_plans"}
	publicKeys = []string{"ranges", "formats"}
)

// rule reads one rule.
func (r *reader) rule(n node) Rule {
	rule := Rule{Line: n.line()}
	r.fields(n, "rule", ruleKeys, func(key string, v node) {
		switch key {
		case "output":
			rule.Output = r.text(v)
		case "to":
			rule.To = r.names(v)
		case "from":
			rule.From = r.names(v)
			for _, f := range rule.From {
				if _, err := ParseSource(f); err != nil {
					r.fail(v, "%v", err).WithHint("write NAME for all of an input, \"NAME[:,0:3]\" for its first three columns, \"NAME[:,5]\" for the sixth")
				}
			}
		case "as":
			r.form(v, &rule)
		case "max_bits":
			rule.MaxBits = r.positive(v)
		case "min_rows":
			rule.MinRows = r.positive(v)
		case "min_group":
			rule.MinGroup = r.positive(v)
		case "max_values":
			rule.MaxValues = r.positive(v)
		case "other_plans":
			rule.OtherPlans = r.boolean(v)
		}
	})
	if !n.is("mapping") {
		return rule
	}
	switch {
	case rule.Output == "" || len(rule.To) == 0:
		r.fail(n, "rule has no output or no receivers").WithHint("write {output: NAME, to: [PARTY]}")
	case rule.As == Aggregate && rule.MinRows < 2:
		r.fail(n, "as: aggregate needs min_rows of at least 2").WithHint("add min_rows: 20, for example; an aggregate of one row is the row")
	case rule.As != Aggregate && rule.MinRows > 0:
		r.fail(n, "min_rows is for as: aggregate")
	case rule.As == Bit && rule.MaxBits == 0:
		r.fail(n, "as: bit needs max_bits").WithHint("add max_bits: 1, for example; without a bound comparisons can spell any number")
	case rule.As == Aggregate && rule.MaxBits > 0:
		r.fail(n, "max_bits is not for as: aggregate").WithHint("max_values bounds how many numbers a run gives")
	case rule.As != Aggregate && rule.MinGroup > 0:
		r.fail(n, "min_group is for as: aggregate")
	case rule.MinGroup == 1:
		r.fail(n, "min_group needs at least 2").WithHint("a sum over a group of one row is the row")
	}
	return rule
}

// roundedForm is how the form rounded is written.
var roundedForm = regexp.MustCompile(`^rounded\(([0-9])\)$`)

// form reads what a rule says under as.
func (r *reader) form(n node, rule *Rule) {
	text := r.text(n)
	if m := roundedForm.FindStringSubmatch(text); m != nil {
		rule.As, rule.Digits = Rounded, int(m[1][0]-'0')
		return
	}
	switch rule.As = As(text); rule.As {
	case ArgMax, Bit, Aggregate:
	default:
		r.fail(n, "as: %q, want argmax, bit, aggregate or rounded(DIGITS)", text).WithHint("leave as away to allow anything computed from the data")
	}
}

// TellsValidity reports whether receivers of outputs under a rule may be told that a value has left its range: one bit more. Where a policy does not say, a
// rule that bounds what is told does not let it be.
func (p *Policy) TellsValidity(r Rule) bool {
	if p.Validity != "" {
		return p.Validity == "allow"
	}
	return r.As == Any && r.MaxBits == 0
}
