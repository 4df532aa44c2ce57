package typed

import (
	"crypto/sha256"
	"encoding/hex"

	"smpcc/backend/plan"
)

// Version is the version of the format in which typed plans are written.
const Version = 2

// A file is what a typed plan is written as. Everything else follows from it.
type file struct {
	Manifest plan.Manifest `pb:"1"`
	Program  Program       `pb:"2"`
}

// Encode returns the bytes of a typed plan: manifest and program. There is exactly one encoding.
func (c *Checked) Encode() []byte { return plan.EncodeAs(Version, &file{*c.Manifest, *c.Program}) }

// Digest returns the sha-256 of the plan's bytes, hex.
func (c *Checked) Digest() string {
	h := sha256.Sum256(c.Encode())
	return hex.EncodeToString(h[:])
}

// Decode reads a typed plan and types it: what has no type is not read.
func Decode(data []byte) (*Checked, error) {
	f := &file{}
	if err := plan.DecodeAs(Version, data, f); err != nil {
		return nil, err
	}
	c, err := Check(&f.Manifest, &f.Program)
	if err != nil {
		return nil, err
	}
	return c, nil
}
