package policy

import (
	"fmt"
	"math"
	"strings"

	"smpcc/ir/diag"
)

// A Flow is a question to a policy: may this data reach a receiver in an output, after this has been done to it?
type Flow struct {
	Output, To, From string
	Columns          []int // of From that the output derives from; none: all
	Done             Done
	Bits, Values     int // that the outputs to the receiver say together
}

// Ask returns the first rule that lets a flow pass, and false if there is none.
func (p *Policy) Ask(f Flow) (Rule, bool) {
	for _, r := range p.Allow {
		columns := func() []int {
			if f.Columns == nil {
				return []int{math.MaxInt}
			}
			return f.Columns
		}
		if r.Names(f.Output, f.To, f.From) && r.Admits(f.Done) && r.Covers(f.From, columns) && (r.MaxBits == 0 || f.Bits > 0 && f.Bits <= r.MaxBits) && (r.MaxValues == 0 || f.Values > 0 && f.Values <= r.MaxValues) {
			return r, true
		}
	}
	return Rule{}, false
}

// An Expectation is a flow, and whether the policy is meant to let it pass.
type Expectation struct {
	Flow
	Allowed bool
	Line    int
}

// Expectations is a file of them: what an owner wants its policy to say, tried whenever the policy changes.
//
//	version: 1
//	policy: hospital.policy.yaml        # beside this file
//	expect:
//	  - {output: mean_dose, to: registry, from: dose, rows: 32, want: allowed}
//	  - {output: mean_dose, to: registry, from: "dose[:,0:2]", want: denied}
//	  - {output: best, to: clinic, from: dose, argmax: true, bits: 2, want: allowed}
//
// What has been done to the data is argmax, bit, rows (of a sum or mean over all of them), groups (so many rows at least, with rows in all),
// digits (rounded to so many); bits and values are what all outputs to the receiver say together.
type Expectations struct {
	Policy string
	Expect []Expectation
}

var (
	expectationsKeys = []string{"version", "policy", "expect"}
	expectationKeys  = []string{"output", "to", "from", "argmax", "bit", "rows", "groups", "digits", "bits", "values", "want"}
)

// ParseExpectations reads the YAML text of a file of expectations and reports all mistakes with their lines.
func ParseExpectations(name string, data []byte) (*Expectations, error) {
	if len(data) > maxFile {
		return nil, diag.Errorf(diag.Pos{File: name}, "file has %d bytes, at most %d are allowed", len(data), maxFile)
	}
	r := &reader{file: name}
	top, err := r.document(data)
	if err != nil {
		return nil, err
	}
	x := &Expectations{}
	version := 0
	r.fields(top, "file", expectationsKeys, func(key string, v node) {
		switch key {
		case "version":
			if version, _ = r.integer(v); version != Version {
				r.fail(v, "version is %d, want %d", version, Version)
			}
		case "policy":
			x.Policy = r.text(v)
		case "expect":
			for _, item := range r.list(v) {
				x.Expect = append(x.Expect, r.expectation(item))
			}
		}
	})
	switch {
	case version == 0:
		r.fail(top, "file has no version").WithHint("add the line version: %d", Version)
	case x.Policy == "" || len(x.Expect) == 0:
		r.fail(top, "file names no policy or expects nothing").WithHint("write policy: FILE, and a list expect: of {output: NAME, to: PARTY, from: NAME, want: allowed}")
	}
	if err := r.errs.Err(); err != nil {
		return nil, err
	}
	return x, nil
}

// expectation reads one.
func (r *reader) expectation(n node) Expectation {
	e := Expectation{Line: n.line()}
	want := ""
	r.fields(n, "expectation", expectationKeys, func(key string, v node) {
		switch key {
		case "output":
			e.Output = r.text(v)
		case "to":
			e.To = r.text(v)
		case "from":
			s, err := ParseSource(r.text(v))
			if err != nil {
				r.fail(v, "%v", err)
			}
			e.From = s.Name
			if s.Hi == maxColumns || s.Hi-s.Lo > 4096 {
				r.fail(v, "say which columns, 4096 at most").WithHint("write \"NAME[:,0:3]\"")
				return
			}
			for c := s.Lo; c < s.Hi; c++ {
				e.Columns = append(e.Columns, c)
			}
		case "argmax":
			e.Done.ArgMax = r.boolean(v)
		case "bit":
			e.Done.Bit = r.boolean(v)
		case "rows":
			e.Done.Rows = r.positive(v)
		case "groups":
			e.Done.Groups = r.positive(v)
		case "digits":
			if d, ok := r.integer(v); ok {
				e.Done.Step = math.Pow10(-d)
			}
		case "bits":
			e.Bits = r.positive(v)
		case "values":
			e.Values = r.positive(v)
		case "want":
			want = r.text(v)
		}
	})
	if e.Done.Groups > 0 {
		e.Done.Of, e.Done.Rows = e.Done.Rows, 0
	}
	if e.Output == "" || e.To == "" || want != "allowed" && want != "denied" {
		r.fail(n, "expectation lacks output, to, or want: allowed or denied")
	}
	e.Allowed = want == "allowed"
	return e
}

// String renders a flow.
func (f Flow) String() string {
	s := fmt.Sprintf("output %q to %s", f.Output, f.To)
	if f.From != "" {
		s += " from " + f.From
	}
	if len(f.Columns) > 0 {
		s += fmt.Sprintf("[:,%d:%d]", f.Columns[0], f.Columns[len(f.Columns)-1]+1)
	}
	if d := f.Done.String(); d != "" {
		s += " as " + strings.ReplaceAll(d, ",", ", ")
	}
	return s
}
