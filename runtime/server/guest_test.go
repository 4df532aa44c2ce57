package server_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc"
	"smpcc/runtime/attest"
	"smpcc/runtime/client"
	"smpcc/runtime/guest"
	"smpcc/runtime/invite"
)

// squares is a program that one guest runs: the squares of three numbers, and whether their sum is large.
func squares(t testing.TB, parties string) *model {
	t.Helper()
	file := filepath.Join(t.TempDir(), "squares.smp")
	if err := os.WriteFile(file, []byte("parties "+parties+`
dealer d
guests g
input x: int[3] from g in -100..100
reveal x * x to g as squared
reveal sum(x, 0) > 50 to g as large
`), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := smpcc.Compile(file, smpcc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &model{plan: c.Plan}
}

// A guestHouse is a house whose parties answer guests.
type guestHouse struct {
	*house
	key     ed25519.PrivateKey
	servers map[string]string
}

func newGuestHouse(t testing.TB, m *model) *guestHouse {
	t.Helper()
	h := &guestHouse{house: newHouse(t, m), servers: map[string]string{}}
	var err error
	if _, h.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	for _, p := range m.plan.Manifest.Parties {
		addr := freeAddress(t)
		h.servers[p] = "https://" + strings.Replace(addr, "127.0.0.1", "localhost", 1)
		h.cfg[p].Guests.Listen = addr
		h.cfg[p].Guests.Invite = []string{attest.KeyText(h.key.Public().(ed25519.PublicKey))}
		h.cfg[p].Guests.Origins = []string{"https://page.example", "null"}
		h.cfg[p].Guests.Hold = "2s"
	}
	return h
}

// invitation is one for so many runs.
func (h *guestHouse) invitation(runs int) invite.Invitation {
	now := time.Now()
	return invite.Invitation{Plan: h.m.plan.Digest(), Parties: h.m.plan.Manifest.Parties, ID: invite.NewID(), Issued: now.Unix() - 1, Expires: now.Add(time.Hour).Unix(), Runs: runs}
}

func (h *guestHouse) token(v invite.Invitation) string {
	h.t.Helper()
	s, err := invite.Sign(h.key, v)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *guestHouse) guest(token string) *client.Guest {
	h.t.Helper()
	g, err := client.NewGuest(h.m.plan, client.GuestOptions{Servers: h.servers, Token: token, CA: filepath.Join(h.keys, "ca.crt"), Timeout: 20 * time.Second})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(g.Close)
	return g
}

// right runs one request and compares it with integer arithmetic.
func (h *guestHouse) right(g *client.Guest, x ...float64) error {
	r, err := g.Infer(context.Background(), client.Inputs{"x": x})
	if err != nil {
		return err
	}
	sum := 0.0
	for i, v := range x {
		if sum += v; r.Outputs["squared"][i] != v*v {
			return fmt.Errorf("the square of %g is %g", v, r.Outputs["squared"][i])
		}
	}
	if large := r.Outputs["large"][0] == 1; large != (sum > 50) {
		return fmt.Errorf("that %g is above 50 is %v", sum, large)
	}
	return nil
}

// TestGuests: guests run a plan at 2 and 3 parties, side by side, as often as their invitation says, also over restarts.
func TestGuests(t *testing.T) {
	for _, parties := range []string{"p0, p1", "p0, p1, p2"} {
		h := newGuestHouse(t, squares(t, parties))
		h.must()
		g := h.guest(h.token(h.invitation(5)))
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() { errs[i] = h.right(g, float64(i), -100, float64(30*i)) })
		}
		wg.Wait()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		if _, err := g.Infer(context.Background(), client.Inputs{"x": {1, 2, 101}}); err == nil || !strings.Contains(err.Error(), "element 2 is outside the range -100..100") {
			t.Errorf("a number out of range: %v", err)
		}
		h.stop("p1")
		h.must("p1")
		if err := h.right(g, 1, 2, 3); err != nil {
			t.Error(err)
		}
		if err := h.right(g, 1, 2, 3); err == nil || !strings.Contains(err.Error(), "for 5 runs, and all of them are used") {
			t.Errorf("a sixth run of five: %v", err)
		}
		if err := h.infers(h.client("p0-client", "p0")); err == nil || !strings.Contains(err.Error(), "begin with the shares of g") {
			t.Errorf("a client opens a session of guests: %v", err)
		}
	}
}

// post sends a request as it is.
func (h *guestHouse) post(party string, body []byte, header map[string]string) (int, string, http.Header) {
	h.t.Helper()
	c := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}} // what it answers matters here
	req, err := http.NewRequest(http.MethodPost, h.servers[party]+guest.RunPath, bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", guest.ContentType)
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := c.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer res.Body.Close()
	out, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(out), res.Header
}

// request is what a party is sent, with another head if edit changes it.
func (h *guestHouse) request(party int, ticket, token string, edit func(head *guest.Head, data []byte) []byte) []byte {
	h.t.Helper()
	words := [][]uint64{{1, 2, 3}}
	shares, err := guest.Shares(&h.m.plan.Manifest, words)
	if err != nil {
		h.t.Fatal(err)
	}
	head, data := guest.Head{Plan: h.m.plan.Digest(), Token: token, Ticket: ticket}, shares[party]
	if edit != nil {
		data = edit(&head, data)
	}
	msg, err := guest.Framed(head, data)
	if err != nil {
		h.t.Fatal(err)
	}
	return msg
}

// TestHostileGuests: requests that are not what they should be are refused with a reason, and leave nothing behind.
func TestHostileGuests(t *testing.T) {
	h := newGuestHouse(t, squares(t, "p0, p1"))
	h.must()
	ticket := func() string {
		s, err := guest.NewTicket()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	good := h.token(h.invitation(1000))
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	forged, err := invite.Sign(other, h.invitation(5))
	if err != nil {
		t.Fatal(err)
	}
	part := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + part[1] + "."
	hmac := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part[1] + "." + part[2]
	late := h.invitation(5)
	late.Issued, late.Expires = late.Issued-10, time.Now().Unix()-1
	elsewhere := h.invitation(5)
	elsewhere.Plan = strings.Repeat("a", 64)
	parties := h.invitation(5)
	parties.Parties = []string{"p0", "p2"}
	head := func(f func(*guest.Head)) func(*guest.Head, []byte) []byte {
		return func(x *guest.Head, d []byte) []byte { f(x); return d }
	}
	for _, c := range []struct {
		name   string
		status int
		want   string
		token  string
		edit   func(*guest.Head, []byte) []byte
		header map[string]string
	}{
		{"no token", 401, "there is no invitation", "", nil, nil},
		{"alg none", 401, "only EdDSA", none, nil, nil},
		{"another algorithm", 401, "only EdDSA", hmac, nil, nil},
		{"half a token", 401, "malformed", part[0] + "." + part[1], nil, nil},
		{"a signature of another", 401, "not signed by a key", part[0] + "." + part[1] + "." + strings.Split(forged, ".")[2], nil, nil},
		{"forged", 401, "not signed by a key", forged, nil, nil},
		{"ended", 401, "ended at", h.token(late), nil, nil},
		{"of another plan", 401, "is for plan aaaa", h.token(elsewhere), nil, nil},
		{"of other parties", 401, "is for parties p0, p2", h.token(parties), nil, nil},
		{"for another plan", 401, "does not serve that plan", good, head(func(x *guest.Head) { x.Plan = strings.Repeat("b", 64) }), nil},
		{"a short ticket", 400, "ticket is not 16 bytes", good, head(func(x *guest.Head) { x.Ticket = "abc" }), nil},
		{"a ticket that is none", 400, "ticket is not 16 bytes", good, head(func(x *guest.Head) { x.Ticket = strings.Repeat("!", 22) }), nil},
		{"a short share", 400, "shorter than", good, func(_ *guest.Head, d []byte) []byte { return d[:len(d)-1] }, nil},
		{"a long share", 400, "longer than", good, func(_ *guest.Head, d []byte) []byte { return append(d, 0) }, nil},
		{"a giant body", 400, "longer than", good, func(_ *guest.Head, d []byte) []byte { return append(d, make([]byte, 1<<22)...) }, nil},
		{"JSON", 415, "want a body of type text/plain", good, nil, map[string]string{"Content-Type": "application/json"}},
	} {
		for i, p := range []string{"p0", "p1"} {
			status, text, _ := h.post(p, h.request(i, ticket(), c.token, c.edit), c.header)
			if c.name == "a giant body" && status == 0 { // it may have stopped reading before all was sent
				continue
			}
			if status != c.status || !strings.Contains(text, c.want) {
				t.Errorf("%s at %s: status %d, %s; want %d, %s", c.name, p, status, text, c.status, c.want)
			}
		}
	}
	for name, body := range map[string]string{"nothing": "", "no first line": strings.Repeat("x", 20000), "no JSON": "hello\nworld", "unknown keys": `{"plan":"x","x":1}` + "\n"} {
		if status, text, _ := h.post("p0", []byte(body), nil); status != 400 {
			t.Errorf("%s: status %d, %s", name, status, text)
		}
	}
	// a page of somebody else may not read answers, and nobody is told of cookies
	if _, _, hd := h.post("p0", nil, map[string]string{"Origin": "https://evil.example"}); hd.Get("Access-Control-Allow-Origin") != "" {
		t.Error("another page may read answers")
	}
	if _, _, hd := h.post("p0", nil, map[string]string{"Origin": "https://page.example"}); hd.Get("Access-Control-Allow-Origin") != "https://page.example" || hd.Get("Set-Cookie") != "" || hd.Get("Access-Control-Allow-Credentials") != "" || !strings.Contains(hd.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("headers %v", hd)
	}
	// one party alone: no session, and an answer in time
	began := time.Now()
	if status, text, _ := h.post("p0", h.request(0, ticket(), good, nil), nil); status != 503 || !strings.Contains(text, "not all parties have received their share") {
		t.Errorf("one share: status %d, %s", status, text)
	}
	// different tickets at different parties
	var wg sync.WaitGroup
	for i, p := range []string{"p0", "p1"} {
		wg.Go(func() {
			if status, text, _ := h.post(p, h.request(i, ticket(), good, nil), nil); status != 503 {
				t.Errorf("different tickets: status %d, %s", status, text)
			}
		})
	}
	wg.Wait()
	if d := time.Since(began); d > 10*time.Second {
		t.Errorf("lonely shares took %v", d)
	}
	// a replay has the same answer, another share under the same ticket has none
	tk := ticket()
	bodies := [][]byte{h.request(0, tk, good, nil), nil}
	shares, _ := guest.Shares(&h.m.plan.Manifest, [][]uint64{{101, 102, 103}})
	bodies[0], _ = guest.Framed(guest.Head{Plan: h.m.plan.Digest(), Token: good, Ticket: tk}, shares[0])
	bodies[1], _ = guest.Framed(guest.Head{Plan: h.m.plan.Digest(), Token: good, Ticket: tk}, shares[1])
	answers := make([]string, 4)
	for round := range 2 {
		for i, p := range []string{"p0", "p1"} {
			wg.Go(func() {
				status, text, _ := h.post(p, bodies[i], nil)
				if answers[2*round+i] = text; status != 200 {
					t.Errorf("status %d, %s", status, text)
				}
			})
		}
		wg.Wait()
	}
	if answers[0] != answers[2] || answers[1] != answers[3] {
		t.Error("a retry has another answer")
	}
	if status, text, _ := h.post("p0", h.request(0, tk, good, nil), nil); status != 409 || !strings.Contains(text, "another share has come") {
		t.Errorf("another share under a ticket: status %d, %s", status, text)
	}
	// invalid words are words: whatever the last party is given is a share of something
	if err := h.right(h.guest(good), 7, 8, 9); err != nil {
		t.Error(err)
	}
	// an invitation that one party has taken back is of no use
	gone := h.invitation(5)
	if err := invite.Revoke(h.cfg["p1"].State, gone.ID); err != nil {
		t.Fatal(err)
	}
	if err := h.right(h.guest(h.token(gone)), 7, 8, 9); err == nil || !strings.Contains(err.Error(), "was taken back") {
		t.Errorf("an invitation that was taken back: %v", err)
	}
	// nothing of a request is in a log
	for _, p := range []string{"p0", "p1"} {
		if l := h.logs[p].with(good[:40]); len(l) > 0 {
			t.Errorf("a token is in the log of %s: %s", p, l[0])
		}
		if l := h.logs[p].with(tk); len(l) > 0 {
			t.Errorf("a ticket is in the log of %s: %s", p, l[0])
		}
	}
	var list []map[string]any
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := c.Get(h.servers["p1"] + guest.PlanPath)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&list); err != nil || len(list) != 1 || list[0]["plan"] != h.m.plan.Digest() || list[0]["guest"] != "g" {
		t.Errorf("%v, %v", list, err)
	}
}

// TestAbandonedGuests: uploads that are abandoned, never finished or sent to one party only take no place of others, and no memory.
func TestAbandonedGuests(t *testing.T) {
	h := newGuestHouse(t, squares(t, "p0, p1"))
	for _, p := range []string{"p0", "p1"} {
		h.cfg[p].Guests.PerAddress = 4000
		h.cfg[p].Guests.Hold = "1s"
	}
	h.must()
	good := h.token(h.invitation(100))
	n := 60
	if os.Getenv("SMPCC_NIGHTLY") != "" {
		n = 10000
	}
	addr := strings.TrimPrefix(h.servers["p0"], "https://")
	var wg sync.WaitGroup
	gate := make(chan struct{}, 100)
	for i := range n {
		gate <- struct{}{}
		wg.Go(func() {
			defer func() { <-gate }()
			conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 10 * time.Second}, "tcp", addr, &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				return
			}
			defer conn.Close()
			ticket, _ := guest.NewTicket()
			body := h.request(0, ticket, good, nil)
			if i%3 > 0 { // the head alone, or half the share
				body = body[:len(body)-16+8*(i%3-1)]
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", guest.RunPath, len(body)+16, body)
			time.Sleep(5 * time.Millisecond)
		})
	}
	wg.Wait()
	g := h.guest(good)
	var err error
	for range 20 { // at once, or when the last lonely share has been given up
		if err = h.right(g, 1, 2, 3); err == nil {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("after %d abandoned uploads: %v", n, err)
	}
}
