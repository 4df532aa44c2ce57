package control

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
	"smpcc/runtime/transport"
)

// A Client acts for parties at their servers, those of one worker.
type Client struct {
	cfg    *Config
	plan   *plan.Plan
	digest string
	node   *grpcnet.Node
}

// NewClient returns a client of a plan's servers.
func NewClient(cfg *Config, p *plan.Plan) (*Client, error) {
	cfg, err := cfg.Resolved()
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
	c.node.Worker, c.node.Patience, c.node.Replies = cfg.Worker, cfg.timeout, LongReplies(p)
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
	var r Status
	if err := c.call(ctx, role, "Status", PlanRequest{c.digest}, &r, promptly); err != nil {
		return err
	}
	if r.Plan != c.digest {
		return fmt.Errorf("%s runs plan %.16s, not %.16s: all roles must run the same plan file", role, r.Plan, c.digest)
	}
	return nil
}

// Generate has material for more sessions made, at the first party, and returns what is in its store then.
func (c *Client) Generate(ctx context.Context, sessions int) (*Stock, error) {
	var k Stock
	err := c.call(ctx, c.plan.Manifest.Parties[0], "Generate", GenerateRequest{Plan: c.digest, Sessions: sessions}, &k, eventually)
	return &k, err
}

// Stock returns what a party has stored.
func (c *Client) Stock(ctx context.Context, party string) (*Stock, error) {
	var k Stock
	err := c.call(ctx, party, "Material", PlanRequest{c.digest}, &k, promptly)
	return &k, err
}

// Open begins a session and returns its ticket.
func (c *Client) Open(ctx context.Context) (Ticket, error) { return c.OpenRequest(ctx, "") }

// OpenRequest begins the session of a request that has a name. Where a request of that name has come before and has not failed, its session is returned
// and none begins.
func (c *Client) OpenRequest(ctx context.Context, request string) (Ticket, error) {
	return c.open(ctx, OpenRequest{Plan: c.digest, Request: request, For: c.cfg.ActsFor})
}

// Find returns the session of a request that has come before.
func (c *Client) Find(ctx context.Context, request string) (Ticket, error) {
	return c.open(ctx, OpenRequest{Plan: c.digest, Request: request, Find: true})
}

func (c *Client) open(ctx context.Context, r OpenRequest) (t Ticket, err error) {
	if r.Request != "" {
		if err := CheckRequest(r.Request); err != nil {
			return t, err
		}
	}
	if err := c.call(ctx, c.plan.Manifest.Parties[0], "Open", r, &t, eventually); err != nil {
		return t, err
	}
	if c.cfg.WorkerOf(t.Session) != c.cfg.Worker {
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
	data, own := make([]byte, 0, InputBytes(c.plan, party)), false
	for i, p := range c.plan.Manifest.Inputs {
		if p.Owner == party {
			data, own = plan.Pack(data, words[i], p.Bits), true
		}
	}
	if !own {
		return nil
	}
	req, err := Seal(InputHead{Plan: c.digest, Ticket: t, Request: t.Request}, data)
	if err != nil {
		return err
	}
	_, err = c.exchange(ctx, party, "Input", req, c.cfg.timeout+time.Duration(len(req)/Slowest)*time.Second)
	return err
}

// A RoleResult is what one role received and measured.
type RoleResult struct {
	Outputs                map[string][]uint64
	Setup, Offline, Online transport.PhaseStats
}

// Result waits for the end of a session at a role, and takes the outputs: they are given once, and again only under the name of the request.
func (c *Client) Result(ctx context.Context, t Ticket, role string) (*RoleResult, error) {
	req, err := json.Marshal(ResultRequest{Plan: c.digest, Ticket: t, Request: t.Request})
	if err != nil {
		return nil, err
	}
	msg, err := c.exchange(ctx, role, "Result", req, eventually)
	if err != nil {
		return nil, err
	}
	r, data, err := Unseal[ResultHead](msg)
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
