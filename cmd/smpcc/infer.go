package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/frontend/onnx"
	"smpcc/ir"
	"smpcc/runtime/client"
	"smpcc/runtime/control"
	"smpcc/runtime/server"
)

func inferCommand() *cobra.Command {
	var config, out string
	var inputs, images []string
	var session, request string
	var width int
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "infer --config FILE PLAN --input NAME=FILE ...",
		Short: "Open sessions at the party servers, give inputs and print outputs",
		Long: `Infer acts for the parties in acts_for of its configuration: it gives their inputs to their servers and reads their
outputs. It opens a session at the first party and prints its ticket, or joins one that another client has opened with --session TICKET. What a party's
clients see of a session belongs to one certificate: of the one that opened it for that party, or that gave its inputs first.

  servers: {p0: host:port, p1: host:port}
  tls: {ca: ca.crt, cert: p1-client.crt, key: p1-client.key}
  acts_for: [p1]

Many requests go over one connection: give --input NAME=FILE once for each, or a file with several inputs along its first
dimension. --concurrency of them are under way at once; an input that is given once serves all requests.

With --request ID, a name that you choose, the request runs once however often the command is given: a lost answer is given again, with the inputs or without
them, for the time that the servers keep it. Without a name outputs are given once.

A server that is not reached within --timeout, or shows a certificate of another authority or name, ends the command with an error that says why. How long
a session may take the servers decide.`,
		Args: exactly(1, "one PLAN"),
	}
	f := c.Flags()
	f.StringVar(&config, "config", "", "configuration `FILE`")
	f.StringArrayVar(&inputs, "input", nil, "data of an input, `NAME=FILE`; once for each request")
	f.StringArrayVar(&images, "image", nil, "how pixels become numbers, `NAME=mean:M,std:S,invert`; by default x/255")
	f.StringVar(&session, "session", "", "`TICKET` of a session that is open, as the client that opened it printed it")
	f.StringVar(&request, "request", "", "name of the request, `ID`: again with the same name, it gives the same answer and runs no second time")
	f.IntVar(&width, "concurrency", 4, "requests under way at once")
	timeoutFlag(c, &timeout)
	f.StringVar(&out, "out", "", "`DIR` to write outputs to, as ONNX tensors, a folder for each request")
	c.RunE = func(c *cobra.Command, args []string) error {
		if config == "" {
			return usagef("smpcc infer: --config FILE is missing")
		}
		if width < 1 {
			return usagef("--concurrency %d: want at least 1", width)
		}
		cfg, err := control.ReadConfig(config)
		if err != nil {
			return err
		}
		if err := patience(cfg, timeout); err != nil {
			return err
		}
		p, err := typed.ReadFile(args[0])
		if err != nil {
			return err
		}
		if request != "" {
			if err := control.CheckRequest(request); err != nil {
				return usagef("--request: %v", err)
			}
		}
		requests, files, err := readRequests(p, args[0], inputs, images)
		if err != nil {
			return err
		}
		for _, one := range []struct{ flag, value string }{{"session", session}, {"request", request}} {
			if one.value != "" && len(requests) > 1 {
				return usagef("--%s takes one request, the inputs make %d", one.flag, len(requests))
			}
		}
		fetch := request != "" && session == "" && len(inputs) == 0
		var ticket control.Ticket
		if session != "" {
			if ticket, err = control.ParseTicket(session); err != nil {
				return usagef("--session: %v", err)
			}
			ticket.Request = request
		}
		bound := make([][][]uint64, len(requests))
		for i, data := range requests {
			if fetch {
				break
			}
			if bound[i], err = bindOwn(p, cfg.ActsFor, data, files[i]); err != nil {
				return err
			}
		}
		cl, err := client.New(cfg, p)
		if err != nil {
			return fmt.Errorf("%s: %w", config, err)
		}
		defer cl.Close()
		bar := newProgress(c.ErrOrStderr())
		defer bar.done()
		cl.Waiting(bar.waiting)
		i := &inference{plan: p, cfg: cfg, w: c.OutOrStdout(), out: out, bar: bar}
		if len(requests) > 1 {
			return i.many(c, cl, bound, width)
		}
		var r *client.Result
		if fetch {
			r, err = cl.Fetch(c.Context(), request)
		} else {
			if session == "" {
				if ticket, err = cl.SessionFor(c.Context(), request); err != nil {
					return err
				}
				fmt.Fprintf(c.ErrOrStderr(), "session %s\n", ticket)
			}
			r, err = cl.Join(c.Context(), ticket, bound[0])
		}
		if err != nil {
			return err
		}
		bar.done()
		return i.print("", 0, r)
	}
	return c
}

// An inference is one call of smpcc infer.
type inference struct {
	plan *plan.Plan
	cfg  *control.Config
	w    io.Writer
	out  string
	bar  *progress
}

// many runs requests and prints their results in order, each as soon as it and those before it are there.
func (i *inference) many(c *cobra.Command, cl *client.Client, bound [][][]uint64, width int) error {
	start := time.Now()
	results := make([]*client.Result, len(bound))
	var took []time.Duration
	printed := 0
	err := cl.Each(c.Context(), len(bound), width, func(k int) ([][]uint64, error) { return bound[k], nil }, func(k int, r *client.Result) error {
		results[k] = r
		took = append(took, r.Took)
		i.bar.stage(fmt.Sprintf("%d of %d requests", len(took), len(bound)))
		for ; printed < len(results) && results[printed] != nil; printed++ {
			if err := i.print(fmt.Sprintf("request %d, session %d: ", printed, results[printed].Session), printed, results[printed]); err != nil {
				return err
			}
			results[printed].Roles = nil
		}
		return nil
	})
	if err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	slices.Sort(took)
	_, err = fmt.Fprintf(i.w, "%d requests in %.3f s, %.2f a second; latency median %.3f s, longest %.3f s\n", len(bound), seconds, float64(len(bound))/seconds,
		took[len(took)/2].Seconds(), took[len(took)-1].Seconds())
	return err
}

// print shows and writes the outputs of one request.
func (i *inference) print(prefix string, request int, r *client.Result) error {
	for _, who := range i.cfg.ActsFor {
		role := r.Roles[who]
		for _, port := range i.plan.Manifest.Outputs {
			words := role.Outputs[port.Name]
			if words == nil {
				continue
			}
			t := smpcc.Read(port, words)
			fmt.Fprintf(i.w, "%s%s to %s: %s\n", prefix, port.Name, who, render(t, port.Scale))
			if s := classes(t, port.Classes); s != "" {
				fmt.Fprintf(i.w, "  class: %s\n", s)
			}
			if i.out == "" {
				continue
			}
			dir := filepath.Join(i.out, fmt.Sprintf("request_%d", request), who)
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			if err := onnx.WriteTensor(filepath.Join(dir, fileName(port.Name)+".pb"), port.Name, asReals(t)); err != nil {
				return err
			}
		}
		if prefix == "" {
			fmt.Fprintf(i.w, "%s: online %d rounds, %s sent, %.3f s; offline %s sent, %.3f s\n", who, role.Online.Rounds, bytesText(role.Online.BytesSent), role.Online.Seconds, bytesText(role.Offline.BytesSent), role.Offline.Seconds)
		}
	}
	return nil
}

// maxRequests bounds the requests of one call.
const maxRequests = 1 << 20

// readRequests reads the data of one or many requests, and says which files it came from: the n-th --input of a name, or the
// n-th part of a file with several inputs along its first dimension, belongs to request n.
func readRequests(p *plan.Plan, path string, inputs, images []string) ([]map[string]*ir.Tensor, []map[string]string, error) {
	type part struct {
		t    *ir.Tensor
		file string
	}
	src := &source{images: images, plan: p}
	lists := map[string][]part{}
	n := 1
	for _, one := range inputs {
		data, err := src.read(path, "input", []string{one})
		if err != nil {
			return nil, nil, err
		}
		for name, t := range data {
			parts := []*ir.Tensor{t}
			for _, port := range p.Manifest.Inputs {
				if port.Name == name {
					parts = split(t, port)
				}
			}
			_, file, _ := strings.Cut(one, "=")
			for _, t := range parts {
				lists[name] = append(lists[name], part{t, file})
			}
			if len(lists[name]) > maxRequests {
				return nil, nil, usagef("--input %s: more than %d requests", name, maxRequests)
			}
			n = max(n, len(lists[name]))
		}
	}
	out, files := make([]map[string]*ir.Tensor, n), make([]map[string]string, n)
	for k := range out {
		out[k], files[k] = map[string]*ir.Tensor{}, map[string]string{}
		for _, name := range sortedKeys(lists) {
			list := lists[name]
			at := k
			if len(list) == 1 {
				at = 0
			} else if len(list) != n {
				return nil, nil, usagef("--input %s: data for %d requests, other inputs have %d", name, len(list), n)
			}
			out[k][name], files[k][name] = list[at].t, list[at].file
		}
	}
	return out, files, nil
}

// split cuts a tensor that holds several inputs of a port along its first dimension.
func split(t *ir.Tensor, port plan.Port) []*ir.Tensor {
	each := port.Len()
	if each == 0 || t.Len() <= each || t.Len()%each != 0 || len(t.Shape) == 0 || len(port.Shape) == 0 {
		return []*ir.Tensor{t}
	}
	rest := 1
	for _, d := range t.Shape[1:] {
		rest *= d
	}
	if each%rest != 0 { // the cut would go through a row
		return []*ir.Tensor{t}
	}
	var out []*ir.Tensor
	for at := 0; at < t.Len(); at += each {
		part := ir.NewTensor(t.Elem, append([]int{each / rest}, t.Shape[1:]...))
		part.Words, part.Places = t.Words, t.Places
		if len(t.F) > 0 {
			copy(part.F, t.F[at:at+each])
		} else {
			copy(part.I, t.I[at:at+each])
		}
		out = append(out, part)
	}
	return out
}

func checkCommand(dealer bool) *cobra.Command {
	var config string
	var worker int
	c := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Test a configuration and everything that it needs of others, before anything runs",
		Long: `Check reads the configuration, the plan and the policy, tries certificates, the state folder and the address to listen on,
and asks every other role who it is, what time it has, and which version and plan it runs. It starts nothing. It ends with an
error if anything would keep the server from working with the others.`,
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
		cfg.ReadWeights, cfg.CheckWeights = planWeights, checkBound
		w := c.OutOrStdout()
		fmt.Fprintf(w, "ok      configuration: %s\n", config)
		failed := 0
		for _, f := range server.Check(c.Context(), cfg, dealer) {
			word := "ok"
			switch {
			case f.Failed:
				word = "FAILED"
				failed++
			case f.Warn:
				word = "warning"
			}
			fmt.Fprintf(w, "%-7s %s: %s\n", word, f.What, strings.ReplaceAll(f.Detail, "\n", "\n        "))
		}
		if failed > 0 {
			return fmt.Errorf("%d tests of %s failed", failed, config)
		}
		return nil
	}
	return c
}

// timeoutFlag adds the flag of patience.
func timeoutFlag(c *cobra.Command, to *time.Duration) {
	c.Flags().DurationVar(to, "timeout", 0, "how long a server may take to be reached, and to answer what needs no computing, `D` such as 5s; by default timeout in the configuration, which is 30s if it is not there")
}

// patience puts the flag's value, if it was given, into a configuration.
func patience(cfg *control.Config, d time.Duration) error {
	if d < 0 {
		return usagef("--timeout %v: want more than 0", d)
	}
	if d > 0 {
		cfg.Timeout = d.String()
	}
	return nil
}

// A workerSet is what commands share that ask running servers: a configuration, of which they ask each worker or one.
type workerSet struct {
	config  string
	worker  int
	timeout time.Duration

	cfg *control.Config
}

// flags adds those that say which servers.
func (o *workerSet) flags(c *cobra.Command, whose string) {
	c.Flags().StringVar(&o.config, "config", "", "configuration `FILE` of "+whose)
	timeoutFlag(c, &o.timeout)
	c.Flags().IntVar(&o.worker, "worker", -1, "which of the configuration's workers, `N` from 0 on; by default all")
}

// read reads the configuration.
func (o *workerSet) read() (err error) {
	if o.config == "" {
		return usagef("--config FILE is missing: the configuration of the server, or of a client")
	}
	if o.cfg, err = readClientConfig(o.config, o.worker); err != nil {
		return err
	}
	return patience(o.cfg, o.timeout)
}

// eachWorker calls f with the configuration of each worker in turn, and with what to call it in messages.
func (o *workerSet) eachWorker(f func(cfg *control.Config, suffix string) error) error {
	for w := range o.cfg.Workers {
		if o.worker >= 0 && w != o.worker {
			continue
		}
		suffix := ""
		if o.cfg.Workers > 1 {
			suffix = fmt.Sprintf(" worker %d", w)
		}
		if err := f(o.cfg.ForWorker(w), suffix); err != nil {
			return err
		}
	}
	return nil
}

// An operator is what the material commands share: connections to the servers of a configuration, with its own certificate.
type operator struct {
	workerSet
	planFile string

	plan *plan.Plan
}

// flags adds those that say which servers and which plan.
func (o *operator) flags(c *cobra.Command, whose string) {
	o.workerSet.flags(c, whose)
	c.Flags().StringVar(&o.planFile, "plan", "", "plan `FILE`, if the configuration names none")
}

// each calls f with a client of each worker in turn, and with what to call it in messages.
func (o *operator) each(f func(cl *control.Client, suffix string) error) error {
	err := o.read()
	if err != nil {
		return err
	}
	if o.planFile == "" {
		o.planFile = o.cfg.Plan
	}
	if o.planFile == "" {
		return usagef("%s names no plan; give --plan FILE", o.config)
	}
	if o.plan, err = typed.ReadFile(o.planFile); err != nil {
		return err
	}
	return o.eachWorker(func(cfg *control.Config, suffix string) error {
		cl, err := control.NewClient(cfg, o.plan)
		if err != nil {
			return fmt.Errorf("%s: %w", o.config, err)
		}
		defer cl.Close()
		return f(cl, suffix)
	})
}

func materialStatusCommand() *cobra.Command {
	var o operator
	c := &cobra.Command{
		Use:   "status --config FILE",
		Short: "Count the sessions whose material the parties have stored",
		Args:  exactly(0, "no arguments"),
	}
	o.flags(c, "a server or client")
	c.RunE = func(c *cobra.Command, _ []string) error {
		t := newTable(c.OutOrStdout(), "party", "sessions", "stored", "of at most", "each", "expires")
		var failed error
		if err := o.each(func(cl *control.Client, suffix string) error {
			for _, party := range o.plan.Manifest.Parties {
				if o.cfg.Servers[party] == "" {
					continue
				}
				k, err := cl.Stock(c.Context(), party)
				if err != nil { // the others' numbers are of use all the same
					failed = errors.Join(failed, err)
					t.row(party+suffix, "?", "-", "-", "-", "-")
					continue
				}
				expires := "-"
				if k.Sessions > 0 {
					expires = k.Expires.UTC().Format("2006-01-02 15:04 MST")
				}
				t.row(party+suffix, fmt.Sprint(k.Sessions), bytesText(k.Bytes), bytesText(k.Limit), bytesText(k.Each), expires)
			}
			return nil
		}); err != nil {
			return err
		}
		return errors.Join(t.flush(), failed)
	}
	return c
}

func materialGenerateCommand() *cobra.Command {
	var o operator
	var sessions int
	c := &cobra.Command{
		Use:   "generate --config FILE --sessions N",
		Short: "Have the dealer make material for N more sessions",
		Long:  "Generate has the dealer make material for N more sessions, at each worker where there are several.",
		Args:  exactly(0, "no arguments"),
	}
	o.flags(c, "the first party's server, or of its client")
	c.Flags().IntVar(&sessions, "sessions", 0, "number of sessions, `N`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if sessions < 1 {
			return usagef("--sessions N is missing, or below 1")
		}
		bar := newProgress(c.ErrOrStderr())
		defer bar.done()
		return o.each(func(cl *control.Client, suffix string) error {
			cl.Waiting(bar.waiting)
			for left := sessions; left > 0; {
				n := min(left, 16)
				bar.stage(fmt.Sprintf("material for %d of %d sessions%s", sessions-left, sessions, suffix))
				k, err := cl.Generate(c.Context(), n)
				if err != nil {
					return err
				}
				if left -= n; left == 0 {
					bar.done()
					fmt.Fprintf(c.OutOrStdout(), "%s%s has material for %d sessions, %s\n", o.plan.Manifest.Parties[0], suffix, k.Sessions, bytesText(k.Bytes))
				}
			}
			return nil
		})
	}
	return c
}
