// Package client runs inferences at party servers from a Go program: one or many, over one connection to each server. Where
// organisations run several workers side by side, sessions go to them in turn.
package client

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/control"
)

// A Client acts for parties at their servers. It may be used by several goroutines.
type Client struct {
	cfg     *control.Config
	plan    *plan.Plan
	workers []*control.Client
	turn    atomic.Uint64

	mu   sync.Mutex
	away []time.Time // until when a worker that could not open a session is left out
}

// leftOut is for how long. A worker that is back is used again after this at the latest.
const leftOut = 10 * time.Second

// Inputs are the elements of tensors by input name, in row-major order.
type Inputs map[string][]float64

// Outputs are the elements of the outputs that the client's parties may learn, by name.
type Outputs map[string][]float64

// A Result is one inference.
type Result struct {
	Session uint64
	Outputs Outputs
	Words   map[string][]uint64            // as the plan encodes them
	Roles   map[string]*control.RoleResult // by party the client acts for
	Took    time.Duration                  // from the request on, with the wait for a session
}

// Open reads a client's configuration file and the plan.
func Open(config, planFile string) (*Client, error) {
	cfg, err := control.ReadConfig(config)
	if err != nil {
		return nil, err
	}
	p, err := typed.ReadFile(planFile)
	if err != nil {
		return nil, err
	}
	return New(cfg, p)
}

// New returns a client of a plan's servers. Connections are made when they are needed.
func New(cfg *control.Config, p *plan.Plan) (*Client, error) {
	c := &Client{cfg: cfg, plan: p}
	for w := range max(1, cfg.Workers) {
		conn, err := control.NewClient(cfg.ForWorker(w), p)
		if err != nil {
			c.Close()
			return nil, err
		}
		c.workers = append(c.workers, conn)
	}
	c.away = make([]time.Time, len(c.workers))
	var start [8]byte // many clients with one request each must not all begin at the first worker
	if _, err := rand.Read(start[:]); err != nil {
		c.Close()
		return nil, err
	}
	c.turn.Store(binary.LittleEndian.Uint64(start[:]) >> 1) // far from where it wraps
	return c, nil
}

// Waiting has f told, again and again and from any goroutine, of a server that is not reached yet, and why, as far as that is known. It is set before the
// client is used. A server that is not reached within the configuration's timeout is an error.
func (c *Client) Waiting(f func(name, addr, why string)) {
	for _, w := range c.workers {
		w.Waiting(f)
	}
}

// Close ends the connections.
func (c *Client) Close() {
	for _, w := range c.workers {
		w.Close()
	}
}

// Encode turns the inputs of the parties that the client acts for into words, nil for those of others. An input that is
// missing, unknown, of another size, or outside the range that the plan relies on is an error. Elements that are NaN are missing ones, where the plan
// allows that; reals are quantised where the plan has a step for them; text enters by the codes that plan.Port.Code has.
func (c *Client) Encode(in Inputs) ([][]uint64, error) {
	words := make([][]uint64, len(c.plan.Manifest.Inputs))
	used := 0
	in, err := c.marked(in)
	if err != nil {
		return nil, err
	}
	for i, p := range c.plan.Manifest.Inputs {
		if !slices.Contains(c.cfg.ActsFor, p.Owner) {
			continue
		}
		x, ok := in[p.Name]
		switch {
		case !ok:
			return nil, fmt.Errorf("input %q of %s is missing", p.Name, p.Owner)
		case len(x) != p.Len():
			return nil, fmt.Errorf("input %q has %d elements, want %v", p.Name, len(x), p.Shape)
		}
		used++
		words[i] = make([]uint64, len(x))
		for k, v := range x {
			var err error
			if words[i][k], err = p.Word(k, v); err != nil {
				if out := (*plan.RangeError)(nil); errors.As(err, &out) {
					out.Program = c.plan.FromProgram()
					return nil, fmt.Errorf("input %q: %w; %s", p.Name, err, out.Hint())
				}
				return nil, fmt.Errorf("input %q: %w", p.Name, err)
			}
		}
	}
	if used != len(in) {
		return nil, fmt.Errorf("%d inputs are given, %v have %d", len(in), c.cfg.ActsFor, used)
	}
	return words, nil
}

// marked returns inputs in which elements that are missing, which are NaN, are marked in the inputs that the plan has for that, and reals that their
// owner quantises are integers.
func (c *Client) marked(in Inputs) (Inputs, error) {
	out := maps.Clone(in)
	for _, p := range c.plan.Manifest.Inputs {
		x, ok := in[p.Name]
		if ok && p.Step != 0 {
			y := make([]float64, len(x))
			for i, v := range x {
				q, ok := p.Quantised(v)
				if y[i] = float64(q); !ok {
					return nil, fmt.Errorf("input %q: element %d is not a number", p.Name, i)
				}
			}
			out[p.Name] = y
			continue
		}
		if _, given := in[p.Missing]; !ok || p.Missing == "" || given || len(x) != p.Len() {
			continue
		}
		filled, missing := slices.Clone(x), make([]float64, len(x))
		for i, v := range x {
			switch {
			case !math.IsNaN(v):
			case !p.MayMiss(i):
				return nil, fmt.Errorf("input %q: element %d is missing, and the model reads its column as it is; impute it before", p.Name, i)
			default:
				filled[i], missing[i] = p.Stand(i), 1
			}
		}
		out[p.Name], out[p.Missing] = filled, missing
	}
	return out, nil
}

// Infer runs one session on the inputs.
func (c *Client) Infer(ctx context.Context, in Inputs) (*Result, error) {
	return c.InferRequest(ctx, "", in)
}

// InferRequest is Infer under a name that the caller gives its request, such as a random one that it has written down: whoever has the same certificate may ask
// again under it, and Fetch the result, if the first answer was lost. Servers run it once, unless it has failed, and keep it for the time that
// their configurations say, but not over a restart. Outputs without a name are given once.
func (c *Client) InferRequest(ctx context.Context, request string, in Inputs) (*Result, error) {
	words, err := c.Encode(in)
	if err != nil {
		return nil, err
	}
	return c.inferWords(ctx, request, words)
}

// InferWords runs one session on encoded inputs, which must cover all parties' inputs between this client's and those that
// others give to the same session.
func (c *Client) InferWords(ctx context.Context, words [][]uint64) (*Result, error) {
	return c.inferWords(ctx, "", words)
}

func (c *Client) inferWords(ctx context.Context, request string, words [][]uint64) (*Result, error) {
	start := time.Now()
	t, err := c.SessionFor(ctx, request)
	if err != nil {
		return nil, err
	}
	r, err := c.Join(ctx, t, words)
	if err != nil {
		return nil, err
	}
	r.Took = time.Since(start)
	return r, nil
}

// Fetch returns the result of a request that has been made under a name, by this client or by another with the same certificate.
func (c *Client) Fetch(ctx context.Context, request string) (*Result, error) {
	start := time.Now()
	t, err := c.find(ctx, request)
	if err != nil {
		return nil, err
	}
	r, err := c.results(ctx, t)
	if err != nil {
		return nil, err
	}
	r.Took = time.Since(start)
	return r, nil
}

// find returns the session of a named request, at whichever worker it is.
func (c *Client) find(ctx context.Context, request string) (t control.Ticket, err error) {
	var errs []error
	for _, w := range c.order() {
		if t, err = c.workers[w].Find(ctx, request); err == nil {
			return t, nil
		}
		if len(c.workers) > 1 {
			err = fmt.Errorf("worker %d: %w", w, err)
		}
		if errs = append(errs, err); ctx.Err() != nil {
			break
		}
	}
	return t, errors.Join(errs...)
}

// Session opens a session without giving inputs, for Join here, soon, and at the clients of other parties, who need the ticket. Each goes to the worker
// whose turn it is; one that does not open it within the configuration's timeout is passed over, and left out for a while.
func (c *Client) Session(ctx context.Context) (control.Ticket, error) { return c.SessionFor(ctx, "") }

// SessionFor is Session for a request with a name, whose session is returned if it has come before.
func (c *Client) SessionFor(ctx context.Context, request string) (control.Ticket, error) {
	if len(c.workers) == 1 {
		return c.workers[0].OpenRequest(ctx, request)
	}
	if request != "" { // it may be at any of them
		if t, err := c.find(ctx, request); err == nil {
			return t, nil
		}
	}
	var errs []error
	for _, w := range c.order() {
		t, err := c.workers[w].OpenWithin(ctx, request)
		if err == nil {
			c.setAway(w, time.Time{})
			return t, nil
		}
		errs = append(errs, fmt.Errorf("worker %d: %w", w, err))
		if ctx.Err() != nil {
			break
		}
		c.setAway(w, time.Now().Add(leftOut))
	}
	return control.Ticket{}, errors.Join(errs...)
}

// order returns the workers from the one whose turn it is on, those that are left out last.
func (c *Client) order() (out []int) {
	first := c.turn.Add(1) - 1
	var last []int
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range uint64(len(c.workers)) {
		w := int((first + i) % uint64(len(c.workers)))
		if time.Now().Before(c.away[w]) {
			last = append(last, w)
		} else {
			out = append(out, w)
		}
	}
	return append(out, last...)
}

func (c *Client) setAway(worker int, until time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away[worker] = until
}

// of returns the connection to the worker that opened a session.
func (c *Client) of(session uint64) *control.Client {
	return c.workers[(session-1)%uint64(len(c.workers))]
}

// Join gives encoded inputs to an open session and waits for its outputs.
func (c *Client) Join(ctx context.Context, t control.Ticket, words [][]uint64) (*Result, error) {
	start := time.Now()
	for _, who := range c.cfg.ActsFor {
		if err := c.of(t.Session).Input(ctx, t, who, words); err != nil {
			return nil, err
		}
	}
	out, err := c.results(ctx, t)
	if err != nil {
		return nil, err
	}
	out.Took = time.Since(start)
	return out, nil
}

// results waits for the outputs of a session.
func (c *Client) results(ctx context.Context, t control.Ticket) (*Result, error) {
	out := &Result{Session: t.Session, Outputs: Outputs{}, Words: map[string][]uint64{}, Roles: map[string]*control.RoleResult{}}
	for _, who := range c.cfg.ActsFor {
		r, err := c.of(t.Session).Result(ctx, t, who)
		if err != nil {
			return nil, err
		}
		out.Roles[who] = r
		for _, p := range c.plan.Manifest.Outputs {
			w, ok := r.Outputs[p.Name]
			if !ok {
				continue
			}
			x := make([]float64, len(w))
			for i := range w {
				x[i] = float64(int64(w[i]))
				if p.Elem == "real" {
					x[i] = math.Ldexp(x[i], -p.Scale)
				}
			}
			out.Outputs[p.Name], out.Words[p.Name] = x, w
		}
	}
	return out, nil
}

// Each runs n requests, at most width at once, over the client's connections. request gives the encoded inputs of the i-th;
// done gets its result, one call at a time, in the order in which they end. The first error stops what has not begun and is
// returned with the number of its request.
func (c *Client) Each(ctx context.Context, n, width int, request func(i int) ([][]uint64, error), done func(i int, r *Result) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var first error
	next := 0
	var wg sync.WaitGroup
	for range min(n, max(width, 1)) {
		wg.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				stop := first != nil || i >= n
				mu.Unlock()
				if stop {
					return
				}
				words, err := request(i)
				var r *Result
				if err == nil {
					r, err = c.InferWords(ctx, words)
				}
				mu.Lock()
				if err == nil && first == nil {
					err = done(i, r)
				}
				if err != nil && (first == nil || errors.Is(first, context.Canceled)) {
					first = err
					if n > 1 {
						first = fmt.Errorf("request %d: %w", i, err)
					}
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return first
}

// Batch runs many requests, at most width at once, and returns their results in order. progress, if not nil, is told how
// many have ended.
func (c *Client) Batch(ctx context.Context, width int, requests []Inputs, progress func(done int)) ([]*Result, error) {
	out := make([]*Result, len(requests))
	ended := 0
	err := c.Each(ctx, len(requests), width, func(i int) ([][]uint64, error) { return c.Encode(requests[i]) }, func(i int, r *Result) error {
		out[i] = r
		if ended++; progress != nil {
			progress(ended)
		}
		return nil
	})
	return out, err
}
