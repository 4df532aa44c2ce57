package server

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"smpcc/backend/plan"
	"smpcc/runtime/material"
)

// plans are the deployments of a host. It is read far more often than it is changed.
type plans struct {
	mu  sync.Mutex // of changes
	now atomic.Pointer[[]*deployment]
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
		return nil, fmt.Errorf("%s runs no plan, not %q either: all roles must run the same plan file; smpcc plan deploy gives it to a server", name, digest)
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
	of     map[[32]byte]*material.Numbers // by runsKey
}

// under returns the runs under a policy.
func (r *runs) under(g plan.Guard, inFlight uint64) (*material.Numbers, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := runsKey(g)
	if n := r.of[key]; n != nil {
		return n, nil
	}
	n, err := r.ledger.Numbers(key, 1, uint64(min(g.MaxRuns/2000, runBlock)), inFlight)
	if err != nil {
		return nil, err
	}
	if r.of == nil {
		r.of = map[[32]byte]*material.Numbers{}
	}
	r.of[key] = n
	return n, nil
}

// counted returns the runs under a policy whose numbers have been opened.
func (r *runs) counted(g plan.Guard) *material.Numbers {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.of[runsKey(g)]
}

func (r *runs) close() (err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.of {
		err = errors.Join(err, n.Close())
	}
	return err
}
