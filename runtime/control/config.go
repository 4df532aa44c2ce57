package control

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
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

	"smpcc/runtime/keys"
)

// defaultTimeout is how long a client waits for a server, and a server for an exchange, where the configuration does not say.
const defaultTimeout = 30 * time.Second

// maxWorkers bounds the servers that an organisation runs side by side.
const maxWorkers = 1 << 10

// WorkerMark stands in addresses and in the name of the state folder for the number of the worker.
const WorkerMark = "{worker}"

// A Config says where servers are and who one is: a client's configuration, and a part of a server's. Relative paths are relative to the file. The JSON schema of both is
// docs/schema/server.schema.json.
type Config struct {
	Plan    string            `yaml:"plan,omitempty"`     // the plan this server runs
	Servers map[string]string `yaml:"servers"`            // role -> address
	TLS     keys.Files        `yaml:"tls"`                // ca, cert, key
	ActsFor []string          `yaml:"acts_for,omitempty"` // clients only: parties whose inputs it gives and outputs it reads
	Timeout string            `yaml:"timeout,omitempty"`  // of reaching a server, and of each exchange; 30s
	Workers int               `yaml:"workers,omitempty"`  // servers that each organisation runs side by side; 1
	Worker  int               `yaml:"worker,omitempty"`   // which of them this is, from 0 on; clients use all of them

	timeout time.Duration
}

// ofServers are the keys that only servers read. A client may be given the file of a server.
type ofServers struct {
	Listen          any `yaml:"listen"`
	Plans           any `yaml:"plans"`
	Weights         any `yaml:"weights"`
	State           any `yaml:"state"`
	Policy          any `yaml:"policy"`
	Policies        any `yaml:"policies"`
	PolicyDigest    any `yaml:"policy_digest"`
	Approvals       any `yaml:"approvals"`
	Opening         any `yaml:"opening"`
	Clients         any `yaml:"clients"`
	MaterialClients any `yaml:"material_clients"`
	PlanClients     any `yaml:"plan_clients"`
	PlanUsers       any `yaml:"plan_users"`
	Members         any `yaml:"members"`
	Requests        any `yaml:"requests"`
	Budgets         any `yaml:"budgets"`
	Datasets        any `yaml:"datasets"`
	Alerts          any `yaml:"alerts"`
	Console         any `yaml:"console"`
	InputTimeout    any `yaml:"input_timeout"`
	Results         any `yaml:"results"`
	Drain           any `yaml:"drain"`
	Limits          any `yaml:"limits"`
	Material        any `yaml:"material"`
	Telemetry       any `yaml:"telemetry"`
}

// ReadConfig reads what a client needs of a configuration file. Unknown keys are mistakes. Errors name the line, and there is one for each mistake of values.
func ReadConfig(path string) (*Config, error) {
	var c struct {
		Config `yaml:",inline"`
		Server ofServers `yaml:",inline"`
	}
	f, err := ReadFile(path, &c)
	if err != nil {
		return nil, err
	}
	f.Beside(c.Config.Paths()...)
	out := &c.Config
	return out, out.Check(f)
}

// Paths are the paths in a configuration.
func (c *Config) Paths() []*string { return []*string{&c.Plan, &c.TLS.CA, &c.TLS.Cert, &c.TLS.Key} }

// ForWorker returns the configuration of one of the workers.
func (c *Config) ForWorker(worker int) *Config {
	out := *c
	out.Worker = worker
	return &out
}

// Numbered puts the number of the worker where it belongs in an address or a name.
func (c *Config) Numbered(s string) string {
	return strings.ReplaceAll(s, WorkerMark, strconv.Itoa(c.Worker))
}

// Resolved checks a configuration and returns it with the number of its worker in addresses.
func (c *Config) Resolved() (*Config, error) {
	if err := c.Check(NoFile); err != nil {
		return nil, err
	}
	out := *c
	out.Servers = map[string]string{}
	for name, addr := range c.Servers {
		out.Servers[name] = c.Numbered(addr)
	}
	return &out, nil
}

// Within is how long a server may take to be reached, once the configuration has been checked.
func (c *Config) Within() time.Duration { return c.timeout }

// WorkerOf returns the worker that gives a number of a session.
func (c *Config) WorkerOf(id uint64) int { return int((id - 1) % uint64(c.Workers)) }

// Check reads the timeout, fills in what is left out, and reports every value that makes no sense.
func (c *Config) Check(at *File) error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, at.Errorf(key, format, args...)) }
	if err := at.Duration("timeout", c.Timeout, defaultTimeout, &c.timeout); err != nil {
		errs = append(errs, err)
	}
	if c.Workers < 0 || c.Workers > 1<<20 {
		bad("workers", "%d is not in 0..%d", c.Workers, 1<<20)
	}
	if c.Workers == 0 {
		c.Workers = 1
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
		} else if err := CheckAddress(c.Servers[name], false); err != nil {
			bad("servers."+name, "%v", err)
		} else if addr := c.Servers[name]; c.Workers > 1 && !strings.Contains(addr, WorkerMark) {
			bad("servers."+name, "%q leads all %d workers to one server; write %s where their addresses differ, such as %s-%s.example.org:7101", addr, c.Workers, WorkerMark, name, WorkerMark)
		}
	}
	return errors.Join(errs...)
}

var roleName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)

func sortedNames(m map[string]string) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// A File is a configuration file with the places of its keys.
type File struct {
	path string
	file *ast.File
}

// NoFile is the place of what a program has made.
var NoFile = &File{path: "configuration"}

// Errorf returns an error at a key such as limits.memory.
func (l *File) Errorf(key, format string, args ...any) error {
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

// Duration reads a duration of the key, or takes def if there is none.
func (l *File) Duration(key, text string, def time.Duration, to *time.Duration) error {
	*to = def
	if text == "" {
		return nil
	}
	var err error
	if *to, err = time.ParseDuration(text); err != nil || *to <= 0 {
		return l.Errorf(key, "%q is not a duration such as 30s", text)
	}
	return nil
}

// Beside makes relative paths relative to the file.
func (l *File) Beside(paths ...*string) {
	for _, p := range paths {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(l.path), *p)
		}
	}
}

// maxConfig is the size above which a file is not a configuration.
const maxConfig = 1 << 20

// ReadFile reads a configuration file into a struct. Keys that the struct has not are mistakes. Errors name the line.
func ReadFile(path string, into any) (*File, error) {
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
	if err := yaml.UnmarshalWithOptions(data, into, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return nil, yamlError(path, err)
	}
	return &File{path, file}, nil
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

// CheckAddress wants HOST:PORT; an address to listen on may leave the host out and may have port 0.
// The number of a worker may be a part of either.
func CheckAddress(addr string, listen bool) error {
	host, port, err := net.SplitHostPort(strings.ReplaceAll(addr, WorkerMark, "0"))
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
