// Package policy holds what an owner says about its data, and what a plan keeps of it: policies and their rules, read from YAML, and the
// references, allowances and guards of a manifest. It knows no graph: passes compares rules with graphs, servers enforce guards.
package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
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
//	    as: aggregate         # only sums and means over rows
//	    min_rows: 20          # of at least so many
//	compute: [p0, p1]         # parties that may hold shares of the data; any if absent
//	dealer: [d]               # dealers that are acceptable; any if absent
//	protocol: semi-honest     # the weakest protocol that will do: semi-honest or malicious
//	min_batch: 8              # each run takes at least so many rows of every input
//	max_runs: 1000            # of all plans under this policy together
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
	MinBatch int
	MaxRuns  int
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
	Aggregate As = "aggregate" // only sums and means over rows
)

// The strengths of protocols, weakest first.
var protocols = []string{SemiHonest, "malicious"}

// SemiHonest is the protocol of this release.
const SemiHonest = "semi-honest"

// A Rule allows one output to go to some receivers.
type Rule struct {
	Output  string
	To      []string
	From    []string
	As      As
	MaxBits int // with ArgMax: at most so many bits a run to all of To together; 0 for any number
	MinRows int // with Aggregate
	Line    int // in the policy's file; 0 if it has none
}

// String renders the rule as a person reads it.
func (r Rule) String() string {
	what := fmt.Sprintf("output %q", r.Output)
	if r.Output == "*" {
		what = "every output"
	}
	s := what + " may go to " + strings.Join(r.To, ", ")
	switch r.As {
	case ArgMax:
		s += " as an arg-max only"
		if r.MaxBits > 0 {
			s += fmt.Sprintf(" of at most %d bits", r.MaxBits)
		}
	case Aggregate:
		s += fmt.Sprintf(" as a sum or mean over at least %d rows only", r.MinRows)
	}
	if len(r.From) > 0 {
		s += " as far as it derives from " + strings.Join(r.From, ", ")
	}
	return s
}

// YAML renders the rule as it is written in a policy.
func (r Rule) YAML() string {
	s := fmt.Sprintf("{output: %s, to: [%s]", r.Output, strings.Join(r.To, ", "))
	switch r.As {
	case ArgMax:
		s += ", as: argmax"
		if r.MaxBits > 0 {
			s += fmt.Sprintf(", max_bits: %d", r.MaxBits)
		}
	case Aggregate:
		s += fmt.Sprintf(", as: aggregate, min_rows: %d", r.MinRows)
	}
	return s + "}"
}

// Names reports whether the rule speaks of output to receiver as far as it derives from source, in whatever form.
func (r Rule) Names(output, receiver, source string) bool {
	return (r.Output == "*" || r.Output == output) && slices.Contains(r.To, receiver) && (len(r.From) == 0 || slices.Contains(r.From, source))
}

// Admits reports whether the rule lets data pass of which done has been done, its bits apart.
func (r Rule) Admits(done Done) bool {
	switch r.As {
	case ArgMax:
		return done.ArgMax
	case Aggregate:
		return done.Rows >= r.MinRows
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
		case "protocol":
			if p.Protocol = r.text(v); !slices.Contains(protocols, p.Protocol) {
				r.fail(v, "protocol %q, want %s", p.Protocol, strings.Join(protocols, " or "))
			}
		case "min_batch":
			p.MinBatch = r.positive(v)
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
	policyKeys = []string{"version", "owner", "allow", "compute", "dealer", "protocol", "min_batch", "max_runs", "expires", "public", "approve", "models"}
	ruleKeys   = []string{"output", "to", "from", "as", "max_bits", "min_rows"}
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
		case "as":
			switch rule.As = As(r.text(v)); rule.As {
			case ArgMax, Aggregate:
			default:
				r.fail(v, "as: %q, want argmax or aggregate", rule.As).WithHint("leave as away to allow anything computed from the data")
			}
		case "max_bits":
			rule.MaxBits = r.positive(v)
		case "min_rows":
			rule.MinRows = r.positive(v)
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
	case rule.As != ArgMax && rule.MaxBits > 0:
		r.fail(n, "max_bits is for as: argmax")
	}
	return rule
}
