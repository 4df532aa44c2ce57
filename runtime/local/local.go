// Package local runs all roles of a plan in one process, each on its own goroutine with the same engine that party
// servers use, connected by the in-memory transport.
package local

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/engine"
	"smpcc/runtime/material"
	"smpcc/runtime/memnet"
	"smpcc/runtime/share"
)

// A Runner holds the roles of one plan after setup.
type Runner struct {
	plan    *plan.Plan
	digest  [32]byte
	masters []material.Key
	engines []*engine.Engine
	models  []*engine.Model
	session uint64
	Setup   Phase
	Link    memnet.Link // the network that sessions run on; memory if zero
	// CPU returns the processors' time of this process so far; nil does not measure it.
	CPU  func() time.Duration
	wrap func(role int, t engine.Transport) engine.Transport // for tests
}

// A Phase is what was measured in one phase over all roles.
type Phase struct {
	Seconds float64
	Rounds  int
	Sent    []int64       // by role
	CPU     time.Duration // of the processors, for all roles; 0 if not measured
}

// A Result is one run.
type Result struct {
	Outputs []map[string][]uint64 // by role: what it received; behind the roles, by guest: what the shares that the parties keep for it add up to
	Offline Phase
	Online  Phase
}

// New makes master keys from crypto/rand and runs setup. weights holds the words of the manifest's weights.
func New(ctx context.Context, p *plan.Plan, weights [][]uint64) (*Runner, error) {
	if len(weights) != len(p.Manifest.Weights) {
		return nil, fmt.Errorf("%d weights given, the plan has %d", len(weights), len(p.Manifest.Weights))
	}
	r := &Runner{plan: p, digest: sha256.Sum256(p.Encode()), models: make([]*engine.Model, len(p.Programs))}
	for range p.NumParties() {
		k, err := material.NewMaster()
		if err != nil {
			return nil, err
		}
		r.masters = append(r.masters, k)
	}
	for role := range p.Programs {
		e, err := engine.New(p, role)
		if err != nil {
			return nil, err
		}
		r.engines = append(r.engines, e)
	}
	var err error
	r.Setup, err = r.phase(plan.Setup, func(role int, t engine.Transport) error {
		keys, err := r.streams("setup", role)
		if err != nil {
			return err
		}
		own := make([][]uint64, len(weights))
		for i, w := range p.Manifest.Weights {
			if w.Owner == p.Programs[role].Role {
				own[i] = weights[i]
			}
		}
		r.models[role], err = r.engines[role].Setup(ctx, t, keys, own)
		return err
	})
	return r, err
}

// Run runs one session on the words of the manifest's inputs.
func (r *Runner) Run(ctx context.Context, inputs [][]uint64) (*Result, error) {
	if len(inputs) != len(r.plan.Manifest.Inputs) {
		return nil, fmt.Errorf("%d inputs given, the plan has %d", len(inputs), len(r.plan.Manifest.Inputs))
	}
	r.session++
	res := &Result{Outputs: make([]map[string][]uint64, len(r.plan.Programs))}
	given, err := r.given(inputs)
	if err != nil {
		return nil, err
	}
	sessions := make([]*engine.Session, len(r.plan.Programs))
	res.Offline, err = r.phase(plan.Offline, func(role int, t engine.Transport) error {
		keys, err := r.streams("session", role)
		if err != nil {
			return err
		}
		sessions[role], err = r.engines[role].Offline(ctx, t, r.models[role], keys)
		return err
	})
	if err != nil {
		return nil, err
	}
	res.Online, err = r.phase(plan.Online, func(role int, t engine.Transport) error {
		own := make([][]uint64, len(inputs))
		for i, in := range r.plan.Manifest.Inputs {
			if in.Owner == r.plan.Programs[role].Role {
				own[i] = inputs[i]
			} else if in.Shares && role < len(given[i]) {
				own[i] = given[i][role]
			}
		}
		var err error
		res.Outputs[role], err = sessions[role].Online(ctx, t, own)
		return err
	})
	if err != nil {
		return res, err
	}
	for _, g := range r.plan.Manifest.Guests {
		res.Outputs = append(res.Outputs, r.taken(g, sessions))
	}
	return res, nil
}

// given shares the words of guests among the parties, by input.
func (r *Runner) given(inputs [][]uint64) ([][][]uint64, error) {
	out := make([][][]uint64, len(inputs))
	for i, in := range r.plan.Manifest.Inputs {
		if !in.Shares {
			continue
		}
		if len(inputs[i]) != in.Len() {
			return nil, fmt.Errorf("input %q has %d elements, want %d", in.Name, len(inputs[i]), in.Len())
		}
		var err error
		if out[i], err = share.Split(&in, inputs[i], r.plan.NumParties()); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// taken returns what a guest receives: the sum of what the parties have kept for it.
func (r *Runner) taken(guest string, sessions []*engine.Session) map[string][]uint64 {
	out := map[string][]uint64{}
	for i := range r.plan.Manifest.Outputs {
		o := &r.plan.Manifest.Outputs[i]
		if !slices.Contains(o.To, guest) {
			continue
		}
		shares := make([][]uint64, r.plan.NumParties())
		for p := range shares {
			shares[p] = sessions[p].Kept()[o.Name]
		}
		out[o.Name] = share.Join(o, shares)
	}
	return out
}

// streams derives the streams a role may have: its own, or all for the dealer.
func (r *Runner) streams(purpose string, role int) (engine.Streams, error) {
	s := make(engine.Streams, len(r.masters))
	for i, m := range r.masters {
		if role != i && role != len(r.masters) {
			continue
		}
		k := material.Derive(m, purpose, r.digest, r.session, i)
		var err error
		s[i], err = material.NewStream(k)
		k.Clear()
		if err != nil {
			s.Clear()
			return nil, err
		}
	}
	return s, nil
}

// phase runs fn for every role at once on a network of its own. The first failure ends the others.
func (r *Runner) phase(ph plan.Phase, fn func(role int, t engine.Transport) error) (Phase, error) {
	net := memnet.New(r.plan.Roles())
	net.Slow(r.Link)
	used := time.Duration(0)
	if r.CPU != nil {
		used = -r.CPU()
	}
	start := time.Now()
	var wg sync.WaitGroup
	errs := make([]error, len(r.engines))
	for role := range r.engines {
		wg.Go(func() {
			t := engine.Transport(net.Role(role))
			if r.wrap != nil {
				t = r.wrap(role, t)
			}
			if errs[role] = fn(role, t); errs[role] != nil {
				net.Fail(role, errs[role])
			}
		})
	}
	wg.Wait()
	p := Phase{Seconds: time.Since(start).Seconds(), Rounds: net.Rounds(ph), Sent: make([]int64, len(r.engines))}
	if r.CPU != nil {
		p.CPU = used + r.CPU()
	}
	for from := range p.Sent {
		for to := range r.engines {
			p.Sent[from] += net.Sent(ph, from, to)
		}
	}
	return p, net.Cause()
}
