// Package material is the correlated randomness of the parties: keys, streams expanded from them, and the ledger that
// keeps any of it from being used twice.
package material

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"

	"smpcc/runtime/disk"
)

// keySize is the size of a key in bytes: AES-256.
const keySize = 32

// errEmpty is the refusal to work with the zero Key: streams of a known key hide nothing.
var errEmpty = errors.New("empty key: make one with NewMaster or read one with ReadMaster")

// A Key is a secret from which streams are expanded. No form of printing shows its content. The zero Key is empty: nothing
// can be expanded from it.
//
// The content stands behind a function because fmt calls no methods on unexported fields: it would print a key inside
// another struct byte by byte, and follows a pointer for some verbs. It prints a function as an address. It also makes keys
// impossible to compare with ==, which would take a time that tells where they differ. All copies of a key share one content, so that
// Clear empties all of them.
type Key struct {
	content func(wipe bool) *[keySize]byte
}

// keyOf returns the key with content b, which becomes the key's own.
func keyOf(b *[keySize]byte) Key {
	return Key{func(wipe bool) *[keySize]byte {
		if wipe && b != nil {
			clear(b[:])
			b = nil
		}
		return b
	}}
}

// secret returns the content itself, nil if the key is empty.
func (k Key) secret() *[keySize]byte {
	if k.content == nil {
		return nil
	}
	return k.content(false)
}

// Clear overwrites the content of the key and of all its copies, which are empty from then on: nothing can be derived or expanded from
// them. A Stream of the key stays as it is. Nobody may use the key meanwhile.
func (k Key) Clear() {
	if k.content != nil {
		k.content(true)
	}
}

const hidden = "material.Key(hidden)"

// String hides the content.
func (Key) String() string { return hidden }

// GoString hides the content.
func (Key) GoString() string { return hidden }

// Format hides the content from every verb.
func (Key) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// MarshalText hides the content from encoders.
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Bytes returns the content, nil for the empty key. It is the one place that exports the secret, and exists because a
// dealer sends each party its key of a session over TLS. Nothing else may call it, and nobody may print or log the result. Who calls
// it clears the result.
func (k Key) Bytes() []byte {
	b := k.secret()
	if b == nil {
		return nil
	}
	return append([]byte(nil), b[:]...)
}

// Equal reports whether two keys have the same content, in a time that does not tell where they differ.
func (k Key) Equal(other Key) bool {
	a, b := k.secret(), other.secret()
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// KeyOf returns the key with the given content, of which it keeps a copy.
func KeyOf(b []byte) (Key, error) {
	if len(b) != keySize {
		return Key{}, fmt.Errorf("key has %d bytes, want %d", len(b), keySize)
	}
	return keyOf((*[keySize]byte)(append([]byte(nil), b...))), nil
}

// NewMaster returns a fresh key from crypto/rand.
func NewMaster() (Key, error) {
	b := new([keySize]byte)
	if _, err := rand.Read(b[:]); err != nil {
		return Key{}, fmt.Errorf("no randomness for a key: %w", err)
	}
	return keyOf(b), nil
}

// Derive returns the key of one purpose, plan, session and role: HKDF-SHA256 (RFC 5869) with the master as secret and the
// four as info. Every part of info has a fixed length or its length before it, so no two combinations share one. The key
// derived from the empty key is empty.
func Derive(master Key, purpose string, digest [32]byte, session uint64, role int) Key {
	secret := master.secret()
	if secret == nil {
		return Key{}
	}
	info := binary.LittleEndian.AppendUint64([]byte("smpcc material 1"), uint64(len(purpose)))
	info = append(append(info, purpose...), digest[:]...)
	info = binary.LittleEndian.AppendUint64(info, session)
	info = binary.LittleEndian.AppendUint64(info, uint64(role))
	out, err := hkdf.Key(sha256.New, secret[:], nil, string(info), keySize)
	if err != nil {
		return Key{} // HKDF refuses only outputs above 8160 bytes
	}
	return keyOf((*[keySize]byte)(out))
}

// WriteMaster writes a key to a new file that only its owner may read. It never overwrites: an old key may be needed to
// run what was dealt from it.
func WriteMaster(d disk.Disk, path string, k Key) error {
	secret := k.secret()
	if secret == nil {
		return errEmpty
	}
	line := append(hex.AppendEncode(make([]byte, 0, 2*keySize+1), secret[:]), '\n')
	defer clear(line)
	err := disk.Create(d, path, 0o600, func(w io.Writer) error {
		_, err := w.Write(line)
		return err
	})
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: a key is never overwritten; move it away or choose another name", err)
	}
	return err
}

// maxKeyFile is the size above which a file is not read to look for a key.
const maxKeyFile = 1 << 10

// ReadMaster reads a key and refuses a file that others may read. Errors never quote the file.
func ReadMaster(path string) (Key, error) {
	st, err := os.Stat(path) // before opening: a pipe would make that wait
	if err != nil {
		return Key{}, err
	}
	if !st.Mode().IsRegular() {
		return Key{}, notKey(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return Key{}, err
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil { // of the file that is read, should the name mean another by now
		return Key{}, err
	}
	if perm := st.Mode().Perm(); perm&0o077 != 0 && runtime.GOOS != "windows" { // no such bits there
		return Key{}, fmt.Errorf("%s: others may use this key (mode %#o): if nobody has read it, make it private with chmod 600 %s; otherwise make a new one", path, perm, path)
	}
	data := make([]byte, maxKeyFile) // one buffer, and no string, so that it can be cleared
	defer clear(data)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return Key{}, err
	}
	line := bytes.TrimSpace(data[:n])
	b := new([keySize]byte)
	if len(line) != hex.EncodedLen(keySize) {
		return Key{}, notKey(path)
	}
	if _, err := hex.Decode(b[:], line); err != nil {
		clear(b[:])
		return Key{}, notKey(path)
	}
	return keyOf(b), nil
}

func notKey(path string) error {
	return fmt.Errorf("%s: not a key file: want a line of %d hexadecimal digits, as WriteMaster makes", path, 2*keySize)
}

// OpenMaster reads the key at path, or makes and writes a fresh one if there is none.
func OpenMaster(d disk.Disk, path string) (Key, error) {
	k, err := ReadMaster(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = NewMaster(); err != nil {
		return Key{}, err
	}
	if err := WriteMaster(d, path, k); err != nil {
		return Key{}, err
	}
	return k, nil
}
