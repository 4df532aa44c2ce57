package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
	"smpcc/runtime/console"
	"smpcc/runtime/control"
)

// shown is a host as its console sees it.
type shown struct{ s *Server }

// Name implements console.Host.
func (h shown) Name() string { return h.s.name }

// Rights implements console.Host.
func (h shown) Rights(person string) console.Rights {
	return console.Rights{View: h.s.isMember(person), Decide: h.s.mayDecide(person) == nil, Operate: h.s.mayDeploy(person) == nil && h.s.isMember(person)}
}

// Plans implements console.Host.
func (h shown) Plans() []control.PlanStatus { return h.s.planList() }

// Plan implements console.Host.
func (h shown) Plan(digest string) (*plan.Plan, error) {
	d, err := h.s.plans.find(h.s.name, digest)
	if err != nil {
		return nil, err
	}
	return d.plan, nil
}

// Signed implements console.Host.
func (h shown) Signed(digest string) ([]attest.Statement, error) {
	d, err := h.s.plans.find(h.s.name, digest)
	if err != nil {
		return nil, err
	}
	return d.approvals()
}

// Requests implements console.Host.
func (h shown) Requests(person string) []control.Request { return h.s.requestsFor(person) }

// Requested implements console.Host.
func (h shown) Requested(person string, id uint64) (*plan.Plan, error) {
	for _, r := range h.s.requestsFor(person) {
		if r.ID == id && r.Kept() {
			return typed.ReadFile(h.s.planFileOf(id))
		}
	}
	return nil, fmt.Errorf("the plan of request %d is not kept", id)
}

// Decide implements console.Host.
func (h shown) Decide(ctx context.Context, person string, d control.DecideRequest) (*control.Request, error) {
	return h.s.decide(ctx, person, d)
}

// Withdraw implements console.Host.
func (h shown) Withdraw(ctx context.Context, person, digest string) error {
	_, err := h.s.withdraw(ctx, person, digest)
	return err
}

// History implements console.Host.
func (h shown) History(ctx context.Context, q control.HistoryRequest) (*control.HistoryReply, error) {
	return h.s.history(ctx, q)
}

// Budgets implements console.Host.
func (h shown) Budgets() ([]control.Budget, error) { return h.s.allBudgets() }

// Catalogue implements console.Host.
func (h shown) Catalogue(person string) control.Catalogue { return h.s.catalogue(person) }

// Health implements console.Host.
func (h shown) Health(ctx context.Context) console.Health {
	s := h.s
	out := console.Health{Software: s.cfg.Software, Certificate: s.expires, Running: s.gate.count(), Queued: s.gate.queued()}
	if err := s.fit(); err != nil {
		out.Trouble = err.Error()
	}
	for _, a := range []struct{ kind, what string }{{"log", "audit log"}, {"setup", "setups"}, {"material", "material"}} {
		out.State = append(out.State, console.Amount{What: a.what, Bytes: s.stateBytes(a.kind)})
	}
	out.Peers = s.lookAtPeers(ctx)
	return out
}

// lookAtPeers asks the other roles what they are, each about one plan that it has a role in.
func (s *Server) lookAtPeers(ctx context.Context) (out []console.Peer) {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, name := range s.peers() {
		i := slices.IndexFunc(s.plans.list(), func(d *deployment) bool { return d.isRole(name) })
		if i < 0 { // it has been withdrawn meanwhile
			continue
		}
		p := s.plans.list()[i].plan
		wg.Go(func() {
			peer := console.Peer{Name: name, Address: s.cfg.Servers[name]}
			says, warning, err := askPeer(ctx, s.node, name, s.cfg, p)
			if peer.Says = says; warning != "" {
				peer.Says += "; " + warning
			}
			if err != nil {
				peer.Trouble = err.Error()
			}
			s.heads.mu.Lock()
			noted := s.heads.of[name]
			peer.Entry, peer.Noted, peer.Log = noted.Entry, noted.At, s.heads.wrong[name]
			s.heads.mu.Unlock()
			mu.Lock()
			defer mu.Unlock()
			out = append(out, peer)
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b console.Peer) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// openConsole listens for people, if the configuration says where. serve is nil if it does not.
func (s *Server) openConsole() (serve func() error, err error) {
	if s.cfg.Console.Listen == "" {
		return nil, nil
	}
	if s.cfg.Auditor.Summary == nil {
		return nil, errors.New("console.listen: this program has no console")
	}
	c, err := console.New(shown{s}, s.cfg.Auditor, s.tls, s.log, func() { s.metrics.Failed("console") })
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", s.cfg.Console.Listen)
	if err != nil {
		return nil, fmt.Errorf("console: %w", err)
	}
	s.log.Info("the console listens", "address", l.Addr().String())
	return func() error { return c.Serve(s.ctx, l) }, nil
}
