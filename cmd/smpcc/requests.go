package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/backend/audit"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/backend/verify"
	"smpcc/ir/diag"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
)

// worker0 has a command speak to one server of each role: requests wait at one of its workers.
func (o *planOperator) worker0() {
	if o.worker < 0 {
		o.worker = 0
	}
}

// one calls f for the one server that a command is about.
func (o *planOperator) one(f func(op *control.Operator, role string) error) error {
	o.worker0()
	roles, err := o.roles()
	if err != nil {
		return err
	}
	if len(roles) != 1 {
		return usagef("%s are several; say with --at ROLE whose server", strings.Join(roles, ", "))
	}
	return o.each(func(op *control.Operator, role, _ string) error { return f(op, role) })
}

func requestCommand() *cobra.Command {
	o := planOperator{how: "--to"}
	var why string
	c := &cobra.Command{
		Use:   "request PLAN --to ROLE --why TEXT --config FILE",
		Short: "Ask another organisation to run a plan, and say what for",
		Long: `Request sends a plan, with what has been signed about it in PLAN.sigs, to the inbox of a role's server. The server verifies it, and keeps it until somebody there has
decided; what it is for stands in that server's log, with your certificate's name. smpcc requests list shows what has become of it, and smpcc requests show ID --save FILE fetches
the signature of an approval.

It takes a certificate that is named in requests.from of the server's configuration.`,
		Args: exactly(1, "one PLAN"),
	}
	o.workerSet.flags(c, "a client whose certificate is in requests.from of the servers")
	c.Flags().StringSliceVar(&o.at, "to", nil, "`ROLE` whose organisation is asked, or several")
	c.Flags().StringVar(&why, "why", "", "`TEXT` that says what for")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case len(o.at) == 0:
			return usagef("%s: --to ROLE is missing", c.CommandPath())
		case strings.TrimSpace(why) == "":
			return usagef("%s: --why TEXT is missing: what the plan is to be run for", c.CommandPath())
		}
		if err := control.CheckWords("text of --why", why); err != nil {
			return usageError{err}
		}
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		d := control.Deployment{Digest: p.Digest(), Plan: args[0]}
		if _, err := os.Stat(attest.File(args[0])); err == nil {
			d.Approvals = attest.File(args[0])
		}
		o.worker0()
		bar := newProgress(c.ErrOrStderr())
		defer bar.done()
		return o.each(func(op *control.Operator, role, _ string) error {
			op.Waiting(bar.waiting)
			all := int64(0)
			r, err := op.Send(c.Context(), role, d, why, func(n int64) {
				all += n
				bar.stage(fmt.Sprintf("%s to %s", bytesText(all), role))
			})
			if err != nil {
				return err
			}
			bar.done()
			fmt.Fprintf(c.OutOrStdout(), "%s: request %d for plan %.16s waits\n", role, r.ID, r.Plan)
			for _, l := range r.Lacks {
				fmt.Fprintf(c.OutOrStdout(), "%s would not serve it as it is: %s\n", role, l)
			}
			return nil
		})
	}
	return c
}

func requestsCommands() []*cobra.Command {
	return []*cobra.Command{requestsListCommand(), requestsShowCommand(), requestsApproveCommand(), requestsEndCommand("deny", control.Denied, "Deny a request", "It takes a certificate that is named in members.approvers of the server, or its own."),
		requestsEndCommand("withdraw", control.Taken, "Take a request of yours back", "It takes the certificate that has sent the request.")}
}

func requestsListCommand() *cobra.Command {
	var o planOperator
	var all bool
	c := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List requests: all of them for members of the organisation, your own for others",
		Long:  `List shows the requests that wait, and with --all those that are decided too. Members of an organisation (members: in its server's configuration) see all of them, requesters their own.`,
		Args:  exactly(0, "no arguments"),
	}
	o.flags(c)
	c.Flags().BoolVar(&all, "all", false, "those that are decided too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.worker0()
		t := newTable(c.OutOrStdout(), "server", "request", "plan", "name", "from", "sent", "state", "who learns", "for")
		if err := o.each(func(op *control.Operator, role, _ string) error {
			l, err := op.Requests(c.Context(), role)
			if err != nil {
				return err
			}
			for _, r := range l.Requests {
				if all || r.State == control.Waiting {
					t.row(role, strconv.FormatUint(r.ID, 10), fmt.Sprintf("%.16s", r.Plan), printable(r.Name), printable(r.By), r.At.Format(time.DateOnly), r.State, strings.Join(r.Receivers, ", "), printable(r.Why))
				}
			}
			return nil
		}); err != nil {
			return err
		}
		return t.flush()
	}
	return c
}

// printable shows a text of anybody on a terminal: in quotes where it has characters that a terminal may act on.
func printable(s string) string {
	for _, r := range s {
		if !strconv.IsPrint(r) {
			return strconv.Quote(s)
		}
	}
	return s
}

// numberOf reads the number of a request.
func numberOf(s string) (uint64, error) {
	id, err := strconv.ParseUint(s, 10, 63)
	if err != nil || id == 0 {
		return 0, usagef("%s is no number of a request; smpcc requests list shows them", s)
	}
	return id, nil
}

// requestAt returns a request at a server.
func requestAt(c *cobra.Command, op *control.Operator, role string, id uint64) (r control.Request, err error) {
	l, err := op.Requests(c.Context(), role)
	if err != nil {
		return r, err
	}
	for _, r := range l.Requests {
		if r.ID == id {
			return r, nil
		}
	}
	return r, fmt.Errorf("%s has no request %d that you may see; smpcc requests list --all shows them", role, id)
}

// planOfRequest fetches the plan of a request, and reads it as any plan is read: what the server says of it counts for nothing.
func planOfRequest(c *cobra.Command, op *control.Operator, role string, r control.Request) (*plan.Plan, []byte, error) {
	data, err := op.File(c.Context(), role, control.FileRequest{Plan: r.Plan, ID: r.ID, File: control.PlanFile})
	if err != nil {
		return nil, nil, err
	}
	p, err := typed.Load(data)
	if err != nil {
		return nil, nil, fmt.Errorf("the plan of request %d: %w", r.ID, err)
	}
	return p, data, nil
}

func requestsShowCommand() *cobra.Command {
	var o planOperator
	var against, save string
	var full bool
	c := &cobra.Command{
		Use:   "show ID --config FILE",
		Short: "What a request asks for: who would learn what, what it costs, whether it verifies, and what is new in it",
		Long: `Show fetches the plan of a request and looks at it on this machine: nothing that the server says of it is relied on. It says who asks for what, who would learn what, what
policies ask of every run, what a run costs, whether the plan verifies, and what it would tell more than the plan that is approved already: the last one of its name that was approved here,
or that is served, or --against PLAN.

--save FILE keeps the plan, and what has been signed about it in FILE.sigs: for smpcc audit, smpcc verify, smpcc plan deploy.`,
		Args: exactly(1, "the number of a request"),
	}
	o.flags(c)
	c.Flags().StringVar(&against, "against", "", "`PLAN` that it is compared with; by default what is approved already")
	c.Flags().StringVar(&save, "save", "", "`FILE` to keep the plan in, with FILE.sigs")
	c.Flags().BoolVar(&full, "full", false, "the whole of smpcc audit")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := numberOf(args[0])
		if err != nil {
			return err
		}
		return o.one(func(op *control.Operator, role string) error {
			r, err := requestAt(c, op, role, id)
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			requestText(w, r)
			if !r.Kept() {
				_, err := fmt.Fprintln(w, "its plan is not kept")
				return err
			}
			p, data, err := planOfRequest(c, op, role, r)
			if err != nil {
				return err
			}
			var old *plan.Plan
			switch {
			case against != "":
				if old, err = readPlan(against); err != nil {
					return err
				}
			case r.Against != "":
				if old, err = approvedPlan(c, op, role, r.Against); err != nil {
					return err
				}
			}
			if err := requestedText(w, p, old, full); err != nil {
				return err
			}
			if save == "" {
				return nil
			}
			sigs, err := op.File(c.Context(), role, control.FileRequest{Plan: r.Plan, ID: r.ID, File: control.ApprovalsFile})
			if err != nil {
				return err
			}
			return savePlan(w, save, data, sigs)
		})
	}
	return c
}

// approvedPlan fetches a plan that a server serves, or that was approved there.
func approvedPlan(c *cobra.Command, op *control.Operator, role, digest string) (*plan.Plan, error) {
	l, err := op.Requests(c.Context(), role)
	if err != nil {
		return nil, err
	}
	f := control.FileRequest{Plan: digest, File: control.PlanFile}
	for _, r := range l.Requests {
		if r.Plan == digest && r.Kept() {
			f.ID = r.ID
		}
	}
	data, err := op.File(c.Context(), role, f)
	if err != nil {
		return nil, err
	}
	return typed.Load(data)
}

// savePlan keeps a plan and what has been signed about it. Of both files none is written over.
func savePlan(w io.Writer, path string, data, sigs []byte) error {
	for _, f := range []string{path, attest.File(path)} {
		if _, err := os.Lstat(f); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s exists already; choose another name", f)
		}
	}
	if len(sigs) > 0 {
		if err := plan.WriteAtomic(attest.File(path), sigs, 0o644); err != nil {
			return err
		}
	}
	if err := plan.WriteAtomic(path, data, 0o644); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%s: written, with %s signed about it\n", path, counted(bytes.Count(sigs, []byte("\n")), "thing"))
	return err
}

// requestText says what a server says of a request.
func requestText(w io.Writer, r control.Request) {
	fmt.Fprintf(w, "request %d  %s\nplan       %s\nname       %s\nfrom       %s, at %s\nfor        %s\n", r.ID, r.State, r.Plan, printable(r.Name), printable(r.By), r.At.Format(time.RFC3339), printable(r.Why))
	if r.Decider != "" {
		fmt.Fprintf(w, "decided    by %s, at %s\n", printable(r.Decider), r.Decided.Format(time.RFC3339))
	}
	if r.Reason != "" {
		fmt.Fprintf(w, "because    %s\n", printable(r.Reason))
	}
	if r.Key != "" {
		fmt.Fprintf(w, "signed     by %s\n", printable(r.Key))
	}
	for _, l := range r.Lacks {
		fmt.Fprintf(w, "lacking    %s\n", printable(l))
	}
}

// requestedText says what a plan does that somebody asks for, and what is new in it beside an old one, nil for none.
func requestedText(w io.Writer, p, old *plan.Plan, full bool) error {
	v := verify.Check(p)
	if !v.OK {
		fmt.Fprintf(w, "\nNot verified: do not approve this plan\n")
		for _, f := range v.Findings {
			fmt.Fprintf(w, "  %v\n", f)
		}
		return fmt.Errorf("the plan does not verify: %s", findings(v))
	}
	a, err := audit.Of(p, audit.Options{Now: time.Now()})
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	if full {
		err = audit.Reports[0].Write(w, a)
	} else {
		auditSummary(w, a)
	}
	if err != nil {
		return err
	}
	if old == nil {
		_, err := fmt.Fprintln(w, "\nNo plan of this name is served or approved here; --against PLAN compares it with one")
		return err
	}
	d, err := audit.Compare(old, p)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "\nBeside plan %.16s, which is served or approved\n", old.Digest())
	return audit.Diffs[0].Write(w, d)
}

// auditSummary says who would learn what, what is to be decided about, what policies ask, and what a run costs.
func auditSummary(w io.Writer, a *audit.Report) {
	fmt.Fprintln(w, "Who would learn what")
	for _, l := range a.Learns {
		fmt.Fprintf(w, "  %s: %s (%s)\n", l.Receiver, printable(l.Output), l.Type)
		for _, b := range l.Because {
			fmt.Fprintf(w, "    %s\n", printable(b))
		}
	}
	fmt.Fprintln(w, "Of whose data")
	for _, x := range a.Provides {
		fmt.Fprintf(w, "  %s: %s %s (%s), %g..%g\n", x.Owner, x.Kind, printable(x.Name), x.Type, x.Lo, x.Hi)
	}
	if len(a.Findings) > 0 {
		fmt.Fprintln(w, "To decide about")
	}
	for _, f := range a.Findings {
		fmt.Fprintf(w, "  %-6s %s\n", f.Severity, printable(f.Text))
	}
	fmt.Fprintln(w, "What a run costs")
	for _, ph := range a.Cost {
		most := int64(0)
		for _, n := range ph.BytesSent {
			most = max(most, n)
		}
		fmt.Fprintf(w, "  %s: %s, at most %s sent by a role\n", ph.Phase, counted(ph.Rounds, "round"), bytesText(most))
	}
	fmt.Fprintf(w, "Verified on this machine: %s\n", a.Verified)
}

func requestsApproveCommand() *cobra.Command {
	var o planOperator
	var s signing
	var digest string
	c := &cobra.Command{
		Use:   "approve ID --plan DIGEST --key FILE --config FILE",
		Short: "Approve a request, with a key that stays on this machine",
		Long: `Approve fetches the plan of a request, verifies it on this machine, signs its digest as smpcc approve does, and sends the signature: the key does not leave this machine. The server
keeps the signature, and it counts for the plan from then on, however the plan is served. Where the plan's policies name keys that may approve, it takes one of them.

--plan DIGEST is the digest that smpcc requests show printed, its first 16 figures or more: what is signed is what was looked at, whatever the server says.

The server does not serve the plan by that: smpcc requests show ID --save FILE, and smpcc plan deploy FILE at each role, bring it there with its signatures. smpcc revoke takes an approval back.

It takes a certificate that is named in members.approvers of the server, or its own.`,
		Args: exactly(1, "the number of a request"),
	}
	o.flags(c)
	s.approvalFlags(c)
	c.Flags().StringVar(&digest, "plan", "", "`DIGEST` of the plan that was looked at, 16 figures or more")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := numberOf(args[0])
		if err != nil {
			return err
		}
		if len(digest) < 16 || len(digest) > 64 || strings.Trim(digest, "0123456789abcdef") != "" {
			return usagef("%s: --plan DIGEST is missing, or is not 16 figures or more of one\n\thint: smpcc requests show %d prints the digest of the plan that you look at", c.CommandPath(), id)
		}
		if s.key == "" {
			return usagef("%s: --key FILE is missing", c.CommandPath())
		}
		return o.one(func(op *control.Operator, role string) error {
			r, err := requestAt(c, op, role, id)
			if err != nil {
				return err
			}
			if r.State != control.Waiting {
				return fmt.Errorf("request %d is %s", id, r.State)
			}
			p, _, err := planOfRequest(c, op, role, r)
			if err != nil {
				return err
			}
			if !strings.HasPrefix(p.Digest(), digest) {
				return diag.Errorf(diag.Pos{File: role}, "request %d is for plan %s, and not for %s", id, p.Digest(), digest).WithHint("look at it again: smpcc requests show %d", id)
			}
			if v := verify.Check(p); !v.OK {
				return fmt.Errorf("the plan of request %d does not verify: %s; smpcc requests show %d lists them", id, findings(v), id)
			}
			x, key, err := s.statement(c, p, attest.Approval, time.Now())
			if err != nil {
				return err
			}
			x = x.Signed(key)
			done, err := op.Decide(c.Context(), role, control.DecideRequest{ID: id, State: control.Approved, Plan: p.Digest(), Statement: &x, Reason: s.reason})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: request %d for plan %.16s is %s, by %s\n", role, done.ID, done.Plan, done.State, x.Key)
			return err
		})
	}
	return c
}

// requestsEndCommand returns a command that ends a request without a signature.
func requestsEndCommand(name, state, short, who string) *cobra.Command {
	var o planOperator
	var reason string
	c := &cobra.Command{
		Use:   name + " ID --config FILE",
		Short: short,
		Long:  short + ". The request stays in the list, with who has decided and why; its plan is removed from the server. The log of the server has it.\n\n" + who,
		Args:  exactly(1, "the number of a request"),
	}
	o.flags(c)
	c.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why; who has sent the request sees it")
	c.RunE = func(c *cobra.Command, args []string) error {
		id, err := numberOf(args[0])
		if err != nil {
			return err
		}
		if err := control.CheckWords("text of --reason", reason); err != nil {
			return usageError{err}
		}
		return o.one(func(op *control.Operator, role string) error {
			r, err := requestAt(c, op, role, id)
			if err != nil {
				return err
			}
			done, err := op.Decide(c.Context(), role, control.DecideRequest{ID: id, State: state, Plan: r.Plan, Reason: reason})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: request %d for plan %.16s is %s\n", role, done.ID, done.Plan, done.State)
			return err
		})
	}
	return c
}
