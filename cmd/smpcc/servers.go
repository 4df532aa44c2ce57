package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/bench"
	"smpcc/ir"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/engine"
	"smpcc/runtime/keys"
	"smpcc/runtime/local"
	"smpcc/runtime/server"
	"smpcc/runtime/timeline"
)

func serverCommands() []*cobra.Command {
	group := func(use, short string, subs ...*cobra.Command) *cobra.Command {
		c := &cobra.Command{Use: use, Short: short, Args: func(c *cobra.Command, args []string) error {
			return usagef("%s needs a subcommand; see %s --help", c.CommandPath(), c.CommandPath())
		}, RunE: func(*cobra.Command, []string) error { return nil }}
		c.AddCommand(subs...)
		return c
	}
	return []*cobra.Command{
		group("party", "Run a party's server", serveCommand(false), checkCommand(false)),
		group("dealer", "Run the dealer's server", serveCommand(true), checkCommand(true)),
		inferCommand(),
		group("material", "Make material ahead of use, and count it", materialStatusCommand(), materialGenerateCommand()),
		group("state", "Look after a server's state folder", stateGCCommand()),
		group("keys", "Make certificates and signing keys", keysDevCommand(), keysSignCommand()),
		group("weights", "Bind an owner to its weights, and prove which ones they were", weightsCommands()...),
		group("plan", "Sign plans, show who has, and look after those of running servers", planCommands()...),
		approveCommand(), revokeCommand(),
		requestCommand(), group("requests", "Look at what others ask a server's organisation to run, and decide", requestsCommands()...),
		catalogueCommand(), historyCommand(), budgetCommand(),
		group("log", "Check a server's audit log, and report what it says", logVerifyCommand(), logReportCommand()),
		group("policy", "Check and explain policies", policyCommands()...),
	}
}

// workerFlag adds --worker to a command that speaks for one server of a configuration.
func workerFlag(c *cobra.Command, worker *int) {
	c.Flags().IntVar(worker, "worker", -1, "which of the configuration's workers, `N` from 0 on; by default its worker")
}

// readConfig reads a configuration for the worker of --worker, if that was given.
func readConfig(file string, worker int) (*server.Config, error) {
	cfg, err := server.ReadConfig(file)
	if err != nil || worker < 0 {
		return cfg, err
	}
	return cfg.ForWorker(worker), hasWorker(&cfg.Config, file, worker)
}

// readClientConfig reads what a client needs of a configuration, which may be a server's.
func readClientConfig(file string, worker int) (*control.Config, error) {
	cfg, err := control.ReadConfig(file)
	if err != nil || worker < 0 {
		return cfg, err
	}
	return cfg.ForWorker(worker), hasWorker(cfg, file, worker)
}

// hasWorker wants a worker that a configuration counts.
func hasWorker(cfg *control.Config, file string, worker int) error {
	if worker >= cfg.Workers {
		return usagef("--worker %d: %s has workers: %d, counted from 0", worker, file, cfg.Workers)
	}
	return nil
}

func serveCommand(dealer bool) *cobra.Command {
	var config string
	var worker int
	who := "party"
	if dealer {
		who = "dealer"
	}
	c := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Serve the " + who + "'s role of one plan or several until interrupted",
		Long: `Serve runs one role for others. The configuration is YAML:

  listen: 0.0.0.0:7101              # address to answer on
  plan: model.plan                  # the plan; all roles must have the same file
  servers: {p0: host:port, ...}     # where the other roles answer
  tls: {ca: ca.crt, cert: p0.crt, key: p0.key}
  state: state/                     # keeps session ids from being used twice; do not delete or copy
  policy: p0.policy.yaml            # parties that own data: the plan must have been compiled under this policy
  weights: model.plan.p0.weights.npz
  clients: [p0-client]              # certificates that may open sessions, give inputs and read outputs of this party
  approvals: model.plan.sigs        # signatures on the plan's digest; by default beside the plan
  opening: model.p0.opening         # of the commitment to the weights, which are compared with it; smpcc weights commit makes it
  timeout: 30s                      # of each exchange
  input_timeout: 10m                # how long a session waits for this party's input
  drain: 30s                        # how long to wait for running sessions when asked to stop
  limits: {sessions: 32, memory: 4GiB, queue: 256, queue_timeout: 1m}
  material: {low: 16, high: 64, expire: 168h, disk: 10GiB}   # made ahead; low and high count at the first party
  telemetry: {listen: "127.0.0.1:9101", traces: "https://collector:4318"}   # timelines: DIR keeps a Chrome trace of each session

A server runs its roles of several plans. Those of a folder it reads at its start; others are deployed and withdrawn while it runs, by smpcc plan, and kept in its state:

  plans: plans/                     # NAME.plan, with NAME.plan.ROLE.weights.npz and NAME.plan.sigs beside it; plan: may be left out
  plan_clients: [ops]               # certificates that may deploy and withdraw; the server's own may always
  plan_users: {e5f217abc4d8b667: [analyst]}   # clients of one plan, in place of clients
  policies: [other.policy.yaml]     # more policies of this owner, where plans were compiled under different ones
  limits: {plans: 16, plan_sessions: 8, upload: 1GiB}   # sessions and memory are limits of all plans together

Others may ask that plans be run, and members of the organisation decide (smpcc request, smpcc requests):

  requests: {from: [analyst], waiting: 4, per_day: 16, keep: 128, plan: 64MiB, disk: 1GiB, expire: 720h}
  members: {viewers: [clerk], approvers: [officer], operators: [ops]}
  budgets: [{client: analyst, runs: 100, rows: 10000, runs_per_month: 20}, {client: "*", runs: 1000}]
  datasets: datasets/               # NAME.yaml: schemas of data that the catalogue shows
  alerts: {webhook: "https://alerts.example.org/smpcc"}   # requests, refusals, 80 % of a budget, certificate, peers' logs
  console: {listen: "127.0.0.1:7443"}                     # pages for members, by their certificates

Where one server of each role is too slow, each organisation runs several, which work in pairs: worker 3 of one with worker 3 of
the others. Then {worker} in addresses and in the state folder stands for the number that --worker gives:

  workers: 4                        # the same at all roles and clients
  servers: {p0: "p0-{worker}.p0.example.org:7101", ...}

Logs are JSON lines on standard error. SIGTERM and interrupt stop it when its sessions have ended.

There is no mode without certificates and no default policy.`,
		Args: exactly(0, "no arguments"),
	}
	c.Flags().StringVar(&config, "config", "", "configuration `FILE`")
	workerFlag(c, &worker)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if config == "" {
			return usagef("%s: --config FILE is missing", c.CommandPath())
		}
		cfg, err := readConfig(config, worker)
		if err != nil {
			return err
		}
		var p *plan.Plan
		switch {
		case cfg.Plan != "":
			if p, err = typed.ReadFile(cfg.Plan); err != nil {
				return err
			}
		case cfg.Plans == "" && len(cfg.PlanClients) == 0:
			return fmt.Errorf("%s: plan is missing; plans: DIR serves those of a folder, and plan_clients: [NAME] takes them by smpcc plan deploy", config)
		}
		cfg.Software, cfg.CPU, cfg.ReadWeights = smpcc.Version, bench.CPU, planWeights
		cfg.CheckWeights, cfg.Auditor = checkBound, consoleAuditor()
		var weights [][]uint64
		if !dealer && p != nil {
			_, name, err := keys.Load(cfg.TLS)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(p.Manifest.Weights, func(w plan.Port) bool { return w.Owner == name }) {
				if cfg.Weights == "" {
					return fmt.Errorf("%s: %s owns weights of this plan; add weights: FILE", config, name)
				}
				if weights, err = planWeights(p, cfg.Weights, name); err != nil {
					return err
				}
			}
		}
		s, err := server.New(cfg, p, weights, dealer, slog.New(slog.NewJSONHandler(c.ErrOrStderr(), nil)))
		if err != nil {
			return fmt.Errorf("%s: %w", config, err)
		}
		if p != nil {
			boundGarbage(p)
		}
		return s.Serve(c.Context(), nil)
	}
	return c
}

func keysDevCommand() *cobra.Command {
	var roles []string
	c := &cobra.Command{
		Use:   "dev DIR",
		Short: "Make an authority and certificates for trying things out",
		Long:  "Dev writes ca.crt and, for every role NAME and its client NAME-client, a certificate and key. The authority's key is not kept.",
		Args:  exactly(1, "one DIR"),
	}
	c.Flags().StringSliceVar(&roles, "roles", []string{"p0", "p1", "d"}, "`NAMES` of the roles")
	c.RunE = func(c *cobra.Command, args []string) error {
		var names []string
		for _, r := range roles {
			names = append(names, r, keys.ClientName(r))
		}
		if err := keys.Dev(args[0], names); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.OutOrStdout(), "%s: ca.crt and certificates for %s\n", args[0], strings.Join(names, ", "))
		return err
	}
	return c
}

// bindOwn encodes the inputs, from files, of the parties that a client acts for; nil for those of others.
func bindOwn(p *plan.Plan, owners []string, data map[string]*ir.Tensor, files map[string]string) ([][]uint64, error) {
	out := make([][]uint64, len(p.Manifest.Inputs))
	used := map[string]bool{}
	data, err := presented(p, data, files)
	if err != nil {
		return nil, err
	}
	for i, port := range p.Manifest.Inputs {
		if !slices.Contains(owners, port.Owner) {
			continue
		}
		t := data[port.Name]
		if t == nil {
			return nil, usagef("input %q of %s (%s%v) has no data; give --input %s=FILE", port.Name, port.Owner, port.Elem, ir.Shape(port.Shape), port.Name)
		}
		used[port.Name] = true
		var err error
		if out[i], err = smpcc.BindInput(p, port, fit(t, dimensions(port))); err != nil {
			return nil, inFile(files[port.Name], err)
		}
	}
	for _, n := range sortedKeys(data) {
		if !used[n] {
			return nil, usagef("--input %s: this client gives no input of that name; it acts for %s", n, strings.Join(owners, ", "))
		}
	}
	return out, nil
}

// runProcesses runs the job with one process per role on loopback, with certificates made for this run.
func (j *job) runProcesses(ctx context.Context, bar *progress, in [][]uint64) (err error) {
	dir, err := os.MkdirTemp("", "smpcc-run-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	roles := j.plan.Roles()
	var names []string
	for _, r := range roles {
		names = append(names, r, keys.ClientName(r))
	}
	certs := filepath.Join(dir, "keys")
	if err := keys.Dev(certs, names); err != nil {
		return err
	}
	planFile := filepath.Join(dir, "run.plan")
	if err := plan.WriteFile(planFile, j.plan); err != nil {
		return err
	}
	weightsOf := planFile
	if j.comp != nil {
		if err := j.writeWeights(planFile); err != nil {
			return err
		}
	} else if weightsOf, err = filepath.Abs(j.path); err != nil {
		return err
	}
	addrs := map[string]string{}
	for _, r := range roles {
		if addrs[r], err = server.FreeAddress(); err != nil {
			return err
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	approvals, err := filepath.Abs(attest.File(j.path))
	if err != nil {
		return err
	}
	client := keys.ClientName(roles[0])
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	exited := make(chan error, len(roles))
	bar.stage("starting servers")
	var started []*exec.Cmd
	defer func() {
		for _, c := range started {
			_ = c.Process.Signal(syscall.SIGTERM) // it may have ended by itself
		}
		for range started {
			<-exited
		}
	}()
	for i, r := range roles {
		cfg := server.Config{Config: control.Config{Plan: planFile, Servers: addrs, TLS: keys.DevFiles(certs, r)}, Listen: addrs[r], State: filepath.Join(dir, "state-"+r), Clients: []string{client}}
		if j.timeline != "" {
			cfg.Telemetry.Timelines = filepath.Join(dir, "timelines")
		}
		if j.comp == nil {
			cfg.Approvals = approvals
		}
		for _, p := range j.plan.Manifest.Policies {
			if p.Owner == r {
				cfg.PolicyDigest = p.Digest
			}
		}
		if slices.ContainsFunc(j.plan.Manifest.Weights, func(w plan.Port) bool { return w.Owner == r }) {
			cfg.Weights = weightsFile(weightsOf, r)
		}
		data, err := yaml.Marshal(cfg)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, r+".yaml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			return err
		}
		kind := "party"
		if i == len(roles)-1 {
			kind = "dealer"
		}
		var log strings.Builder
		c := exec.Command(exe, kind, "serve", "--config", file)
		c.Stderr = &log
		if err := c.Start(); err != nil {
			return err
		}
		started = append(started, c)
		go func() {
			err := c.Wait()
			if ctx.Err() == nil {
				err = fmt.Errorf("server of %s ended: %w\n%s", r, errors.Join(err, errors.New("see its log")), strings.TrimSpace(log.String()))
				cancel()
			}
			exited <- err
		}()
	}
	cl, err := control.NewClient(&control.Config{Servers: addrs, TLS: keys.DevFiles(certs, client), ActsFor: j.plan.Manifest.Parties}, j.plan)
	if err != nil {
		return err
	}
	defer cl.Close()
	wait, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	for _, r := range roles {
		if err := cl.Ready(wait, r); err != nil {
			return j.serverError(exited, &started, err)
		}
	}
	bar.stage("running")
	session := func(measured bool) error {
		if err := j.session(ctx, cl, in); err != nil {
			return j.serverError(exited, &started, err)
		}
		if measured && j.each != nil {
			j.each()
		}
		return nil
	}
	if j.sessions == 0 { // one run, not a measurement
		err = session(true)
	} else {
		err = bench.Sessions(j.sessions, session)
	}
	if err != nil {
		return err
	}
	if j.timeline != "" {
		if err := j.mergeTimelines(filepath.Join(dir, "timelines")); err != nil {
			return err
		}
	}
	for _, c := range started {
		j.peaks = append(j.peaks, bench.PeakRSS(strconv.Itoa(c.Process.Pid)))
	}
	cancel()
	return nil
}

// mergeTimelines joins what the servers recorded to one file.
func (j *job) mergeTimelines(dir string) error {
	var traces []*timeline.Trace
	for _, role := range j.plan.Roles() {
		files, err := filepath.Glob(filepath.Join(dir, role+"-*.json"))
		if err != nil {
			return err
		}
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			t := &timeline.Trace{}
			if err := json.Unmarshal(data, t); err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			traces = append(traces, t)
		}
	}
	return plan.WriteAtomicTo(j.timeline, 0o644, timeline.Merge(traces).Write)
}

// session runs one session on servers.
func (j *job) session(ctx context.Context, cl *control.Client, in [][]uint64) error {
	roles := j.plan.Roles()
	session, err := cl.Open(ctx)
	if err != nil {
		return err
	}
	for _, who := range j.plan.Manifest.Parties {
		if err := cl.Input(ctx, session, who, in); err != nil {
			return err
		}
	}
	results := make([]*control.RoleResult, len(roles))
	for ph := range j.phases {
		j.phases[ph] = local.Phase{Sent: make([]int64, len(roles))}
	}
	j.cpu = make([]float64, len(roles))
	for i, r := range roles {
		if results[i], err = cl.Result(ctx, session, r); err != nil {
			return err
		}
		for ph, s := range []engine.PhaseStats{results[i].Setup, results[i].Offline, results[i].Online} {
			x := &j.phases[ph]
			if plan.Phase(ph) == plan.Online && s.Rounds > 0 && x.Rounds > 0 {
				x.Seconds = min(x.Seconds, s.Seconds) // from when the last input was there: others had to wait for it
			} else {
				x.Seconds = max(x.Seconds, s.Seconds)
			}
			x.Rounds = max(x.Rounds, s.Rounds)
			x.Sent[i] = s.BytesSent
			x.CPU += time.Duration(s.CPU * 1e9)
		}
	}
	for i := range roles {
		j.cpu[i] = results[i].Offline.CPU
	}
	j.collect(func(role int) map[string][]uint64 { return results[role].Outputs })
	return nil
}

// serverError prefers the report of a server that has ended to the error of the client that misses it.
func (j *job) serverError(exited chan error, started *[]*exec.Cmd, err error) error {
	select {
	case e := <-exited:
		*started = (*started)[:len(*started)-1] // one less to wait for
		return e
	case <-time.After(200 * time.Millisecond):
		return err
	}
}

// writeWeights writes the weights of a compilation beside its plan.
func (j *job) writeWeights(planFile string) error {
	owners := map[string]map[string]*ir.Tensor{}
	for _, w := range j.plan.Manifest.Weights {
		if owners[w.Owner] == nil {
			owners[w.Owner] = map[string]*ir.Tensor{}
		}
		owners[w.Owner][w.Name] = j.comp.Weights[w.Name]
	}
	for _, o := range sortedKeys(owners) {
		if err := writeWeights(weightsFile(planFile, o), owners[o]); err != nil {
			return err
		}
	}
	return nil
}
