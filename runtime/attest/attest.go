// Package attest holds what organisations say about plans and keep about runs: Ed25519 signatures on a plan's digest, and an
// append-only log whose entries are chained by hashes. It knows digests only, neither plans nor data.
package attest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"smpcc/runtime/disk"
)

// maxFile bounds the size of a file of statements.
const maxFile = 1 << 20

// keyPrefix begins a public key in text.
const keyPrefix = "ed25519:"

// Purpose says what a signature means. It is signed with the rest, so that one cannot pass for another.
type Purpose string

// The purposes.
const (
	Plan     Purpose = "plan"     // the signer made or compiled this plan again and stands for its digest
	Approval Purpose = "approval" // the signer agrees that this plan runs on its data
)

// A Statement is one signature on a plan's digest.
type Statement struct {
	Purpose   Purpose `json:"purpose"`
	Plan      string  `json:"plan"` // digest, hex
	By        string  `json:"by"`   // name that the signer gives; the key decides
	Time      string  `json:"time"` // RFC 3339, as the signer says
	Key       string  `json:"key"`
	Signature string  `json:"signature"`
}

// message is what is signed: a fixed first line, then the fields, quoted so that none can run into the next.
func (s *Statement) message() []byte {
	return fmt.Appendf(nil, "smpcc statement 1\n%q\n%q\n%q\n%q\n%q\n", s.Purpose, s.Plan, s.By, s.Time, s.Key)
}

// Verify reports whether the signature is good. It says nothing about whose key it is.
func (s *Statement) Verify() error {
	if s.Purpose != Plan && s.Purpose != Approval {
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
	s := Statement{Purpose: purpose, Plan: plan, By: by, Time: at.UTC().Format(time.RFC3339), Key: KeyText(key.Public().(ed25519.PublicKey))}
	s.Signature = base64.StdEncoding.EncodeToString(ed25519.Sign(key, s.message()))
	return s
}

// KeyText renders a public key as policies name it.
func KeyText(k ed25519.PublicKey) string { return keyPrefix + base64.StdEncoding.EncodeToString(k) }

// ParseKey reads a public key as policies name it.
func ParseKey(s string) (ed25519.PublicKey, error) {
	text, ok := strings.CutPrefix(s, keyPrefix)
	b, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("%q is not a public key (%sBASE64)", s, keyPrefix)
	}
	return b, nil
}

// NewKey writes a fresh private key to a file that must not exist, readable by its owner only, and returns the public half.
func NewKey(path string) (ed25519.PublicKey, error) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return pub, errors.Join(pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), f.Close())
}

// LoadKey reads a private key: PKCS #8 in PEM, as NewKey and openssl genpkey -algorithm ed25519 write it.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%s: holds no private key in PEM", path)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: not a private key", path) // the reason could quote the file
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s: not an Ed25519 key; smpcc keys sign makes one", path)
	}
	return key, nil
}

// File returns where the statements about a plan file are kept.
func File(plan string) string { return plan + ".sigs" }

// Read reads statements, one JSON object a line. A file that does not exist holds none. Signatures are not verified.
func Read(path string) ([]Statement, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: %d bytes, at most %d are read", path, len(data), maxFile)
	}
	var out []Statement
	for i, line := range bytes.Split(data, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		var s Statement
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&s); err != nil {
			return nil, fmt.Errorf("%s:%d: not a statement", path, i+1)
		}
		out = append(out, s)
	}
	return out, nil
}

// Append adds a statement to a file. If that fails the file is as before.
func Append(d disk.Disk, path string, s Statement) error {
	line, err := json.Marshal(s)
	if err != nil {
		return err
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if n := len(old); n > 0 && old[n-1] != '\n' {
		old = append(old, '\n')
	}
	return disk.Replace(d, path, 0o644, func(w io.Writer) error {
		_, err := w.Write(append(append(old, line...), '\n'))
		return err
	})
}

// Approved reports whether one of keys has approved the plan: a statement of that purpose on that digest with a good
// signature. The name and the time in it do not matter.
func Approved(list []Statement, plan string, keys []string) bool {
	for i := range list {
		s := &list[i]
		for _, k := range keys {
			if s.Purpose == Approval && s.Plan == plan && s.Key == k && s.Verify() == nil {
				return true
			}
		}
	}
	return false
}
