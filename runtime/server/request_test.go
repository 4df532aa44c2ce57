package server_test

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/server"
)

// people are the certificates of those who act at a server in these tests.
var people = []string{"analyst", "rival", "viewer", "approver", "operator"}

// newOffice is a host whose servers have an inbox and members.
func newOffice(t testing.TB, m *model, more ...string) *house {
	h := newHost(t, m, append(more, people...)...)
	for _, cfg := range h.cfg {
		cfg.Requests = server.Requests{From: []string{"analyst", "rival"}, Waiting: 2}
		cfg.Members = server.Members{Viewers: []string{"viewer"}, Approvers: []string{"approver"}, Operators: []string{"operator"}}
	}
	return h
}

// send asks a role to run a model.
func (h *house) send(name, role string, m *model, why string) (control.Request, error) {
	h.t.Helper()
	return h.operator(name).Send(limited(h.t), role, m.files(h.t, "nobody"), why, nil)
}

// wantErr wants an error that holds a text.
func wantErr(t testing.TB, what string, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("%s: %v, want %q", what, err, text)
	}
}

// signedBy returns an approval of a plan by a fresh key.
func signedBy(t testing.TB, digest string) (attest.Statement, ed25519.PrivateKey) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return attest.Sign(key, attest.Approval, digest, "the data protection officer", time.Now()), key
}

// logOf returns the entries of a role's log.
func (h *house) logOf(role string) (out []attest.Entry) {
	h.t.Helper()
	if _, err := attest.WalkLog(filepath.Join(h.cfg[role].State, "audit.log"), "", "", func(e attest.Entry) { out = append(out, e) }); err != nil {
		h.t.Fatal(err)
	}
	return out
}

// TestRequest sends a plan to an organisation that leads its own. Requesters see their own requests and nobody else's, members all; viewers decide nothing; an approval is
// a signature on the plan that was looked at, and no other; it stands in the log, and over a restart.
func TestRequest(t *testing.T) {
	h := newOffice(t, credit())
	h.must()
	wanted := credit().variant("wanted")
	for who, text := range map[string]string{"p1-client": "nor may it ask that plans be run", "viewer": "nor may it ask", "ops": "may not ask p0 to run plans"} {
		_, err := h.send(who, "p0", wanted, "to know")
		wantErr(t, who, err, text)
	}
	_, err := h.send("analyst", "p0", wanted, " ")
	wantErr(t, "no purpose", err, "say why")
	_, err = h.send("analyst", "p0", wanted, "two\nlines")
	wantErr(t, "two lines", err, "none of text")
	r, err := h.send("analyst", "p0", wanted, "a study of defaults")
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != 1 || r.State != control.Waiting || r.By != "analyst" || r.Plan != wanted.plan.Digest() || !slices.Equal(r.Receivers, []string{"p1"}) || len(r.Lacks) > 0 {
		t.Errorf("request %+v", r)
	}
	_, err = h.send("rival", "p0", wanted, "the same")
	wantErr(t, "the same plan again", err, "request 1 for this plan waits already")
	if _, err := h.send("rival", "p0", credit().variant("other"), "another"); err != nil {
		t.Fatal(err)
	}
	for who, n := range map[string]int{"analyst": 1, "rival": 1, "viewer": 2, "approver": 2, "operator": 2, "p0": 2} {
		if l, err := h.operator(who).Requests(limited(t), "p0"); err != nil || len(l.Requests) != n {
			t.Errorf("%s sees %d requests, want %d; %v", who, len(l.Requests), n, err)
		}
	}
	_, err = h.operator("p1-client").Requests(limited(t), "p0")
	wantErr(t, "a client", err, "may not see requests")

	file := control.FileRequest{Plan: r.Plan, ID: r.ID, File: control.PlanFile}
	if data, err := h.operator("approver").File(limited(t), "p0", file); err != nil || string(data) != string(wanted.plan.Encode()) {
		t.Errorf("the plan that the approver gets is another: %v", err)
	}
	for _, who := range []string{"rival", "p1-client", "p1"} {
		_, err := h.operator(who).File(limited(t), "p0", file)
		wantErr(t, who, err, "no request 1 of yours")
	}

	good, key := signedBy(t, r.Plan)
	decide := func(who string, d control.DecideRequest) error {
		_, err := h.operator(who).Decide(limited(t), "p0", d)
		return err
	}
	other, _ := signedBy(t, credit().plan.Digest())
	forged := good
	forged.By = "somebody else"
	late := attest.Sign(key, attest.Approval, r.Plan, "", time.Now().Add(time.Hour))
	over := attest.Statement{Purpose: attest.Approval, Plan: r.Plan, Time: time.Now().UTC().Format(time.RFC3339), Until: time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)}.Signed(key)
	back := attest.Sign(key, attest.Revocation, r.Plan, "", time.Now())
	for _, tt := range []struct {
		who, want string
		d         control.DecideRequest
	}{
		{"viewer", "may not decide", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &good}},
		{"operator", "may not decide", control.DecideRequest{ID: 1, State: control.Denied, Plan: r.Plan}},
		{"analyst", "may not decide", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &good}},
		{"rival", "no request 1 of yours", control.DecideRequest{ID: 1, State: control.Taken, Plan: r.Plan}},
		{"approver", "analyst\"'s to take back", control.DecideRequest{ID: 1, State: control.Taken, Plan: r.Plan}},
		{"approver", "no request 7", control.DecideRequest{ID: 7, State: control.Denied, Plan: r.Plan}},
		{"approver", "the decision is about", control.DecideRequest{ID: 1, State: control.Denied, Plan: credit().plan.Digest()}},
		{"approver", "comes with a signature", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan}},
		{"approver", "the signature says", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &other}},
		{"approver", "the signature says", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &back}},
		{"approver", "signature is wrong", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &forged}},
		{"approver", "is to come", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &late}},
		{"approver", "has ended", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &over}},
		{"approver", "malformed", control.DecideRequest{ID: 1, State: "served", Plan: r.Plan}},
		{"approver", "up to", control.DecideRequest{ID: 1, State: control.Denied, Plan: r.Plan, Reason: strings.Repeat("x", 1<<20)}},
	} {
		wantErr(t, tt.who, decide(tt.who, tt.d), tt.want)
	}
	if err := decide("approver", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &good, Reason: "for the study"}); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "again", decide("approver", control.DecideRequest{ID: 1, State: control.Approved, Plan: r.Plan, Statement: &good}), "request 1 is approved since")
	if err := decide("approver", control.DecideRequest{ID: 2, State: control.Denied, Plan: credit().variant("other").plan.Digest(), Reason: "no"}); err != nil {
		t.Fatal(err)
	}
	h.stop("p0")
	h.must("p0")
	l, err := h.operator("viewer").Requests(limited(t), "p0")
	if err != nil || len(l.Requests) != 2 || l.Requests[1].State != control.Approved || l.Requests[1].Key != good.Key || l.Requests[1].Decider != "approver" || l.Requests[0].State != control.Denied {
		t.Fatalf("after a restart: %+v, %v", l, err)
	}
	file.File = control.ApprovalsFile
	sigs, err := h.operator("analyst").File(limited(t), "p0", file)
	var x attest.Statement
	if err != nil || json.Unmarshal(sigs, &x) != nil || x.Verify() != nil || x.Plan != r.Plan {
		t.Errorf("the signature that the requester gets: %s, %v", sigs, err)
	}
	_, err = h.operator("approver").File(limited(t), "p0", control.FileRequest{Plan: credit().variant("other").plan.Digest(), ID: 2, File: control.PlanFile})
	wantErr(t, "the plan of a denied request", err, "not kept")
	var said []string
	for _, e := range h.logOf("p0") {
		if e.What == "request" {
			said = append(said, fmt.Sprintf("%s %s %v %s", e.Decision, e.Client, e.Receivers, e.Reason))
		}
	}
	want := []string{`received analyst [p1] request 1 of "analyst": for "a study of defaults"`, `received rival [p1] request 2 of "rival": for "another"`,
		`approved approver [p1] request 1 of "analyst": "for the study"`, `denied approver [p1] request 2 of "rival": "no"`}
	if !slices.Equal(said, want) {
		t.Errorf("the log says\n%s\nwant\n%s", strings.Join(said, "\n"), strings.Join(want, "\n"))
	}
}

// TestInboxIsBounded fills an inbox: too many requests of one requester, too large plans, plans in which the server has no role, weights, and files that are no plan.
func TestInboxIsBounded(t *testing.T) {
	h := newOffice(t, credit())
	h.cfg["p0"].Requests.PerDay, h.cfg["p0"].Requests.Keep = 3, 3
	h.cfg["p1"].Requests.Plan = "1KB"
	h.must()
	_, err := h.send("analyst", "p1", credit().variant("a"), "to know")
	wantErr(t, "a large plan", err, "the limit of requests.plan")
	d := credit().files(t, "p0")
	o := h.operator("analyst")
	_, err = o.Deploy(limited(t), "p0", d, nil)
	wantErr(t, "weights", err, "a request has no weights")
	garbage := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(garbage, []byte("SMPCCPLAN and nothing else"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = o.Send(limited(t), "p0", control.Deployment{Digest: d.Digest, Plan: garbage}, "to know", nil)
	if err == nil || strings.Contains(err.Error(), h.cfg["p0"].State) {
		t.Errorf("garbage: %v", err)
	}
	_, err = o.Send(limited(t), "p0", control.Deployment{Digest: strings.Repeat("0", 64), Plan: d.Plan}, "to know", nil)
	wantErr(t, "another digest", err, "want 0000000000000000")
	_, err = h.send("analyst", "p0", trial(), "to know")
	wantErr(t, "no role", err, "p0 has no role in this plan")
	for i, want := range []string{"", "", "2 requests of \"analyst\" wait"} {
		_, err := h.send("analyst", "p0", credit().variant(fmt.Sprint(i)), "to know")
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("request %d: %v, want %q", i, err, want)
		}
	}
	l, err := o.Requests(limited(t), "p0")
	if err != nil || len(l.Requests) != 2 {
		t.Fatalf("%+v, %v", l, err)
	}
	for _, r := range l.Requests {
		if _, err := o.Decide(limited(t), "p0", control.DecideRequest{ID: r.ID, State: control.Taken, Plan: r.Plan}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.send("analyst", "p0", credit().variant("3"), "to know"); err != nil {
		t.Fatal(err)
	}
	_, err = h.send("analyst", "p0", credit().variant("4"), "to know")
	wantErr(t, "a fourth in a day", err, "in 24 hours, which is the limit")
	for i := range 20 { // whatever is tried, what is left of it is bounded
		_, err = h.send("analyst", "p0", trial(), fmt.Sprint("try ", i))
	}
	wantErr(t, "tries", err, "tried 12 times in 24 hours")
	if _, err := h.send("rival", "p0", credit().variant("5"), "to know"); err != nil {
		t.Errorf("another requester: %v", err)
	}
	if l, err := h.operator("viewer").Requests(limited(t), "p0"); err != nil || len(l.Requests) != 3 {
		t.Errorf("%d requests are kept, want 3; %v", len(l.Requests), err)
	}
	left, err := os.ReadDir(filepath.Join(h.cfg["p0"].State, "plans"))
	if err != nil || len(left) > 0 {
		t.Errorf("uploads are left: %v, %v", left, err)
	}
}

// TestBudgetsOfClients opens sessions until the budget of a client at one server is used: that server refuses the next, whoever leads, also after a restart, and its webhook is told before.
func TestBudgetsOfClients(t *testing.T) {
	h := newOffice(t, credit())
	h.cfg["p1"].Budgets = []server.ClientBudget{{Client: "p1-client", Runs: 5, PerMonth: 100}, {Client: "*", Runs: 1}}
	var mu sync.Mutex
	var told []map[string]string
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
		x := map[string]string{}
		if err := json.Unmarshal(data, &x); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		told = append(told, x)
	}))
	defer hook.Close()
	h.cfg["p1"].Alerts.Webhook = hook.URL + "/secret"
	h.cfg["p1"].Telemetry.Listen = freeAddress(t)
	h.must()
	c := h.client("p1-client", "p0", "p1")
	for i := range 5 {
		if err := h.infers(c); err != nil {
			t.Fatalf("run %d: %v", i, err)
		}
	}
	wantErr(t, "a sixth run", h.infers(c), `the budget of "p1-client" allows 5 runs, and all of them are used`)
	o := h.operator("p0-client")
	if err := h.infers(h.client("p0-client", "p0", "p1")); err != nil {
		t.Errorf("another client: %v", err)
	}
	wantErr(t, "another client again", h.infers(h.client("p0-client", "p0", "p1")), `the budget of "p0-client" allows 1 runs`)
	b, err := o.Budgets(limited(t), "p1")
	if err != nil || len(b.Budgets) != 1 || b.Budgets[0].Who != "p0-client" || b.Budgets[0].Used != 1 {
		t.Errorf("a client sees %+v, %v", b, err)
	}
	h.stop("p1") // what is counted outlives it, and another limit goes on where the last one ended
	h.cfg["p1"].Budgets[0].Runs = 6
	h.must("p1")
	if err := h.infers(c); err != nil {
		t.Errorf("after a restart, with one more: %v", err)
	}
	wantErr(t, "a seventh run", h.infers(c), "allows 6 runs")
	b, err = h.operator("viewer").Budgets(limited(t), "p1")
	if err != nil || !slices.ContainsFunc(b.Budgets, func(x control.Budget) bool {
		return x.Who == "p1-client" && x.What == "runs" && x.Most == 6 && x.Used == 6 && x.Left() == 0 && x.Short()
	}) {
		t.Errorf("a member sees %+v, %v", b, err)
	}
	text := scrape(t, h.cfg["p1"].Telemetry.Listen)
	for _, want := range []string{`smpcc_budget_used{of="client",policy="",what="runs",who="p1-client"} 6`, `smpcc_budget_limit{of="client",policy="",what="runs",who="p1-client"} 6`, `smpcc_alerts_total{kind="budget",result="sent"}`} {
		if !strings.Contains(text, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		mu.Lock()
		kinds := map[string]int{}
		for _, x := range told {
			kinds[x["alert"]]++
			if x["server"] != "p1" || strings.Contains(fmt.Sprint(x), "secret") || len(x["text"]) > 600 {
				t.Errorf("alert %v", x)
			}
		}
		mu.Unlock()
		if kinds["budget"] >= 2 && kinds["refusal"] >= 2 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("alerts %v", kinds)
		}
	}
	if l := h.logs["p1"].with("secret"); len(l) > 0 {
		t.Errorf("the address of the webhook stands in the log: %s", l)
	}
}

// scrape returns a server's metrics.
func scrape(t testing.TB, addr string) string {
	t.Helper()
	r, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	data, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestHistoryAndCatalogue asks what has run and what there is.
func TestHistoryAndCatalogue(t *testing.T) {
	h := newOffice(t, credit())
	h.cfg["p0"].Datasets = t.TempDir()
	data := "name: loans\nabout: of 2026\nrows: 4711\ncolumns:\n  - {name: income, type: real, lo: 0, hi: 1000000, unit: EUR}\n  - {name: grade, type: text, words: [A, B]}\n"
	for name, text := range map[string]string{"loans.yaml": data, "bad.yaml": "name: x\nrows: 3\n", "notes.txt": "no schema"} {
		if err := os.WriteFile(filepath.Join(h.cfg["p0"].Datasets, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h.must()
	for range 3 {
		if err := h.infers(h.client("p1-client", "p0", "p1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.infers(h.client("p0-client", "p0", "p1")); err != nil {
		t.Fatal(err)
	}
	sessions := func(who string, q control.HistoryRequest) (out []control.Run, r control.HistoryReply) {
		r, err := h.operator(who).History(limited(t), "p0", q)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range r.Runs {
			if x.What == "session" {
				out = append(out, x)
			}
		}
		return out, r
	}
	var all []control.Run
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(20 * time.Millisecond) { // the end of a session is written a little later
		all, _ = sessions("viewer", control.HistoryRequest{})
		if len(all) == 4 && !slices.ContainsFunc(all, func(r control.Run) bool { return r.Ended != "done" }) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("history %+v", all)
		}
	}
	if r := all[0]; r.Client != "p0-client" || !slices.Equal(r.Receivers, []string{"p1"}) || r.Rows != 1 || r.Decision != "allowed" || r.Plan != credit().plan.Digest() {
		t.Errorf("the last run is %+v", r)
	}
	if own, r := sessions("p1-client", control.HistoryRequest{Client: "p0-client"}); len(own) != 3 || slices.ContainsFunc(r.Runs, func(x control.Run) bool { return x.Client != "p1-client" }) {
		t.Errorf("a client sees %+v", r)
	}
	if some, r := sessions("viewer", control.HistoryRequest{Most: 2}); len(r.Runs) != 2 || r.Before == 0 {
		t.Errorf("two of them: %+v", r)
	} else if rest, r := sessions("viewer", control.HistoryRequest{Before: r.Before}); len(some)+len(rest) != 4 || r.Before != 0 {
		t.Errorf("the rest: %+v", r)
	}
	_, err := h.operator("p1").History(limited(t), "p0", control.HistoryRequest{})
	wantErr(t, "another role", err, "may not see what has run")

	c, err := h.operator("analyst").Catalogue(limited(t), "p0")
	if err != nil || len(c.Plans) != 1 || len(c.Datasets) != 1 {
		t.Fatalf("catalogue %+v, %v", c, err)
	}
	if p := c.Plans[0]; p.Plan != credit().plan.Digest() || p.Rounds == 0 || p.Bytes == 0 || len(p.Outputs) != 1 || !slices.Equal(p.Outputs[0].To, []string{"p1"}) || len(p.Policies) != 2 {
		t.Errorf("plan %+v", p)
	}
	if d := c.Datasets[0]; d.Name != "loans" || d.Rows != "about 5000" || len(d.Columns) != 2 || *d.Columns[0].Hi != 1e6 {
		t.Errorf("data set %+v", d)
	}
	if len(h.logs["p0"].with("a schema of data cannot be read", "bad.yaml", "want 1 to 4096")) == 0 {
		t.Error("the schema that is wrong has no line in the log")
	}
	_, err = h.operator("p1").Catalogue(limited(t), "p0")
	wantErr(t, "another role", err, "may not see the catalogue")
}

// TestPlanUsers deploys a plan for one client, which may use no other plan, while others may not use it.
func TestPlanUsers(t *testing.T) {
	h := newOffice(t, credit())
	h.must()
	second := credit().variant("second")
	for _, r := range second.plan.Roles() {
		d := second.files(t, r)
		d.Clients = []string{"analyst"}
		if _, err := h.operator("operator").Deploy(limited(t), r, d, nil); err != nil {
			t.Fatal(err)
		}
	}
	h.await(h.operator("ops"), second, control.Serving, "p0", "p1", "d")
	infers := func(m *model, who string) error {
		_, err := h.of(m, who, "p0", "p1").InferWords(limited(t), m.input)
		return err
	}
	check := func(when string) {
		t.Helper()
		if err := infers(second, "analyst"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
		wantErr(t, when, infers(second, "p1-client"), "may not open sessions")
		wantErr(t, when, infers(credit(), "analyst"), "may not open sessions")
		if err := infers(credit(), "p1-client"); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("deployed")
	for _, r := range second.plan.Roles() { // again, without the list: nobody else gets in
		if _, err := h.operator("operator").Deploy(limited(t), r, second.files(t, r), nil); err != nil {
			t.Fatal(err)
		}
	}
	check("deployed again")
	h.stop("p0")
	h.must("p0")
	h.await(h.operator("ops"), second, control.Serving, "p0")
	check("after a restart")
}

// TestAlertFile reads the alerts for Prometheus as Prometheus would, and looks for every number in them among those that a server gives.
func TestAlertFile(t *testing.T) {
	data, err := os.ReadFile("../../examples/two-hospitals/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalWithOptions(data, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	h := newOffice(t, credit())
	h.cfg["p0"].Telemetry.Listen = freeAddress(t)
	h.cfg["p0"].Budgets = []server.ClientBudget{{Client: "p1-client", Runs: 2}}
	h.must()
	if err := errors.Join(h.infers(h.client("p1-client", "p0", "p1")), h.infers(h.client("p1-client", "p0", "p1"))); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a third", h.infers(h.client("p1-client", "p0", "p1")), "allows 2 runs") // so that failures and alerts are counted
	given := map[string]bool{}
	for _, line := range strings.Split(scrape(t, h.cfg["p0"].Telemetry.Listen), "\n") {
		if name, _, ok := strings.Cut(line, "{"); ok || strings.HasPrefix(line, "smpcc_") {
			name, _, _ = strings.Cut(name, " ")
			given[name] = true
		}
	}
	names, seen, metric := 0, map[string]bool{}, regexp.MustCompile(`\bsmpcc_[a-z_]+`)
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || seen[r.Alert] || r.Labels["severity"] == "" || r.Annotations["summary"] == "" || strings.Count(r.Expr, "(") != strings.Count(r.Expr, ")") || strings.Count(r.Expr, "{") != strings.Count(r.Expr, "}") {
				t.Errorf("rule %+v", r)
			}
			seen[r.Alert] = true
			if r.For != "" && !regexp.MustCompile(`^([0-9]+[smhd])+$`).MatchString(r.For) {
				t.Errorf("%s: for %q", r.Alert, r.For)
			}
			for _, name := range metric.FindAllString(r.Expr, -1) {
				if names++; !given[name] {
					t.Errorf("%s: a server gives no %s", r.Alert, name)
				}
			}
		}
	}
	if names < 15 {
		t.Errorf("only %d numbers are named", names)
	}
}

// TestInboxMakesRoom fills the room of plans with one that is approved: it makes room for the next one, its record and signature stay, and those that wait are never thrown away. Nor is a plan
// taken whose names would fill the list.
func TestInboxMakesRoom(t *testing.T) {
	h := newOffice(t, credit())
	size := len(credit().variant("a").plan.Encode())
	h.cfg["p0"].Requests.Disk = fmt.Sprint(2*size + size/2)
	h.must()
	analyst, approver := h.operator("analyst"), h.operator("approver")
	send := func(name string) (control.Request, error) {
		return h.send("analyst", "p0", credit().variant(name), "to know")
	}
	a, err := send("a")
	if err != nil {
		t.Fatal(err)
	}
	x, _ := signedBy(t, a.Plan)
	if _, err := approver.Decide(limited(t), "p0", control.DecideRequest{ID: a.ID, State: control.Approved, Plan: a.Plan, Statement: &x}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"b", "c"} {
		if _, err := send(name); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	_, err = h.send("rival", "p0", credit().variant("d"), "to know")
	wantErr(t, "a fourth", err, "the inbox of p0 is full")
	h.stop("p0")
	h.must("p0")
	l, err := analyst.Requests(limited(t), "p0")
	if err != nil || len(l.Requests) != 3 || l.Requests[2].State != control.Approved || l.Requests[2].Key != x.Key || !l.Requests[2].Gone || !l.Requests[0].Kept() || !l.Requests[1].Kept() {
		t.Errorf("%+v, %v", l, err)
	}
	_, err = approver.File(limited(t), "p0", control.FileRequest{Plan: a.Plan, ID: a.ID, File: control.PlanFile})
	wantErr(t, "the plan that has made room", err, "its plan is not kept")
	if list, err := attest.Read(filepath.Join(h.cfg["p0"].State, "approvals", a.Plan[:16]+".sigs")); err != nil || len(list) != 1 {
		t.Errorf("%d signatures, %v", len(list), err)
	}
	_, err = h.send("rival", "p0", credit().variant(strings.Repeat("x", 5000)), "to know")
	wantErr(t, "a long name", err, "the names of the plan")
}
