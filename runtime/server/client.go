package server

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
	"smpcc/runtime/material"
)

// An inputHead says for which session the inputs behind it are: those of one party, packed, in the order of the manifest.
type inputHead struct {
	Ticket  Ticket `json:"ticket"`
	Request string `json:"request,omitempty"`
}

// A resultRequest asks for the outputs of a session.
type resultRequest struct {
	Ticket  Ticket `json:"ticket"`
	Request string `json:"request,omitempty"`
}

// input takes this party's inputs of a session from one of its clients.
func (s *Server) input(_ context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not give inputs of %s: it is not among its clients", peer, s.name)
	}
	defer clear(req)
	r, data, err := unseal[inputHead](req)
	if err != nil {
		return nil, err
	}
	words, err := s.inputWords(data)
	if err != nil {
		return nil, err
	}
	if err := s.takes(); err != nil && !s.stopping() { // what has begun may end
		return nil, err
	}
	if r.Request != "" {
		if err := CheckRequest(r.Request); err != nil {
			return nil, err
		}
	}
	r.Ticket.Request = r.Request
	if err := s.give(peer, r.Ticket, data, words); err != nil {
		return nil, err
	}
	return []byte("{}"), nil
}

// inputWords unpacks this party's inputs, nil for those of others.
func (s *Server) inputWords(data []byte) ([][]uint64, error) {
	if want := inputBytes(s.plan, s.name); len(data) != want {
		return nil, fmt.Errorf("the inputs of %s have %d bytes, want %d", s.name, len(data), want)
	}
	words := make([][]uint64, len(s.plan.Manifest.Inputs))
	for i, p := range s.plan.Manifest.Inputs {
		if p.Owner != s.name {
			continue
		}
		n := plan.PackedBytes(p.Len(), p.Bits)
		words[i] = make([]uint64, p.Len())
		plan.Unpack(words[i], data[:n], p.Bits)
		data = data[n:]
		for k, w := range words[i] { // a client's encoder refused it before; this one may not have been asked
			if err := p.CheckWord(k, w); err != nil {
				return nil, fmt.Errorf("input %q: %w", p.Name, err)
			}
		}
	}
	return words, nil
}

// result answers with this party's outputs once a session has ended.
func (s *Server) result(ctx context.Context, peer string, req []byte) ([]byte, error) {
	if !s.isClient(peer) {
		return nil, fmt.Errorf("%q may not read outputs of %s: it is not among its clients", peer, s.name)
	}
	r, err := decode[resultRequest](req)
	if err != nil {
		return nil, err
	}
	r.Ticket.Request = r.Request
	j, err := s.mine(peer, r.Ticket)
	if err != nil {
		return nil, err
	}
	if err := s.awaitOver(ctx, j); err != nil {
		return nil, err
	}
	if j.err != nil {
		return nil, j.err
	}
	outputs, err := s.handOut(j, r.Ticket)
	if err != nil {
		return nil, err
	}
	head, data := resultHead{Outputs: []int{}, Offline: j.offline, Online: j.online}, make([]byte, 0, outputBytes(s.plan))
	s.mu.Lock()
	if s.model != nil {
		head.Setup = s.model.Stats
	}
	s.mu.Unlock()
	for i, p := range s.plan.Manifest.Outputs {
		if w, ok := outputs[p.Name]; ok {
			head.Outputs, data = append(head.Outputs, i), plan.Pack(data, w, 64)
			clear(w)
		}
	}
	return seal(head, data)
}

// mine returns the session of a ticket whose half here is a client's. Where the party gives inputs, the client has given them first.
func (s *Server) mine(peer string, t Ticket) (*job, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, err := s.sessionOf(t)
	if err != nil {
		return nil, err
	}
	if j.owner == "" && s.ownsInputs() {
		return nil, fmt.Errorf("the part of %s in session %d belongs to nobody yet: give its inputs first", s.name, j.id)
	}
	return j, s.claim(j, peer, t.Request)
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
	c.node.Worker, c.node.Patience, c.node.Replies = cfg.Worker, cfg.timeout, longReplies(p)
	return c, nil
}

// Waiting has f told again and again of a server that is not reached yet, and why.
func (c *Client) Waiting(f func(name, addr, why string)) { c.node.Waiting = f }

// Close ends the client's connections.
func (c *Client) Close() { c.node.Close() }

// Times that a client waits for answers, where its context ends later. Reaching a server takes the configuration's timeout at most.
const (
	promptly   = 0             // the configuration's timeout: what needs no other role
	eventually = 2 * time.Hour // a session, its wait for room, and material: the servers' own limits end them much earlier
)

// exchange calls a method at a role and returns the reply.
func (c *Client) exchange(ctx context.Context, role, method string, req []byte, within time.Duration) ([]byte, error) {
	addr := c.cfg.Servers[role]
	if addr == "" {
		return nil, fmt.Errorf("servers has no address of %q", role)
	}
	if within == promptly {
		within = c.cfg.timeout
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return c.node.Call(ctx, role, addr, method, req)
}

// call is exchange with JSON both ways.
func (c *Client) call(ctx context.Context, role, method string, req, reply any, within time.Duration) error {
	data, err := json.Marshal(req)
	if err != nil {
		return err
	}
	out, err := c.exchange(ctx, role, method, data, within)
	if err != nil || reply == nil {
		return err
	}
	return json.Unmarshal(out, reply)
}

// Ready waits until a role's server answers, and checks that it runs the same plan.
func (c *Client) Ready(ctx context.Context, role string) error {
	var r statusReply
	if err := c.call(ctx, role, "Status", struct{}{}, &r, promptly); err != nil {
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
	err := c.call(ctx, c.plan.Manifest.Parties[0], "Generate", generateRequest{sessions}, &k, eventually)
	return &k, err
}

// Stock returns what a party has stored.
func (c *Client) Stock(ctx context.Context, party string) (*material.Stock, error) {
	var k material.Stock
	err := c.call(ctx, party, "Material", struct{}{}, &k, promptly)
	return &k, err
}

// Open begins a session and returns its ticket.
func (c *Client) Open(ctx context.Context) (Ticket, error) { return c.OpenRequest(ctx, "") }

// OpenRequest begins the session of a request that has a name. Where a request of that name has come before and has not failed, its session is returned
// and none begins.
func (c *Client) OpenRequest(ctx context.Context, request string) (Ticket, error) {
	return c.open(ctx, openRequest{Plan: c.digest, Request: request, For: c.cfg.ActsFor})
}

// Find returns the session of a request that has come before.
func (c *Client) Find(ctx context.Context, request string) (Ticket, error) {
	return c.open(ctx, openRequest{Plan: c.digest, Request: request, Find: true})
}

func (c *Client) open(ctx context.Context, r openRequest) (t Ticket, err error) {
	if r.Request != "" {
		if err := CheckRequest(r.Request); err != nil {
			return t, err
		}
	}
	if err := c.call(ctx, c.plan.Manifest.Parties[0], "Open", r, &t, eventually); err != nil {
		return t, err
	}
	if c.cfg.workerOf(t.Session) != c.cfg.Worker {
		return t, fmt.Errorf("%s, worker %d, opened session %d: it counts other workers than the %d of this configuration", c.plan.Manifest.Parties[0], c.cfg.Worker, t.Session, c.cfg.Workers)
	}
	t.Request = r.Request
	return t, nil
}

// OpenWithin is OpenRequest for no longer than the configuration's timeout, also where the session has to wait for room.
func (c *Client) OpenWithin(ctx context.Context, request string) (Ticket, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.timeout)
	defer cancel()
	return c.OpenRequest(ctx, request)
}

// Input gives the inputs of a party: words by the manifest's order, nil for those of others.
func (c *Client) Input(ctx context.Context, t Ticket, party string, words [][]uint64) error {
	data, own := make([]byte, 0, inputBytes(c.plan, party)), false
	for i, p := range c.plan.Manifest.Inputs {
		if p.Owner == party {
			data, own = plan.Pack(data, words[i], p.Bits), true
		}
	}
	if !own {
		return nil
	}
	req, err := seal(inputHead{t, t.Request}, data)
	if err != nil {
		return err
	}
	_, err = c.exchange(ctx, party, "Input", req, c.cfg.timeout+time.Duration(len(req)/slowest)*time.Second)
	return err
}

// slowest is the speed, in bytes a second, at which inputs are expected to be sent.
const slowest = 64 << 10

// A RoleResult is what one role received and measured.
type RoleResult struct {
	Outputs                map[string][]uint64
	Setup, Offline, Online engine.PhaseStats
}

// Result waits for the end of a session at a role, and takes the outputs: they are given once, and again only under the name of the request.
func (c *Client) Result(ctx context.Context, t Ticket, role string) (*RoleResult, error) {
	req, err := json.Marshal(resultRequest{t, t.Request})
	if err != nil {
		return nil, err
	}
	msg, err := c.exchange(ctx, role, "Result", req, eventually)
	if err != nil {
		return nil, err
	}
	r, data, err := unseal[resultHead](msg)
	if err != nil {
		return nil, fmt.Errorf("%s answered with a malformed result", role)
	}
	out := &RoleResult{Outputs: map[string][]uint64{}, Setup: r.Setup, Offline: r.Offline, Online: r.Online}
	for _, i := range r.Outputs {
		if i < 0 || i >= len(c.plan.Manifest.Outputs) {
			return nil, fmt.Errorf("%s answered with an output that the plan has not", role)
		}
		p := c.plan.Manifest.Outputs[i]
		n := plan.PackedBytes(p.Len(), 64)
		if n > len(data) {
			return nil, fmt.Errorf("%s: output %q has %d bytes", role, p.Name, len(data))
		}
		w := make([]uint64, p.Len())
		plan.Unpack(w, data[:n], 64)
		out.Outputs[p.Name], data = w, data[n:]
	}
	if len(data) > 0 {
		return nil, fmt.Errorf("%s answered with %d bytes too many", role, len(data))
	}
	return out, nil
}
