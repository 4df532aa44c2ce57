package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/bench"
	"smpcc/ir"
	"smpcc/runtime/control"
	"smpcc/runtime/timeline"
)

func benchCommand() *cobra.Command {
	var only, transports []string
	var asJSON, throughput bool
	var runs, batch int
	var plotFile, profile, lines, calibrate, machineFile, report, budget string
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure generated models on this machine",
		Long: `Bench generates models with random weights, compiles them, with ranges from a sample, and runs two parties and the dealer.
Times are medians. The floor of a result is the time of its multiplications as a plaintext ring product on this machine, and
of its bytes over loopback, one after the other. wan is memory slowed down to a round trip of 40 ms and 100 Mbit/s, with a plan
compiled for --net wan.

Each result is measured in processes of its own, so that its memory is its own. One that fails is reported and the others go on; the
exit code is 1 then. Sessions of half a second, at least one, are run before any is measured. A result has fewer sessions than --runs if they
take longer than half a minute.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("smpcc bench takes no arguments")
			}
			return nil
		},
	}
	var names []string
	for _, m := range bench.Models() {
		names = append(names, m.Name)
	}
	f := c.Flags()
	f.StringSliceVar(&only, "only", nil, "`NAMES` of models to run: "+strings.Join(names, ","))
	f.StringSliceVar(&transports, "transport", []string{"memory"}, "memory, grpc (a process for each role, mutual TLS) or wan")
	f.BoolVar(&asJSON, "json", false, "print results as JSON")
	f.IntVar(&runs, "runs", 5, "sessions per model, at most")
	f.IntVar(&batch, "batch", 0, "inputs per session, for models with a batch dimension; 0 is the model's own")
	f.BoolVar(&throughput, "throughput", false, "also run models at larger batch sizes, in memory, to find the one with most inputs a second")
	f.StringVar(&budget, "memory", "8GiB", "with --throughput: leave out batch sizes whose roles are predicted to take more than `SIZE`")
	f.StringVar(&plotFile, "plot", "", "`FILE`.svg or .png to draw online times into")
	f.StringVar(&calibrate, "calibrate", "", "measure this machine on small models, write its profile to `FILE` for --machine, and stop")
	f.StringVar(&machineFile, "machine", "", "profile `FILE` that --calibrate wrote: show predicted times beside measured ones")
	f.StringVar(&report, "report", "", "`FILE`.md to write a page of results into, with a plot FILE.svg beside it")
	f.StringVar(&profile, "cpuprofile", "", "`FILE` to write a CPU profile of the sessions in memory to, with labels for role and phase; with several results, FILE-MODEL-TRANSPORT for each")
	f.StringVar(&lines, "timeline", "", "`FILE`.json to write what each role did in a session and when to, for ui.perfetto.dev or chrome://tracing; files as for --cpuprofile")
	c.AddCommand(benchPrepareCommand(), benchSessionsCommand())
	c.RunE = func(c *cobra.Command, _ []string) error {
		for _, n := range only {
			if !slices.Contains(names, n) {
				return usagef("--only %s: no model is called that; there are %s", n, strings.Join(names, ", "))
			}
		}
		for _, t := range transports {
			if t != "memory" && t != "grpc" && t != "wan" {
				return usagef("--transport %s: want memory, grpc or wan", t)
			}
		}
		if runs < 1 {
			return usagef("--runs %d: want at least 1", runs)
		}
		if report != "" && filepath.Ext(report) != ".md" {
			return usagef("--report %s: want FILE.md", report)
		}
		most, err := control.ParseSize(budget)
		if err != nil {
			return usagef("--memory %s: %w", budget, err)
		}
		var rows []benchRow
		for _, m := range bench.Models() {
			if len(only) > 0 && !slices.Contains(only, m.Name) {
				continue
			}
			if _, err := bench.ModelOf(m.Name, batch); err != nil || batch < 0 {
				return usagef("--batch %d: %s has no batch of that size; name models with --only", batch, m.Name)
			}
			rows = append(rows, benchRow{model: m.Name, batch: batch, transports: transports})
			if throughput {
				for _, n := range m.Batches {
					rows = append(rows, benchRow{model: m.Name, batch: n, transports: []string{"memory"}, budget: most})
				}
			}
		}
		var known *bench.Profile
		if machineFile != "" {
			if known, err = bench.ReadProfile(machineFile); err != nil {
				return err
			}
		}
		bar := newProgress(c.ErrOrStderr())
		defer bar.done()
		bar.stage("measuring the machine")
		machine, err := bench.Measure()
		if err != nil {
			return err
		}
		if calibrate != "" {
			found, err := bench.Calibrate(machine, runs, func(s string) { bar.stage("measuring " + s) }, func(p *bench.Prepared, m *bench.Machine, transport string, runs int) (*bench.Result, error) {
				return benchAlone(c.Context(), p, m, transport, runs)
			})
			if err != nil {
				return err
			}
			bar.done()
			if err := found.Write(calibrate); err != nil {
				return err
			}
			return calibrateTable(c, found)
		}
		s := &suite{ctx: c.Context(), bar: bar, machine: machine, known: known, runs: runs, profile: profile, timeline: lines, several: len(rows) > 1 || len(transports) > 1}
		rep := &bench.Report{Machine: machine, Runs: runs}
		var failed []error
		for _, row := range rows {
			if c.Context().Err() != nil {
				break
			}
			results, err := s.run(row)
			if err != nil {
				return err
			}
			for _, r := range results {
				if r.Failure != "" {
					failed = append(failed, fmt.Errorf("%s over %s: %s", r.Name, r.Transport, r.Failure))
				}
			}
			if row.budget > 0 {
				rep.Batches = append(rep.Batches, results...)
			} else {
				rep.Results = append(rep.Results, results...)
			}
		}
		bar.done()
		if err := c.Context().Err(); err != nil { // what there is is shown, but on no page
			failed, plotFile, report = append(failed, err), "", ""
		}
		if plotFile != "" {
			data, err := bench.Draw(rep.Results, strings.TrimPrefix(filepath.Ext(plotFile), "."))
			if err != nil {
				return err
			}
			if err := plan.WriteAtomic(plotFile, data, 0o644); err != nil {
				return err
			}
		}
		if report != "" {
			image := strings.TrimSuffix(report, ".md") + ".svg"
			if len(failed) < len(rep.Results) { // there is something to draw
				data, err := bench.Draw(rep.Results, "svg")
				if err != nil {
					return err
				}
				if err := plan.WriteAtomic(image, data, 0o644); err != nil {
					return err
				}
			}
			if err := plan.WriteAtomic(report, rep.Markdown(filepath.Base(image)), 0o644); err != nil {
				return err
			}
		}
		if asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			err = e.Encode(rep)
		} else {
			err = benchTable(c, rep)
		}
		return errors.Join(append(failed, err)...)
	}
	return c
}

// A benchRow is a model at a batch size, to be measured over some transports.
type benchRow struct {
	model      string
	batch      int // 0 for the model's own
	transports []string
	budget     int64 // bytes that its roles may take, and more is no failure; 0 if it runs whatever it takes
}

// A suite measures rows, each in processes of its own.
type suite struct {
	ctx               context.Context
	bar               *progress
	machine           *bench.Machine
	known             *bench.Profile // nil without predictions
	runs              int
	profile, timeline string
	several           bool // results: each has a file of its own
}

// run measures a row. The error is of the suite; a result that fails says so itself.
func (s *suite) run(row benchRow) ([]*bench.Result, error) {
	var out []*bench.Result
	m, err := bench.ModelOf(row.model, row.batch)
	if err != nil {
		return nil, err
	}
	for _, net := range []string{"lan", "wan"} { // plans differ
		var over []string
		for _, t := range row.transports {
			if (t == "wan") == (net == "wan") {
				over = append(over, t)
			}
		}
		if len(over) == 0 {
			continue
		}
		dir, err := os.MkdirTemp("", "smpcc-bench-*")
		if err != nil {
			return nil, err
		}
		results, err := s.compiled(row, m, net, over, dir)
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			return nil, err
		}
		out = append(out, results...)
	}
	return out, nil
}

// compiled compiles a row for a network in a folder and measures it over the transports of that network.
func (s *suite) compiled(row benchRow, m bench.Model, net string, transports []string, dir string) (out []*bench.Result, err error) {
	fail := func(t string, err error) {
		out = append(out, &bench.Result{Name: m.Name, Transport: t, Batch: m.Batch, Failure: err.Error()})
	}
	what := m.Name
	if row.batch > 0 {
		what += fmt.Sprintf(" of batch %d", row.batch)
	}
	s.bar.stage("compiling " + what)
	if _, err := again(s.ctx, "bench", "prepare", dir, "--model", m.Name, "--batch", fmt.Sprint(m.Batch), "--net", net); err != nil {
		for _, t := range transports {
			fail(t, err)
		}
		return out, nil
	}
	p, err := plan.ReadFile(filepath.Join(dir, benchPlan))
	if err != nil {
		return nil, err
	}
	forecast, err := bench.NewForecast(p, s.machine.Cores)
	if err != nil {
		return nil, err
	}
	if row.budget > 0 && forecast.Together > row.budget {
		return nil, nil
	}
	if err := writeMachine(dir, s.machine); err != nil {
		return nil, err
	}
	for _, t := range transports {
		s.bar.stage("running " + what + " over " + t)
		var args []string
		if s.profile != "" {
			args = append(args, "--cpuprofile", s.file(s.profile, m, t))
		}
		if s.timeline != "" {
			args = append(args, "--timeline", s.file(s.timeline, m, t))
		}
		r, err := benchSessions(s.ctx, dir, t, s.runs, args...)
		if err != nil {
			fail(t, err)
			continue
		}
		if s.known != nil {
			s.known.Predict(forecast, r)
		}
		out = append(out, r)
	}
	return out, nil
}

// file names the file of one result.
func (s *suite) file(name string, m bench.Model, transport string) string {
	if !s.several {
		return name
	}
	ext := filepath.Ext(name)
	return fmt.Sprintf("%s-%s-%d-%s%s", strings.TrimSuffix(name, ext), m.Name, m.Batch, transport, ext)
}

// again runs this program in a process of its own and returns what it prints.
func again(ctx context.Context, args ...string) ([]byte, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var out, log bytes.Buffer
	c := exec.CommandContext(ctx, exe, args...)
	c.Stdout, c.Stderr = &out, &log
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) } // it may have processes of its own to end
	c.WaitDelay = 10 * time.Second
	if err := c.Run(); err != nil {
		text := strings.TrimSpace(log.String())
		if i := strings.LastIndex(text, "smpcc: "); i >= 0 {
			return nil, errors.New(text[i+len("smpcc: "):])
		}
		if s, ok := c.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signal() == syscall.SIGKILL {
			return nil, errors.New("its process was killed: the machine may be short of memory")
		}
		return nil, fmt.Errorf("%w: %s", err, text)
	}
	return out.Bytes(), nil
}

// Files of a model that one process compiles and another runs.
const (
	benchPlan    = "bench.plan"
	benchInputs  = "inputs.npz"
	benchWant    = "want.npz"
	benchModel   = "model.json"
	benchMachine = "machine.json"
)

// A compiledModel is what else is known of it.
type compiledModel struct {
	Name    string  `json:"name"`
	Batch   int     `json:"batch"`
	Seconds float64 `json:"seconds"`
}

// benchPrepareCommand compiles a model of the suite; bench runs it in a process of its own, whose memory returns.
func benchPrepareCommand() *cobra.Command {
	var model, net string
	var batch int
	c := &cobra.Command{Use: "prepare DIR", Hidden: true, Short: "Compile a model of the suite into a folder", Args: exactly(1, "one DIR")}
	c.Flags().StringVar(&model, "model", "", "name")
	c.Flags().IntVar(&batch, "batch", 0, "batch size")
	c.Flags().StringVar(&net, "net", "lan", "lan or wan")
	c.RunE = func(_ *cobra.Command, args []string) error {
		m, err := bench.ModelOf(model, batch)
		if err != nil {
			return err
		}
		p, err := bench.Prepare(m, net)
		if err != nil {
			return err
		}
		return writePrepared(args[0], p)
	}
	return c
}

// writePrepared writes what readPrepared reads, but for the machine.
func writePrepared(dir string, p *bench.Prepared) error {
	file := filepath.Join(dir, benchPlan)
	if err := plan.WriteFile(file, p.Plan); err != nil {
		return err
	}
	j := &job{plan: p.Plan, comp: p.Comp}
	if err := j.writeWeights(file); err != nil {
		return err
	}
	if err := writeWeights(filepath.Join(dir, benchInputs), p.Data); err != nil {
		return err
	}
	if err := writeWeights(filepath.Join(dir, benchWant), map[string]*ir.Tensor{"out": p.Want}); err != nil {
		return err
	}
	data, err := json.Marshal(compiledModel{p.Model.Name, p.Model.Batch, p.Seconds})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, benchModel), data, 0o600)
}

// writeMachine writes the yardstick that readPrepared reads.
func writeMachine(dir string, m *bench.Machine) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, benchMachine), data, 0o600)
}

// benchAlone measures a model over a transport in processes of its own.
func benchAlone(ctx context.Context, p *bench.Prepared, m *bench.Machine, transport string, runs int) (r *bench.Result, err error) {
	dir, err := os.MkdirTemp("", "smpcc-bench-*")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := errors.Join(writePrepared(dir, p), writeMachine(dir, m)); err != nil {
		return nil, err
	}
	return benchSessions(ctx, dir, transport, runs)
}

// benchSessions measures the model in a folder over a transport in a process of its own.
func benchSessions(ctx context.Context, dir, transport string, runs int, more ...string) (*bench.Result, error) {
	data, err := again(ctx, append([]string{"bench", "sessions", dir, "--transport", transport, "--runs", fmt.Sprint(runs)}, more...)...)
	if err != nil {
		return nil, err
	}
	r := &bench.Result{}
	return r, json.Unmarshal(data, r)
}

// readPrepared reads what benchPrepareCommand wrote, and the machine that it is measured against.
func readPrepared(dir string) (*bench.Prepared, *bench.Machine, error) {
	var c compiledModel
	machine := &bench.Machine{}
	for name, v := range map[string]any{benchModel: &c, benchMachine: machine} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return nil, nil, err
		}
		if err := json.Unmarshal(data, v); err != nil {
			return nil, nil, err
		}
	}
	var err error
	p := &bench.Prepared{Model: bench.Model{Name: c.Name, Batch: c.Batch}, Seconds: c.Seconds}
	file := filepath.Join(dir, benchPlan)
	if p.Plan, err = plan.ReadFile(file); err != nil {
		return nil, nil, err
	}
	p.Weights = func() ([][]uint64, error) { return planWeights(p.Plan, file, "") }
	shapes := map[string]ir.Shape{}
	for _, port := range p.Plan.Manifest.Inputs {
		shapes[port.Name] = port.Shape
	}
	if p.Data, err = readWeights(filepath.Join(dir, benchInputs), shapes); err != nil {
		return nil, nil, err
	}
	want, err := readWeights(filepath.Join(dir, benchWant), map[string]ir.Shape{"out": p.Plan.Manifest.Outputs[0].Shape})
	if err != nil {
		return nil, nil, err
	}
	p.Want = want["out"]
	return p, machine, p.Bind()
}

// benchSessionsCommand measures a compiled model over a transport; bench runs it in a process of its own, whose memory is the result's.
func benchSessionsCommand() *cobra.Command {
	var transport, profile, lines string
	var runs int
	c := &cobra.Command{Use: "sessions DIR", Hidden: true, Short: "Measure a compiled model", Args: exactly(1, "one DIR")}
	c.Flags().StringVar(&transport, "transport", "memory", "memory, grpc or wan")
	c.Flags().IntVar(&runs, "runs", 1, "sessions")
	c.Flags().StringVar(&profile, "cpuprofile", "", "file")
	c.Flags().StringVar(&lines, "timeline", "", "file")
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		p, machine, err := readPrepared(args[0])
		if err != nil {
			return err
		}
		stop, err := startProfile(profile)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, stop()) }()
		var r *bench.Result
		if transport == "grpc" {
			r, err = benchProcesses(c.Context(), p, machine, runs, &job{path: filepath.Join(args[0], benchPlan), timeline: lines})
		} else {
			boundGarbage(p.Plan)
			ctx := c.Context()
			var rec *timeline.Recorder
			if lines != "" {
				rec = timeline.New(time.Now)
				ctx = timeline.With(ctx, rec)
			}
			r, err = p.Runs(ctx, machine, transport, runs)
			if err == nil && rec != nil {
				err = plan.WriteAtomicTo(lines, 0o644, rec.Trace(p.Plan.Roles()).Write)
			}
		}
		if err != nil {
			return err
		}
		return json.NewEncoder(c.OutOrStdout()).Encode(r)
	}
	return c
}

// startProfile writes a CPU profile to a file, unless it has no name, until stop is called.
func startProfile(file string) (stop func() error, err error) {
	if file == "" {
		return func() error { return nil }, nil
	}
	w, err := os.Create(file)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(w); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return func() error { pprof.StopCPUProfile(); return w.Close() }, nil
}

// benchProcesses runs sessions on servers, one process per role. The job says where the plan is, with weights beside it, if it has been
// written, and where a timeline goes.
func benchProcesses(ctx context.Context, p *bench.Prepared, m *bench.Machine, runs int, j *job) (*bench.Result, error) {
	s := p.Start(m, "grpc")
	j.plan, j.comp, j.inputs, j.sessions = p.Plan, p.Comp, p.Data, runs
	roles := p.Plan.Roles()
	j.each = func() {
		s.Setup(j.phases[plan.Setup])
		worst := 0.0
		for _, got := range j.outputs {
			for i, x := range got["out"].F {
				d := x - p.Want.F[i]
				worst = max(worst, d, -d)
			}
		}
		s.Session(j.phases[plan.Offline], j.phases[plan.Online], worst)
		s.Offline.ByRole = map[string]float64{}
		for i, r := range roles {
			s.Offline.ByRole[r] = j.cpu[i]
		}
	}
	if err := j.runProcesses(ctx, newProgress(nil), p.Inputs); err != nil {
		return nil, err
	}
	r := s.Finish()
	r.PeakByRole = map[string]int64{}
	for i, role := range roles {
		r.PeakByRole[role] = j.peaks[i]
		r.PeakRSS += j.peaks[i]
	}
	return r, nil
}

func benchTable(c *cobra.Command, rep *bench.Report) error {
	w := c.OutOrStdout()
	m := rep.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, kernel %s: %.1f G multiply-adds/s in the ring, %.2f GB/s over loopback\n\n", m.CPU, m.Cores, m.Go, m.Kernel, m.MACs/1e9, m.Loopback/1e9)
	heads := []string{"model", "batch", "transport", "online s", "rounds", "sent", "offline s", "offline CPU s", "material", "setup s", "floor s", "x floor", "error", "peak MB", "inputs/s"}
	all := append(slices.Clone(rep.Results), rep.Batches...)
	predicted := slices.ContainsFunc(all, func(r *bench.Result) bool { return r.Predicted != nil })
	if predicted {
		heads = append(heads, "predicted online s", "offline s", "grown MB", "predicted MB")
	}
	t := newTable(w, heads...)
	for _, r := range all {
		if r.Failure != "" {
			t.row(r.Name, fmt.Sprint(r.Batch), r.Transport, "failed")
			continue
		}
		row := []string{r.Name, fmt.Sprint(r.Batch), r.Transport, fmt.Sprintf("%.4f", r.Online.Seconds), fmt.Sprint(r.Online.Rounds), bytesText(r.Online.Bytes), fmt.Sprintf("%.3f", r.Offline.Seconds), fmt.Sprintf("%.3f", r.Offline.CPU), bytesText(r.Material),
			fmt.Sprintf("%.3f", r.Setup.Seconds), fmt.Sprintf("%.4f", r.Floor), fmt.Sprintf("%.1f", r.Online.Seconds/r.Floor), fmt.Sprintf("%.2g", r.Error), fmt.Sprint(r.PeakRSS >> 20),
			fmt.Sprintf("%.1f", r.PerSecond())}
		if p := r.Predicted; p != nil {
			row = append(row, fmt.Sprintf("%.4f (%+.0f %%)", p.Online, 100*(p.Online/r.Online.Seconds-1)), fmt.Sprintf("%.3f", p.Offline), fmt.Sprint(r.Grown>>20), fmt.Sprint(p.Memory>>20))
		}
		t.row(row...)
	}
	return t.flush()
}

// calibrateTable shows a new profile, and how well it describes what it was made from.
func calibrateTable(c *cobra.Command, p *bench.Profile) error {
	w := c.OutOrStdout()
	t := newTable(w, "work", "per second and core")
	for _, k := range slices.Sorted(maps.Keys(p.Rates)) {
		t.row(k, fmt.Sprintf("%.3g", p.Rates[k]))
	}
	if err := t.flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\na core alone takes %.0f %% of the time that it takes while all are busy; processors' time is %.2f times that of all cores\n", 100*p.Alone, p.Busy)
	for _, o := range []struct {
		what string
		bench.Overhead
	}{{"time", p.GRPC.Time}, {"processors' time", p.GRPC.CPU}} {
		fmt.Fprintf(w, "grpc over loopback: %s %.2f times that in memory, and %.3g s per round and %.3g s per MB\n", o.what, o.Slower, o.Round, 1e6*o.Byte)
	}
	fmt.Fprintf(w, "besides what plans say, the process of all roles grows by %s, and a server takes %s\n\n", bytesText(p.Memory.Process), bytesText(p.Memory.Server))
	t = newTable(w, "model", "phase", "CPU s", "predicted", "difference", "seconds", "predicted", "difference")
	for _, f := range p.Fit {
		t.row(f.Model, f.Phase, fmt.Sprintf("%.5f", f.CPU), fmt.Sprintf("%.5f", f.PredictedCPU), fmt.Sprintf("%+.0f %%", 100*(f.PredictedCPU/f.CPU-1)),
			fmt.Sprintf("%.5f", f.Measured), fmt.Sprintf("%.5f", f.Predicted), fmt.Sprintf("%+.0f %%", 100*(f.Predicted/f.Measured-1)))
	}
	return t.flush()
}
