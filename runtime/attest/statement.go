package attest

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Purpose says what a signature means. It is signed with the rest, so that one cannot pass for another.
type Purpose string

// The purposes.
const (
	Plan       Purpose = "plan"       // the signer made or compiled this plan again and stands for its digest
	Approval   Purpose = "approval"   // the signer agrees that this plan runs on its data
	Revocation Purpose = "revocation" // the signer takes back what it has approved before
)

// A Statement is one signature on a plan's digest, and on what the signer says besides.
type Statement struct {
	Purpose Purpose `json:"purpose"`
	Plan    string  `json:"plan"` // digest, hex
	By      string  `json:"by"`   // name that the signer gives; the key decides
	Time    string  `json:"time"` // RFC 3339, as the signer says
	Key     string  `json:"key"`

	Role    string  `json:"role,omitempty"`    // in which the signer signs: data protection officer
	Reason  string  `json:"reason,omitempty"`  // why
	Scope   string  `json:"scope,omitempty"`   // what for, in words
	Until   string  `json:"until,omitempty"`   // RFC 3339, from when on an approval counts no more
	Weights []Bound `json:"weights,omitempty"` // the weights for which an approval is, by owner; any where none is named

	Signature string `json:"signature"`
}

// A Bound names the weights of one owner by the commitment to them.
type Bound struct {
	Owner      string `json:"owner"`
	Commitment string `json:"commitment"`
}

// maxWords bounds each of the texts in a statement.
const maxWords = 1 << 10

// message is what is signed: a fixed first line, then the fields, quoted so that none can run into the next. What is signed for no more than a name and a time has
// the form of version 1.
func (s *Statement) message() []byte {
	first := fmt.Appendf(nil, "%q\n%q\n%q\n%q\n%q\n", s.Purpose, s.Plan, s.By, s.Time, s.Key)
	if s.Role == "" && s.Reason == "" && s.Scope == "" && s.Until == "" && len(s.Weights) == 0 {
		return append([]byte("smpcc statement 1\n"), first...)
	}
	b := append([]byte("smpcc statement 2\n"), first...)
	b = fmt.Appendf(b, "%q\n%q\n%q\n%q\n%d\n", s.Role, s.Reason, s.Scope, s.Until, len(s.Weights))
	for _, w := range s.Weights {
		b = fmt.Appendf(b, "%q\n%q\n", w.Owner, w.Commitment)
	}
	return b
}

// Verify reports whether the signature is good. It says nothing about whose key it is.
func (s *Statement) Verify() error {
	if s.Purpose != Plan && s.Purpose != Approval && s.Purpose != Revocation {
		return fmt.Errorf("unknown purpose %q", s.Purpose)
	}
	key, err := ParseKey(s.Key)
	if err != nil {
		return err
	}
	sig, err := base64.StdEncoding.DecodeString(s.Signature)
	if err != nil || !ed25519.Verify(key, s.message(), sig) {
		return errors.New("the signature is wrong")
	}
	return nil
}

// Sign makes a statement about a plan.
func Sign(key ed25519.PrivateKey, purpose Purpose, plan, by string, at time.Time) Statement {
	return Statement{Purpose: purpose, Plan: plan, By: by, Time: at.UTC().Format(time.RFC3339)}.Signed(key)
}

// Signed returns the statement with a signature on all that it says.
func (s Statement) Signed(key ed25519.PrivateKey) Statement {
	s.Key = KeyText(key.Public().(ed25519.PublicKey))
	s.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, s.message()))
	return s
}

// Check refuses a statement that nobody should sign.
func (s *Statement) Check() error {
	for _, w := range []struct{ what, text string }{{"name", s.By}, {"role", s.Role}, {"reason", s.Reason}, {"scope", s.Scope}} {
		if len(w.text) > maxWords || strings.ContainsFunc(w.text, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			return fmt.Errorf("the %s is longer than %d bytes, or has characters that are none of text", w.what, maxWords)
		}
	}
	return nil
}

// ends returns when an approval counts no more, the zero time if never. One that cannot be read counts never.
func (s *Statement) ends() (time.Time, bool) {
	if s.Until == "" {
		return time.Time{}, true
	}
	t, err := time.Parse(time.RFC3339, s.Until)
	return t, err == nil
}

// Standing returns the approvals of a plan that count at a time, the last of each key: those with a good signature that have not ended, and that their signers have
// not taken back since. Of a key's statements the one of the latest time counts, and of equal times the revocation.
func Standing(list []Statement, plan string, now time.Time) (out []Statement) {
	for _, s := range Last(list, plan) {
		if end, ok := s.ends(); s.Purpose == Approval && ok && (end.IsZero() || now.Before(end)) {
			out = append(out, s)
		}
	}
	return out
}

// later reports whether s counts more than what its signer has said before or after. A revocation whose time cannot be read counts for ever.
func (s *Statement) later(than *Statement) bool {
	a, errA := time.Parse(time.RFC3339, s.Time)
	b, errB := time.Parse(time.RFC3339, than.Time)
	if errA != nil || errB != nil || a.Equal(b) {
		return s.Purpose == Revocation
	}
	return a.After(b)
}

// Last returns what each key has said last of whether a plan may run: its approval or its revocation. Statements with a wrong signature count for nothing, nor do
// approvals whose time cannot be read.
func Last(list []Statement, plan string) (out []Statement) {
	for _, s := range list {
		if s.Purpose != Approval && s.Purpose != Revocation || s.Plan != plan || s.Verify() != nil {
			continue
		}
		if _, err := time.Parse(time.RFC3339, s.Time); err != nil && s.Purpose == Approval {
			continue
		}
		i := slices.IndexFunc(out, func(o Statement) bool { return o.Key == s.Key })
		switch {
		case i < 0:
			out = append(out, s)
		case s.later(&out[i]):
			out[i] = s
		}
	}
	return out
}

// Approved reports whether at least so many of keys, one if that is 0, have approved the plan and still do at a time. counts, if not nil, says which approvals count
// besides.
func Approved(list []Statement, plan string, keys []string, atLeast int, now time.Time, counts func(*Statement) bool) bool {
	n := 0
	for _, s := range Standing(list, plan, now) {
		if slices.Contains(keys, s.Key) && (counts == nil || counts(&s)) {
			n++
		}
	}
	return n >= max(1, atLeast)
}

// Commitment returns the commitment by which the statement names an owner's weights, "" if it names none.
func (s *Statement) Commitment(owner string) string {
	for _, w := range s.Weights {
		if w.Owner == owner {
			return w.Commitment
		}
	}
	return ""
}
