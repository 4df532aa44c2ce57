package smpcc_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"smpcc"
	"smpcc/backend/plan"
	"smpcc/backend/plan/typed"
	"smpcc/frontend/onnx"
	"smpcc/runtime/attest"
	"smpcc/runtime/control"
	"smpcc/runtime/disk"
	"smpcc/runtime/server"
)

// guarded compiles the logistic regression under a policy of p1 with more lines, and serves it.
func guarded(t *testing.T, lines string, change func(role string, c *server.Config)) (*cluster, *control.Client, [][]uint64) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "p1.policy.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nowner: p1\nallow:\n  - {output: output, to: [p1]}\n"+lines), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := smpcc.Compile("examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": 1}, Policies: []string{file}})
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.BindWeights()
	if err != nil {
		t.Fatal(err)
	}
	x, _, err := onnx.ReadTensor("examples/credit/test_data_set_0/input_0.pb")
	if err != nil {
		t.Fatal(err)
	}
	in, err := smpcc.Bind(c.Plan.Manifest.Inputs[0], x)
	if err != nil {
		t.Fatal(err)
	}
	cl := startCluster(t, c.Plan, w, func(role string, cfg *server.Config) {
		if role == "p1" {
			cfg.Policy, cfg.PolicyDigest = file, ""
		}
		if change != nil {
			change(role, cfg)
		}
	})
	return cl, cl.client(), [][]uint64{in}
}

// opens reports what opening a session answers.
func opens(t *testing.T, c *control.Client) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	_, err := c.Open(ctx)
	return err
}

func refusedWith(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

func TestServersCountRuns(t *testing.T) {
	cl, client, in := guarded(t, "max_runs: 2\n", nil)
	for range 2 {
		if _, err := cl.run(client, in); err != nil {
			t.Fatal(err)
		}
	}
	refusedWith(t, opens(t, client), "the policy of p1 allows 2 runs, and all of them are used")
	cl.kill("p0") // a restart does not start over, and the others count as well
	if err := os.RemoveAll(filepath.Join(cl.dir, "state-p0")); err != nil {
		t.Fatal(err)
	}
	for _, r := range cl.plan.Roles() {
		last, err := attest.VerifyLog(filepath.Join(cl.dir, "state-"+r, "audit.log"), "", "")
		if r == "p0" {
			continue // removed above
		}
		if err != nil || last.Seq < 4 {
			t.Errorf("%s: log ends with entry %d, %v", r, last.Seq, err)
		}
		data, err := os.ReadFile(filepath.Join(cl.dir, "state-"+r, "audit.log"))
		if err != nil || !strings.Contains(string(data), `"what":"session"`) || !strings.Contains(string(data), `"decision":"allowed"`) {
			t.Errorf("%s: the log does not tell of sessions: %s", r, data)
		}
	}
}

// TestServersCountRowsAndMonths: rows of all runs, and runs in a month, are counted like runs; a new month begins anew.
func TestServersCountRowsAndMonths(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	cl, client, in := guarded(t, "max_rows: 3\nruns_per_month: 2\nmax_batch: 1\npurpose: [care]\n", func(_ string, c *server.Config) { c.Now = clock })
	for range 2 {
		if _, err := cl.run(client, in); err != nil {
			t.Fatal(err)
		}
	}
	refusedWith(t, opens(t, client), "the policy of p1 allows 2 runs a month, now in "+now.UTC().Format("2006-01")+", and all of them are used")
	mu.Lock()
	now = now.AddDate(0, 0, 32)
	mu.Unlock()
	if _, err := cl.run(client, in); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, opens(t, client), "the policy of p1 allows 3 rows in all runs, and all of them are used")
	cl.kill("p1")
	data, err := os.ReadFile(filepath.Join(cl.dir, "state-p1", "audit.log"))
	if err != nil || !strings.Contains(string(data), "data of p1 for care") {
		t.Errorf("the log does not say what the data is for: %v", err)
	}
}

// TestCompileChecksRows: a policy bounds the rows of a run from above, whoever's they are, and follows the hint.
func TestCompileChecksRows(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p0.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nowner: p0\nallow:\n  - {output: output, to: [p1], max_values: 2}\nmax_batch: 2\nexpires: 2020-01-31\npublic: {ranges: true, formats: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]string{3: "each run would take 3 rows of input \"input\"; the policy of p0 lets a run take at most 2\n\thint: compile for a smaller batch (--dim N=2)", 2: ""} {
		c, err := smpcc.Compile("examples/credit/model.onnx", smpcc.Options{Dims: map[string]int{"N": n}, Policies: []string{file}})
		if want == "" && (err != nil || !slices.ContainsFunc(c.Notes, func(s string) bool {
			return strings.Contains(s, "the policy of p0 expired at 2020-02-01T00:00:00Z (p0.yaml:6): servers refuse to run this plan")
		})) {
			t.Errorf("%d rows: %v, or no remark that the policy is over", n, err)
		}
		if want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "allows at most 2 numbers a run, and 3 reach p1")) {
			t.Errorf("%d rows: %v, want %q", n, err, want)
		}
	}
}

func TestServersRefuseExpired(t *testing.T) {
	cl, client, _ := guarded(t, "expires: 2020-01-31\n", nil)
	refusedWith(t, opens(t, client), "the policy of p1 expired at 2020-02-01T00:00:00Z")
	cfg := cl.config("p0")
	cfg.Listen, cfg.State, cfg.Plan = cl.addrs["p0"], t.TempDir(), filepath.Join(t.TempDir(), "x.plan")
	if err := plan.WriteFile(cfg.Plan, cl.plan); err != nil {
		t.Fatal(err)
	}
	for _, r := range cl.plan.Manifest.Policies {
		if r.Owner == "p0" {
			cfg.PolicyDigest = r.Digest
		}
	}
	found := false
	for _, f := range server.Check(context.Background(), cfg, false) {
		found = found || f.What == "policies" && f.Warn && strings.Contains(f.Detail, "expired at 2020-02-01")
	}
	if !found {
		t.Error("a check of the configuration does not warn of the policy that expired")
	}
	cl.kill("p0")
	data, err := os.ReadFile(filepath.Join(cl.dir, "state-p0", "audit.log"))
	if err != nil || !strings.Contains(string(data), `"decision":"refused","reason":"refused: the policy of p1 expired`) {
		t.Errorf("the log does not tell of the refusal: %s", data)
	}
}

func TestServersWaitForApproval(t *testing.T) {
	dir := t.TempDir()
	pub, err := attest.NewKey(filepath.Join(dir, "k.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := attest.NewKey(filepath.Join(dir, "other.pem")); err != nil {
		t.Fatal(err)
	}
	sigs := filepath.Join(dir, "plan.sigs")
	cl, client, in := guarded(t, "approve: [\""+attest.KeyText(pub)+"\"]\n", func(_ string, c *server.Config) { c.Approvals = sigs })
	refusedWith(t, opens(t, client), "asks that each plan is approved by its digest")
	sign := func(key string, purpose attest.Purpose, plan string) {
		t.Helper()
		k, err := attest.LoadKey(filepath.Join(dir, key))
		if err != nil {
			t.Fatal(err)
		}
		if err := attest.Append(disk.Machine, sigs, attest.Sign(k, purpose, plan, "p1", time.Now())); err != nil {
			t.Fatal(err)
		}
	}
	sign("other.pem", attest.Approval, cl.plan.Digest())
	sign("k.pem", attest.Plan, cl.plan.Digest())
	sign("k.pem", attest.Approval, strings.Repeat("0", 64))
	refusedWith(t, opens(t, client), "asks that each plan is approved by its digest")
	sign("k.pem", attest.Approval, cl.plan.Digest())
	if _, err := cl.run(client, in); err != nil {
		t.Fatal(err)
	}
}

// TestServerMissesItsConditions checks that an owner's server refuses a plan whose manifest leaves out what its policy asks.
func TestServerMissesItsConditions(t *testing.T) {
	c, w, _, _ := credit(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "p1.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nowner: p1\nmax_runs: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cl := startCluster(t, c.Plan, w, nil)
	cl.kill("p1")
	cfg := cl.config("p1")
	cfg.Listen, cfg.State, cfg.Policy = cl.addrs["p1"], filepath.Join(dir, "state"), file
	_, err := server.New(cfg, c.Plan, nil, false, nil)
	refusedWith(t, err, "does not carry the conditions that the policy of p1 asks")
	last, err := attest.VerifyLog(filepath.Join(cfg.State, "audit.log"), "", "")
	if err != nil || last.Decision != "refused" || last.What != "start" {
		t.Errorf("the log ends with %+v, %v", last, err)
	}
}

// TestServersCompareConditions: runs are counted by the digest of a policy, so that a plan which carries conditions under another digest
// would start a count of its own. Every server refuses it, the owner's also if the whole plan was edited to agree with itself.
func TestServersCompareConditions(t *testing.T) {
	cl, _, _ := guarded(t, "max_runs: 2\n", nil)
	edited := func(edit func(m *plan.Manifest)) *plan.Plan {
		c, err := typed.Decode(cl.plan.Typed)
		if err != nil {
			t.Fatal(err)
		}
		edit(c.Manifest)
		p, err := typed.Load(c.Encode())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	counted := edited(func(m *plan.Manifest) {
		for i := range m.Guards {
			m.Guards[i].Policy = strings.Repeat("ab", 32)
		}
	})
	other := edited(func(m *plan.Manifest) {
		for i := range m.Guards {
			m.Guards[i].Policy = strings.Repeat("ab", 32)
			for k := range m.Policies {
				if m.Policies[k].Owner == m.Guards[i].Owner {
					m.Policies[k].Digest = m.Guards[i].Policy
				}
			}
		}
	})
	twice := edited(func(m *plan.Manifest) { m.Guards = append(m.Guards, m.Guards[0]) })
	file := filepath.Join(t.TempDir(), "p1.policy.yaml") // what the owner has
	if err := os.WriteFile(file, []byte("version: 1\nowner: p1\nallow:\n  - {output: output, to: [p1]}\nmax_runs: 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	refuses := func(role string, p *plan.Plan, want string) {
		t.Helper()
		cfg := cl.config(role)
		cfg.Listen, cfg.State = "127.0.0.1:0", t.TempDir()
		for _, r := range cl.plan.Manifest.Policies {
			if r.Owner == role {
				cfg.PolicyDigest = r.Digest
			}
		}
		if role == "p1" {
			cfg.Policy, cfg.PolicyDigest = file, ""
		}
		_, err := server.New(cfg, p, nil, role == p.Manifest.Dealer, nil)
		refusedWith(t, err, want)
	}
	for _, role := range cl.plan.Roles() {
		refuses(role, counted, "its runs would be counted apart")
		refuses(role, twice, "conditions of p1 twice")
	}
	refuses("p1", other, "the plan counts runs under the policy")
}
