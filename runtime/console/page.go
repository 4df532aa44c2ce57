package console

import (
	"bytes"
	_ "embed" // the pages
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"smpcc/backend/plan"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
)

//go:embed page/console.html
var pageText string

//go:embed page/console.css
var style string

//go:embed page/sign.js
var script string

// pages are the templates of all pages, by name.
var pages = template.Must(template.New("console").Funcs(template.FuncMap{
	"short": func(digest string) string { return fmt.Sprintf("%.16s", digest) },
	"time": func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format("2006-01-02 15:04:05")
	},
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"bytes":   plan.Bytes,
	"join":    func(l []string) string { return strings.Join(l, ", ") },
	"percent": func(b control.Budget) uint64 { return min(100, 100*b.Used/max(1, b.Most)) },
	"bounds":  rangeText,
}).Parse(pageText))

// rangeText says within which bounds a column's values are.
func rangeText(c control.DatasetColumn) string {
	s := ""
	if c.Lo != nil && c.Hi != nil {
		s = fmt.Sprintf("%g..%g %s", *c.Lo, *c.Hi, c.Unit)
	}
	if len(c.Words) > 0 {
		s += " " + strings.Join(c.Words, ", ")
	}
	return strings.TrimSpace(s)
}

// A page is what every template gets.
type page struct {
	Title, Host, Person, Here string
	Rights                    Rights
	Waiting                   int
	Of                        any
}

// show sends a page.
func (c *Console) show(v *visit, status int, name, title string, of any) error {
	p := page{Title: title, Host: c.host.Name(), Person: v.person, Here: name, Rights: v.rights, Of: of}
	if v.rights.View {
		for _, r := range c.host.Requests(v.person) {
			if r.State == control.Waiting {
				p.Waiting++
			}
		}
	}
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, p); err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, err := v.w.Write(b.Bytes())
	return err
}

// overview shows the plans.
func (c *Console) overview(v *visit) error {
	return c.show(v, http.StatusOK, "plans", "Plans", struct {
		Plans   []control.PlanStatus
		Trouble string
	}{c.host.Plans(), c.host.Health(v.r.Context()).Trouble})
}

// planOf returns the plan of a path, and how it is.
func (c *Console) planOf(v *visit) (*plan.Plan, control.PlanStatus, error) {
	digest := v.r.PathValue("digest")
	for _, s := range c.host.Plans() {
		if s.Plan == digest && s.State != control.Refused {
			p, err := c.host.Plan(digest)
			return p, s, err
		}
	}
	return nil, control.PlanStatus{}, problemf(http.StatusNotFound, "no plan %.64q is served here", digest)
}

// plan shows what a plan does and how it is.
func (c *Console) plan(v *visit) error {
	p, s, err := c.planOf(v)
	if err != nil {
		return err
	}
	signed, err := c.host.Signed(s.Plan)
	if err != nil {
		return err
	}
	of := struct {
		control.PlanStatus
		*Summary
		Signed    []signature
		Token     string
		Withdraws bool
	}{PlanStatus: s, Signed: signatures(signed, s.Plan, c.now()), Withdraws: v.rights.Operate && s.Source != control.FromConfiguration && s.State != control.Withdrawing}
	if err := c.audited(v, func() (err error) { of.Summary, err = c.auditor.Summary(p); return err }); err != nil {
		return err
	}
	if of.Withdraws {
		if of.Token, err = c.tokens.make(v.print, v.r.URL.Path+"/withdraw", c.now()); err != nil {
			return err
		}
	}
	return c.show(v, http.StatusOK, "plan", "Plan "+s.Name, of)
}

// A signature is what somebody has signed about a plan.
type signature struct {
	attest.Statement
	Counts string
}

// signatures says of each statement whether it counts.
func signatures(list []attest.Statement, digest string, now time.Time) (out []signature) {
	standing := attest.Standing(list, digest, now)
	for _, s := range list {
		x := signature{s, "no: it is of another plan"}
		switch err := s.Verify(); {
		case err != nil:
			x.Counts = "no: " + err.Error()
		case s.Plan != digest:
		case s.Purpose != attest.Approval:
			x.Counts = "it is no approval"
		default:
			x.Counts = "no: it has ended, or was taken back"
			for _, o := range standing {
				if o.Signature == s.Signature {
					x.Counts = "yes"
				}
			}
		}
		out = append(out, x)
	}
	return out
}

// apart sends a page that is made of somebody's plan, which may do nothing.
func (c *Console) apart(v *visit, write func(b *bytes.Buffer) error) error {
	var b bytes.Buffer
	if err := c.audited(v, func() error { return write(&b) }); err != nil {
		return err
	}
	v.w.Header().Set("Content-Security-Policy", alone)
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := v.w.Write(b.Bytes())
	return err
}

func (c *Console) planAudit(v *visit) error {
	p, _, err := c.planOf(v)
	if err != nil {
		return err
	}
	return c.apart(v, func(b *bytes.Buffer) error { return c.auditor.Page(b, p) })
}

// withdraw ends the serving of a plan.
func (c *Console) withdraw(v *visit) error {
	if err := c.host.Withdraw(v.r.Context(), v.person, v.r.PathValue("digest")); err != nil {
		return err
	}
	return seeOther(v, "/")
}

// seeOther has the browser go to another page, so that going back sends no form again.
func seeOther(v *visit, path string) error {
	http.Redirect(v.w, v.r, path, http.StatusSeeOther)
	return nil
}

// requests shows the inbox.
func (c *Console) requests(v *visit) error {
	return c.show(v, http.StatusOK, "requests", "Requests", c.host.Requests(v.person))
}

// requestOf returns the request of a path.
func (c *Console) requestOf(v *visit) (control.Request, error) {
	id, err := strconv.ParseUint(v.r.PathValue("id"), 10, 63)
	if err == nil {
		for _, r := range c.host.Requests(v.person) {
			if r.ID == id {
				return r, nil
			}
		}
	}
	return control.Request{}, problemf(http.StatusNotFound, "there is no request %.20q", v.r.PathValue("id"))
}

// request shows what a request asks for, and takes the decision.
func (c *Console) request(v *visit) error {
	r, err := c.requestOf(v)
	if err != nil {
		return err
	}
	of := struct {
		control.Request
		*Summary
		Kept, Decides     bool
		Changes           []Change
		Approve, Deny     string // tokens
		Roles             []string
		AgainstServed     bool
		Keys              []string
		Command           string
		Compared, AtEntry string
	}{Request: r, Kept: r.Kept(), Decides: v.rights.Decide && r.State == control.Waiting}
	if of.Kept {
		if err := c.audited(v, func() error {
			p, err := c.host.Requested(v.person, r.ID)
			if err != nil {
				return err
			}
			for _, g := range p.Manifest.Guards {
				of.Keys = append(of.Keys, g.Approve...)
			}
			if of.Summary, err = c.auditor.Summary(p); err != nil || r.Against == "" {
				return err
			}
			old, err := c.approved(v, r)
			if err != nil {
				return err
			}
			of.Compared = r.Against
			of.Changes, err = c.auditor.Diff(old, p)
			return err
		}); err != nil {
			return err
		}
	}
	of.Command = fmt.Sprintf("smpcc requests approve %d --plan %s --key KEY.pem --config CONFIG.yaml --at %s", r.ID, r.Plan, c.host.Name())
	if of.Decides {
		if of.Approve, err = c.tokens.make(v.print, v.r.URL.Path+"/approve", c.now()); err != nil {
			return err
		}
		if of.Deny, err = c.tokens.make(v.print, v.r.URL.Path+"/deny", c.now()); err != nil {
			return err
		}
	}
	return c.show(v, http.StatusOK, "request", fmt.Sprintf("Request %d", r.ID), of)
}

// approved returns the plan that a requested one is compared with.
func (c *Console) approved(v *visit, r control.Request) (*plan.Plan, error) {
	for _, o := range c.host.Requests(v.person) {
		if o.Plan == r.Against && o.Kept() {
			return c.host.Requested(v.person, o.ID)
		}
	}
	return c.host.Plan(r.Against)
}

func (c *Console) requestAudit(v *visit) error {
	r, err := c.requestOf(v)
	if err != nil {
		return err
	}
	return c.apart(v, func(b *bytes.Buffer) error {
		p, err := c.host.Requested(v.person, r.ID)
		if err != nil {
			return err
		}
		return c.auditor.Page(b, p)
	})
}

func (c *Console) requestDiff(v *visit) error {
	r, err := c.requestOf(v)
	if err != nil {
		return err
	}
	if r.Against == "" {
		return problemf(http.StatusNotFound, "no plan of this name is served or approved here")
	}
	return c.apart(v, func(b *bytes.Buffer) error {
		p, err := c.host.Requested(v.person, r.ID)
		if err != nil {
			return err
		}
		old, err := c.approved(v, r)
		if err != nil {
			return err
		}
		return c.auditor.Compare(b, old, p)
	})
}

// approve takes a signature that the person's browser has made.
func (c *Console) approve(v *visit) error {
	r, err := c.requestOf(v)
	if err != nil {
		return err
	}
	form := v.r.PostForm
	for name := range form { // a key has no business here, whatever sends it
		if strings.Contains(form.Get(name), "PRIVATE KEY") {
			return problemf(http.StatusBadRequest, "the form holds a private key, which must not leave your machine: take a new key")
		}
	}
	var x attest.Statement
	d := json.NewDecoder(strings.NewReader(form.Get("statement")))
	d.DisallowUnknownFields()
	if err := d.Decode(&x); err != nil {
		return problemf(http.StatusBadRequest, "the form holds no signature")
	}
	if _, err := c.host.Decide(v.r.Context(), v.person, control.DecideRequest{ID: r.ID, State: control.Approved, Plan: form.Get("plan"), Statement: &x, Reason: x.Reason}); err != nil {
		return err
	}
	return seeOther(v, fmt.Sprintf("/requests/%d", r.ID))
}

// deny denies a request.
func (c *Console) deny(v *visit) error {
	r, err := c.requestOf(v)
	if err != nil {
		return err
	}
	if _, err := c.host.Decide(v.r.Context(), v.person, control.DecideRequest{ID: r.ID, State: control.Denied, Plan: v.r.PostForm.Get("plan"), Reason: v.r.PostForm.Get("reason")}); err != nil {
		return err
	}
	return seeOther(v, fmt.Sprintf("/requests/%d", r.ID))
}

// historyPage is how many jobs one page shows.
const historyPage = 50

// history shows what has run.
func (c *Console) history(v *visit) error {
	q := v.r.URL.Query()
	before, err := strconv.ParseUint("0"+q.Get("before"), 10, 63)
	if err != nil || len(q.Get("plan")) > 64 || len(q.Get("client")) > 256 {
		return problemf(http.StatusBadRequest, "the address is malformed")
	}
	r, err := c.host.History(v.r.Context(), control.HistoryRequest{Plan: q.Get("plan"), Client: q.Get("client"), Before: before, Most: historyPage})
	if err != nil {
		return err
	}
	older := ""
	if r.Before > 0 {
		older = "/history?" + url.Values{"plan": q["plan"], "client": q["client"], "before": {strconv.FormatUint(r.Before, 10)}}.Encode()
	}
	return c.show(v, http.StatusOK, "history", "History", struct {
		*control.HistoryReply
		Older, OfPlan, OfClient string
	}{r, older, q.Get("plan"), q.Get("client")})
}

func (c *Console) budgets(v *visit) error {
	list, err := c.host.Budgets()
	if err != nil {
		return err
	}
	return c.show(v, http.StatusOK, "budgets", "Budgets", list)
}

func (c *Console) catalogue(v *visit) error {
	return c.show(v, http.StatusOK, "catalogue", "Catalogue", c.host.Catalogue(v.person))
}

func (c *Console) health(v *visit) error {
	return c.show(v, http.StatusOK, "health", "Health", struct {
		Health
		Plans []control.PlanStatus
	}{c.host.Health(v.r.Context()), c.host.Plans()})
}
