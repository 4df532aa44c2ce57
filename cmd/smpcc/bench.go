package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/bench"
	"smpcc/runtime/local"
)

func benchCommand() *cobra.Command {
	var only, transports []string
	var asJSON bool
	var runs int
	var plotFile, profile, calibrate, machineFile, report string
	c := &cobra.Command{
		Use:   "bench",
		Short: "Measure generated models on this machine",
		Long: `Bench generates models with random weights, compiles them, with ranges from a sample, and runs two parties and the dealer.
Times are medians. The floor of a result is the time of its multiplications as a plaintext ring product on this machine, and
of its bytes over loopback, one after the other. wan is memory slowed down to a round trip of 40 ms and 100 Mbit/s.`,
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
	f.IntVar(&runs, "runs", 5, "sessions per model")
	f.StringVar(&plotFile, "plot", "", "`FILE`.svg or .png to draw online times into")
	f.StringVar(&calibrate, "calibrate", "", "measure this machine on small models, write its profile to `FILE` for --machine, and stop")
	f.StringVar(&machineFile, "machine", "", "profile `FILE` that --calibrate wrote: show predicted times beside measured ones")
	f.StringVar(&report, "report", "", "`FILE`.md to write a page of results into, with a plot FILE.svg beside it")
	f.StringVar(&profile, "cpuprofile", "", "`FILE` to write a CPU profile of the sessions to")
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
		var known *bench.Profile
		if machineFile != "" {
			var err error
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
			found, err := bench.Calibrate(c.Context(), machine, runs, func(s string) { bar.stage("measuring " + s) }, func(p *bench.Prepared, m *bench.Machine, runs int) (*bench.Result, error) {
				return benchProcesses(c, p, m, runs)
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
		if profile != "" {
			w, err := os.Create(profile)
			if err != nil {
				return err
			}
			defer w.Close()
			if err := pprof.StartCPUProfile(w); err != nil {
				return err
			}
			defer pprof.StopCPUProfile()
		}
		rep := &bench.Report{Machine: machine, Runs: runs}
		for _, m := range bench.Models() {
			if len(only) > 0 && !slices.Contains(only, m.Name) {
				continue
			}
			var p *bench.Prepared
			for i, t := range transports {
				if i == 0 || t == "wan" || transports[i-1] == "wan" { // a plan for that network
					bar.stage("compiling " + m.Name)
					var err error
					if p, err = bench.Prepare(m, t); err != nil {
						return fmt.Errorf("%s: %w", m.Name, err)
					}
				}
				bar.stage("running " + m.Name + " over " + t)
				var r *bench.Result
				var err error
				if t == "grpc" {
					r, err = benchProcesses(c, p, machine, runs)
				} else {
					r, err = p.Runs(c.Context(), machine, t, runs)
				}
				if err != nil {
					return fmt.Errorf("%s over %s: %w", m.Name, t, err)
				}
				if known != nil {
					if err := p.Predict(r, known); err != nil {
						return err
					}
				}
				rep.Results = append(rep.Results, r)
			}
		}
		bar.done()
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
			data, err := bench.Draw(rep.Results, "svg")
			if err != nil {
				return err
			}
			if err := plan.WriteAtomic(image, data, 0o644); err != nil {
				return err
			}
			if err := plan.WriteAtomic(report, rep.Markdown(filepath.Base(image)), 0o644); err != nil {
				return err
			}
		}
		if asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(rep)
		}
		return benchTable(c, rep)
	}
	return c
}

// benchProcesses runs sessions on servers, one process per role.
func benchProcesses(c *cobra.Command, p *bench.Prepared, m *bench.Machine, runs int) (*bench.Result, error) {
	var phases [][3]local.Phase
	worst := 0.0
	j := &job{plan: p.Comp.Plan, comp: p.Comp, inputs: p.Data, sessions: runs}
	j.each = func() {
		phases = append(phases, j.phases)
		for _, got := range j.outputs {
			for i, x := range got["out"].F {
				d := x - p.Want.F[i]
				worst = max(worst, d, -d)
			}
		}
	}
	if err := j.runProcesses(c.Context(), newProgress(nil), p.Inputs, p.Weights); err != nil {
		return nil, err
	}
	r := p.Collect(m, "grpc", phases)
	r.Error = worst
	return r, nil
}

func benchTable(c *cobra.Command, rep *bench.Report) error {
	w := c.OutOrStdout()
	m := rep.Machine
	fmt.Fprintf(w, "%s, %d cores, %s, kernel %s: %.1f G multiply-adds/s in the ring, %.2f GB/s over loopback\n\n", m.CPU, m.Cores, m.Go, m.Kernel, m.MACs/1e9, m.Loopback/1e9)
	heads := []string{"model", "transport", "online s", "rounds", "sent", "offline s", "material", "setup s", "floor s", "x floor", "error", "peak MB", "inputs/s"}
	predicted := slices.ContainsFunc(rep.Results, func(r *bench.Result) bool { return r.Predicted != nil })
	if predicted {
		heads = append(heads, "predicted online s", "offline s", "sessions MB", "predicted MB")
	}
	t := newTable(w, heads...)
	for _, r := range rep.Results {
		row := []string{r.Name, r.Transport, fmt.Sprintf("%.4f", r.Online.Seconds), fmt.Sprint(r.Online.Rounds), bytesText(r.Online.Bytes), fmt.Sprintf("%.3f", r.Offline.Seconds), bytesText(r.Material),
			fmt.Sprintf("%.3f", r.Setup.Seconds), fmt.Sprintf("%.4f", r.Floor), fmt.Sprintf("%.1f", r.Online.Seconds/r.Floor), fmt.Sprintf("%.2g", r.Error), fmt.Sprint(r.PeakRSS >> 20),
			fmt.Sprintf("%.1f", float64(r.Batch)/r.Online.Seconds)}
		if p := r.Predicted; p != nil {
			row = append(row, fmt.Sprintf("%.4f (%+.0f %%)", p.Online, 100*(p.Online/r.Online.Seconds-1)), fmt.Sprintf("%.3f", p.Offline), fmt.Sprint(r.Sessions>>20), fmt.Sprint(p.Memory>>20))
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
	fmt.Fprintf(w, "\ngrpc over loopback: %.3g s more per round, %.3g B/s\n\n", p.GRPC.Round, p.GRPC.Bytes)
	t = newTable(w, "model", "phase", "measured s", "predicted s", "difference")
	for _, f := range p.Fit {
		t.row(f.Model, f.Phase, fmt.Sprintf("%.5f", f.Measured), fmt.Sprintf("%.5f", f.Predicted), fmt.Sprintf("%+.0f %%", 100*(f.Predicted/f.Measured-1)))
	}
	return t.flush()
}
