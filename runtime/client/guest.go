package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/control"
	"smpcc/runtime/guest"
)

// A Guest runs a plan at party servers that it trusts with nothing: each is given one share of its data over HTTPS, and answers with one share of what the guest receives. It
// may be used by several goroutines.
type Guest struct {
	plan    *plan.Plan
	name    string
	servers []string // by party, without a slash at the end
	token   string
	http    *http.Client
	encoder *Client
}

// GuestOptions say where parties answer guests, and by which invitation.
type GuestOptions struct {
	Servers map[string]string // party -> URL such as https://north.example:8443
	Token   string            // the invitation
	CA      string            // file of the authority that has signed the servers' certificates; the machine's if empty
	Timeout time.Duration     // of one request, from its first byte to its answer; two minutes if 0
}

// guestTimeout is how long a guest waits for an answer where nothing is said.
const guestTimeout = 2 * time.Minute

// NewGuest returns a guest of a plan, which one guest must run alone.
func NewGuest(p *plan.Plan, opt GuestOptions) (*Guest, error) {
	name, err := guest.Serves(&p.Manifest)
	if err != nil {
		return nil, err
	}
	g := &Guest{plan: p, name: name, token: opt.Token, encoder: &Client{cfg: &control.Config{ActsFor: []string{name}}, plan: p}}
	if opt.Token == "" {
		return nil, errors.New("there is no invitation: give the token of the link that you were sent")
	}
	for _, party := range p.Manifest.Parties {
		at, err := guest.Origin(opt.Servers[party])
		if err != nil {
			return nil, fmt.Errorf("server of %s: %w", party, err)
		}
		g.servers = append(g.servers, at)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if opt.CA != "" {
		pem, err := os.ReadFile(opt.CA)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate", opt.CA)
		}
	}
	if opt.Timeout <= 0 {
		opt.Timeout = guestTimeout
	}
	g.http = &http.Client{Timeout: opt.Timeout, Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }} // a share goes to its party and nowhere else
	return g, nil
}

// Close ends idle connections.
func (g *Guest) Close() { g.http.CloseIdleConnections() }

// Encode turns the guest's inputs into the words of its ports, as Client.Encode does.
func (g *Guest) Encode(in Inputs) ([][]uint64, error) { return g.encoder.Encode(in) }

// Infer shares the inputs among the parties and returns what the guest receives.
func (g *Guest) Infer(ctx context.Context, in Inputs) (*Result, error) {
	words, err := g.Encode(in)
	if err != nil {
		return nil, err
	}
	return g.InferWords(ctx, words)
}

// InferWords is Infer for encoded inputs.
func (g *Guest) InferWords(ctx context.Context, words [][]uint64) (*Result, error) {
	start := time.Now()
	shares, err := guest.Shares(&g.plan.Manifest, words)
	if err != nil {
		return nil, err
	}
	ticket, err := guest.NewTicket()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	head := guest.Head{Plan: g.plan.Digest(), Token: g.token, Ticket: ticket}
	given, errs, sessions := make([][]byte, len(shares)), make([]error, len(shares)), make([]uint64, len(shares))
	var wg sync.WaitGroup
	for i := range shares {
		wg.Go(func() {
			if sessions[i], given[i], errs[i] = g.send(ctx, i, head, shares[i]); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", g.plan.Manifest.Parties[i], errs[i])
				cancel()
			}
		})
	}
	wg.Wait()
	if err := first(errs); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(sessions, func(s uint64) bool { return s != sessions[0] }) {
		return nil, fmt.Errorf("the parties answer for different sessions, %v", sessions)
	}
	out, err := guest.Joined(&g.plan.Manifest, given)
	if err != nil {
		return nil, err
	}
	r := &Result{Session: sessions[0], Outputs: Outputs{}, Words: out}
	for _, p := range g.plan.Manifest.Outputs {
		x := make([]float64, len(out[p.Name]))
		for i, w := range out[p.Name] {
			if x[i] = float64(int64(w)); p.Elem == "real" {
				x[i] = math.Ldexp(x[i], -p.Scale)
			}
		}
		r.Outputs[p.Name] = x
	}
	r.Took = time.Since(start)
	return r, nil
}

// first returns the error that made the others: those say only that the request was given up.
func first(errs []error) error {
	var any error
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		if any == nil {
			any = err
		}
	}
	return any
}

// send gives a party its share and returns what it answers.
func (g *Guest) send(ctx context.Context, party int, head guest.Head, data []byte) (session uint64, given []byte, err error) {
	msg, err := guest.Framed(head, data)
	if err != nil {
		return 0, nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.servers[party]+guest.RunPath, bytes.NewReader(msg))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", guest.ContentType)
	req.Header["Idempotency-Key"] = nil // the ticket is one: the transport may send it again on a fresh connection
	res, err := g.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	most := int64(guest.MaxHead)
	for _, p := range g.plan.Manifest.Outputs {
		most += int64(plan.PackedBytes(p.Len(), p.Bits))
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err != nil {
		return 0, nil, err
	}
	if res.StatusCode != http.StatusOK {
		var no guest.Refusal
		if json.Unmarshal(body, &no) != nil || no.Error == "" {
			return 0, nil, fmt.Errorf("answered with status %d", res.StatusCode)
		}
		if no.Hint != "" {
			no.Error += "; " + no.Hint
		}
		return 0, nil, errors.New(no.Error)
	}
	var a guest.Answer
	if given, err = guest.Unframed(body, &a); err != nil {
		return 0, nil, fmt.Errorf("answer: %w", err)
	}
	if a.Plan != head.Plan || a.Party != g.plan.Manifest.Parties[party] {
		return 0, nil, fmt.Errorf("answered as %s, for plan %.16s: the address is another party's, or it runs another plan", a.Party, a.Plan)
	}
	return a.Session, given, nil
}
