package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smpcc/backend/plan"
	"smpcc/clients/web"
	"smpcc/ir/diag"
)

func pageCommand() *cobra.Command {
	var out string
	var servers []string
	var manifest bool
	c := &cobra.Command{
		Use:   "page PLAN -o FILE.html --server PARTY=URL ...",
		Short: "Write the page on which a guest runs a plan",
		Long: `Page writes one file that loads nothing from elsewhere: a form made from the plan's inputs (a canvas for 28 x 28, fields, a table of numbers), who learns what, and the
code that splits what is given into shares in the browser. It can be opened from disk, be served by a party (guests.page) or by anybody else; it speaks to the parties' addresses
and to nobody else, which its own content security policy sees to. The same plan and addresses make the same bytes: smpcc page verify compares a page that somebody serves.

With --manifest it prints what the JavaScript library is given of the plan instead.`,
		Args: exactly(1, "one PLAN"),
	}
	f := c.Flags()
	f.StringVarP(&out, "out", "o", "", "`FILE` to write")
	f.StringArrayVar(&servers, "server", nil, "where a party answers guests, `PARTY=URL`")
	f.BoolVar(&manifest, "manifest", false, "print what the JavaScript library is given of the plan")
	c.RunE = func(c *cobra.Command, args []string) error {
		p, err := readPlan(args[0])
		if err != nil {
			return err
		}
		if manifest {
			m, err := web.ManifestOf(p)
			if err != nil {
				return notForGuests(args[0], err)
			}
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(m)
		}
		if out == "" {
			return usagef("smpcc page: -o FILE.html is missing")
		}
		page, err := pageOf(p, args[0], servers)
		if err != nil {
			return err
		}
		if err := plan.WriteAtomic(out, page, 0o644); err != nil {
			return err
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %d bytes, sha-256 %s\n", out, len(page), hexSum(page))
		return err
	}
	c.AddCommand(pageVerifyCommand())
	return c
}

// notForGuests says of a plan that no guest can run it, and what to do.
func notForGuests(path string, err error) error {
	return diag.Errorf(diag.Pos{File: path}, "guests cannot run this plan: %v", err).WithHint("compile it with one guest that owns every input and receives every output (--owner INPUT=guest)")
}

// pageOf makes a page from flags.
func pageOf(p *plan.Plan, path string, servers []string) ([]byte, error) {
	at, err := pairs("server", servers)
	if err != nil {
		return nil, err
	}
	if _, err := web.ManifestOf(p); err != nil {
		return nil, notForGuests(path, err)
	}
	page, err := web.Page(p, at)
	if err != nil {
		return nil, usagef("--server: %v", err)
	}
	return page, nil
}

func hexSum(b []byte) string {
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// maxPage bounds what is read of a page.
const maxPage = 16 << 20

func pageVerifyCommand() *cobra.Command {
	var planFile, ca string
	var servers []string
	c := &cobra.Command{
		Use:   "verify URL --plan PLAN --server PARTY=URL ...",
		Short: "Compare a page that somebody serves with the one that the plan makes",
		Long:  "Verify reads a page, from https:// or a file, and compares it byte for byte with what smpcc page writes for the plan and the addresses. A host can serve another page to others: it says what it served now, here.",
		Args:  exactly(1, "one URL or FILE"),
	}
	f := c.Flags()
	f.StringVar(&planFile, "plan", "", "the `PLAN`")
	f.StringArrayVar(&servers, "server", nil, "where a party answers guests, `PARTY=URL`")
	f.StringVar(&ca, "ca", "", "`FILE` of the authority of the host's certificate; by default those that this machine trusts")
	c.RunE = func(c *cobra.Command, args []string) error {
		if planFile == "" {
			return usagef("smpcc page verify: --plan PLAN is missing")
		}
		p, err := readPlan(planFile)
		if err != nil {
			return err
		}
		want, err := pageOf(p, planFile, servers)
		if err != nil {
			return err
		}
		got, err := fetchPage(c.Context(), args[0], ca)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want) {
			return diag.Errorf(diag.Pos{File: args[0]}, "this is not the page of plan %.16s at these addresses: %d bytes, sha-256 %s; want %d bytes, sha-256 %s", p.Digest(), len(got), hexSum(got), len(want), hexSum(want)).
				WithHint("give nothing to it; compare plan, addresses and the version of smpcc, and tell who hosts it")
		}
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s: the page of plan %s, byte for byte (sha-256 %s)\n", args[0], p.Digest(), hexSum(got))
		return err
	}
	return c
}

// fetchPage reads a page from an address or a file.
func fetchPage(ctx context.Context, from, ca string) ([]byte, error) {
	if !strings.HasPrefix(from, "https://") {
		if strings.Contains(from, "://") {
			return nil, usagef("%s: want https://... or a file", from)
		}
		return plan.ReadFileBytes(from)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	h := &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: conf}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	res, err := h.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: answered with status %d", from, res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxPage+1))
	if err == nil && len(b) > maxPage {
		err = fmt.Errorf("%s: more than %d bytes", from, maxPage)
	}
	return b, err
}
