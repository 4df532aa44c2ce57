package typed

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"smpcc/backend/plan"
)

// A file is what a plan file holds. Everything else follows from it.
type file struct {
	Manifest plan.Manifest `pb:"1"`
	Program  Program       `pb:"2"`
}

// Encode returns the bytes of a typed plan: manifest and program. There is exactly one encoding.
func (c *Checked) Encode() []byte { return plan.EncodeAs(plan.Version, &file{*c.Manifest, *c.Program}) }

// Digest returns the sha-256 of the plan's bytes, hex.
func (c *Checked) Digest() string {
	h := sha256.Sum256(c.Encode())
	return hex.EncodeToString(h[:])
}

// Decode reads a typed plan and types it: what has no type is not read.
func Decode(data []byte) (*Checked, error) {
	f := &file{}
	if err := plan.DecodeAs(plan.Version, data, f); err != nil {
		return nil, err
	}
	c, err := Check(&f.Manifest, &f.Program)
	if err != nil {
		return nil, fmt.Errorf("plan has no type: %w", err)
	}
	return c, nil
}

// Load reads a typed plan, types it and projects it: what a role runs is derived from what was checked.
func Load(data []byte) (*plan.Plan, error) {
	c, err := Decode(data)
	if err != nil {
		return nil, err
	}
	return c.Project()
}

// ReadFile is Load for a plan file.
func ReadFile(path string) (*plan.Plan, error) {
	data, err := plan.ReadFileBytes(path)
	if err != nil {
		return nil, err
	}
	p, err := Load(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
