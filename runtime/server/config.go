// Package server runs a role of a plan for other organisations: it knows which plan was agreed, which peers and clients
// may speak to it, and keeps session ids and material from being used twice.
package server

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"

	"smpcc/runtime/keys"
)

// Defaults of durations.
const (
	defaultTimeout = 30 * time.Second
	defaultInput   = 10 * time.Minute
)

// A Config is a server's or a client's configuration file. Relative paths are relative to the file.
type Config struct {
	Listen       string            `yaml:"listen"`        // address to answer on; servers only
	Plan         string            `yaml:"plan"`          // the plan this server runs
	Weights      string            `yaml:"weights"`       // this owner's weights of the plan
	Servers      map[string]string `yaml:"servers"`       // role -> address
	TLS          keys.Files        `yaml:"tls"`           // ca, cert, key
	State        string            `yaml:"state"`         // folder of the ledger and, at the dealer, the master key
	Policy       string            `yaml:"policy"`        // this owner's policy; the plan must have been compiled under it
	PolicyDigest string            `yaml:"policy_digest"` // instead of policy: sha-256 of the one that was agreed
	Approvals    string            `yaml:"approvals"`     // signatures on the plan's digest; the plan's name with .sigs
	Clients      []string          `yaml:"clients"`       // who may open sessions, give this party's inputs and read its outputs
	ActsFor      []string          `yaml:"acts_for"`      // clients only: parties whose inputs it gives and outputs it reads
	Timeout      string            `yaml:"timeout"`       // of each exchange; 30s
	InputTimeout string            `yaml:"input_timeout"` // how long a session waits for this party's input; 10m

	timeout, input time.Duration
}

// ReadConfig reads a configuration file. Unknown keys are mistakes.
func ReadConfig(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c := &Config{}
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(c); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	dir := filepath.Dir(path)
	for _, p := range []*string{&c.Plan, &c.Weights, &c.TLS.CA, &c.TLS.Cert, &c.TLS.Key, &c.State, &c.Policy, &c.Approvals} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	for _, d := range []struct {
		key, text string
		def       time.Duration
		to        *time.Duration
	}{{"timeout", c.Timeout, defaultTimeout, &c.timeout}, {"input_timeout", c.InputTimeout, defaultInput, &c.input}} {
		*d.to = d.def
		if d.text != "" {
			if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
				return nil, fmt.Errorf("%s: %s: %q is not a duration such as 30s", path, d.key, d.text)
			}
		}
	}
	for _, f := range []struct{ key, val string }{{"tls.ca", c.TLS.CA}, {"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}} {
		if f.val == "" {
			return nil, fmt.Errorf("%s: %s is missing; connections are always authenticated on both sides (smpcc keys dev makes certificates to try things out)", path, f.key)
		}
	}
	if len(c.Servers) == 0 {
		return nil, fmt.Errorf("%s: servers is missing: the address of every role", path)
	}
	return c, nil
}

// policyDigest returns the digest of the policy this server stands for, "" if none is configured.
func (c *Config) policyDigest() (string, error) {
	if c.Policy == "" {
		return c.PolicyDigest, nil
	}
	if c.PolicyDigest != "" {
		return "", errors.New("policy and policy_digest are both given; one says it")
	}
	data, err := os.ReadFile(c.Policy)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:]), nil
}
