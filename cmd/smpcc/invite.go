package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc"
	"smpcc/ir/diag"
	"smpcc/runtime/attest"
	"smpcc/runtime/client"
	"smpcc/runtime/guest"
	"smpcc/runtime/invite"
)

func inviteCommand() *cobra.Command {
	var key, expires, page string
	var runs int
	c := &cobra.Command{
		Use:   "invite PLAN --key FILE [--runs N] [--expires 7d]",
		Short: "Sign an invitation with which a guest may run a plan",
		Long: `Invite prints a token that lets whoever has it run PLAN as its guest, at most --runs times, until --expires. Each party checks it under the keys of
guests.invite in its own configuration and counts its runs in its own ledger: an organisation whose key the others have not named invites nobody.

With --page URL it prints a link to a page of smpcc page, which takes the token out of the address. What is said of the invitation, and not the token, is added to
PLAN.invites, which smpcc invites list shows.`,
		Args: exactly(1, "one PLAN"),
	}
	f := c.Flags()
	f.StringVar(&key, "key", "", "private key `FILE` (smpcc keys sign makes one)")
	f.IntVar(&runs, "runs", 1, "runs that it is good for")
	f.StringVar(&expires, "expires", "7d", "how long it is good, such as 12h or 7d")
	f.StringVar(&page, "page", "", "`URL` of the page to print a link to")
	c.RunE = func(c *cobra.Command, args []string) error {
		if key == "" {
			return usagef("smpcc invite: --key FILE is missing")
		}
		long, err := daysOr(expires)
		if err != nil {
			return usagef("--expires %s: want a time such as 12h or 7d", expires)
		}
		if runs < 1 {
			return usagef("--runs %d: want at least 1", runs)
		}
		if page != "" && !strings.HasPrefix(page, "https://") && !strings.HasPrefix(page, "file://") && !strings.HasPrefix(page, "http://localhost") {
			return usagef("--page %s: want an https:// or file:// address", page)
		}
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		name, err := guest.Serves(&p.Manifest)
		if err != nil {
			return diag.Errorf(diag.Pos{File: args[0]}, "guests cannot run this plan: %v", err).WithHint("compile it with one guest that owns every input and receives every output (--owner INPUT=%s)", smpcc.GuestName)
		}
		signer, err := attest.LoadKey(key)
		if err != nil {
			return err
		}
		now := time.Now()
		v := invite.Invitation{Plan: p.Digest(), Parties: p.Manifest.Parties, ID: invite.NewID(), Issued: now.Unix(), Expires: now.Add(long).Unix(), Runs: runs}
		for _, t := range p.Manifest.Inputs {
			v.Ports = append(v.Ports, t.Name)
		}
		for _, t := range p.Manifest.Outputs {
			v.Reads = append(v.Reads, t.Name)
		}
		token, err := invite.Sign(signer, v)
		if err != nil {
			return err
		}
		if err := invite.Note(args[0], v); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "invitation %s: %s may run plan %.16s %s until %s\n", v.ID, name, v.Plan, times(runs), time.Unix(v.Expires, 0).UTC().Format(time.RFC3339))
		if page != "" {
			token = page + "#t=" + token
		}
		_, err = fmt.Fprintln(c.OutOrStdout(), token)
		return err
	}
	return c
}

// times says how often.
func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// daysOr reads a duration, which may be in days.
func daysOr(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		var n int
		if _, err := fmt.Sscanf(days+"\n", "%d\n", &n); err != nil || n < 1 || n > 3650 {
			return 0, fmt.Errorf("%q is no number of days", days)
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err == nil && d < time.Second {
		err = fmt.Errorf("%v is no time", d)
	}
	return d, err
}

func invitesCommand() *cobra.Command {
	c := &cobra.Command{Use: "invites", Short: "List invitations, and take them back"}
	list := &cobra.Command{
		Use:   "list PLAN",
		Short: "List the invitations that were signed for a plan here",
		Long:  "List shows what smpcc invite has added to PLAN.invites. How often each was used the servers' ledgers know.",
		Args:  exactly(1, "one PLAN"),
		RunE: func(c *cobra.Command, args []string) error {
			all, err := invite.Noted(args[0])
			if err != nil {
				return err
			}
			if len(all) == 0 {
				_, err = fmt.Fprintln(c.OutOrStdout(), "no invitations are listed")
				return err
			}
			now := time.Now()
			for _, v := range all {
				state := "until"
				if now.Unix() >= v.Expires {
					state = "ended"
				}
				if _, err := fmt.Fprintf(c.OutOrStdout(), "%s  plan %.16s  %s  %s %s\n", v.ID, v.Plan, times(v.Runs), state, time.Unix(v.Expires, 0).UTC().Format(time.RFC3339)); err != nil {
					return err
				}
			}
			return nil
		},
	}
	var state string
	revoke := &cobra.Command{
		Use:   "revoke ID --state DIR",
		Short: "Take an invitation back at this party's server",
		Long:  "Revoke has the server whose state folder is DIR refuse the invitation from the next request on. One party that refuses is enough: no session begins without all of them.",
		Args:  exactly(1, "one ID of an invitation"),
		RunE: func(c *cobra.Command, args []string) error {
			if state == "" {
				return usagef("smpcc invites revoke: --state DIR is missing")
			}
			if err := invite.Revoke(state, args[0]); err != nil {
				return err
			}
			_, err := fmt.Fprintf(c.OutOrStdout(), "%s: invitation %s is taken back\n", state, args[0])
			return err
		},
	}
	revoke.Flags().StringVar(&state, "state", "", "state folder `DIR` of the server")
	c.AddCommand(list, revoke)
	return c
}

// A guestRun is smpcc infer --guest.
type guestRun struct {
	servers   []string
	token, ca string
}

// run shares the inputs of one request among the parties and prints what the guest receives.
func (g *guestRun) run(c *cobra.Command, path string, inputs, images []string, timeout time.Duration) error {
	p, err := readPlan(path)
	if err != nil {
		return err
	}
	servers, err := pairs("server", g.servers)
	if err != nil {
		return err
	}
	cl, err := client.NewGuest(p, client.GuestOptions{Servers: servers, Token: g.token, CA: g.ca, Timeout: timeout})
	if err != nil {
		return usagef("smpcc infer --guest: %v", err)
	}
	defer cl.Close()
	requests, files, err := readRequests(p, path, inputs, images)
	if err != nil {
		return err
	}
	for i, data := range requests {
		words, err := bindOwn(p, p.Manifest.Guests, data, files[i])
		if err != nil {
			return err
		}
		r, err := cl.InferWords(c.Context(), words)
		if err != nil {
			return err
		}
		for _, port := range p.Manifest.Outputs {
			t := smpcc.Read(port, r.Words[port.Name])
			if _, err := fmt.Fprintf(c.OutOrStdout(), "%s to %s: %s\n", port.Name, p.Manifest.Guests[0], render(t, port.Scale)); err != nil {
				return err
			}
			if s := classes(t, port.Classes); s != "" {
				fmt.Fprintf(c.OutOrStdout(), "  class: %s\n", s)
			}
		}
		fmt.Fprintf(c.ErrOrStderr(), "session %d, plan %.16s: %s each held one share of %s\n", r.Session, p.Digest(), strings.Join(p.Manifest.Parties, ", "), "what you gave")
	}
	return nil
}
