// Package invite is what lets a guest take part: a token that an organisation signs, a compact JWS (RFC 7515) with EdDSA (RFC 8037) and nothing else, which every
// party checks under a key that its own configuration names.
package invite

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// MaxToken is the length in bytes above which a text is no token.
const MaxToken = 4096

// maxRuns bounds the runs of one invitation.
const maxRuns = 1 << 30

// An Invitation says who may run what, how often and until when.
type Invitation struct {
	Plan    string   `json:"plan"`    // digest, hexadecimal
	Parties []string `json:"parties"` // who compute, in order
	ID      string   `json:"jti"`     // its own name, under which parties count its runs
	Expires int64    `json:"exp"`     // seconds since 1970
	Issued  int64    `json:"iat"`
	Runs    int      `json:"runs"`
	Ports   []string `json:"ports"` // inputs that the guest gives
	Reads   []string `json:"reads"` // outputs that it receives
}

// header is the only one there is.
const header = `{"alg":"EdDSA","typ":"JWT"}`

var encoding = base64.RawURLEncoding.Strict()

// NewID returns a fresh name of an invitation.
func NewID() string { return strings.ToLower(rand.Text()) }

// Sign returns the token of an invitation.
func Sign(key ed25519.PrivateKey, v Invitation) (string, error) {
	if err := v.check(); err != nil {
		return "", err
	}
	body, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	text := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString(body)
	if token := text + "." + encoding.EncodeToString(ed25519.Sign(key, []byte(text))); len(token) <= MaxToken {
		return token, nil
	}
	return "", fmt.Errorf("the invitation is longer than %d bytes: its names of ports are too long", MaxToken)
}

var idForm = regexp.MustCompile(`^[a-z0-9]{16,64}$`)

// check returns an error unless an invitation is well-formed.
func (v *Invitation) check() error {
	switch {
	case len(v.Plan) != 64 || len(v.Parties) < 2:
		return errors.New("the invitation names no plan, or no parties")
	case !idForm.MatchString(v.ID):
		return errors.New("the invitation has no name of its own")
	case v.Runs < 1 || v.Runs > maxRuns:
		return fmt.Errorf("the invitation is for %d runs, want 1..%d", v.Runs, maxRuns)
	case v.Expires <= v.Issued:
		return errors.New("the invitation ends before it begins")
	}
	return nil
}

// Read returns what a token says, if one of the keys has signed it. What it allows is for its reader to check.
func Read(token string, keys []ed25519.PublicKey) (*Invitation, error) {
	if token == "" {
		return nil, errors.New("there is no invitation: open the link that you were given")
	}
	parts := strings.Split(token, ".")
	if len(token) > MaxToken || len(parts) != 3 {
		return nil, errors.New("the invitation is malformed: open the whole link that you were given")
	}
	raw := make([][]byte, 3)
	for i, p := range parts {
		var err error
		if raw[i], err = encoding.DecodeString(p); err != nil {
			return nil, errors.New("the invitation is malformed: open the whole link that you were given")
		}
	}
	if string(raw[0]) != header {
		return nil, errors.New("the invitation is not signed as invitations are: only EdDSA is accepted")
	}
	signed := []byte(parts[0] + "." + parts[1])
	if !slices.ContainsFunc(keys, func(k ed25519.PublicKey) bool { return ed25519.Verify(k, signed, raw[2]) }) {
		return nil, errors.New("the invitation is not signed by a key that this party accepts")
	}
	d := json.NewDecoder(bytes.NewReader(raw[1]))
	d.DisallowUnknownFields()
	var v Invitation
	if err := d.Decode(&v); err != nil {
		return nil, errors.New("the invitation says what this version does not know")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("the invitation is malformed")
	}
	return &v, v.check()
}

// Allows returns an error unless the invitation is for a plan of these parties, at a time.
func (v *Invitation) Allows(plan string, parties []string, now time.Time) error {
	switch {
	case v.Plan != plan:
		return fmt.Errorf("the invitation is for plan %.16s, not for %.16s", v.Plan, plan)
	case !slices.Equal(v.Parties, parties):
		return fmt.Errorf("the invitation is for parties %s", strings.Join(v.Parties, ", "))
	case now.Unix() >= v.Expires:
		return fmt.Errorf("the invitation ended at %s: ask for another", time.Unix(v.Expires, 0).UTC().Format(time.RFC3339))
	}
	return nil
}
