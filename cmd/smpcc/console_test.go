package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"smpcc/runtime/attest"
	"smpcc/runtime/keys"
	"smpcc/runtime/server"
)

// An office is an organisation with a console, its peers, and a request in its inbox: processes, as they run elsewhere.
type office struct {
	t    *testing.T
	dir  string
	addr string // of the console
}

// newOffice starts the servers of three roles, deploys a plan that waits for an approval, and asks for another version of it.
func newOffice(t *testing.T) *office {
	o := &office{t: t, dir: t.TempDir()}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	addrs, servers := map[string]string{}, []string{}
	for _, r := range []string{"p0", "p1", "d", "console"} {
		if addrs[r], err = server.FreeAddress(); err != nil {
			t.Fatal(err)
		}
		if r != "console" {
			servers = append(servers, r+": '"+addrs[r]+"'")
		}
	}
	o.addr = addrs["console"]
	common := "servers: {" + strings.Join(servers, ", ") + "}\ntimeout: 10s\n"
	tlsOf := func(name string) string {
		return "tls: {ca: keys/ca.crt, cert: keys/" + name + ".crt, key: keys/" + name + ".key}\n"
	}
	o.run("keys dev keys --roles p0,p1,d,viewer,officer,ops,analyst")
	key := strings.Fields(o.run("keys sign officer.pem"))[0]
	for r, more := range map[string]string{"p0": "max_runs: 10\napprove: ['" + key + "']\n", "p1": ""} {
		o.write(r+".policy.yaml", "version: 1\nowner: "+r+"\nallow:\n  - output: output\n    to: [p1]\n"+more)
	}
	o.compile("v1.plan", "16")
	o.compile("v2.plan", "8")
	o.write("patients.csv", o.firstLines(root+"/examples/credit/patients.csv", 2))
	for _, who := range []string{"ops", "analyst", "p1-client"} {
		o.write(who+".yaml", common+tlsOf(who)+"acts_for: [p1]\n")
	}
	if err := os.Mkdir(filepath.Join(o.dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	o.write("data/loans.yaml", "name: loans\nabout: of 2026\nrows: 4711\ncolumns: [{name: income, type: real, lo: 0, hi: 1e6, unit: EUR}, {name: grade, type: text, words: [A, B]}]\n")
	for r, kind := range map[string]string{"d": "dealer", "p1": "party", "p0": "party"} {
		text := common + tlsOf(r) + "listen: '" + addrs[r] + "'\nstate: state-" + r + "\nclients: [p1-client]\nmembers: {viewers: [viewer], approvers: [officer], operators: [ops]}\nplan_clients: [ops]\n"
		if kind == "party" {
			text += "policy: " + r + ".policy.yaml\n"
		}
		if r == "p0" {
			text += "requests: {from: [analyst]}\ndatasets: data\nbudgets: [{client: p1-client, runs: 3}]\nconsole: {listen: '" + o.addr + "'}\n"
		}
		o.write(r+".yaml", text)
		c := exec.Command("smpcc", kind, "serve", "--config", r+".yaml")
		var log bytes.Buffer
		c.Dir, c.Stderr = o.dir, &log
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = c.Process.Signal(syscall.SIGTERM) // Wait says if it has ended before
			if err := c.Wait(); err != nil || t.Failed() {
				t.Logf("%s: %v\n%s", r, err, log.String())
			}
		})
	}
	o.run("approve v1.plan --key officer.pem --by officer")
	o.run("plan deploy v1.plan --config ops.yaml --at d,p1,p0 --wait 1m")
	o.run("infer --config p1-client.yaml v1.plan --input input=patients.csv")
	o.run("request v2.plan --config analyst.yaml --to p0 --why", "<script>alert(1)</script> & a study")
	return o
}

// compile compiles a version of the plan.
func (o *office) compile(name, bound string) {
	o.t.Helper()
	model, err := filepath.Abs("../../examples/credit/model.onnx")
	if err != nil {
		o.t.Fatal(err)
	}
	o.run("compile " + model + " --dim N=1 --range input=-" + bound + ".." + bound + " -o " + name + " --policy p0.policy.yaml --policy p1.policy.yaml")
}

func (o *office) firstLines(file string, n int) string {
	o.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		o.t.Fatal(err)
	}
	return strings.Join(strings.SplitAfter(string(data), "\n")[:n], "")
}

func (o *office) write(name, text string) {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, name), []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
}

// run runs smpcc, with the words of a line and more arguments.
func (o *office) run(line string, more ...string) string {
	o.t.Helper()
	c := exec.Command("smpcc", append(strings.Fields(line), more...)...)
	c.Dir = o.dir
	out, err := c.CombinedOutput()
	if err != nil {
		o.t.Fatalf("smpcc %s: %v\n%s", line, err, out)
	}
	return string(out)
}

// as returns what speaks to the console with a certificate; without one if the name is "".
func (o *office) as(name string) *http.Client {
	o.t.Helper()
	who := name
	if who == "" {
		who = "viewer"
	}
	conf, _, err := keys.Load(keys.DevFiles(filepath.Join(o.dir, "keys"), who))
	if err != nil {
		o.t.Fatal(err)
	}
	if name == "" {
		conf.Certificates = nil
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: conf.RootCAs, Certificates: conf.Certificates, ServerName: "p0"}}
	o.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Timeout: 30 * time.Second, Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// ask sends a request that may be changed before, and returns status and body.
func (o *office) ask(c *http.Client, method, path, body string, change func(r *http.Request)) (*http.Response, string) {
	o.t.Helper()
	r, err := http.NewRequest(method, "https://"+o.addr+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "https://"+o.addr)
	}
	if change != nil {
		change(r)
	}
	resp, err := c.Do(r)
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return resp, string(data)
}

// token returns the token of the form on a page that is sent to a path.
func (o *office) token(page, path string) string {
	o.t.Helper()
	m := regexp.MustCompile(`action="` + regexp.QuoteMeta(path) + `"[^>]*>\s*<input type="hidden" name="token" value="([^"]+)"`).FindStringSubmatch(page)
	if m == nil {
		o.t.Fatalf("no form for %s", path)
	}
	return m[1]
}

// TestConsole speaks to a console as members do, and as those do who are none: other certificates, other sites, forms that are forged, too long, old or sent twice.
func TestConsole(t *testing.T) {
	o := newOffice(t)
	v1, v2 := o.digest("v1.plan"), o.digest("v2.plan")
	t.Run("pages", func(t *testing.T) { o.t = t; o.checkPages(v1, v2) })
	t.Run("strangers", func(t *testing.T) { o.t = t; o.checkStrangers() })
	t.Run("forms", func(t *testing.T) { o.t = t; o.checkForms(v2) })
	t.Run("browser", func(t *testing.T) { o.t = t; o.checkBrowser(v1) })
	t.Run("withdraw", func(t *testing.T) { o.t = t; o.checkWithdraw(v1) })
}

// digest returns the digest of a plan file.
func (o *office) digest(file string) string {
	return strings.Fields(o.run("plan show " + file))[1]
}

// checkPages reads every page as a viewer, who gets no form.
func (o *office) checkPages(v1, v2 string) {
	t, c := o.t, o.as("viewer")
	for path, want := range map[string][]string{
		"/":                       {v1[:16], "serving", "Requests <span class=\"badge\">1"},
		"/plans/" + v1:            {"Verified: yes", "<strong>p1</strong> learns <strong>output (real[1,1])</strong>", "officer", "<td>yes</td>", "deployed by ops"},
		"/requests":               {"analyst", "waiting", "&lt;script&gt;alert(1)&lt;/script&gt; &amp; a study"},
		"/requests/1":             {v2, "Beside plan <span class=\"mono\">" + v1[:16], "Does it keep data private?", "&lt;script&gt;alert(1)"},
		"/history":                {"p1-client", "allowed", "p0: 9", "request 1 of"},
		"/history?client=nobody":  {"Nothing."},
		"/budgets":                {"policy p0", "client p1-client", "value=\"33\""},
		"/catalogue":              {"loans", "about 5000 rows", "0..1e&#43;06 EUR", "input of p1"},
		"/health":                 {"The server serves.", "answers", "p1", "material"},
		"/console.css":            {"prefers-color-scheme: dark"},
		"/sign.js":                {"smpcc statement 2"},
		"/plans/" + v1 + "/audit": {"Audit of model", v1},
		"/requests/1/audit":       {"Audit of model", v2},
		"/requests/1/diff":        {"What changed in model", v1, v2},
	} {
		r, body := o.ask(c, http.MethodGet, path, "", nil)
		if r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: %s", path, r.Status, body)
			continue
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s lacks %q in\n%s", path, w, body)
			}
		}
		apart := strings.HasSuffix(path, "/audit") || strings.HasSuffix(path, "/diff")
		if strings.Contains(body, "<script>alert") || !apart && (strings.Contains(body, "<script>") || strings.Contains(body, "style=")) {
			t.Errorf("%s has a script or a style in it", path)
		}
		if strings.Contains(body, `method="post"`) {
			t.Errorf("%s has a form for somebody who may only look", path)
		}
		policy := r.Header.Get("Content-Security-Policy")
		if apart != strings.HasPrefix(policy, "sandbox allow-scripts; default-src 'none'") || !apart && !strings.Contains(policy, "script-src 'self'") || r.Header.Get("X-Content-Type-Options") != "nosniff" || len(r.Cookies()) > 0 || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: headers %v", path, r.Header)
		}
	}
	for path, status := range map[string]int{"/requests/7": 404, "/requests/x": 404, "/plans/0123": 404, "/nothing": 404, "/history?before=x": 400, "/plans/..%2f..%2fetc": 404} {
		if r, _ := o.ask(c, http.MethodGet, path, "", nil); r.StatusCode != status {
			t.Errorf("%s: %s, want %d", path, r.Status, status)
		}
	}
}

// checkStrangers comes without a certificate, with one of no member, by another name, and from another site.
func (o *office) checkStrangers() {
	t := o.t
	if _, err := o.as("").Get("https://" + o.addr + "/"); err == nil {
		t.Error("somebody without a certificate gets an answer")
	}
	for _, who := range []string{"p1-client", "analyst", "p1", "d"} {
		if r, body := o.ask(o.as(who), http.MethodGet, "/", "", nil); r.StatusCode != http.StatusForbidden || strings.Contains(body, "serving") || strings.Contains(body, "<nav") {
			t.Errorf("%s gets %s\n%s", who, r.Status, body)
		}
	}
	c := o.as("viewer")
	for what, x := range map[string]struct {
		status int
		change func(r *http.Request)
	}{
		"another host": {http.StatusMisdirectedRequest, func(r *http.Request) { r.Host = "evil.example" }},
		"a picture of another site": {http.StatusForbidden, func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "no-cors")
		}},
		"a link of another site": {http.StatusOK, func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", "cross-site")
			r.Header.Set("Sec-Fetch-Mode", "navigate")
		}},
	} {
		if r, _ := o.ask(c, http.MethodGet, "/", "", x.change); r.StatusCode != x.status {
			t.Errorf("%s: %s, want %d", what, r.Status, x.status)
		}
	}
	if r, err := http.Get("http://" + o.addr + "/"); err == nil && r.StatusCode == http.StatusOK {
		t.Error("the console answers without TLS")
	}
}

// checkForms denies a request after everything that must not: then sends the same once more.
func (o *office) checkForms(v2 string) {
	t, officer, viewer := o.t, o.as("officer"), o.as("viewer")
	_, page := o.ask(officer, http.MethodGet, "/requests/1", "", nil)
	deny, approve := "/requests/1/deny", "/requests/1/approve"
	token := o.token(page, deny)
	form := func(token string, more ...string) string {
		v := url.Values{"token": {token}, "plan": {v2}, "reason": {"no"}}
		for i := 0; i < len(more); i += 2 {
			v.Set(more[i], more[i+1])
		}
		return v.Encode()
	}
	pem, err := os.ReadFile(filepath.Join(o.dir, "officer.pem"))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		what   string
		c      *http.Client
		path   string
		body   string
		status int
		change func(r *http.Request)
	}{
		{"no token", officer, deny, form(""), http.StatusForbidden, nil},
		{"a forged token", officer, deny, form(strings.Repeat("A", len(token))), http.StatusForbidden, nil},
		{"the token of another form", officer, deny, form(o.token(page, approve)), http.StatusForbidden, nil},
		{"somebody else's token", o.as("p0"), deny, form(token), http.StatusForbidden, nil},
		{"a viewer", viewer, deny, form(token), http.StatusForbidden, nil},
		{"an operator", o.as("ops"), deny, form(token), http.StatusForbidden, nil},
		{"another site", officer, deny, form(token), http.StatusForbidden, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }},
		{"a page that hides its origin", officer, deny, form(token), http.StatusForbidden, func(r *http.Request) { r.Header.Set("Origin", "null") }},
		{"another site, by the browser", officer, deny, form(token), http.StatusForbidden, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
		{"a long form", officer, deny, form(token, "reason", strings.Repeat("x", 1<<20)), http.StatusRequestEntityTooLarge, nil},
		{"another kind of form", officer, deny, form(token), http.StatusUnsupportedMediaType, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		{"by an address", officer, deny + "?" + form(token), "", http.StatusForbidden, nil},
		{"no form", officer, deny, "", http.StatusMethodNotAllowed, func(r *http.Request) { r.Method = http.MethodPut }},
		{"a private key", officer, approve, form(o.token(page, approve), "statement", string(pem)), http.StatusBadRequest, nil},
		{"the token of a form that was refused", officer, approve, form(o.token(page, approve), "statement", "{}"), http.StatusForbidden, nil},
	} {
		if r, body := o.ask(x.c, http.MethodPost, x.path, x.body, x.change); r.StatusCode != x.status {
			t.Errorf("%s: %s, want %d\n%s", x.what, r.Status, x.status, body)
		}
	}
	_, page = o.ask(officer, http.MethodGet, "/requests/1", "", nil)
	if !strings.Contains(page, "waiting") || !strings.Contains(page, "smpcc requests approve 1 --plan "+v2+" --key KEY.pem") {
		t.Fatalf("after that the request is\n%s", page)
	}
	// a good signature on another plan, and then one of somebody else's key
	key, err := attest.LoadKey(filepath.Join(o.dir, "officer.pem"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := json.Marshal(attest.Sign(key, attest.Approval, o.digest("v1.plan"), "", time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if r, body := o.ask(officer, http.MethodPost, approve, form(o.token(page, approve), "statement", string(other)), nil); r.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(body, "the signature says") {
		t.Errorf("a signature on another plan: %s\n%s", r.Status, body)
	}
	_, page = o.ask(officer, http.MethodGet, "/requests/1", "", nil)
	token = o.token(page, deny)
	if r, body := o.ask(officer, http.MethodPost, deny, form(token, "reason", "not <b>yet</b>"), nil); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/requests/1" {
		t.Fatalf("denied: %s\n%s", r.Status, body)
	}
	if r, body := o.ask(officer, http.MethodPost, deny, form(token), nil); r.StatusCode != http.StatusForbidden || !strings.Contains(body, "has been sent already") {
		t.Errorf("sent again: %s\n%s", r.Status, body)
	}
	if _, page = o.ask(officer, http.MethodGet, "/requests/1", "", nil); !strings.Contains(page, "denied") || !strings.Contains(page, "not &lt;b&gt;yet") || strings.Contains(page, "<form") {
		t.Errorf("after the decision:\n%s", page)
	}
	if out := o.run("history --config ops.yaml --at p0 --what request"); !regexp.MustCompile(`officer +p1 +denied +request 1 of "analyst": "not <b>yet</b>"`).MatchString(out) {
		t.Errorf("the log says\n%s", out)
	}
}

// checkWithdraw has an operator withdraw a plan.
func (o *office) checkWithdraw(v1 string) {
	path := "/plans/" + v1 + "/withdraw"
	if _, page := o.ask(o.as("officer"), http.MethodGet, "/plans/"+v1, "", nil); strings.Contains(page, path) {
		o.t.Error("an approver is shown how to withdraw")
	}
	ops := o.as("ops")
	_, page := o.ask(ops, http.MethodGet, "/plans/"+v1, "", nil)
	if r, body := o.ask(ops, http.MethodPost, path, url.Values{"token": {o.token(page, path)}}.Encode(), nil); r.StatusCode != http.StatusSeeOther {
		o.t.Fatalf("%s\n%s", r.Status, body)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if out := o.run("plan list --config ops.yaml --at p0"); strings.Contains(out, "p0 serves no plan") {
			return
		} else if time.Now().After(end) {
			o.t.Fatalf("the plan is still there:\n%s", out)
		}
	}
}
