package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/grpcnet"
	"smpcc/runtime/keys"
)

// A Finding is what one test of a configuration found.
type Finding struct {
	What   string // configuration, plan, certificate, state, listen, or the name of a peer
	Failed bool
	Warn   bool // works now, but will not always
	Detail string
}

// Limits beyond which a check warns.
const (
	soonExpires = 14 * 24 * time.Hour
	clockSkew   = 5 * time.Second
	peerWait    = 5 * time.Second
)

// Check tests a configuration before anything runs: plan and policy, certificates, state folder, addresses, and of every
// other role whether it can be reached, who it proves to be, its clock, its versions and its plan. The server itself may
// run meanwhile. dealer says which kind of server it is for.
func Check(ctx context.Context, cfg *Config, dealer bool) []Finding {
	var out []Finding
	add := func(what string, err error, format string, args ...any) bool {
		f := Finding{What: what, Detail: fmt.Sprintf(format, args...)}
		if err != nil {
			f.Failed, f.Detail = true, err.Error()
		}
		out = append(out, f)
		return err == nil
	}
	warn := func(what, format string, args ...any) {
		out = append(out, Finding{What: what, Warn: true, Detail: fmt.Sprintf(format, args...)})
	}
	cfg, err := cfg.resolved()
	if err != nil {
		add("configuration", err, "")
		return out
	}
	conf, name, err := keys.Load(cfg.TLS)
	var leaf *x509.Certificate
	if err == nil {
		leaf = conf.Certificates[0].Leaf
		err = ownCertificate(conf, leaf)
	}
	if add("certificate", err, "%s, until %s", name, dateOf(leaf)) {
		if left := time.Until(leaf.NotAfter); left < soonExpires {
			warn("certificate", "%s ends in %v", cfg.TLS.Cert, left.Round(time.Hour))
		}
	}
	p, perr := plan.ReadFile(cfg.Plan)
	if cfg.Plan == "" {
		perr = errors.New("plan is missing")
	}
	var unmet error // what the policies ask of a run and does not hold now
	if add("plan", perr, "") {
		f := &out[len(out)-1]
		role := slices.Index(p.Roles(), name)
		switch {
		case err != nil:
		case role < 0:
			f.Failed, f.Detail = true, fmt.Sprintf("the certificate names %q, but the plan's roles are %v", name, p.Roles())
		case dealer != (role == p.NumParties()):
			f.Failed, f.Detail = true, fmt.Sprintf("%q is not the %s of this plan", name, map[bool]string{true: "dealer", false: "name of a party"}[dealer])
		default:
			s := &Server{cfg: cfg, plan: p, name: name, role: role}
			if aerr := s.approve(); aerr != nil {
				f.Failed, f.Detail = true, aerr.Error()
				break
			}
			s.digest = sha256.Sum256(p.Encode())
			unmet = s.conditions("session")
			f.Detail = fmt.Sprintf("%.16s, made by %s; a session takes %s", p.Digest(), p.Manifest.Compiler, sizeText(p.SessionBytes(role)))
			if p.SessionBytes(role) > cfg.memory {
				f.Failed, f.Detail = true, fmt.Sprintf("limits.memory is %s, but one session takes %s", sizeText(cfg.memory), sizeText(p.SessionBytes(role)))
			}
		}
		if unmet != nil {
			warn("policies", "%s", unmet)
		}
		if slices.ContainsFunc(p.Manifest.Weights, func(w plan.Port) bool { return w.Owner == name }) {
			if cfg.Weights == "" {
				add("weights", fmt.Errorf("%s owns weights of this plan; add weights: FILE", name), "")
			} else {
				_, werr := os.Stat(cfg.Weights)
				add("weights", werr, "%s", filepath.Base(cfg.Weights))
			}
		}
	}
	add("state", checkState(cfg.State), "%s can be written", cfg.State)
	if cfg.Listen == "" {
		add("listen", errors.New("listen is missing: the address to answer on"), "")
	} else if l, lerr := net.Listen("tcp", cfg.Listen); lerr == nil {
		add("listen", l.Close(), "%s is free", cfg.Listen)
	} else if addr := cfg.Servers[name]; err == nil && addr != "" && reach(ctx, conf, name, addr) == nil {
		add("listen", nil, "%s answers as %s: this server runs", addr, name)
	} else {
		add("listen", lerr, "")
	}
	if err != nil || perr != nil {
		return out
	}
	node := grpcnet.NewNode(conf, name, nil)
	defer node.Close()
	node.Worker = cfg.Worker
	for _, role := range p.Roles() {
		if role == name {
			continue
		}
		detail, warning, rerr := checkPeer(ctx, node, conf, role, cfg, p)
		if add(role, rerr, "%s", detail) && warning != "" {
			warn(role, "%s", warning)
		}
	}
	return out
}

func dateOf(c *x509.Certificate) string {
	if c == nil {
		return ""
	}
	return c.NotAfter.UTC().Format("2006-01-02 15:04 MST")
}

func sizeText(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

// ownCertificate checks what peers will check.
func ownCertificate(conf *tls.Config, leaf *x509.Certificate) error {
	now := time.Now()
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate is valid from %s on; now it is %s here", leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate ended at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	inter := x509.NewCertPool()
	for _, der := range conf.Certificates[0].Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			inter.AddCert(c)
		}
	}
	for _, use := range []struct {
		usage x509.ExtKeyUsage
		name  string
	}{{x509.ExtKeyUsageServerAuth, "serverAuth"}, {x509.ExtKeyUsageClientAuth, "clientAuth"}} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: conf.RootCAs, Intermediates: inter, KeyUsages: []x509.ExtKeyUsage{use.usage}}); err != nil {
			return fmt.Errorf("certificate will not be accepted by peers that have this ca (%s): %w", use.name, err)
		}
	}
	return nil
}

// checkState wants a folder that can be written and that others cannot read.
func checkState(dir string) error {
	if dir == "" {
		return errors.New("state is missing: the folder that keeps session ids from being used twice")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s can be written by others (mode %#o): chmod 700 it", dir, st.Mode().Perm())
	}
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 4096))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(f.Name()))
}

// reach makes a TLS connection and says in plain words why it fails.
func reach(ctx context.Context, conf *tls.Config, name, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	c := conf.Clone()
	c.ServerName, c.NextProtos = name, []string{"h2"}
	conn, err := (&tls.Dialer{Config: c}).DialContext(ctx, "tcp", addr)
	var unknown x509.UnknownAuthorityError
	var wrong x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return conn.Close()
	case errors.As(err, &unknown):
		return fmt.Errorf("%s at %s shows a certificate of another authority than tls.ca", name, addr)
	case errors.As(err, &wrong):
		return fmt.Errorf("%s is expected at %s, but the certificate there names %v", name, addr, wrong.Certificate.DNSNames)
	case errors.As(err, &invalid):
		return fmt.Errorf("%s at %s: %w; compare the clocks of both machines", name, addr, err)
	}
	return fmt.Errorf("%s cannot be reached at %s: %w", name, addr, err)
}

// checkPeer asks another role what it is.
func checkPeer(ctx context.Context, node *grpcnet.Node, conf *tls.Config, name string, cfg *Config, p *plan.Plan) (detail, warning string, err error) {
	addr := cfg.Servers[name]
	if addr == "" {
		return "", "", fmt.Errorf("servers has no address of %q", name)
	}
	if err := reach(ctx, conf, name, addr); err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(ctx, peerWait)
	defer cancel()
	start := time.Now()
	data, err := node.Call(ctx, name, addr, "Status", []byte("{}"))
	if err != nil {
		return "", "", fmt.Errorf("%w; does it know our authority?", err)
	}
	end := time.Now()
	var r statusReply
	if err := json.Unmarshal(data, &r); err != nil {
		return "", "", fmt.Errorf("%s answers with a malformed status", name)
	}
	skew := time.Unix(0, r.Time).Sub(start.Add(end.Sub(start) / 2)).Round(time.Millisecond)
	switch {
	case r.Protocol != grpcnet.Protocol || r.Format != plan.Version:
		return "", "", fmt.Errorf("%s runs %.40q with protocol %d and plan format %d, here they are %d and %d: run the same release at all roles", name, r.Software, r.Protocol, r.Format, grpcnet.Protocol, plan.Version)
	case r.Plan != p.Digest():
		return "", "", fmt.Errorf("%s runs plan %.16q, here it is %.16s: all roles must run the same plan file", name, r.Plan, p.Digest())
	case r.Worker != cfg.Worker || r.Workers != cfg.Workers:
		return "", "", fmt.Errorf("%s at %s is worker %d of %d, here it is %d of %d: all roles must have the same workers, and servers must lead to those of the same number", name, addr, r.Worker, r.Workers, cfg.Worker, cfg.Workers)
	case r.Stopping:
		warning = name + " is stopping"
	case skew.Abs() > clockSkew:
		warning = fmt.Sprintf("the clock of %s is %v ahead of ours; certificates and material expire by the clock", name, skew)
	}
	return fmt.Sprintf("%s answers in %v, version %.40q, clock %+dms, %d sessions at once", addr, end.Sub(start).Round(10*time.Microsecond), r.Software, skew.Milliseconds(), r.Capacity), warning, nil
}
