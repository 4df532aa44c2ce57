// Package server runs a role of a plan for other organisations: it knows which plan was agreed, which peers and clients
// may speak to it, and keeps session ids and material from being used twice.
package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net"
	"net/url"
	"os"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/console"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
)

// Defaults of what a configuration leaves out.
const (
	defaultInput    = 10 * time.Minute
	defaultResults  = 10 * time.Minute
	defaultDrain    = 30 * time.Second
	defaultQueue    = time.Minute
	defaultExpire   = 7 * 24 * time.Hour
	defaultSessions = 32
	defaultMemory   = 4 << 30
	defaultQueued   = 256
	defaultDisk     = 10 << 30
	defaultUpload   = 1 << 30
	defaultPlans    = 16

	defaultLapse       = 30 * 24 * time.Hour
	defaultRequestPlan = 64 << 20
	defaultRequestDisk = 1 << 30
)

// A Config is a server's configuration file. Relative paths are relative to the file. Its JSON schema is docs/schema/server.schema.json.
type Config struct {
	control.Config `yaml:",inline"` // where the roles answer, and who this is

	Listen       string   `yaml:"listen"`              // address to answer on
	Plans        string   `yaml:"plans,omitempty"`     // folder of plans that are served besides: NAME.plan, with weights and signatures beside it
	Weights      string   `yaml:"weights"`             // this owner's weights of the plan
	State        string   `yaml:"state"`               // folder of the ledger, the setup, the material and, at the dealer, the master key
	Policy       string   `yaml:"policy"`              // this owner's policy; the plan must have been compiled under it
	Policies     []string `yaml:"policies,omitempty"`  // more of them, where plans were compiled under others
	PolicyDigest string   `yaml:"policy_digest"`       // instead of policy: sha-256 of the one that was agreed
	Approvals    string   `yaml:"approvals,omitempty"` // signatures on the plan's digest; the plan's name with .sigs
	Opening      string   `yaml:"opening,omitempty"`   // of the commitment to this owner's weights, which they are compared with
	Clients      []string `yaml:"clients"`             // who may open sessions, give this party's inputs and read its outputs
	// MaterialClients may have material made, which only the server's own certificate may besides.
	MaterialClients []string `yaml:"material_clients,omitempty"`
	// PlanClients may deploy and withdraw plans, which only the server's own certificate may besides.
	PlanClients []string `yaml:"plan_clients,omitempty"`
	// PlanUsers are the clients of single plans, by the start of the digest, in place of clients. Those of deployed plans come with the deployment.
	PlanUsers map[string][]string `yaml:"plan_users,omitempty"`

	Members  Members        `yaml:"members,omitempty"`  // people of the organisation: who may look, decide and operate
	Requests Requests       `yaml:"requests,omitempty"` // of others that plans be run
	Budgets  []ClientBudget `yaml:"budgets,omitempty"`  // of clients, besides those of policies
	Datasets string         `yaml:"datasets,omitempty"` // folder of NAME.yaml, the schemas that the catalogue shows
	Alerts   Alerts         `yaml:"alerts,omitempty"`   // told to a webhook
	Console  Console        `yaml:"console,omitempty"`  // pages for members

	InputTimeout string    `yaml:"input_timeout"`       // how long a session waits for this party's input; 10m
	Results      string    `yaml:"results,omitempty"`   // how long outputs wait for their client; 10m
	Drain        string    `yaml:"drain,omitempty"`     // how long a server that stops waits for its sessions; 30s
	Limits       Limits    `yaml:"limits,omitempty"`    // of what runs at once
	Material     Material  `yaml:"material,omitempty"`  // made ahead of use
	Telemetry    Telemetry `yaml:"telemetry,omitempty"` // metrics and traces

	// Software is the version that a server tells its peers; it comes from the program, not from the file.
	Software string `yaml:"-"`
	// CPU returns the processors' time of the process so far; sessions tell what they took. It comes from the program too.
	CPU func() time.Duration `yaml:"-"`
	// ReadWeights reads an owner's weights of a plan from a file, as a start does; a check of the configuration uses it. It comes from the program.
	ReadWeights func(p *plan.Plan, file, owner string) ([][]uint64, error) `yaml:"-"`
	// CheckWeights compares a file of weights with the commitment of an opening, and returns it. It comes from the program.
	CheckWeights func(p *plan.Plan, weights, opening, owner string) (commitment string, err error) `yaml:"-"`
	// Auditor reads plans for the console. It comes from the program.
	Auditor console.Auditor `yaml:"-"`
	// Now is the clock by which certificates end, the machine's if it is nil.
	Now func() time.Time `yaml:"-"`
	// Disk is where the files of state are kept, the machine's if it is nil. The ledger is always on the machine's.
	Disk disk.Disk `yaml:"-"`

	timeout, input, results, drain, queue, expire, lapse time.Duration
	memory, disk, upload, requestPlan, requestDisk       int64
	clientSessions, clientQueue                          int
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
	// Plans is how many are served, PlanSessions how many sessions each of those has at once that are not the configuration's and say nothing else, and Upload what the files
	// of one that is deployed may take.
	Plans        int    `yaml:"plans,omitempty"`         // 16
	PlanSessions int    `yaml:"plan_sessions,omitempty"` // as many as sessions
	Upload       string `yaml:"upload,omitempty"`        // 1GiB
}

// Material says how much correlated randomness is made ahead of use. Low and High count at the first party, which leads.
type Material struct {
	Low    int    `yaml:"low,omitempty"`    // sessions in store below which more is made; 0 makes none by itself
	High   int    `yaml:"high,omitempty"`   // sessions in store to which it is filled; twice low
	Expire string `yaml:"expire,omitempty"` // age at which stored material is thrown away; 168h
	Disk   string `yaml:"disk,omitempty"`   // most that the store may take; 10GiB
}

// Members are the names in the certificates of people who act for the organisation at its server. The server's own certificate may do all of it.
type Members struct {
	Viewers   []string `yaml:"viewers,omitempty"`   // see plans, requests, history and budgets
	Approvers []string `yaml:"approvers,omitempty"` // see that, and decide about requests
	Operators []string `yaml:"operators,omitempty"` // see that, deploy and withdraw plans
}

// Requests say who may ask that plans be run, and how much of it is kept.
type Requests struct {
	From    []string `yaml:"from,omitempty"`    // certificates that may ask
	Waiting int      `yaml:"waiting,omitempty"` // requests of one of them that wait; 4
	PerDay  int      `yaml:"per_day,omitempty"` // requests of one of them in 24 hours; 16
	Keep    int      `yaml:"keep,omitempty"`    // requests in all; 128
	Plan    string   `yaml:"plan,omitempty"`    // of one plan's file; 64MiB
	Disk    string   `yaml:"disk,omitempty"`    // of all plans' files; 1GiB
	Expire  string   `yaml:"expire,omitempty"`  // how long one waits; 720h
}

// A ClientBudget is how much of sessions a client may open in all, over all plans; what is 0 is not bounded.
type ClientBudget struct {
	Client   string `yaml:"client"` // a name, or "*" for each client that no other line names
	Runs     int    `yaml:"runs,omitempty"`
	Rows     int    `yaml:"rows,omitempty"`
	PerMonth int    `yaml:"runs_per_month,omitempty"`
}

// Alerts say where a server tells what somebody should look at. They hold names, numbers and times, no data.
type Alerts struct {
	Webhook string `yaml:"webhook,omitempty"` // https URL; http only on this machine
}

// Console says where pages for members answer. There is none without it.
type Console struct {
	Listen string `yaml:"listen,omitempty"` // address, of this machine unless open says otherwise
	Open   bool   `yaml:"open,omitempty"`   // the address may be another machine's too
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
	if err := c.check(control.NoFile); err != nil {
		return nil, err
	}
	out := *c
	common, err := c.Config.Resolved()
	if err != nil {
		return nil, err
	}
	out.Config = *common
	out.Listen, out.State, out.Telemetry.Listen, out.Console.Listen = c.Numbered(c.Listen), c.Numbered(c.State), c.Numbered(c.Telemetry.Listen), c.Numbered(c.Console.Listen)
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

// ReadConfig reads a configuration file. Unknown keys are mistakes. Errors name the line, and there is one for each mistake
// of values.
func ReadConfig(path string) (*Config, error) {
	c := &Config{}
	f, err := control.ReadFile(path, c)
	if err != nil {
		return nil, err
	}
	for i := range c.Policies {
		f.Beside(&c.Policies[i])
	}
	f.Beside(append(c.Paths(), &c.Plans, &c.Weights, &c.Datasets, &c.State, &c.Policy, &c.Approvals, &c.Opening, &c.Telemetry.Timelines)...)
	if err := c.check(f); err != nil {
		return nil, err
	}
	return c, nil
}

// check reads durations and sizes, and reports every value that makes no sense.
func (c *Config) check(at *control.File) error {
	var errs []error
	bad := func(key, format string, args ...any) { errs = append(errs, at.Errorf(key, format, args...)) }
	if err := c.Config.Check(at); err != nil {
		errs = append(errs, err)
	}
	c.timeout = c.Within()
	for _, d := range []struct {
		key, text string
		def       time.Duration
		to        *time.Duration
	}{
		{"input_timeout", c.InputTimeout, defaultInput, &c.input}, {"results", c.Results, defaultResults, &c.results}, {"drain", c.Drain, defaultDrain, &c.drain},
		{"limits.queue_timeout", c.Limits.QueueTimeout, defaultQueue, &c.queue}, {"material.expire", c.Material.Expire, defaultExpire, &c.expire},
		{"requests.expire", c.Requests.Expire, defaultLapse, &c.lapse},
	} {
		if err := at.Duration(d.key, d.text, d.def, d.to); err != nil {
			errs = append(errs, err)
		}
	}
	for _, s := range []struct {
		key, text string
		def       int64
		to        *int64
	}{{"limits.memory", c.Limits.Memory, defaultMemory, &c.memory}, {"material.disk", c.Material.Disk, defaultDisk, &c.disk}, {"limits.upload", c.Limits.Upload, defaultUpload, &c.upload},
		{"requests.plan", c.Requests.Plan, defaultRequestPlan, &c.requestPlan}, {"requests.disk", c.Requests.Disk, defaultRequestDisk, &c.requestDisk}} {
		*s.to = s.def
		if s.text == "" {
			continue
		}
		var err error
		if *s.to, err = control.ParseSize(s.text); err != nil {
			bad(s.key, "%v", err)
		}
	}
	for _, n := range []struct {
		key string
		to  *int
		def int
	}{{"limits.sessions", &c.Limits.Sessions, defaultSessions}, {"limits.queue", &c.Limits.Queue, defaultQueued}, {"limits.plans", &c.Limits.Plans, defaultPlans}, {"limits.plan_sessions", &c.Limits.PlanSessions, 0}, {"material.low", &c.Material.Low, 0}, {"material.high", &c.Material.High, 2 * c.Material.Low},
		{"requests.waiting", &c.Requests.Waiting, 4}, {"requests.per_day", &c.Requests.PerDay, 16}, {"requests.keep", &c.Requests.Keep, 128}} {
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
	if c.Listen != "" {
		if err := control.CheckAddress(c.Listen, true); err != nil {
			bad("listen", "%v", err)
		}
	}
	if c.Telemetry.Listen != "" {
		if err := control.CheckAddress(c.Telemetry.Listen, true); err != nil {
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
	c.checkMembers(bad)
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

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// policyDigest returns the digest of the policy this server stands for, "" if none is configured.
func (c *Config) policyDigest() (string, error) {
	if c.Policy == "" {
		return c.PolicyDigest, nil
	}
	if c.PolicyDigest != "" {
		return "", errors.New("policy and policy_digest are both given; one says it")
	}
	return fileDigest(c.Policy)
}

// fileDigest returns the SHA-256 of a file.
func fileDigest(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:]), nil
}
