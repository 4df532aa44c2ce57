// Package material is the correlated randomness of the parties: keys, streams expanded from them, and the ledger that
// keeps any of it from being used twice.
package material

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// keySize is the size of a key in bytes: AES-256.
const keySize = 32

// A Key is a secret from which streams are expanded. No form of printing shows its content.
type Key struct{ b [keySize]byte }

const hidden = "material.Key(hidden)"

// String hides the content.
func (Key) String() string { return hidden }

// GoString hides the content.
func (Key) GoString() string { return hidden }

// Format hides the content from every verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// MarshalText hides the content from encoders.
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Bytes returns the content: for the one place that sends a key to its party over TLS.
func (k Key) Bytes() []byte { return append([]byte(nil), k.b[:]...) }

// KeyOf returns the key with the given content.
func KeyOf(b []byte) (Key, error) {
	var k Key
	if len(b) != keySize {
		return k, fmt.Errorf("key has %d bytes, want %d", len(b), keySize)
	}
	copy(k.b[:], b)
	return k, nil
}

// NewMaster returns a fresh key from crypto/rand.
func NewMaster() (Key, error) {
	var k Key
	_, err := rand.Read(k.b[:])
	return k, err
}

// Derive returns the key of one purpose, plan, session and party: HKDF-SHA256 (RFC 5869) with the master as secret and
// purpose, digest, session and role, in a form that no other combination has, as info.
func Derive(master Key, purpose string, digest [32]byte, session uint64, role int) Key {
	info := binary.LittleEndian.AppendUint32([]byte("smpcc material 1"), uint32(len(purpose)))
	info = append(append(info, purpose...), digest[:]...)
	info = binary.LittleEndian.AppendUint64(info, session)
	info = binary.LittleEndian.AppendUint64(info, uint64(role))
	out, err := hkdf.Key(sha256.New, master.b[:], nil, string(info), keySize)
	if err != nil {
		panic("material: HKDF of 32 bytes failed: " + err.Error()) // only for outputs above 8160 bytes
	}
	k, _ := KeyOf(out)
	return k
}

// WriteMaster writes a key to a new file that only its owner may read.
func WriteMaster(path string, k Key) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(hex.EncodeToString(k.b[:]) + "\n")
	return errors.Join(err, f.Sync(), f.Close())
}

// ReadMaster reads a key and refuses a file that others may read.
func ReadMaster(path string) (Key, error) {
	var k Key
	st, err := os.Stat(path)
	if err != nil {
		return k, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return k, fmt.Errorf("%s: others may read this key (mode %v); make it private: chmod 600 %s", path, st.Mode().Perm(), path)
	}
	if st.Size() > 1<<10 {
		return k, fmt.Errorf("%s: not a key file", path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return k, err
	}
	b, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(b) != keySize {
		return k, fmt.Errorf("%s: not a key file: want %d hexadecimal digits", path, 2*keySize)
	}
	return KeyOf(b)
}

// OpenMaster reads the key at path, or makes and writes a fresh one if there is none.
func OpenMaster(path string) (Key, error) {
	k, err := ReadMaster(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = NewMaster(); err != nil {
		return k, err
	}
	return k, WriteMaster(path, k)
}
