package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
	"smpcc/runtime/material"
	"smpcc/runtime/observe"
)

// What a server needs is tested by the same functions before it starts (Check), at its start (New), and again and again while it runs.

// lookEvery is the pause between two looks at what a running server needs.
var lookEvery = 10 * time.Second

// fitness is what the last look has found.
type fitness struct {
	mu  sync.Mutex
	err error
}

// now returns the time by which certificates end.
func (c *Config) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// fit returns why the server should not serve, nil if it may: its certificate has ended, its disk takes nothing, or a role runs something else. Roles that cannot be
// reached are no reason: they would not become reachable by it.
func (s *Server) fit() error {
	if err := s.takes(); err != nil {
		return err
	}
	if err := s.fitness.found(); err != nil {
		return err
	}
	var errs, always []error
	list := s.plans.list()
	for _, d := range list {
		if err := d.fitness.found(); err != nil {
			if errs = append(errs, err); d.source == control.FromConfiguration {
				always = append(always, err)
			}
		}
	}
	if len(errs) == len(list) { // some plans can be served as long as one can
		return errors.Join(errs...)
	}
	return errors.Join(always...)
}

// readiness says for /readyz why the server should not serve, nil if it may, and a line for each plan where there are several; or the same of one plan, by the start of its digest.
func (s *Server) readiness(of string) (lines []string, err error) {
	list := s.planList()
	if of == "" && len(list) == 1 && list[0].Source == control.FromConfiguration {
		return nil, s.fit()
	}
	found := 0
	for _, p := range list {
		if !strings.HasPrefix(p.Plan, of) {
			continue
		}
		found++
		line := fmt.Sprintf("plan %.16s %s", p.Plan, p.State)
		if p.Why != "" {
			line += ": " + p.Why
		}
		lines = append(lines, line)
		if of != "" && (p.State != control.Serving || p.Why != "") {
			err = errors.Join(err, errors.New(line))
		}
	}
	if of == "" {
		return lines, s.fit()
	}
	if found == 0 {
		err = fmt.Errorf("no plan %.64q", of)
	}
	return lines, errors.Join(s.takes(), s.fitness.found(), err)
}

// planNumbers returns the numbers of each plan.
func (s *Server) planNumbers() (out []observe.PlanNumbers) {
	for _, p := range s.planList() {
		n := observe.PlanNumbers{Plan: fmt.Sprintf("%.16s", p.Plan), Name: p.Name, State: p.State, Ready: p.State == control.Serving && p.Why == "", Running: p.Running, Queued: p.Queued, Limit: p.Sessions, Setup: p.Setup, Material: p.Material}
		if d, err := s.plans.find(s.name, p.Plan); err == nil && d.planHex() == p.Plan {
			n.Done, n.Failed = d.counted.done.Load(), d.counted.failed.Load()
		}
		out = append(out, n)
	}
	return out
}

// found returns what the last look has found.
func (f *fitness) found() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// finds notes what a look has found, and says when it has changed.
func (f *fitness) finds(err error, log *slog.Logger, metrics *observe.Metrics) {
	f.mu.Lock()
	before := f.err
	f.err = err
	f.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		log.Error("not ready", "error", err.Error())
		metrics.Failed("look")
	case err == nil && before != nil:
		log.Info("ready again")
	}
}

// look looks at what the server needs for any plan.
func (s *Server) look() error {
	if left := s.expires.Sub(s.cfg.now()); left < soonExpires {
		s.alerts.tell(alertCertificate, "", fmt.Sprintf("the certificate ends at %s, in %v", s.expires.UTC().Format(time.RFC3339), left.Round(time.Hour)), "")
	}
	if err := ownCertificate(s.tls, s.tls.Certificates[0].Leaf, s.cfg.now()); err != nil {
		return err
	}
	if err := checkState(s.files(), s.cfg.State); err != nil {
		return err
	}
	if s.audit.Failing() {
		return fmt.Errorf("the last entry could not be written to %s", logName)
	}
	_, err := s.ledger.Last([32]byte{})
	return err
}

// look looks at what the plan needs of the other roles.
func (s *deployment) look(ctx context.Context) error {
	var wg sync.WaitGroup
	roles := s.plan.Roles()
	errs := make([]error, len(roles))
	for i, role := range roles {
		if i == s.role {
			continue
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, peerWait)
			defer cancel()
			_, _, err := askPeer(ctx, s.node, role, s.cfg, s.plan)
			if wrong := (*misfit)(nil); errors.As(err, &wrong) {
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// keepLooking looks until the server stops, and says when what it finds changes.
func (s *Server) keepLooking() {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() {
		select {
		case <-s.draining:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		own, plans := s.look(), s.plans.list()
		errs := make([]error, len(plans))
		var wg sync.WaitGroup
		for i, d := range plans {
			if d.isPrepared() { // until then it waits for the others anyway
				wg.Go(func() { errs[i] = d.look(ctx) })
			}
		}
		wg.Wait()
		if s.stopping() {
			return
		}
		s.fitness.finds(own, s.log, s.metrics)
		for i, d := range plans {
			d.fitness.finds(errs[i], d.log, s.metrics)
		}
		s.life.Lock()
		if !s.stopping() { // which has said so already
			s.node.Serving(s.fit() == nil)
		}
		s.life.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(lookEvery):
		}
	}
}

// A misfit is a role that answers and with which no session can work.
type misfit struct{ error }

// Unwrap returns what is wrong.
func (m *misfit) Unwrap() error { return m.error }

// askPeer asks another role what it is, and returns in words what it answers, and what to be warned of.
func askPeer(ctx context.Context, node *grpcnet.Node, name string, cfg *Config, p *plan.Plan) (detail, warning string, err error) {
	addr := cfg.Servers[name]
	start := time.Now()
	data, err := node.Call(ctx, name, addr, "Status", fmt.Appendf(nil, `{"plan":%q}`, p.Digest()))
	end := time.Now()
	if remote := (*grpcnet.RemoteError)(nil); errors.As(err, &remote) {
		return "", "", &misfit{fmt.Errorf("%w; does it know us?", err)}
	}
	if err != nil {
		if text := err.Error(); strings.Contains(text, "certificate") {
			return "", "", &misfit{err}
		}
		return "", "", err
	}
	var r control.Status
	if err := json.Unmarshal(data, &r); err != nil {
		return "", "", &misfit{fmt.Errorf("%s answers with a malformed status", name)}
	}
	skew := time.Unix(0, r.Time).Sub(start.Add(end.Sub(start) / 2)).Round(time.Millisecond)
	switch {
	case r.Protocol != grpcnet.Protocol || r.Format != plan.Version:
		err = fmt.Errorf("%s runs %.40q with protocol %d and plan format %d, here they are %d and %d: run the same release at all roles", name, r.Software, r.Protocol, r.Format, grpcnet.Protocol, plan.Version)
	case r.Missing != "":
		err = errors.New(r.Missing)
	case r.Plan != p.Digest():
		err = fmt.Errorf("%s runs plan %.16q, here it is %.16s: all roles must run the same plan file", name, r.Plan, p.Digest())
	case r.Worker != cfg.Worker || r.Workers != cfg.Workers:
		err = fmt.Errorf("%s at %s is worker %d of %d, here it is %d of %d: all roles must have the same workers, and servers must lead to those of the same number", name, addr, r.Worker, r.Workers, cfg.Worker, cfg.Workers)
	}
	if err != nil {
		return "", "", &misfit{err}
	}
	switch {
	case r.Stopping:
		warning = name + " is stopping"
	case skew.Abs() > clockSkew:
		warning = fmt.Sprintf("the clock of %s is %v ahead of ours; certificates and material expire by the clock", name, skew)
	}
	return fmt.Sprintf("%s answers in %v, version %.40q, clock %+dms, %d sessions at once", addr, end.Sub(start).Round(10*time.Microsecond), r.Software, skew.Milliseconds(), r.Capacity), warning, nil
}

// checkFiles reads what a state folder holds, as far as no server is at it: the ledger, and the file of the audit log that a start reads.
func checkFiles(dir string) error {
	err := material.CheckLedger(filepath.Join(dir, ledgerName))
	if lerr := attest.VerifyCurrent(filepath.Join(dir, logName)); lerr != nil && !errors.Is(lerr, fs.ErrNotExist) {
		err = errors.Join(err, lerr)
	}
	return err
}

// certificateOf returns the TLS configuration of a certificate that can be used now.
func certificateOf(cfg *Config) (conf *tls.Config, name string, err error) {
	if conf, name, err = keys.Load(cfg.TLS); err != nil {
		return nil, "", err
	}
	conf.Time = cfg.Now
	return conf, name, ownCertificate(conf, conf.Certificates[0].Leaf, cfg.now())
}
