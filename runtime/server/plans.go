package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"smpcc/runtime/control"
	"smpcc/runtime/material"
)

// plans are the deployments of a host. It is read far more often than it is changed.
type plans struct {
	mu  sync.Mutex // of changes
	now atomic.Pointer[[]*deployment]
	not []control.PlanStatus // found, and not served
}

// list returns the deployments in the order in which they came. Nobody may change it.
func (p *plans) list() []*deployment {
	if l := p.now.Load(); l != nil {
		return *l
	}
	return nil
}

// add adds a deployment.
func (p *plans) add(d *deployment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := append(slices.Clone(p.list()), d)
	p.now.Store(&list)
}

// drop removes a deployment.
func (p *plans) drop(d *deployment) {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := slices.DeleteFunc(slices.Clone(p.list()), func(o *deployment) bool { return o == d })
	p.now.Store(&list)
}

// refused notes a plan that is found and not served.
func (p *plans) refused(r control.PlanStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.not = append(p.not, r)
}

// turnedAway returns the plans that are found and not served, but for those that have been deployed since.
func (p *plans) turnedAway() (out []control.PlanStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.not {
		if !slices.ContainsFunc(p.list(), func(d *deployment) bool { return d.planHex() == r.Plan }) {
			out = append(out, r)
		}
	}
	return out
}

// refusedOf returns the plan of a digest that is found and not served.
func (p *plans) refusedOf(digest string) (r control.PlanStatus, ok bool) {
	for _, r := range p.turnedAway() {
		if r.Plan == digest {
			return r, true
		}
	}
	return r, false
}

// forget forgets a plan that is found and not served.
func (p *plans) forget(digest string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.not = slices.DeleteFunc(p.not, func(r control.PlanStatus) bool { return r.Plan == digest })
}

// A tally counts the sessions of a plan since the server's start.
type tally struct{ done, failed atomic.Uint64 }

// session counts one that has ended.
func (t *tally) session(err error) {
	if err != nil {
		t.failed.Add(1)
	} else {
		t.done.Add(1)
	}
}

// find returns the deployment of a digest, or the only one if that is "".
func (p *plans) find(name, digest string) (*deployment, error) {
	list := p.list()
	for _, d := range list {
		if d.planHex() == digest || digest == "" && len(list) == 1 {
			return d, nil
		}
	}
	if len(digest) > 16 {
		digest = digest[:16]
	}
	var have []string
	for _, d := range list {
		have = append(have, d.plan16())
	}
	switch {
	case len(list) == 0:
		return nil, fmt.Errorf("%s runs no plan yet: all roles must run the same plan file; smpcc plan deploy gives it to a server", name)
	case len(list) == 1:
		return nil, fmt.Errorf("%s runs plan %s, not %q: all roles must run the same plan file", name, have[0], digest)
	case digest == "":
		return nil, fmt.Errorf("%s runs plans %s, and the request names none", name, strings.Join(have, ", "))
	}
	return nil, fmt.Errorf("%s runs plans %s, not %q: all roles must run the same plan file; smpcc plan deploy gives it to a server", name, strings.Join(have, ", "), digest)
}

// runs are the numbers of runs under policies that count them: plans that were compiled under one policy share its count.
type runs struct {
	ledger *material.Ledger
	mu     sync.Mutex
	of     map[[32]byte]*material.Numbers // by the key of a budget
}

// under returns the numbers of what a policy bounds.
func (r *runs) under(b budget, inFlight uint64) (*material.Numbers, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := r.of[b.key]; n != nil {
		return n, nil
	}
	n, err := r.ledger.Numbers(b.key, 1, min(b.most/2000, runBlock), inFlight)
	if err != nil {
		return nil, err
	}
	if r.of == nil {
		r.of = map[[32]byte]*material.Numbers{}
	}
	r.of[b.key] = n
	return n, nil
}

func (r *runs) close() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.of {
		err = errors.Join(err, n.Close())
	}
	return err
}
