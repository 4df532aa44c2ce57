package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/keys"
)

// A planOperator is what the commands share that look after plans of servers.
type planOperator struct {
	workerSet
	at  []string
	how string // what the flag that says so is called; --at if it is ""
}

// flags adds those that say which servers.
func (o *planOperator) flags(c *cobra.Command) {
	o.workerSet.flags(c, "the server, or of a client that is named in its plan_clients")
	c.Flags().StringSliceVar(&o.at, "at", nil, "`ROLE` whose server is asked, or several; by default the one that the certificate names, or those in acts_for")
}

// roles reads the configuration and returns the roles whose servers are asked.
func (o *planOperator) roles() ([]string, error) {
	if err := o.read(); err != nil {
		return nil, err
	}
	roles := o.at
	if len(roles) == 0 {
		_, name, err := keys.Load(o.cfg.TLS)
		if err != nil {
			return nil, err
		}
		if roles = o.cfg.ActsFor; o.cfg.Servers[name] != "" {
			roles = []string{name}
		}
	}
	if len(roles) == 0 {
		return nil, usagef("%s: the certificate names no role, and acts_for none; say with --at ROLE whose server", o.config)
	}
	for _, r := range roles {
		if o.cfg.Servers[r] == "" {
			return nil, usagef("%s %s: servers in %s has no address of it", orElse(o.how, "--at"), r, o.config)
		}
	}
	return roles, nil
}

// each calls f for each server in turn, with what to call it in messages.
func (o *planOperator) each(f func(op *control.Operator, role, suffix string) error) error {
	roles, err := o.roles()
	if err != nil {
		return err
	}
	return o.eachWorker(func(cfg *control.Config, suffix string) error {
		op, err := control.NewOperator(cfg)
		if err != nil {
			return fmt.Errorf("%s: %w", o.config, err)
		}
		defer op.Close()
		for _, r := range roles {
			if err := f(op, r, suffix); err != nil {
				return err
			}
		}
		return nil
	})
}

func planDeployCommand() *cobra.Command {
	var o planOperator
	var weights string
	var sessions int
	var clients []string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "deploy PLAN --config FILE",
		Short: "Have a running server serve a plan, beside those that it serves already",
		Long: `Deploy sends a plan to a server, which verifies it and checks it as a start does: that the certificate is a role of it, that it was compiled under the server's policy, that
a session fits. What the server refuses leaves nothing there. Signatures in PLAN.sigs go with it, and the weights of the server's party if it owns any: PLAN.ROLE.weights.npz, or
--weights FILE. They are sent to that one server, under TLS.

Each organisation deploys at its own server. When all roles have the plan, the first party's server sets it up, and then it takes sessions: --wait D waits for that. The server
keeps the plan over restarts until smpcc plan withdraw.

The same plan again brings what has changed: signatures, the number of sessions, and weights. With other weights the plan is set up anew; sessions go on with those before
until all roles are ready.

It takes the server's own certificate, or one that is named in plan_clients of its configuration.`,
		Args: exactly(1, "one PLAN"),
	}
	o.flags(c)
	c.Flags().StringVar(&weights, "weights", "", "`FILE` with the weights of the server's party; by default PLAN.ROLE.weights.npz, if it owns any")
	c.Flags().IntVar(&sessions, "sessions", 0, "sessions of the plan at once, `N`; by default limits.plan_sessions of the server")
	c.Flags().StringSliceVar(&clients, "clients", nil, "`NAMES` of the certificates that may use the plan at this server, in place of its clients; a list stays until the plan is withdrawn or gets another")
	c.Flags().DurationVar(&wait, "wait", 0, "how long to wait until the plan takes sessions, `D` such as 1m; by default not at all")
	c.RunE = func(c *cobra.Command, args []string) error {
		if sessions < 0 || wait < 0 {
			return usagef("--sessions %d, --wait %v: want more than 0", sessions, wait)
		}
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		bar := newProgress(c.ErrOrStderr())
		defer bar.done()
		if err := o.each(func(op *control.Operator, role, suffix string) error {
			op.Waiting(bar.waiting)
			d, err := deploymentOf(p, args[0], role, weights)
			if err != nil {
				return err
			}
			d.Sessions, d.Clients = sessions, clients
			all := int64(0)
			s, err := op.Deploy(c.Context(), role, d, func(n int64) {
				all += n
				bar.stage(fmt.Sprintf("%s to %s%s", bytesText(all), role, suffix))
			})
			if err != nil {
				return err
			}
			if bar.done(); wait == 0 { // or what comes of it is said below
				_, err = fmt.Fprintf(c.OutOrStdout(), "%s%s: plan %.16s is %s\n", role, suffix, s.Plan, stateText(s))
			}
			return err
		}); err != nil || wait == 0 {
			return err
		}
		end := time.Now().Add(wait)
		return o.each(func(op *control.Operator, role, suffix string) error {
			for {
				s, err := planAt(c, op, role, p.Digest())
				switch {
				case err != nil:
					return err
				case s.State == control.Serving:
					bar.done()
					_, err := fmt.Fprintf(c.OutOrStdout(), "%s%s: plan %.16s takes sessions\n", role, suffix, s.Plan)
					return err
				case s.State != control.Preparing || time.Now().After(end):
					return fmt.Errorf("%s%s: the plan takes no sessions after %v: it is %s", role, suffix, wait, stateText(s))
				}
				bar.stage(fmt.Sprintf("%s%s: %s", role, suffix, s.Why))
				select {
				case <-c.Context().Done():
					return c.Context().Err()
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	return c
}

// deploymentOf says which files a role's server needs of a plan.
func deploymentOf(p *plan.Plan, path, role, weights string) (control.Deployment, error) {
	d := control.Deployment{Digest: p.Digest(), Plan: path}
	if !slices.Contains(p.Roles(), role) {
		return d, fmt.Errorf("%s: %q is no role of the plan, which has %s", path, role, strings.Join(p.Roles(), ", "))
	}
	if _, err := os.Stat(attest.File(path)); err == nil {
		d.Approvals = attest.File(path)
	}
	if !slices.ContainsFunc(p.Manifest.Weights, func(w plan.Port) bool { return w.Owner == role }) {
		return d, nil
	}
	if d.Weights = weights; weights == "" {
		d.Weights = weightsFile(path, role)
	}
	if _, err := os.Stat(d.Weights); err != nil {
		return d, fmt.Errorf("%s owns weights of this plan: %w; give them with --weights FILE", role, err)
	}
	d.Ending = strings.ToLower(filepath.Ext(d.Weights))
	return d, nil
}

// planAt returns how a plan is at a server.
func planAt(c *cobra.Command, op *control.Operator, role, digest string) (control.PlanStatus, error) {
	list, err := op.Plans(c.Context(), role)
	if err != nil {
		return control.PlanStatus{}, err
	}
	for _, s := range list.Plans {
		if s.Plan == digest {
			return s, nil
		}
	}
	return control.PlanStatus{}, fmt.Errorf("%s does not serve plan %.16s any more", role, digest)
}

// stateText says how a plan is.
func stateText(s control.PlanStatus) string {
	if s.Why != "" {
		return s.State + ": " + s.Why
	}
	return s.State
}

func planWithdrawCommand() *cobra.Command {
	var o planOperator
	c := &cobra.Command{
		Use:   "withdraw PLAN --config FILE",
		Short: "Have a running server take no more sessions of a plan",
		Long: `Withdraw has a server refuse new sessions of a plan. Those that run end, and their outputs can be read; then the server forgets the plan, also over a restart. PLAN is a file, or the
start of a digest as smpcc plan list shows it. Withdraw at the first party's server first: it opens the sessions.

What the plan leaves in the state folder, its setup and its material, smpcc state gc removes. The record of its numbers stays, so that it may be deployed again.`,
		Args: exactly(1, "one PLAN"),
	}
	o.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		return o.each(func(op *control.Operator, role, suffix string) error {
			digest, err := digestOf(c, op, role, args[0])
			if err != nil {
				return err
			}
			s, err := op.Withdraw(c.Context(), role, digest)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s%s: plan %.16s takes no more sessions; %d run\n", role, suffix, s.Plan, s.Running)
			return err
		})
	}
	return c
}

// leastDigest is how much of a digest names a plan.
const leastDigest = 8

// digestOf returns the digest of a plan that is named by its file, or by the start of its digest at a server.
func digestOf(c *cobra.Command, op *control.Operator, role, name string) (string, error) {
	if _, err := os.Stat(name); err == nil {
		p, err := typed.ReadFile(name)
		if err != nil {
			return "", err
		}
		return p.Digest(), nil
	}
	if len(name) < leastDigest || strings.Trim(name, "0123456789abcdef") != "" {
		return "", usagef("%s is neither a file nor the start of a digest, of %d figures or more", name, leastDigest)
	}
	list, err := op.Plans(c.Context(), role)
	if err != nil {
		return "", err
	}
	var found []string
	for _, s := range list.Plans {
		if strings.HasPrefix(s.Plan, name) && !slices.Contains(found, s.Plan) {
			found = append(found, s.Plan)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("%s serves no plan %s; smpcc plan list shows what it serves", role, name)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("%s serves %d plans whose digests begin with %s; say more of it", role, len(found), name)
}

func planListCommand() *cobra.Command {
	var o planOperator
	c := &cobra.Command{
		Use:   "list --config FILE",
		Short: "List the plans of running servers",
		Long: `List says of each plan at a server where it is from (the configuration, its folder of plans, or a deployment), whether it takes sessions, who leads it, how many sessions run and may,
what memory one takes, the number of its setup, and the sessions whose material is in store. --at ROLE,ROLE asks several servers; roles and clients of a server may ask.`,
		Args: exactly(0, "no arguments"),
	}
	o.flags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		t := newTable(c.OutOrStdout(), "server", "plan", "from", "state", "lead", "sessions", "of at most", "each", "setup", "material")
		var why []string
		var failed error
		if err := o.each(func(op *control.Operator, role, suffix string) error {
			list, err := op.Plans(c.Context(), role)
			if err != nil { // what the others say is of use all the same
				failed = errors.Join(failed, err)
				t.row(role+suffix, "?", "-", "-", "-", "-", "-", "-", "-", "-")
				return nil
			}
			for _, s := range list.Plans {
				from := s.Source
				if s.By != "" {
					from += " by " + s.By
				}
				if s.State == control.Refused {
					t.row(role+suffix, fmt.Sprintf("%.16s", s.Plan), from, s.State, "-", "-", "-", "-", "-", "-")
				} else {
					t.row(role+suffix, fmt.Sprintf("%.16s", s.Plan), from, s.State, s.Lead, fmt.Sprint(s.Running), fmt.Sprint(s.Sessions), bytesText(s.Memory), fmt.Sprint(s.Setup), fmt.Sprint(s.Material))
				}
				if s.Why != "" {
					why = append(why, fmt.Sprintf("%s%s, plan %.16s: %s", role, suffix, s.Plan, s.Why))
				}
			}
			if len(list.Plans) == 0 {
				why = append(why, fmt.Sprintf("%s%s serves no plan", role, suffix))
			}
			return nil
		}); err != nil {
			return err
		}
		if err := t.flush(); err != nil {
			return err
		}
		for _, line := range why {
			fmt.Fprintln(c.OutOrStdout(), line)
		}
		return failed
	}
	return c
}
