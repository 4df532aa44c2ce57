package passes

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"smpcc/ir/diag"
)

// PolicyVersion is the version of the policy format.
const PolicyVersion = 1

// maxPolicy bounds the size of a policy file.
const maxPolicy = 1 << 20

// A Policy says which outputs may go to whom, as far as the data of one owner is concerned. What it does not allow is
// denied.
//
//	version: 1
//	owner: hospital
//	allow:
//	  - output: diagnosis     # name of a reveal; "*" for every one
//	    to: [clinic]
//	    from: [scan]          # only as far as it derives from these inputs or weights; all if absent
type Policy struct {
	Owner  string
	File   string // base name, or "default"
	Digest string // sha-256 of the text, hex
	Allow  []Rule
}

// A Rule allows one output to go to some receivers.
type Rule struct {
	Output string   `yaml:"output"`
	To     []string `yaml:"to"`
	From   []string `yaml:"from"`
}

// String renders the rule as a person reads it.
func (r Rule) String() string {
	s := fmt.Sprintf("output %q may go to %s", r.Output, strings.Join(r.To, ", "))
	if r.Output == "*" {
		s = "every output may go to " + strings.Join(r.To, ", ")
	}
	if len(r.From) > 0 {
		s += " as far as it derives from " + strings.Join(r.From, ", ")
	}
	return s
}

// allows reports whether the rule lets output, derived from source, go to receiver.
func (r Rule) allows(output, receiver, source string) bool {
	return (r.Output == "*" || r.Output == output) && slices.Contains(r.To, receiver) && (len(r.From) == 0 || slices.Contains(r.From, source))
}

// NewPolicy returns a policy that is not from a file.
func NewPolicy(owner string, rules ...Rule) *Policy {
	p := &Policy{Owner: owner, File: "default", Allow: rules}
	h := sha256.Sum256(fmt.Appendf(nil, "%q", rules))
	p.Digest = hex.EncodeToString(h[:])
	return p
}

// ParsePolicy reads the YAML text of one policy. Unknown keys are mistakes: a misspelt rule must not pass unnoticed.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	pos := diag.Pos{File: name}
	if len(data) > maxPolicy {
		return nil, diag.Errorf(pos, "policy has %d bytes, at most %d are allowed", len(data), maxPolicy)
	}
	var raw struct {
		Version int    `yaml:"version"`
		Owner   string `yaml:"owner"`
		Allow   []Rule `yaml:"allow"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := dec.Decode(&raw); err != nil && !errors.Is(err, io.EOF) {
		return nil, diag.Errorf(pos, "not a policy: %s", yaml.FormatError(err, false, true)).
			WithHint("a policy has version: 1, owner: PARTY and a list allow: of {output: NAME, to: [PARTY]}")
	}
	var more any
	if err := dec.Decode(&more); err == nil {
		return nil, diag.Errorf(pos, "holds more than one document").WithHint("one file is one owner's policy")
	}
	switch {
	case raw.Version != PolicyVersion:
		return nil, diag.Errorf(pos, "policy version is %d, want %d", raw.Version, PolicyVersion).WithHint("add the line version: %d", PolicyVersion)
	case raw.Owner == "":
		return nil, diag.Errorf(pos, "policy has no owner").WithHint("add the line owner: PARTY")
	}
	for i, r := range raw.Allow {
		if r.Output == "" || len(r.To) == 0 {
			return nil, diag.Errorf(pos, "rule %d of allow has no output or no receivers", i+1).WithHint("write {output: NAME, to: [PARTY]}")
		}
	}
	h := sha256.Sum256(data)
	return &Policy{Owner: raw.Owner, File: filepath.Base(name), Digest: hex.EncodeToString(h[:]), Allow: raw.Allow}, nil
}
