package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
	"smpcc/runtime/material"
)

// An inputRequest carries a party's inputs: packed words by name.
type inputRequest struct {
	ID     uint64            `json:"id"`
	Inputs map[string][]byte `json:"inputs"`
}

// input takes this party's inputs of a session from one of its clients.
func (s *Server) input(_ context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not give inputs of %s: it is not among its clients", peer, s.name)
	}
	r, err := decode[inputRequest](req)
	if err != nil {
		return nil, err
	}
	words := make([][]uint64, len(s.plan.Manifest.Inputs))
	for i, p := range s.plan.Manifest.Inputs {
		if p.Owner != s.name {
			continue
		}
		data, ok := r.Inputs[p.Name]
		if !ok || len(data) != plan.PackedBytes(p.Len(), p.Bits) {
			return nil, fmt.Errorf("input %q has %d bytes, want %d", p.Name, len(data), plan.PackedBytes(p.Len(), p.Bits))
		}
		words[i] = make([]uint64, p.Len())
		plan.Unpack(words[i], data, p.Bits)
		delete(r.Inputs, p.Name)
	}
	if len(r.Inputs) > 0 {
		return nil, fmt.Errorf("%d inputs are not of %s", len(r.Inputs), s.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j := s.jobs[s.jobKey("session", r.ID)]
	switch {
	case j == nil:
		return nil, fmt.Errorf("%s knows no session %d", s.name, r.ID)
	case j.given:
		return nil, fmt.Errorf("session %d has the inputs of %s already", r.ID, s.name)
	}
	j.given = true
	j.inputs <- words // it has room for one
	return []byte("{}"), nil
}

// A resultReply carries what a party received, and what its role measured.
type resultReply struct {
	Outputs map[string][]byte `json:"outputs"`
	Setup   engine.PhaseStats `json:"setup"`
	Offline engine.PhaseStats `json:"offline"`
	Online  engine.PhaseStats `json:"online"`
}

// result answers with this party's outputs once a session has ended.
func (s *Server) result(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not read outputs of %s: it is not among its clients", peer, s.name)
	}
	r, err := decode[jobRequest](req)
	if err != nil {
		return nil, err
	}
	j, err := s.finished(ctx, "session", r.ID)
	if err != nil {
		return nil, err
	}
	if j.err != nil {
		return nil, j.err
	}
	out := resultReply{Outputs: map[string][]byte{}, Offline: j.offline, Online: j.online}
	s.mu.Lock()
	if s.model != nil {
		out.Setup = s.model.Stats
	}
	s.mu.Unlock()
	for _, p := range s.plan.Manifest.Outputs {
		if w, ok := j.outputs[p.Name]; ok {
			out.Outputs[p.Name] = plan.Pack(nil, w, 64)
		}
	}
	return json.Marshal(out)
}

// A Client acts for parties at their servers, those of one worker.
type Client struct {
	cfg    *Config
	plan   *plan.Plan
	digest string
	node   *grpcnet.Node
}

// NewClient returns a client of a plan's servers.
func NewClient(cfg *Config, p *plan.Plan) (*Client, error) {
	cfg, err := cfg.resolved()
	if err != nil {
		return nil, err
	}
	conf, name, err := keys.Load(cfg.TLS)
	if err != nil {
		return nil, err
	}
	for _, a := range cfg.ActsFor {
		if !slices.Contains(p.Manifest.Parties, a) {
			return nil, fmt.Errorf("acts_for: %q is not a party of the plan", a)
		}
	}
	c := &Client{cfg: cfg, plan: p, digest: p.Digest(), node: grpcnet.NewNode(conf, name, nil)}
	c.node.Worker = cfg.Worker
	return c, nil
}

// Close ends the client's connections.
func (c *Client) Close() { c.node.Close() }

func (c *Client) call(ctx context.Context, role, method string, req, reply any) error {
	addr := c.cfg.Servers[role]
	if addr == "" {
		return fmt.Errorf("servers has no address of %q", role)
	}
	data, err := json.Marshal(req)
	if err != nil {
		return err
	}
	out, err := c.node.Call(ctx, role, addr, method, data)
	if err != nil || reply == nil {
		return err
	}
	return json.Unmarshal(out, reply)
}

// Ready waits until a role's server answers, and checks that it runs the same plan.
func (c *Client) Ready(ctx context.Context, role string) error {
	var r statusReply
	if err := c.call(ctx, role, "Status", struct{}{}, &r); err != nil {
		return err
	}
	if r.Plan != c.digest {
		return fmt.Errorf("%s runs plan %.16s, not %.16s: all roles must run the same plan file", role, r.Plan, c.digest)
	}
	return nil
}

// Generate has material for more sessions made, at the first party, and returns what is in its store then.
func (c *Client) Generate(ctx context.Context, sessions int) (*material.Stock, error) {
	var k material.Stock
	err := c.call(ctx, c.plan.Manifest.Parties[0], "Generate", generateRequest{sessions}, &k)
	return &k, err
}

// Stock returns what a party has stored.
func (c *Client) Stock(ctx context.Context, party string) (*material.Stock, error) {
	var k material.Stock
	err := c.call(ctx, party, "Material", struct{}{}, &k)
	return &k, err
}

// Open begins a session and returns its number.
func (c *Client) Open(ctx context.Context) (uint64, error) {
	var r openReply
	if err := c.call(ctx, c.plan.Manifest.Parties[0], "Open", jobRequest{Plan: c.digest}, &r); err != nil {
		return 0, err
	}
	if c.cfg.workerOf(r.Session) != c.cfg.Worker {
		return 0, fmt.Errorf("%s, worker %d, opened session %d: it counts other workers than the %d of this configuration", c.plan.Manifest.Parties[0], c.cfg.Worker, r.Session, c.cfg.Workers)
	}
	return r.Session, nil
}

// OpenWithin is Open for no longer than the configuration's timeout, also where the session has to wait for room.
func (c *Client) OpenWithin(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	return c.Open(ctx)
}

// Input gives the inputs of a party: words by the manifest's order, nil for those of others.
func (c *Client) Input(ctx context.Context, session uint64, party string, words [][]uint64) error {
	r := inputRequest{ID: session, Inputs: map[string][]byte{}}
	for i, p := range c.plan.Manifest.Inputs {
		if p.Owner == party {
			r.Inputs[p.Name] = plan.Pack(nil, words[i], p.Bits)
		}
	}
	if len(r.Inputs) == 0 {
		return nil
	}
	return c.call(ctx, party, "Input", r, nil)
}

// A RoleResult is what one role received and measured.
type RoleResult struct {
	Outputs                map[string][]uint64
	Setup, Offline, Online engine.PhaseStats
}

// Result waits for the end of a session at a role.
func (c *Client) Result(ctx context.Context, session uint64, role string) (*RoleResult, error) {
	var r resultReply
	if err := c.call(ctx, role, "Result", jobRequest{ID: session}, &r); err != nil {
		return nil, err
	}
	out := &RoleResult{Outputs: map[string][]uint64{}, Setup: r.Setup, Offline: r.Offline, Online: r.Online}
	for _, p := range c.plan.Manifest.Outputs {
		data, ok := r.Outputs[p.Name]
		if !ok {
			continue
		}
		if len(data) != plan.PackedBytes(p.Len(), 64) {
			return nil, fmt.Errorf("%s: output %q has %d bytes", role, p.Name, len(data))
		}
		w := make([]uint64, p.Len())
		plan.Unpack(w, data, 64)
		out.Outputs[p.Name] = w
	}
	return out, nil
}
