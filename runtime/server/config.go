// Package server runs a role of a plan for other organisations: it knows which plan was agreed, which peers and clients
// may speak to it, and keeps session ids and material from being used twice.
package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"smpcc/backend/plan"
	"smpcc/runtime/disk"
	"smpcc/runtime/keys"
)

// Defaults of what a configuration leaves out.
const (
	defaultTimeout  = 30 * time.Second
	defaultInput    = 10 * time.Minute
	defaultResults  = 10 * time.Minute
	defaultDrain    = 30 * time.Second
	defaultQueue    = time.Minute
	defaultExpire   = 7 * 24 * time.Hour
	defaultSessions = 32
	defaultMemory   = 4 << 30
	defaultQueued   = 256
	defaultDisk     = 10 << 30
)

// maxWorkers bounds the servers that an organisation runs side by side.
const maxWorkers = 1 << 10

// workerMark stands in addresses and in the name of the state folder for the number of the worker.
const workerMark = "{worker}"

// A Config is a server's or a client's configuration file. Relative paths are relative to the file. Its JSON schema is
// docs/schema/server.schema.json.
type Config struct {
	Listen       string            `yaml:"listen"`              // address to answer on; servers only
	Plan         string            `yaml:"plan"`                // the plan this server runs
	Weights      string            `yaml:"weights"`             // this owner's weights of the plan
	Servers      map[string]string `yaml:"servers"`             // role -> address
	TLS          keys.Files        `yaml:"tls"`                 // ca, cert, key
	State        string            `yaml:"state"`               // folder of the ledger, the setup, the material and, at the dealer, the master key
	Policy       string            `yaml:"policy"`              // this owner's policy; the plan must have been compiled under it
	PolicyDigest string            `yaml:"policy_digest"`       // instead of policy: sha-256 of the one that was agreed
	Approvals    string            `yaml:"approvals,omitempty"` // signatures on the plan's digest; the plan's name with .sigs
	Opening      string            `yaml:"opening,omitempty"`   // of the commitment to this owner's weights, which they are compared with
	Clients      []string          `yaml:"clients"`             // who may open sessions, give this party's inputs and read its outputs
	// MaterialClients may have material made, which only the server's own certificate may besides.
	MaterialClients []string  `yaml:"material_clients,omitempty"`
	ActsFor         []string  `yaml:"acts_for"`            // clients only: parties whose inputs it gives and outputs it reads
	Timeout         string    `yaml:"timeout"`             // of each exchange; 30s
	InputTimeout    string    `yaml:"input_timeout"`       // how long a session waits for this party's input; 10m
	Results         string    `yaml:"results,omitempty"`   // how long outputs wait for their client; 10m
	Drain           string    `yaml:"drain,omitempty"`     // how long a server that stops waits for its sessions; 30s
	Limits          Limits    `yaml:"limits,omitempty"`    // of what runs at once
	Material        Material  `yaml:"material,omitempty"`  // made ahead of use
	Telemetry       Telemetry `yaml:"telemetry,omitempty"` // metrics and traces
	Workers         int       `yaml:"workers,omitempty"`   // servers that each organisation runs side by side; 1
	Worker          int       `yaml:"worker,omitempty"`    // which of them this is, from 0 on; clients use all of them

	// Software is the version that a server tells its peers; it comes from the program, not from the file.
	Software string `yaml:"-"`
	// CPU returns the processors' time of the process so far; sessions tell what they took. It comes from the program too.
	CPU func() time.Duration `yaml:"-"`
	// ReadWeights reads an owner's weights of a plan from a file, as a start does; a check of the configuration uses it. It comes from the program.
	ReadWeights func(p *plan.Plan, file, owner string) ([][]uint64, error) `yaml:"-"`
	// CheckWeights compares a file of weights with the commitment of an opening, and returns it. It comes from the program.
	CheckWeights func(p *plan.Plan, weights, opening, owner string) (commitment string, err error) `yaml:"-"`
	// Now is the clock by which certificates end, the machine's if it is nil.
	Now func() time.Time `yaml:"-"`
	// Disk is where the files of state are kept, the machine's if it is nil. The ledger is always on the machine's.
	Disk disk.Disk `yaml:"-"`

	timeout, input, results, drain, queue, expire time.Duration
	memory, disk                                  int64
	clientSessions, clientQueue                   int
}

// Limits bound what a server runs at once. The plan says what a session takes.
type Limits struct {
	Sessions     int    `yaml:"sessions,omitempty"`      // sessions at once; 32
	Memory       string `yaml:"memory,omitempty"`        // of all sessions at once; 4GiB
	Queue        int    `yaml:"queue,omitempty"`         // requests that may wait for a session, at the first party; 256
	QueueTimeout string `yaml:"queue_timeout,omitempty"` // how long they may wait; 1m
	// ClientSessions and ClientQueue are how many of these one client may have; sessions, and half of queue.
	ClientSessions int `yaml:"client_sessions,omitempty"`
	ClientQueue    int `yaml:"client_queue,omitempty"`
}

// Material says how much correlated randomness is made ahead of use. Low and High count at the first party, which leads.
type Material struct {
	Low    int    `yaml:"low,omitempty"`    // sessions in store below which more is made; 0 makes none by itself
	High   int    `yaml:"high,omitempty"`   // sessions in store to which it is filled; twice low
	Expire string `yaml:"expire,omitempty"` // age at which stored material is thrown away; 168h
	Disk   string `yaml:"disk,omitempty"`   // most that the store may take; 10GiB
}

// Telemetry says where measurements go. They hold names, numbers and times, no data.
type Telemetry struct {
	Listen string `yaml:"listen,omitempty"` // address of /metrics, /healthz and /readyz, over plain HTTP
	Traces string `yaml:"traces,omitempty"` // https URL of an OTLP collector; http only on this machine
	// Timelines is a folder for a file of each setup and session: what this role did and when, in the Trace Event Format.
	Timelines string `yaml:"timelines,omitempty"`
}

// ForWorker returns the configuration of one of the workers.
func (c *Config) ForWorker(worker int) *Config {
	out := *c
	out.Worker = worker
	return &out
}

// resolved checks a configuration and returns it with the number of its worker in addresses and in the state folder.
func (c *Config) resolved() (*Config, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	out := *c
	number := func(s string) string { return strings.ReplaceAll(s, workerMark, strconv.Itoa(c.Worker)) }
	out.Listen, out.State, out.Telemetry.Listen = number(c.Listen), number(c.State), number(c.Telemetry.Listen)
	out.Servers = map[string]string{}
	for name, addr := range c.Servers {
		out.Servers[name] = number(addr)
	}
	return &out, nil
}

// StateFolder returns the state folder of the configuration's worker.
func (c *Config) StateFolder() (string, error) {
	out, err := c.resolved()
	if err != nil {
		return "", err
	}
	return out.State, nil
}

// A located is a configuration file with the places of its keys.
type located struct {
	path string
	file *ast.File
}

// errorf returns an error at a key such as limits.memory.
func (l *located) errorf(key, format string, args ...any) error {
	line, column := 1, 1
	for k := key; k != ""; k = parent(k) { // a key that is missing is reported where its parent stands
		if p, err := yaml.PathString("$." + k); err == nil && l.file != nil {
			if n, err := p.FilterFile(l.file); err == nil && n != nil && n.GetToken() != nil {
				line, column = n.GetToken().Position.Line, n.GetToken().Position.Column
				break
			}
		}
	}
	return fmt.Errorf("%s:%d:%d: %s: %s", l.path, line, column, key, fmt.Sprintf(format, args...))
}

func parent(key string) string {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i]
	}
	return ""
}

// maxConfig is the size above which a file is not a configuration.
const maxConfig = 1 << 20

// ReadConfig reads a configuration file. Unknown keys are mistakes. Errors name the line, and there is one for each mistake
// of values.
func ReadConfig(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxConfig {
		return nil, fmt.Errorf("%s: more than %d bytes are no configuration", path, maxConfig)
	}
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(path, err)
	}
	if len(file.Docs) > 1 {
		return nil, fmt.Errorf("%s: holds %d documents, want one", path, len(file.Docs))
	}
	c := &Config{}
	if err := yaml.UnmarshalWithOptions(data, c, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlError(path, err)
	}
	dir := filepath.Dir(path)
	for _, p := range []*string{&c.Plan, &c.Weights, &c.TLS.CA, &c.TLS.Cert, &c.TLS.Key, &c.State, &c.Policy, &c.Approvals, &c.Opening, &c.Telemetry.Timelines} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
	if err := c.check(&located{path, file}); err != nil {
		return nil, err
	}
	return c, nil
}

// yamlError puts file, line and column before the library's message.
func yamlError(path string, err error) error {
	var y yaml.Error
	if errors.As(err, &y) && y.GetToken() != nil {
		p := y.GetToken().Position
		return fmt.Errorf("%s:%d:%d: %s", path, p.Line, p.Column, y.GetMessage())
	}
	return fmt.Errorf("%s: %w", path, err)
}

var roleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

// check reads durations and sizes, and reports every value that makes no sense.
func (c *Config) check(at *located) error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, at.errorf(key, format, args...)) }
	for _, d := range []struct {
		key, text string
		def       time.Duration
		to        *time.Duration
	}{
		{"timeout", c.Timeout, defaultTimeout, &c.timeout}, {"input_timeout", c.InputTimeout, defaultInput, &c.input}, {"results", c.Results, defaultResults, &c.results}, {"drain", c.Drain, defaultDrain, &c.drain},
		{"limits.queue_timeout", c.Limits.QueueTimeout, defaultQueue, &c.queue}, {"material.expire", c.Material.Expire, defaultExpire, &c.expire},
	} {
		*d.to = d.def
		if d.text == "" {
			continue
		}
		var err error
		if *d.to, err = time.ParseDuration(d.text); err != nil || *d.to <= 0 {
			bad(d.key, "%q is not a duration such as 30s", d.text)
		}
	}
	for _, s := range []struct {
		key, text string
		def       int64
		to        *int64
	}{{"limits.memory", c.Limits.Memory, defaultMemory, &c.memory}, {"material.disk", c.Material.Disk, defaultDisk, &c.disk}} {
		*s.to = s.def
		if s.text == "" {
			continue
		}
		var err error
		if *s.to, err = ParseSize(s.text); err != nil {
			bad(s.key, "%v", err)
		}
	}
	for _, n := range []struct {
		key string
		to  *int
		def int
	}{{"limits.sessions", &c.Limits.Sessions, defaultSessions}, {"limits.queue", &c.Limits.Queue, defaultQueued}, {"workers", &c.Workers, 1}, {"material.low", &c.Material.Low, 0}, {"material.high", &c.Material.High, 2 * c.Material.Low}} {
		if *n.to < 0 || *n.to > 1<<20 {
			bad(n.key, "%d is not in 0..%d", *n.to, 1<<20)
		}
		if *n.to == 0 {
			*n.to = n.def
		}
	}
	for _, n := range []struct {
		key          string
		val, all, or int
		to           *int
	}{
		{"limits.client_sessions", c.Limits.ClientSessions, c.Limits.Sessions, c.Limits.Sessions, &c.clientSessions},
		{"limits.client_queue", c.Limits.ClientQueue, c.Limits.Queue, (c.Limits.Queue + 1) / 2, &c.clientQueue},
	} {
		if n.val < 0 || n.val > n.all {
			bad(n.key, "%d is not in 0..%d, which is the limit of all clients", n.val, n.all)
		}
		if *n.to = n.val; n.val == 0 {
			*n.to = n.or
		}
	}
	if c.Material.High < c.Material.Low {
		bad("material.high", "%d is below material.low, which is %d", c.Material.High, c.Material.Low)
	}
	switch {
	case c.Workers > maxWorkers:
		bad("workers", "%d is not in 1..%d", c.Workers, maxWorkers)
	case c.Worker < 0 || c.Worker >= max(1, c.Workers):
		bad("worker", "%d is not in 0..%d: workers are counted from 0, and workers says how many there are", c.Worker, max(1, c.Workers)-1)
	}
	for _, f := range []struct{ key, val string }{{"tls.ca", c.TLS.CA}, {"tls.cert", c.TLS.Cert}, {"tls.key", c.TLS.Key}} {
		if f.val == "" {
			bad(f.key, "is missing; connections are always authenticated on both sides (smpcc keys dev makes certificates to try things out)")
		}
	}
	if len(c.Servers) == 0 {
		bad("servers", "is missing: the address of every role")
	}
	for _, name := range sortedNames(c.Servers) {
		if !roleName.MatchString(name) {
			bad("servers", "%q is not a name of a role", name)
		} else if err := checkAddress(c.Servers[name], false); err != nil {
			bad("servers."+name, "%v", err)
		} else if addr := c.Servers[name]; c.Workers > 1 && !strings.Contains(addr, workerMark) {
			bad("servers."+name, "%q leads all %d workers to one server; write %s where their addresses differ, such as %s-%s.example.org:7101", addr, c.Workers, workerMark, name, workerMark)
		}
	}
	if c.Listen != "" {
		if err := checkAddress(c.Listen, true); err != nil {
			bad("listen", "%v", err)
		}
	}
	if c.Telemetry.Listen != "" {
		if err := checkAddress(c.Telemetry.Listen, true); err != nil {
			bad("telemetry.listen", "%v", err)
		}
	}
	if t := c.Telemetry.Traces; t != "" {
		u, err := url.Parse(t)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			bad("telemetry.traces", "%q is not a URL such as https://collector:4318", t)
		case u.Scheme == "http" && !loopback(u.Hostname()):
			bad("telemetry.traces", "%s leaves this machine without TLS; use https, or a collector on this machine", t)
		}
	}
	if d := c.PolicyDigest; d != "" {
		if raw, err := hex.DecodeString(d); err != nil || len(raw) != sha256.Size {
			bad("policy_digest", "is not a sha-256 in hexadecimal")
		}
		if c.Policy != "" {
			bad("policy_digest", "policy is given too; one says it")
		}
	}
	return errors.Join(errs...)
}

func sortedNames(m map[string]string) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// checkAddress wants HOST:PORT; an address to listen on may leave the host out and may have port 0.
// The number of a worker may be a part of either.
func checkAddress(addr string, listen bool) error {
	host, port, err := net.SplitHostPort(strings.ReplaceAll(addr, workerMark, "0"))
	n, perr := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil || perr != nil:
		return fmt.Errorf("%q is not an address such as p0.example.org:7101", addr)
	case !listen && (host == "" || n == 0):
		return fmt.Errorf("%q cannot be dialled; it needs a host and a port", addr)
	}
	return nil
}

var sizeForm = regexp.MustCompile(`^([0-9]+) ?([KMGT]i?)?B?$`)

// ParseSize reads a number of bytes such as 512MiB or 4GB.
func ParseSize(s string) (int64, error) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, fmt.Errorf("%q is not a size such as 512MiB", s)
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	unit := int64(1)
	if m[2] != "" {
		base := int64(1000)
		if strings.HasSuffix(m[2], "i") {
			base = 1024
		}
		for range 1 + strings.IndexByte("KMGT", m[2][0]) {
			unit *= base
		}
	}
	if err != nil || n <= 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q is not a size such as 512MiB", s)
	}
	return n * unit, nil
}

// defaults checks a Config that a program has made or changed, and fills in what it leaves out.
func (c *Config) defaults() error { return c.check(&located{path: "configuration"}) }

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
