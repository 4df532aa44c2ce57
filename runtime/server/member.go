package server

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"smpcc/runtime/control"
)

// Who may do what at a host, by the name in the certificate. Clients use plans, requesters ask for plans, members look, decide and operate.

// checkMembers reports what makes no sense of members, requests, budgets, alerts and the console.
func (c *Config) checkMembers(bad func(key, format string, args ...any)) {
	seen := map[string]bool{}
	for i, b := range c.Budgets {
		key := fmt.Sprintf("budgets[%d]", i)
		switch {
		case b.Client == "":
			bad("budgets", "entry %d has no client: a name, or \"*\" for each client that no other line names", i+1)
		case seen[b.Client]:
			bad("budgets", "%q stands there twice", b.Client)
		case b.Runs < 0 || b.Rows < 0 || b.PerMonth < 0 || b.Runs+b.Rows+b.PerMonth == 0:
			bad("budgets", "%s of %q: want runs, rows or runs_per_month, above 0", key, b.Client)
		}
		seen[b.Client] = true
	}
	if c.Requests.Keep > maxKept {
		bad("requests.keep", "%d is not in 0..%d", c.Requests.Keep, maxKept)
	}
	if len(c.Budgets) > 0 && c.Workers > 1 {
		bad("budgets", "only one server can count them, and there are %d workers; set workers: 1", c.Workers)
	}
	for start := range c.PlanUsers {
		if len(start) < leastDigest || len(start) > 64 || strings.Trim(start, "0123456789abcdef") != "" {
			bad("plan_users", "%q is not the start of a digest, of %d figures or more", start, leastDigest)
		}
	}
	if t := c.Alerts.Webhook; t != "" {
		u, err := url.Parse(t)
		switch { // without the address: there may be a secret in it
		case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
			bad("alerts.webhook", "is not a URL such as https://alerts.example.org/smpcc")
		case u.Scheme == "http" && !loopback(u.Hostname()):
			bad("alerts.webhook", "leaves this machine without TLS; use https, or a receiver on this machine")
		}
	}
	if t := c.Console.Listen; t != "" {
		host, _, err := net.SplitHostPort(strings.ReplaceAll(t, control.WorkerMark, "0"))
		switch {
		case control.CheckAddress(t, true) != nil:
			bad("console.listen", "%v", control.CheckAddress(t, true))
		case err == nil && !loopback(host) && !c.Console.Open:
			bad("console.listen", "%s is reached from other machines; use 127.0.0.1, or say open: true", t)
		}
	}
}

// maxKept bounds the requests that an inbox may keep, since members list all of them.
const maxKept = 1024

// leastDigest is how much of a digest names a plan.
const leastDigest = 8

// isMember reports whether a caller may look at everything that is no data.
func (s *Server) isMember(peer string) bool {
	m := &s.cfg.Members
	return peer == s.name || slices.Contains(m.Viewers, peer) || slices.Contains(m.Approvers, peer) || slices.Contains(m.Operators, peer)
}

// mayDecide returns why a caller may not decide about requests, nil if it may.
func (s *Server) mayDecide(peer string) error {
	if peer == s.name || slices.Contains(s.cfg.Members.Approvers, peer) {
		return nil
	}
	return fmt.Errorf("%q may not decide about requests: it is neither %s nor in members.approvers of its configuration", peer, s.name)
}

// maySend returns why a caller may not ask that plans be run, nil if it may.
func (s *Server) maySend(peer string) error {
	if slices.Contains(s.cfg.Requests.From, peer) {
		return nil
	}
	return fmt.Errorf("%q may not ask %s to run plans: it is not in requests.from of its configuration", peer, s.name)
}

// mayLook reports whether a caller may see what there is, what of its own has run and what its budgets have left: members, clients, and who may send requests.
func (s *Server) mayLook(peer string) bool {
	return s.isMember(peer) || s.isUser(peer) || s.maySend(peer) == nil
}

// mayDeploy returns why a caller may not change which plans are served, nil if it may.
func (s *Server) mayDeploy(peer string) error {
	if peer == s.name || slices.Contains(s.cfg.PlanClients, peer) || slices.Contains(s.cfg.Members.Operators, peer) {
		return nil
	}
	return fmt.Errorf("%q may not deploy or withdraw plans: it is neither %s nor in plan_clients of its configuration, nor in members.operators", peer, s.name)
}

// mayUpload returns why a caller may not send files, nil if it may.
func (s *Server) mayUpload(peer string) error {
	if err := s.mayDeploy(peer); err != nil && s.maySend(peer) != nil {
		return fmt.Errorf("%w; nor may it ask that plans be run, since it is not in requests.from", err)
	}
	return nil
}

// users returns the clients of the plan: those of its own list, or else the server's.
func (s *deployment) users() (names []string, own bool) {
	if list := s.clients.Load(); list != nil && len(*list) > 0 {
		return *list, true
	}
	hex := s.planHex()
	for start, list := range s.cfg.PlanUsers {
		if strings.HasPrefix(hex, start) {
			return list, true
		}
	}
	return s.cfg.Clients, false
}

// isClient reports whether a caller may act for this party in sessions of the plan.
func (s *deployment) isClient(peer string) bool {
	names, _ := s.users()
	return slices.Contains(names, peer)
}

// isUser reports whether a caller is a client of any plan.
func (s *Server) isUser(peer string) bool {
	if slices.Contains(s.cfg.Clients, peer) {
		return true
	}
	for _, list := range s.cfg.PlanUsers {
		if slices.Contains(list, peer) {
			return true
		}
	}
	return slices.ContainsFunc(s.plans.list(), func(d *deployment) bool { return d.isClient(peer) })
}

// mayCall returns why a caller who is known may not call a method, before anything of the request is read.
func (s *Server) mayCall(peer, method string) error {
	switch method {
	case "Upload":
		return s.mayUpload(peer)
	case "Deploy", "Withdraw":
		return s.mayDeploy(peer)
	case "Send":
		return s.maySend(peer)
	}
	return nil
}
