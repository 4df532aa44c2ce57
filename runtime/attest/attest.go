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

	"smpcc/runtime/disk"
)

// maxFile bounds the size of a file of statements.
const maxFile = 1 << 20

// keyPrefix begins a public key in text.
const keyPrefix = "ed25519:"

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
