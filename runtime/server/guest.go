package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"time"

	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/guest"
	"smpcc/runtime/invite"
	"smpcc/runtime/keys"
)

// The listener of guests: plain HTTPS without client certificates, beside the one on which roles speak to each other.

// Guests says where guests are answered, and whose invitations count.
type Guests struct {
	Listen     string   `yaml:"listen,omitempty"`      // address to answer guests on; nobody is answered if it is left out
	Cert       string   `yaml:"cert,omitempty"`        // certificate that browsers trust, with its chain; the role's own if left out
	Key        string   `yaml:"key,omitempty"`         // its private key
	Invite     []string `yaml:"invite,omitempty"`      // public keys whose invitations count here
	Origins    []string `yaml:"origins,omitempty"`     // pages that may send from browsers, as https://HOST; "null" for pages that are opened from disk
	Plain      bool     `yaml:"plain,omitempty"`       // answer over HTTP without TLS, on this machine only: to try things out
	Page       string   `yaml:"page,omitempty"`        // page to serve at /, as smpcc page has written it
	Hold       string   `yaml:"hold,omitempty"`        // how long a share waits for those of the other parties; 30s
	PerAddress int      `yaml:"per_address,omitempty"` // requests of one address at once; 16

	hold time.Duration
	keys []ed25519.PublicKey
}

// Defaults of what a configuration leaves out, and limits.
const (
	defaultHold       = 30 * time.Second
	defaultPerAddress = 16
	headTime          = 10 * time.Second // for the head of a request and its first line
	slowestBody       = 32 << 10         // bytes a second
	maxPage           = 16 << 20
)

// check reads durations and keys, and reports every value that makes no sense.
func (g *Guests) check(at *control.File, role keys.Files) (errs []error) {
	bad := func(key, format string, args ...any) { errs = append(errs, at.Errorf(key, format, args...)) }
	if err := at.Duration("guests.hold", g.Hold, defaultHold, &g.hold); err != nil {
		errs = append(errs, err)
	}
	g.keys = nil
	for _, k := range g.Invite {
		key, err := attest.ParseKey(k)
		if err != nil {
			bad("guests.invite", "%v", err)
			continue
		}
		g.keys = append(g.keys, key)
	}
	for _, o := range g.Origins {
		if u, err := url.Parse(o); o != "null" && (err != nil || u.Host == "" || u.Path != "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname()))) {
			bad("guests.origins", "%q is not an origin such as https://north.example", o)
		}
	}
	if g.PerAddress < 0 || g.PerAddress > 1<<16 {
		bad("guests.per_address", "%d is not in 0..%d", g.PerAddress, 1<<16)
	}
	if g.PerAddress == 0 {
		g.PerAddress = defaultPerAddress
	}
	if (g.Cert == "") != (g.Key == "") {
		bad("guests.cert", "goes with guests.key")
	}
	if g.Listen == "" {
		if len(g.Invite) > 0 || g.Page != "" {
			bad("guests.listen", "is missing: without it nobody is answered")
		}
		return errs
	}
	if err := control.CheckAddress(g.Listen, true); err != nil {
		bad("guests.listen", "%v", err)
	} else if host, _, _ := net.SplitHostPort(g.Listen); g.Plain && !loopback(host) {
		bad("guests.plain", "is for this machine only, and guests.listen is %s; leave plain out, or listen on localhost", g.Listen)
	}
	if len(g.Invite) == 0 {
		bad("guests.invite", "is missing: the keys whose invitations count (smpcc keys sign makes one, smpcc invite signs with it)")
	}
	return errs
}

// A guestServer answers guests.
type guestServer struct {
	*Server
	page []byte
	mu   sync.Mutex
	by   map[string]int // requests under way, by address
}

// serveGuests answers guests until the context ends.
func (s *Server) serveGuests(ctx context.Context, l net.Listener) error {
	g := &guestServer{Server: s, by: map[string]int{}}
	cert, key := s.cfg.Guests.Cert, s.cfg.Guests.Key
	if cert == "" {
		cert, key = s.cfg.TLS.Cert, s.cfg.TLS.Key
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if s.cfg.Guests.Page != "" {
		if g.page, err = os.ReadFile(s.cfg.Guests.Page); err != nil || len(g.page) > maxPage {
			return errors.Join(fmt.Errorf("guests.page: %w", errors.Join(err, tooLong(len(g.page)))), l.Close())
		}
	}
	h := &http.Server{Handler: g.handler(), ReadHeaderTimeout: headTime, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	done := make(chan error, 1)
	go func() {
		if s.cfg.Guests.Plain {
			done <- h.Serve(l)
			return
		}
		done <- h.ServeTLS(l, "", "")
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	err = h.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.Close()
	}
	<-done
	return err
}

func tooLong(n int) error {
	if n > maxPage {
		return fmt.Errorf("more than %d bytes", maxPage)
	}
	return nil
}

// handler returns what answers guests.
func (g *guestServer) handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc(guest.RunPath, g.run)
	m.HandleFunc("GET "+guest.PlanPath, g.describePlan)
	m.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if g.page == nil {
			g.refuse(w, http.StatusNotFound, errors.New("this party serves no page"), "open the page of your invitation")
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8") // the page names its own policy, which lets it speak to the parties
		w.Header().Set("X-Frame-Options", "DENY")
		_, _ = w.Write(g.page) // a reader that has left needs no answer
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		out := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		if r.URL.Path != "/" {
			h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		}
		h.Set("Vary", "Origin")
		if o := r.Header.Get("Origin"); o != "" && slices.Contains(g.cfg.Guests.Origins, o) {
			h.Set("Access-Control-Allow-Origin", o)
		}
		leave, err := g.enter(r)
		if err != nil {
			g.refuse(out, http.StatusTooManyRequests, err, "wait for the requests that are under way")
		} else {
			m.ServeHTTP(out, r)
			leave()
		}
		g.log.Info("guest", "method", r.Method, "path", knownPath(r.URL.Path), "status", out.status, "seconds", time.Since(began).Seconds())
	})
}

// knownPath is the path of a request as the log has it: nothing of what a stranger writes there.
func knownPath(p string) string {
	if p == guest.RunPath || p == guest.PlanPath || p == "/" {
		return p
	}
	return "other"
}

// A statusWriter notes the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap returns what is written to, for deadlines.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// enter counts a request of an address, of which there may be so many at once.
func (g *guestServer) enter(r *http.Request) (leave func(), err error) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.by[host] >= g.cfg.Guests.PerAddress {
		return nil, fmt.Errorf("%d requests of this address are under way", g.by[host])
	}
	g.by[host]++
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.by[host]--; g.by[host] == 0 {
			delete(g.by, host)
		}
	}, nil
}

// refuse answers with an error and what to try.
func (g *guestServer) refuse(w http.ResponseWriter, status int, why error, hint string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(guest.Refusal{Error: why.Error(), Hint: hint}) // a reader that has left needs no answer
}

// A PlanAnswer says which plan a party serves to guests.
type PlanAnswer struct {
	Party   string   `json:"party"`
	Plan    string   `json:"plan"`
	Name    string   `json:"name"`
	Parties []string `json:"parties"`
	Guest   string   `json:"guest"`
}

// describePlan says which plans guests may run here.
func (g *guestServer) describePlan(w http.ResponseWriter, _ *http.Request) {
	out := []PlanAnswer{}
	for _, d := range g.plans.list() {
		if name, err := guest.Serves(&d.plan.Manifest); err == nil {
			out = append(out, PlanAnswer{g.name, d.planHex(), d.plan.Manifest.Name, d.plan.Manifest.Parties, name})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

// A turn is a refusal with its status.
type turn struct {
	status int
	err    error
	hint   string
}

// run takes a share and answers with the share of the result.
func (g *guestServer) run(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		g.refuse(w, http.StatusMethodNotAllowed, errors.New("requests are made by POST"), "")
		return
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != guest.ContentType {
		g.refuse(w, http.StatusUnsupportedMediaType, fmt.Errorf("want a body of type %s", guest.ContentType), "")
		return
	}
	x, no := g.receive(w, r)
	if no != nil {
		g.refuse(w, no.status, no.err, no.hint)
		return
	}
	select {
	case <-x.over:
	case <-r.Context().Done(): // it has left: what has not begun does not begin for it
		g.giveBackShare(x, errors.New("the guest has left"))
		return
	case <-g.ctx.Done():
		g.refuse(w, http.StatusServiceUnavailable, fmt.Errorf("%s stops", g.name), "try again")
		return
	}
	g.submissions.mu.Lock()
	err, session := x.err, x.job
	var names []string
	var data []byte
	if err == nil {
		names, data = guest.Given(&x.d.plan.Manifest, x.kept)
	}
	g.submissions.mu.Unlock()
	if err != nil {
		g.refuse(w, http.StatusServiceUnavailable, fmt.Errorf("the request did not run: %w", err), "make a new request")
		return
	}
	msg, err := guest.Framed(guest.Answer{Party: g.name, Plan: x.d.planHex(), Session: session, Outputs: names}, data)
	if err != nil {
		g.refuse(w, http.StatusInternalServerError, err, "")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = w.Write(msg) // a reader that has left may ask again
	clear(data)
	clear(msg)
}

// receive reads a request, checks all that it says, and holds its share.
func (g *guestServer) receive(w http.ResponseWriter, r *http.Request) (*submission, *turn) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(headTime)) // where it cannot be set, the server's own limits hold
	in := bufio.NewReaderSize(http.MaxBytesReader(w, r.Body, guest.MaxHead+g.longest()), guest.MaxHead)
	line, err := in.ReadSlice('\n')
	if err != nil {
		return nil, &turn{http.StatusBadRequest, errors.New("the request has no first line"), ""}
	}
	var head guest.Head
	if _, err := guest.Unframed(line, &head); err != nil {
		return nil, &turn{http.StatusBadRequest, err, "use the library of this version"}
	}
	if err := guest.CheckTicket(head.Ticket); err != nil {
		return nil, &turn{http.StatusBadRequest, err, ""}
	}
	d, err := g.plans.find(g.name, head.Plan)
	if err != nil {
		return nil, &turn{http.StatusUnauthorized, errors.New("this party does not serve that plan"), "the page is of another plan: ask who invited you"}
	}
	m := &d.plan.Manifest
	if _, err := guest.Serves(m); err != nil {
		return nil, &turn{http.StatusUnauthorized, err, ""}
	}
	v, err := invite.Read(head.Token, g.cfg.Guests.keys)
	if err == nil {
		err = v.Allows(d.planHex(), m.Parties, g.cfg.now())
	}
	if err != nil {
		return nil, &turn{http.StatusUnauthorized, err, "ask who invited you for a new link"}
	}
	if d.role >= d.plan.NumParties() {
		return nil, &turn{http.StatusUnauthorized, errors.New("the dealer holds no shares"), ""}
	}
	size := guest.ShareBytes(m, d.role)
	_ = control.SetReadDeadline(time.Now().Add(headTime + time.Duration(size/slowestBody)*time.Second))
	data := make([]byte, size)
	defer clear(data)
	if _, err := io.ReadFull(in, data); err != nil {
		return nil, &turn{http.StatusBadRequest, fmt.Errorf("the share is shorter than %d bytes, or came too slowly", size), "use a page or a library for this plan"}
	}
	if _, err := in.ReadByte(); err != io.EOF {
		return nil, &turn{http.StatusBadRequest, fmt.Errorf("the share is longer than %d bytes", size), "use a page or a library for this plan"}
	}
	_ = control.SetReadDeadline(time.Time{})
	words, err := guest.Words(m, d.role, data)
	if err != nil {
		return nil, &turn{http.StatusBadRequest, err, ""}
	}
	x := &submission{d: d, ticket: head.Ticket, from: v, sum: sha256.Sum256(bytes.Join([][]byte{[]byte(head.Plan), data}, nil)), words: words}
	for _, w := range words {
		x.bytes += 8 * int64(len(w))
	}
	return g.hold(r.Context(), x)
}

// longest is the length of the longest share of any plan.
func (g *guestServer) longest() (n int64) {
	for _, d := range g.plans.list() {
		if d.role < d.plan.NumParties() {
			n = max(n, int64(guest.ShareBytes(&d.plan.Manifest, d.role)))
		}
	}
	return n
}

// hold keeps a share until its session has ended, and tells the lead that it is here.
func (g *guestServer) hold(ctx context.Context, x *submission) (*submission, *turn) {
	d := x.d
	held, err := g.admit(x)
	switch {
	case errors.Is(err, errBusy):
		return nil, &turn{http.StatusServiceUnavailable, err, ""}
	case err != nil:
		return nil, &turn{http.StatusConflict, err, ""}
	case held != x: // a retry
		return held, nil
	}
	if err := g.invited(x.from); err != nil {
		g.giveBackShare(x, err)
		return nil, &turn{http.StatusUnauthorized, err, "ask who invited you for a new link"}
	}
	if d.role == 0 {
		err = d.hear(x.ticket, x.from.ID, g.name)
	} else {
		ctx, cancel := context.WithTimeout(ctx, g.cfg.Guests.hold)
		defer cancel()
		err = d.say(ctx, d.plan.Manifest.Parties[0], heldRequest{Plan: d.planHex(), Ticket: x.ticket, ID: x.from.ID})
	}
	if err != nil {
		g.giveBackShare(x, err)
		return nil, &turn{http.StatusServiceUnavailable, fmt.Errorf("the parties cannot be reached by each other: %w", err), "try again later"}
	}
	return x, nil
}
