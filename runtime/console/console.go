// Package console is a server's pages for the people of its organisation: which plans there are and what they tell whom, what others ask for, what has run, what budgets have
// left, and how the other roles are. A person is known by a certificate, on a listener of its own. Approving takes a signature that is made elsewhere: no page and no
// request carries a private key.
package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/keys"
)

// Rights are what a person may do.
type Rights struct {
	View, Decide, Operate bool
}

// A Host is the server that a console shows. What a person may not do, it refuses itself too.
type Host interface {
	Name() string
	Rights(person string) Rights
	Health(ctx context.Context) Health
	Plans() []control.PlanStatus
	Plan(digest string) (*plan.Plan, error)
	Signed(digest string) ([]attest.Statement, error)
	Requests(person string) []control.Request
	Requested(person string, id uint64) (*plan.Plan, error)
	Decide(ctx context.Context, person string, d control.DecideRequest) (*control.Request, error)
	Withdraw(ctx context.Context, person, digest string) error
	History(ctx context.Context, q control.HistoryRequest) (*control.HistoryReply, error)
	Budgets() ([]control.Budget, error)
	Catalogue(person string) control.Catalogue
}

// Health says how the server and the other roles are.
type Health struct {
	Trouble     string // why it does not serve, "" if it does
	Software    string
	Certificate time.Time // when it ends
	Running     int
	Queued      int
	State       []Amount // what the state folder holds, in bytes
	Peers       []Peer
}

// An Amount is a number of bytes of something.
type Amount struct {
	What  string
	Bytes int64
}

// A Peer is another role.
type Peer struct {
	Name, Address string
	Says          string // what it answers
	Trouble       string // why no session works with it, "" if one should
	Entry         uint64 // of its log, as it was noted
	Noted         time.Time
	Log           string // what does not fit of its log, "" if all does
}

// An Auditor reads plans, which the server itself does not.
type Auditor struct {
	Summary func(p *plan.Plan) (*Summary, error)
	Page    func(w io.Writer, p *plan.Plan) error
	Diff    func(old, now *plan.Plan) ([]Change, error)
	Compare func(w io.Writer, old, now *plan.Plan) error // a page
}

// A Summary says what a plan does.
type Summary struct {
	Learns   []Learned
	Provides []string
	Findings []Finding
	Cost     []string
	Verified string   // what is verified, "" if it does not verify
	Wrong    []string // why not
}

// A Learned is what somebody learns, and why it may.
type Learned struct {
	Who, What string
	Because   []string
}

// A Finding is something that somebody decides about.
type Finding struct{ Severity, Text, Do string }

// A Change is something that a plan tells more, or less, than another.
type Change struct{ Way, Aspect, Text string }

// A Console answers the people of an organisation.
type Console struct {
	host    Host
	auditor Auditor
	log     *slog.Logger
	failed  func() // counts what failed
	tokens  *tokens
	tls     *tls.Config
	reading chan struct{} // one plan is audited at a time
	mux     *http.ServeMux
	now     func() time.Time
}

// Limits of what a console takes.
const (
	maxForm        = 16 << 10
	maxConnections = 64
	pageTimeout    = 60 * time.Second
)

// New returns the console of a host. conf has its certificate and the authorities of people's.
func New(host Host, auditor Auditor, conf *tls.Config, log *slog.Logger, failed func()) (*Console, error) {
	t, err := newTokens()
	if err != nil {
		return nil, err
	}
	conf = conf.Clone()
	conf.NextProtos, conf.ClientAuth, conf.SessionTicketsDisabled = []string{"http/1.1"}, tls.RequireAndVerifyClientCert, true
	c := &Console{host: host, auditor: auditor, log: log, failed: failed, tokens: t, tls: conf, reading: make(chan struct{}, 1), now: time.Now}
	if conf.Time != nil {
		c.now = conf.Time
	}
	c.mux = http.NewServeMux()
	for _, r := range c.routes() {
		c.mux.HandleFunc(r.pattern, c.guard(r))
	}
	return c, nil
}

// A route is a page or a form, and what it takes.
type route struct {
	pattern string
	needs   func(Rights) bool
	form    bool
	do      func(v *visit) error
}

// Needs of routes.
var (
	views    = func(r Rights) bool { return r.View }
	decides  = func(r Rights) bool { return r.Decide }
	operates = func(r Rights) bool { return r.Operate }
)

// routes returns all that a console answers.
func (c *Console) routes() []route {
	return []route{
		{"GET /{$}", views, false, c.overview},
		{"GET /plans/{digest}", views, false, c.plan},
		{"GET /plans/{digest}/audit", views, false, c.planAudit},
		{"POST /plans/{digest}/withdraw", operates, true, c.withdraw},
		{"GET /requests", views, false, c.requests},
		{"GET /requests/{id}", views, false, c.request},
		{"GET /requests/{id}/audit", views, false, c.requestAudit},
		{"GET /requests/{id}/diff", views, false, c.requestDiff},
		{"POST /requests/{id}/approve", decides, true, c.approve},
		{"POST /requests/{id}/deny", decides, true, c.deny},
		{"GET /history", views, false, c.history},
		{"GET /budgets", views, false, c.budgets},
		{"GET /catalogue", views, false, c.catalogue},
		{"GET /health", views, false, c.health},
		{"GET /console.css", views, false, asset("text/css; charset=utf-8", style)},
		{"GET /sign.js", views, false, asset("text/javascript; charset=utf-8", script)},
	}
}

// asset returns what gives a file that never changes.
func asset(kind, text string) func(v *visit) error {
	return func(v *visit) error {
		v.w.Header().Set("Content-Type", kind)
		_, err := io.WriteString(v.w, text)
		return err
	}
}

// A visit is one request of a person.
type visit struct {
	w      http.ResponseWriter
	r      *http.Request
	person string
	print  string // of the certificate
	rights Rights
}

// A problem is an error with a status. Its text is for the person.
type problem struct {
	status int
	text   string
}

// Error implements error.
func (p *problem) Error() string { return p.text }

func problemf(status int, format string, args ...any) error {
	return &problem{status, fmt.Sprintf(format, args...)}
}

// policy is what pages may do: load the console's own style and script, and send forms to it.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// alone is what pages may do that are made of others' plans: nothing but show themselves, in a world of their own.
const alone = "sandbox allow-scripts; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// ServeHTTP implements http.Handler.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // with none, browsers send forms without saying where from
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	c.mux.ServeHTTP(w, r)
}

// guard lets a route be reached by whom it is for, in the way it is meant to be.
func (c *Console) guard(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{w: w, r: r}
		err := c.admit(v, route)
		if err == nil {
			err = route.do(v)
		}
		if err != nil {
			c.refuse(v, err)
		}
	}
}

// admit finds out who comes, and refuses who may not, and forms that do not come from this console's own page.
func (c *Console) admit(v *visit, route route) (err error) {
	if v.r.TLS == nil {
		return problemf(http.StatusForbidden, "the console is reached over TLS only")
	}
	if v.person, err = keys.PeerName(*v.r.TLS); err != nil {
		return problemf(http.StatusForbidden, "%v", err)
	}
	leaf := v.r.TLS.PeerCertificates[0]
	if c.now().After(leaf.NotAfter) { // since the connection was made
		return problemf(http.StatusForbidden, "your certificate ended at %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	v.print = string(leaf.Raw)
	host := v.r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if own := c.tls.Certificates[0].Leaf; own.VerifyHostname(strings.Trim(host, "[]")) != nil {
		return problemf(http.StatusMisdirectedRequest, "this is the console of %s, not of %.64q", c.host.Name(), host)
	}
	if v.rights = c.host.Rights(v.person); !v.rights.View {
		return problemf(http.StatusForbidden, "%q is no member of %s: members.viewers, approvers and operators of its configuration are", v.person, c.host.Name())
	}
	if !route.needs(v.rights) {
		return problemf(http.StatusForbidden, "%q may look, and may not do this", v.person)
	}
	if site := v.r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && (route.form || v.r.Header.Get("Sec-Fetch-Mode") != "navigate") {
		return problemf(http.StatusForbidden, "the request comes from another site")
	}
	if !route.form {
		return nil
	}
	return c.checkForm(v)
}

// checkForm refuses a form that another site has sent, or that has been sent before.
func (c *Console) checkForm(v *visit) error {
	origin := v.r.Header.Get("Origin")
	switch site := v.r.Header.Get("Sec-Fetch-Site"); {
	case origin != "" && origin != "https://"+v.r.Host:
		return problemf(http.StatusForbidden, "the form comes from another site")
	case site != "" && site != "same-origin":
		return problemf(http.StatusForbidden, "the form comes from another site")
	case v.r.Header.Get("Content-Type") != "application/x-www-form-urlencoded":
		return problemf(http.StatusUnsupportedMediaType, "the form is not one of this console")
	}
	v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
	if err := v.r.ParseForm(); err != nil {
		if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
			return problemf(http.StatusRequestEntityTooLarge, "the form has more than %d bytes", maxForm)
		}
		return problemf(http.StatusBadRequest, "the form cannot be read")
	}
	if err := c.tokens.use(v.r.PostForm.Get("token"), v.print, v.r.URL.Path, c.now()); err != nil {
		return problemf(http.StatusForbidden, "%v: go back, load the page again, and send it once", err)
	}
	return nil
}

// refuse shows why something did not happen, and leaves a line in the log.
func (c *Console) refuse(v *visit, err error) {
	p := (*problem)(nil)
	if !errors.As(err, &p) {
		p = &problem{http.StatusUnprocessableEntity, err.Error()}
	}
	c.failed()
	c.log.Warn("the console has refused a request", "person", v.person, "method", v.r.Method, "path", shortened(v.r.URL.Path), "status", p.status, "reason", p.text)
	if p.status == http.StatusRequestEntityTooLarge {
		v.w.Header().Set("Connection", "close")
	}
	if err := c.show(v, p.status, "error", "Not done", p.text); err != nil {
		c.log.Warn("a page could not be sent", "error", err.Error())
	}
}

func shortened(s string) string {
	if len(s) > 200 {
		return s[:200] + "..."
	}
	return s
}

// audited calls f when no other plan is being read: that may take a processor for seconds.
func (c *Console) audited(v *visit, f func() error) error {
	select {
	case c.reading <- struct{}{}:
		defer func() { <-c.reading }()
		return f()
	case <-v.r.Context().Done():
		return problemf(http.StatusServiceUnavailable, "too many plans are being looked at; try again later")
	}
}

// Serve answers at l until ctx ends.
func (c *Console) Serve(ctx context.Context, l net.Listener) error {
	s := &http.Server{Handler: http.TimeoutHandler(c, pageTimeout, "the page took too long"), TLSConfig: c.tls, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: pageTimeout + 10*time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // ServeTLS returns what it has to say
	defer stop()
	if err := s.ServeTLS(newLobby(l, maxConnections), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
