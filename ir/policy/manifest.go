package policy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// A Guard is what one owner's policy asks of every run; it stands in the plan's manifest, and servers enforce it. The tags number its
// fields in a plan's file.
type Guard struct {
	Owner    string   `pb:"1"`
	Policy   string   `pb:"2"` // digest of the policy; runs are counted by it
	MaxRuns  int      `pb:"3"` // 0: any number
	MinBatch int      `pb:"4"` // rows of each of the owner's inputs; 0: any
	Expires  int64    `pb:"5"` // seconds since 1970, from when on it may not run; 0: never
	Approve  []string `pb:"6"` // Ed25519 public keys, some of which must have approved the plan's digest; none: no approval needed
	Silent   bool     `pb:"7"` // no range and no format was chosen from the owner's data

	Purpose  []string `pb:"20"` // what the data may be used for; nothing checks it
	MaxBatch int      `pb:"21"` // rows of any input; 0: any
	MaxRows  int      `pb:"22"` // of all runs together; 0: any number
	PerMonth int      `pb:"23"` // runs in a month of the calendar; 0: any number
	AtLeast  int      `pb:"8"`  // so many of the keys must have approved it; 0: one
	Models   []string `pb:"9"`  // commitments to weights, one of which other owners' weights must be bound by; none: any weights
}

// Asks reports whether the guard asks anything.
func (g Guard) Asks() bool { return !g.Equal(Guard{Owner: g.Owner, Policy: g.Policy}) }

// Equal reports whether two guards ask the same under the same policy.
func (g Guard) Equal(o Guard) bool {
	same := slices.Equal(g.Approve, o.Approve) && slices.Equal(g.Purpose, o.Purpose) && slices.Equal(g.Models, o.Models)
	g.Approve, o.Approve, g.Purpose, o.Purpose, g.Models, o.Models = nil, nil, nil, nil, nil, nil
	return same && reflect.DeepEqual(g, o)
}

// Guard returns what the policy asks of every run.
func (p *Policy) Guard() Guard {
	g := Guard{Owner: p.Owner, Policy: p.Digest, MaxRuns: p.MaxRuns, MinBatch: p.MinBatch, Approve: p.Approve, Models: p.Models, Silent: !p.Publishes(), Purpose: p.Purpose, MaxBatch: p.MaxBatch, MaxRows: p.MaxRows, PerMonth: p.PerMonth}
	if p.AtLeast > 1 { // one is what a list of keys says
		g.AtLeast = p.AtLeast
	}
	if !p.Expires.IsZero() {
		g.Expires = p.Expires.Unix()
	}
	return g
}

// A Ref says which policy of an owner a plan was checked against.
type Ref struct {
	Owner  string `pb:"1"`
	File   string `pb:"2"` // base name, or "default"
	Digest string `pb:"3"` // sha-256 of the policy's text, hex
	// Unchecked lists outputs, one a line, whose receivers it does not let be told that they were withheld.
	Unchecked string `pb:"4"`
}

// An Allowance records why one receiver may learn one output.
type Allowance struct {
	Output   string `pb:"1"` // name of the reveal
	Receiver string `pb:"2"`
	Owner    string `pb:"3"` // whose policy
	Rule     string `pb:"4"` // as a person reads it
	File     string `pb:"5"` // where the rule stands: base name, "" if it is not from a file
	Line     int    `pb:"6"` // 0 if the rule is not from a file
	Done     string `pb:"7"` // what has been done to the owner's data before, as the rule asks: argmax, rows>=20
}

// A Bound is what a rule lets outputs say together, in bits of the words that are revealed. It is compared with the plan when formats are
// known, and is not a part of it.
type Bound struct {
	Owner   string
	File    string
	Line    int
	Rule    string
	Outputs []string // that the rule's receivers get, of the owner's data
	MaxBits int
}

// Done is what has been done to the data of one source on every way to a value: the part of visibility that rules such as "only the
// arg-max" speak about. The zero Done is data itself, or anything computed from it otherwise.
type Done struct {
	ArgMax    bool    // every way goes through an arg-max
	Bit       bool    // every way goes through a comparison
	Rows      int     // every way goes through a sum or mean over all of at least so many rows; 0 if not
	Groups    int     // every way goes through numbers or sums of groups of rows, of which those of fewer rows are not shown; 0 if not
	Of        int     // with Groups: rows of all groups and of the rest together
	Partition string  // with Groups: names how rows are grouped
	Step      float64 // the value is a multiple of it, up to a public number; 0 if not
}

// Both returns what has been done on the ways of both.
func (d Done) Both(o Done) Done {
	b := Done{ArgMax: d.ArgMax && o.ArgMax, Bit: d.Bit && o.Bit, Rows: min(d.Rows, o.Rows)}
	if d.Partition == o.Partition {
		b.Groups, b.Of, b.Partition = min(d.Groups, o.Groups), min(d.Of, o.Of), d.Partition
	}
	return b
}

// String renders what has been done, "" for nothing.
func (d Done) String() string {
	var s []string
	if d.ArgMax {
		s = append(s, "argmax")
	}
	if d.Bit {
		s = append(s, "bit")
	}
	if d.Rows > 0 {
		s = append(s, fmt.Sprintf("rows>=%d", d.Rows))
	}
	if d.Groups > 0 {
		s = append(s, fmt.Sprintf("groups>=%d", d.Groups))
	}
	return strings.Join(s, ",")
}
