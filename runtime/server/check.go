package server

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
	"smpcc/runtime/grpcnet"
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
	conf, name, err := certificateOf(cfg)
	var leaf *x509.Certificate
	if conf != nil {
		leaf = conf.Certificates[0].Leaf
	}
	if add("certificate", err, "%s, until %s", name, dateOf(leaf)) {
		if st, err := os.Stat(cfg.TLS.Key); err == nil && st.Mode().Perm()&0o007 != 0 {
			warn("certificate", "everybody on this machine can read the key %s (mode %#o): chmod 600, or 640 for a group of the server's own", cfg.TLS.Key, st.Mode().Perm())
		}
		if left := leaf.NotAfter.Sub(cfg.now()); left < soonExpires {
			warn("certificate", "%s ends in %v", cfg.TLS.Cert, left.Round(time.Hour))
		}
	}
	var plans []*plan.Plan
	files, lerr := cfg.planFiles(name)
	if lerr != nil {
		add("plans", lerr, "")
	}
	if cfg.Plan != "" {
		files = append([]planFile{{source: control.FromConfiguration, file: cfg.Plan, weights: cfg.Weights}}, files...)
	} else if len(files) == 0 && cfg.Plans == "" && len(cfg.PlanClients) == 0 {
		add("plan", errors.New("plan is missing"), "")
	}
	for _, file := range files {
		if p := checkPlan(cfg, name, dealer, file, err == nil, add, warn); p != nil {
			plans = append(plans, p)
		}
	}
	if add("state", checkState(disk.Machine, cfg.State), "%s can be written", cfg.State) {
		if ferr := checkFiles(cfg.State); ferr != nil {
			add("state", ferr, "")
		}
	}
	if cfg.Datasets != "" {
		checkDatasets(cfg.Datasets, add)
	}
	if cfg.Listen == "" {
		add("listen", errors.New("listen is missing: the address to answer on"), "")
	} else if l, lerr := net.Listen("tcp", cfg.Listen); lerr == nil {
		add("listen", l.Close(), "%s is free", cfg.Listen)
	} else if addr := cfg.Servers[name]; err == nil && addr != "" && reach(ctx, conf, name, addr) == nil {
		add("listen", nil, "%s answers as %s: this server runs", addr, name)
	} else {
		if errors.Is(lerr, syscall.EADDRINUSE) {
			lerr = fmt.Errorf("%w; another program has it, or this server runs and is not reached as %s at servers", lerr, name)
		}
		add("listen", lerr, "")
	}
	if err != nil || len(plans) == 0 {
		return out
	}
	node := grpcnet.NewNode(conf, name, nil)
	defer node.Close()
	node.Worker = cfg.Worker
	for _, p := range plans {
		for _, role := range p.Roles() {
			if role == name {
				continue
			}
			what := role
			if len(plans) > 1 {
				what = fmt.Sprintf("%s, plan %.16s", role, p.Digest())
			}
			detail, warning, rerr := checkPeer(ctx, node, conf, role, cfg, p)
			if add(what, rerr, "%s", detail) && warning != "" {
				warn(what, "%s", warning)
			}
		}
	}
	return out
}

// checkDatasets reads the schemas of data that the catalogue shows.
func checkDatasets(dir string, add func(what string, err error, format string, args ...any) bool) {
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if _, serr := os.Stat(dir); serr != nil {
		err = serr
	}
	if err != nil {
		add("datasets", err, "")
	}
	for _, file := range files {
		d, err := readDataset(file)
		add("data set "+filepath.Base(file), err, "%s, %s rows, %d columns", d.Name, d.Rows, len(d.Columns))
	}
}

// checkPlan tests one plan, and its weights. mine says that the name is the certificate's. It returns the plan if it can be read.
func checkPlan(cfg *Config, name string, dealer bool, file planFile, mine bool, add func(what string, err error, format string, args ...any) bool, warn func(what, format string, args ...any)) *plan.Plan {
	what := "plan"
	if file.source != control.FromConfiguration {
		what = "plan of the " + file.source + " " + filepath.Base(file.file)
		if file.source == control.FromDeployment {
			what = fmt.Sprintf("plan %.16s, deployed", file.record.Plan)
		}
	}
	p, err := file.read()
	if err = errors.Join(err, file.err); err != nil {
		add(what, err, "")
		return nil
	}
	role := slices.Index(p.Roles(), name)
	var unmet error // what the policies ask of a run and does not hold now
	switch {
	case !mine:
	case role < 0:
		err = fmt.Errorf("the certificate names %q, but the plan's roles are %v", name, p.Roles())
	case dealer != (role == p.NumParties()):
		err = otherKind(name, dealer)
	default:
		s := &deployment{Server: &Server{cfg: cfg, name: name, dealer: dealer}, plan: p, role: role, digest: sha256.Sum256(p.Encode()), weightsFile: file.weights}
		if file.source != control.FromConfiguration {
			s.file = file.file
		}
		if err = s.approve(); err != nil {
			break
		}
		if err = s.bindWeights(); err != nil {
			break
		}
		unmet = s.conditions(jobRequest{Purpose: "session"})
		err = cfg.tooSmall(p, role)
	}
	detail := ""
	if mine && role >= 0 {
		detail = fmt.Sprintf("; a session takes %s", sizeText(sessionMemory(p, role)))
	}
	add(what, err, "%.16s, made by %s%s", p.Digest(), p.Manifest.Compiler, detail)
	if unmet != nil {
		warn("policies", "%s", unmet)
	}
	if ownsWeights(p, name) {
		if file.weights == "" {
			add("weights", fmt.Errorf("%s owns weights of this plan; add weights: FILE", name), "")
		} else {
			add("weights", checkWeights(cfg, p, file.weights, name), "%s", filepath.Base(file.weights))
		}
	}
	return p
}

// otherKind is the refusal of a configuration of a dealer by a command for parties, and the reverse.
func otherKind(name string, dealer bool) error {
	if dealer {
		return fmt.Errorf("%q is a party of this plan, not its dealer; use smpcc party", name)
	}
	return fmt.Errorf("%q is the dealer of this plan, not a party; use smpcc dealer", name)
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
func ownCertificate(conf *tls.Config, leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("certificate is valid from %s on; now it is %s here", leaf.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return fmt.Errorf("certificate ended at %s; renew it, and restart the server", leaf.NotAfter.UTC().Format(time.RFC3339))
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
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: conf.RootCAs, Intermediates: inter, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use.usage}}); err != nil {
			return fmt.Errorf("certificate will not be accepted by peers that have this ca (%s): %w; it must be signed by an authority in tls.ca, with both extended key usages, serverAuth and clientAuth", use.name, err)
		}
	}
	return nil
}

// checkWeights reads this owner's weights, all of them, as a start does.
func checkWeights(cfg *Config, p *plan.Plan, file, name string) error {
	if cfg.ReadWeights == nil {
		_, err := os.Stat(file)
		return err
	}
	_, err := cfg.ReadWeights(p, file, name)
	return err
}

// checkState wants a folder that can be written, with some room, and that others cannot write.
func checkState(d disk.Disk, dir string) error {
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
	f, made, err := disk.Begin(d, filepath.Join(dir, "probe"), 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, probeBytes))
	if err = errors.Join(err, f.Sync(), f.Close(), d.Remove(made)); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// probeBytes is what a disk must still take.
const probeBytes = 4 << 10

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

// checkPeer makes a connection to another role, for the sake of what it says of one that fails, and asks it what it is.
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
	return askPeer(ctx, node, name, cfg, p)
}
